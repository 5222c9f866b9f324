//! What arrives.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use tincan_stun::message::{Class, Message, Method, is_stun};

use super::Agent;
use crate::candidate::CandidateKind;
use crate::event::Event;
use crate::limits;
use crate::locals::normalise;
use crate::pair::{BaseId, FailureReason, PairState};
use crate::replies::{Kind, Reply};
use crate::role::{Verdict, judge};
use crate::transactions::{Purpose, Request};
use crate::transport::{Source, Transport};
use crate::wire::{self, Answer, Check};

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It was the agent's business.
    Consumed,
    /// These bytes of it are the application's: all of it, or what a TURN
    /// server wrapped.
    Data(Range<usize>),
    /// It is none of this agent's: unknown path or user name fragment.
    NotMine,
}

/// A path as the agent sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) base: BaseId,
    pub(super) transport: Transport,
    pub(super) remote: SocketAddr,
}

impl Agent {
    /// Whether this is the connection or path to one of the agent's TURN servers,
    /// or a TCP connection to a STUN server.
    #[must_use]
    pub fn is_server(&self, source: Source) -> bool {
        let (local, remote) = (normalise(source.local), normalise(source.remote));
        self.relays.find(source.transport, local, remote).is_some()
            || self.is_asked_by_stream(source)
    }

    /// Takes a datagram, or one message of a TCP connection without its
    /// length (RFC 4571). Never fails: what is wrong is counted and dropped.
    pub fn handle_input(&mut self, now: Instant, source: Source, datagram: &[u8]) -> Input {
        if self.is_closed() {
            return Input::NotMine;
        }
        self.clock = self.clock.max(now);
        let local = normalise(source.local);
        if let Some(relay) = self
            .relays
            .find(source.transport, local, normalise(source.remote))
        {
            match self.relayed(now, relay, source, datagram) {
                Input::NotMine => {}
                input => return input,
            }
        }
        let Some(path) = self.path(source) else {
            self.counters.unknown_path += 1;
            return Input::NotMine;
        };
        self.datagram_on(now, path, datagram)
    }

