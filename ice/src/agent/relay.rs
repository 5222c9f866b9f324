//! Relayed candidates: what TURN servers send and say.

use std::time::Instant;

use tincan_stun::framing::Framing;
use tincan_stun::turn::client::{Failure, Input as TurnInput};

use super::Agent;
use super::inbound::{Input, Path};
use crate::candidate::CandidateKind;
use crate::config::Policy;
use crate::event::{ConnectionState, GatheringState};
use crate::locals::{BaseKind, normalise};
use crate::pair::{BaseId, FailureReason};
use crate::relays::{Gone, News, RelayId, Wish};
use crate::selection;
use crate::transport::{SocketUse, Source, Transport};

impl Agent {
    /// Whether this is a TCP connection to a STUN server.
    pub(super) fn is_asked_by_stream(&self, source: Source) -> bool {
        let (local, remote) = (normalise(source.local), normalise(source.remote));
        source.transport == Transport::Tcp
            && self
                .find_base(source.transport, local)
                .is_some_and(|base| self.gatherer.asks_by_stream(base, remote))
    }

    /// How messages are cut out of a TCP or TLS stream to or from `remote`:
    /// by their own lengths from STUN and TURN servers, by RFC 4571 from a peer.
    #[must_use]
    pub fn stream_framing(&self, source: Source) -> Framing {
        let (local, remote) = (normalise(source.local), normalise(source.remote));
        match self.relays.find(source.transport, local, remote) {
            Some(_) => Framing::Turn,
            None if source.transport == Transport::Tls => Framing::Turn,
            None if self.is_asked_by_stream(source) => Framing::Turn,
            None => Framing::Rfc4571,
        }
    }

    /// A TURN server sent something.
    pub(super) fn relayed(
        &mut self,
        now: Instant,
        relay: RelayId,
        source: Source,
        datagram: &[u8],
    ) -> Input {
        let from = normalise(source.remote);
        match self.relays.input(now, relay, from, datagram) {
            Err(TurnInput::NotMine) => Input::NotMine,
            Err(_) => {
                self.drain_relays(now);
                self.settle(now);
                Input::Consumed
            }
            Ok((base, peer, range)) => {
                let remote = normalise(peer);
                let path = Path {
                    base,
                    transport: Transport::Udp,
                    remote,
                };
                let Some(inner) = datagram.get(range.clone()) else {
                    return Input::Consumed;
                };
                match self.datagram_on(now, path, inner) {
                    Input::Data(_) => Input::Data(range),
                    // Whatever it was, it came to this agent's own allocation.
                    Input::Consumed | Input::NotMine => Input::Consumed,
                }
            }
        }
    }

    /// The driver says that a STUN or TURN server can't be reached from
    /// `source.local`: no route there, the connection refused, broken, or the
    /// server's certificate not trusted. What depends on it is given up at
    /// once and reported by [`Event::CandidateError`](crate::Event) with code
    /// 701 and `why`, words for people; it is tried again where data went by it
    /// or nothing works. An allocation that stands and is reached by UDP is
    /// only questioned: routes come back. `false`: no server is reached so.
    pub fn server_failed_at(&mut self, now: Instant, source: Source, why: &str) -> bool {
        let (local, remote) = (normalise(source.local), normalise(source.remote));
        if let Some(relay) = self.relays.find(source.transport, local, remote) {
            if let Some(bases) = self.relays.stands_by_udp(relay) {
                self.question_pairs_on(now, bases);
            } else if let Some(gone) = self.relays.lose(now, relay)
                && !self.is_closed()
            {
                let server = self.servers.get(gone.wish.server).cloned();
                if let Some(server) = server.filter(|_| gone.wish.rounds == 1) {
                    let base = gone.wish.base;
                    self.server_failed(&server, base, SERVER_UNREACHABLE, why.to_owned());
                }
                self.relay_gone(gone, true);
            }
            self.settle(now);
            return true;
        }
        let base = self.find_base(source.transport, local);
        let asked = base.map_or_else(Vec::new, |base| self.gatherer.give_up(base, remote));
        for question in &asked {
            if let Some(server) = self.servers.get(question.server).cloned() {
                self.server_failed(&server, question.base, SERVER_UNREACHABLE, why.to_owned());
            }
        }
        self.update_gathering();
        !asked.is_empty()
    }

