//! Hosts, segments, gateways, and the event queue that moves packets between them.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::firewall::Firewall;
use crate::link::{Direction, Link, LinkConfig, LinkStats};
use crate::nat::{Nat, NatConfig, NatStats};
use crate::packet::{Datagram, Packet};
use crate::tcp::{Connection, Kind, Segment, TcpCommand, TcpEvent};

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(usize);

/// An interface of a host, or the outer side of a gateway: a place where a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(usize);

/// A network whose members reach each other directly: a LAN, or the Internet's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(usize);

/// A NAT or firewall between two segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayId(usize);

/// Gateways a packet may pass, both directions and hairpins counted.
pub const MAX_HOPS: u8 = 16;

/// How long an unanswered TCP connection attempt lasts.
pub const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the network dropped a packet (links count their own losses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The sending host has no such address.
    BadSource,
    /// No segment on the way knows the destination.
    Unroutable,
    /// A NAT had no mapping, or its filter refused.
    Nat,
    /// A firewall refused.
    Firewall,
    /// Too many gateways.
    Hops,
    /// The interface is cut off.
    Unplugged,
}

/// What the network did since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// Datagrams that hosts sent.
    pub sent: u64,
    /// Datagrams that hosts received.
    pub received: u64,
    /// Drops by reason.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// An accident for the script, see [`Network::schedule`].
#[derive(Clone, Debug)]
pub enum Action {
    /// The cable is pulled: nothing passes in either direction.
    Unplug(InterfaceId),
    /// The cable is put back.
    Plug(InterfaceId),
    /// The interface's addresses are replaced.
    SetAddresses(InterfaceId, Vec<IpAddr>),
    /// One direction of the interface's link gets other properties.
    SetLink(InterfaceId, Direction, LinkConfig),
    /// The NAT forgets all mappings, and gets another external address where one is given.
    RebootNat(GatewayId, Option<IpAddr>),
    /// The gateway's firewall is replaced or taken away.
    SetFirewall(GatewayId, Option<Firewall>),
}

/// What a host gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A datagram for the host.
    Datagram(HostId, Datagram),
    /// News of a stream of the host.
    Tcp(HostId, TcpEvent),
    /// The host's addresses changed.
    Addresses(HostId, Vec<IpAddr>),
}

struct Host {
    interfaces: Vec<InterfaceId>,
    listeners: BTreeSet<SocketAddr>,
    connections: BTreeMap<(SocketAddr, SocketAddr), Connection>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Host(HostId),
    Gateway(GatewayId),
}

struct Interface {
    owner: Owner,
    segment: SegmentId,
    addresses: Vec<IpAddr>,
    up: Link,
    down: Link,
    plugged: bool,
}

#[derive(Default)]
struct Segm {
    members: BTreeMap<IpAddr, InterfaceId>,
    /// Addresses that lie behind a gateway and are reached without translation.
    behind: BTreeMap<IpAddr, GatewayId>,
    gateway: Option<GatewayId>,
}

struct Gateway {
    nat: Option<Nat>,
    firewall: Option<Firewall>,
    outer: InterfaceId,
    inner: SegmentId,
}

enum Event {
    LinkFree(InterfaceId, Direction),
    LeftLink(InterfaceId, Direction, Packet),
    ConnectTimeout(HostId, SocketAddr, SocketAddr),
    Script(Action),
}

struct Scheduled {
    at: Instant,
    order: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the largest: the earliest is largest, first come first served.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The network. Time moves only when it is told to, see [`Network::step`].
pub struct Network {
    rng: StdRng,
    seed: u64,
    start: Instant,
    now: Instant,
    order: u64,
    events: BinaryHeap<Scheduled>,
    hosts: Vec<Host>,
    interfaces: Vec<Interface>,
    segments: Vec<Segm>,
    gateways: Vec<Gateway>,
    deliveries: VecDeque<Delivery>,
    stats: NetworkStats,
}

impl Network {
    /// An empty network with one segment, [`Network::internet`].
    pub fn new(seed: u64) -> Self {
        let start = Instant::now();
        Self {
            rng: StdRng::seed_from_u64(seed),
            seed,
            start,
            now: start,
            order: 0,
            events: BinaryHeap::new(),
            hosts: Vec::new(),
            interfaces: Vec::new(),
            segments: vec![Segm::default()],
            gateways: Vec::new(),
            deliveries: VecDeque::new(),
            stats: NetworkStats::default(),
        }
    }

