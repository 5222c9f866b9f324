//! Bounds on what a peer can make an association hold or do, each with its reason.

use std::time::Duration;

/// TSNs beyond the cumulative one that a SACK can speak of: gap blocks have 16-bit offsets
/// (RFC 9260 §3.3.4). More are neither sent nor accepted.
pub const MAX_TSN_SPAN: u64 = 65_535;

/// Separate runs of received TSNs above the cumulative one. A path that loses every tenth of
/// 65 535 packets makes 6 554; inserting into the middle of this many is a move of 64 KiB.
pub const MAX_GAP_RUNS: usize = 8_192;

/// How far a FORWARD-TSN may jump beyond what was ever received: nobody has more than
/// [`MAX_TSN_SPAN`] TSNs in flight, and a few times that much is left for peers that count
/// differently. A jump by 2³¹ is a fault or an attack.
pub const MAX_FORWARD_JUMP: u64 = 4 * MAX_TSN_SPAN;

/// Duplicate TSNs reported in one SACK; the rest are only counted. They serve the sender's
/// statistics and reordering window, for which a few are as good as many.
pub const MAX_DUPLICATES_REPORTED: usize = 16;

/// What a stored fragment is charged beyond its octets, against the receive buffer: the memory
/// its bookkeeping takes, so that a flood of one-octet fragments stays within the bound too.
pub const FRAGMENT_OVERHEAD: usize = 64;

/// What a message is charged while it is put together, in octets: its state, its place in the
/// tables, and the room of its list of fragments, for messages of one octet too.
pub const ASSEMBLY_OVERHEAD: usize = 256;

/// Fragments for which room is taken when a message begins, because the last one had as many: a
/// message of a mebibyte. Only if no other is unfinished: a peer that begins thousands of messages
/// gets one such list.
pub const MAX_FRAGMENTS_GUESSED: usize = 1_024;

/// Receive buffers that may be taken by what waits for its rest or its turn before an association
/// is ended. What fills the first gap is stored although the buffer is full, or it could never
/// empty; but no gap holds back messages that never end, or whose forerunner never comes. An honest
/// sender stops at one buffer, and goes on with single packets (RFC 9260 §6.1 A) that finish what
/// is there.
pub const MAX_WAITING_WINDOWS: usize = 2;

/// Messages of the largest size for which there is room in any case with interleaving, however small the receive
/// buffer: each stream may have one under way, and single packets finish them
/// all. Twice as many streams as a busy application has; up to [`MAX_WAITING_ALLOWANCE`].
pub const MAX_WAITING_MESSAGES: usize = 64;

/// The most octets that [`MAX_WAITING_MESSAGES`] comes to: as many messages of the usual largest
/// size, 256 KiB.
pub const MAX_WAITING_ALLOWANCE: usize = 16 << 20;

/// Stored fragments below this share (1/n) of their datagram are copied out of it, so that a
/// byte cannot keep a datagram alive.
pub const COPY_BELOW_SHARE: usize = 4;

/// Control chunks waiting to be sent in answer to what the peer sent (heartbeat
/// acknowledgements, errors, re-configuration responses): more are dropped.
pub const MAX_QUEUED_REPLIES: usize = 16;

/// The longest heartbeat information that is reflected, in octets: ours have 24, others' less
/// than 100; the whole must fit one packet.
pub const MAX_HEARTBEAT_INFO: usize = 1_000;

/// The longest state cookie that is echoed, in octets: it must fit one packet.
pub const MAX_COOKIE: usize = 1_100;

/// Doublings of the retransmission timeout: 2⁸ takes the shortest one past its ceiling.
pub const RTO_MAX_BACKOFF: u32 = 8;

/// The longest of the times that may be configured: one could as well have none. Sums and multiples
/// of longer ones may be more than a clock can tell.
pub const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest retransmission timeout that may be configured: what times out at once would be sent
/// again for ever.
pub const MIN_RTO: Duration = Duration::from_millis(1);

/// How long a least round-trip time is believed. Routes change: an old least would make every later
/// round trip look congested.
pub const MIN_RTT_WINDOW: Duration = Duration::from_secs(60);

/// The smallest packet size that may be configured, in octets: a chunk header, a few octets of
/// data, and a SACK with some gap blocks must fit.
pub const MIN_MTU: usize = 256;

/// The largest packet size that may be configured: chunk lengths have 16 bits.
pub const MAX_MTU: usize = 65_000;

/// Re-configuration requests whose answers are remembered, for their repetitions. A sender has one on the way.
pub const RECONFIG_MEMORY: usize = 2;

/// Streams of the peer's whose reset may wait to be asked for: a few requests' worth.
pub const MAX_INCOMING_WANTED: usize = 512;

/// Streams in one request to reset streams. usrsctp copies a parameter into 512 octets and denies what is longer; 16 of
/// them are the request's head.
pub const MAX_STREAMS_A_RESET: usize = 248;

/// Re-configuration requests of one packet that are acted on: two, as one chunk may hold (RFC 6525 §3.1). A sender has
/// one chunk with requests in flight (§5.1.1).
pub const MAX_RECONFIG_REQUESTS: usize = 2;

/// How often a peer's wish to reset all numbers goes unanswered while data is on its way, before
/// it is denied: a peer gives an association up after ten of its own repetitions.
pub const MAX_TSN_RESETS_PUT_OFF: u32 = 3;

/// Longest label and longest protocol of a data channel, in octets: the field has 16 bits
/// (RFC 8832 §5.1).
pub const MAX_LABEL: usize = 65_535;

/// Data channels at most: identifiers 0 to 65 534 (RFC 8832 §6).
pub const MAX_CHANNELS: usize = 65_535;

/// What a channel is charged beyond the octets of its label and protocol, in octets: its state and its place in the
/// tables, here and at the application.
pub const CHANNEL_OVERHEAD: usize = 512;

/// Octets that all channels may be charged before the peer's further OPENs are refused, unless configured otherwise:
/// room for all 65 535 channels with labels of 256 octets. Labels and protocols of 64 KiB each would take 8 GiB.
pub const MAX_CHANNEL_OCTETS: usize = 48 << 20;
