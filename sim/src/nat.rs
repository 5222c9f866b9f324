//! Network address translators, by the behaviours of RFC 4787 (UDP) and RFC 5382 (TCP).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::packet::Transport;

/// What a mapping or a filter looks at on the far side (RFC 4787 §4.1 and §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Behaviour {
    /// The far side does not matter.
    EndpointIndependent,
    /// The far side's address matters.
    AddressDependent,
    /// The far side's address and port matter.
    AddressAndPortDependent,
}

impl Behaviour {
    /// All three, in the RFC's order.
    pub const ALL: [Self; 3] = [
        Self::EndpointIndependent,
        Self::AddressDependent,
        Self::AddressAndPortDependent,
    ];
}

/// How external ports are chosen (RFC 4787 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortAssignment {
    /// The internal port where it is free, else the next free one.
    Preserving,
    /// One after the other.
    Sequential,
    /// Drawn at random.
    Random,
}

/// A NAT's behaviours. The default is the well-behaved NAT of RFC 4787: endpoint-independent
/// mapping, address-dependent filtering, hairpinning, timeouts of 5 minutes.
#[derive(Clone, Debug)]
pub struct NatConfig {
    pub(crate) mapping: Behaviour,
    pub(crate) filtering: Behaviour,
    pub(crate) hairpinning: bool,
    pub(crate) ports: PortAssignment,
    pub(crate) udp_timeout: Duration,
    pub(crate) tcp_timeout: Duration,
    pub(crate) inbound_refresh: bool,
    pub(crate) max_mappings: usize,
}

impl Default for NatConfig {
    fn default() -> Self {
        Self {
            mapping: Behaviour::EndpointIndependent,
            filtering: Behaviour::AddressDependent,
            hairpinning: true,
            ports: PortAssignment::Preserving,
            udp_timeout: Duration::from_secs(300),
            tcp_timeout: Duration::from_secs(2 * 3600 + 4 * 60),
            inbound_refresh: false,
            max_mappings: 65_536,
        }
    }
}

impl NatConfig {
    /// A NAT with these behaviours and the defaults for the rest.
    pub fn new(mapping: Behaviour, filtering: Behaviour) -> Self {
        Self {
            mapping,
            filtering,
            ..Self::default()
        }
    }

    /// Whether inner hosts reach each other by their external addresses (RFC 4787 §6).
    pub fn hairpinning(mut self, yes: bool) -> Self {
        self.hairpinning = yes;
        self
    }

    /// How external ports are chosen.
    pub fn ports(mut self, ports: PortAssignment) -> Self {
        self.ports = ports;
        self
    }

    /// How long an unused UDP mapping lives (RFC 4787 §4.3: at least 2 minutes, 5 by default).
    pub fn udp_timeout(mut self, timeout: Duration) -> Self {
        self.udp_timeout = timeout;
        self
    }

    /// How long an unused TCP mapping lives (RFC 5382 §5: at least 2 h 4 min).
    pub fn tcp_timeout(mut self, timeout: Duration) -> Self {
        self.tcp_timeout = timeout;
        self
    }

    /// Whether packets from outside keep a mapping alive too (RFC 4787 §4.3, REQ-6).
    pub fn inbound_refresh(mut self, yes: bool) -> Self {
        self.inbound_refresh = yes;
        self
    }

    /// Mappings held at once; further ones are refused.
    pub fn max_mappings(mut self, max: usize) -> Self {
        self.max_mappings = max;
        self
    }
}

/// What happened in a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatStats {
    /// Mappings made.
    pub created: u64,
    /// Packets from outside with no mapping.
    pub unmapped: u64,
    /// Packets from outside that the filter refused.
    pub filtered: u64,
    /// Packets turned around inside.
    pub hairpinned: u64,
    /// Packets from inside that found no free port or table entry.
    pub exhausted: u64,
}

type Key = (Transport, SocketAddr, Option<IpAddr>, Option<u16>);

struct Mapping {
    inner: SocketAddr,
    key: Key,
    expires: Instant,
    /// Far sides that inner hosts have sent to.
    contacted: BTreeSet<SocketAddr>,
}

/// The translation table.
pub(crate) struct Nat {
    config: NatConfig,
    outer: IpAddr,
    by_inner: BTreeMap<Key, SocketAddr>,
    by_outer: BTreeMap<(Transport, SocketAddr), Mapping>,
    next_port: u16,
    pub(crate) stats: NatStats,
}

/// First port given out.
const FIRST_PORT: u16 = 1024;

impl Nat {
    pub(crate) fn new(config: NatConfig, outer: IpAddr) -> Self {
        Self {
            config,
            outer,
            by_inner: BTreeMap::new(),
            by_outer: BTreeMap::new(),
            next_port: 40_000,
            stats: NatStats::default(),
        }
    }

