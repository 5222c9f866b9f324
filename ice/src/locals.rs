//! Our bases and candidates; they outlive restarts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateTransport, Foundation, TcpType,
};
use crate::config::Policy;
use crate::limits::{MAX_BASES, MAX_LOCAL_CANDIDATES};
use crate::pair::{BaseId, LocalId};
use crate::priority::{Priority, TCP_STEP_DOWN, tcp_local_preference, udp_local_preference};
use crate::small_map::SmallMap;
use crate::transport::{HostTransport, LocalBase, SocketUse, Transport};

/// How datagrams leave from a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BaseKind {
    /// Through a socket of the host.
    Host(HostTransport),
    /// Through a TURN allocation with this number.
    Relay(u16),
}

#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) kind: BaseKind,
    /// The host's address, or the relayed one.
    pub(crate) addr: SocketAddr,
    pub(crate) candidate: LocalId,
    pub(crate) local_preference: u16,
    pub(crate) network: u16,
    pub(crate) cost: u16,
    pub(crate) named: bool,
    pub(crate) used_for: SocketUse,
    pub(crate) removed: bool,
}

impl Base {
    pub(crate) fn transport(&self) -> Transport {
        match self.kind {
            BaseKind::Host(host) => host.transport(),
            BaseKind::Relay(_) => Transport::Udp,
        }
    }

    pub(crate) fn tcp_type(&self) -> Option<TcpType> {
        match self.kind {
            BaseKind::Host(HostTransport::TcpActive) => Some(TcpType::Active),
            BaseKind::Host(HostTransport::TcpPassive) => Some(TcpType::Passive),
            BaseKind::Host(HostTransport::TcpSimultaneousOpen) => Some(TcpType::SimultaneousOpen),
            BaseKind::Host(HostTransport::Udp) | BaseKind::Relay(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) candidate: Candidate,
    pub(crate) base: BaseId,
    /// It is told to the peer.
    pub(crate) signalled: bool,
    pub(crate) removed: bool,
    pub(crate) foundation: u32,
    /// Who told of it.
    pub(crate) server: Option<SocketAddr>,
}

/// Same foundation: same type, base address, server and transport (RFC 8445 §5.1.1.3).
type FoundationKey = (CandidateKind, IpAddr, Option<IpAddr>, Transport);

#[derive(Debug, Default)]
pub(crate) struct Locals {
    bases: Vec<Base>,
    by_addr: SmallMap<(Transport, SocketAddr), BaseId>,
    candidates: Vec<Local>,
    foundations: Vec<FoundationKey>,
    /// Never tell a base's address as a related address.
    hide_bases: bool,
}

impl Locals {
    pub(crate) fn new(hide_bases: bool) -> Self {
        Self {
            hide_bases,
            ..Self::default()
        }
    }

    /// Decides anew which candidates are told, and what of bases they betray.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.hide_bases = policy != Policy::All;
        for local in &mut self.candidates {
            let base = self.bases.get(usize::from(local.base.0));
            local.signalled = match local.candidate.kind {
                CandidateKind::Host => {
                    policy == Policy::All && base.is_some_and(|b| b.used_for != SocketUse::Relay)
                }
                CandidateKind::ServerReflexive => policy != Policy::Relay,
                CandidateKind::PeerReflexive => false,
                CandidateKind::Relayed => true,
            };
            let related = local.candidate.related.as_mut();
            if let Some(related) = related.filter(|_| self.hide_bases) {
                *related = hidden(*related);
            }
        }
    }

    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.bases.shrink_to_fit();
        self.by_addr.shrink();
        self.candidates.shrink_to_fit();
        self.foundations.shrink_to_fit();
    }

    pub(crate) fn base(&self, id: BaseId) -> Option<&Base> {
        self.bases.get(usize::from(id.0))
    }

    pub(crate) fn candidate(&self, id: LocalId) -> Option<&Local> {
        self.candidates.get(usize::from(id.0))
    }

    /// Whether both ends of this base's connections have to open them at once
    /// (RFC 6544 §3): the first attempts may well be refused or dropped.
    pub(crate) fn opens_simultaneously(&self, id: BaseId) -> bool {
        self.base(id).and_then(Base::tcp_type) == Some(TcpType::SimultaneousOpen)
    }

