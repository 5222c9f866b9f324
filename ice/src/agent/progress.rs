//! Time passes: timers, selection, states.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Agent;
use crate::config::{Config, Server};
use crate::event::{ConnectionState, Event, GatheringState, SelectedPair, ServerError};
use crate::generation::{Context, Generation};
use crate::locals::BaseKind;
use crate::pair::{BaseId, FailureReason, Nomination, Pair, PairId};
use crate::role::Role;
use crate::transactions::Purpose;
use crate::transport::HostTransport;

/// STUN has no code for silence; W3C's RTCPeerConnectionIceErrorEvent says 701.
const SERVER_SILENT: u16 = 701;

/// RFC 8445 §8.3.1: for so long after nomination the rest is kept.
const FAREWELL: Duration = Duration::from_secs(3);

impl Agent {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, and
    /// then [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let mut next = self.gatherer.poll_timeout();
        let relays = self.relays.poll_timeout();
        let mut consider = |at: Option<Instant>| {
            next = match (next, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        consider(relays);
        consider(self.tidy_at);
        for generation in std::iter::once(&self.current).chain(self.previous.as_deref()) {
            consider(generation.poll_timeout());
            if self.config.lite {
                consider(
                    generation
                        .last_heard()
                        .map(|at| at + self.config.consent_expiry),
                );
            }
        }
        if self.config.lite && self.state != ConnectionState::Disconnected {
            consider(self.lite_silence());
        }
        let checks = self.current.remote.is_some() && self.current.list.has_work();
        if checks || self.gatherer.has_work() {
            consider(self.pacer.next());
        }
        let allocation = self.relays.next_due(&self.servers);
        consider(allocation.map(|at| self.pacer.next().map_or(at, |next| next.max(at))));
        if !self.patience_over {
            let since = self.current.searching_since();
            consider(since.map(|at| at + self.config.patience));
        }
        consider(self.previous.as_ref().and_then(|p| p.retired));
        if self.data_pair().is_none() {
            consider(self.search_ends().filter(|at| *at > self.clock));
            if self.current.list.any_open() {
                let at_last = self.search_ends_at_last();
                consider(at_last.filter(|at| *at > self.clock));
            }
        }
        next
    }

    /// When the search for another pair in place of one that was lost may be
    /// called failed.
    fn search_ends(&self) -> Option<Instant> {
        let current = &self.current;
        let lost = current.lost?;
        Some(if current.first_valid.is_some() {
            lost + self.config.consent_expiry
        } else {
            // A restart: checks begin when the answer comes.
            let patience = self.config.patience;
            let answer = lost + patience.max(self.config.consent_expiry);
            current.started.map_or(answer, |at| at.max(lost) + patience)
        })
    }

    /// When it is failed though checks are under way: with many pairs the last
    /// of them may take minutes.
    fn search_ends_at_last(&self) -> Option<Instant> {
        self.search_ends().map(|end| end + self.config.patience)
    }

    /// When a lite agent is disconnected. It asks nothing: it only notices that
    /// nobody asks any more.
    fn lite_silence(&self) -> Option<Instant> {
        let (previous, _) = self.data_pair()?;
        let heard = self.generation(previous)?.last_heard()?;
        Some(heard + self.config.disconnected_timeout + self.config.consent_interval * 2)
    }

    /// Moves time on.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.clock = self.clock.max(now);
        self.relays.handle_timeout(now);
        self.drain_relays(now);
        while let Some(question) = self.gatherer.step(now) {
            if let Some(server) = self.servers.get(question.server).cloned() {
                self.server_failed(&server, question.base, SERVER_SILENT, "no response".into());
            }
            self.update_gathering();
        }
        let nothing_works = self.current.selected.is_none();
        let since = self.current.searching_since();
        self.patience_over = since.is_some_and(|at| now >= at + self.config.patience);
        let retry = nothing_works && !self.patience_over;
        for previous in [false, true] {
            self.with_generation(now, previous, |generation, cx| {
                while let Some(request) = generation.transactions.step(now) {
                    if request.purpose == Purpose::Check {
                        generation.check_timed_out(cx, request.pair, retry);
                    }
                }
            });
        }
        self.expire_lite(now);
        self.settle(now);
    }

    fn expire_lite(&mut self, now: Instant) {
        if !self.config.lite {
            return;
        }
        let expiry = self.config.consent_expiry;
        let silent = |heard: Option<Instant>| heard.is_some_and(|at| now >= at + expiry);
        let previous = self.previous.as_deref_mut();
        for generation in std::iter::once(&mut self.current).chain(previous) {
            if silent(generation.last_heard()) {
                generation.expire(|pair| silent(pair.last_received));
            }
        }
    }

