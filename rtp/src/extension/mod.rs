//! RTP header extensions (RFC 8285): elements, their identifiers, and typed values.
//!
//! A session negotiates which identifier stands for which URI; an [`ExtensionMap`] holds that. A
//! forwarding server has one map a peer and an [`IdRewrite`] between two.

mod audio;
mod dependency;
mod identity;
mod layers;
mod map;
mod rewrite;
mod time;
mod video;

pub use audio::{AudioLevel, InbandComfortNoise, MixerAudioLevels};
pub use dependency::{
    DecodeTargetIndication, DependencyDescriptor, DependencyReader, DependencyStructure,
    DependencyWriter, FrameDependencies, FrameDescription, Indications, MAX_DECODE_TARGETS,
    MAX_FRAME_DIFFS, MAX_SPATIAL_LAYERS, MAX_TEMPLATES,
};
pub use identity::{Mid, RepairedRtpStreamId, RtpStreamId};
pub use layers::{LayerResolution, SpatialLayer, VideoLayersAllocation};
pub use time::{
    AbsoluteCaptureTime, AbsoluteSendTime, FeedbackRequest, PlayoutDelay, TransmissionOffset,
    TransportSequence, TransportSequenceV2, VideoTiming,
};
pub use video::{
    ColorSpace, CorruptionDetection, CorruptionSamples, HdrMetadata, Rotation, VideoContentType,
    VideoFrameTrackingId, VideoOrientation,
};

pub use map::{ExtensionKind, ExtensionMap, MapError};
pub use rewrite::IdRewrite;
pub(crate) use rewrite::widen;

use crate::bytes_ext::{slice, u8_at};
use crate::error::{ParseError, WriteError};

/// The profile field of the one-byte form (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// The profile field of the two-byte form, appbits zero (RFC 8285 §4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// How the elements of one header extension are written. A packet has one form for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionForm {
    /// Identifiers 1 to 14, values of 1 to 16 octets (RFC 8285 §4.2).
    OneByte,
    /// Identifiers 1 to 255, values of 0 to 255 octets (RFC 8285 §4.3).
    TwoByte,
}

impl ExtensionForm {
    /// The form that a "defined by profile" field announces, if it is one of RFC 8285.
    pub const fn from_profile(profile: u16) -> Option<Self> {
        match profile {
            ONE_BYTE_PROFILE => Some(Self::OneByte),
            p if p & 0xfff0 == TWO_BYTE_PROFILE => Some(Self::TwoByte),
            _ => None,
        }
    }

    /// The "defined by profile" field of this form.
    pub const fn profile(self) -> u16 {
        match self {
            Self::OneByte => ONE_BYTE_PROFILE,
            Self::TwoByte => TWO_BYTE_PROFILE,
        }
    }

    /// The one-byte form when it can carry the element, else the two-byte form.
    pub(crate) fn narrowest(id: u8, len: usize) -> Self {
        if Self::OneByte.check(id, len).is_ok() {
            Self::OneByte
        } else {
            Self::TwoByte
        }
    }

    /// Whether this form can carry an element.
    ///
    /// # Errors
    /// [`WriteError::ExtensionId`] or [`WriteError::ExtensionLength`] when it cannot.
    pub const fn check(self, id: u8, len: usize) -> Result<(), WriteError> {
        let (ids, lens) = match self {
            Self::OneByte => (1..=14, 1..=16),
            Self::TwoByte => (1..=255u8, 0..=255usize),
        };
        if id < *ids.start() || id > *ids.end() {
            Err(WriteError::ExtensionId(id))
        } else if len < *lens.start() || len > *lens.end() {
            Err(WriteError::ExtensionLength(len))
        } else {
            Ok(())
        }
    }

    /// Appends the one or two octets before a value; identifier and length have been checked.
    pub(crate) fn push_header(self, out: &mut Vec<u8>, id: u8, len: usize) {
        match self {
            Self::OneByte => out.push((id << 4) | (len.wrapping_sub(1) as u8 & 0x0f)),
            Self::TwoByte => out.extend_from_slice(&[id, len as u8]),
        }
    }
}

