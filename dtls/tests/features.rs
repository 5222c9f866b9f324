//! Each feature once, between two connections of ours.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use common::{Conditions, Net, connected, events, open, pair, seal, settle};
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{
    Certificate, ClientAuth, CloseReason, Connection, Error, Event, Failure, Gate, HashAlgorithm,
    Role, Roots, SealError, SrtpProfile, Verdict, Verification, VerifyPeer as _, Version, limits,
    rustls,
};

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Dtls13];

#[test]
fn connection_ids_go_into_every_protected_record() {
    for version in VERSIONS {
        let (mut client, mut server, net) = connected(
            |builder| builder.connection_id(5),
            |builder| builder.versions(version, version).connection_id(8),
        );
        let now = net.now;
        let id = server.connection_id().unwrap().to_vec();
        assert_eq!(id.len(), 8);
        assert_eq!(client.connection_id().unwrap().len(), 5);
        let datagram = seal(&mut client, b"up");
        assert!(
            datagram.windows(8).any(|window| window == id),
            "{version:?}"
        );
        assert_eq!(open(&mut server, now, &datagram).unwrap(), b"up");
        assert!(server.may_follow_address());
        open(&mut server, now, &datagram);
        assert!(!server.may_follow_address(), "a replay moves nobody");
        let older = seal(&mut client, b"1");
        let newer = seal(&mut client, b"2");
        open(&mut server, now, &newer);
        assert!(server.may_follow_address());
        assert_eq!(open(&mut server, now, &older).unwrap(), b"1");
        assert!(!server.may_follow_address(), "an older record moves nobody");
        let datagram = seal(&mut server, b"down");
        assert_eq!(open(&mut client, now, &datagram).unwrap(), b"down");
    }
}

#[test]
fn nobody_follows_a_record_of_old_keys() {
    let (mut client, mut server, mut net) = connected(
        |builder| builder.connection_id(5),
        |builder| builder.connection_id(8),
    );
    client.update_keys(net.now, false).unwrap();
    let mut update = Vec::new();
    client.poll_transmit(net.now, &mut update).unwrap();
    net.send(1, update);
    // Newer than all others of its epoch, and overtaken by new keys.
    let old = seal(&mut client, b"old keys");
    settle(&mut net, &mut client, &mut server);
    let late = seal(&mut client, b"new keys");
    assert_eq!(open(&mut server, net.now, &late).unwrap(), b"new keys");
    assert!(server.may_follow_address());
    assert_eq!(open(&mut server, net.now, &old).unwrap(), b"old keys");
    assert!(!server.may_follow_address());
}

#[test]
fn one_side_alone_gets_no_connection_id() {
    for version in VERSIONS {
        let (client, server, _) = connected(
            |builder| builder.connection_id(5),
            |builder| builder.versions(version, version),
        );
        assert_eq!(
            (client.connection_id(), server.connection_id()),
            (None, None)
        );
    }
}

#[test]
fn what_no_hello_can_hold_is_refused() {
    use rustls::NamedGroup as G;
    let build = |change: &dyn Fn(tincan_dtls::Builder) -> tincan_dtls::Builder| {
        change(tincan_dtls::Config::builder()).build().map(drop)
    };
    assert_eq!(
        build(&|builder| builder.key_shares(vec![G::X25519, G::secp256r1])),
        Ok(())
    );
    for repeated in [
        vec![G::X25519MLKEM768; 60],
        vec![G::X25519, G::secp256r1, G::X25519],
    ] {
        let built = build(&|builder| builder.key_shares(repeated.clone()));
        assert!(matches!(built, Err(Error::Config(_))), "{built:?}");
    }
    let built = build(&|builder| builder.server_name(String::new()));
    assert!(matches!(built, Err(Error::Config(_))), "{built:?}");
    let profiles = vec![SrtpProfile::AeadAes128Gcm; 40_000];
    let built = build(&|builder| builder.srtp_profiles(profiles.clone()));
    assert!(matches!(built, Err(Error::Config(_))), "{built:?}");
    let mut provider = tincan_dtls::provider::default_provider();
    provider.kx_groups = provider.kx_groups.repeat(2);
    let built = build(&|builder| builder.provider(Arc::new(provider.clone())));
    assert!(matches!(built, Err(Error::Config(_))), "{built:?}");
}