    /// Draws all conclusions from what has changed.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        let [current, previous] = [false, true].map(|previous| {
            let settle = |generation: &mut Generation, cx: &mut Context<'_>| {
                generation.watch(now, cx.config, cx.role);
                generation.settle(cx, !previous)
            };
            self.with_generation(now, previous, settle) == Some(true)
        });
        self.compare_generations(now);
        if (current || previous) && self.data_pair().is_none() {
            if previous {
                self.current.lost = Some(now);
            }
            // The search begins anew.
            self.patience_over = false;
        }
        if current && self.current.selected.is_some() {
            self.gatherer.relax(self.config.continual);
        }
        let number = |previous| self.generation(previous).map(|g| g.number);
        let selected = self.data_pair();
        let told = selected.and_then(|(previous, id)| Some((number(previous)?, id)));
        if told != self.told {
            self.told = told;
            self.selection_changed();
        }
        if !self.relays.is_empty() {
            self.tidy_relays(now);
        }
        self.update_state(now);
    }

    /// Which generation data go by, and how long the previous one is kept.
    fn compare_generations(&mut self, now: Instant) {
        let current = &self.current;
        let provisional = current.is_provisional();
        let works = current.selected.is_some();
        let nominated = current.selected.and_then(|id| current.list.get(id));
        let nominated = nominated.is_some_and(Pair::nominated);
        let done = |previous: &mut Box<Generation>| {
            if nominated {
                previous.retire(now + FAREWELL);
            }
            // One that does not work is kept for `cancel_restart` alone.
            let of_use = previous.selected.is_some() || !works;
            previous.retired.map_or(!of_use, |until| now >= until)
        };
        self.previous.take_if(done);
        self.stay = provisional && self.previous.as_deref().is_some_and(Generation::is_well);
    }

    fn selection_changed(&mut self) {
        self.selected_pair_changes += 1;
        self.bind_selected();
        if let Some(pair) = self.selected_pair() {
            tracing::debug!(local = %pair.local, remote = %pair.remote, nominated = pair.nominated, "ice.selected");
            self.push_event(Event::SelectedPair(pair));
        }
    }

    /// The addresses that data go between over UDP without a relay of ours: the host's, and the peer's as it is seen from
    /// here.
    #[must_use]
    pub fn selected_path(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (previous, id) = self.data_pair()?;
        let pair = self.generation(previous)?.list.get(id)?;
        let base = self.locals.base(pair.base)?;
        matches!(base.kind, BaseKind::Host(HostTransport::Udp))
            .then_some((base.addr, pair.remote_addr))
    }

    /// The pair that data go by.
    #[must_use]
    pub fn selected_pair(&self) -> Option<SelectedPair> {
        let (previous, id) = self.data_pair()?;
        let generation = self.generation(previous)?;
        let pair = generation.list.get(id)?;
        Some(SelectedPair {
            local: self.local_of(pair)?,
            remote: generation.remotes.get(pair.remote)?.candidate.clone(),
            nominated: pair.nominated(),
        })
    }

    fn update_state(&mut self, now: Instant) {
        let next = self.state_at(now);
        if next != self.state {
            self.set_state(next);
        }
    }

    pub(super) fn set_state(&mut self, state: ConnectionState) {
        tracing::debug!(%state, ufrag = %self.current.local.ufrag, "ice.state");
        self.state = state;
        self.push_event(Event::ConnectionState(state));
    }

    fn state_at(&self, now: Instant) -> ConnectionState {
        use ConnectionState as S;
        let current = &self.current;
        if let Some((previous, selected)) = self.data_pair()
            && let Some(generation) = self.generation(previous)
        {
            return match self.connected_state(now, generation, selected) {
                // A restart under way; data still go by the old pair.
                S::Completed if previous => S::Connected,
                other => other,
            };
        }
        if let Some(end) = self.search_ends() {
            let at_last = self.search_ends_at_last().is_some_and(|at| now >= at);
            let checking = !at_last && current.remote.is_some() && current.list.any_open();
            let worked = current.first_valid.is_some();
            let revoked = worked
                && current.list.iter().any(|(_, p)| {
                    matches!(
                        p.failure,
                        Some(FailureReason::ConsentExpired | FailureReason::ErrorResponse(_))
                    )
                });
            return match (now >= end || revoked) && !checking {
                true => S::Failed,
                false if worked => S::Disconnected,
                // W3C 4.6.6: what restarts from there is checking.
                false => S::Checking,
            };
        }
        if self.patience_over && !current.list.any_open() {
            return S::Failed;
        }
        let begun = current.started.is_some() || current.list.len() > 0;
        if current.remote.is_some() && begun {
            S::Checking
        } else {
            S::New
        }
    }

    fn connected_state(
        &self,
        now: Instant,
        generation: &Generation,
        selected: PairId,
    ) -> ConnectionState {
        use ConnectionState as S;
        let Some(pair) = generation.list.get(selected) else {
            return S::Disconnected;
        };
        let silence = pair
            .last_received
            .map(|at| now.saturating_duration_since(at));
        let limit = self.config.disconnected_timeout;
        let silent = silence.is_none_or(|s| s >= limit);
        let suspect = match &generation.consent {
            Some(consent) => consent.suspect_for(now).is_some_and(|s| s >= limit / 2),
            None => silence.is_none_or(|s| s >= limit + self.config.consent_interval * 2),
        };
        if silent && suspect {
            return S::Disconnected;
        }
        let settled = pair.nominated()
            && self.gathering == GatheringState::Complete
            && generation.end_of_candidates
            && (self.config.lite || !generation.list.better_is_open(pair.priority));
        if settled { S::Completed } else { S::Connected }
    }

    pub(super) fn server_failed(&mut self, server: &Server, base: BaseId, code: u16, text: String) {
        let address = self.locals.base(base).filter(|b| !b.named).map(|b| b.addr);
        let error = ServerError {
            url: server.url().clone(),
            address,
            code,
            text,
        };
        if self.server_errors.len() >= crate::limits::MAX_SERVER_ERRORS {
            self.server_errors.remove(0);
        }
        self.server_errors.push(error.clone());
        self.push_event(Event::CandidateError(error));
    }

    /// The operating system, or the TCP connection, says that a path does not
    /// work: no route, an ICMP error, a connection refused or closed. Without
    /// its connection a pair fails at once. By UDP a selected pair is
    /// questioned at once and fails only if it does not answer; a check goes
    /// on, better ones are not waited for, and should it time out this is the
    /// reason (RFC 8445 §7.2.5.2.2 warns of forged errors).
    pub fn path_failed(&mut self, now: Instant, source: crate::Source, reason: FailureReason) {
        let Some(base) = self.find_base(source.transport, crate::locals::normalise(source.local))
        else {
            return;
        };
        let remote = crate::locals::normalise(source.remote);
        let previous = self.previous.as_deref_mut();
        for generation in std::iter::once(&mut self.current).chain(previous) {
            let Some(id) = generation.list.find(base, remote) else {
                continue;
            };
            let Some(pair) = generation.list.get_mut(id) else {
                continue;
            };
            // Without a connection that broke, it may be a matter of a moment, such as a
            // route that is away: the check goes on and is sent again.
            if !pair.is_valid() && (!pair.reliable || self.locals.opens_simultaneously(base)) {
                pair.suspicion = Some(reason);
                continue;
            }
            let is_tcp = pair.reliable && reason == FailureReason::ConnectionLost;
            if pair.is_valid() && !is_tcp {
                if generation.selected == Some(id)
                    && let Some(consent) = &mut generation.consent
                {
                    consent.probe(now);
                }
            } else {
                generation.fail(id, reason);
            }
        }
        self.settle(now);
    }
}

