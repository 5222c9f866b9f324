//! Every bound of this crate, with its reason.

/// The longest packet that is protected or unprotected, in bytes: a UDP datagram cannot be longer,
/// and an SRTP counter block has 16 bits of block counter (RFC 3711 §4.1.1), which suffices for it.
pub const MAX_PACKET_LEN: usize = 65_535;

/// The most bytes protection adds to a packet: a 16-byte AEAD tag, a master key identifier of
/// [`MAX_MKI_LEN`] bytes, and four for the SRTCP index word or for Cryptex's extension header.
pub const MAX_OVERHEAD: usize = 16 + 4 + MAX_MKI_LEN;

/// The longest master key identifier, in bytes. RFC 3711 §8.1 leaves the length open and RFC 4568
/// §6.1 allows 128; four bytes name more keys than [`MAX_MASTER_KEYS`].
pub const MAX_MKI_LEN: usize = 4;

/// Master keys a receiver holds at a time: the current one, the one before it (packets in flight
/// while re-keying), and two announced ahead by their identifiers. Without identifiers each key is
/// one more trial a packet, so the number bounds the work a forged packet can cause.
pub const MAX_MASTER_KEYS: usize = 4;

/// Streams (SSRCs) a context holds unless configured otherwise. A large conference with simulcast
/// and retransmission streams stays below it; a full table of receiving streams takes about
/// 250 kB with the default replay window.
pub const DEFAULT_MAX_STREAMS: usize = 1024;

/// The most streams that can be configured. A table of that many takes 16 MB; SSRCs beyond it begin
/// to collide (RFC 3550 §8.1).
pub const MAX_STREAMS: usize = 65_536;

/// Packets a new receiving stream must have shown before it counts as established, so that a
/// flood of new streams pushes out only others like itself.
pub const ESTABLISHED_AFTER: u32 = 32;

/// The smallest replay window, in packets (RFC 3711 §3.3.2: "MUST be at least 64").
pub const MIN_REPLAY_WINDOW: usize = 64;

/// The largest replay window, in packets: beyond 2^15 the roll-over estimate (RFC 3711 §3.3.1)
/// takes an older packet for a newer one.
pub const MAX_REPLAY_WINDOW: usize = 32_768;

/// The replay window unless configured otherwise, in packets. At 1000 packets a second it forgives
/// a second of reordering, which covers retransmissions on the original stream.
pub const DEFAULT_REPLAY_WINDOW: usize = 1024;

/// SRTP packets one master key may protect (RFC 3711 §9.2: 2^48).
pub const MAX_RTP_PACKETS: u64 = 1 << 48;

/// SRTCP packets one master key may protect (RFC 3711 §9.2: 2^31).
pub const MAX_RTCP_PACKETS: u64 = 1 << 31;

/// The largest exponent of a key-derivation rate (RFC 3711 §8.1: rates up to 2^24).
pub const MAX_KEY_DERIVATION_EXPONENT: u8 = 24;
