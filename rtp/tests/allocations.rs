//! No allocation a packet once buffers have grown: each hot path, counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tincan_rtp::extension::{AudioLevel, ExtensionKind, ExtensionMap, IdRewrite, Mid};
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, Input, Packetize, av1, h264, h265, red, vp8,
};
use tincan_rtp::receive::{
    StreamReceiver, StreamReceiverConfig, StreamStatistics, TransportFeedbackConfig,
    TransportFeedbackGenerator,
};
use tincan_rtp::rtcp::{Compound, Packet as Control, Writer};
use tincan_rtp::send::{
    History, HistoryConfig, RtxConfig, StreamSender, StreamSenderConfig, TransportLog,
};
use tincan_rtp::{Header, Packet, PacketMut, PacketWriter, PayloadType, SequenceNumber, Ssrc, rtx};

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap()
}

/// Runs `work` often enough for buffers to grow, then counts what it allocates.
fn allocates(name: &str, mut work: impl FnMut()) -> u64 {
    for _ in 0..3000 {
        work();
    }
    let info = allocation_counter::measure(|| {
        for _ in 0..500 {
            work();
        }
    });
    println!("{name}: {} allocations in 500 turns", info.count_total);
    info.count_total
}

fn map(offset: u8) -> ExtensionMap {
    let mut map = ExtensionMap::new();
    map.insert_kind(1 + offset, ExtensionKind::AudioLevel)
        .unwrap();
    map.insert_kind(2 + offset, ExtensionKind::Mid).unwrap();
    map
}

fn packet(sequence: u16) -> Vec<u8> {
    let header = Header::new(pt(96), SequenceNumber(sequence), 90_000, Ssrc(7));
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header);
    writer.typed_extension(&map(0), &Mid("0")).unwrap();
    writer.payload(&[0x10; 1000]);
    writer.finish();
    out
}

