//! Every bound of this crate, each with its reason.
//!
//! All of them hold for one [`Agent`](crate::Agent). A remote that floods
//! reaches these numbers and no further: what does not fit is dropped and
//! counted in [`Counters`](crate::stats::Counters).

use std::time::Duration;

/// Local addresses (sockets) an agent may use.
///
/// A host with eight interfaces, both families, UDP and two TCP kinds has 48.
pub const MAX_BASES: usize = 64;

/// Local candidates of all types kept for signalling and statistics.
///
/// Four for each base: host, two server-reflexive ones, one relayed.
pub const MAX_LOCAL_CANDIDATES: usize = 4 * MAX_BASES;

/// Remote candidates accepted by signalling in one ICE generation.
///
/// Browsers on hosts with many interfaces send about 30; above this the
/// surplus is refused, unless one whose pairs were neither heard nor checked
/// for as long as consent lasts can make room.
pub const MAX_REMOTE_CANDIDATES: usize = 100;

/// Peer-reflexive remote candidates learned from authenticated checks.
///
/// A symmetric NAT shows a new port for each of our bases; more than this is
/// a peer that walks through ports to make us send checks. Places are used
/// again as those of [`MAX_REMOTE_CANDIDATES`] are, for peers whose NAT gives
/// them another port now and then.
pub const MAX_PEER_REFLEXIVE: usize = 32;

/// Candidate pairs in one check list (RFC 8445 §6.1.2.5 recommends 100).
///
/// It is also the bound on how many checks a malicious peer can make us
/// send to one victim (RFC 8445 §19.5.1).
pub const MAX_PAIRS: usize = 100;

/// Checks answered before the peer's credentials are known and remembered
/// to be triggered later (RFC 8445 §7.3).
pub const MAX_EARLY_CHECKS: usize = 16;

/// Responses waiting to be polled by the driver.
///
/// A driver polls after each batch of datagrams; 64 is the usual batch.
pub const MAX_QUEUED_REPLIES: usize = 64;

/// Events waiting to be polled; the oldest of a state kind is replaced by
/// the newest when full, candidates are never lost below
/// [`MAX_LOCAL_CANDIDATES`].
pub const MAX_QUEUED_EVENTS: usize = 1024;

/// STUN transactions outstanding in one ICE generation.
///
/// One live and one cancelled check a pair (RFC 8445 §7.3.1.4), and consent.
pub const MAX_TRANSACTIONS: usize = 2 * MAX_PAIRS + 32;

/// STUN and TURN servers in a configuration; each costs a transaction a base.
pub const MAX_SERVERS: usize = 16;

/// Allocations on TURN servers at one time: four host bases with UDP, TCP and
/// TLS each, and room for a change of network.
pub const MAX_ALLOCATIONS: usize = 16;

/// Failures of servers remembered for [`Agent::explain`](crate::Agent::explain):
/// two of each server.
pub const MAX_SERVER_ERRORS: usize = 2 * MAX_SERVERS;

/// Names waiting for mDNS resolution; the draft on mDNS candidates (§7.1)
/// asks for a bound so that a peer can't make us flood the local network.
pub const MAX_UNRESOLVED_NAMES: usize = 32;

/// Host addresses with an mDNS name: every address of a host, several times over.
pub const MAX_MDNS_NAMES: usize = 256;

/// mDNS answers waiting to be polled. Twice the names: each is announced and
/// answered once while the driver is busy.
pub const MAX_MDNS_ANSWERS: usize = 512;

/// Role switches accepted in one generation.
///
/// Two honest agents need one; a third party's interference a few. A peer
/// that goes on is playing ping-pong (RFC 8445 §7.2.5.1).
pub const MAX_ROLE_SWITCHES: u32 = 8;

/// Error responses (400, 401, 420, 487) answered at once, and how many of
/// them are granted anew each second.
pub const ERROR_REPLIES_BURST: u32 = 16;
/// See [`ERROR_REPLIES_BURST`].
pub const ERROR_REPLIES_PER_SECOND: u32 = 16;

/// Integrity computations for requests that failed it, granted anew each
/// second; above this, requests from addresses that are not yet validated
/// are dropped before any HMAC.
///
/// A real peer with stale credentials sends at most a few dozen a second.
pub const BAD_INTEGRITY_BURST: u32 = 256;
/// See [`BAD_INTEGRITY_BURST`].
pub const BAD_INTEGRITY_PER_SECOND: u32 = 256;

/// Times a pair that timed out is checked anew while nothing has connected
/// and the patient timer (RFC 8863) still runs: that often a check fits in.
pub const MAX_PAIR_RETRIES: u8 = 8;

/// Such further checks in one generation, all pairs together: a peer that
/// names a hundred strangers must not make us call each of them nine times
/// (RFC 8445 §19.5.1).
pub const MAX_RETRIES: u32 = 120;

/// Longest candidate line accepted, in bytes.
///
/// A candidate within the other bounds is written in fewer: foundation of 32, `ufrag` of 256,
/// [`MAX_CANDIDATE_EXTENSION_BYTES`], and some 200 for the rest.
pub const MAX_CANDIDATE_LINE: usize = 2048;

/// Extension attributes kept of one candidate line. Browsers write four; each
/// is text that a stranger makes us keep.
pub const MAX_CANDIDATE_EXTENSIONS: usize = 16;

/// Names and values of extension attributes kept of one candidate line, in bytes, the blanks
/// before them counted. Four times what browsers write altogether.
pub const MAX_CANDIDATE_EXTENSION_BYTES: usize = 1024;

/// RFC 8445 §14.2: no transaction follows another faster than this.
pub const MIN_PACING: Duration = Duration::from_millis(5);

/// Largest datagram [`Agent::poll_transmit`](crate::Agent::poll_transmit)
/// writes: a check with a user name of 508 bytes and all our attributes is
/// below 1000, TURN framing included below 1200.
pub const MAX_DATAGRAM: usize = 1280;

/// Longest time that may be configured. A pause of a year could as well have no end, and sums and
/// multiples of longer ones may be more than a clock can tell.
pub const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3600);
