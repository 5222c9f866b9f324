//! All that one sent media stream needs, composed: payloads in, packets and retransmissions out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::WriteError;
use crate::header::{Header, PacketWriter};
use crate::limits::MAX_REQUESTS;
use crate::rtx;
use crate::send::{History, HistoryConfig, KeyFrameRequests, SenderStatistics};
use crate::sequence::SequenceNumber;
use crate::types::{PayloadType, Ssrc};
use crate::work;

/// A retransmission stream (RFC 4588).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtxConfig {
    /// Its SSRC.
    pub ssrc: Ssrc,
    /// Its payload types, each with the one it stands for.
    pub payload_types: Vec<(PayloadType, PayloadType)>,
    /// Its first sequence number, to be random (RFC 3550 §5.1).
    pub first_sequence: SequenceNumber,
}

/// What a [`StreamSender`] is made of.
#[derive(Clone, Debug)]
pub struct StreamSenderConfig {
    /// The stream.
    pub ssrc: Ssrc,
    /// Clock rate of its timestamps in Hz.
    pub clock_rate: u32,
    /// Its first sequence number, to be random (RFC 3550 §5.1).
    pub first_sequence: SequenceNumber,
    /// Bounds of the retransmission history; `None` when NACK was not negotiated.
    pub history: Option<HistoryConfig>,
    /// The retransmission stream; without one packets are sent again as they were.
    pub rtx: Option<RtxConfig>,
    /// Time between two key frames made on request.
    pub key_frame_interval: Duration,
}

impl StreamSenderConfig {
    /// Defaults for a stream of video without a retransmission stream.
    pub fn video(ssrc: Ssrc, first_sequence: SequenceNumber) -> Self {
        Self {
            ssrc,
            clock_rate: 90_000,
            first_sequence,
            history: Some(HistoryConfig::default()),
            rtx: None,
            key_frame_interval: Duration::from_millis(500),
        }
    }
}

/// One sent media stream.
///
/// It numbers packets, keeps them for retransmission and counts them. Extensions are the caller's:
/// what is written between [`begin`](Self::begin) and [`commit`](Self::commit).
#[derive(Debug)]
pub struct StreamSender {
    ssrc: Ssrc,
    next: SequenceNumber,
    history: Option<History>,
    rtx: Option<RtxConfig>,
    statistics: SenderStatistics,
    key_frames: KeyFrameRequests,
    requests: VecDeque<SequenceNumber>,
    retransmitted: u64,
}

impl StreamSender {
    /// A sender that has sent nothing.
    pub fn new(config: StreamSenderConfig) -> Self {
        Self {
            ssrc: config.ssrc,
            next: config.first_sequence,
            history: config.history.map(History::new),
            rtx: config.rtx,
            statistics: SenderStatistics::new(config.clock_rate),
            key_frames: KeyFrameRequests::new(config.key_frame_interval),
            requests: VecDeque::new(),
            retransmitted: 0,
        }
    }

    /// Begins the next packet at the end of `out`: append extensions and payload, then
    /// [`commit`](Self::commit) it. A packet begun and not committed is as if it had never been.
    pub fn begin<'b>(
        &self,
        payload_type: PayloadType,
        timestamp: u32,
        marker: bool,
        out: &'b mut Vec<u8>,
    ) -> PacketWriter<'b> {
        let mut header = Header::new(payload_type, self.next, timestamp, self.ssrc);
        header.marker = marker;
        PacketWriter::new(out, &header)
    }

    /// The packet in `packet`, written with [`begin`](Self::begin), is sent: counts it and keeps it
    /// for retransmission. `captured` is when its media was captured, or now.
    ///
    /// # Errors
    /// [`WriteError::Order`] when it is not the packet that is next.
    pub fn commit(
        &mut self,
        now: Instant,
        captured: Instant,
        packet: &[u8],
    ) -> Result<(), WriteError> {
        let view = crate::Packet::parse(packet).map_err(|_| WriteError::Field("packet"))?;
        if view.ssrc() != self.ssrc || view.sequence_number() != self.next {
            return Err(WriteError::Order);
        }
        self.statistics
            .on_packet(captured, view.timestamp(), view.payload().len());
        if let Some(history) = &mut self.history {
            history.insert(now, self.next, packet);
        }
        self.next = self.next.next();
        Ok(())
    }

    /// A NACK for this stream came. Requests beyond a bound are ignored: they come again.
    pub fn on_nack(&mut self, sequences: impl IntoIterator<Item = SequenceNumber>) {
        let room = MAX_REQUESTS.saturating_sub(self.requests.len());
        self.requests.extend(sequences.into_iter().take(room));
    }

    /// Appends the next retransmission that was asked for, if there is one. Returns its octets.
    pub fn poll_retransmission(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        let history = self.history.as_mut()?;
        while let Some(sequence) = self.requests.pop_front() {
            work::steps(1);
            let Some(packet) = history.resend(now, sequence) else {
                continue;
            };
            let written = match &mut self.rtx {
                None => {
                    out.extend_from_slice(packet);
                    Some(packet.len())
                }
                Some(config) => wrap(config, packet, out),
            };
            if written.is_some() {
                self.retransmitted += 1;
                return written;
            }
        }
        None
    }

    /// Appends a probe of at most `max_len` octets on the retransmission stream: the newest packet
    /// that fits, once more. Returns its octets.
    pub fn write_probe(&mut self, max_len: usize, out: &mut Vec<u8>) -> Option<usize> {
        let (_, packet) = self
            .history
            .as_ref()?
            .newest(max_len.checked_sub(rtx::OSN)?)?;
        wrap(self.rtx.as_mut()?, packet, out)
    }

    /// Octets of memory in use: the history and requests that wait. Costs a walk over the history.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.history.as_ref().map_or(0, History::memory_usage)
            + self.requests.capacity() * size_of::<SequenceNumber>()
    }

    /// Tells the round-trip time: a packet is not sent again within it.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        if let Some(history) = &mut self.history {
            history.set_min_resend_interval(round_trip);
        }
    }

    /// The number of the next packet.
    pub const fn next_sequence(&self) -> SequenceNumber {
        self.next
    }

    /// What was sent and what is reported on it.
    pub const fn statistics(&self) -> &SenderStatistics {
        &self.statistics
    }

    /// The same, to feed report blocks.
    pub fn statistics_mut(&mut self) -> &mut SenderStatistics {
        &mut self.statistics
    }

    /// Requests for key frames: feed PLI and FIR, poll for the encoder.
    pub fn key_frames(&mut self) -> &mut KeyFrameRequests {
        &mut self.key_frames
    }

    /// Packets sent again.
    pub const fn retransmitted(&self) -> u64 {
        self.retransmitted
    }
}

/// Appends `packet` as a packet of the retransmission stream.
fn wrap(config: &mut RtxConfig, packet: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let media = crate::Packet::parse(packet).ok()?.payload_type();
    let (payload_type, _) = *config.payload_types.iter().find(|(_, apt)| *apt == media)?;
    let sequence = config.first_sequence;
    let written = rtx::wrap(packet, config.ssrc, payload_type, sequence, out).ok()?;
    config.first_sequence = sequence.next();
    Some(written)
}
