//! Wire formats: views over a received packet and writers into a caller's buffer. No state.
//!
//! A packet is a [`Packet`]: the common header (RFC 9260 §3.1) and an iterator of [`Chunk`]s, each
//! a typed view of the packet's own bytes. Nothing is allocated to look at a packet.

mod chunk;
mod init;
mod packet;
mod parameter;
mod sack;
mod write;

pub use chunk::{Chunk, DataChunk, ForwardTsn, Skipped};
pub use init::{Init, UnknownParameter};
pub use packet::{ChunkIter, Header, Packet, PacketError, checksum};
pub use parameter::{Parameter, ParameterIter, Reconfig, ReconfigResult};
pub use sack::{GapBlocks, Sack};
pub use write::{ChunkWriter, DataHeader, finish_packet, start_packet};

/// Length of the common header in octets (RFC 9260 §3.1).
pub const COMMON_HEADER_LEN: usize = 12;
/// Length of a chunk's own header in octets (RFC 9260 §3.2).
pub const CHUNK_HEADER_LEN: usize = 4;
/// Length of a DATA chunk's header with the chunk header (RFC 9260 §3.3.1).
pub const DATA_HEADER_LEN: usize = 16;
/// Length of an I-DATA chunk's header with the chunk header (RFC 8260 §2.1).
pub const I_DATA_HEADER_LEN: usize = 20;

/// Chunk types by number.
pub mod chunk_type {
    /// Payload data (RFC 9260 §3.3.1).
    pub const DATA: u8 = 0;
    /// Initiation (RFC 9260 §3.3.2).
    pub const INIT: u8 = 1;
    /// Initiation acknowledgement (RFC 9260 §3.3.3).
    pub const INIT_ACK: u8 = 2;
    /// Selective acknowledgement (RFC 9260 §3.3.4).
    pub const SACK: u8 = 3;
    /// Heartbeat request (RFC 9260 §3.3.5).
    pub const HEARTBEAT: u8 = 4;
    /// Heartbeat acknowledgement (RFC 9260 §3.3.6).
    pub const HEARTBEAT_ACK: u8 = 5;
    /// Abort (RFC 9260 §3.3.7).
    pub const ABORT: u8 = 6;
    /// Shutdown (RFC 9260 §3.3.8).
    pub const SHUTDOWN: u8 = 7;
    /// Shutdown acknowledgement (RFC 9260 §3.3.9).
    pub const SHUTDOWN_ACK: u8 = 8;
    /// Operation error (RFC 9260 §3.3.10).
    pub const ERROR: u8 = 9;
    /// State cookie (RFC 9260 §3.3.11).
    pub const COOKIE_ECHO: u8 = 10;
    /// Cookie acknowledgement (RFC 9260 §3.3.12).
    pub const COOKIE_ACK: u8 = 11;
    /// Explicit congestion notification echo (RFC 9260 appendix B).
    pub const ECNE: u8 = 12;
    /// Congestion window reduced (RFC 9260 appendix B).
    pub const CWR: u8 = 13;
    /// Shutdown complete (RFC 9260 §3.3.13).
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    /// Payload data that may be interleaved (RFC 8260 §2.1).
    pub const I_DATA: u8 = 64;
    /// Stream reconfiguration (RFC 6525 §3.1).
    pub const RE_CONFIG: u8 = 130;
    /// Padding (RFC 4820 §3).
    pub const PAD: u8 = 132;
    /// New cumulative TSN (RFC 3758 §3.2).
    pub const FORWARD_TSN: u8 = 192;
    /// New cumulative TSN for interleaved data (RFC 8260 §2.3.1).
    pub const I_FORWARD_TSN: u8 = 194;
}

/// Parameter types by number.
pub mod parameter_type {
    /// Heartbeat information (RFC 9260 §3.3.5).
    pub const HEARTBEAT_INFO: u16 = 1;
    /// State cookie (RFC 9260 §3.3.3.1).
    pub const STATE_COOKIE: u16 = 7;
    /// Unrecognized parameter (RFC 9260 §3.3.3.1).
    pub const UNRECOGNIZED: u16 = 8;
    /// Outgoing SSN reset request (RFC 6525 §4.1).
    pub const OUTGOING_RESET: u16 = 13;
    /// Incoming SSN reset request (RFC 6525 §4.2).
    pub const INCOMING_RESET: u16 = 14;
    /// SSN/TSN reset request (RFC 6525 §4.3).
    pub const TSN_RESET: u16 = 15;
    /// Re-configuration response (RFC 6525 §4.4).
    pub const RECONFIG_RESPONSE: u16 = 16;
    /// Add outgoing streams request (RFC 6525 §4.5).
    pub const ADD_OUTGOING: u16 = 17;
    /// Add incoming streams request (RFC 6525 §4.6).
    pub const ADD_INCOMING: u16 = 18;
    /// ECN capable (RFC 9260 appendix B).
    pub const ECN_CAPABLE: u16 = 0x8000;
    /// Zero checksum acceptable (RFC 9653 §4).
    pub const ZERO_CHECKSUM: u16 = 0x8001;
    /// Supported extensions (RFC 5061 §4.2.7).
    pub const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    /// Partial reliability supported (RFC 3758 §3.1).
    pub const FORWARD_TSN_SUPPORTED: u16 = 0xC000;
}

/// Error cause codes (RFC 9260 §3.3.10).
pub mod cause {
    /// Stream identifier out of range.
    pub const INVALID_STREAM: u16 = 1;
    /// A mandatory parameter is missing.
    pub const MISSING_PARAMETER: u16 = 2;
    /// The state cookie is too old.
    pub const STALE_COOKIE: u16 = 3;
    /// No resources for the association.
    pub const OUT_OF_RESOURCE: u16 = 4;
    /// A chunk of unknown type.
    pub const UNRECOGNIZED_CHUNK: u16 = 6;
    /// A mandatory field has a value it must not have.
    pub const INVALID_PARAMETER: u16 = 7;
    /// Parameters of unknown type.
    pub const UNRECOGNIZED_PARAMETERS: u16 = 8;
    /// A DATA chunk without user data.
    pub const NO_USER_DATA: u16 = 9;
    /// A cookie arrived while the association was closing.
    pub const COOKIE_IN_SHUTDOWN: u16 = 10;
    /// The peer's user asked for the abort.
    pub const USER_ABORT: u16 = 12;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_VIOLATION: u16 = 13;
}

/// Chunk flag: E, the last fragment of a message.
pub const FLAG_END: u8 = 0x01;
/// Chunk flag: B, the first fragment of a message.
pub const FLAG_BEGIN: u8 = 0x02;
/// Chunk flag: U, an unordered message.
pub const FLAG_UNORDERED: u8 = 0x04;
/// Chunk flag: I, acknowledge at once (RFC 7053).
pub const FLAG_IMMEDIATE: u8 = 0x08;
/// Chunk flag: T of ABORT and SHUTDOWN COMPLETE, the verification tag is reflected.
pub const FLAG_TAG_REFLECTED: u8 = 0x01;

/// A length rounded up to the next multiple of four (RFC 9260 §3.2).
pub const fn padded(len: usize) -> usize {
    (len + 3) & !3
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*field))
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*field))
}
