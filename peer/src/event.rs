//! What a connection tells its application.

use crate::error::ErrorDetail;
use crate::frame::Frame;
use crate::identity::{IdentityAssertion, IdentityFault};
use crate::packet::RtpPacket;
use crate::parameters::ReceiverId;
use crate::types::{
    ChannelKey, DtlsTransportState, IceCandidate, IceConnectionState, IceGatheringState, Kind,
    Message, PeerConnectionState, SctpTransportState, SignalingState, TransceiverId,
};

/// An event of a [`PeerConnection`](crate::PeerConnection), in the order in which things happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `negotiationneeded` (W3C §4.7.3).
    NegotiationNeeded,
    /// `signalingstatechange`.
    SignalingState(SignalingState),
    /// `icegatheringstatechange`.
    IceGatheringState(IceGatheringState),
    /// `icecandidate`: a candidate to be sent to the far side; `None` when gathering is complete.
    IceCandidate(Option<IceCandidate>),
    /// `icecandidateerror`: a STUN or TURN server did not answer or refused.
    IceCandidateError(IceCandidateError),
    /// `iceconnectionstatechange`.
    IceConnectionState(IceConnectionState),
    /// `selectedcandidatepairchange` (W3C §5.6).
    SelectedCandidatePair {
        /// Our end, the base's socket.
        local: std::net::SocketAddr,
        /// Their end.
        remote: std::net::SocketAddr,
    },
    /// `connectionstatechange`.
    ConnectionState(PeerConnectionState),
    /// `statechange` of the DTLS transport.
    DtlsState(DtlsTransportState),
    /// `error` of the DTLS transport: why it fails; [`Event::DtlsState`] follows.
    DtlsError(DtlsError),
    /// `statechange` of the SCTP transport.
    SctpState(SctpTransportState),
    /// `datachannel`: the far side opened a channel in band. It is open: [`Event::ChannelOpen`] follows.
    DataChannel(ChannelKey),
    /// `open`.
    ChannelOpen(ChannelKey),
    /// `message`.
    ChannelMessage(ChannelKey, Message),
    /// `closing`: the far side closes the channel.
    ChannelClosing(ChannelKey),
    /// `error` of a data channel: why it closes, where that is no orderly end; [`Event::ChannelClosed`] follows.
    ChannelError(ChannelKey, ChannelError),
    /// `close`.
    ChannelClosed(ChannelKey),
    /// `bufferedamountlow`.
    BufferedAmountLow(ChannelKey),
    /// `track`: the far side will send on this transceiver (W3C §5.1.1, process the addition of a remote track).
    Track {
        /// The transceiver; made for this track or waiting for it.
        transceiver: TransceiverId,
        /// Its half that receives the track.
        receiver: ReceiverId,
        /// Audio or video.
        kind: Kind,
        /// The far side's ids of the media streams it belongs to.
        streams: Vec<String>,
        /// The far side's id of the track, where it tells (`a=msid` with appdata).
        track: Option<String>,
    },
    /// The far side will no longer send on this transceiver (`mute` of the track, `removetrack` of its streams).
    TrackRemoved {
        /// The transceiver.
        transceiver: TransceiverId,
    },
    /// First RTP packet since `Track` or since a pause (`unmute`).
    TrackUnmuted {
        /// The transceiver.
        transceiver: TransceiverId,
    },
    /// The transceiver was stopped, by us or by the far side (`ended` of its track).
    TransceiverStopped {
        /// The transceiver.
        transceiver: TransceiverId,
    },
    /// A received RTP packet, decrypted, with RTX and padding taken away.
    Rtp {
        /// The transceiver whose receiver it belongs to.
        transceiver: TransceiverId,
        /// The packet.
        packet: RtpPacket,
    },
    /// A whole frame, where [`set_delivery`](crate::PeerConnection::set_delivery) asked for frames.
    Frame {
        /// The transceiver whose receiver it belongs to.
        transceiver: TransceiverId,
        /// The frame.
        frame: Frame,
    },
    /// The far side's decoder needs a key frame (PLI or FIR).
    KeyFrameRequest {
        /// The transceiver whose sender is asked.
        transceiver: TransceiverId,
        /// Which simulcast encoding, by its index in the send encodings.
        encoding: usize,
    },
    /// The far side said goodbye for a received stream (RTCP BYE).
    StreamEnded {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The stream's SSRC.
        ssrc: u32,
    },
    /// An identity provider is to be asked: [`poll_identity`](crate::PeerConnection::poll_identity) says what.
    IdentityRequest,
    /// Our identity is asserted: descriptions can be made.
    IdentityAssertion,
    /// Our identity can't be asserted: no description can be made until
    /// [`set_identity_provider`](crate::PeerConnection::set_identity_provider) names another provider.
    IdentityFailed(IdentityFault),
    /// The far side is who it says (`peerIdentity` resolves).
    PeerIdentity(IdentityAssertion),
    /// What the far side says of who it is is not to be believed (`peerIdentity` rejects).
    PeerIdentityFailed(IdentityFault),
    /// `tonechange` of a DTMF sender: the tone that begins now; `None` when the buffer is played out.
    ToneChange {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The tone.
        tone: Option<char>,
    },
}