    pub(crate) fn find(&self, transport: Transport, addr: SocketAddr) -> Option<BaseId> {
        self.by_addr.get(&(transport, addr)).copied()
    }

    /// The bases in use.
    pub(crate) fn bases(&self) -> impl Iterator<Item = (BaseId, &Base)> {
        self.bases
            .iter()
            .enumerate()
            .filter(|(_, base)| !base.removed)
            .filter_map(|(i, base)| Some((BaseId(u16::try_from(i).ok()?), base)))
    }

    pub(crate) fn candidates(&self) -> impl Iterator<Item = &Local> {
        self.candidates.iter().filter(|local| !local.removed)
    }

    /// Adds a host base and its candidate. `None`: known already, or too many.
    pub(crate) fn add_host(&mut self, new: &LocalBase, signalled: bool) -> Option<BaseId> {
        let transport = new.transport.transport();
        let addr = normalise(new.addr);
        if self.by_addr.contains_key(&(transport, addr)) || self.bases().count() >= MAX_BASES {
            return None;
        }
        let kind = CandidateKind::Host;
        let ip = addr.ip();
        let (words, preference) = match new.transport {
            HostTransport::Udp => (
                CandidateTransport::Udp,
                udp_local_preference(ip, new.network, new.cost),
            ),
            tcp => {
                let tcp = match tcp {
                    HostTransport::TcpPassive => TcpType::Passive,
                    HostTransport::TcpSimultaneousOpen => TcpType::SimultaneousOpen,
                    _ => TcpType::Active,
                };
                (
                    CandidateTransport::Tcp(tcp),
                    tcp_local_preference(tcp, kind, ip, new.network),
                )
            }
        };
        let mut candidate = Candidate::new(kind, words, addr, preference);
        if new.transport == HostTransport::TcpActive {
            // RFC 6544 §4.5: the discard port; the real one is not known yet.
            candidate.port = 9;
        }
        if new.transport != HostTransport::Udp {
            // Below all UDP candidates of the type (RFC 6544 §4.2).
            candidate.priority = Priority(candidate.priority.0 - (TCP_STEP_DOWN << 24));
        }
        if let Some(name) = new.name {
            candidate.address = CandidateAddress::Name(name);
        }
        let base = Base {
            kind: BaseKind::Host(new.transport),
            addr: strip_flow(new.addr),
            candidate: LocalId(0),
            local_preference: preference,
            network: new.network,
            cost: new.cost,
            named: new.name.is_some(),
            used_for: new.used_for,
            removed: false,
        };
        let id = self.push_base(base, (transport, addr))?;
        let local = self.push_candidate(candidate, id, None, signalled)?;
        self.own(id, local);
        Some(id)
    }

    /// Adds what a TURN server relays for; its base is itself.
    pub(crate) fn add_relay(
        &mut self,
        allocation: u16,
        relayed: SocketAddr,
        through: BaseId,
        server: SocketAddr,
        related: Option<SocketAddr>,
        step: u16,
    ) -> Option<BaseId> {
        let host = self.base(through)?.clone();
        let kind = CandidateKind::Relayed;
        let preference = host
            .local_preference
            .saturating_sub(step.saturating_mul(4096));
        let mut candidate = Candidate::new(kind, CandidateTransport::Udp, relayed, preference);
        candidate.related = Some(related.filter(|_| !host.named).unwrap_or(hidden(relayed)));
        let base = Base {
            kind: BaseKind::Relay(allocation),
            addr: relayed,
            candidate: LocalId(0),
            local_preference: preference,
            network: host.network,
            cost: host.cost,
            named: false,
            used_for: SocketUse::All,
            removed: false,
        };
        let id = self.push_base_unindexed(base)?;
        let local = self.push_candidate(candidate, id, Some(server), true)?;
        self.own(id, local);
        Some(id)
    }

