//! When packets were captured and sent, their transport-wide numbers, and when to play them.

use std::time::Duration;

use crate::bytes_ext::{u8_at, u16_at, u24_at, u64_at};
use crate::clock::NtpTime;
use crate::error::ParseError;
use crate::extension::{Extension, ExtensionKind, expect_len};
use crate::sequence::SequenceNumber;

/// How much later than its timestamp a packet was sent (RFC 5450).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmissionOffset {
    /// Ticks of the stream's clock, 24 bits signed.
    pub ticks: i32,
}

impl Extension<'_> for TransmissionOffset {
    const KIND: ExtensionKind = ExtensionKind::TransmissionOffset;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[3])?;
        Ok(Self {
            ticks: ((u24_at(value, 0) << 8) as i32) >> 8,
        })
    }

    fn encoded_len(&self) -> usize {
        3
    }

    fn encode(&self, out: &mut Vec<u8>) {
        push_u24(out, self.ticks as u32);
    }
}

/// When a packet left, in 1/2¹⁸ s, wrapping every 64 s (draft-alvestrand-rmcat-remb §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsoluteSendTime(pub u32);

impl AbsoluteSendTime {
    /// The send time of a wall-clock time.
    pub const fn from_ntp(ntp: NtpTime) -> Self {
        Self((ntp.0 >> 14) as u32 & 0xff_ffff)
    }

    /// The time from `earlier` to `self`, taken the short way around the 64 s.
    pub fn signed_difference(self, earlier: Self) -> (bool, Duration) {
        let d = (self.0.wrapping_sub(earlier.0) << 8) as i32 >> 8;
        let nanos = (u64::from(d.unsigned_abs()) * 1_000_000_000) >> 18;
        (d < 0, Duration::from_nanos(nanos))
    }
}

impl Extension<'_> for AbsoluteSendTime {
    const KIND: ExtensionKind = ExtensionKind::AbsoluteSendTime;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[3])?;
        Ok(Self(u24_at(value, 0)))
    }

    fn encoded_len(&self) -> usize {
        3
    }

    fn encode(&self, out: &mut Vec<u8>) {
        push_u24(out, self.0);
    }
}

/// When a frame was captured, by the clock of the capturing system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsoluteCaptureTime {
    /// The capture time.
    pub capture: NtpTime,
    /// Capture clock minus the sender's clock in 1/2³² s, if told.
    pub clock_offset: Option<i64>,
}

impl Extension<'_> for AbsoluteCaptureTime {
    const KIND: ExtensionKind = ExtensionKind::AbsoluteCaptureTime;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[8, 16])?;
        Ok(Self {
            capture: NtpTime(u64_at(value, 0)),
            clock_offset: (value.len() == 16).then(|| u64_at(value, 8) as i64),
        })
    }

    fn encoded_len(&self) -> usize {
        if self.clock_offset.is_some() { 16 } else { 8 }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capture.0.to_be_bytes());
        if let Some(offset) = self.clock_offset {
            out.extend_from_slice(&offset.to_be_bytes());
        }
    }
}

/// The packet's number among all of the connection
/// (draft-holmer-rmcat-transport-wide-cc-extensions §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportSequence(pub SequenceNumber);

impl Extension<'_> for TransportSequence {
    const KIND: ExtensionKind = ExtensionKind::TransportSequence;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[2])?;
        Ok(Self(SequenceNumber(u16_at(value, 0))))
    }

    fn encoded_len(&self) -> usize {
        2
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.0.to_be_bytes());
    }
}

/// What the sender wants to know at once (transport-wide-cc-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackRequest {
    /// Whether arrival times are wanted.
    pub timed: bool,
    /// How many packets, this one the last of them; 15 bits. Zero asks for nothing.
    pub count: u16,
}

/// The packet's number among all of the connection, with an optional request for feedback
/// (transport-wide-cc-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportSequenceV2 {
    /// The number.
    pub sequence: SequenceNumber,
    /// The request.
    pub request: Option<FeedbackRequest>,
}

impl Extension<'_> for TransportSequenceV2 {
    const KIND: ExtensionKind = ExtensionKind::TransportSequenceV2;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[2, 4])?;
        let request = (value.len() == 4).then(|| {
            let word = u16_at(value, 2);
            FeedbackRequest {
                timed: word & 0x8000 != 0,
                count: word & 0x7fff,
            }
        });
        Ok(Self {
            sequence: SequenceNumber(u16_at(value, 0)),
            request,
        })
    }

    fn encoded_len(&self) -> usize {
        if self.request.is_some() { 4 } else { 2 }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.0.to_be_bytes());
        if let Some(request) = self.request {
            let word = (u16::from(request.timed) << 15) | (request.count & 0x7fff);
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Bounds of the delay from capture to playout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// Least delay, in steps of 10 ms up to 40.95 s.
    pub min: Duration,
    /// Greatest delay, in steps of 10 ms up to 40.95 s.
    pub max: Duration,
}

impl Extension<'_> for PlayoutDelay {
    const KIND: ExtensionKind = ExtensionKind::PlayoutDelay;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[3])?;
        let word = u24_at(value, 0);
        let (min, max) = (word >> 12, word & 0xfff);
        if min > max {
            return Err(ParseError::Field("playout delay"));
        }
        Ok(Self {
            min: Duration::from_millis(u64::from(min) * 10),
            max: Duration::from_millis(u64::from(max) * 10),
        })
    }

    fn encoded_len(&self) -> usize {
        3
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let steps = |d: Duration| (d.as_millis() / 10).min(0xfff) as u32;
        push_u24(out, (steps(self.min) << 12) | steps(self.max));
    }
}

/// When a frame passed the stages of the sender, in ms since its capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoTiming {
    /// Told because a timer says so.
    pub by_timer: bool,
    /// Told because the frame is larger than usual.
    pub by_size: bool,
    /// Encoding began.
    pub encode_start: u16,
    /// Encoding ended.
    pub encode_finish: u16,
    /// All packets were made.
    pub packetized: u16,
    /// The last packet left the pacer.
    pub paced: u16,
    /// For the network to fill in.
    pub network: [u16; 2],
}

impl Extension<'_> for VideoTiming {
    const KIND: ExtensionKind = ExtensionKind::VideoTiming;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[13])?;
        let flags = u8_at(value, 0);
        Ok(Self {
            by_timer: flags & 1 != 0,
            by_size: flags & 2 != 0,
            encode_start: u16_at(value, 1),
            encode_finish: u16_at(value, 3),
            packetized: u16_at(value, 5),
            paced: u16_at(value, 7),
            network: [u16_at(value, 9), u16_at(value, 11)],
        })
    }

    fn encoded_len(&self) -> usize {
        13
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.by_timer) | (u8::from(self.by_size) << 1));
        let times = [
            self.encode_start,
            self.encode_finish,
            self.packetized,
            self.paced,
            self.network[0],
            self.network[1],
        ];
        for time in times {
            out.extend_from_slice(&time.to_be_bytes());
        }
    }
}

/// Appends the low 24 bits.
fn push_u24(out: &mut Vec<u8>, value: u32) {
    let [_, a, b, c] = value.to_be_bytes();
    out.extend_from_slice(&[a, b, c]);
}
