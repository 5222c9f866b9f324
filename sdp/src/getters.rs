//! Typed access to a section's attributes, by name.
//!
//! A getter for a single value gives the first attribute of its name, or an error if that value
//! breaks the grammar; a getter for many gives an iterator whose items may be errors: `.flatten()`
//! leaves the bad ones out, `.collect::<Result<Vec<_>, _>>()` refuses them.

use std::str::FromStr;

use crate::attributes::{
    Attribute, Candidate, Content, Direction, ExtMap, Fingerprint, Fmtp, FrameRate, Group,
    IceOptions, IcePacing, IcePwd, IceUfrag, Identity, ImageAttr, Label, MaxMessageSize, MaxPTime,
    Mid, Msid, MsidSemantic, PTime, PayloadType, RemoteCandidates, Rid, Rtcp, RtcpFb, RtcpXr,
    RtpMap, SctpInit, SctpMap, SctpPort, Setup, Simulcast, SourceAttribute, SourceGroup, TlsId,
};
use crate::error::ValueError;
use crate::lines::{Bandwidth, Connection};
use crate::section::{LineKind, Section};

/// Getters for attributes that stand once in a section.
macro_rules! single {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {
        impl Section {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// The value breaks the grammar.
                pub fn $name(&self) -> Result<Option<$type>, ValueError> {
                    self.get()
                }
            )+
        }
    };
}

/// Getters for attributes that may stand often.
macro_rules! many {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {
        impl Section {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> impl Iterator<Item = Result<$type, ValueError>> {
                    self.all()
                }
            )+
        }
    };
}

/// Getters for flags.
macro_rules! flag {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)+) => {
        impl Section {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> bool {
                    self.has($text)
                }
            )+
        }
    };
}

single! {
    /// `a=mid`: the section's identification tag.
    mid: Mid;
    /// `a=ice-ufrag`: the user name fragment.
    ice_ufrag: IceUfrag;
    /// `a=ice-pwd`: the password.
    ice_pwd: IcePwd;
    /// `a=ice-options`: the ICE extensions known.
    ice_options: IceOptions;
    /// `a=ice-pacing`: the wished time between checks.
    ice_pacing: IcePacing;
    /// `a=remote-candidates`: what the offerer chose.
    remote_candidates: RemoteCandidates;
    /// `a=setup`: who begins DTLS.
    setup: Setup;
    /// `a=tls-id`: the name of the DTLS association.
    tls_id: TlsId;
    /// `a=simulcast`: several encodings of one source.
    simulcast: Simulcast;
    /// `a=rtcp`: where RTCP goes.
    rtcp: Rtcp;
    /// `a=rtcp-xr`: extended reports that may be sent.
    rtcp_xr: RtcpXr;
    /// `a=sctp-port`: the SCTP port.
    sctp_port: SctpPort;
    /// `a=max-message-size`: the largest message received.
    max_message_size: MaxMessageSize;
    /// `a=sctp-init`: the INIT chunk carried along.
    sctp_init: SctpInit;
    /// `a=ptime`: media in one packet.
    ptime: PTime;
    /// `a=maxptime`: most media in one packet.
    maxptime: MaxPTime;
    /// `a=framerate`: most frames a second.
    framerate: FrameRate;
    /// `a=content`: what a stream shows.
    content: Content;
    /// `a=label`: a pointer for other protocols.
    label: Label;
}

many! {
    /// `a=fingerprint`: the certificates' digests.
    fingerprints: Fingerprint;
    /// `a=identity`: identity assertions.
    identities: Identity;
    /// `a=rtpmap`: what payload types stand for.
    rtpmaps: RtpMap;
    /// `a=fmtp`: parameters of formats.
    fmtps: Fmtp;
    /// `a=rtcp-fb`: feedback that may be sent.
    rtcp_fbs: RtcpFb;
    /// `a=extmap`: header extensions.
    extmaps: ExtMap;
    /// `a=ssrc`: attributes of single sources.
    ssrcs: SourceAttribute;
    /// `a=ssrc-group`: sources that belong together.
    ssrc_groups: SourceGroup;
    /// `a=msid`: tracks and their streams.
    msids: Msid;
    /// `a=msid-semantic`: a relic of drafts.
    msid_semantics: MsidSemantic;
    /// `a=rid`: streams with restrictions.
    rids: Rid;
    /// `a=candidate`: ICE candidates.
    candidates: Candidate;
    /// `a=group`: sections that belong together.
    groups: Group;
    /// `a=sctpmap`: the old form of `a=sctp-port`.
    sctpmaps: SctpMap;
    /// `a=imageattr`: image sizes.
    imageattrs: ImageAttr;
}

