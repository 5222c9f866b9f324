//! Every mistake a caller can make, one entry a cause, each with the W3C's error name.

use crate::{ChannelKey, SdpType, SignalingState, TransceiverId};

/// The names of `DOMException` and `RTCError` that the W3C text gives to failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object is in a state in which the call makes no sense.
    InvalidState,
    /// The object does not support the operation or argument.
    InvalidAccess,
    /// The object can't be modified in this way.
    InvalidModification,
    /// A string did not match the expected form.
    Syntax,
    /// A string has a character that none may be.
    InvalidCharacter,
    /// The operation failed for a reason of the operation itself.
    Operation,
    /// An argument has the wrong type or a value outside of its enumeration.
    Type,
    /// A number is out of its range.
    Range,
    /// The operation is not supported.
    NotSupported,
    /// What is asked for can't be had, as an assertion of an identity provider.
    NotReadable,
}

/// What a call on a peer connection can fail with. The state of the connection is then the same as before the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `close()` was called (W3C §4.4.1, `[[IsClosed]]`).
    #[error("the connection is closed")]
    Closed,
    /// A description of this type can't be applied in this state (RFC 9429 §5.5, §5.6).
    #[error("a {side} description of type {description} can't be set in signaling state {state}")]
    WrongSignalingState {
        /// The state at the call.
        state: SignalingState,
        /// The type of the description.
        description: SdpType,
        /// Local or remote.
        side: Side,
    },
    /// `create_offer` or `create_answer` in a state that allows none.
    #[error("can't create a description of type {description} in signaling state {state}")]
    CannotCreate {
        /// The state at the call.
        state: SignalingState,
        /// What was asked for.
        description: SdpType,
    },
    /// The description is not what the last `create_offer`/`create_answer` returned (RFC 9429 §5.4).
    #[error("the local description was altered after its creation, or was never created")]
    DescriptionAltered,
    /// Not valid SDP (`RTCError` with `sdp-syntax-error`).
    #[error("sdp syntax error in line {line}: {reason}")]
    SdpSyntax {
        /// One-based number of the line in the text.
        line: usize,
        /// What was wrong.
        reason: String,
    },
    /// Valid SDP whose content breaks a rule of RFC 9429 §5.8.3.
    #[error("invalid description: {0}")]
    InvalidDescription(DescriptionFault),
    /// `add_ice_candidate` before a remote description (W3C §4.4.2, addIceCandidate).
    #[error("there is no remote description yet")]
    NoRemoteDescription,
    /// An ICE candidate with neither `sdp_mid` nor `sdp_m_line_index` (a TypeError there).
    #[error("a candidate needs sdp_mid or sdp_m_line_index")]
    CandidateWithoutSection,
    /// A candidate for a media section that does not exist, or for an unknown generation.
    #[error("the candidate names an unknown media section or username fragment")]
    CandidateSectionUnknown,
    /// A candidate that can't be parsed.
    #[error("the candidate line is malformed")]
    CandidateMalformed,
    /// More remote candidates than [`limits::MAX_REMOTE_CANDIDATES`](crate::limits::MAX_REMOTE_CANDIDATES).
    #[error("too many remote candidates")]
    TooManyCandidates,
    /// The configuration's ICE server URL is malformed (RFC 7064, RFC 7065).
    #[error("malformed ICE server url")]
    IceServerUrl,
    /// A `turn:`/`turns:` server without username or credential, or with a username of more than 508 bytes.
    #[error("a TURN server needs username and credential")]
    IceServerCredentials,
    /// A certificate is past its expiry.
    #[error("a certificate has expired")]
    CertificateExpired,
    /// A certificate's key of a kind that nothing here can make (W3C §4.9.1).
    #[error("keys of this kind can't be made here")]
    KeygenNotSupported,
    /// `set_configuration` changed what can't change (certificates, bundle policy, mux policy).
    #[error("this part of the configuration can't change after construction")]
    ConfigurationFixed,
    /// A value of the configuration is outside of its range.
    #[error("configuration value out of range: {0}")]
    ConfigurationRange(&'static str),
    /// No transceiver of that id.
    #[error("no transceiver {0}")]
    NoTransceiver(TransceiverId),
    /// The transceiver is stopping or stopped.
    #[error("transceiver {0} is stopped")]
    TransceiverStopped(TransceiverId),
    /// A limit of ours: more transceivers or media sections than a connection may have.
    #[error("too many transceivers or media sections")]
    TooManyTransceivers,
    /// The transceiver does not send now: its negotiated direction or its transport says no.
    #[error("transceiver {0} is not negotiated to send")]
    NotSending(TransceiverId),
    /// The packet's payload type was not negotiated on this transceiver.
    #[error("payload type {payload_type} is not negotiated on transceiver {transceiver}")]
    PayloadTypeUnknown {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The packet's payload type.
        payload_type: u8,
    },
    /// The RTP packet handed in is malformed.
    #[error("malformed RTP packet")]
    MalformedRtp,
    /// It would take more than its share of [`Configuration::memory_budget`](crate::Configuration::memory_budget).
    #[error("the memory budget is used up")]
    MemoryBudget,
    /// The send queue is full: the packet is refused, earlier ones stay.
    #[error("the send queue is full")]
    SendQueueFull,
    /// The encoding is switched off ([`Encoding::active`](crate::Encoding::active)).
    #[error("encoding {encoding} of transceiver {transceiver} is not active")]
    EncodingInactive {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The encoding's index.
        encoding: u8,
    },
    /// There is no payload format for frames of this codec: send its packets.
    #[error("no payload format for frames of {0}")]
    NoPayloadFormat(String),
    /// The frame is none of its codec, or empty, or can't be cut as negotiated.
    #[error("malformed {codec} frame: {reason}")]
    MalformedFrame {
        /// The codec.
        codec: String,
        /// What is wrong.
        reason: String,
    },
    /// A number among the encodings is out of its range.
    #[error("encoding out of range: {0}")]
    EncodingRange(&'static str),
    /// The encoding parameters break a rule of W3C §5.1 (addTransceiver sendEncodings) or §5.2 (setParameters).
    #[error("invalid encodings: {0}")]
    Encodings(&'static str),
    /// A codec preference that is not among the capabilities, or a list without a media codec.
    #[error("codec preferences name an unsupported codec or no media codec at all")]
    CodecPreferences,
    /// The id of a track or of a stream can't stand in `a=msid`: it is empty, longer than 255 octets, or has a space or a
    /// control character (RFC 8830 §2 allows less: 64 characters of a token); `-` is no stream.
    #[error("the id of a track or stream is empty, too long, or has a space or control character")]
    MsidToken,
    /// A track that is already sent by this connection.
    #[error("the track is already being sent")]
    TrackAlreadySent,
    /// `set_parameters` without `parameters` before it, or after a description or other parameters were set meanwhile
    /// (W3C §5.2, setParameters step 5).
    #[error("the parameters were not asked for since the last change")]
    StaleParameters,
    /// Parameters handed to `set_parameters` differ from what `parameters` said where they are read-only (step 6).
    #[error("the parameters were altered where they are read-only")]
    ParametersAltered,
    /// An encoding's codec or scalability mode is none of the capabilities (W3C §5.1, addTransceiver).
    #[error("a codec or scalability mode of an encoding is not supported")]
    EncodingNotSupported,
    /// An encoding's codec or scalability mode is none of those negotiated (W3C §5.2, setParameters).
    #[error("a codec or scalability mode of an encoding is not negotiated")]
    EncodingNotNegotiated,
    /// The encoding has chosen another codec ([`Encoding::codec`](crate::Encoding::codec)).
    #[error("encoding {encoding} of transceiver {transceiver} is sent with another codec")]
    EncodingCodec {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The encoding's index.
        encoding: u8,
    },
    /// No sender or receiver has this track, or more than one has (W3C §8.2, getStats).
    #[error("no sender or receiver has this track, or more than one")]
    TrackAmbiguous,
    /// A sender or receiver of another connection.
    #[error("a sender or receiver of another connection")]
    OtherConnection,
    /// A jitter buffer target above its limit (W3C §5.3.1).
    #[error("a jitter buffer target is at most four seconds")]
    JitterBufferTarget,
    /// No data channel of that key, or it was closed.
    #[error("no data channel {0}")]
    NoChannel(ChannelKey),
    /// `send` on a channel that is not open.
    #[error("data channel {0} is not open")]
    ChannelNotOpen(ChannelKey),
    /// Label or protocol longer than 65535 bytes, or both `max_packet_life_time` and `max_retransmits`, or `negotiated` without id, …
    #[error("invalid data channel options: {0}")]
    ChannelOptions(&'static str),
    /// The id is in use, or no id is left.
    #[error("the data channel id is in use or none is left")]
    ChannelIdUnavailable,
    /// The message is longer than the far side's `a=max-message-size`.
    #[error("message of {len} bytes is over the far side's limit of {max}")]
    MessageTooLarge {
        /// Length of the message in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The channel's send buffer is full; the message was not taken.
    #[error("the send buffer of the channel is full")]
    ChannelBufferFull,
    /// DTMF can't be sent on this transceiver now.
    #[error("transceiver {0} can't send DTMF")]
    CannotSendDtmf(TransceiverId),
    /// A character that is no DTMF tone.
    #[error("{0:?} is not a DTMF tone")]
    DtmfTone(char),
    /// An identity provider was not asked yet, or has not answered: nothing has changed, and the call can be made again after
    /// [`Event::IdentityAssertion`](crate::Event::IdentityAssertion) or
    /// [`Event::PeerIdentity`](crate::Event::PeerIdentity).
    #[error("an identity provider has not answered yet")]
    IdentityPending,
    /// There is no assertion for the description, or the description's is not to be believed (W3C Identity §9).
    #[error("identity: {0}")]
    Identity(crate::identity::IdentityFault),
    /// `/` or `\\` in the protocol of an identity provider (W3C Identity §8, setIdentityProvider).
    #[error("the protocol of an identity provider has a slash in it")]
    IdentityProtocol,
    /// An answer of an identity provider to a question that nobody has.
    #[error("no such request to an identity provider is open")]
    IdentityNotAsked,
    /// A lower layer refused for a reason of its own.
    #[error("{layer}: {reason}")]
    Layer {
        /// Which crate.
        layer: &'static str,
        /// Its words.
        reason: String,
    },
}

/// Whose description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Ours.
    Local,
    /// The far side's.
    Remote,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Side::Local => "local",
            Side::Remote => "remote",
        })
    }
}

