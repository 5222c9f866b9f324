//! News from an agent, in the words of W3C's WebRTC.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::candidate::Candidate;
use crate::mdns_name::MdnsName;
use crate::role::Role;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A local candidate, to be signalled to the peer.
    Candidate(Candidate),
    /// A local candidate is gone with its base (network change).
    CandidateRemoved(Candidate),
    /// Gathering began or ended. After `Complete` signal end-of-candidates.
    GatheringState(GatheringState),
    /// The connection's state changed.
    ConnectionState(ConnectionState),
    /// Data go by another pair from now on.
    SelectedPair(SelectedPair),
    /// A STUN or TURN server did not give a candidate.
    CandidateError(ServerError),
    /// A remote candidate has a name: resolve it and call
    /// [`Agent::name_resolved`](crate::Agent::name_resolved).
    Resolve(MdnsName),
    /// A role conflict was repaired: this is our role now.
    RoleChanged(Role),
}

/// RTCIceGathererState.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatheringState {
    /// Nothing was asked yet.
    New,
    /// Candidates are being gathered.
    Gathering,
    /// No more will come, until an interface is added or ICE is restarted.
    Complete,
}

/// RTCIceTransportState.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Gathering, or waiting for remote candidates.
    New,
    /// Pairs are being checked; none works yet.
    Checking,
    /// A usable pair was found; others may still be checked.
    Connected,
    /// A pair was nominated and no better one can appear.
    Completed,
    /// Nothing was heard for a while; it may come back by itself.
    Disconnected,
    /// No pair works and none will: restart or give up.
    Failed,
    /// [`Agent::close`](crate::Agent::close) was called.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Checking => "checking",
            Self::Connected => "connected",
            Self::Completed => "completed",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        })
    }
}

/// The pair that data go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedPair {
    /// Our end: the reflexive candidate where the peer sees one.
    pub local: Candidate,
    /// The peer's end.
    pub remote: Candidate,
    /// Whether the controlling side has nominated it.
    pub nominated: bool,
}

/// RTCPeerConnectionIceErrorEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The server, as configured.
    pub url: Arc<str>,
    /// The local address that was used.
    pub address: Option<SocketAddr>,
    /// STUN error code, or 701 when the server could not be reached; 437 too when it was not asked, because another
    /// allocation stands on the path.
    pub code: u16,
    /// The reason phrase.
    pub text: String,
}
