//! Extended reports (RFC 3611).

use crate::bytes_ext::{slice, tail, u8_at, u16_at, u32_at, u64_at};
use crate::clock::NtpTime;
use crate::error::{ParseError, require};
use crate::rtcp::RawPacket;
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// XR (RFC 3611 §2).
#[derive(Clone, Copy, Debug)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ExtendedReport<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), 4)?;
        let blocks = tail(body, 4);
        let mut rest = blocks;
        while !rest.is_empty() {
            (_, rest) = split_block(rest)?;
        }
        Ok(Self {
            ssrc: Ssrc(u32_at(body, 0)),
            blocks,
        })
    }

    /// The report blocks. One whose contents contradict its length is an error of its own.
    pub fn blocks(
        &self,
    ) -> impl Iterator<Item = Result<ExtendedBlock<'a>, ParseError>> + Clone + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let (block, after) = split_block(rest).ok()?;
            rest = after;
            Some(ExtendedBlock::read(block))
        })
    }
}

/// Takes one block with its header (RFC 3611 §3).
fn split_block(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    require(bytes.len(), 4)?;
    let words = u16_at(bytes, 2);
    bytes
        .split_at_checked(4 + usize::from(words) * 4)
        .ok_or(ParseError::RtcpLength(words))
}

/// One block of an extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtendedBlock<'a> {
    /// 1: which packets were lost (§4.1).
    LossRle(RleBlock<'a>),
    /// 2: which packets came more than once (§4.2).
    DuplicateRle(RleBlock<'a>),
    /// 3: when each packet came, in ticks of the stream's clock (§4.3).
    ReceiptTimes(ReceiptTimes<'a>),
    /// 4: the receiver's clock, for senders who only receive (§4.4).
    ReceiverReferenceTime(NtpTime),
    /// 5: answers to the former (§4.5).
    Dlrr(Dlrr<'a>),
    /// 6: figures over a range of packets (§4.6).
    StatisticsSummary(StatisticsSummary),
    /// 7: figures of a voice stream (§4.7).
    VoipMetrics(VoipMetrics),
    /// Any other block, kept as it came.
    Unknown {
        /// The block type.
        block_type: u8,
        /// The eight bits beside it.
        type_specific: u8,
        /// What follows the block's header.
        body: &'a [u8],
    },
}

impl<'a> ExtendedBlock<'a> {
    fn read(block: &'a [u8]) -> Result<Self, ParseError> {
        let body = tail(block, 4);
        let (block_type, specific) = (u8_at(block, 0), u8_at(block, 1));
        Ok(match block_type {
            1 => Self::LossRle(RleBlock::read(specific, body)?),
            2 => Self::DuplicateRle(RleBlock::read(specific, body)?),
            3 => {
                require(body.len(), 8)?;
                Self::ReceiptTimes(ReceiptTimes {
                    ssrc: Ssrc(u32_at(body, 0)),
                    thinning: specific & 0x0f,
                    begin: SequenceNumber(u16_at(body, 4)),
                    end: SequenceNumber(u16_at(body, 6)),
                    times: tail(body, 8),
                })
            }
            4 => {
                require(body.len(), 8)?;
                Self::ReceiverReferenceTime(NtpTime(u64_at(body, 0)))
            }
            5 => {
                if !body.len().is_multiple_of(12) {
                    return Err(ParseError::Count(body.len()));
                }
                Self::Dlrr(Dlrr { entries: body })
            }
            6 => Self::StatisticsSummary(StatisticsSummary::read(specific, body)?),
            7 => Self::VoipMetrics(VoipMetrics::read(body)?),
            _ => Self::Unknown {
                block_type,
                type_specific: specific,
                body,
            },
        })
    }
}

/// A run-length encoded list of packets (RFC 3611 §4.1, §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RleBlock<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// Only every 2^thinning-th packet is told about.
    pub thinning: u8,
    /// First packet told about.
    pub begin: SequenceNumber,
    /// One past the last packet told about.
    pub end: SequenceNumber,
    chunks: &'a [u8],
}

impl<'a> RleBlock<'a> {
    fn read(specific: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        require(body.len(), 8)?;
        Ok(Self {
            ssrc: Ssrc(u32_at(body, 0)),
            thinning: specific & 0x0f,
            begin: SequenceNumber(u16_at(body, 4)),
            end: SequenceNumber(u16_at(body, 6)),
            chunks: tail(body, 8),
        })
    }

    /// The chunks, up to the terminating null.
    pub fn chunks(&self) -> impl Iterator<Item = RleChunk> + Clone + use<'a> {
        self.chunks
            .chunks_exact(2)
            .map(|c| u16_at(c, 0))
            .take_while(|c| *c != 0)
            .map(|c| {
                if c & 0x8000 == 0 {
                    RleChunk::Run {
                        bit: c & 0x4000 != 0,
                        length: c & 0x3fff,
                    }
                } else {
                    RleChunk::Vector(c & 0x7fff)
                }
            })
    }
}

/// A chunk of an [`RleBlock`] (RFC 3611 §4.1.1, §4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RleChunk {
    /// The same bit several times.
    Run {
        /// The bit: in a loss report set for a packet that came.
        bit: bool,
        /// How many times, 14 bits.
        length: u16,
    },
    /// Fifteen bits, the first packet's in the highest.
    Vector(u16),
}

