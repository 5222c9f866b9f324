//! Frames to packets and back: the payload formats of `tincan-rtp` at the ends of a track.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, Input, Packetize, av1, h264, h265, red, vp8, vp9,
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
    /// Frames dropped for which a key frame was asked for.
    dropped: u64,
}

/// What was made of a received stream so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameCounts {
    pub(crate) frames: u64,
    /// Of more than one packet, and how long these came in, summed up.
    pub(crate) of_several: u64,
    pub(crate) assembly_time: Duration,
    /// Dropped because a packet of theirs never came.
    pub(crate) dropped: u64,
    /// Packets that no frame told of as lost before it.
    lost: u64,
}

/// When the first and the last packet of a frame came.
#[derive(Debug, Clone, Copy)]
struct Span {
    timestamp: u32,
    first: Instant,
    last: Instant,
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
    /// A key frame came: what does not begin with one can't be decoded, whether or not something of it was lost.
    begun: bool,
    video: bool,
    lost: u64,
    counts: FrameCounts,
    /// The frame under way.
    span: Option<Span>,
    /// Octets of packets that wait for earlier ones.
    waiting: usize,
    /// Octets of the frame under way, and of the largest so far: the formats keep room for three of it.
    open: usize,
    largest: usize,
}

impl Assembly {
    /// Goes on counting from `counts`.
    pub(crate) fn new(
        parameters: &MediaParameters,
        target: Option<Duration>,
        counts: FrameCounts,
    ) -> Self {
        let video = parameters.kind == Kind::Video;
        let mut assembly = Assembly {
            reorder: ReorderBuffer::new(ReorderConfig::default()),
            formats: Vec::new(),
            wrappers: Vec::new(),
            redundancy: red::Receiver::new(),
            wait: REORDER_WAIT,
            missing: 0,
            key_frame: KeyFrameRequester::new(KEY_FRAME_RETRY),
            begun: false,
            video,
            lost: counts.lost,
            counts,
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
                    dropped: 0,
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

    /// Gives up what is under way and the room that it takes; [`assemble`](Self::assemble) goes on with what comes.
    pub(crate) fn shed(&mut self) {
        let waiting = self.reorder.len() as u64;
        self.counts = self.counts();
        self.formats = Vec::new();
        self.reorder = ReorderBuffer::new(ReorderConfig::default());
        self.reorder.set_max_wait(self.wait);
        self.redundancy = red::Receiver::new();
        (self.waiting, self.open, self.largest) = (0, 0, 0);
        // What a frame had already is as lost as what waits. Where nothing was under way, the formats that are made anew
        // can't tell that the next packet begins a frame.
        let begun = self.span.take().is_some();
        self.lose((waiting + u64::from(begun)).max(1));
    }

    /// A packet with its unwrapped number, of a stream with these parameters.
    pub(crate) fn assemble(
        &mut self,
        now: Instant,
        sequence: u64,
        packet: Bytes,
        parameters: &MediaParameters,
    ) {
        if self.formats.is_empty() {
            self.configure(parameters);
        }
        self.insert(now, sequence, packet);
    }

    /// Whether it has room for more than itself.
    pub(crate) fn holds(&self) -> bool {
        self.waiting + self.largest > 0
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
            if delivery.lost_before > 0 {
                given_up = Some(delivery.sequence);
            }
            let Ok(view) = Packet::parse(packet) else {
                self.lose(delivery.lost_before + 1);
                continue;
            };
            let input = Input {
                sequence: delivery.sequence,
                timestamp: view.timestamp(),
                marker: view.marker(),
                payload: view.payload(),
            };
            if input.payload.is_empty() || !self.wrappers.contains(&view.payload_type()) {
                self.lose(delivery.lost_before);
                self.redundancy.on_plain(input.timestamp);
                self.take(view.payload_type(), &input, *came, about, events);
                continue;
            }
            // Packets of video share timestamps: what came along could not be told from what came.
            let carry = if self.video { 0 } else { delivery.lost_before };
            let Ok((carried, payloads)) = self.redundancy.on_packet(&input, carry) else {
                // What wraps nothing is as good as lost.
                self.lose(delivery.lost_before + 1);
                continue;
            };
            self.lose(delivery.lost_before - carried);
            for (payload_type, input) in payloads {
                self.take(payload_type, &input, *came, about, events);
            }
        }
        given_up
    }

    /// The next packet in order. One that carries along all that is missing before it waits for nothing.
    fn next(&mut self, now: Instant) -> Option<tincan_rtp::receive::Delivery<(Instant, Bytes)>> {
        let first = self.reorder.first().filter(|_| !self.video);
        let repaired = first.is_some_and(|(missing, (_, packet))| {
            let view = Packet::parse(packet).ok().filter(|_| missing > 0);
            let view = view.filter(|v| self.wrappers.contains(&v.payload_type()));
            view.is_some_and(|v| self.redundancy.carried(v.timestamp(), v.payload()) >= missing)
        });
        if repaired {
            self.reorder.give_up_missing();
        }
        self.reorder.poll(now)
    }

    /// Packets of media will not come any more.
    fn lose(&mut self, packets: u64) {
        if packets > 0 {
            self.lost += packets;
            self.missing += packets;
            self.want_key_frame();
        }
    }

    /// Gives a payload to its format, and the application the frames that are whole by it. Padding, and what repairs
    /// others, is of no format.
    fn take(
        &mut self,
        payload_type: PayloadType,
        part: &Input<'_>,
        came: Instant,
        (transceiver, ssrc, encoding): (TransceiverId, u32, u8),
        events: &mut Events,
    ) {
        if part.payload.is_empty() {
            return;
        }
        let Some(format) = self
            .formats
            .iter_mut()
            .find(|f| f.payload_type == payload_type)
        else {
            return;
        };
        format.next += self.missing - format.missing;
        format.missing = self.missing;
        let input = Input {
            sequence: format.next,
            ..*part
        };
        format.next += 1;
        // A frame before this one is whole now or never.
        let mut before = self.span.filter(|s| s.timestamp != part.timestamp);
        if before.is_some() {
            self.open = 0;
        }
        let same = self.span.filter(|s| s.timestamp == part.timestamp);
        let mut under_way = Some(Span {
            timestamp: part.timestamp,
            first: same.map_or(came, |s| s.first.min(came)),
            last: same.map_or(came, |s| s.last.max(came)),
        });
        self.open += part.payload.len() + tincan_rtp::FIXED_HEADER;
        self.open = self.open.min(tincan_rtp::limits::MAX_FRAME);
        self.largest = self.largest.max(self.open);
        let wrong = format.depacketizer.push(&input).is_err();
        let dropped = format.depacketizer.stats().dropped_frames;
        let drops = core::mem::replace(&mut format.dropped, dropped) < dropped;
        if drops {
            // Where the beginning of the stream did not come, no gap tells of it.
            self.lost = self.lost.max(1);
        }
        if (wrong || drops) && self.video {
            self.key_frame.request();
        }
        while let Some(frame) = format.depacketizer.poll_frame() {
            let span = match frame.timestamp == part.timestamp {
                true => {
                    self.open = 0;
                    under_way.take()
                }
                false => before.take(),
            };
            let key_frame = frame.info.is_key_frame();
            if key_frame {
                self.begun = true;
                self.key_frame.on_key_frame();
            } else if self.video && !self.begun {
                self.key_frame.request();
            }
            self.counts.frames += 1;
            if let Some(Span { first, last, .. }) = span
                && frame.first_sequence < frame.last_sequence
            {
                self.counts.of_several += 1;
                self.counts.assembly_time += last.saturating_duration_since(first);
            }
            events.push_back(Event::Frame {
                transceiver,
                frame: Frame {
                    payload_type: payload_type.get(),
                    timestamp: frame.timestamp,
                    encoding,
                    data: Bytes::copy_from_slice(frame.data),
                    key_frame,
                    lost_before: core::mem::take(&mut self.lost),
                    ssrc,
                },
            });
        }
        self.span = under_way;
    }

    /// What was made so far.
    pub(crate) fn counts(&self) -> FrameCounts {
        let dropped = self.formats.iter().map(|f| f.depacketizer.stats());
        FrameCounts {
            dropped: self.counts.dropped + dropped.map(|s| s.dropped_frames).sum::<u64>(),
            lost: self.lost,
            ..self.counts
        }
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
    use crate::types::Direction;

    const MS: Duration = Duration::from_millis(1);

    /// Video of VP8 with payload type 96.
    fn vp8() -> MediaParameters {
        MediaParameters {
            mid: "0".into(),
            kind: Kind::Video,
            send_codecs: Vec::new(),
            receive_codecs: vec![Codec::new(96, "VP8", 90_000)],
            extensions: Vec::new(),
            remote_ssrcs: Vec::new(),
            remote_groups: Vec::new(),
            remote_rids: Vec::new(),
            send_rids: Vec::new(),
            reduced_size: true,
            max_ptime: None,
            max_bitrate: None,
            direction: Direction::RecvOnly,
        }
    }

    /// What an assembly gets: packets of VP8 key frames that are `ms` apart.
    struct Feed {
        assembly: Assembly,
        parameters: MediaParameters,
        start: Instant,
        events: Events,
    }

    impl Feed {
        fn new() -> Self {
            let parameters = vp8();
            Feed {
                assembly: Assembly::new(&parameters, None, FrameCounts::default()),
                parameters,
                start: Instant::now(),
                events: Events::default(),
            }
        }

        /// A packet with `payload_type` at `at` ms: the first of its frame, the last, both or none. Frames that are whole
        /// by it: what they tell of losses.
        fn packet(
            &mut self,
            at: u32,
            payload_type: u8,
            sequence: u16,
            timestamp: u32,
            (first, last): (bool, bool),
        ) -> Vec<u64> {
            let mut packet = vec![0x80, payload_type | if last { 0x80 } else { 0 }];
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.extend_from_slice(&timestamp.to_be_bytes());
            packet.extend_from_slice(&7u32.to_be_bytes());
            packet.push(if first { 0x10 } else { 0 });
            packet.extend_from_slice(&[0; 999]);
            self.give(at, sequence, packet)
        }

        fn give(&mut self, at: u32, sequence: u16, packet: Vec<u8>) -> Vec<u64> {
            let now = self.start + at * MS;
            let (packet, number) = (Bytes::from(packet), u64::from(sequence));
            self.assembly
                .assemble(now, number, packet, &self.parameters);
            let id = crate::types::TransceiverId(0);
            self.assembly.drain(now, (id, 7, 0), &mut self.events);
            let news = core::iter::from_fn(|| self.events.pop_front());
            let frames = news.filter_map(|event| match event {
                Event::Frame { frame, .. } => Some(frame.lost_before),
                _ => None,
            });
            frames.collect()
        }
    }

    #[test]
    fn a_frame_that_never_ends_counts_for_none_after_it() {
        let mut feed = Feed::new();
        // The end of the first, number 2, does not come; what follows waits for it.
        assert!(feed.packet(0, 96, 1, 1_000, (true, false)).is_empty());
        assert!(feed.packet(500, 96, 3, 46_000, (true, false)).is_empty());
        assert!(feed.packet(510, 96, 4, 46_000, (false, true)).is_empty());
        let frames = feed.packet(9_000, 96, 5, 90_000, (true, true));
        assert_eq!(frames.iter().sum::<u64>(), 1);
        let counts = feed.assembly.counts();
        assert_eq!((counts.frames, counts.of_several), (2, 1));
        assert_eq!(counts.assembly_time, 10 * MS);
    }

    /// Frames that refer to others, of which nothing that came tells that it is missing.
    #[test]
    fn a_stream_that_begins_without_a_key_frame_asks_for_one() {
        let delta = |feed: &mut Feed, sequence| {
            let mut packet = vec![0x80, 0xe0];
            packet.extend_from_slice(&u16::to_be_bytes(sequence));
            packet.extend_from_slice(&(u32::from(sequence) * 3_000).to_be_bytes());
            packet.extend_from_slice(&7u32.to_be_bytes());
            packet.extend_from_slice(&[0x10, 1, 0, 0]);
            feed.give(0, sequence, packet)
        };
        // The first packet of the key frame did not come, or came later.
        let mut feed = Feed::new();
        feed.packet(0, 96, 2, 1_000, (false, true));
        assert!(feed.assembly.key_frame.is_waiting());
        feed.packet(0, 96, 1, 1_000, (true, false));
        assert_eq!(delta(&mut feed, 3), [1]);
        assert!(feed.assembly.key_frame.is_waiting());
        assert_eq!(feed.packet(0, 96, 4, 12_000, (true, true)), [0]);
        assert!(!feed.assembly.key_frame.is_waiting());
        assert_eq!(delta(&mut feed, 5), [0]);
        assert!(!feed.assembly.key_frame.is_waiting());
        // Somebody forwards from the middle on.
        let mut feed = Feed::new();
        assert_eq!(delta(&mut feed, 3), [0]);
        assert!(feed.assembly.key_frame.is_waiting());
    }

    #[test]
    fn what_is_of_no_frame_takes_no_room() {
        let mut feed = Feed::new();
        let idle = feed.assembly.memory_usage();
        for sequence in 1..100 {
            feed.packet(0, 97, sequence, 1_000, (true, false));
        }
        assert_eq!(feed.assembly.memory_usage(), idle);
    }

    #[test]
    fn what_is_shed_is_counted_and_asked_for_until_a_key_frame_comes() {
        let mut feed = Feed::new();
        let idle = feed.assembly.memory_usage();
        assert_eq!(feed.packet(0, 96, 1, 1_000, (true, true)), [0]);
        feed.packet(0, 96, 2, 4_000, (true, false));
        // One that waits for those before it.
        feed.packet(0, 96, 5, 7_000, (true, true));
        assert!(feed.assembly.memory_usage() > idle);
        feed.assembly.shed();
        assert_eq!(feed.assembly.memory_usage(), idle);
        assert_eq!(feed.assembly.counts().frames, 1);
        let mut asked = 0;
        let mut out = Vec::new();
        for at in 0..10 {
            let now = feed.start + at * KEY_FRAME_RETRY;
            let ssrc = tincan_rtp::Ssrc(7);
            asked += u8::from(feed.assembly.key_frame.poll_pli(now, ssrc, ssrc, &mut out));
        }
        assert!(asked > 5, "{asked}");
        assert_eq!(feed.packet(9_000, 96, 9, 9_000, (true, true)), [2]);
        assert!(!feed.assembly.key_frame.is_waiting());
        assert_eq!(feed.assembly.counts().frames, 2);
    }

    /// Formats made anew don't know where frames begin: the next one may be dropped, which nobody else tells of.
    #[test]
    fn what_is_shed_between_frames_is_told_of_too() {
        let mut feed = Feed::new();
        assert_eq!(feed.packet(0, 96, 1, 1_000, (true, true)), [0]);
        feed.assembly.shed();
        assert!(feed.assembly.key_frame.is_waiting());
        assert_eq!(feed.packet(10, 96, 2, 4_000, (true, true)), [1]);
    }

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
