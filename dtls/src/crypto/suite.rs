//! The cipher suites: the provider's, filtered to what DTLS can use.

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::Hash;
use rustls::{CipherSuite, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::aead::Algorithm;

fn algorithm(suite: CipherSuite) -> Option<Algorithm> {
    use CipherSuite as S;
    Some(match suite {
        S::TLS13_AES_128_GCM_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Algorithm::Aes128Gcm,
        S::TLS13_AES_256_GCM_SHA384
        | S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Algorithm::Aes256Gcm,
        S::TLS13_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Algorithm::Chacha20Poly1305,
        _ => return None,
    })
}

/// A suite of 1.3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite13 {
    pub(crate) suite: &'static Tls13CipherSuite,
    pub(crate) aead: Algorithm,
}

/// A suite of 1.2: ephemeral elliptic curves only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite12 {
    pub(crate) suite: &'static Tls12CipherSuite,
    pub(crate) aead: Algorithm,
}

/// What certificate a 1.2 suite wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    /// ECDSA and EdDSA (RFC 8422 §5.1.1).
    Elliptic,
}

impl Suite13 {
    pub(crate) fn id(&self) -> u16 {
        self.suite.common.suite.into()
    }

    pub(crate) fn hash(&self) -> &'static dyn Hash {
        self.suite.common.hash_provider
    }
}

impl Suite12 {
    pub(crate) fn id(&self) -> u16 {
        self.suite.common.suite.into()
    }

    pub(crate) fn hash(&self) -> &'static dyn Hash {
        self.suite.common.hash_provider
    }

    pub(crate) fn key_kind(&self) -> KeyKind {
        use CipherSuite as S;
        match self.suite.common.suite {
            S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            | S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => KeyKind::Rsa,
            _ => KeyKind::Elliptic,
        }
    }
}

/// The provider's suites for 1.3 in its order.
pub(crate) fn suites13(provider: &CryptoProvider) -> Vec<Suite13> {
    let mut list: Vec<Suite13> = provider
        .cipher_suites
        .iter()
        .filter_map(|suite| match suite {
            SupportedCipherSuite::Tls13(suite) => Some(Suite13 {
                suite,
                aead: algorithm(suite.common.suite)?,
            }),
            _ => None,
        })
        .collect();
    // AES-128 first: what browsers choose between themselves, and the fastest.
    list.sort_by_key(|suite| suite.aead != Algorithm::Aes128Gcm);
    list
}

/// The provider's suites for 1.2 in its order.
pub(crate) fn suites12(provider: &CryptoProvider) -> Vec<Suite12> {
    let mut list: Vec<Suite12> = provider
        .cipher_suites
        .iter()
        .filter_map(|suite| match suite {
            SupportedCipherSuite::Tls12(suite) => Some(Suite12 {
                suite,
                aead: algorithm(suite.common.suite)?,
            }),
            _ => None,
        })
        .collect();
    list.sort_by_key(|suite| suite.aead != Algorithm::Aes128Gcm);
    list
}