#[test]
fn record_size_limits_hold() {
    for version in VERSIONS {
        let (mut client, mut server, net) = connected(
            |builder| builder.record_size_limit(500),
            |builder| builder.versions(version, version).record_size_limit(900),
        );
        let own = usize::from(version == Version::Dtls13);
        let limit = 900 - own;
        let datagram = seal(&mut client, &vec![1; limit]);
        assert_eq!(open(&mut server, net.now, &datagram).unwrap().len(), limit);
        let mut out = vec![0; client.headroom() + limit + 1];
        assert_eq!(client.seal_in_place(&mut out, 0), Err(SealError::TooLarge));
        let mut out = vec![0; server.headroom() + 501];
        assert_eq!(server.seal_in_place(&mut out, 0), Err(SealError::TooLarge));
    }
}

#[test]
fn acks_keep_to_the_record_size_limit() {
    let now = Instant::now();
    let (mut client, mut server) = pair(
        now,
        3,
        |builder| builder.record_size_limit(64),
        |builder| builder.record_size_limit(64),
    );
    let mut out = Vec::new();
    while client.poll_transmit(now, &mut out).is_some() {
        server
            .handle_input(now, std::mem::take(&mut out)[..].into())
            .unwrap();
    }
    let mut flight = Vec::new();
    while server.poll_transmit(now, &mut out).is_some() {
        flight.push(std::mem::take(&mut out));
    }
    // The last is lost: of the others come more records than one ACK may name.
    flight.pop();
    for datagram in &flight {
        client.handle_input(now, datagram[..].into()).unwrap();
    }
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    client.poll_transmit(at, &mut out).unwrap();
    assert!(out.len() > 13);
    server.handle_input(at, out[..].into()).unwrap();
    let mut net = Net::new(0, Conditions::PERFECT);
    settle(&mut net, &mut client, &mut server);
    assert!(
        client.is_connected() && server.is_connected(),
        "{:?}",
        events(&mut server)
    );
}

#[test]
fn the_first_common_protocol_of_the_server_is_chosen() {
    for version in VERSIONS {
        let (client, server, _) = connected(
            |builder| builder.alpn(vec![b"webrtc".to_vec(), b"c-webrtc".to_vec()]),
            |builder| {
                builder.versions(version, version).alpn(vec![
                    b"h3".to_vec(),
                    b"c-webrtc".to_vec(),
                    b"webrtc".to_vec(),
                ])
            },
        );
        assert_eq!(
            (client.alpn(), server.alpn()),
            (Some(&b"c-webrtc"[..]), Some(&b"c-webrtc"[..]))
        );
    }
}

#[test]
fn the_first_common_profile_of_the_server_is_chosen() {
    let (client, server, _) = connected(
        |builder| {
            builder.srtp_profiles(vec![
                SrtpProfile::AesCm128HmacSha1_80,
                SrtpProfile::AeadAes256Gcm,
            ])
        },
        |builder| {
            builder.srtp_profiles(vec![
                SrtpProfile::AeadAes256Gcm,
                SrtpProfile::AesCm128HmacSha1_80,
            ])
        },
    );
    assert_eq!(client.srtp_profile(), Some(SrtpProfile::AeadAes256Gcm));
    assert_eq!(server.srtp_profile(), Some(SrtpProfile::AeadAes256Gcm));
}

