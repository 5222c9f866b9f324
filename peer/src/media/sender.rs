//! One sent stream: its SSRC, what was sent for retransmission, what the far side reports.

use std::time::{Duration, Instant};

use tincan_rtp::extension::{ExtensionKind, ExtensionMap};
use tincan_rtp::limits::HISTORY_BYTES;
use tincan_rtp::send::{History, HistoryConfig};
use tincan_rtp::{
    Header, NtpTime, Packet, PacketMut, PacketWriter, PayloadType, SequenceNumber, Ssrc,
};

use super::frames::FrameSender;
use super::numbers::Numbers;
use crate::codec::Codec;
use crate::jsep::MediaParameters;
use crate::limits::RTP_HISTORY;
use crate::packet::RtpPacket;
use crate::parameters::ScalabilityMode;

/// A sent stream and its retransmissions.
#[derive(Debug)]
pub(crate) struct SendStream {
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) rid: Option<Box<str>>,
    /// Payload type and the one that repairs it.
    rtx_types: Vec<(u8, u8)>,
    rtx_sequence: SequenceNumber,
    /// Made with the first packet where the far side may ask again.
    history: Option<Box<History>>,
    keeps_history: bool,
    /// Octets of that at most, by the memory budget.
    pub(crate) max_history: Option<usize>,
    /// `active` of the encoding.
    pub(crate) active: bool,
    /// `codec` and `scalabilityMode` of the encoding.
    pub(crate) codec: Option<Box<Codec>>,
    pub(crate) scalability_mode: Option<ScalabilityMode>,
    /// How long packets waited here, summed up.
    pub(crate) send_delay: Duration,
    /// Made with the first frame.
    pub(crate) frames: Option<Box<FrameSender>>,
    clock_rates: Vec<(u8, u32)>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) header_octets: u64,
    pub(crate) retransmitted_packets: u64,
    /// Of payload: with RTX, the number of the original too (RFC 4588 §4).
    pub(crate) retransmitted_octets: u64,
    /// All of these packets but `retransmitted_octets`.
    pub(crate) retransmitted_headers: u64,
    pub(crate) nacks: u64,
    pub(crate) plis: u64,
    pub(crate) firs: u64,
    last_fir: Option<u8>,
    /// Payload type of the last packet.
    pub(crate) payload_type: Option<u8>,
    numbers: Numbers,
    /// Timestamp of the last packet, its clock and when it was sent: for sender reports.
    last: Option<(u32, u32, Instant)>,
    pub(crate) remote: Option<RemoteReport>,
}

/// The original's number at the beginning of an RTX payload (RFC 4588 §4).
const RTX_HEADER: u64 = 2;

/// What the far side's last report block said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteReport {
    pub(crate) at: Instant,
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: i32,
    pub(crate) jitter: Duration,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) total_round_trip: Duration,
    pub(crate) measurements: u64,
}

/// Extensions that we write ourselves and never forward.
fn is_ours(kind: ExtensionKind) -> bool {
    matches!(
        kind,
        ExtensionKind::Mid
            | ExtensionKind::RtpStreamId
            | ExtensionKind::RepairedRtpStreamId
            | ExtensionKind::AbsoluteSendTime
            | ExtensionKind::TransportSequence
            | ExtensionKind::TransportSequenceV2
            | ExtensionKind::TransmissionOffset
    )
}

/// Send time in 6.18 fixed point seconds (draft-alvestrand-rmcat-remb §3).
fn send_time(ntp: NtpTime) -> [u8; 3] {
    let [_, a, b, c] = ((ntp.0 >> 14) as u32).to_be_bytes();
    [a, b, c]
}

impl SendStream {
    pub(crate) fn new(ssrc: u32, rtx_ssrc: u32) -> Self {
        SendStream {
            ssrc,
            rtx_ssrc,
            rid: None,
            rtx_types: Vec::new(),
            // Any start will do (RFC 4588 §4); the SSRC is random already.
            rtx_sequence: SequenceNumber((rtx_ssrc & 0x7fff) as u16),
            history: None,
            keeps_history: false,
            max_history: None,
            active: true,
            codec: None,
            scalability_mode: None,
            send_delay: Duration::ZERO,
            frames: None,
            clock_rates: Vec::new(),
            packets: 0,
            octets: 0,
            header_octets: 0,
            retransmitted_packets: 0,
            retransmitted_octets: 0,
            retransmitted_headers: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            last_fir: None,
            payload_type: None,
            numbers: Numbers::default(),
            last: None,
            remote: None,
        }
    }

