//! What the caller decides, and what it is told.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::attributes::{Icmp, ReservationToken};
use crate::credentials::ChallengeError;
use crate::transaction::Schedule;
use crate::turn::Transport;

/// Which relayed addresses to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Families {
    /// IPv4, without naming it: works with servers of RFC 5766 too.
    #[default]
    V4,
    /// IPv6.
    V6,
    /// One of each (RFC 8656 §7.1, ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

/// What the relay speaks to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RelayTransport {
    /// UDP (RFC 8656).
    #[default]
    Udp,
    /// TCP (RFC 6062); only over a stream to the server.
    Tcp,
}

/// Demands on the relayed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Port {
    /// None.
    #[default]
    Any,
    /// Even.
    Even,
    /// Even, and the next one kept for a later allocation.
    EvenAndReserveNext,
    /// The one that was kept for this token.
    Reserved(ReservationToken),
}

/// When peers get channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelPolicy {
    /// After so many payloads to a peer, so that peers which are only probed
    /// cost no channel.
    After(u32),
    /// Only when [`Client::bind_channel`](super::Client::bind_channel) is called.
    OnDemand,
}

/// Settings of one client. Build with [`Config::new`] and the methods.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    pub(super) username: String,
    pub(super) password: zeroize::Zeroizing<String>,
    pub(super) families: Families,
    pub(super) relay: RelayTransport,
    pub(super) port: Port,
    pub(super) channels: ChannelPolicy,
    pub(super) lifetime: Option<Duration>,
    pub(super) dont_fragment: bool,
    pub(super) mobility: bool,
    pub(super) software: Option<String>,
    pub(super) schedule: Schedule,
}

impl Config {
    /// A client of this server with these credentials, over UDP, asking for
    /// one IPv4 address.
    pub fn new(server: SocketAddr, username: &str, password: &str) -> Config {
        Config {
            server,
            transport: Transport::Udp,
            username: username.to_owned(),
            password: zeroize::Zeroizing::new(password.to_owned()),
            families: Families::default(),
            relay: RelayTransport::default(),
            port: Port::default(),
            channels: ChannelPolicy::After(4),
            lifetime: None,
            dont_fragment: false,
            mobility: false,
            software: None,
            schedule: Schedule::DEFAULT,
        }
    }

    /// What carries messages to the server.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Config {
        self.transport = transport;
        self
    }

    /// Which families to ask for.
    #[must_use]
    pub fn families(mut self, families: Families) -> Config {
        self.families = families;
        self
    }

    /// What the relay speaks to peers.
    #[must_use]
    pub fn relay(mut self, relay: RelayTransport) -> Config {
        self.relay = relay;
        self
    }

    /// Demands on the relayed port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Config {
        self.port = port;
        self
    }

    /// When peers get channels.
    #[must_use]
    pub fn channels(mut self, policy: ChannelPolicy) -> Config {
        self.channels = policy;
        self
    }

    /// Lifetime to ask for; without it the server decides (ten minutes).
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Config {
        self.lifetime = Some(lifetime);
        self
    }

    /// Ask that the relay sets DF (§15); taken back when the server cannot.
    #[must_use]
    pub fn dont_fragment(mut self, wanted: bool) -> Config {
        self.dont_fragment = wanted;
        self
    }

    /// Ask for a mobility ticket (RFC 8016).
    #[must_use]
    pub fn mobility(mut self, wanted: bool) -> Config {
        self.mobility = wanted;
        self
    }

    /// Text for SOFTWARE.
    #[must_use]
    pub fn software(mut self, software: &str) -> Config {
        self.software = Some(software.to_owned());
        self
    }

    /// Timers of requests.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Config {
        self.schedule = schedule;
        self
    }
}

/// An allocation as the server granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The relayed IPv4 address.
    pub relayed_v4: Option<SocketAddr>,
    /// The relayed IPv6 address.
    pub relayed_v6: Option<SocketAddr>,
    /// Our address as the server sees it.
    pub mapped: SocketAddr,
    /// When it ends unless refreshed.
    pub expires: Instant,
    /// Token of the port that was kept in reserve.
    pub reservation: Option<ReservationToken>,
}

