//! aws-lc-rs and ring are the same on the wire.
#![cfg(feature = "aws-lc-rs")]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use allocation_counter::measure;
use common::{connected, open, seal};
use tincan_dtls::provider::Backend;
use tincan_dtls::rustls::{CipherSuite, NamedGroup};
use tincan_dtls::{Builder, Version};

/// The backend with a single suite, if it has it for the version.
fn with_suite(backend: Backend, suite: CipherSuite) -> impl FnOnce(Builder) -> Builder {
    move |builder: Builder| {
        let mut provider = backend.provider();
        provider.cipher_suites.retain(|own| own.suite() == suite);
        builder.backend(backend).provider(Arc::new(provider))
    }
}

const SUITES: [(Version, CipherSuite); 6] = [
    (
        Version::Dtls12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        Version::Dtls12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        Version::Dtls12,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (Version::Dtls13, CipherSuite::TLS13_AES_128_GCM_SHA256),
    (Version::Dtls13, CipherSuite::TLS13_AES_256_GCM_SHA384),
    (Version::Dtls13, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

const PAIRS: [[Backend; 2]; 3] = [
    [Backend::AwsLcRs, Backend::Ring],
    [Backend::Ring, Backend::AwsLcRs],
    [Backend::AwsLcRs, Backend::AwsLcRs],
];

#[test]
fn every_suite_between_every_two_backends() {
    for (version, suite) in SUITES {
        for [client, server] in PAIRS {
            let (mut client, mut server, net) = connected(with_suite(client, suite), |builder| {
                with_suite(server, suite)(builder.connection_id(3))
            });
            assert_eq!(client.version(), Some(version), "{suite:?}");
            assert_eq!(client.cipher_suite(), Some(suite));
            for length in [0, 1, 15, 16, 1200] {
                let data = vec![7; length];
                let datagram = seal(&mut client, &data);
                assert_eq!(open(&mut server, net.now, &datagram).unwrap(), data);
                let mut datagram = seal(&mut server, &data);
                let place = client.open_in_place(net.now, &mut datagram).unwrap();
                assert_eq!(datagram[place], data);
            }
            let mut keys = [[0; 60]; 2];
            client
                .export_keying_material("EXTRACTOR-dtls_srtp", None, &mut keys[0])
                .unwrap();
            server
                .export_keying_material("EXTRACTOR-dtls_srtp", None, &mut keys[1])
                .unwrap();
            assert_eq!(keys[0], keys[1]);
        }
    }
}

#[test]
fn the_post_quantum_group_is_agreed_on() {
    for [client, server] in PAIRS {
        let (client, ..) = connected(
            |builder| builder.backend(client),
            |builder| builder.backend(server),
        );
        assert_eq!(
            client.key_exchange_group(),
            Some(NamedGroup::X25519MLKEM768)
        );
    }
}

#[test]
fn a_record_of_aws_lc_rs_allocates_nothing() {
    for (version, suite) in SUITES {
        let (mut client, mut server, net) = connected(
            with_suite(Backend::AwsLcRs, suite),
            with_suite(Backend::AwsLcRs, suite),
        );
        let mut out = Vec::with_capacity(2048);
        let head = client.headroom();
        for round in 0..20 {
            let heap = measure(|| {
                out.clear();
                out.resize(head + 1200, 7);
                client.seal_in_place(&mut out, 0).unwrap();
                assert!(server.open_in_place(net.now, &mut out).is_some());
            });
            // aws-lc may prepare itself with the first record.
            assert!(
                round == 0 || heap.count_total == 0,
                "{version:?} {suite:?} {heap:?}"
            );
        }
    }
}
