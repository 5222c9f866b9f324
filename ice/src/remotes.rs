//! The peer's candidates in one generation.

use std::net::SocketAddr;

use crate::candidate::{Candidate, CandidateKind, CandidateTransport, Foundation, TcpType};
use crate::limits::{MAX_PEER_REFLEXIVE, MAX_REMOTE_CANDIDATES};
use crate::mdns_name::MdnsName;
use crate::pair::RemoteId;
use crate::priority::Priority;
use crate::small_map::SmallMap;
use crate::transport::Transport;

#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) candidate: Candidate,
    /// Without a scope or flow label; `None` while a name is unresolved.
    pub(crate) addr: Option<SocketAddr>,
    /// Interned.
    pub(crate) foundation: u32,
    /// Learned through a name: never told to a TURN server.
    pub(crate) by_name: bool,
    /// From a check; signalling has not named it.
    pub(crate) learned: bool,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addition {
    /// A new one.
    New(RemoteId),
    /// It was known as peer-reflexive: its priority and kind are the signalled ones now.
    Upgraded(RemoteId),
    /// It was known.
    Duplicate,
    /// The table is full.
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct Remotes {
    /// Places are used again.
    table: Vec<Option<Remote>>,
    by_addr: SmallMap<(Transport, SocketAddr), RemoteId>,
    foundations: SmallMap<Foundation, u32>,
    next_foundation: u32,
    signalled: usize,
    reflexive: usize,
}

impl Remotes {
    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.table.shrink_to_fit();
        self.by_addr.shrink();
        self.foundations.shrink();
    }

    pub(crate) fn get(&self, id: RemoteId) -> Option<&Remote> {
        self.table.get(usize::from(id.0))?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RemoteId, &Remote)> {
        self.table
            .iter()
            .enumerate()
            .filter_map(|(i, r)| Some((RemoteId(u16::try_from(i).ok()?), r.as_ref()?)))
    }

    /// Whether no more can be signalled, or learned.
    pub(crate) fn is_full(&self, learned: bool) -> bool {
        if learned {
            self.reflexive >= MAX_PEER_REFLEXIVE
        } else {
            self.signalled >= MAX_REMOTE_CANDIDATES
        }
    }

    /// Frees the place of one that no pair refers to any more.
    pub(crate) fn forget(&mut self, id: RemoteId) {
        let place = self.table.get_mut(usize::from(id.0));
        let Some(gone) = place.and_then(Option::take) else {
            return;
        };
        self.by_addr.retain(|known| *known != id);
        if gone.learned {
            self.reflexive = self.reflexive.saturating_sub(1);
        } else {
            self.signalled = self.signalled.saturating_sub(1);
        }
    }

    fn put(&mut self, remote: Remote) -> Option<RemoteId> {
        let free = self.table.iter().position(Option::is_none);
        let at = free.unwrap_or(self.table.len());
        let id = RemoteId(u16::try_from(at).ok()?);
        if remote.learned {
            self.reflexive += 1;
        } else {
            self.signalled += 1;
        }
        match self.table.get_mut(at) {
            Some(place) => *place = Some(remote),
            None => self.table.push(Some(remote)),
        }
        Some(id)
    }

    pub(crate) fn find(&self, transport: Transport, addr: SocketAddr) -> Option<RemoteId> {
        self.by_addr.get(&(transport, addr)).copied()
    }

    /// Adds what signalling brought; `addr` is its address, if known.
    pub(crate) fn signal(&mut self, candidate: Candidate, addr: Option<SocketAddr>) -> Addition {
        let foundation = self.intern(&candidate.foundation);
        let transport = transport_of(&candidate);
        // An active TCP candidate has no port to be found by (RFC 6544 §4.5).
        let key = addr
            .filter(|_| candidate.tcp_type() != Some(TcpType::Active))
            .map(|addr| (transport, addr));
        let known = key.as_ref().and_then(|key| self.by_addr.get(key)).copied();
        let is_learned = |id| self.get(id).is_some_and(|r| r.learned);
        if known.is_some_and(|id| !is_learned(id)) {
            return Addition::Duplicate;
        }
        if self.is_full(false) {
            return Addition::Full;
        }
        if let Some(id) = known {
            return self.upgrade(id, candidate, foundation);
        }
        let by_name = matches!(candidate.address, crate::CandidateAddress::Name(_));
        if by_name && addr.is_none() {
            let same = |r: &Remote| {
                r.candidate.address == candidate.address && r.candidate.port == candidate.port
            };
            if self.table.iter().flatten().any(same) {
                return Addition::Duplicate;
            }
        }
        let id = self.put(Remote {
            candidate,
            addr,
            foundation,
            by_name,
            learned: false,
        });
        let Some(id) = id else {
            return Addition::Full;
        };
        if let Some(key) = key {
            self.by_addr.insert(key, id);
        }
        Addition::New(id)
    }

    fn upgrade(&mut self, id: RemoteId, candidate: Candidate, foundation: u32) -> Addition {
        let place = self.table.get_mut(usize::from(id.0));
        let Some(known) = place.and_then(Option::as_mut) else {
            return Addition::Duplicate;
        };
        if !known.learned || candidate.kind == CandidateKind::PeerReflexive {
            return Addition::Duplicate;
        }
        known.by_name = matches!(candidate.address, crate::CandidateAddress::Name(_));
        known.candidate = candidate;
        known.foundation = foundation;
        known.learned = false;
        self.signalled += 1;
        self.reflexive = self.reflexive.saturating_sub(1);
        Addition::Upgraded(id)
    }

    /// Gives the candidates of this name their address. The ids are those that
    /// are new as addresses; those known as peer-reflexive are `upgraded`.
    pub(crate) fn resolve(
        &mut self,
        name: MdnsName,
        ip: std::net::IpAddr,
        mut added: impl FnMut(RemoteId),
        mut upgraded: impl FnMut(RemoteId),
    ) {
        for index in 0..self.table.len() {
            let Some(remote) = self.table.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            if remote.addr.is_some()
                || remote.candidate.address != crate::CandidateAddress::Name(name)
            {
                continue;
            }
            let addr = SocketAddr::new(ip, remote.candidate.port);
            let key = (transport_of(&remote.candidate), addr);
            if let Some(&known) = self.by_addr.get(&key) {
                let candidate = remote.candidate.clone();
                let foundation = remote.foundation;
                if let Addition::Upgraded(id) = self.upgrade(known, candidate, foundation) {
                    upgraded(id);
                }
                continue;
            }
            remote.addr = Some(addr);
            if let Ok(id) = u16::try_from(index) {
                self.by_addr.insert(key, RemoteId(id));
                added(RemoteId(id));
            }
        }
    }

    /// Learns the source of a check (RFC 8445 §7.3.1.3).
    pub(crate) fn learn(
        &mut self,
        transport: Transport,
        addr: SocketAddr,
        priority: Priority,
    ) -> Option<RemoteId> {
        if self.is_full(true) {
            return None;
        }
        let foundation = self.fresh_foundation();
        let transport_word = match transport {
            Transport::Udp => CandidateTransport::Udp,
            _ => CandidateTransport::Tcp(TcpType::Active),
        };
        let mut candidate = Candidate::new(CandidateKind::PeerReflexive, transport_word, addr, 0);
        candidate.priority = priority;
        candidate.foundation = Foundation::from_number(1_000_000 + foundation);
        let id = self.put(Remote {
            candidate,
            addr: Some(addr),
            foundation,
            by_name: false,
            learned: true,
        })?;
        self.by_addr.insert((transport, addr), id);
        Some(id)
    }

    fn intern(&mut self, foundation: &Foundation) -> u32 {
        if let Some(&n) = self.foundations.get(foundation) {
            return n;
        }
        let n = self.fresh_foundation();
        // Bounded like the candidates, but for those refused as duplicates.
        if self.foundations.len() < 2 * MAX_REMOTE_CANDIDATES {
            self.foundations.insert(foundation.clone(), n);
        }
        n
    }

    fn fresh_foundation(&mut self) -> u32 {
        self.next_foundation = self.next_foundation.wrapping_add(1);
        self.next_foundation
    }
}

