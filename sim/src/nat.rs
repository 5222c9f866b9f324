//! Network address translators, by the behaviours of RFC 4787 (UDP) and RFC 5382 (TCP).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::packet::Transport;
use crate::tcp::Kind;

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

/// What a NAT does with a stranger's wish for a TCP connection (RFC 5382 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsolicitedSyn {
    /// Waits six seconds for one from inside to the stranger, and refuses only if there is none (REQ-4): two ends that
    /// open at the same time find each other.
    Hold,
    /// Says nothing.
    Drop,
    /// Refuses at once. Against the RFC, but there are such: it ends a simultaneous open.
    Refuse,
}

/// How long [`UnsolicitedSyn::Hold`] waits (RFC 5382 §4.3, REQ-4).
pub const UNSOLICITED_SYN_WAIT: Duration = Duration::from_secs(6);

/// A NAT's behaviours. The default is the well-behaved NAT of RFC 4787 and RFC 5382: endpoint-independent
/// mapping, address-dependent filtering, hairpinning, timeouts of 5 minutes (UDP), 2 hours 4 minutes (TCP) and 4 minutes
/// (TCP that opens or closes), unsolicited connections held for six seconds.
#[derive(Clone, Debug)]
pub struct NatConfig {
    pub(crate) mapping: Behaviour,
    pub(crate) filtering: Behaviour,
    pub(crate) hairpinning: bool,
    pub(crate) ports: PortAssignment,
    pub(crate) udp_timeout: Duration,
    pub(crate) tcp_timeout: Duration,
    pub(crate) tcp_transitory_timeout: Duration,
    pub(crate) unsolicited_syn: UnsolicitedSyn,
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
            tcp_transitory_timeout: Duration::from_secs(4 * 60),
            unsolicited_syn: UnsolicitedSyn::Hold,
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

    /// How long an established connection lives that nobody uses (RFC 5382 §5, REQ-5: at least 2 h 4 min).
    pub fn tcp_timeout(mut self, timeout: Duration) -> Self {
        self.tcp_timeout = timeout;
        self
    }

    /// How long a connection lives that one end only has spoken on, or that one end has closed (RFC 5382 §5, REQ-5: at
    /// least 4 min).
    pub fn tcp_transitory_timeout(mut self, timeout: Duration) -> Self {
        self.tcp_transitory_timeout = timeout;
        self
    }

