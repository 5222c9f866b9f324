//! Every bound of this crate in one place, each with its reason.

use core::time::Duration;

/// Media sections in one description: a conference that pulls 100 others' audio and video stays below; each costs about
/// 2 kB of state and answer text.
pub const MAX_MEDIA_SECTIONS: usize = 256;

/// Transceivers of one connection: as many as sections, and as many again that are stopped and wait for recycling.
pub const MAX_TRANSCEIVERS: usize = 512;

/// Bytes of SDP we look at: 256 sections of 4 kB.
pub const MAX_SDP_BYTES: usize = 1 << 20;

/// Header extensions of one media section: their ids have eight bits (RFC 8285 §4.3), and each is compared with each
/// of ours.
pub const MAX_EXTENSIONS: usize = 255;

/// Bytes of a header extension's name; a longer one is not taken. Those in use have less than 100, and each is kept once a
/// media section where the session's lines speak for all.
pub const MAX_EXTENSION_URI: usize = 256;

/// Fingerprints of one media section, or of the session: one a hash function and certificate (RFC 8122 §5), and browsers
/// send one.
pub const MAX_FINGERPRINTS: usize = 16;

/// Restriction identifiers (`a=rid`) of one media section, both directions: browsers offer three, and each name of a
/// simulcast list is looked for among them.
pub const MAX_RIDS: usize = 64;

/// Remote candidates taken for one generation by trickling; the ICE agent has bounds of its own for pairs.
pub const MAX_REMOTE_CANDIDATES: usize = 256;

/// ICE servers used; W3C §4.4.1.5 asks to truncate beyond a supported number.
pub const MAX_ICE_SERVERS: usize = 16;

/// URLs of ICE servers used: each costs a transaction, or an allocation, a local address.
pub const MAX_ICE_URLS: usize = 16;

/// Names of candidates that wait for somebody who resolves them: a browser has one or two a network. As many wait in the
/// event loop, where peers take turns.
pub const MAX_LOOKUPS: usize = 32;

/// DTLS datagrams kept until the answer tells our role and the far side's fingerprint: a post-quantum ClientHello is
/// two datagrams, twice for a retransmission.
pub const MAX_EARLY_DTLS: usize = 4;

/// Data channels of one connection that are alive at once: the range of SCTP stream ids (RFC 8831 §6.2).
pub const MAX_CHANNELS: usize = 65_534;

/// Bytes of a data-channel label or protocol (RFC 8832 §5.1: a 16-bit length).
pub const MAX_LABEL: usize = 65_535;

/// Simulcast encodings of one sender: browsers send three; layers beyond that have no known use.
pub const MAX_ENCODINGS: usize = 8;

/// RTP packets waiting in the send queue of one connection. 2048 of 1200 bytes are 2.4 MB: a key frame of a 4K screen
/// fits, and a dead path can't hold more.
pub const MAX_SEND_QUEUE: usize = 2048;

/// Remote SSRCs known on one connection. Each has a receiver's statistics (about 200 bytes); a stranger with the keys
/// could otherwise make us grow by a packet each. At this many, a new one takes the place of one that said goodbye or was
/// silent for [`SOURCE_TIMEOUT`].
pub const MAX_REMOTE_SSRCS: usize = 1024;

/// Packets kept for retransmission a sent stream: a second of 8 Mbit/s video, as browsers ask again within a second.
pub const RTP_HISTORY: usize = 1024;

/// How far a sent packet's number may be behind the highest one: beyond it nobody knows any more whether it went out
/// before. A power of two; receivers' replay windows are no longer (libsrtp as browsers use it: 1024).
pub const MAX_LATE_NUMBERS: u16 = 1024;

/// Longest datagram `poll_transmit` writes: below the smallest MTU of paths seen in the wild with IPv6 and tunnels.
pub const MAX_DATAGRAM: usize = 1_280;

/// Longest datagram that a path is searched for unless configured: Ethernet's 1500 bytes minus 48 (IPv6, UDP). What is
/// larger passes on loopback and in data centres only.
pub const MAX_PROBED_DATAGRAM: usize = 1_452;

/// Bytes of a TURN Send indication around data for an IPv6 address: the most that a relay adds (RFC 8656 §11.1).
pub const MAX_RELAY_OVERHEAD: usize = 48;

/// SCTP packet size inside of DTLS over UDP over IPv6 in 1280 bytes: minus 48 (IPv6, UDP) and at most 50 (DTLS).
pub const SCTP_MTU: usize = 1_180;

/// `a=max-message-size` that we announce unless configured: what Chromium announces.
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 262_144;

/// Interval of RTCP reports with video; half of RFC 3550's minimum of five seconds by its §6.2 rule 360/bandwidth, as
/// browsers do it, so that round-trip times are fresh.
pub const RTCP_INTERVAL: Duration = Duration::from_millis(1_000);

/// Silence, of RTP and of sender reports, after which a remote SSRC is no current source any more: RFC 3550 §6.3.5, five
/// intervals. It is not reported, nor asked for key frames.
pub const SOURCE_TIMEOUT: Duration = Duration::from_millis(5_000);

