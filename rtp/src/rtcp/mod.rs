//! RTCP packets: views of a compound packet's parts, and a writer (RFC 3550 §6, RFC 4585, RFC 5104,
//! RFC 3611, RFC 8888, and the feedback that browsers use).
//!
//! ```
//! use tincan_rtp::rtcp::{Compound, Packet, Writer};
//! use tincan_rtp::{SequenceNumber, Ssrc};
//!
//! let mut out = Vec::new();
//! let mut rtcp = Writer::new(&mut out);
//! rtcp.receiver_report(Ssrc(1), []);
//! rtcp.nack(Ssrc(1), Ssrc(2), [7, 9].map(SequenceNumber));
//!
//! let compound = Compound::parse(&out)?;
//! for packet in compound.packets() {
//!     if let Packet::Nack(nack) = packet? {
//!         assert_eq!(nack.sequences().map(|s| s.0).collect::<Vec<_>>(), [7, 9]);
//!     }
//! }
//! # Ok::<(), tincan_rtp::ParseError>(())
//! ```

mod congestion;
mod extended;
mod feedback;
mod report;
mod source;
mod transport;
mod transport_write;
mod write;

pub use congestion::{CongestionFeedback, CongestionMetric, Ecn, StreamMetrics};
pub use extended::{Dlrr, ReceiptTimes};
pub use extended::{
    DlrrEntry, ExtendedBlock, ExtendedReport, RleBlock, RleChunk, StatisticsSummary, VoipMetrics,
};
pub use feedback::{
    BitrateLimit, BitrateLimits, FullIntraRequest, FullIntraRequestEntry, LostSlices, Nack,
    PictureLoss, ReceiverEstimate, ReferencePictureSelection, SliceLoss,
};
pub use report::{ReceiverReport, ReportBlock, SenderInfo, SenderReport};
pub use source::{App, Goodbye, SdesChunk, SdesItem, SdesKind, SourceDescription};
pub use transport::{Statuses, TransportFeedback, TransportStatus};
pub use transport_write::TransportFeedbackBuilder;
pub use write::{ExtendedWriter, Writer};

use crate::bytes_ext::{slice, u8_at, u16_at, u32_at};
use crate::error::{ParseError, require};
use crate::types::Ssrc;

/// Packet type numbers.
pub mod packet_type {
    /// Sender report (RFC 3550 §6.4.1).
    pub const SR: u8 = 200;
    /// Receiver report (RFC 3550 §6.4.2).
    pub const RR: u8 = 201;
    /// Source description (RFC 3550 §6.5).
    pub const SDES: u8 = 202;
    /// Goodbye (RFC 3550 §6.6).
    pub const BYE: u8 = 203;
    /// Application-defined (RFC 3550 §6.7).
    pub const APP: u8 = 204;
    /// Transport-layer feedback (RFC 4585 §6.2).
    pub const RTPFB: u8 = 205;
    /// Payload-specific feedback (RFC 4585 §6.3).
    pub const PSFB: u8 = 206;
    /// Extended report (RFC 3611 §2).
    pub const XR: u8 = 207;
}

/// One RTCP packet, not yet looked into: its header is right and its length lies inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPacket<'a> {
    bytes: &'a [u8],
    padding: u8,
}

impl<'a> RawPacket<'a> {
    /// Takes the first packet of `bytes`; returns it and what follows.
    ///
    /// # Errors
    /// [`ParseError`] when version, length or padding are wrong.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        require(bytes.len(), 4)?;
        let first = u8_at(bytes, 0);
        if first >> 6 != 2 {
            return Err(ParseError::Version(first >> 6));
        }
        let words = u16_at(bytes, 2);
        let len = (usize::from(words) + 1) * 4;
        let Some((packet, rest)) = bytes.split_at_checked(len) else {
            return Err(ParseError::RtcpLength(words));
        };
        let mut padding = 0;
        if first & 0x20 != 0 {
            padding = u8_at(packet, len - 1);
            // RFC 3550 §6.4.1: a multiple of four, and it counts itself.
            if padding == 0 || !padding.is_multiple_of(4) || usize::from(padding) > len - 4 {
                return Err(ParseError::Padding(padding));
            }
        }
        Ok((
            Self {
                bytes: packet,
                padding,
            },
            rest,
        ))
    }

    /// The packet type.
    #[inline]
    pub fn packet_type(&self) -> u8 {
        u8_at(self.bytes, 1)
    }

    /// The five bits beside the padding bit: a count, a feedback message type (FMT) or a subtype.
    #[inline]
    pub fn count(&self) -> u8 {
        u8_at(self.bytes, 0) & 0x1f
    }

    /// Octets after the four of the header, without padding.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        slice(self.bytes, 4..self.bytes.len() - usize::from(self.padding))
    }

    /// The whole packet, header and padding included.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The sender: the first word of the body, in every kind but SDES.
    pub fn sender(&self) -> Option<Ssrc> {
        (self.body().len() >= 4).then(|| Ssrc(u32_at(self.body(), 0)))
    }

    /// Looks into the packet.
    ///
    /// # Errors
    /// [`ParseError`] when its contents contradict its length.
    #[inline]
    pub fn decode(&self) -> Result<Packet<'a>, ParseError> {
        use packet_type as pt;
        Ok(match (self.packet_type(), self.count()) {
            (pt::SR, _) => Packet::SenderReport(SenderReport::from_raw(self)?),
            (pt::RR, _) => Packet::ReceiverReport(ReceiverReport::from_raw(self)?),
            (pt::SDES, _) => Packet::SourceDescription(SourceDescription::from_raw(self)?),
            (pt::BYE, _) => Packet::Goodbye(Goodbye::from_raw(self)?),
            (pt::APP, _) => Packet::App(App::from_raw(self)?),
            (pt::RTPFB, 1) => Packet::Nack(Nack::from_raw(self)?),
            (pt::RTPFB, 3) => Packet::BitrateRequest(BitrateLimits::from_raw(self)?),
            (pt::RTPFB, 4) => Packet::BitrateNotification(BitrateLimits::from_raw(self)?),
            (pt::RTPFB, 11) => Packet::CongestionFeedback(CongestionFeedback::from_raw(self)?),
            (pt::RTPFB, 15) => Packet::TransportFeedback(TransportFeedback::from_raw(self)?),
            (pt::PSFB, 1) => Packet::PictureLoss(PictureLoss::from_raw(self)?),
            (pt::PSFB, 2) => Packet::SliceLoss(SliceLoss::from_raw(self)?),
            (pt::PSFB, 3) => {
                Packet::ReferencePictureSelection(ReferencePictureSelection::from_raw(self)?)
            }
            (pt::PSFB, 4) => Packet::FullIntraRequest(FullIntraRequest::from_raw(self)?),
            (pt::PSFB, 15) if ReceiverEstimate::is(self) => {
                Packet::ReceiverEstimate(ReceiverEstimate::from_raw(self)?)
            }
            (pt::XR, _) => Packet::ExtendedReport(ExtendedReport::from_raw(self)?),
            _ => Packet::Unknown(*self),
        })
    }
}

