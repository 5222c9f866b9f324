//! The peer connection: passes things between the machines of the other crates and keeps the W3C's states.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::Configuration;
use crate::event::Event;
use crate::packet::RtpPacket;
use crate::types::*;
use crate::{Codec, Error};

/// What is known of a transceiver (`RTCRtpTransceiver` with its sender and receiver).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transceiver {
    /// Its id.
    pub id: TransceiverId,
    /// Audio or video.
    pub kind: Kind,
    /// Its mid once negotiated.
    pub mid: Option<String>,
    /// The wanted direction.
    pub direction: Direction,
    /// The negotiated direction.
    pub current_direction: Option<Direction>,
    /// Whether it is stopped for good.
    pub stopped: bool,
    /// What may be sent, most preferred first, with the far side's payload types; empty before negotiation.
    pub send_codecs: Vec<Codec>,
    /// What may arrive, with our payload types.
    pub receive_codecs: Vec<Codec>,
    /// SSRCs of what we send: one an encoding.
    pub ssrcs: Vec<u32>,
}

/// One end of a connection (`RTCPeerConnection`), without I/O.
pub struct PeerConnection {
    config: Configuration,
    rng: StdRng,
    events: VecDeque<Event>,
    signaling_state: SignalingState,
}

impl PeerConnection {
    /// Most bytes that one datagram of [`poll_transmit`](Self::poll_transmit) can have: what the configuration's `max_datagram` can be.
    pub const MAX_DATAGRAM: usize = 65_507;

    /// A new connection (W3C §4.4.1.1).
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(
        mut config: Configuration,
        _now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Self, Error> {
        config.validate()?;
        Ok(PeerConnection {
            config,
            rng: StdRng::from_rng(rng),
            events: VecDeque::new(),
            signaling_state: SignalingState::Stable,
        })
    }

    /// `getConfiguration`.
    pub fn configuration(&self) -> &Configuration {
        &self.config
    }

    /// `setConfiguration`.
    ///
    /// # Errors
    /// What is wrong with it, or what can't change any more.
    pub fn set_configuration(&mut self, mut config: Configuration) -> Result<(), Error> {
        config.validate()?;
        self.config.allows_change_to(&config, false)?;
        self.config = config;
        Ok(())
    }

    /// Tells of a socket on which the driver receives for this connection: a base for candidates. Any time.
    pub fn add_local_address(&mut self, _now: Instant, _address: LocalAddress) {}

    /// The socket is gone, as after a change of network.
    pub fn remove_local_address(&mut self, _now: Instant, _address: LocalAddress) {}

    /// Username fragments that a demultiplexer should route here: the current one and, while ICE restarts, the previous.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        core::iter::empty()
    }

    /// Takes a datagram. What is not for this connection, or can't be decrypted, is counted and dropped.
    pub fn handle_input(&mut self, _now: Instant, _received: Received, _datagram: BytesMut) {}

    /// Appends up to `max_datagrams` datagrams for one destination to `out`; `None` when there is nothing to send now.
    pub fn poll_transmit(
        &mut self,
        _now: Instant,
        _out: &mut Vec<u8>,
        _max_datagrams: usize,
    ) -> Option<Transmit> {
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// `createOffer`.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] in `have-remote-offer` and `have-local-pranswer`, [`Error::Closed`].
    pub fn create_offer(&mut self, _options: OfferOptions) -> Result<SessionDescription, Error> {
        let _ = self.rng.next_u32();
        Err(Error::CannotCreate {
            state: self.signaling_state,
            description: SdpType::Offer,
        })
    }

    /// `createAnswer`.
    ///
    /// # Errors
    /// [`Error::CannotCreate`] but in `have-remote-offer` and `have-local-pranswer`, [`Error::Closed`].
    pub fn create_answer(&mut self, _options: AnswerOptions) -> Result<SessionDescription, Error> {
        Err(Error::CannotCreate {
            state: self.signaling_state,
            description: SdpType::Answer,
        })
    }

    /// `setLocalDescription`; `None` makes the offer or answer that the state asks for.
    ///
    /// # Errors
    /// Wrong state, or an altered description.
    pub fn set_local_description(
        &mut self,
        _now: Instant,
        _description: Option<SessionDescription>,
    ) -> Result<(), Error> {
        Err(Error::DescriptionAltered)
    }

    /// `setRemoteDescription`. In `have-local-offer` an offer rolls ours back first, as the W3C has it.
    ///
    /// # Errors
    /// Wrong state, SDP syntax, or a rule broken; nothing has changed then.
    pub fn set_remote_description(
        &mut self,
        _now: Instant,
        _description: SessionDescription,
    ) -> Result<(), Error> {
        Err(Error::Closed)
    }

    /// `addIceCandidate`; `None` or an empty candidate is the end of candidates.
    ///
    /// # Errors
    /// No remote description, or a candidate that is malformed or for an unknown section.
    pub fn add_ice_candidate(
        &mut self,
        _now: Instant,
        _candidate: Option<IceCandidateInit>,
    ) -> Result<(), Error> {
        Err(Error::NoRemoteDescription)
    }

    /// `restartIce`: the next offer restarts ICE; fires `negotiationneeded`.
    pub fn restart_ice(&mut self) {}

    /// `localDescription`: the pending one, else the current one, with the candidates gathered by now.
    pub fn local_description(&self) -> Option<SessionDescription> {
        self.pending_local_description()
            .or_else(|| self.current_local_description())
    }

    /// `currentLocalDescription`.
    pub fn current_local_description(&self) -> Option<SessionDescription> {
        None
    }

    /// `pendingLocalDescription`.
    pub fn pending_local_description(&self) -> Option<SessionDescription> {
        None
    }

    /// `remoteDescription`.
    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.pending_remote_description()
            .or_else(|| self.current_remote_description())
    }