    /// Adds a reflexive candidate. `None`: not new, or too many.
    pub(crate) fn add_reflexive(
        &mut self,
        kind: CandidateKind,
        base_id: BaseId,
        mapped: SocketAddr,
        server: Option<SocketAddr>,
    ) -> Option<LocalId> {
        let base = self.base(base_id)?.clone();
        let same = |l: &Local| {
            l.base == base_id && !l.removed && l.candidate.socket_addr() == Some(mapped)
        };
        if self.candidates.iter().any(same) {
            return None;
        }
        let (words, preference) = match base.tcp_type() {
            None => (CandidateTransport::Udp, base.local_preference),
            Some(tcp) => (
                CandidateTransport::Tcp(tcp),
                tcp_local_preference(tcp, kind, base.addr.ip(), base.network),
            ),
        };
        let mut candidate = Candidate::new(kind, words, mapped, preference);
        if base.tcp_type().is_some() {
            candidate.priority = Priority(candidate.priority.0 - (TCP_STEP_DOWN << 24));
        }
        // draft-ietf-mmusic-mdns-ice-candidates §3.1.2.2: don't betray the base.
        let related = if base.named || self.hide_bases {
            hidden(mapped)
        } else {
            base.addr
        };
        candidate.related = Some(related);
        let signalled = kind == CandidateKind::ServerReflexive;
        self.push_candidate(candidate, base_id, server, signalled)
    }

    /// A server sees this base at `mapped` now: what it saw before is gone, and
    /// is returned.
    pub(crate) fn remove_stale(
        &mut self,
        base: BaseId,
        server: SocketAddr,
        mapped: SocketAddr,
    ) -> Vec<Candidate> {
        let stale = self.candidates.iter_mut().filter(|l| {
            l.base == base
                && l.server == Some(server)
                && l.candidate.kind == CandidateKind::ServerReflexive
                && !l.removed
                && l.candidate.socket_addr() != Some(mapped)
        });
        stale
            .map(|l| {
                l.removed = true;
                l.candidate.clone()
            })
            .collect()
    }

    /// The candidate of a base with this address.
    pub(crate) fn find_candidate(&self, base: BaseId, addr: SocketAddr) -> Option<LocalId> {
        let at = self.candidates.iter().position(|l| {
            l.base == base && !l.removed && l.candidate.socket_addr() == Some(addr)
        })?;
        u16::try_from(at).ok().map(LocalId)
    }

    /// Removes a base with its candidates, which are returned.
    pub(crate) fn remove_base(&mut self, id: BaseId) -> Vec<Candidate> {
        if let Some(base) = self.bases.get_mut(usize::from(id.0)) {
            base.removed = true;
        }
        self.by_addr.retain(|base| *base != id);
        let mut gone = Vec::new();
        for local in self
            .candidates
            .iter_mut()
            .filter(|l| l.base == id && !l.removed)
        {
            local.removed = true;
            if local.signalled {
                gone.push(local.candidate.clone());
            }
        }
        gone
    }

    fn own(&mut self, base: BaseId, local: LocalId) {
        if let Some(base) = self.bases.get_mut(usize::from(base.0)) {
            base.candidate = local;
        }
    }

    fn push_base(&mut self, base: Base, key: (Transport, SocketAddr)) -> Option<BaseId> {
        let id = self.push_base_unindexed(base)?;
        self.by_addr.insert(key, id);
        Some(id)
    }

    /// Numbers are never used again: a pair may still point at a removed base.
    fn push_base_unindexed(&mut self, base: Base) -> Option<BaseId> {
        let id = BaseId(u16::try_from(self.bases.len()).ok()?);
        self.bases.push(base);
        Some(id)
    }

    fn push_candidate(
        &mut self,
        mut candidate: Candidate,
        base: BaseId,
        server: Option<SocketAddr>,
        signalled: bool,
    ) -> Option<LocalId> {
        if self.candidates().count() >= MAX_LOCAL_CANDIDATES {
            return None;
        }
        let owner = self.base(base)?;
        let ip = server.map(|s| s.ip());
        let key = (candidate.kind, owner.addr.ip(), ip, owner.transport());
        let foundation = match self.foundations.iter().position(|k| *k == key) {
            Some(at) => at,
            None => {
                self.foundations.push(key);
                self.foundations.len() - 1
            }
        };
        let foundation = u32::try_from(foundation).ok()?;
        candidate.foundation = Foundation::from_number(foundation + 1);
        let id = LocalId(u16::try_from(self.candidates.len()).ok()?);
        self.candidates.push(Local {
            candidate,
            base,
            signalled,
            removed: false,
            foundation,
            server,
        });
        Some(id)
    }
}

fn hidden(like: SocketAddr) -> SocketAddr {
    let ip = match like {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 9)
}

/// As addresses are compared: IPv4 in IPv6 clothes undressed, no scope and no flow label.
pub(crate) fn normalise(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn strip_flow(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        },
    }
}
