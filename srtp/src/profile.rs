//! Protection profiles: which cipher, which keys, which tags.

/// A protection profile, as DTLS-SRTP (RFC 5764 §4.1.2, RFC 7714 §14.2) or SDES (RFC 4568 §6.2,
/// RFC 6188 §4) negotiate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// AES-128 in counter mode, HMAC-SHA1 with an 80-bit tag (RFC 3711 §4). What browsers choose.
    AesCm128HmacSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 with a 32-bit tag for RTP and an 80-bit tag for RTCP.
    AesCm128HmacSha1_32,
    /// AES-192 in counter mode (RFC 6188), HMAC-SHA1 with an 80-bit tag.
    AesCm192HmacSha1_80,
    /// AES-192 in counter mode (RFC 6188), a 32-bit tag for RTP and an 80-bit tag for RTCP.
    AesCm192HmacSha1_32,
    /// AES-256 in counter mode (RFC 6188), HMAC-SHA1 with an 80-bit tag.
    AesCm256HmacSha1_80,
    /// AES-256 in counter mode (RFC 6188), a 32-bit tag for RTP and an 80-bit tag for RTCP.
    AesCm256HmacSha1_32,
    /// AES-128-GCM with a 128-bit tag (RFC 7714).
    AeadAes128Gcm,
    /// AES-256-GCM with a 128-bit tag (RFC 7714).
    AeadAes256Gcm,
}

/// Length of an HMAC-SHA1 key, in bytes (RFC 3711 §5.2).
pub(crate) const AUTH_KEY_LEN: usize = 20;

/// Length of an AEAD tag, in bytes (RFC 7714 §5.1).
pub(crate) const AEAD_TAG_LEN: usize = 16;

impl Profile {
    /// All profiles there are.
    pub const ALL: [Self; 8] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::AesCm192HmacSha1_80,
        Self::AesCm192HmacSha1_32,
        Self::AesCm256HmacSha1_80,
        Self::AesCm256HmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// The exporter label that gives a DTLS connection's SRTP keys (RFC 5764 §4.2); the context is
    /// absent and the length is [`exporter_len`](Self::exporter_len).
    pub const EXPORTER_LABEL: &'static str = "EXTRACTOR-dtls_srtp";

    /// The profile with this number in `use_srtp`, if it is one of ours. The profiles without
    /// encryption (0x0005, 0x0006) are none.
    pub const fn from_dtls_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::AesCm128HmacSha1_80),
            0x0002 => Some(Self::AesCm128HmacSha1_32),
            0x0007 => Some(Self::AeadAes128Gcm),
            0x0008 => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    /// The number in `use_srtp`; `None` for the profiles of RFC 6188, which have none.
    pub const fn dtls_id(self) -> Option<u16> {
        match self {
            Self::AesCm128HmacSha1_80 => Some(0x0001),
            Self::AesCm128HmacSha1_32 => Some(0x0002),
            Self::AeadAes128Gcm => Some(0x0007),
            Self::AeadAes256Gcm => Some(0x0008),
            _ => None,
        }
    }

    /// The name of the crypto suite in SDES (RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.1).
    pub const fn sdes_name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm192HmacSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::AesCm192HmacSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The profile of this SDES crypto suite.
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.sdes_name() == name)
    }

    /// Whether the cipher authenticates by itself (RFC 7714).
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }

    /// How many packets of a batch are worked on together: an AEAD's gain nothing by company.
    pub(crate) const fn batch(self) -> usize {
        if self.is_aead() { 1 } else { 2 }
    }

    /// Length of the master key, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AesCm192HmacSha1_80 | Self::AesCm192HmacSha1_32 => 24,
            Self::AesCm256HmacSha1_80 | Self::AesCm256HmacSha1_32 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt, in bytes: 14, or 12 for AEADs.
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Bytes to take from the DTLS exporter: two keys and two salts (RFC 5764 §4.2).
    pub const fn exporter_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }

    /// Length of an SRTP packet's authentication tag, in bytes.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_32 | Self::AesCm192HmacSha1_32 | Self::AesCm256HmacSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => AEAD_TAG_LEN,
            _ => 10,
        }
    }

    /// Length of an SRTCP packet's authentication tag, in bytes. It is 80 bits also for the
    /// profiles with 32-bit tags (RFC 5764 §4.1.2).
    pub const fn rtcp_tag_len(self) -> usize {
        if self.is_aead() { AEAD_TAG_LEN } else { 10 }
    }
}
