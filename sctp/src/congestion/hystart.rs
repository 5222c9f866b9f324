//! HyStart++: leave slow start when delay grows, before the queue overflows (RFC 9406).

use std::time::Duration;

use super::Ack;

const MIN_RTT_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_RTT_THRESHOLD: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const SAMPLES: u32 = 8;
const CSS_GROWTH_DIVISOR: usize = 4;
const CSS_ROUNDS: u32 = 5;

/// The detector's state over the rounds of slow start.
#[derive(Clone, Debug, Default)]
pub struct HyStart {
    /// Data delivered at which the round ends.
    round_end: u64,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    samples: u32,
    /// Conservative slow start: the baseline that caused it and the rounds spent in it.
    conservative: Option<(Duration, u32)>,
    done: bool,
}

impl HyStart {
    /// Takes in an acknowledgement during slow start; returns by how many octets the window grows.
    pub fn on_ack(&mut self, ack: &Ack) -> usize {
        if let Some(rate) = ack.rate
            && rate.prior_delivered >= self.round_end
        {
            self.round_end = ack.delivered;
            self.last_min = self.current_min.take();
            self.samples = 0;
            if let Some((_, rounds)) = &mut self.conservative {
                *rounds += 1;
                self.done |= *rounds >= CSS_ROUNDS;
            }
        }
        if let Some(rtt) = ack.rtt {
            self.current_min = Some(self.current_min.map_or(rtt, |min| min.min(rtt)));
            self.samples += 1;
        }
        if self.samples >= SAMPLES
            && let (Some(current), Some(last)) = (self.current_min, self.last_min)
        {
            match self.conservative {
                None => {
                    let threshold =
                        (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD);
                    if current >= last + threshold {
                        self.conservative = Some((current, 0));
                    }
                }
                // It was a passing thing: resume.
                Some((baseline, _)) if current < baseline => self.conservative = None,
                Some(_) => {}
            }
        }
        if self.conservative.is_some() {
            ack.acked / CSS_GROWTH_DIVISOR
        } else {
            ack.acked
        }
    }

    /// Whether slow start should end now.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Slow start begins again.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ack;
    use super::*;
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    /// A path whose rounds have so many acknowledgements with these round-trip times.
    struct Path {
        hystart: HyStart,
        now: Instant,
        delivered: u64,
    }

    impl Path {
        fn new() -> Self {
            Self {
                hystart: HyStart::default(),
                now: Instant::now(),
                delivered: 0,
            }
        }

        /// How many of the acknowledgements let the window grow by all they acknowledged.
        fn round(&mut self, samples: u32, rtt: Duration) -> u32 {
            let prior = self.delivered;
            let mut full = 0;
            for _ in 0..samples {
                self.now += MS;
                self.delivered += 1_000;
                let mut ack = ack(self.now, 1_000, rtt);
                ack.delivered = self.delivered;
                if let Some(rate) = &mut ack.rate {
                    rate.prior_delivered = prior;
                }
                match self.hystart.on_ack(&ack) {
                    1_000 => full += 1,
                    250 => {}
                    other => panic!("grows by {other}"),
                }
            }
            full
        }
    }

    /// RFC 9406 §4.2: a round's least of eight samples is compared with the last round's.
    #[test]
    fn a_longer_round_trip_slows_the_start_after_eight_samples() {
        let mut path = Path::new();
        assert_eq!(path.round(20, MS * 80), 20);
        assert_eq!(path.round(20, MS * 89), 20, "less than an eighth more");
        // 89 / 8 = 11.1 ms more.
        assert_eq!(path.round(20, MS * 101), 7, "from the eighth sample on");
        assert!(!path.hystart.is_done());
    }

    /// The threshold is an eighth, but at least 4 ms and at most 16 ms.
    #[test]
    fn the_threshold_has_a_floor_and_a_ceiling() {
        for (last, more, slows) in [
            (8, 3, false),
            (8, 4, true),
            (400, 15, false),
            (400, 16, true),
        ] {
            let mut path = Path::new();
            path.round(20, MS * last);
            let full = path.round(20, MS * (last + more));
            assert_eq!(full < 20, slows, "{last} ms and {more} ms");
        }
    }

    /// CSS_ROUNDS = 5, then congestion avoidance.
    #[test]
    fn five_conservative_rounds_end_the_start() {
        let mut path = Path::new();
        path.round(20, MS * 50);
        path.round(20, MS * 100);
        for _ in 0..4 {
            assert_eq!(path.round(20, MS * 100), 0);
            assert!(!path.hystart.is_done());
        }
        path.round(20, MS * 100);
        assert!(path.hystart.is_done());
    }

    /// A round trip below what caused the slowing: it was a passing thing.
    #[test]
    fn the_start_resumes_when_the_delay_was_passing() {
        let mut path = Path::new();
        path.round(20, MS * 50);
        assert!(path.round(20, MS * 100) < 20);
        path.round(20, MS * 60);
        assert_eq!(path.round(20, MS * 60), 20);
        assert!(!path.hystart.is_done());
    }
}
