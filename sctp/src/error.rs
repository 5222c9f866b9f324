//! Errors of the caller, and reasons why an association ended.

use crate::wire::cause;

/// Why a message could not be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The association is closing or closed.
    #[error("the association is closing or closed")]
    Closed,
    /// There is no such stream or channel, or it is closing.
    #[error("no such open stream or channel")]
    NoSuchStream,
    /// SCTP has no empty messages (RFC 9260 §3.3.1).
    #[error("a message needs at least one octet")]
    Empty,
    /// Larger than the peer accepts (RFC 8841 §6).
    #[error("the message is larger than the peer accepts")]
    TooLarge,
    /// The channel holds as much as it may: try again after the `Writable` event.
    #[error("the send buffer is full")]
    Full,
    /// A message is being given piece by piece: it must end before another one begins.
    #[error("another message is being written")]
    Busy,
    /// No message is being given piece by piece.
    #[error("no message is being written")]
    NotWriting,
}

/// Why an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Shut down in order by either side (RFC 9260 §9.2).
    #[error("shut down")]
    Shutdown,
    /// We aborted it.
    #[error("aborted by us")]
    Aborted,
    /// The peer aborted it, with this cause code (RFC 9260 §3.3.10) or 0 for none.
    #[error("aborted by the peer with cause {0}")]
    AbortedByPeer(u16),
    /// The handshake was not answered (RFC 9260 §5.1 A, C).
    #[error("the handshake was not answered")]
    HandshakeTimeout,
    /// Too many timeouts in a row (RFC 9260 §8.1).
    #[error("the peer does not answer")]
    PeerUnreachable,
    /// The peer contradicted itself or the protocol; we aborted.
    #[error("the peer violated the protocol: {0}")]
    ProtocolViolation(Violation),
}

impl CloseReason {
    /// The cause code of the ABORT that ended it (RFC 9260 §3.3.10), sent or received; `None` where there was none or it
    /// named none.
    pub fn cause_code(self) -> Option<u16> {
        match self {
            CloseReason::AbortedByPeer(0) => None,
            CloseReason::AbortedByPeer(code) => Some(code),
            CloseReason::Aborted => Some(cause::USER_ABORT),
            CloseReason::ProtocolViolation(violation) => Some(violation.cause_code()),
            CloseReason::Shutdown
            | CloseReason::HandshakeTimeout
            | CloseReason::PeerUnreachable => None,
        }
    }
}

impl Violation {
    /// The cause code that our ABORT names.
    pub(crate) fn cause_code(self) -> u16 {
        match self {
            Violation::NoUserData => cause::NO_USER_DATA,
            Violation::OutOfResource => cause::OUT_OF_RESOURCE,
            _ => cause::PROTOCOL_VIOLATION,
        }
    }
}

/// What the peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// DATA although I-DATA was negotiated, or the reverse (RFC 8260 §2.2.1).
    #[error("the wrong kind of DATA chunk")]
    WrongDataKind,
    /// FORWARD-TSN although I-FORWARD-TSN was negotiated, or the reverse (RFC 8260 §2.3.1).
    #[error("the wrong kind of FORWARD-TSN chunk")]
    WrongForwardKind,
    /// A DATA chunk without data (RFC 9260 §3.3.1).
    #[error("a DATA chunk without data")]
    NoUserData,
    /// Fragments that contradict each other (RFC 9260 §6.9).
    #[error("contradictory fragments")]
    Fragments,
    /// INIT or INIT ACK with a field that must not have its value (RFC 9260 §3.3.2).
    #[error("an invalid INIT")]
    Init,
    /// Messages without end, or without those before them, past what there is room for
    /// ([`limits::MAX_WAITING_WINDOWS`](crate::limits::MAX_WAITING_WINDOWS)).
    #[error("more waits for its rest than there is room for")]
    OutOfResource,
}

/// Why an INIT from signalling (`a=sctp-init`) is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapError {
    /// Not an INIT chunk, or one with forbidden values.
    #[error("not a valid INIT chunk")]
    Invalid,
    /// The association has begun already.
    #[error("the association has begun")]
    TooLate,
}
