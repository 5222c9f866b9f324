//! What `memory_usage` tells is near what the heap says, at every step of a handshake and after it.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use allocation_counter::measure;
use bytes::BytesMut;
use common::{builder, connected, seal};
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{Connection, Role, Verification, Version};

#[test]
fn what_waits_is_told() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let (builder, _) = builder(version, version);
        let config = builder.verification(Verification::Any).build().unwrap();
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let new =
            |role, rng: &mut StdRng| Connection::new(Arc::clone(&config), role, now, rng).unwrap();
        let mut client = new(Role::Client, &mut rng);
        let mut server = new(Role::Server, &mut rng);
        let idle_server = server.memory_usage();
        assert!(idle_server >= size_of::<Connection>());

        // A hello, written at once, that may be sent again.
        let mut hello = Vec::with_capacity(4_096);
        let mut parts = Vec::new();
        while let Some(len) = client.poll_transmit(now, &mut hello) {
            parts.push(hello.split_off(hello.len() - len));
        }
        let octets: usize = parts.iter().map(Vec::len).sum();
        assert!(
            client.memory_usage() >= idle_server + octets / 2,
            "{version:?}: {octets} to be sent again"
        );

        // The server's flight, with its certificate.
        let mut held = 0;
        for part in &parts {
            let datagram = BytesMut::from(part.as_slice());
            let heap = measure(|| server.handle_input(now, datagram).unwrap());
            held += heap.bytes_current;
        }
        let mut flight = 0;
        let mut out = Vec::with_capacity(4_096);
        while let Some(len) = server.poll_transmit(now, &mut out) {
            flight += len;
            out.clear();
        }
        let told = server.memory_usage() - idle_server;
        println!("{version:?}: {told} told, {held} on the heap, {flight} in the flight");
        assert!(told >= flight / 2, "{version:?}: {told} of {flight}");
        assert!(told < 64 * 1024, "{version:?}: {told}");
    }
}

#[test]
fn records_that_nobody_takes_are_told_and_given_back() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let (mut client, mut server, net) = connected(
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        let idle = server.memory_usage();
        for _ in 0..20 {
            let record = seal(&mut client, &[7; 1_000]);
            let datagram = BytesMut::from(record.as_slice());
            server.handle_input(net.now, datagram).unwrap();
        }
        let full = server.memory_usage();
        let mut taken = 0;
        while let Some(data) = server.poll_data() {
            taken += data.len();
        }
        println!("{version:?}: {idle} idle, {full} with {taken} octets that wait");
        assert!(taken >= 1_000);
        assert!(full >= idle + taken, "{version:?}: {idle} {full}");
        assert!(full <= idle + 2 * taken, "{version:?}: {idle} {full}");
        assert_eq!(server.memory_usage(), idle, "{version:?}");
    }
}
