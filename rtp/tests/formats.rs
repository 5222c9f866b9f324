//! Payload formats under loss, duplication and reordering: what comes out whole is what went in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tincan_rtp::ShortList;
use tincan_rtp::format::comfort_noise::ComfortNoise;
use tincan_rtp::format::telephone_event::Event;
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, FrameInfo, Input, Packetize, av1, h264, h265, vp8, vp9,
};
use tincan_rtp::receive::{ReorderBuffer, ReorderConfig};

const FORMATS: [&str; 6] = ["VP8", "VP9", "H264", "H265", "AV1", "opus"];

/// A packet on the wire.
#[derive(Clone, Debug)]
struct Wire {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

fn noise(rng: &mut StdRng, len: usize) -> Vec<u8> {
    // No zeros: nothing that looks like a start code.
    (0..len).map(|_| rng.random_range(2..=255u8)).collect()
}

fn leb128(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn obu(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind << 3 | 2][..], &leb128(body.len()), body].concat()
}

/// An encoded frame such as an encoder of the format makes.
fn make_frame(format: &str, n: u32, rng: &mut StdRng) -> Vec<u8> {
    let key = n.is_multiple_of(10);
    let len = rng.random_range(1..4000);
    match format {
        "VP8" => {
            let mut frame = noise(rng, len);
            frame[0] = (frame[0] & 0xfe) | u8::from(!key);
            frame
        }
        "H264" => {
            let mut au = Vec::new();
            let mut unit = |header: u8, body: &[u8]| {
                au.extend_from_slice(&[0, 0, 0, 1, header]);
                au.extend_from_slice(body);
            };
            if key {
                unit(0x67, &noise(rng, 12));
                unit(0x68, &noise(rng, 4));
            }
            for _ in 0..rng.random_range(1..4) {
                let len = rng.random_range(1..2500);
                unit(if key { 0x65 } else { 0x41 }, &noise(rng, len));
            }
            au
        }
        "H265" => {
            let mut au = Vec::new();
            let mut unit = |kind: u8, body: &[u8]| {
                au.extend_from_slice(&[0, 0, 0, 1, kind << 1, 1]);
                au.extend_from_slice(body);
            };
            if key {
                for kind in [32, 33, 34] {
                    unit(kind, &noise(rng, 10));
                }
            }
            for _ in 0..rng.random_range(1..4) {
                let len = rng.random_range(1..2500);
                unit(if key { 19 } else { 1 }, &noise(rng, len));
            }
            au
        }
        "AV1" => {
            let mut tu = Vec::new();
            if key {
                tu.extend(obu(1, &noise(rng, 11)));
            }
            for _ in 0..rng.random_range(1..6) {
                let len = rng.random_range(1..3000);
                let mut body = noise(rng, len);
                body[0] = if key { 0x10 } else { 0x30 };
                tu.extend(obu(6, &body));
            }
            tu
        }
        _ => noise(rng, len.min(300)),
    }
}

fn packetize(format: &str, n: u32, frame: &[u8], max: usize) -> Vec<(Vec<u8>, bool)> {
    let key = n.is_multiple_of(10);
    let mut all = Vec::new();
    let mut run = |packetizer: &mut dyn Packetize| {
        let mut out = Vec::new();
        while let Some(last) = packetizer.write_next(&mut out) {
            assert!(out.len() <= max, "{} > {max}", out.len());
            assert!(!out.is_empty());
            all.push((std::mem::take(&mut out), last));
        }
    };
    match format {
        "VP8" => {
            let descriptor = vp8::Descriptor {
                picture_id: Some(vp8::PictureId::Long((n & 0x7fff) as u16)),
                tl0_picture_index: Some(n as u8),
                temporal: Some((0, false)),
                ..vp8::Descriptor::default()
            };
            run(&mut vp8::Packetizer::new(frame, &descriptor, max).unwrap());
        }
        "VP9" => {
            // Flexible mode and the other, a key frame's group each.
            let flexible = n / 10 % 2 == 1;
            let references: &[u8] = if key { &[] } else { &[1, 5] };
            let descriptor = vp9::Descriptor {
                picture_id: Some(vp8::PictureId::Long((n & 0x7fff) as u16)),
                inter_picture: !key,
                differences: flexible.then(|| ShortList::from_slice(references).unwrap()),
                layers: Some(vp9::Layers {
                    tl0_picture_index: (!flexible).then_some(n as u8),
                    ..vp9::Layers::default()
                }),
                ..vp9::Descriptor::default()
            };
            let structure = vp9::ScalabilityStructure {
                spatial_layers: 1,
                sizes: vec![(640, 360)],
                group: None,
            };
            let structure = key.then_some(&structure);
            run(&mut vp9::Packetizer::new(frame, &descriptor, structure, true, max).unwrap());
        }
        "H264" => {
            let mode = h264::PacketizationMode::NonInterleaved;
            run(&mut h264::Packetizer::new(frame, mode, max).unwrap());
        }
        "H265" => run(&mut h265::Packetizer::new(frame, max).unwrap()),
        "AV1" => run(&mut av1::Packetizer::new(frame, max).unwrap()),
        _ => all.push((frame.to_vec(), true)),
    }
    assert!(all.last().unwrap().1);
    all
}

