//! A controller by bottleneck rate and round-trip time, in the manner of BBR
//! (draft-cardwell-iccrg-bbr-congestion-control): it paces at the rate at which data arrives and
//! does not take a random loss for a full queue.

use std::time::{Duration, Instant};

use super::{Ack, CongestionControl, Limited, initial_window, paced};

/// 2 / ln 2: doubles the rate each round trip.
const STARTUP_GAIN: f64 = 2.885;
/// What may be in flight meanwhile, in bandwidth-delay products: no more than a queue of one
/// holds.
const STARTUP_WINDOW_GAIN: f64 = 2.0;
/// Starting ends too when this share of a round is lost: no path that can be used loses so much
/// by itself.
const STARTUP_LOSS: f64 = 0.2;
/// But not when these are fewer packets: of the first ten, three are lost by chance.
const STARTUP_LOST_PACKETS: f64 = 8.0;
/// Empties in one round what starting put into the queue.
const DRAIN_GAIN: f64 = 1.0 / STARTUP_GAIN;
/// Room for delayed and compressed acknowledgements.
const WINDOW_GAIN: f64 = 2.0;
/// One round looks for more, one gives the queue back, the others cruise.
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// The rate is the highest of this many rounds.
const RATE_ROUNDS: u64 = 10;
/// Starting ends when the rate grew by less than this factor...
const FULL_GROWTH: f64 = 1.25;
/// ... for this many rounds.
const FULL_ROUNDS: u32 = 3;
/// Starting ends when the receiver's window was the limit for this many rounds in a row.
const HELD_BACK_ROUNDS: u32 = 8;
/// A least round-trip time older than this is measured again with an empty queue.
const MIN_RTT_AGE: Duration = Duration::from_secs(10);
/// How long that takes.
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// The share of the bandwidth-delay product that stays in flight meanwhile.
const PROBE_RTT_SHARE: f64 = 0.5;
/// A measurement this close to the least one (one part in so many, and the time of the packets
/// that are always let out) shows that the queue is empty from time to time: the least one is as
/// good as measured again. It saves most of the pauses that would cost a long path its rate.
const MIN_RTT_SLACK: f64 = 32.0;
/// Packets that may be in flight beyond any bound: they serve delayed acknowledgements.
const SPARE_PACKETS: f64 = 3.0;
/// Packets always allowed.
const LEAST_PACKETS: f64 = 4.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Startup,
    Drain,
    ProbeBandwidth {
        step: usize,
        since: Instant,
    },
    ProbeRtt {
        until: Option<Instant>,
        was_starting: bool,
    },
}

/// The highest of the last rounds: the three best of growing age, as in Kathleen Nichols' filter.
#[derive(Clone, Copy, Debug, Default)]
struct MaxFilter {
    best: [(u64, f64); 3],
}

impl MaxFilter {
    fn update(&mut self, round: u64, value: f64) {
        let new = (round, value);
        if value >= self.best[0].1 || round > self.best[2].0 + RATE_ROUNDS {
            self.best = [new; 3];
            return;
        }
        if value >= self.best[1].1 {
            self.best[1] = new;
            self.best[2] = new;
        } else if value >= self.best[2].1 {
            self.best[2] = new;
        }
        if round > self.best[0].0 + RATE_ROUNDS {
            self.best = [self.best[1], self.best[2], new];
            if round > self.best[0].0 + RATE_ROUNDS {
                self.best = [self.best[1], self.best[2], new];
            }
        } else if self.best[1].0 == self.best[0].0 && round > self.best[0].0 + RATE_ROUNDS / 4 {
            self.best[1] = new;
            self.best[2] = new;
        } else if self.best[2].0 == self.best[1].0 && round > self.best[0].0 + RATE_ROUNDS / 2 {
            self.best[2] = new;
        }
    }

    fn get(&self) -> f64 {
        self.best[0].1
    }
}

/// The controller. Rates are in octets a second.
#[derive(Debug, Clone)]
pub struct Bbr {
    mtu: f64,
    mode: Mode,
    window: f64,
    rate: MaxFilter,
    /// Rounds while the rate was looked for: it is not forgotten while it is held down.
    round: u64,
    round_end: u64,
    round_began: bool,
    full_rate: f64,
    full_rounds: u32,
    filled: bool,
    /// Rounds of the start in which the receiver's window was the limit.
    held_back_rounds: u32,
    /// Octets delivered and lost when the round began.
    at_round: (u64, u64),
    /// The window before the least round-trip time was looked for.
    prior_window: f64,
    min_rtt: Option<(Duration, Instant)>,
}

