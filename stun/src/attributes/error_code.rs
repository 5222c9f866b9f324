//! What a refusal says (RFC 8489 §14.8, §14.13; RFC 8656 §18.12).

use super::{Attribute, Family};
use crate::error::WriteError;
use crate::limits::MAX_TEXT_LEN;
use crate::message::{AttributeType, TransactionId};

/// The code of a refusal, 300 to 699, with words for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    code: u16,
    reason: &'a str,
}

macro_rules! codes {
    ($($name:ident $code:literal $reason:literal $doc:literal;)*) => {
        impl ErrorCode<'static> {
            $(#[doc = $doc] pub const $name: ErrorCode<'static> =
                ErrorCode { code: $code, reason: $reason };)*
        }
    };
}

codes! {
    TRY_ALTERNATE 300 "Try Alternate" "RFC 8489 §14.8.";
    BAD_REQUEST 400 "Bad Request" "RFC 8489 §14.8.";
    UNAUTHENTICATED 401 "Unauthenticated" "RFC 8489 §14.8.";
    FORBIDDEN 403 "Forbidden" "RFC 8656 §19.";
    MOBILITY_FORBIDDEN 405 "Mobility Forbidden" "RFC 8016 §3.5.";
    UNKNOWN_ATTRIBUTE 420 "Unknown Attribute" "RFC 8489 §14.8.";
    ALLOCATION_MISMATCH 437 "Allocation Mismatch" "RFC 8656 §19.";
    STALE_NONCE 438 "Stale Nonce" "RFC 8489 §14.8.";
    ADDRESS_FAMILY_NOT_SUPPORTED 440 "Address Family not Supported" "RFC 8656 §19.";
    WRONG_CREDENTIALS 441 "Wrong Credentials" "RFC 8656 §19.";
    UNSUPPORTED_TRANSPORT 442 "Unsupported Transport Protocol" "RFC 8656 §19.";
    PEER_ADDRESS_FAMILY_MISMATCH 443 "Peer Address Family Mismatch" "RFC 8656 §19.";
    CONNECTION_ALREADY_EXISTS 446 "Connection Already Exists" "RFC 6062 §6.3.";
    CONNECTION_TIMEOUT_OR_FAILURE 447 "Connection Timeout or Failure" "RFC 6062 §6.3.";
    ALLOCATION_QUOTA_REACHED 486 "Allocation Quota Reached" "RFC 8656 §19.";
    ROLE_CONFLICT 487 "Role Conflict" "RFC 8445 §16.2.";
    SERVER_ERROR 500 "Server Error" "RFC 8489 §14.8.";
    INSUFFICIENT_CAPACITY 508 "Insufficient Capacity" "RFC 8656 §19.";
}

impl<'a> ErrorCode<'a> {
    /// A code with a reason of the caller's; `None` outside 300 to 699.
    pub const fn new(code: u16, reason: &'a str) -> Option<ErrorCode<'a>> {
        if code >= 300 && code <= 699 {
            Some(ErrorCode { code, reason })
        } else {
            None
        }
    }

    /// The same code without words, which RFC 8489 §14.8 leaves to the sender.
    pub const fn terse(self) -> ErrorCode<'static> {
        ErrorCode {
            code: self.code,
            reason: "",
        }
    }

    /// 300 to 699.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// Words for people; never to be decided upon.
    pub const fn reason(&self) -> &'a str {
        self.reason
    }
}

/// The class in three bits and the number within it in eight.
fn split(code: u16) -> [u8; 2] {
    // Both fit: 300 to 699 is the invariant of the types that call this.
    [(code / 100) as u8, (code % 100) as u8]
}

fn join(class: u8, number: u8) -> Option<u16> {
    let class = class & 7;
    ((3..=6).contains(&class) && number < 100).then(|| u16::from(class) * 100 + u16::from(number))
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ERROR_CODE;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        let (&[_, _, class, number], reason) = value.split_first_chunk::<4>()?;
        // The reason is for people only: a broken one does not hide the code.
        let reason = core::str::from_utf8(reason).unwrap_or_default();
        Some(ErrorCode {
            code: join(class, number)?,
            reason,
        })
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.reason.len() > MAX_TEXT_LEN {
            return Err(WriteError::ValueTooLong(Self::TYPE));
        }
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&split(self.code));
        out.extend_from_slice(self.reason.as_bytes());
        Ok(())
    }
}

/// Why one of two requested families was not allocated (RFC 8656 §18.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressErrorCode<'a> {
    /// The family that is refused.
    pub family: Family,
    /// 440 or 508.
    pub error: ErrorCode<'a>,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], id: &TransactionId) -> Option<Self> {
        let family = Family::new(*value.first()?)?;
        Some(AddressErrorCode {
            family,
            error: ErrorCode::decode(value, id)?,
        })
    }

    fn encode(&self, id: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let at = out.len();
        self.error.encode(id, out)?;
        if let Some(first) = out.get_mut(at) {
            *first = self.family.number();
        }
        Ok(())
    }
}

/// The types that a 420 complains of (RFC 8489 §14.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAttributes<'a> {
    /// As read from a message.
    Wire(&'a [u8]),
    /// To be written.
    List(&'a [AttributeType]),
}

impl UnknownAttributes<'_> {
    /// The types.
    pub fn types(&self) -> impl Iterator<Item = AttributeType> {
        let (wire, list): (&[u8], &[AttributeType]) = match *self {
            UnknownAttributes::Wire(octets) => (octets, &[]),
            UnknownAttributes::List(types) => (&[], types),
        };
        let read = wire
            .as_chunks::<2>()
            .0
            .iter()
            .map(|t| AttributeType(u16::from_be_bytes(*t)));
        read.chain(list.iter().copied())
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const TYPE: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        value
            .len()
            .is_multiple_of(2)
            .then_some(UnknownAttributes::Wire(value))
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        for kind in self.types() {
            out.extend_from_slice(&kind.0.to_be_bytes());
        }
        Ok(())
    }
}
