//! Two endpoints, virtual time, and a path between them.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic)]

pub mod mixed;
pub mod proto;
pub mod raw;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tincan_sctp::data_channel::{Config, Endpoint, Event, Role};

/// One direction of a path: a fixed delay, random loss and reordering.
pub struct Path {
    pub delay: Duration,
    /// Of 1 000 packets.
    pub loss: u32,
    /// Of 1 000 packets: delayed by a further half of the delay.
    pub reorder: u32,
    /// Of 1 000 packets: delivered twice.
    pub duplicate: u32,
    /// Larger packets vanish.
    pub mtu: usize,
    /// Larger packets that vanished.
    pub too_large: u64,
    /// They don't vanish: their sender is told.
    pub refuses: bool,
    pub queue: VecDeque<(Instant, Bytes)>,
    pub delivered: u64,
    pub bytes: u64,
}

impl Path {
    pub fn new(delay: Duration) -> Self {
        Self {
            delay,
            loss: 0,
            reorder: 0,
            duplicate: 0,
            mtu: usize::MAX,
            too_large: 0,
            refuses: false,
            queue: VecDeque::new(),
            delivered: 0,
            bytes: 0,
        }
    }

    pub fn push(&mut self, now: Instant, packet: Bytes, rng: &mut StdRng) {
        let mut chance = |of_1000: u32| rng.next_u32() % 1000 < of_1000;
        let large = packet.len() > self.mtu;
        self.too_large += u64::from(large);
        if large || chance(self.loss) {
            return;
        }
        let mut at = now + self.delay;
        if chance(self.reorder) {
            at += self.delay / 2;
        }
        let copies = if chance(self.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let place = self.queue.partition_point(|(t, _)| *t <= at);
            self.queue.insert(place, (at, packet.clone()));
        }
    }

    pub fn pop(&mut self, now: Instant) -> Option<Bytes> {
        if self.queue.front()?.0 > now {
            return None;
        }
        let (_, packet) = self.queue.pop_front()?;
        self.delivered += 1;
        self.bytes += packet.len() as u64;
        Some(packet)
    }
}

pub struct Pair {
    pub now: Instant,
    pub rng: StdRng,
    pub a: Endpoint,
    pub b: Endpoint,
    pub to_a: Path,
    pub to_b: Path,
    pub events_a: VecDeque<Event>,
    pub events_b: VecDeque<Event>,
    /// Leave events in the endpoint: an application that never reads.
    pub b_reads: bool,
    pub steps: u64,
}

pub fn config(role: Role) -> Config {
    Config {
        role,
        remote_max_message_size: 0,
        ..Config::default()
    }
}

impl Pair {
    pub fn new(seed: u64, delay: Duration) -> Self {
        Self::with(seed, delay, config(Role::Client), config(Role::Server))
    }

    /// `b` is the server, whatever its configuration says.
    pub fn with(seed: u64, delay: Duration, a: Config, b: Config) -> Self {
        let role = Role::Server;
        let b = Config { role, ..b };
        println!("seed {seed}");
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            now,
            a: Endpoint::new(a, now, &mut rng),
            b: Endpoint::new(b, now, &mut rng),
            rng,
            to_a: Path::new(delay),
            to_b: Path::new(delay),
            events_a: VecDeque::new(),
            events_b: VecDeque::new(),
            b_reads: true,
            steps: 0,
        }
    }

    pub fn connected(seed: u64, delay: Duration) -> Self {
        let mut pair = Self::new(seed, delay);
        pair.connect();
        pair
    }

    pub fn connect(&mut self) {
        self.a.connect(self.now);
        self.b.connect(self.now);
        self.run(Duration::from_secs(60), |p| {
            p.a.is_connected() && p.b.is_connected()
        });
        assert!(
            self.a.is_connected() && self.b.is_connected(),
            "no connection"
        );
    }

    pub fn lossy(mut self, of_1000: u32) -> Self {
        self.to_a.loss = of_1000;
        self.to_b.loss = of_1000;
        self
    }

    /// Moves packets that can move now, and collects events.
    pub fn exchange(&mut self) {
        let mut out = Vec::new();
        loop {
            let mut idle = true;
            while let Some(transmit) = self.a.poll_transmit(self.now, &mut out) {
                let packet = Bytes::from(std::mem::take(&mut out));
                if self.to_b.refuses && transmit.len > self.to_b.mtu {
                    self.a.packet_refused(self.now, transmit.len);
                }
                self.to_b.push(self.now, packet, &mut self.rng);
                idle = false;
            }
            while self.b.poll_transmit(self.now, &mut out).is_some() {
                let packet = Bytes::from(std::mem::take(&mut out));
                self.to_a.push(self.now, packet, &mut self.rng);
                idle = false;
            }
            while let Some(packet) = self.to_b.pop(self.now) {
                self.b.handle_input(self.now, packet);
                idle = false;
            }
            while let Some(packet) = self.to_a.pop(self.now) {
                self.a.handle_input(self.now, packet);
                idle = false;
            }
            self.events_a
                .extend(std::iter::from_fn(|| self.a.poll_event()));
            if self.b_reads {
                self.events_b
                    .extend(std::iter::from_fn(|| self.b.poll_event()));
            }
            self.steps += 1;
            if idle {
                break;
            }
        }
    }

    /// When anything happens next.
    fn next(&self) -> Option<Instant> {
        [
            self.a.poll_timeout(),
            self.b.poll_timeout(),
            self.to_a.queue.front().map(|p| p.0),
            self.to_b.queue.front().map(|p| p.0),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Runs until `done` or for `time`.
    pub fn run(&mut self, time: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + time;
        loop {
            self.exchange();
            if done(self) {
                return;
            }
            let Some(next) = self.next().filter(|t| *t <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if self.a.poll_timeout().is_some_and(|t| t <= self.now) {
                self.a.handle_timeout(self.now);
                assert!(
                    self.a.poll_timeout().is_none_or(|t| t > self.now),
                    "a's timer is stuck"
                );
            }
            if self.b.poll_timeout().is_some_and(|t| t <= self.now) {
                self.b.handle_timeout(self.now);
                assert!(
                    self.b.poll_timeout().is_none_or(|t| t > self.now),
                    "b's timer is stuck"
                );
            }
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    /// Messages that `b` received and were not taken yet.
    pub fn take_messages_b(&mut self) -> Vec<Vec<u8>> {
        messages(&mut self.events_b)
    }

    pub fn take_messages_a(&mut self) -> Vec<Vec<u8>> {
        messages(&mut self.events_a)
    }
}

fn messages(events: &mut VecDeque<Event>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    events.retain(|event| match event {
        Event::Message { data, .. } => {
            found.push(data.to_vec());
            false
        }
        _ => true,
    });
    found
}

/// A message that differs in every octet's neighbourhood.
pub fn pattern(len: usize, salt: u64) -> Bytes {
    let mut rng = StdRng::seed_from_u64(salt);
    let mut data = vec![0; len];
    rng.fill_bytes(&mut data);
    Bytes::from(data)
}
