//! Which of our certificates is shown, and how its key signs.

use rustls::sign::Signer;

use crate::certificate::Certificate;
use crate::config::Config;
use crate::crypto::signature::{self, Rules};
use crate::error::Failure;

/// What the peer says of the certificates that it takes.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) rules: Rules,
    pub(crate) schemes: &'a [u16],
    /// Names of authorities that it trusts, if it gives any.
    pub(crate) authorities: &'a [&'a [u8]],
}

/// A certificate, its place in the configuration, and what its key signs with.
pub(crate) struct Chosen<'c> {
    pub(crate) certificate: &'c Certificate,
    pub(crate) place: usize,
    pub(crate) signer: Box<dyn Signer>,
}

/// The first certificate that fits.
pub(crate) fn choose<'c>(
    certificates: &'c [Certificate],
    wanted: &Wanted<'_>,
) -> Result<Chosen<'c>, Failure> {
    choose_with(certificates, wanted.authorities, |certificate| {
        signature::choose(certificate.key(), wanted.schemes, wanted.rules)
            .map(|signer| (signer, ()))
            .ok_or(Failure::NoCommonSignatureScheme)
    })
    .map(|(chosen, ())| chosen)
}

/// The first certificate that fits, at a client: without any it shows none,
/// unless it would rather fail.
pub(crate) fn choose_if_any<'c>(
    config: &'c Config,
    wanted: &Wanted<'_>,
) -> Result<Option<Chosen<'c>>, Failure> {
    match choose(&config.certificates, wanted) {
        Ok(chosen) => Ok(Some(chosen)),
        Err(failure) if config.insists_on_own && !config.certificates.is_empty() => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The first certificate that may be shown and that `fits` finds a signer for.
pub(crate) fn choose_with<'c, T>(
    certificates: &'c [Certificate],
    authorities: &[&[u8]],
    mut fits: impl FnMut(&Certificate) -> Result<(Box<dyn Signer>, T), Failure>,
) -> Result<(Chosen<'c>, T), Failure> {
    let mut refused = Failure::NoCommonSignatureScheme;
    for (place, certificate) in certificates.iter().enumerate() {
        if !certificate.may_be_shown(authorities) {
            refused = Failure::NoMatchingIssuer;
            continue;
        }
        match fits(certificate) {
            Ok((signer, with)) => {
                let chosen = Chosen {
                    certificate,
                    place,
                    signer,
                };
                return Ok((chosen, with));
            }
            Err(failure) => refused = failure,
        }
    }
    Err(refused)
}
