//! All that one received media stream needs, composed: packets in, whole frames and feedback out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::clock::NtpTime;
use crate::error::ParseError;
use crate::format::telephone_event::{EventNews, EventReceiver};
use crate::format::{AnyDepacketizer, AssemblerStats, Depacketize, Frame, FrameInfo, Input, red};
use crate::limits::{HEARD_EVENTS, MAX_DROPOUT};
use crate::packet::Packet;
use crate::receive::{
    KeyFrameRequester, NackConfig, NackGenerator, NackStats, PlayoutConfig, PlayoutEstimator,
    ReorderBuffer, ReorderConfig, ReorderStats, SequenceOutcome, StreamStatistics,
};
use crate::rtcp::ReportBlock;
use crate::rtx;
use crate::sequence::{SequenceNumber, SequenceUnwrapper};
use crate::types::{PayloadType, Ssrc};

/// Time between two requests for a key frame: a round trip and the encoding of one.
const KEY_FRAME_RETRY: Duration = Duration::from_millis(300);

/// What a [`StreamReceiver`] is made of.
#[derive(Clone, Debug)]
pub struct StreamReceiverConfig {
    /// The stream.
    pub ssrc: Ssrc,
    /// Clock rate of its timestamps in Hz.
    pub clock_rate: u32,
    /// Whether frames refer to others: a key frame is needed at first, and after a loss. Video.
    pub key_frames: bool,
    /// Bounds of the reorder buffer.
    pub reorder: ReorderConfig,
    /// How missing packets are asked for; `None` when NACK was not negotiated.
    pub nack: Option<NackConfig>,
    /// How playout is advised.
    pub playout: PlayoutConfig,
}

impl StreamReceiverConfig {
    /// Defaults for a stream of video: NACK, key frames asked for.
    pub fn video(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            clock_rate: 90_000,
            key_frames: true,
            reorder: ReorderConfig::default(),
            nack: Some(NackConfig::default()),
            playout: PlayoutConfig::default(),
        }
    }

    /// Defaults for a stream of sound: no NACK, a short wait.
    pub fn audio(ssrc: Ssrc, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            key_frames: false,
            reorder: ReorderConfig {
                max_wait: Duration::from_millis(80),
                ..ReorderConfig::default()
            },
            nack: None,
            playout: PlayoutConfig::default(),
        }
    }
}

/// Counts of a [`StreamReceiver`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamReceiverStats {
    /// Packets in and out of the reorder buffer.
    pub reorder: ReorderStats,
    /// Requests for missing packets.
    pub nack: NackStats,
    /// Frames, of all payload types together. Missing packets are counted once, and not those whose sound came along in RED.
    pub frames: AssemblerStats,
    /// Packets of payload types nobody told of, and such that were no RTP.
    pub unknown_packets: u64,
    /// Packets that came as retransmissions.
    pub retransmitted: u64,
    /// Retransmissions of what nobody can have missed: from before the stream's first packet came, or further ahead than
    /// packets wait for others, or a loss can be ([`MAX_DROPOUT`]).
    pub refused: u64,
}

/// What is made of the packets of one payload type.
#[derive(Debug)]
struct Format {
    payload_type: PayloadType,
    depacketizer: AnyDepacketizer,
    /// The stream's losses that it knows of.
    lost: u64,
    /// Frames dropped for which a key frame was asked for.
    dropped: u64,
}

/// A block of a RED packet on its way to its format.
#[derive(Debug)]
struct Part {
    payload_type: PayloadType,
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Bytes,
}

