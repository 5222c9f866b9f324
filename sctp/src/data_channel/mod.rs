//! WebRTC data channels (RFC 8831) and their establishment protocol (RFC 8832) on an
//! [`Association`](crate::Association).
//!
//! [`Endpoint`] owns the association; a channel is a pair of streams with one identifier.

mod channel;
mod dcep;
mod endpoint;
mod ids;
mod types;

pub use channel::{ChannelConfig, ChannelState};
pub use dcep::{ChannelType, DcepError, DcepMessage};
pub use endpoint::Endpoint;
pub use ids::{ChannelId, Role};
pub use types::{Config, Event, Message, MessageKind, OpenError};

/// Payload protocol identifiers (RFC 8831 §8).
pub mod ppid {
    /// Establishment protocol.
    pub const DCEP: u32 = 50;
    /// Text, UTF-8.
    pub const STRING: u32 = 51;
    /// Binary, as a part of a message: deprecated, understood.
    pub const BINARY_PARTIAL: u32 = 52;
    /// Binary.
    pub const BINARY: u32 = 53;
    /// Text, as a part of a message: deprecated, understood.
    pub const STRING_PARTIAL: u32 = 54;
    /// Empty text: one octet that does not count.
    pub const STRING_EMPTY: u32 = 56;
    /// Empty binary: one octet that does not count.
    pub const BINARY_EMPTY: u32 = 57;
}
