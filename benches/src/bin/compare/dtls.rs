//! `compare -- dtls`: handshakes beside dimpl, records beside the bare AEAD, heap of a session.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use bytes::BytesMut;
use dimpl::{Dtls, DtlsCertificate, Output};
use rand::{SeedableRng, rngs::StdRng};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use tincan_benches::{Better, Comparison, counts_allocations, measure_heap};
use tincan_dtls::{Certificate, Config, Connection, Role, Verification, Version, rustls};

/// Octets of application data in a record: a video packet's.
const PAYLOAD: usize = 1200;

/// Records of one untimed preparation.
const RECORDS: usize = 128;

/// Runs every case of the area.
pub(crate) fn run() {
    for (version, name) in [(Version::Dtls12, "1.2"), (Version::Dtls13, "1.3")] {
        handshake(version, name);
        seal(version, name);
        open(version, name, false);
        open(version, name, true);
        if counts_allocations() {
            heap(version, name);
            allocations(version, name);
        }
    }
}

/// The same key exchange for both: X25519, which dimpl prefers too. In 1.2 P-256 is the curve of
/// the certificates.
fn config(version: Version) -> Option<Arc<Config>> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider
        .kx_groups
        .retain(|group| group.name() != rustls::NamedGroup::secp384r1);
    Config::builder()
        .certificate(Certificate::generate(SystemTime::now()).ok()?)
        .provider(Arc::new(provider))
        .versions(version, version)
        .verification(Verification::Any)
        .build()
        .ok()
}

fn ours(config: &Arc<Config>, rng: &mut StdRng) -> Option<(Connection, Connection)> {
    let now = Instant::now();
    let mut client = Connection::new(Arc::clone(config), Role::Client, now, rng).ok()?;
    let mut server = Connection::new(Arc::clone(config), Role::Server, now, rng).ok()?;
    let mut out = Vec::with_capacity(2048);
    for _ in 0..8 {
        while client.poll_transmit(now, &mut out).is_some() {
            server
                .handle_input(now, BytesMut::from(out.as_slice()))
                .ok()?;
            out.clear();
        }
        while server.poll_transmit(now, &mut out).is_some() {
            client
                .handle_input(now, BytesMut::from(out.as_slice()))
                .ok()?;
            out.clear();
        }
        if client.is_connected() && server.is_connected() {
            break;
        }
    }
    (client.is_connected() && server.is_connected()).then_some((client, server))
}

fn dimpl_certificate() -> Option<DtlsCertificate> {
    let certificate = Certificate::generate(SystemTime::now()).ok()?;
    Some(DtlsCertificate {
        certificate: certificate.chain().next()?.to_vec(),
        private_key: certificate.private_key_pkcs8()?.to_vec(),
    })
}

/// Moves what one has to say to the other; whether it has said that it is connected.
fn relay(from: &mut Dtls, to: &mut Dtls, buffer: &mut [u8]) -> bool {
    let mut connected = false;
    loop {
        match from.poll_output(buffer) {
            Output::Packet(packet) if to.handle_packet(packet).is_err() => {
                return false;
            }
            Output::Connected => connected = true,
            Output::Timeout(_) => return connected,
            _ => (),
        }
    }
}

fn theirs(version: Version, certificate: &DtlsCertificate) -> Option<(Dtls, Dtls)> {
    let now = Instant::now();
    let config = Arc::new(
        dimpl::Config::builder()
            .use_server_cookie(false)
            .build()
            .ok()?,
    );
    let make = || match version {
        Version::Dtls13 => Dtls::new_13(Arc::clone(&config), certificate.clone(), now),
        _ => Dtls::new_12(Arc::clone(&config), certificate.clone(), now),
    };
    let (mut client, mut server) = (make(), make());
    client.set_active(true);
    server.set_active(false);
    client.handle_timeout(now).ok()?;
    server.handle_timeout(now).ok()?;
    let mut buffer = vec![0; 2048];
    let mut connected = [false; 2];
    for _ in 0..12 {
        connected[0] |= relay(&mut client, &mut server, &mut buffer);
        connected[1] |= relay(&mut server, &mut client, &mut buffer);
        if connected == [true; 2] {
            return Some((client, server));
        }
    }
    None
}

