//! Which of several certificates is shown, and what else a server is asked for.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Conditions, Net, connected, events};
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::rustls::crypto::WebPkiSupportedAlgorithms;
use tincan_dtls::rustls::{AlertDescription, NamedGroup, SignatureScheme};
use tincan_dtls::{
    Builder, Certificate, ClientAuth, CloseReason, Config, Connection, Event, Failure,
    HashAlgorithm, Role, Verification, Version, provider,
};

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Dtls13];

fn p256() -> Certificate {
    Certificate::generate(SystemTime::now()).unwrap()
}

fn p384() -> Certificate {
    Certificate::from_der(
        vec![include_bytes!("certificates/p384.crt").to_vec()],
        include_bytes!("certificates/p384.key"),
        &provider::default_provider(),
    )
    .unwrap()
}

/// A client and a server, as far as they come.
fn shake(
    client: impl FnOnce(Builder) -> Builder,
    server: impl FnOnce(Builder) -> Builder,
) -> (Connection, Connection) {
    let mut net = Net::new(0, Conditions::PERFECT);
    let mut rng = StdRng::seed_from_u64(1);
    let builder = || Config::builder().verification(Verification::Any);
    let client = client(builder().certificate(p256())).build().unwrap();
    let server = server(builder()).build().unwrap();
    let mut client = Connection::new(client, Role::Client, net.now, &mut rng).unwrap();
    let mut server = Connection::new(server, Role::Server, net.now, &mut rng).unwrap();
    let limit = Duration::from_secs(10);
    net.run([&mut client, &mut server], limit, |_| false);
    (client, server)
}

/// Takes P-384 signatures only.
fn only_p384(builder: Builder) -> Builder {
    let mut provider = provider::default_provider();
    let all = provider.signature_verification_algorithms;
    let wanted = |(scheme, _): &&_| *scheme == SignatureScheme::ECDSA_NISTP384_SHA384;
    let mapping: Vec<_> = all.mapping.iter().filter(wanted).copied().collect();
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: all.all,
        mapping: Vec::leak(mapping),
    };
    builder.provider(Arc::new(provider))
}

#[test]
fn the_first_certificate_that_the_client_can_verify_is_shown() {
    for version in VERSIONS {
        let both = || vec![p256(), p384()];
        let (client, server) = shake(only_p384, |builder| {
            builder.versions(version, version).certificates(both())
        });
        assert!(client.is_connected(), "{version:?}");
        assert_eq!(server.shown_certificate(), Some(1));
        assert_eq!(client.shown_certificate(), Some(0));
        let leaf = p384().chain().next().unwrap().to_vec();
        assert_eq!(client.peer_certificates(), [leaf]);
        let (client, server) = shake(
            |builder| builder,
            |builder| builder.versions(version, version).certificates(both()),
        );
        assert!(client.is_connected());
        assert_eq!(server.shown_certificate(), Some(0));
    }
}

#[test]
fn in_dtls12_a_key_is_on_a_curve_that_the_client_names() {
    let without_p384 = |builder: Builder| {
        let mut provider = provider::default_provider();
        let kept = |group: &NamedGroup| *group != NamedGroup::secp384r1;
        provider.kx_groups.retain(|group| kept(&group.name()));
        builder.provider(Arc::new(provider))
    };
    let version = Version::Dtls12;
    let (client, server) = shake(without_p384, |builder| {
        let both = vec![p384(), p256()];
        builder.versions(version, version).certificates(both)
    });
    assert!(client.is_connected());
    assert_eq!(server.shown_certificate(), Some(1));
    let (client, mut server) = shake(without_p384, |builder| {
        builder.versions(version, version).certificate(p384())
    });
    assert!(!client.is_connected());
    let failed = Event::Closed(CloseReason::Failed(Failure::NoCommonGroup));
    assert!(events(&mut server).contains(&failed));
}

#[test]
fn a_certificate_for_an_issuers_peers_is_not_shown_to_others() {
    for version in VERSIONS {
        let (client, server) = shake(
            |builder| builder.certificates(vec![p256().only_for_issuer(), p384()]),
            |builder| builder.versions(version, version).certificate(p256()),
        );
        assert!(server.is_connected(), "{version:?}");
        assert_eq!(client.shown_certificate(), Some(1));
        let (client, mut server) = shake(
            |builder| builder,
            |builder| {
                let own = vec![p256().only_for_issuer()];
                builder.versions(version, version).certificates(own)
            },
        );
        assert!(!client.is_connected());
        let failed = Event::Closed(CloseReason::Failed(Failure::NoMatchingIssuer));
        assert!(events(&mut server).contains(&failed), "{version:?}");
    }
}

#[test]
fn a_client_whose_certificate_does_not_suit_shows_none() {
    for version in VERSIONS {
        for (auth, insists, connects) in [
            (ClientAuth::Request, false, true),
            (ClientAuth::Require, false, false),
            (ClientAuth::Request, true, false),
        ] {
            // The server verifies P-384 only, and signs with it.
            let (mut client, mut server) = shake(
                |builder| builder.insist_on_own_certificate(insists),
                |builder| {
                    only_p384(builder)
                        .versions(version, version)
                        .certificate(p384())
                        .client_auth(auth)
                },
            );
            assert_eq!(server.is_connected(), connects, "{version:?} {auth:?}");
            assert_eq!(client.shown_certificate(), None);
            assert_eq!(server.peer_certificates().len(), 0);
            let (end, failure) = match (connects, insists) {
                (true, _) => continue,
                (_, true) => (&mut client, Failure::NoCommonSignatureScheme),
                (_, false) => (&mut server, Failure::NoCertificate),
            };
            let failed = Event::Closed(CloseReason::Failed(failure));
            assert!(events(end).contains(&failed), "{version:?} {auth:?}");
        }
    }
}

#[test]
fn a_server_sees_what_the_client_asks_for() {
    for version in VERSIONS {
        let protocols = || vec![b"webrtc".to_vec(), b"c-webrtc".to_vec()];
        for acknowledge in [false, true] {
            let (client, server, _) = connected(
                |builder| {
                    let builder = builder.alpn(protocols());
                    builder.server_name("example.org".to_owned())
                },
                |builder| {
                    builder
                        .versions(version, version)
                        .acknowledge_server_name(acknowledge)
                },
            );
            assert_eq!(server.server_name(), Some("example.org"));
            assert_eq!(server.offered_alpn(), protocols());
            assert_eq!(client.server_name(), None);
        }
    }
}

#[test]
fn an_aborted_connection_tells_the_peer_why() {
    for version in VERSIONS {
        let (mut client, mut server, mut net) = connected(
            |builder| builder,
            |builder| builder.versions(version, version),
        );
        client.abort(net.now, AlertDescription::AccessDenied);
        common::settle(&mut net, &mut client, &mut server);
        assert!(events(&mut client).contains(&Event::Closed(CloseReason::Local)));
        let told = Failure::AlertReceived(AlertDescription::AccessDenied);
        let told = Event::Closed(CloseReason::Failed(told));
        assert!(events(&mut server).contains(&told), "{version:?}");
    }
}

#[test]
fn fingerprints_go_with_each_certificate() {
    let prints = [p256(), p384()].map(|own| own.fingerprint(HashAlgorithm::Sha256));
    let (client, _) = shake(
        |builder| only_p384(builder).verification(Verification::Fingerprints(prints.to_vec())),
        |builder| builder.certificates(vec![p256(), p384()]),
    );
    assert!(client.is_connected());
}
