//! RFC 9260 §7.2: slow start, congestion avoidance, half the window at a loss.

use std::time::{Duration, Instant};

use super::{Ack, CongestionControl, initial_window, paced};

/// The controller of RFC 9260 §7.2.
#[derive(Debug, Clone)]
pub struct NewReno {
    mtu: usize,
    window: usize,
    threshold: usize,
    /// RFC 9260's partial_bytes_acked.
    partial: usize,
}

impl NewReno {
    /// A controller for packets of `mtu` octets.
    pub fn new(mtu: usize) -> Self {
        Self {
            mtu,
            window: initial_window(mtu),
            threshold: usize::MAX,
            partial: 0,
        }
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> usize {
        self.window
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<f64> {
        let gain = if self.is_starting() { 2.0 } else { 1.25 };
        paced(self.window as f64, smoothed_rtt, gain)
    }

    fn on_ack(&mut self, ack: &Ack) {
        if ack.in_recovery || !ack.window_limited {
            return;
        }
        if self.is_starting() {
            self.window += ack.acked;
            return;
        }
        self.partial += ack.acked;
        if self.partial >= self.window {
            self.partial -= self.window;
            self.window += self.mtu;
        }
    }

    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {
        // §7.2.3
        self.threshold = (self.window / 2).max(4 * self.mtu);
        self.window = self.threshold;
        self.partial = 0;
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.threshold = (self.window / 2).max(4 * self.mtu);
        self.window = self.mtu;
        self.partial = 0;
    }

    fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        self.window = self.window.max(mtu);
    }

    fn is_starting(&self) -> bool {
        self.window < self.threshold
    }
}
