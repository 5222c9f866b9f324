//! Handshake signatures: which schemes fit, making and checking them.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, hash::Output};
use rustls::sign::{Signer, SigningKey};

use super::der::ParsedCertificate;
use super::suite::KeyKind;
use crate::error::Failure;

/// Which version's rules a scheme is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    Tls12,
    Tls13,
}

/// Whether `scheme` may sign a handshake (RFC 8446 §4.2.3).
pub(crate) fn allowed(scheme: u16, rules: Rules) -> bool {
    use SignatureScheme as S;
    match SignatureScheme::from(scheme) {
        S::ECDSA_NISTP256_SHA256
        | S::ECDSA_NISTP384_SHA384
        | S::ECDSA_NISTP521_SHA512
        | S::ED25519
        | S::RSA_PSS_SHA256
        | S::RSA_PSS_SHA384
        | S::RSA_PSS_SHA512 => true,
        S::RSA_PKCS1_SHA256 | S::RSA_PKCS1_SHA384 | S::RSA_PKCS1_SHA512 => rules == Rules::Tls12,
        _ => false,
    }
}

/// The kind of certificate that a scheme goes with.
pub(crate) fn key_kind(scheme: u16) -> KeyKind {
    use SignatureScheme as S;
    match SignatureScheme::from(scheme) {
        S::ECDSA_NISTP256_SHA256
        | S::ECDSA_NISTP384_SHA384
        | S::ECDSA_NISTP521_SHA512
        | S::ED25519 => KeyKind::Elliptic,
        _ => KeyKind::Rsa,
    }
}

/// Schemes to offer, best first: those the provider can verify.
pub(crate) fn offered(provider: &CryptoProvider, rules: Rules) -> Vec<u16> {
    let mut list: Vec<u16> = provider
        .signature_verification_algorithms
        .mapping
        .iter()
        .map(|(scheme, _)| u16::from(*scheme))
        .filter(|scheme| allowed(*scheme, rules))
        .collect();
    // P-256 first: the key that WebRTC peers have.
    list.sort_by_key(|scheme| {
        SignatureScheme::from(*scheme) != SignatureScheme::ECDSA_NISTP256_SHA256
    });
    list
}

/// A signer with a scheme that the peer takes, if the key has one.
pub(crate) fn choose(
    key: &Arc<dyn SigningKey>,
    theirs: &[u16],
    rules: Rules,
) -> Option<Box<dyn Signer>> {
    let usable: Vec<SignatureScheme> = theirs
        .iter()
        .filter(|scheme| allowed(**scheme, rules))
        .map(|scheme| SignatureScheme::from(*scheme))
        .collect();
    key.choose_scheme(&usable)
}

/// Verifies `signature` over `message` with the key in `certificate`.
pub(crate) fn verify(
    provider: &CryptoProvider,
    certificate: &[u8],
    rules: Rules,
    scheme: u16,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Failure> {
    if !allowed(scheme, rules) {
        return Err(Failure::WrongSignatureScheme);
    }
    let parsed = ParsedCertificate::parse(certificate).map_err(|_| Failure::BadCertificate)?;
    let algorithms = provider
        .signature_verification_algorithms
        .mapping
        .iter()
        .find(|(known, _)| u16::from(*known) == scheme)
        .map(|(_, algorithms)| *algorithms)
        .ok_or(Failure::WrongSignatureScheme)?;
    // 1.3 binds scheme and curve: only the first algorithm of a scheme is the
    // one with the curve that the scheme names (RFC 8446 §4.2.3).
    let considered = match rules {
        Rules::Tls12 => algorithms,
        Rules::Tls13 => algorithms.get(..1).unwrap_or_default(),
    };
    let mut fits = false;
    for algorithm in considered {
        if algorithm.public_key_alg_id().as_ref() != parsed.key_algorithm {
            continue;
        }
        fits = true;
        if algorithm
            .verify_signature(parsed.public_key, message, signature)
            .is_ok()
        {
            return Ok(());
        }
    }
    Err(if fits {
        Failure::BadSignature
    } else {
        Failure::WrongSignatureScheme
    })
}

/// What a CertificateVerify of 1.3 signs (RFC 8446 §4.4.3).
pub(crate) fn content13(from_server: bool, transcript: &Output) -> Vec<u8> {
    let context: &[u8] = if from_server {
        b"TLS 1.3, server CertificateVerify\0"
    } else {
        b"TLS 1.3, client CertificateVerify\0"
    };
    let mut content = vec![0x20; 64];
    content.extend_from_slice(context);
    content.extend_from_slice(transcript.as_ref());
    content
}
