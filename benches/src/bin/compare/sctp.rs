//! `compare -- sctp`: bulk through memory, both ends in one thread; sizes of message against
//! octets a CPU-second, streams, octets in flight, heap.

mod ours;
mod theirs;

use std::time::{Duration, Instant};

use bytes::Bytes;
use tincan_benches::{Better, Comparison};

use ours::Ours;
use theirs::{Proto, Rtc};

/// One end of an association as the benchmark drives it.
pub(crate) trait End {
    /// The next packet.
    fn transmit(&mut self, now: Instant) -> Option<Bytes>;
    /// A packet came.
    fn input(&mut self, now: Instant, packet: Bytes);
    /// When `tick` is wanted.
    fn next(&self) -> Option<Instant>;
    /// Time has passed.
    fn tick(&mut self, now: Instant);
    /// Queues messages up to about `octets` in all.
    fn fill(&mut self, now: Instant, message: &Bytes, octets: usize);
    /// Octets of whole messages received since the last call.
    fn received(&mut self) -> usize;
    /// Established.
    fn is_ready(&mut self) -> bool;
}

/// Two ends and a wire without delay, or with one.
pub(crate) struct Pair<E> {
    pub(crate) from: E,
    pub(crate) to: E,
    pub(crate) now: Instant,
    /// Packets on the way to `to` and back, with the time of their arrival.
    wire: [std::collections::VecDeque<(Instant, Bytes)>; 2],
    delay: Duration,
}

impl<E: End> Pair<E> {
    pub(crate) fn new(from: E, to: E, now: Instant, delay: Duration) -> Self {
        let mut pair = Self {
            from,
            to,
            now,
            wire: Default::default(),
            delay,
        };
        for _ in 0..10_000 {
            if pair.from.is_ready() && pair.to.is_ready() {
                break;
            }
            pair.step();
        }
        pair
    }

    /// Moves what can be moved; if nothing can, time.
    fn step(&mut self) {
        // A packet takes a microsecond of virtual time, so that clocks do not stand still.
        const PACKET: Duration = Duration::from_micros(1);
        let mut idle = true;
        // In bursts, as drivers read and write.
        for _ in 0..64 {
            let Some(packet) = self.from.transmit(self.now) else {
                break;
            };
            self.now += PACKET;
            self.wire[0].push_back((self.now + self.delay, packet));
            idle = false;
        }
        while self.wire[0].front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, packet)) = self.wire[0].pop_front() else {
                break;
            };
            self.to.input(self.now, packet);
            idle = false;
        }
        while let Some(packet) = self.to.transmit(self.now) {
            self.wire[1].push_back((self.now + self.delay, packet));
            idle = false;
        }
        while self.wire[1].front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, packet)) = self.wire[1].pop_front() else {
                break;
            };
            self.from.input(self.now, packet);
            idle = false;
        }
        if idle {
            let arrivals = self
                .wire
                .iter()
                .filter_map(|w| w.front().map(|(at, _)| *at));
            let next = [self.from.next(), self.to.next()].into_iter().flatten();
            if let Some(next) = arrivals.chain(next).min() {
                self.now = self.now.max(next);
                self.from.tick(self.now);
                self.to.tick(self.now);
            }
        }
    }

    /// Transfers at least `octets` in messages like this one.
    pub(crate) fn transfer(&mut self, message: &Bytes, octets: usize, queued: usize) {
        let mut received = 0;
        while received < octets {
            self.from.fill(self.now, message, queued);
            self.step();
            received += self.to.received();
        }
    }

    /// MB of user data a second of this thread.
    pub(crate) fn rate(&mut self, message: &Bytes, octets: usize) -> f64 {
        let begin = Instant::now();
        self.transfer(message, octets, 1 << 20);
        octets as f64 / 1e6 / begin.elapsed().as_secs_f64()
    }
}

/// Runs every case of the area.
pub(crate) fn run() {
    for (name, size, octets) in [
        ("64KiB", 65_536, 24 << 20),
        ("1KiB", 1_024, 16 << 20),
        ("64B", 64, 1 << 20),
    ] {
        let message = Bytes::from(vec![7; size]);
        for (sum, zero) in [("crc", false), ("zero-crc", true)] {
            let mut ours = Ours::pair(zero, true, Duration::ZERO);
            let mut plain = Ours::pair(zero, false, Duration::ZERO);
            let mut proto = Proto::pair();
            let mut rtc = Rtc::pair();
            // Theirs have no zero checksum and no interleaving: the same figure serves for all.
            Comparison::new("sctp", format!("bulk-{name}-{sum}"), "MB/s", Better::More)
                .figure("ours", || ours.rate(&message, octets))
                .figure("sctp-proto", || proto.rate(&message, octets))
                .figure("rtc-sctp", || rtc.rate(&message, octets))
                .figure("ours-DATA", || plain.rate(&message, octets))
                .run();
        }
    }
    ours::streams();
    ours::in_flight();
    ours::heap();
}
