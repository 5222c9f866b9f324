//! The crypto provider that a configuration begins with, and where record
//! protection comes from.

use rustls::crypto::CryptoProvider;

#[cfg(feature = "ml-kem")]
pub use crate::crypto::hybrid::X25519MLKEM768;

/// The library that suites, groups and signatures begin with, and that
/// records are protected with. What is on the wire is the same with each.
///
/// Fingerprints, the gate's cookies and the key that
/// [`Certificate::generate`](crate::Certificate::generate) makes are ring's
/// whatever is chosen here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// ring. X25519MLKEM768 is there with the feature `ml-kem`, which is on by
    /// default.
    #[default]
    Ring,
    /// aws-lc-rs, X25519MLKEM768 included; there with the feature `aws-lc-rs`.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl Backend {
    /// rustls's provider for the library, with X25519MLKEM768 as the first
    /// group where there is one. Change its lists to change what is offered,
    /// and in what order.
    #[must_use]
    pub fn provider(self) -> CryptoProvider {
        match self {
            Self::Ring => ring_provider(),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => aws_lc_rs_provider(),
        }
    }
}

fn ring_provider() -> CryptoProvider {
    #[cfg_attr(not(feature = "ml-kem"), allow(unused_mut))]
    let mut provider = rustls::crypto::ring::default_provider();
    #[cfg(feature = "ml-kem")]
    provider.kx_groups.insert(0, X25519MLKEM768);
    provider
}

#[cfg(feature = "aws-lc-rs")]
fn aws_lc_rs_provider() -> CryptoProvider {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    }
}

/// The provider of [`Backend::Ring`].
#[must_use]
pub fn default_provider() -> CryptoProvider {
    Backend::default().provider()
}