    pub(super) fn drain_relays(&mut self, now: Instant) {
        while let Some(news) = self.relays.poll_news(now) {
            match news {
                News::Allocated {
                    relay,
                    relayed,
                    mapped,
                } => {
                    self.allocated(now, relay, normalise(relayed), normalise(mapped));
                }
                other => self.relay_news(other),
            }
        }
    }

    pub(super) fn relay_news(&mut self, news: News) {
        if self.is_closed() {
            return;
        }
        let previous = self.previous.as_deref_mut();
        let generations = std::iter::once(&mut self.current).chain(previous);
        match news {
            News::Allocated { .. } => {}
            News::Permitted { base, ip } => {
                generations.for_each(|g| g.permission(base, ip, true));
            }
            News::NotPermitted { base, ip } => {
                generations.for_each(|g| g.permission(base, ip, false));
            }
            News::Unreachable { base, peer } => {
                for generation in generations {
                    let id = generation.list.find(base, normalise(peer));
                    let pair = id.and_then(|id| generation.list.get_mut(id));
                    // Anyone can forge an ICMP error: a hint only.
                    if let Some(pair) = pair {
                        pair.suspicion = Some(FailureReason::Unreachable);
                    }
                }
            }
            News::Closed { gone, failure } => {
                let server = self.servers.get(gone.wish.server).cloned();
                if let (Some(failure), Some(server)) = (&failure, server)
                    && gone.wish.rounds == 1
                {
                    let (code, text) = describe(failure);
                    self.server_failed(&server, gone.wish.base, code, text);
                }
                // The way to the server loses a lot, or the server was away.
                let again = matches!(failure, Some(Failure::TimedOut | Failure::Lost));
                self.relay_gone(gone, again);
            }
        }
    }

    /// An allocation is no more. One that `again` may give is made anew where
    /// data went by it, or nothing works and there is hope.
    pub(super) fn relay_gone(&mut self, gone: Gone, again: bool) {
        let used = self.relayed_bases_in_use();
        let was_used = gone.bases.iter().flatten().any(|b| used.contains(b));
        for base in gone.bases.into_iter().flatten() {
            self.drop_base(base);
        }
        let works = self.current.list.iter().any(|(_, pair)| pair.is_valid());
        let hope = !works && self.state != ConnectionState::Failed;
        if again && (was_used || hope) && self.servers.is_active(gone.wish.server) {
            self.relays.wish(gone.wish);
        }
        self.update_gathering();
    }

    /// A datagram for these relayed bases could not be sent: do data get through?
    fn question_pairs_on(&mut self, now: Instant, bases: [Option<BaseId>; 2]) {
        let previous = self.previous.as_deref_mut();
        for generation in std::iter::once(&mut self.current).chain(previous) {
            let selected = generation.selected.and_then(|id| generation.list.get(id));
            if let Some(pair) = selected
                && bases.contains(&Some(pair.base))
                && let Some(consent) = &mut generation.consent
            {
                consent.probe(now);
            }
        }
    }

