//! Payload types and extension ids: one meaning each in a bundle (RFC 9143 §9.1, §15; RFC 8285 §5), for as long as the
//! transport lives.
//!
//! A section that is refused, or an offer that is rolled back, takes its lines out of the descriptions but not out of the
//! far side's tables: those go when it has dealt with the description that says so, which may be after it has looked at what
//! else stands in it. RFC 3264 §8.3.2 forbids to give a payload type another meaning within a stream, and RFC 8285 §5
//! wants ids to stay. So numbers that meant something are kept for that as long as there are others.

use super::model::{Description, Section};
use crate::codec::Codec;

/// What numbers meant that stand in no description any more.
#[derive(Debug, Default, Clone)]
pub(super) struct Retired {
    types: Vec<Codec>,
    ids: Vec<RetiredId>,
}

#[derive(Debug, Clone)]
struct RetiredId {
    id: u8,
    uri: String,
    /// The far side said or took it; otherwise it stood in an offer of ours that came to nothing, perhaps unheard.
    heard: bool,
}

/// What a refused section says binds nobody: browsers leave its old lines standing.
fn live(description: &Description) -> impl Iterator<Item = &Section> {
    description.sections.iter().filter(|s| !s.rejected)
}

impl Retired {
    /// Notes what a description says that is about to be replaced; `heard` as in [`RetiredId`]. What is noted later counts.
    pub(super) fn note(&mut self, description: &Description, heard: bool) {
        for section in live(description) {
            for codec in &section.codecs {
                self.types.retain(|c| c.payload_type != codec.payload_type);
                self.types.push(Codec {
                    feedback: Vec::new(),
                    ..codec.clone()
                });
            }
            for extension in &section.extensions {
                let kept = self.ids.iter().position(|e| e.id == extension.id);
                if let Some(at) = kept {
                    if !heard && self.ids.get(at).is_some_and(|e| e.heard) {
                        continue;
                    }
                    self.ids.remove(at);
                }
                self.ids.push(RetiredId {
                    id: extension.id,
                    uri: extension.uri.clone(),
                    heard,
                });
            }
        }
    }

    /// Leaves away what this description has a number for, in whatever meaning.
    pub(super) fn forget(&mut self, description: &Description) {
        for section in live(description) {
            let used = |pt: u8| section.codecs.iter().any(|c| c.payload_type == pt);
            self.types.retain(|c| !used(c.payload_type));
            let used = |id: u8| section.extensions.iter().any(|e| e.id == id);
            self.ids.retain(|e| !used(e.id));
        }
    }

    pub(super) fn shrink(&mut self) {
        self.types.shrink_to_fit();
        self.ids.shrink_to_fit();
    }
}

/// Payload types in use across the sections of one bundle.
#[derive(Debug, Default, Clone)]
pub(super) struct PayloadTypes {
    known: Vec<Codec>,
    retired: Vec<Codec>,
}

impl PayloadTypes {
    /// Numbers that had a meaning before.
    pub(super) fn remembering(retired: &Retired) -> Self {
        PayloadTypes {
            known: Vec::new(),
            retired: retired.types.clone(),
        }
    }

    /// Notes the codecs of all sections.
    pub(super) fn learn_all(&mut self, description: &Description) {
        for section in live(description) {
            self.learn(&section.codecs);
        }
    }

    /// Notes the codecs of a section that exists.
    pub(super) fn learn(&mut self, codecs: &[Codec]) {
        for codec in codecs {
            if !self
                .known
                .iter()
                .any(|k| k.payload_type == codec.payload_type)
            {
                self.known.push(codec.clone());
            }
        }
    }

    /// Whether these codecs give a payload type another meaning than it has.
    pub(super) fn conflicts(&self, codecs: &[Codec]) -> bool {
        codecs.iter().any(|c| {
            self.known
                .iter()
                .any(|k| k.payload_type == c.payload_type && !(k.same_encoding(c) && k.matches(c)))
        })
    }

    fn is_free(&self, payload_type: u8) -> bool {
        !self.known.iter().any(|k| k.payload_type == payload_type)
    }

