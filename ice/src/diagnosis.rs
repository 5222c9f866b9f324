//! Why an agent is not connected, in words.

use std::fmt;

use crate::candidate::Candidate;
use crate::event::{ConnectionState, GatheringState, ServerError};
use crate::pair::{FailureReason, PairState};

/// The main cause of an agent's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It is connected.
    Connected,
    /// It was closed.
    Closed,
    /// It has no local address, or policy and families forbid all.
    NoLocalCandidates,
    /// The peer's credentials have not come.
    NoRemoteCredentials,
    /// The peer has signalled no candidate and sent no check.
    NoRemoteCandidates,
    /// The peer's candidates are names that nobody has resolved.
    UnresolvedNames,
    /// No local candidate can reach a remote one: other address families, TCP
    /// ends that don't fit, relays only.
    NothingInCommon,
    /// Checks are under way and not all of them have ended.
    StillChecking,
    /// All checks have failed, mostly for this reason.
    AllFailed(FailureReason),
    /// It was connected, and the path is silent or gone.
    Lost,
}

/// What one pair has to say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PairReport {
    /// Our end.
    pub local: Candidate,
    /// The peer's end.
    pub remote: Candidate,
    /// Where its check stands.
    pub state: PairState,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Requests sent, with repetitions.
    pub requests: u64,
    /// Responses that came.
    pub responses: u64,
    /// Requests that came from the peer.
    pub received: u64,
}

/// Why an agent is in the state it is in; `Display` says it in words.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The state.
    pub state: ConnectionState,
    /// The state of gathering.
    pub gathering: GatheringState,
    /// The main cause.
    pub cause: Cause,
    /// All pairs, best first.
    pub pairs: Vec<PairReport>,
    /// Servers that gave nothing.
    pub servers: Vec<ServerError>,
    /// Requests and responses whose integrity did not verify.
    pub bad_integrity: u64,
    /// Requests for a user name fragment that is not ours.
    pub unknown_ufrag: u64,
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReply => {
                f.write_str("no reply: a firewall or NAT drops it, or nobody is there")
            }
            Self::OneWay => f.write_str(
                "the peer's requests arrive here, but our requests or its answers are lost",
            ),
            Self::NotSymmetric => {
                f.write_str("the answer came by another path than the request (symmetric NAT)")
            }
            Self::WrongPassword => f.write_str(
                "wrong password: the peer's credentials are not those that were signalled",
            ),
            Self::RoleConflict => f.write_str("both ends insist on the same role"),
            Self::ErrorResponse(code) => write!(f, "the peer answered with error {code}"),
            Self::NoPermission => f.write_str("the TURN server gives no permission for the peer"),
            Self::Unreachable => f.write_str("the address can't be reached from this host"),
            Self::ConnectionLost => f.write_str("the TCP connection was refused or broken"),
            Self::BaseRemoved => f.write_str("the local address disappeared"),
            Self::ConsentExpired => f.write_str("the peer stopped answering"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("it is connected"),
            Self::Closed => f.write_str("it was closed"),
            Self::NoLocalCandidates => f.write_str(
                "it has no local candidate: no address was added, or policy, family and servers leave none",
            ),
            Self::NoRemoteCredentials => {
                f.write_str("the peer's credentials have not arrived: is signalling working?")
            }
            Self::NoRemoteCandidates => f.write_str(
                "the peer has signalled no candidate and sent no check: is signalling working?",
            ),
            Self::UnresolvedNames => f.write_str(
                "the peer's candidates are mDNS names that were not resolved: other network, or multicast is blocked",
            ),
            Self::NothingInCommon => f.write_str(
                "no local candidate fits a remote one: the address families, TCP types or policies have nothing in common",
            ),
            Self::StillChecking => f.write_str("checks are still under way"),
            Self::AllFailed(reason) => write!(f, "all checks have failed, mostly: {reason}"),
            Self::Lost => f.write_str("it was connected, and then the path went silent"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The agent is {}: {}.", self.state, self.cause)?;
        for pair in &self.pairs {
            let (l, r) = (&pair.local, &pair.remote);
            write!(
                f,
                "- {} {}:{} to {} {}:{}: ",
                l.kind, l.address, l.port, r.kind, r.address, r.port
            )?;
            match (pair.state, pair.failure) {
                (PairState::Succeeded, _) => f.write_str("works")?,
                (PairState::Failed, Some(reason)) => write!(f, "failed, {reason}")?,
                (PairState::Failed, None) => f.write_str("failed")?,
                (PairState::InProgress, _) => f.write_str("is being checked")?,
                (PairState::Waiting | PairState::Frozen, Some(reason)) => {
                    write!(f, "will be tried again after: {reason}")?;
                }
                (PairState::Waiting | PairState::Frozen, None) => {
                    f.write_str("waits for its turn")?
                }
            }
            writeln!(
                f,
                " ({} requests sent, {} answered, {} received).",
                pair.requests, pair.responses, pair.received
            )?;
        }
        for server in &self.servers {
            writeln!(
                f,
                "- {} gave nothing: {} {}.",
                server.url, server.code, server.text
            )?;
        }
        if self.bad_integrity > 0 {
            writeln!(
                f,
                "- {} messages had a wrong password: the peer uses other credentials, or someone meddles.",
                self.bad_integrity
            )?;
        }
        if self.unknown_ufrag > 0 {
            writeln!(
                f,
                "- {} requests named another agent: an old generation, or misdirected.",
                self.unknown_ufrag
            )?;
        }
        Ok(())
    }
}
