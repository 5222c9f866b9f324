//! Sound and pictures to send: silence in Opus, two seconds of test pattern in VP8.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tincan_peer::driver::RtpSender;
use tincan_peer::{Kind, RtpPacket};
use tokio::time::{Instant, interval_at};

/// Two seconds at 15 pictures a second, 320×180, one key frame at the start.
const PICTURE: &[u8] = include_bytes!("picture.ivf");

/// 20 ms of silence (RFC 6716 §3.1: CELT, one frame).
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// Payload bytes of one packet.
const PIECE: usize = 1100;

/// What was sent and what came back.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    audio: [AtomicU64; 2],
    video: [AtomicU64; 2],
    key_frame_wanted: AtomicBool,
    arrived: tokio::sync::Notify,
}

impl Counters {
    fn pair(&self, kind: Kind) -> &[AtomicU64; 2] {
        match kind {
            Kind::Audio => &self.0.audio,
            Kind::Video => &self.0.video,
        }
    }

    fn sent(&self, kind: Kind) {
        self.pair(kind)[0].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn back(&self, kind: Kind) {
        self.pair(kind)[1].fetch_add(1, Ordering::Relaxed);
        self.0.arrived.notify_one();
    }

    /// Packets sent and returned.
    pub(crate) fn of(&self, kind: Kind) -> (u64, u64) {
        let [sent, back] = self.pair(kind);
        (sent.load(Ordering::Relaxed), back.load(Ordering::Relaxed))
    }

    /// Waits until as many packets came back as were sent.
    pub(crate) async fn all_back(&self) {
        loop {
            let missing = [Kind::Audio, Kind::Video].iter().any(|kind| {
                let (sent, back) = self.of(*kind);
                back < sent
            });
            if !missing {
                return;
            }
            self.0.arrived.notified().await;
        }
    }

    pub(crate) fn want_key_frame(&self) {
        self.0.key_frame_wanted.store(true, Ordering::Relaxed);
    }
}

/// The frames of an IVF file.
fn frames(ivf: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = ivf.get(32..).unwrap_or_default();
    while let Some((header, body)) = rest.split_at_checked(12) {
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some((frame, after)) = body.split_at_checked(len) else {
            break;
        };
        frames.push(frame);
        rest = after;
    }
    frames
}

/// Sends for `time` in real time. A kind without a payload type is not sent.
pub(crate) async fn send(
    audio: RtpSender,
    video: RtpSender,
    opus: Option<u8>,
    vp8: Option<u8>,
    counters: Counters,
    time: Duration,
) {
    let start = Instant::now();
    let sound = async {
        let Some(opus) = opus else { return };
        let mut ticks = interval_at(start, Duration::from_millis(20));
        let mut number = 0u16;
        while start.elapsed() < time {
            ticks.tick().await;
            let packet =
                RtpPacket::new(opus, number, u32::from(number) * 960, number == 0, SILENCE);
            if audio.send(packet).is_ok() {
                counters.sent(Kind::Audio);
            }
            number = number.wrapping_add(1);
        }
    };
    let pictures = async {
        let Some(vp8) = vp8 else { return };
        let frames = frames(PICTURE);
        let mut ticks = interval_at(start, Duration::from_millis(1000 / 15));
        let (mut sequence, mut timestamp, mut next) = (0u16, 0u32, 0usize);
        while start.elapsed() < time {
            ticks.tick().await;
            if counters.0.key_frame_wanted.swap(false, Ordering::Relaxed) {
                next = 0;
            }
            let Some(frame) = frames.get(next % frames.len().max(1)) else {
                return;
            };
            let pieces = frame.chunks(PIECE).count();
            for (index, piece) in frame.chunks(PIECE).enumerate() {
                // RFC 7741 §4.2: no extension, S on the first piece of the only partition.
                let mut payload = vec![if index == 0 { 0x10 } else { 0x00 }];
                payload.extend_from_slice(piece);
                let last = index + 1 == pieces;
                let packet = RtpPacket::new(vp8, sequence, timestamp, last, payload);
                if video.send(packet).is_ok() {
                    counters.sent(Kind::Video);
                }
                sequence = sequence.wrapping_add(1);
            }
            timestamp = timestamp.wrapping_add(90_000 / 15);
            next += 1;
        }
    };
    tokio::join!(sound, pictures);
}
