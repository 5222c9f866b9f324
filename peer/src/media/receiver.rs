//! One received stream: statistics, and what it asks the far side for.

use std::time::{Duration, Instant};

use tincan_rtp::extension::{ExtensionKind, ExtensionMap};
use tincan_rtp::receive::StreamStatistics;
use tincan_rtp::{NtpTime, Packet, SequenceNumber, Ssrc};

use crate::jsep::MediaParameters;
use crate::types::TransceiverId;

/// A received stream, found by its SSRC.
#[derive(Debug)]
pub(crate) struct ReceiveStream {
    pub(crate) ssrc: u32,
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
    pub(crate) recovered: u64,
    pub(crate) key_frame_wanted: bool,
    pub(crate) key_frame_asked: Option<Instant>,
    pub(crate) plis: u64,
    pub(crate) nacks: u64,
    /// Missing sequence numbers, when they were asked for last and how often.
    pub(crate) missing: Vec<Missing>,
    pub(crate) asks_again: bool,
    pub(crate) last_packet: Option<Instant>,
    pub(crate) last_timestamp: u32,
    pub(crate) audio_level: Option<u8>,
    pub(crate) sender_report: Option<SenderReportSeen>,
}

/// What a retransmission stream repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repairs {
    /// This SSRC.
    Ssrc(u32),
    /// The stream of the same transceiver and encoding.
    Encoding,
}

/// A gap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missing {
    pub(crate) sequence: SequenceNumber,
    pub(crate) asked: Option<Instant>,
    pub(crate) times: u8,
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

/// Gaps that are worth asking for: more than this at once is an outage, which a key frame heals.
const MAX_MISSING: usize = 128;

/// A packet is asked for so many times.
const MAX_ASKS: u8 = 5;

/// Least time between two requests for one packet, without a measured round trip.
const ASK_AGAIN: Duration = Duration::from_millis(60);

impl ReceiveStream {
    pub(crate) fn new(ssrc: u32, transceiver: TransceiverId, clock_rate: u32) -> Self {
        ReceiveStream {
            ssrc,
            transceiver,
            encoding: 0,
            repairs: None,
            statistics: StreamStatistics::new(Ssrc(ssrc), clock_rate),
            payload_type: None,
            packets: 0,
            octets: 0,
            header_octets: 0,
            recovered: 0,
            key_frame_wanted: false,
            key_frame_asked: None,
            plis: 0,
            nacks: 0,
            missing: Vec::new(),
            asks_again: false,
            last_packet: None,
            last_timestamp: 0,
            audio_level: None,
            sender_report: None,
        }
    }

    /// Counts a packet of this SSRC and notes gaps before it.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        view: &Packet<'_>,
        len: usize,
        parameters: &MediaParameters,
    ) {
        let payload_type = view.payload_type().get();
        if self.packets == 0 {
            let codec = parameters
                .receive_codecs
                .iter()
                .find(|c| c.payload_type == payload_type);
            if let Some(codec) = codec {
                self.statistics.set_clock_rate(codec.clock_rate);
                self.asks_again = codec.has_feedback("nack") && !codec.is_rtx();
            }
        }
        self.payload_type = Some(payload_type);
        let payload = view.payload().len();
        self.packets += 1;
        self.octets += payload as u64;
        self.header_octets += (len - payload) as u64;
        self.last_packet = Some(now);
        let sequence = view.sequence_number();
        let outcome = self
            .statistics
            .on_packet(now, sequence, view.timestamp(), payload);
        if !self.asks_again {
            return;
        }
        match outcome {
            tincan_rtp::receive::SequenceOutcome::Ahead { skipped }
                if usize::from(skipped) <= MAX_MISSING =>
            {
                if self.missing.len() + usize::from(skipped) > MAX_MISSING {
                    self.missing.clear();
                }
                for back in (1..=skipped).rev() {
                    let sequence = SequenceNumber(sequence.0.wrapping_sub(back));
                    self.missing.push(Missing {
                        sequence,
                        asked: None,
                        times: 0,
                    });
                }
            }
            tincan_rtp::receive::SequenceOutcome::Ahead { .. }
            | tincan_rtp::receive::SequenceOutcome::Restarted => {
                self.missing.clear();
                self.key_frame_wanted = true;
            }
            _ => self.missing.retain(|m| m.sequence != sequence),
        }
    }

    /// A retransmission brought this packet; `false` if it was not missing: a duplicate.
    pub(crate) fn on_recovered(&mut self, sequence: SequenceNumber) -> bool {
        let before = self.missing.len();
        self.missing.retain(|m| m.sequence != sequence);
        let was_missing = before != self.missing.len() || !self.asks_again;
        self.recovered += u64::from(was_missing);
        was_missing
    }

    /// Notes what `getSynchronizationSources` tells.
    pub(crate) fn note(&mut self, now: Instant, view: &Packet<'_>, extensions: &ExtensionMap) {
        self.last_packet = Some(now);
        self.last_timestamp = view.timestamp();
        if let Some(id) = extensions.id(ExtensionKind::AudioLevel) {
            self.audio_level = view.extension(id).and_then(|v| v.first()).map(|v| v & 0x7f);
        }
    }

    /// Whether something is missing that should be asked for now.
    pub(crate) fn asks_now(&self, now: Instant) -> bool {
        self.missing.iter().any(|m| m.is_due(now))
    }

    /// When a request is due next.
    pub(crate) fn asks_at(&self) -> Option<Instant> {
        // Those never asked for go out with the next packet that is written.
        self.missing
            .iter()
            .filter_map(|m| m.asked)
            .min()
            .map(|asked| asked + ASK_AGAIN)
    }

    /// The sequence numbers to ask for now; gives up those that were asked for often enough.
    pub(crate) fn take_asks(&mut self, now: Instant) -> Vec<SequenceNumber> {
        let mut out = Vec::new();
        for missing in self.missing.iter_mut().filter(|m| m.is_due(now)) {
            missing.asked = Some(now);
            missing.times += 1;
            out.push(missing.sequence);
        }
        self.missing.retain(|m| m.times < MAX_ASKS);
        self.nacks += u64::from(!out.is_empty());
        out
    }
}

impl Missing {
    fn is_due(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| now >= asked + ASK_AGAIN)
    }
}