/// When packets came (RFC 3611 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptTimes<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// Only every 2^thinning-th packet is told about.
    pub thinning: u8,
    /// First packet told about.
    pub begin: SequenceNumber,
    /// One past the last packet told about.
    pub end: SequenceNumber,
    times: &'a [u8],
}

impl<'a> ReceiptTimes<'a> {
    /// The times, in ticks of the stream's clock.
    pub fn times(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        self.times.chunks_exact(4).map(|c| u32_at(c, 0))
    }
}

/// One answer to a receiver reference time (RFC 3611 §4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DlrrEntry {
    /// Whose reference time is answered.
    pub ssrc: Ssrc,
    /// Middle 32 bits of that time; 0 when there was none.
    pub last_receiver_report: u32,
    /// Time since it came, in 1/65536 s.
    pub delay: u32,
}

/// Answers to receiver reference times (RFC 3611 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlrr<'a> {
    entries: &'a [u8],
}

impl<'a> Dlrr<'a> {
    /// The answers.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = DlrrEntry> + Clone + use<'a> {
        self.entries.chunks_exact(12).map(|e| DlrrEntry {
            ssrc: Ssrc(u32_at(e, 0)),
            last_receiver_report: u32_at(e, 4),
            delay: u32_at(e, 8),
        })
    }
}

/// Figures over a range of packets (RFC 3611 §4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatisticsSummary {
    /// The stream.
    pub ssrc: Ssrc,
    /// First packet reckoned.
    pub begin: SequenceNumber,
    /// One past the last packet reckoned.
    pub end: SequenceNumber,
    /// Lost packets, if told.
    pub lost: Option<u32>,
    /// Duplicate packets, if told.
    pub duplicates: Option<u32>,
    /// Least, greatest, mean and standard deviation of the jitter in ticks, if told.
    pub jitter: Option<[u32; 4]>,
    /// Least, greatest, mean and standard deviation of the time to live or hop limit, if told.
    pub ttl: Option<[u8; 4]>,
    /// Whether the former are hop limits (IPv6) and not times to live.
    pub hop_limit: bool,
}

impl StatisticsSummary {
    fn read(flags: u8, b: &[u8]) -> Result<Self, ParseError> {
        require(b.len(), 36)?;
        let ttl_kind = (flags >> 3) & 3;
        Ok(Self {
            ssrc: Ssrc(u32_at(b, 0)),
            begin: SequenceNumber(u16_at(b, 4)),
            end: SequenceNumber(u16_at(b, 6)),
            lost: (flags & 0x80 != 0).then(|| u32_at(b, 8)),
            duplicates: (flags & 0x40 != 0).then(|| u32_at(b, 12)),
            jitter: (flags & 0x20 != 0)
                .then(|| [u32_at(b, 16), u32_at(b, 20), u32_at(b, 24), u32_at(b, 28)]),
            ttl: matches!(ttl_kind, 1 | 2).then(|| u32_at(b, 32).to_be_bytes()),
            hop_limit: ttl_kind == 2,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let ttl_kind = match (self.ttl, self.hop_limit) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => 2,
        };
        let flags = (u8::from(self.lost.is_some()) << 7)
            | (u8::from(self.duplicates.is_some()) << 6)
            | (u8::from(self.jitter.is_some()) << 5)
            | (ttl_kind << 3);
        out.extend_from_slice(&[6, flags, 0, 9]);
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
        out.extend_from_slice(&self.begin.0.to_be_bytes());
        out.extend_from_slice(&self.end.0.to_be_bytes());
        out.extend_from_slice(&self.lost.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&self.duplicates.unwrap_or(0).to_be_bytes());
        for figure in self.jitter.unwrap_or_default() {
            out.extend_from_slice(&figure.to_be_bytes());
        }
        out.extend_from_slice(&self.ttl.unwrap_or_default());
    }
}

/// Figures of a voice stream (RFC 3611 §4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The stream.
    pub ssrc: Ssrc,
    /// Share lost in the network, in 1/256.
    pub loss_rate: u8,
    /// Share discarded by the jitter buffer, in 1/256.
    pub discard_rate: u8,
    /// Share of loss and discard within bursts, in 1/256.
    pub burst_density: u8,
    /// Share of loss and discard between bursts, in 1/256.
    pub gap_density: u8,
    /// Mean length of bursts in ms.
    pub burst_duration: u16,
    /// Mean length of gaps in ms.
    pub gap_duration: u16,
    /// Round-trip time in ms.
    pub round_trip_delay: u16,
    /// Delay of the end system in ms.
    pub end_system_delay: u16,
    /// Signal level in dBm, 127 unknown.
    pub signal_level: i8,
    /// Noise level in dBm, 127 unknown.
    pub noise_level: i8,
    /// Residual echo return loss in dB, 127 unknown.
    pub residual_echo_return_loss: u8,
    /// Gap threshold in packets.
    pub gmin: u8,
    /// R factor, 127 unknown.
    pub r_factor: u8,
    /// R factor of what is beyond, 127 unknown.
    pub external_r_factor: u8,
    /// Listening quality, mean opinion score times ten, 127 unknown.
    pub mos_lq: u8,
    /// Conversational quality, mean opinion score times ten, 127 unknown.
    pub mos_cq: u8,
    /// How the receiver conceals loss and drives its jitter buffer (§4.7.6).
    pub receiver_config: u8,
    /// Nominal jitter buffer delay in ms.
    pub jitter_buffer_nominal: u16,
    /// Greatest jitter buffer delay in ms.
    pub jitter_buffer_maximum: u16,
    /// Greatest delay the jitter buffer could have in ms.
    pub jitter_buffer_absolute_maximum: u16,
}

