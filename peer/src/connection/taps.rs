//! What watches a connection: `tracing`, a recording of its datagrams, a log of its events. Nothing of it changes what the
//! connection does, and no key material goes anywhere but into a recording, whose caller asked for it.

#[cfg(feature = "qlog")]
use std::time::Duration;
use std::time::Instant;

#[cfg(feature = "qlog")]
use super::log::Log;
#[cfg(feature = "capture")]
use super::recording::Recording;
use super::transport::Transport;
use crate::event::Event;
use crate::types::{Received, Transmit};

/// Everything that watches.
pub(super) struct Taps {
    span: tracing::Span,
    /// The latest time that the connection was told.
    clock: Instant,
    #[cfg(feature = "capture")]
    pub(super) recording: Option<Box<Recording>>,
    #[cfg(feature = "qlog")]
    pub(super) log: Option<Box<Log>>,
}

impl Taps {
    pub(super) fn new(now: Instant) -> Self {
        Taps {
            span: tracing::Span::none(),
            clock: now,
            #[cfg(feature = "capture")]
            recording: None,
            #[cfg(feature = "qlog")]
            log: None,
        }
    }

    pub(super) fn set_span(&mut self, span: tracing::Span) {
        self.span = span;
    }

    /// Everything told until the guard goes belongs to this connection.
    pub(super) fn enter(&mut self, now: Instant) -> tracing::span::EnteredSpan {
        self.clock = self.clock.max(now);
        self.span.clone().entered()
    }

    pub(super) fn clock(&self) -> Instant {
        self.clock
    }

    /// A datagram is about to be taken; `framed` where it came with a length in front (RFC 4571) that was cut off.
    pub(super) fn arriving(&mut self, received: &Received, datagram: &[u8], framed: bool) {
        #[cfg(feature = "capture")]
        if let Some(recording) = &mut self.recording {
            recording.arriving(received, datagram, framed);
        }
        #[cfg(not(feature = "capture"))]
        let _ = (received, datagram, framed);
    }

    /// Whether [`arriving`](Self::arriving) does anything.
    pub(super) fn records(&self) -> bool {
        #[cfg(feature = "capture")]
        return self.recording.is_some();
        #[cfg(not(feature = "capture"))]
        false
    }

    /// That datagram was taken. It comes after the secrets that it brought, as a reader wants it.
    pub(super) fn arrived(&mut self) {
        #[cfg(feature = "capture")]
        if let Some(recording) = &mut self.recording {
            recording.arrived(self.clock);
        }
    }

    /// A run of datagrams goes out.
    pub(super) fn leaving(&mut self, transmit: &Transmit, bytes: &[u8]) {
        #[cfg(feature = "capture")]
        if let Some(recording) = &mut self.recording {
            recording.leaving(self.clock, transmit, bytes);
        }
        #[cfg(not(feature = "capture"))]
        let _ = (transmit, bytes);
    }

    /// The application gets an event.
    pub(super) fn event(&mut self, event: &Event, transport: &Transport) {
        trace(&self.span, event, transport);
        #[cfg(feature = "qlog")]
        if let Some(log) = &mut self.log {
            log.event(self.clock, event, transport);
        }
    }

    /// Whether statistics should be logged now: once in `interval`.
    #[cfg(feature = "qlog")]
    pub(super) fn wants_stats(&mut self, interval: Duration) -> bool {
        let clock = self.clock;
        self.log
            .as_mut()
            .is_some_and(|log| log.wants_stats(clock, interval))
    }
}

/// Tells `tracing`: names and fields are part of the interface, see the crate's README.
fn trace(span: &tracing::Span, event: &Event, transport: &Transport) {
    let _entered = span.enter();
    match event {
        Event::NegotiationNeeded => tracing::debug!("peer.negotiation_needed"),
        Event::SignalingState(state) => tracing::debug!(%state, "peer.signaling_state"),
        Event::IceGatheringState(state) => tracing::debug!(%state, "peer.ice_gathering_state"),
        Event::IceCandidate(Some(candidate)) => {
            tracing::debug!(candidate = candidate.candidate, "peer.ice_candidate");
        }
        Event::IceCandidateError(error) => tracing::warn!(
            url = error.url,
            code = error.code,
            text = error.text,
            "peer.ice_candidate_error"
        ),
        Event::IceConnectionState(state) => tracing::debug!(%state, "peer.ice_connection_state"),
        Event::SelectedCandidatePair { local, remote } => {
            tracing::debug!(%local, %remote, "peer.selected_candidate_pair");
        }
        Event::ConnectionState(state) => tracing::info!(%state, "peer.connection_state"),
        Event::DtlsState(state) => {
            let dtls = transport.dtls();
            let version = dtls.and_then(|d| d.version());
            let suite = dtls.and_then(|d| d.cipher_suite());
            tracing::debug!(%state, ?version, ?suite, "peer.dtls_state");
        }
        Event::DtlsError(error) => tracing::warn!(%error, "peer.dtls_error"),
        Event::SctpState(state) => tracing::debug!(%state, "peer.sctp_state"),
        Event::ChannelOpen(key) => tracing::debug!(%key, "peer.channel_open"),
        Event::ChannelError(key, error) => tracing::warn!(%key, %error, "peer.channel_error"),
        Event::ChannelClosed(key) => tracing::debug!(%key, "peer.channel_closed"),
        Event::Track {
            transceiver, kind, ..
        } => tracing::debug!(%transceiver, %kind, "peer.track"),
        Event::KeyFrameRequest { transceiver, .. } => {
            tracing::debug!(%transceiver, "peer.key_frame_request");
        }
        Event::PeerIdentity(peer) => {
            tracing::debug!(idp = peer.idp, name = peer.name, "peer.peer_identity");
        }
        Event::PeerIdentityFailed(fault) => tracing::warn!(%fault, "peer.peer_identity_failed"),
        Event::StreamEnded { transceiver, ssrc } => {
            tracing::debug!(%transceiver, ssrc, "peer.stream_ended");
        }
        _ => {}
    }
}