/// Interval of transport-wide feedback: the draft's default range is 50 to 250 ms, browsers start at 100.
pub const TRANSPORT_FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

/// Least time between two key-frame requests for one stream (RFC 4585 §3.5.3 wants regulation): an encoder needs time
/// to answer the first.
pub const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// Events that wait for the application. Beyond it received media is dropped and counted, and requests for key frames and
/// goodbyes are dropped, which the far side can make without end; nothing else is.
pub const MAX_QUEUED_EVENTS: usize = 8_192;

/// Longest wait that an application can ask of a receiver: W3C §5.3.1, `jitterBufferTarget`.
pub const MAX_JITTER_BUFFER_TARGET: Duration = Duration::from_secs(4);

/// Longest wait of a frame of audio for packets that are missing before it: more delay than that is heard.
pub const AUDIO_REORDER_WAIT: Duration = Duration::from_millis(80);

/// Time between two requests for a key frame while frames are put together: a round trip and the encoding of one.
pub const KEY_FRAME_RETRY: Duration = Duration::from_millis(300);

/// Missing packets of one received stream that are asked for: more at once is an outage, which a key frame heals.
pub const MAX_MISSING: usize = 256;

/// Packets that a retransmission brought which are remembered, for the original may come yet: as many as are asked for.
pub const MAX_RECOVERED: usize = MAX_MISSING;

/// Contributing sources remembered of one received stream: a packet names fifteen at most, and a mixer's speakers change.
pub const MAX_CONTRIBUTORS: usize = 64;

/// Silence after which a connection gives back the room of its emptied queues: longer than any pause in an exchange of
/// messages, shorter than the time between two consent checks.
pub const REST_AFTER: Duration = Duration::from_secs(2);

/// Requests to STUN servers, and checks of paths that are not the peer's yet, whose responses a demultiplexer still routes:
/// ten for each of three thousand peers that connect at the same moment, about 50 bytes each.
pub const MAX_SERVER_TRANSACTIONS: usize = 1 << 15;

/// Peers in one demultiplexer: the ufrag table costs about 100 bytes each.
pub const MAX_DEMUX_ROUTES: usize = 1 << 20;

/// Paths of one peer in a demultiplexer: an agent's pairs in two generations, and room. The oldest makes place for another;
/// one that is in use is learned again with its next consent check.
pub const MAX_ROUTES_A_PEER: usize = 256;

/// Names of one peer's candidates that the event loop asks for by multicast at once; others wait. All peers share the
/// responder's [`MAX_UNRESOLVED_NAMES`](tincan_ice::limits::MAX_UNRESOLVED_NAMES), and a browser has one or two.
pub const MAX_NAMES_A_PEER: usize = 4;

/// Bytes of DTLS secrets that wait to be written into a recording: a handshake logs about 900.
pub const MAX_LOGGED_SECRETS: usize = 16_384;

/// Bytes of a log of events, 1 GiB: the far side can make events.
pub const MAX_LOG_BYTES: u64 = 1 << 30;

/// How often a log of events has statistics. Finer than what people look at, coarser than what a log of hours can
/// hold.
pub const LOG_STATS_INTERVAL: Duration = Duration::from_secs(1);

/// TCP and TLS connections of one driver, accepted and made: half of the usual bound on file descriptors of a server.
pub const MAX_STREAMS: usize = 16_384;

/// Of these, accepted ones that have not sent a connectivity check yet: with [`STREAM_FIRST_MESSAGE_TIME`] that many
/// strangers can hold a place.
pub const MAX_UNPROVEN_STREAMS: usize = 512;

/// TCP and TLS connections of one peer: an ICE agent's allocations, or its TCP candidates.
pub const MAX_STREAMS_A_PEER: usize = 32;

/// How long an accepted connection may take for its first check: browsers send it at once; a lossy path repeats a
/// segment after one and three seconds.
pub const STREAM_FIRST_MESSAGE_TIME: Duration = Duration::from_secs(8);

/// Longest first message of an accepted connection in bytes: a check is below 700.
pub const MAX_FIRST_FRAME: usize = 1_500;

/// How long making a TCP connection may take, and a TLS handshake on it: four repetitions of a SYN.
pub const STREAM_CONNECT_TIME: Duration = Duration::from_secs(15);

/// Silence after which a connection between agents is closed: consent is asked for every five seconds (RFC 7675), and
/// pairs in reserve are checked every twenty.
pub const STREAM_IDLE_TIME: Duration = Duration::from_secs(60);

/// How long a connection may refuse to take a write before it is closed: consent (30 s) has run out by then.
pub const STREAM_STALL_TIME: Duration = Duration::from_secs(30);

/// Messages and bytes that wait to be written on one connection; beyond either they are dropped, as by a full link. 512
/// KiB are half a second of 8 Mbit/s.
pub const MAX_STREAM_QUEUE_MESSAGES: usize = 512;
/// See [`MAX_STREAM_QUEUE_MESSAGES`].
pub const MAX_STREAM_QUEUE_BYTES: usize = 512 * 1024;