    /// Two hosts, 10.0.0.1 and 10.0.0.2, with `a_to_b` and `b_to_a` between them.
    pub fn pair(seed: u64, a_to_b: LinkConfig, b_to_a: LinkConfig) -> (Self, HostId, HostId) {
        let mut network = Self::new(seed);
        let core = network.internet();
        let a = network.add_host();
        let b = network.add_host();
        let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        network.attach(a, core, &[ip(1)], a_to_b, b_to_a);
        network.attach(b, core, &[ip(2)], LinkConfig::new(), LinkConfig::new());
        (network, a, b)
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.start)
    }

    /// Counters of the network; links and NATs have their own.
    pub fn stats(&self) -> &NetworkStats {
        &self.stats
    }

    /// The segment that has no gateway above it.
    pub fn internet(&self) -> SegmentId {
        SegmentId(0)
    }

    /// A further segment with no way out; gateways make theirs by themselves.
    pub fn add_segment(&mut self) -> SegmentId {
        self.segments.push(Segm::default());
        SegmentId(self.segments.len() - 1)
    }

    /// A host without interfaces.
    pub fn add_host(&mut self) -> HostId {
        self.hosts.push(Host {
            interfaces: Vec::new(),
            listeners: BTreeSet::new(),
            connections: BTreeMap::new(),
        });
        HostId(self.hosts.len() - 1)
    }

    /// Gives a host an interface on a segment.
    pub fn attach(
        &mut self,
        host: HostId,
        segment: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> InterfaceId {
        let interface = self.add_interface(Owner::Host(host), segment, addresses, up, down);
        if let Some(host) = self.hosts.get_mut(host.0) {
            host.interfaces.push(interface);
        }
        interface
    }

    /// Puts a NAT on `outer` with the external address `address`. Returns it and the segment
    /// behind it. IPv6 hosts behind it keep their addresses.
    pub fn add_nat(
        &mut self,
        outer: SegmentId,
        address: IpAddr,
        config: NatConfig,
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        let nat = Nat::new(config, address);
        self.add_gateway(Some(nat), None, outer, &[address], up, down)
    }

    /// Puts a firewall on `outer`. Returns it and the segment behind it, whose hosts keep their
    /// addresses.
    pub fn add_firewall(
        &mut self,
        outer: SegmentId,
        firewall: Firewall,
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        self.add_gateway(None, Some(firewall), outer, &[], up, down)
    }

    fn add_gateway(
        &mut self,
        nat: Option<Nat>,
        firewall: Option<Firewall>,
        outer: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> (GatewayId, SegmentId) {
        let gateway = GatewayId(self.gateways.len());
        let inner = self.add_segment();
        if let Some(segment) = self.segments.get_mut(inner.0) {
            segment.gateway = Some(gateway);
        }
        let outer = self.add_interface(Owner::Gateway(gateway), outer, addresses, up, down);
        self.gateways.push(Gateway {
            nat,
            firewall,
            outer,
            inner,
        });
        (gateway, inner)
    }

    fn add_interface(
        &mut self,
        owner: Owner,
        segment: SegmentId,
        addresses: &[IpAddr],
        up: LinkConfig,
        down: LinkConfig,
    ) -> InterfaceId {
        let id = InterfaceId(self.interfaces.len());
        self.interfaces.push(Interface {
            owner,
            segment,
            addresses: Vec::new(),
            up: Link::new(up),
            down: Link::new(down),
            plugged: true,
        });
        self.set_addresses(id, addresses.to_vec());
        id
    }

    /// The host's first address with a port.
    ///
    /// # Panics
    /// When the host has no address.
    #[allow(clippy::expect_used, reason = "a test's own mistake")]
    pub fn addr(&self, host: HostId, port: u16) -> SocketAddr {
        let ip = self
            .addresses(host)
            .first()
            .copied()
            .expect("the host has an address");
        SocketAddr::new(ip, port)
    }

    /// All addresses of a host's plugged interfaces.
    pub fn addresses(&self, host: HostId) -> Vec<IpAddr> {
        let interfaces = self
            .hosts
            .get(host.0)
            .map(|h| h.interfaces.as_slice())
            .unwrap_or(&[]);
        interfaces
            .iter()
            .filter_map(|id| self.interfaces.get(id.0))
            .filter(|interface| interface.plugged)
            .flat_map(|interface| interface.addresses.iter().copied())
            .collect()
    }

    /// The counters of one direction of an interface's link.
    pub fn link_stats(&self, interface: InterfaceId, direction: Direction) -> LinkStats {
        self.interfaces
            .get(interface.0)
            .map_or_else(LinkStats::default, |i| match direction {
                Direction::Up => i.up.stats(),
                Direction::Down => i.down.stats(),
            })
    }

    /// The interfaces of a host, in the order of their making.
    pub fn interfaces(&self, host: HostId) -> &[InterfaceId] {
        self.hosts.get(host.0).map_or(&[], |h| &h.interfaces)
    }

    /// The counters of a NAT; zeros for a firewall.
    pub fn nat_stats(&self, gateway: GatewayId) -> NatStats {
        self.gateways
            .get(gateway.0)
            .and_then(|gateway| gateway.nat.as_ref())
            .map_or_else(NatStats::default, |nat| nat.stats)
    }

    /// Puts a filter into a NAT, or changes a firewall's rules.
    pub fn set_firewall(&mut self, gateway: GatewayId, firewall: Option<Firewall>) {
        if let Some(gateway) = self.gateways.get_mut(gateway.0) {
            gateway.firewall = firewall;
        }
    }

    /// Has `action` done `after` from now.
    pub fn schedule(&mut self, after: Duration, action: Action) {
        self.push(self.now + after, Event::Script(action));
    }

    /// Does `action` at once.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Unplug(id) => self.set_plugged(id, false),
            Action::Plug(id) => self.set_plugged(id, true),
            Action::SetAddresses(id, addresses) => {
                self.set_addresses(id, addresses);
                self.tell_addresses(id);
            }
            Action::SetLink(id, direction, config) => {
                if let Some(interface) = self.interfaces.get_mut(id.0) {
                    match direction {
                        Direction::Up => interface.up.set_config(config),
                        Direction::Down => interface.down.set_config(config),
                    }
                }
            }
            Action::RebootNat(id, address) => {
                let outer = self.gateways.get_mut(id.0).and_then(|gateway| {
                    let nat = gateway.nat.as_mut()?;
                    nat.reboot(address);
                    Some((gateway.outer, nat.outer()))
                });
                if let Some((interface, address)) = outer {
                    self.set_addresses(interface, vec![address]);
                }
            }
            Action::SetFirewall(id, firewall) => self.set_firewall(id, firewall),
        }
    }

