//! Record protection: seal and open in place with nonce and associated data,
//! and the mask of DTLS 1.3's record numbers. Everything above is the same for
//! every backend.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use aes::{Aes128Enc, Aes256Enc};

use crate::provider::Backend;

/// Octets that every supported AEAD appends.
pub(crate) const TAG: usize = 16;

/// Octets of ciphertext that the record-number mask is made from.
const SAMPLE: usize = 16;

/// The AEADs of the supported suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Aes128Gcm,
    Aes256Gcm,
    Chacha20Poly1305,
}

impl Algorithm {
    pub(crate) const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::Chacha20Poly1305 => 32,
        }
    }

    /// Octets of the nonce that the 1.2 key block gives (RFC 5288 §3,
    /// RFC 7905 §2).
    pub(crate) const fn fixed_iv_length(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 4,
            Self::Chacha20Poly1305 => 12,
        }
    }

    /// Octets of the nonce that every 1.2 record carries.
    #[inline]
    pub(crate) const fn explicit_nonce_length(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 8,
            Self::Chacha20Poly1305 => 0,
        }
    }

    /// Records of 1.3 that one key may seal (RFC 9147 §4.5.3: 2^24.5 for AES-GCM
    /// with full records; nothing but the sequence number limits
    /// ChaCha20-Poly1305).
    #[inline]
    pub(crate) const fn confidentiality_limit(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 23_726_566,
            Self::Chacha20Poly1305 => (1 << 48) - 1,
        }
    }

    /// Forgeries that one key may refuse (RFC 9147 §4.5.3), in 1.2 too: RFC 9325
    /// §4.4 has 2^28 for AES-GCM there, not mandatory, which whoever can send
    /// datagrams would end connections with in minutes.
    #[inline]
    pub(crate) const fn integrity_limit(self) -> u64 {
        1 << 36
    }
}

/// The provider refused the operation: wrong tag, or a key of wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CryptoError;

/// An AEAD key ready for use. The backend wipes it on drop as far as it does.
#[cfg_attr(
    feature = "aws-lc-rs",
    expect(
        clippy::large_enum_variant,
        reason = "it lies behind a pointer, with what else its epoch needs"
    )
)]
pub(crate) enum AeadKey {
    Ring(ring::aead::LessSafeKey),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(aws_lc_rs::aead::LessSafeKey),
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

/// The key that masks DTLS 1.3's record numbers (RFC 9147 §4.2.3): one block of
/// AES, or of ChaCha20. QUIC's header protection is the same construction.
#[allow(
    clippy::large_enum_variant,
    reason = "it lies behind a pointer, with what else its epoch needs"
)]
pub(crate) enum MaskKey {
    /// Not ring's: that goes through its code for long texts, which takes
    /// three times as long for a block.
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
    Ring(ring::aead::quic::HeaderProtectionKey),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(aws_lc_rs::aead::quic::HeaderProtectionKey),
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKey(..)")
    }
}

/// Keys of one backend: the two have the same names for the same things.
macro_rules! keys_of {
    ($backend:ident, $library:ident, $algorithm:expr, $key:expr) => {{
        use $library::aead::{self, LessSafeKey, UnboundKey};
        let algorithm = match $algorithm {
            Algorithm::Aes128Gcm => &aead::AES_128_GCM,
            Algorithm::Aes256Gcm => &aead::AES_256_GCM,
            Algorithm::Chacha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, $key).map_err(|_| CryptoError)?;
        Ok(AeadKey::$backend(LessSafeKey::new(key)))
    }};
}

macro_rules! seal_with {
    ($library:ident, $key:expr, $nonce:expr, $aad:expr, $text:expr, $room:expr) => {{
        use $library::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key($nonce);
        let tag = $key
            .seal_in_place_separate_tag(nonce, Aad::from($aad), $text)
            .map_err(|_| CryptoError)?;
        *$room = tag.as_ref().try_into().map_err(|_| CryptoError)?;
        Ok(())
    }};
}

macro_rules! open_with {
    ($library:ident, $key:expr, $nonce:expr, $aad:expr, $text_and_tag:expr) => {{
        use $library::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key($nonce);
        $key.open_in_place(nonce, Aad::from($aad), $text_and_tag)
            .map(|text| text.len())
            .map_err(|_| CryptoError)
    }};
}

