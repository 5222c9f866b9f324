//! Two ends, each at a place of a kind, with a STUN and a TURN server between.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tincan_ice::{Config, Role, Server, Transport};
use tincan_sim::{
    Behaviour, Firewall, HostId, LinkConfig, Loss, NatConfig, Network, PortAssignment, Protocols,
    SegmentId,
};

use super::{Node, World, ip, turn};

/// Where an end stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the internet.
    Open,
    /// Behind a NAT of this mapping and filtering.
    Nat(Behaviour, Behaviour),
    /// Behind two of them.
    DoubleNat(Behaviour, Behaviour),
    /// Behind a firewall that lets only TCP out.
    TcpOnly,
    /// Behind a firewall that lets only port 443 of TCP out.
    TlsOnly,
}

use Behaviour::{
    AddressAndPortDependent as Apd, AddressDependent as Ad, EndpointIndependent as Ei,
};

impl Place {
    pub const ALL_NATS: [Self; 9] = [
        Self::Nat(Ei, Ei),
        Self::Nat(Ei, Ad),
        Self::Nat(Ei, Apd),
        Self::Nat(Ad, Ei),
        Self::Nat(Ad, Ad),
        Self::Nat(Ad, Apd),
        Self::Nat(Apd, Ei),
        Self::Nat(Apd, Ad),
        Self::Nat(Apd, Apd),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Nat(m, f) | Self::DoubleNat(m, f) => match (m, f) {
                (Ei, Ei) => "EI/EI",
                (Ei, Ad) => "EI/AD",
                (Ei, Apd) => "EI/APD",
                (Ad, Ei) => "AD/EI",
                (Ad, Ad) => "AD/AD",
                (Ad, Apd) => "AD/APD",
                (Apd, Ei) => "APD/EI",
                (Apd, Ad) => "APD/AD",
                (Apd, Apd) => "APD/APD",
            },
            Self::TcpOnly => "TCP",
            Self::TlsOnly => "TLS",
        }
    }

    /// Whether UDP can pass between two NATs that each asked a third party for
    /// its mapping: worked out from RFC 4787's definitions, not by running ICE.
    ///
    /// A pair needs two external addresses such that each NAT maps traffic to
    /// the other's address to its own one, and a first packet that passes.
    pub fn reaches(self, other: Self) -> bool {
        // A host on the internet is like one behind the most liberal NAT.
        let behaviours = |place| match place {
            Self::Nat(mapping, filtering) => Some((mapping, filtering)),
            Self::Open => Some((Ei, Ei)),
            _ => None,
        };
        let (Some((ma, fa)), Some((mb, fb))) = (behaviours(self), behaviours(other)) else {
            return false;
        };
        // X has one mapping for all: Y writes to it, from an address that X has
        // written to only if it does not depend on X.
        let to_fixed = |filter: Behaviour, mapping: Behaviour| filter != Apd || mapping == Ei;
        // Neither mapping is known to a third party: a stranger must get in
        // at one end, and the answer to him from his server's neighbour at the other.
        let by_surprise = |f: Behaviour, g: Behaviour| f == Ei && g != Apd;
        match (ma, mb) {
            (Ei, Ei) => true,
            (Ei, _) => to_fixed(fa, mb),
            (_, Ei) => to_fixed(fb, ma),
            // Each packet to a new port makes a new mapping, for ever.
            (Apd, Apd) => false,
            _ => by_surprise(fa, fb) || by_surprise(fb, fa),
        }
    }
}

/// What to build.
pub struct Setup {
    pub seed: u64,
    pub places: [Place; 2],
    pub wan: LinkConfig,
    pub loss: Loss,
    pub turn: bool,
    pub config: Config,
    /// Both behind one more NAT, which hairpins or not.
    carrier: Option<bool>,
    /// Both behind the same NAT.
    one_home: bool,
    ice_tcp: bool,
    simultaneous: bool,
    tcp_alone: bool,
}

pub struct Topology {
    pub world: World,
    started: Instant,
}

const PORT: u16 = 6000;
pub const LAN: Duration = Duration::from_millis(1);
pub const WAN: Duration = Duration::from_millis(20);
/// Between two ends behind one NAT each.
pub const ROUND_TRIP: Duration = Duration::from_millis(2 * (20 + 1) * 2);

