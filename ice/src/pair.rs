//! One candidate pair: its state and what was measured on it (RFC 8445 §6.1.2.6).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::candidate::CandidateKind;
use crate::priority::{PairPriority, Priority};
use crate::role::Role;

/// Number of a local base within its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BaseId(pub(crate) u16);

/// Number of a local candidate within its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LocalId(pub(crate) u16);

/// Number of a remote candidate within its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RemoteId(pub(crate) u16);

/// Number of a pair within its generation; the slot of an evicted pair may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PairId(pub(crate) u16);

/// State of a candidate pair (RFC 8445 §6.1.2.6).
///
/// ```text
/// Frozen ──unfreeze──▶ Waiting ──check sent──▶ InProgress ──response──▶ Succeeded
///                        ▲  ▲                    │     │
///                        │  └─request arrived────┘     └──timeout, error──▶ Failed
///                        └──────────────request arrived, or retry─────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairState {
    /// A similar pair is checked first.
    Frozen,
    /// To be checked.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check succeeded.
    Succeeded,
    /// The check failed.
    Failed,
}

/// Why a pair does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureReason {
    /// No response came in time, and nothing else either: the path is
    /// blocked, or nobody is there.
    NoReply,
    /// Requests arrived from the peer, but no response to ours: its answers
    /// are lost on the way, or ours never arrive.
    OneWay,
    /// The response came from, or to, another address than the request
    /// (RFC 8445 §7.2.5.2.1).
    NotSymmetric,
    /// The peer refused our user name or password (401), or its responses
    /// fail integrity with the password it signalled.
    WrongPassword,
    /// The peer insists on our role (487) and repairs failed.
    RoleConflict,
    /// The peer answered with this STUN error code.
    ErrorResponse(u16),
    /// The TURN server gives no permission for the peer's address.
    NoPermission,
    /// The operating system says the address can't be reached.
    Unreachable,
    /// The TCP connection was refused or broken.
    ConnectionLost,
    /// The local address disappeared.
    BaseRemoved,
    /// The peer stopped consenting (RFC 7675): no response for too long.
    ConsentExpired,
}

/// A reserve whose last response is older than consent lasts has so long for
/// one when it is needed; it is asked twice a second.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// A pair that left so many requests unanswered was asked often enough.
const ENOUGH_REQUESTS: u8 = 4;

/// Where a nomination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nomination {
    /// None.
    None,
    /// Controlling: a check with USE-CANDIDATE is to be sent or under way.
    /// Controlled: USE-CANDIDATE arrived before our own check succeeded.
    Pending,
    /// Acknowledged, or received on a pair that works.
    Done,
}

/// Round trips of one pair.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RoundTrips {
    pub(crate) current: Option<Duration>,
    pub(crate) smoothed: Option<Duration>,
    pub(crate) total: Duration,
    pub(crate) count: u64,
}

impl RoundTrips {
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.current = Some(rtt);
        // RFC 6298's gain.
        self.smoothed = Some(self.smoothed.map_or(rtt, |s| (s * 7 + rtt) / 8));
        self.total += rtt;
        self.count += 1;
    }
}

/// What was sent and received on a pair.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PairCounters {
    pub(crate) requests_sent: u64,
    pub(crate) retransmissions_sent: u64,
    pub(crate) consent_requests_sent: u64,
    pub(crate) requests_received: u64,
    pub(crate) responses_sent: u64,
    pub(crate) responses_received: u64,
    pub(crate) packets_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) packets_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) last_data_sent: Option<Instant>,
    pub(crate) last_data_received: Option<Instant>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) base: BaseId,
    pub(crate) remote: RemoteId,
    pub(crate) remote_addr: SocketAddr,
    /// The candidate of the base that is paired: host or relayed.
    pub(crate) local: LocalId,
    /// What the peer sees of us, once a response told.
    pub(crate) mapped: Option<LocalId>,
    pub(crate) local_kind: CandidateKind,
    pub(crate) remote_kind: CandidateKind,
    pub(crate) local_priority: Priority,
    pub(crate) remote_priority: Priority,
    pub(crate) priority: PairPriority,
    pub(crate) foundation: (u32, u32),
    pub(crate) reliable: bool,
    pub(crate) state: PairState,
    pub(crate) failure: Option<FailureReason>,
    /// What spoils this check, should it time out.
    pub(crate) suspicion: Option<FailureReason>,
    pub(crate) nomination: Nomination,
    /// Order of the peer's nominations: the draft's value above, our order of arrival below.
    pub(crate) nominated_at: Option<(Option<u32>, u64)>,
    pub(crate) retries: u8,
    pub(crate) queued: bool,
    /// Not worth checking while the selected pair is well.
    pub(crate) parked: bool,
    /// The TURN server has not given permission yet.
    pub(crate) blocked: bool,
    pub(crate) last_received: Option<Instant>,
    pub(crate) last_response: Option<Instant>,
    pub(crate) last_checked: Option<Instant>,
    /// Since when requests are unanswered, and how many.
    pub(crate) asked: Option<Instant>,
    pub(crate) unanswered: u8,
    /// Works, but is silent while others are not: not chosen before it answers.
    pub(crate) avoided: bool,
    pub(crate) rtt: RoundTrips,
    pub(crate) counters: PairCounters,
}

