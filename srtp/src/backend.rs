//! The libraries that AES-GCM can come from, behind one small seam.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::profile::AEAD_TAG_LEN;

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::aead as aws;

/// Which library seals and opens the packets of AES-GCM profiles. What is on the wire is the same
/// with each. Counter-mode profiles are this crate's own composition whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// `ring`.
    #[default]
    Ring,
    /// `aws-lc-rs`; there with the feature `aws-lc-rs`.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

/// A keyed AES-GCM.
#[cfg_attr(
    feature = "aws-lc-rs",
    expect(
        clippy::large_enum_variant,
        reason = "the larger one is the usual one: a pointer would cost every packet"
    )
)]
pub(crate) enum AeadKey {
    Ring(LessSafeKey),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(aws::LessSafeKey),
}

impl AeadKey {
    /// The cipher for a key of 16 or 32 bytes.
    pub(crate) fn new(backend: Backend, key: &[u8]) -> Option<Self> {
        match backend {
            Backend::Ring => {
                let algorithm = match key.len() {
                    16 => &AES_128_GCM,
                    32 => &AES_256_GCM,
                    _ => return None,
                };
                let key = UnboundKey::new(algorithm, key).ok()?;
                Some(Self::Ring(LessSafeKey::new(key)))
            }
            #[cfg(feature = "aws-lc-rs")]
            Backend::AwsLcRs => {
                let algorithm = match key.len() {
                    16 => &aws::AES_128_GCM,
                    32 => &aws::AES_256_GCM,
                    _ => return None,
                };
                let key = aws::UnboundKey::new(algorithm, key).ok()?;
                Some(Self::AwsLcRs(aws::LessSafeKey::new(key)))
            }
        }
    }

    /// Encrypts `body` where it lies and hands the tag to `take`. `None` for bodies of gigabytes,
    /// far beyond `MAX_PACKET_LEN`.
    #[inline]
    pub(crate) fn seal<T>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        body: &mut [u8],
        take: impl FnOnce(&[u8; AEAD_TAG_LEN]) -> T,
    ) -> Option<T> {
        match self {
            Self::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body);
                tag.ok()?.as_ref().first_chunk().map(take)
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aws::Aad::from(aad), body);
                tag.ok()?.as_ref().first_chunk().map(take)
            }
        }
    }

    /// Verifies `aad` and `body` against `tag` and decrypts `body` where it lies.
    #[inline]
    pub(crate) fn open(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8], tag: &[u8]) -> bool {
        let Ok(tag) = <[u8; AEAD_TAG_LEN]>::try_from(tag) else {
            return false;
        };
        match self {
            Self::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, Aad::from(aad), tag.into(), body, 0..)
                    .is_ok()
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = aws::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, aws::Aad::from(aad), &tag, body)
                    .is_ok()
            }
        }
    }
}
