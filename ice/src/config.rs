//! What the caller decides: servers, policies, timings.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::limits::{MAX_SERVERS, MAX_TIME, MIN_PACING};
use crate::role::Role;
use crate::transport::Transport;

/// Which candidates may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// All.
    #[default]
    All,
    /// Host addresses are used for checks but never told (RFC 8828 mode 3 and 4).
    NoHost,
    /// Relayed candidates only.
    Relay,
}

/// Which address families may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Families {
    /// Both.
    #[default]
    Both,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Families {
    pub(crate) fn allow(self, ip: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Ipv4 => ip.is_ipv4(),
            Self::Ipv6 => ip.is_ipv6(),
        }
    }
}

/// A server to gather candidates from; its name already resolved.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// A STUN server: gives server-reflexive candidates.
    Stun {
        /// Names it in errors.
        url: Arc<str>,
        /// Its address.
        addr: SocketAddr,
    },
    /// A TURN server: gives a relayed and a server-reflexive candidate.
    Turn {
        /// Names it in errors.
        url: Arc<str>,
        /// Its address.
        addr: SocketAddr,
        /// How it is reached.
        transport: Transport,
        /// Long-term credential.
        username: Arc<str>,
        /// Long-term credential; never printed.
        password: Zeroizing<String>,
    },
}

impl Server {
    /// A STUN server.
    #[must_use]
    pub fn stun(addr: SocketAddr) -> Self {
        Self::Stun {
            url: format!("stun:{addr}").into(),
            addr,
        }
    }

    /// A TURN server.
    #[must_use]
    pub fn turn(addr: SocketAddr, transport: Transport, username: &str, password: &str) -> Self {
        let url = match transport {
            Transport::Udp => format!("turn:{addr}?transport=udp"),
            Transport::Tcp => format!("turn:{addr}?transport=tcp"),
            Transport::Tls => format!("turns:{addr}?transport=tcp"),
        };
        Self::Turn {
            url: url.into(),
            addr,
            transport,
            username: username.into(),
            password: Zeroizing::new(password.to_owned()),
        }
    }

    /// Names it otherwise: the URL as the application wrote it.
    #[must_use]
    pub fn with_url(mut self, name: &str) -> Self {
        match &mut self {
            Self::Stun { url, .. } | Self::Turn { url, .. } => *url = name.into(),
        }
        self
    }

    /// The server's address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        match self {
            Self::Stun { addr, .. } | Self::Turn { addr, .. } => *addr,
        }
    }

    /// The server's name for people.
    #[must_use]
    pub fn url(&self) -> &Arc<str> {
        match self {
            Self::Stun { url, .. } | Self::Turn { url, .. } => url,
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url())
    }
}

/// An agent's configuration. The defaults are the standards' or browsers'. A time
/// longer than a year counts as a year.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) role: Role,
    pub(crate) lite: bool,
    pub(crate) policy: Policy,
    pub(crate) families: Families,
    pub(crate) renomination: bool,
    pub(crate) servers: Vec<Server>,
    pub(crate) pacing: Duration,
    pub(crate) burst: u32,
    pub(crate) initial_rto: Duration,
    pub(crate) transmissions: u32,
    pub(crate) patience: Duration,
    pub(crate) disconnected_timeout: Duration,
    pub(crate) consent_interval: Duration,
    pub(crate) consent_expiry: Duration,
    pub(crate) failover_timeout: Duration,
    pub(crate) backups: usize,
    pub(crate) backup_interval: Duration,
    pub(crate) reflexive_patience: Duration,
    pub(crate) relay_patience: Duration,
    pub(crate) continual: bool,
    pub(crate) server_keepalive: Duration,
    pub(crate) unused_relays: Option<Duration>,
    pub(crate) tcp_reflexive: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::Controlling,
            lite: false,
            policy: Policy::All,
            families: Families::Both,
            renomination: true,
            servers: Vec::new(),
            pacing: Duration::from_millis(50),
            burst: 8,
            initial_rto: Duration::from_millis(500),
            transmissions: 4,
            patience: Duration::from_millis(39_500),
            disconnected_timeout: Duration::from_secs(5),
            consent_interval: Duration::from_secs(5),
            consent_expiry: Duration::from_secs(30),
            failover_timeout: Duration::from_millis(1500),
            backups: 2,
            backup_interval: Duration::from_secs(20),
            reflexive_patience: Duration::from_millis(100),
            relay_patience: Duration::from_millis(500),
            continual: true,
            server_keepalive: Duration::from_secs(15),
            unused_relays: Some(Duration::from_secs(30)),
            tcp_reflexive: false,
        }
    }
}

impl Config {
    /// The defaults: full agent, controlling, all candidates.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The role to begin with; the offerer controls.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// A lite agent: answers checks and sends none (RFC 8445 §2.5). For
    /// hosts with a public address only; always controlled.
    #[must_use]
    pub fn with_lite(mut self, lite: bool) -> Self {
        self.lite = lite;
        self
    }

    /// Which candidates may be used.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Which address families may be used.
    #[must_use]
    pub fn with_families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// Whether `renomination` is offered (draft-thatcher-ice-renomination);
    /// used if the peer offers it too.
    #[must_use]
    pub fn with_renomination(mut self, renomination: bool) -> Self {
        self.renomination = renomination;
        self
    }

    /// Adds a server; the first [`MAX_SERVERS`] are used. Others can be given
    /// later with [`Agent::set_servers`](crate::Agent::set_servers).
    #[must_use]
    pub fn with_server(mut self, server: Server) -> Self {
        if self.servers.len() < MAX_SERVERS {
            self.servers.push(server);
        }
        self
    }

