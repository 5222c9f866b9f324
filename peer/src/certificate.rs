//! `RTCCertificate` (W3C §4.9).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tincan_dtls::{HashAlgorithm, KeyAlgorithm};

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
    /// By the hash function of its signature, where that is another.
    signed_fingerprint: Option<Box<str>>,
}

/// What `generateCertificate` is asked for (W3C §4.9.1, in WebCrypto's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeygenAlgorithm {
    /// `{ name: "ECDSA", namedCurve: "P-256" }`.
    #[default]
    EcdsaP256,
    /// `{ name: "ECDSA", namedCurve: "P-384" }`.
    EcdsaP384,
    /// `{ name: "Ed25519" }`; browsers refuse such certificates.
    Ed25519,
    /// `{ name: "RSASSA-PKCS1-v1_5" }`: not supported, as nothing here makes such keys; one that was made elsewhere can be
    /// used (`Certificate::from`).
    Rsa {
        /// In bits.
        modulus_length: u32,
    },
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
        Self::generate_with(KeygenAlgorithm::default(), now, None)
    }

    /// The same with any algorithm and a lifetime of up to a year (`expires`); longer ones are cut to that.
    ///
    /// # Errors
    /// [`Error::KeygenNotSupported`] for an algorithm that nothing here makes keys of; the system gives no randomness.
    pub fn generate_with(
        algorithm: KeygenAlgorithm,
        now: SystemTime,
        expires: Option<Duration>,
    ) -> Result<Self, Error> {
        let key = match algorithm {
            KeygenAlgorithm::EcdsaP256 => KeyAlgorithm::EcdsaP256,
            KeygenAlgorithm::EcdsaP384 => KeyAlgorithm::EcdsaP384,
            KeygenAlgorithm::Ed25519 => KeyAlgorithm::Ed25519,
            KeygenAlgorithm::Rsa { .. } => return Err(Error::KeygenNotSupported),
        };
        let lifetime = expires.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        let made = tincan_dtls::Certificate::generate_with(key, now, lifetime);
        let certificate = made.map_err(|e| Error::Layer {
            layer: "dtls",
            reason: e.to_string(),
        })?;
        Ok(Self::from(certificate))
    }

    /// One for a connection whose configuration has neither certificate nor wall clock.
    pub(crate) fn timeless() -> Result<Self, Error> {
        let some_day = UNIX_EPOCH + SOME_DAY;
        Self::generate_with(KeygenAlgorithm::default(), some_day, Some(MAX_LIFETIME))
    }

    /// `expires`.
    pub fn expires(&self) -> Option<SystemTime> {
        self.inner.certificate.expires()
    }

    /// `getFingerprints`: algorithm and upper-case hex with colons, as in `a=fingerprint`. The first is by SHA-256; where the
    /// certificate is signed with another hash function there is one by that, too.
    pub fn fingerprints(&self) -> Vec<String> {
        let first = &self.inner.fingerprint;
        let signed = self.inner.signed_fingerprint.as_ref();
        [Some(first), signed]
            .into_iter()
            .flatten()
            .map(|f| f.to_string())
            .collect()
    }

    /// The certificate and those that vouch for it, in DER.
    pub(crate) fn chain(&self) -> Vec<&[u8]> {
        self.inner.certificate.chain().collect()
    }

    /// The certificate in DER.
    pub fn der(&self) -> Option<&[u8]> {
        self.inner.certificate.chain().next()
    }
}

impl From<tincan_dtls::Certificate> for Certificate {
    /// A certificate of the application's own.
    fn from(certificate: tincan_dtls::Certificate) -> Self {
        let by = |hash| certificate.fingerprint(hash).to_string().into();
        let fingerprint = by(HashAlgorithm::Sha256);
        let signed = certificate.signature_hash();
        let signed_fingerprint = signed.filter(|h| *h != HashAlgorithm::Sha256).map(by);
        Certificate {
            inner: Arc::new(Inner {
                certificate,
                fingerprint,
                signed_fingerprint,
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
