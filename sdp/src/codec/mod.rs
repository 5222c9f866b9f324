//! What `a=fmtp` means for a codec.
//!
//! [`Parameters`] is the list as it stands: `key=value` or a bare word, separated by `;`, in its
//! order. The types named for codecs hold the parameters of one codec as values; what they do not
//! know, or cannot read as what it should be, they keep in `others`, so nothing is lost but the
//! order. Reading never fails: a parameter that makes no sense is one that is not known
//! (RFC 8866 §6.15 leaves the format to the codec).
//!
//! ```
//! use tincan_sdp::codec::{CodecParameters, H264};
//!
//! let text = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
//! let CodecParameters::H264(h264) = CodecParameters::read("H264", text) else { panic!() };
//! assert_eq!(h264.packetization_mode, Some(1));
//! assert_eq!(h264.profile_level_id.unwrap().level_idc, 0x1f);
//! assert_eq!(h264.to_string(), text);
//! ```

use std::fmt::{self, Display};

mod parameters;
mod types;

pub use parameters::{ParameterValue, Parameters};
pub use types::{
    Amr, Av1, FlexFec, G723, G729, H263, H264, H265, Ilbc, Isac, L16, Opus, ProfileLevelId, Red,
    Rtx, TelephoneEvent, Vp8, Vp9,
};

use crate::attributes::{FeedbackKind, FeedbackTarget, Fmtp, PayloadType, RtcpFb, RtpMap};
use crate::limits::MAX_FEEDBACK;
use crate::media::MediaDescription;
use crate::section::Section;

/// The parameters of any codec.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecParameters {
    /// VP8 (RFC 7741 §6.1).
    Vp8(Vp8),
    /// VP9 (RFC 9628 §6).
    Vp9(Vp9),
    /// H.264 (RFC 6184 §8.1).
    H264(H264),
    /// H.265 (RFC 7798 §7.1).
    H265(H265),
    /// AV1 (RTP payload format for AV1, §7.2).
    Av1(Av1),
    /// H.263 (RFC 4629 §8.1).
    H263(H263),
    /// Opus (RFC 7587 §6.1).
    Opus(Opus),
    /// iSAC.
    Isac(Isac),
    /// iLBC (RFC 3952 §4).
    Ilbc(Ilbc),
    /// AMR and AMR-WB (RFC 4867 §8).
    Amr(Amr),
    /// G.723 (RFC 4856 §2.1.2).
    G723(G723),
    /// G.729 (RFC 4856 §2.1.9).
    G729(G729),
    /// Linear PCM (RFC 3190, RFC 4856 §2.1.12).
    L16(L16),
    /// Retransmissions (RFC 4588 §8.1).
    Rtx(Rtx),
    /// Redundant data (RFC 2198 §5).
    Red(Red),
    /// Flexible forward error correction (RFC 8627 §5.1).
    FlexFec(FlexFec),
    /// Telephone events (RFC 4733 §7.1.1).
    TelephoneEvent(TelephoneEvent),
    /// Any other codec, also those that have no parameters: PCMU, PCMA, G722, CN, ulpfec, …
    Other(Parameters),
}

impl CodecParameters {
    /// Reads parameters as what the codec with this encoding name means by them.
    pub fn read(encoding: &str, text: &str) -> Self {
        let is = |name: &str| encoding.eq_ignore_ascii_case(name);
        match () {
            () if is("VP8") => Self::Vp8(Vp8::read(text)),
            () if is("VP9") => Self::Vp9(Vp9::read(text)),
            () if is("H264") => Self::H264(H264::read(text)),
            () if is("H265") => Self::H265(H265::read(text)),
            () if is("AV1") => Self::Av1(Av1::read(text)),
            () if is("H263") || is("H263-1998") || is("H263-2000") => Self::H263(H263::read(text)),
            () if is("opus") => Self::Opus(Opus::read(text)),
            () if is("isac") => Self::Isac(Isac::read(text)),
            () if is("iLBC") => Self::Ilbc(Ilbc::read(text)),
            () if is("AMR") || is("AMR-WB") => Self::Amr(Amr::read(text)),
            () if is("G723") => Self::G723(G723::read(text)),
            () if is("G729") => Self::G729(G729::read(text)),
            () if is("L16") => Self::L16(L16::read(text)),
            () if is("rtx") => Self::Rtx(Rtx::read(text)),
            () if is("red") => Red::read(text).map_or_else(|| Self::other(text), Self::Red),
            () if is("flexfec-03") || is("flexfec") => Self::FlexFec(FlexFec::read(text)),
            () if is("telephone-event") => {
                TelephoneEvent::read(text).map_or_else(|| Self::other(text), Self::TelephoneEvent)
            }
            () => Self::other(text),
        }
    }

    fn other(text: &str) -> Self {
        Self::Other(Parameters::read(text))
    }
}