    /// A free number: the preferred one, else in the dynamic ranges (RFC 3551 §6; 35–63 as browsers do). 64–95 would
    /// look like RTCP (RFC 5761 §4). One that had another meaning only if there is no other.
    fn allocate(&self, preferred: u8) -> Option<u8> {
        let free = || {
            core::iter::once(preferred)
                .chain((96..=127).rev())
                .chain((35..=63).rev())
                .filter(|pt| self.is_free(*pt))
        };
        let fresh = |pt: &u8| !self.retired.iter().any(|k| k.payload_type == *pt);
        free().find(fresh).or_else(|| free().next())
    }

    /// Numbers `wanted` (capabilities, whose references `apt=` and `111/111` are to each other): as in `fixed` where
    /// the section has the format already, as elsewhere in the bundle, else anew. Formats beyond the last number are
    /// left out. The order is that of `fixed`, then that of `wanted`.
    pub(super) fn number(&mut self, wanted: &[Codec], fixed: &[Codec]) -> Vec<Codec> {
        let mut out: Vec<Codec> = Vec::with_capacity(wanted.len());
        let mut numbers: Vec<(u8, u8)> = Vec::with_capacity(wanted.len());
        // References point back to primary formats, so primaries come first.
        for references in [false, true] {
            for codec in wanted.iter().filter(|c| refers(c) == references) {
                let mut codec = codec.clone();
                let from = codec.payload_type;
                if references && !rewrite_references(&mut codec, &numbers) {
                    continue;
                }
                let same = |k: &&Codec| {
                    k.matches(&codec) && (!references || reference_of(k) == reference_of(&codec))
                };
                let taken = |pt: u8| out.iter().any(|c| c.payload_type == pt);
                let mut found = fixed
                    .iter()
                    .filter(same)
                    .chain(self.known.iter().filter(same))
                    .chain(
                        self.retired
                            .iter()
                            .filter(same)
                            .filter(|k| self.is_free(k.payload_type)),
                    )
                    .map(|k| k.payload_type);
                let Some(number) = found.find(|pt| !taken(*pt)).or_else(|| self.allocate(from))
                else {
                    continue;
                };
                codec.payload_type = number;
                numbers.push((from, number));
                self.learn(core::slice::from_ref(&codec));
                out.push(codec);
            }
        }
        let place = |c: &Codec| {
            let in_fixed = fixed.iter().position(|f| f.payload_type == c.payload_type);
            let in_wanted = numbers
                .iter()
                .find(|(_, to)| *to == c.payload_type)
                .and_then(|(from, _)| wanted.iter().position(|w| w.payload_type == *from));
            (
                in_fixed.unwrap_or(usize::MAX),
                in_wanted.unwrap_or(usize::MAX),
            )
        };
        out.sort_by_key(place);
        out
    }
}

/// Whether the format's parameters name other payload types.
fn refers(codec: &Codec) -> bool {
    codec.is_rtx() || (codec.is("red") && !codec.fmtp.is_empty())
}

/// The payload types a format refers to.
pub(super) fn reference_of(codec: &Codec) -> Option<&str> {
    if codec.is_rtx() {
        codec.parameter("apt")
    } else if codec.is("red") {
        Some(codec.fmtp.as_str())
    } else {
        None
    }
}

fn rewrite_references(codec: &mut Codec, numbers: &[(u8, u8)]) -> bool {
    let map = |text: &str| -> Option<u8> {
        let from: u8 = text.trim().parse().ok()?;
        numbers.iter().find(|(f, _)| *f == from).map(|(_, to)| *to)
    };
    if codec.is_rtx() {
        let Some(apt) = codec.parameter("apt").and_then(map) else {
            return false;
        };
        codec.fmtp = format!("apt={apt}");
    } else {
        let mut parts = Vec::new();
        for part in codec.fmtp.split('/') {
            let Some(to) = map(part) else { return false };
            parts.push(to.to_string());
        }
        codec.fmtp = parts.join("/");
    }
    true
}

/// Extension ids in use across the sections of one bundle.
#[derive(Debug, Default, Clone)]
pub(super) struct ExtensionIds {
    known: Vec<(u8, String)>,
    retired: Vec<RetiredId>,
}