/// Why DTLS failed (W3C §5.5; `RTCError` with `dtls-failure` or `fingerprint-failure`, §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct DtlsError {
    failure: tincan_dtls::Failure,
}

impl DtlsError {
    pub(crate) fn new(failure: tincan_dtls::Failure) -> Self {
        DtlsError { failure }
    }

    /// `errorDetail`.
    pub fn detail(&self) -> ErrorDetail {
        if self.is_fingerprint_failure() {
            ErrorDetail::FingerprintFailure
        } else {
            ErrorDetail::DtlsFailure
        }
    }

    /// `fingerprint-failure`: the far side's certificate is none of those that its description names.
    pub fn is_fingerprint_failure(&self) -> bool {
        self.failure == tincan_dtls::Failure::FingerprintMismatch
    }

    /// `receivedAlert`: the number of the fatal alert that came (RFC 8446 §6).
    pub fn received_alert(&self) -> Option<u8> {
        match self.failure {
            tincan_dtls::Failure::AlertReceived(alert) => Some(alert.into()),
            _ => None,
        }
    }

    /// `sentAlert`: the number of the fatal alert that was sent.
    pub fn sent_alert(&self) -> Option<u8> {
        self.failure.alert().map(u8::from)
    }
}

/// Why a data channel failed (W3C §6.2, §11: the `RTCError` of an `RTCErrorEvent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// It could not be made: no id was left, or the far side takes no stream of its id.
    #[error("the data channel could not be made")]
    NotMade,
    /// SCTP failed, or the far side ended it at once, as a closed browser page does.
    #[error("sctp: {0}")]
    Sctp(tincan_sctp::CloseReason),
    /// DTLS failed below it.
    #[error("dtls: {0}")]
    Dtls(DtlsError),
}

impl ChannelError {
    /// `errorDetail`.
    pub fn detail(&self) -> ErrorDetail {
        match self {
            ChannelError::NotMade => ErrorDetail::DataChannelFailure,
            ChannelError::Sctp(_) => ErrorDetail::SctpFailure,
            ChannelError::Dtls(error) => error.detail(),
        }
    }

    /// `sctpCauseCode`: what an ABORT said (RFC 9260 §3.3.10), ours or the far side's.
    pub fn sctp_cause_code(&self) -> Option<u16> {
        match self {
            ChannelError::Sctp(reason) => reason.cause_code(),
            _ => None,
        }
    }
}

/// `RTCPeerConnectionIceErrorEvent` (W3C §4.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCandidateError {
    /// The local address used towards the server.
    pub address: Option<std::net::SocketAddr>,
    /// The server.
    pub url: String,
    /// The STUN error code, or 701 when there was no answer.
    pub code: u16,
    /// Its reason phrase.
    pub text: String,
}
