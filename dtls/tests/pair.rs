//! Two connections of ours with each other.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{
    Certificate, Config, Connection, Event, Fingerprint, HashAlgorithm, Role, SrtpProfile, Version,
};

fn make(
    role: Role,
    (oldest, newest): (Version, Version),
    mtu: usize,
    now: Instant,
) -> (Connection, Fingerprint) {
    let certificate = Certificate::generate(SystemTime::now()).unwrap();
    let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256);
    let config = Config::builder()
        .certificate(certificate)
        .versions(oldest, newest)
        .mtu(mtu)
        .srtp_profiles(vec![
            SrtpProfile::AeadAes256Gcm,
            SrtpProfile::AesCm128HmacSha1_80,
        ])
        .build()
        .unwrap();
    let connection = Connection::new(config, role, now, &mut StdRng::seed_from_u64(7)).unwrap();
    (connection, fingerprint)
}

/// Moves datagrams until both are silent.
fn drive(now: Instant, client: &mut Connection, server: &mut Connection) {
    let mut idle = false;
    while !idle {
        idle = true;
        for forward in [true, false] {
            let (from, to) = if forward {
                (&mut *client, &mut *server)
            } else {
                (&mut *server, &mut *client)
            };
            let mut datagram = Vec::new();
            while from.poll_transmit(now, &mut datagram).is_some() {
                idle = false;
                to.handle_input(now, BytesMut::from(datagram.as_slice()))
                    .unwrap();
                datagram.clear();
            }
        }
    }
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

#[test]
fn both_versions_connect_and_agree_at_every_mtu() {
    let (v12, v13) = (Version::Dtls12, Version::Dtls13);
    for (offer, answer, expected) in [
        ((v12, v13), (v12, v13), v13),
        ((v12, v13), (v12, v12), v12),
        ((v12, v12), (v12, v13), v12),
        ((v13, v13), (v12, v13), v13),
    ] {
        for mtu in [256, 500, 1200] {
            let now = Instant::now();
            let (mut client, client_print) = make(Role::Client, offer, mtu, now);
            let (mut server, server_print) = make(Role::Server, answer, mtu, now);
            client.set_remote_fingerprints(vec![server_print]);
            server.set_remote_fingerprints(vec![client_print]);
            drive(now, &mut client, &mut server);
            for end in [&mut client, &mut server] {
                let events = events(end);
                assert!(
                    matches!(events[..], [Event::Connected { version, srtp_profile: Some(SrtpProfile::AeadAes256Gcm), .. }] if version == expected),
                    "{expected:?} mtu {mtu}: {events:?}"
                );
                assert_eq!(end.poll_timeout(), None, "{expected:?}");
            }
            let mut keys = [[0; 60]; 2];
            client
                .export_keying_material("EXTRACTOR-dtls_srtp", None, &mut keys[0])
                .unwrap();
            server
                .export_keying_material("EXTRACTOR-dtls_srtp", None, &mut keys[1])
                .unwrap();
            assert_eq!(keys[0], keys[1]);
            assert_ne!(keys[0], [0; 60]);
            for (from, to) in [(true, "up"), (false, "down")] {
                let (from, into) = if from {
                    (&mut client, &mut server)
                } else {
                    (&mut server, &mut client)
                };
                let mut out = vec![0; 3 + from.headroom()];
                out.extend_from_slice(to.as_bytes());
                from.seal_in_place(&mut out, 3).unwrap();
                into.handle_input(now, BytesMut::from(&out[3..])).unwrap();
                assert_eq!(&into.poll_data().unwrap()[..], to.as_bytes());
            }
            client.close(now);
            drive(now, &mut client, &mut server);
            assert!(server.is_closed());
        }
    }
}

#[test]
fn a_late_fingerprint_holds_back_the_connection() {
    for versions in [
        (Version::Dtls12, Version::Dtls12),
        (Version::Dtls13, Version::Dtls13),
    ] {
        let now = Instant::now();
        let (mut client, client_print) = make(Role::Client, versions, 1200, now);
        let (mut server, server_print) = make(Role::Server, versions, 1200, now);
        server.set_remote_fingerprints(vec![client_print]);
        drive(now, &mut client, &mut server);
        assert!(server.is_connected() && !client.is_connected());
        assert_eq!(events(&mut client), [Event::FingerprintNeeded]);
        let mut out = vec![0; server.headroom()];
        out.extend_from_slice(b"early");
        server.seal_in_place(&mut out, 0).unwrap();
        client
            .handle_input(now, BytesMut::from(out.as_slice()))
            .unwrap();
        assert!(client.poll_data().is_none());
        client.set_remote_fingerprints(vec![server_print]);
        assert!(client.is_connected());
        assert_eq!(&client.poll_data().unwrap()[..], b"early");
    }
}

#[test]
fn a_wrong_fingerprint_ends_it() {
    for versions in [
        (Version::Dtls12, Version::Dtls12),
        (Version::Dtls13, Version::Dtls13),
    ] {
        let now = Instant::now();
        let (mut client, client_print) = make(Role::Client, versions, 1200, now);
        let (mut server, _) = make(Role::Server, versions, 1200, now);
        client.set_remote_fingerprints(vec![client_print.clone()]);
        server.set_remote_fingerprints(vec![client_print]);
        drive(now, &mut client, &mut server);
        assert!(client.is_closed() && server.is_closed());
    }
}

#[test]
fn keys_are_updated_both_ways() {
    let versions = (Version::Dtls13, Version::Dtls13);
    let mut now = Instant::now();
    let (mut client, client_print) = make(Role::Client, versions, 1200, now);
    let (mut server, server_print) = make(Role::Server, versions, 1200, now);
    client.set_remote_fingerprints(vec![server_print]);
    server.set_remote_fingerprints(vec![client_print]);
    drive(now, &mut client, &mut server);
    for round in 0..20 {
        client.update_keys(now, true).unwrap();
        for _ in 0..10 {
            drive(now, &mut client, &mut server);
            now += Duration::from_millis(150);
            client.handle_timeout(now);
            server.handle_timeout(now);
        }
        for from_client in [true, false] {
            let (from, into) = if from_client {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            let mut out = vec![0; from.headroom()];
            out.extend_from_slice(b"data");
            from.seal_in_place(&mut out, 0).unwrap();
            assert_eq!(out[0] & 3, ((3 + 1 + round) & 3) as u8, "epoch has moved");
            into.handle_input(now, BytesMut::from(out.as_slice()))
                .unwrap();
            assert_eq!(&into.poll_data().unwrap()[..], b"data", "round {round}");
        }
    }
}
