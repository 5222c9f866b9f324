//! From text to the model, by way of `tincan-sdp` (RFC 9429 §5.8.1, §5.8.2).

use tincan_sdp as sdp;
use tincan_sdp::{Attribute, BandwidthKind, GroupSemantics, RidDirection};

use super::model::{
    Description, ExtensionMapping, IceParameters, Media, Msid, Rid, Section, Setup, SsrcAttribute,
    SsrcGroup, TransportAttributes,
};
use crate::codec::Codec;
use crate::error::{DescriptionFault, Error};
use crate::limits::{
    MAX_EXTENSION_URI, MAX_EXTENSIONS, MAX_FINGERPRINTS, MAX_MEDIA_SECTIONS, MAX_REMOTE_SSRCS,
    MAX_RIDS, MAX_SDP_BYTES,
};
use crate::types::{Direction, Kind};
use crate::work;

/// Reads a description.
///
/// # Errors
/// [`Error::SdpSyntax`] with the number of the line, or the fault of a value that SDP allows and JSEP does not.
pub(super) fn parse(text: &str) -> Result<Description, Error> {
    if text.len() > MAX_SDP_BYTES {
        return Err(Error::SdpSyntax {
            line: 0,
            reason: "the description is too long".to_owned(),
        });
    }
    let parsed = sdp::SessionDescription::parse(text).map_err(|e| Error::SdpSyntax {
        line: e.line(),
        reason: e.rule().to_string(),
    })?;
    let mut d = Description::default();
    if let Ok(Some(origin)) = parsed.origin() {
        d.session_id = origin.session_id().unwrap_or(0);
        d.version = origin.session_version().unwrap_or(0);
    }
    let mut inherited = TransportAttributes::default();
    let mut ice = Ice::default();
    let mut extensions = Vec::new();
    let mut direction = Direction::SendRecv;
    let mut line = 0;
    for_each_attribute(&parsed.session, &mut line, |attribute| {
        match attribute {
            Attribute::Group(group) => {
                let mids = group.mids.iter().map(|m| m.as_str().to_owned()).collect();
                match group.semantics {
                    GroupSemantics::Bundle => d.bundles.push(mids),
                    GroupSemantics::LipSync => d.lip_sync.push(mids),
                    _ => {}
                }
            }
            Attribute::IceLite => d.ice_lite = true,
            Attribute::ExtMapAllowMixed => d.extmap_allow_mixed = true,
            Attribute::Identity(identity) => d.identity = Some(identity.to_string()),
            Attribute::ExtMap(map) => take_extension(&mut extensions, &map)?,
            Attribute::Direction(value) => direction = direction_of(value),
            other => transport_attribute(&mut inherited, &mut ice, other),
        }
        Ok(())
    })?;
    // Each is given what the session's lines say.
    if parsed.media.len() > MAX_MEDIA_SECTIONS {
        return Err(DescriptionFault::TooManySections.into());
    }
    d.sections.reserve_exact(parsed.media.len());
    for media in &parsed.media {
        let mut section = read_section(media, &inherited, &ice, direction, &mut line)?;
        for shared in &extensions {
            if !section.extensions.iter().any(|e| e.uri == shared.uri) {
                section.extensions.push(shared.clone());
            }
        }
        d.sections.push(section);
    }
    Ok(d)
}

/// The text of a description with trickled candidates added to its sections.
pub(super) fn with_candidates(text: &str, candidates: &[(usize, String)]) -> String {
    if candidates.is_empty() {
        return text.to_owned();
    }
    let Ok(mut parsed) = sdp::SessionDescription::parse(text) else {
        return text.to_owned();
    };
    for (index, candidate) in candidates {
        if let Some(media) = parsed.media.get_mut(*index) {
            media
                .section
                .push_attribute(Attribute::other("candidate", Some(candidate)));
        }
    }
    parsed.to_sdp()
}

#[derive(Default, Clone)]
struct Ice {
    ufrag: Option<String>,
    pwd: Option<String>,
}

