//! What a message and an octet cost as streams and octets in flight grow:
//!
//! ```text
//! cargo run --release -p tincan-sctp --example scale              # both tables
//! cargo run --release -p tincan-sctp --example scale -- 10000     # one line: so many streams
//! ```
//!
//! Both ends run in one thread, in memory, without checksum. Time is the thread's own CPU time
//! (`/proc/thread-self/schedstat`), so that a busy machine does little harm.
#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sctp::data_channel::{ChannelConfig, ChannelId, Config, Endpoint, Event, Message, Role};

/// CPU time of this thread so far, in nanoseconds; 0 where the system does not tell.
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

struct Pair {
    now: Instant,
    from: Endpoint,
    to: Endpoint,
    wires: [VecDeque<(Instant, Bytes)>; 2],
    delay: Duration,
    out: Vec<u8>,
    arena: BytesMut,
    channels: Vec<ChannelId>,
    turn: usize,
    received: usize,
}

impl Pair {
    fn new(streams: usize, delay: Duration) -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut end = |role| {
            let mut config = Config {
                role,
                remote_max_message_size: 0,
                ..Config::default()
            };
            config.association.zero_checksum = true;
            config.association.mtu = 1_200;
            Endpoint::new(config, now, &mut rng)
        };
        let (mut from, mut to) = (end(Role::Client), end(Role::Server));
        from.connect(now);
        to.connect(now);
        let channels = (0..streams)
            .filter_map(|_| from.open(now, ChannelConfig::default()).ok())
            .collect();
        Self {
            now,
            from,
            to,
            wires: Default::default(),
            delay,
            out: Vec::new(),
            arena: BytesMut::new(),
            channels,
            turn: 0,
            received: 0,
        }
    }

    fn step(&mut self) {
        let mut idle = true;
        for turn in 0..2 {
            let (from, to) = if turn == 0 {
                (&mut self.from, &mut self.to)
            } else {
                (&mut self.to, &mut self.from)
            };
            for _ in 0..64 {
                if from.poll_transmit(self.now, &mut self.out).is_none() {
                    break;
                }
                if self.arena.capacity() < self.out.len() {
                    self.arena.reserve(256 << 10);
                }
                self.arena.extend_from_slice(&self.out);
                self.out.clear();
                // A packet takes a microsecond.
                self.now += Duration::from_micros(1);
                let packet = self.arena.split().freeze();
                self.wires[turn].push_back((self.now + self.delay, packet));
                idle = false;
            }
            while self.wires[turn]
                .front()
                .is_some_and(|(at, _)| *at <= self.now)
                && let Some((_, packet)) = self.wires[turn].pop_front()
            {
                to.handle_input(self.now, packet);
                idle = false;
            }
        }
        while let Some(event) = self.to.poll_event() {
            if let Event::Message { data, .. } = event {
                self.received += data.len();
            }
        }
        while self.from.poll_event().is_some() {}
        if idle {
            let arrivals = self.wires.iter().filter_map(|w| w.front().map(|p| p.0));
            let timers = [self.from.poll_timeout(), self.to.poll_timeout()];
            if let Some(next) = arrivals.chain(timers.into_iter().flatten()).min() {
                self.now = self.now.max(next);
            }
            for end in [&mut self.from, &mut self.to] {
                end.handle_timeout(self.now);
            }
        }
    }

    fn transfer(&mut self, message: &Bytes, octets: usize, queued: usize) {
        let end = self.received + octets;
        while self.received < end {
            let mut waiting = self.from.association().total_buffered_amount();
            while waiting < queued {
                self.turn = (self.turn + 1) % self.channels.len();
                let id = self.channels[self.turn];
                let again = Message::Binary(message.clone());
                if self.from.send(self.now, id, again).is_err() {
                    break;
                }
                waiting += message.len();
            }
            self.step();
        }
    }

    /// Nanoseconds of CPU a kibioctet: the least of five rounds.
    fn cost(&mut self, message: &Bytes, octets: usize, queued: usize) -> f64 {
        self.transfer(message, octets.max(4 * queued), queued);
        (0..5)
            .map(|_| {
                let begin = cpu();
                self.transfer(message, octets, queued);
                (cpu() - begin) as f64 / (octets >> 10) as f64
            })
            .fold(f64::INFINITY, f64::min)
    }
}

fn streams(count: usize) {
    let message = Bytes::from(vec![7; 1_024]);
    let mut pair = Pair::new(count, Duration::ZERO);
    // Every stream has something queued all the time.
    let cost = pair.cost(&message, 16 << 20, (count << 10).max(1 << 20));
    println!("{count:>8} streams {cost:>10.0} ns a message of 1 KiB");
}

fn in_flight(mebi: usize) {
    let message = Bytes::from(vec![7; 65_536]);
    // So long a wire that this much fits on it at a packet a microsecond.
    let delay = Duration::from_micros((mebi << 20) as u64 / 1_200);
    let mut pair = Pair::new(1, delay);
    let cost = pair.cost(&message, (mebi << 20).max(16 << 20), 2 * (mebi << 20));
    let peak = pair.from.stats().bytes_in_flight >> 20;
    println!("{mebi:>8} MiB on the way {cost:>6.0} ns a KiB ({peak} MiB in flight at the end)");
}

fn main() {
    if let Some(count) = std::env::args().nth(1).and_then(|a| a.parse().ok()) {
        streams(count);
        return;
    }
    for count in [1, 10, 100, 1_000, 10_000, 30_000] {
        streams(count);
    }
    for mebi in [1, 4, 16, 64] {
        in_flight(mebi);
    }
}
