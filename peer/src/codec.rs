//! Codecs and header extensions as SDP names them: what this stack offers, what a section has agreed on.

use core::fmt;

use crate::types::Kind;

/// One payload format of a media section: `RTCRtpCodecParameters` (W3C §5.2.9) with its feedback.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Codec {
    /// 0–127. In capabilities: the number preferred when it is free.
    pub payload_type: u8,
    /// Encoding name, such as `opus` or `VP8`; compared without case.
    pub name: String,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// Channels of audio where SDP says them.
    pub channels: Option<u8>,
    /// Format parameters as in `a=fmtp`, such as `minptime=10;useinbandfec=1`; empty for none.
    pub fmtp: String,
    /// `a=rtcp-fb` values, such as `nack pli`.
    pub feedback: Vec<String>,
}

impl Codec {
    /// A codec without parameters and feedback.
    pub fn new(payload_type: u8, name: &str, clock_rate: u32) -> Self {
        Codec {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: None,
            fmtp: String::new(),
            feedback: Vec::new(),
        }
    }

    /// With a number of channels.
    #[must_use]
    pub fn channels(mut self, channels: u8) -> Self {
        self.channels = Some(channels);
        self
    }

    /// With format parameters.
    #[must_use]
    pub fn fmtp(mut self, fmtp: &str) -> Self {
        self.fmtp = fmtp.to_owned();
        self
    }

    /// With feedback.
    #[must_use]
    pub fn feedback(mut self, feedback: &[&str]) -> Self {
        self.feedback = feedback.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    /// `audio/opus` and the like.
    pub fn mime_type(&self, kind: Kind) -> String {
        format!("{kind}/{}", self.name)
    }

    /// Whether the name is this, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Retransmission of another payload type (RFC 4588).
    pub fn is_rtx(&self) -> bool {
        self.is("rtx")
    }

    /// Media, and not a helper of it (rtx, red, ulpfec, flexfec, CN, telephone-event).
    pub fn is_media(&self) -> bool {
        ![
            "rtx",
            "red",
            "ulpfec",
            "flexfec-03",
            "flexfec",
            "CN",
            "telephone-event",
        ]
        .iter()
        .any(|n| self.is(n))
    }

    /// The value of a format parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|p| {
            let (key, value) = p.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The payload type that this `rtx` repairs.
    pub fn apt(&self) -> Option<u8> {
        if self.is_rtx() {
            self.parameter("apt")?.parse().ok()
        } else {
            None
        }
    }

    /// Whether a feedback is among this codec's.
    pub fn has_feedback(&self, feedback: &str) -> bool {
        self.feedback
            .iter()
            .any(|f| f.eq_ignore_ascii_case(feedback))
    }

    /// Same encoding: name, clock and channels (one channel is the same as none said).
    pub(crate) fn same_encoding(&self, other: &Codec) -> bool {
        self.is(&other.name)
            && self.clock_rate == other.clock_rate
            && self.channels.unwrap_or(1) == other.channels.unwrap_or(1)
    }

    /// Whether both mean the same format: the encoding, and those parameters that RFCs say tell formats apart.
    /// `rtx` and `red` are told apart by what they refer to and are matched elsewhere.
    pub fn matches(&self, other: &Codec) -> bool {
        self.same_encoding(other) && self.format_key() == other.format_key()
    }

    /// What tells formats of one encoding apart. Defaults are those of the payload formats.
    fn format_key(&self) -> FormatKey<'_> {
        if self.is("H264") {
            // RFC 6184 §8.1: profile and packetization mode; the level may differ with level-asymmetry-allowed.
            let profile = self.parameter("profile-level-id").unwrap_or("42000a");
            FormatKey::H264(
                h264_profile(profile),
                self.parameter("packetization-mode").unwrap_or("0"),
            )
        } else if self.is("VP9") {
            FormatKey::Profile(self.parameter("profile-id").unwrap_or("0"))
        } else if self.is("AV1") {
            FormatKey::Profile(self.parameter("profile").unwrap_or("0"))
        } else if self.is("H265") {
            FormatKey::Profile(self.parameter("profile-id").unwrap_or("1"))
        } else {
            FormatKey::Any
        }
    }
}

