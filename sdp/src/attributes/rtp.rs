//! RTP: payload types, formats, feedback, header extensions.

use std::fmt::{self, Display};

use super::Direction;
use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str, push_bounded};

/// An RTP payload type: 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type `number`, if it has seven bits.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the number is of the range for dynamic use that needs no further care: 96 to 127,
    /// and 35 to 63 (RFC 3551 §3, RFC 5761 §4).
    pub fn is_dynamic(self) -> bool {
        matches!(self.0, 96..=127 | 35..=63)
    }
}

impl Grammar for PayloadType {
    const CALLED: &'static str = "payload type";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.u8(0, 127).map(Self)
    }
}

impl Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<PayloadType> for u8 {
    fn from(payload_type: PayloadType) -> Self {
        payload_type.0
    }
}

/// `a=rtpmap`: what codec a payload type stands for (RFC 8866 §6.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RtpMap {
    /// The payload type.
    pub payload_type: PayloadType,
    /// The encoding's name: "opus", "VP8", … Names are compared in any case.
    pub encoding: String,
    /// RTP clock rate in hertz.
    pub clock_rate: u32,
    /// Encoding parameters: for audio, the number of channels.
    pub parameters: Option<String>,
}

impl RtpMap {
    /// A mapping without encoding parameters.
    pub fn new(payload_type: PayloadType, encoding: impl Into<String>, clock_rate: u32) -> Self {
        Self {
            payload_type,
            encoding: encoding.into(),
            clock_rate,
            parameters: None,
        }
    }

    /// The same with a number of channels.
    #[must_use]
    pub fn with_channels(mut self, channels: u16) -> Self {
        self.parameters = Some(channels.to_string());
        self
    }

    /// The number of audio channels: 1 unless the parameters say more.
    pub fn channels(&self) -> u16 {
        self.parameters
            .as_deref()
            .and_then(|text| text.parse().ok())
            .unwrap_or(1)
    }

    /// Whether the encoding has this name, in any case.
    pub fn is(&self, encoding: &str) -> bool {
        self.encoding.eq_ignore_ascii_case(encoding)
    }

    /// What a static payload type stands for when no `a=rtpmap` says it (RFC 3551 §6).
    pub fn of_static(payload_type: PayloadType) -> Option<Self> {
        let (encoding, clock_rate) = match payload_type.get() {
            0 => ("PCMU", 8000),
            3 => ("GSM", 8000),
            4 => ("G723", 8000),
            5 => ("DVI4", 8000),
            6 => ("DVI4", 16_000),
            7 => ("LPC", 8000),
            8 => ("PCMA", 8000),
            9 => ("G722", 8000),
            10 => return Some(Self::new(payload_type, "L16", 44_100).with_channels(2)),
            11 => ("L16", 44_100),
            12 => ("QCELP", 8000),
            13 => ("CN", 8000),
            14 => ("MPA", 90_000),
            15 => ("G728", 8000),
            16 => ("DVI4", 11_025),
            17 => ("DVI4", 22_050),
            18 => ("G729", 8000),
            25 => ("CelB", 90_000),
            26 => ("JPEG", 90_000),
            28 => ("nv", 90_000),
            31 => ("H261", 90_000),
            32 => ("MPV", 90_000),
            33 => ("MP2T", 90_000),
            34 => ("H263", 90_000),
            _ => return None,
        };
        Some(Self::new(payload_type, encoding, clock_rate))
    }
}

impl Grammar for RtpMap {
    const CALLED: &'static str = "rtpmap";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let payload_type = PayloadType::read(scan)?;
        scan.space()?;
        let encoding = scan.token_until(b'/')?.to_owned();
        scan.expect(b'/')?;
        let clock_rate = scan.u32(0, u32::MAX)?;
        let parameters = if scan.take(b'/') {
            Some(scan.token()?.to_owned())
        } else {
            None
        };
        Ok(Self {
            payload_type,
            encoding,
            clock_rate,
            parameters,
        })
    }
}

impl Display for RtpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}/{}",
            self.payload_type, self.encoding, self.clock_rate
        )?;
        match &self.parameters {
            Some(parameters) => write!(f, "/{parameters}"),
            None => Ok(()),
        }
    }
}