    /// Where our own numbers begin: random by the SSRC, and far from the end (RFC 3711 §3.3.1: a rollover that is lost can
    /// not be guessed).
    pub(crate) fn first_sequence(&self) -> u16 {
        (self.ssrc & 0x7fff) as u16
    }

    /// Forgets what is too old to be sent again.
    pub(crate) fn expire(&mut self, now: Instant) {
        if let Some(history) = &mut self.history {
            history.expire(now);
        }
    }

    /// Nothing of it is sent for now, nor again.
    pub(crate) fn retire(&mut self) {
        self.history = None;
        self.remote = None;
    }

    /// Octets that are kept to be sent again.
    pub(crate) fn history_bytes(&self) -> usize {
        self.history.as_ref().map_or(0, |h| h.bytes())
    }

    pub(crate) fn configure(&mut self, parameters: &MediaParameters, rid: Option<&str>) {
        self.rid = rid.map(Into::into);
        let codecs = &parameters.send_codecs;
        self.rtx_types = codecs
            .iter()
            .filter_map(|c| Some((c.apt()?, c.payload_type)))
            .collect();
        self.clock_rates = codecs
            .iter()
            .map(|c| (c.payload_type, c.clock_rate))
            .collect();
        self.keeps_history = codecs.iter().any(|c| c.has_feedback("nack"));
        if !self.keeps_history {
            self.history = None;
        }
    }

