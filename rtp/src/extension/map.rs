//! Which identifier stands for which extension.

use crate::limits::{MAX_EXTENSION_URI, MAX_EXTENSIONS};

/// Why an extension could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Identifiers are 1 to 255 (RFC 8285 §5; 15 only where the two-byte form is sure).
    #[error("identifier {0} is reserved")]
    Id(u8),
    /// The identifier stands for another URI already (RFC 8285 §7: a duplicate is an error).
    #[error("identifier {0} is taken")]
    Taken(u8),
    /// The URI is longer than [`MAX_EXTENSION_URI`].
    #[error("URI of {0} octets")]
    UriTooLong(usize),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $uri:literal,)*) => {
        /// The header extensions this crate has typed values for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ExtensionKind {
            $($(#[$doc])* $name,)*
        }

        impl ExtensionKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The URI that SDP names it by.
            pub const fn uri(self) -> &'static str {
                match self {
                    $(Self::$name => $uri,)*
                }
            }

            /// The kind a URI names, if this crate knows it.
            pub fn from_uri(uri: &str) -> Option<Self> {
                match uri {
                    $($uri => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Loudness and voice activity of the source, from a client to a mixer (RFC 6464).
    AudioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    /// Loudness of each contributing source, from a mixer to a client (RFC 6465).
    MixerAudioLevels = "urn:ietf:params:rtp-hdrext:csrc-audio-level",
    /// Transmission time offset (RFC 5450).
    TransmissionOffset = "urn:ietf:params:rtp-hdrext:toffset",
    /// The m-line's mid (RFC 9143 §15.2).
    Mid = "urn:ietf:params:rtp-hdrext:sdes:mid",
    /// The stream's rid (RFC 8852).
    RtpStreamId = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    /// The rid of the stream that this one repairs (RFC 8852).
    RepairedRtpStreamId = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    /// Absolute send time (draft-alvestrand-rmcat-remb §3).
    AbsoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    /// Absolute capture time.
    AbsoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions §2).
    TransportSequence = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    /// Transport-wide sequence number with an optional request for feedback.
    TransportSequenceV2 = "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02",
    /// Camera and rotation (3GPP TS 26.114).
    VideoOrientation = "urn:3gpp:video-orientation",
    /// Bounds of the playout delay.
    PlayoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    /// Camera or screen.
    VideoContentType = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    /// When a frame passed the stages of the sender.
    VideoTiming = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    /// Colour space, with HDR metadata if there are.
    ColorSpace = "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    /// Which layers there are and what they cost.
    VideoLayersAllocation = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
    /// A frame's number, for measurements.
    VideoFrameTrackingId = "http://www.webrtc.org/experiments/rtp-hdrext/video-frame-tracking-id",
    /// Samples of the picture by which a receiver notices a corrupt one.
    CorruptionDetection = "http://www.webrtc.org/experiments/rtp-hdrext/corruption-detection",
    /// The packet holds comfort noise of the codec's own.
    InbandComfortNoise = "http://www.webrtc.org/experiments/rtp-hdrext/inband-cn",
    /// Dependencies between frames (AV1 RTP payload format, appendix A).
    DependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
}

/// The identifiers of one session, both ways round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionMap {
    /// Identifier of each kind; 0 where there is none.
    ids: [u8; ExtensionKind::ALL.len()],
    /// URIs this crate has no type for, with their identifiers.
    others: Vec<(u8, String)>,
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self::new()
    }
}

impl ExtensionMap {
    /// A map without any extension.
    pub const fn new() -> Self {
        Self {
            ids: [0; ExtensionKind::ALL.len()],
            others: Vec::new(),
        }
    }

    /// Maps `uri` to `id`, known to this crate or not. A URI mapped before gets the new identifier.
    ///
    /// # Errors
    /// [`MapError`]; the map is left as it was.
    pub fn insert(&mut self, id: u8, uri: &str) -> Result<(), MapError> {
        if id == 0 {
            return Err(MapError::Id(id));
        }
        if uri.len() > MAX_EXTENSION_URI {
            return Err(MapError::UriTooLong(uri.len()));
        }
        match self.uri(id) {
            Some(taken) if taken == uri => return Ok(()),
            Some(_) => return Err(MapError::Taken(id)),
            None => {}
        }
        if let Some(kind) = ExtensionKind::from_uri(uri) {
            if let Some(slot) = self.ids.get_mut(kind as usize) {
                *slot = id;
            }
        } else {
            self.others.retain(|(_, other)| other != uri);
            // At most one entry an identifier.
            debug_assert!(self.others.len() < MAX_EXTENSIONS);
            self.others.push((id, uri.to_owned()));
        }
        Ok(())
    }

    /// Maps a known extension to `id`.
    ///
    /// # Errors
    /// [`MapError`]; the map is left as it was.
    pub fn insert_kind(&mut self, id: u8, kind: ExtensionKind) -> Result<(), MapError> {
        self.insert(id, kind.uri())
    }

    /// The identifier of a known extension.
    #[inline]
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids.get(kind as usize).copied().filter(|id| *id != 0)
    }

    /// The identifier of a URI.
    pub fn id_of_uri(&self, uri: &str) -> Option<u8> {
        match ExtensionKind::from_uri(uri) {
            Some(kind) => self.id(kind),
            None => self
                .others
                .iter()
                .find(|(_, other)| other == uri)
                .map(|(id, _)| *id),
        }
    }

    /// The known extension that `id` stands for.
    pub fn kind(&self, id: u8) -> Option<ExtensionKind> {
        let at = self.ids.iter().position(|i| *i == id && id != 0)?;
        ExtensionKind::ALL.get(at).copied()
    }

    /// The URI that `id` stands for.
    pub fn uri(&self, id: u8) -> Option<&str> {
        if let Some(kind) = self.kind(id) {
            return Some(kind.uri());
        }
        self.others
            .iter()
            .find(|(other, _)| *other == id)
            .map(|(_, uri)| uri.as_str())
    }

    /// All mappings, known ones first.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &str)> {
        ExtensionKind::ALL
            .iter()
            .zip(self.ids)
            .filter(|(_, id)| *id != 0)
            .map(|(kind, id)| (id, kind.uri()))
            .chain(self.others.iter().map(|(id, uri)| (*id, uri.as_str())))
    }

    /// Forgets an extension. Returns whether it was there.
    pub fn remove(&mut self, uri: &str) -> bool {
        match ExtensionKind::from_uri(uri) {
            Some(kind) => self
                .ids
                .get_mut(kind as usize)
                .is_some_and(|id| std::mem::take(id) != 0),
            None => {
                let before = self.others.len();
                self.others.retain(|(_, other)| other != uri);
                self.others.len() != before
            }
        }
    }
}