/// A network that loses, copies, and has packets up to eight places late; the first comes first.
fn network(wires: &[Wire], loss: f64, rng: &mut StdRng) -> Vec<Wire> {
    let mut arriving: Vec<(u64, Wire)> = Vec::new();
    for (at, wire) in wires.iter().enumerate() {
        if at > 0 && rng.random_bool(loss) {
            continue;
        }
        let late = if at > 0 && rng.random_bool(0.1) {
            rng.random_range(0..8)
        } else {
            0
        };
        arriving.push((at as u64 + late, wire.clone()));
        if rng.random_bool(0.02) {
            arriving.push((at as u64 + 3, wire.clone()));
        }
    }
    arriving.sort_by_key(|(at, _)| *at);
    arriving.into_iter().map(|(_, wire)| wire).collect()
}

struct Outcome {
    given: usize,
    sent: usize,
    complete: usize,
}

/// Sends frames of a format through a bad network and checks every frame that comes out.
fn run(format: &str, seed: u64, loss: f64, markers: bool) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let max = [60, 280, 1180, 1450][rng.random_range(0..4usize)];
    let mut frames = BTreeMap::new();
    let mut wires = Vec::new();
    let mut sequence = 65_000;
    for n in 0..60u32 {
        let frame = make_frame(format, n, &mut rng);
        let timestamp = n.wrapping_mul(3000).wrapping_sub(40_000);
        let first = sequence;
        for (payload, marker) in packetize(
            format,
            n,
            &frame,
            max.max(frame.len() * usize::from(format == "opus")),
        ) {
            wires.push(Wire {
                sequence,
                timestamp,
                marker: marker && markers,
                payload,
            });
            sequence += 1;
        }
        frames.insert(timestamp, (frame, n.is_multiple_of(10), first..sequence));
    }
    let arriving = network(&wires, loss, &mut rng);
    let arrived: BTreeSet<u64> = arriving.iter().map(|w| w.sequence).collect();
    let complete = frames
        .values()
        .filter(|(_, _, range)| range.clone().all(|s| arrived.contains(&s)))
        .count();

    let start = Instant::now();
    let mut buffer = ReorderBuffer::new(ReorderConfig::default());
    let mut depacketizer = AnyDepacketizer::for_encoding(format).unwrap();
    let mut given = 0;
    let mut last_timestamp = None;
    let mut now = start;
    for at in 0..=arriving.len() {
        match arriving.get(at) {
            Some(wire) => {
                now += Duration::from_millis(10);
                buffer.insert(now, wire.sequence, wire.payload.len(), wire.clone());
            }
            None => now += Duration::from_secs(10),
        }
        while let Some(delivery) = buffer.poll(now) {
            let wire = delivery.packet;
            depacketizer
                .push(&Input {
                    sequence: delivery.sequence,
                    timestamp: wire.timestamp,
                    marker: wire.marker,
                    payload: &wire.payload,
                })
                .unwrap();
            while let Some(frame) = depacketizer.poll_frame() {
                let (original, key, _) = &frames[&frame.timestamp];
                assert_eq!(frame.data, original, "{format} seed {seed}");
                assert_ne!(last_timestamp, Some(frame.timestamp));
                if frame.info != FrameInfo::Audio && format != "VP9" {
                    assert_eq!(frame.info.is_key_frame(), *key, "{format} seed {seed}");
                }
                last_timestamp = Some(frame.timestamp);
                given += 1;
            }
        }
    }
    Outcome {
        given,
        sent: frames.len(),
        complete,
    }
}