/// Which rule a well-formed description breaks (RFC 9429 §5.8.3 and the sections named at each entry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionFault {
    /// No `a=ice-ufrag`/`a=ice-pwd`, or of a length outside of RFC 8839 §5.4.
    #[error("missing or malformed ICE credentials")]
    IceCredentials,
    /// No `a=fingerprint` with a hash function that is known here (RFC 8122 §5).
    #[error("no usable fingerprint")]
    Fingerprint,
    /// `a=setup` missing, or a value that the offer/answer rules of RFC 5763 §5 forbid.
    #[error("missing or impossible setup role")]
    Setup,
    /// An offer changes the DTLS role on an association that continues. (In an answer it means nothing.)
    #[error("the DTLS role changes without a new association")]
    SetupChanged,
    /// Fingerprint or tls-id changed without an ICE restart (RFC 9429 §5.11).
    #[error("the DTLS identity changes without an ICE restart")]
    DtlsChangedWithoutRestart,
    /// An answer changed ICE credentials though the offer was no restart (RFC 9429 §5.10).
    #[error("the answer restarts ICE though the offer did not")]
    UnexpectedIceRestart,
    /// An answer kept ICE credentials though the offer was a restart (RFC 9429 §5.10).
    #[error("the answer does not follow the ICE restart")]
    IceRestartIgnored,
    /// An RTP section without `a=rtcp-mux` where the policy requires it.
    #[error("RTP without rtcp-mux")]
    NoRtcpMux,
    /// An answer with a different number of media sections (RFC 3264 §6).
    #[error("the number of media sections differs from the offer")]
    SectionCount,
    /// An answer's section with another media type or protocol than the offer's (RFC 9429 §5.8.3).
    #[error("a media section's type or protocol differs from the offer")]
    SectionType,
    /// An answer or re-offer that changes or omits a mid (RFC 9143 §7).
    #[error("a media section's mid is missing or changed")]
    MidChanged,
    /// Two sections with one mid.
    #[error("a mid appears twice")]
    MidDuplicate,
    /// Fewer sections than in the previous description (RFC 3264 §8).
    #[error("a re-offer has fewer media sections than before")]
    SectionsVanished,
    /// A BUNDLE group that names a mid twice or that does not exist.
    #[error("malformed bundle group")]
    BundleGroup,
    /// `a=simulcast` names a rid without `a=rid` (RFC 9429 §5.8.3).
    #[error("simulcast names an unknown rid")]
    SimulcastRid,
    /// `apt=` names a payload type that is not in the section (RFC 4588 §8.6).
    #[error("rtx names an unknown payload type")]
    RtxPayloadType,
    /// One payload type for two codecs in a bundle (RFC 9143 §10.1.2).
    #[error("a payload type means two codecs in one bundle")]
    PayloadTypeConflict,
    /// One extension id for two URIs in a bundle.
    #[error("an extension id means two extensions in one bundle")]
    ExtensionConflict,
    /// An extension id of 0 (RFC 8285 §5).
    #[error("header extension id out of range")]
    ExtensionId,
    /// An answer with feedback that was not offered (RFC 9429 §5.11).
    #[error("the answer has RTCP feedback that was not offered")]
    FeedbackNotOffered,
    /// An answer whose direction does not fit the offer's (RFC 3264 §6.1).
    #[error("the answer's direction does not fit the offer")]
    Direction,
    /// A data section without `a=sctp-port` (RFC 8841 §5).
    #[error("no sctp-port")]
    SctpPort,
    /// More sections than [`limits::MAX_MEDIA_SECTIONS`](crate::limits::MAX_MEDIA_SECTIONS).
    #[error("too many media sections")]
    TooManySections,
}