/// One received media stream.
#[derive(Debug)]
pub struct StreamReceiver {
    config: StreamReceiverConfig,
    statistics: StreamStatistics,
    unwrapper: SequenceUnwrapper,
    reorder: ReorderBuffer<Bytes>,
    nack: Option<NackGenerator>,
    key_frame: KeyFrameRequester,
    /// A key frame came: what does not begin with one can't be decoded, whether or not something of it was lost.
    begun: bool,
    playout: PlayoutEstimator,
    /// One a payload type: a handful.
    formats: Vec<Format>,
    /// Payload types that wrap others (RFC 2198), what of sound was given already, and the blocks of the packet at hand.
    wrappers: Vec<PayloadType>,
    redundancy: red::Receiver,
    parts: VecDeque<Part>,
    /// Payload types of telephone events, and what is heard of them.
    event_types: Vec<PayloadType>,
    event_receiver: EventReceiver,
    events: VecDeque<EventNews>,
    /// Packets that never came, and restarts: what formats have to know of. Only packets are counted for the caller.
    losses: u64,
    lost_packets: u64,
    /// Retransmission payload types, and what they stand for.
    retransmissions: Vec<(PayloadType, PayloadType)>,
    unknown_packets: u64,
    retransmitted: u64,
    refused: u64,
    last_timestamp: Option<u32>,
    /// The packet beyond a large jump: the first of a sender that began anew, if the next one follows it.
    suspicious: Option<Bytes>,
    round_trip: Option<Duration>,
}

impl StreamReceiver {
    /// A receiver that has seen nothing and knows no payload types.
    pub fn new(config: StreamReceiverConfig, now: Instant) -> Self {
        Self {
            statistics: StreamStatistics::new(config.ssrc, config.clock_rate),
            unwrapper: SequenceUnwrapper::new(),
            reorder: ReorderBuffer::new(config.reorder),
            nack: config.nack.map(NackGenerator::new),
            key_frame: KeyFrameRequester::new(KEY_FRAME_RETRY),
            begun: false,
            playout: PlayoutEstimator::new(config.playout, config.clock_rate, now),
            formats: Vec::new(),
            wrappers: Vec::new(),
            redundancy: red::Receiver::new(),
            parts: VecDeque::new(),
            event_types: Vec::new(),
            event_receiver: EventReceiver::new(),
            events: VecDeque::new(),
            losses: 0,
            lost_packets: 0,
            retransmissions: Vec::new(),
            unknown_packets: 0,
            retransmitted: 0,
            refused: 0,
            last_timestamp: None,
            suspicious: None,
            round_trip: None,
            config,
        }
    }

    /// Has packets of a payload type go into `depacketizer`.
    pub fn set_format(&mut self, payload_type: PayloadType, depacketizer: AnyDepacketizer) {
        self.forget(payload_type);
        self.formats.push(Format {
            payload_type,
            depacketizer,
            lost: self.losses,
            dropped: 0,
        });
    }

    /// Has packets of a payload type taken for what its encoding name of SDP (`a=rtpmap`) says: a format of
    /// [`AnyDepacketizer::for_encoding`]; `red`, whose blocks go to the formats of their payload types, of sound also
    /// those of packets that were lost (of video, where it wraps FEC, the newest only); or `telephone-event`, for
    /// [`poll_event`](Self::poll_event). Returns whether it knows the name.
    pub fn set_encoding(&mut self, payload_type: PayloadType, name: &str) -> bool {
        if let Some(depacketizer) = AnyDepacketizer::for_encoding(name) {
            self.set_format(payload_type, depacketizer);
        } else if name.eq_ignore_ascii_case("red") {
            self.forget(payload_type);
            self.wrappers.push(payload_type);
        } else if name.eq_ignore_ascii_case("telephone-event") {
            self.forget(payload_type);
            self.event_types.push(payload_type);
        } else {
            return false;
        }
        true
    }

    fn forget(&mut self, payload_type: PayloadType) {
        self.formats.retain(|f| f.payload_type != payload_type);
        self.wrappers.retain(|pt| *pt != payload_type);
        self.event_types.retain(|pt| *pt != payload_type);
    }

    /// Has retransmissions of the type `rtx` stand for packets of `media` (`apt` of SDP).
    pub fn set_retransmission(&mut self, rtx: PayloadType, media: PayloadType) {
        self.retransmissions.retain(|(pt, _)| *pt != rtx);
        self.retransmissions.push((rtx, media));
    }

