//! Attributes as typed values.
//!
//! Every type here reads its value by `FromStr` (tolerant) and writes it by `Display`; the text is
//! the value alone, without `a=` and name. Strict reading of a whole description
//! ([`crate::SessionDescription::parse_strict`]) holds each value against its grammar to the
//! letter.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::error::{Rule, ValueError};
use crate::scan::Grammar;

mod bundle;
mod dtls;
mod ice;
mod image;
mod media;
mod rtp;
mod sctp;
mod simulcast;
mod source;

pub use bundle::{Group, GroupSemantics, Mid, Msid, MsidSemantic};
pub use dtls::{Fingerprint, HashFunction, Identity, Setup, TlsId};
pub use ice::{IceOptions, IcePacing, IcePwd, IceUfrag, RemoteCandidate, RemoteCandidates, Rtcp};
pub use image::{ImageAttr, ImageSet, ImageSets, Span};
pub use media::{Content, Direction, FrameRate, Label, MaxPTime, PTime};
pub use rtp::{ExtMap, FeedbackKind, FeedbackTarget, Fmtp, PayloadType, RtcpFb, RtcpXr, RtpMap};
pub use sctp::{MaxMessageSize, SctpInit, SctpMap, SctpPort};
pub use simulcast::{
    Rid, RidDirection, RidName, RidRestriction, Simulcast, SimulcastList, SimulcastStream,
};
pub use source::{SourceAttribute, SourceGroup, SourceGroupSemantics, Ssrc};

pub use crate::candidate::Candidate;

/// A typed attribute that always has a value: its name, how it is read and how it is written.
///
/// Implement it for an attribute of your own to use it with [`crate::Section::get`] and
/// [`crate::Section::all`].
pub trait TypedAttribute: Display + FromStr<Err = ValueError> {
    /// The attribute's name, as it stands before the colon.
    const NAME: &'static str;
}

/// Where an attribute may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Session,
    Media,
    Both,
}

/// What strict reading knows of an attribute.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// Whether it may stand only once in a section.
    pub(crate) once: bool,
    /// Holds a value against the grammar.
    pub(crate) check: fn(Option<&str>) -> Result<(), ValueError>,
}

/// An attribute that this crate has no type for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherAttribute {
    /// The name.
    pub name: String,
    /// The value; none for a flag.
    pub value: Option<String>,
}

fn check_value<T: Grammar>(value: Option<&str>) -> Result<(), ValueError> {
    match value {
        Some(value) => T::read_all(value, true).map(|_| ()),
        None => Err(ValueError::new(T::CALLED, 0, Rule::Empty)),
    }
}