impl Allocation {
    /// The relayed address of the family of `peer`.
    pub fn relayed_for(&self, peer: &SocketAddr) -> Option<SocketAddr> {
        if peer.is_ipv4() {
            self.relayed_v4
        } else {
            self.relayed_v6
        }
    }
}

/// Why something was not granted or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer in the time of the schedule.
    #[error("no answer from the server")]
    TimedOut,
    /// The server said no.
    #[error("server refused: {code} {reason}")]
    Refused {
        /// ERROR-CODE.
        code: u16,
        /// Its words, for people.
        reason: String,
    },
    /// The credentials were refused or the challenge is no good.
    #[error("authentication failed: {0}")]
    Authentication(#[from] ChallengeError),
    /// Too many challenges for one request.
    #[error("server keeps asking for another nonce")]
    ChallengeLoop,
    /// The server sends us elsewhere, and that cannot be done on this
    /// connection: open another one and a new client.
    #[error("server names another one: {server}")]
    Redirected {
        /// ALTERNATE-SERVER.
        server: SocketAddr,
        /// ALTERNATE-DOMAIN, to check a certificate against.
        domain: Option<String>,
    },
    /// The answer lacks what it must have, or grants another family.
    #[error("server's answer makes no sense")]
    Malformed,
    /// The allocation is no longer known to the server, or ended.
    #[error("allocation was lost")]
    Lost,
    /// The request could not be written: name or realm are too long.
    #[error("request cannot be written")]
    Unwritable,
}

/// News from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The allocation stands.
    Allocated(Allocation),
    /// Peers of this address may send to us and get what we send.
    Permitted(IpAddr),
    /// The server refuses peers of this address.
    NotPermitted(IpAddr, Failure),
    /// Payloads to this peer now take four octets of head.
    ChannelBound(SocketAddr),
    /// The server refuses a channel; Send indications go on.
    ChannelRefused(SocketAddr, Failure),
    /// An ICMP error about what we sent to this peer (RFC 8656 §11.6).
    Icmp(SocketAddr, Icmp),
    /// TCP relay: the server connected to the peer as asked. Open another
    /// connection to the server and give it to
    /// [`Client::data_connection`](super::Client::data_connection).
    Connected(SocketAddr, crate::attributes::ConnectionId),
    /// TCP relay: the server could not connect.
    ConnectFailed(SocketAddr, Failure),
    /// TCP relay: a peer connected to the relayed address.
    ConnectionAttempt(SocketAddr, crate::attributes::ConnectionId),
    /// The allocation could not be made, or is gone. Nothing follows.
    Closed(Option<Failure>),
}

/// What an input was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Not from this server, or nothing of ours.
    NotMine,
    /// Taken in (or dropped and counted).
    Consumed,
    /// A payload from a peer stands in this range of the datagram.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// Where it stands.
        range: std::ops::Range<usize>,
    },
}

/// Why a payload cannot go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no allocation, or none of the peer's family.
    #[error("no allocation for this peer")]
    NoAllocation,
    /// The peer is not permitted (yet): the server would drop it.
    #[error("no permission for this peer")]
    NoPermission,
    /// The head room is not what [`Client::data_headroom`](super::Client::data_headroom) said.
    #[error("wrong headroom")]
    Headroom,
    /// The payload is longer than a datagram can be.
    #[error("payload is too long")]
    TooLong,
    /// The table of permissions or channels is full.
    #[error("too many peers")]
    TooManyPeers,
    /// The verb does not fit the kind of allocation.
    #[error("not on this kind of allocation")]
    WrongRelay,
}

/// Counters of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, with repetitions.
    pub requests_sent: u64,
    /// Responses that ended a request.
    pub responses: u64,
    /// Messages dropped: malformed, unknown transaction, bad integrity.
    pub dropped: u64,
    /// Payloads sent in ChannelData.
    pub channel_data_sent: u64,
    /// Payloads sent in Send indications.
    pub indications_sent: u64,
    /// Payloads received.
    pub data_received: u64,
    /// The last measured round trip to the server.
    pub rtt: Option<Duration>,
}