    fn set_plugged(&mut self, id: InterfaceId, plugged: bool) {
        if let Some(interface) = self.interfaces.get_mut(id.0) {
            interface.plugged = plugged;
            interface.up.set_up(plugged);
            interface.down.set_up(plugged);
        }
        self.tell_addresses(id);
    }

    fn tell_addresses(&mut self, id: InterfaceId) {
        let owner = self.interfaces.get(id.0).map(|interface| interface.owner);
        if let Some(Owner::Host(host)) = owner {
            let addresses = self.addresses(host);
            self.deliveries
                .push_back(Delivery::Addresses(host, addresses));
        }
    }

    fn set_addresses(&mut self, id: InterfaceId, addresses: Vec<IpAddr>) {
        let Some(interface) = self.interfaces.get_mut(id.0) else {
            return;
        };
        let old = std::mem::replace(&mut interface.addresses, addresses.clone());
        let segment = interface.segment;
        for (ip, add) in old
            .into_iter()
            .map(|ip| (ip, false))
            .chain(addresses.iter().map(|ip| (*ip, true)))
        {
            let Some(members) = self.segments.get_mut(segment.0).map(|s| &mut s.members) else {
                continue;
            };
            if add {
                members.insert(ip, id);
            } else if members.get(&ip) == Some(&id) {
                members.remove(&ip);
            }
            self.announce(segment, ip, add);
        }
    }

    /// Tells the segments above which addresses are reached without translation.
    fn announce(&mut self, mut segment: SegmentId, ip: IpAddr, add: bool) {
        while let Some(id) = self.segments.get(segment.0).and_then(|s| s.gateway) {
            let Some(gateway) = self.gateways.get(id.0) else {
                return;
            };
            if gateway.nat.is_some() && ip.is_ipv4() {
                return;
            }
            let Some(outer) = self.interfaces.get(gateway.outer.0).map(|i| i.segment) else {
                return;
            };
            if let Some(above) = self.segments.get_mut(outer.0) {
                if add {
                    above.behind.insert(ip, id);
                } else {
                    above.behind.remove(&ip);
                }
            }
            segment = outer;
        }
    }