    fn allocated(
        &mut self,
        now: Instant,
        relay: RelayId,
        relayed: std::net::SocketAddr,
        mapped: std::net::SocketAddr,
    ) {
        let Some((through, _, transport, server)) = self.relays.origin(relay) else {
            return;
        };
        let Some(server) = self.servers.get(server).map(|s| s.addr()) else {
            return;
        };
        // What UDP relays reach through TCP or TLS is slower: it comes after.
        let step = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
            Transport::Tls => 2,
        };
        let checked = self
            .locals
            .base(through)
            .is_some_and(|base| base.used_for != SocketUse::Relay);
        if transport == Transport::Udp && self.config.policy != Policy::Relay && checked {
            let kind = CandidateKind::ServerReflexive;
            self.reflexive(kind, through, mapped, server);
        }
        let related = (self.config.policy == Policy::All).then_some(mapped);
        let base = self
            .locals
            .add_relay(relay, relayed, through, server, related, step);
        let Some(base) = base else { return };
        self.relays.set_base(relay, relayed, base);
        let candidate = self
            .locals
            .base(base)
            .and_then(|b| self.locals.candidate(b.candidate));
        if let Some(candidate) = candidate.map(|c| c.candidate.clone()) {
            self.announce(candidate);
        }
        self.update_gathering();
        self.with_current(now, |generation, cx| generation.pair_base(base, cx));
    }

    /// Relayed bases that the selected pair or a reserve stands on.
    pub(super) fn relayed_bases_in_use(&self) -> Vec<BaseId> {
        let generations = std::iter::once(&self.current).chain(self.previous.as_deref());
        let mut used = Vec::new();
        for generation in generations {
            let Some(selected) = generation.selected else {
                continue;
            };
            let reserves = selection::backups(&generation.list, selected, self.config.backups);
            for id in std::iter::once(selected).chain(reserves) {
                used.extend(generation.list.get(id).map(|p| p.base));
            }
        }
        used
    }

    /// Gives allocations back that nothing uses, some time after nomination
    /// (RFC 8445 §8.3).
    pub(super) fn tidy_relays(&mut self, now: Instant) {
        let Some(after) = self.config.unused_relays else {
            return;
        };
        let settled = self.previous.is_none()
            && self.selected_pair().is_some_and(|p| p.nominated)
            && self.gathering == GatheringState::Complete;
        if !settled {
            self.tidy_at = None;
            return;
        }
        let used = self.relayed_bases_in_use();
        let idle: Vec<RelayId> = self
            .relays
            .standing()
            .filter(|(_, _, bases)| !bases.iter().flatten().any(|b| used.contains(b)))
            .map(|(id, ..)| id)
            .collect();
        if idle.is_empty() {
            self.tidy_at = None;
            return;
        }
        if now < *self.tidy_at.get_or_insert(now + after) {
            return;
        }
        self.tidy_at = None;
        for id in idle {
            self.release(now, id);
        }
    }

    /// Another allocation stands where this one was wished for: the server would refuse it.
    pub(super) fn relay_is_taken(&mut self, wish: &Wish) {
        if let Some(server) = self.servers.get(wish.server).cloned() {
            let why = "an allocation with other credentials or by another name stands on this path";
            self.server_failed(&server, wish.base, ALLOCATION_MISMATCH, why.to_owned());
        }
    }

    /// Gives an allocation back; its candidate is gone.
    pub(super) fn release(&mut self, now: Instant, relay: RelayId) {
        for base in self.relays.release(now, relay).into_iter().flatten() {
            self.drop_base(base);
        }
    }

    /// Data will go by the selected pair: a channel makes them shorter.
    pub(super) fn bind_selected(&mut self) {
        let pair = self
            .current
            .selected
            .and_then(|id| self.current.list.get(id));
        let Some((base, peer)) = pair.map(|p| (p.base, p.remote_addr)) else {
            return;
        };
        if let Some(BaseKind::Relay(relay)) = self.locals.base(base).map(|b| b.kind) {
            self.relays.bind(self.clock, relay, peer);
        }
    }
}

/// RFC 8656 §19: what the server would say.
const ALLOCATION_MISMATCH: u16 = 437;

/// W3C's code for a server that can't be reached.
const SERVER_UNREACHABLE: u16 = 701;

fn describe(failure: &Failure) -> (u16, String) {
    let code = match failure {
        Failure::Refused { code, .. } => *code,
        Failure::Authentication(_) | Failure::ChallengeLoop => 401,
        Failure::Redirected { .. } => 300,
        _ => SERVER_UNREACHABLE,
    };
    (code, failure.to_string())
}
