//! Frames to packets and back: the payload formats of `tincan-rtp` at the ends of a track.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, FrameInfo, Input, Packetize, av1, h264, h265, red, vp8, vp9,
};
use tincan_rtp::limits::REORDER_WAIT;
use tincan_rtp::receive::{KeyFrameRequester, ReorderBuffer, ReorderConfig};
use tincan_rtp::{Packet, PayloadType, ShortList, WriteError};

use crate::codec::Codec;
use crate::error::Error;
use crate::event::Event;
use crate::frame::Frame;
use crate::jsep::MediaParameters;
use crate::limits::{AUDIO_REORDER_WAIT, KEY_FRAME_RETRY};
use crate::packet::RtpPacket;
use crate::queue::Events;
use crate::types::{Kind, TransceiverId};

/// Cuts the frames of one sent stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrameSender {
    /// Number of the next packet; the connection's first one is random by the SSRC.
    sequence: u16,
    picture: u16,
    pub(crate) frames: u64,
}

/// How a frame can't become packets.
fn refused(codec: &Codec, error: WriteError) -> Error {
    Error::MalformedFrame {
        codec: codec.name.clone(),
        reason: error.to_string(),
    }
}

impl FrameSender {
    pub(crate) fn new(sequence: u16) -> Self {
        FrameSender {
            sequence,
            ..Self::default()
        }
    }

    /// The packets of a frame, whose payloads have at most `max` octets. Nothing is counted before
    /// [`commit`](Self::commit).
    pub(crate) fn cut(
        &self,
        frame: &Frame,
        codec: &Codec,
        max: usize,
    ) -> Result<Vec<RtpPacket>, Error> {
        let mut payloads = Vec::with_capacity(frame.data.len() + frame.data.len() / 16 + 64);
        let mut ends = Vec::with_capacity(frame.data.len() / max.max(1) + 1);
        self.write(frame, codec, max, &mut payloads, &mut ends)
            .map_err(|error| match error {
                Some(error) => refused(codec, error),
                None => Error::NoPayloadFormat(codec.name.clone()),
            })?;
        let bytes = Bytes::from(payloads);
        let mut start = 0;
        let mut sequence = self.sequence;
        let mut packets = Vec::with_capacity(ends.len());
        for (end, marker) in ends {
            let mut packet = RtpPacket::new(
                frame.payload_type,
                sequence,
                frame.timestamp,
                marker,
                bytes.slice(start..end),
            );
            packet.encoding = frame.encoding;
            packets.push(packet);
            sequence = sequence.wrapping_add(1);
            start = end;
        }
        Ok(packets)
    }

    /// A frame was taken.
    pub(crate) fn commit(&mut self, packets: usize) {
        self.sequence = self.sequence.wrapping_add(packets as u16);
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        self.frames += 1;
    }

    /// `Err(None)`: there is no payload format for the codec here.
    fn write(
        &self,
        frame: &Frame,
        codec: &Codec,
        max: usize,
        out: &mut Vec<u8>,
        ends: &mut Vec<(usize, bool)>,
    ) -> Result<(), Option<WriteError>> {
        let data = &frame.data[..];
        if data.is_empty() {
            return Err(Some(WriteError::Field("frame")));
        }
        let mut all = |packetizer: &mut dyn Packetize| {
            while let Some(marker) = packetizer.write_next(out) {
                ends.push((out.len(), marker));
            }
        };
        let picture_id = Some(vp8::PictureId::Long(self.picture));
        if codec.is("VP8") {
            let descriptor = vp8::Descriptor {
                picture_id,
                ..Default::default()
            };
            all(&mut vp8::Packetizer::new(data, &descriptor, max)?);
        } else if codec.is("VP9") {
            // Flexible mode: a decoder that wants to know what a frame refers to is told the one before.
            let inter = !is_vp9_key_frame(data);
            let mut differences = ShortList::default();
            if inter {
                let _ = differences.push(1);
            }
            let descriptor = vp9::Descriptor {
                picture_id: Some(vp8::PictureId::Long(self.picture)),
                inter_picture: inter,
                differences: Some(differences),
                ..Default::default()
            };
            all(&mut vp9::Packetizer::new(
                data,
                &descriptor,
                None,
                true,
                max,
            )?);
        } else if codec.is("H264") {
            let mode = match codec.parameter("packetization-mode") {
                Some("1") => h264::PacketizationMode::NonInterleaved,
                _ => h264::PacketizationMode::SingleNalUnit,
            };
            all(&mut h264::Packetizer::new(data, mode, max)?);
        } else if codec.is("H265") {
            all(&mut h265::Packetizer::new(data, max)?);
        } else if codec.is("AV1") {
            all(&mut av1::Packetizer::new(data, max)?);
        } else if is_audio(codec) {
            if data.len() > max {
                return Err(Some(WriteError::TooMany(data.len())));
            }
            out.extend_from_slice(data);
            // RFC 3551 §4.1: the marker begins a talkspurt, which is the encoder's to know.
            ends.push((out.len(), false));
        } else {
            return Err(None);
        }
        if ends.is_empty() {
            return Err(Some(WriteError::Field("frame")));
        }
        Ok(())
    }
}

