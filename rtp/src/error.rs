//! What can be wrong with a packet, and with a caller's request to write one.

/// Why bytes are no packet of the kind asked for. One entry, one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the fixed part or a length inside promises more than there is.
    #[error("truncated: {needed} octets needed, {available} there")]
    Truncated {
        /// Octets that the part being read needs.
        needed: usize,
        /// Octets that there are.
        available: usize,
    },
    /// The version field is not 2 (RFC 3550 §5.1, §6.4.1).
    #[error("version {0} instead of 2")]
    Version(u8),
    /// The padding count is zero, or larger than what it could pad (RFC 3550 §5.1).
    #[error("padding of {0} octets does not fit")]
    Padding(u8),
    /// The header extension's length reaches beyond the packet (RFC 3550 §5.3.1).
    #[error("header extension of {0} words does not fit")]
    ExtensionLength(u16),
    /// An extension element reaches beyond the header extension (RFC 8285 §4.2, §4.3).
    #[error("extension element {id} does not fit into the header extension")]
    ExtensionElement {
        /// Identifier of the element.
        id: u8,
    },
    /// An extension element has a length its kind does not allow.
    #[error("extension value of {0} octets")]
    ExtensionValue(usize),
    /// An RTCP packet's length reaches beyond the datagram (RFC 3550 §6.4.1).
    #[error("RTCP length of {0} words does not fit")]
    RtcpLength(u16),
    /// A count inside (report blocks, sources, blocks, statuses) promises more than there is.
    #[error("a count of {0} does not fit the packet")]
    Count(usize),
    /// The packet is of another type than the view asked for.
    #[error("another packet type")]
    Kind,
    /// Text is not UTF-8 where the standard says UTF-8 (RFC 3550 §6.5).
    #[error("text is not UTF-8")]
    Text,
    /// A compound packet does not begin with a report, or is not complete (RFC 3550 §6.1, A.2).
    #[error("not a valid compound packet")]
    Compound,
    /// A field has a value that the standard reserves or forbids.
    #[error("field {0} has a forbidden value")]
    Field(&'static str),
}

/// Why a packet could not be written or changed: the caller's mistake. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The identifier is zero, or not allowed in the form in use (RFC 8285 §4.2: 1 to 14 in the
    /// one-byte form).
    #[error("extension identifier {0} is not allowed here")]
    ExtensionId(u8),
    /// The value's length is not allowed in the form in use (RFC 8285: 1 to 16 octets in the
    /// one-byte form, up to 255 in the two-byte form).
    #[error("extension value of {0} octets is not allowed here")]
    ExtensionLength(usize),
    /// More than the wire format can count.
    #[error("{0} is more than the packet can carry")]
    TooMany(usize),
    /// A value is out of the field's range.
    #[error("field {0} out of range")]
    Field(&'static str),
    /// Parts of a packet were given in an order that cannot be written (an extension after payload).
    #[error("parts given out of order")]
    Order,
}

/// Fails with [`ParseError::Truncated`] unless `needed` octets are there.
pub(crate) fn require(available: usize, needed: usize) -> Result<(), ParseError> {
    if available < needed {
        Err(ParseError::Truncated { needed, available })
    } else {
        Ok(())
    }
}
