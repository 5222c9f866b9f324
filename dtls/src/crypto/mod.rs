//! The seam to the crypto provider: record protection, key schedules,
//! transcript, signatures, certificates.

pub(crate) mod aead;
pub(crate) mod der;
pub(crate) mod generate;
#[cfg(feature = "ml-kem")]
pub(crate) mod hybrid;
pub(crate) mod schedule12;
pub(crate) mod schedule13;
pub(crate) mod signature;
pub(crate) mod suite;
pub(crate) mod transcript;