#[test]
fn everything_comes_out_when_nothing_is_lost() {
    for format in FORMATS {
        for seed in 0..30 {
            let outcome = run(format, seed, 0.0, true);
            // What begins without a known boundary (a stream's first frame has parameter sets).
            assert_eq!(outcome.given, outcome.sent, "{format} seed {seed}");
        }
    }
}

#[test]
fn whole_frames_are_whole_whatever_the_network_does() {
    for format in FORMATS {
        let (mut given, mut complete) = (0, 0);
        for seed in 0..40 {
            let outcome = run(format, 1000 + seed, 0.05, true);
            assert!(outcome.given <= outcome.complete, "{format} seed {seed}");
            given += outcome.given;
            complete += outcome.complete;
        }
        println!("{format}: {given} of {complete} frames whose packets all came");
        // Formats that say where a frame begins lose none; the others lose those after a loss
        // that began nothing.
        let least = match format {
            "VP8" | "VP9" | "opus" => complete,
            _ => complete / 4,
        };
        assert!(given >= least, "{format}: {given} of {complete}");
    }
}

#[test]
fn frames_end_where_the_timestamp_changes_when_markers_are_missing() {
    for format in FORMATS {
        for seed in 0..10 {
            let outcome = run(format, 2000 + seed, 0.0, false);
            // The last frame has nothing after it that would end it.
            let least = outcome.sent - 1;
            assert!(outcome.given >= least, "{format} seed {seed}");
            run(format, 3000 + seed, 0.05, false);
        }
    }
}

/// Without a reorder buffer: copies and late packets cost nothing, and what is reordered is lost but never a wrong frame.
#[test]
fn copies_and_late_packets_do_no_harm_to_a_depacketizer_alone() {
    for format in FORMATS {
        for seed in 0..20u64 {
            let mut rng = StdRng::seed_from_u64(4000 + seed);
            let mut frames = BTreeMap::new();
            let mut wires: Vec<Wire> = Vec::new();
            for n in 0..40u32 {
                let frame = make_frame(format, n, &mut rng);
                let timestamp = n * 3000;
                let max = if format == "opus" { frame.len() } else { 280 };
                for (payload, marker) in packetize(format, n, &frame, max) {
                    wires.push(Wire {
                        sequence: wires.len() as u64,
                        timestamp,
                        marker,
                        payload,
                    });
                }
                frames.insert(timestamp, frame);
            }
            for swaps in [false, true] {
                let mut order: Vec<usize> = (0..wires.len()).collect();
                if swaps {
                    for at in 1..order.len() - 4 {
                        if rng.random_bool(0.02) {
                            order.swap(at, at + rng.random_range(1..4usize));
                        }
                    }
                }
                let mut depacketizer = AnyDepacketizer::for_encoding(format).unwrap();
                let mut given = 0;
                for at in order {
                    let again = rng.random_range(at.saturating_sub(12)..=at);
                    for at in [Some(at), rng.random_bool(0.3).then_some(again)] {
                        let Some(at) = at else { continue };
                        let wire = &wires[at];
                        let input = Input {
                            sequence: wire.sequence,
                            timestamp: wire.timestamp,
                            marker: wire.marker,
                            payload: &wire.payload,
                        };
                        let taken = depacketizer.push(&input);
                        assert!(taken.is_ok(), "{format} seed {seed}: {taken:?}");
                        while let Some(frame) = depacketizer.poll_frame() {
                            assert_eq!(
                                frame.data, &frames[&frame.timestamp],
                                "{format} seed {seed}"
                            );
                            given += 1;
                        }
                    }
                }
                assert!(
                    swaps || given == frames.len(),
                    "{format} seed {seed}: {given}"
                );
            }
        }
    }
}

