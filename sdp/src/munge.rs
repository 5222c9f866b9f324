//! Editing that people do to descriptions before they hand them on.
//!
//! Each of these keeps the description coherent: a payload type goes with its mapping, parameters,
//! feedback and retransmissions; a rejected section leaves its BUNDLE group.

use crate::attributes::{
    ExtMap, Fingerprint, Fmtp, Group, IcePwd, IceUfrag, Mid, PayloadType, RtcpFb, RtpMap,
    SourceAttribute, SourceGroup, Ssrc,
};
use crate::candidate::Candidate;
use crate::codec::{Codec, Parameters};
use crate::description::SessionDescription;
use crate::lines::Bandwidth;
use crate::media::MediaDescription;
use crate::section::{Line, LineKind, Section};

/// Name and value of a line, if it is an attribute with a value.
fn attribute_of<'a>(line: &Line<'a>) -> Option<(&'a str, &'a str)> {
    let attribute = line.attribute()?;
    Some((attribute.name(), attribute.value()?))
}

impl MediaDescription {
    /// Takes payload types away: from the m-line, with their `a=rtpmap`, `a=fmtp` and
    /// `a=rtcp-fb`, and with the payload types that retransmit them. Says how many went.
    pub fn remove_payload_types(&mut self, unwanted: &[PayloadType]) -> usize {
        let mut all: Vec<PayloadType> = unwanted.to_vec();
        for codec in self.codecs() {
            if codec.retransmits().is_some_and(|pt| unwanted.contains(&pt)) {
                all.push(codec.payload_type());
            }
        }
        let goes = |format: &str| {
            format
                .parse()
                .is_ok_and(|payload_type| all.contains(&payload_type))
        };
        let kept: Vec<String> = self
            .formats()
            .filter(|format| !goes(format))
            .map(str::to_owned)
            .collect();
        let gone = self.formats().count() - kept.len();
        if gone > 0 {
            self.line.set_formats(&kept);
        }
        self.section.retain(|line| match attribute_of(line) {
            Some(("rtpmap" | "fmtp" | "rtcp-fb", value)) => {
                !goes(value.split([' ', '\t']).next().unwrap_or_default())
            }
            _ => true,
        });
        gone
    }

    /// Keeps the codecs for which `keep` says so, with their retransmissions; says how many
    /// payload types went. `keep` is not asked about `rtx`, which stays and goes with what it
    /// retransmits.
    pub fn retain_codecs(&mut self, mut keep: impl FnMut(&RtpMap) -> bool) -> usize {
        let unwanted: Vec<PayloadType> = self
            .codecs()
            .iter()
            .filter(|codec| !codec.map.is("rtx") && !keep(&codec.map))
            .map(Codec::payload_type)
            .collect();
        self.remove_payload_types(&unwanted)
    }

    /// Puts the codecs with this encoding name, and what retransmits them, in front of all
    /// others; says whether there is one.
    pub fn prefer_codec(&mut self, encoding: &str) -> bool {
        let codecs = self.codecs();
        let named: Vec<PayloadType> = codecs
            .iter()
            .filter(|codec| codec.map.is(encoding))
            .map(Codec::payload_type)
            .collect();
        let preferred: Vec<PayloadType> = codecs
            .iter()
            .filter(|codec| {
                codec.map.is(encoding) || codec.retransmits().is_some_and(|pt| named.contains(&pt))
            })
            .map(Codec::payload_type)
            .collect();
        let is_preferred = |format: &&str| format.parse().is_ok_and(|pt| preferred.contains(&pt));
        let (mut first, mut rest): (Vec<&str>, Vec<&str>) = self.formats().partition(is_preferred);
        let found = !first.is_empty();
        if found {
            first.append(&mut rest);
            let formats: Vec<String> = first.into_iter().map(str::to_owned).collect();
            self.line.set_formats(&formats);
        }
        found
    }

    /// Sets one parameter of a payload type, in its place; adds `a=fmtp` after the payload type's
    /// other lines where there is none.
    pub fn set_format_parameter(&mut self, payload_type: PayloadType, key: &str, value: &str) {
        self.edit_parameters(payload_type, |parameters| parameters.set(key, value));
    }

    /// Takes one parameter of a payload type away, and `a=fmtp` with the last one.
    pub fn remove_format_parameter(&mut self, payload_type: PayloadType, key: &str) {
        self.edit_parameters(payload_type, |parameters| {
            parameters.remove(key);
        });
    }