/// What a new pair is made of.
pub(crate) struct NewPair {
    pub(crate) base: BaseId,
    pub(crate) local: LocalId,
    pub(crate) local_kind: CandidateKind,
    pub(crate) local_priority: Priority,
    pub(crate) remote: RemoteId,
    pub(crate) remote_addr: SocketAddr,
    pub(crate) remote_kind: CandidateKind,
    pub(crate) remote_priority: Priority,
    pub(crate) foundation: (u32, u32),
    pub(crate) reliable: bool,
}

impl Pair {
    pub(crate) fn new(new: NewPair, role: Role) -> Self {
        Self {
            base: new.base,
            remote: new.remote,
            remote_addr: new.remote_addr,
            local: new.local,
            mapped: None,
            local_kind: new.local_kind,
            remote_kind: new.remote_kind,
            local_priority: new.local_priority,
            remote_priority: new.remote_priority,
            priority: PairPriority::compute(role, new.local_priority, new.remote_priority),
            foundation: new.foundation,
            reliable: new.reliable,
            state: PairState::Frozen,
            failure: None,
            suspicion: None,
            nomination: Nomination::None,
            nominated_at: None,
            retries: 0,
            queued: false,
            parked: false,
            blocked: false,
            last_received: None,
            last_response: None,
            last_checked: None,
            asked: None,
            unanswered: 0,
            avoided: false,
            rtt: RoundTrips::default(),
            counters: PairCounters::default(),
        }
    }

    /// In the valid list of RFC 8445 §7.2.5.3.2.
    pub(crate) fn is_valid(&self) -> bool {
        self.state == PairState::Succeeded
    }

    /// A check may be sent.
    pub(crate) fn is_checkable(&self) -> bool {
        !self.parked && !self.blocked
    }

    /// Its fate is not known yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.parked
            && matches!(
                self.state,
                PairState::Frozen | PairState::Waiting | PairState::InProgress
            )
    }

    pub(crate) fn is_relayed(&self) -> bool {
        self.local_kind == CandidateKind::Relayed || self.remote_kind == CandidateKind::Relayed
    }

    /// Direct on both ends, no translation known between them.
    pub(crate) fn is_host_to_host(&self) -> bool {
        self.local_kind == CandidateKind::Host && self.remote_kind == CandidateKind::Host
    }

    pub(crate) fn nominated(&self) -> bool {
        self.nomination == Nomination::Done
    }

    pub(crate) fn fail(&mut self, reason: FailureReason) {
        self.state = PairState::Failed;
        self.failure = Some(reason);
        // `nominated_at` stays: the peer's nomination holds again when the pair does.
        self.nomination = Nomination::None;
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_received = Some(now);
    }

    /// A request on this pair is sent.
    pub(crate) fn asks(&mut self, now: Instant) {
        self.last_checked = Some(now);
        self.asked.get_or_insert(now);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// A request of ours was answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.heard(now);
        self.last_response = Some(now);
        self.asked = None;
        self.unanswered = 0;
    }

    /// Until when data may go by this pair if no more responses come (RFC 7675
    /// §5.1). Reserves beyond the best are not asked for minutes, and one
    /// request may be lost: before they are given up they are asked again.
    pub(crate) fn consent_ends(&self, now: Instant, expiry: Duration) -> Instant {
        let asked = self.asked.filter(|_| self.unanswered >= ENOUGH_REQUESTS);
        let patient = asked.unwrap_or(now) + ANSWER_TIME.min(expiry);
        self.last_response
            .map_or(patient, |at| patient.max(at + expiry))
    }

    /// Since when requests stay without any sign of life.
    pub(crate) fn suspect_since(&self) -> Option<Instant> {
        self.asked
            .filter(|asked| self.last_received.is_none_or(|heard| heard < *asked))
    }

    /// Why a check that timed out did.
    pub(crate) fn timeout_reason(&self) -> FailureReason {
        match self.suspicion {
            Some(reason) => reason,
            None if self.counters.requests_received > 0 => FailureReason::OneWay,
            None => FailureReason::NoReply,
        }
    }
}
