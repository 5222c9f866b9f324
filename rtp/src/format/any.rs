//! One depacketizer for whatever a payload type was negotiated as.

use crate::error::ParseError;
use crate::format::{AssemblerStats, Depacketize, Frame, Input, audio, av1, h264, h265, vp8, vp9};

/// What is told of a frame, by format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameInfo {
    /// Sound.
    Audio,
    /// VP8.
    Vp8(vp8::Info),
    /// VP9.
    Vp9(vp9::Info),
    /// H.264.
    H264(h264::Info),
    /// H.265.
    H265(h265::Info),
    /// AV1.
    Av1(av1::Info),
}

impl FrameInfo {
    /// Whether decoding can begin with the frame: not with an upper spatial layer that refers to the one below.
    pub const fn is_key_frame(&self) -> bool {
        match self {
            Self::Audio => true,
            Self::Vp8(info) => info.key_frame,
            Self::Vp9(info) => info.key_frame && !info.refers_below(),
            Self::H264(info) => info.key_frame,
            Self::H265(info) => info.key_frame,
            Self::Av1(info) => info.key_frame,
        }
    }
}

/// A depacketizer of any format.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyDepacketizer {
    /// Sound.
    Audio(audio::Depacketizer),
    /// VP8.
    Vp8(vp8::Depacketizer),
    /// VP9.
    Vp9(vp9::Depacketizer),
    /// H.264.
    H264(h264::Depacketizer),
    /// H.265.
    H265(h265::Depacketizer),
    /// AV1.
    Av1(av1::Depacketizer),
}

impl AnyDepacketizer {
    /// The depacketizer for an encoding name of SDP (`a=rtpmap`), in any case. `None` for what is unknown, and for what is
    /// no frame: RED wraps payloads of other types ([`red::Receiver`](super::red::Receiver)), telephone events are told by
    /// [`EventReceiver`](super::telephone_event::EventReceiver);
    /// [`StreamReceiver::set_encoding`](crate::receive::StreamReceiver::set_encoding) takes these, too.
    pub fn for_encoding(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        Some(if is("VP8") {
            Self::Vp8(vp8::Depacketizer::new())
        } else if is("VP9") {
            Self::Vp9(vp9::Depacketizer::new())
        } else if is("H264") {
            Self::H264(h264::Depacketizer::new())
        } else if is("H265") {
            Self::H265(h265::Depacketizer::new(false))
        } else if is("AV1") {
            Self::Av1(av1::Depacketizer::new())
        } else if ["opus", "PCMU", "PCMA", "G722", "L16", "CN"]
            .iter()
            .any(|known| is(known))
        {
            Self::Audio(audio::Depacketizer::new())
        } else {
            return None;
        })
    }
}

/// A frame of one format as a frame of any.
fn widen<I>(frame: Frame<'_, I>, info: impl FnOnce(I) -> FrameInfo) -> Frame<'_, FrameInfo> {
    Frame {
        data: frame.data,
        timestamp: frame.timestamp,
        first_sequence: frame.first_sequence,
        last_sequence: frame.last_sequence,
        lost_before: frame.lost_before,
        info: info(frame.info),
    }
}

impl Depacketize for AnyDepacketizer {
    type Info = FrameInfo;

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        match self {
            Self::Audio(d) => d.push(packet),
            Self::Vp8(d) => d.push(packet),
            Self::Vp9(d) => d.push(packet),
            Self::H264(d) => d.push(packet),
            Self::H265(d) => d.push(packet),
            Self::Av1(d) => d.push(packet),
        }
    }

    fn skip(&mut self, sequence: u64) {
        match self {
            Self::Audio(d) => d.skip(sequence),
            Self::Vp8(d) => d.skip(sequence),
            Self::Vp9(d) => d.skip(sequence),
            Self::H264(d) => d.skip(sequence),
            Self::H265(d) => d.skip(sequence),
            Self::Av1(d) => d.skip(sequence),
        }
    }

    fn has_frame(&self) -> bool {
        match self {
            Self::Audio(d) => d.has_frame(),
            Self::Vp8(d) => d.has_frame(),
            Self::Vp9(d) => d.has_frame(),
            Self::H264(d) => d.has_frame(),
            Self::H265(d) => d.has_frame(),
            Self::Av1(d) => d.has_frame(),
        }
    }

    fn poll_frame(&mut self) -> Option<Frame<'_, FrameInfo>> {
        Some(match self {
            Self::Audio(d) => widen(d.poll_frame()?, |()| FrameInfo::Audio),
            Self::Vp8(d) => widen(d.poll_frame()?, FrameInfo::Vp8),
            Self::Vp9(d) => widen(d.poll_frame()?, FrameInfo::Vp9),
            Self::H264(d) => widen(d.poll_frame()?, FrameInfo::H264),
            Self::H265(d) => widen(d.poll_frame()?, FrameInfo::H265),
            Self::Av1(d) => widen(d.poll_frame()?, FrameInfo::Av1),
        })
    }

    fn stats(&self) -> AssemblerStats {
        match self {
            Self::Audio(d) => d.stats(),
            Self::Vp8(d) => d.stats(),
            Self::Vp9(d) => d.stats(),
            Self::H264(d) => d.stats(),
            Self::H265(d) => d.stats(),
            Self::Av1(d) => d.stats(),
        }
    }

    fn memory_usage(&self) -> usize {
        match self {
            Self::Audio(d) => d.memory_usage(),
            Self::Vp8(d) => d.memory_usage(),
            Self::Vp9(d) => d.memory_usage(),
            Self::H264(d) => d.memory_usage(),
            Self::H265(d) => d.memory_usage(),
            Self::Av1(d) => d.memory_usage(),
        }
    }
}