impl AeadKey {
    pub(crate) fn new(
        backend: Backend,
        algorithm: Algorithm,
        key: &[u8],
    ) -> Result<Self, CryptoError> {
        match backend {
            Backend::Ring => keys_of!(Ring, ring, algorithm, key),
            #[cfg(feature = "aws-lc-rs")]
            Backend::AwsLcRs => keys_of!(AwsLcRs, aws_lc_rs, algorithm, key),
        }
    }

    /// Encrypts all of `text_and_tag` but the room for the tag where it lies, and
    /// writes the tag there.
    #[inline]
    pub(crate) fn seal(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> Result<(), CryptoError> {
        let (text, tag) = text_and_tag
            .split_last_chunk_mut::<TAG>()
            .ok_or(CryptoError)?;
        match self {
            Self::Ring(key) => seal_with!(ring, key, nonce, aad, text, tag),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => seal_with!(aws_lc_rs, key, nonce, aad, text, tag),
        }
    }

    /// Decrypts text and tag where they lie; returns the text's length.
    #[inline]
    pub(crate) fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> Result<usize, CryptoError> {
        match self {
            Self::Ring(key) => open_with!(ring, key, nonce, aad, text_and_tag),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => open_with!(aws_lc_rs, key, nonce, aad, text_and_tag),
        }
    }
}

impl MaskKey {
    pub(crate) fn new(
        backend: Backend,
        algorithm: Algorithm,
        key: &[u8],
    ) -> Result<Self, CryptoError> {
        match (backend, algorithm) {
            (Backend::Ring, Algorithm::Aes128Gcm) => {
                let key = Aes128Enc::new_from_slice(key).map_err(|_| CryptoError)?;
                Ok(Self::Aes128(key))
            }
            (Backend::Ring, Algorithm::Aes256Gcm) => {
                let key = Aes256Enc::new_from_slice(key).map_err(|_| CryptoError)?;
                Ok(Self::Aes256(key))
            }
            (Backend::Ring, Algorithm::Chacha20Poly1305) => {
                use ring::aead::quic::{CHACHA20, HeaderProtectionKey};
                let key = HeaderProtectionKey::new(&CHACHA20, key).map_err(|_| CryptoError)?;
                Ok(Self::Ring(key))
            }
            #[cfg(feature = "aws-lc-rs")]
            (Backend::AwsLcRs, algorithm) => {
                use aws_lc_rs::aead::quic::{AES_128, AES_256, CHACHA20, HeaderProtectionKey};
                let algorithm = match algorithm {
                    Algorithm::Aes128Gcm => &AES_128,
                    Algorithm::Aes256Gcm => &AES_256,
                    Algorithm::Chacha20Poly1305 => &CHACHA20,
                };
                let key = HeaderProtectionKey::new(algorithm, key).map_err(|_| CryptoError)?;
                Ok(Self::AwsLcRs(key))
            }
        }
    }

    /// What to XOR on the sequence number of a record with this ciphertext (tag
    /// included).
    #[inline(always)]
    pub(crate) fn mask(&self, ciphertext: &[u8]) -> Result<u16, CryptoError> {
        let sample = ciphertext.first_chunk::<SAMPLE>().ok_or(CryptoError)?;
        match self {
            Self::Aes128(key) => Ok(encrypt(key, *sample)),
            Self::Aes256(key) => Ok(encrypt(key, *sample)),
            Self::Ring(key) => first_two(key.new_mask(sample)),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => first_two(key.new_mask(sample)),
        }
    }
}

/// The first two octets of an encrypted block.
#[inline]
fn encrypt(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, sample: [u8; SAMPLE]) -> u16 {
    let mut block = sample.into();
    cipher.encrypt_block(&mut block);
    let [a, b, ..]: [u8; SAMPLE] = block.into();
    u16::from_be_bytes([a, b])
}

/// The first two octets of QUIC's mask.
fn first_two<E>(mask: Result<[u8; 5], E>) -> Result<u16, CryptoError> {
    mask.map(|[a, b, ..]| u16::from_be_bytes([a, b]))
        .map_err(|_| CryptoError)
}