    /// Writes the caller's packet; its sequence number is shifted past what was put in between. `false`: it has the
    /// number of one that went out, or none that could be told to be new.
    #[expect(
        clippy::too_many_arguments,
        reason = "what the connection knows, once a packet"
    )]
    pub(crate) fn write(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        extensions: &ExtensionMap,
        parameters: &MediaParameters,
        transport_sequence: SequenceNumber,
        packet: &RtpPacket,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(sequence) = self.numbers.of(SequenceNumber(packet.sequence_number)) else {
            return false;
        };
        let written = self.write_as(
            now,
            ntp,
            extensions,
            parameters,
            transport_sequence,
            packet,
            sequence,
            out,
        );
        if written {
            self.payload_type = Some(packet.payload_type);
            let clock = self
                .clock_rates
                .iter()
                .find(|(pt, _)| *pt == packet.payload_type)
                .map_or(90_000, |(_, c)| *c);
            self.last = Some((packet.timestamp, clock, now));
        }
        written
    }

    /// Writes a packet of our own after the last one; the caller's next ones move on by one. Its payload type, sequence
    /// number and timestamp say nothing of the caller's.
    #[expect(
        clippy::too_many_arguments,
        reason = "what the connection knows, once a packet"
    )]
    pub(crate) fn write_between(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        extensions: &ExtensionMap,
        parameters: &MediaParameters,
        transport_sequence: SequenceNumber,
        packet: &RtpPacket,
        out: &mut Vec<u8>,
    ) -> bool {
        let sequence = self.numbers.own(SequenceNumber(self.first_sequence()));
        self.write_as(
            now,
            ntp,
            extensions,
            parameters,
            transport_sequence,
            packet,
            sequence,
            out,
        )
    }

    /// A packet of the caller's is left out: its next ones move up.
    pub(crate) fn skip(&mut self, packet: &RtpPacket) {
        let number = SequenceNumber(packet.sequence_number);
        self.numbers.leave_out(number);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what the connection knows, once a packet"
    )]
    fn write_as(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        extensions: &ExtensionMap,
        parameters: &MediaParameters,
        transport_sequence: SequenceNumber,
        packet: &RtpPacket,
        sequence: SequenceNumber,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(payload_type) = PayloadType::new(packet.payload_type) else {
            return false;
        };
        let mut header = Header::new(payload_type, sequence, packet.timestamp, Ssrc(self.ssrc));
        header.marker = packet.marker;
        if !packet.head.csrcs.is_empty() {
            let mut list = [Ssrc(0); 15];
            let mut count = 0;
            for (slot, csrc) in list.iter_mut().zip(packet.csrcs()) {
                *slot = Ssrc(csrc);
                count += 1;
            }
            let _ = header.set_csrcs(list.get(..count).unwrap_or_default());
        }
        let start = out.len();
        let mut writer = PacketWriter::new(out, &header);
        let mut put = |kind: ExtensionKind, value: &[u8]| {
            if let Some(id) = extensions.id(kind) {
                // A value that does not fit is left away: nothing depends on it.
                let _ = writer.extension(id, value);
            }
        };
        put(ExtensionKind::Mid, parameters.mid.as_bytes());
        if let Some(rid) = &self.rid {
            put(ExtensionKind::RtpStreamId, rid.as_bytes());
        }
        put(ExtensionKind::AbsoluteSendTime, &send_time(ntp));
        put(
            ExtensionKind::TransportSequence,
            &transport_sequence.0.to_be_bytes(),
        );
        if let Some(map) = &packet.head.map {
            for element in packet.elements() {
                if let Some(kind) = map.kind(element.id).filter(|k| !is_ours(*k)) {
                    put(kind, element.value);
                }
            }
        }
        writer.payload(&packet.payload);
        writer.finish();
        let len = out.len() - start;
        self.packets += 1;
        self.octets += packet.payload.len() as u64;
        self.header_octets += (len - packet.payload.len()) as u64;
        if self.keeps_history {
            let history = self.history.get_or_insert_with(|| {
                Box::new(History::new(HistoryConfig {
                    max_packets: RTP_HISTORY,
                    max_bytes: self.max_history.unwrap_or(HISTORY_BYTES).min(HISTORY_BYTES),
                    ..Default::default()
                }))
            });
            history.insert(now, sequence, out.get(start..).unwrap_or_default());
        }
        true
    }

    /// Writes a retransmission: as RTX where it was agreed (RFC 4588), else the packet itself again, octet by octet: its
    /// key stream is that of the first time (RFC 3711 §9.1). Whether `transport_sequence` is in it; `None` if there is
    /// nothing to send.
    pub(crate) fn write_again(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        extensions: &ExtensionMap,
        transport_sequence: SequenceNumber,
        number: SequenceNumber,
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        let start = out.len();
        let packet = self.history.as_mut()?.resend(now, number)?;
        let view = Packet::parse(packet).ok()?;
        let payload_type = view.payload_type().get();
        let mut payload = view.payload().len() as u64;
        let rtx = self
            .rtx_types
            .iter()
            .find(|(pt, _)| *pt == payload_type)
            .and_then(|(_, rtx)| PayloadType::new(*rtx));
        match rtx {
            Some(rtx) => {
                let ssrc = Ssrc(self.rtx_ssrc);
                tincan_rtp::rtx::wrap(packet, ssrc, rtx, self.rtx_sequence, out).ok()?;
                self.rtx_sequence = self.rtx_sequence.next();
                payload += RTX_HEADER;
                if let Some(Ok(mut again)) = out.get_mut(start..).map(PacketMut::parse) {
                    if let Some(id) = extensions.id(ExtensionKind::TransportSequence) {
                        again.set_extension(id, &transport_sequence.0.to_be_bytes());
                    }
                    if let Some(id) = extensions.id(ExtensionKind::AbsoluteSendTime) {
                        again.set_extension(id, &send_time(ntp));
                    }
                    // RFC 8852: what repairs a stream names it as the repaired one, and has no rid of its own.
                    if let Some(id) = extensions.id(ExtensionKind::RtpStreamId) {
                        let repaired = extensions.id(ExtensionKind::RepairedRtpStreamId);
                        again.rename_extension(id, repaired.unwrap_or(0));
                    }
                }
            }
            None => out.extend_from_slice(packet),
        }
        self.retransmitted_packets += 1;
        self.retransmitted_octets += payload;
        self.retransmitted_headers += ((out.len() - start) as u64).saturating_sub(payload);
        Some(rtx.is_some())
    }

    /// Where timestamps begin if nothing was sent yet.
    pub(crate) fn begin(&mut self, now: Instant, timestamp: u32, clock: u32) {
        self.last.get_or_insert((timestamp, clock, now));
    }

    /// The timestamp that a sampled moment has now, for sender reports; `None` before the first packet.
    pub(crate) fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let (timestamp, clock, at) = self.last?;
        let ticks =
            now.saturating_duration_since(at).as_nanos() * u128::from(clock) / 1_000_000_000;
        Some(timestamp.wrapping_add(ticks as u32))
    }

    pub(crate) fn on_report(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        block: &tincan_rtp::rtcp::ReportBlock,
    ) -> Option<Duration> {
        let clock = self.last.map_or(90_000, |(_, clock, _)| clock).max(1);
        let round_trip = tincan_rtp::clock::round_trip(
            ntp,
            block.last_sender_report,
            block.delay_since_last_sender_report,
        );
        let before = self.remote;
        if let (Some(rtt), Some(history)) = (round_trip, self.history.as_mut()) {
            history.set_min_resend_interval(rtt);
        }
        self.remote = Some(RemoteReport {
            at: now,
            fraction_lost: block.fraction_lost,
            cumulative_lost: block.cumulative_lost,
            jitter: Duration::from_nanos(
                u64::from(block.jitter) * 1_000_000_000 / u64::from(clock),
            ),
            round_trip: round_trip.or(before.and_then(|b| b.round_trip)),
            total_round_trip: before.map_or(Duration::ZERO, |b| b.total_round_trip)
                + round_trip.unwrap_or_default(),
            measurements: before.map_or(0, |b| b.measurements) + u64::from(round_trip.is_some()),
        });
        round_trip
    }

    /// Whether a FIR is a new request (RFC 5104 §4.3.1.2: the sequence number says).
    pub(crate) fn on_fir(&mut self, sequence: u8) -> bool {
        self.firs += 1;
        self.last_fir.replace(sequence) != Some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Direction, Kind};

    /// A stream of VP8 whose packets have both extensions that are rewritten, with RTX or not.
    fn stream(codecs: Vec<Codec>) -> (SendStream, MediaParameters, ExtensionMap) {
        let parameters = MediaParameters {
            mid: "0".into(),
            kind: Kind::Video,
            send_codecs: codecs,
            receive_codecs: Vec::new(),
            extensions: Vec::new(),
            remote_ssrcs: Vec::new(),
            remote_groups: Vec::new(),
            remote_rids: Vec::new(),
            send_rids: Vec::new(),
            reduced_size: true,
            max_ptime: None,
            max_bitrate: None,
            direction: Direction::SendOnly,
        };
        let mut extensions = ExtensionMap::new();
        for (id, kind) in [
            (2, ExtensionKind::AbsoluteSendTime),
            (3, ExtensionKind::TransportSequence),
        ] {
            extensions.insert(id, kind.uri()).unwrap();
        }
        let mut stream = SendStream::new(7, 8);
        stream.configure(&parameters, None);
        (stream, parameters, extensions)
    }

    /// RFC 3711 §9.1: under one packet index only the same octets may be sent.
    #[test]
    fn without_rtx_a_packet_is_sent_again_octet_by_octet() {
        let vp8 = Codec::new(96, "VP8", 90_000).feedback(&["nack"]);
        let rtx = Codec::new(97, "rtx", 90_000).fmtp("apt=96");
        for (codecs, same) in [(vec![vp8.clone()], true), (vec![vp8, rtx], false)] {
            let (mut stream, parameters, extensions) = stream(codecs);
            let now = Instant::now();
            let (mut first, mut again) = (Vec::new(), Vec::new());
            let packet = RtpPacket::new(96, 1, 0, true, vec![1; 100]);
            let ntp = |seconds| NtpTime::from_unix(Duration::from_secs(seconds));
            let number = SequenceNumber(10);
            let written = stream.write(
                now,
                ntp(1),
                &extensions,
                &parameters,
                number,
                &packet,
                &mut first,
            );
            assert!(written);
            let numbered = stream.write_again(
                now,
                ntp(2),
                &extensions,
                number.next(),
                SequenceNumber(1),
                &mut again,
            );
            assert_eq!(numbered, Some(!same));
            assert_eq!(first == again, same);
            let payload = if same { 100 } else { 102 };
            assert_eq!(stream.retransmitted_octets, payload);
        }
    }

    /// RFC 8852: an RTX stream with a rid would be taken for a stream of media.
    #[test]
    fn a_retransmission_names_the_repaired_stream_and_no_other() {
        for repaired in [Some(11), None] {
            let vp8 = Codec::new(96, "VP8", 90_000).feedback(&["nack"]);
            let rtx = Codec::new(97, "rtx", 90_000).fmtp("apt=96");
            let (mut stream, parameters, mut extensions) = stream(vec![vp8, rtx]);
            stream.rid = Some("half".into());
            extensions
                .insert(10, ExtensionKind::RtpStreamId.uri())
                .unwrap();
            if let Some(id) = repaired {
                let kind = ExtensionKind::RepairedRtpStreamId;
                extensions.insert(id, kind.uri()).unwrap();
            }
            let (now, ntp) = (Instant::now(), NtpTime(1));
            let (mut first, mut again) = (Vec::new(), Vec::new());
            let packet = RtpPacket::new(96, 1, 0, true, vec![1; 100]);
            let number = SequenceNumber(10);
            stream.write(
                now,
                ntp,
                &extensions,
                &parameters,
                number,
                &packet,
                &mut first,
            );
            let one = SequenceNumber(1);
            let written = stream.write_again(now, ntp, &extensions, number, one, &mut again);
            assert_eq!(written, Some(true));
            let [first, again] = [&first, &again].map(|p| Packet::parse(p).unwrap());
            assert_eq!(first.extension(10), Some(&b"half"[..]));
            assert_eq!(again.extension(10), None);
            assert_eq!(again.extension(11), repaired.map(|_| &b"half"[..]));
        }
    }
}
