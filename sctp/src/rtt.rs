//! Round-trip time and retransmission timeout (RFC 9260 §6.3.1).

use std::time::{Duration, Instant};

use crate::limits::{MIN_RTT_WINDOW, RTO_MAX_BACKOFF};

/// What the timeout is at least above the smoothed round-trip time: the peer may hold an
/// acknowledgement back for 200 ms (RFC 9260 §6.2), and behind a queue that stays full the
/// variance falls to nothing, so that a retransmission would time out just before it is
/// acknowledged.
const LEAST_MARGIN: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub(crate) struct RttEstimator {
    smoothed: Option<Duration>,
    variance: Duration,
    latest: Duration,
    minimum: Option<(Duration, Instant)>,
    initial: Duration,
    floor: Duration,
    ceiling: Duration,
    backoff: u32,
}

impl RttEstimator {
    pub(crate) fn new(initial: Duration, floor: Duration, ceiling: Duration) -> Self {
        Self {
            smoothed: None,
            variance: Duration::ZERO,
            latest: Duration::ZERO,
            minimum: None,
            initial,
            floor,
            ceiling: ceiling.max(floor),
            backoff: 0,
        }
    }

    /// A measurement that is not ambiguous (Karn: RFC 9260 §6.3.1 C5).
    pub(crate) fn sample(&mut self, now: Instant, rtt: Duration) {
        self.latest = rtt;
        self.backoff = 0;
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variance = rtt / 2;
            }
            Some(srtt) => {
                let error = srtt.abs_diff(rtt);
                self.variance = (self.variance * 3 + error) / 4;
                self.smoothed = Some((srtt * 7 + rtt) / 8);
            }
        }
        match self.minimum {
            Some((minimum, at)) if rtt > minimum && now.duration_since(at) < MIN_RTT_WINDOW => {}
            _ => self.minimum = Some((rtt, now)),
        }
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(crate) fn latest(&self) -> Duration {
        self.latest
    }

    /// The least of the last minutes.
    pub(crate) fn minimum(&self) -> Option<Duration> {
        self.minimum.map(|(rtt, _)| rtt)
    }

    /// The timeout, doubled for each time it ran out (RFC 9260 §6.3.3 E2).
    pub(crate) fn timeout(&self) -> Duration {
        let base = match self.smoothed {
            None => self.initial,
            Some(srtt) => srtt + (self.variance * 4).max(LEAST_MARGIN),
        };
        let base = base.clamp(self.floor, self.ceiling);
        (base * (1 << self.backoff.min(RTO_MAX_BACKOFF))).min(self.ceiling)
    }

    pub(crate) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(RTO_MAX_BACKOFF);
    }

    /// The timeouts of late were not the network's congestion. Returns whether there were any.
    pub(crate) fn forget_backoff(&mut self) -> bool {
        std::mem::take(&mut self.backoff) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn first_sample_sets_variance_to_half_and_later_ones_smooth() {
        let now = Instant::now();
        let mut rtt = RttEstimator::new(MS * 1000, MS, MS * 60_000);
        assert_eq!(rtt.timeout(), MS * 1000);
        rtt.sample(now, MS * 100);
        assert_eq!(rtt.timeout(), MS * 300);
        rtt.sample(now, MS * 180);
        assert_eq!(rtt.smoothed(), Some(MS * 110));
        // RTTVAR = 3/4 · 50 + 1/4 · 80
        assert_eq!(rtt.variance, Duration::from_micros(57_500));
    }

    #[test]
    fn a_steady_round_trip_leaves_room_for_a_delayed_acknowledgement() {
        let now = Instant::now();
        let mut rtt = RttEstimator::new(MS * 1000, MS * 250, MS * 60_000);
        for _ in 0..100 {
            rtt.sample(now, MS * 450);
        }
        assert_eq!(rtt.timeout(), MS * 650);
    }

    #[test]
    fn timeout_doubles_to_its_ceiling_and_a_sample_ends_the_doubling() {
        let mut rtt = RttEstimator::new(MS * 1000, MS * 200, MS * 60_000);
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push(rtt.timeout().as_secs());
            rtt.back_off();
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 60, 60]);
        rtt.sample(Instant::now(), MS * 100);
        assert_eq!(rtt.timeout(), MS * 300);
    }
}
