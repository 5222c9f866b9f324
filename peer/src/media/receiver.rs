//! One received stream: statistics, and what it asks the far side for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tincan_rtp::extension::{ExtensionKind, ExtensionMap};
use tincan_rtp::receive::{NackConfig, NackGenerator, SequenceOutcome, StreamStatistics};
use tincan_rtp::rtcp::{FullIntraRequestEntry, Writer};
use tincan_rtp::{NtpTime, Packet, SequenceNumber, SequenceUnwrapper, Ssrc};

use super::frames::{Assembly, FrameCounts, MIN_ROUND_TRIP};
use crate::jsep::MediaParameters;
use crate::limits::{
    KEY_FRAME_INTERVAL, MAX_CONTRIBUTORS, MAX_MISSING, MAX_RECOVERED, SOURCE_TIMEOUT,
};
use crate::queue::Events;
use crate::types::{Ecn, TransceiverId};

/// A received stream, found by its SSRC.
#[derive(Debug)]
pub(crate) struct ReceiveStream {
    pub(crate) ssrc: u32,
    /// Which stream of the connection it is: an SSRC may come again.
    pub(crate) number: u32,
    /// It said goodbye, and nothing came since.
    pub(crate) ended: bool,
    /// When RTP or a sender report came; before that, since when it is known.
    pub(crate) heard: Instant,
    pub(crate) transceiver: TransceiverId,
    /// Index of the rid in the far side's order; 0 without simulcast.
    pub(crate) encoding: u8,
    /// This is a retransmission stream: of which SSRC, if known.
    pub(crate) repairs: Option<Repairs>,
    pub(crate) statistics: StreamStatistics,
    pub(crate) payload_type: Option<u8>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) header_octets: u64,
    /// That came marked ECT(1), and CE.
    pub(crate) ect1: u64,
    pub(crate) ce: u64,
    pub(crate) key_frame_wanted: bool,
    pub(crate) key_frame_asked: Option<Instant>,
    /// How key frames are asked for, where the far side answers that.
    key_frames: Option<KeyFrameFeedback>,
    fir_sequence: u8,
    pub(crate) plis: u64,
    pub(crate) firs: u64,
    pub(crate) nacks: u64,
    unwrapper: SequenceUnwrapper,
    /// Asks for what is missing, where the far side answers that.
    pub(crate) nack: Option<Box<NackGenerator>>,
    /// What retransmissions brought, the latest last: an original that was only late is a duplicate.
    recovered: VecDeque<u64>,
    /// The packet beyond a large jump: the first of a sender that began anew, if the next one follows it.
    suspicious: Option<Bytes>,
    /// Where the application wants frames.
    pub(crate) assembly: Option<Box<Assembly>>,
    /// What was made of it while the application wanted frames.
    left: FrameCounts,
    pub(crate) last_packet: Option<Instant>,
    pub(crate) last_timestamp: u32,
    pub(crate) audio_level: Option<u8>,
    /// Who was mixed into it, the latest last.
    pub(crate) contributors: Vec<Contributor>,
    pub(crate) sender_report: Option<SenderReportSeen>,
    /// What it is charged of the memory budget.
    pub(crate) charged: usize,
}

/// A contributing source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contributor {
    pub(crate) csrc: u32,
    pub(crate) at: Instant,
    pub(crate) timestamp: u32,
    /// In -dBov, where told.
    pub(crate) audio_level: Option<u8>,
}

/// What a retransmission stream repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repairs {
    /// This SSRC.
    Ssrc(u32),
    /// The stream of the same transceiver and encoding.
    Encoding,
}

/// What asks for a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyFrameFeedback {
    /// PLI (RFC 4585 §6.3.1).
    PictureLoss,
    /// FIR (RFC 5104 §4.3.1).
    FullIntraRequest,
}

impl KeyFrameFeedback {
    /// As was agreed for the media of the section: what wraps it, as RED does, has no feedback of its own.
    fn agreed(parameters: &MediaParameters) -> Option<Self> {
        let has = |feedback| {
            let mut media = parameters.receive_codecs.iter().filter(|c| c.is_media());
            media.any(|c| c.has_feedback(feedback))
        };
        if has("nack pli") {
            Some(KeyFrameFeedback::PictureLoss)
        } else {
            has("ccm fir").then_some(KeyFrameFeedback::FullIntraRequest)
        }
    }
}

/// The far side's last sender report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderReportSeen {
    pub(crate) ntp: NtpTime,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) count: u64,
    pub(crate) at: Instant,
}

/// What the list of missing packets takes for each.
const MISSING_OCTETS: usize = 64;

