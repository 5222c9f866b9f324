//! Handshakes over bad networks, in virtual time, by seeds.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Conditions, Net, both_done, events, open, pair, seal, seeds};
use tincan_dtls::{CloseReason, Event, Failure, Version};

/// The retransmission schedule of RFC 9147 §5.8.2 from 400 ms to 60 s ends
/// after 403 s, and the wait of an end whose flight has arrived after 463 s. One
/// may begin when the other ends.
const GIVES_UP: Duration = Duration::from_secs(403 + 463);

#[test]
fn every_handshake_completes_or_says_why() {
    let mut completed = 0;
    let count = seeds(200);
    for seed in 0..count {
        let loss = (seed % 51) as f64 / 100.0;
        let conditions = Conditions {
            loss,
            duplication: 0.1,
            corruption: 0.0,
            min_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(5 + seed % 7 * 40),
        };
        let mtu = [256, 300, 512, 900, 1200, 1500][seed as usize % 6];
        let newest = if seed % 2 == 0 {
            Version::Dtls13
        } else {
            Version::Dtls12
        };
        let mut net = Net::new(seed, conditions);
        let (mut client, mut server) = pair(
            net.now,
            seed,
            |builder| builder.mtu(mtu),
            |builder| builder.mtu(mtu).versions(Version::Dtls12, newest),
        );
        net.run([&mut client, &mut server], GIVES_UP, both_done);
        assert!(net.largest <= mtu, "seed {seed}");
        if client.is_connected() && server.is_connected() {
            completed += 1;
            assert_eq!(client.version(), Some(newest), "seed {seed}");
            let mut keys = [[0; 32]; 2];
            client
                .export_keying_material("x", None, &mut keys[0])
                .unwrap();
            server
                .export_keying_material("x", None, &mut keys[1])
                .unwrap();
            assert_eq!(keys[0], keys[1], "seed {seed}");
            let now = net.now;
            let datagram = seal(&mut client, b"data");
            assert_eq!(
                open(&mut server, now, &datagram).as_deref(),
                Some(&b"data"[..]),
                "seed {seed}"
            );
        } else {
            let all: Vec<_> = events(&mut client)
                .into_iter()
                .chain(events(&mut server))
                .collect();
            assert!(
                all.contains(&Event::Closed(CloseReason::Failed(Failure::TimedOut))),
                "seed {seed} loss {loss} mtu {mtu}: {all:?} after {:?}",
                net.elapsed()
            );
        }
    }
    println!("{completed} of {count} completed, the others timed out");
    assert!(
        completed * 100 >= count * 97,
        "{completed} of {count} completed"
    );
}

#[test]
fn a_corrupted_handshake_never_hangs() {
    for seed in 0..seeds(100) {
        let conditions = Conditions {
            loss: 0.05,
            duplication: 0.05,
            corruption: 0.2,
            min_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(50),
        };
        let newest = if seed % 2 == 0 {
            Version::Dtls13
        } else {
            Version::Dtls12
        };
        let mut net = Net::new(seed, conditions);
        let (mut client, mut server) = pair(
            net.now,
            seed,
            |builder| builder,
            |builder| builder.versions(Version::Dtls12, newest),
        );
        net.run([&mut client, &mut server], GIVES_UP, both_done);
        let settled = client.is_connected() && server.is_connected()
            || client.is_closed()
            || server.is_closed();
        assert!(settled, "seed {seed}: {client:?} {server:?}");
    }
}

#[test]
fn a_clean_handshake_takes_the_round_trips_it_must() {
    // 10 ms a way; 1.3: hello, answer, Finished = 30 ms; 1.2: 40 ms.
    for (newest, milliseconds) in [(Version::Dtls13, 30), (Version::Dtls12, 40)] {
        let mut net = Net::new(0, Conditions::PERFECT);
        let (mut client, mut server) = pair(
            net.now,
            1,
            |builder| builder,
            |builder| builder.versions(Version::Dtls12, newest),
        );
        net.run(
            [&mut client, &mut server],
            Duration::from_secs(10),
            both_done,
        );
        assert!(client.is_connected() && server.is_connected());
        assert_eq!(
            net.elapsed(),
            Duration::from_millis(milliseconds),
            "{newest:?}"
        );
        assert_eq!(
            client.stats().retransmissions + server.stats().retransmissions,
            0
        );
    }
}
