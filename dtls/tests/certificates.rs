//! Mutual authentication with every kind of certificate that a peer may have.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Conditions, Net, both_done, open, seal};
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::rustls::{CipherSuite, SignatureScheme};
use tincan_dtls::{
    Certificate, Config, Connection, HashAlgorithm, KeyAlgorithm, Role, Verification, Version,
    provider,
};

/// A kind of certificate: its DER and its key in PKCS #8, and what signs with it.
struct Kind {
    name: &'static str,
    chain: &'static [u8],
    key: &'static [u8],
    scheme12: SignatureScheme,
    scheme13: SignatureScheme,
}

/// Made by `openssl req -x509 -nodes -days 36500`, converted by `openssl pkcs8`.
const KINDS: [Kind; 3] = [
    Kind {
        name: "RSA 2048",
        chain: include_bytes!("certificates/rsa.crt"),
        key: include_bytes!("certificates/rsa.key"),
        // RFC 8446 §4.2.3: RSASSA-PSS goes before PKCS #1 in 1.2 too.
        scheme12: SignatureScheme::RSA_PSS_SHA512,
        scheme13: SignatureScheme::RSA_PSS_SHA512,
    },
    Kind {
        name: "Ed25519",
        chain: include_bytes!("certificates/ed25519.crt"),
        key: include_bytes!("certificates/ed25519.key"),
        scheme12: SignatureScheme::ED25519,
        scheme13: SignatureScheme::ED25519,
    },
    Kind {
        name: "P-384",
        chain: include_bytes!("certificates/p384.crt"),
        key: include_bytes!("certificates/p384.key"),
        scheme12: SignatureScheme::ECDSA_NISTP384_SHA384,
        scheme13: SignatureScheme::ECDSA_NISTP384_SHA384,
    },
];

fn certificate(kind: &Kind) -> Certificate {
    Certificate::from_der(
        vec![kind.chain.to_vec()],
        kind.key,
        &provider::default_provider(),
    )
    .unwrap()
}

fn shake(version: Version, client: &Kind, server: &Kind) -> (Connection, Connection, Net) {
    shake_with(version, [certificate(client), certificate(server)])
}

fn shake_with(version: Version, certificates: [Certificate; 2]) -> (Connection, Connection, Net) {
    let mut net = Net::new(0, Conditions::PERFECT);
    let mut rng = StdRng::seed_from_u64(1);
    let prints = certificates
        .each_ref()
        .map(|certificate| certificate.fingerprint(HashAlgorithm::Sha256));
    let [client, server] = [(Role::Client, 0), (Role::Server, 1)].map(|(role, own)| {
        let config = Config::builder()
            .certificate(certificates[own].clone())
            .versions(version, version)
            .verification(Verification::Fingerprints(vec![prints[1 - own].clone()]))
            .build()
            .unwrap();
        Connection::new(config, role, net.now, &mut rng).unwrap()
    });
    let (mut client, mut server) = (client, server);
    let ends: [&mut dyn common::End; 2] = [&mut client, &mut server];
    net.run(ends, Duration::from_secs(10), both_done);
    (client, server, net)
}

#[test]
fn every_kind_authenticates_to_every_other() {
    for version in [Version::Dtls12, Version::Dtls13] {
        for client_kind in &KINDS {
            for server_kind in &KINDS {
                let case = format!("{version:?} {} to {}", client_kind.name, server_kind.name);
                let (mut client, mut server, net) = shake(version, client_kind, server_kind);
                assert!(client.is_connected() && server.is_connected(), "{case}");
                let scheme = |kind: &Kind| match version {
                    Version::Dtls12 => Some(kind.scheme12),
                    _ => Some(kind.scheme13),
                };
                assert_eq!(
                    client.peer_signature_scheme(),
                    scheme(server_kind),
                    "{case}"
                );
                assert_eq!(
                    server.peer_signature_scheme(),
                    scheme(client_kind),
                    "{case}"
                );
                if version == Version::Dtls12 {
                    // The suite says what the server signs with; EdDSA goes with ECDSA
                    // (RFC 8422 §5.1.1).
                    let expected = if server_kind.name == "RSA 2048" {
                        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
                    } else {
                        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    };
                    assert_eq!(client.cipher_suite(), Some(expected), "{case}");
                }
                let datagram = seal(&mut client, b"there");
                assert_eq!(open(&mut server, net.now, &datagram).unwrap(), b"there");
                let datagram = seal(&mut server, b"back");
                assert_eq!(open(&mut client, net.now, &datagram).unwrap(), b"back");
            }
        }
    }
}