#[derive(PartialEq, Eq)]
enum FormatKey<'a> {
    Any,
    Profile(&'a str),
    H264(H264Profile, &'a str),
}

/// Profiles of H.264 as profile_idc and constraint flags name them (RFC 6184 table 5).
#[derive(PartialEq, Eq, Clone, Copy)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    ConstrainedHigh,
    High,
    Other(u16),
}

fn h264_profile(id: &str) -> H264Profile {
    let Some(idc) = id.get(0..2).and_then(|s| u8::from_str_radix(s, 16).ok()) else {
        return H264Profile::Other(0xffff);
    };
    let iop = id
        .get(2..4)
        .and_then(|s| u8::from_str_radix(s, 16).ok())
        .unwrap_or(0);
    match (idc, iop) {
        (0x42, f) if f & 0x40 != 0 => H264Profile::ConstrainedBaseline,
        (0x4d, f) if f & 0x80 != 0 => H264Profile::ConstrainedBaseline,
        (0x58, f) if f & 0xc0 == 0xc0 => H264Profile::ConstrainedBaseline,
        (0x42, _) => H264Profile::Baseline,
        (0x58, f) if f & 0x80 != 0 => H264Profile::Baseline,
        (0x4d, _) => H264Profile::Main,
        (0x58, _) => H264Profile::Extended,
        (0x64, 0x0c) => H264Profile::ConstrainedHigh,
        (0x64, 0x00) => H264Profile::High,
        (idc, iop) => H264Profile::Other(u16::from_be_bytes([idc, iop])),
    }
}

impl fmt::Display for Codec {
    /// As in `a=rtpmap`: `VP8/90000`, `opus/48000/2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.clock_rate)?;
        match self.channels {
            Some(channels) => write!(f, "/{channels}"),
            None => Ok(()),
        }
    }
}

/// A header extension that a section may use: `RTCRtpHeaderExtensionCapability`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderExtension {
    /// Its URI.
    pub uri: String,
    /// The id offered when it is free, 1–14.
    pub preferred_id: u8,
    /// Offered on audio sections.
    pub audio: bool,
    /// Offered on video sections.
    pub video: bool,
}

/// What this side can send and receive: lists in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Audio codecs.
    pub audio: Vec<Codec>,
    /// Video codecs, each with its `rtx` after it where retransmission is wanted.
    pub video: Vec<Codec>,
    /// Header extensions.
    pub header_extensions: Vec<HeaderExtension>,
    /// Accept offered formats of a known encoding whose parameters are none of ours (another H.264 profile, say): this
    /// stack has no decoder, and whoever only forwards packets can take them all.
    pub accept_any_format: bool,
}

/// Feedback of all video codecs, as browsers name it.
const VIDEO_FEEDBACK: [&str; 5] = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];

impl Capabilities {
    /// No codec at all: data channels only.
    pub fn none() -> Self {
        Capabilities {
            audio: Vec::new(),
            video: Vec::new(),
            header_extensions: Vec::new(),
            accept_any_format: false,
        }
    }