/// `RTCErrorDetailType` (W3C §11.2), without what is an encoder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorDetail {
    /// The data channel has failed.
    DataChannelFailure,
    /// DTLS was not agreed on, or ended with a fatal error.
    DtlsFailure,
    /// The far side's certificate is none of those that its description names.
    FingerprintFailure,
    /// SCTP was not agreed on, or ended with a fatal error.
    SctpFailure,
    /// The SDP is not valid.
    SdpSyntaxError,
}

impl ErrorDetail {
    /// The W3C's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorDetail::DataChannelFailure => "data-channel-failure",
            ErrorDetail::DtlsFailure => "dtls-failure",
            ErrorDetail::FingerprintFailure => "fingerprint-failure",
            ErrorDetail::SctpFailure => "sctp-failure",
            ErrorDetail::SdpSyntaxError => "sdp-syntax-error",
        }
    }
}

impl core::fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// `errorDetail` where the failure is an `RTCError`.
    pub fn detail(&self) -> Option<ErrorDetail> {
        match self {
            Error::SdpSyntax { .. } => Some(ErrorDetail::SdpSyntaxError),
            _ => None,
        }
    }

    /// The W3C's name for this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Closed
            | Error::WrongSignalingState { .. }
            | Error::CannotCreate { .. }
            | Error::NoRemoteDescription
            | Error::TransceiverStopped(_)
            | Error::NotSending(_)
            | Error::EncodingInactive { .. }
            | Error::ChannelNotOpen(_)
            | Error::IdentityPending
            | Error::IdentityNotAsked
            | Error::StaleParameters
            | Error::CannotSendDtmf(_) => ErrorKind::InvalidState,
            Error::IceServerCredentials
            | Error::InvalidDescription(_)
            | Error::CertificateExpired
            | Error::TrackAlreadySent
            | Error::OtherConnection
            | Error::TrackAmbiguous
            | Error::NoTransceiver(_)
            | Error::NoChannel(_)
            | Error::PayloadTypeUnknown { .. } => ErrorKind::InvalidAccess,
            Error::DescriptionAltered
            | Error::ConfigurationFixed
            | Error::CodecPreferences
            | Error::EncodingCodec { .. }
            | Error::EncodingNotNegotiated
            | Error::ParametersAltered => ErrorKind::InvalidModification,
            Error::SdpSyntax { .. } | Error::IceServerUrl | Error::IdentityProtocol => {
                ErrorKind::Syntax
            }
            Error::Identity(_) => ErrorKind::NotReadable,
            Error::KeygenNotSupported => ErrorKind::NotSupported,
            Error::DtmfTone(_) | Error::MsidToken => ErrorKind::InvalidCharacter,
            Error::CandidateWithoutSection | Error::ChannelOptions(_) | Error::Encodings(_) => {
                ErrorKind::Type
            }
            Error::ConfigurationRange(_) | Error::EncodingRange(_) | Error::JitterBufferTarget => {
                ErrorKind::Range
            }
            Error::MessageTooLarge { .. } => ErrorKind::Type,
            Error::CandidateSectionUnknown
            | Error::CandidateMalformed
            | Error::TooManyCandidates
            | Error::EncodingNotSupported
            | Error::TooManyTransceivers
            | Error::MalformedRtp
            | Error::NoPayloadFormat(_)
            | Error::MalformedFrame { .. }
            | Error::SendQueueFull
            | Error::MemoryBudget
            | Error::ChannelIdUnavailable
            | Error::ChannelBufferFull
            | Error::Layer { .. } => ErrorKind::Operation,
        }
    }
}

impl From<DescriptionFault> for Error {
    fn from(fault: DescriptionFault) -> Self {
        Error::InvalidDescription(fault)
    }
}
