//! Whole frames as what tracks carry: cut, sent, lost, sent again and put together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::Pair;
use tincan_peer::stats::Stats;
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

/// Octets that are no start code and look random.
fn noise(n: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| ((i * 31 + n * 17) % 250) as u8 + 4)
        .collect()
}

/// The `n`-th frame of a stream in which every tenth is a key frame.
fn frame(codec: &str, n: usize) -> Vec<u8> {
    let key = n.is_multiple_of(10);
    let mut body = noise(n, if key { 9_000 } else { 1_500 });
    if codec == "AV1" {
        // show_existing_frame 0 and frame_type 0 or 1 (AV1 §5.9.2).
        body[0] = if key { 0x10 } else { 0x30 };
    }
    let unit = |header: &[u8], body: &[u8]| [&[0, 0, 0, 1][..], header, body].concat();
    let obu = |kind: u8, body: &[u8]| {
        let len = [body.len() as u8 | 0x80, (body.len() >> 7) as u8];
        [&[kind << 3 | 2][..], &len, body].concat()
    };
    match codec {
        "VP8" => [&[u8::from(!key)][..], &body].concat(),
        "VP9" => [&[0x82 | u8::from(!key) << 2][..], &body].concat(),
        "H264" if key => [
            unit(&[0x67], &noise(1, 12)),
            unit(&[0x68], &noise(2, 5)),
            unit(&[0x65], &body),
        ]
        .concat(),
        "H264" => unit(&[0x41], &body),
        "H265" if key => [
            unit(&[0x40, 1], &noise(1, 12)),
            unit(&[0x42, 1], &noise(2, 20)),
            unit(&[0x44, 1], &noise(2, 5)),
            unit(&[0x26, 1], &body),
        ]
        .concat(),
        "H265" => unit(&[0x02, 1], &body),
        "AV1" if key => [obu(1, &noise(0, 10 + 128)), obu(6, &body)].concat(),
        "AV1" => obu(6, &body),
        _ => noise(n, 120),
    }
}

/// `a` sends with one codec, `b` wants frames; the codec's payload type.
fn sending(pair: &mut Pair, kind: Kind, codec: &str) -> (TransceiverId, TransceiverId, u8) {
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    let from = pair.a().pc.add_transceiver(kind, init).unwrap();
    pair.negotiate(0);
    let to = pair.b().pc.transceivers().last().unwrap().id;
    pair.b().pc.set_delivery(to, Delivery::Frames).unwrap();
    pair.run_until(5 * SECOND, Pair::connected);
    let codecs = pair.a().pc.transceiver(from).unwrap().send_codecs;
    let found = codecs.iter().find(|c| {
        c.is(codec) && (codec != "H264" || c.parameter("packetization-mode") == Some("1"))
    });
    (from, to, found.expect(codec).payload_type)
}

fn frames(pair: &mut Pair, n: usize) -> Vec<Frame> {
    pair.ends[n]
        .take()
        .into_iter()
        .filter_map(|e| match e {
            Event::Frame { frame, .. } => Some(frame),
            _ => None,
        })
        .collect()
}

#[test]
fn frames_of_every_codec_survive_loss() {
    for codec in ["VP8", "VP9", "H264", "H265", "AV1"] {
        let mut pair = Pair::new();
        let (from, _, payload_type) = sending(&mut pair, Kind::Video, codec);
        pair.lose_every = 12;
        for n in 0..60 {
            let now = pair.now;
            let frame = Frame::new(payload_type, n as u32 * 3000, frame(codec, n));
            pair.a().pc.send_frame(now, from, &frame).unwrap();
            pair.run(Duration::from_millis(33));
        }
        pair.lose_every = 0;
        pair.run(SECOND);
        let got = frames(&mut pair, 1);
        let mut last = None;
        for g in &got {
            let n = (g.timestamp / 3000) as usize;
            assert_eq!(g.data, frame(codec, n), "{codec} {n}");
            assert_eq!(g.key_frame, n.is_multiple_of(10), "{codec} {n}");
            assert!(last < Some(n), "{codec}: in order");
            last = Some(n);
        }
        assert!(got.len() >= 59, "{codec}: {} of 60", got.len());
        let now = pair.now;
        let report = pair.b().pc.stats(now);
        let inbound = report.entries.iter().find_map(|s| match s {
            Stats::InboundRtp(s) => Some(s.clone()),
            _ => None,
        });
        let inbound = inbound.unwrap();
        assert_eq!(inbound.frames_received, Some(got.len() as u64));
        assert!(inbound.nack_count > Some(0));
        assert!(inbound.retransmitted_packets_received > Some(4));
    }
}

