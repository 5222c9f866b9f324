//! What can be wrong with a message or with a request to write one.

use crate::message::AttributeType;

/// Why octets are not a STUN message that can be looked at (RFC 8489 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer than the twenty octets of a header.
    #[error("shorter than a STUN header")]
    Short,
    /// The first two bits are not zero or the magic cookie is another one.
    #[error("not a STUN message")]
    NotStun,
    /// The length field is not a multiple of four (§5).
    #[error("length field is not a multiple of four")]
    Unaligned,
    /// The length field announces another length than the octets given have.
    #[error("length field disagrees with the octets given")]
    LengthMismatch,
    /// An attribute reaches beyond the end of the message.
    #[error("attribute reaches beyond the end of the message")]
    TruncatedAttribute,
    /// MESSAGE-INTEGRITY is not 20 octets long, MESSAGE-INTEGRITY-SHA256 not
    /// 16 to 32 in steps of four (§14.5, §14.6), or FINGERPRINT not four (§14.7).
    #[error("attribute {0:?} has a length it may not have")]
    BadLength(AttributeType),
    /// Something follows FINGERPRINT, which must come last (§14.7).
    #[error("attribute after FINGERPRINT")]
    AfterFingerprint,
    /// More attributes than [`limits::MAX_ATTRIBUTES`](crate::limits::MAX_ATTRIBUTES).
    #[error("too many attributes")]
    TooManyAttributes,
}

/// An attribute whose value cannot be read as its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed value of {0:?}")]
pub struct AttributeError(pub AttributeType);

/// Why the integrity of a message could not be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrityError {
    /// The message has no such attribute.
    #[error("message has no integrity attribute")]
    Missing,
    /// It has one, and it is not that of these octets under this key.
    #[error("message integrity does not match")]
    Mismatch,
}

/// Why the fingerprint of a message could not be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The message has no FINGERPRINT.
    #[error("message has no fingerprint")]
    Missing,
    /// It has one, and the checksum is another.
    #[error("fingerprint does not match")]
    Mismatch,
}

/// Why a message could not be written. Nothing of it is left in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The value is longer than the standard allows for this attribute.
    #[error("value of {0:?} is too long")]
    ValueTooLong(AttributeType),
    /// The value may not stand on the wire, such as an error code below 300.
    #[error("value of {0:?} is out of range")]
    OutOfRange(AttributeType),
    /// The whole is longer than [`limits::MAX_MESSAGE_LEN`](crate::limits::MAX_MESSAGE_LEN).
    #[error("message is too long")]
    MessageTooLong,
    /// The attribute may not follow the integrity or fingerprint written before.
    #[error("{0:?} may not follow what was written before")]
    Order(AttributeType),
}
