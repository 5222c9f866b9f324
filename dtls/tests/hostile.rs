//! What anyone on the way may send must not end a session or grow its memory.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Instant;

use bytes::BytesMut;
use common::{connected, events, open, seal};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{Connection, Gate, Role, Verdict, Verification, Version};

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Dtls13];

fn session(version: Version) -> (Connection, Connection, Instant) {
    let (mut client, mut server, net) = connected(
        |builder| builder,
        |builder| builder.versions(version, version),
    );
    events(&mut client);
    events(&mut server);
    (client, server, net.now)
}

/// The session still carries data both ways and has no news.
fn lives(client: &mut Connection, server: &mut Connection, now: Instant) {
    let datagram = seal(client, b"still");
    assert_eq!(open(server, now, &datagram).unwrap(), b"still");
    let datagram = seal(server, b"here");
    assert_eq!(open(client, now, &datagram).unwrap(), b"here");
    assert_eq!((events(client), events(server)), (vec![], vec![]));
}

#[test]
fn garbage_of_every_kind_leaves_a_session_alone() {
    for version in VERSIONS {
        let (mut client, mut server, now) = session(version);
        let mut rng = StdRng::seed_from_u64(5);
        for round in 0..20_000_u32 {
            let mut datagram = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut datagram);
            // Something like a header, often.
            if let Some(first) = datagram.first_mut()
                && round % 2 == 0
            {
                *first =
                    [20, 21, 22, 23, 25, 26, 0x2c, 0x2d, 0x2e, 0x2f, 0x3f][round as usize % 11];
            }
            if datagram.len() > 13 && round % 4 == 0 {
                let length = (datagram.len() - 13) as u16;
                datagram[1..5].copy_from_slice(&[0xfe, 0xfd, 0, (round % 3) as u8]);
                datagram[11..13].copy_from_slice(&length.to_be_bytes());
            }
            server
                .handle_input(now, BytesMut::from(datagram.as_slice()))
                .unwrap();
            assert!(server.poll_data().is_none());
            let mut out = Vec::new();
            assert_eq!(
                server.poll_transmit(now, &mut out),
                None,
                "no answer to {datagram:?}"
            );
        }
        let stats = server.stats();
        assert!(
            stats.records_malformed > 0 && stats.records_forged > 0,
            "{stats:?}"
        );
        lives(&mut client, &mut server, now);
    }
}

#[test]
fn truncation_and_corruption_at_every_octet_are_counted_and_dropped() {
    for version in VERSIONS {
        let (mut client, mut server, now) = session(version);
        let datagram = seal(&mut client, b"some application data");
        for at in 0..datagram.len() {
            assert_eq!(open(&mut server, now, &datagram[..at]), None);
            for bit in 0..8 {
                let mut bent = datagram.clone();
                bent[at] ^= 1 << bit;
                assert_eq!(open(&mut server, now, &bent), None, "octet {at} bit {bit}");
            }
        }
        assert_eq!(
            open(&mut server, now, &datagram).unwrap(),
            b"some application data"
        );
        lives(&mut client, &mut server, now);
    }
}

#[test]
fn replays_are_dropped() {
    for version in VERSIONS {
        let (mut client, mut server, now) = session(version);
        let datagrams: Vec<_> = (0..300_u16)
            .map(|n| seal(&mut client, &n.to_be_bytes()))
            .collect();
        for datagram in &datagrams {
            assert!(open(&mut server, now, datagram).is_some());
        }
        for datagram in &datagrams {
            assert_eq!(open(&mut server, now, datagram), None);
        }
        assert_eq!(server.stats().records_replayed, 300);
        lives(&mut client, &mut server, now);
    }
}

#[test]
fn plaintext_of_old_epochs_is_dropped_after_the_handshake() {
    for version in VERSIONS {
        let (mut client, mut server, now) = session(version);
        // A fatal alert, a ClientHello's beginning, data: all in the clear.
        for (content_type, body) in [
            (21, vec![2, 40]),
            (22, vec![1; 40]),
            (23, b"hi".to_vec()),
            (20, vec![1]),
        ] {
            for sequence in [100, 1 << 40] {
                let mut datagram = vec![content_type, 0xfe, 0xfd, 0, 0];
                datagram.extend_from_slice(&u64::to_be_bytes(sequence)[2..]);
                datagram.extend_from_slice(&(body.len() as u16).to_be_bytes());
                datagram.extend_from_slice(&body);
                assert_eq!(open(&mut server, now, &datagram), None);
                assert_eq!(open(&mut client, now, &datagram), None);
            }
        }
        assert_eq!(server.stats().records_of_other_epochs, 8);
        lives(&mut client, &mut server, now);
    }
}