    pub(super) fn datagram_on(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Input {
        if !is_stun(datagram) {
            return match self.data_on(now, path, datagram.len()) {
                true => Input::Data(0..datagram.len()),
                false => Input::NotMine,
            };
        }
        self.stun_on(now, path, datagram)
    }

    /// Notes that so many octets of data other than STUN arrived, for liveness
    /// and statistics. `false`: no pair has this path, the data should be
    /// dropped.
    pub fn data_received(&mut self, now: Instant, source: Source, octets: usize) -> bool {
        match self.path(source) {
            Some(path) if !self.is_closed() => self.data_on(now, path, octets),
            _ => false,
        }
    }

    fn path(&self, source: Source) -> Option<Path> {
        let base = self.find_base(source.transport, normalise(source.local))?;
        Some(Path {
            base,
            transport: source.transport,
            remote: normalise(source.remote),
        })
    }

    fn data_on(&mut self, now: Instant, path: Path, octets: usize) -> bool {
        let previous = self.previous.as_deref_mut();
        let mut known = false;
        // A path that both have is alive in both.
        for generation in std::iter::once(&mut self.current).chain(previous) {
            if let Some(id) = generation.heard(now, path.base, path.remote) {
                if let Some(pair) = generation.list.get_mut(id).filter(|_| !known) {
                    pair.counters.packets_received += 1;
                    pair.counters.bytes_received += octets as u64;
                    pair.counters.last_data_received = Some(now);
                }
                known = true;
            }
            // An answerer's data can overtake its answer.
            known |= generation.expects(path.base, path.remote);
        }
        if !known {
            self.counters.unknown_path += 1;
        }
        known
    }

    fn stun_on(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Input {
        let Ok(message) = Message::parse(datagram) else {
            self.counters.malformed += 1;
            return Input::Consumed;
        };
        if message.method() != Method::BINDING {
            return Input::NotMine;
        }
        match message.class() {
            Class::Request => self.request(now, path, &message),
            Class::Success | Class::Error => self.response(now, path, &message),
            // RFC 8445 §11: a keep-alive, and not authentic: no sign of life.
            Class::Indication => Input::Consumed,
        }
    }

    fn request(&mut self, now: Instant, path: Path, message: &Message<'_>) -> Input {
        let Some((ours, theirs)) = wire::usernames(message) else {
            self.counters.unknown_ufrag += 1;
            return Input::NotMine;
        };
        let Some(previous) = [false, true].into_iter().find(|&previous| {
            self.generation(previous)
                .is_some_and(|g| g.local.ufrag.as_str() == ours)
        }) else {
            self.counters.unknown_ufrag += 1;
            return Input::NotMine;
        };
        if message.verify_fingerprint().is_err() {
            // RFC 8445 §7.3: the mechanism must be used.
            self.counters.malformed += 1;
            return Input::Consumed;
        }
        if !self.authentic(now, path, message, previous) {
            return Input::Consumed;
        }
        let reply = |kind| Reply {
            base: path.base,
            to: path.remote,
            id: message.transaction_id(),
            kind,
        };
        let types = wire::unknown_attributes(message);
        if !types.is_empty() {
            self.refuse(now, reply(Kind::Unknown { types, previous }));
            return Input::Consumed;
        }
        let check = wire::read_check(message);
        let Some(_) = check.priority else {
            self.refuse(
                now,
                reply(Kind::Refusal {
                    code: 400,
                    previous,
                }),
            );
            return Input::Consumed;
        };
        if !previous && !self.settle_roles(&check) {
            self.refuse(
                now,
                reply(Kind::Refusal {
                    code: 487,
                    previous,
                }),
            );
            return Input::Consumed;
        }
        if !self.replies.push(reply(Kind::Success { previous })) {
            self.counters.replies_dropped += 1;
        }
        self.with_generation(now, previous, |generation, cx| {
            generation.accept(cx, path.base, (path.transport, path.remote), &check, theirs);
        });
        self.settle(now);
        Input::Consumed
    }

    fn authentic(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
        previous: bool,
    ) -> bool {
        let Some(generation) = self.generation(previous) else {
            return false;
        };
        let trusted = generation
            .list
            .find(path.base, path.remote)
            .and_then(|id| generation.list.get(id))
            .is_some_and(|p| p.state == PairState::Succeeded);
        if !trusted && !self.integrity_bucket.has(now) {
            self.counters.integrity_throttled += 1;
            return false;
        }
        let Some(generation) = self.generation(previous) else {
            return false;
        };
        if message.verify_integrity(&generation.local_key).is_ok() {
            return true;
        }
        self.counters.bad_integrity += 1;
        self.integrity_bucket.take(now);
        // RFC 8489 §9.1.3.
        let code = if message.has_integrity() { 401 } else { 400 };
        let reply = Reply {
            base: path.base,
            to: path.remote,
            id: message.transaction_id(),
            kind: Kind::Stranger { code },
        };
        self.refuse(now, reply);
        false
    }

    fn refuse(&mut self, now: Instant, reply: Reply) {
        if !self.error_bucket.take(now) {
            self.counters.errors_throttled += 1;
        } else if !self.replies.push(reply) {
            self.counters.replies_dropped += 1;
        }
    }

    /// RFC 8445 §7.3.1.1. `false`: answer 487.
    fn settle_roles(&mut self, check: &Check) -> bool {
        let Some((claimed, theirs)) = check.role else {
            return true;
        };
        if self.config.lite {
            return true;
        }
        match judge(self.role, self.tie_breaker, claimed, theirs) {
            Verdict::Agreed => true,
            Verdict::Refuse => false,
            Verdict::Switch => {
                self.switch_role();
                true
            }
        }
    }

    /// `false`: too many switches, the role stays.
    fn switch_role(&mut self) -> bool {
        if self.role_switches >= limits::MAX_ROLE_SWITCHES || self.remote_options.lite {
            self.counters.role_switches_refused += 1;
            return false;
        }
        self.role_switches += 1;
        self.counters.role_switches += 1;
        self.role = self.role.opposite();
        tracing::debug!(role = %self.role, "ice.role");
        self.current.list.set_role(self.role);
        self.current.role_switched();
        self.push_event(Event::RoleChanged(self.role));
        true
    }

    fn response(&mut self, now: Instant, path: Path, message: &Message<'_>) -> Input {
        let id = message.transaction_id();
        let answer = wire::read_answer(message);
        if let Some(question) = self.gatherer.answer(id, path.base, path.remote) {
            self.gathered(now, question, answer);
            return Input::Consumed;
        }
        let found = [false, true].into_iter().find_map(|previous| {
            let slot = self.generation(previous)?.transactions.find(id)?;
            Some((previous, slot))
        });
        let Some((previous, slot)) = found else {
            self.counters.unknown_transaction += 1;
            return Input::NotMine;
        };
        let Some(generation) = (if previous {
            self.previous.as_deref_mut()
        } else {
            Some(&mut self.current)
        }) else {
            return Input::Consumed;
        };
        let Some((request, rtt, again)) = generation
            .transactions
            .get(slot)
            .map(|o| (o.request, o.rtt(now), o.transmissions() > 1))
        else {
            return Input::Consumed;
        };
        let Some(pair) = generation.list.get_mut(request.pair) else {
            return Input::Consumed;
        };
        // RFC 8445 §7.2.5.2.1. Not at once a failure: whoever saw the request
        // could forge that; the true response may still come.
        if pair.base != path.base || pair.remote_addr != path.remote {
            pair.suspicion = Some(FailureReason::NotSymmetric);
            self.counters.not_symmetric += 1;
            return Input::Consumed;
        }
        let authentic = message.verify_fingerprint().is_ok()
            && generation
                .remote
                .as_ref()
                .is_some_and(|r| message.verify_integrity(&r.key).is_ok());
        if !authentic {
            // 400 and 401 have no integrity: a hint, nothing to act upon.
            pair.suspicion = Some(match answer {
                Answer::Error(401) | Answer::Mapped(_) => FailureReason::WrongPassword,
                Answer::Error(code) => FailureReason::ErrorResponse(code),
                Answer::Empty => FailureReason::WrongPassword,
            });
            self.counters.bad_integrity += 1;
            return Input::Consumed;
        }
        if answer == Answer::Empty {
            self.counters.malformed += 1;
            return Input::Consumed;
        }
        generation.transactions.take(slot);
        pair.answered(now);
        pair.counters.responses_received += 1;
        if let Some(rtt) = rtt.filter(|_| !again) {
            pair.rtt.sample(rtt);
        }
        match answer {
            Answer::Mapped(mapped) => self.success(now, previous, &request, normalise(mapped)),
            Answer::Error(code) => self.refused(previous, &request, code),
            Answer::Empty => {}
        }
        self.settle(now);
        Input::Consumed
    }

    fn success(&mut self, now: Instant, previous: bool, request: &Request, mapped: SocketAddr) {
        self.with_generation(now, previous, |generation, cx| {
            if request.purpose == Purpose::Check {
                generation.succeed(cx, request.pair, mapped, request.nominate);
            } else {
                generation.reinstate(request.pair, cx.role);
            }
            if generation.selected == Some(request.pair)
                && let Some(consent) = &mut generation.consent
            {
                consent.response(cx.now, cx.rng);
            }
        });
    }

    fn refused(&mut self, previous: bool, request: &Request, code: u16) {
        if code == 487 && !previous {
            // RFC 8445 §7.2.5.1; an answer to what we claimed before a switch is stale.
            if request.role == self.role && self.switch_role() {
                use rand::RngExt;
                self.tie_breaker = self.rng.random();
            } else if request.role == self.role {
                self.current.fail(request.pair, FailureReason::RoleConflict);
                return;
            }
            self.current.recheck(request.pair);
            return;
        }
        let generation = if previous {
            self.previous.as_deref_mut()
        } else {
            Some(&mut self.current)
        };
        if let Some(generation) = generation {
            // A consent request that is refused revokes consent (RFC 7675 §5.2).
            generation.fail(request.pair, FailureReason::ErrorResponse(code));
        }
    }

    /// A STUN server answered.
    fn gathered(&mut self, now: Instant, question: crate::gathering::Question, answer: Answer) {
        let Some(server) = self.servers.get(question.server).cloned() else {
            return;
        };
        match answer {
            Answer::Mapped(mapped) => {
                let kind = CandidateKind::ServerReflexive;
                self.reflexive(kind, question.base, normalise(mapped), question.addr);
                // RFC 8445 §5.1.1.4.
                if self.config.continual || self.current.selected.is_none() {
                    self.gatherer
                        .keep(now + self.config.server_keepalive, question);
                }
            }
            // The candidate stands until somebody sees otherwise.
            _ if question.again => {}
            Answer::Error(code) => {
                self.server_failed(&server, question.base, code, "the server refused".into());
            }
            Answer::Empty => {
                self.server_failed(
                    &server,
                    question.base,
                    400,
                    "the response says nothing".into(),
                );
            }
        }
        self.update_gathering();
    }

    /// A server saw us there.
    pub(super) fn reflexive(
        &mut self,
        kind: CandidateKind,
        base: BaseId,
        mapped: SocketAddr,
        server: SocketAddr,
    ) {
        for gone in self.locals.remove_stale(base, server, mapped) {
            self.push_event(Event::CandidateRemoved(gone));
        }
        let new = self.locals.add_reflexive(kind, base, mapped, Some(server));
        if let Some(local) = new.and_then(|id| self.locals.candidate(id)) {
            let candidate = local.candidate.clone();
            self.announce(candidate);
        }
    }
}
