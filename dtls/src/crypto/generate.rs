//! Keys and self-signed certificates (RFC 5280 §4.1, RFC 5480, RFC 8410).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use zeroize::Zeroizing;

use super::der;
use crate::certificate::{HashAlgorithm, KeyAlgorithm};
use crate::error::Error;

/// A certificate before now is of no use to a peer whose clock is slow.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// id-ecPublicKey, 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1, 1.2.840.10045.3.1.7.
const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1, 1.3.132.0.34.
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// ecdsa-with-SHA256, -SHA384 and -SHA512, 1.2.840.10045.4.3.2 to .4.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
/// sha256WithRSAEncryption and its kin, 1.2.840.113549.1.1.11 to .13.
const RSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const RSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
const RSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
/// id-Ed25519, 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The subject says nothing: a name would only tell one peer from another.
const SUBJECT: &[u8] = b"WebRTC";

/// The hash function that a signature algorithm names.
pub(crate) fn hash_of(algorithm: &[u8]) -> Option<HashAlgorithm> {
    match algorithm {
        ECDSA_WITH_SHA256 | RSA_WITH_SHA256 => Some(HashAlgorithm::Sha256),
        ECDSA_WITH_SHA384 | RSA_WITH_SHA384 => Some(HashAlgorithm::Sha384),
        ECDSA_WITH_SHA512 | RSA_WITH_SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// A certificate in DER and its key in PKCS #8.
pub(crate) struct Made {
    pub(crate) certificate: Vec<u8>,
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn public(&self) -> &[u8] {
        match self {
            Key::Ecdsa(key) => key.public_key().as_ref(),
            Key::Ed25519(key) => key.public_key().as_ref(),
        }
    }

    fn sign(&self, random: &SystemRandom, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = match self {
            Key::Ecdsa(key) => key.sign(random, message).map_err(|_| Error::Crypto)?,
            Key::Ed25519(key) => key.sign(message),
        };
        Ok(signature.as_ref().to_vec())
    }
}

/// Makes a key and a certificate for it that it signs itself.
pub(crate) fn self_signed(
    algorithm: KeyAlgorithm,
    now: SystemTime,
    lifetime: Duration,
) -> Result<Made, Error> {
    let random = SystemRandom::new();
    let (key, pkcs8) = match algorithm {
        KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?,
        KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, &random)?,
        KeyAlgorithm::Ed25519 => {
            let made = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| Error::Crypto)?;
            let pkcs8 = Zeroizing::new(made.as_ref().to_vec());
            let key = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| Error::Crypto)?;
            (Key::Ed25519(key), pkcs8)
        }
    };
    let oid = |oid: &[u8]| der::write(der::OBJECT_IDENTIFIER, oid);
    let (signs, is) = match algorithm {
        KeyAlgorithm::EcdsaP256 => (
            oid(ECDSA_WITH_SHA256),
            [oid(EC_PUBLIC_KEY), oid(SECP256R1)].concat(),
        ),
        KeyAlgorithm::EcdsaP384 => (
            oid(ECDSA_WITH_SHA384),
            [oid(EC_PUBLIC_KEY), oid(SECP384R1)].concat(),
        ),
        // RFC 8410 §3: no parameters.
        KeyAlgorithm::Ed25519 => (oid(ED25519), oid(ED25519)),
    };
    let signs = der::sequence(&[&signs]);
    let mut serial = [0; 16];
    random.fill(&mut serial).map_err(|_| Error::Crypto)?;
    // Positive and without a leading zero octet.
    serial[0] = serial[0] & 0x7f | 0x40;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = der::sequence(&[&der::write(
        der::SET,
        &der::sequence(&[&oid(COMMON_NAME), &der::write(der::UTF8_STRING, SUBJECT)]),
    )]);
    let bits = |octets: &[u8]| {
        // A whole number of octets: no unused bits.
        let mut bits = vec![0];
        bits.extend_from_slice(octets);
        der::write(der::BIT_STRING, &bits)
    };
    let body = der::sequence(&[
        // Version 3.
        &der::write(der::CONTEXT_0, &der::write(der::INTEGER, &[2])),
        &der::write(der::INTEGER, &serial),
        &signs,
        &name,
        &der::sequence(&[
            &der::time(now.saturating_sub(BACKDATED)),
            &der::time(now.saturating_add(lifetime)),
        ]),
        &name,
        &der::sequence(&[&der::sequence(&[&is]), &bits(key.public())]),
    ]);
    let signature = key.sign(&random, &body)?;
    Ok(Made {
        certificate: der::sequence(&[&body, &signs, &bits(&signature)]),
        pkcs8,
    })
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    random: &SystemRandom,
) -> Result<(Key, Zeroizing<Vec<u8>>), Error> {
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| Error::Crypto)?;
    let pkcs8 = Zeroizing::new(made.as_ref().to_vec());
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, random).map_err(|_| Error::Crypto)?;
    Ok((Key::Ecdsa(key), pkcs8))
}
