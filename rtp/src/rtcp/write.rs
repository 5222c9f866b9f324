//! Writing RTCP packets one after the other into a caller's buffer.

use crate::bytes_ext::put;
use crate::clock::NtpTime;
use crate::error::WriteError;
use crate::limits::{MAX_REPORT_BLOCKS, MAX_RTCP_PACKET, MAX_SOURCES, MAX_TEXT};
use crate::rtcp::extended::write_rle;
use crate::rtcp::feedback::exponent_mantissa;
use crate::rtcp::{
    BitrateLimit, CongestionMetric, DlrrEntry, FullIntraRequestEntry, LostSlices, RawPacket,
    ReportBlock, RleChunk, SdesKind, SenderInfo, StatisticsSummary, VoipMetrics, packet_type,
};
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Appends RTCP packets to a buffer; several make a compound packet.
///
/// Lists longer than a packet can count go on in further packets of the same kind.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// A writer at the end of `out`.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Octets in the buffer.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes a header with a length to be filled in by [`end`](Self::end).
    fn begin(&mut self, count: u8, packet_type: u8) -> usize {
        let start = self.out.len();
        self.out
            .extend_from_slice(&[0x80 | (count & 0x1f), packet_type, 0, 0]);
        start
    }

    /// Fills in the length of the packet that began at `start`, padded with zeros to a word.
    fn end(&mut self, start: usize) {
        let len = (self.out.len() - start).div_ceil(4) * 4;
        self.out.resize(start + len, 0);
        self.set_length(start);
    }

    /// Fills in the length of the packet that began at `start` and has whole words.
    #[inline]
    fn set_length(&mut self, start: usize) {
        let words = (self.out.len() - start) / 4;
        if let Some([_, _, high, low]) = self.out.get_mut(start..).and_then(<[u8]>::first_chunk_mut)
        {
            [*high, *low] = (words.saturating_sub(1) as u16).to_be_bytes();
        }
    }

    fn set_count(&mut self, start: usize, count: usize) {
        put(self.out, start, &[0x80 | (count as u8 & 0x1f)]);
    }

    fn word(&mut self, word: u32) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }

    fn half(&mut self, half: u16) {
        self.out.extend_from_slice(&half.to_be_bytes());
    }

    /// Appends an SR; blocks beyond 31 go into RRs after it (RFC 3550 §6.1).
    pub fn sender_report(
        &mut self,
        ssrc: Ssrc,
        info: &SenderInfo,
        blocks: impl IntoIterator<Item = ReportBlock>,
    ) {
        let start = self.begin(0, packet_type::SR);
        self.word(ssrc.0);
        self.out.extend_from_slice(&info.ntp.0.to_be_bytes());
        self.word(info.rtp_timestamp);
        self.word(info.packets);
        self.word(info.octets);
        self.report_blocks(start, ssrc, blocks);
    }

    /// Appends an RR; blocks beyond 31 go into further RRs.
    pub fn receiver_report(&mut self, ssrc: Ssrc, blocks: impl IntoIterator<Item = ReportBlock>) {
        let start = self.begin(0, packet_type::RR);
        self.word(ssrc.0);
        self.report_blocks(start, ssrc, blocks);
    }

    fn report_blocks(
        &mut self,
        mut start: usize,
        ssrc: Ssrc,
        blocks: impl IntoIterator<Item = ReportBlock>,
    ) {
        let mut count = 0;
        for block in blocks {
            if count == MAX_REPORT_BLOCKS {
                self.set_count(start, count);
                self.end(start);
                start = self.begin(0, packet_type::RR);
                self.word(ssrc.0);
                count = 0;
            }
            block.write(self.out);
            count += 1;
        }
        self.set_count(start, count);
        self.end(start);
    }

    /// Appends an SDES with one source and its items.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] for a value of more than 255 octets; nothing is written.
    pub fn source_description<'v>(
        &mut self,
        ssrc: Ssrc,
        items: impl IntoIterator<Item = (SdesKind, &'v [u8])>,
    ) -> Result<(), WriteError> {
        let start = self.begin(1, packet_type::SDES);
        self.word(ssrc.0);
        for (kind, value) in items {
            let Ok(len) = u8::try_from(value.len()) else {
                self.out.truncate(start);
                return Err(WriteError::TooMany(value.len()));
            };
            if kind.number() == 0 {
                self.out.truncate(start);
                return Err(WriteError::Field("SDES item"));
            }
            self.out.extend_from_slice(&[kind.number(), len]);
            self.out.extend_from_slice(value);
        }
        // RFC 3550 §6.5: the list ends with a zero octet, and with the word.
        self.out.push(0);
        self.end(start);
        Ok(())
    }

    /// Appends an SDES that gives one source its CNAME.
    ///
    /// # Errors
    /// As [`source_description`](Self::source_description).
    pub fn cname(&mut self, ssrc: Ssrc, cname: &str) -> Result<(), WriteError> {
        self.source_description(ssrc, [(SdesKind::Cname, cname.as_bytes())])
    }

    /// Appends a BYE.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] for more than 31 sources or a reason of more than 255 octets.
    pub fn goodbye(&mut self, sources: &[Ssrc], reason: &[u8]) -> Result<(), WriteError> {
        if sources.len() > MAX_SOURCES {
            return Err(WriteError::TooMany(sources.len()));
        }
        if reason.len() > MAX_TEXT {
            return Err(WriteError::TooMany(reason.len()));
        }
        let start = self.begin(sources.len() as u8, packet_type::BYE);
        for source in sources {
            self.word(source.0);
        }
        if !reason.is_empty() {
            self.out.push(reason.len() as u8);
            self.out.extend_from_slice(reason);
        }
        self.end(start);
        Ok(())
    }

    /// Appends an APP.
    ///
    /// # Errors
    /// [`WriteError::Field`] unless `data` is whole words and the subtype has five bits;
    /// [`WriteError::TooMany`] when the length field cannot count it.
    pub fn app(
        &mut self,
        subtype: u8,
        ssrc: Ssrc,
        name: [u8; 4],
        data: &[u8],
    ) -> Result<(), WriteError> {
        if subtype > 31 {
            return Err(WriteError::Field("subtype"));
        }
        if !data.len().is_multiple_of(4) {
            return Err(WriteError::Field("data"));
        }
        if data.len() > MAX_RTCP_PACKET - 12 {
            return Err(WriteError::TooMany(data.len()));
        }
        let start = self.begin(subtype, packet_type::APP);
        self.word(ssrc.0);
        self.out.extend_from_slice(&name);
        self.out.extend_from_slice(data);
        self.end(start);
        Ok(())
    }

    #[inline]
    fn begin_feedback(&mut self, format: u8, packet_type: u8, sender: Ssrc, media: Ssrc) -> usize {
        let start = self.out.len();
        let head = [0x80 | (format & 0x1f), packet_type, 0, 0];
        let mut fixed = [0; 12];
        put(&mut fixed, 0, &head);
        put(&mut fixed, 4, &sender.0.to_be_bytes());
        put(&mut fixed, 8, &media.0.to_be_bytes());
        self.out.extend_from_slice(&fixed);
        start
    }

    /// Appends a generic NACK (RFC 4585 §6.2.1) for sequence numbers in ascending order (others
    /// cost more room). Writes nothing for an empty list.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        sequences: impl IntoIterator<Item = SequenceNumber>,
    ) {
        let mut sequences = sequences.into_iter();
        let Some(mut first) = sequences.next() else {
            return;
        };
        let mut start = self.begin_feedback(1, packet_type::RTPFB, sender, media);
        // Bit i is the packet i after the first one.
        let mut mask = 0u32;
        for sequence in sequences {
            let distance = sequence.distance_from(first);
            if distance <= 16 {
                mask |= 1 << distance;
                continue;
            }
            self.out.extend_from_slice(&nack_entry(first, mask));
            (first, mask) = (sequence, 0);
            if self.out.len() - start + 4 > MAX_RTCP_PACKET {
                self.end(start);
                start = self.begin_feedback(1, packet_type::RTPFB, sender, media);
            }
        }
        self.out.extend_from_slice(&nack_entry(first, mask));
        self.set_length(start);
    }

    /// Appends a PLI (RFC 4585 §6.3.1).
    pub fn picture_loss(&mut self, sender: Ssrc, media: Ssrc) {
        let start = self.begin_feedback(1, packet_type::PSFB, sender, media);
        self.end(start);
    }

    /// Appends an SLI (RFC 4585 §6.3.2).
    pub fn slice_loss(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        slices: impl IntoIterator<Item = LostSlices>,
    ) {
        let start = self.begin_feedback(2, packet_type::PSFB, sender, media);
        for s in slices.into_iter().take(MAX_RTCP_PACKET / 4 - 3) {
            let word = (u32::from(s.first & 0x1fff) << 19)
                | (u32::from(s.number & 0x1fff) << 6)
                | u32::from(s.picture_id & 0x3f);
            self.word(word);
        }
        self.end(start);
    }

    /// Appends an RPSI (RFC 4585 §6.3.3) with the codec's bit string, of whose last octet
    /// `unused_bits` are unused.
    ///
    /// # Errors
    /// [`WriteError::Field`] when `unused_bits` is over 7 or there are no bits;
    /// [`WriteError::TooMany`] for more than a packet holds.
    pub fn reference_picture_selection(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        payload_type: u8,
        bits: &[u8],
        unused_bits: u8,
    ) -> Result<(), WriteError> {
        if unused_bits > 7 || bits.is_empty() || payload_type > 127 {
            return Err(WriteError::Field("bit string"));
        }
        if bits.len() > MAX_RTCP_PACKET - 16 {
            return Err(WriteError::TooMany(bits.len()));
        }
        let start = self.begin_feedback(3, packet_type::PSFB, sender, media);
        let padding = (2 + bits.len()).next_multiple_of(4) - 2 - bits.len();
        self.out
            .extend_from_slice(&[padding as u8 * 8 + unused_bits, payload_type]);
        self.out.extend_from_slice(bits);
        self.end(start);
        Ok(())
    }

    /// Appends a FIR (RFC 5104 §4.3.1).
    pub fn full_intra_request(
        &mut self,
        sender: Ssrc,
        entries: impl IntoIterator<Item = FullIntraRequestEntry>,
    ) {
        let start = self.begin_feedback(4, packet_type::PSFB, sender, Ssrc(0));
        for entry in entries.into_iter().take(MAX_RTCP_PACKET / 8 - 2) {
            self.word(entry.ssrc.0);
            self.word(u32::from(entry.sequence) << 24);
        }
        self.end(start);
    }

    /// Appends a TMMBR (RFC 5104 §4.2.1). Rates are rounded down to 17 bits of precision.
    pub fn bitrate_request(
        &mut self,
        sender: Ssrc,
        limits: impl IntoIterator<Item = BitrateLimit>,
    ) {
        self.bitrate_limits(3, sender, limits);
    }

    /// Appends a TMMBN (RFC 5104 §4.2.2). Rates are rounded down to 17 bits of precision.
    pub fn bitrate_notification(
        &mut self,
        sender: Ssrc,
        limits: impl IntoIterator<Item = BitrateLimit>,
    ) {
        self.bitrate_limits(4, sender, limits);
    }

    fn bitrate_limits(
        &mut self,
        format: u8,
        sender: Ssrc,
        limits: impl IntoIterator<Item = BitrateLimit>,
    ) {
        let start = self.begin_feedback(format, packet_type::RTPFB, sender, Ssrc(0));
        for limit in limits.into_iter().take(MAX_RTCP_PACKET / 8 - 2) {
            limit.write(self.out);
        }
        self.end(start);
    }

    /// Appends a REMB (draft-alvestrand-rmcat-remb §2): the streams together may send
    /// `bits_per_second`, rounded down to 18 bits of precision.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] for more than 255 streams.
    pub fn receiver_estimate(
        &mut self,
        sender: Ssrc,
        bits_per_second: u64,
        ssrcs: &[Ssrc],
    ) -> Result<(), WriteError> {
        let Ok(count) = u8::try_from(ssrcs.len()) else {
            return Err(WriteError::TooMany(ssrcs.len()));
        };
        let start = self.begin_feedback(15, packet_type::PSFB, sender, Ssrc(0));
        self.out.extend_from_slice(b"REMB");
        let (exponent, mantissa) = exponent_mantissa(bits_per_second, 18);
        self.word((u32::from(count) << 24) | (exponent << 18) | mantissa);
        for ssrc in ssrcs {
            self.word(ssrc.0);
        }
        self.end(start);
        Ok(())
    }

    /// Appends congestion control feedback (RFC 8888 §3.1): of each stream, the number of the first
    /// packet and a metric a packet, `None` for one that has not arrived. `timestamp` is the middle
    /// of an NTP time.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] when a stream has more than 16 384 reports or the packet gets too
    /// long; nothing is written.
    pub fn congestion_feedback<M>(
        &mut self,
        sender: Ssrc,
        timestamp: u32,
        streams: impl IntoIterator<Item = (Ssrc, SequenceNumber, M)>,
    ) -> Result<(), WriteError>
    where
        M: IntoIterator<Item = Option<CongestionMetric>>,
    {
        let start = self.begin(11, packet_type::RTPFB);
        self.word(sender.0);
        for (ssrc, begin, metrics) in streams {
            self.word(ssrc.0);
            self.half(begin.0);
            let count_at = self.out.len();
            self.half(0);
            let mut count = 0usize;
            for metric in metrics {
                count += 1;
                if count > 16_384 || self.out.len() - start + 12 > MAX_RTCP_PACKET {
                    self.out.truncate(start);
                    return Err(WriteError::TooMany(count));
                }
                self.half(CongestionMetric::word(metric.as_ref()));
            }
            if !count.is_multiple_of(2) {
                self.half(0);
            }
            put(self.out, count_at, &(count as u16).to_be_bytes());
        }
        self.word(timestamp);
        self.end(start);
        Ok(())
    }

    /// Appends an XR (RFC 3611 §2) whose blocks `blocks` writes.
    pub fn extended_report(&mut self, ssrc: Ssrc, blocks: impl FnOnce(&mut ExtendedWriter<'_>)) {
        let start = self.begin(0, packet_type::XR);
        self.word(ssrc.0);
        blocks(&mut ExtendedWriter { out: self.out });
        self.end(start);
    }

    /// Appends a packet as it is, of whatever kind.
    pub fn raw(&mut self, packet: &RawPacket<'_>) {
        self.out.extend_from_slice(packet.as_bytes());
    }
}

