//! Our certificate and its key, and fingerprints (RFC 8122).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest;
use rustls::NamedGroup;
use rustls::crypto::CryptoProvider;
use rustls::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, alg_id};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::der::{self, ParsedCertificate};
use crate::crypto::generate;
use crate::error::Error;

/// How long a generated certificate is valid: W3C's default of 30 days.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// What keys can be made for a certificate. RSA keys can be brought along
/// ([`Certificate::from_der`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256, which every WebRTC peer takes (RFC 8827
    /// §6.5).
    #[default]
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

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
    only_for_issuer: bool,
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
        Self::generate_with(KeyAlgorithm::EcdsaP256, now, lifetime)
    }

    /// As [`Self::generate_for`] with a key of any kind that can be made here.
    /// Browsers take P-256 and P-384; other stacks Ed25519 as well.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system gives no randomness.
    pub fn generate_with(
        algorithm: KeyAlgorithm,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let made = generate::self_signed(algorithm, now, lifetime)?;
        let provider = rustls::crypto::ring::default_provider();
        Self::from_der(vec![made.certificate], &made.pkcs8, &provider)
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
            only_for_issuer: false,
        })
    }

    /// Has it shown only to a peer that names the issuer of one of its chain
    /// among the authorities that it trusts (RFC 8446 §4.2.4, RFC 5246 §7.4.4).
    #[must_use]
    pub fn only_for_issuer(mut self) -> Self {
        self.only_for_issuer = true;
        self
    }

    /// The curve of an ECDSA key, as a group's number.
    pub(crate) fn curve(&self) -> Option<u16> {
        let parsed = ParsedCertificate::parse(self.leaf()).ok()?;
        [
            (alg_id::ECDSA_P256, NamedGroup::secp256r1),
            (alg_id::ECDSA_P384, NamedGroup::secp384r1),
            (alg_id::ECDSA_P521, NamedGroup::secp521r1),
        ]
        .into_iter()
        .find(|(algorithm, _)| algorithm.as_ref() == parsed.key_algorithm)
        .map(|(_, curve)| curve.into())
    }

    /// Whether a peer that names these authorities may see it.
    pub(crate) fn may_be_shown(&self, authorities: &[&[u8]]) -> bool {
        !self.only_for_issuer
            || self.chain().any(|certificate| {
                ParsedCertificate::parse(certificate).is_ok_and(|parsed| {
                    let issued = |name: &&[u8]| der::name(name) == Ok(parsed.issuer);
                    authorities.iter().any(issued)
                })
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

    /// The hash function of the leaf's signature, by which one of the
    /// fingerprints has to be made (RFC 8122 §5); `None` for one that names
    /// none, as Ed25519.
    #[must_use]
    pub fn signature_hash(&self) -> Option<HashAlgorithm> {
        let parsed = ParsedCertificate::parse(self.leaf()).ok()?;
        generate::hash_of(parsed.signature_algorithm)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_for_an_issuers_peers_is_shown_to_who_names_the_issuer() {
        let certificate = Certificate::generate(SystemTime::UNIX_EPOCH).expect("a certificate");
        let parsed = ParsedCertificate::parse(certificate.leaf()).expect("well-formed");
        let issuer = der::write(der::SEQUENCE, parsed.issuer);
        let other = der::sequence(&[b"another"]);
        assert!(certificate.may_be_shown(&[]));
        let certificate = certificate.only_for_issuer();
        assert!(!certificate.may_be_shown(&[]));
        assert!(!certificate.may_be_shown(&[&other, b"\x30\x05\x01"]));
        assert!(certificate.may_be_shown(&[&other, &issuer]));
    }

    #[test]
    fn the_curve_is_read_of_the_certificate() {
        let certificate = Certificate::generate(SystemTime::UNIX_EPOCH).expect("a certificate");
        assert_eq!(certificate.curve(), Some(NamedGroup::secp256r1.into()));
    }
}
