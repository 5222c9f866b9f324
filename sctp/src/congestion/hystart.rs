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