/// W3C stats: headerBytesSent + bytesSent is all that went over the transport.
#[test]
fn headers_of_retransmissions_are_counted_as_their_octets_are() {
    let mut pair = Pair::new();
    let (from, _, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    let sent = |pair: &Pair| {
        let report = pair.ends[0].pc.stats(pair.now);
        let outbound = report.entries.iter().find_map(|s| match s {
            Stats::OutboundRtp(s) => Some(s.clone()),
            _ => None,
        });
        outbound.unwrap()
    };
    let mut each = 0;
    for n in 0..60 {
        let now = pair.now;
        let frame = Frame::new(payload_type, n as u32 * 3000, frame("VP8", n));
        pair.a().pc.send_frame(now, from, &frame).unwrap();
        pair.run(Duration::from_millis(33));
        if n == 0 {
            let first = sent(&pair);
            each = first.header_bytes_sent.unwrap() / first.packets_sent.unwrap();
            pair.lose_every = 12;
        }
    }
    let all = sent(&pair);
    assert!(all.retransmitted_packets_sent > Some(4));
    assert!(all.header_bytes_sent.unwrap() >= each * all.packets_sent.unwrap());
}

/// RFC 4588 §4: the original's number is of an RTX packet's payload, for the one who sends it as for the one who gets it.
#[test]
fn both_ends_count_the_octets_of_retransmissions_alike() {
    let mut pair = Pair::new();
    let (from, _, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    for n in 0..30 {
        let now = pair.now;
        let frame = Frame::new(payload_type, n as u32 * 3000, frame("VP8", n));
        pair.a().pc.send_frame(now, from, &frame).unwrap();
        if n == 10 {
            pair.lose_every = 2;
        }
        pair.run(Duration::from_millis(3));
        pair.lose_every = 0;
        pair.run(Duration::from_millis(30));
    }
    pair.run(SECOND);
    let counts = |n: usize| {
        let report = pair.ends[n].pc.stats(pair.now);
        let counts = report.entries.iter().find_map(|s| match s {
            Stats::OutboundRtp(s) if n == 0 => {
                Some((s.retransmitted_packets_sent, s.retransmitted_bytes_sent))
            }
            Stats::InboundRtp(s) if n == 1 => Some((
                s.retransmitted_packets_received,
                s.retransmitted_bytes_received,
            )),
            _ => None,
        });
        counts.unwrap()
    };
    assert!(counts(0).0 > Some(0));
    assert_eq!(counts(0), counts(1));
}

#[test]
fn sound_comes_in_order_and_does_not_wait_for_ever() {
    let mut pair = Pair::new();
    let (from, _, payload_type) = sending(&mut pair, Kind::Audio, "opus");
    pair.lose_every = 10;
    for n in 0..100 {
        let now = pair.now;
        let frame = Frame::new(payload_type, n as u32 * 960, frame("opus", n));
        pair.a().pc.send_frame(now, from, &frame).unwrap();
        pair.run(Duration::from_millis(20));
    }
    pair.run(SECOND);
    let got = frames(&mut pair, 1);
    assert!((80..100).contains(&got.len()), "{}", got.len());
    let lost: u64 = got.iter().map(|f| f.lost_before).sum();
    assert!(lost > 0 && got.len() as u64 + lost >= 98, "{lost} told");
    assert!(got.is_sorted_by_key(|f| f.timestamp));
    for g in &got {
        assert_eq!(g.data, frame("opus", (g.timestamp / 960) as usize));
    }
}

#[test]
fn an_outage_asks_for_a_key_frame_until_one_comes() {
    let mut pair = Pair::new();
    let (from, _, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    let send = |pair: &mut Pair, n: usize| {
        let now = pair.now;
        let frame = Frame::new(payload_type, n as u32 * 3000, frame("VP8", n));
        pair.a().pc.send_frame(now, from, &frame).unwrap();
        pair.run(Duration::from_millis(33));
    };
    for n in 0..5 {
        send(&mut pair, n);
    }
    // Everything but STUN is lost, for longer than anybody waits.
    pair.lose_every = 1;
    for n in 101..251 {
        send(&mut pair, n);
    }
    pair.lose_every = 0;
    pair.a().take();
    let asked = |pair: &Pair| {
        let request = Event::KeyFrameRequest {
            transceiver: from,
            encoding: 0,
        };
        pair.ends[0]
            .events
            .iter()
            .filter(|e| **e == request)
            .count()
    };
    for n in 251..281usize {
        if !n.is_multiple_of(10) {
            send(&mut pair, n);
        }
    }
    assert!(asked(&pair) >= 2, "asked {} times", asked(&pair));
    pair.run(SECOND);
    send(&mut pair, 290);
    pair.run(Duration::from_millis(50));
    pair.a().take();
    pair.run(2 * SECOND);
    assert_eq!(asked(&pair), 0, "the key frame came");
}

#[test]
fn received_frames_and_packets_are_forwarded_alike() {
    let mut first = Pair::new();
    let (from, to, payload_type) = sending(&mut first, Kind::Video, "VP8");
    let mut second = Pair::with(Configuration::default(), Configuration::default(), 2);
    let (forward, _, _) = sending(&mut second, Kind::Video, "VP8");
    let key = Frame::new(payload_type, 7, frame("VP8", 0));
    let now = first.now;
    first.a().pc.send_frame(now, from, &key).unwrap();
    first.run(Duration::from_millis(50));
    for got in frames(&mut first, 1) {
        let now = second.now;
        second.a().pc.send_frame(now, forward, &got).unwrap();
    }
    second.run(Duration::from_millis(50));
    let got = frames(&mut second, 1);
    assert_eq!((got.len(), &got[0].data), (1, &key.data));
    // From now on as packets.
    first.b().pc.set_delivery(to, Delivery::Packets).unwrap();
    let now = first.now;
    first.a().pc.send_frame(now, from, &key).unwrap();
    first.run(Duration::from_millis(50));
    let events = first.b().take();
    assert!(!events.iter().any(|e| matches!(e, Event::Frame { .. })));
    let packets = events.iter().filter(|e| matches!(e, Event::Rtp { .. }));
    assert_eq!(packets.count(), key.data.len().div_ceil(1_146));
}

#[test]
fn what_cannot_be_sent_is_refused_and_nothing_of_it_is_taken() {
    let mut pair = Pair::new();
    let (from, _, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    let now = pair.now;
    let pc = &mut pair.ends[0].pc;
    let good = Frame::new(payload_type, 0, frame("VP8", 0));
    let other = Frame::new(5, 0, frame("VP8", 0));
    assert!(matches!(
        pc.send_frame(now, from, &other),
        Err(Error::PayloadTypeUnknown { .. })
    ));
    let empty = Frame::new(payload_type, 0, Vec::new());
    assert!(matches!(
        pc.send_frame(now, from, &empty),
        Err(Error::MalformedFrame { .. })
    ));
    let huge = Frame::new(payload_type, 0, vec![0; 4 << 20]);
    assert_eq!(pc.send_frame(now, from, &huge), Err(Error::SendQueueFull));
    assert_eq!(pc.poll_transmit(now, &mut Vec::new(), 1), None);
    let off = Encoding {
        active: false,
        ..Encoding::new()
    };
    let sender = pc.transceiver(from).unwrap().sender;
    let mut parameters = pc.parameters(sender).unwrap();
    parameters.encodings = vec![off];
    pc.set_parameters(sender, parameters).unwrap();
    let inactive = Error::EncodingInactive {
        transceiver: from,
        encoding: 0,
    };
    assert_eq!(inactive.kind(), ErrorKind::InvalidState);
    assert_eq!(pc.send_frame(now, from, &good), Err(inactive.clone()));
    let packet = RtpPacket::new(payload_type, 1, 1, true, vec![1]);
    assert_eq!(pc.send_rtp(now, from, packet), Err(inactive));
    let mut parameters = pc.parameters(sender).unwrap();
    parameters.encodings = vec![Encoding::new()];
    pc.set_parameters(sender, parameters).unwrap();
    pc.send_frame(now, from, &good).unwrap();
    pair.run(Duration::from_millis(50));
    assert_eq!(frames(&mut pair, 1).len(), 1);
    let unknown = pair.ends[1].pc.transceivers().next().unwrap().id;
    pair.ends[1].pc.stop(now, unknown).unwrap();
    pair.negotiate(1);
    let error = pair.ends[1].pc.set_delivery(unknown, Delivery::Frames);
    assert_eq!(error, Err(Error::NoTransceiver(unknown)));
}

#[test]
fn media_beyond_the_waiting_events_is_dropped_and_counted() {
    let mut pair = Pair::new();
    let (from, to, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    pair.b().pc.set_delivery(to, Delivery::Packets).unwrap();
    let now = pair.now;
    let [a, b] = &mut pair.ends;
    let mut out = Vec::new();
    for n in 0..9_000u16 {
        let packet = RtpPacket::new(payload_type, n, 0, true, vec![1; 10]);
        a.pc.send_rtp(now, from, packet).unwrap();
        while let Some(t) = a.pc.poll_transmit(now, &mut out, 1) {
            let received = Received {
                local: t.remote,
                remote: t.local,
                transport: t.transport,
                ecn: t.ecn,
            };
            b.pc.handle_input(now, received, out[..].into());
            out.clear();
        }
    }
    let report = b.pc.stats(now);
    let dropped = report.entries.iter().find_map(|s| match s {
        Stats::Transport(t) => t.packets_dropped,
        _ => None,
    });
    let mut got = 0;
    while let Some(event) = b.pc.poll_event() {
        got += u64::from(matches!(event, Event::Rtp { .. }));
    }
    assert!(got <= 8_192 && got > 8_000, "{got}");
    assert_eq!(dropped, Some(9_000 - got));
}

/// Sends twenty packets of video, the tenth of them as the network wants it, and gives the numbers that came.
fn packets(codec: &str, latency: Duration, held: impl Fn(&mut Pair, usize)) -> Vec<u16> {
    let mut pair = Pair::new();
    let (from, to, _) = sending(&mut pair, Kind::Video, "VP8");
    let codecs = pair.a().pc.transceiver(from).unwrap().send_codecs;
    let payload_type = codecs.iter().find(|c| c.is(codec)).unwrap().payload_type;
    pair.b().pc.set_delivery(to, Delivery::Packets).unwrap();
    pair.run(SECOND);
    pair.latency = latency;
    pair.b().take();
    for n in 0..20u16 {
        let now = pair.now;
        let packet = RtpPacket::new(
            payload_type,
            n,
            u32::from(n) * 3000,
            true,
            vec![n as u8; 80],
        );
        pair.a().pc.send_rtp(now, from, packet).unwrap();
        pair.run(Duration::ZERO);
        held(&mut pair, usize::from(n));
        pair.run(Duration::from_millis(20));
    }
    pair.run(SECOND);
    let events = pair.b().take();
    let got = events.iter().filter_map(|e| match e {
        Event::Rtp { packet, .. } => Some(packet.sequence_number),
        _ => None,
    });
    let mut got: Vec<u16> = got.collect();
    got.sort_unstable();
    // Numbers on the wire begin anywhere.
    let first = got[0];
    got.iter().map(|n| n.wrapping_sub(first)).collect()
}

/// What a retransmission brings is given once, though the original comes as well.
#[test]
fn an_original_that_comes_after_its_retransmission_is_a_duplicate() {
    let late = std::cell::RefCell::new(None);
    let got = packets("VP8", Duration::from_millis(5), |pair, n| match n {
        10 => {
            let now = pair.now;
            let inbox = &mut pair.b().inbox;
            let at = inbox.iter().rposition(|d| d.bytes.len() > 80 && d.at > now);
            *late.borrow_mut() = inbox.remove(at.unwrap());
        }
        18 => pair.b().inbox.extend(late.borrow_mut().take()),
        _ => {}
    });
    assert_eq!(got, (0..20).collect::<Vec<_>>());
}

/// A round trip that is longer than thought makes us ask twice and get two answers (RFC 4588): the second one is none of
/// the application's business, as little as what is sent again only to measure the path.
#[test]
fn the_second_retransmission_of_a_packet_is_a_duplicate() {
    // Chromium sends VP8 wrapped in RED, which has no feedback of its own.
    for codec in ["VP8", "red"] {
        let got = packets(codec, Duration::from_millis(150), |pair, n| {
            if n == 10 {
                let inbox = &mut pair.b().inbox;
                let at = inbox.iter().rposition(|d| d.bytes.len() > 80);
                inbox.remove(at.unwrap()).unwrap();
            }
        });
        assert_eq!(got, (0..20).collect::<Vec<_>>(), "{codec}");
    }
}

/// A RED payload (RFC 2198 §3): blocks of payload type, timestamp offset and octets, the last one the primary.
fn red(blocks: &[(u8, u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, (payload_type, offset, data)) in blocks.iter().enumerate() {
        if n + 1 < blocks.len() {
            let word = 1 << 31 | u32::from(*payload_type) << 24 | offset << 10 | data.len() as u32;
            out.extend_from_slice(&word.to_be_bytes());
        } else {
            out.push(*payload_type);
        }
    }
    blocks
        .iter()
        .for_each(|(.., data)| out.extend_from_slice(data));
    out
}

fn payload_type(pair: &Pair, id: TransceiverId, codec: &str) -> u8 {
    let codecs = pair.ends[0].pc.transceiver(id).unwrap().send_codecs;
    codecs
        .iter()
        .find(|c| c.is(codec))
        .expect(codec)
        .payload_type
}

#[test]
fn frames_are_taken_out_of_red_and_do_not_wait_for_repair_packets_or_padding() {
    // As Chromium sends VP8 where RED and ULPFEC are agreed on: all in one sequence space.
    let mut pair = Pair::new();
    let (from, _, vp8) = sending(&mut pair, Kind::Video, "VP8");
    let (wrapper, fec) = (
        payload_type(&pair, from, "red"),
        payload_type(&pair, from, "ulpfec"),
    );
    let mut sequence = 65_500u16;
    let mut send = |pair: &mut Pair, timestamp, marker, payload: Vec<u8>| {
        let now = pair.now;
        let packet = RtpPacket::new(wrapper, sequence, timestamp, marker, payload);
        sequence = sequence.wrapping_add(1);
        pair.a().pc.send_rtp(now, from, packet).unwrap();
    };
    for n in 0..60u32 {
        let whole = frame("VP8", n as usize);
        let parts: Vec<&[u8]> = whole.chunks(1000).collect();
        for (at, part) in parts.iter().enumerate() {
            // Descriptor: S bit on the first.
            let payload = [&[u8::from(at == 0) << 4][..], part].concat();
            let last = at + 1 == parts.len();
            send(&mut pair, n * 3000, last, red(&[(vp8, 0, &payload)]));
        }
        send(&mut pair, n * 3000, false, red(&[(fec, 0, &[7; 30])]));
        if n % 3 == 0 {
            send(&mut pair, n * 3000, false, Vec::new());
        }
        pair.run(Duration::from_millis(33));
        let got = frames(&mut pair, 1);
        assert_eq!(got.len(), 1, "frame {n} at once");
        assert_eq!((&got[0].data[..], got[0].payload_type), (&whole[..], vp8));
        assert_eq!(got[0].lost_before, 0);
    }
    assert!(
        !pair.ends[1].saw(|e| matches!(e, Event::Rtp { .. })),
        "nothing of it comes twice"
    );
    send(&mut pair, 60 * 3000, true, vec![0xff; 3]);
    pair.run(SECOND);
    assert!(
        frames(&mut pair, 1).is_empty(),
        "a header that ends too early"
    );
}

#[test]
fn lost_sound_is_taken_from_the_redundancy_of_later_packets() {
    let mut pair = Pair::new();
    let (from, _, opus) = sending(&mut pair, Kind::Audio, "opus");
    let wrapper = payload_type(&pair, from, "red");
    let sound = |n: u32| vec![n as u8; 20 + n as usize % 7];
    let mut got = Vec::new();
    for n in 0..100u32 {
        // Two earlier ones go along; some packets are plain.
        let (one, two, three) = (
            sound(n.saturating_sub(2)),
            sound(n.saturating_sub(1)),
            sound(n),
        );
        let (payload_type, payload) = match n {
            0 | 1 | 50 => (opus, three),
            _ => (
                wrapper,
                red(&[(opus, 1920, &one), (opus, 960, &two), (opus, 0, &three)]),
            ),
        };
        // Gone: one, two and three in a row, and one before a plain one.
        let gone = matches!(n, 5 | 20 | 21 | 30 | 31 | 32 | 49);
        if !gone {
            let now = pair.now;
            let packet = RtpPacket::new(payload_type, n as u16, n * 960, n == 0, payload);
            pair.a().pc.send_rtp(now, from, packet).unwrap();
        }
        pair.run(Duration::from_millis(20));
        let new = frames(&mut pair, 1);
        if [6, 22].contains(&n) {
            let timestamps: Vec<u32> = new.iter().map(|f| f.timestamp / 960).collect();
            let expected: &[u32] = if n == 6 { &[5, 6] } else { &[20, 21, 22] };
            assert_eq!(timestamps, expected, "at once");
        }
        got.extend(new);
    }
    pair.run(SECOND);
    got.extend(frames(&mut pair, 1));
    let mut expected: Vec<u32> = (0..100).collect();
    // Of three in a row the first is carried by nobody that came; 49 is carried by 51, after 50.
    expected.retain(|n| ![30, 49].contains(n));
    let timestamps: Vec<u32> = got.iter().map(|f| f.timestamp / 960).collect();
    assert_eq!(timestamps, expected);
    for frame in &got {
        let n = frame.timestamp / 960;
        assert_eq!((&frame.data[..], frame.payload_type), (&sound(n)[..], opus));
        assert_eq!(frame.lost_before, u64::from([31, 50].contains(&n)), "{n}");
    }
}

/// The keys stay the same, so that no number may go out twice.
#[test]
fn what_was_refused_for_a_while_goes_on_with_its_numbers() {
    let mut pair = Pair::new();
    pair.transceiver(Kind::Audio);
    let (from, _, payload_type) = sending(&mut pair, Kind::Video, "VP8");
    let send = |pair: &mut Pair, numbers: std::ops::Range<usize>| {
        for n in numbers {
            let (now, data) = (pair.now, frame("VP8", n));
            let frame = Frame::new(payload_type, n as u32 * 3000, data);
            pair.a().pc.send_frame(now, from, &frame).unwrap();
            pair.run(Duration::from_millis(33));
        }
        pair.run(SECOND);
        frames(pair, 1).len()
    };
    assert_eq!(send(&mut pair, 0..10), 10);
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap();
    pair.b().pc.set_remote_description(now, offer).unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    let (before, video) = answer.sdp.split_once("m=video ").unwrap();
    let (_, video) = video.split_once(' ').unwrap();
    let before = before.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0");
    let refusal = SessionDescription {
        type_: SdpType::PrAnswer,
        sdp: format!("{before}m=video 0 {video}"),
    };
    pair.a().pc.set_remote_description(now, refusal).unwrap();
    let data = frame("VP8", 10);
    let refused = Frame::new(payload_type, 30_000, data);
    assert!(pair.a().pc.send_frame(now, from, &refused).is_err());
    pair.a().pc.set_remote_description(now, answer).unwrap();
    assert_eq!(send(&mut pair, 10..20), 10);
}
