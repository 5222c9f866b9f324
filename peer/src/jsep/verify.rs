//! The rules that a remote description must keep (RFC 9429 §5.8.3, §5.10, §5.11).

use super::Jsep;
use super::model::{Description, Media, Section, Setup};
use super::numbering::{ExtensionIds, PayloadTypes};
use crate::error::DescriptionFault;
use crate::limits::MAX_MEDIA_SECTIONS;
use crate::types::{DtlsRole, SdpType};

impl Jsep {
    /// Holds a remote description against the rules and against what was agreed before.
    pub(super) fn verify_remote(
        &self,
        type_: SdpType,
        d: &Description,
    ) -> Result<(), DescriptionFault> {
        if d.sections.len() > MAX_MEDIA_SECTIONS {
            return Err(DescriptionFault::TooManySections);
        }
        verify_mids(d)?;
        verify_transport(d, type_)?;
        verify_rtp(d)?;
        if type_ == SdpType::Offer {
            self.verify_reoffer(d)?;
        } else {
            self.verify_answer(d)?;
        }
        self.verify_continuity(type_, d)
    }

    fn verify_reoffer(&self, d: &Description) -> Result<(), DescriptionFault> {
        let Some(remote) = self.remote() else {
            return Ok(());
        };
        // W3C §4.4.1.4 step 4.4: an offer that was not answered yet counts as if it were.
        let answerable = self
            .pending_remote
            .as_ref()
            .map(|s| self.acceptable_sections(s.description()));
        let refused = |index: usize| match &answerable {
            Some(taken) => !taken.contains(&index),
            None => self
                .current_local()
                .and_then(|d| d.sections.get(index))
                .is_some_and(|s| s.rejected),
        };
        // RFC 3264 §8: sections are never removed.
        if d.sections.len() < remote.sections.len() {
            return Err(DescriptionFault::SectionsVanished);
        }
        for (index, before) in remote.sections.iter().enumerate() {
            let Some(now) = d.sections.get(index) else {
                continue;
            };
            if before.rejected || refused(index) {
                continue;
            }
            if now.media_name != before.media_name {
                return Err(DescriptionFault::SectionType);
            }
            // A section that is refused now may have lost its mid.
            if now.mid != before.mid && !now.rejected {
                return Err(DescriptionFault::MidChanged);
            }
        }
        Ok(())
    }

    fn verify_answer(&self, d: &Description) -> Result<(), DescriptionFault> {
        let Some(offer) = self.pending_local.as_ref().map(|s| s.description()) else {
            return Err(DescriptionFault::SectionCount);
        };
        if d.sections.len() != offer.sections.len() {
            return Err(DescriptionFault::SectionCount);
        }
        for (ours, theirs) in offer.sections.iter().zip(&d.sections) {
            if ours.media_name != theirs.media_name
                || (!theirs.rejected && !same_proto(&ours.proto, &theirs.proto))
            {
                return Err(DescriptionFault::SectionType);
            }
            if theirs.rejected {
                continue;
            }
            if ours.rejected {
                // RFC 3264 §6: what was offered with port zero is answered with port zero.
                return Err(DescriptionFault::SectionType);
            }
            if theirs.mid.is_some() && theirs.mid != ours.mid {
                return Err(DescriptionFault::MidChanged);
            }
            // RFC 3264 §6.1: an answer sends only what the offer receives.
            let direction = theirs.direction;
            if (direction.sends() && !ours.direction.receives())
                || (direction.receives() && !ours.direction.sends())
            {
                return Err(DescriptionFault::Direction);
            }
            // RFC 9429 §5.11: of the section, not of the format; `a=rtcp-fb:*` names all of them.
            let offered = |f: &String| ours.codecs.iter().any(|c| c.has_feedback(f));
            let known = theirs.codecs.iter().filter(|codec| {
                ours.codec(codec.payload_type)
                    .is_some_and(|o| o.same_encoding(codec))
            });
            if !known.flat_map(|c| &c.feedback).all(offered) {
                return Err(DescriptionFault::FeedbackNotOffered);
            }
        }
        // Not bundled with what carries our transport: there is no second one.
        Ok(())
    }

    /// ICE and DTLS go on, or both start over as the rules say (RFC 9429 §5.10, §5.11).
    fn verify_continuity(&self, type_: SdpType, d: &Description) -> Result<(), DescriptionFault> {
        let Some((_, now)) = d.transport_section() else {
            return Ok(());
        };
        let before = self
            .current_remote
            .as_ref()
            .and_then(|s| s.description().transport_section())
            .map(|(_, s)| s);
        let Some(before) = before else { return Ok(()) };
        let restarts = now.transport.ice != before.transport.ice;
        if type_ != SdpType::Offer {
            let ours = |s: Option<&Description>| {
                s.and_then(Description::transport_section)
                    .and_then(|(_, s)| s.transport.ice.clone())
            };
            let pending = ours(self.pending_local.as_ref().map(|s| s.description()));
            // Where every section was refused before, there was no transport to be restarted.
            if let (Some(pending), Some(current)) = (pending, ours(self.current_local())) {
                let we_restart = pending != current;
                if restarts && !we_restart {
                    return Err(DescriptionFault::UnexpectedIceRestart);
                }
                if we_restart && !restarts {
                    return Err(DescriptionFault::IceRestartIgnored);
                }
            }
        }
        let changed = !continues(before, now);
        if changed && !restarts {
            return Err(DescriptionFault::DtlsChangedWithoutRestart);
        }
        // An answer may say what it likes: Firefox answers our restart, and every offer of ours after it, with the role that
        // it would take at first, and goes on with the association and the role that it has. Whoever begins a new
        // association says so by another fingerprint or tls-id.
        if !changed && type_ == SdpType::Offer {
            let role = self.dtls_role();
            let conflict = match now.transport.setup {
                Some(Setup::Active) => role == Some(DtlsRole::Client),
                Some(Setup::Passive) => role == Some(DtlsRole::Server),
                _ => false,
            };
            if conflict {
                return Err(DescriptionFault::SetupChanged);
            }
        }
        Ok(())
    }
}

