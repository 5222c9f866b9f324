//! The paths that every packet takes do not touch the heap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::hint::black_box;
use std::time::Instant;

use allocation_counter::measure;
use common::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_stun::attributes::*;
use tincan_stun::integrity::Key;
use tincan_stun::message::*;
use tincan_stun::turn::client::{Client, Config, Event, Input};
use tincan_stun::turn::server::{self, Server};
use tincan_stun::turn::{ChannelData, MAX_DATA_HEADROOM};

fn none<T>(what: &str, mut work: impl FnMut() -> T) {
    // Once to warm up: lazily detected CPU features, buffers that grow.
    black_box(work());
    let info = measure(|| {
        for _ in 0..10 {
            black_box(work());
        }
    });
    assert_eq!(info.count_total, 0, "{what}");
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(black_box(vec![1u8; 100]))).count_total > 0);
}

#[test]
fn viewing_verifying_and_building_allocate_nothing() {
    let key = Key::from_bytes(b"VOkJxbRl1RmTxUk/WvJxBt");
    let mut out = Vec::with_capacity(256);
    let id = TransactionId::new([1; 12]);
    let build = |out: &mut Vec<u8>| {
        out.clear();
        Writer::new(out, Class::Request, Method::BINDING, id)
            .push(&Username("theirs:ours"))
            .push(&Priority(1))
            .push(&XorMappedAddress(addr("192.0.2.1:1")))
            .integrity(&key)
            .integrity_sha256(&key)
            .fingerprint()
            .finish()
            .unwrap()
    };
    none("build", || build(&mut out));
    none("view and verify", || {
        let m = Message::parse(&out).unwrap();
        m.verify_integrity(&key).unwrap();
        m.verify_integrity_sha256(&key).unwrap();
        m.verify_fingerprint().unwrap();
        assert_eq!(m.get(), Some(Username("theirs:ours")));
        assert_eq!(m.unknown_required(&[]).count(), 3);
        m.attributes().count()
    });
}

#[test]
fn relaying_allocates_nothing_at_either_end() {
    let start = Instant::now();
    let mut net = Net::new(1, NONE);
    let server = Server::new(
        server::Config::new(REALM),
        start,
        &mut StdRng::seed_from_u64(1),
    );
    let mut host = Host::new(server);
    let us = addr("198.51.100.1:4000");
    let config = Config::new(addr("192.0.2.1:3478"), "alice", "wonderland");
    let mut client = Client::new(config, net.now, &mut StdRng::seed_from_u64(2));
    let peers = [addr("198.51.100.5:7000"), addr("198.51.100.6:7000")];
    client.bind_channel(net.now, peers[0]).unwrap();
    client.permit(net.now, peers[1].ip()).unwrap();
    let mut done = 0;
    let mut relayed = None;
    while done < 3 {
        let mut out = Vec::new();
        client.handle_timeout(net.now);
        while let Some(t) = client.poll_transmit(net.now, &mut out) {
            net.send(us, t.remote, &out);
            out.clear();
        }
        net.now = net.next_arrival().expect("under way");
        while let Some((from, to, octets)) = net.arrived() {
            if to == us {
                client.handle_input(net.now, from, &octets);
            } else {
                host.receive(&mut net, (from, to, octets));
            }
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Allocated(a) => relayed = a.relayed_v4,
                Event::Permitted(_) | Event::ChannelBound(_) => done += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let relay = host.relays[&relayed.unwrap()];
    let now = net.now;
    let mut users = users();
    let mut out = Vec::with_capacity(2000);
    let mut buffer = vec![0; MAX_DATA_HEADROOM + 1200 + 3];
    for (peer, form) in [(peers[0], "ChannelData"), (peers[1], "indications")] {
        let head = client.data_headroom(now, &peer).unwrap();
        // Few enough that the client does not ask for a channel meanwhile.
        let mut left = 3;
        none(form, || {
            if left > 0 || form == "ChannelData" {
                left -= 1;
                out.clear();
                out.resize(head, 0);
                out.extend_from_slice(&[7; 1200]);
                client.frame_data(now, peer, &mut out, 0, head).unwrap();
            }
            let input = host.server.handle_input(now, tuple(us), &out, &mut users);
            assert!(matches!(input, server::Input::Relay { .. }));
            let payload = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + 1200;
            let to = host
                .server
                .handle_peer_datagram(now, relay, peer, &mut buffer, payload);
            let message = &buffer[to.unwrap().range];
            assert_eq!(ChannelData::is(message), form == "ChannelData");
            let input = client.handle_input(now, addr("192.0.2.1:3478"), message);
            assert!(matches!(input, Input::Data { .. }));
        });
    }
}
