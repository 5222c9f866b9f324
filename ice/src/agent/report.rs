//! What the agent tells about itself.

use super::Agent;
use crate::candidate::Candidate;
use crate::config::{Policy, Server};
use crate::diagnosis::{Cause, Explanation, PairReport};
use crate::event::ConnectionState;
use crate::generation::Generation;
use crate::locals::{BaseKind, Local};
use crate::pair::{FailureReason, Pair, PairId, PairState};
use crate::stats::{Origin, PairStats, Stats};
use crate::transport::Transport;

impl Agent {
    /// A snapshot for statistics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let generation = &self.current;
        let rows: Vec<(PairId, PairStats)> = generation
            .list
            .iter()
            .filter_map(|(id, pair)| Some((id, self.pair_stats(generation, pair)?)))
            .collect();
        Stats {
            role: self.role,
            state: self.state,
            gathering: self.gathering,
            selected_pair_changes: self.selected_pair_changes,
            selected: rows
                .iter()
                .position(|(id, _)| !self.stay && Some(*id) == generation.selected),
            pairs: rows.into_iter().map(|(_, row)| row).collect(),
            local_candidates: self
                .locals
                .candidates()
                .map(|l| l.candidate.clone())
                .collect(),
            remote_candidates: generation
                .remotes
                .iter()
                .map(|(_, r)| r.candidate.clone())
                .collect(),
            counters: self.counters,
        }
    }

    fn pair_stats(&self, generation: &Generation, pair: &Pair) -> Option<PairStats> {
        let counters = pair.counters;
        Some(PairStats {
            local: self.local_of(pair)?,
            remote: generation.remotes.get(pair.remote)?.candidate.clone(),
            state: pair.state,
            failure: pair.failure,
            nominated: pair.nominated(),
            priority: pair.priority,
            current_round_trip_time: pair.rtt.current,
            total_round_trip_time: pair.rtt.total,
            round_trips: pair.rtt.count,
            requests_sent: counters.requests_sent,
            retransmissions_sent: counters.retransmissions_sent,
            consent_requests_sent: counters.consent_requests_sent,
            requests_received: counters.requests_received,
            responses_sent: counters.responses_sent,
            responses_received: counters.responses_received,
            packets_sent: counters.packets_sent,
            bytes_sent: counters.bytes_sent,
            packets_received: counters.packets_received,
            bytes_received: counters.bytes_received,
            last_packet_sent: counters.last_data_sent,
            last_packet_received: counters.last_data_received,
        })
    }

    /// The STUN or TURN server that a candidate of ours comes from; `None` for
    /// one that comes from none, or that is gone.
    #[must_use]
    pub fn origin(&self, candidate: &Candidate) -> Option<Origin> {
        let same = |l: &&Local| {
            l.candidate.kind == candidate.kind
                && l.candidate.transport == candidate.transport
                && l.candidate.socket_addr() == candidate.socket_addr()
        };
        let local = self.locals.candidates().find(same)?;
        let at = local.server?;
        let (url, transport) = match self.locals.base(local.base)?.kind {
            BaseKind::Relay(allocation) => {
                let (_, _, transport, server) = self.relays.origin(allocation)?;
                (self.servers.get(server)?.url(), transport)
            }
            BaseKind::Host(_) => {
                let there = |s: &&Server| s.addr() == at;
                let asked = |s: &&Server| match s {
                    Server::Stun { .. } => true,
                    Server::Turn { transport, .. } => *transport == Transport::Udp,
                };
                let mut servers = self.servers.active().map(|(_, s)| s).filter(there);
                let server = servers.find(asked)?;
                (server.url(), Transport::Udp)
            }
        };
        Some(Origin {
            url: url.clone(),
            transport,
        })
    }

    /// Our end of a pair as the peer sees it, if that is known.
    pub(super) fn local_of(&self, pair: &Pair) -> Option<Candidate> {
        let mapped = pair.mapped.and_then(|id| self.locals.candidate(id));
        mapped
            .or_else(|| self.locals.candidate(pair.local))
            .map(|local| local.candidate.clone())
    }

    /// Explains why the agent is, or is not, connected: a value to look into
    /// and, by `Display`, words for people.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let generation = &self.current;
        let report = |pair: &Pair| {
            Some(PairReport {
                local: self.local_of(pair)?,
                remote: generation.remotes.get(pair.remote)?.candidate.clone(),
                state: pair.state,
                failure: pair
                    .failure
                    .or_else(|| pair.suspicion.filter(|_| pair.is_open())),
                requests: pair.counters.requests_sent
                    + pair.counters.retransmissions_sent
                    + pair.counters.consent_requests_sent,
                responses: pair.counters.responses_received,
                received: pair.counters.requests_received,
            })
        };
        Explanation {
            state: self.state,
            gathering: self.gathering,
            cause: self.cause(),
            pairs: generation
                .list
                .iter()
                .filter_map(|(_, pair)| report(pair))
                .collect(),
            servers: self.server_errors.clone(),
            bad_integrity: self.counters.bad_integrity,
            unknown_ufrag: self.counters.unknown_ufrag,
        }
    }

    fn cause(&self) -> Cause {
        let generation = &self.current;
        match self.state {
            ConnectionState::Closed => return Cause::Closed,
            ConnectionState::Connected | ConnectionState::Completed => return Cause::Connected,
            ConnectionState::Disconnected => return Cause::Lost,
            _ => {}
        }
        if generation.lost.is_some() && generation.first_valid.is_some() {
            return Cause::Lost;
        }
        let usable = |(_, base): (_, &crate::locals::Base)| {
            self.config.policy != Policy::Relay || matches!(base.kind, BaseKind::Relay(_))
        };
        if !self.locals.bases().any(usable) {
            return Cause::NoLocalCandidates;
        }
        if generation.remote.is_none() {
            return Cause::NoRemoteCredentials;
        }
        let mut remotes = generation
            .remotes
            .iter()
            .map(|(_, r)| r.addr.is_some())
            .peekable();
        if remotes.peek().is_none() {
            return Cause::NoRemoteCandidates;
        }
        if !remotes.any(|resolved| resolved) {
            return Cause::UnresolvedNames;
        }
        let pairs = || generation.list.iter().map(|(_, p)| p);
        if pairs().next().is_none() {
            return Cause::NothingInCommon;
        }
        if pairs().any(|p| p.state != PairState::Failed) {
            return Cause::StillChecking;
        }
        // The most telling reason: anything but silence says more than silence.
        let reasons = || pairs().filter_map(|p| p.failure);
        let telling = reasons().find(|r| *r != FailureReason::NoReply);
        Cause::AllFailed(telling.unwrap_or(FailureReason::NoReply))
    }
}