#[test]
fn a_record_beyond_the_headroom_is_an_error_of_the_caller() {
    let (mut client, _, _) = session(Version::Dtls13);
    for start in [0, 3, 4, usize::MAX] {
        let mut out = vec![0; 4];
        assert!(client.seal_in_place(&mut out, start).is_err());
        assert_eq!(out.len(), 4);
    }
}

#[test]
fn a_flood_of_hellos_costs_the_gate_nothing_and_amplifies_nothing() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let (builder, _) = common::builder(Version::Dtls12, Version::Dtls13);
    let mut gate = Gate::new(
        builder.verification(Verification::Any).build().unwrap(),
        now,
    )
    .unwrap();
    let (builder, _) = common::builder(Version::Dtls12, Version::Dtls13);
    let config = builder.build().unwrap();
    let mut client = Connection::new(config, Role::Client, now, &mut rng).unwrap();
    let mut hello = Vec::new();
    let mut parts = Vec::new();
    while client.poll_transmit(now, &mut hello).is_some() {
        parts.push(std::mem::take(&mut hello));
    }
    assert_eq!(parts.len(), 2, "a post-quantum hello");
    let (mut asked, mut answered) = (0, 0);
    for address in 0..5_000_u32 {
        // Most send only one part.
        let count = if address % 10 == 0 { 2 } else { 1 };
        for part in parts.iter().take(count) {
            asked += part.len();
            let mut out = Vec::new();
            let input = BytesMut::from(part.as_slice());
            let verdict = gate
                .handle_input(now, &address.to_be_bytes(), input, &mut out, &mut rng)
                .unwrap();
            assert!(!matches!(verdict, Verdict::Accepted(_)));
            assert!(out.len() <= part.len());
            answered += out.len();
        }
    }
    assert!(
        answered > 0 && answered < asked / 8,
        "{answered} for {asked}"
    );
}

