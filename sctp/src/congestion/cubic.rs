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

#[cfg(test)]
mod tests {
    use super::super::tests::ack;
    use super::*;

    const MSS: usize = 1_000;

    /// A sender that always has data, round trip by round trip.
    struct Flow {
        cubic: Cubic,
        now: Instant,
        rtt: Duration,
        sent: f64,
    }

    impl Flow {
        /// In congestion avoidance after a loss at this window, in segments.
        fn after_loss_at(segments: usize, rtt: Duration) -> Self {
            let mut cubic = Cubic::new(MSS);
            cubic.window = (segments * MSS) as f64;
            cubic.threshold = cubic.window;
            let now = Instant::now();
            cubic.on_congestion(now, segments * MSS);
            Self {
                cubic,
                now,
                rtt,
                sent: 0.0,
            }
        }

        fn segments(&self) -> f64 {
            self.cubic.window() as f64 / MSS as f64
        }

        /// One round trip in which all of the window arrives.
        fn round(&mut self) {
            let packets = self.segments().round().max(1.0);
            for _ in 0..packets as usize {
                self.now += self.rtt.div_f64(packets);
                self.cubic.on_ack(&ack(self.now, MSS, self.rtt));
            }
            self.sent += packets;
        }

        fn run(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.round();
            }
        }
    }

    /// RFC 9438 §4.2, figures 1 and 2: W(t) = C (t - K)³ + W_max with K = ∛(W_max (1 - β) / C).
    #[test]
    fn the_window_follows_the_cubic_function() {
        let mut flow = Flow::after_loss_at(1_000, Duration::from_millis(100));
        assert_eq!(flow.segments(), 700.0, "β = 0.7");
        let k = (300.0f64 / 0.4).cbrt();
        let start = flow.now;
        for t in [2.0, k / 2.0, k, k + 3.0, k + 6.0] {
            let passed = flow.now.duration_since(start).as_secs_f64();
            flow.run(Duration::from_secs_f64(t - passed));
            let expected = 0.4 * (t - k).powi(3) + 1_000.0;
            let ratio = flow.segments() / expected;
            assert!(
                (0.98..1.02).contains(&ratio),
                "{} at {t} s, not {expected}",
                flow.segments()
            );
        }
    }

    /// §4.3, figure 4: on a short path with a small window not less than Reno with α and β.
    #[test]
    fn a_short_path_grows_as_reno_would() {
        let mut flow = Flow::after_loss_at(20, Duration::from_millis(5));
        assert_eq!(flow.segments(), 14.0);
        // α = 3 (1 - 0.7) / (1 + 0.7) = 0.53 a round until the window of before, then 1.
        for _ in 0..11 {
            flow.round();
        }
        assert!(
            (19.0..20.9).contains(&flow.segments()),
            "{}",
            flow.segments()
        );
        for _ in 0..10 {
            flow.round();
        }
        assert!(
            (28.0..31.5).contains(&flow.segments()),
            "{}",
            flow.segments()
        );
    }

    /// §4.7: who loses before it has what it had makes room for others.
    #[test]
    fn a_loss_below_the_last_maximum_lowers_it_further() {
        let mut flow = Flow::after_loss_at(1_000, Duration::from_millis(100));
        flow.run(Duration::from_secs(1));
        let window = flow.segments();
        assert!(window < 1_000.0);
        flow.cubic.on_congestion(flow.now, 0);
        let lowered = flow.cubic.w_max / MSS as f64;
        assert!(
            (lowered - window * 1.7 / 2.0).abs() < 1.0,
            "{lowered} for {window}"
        );
        assert!((flow.segments() - window * 0.7).abs() < 1.0);
    }

    /// §5.1, equation 5 (C = 0.4, β = 0.7): the average window is 1.054 RTT^¾ / p^¾ when every
    /// (1/p)th packet is lost: 187 segments at 0.1 s and p = 10⁻⁴, 1 054 at 10⁻⁵ (table 1).
    #[test]
    fn the_average_window_is_that_of_the_standard() {
        for (p, expected) in [(1e-4, 187.0), (1e-5, 1_054.0)] {
            let mut flow = Flow::after_loss_at(expected as usize, Duration::from_millis(100));
            let (mut rounds, mut sum, mut losses) = (0.0, 0.0, 0);
            while losses < 60 {
                flow.round();
                if losses >= 20 {
                    rounds += 1.0;
                    sum += flow.segments();
                }
                if flow.sent >= 1.0 / p {
                    flow.sent -= 1.0 / p;
                    flow.cubic.on_congestion(flow.now, 0);
                    losses += 1;
                }
            }
            let ratio = sum / rounds / expected;
            assert!((0.93..1.07).contains(&ratio), "{} at {p}", sum / rounds);
        }
    }

    /// §5.8: while the application sends less than it might the clock stands still.
    #[test]
    fn idle_time_is_not_growth() {
        let mut flow = Flow::after_loss_at(1_000, Duration::from_millis(100));
        flow.run(Duration::from_secs(2));
        let before = flow.segments();
        let mut idle = ack(flow.now, MSS, flow.rtt);
        idle.window_limited = false;
        flow.cubic.on_ack(&idle);
        flow.now += Duration::from_secs(60);
        flow.round();
        assert!(
            flow.segments() < before * 1.05,
            "{} after {before}",
            flow.segments()
        );
    }

    /// RFC 9438 §4.8: a timeout begins anew with one packet and slow start up to β of before.
    #[test]
    fn a_timeout_starts_slowly_again() {
        let mut flow = Flow::after_loss_at(1_000, Duration::from_millis(100));
        flow.cubic.on_timeout(flow.now);
        assert_eq!(flow.segments(), 1.0);
        for expected in [2.0, 4.0, 8.0, 16.0] {
            flow.round();
            assert_eq!(flow.segments(), expected);
        }
        assert!(flow.cubic.is_starting());
    }

    /// What arrived, not what was sent, is what the path holds: slow start sends twice that.
    #[test]
    fn a_loss_in_slow_start_reduces_to_what_arrived() {
        let mut cubic = Cubic::new(MSS);
        cubic.window = 400.0 * MSS as f64;
        let mut arrived = ack(Instant::now(), MSS, Duration::from_millis(100));
        if let Some(rate) = &mut arrived.rate {
            rate.delivered = 200_000;
        }
        cubic.arrived = 0.0;
        cubic.on_ack(&arrived);
        cubic.on_congestion(arrived.now, 0);
        assert_eq!(cubic.window(), 140_000);
    }
}
