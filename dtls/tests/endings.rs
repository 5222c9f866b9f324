//! No handshake stays half open: whatever is lost or forged, each end is
//! established or closed in bounded time.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use common::{events, pair, record, seeds};
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use tincan_dtls::{CloseReason, Connection, Event, Failure, Version, rustls};

/// The retransmission schedule of RFC 9147 §5.8.2 from 400 ms to 60 s, and the
/// wait for a peer that does not go on, which is one timeout longer, end after
/// this.
const PATIENCE: Duration = Duration::from_secs(463);

/// Part of a handshake message.
fn fragment(kind: u8, sequence: u16, total: u16, offset: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0];
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.push(0);
    out.extend_from_slice(&offset.to_be_bytes());
    out.push(0);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// An ACK of the first `count` plaintext records.
fn ack(count: u16) -> Vec<u8> {
    let mut out = (16 * count).to_be_bytes().to_vec();
    for number in 0..count {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&u64::from(number).to_be_bytes());
    }
    out
}

struct World {
    now: Instant,
    ends: [Connection; 2],
    wires: [VecDeque<Vec<u8>>; 2],
}

impl World {
    fn new(seed: u64, newest: Version, mtu: usize, retried: bool) -> Self {
        let now = Instant::now();
        let (client, server) = pair(
            now,
            seed,
            |builder| builder.mtu(mtu),
            |builder| {
                let mut provider = tincan_dtls::provider::default_provider();
                if retried {
                    provider
                        .kx_groups
                        .retain(|group| group.name() == rustls::NamedGroup::secp384r1);
                }
                builder
                    .mtu(mtu)
                    .versions(Version::Dtls12, newest)
                    .provider(Arc::new(provider))
            },
        );
        let mut world = Self {
            now,
            ends: [client, server],
            wires: Default::default(),
        };
        world.collect();
        world
    }

    fn collect(&mut self) {
        for (n, end) in self.ends.iter_mut().enumerate() {
            let mut out = Vec::new();
            while end.poll_transmit(self.now, &mut out).is_some() {
                self.wires[1 - n].push_back(std::mem::take(&mut out));
            }
        }
    }

    fn give(&mut self, n: usize, datagram: &[u8]) {
        self.ends[n]
            .handle_input(self.now, BytesMut::from(datagram))
            .unwrap();
        self.collect();
    }

    fn deliver(&mut self, n: usize) {
        if let Some(datagram) = self.wires[n].pop_front() {
            self.give(n, &datagram);
        }
    }

    fn timer(&mut self, n: usize) {
        if let Some(at) = self.ends[n].poll_timeout() {
            self.now = self.now.max(at);
            self.ends[n].handle_timeout(self.now);
            self.collect();
        }
    }

    /// Nothing arrives any more: lets time pass until no timer is left.
    fn silence(&mut self) {
        let from = self.now;
        while let Some((_, n)) = (0..2)
            .filter_map(|n| Some((self.ends[n].poll_timeout()?, n)))
            .min()
        {
            self.timer(n);
            assert!(self.now - from < 2 * PATIENCE, "{:?}", self.ends);
        }
        self.wires = Default::default();
    }

    fn has_ended(&self) {
        for (n, end) in self.ends.iter().enumerate() {
            // Only a server that has seen no whole hello waits without end.
            let idle_server = n == 1 && end.version().is_none();
            assert!(
                end.is_closed() || end.is_connected() || idle_server,
                "half open: {end:?}"
            );
        }
    }
}

#[test]
fn a_peer_that_says_half_and_falls_silent_is_given_up() {
    // How many datagrams of the other side arrive, at each end.
    for waits in 0..2 {
        for arrive in 0..12 {
            let mut world = World::new(1, Version::Dtls13, 256, false);
            let mut given = 0;
            while let Some(n) = (0..2).find(|n| !world.wires[*n].is_empty()) {
                if n == waits && given == arrive {
                    world.wires[n].clear();
                    continue;
                }
                given += usize::from(n == waits);
                world.deliver(n);
            }
            world.silence();
            world.has_ended();
        }
    }
}