#[test]
fn garbage_in_the_clear_does_not_keep_a_handshake_from_completing() {
    for version in VERSIONS {
        let now = Instant::now();
        let (mut client, mut server) = common::pair(
            now,
            2,
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        let mut rng = StdRng::seed_from_u64(4);
        let mut idle = false;
        while !idle {
            idle = true;
            for forward in [true, false] {
                let (from, to) = if forward {
                    (&mut client, &mut server)
                } else {
                    (&mut server, &mut client)
                };
                let mut out = Vec::new();
                while from.poll_transmit(now, &mut out).is_some() {
                    idle = false;
                    for kind in [0_u8, 20, 23, 24, 25, 27, 64, 128, 200, 255] {
                        let mut garbage = vec![0; rng.random_range(1..80)];
                        rng.fill_bytes(&mut garbage);
                        garbage[0] = kind;
                        to.handle_input(now, BytesMut::from(garbage.as_slice()))
                            .unwrap();
                    }
                    to.handle_input(now, BytesMut::from(out.as_slice()))
                        .unwrap();
                    out.clear();
                }
            }
        }
        assert!(
            client.is_connected() && server.is_connected(),
            "{version:?}"
        );
    }
}

#[test]
fn a_forged_record_number_does_not_blind_a_handshake() {
    for version in VERSIONS {
        let mut net = common::Net::new(0, common::Conditions::PERFECT);
        let (mut client, mut server) = common::pair(
            net.now,
            2,
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        // The last number there is, of a type that is dropped in the clear.
        let forged = common::record(23, (1 << 48) - 1, b"nothing");
        for end in [&mut client, &mut server] {
            end.handle_input(net.now, BytesMut::from(forged.as_slice()))
                .unwrap();
        }
        common::settle(&mut net, &mut client, &mut server);
        assert!(
            client.is_connected() && server.is_connected(),
            "{version:?}"
        );
        assert_eq!(client.stats().retransmissions, 0);
    }
}

#[test]
fn what_is_wrong_in_the_clear_does_not_end_a_handshake_that_has_keys() {
    let mut wrong: Vec<(u8, Vec<u8>)> = vec![
        // A fragment cut short, and one longer than its message.
        (22, vec![11, 0, 0]),
        (
            22,
            [[2, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 9].as_slice(), &[0; 9]].concat(),
        ),
        // Alerts with too little and too much.
        (21, vec![2]),
        (21, vec![2, 40, 0]),
    ];
    // Old messages, more than an ACK has room for.
    for _ in 0..40 {
        let old = [[2, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9].as_slice(), &[0; 9]];
        wrong.push((22, old.concat()));
    }
    let give = |end: &mut Connection, now| {
        for (at, (content_type, body)) in wrong.iter().enumerate() {
            let forged = common::record(*content_type, 1 << 30 | at as u64, body);
            end.handle_input(now, BytesMut::from(forged.as_slice()))
                .unwrap();
            assert!(!end.is_closed(), "{content_type} {body:?}");
        }
    };
    for version in VERSIONS {
        let mut net = common::Net::new(0, common::Conditions::PERFECT);
        let (mut client, mut server) = common::pair(
            net.now,
            2,
            |builder| builder.mtu(400),
            |builder| {
                let mut provider = tincan_dtls::provider::default_provider();
                provider
                    .kx_groups
                    .retain(|group| group.name() == tincan_dtls::rustls::NamedGroup::secp256r1);
                builder
                    .mtu(400)
                    .versions(version, version)
                    .provider(std::sync::Arc::new(provider))
            },
        );
        let now = net.now;
        let mut moved = true;
        while moved {
            moved = false;
            let mut out = Vec::new();
            while client.poll_transmit(now, &mut out).is_some() {
                moved = true;
                server
                    .handle_input(now, BytesMut::from(out.as_slice()))
                    .unwrap();
                out.clear();
            }
            let mut sent = 0;
            while server.poll_transmit(now, &mut out).is_some() {
                moved = true;
                sent += 1;
                client
                    .handle_input(now, BytesMut::from(out.as_slice()))
                    .unwrap();
                out.clear();
                if version == Version::Dtls13 && sent == 2 {
                    // The ServerHello is there, and the rest is not.
                    give(&mut client, now);
                    give(&mut server, now);
                }
            }
            if version == Version::Dtls12 && !client.is_connected() && sent > 2 {
                // All is there but Finished.
                give(&mut client, now);
            }
        }
        common::settle(&mut net, &mut client, &mut server);
        assert!(
            client.is_connected() && server.is_connected(),
            "{version:?}"
        );
        assert_eq!(server.stats().retransmissions, 0);
    }
}

#[test]
fn records_for_keys_that_will_never_be_are_not_kept() {
    let forged = || {
        // Of 1.3, whatever the version; and of the epoch after 1.2's only one.
        let mut records: Vec<Vec<u8>> = (0x2c..=0x2f_u8)
            .map(|flags| {
                let mut record = vec![flags, 0, 0, 4, 0];
                record.resize(5 + 1024, 7);
                record
            })
            .collect();
        let mut next = common::record(23, 1, &[7; 1024]);
        next[4] = 2;
        records.resize(12, next);
        records
    };
    for version in VERSIONS {
        let (mut client, mut server, now) = session(version);
        let usual = [client.memory_usage(), server.memory_usage()];
        for end in [&mut client, &mut server] {
            let before = end.stats();
            for record in forged() {
                end.handle_input(now, BytesMut::from(record.as_slice()))
                    .unwrap();
            }
            let after = end.stats();
            assert_eq!(after.records_early, before.records_early);
            if version == Version::Dtls12 {
                let dropped = after.records_of_other_epochs - before.records_of_other_epochs;
                assert_eq!(dropped, 12);
            }
        }
        assert_eq!([client.memory_usage(), server.memory_usage()], usual);
        lives(&mut client, &mut server, now);

        // The same before and during the handshake.
        let mut net = common::Net::new(0, common::Conditions::PERFECT);
        let (mut client, mut server) = common::pair(
            net.now,
            2,
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        let mut hello = Vec::new();
        while client.poll_transmit(net.now, &mut hello).is_some() {
            net.send(1, std::mem::take(&mut hello));
        }
        for end in [&mut client, &mut server] {
            for record in forged() {
                end.handle_input(net.now, BytesMut::from(record.as_slice()))
                    .unwrap();
            }
        }
        common::settle(&mut net, &mut client, &mut server);
        // However often they were tried.
        for end in [&client, &server] {
            assert_eq!(end.stats().records_early, 4);
        }
        assert!(client.is_connected() && server.is_connected());
        assert_eq!(
            [client.memory_usage(), server.memory_usage()],
            usual,
            "{version:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_datagrams_never_panic_before_a_handshake(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
        server in any::<bool>(),
    ) {
        let now = Instant::now();
        let (client_end, server_end) = common::pair(now, 2, |builder| builder, |builder| builder);
        let mut end = if server { server_end } else { client_end };
        for (index, mut datagram) in datagrams.into_iter().enumerate() {
            if datagram.len() > 25 && index % 2 == 0 {
                // A well-framed handshake record of the right sequence number.
                let length = (datagram.len() - 13) as u16;
                datagram[..5].copy_from_slice(&[22, 0xfe, 0xfd, 0, 0]);
                datagram[11..13].copy_from_slice(&length.to_be_bytes());
                datagram[17..19].copy_from_slice(&[0, 0]);
            }
            end.handle_input(now, BytesMut::from(datagram.as_slice())).unwrap();
            let mut out = Vec::new();
            while end.poll_transmit(now, &mut out).is_some() {}
        }
    }
}