fn link(delay: Duration) -> LinkConfig {
    LinkConfig::new().delay(delay)
}

/// Puts a host at a place; `n` is 0 or 1.
fn settle(
    network: &mut Network,
    core: SegmentId,
    n: u8,
    place: Place,
    wan: &LinkConfig,
) -> (HostId, IpAddr, SegmentId) {
    let host = network.add_host();
    let public = IpAddr::from([198, 51, 100, 10 + n]);
    let private = IpAddr::from([10, n, 0, 2]);
    let nat = |m, f| NatConfig::new(m, f).ports(PortAssignment::Random);
    let lan = || link(LAN);
    let (segment, addr): (SegmentId, IpAddr) = match place {
        Place::Open => {
            network.attach(host, core, &[public], wan.clone(), wan.clone());
            return (host, public, core);
        }
        Place::Nat(m, f) => (
            network
                .add_nat(core, public, nat(m, f), wan.clone(), wan.clone())
                .1,
            private,
        ),
        Place::DoubleNat(m, f) => {
            let carrier = network
                .add_nat(core, public, nat(m, f), wan.clone(), wan.clone())
                .1;
            let middle = IpAddr::from([100, 64, n, 2]);
            (
                network.add_nat(carrier, middle, nat(m, f), lan(), lan()).1,
                private,
            )
        }
        Place::TcpOnly | Place::TlsOnly => {
            let rule = match place {
                Place::TcpOnly => Protocols::TcpOnly,
                _ => Protocols::TcpPorts(vec![443]),
            };
            let firewall = Firewall::new(rule);
            (
                network
                    .add_firewall(core, firewall, wan.clone(), wan.clone())
                    .1,
                public,
            )
        }
    };
    network.attach(host, segment, &[addr], lan(), lan());
    (host, addr, segment)
}

impl Setup {
    pub fn new(seed: u64, a: Place, b: Place) -> Self {
        Self {
            seed,
            places: [a, b],
            wan: link(WAN),
            loss: Loss::None,
            turn: false,
            config: Config::new(),
            carrier: None,
            one_home: false,
            ice_tcp: false,
            simultaneous: false,
            tcp_alone: false,
        }
    }

    /// No UDP at all: both open TCP connections at the same time, and ask the STUN
    /// server by TCP.
    pub fn tcp_alone(mut self) -> Self {
        self.tcp_alone = true;
        self.config = self.config.with_tcp_reflexive(true);
        self.simultaneous_open()
    }

    /// With a TURN server in the configuration.
    pub fn turn(mut self) -> Self {
        self.turn = true;
        self
    }

