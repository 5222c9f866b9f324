//! All that one received media stream needs, composed: packets in, whole frames and feedback out.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::clock::NtpTime;
use crate::error::ParseError;
use crate::format::{AnyDepacketizer, AssemblerStats, Depacketize, Frame, FrameInfo, Input};
use crate::packet::Packet;
use crate::receive::{
    KeyFrameRequester, NackConfig, NackGenerator, NackStats, PlayoutConfig, PlayoutEstimator,
    ReorderBuffer, ReorderConfig, ReorderStats, SequenceOutcome, StreamStatistics,
};
use crate::rtcp::ReportBlock;
use crate::rtx;
use crate::sequence::SequenceUnwrapper;
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
    /// Whether a lost packet makes a key frame needed: video.
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
    /// Frames, of all payload types together.
    pub frames: AssemblerStats,
    /// Packets of payload types nobody told of, and such that were no RTP.
    pub unknown_packets: u64,
    /// Packets that came as retransmissions.
    pub retransmitted: u64,
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
    playout: PlayoutEstimator,
    /// One a payload type: a handful.
    formats: Vec<(PayloadType, AnyDepacketizer)>,
    /// Retransmission payload types, and what they stand for.
    retransmissions: Vec<(PayloadType, PayloadType)>,
    unknown_packets: u64,
    retransmitted: u64,
    last_timestamp: Option<u32>,
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
            playout: PlayoutEstimator::new(config.playout, config.clock_rate, now),
            formats: Vec::new(),
            retransmissions: Vec::new(),
            unknown_packets: 0,
            retransmitted: 0,
            last_timestamp: None,
            round_trip: None,
            config,
        }
    }

    /// Has packets of a payload type go into `depacketizer`.
    pub fn set_format(&mut self, payload_type: PayloadType, depacketizer: AnyDepacketizer) {
        self.formats.retain(|(pt, _)| *pt != payload_type);
        self.formats.push((payload_type, depacketizer));
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
            SequenceOutcome::Suspicious => return Ok(()),
            SequenceOutcome::Restarted => self.restart(),
            SequenceOutcome::Ahead { .. } if self.last_timestamp != Some(timestamp) => {
                self.playout.on_packet(now, timestamp);
                self.last_timestamp = Some(timestamp);
            }
            _ => {}
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

    fn insert(&mut self, now: Instant, number: crate::SequenceNumber, packet: Bytes) {
        let sequence = self.unwrapper.unwrap(number);
        if let Some(nack) = &mut self.nack {
            nack.on_packet(now, sequence);
            if nack.take_key_frame_needed() && self.config.key_frames {
                self.key_frame.request();
            }
        }
        self.reorder.insert(now, sequence, packet.len(), packet);
    }

    /// The sender began anew with other sequence numbers.
    fn restart(&mut self) {
        self.unwrapper = SequenceUnwrapper::new();
        self.reorder.reset();
        if let Some(nack) = &mut self.nack {
            nack.reset();
        }
        if self.config.key_frames {
            self.key_frame.request();
        }
    }

    /// The next whole frame. To be called until it gives none, after packets came and when
    /// [`poll_timeout`](Self::poll_timeout) says so.
    pub fn poll_frame(&mut self, now: Instant) -> Option<Frame<'_, FrameInfo>> {
        let at = loop {
            if let Some(at) = self.formats.iter().position(|(_, d)| d.has_frame()) {
                break at;
            }
            let delivery = self.reorder.poll(now)?;
            if delivery.lost_before > 0 {
                if let Some(nack) = &mut self.nack {
                    nack.give_up_before(delivery.sequence);
                }
                if self.config.key_frames {
                    self.key_frame.request();
                }
            }
            let Ok(view) = Packet::parse(&delivery.packet) else {
                continue;
            };
            let payload_type = view.payload_type();
            let format = self.formats.iter_mut().find(|(pt, _)| *pt == payload_type);
            match format {
                Some((_, depacketizer)) => {
                    let input = Input {
                        sequence: delivery.sequence,
                        timestamp: view.timestamp(),
                        marker: view.marker(),
                        payload: view.payload(),
                    };
                    // A payload that is wrong costs its frame, and is counted there.
                    if depacketizer.push(&input).is_err() && self.config.key_frames {
                        self.key_frame.request();
                    }
                }
                None => self.unknown_packets += 1,
            }
        };
        let (_, depacketizer) = self.formats.get_mut(at)?;
        let frame = depacketizer.poll_frame()?;
        if frame.info.is_key_frame() {
            self.key_frame.on_key_frame();
        }
        Some(frame)
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
        let formats = self.formats.iter().map(|(_, f)| f.memory_usage());
        size_of::<Self>()
            + formats.sum::<usize>()
            + self.formats.capacity() * size_of::<(PayloadType, AnyDepacketizer)>()
            + self.reorder.memory_usage()
            + self.nack.as_ref().map_or(0, NackGenerator::memory_usage)
    }

    /// Counts so far.
    pub fn stats(&self) -> StreamReceiverStats {
        let mut frames = AssemblerStats::default();
        for (_, depacketizer) in &self.formats {
            let s = depacketizer.stats();
            frames.frames += s.frames;
            frames.dropped_frames += s.dropped_frames;
            frames.lost_packets += s.lost_packets;
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
        }
    }
}