impl Generation {
    fn poll_timeout(&self) -> Option<Instant> {
        [
            self.transactions.poll_timeout(),
            self.consent.as_ref().map(|c| c.poll_timeout()),
            self.next_backup
                .filter(|_| self.selected.is_some() && self.consent.is_some()),
            self.ponder,
            self.watch_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Looks after the selected pair: gives it up when consent expired, passes
    /// it over when it is silent and a reserve is not.
    fn watch(&mut self, now: Instant, config: &Config, role: Role) {
        self.watch_at = None;
        let Some(selected) = self.selected else {
            return;
        };
        let Some(consent) = &self.consent else { return };
        if consent.expired(now) {
            self.fail(selected, FailureReason::ConsentExpired);
            // Reserves were asked in the silence, and may have been as silent.
            self.expire(|pair| now >= pair.consent_ends(now, config.consent_expiry));
            return;
        }
        let Some(since) = consent.suspect_since() else {
            return;
        };
        if now.saturating_duration_since(since) < config.failover_timeout {
            return;
        }
        self.unpark();
        let spoke_since = |p: &Pair| p.last_received.is_some_and(|at| at > since);
        let alive = self
            .list
            .iter()
            .any(|(id, p)| id != selected && p.is_valid() && spoke_since(p));
        if !alive {
            return;
        }
        for pair in self.list.iter_mut().filter(|p| !spoke_since(p)) {
            pair.avoided = pair.is_valid();
            pair.nomination = Nomination::None;
            // The controlling side may not have noticed: its word counts again
            // when the pair does.
            if role == Role::Controlling {
                pair.nominated_at = None;
            }
        }
    }

    /// When anything came by the selected pair.
    fn last_heard(&self) -> Option<Instant> {
        self.list.get(self.selected?)?.last_received
    }

    /// Consent of these pairs that work has ended.
    fn expire(&mut self, ended: impl Fn(&Pair) -> bool) {
        let ended = |(id, pair): (PairId, &Pair)| (pair.is_valid() && ended(pair)).then_some(id);
        let all: Vec<PairId> = self.list.iter().filter_map(ended).collect();
        for id in all {
            self.fail(id, FailureReason::ConsentExpired);
        }
    }

    /// The role changed: what was nominated before is open again.
    pub(super) fn role_switched(&mut self) {
        for pair in self.list.iter_mut() {
            if pair.nomination == Nomination::Pending {
                pair.nomination = Nomination::None;
            }
            if pair.nomination == Nomination::None {
                pair.nominated_at = None;
            }
        }
    }

    /// Checks a pair again with the new role.
    pub(super) fn recheck(&mut self, id: PairId) {
        self.list.trigger(id);
    }
}
