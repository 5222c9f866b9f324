//! A sender and a receiver of one stream with a network between: loss, delay and reordering, in
//! virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tincan_rtp::format::{AnyDepacketizer, Packetize, vp8};
use tincan_rtp::receive::{StreamReceiver, StreamReceiverConfig, StreamReceiverStats};
use tincan_rtp::rtcp::{Compound, Packet as Control, Writer};
use tincan_rtp::send::{RtxConfig, StreamSender, StreamSenderConfig};
use tincan_rtp::{NtpTime, Packet, PayloadType, SequenceNumber, Ssrc, is_rtcp};

const MEDIA: Ssrc = Ssrc(7);
const REPAIR: Ssrc = Ssrc(8);
const MS: Duration = Duration::from_millis(1);

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap()
}

/// A datagram under way: when it arrives, its number (for a stable order), to whom, and itself.
#[derive(PartialEq, Eq)]
struct Flight(std::cmp::Reverse<(Instant, u64)>, bool, Vec<u8>);

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

struct Network {
    rng: StdRng,
    loss: f64,
    delay: Duration,
    jitter: Duration,
    flying: BinaryHeap<Flight>,
    sent: u64,
}

impl Network {
    fn send(&mut self, now: Instant, to_receiver: bool, datagram: &[u8]) {
        self.sent += 1;
        if self.rng.random_bool(self.loss) {
            return;
        }
        let late = self.jitter.mul_f64(self.rng.random_range(0.0..1.0));
        let at = now + self.delay + late;
        let key = std::cmp::Reverse((at, self.sent));
        self.flying
            .push(Flight(key, to_receiver, datagram.to_vec()));
    }
}

struct Outcome {
    sent: usize,
    given: usize,
    key_frames: usize,
    stats: StreamReceiverStats,
    cumulative_lost: i32,
    round_trip: Option<Duration>,
}

