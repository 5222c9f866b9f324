//! Every bound that a remote could otherwise push, in one place.

use std::time::Duration;

/// Largest handshake message accepted unless configured otherwise, in octets:
/// a chain of fifty RSA certificates.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Largest ClientHello accepted by a server, in octets: what an unproven
/// client can make it hold. A browser's with a post-quantum share takes 2 kB.
pub const MAX_CLIENT_HELLO: usize = 16 * 1024;

/// Messages reassembled at once, the next expected one included. The longest
/// flight has seven (RFC 5246 §7.3, server's with a certificate request).
pub const MAX_MESSAGES_AHEAD: u32 = 7;

/// Octets held by one connection's reassembly altogether, whatever is configured.
pub const MAX_REASSEMBLY: usize = 128 * 1024;

/// Records of ours remembered to be matched with ACKs. A flight of 32 kB takes
/// some 40 records at the smallest usual MTU; the oldest are forgotten first.
pub const MAX_SENT_RECORDS: usize = 64;

/// Records of the peer that one ACK can name; the oldest are dropped first.
pub const MAX_ACKS: usize = 32;

/// Record numbers read from one ACK of the peer: twice what we can remember.
pub const MAX_ACKS_READ: usize = 2 * MAX_SENT_RECORDS;

/// Records for an epoch whose keys are not known yet, kept for when they are:
/// reordering of the peer's Finished and what it sends right after it.
pub const MAX_EARLY_RECORDS: usize = 8;

/// Application data records kept while the handshake has not ended.
pub const MAX_HELD_DATA: usize = 16;

/// Application data records opened and not yet taken by the caller; beyond
/// this the newest are dropped, as the network would.
pub const MAX_QUEUED_DATA: usize = 4096;

/// Certificates accepted in one chain. Self-signed peers send one.
pub const MAX_CHAIN: usize = 64;

/// Connection ID length that we accept from a peer, in octets (RFC 9146 §3
/// allows 255; each one costs headroom in every record).
pub const MAX_CID: usize = 32;

/// Octets of a cookie that a client takes from a HelloRetryRequest: room for a
/// stateless server's whole memory. It goes back in an extension, of which all
/// together have 64 KiB.
pub const MAX_COOKIE: usize = 4 * 1024;

/// HelloVerifyRequests in one handshake. A cookie may have grown old, or a NAT given the client another port, between two
/// hellos; more often than that is no such accident.
pub const MAX_VERIFY_REQUESTS: u16 = 3;

/// Groups, suites, signature schemes or SRTP profiles that a configuration may
/// have, of each: what is offered must fit into a hello. Usual are a dozen.
pub const MAX_OFFERED: usize = 256;

/// Addresses of which the stateless front holds part of a ClientHello; the
/// oldest is forgotten first.
pub const MAX_GATE_PARTIALS: usize = 64;

/// Octets that a ClientHello may have at the stateless front.
pub const MAX_GATE_HELLO: usize = 4 * 1024;

/// How long the front holds part of a ClientHello: longer than reordering
/// lasts, shorter than a retransmission is worth waiting for.
pub const GATE_PARTIAL_LIFETIME: Duration = Duration::from_secs(3);

/// How long a cookie is good for, at least; at most twice that.
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(60);

/// First retransmission timeout when the caller knows nothing better.
pub const INITIAL_RTO: Duration = Duration::from_millis(400);

/// Smallest first timeout a caller may ask for. Below it a handshake is
/// repeated before a path of usual length has answered.
pub const MIN_RTO: Duration = Duration::from_millis(50);

/// Ceiling of the doubling timeout (RFC 9147 §5.8.2). The standard's own; a
/// handshake that waits longer has been given up by the user.
pub const MAX_RTO: Duration = Duration::from_secs(60);

/// The flight is given up at this timeout: under seven minutes with the
/// default. A peer that has it and does not go on is waited for one timeout
/// longer.
pub const MAX_TIMEOUTS: u32 = 13;

/// How long the keys of a past read epoch stay: longer than a packet lives. As
/// long again where nothing came under the new keys yet.
pub const OLD_EPOCH_LIFETIME: Duration = Duration::from_secs(4 * 60);

/// Smallest path MTU worked with: headers, tag and some progress must fit.
pub const MIN_MTU: usize = 128;

/// Largest path MTU worked with: no datagram of UDP is larger (RFC 768).
pub const MAX_MTU: usize = 65_535;

/// Path MTU assumed until told: IPv6's minimum less IP, UDP and TURN headers.
pub const DEFAULT_MTU: usize = 1200;

/// Largest plaintext of a record (RFC 8446 §5.1). The standard's own, and so
/// the most that one record makes us hold.
pub const MAX_PLAINTEXT: usize = 1 << 14;

/// Largest growth of a record over its plaintext (RFC 5246 §6.2.3).
pub const MAX_EXPANSION: usize = 2048;

/// Consecutive warning alerts tolerated from a peer. Honest peers send one;
/// each costs a record's work and says nothing.
pub const MAX_WARNING_ALERTS: u32 = 4;

/// Consecutive KeyUpdates without application data tolerated from a peer.
pub const MAX_KEY_UPDATES: u32 = 32;

/// Consecutive requests for connection IDs without application data tolerated
/// from a peer. Honest ones ask before they change paths; each costs an answer.
pub const MAX_CID_REQUESTS: u32 = 32;