    /// `currentRemoteDescription`.
    pub fn current_remote_description(&self) -> Option<SessionDescription> {
        None
    }

    /// `pendingRemoteDescription`.
    pub fn pending_remote_description(&self) -> Option<SessionDescription> {
        None
    }

    /// `signalingState`.
    pub fn signaling_state(&self) -> SignalingState {
        self.signaling_state
    }

    /// `iceGatheringState`.
    pub fn ice_gathering_state(&self) -> IceGatheringState {
        IceGatheringState::New
    }

    /// `iceConnectionState`.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        IceConnectionState::New
    }

    /// `connectionState`.
    pub fn connection_state(&self) -> PeerConnectionState {
        PeerConnectionState::New
    }

    /// State of the DTLS transport; `None` before negotiation.
    pub fn dtls_state(&self) -> Option<DtlsTransportState> {
        None
    }

    /// State of the SCTP transport; `None` while no data section is negotiated.
    pub fn sctp_state(&self) -> Option<SctpTransportState> {
        None
    }

    /// `canTrickleIceCandidates`; `None` before a remote description.
    pub fn can_trickle_ice_candidates(&self) -> Option<bool> {
        None
    }

    /// `createDataChannel`.
    ///
    /// # Errors
    /// Options that contradict, or an id in use.
    pub fn create_data_channel(
        &mut self,
        _now: Instant,
        _label: &str,
        _init: DataChannelInit,
    ) -> Result<ChannelKey, Error> {
        Err(Error::ChannelIdUnavailable)
    }

    /// Label, options and state of a channel; closed channels are forgotten after [`Event::ChannelClosed`] was taken.
    pub fn channel(&self, _key: ChannelKey) -> Option<ChannelInfo> {
        None
    }

    /// The channels that are not closed.
    pub fn channels(&self) -> impl Iterator<Item = ChannelKey> {
        core::iter::empty()
    }

    /// `send`. On an error the message was not taken; the clone of a [`Message`] costs nothing.
    ///
    /// # Errors
    /// Not open, too large, or the buffer full.
    pub fn send(&mut self, _now: Instant, key: ChannelKey, _message: Message) -> Result<(), Error> {
        Err(Error::NoChannel(key))
    }

    /// `bufferedAmount` in bytes; 0 for an unknown channel.
    pub fn buffered_amount(&self, _key: ChannelKey) -> usize {
        0
    }

    /// `bufferedAmountLowThreshold` in bytes.
    pub fn set_buffered_amount_low_threshold(&mut self, _key: ChannelKey, _bytes: usize) {}

    /// `close` of a channel: what is buffered still goes out.
    ///
    /// # Errors
    /// No such channel.
    pub fn close_channel(&mut self, _now: Instant, key: ChannelKey) -> Result<(), Error> {
        Err(Error::NoChannel(key))
    }

    /// `addTransceiver`.
    ///
    /// # Errors
    /// Encodings that break a rule, or too many transceivers.
    pub fn add_transceiver(
        &mut self,
        _kind: Kind,
        _init: TransceiverInit,
    ) -> Result<TransceiverId, Error> {
        Err(Error::TooManyTransceivers)
    }

    /// `getTransceivers`, in the order of their making.
    pub fn transceivers(&self) -> impl Iterator<Item = Transceiver> {
        core::iter::empty()
    }

    /// One transceiver.
    pub fn transceiver(&self, _id: TransceiverId) -> Option<Transceiver> {
        None
    }

    /// Sets the wanted direction of a transceiver.
    ///
    /// # Errors
    /// No such transceiver, or stopped.
    pub fn set_direction(&mut self, id: TransceiverId, _direction: Direction) -> Result<(), Error> {
        Err(Error::NoTransceiver(id))
    }

    /// `stop` of a transceiver.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn stop(&mut self, _now: Instant, id: TransceiverId) -> Result<(), Error> {
        Err(Error::NoTransceiver(id))
    }

    /// Queues an RTP packet. Payload type, sequence number, timestamp and marker go out as given.
    ///
    /// # Errors
    /// Not negotiated to send, an unknown payload type, or the queue full; the packet was not taken.
    pub fn send_rtp(
        &mut self,
        _now: Instant,
        id: TransceiverId,
        _packet: RtpPacket,
    ) -> Result<(), Error> {
        Err(Error::NoTransceiver(id))
    }

    /// Asks the far side for a key frame of a received track (PLI), at most five a second.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn request_key_frame(&mut self, _now: Instant, id: TransceiverId) -> Result<(), Error> {
        Err(Error::NoTransceiver(id))
    }

    /// `close`: says goodbye to the far side with what [`poll_transmit`](Self::poll_transmit) still gives.
    pub fn close(&mut self, _now: Instant) {
        self.signaling_state = SignalingState::Closed;
    }
}

impl core::fmt::Debug for PeerConnection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PeerConnection")
            .field("signaling_state", &self.signaling_state)
            .finish_non_exhaustive()
    }
}
