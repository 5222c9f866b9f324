//! Payload formats: arbitrary payloads in arbitrary order never panic, hold bounded memory and give
//! frames in order; frames cut by our packetizers come out as they went in.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, Input, Packetize, av1, h264, h265, red, telephone_event, vp8,
};
use tincan_rtp::limits::MAX_FRAME;

const FORMATS: [&str; 6] = ["VP8", "VP9", "H264", "H265", "AV1", "opus"];

#[derive(Arbitrary, Debug)]
struct Step {
    skip: u8,
    tick: bool,
    marker: bool,
    payload: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Case {
    format: u8,
    max: u8,
    steps: Vec<Step>,
}

fuzz_target!(|case: Case| {
    let name = FORMATS[usize::from(case.format) % FORMATS.len()];
    let mut depacketizer = AnyDepacketizer::for_encoding(name).expect("known");
    let (mut sequence, mut timestamp) = (1u64 << 16, 0u32);
    let mut last = 0;
    let mut red = red::Receiver::new();
    let mut events = telephone_event::EventReceiver::new();
    for step in &case.steps {
        sequence += u64::from(step.skip % 4);
        timestamp = timestamp.wrapping_add(u32::from(step.tick) * 3000);
        let _ = depacketizer.push(&Input {
            sequence,
            timestamp,
            marker: step.marker,
            payload: &step.payload,
        });
        while let Some(frame) = depacketizer.poll_frame() {
            assert!(frame.first_sequence > last && frame.last_sequence >= frame.first_sequence);
            assert!(frame.last_sequence <= sequence && frame.data.len() <= MAX_FRAME);
            last = frame.last_sequence;
        }
        let input = Input {
            sequence,
            timestamp,
            marker: step.marker,
            payload: &step.payload,
        };
        let lost = u64::from(step.skip % 4);
        if let Ok((carried, payloads)) = red.on_packet(&input, lost) {
            assert!(carried <= lost);
            let mut number = sequence - carried;
            for (_, payload) in payloads {
                assert!(payload.sequence >= number && payload.sequence <= sequence);
                number = payload.sequence + 1;
            }
        }
        let _ = events.on_packet(timestamp, &step.payload);
        roundtrip(name, &step.payload, usize::from(case.max) + 4);
    }
});

/// A frame that a packetizer takes comes out whole, in payloads no longer than asked.
fn roundtrip(name: &str, frame: &[u8], max: usize) {
    let mut depacketizer = AnyDepacketizer::for_encoding(name).expect("known");
    // A frame before, so that the next one's beginning is known.
    let mut sequence = 0;
    let mut given = Vec::new();
    for timestamp in 0..2 {
        let mut payload = Vec::new();
        let mut run = |packetizer: &mut dyn Packetize| {
            while let Some(marker) = packetizer.write_next(&mut payload) {
                assert!(!payload.is_empty() && payload.len() <= max);
                let input = Input {
                    sequence,
                    timestamp,
                    marker,
                    payload: &payload,
                };
                let _ = depacketizer.push(&input);
                sequence += 1;
                payload.clear();
            }
        };
        let mode = h264::PacketizationMode::NonInterleaved;
        match name {
            "VP8" => {
                if let Ok(mut p) = vp8::Packetizer::new(frame, &vp8::Descriptor::default(), max) {
                    run(&mut p);
                }
            }
            "H264" => {
                if let Ok(mut p) = h264::Packetizer::new(frame, mode, max) {
                    run(&mut p);
                }
            }
            "H265" => {
                if let Ok(mut p) = h265::Packetizer::new(frame, max) {
                    run(&mut p);
                }
            }
            "AV1" => {
                if let Ok(mut p) = av1::Packetizer::new(frame, max) {
                    run(&mut p);
                }
            }
            _ => return,
        }
        while let Some(frame) = depacketizer.poll_frame() {
            given.push(frame.data.to_vec());
        }
    }
    if name == "VP8" {
        for data in given {
            assert_eq!(data, frame);
        }
    }
}
