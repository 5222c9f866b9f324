//! Our certificate and its key, and fingerprints (RFC 8122).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::crypto::CryptoProvider;
use rustls::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::der::{self, ParsedCertificate};
use crate::error::Error;

/// How long a generated certificate is valid: W3C's default of 30 days.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// A certificate before now is of no use to a peer whose clock is slow.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// Hash functions of certificate fingerprints (RFC 8122 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// Only to be named when it is refused: never accepted as a proof.
    Sha1,
    /// SHA-256, what WebRTC uses (RFC 8827 §6.5).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// A certificate's fingerprint, as in SDP: `sha-256 4A:AD:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    value: Vec<u8>,
}

impl Fingerprint {
    /// A fingerprint from its octets; `None` when the length is not the hash's.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, value: &[u8]) -> Option<Self> {
        (value.len() == algorithm.length()).then(|| Self {
            algorithm,
            value: value.to_vec(),
        })
    }

    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(algorithm: HashAlgorithm, certificate: &[u8]) -> Self {
        let value = digest::digest(algorithm.digest(), certificate)
            .as_ref()
            .to_vec();
        Self { algorithm, value }
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The hash's octets.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether `certificate` (DER) has this fingerprint. SHA-1 never matches:
    /// it proves nothing any more.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        self.algorithm != HashAlgorithm::Sha1
            && digest::digest(self.algorithm.digest(), certificate)
                .as_ref()
                .ct_eq(&self.value)
                .into()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        for (index, octet) in self.value.iter().enumerate() {
            let before = if index == 0 { ' ' } else { ':' };
            write!(f, "{before}{octet:02X}")?;
        }
        Ok(())
    }
}

/// The text is no fingerprint with a known hash (RFC 8122 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate fingerprint")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let (name, hex) = text.trim().split_once(' ').ok_or(InvalidFingerprint)?;
        let algorithm = [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
        .ok_or(InvalidFingerprint)?;
        let value: Vec<u8> = hex
            .trim()
            .split(':')
            .map(|octet| match octet.len() {
                2 => u8::from_str_radix(octet, 16).map_err(|_| InvalidFingerprint),
                _ => Err(InvalidFingerprint),
            })
            .collect::<Result<_, _>>()?;
        Self::new(algorithm, &value).ok_or(InvalidFingerprint)
    }
}