/// Codecs of which one frame is one payload.
fn is_audio(codec: &Codec) -> bool {
    ["opus", "PCMU", "PCMA", "G722", "L16", "CN"]
        .iter()
        .any(|name| codec.is(name))
}

/// `frame_type` of the uncompressed header (VP9 bitstream §6.2): after the marker, the profile and
/// `show_existing_frame`.
fn is_vp9_key_frame(data: &[u8]) -> bool {
    let Some(first) = data.first() else {
        return false;
    };
    let marker = first >> 6 == 2;
    // Profile 3 has a reserved bit in between.
    let flags = if first & 0x30 == 0x30 {
        first << 1
    } else {
        *first
    };
    marker && flags & 0x0c == 0
}

/// What is made of the payloads of one type.
#[derive(Debug)]
struct Format {
    payload_type: PayloadType,
    depacketizer: AnyDepacketizer,
    /// Number of its next packet: it is told of packets of media only, and of those that never came.
    next: u64,
    missing: u64,
}

/// A payload on its way to a format: that of a packet, or one that a packet carries along.
struct Part<'a> {
    payload_type: PayloadType,
    timestamp: u32,
    marker: bool,
    payload: &'a [u8],
    came: Instant,
}

/// Puts the frames of one received stream together.
#[derive(Debug)]
pub(crate) struct Assembly {
    reorder: ReorderBuffer<(Instant, Bytes)>,
    formats: Vec<Format>,
    /// Payload types that wrap others (RFC 2198), and what of sound was given already.
    wrappers: Vec<PayloadType>,
    redundancy: red::Receiver,
    /// How long packets wait for those before them.
    wait: Duration,
    /// Packets of media that never came.
    missing: u64,
    pub(crate) key_frame: KeyFrameRequester,
    video: bool,
    lost: u64,
    pub(crate) frames: u64,
    pub(crate) key_frames: u64,
    /// Of more than one packet, and how long these came in, summed up.
    pub(crate) of_several: u64,
    pub(crate) assembly_time: Duration,
    /// When the first and the last packet of the frame under way came.
    span: Option<(Instant, Instant)>,
    /// Octets of packets that wait for earlier ones.
    waiting: usize,
    /// Octets of the frame under way, and of the largest so far: the formats keep room for three of it.
    open: usize,
    largest: usize,
}

impl Assembly {
    pub(crate) fn new(parameters: &MediaParameters, target: Option<Duration>) -> Self {
        let video = parameters.kind == Kind::Video;
        let mut assembly = Assembly {
            reorder: ReorderBuffer::new(ReorderConfig::default()),
            formats: Vec::new(),
            wrappers: Vec::new(),
            redundancy: red::Receiver::new(),
            wait: REORDER_WAIT,
            missing: 0,
            key_frame: KeyFrameRequester::new(KEY_FRAME_RETRY),
            video,
            lost: 0,
            frames: 0,
            key_frames: 0,
            of_several: 0,
            assembly_time: Duration::ZERO,
            span: None,
            waiting: 0,
            open: 0,
            largest: 0,
        };
        assembly.set_target(target);
        assembly.configure(parameters);
        assembly
    }

    /// How long packets wait for those before them.
    pub(crate) fn set_target(&mut self, target: Option<Duration>) {
        let usual = if self.video {
            REORDER_WAIT
        } else {
            AUDIO_REORDER_WAIT
        };
        self.wait = target.unwrap_or(usual);
        self.reorder.set_max_wait(self.wait);
    }