impl VoipMetrics {
    fn read(b: &[u8]) -> Result<Self, ParseError> {
        require(b.len(), 32)?;
        Ok(Self {
            ssrc: Ssrc(u32_at(b, 0)),
            loss_rate: u8_at(b, 4),
            discard_rate: u8_at(b, 5),
            burst_density: u8_at(b, 6),
            gap_density: u8_at(b, 7),
            burst_duration: u16_at(b, 8),
            gap_duration: u16_at(b, 10),
            round_trip_delay: u16_at(b, 12),
            end_system_delay: u16_at(b, 14),
            signal_level: u8_at(b, 16) as i8,
            noise_level: u8_at(b, 17) as i8,
            residual_echo_return_loss: u8_at(b, 18),
            gmin: u8_at(b, 19),
            r_factor: u8_at(b, 20),
            external_r_factor: u8_at(b, 21),
            mos_lq: u8_at(b, 22),
            mos_cq: u8_at(b, 23),
            receiver_config: u8_at(b, 24),
            jitter_buffer_nominal: u16_at(b, 26),
            jitter_buffer_maximum: u16_at(b, 28),
            jitter_buffer_absolute_maximum: u16_at(b, 30),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[7, 0, 0, 8]);
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
        out.extend_from_slice(&[
            self.loss_rate,
            self.discard_rate,
            self.burst_density,
            self.gap_density,
        ]);
        for figure in [
            self.burst_duration,
            self.gap_duration,
            self.round_trip_delay,
            self.end_system_delay,
        ] {
            out.extend_from_slice(&figure.to_be_bytes());
        }
        out.extend_from_slice(&[
            self.signal_level as u8,
            self.noise_level as u8,
            self.residual_echo_return_loss,
            self.gmin,
            self.r_factor,
            self.external_r_factor,
            self.mos_lq,
            self.mos_cq,
            self.receiver_config,
            0,
        ]);
        for figure in [
            self.jitter_buffer_nominal,
            self.jitter_buffer_maximum,
            self.jitter_buffer_absolute_maximum,
        ] {
            out.extend_from_slice(&figure.to_be_bytes());
        }
    }
}

/// Appends the header and fixed part of an RLE block; the chunks follow.
pub(crate) fn write_rle(
    out: &mut Vec<u8>,
    block_type: u8,
    ssrc: Ssrc,
    thinning: u8,
    range: (SequenceNumber, SequenceNumber),
    chunks: impl IntoIterator<Item = RleChunk>,
) {
    let start = out.len();
    out.extend_from_slice(&[block_type, thinning & 0x0f, 0, 0]);
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    out.extend_from_slice(&range.0.0.to_be_bytes());
    out.extend_from_slice(&range.1.0.to_be_bytes());
    for chunk in chunks {
        let word = match chunk {
            RleChunk::Run { bit, length } => (u16::from(bit) << 14) | (length & 0x3fff),
            RleChunk::Vector(bits) => 0x8000 | bits,
        };
        out.extend_from_slice(&word.to_be_bytes());
    }
    let len = (out.len() - start).div_ceil(4) * 4;
    out.resize(start + len, 0);
    crate::bytes_ext::put(out, start + 2, &((len / 4 - 1) as u16).to_be_bytes());
    debug_assert!(slice(out, start..start + 4).len() == 4);
}