    /// With loss, each way, on the first end's link.
    pub fn lossy(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// With other properties of the links to the internet, one way each.
    pub fn wan(mut self, wan: LinkConfig) -> Self {
        self.wan = wan;
        self
    }

    /// Both behind one carrier's NAT.
    pub fn one_carrier(mut self, hairpinning: bool) -> Self {
        self.carrier = Some(hairpinning);
        self
    }

    /// Both behind the first place's NAT.
    pub fn one_home(mut self) -> Self {
        self.one_home = true;
        self
    }

    /// The first dials by TCP, the second listens.
    pub fn ice_tcp(mut self) -> Self {
        self.ice_tcp = true;
        self
    }

    /// Both open TCP connections at the same time.
    pub fn simultaneous_open(mut self) -> Self {
        self.simultaneous = true;
        self
    }

    /// Two hosts with both families; nothing passes by the family `broken` (4, 6 or 0).
    pub fn dual_stack(seed: u64, broken: u8) -> Topology {
        let mut network = Network::new(seed);
        let core = network.internet();
        let v4 = [ip("203.0.113.11"), ip("203.0.113.12")];
        let v6 = [ip("2001:db8::11"), ip("2001:db8::12")];
        let mut hosts = Vec::new();
        for n in [0, 1] {
            let host = network.add_host();
            for (family, addr) in [(4, v4[n]), (6, v6[n])] {
                // A network with an address and no way out.
                let segment = if family == broken {
                    network.add_segment()
                } else {
                    core
                };
                network.attach(host, segment, &[addr], link(WAN), link(WAN));
            }
            hosts.push(host);
        }
        let a = (hosts[0], Config::new().with_role(Role::Controlling));
        let b = (hosts[1], Config::new().with_role(Role::Controlled));
        let mut world = World::new(network, a, b);
        let started = world.now();
        for n in [0, 1] {
            world
                .end(n)
                .start_on_one_network(started, &[v6[n], v4[n]], PORT);
        }
        Topology { world, started }
    }

    pub fn config(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    pub fn build(self) -> Topology {
        let mut network = Network::new(self.seed);
        let core = network.internet();
        // Where the two places are attached.
        let outside = match self.carrier {
            None => core,
            Some(hairpinning) => {
                let carrier = NatConfig::new(Ei, Apd)
                    .hairpinning(hairpinning)
                    .ports(PortAssignment::Random);
                let public = ip("198.51.100.200");
                network
                    .add_nat(core, public, carrier, link(LAN), link(LAN))
                    .1
            }
        };
        let (host_a, addr_a, home) = settle(
            &mut network,
            outside,
            0,
            self.places[0],
            &self.wan.clone().loss(self.loss),
        );
        let (host_b, addr_b) = if self.one_home {
            let addr = ip("10.0.0.3");
            let host = network.add_host();
            network.attach(host, home, &[addr], link(LAN), link(LAN));
            (host, addr)
        } else {
            let (host, addr, _) = settle(&mut network, outside, 1, self.places[1], &self.wan);
            (host, addr)
        };
        let stun_ip = ip("203.0.113.1");
        let turn_ip = ip("203.0.113.2");
        let stun = network.add_host();
        network.attach(stun, core, &[stun_ip], link(LAN), link(LAN));
        let turn_host = network.add_host();
        network.attach(turn_host, core, &[turn_ip], link(LAN), link(LAN));
        let at = |port| SocketAddr::new(turn_ip, port);
        let mut config = self
            .config
            .with_server(Server::stun(SocketAddr::new(stun_ip, 3478)));
        if self.turn {
            config = config
                .with_server(Server::turn(at(turn::PORT), Transport::Udp, "u", "p"))
                .with_server(Server::turn(at(turn::PORT), Transport::Tcp, "u", "p"))
                .with_server(Server::turn(at(turn::TLS_PORT), Transport::Tls, "u", "p"));
        }
        let a = (host_a, config.clone().with_role(Role::Controlling));
        let b = (host_b, config.with_role(Role::Controlled));
        let mut world = World::new(network, a, b);
        let stun_at = SocketAddr::new(stun_ip, 3478);
        world.sim.add_peer(stun, Node::stun_with_tcp(stun_at));
        world.sim.add_peer(turn_host, Node::turn(turn_ip));
        let started = world.now();
        if self.ice_tcp {
            world.end(0).dial(started, addr_a);
            world.end(1).listen(started, SocketAddr::new(addr_b, PORT));
        }
        if self.simultaneous {
            world.end(0).open(started, SocketAddr::new(addr_a, PORT));
            world.end(1).open(started, SocketAddr::new(addr_b, PORT));
        }
        let udp = |addr| if self.tcp_alone { vec![] } else { vec![addr] };
        world.end(0).start(started, &udp(addr_a), PORT);
        world.end(1).start(started, &udp(addr_b), PORT);
        Topology { world, started }
    }
}

impl Topology {
    pub fn turn(&mut self) -> &mut turn::TurnServer {
        match &mut self.world.sim.peers_mut()[3] {
            Node::Turn(server) => server,
            _ => unreachable!("peer 3 is the TURN server"),
        }
    }

    /// From the moment both had the other's first reflexive or relayed
    /// candidate (or its end of gathering) until both could send.
    pub fn time_to_connect(&mut self) -> Option<Duration> {
        let ready = [0, 1]
            .into_iter()
            .map(|n| self.world.end(n).informed)
            .max()
            .flatten();
        let connected = [0, 1].map(|n| self.world.end(n).connected);
        let connected = connected[0]?.max(connected[1]?);
        Some(connected.saturating_duration_since(ready.unwrap_or(self.started)))
    }

    /// From the very beginning, gathering included.
    pub fn time_from_start(&mut self) -> Option<Duration> {
        let connected = [0, 1].map(|n| self.world.end(n).connected);
        Some(connected[0]?.max(connected[1]?) - self.started)
    }
}
