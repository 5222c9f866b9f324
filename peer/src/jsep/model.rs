//! What JSEP needs to know of a description: one struct a description, one a media section.

use crate::codec::Codec;
use crate::types::{Direction, DtlsRole, Kind};

/// A description, reduced to what negotiation looks at. Session-level attributes have been copied into the sections
/// they are inherited by (RFC 9429 §5.8.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// `o=` session id.
    pub session_id: u64,
    /// `o=` session version.
    pub version: u64,
    /// The mids of each `a=group:BUNDLE`.
    pub bundles: Vec<Vec<String>>,
    /// The mids of each `a=group:LS`.
    pub lip_sync: Vec<Vec<String>>,
    /// `a=ice-lite`.
    pub ice_lite: bool,
    /// `a=extmap-allow-mixed` at session level.
    pub extmap_allow_mixed: bool,
    /// `a=identity`.
    pub identity: Option<String>,
    /// The media sections in order.
    pub sections: Vec<Section>,
}

/// Type of a media section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Audio or video over RTP.
    Rtp(Kind),
    /// Data channels.
    Data,
    /// Something this stack does not know; always refused.
    Unknown,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is for.
    pub media: Media,
    /// The first word of the m= line.
    pub media_name: String,
    /// The protocol of the m= line.
    pub proto: String,
    /// Formats of the m= line where the section is no RTP, or is refused.
    pub formats: Vec<String>,
    /// Port 0 and not bundle-only.
    pub rejected: bool,
    /// `a=bundle-only`.
    pub bundle_only: bool,
    /// `a=mid`.
    pub mid: Option<String>,
    /// Transport attributes that stand here or are inherited from session level.
    pub transport: TransportAttributes,
    /// Direction; `sendrecv` if none is said.
    pub direction: Direction,
    /// Payload formats in order of preference.
    pub codecs: Vec<Codec>,
    /// `a=extmap`.
    pub extensions: Vec<ExtensionMapping>,
    /// `a=msid`: stream and track; the stream `-` means none.
    pub msids: Vec<Msid>,
    /// `a=ssrc` with the cname, each SSRC once.
    pub ssrcs: Vec<SsrcAttribute>,
    /// `a=ssrc-group`.
    pub ssrc_groups: Vec<SsrcGroup>,
    /// `a=rid`.
    pub rids: Vec<Rid>,
    /// `a=simulcast` send: the rids; of alternatives the first.
    pub simulcast_send: Vec<String>,
    /// `a=simulcast` recv.
    pub simulcast_recv: Vec<String>,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// `a=rtcp-mux-only` (RFC 8858).
    pub rtcp_mux_only: bool,
    /// `a=maxptime` in milliseconds.
    pub max_ptime: Option<u32>,
    /// `a=rtcp-rsize`.
    pub rtcp_rsize: bool,
    /// `b=TIAS` in bit/s, or computed from `b=AS` (RFC 9429 §5.10).
    pub bandwidth: Option<u64>,
    /// `a=sctp-port`.
    pub sctp_port: Option<u16>,
    /// `a=max-message-size` in bytes; 0 is any size.
    pub max_message_size: Option<u64>,
}

impl Section {
    /// A section with only its m= line.
    pub fn new(media: Media, media_name: &str, proto: &str) -> Self {
        Section {
            media,
            media_name: media_name.to_owned(),
            proto: proto.to_owned(),
            formats: Vec::new(),
            rejected: false,
            bundle_only: false,
            mid: None,
            transport: TransportAttributes::default(),
            direction: Direction::SendRecv,
            codecs: Vec::new(),
            extensions: Vec::new(),
            msids: Vec::new(),
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            rids: Vec::new(),
            simulcast_send: Vec::new(),
            simulcast_recv: Vec::new(),
            rtcp_mux: false,
            rtcp_mux_only: false,
            max_ptime: None,
            rtcp_rsize: false,
            bandwidth: None,
            sctp_port: None,
            max_message_size: None,
        }
    }

