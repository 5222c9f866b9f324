//! What senders and receivers are called and what they are told: `RTCRtpSendParameters`, `RTCRtpReceiveParameters`,
//! `RTCRtpEncodingParameters`, `RTCRtpCapabilities` (W3C §5.2, §5.3).

use core::fmt;

use crate::codec::{Capabilities, Codec};
use crate::jsep::ExtensionMapping;
use crate::types::{Direction, Kind, TransceiverId};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) connection: u32,
            pub(crate) transceiver: TransceiverId,
        }

        impl $name {
            /// The transceiver that it is half of.
            pub fn transceiver(self) -> TransceiverId {
                self.transceiver
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.transceiver.fmt(f)
            }
        }
    };
}

handle! {
    /// Names an `RTCRtpSender`. It knows its connection: another one refuses it.
    SenderId
}

handle! {
    /// Names an `RTCRtpReceiver`. It knows its connection: another one refuses it.
    ReceiverId
}

/// `RTCRtpEncodingParameters` (W3C §5.2.7). A stack without codecs carries them to whoever encodes, and refuses what is
/// sent against `active` and `codec`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Encoding {
    /// The rid; needed where there are several encodings, and taken away where there is one (W3C §5.1).
    pub rid: Option<String>,
    /// Whether it is sent: while it is not, packets and frames for it are refused.
    pub active: bool,
    /// The only codec that may be sent, besides comfort noise and the like: one of the capabilities, later one of those
    /// negotiated. It is forgotten when a negotiation leaves it out. The payload type in it does not count.
    pub codec: Option<Codec>,
    /// Upper bound in bit/s, told to the application; enforced by nobody here.
    pub max_bitrate: Option<u32>,
    /// Upper bound in frames a second for the application's encoder: above 0 when the transceiver is added, later not
    /// negative. Video only: taken away from audio.
    pub max_framerate: Option<f64>,
    /// Downscaling factor for the application's encoder, at least 1. Video only, where what is not said is filled in: 4, 2
    /// and 1 for three encodings.
    pub scale_resolution_down_by: Option<f64>,
    /// The layers that the application's encoder makes (W3C Scalable Video Coding §3.1).
    pub scalability_mode: Option<ScalabilityMode>,
}

impl Encoding {
    /// An active encoding without rid.
    pub fn new() -> Self {
        Encoding {
            active: true,
            ..Default::default()
        }
    }

    /// An active encoding with this rid.
    pub fn rid(rid: impl Into<String>) -> Self {
        Encoding {
            rid: Some(rid.into()),
            active: true,
            ..Default::default()
        }
    }
}

/// `RTCRtpTransceiverInit` (W3C §5.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransceiverInit {
    /// The wanted direction.
    pub direction: Direction,
    /// Ids of the media streams that the sender's track belongs to.
    pub streams: Vec<String>,
    /// The track's id for `a=msid`; made up where missing.
    pub track: Option<String>,
    /// More than one encoding means simulcast; each needs a rid then. Empty means one without rid. Those beyond
    /// [`limits::MAX_ENCODINGS`](crate::limits::MAX_ENCODINGS), or beyond one of audio, are left out.
    pub send_encodings: Vec<Encoding>,
}

/// A `scalabilityMode` of the table in W3C Scalable Video Coding §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScalabilityMode(&'static str);

/// All of the table.
const MODES: [&str; 36] = [
    "L1T1",
    "L1T2",
    "L1T3",
    "L2T1",
    "L2T2",
    "L2T3",
    "L3T1",
    "L3T2",
    "L3T3",
    "L2T1h",
    "L2T2h",
    "L2T3h",
    "L3T1h",
    "L3T2h",
    "L3T3h",
    "S2T1",
    "S2T2",
    "S2T3",
    "S2T1h",
    "S2T2h",
    "S2T3h",
    "S3T1",
    "S3T2",
    "S3T3",
    "S3T1h",
    "S3T2h",
    "S3T3h",
    "L2T2_KEY",
    "L2T2_KEY_SHIFT",
    "L2T3_KEY",
    "L2T3_KEY_SHIFT",
    "L3T1_KEY",
    "L3T2_KEY",
    "L3T2_KEY_SHIFT",
    "L3T3_KEY",
    "L3T3_KEY_SHIFT",
];

impl ScalabilityMode {
    /// The W3C's name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether all its layers are independent streams on one SSRC ("S mode"), which excludes simulcast on several.
    pub fn is_simulcast(self) -> bool {
        self.0.starts_with('S')
    }

    /// Whether a codec can do it: AV1 and VP9 all, VP8, H.264 and H.265 layers in time, others none.
    pub(crate) fn fits(self, codec: &Codec) -> bool {
        if codec.is("AV1") || codec.is("VP9") {
            true
        } else if codec.is("VP8") || codec.is("H264") || codec.is("H265") {
            self.0.starts_with("L1")
        } else {
            false
        }
    }
}