#[test]
fn packets_are_read_written_and_rewritten_without_allocations() {
    let original = packet(1);
    let (from, to) = (map(0), map(5));
    let rewrite = IdRewrite::between(&from, &to);
    let mut out = Vec::new();
    let count = allocates("write, read, rewrite", || {
        out.clear();
        let header = Header::new(pt(96), SequenceNumber(1), 2, Ssrc(3));
        let mut writer = PacketWriter::new(&mut out, &header);
        let level = AudioLevel {
            voice: true,
            level: 1,
        };
        writer.typed_extension(&from, &level).unwrap();
        writer.payload(&[7; 1000]);
        writer.finish();
        out.clear();
        out.extend_from_slice(&original);
        let mut packet = PacketMut::parse(&mut out).unwrap();
        packet.rewrite_extension_ids(&rewrite).unwrap();
        packet.set_ssrc(Ssrc(9));
        let packet = Packet::parse(&out).unwrap();
        assert_eq!(packet.typed_extension::<Mid<'_>>(&to), Some(Mid("0")));
    });
    assert_eq!(count, 0);
}

#[test]
fn feedback_is_made_and_read_without_allocations() {
    let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
    let mut log = TransportLog::new(SequenceNumber(0));
    let mut statistics = StreamStatistics::new(Ssrc(7), 90_000);
    let mut now = Instant::now();
    let (mut out, mut results) = (Vec::new(), Vec::new());
    let mut turn = 0u32;
    let count = allocates("transport-wide feedback", || {
        turn += 1;
        now += Duration::from_millis(2);
        let number = log.next(now, 1000);
        statistics.on_packet(now, SequenceNumber(turn as u16), turn * 90, 1000);
        if !turn.is_multiple_of(11) {
            generator.on_packet(now, number);
        }
        out.clear();
        if generator
            .poll_transmit(now, Ssrc(1), Ssrc(2), &mut out)
            .is_some()
        {
            Writer::new(&mut out).receiver_report(Ssrc(1), statistics.report_block(now));
            results.clear();
            for packet in Compound::parse(&out).unwrap().packets() {
                if let Control::TransportFeedback(f) = packet.unwrap() {
                    log.on_feedback(&f, &mut results);
                }
            }
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn history_and_retransmission_allocate_nothing_once_full() {
    let config = HistoryConfig {
        max_packets: 100,
        ..HistoryConfig::default()
    };
    let mut history = History::new(config);
    let mut now = Instant::now();
    let mut original = packet(0);
    let mut out = Vec::new();
    let mut number = 0u16;
    let count = allocates("history and rtx", || {
        number = number.wrapping_add(1);
        now += Duration::from_millis(1);
        PacketMut::parse(&mut original)
            .unwrap()
            .set_sequence_number(SequenceNumber(number));
        history.insert(now, SequenceNumber(number), &original);
        let again = history.resend(now, SequenceNumber(number)).unwrap();
        out.clear();
        rtx::wrap(again, Ssrc(8), pt(97), SequenceNumber(number), &mut out).unwrap();
        let at = rtx::unwrap_in_place(&mut out, Ssrc(7), pt(96)).unwrap();
        assert_eq!(&out[at..], &original[..]);
    });
    assert_eq!(count, 0);
}

/// Each format: a frame of several packets cut, and put together.
#[test]
fn frames_are_cut_and_put_together_without_allocations() {
    let mut h26x = vec![0, 0, 0, 1, 0x65, 1];
    h26x.resize(5000, 0x5a);
    let mut tu = vec![0x32, 0x86, 0x27, 0x10];
    tu.resize(4 + 5000 - 1 + 6, 0x5a);
    let len = tu.len() - 3;
    tu[1] = (len & 0x7f) as u8 | 0x80;
    tu[2] = (len >> 7) as u8;
    for format in ["VP8", "H264", "H265", "AV1"] {
        let mut depacketizer = AnyDepacketizer::for_encoding(format).unwrap();
        let mut payload = Vec::new();
        let mut sequence = 0;
        let mut frames = 0;
        let count = allocates(format, || {
            let timestamp = sequence as u32;
            let mut run = |packetizer: &mut dyn Packetize| {
                while let Some(marker) = packetizer.write_next(&mut payload) {
                    depacketizer
                        .push(&Input {
                            sequence,
                            timestamp,
                            marker,
                            payload: &payload,
                        })
                        .unwrap();
                    sequence += 1;
                    payload.clear();
                }
            };
            let mode = h264::PacketizationMode::NonInterleaved;
            match format {
                "VP8" => {
                    let descriptor = vp8::Descriptor::default();
                    run(&mut vp8::Packetizer::new(&h26x, &descriptor, 1000).unwrap());
                }
                "H264" => run(&mut h264::Packetizer::new(&h26x, mode, 1000).unwrap()),
                "H265" => run(&mut h265::Packetizer::new(&h26x, 1000).unwrap()),
                _ => run(&mut av1::Packetizer::new(&tu, 1000).unwrap()),
            }
            while depacketizer.poll_frame().is_some() {
                frames += 1;
            }
        });
        assert!(frames >= 3000, "{format}: {frames}");
        assert_eq!(count, 0, "{format}");
    }
}

/// Sound in RED: packets lost, found in the next, and forgotten.
#[test]
fn redundancy_is_written_and_read_without_allocations() {
    let mut now = Instant::now();
    let config = StreamReceiverConfig::audio(Ssrc(7), 48_000);
    let mut receiver = StreamReceiver::new(config, now);
    assert!(receiver.set_encoding(pt(111), "opus") && receiver.set_encoding(pt(63), "red"));
    let mut encoder = red::Encoder::new(pt(111), 2);
    let mut payload = Vec::new();
    // Datagrams come in buffers of the driver's: made, and shared, here beforehand.
    let mut shared: Vec<Bytes> = Vec::new();
    for n in 0..3500u32 {
        payload.clear();
        encoder
            .encode(n * 960, &[n as u8; 80], 1200, &mut payload)
            .unwrap();
        let header = Header::new(pt(63), SequenceNumber(n as u16), n * 960, Ssrc(7));
        let mut out = Vec::with_capacity(1500);
        let mut writer = PacketWriter::new(&mut out, &header);
        writer.payload(&payload);
        writer.finish();
        let packet = Bytes::from(out);
        let _kept = packet.clone();
        shared.push(packet);
    }
    let mut packets = shared.iter().enumerate();
    let (mut lost, mut frames, mut carried) = (0, 0, 0);
    let count = allocates("redundancy", || {
        let (n, packet) = packets.next().unwrap();
        now += Duration::from_millis(20);
        payload.clear();
        encoder
            .encode(n as u32 * 960, &[1; 80], 1200, &mut payload)
            .unwrap();
        // One, two, and once more than can be found.
        if n % 50 == 20 || n % 50 / 2 == 15 || n % 50 / 4 == 10 {
            lost += 1;
            return;
        }
        receiver.on_packet(now, packet.clone()).unwrap();
        while let Some(frame) = receiver.poll_frame(now) {
            frames += 1;
            carried += u32::from(frame.timestamp / 960 != n as u32);
        }
    });
    assert_eq!(count, 0);
    let missing = receiver.stats().frames.lost_packets as u32;
    assert_eq!((lost, missing, frames), (70 * 7, 70 * 2, 3500 - missing));
    assert!(carried >= lost - missing, "{carried}");
}

#[test]
fn a_whole_stream_allocates_nothing_of_its_own_a_packet() {
    let mut now = Instant::now();
    let mut config = StreamSenderConfig::video(Ssrc(7), SequenceNumber(65_000));
    config.history = Some(HistoryConfig {
        max_packets: 200,
        ..HistoryConfig::default()
    });
    config.rtx = Some(RtxConfig {
        ssrc: Ssrc(8),
        payload_types: vec![(pt(97), pt(96))],
        first_sequence: SequenceNumber(1),
    });
    let mut sender = StreamSender::new(config);
    let mut receiver = StreamReceiver::new(StreamReceiverConfig::video(Ssrc(7)), now);
    receiver.set_format(pt(96), AnyDepacketizer::for_encoding("VP8").unwrap());
    receiver.set_retransmission(pt(97), pt(96));
    receiver.set_round_trip(Duration::from_millis(20));
    let frame = [0x10u8; 900];
    let (mut out, mut feedback) = (Vec::new(), Vec::new());
    // Datagrams come in buffers of the driver's: made here beforehand.
    let mut pool: Vec<BytesMut> = (0..4000).map(|_| BytesMut::with_capacity(1500)).collect();
    let mut frozen: Vec<Bytes> = Vec::with_capacity(4000);
    let mut turn = 0u32;
    let mut frames = 0;
    let count = allocates("stream", || {
        turn += 1;
        now += Duration::from_millis(10);
        out.clear();
        let mut writer = sender.begin(pt(96), turn * 900, true, &mut out);
        let descriptor = vp8::Descriptor::default();
        let mut packetizer = vp8::Packetizer::new(&frame, &descriptor, 1100).unwrap();
        packetizer.write_next(writer.payload_buffer()).unwrap();
        writer.finish();
        sender.commit(now, now, &out).unwrap();
        let mut buffer = pool.pop().unwrap();
        buffer.extend_from_slice(&out);
        if !turn.is_multiple_of(20) {
            // Freezing shares the buffer: the first time this costs the shared header.
            let packet = buffer.freeze();
            frozen.push(packet.clone());
            receiver.on_packet(now, packet).unwrap();
        }
        feedback.clear();
        if receiver
            .poll_transmit(now, Ssrc(1), &mut feedback)
            .is_some()
        {
            for packet in Compound::parse(&feedback).unwrap().packets() {
                if let Control::Nack(nack) = packet.unwrap() {
                    sender.on_nack(nack.sequences());
                }
            }
        }
        out.clear();
        if sender.poll_retransmission(now, &mut out).is_some() {
            let mut buffer = pool.pop().unwrap();
            buffer.extend_from_slice(&out);
            receiver.on_retransmission(now, buffer).unwrap();
        }
        while receiver.poll_frame(now).is_some() {
            frames += 1;
        }
    });
    assert!(frames >= 3490, "{frames}");
    assert_eq!(receiver.stats().frames.dropped_frames, 0);
    assert!(receiver.stats().nack.recovered > 100);
    // `bytes` makes one small header when a buffer becomes shared; nothing else allocates.
    assert!(count <= 530, "{count}");
}
