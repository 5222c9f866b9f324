//! What a connection holds on the heap: half open, under attack, established. The figures are
//! printed; the bounds are what many thousands of connections are planned with.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use allocation_counter::measure;
use bytes::BytesMut;
use common::builder;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use tincan_dtls::{Config, Connection, Gate, Role, Verdict, Verification, Version};

/// A connection with the octets of heap that it holds, itself included.
struct Held {
    connection: Connection,
    octets: i64,
}

impl Held {
    fn new(config: &Arc<Config>, role: Role, now: Instant, rng: &mut StdRng) -> Self {
        let mut connection = None;
        let heap = measure(|| {
            connection = Some(Connection::new(Arc::clone(config), role, now, rng).unwrap());
        });
        Self {
            connection: connection.unwrap(),
            octets: heap.bytes_current,
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let datagram = BytesMut::from(datagram);
        // What was made outside and is freed inside counts as less.
        let size = datagram.capacity() as i64;
        let heap = measure(|| self.connection.handle_input(now, datagram).unwrap());
        self.octets += heap.bytes_current + size;
    }

    fn output(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(2048);
        let mut more = false;
        let heap = measure(|| more = self.connection.poll_transmit(now, &mut out).is_some());
        self.octets += heap.bytes_current;
        more.then_some(out)
    }

    fn news(&mut self) {
        let heap = measure(|| while self.connection.poll_event().is_some() {});
        self.octets += heap.bytes_current;
    }

    /// Heap and the connection's own octets.
    fn total(&self) -> i64 {
        self.octets + size_of::<Connection>() as i64
    }
}

fn config(newest: Version) -> Arc<Config> {
    let (builder, _) = builder(Version::Dtls12, newest);
    builder.verification(Verification::Any).build().unwrap()
}

fn hello(config: &Arc<Config>, now: Instant, rng: &mut StdRng) -> (Held, Vec<Vec<u8>>) {
    let mut client = Held::new(config, Role::Client, now, rng);
    let parts = std::iter::from_fn(|| client.output(now)).collect();
    (client, parts)
}

#[test]
fn a_half_open_connection_is_small() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    for newest in [Version::Dtls12, Version::Dtls13] {
        let config = config(newest);
        let (client, parts) = hello(&config, now, &mut rng);
        println!(
            "{newest:?}: client that said hello: {} octets",
            client.total()
        );
        assert!(client.total() < 12_000);

        let mut server = Held::new(&config, Role::Server, now, &mut rng);
        println!(
            "{newest:?}: server before anything: {} octets",
            server.total()
        );
        assert!(server.total() < 2_500);
        server.input(now, &parts[0]);
        println!(
            "{newest:?}: server with part of a hello: {} octets",
            server.total()
        );
        assert!(server.total() < 8_000);
        for part in parts.iter().skip(1) {
            server.input(now, part);
        }
        while server.output(now).is_some() {}
        println!(
            "{newest:?}: server that answered: {} octets",
            server.total()
        );
        assert!(server.total() < 12_000);
    }
}

/// Thousands of clients that never go on: each costs as much as any other.
#[test]
fn thousands_of_half_open_clients_cost_the_same_each() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(2);
    let config = config(Version::Dtls13);
    let (_, parts) = hello(&config, now, &mut rng);
    let mut most = 0;
    let mut all = 0;
    let servers: Vec<Held> = (0..2_000)
        .map(|number| {
            let mut server = Held::new(&config, Role::Server, now, &mut rng);
            for part in parts.iter().take(1 + number % 2) {
                server.input(now, part);
            }
            while server.output(now).is_some() {}
            most = most.max(server.total());
            all += server.total();
            server
        })
        .collect();
    println!(
        "{} half-open servers: {} octets each at most, {} on average",
        servers.len(),
        most,
        all / servers.len() as i64
    );
    assert!(most < 12_000, "{most}");
}

/// The worst that an unproven client can make a server hold.
#[test]
fn a_server_under_fragments_of_every_kind_stays_in_its_bound() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut server = Held::new(&config(Version::Dtls13), Role::Server, now, &mut rng);
    let mut most = 0;
    // 2^16 message numbers, lengths and offsets as they come, one octet each.
    for number in 0..=u16::MAX {
        let length = rng.random_range(1..20_000_u32);
        let offset = rng.random_range(0..length);
        let mut record = vec![22, 0xfe, 0xfd, 0, 0];
        record.extend_from_slice(&u64::from(number).to_be_bytes()[2..]);
        record.extend_from_slice(&[0, 13, 1]);
        record.extend_from_slice(&length.to_be_bytes()[1..]);
        record.extend_from_slice(&(number % 8).to_be_bytes());
        record.extend_from_slice(&offset.to_be_bytes()[1..]);
        record.extend_from_slice(&[0, 0, 1, 7]);
        server.input(now, &record);
        most = most.max(server.total());
        if server.connection.is_closed() {
            // A fragment that contradicts another one ends what was never proved.
            server = Held::new(&config(Version::Dtls13), Role::Server, now, &mut rng);
        }
    }
    println!("server under fragments: {most} octets at most");
    assert!(most < 48 * 1024, "{most}");
}

/// Cookies on: the gate holds its 64 partial hellos and not one more.
#[test]
fn a_gate_under_a_flood_of_hellos_stays_in_its_bound() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(4);
    let config = config(Version::Dtls13);
    let (_, parts) = hello(&config, now, &mut rng);
    let mut gate = Gate::new(Arc::clone(&config), now).unwrap();
    let mut held = 0;
    let mut most = 0;
    for address in 0..20_000_u32 {
        let datagram = BytesMut::from(parts[0].as_slice());
        let size = datagram.capacity() as i64;
        let mut out = Vec::with_capacity(2048);
        let heap = measure(|| {
            let verdict =
                gate.handle_input(now, &address.to_be_bytes(), datagram, &mut out, &mut rng);
            assert!(!matches!(verdict, Ok(Verdict::Accepted(_))));
        });
        assert!(
            out.len() <= parts[0].len(),
            "never longer than the question"
        );
        held += heap.bytes_current + size;
        most = most.max(held);
    }
    println!("gate under 20000 hellos: {most} octets at most");
    assert!(most < 256 * 1024, "{most}");
}

#[test]
fn an_established_session_keeps_little() {
    for newest in [Version::Dtls12, Version::Dtls13] {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(5);
        let config = config(newest);
        let mut client = Held::new(&config, Role::Client, now, &mut rng);
        let mut server = Held::new(&config, Role::Server, now, &mut rng);
        for _ in 0..8 {
            while let Some(datagram) = client.output(now) {
                server.input(now, &datagram);
            }
            while let Some(datagram) = server.output(now) {
                client.input(now, &datagram);
            }
        }
        client.news();
        server.news();
        assert!(client.connection.is_connected() && server.connection.is_connected());
        println!(
            "{newest:?}: established: client {} octets of heap, server {}, and {} of its own",
            client.octets,
            server.octets,
            size_of::<Connection>()
        );
        let bound = if newest == Version::Dtls12 {
            3_000
        } else {
            4_000
        };
        assert!(client.octets < bound && server.octets < bound);
    }
}