#[test]
fn small_obus_share_packets_and_layers_do_not() {
    let mut tu = av1::TEMPORAL_DELIMITER.to_vec();
    tu.extend(obu(1, &[1, 2, 3]));
    tu.extend(obu(5, &[4; 10]));
    tu.extend(obu(6, &[0x10; 50]));
    let mut packetizer = av1::Packetizer::new(&tu, 1200).unwrap();
    let mut out = Vec::new();
    assert_eq!(packetizer.write_next(&mut out), Some(true));
    // W is 3, N is set: lengths stand before the first two, and sizes are gone.
    assert_eq!(out[0], 0b0011_1000);
    assert_eq!(&out[1..6], &[4, 1 << 3, 1, 2, 3]);
    assert_eq!(&out[6..8], &[11, 5 << 3]);
    assert_eq!(out.len(), 1 + 5 + 12 + 51);

    let layer = |spatial: u8, len: usize| {
        let body = vec![0x30; len];
        [&[6 << 3 | 4 | 2, spatial << 3][..], &leb128(len), &body].concat()
    };
    let tu = [layer(0, 20), layer(0, 20), layer(1, 20), layer(2, 20)].concat();
    let mut packetizer = av1::Packetizer::new(&tu, 1200).unwrap();
    let mut packets = Vec::new();
    let mut out = Vec::new();
    while let Some(last) = packetizer.write_next(&mut out) {
        packets.push((out.len(), last));
        out.clear();
    }
    assert_eq!(packets, [(1 + 1 + 22 + 22, false), (23, false), (23, true)]);
}

#[test]
fn spatial_layers_of_vp9_are_frames_of_their_own() {
    let mut depacketizer = vp9::Depacketizer::new();
    let mut sequence = 0;
    for picture in 0..3u16 {
        for spatial_id in 0..3u8 {
            let frame = vec![spatial_id + 1; 2500];
            let mut differences = tincan_rtp::ShortList::new();
            if picture > 0 {
                differences.push(1).unwrap();
            }
            let descriptor = vp9::Descriptor {
                picture_id: Some(vp8::PictureId::Short(picture as u8)),
                inter_picture: picture > 0,
                layers: Some(vp9::Layers {
                    spatial_id,
                    inter_layer: spatial_id > 0,
                    ..vp9::Layers::default()
                }),
                differences: Some(differences),
                not_for_higher_layers: spatial_id == 2,
                ..vp9::Descriptor::default()
            };
            let mut packetizer =
                vp9::Packetizer::new(&frame, &descriptor, None, spatial_id == 2, 1000).unwrap();
            let mut payload = Vec::new();
            while let Some(marker) = packetizer.write_next(&mut payload) {
                let input = Input {
                    sequence,
                    timestamp: u32::from(picture) * 3000,
                    marker,
                    payload: &payload,
                };
                depacketizer.push(&input).unwrap();
                sequence += 1;
                payload.clear();
            }
            let got = depacketizer.poll_frame().unwrap();
            assert_eq!(got.data, frame);
            assert_eq!(got.info.end_of_picture, spatial_id == 2);
            assert_eq!(got.info.key_frame, picture == 0);
            assert_eq!(got.info.descriptor.layers, descriptor.layers);
            assert_eq!(got.info.descriptor.differences, descriptor.differences);
        }
    }
}