    /// Learns payload types; those known keep what they hold.
    pub(crate) fn configure(&mut self, parameters: &MediaParameters) {
        for codec in &parameters.receive_codecs {
            let Some(payload_type) = PayloadType::new(codec.payload_type) else {
                continue;
            };
            if codec.is("red") {
                if !self.wrappers.contains(&payload_type) {
                    self.wrappers.push(payload_type);
                }
                continue;
            }
            if self.formats.iter().any(|f| f.payload_type == payload_type) {
                continue;
            }
            if let Some(depacketizer) = AnyDepacketizer::for_encoding(&codec.name) {
                self.formats.push(Format {
                    payload_type,
                    depacketizer,
                    next: 0,
                    missing: self.missing,
                });
            }
        }
    }

    /// A packet with its unwrapped number.
    pub(crate) fn insert(&mut self, now: Instant, sequence: u64, packet: Bytes) {
        let (len, before) = (packet.len(), self.reorder.len());
        self.reorder.insert(now, sequence, len, (now, packet));
        if self.reorder.len() > before {
            self.waiting += len;
        }
    }

    /// Octets in use.
    pub(crate) fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.waiting + 3 * self.largest
    }

    /// The sender began anew.
    pub(crate) fn restart(&mut self) {
        self.reorder.reset();
        self.redundancy = red::Receiver::new();
        self.missing += 1;
        self.waiting = 0;
        self.want_key_frame();
    }

    pub(crate) fn want_key_frame(&mut self) {
        if self.video {
            self.key_frame.request();
        }
    }

    /// Gives the frames that are whole; returns the number of the packet before which everything was given up, if some
    /// was.
    pub(crate) fn drain(
        &mut self,
        now: Instant,
        (transceiver, ssrc, encoding): (TransceiverId, u32, u8),
        events: &mut Events,
    ) -> Option<u64> {
        let about = (transceiver, ssrc, encoding);
        let mut given_up = None;
        while let Some(delivery) = self.next(now) {
            let (came, packet) = &delivery.packet;
            self.waiting = self.waiting.saturating_sub(packet.len());
            self.open = (self.open + packet.len()).min(tincan_rtp::limits::MAX_FRAME);
            self.largest = self.largest.max(self.open);
            if delivery.lost_before > 0 {
                given_up = Some(delivery.sequence);
            }
            let Ok(view) = Packet::parse(packet) else {
                self.lose(delivery.lost_before + 1);
                continue;
            };
            let wraps = self.wrappers.contains(&view.payload_type());
            if wraps && !self.video {
                self.take_redundant(&view, *came, delivery.lost_before, about, events);
                continue;
            }
            self.lose(delivery.lost_before);
            let mut part = Part {
                payload_type: view.payload_type(),
                timestamp: view.timestamp(),
                marker: view.marker(),
                payload: view.payload(),
                came: *came,
            };
            if wraps && !part.payload.is_empty() {
                let Ok(wrapped) = red::Payload::parse(part.payload) else {
                    // What wraps nothing is as good as lost.
                    self.lose(1);
                    continue;
                };
                let inside = wrapped.primary();
                (part.payload_type, part.payload) = (inside.payload_type, inside.data);
            }
            self.redundancy.on_plain(part.timestamp);
            self.take(&part, about, events);
        }
        given_up
    }

    /// The next packet in order. One that carries along all that is missing before it waits for nothing.
    fn next(&mut self, now: Instant) -> Option<tincan_rtp::receive::Delivery<(Instant, Bytes)>> {
        let missing = self
            .reorder
            .first()
            .filter(|_| !self.video && !self.wrappers.is_empty());
        let carried = missing.is_some_and(|(missing, (_, packet))| {
            let view = Packet::parse(packet).ok();
            let view = view.filter(|v| self.wrappers.contains(&v.payload_type()));
            let blocks = view.and_then(|v| {
                let red = red::Payload::parse(v.payload()).ok()?;
                let carried = |b: &red::Block<'_>| b.timestamp_offset > 0 && !b.data.is_empty();
                Some(red.blocks().filter(carried).count())
            });
            missing > 0 && blocks.is_some_and(|blocks| blocks >= missing)
        });
        if carried {
            self.reorder.set_max_wait(Duration::ZERO);
        }
        let delivery = self.reorder.poll(now);
        if carried {
            self.reorder.set_max_wait(self.wait);
        }
        delivery
    }

    /// Packets of media will not come any more.
    fn lose(&mut self, packets: u64) {
        if packets > 0 {
            self.lost += packets;
            self.missing += packets;
            self.want_key_frame();
        }
    }

    /// Gives the sound of a packet, and of those before it that were lost, as far as it carries them along.
    fn take_redundant(
        &mut self,
        view: &Packet<'_>,
        came: Instant,
        lost: u64,
        about: (TransceiverId, u32, u8),
        events: &mut Events,
    ) {
        let blocks: Vec<_> = match self.redundancy.on_packet(view.timestamp(), view.payload()) {
            Ok(blocks) => blocks.collect(),
            Err(_) => Vec::new(),
        };
        let carried = blocks
            .iter()
            .filter(|(_, b)| b.timestamp_offset > 0)
            .count();
        self.lose(lost.saturating_sub(carried as u64));
        for (timestamp, block) in blocks {
            let part = Part {
                payload_type: block.payload_type,
                timestamp,
                marker: view.marker(),
                payload: block.data,
                came,
            };
            self.take(&part, about, events);
        }
    }

    /// Gives a payload to its format, and the application the frames that are whole by it. Padding, and what repairs
    /// others, is of no format.
    fn take(
        &mut self,
        part: &Part<'_>,
        (transceiver, ssrc, encoding): (TransceiverId, u32, u8),
        events: &mut Events,
    ) {
        if part.payload.is_empty() {
            return;
        }
        let Some(format) = self
            .formats
            .iter_mut()
            .find(|f| f.payload_type == part.payload_type)
        else {
            return;
        };
        format.next += self.missing - format.missing;
        format.missing = self.missing;
        let input = Input {
            sequence: format.next,
            timestamp: part.timestamp,
            marker: part.marker,
            payload: part.payload,
        };
        format.next += 1;
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(part.came), last.max(part.came)),
            None => (part.came, part.came),
        });
        if format.depacketizer.push(&input).is_err() && self.video {
            self.key_frame.request();
        }
        while let Some(frame) = format.depacketizer.poll_frame() {
            self.open = 0;
            let key_frame = frame.info.is_key_frame();
            if key_frame {
                self.key_frame.on_key_frame();
            }
            self.frames += 1;
            if let Some((first, last)) = self.span.take()
                && frame.first_sequence < frame.last_sequence
            {
                self.of_several += 1;
                self.assembly_time += last.saturating_duration_since(first);
            }
            self.key_frames += u64::from(key_frame && !matches!(frame.info, FrameInfo::Audio));
            events.push_back(Event::Frame {
                transceiver,
                frame: Frame {
                    payload_type: part.payload_type.get(),
                    timestamp: frame.timestamp,
                    encoding,
                    data: Bytes::copy_from_slice(frame.data),
                    key_frame,
                    lost_before: core::mem::take(&mut self.lost),
                    ssrc,
                },
            });
        }
    }

    /// Frames dropped because a packet of theirs never came.
    pub(crate) fn dropped(&self) -> u64 {
        self.formats
            .iter()
            .map(|f| f.depacketizer.stats().dropped_frames)
            .sum()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.reorder.poll_timeout()
    }
}