#[test]
fn another_certificate_of_the_same_kind_is_refused() {
    for version in [Version::Dtls12, Version::Dtls13] {
        for kind in &KINDS {
            let mut rng = StdRng::seed_from_u64(2);
            let mut net = Net::new(0, Conditions::PERFECT);
            let wrong = Certificate::generate(std::time::SystemTime::now())
                .unwrap()
                .fingerprint(HashAlgorithm::Sha256);
            let [mut client, mut server] = [Role::Client, Role::Server].map(|role| {
                let config = Config::builder()
                    .certificate(certificate(kind))
                    .versions(version, version)
                    .verification(Verification::Fingerprints(vec![wrong.clone()]))
                    .build()
                    .unwrap();
                Connection::new(config, role, net.now, &mut rng).unwrap()
            });
            net.run(
                [&mut client, &mut server],
                Duration::from_secs(10),
                |ends| ends.iter().any(|end| end.dead()),
            );
            assert!(client.is_closed(), "{version:?} {}", kind.name);
            assert!(!client.is_connected() && !server.is_connected());
        }
    }
}

#[test]
fn every_kind_that_can_be_made_authenticates_and_says_its_hash() {
    let now = std::time::SystemTime::now();
    let lifetime = Duration::from_secs(3 * 86_400);
    for (algorithm, hash, scheme) in [
        (
            KeyAlgorithm::EcdsaP256,
            Some(HashAlgorithm::Sha256),
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ),
        (
            KeyAlgorithm::EcdsaP384,
            Some(HashAlgorithm::Sha384),
            SignatureScheme::ECDSA_NISTP384_SHA384,
        ),
        (KeyAlgorithm::Ed25519, None, SignatureScheme::ED25519),
    ] {
        for version in [Version::Dtls12, Version::Dtls13] {
            let made =
                [(); 2].map(|()| Certificate::generate_with(algorithm, now, lifetime).unwrap());
            let [ours, theirs] = made.clone();
            assert_eq!(ours.signature_hash(), hash);
            let left = ours.expires().unwrap().duration_since(now).unwrap();
            assert!(lifetime - left < Duration::from_secs(1), "{left:?}");
            let [a, b] = [&ours, &theirs].map(|c| c.fingerprint(HashAlgorithm::Sha256));
            assert_ne!(a, b);
            // It can be stored.
            let chain = vec![ours.chain().next().unwrap().to_vec()];
            let key = ours.private_key_pkcs8().unwrap();
            Certificate::from_der(chain, key, &provider::default_provider()).unwrap();
            let (mut client, mut server, net) = shake_with(version, made);
            assert!(
                client.is_connected() && server.is_connected(),
                "{algorithm:?}"
            );
            for end in [&client, &server] {
                assert_eq!(end.peer_signature_scheme(), Some(scheme), "{algorithm:?}");
            }
            let sealed = seal(&mut client, b"signed");
            assert_eq!(open(&mut server, net.now, &sealed).unwrap(), b"signed");
        }
    }
    let kinds = KINDS.iter().map(|k| certificate(k).signature_hash());
    let hashes: Vec<_> = kinds.collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(hashes[0], Some(HashAlgorithm::Sha256), "RSA");
    assert_eq!(hashes[1], None, "Ed25519");
}
