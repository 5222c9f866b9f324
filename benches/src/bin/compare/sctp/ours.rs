//! Ours, and the cases that are about ours alone.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_benches::{Better, Comparison};
use tincan_sctp::data_channel::{ChannelConfig, ChannelId, Config, Endpoint, Event, Message, Role};

use super::{End, Pair};

pub(crate) struct Ours {
    pub(crate) endpoint: Endpoint,
    channels: Vec<ChannelId>,
    turn: usize,
    connected: bool,
    received: usize,
    out: Vec<u8>,
    /// Packets are cut from this, as a driver cuts them from its receive buffer.
    arena: BytesMut,
}

impl Ours {
    fn new(role: Role, zero: bool, interleaving: bool, now: Instant) -> Self {
        let mut config = Config {
            role,
            remote_max_message_size: 0,
            ..Config::default()
        };
        config.association.zero_checksum = zero;
        config.association.interleaving = interleaving;
        config.association.mtu = 1_200;
        let mut rng = StdRng::seed_from_u64(role as u64);
        let mut endpoint = Endpoint::new(config, now, &mut rng);
        endpoint.connect(now);
        Self {
            endpoint,
            channels: Vec::new(),
            turn: 0,
            connected: false,
            received: 0,
            out: Vec::with_capacity(2_048),
            arena: BytesMut::new(),
        }
    }

    pub(crate) fn pair(zero: bool, interleaving: bool, delay: Duration) -> Pair<Self> {
        let now = Instant::now();
        let mut from = Self::new(Role::Client, zero, interleaving, now);
        from.open(now);
        let to = Self::new(Role::Server, zero, interleaving, now);
        Pair::new(from, to, now, delay)
    }

    fn open(&mut self, now: Instant) {
        self.channels
            .extend(self.endpoint.open(now, ChannelConfig::default()).ok());
    }
}

impl End for Ours {
    fn transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.out.clear();
        self.endpoint.poll_transmit(now, &mut self.out)?;
        if self.arena.capacity() < self.out.len() {
            self.arena.reserve(256 << 10);
        }
        self.arena.extend_from_slice(&self.out);
        Some(self.arena.split().freeze())
    }

    fn input(&mut self, now: Instant, packet: Bytes) {
        self.endpoint.handle_input(now, packet);
    }

    fn next(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn tick(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn fill(&mut self, now: Instant, message: &Bytes, octets: usize) {
        // A channel after the other, each a message at a time.
        let mut queued = self.endpoint.association().total_buffered_amount();
        while queued < octets {
            self.turn = (self.turn + 1) % self.channels.len().max(1);
            let Some(id) = self.channels.get(self.turn).copied() else {
                return;
            };
            if self
                .endpoint
                .send(now, id, Message::Binary(message.clone()))
                .is_err()
            {
                return;
            }
            queued += message.len();
        }
    }

    fn received(&mut self) -> usize {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Message { data, .. } => self.received += data.len(),
                Event::Connected => self.connected = true,
                _ => {}
            }
        }
        std::mem::take(&mut self.received)
    }

    fn is_ready(&mut self) -> bool {
        self.endpoint.is_connected()
    }
}

/// The cost of a message does not grow with the number of streams in use.
pub(crate) fn streams() {
    let message = Bytes::from(vec![7; 1_024]);
    for count in [1, 100, 10_000] {
        let mut pair = Ours::pair(true, true, Duration::ZERO);
        for _ in 1..count {
            let now = pair.now;
            pair.from.open(now);
        }
        pair.transfer(&message, 4 << 20, 1 << 20);
        Comparison::new(
            "sctp",
            format!("{count}-streams-1KiB"),
            "MB/s",
            Better::More,
        )
        .figure("ours", || {
            let begin = Instant::now();
            // Every stream has something queued all the time.
            pair.transfer(&message, 8 << 20, (count * 1_024).max(1 << 20));
            (8 << 20) as f64 / 1e6 / begin.elapsed().as_secs_f64()
        })
        .run();
    }
}

/// The cost of an octet does not grow with how many are in flight.
pub(crate) fn in_flight() {
    let message = Bytes::from(vec![7; 65_536]);
    for mebi in [1usize, 8, 64] {
        // So long a wire that this much fits on it at a packet a microsecond.
        let delay = Duration::from_micros((mebi << 20) as u64 / 1_200);
        let mut pair = Ours::pair(true, true, delay);
        pair.transfer(&message, (mebi << 20) * 6, 2 * (mebi << 20));
        let peak = std::cell::Cell::new(0);
        Comparison::new("sctp", format!("{mebi}MiB-in-flight"), "MB/s", Better::More)
            .figure("ours", || {
                let octets = (mebi << 20).max(16 << 20);
                let begin = Instant::now();
                pair.transfer(&message, octets, 2 * (mebi << 20));
                peak.set(pair.from.endpoint.stats().bytes_in_flight.max(peak.get()));
                octets as f64 / 1e6 / begin.elapsed().as_secs_f64()
            })
            .run();
        println!(
            "# bytes in flight at the end of a round: up to {}",
            peak.get()
        );
    }
}

/// Octets of an idle endpoint with one open channel: the structure itself; what it has on the
/// heap is counted by the crate's allocation test.
pub(crate) fn heap() {
    println!(
        "sctp endpoint-size {} - - bytes - [the structure; its heap: tests/allocations.rs]",
        std::mem::size_of::<Endpoint>()
    );
}
