//! CUBIC (RFC 9438) with HyStart++.

use std::time::{Duration, Instant};

use super::{Ack, CongestionControl, HyStart, initial_window, paced};

/// RFC 9438 §4.6.
const BETA: f64 = 0.7;
/// RFC 9438 §5.1, in segments over seconds cubed.
const C: f64 = 0.4;

/// The controller of RFC 9438. Windows are in octets, the cubic function's in segments.
#[derive(Debug, Clone)]
pub struct Cubic {
    mtu: f64,
    window: f64,
    threshold: f64,
    /// The window before the last reduction, lowered by fast convergence (§4.7).
    w_max: f64,
    /// The window before the last reduction.
    prior: f64,
    /// What Reno would have (§4.3).
    w_est: f64,
    k: f64,
    /// Beginning of this stage of congestion avoidance.
    epoch: Option<Instant>,
    /// Since when the application has sent less than it might: that time does not count.
    idle_since: Option<Instant>,
    hystart: HyStart,
    /// What arrived in the last round trip.
    arrived: f64,
}

impl Cubic {
    /// A controller for packets of `mtu` octets.
    pub fn new(mtu: usize) -> Self {
        Self {
            mtu: mtu as f64,
            window: initial_window(mtu) as f64,
            threshold: f64::INFINITY,
            w_max: 0.0,
            prior: 0.0,
            w_est: 0.0,
            k: 0.0,
            epoch: None,
            idle_since: None,
            hystart: HyStart::default(),
            arrived: 0.0,
        }
    }

    fn reduce(&mut self) {
        self.epoch = None;
        if self.is_starting() && self.arrived > 0.0 {
            // Slow start ends one round trip too late: the window is up to twice what the path
            // held, and half of it was lost. What arrived says what the path holds.
            self.window = self
                .window
                .min(self.arrived.max(initial_window(self.mtu as usize) as f64));
        }
        self.prior = self.window;
        self.w_max = if self.window < self.w_max {
            self.window * (1.0 + BETA) / 2.0
        } else {
            self.window
        };
        self.threshold = (self.window * BETA).max(2.0 * self.mtu);
    }

    fn avoid(&mut self, ack: &Ack) {
        let epoch = *self.epoch.get_or_insert_with(|| {
            self.w_est = self.window;
            if self.w_max <= self.window {
                self.w_max = self.window;
                self.k = 0.0;
            } else {
                self.k = ((self.w_max - self.window) / self.mtu / C).cbrt();
            }
            ack.now
        });
        let acked = ack.acked as f64;
        let alpha = if self.w_est >= self.prior {
            1.0
        } else {
            3.0 * (1.0 - BETA) / (1.0 + BETA)
        };
        self.w_est += alpha * acked / self.window * self.mtu;
        let t = ack.now.saturating_duration_since(epoch) + ack.smoothed_rtt;
        let cubic = self.w_max + C * (t.as_secs_f64() - self.k).powi(3) * self.mtu;
        let target = cubic.clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window * acked;
        self.window = self.window.max(self.w_est);
    }
}

impl CongestionControl for Cubic {
    fn window(&self) -> usize {
        self.window as usize
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<f64> {
        let gain = if self.is_starting() { 2.0 } else { 1.25 };
        paced(self.window, smoothed_rtt, gain)
    }

    fn on_ack(&mut self, ack: &Ack) {
        if let Some(rate) = ack.rate.filter(|r| !r.inflated && !r.interval.is_zero()) {
            self.arrived = rate.delivered as f64;
        }
        if ack.in_recovery {
            return;
        }
        if !ack.window_limited {
            self.idle_since.get_or_insert(ack.now);
            return;
        }
        if let Some(since) = self.idle_since.take()
            && let Some(epoch) = &mut self.epoch
        {
            *epoch += ack.now.saturating_duration_since(since);
        }
        if self.is_starting() {
            self.window += self.hystart.on_ack(ack) as f64;
            if self.hystart.is_done() {
                self.threshold = self.window;
                self.w_max = self.window;
            }
            return;
        }
        self.avoid(ack);
    }

    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {
        self.reduce();
        self.window = self.threshold;
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.reduce();
        self.window = self.mtu;
        self.hystart.restart();
    }

    fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu as f64;
        self.window = self.window.max(self.mtu);
    }

    fn is_starting(&self) -> bool {
        self.window < self.threshold
    }
}