    /// Tells the round-trip time.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
        if let Some(nack) = &mut self.nack {
            nack.set_round_trip(round_trip);
        }
        self.key_frame.set_retry(KEY_FRAME_RETRY.max(round_trip));
    }

    /// A packet of the stream came, decrypted.
    ///
    /// # Errors
    /// [`ParseError`] when it is no RTP packet; it is counted and dropped.
    pub fn on_packet(&mut self, now: Instant, packet: Bytes) -> Result<(), ParseError> {
        let view = match Packet::parse(&packet) {
            Ok(view) => view,
            Err(error) => {
                self.unknown_packets += 1;
                return Err(error);
            }
        };
        let (number, timestamp) = (view.sequence_number(), view.timestamp());
        let outcome = self
            .statistics
            .on_packet(now, number, timestamp, view.payload().len());
        match outcome {
            SequenceOutcome::Suspicious => {
                self.suspicious = Some(packet);
                return Ok(());
            }
            SequenceOutcome::Restarted => self.restart(now, number, timestamp),
            SequenceOutcome::Ahead { .. } => {
                self.suspicious = None;
                // An event's timestamp is its beginning, whenever its packets are sent.
                let tells_time = !self.event_types.contains(&view.payload_type());
                if tells_time && self.last_timestamp != Some(timestamp) {
                    self.playout.on_packet(now, timestamp);
                    self.last_timestamp = Some(timestamp);
                }
            }
            SequenceOutcome::Behind => {}
        }
        self.insert(now, number, packet);
        Ok(())
    }

    /// A packet of the stream's retransmission stream came, decrypted.
    ///
    /// # Errors
    /// [`ParseError`] when it is no retransmission of a known payload type; it is counted and
    /// dropped. A packet of padding only, as probes are, is fine and ignored.
    pub fn on_retransmission(
        &mut self,
        now: Instant,
        mut packet: BytesMut,
    ) -> Result<(), ParseError> {
        let result = self.unwrap(&mut packet);
        match result {
            Err(error) => {
                self.unknown_packets += 1;
                Err(error)
            }
            Ok(false) => Ok(()),
            Ok(true) => {
                self.retransmitted += 1;
                let number = Packet::parse(&packet)?.sequence_number();
                // One number further ahead than packets wait for others would make all that come by themselves too late.
                let span = self.config.reorder.max_packets.saturating_sub(1);
                let furthest = span.min(usize::from(MAX_DROPOUT)) as u64;
                let (ahead, highest) = (self.unwrapper.peek(number), self.unwrapper.highest());
                if highest.is_none_or(|h| ahead > h + furthest) {
                    self.refused += 1;
                    return Ok(());
                }
                self.insert(now, number, packet.freeze());
                Ok(())
            }
        }
    }

    fn unwrap(&self, packet: &mut BytesMut) -> Result<bool, ParseError> {
        let view = Packet::parse(packet)?;
        if view.payload().is_empty() {
            return Ok(false);
        }
        let media = self
            .retransmissions
            .iter()
            .find(|(rtx, _)| *rtx == view.payload_type())
            .map(|(_, media)| *media)
            .ok_or(ParseError::Kind)?;
        let at = rtx::unwrap_in_place(packet, self.config.ssrc, media)?;
        packet.advance(at);
        Ok(true)
    }

    fn insert(&mut self, now: Instant, number: SequenceNumber, packet: Bytes) {
        let sequence = self.unwrapper.unwrap(number);
        if let Some(nack) = &mut self.nack {
            nack.on_packet(now, sequence);
            if nack.take_key_frame_needed() && self.config.key_frames {
                self.key_frame.request();
            }
        }
        self.reorder.insert(now, sequence, packet.len(), packet);
    }

    /// The sender began anew with other sequence numbers; the second packet of them came.
    fn restart(&mut self, now: Instant, second: SequenceNumber, timestamp: u32) {
        // Formats take numbers that grow, and must not take the old and the new for one frame.
        self.unwrapper.restart();
        self.losses += 1;
        self.reorder.reset();
        self.parts.clear();
        self.redundancy = red::Receiver::new();
        self.events.extend(self.event_receiver.end());
        self.playout.reset(now);
        self.playout.on_packet(now, timestamp);
        self.last_timestamp = Some(timestamp);
        if let Some(nack) = &mut self.nack {
            nack.reset();
        }
        if self.config.key_frames {
            self.key_frame.request();
        }
        if let Some(first) = self.suspicious.take() {
            self.insert(now, second.add(u16::MAX), first);
        }
    }

    /// The next whole frame. To be called until it gives none, after packets came and when
    /// [`poll_timeout`](Self::poll_timeout) says so.
    pub fn poll_frame(&mut self, now: Instant) -> Option<Frame<'_, FrameInfo>> {
        let at = loop {
            if let Some(at) = self.formats.iter().position(|f| f.depacketizer.has_frame()) {
                break at;
            }
            if let Some(part) = self.parts.pop_front() {
                let input = Input {
                    sequence: part.sequence,
                    timestamp: part.timestamp,
                    marker: part.marker,
                    payload: &part.payload,
                };
                self.take(part.payload_type, &input);
                continue;
            }
            if self.is_repaired() {
                self.reorder.give_up_missing();
            }
            let delivery = self.reorder.poll(now)?;
            if delivery.lost_before > 0
                && let Some(nack) = &mut self.nack
            {
                nack.give_up_before(delivery.sequence);
            }
            let Ok(view) = Packet::parse(&delivery.packet) else {
                self.lose(delivery.lost_before + 1);
                continue;
            };
            let input = Input {
                sequence: delivery.sequence,
                timestamp: view.timestamp(),
                marker: view.marker(),
                payload: view.payload(),
            };
            let wraps = self.wrappers.contains(&view.payload_type());
            if wraps && !input.payload.is_empty() {
                self.open(&input, &delivery.packet, delivery.lost_before);
                continue;
            }
            self.lose(delivery.lost_before);
            // What should wrap others and has no payload is padding.
            if !wraps {
                self.redundancy.on_plain(input.timestamp);
                self.take(view.payload_type(), &input);
            }
        };
        let frame = self.formats.get_mut(at)?.depacketizer.poll_frame()?;
        if frame.info.is_key_frame() {
            self.begun = true;
            self.key_frame.on_key_frame();
        } else if self.config.key_frames && !self.begun {
            self.key_frame.request();
        }
        Some(frame)
    }

    /// Packets will not come any more.
    fn lose(&mut self, packets: u64) {
        if packets > 0 {
            self.losses += packets;
            self.lost_packets += packets;
            if self.config.key_frames {
                self.key_frame.request();
            }
        }
    }

    /// Whether the first packet that is held carries along all that it waits for.
    fn is_repaired(&self) -> bool {
        if self.wrappers.is_empty() || self.config.key_frames {
            return false;
        }
        let carries = |missing: usize, packet: &Bytes| {
            let view = Packet::parse(packet).ok();
            let view = view.filter(|v| self.wrappers.contains(&v.payload_type()));
            view.is_some_and(|v| self.redundancy.carried(v.timestamp(), v.payload()) >= missing)
        };
        let first = self.reorder.first();
        first.is_some_and(|(missing, packet)| missing > 0 && carries(missing, packet))
    }

    /// Keeps the payloads of a RED packet, those lost that it carries along too. Of video, whose packets share timestamps, only
    /// its own is taken.
    fn open(&mut self, input: &Input<'_>, packet: &Bytes, lost_before: u64) {
        let carry = if self.config.key_frames {
            0
        } else {
            lost_before
        };
        let Ok((carried, payloads)) = self.redundancy.on_packet(input, carry) else {
            // What wraps nothing is as good as lost.
            self.unknown_packets += 1;
            return self.lose(lost_before + 1);
        };
        self.lose(lost_before - carried);
        self.parts.extend(payloads.map(|(payload_type, part)| Part {
            payload_type,
            sequence: part.sequence,
            timestamp: part.timestamp,
            marker: part.marker,
            payload: packet.slice_ref(part.payload),
        }));
    }

    /// Gives a payload to what its type stands for.
    fn take(&mut self, payload_type: PayloadType, input: &Input<'_>) {
        let format = self
            .formats
            .iter_mut()
            .find(|f| f.payload_type == payload_type);
        if let Some(format) = format {
            // Of the numbers since its last packet some are lost, the others are packets of other formats.
            let missing = self.losses - std::mem::replace(&mut format.lost, self.losses);
            let others = input.sequence.saturating_sub(missing + 1);
            format.depacketizer.skip(others);
            // A payload that is wrong costs its frame, and is counted there. So is a frame whose beginning did not come.
            let wrong = format.depacketizer.push(input).is_err();
            let dropped = format.depacketizer.stats().dropped_frames;
            let drops = std::mem::replace(&mut format.dropped, dropped) < dropped;
            if (wrong || drops) && self.config.key_frames {
                self.key_frame.request();
            }
        } else if !self.event_types.contains(&payload_type) {
            self.unknown_packets += 1;
        } else if !input.payload.is_empty() {
            match self
                .event_receiver
                .on_packet(input.timestamp, input.payload)
            {
                Ok(news) => {
                    self.events.extend(news);
                    let excess = self.events.len().saturating_sub(HEARD_EVENTS);
                    self.events.drain(..excess);
                }
                Err(_) => self.unknown_packets += 1,
            }
        }
    }

    /// News of telephone events, as [`poll_frame`](Self::poll_frame) came upon them.
    pub fn poll_event(&mut self) -> Option<EventNews> {
        self.events.pop_front()
    }

    /// A key frame is needed: the decoder says so.
    pub fn request_key_frame(&mut self) {
        self.key_frame.request();
    }

    /// Appends NACK and PLI that are due. `sender` is our SSRC. Returns the octets appended.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        sender: Ssrc,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let start = out.len();
        if let Some(nack) = &mut self.nack {
            nack.poll_transmit(now, sender, self.config.ssrc, out);
        }
        self.key_frame.poll_pli(now, sender, self.config.ssrc, out);
        (out.len() > start).then(|| out.len() - start)
    }

    /// When [`poll_transmit`](Self::poll_transmit) or [`poll_frame`](Self::poll_frame) will have
    /// something even if nothing comes.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        [
            self.reorder.poll_timeout(),
            self.nack.as_ref().and_then(NackGenerator::poll_timeout),
            self.key_frame.poll_timeout(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A sender report of the stream came.
    pub fn on_sender_report(&mut self, now: Instant, ntp: NtpTime) {
        self.statistics.on_sender_report(now, ntp);
    }

    /// The report block for the interval since the last one.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.statistics.report_block(now)
    }

    /// How long to hold frames before playing them.
    pub fn playout_delay(&self) -> Duration {
        self.playout.delay()
    }

    /// Loss and jitter.
    pub const fn statistics(&self) -> &StreamStatistics {
        &self.statistics
    }

    /// Octets of memory in use, about: packets that wait for others, frames under way, the list of what is missing. A
    /// packet counts as long as it is, although it may keep a larger buffer alive.
    pub fn memory_usage(&self) -> usize {
        let formats = self.formats.iter().map(|f| f.depacketizer.memory_usage());
        size_of::<Self>()
            + formats.sum::<usize>()
            + self.formats.capacity() * size_of::<Format>()
            + self.parts.capacity() * size_of::<Part>()
            + self.events.capacity() * size_of::<EventNews>()
            + self.suspicious.as_ref().map_or(0, Bytes::len)
            + self.reorder.memory_usage()
            + self.nack.as_ref().map_or(0, NackGenerator::memory_usage)
    }

    /// Counts so far.
    pub fn stats(&self) -> StreamReceiverStats {
        let mut frames = AssemblerStats {
            lost_packets: self.lost_packets,
            ..AssemblerStats::default()
        };
        for format in &self.formats {
            let s = format.depacketizer.stats();
            frames.frames += s.frames;
            frames.dropped_frames += s.dropped_frames;
            frames.late_packets += s.late_packets;
            frames.malformed_packets += s.malformed_packets;
        }
        StreamReceiverStats {
            reorder: self.reorder.stats(),
            nack: self
                .nack
                .as_ref()
                .map(NackGenerator::stats)
                .unwrap_or_default(),
            frames,
            unknown_packets: self.unknown_packets,
            retransmitted: self.retransmitted,
            refused: self.refused,
        }
    }
}
