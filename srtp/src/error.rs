//! What can go wrong, one entry a cause.

use thiserror::Error;

/// Keying material or a configuration that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The material has another length than the profile asks for.
    #[error("keying material of {actual} bytes where the profile needs {expected}")]
    Length {
        /// Bytes the profile needs.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// A string of SDES key parameters (RFC 4568 §6.1) that does not parse.
    #[error("malformed SDES key parameters")]
    Sdes,
    /// The context already holds [`MAX_MASTER_KEYS`](crate::limits::MAX_MASTER_KEYS) master keys.
    #[error("too many master keys")]
    TooManyKeys,
    /// Some keys of a context carry a master key identifier and others do not, or the identifiers
    /// differ in length or repeat: a packet could not be told apart (RFC 3711 §8.1).
    #[error("master key identifiers do not fit together")]
    Mki,
    /// The key belongs to another profile than the context.
    #[error("key of another profile")]
    Profile,
}

/// A setting outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("value {value} is outside {min}..={max}")]
pub struct OutOfRange {
    /// What was asked for.
    pub value: u64,
    /// The smallest value allowed.
    pub min: u64,
    /// The largest value allowed.
    pub max: u64,
}

/// Why a packet does not look like RTP or RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Shorter than its fixed header, or than header and trailer together.
    #[error("packet too short")]
    TooShort,
    /// Longer than [`MAX_PACKET_LEN`](crate::limits::MAX_PACKET_LEN).
    #[error("packet too long")]
    TooLong,
    /// The version field is not 2 (RFC 3550 §5.1, §6.4.1).
    #[error("version is not 2")]
    Version,
    /// The CSRC list is longer than the packet.
    #[error("CSRC list beyond the packet")]
    Csrcs,
    /// The header extension is longer than the packet.
    #[error("header extension beyond the packet")]
    Extension,
    /// A packet to be protected says that its header extension is encrypted already (RFC 9335):
    /// the receiver would decrypt what is not.
    #[error("header extension is encrypted already")]
    EncryptedExtension,
}

/// Why a packet was not protected. Nothing has changed: neither the context nor the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtectError {
    /// What was given is not an RTP or RTCP packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The start or length given lies outside of the buffer, or there is no room behind the packet
    /// for what protection adds.
    #[error("buffer too small")]
    NoRoom,
    /// This sequence number was protected before, or lies behind the window of those that could
    /// be told: a second packet with the same index would reuse the key stream (RFC 3711 §9.1).
    #[error("sequence number used before")]
    IndexReused,
    /// The master key has protected as many packets as it may (RFC 3711 §9.2): re-key.
    #[error("master key used up")]
    KeyExpired,
    /// The stream has used up its 48-bit (RTP) or 31-bit (RTCP) index: re-key and reset it.
    #[error("packet index used up")]
    IndexExhausted,
    /// The context holds as many streams as it may; remove one.
    #[error("too many streams")]
    TooManyStreams,
}

/// Why a packet was refused. It was counted in the context's statistics and changed nothing else
/// there; the packet's bytes are not to be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnprotectError {
    /// What came is not an SRTP or SRTCP packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The authentication tag is wrong: forged, damaged, or protected with another key.
    #[error("authentication failed")]
    Authentication,
    /// The packet came before (RFC 3711 §3.3.2).
    #[error("packet replayed")]
    Replayed,
    /// The packet lies behind the replay window, so it cannot be told whether it came before.
    #[error("packet older than the replay window")]
    TooOld,
    /// The packet names a master key that the context does not hold.
    #[error("unknown master key identifier")]
    UnknownMki,
    /// The context holds as many streams as it may and was told not to give up any.
    #[error("too many streams")]
    TooManyStreams,
    /// An SRTCP packet that is authenticated but not encrypted, where encryption is demanded.
    #[error("SRTCP packet is not encrypted")]
    NotEncrypted,
    /// The stream's roll-over counter can not advance any more.
    #[error("packet index used up")]
    IndexExhausted,
}
