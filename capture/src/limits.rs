//! Bounds of a recording, each with its reason.

/// Bytes of payload a recorded packet can have; longer ones are cut into several TCP segments, or recorded cut off (UDP).
/// The length field of IPv4 has 16 bits (RFC 791 §3.1), and 60 bytes are kept for the headers.
pub const MAX_PAYLOAD: usize = 65_535 - 60;

/// TCP flows whose sequence numbers are kept. Further ones begin anew with each segment, which a reader shows as
/// retransmissions; an endpoint has a few connections to TURN servers and one or two to the far side.
pub const MAX_FLOWS: usize = 1024;

/// Interfaces of a recording: a simulated network of hundreds of hosts fits.
pub const MAX_INTERFACES: usize = 4096;

/// Bytes of a recording where the caller gives no bound: 1 GiB, what a reader still opens.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;
