//! Names of RTP header extensions, as `a=extmap` gives them.

/// Time offset of a frame's packets (RFC 5450).
pub const TRANSMISSION_OFFSET: &str = "urn:ietf:params:rtp-hdrext:toffset";
/// Audio level of the sender (RFC 6464).
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Audio levels of a mixer's contributors (RFC 6465).
pub const MIXER_AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";
/// Encrypted header extensions (RFC 6904).
pub const ENCRYPT: &str = "urn:ietf:params:rtp-hdrext:encrypt";
/// The media section's identification tag (RFC 9143).
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// The restriction identifier of a stream (RFC 8852).
pub const RTP_STREAM_ID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// The restriction identifier of the stream that is repaired (RFC 8852).
pub const REPAIRED_RTP_STREAM_ID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
/// The canonical name (RFC 7941).
pub const SDES_CNAME: &str = "urn:ietf:params:rtp-hdrext:sdes:cname";
/// 64-bit NTP time (RFC 6051).
pub const NTP_64: &str = "urn:ietf:params:rtp-hdrext:ntp-64";
/// Frame marking (RFC 9626).
pub const FRAME_MARKING: &str = "urn:ietf:params:rtp-hdrext:framemarking";
/// Video orientation (3GPP TS 26.114).
pub const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";
/// Absolute send time.
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// Absolute capture time.
pub const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/// Transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions).
pub const TRANSPORT_WIDE_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Transport-wide sequence numbers with requests for feedback.
pub const TRANSPORT_WIDE_CC_02: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02";
/// Bounds of the playout delay.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Whether video is a screen's.
pub const VIDEO_CONTENT_TYPE: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type";
/// Times of a frame's way through the sender.
pub const VIDEO_TIMING: &str = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing";
/// Colour space of a frame.
pub const COLOR_SPACE: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";
/// Dependency descriptor (RTP payload format for AV1, appendix A).
pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Layers that are sent, and their rates.
pub const VIDEO_LAYERS_ALLOCATION: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00";
/// Generic frame descriptor, the dependency descriptor's forerunner.
pub const GENERIC_FRAME_DESCRIPTOR: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/generic-frame-descriptor-00";
/// Number of a frame.
pub const VIDEO_FRAME_TRACKING_ID: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/video-frame-tracking-id";
/// Number of corruption detection samples.
pub const CORRUPTION_DETECTION: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/corruption-detection";
/// Inband comfort noise.
pub const INBAND_COMFORT_NOISE: &str = "http://www.webrtc.org/experiments/rtp-hdrext/inband-cn";