/// `a=fmtp`: parameters of one format (RFC 8866 §6.15).
///
/// The text is kept as it is; [`crate::codec`] reads it as what the codec means by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fmtp {
    /// The format of the m-line: a payload type for RTP.
    pub format: String,
    /// The parameters as text.
    pub parameters: String,
}

impl Fmtp {
    /// Parameters of a payload type.
    pub fn new(payload_type: PayloadType, parameters: impl Display) -> Self {
        Self {
            format: payload_type.to_string(),
            parameters: parameters.to_string(),
        }
    }

    /// The format as a payload type, if it is one.
    pub fn payload_type(&self) -> Option<PayloadType> {
        self.format.parse().ok()
    }

    /// The value of a `key=value` parameter separated by `;`; the key in any case.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim_ascii()
                .eq_ignore_ascii_case(key)
                .then_some(value.trim_ascii())
        })
    }
}

impl Grammar for Fmtp {
    const CALLED: &'static str = "fmtp";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let format = scan.token()?.to_owned();
        let parameters = if scan.is_strict() {
            scan.space()?;
            scan.some_rest()?.to_owned()
        } else {
            // Formats without parameters: some stacks write the line all the same.
            scan.rest().trim_ascii().to_owned()
        };
        Ok(Self { format, parameters })
    }
}

impl Display for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.parameters)
    }
}

/// What payload types feedback is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedbackTarget {
    /// `*`: all of the section.
    All,
    /// One payload type.
    PayloadType(PayloadType),
}

impl FeedbackTarget {
    /// Whether a payload type is meant.
    pub fn includes(self, payload_type: PayloadType) -> bool {
        match self {
            Self::All => true,
            Self::PayloadType(mine) => mine == payload_type,
        }
    }
}

impl From<PayloadType> for FeedbackTarget {
    fn from(payload_type: PayloadType) -> Self {
        Self::PayloadType(payload_type)
    }
}

impl Display for FeedbackTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::PayloadType(payload_type) => write!(f, "{payload_type}"),
        }
    }
}

/// A kind of RTCP feedback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeedbackKind {
    /// `nack`: generic negative acknowledgements (RFC 4585 §6.2.1).
    Nack,
    /// `nack pli`: picture loss (RFC 4585 §6.3.1).
    NackPli,
    /// `nack sli`: slice loss (RFC 4585 §6.3.2).
    NackSli,
    /// `nack rpsi`: reference picture selection (RFC 4585 §6.3.3).
    NackRpsi,
    /// `ack rpsi`.
    AckRpsi,
    /// `ack ccfb`: congestion control feedback (RFC 8888 §6).
    AckCcfb,
    /// `ccm fir`: full intra request (RFC 5104 §7.1).
    CcmFir,
    /// `ccm tmmbr`: temporary maximum bit rate (RFC 5104 §7.1).
    CcmTmmbr,
    /// `ccm tstr`: temporal-spatial trade-off (RFC 5104 §7.1).
    CcmTstr,
    /// `goog-remb` (draft-alvestrand-rmcat-remb).
    GoogRemb,
    /// `transport-cc` (draft-holmer-rmcat-transport-wide-cc-extensions).
    TransportCc,
    /// `goog-lntf`: loss notification.
    GoogLntf,
    /// `trr-int`: least time between regular reports, in milliseconds (RFC 4585 §4.2).
    TrrInt(u32),
    /// Any other, as it was written.
    Other(String),
}

impl FeedbackKind {
    const WORDS: [(&'static str, Self); 12] = [
        ("nack", Self::Nack),
        ("nack pli", Self::NackPli),
        ("nack sli", Self::NackSli),
        ("nack rpsi", Self::NackRpsi),
        ("ack rpsi", Self::AckRpsi),
        ("ack ccfb", Self::AckCcfb),
        ("ccm fir", Self::CcmFir),
        ("ccm tmmbr", Self::CcmTmmbr),
        ("ccm tstr", Self::CcmTstr),
        ("goog-remb", Self::GoogRemb),
        ("transport-cc", Self::TransportCc),
        ("goog-lntf", Self::GoogLntf),
    ];

    fn from_text(text: &str) -> Self {
        for (word, kind) in Self::WORDS {
            if word == text {
                return kind;
            }
        }
        text.strip_prefix("trr-int ")
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .map_or_else(|| Self::Other(text.to_owned()), Self::TrrInt)
    }
}

impl Display for FeedbackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrrInt(milliseconds) => write!(f, "trr-int {milliseconds}"),
            Self::Other(text) => f.write_str(text),
            known => Self::WORDS
                .iter()
                .find(|(_, kind)| kind == known)
                .map_or(Ok(()), |(word, _)| f.write_str(word)),
        }
    }
}

