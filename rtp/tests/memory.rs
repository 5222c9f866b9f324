//! What a far side can make grow has a bound, and `memory_usage` tells what the heap says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::Bytes;
use tincan_rtp::format::h265_order::{DecodingOrder, InterleavingConfig};
use tincan_rtp::format::{AnyDepacketizer, Depacketize, Input};
use tincan_rtp::limits::{
    HISTORY_BYTES, MAX_FRAME, MAX_INTERLEAVED_UNITS, NACK_LIST, REORDER_BYTES, REORDER_PACKETS,
    TRANSPORT_FEEDBACK_WINDOW, TRANSPORT_LOG_PACKETS,
};
use tincan_rtp::receive::{
    NackConfig, NackGenerator, ReorderBuffer, ReorderConfig, StreamReceiver, StreamReceiverConfig,
    TransportFeedbackConfig, TransportFeedbackGenerator,
};
use tincan_rtp::send::{StreamSender, StreamSenderConfig, TransportLog};
use tincan_rtp::{Header, PacketWriter, PayloadType, SequenceNumber, Ssrc};

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap()
}

fn packet(sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Bytes {
    let mut header = Header::new(pt(96), SequenceNumber(sequence), timestamp, Ssrc(7));
    header.marker = marker;
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header);
    writer.payload(payload);
    writer.finish();
    out.into()
}

/// What was told beside what the heap says.
fn agrees(what: &str, told: usize, heap: i64) {
    println!("{what}: {told} told, {heap} on the heap");
    let told = told as i64;
    assert!(told >= heap / 2, "{what}: {told} of {heap}");
    assert!(told <= 2 * heap + 4_000, "{what}: {told} of {heap}");
}

#[test]
fn a_reorder_buffer_holds_its_octets_and_tells_them() {
    let now = Instant::now();
    // The longest packets there are, and nobody polls while a place is missing.
    let mut buffer = ReorderBuffer::new(ReorderConfig::default());
    let mut most = 0;
    let heap = measure(|| {
        buffer.insert(now, 0, 10, Bytes::new());
        buffer.poll(now);
        for n in 2..10_000u64 {
            buffer.insert(now, n, 65_000, Bytes::from(vec![0; 65_000]));
            most = most.max(buffer.memory_usage());
            while buffer.poll(now).is_some() {}
        }
    });
    println!("{most} octets at most");
    assert!(
        most <= REORDER_BYTES + 65_000 + 200 * REORDER_PACKETS,
        "{most}"
    );
    assert!(
        heap.bytes_max <= 2 * (REORDER_BYTES as u64 + 400_000),
        "{heap:?}"
    );
    agrees("after", buffer.memory_usage(), heap.bytes_current.max(1));
}

#[test]
fn a_list_of_missing_packets_stays_in_its_bound() {
    let now = Instant::now();
    let mut list = NackGenerator::new(NackConfig::default());
    let heap = measure(|| {
        for n in 1..100_000u64 {
            list.on_packet(now, n * (2 + n % 900));
            list.on_packet(now, n * (2 + n % 900) - 1);
        }
    });
    agrees("missing", list.memory_usage(), heap.bytes_current);
    assert!(list.missing() <= NACK_LIST);
    assert!(list.memory_usage() <= 4 * NACK_LIST * 64);
}

/// A receiver of each format under a sender that never ends a frame, then under one that never sends what is waited for.
#[test]
fn a_stream_receiver_under_a_hostile_sender_stays_in_its_bound() {
    let payloads: [(&str, &[u8], &[u8]); 6] = [
        ("VP8", &[0x10, 0, 0, 0, 0x9d, 1, 0x2a], &[0, 0]),
        ("VP9", &[0x08, 1, 2], &[0x00, 1]),
        // FU-A, FU and an OBU that goes on.
        ("H264", &[0x7c, 0x85, 1], &[0x7c, 0x05, 1]),
        ("H265", &[0x62, 1, 0x93, 1], &[0x62, 1, 0x13, 1]),
        ("AV1", &[0x58, 0x30, 1], &[0xd0, 1]),
        ("opus", &[1], &[1]),
    ];
    for (name, first, next) in payloads {
        let mut start = Instant::now();
        let mut receiver = StreamReceiver::new(StreamReceiverConfig::video(Ssrc(7)), start);
        receiver.set_format(pt(96), AnyDepacketizer::for_encoding(name).unwrap());
        let with = |head: &[u8]| {
            let mut payload = head.to_vec();
            payload.resize(60_000, 0x55);
            payload
        };
        let (first, next) = (with(first), with(next));
        let mut most = 0;
        let heap = measure(|| {
            // 100 MB of one frame.
            for n in 0..1_700u16 {
                // A whole frame, so that the next packet is known to begin one.
                let whole = [vec![0x65, 1, 2], first.clone(), next.clone()];
                let payload = &whole[usize::from(n.min(2))];
                let timestamp = u32::from(n > 0);
                let _ = receiver.on_packet(start, packet(n, timestamp, n == 0, payload));
                while receiver.poll_frame(start).is_some() {}
                most = most.max(receiver.memory_usage());
            }
            // Then a number is missing for ever, again and again.
            for n in 0..5_000u16 {
                start += Duration::from_millis(1);
                let number = 1_700 + n + n / 100;
                let _ = receiver.on_packet(start, packet(number, u32::from(n), false, &next));
                while receiver.poll_frame(start).is_some() {}
                most = most.max(receiver.memory_usage());
            }
        });
        println!(
            "{name}: {most} octets told at most, {} on the heap",
            heap.bytes_max
        );
        assert!(name == "opus" || most > MAX_FRAME, "{name}: no frame grew");
        // A vector that grows has its old room and twice as much for a moment.
        assert!(most <= 4 * MAX_FRAME + 2 * REORDER_BYTES, "{name}: {most}");
        assert!(
            heap.bytes_max <= (6 * MAX_FRAME + 4 * REORDER_BYTES) as u64,
            "{name}: {heap:?}"
        );
        assert!(most as u64 >= heap.bytes_max / 4, "{name}: {most} {heap:?}");
    }
}

