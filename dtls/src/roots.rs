//! Verification of the peer's chain against trusted roots, for users of DTLS
//! that have a public key infrastructure. WebRTC has none.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::AlertDescription;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::config::VerifyPeer;
use crate::error::Error;

/// Trusted roots: give it to [`crate::Verification::Custom`].
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    server_name: Option<ServerName<'static>>,
    clock: fn() -> SystemTime,
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("anchors", &self.anchors.len())
            .finish_non_exhaustive()
    }
}

impl Roots {
    /// Judges servers by these root certificates (DER) and their name.
    /// `clock` says what time it is: this crate does not know.
    ///
    /// # Errors
    /// [`Error::Certificate`] for a root that cannot be read, or a name that
    /// is neither a DNS name nor an IP address.
    pub fn for_server(
        roots: &[Vec<u8>],
        name: &str,
        provider: &CryptoProvider,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let mut judge = Self::for_clients(roots, provider, clock)?;
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Error::Certificate)?;
        judge.server_name = Some(name);
        Ok(judge)
    }

    /// Judges clients by these root certificates (DER).
    ///
    /// # Errors
    /// [`Error::Certificate`] for a root that cannot be read.
    pub fn for_clients(
        roots: &[Vec<u8>],
        provider: &CryptoProvider,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let anchors = roots
            .iter()
            .map(|root| {
                let der = CertificateDer::from(root.as_slice());
                anchor_from_trusted_cert(&der).map(|anchor| anchor.to_owned())
            })
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Certificate)?;
        let algorithms = provider.signature_verification_algorithms.all;
        Ok(Self {
            anchors,
            algorithms,
            server_name: None,
            clock,
        })
    }
}

impl VerifyPeer for Roots {
    fn verify(&self, chain: &[Vec<u8>]) -> Result<(), AlertDescription> {
        let mut chain = chain.iter().map(|der| CertificateDer::from(der.as_slice()));
        let leaf = chain.next().ok_or(AlertDescription::BadCertificate)?;
        let intermediates: Vec<_> = chain.collect();
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| AlertDescription::BadCertificate)?;
        let now = (self.clock)()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let usage = match self.server_name {
            Some(_) => KeyUsage::server_auth(),
            None => KeyUsage::client_auth(),
        };
        leaf.verify_for_usage(
            self.algorithms,
            &self.anchors,
            &intermediates,
            UnixTime::since_unix_epoch(now),
            usage,
            None,
            None,
        )
        .map_err(|error| match error {
            webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
                AlertDescription::CertificateExpired
            }
            webpki::Error::UnknownIssuer => AlertDescription::UnknownCA,
            _ => AlertDescription::BadCertificate,
        })?;
        match &self.server_name {
            Some(name) => leaf
                .verify_is_valid_for_subject_name(name)
                .map_err(|_| AlertDescription::BadCertificate),
            None => Ok(()),
        }
    }
}