/// Whether the DTLS association of a section goes on in another description's (RFC 8842 §4, but for the roles).
pub(super) fn continues(before: &Section, now: &Section) -> bool {
    let (before, now) = (&before.transport, &now.transport);
    let other_id = matches!((&now.tls_id, &before.tls_id), (Some(a), Some(b)) if a != b);
    now.fingerprints == before.fingerprints && !other_id
}

/// `RTP/SAVPF` and `UDP/TLS/RTP/SAVPF` mean the same here (RFC 9429 §5.1.2); so do the SCTP ones of old drafts.
fn same_proto(a: &str, b: &str) -> bool {
    let rtp = |p: &str| p.contains("RTP/SAVP") || p.contains("RTP/AVP");
    let sctp = |p: &str| p.contains("DTLS/SCTP");
    a == b || (rtp(a) && rtp(b)) || (sctp(a) && sctp(b))
}

fn verify_mids(d: &Description) -> Result<(), DescriptionFault> {
    for (index, section) in d.sections.iter().enumerate() {
        let Some(mid) = &section.mid else { continue };
        if d.sections
            .iter()
            .skip(index + 1)
            .any(|s| s.mid.as_ref() == Some(mid))
        {
            return Err(DescriptionFault::MidDuplicate);
        }
    }
    let mut seen: Vec<&String> = Vec::new();
    for mid in d.bundles.iter().flatten() {
        // RFC 9143 §7: in one group only, once, and an existing section.
        if seen.contains(&mid) || d.section_of(mid).is_none() {
            return Err(DescriptionFault::BundleGroup);
        }
        seen.push(mid);
    }
    Ok(())
}

fn verify_transport(d: &Description, type_: SdpType) -> Result<(), DescriptionFault> {
    if d.sections.iter().all(|s| s.rejected) {
        return Ok(());
    }
    let Some((_, tagged)) = d.transport_section() else {
        return Err(DescriptionFault::IceCredentials);
    };
    for section in d.sections.iter().filter(|s| !s.rejected) {
        let transport = &section.transport;
        let bundled = section
            .mid
            .as_ref()
            .is_some_and(|mid| d.bundles.iter().any(|g| g.contains(mid)));
        if transport.ice.is_none() && !bundled {
            return Err(DescriptionFault::IceCredentials);
        }
        if let Some(ice) = &transport.ice {
            // RFC 8839 §5.4.
            if !(4..=256).contains(&ice.ufrag.len()) || !(22..=256).contains(&ice.pwd.len()) {
                return Err(DescriptionFault::IceCredentials);
            }
        }
        if section.media == Media::Data && section.sctp_port.is_none() {
            return Err(DescriptionFault::SctpPort);
        }
        // Category IDENTICAL: may be left out where the section is bundled into another (RFC 8859).
        let own_transport = !bundled || core::ptr::eq(section, tagged);
        let no_mux = own_transport || section.rtcp_mux_only;
        if matches!(section.media, Media::Rtp(_)) && no_mux && !section.rtcp_mux {
            return Err(DescriptionFault::NoRtcpMux);
        }
    }
    // A line with a hash function that nobody here knows is no fault: another may be known (RFC 8122 §5).
    let known = |f: &String| f.parse::<tincan_dtls::Fingerprint>().is_ok();
    if !tagged.transport.fingerprints.iter().any(known) {
        return Err(DescriptionFault::Fingerprint);
    }
    match (tagged.transport.setup, type_) {
        (Some(Setup::Active | Setup::Passive), _) | (Some(Setup::ActPass), SdpType::Offer) => {
            Ok(())
        }
        _ => Err(DescriptionFault::Setup),
    }
}

fn verify_rtp(d: &Description) -> Result<(), DescriptionFault> {
    let mut types = PayloadTypes::default();
    let mut ids = ExtensionIds::default();
    for section in d
        .sections
        .iter()
        .filter(|s| !s.rejected && matches!(s.media, Media::Rtp(_)))
    {
        verify_rtp_section(section)?;
        let bundled = section
            .mid
            .as_ref()
            .is_some_and(|mid| d.bundles.iter().any(|g| g.contains(mid)));
        if !bundled {
            continue;
        }
        if types.conflicts(&section.codecs) {
            return Err(DescriptionFault::PayloadTypeConflict);
        }
        types.learn(&section.codecs);
        for extension in &section.extensions {
            if !ids.learn(extension.id, &extension.uri) {
                return Err(DescriptionFault::ExtensionConflict);
            }
        }
    }
    Ok(())
}

fn verify_rtp_section(section: &Section) -> Result<(), DescriptionFault> {
    let rids = |send: bool| section.rids.iter().filter(move |r| r.send == send);
    let unknown =
        |list: &[String], send: bool| list.iter().any(|id| !rids(send).any(|r| r.id == *id));
    if unknown(&section.simulcast_send, true) || unknown(&section.simulcast_recv, false) {
        return Err(DescriptionFault::SimulcastRid);
    }
    for codec in &section.codecs {
        if codec.is_rtx() && codec.apt().is_none_or(|apt| section.codec(apt).is_none()) {
            return Err(DescriptionFault::RtxPayloadType);
        }
    }
    if section.extensions.iter().any(|e| e.id == 0) {
        return Err(DescriptionFault::ExtensionId);
    }
    Ok(())
}
