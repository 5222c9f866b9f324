//! One received stream, packet by packet: senders that begin anew, other payload types between, redundancy, and
//! retransmissions that can't be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tincan_rtp::format::telephone_event::{Event, EventNews};
use tincan_rtp::format::{Packetize, red, vp8, vp9};
use tincan_rtp::receive::{StreamReceiver, StreamReceiverConfig};
use tincan_rtp::{Header, PacketWriter, PayloadType, SequenceNumber, Ssrc, rtcp};

const SSRC: Ssrc = Ssrc(7);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap()
}

fn packet(
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = Header::new(pt(payload_type), SequenceNumber(sequence), timestamp, SSRC);
    header.marker = marker;
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header);
    writer.payload(payload);
    writer.finish();
    out
}

struct Fixture {
    now: Instant,
    receiver: StreamReceiver,
    /// Timestamps of the frames, and what was told as lost before each.
    frames: Vec<(u32, u64)>,
    last_sequence: u64,
}

impl Fixture {
    fn new(config: StreamReceiverConfig, encodings: &[(u8, &str)]) -> Self {
        let now = Instant::now();
        let mut receiver = StreamReceiver::new(config, now);
        for (payload_type, name) in encodings {
            assert!(receiver.set_encoding(pt(*payload_type), name), "{name}");
        }
        assert!(!receiver.set_encoding(pt(1), "theora"));
        Self {
            now,
            receiver,
            frames: Vec::new(),
            last_sequence: 0,
        }
    }

    fn drain(&mut self) {
        while let Some(frame) = self.receiver.poll_frame(self.now) {
            assert!(frame.first_sequence > self.last_sequence);
            self.last_sequence = frame.last_sequence;
            self.frames.push((frame.timestamp, frame.lost_before));
        }
    }

    fn give(&mut self, packet: Vec<u8>) {
        self.now += 20 * MS;
        self.receiver.on_packet(self.now, packet.into()).unwrap();
        self.drain();
    }

    /// A frame of VP8, in three packets.
    fn give_vp8(&mut self, first: u16, timestamp: u32) {
        let frame = vec![0x10; 2500];
        let descriptor = vp8::Descriptor::default();
        let mut packetizer = vp8::Packetizer::new(&frame, &descriptor, 1000).unwrap();
        let mut payload = Vec::new();
        let mut number = SequenceNumber(first);
        while let Some(last) = packetizer.write_next(&mut payload) {
            self.give(packet(96, number.0, timestamp, last, &payload));
            payload.clear();
            number = number.next();
        }
    }
}

#[test]
fn frames_come_after_the_sender_began_anew() {
    let mut f = Fixture::new(StreamReceiverConfig::video(SSRC), &[(96, "VP8")]);
    let mut timestamp = 0u32;
    let mut count = 0;
    // On, back, by half a circle, and an outage of 3001 packets.
    for (round, first) in [65_000u16, 20_000, 5, 40_000, 43_061]
        .into_iter()
        .enumerate()
    {
        for n in 0..20u16 {
            f.give_vp8(first.wrapping_add(n * 3), timestamp);
            timestamp = timestamp.wrapping_add(5400);
            count += 1;
        }
        // Two packets tell of a restart, and it with the frame that they begin.
        assert_eq!(f.frames.len(), count, "round {round}");
        assert_eq!(f.frames.iter().filter(|(_, lost)| *lost > 0).count(), round);
        let playout = f.receiver.playout_delay();
        assert!(playout <= 50 * MS, "{playout:?}");
        // Timestamps begin anew, too.
        timestamp = timestamp.wrapping_sub(1 << 30);
    }
}

