//! Names for the numbers of RTP.

use std::fmt;

use crate::error::WriteError;

/// A synchronization source (RFC 3550 §3): who sends a stream of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for Ssrc {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

/// An RTP payload type, 0 to 127 (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// A payload type, unless `value` has more than seven bits.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 128 { Some(Self(value)) } else { None }
    }

    /// The low seven bits of an octet, as they stand beside the marker.
    pub(crate) const fn from_low_bits(octet: u8) -> Self {
        Self(octet & 0x7f)
    }

    /// The number, 0 to 127.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is 64 to 95, which must not be used where RTP and RTCP share a port
    /// (RFC 5761 §4): with the marker set it would look like RTCP.
    pub const fn collides_with_rtcp(self) -> bool {
        matches!(self.0, 64..=95)
    }
}

impl TryFrom<u8> for PayloadType {
    type Error = WriteError;

    fn try_from(value: u8) -> Result<Self, WriteError> {
        Self::new(value).ok_or(WriteError::Field("payload type"))
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