impl Bbr {
    /// A controller for packets of `mtu` octets.
    pub fn new(mtu: usize) -> Self {
        Self {
            mtu: mtu as f64,
            mode: Mode::Startup,
            window: initial_window(mtu) as f64,
            rate: MaxFilter::default(),
            round: 0,
            round_end: 0,
            round_began: false,
            full_rate: 0.0,
            full_rounds: 0,
            filled: false,
            held_back_rounds: 0,
            at_round: (0, 0),
            prior_window: 0.0,
            min_rtt: None,
        }
    }

    fn product(&self) -> Option<f64> {
        let (rtt, _) = self.min_rtt?;
        let rate = self.rate.get();
        (rate > 0.0).then_some(rate * rtt.as_secs_f64())
    }

    fn gain(&self) -> f64 {
        match self.mode {
            Mode::Startup => STARTUP_GAIN,
            Mode::Drain => DRAIN_GAIN,
            Mode::ProbeBandwidth { step, .. } => CYCLE.get(step).copied().unwrap_or(1.0),
            Mode::ProbeRtt { .. } => 1.0,
        }
    }

    fn measure(&mut self, ack: &Ack) {
        self.round_began = false;
        let held_down = matches!(self.mode, Mode::ProbeRtt { .. });
        if let Some(sample) = ack.rate {
            if sample.prior_delivered >= self.round_end {
                self.round_end = ack.delivered;
                self.round += u64::from(!held_down);
                self.round_began = true;
            }
            // Acknowledgements in a bunch would show more than the path carries.
            let interval = sample.interval.max(ack.min_rtt).as_secs_f64();
            if interval > 0.0 {
                let rate = sample.delivered as f64 / interval;
                let low = held_down || sample.limited != Limited::No;
                if !sample.inflated && (!low || rate >= self.rate.get()) {
                    self.rate.update(self.round, rate);
                }
            }
        }
        if let Some(rtt) = ack.rtt {
            let slack = match (self.min_rtt, self.rate.get()) {
                (Some((least, _)), rate) if rate > 0.0 => {
                    least.as_secs_f64() / MIN_RTT_SLACK + SPARE_PACKETS * self.mtu / rate
                }
                _ => 0.0,
            };
            match self.min_rtt {
                Some((least, _)) if rtt.as_secs_f64() > least.as_secs_f64() + slack => {}
                Some((least, _)) if rtt > least => self.min_rtt = Some((least, ack.now)),
                _ => self.min_rtt = Some((rtt, ack.now)),
            }
        }
    }

    fn check_full(&mut self, ack: &Ack) {
        if !self.round_began {
            return;
        }
        let (delivered, lost) = self.at_round;
        let (delivered, lost) = ((ack.delivered - delivered) as f64, (ack.lost - lost) as f64);
        self.at_round = (ack.delivered, ack.lost);
        if self.filled {
            return;
        }
        // Also when the receiver's window has stopped the sender, as it does after such a loss.
        let many = lost >= STARTUP_LOST_PACKETS * self.mtu;
        if many && lost > STARTUP_LOSS * (lost + delivered) {
            self.filled = true;
            return;
        }
        match ack.rate.map_or(Limited::No, |r| r.limited) {
            Limited::No => self.held_back_rounds = 0,
            Limited::ByApplication => return,
            Limited::ByReceiver => {
                // Its window grows with what arrives, a few round trips late, up to its bound.
                self.held_back_rounds += 1;
                self.filled = self.held_back_rounds >= HELD_BACK_ROUNDS;
                return;
            }
        }
        let rate = self.rate.get();
        if rate >= self.full_rate * FULL_GROWTH {
            self.full_rate = rate;
            self.full_rounds = 0;
            return;
        }
        self.full_rounds += 1;
        self.filled = self.full_rounds >= FULL_ROUNDS;
    }