/// Octets of an RTP packet beside its payload, at most: header 12, our extensions 64, SRTP tag 16, RTX 2, a TURN Send
/// indication 36.
const OVERHEAD: usize = 130;

/// Longest payload of a packet so that the datagram around it has at most `max_datagram`.
pub(crate) fn max_payload(max_datagram: usize) -> usize {
    max_datagram.saturating_sub(OVERHEAD).max(400)
}

/// Round trips that are shorter don't make requests more frequent than this.
pub(crate) const MIN_ROUND_TRIP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp9_headers_tell_key_frames() {
        for (octets, key) in [
            (0b1000_0010u8, true), // profile 0, key
            (0b1000_0110, false),  // profile 0, inter
            (0b1000_1000, false),  // profile 0, show_existing_frame
            (0b1010_0010, true),   // profile 1, key
            (0b1011_0001, true),   // profile 3, key
            (0b1011_0011, false),  // profile 3, inter
            (0b0000_0000, false),  // no frame
        ] {
            assert_eq!(is_vp9_key_frame(&[octets]), key, "{octets:08b}");
        }
    }

    #[test]
    fn a_frame_of_an_unknown_codec_is_refused_by_name() {
        let frame = Frame::new(96, 0, vec![1, 2, 3]);
        let codec = Codec::new(96, "theora", 90_000);
        assert_eq!(
            FrameSender::new(0).cut(&frame, &codec, 1000),
            Err(Error::NoPayloadFormat("theora".into()))
        );
        let empty = Frame::new(96, 0, Vec::new());
        let vp8 = Codec::new(96, "VP8", 90_000);
        assert!(matches!(
            FrameSender::new(0).cut(&empty, &vp8, 1000),
            Err(Error::MalformedFrame { .. })
        ));
    }
}