    fn edit_parameters(&mut self, payload_type: PayloadType, edit: impl FnOnce(&mut Parameters)) {
        let is_mine = |line: &Line<'_>, names: &[&str]| {
            attribute_of(line).is_some_and(|(name, value)| {
                names.contains(&name)
                    && value.split([' ', '\t']).next().map(str::parse) == Some(Ok(payload_type))
            })
        };
        let old = self.section.fmtp(payload_type);
        let text = old.as_ref().map_or("", |fmtp| fmtp.parameters.as_str());
        let mut parameters = Parameters::read(text);
        edit(&mut parameters);
        let place = self
            .section
            .lines()
            .position(|line| is_mine(&line, &["fmtp"]));
        match (place, parameters.is_empty()) {
            (Some(index), true) => {
                self.section.remove(index);
            }
            (Some(index), false) => {
                self.section
                    .replace(index, Fmtp::new(payload_type, parameters));
            }
            (None, true) => {}
            (None, false) => {
                let after = self
                    .section
                    .lines()
                    .rposition(|line| is_mine(&line, &["rtpmap", "rtcp-fb"]));
                let index = after.map_or(usize::MAX, |index| index + 1);
                self.section
                    .insert_attribute(index, Fmtp::new(payload_type, parameters));
            }
        }
    }

    /// Keeps the ICE candidates for which `keep` says so; those that cannot be read stay.
    pub fn retain_candidates(&mut self, mut keep: impl FnMut(&Candidate) -> bool) {
        self.section.retain(|line| match attribute_of(line) {
            Some(("candidate", value)) => value.parse().map_or(true, |c| keep(&c)),
            _ => true,
        });
    }

    /// Takes a source away: its `a=ssrc` lines, and the groups it is in.
    pub fn remove_source(&mut self, ssrc: Ssrc) {
        self.section.retain(|line| match attribute_of(line) {
            Some(("ssrc", value)) => value
                .parse::<SourceAttribute>()
                .map_or(true, |attribute| attribute.ssrc != ssrc),
            Some(("ssrc-group", value)) => value
                .parse::<SourceGroup>()
                .map_or(true, |group| !group.ssrcs.contains(&ssrc)),
            _ => true,
        });
    }
}

impl Section {
    /// Sets a bandwidth in the place of the one of the same kind, or adds it in its place.
    pub fn set_bandwidth(&mut self, bandwidth: &Bandwidth) {
        self.remove_bandwidth(&bandwidth.kind.to_string());
        self.add_line(LineKind::Bandwidth, bandwidth);
    }

    /// Takes the bandwidths of a kind away ("AS", "TIAS", …); says how many there were.
    pub fn remove_bandwidth(&mut self, kind: &str) -> usize {
        let before = self.len();
        self.retain(|line| {
            line.kind() != LineKind::Bandwidth
                || line.value().split(':').next().map(str::trim_ascii) != Some(kind)
        });
        before - self.len()
    }

    /// Takes header extensions with this URI away; says how many there were.
    pub fn remove_extension(&mut self, uri: &str) -> usize {
        let before = self.len();
        self.retain(|line| match attribute_of(line) {
            Some(("extmap", value)) => value.parse::<ExtMap>().map_or(true, |map| map.uri != uri),
            _ => true,
        });
        before - self.len()
    }

    /// Keeps the feedback for which `keep` says so; says how many lines went.
    pub fn retain_feedback(&mut self, mut keep: impl FnMut(&RtcpFb) -> bool) -> usize {
        let before = self.len();
        self.retain(|line| match attribute_of(line) {
            Some(("rtcp-fb", value)) => value.parse().map_or(true, |feedback| keep(&feedback)),
            _ => true,
        });
        before - self.len()
    }

    fn edit_groups(&mut self, mut edit: impl FnMut(&mut Group)) {
        let mut index = 0;
        while let Some(line) = self.line(index) {
            if let Some(("group", value)) = attribute_of(&line)
                && let Ok(mut group) = value.parse::<Group>()
            {
                let before = group.clone();
                edit(&mut group);
                if group != before {
                    self.replace(index, group);
                }
            }
            index += 1;
        }
    }
}

impl SessionDescription {
    /// Gives a section another identification tag, in its groups as well. Says whether there is a
    /// section with the old tag and none with the new one; otherwise nothing changes.
    pub fn rename_mid(&mut self, old: &str, new: &Mid) -> bool {
        if self.media_by_mid(new.as_str()).is_some() {
            return false;
        }
        let Some((index, _)) = self.media_by_mid(old) else {
            return false;
        };
        if let Some(media) = self.media.get_mut(index) {
            media.set_attribute(new.clone());
        }
        self.session.edit_groups(|group| {
            for mid in &mut group.mids {
                if mid.as_str() == old {
                    *mid = new.clone();
                }
            }
        });
        true
    }

    /// Rejects a section: port 0, no `a=bundle-only`, and out of its groups. Says whether there is
    /// one at `index`.
    pub fn reject_media(&mut self, index: usize) -> bool {
        let Some(media) = self.media.get_mut(index) else {
            return false;
        };
        media.line.set_port(0);
        media.remove_attribute("bundle-only");
        if let Ok(Some(mid)) = media.mid() {
            self.session
                .edit_groups(|group| group.mids.retain(|member| *member != mid));
        }
        true
    }

    /// The session's lines and those of all media sections.
    fn sections_mut(&mut self) -> impl Iterator<Item = &mut Section> {
        let media = self.media.iter_mut().map(|media| &mut media.section);
        std::iter::once(&mut self.session).chain(media)
    }

    /// Sets ICE credentials wherever there are some.
    pub fn set_ice_credentials(&mut self, ufrag: &IceUfrag, pwd: &IcePwd) {
        for section in self.sections_mut() {
            if section.has("ice-ufrag") {
                section.set_attribute(ufrag.clone());
            }
            if section.has("ice-pwd") {
                section.set_attribute(pwd.clone());
            }
        }
    }

    /// Sets the fingerprint wherever there are some, one for all.
    pub fn set_fingerprint(&mut self, fingerprint: &Fingerprint) {
        for section in self.sections_mut() {
            if section.has("fingerprint") {
                section.set_attribute(fingerprint.clone());
            }
        }
    }

    /// Takes all candidates and `a=end-of-candidates` away.
    pub fn remove_candidates(&mut self) {
        for section in self.sections_mut() {
            section.remove_attribute("candidate");
            section.remove_attribute("end-of-candidates");
        }
    }
}
