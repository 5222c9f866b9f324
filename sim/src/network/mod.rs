//! Hosts, segments, gateways, and the event queue that moves packets between them.
//!
//! - `build` makes them, `change` changes them while it runs;
//! - `events` is what is going to happen;
//! - `forward` is a packet's way; `streams` is TCP at the hosts.

mod build;
mod change;
mod events;
mod forward;
mod streams;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use events::{Event, Scheduled};

use crate::accidents::{Accidents, Harm, Place};
use crate::firewall::Firewall;
use crate::link::{Direction, Link, LinkConfig, LinkStats};
use crate::nat::{Nat, NatStats};
use crate::packet::Datagram;
use crate::tcp::{Connection, TcpEvent};

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(usize);

impl HostId {
    #[cfg(feature = "capture")]
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

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

/// Time after which a connection is asked for again (RFC 6298 §2.1), doubled each time.
pub const TCP_CONNECT_RETRY: Duration = Duration::from_secs(1);

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
    scripted: usize,
    accidents: Option<Accidents>,
    #[cfg(feature = "capture")]
    recording: Option<crate::record::Recording>,
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
            scripted: 0,
            accidents: None,
            #[cfg(feature = "capture")]
            recording: None,
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

    pub(crate) fn set_accidents(&mut self, accidents: Accidents) {
        self.accidents = Some(accidents);
    }

    #[cfg(feature = "capture")]
    pub(crate) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    #[cfg(feature = "capture")]
    pub(crate) fn recording_mut(&mut self) -> Option<&mut crate::record::Recording> {
        self.recording.as_mut()
    }

    #[cfg(feature = "capture")]
    pub(crate) fn set_recording(
        &mut self,
        recording: Option<crate::record::Recording>,
    ) -> Option<crate::record::Recording> {
        std::mem::replace(&mut self.recording, recording)
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
                let (link, mut chance) = link;
                let free = link.transmitted(now, &mut arrivals, &mut chance);
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
            Event::ConnectAgain(host, local, remote, waited) => {
                self.connect_again(host, local, remote, waited);
            }
            Event::Refuse(gateway, outer, remote) => self.refuse(gateway, outer, remote),
            Event::Script(number, action) => {
                let happens = self.accidents.as_ref().is_none_or(|accidents| {
                    let place = Place::Script(number);
                    let harm = Harm::Action;
                    accidents
                        .decide(self.elapsed(), place, harm, Some(harm))
                        .is_some()
                });
                if happens {
                    self.act(action);
                }
            }
        }
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