    /// A host sends a datagram. Its source must be one of the host's addresses.
    pub fn send(&mut self, host: HostId, datagram: Datagram) {
        self.stats.sent += 1;
        self.send_packet(
            host,
            Packet {
                datagram,
                segment: None,
                hops: 0,
            },
        );
    }

    fn send_packet(&mut self, host: HostId, packet: Packet) {
        let source = packet.datagram.src.ip();
        // A host reaches itself without a wire.
        if self.addresses(host).contains(&packet.datagram.dst.ip()) {
            return self.deliver(host, packet);
        }
        let interface = self.hosts.get(host.0).and_then(|host| {
            host.interfaces.iter().copied().find(|id| {
                self.interfaces
                    .get(id.0)
                    .is_some_and(|i| i.addresses.contains(&source))
            })
        });
        match interface {
            Some(interface) => self.enter_link(interface, Direction::Up, packet),
            None => self.drop_packet(DropReason::BadSource),
        }
    }

    /// A host does something with a stream.
    pub fn tcp(&mut self, host: HostId, command: TcpCommand) {
        match command {
            TcpCommand::Listen(addr) => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.listeners.insert(addr);
                }
            }
            TcpCommand::Connect { local, remote } => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.connections
                        .insert((local, remote), Connection::default());
                }
                self.push(
                    self.now + TCP_CONNECT_TIMEOUT,
                    Event::ConnectTimeout(host, local, remote),
                );
                self.send_segment(host, local, remote, Kind::Syn, Vec::new());
            }
            TcpCommand::Send {
                local,
                remote,
                bytes,
            } => {
                self.send_segment(host, local, remote, Kind::Data, bytes);
            }
            TcpCommand::Close { local, remote } => {
                self.send_segment(host, local, remote, Kind::Fin, Vec::new());
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.connections.remove(&(local, remote));
                }
            }
        }
    }

    fn send_segment(
        &mut self,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        kind: Kind,
        bytes: Vec<u8>,
    ) {
        let connection = self
            .hosts
            .get_mut(host.0)
            .and_then(|h| h.connections.get_mut(&(local, remote)));
        let number = match (connection, kind) {
            (_, Kind::Reset) => 0,
            (Some(connection), _) if connection.open || kind != Kind::Data => {
                let number = connection.next_out;
                connection.next_out += 1;
                number
            }
            _ => return,
        };
        let datagram = Datagram::new(local, remote, bytes);
        self.send_packet(
            host,
            Packet {
                datagram,
                segment: Some(Segment { kind, number }),
                hops: 0,
            },
        );
    }

    /// When the next thing happens by itself.
    pub fn next_event(&self) -> Option<Instant> {
        if self.deliveries.is_empty() {
            self.events.peek().map(|scheduled| scheduled.at)
        } else {
            Some(self.now)
        }
    }

    /// Moves time to `until`, or to the first delivery before it, and returns that delivery.
    pub fn step(&mut self, until: Instant) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.deliveries.pop_front() {
                return Some(delivery);
            }
            let due = self
                .events
                .peek()
                .is_some_and(|scheduled| scheduled.at <= until);
            let Some(scheduled) = due.then(|| self.events.pop()).flatten() else {
                self.now = self.now.max(until);
                return None;
            };
            self.now = self.now.max(scheduled.at);
            self.happen(scheduled.event);
        }
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.events.push(Scheduled {
            at,
            order: self.order,
            event,
        });
    }

    fn drop_packet(&mut self, reason: DropReason) {
        *self.stats.dropped.entry(reason).or_default() += 1;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::LinkFree(id, direction) => {
                let mut arrivals = Vec::new();
                let now = self.now;
                let Some(link) = self.link_mut(id, direction) else {
                    return;
                };
                let (link, rng) = link;
                let free = link.transmitted(now, &mut arrivals, rng);
                self.after_link(id, direction, free, arrivals);
            }
            Event::LeftLink(id, direction, packet) => self.left_link(id, direction, packet),
            Event::ConnectTimeout(host, local, remote) => {
                let waiting = self.hosts.get_mut(host.0).is_some_and(|h| {
                    let waiting = h.connections.get(&(local, remote)).is_some_and(|c| !c.open);
                    if waiting {
                        h.connections.remove(&(local, remote));
                    }
                    waiting
                });
                if waiting {
                    let event = TcpEvent::Closed { local, remote };
                    self.deliveries.push_back(Delivery::Tcp(host, event));
                }
            }
            Event::Script(action) => self.act(action),
        }
    }

    fn link_mut(
        &mut self,
        id: InterfaceId,
        direction: Direction,
    ) -> Option<(&mut Link, &mut StdRng)> {
        let interface = self.interfaces.get_mut(id.0)?;
        let link = match direction {
            Direction::Up => &mut interface.up,
            Direction::Down => &mut interface.down,
        };
        Some((link, &mut self.rng))
    }

    fn enter_link(&mut self, id: InterfaceId, direction: Direction, packet: Packet) {
        if !self
            .interfaces
            .get(id.0)
            .is_some_and(|interface| interface.plugged)
        {
            return self.drop_packet(DropReason::Unplugged);
        }
        let mut arrivals = Vec::new();
        let now = self.now;
        let Some((link, rng)) = self.link_mut(id, direction) else {
            return;
        };
        let free = link.enqueue(now, packet, &mut arrivals, rng);
        self.after_link(id, direction, free, arrivals);
    }

    fn after_link(
        &mut self,
        id: InterfaceId,
        direction: Direction,
        free: Option<Instant>,
        arrivals: Vec<(Instant, Packet)>,
    ) {
        if let Some(at) = free {
            self.push(at, Event::LinkFree(id, direction));
        }
        for (at, packet) in arrivals {
            self.push(at, Event::LeftLink(id, direction, packet));
        }
    }

    fn left_link(&mut self, id: InterfaceId, direction: Direction, packet: Packet) {
        let Some(interface) = self.interfaces.get(id.0) else {
            return;
        };
        if !interface.plugged {
            return self.drop_packet(DropReason::Unplugged);
        }
        match (direction, interface.owner) {
            (Direction::Up, _) => {
                let segment = interface.segment;
                self.route(segment, packet);
            }
            (Direction::Down, Owner::Host(host)) => {
                if interface.addresses.contains(&packet.datagram.dst.ip()) {
                    self.deliver(host, packet);
                } else {
                    self.drop_packet(DropReason::Unroutable);
                }
            }
            (Direction::Down, Owner::Gateway(gateway)) => self.inward(gateway, packet),
        }
    }

    fn route(&mut self, segment: SegmentId, mut packet: Packet) {
        packet.hops += 1;
        if packet.hops > MAX_HOPS {
            return self.drop_packet(DropReason::Hops);
        }
        let Some(segm) = self.segments.get(segment.0) else {
            return;
        };
        let ip = packet.datagram.dst.ip();
        if let Some(member) = segm.members.get(&ip) {
            return self.enter_link(*member, Direction::Down, packet);
        }
        if let Some(gateway) = segm.behind.get(&ip) {
            let Some(outer) = self.gateways.get(gateway.0).map(|g| g.outer) else {
                return;
            };
            return self.enter_link(outer, Direction::Down, packet);
        }
        match segm.gateway {
            Some(gateway) => self.outward(gateway, packet),
            None => self.drop_packet(DropReason::Unroutable),
        }
    }

    /// From a gateway's inner segment towards its outer one.
    fn outward(&mut self, id: GatewayId, mut packet: Packet) {
        let now = self.now;
        let Some(gateway) = self.gateways.get_mut(id.0) else {
            return;
        };
        let (src, dst) = (packet.datagram.src, packet.datagram.dst);
        let transport = packet.transport();
        if let Some(firewall) = &mut gateway.firewall
            && !firewall.outbound(now, transport, src, dst)
        {
            return self.drop_packet(DropReason::Firewall);
        }
        let outer = gateway.outer;
        let inner = gateway.inner;
        match gateway.nat.as_mut().filter(|_| src.is_ipv4()) {
            None => self.enter_link(outer, Direction::Up, packet),
            Some(nat) => {
                let Some(mapped) = nat.outbound(now, transport, src, dst, &mut self.rng) else {
                    return self.drop_packet(DropReason::Nat);
                };
                packet.datagram.src = mapped;
                if dst.ip() != nat.outer() {
                    return self.enter_link(outer, Direction::Up, packet);
                }
                if !nat.hairpinning() {
                    return self.drop_packet(DropReason::Nat);
                }
                let Some(turned) = nat.inbound(now, transport, dst, mapped) else {
                    return self.drop_packet(DropReason::Nat);
                };
                nat.stats.hairpinned += 1;
                packet.datagram.dst = turned;
                self.route(inner, packet);
            }
        }
    }

    /// From a gateway's outer segment to its inner one.
    fn inward(&mut self, id: GatewayId, mut packet: Packet) {
        let now = self.now;
        let Some(gateway) = self.gateways.get_mut(id.0) else {
            return;
        };
        let (src, dst) = (packet.datagram.src, packet.datagram.dst);
        let transport = packet.transport();
        let inner = gateway.inner;
        if let Some(nat) = gateway.nat.as_mut().filter(|_| dst.is_ipv4()) {
            match nat.inbound(now, transport, dst, src) {
                Some(mapped) => packet.datagram.dst = mapped,
                None => return self.drop_packet(DropReason::Nat),
            }
        }
        if let Some(firewall) = &mut gateway.firewall
            && !firewall.inbound(now, transport, packet.datagram.dst, src)
        {
            return self.drop_packet(DropReason::Firewall);
        }
        self.route(inner, packet);
    }

    fn deliver(&mut self, host: HostId, packet: Packet) {
        let Packet {
            datagram, segment, ..
        } = packet;
        match segment {
            None => {
                self.stats.received += 1;
                self.deliveries
                    .push_back(Delivery::Datagram(host, datagram));
            }
            Some(segment) => self.deliver_segment(host, segment, datagram),
        }
    }

    fn deliver_segment(&mut self, id: HostId, segment: Segment, datagram: Datagram) {
        let (local, remote) = (datagram.dst, datagram.src);
        let Some(host) = self.hosts.get_mut(id.0) else {
            return;
        };
        if segment.kind == Kind::Reset {
            if host.connections.remove(&(local, remote)).is_some() {
                let event = TcpEvent::Closed { local, remote };
                self.deliveries.push_back(Delivery::Tcp(id, event));
            }
            return;
        }
        if segment.kind == Kind::Syn && !host.connections.contains_key(&(local, remote)) {
            if !host.listeners.contains(&local) {
                return self.send_segment(id, local, remote, Kind::Reset, Vec::new());
            }
            host.connections
                .insert((local, remote), Connection::default());
        }
        let Some(connection) = host.connections.get_mut(&(local, remote)) else {
            return self.send_segment(id, local, remote, Kind::Reset, Vec::new());
        };
        for (kind, bytes) in connection.in_order(segment, datagram.payload) {
            self.stream_part(id, local, remote, kind, bytes);
        }
    }

    fn stream_part(
        &mut self,
        id: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        kind: Kind,
        bytes: Vec<u8>,
    ) {
        let Some(host) = self.hosts.get_mut(id.0) else {
            return;
        };
        let Some(connection) = host.connections.get_mut(&(local, remote)) else {
            return;
        };
        let event = match kind {
            Kind::Syn => {
                // The far end's first packet; on a simultaneous open both have asked.
                let asked = connection.next_out > 0;
                let was_open = std::mem::replace(&mut connection.open, true);
                if !asked {
                    self.send_segment(id, local, remote, Kind::SynAck, Vec::new());
                }
                if was_open {
                    return;
                }
                if asked {
                    TcpEvent::Connected { local, remote }
                } else {
                    TcpEvent::Accepted { local, remote }
                }
            }
            Kind::SynAck => {
                connection.open = true;
                TcpEvent::Connected { local, remote }
            }
            Kind::Data => TcpEvent::Data {
                local,
                remote,
                bytes,
            },
            Kind::Fin | Kind::Reset => {
                host.connections.remove(&(local, remote));
                TcpEvent::Closed { local, remote }
            }
        };
        self.deliveries.push_back(Delivery::Tcp(id, event));
    }

    /// Whether the host has this connection open.
    pub fn has_connection(&self, host: HostId, local: SocketAddr, remote: SocketAddr) -> bool {
        self.hosts
            .get(host.0)
            .and_then(|host| host.connections.get(&(local, remote)))
            .is_some_and(|connection| connection.open)
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("elapsed", &self.elapsed())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