#[test]
fn a_sender_holds_its_history_and_tells_it() {
    let now = Instant::now();
    let config = StreamSenderConfig::video(Ssrc(7), SequenceNumber(0));
    let mut sender = StreamSender::new(config);
    let mut out = Vec::with_capacity(70_000);
    let payload = vec![7; 60_000];
    let heap = measure(|| {
        for n in 0..5_000u32 {
            let len = if n.is_multiple_of(3) { 60_000 } else { 100 };
            out.clear();
            let mut writer = sender.begin(pt(96), n, false, &mut out);
            writer.payload(&payload[..len]);
            writer.finish();
            sender.commit(now, now, &out).unwrap();
            sender.on_nack((0..=u16::MAX).map(SequenceNumber));
        }
    });
    agrees("history", sender.memory_usage(), heap.bytes_current);
    // Buffers that once held long packets hold short ones later.
    println!("of {HISTORY_BYTES} octets that a history may keep");
}

#[test]
fn windows_of_transport_feedback_stay_in_their_bound() {
    let now = Instant::now();
    let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
    let mut log = TransportLog::new(SequenceNumber(0));
    let received = measure(|| {
        for n in 0..200_000u64 {
            generator.on_packet(now, SequenceNumber((n * 77) as u16));
        }
    });
    let sent = measure(|| {
        for _ in 0..200_000 {
            log.next(now, 1_000);
        }
    });
    agrees("arrivals", generator.memory_usage(), received.bytes_current);
    agrees("log", log.memory_usage(), sent.bytes_current);
    assert!(generator.memory_usage() <= 16 * TRANSPORT_FEEDBACK_WINDOW);
    assert!(log.memory_usage() <= 64 * TRANSPORT_LOG_PACKETS);
}

#[test]
fn interleaved_units_that_nobody_takes_stay_in_their_bound() {
    let mut order = DecodingOrder::new(InterleavingConfig {
        max_don_diff: 32_767,
        depack_buf_nalus: 32_767,
    });
    let mut most = 0;
    let mut payload = vec![0x55; 60_000];
    let heap = measure(|| {
        for n in 0..20_000u64 {
            let long = if n < 3_000 { 60_000 } else { 20 };
            payload[..2].copy_from_slice(&[0x02, 1]);
            // Numbers that jump about, so that units wait.
            payload[2..4].copy_from_slice(&((n * 7) as u16).to_be_bytes());
            let input = Input {
                sequence: n,
                timestamp: n as u32,
                marker: false,
                payload: &payload[..long],
            };
            let _ = order.push(&input);
            most = most.max(order.memory_usage());
        }
    });
    println!("{most} octets told at most, {} on the heap", heap.bytes_max);
    let entries = 8 * MAX_INTERLEAVED_UNITS * 128;
    assert!(most <= 2 * MAX_FRAME + 100_000 + entries, "{most}");
    assert!(heap.bytes_max <= (4 * MAX_FRAME + 2 * entries) as u64);
    agrees("interleaved", order.memory_usage(), heap.bytes_current);
}

#[test]
fn an_aggregate_of_nothing_costs_nothing() {
    for name in ["VP8", "VP9", "H264", "H265", "AV1", "opus"] {
        let mut format = AnyDepacketizer::for_encoding(name).unwrap();
        for n in 0..100_000u64 {
            let input = Input {
                sequence: n,
                timestamp: n as u32,
                marker: n % 2 == 0,
                payload: &[],
            };
            let _ = format.push(&input);
        }
        assert!(format.memory_usage() < 4_096, "{name}");
    }
}