impl Ice {
    fn parameters(self) -> Option<IceParameters> {
        Some(IceParameters {
            ufrag: self.ufrag?,
            pwd: self.pwd?,
        })
    }
}

/// Calls `take` with each typed attribute; `line` counts the lines of the text.
fn for_each_attribute(
    section: &sdp::Section,
    line: &mut usize,
    mut take: impl FnMut(Attribute) -> Result<(), Error>,
) -> Result<(), Error> {
    for l in section.lines() {
        *line += 1;
        let Some(raw) = l.attribute() else { continue };
        let attribute = match raw.parse() {
            Ok(attribute) => attribute,
            // Not ours to refuse: nothing of it is used.
            Err(_) if !MATTERS.contains(&raw.name()) => continue,
            Err(e) => {
                return Err(Error::SdpSyntax {
                    line: *line,
                    reason: e.to_string(),
                });
            }
        };
        take(attribute)?;
    }
    Ok(())
}

/// Attributes whose values are used; a malformed one refuses the description (RFC 9429 §5.8).
const MATTERS: [&str; 22] = [
    "rtpmap",
    "fmtp",
    "rtcp-fb",
    "extmap",
    "mid",
    "group",
    "msid",
    "ssrc",
    "ssrc-group",
    "rid",
    "simulcast",
    "setup",
    "fingerprint",
    "tls-id",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "sctp-port",
    "max-message-size",
    "rtcp-mux",
    "bundle-only",
    "ice-lite",
];

fn transport_attribute(transport: &mut TransportAttributes, ice: &mut Ice, attribute: Attribute) {
    match attribute {
        Attribute::IceUfrag(ufrag) => ice.ufrag = Some(ufrag.as_str().to_owned()),
        Attribute::IcePwd(pwd) => ice.pwd = Some(pwd.as_str().to_owned()),
        Attribute::IceOptions(options) => transport.ice_options = options.tags,
        Attribute::Fingerprint(_) if transport.fingerprints.len() >= MAX_FINGERPRINTS => {}
        Attribute::Fingerprint(fingerprint) => transport.fingerprints.push(fingerprint.to_string()),
        Attribute::TlsId(id) => transport.tls_id = Some(id.as_str().to_owned()),
        Attribute::EndOfCandidates => transport.end_of_candidates = true,
        Attribute::Setup(setup) => {
            transport.setup = Some(match setup {
                sdp::Setup::Active => Setup::Active,
                sdp::Setup::Passive => Setup::Passive,
                sdp::Setup::ActPass => Setup::ActPass,
                sdp::Setup::HoldConn => Setup::HoldConn,
            });
        }
        _ => {}
    }
}

/// What RFC 9429 §5.1.2 wants to be accepted: they all mean the first.
const MEDIA_PROFILES: [&str; 8] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
    "RTP/AVPF",
    "RTP/AVP",
];
const DATA_PROFILES: [&str; 3] = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"];

