//! Every bound of this crate, with its reason.

/// Octets of the fixed STUN header (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// The longest message: the length field counts up to 65 535 octets after the
/// header, in multiples of four.
pub const MAX_MESSAGE_LEN: usize = HEADER_LEN + 65_532;

/// Attributes a message may hold before the parser gives up.
///
/// The richest message of any known extension has about fifteen. The bound
/// keeps typed look-ups, which walk the attributes, cheap in a 64 KiB message
/// full of empty attributes.
pub const MAX_ATTRIBUTES: usize = 64;

/// USERNAME: fewer than 509 octets (RFC 8489 §14.3).
pub const MAX_USERNAME_LEN: usize = 508;

/// REALM, NONCE, SOFTWARE, reason phrases: at most 763 octets
/// (fewer than 128 characters; RFC 8489 §14.8 to §14.10, §14.14).
pub const MAX_TEXT_LEN: usize = 763;

/// Types listed in one UNKNOWN-ATTRIBUTES. An answer must not grow with what a
/// stranger sends; a sender with more faults than this learns of the first ones.
pub const MAX_UNKNOWN_LISTED: usize = 16;
