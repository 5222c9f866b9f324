//! Congestion control: one trait, several controllers, chosen by [`Algorithm`].

mod bbr;
mod cubic;
mod hystart;
mod new_reno;

use std::fmt::Debug;
use std::time::{Duration, Instant};

pub use crate::outstanding::{Limited, RateSample};
pub use bbr::Bbr;
pub use cubic::Cubic;
pub use hystart::HyStart;
pub use new_reno::NewReno;

/// What a SACK tells a controller.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Now.
    pub now: Instant,
    /// Octets newly acknowledged.
    pub acked: usize,
    /// Octets in flight before this SACK.
    pub prior_in_flight: usize,
    /// Octets in flight after this SACK.
    pub in_flight: usize,
    /// A round-trip measurement, if this SACK gave one.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// The least round-trip time seen of late.
    pub min_rtt: Duration,
    /// The window, not the application, held the sender back.
    pub window_limited: bool,
    /// The newest acknowledged packet was sent before the last congestion event.
    pub in_recovery: bool,
    /// The delivery rate.
    pub rate: Option<RateSample>,
    /// All octets delivered so far.
    pub delivered: u64,
    /// All octets that counted as lost so far.
    pub lost: u64,
}

/// A congestion controller: it is told what happens and says how much may be in flight.
pub trait CongestionControl: Debug + Send {
    /// How many octets may be in flight.
    fn window(&self) -> usize;

    /// Octets a second at which packets should leave. `None` to leave the spreading to the
    /// acknowledgements.
    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<f64>;

    /// Data was acknowledged.
    fn on_ack(&mut self, ack: &Ack);

    /// Data was lost or marked for the first time since the last such event was answered: at most
    /// once a round trip.
    fn on_congestion(&mut self, now: Instant, in_flight: usize);

    /// The retransmission timer ran out.
    fn on_timeout(&mut self, now: Instant);

    /// The packet size changed.
    fn set_mtu(&mut self, mtu: usize);

    /// Whether the start's exponential growth is going on.
    fn is_starting(&self) -> bool;
}

/// Which controller an association uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// As RFC 9260 §7.2 has it.
    NewReno,
    /// By rate and round-trip time, in the manner of BBR: for paths that lose at random.
    Bbr,
}

/// The controllers without a trait object on the packet's path.
#[derive(Debug)]
pub(crate) enum Controller {
    Cubic(Cubic),
    NewReno(NewReno),
    Bbr(Bbr),
}

macro_rules! each {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            Self::Cubic($controller) => $call,
            Self::NewReno($controller) => $call,
            Self::Bbr($controller) => $call,
        }
    };
}

impl Controller {
    pub(crate) fn new(algorithm: Algorithm, mtu: usize) -> Self {
        match algorithm {
            Algorithm::Cubic => Self::Cubic(Cubic::new(mtu)),
            Algorithm::NewReno => Self::NewReno(NewReno::new(mtu)),
            Algorithm::Bbr => Self::Bbr(Bbr::new(mtu)),
        }
    }
}

impl CongestionControl for Controller {
    fn window(&self) -> usize {
        each!(self, c => c.window())
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<f64> {
        each!(self, c => c.pacing_rate(smoothed_rtt))
    }

    fn on_ack(&mut self, ack: &Ack) {
        each!(self, c => c.on_ack(ack));
    }

    fn on_congestion(&mut self, now: Instant, in_flight: usize) {
        each!(self, c => c.on_congestion(now, in_flight));
    }

    fn on_timeout(&mut self, now: Instant) {
        each!(self, c => c.on_timeout(now));
    }

    fn set_mtu(&mut self, mtu: usize) {
        each!(self, c => c.set_mtu(mtu));
    }

    fn is_starting(&self) -> bool {
        each!(self, c => c.is_starting())
    }
}

/// The initial window: ten packets, as RFC 6928 has it for TCP and WebRTC stacks do for SCTP;
/// RFC 9260 §7.2.1 would allow about four.
pub(crate) const fn initial_window(mtu: usize) -> usize {
    10 * mtu
}

/// Octets a second for a window a round trip, times a gain.
pub(crate) fn paced(window: f64, rtt: Duration, gain: f64) -> Option<f64> {
    let seconds = rtt.as_secs_f64();
    (seconds > 0.0).then(|| window * gain / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An acknowledgement of `acked` octets while the window is the limit.
    pub(super) fn ack(now: Instant, acked: usize, rtt: Duration) -> Ack {
        Ack {
            now,
            acked,
            prior_in_flight: acked,
            in_flight: 0,
            rtt: Some(rtt),
            smoothed_rtt: rtt,
            min_rtt: rtt,
            window_limited: true,
            in_recovery: false,
            rate: Some(RateSample {
                delivered: acked as u64,
                interval: rtt,
                limited: Limited::No,
                inflated: false,
                prior_delivered: 0,
            }),
            delivered: 0,
            lost: 0,
        }
    }

    /// RFC 9260 §7.2.1 to §7.2.3.
    #[test]
    fn new_reno_doubles_then_adds_one_packet_a_round_and_halves_at_a_loss() {
        let now = Instant::now();
        let mut reno = NewReno::new(1_000);
        let round = |reno: &mut NewReno| {
            let packets = reno.window() / 1_000;
            for _ in 0..packets {
                reno.on_ack(&ack(now, 1_000, Duration::from_millis(50)));
            }
        };
        assert_eq!(reno.window(), 10_000);
        round(&mut reno);
        round(&mut reno);
        assert_eq!(reno.window(), 40_000);
        reno.on_congestion(now, 0);
        assert_eq!(reno.window(), 20_000);
        for expected in [21_000, 22_000, 23_000] {
            round(&mut reno);
            assert_eq!(reno.window(), expected);
        }
        reno.on_timeout(now);
        assert_eq!(reno.window(), 1_000);
        round(&mut reno);
        assert_eq!(reno.window(), 2_000);
        // Not beyond half of what it was without the window being the limit, nor in recovery.
        let mut idle = ack(now, 1_000, Duration::from_millis(50));
        idle.window_limited = false;
        reno.on_ack(&idle);
        idle.window_limited = true;
        idle.in_recovery = true;
        reno.on_ack(&idle);
        assert_eq!(reno.window(), 2_000);
    }
}