    /// Whether gathering goes on after it is complete; it does by default. A new
    /// base is then used at once, and STUN servers are asked again from time to
    /// time, so that another address of the NAT becomes a new candidate.
    /// Without, a base that comes later waits for the next restart, as browsers
    /// have it.
    #[must_use]
    pub fn with_continual_gathering(mut self, continual: bool) -> Self {
        self.continual = continual;
        self
    }

    /// How often STUN servers are asked again, so that NATs remember the
    /// server-reflexive candidates until a pair works (RFC 8445 §5.1.1.4), and
    /// on with continual gathering; 15 s by default, the standard's floor
    /// (§11), and at least.
    #[must_use]
    pub fn with_server_keepalive(mut self, interval: Duration) -> Self {
        self.server_keepalive = interval.clamp(Duration::from_secs(15), MAX_TIME);
        self
    }

    /// How long after nomination an allocation is given back that neither the
    /// selected pair nor a reserve uses (RFC 8445 §8.3); 30 s by default, 3 s at
    /// least, `None` keeps them.
    #[must_use]
    pub fn with_unused_relays(mut self, kept: Option<Duration>) -> Self {
        self.unused_relays = kept.map(|kept| kept.clamp(Duration::from_secs(3), MAX_TIME));
        self
    }

    /// Whether STUN servers are asked by TCP too, from bases that listen or open
    /// simultaneously, so that a NAT's address for them is a candidate (RFC 6544
    /// §5.2); not by default.
    ///
    /// The driver then gets a [`Transmit`](crate::Transmit) by TCP from such a base
    /// to the server, and must connect from the base's own port, which takes
    /// `SO_REUSEADDR` and, where it listens, `SO_REUSEPORT`. The connection is to
    /// be kept: the NAT's mapping ends with it.
    #[must_use]
    pub fn with_tcp_reflexive(mut self, ask: bool) -> Self {
        self.tcp_reflexive = ask;
        self
    }

    /// Ta, the time between new transactions: 5 ms at least, 50 ms by default
    /// (RFC 8445 §14.2).
    #[must_use]
    pub fn with_pacing(mut self, ta: Duration) -> Self {
        self.pacing = ta.clamp(MIN_PACING, MAX_TIME);
        self
    }

    /// How many transactions start at the floor of 5 ms before Ta rules; 8 by
    /// default, 0 is the standard to the letter.
    #[must_use]
    pub fn with_burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// First retransmission timeout of a check; 500 ms by default, the
    /// standard's floor (RFC 8445 §14.3).
    #[must_use]
    pub fn with_initial_rto(mut self, rto: Duration) -> Self {
        self.initial_rto = rto.clamp(Duration::from_millis(10), MAX_TIME);
        self
    }

    /// Transmissions of one check, Rc of RFC 8489 §6.2.1; 1 to 7, 4 by default:
    /// at 0, 0.5, 1.5 and 3.5 s, failure at 5.5 s. While nothing has connected
    /// a failed check is begun anew, which through a lossy path reaches the
    /// peer sooner than the standard's waits of 8 and 16 s would.
    #[must_use]
    pub fn with_transmissions(mut self, rc: u32) -> Self {
        self.transmissions = rc.clamp(1, 7);
        self
    }

    /// How long the agent never fails for want of a working pair, from the
    /// first check on; 39.5 s by default (RFC 8863 §4).
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(MAX_TIME);
        self
    }

    /// Silence, with requests unanswered, after which the state is
    /// Disconnected; 5 s by default.
    #[must_use]
    pub fn with_disconnected_timeout(mut self, timeout: Duration) -> Self {
        self.disconnected_timeout = timeout.min(MAX_TIME);
        self
    }

    /// Mean time between consent requests; 5 s by default (RFC 7675 §5.1),
    /// 1 s at least.
    #[must_use]
    pub fn with_consent_interval(mut self, interval: Duration) -> Self {
        self.consent_interval = interval.clamp(Duration::from_secs(1), MAX_TIME);
        self
    }

    /// How long consent lasts after a response; then the pair fails. 30 s by
    /// default, the standard's maximum (RFC 7675 §5.1).
    #[must_use]
    pub fn with_consent_expiry(mut self, expiry: Duration) -> Self {
        self.consent_expiry = expiry.min(MAX_TIME);
        self
    }

    /// How long the selected pair may leave requests unanswered before a
    /// working backup replaces it; 1.5 s by default.
    #[must_use]
    pub fn with_failover_timeout(mut self, timeout: Duration) -> Self {
        self.failover_timeout = timeout.min(MAX_TIME);
        self
    }

    /// How many working pairs besides the selected one are kept alive to fall
    /// back to, and how often each is checked; 2 every 20 s by default.
    #[must_use]
    pub fn with_backups(mut self, count: usize, interval: Duration) -> Self {
        self.backups = count;
        self.backup_interval = interval.clamp(Duration::from_secs(1), MAX_TIME);
        self
    }

    /// How long better pairs get to succeed before a reflexive and a relayed
    /// pair is nominated in their stead; 100 and 500 ms by default. A pair of
    /// host candidates, or one that nothing open could better, never waits.
    #[must_use]
    pub fn with_nomination_patience(mut self, reflexive: Duration, relay: Duration) -> Self {
        self.reflexive_patience = reflexive.min(MAX_TIME);
        self.relay_patience = relay.min(MAX_TIME);
        self
    }
}
