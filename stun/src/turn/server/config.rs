//! What the operator decides, and what passes between server and driver.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use super::policy::PeerPolicy;
use crate::attributes::{ConnectionId, Family};
use crate::turn::Transport;

/// What tells one client from another (RFC 8656 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiveTuple {
    /// Our address.
    pub local: SocketAddr,
    /// The client's.
    pub remote: SocketAddr,
    /// What lies between.
    pub transport: Transport,
}

/// Every relayed packet looks its client up: a few words are fed to the hasher
/// instead of the dozen pieces that a derived implementation would.
impl Hash for FiveTuple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |ip: u32, port: u16| u64::from(ip) << 16 | u64::from(port);
        let stream = u64::from(self.transport == Transport::Tcp) << 63;
        match (self.local, self.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => {
                state.write_u64(word(local.ip().to_bits(), local.port()) | stream);
                state.write_u64(word(remote.ip().to_bits(), remote.port()));
            }
            (local, remote) => {
                for addr in [local, remote] {
                    match addr.ip() {
                        IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
                        IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
                    }
                }
                state.write_u64(word(local.port().into(), remote.port()) | stream);
            }
        }
    }
}

/// Names a relayed transport address: a socket of the driver's. Never used
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl RelayId {
    /// A small number, unique among the relays open at one time: for drivers
    /// that keep their sockets in a table.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Addresses for NAT behaviour discovery (RFC 5780 §6): the server listens on
/// all four combinations of two IP addresses and two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Primary IP address and port.
    pub primary: SocketAddr,
    /// The other IP address and the other port.
    pub alternate: SocketAddr,
}

/// Settings of a server. Build with [`Config::new`] and the methods.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) realm: String,
    pub(super) software: Option<String>,
    pub(super) anonymous: bool,
    pub(super) policy: PeerPolicy,
    pub(super) nonce_lifetime: Duration,
    pub(super) default_lifetime: Duration,
    pub(super) max_lifetime: Duration,
    pub(super) max_allocations: usize,
    pub(super) max_per_user: usize,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) total_bytes_per_second: Option<u64>,
    pub(super) strangers_per_second: u32,
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
    pub(super) tcp_relay: bool,
    pub(super) dont_fragment: bool,
    pub(super) mobility: bool,
    pub(super) discovery: Option<Discovery>,
    pub(super) alternate_server: Option<SocketAddr>,
    pub(super) password_algorithms: bool,
    pub(super) user_hashes: bool,
}

impl Config {
    /// A server of this realm: IPv4 relays over UDP, 10 000 allocations, 100 a
    /// user, no bandwidth limit, loopback and link-local peers forbidden.
    pub fn new(realm: &str) -> Config {
        Config {
            realm: realm.to_owned(),
            software: None,
            anonymous: false,
            policy: PeerPolicy::new(),
            nonce_lifetime: Duration::from_secs(3600),
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            max_allocations: 10_000,
            max_per_user: 100,
            bytes_per_second: None,
            total_bytes_per_second: None,
            strangers_per_second: 200,
            ipv4: true,
            ipv6: false,
            tcp_relay: false,
            dont_fragment: false,
            mobility: false,
            discovery: None,
            alternate_server: None,
            password_algorithms: true,
            user_hashes: false,
        }
    }

    /// Text for SOFTWARE in signed answers; strangers are not told.
    #[must_use]
    pub fn software(mut self, text: &str) -> Config {
        self.software = Some(text.to_owned());
        self
    }

    /// Serve without credentials (RFC 8656 §7.2 item 1). Quotas then count all
    /// clients as one user.
    #[must_use]
    pub fn anonymous(mut self) -> Config {
        self.anonymous = true;
        self
    }

    /// Which peers may be reached.
    #[must_use]
    pub fn peers(mut self, policy: PeerPolicy) -> Config {
        self.policy = policy;
        self
    }

    /// How long a nonce is good.
    #[must_use]
    pub fn nonce_lifetime(mut self, lifetime: Duration) -> Config {
        self.nonce_lifetime = lifetime;
        self
    }

    /// Lifetime of an allocation when the client asks for less, and at most.
    #[must_use]
    pub fn lifetimes(mut self, default: Duration, max: Duration) -> Config {
        self.default_lifetime = default;
        self.max_lifetime = max.max(default);
        self
    }

    /// Allocations in all and of one user.
    #[must_use]
    pub fn quotas(mut self, all: usize, per_user: usize) -> Config {
        self.max_allocations = all;
        self.max_per_user = per_user;
        self
    }

    /// Relayed payload octets a second, both directions together: of one
    /// allocation, and of all.
    #[must_use]
    pub fn bandwidth(mut self, allocation: Option<u64>, all: Option<u64>) -> Config {
        self.bytes_per_second = allocation;
        self.total_bytes_per_second = all;
        self
    }

    /// Answers a second to unauthenticated UDP requests from one /24 or /56;
    /// 200 unless set.
    ///
    /// A challenge carries REALM and NONCE (RFC 8489 §9.2.4) and so is longer
    /// than the bare request it answers: at most 76 octets and the realm. Beyond
    /// this many a second an answer is given only when the prefix has sent at
    /// least as many octets as the answer is long. With zero that is so from the
    /// first: nothing is ever amplified, and honest clients are answered at
    /// their third or fourth transmission.
    #[must_use]
    pub fn strangers(mut self, per_second: u32) -> Config {
        self.strangers_per_second = per_second;
        self
    }

