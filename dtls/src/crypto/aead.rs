//! Record protection: seal and open in place with nonce and associated data,
//! and the mask of DTLS 1.3's record numbers. Everything above is the same for
//! every backend.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey, quic};

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

    /// Records that one key may seal (RFC 9147 §4.5.3: 2^24.5 for AES-GCM with
    /// full records; nothing but the sequence number limits ChaCha20-Poly1305).
    #[inline]
    pub(crate) const fn confidentiality_limit(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 23_726_566,
            Self::Chacha20Poly1305 => (1 << 48) - 1,
        }
    }

    /// Forgeries that one key may refuse (RFC 9147 §4.5.3).
    #[inline]
    pub(crate) const fn integrity_limit(self) -> u64 {
        1 << 36
    }

    fn ring(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::Chacha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    fn ring_mask(self) -> &'static quic::Algorithm {
        match self {
            Self::Aes128Gcm => &quic::AES_128,
            Self::Aes256Gcm => &quic::AES_256,
            Self::Chacha20Poly1305 => &quic::CHACHA20,
        }
    }
}

/// The provider refused the operation: wrong tag, or a key of wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CryptoError;

/// An AEAD key ready for use. The backend wipes it on drop as far as it does.
pub(crate) struct AeadKey {
    key: LessSafeKey,
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeadKey(..)")
    }
}

impl AeadKey {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, CryptoError> {
        let key = UnboundKey::new(algorithm.ring(), key).map_err(|_| CryptoError)?;
        Ok(Self {
            key: LessSafeKey::new(key),
        })
    }

    /// Encrypts `text` where it lies and returns the tag to put after it.
    #[inline]
    pub(crate) fn seal(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .map_err(|_| CryptoError)?;
        tag.as_ref().try_into().map_err(|_| CryptoError)
    }

    /// Decrypts text and tag where they lie; returns the text's length.
    #[inline]
    pub(crate) fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .open_in_place(nonce, Aad::from(aad), text_and_tag)
            .map(|text| text.len())
            .map_err(|_| CryptoError)
    }
}

/// The key that masks DTLS 1.3's record numbers (RFC 9147 §4.2.3). QUIC's
/// header protection is the same construction.
pub(crate) struct MaskKey {
    key: quic::HeaderProtectionKey,
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKey(..)")
    }
}

impl MaskKey {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, CryptoError> {
        let key =
            quic::HeaderProtectionKey::new(algorithm.ring_mask(), key).map_err(|_| CryptoError)?;
        Ok(Self { key })
    }

    /// The two octets to XOR on the sequence number of a record with this
    /// ciphertext (tag included).
    #[inline]
    pub(crate) fn mask(&self, ciphertext: &[u8]) -> Result<[u8; 2], CryptoError> {
        let sample = ciphertext.get(..SAMPLE).ok_or(CryptoError)?;
        let [a, b, ..] = self.key.new_mask(sample).map_err(|_| CryptoError)?;
        Ok([a, b])
    }
}