/// All layers of a picture have its timestamp: a frame of one is whole whatever becomes of the others.
#[test]
fn spatial_layers_of_vp9_are_whole_whatever_the_network_does() {
    let (mut frames, mut pictures) = (0, 0);
    for seed in 0..60u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let loss = [0.0, 0.05, 0.3][seed as usize % 3];
        let mut wires = Vec::new();
        let mut sent = Vec::new();
        for picture in 0..40u32 {
            for spatial_id in 0..3u8 {
                let len = rng.random_range(1..[200, 800, 4000][usize::from(spatial_id)]);
                let frame = noise(&mut rng, len);
                let key = picture % 10 == 0;
                let descriptor = vp9::Descriptor {
                    picture_id: Some(vp8::PictureId::Long(picture as u16)),
                    inter_picture: !key,
                    layers: Some(vp9::Layers {
                        spatial_id,
                        inter_layer: spatial_id > 0,
                        tl0_picture_index: Some(picture as u8),
                        ..vp9::Layers::default()
                    }),
                    not_for_higher_layers: spatial_id == 2,
                    ..vp9::Descriptor::default()
                };
                let first = wires.len() as u64;
                let mut packetizer =
                    vp9::Packetizer::new(&frame, &descriptor, None, spatial_id == 2, 500).unwrap();
                let mut payload = Vec::new();
                while let Some(marker) = packetizer.write_next(&mut payload) {
                    wires.push(Wire {
                        sequence: wires.len() as u64,
                        timestamp: picture * 3000,
                        marker,
                        payload: std::mem::take(&mut payload),
                    });
                }
                sent.push((first..wires.len() as u64, frame, spatial_id, key));
            }
        }
        let arriving = network(&wires, loss, &mut rng);
        let arrived: BTreeSet<u64> = arriving.iter().map(|w| w.sequence).collect();
        sent.retain(|(range, ..)| range.clone().all(|s| arrived.contains(&s)));
        let mut buffer = ReorderBuffer::new(ReorderConfig::default());
        let mut depacketizer = vp9::Depacketizer::new();
        let mut whole = sent.iter();
        let start = Instant::now();
        let last = (start + Duration::from_secs(60), None);
        let steps = arriving.iter().enumerate();
        let steps = steps.map(|(n, w)| (start + Duration::from_millis(5) * n as u32, Some(w)));
        for (now, wire) in steps.chain([last]) {
            if let Some(wire) = wire {
                buffer.insert(now, wire.sequence, wire.payload.len(), wire.clone());
            }
            while let Some(delivery) = buffer.poll(now) {
                let wire = delivery.packet;
                let input = Input {
                    sequence: delivery.sequence,
                    timestamp: wire.timestamp,
                    marker: wire.marker,
                    payload: &wire.payload,
                };
                depacketizer.push(&input).unwrap();
                while let Some(got) = depacketizer.poll_frame() {
                    let (range, frame, spatial_id, key) = whole.next().unwrap();
                    assert_eq!(got.data, frame, "seed {seed}");
                    assert_eq!(got.first_sequence..got.last_sequence + 1, *range);
                    let layers = got.info.descriptor.layers.unwrap();
                    assert_eq!(layers.spatial_id, *spatial_id, "seed {seed}");
                    assert_eq!(got.info.key_frame, *key, "seed {seed}");
                    assert_eq!(got.info.end_of_picture, *spatial_id == 2, "seed {seed}");
                }
            }
        }
        assert_eq!(whole.next(), None, "seed {seed}");
        frames += sent.len();
        pictures += 40;
    }
    // Of some pictures some layers.
    assert!(frames > 2 * pictures && frames < 3 * pictures, "{frames}");
}

/// libwebrtc's packetizer, and those made after it, cut wherever the packet is full: within an OBU's header, too.
#[test]
fn an_av1_obu_cut_within_its_header_is_put_together() {
    let body = [0x10, 1, 2, 3, 4, 5];
    // A sequence header, then a key frame: plain, with an extension, with a size, with both.
    let sequence_header = [0x0a, 2, 7, 7];
    for head in [&[0x30][..], &[0x34, 0x28], &[0x32, 6], &[0x36, 0x28, 6]] {
        let frame = [head, &body].concat();
        let expected = match head {
            [_] | [_, 6] => [&[0x32, 6][..], &body].concat(),
            _ => [&[0x36, 0x28, 6][..], &body].concat(),
        };
        for first in 1..frame.len() {
            for second in first..frame.len() {
                let mut depacketizer = av1::Depacketizer::new();
                // N, Y, W = 2; Z, Y, W = 1; Z, W = 1.
                let mut payloads = vec![[&[0x68, 3, 0x08, 7, 7], &frame[..first]].concat()];
                if second > first {
                    payloads.push([&[0xd0], &frame[first..second]].concat());
                }
                payloads.push([&[0x90], &frame[second..]].concat());
                for (n, payload) in payloads.iter().enumerate() {
                    let input = Input {
                        sequence: n as u64,
                        timestamp: 0,
                        marker: n + 1 == payloads.len(),
                        payload,
                    };
                    depacketizer.push(&input).unwrap();
                }
                let got = depacketizer.poll_frame().unwrap();
                let whole = [&sequence_header[..], &expected].concat();
                assert_eq!(got.data, whole, "{head:?} {first} {second}");
                assert!(got.info.key_frame);
            }
        }
    }
}