macro_rules! attributes {
    (
        values { $($(#[$doc:meta])* $variant:ident($type:ty), $name:literal, $level:ident, $once:literal;)+ }
        flags { $($(#[$fdoc:meta])* $flag:ident, $fname:literal, $flevel:ident;)+ }
    ) => {
        /// Any attribute: a typed value, a flag, or a name and a value that are not known here.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Attribute {
            $($(#[$doc])* $variant($type),)+
            $($(#[$fdoc])* $flag,)+
            /// `a=sendrecv`, `a=sendonly`, `a=recvonly` or `a=inactive` (RFC 8866 §6.7).
            Direction(Direction),
            /// An attribute without a type of its own.
            Other(OtherAttribute),
        }

        impl Attribute {
            /// Reads the attribute called `name`. Flags must have no value; names that are not
            /// known give [`Attribute::Other`].
            ///
            /// # Errors
            /// The value is missing, or breaks the attribute's grammar.
            pub fn parse(name: &str, value: Option<&str>) -> Result<Self, ValueError> {
                match name {
                    $($name => {
                        let value = value.ok_or(ValueError::new($name, 0, Rule::Empty))?;
                        Ok(Self::$variant(value.parse()?))
                    })+
                    $($fname => match value {
                        None => Ok(Self::$flag),
                        Some(_) => Err(ValueError::new($fname, 0, Rule::Flag)),
                    },)+
                    _ => match (value, name.parse()) {
                        (None, Ok(direction)) => Ok(Self::Direction(direction)),
                        _ => Ok(Self::other(name, value)),
                    },
                }
            }

            /// The attribute's name.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)+
                    $(Self::$flag => $fname,)+
                    Self::Direction(direction) => direction.as_str(),
                    Self::Other(other) => &other.name,
                }
            }
        }

        impl Display for Attribute {
            /// `name` or `name:value`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(value) => write!(f, concat!($name, ":{}"), value),)+
                    $(Self::$flag => f.write_str($fname),)+
                    Self::Direction(direction) => f.write_str(direction.as_str()),
                    Self::Other(OtherAttribute { name, value: Some(value) }) => {
                        write!(f, "{name}:{value}")
                    }
                    Self::Other(OtherAttribute { name, value: None }) => f.write_str(name),
                }
            }
        }

        $(
            impl From<$type> for Attribute {
                fn from(value: $type) -> Self {
                    Self::$variant(value)
                }
            }

            impl TypedAttribute for $type {
                const NAME: &'static str = $name;
            }
        )+

        /// What strict reading knows of the attribute called `name`.
        pub(crate) fn known(name: &str) -> Option<Known> {
            match name {
                $($name => Some(Known {
                    name: $name,
                    level: Level::$level,
                    once: $once,
                    check: check_value::<$type>,
                }),)+
                $($fname => Some(Known {
                    name: $fname,
                    level: Level::$flevel,
                    once: true,
                    check: |value| match value {
                        None => Ok(()),
                        Some(_) => Err(ValueError::new($fname, 0, Rule::Flag)),
                    },
                }),)+
                "sendrecv" | "sendonly" | "recvonly" | "inactive" => Some(Known {
                    name: "direction",
                    level: Level::Both,
                    once: true,
                    check: |value| match value {
                        None => Ok(()),
                        Some(_) => Err(ValueError::new("direction", 0, Rule::Flag)),
                    },
                }),
                _ => None,
            }
        }
    };
}

attributes! {
    values {
        /// `a=rtpmap` (RFC 8866 §6.6).
        RtpMap(RtpMap), "rtpmap", Media, false;
        /// `a=fmtp` (RFC 8866 §6.15).
        Fmtp(Fmtp), "fmtp", Media, false;
        /// `a=rtcp-fb` (RFC 4585 §4.2).
        RtcpFb(RtcpFb), "rtcp-fb", Media, false;
        /// `a=rtcp-xr` (RFC 3611 §5.1).
        RtcpXr(RtcpXr), "rtcp-xr", Both, true;
        /// `a=extmap` (RFC 8285 §8).
        ExtMap(ExtMap), "extmap", Both, false;
        /// `a=mid` (RFC 5888 §4).
        Mid(Mid), "mid", Media, true;
        /// `a=group` (RFC 5888 §5).
        Group(Group), "group", Session, false;
        /// `a=msid` (RFC 8830 §2).
        Msid(Msid), "msid", Media, false;
        /// `a=msid-semantic`, of drafts before RFC 8830, which browsers still send.
        MsidSemantic(MsidSemantic), "msid-semantic", Session, false;
        /// `a=ssrc` (RFC 5576 §4.1).
        Source(SourceAttribute), "ssrc", Media, false;
        /// `a=ssrc-group` (RFC 5576 §4.2).
        SourceGroup(SourceGroup), "ssrc-group", Media, false;
        /// `a=rid` (RFC 8851 §10).
        Rid(Rid), "rid", Media, false;
        /// `a=simulcast` (RFC 8853 §5.1).
        Simulcast(Simulcast), "simulcast", Media, true;
        /// `a=setup` (RFC 4145 §4).
        Setup(Setup), "setup", Both, true;
        /// `a=fingerprint` (RFC 8122 §5).
        Fingerprint(Fingerprint), "fingerprint", Both, false;
        /// `a=tls-id` (RFC 8842 §4).
        TlsId(TlsId), "tls-id", Both, true;
        /// `a=identity` (RFC 8827 §5).
        Identity(Identity), "identity", Session, false;
        /// `a=ice-ufrag` (RFC 8839 §5.4).
        IceUfrag(IceUfrag), "ice-ufrag", Both, true;
        /// `a=ice-pwd` (RFC 8839 §5.4).
        IcePwd(IcePwd), "ice-pwd", Both, true;
        /// `a=ice-options` (RFC 8839 §5.6).
        IceOptions(IceOptions), "ice-options", Both, true;
        /// `a=ice-pacing` (RFC 8839 §5.5).
        IcePacing(IcePacing), "ice-pacing", Session, true;
        /// `a=candidate` (RFC 8839 §5.1).
        Candidate(Candidate), "candidate", Media, false;
        /// `a=remote-candidates` (RFC 8839 §5.2).
        RemoteCandidates(RemoteCandidates), "remote-candidates", Media, true;
        /// `a=rtcp` (RFC 3605 §2.1).
        Rtcp(Rtcp), "rtcp", Media, true;
        /// `a=sctp-port` (RFC 8841 §5).
        SctpPort(SctpPort), "sctp-port", Media, true;
        /// `a=max-message-size` (RFC 8841 §6).
        MaxMessageSize(MaxMessageSize), "max-message-size", Media, true;
        /// `a=sctpmap`, of drafts before RFC 8841.
        SctpMap(SctpMap), "sctpmap", Media, false;
        /// `a=sctp-init` (draft-hancke-tsvwg-snap).
        SctpInit(SctpInit), "sctp-init", Media, true;
        /// `a=ptime` (RFC 8866 §6.4).
        PTime(PTime), "ptime", Media, true;
        /// `a=maxptime` (RFC 8866 §6.5).
        MaxPTime(MaxPTime), "maxptime", Media, true;
        /// `a=framerate` (RFC 8866 §6.13).
        FrameRate(FrameRate), "framerate", Media, true;
        /// `a=imageattr` (RFC 6236 §3.1).
        ImageAttr(ImageAttr), "imageattr", Media, false;
        /// `a=content` (RFC 4796 §5).
        Content(Content), "content", Media, true;
        /// `a=label` (RFC 4574 §4).
        Label(Label), "label", Media, true;
    }
    flags {
        /// `a=extmap-allow-mixed` (RFC 8285 §6).
        ExtMapAllowMixed, "extmap-allow-mixed", Both;
        /// `a=bundle-only` (RFC 9143 §6).
        BundleOnly, "bundle-only", Media;
        /// `a=ice-lite` (RFC 8839 §5.3).
        IceLite, "ice-lite", Session;
        /// `a=ice-mismatch` (RFC 8839 §5.3).
        IceMismatch, "ice-mismatch", Media;
        /// `a=end-of-candidates` (RFC 8840 §8.2).
        EndOfCandidates, "end-of-candidates", Both;
        /// `a=rtcp-mux` (RFC 5761 §5.1.1).
        RtcpMux, "rtcp-mux", Media;
        /// `a=rtcp-mux-only` (RFC 8858 §3).
        RtcpMuxOnly, "rtcp-mux-only", Media;
        /// `a=rtcp-rsize` (RFC 5506 §5).
        RtcpRsize, "rtcp-rsize", Media;
        /// `a=cryptex` (RFC 9335 §4).
        Cryptex, "cryptex", Both;
    }
}

impl Attribute {
    /// An attribute by name and value as text, whatever they are. A value's line breaks become
    /// spaces when it is put into a section.
    pub fn other(name: impl Into<String>, value: Option<&str>) -> Self {
        Self::Other(OtherAttribute {
            name: name.into(),
            value: value.map(str::to_owned),
        })
    }
}

impl From<Direction> for Attribute {
    fn from(direction: Direction) -> Self {
        Self::Direction(direction)
    }
}

impl From<OtherAttribute> for Attribute {
    fn from(other: OtherAttribute) -> Self {
        Self::Other(other)
    }
}