    /// Families that the driver can relay.
    #[must_use]
    pub fn families(mut self, ipv4: bool, ipv6: bool) -> Config {
        self.ipv4 = ipv4;
        self.ipv6 = ipv6;
        self
    }

    /// The driver can relay TCP (RFC 6062).
    #[must_use]
    pub fn tcp_relay(mut self, can: bool) -> Config {
        self.tcp_relay = can;
        self
    }

    /// The driver can set DF on what it relays.
    #[must_use]
    pub fn dont_fragment(mut self, can: bool) -> Config {
        self.dont_fragment = can;
        self
    }

    /// Give mobility tickets (RFC 8016).
    #[must_use]
    pub fn mobility(mut self, wanted: bool) -> Config {
        self.mobility = wanted;
        self
    }

    /// Answer NAT behaviour discovery (RFC 5780).
    #[must_use]
    pub fn discovery(mut self, discovery: Discovery) -> Config {
        self.discovery = Some(discovery);
        self
    }

    /// Send all who want to allocate to another server: this one is drained.
    #[must_use]
    pub fn alternate_server(mut self, server: Option<SocketAddr>) -> Config {
        self.alternate_server = server;
        self
    }

    /// Whether to offer SHA-256 keys (RFC 8489 §9.2). On unless switched off:
    /// older clients ignore the offer.
    #[must_use]
    pub fn password_algorithms(mut self, offer: bool) -> Config {
        self.password_algorithms = offer;
        self
    }

    /// Announce that USERHASH may stand for the name (RFC 8489 §9.2): only with
    /// an [`Authenticator`](super::Authenticator) that resolves hashes, as
    /// [`Users`](super::Users) does. A name is then never seen on the wire.
    #[must_use]
    pub fn user_hashes(mut self, resolved: bool) -> Config {
        self.user_hashes = resolved;
        self
    }
}

/// What kind of port a relay must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDemand {
    /// Any of 49152 to 65535, at random (RFC 8656 §7.2, RFC 6056).
    Any,
    /// An even one.
    Even,
    /// An even one, and the next higher for this other relay.
    EvenAndNext(RelayId),
}

/// What the server wants of its driver, and news.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Open a socket, then call [`Server::relay_opened`](super::Server::relay_opened)
    /// or [`Server::relay_failed`](super::Server::relay_failed).
    OpenRelay {
        /// Its name.
        relay: RelayId,
        /// The family it must be of.
        family: Family,
        /// The port it must have.
        port: PortDemand,
        /// UDP socket or TCP listener.
        transport: Transport,
    },
    /// Close the socket.
    CloseRelay(RelayId),
    /// RFC 6062: connect to `peer` from the relay's address, then call
    /// [`Server::peer_connected`](super::Server::peer_connected).
    ConnectPeer {
        /// From where.
        relay: RelayId,
        /// Its name.
        connection: ConnectionId,
        /// To whom.
        peer: SocketAddr,
    },
    /// RFC 6062: after what [`Server::poll_transmit`](super::Server::poll_transmit)
    /// gives is written, pass octets between this client connection and the
    /// peer's; neither is for the server any more.
    Splice {
        /// The client's data connection.
        client: FiveTuple,
        /// The peer's.
        connection: ConnectionId,
    },
    /// RFC 6062: close the peer's connection (spliced or not).
    ClosePeer(ConnectionId),
    /// News: an allocation stands.
    Allocated {
        /// The client.
        client: FiveTuple,
        /// Its account.
        account: String,
        /// The relayed address, the first of two.
        relayed: SocketAddr,
    },
    /// News: an allocation ended.
    Released {
        /// The client.
        client: FiveTuple,
        /// Payload octets relayed in its life, from the client and to it.
        bytes: (u64, u64),
    },
}

/// What an input was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Taken in or dropped; there may be something to transmit.
    Consumed,
    /// Send this range of the datagram from the relay to the peer.
    Relay {
        /// From where.
        relay: RelayId,
        /// To whom.
        peer: SocketAddr,
        /// The payload.
        range: Range<usize>,
        /// With DF set, if it can be (RFC 8656 §14, §15).
        dont_fragment: bool,
    },
}

/// A message for a client that stands in the caller's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToClient {
    /// To whom.
    pub client: FiveTuple,
    /// Where the message stands.
    pub range: Range<usize>,
}

/// A message for a client that was appended to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where and to whom.
    pub client: FiveTuple,
    /// Octets appended.
    pub len: usize,
}

/// Counters of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Allocations that stand now.
    pub allocations: usize,
    /// Allocations ever made.
    pub allocations_made: u64,
    /// Payloads relayed from clients, and their octets.
    pub from_clients: (u64, u64),
    /// Payloads relayed to clients, and their octets.
    pub to_clients: (u64, u64),
    /// Requests answered with success.
    pub granted: u64,
    /// Requests answered with an error, challenges among them.
    pub refused: u64,
    /// Of these: 401 to a wrong name, password or integrity.
    pub wrong_credentials: u64,
    /// Of these: 438.
    pub stale_nonces: u64,
    /// Inputs that are no valid message, or none that a client may send.
    pub malformed: u64,
    /// Requests of strangers left unanswered because of the rate limit.
    pub strangers_ignored: u64,
    /// Responses dropped because the queue was full.
    pub queue_overflows: u64,
    /// Payloads dropped: no allocation, permission or channel.
    pub not_permitted: u64,
    /// Payloads dropped because of a bandwidth limit.
    pub over_bandwidth: u64,
}