fn vp8_descriptor() -> impl Strategy<Value = vp8::Descriptor> {
    let id = prop_oneof![
        Just(None),
        (0u8..128).prop_map(|n| Some(vp8::PictureId::Short(n))),
        (0u16..0x8000).prop_map(|n| Some(vp8::PictureId::Long(n))),
    ];
    (
        any::<bool>(),
        any::<bool>(),
        0u8..8,
        id,
        any::<Option<u8>>(),
        proptest::option::of((0u8..4, any::<bool>())),
        proptest::option::of(0u8..32),
    )
        .prop_map(
            |(n, s, partition, picture_id, tl0, temporal, key_index)| vp8::Descriptor {
                non_reference: n,
                start_of_partition: s,
                partition,
                picture_id,
                tl0_picture_index: tl0,
                temporal,
                key_index,
            },
        )
}

proptest! {
    #[test]
    fn vp8_descriptors_read_back(descriptor in vp8_descriptor(), data in proptest::collection::vec(any::<u8>(), 1..9)) {
        let mut out = Vec::new();
        descriptor.write(&mut out);
        prop_assert_eq!(out.len(), descriptor.encoded_len());
        out.extend_from_slice(&data);
        prop_assert_eq!(vp8::Descriptor::parse(&out), Ok((descriptor, &data[..])));
        let view = vp8::DescriptorView::parse(&out).unwrap();
        prop_assert_eq!(view.begins_frame(), descriptor.begins_frame());
        prop_assert_eq!(view.picture_id(), descriptor.picture_id);
        prop_assert_eq!(view.tl0_picture_index(), descriptor.tl0_picture_index);
        prop_assert_eq!(view.temporal(), descriptor.temporal);
        prop_assert_eq!(view.key_index(), descriptor.key_index);
        prop_assert_eq!(view.frame(), &data[..]);
        for len in 0..=descriptor.encoded_len() {
            prop_assert!(vp8::Descriptor::parse(&out[..len]).is_err());
        }
    }

    #[test]
    fn vp8_descriptors_and_their_views_agree(
        first: u8, flags: u8, picture: u16, rest in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut payload = vec![first | 0x80, flags];
        payload.extend_from_slice(&picture.to_be_bytes());
        payload.extend_from_slice(&rest);
        let view = vp8::DescriptorView::parse(&payload).map(|v| (v.to_descriptor(), v.frame()));
        prop_assert_eq!(vp8::Descriptor::parse(&payload), view);
    }

    #[test]
    fn vp9_descriptors_read_back(
        (picture, long, inter_picture, not_for_higher_layers) in any::<(u16, bool, bool, bool)>(),
        layers in proptest::option::of((0u8..8, any::<bool>(), 0u8..8, any::<bool>(), any::<u8>())),
        differences in proptest::option::of(proptest::collection::vec(1u8..128, 1..4)), with_picture: bool,
    ) {
        let picture = if long { vp8::PictureId::Long(picture & 0x7fff) } else { vp8::PictureId::Short((picture & 0x7f) as u8) };
        let flexible = differences.is_some();
        let descriptor = vp9::Descriptor {
            picture_id: (with_picture || flexible).then_some(picture),
            inter_picture,
            layers: layers.map(|(temporal_id, switching_up, spatial_id, inter_layer, index)| vp9::Layers {
                temporal_id,
                switching_up,
                spatial_id,
                inter_layer,
                tl0_picture_index: (!flexible).then_some(index),
            }),
            differences: differences.map(|d| ShortList::from_slice(if inter_picture { &d } else { &[] }).unwrap()),
            not_for_higher_layers,
            ..vp9::Descriptor::default()
        };
        let frame: Vec<u8> = (0..100).collect();
        let mut packetizer = vp9::Packetizer::new(&frame, &descriptor, None, true, 40).unwrap();
        let (mut out, mut got, mut first) = (Vec::new(), Vec::new(), true);
        while let Some(last) = packetizer.write_next(&mut out) {
            let payload = vp9::Payload::parse(&out).unwrap();
            let expected = vp9::Descriptor { start_of_frame: first, end_of_frame: last, ..descriptor };
            prop_assert_eq!(payload.descriptor, expected);
            got.extend_from_slice(payload.data);
            out.clear();
            first = false;
        }
        prop_assert_eq!(got, frame);
    }

    #[test]
    fn events_and_comfort_noise_read_back(
        (code, end, duration) in any::<(u8, bool, u16)>(), volume in 0u8..64,
        level in 0u8..128, spectrum in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let event = Event { code, end, volume, duration };
        let mut out = Vec::new();
        event.write(&mut out);
        prop_assert_eq!(Event::parse(&out), Ok(event));
        let noise = ComfortNoise { level, spectrum: &spectrum };
        let mut out = Vec::new();
        noise.write(&mut out);
        prop_assert_eq!(ComfortNoise::parse(&out), Ok(noise));
    }

    #[test]
    fn vp9_structures_read_back(
        layers in 1u8..=8, sizes: bool, seed: u64,
        group in proptest::option::of(0usize..256),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let structure = vp9::ScalabilityStructure {
            spatial_layers: layers,
            sizes: if sizes { (0..layers).map(|_| (rng.random(), rng.random())).collect() } else { Vec::new() },
            group: group.map(|n| (0..n).map(|_| vp9::GroupPicture {
                temporal_id: rng.random_range(0..8),
                switching_up: rng.random(),
                differences: tincan_rtp::ShortList::from_slice(&[1, 2, 3][..rng.random_range(0..4usize)]).unwrap(),
            }).collect()),
        };
        let descriptor = vp9::Descriptor::default();
        let frame = [7u8; 20];
        let mut packetizer = vp9::Packetizer::new(&frame, &descriptor, Some(&structure), true, 2000).unwrap();
        let mut out = Vec::new();
        packetizer.write_next(&mut out).unwrap();
        let payload = vp9::Payload::parse(&out).unwrap();
        prop_assert_eq!(payload.structure(), Some(structure));
        prop_assert_eq!(payload.data, frame);
    }

    #[test]
    fn arbitrary_payloads_never_panic_and_memory_is_bounded(
        format in proptest::sample::select(&FORMATS[..]),
        packets in proptest::collection::vec(
            (0u64..3, 0u32..2, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 1..30),
    ) {
        let mut depacketizer = AnyDepacketizer::for_encoding(format).unwrap();
        let mut sequence = 10;
        let mut timestamp = 0;
        for (step, tick, marker, payload) in packets {
            sequence += step;
            timestamp += tick;
            let _ = depacketizer.push(&Input { sequence, timestamp, marker, payload: &payload });
            while depacketizer.poll_frame().is_some() {}
        }
        let stats = depacketizer.stats();
        prop_assert!(stats.frames <= 60);
    }

    #[test]
    fn arbitrary_frames_are_cut_or_refused(format in proptest::sample::select(&FORMATS[2..5]), frame in proptest::collection::vec(0u8..8, 0..300), max in 0usize..100) {
        let mut out = Vec::new();
        let mut total = 0;
        let mut run = |p: &mut dyn Packetize| {
            while p.write_next(&mut out).is_some() {
                assert!(out.len() <= max);
                total += 1;
                assert!(total <= 1000);
                out.clear();
            }
        };
        match format {
            "H264" => if let Ok(mut p) = h264::Packetizer::new(&frame, h264::PacketizationMode::NonInterleaved, max) { run(&mut p) },
            "H265" => if let Ok(mut p) = h265::Packetizer::new(&frame, max) { run(&mut p) },
            _ => if let Ok(mut p) = av1::Packetizer::new(&frame, max) { run(&mut p) },
        }
    }
}
