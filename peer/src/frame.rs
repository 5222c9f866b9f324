//! Whole encoded frames, as an encoder makes and a decoder takes them.

use bytes::Bytes;

/// One encoded frame of audio or video: what an encoder gives out for one picture or one span of sound.
///
/// H.264 and H.265 come as Annex B access units (with start codes), AV1 as temporal units of the low-overhead format,
/// VP8, VP9 and audio as the codec's own frames. Forwarding a received frame is `send_frame(now, id, frame)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Payload type, 0–127: which of the negotiated codecs it is.
    pub payload_type: u8,
    /// Timestamp in the codec's RTP clock (90 kHz for video).
    pub timestamp: u32,
    /// Which simulcast encoding, as in [`RtpPacket::encoding`](crate::RtpPacket::encoding). 0 without simulcast.
    pub encoding: u8,
    /// The encoded octets.
    pub data: Bytes,
    /// Whether decoding can begin here, as the payload format tells of a received frame. Not read of a sent one.
    pub key_frame: bool,
    /// Packets that were lost right before a received frame: what it refers to may be missing. Not read of a sent one.
    pub lost_before: u64,
    /// SSRC of the received stream. Not read of a sent one.
    pub ssrc: u32,
}

impl Frame {
    /// A frame to be sent.
    pub fn new(payload_type: u8, timestamp: u32, data: impl Into<Bytes>) -> Self {
        Frame {
            payload_type,
            timestamp,
            encoding: 0,
            data: data.into(),
            key_frame: false,
            lost_before: 0,
            ssrc: 0,
        }
    }
}

/// What a transceiver's receiver gives the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Delivery {
    /// Each packet as it comes, in [`Event::Rtp`](crate::Event::Rtp): for forwarding.
    #[default]
    Packets,
    /// Whole frames in order, in [`Event::Frame`](crate::Event::Frame): for decoding and recording. Packets wait up to a
    /// quarter of a second for those before them.
    Frames,
}