#[test]
fn a_retransmission_from_far_ahead_is_refused() {
    let mut f = Fixture::new(StreamReceiverConfig::video(SSRC), &[(96, "VP8")]);
    f.receiver.set_retransmission(pt(97), pt(96));
    let again = |number: u16| {
        let payload = [&number.to_be_bytes()[..], &[0x10, 0x10, 1, 2]].concat();
        BytesMut::from(&packet(97, 1, 0, true, &payload)[..])
    };
    // From before the stream began, and then from anywhere.
    f.receiver.on_retransmission(f.now, again(30_000)).unwrap();
    f.give_vp8(100, 0);
    // Packets wait for less than 2048 others; a loss is up to 3000.
    for far in [102 + 2900, 102 + 3001, 20_000, 102 + 0x7fff] {
        f.receiver.on_retransmission(f.now, again(far)).unwrap();
    }
    assert_eq!(f.receiver.stats().refused, 5);
    for n in 1..10u16 {
        f.give_vp8(100 + n * 3, u32::from(n) * 5400);
    }
    assert_eq!(f.frames.len(), 10);
    assert!(f.frames.iter().all(|(_, lost)| *lost == 0));
}

#[test]
fn packets_of_other_payload_types_are_no_losses() {
    other_payload_types(false);
}

#[test]
fn events_come_out_of_red() {
    other_payload_types(true);
}

/// Events by themselves, or each in RED.
fn other_payload_types(wrapped: bool) {
    let config = StreamReceiverConfig::audio(SSRC, 48_000);
    let encodings = [
        (111, "opus"),
        (13, "cn"),
        (126, "Telephone-Event"),
        (9, "G722"),
        (63, "red"),
    ];
    let mut f = Fixture::new(config, &encodings);
    let mut news = Vec::new();
    for n in 0..400u16 {
        let timestamp = u32::from(n) * 960;
        // Ten of sound, ten of a tone, ten of comfort noise, ten of what nobody told of. One of the sound is lost.
        let tone = Event {
            code: 5,
            end: n % 10 == 9,
            volume: 10,
            duration: (n % 10 + 1) * 960,
        };
        let mut event = Vec::new();
        tone.write(&mut event);
        let began = timestamp - u32::from(n % 10) * 960;
        match n / 10 % 4 {
            0 if n == 205 => {}
            0 => f.give(packet(111, n, timestamp, false, &[1; 20])),
            1 if wrapped => {
                event.insert(0, 126);
                f.give(packet(63, n, began, n % 10 == 0, &event));
            }
            1 => f.give(packet(126, n, began, n % 10 == 0, &event)),
            2 => f.give(packet(13, n, timestamp, false, &[30])),
            _ => f.give(packet(99, n, timestamp, false, &[1; 20])),
        }
        news.extend(std::iter::from_fn(|| f.receiver.poll_event()));
    }
    assert_eq!(f.frames.len(), 199);
    let lost: Vec<_> = f.frames.iter().filter(|(_, lost)| *lost > 0).collect();
    // Once for each format that goes on after it.
    assert_eq!(lost, [&(206 * 960, 1), &(220 * 960, 1)]);
    let stats = f.receiver.stats();
    assert_eq!((stats.frames.lost_packets, stats.unknown_packets), (1, 100));
    let ended = news.iter().filter_map(|n| match n {
        EventNews::Ended(e) => Some((e.began, e.duration)),
        _ => None,
    });
    let whole: Vec<_> = (0..10).map(|n| ((n * 40 + 10) * 960, 9600)).collect();
    assert_eq!(ended.collect::<Vec<_>>(), whole);
}

#[test]
fn sound_that_was_lost_comes_out_of_redundancy() {
    let config = StreamReceiverConfig::audio(SSRC, 48_000);
    let mut f = Fixture::new(config, &[(111, "opus"), (63, "red")]);
    let mut encoder = red::Encoder::new(pt(111), 2);
    for n in 0..200u16 {
        let timestamp = u32::from(n) * 960;
        let mut payload = Vec::new();
        encoder
            .encode(timestamp, &[n as u8; 40], 1200, &mut payload)
            .unwrap();
        // Two of seven are lost, at one place three.
        if n > 0 && (n % 7 < 2 || n == 100) {
            continue;
        }
        f.give(packet(
            63,
            65_500u16.wrapping_add(n),
            timestamp,
            false,
            &payload,
        ));
        // It waits for nothing that it carries along; after three that were lost one may still come by itself.
        let last = f.frames.last().unwrap().0;
        assert!(last == timestamp || (101..105).contains(&n), "{n}");
    }
    let got: Vec<u32> = f.frames.iter().map(|(t, _)| t / 960).collect();
    let want: Vec<u32> = (0..200).filter(|n| *n != 98).collect();
    assert_eq!(got, want);
    let lost: Vec<_> = f.frames.iter().filter(|(_, lost)| *lost > 0).collect();
    assert_eq!(lost, [&(99 * 960, 1)]);
    let stats = f.receiver.stats();
    assert_eq!((stats.frames.lost_packets, stats.unknown_packets), (1, 0));
}

