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

/// USERNAME: fewer than 509 octets (RFC 8489 §14.3). Longer ones are no names,
/// and each is compared and hashed.
pub const MAX_USERNAME_LEN: usize = 508;

/// REALM, NONCE, SOFTWARE, reason phrases: at most 763 octets
/// (fewer than 128 characters; RFC 8489 §14.8 to §14.10, §14.14).
pub const MAX_TEXT_LEN: usize = 763;

/// Types listed in one UNKNOWN-ATTRIBUTES. An answer must not grow with what a
/// stranger sends; a sender with more faults than this learns of the first ones.
pub const MAX_UNKNOWN_LISTED: usize = 16;

/// Longest PADDING in an answer (RFC 5780 §6.1): with the header, more than the
/// MTU of Ethernet, so that the answer comes in fragments. Nor is it longer than
/// what was asked with.
pub const MAX_PADDING_ANSWERED: usize = 1500;

/// Longest PADDING in a request of ours (RFC 5780 §7.6): with everything else
/// that such a request holds it stays below the 65 507 octets of a UDP datagram.
pub const MAX_PADDING_ASKED: usize = 65_000;

/// Longest lifetime of a permission (RFC 8656 §9). The standard fixes it: a
/// longer one would leave doors open that a lost client never closes.
pub const PERMISSION_LIFETIME: std::time::Duration = std::time::Duration::from_secs(300);

/// Lifetime of a channel binding (RFC 8656 §12). The standard fixes it, twice
/// a permission's, so that a channel outlives one lost refresh.
pub const CHANNEL_LIFETIME: std::time::Duration = std::time::Duration::from_secs(600);

/// Permissions that a TURN client keeps. An ICE agent has fewer remote
/// candidates than this; each costs a refresh every four minutes.
pub const MAX_CLIENT_PERMISSIONS: usize = 256;

/// Channels that a TURN client keeps. One for each permission: more could
/// carry nothing.
pub const MAX_CLIENT_CHANNELS: usize = 256;

/// Requests that a TURN client has under way at once. Permissions beyond this
/// wait; one CreatePermission carries [`MAX_PEERS_PER_REQUEST`] of them.
pub const MAX_CLIENT_REQUESTS: usize = 32;

/// Peers in one CreatePermission, so that the request stays well below 1280 octets.
pub const MAX_PEERS_PER_REQUEST: usize = 16;

/// How often one request is repeated because of 401 and 438 before it counts
/// as refused: a server that changes its nonce at every answer is no partner.
pub const MAX_AUTH_RETRIES: u8 = 3;

/// Servers in a row that ALTERNATE-SERVER may lead through (RFC 8489 §10 warns
/// of loops).
pub const MAX_REDIRECTS: u8 = 4;

/// Times a TURN client is told 437 (Allocation Mismatch) before it gives up:
/// once before it gives the old allocation back, and three tries after that,
/// as many as RFC 8656 §7.4 has.
pub const MAX_ALLOCATION_MISMATCHES: u8 = 4;

/// Permissions of one allocation on the server. A client pays one request for
/// sixteen of them; the server sorts them in a list.
pub const MAX_PERMISSIONS: usize = 1024;

/// Channels of one allocation on the server. Half of the permissions: channels
/// are for peers that data flows to, and each is an entry in two maps.
pub const MAX_CHANNELS: usize = 512;

/// Peer TCP connections of one allocation (RFC 6062), open or awaited.
pub const MAX_PEER_CONNECTIONS: usize = 64;

/// Responses that wait in a server for [`poll_transmit`](crate::turn::server::Server::poll_transmit).
/// A driver that drains after every batch of input never comes near.
pub const MAX_QUEUED_RESPONSES: usize = 8192;

/// Ports kept in reserve by EVEN-PORT at one time.
pub const MAX_RESERVATIONS: usize = 1024;

/// How long a port is kept in reserve: at least 30 s from the answer (RFC 8656
/// §7.2), and some for the driver to open it.
pub const RESERVATION_LIFETIME: std::time::Duration = std::time::Duration::from_secs(40);

/// How long a peer's TCP connection waits for its ConnectionBind: at least
/// 30 s (RFC 6062 §5.3).
pub const CONNECTION_BIND_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Answers a second to strangers of one prefix beyond those that
/// [`Config::strangers`](crate::turn::server::Config::strangers) grants. They
/// are never longer than what was sent for them, but still go where a forged
/// address says.
pub const STRANGER_PAID_PER_SECOND: u32 = 200;

/// Unanswered octets that a prefix is remembered to have sent: a few requests'
/// worth, so that nobody saves up for a flood.
pub const MAX_STRANGER_CREDIT: u32 = 1024;

/// Buckets that limit what strangers are answered; each is sixteen octets. Source
/// prefixes share them by a keyed hash, so memory does not grow with senders.
pub const STRANGER_BUCKETS: usize = 4096;

/// Longest wait of a transaction that may be configured. One that waits for a year could as well wait for ever, and
/// multiples of longer times may be more than a clock can tell.
pub const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