#[test]
fn roots_judge_chains_names_and_times() {
    let now = SystemTime::now();
    let trusted = Certificate::generate(now).unwrap();
    let other = Certificate::generate(now).unwrap();
    let provider = tincan_dtls::provider::default_provider();
    let root = vec![trusted.chain().next().unwrap().to_vec()];
    let chain = |certificate: &Certificate| vec![certificate.chain().next().unwrap().to_vec()];
    let judge = Roots::for_clients(&root, &provider, SystemTime::now).unwrap();
    assert_eq!(judge.verify(&chain(&trusted)), Ok(()));
    assert!(judge.verify(&chain(&other)).is_err());
    assert!(judge.verify(&[]).is_err());
    let late = || SystemTime::now() + 2 * tincan_dtls::DEFAULT_LIFETIME;
    let judge = Roots::for_clients(&root, &provider, late).unwrap();
    let expired = rustls::AlertDescription::CertificateExpired;
    assert_eq!(judge.verify(&chain(&trusted)), Err(expired));
    let judge = Roots::for_server(&root, "example.org", &provider, SystemTime::now).unwrap();
    assert!(judge.verify(&chain(&trusted)).is_err(), "another name");
}

#[test]
fn a_certificate_is_stored_and_used_again() {
    let made = Certificate::generate(SystemTime::now()).unwrap();
    let chain = made.chain().map(<[u8]>::to_vec).collect();
    let key = made.private_key_pkcs8().unwrap();
    let provider = tincan_dtls::provider::default_provider();
    let again = Certificate::from_der(chain, key, &provider).unwrap();
    let print = made.fingerprint(HashAlgorithm::Sha512);
    assert_eq!(print, again.fingerprint(HashAlgorithm::Sha512));
    assert_eq!(print.to_string().parse(), Ok(print));
    let left = made
        .expires()
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!(left <= tincan_dtls::DEFAULT_LIFETIME);
    assert!(left + Duration::from_secs(60) > tincan_dtls::DEFAULT_LIFETIME);
    let sha1 = made.fingerprint(HashAlgorithm::Sha1);
    assert!(
        !sha1.matches(made.chain().next().unwrap()),
        "SHA-1 proves nothing"
    );
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, _: &[u8], _: &[u8]) {
        self.0.lock().unwrap().push(label.to_owned());
    }
}

#[test]
fn secrets_are_logged_for_those_who_ask() {
    for (version, expected) in [
        (Version::Dtls12, vec!["CLIENT_RANDOM"]),
        (
            Version::Dtls13,
            vec![
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                "CLIENT_TRAFFIC_SECRET_0",
                "SERVER_TRAFFIC_SECRET_0",
                "EXPORTER_SECRET",
            ],
        ),
    ] {
        let log = Arc::new(Log::default());
        let logger: Arc<dyn rustls::KeyLog> = log.clone();
        connected(
            |builder| builder.key_log(logger),
            |builder| builder.versions(version, version),
        );
        assert_eq!(*log.0.lock().unwrap(), expected);
    }
}

#[test]
fn every_group_works_and_is_asked_for_where_no_share_came() {
    use rustls::NamedGroup as G;
    for group in [G::X25519MLKEM768, G::X25519, G::secp256r1, G::secp384r1] {
        let mut provider = tincan_dtls::provider::default_provider();
        provider.kx_groups.retain(|known| known.name() == group);
        let (client, server, _) = connected(
            |builder| builder,
            |builder| builder.provider(Arc::new(provider)),
        );
        assert_eq!(client.key_exchange_group(), Some(group));
        let unasked = [G::X25519MLKEM768, G::X25519].contains(&group);
        assert_eq!(client.was_retried(), !unasked, "{group:?}");
        assert_eq!(server.was_retried(), !unasked, "{group:?}");
    }
}