fn handshake(version: Version, name: &str) {
    let (Some(config), Some(certificate)) = (config(version), dimpl_certificate()) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    assert!(ours(&config, &mut rng).is_some() && theirs(version, &certificate).is_some());
    Comparison::new("dtls", format!("handshake-{name}-p256"), "ns", Better::Less)
        .time("tincan", move || ours(&config, &mut rng))
        .time("dimpl", move || theirs(version, &certificate))
        .run();
}

fn bare_key() -> Option<LessSafeKey> {
    Some(LessSafeKey::new(
        UnboundKey::new(&AES_128_GCM, &[7; 16]).ok()?,
    ))
}

/// The key of 1.3's record-number mask (RFC 9147 §4.2.3): one block of AES for every record.
fn mask_key() -> Option<aes::Aes128Enc> {
    aes::Aes128Enc::new_from_slice(&[9; 16]).ok()
}

/// The mask for the ciphertext that `text` begins with.
fn mask(key: &aes::Aes128Enc, text: &[u8]) -> u8 {
    let mut block = [0; 16];
    block.copy_from_slice(text.get(..16).unwrap_or_default());
    let mut block = block.into();
    key.encrypt_block(&mut block);
    block[0]
}

fn nonce(index: u32) -> Nonce {
    let [a, b, c, d] = index.to_be_bytes();
    Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
}

fn seal(version: Version, name: &str) {
    let Some(config) = config(version) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    let (Some((mut client, _)), Some(key)) = (ours(&config, &mut rng), bare_key()) else {
        return;
    };
    let (head, tail) = (client.headroom(), client.tailroom());
    let mut buffer = vec![0; head + PAYLOAD + tail];
    // The same octets at the same place: alignment tells.
    let mut bare = vec![0; head + PAYLOAD + usize::from(version == Version::Dtls13)];
    let mut masked = bare.clone();
    let (mut count, mut masked_count) = (0_u32, 0_u32);
    let mut comparison =
        Comparison::new("dtls", format!("seal-{name}-{PAYLOAD}"), "ns", Better::Less)
            .time("tincan", move || {
                buffer.truncate(head + PAYLOAD);
                client.seal_in_place(&mut buffer, 0).is_ok()
            })
            .time("bare-aead", move || {
                count = count.wrapping_add(1);
                let text = bare.get_mut(head..).unwrap_or_default();
                key.seal_in_place_separate_tag(nonce(count), Aad::from([0; 13]), text)
                    .is_ok()
            });
    if let (Version::Dtls13, Some(key), Some(mask_key)) = (version, bare_key(), mask_key()) {
        comparison = comparison.time("bare-aead+mask", move || {
            masked_count = masked_count.wrapping_add(1);
            let text = masked.get_mut(head..).unwrap_or_default();
            let aad = Aad::from([0; 13]);
            let tag = key.seal_in_place_separate_tag(nonce(masked_count), aad, text);
            (tag.is_ok(), mask(&mask_key, text))
        });
    }
    comparison.run();
}

