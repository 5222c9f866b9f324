//! Sender and receiver reports (RFC 3550 §6.4).

use crate::bytes_ext::{slice, tail, u8_at, u24_at, u32_at, u64_at};
use crate::clock::NtpTime;
use crate::error::{ParseError, require};
use crate::rtcp::RawPacket;
use crate::types::Ssrc;

/// Octets of one report block.
const BLOCK: usize = 24;

/// What a receiver says about one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, duplicates counted against; 24 bits signed on the wire,
    /// written clamped.
    pub cumulative_lost: i32,
    /// Highest sequence number, with the count of wraps above it.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks of the stream's clock.
    pub jitter: u32,
    /// Middle 32 bits of the last SR's NTP time; 0 when there was none.
    pub last_sender_report: u32,
    /// Time from that SR to this report in 1/65536 s; 0 when there was none.
    pub delay_since_last_sender_report: u32,
}

impl ReportBlock {
    fn read(b: &[u8]) -> Self {
        Self {
            ssrc: Ssrc(u32_at(b, 0)),
            fraction_lost: u8_at(b, 4),
            cumulative_lost: ((u24_at(b, 5) << 8) as i32) >> 8,
            highest_sequence: u32_at(b, 8),
            jitter: u32_at(b, 12),
            last_sender_report: u32_at(b, 16),
            delay_since_last_sender_report: u32_at(b, 20),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
        out.extend_from_slice(&((u32::from(self.fraction_lost) << 24) | lost).to_be_bytes());
        out.extend_from_slice(&self.highest_sequence.to_be_bytes());
        out.extend_from_slice(&self.jitter.to_be_bytes());
        out.extend_from_slice(&self.last_sender_report.to_be_bytes());
        out.extend_from_slice(&self.delay_since_last_sender_report.to_be_bytes());
    }
}

/// What a sender says about itself (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall-clock time of the report.
    pub ntp: NtpTime,
    /// The same time in ticks of the stream's clock.
    pub rtp_timestamp: u32,
    /// Packets sent since the beginning; wraps.
    pub packets: u32,
    /// Payload octets sent since the beginning, headers and padding not counted; wraps.
    pub octets: u32,
}

/// SR.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// What it says about itself.
    pub info: SenderInfo,
    blocks: &'a [u8],
    extension: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), 24)?;
        let (blocks, extension) = split_blocks(raw.count(), tail(body, 24))?;
        Ok(Self {
            ssrc: Ssrc(u32_at(body, 0)),
            info: SenderInfo {
                ntp: NtpTime(u64_at(body, 4)),
                rtp_timestamp: u32_at(body, 12),
                packets: u32_at(body, 16),
                octets: u32_at(body, 20),
            },
            blocks,
            extension,
        })
    }

    /// The report blocks.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + Clone + use<'a> {
        self.blocks.chunks_exact(BLOCK).map(ReportBlock::read)
    }

    /// The profile-specific extension after the blocks.
    pub fn profile_extension(&self) -> &'a [u8] {
        self.extension
    }
}

/// RR.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
    extension: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), 4)?;
        let (blocks, extension) = split_blocks(raw.count(), tail(body, 4))?;
        Ok(Self {
            ssrc: Ssrc(u32_at(body, 0)),
            blocks,
            extension,
        })
    }

    /// The report blocks.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + Clone + use<'a> {
        self.blocks.chunks_exact(BLOCK).map(ReportBlock::read)
    }

    /// The profile-specific extension after the blocks.
    pub fn profile_extension(&self) -> &'a [u8] {
        self.extension
    }
}

fn split_blocks(count: u8, rest: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let count = usize::from(count);
    let len = count * BLOCK;
    if rest.len() < len {
        return Err(ParseError::Count(count));
    }
    Ok((slice(rest, 0..len), tail(rest, len)))
}
