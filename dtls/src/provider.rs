//! The crypto provider that a configuration begins with.

use rustls::crypto::CryptoProvider;

#[cfg(feature = "ml-kem")]
pub use crate::crypto::hybrid::X25519MLKEM768;

/// rustls's ring provider, with X25519MLKEM768 as the first group where the
/// feature `ml-kem` is on (it is by default). Change its lists to change what
/// is offered, and in what order.
#[must_use]
pub fn default_provider() -> CryptoProvider {
    #[cfg_attr(not(feature = "ml-kem"), allow(unused_mut))]
    let mut provider = rustls::crypto::ring::default_provider();
    #[cfg(feature = "ml-kem")]
    provider.kx_groups.insert(0, X25519MLKEM768);
    provider
}
