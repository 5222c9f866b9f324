//! Making offers and answers (RFC 9429 §5.2, §5.3).

use super::model::{
    Description, ExtensionMapping, IceParameters, Media, Msid, Rid, Section, Setup, SsrcAttribute,
    SsrcGroup, TransportAttributes,
};
use super::numbering::{ExtensionIds, PayloadTypes, reference_of};
use super::transceiver::{Stop, Transceiver};
use super::{Created, Jsep};
use crate::codec::Codec;
use crate::config::BundlePolicy;
use crate::error::Error;
use crate::limits::MAX_MEDIA_SECTIONS;
use crate::types::{Direction, DtlsRole, SdpType, SignalingState, TransceiverId};

/// What the transport says of itself in a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTransport {
    /// Our ICE credentials: new ones mean a restart.
    pub ice: IceParameters,
    /// `a=fingerprint` values of our certificates.
    pub fingerprints: Vec<String>,
    /// `a=tls-id`.
    pub tls_id: String,
}

/// What a section of a new offer is made for.
enum Slot {
    Transceiver(usize),
    Data,
    Refused,
}

/// SCTP's port in `a=sctp-port`: any value does within DTLS; all browsers say 5000.
pub(super) const SCTP_PORT: u16 = 5000;

impl Jsep {
    /// Makes an offer (RFC 9429 §5.2) and remembers it as the last created.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] when a remote offer is in, [`Error::Closed`].
    pub fn create_offer(&mut self, transport: &LocalTransport) -> Result<String, Error> {
        match self.state {
            SignalingState::Closed => return Err(Error::Closed),
            SignalingState::Stable
            | SignalingState::HaveLocalOffer
            | SignalingState::HaveRemotePrAnswer => {}
            state => {
                return Err(Error::CannotCreate {
                    state,
                    description: SdpType::Offer,
                });
            }
        }
        let slots = self.offer_slots()?;
        let base = self.local_base().cloned();
        let (mut types, mut ids) = self.numbers_in_use();
        let mut description = self.new_description();
        let mut mapping = Vec::new();
        let negotiated = self.current_remote.is_some();
        let mut bundle = Vec::new();
        let mut kinds_seen: Vec<Media> = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let old = base.as_ref().and_then(|d| d.sections.get(index));
            let mut section = match slot {
                Slot::Refused => match old {
                    Some(old) => {
                        let mut refused = old.refusal();
                        refused.transport = TransportAttributes::default();
                        refused
                    }
                    None => continue,
                },
                Slot::Data => {
                    let kept = old
                        .filter(|s| s.media == Media::Data && !s.rejected)
                        .and_then(|s| s.mid.clone());
                    let mid = kept.unwrap_or_else(|| self.new_mid());
                    self.data_section(mid)
                }
                Slot::Transceiver(at) => {
                    let Some(kept) = self
                        .transceivers
                        .get(*at)
                        .map(|t| t.mid().map(str::to_owned))
                    else {
                        continue;
                    };
                    let mid = match kept {
                        Some(mid) => mid,
                        None => self.proposed_mid(*at, index),
                    };
                    let Some(t) = self.transceivers.get(*at) else {
                        continue;
                    };
                    mapping.push((t.id, index, mid.clone()));
                    self.offer_section(t, mid, &mut types, &mut ids)
                }
            };
            if !section.rejected {
                let first_of_kind = !kinds_seen.contains(&section.media);
                section.bundle_only = !negotiated
                    && !kinds_seen.is_empty()
                    && match self.config.bundle_policy {
                        BundlePolicy::MaxBundle => true,
                        BundlePolicy::Balanced => !first_of_kind,
                        BundlePolicy::MaxCompat => false,
                    };
                kinds_seen.push(section.media);
                if !section.bundle_only {
                    section.transport = transport_attributes(transport, Setup::ActPass);
                }
                bundle.extend(section.mid.clone());
            }
            description.sections.push(section);
        }
        if !bundle.is_empty() {
            description.bundles.push(bundle);
        }
        description.lip_sync = self.lip_sync_groups(&description);
        description.identity.clone_from(&self.identity);
        let text = super::write::to_text(&description, &[], false);
        self.last_offer = Some(Box::new(Created {
            text: text.clone(),
            description,
            mapping,
        }));
        Ok(text)
    }

    /// Makes an answer (RFC 9429 §5.3) to the pending remote offer and remembers it as the last created.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] when there is no offer to answer, [`Error::Closed`].
    pub fn create_answer(&mut self, transport: &LocalTransport) -> Result<String, Error> {
        match self.state {
            SignalingState::Closed => return Err(Error::Closed),
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPrAnswer => {}
            state => {
                return Err(Error::CannotCreate {
                    state,
                    description: SdpType::Answer,
                });
            }
        }
        let Some(offer) = self
            .pending_remote
            .as_ref()
            .map(|s| s.description().clone())
        else {
            return Err(Error::CannotCreate {
                state: self.state,
                description: SdpType::Answer,
            });
        };
        let setup = answer_setup(&offer, self.dtls_role());
        let options: Vec<String> = offer
            .transport_section()
            .map(|(_, s)| s.transport.ice_options.clone())
            .unwrap_or_default();
        let accepted = self.acceptable_sections(&offer);
        let mut description = self.new_description();
        let mut group = Vec::new();
        for (index, offered) in offer.sections.iter().enumerate() {
            if !accepted.contains(&index) {
                description.sections.push(offered.refusal());
                continue;
            }
            let mut section = match offered.media {
                Media::Data => {
                    let mut section = self.data_section(offered.mid.clone().unwrap_or_default());
                    section.mid.clone_from(&offered.mid);
                    section.proto.clone_from(&offered.proto);
                    section.formats.clone_from(&offered.formats);
                    section
                }
                _ => match self.transceivers.iter().find(|t| t.index() == Some(index)) {
                    Some(t) => self.answer_section(t, offered),
                    None => offered.refusal(),
                },
            };
            if !section.rejected {
                section.transport = transport_attributes(transport, setup);
                // RFC 9429 §5.3.1: of the options those that were offered.
                section
                    .transport
                    .ice_options
                    .retain(|o| options.contains(o));
                if offered.transport.tls_id.is_none() {
                    section.transport.tls_id = None;
                }
                group.extend(section.mid.clone());
            }
            description.sections.push(section);
        }
        // RFC 9143 §7.3: only what was offered in a group may be grouped.
        if let Some(offered) = offer
            .bundles
            .iter()
            .find(|g| group.iter().any(|mid| g.contains(mid)))
        {
            let mids: Vec<String> = group
                .into_iter()
                .filter(|mid| offered.contains(mid))
                .collect();
            description.bundles.push(mids);
        }
        description.lip_sync = self.lip_sync_answer(&offer, &description);
        description.identity.clone_from(&self.identity);
        let text = super::write::to_text(&description, &[], false);
        self.last_answer = Some(Box::new(Created {
            text: text.clone(),
            description,
            mapping: Vec::new(),
        }));
        Ok(text)
    }

    /// Which section is for what in a new offer (RFC 9429 §5.2.1, §5.2.2).
    fn offer_slots(&self) -> Result<Vec<Slot>, Error> {
        let base = self.local_base();
        let count = base.map_or(0, |d| d.sections.len());
        let mut waiting: Vec<usize> = self
            .transceivers
            .iter()
            .enumerate()
            .filter(|(_, t)| t.association.is_none() && t.stop == Stop::Running)
            .map(|(at, _)| at)
            .collect();
        waiting.reverse();
        let has_data = base.is_some_and(|d| d.data_section().is_some());
        let mut data_waiting = self.data_wanted && !has_data;
        let mut slots = Vec::with_capacity(count + waiting.len() + 1);
        for index in 0..count {
            let at = self
                .transceivers
                .iter()
                .position(|t| t.index() == Some(index));
            let running = at.filter(|at| {
                self.transceivers
                    .get(*at)
                    .is_some_and(|t| t.stop == Stop::Running)
            });
            let section = base.and_then(|d| d.sections.get(index));
            let slot = if let Some(at) = running {
                Slot::Transceiver(at)
            } else if section.is_some_and(|s| s.media == Media::Data && !s.rejected) {
                Slot::Data
            } else if self.is_recyclable(index) {
                match waiting.pop() {
                    Some(at) => Slot::Transceiver(at),
                    None if core::mem::take(&mut data_waiting) => Slot::Data,
                    None => Slot::Refused,
                }
            } else {
                Slot::Refused
            };
            slots.push(slot);
        }
        slots.extend(waiting.into_iter().rev().map(Slot::Transceiver));
        if data_waiting {
            slots.push(Slot::Data);
        }
        if slots.len() > MAX_MEDIA_SECTIONS {
            return Err(Error::TooManyTransceivers);
        }
        Ok(slots)
    }

    /// A section that is refused in the current descriptions may be used for something else.
    fn is_recyclable(&self, index: usize) -> bool {
        let refused = |d: Option<&Description>| {
            d.and_then(|d| d.sections.get(index))
                .is_some_and(|s| s.rejected)
        };
        refused(self.current_local.as_ref().map(|s| s.description()))
            || refused(self.current_remote.as_ref().map(|s| s.description()))
    }

    fn new_description(&mut self) -> Description {
        self.version += 1;
        Description {
            session_id: self.session_id,
            version: self.version,
            ice_lite: self.config.ice_lite,
            extmap_allow_mixed: true,
            ..Description::default()
        }
    }

    fn new_mid(&mut self) -> String {
        loop {
            let mid = self.next_mid.to_string();
            self.next_mid += 1;
            if !self.mid_is_taken(&mid) {
                return mid;
            }
        }
    }

    /// The mid proposed for a transceiver stays the same over repeated `create_offer`.
    fn proposed_mid(&mut self, at: usize, index: usize) -> String {
        let id = self.transceivers.get(at).map(|t| t.id);
        let before = self.last_offer.as_ref().and_then(|created| {
            created
                .mapping
                .iter()
                .find(|(t, i, _)| Some(*t) == id && *i == index)
                .map(|(_, _, mid)| mid.clone())
        });
        match before {
            Some(mid) if !self.mid_is_taken(&mid) => mid,
            _ => self.new_mid(),
        }
    }

    fn mid_is_taken(&self, mid: &str) -> bool {
        [
            &self.current_local,
            &self.pending_local,
            &self.current_remote,
            &self.pending_remote,
        ]
        .into_iter()
        .flatten()
        .any(|s| s.description().section_of(mid).is_some())
    }

    /// Payload types and extension ids of all sections that exist or did.
    fn numbers_in_use(&self) -> (PayloadTypes, ExtensionIds) {
        let mut types = PayloadTypes::remembering(&self.retired);
        let mut ids = ExtensionIds::remembering(&self.retired);
        for stored in [
            &self.current_remote,
            &self.current_local,
            &self.pending_local,
        ]
        .into_iter()
        .flatten()
        {
            types.learn_all(stored.description());
            ids.learn_all(stored.description());
        }
        (types, ids)
    }

    fn data_section(&self, mid: String) -> Section {
        let mut section = Section::new(Media::Data, "application", "UDP/DTLS/SCTP");
        section.formats = vec!["webrtc-datachannel".to_owned()];
        section.mid = Some(mid);
        section.sctp_port = Some(SCTP_PORT);
        section.max_message_size = Some(self.config.max_message_size as u64);
        section
    }

    /// What `codec preferences` leave of a list, in their order, with the helpers of what is left (W3C §5.4.2.4).
    fn preferred(&self, t: &Transceiver, codecs: &[Codec]) -> Vec<Codec> {
        if t.codec_preferences.is_empty() {
            return codecs.to_vec();
        }
        let mut out: Vec<Codec> = Vec::new();
        for wanted in &t.codec_preferences {
            let same = |c: &&Codec| {
                c.matches(wanted)
                    && (reference_of(wanted).is_none() || c.payload_type == wanted.payload_type)
            };
            // `rtx` in the preferences is there once for all (W3C): it stands for every one of them.
            if wanted.is_rtx() {
                continue;
            }
            for codec in codecs.iter().filter(same) {
                if !out.contains(codec) {
                    out.push(codec.clone());
                }
            }
        }
        if t.codec_preferences.iter().any(Codec::is_rtx) {
            let primaries: Vec<u8> = out.iter().map(|c| c.payload_type).collect();
            for primary in primaries {
                let Some(rtx) = codecs.iter().find(|c| c.apt() == Some(primary)) else {
                    continue;
                };
                let place = out
                    .iter()
                    .position(|c| c.payload_type == primary)
                    .map_or(out.len(), |p| p + 1);
                out.insert(place, rtx.clone());
            }
        }
        out
    }

    fn offer_section(
        &self,
        t: &Transceiver,
        mid: String,
        types: &mut PayloadTypes,
        ids: &mut ExtensionIds,
    ) -> Section {
        let mut section = Section::new(Media::Rtp(t.kind), t.kind.as_str(), "UDP/TLS/RTP/SAVPF");
        section.mid = Some(mid);
        section.direction = t.direction;
        let fixed = t.negotiated.as_ref().map_or(&[][..], |n| &n.receive_codecs);
        let wanted = self.config.capabilities.codecs(t.kind);
        section.codecs = types.number(wanted, fixed);
        section.codecs = self.preferred(t, &section.codecs);
        for extension in &self.config.capabilities.header_extensions {
            if !extension_allowed(extension, t.kind) {
                continue;
            }
            if let Some(id) = ids.number(&extension.uri, extension.preferred_id) {
                section.extensions.push(ExtensionMapping {
                    id,
                    uri: extension.uri.clone(),
                    direction: None,
                });
            }
        }
        section.rtcp_mux = true;
        // RFC 9429 §5.2.1 wants it, §5.2.2 forbids it once the section is agreed on.
        section.rtcp_mux_only = t.negotiated.is_none();
        section.rtcp_rsize = true;
        section.max_ptime = max_ptime(t.kind);
        self.describe_sender(t, &mut section);
        let simulcast = t.encodings.iter().any(|e| e.rid.is_some());
        if simulcast && t.direction.sends() {
            for encoding in &t.encodings {
                section
                    .rids
                    .extend(encoding.rid.clone().map(|id| Rid { id, send: true }));
            }
            if section.rids.len() > 1 {
                section.simulcast_send = section.rids.iter().map(|r| r.id.clone()).collect();
            }
        }
        // Simulcast that is received goes on: a sender whose layers an offer leaves out loses them for good (W3C §4.4.1.4).
        let received = t.negotiated.as_ref().map(|n| &n.remote_rids[..]);
        let received = received.unwrap_or_default();
        let ours = |id: &String| section.rids.iter().any(|r| r.id == *id);
        if t.direction.receives() && received.len() > 1 && !received.iter().any(ours) {
            section.simulcast_recv = received.to_vec();
            section.rids.extend(received.iter().map(|id| Rid {
                id: id.clone(),
                send: false,
            }));
        }
        section
    }

    /// msid and SSRCs, if the section sends.
    fn describe_sender(&self, t: &Transceiver, section: &mut Section) {
        // RFC 9429 §5.3.1: by the transceiver's direction, whatever the section's came to be.
        if !t.direction.sends() {
            return;
        }
        if t.streams.is_empty() {
            section.msids.push(Msid {
                stream: "-".to_owned(),
                track: t.track.clone(),
            });
        }
        for stream in &t.streams {
            section.msids.push(Msid {
                stream: stream.clone(),
                track: t.track.clone(),
            });
        }
        if !section.direction.sends() || t.encodings.iter().any(|e| e.rid.is_some()) {
            // RFC 8853 §5.5: rids name the streams; SSRCs are learned from the packets.
            return;
        }
        let Some(ssrcs) = t.ssrcs.first() else { return };
        let cname = Some(self.cname.clone());
        if section.codecs.iter().any(Codec::is_rtx) {
            section.ssrc_groups.push(SsrcGroup {
                semantics: "FID".to_owned(),
                ssrcs: vec![ssrcs.media, ssrcs.rtx],
            });
            section.ssrcs.push(SsrcAttribute {
                ssrc: ssrcs.media,
                cname: cname.clone(),
            });
            section.ssrcs.push(SsrcAttribute {
                ssrc: ssrcs.rtx,
                cname,
            });
        } else {
            section.ssrcs.push(SsrcAttribute {
                ssrc: ssrcs.media,
                cname,
            });
        }
    }

    /// The formats of an offered section that we take, most preferred first, and with our feedback only.
    pub(super) fn common_codecs(&self, t: &Transceiver, offered: &Section) -> Vec<Codec> {
        let ours = self.config.capabilities.codecs(t.kind);
        let any = self.config.capabilities.accept_any_format;
        let mut out: Vec<Codec> = Vec::with_capacity(offered.codecs.len());
        for codec in &offered.codecs {
            if codec.is_rtx() {
                continue;
            }
            let own = ours
                .iter()
                .find(|c| c.matches(codec))
                .or_else(|| ours.iter().find(|c| any && c.same_encoding(codec)));
            if let Some(own) = own {
                let mut codec = codec.clone();
                codec.feedback.retain(|f| own.has_feedback(f));
                out.push(codec);
            }
        }
        let mut kept = Vec::with_capacity(2 * out.len());
        for codec in out {
            let pt = codec.payload_type;
            kept.push(codec);
            // RFC 4588: retransmission only of what is taken, and only if we know it for that clock.
            kept.extend(
                offered
                    .codecs
                    .iter()
                    .filter(|c| {
                        c.apt() == Some(pt)
                            && ours
                                .iter()
                                .any(|o| o.is_rtx() && o.clock_rate == c.clock_rate)
                    })
                    .cloned(),
            );
        }
        // The order on the m= line is the offerer's.
        kept.sort_by_key(|c| {
            offered
                .codecs
                .iter()
                .position(|o| o.payload_type == c.payload_type)
        });
        let kept = self.preferred(t, &kept);
        if kept.iter().any(Codec::is_media) {
            kept
        } else {
            Vec::new()
        }
    }

    fn answer_section(&self, t: &Transceiver, offered: &Section) -> Section {
        let mut section = Section::new(offered.media, &offered.media_name, &offered.proto);
        section.mid.clone_from(&offered.mid);
        section.direction = offered.direction.reversed().intersection(t.direction);
        section.codecs = self.common_codecs(t, offered);
        if section.codecs.is_empty() || t.stop != Stop::Running {
            return offered.refusal();
        }
        for extension in &offered.extensions {
            let known = self
                .config
                .capabilities
                .header_extensions
                .iter()
                .any(|e| e.uri == extension.uri && extension_allowed(e, t.kind));
            if known && !section.extensions.iter().any(|e| e.uri == extension.uri) {
                section.extensions.push(ExtensionMapping {
                    id: extension.id,
                    uri: extension.uri.clone(),
                    direction: extension.direction.map(Direction::reversed),
                });
            }
        }
        section.rtcp_mux = offered.rtcp_mux;
        section.rtcp_rsize = offered.rtcp_rsize;
        section.max_ptime = max_ptime(t.kind);
        self.describe_sender(t, &mut section);
        // RFC 8853 §5.3.2: take what is offered to be sent, send of what is offered to be received. Of alternatives
        // the first.
        let layers = &offered.simulcast_send;
        for rid in offered.rids.iter().filter(|r| {
            let chosen = layers.is_empty() || layers.contains(&r.id);
            r.send && section.direction.receives() && chosen
        }) {
            section.rids.push(Rid {
                id: rid.id.clone(),
                send: false,
            });
        }
        section.simulcast_recv = offered
            .simulcast_send
            .iter()
            .filter(|id| section.rids.iter().any(|r| r.id == **id))
            .cloned()
            .collect();
        if section.direction.sends() {
            for encoding in &t.encodings {
                if let Some(id) = encoding
                    .rid
                    .as_ref()
                    .filter(|id| offered.simulcast_recv.contains(id))
                {
                    section.rids.push(Rid {
                        id: id.clone(),
                        send: true,
                    });
                    section.simulcast_send.push(id.clone());
                }
            }
            if section.simulcast_send.len() < 2 {
                let single = core::mem::take(&mut section.simulcast_send);
                section.rids.retain(|r| !(r.send && single.contains(&r.id)));
            }
        }
        section
    }

    /// Which sections of an offer can be taken: known to us, and all on one transport (RFC 9429 §5.3.1). Where the
    /// section that carries the offerer's transport is refused, another of the group takes its place if it has the
    /// attributes as well, as those of browsers do; RFC 9143 §7.3.3 would refuse the whole group.
    pub(super) fn acceptable_sections(&self, offer: &Description) -> Vec<usize> {
        let taken = |index: usize, section: &Section| match section.media {
            _ if section.rejected => false,
            Media::Unknown => false,
            Media::Data => true,
            Media::Rtp(_) => self
                .transceivers
                .iter()
                .find(|t| t.index() == Some(index))
                .is_some_and(|t| {
                    t.stop == Stop::Running && !self.common_codecs(t, section).is_empty()
                }),
        };
        let mut group: Option<&Vec<String>> = None;
        let mut first = true;
        let mut data = false;
        let mut out = Vec::new();
        for (index, section) in offer.sections.iter().enumerate() {
            if !taken(index, section) || (section.media == Media::Data && data) {
                continue;
            }
            let own_group = section
                .mid
                .as_ref()
                .and_then(|mid| offer.bundles.iter().find(|g| g.contains(mid)));
            if first {
                if section.transport.ice.is_none() && !section.bundle_only {
                    continue;
                }
                group = own_group;
                first = false;
            } else if group.is_none() || own_group != group {
                continue;
            }
            data |= section.media == Media::Data;
            out.push(index);
        }
        out
    }

    /// `a=group:LS` of an answer (RFC 9429 §5.3.1): of each offered group those sections whose senders share a stream of
    /// ours, or have none because the offer made their transceivers.
    fn lip_sync_answer(&self, offer: &Description, answer: &Description) -> Vec<Vec<String>> {
        let mut groups: Vec<Vec<String>> = Vec::new();
        for offered in &offer.lip_sync {
            let members: Vec<&Transceiver> = offered
                .iter()
                .filter(|mid| answer.section_of(mid).is_some_and(|(_, s)| !s.rejected))
                .filter_map(|mid| self.transceivers.iter().find(|t| t.mid() == Some(mid)))
                .collect();
            let common = members
                .iter()
                .flat_map(|t| &t.streams)
                .max_by_key(|stream| {
                    members
                        .iter()
                        .filter(|t| t.streams.contains(stream))
                        .count()
                });
            let mids: Vec<String> = members
                .iter()
                .filter(|t| match common {
                    Some(common) if t.streams.contains(common) => true,
                    _ => t.from_remote && t.streams.is_empty(),
                })
                .filter_map(|t| t.mid().map(str::to_owned))
                .collect();
            if mids.len() > 1 {
                groups.push(mids);
            }
        }
        groups
    }

    /// `a=group:LS` of an offer (RFC 9429 §5.2.1): sections whose senders share a stream.
    fn lip_sync_groups(&self, description: &Description) -> Vec<Vec<String>> {
        let mut by_stream: Vec<(&str, Vec<String>)> = Vec::new();
        for section in description.sections.iter().filter(|s| !s.rejected) {
            let Some(mid) = &section.mid else { continue };
            for msid in section.msids.iter().filter(|m| m.stream != "-") {
                match by_stream.iter_mut().find(|(s, _)| *s == msid.stream) {
                    Some((_, mids)) => mids.push(mid.clone()),
                    None => by_stream.push((&msid.stream, vec![mid.clone()])),
                }
            }
        }
        let mut groups: Vec<Vec<String>> = Vec::new();
        for (_, mids) in by_stream {
            if mids.len() > 1 && !groups.contains(&mids) {
                groups.push(mids);
            }
        }
        groups
    }

    /// The local description that a further offer continues.
    fn local_base(&self) -> Option<&Description> {
        self.pending_local
            .as_ref()
            .or(self.current_local.as_ref())
            .map(|s| s.description())
    }

    /// The sections that a created offer assigns to transceivers.
    pub(super) fn offer_mapping(&self) -> &[(TransceiverId, usize, String)] {
        self.last_offer.as_ref().map_or(&[], |o| &o.mapping)
    }
}