fn read_section(
    media: &sdp::MediaDescription,
    inherited: &TransportAttributes,
    inherited_ice: &Ice,
    direction: Direction,
    line: &mut usize,
) -> Result<Section, Error> {
    let media_type = match media.kind() {
        "audio" if MEDIA_PROFILES.contains(&media.proto()) => Media::Rtp(Kind::Audio),
        "video" if MEDIA_PROFILES.contains(&media.proto()) => Media::Rtp(Kind::Video),
        "application" if DATA_PROFILES.contains(&media.proto()) => Media::Data,
        _ => Media::Unknown,
    };
    let mut s = Section::new(media_type, media.kind(), media.proto());
    s.formats = media.formats().map(str::to_owned).collect();
    s.direction = direction;
    let mut ice = Ice::default();
    let mut transport = TransportAttributes::default();
    let mut formats = Formats::default();
    // The m= line itself.
    *line += 1;
    for_each_attribute(&media.section, line, |attribute| {
        match attribute {
            Attribute::Mid(mid) => s.mid = Some(mid.as_str().to_owned()),
            Attribute::BundleOnly => s.bundle_only = true,
            Attribute::RtcpMux => s.rtcp_mux = true,
            Attribute::RtcpMuxOnly => s.rtcp_mux_only = true,
            Attribute::MaxPTime(time) => {
                s.max_ptime = u32::try_from(time.thousandths() / 1000).ok()
            }
            Attribute::RtcpRsize => s.rtcp_rsize = true,
            Attribute::Direction(direction) => s.direction = direction_of(direction),
            Attribute::RtpMap(map) => formats.maps.push(map),
            Attribute::Fmtp(fmtp) => formats.parameters.push(fmtp),
            Attribute::RtcpFb(feedback) => formats.feedback.push(feedback),
            Attribute::ExtMap(map) => take_extension(&mut s.extensions, &map)?,
            Attribute::Msid(msid) => s.msids.push(Msid {
                stream: msid.stream,
                track: msid.track,
            }),
            Attribute::Source(source) => note_source(&mut s, &source),
            Attribute::SourceGroup(_) if s.ssrc_groups.len() >= MAX_REMOTE_SSRCS => {}
            Attribute::SourceGroup(group) => s.ssrc_groups.push(SsrcGroup {
                semantics: group.semantics.to_string(),
                ssrcs: group.ssrcs.iter().map(|s| s.0).collect(),
            }),
            Attribute::Rid(_) if s.rids.len() >= MAX_RIDS => {}
            Attribute::Rid(rid) => s.rids.push(Rid {
                id: rid.name.as_str().to_owned(),
                send: rid.direction == RidDirection::Send,
            }),
            Attribute::Simulcast(simulcast) => {
                // W3C §4.4.1.4, and createAnswer: of alternatives the first.
                let firsts = |list: &sdp::SimulcastList| -> Vec<String> {
                    list.iter()
                        .filter_map(|alternatives| alternatives.first())
                        .map(|s| s.rid.as_str().to_owned())
                        .collect()
                };
                s.simulcast_send = firsts(&simulcast.send);
                s.simulcast_recv = firsts(&simulcast.recv);
            }
            Attribute::SctpPort(port) => s.sctp_port = Some(port.0),
            Attribute::SctpMap(map) if s.sctp_port.is_none() => s.sctp_port = Some(map.port),
            Attribute::MaxMessageSize(size) => s.max_message_size = Some(size.0),
            Attribute::Candidate(candidate) => transport.candidates.push(candidate.to_string()),
            other => transport_attribute(&mut transport, &mut ice, other),
        }
        Ok(())
    })?;
    // RFC 9143 §6: port zero with bundle-only is no refusal; neither is the old `a=sctpmap` way without a=sctp-port.
    s.rejected = media.port() == 0 && !s.bundle_only;
    transport.ice = match (&ice.ufrag, &ice.pwd) {
        (None, None) => inherited_ice.clone().parameters(),
        _ => ice.parameters(),
    };
    if transport.ice_options.is_empty() {
        transport.ice_options.clone_from(&inherited.ice_options);
    }
    if transport.fingerprints.is_empty() {
        transport.fingerprints.clone_from(&inherited.fingerprints);
    }
    transport.setup = transport.setup.or(inherited.setup);
    transport.end_of_candidates |= inherited.end_of_candidates;
    transport.tls_id = transport.tls_id.or_else(|| inherited.tls_id.clone());
    s.transport = transport;
    if matches!(s.media, Media::Rtp(_)) {
        s.codecs = formats.codecs(media);
    }
    s.bandwidth = bandwidth(&media.section);
    Ok(s)
}

/// rtpmap, fmtp and rtcp-fb lines, which are put together at the end.
#[derive(Default)]
struct Formats {
    maps: Vec<sdp::RtpMap>,
    parameters: Vec<sdp::Fmtp>,
    feedback: Vec<sdp::RtcpFb>,
}