flag! {
    /// `a=end-of-candidates`.
    end_of_candidates: "end-of-candidates";
    /// `a=rtcp-mux`.
    rtcp_mux: "rtcp-mux";
    /// `a=rtcp-mux-only`.
    rtcp_mux_only: "rtcp-mux-only";
    /// `a=rtcp-rsize`.
    rtcp_rsize: "rtcp-rsize";
    /// `a=bundle-only`.
    bundle_only: "bundle-only";
    /// `a=ice-lite`.
    ice_lite: "ice-lite";
    /// `a=ice-mismatch`.
    ice_mismatch: "ice-mismatch";
    /// `a=extmap-allow-mixed`.
    extmap_allow_mixed: "extmap-allow-mixed";
    /// `a=cryptex`.
    cryptex: "cryptex";
}

impl Section {
    /// The direction, if the section says one.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes()
            .filter(|attribute| attribute.value().is_none())
            .find_map(|attribute| Direction::from_str(attribute.name()).ok())
    }

    /// Sets the direction in the place of the old one, or after all lines.
    pub fn set_direction(&mut self, direction: Direction) {
        let is_direction = |attribute: &str| Direction::from_str(attribute).is_ok();
        let mut places = self
            .lines()
            .enumerate()
            .filter(|(_, line)| line.kind() == LineKind::Attribute && is_direction(line.value()))
            .map(|(index, _)| index);
        let first = places.next();
        let more = places.next().is_some();
        drop(places);
        match first {
            Some(index) if !more => {
                self.replace(index, direction);
            }
            Some(index) => {
                self.retain(|line| {
                    line.kind() != LineKind::Attribute || !is_direction(line.value())
                });
                self.insert_attribute(index, direction);
            }
            None => self.push_attribute(direction),
        }
    }

    /// The first `a=rtpmap` of a payload type. Values that break the grammar are passed over.
    pub fn rtpmap(&self, payload_type: PayloadType) -> Option<RtpMap> {
        self.values("rtpmap")
            .find(|value| is_for(value, payload_type))
            .and_then(|value| value.parse().ok())
    }

    /// The first `a=fmtp` of a payload type. Values that break the grammar are passed over.
    pub fn fmtp(&self, payload_type: PayloadType) -> Option<Fmtp> {
        self.values("fmtp")
            .find(|value| is_for(value, payload_type))
            .and_then(|value| value.parse().ok())
    }

    /// The first `a=group` of the semantics BUNDLE.
    pub fn bundle(&self) -> Option<Group> {
        self.values("group")
            .filter(|value| value.split_ascii_whitespace().next() == Some("BUNDLE"))
            .find_map(|value| value.parse().ok())
    }

    /// `c=`: where media go.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn connection(&self) -> Result<Option<Connection>, ValueError> {
        self.typed_line(LineKind::Connection)
    }

    /// Sets `c=`, in its place.
    pub fn set_connection(&mut self, connection: &Connection) {
        self.set_line(LineKind::Connection, connection);
    }

    /// `b=`: bandwidths.
    pub fn bandwidths(&self) -> impl Iterator<Item = Result<Bandwidth, ValueError>> {
        self.line_values(LineKind::Bandwidth).map(str::parse)
    }

    /// `i=`: a title for people.
    pub fn information(&self) -> Option<&str> {
        self.line_value(LineKind::Information)
    }

    /// Sets `i=`, in its place.
    pub fn set_information(&mut self, text: &str) {
        self.set_line(LineKind::Information, &text);
    }

    /// All attributes as typed values, in their order.
    pub fn typed_attributes(&self) -> impl Iterator<Item = Result<Attribute, ValueError>> {
        self.attributes().map(|attribute| attribute.parse())
    }
}

/// Whether a value begins with a payload type and a blank.
fn is_for(value: &str, payload_type: PayloadType) -> bool {
    value
        .split([' ', '\t'])
        .next()
        .and_then(|word| word.parse::<u8>().ok())
        == Some(payload_type.get())
}