    /// Audio or video, if it is either.
    pub fn kind(&self) -> Option<Kind> {
        match self.media {
            Media::Rtp(kind) => Some(kind),
            _ => None,
        }
    }

    /// The codec of a payload type.
    pub fn codec(&self, payload_type: u8) -> Option<&Codec> {
        self.codecs.iter().find(|c| c.payload_type == payload_type)
    }

    /// A refused section for this one: same m= line, port 0, its mid (RFC 3264 §6, RFC 9429 §5.3.1).
    pub fn refusal(&self) -> Section {
        let mut refused = Section::new(self.media, &self.media_name, &self.proto);
        refused.formats = self.format_list();
        refused.mid = self.mid.clone();
        refused.rejected = true;
        refused.direction = Direction::Inactive;
        refused
    }

    /// The formats of the m= line.
    pub fn format_list(&self) -> Vec<String> {
        if self.codecs.is_empty() {
            self.formats.clone()
        } else {
            self.codecs
                .iter()
                .map(|c| c.payload_type.to_string())
                .collect()
        }
    }
}

/// Attributes of the categories TRANSPORT and IDENTICAL (RFC 8859) that ICE and DTLS need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransportAttributes {
    /// `a=ice-ufrag` and `a=ice-pwd`.
    pub ice: Option<IceParameters>,
    /// `a=ice-options`.
    pub ice_options: Vec<String>,
    /// `a=fingerprint` as written: algorithm, a space, hex.
    pub fingerprints: Vec<String>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=tls-id`.
    pub tls_id: Option<String>,
    /// `a=candidate` values, without `candidate:`.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
}

/// ICE credentials as SDP carries them.
#[derive(Clone, PartialEq, Eq)]
pub struct IceParameters {
    /// Username fragment, 4–256 characters.
    pub ufrag: String,
    /// Password, 22–256 characters.
    pub pwd: String,
}

impl core::fmt::Debug for IceParameters {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IceParameters")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// `a=setup` (RFC 4145 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Will be the DTLS client.
    Active,
    /// Will be the DTLS server.
    Passive,
    /// Either: the answerer chooses.
    ActPass,
    /// Not now; refused here.
    HoldConn,
}

impl Setup {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
            Setup::HoldConn => "holdconn",
        }
    }
}

impl From<DtlsRole> for Setup {
    fn from(role: DtlsRole) -> Self {
        match role {
            DtlsRole::Client => Setup::Active,
            DtlsRole::Server => Setup::Passive,
        }
    }
}

/// `a=extmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMapping {
    /// The id, 1–255.
    pub id: u8,
    /// The URI.
    pub uri: String,
    /// Direction if said.
    pub direction: Option<Direction>,
}

/// `a=msid` (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// The stream's id, `-` for none.
    pub stream: String,
    /// The track's id where told.
    pub track: Option<String>,
}

/// What is said of an SSRC (RFC 5576).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcAttribute {
    /// The SSRC.
    pub ssrc: u32,
    /// Its cname where told.
    pub cname: Option<String>,
}

/// `a=ssrc-group` (RFC 5576 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID`, `SIM`, `FEC-FR`.
    pub semantics: String,
    /// In order.
    pub ssrcs: Vec<u32>,
}

/// `a=rid` (RFC 8851).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// The id.
    pub id: String,
    /// Whether the describing side sends it.
    pub send: bool,
}

impl Description {
    /// The section of a mid.
    pub fn section_of(&self, mid: &str) -> Option<(usize, &Section)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, s)| s.mid.as_deref() == Some(mid))
    }

    /// The data section, if one is not refused.
    pub fn data_section(&self) -> Option<(usize, &Section)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, s)| s.media == Media::Data && !s.rejected)
    }

    /// The section whose transport all of a bundle use: the first that is not refused and has ICE credentials.
    pub fn transport_section(&self) -> Option<(usize, &Section)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, s)| !s.rejected && !s.bundle_only && s.transport.ice.is_some())
    }
}