impl Formats {
    fn codecs(&self, media: &sdp::MediaDescription) -> Vec<Codec> {
        let mut out: Vec<Codec> = Vec::new();
        for payload_type in media.payload_types() {
            let map = self
                .maps
                .iter()
                .find(|m| m.payload_type == payload_type)
                .cloned();
            let Some(map) = map.or_else(|| sdp::RtpMap::of_static(payload_type)) else {
                continue;
            };
            let number = u8::from(payload_type);
            if out.iter().any(|c| c.payload_type == number) {
                continue;
            }
            let mut codec = Codec::new(number, &map.encoding, map.clock_rate);
            codec.channels = u8::try_from(map.channels()).ok().filter(|c| *c > 1);
            if let Some(fmtp) = self
                .parameters
                .iter()
                .find(|f| f.payload_type() == Some(payload_type))
            {
                codec.fmtp.clone_from(&fmtp.parameters);
            }
            for feedback in self
                .feedback
                .iter()
                .filter(|f| f.target.includes(payload_type))
                .take(sdp::limits::MAX_FEEDBACK)
            {
                codec.feedback.push(feedback.kind.to_string());
            }
            out.push(codec);
        }
        out
    }
}

fn note_source(s: &mut Section, source: &sdp::SourceAttribute) {
    let ssrc = source.ssrc.0;
    // A source's lines follow each other mostly: from the last one back.
    let known = s.ssrcs.iter().rposition(|known| {
        work::steps(1);
        known.ssrc == ssrc
    });
    let at = match known {
        Some(at) => at,
        // More than that are never received.
        None if s.ssrcs.len() >= MAX_REMOTE_SSRCS => return,
        None => {
            s.ssrcs.push(SsrcAttribute { ssrc, cname: None });
            s.ssrcs.len() - 1
        }
    };
    if let (Some(known), Some(cname)) = (s.ssrcs.get_mut(at), source.cname()) {
        known.cname = Some(cname.to_owned());
    }
    // Plan-B leftovers: the msid of a section that has none of its own.
    if let Some(value) = source
        .value
        .as_ref()
        .filter(|_| source.name == "msid" && s.msids.is_empty())
    {
        let (stream, track) = match value.split_once(' ') {
            Some((stream, track)) => (stream, Some(track.to_owned())),
            None => (value.as_str(), None),
        };
        s.msids.push(Msid {
            stream: stream.to_owned(),
            track,
        });
    }
}

fn take_extension(taken: &mut Vec<ExtensionMapping>, map: &sdp::ExtMap) -> Result<(), Error> {
    if map.id == 0 {
        return Err(DescriptionFault::ExtensionId.into());
    }
    // RFC 8285 §6: above 255 is what an offer has beyond the ids that there are, for the answer to choose from. We leave
    // it; and nobody knows an extension with a name as long as that.
    let id = u8::try_from(map.id).ok();
    let known = id.filter(|_| taken.len() < MAX_EXTENSIONS && map.uri.len() <= MAX_EXTENSION_URI);
    taken.extend(known.map(|id| ExtensionMapping {
        id,
        uri: map.uri.clone(),
        direction: map.direction.map(direction_of),
    }));
    Ok(())
}

fn direction_of(direction: sdp::Direction) -> Direction {
    Direction::new(direction.sends(), direction.receives())
}

/// TIAS, or its estimate from AS (RFC 9429 §5.10), in bit/s.
fn bandwidth(section: &sdp::Section) -> Option<u64> {
    let of = |kind: BandwidthKind| {
        section
            .bandwidths()
            .flatten()
            .find(|b| b.kind == kind)
            .map(|b| b.value)
    };
    of(BandwidthKind::TransportIndependent).or_else(|| {
        of(BandwidthKind::ApplicationSpecific)
            .map(|kbit| (kbit.saturating_mul(950)).saturating_sub(50 * 40 * 8))
    })
}