    pub(crate) fn outer(&self) -> IpAddr {
        self.outer
    }

    pub(crate) fn hairpinning(&self) -> bool {
        self.config.hairpinning
    }

    /// Forgets everything, as after a power cut; with a new external address if one is given.
    pub(crate) fn reboot(&mut self, outer: Option<IpAddr>) {
        self.by_inner.clear();
        self.by_outer.clear();
        if let Some(outer) = outer {
            self.outer = outer;
        }
    }

    /// The external address for a packet from inside, or `None` when there is no room.
    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        transport: Transport,
        inner: SocketAddr,
        remote: SocketAddr,
        rng: &mut impl Rng,
    ) -> Option<SocketAddr> {
        let key: Key = match self.config.mapping {
            Behaviour::EndpointIndependent => (transport, inner, None, None),
            Behaviour::AddressDependent => (transport, inner, Some(remote.ip()), None),
            Behaviour::AddressAndPortDependent => {
                (transport, inner, Some(remote.ip()), Some(remote.port()))
            }
        };
        let lifetime = match transport {
            Transport::Udp => self.config.udp_timeout,
            Transport::Tcp => self.config.tcp_timeout,
        };
        if let Some(outer) = self.by_inner.get(&key).copied() {
            if let Some(mapping) = self.by_outer.get_mut(&(transport, outer))
                && mapping.expires > now
            {
                mapping.expires = now + lifetime;
                mapping.contacted.insert(remote);
                return Some(outer);
            }
            self.by_outer.remove(&(transport, outer));
            self.by_inner.remove(&key);
        }
        if self.by_outer.len() >= self.config.max_mappings {
            self.expire(now);
        }
        let outer = (self.by_outer.len() < self.config.max_mappings)
            .then(|| self.free_port(now, transport, inner.port(), rng))
            .flatten();
        let Some(outer) = outer else {
            self.stats.exhausted += 1;
            return None;
        };
        self.stats.created += 1;
        self.by_inner.insert(key, outer);
        let contacted = BTreeSet::from([remote]);
        let mapping = Mapping {
            inner,
            key,
            expires: now + lifetime,
            contacted,
        };
        self.by_outer.insert((transport, outer), mapping);
        Some(outer)
    }

    /// The inner address for a packet from outside, or `None` when it may not pass.
    pub(crate) fn inbound(
        &mut self,
        now: Instant,
        transport: Transport,
        outer: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let Some(mapping) = self
            .by_outer
            .get_mut(&(transport, outer))
            .filter(|m| m.expires > now)
        else {
            self.stats.unmapped += 1;
            return None;
        };
        let passes = match self.config.filtering {
            Behaviour::EndpointIndependent => true,
            Behaviour::AddressDependent => mapping
                .contacted
                .iter()
                .any(|known| known.ip() == remote.ip()),
            Behaviour::AddressAndPortDependent => mapping.contacted.contains(&remote),
        };
        if !passes {
            self.stats.filtered += 1;
            return None;
        }
        if self.config.inbound_refresh {
            mapping.expires = now
                + match transport {
                    Transport::Udp => self.config.udp_timeout,
                    Transport::Tcp => self.config.tcp_timeout,
                };
        }
        Some(mapping.inner)
    }

    fn expire(&mut self, now: Instant) {
        let by_inner = &mut self.by_inner;
        self.by_outer.retain(|_, mapping| {
            let alive = mapping.expires > now;
            if !alive {
                by_inner.remove(&mapping.key);
            }
            alive
        });
    }

    fn free_port(
        &mut self,
        now: Instant,
        transport: Transport,
        inner_port: u16,
        rng: &mut impl Rng,
    ) -> Option<SocketAddr> {
        let start = match self.config.ports {
            PortAssignment::Preserving => inner_port.max(FIRST_PORT),
            PortAssignment::Sequential => self.next_port,
            PortAssignment::Random => rng.random_range(FIRST_PORT..=u16::MAX),
        };
        let range = u32::from(u16::MAX - FIRST_PORT) + 1;
        for step in 0..range {
            let offset = (u32::from(start - FIRST_PORT) + step) % range;
            let port = FIRST_PORT + offset as u16;
            let candidate = SocketAddr::new(self.outer, port);
            let free = self
                .by_outer
                .get(&(transport, candidate))
                .is_none_or(|mapping| mapping.expires <= now);
            if free {
                if let Some(old) = self.by_outer.remove(&(transport, candidate)) {
                    self.by_inner.remove(&old.key);
                }
                self.next_port = if port == u16::MAX {
                    FIRST_PORT
                } else {
                    port + 1
                };
                return Some(candidate);
            }
        }
        None
    }
}
