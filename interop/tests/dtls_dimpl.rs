//! An independent implementation at the other end, in both roles and versions.
#![allow(clippy::unwrap_used)]

#[path = "../../dtls/tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Conditions, End, Net, both_done, builder, open, seal, seeds};
use dimpl::{Dtls, DtlsCertificate, Output};
use rand::{SeedableRng, rngs::StdRng};
use std::time::SystemTime;
use tincan_dtls::{Certificate, Connection, Fingerprint, HashAlgorithm, Role, Version};

struct Dimpl {
    dtls: Dtls,
    connected: bool,
    failed: bool,
    keying: Option<Vec<u8>>,
    data: Vec<Vec<u8>>,
    peer: Option<Vec<u8>>,
    timeout: Option<Instant>,
}

impl Dimpl {
    fn new(version: Version, client: bool, now: Instant) -> (Self, Fingerprint) {
        let ours = Certificate::generate(SystemTime::now()).unwrap();
        let fingerprint = ours.fingerprint(HashAlgorithm::Sha256);
        let certificate = DtlsCertificate {
            certificate: ours.chain().next().unwrap().to_vec(),
            private_key: ours.private_key_pkcs8().unwrap().to_vec(),
        };
        let config = dimpl::Config::builder()
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .flight_start_rto(Duration::from_millis(400))
            .flight_retries(10)
            .handshake_timeout(Duration::from_secs(600))
            .build()
            .unwrap();
        let mut dtls = match version {
            Version::Dtls13 => Dtls::new_13(Arc::new(config), certificate, now),
            _ => Dtls::new_12(Arc::new(config), certificate, now),
        };
        dtls.set_active(client);
        dtls.handle_timeout(now).unwrap();
        let end = Self {
            dtls,
            connected: false,
            failed: false,
            keying: None,
            data: Vec::new(),
            peer: None,
            timeout: None,
        };
        (end, fingerprint)
    }
}

impl End for Dimpl {
    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let _ = self.dtls.handle_timeout(now);
        self.failed |= self.dtls.handle_packet(datagram).is_err();
    }

    fn output(&mut self, _: Instant) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => return Some(packet.to_vec()),
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return None;
                }
                Output::Connected => self.connected = true,
                Output::PeerCert(der) => self.peer = Some(der.to_vec()),
                Output::KeyingMaterial(material, _) => self.keying = Some(material.to_vec()),
                Output::ApplicationData(data) => self.data.push(data.to_vec()),
                _ => (),
            }
        }
    }

    fn timeout(&mut self) -> Option<Instant> {
        self.timeout
    }

    fn on_timeout(&mut self, now: Instant) {
        self.failed |= self.dtls.handle_timeout(now).is_err();
    }

    fn done(&self) -> bool {
        self.connected
    }

    fn dead(&self) -> bool {
        self.failed
    }
}

fn shake(version: Version, we_are: Role, seed: u64, conditions: Conditions) {
    let mut net = Net::new(seed, conditions);
    let (mut theirs, print) = Dimpl::new(version, we_are == Role::Server, net.now);
    let (builder, _) = builder(Version::Dtls12, Version::Dtls13);
    let config = builder.build().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut ours = Connection::new(config, we_are, net.now, &mut rng).unwrap();
    ours.set_remote_fingerprints(vec![print]);
    net.run(
        [&mut ours, &mut theirs],
        Duration::from_secs(600),
        both_done,
    );
    let told = (version, we_are, seed);
    assert!(
        ours.is_connected() && theirs.connected,
        "{told:?} {ours:?} {:?}",
        common::events(&mut ours)
    );
    assert_eq!(ours.version(), Some(version), "{told:?}");
    let keying = theirs.keying.clone().unwrap();
    let mut exported = vec![0; keying.len()];
    ours.export_keying_material("EXTRACTOR-dtls_srtp", None, &mut exported)
        .unwrap();
    assert_eq!(exported, keying, "{told:?}");
    assert!(theirs.peer.is_some());

    let datagram = seal(&mut ours, b"from us");
    theirs.input(net.now, &datagram);
    theirs.output(net.now);
    assert_eq!(theirs.data, [b"from us"], "{told:?}");
    theirs.dtls.send_application_data(b"from them").unwrap();
    let mut got = None;
    while let Some(datagram) = theirs.output(net.now) {
        got = got.or(open(&mut ours, net.now, &datagram));
    }
    assert_eq!(got.as_deref(), Some(&b"from them"[..]), "{told:?}");
}

#[test]
fn shakes_hands_with_dimpl_in_both_roles_and_versions() {
    for version in [Version::Dtls12, Version::Dtls13] {
        for role in [Role::Client, Role::Server] {
            shake(version, role, 0, Conditions::PERFECT);
        }
    }
}

#[test]
fn shakes_hands_with_dimpl_over_a_lossy_network() {
    for seed in 0..seeds(40) {
        let conditions = Conditions {
            loss: 0.1,
            duplication: 0.05,
            corruption: 0.0,
            min_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(20),
        };
        let version = if seed % 2 == 0 {
            Version::Dtls12
        } else {
            Version::Dtls13
        };
        let role = if seed % 4 < 2 {
            Role::Client
        } else {
            Role::Server
        };
        shake(version, role, seed, conditions);
    }
}
