//! Snapshots of what an agent knows, in the words of W3C's statistics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::candidate::Candidate;
use crate::event::{ConnectionState, GatheringState};
use crate::pair::{FailureReason, PairState};
use crate::priority::PairPriority;
use crate::role::Role;
use crate::transport::Transport;

/// An agent at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stats {
    /// Our role.
    pub role: Role,
    /// RTCIceTransportState.
    pub state: ConnectionState,
    /// RTCIceGatheringState.
    pub gathering: GatheringState,
    /// `selectedCandidatePairChanges`.
    pub selected_pair_changes: u64,
    /// Index of the selected pair in `pairs`.
    pub selected: Option<usize>,
    /// All pairs, best first.
    pub pairs: Vec<PairStats>,
    /// Our candidates.
    pub local_candidates: Vec<Candidate>,
    /// The peer's candidates.
    pub remote_candidates: Vec<Candidate>,
    /// What was dropped, and why.
    pub counters: Counters,
}

/// RTCIceCandidatePairStats.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PairStats {
    /// Our end, as the peer sees it where that is known.
    pub local: Candidate,
    /// The peer's end.
    pub remote: Candidate,
    /// State of RFC 8445.
    pub state: PairState,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Whether it is nominated.
    pub nominated: bool,
    /// Its priority.
    pub priority: PairPriority,
    /// The last round trip.
    pub current_round_trip_time: Option<Duration>,
    /// Sum of all round trips measured.
    pub total_round_trip_time: Duration,
    /// How many were measured.
    pub round_trips: u64,
    /// Checks sent, first transmissions only.
    pub requests_sent: u64,
    /// Checks sent again.
    pub retransmissions_sent: u64,
    /// Consent requests sent.
    pub consent_requests_sent: u64,
    /// Checks received.
    pub requests_received: u64,
    /// Responses sent.
    pub responses_sent: u64,
    /// Responses received.
    pub responses_received: u64,
    /// Data packets sent.
    pub packets_sent: u64,
    /// Data bytes sent, without framing.
    pub bytes_sent: u64,
    /// Data packets received.
    pub packets_received: u64,
    /// Data bytes received, without framing.
    pub bytes_received: u64,
    /// When data was sent last.
    pub last_packet_sent: Option<Instant>,
    /// When data were received last.
    pub last_packet_received: Option<Instant>,
}

/// The server that a candidate of ours comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The server's URL.
    pub url: Arc<str>,
    /// How we reach it.
    pub transport: Transport,
}

/// What was received and not used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// STUN messages with a broken structure or fingerprint.
    pub malformed: u64,
    /// Requests for a user name fragment that is not ours.
    pub unknown_ufrag: u64,
    /// Requests and responses whose integrity did not verify.
    pub bad_integrity: u64,
    /// Requests dropped unread because too many failed integrity.
    pub integrity_throttled: u64,
    /// Error responses not sent because there were too many.
    pub errors_throttled: u64,
    /// Responses to no request of ours.
    pub unknown_transaction: u64,
    /// Responses from or to another address than the request's.
    pub not_symmetric: u64,
    /// Datagrams from addresses that no pair has.
    pub unknown_path: u64,
    /// Remote candidates beyond the bounds.
    pub candidates_refused: u64,
    /// Pairs beyond the bound.
    pub pairs_refused: u64,
    /// Replies dropped because the driver did not poll them.
    pub replies_dropped: u64,
    /// Role conflicts repaired.
    pub role_switches: u64,
    /// Role conflicts left alone because there were too many.
    pub role_switches_refused: u64,
}