impl ReceiveStream {
    pub(crate) fn new(
        now: Instant,
        ssrc: u32,
        transceiver: TransceiverId,
        clock_rate: u32,
    ) -> Self {
        ReceiveStream {
            ssrc,
            number: 0,
            ended: false,
            heard: now,
            transceiver,
            encoding: 0,
            repairs: None,
            statistics: StreamStatistics::new(Ssrc(ssrc), clock_rate),
            payload_type: None,
            packets: 0,
            octets: 0,
            header_octets: 0,
            ect1: 0,
            ce: 0,
            key_frame_wanted: false,
            key_frame_asked: None,
            key_frames: None,
            fir_sequence: 0,
            plis: 0,
            firs: 0,
            nacks: 0,
            unwrapper: SequenceUnwrapper::new(),
            nack: None,
            recovered: VecDeque::new(),
            suspicious: None,
            assembly: None,
            left: FrameCounts::default(),
            last_packet: None,
            last_timestamp: 0,
            audio_level: None,
            contributors: Vec::new(),
            sender_report: None,
            charged: 0,
        }
    }

    /// Counts a packet of this SSRC and notes gaps before it. Its unwrapped number; `None` for one whose number makes no
    /// sense yet.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        ecn: Ecn,
        view: &Packet<'_>,
        len: usize,
        parameters: &MediaParameters,
        round_trip: Option<Duration>,
    ) -> Option<u64> {
        let payload_type = view.payload_type().get();
        if self.packets == 0 {
            let codec = parameters
                .receive_codecs
                .iter()
                .find(|c| c.payload_type == payload_type);
            self.key_frames = KeyFrameFeedback::agreed(parameters);
            if let Some(codec) = codec {
                self.statistics.set_clock_rate(codec.clock_rate);
                // Browsers wrap video in RED, for which they name no feedback: it is that of what is inside.
                let inside = || {
                    let all = &parameters.receive_codecs;
                    codec.is("red") && all.iter().any(|c| c.is_media() && c.has_feedback("nack"))
                };
                if !codec.is_rtx() && (codec.has_feedback("nack") || inside()) {
                    self.nack = Some(Box::new(NackGenerator::new(NackConfig {
                        max_missing: MAX_MISSING,
                        ..Default::default()
                    })));
                    self.set_round_trip(round_trip);
                }
            }
        }
        self.payload_type = Some(payload_type);
        let payload = view.payload().len();
        self.packets += 1;
        self.ect1 += u64::from(ecn == Ecn::Ect1);
        self.ce += u64::from(ecn == Ecn::Ce);
        self.octets += payload as u64;
        self.header_octets += (len - payload) as u64;
        self.last_packet = Some(now);
        self.heard = now;
        // What is sent after a goodbye may come before it, and the other way round.
        self.ended = false;
        let sequence = view.sequence_number();
        let outcome = self
            .statistics
            .on_packet(now, sequence, view.timestamp(), payload);
        match outcome {
            SequenceOutcome::Suspicious => return None,
            SequenceOutcome::Restarted => {
                self.unwrapper = SequenceUnwrapper::new();
                if let Some(nack) = &mut self.nack {
                    nack.reset();
                }
                self.recovered.clear();
                self.want_key_frame();
                // Of padding nothing was kept: what is there may be an older one.
                let before = sequence.add(u16::MAX);
                let is_before = |packet: &Bytes| {
                    Packet::parse(packet).is_ok_and(|view| view.sequence_number() == before)
                };
                let first = self.suspicious.take().filter(is_before);
                if let Some(assembly) = &mut self.assembly {
                    assembly.restart();
                    if let Some(first) = first {
                        let number = self.unwrapper.unwrap(before);
                        assembly.assemble(now, number, first, parameters);
                    }
                }
            }
            SequenceOutcome::Ahead { .. } => self.suspicious = None,
            _ => {}
        }
        let number = self.unwrapper.unwrap(sequence);
        if let Some(nack) = &mut self.nack {
            nack.on_packet(now, number);
            if nack.take_key_frame_needed() {
                self.want_key_frame();
            }
        }
        Some(number)
    }

    /// Keeps a packet whose number makes no sense yet, until the next one says what it was.
    pub(crate) fn suspect(&mut self, packet: Bytes) {
        self.suspicious = Some(packet);
    }

    /// Whether a packet of that number is ahead of all that came.
    pub(crate) fn is_ahead(&self, sequence: SequenceNumber) -> bool {
        let highest = self.unwrapper.highest();
        highest.is_none_or(|h| self.unwrapper.peek(sequence) > h)
    }

    /// The application wants a key frame.
    pub(crate) fn request_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// So much is lost that only a key frame helps. The assembly of frames asks until one comes; without it nobody knows
    /// when that is, so that it is asked for once.
    fn want_key_frame(&mut self) {
        match &mut self.assembly {
            Some(assembly) => assembly.want_key_frame(),
            None => self.key_frame_wanted |= self.nack.is_some(),
        }
    }

    /// Tells how long a request takes to be answered.
    pub(crate) fn set_round_trip(&mut self, round_trip: Option<Duration>) {
        if let (Some(nack), Some(round_trip)) = (&mut self.nack, round_trip) {
            nack.set_round_trip(round_trip.max(MIN_ROUND_TRIP));
        }
    }

    /// A retransmission brought this packet: its unwrapped number; `None` if it was not missing: a duplicate.
    pub(crate) fn on_recovered(&mut self, now: Instant, sequence: SequenceNumber) -> Option<u64> {
        let number = self.unwrapper.peek(sequence);
        if self.unwrapper.highest().is_none_or(|h| number > h) {
            return None;
        }
        if let Some(nack) = &mut self.nack {
            let missing = nack.missing();
            nack.on_packet(now, number);
            if nack.missing() == missing {
                return None;
            }
            if self.recovered.len() >= MAX_RECOVERED {
                self.recovered.pop_front();
            }
            self.recovered.push_back(number);
        }
        Some(number)
    }

    /// Whether a retransmission brought this packet before it came by itself.
    pub(crate) fn came_before(&mut self, number: u64) -> bool {
        let at = self.recovered.iter().position(|n| *n == number);
        at.is_some_and(|at| self.recovered.remove(at).is_some())
    }

    /// Takes a packet for the frames that it is part of, and gives those that are whole.
    pub(crate) fn assemble(
        &mut self,
        now: Instant,
        number: u64,
        packet: Bytes,
        parameters: &MediaParameters,
        target: Option<Duration>,
        events: &mut Events,
    ) {
        self.assembly
            .get_or_insert_with(|| Box::new(Assembly::new(parameters, target, self.left)))
            .assemble(now, number, packet, parameters);
        self.drain(now, events);
    }

    /// A packet without payload came in between those of frames.
    pub(crate) fn skip(&mut self, now: Instant, number: u64, packet: Bytes, events: &mut Events) {
        if let Some(assembly) = &mut self.assembly {
            assembly.insert(now, number, packet);
            self.drain(now, events);
        }
    }

    /// Gives frames that are whole, or whose missing packets were waited for long enough.
    pub(crate) fn drain(&mut self, now: Instant, events: &mut Events) {
        let about = (self.transceiver, self.ssrc, self.encoding);
        let given_up = self
            .assembly
            .as_mut()
            .and_then(|a| a.drain(now, about, events));
        if let (Some(nack), Some(number)) = (&mut self.nack, given_up) {
            nack.give_up_before(number);
        }
    }

    /// The application wants no frames any more.
    pub(crate) fn stop_assembling(&mut self) {
        if let Some(assembly) = self.assembly.take() {
            self.left = assembly.counts();
        }
    }

    /// What was made of it, where the application wants or wanted frames.
    pub(crate) fn frame_counts(&self) -> Option<FrameCounts> {
        let left = Some(self.left).filter(|left| left.frames > 0);
        self.assembly.as_ref().map(|a| a.counts()).or(left)
    }

    /// Octets in use.
    pub(crate) fn memory_usage(&self) -> usize {
        let missing = self.nack.as_ref().map_or(0, |n| n.missing());
        size_of::<Self>()
            + missing * MISSING_OCTETS
            + self.recovered.capacity() * size_of::<u64>()
            + self.suspicious.as_ref().map_or(0, Bytes::len)
            + self.assembly.as_ref().map_or(0, |a| a.memory_usage())
    }

    /// Whether another stream may have its place.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.ended || now.saturating_duration_since(self.heard) >= SOURCE_TIMEOUT
    }

    /// Whether packets come: reports tell of it (RFC 3550 §6.4).
    pub(crate) fn is_current(&self, now: Instant) -> bool {
        let since = self.last_packet.filter(|_| !self.ended);
        since.is_some_and(|at| now.saturating_duration_since(at) < SOURCE_TIMEOUT)
    }

    /// It says goodbye; whether that is news.
    pub(crate) fn end(&mut self) -> bool {
        self.rest();
        !core::mem::replace(&mut self.ended, true)
    }

    /// Gives up what is under way and the room for it: nothing comes for now.
    pub(crate) fn rest(&mut self) {
        if let Some(assembly) = self.assembly.as_mut().filter(|a| a.holds()) {
            assembly.shed();
        }
        self.miss_nothing();
    }

    /// Gives up what is under way: only a key frame helps then.
    pub(crate) fn shed(&mut self) {
        match &mut self.assembly {
            Some(assembly) => assembly.shed(),
            None => self.want_key_frame(),
        }
        self.miss_nothing();
    }

    /// What is missing is not asked for any more.
    fn miss_nothing(&mut self) {
        if let (Some(nack), Some(highest)) = (&mut self.nack, self.unwrapper.highest()) {
            nack.give_up_before(highest);
        }
    }

    /// Notes what `getSynchronizationSources` and `getContributingSources` tell, which is of the packet of the highest
    /// number: what comes late says what was.
    pub(crate) fn note(
        &mut self,
        now: Instant,
        number: Option<u64>,
        view: &Packet<'_>,
        extensions: &ExtensionMap,
    ) {
        self.last_packet = Some(now);
        if number < self.unwrapper.highest() {
            return;
        }
        self.last_timestamp = view.timestamp();
        let levels = extensions
            .id(ExtensionKind::MixerAudioLevels)
            .and_then(|id| view.extension(id))
            .unwrap_or_default();
        for (at, csrc) in view.csrcs().enumerate() {
            self.contributors.retain(|c| c.csrc != csrc.0);
            if self.contributors.len() >= MAX_CONTRIBUTORS {
                self.contributors.remove(0);
            }
            self.contributors.push(Contributor {
                csrc: csrc.0,
                at: now,
                timestamp: view.timestamp(),
                audio_level: levels.get(at).map(|l| l & 0x7f),
            });
        }
        if let Some(id) = extensions.id(ExtensionKind::AudioLevel) {
            self.audio_level = view.extension(id).and_then(|v| v.first()).map(|v| v & 0x7f);
        }
    }

    /// Appends the requests that are due.
    pub(crate) fn write_requests(&mut self, now: Instant, reporter: Ssrc, out: &mut Vec<u8>) {
        let media = Ssrc(self.ssrc);
        let due = self.key_frame_due().is_some_and(|due| due <= now);
        let assembly = self.assembly.as_mut().filter(|_| due);
        // Whether it is a new request.
        let mut ask = assembly.and_then(|a| a.key_frame.poll(now));
        if self.key_frame_wanted
            && self
                .key_frame_asked
                .is_none_or(|at| now.saturating_duration_since(at) >= KEY_FRAME_INTERVAL)
        {
            self.key_frame_wanted = false;
            self.key_frame_asked = Some(now);
            ask = Some(true);
        }
        match (ask, self.key_frames) {
            (Some(_), Some(KeyFrameFeedback::PictureLoss)) => {
                self.plis += 1;
                Writer::new(out).picture_loss(reporter, media);
            }
            (Some(new), Some(KeyFrameFeedback::FullIntraRequest)) => {
                self.firs += 1;
                // RFC 5104 §4.3.1.2: a repetition has the same number.
                self.fir_sequence = self.fir_sequence.wrapping_add(u8::from(new));
                let entry = FullIntraRequestEntry {
                    ssrc: media,
                    sequence: self.fir_sequence,
                };
                Writer::new(out).full_intra_request(reporter, [entry]);
            }
            _ => {}
        }
        if let Some(nack) = &mut self.nack {
            let asked = nack.poll_transmit(now, reporter, media, out).is_some();
            self.nacks += u64::from(asked);
        }
    }

    /// When the assembly asks for a key frame next: of a stream that fell silent no more before its next packet.
    fn key_frame_due(&self) -> Option<Instant> {
        self.key_frames?;
        // What was never asked for is due since the packet that said so.
        let since = self.last_packet?;
        let due = self.assembly.as_ref()?.key_frame.poll_timeout(since)?;
        Some(due).filter(|due| due.saturating_duration_since(since) < SOURCE_TIMEOUT)
    }

    /// When something of this stream is due: a request, or a frame that waits for nothing any more.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let nack = self.nack.as_ref().and_then(|n| n.poll_timeout());
        let asked = match self.key_frame_asked {
            _ if !self.key_frame_wanted || self.key_frames.is_none() => None,
            Some(asked) => Some(asked + KEY_FRAME_INTERVAL),
            None => self.last_packet,
        };
        [
            nack,
            self.assembly.as_ref().and_then(|a| a.poll_timeout()),
            self.key_frame_due(),
            asked,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