/// One RTCP packet, looked into.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// SR (RFC 3550 §6.4.1).
    SenderReport(SenderReport<'a>),
    /// RR (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// SDES (RFC 3550 §6.5).
    SourceDescription(SourceDescription<'a>),
    /// BYE (RFC 3550 §6.6).
    Goodbye(Goodbye<'a>),
    /// APP (RFC 3550 §6.7).
    App(App<'a>),
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack(Nack<'a>),
    /// TMMBR (RFC 5104 §4.2.1).
    BitrateRequest(BitrateLimits<'a>),
    /// TMMBN (RFC 5104 §4.2.2).
    BitrateNotification(BitrateLimits<'a>),
    /// Congestion control feedback (RFC 8888).
    CongestionFeedback(CongestionFeedback<'a>),
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions §3).
    TransportFeedback(TransportFeedback<'a>),
    /// PLI (RFC 4585 §6.3.1).
    PictureLoss(PictureLoss),
    /// SLI (RFC 4585 §6.3.2).
    SliceLoss(SliceLoss<'a>),
    /// RPSI (RFC 4585 §6.3.3).
    ReferencePictureSelection(ReferencePictureSelection<'a>),
    /// FIR (RFC 5104 §4.3.1).
    FullIntraRequest(FullIntraRequest<'a>),
    /// REMB (draft-alvestrand-rmcat-remb §2).
    ReceiverEstimate(ReceiverEstimate<'a>),
    /// XR (RFC 3611).
    ExtendedReport(ExtendedReport<'a>),
    /// Any other kind, kept as it came.
    Unknown(RawPacket<'a>),
}

/// A datagram of RTCP packets whose headers and lengths are right: a compound packet, or a
/// reduced-size one (RFC 5506).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks the chain of headers in `bytes`.
    ///
    /// # Errors
    /// [`ParseError`] when a header or length is wrong, when only some packet but the last has
    /// padding (RFC 3550 §6.4.1), or when there is no packet at all.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = bytes;
        loop {
            let (packet, after) = RawPacket::split(rest)?;
            if after.is_empty() {
                return Ok(Self { bytes });
            }
            if packet.padding != 0 {
                return Err(ParseError::Padding(packet.padding));
            }
            rest = after;
        }
    }

    /// The packets, not looked into.
    pub fn raw_packets(&self) -> impl Iterator<Item = RawPacket<'a>> + Clone + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (packet, after) = RawPacket::split(rest).ok()?;
            rest = after;
            Some(packet)
        })
    }

    /// The packets, looked into. A bad one is an error of its own; those after it are given all the
    /// same.
    pub fn packets(
        &self,
    ) -> impl Iterator<Item = Result<Packet<'a>, ParseError>> + Clone + use<'a> {
        self.raw_packets().map(|raw| raw.decode())
    }

    /// Whether this is a full compound packet: a report first, and an SDES in it with a CNAME
    /// (RFC 3550 §6.1). Reduced-size RTCP (RFC 5506) is not.
    ///
    /// # Errors
    /// [`ParseError::Compound`] when it is not.
    pub fn check_compound(&self) -> Result<(), ParseError> {
        let first = self.raw_packets().next().map(|p| p.packet_type());
        let report = matches!(first, Some(packet_type::SR | packet_type::RR));
        let named = self.packets().any(|p| match p {
            Ok(Packet::SourceDescription(sdes)) => sdes
                .chunks()
                .any(|c| c.items().any(|i| i.kind == SdesKind::Cname)),
            _ => false,
        });
        if report && named {
            Ok(())
        } else {
            Err(ParseError::Compound)
        }
    }
}

/// Sender and media source of a feedback message (RFC 4585 §6.1), and its FCI.
fn feedback<'a>(raw: &RawPacket<'a>) -> Result<(Ssrc, Ssrc, &'a [u8]), ParseError> {
    let body = raw.body();
    require(body.len(), 8)?;
    Ok((
        Ssrc(u32_at(body, 0)),
        Ssrc(u32_at(body, 4)),
        slice(body, 8..body.len()),
    ))
}