/// `a=rtcp-fb`: feedback that may be sent (RFC 4585 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RtcpFb {
    /// For what.
    pub target: FeedbackTarget,
    /// Which feedback.
    pub kind: FeedbackKind,
}

impl RtcpFb {
    /// Feedback for one payload type, or for all.
    pub fn new(target: impl Into<FeedbackTarget>, kind: FeedbackKind) -> Self {
        Self {
            target: target.into(),
            kind,
        }
    }
}

impl Grammar for RtcpFb {
    const CALLED: &'static str = "rtcp-fb";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let target = if scan.take(b'*') {
            FeedbackTarget::All
        } else {
            FeedbackTarget::PayloadType(PayloadType::read(scan)?)
        };
        scan.space()?;
        let rest = scan.some_rest()?;
        let text = rest.trim_ascii_end();
        if text.is_empty() {
            return Err(scan.error(Rule::Empty));
        }
        if scan.is_strict() && text.len() < rest.len() {
            return Err(scan.error(Rule::TrailingBlank));
        }
        Ok(Self {
            target,
            kind: FeedbackKind::from_text(text),
        })
    }
}

impl Display for RtcpFb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.kind)
    }
}

/// `a=rtcp-xr`: extended report blocks that may be sent (RFC 3611 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RtcpXr {
    /// Formats with their parameters: `rcvr-rtt=all`, …
    pub formats: Vec<(String, Option<String>)>,
}

impl Grammar for RtcpXr {
    const CALLED: &'static str = "rtcp-xr";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let mut formats = Vec::new();
        while !scan.is_done() {
            let word = scan.word()?;
            let format = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            };
            push_bounded(scan, &mut formats, format)?;
            if !scan.more()? {
                break;
            }
        }
        Ok(Self { formats })
    }
}

impl Display for RtcpXr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.formats.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// `a=extmap`: a number for a header extension (RFC 8285 §8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtMap {
    /// The number: 1 to 255 on the wire, 4096 to 4351 for "any number" in an offer.
    pub id: u16,
    /// Which way, where it is not the section's direction.
    pub direction: Option<Direction>,
    /// The extension's name: see [`crate::uri`].
    pub uri: String,
    /// Attributes of the extension, as text.
    pub attributes: Option<String>,
}

impl ExtMap {
    /// A number for a URI.
    pub fn new(id: u16, uri: impl Into<String>) -> Self {
        Self {
            id,
            direction: None,
            uri: uri.into(),
            attributes: None,
        }
    }
}

impl Grammar for ExtMap {
    const CALLED: &'static str = "extmap";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let id = scan.u16(if scan.is_strict() { 1 } else { 0 }, 4351)?;
        if scan.is_strict() && matches!(id, 256..=4095) {
            return Err(scan.error(Rule::Range { min: 1, max: 255 }));
        }
        let direction = if scan.take(b'/') {
            Some(Direction::read(scan)?)
        } else {
            None
        };
        scan.space()?;
        let uri = scan.word()?.to_owned();
        let attributes = if scan.more()? {
            Some(scan.rest().trim_ascii_end().to_owned())
        } else {
            None
        }
        .filter(|attributes: &String| !attributes.is_empty());
        Ok(Self {
            id,
            direction,
            uri,
            attributes,
        })
    }
}

impl Display for ExtMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(direction) = self.direction {
            write!(f, "/{direction}")?;
        }
        write!(f, " {}", self.uri)?;
        match &self.attributes {
            Some(attributes) => write!(f, " {attributes}"),
            None => Ok(()),
        }
    }
}

from_str!(PayloadType, RtpMap, Fmtp, RtcpFb, RtcpXr, ExtMap);
