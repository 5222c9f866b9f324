//! Every bound of this crate in one place, each with its reason.
//!
//! Defaults of configurations refer to these; a constant without a configuration knob is a bound of
//! the wire format or protects memory and work.

use std::time::Duration;

/// Contributing sources in one RTP packet: the CC field has four bits (RFC 3550 §5.1).
pub const MAX_CSRCS: usize = 15;

/// Report blocks in one SR or RR: the RC field has five bits (RFC 3550 §6.4). Writers begin
/// another RR beyond that.
pub const MAX_REPORT_BLOCKS: usize = 31;

/// Chunks in one SDES and sources in one BYE: a count of five bits (RFC 3550 §6.5, §6.6).
pub const MAX_SOURCES: usize = 31;

/// Octets of text in one SDES item, APP-free text or BYE reason: an eight-bit length (RFC 3550 §6.5).
pub const MAX_TEXT: usize = 255;

/// Octets of one RTCP packet: a sixteen-bit count of words, less one (RFC 3550 §6.4.1).
pub const MAX_RTCP_PACKET: usize = (u16::MAX as usize + 1) * 4;

/// Header extensions an [`ExtensionMap`](crate::extension::ExtensionMap) holds: identifiers have
/// eight bits and zero is padding (RFC 8285 §4.3).
pub const MAX_EXTENSIONS: usize = 255;

/// Octets of an extension URI the map keeps: real ones are under 100; longer would be a stranger
/// making us store text.
pub const MAX_EXTENSION_URI: usize = 256;

/// Forward jump of sequence numbers that still counts as loss (RFC 3550 A.1, MAX_DROPOUT: a minute of 50 packets a second). Of
/// faster streams, as many as came within [`MISORDER_SPAN`], up to [`MAX_FAST_DROPOUT`].
pub const MAX_DROPOUT: u16 = 3000;

/// Forward jump that counts as loss of however fast a stream: an eighth of all numbers, as RFC 3550 A.1 wants a small share of
/// them, so that a sender that begins anew is hardly ever taken for one whose packets were lost.
pub const MAX_FAST_DROPOUT: u16 = 0x2000;

/// Backward jump of sequence numbers that still counts as reordering (RFC 3550 A.1, MAX_MISORDER: two seconds of 50
/// packets a second). Of faster streams, as many as came within [`MISORDER_SPAN`].
pub const MAX_MISORDER: u16 = 100;

/// How long ago a packet may have been due that counts as reordered: what RFC 3550 A.1 reckons with, and the age up to which
/// senders keep packets for retransmission.
pub const MISORDER_SPAN: Duration = Duration::from_secs(2);

/// Packets whose arrival the transport-wide feedback generator remembers until reported: at
/// 50 ms a feedback this is 160 000 packets a second, above 1.5 Gbit/s. A power of two.
pub const TRANSPORT_FEEDBACK_WINDOW: usize = 8192;

/// Statuses in one transport-wide feedback packet: keeps one packet under an MTU in the worst mix
/// (two bits of status and two octets of delta a packet); more go into a further packet.
pub const TRANSPORT_FEEDBACK_STATUSES: usize = 4096;

/// Packets the retransmission history keeps unless configured otherwise: about 600 ms of a
/// 20 Mbit/s stream, beyond which a retransmission is of no use.
pub const HISTORY_PACKETS: usize = 1024;

/// Octets the retransmission history keeps unless configured otherwise. It is what the packets
/// above are at 1 200 octets and a bit more: large packets don't make it larger.
pub const HISTORY_BYTES: usize = 1_500_000;

/// Age at which the history forgets a packet unless configured otherwise: two seconds cover
/// several round trips even over satellites; a decoder has given up by then.
pub const HISTORY_AGE: Duration = Duration::from_secs(2);

/// Octets of one encoded frame: an 8K key frame at generous quality is below 10 MB; more would be a
/// stranger making us hold memory.
pub const MAX_FRAME: usize = 16 << 20;

/// Redundant blocks in one RED payload (RFC 2198 sets no bound; in use are one to three).
pub const MAX_RED_BLOCKS: usize = 16;

/// NAL units of H.265 that wait for their place in decoding order (RFC 7798 §7.1 allows 32 767): more
/// than a second of the finest interleaving in use.
pub const MAX_INTERLEAVED_UNITS: usize = 1024;

/// Packets a reorder buffer holds, and how far apart their numbers may be, unless configured
/// otherwise: 600 ms of a 40 Mbit/s stream.
pub const REORDER_PACKETS: usize = 2048;

/// Octets a reorder buffer holds unless configured otherwise. Twice what as many packets of a usual
/// size take, so that packets of 64 KiB can't take 128 MiB.
pub const REORDER_BYTES: usize = 4 << 20;

/// How long a packet waits for those before it unless configured otherwise: a retransmission over
/// 200 ms of round trip still comes in time; longer is felt in a conversation.
pub const REORDER_WAIT: Duration = Duration::from_millis(250);

/// Missing packets a NACK generator asks for at once: beyond it a key frame is cheaper.
pub const NACK_LIST: usize = 1000;

/// How often a missing packet is asked for. At a loss of one half each way the chance that all fail
/// is one in eighteen; beyond it a key frame is sooner there.
pub const NACK_RETRIES: u8 = 10;

/// Requests for retransmission that wait at most: a NACK of a full MTU has about 300 entries of up to 17
/// packets; more is answered when it is asked again.
pub const MAX_REQUESTS: usize = 1024;

/// Age at which a missing packet is not asked for any more.
pub const NACK_AGE: Duration = Duration::from_secs(2);

/// Packets a transport-wide send log remembers: those of a full feedback window. A power of two.
pub const TRANSPORT_LOG_PACKETS: usize = 8192;

/// Requesters whose FIR numbers are remembered a stream: one a receiver that asks us directly; a
/// stranger's further ones count as new requests, which the interval limits.
pub const FIR_REQUESTERS: usize = 16;

/// News of telephone events that a stream's receiver keeps until asked: minutes of keys pressed; the oldest go first.
pub const HEARD_EVENTS: usize = 256;

/// Tones a DTMF sender queues (W3C WebRTC §7.2 sets no bound; a card number has 19).
pub const DTMF_TONES: usize = 256;

/// Sender reports a clock map remembers: a minute and more of reports at the usual five seconds.
pub const CLOCK_POINTS: usize = 16;
