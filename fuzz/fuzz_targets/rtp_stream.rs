//! Two received streams, of video and of sound, and a sent one: arbitrary packets, feedback and time. No panic, bounded
//! memory, no timer that stands still, frames in order.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tincan_rtp::format::AnyDepacketizer;
use tincan_rtp::receive::{
    StreamReceiver, StreamReceiverConfig, TransportFeedbackConfig, TransportFeedbackGenerator,
};
use tincan_rtp::rtcp::{Compound, Packet};
use tincan_rtp::send::{RtxConfig, StreamSender, StreamSenderConfig};
use tincan_rtp::{
    Header, PacketMut, PacketWriter, PayloadType, SequenceNumber, SequenceUnwrapper, Ssrc,
};

/// Payload types of sound, and what they are.
const SOUND: [(u8, &str); 4] = [
    (13, "CN"),
    (126, "telephone-event"),
    (63, "red"),
    (111, "opus"),
];

#[derive(Arbitrary, Debug)]
enum Step {
    Raw(Vec<u8>),
    Packet {
        sequence: u16,
        timestamp: u8,
        marker: bool,
        format: bool,
        payload: Vec<u8>,
    },
    Retransmission {
        original: u16,
        payload: Vec<u8>,
    },
    Wait(u16),
    Feedback(Vec<u16>),
    Send(u8),
}

fuzz_target!(|steps: Vec<Step>| {
    let pt = |n| PayloadType::new(n).expect("seven bits");
    let mut now = Instant::now();
    let mut receiver = StreamReceiver::new(StreamReceiverConfig::video(Ssrc(7)), now);
    receiver.set_format(pt(96), AnyDepacketizer::for_encoding("VP8").expect("known"));
    receiver.set_format(
        pt(98),
        AnyDepacketizer::for_encoding("H264").expect("known"),
    );
    receiver.set_retransmission(pt(97), pt(96));
    let mut sound = StreamReceiver::new(StreamReceiverConfig::audio(Ssrc(7), 48_000), now);
    for (number, name) in SOUND {
        assert!(sound.set_encoding(pt(number), name));
    }
    let mut last = 0;
    let mut config = StreamSenderConfig::video(Ssrc(9), SequenceNumber(65_530));
    config.rtx = Some(RtxConfig {
        ssrc: Ssrc(10),
        payload_types: vec![(pt(97), pt(96))],
        first_sequence: SequenceNumber(0),
    });
    let mut sender = StreamSender::new(config);
    let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
    let mut unwrapper = SequenceUnwrapper::new();
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Raw(bytes) => {
                let packet = Bytes::from(bytes);
                let _ = receiver.on_packet(now, packet.clone());
                let _ = sound.on_packet(now, packet);
            }
            Step::Packet {
                sequence,
                timestamp,
                marker,
                format,
                payload,
            } => {
                generator.on_packet(now, SequenceNumber(sequence));
                let number = SequenceNumber(sequence);
                unwrapper.unwrap(number);
                let kind = pt(if format { 96 } else { 98 });
                let mut header = Header::new(kind, number, u32::from(timestamp) * 3000, Ssrc(7));
                header.marker = marker;
                out.clear();
                let mut writer = PacketWriter::new(&mut out, &header);
                writer.payload(&payload);
                writer.finish();
                let _ = receiver.on_packet(now, Bytes::copy_from_slice(&out));
                let (kind, _) = SOUND[usize::from(format) * 2 + usize::from(marker)];
                let mut packet = PacketMut::parse(&mut out).expect("our own");
                packet.set_payload_type(pt(kind));
                let _ = sound.on_packet(now, Bytes::copy_from_slice(&out));
            }
            Step::Retransmission { original, payload } => {
                let header = Header::new(pt(97), SequenceNumber(1), 5, Ssrc(8));
                out.clear();
                let mut writer = PacketWriter::new(&mut out, &header);
                writer.payload(&original.to_be_bytes());
                writer.payload(&payload);
                writer.finish();
                let _ = receiver.on_retransmission(now, BytesMut::from(&out[..]));
            }
            Step::Wait(ms) => now += Duration::from_millis(u64::from(ms)),
            Step::Feedback(numbers) => sender.on_nack(numbers.into_iter().map(SequenceNumber)),
            Step::Send(len) => {
                out.clear();
                let mut writer = sender.begin(pt(96), 5, true, &mut out);
                writer.payload(&vec![0; usize::from(len)]);
                writer.finish();
                sender.commit(now, now, &out).expect("the next one");
            }
        }
        while receiver.poll_frame(now).is_some() {}
        while let Some(frame) = sound.poll_frame(now) {
            assert!(frame.first_sequence > last);
            assert_eq!(frame.last_sequence, frame.first_sequence);
            last = frame.last_sequence;
        }
        while sound.poll_event().is_some() {}
        out.clear();
        receiver.poll_transmit(now, Ssrc(1), &mut out);
        generator.poll_transmit(now, Ssrc(1), Ssrc(7), &mut out);
        if !out.is_empty() {
            let compound = Compound::parse(&out).expect("our own");
            for packet in compound.packets() {
                assert!(!matches!(packet.expect("our own"), Packet::Unknown(_)));
            }
        }
        // What was due is done: no timer stands still.
        assert!(receiver.poll_timeout(now).is_none_or(|at| at > now));
        assert!(sound.poll_timeout(now).is_none_or(|at| at > now));
        assert!(generator.poll_timeout().is_none_or(|at| at > now));
        out.clear();
        let mut again = 0;
        while sender.poll_retransmission(now, &mut out).is_some() {
            again += 1;
            assert!(again <= 1024);
        }
    }
});