#[test]
fn every_suite_works_in_both_versions() {
    let all = tincan_dtls::provider::default_provider().cipher_suites;
    let mut done = 0;
    for suite in all.into_iter().map(|suite| suite.suite()) {
        // The certificate is ECDSA's.
        if format!("{suite:?}").contains("_RSA_") {
            continue;
        }
        let mut provider = tincan_dtls::provider::default_provider();
        provider
            .cipher_suites
            .retain(|known| known.suite() == suite);
        let (mut client, mut server, net) = connected(
            |builder| builder,
            |builder| builder.provider(Arc::new(provider)),
        );
        assert_eq!(client.cipher_suite(), Some(suite));
        let datagram = seal(&mut client, b"data");
        assert_eq!(
            open(&mut server, net.now, &datagram).unwrap(),
            b"data",
            "{suite:?}"
        );
        done += 1;
    }
    assert_eq!(done, 6);
}

#[test]
fn a_client_without_certificate_is_judged_by_the_configuration() {
    for version in VERSIONS {
        for (auth, connects) in [
            (ClientAuth::Require, false),
            (ClientAuth::Request, true),
            (ClientAuth::None, true),
        ] {
            let now = Instant::now();
            let mut rng = StdRng::seed_from_u64(1);
            let client = tincan_dtls::Config::builder()
                .verification(Verification::Any)
                .build()
                .unwrap();
            let (server, _) = common::builder(version, version);
            let server = server
                .client_auth(auth)
                .verification(Verification::Any)
                .build()
                .unwrap();
            let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
            let mut server = Connection::new(server, Role::Server, now, &mut rng).unwrap();
            let mut net = Net::new(0, Conditions::PERFECT);
            net.now = now;
            net.run([&mut client, &mut server], Duration::from_secs(5), |_| {
                false
            });
            assert_eq!(server.is_connected(), connects, "{version:?} {auth:?}");
            assert_eq!(server.peer_certificates().len(), 0);
            if !connects {
                assert!(
                    events(&mut server)
                        .contains(&Event::Closed(CloseReason::Failed(Failure::NoCertificate)))
                );
                let told = match version {
                    Version::Dtls12 => rustls::AlertDescription::HandshakeFailure,
                    _ => rustls::AlertDescription::CertificateRequired,
                };
                let told = CloseReason::Failed(Failure::AlertReceived(told));
                assert!(events(&mut client).contains(&Event::Closed(told)));
            }
        }
    }
}