    fn change_mode(&mut self, ack: &Ack) {
        let product = self.product().unwrap_or(f64::INFINITY);
        let in_flight = ack.in_flight as f64;
        match self.mode {
            Mode::Startup if self.filled => self.mode = Mode::Drain,
            Mode::Drain if in_flight <= product => {
                // Any step but the one that gives back: there is nothing to give.
                self.mode = Mode::ProbeBandwidth {
                    step: 2,
                    since: ack.now,
                };
            }
            Mode::ProbeBandwidth { step, since } => {
                let min_rtt = self.min_rtt.map_or(Duration::ZERO, |(rtt, _)| rtt);
                let round_passed = ack.now.saturating_duration_since(since) >= min_rtt;
                let next = match step {
                    // Keep looking until the queue shows it, or it was lost.
                    0 => {
                        let shown = in_flight >= product * 1.2 || ack.in_recovery;
                        (round_passed && shown)
                            || ack.now.saturating_duration_since(since) >= min_rtt * 2
                    }
                    1 => round_passed || in_flight <= product,
                    _ => round_passed,
                };
                if next {
                    let step = (step + 1) % CYCLE.len();
                    self.mode = Mode::ProbeBandwidth {
                        step,
                        since: ack.now,
                    };
                }
            }
            _ => {}
        }
        self.probe_rtt(ack, product);
    }

    fn probe_rtt(&mut self, ack: &Ack, product: f64) {
        let old = self
            .min_rtt
            .is_some_and(|(_, at)| ack.now.saturating_duration_since(at) >= MIN_RTT_AGE);
        match self.mode {
            Mode::ProbeRtt {
                until: None,
                was_starting,
            } if (ack.in_flight as f64) <= self.window => {
                let until = Some(ack.now + PROBE_RTT_TIME.max(ack.min_rtt));
                self.mode = Mode::ProbeRtt {
                    until,
                    was_starting,
                };
                // What is measured from now on is the empty path.
                self.min_rtt = ack.rtt.map(|rtt| (rtt, ack.now)).or(self.min_rtt);
            }
            Mode::ProbeRtt {
                until: Some(until),
                was_starting,
            } if ack.now >= until => {
                if let Some((_, at)) = &mut self.min_rtt {
                    *at = ack.now;
                }
                self.window = self.window.max(self.prior_window);
                self.mode = if was_starting {
                    Mode::Startup
                } else {
                    Mode::ProbeBandwidth {
                        step: 2,
                        since: ack.now,
                    }
                };
            }
            Mode::ProbeRtt { .. } => {}
            _ if old => {
                self.prior_window = self.window;
                self.window = self.window.min(self.held_down(product));
                self.mode = Mode::ProbeRtt {
                    until: None,
                    was_starting: !self.filled,
                };
            }
            _ => {}
        }
    }

    /// The window while the least round-trip time is looked for.
    fn held_down(&self, product: f64) -> f64 {
        (product * PROBE_RTT_SHARE).max(LEAST_PACKETS * self.mtu)
    }

    fn set_window(&mut self, ack: &Ack) {
        let least = LEAST_PACKETS * self.mtu;
        let Some(product) = self.product() else {
            self.window += ack.acked as f64;
            return;
        };
        let target = match self.mode {
            Mode::Startup | Mode::Drain => product * STARTUP_WINDOW_GAIN,
            Mode::ProbeBandwidth { .. } => product * WINDOW_GAIN,
            Mode::ProbeRtt { .. } => {
                self.window = self.window.min(self.held_down(product));
                return;
            }
        };
        // Small products need room for what acknowledgements hold back.
        let target = (target + SPARE_PACKETS * self.mtu).max(least);
        let grown = self.window + ack.acked as f64;
        self.window = match self.mode {
            // It never shrinks while starting, and grows as long as it is the limit.
            Mode::Startup if self.window < target => grown,
            Mode::Startup => self.window,
            _ => grown.min(target).max(least),
        };
    }
}

impl CongestionControl for Bbr {
    fn window(&self) -> usize {
        self.window as usize
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<f64> {
        let rate = self.rate.get();
        if rate <= 0.0 {
            return paced(self.window, smoothed_rtt, self.gain());
        }
        let floor = match self.mode {
            // Until the filter has seen a whole window it must not slow the start.
            Mode::Startup => {
                paced(initial_window(self.mtu as usize) as f64, smoothed_rtt, 1.0).unwrap_or(0.0)
            }
            _ => 0.0,
        };
        Some((rate * self.gain()).max(floor))
    }

    fn on_ack(&mut self, ack: &Ack) {
        self.measure(ack);
        self.check_full(ack);
        self.change_mode(ack);
        self.set_window(ack);
    }

    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {}

    fn on_timeout(&mut self, _now: Instant) {
        // The window is built again by what arrives; the rate is remembered.
        self.window = LEAST_PACKETS * self.mtu;
    }

    fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu as f64;
        self.window = self.window.max(LEAST_PACKETS * self.mtu);
    }

    fn is_starting(&self) -> bool {
        self.mode == Mode::Startup
    }
}

#[cfg(test)]
#[path = "bbr_tests.rs"]
mod tests;
