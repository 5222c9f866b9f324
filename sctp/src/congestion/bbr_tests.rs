//! The controller on a path of one queue, packet by packet.

use std::collections::VecDeque;

use super::super::tests::ack;
use super::*;

const MTU: usize = 1_000;
const MS: Duration = Duration::from_millis(1);

/// A path that carries `rate` octets a second and takes `delay` for the round trip; its queue
/// loses nothing, the wire loses every `lose_every`th packet.
struct Path {
    bbr: Bbr,
    now: Instant,
    rate: f64,
    delay: Duration,
    lose_every: u64,
    limited: Limited,
    /// Of each packet: when its acknowledgement comes, what had been delivered and when as it
    /// left, when it left, whether it was lost.
    wire: VecDeque<(Instant, u64, Instant, Instant, bool)>,
    link_free_at: Instant,
    may_send_at: Instant,
    in_flight: usize,
    delivered: u64,
    delivered_at: Instant,
    lost: u64,
    sent: u64,
    min_rtt: Duration,
}

impl Path {
    fn new(rate: f64, delay: Duration) -> Self {
        let now = Instant::now();
        Self {
            bbr: Bbr::new(MTU),
            now,
            rate,
            delay,
            lose_every: u64::MAX,
            limited: Limited::No,
            wire: VecDeque::new(),
            link_free_at: now,
            may_send_at: now,
            in_flight: 0,
            delivered: 0,
            delivered_at: now,
            lost: 0,
            sent: 0,
            min_rtt: delay,
        }
    }

    fn product(&self) -> f64 {
        self.rate * self.delay.as_secs_f64()
    }

    fn send(&mut self) {
        self.sent += 1;
        self.link_free_at =
            self.link_free_at.max(self.now) + Duration::from_secs_f64(MTU as f64 / self.rate);
        let lost = self.sent.is_multiple_of(self.lose_every);
        let arrives = self.link_free_at + self.delay;
        self.wire
            .push_back((arrives, self.delivered, self.delivered_at, self.now, lost));
        self.in_flight += MTU;
        let pace = self.bbr.pacing_rate(self.delay).unwrap_or(f64::INFINITY);
        self.may_send_at =
            self.may_send_at.max(self.now) + Duration::from_secs_f64(MTU as f64 / pace);
    }

    fn acknowledge(&mut self, prior: u64, prior_at: Instant, left: Instant, lost: bool) {
        self.in_flight -= MTU;
        if lost {
            self.lost += MTU as u64;
            return;
        }
        self.delivered += MTU as u64;
        self.delivered_at = self.now;
        let rtt = self.now - left;
        self.min_rtt = self.min_rtt.min(rtt);
        let mut told = ack(self.now, MTU, rtt);
        told.in_flight = self.in_flight;
        told.min_rtt = self.min_rtt;
        told.delivered = self.delivered;
        told.lost = self.lost;
        if let Some(sample) = &mut told.rate {
            sample.prior_delivered = prior;
            sample.delivered = self.delivered - prior;
            sample.interval = self.now - prior_at;
            sample.limited = self.limited;
        }
        self.bbr.on_ack(&told);
    }

    /// Goes on for this time; returns octets a second delivered.
    fn run(&mut self, time: Duration) -> f64 {
        let end = self.now + time;
        let before = self.delivered;
        while self.now < end {
            let room = self.in_flight + MTU <= self.bbr.window();
            let next = self.wire.front().map(|p| p.0);
            match next {
                Some(at) if !room || at <= self.may_send_at => {
                    self.now = self.now.max(at);
                    if let Some((_, prior, prior_at, left, lost)) = self.wire.pop_front() {
                        self.acknowledge(prior, prior_at, left, lost);
                    }
                }
                _ => {
                    self.now = self.now.max(self.may_send_at);
                    self.send();
                }
            }
        }
        (self.delivered - before) as f64 / time.as_secs_f64()
    }
}