impl ExtensionIds {
    /// Ids that had a meaning before.
    pub(super) fn remembering(retired: &Retired) -> Self {
        ExtensionIds {
            known: Vec::new(),
            retired: retired.ids.clone(),
        }
    }

    /// Notes the mappings of all sections.
    pub(super) fn learn_all(&mut self, description: &Description) {
        for extension in live(description).flat_map(|s| &s.extensions) {
            self.learn(extension.id, &extension.uri);
        }
    }

    /// Notes a mapping; `false` if the id or the URI has another partner already.
    pub(super) fn learn(&mut self, id: u8, uri: &str) -> bool {
        match self.known.iter().find(|(i, _)| *i == id) {
            Some((_, known)) => known == uri,
            None => {
                self.known.push((id, uri.to_owned()));
                true
            }
        }
    }

    /// The id of a URI: known, as it was before, preferred, or free; 1–14 so that the one-byte form can carry it. `None`
    /// when all of these meant something else to the far side once.
    pub(super) fn number(&mut self, uri: &str, preferred: u8) -> Option<u8> {
        if let Some((id, _)) = self.known.iter().find(|(_, known)| known == uri) {
            return Some(*id);
        }
        let is_free = |id: u8| !self.known.iter().any(|(i, _)| *i == id);
        let retired = |id: u8| self.retired.iter().find(|e| e.id == id);
        let before = self.retired.iter().rev().find(|e| e.uri == uri);
        let before = before.map(|e| e.id).filter(|id| is_free(*id));
        let free = || {
            core::iter::once(preferred)
                .chain(1..=14)
                .filter(|id| is_free(*id))
        };
        let id = before
            .or_else(|| free().find(|id| retired(*id).is_none()))
            .or_else(|| free().find(|id| retired(*id).is_some_and(|e| !e.heard)))?;
        self.known.push((id, uri.to_owned()));
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Capabilities;

    #[test]
    fn capabilities_keep_their_numbers_in_an_empty_bundle() {
        let caps = Capabilities::browser();
        let mut types = PayloadTypes::default();
        assert_eq!(types.number(&caps.audio, &[]), caps.audio);
        assert_eq!(types.number(&caps.video, &[]), caps.video);
        assert_eq!(
            types.number(&caps.video, &[]),
            caps.video,
            "a second section shares them"
        );
    }

    #[test]
    fn taken_numbers_are_avoided_and_references_follow() {
        let caps = Capabilities::browser();
        let mut types = PayloadTypes::default();
        types.learn(&[
            Codec::new(96, "opus", 48_000).channels(2),
            Codec::new(111, "VP8", 90_000),
        ]);
        let video = types.number(&caps.video, &[]);
        let vp8 = video.iter().find(|c| c.is("VP8")).unwrap();
        assert_eq!(vp8.payload_type, 111);
        assert!(video.iter().any(|c| c.apt() == Some(111)));
        assert!(!types.conflicts(&video));
        let audio = types.number(&caps.audio, &[]);
        assert_eq!(
            audio.iter().find(|c| c.is("opus")).unwrap().payload_type,
            96
        );
        assert_eq!(audio.iter().find(|c| c.is("red")).unwrap().fmtp, "96/96");
    }

    #[test]
    fn order_is_that_of_the_section_before() {
        let caps = Capabilities::browser();
        let fixed = [
            Codec::new(8, "PCMA", 8000),
            Codec::new(109, "opus", 48_000).channels(2),
        ];
        let audio = PayloadTypes::default().number(&caps.audio, &fixed);
        assert_eq!(audio[0].payload_type, 8);
        assert_eq!(
            (audio[1].payload_type, audio[1].name.as_str()),
            (109, "opus")
        );
        assert_eq!(audio.len(), caps.audio.len());
    }

    #[test]
    fn extension_ids_have_one_meaning() {
        let mut ids = ExtensionIds::default();
        assert!(ids.learn(1, "a") && ids.learn(1, "a"));
        assert!(!ids.learn(1, "b"));
        assert_eq!(ids.number("b", 1), Some(2));
        assert_eq!(ids.number("b", 9), Some(2));
        for i in 0..12 {
            assert!(ids.number(&format!("x{i}"), 1).is_some());
        }
        assert_eq!(ids.number("too many", 1), None);
    }
}