/// `a=maxptime` (RFC 9429 §5.2.1): a stack without codecs takes what the longest packets of Opus last (RFC 7587 §6.1).
fn max_ptime(kind: crate::types::Kind) -> Option<u32> {
    (kind == crate::types::Kind::Audio).then_some(120)
}

fn extension_allowed(extension: &crate::codec::HeaderExtension, kind: crate::types::Kind) -> bool {
    match kind {
        crate::types::Kind::Audio => extension.audio,
        crate::types::Kind::Video => extension.video,
    }
}

fn transport_attributes(transport: &LocalTransport, setup: Setup) -> TransportAttributes {
    TransportAttributes {
        ice: Some(transport.ice.clone()),
        ice_options: vec!["trickle".to_owned(), "ice2".to_owned()],
        fingerprints: transport.fingerprints.clone(),
        setup: Some(setup),
        tls_id: Some(transport.tls_id.clone()),
        candidates: Vec::new(),
        end_of_candidates: false,
    }
}

/// Our `a=setup` in an answer (RFC 5763 §5): the role we have, else active unless the offerer wants it.
fn answer_setup(offer: &Description, role: Option<DtlsRole>) -> Setup {
    let offered = offer
        .transport_section()
        .and_then(|(_, s)| s.transport.setup);
    match (offered, role) {
        (Some(Setup::Active), _) => Setup::Passive,
        (Some(Setup::Passive), _) => Setup::Active,
        (_, Some(role)) => role.into(),
        _ => Setup::Active,
    }
}
