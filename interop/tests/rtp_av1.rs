//! AV1 against the packetizer and depacketizer of rtc-rtp, which follow libwebrtc's: neither ffmpeg nor GStreamer as
//! Debian has them put AV1 into packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtc_rtp::codec::av1::{Av1Depacketizer, Av1Payloader};
use rtc_rtp::packetizer::{Depacketizer as _, Payloader as _};
use tincan_rtp::format::{Depacketize, Input, Packetize, av1};

const MTUS: [usize; 3] = [300, 1200, 1472];

/// Octets of UDP, IPv4 and RTP around a payload.
const HEADERS: usize = 28 + 12;

fn seeds() -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(200)
}

fn leb128(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// An OBU with its size (AV1 §5.3).
fn obu(kind: u8, layer: Option<u8>, data: &[u8], out: &mut Vec<u8>) {
    out.push((kind << 3) | (u8::from(layer.is_some()) << 2) | 2);
    out.extend(layer.map(|l| l << 3));
    leb128(data.len(), out);
    out.extend_from_slice(data);
}

fn random(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let len = match rng.random_range(0..3) {
        0 => rng.random_range(1..8),
        1 => rng.random_range(1..200),
        _ => rng.random_range(1..max),
    };
    (0..len).map(|_| rng.random()).collect()
}

/// A temporal unit without its delimiter: now and then with a sequence header, metadata, and a frame or several tile
/// groups, as one layer or two.
fn temporal_unit(rng: &mut StdRng, key: bool) -> Vec<u8> {
    let mut unit = Vec::new();
    let layers = rng.random_bool(0.3);
    if key {
        obu(1, None, &random(rng, 30), &mut unit);
    }
    if rng.random_bool(0.3) {
        obu(5, None, &random(rng, 400), &mut unit);
    }
    for layer in 0..if layers { 2 } else { 1 } {
        let layer = layers.then_some(layer);
        if rng.random_bool(0.7) {
            obu(6, layer, &random(rng, 5000), &mut unit);
        } else {
            obu(3, layer, &random(rng, 60), &mut unit);
            for _ in 0..rng.random_range(1..6) {
                obu(4, layer, &random(rng, 3000), &mut unit);
            }
        }
    }
    unit
}

/// As encoders give it.
fn delimited(unit: &[u8]) -> Vec<u8> {
    [&av1::TEMPORAL_DELIMITER[..], unit].concat()
}

#[test]
fn their_packets_give_the_units_they_packed() {
    for seed in 0..seeds() {
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let max = MTUS[seed as usize % 3] - HEADERS;
        let mut payloader = Av1Payloader::default();
        let mut depacketizer = av1::Depacketizer::new();
        let mut sequence = 0;
        for n in 0..20 {
            let unit = temporal_unit(&mut rng, n % 10 == 0);
            let payloads = payloader
                .payload(max, &Bytes::from(delimited(&unit)))
                .unwrap();
            for (i, payload) in payloads.iter().enumerate() {
                assert!(payload.len() <= max);
                let input = Input {
                    sequence,
                    timestamp: n * 3000,
                    marker: i + 1 == payloads.len(),
                    payload,
                };
                depacketizer.push(&input).unwrap();
                sequence += 1;
            }
            let frame = depacketizer.poll_frame().unwrap();
            assert!(frame.data == unit, "unit {n}");
            assert_eq!(frame.lost_before, 0);
        }
        assert_eq!(depacketizer.stats().malformed_packets, 0);
    }
}

#[test]
fn ours_are_read_by_theirs() {
    for seed in 0..seeds() {
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let max = MTUS[seed as usize % 3] - HEADERS;
        let mut depacketizer = Av1Depacketizer::new();
        for n in 0..20 {
            let unit = temporal_unit(&mut rng, n % 10 == 0);
            let whole = delimited(&unit);
            let mut packetizer = av1::Packetizer::new(&whole, max).unwrap();
            let mut payload = Vec::new();
            let mut got = BytesMut::new();
            while packetizer.write_next(&mut payload).is_some() {
                assert!(payload.len() <= max);
                let part = depacketizer.depacketize(&Bytes::copy_from_slice(&payload));
                got.extend_from_slice(&part.unwrap());
                payload.clear();
            }
            assert!(got == unit, "unit {n}");
        }
    }
}