#[test]
fn sound_in_red_goes_on_when_timestamps_go_back() {
    let config = StreamReceiverConfig::audio(SSRC, 48_000);
    let mut f = Fixture::new(config, &[(111, "opus"), (63, "red")]);
    let mut encoder = red::Encoder::new(pt(111), 1);
    let mut number = 65_500u16;
    for n in 0..100u32 {
        let timestamp = (n * 960).wrapping_sub(if n < 50 { 0 } else { 1 << 30 });
        let mut payload = Vec::new();
        encoder
            .encode(timestamp, &[n as u8; 40], 1200, &mut payload)
            .unwrap();
        if n % 10 != 5 {
            f.give(packet(63, number, timestamp, false, &payload));
        }
        number = number.wrapping_add(1);
        // Padding.
        if n % 20 == 0 {
            f.give(packet(63, number, timestamp, false, &[]));
            number = number.wrapping_add(1);
        }
    }
    assert_eq!(f.frames.len(), 100);
    assert!(f.frames.iter().all(|(_, lost)| *lost == 0));
    let stats = f.receiver.stats();
    assert_eq!((stats.frames.lost_packets, stats.unknown_packets), (0, 0));
}

/// A key's packets have the timestamp at which it was pressed, and the first is sent later.
#[test]
fn events_are_not_late() {
    let config = StreamReceiverConfig::audio(SSRC, 48_000);
    let mut f = Fixture::new(config, &[(111, "opus"), (126, "telephone-event")]);
    let mut event = Vec::new();
    Event::default().write(&mut event);
    for n in 0..1000u16 {
        let timestamp = u32::from(n) * 960;
        match n % 10 {
            8 => f.give(packet(126, n, timestamp - 4 * 960, false, &event)),
            _ => f.give(packet(111, n, timestamp, false, &[1; 20])),
        }
    }
    let delay = f.receiver.playout_delay();
    assert!(delay < 20 * MS, "{delay:?}");
}

#[test]
fn an_event_ends_where_the_sender_begins_anew() {
    let config = StreamReceiverConfig::audio(SSRC, 48_000);
    let mut f = Fixture::new(config, &[(111, "opus"), (126, "telephone-event")]);
    let mut event = Vec::new();
    Event::default().write(&mut event);
    f.give(packet(126, 100, 960, true, &event));
    for n in 30_000..30_002u16 {
        f.give(packet(111, n, u32::from(n) * 960, false, &[1; 20]));
    }
    assert_eq!(f.frames.len(), 2);
    let news: Vec<_> = std::iter::from_fn(|| f.receiver.poll_event()).collect();
    assert!(
        matches!(news[..], [EventNews::Began(_), EventNews::Ended(_)]),
        "{news:?}"
    );
}

#[test]
fn video_comes_out_of_red_and_what_wraps_nothing_is_lost() {
    let encodings = [(96, "VP8"), (63, "red")];
    let mut f = Fixture::new(StreamReceiverConfig::video(SSRC), &encodings);
    for n in 0..4u16 {
        for part in 0..3u16 {
            let descriptor = if part == 0 { 0x10 } else { 0 };
            let mut payload = vec![96, descriptor];
            payload.extend_from_slice(&[0x10; 500]);
            if n == 2 && part == 1 {
                payload = vec![0xe0, 0, 0, 9];
            }
            let timestamp = u32::from(n) * 3000;
            f.give(packet(63, n * 3 + part, timestamp, part == 2, &payload));
        }
    }
    let got: Vec<_> = f
        .frames
        .iter()
        .map(|(t, lost)| (t / 3000, *lost > 0))
        .collect();
    assert_eq!(got, [(0, false), (1, false), (3, true)]);
    let mut out = Vec::new();
    assert!(
        f.receiver.poll_transmit(f.now, Ssrc(1), &mut out).is_none(),
        "a key frame came since"
    );
    assert_eq!(f.receiver.stats().unknown_packets, 1);
}