fn transport_of(candidate: &Candidate) -> Transport {
    match candidate.transport {
        CandidateTransport::Udp => Transport::Udp,
        CandidateTransport::Tcp(_) => Transport::Tcp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    #[test]
    fn a_learned_candidate_becomes_the_signalled_one() {
        let mut remotes = Remotes::default();
        let learned = remotes.learn(Transport::Udp, addr(1), Priority(5));
        let signalled = Candidate::host(addr(1));
        assert_eq!(
            Some(remotes.signal(signalled.clone(), Some(addr(1)))),
            learned.map(Addition::Upgraded)
        );
        assert_eq!(
            remotes.signal(signalled.clone(), Some(addr(1))),
            Addition::Duplicate
        );
        let now = learned
            .and_then(|id| remotes.get(id))
            .map(|r| r.candidate.clone());
        assert_eq!(now, Some(signalled));
    }

    #[test]
    fn both_tables_are_bounded() {
        let mut remotes = Remotes::default();
        let mut refused = 0;
        for port in 1..=10_000 {
            if remotes.signal(Candidate::host(addr(port)), Some(addr(port))) == Addition::Full {
                refused += 1;
            }
        }
        assert_eq!(refused, 10_000 - MAX_REMOTE_CANDIDATES);
        let learned = (20_000..30_000)
            .filter_map(|port| remotes.learn(Transport::Udp, addr(port), Priority(1)))
            .count();
        assert_eq!(learned, MAX_PEER_REFLEXIVE);
    }

    #[test]
    fn what_is_learned_and_then_signalled_takes_a_place_too() {
        let mut remotes = Remotes::default();
        for port in 1..=10_000 {
            remotes.learn(Transport::Udp, addr(port), Priority(1));
            remotes.signal(Candidate::host(addr(port)), Some(addr(port)));
        }
        let most = MAX_REMOTE_CANDIDATES + MAX_PEER_REFLEXIVE;
        assert_eq!(remotes.iter().count(), most);
    }

    #[test]
    fn a_place_that_is_free_again_is_another_candidates() {
        let mut remotes = Remotes::default();
        for port in 1..=MAX_PEER_REFLEXIVE as u16 {
            remotes.learn(Transport::Udp, addr(port), Priority(1));
        }
        assert!(remotes.is_full(true) && !remotes.is_full(false));
        let second = remotes.find(Transport::Udp, addr(2)).unwrap();
        remotes.forget(second);
        assert_eq!(remotes.find(Transport::Udp, addr(2)), None);
        assert_eq!(remotes.get(second).map(|r| r.addr), None);
        let again = remotes.learn(Transport::Udp, addr(99), Priority(1));
        assert_eq!(again, Some(second));
        assert_eq!(remotes.learn(Transport::Udp, addr(2), Priority(1)), None);
    }

    #[test]
    fn a_name_is_resolved_once() {
        let mut remotes = Remotes::default();
        let line = "candidate:5 1 udp 2122260223 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host";
        let Ok(candidate) = line.parse::<Candidate>() else {
            return;
        };
        let crate::CandidateAddress::Name(name) = candidate.address else {
            return;
        };
        assert_eq!(
            remotes.signal(candidate.clone(), None),
            Addition::New(RemoteId(0))
        );
        assert_eq!(remotes.signal(candidate, None), Addition::Duplicate);
        let mut added = vec![];
        remotes.resolve(name, addr(1).ip(), |id| added.push(id), |_| {});
        remotes.resolve(name, addr(1).ip(), |id| added.push(id), |_| {});
        assert_eq!(added, [RemoteId(0)]);
        assert_eq!(remotes.find(Transport::Udp, addr(54596)), Some(RemoteId(0)));
    }
}
