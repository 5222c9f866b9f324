//! No allocation a packet in steady state; what an idle endpoint takes.

#![allow(clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::config;
use tincan_sctp::data_channel::{ChannelConfig, ChannelId, Endpoint, Event, Message, Role};

struct Direct {
    now: Instant,
    a: Endpoint,
    b: Endpoint,
    out: Vec<u8>,
    /// As a driver has it: packets are slices of a large buffer, replaced now and then.
    arena: BytesMut,
    packets: u64,
    received: usize,
}

impl Direct {
    fn new() -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut end = |role| {
            let mut endpoint = Endpoint::new(config(role), now, &mut rng);
            endpoint.connect(now);
            endpoint
        };
        let (a, b) = (end(Role::Client), end(Role::Server));
        let (out, arena) = (Vec::with_capacity(2_048), BytesMut::new());
        let mut this = Self {
            now,
            a,
            b,
            out,
            arena,
            packets: 0,
            received: 0,
        };
        for _ in 0..10 {
            this.step();
        }
        assert!(this.a.is_connected() && this.b.is_connected());
        this
    }

    fn step(&mut self) {
        self.now += Duration::from_micros(50);
        for turn in 0..2 {
            let (from, to) = if turn == 0 {
                (&mut self.a, &mut self.b)
            } else {
                (&mut self.b, &mut self.a)
            };
            while from.poll_transmit(self.now, &mut self.out).is_some() {
                if self.arena.capacity() < self.out.len() {
                    self.arena.reserve(1 << 20);
                }
                self.arena.extend_from_slice(&self.out);
                self.out.clear();
                to.handle_input(self.now, self.arena.split().freeze());
                self.packets += 1;
            }
        }
        for end in [&mut self.a, &mut self.b] {
            while let Some(event) = end.poll_event() {
                if let Event::Message { data, .. } = event {
                    self.received += data.len();
                }
            }
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
    }

    fn transfer(&mut self, id: ChannelId, message: &Bytes, octets: usize) {
        let end = self.received + octets;
        while self.received < end {
            while self.a.buffered_amount(id) < 1 << 18 {
                let message = Message::Binary(message.clone());
                self.a.send(self.now, id, message).expect("room");
            }
            self.step();
        }
    }
}

#[test]
fn steady_state_allocates_nothing_a_packet() {
    // A message of many packets allocates twice: its bookkeeping and the list of its slices.
    for (size, a_message) in [(64, 0.0), (1_024, 0.0), (65_536, 2.0)] {
        let mut direct = Direct::new();
        let id = direct
            .a
            .open(direct.now, ChannelConfig::default())
            .expect("a channel");
        let message = Bytes::from(vec![7; size]);
        // Buffers grow to their size first.
        direct.transfer(id, &message, 8 << 20);
        let (packets, octets) = (direct.packets, 4 << 20);
        let info = allocation_counter::measure(|| direct.transfer(id, &message, octets));
        let packets = direct.packets - packets;
        let messages = octets / size;
        println!(
            "{size}: {} allocations, {packets} packets",
            info.count_total
        );
        // The receive buffers are the test's own: one a mebibyte and its header.
        let arenas = 2.0 * (octets as f64 * 1.3 / f64::from(1 << 20) + 2.0);
        let allowed = messages as f64 * a_message * 1.05 + arenas + packets as f64 * 0.01;
        assert!(
            (info.count_total as f64) <= allowed,
            "{} > {allowed}",
            info.count_total
        );
    }
}

#[test]
fn an_idle_endpoint_is_small() {
    let mut kept = None;
    let info = allocation_counter::measure(|| {
        let mut direct = Direct::new();
        direct
            .a
            .open(direct.now, ChannelConfig::default())
            .expect("a channel");
        for _ in 0..10 {
            direct.step();
        }
        // Bulk leaves buffers behind; once nothing was sent for the time of a heartbeat, they go.
        let id = direct.a.open(direct.now, ChannelConfig::default());
        let id = id.expect("a channel");
        direct.transfer(id, &Bytes::from(vec![7; 60_000]), 1 << 20);
        direct.a.close_channel(direct.now, id);
        for _ in 0..10 {
            direct.step();
        }
        direct.now += Duration::from_secs(120);
        for _ in 0..10 {
            direct.step();
        }
        direct.arena = BytesMut::new();
        direct.out = Vec::new();
        kept = Some(direct);
    });
    let size = std::mem::size_of::<Endpoint>();
    let heap = info.bytes_current / 2;
    println!("an idle endpoint with one channel: {size} octets and {heap} on the heap");
    assert!(size as i64 + heap as i64 <= 4_096, "{size} + {heap}");
    assert!(kept.is_some_and(|d| d.b.channel_count() == 1));
}
