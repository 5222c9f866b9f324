//! Congestion control feedback (RFC 8888): arrival times and ECN marks of each stream's packets.

use std::time::Duration;

use crate::bytes_ext::{slice, tail, u16_at, u32_at};
use crate::error::{ParseError, require};
use crate::rtcp::RawPacket;
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Reports a stream block may have (RFC 8888 §3.1: a receiver MUST NOT report more).
const MAX_REPORTS: usize = 16_384;

/// The ECN codepoint a packet arrived with (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct,
    /// ECT(1): L4S.
    Ect1,
    /// ECT(0).
    Ect0,
    /// Congestion experienced.
    Ce,
}

impl Ecn {
    /// The codepoint of two bits.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// Its two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }
}

/// What the feedback says about one packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CongestionMetric {
    /// Its ECN codepoint.
    pub ecn: Ecn,
    /// How long before the report's timestamp it arrived; `None` when too long ago to say (over
    /// 8 s) or not known. Steps of 1/1024 s.
    pub arrival_offset: Option<Duration>,
}

impl CongestionMetric {
    fn read(word: u16) -> Option<Self> {
        if word & 0x8000 == 0 {
            return None;
        }
        let ato = word & 0x1fff;
        Some(Self {
            ecn: Ecn::from_bits((word >> 13) as u8),
            // RFC 8888 §3.1: 0x1FFE is "over", 0x1FFF "not available".
            arrival_offset: (ato < 0x1ffe)
                .then(|| Duration::from_nanos(u64::from(ato) * 1_000_000_000 / 1024)),
        })
    }

    pub(crate) fn word(metric: Option<&Self>) -> u16 {
        let Some(metric) = metric else { return 0 };
        let ato = match metric.arrival_offset {
            None => 0x1fff,
            // Rounded up, so that reading (which rounds down) and writing agree.
            Some(d) => (d.as_nanos() * 1024).div_ceil(1_000_000_000).min(0x1ffe) as u16,
        };
        0x8000 | (u16::from(metric.ecn.bits()) << 13) | ato
    }
}

/// The reports on one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamMetrics<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// Number of the first packet reported on.
    pub begin: SequenceNumber,
    words: &'a [u8],
}

impl<'a> StreamMetrics<'a> {
    /// Each packet's number and metrics; `None` for one that has not arrived.
    pub fn metrics(
        &self,
    ) -> impl ExactSizeIterator<Item = (SequenceNumber, Option<CongestionMetric>)> + Clone + use<'a>
    {
        let begin = self.begin;
        self.words
            .chunks_exact(2)
            .enumerate()
            .map(move |(i, w)| (begin.add(i as u16), CongestionMetric::read(u16_at(w, 0))))
    }
}

/// A congestion control feedback packet (RFC 8888 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct CongestionFeedback<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// When, in 1/65536 s of the reporter's clock (the middle of an NTP time).
    pub timestamp: u32,
    streams: &'a [u8],
}

impl<'a> CongestionFeedback<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), 8)?;
        let streams = slice(body, 4..body.len() - 4);
        let mut rest = streams;
        while !rest.is_empty() {
            (_, rest) = split_stream(rest)?;
        }
        Ok(Self {
            sender: Ssrc(u32_at(body, 0)),
            timestamp: u32_at(body, body.len() - 4),
            streams,
        })
    }

    /// The streams reported on.
    pub fn streams(&self) -> impl Iterator<Item = StreamMetrics<'a>> + Clone + use<'a> {
        let mut rest = self.streams;
        std::iter::from_fn(move || {
            let (stream, after) = split_stream(rest).ok()?;
            rest = after;
            Some(stream)
        })
    }
}

fn split_stream(bytes: &[u8]) -> Result<(StreamMetrics<'_>, &[u8]), ParseError> {
    require(bytes.len(), 8)?;
    let count = usize::from(u16_at(bytes, 6));
    let len = count * 2;
    let padded = 8 + len.div_ceil(4) * 4;
    if count > MAX_REPORTS || bytes.len() < padded {
        return Err(ParseError::Count(count));
    }
    Ok((
        StreamMetrics {
            ssrc: Ssrc(u32_at(bytes, 0)),
            begin: SequenceNumber(u16_at(bytes, 4)),
            words: slice(bytes, 8..8 + len),
        },
        tail(bytes, padded),
    ))
}