/// An entry for a packet and those after it whose bits are set, bit `i` for the `i`-th (RFC 4585
/// §6.2.1).
fn nack_entry(first: SequenceNumber, mask: u32) -> [u8; 4] {
    ((u32::from(first.0) << 16) | (mask >> 1)).to_be_bytes()
}

/// Appends the blocks of an extended report.
#[derive(Debug)]
pub struct ExtendedWriter<'b> {
    out: &'b mut Vec<u8>,
}

impl ExtendedWriter<'_> {
    /// Appends a receiver reference time block (RFC 3611 §4.4).
    pub fn receiver_reference_time(&mut self, ntp: NtpTime) {
        self.out.extend_from_slice(&[4, 0, 0, 2]);
        self.out.extend_from_slice(&ntp.0.to_be_bytes());
    }

    /// Appends a DLRR block (RFC 3611 §4.5).
    pub fn dlrr(&mut self, entries: impl IntoIterator<Item = DlrrEntry>) {
        let start = self.out.len();
        self.out.extend_from_slice(&[5, 0, 0, 0]);
        for entry in entries.into_iter().take(MAX_RTCP_PACKET / 16) {
            self.out.extend_from_slice(&entry.ssrc.0.to_be_bytes());
            self.out
                .extend_from_slice(&entry.last_receiver_report.to_be_bytes());
            self.out.extend_from_slice(&entry.delay.to_be_bytes());
        }
        let words = (self.out.len() - start) / 4 - 1;
        put(self.out, start + 2, &(words as u16).to_be_bytes());
    }

    /// Appends a loss report (RFC 3611 §4.1) about the packets from `range.0` up to, not with,
    /// `range.1`.
    pub fn loss_rle(
        &mut self,
        ssrc: Ssrc,
        thinning: u8,
        range: (SequenceNumber, SequenceNumber),
        chunks: impl IntoIterator<Item = RleChunk>,
    ) {
        write_rle(self.out, 1, ssrc, thinning, range, chunks);
    }

    /// Appends a duplicates report (RFC 3611 §4.2).
    pub fn duplicate_rle(
        &mut self,
        ssrc: Ssrc,
        thinning: u8,
        range: (SequenceNumber, SequenceNumber),
        chunks: impl IntoIterator<Item = RleChunk>,
    ) {
        write_rle(self.out, 2, ssrc, thinning, range, chunks);
    }

    /// Appends a receipt times report (RFC 3611 §4.3).
    pub fn receipt_times(
        &mut self,
        ssrc: Ssrc,
        thinning: u8,
        range: (SequenceNumber, SequenceNumber),
        times: impl IntoIterator<Item = u32>,
    ) {
        let start = self.out.len();
        self.out.extend_from_slice(&[3, thinning & 0x0f, 0, 0]);
        self.out.extend_from_slice(&ssrc.0.to_be_bytes());
        self.out.extend_from_slice(&range.0.0.to_be_bytes());
        self.out.extend_from_slice(&range.1.0.to_be_bytes());
        for time in times.into_iter().take(MAX_RTCP_PACKET / 8) {
            self.out.extend_from_slice(&time.to_be_bytes());
        }
        let words = (self.out.len() - start) / 4 - 1;
        put(self.out, start + 2, &(words as u16).to_be_bytes());
    }

    /// Appends a statistics summary (RFC 3611 §4.6).
    pub fn statistics_summary(&mut self, summary: &StatisticsSummary) {
        summary.write(self.out);
    }

    /// Appends VoIP metrics (RFC 3611 §4.7).
    pub fn voip_metrics(&mut self, metrics: &VoipMetrics) {
        metrics.write(self.out);
    }

    /// Appends a block of another type.
    ///
    /// # Errors
    /// [`WriteError::Field`] unless `body` is whole words; [`WriteError::TooMany`] when the length
    /// field cannot count it.
    pub fn block(
        &mut self,
        block_type: u8,
        type_specific: u8,
        body: &[u8],
    ) -> Result<(), WriteError> {
        if !body.len().is_multiple_of(4) {
            return Err(WriteError::Field("body"));
        }
        let Ok(words) = u16::try_from(body.len() / 4) else {
            return Err(WriteError::TooMany(body.len()));
        };
        self.out.extend_from_slice(&[block_type, type_specific]);
        self.out.extend_from_slice(&words.to_be_bytes());
        self.out.extend_from_slice(body);
        Ok(())
    }
}
