//! What the agent tells about itself.

use super::Agent;
use crate::candidate::Candidate;
use crate::generation::Generation;
use crate::pair::{Pair, PairId};
use crate::stats::{PairStats, Stats};

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
                .position(|(id, _)| Some(*id) == generation.selected),
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
        })
    }

    /// Our end of a pair as the peer sees it, if that is known.
    pub(super) fn local_of(&self, pair: &Pair) -> Option<Candidate> {
        let mapped = pair.mapped.and_then(|id| self.locals.candidate(id));
        mapped
            .or_else(|| self.locals.candidate(pair.local))
            .map(|local| local.candidate.clone())
    }
}