/// News of connections, look-ups and multicast that wait for the loop; beyond it the tasks wait in turn.
pub const MAX_NEWS: usize = 1_024;

/// How long a server's name may take to be resolved: the usual resolver tries twice for five seconds.
pub const LOOKUP_TIME: Duration = Duration::from_secs(12);

/// How long the addresses of a server's name are taken for granted without asking again; the system's resolver does not
/// tell how long they hold.
pub const LOOKUP_CACHE_TIME: Duration = Duration::from_secs(30);

/// How long a path is surely its peer's after an answer to a check or its selection; consent is renewed every 4 to 6 s
/// (RFC 7675 §5.1), so two renewals may be lost.
pub const PATH_PROOF_TIME: Duration = Duration::from_secs(15);

/// Octets of a track's or a stream's id that we write (RFC 8830 §2 has 64 characters; others write more).
pub const MAX_MSID_ID: usize = 255;

/// Names being resolved at one time, and names remembered.
pub const MAX_NAMES: usize = 256;

/// Threads that wait for the system's resolver at one time.
pub const MAX_LOOKUP_THREADS: usize = 8;

/// Octets of media that wait for the application, beyond which received media is dropped and counted: half a second of
/// 250 Mbit/s. [`MAX_QUEUED_EVENTS`] packets of 64 KiB would be 512 MiB.
pub const MAX_QUEUED_MEDIA: usize = 16 << 20;

/// Octets of messages that are fetched from SCTP ahead of the application. What comes beyond it stays there and holds
/// the far side back by its window; more would only move memory that SCTP counts to where it doesn't.
pub const MAX_QUEUED_MESSAGES: usize = 1 << 20;

/// The least memory budget of a connection: a browser's call with a data channel works in it, and its shares are no
/// smaller than what one handshake takes.
pub const MIN_MEMORY_BUDGET: usize = 4 << 20;

/// A memory budget is at least this many times `max_message_size`: a message is held once in SCTP and once on its way to
/// the application, and each of both has an eighth of the budget or less.
pub const BUDGET_PER_MESSAGE: usize = 16;

// ---- the event loop ----

/// Send calls of one peer before the next peer's turn, so that a busy one can't starve the others: a megabyte with GSO.
pub const TRANSMITS_A_TURN: usize = 16;

/// Datagrams that one peer is given in a round: about a millisecond of work.
pub const INPUTS_A_TURN: usize = 512;

/// Datagrams that all peers together are given in a round: about ten milliseconds of work.
pub const DATAGRAMS_A_TURN: usize = 4_096;

/// Media datagrams that wait for one peer: a second of 10 Mbit/s.
pub const MAX_INBOX_MEDIA: usize = 1_024;

/// Datagrams of any kind that wait for one peer: more than SCTP's receive window of full-size packets.
pub const MAX_INBOX: usize = 8_192;

/// Datagrams that wait for all peers when media is no longer taken: about 20 MB and 50 ms of work.
pub const MAX_BACKLOG_MEDIA: usize = 16_384;

/// Datagrams that wait for all peers when nothing more is read: about 80 MB.
pub const MAX_BACKLOG: usize = 65_536;

/// Commands of handles taken in a round: all that wait, or nearly. A round of a thousand busy peers takes a hundred
/// milliseconds; were only a share of the commands taken, they would come faster than they go as soon as there is too
/// little CPU, and media that is shed only when its turn comes would hold up messages for ever longer.
pub const MAX_COMMANDS_A_TURN: usize = 1 << 18;

/// Packets and frames to be sent that a round takes, the newest beyond it are shed: a key frame of 100 packets for 300
/// subscribers, about 100 milliseconds of work and 5 MB.
pub const MAX_MEDIA_A_TURN: usize = 32_768;

/// Peers that have their turn before shared sockets are read again: one or two milliseconds, in which a socket buffer of
/// the usual 208 KiB takes 100 000 small packets a second.
pub const TURNS_BEFORE_READING: usize = 64;

/// Bytes that wait for a full UDP socket: of each peer that did not know it one send call's worth, up to sixteen of
/// them. What doesn't fit is lost, as in any full queue of the network.
pub const MAX_SOCKET_QUEUE: usize = 1 << 20;

/// Datagrams that wait in one loop's queue where several share a port: a hundred milliseconds of 40 000 packets a second.
pub const MAX_HANDED_OVER: usize = 4_096;

/// Datagrams that a [`Faults`](crate::driver::Faults) delay may hold at one time: a second of 65 000 a second. Those
/// beyond it are lost, as in a router's full queue.
pub const MAX_DELAYED: usize = 1 << 16;

/// Addresses of the machine's interfaces that are looked at: what an ICE agent takes, twice.
pub const MAX_ADDRESSES: usize = 128;

/// Multicast packets taken from one socket in a round: a crowd's answers at once, half a millisecond of work.
pub const MDNS_PACKETS_A_TURN: usize = 32;

/// Whole frames of a track that wait for the application before the newest are dropped: a second of 60 a second.
pub const MAX_QUEUED_FRAMES: usize = 64;