impl Display for CodecParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vp8(p) => p.fmt(f),
            Self::Vp9(p) => p.fmt(f),
            Self::H264(p) => p.fmt(f),
            Self::H265(p) => p.fmt(f),
            Self::Av1(p) => p.fmt(f),
            Self::H263(p) => p.fmt(f),
            Self::Opus(p) => p.fmt(f),
            Self::Isac(p) => p.fmt(f),
            Self::Ilbc(p) => p.fmt(f),
            Self::Amr(p) => p.fmt(f),
            Self::G723(p) => p.fmt(f),
            Self::G729(p) => p.fmt(f),
            Self::L16(p) => p.fmt(f),
            Self::Rtx(p) => p.fmt(f),
            Self::Red(p) => p.fmt(f),
            Self::FlexFec(p) => p.fmt(f),
            Self::TelephoneEvent(p) => p.fmt(f),
            Self::Other(p) => p.fmt(f),
        }
    }
}

impl Fmtp {
    /// The parameters as what the codec means by them.
    pub fn codec_parameters(&self, map: &RtpMap) -> CodecParameters {
        CodecParameters::read(&map.encoding, &self.parameters)
    }
}

impl Section {
    /// What a payload type stands for: its `a=rtpmap`, or what RFC 3551 says of a static one; and
    /// its parameters, which are empty where there is no `a=fmtp`.
    pub fn codec(&self, payload_type: PayloadType) -> Option<(RtpMap, CodecParameters)> {
        let map = self
            .rtpmap(payload_type)
            .or_else(|| RtpMap::of_static(payload_type))?;
        let fmtp = self.fmtp(payload_type);
        let text = fmtp.as_ref().map_or("", |fmtp| fmtp.parameters.as_str());
        let parameters = CodecParameters::read(&map.encoding, text);
        Some((map, parameters))
    }
}

/// A codec of a media section, with all that its lines say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// Payload type, encoding, clock rate.
    pub map: RtpMap,
    /// Parameters; empty where there is no `a=fmtp`.
    pub parameters: CodecParameters,
    /// Feedback, that for all payload types included: each kind once, at most [`MAX_FEEDBACK`].
    pub feedback: Vec<FeedbackKind>,
}

impl Codec {
    /// The payload type.
    pub fn payload_type(&self) -> PayloadType {
        self.map.payload_type
    }

    /// The payload type that this one retransmits, if it does that.
    pub fn retransmits(&self) -> Option<PayloadType> {
        match &self.parameters {
            CodecParameters::Rtx(rtx) => rtx.apt,
            _ => None,
        }
    }
}

/// What a section says of one payload type.
#[derive(Clone, Default)]
struct Entry<'a> {
    map: Option<RtpMap>,
    parameters: Option<&'a str>,
    feedback: Vec<FeedbackKind>,
}

fn entry<'t, 'a>(
    table: &'t mut [Option<Entry<'a>>],
    payload_type: PayloadType,
) -> Option<&'t mut Entry<'a>> {
    table.get_mut(usize::from(payload_type.get()))?.as_mut()
}

impl MediaDescription {
    /// The codecs in the order of the m-line's payload types, each once. Payload types that are
    /// neither mapped nor static are left out, and so are lines whose values break the grammar;
    /// of several lines for one payload type, the first counts.
    pub fn codecs(&self) -> Vec<Codec> {
        // One pass over the lines, whatever a remote may have put into them.
        let mut table: Vec<Option<Entry<'_>>> = vec![Some(Entry::default()); 128];
        let mut for_all = Vec::new();
        for attribute in self.section.attributes() {
            let Some(value) = attribute.value() else {
                continue;
            };
            match attribute.name() {
                "rtpmap" => {
                    if let Ok(map) = value.parse::<RtpMap>()
                        && let Some(entry) = entry(&mut table, map.payload_type)
                    {
                        entry.map.get_or_insert(map);
                    }
                }
                "fmtp" => {
                    let (format, parameters) = value.split_once([' ', '\t']).unwrap_or((value, ""));
                    if let Ok(format) = format.parse::<PayloadType>()
                        && let Some(entry) = entry(&mut table, format)
                    {
                        entry.parameters.get_or_insert(parameters);
                    }
                }
                "rtcp-fb" => match value.parse::<RtcpFb>() {
                    Ok(RtcpFb {
                        target: FeedbackTarget::PayloadType(payload_type),
                        kind,
                    }) => {
                        if let Some(entry) = entry(&mut table, payload_type) {
                            add_feedback(&mut entry.feedback, kind);
                        }
                    }
                    Ok(feedback) => add_feedback(&mut for_all, feedback.kind),
                    Err(_) => {}
                },
                _ => {}
            }
        }
        let mut codecs = Vec::new();
        for payload_type in self.payload_types() {
            // Taken out, so that a payload type that stands twice in the m-line gives one codec.
            let entry = table
                .get_mut(usize::from(payload_type.get()))
                .and_then(Option::take);
            let Some(entry) = entry else {
                continue;
            };
            let Some(map) = entry.map.or_else(|| RtpMap::of_static(payload_type)) else {
                continue;
            };
            let mut feedback = entry.feedback;
            for kind in &for_all {
                add_feedback(&mut feedback, kind.clone());
            }
            codecs.push(Codec {
                parameters: CodecParameters::read(&map.encoding, entry.parameters.unwrap_or("")),
                map,
                feedback,
            });
        }
        codecs
    }
}

fn add_feedback(list: &mut Vec<FeedbackKind>, kind: FeedbackKind) {
    if list.len() < MAX_FEEDBACK && !list.contains(&kind) {
        list.push(kind);
    }
}
