//! `RTCCertificate` (W3C §4.9).

use std::sync::Arc;

/// A certificate with its private key, cheap to clone; two handles are equal when they are the same certificate object.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) inner: Arc<()>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl core::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
