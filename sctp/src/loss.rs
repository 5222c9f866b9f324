//! When a packet counts as lost (RACK, RFC 8985 §6) and when to probe for a lost tail (§7).

use std::time::{Duration, Instant};

use crate::outstanding::Acked;
use crate::rtt::RttEstimator;

/// Packets sent later that must have arrived before an earlier one counts as lost, as long as
/// the path was not seen to reorder (RFC 8985 §6.2 keeps TCP's three duplicates there).
const PACKET_THRESHOLD: u64 = 3;

/// The reordering window is this many quarters of the least round-trip time, at most.
const MAX_QUARTERS: u32 = 16;

/// Round trips without a spurious loss after which the window shrinks again (§6.2 step 4).
const CALM_ROUNDS: u32 = 16;

/// The tail probe waits at least this long: timers are not finer on many systems.
const MIN_PROBE: Duration = Duration::from_millis(10);

#[derive(Clone, Debug)]
pub(crate) struct LossDetection {
    reordering_seen: bool,
    quarters: u32,
    calm: u32,
    newest: Option<(u64, Instant)>,
    /// Packets below this one were sent before the last loss was answered.
    recovery: u64,
    /// Losses of TSNs below this one belong to it: RFC 9260's Fast Recovery exit point.
    exit: u64,
    /// Packets from this one on are in the next round.
    round: u64,
}

impl LossDetection {
    pub(crate) fn new() -> Self {
        Self {
            reordering_seen: false,
            quarters: 1,
            calm: 0,
            newest: None,
            recovery: 0,
            exit: 0,
            round: 0,
        }
    }

    pub(crate) fn on_ack(&mut self, acked: &Acked, duplicates: usize, next_packet: u64) {
        if let Some((number, at)) = acked.newest
            && self.newest.is_none_or(|(newest, _)| number > newest)
        {
            self.newest = Some((number, at));
            if number >= self.round {
                self.round = next_packet;
                self.calm = self.calm.saturating_add(1);
                if self.calm >= CALM_ROUNDS {
                    self.quarters = 1;
                }
            }
        }
        if acked.reordered {
            self.reordering_seen = true;
        }
        // A duplicate says that a retransmission was not needed (as a DSACK does).
        if acked.spurious > 0 || duplicates > 0 {
            self.calm = 0;
            if self.reordering_seen {
                self.quarters = (self.quarters + 1).min(MAX_QUARTERS);
            }
        }
    }

    /// How long after its sending a packet may stay unacknowledged once a later one was.
    fn patience(&self, rtt: &RttEstimator) -> Duration {
        let smoothed = rtt.smoothed().unwrap_or_default();
        let window = rtt.minimum().unwrap_or_default() * self.quarters / 4;
        smoothed.max(rtt.latest()) + window.min(smoothed)
    }

    /// The test for [`detect_losses`](crate::outstanding::Outstanding::detect_losses).
    pub(crate) fn test(
        &self,
        now: Instant,
        rtt: &RttEstimator,
    ) -> impl FnMut(u64, Instant) -> bool {
        let patience = self.patience(rtt);
        let newest = self.newest.map_or(0, |(number, _)| number);
        let by_count = !self.reordering_seen;
        move |number, at| (by_count && newest >= number + PACKET_THRESHOLD) || at + patience <= now
    }

    /// When the packet sent at `at` will count as lost.
    pub(crate) fn lost_at(&self, at: Instant, rtt: &RttEstimator) -> Instant {
        at + self.patience(rtt)
    }

    /// Whether the loss of this TSN is news to the congestion control; then all below `next_tsn`
    /// belong to the event (RFC 9260 §7.2.4): also retransmissions that are lost again. The first
    /// of them leaves while the queue that overflowed is still full.
    pub(crate) fn is_new_event(&mut self, lost: u64, next_tsn: u64, next_packet: u64) -> bool {
        if lost < self.exit {
            return false;
        }
        self.answered(next_tsn, next_packet);
        true
    }

    /// All below `next_tsn` that is lost from now on was answered for.
    pub(crate) fn answered(&mut self, next_tsn: u64, next_packet: u64) {
        self.recovery = next_packet;
        self.exit = next_tsn;
    }

    /// Whether the newest acknowledged packet was sent before the last event was answered.
    pub(crate) fn in_recovery(&self) -> bool {
        self.newest
            .is_some_and(|(number, _)| number < self.recovery)
    }

    /// How long to wait for the last packets before probing (§7.2).
    pub(crate) fn probe_timeout(
        &self,
        rtt: &RttEstimator,
        single: bool,
        ack_delay: Duration,
    ) -> Option<Duration> {
        let base = (rtt.smoothed()? * 2).max(MIN_PROBE);
        Some(if single { base + ack_delay } else { base })
    }
}