#[test]
fn a_flight_is_sent_again_as_soon_as_the_path_is_back() {
    let mut world = World::new(1, Version::Dtls13, 1200, false);
    // Not before there was a timeout.
    world.ends[0].path_restored();
    world.wires = Default::default();
    world.collect();
    assert!(world.wires[1].is_empty());
    let first = world.ends[0].poll_timeout().unwrap() - world.now;
    for _ in 0..6 {
        world.timer(0);
    }
    world.wires = Default::default();
    world.now += Duration::from_secs(1);
    world.ends[0].path_restored();
    world.collect();
    assert!(!world.wires[1].is_empty());
    assert_eq!(world.ends[0].poll_timeout(), Some(world.now + first));
    while let Some(n) = (0..2).find(|n| !world.wires[*n].is_empty()) {
        world.deliver(n);
    }
    assert!(world.ends.iter().all(Connection::is_connected));
    world.ends.iter_mut().for_each(Connection::path_restored);
    world.collect();
    assert!(world.wires.iter().all(VecDeque::is_empty));
}

#[test]
fn a_forged_beginning_of_an_answer_does_not_silence_a_client_for_ever() {
    for forged in [
        (22, fragment(2, 1, 80, 0, b"what comes never")),
        (26, ack(8)),
    ] {
        let mut world = World::new(1, Version::Dtls13, 1200, true);
        while !world.wires[1].is_empty() {
            world.deliver(1);
        }
        world.deliver(0);
        assert!(world.ends[0].was_retried());
        world.wires = Default::default();
        world.give(0, &record(forged.0, 7, &forged.1));
        assert!(world.ends[0].poll_timeout().is_some());
        world.ends[1].close(world.now);
        world.silence();
        assert_eq!(
            events(&mut world.ends[0]),
            [Event::Closed(CloseReason::Failed(Failure::TimedOut))]
        );
    }
}

#[test]
fn every_handshake_ends_whatever_is_lost_and_forged() {
    let (mut connected, count) = (0, seeds(300));
    for seed in 0..count {
        let mut rng = StdRng::seed_from_u64(seed);
        let newest = if rng.random_bool(0.7) {
            Version::Dtls13
        } else {
            Version::Dtls12
        };
        let mtu = [256, 300, 1200][rng.random_range(0..3)];
        let mut world = World::new(seed, newest, mtu, rng.random_bool(0.5));
        let hostile = rng.random_bool(0.7);
        for step in 0..rng.random_range(0..60) {
            let n = rng.random_range(0..2);
            match rng.random_range(0..if hostile { 10 } else { 8 }) {
                0 => world.timer(n),
                1 => drop(world.wires[n].pop_front()),
                2 => {
                    if let Some(datagram) = world.wires[n].pop_front() {
                        world.wires[n].push_back(datagram);
                    }
                }
                8 => {
                    let kind = [1, 2, 3, 8, 11, 14, 16, 20][rng.random_range(0..8)];
                    let offset = rng.random_range(0..40);
                    let body = fragment(kind, rng.random_range(0..4), 60, offset, b"forged");
                    world.give(n, &record(22, 1 << 20 | step, &body));
                }
                9 => {
                    let acked = ack(rng.random_range(0..12));
                    world.give(n, &record(26, 1 << 20 | step, &acked));
                }
                _ => world.deliver(n),
            }
        }
        // Half of them go on undisturbed, and half are left alone.
        if rng.random_bool(0.5) {
            for _ in 0..200 {
                while let Some(n) = (0..2).find(|n| !world.wires[*n].is_empty()) {
                    world.deliver(n);
                }
                (0..2).for_each(|n| world.timer(n));
            }
        }
        world.silence();
        println!("seed {seed}: {:?}", world.ends);
        world.has_ended();
        connected += u64::from(world.ends.iter().all(Connection::is_connected));
    }
    // A few seeds may all be of those left alone.
    assert!(
        connected * 10 > count || count < 50,
        "{connected} of {count} connected"
    );
}
