//! The transports as objects of the W3C's: what is known of ICE (§5.6), DTLS (§5.5) and SCTP (§6.1) at a moment.

use std::net::SocketAddr;

use tincan_ice as ice;

use super::PeerConnection;
use crate::jsep::{Description, IceParameters};
use crate::types::{
    DtlsRole, DtlsTransportState, IceConnectionState, IceGatheringState, SctpTransportState,
};

/// `RTCIceTransport` (W3C §5.6). There is one for the whole connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceTransport {
    /// Whether we choose the pair.
    pub controlling: bool,
    /// Its state.
    pub state: IceConnectionState,
    /// Whether gathering goes on.
    pub gathering: IceGatheringState,
    /// Username fragment and password of ours (`getLocalParameters`); `None` before a local description.
    pub local_parameters: Option<IceParameters>,
    /// The far side's (`getRemoteParameters`); `None` before a remote description.
    pub remote_parameters: Option<IceParameters>,
    /// Our candidates, as in `a=candidate` (`getLocalCandidates`).
    pub local_candidates: Vec<String>,
    /// The far side's that were given to us (`getRemoteCandidates`): none that only its packets told of.
    pub remote_candidates: Vec<String>,
    /// Both ends of the pair in use (`getSelectedCandidatePair`).
    pub selected: Option<(SocketAddr, SocketAddr)>,
    /// Their candidates: ours, and the far side's (`RTCIceCandidatePair`).
    pub selected_candidates: Option<(ice::Candidate, ice::Candidate)>,
}

/// `RTCDtlsTransport` (W3C §5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DtlsTransport {
    /// Its state.
    pub state: DtlsTransportState,
    /// Whether we begin the handshake, once that is decided.
    pub role: Option<DtlsRole>,
    /// The far side's certificates in DER, its own first (`getRemoteCertificates`).
    pub remote_certificates: Vec<Vec<u8>>,
}

/// `RTCSctpTransport` (W3C §6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SctpTransport {
    /// Its state.
    pub state: SctpTransportState,
    /// Longest message that the far side takes, in bytes; `None` for any (`maxMessageSize`).
    pub max_message_size: Option<usize>,
    /// How many channels there can be, once both sides have said (`maxChannels`).
    pub max_channels: Option<usize>,
}

impl PeerConnection {
    /// The ICE transport.
    pub fn ice_transport(&self) -> IceTransport {
        let agent = &self.transport.agent;
        let stats = agent.stats();
        let line = |c: &ice::Candidate| c.to_string().trim_start_matches("a=").to_owned();
        let pair = stats.selected.and_then(|n| stats.pairs.get(n));
        let selected = pair.and_then(|p| p.local.socket_addr().zip(p.remote.socket_addr()));
        IceTransport {
            controlling: agent.role() == ice::Role::Controlling,
            state: self.ice_connection_state(),
            gathering: self.ice_gathering_state(),
            local_parameters: parameters(self.jsep.local()),
            remote_parameters: parameters(self.jsep.remote()),
            local_candidates: stats.local_candidates.iter().map(line).collect(),
            remote_candidates: stats
                .remote_candidates
                .iter()
                .filter(|c| c.kind != ice::CandidateKind::PeerReflexive)
                .map(line)
                .collect(),
            selected,
            selected_candidates: pair.map(|p| (p.local.clone(), p.remote.clone())),
        }
    }

    /// The DTLS transport; `None` before negotiation.
    pub fn dtls_transport(&self) -> Option<DtlsTransport> {
        let certificates = self
            .transport
            .dtls()
            .map(|d| d.peer_certificates().iter().map(|c| c.to_vec()).collect());
        Some(DtlsTransport {
            state: self.dtls_state()?,
            role: self.transport.role(),
            remote_certificates: certificates.unwrap_or_default(),
        })
    }

    /// The SCTP transport; `None` while no data section is negotiated.
    pub fn sctp_transport(&self) -> Option<SctpTransport> {
        let state = self.sctp_state()?;
        let (max_message_size, max_channels) = self.channels.bounds();
        Some(SctpTransport {
            state,
            max_message_size,
            max_channels: max_channels.filter(|_| state == SctpTransportState::Connected),
        })
    }
}

/// The ICE parameters that a description gives the transport.
fn parameters(description: Option<&Description>) -> Option<IceParameters> {
    let (_, section) = description?.transport_section()?;
    section.transport.ice.clone()
}