impl fmt::Display for ScalabilityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::str::FromStr for ScalabilityMode {
    type Err = UnknownScalabilityMode;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let known = MODES.iter().find(|m| **m == s);
        known
            .map(|m| ScalabilityMode(m))
            .ok_or(UnknownScalabilityMode)
    }
}

/// The word is none of the table of scalability modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no scalability mode of the W3C's")]
pub struct UnknownScalabilityMode;

/// `transactionId`: which [`parameters`](crate::PeerConnection::parameters) a
/// [`set_parameters`](crate::PeerConnection::set_parameters) answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub(crate) u64);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// `RTCRtpSendParameters` (W3C §5.2.4). Only `encodings` may be changed, and of them not the rids.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SendParameters {
    /// By which `set_parameters` knows what it changes.
    pub transaction_id: TransactionId,
    /// What is sent.
    pub encodings: Vec<Encoding>,
    /// Header extensions that may be sent.
    pub header_extensions: Vec<ExtensionMapping>,
    /// RTCP.
    pub rtcp: RtcpParameters,
    /// What may be sent, with the far side's payload types and parameters; empty before negotiation.
    pub codecs: Vec<Codec>,
}

/// `RTCRtpReceiveParameters` (W3C §5.2.5).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceiveParameters {
    /// Header extensions that may arrive.
    pub header_extensions: Vec<ExtensionMapping>,
    /// RTCP; without `cname`.
    pub rtcp: RtcpParameters,
    /// What may arrive, with our payload types and parameters; empty where the section does not receive.
    pub codecs: Vec<Codec>,
}

/// `RTCRtcpParameters` (W3C §5.2.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RtcpParameters {
    /// The CNAME of all that is sent.
    pub cname: Option<String>,
    /// Reduced-size RTCP is agreed on (RFC 5506).
    pub reduced_size: bool,
}

/// `RTCRtpCapabilities` (W3C §5.2.12).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtpCapabilities {
    /// Codecs in order of preference, with one entry for all retransmission.
    pub codecs: Vec<Codec>,
    /// URIs of header extensions.
    pub header_extensions: Vec<String>,
}

impl Capabilities {
    /// `getCapabilities(kind)` of senders and receivers, which are the same here: nothing is encoded or decoded.
    pub fn of(&self, kind: Kind) -> RtpCapabilities {
        let mut codecs: Vec<Codec> = Vec::new();
        for codec in self.codecs(kind) {
            if !codec.is_rtx() {
                codecs.push(codec.clone());
            } else if !codecs.iter().any(Codec::is_rtx) {
                // §5.2.12: one entry, without parameters, for retransmission of whatever it may be.
                codecs.push(Codec {
                    fmtp: String::new(),
                    ..codec.clone()
                });
            }
        }
        RtpCapabilities {
            codecs,
            header_extensions: self
                .header_extensions
                .iter()
                .filter(|e| match kind {
                    Kind::Audio => e.audio,
                    Kind::Video => e.video,
                })
                .map(|e| e.uri.clone())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalability_modes_are_those_of_the_table() {
        for mode in MODES {
            let parsed: ScalabilityMode = mode.parse().expect("of the table");
            assert_eq!(parsed.to_string(), mode);
        }
        for other in ["", "L1T4", "l1t1", "L3T1_KEY_SHIFT", "S1T1", "L1T2h"] {
            assert_eq!(
                other.parse::<ScalabilityMode>(),
                Err(UnknownScalabilityMode)
            );
        }
        let fits = |mode: &str, codec: &str| {
            mode.parse::<ScalabilityMode>()
                .is_ok_and(|m| m.fits(&Codec::new(96, codec, 90_000)))
        };
        assert!(fits("L1T3", "vp8") && fits("S2T1", "AV1") && fits("L3T3_KEY", "VP9"));
        assert!(!fits("L2T1", "VP8") && !fits("L2T1", "H264") && !fits("L1T1", "opus"));
    }

    #[test]
    fn capabilities_have_one_entry_for_retransmission() {
        let video = Capabilities::browser().of(Kind::Video);
        let rtx: Vec<_> = video.codecs.iter().filter(|c| c.is_rtx()).collect();
        assert_eq!(rtx.len(), 1);
        assert_eq!(rtx[0].fmtp, "");
        assert!(video.codecs.iter().any(|c| c.is("VP8")));
        let audio = Capabilities::browser().of(Kind::Audio);
        assert!(audio.codecs.iter().any(|c| c.is("telephone-event")));
        let level = "urn:ietf:params:rtp-hdrext:ssrc-audio-level".to_owned();
        assert!(
            audio.header_extensions.contains(&level) && !video.header_extensions.contains(&level)
        );
    }
}