/// Sends `frames` frames of up to five packets at 30 a second.
fn call(seed: u64, loss: f64, jitter: Duration, nack: bool, frames: u32) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let start = Instant::now();
    let wall = NtpTime(0xe000_0000 << 32);
    let mut network = Network {
        rng: StdRng::seed_from_u64(seed + 1),
        loss,
        delay: 20 * MS,
        jitter,
        flying: BinaryHeap::new(),
        sent: 0,
    };
    let mut config = StreamSenderConfig::video(MEDIA, SequenceNumber(rng.random()));
    config.rtx = Some(RtxConfig {
        ssrc: REPAIR,
        payload_types: vec![(pt(97), pt(96))],
        first_sequence: SequenceNumber(rng.random()),
    });
    let mut sender = StreamSender::new(config);
    let mut config = StreamReceiverConfig::video(MEDIA);
    if !nack {
        config.nack = None;
    }
    let mut receiver = StreamReceiver::new(config, start);
    receiver.set_format(pt(96), AnyDepacketizer::for_encoding("VP8").unwrap());
    receiver.set_retransmission(pt(97), pt(96));
    receiver.set_round_trip(40 * MS);

    let mut originals = BTreeMap::new();
    let mut given = 0;
    let mut key_frames = 0;
    let mut last_given = None;
    let mut next_frame = start;
    let mut next_report = start + 500 * MS;
    let mut n = 0;
    let mut round_trip = None;
    let mut cumulative_lost = 0;
    let end = start + 33 * MS * frames + Duration::from_secs(3);
    let mut out = Vec::new();
    let mut now = start;
    let base: u32 = rng.random();
    while now < end {
        // Everything that happens now.
        if n < frames && next_frame <= now {
            let key = n == 0 || sender.key_frames().poll(now);
            key_frames += usize::from(key);
            let len = rng.random_range(1..5000);
            let mut frame: Vec<u8> = (0..len).map(|_| rng.random()).collect();
            frame[0] = (frame[0] & 0xfe) | u8::from(!key);
            let timestamp = base.wrapping_add(n * 3000);
            let descriptor = vp8::Descriptor::default();
            let mut packetizer = vp8::Packetizer::new(&frame, &descriptor, 1100).unwrap();
            let mut payload = Vec::new();
            while let Some(last) = packetizer.write_next(&mut payload) {
                out.clear();
                let mut writer = sender.begin(pt(96), timestamp, last, &mut out);
                writer.payload(&payload);
                writer.finish();
                sender.commit(now, now, &out).unwrap();
                // The very first must arrive: nobody knows what was before it.
                if originals.is_empty() && payload.len() == frame.len() + 1 {
                    let key = std::cmp::Reverse((now + 20 * MS, 0));
                    network.flying.push(Flight(key, true, out.clone()));
                } else {
                    network.send(now, true, &out);
                }
                payload.clear();
            }
            originals.insert(timestamp, frame);
            n += 1;
            next_frame += 33 * MS;
        }
        while network.flying.peek().is_some_and(|f| f.0.0.0 <= now) {
            let Flight(_, to_receiver, datagram) = network.flying.pop().unwrap();
            if to_receiver {
                if is_rtcp(&datagram) {
                    for packet in Compound::parse(&datagram).unwrap().packets() {
                        if let Control::SenderReport(sr) = packet.unwrap() {
                            receiver.on_sender_report(now, sr.info.ntp);
                        }
                    }
                } else if Packet::parse(&datagram).unwrap().ssrc() == REPAIR {
                    let datagram = BytesMut::from(&datagram[..]);
                    receiver.on_retransmission(now, datagram).unwrap();
                } else {
                    receiver.on_packet(now, Bytes::from(datagram)).unwrap();
                }
                continue;
            }
            for packet in Compound::parse(&datagram).unwrap().packets() {
                match packet.unwrap() {
                    Control::Nack(nack) => sender.on_nack(nack.sequences()),
                    Control::PictureLoss(_) => sender.key_frames().on_pli(),
                    Control::ReceiverReport(rr) => {
                        for block in rr.blocks() {
                            let arrival = wall.plus(now - start);
                            let report = sender.statistics_mut().on_report_block(arrival, &block);
                            round_trip = report.round_trip.or(round_trip);
                            cumulative_lost = block.cumulative_lost;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        loop {
            out.clear();
            if sender.poll_retransmission(now, &mut out).is_none() {
                break;
            }
            network.send(now, true, &out);
        }
        while let Some(frame) = receiver.poll_frame(now) {
            let original = &originals[&frame.timestamp];
            assert_eq!(frame.data, original, "seed {seed}");
            assert!(last_given < Some(frame.first_sequence), "seed {seed}");
            last_given = Some(frame.first_sequence);
            given += 1;
        }
        if next_report <= now {
            next_report += 500 * MS;
            out.clear();
            let info = sender.statistics().sender_info(now, wall.plus(now - start));
            Writer::new(&mut out).sender_report(MEDIA, &info.unwrap(), []);
            network.send(now, true, &out);
            out.clear();
            let block = receiver.report_block(now);
            Writer::new(&mut out).receiver_report(Ssrc(1), block);
            network.send(now, false, &out);
        }
        out.clear();
        if receiver.poll_transmit(now, Ssrc(1), &mut out).is_some() {
            network.send(now, false, &out);
        }
        // On to the next thing that happens.
        let next = [
            (n < frames).then_some(next_frame),
            Some(next_report),
            network.flying.peek().map(|f| f.0.0.0),
            receiver.poll_timeout(now),
            Some(end),
        ];
        let next = next.into_iter().flatten().min().unwrap();
        // A machine that asks for the present again and again would stand still.
        assert!(next >= now, "seed {seed}");
        now = next.max(now + Duration::from_micros(1));
    }
    Outcome {
        sent: originals.len(),
        given,
        key_frames,
        stats: receiver.stats(),
        cumulative_lost,
        round_trip,
    }
}

fn seeds() -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(8)
}

#[test]
fn five_percent_of_loss_are_repaired() {
    for seed in 0..seeds() {
        let outcome = call(seed, 0.05, 15 * MS, true, 300);
        println!(
            "seed {seed}: {} of {} frames, {} asked for, {} recovered, {} key frames",
            outcome.given,
            outcome.sent,
            outcome.stats.nack.requested,
            outcome.stats.nack.recovered,
            outcome.key_frames
        );
        assert!(outcome.given * 1000 >= outcome.sent * 990, "seed {seed}");
        assert!(outcome.stats.nack.recovered > 10, "seed {seed}");
        let rtt = outcome.round_trip.unwrap();
        assert!(rtt >= 40 * MS && rtt < 90 * MS, "{rtt:?}");
        assert!(outcome.cumulative_lost > 0);
    }
}

#[test]
fn without_repair_key_frames_are_asked_for_and_whole_frames_still_come() {
    for seed in 0..seeds() {
        let outcome = call(seed, 0.05, Duration::ZERO, false, 300);
        println!(
            "seed {seed}: {} of {} frames, {} key frames",
            outcome.given, outcome.sent, outcome.key_frames
        );
        assert!(outcome.key_frames > 3, "seed {seed}");
        assert!(outcome.given * 2 > outcome.sent, "seed {seed}");
        assert!(outcome.stats.frames.dropped_frames > 0, "seed {seed}");
    }
}

#[test]
fn half_the_packets_lost_does_not_stop_the_machines() {
    for seed in 0..seeds() {
        let outcome = call(seed, 0.5, 40 * MS, true, 200);
        println!("seed {seed}: {} of {} frames", outcome.given, outcome.sent);
        assert!(outcome.given > 0, "seed {seed}");
    }
}

#[test]
fn nothing_is_asked_for_when_nothing_is_lost_and_order_is_kept() {
    for seed in 0..seeds() {
        let outcome = call(seed, 0.0, Duration::ZERO, true, 200);
        assert_eq!(outcome.given, outcome.sent, "seed {seed}");
        assert_eq!(outcome.stats.nack.requested, 0, "seed {seed}");
        assert_eq!(outcome.key_frames, 1, "seed {seed}");
    }
}