    /// What becomes of connections from outside that the filter refuses (RFC 5382 §4.3).
    pub fn unsolicited_syn(mut self, answer: UnsolicitedSyn) -> Self {
        self.unsolicited_syn = answer;
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
    /// Connections, by far side; none for UDP.
    connections: BTreeMap<SocketAddr, Connection>,
}

/// What a NAT knows of a TCP connection.
struct Connection {
    /// The inner end has spoken, the far end has.
    spoken: [bool; 2],
    closing: bool,
    expires: Instant,
}

impl Connection {
    /// Takes note of a packet; true where that changes what the connection is.
    fn passes(&mut self, inbound: bool, kind: Kind) -> bool {
        let before = (self.spoken, self.closing);
        if let Some(spoken) = self.spoken.get_mut(usize::from(inbound)) {
            *spoken = true;
        }
        self.closing |= matches!(kind, Kind::Fin | Kind::Reset);
        before != (self.spoken, self.closing)
    }
}

impl Mapping {
    /// A packet of a connection passed: RFC 5382 §5.
    fn connection(
        &mut self,
        now: Instant,
        config: &NatConfig,
        remote: SocketAddr,
        (inbound, kind): (bool, Kind),
    ) {
        self.connections.retain(|_, c| c.expires > now);
        let connection = self.connections.entry(remote).or_insert(Connection {
            spoken: [false; 2],
            closing: false,
            expires: now,
        });
        if kind == Kind::Syn && !inbound && connection.closing {
            // Another one between the same ends.
            (connection.spoken, connection.closing) = ([false; 2], false);
        }
        let changed = connection.passes(inbound, kind);
        if changed || !inbound || config.inbound_refresh {
            let established = connection.spoken == [true; 2] && !connection.closing;
            connection.expires = now
                + if established {
                    config.tcp_timeout
                } else {
                    config.tcp_transitory_timeout
                };
        }
        self.expires = self
            .connections
            .values()
            .map(|c| c.expires)
            .max()
            .unwrap_or(now);
    }
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
        segment: Option<Kind>,
        rng: &mut impl Rng,
    ) -> Option<SocketAddr> {
        let key: Key = match self.config.mapping {
            Behaviour::EndpointIndependent => (transport, inner, None, None),
            Behaviour::AddressDependent => (transport, inner, Some(remote.ip()), None),
            Behaviour::AddressAndPortDependent => {
                (transport, inner, Some(remote.ip()), Some(remote.port()))
            }
        };
        let lifetime = self.config.udp_timeout;
        if let Some(outer) = self.by_inner.get(&key).copied() {
            if let Some(mapping) = self.by_outer.get_mut(&(transport, outer))
                && mapping.expires > now
            {
                mapping.contacted.insert(remote);
                match segment {
                    Some(kind) => mapping.connection(now, &self.config, remote, (false, kind)),
                    None => mapping.expires = now + lifetime,
                }
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
        let mut mapping = Mapping {
            inner,
            key,
            expires: now + lifetime,
            contacted,
            connections: BTreeMap::new(),
        };
        if let Some(kind) = segment {
            mapping.connection(now, &self.config, remote, (false, kind));
        }
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
        segment: Option<Kind>,
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
        match segment {
            Some(kind) => mapping.connection(now, &self.config, remote, (true, kind)),
            None if self.config.inbound_refresh => mapping.expires = now + self.config.udp_timeout,
            None => {}
        }
        Some(mapping.inner)
    }

    /// What to do with a connection from outside that was not let in.
    pub(crate) fn unsolicited_syn(&self) -> UnsolicitedSyn {
        self.config.unsolicited_syn
    }

    /// Whether somebody inside has asked for this connection.
    pub(crate) fn has_connection(
        &self,
        now: Instant,
        outer: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        self.by_outer
            .get(&(Transport::Tcp, outer))
            .and_then(|mapping| mapping.connections.get(&remote))
            .is_some_and(|c| c.expires > now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// RFC 5382 §5, REQ-5: four minutes for a connection that opens or closes, two hours and four minutes for one that is
    /// established.
    #[test]
    fn a_connection_lives_as_long_as_its_state_says() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let inner: SocketAddr = "192.168.1.2:5000".parse().unwrap();
        let (near, far): (SocketAddr, SocketAddr) =
            ("1.1.1.1:80".parse().unwrap(), "2.2.2.2:80".parse().unwrap());
        let new = || {
            let config = NatConfig::new(
                Behaviour::EndpointIndependent,
                Behaviour::AddressAndPortDependent,
            );
            let mut nat = Nat::new(config, "9.9.9.9".parse().unwrap());
            let mut rng = StdRng::seed_from_u64(1);
            let outer = nat
                .outbound(
                    start,
                    Transport::Tcp,
                    inner,
                    near,
                    Some(Kind::Syn),
                    &mut rng,
                )
                .unwrap();
            (nat, outer, rng)
        };
        let alive = |nat: &mut Nat, outer, after: Duration, from| {
            let packet = Some(Kind::Data);
            nat.inbound(start + after, Transport::Tcp, outer, from, packet)
                .is_some()
        };

        let (mut nat, outer, _) = new();
        assert!(!alive(&mut nat, outer, 4 * minute, near), "half open");

        for (after, lives) in [(123 * minute, true), (124 * minute, false)] {
            let (mut nat, outer, _) = new();
            let answer = Some(Kind::SynAck);
            assert!(
                nat.inbound(start, Transport::Tcp, outer, near, answer)
                    .is_some()
            );
            assert_eq!(alive(&mut nat, outer, after, near), lives, "established");
        }

        for (after, lives) in [(3 * minute, true), (4 * minute, false)] {
            let (mut nat, outer, mut rng) = new();
            let answer = Some(Kind::SynAck);
            nat.inbound(start, Transport::Tcp, outer, near, answer);
            nat.outbound(
                start,
                Transport::Tcp,
                inner,
                near,
                Some(Kind::Fin),
                &mut rng,
            );
            assert_eq!(alive(&mut nat, outer, after, near), lives, "closed");
        }

        // One connection's end is not another's on the same mapping.
        let (mut nat, outer, mut rng) = new();
        nat.outbound(start, Transport::Tcp, inner, far, Some(Kind::Syn), &mut rng);
        for remote in [near, far] {
            nat.inbound(start, Transport::Tcp, outer, remote, Some(Kind::SynAck));
        }
        nat.outbound(
            start,
            Transport::Tcp,
            inner,
            near,
            Some(Kind::Fin),
            &mut rng,
        );
        assert!(alive(&mut nat, outer, 60 * minute, far));
        assert!(nat.has_connection(start + 60 * minute, outer, far));
        assert!(!nat.has_connection(start + 60 * minute, outer, near));
    }
}