#[test]
fn it_finds_the_rate_empties_the_queue_and_keeps_to_it() {
    let mut path = Path::new(1e6, MS * 50);
    assert!(path.bbr.is_starting());
    path.run(Duration::from_secs(3));
    assert!(matches!(path.bbr.mode, Mode::ProbeBandwidth { .. }));
    let estimate = path.bbr.rate.get() / path.rate;
    assert!((0.95..1.05).contains(&estimate), "{estimate}");
    // Two products and three packets are the bound, one product is what is in flight.
    let window = path.bbr.window() as f64 / path.product();
    assert!((1.9..2.2).contains(&window), "{window}");
    let in_flight = path.in_flight as f64 / path.product();
    assert!((0.9..1.4).contains(&in_flight), "{in_flight}");
    assert!(path.run(Duration::from_secs(5)) > 0.97 * path.rate);
}

#[test]
fn a_twentieth_lost_at_random_costs_a_twentieth() {
    let mut path = Path::new(1e6, MS * 50);
    path.lose_every = 20;
    path.run(Duration::from_secs(5));
    assert!(path.run(Duration::from_secs(10)) > 0.92 * path.rate);
}

#[test]
fn a_path_that_becomes_faster_is_filled_and_a_slower_one_not_flooded() {
    let mut path = Path::new(1e6, MS * 50);
    path.run(Duration::from_secs(3));
    path.rate = 2e6;
    path.run(Duration::from_secs(8));
    assert!(path.run(Duration::from_secs(2)) > 0.9 * path.rate);
    path.rate = 5e5;
    path.run(Duration::from_secs(8));
    let queued = path.in_flight as f64 / path.product();
    assert!(queued < 2.3, "{queued}");
}

/// It waited for less in flight than its own window let out, and for ever.
#[test]
fn looking_for_the_least_round_trip_ends_and_forgets_nothing() {
    let mut path = Path::new(1e6, MS * 50);
    path.run(Duration::from_secs(3));
    let window = path.bbr.window();
    // A standing queue, as of another flow: the least round-trip time is not seen again.
    path.delay = MS * 80;
    let mut looked = false;
    for _ in 0..1_500 {
        path.run(MS * 10);
        looked |= matches!(path.bbr.mode, Mode::ProbeRtt { .. });
        if looked && !matches!(path.bbr.mode, Mode::ProbeRtt { .. }) {
            break;
        }
    }
    assert!(looked, "it never looked");
    assert!(
        matches!(path.bbr.mode, Mode::ProbeBandwidth { .. }),
        "{:?}",
        path.bbr.mode
    );
    let estimate = path.bbr.rate.get() / path.rate;
    assert!(estimate > 0.9, "the rate is remembered: {estimate}");
    assert!(path.bbr.window() >= window, "and the window is as before");
    path.run(Duration::from_secs(1));
    assert!(path.run(Duration::from_secs(5)) > 0.95 * path.rate);
}

#[test]
fn an_empty_queue_each_cycle_saves_looking_for_the_least_round_trip() {
    let mut path = Path::new(1e6, MS * 50);
    path.run(Duration::from_secs(3));
    for _ in 0..4_000 {
        path.run(MS * 10);
        assert!(!matches!(path.bbr.mode, Mode::ProbeRtt { .. }));
    }
}

#[test]
fn three_of_the_first_ten_lost_do_not_end_the_start_but_a_fifth_of_many_does() {
    let mut bbr = Bbr::new(MTU);
    let now = Instant::now();
    let mut round = |delivered: u64, lost: u64| {
        let mut told = ack(now, MTU, MS * 50);
        told.delivered = delivered;
        told.lost = lost;
        if let Some(sample) = &mut told.rate {
            sample.prior_delivered = bbr.round_end;
            // Growing all the time.
            sample.delivered = delivered;
        }
        bbr.on_ack(&told);
        bbr.filled
    };
    assert!(!round(7_000, 3_000));
    assert!(!round(40_000, 10_000));
    assert!(round(100_000, 30_000));
}

#[test]
fn a_receiver_that_holds_the_start_back_ends_it_after_eight_rounds() {
    let mut path = Path::new(1e6, MS * 50);
    path.limited = Limited::ByReceiver;
    path.run(MS * 300);
    assert!(path.bbr.is_starting());
    path.run(Duration::from_secs(2));
    assert!(!path.bbr.is_starting());
    // An application that has nothing to send does not.
    let mut idle = Path::new(1e6, MS * 50);
    idle.limited = Limited::ByApplication;
    idle.run(Duration::from_secs(5));
    assert!(idle.bbr.is_starting());
}