/// A certificate chain and the private key that goes with it. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    chain: Arc<[CertificateDer<'static>]>,
    key: Arc<dyn SigningKey>,
    pkcs8: Option<Arc<Zeroizing<Vec<u8>>>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field(
                "fingerprint",
                &format_args!("{}", self.fingerprint(HashAlgorithm::Sha256)),
            )
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes an ECDSA P-256 key and a self-signed certificate for it, valid
    /// from a day before `now` for [`DEFAULT_LIFETIME`] after it.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system gives no randomness.
    pub fn generate(now: SystemTime) -> Result<Self, Error> {
        Self::generate_for(now, DEFAULT_LIFETIME)
    }

    /// As [`Self::generate`] with a lifetime after `now`.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system gives no randomness.
    pub fn generate_for(now: SystemTime, lifetime: Duration) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| Error::Crypto)?;
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
                .map_err(|_| Error::Crypto)?;
        let mut serial = [0; 16];
        random.fill(&mut serial).map_err(|_| Error::Crypto)?;
        let body = self_signed_body(&key, &serial, now, lifetime);
        let signature = key.sign(&random, &body).map_err(|_| Error::Crypto)?;
        let mut bits = vec![0];
        bits.extend_from_slice(signature.as_ref());
        let certificate = der::sequence(&[
            &body,
            &der::sequence(&[&der::write(der::OBJECT_IDENTIFIER, ECDSA_WITH_SHA256)]),
            &der::write(der::BIT_STRING, &bits),
        ]);
        let provider = rustls::crypto::ring::default_provider();
        Self::from_der(vec![certificate], pkcs8.as_ref(), &provider)
    }

    /// A chain (leaf first, DER) and its private key in PKCS #8. This with
    /// [`Self::chain`] and [`Self::private_key_pkcs8`] is how a certificate is
    /// stored and used again.
    ///
    /// # Errors
    /// [`Error::Certificate`] when the chain is empty or malformed, or the key
    /// is of a kind that the provider does not know.
    pub fn from_der(
        chain: Vec<Vec<u8>>,
        pkcs8: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, Error> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
        let key = provider
            .key_provider
            .load_private_key(der)
            .map_err(|_| Error::Certificate)?;
        let mut certificate = Self::from_signing_key(chain, key)?;
        certificate.pkcs8 = Some(Arc::new(Zeroizing::new(pkcs8.to_vec())));
        Ok(certificate)
    }

    /// A chain (leaf first, DER) with a key that is kept elsewhere.
    ///
    /// # Errors
    /// [`Error::Certificate`] when the chain is empty or malformed.
    pub fn from_signing_key(chain: Vec<Vec<u8>>, key: Arc<dyn SigningKey>) -> Result<Self, Error> {
        let leaf = chain.first().ok_or(Error::Certificate)?;
        ParsedCertificate::parse(leaf).map_err(|_| Error::Certificate)?;
        Ok(Self {
            chain: chain.into_iter().map(CertificateDer::from).collect(),
            key,
            pkcs8: None,
        })
    }

    /// The chain in DER, the leaf first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// The private key in PKCS #8, unless it is kept elsewhere.
    #[must_use]
    pub fn private_key_pkcs8(&self) -> Option<&[u8]> {
        self.pkcs8.as_ref().map(|key| key.as_slice())
    }

    /// The leaf's fingerprint.
    #[must_use]
    pub fn fingerprint(&self, algorithm: HashAlgorithm) -> Fingerprint {
        Fingerprint::of(algorithm, self.leaf())
    }

    /// When the leaf ceases to be valid.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        let parsed = ParsedCertificate::parse(self.leaf()).ok()?;
        Some(UNIX_EPOCH + parsed.not_after.since_epoch()?)
    }

    fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], AsRef::as_ref)
    }

    pub(crate) fn key(&self) -> &Arc<dyn SigningKey> {
        &self.key
    }
}

/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// id-ecPublicKey, 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1, 1.2.840.10045.3.1.7.
const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The subject says nothing: a name would only tell one peer from another.
const SUBJECT: &[u8] = b"WebRTC";

fn self_signed_body(
    key: &EcdsaKeyPair,
    serial: &[u8; 16],
    now: SystemTime,
    lifetime: Duration,
) -> Vec<u8> {
    use ring::signature::KeyPair as _;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Positive and without a leading zero octet.
    let mut serial = *serial;
    serial[0] = serial[0] & 0x7f | 0x40;
    let oid = |oid: &[u8]| der::write(der::OBJECT_IDENTIFIER, oid);
    let name = der::sequence(&[&der::write(
        der::SET,
        &der::sequence(&[&oid(COMMON_NAME), &der::write(der::UTF8_STRING, SUBJECT)]),
    )]);
    let mut bits = vec![0];
    bits.extend_from_slice(key.public_key().as_ref());
    der::sequence(&[
        // Version 3.
        &der::write(der::CONTEXT_0, &der::write(der::INTEGER, &[2])),
        &der::write(der::INTEGER, &serial),
        &der::sequence(&[&oid(ECDSA_WITH_SHA256)]),
        &name,
        &der::sequence(&[
            &der::time(now.saturating_sub(BACKDATED)),
            &der::time(now.saturating_add(lifetime)),
        ]),
        &name,
        &der::sequence(&[
            &der::sequence(&[&oid(EC_PUBLIC_KEY), &oid(SECP256R1)]),
            &der::write(der::BIT_STRING, &bits),
        ]),
    ])
}