    /// The codecs of a kind.
    pub fn codecs(&self, kind: Kind) -> &[Codec] {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    /// What the browsers have: opus, G.722, PCM, comfort noise, DTMF; VP8, VP9, H.264, AV1, H.265 with RTX; RED and
    /// ULPFEC; and their header extensions.
    pub fn browser() -> Self {
        let audio = vec![
            Codec::new(111, "opus", 48_000)
                .channels(2)
                .fmtp("minptime=10;useinbandfec=1")
                .feedback(&["transport-cc"]),
            Codec::new(63, "red", 48_000).channels(2).fmtp("111/111"),
            Codec::new(9, "G722", 8_000),
            Codec::new(0, "PCMU", 8_000),
            Codec::new(8, "PCMA", 8_000),
            Codec::new(13, "CN", 8_000),
            Codec::new(110, "telephone-event", 48_000).fmtp("0-16"),
            Codec::new(126, "telephone-event", 8_000).fmtp("0-16"),
        ];
        let formats: [(u8, u8, &str, &str); 13] = [
            (96, 97, "VP8", ""),
            (98, 99, "VP9", "profile-id=0"),
            (100, 101, "VP9", "profile-id=2"),
            (45, 46, "AV1", "level-idx=5;profile=0;tier=0"),
            (
                102,
                103,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
            ),
            (
                104,
                107,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f",
            ),
            (
                108,
                109,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            ),
            (
                114,
                115,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
            ),
            (
                116,
                117,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
            ),
            (
                39,
                40,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f",
            ),
            (
                121,
                122,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
            ),
            (
                123,
                124,
                "H264",
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f",
            ),
            (
                49,
                50,
                "H265",
                "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
            ),
        ];
        let mut video: Vec<Codec> = Vec::with_capacity(2 * formats.len() + 3);
        for (pt, rtx, name, fmtp) in formats {
            video.push(
                Codec::new(pt, name, 90_000)
                    .fmtp(fmtp)
                    .feedback(&VIDEO_FEEDBACK),
            );
            video.push(Codec::new(rtx, "rtx", 90_000).fmtp(&format!("apt={pt}")));
        }
        video.push(Codec::new(118, "red", 90_000));
        video.push(Codec::new(119, "rtx", 90_000).fmtp("apt=118"));
        video.push(Codec::new(120, "ulpfec", 90_000));

        let extension = |preferred_id, uri: &str, audio, video| HeaderExtension {
            uri: uri.to_owned(),
            preferred_id,
            audio,
            video,
        };
        let header_extensions = vec![
            extension(
                1,
                "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
                true,
                false,
            ),
            extension(
                2,
                "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
                true,
                true,
            ),
            extension(
                3,
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
                true,
                true,
            ),
            extension(4, "urn:ietf:params:rtp-hdrext:sdes:mid", true, true),
            extension(14, "urn:ietf:params:rtp-hdrext:toffset", false, true),
            extension(13, "urn:3gpp:video-orientation", false, true),
            extension(
                5,
                "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
                false,
                true,
            ),
            extension(
                6,
                "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
                false,
                true,
            ),
            extension(
                7,
                "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
                false,
                true,
            ),
            extension(
                8,
                "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
                false,
                true,
            ),
            extension(
                10,
                "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
                false,
                true,
            ),
            extension(
                11,
                "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
                false,
                true,
            ),
            extension(
                12,
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
                false,
                true,
            ),
        ];
        Capabilities {
            audio,
            video,
            header_extensions,
            accept_any_format: true,
        }
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::browser()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_matches_by_profile_and_mode_and_not_by_level() {
        let h264 = |f: &str| Codec::new(96, "H264", 90_000).fmtp(f);
        let a = h264("packetization-mode=1;profile-level-id=42e01f");
        assert!(a.matches(&h264("profile-level-id=42e034; packetization-mode=1")));
        assert!(a.matches(&h264("profile-level-id=42C01f;packetization-mode=1")));
        assert!(!a.matches(&h264("packetization-mode=0;profile-level-id=42e01f")));
        assert!(!a.matches(&h264("packetization-mode=1;profile-level-id=42001f")));
        assert!(!a.matches(&h264("packetization-mode=1")));
    }

    #[test]
    fn one_channel_is_the_same_as_none_said() {
        assert!(
            Codec::new(0, "pcmu", 8000)
                .channels(1)
                .matches(&Codec::new(5, "PCMU", 8000))
        );
        assert!(
            !Codec::new(111, "opus", 48_000)
                .channels(2)
                .matches(&Codec::new(111, "opus", 48_000))
        );
    }

    #[test]
    fn capabilities_number_every_format_apart() {
        let caps = Capabilities::browser();
        let mut seen = std::collections::HashSet::new();
        for codec in caps.audio.iter().chain(&caps.video) {
            assert!(seen.insert(codec.payload_type), "{codec:?}");
            // RFC 5761 §4: 64–95 look like RTCP.
            assert!(!(64..=95).contains(&codec.payload_type));
            if let Some(apt) = codec.apt() {
                assert!(caps.video.iter().any(|c| c.payload_type == apt));
            }
        }
        let mut ids = std::collections::HashSet::new();
        for e in &caps.header_extensions {
            assert!(ids.insert(e.preferred_id) && (1..=14).contains(&e.preferred_id));
        }
    }
}