/// Whether a key frame is asked for now.
fn asks(f: &mut Fixture) -> bool {
    let mut out = Vec::new();
    f.receiver.poll_transmit(f.now, Ssrc(1), &mut out);
    let compound = rtcp::Compound::parse(&out);
    compound.is_ok_and(|c| c.raw_packets().any(|p| p.packet_type() == 206))
}

/// Nothing is missing among what came, so that nothing but the frames themselves tells.
#[test]
fn a_stream_that_begins_without_a_key_frame_asks_for_one() {
    let key = |first: bool| [&[u8::from(first) << 4][..], &[0x10; 500]].concat();
    let delta = [&[0x10][..], &[0x11; 500]].concat();
    let fixture = || Fixture::new(StreamReceiverConfig::video(SSRC), &[(96, "VP8")]);
    // A whole frame that refers to others.
    let mut f = fixture();
    f.give(packet(96, 5, 3000, true, &delta));
    assert_eq!(f.frames, [(3000, 0)]);
    assert!(asks(&mut f));
    f.give(packet(96, 6, 6000, true, &key(true)));
    f.now += 500 * MS;
    assert!(!asks(&mut f));
    f.give(packet(96, 7, 9000, true, &delta));
    assert!(!asks(&mut f));
    // A key frame whose first packet did not come.
    let mut f = fixture();
    f.give(packet(96, 2, 3000, false, &key(false)));
    assert!(asks(&mut f));
    f.give(packet(96, 3, 3000, true, &key(false)));
    f.give(packet(96, 4, 6000, true, &delta));
    assert_eq!(f.frames, [(6000, 1)]);
    f.now += 500 * MS;
    assert!(asks(&mut f));
    // A whole one is all that is needed.
    let mut f = fixture();
    f.give(packet(96, 2, 3000, false, &key(true)));
    f.give(packet(96, 3, 3000, true, &key(false)));
    f.give(packet(96, 4, 6000, true, &delta));
    assert!(!asks(&mut f));
}

/// RFC 9628 §4.2, D: with the base layer of a key picture all that refers to it is lost.
#[test]
fn an_upper_layer_is_no_key_frame() {
    let layer = |spatial_id, inter_picture, inter_layer| {
        let descriptor = vp9::Descriptor {
            inter_picture,
            layers: Some(vp9::Layers {
                spatial_id,
                inter_layer,
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut payload = Vec::new();
        let mut packetizer =
            vp9::Packetizer::new(&[1; 50], &descriptor, None, spatial_id == 1, 1000).unwrap();
        packetizer.write_next(&mut payload);
        payload
    };
    let (base, upper) = (layer(0, false, false), layer(1, false, true));
    for (lost, simulcast) in [(false, false), (true, false), (true, true)] {
        let mut f = Fixture::new(StreamReceiverConfig::video(SSRC), &[(98, "VP9")]);
        f.give(packet(98, 1, 0, false, &base));
        f.give(packet(98, 2, 0, true, &upper));
        if !lost {
            f.give(packet(98, 3, 3000, false, &base));
        }
        let last = if simulcast {
            layer(1, false, false)
        } else {
            upper.clone()
        };
        f.give(packet(98, 4, 3000, true, &last));
        f.now += SECOND;
        f.drain();
        assert_eq!(f.frames.len(), if lost { 3 } else { 4 });
        assert_eq!(asks(&mut f), lost && !simulcast, "lost {lost}");
    }
}