#[test]
fn data_that_overtake_the_finished_message_are_kept() {
    for version in VERSIONS {
        let now = Instant::now();
        let (mut client, mut server) = pair(
            now,
            3,
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        // The client's last flight is kept back until data follow it (in 1.3,
        // where the client is done first), or the server's (in 1.2).
        let mut held: Vec<Vec<u8>> = Vec::new();
        let (first, second) = match version {
            Version::Dtls13 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        let mut moved = true;
        while moved {
            moved = false;
            let mut out = Vec::new();
            while second.poll_transmit(now, &mut out).is_some() {
                moved = true;
                first
                    .handle_input(now, BytesMut::from(out.as_slice()))
                    .unwrap();
                out.clear();
            }
            while first.poll_transmit(now, &mut out).is_some() {
                moved = true;
                if first.is_connected() {
                    held.push(out.clone());
                } else {
                    second
                        .handle_input(now, BytesMut::from(out.as_slice()))
                        .unwrap();
                }
                out.clear();
            }
        }
        assert!(first.is_connected() && !held.is_empty(), "{version:?}");
        let early = seal(first, b"early");
        assert_eq!(open(second, now, &early), None);
        for datagram in held {
            second
                .handle_input(now, BytesMut::from(datagram.as_slice()))
                .unwrap();
        }
        assert!(second.is_connected(), "{version:?}");
        assert_eq!(&second.poll_data().unwrap()[..], b"early", "{version:?}");
    }
}

/// Lets a client come to a gate; returns the two connected ends.
fn through_gate(version: Version, mtu: usize) -> (Connection, Connection) {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(9);
    let (server, server_print) = common::builder(version, version);
    let server = server.verification(Verification::Any).build().unwrap();
    let mut gate = Gate::new(server, now).unwrap();
    let (client, _) = common::builder(Version::Dtls12, Version::Dtls13);
    let client = client.mtu(mtu).build().unwrap();
    let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
    client.set_remote_fingerprints(vec![server_print]);
    let mut replies = 0;
    for _ in 0..4 {
        let mut sent = Vec::new();
        let mut out = Vec::new();
        while client.poll_transmit(now, &mut out).is_some() {
            sent.push(std::mem::take(&mut out));
        }
        let question = sent.iter().map(Vec::len).sum();
        for datagram in sent {
            let mut reply = Vec::new();
            let input = BytesMut::from(datagram.as_slice());
            match gate
                .handle_input(now, b"10.0.0.1:5", input, &mut reply, &mut rng)
                .unwrap()
            {
                Verdict::Reply(length) => {
                    replies += 1;
                    assert!(length == reply.len() && length <= question);
                    client
                        .handle_input(now, BytesMut::from(reply.as_slice()))
                        .unwrap();
                }
                Verdict::Accepted(server) => {
                    assert_eq!(replies, 1);
                    return (client, *server);
                }
                _ => (),
            }
        }
    }
    panic!(
        "{version:?} mtu {mtu}: not accepted: {:?}",
        events(&mut client)
    );
}

#[test]
fn a_client_with_a_cookie_passes_the_gate() {
    for version in VERSIONS {
        // At 600 the hello with its post-quantum share takes three datagrams.
        for mtu in [600, 1200] {
            let (mut client, mut server) = through_gate(version, mtu);
            let mut net = Net::new(0, Conditions::PERFECT);
            settle(&mut net, &mut client, &mut server);
            assert!(
                client.is_connected() && server.is_connected(),
                "{version:?} {:?} {:?}",
                events(&mut client),
                events(&mut server)
            );
            assert_eq!(client.version(), Some(version));
        }
    }
}

#[test]
fn a_cookie_is_worth_nothing_elsewhere_or_much_later() {
    for version in VERSIONS {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(9);
        let (server, _) = common::builder(version, version);
        let mut gate = Gate::new(server.build().unwrap(), now).unwrap();
        let mut provider = tincan_dtls::provider::default_provider();
        provider
            .kx_groups
            .retain(|group| group.name() == rustls::NamedGroup::X25519);
        let (client, _) = common::builder(Version::Dtls12, Version::Dtls13);
        let client = client.provider(Arc::new(provider)).build().unwrap();
        let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
        let mut hello = Vec::new();
        client.poll_transmit(now, &mut hello).unwrap();
        let mut ask = |at: Instant, address: &[u8], datagram: &[u8]| {
            let mut reply = Vec::new();
            let input = BytesMut::from(datagram);
            let verdict = gate
                .handle_input(at, address, input, &mut reply, &mut rng)
                .unwrap();
            (matches!(verdict, Verdict::Accepted(_)), reply)
        };
        let (accepted, reply) = ask(now, b"here", &hello);
        assert!(!accepted);
        client
            .handle_input(now, BytesMut::from(reply.as_slice()))
            .unwrap();
        let mut second = Vec::new();
        client.poll_transmit(now, &mut second).unwrap();
        let (accepted, reply) = ask(now, b"there", &second);
        assert!(!accepted);
        if version == Version::Dtls13 {
            // A fatal alert of illegal_parameter, and nothing else.
            assert_eq!(
                (reply.len(), reply[0], &reply[13..]),
                (15, 21, &[2, 47][..])
            );
        }
        assert!(ask(now + limits::COOKIE_LIFETIME, b"here", &second).0);
        assert!(!ask(now + 3 * limits::COOKIE_LIFETIME, b"here", &second).0);
    }
}

/// The cookie has grown old, or a NAT has given the client another port; not for ever, though.
#[test]
fn a_cookie_that_is_no_longer_good_is_asked_for_again() {
    for moves in 1..5 {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(9);
        let (server, server_print) = common::builder(Version::Dtls12, Version::Dtls12);
        let server = server.verification(Verification::Any).build().unwrap();
        let mut gate = Gate::new(server, now).unwrap();
        let (client, _) = common::builder(Version::Dtls12, Version::Dtls13);
        let client = client.mtu(4000).build().unwrap();
        let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
        client.set_remote_fingerprints(vec![server_print]);
        let mut accepted = None;
        for hello in 0.. {
            let (mut sent, mut reply) = (Vec::new(), Vec::new());
            if client.poll_transmit(now, &mut sent).is_none() || client.is_closed() {
                break;
            }
            let address = [u8::min(hello, moves)];
            match gate
                .handle_input(now, &address, sent[..].into(), &mut reply, &mut rng)
                .unwrap()
            {
                Verdict::Reply(_) => client.handle_input(now, reply[..].into()).unwrap(),
                Verdict::Accepted(server) => {
                    assert_eq!(hello, moves + 1);
                    accepted = Some(server);
                    break;
                }
                other => panic!("{moves}: {other:?}"),
            }
        }
        if moves + 1 > limits::MAX_VERIFY_REQUESTS as u8 {
            assert!(accepted.is_none() && client.is_closed(), "{moves}");
            continue;
        }
        let mut server = accepted.unwrap_or_else(|| panic!("{moves}: {:?}", events(&mut client)));
        let mut net = Net::new(0, Conditions::PERFECT);
        settle(&mut net, &mut client, &mut server);
        assert!(client.is_connected() && server.is_connected(), "{moves}");
    }
}

#[test]
fn cookies_do_not_outlive_a_gate_that_nobody_came_to() {
    for version in VERSIONS {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(9);
        let (server, _) = common::builder(version, version);
        let mut gate = Gate::new(server.build().unwrap(), now).unwrap();
        let (client, _) = common::builder(Version::Dtls12, Version::Dtls13);
        let client = client.mtu(4000).build().unwrap();
        let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
        let mut hello = Vec::new();
        client.poll_transmit(now, &mut hello).unwrap();
        let mut reply = Vec::new();
        gate.handle_input(now, b"here", hello[..].into(), &mut reply, &mut rng)
            .unwrap();
        client.handle_input(now, reply[..].into()).unwrap();
        hello.clear();
        client.poll_transmit(now, &mut hello).unwrap();
        let late = now + 2 * limits::COOKIE_LIFETIME;
        let verdict = gate
            .handle_input(late, b"here", hello[..].into(), &mut reply, &mut rng)
            .unwrap();
        assert!(matches!(verdict, Verdict::Reply(_)), "{verdict:?}");
    }
}

#[test]
fn a_hello_is_answered_for_all_its_datagrams_and_not_the_last() {
    for version in VERSIONS {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(9);
        let (server, _) = common::builder(version, version);
        let mut gate = Gate::new(server.build().unwrap(), now).unwrap();
        // A path of which the hello takes a little more than one datagram.
        let parts = (1000..1500)
            .map(|mtu| {
                let (client, _) = common::builder(Version::Dtls12, Version::Dtls13);
                let client = client.mtu(mtu).build().unwrap();
                let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
                let (mut parts, mut out) = (Vec::new(), Vec::new());
                while client.poll_transmit(now, &mut out).is_some() {
                    parts.push(std::mem::take(&mut out));
                }
                parts
            })
            .find(|parts| parts.last().is_some_and(|last| last.len() < 40))
            .unwrap();
        let mut reply = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let verdict = gate
                .handle_input(now, b"here", part[..].into(), &mut reply, &mut rng)
                .unwrap();
            let last = at + 1 == parts.len();
            assert_eq!(matches!(verdict, Verdict::Reply(_)), last, "{verdict:?}");
        }
        assert!(reply.len() > parts.last().unwrap().len());
        assert!(reply.len() <= parts.iter().map(Vec::len).sum());
    }
}
