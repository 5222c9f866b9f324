//! The W3C's states (§4.3): what was told last, and what is so now.

use tincan_ice as ice;

use super::PeerConnection;
use crate::event::Event;
use crate::queue::Events;
use crate::types::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState,
    SctpTransportState, SignalingState,
};

/// States as told to the application.
#[derive(Debug)]
pub(super) struct States {
    pub(super) gathering: IceGatheringState,
    pub(super) ice: IceConnectionState,
    pub(super) connection: PeerConnectionState,
    pub(super) dtls: Option<DtlsTransportState>,
    pub(super) sctp: Option<SctpTransportState>,
    pub(super) negotiation_needed: bool,
}

impl Default for States {
    fn default() -> Self {
        States {
            gathering: IceGatheringState::New,
            ice: IceConnectionState::New,
            connection: PeerConnectionState::New,
            dtls: None,
            sctp: None,
            negotiation_needed: false,
        }
    }
}

impl States {
    pub(super) fn close(&mut self) {
        self.ice = IceConnectionState::Closed;
        self.connection = PeerConnectionState::Closed;
        self.negotiation_needed = false;
    }

    /// W3C §4.3.3 with one ICE and one DTLS transport.
    fn derive(&self) -> PeerConnectionState {
        use DtlsTransportState as D;
        use IceConnectionState as I;
        let dtls = self.dtls.unwrap_or(D::New);
        match (self.ice, dtls) {
            (I::Closed, _) => PeerConnectionState::Closed,
            (I::Failed, _) | (_, D::Failed) => PeerConnectionState::Failed,
            (I::Disconnected, _) => PeerConnectionState::Disconnected,
            (I::Connected | I::Completed, D::Connected | D::Closed) => {
                PeerConnectionState::Connected
            }
            (I::New, D::New | D::Closed) => PeerConnectionState::New,
            _ => PeerConnectionState::Connecting,
        }
    }
}

/// Tells of a state if it is another.
fn tell<T: PartialEq + Copy>(
    told: &mut T,
    now: T,
    events: &mut Events,
    event: impl FnOnce(T) -> Event,
) {
    if *told != now {
        *told = now;
        events.push_back(event(now));
    }
}

impl PeerConnection {
    /// Tells the application of states that changed.
    pub(super) fn update_states(&mut self) {
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        let dtls = self.transport.state;
        if self.states.dtls != dtls {
            self.states.dtls = dtls;
            self.events.extend(dtls.map(Event::DtlsState));
        }
        let connection = self.states.derive();
        tell(
            &mut self.states.connection,
            connection,
            &mut self.events,
            Event::ConnectionState,
        );
        if let Some(media) = &mut self.media {
            media.set_connected(connection == PeerConnectionState::Connected);
        }
        let sctp = self.channels.state;
        if self.states.sctp != sctp {
            self.states.sctp = sctp;
            self.events.extend(sctp.map(Event::SctpState));
        }
    }

    pub(super) fn set_ice_state(&mut self, state: ice::ConnectionState) {
        let state = match state {
            ice::ConnectionState::New => IceConnectionState::New,
            ice::ConnectionState::Checking => IceConnectionState::Checking,
            ice::ConnectionState::Connected => IceConnectionState::Connected,
            ice::ConnectionState::Completed => IceConnectionState::Completed,
            ice::ConnectionState::Disconnected => IceConnectionState::Disconnected,
            ice::ConnectionState::Failed => IceConnectionState::Failed,
            ice::ConnectionState::Closed => IceConnectionState::Closed,
        };
        tell(
            &mut self.states.ice,
            state,
            &mut self.events,
            Event::IceConnectionState,
        );
    }

    /// Whether ICE has a path with consent.
    pub(super) fn ice_works(&self) -> bool {
        use IceConnectionState::{Completed, Connected};
        matches!(self.states.ice, Connected | Completed)
    }

    pub(super) fn set_gathering_state(&mut self, state: IceGatheringState) {
        tell(
            &mut self.states.gathering,
            state,
            &mut self.events,
            Event::IceGatheringState,
        );
    }

    /// W3C §4.7.3, "update the negotiation-needed flag".
    pub(super) fn update_negotiation_needed(&mut self) {
        let needed = self.jsep.negotiation_needed();
        if self.jsep.state() != SignalingState::Stable {
            // The flag is looked at again when the state is stable.
            return;
        }
        if self.own_identity() == Err(crate::Error::IdentityPending) {
            // No offer can be made yet; looked at again when it can.
            return;
        }
        if needed && !self.states.negotiation_needed {
            self.events.push_back(Event::NegotiationNeeded);
        }
        self.states.negotiation_needed = needed;
    }

    /// `signalingState`.
    pub fn signaling_state(&self) -> SignalingState {
        self.jsep.state()
    }

    /// `iceGatheringState`.
    pub fn ice_gathering_state(&self) -> IceGatheringState {
        self.states.gathering
    }

    /// `iceConnectionState`.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.states.ice
    }

    /// `connectionState`.
    pub fn connection_state(&self) -> PeerConnectionState {
        self.states.connection
    }

    /// State of the DTLS transport; `None` before negotiation.
    pub fn dtls_state(&self) -> Option<DtlsTransportState> {
        self.transport.state
    }

    /// State of the SCTP transport; `None` while no data section is negotiated.
    pub fn sctp_state(&self) -> Option<SctpTransportState> {
        self.channels.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_state_is_derived_as_4_3_3_says() {
        use DtlsTransportState as D;
        use IceConnectionState as I;
        use PeerConnectionState as P;
        let cases = [
            (I::New, None, P::New),
            (I::Checking, None, P::Connecting),
            (I::Connected, Some(D::Connecting), P::Connecting),
            (I::Connected, Some(D::Connected), P::Connected),
            (I::Completed, Some(D::Connected), P::Connected),
            (I::Disconnected, Some(D::Connected), P::Disconnected),
            (I::Connected, Some(D::Failed), P::Failed),
            (I::Failed, Some(D::Connected), P::Failed),
            (I::Closed, None, P::Closed),
        ];
        for (ice, dtls, expected) in cases {
            let states = States {
                ice,
                dtls,
                ..States::default()
            };
            assert_eq!(states.derive(), expected, "{ice} {dtls:?}");
        }
    }
}
