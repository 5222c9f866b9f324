//! `RTCCertificate` (W3C §4.9).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tincan_dtls::HashAlgorithm;

use crate::Error;

/// A certificate with its private key, cheap to clone; two handles are equal when they are the same certificate object.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) certificate: tincan_dtls::Certificate,
    /// `sha-256 AB:CD…`, made once.
    pub(crate) fingerprint: Box<str>,
}

/// What certificates say they are made at where no wall clock was given: 2025-01-01. The far side of WebRTC looks at the
/// fingerprint only.
const SOME_DAY: Duration = Duration::from_secs(1_735_689_600);

/// Lifetime where nobody says one: W3C §4.9.1 asks for 30 days by default.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Longest lifetime: a year (W3C §4.9.1).
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

impl Certificate {
    /// `RTCPeerConnection.generateCertificate` with ECDSA P-256, valid for 30 days.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate(now: SystemTime) -> Result<Self, Error> {
        Self::generate_for(now, DEFAULT_LIFETIME)
    }

    /// The same with a lifetime of up to a year.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate_for(now: SystemTime, lifetime: Duration) -> Result<Self, Error> {
        let certificate = tincan_dtls::Certificate::generate_for(now, lifetime.min(MAX_LIFETIME))
            .map_err(|e| Error::Layer {
            layer: "dtls",
            reason: e.to_string(),
        })?;
        Ok(Self::from(certificate))
    }

    /// One for a connection whose configuration has neither certificate nor wall clock.
    pub(crate) fn timeless() -> Result<Self, Error> {
        Self::generate_for(UNIX_EPOCH + SOME_DAY, MAX_LIFETIME)
    }

    /// `expires`.
    pub fn expires(&self) -> Option<SystemTime> {
        self.inner.certificate.expires()
    }

    /// `getFingerprints`: algorithm and upper-case hex with colons, as in `a=fingerprint`.
    pub fn fingerprints(&self) -> Vec<String> {
        vec![self.inner.fingerprint.to_string()]
    }

    /// The certificate in DER.
    pub fn der(&self) -> Option<&[u8]> {
        self.inner.certificate.chain().next()
    }
}

impl From<tincan_dtls::Certificate> for Certificate {
    /// A certificate of the application's own.
    fn from(certificate: tincan_dtls::Certificate) -> Self {
        let fingerprint = certificate
            .fingerprint(HashAlgorithm::Sha256)
            .to_string()
            .into();
        Certificate {
            inner: Arc::new(Inner {
                certificate,
                fingerprint,
            }),
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl core::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.inner.fingerprint)
            .finish_non_exhaustive()
    }
}