/// Records opened in the caller's buffer, or by way of the queue that `poll_data` empties.
fn open(version: Version, name: &str, queued: bool) {
    let Some(config) = config(version) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    let (Some((mut client, mut server)), Some(key)) = (ours(&config, &mut rng), bare_key()) else {
        return;
    };
    let now = Instant::now();
    let head = client.headroom();
    let sealed = move || {
        let mut records = Vec::with_capacity(RECORDS);
        for _ in 0..RECORDS {
            let mut out = vec![0; head + PAYLOAD];
            if client.seal_in_place(&mut out, 0).is_ok() {
                records.push(BytesMut::from(out.as_slice()));
            }
        }
        records
    };
    let bare = bare_key().map(Arc::new);
    let own = usize::from(version == Version::Dtls13);
    let prepared = move || {
        let mut records = Vec::with_capacity(RECORDS);
        for index in 0..RECORDS as u32 {
            let mut text = vec![0; PAYLOAD + own];
            if let Some(key) = &bare {
                let aad = Aad::from([0; 13]);
                let _ = key.seal_in_place_append_tag(nonce(index), aad, &mut text);
            }
            let mut record = BytesMut::zeroed(head);
            record.extend_from_slice(&text);
            records.push(BytesMut::from(&record[..]));
        }
        records
    };
    let queue = if queued { "-queued" } else { "" };
    let case = format!("open-{name}-{PAYLOAD}{queue}");
    let masked_prepared = prepared.clone();
    let mut comparison = Comparison::new("dtls", case, "ns", Better::Less)
        .time_prepared("tincan", RECORDS, sealed, move |records| {
            let mut octets = 0;
            for record in records {
                if queued {
                    let _ = server.handle_input(now, std::mem::take(record));
                    octets += server.poll_data().map_or(0, |data| data.len());
                } else {
                    octets += server.open_in_place(now, record).map_or(0, |at| at.len());
                    drop(std::mem::take(record));
                }
            }
            assert_eq!(octets, RECORDS * PAYLOAD);
        })
        .time_prepared("bare-aead", RECORDS, prepared, move |records| {
            let mut octets = 0;
            for (index, record) in records.iter_mut().enumerate() {
                let aad = Aad::from([0; 13]);
                let text = record.get_mut(head..).unwrap_or_default();
                octets += key
                    .open_in_place(nonce(index as u32), aad, text)
                    .map_or(0, |text| text.len() - own);
                // As ours does, the buffer goes with its data.
                drop(std::mem::take(record));
            }
            assert_eq!(octets, RECORDS * PAYLOAD);
        });
    if let (Version::Dtls13, Some(key), Some(mask_key)) = (version, bare_key(), mask_key()) {
        comparison =
            comparison.time_prepared("bare-aead+mask", RECORDS, masked_prepared, move |records| {
                let mut octets = 0;
                for (index, record) in records.iter_mut().enumerate() {
                    let aad = Aad::from([0; 13]);
                    let text = record.get_mut(head..).unwrap_or_default();
                    std::hint::black_box(mask(&mask_key, text));
                    octets += key
                        .open_in_place(nonce(index as u32), aad, text)
                        .map_or(0, |text| text.len() - own);
                    drop(std::mem::take(record));
                }
                assert_eq!(octets, RECORDS * PAYLOAD);
            });
    }
    comparison.run();
}

fn heap(version: Version, name: &str) {
    let (Some(config), Some(certificate)) = (config(version), dimpl_certificate()) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    // What stays is half of what a pair keeps.
    Comparison::new(
        "dtls",
        format!("heap-{name}-session"),
        "octets",
        Better::Less,
    )
    .figure("tincan", move || {
        let (pair, heap) = measure_heap(|| ours(&config, &mut rng));
        drop(pair);
        heap.map_or(0.0, |heap| heap.held_bytes as f64 / 2.0)
    })
    .figure("dimpl", move || {
        let (pair, heap) = measure_heap(|| theirs(version, &certificate));
        drop(pair);
        heap.map_or(0.0, |heap| heap.held_bytes as f64 / 2.0)
    })
    .run();
}

fn allocations(version: Version, name: &str) {
    let Some(config) = config(version) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(1);
    let Some((mut client, _)) = ours(&config, &mut rng) else {
        return;
    };
    let head = client.headroom();
    let mut buffer = vec![0; head + PAYLOAD + client.tailroom()];
    Comparison::new(
        "dtls",
        format!("seal-{name}-allocations"),
        "allocations",
        Better::Less,
    )
    .allocations("tincan", move || {
        buffer.truncate(head + PAYLOAD);
        client.seal_in_place(&mut buffer, 0).is_ok()
    })
    .figure("none", || 0.0)
    .run();
}