/// One element of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The negotiated identifier.
    pub id: u8,
    /// The value's octets.
    pub value: &'a [u8],
}

/// The elements of a header extension, in order; padding is skipped.
///
/// Ends at the first element that does not fit; [`error`](Self::error) then names it.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    octets: &'a [u8],
    at: usize,
    form: Option<ExtensionForm>,
    error: Option<ParseError>,
}

impl<'a> Elements<'a> {
    /// The elements in `octets`, in the form that `profile` announces; none for another profile.
    #[inline]
    pub fn new(profile: u16, octets: &'a [u8]) -> Self {
        Self {
            octets,
            at: 0,
            form: ExtensionForm::from_profile(profile),
            error: None,
        }
    }

    /// No elements.
    pub(crate) const fn empty() -> Self {
        Self {
            octets: &[],
            at: 0,
            form: None,
            error: None,
        }
    }

    /// Octets read so far: after [`next`](Iterator::next), where the element's value ends.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// What ended the iteration early, if something did.
    pub const fn error(&self) -> Option<ParseError> {
        self.error
    }

    fn end(&mut self, error: Option<ParseError>) -> Option<Element<'a>> {
        self.form = None;
        self.error = error;
        None
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let form = self.form?;
        loop {
            let Some(&first) = self.octets.get(self.at) else {
                return self.end(None);
            };
            // RFC 8285 §4.1: a zero octet where an element would begin is padding.
            if first == 0 {
                self.at += 1;
                continue;
            }
            let (id, header, len) = match form {
                ExtensionForm::OneByte => {
                    let id = first >> 4;
                    // RFC 8285 §4.2: 15 ends processing; so does 0 with a length.
                    if id == 15 || id == 0 {
                        return self.end(None);
                    }
                    (id, 1, usize::from(first & 0x0f) + 1)
                }
                ExtensionForm::TwoByte => {
                    let Some(&len) = self.octets.get(self.at + 1) else {
                        return self.end(Some(ParseError::ExtensionElement { id: first }));
                    };
                    (first, 2, usize::from(len))
                }
            };
            let start = self.at + header;
            let Some(value) = self.octets.get(start..start + len) else {
                return self.end(Some(ParseError::ExtensionElement { id }));
            };
            self.at = start + len;
            return Some(Element { id, value });
        }
    }
}

/// A header extension with a typed value.
pub trait Extension<'a>: Sized {
    /// Which one it is.
    const KIND: ExtensionKind;

    /// Reads the value of an element.
    ///
    /// # Errors
    /// [`ParseError::ExtensionValue`] for a length the extension does not have, or another
    /// [`ParseError`] that names what is wrong.
    fn parse(value: &'a [u8]) -> Result<Self, ParseError>;

    /// Octets that [`encode`](Self::encode) appends.
    fn encoded_len(&self) -> usize;

    /// Appends the value's octets.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Where each element begins, with its identifier and its length on the wire; the walk the
/// rewriters share. Calls `visit` with (offset, header octets, identifier, value length).
pub(crate) fn walk(
    form: ExtensionForm,
    octets: &[u8],
    mut visit: impl FnMut(usize, usize, u8, usize) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut at = 0;
    while at < octets.len() {
        let first = u8_at(octets, at);
        if first == 0 {
            at += 1;
            continue;
        }
        let (id, header, len) = match form {
            ExtensionForm::OneByte => (first >> 4, 1, usize::from(first & 0x0f) + 1),
            ExtensionForm::TwoByte => (first, 2, usize::from(u8_at(octets, at + 1))),
        };
        if form == ExtensionForm::OneByte && (id == 15 || id == 0) {
            break;
        }
        if slice(octets, at..at + header + len).len() != header + len {
            break;
        }
        visit(at, header, id, len)?;
        at += header + len;
    }
    Ok(())
}
/// Fails unless a value has one of the lengths in `allowed`.
pub(crate) fn expect_len(value: &[u8], allowed: &[usize]) -> Result<(), ParseError> {
    if allowed.contains(&value.len()) {
        Ok(())
    } else {
        Err(ParseError::ExtensionValue(value.len()))
    }
}
