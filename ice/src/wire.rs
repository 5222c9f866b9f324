//! The messages of connectivity checks, written and read: the only place that
//! knows attributes (RFC 8445 §7.1, §16.1).

use std::net::SocketAddr;

use tincan_stun::attributes::{
    ErrorCode, GoogNetworkInfo, IceControlled, IceControlling, Nomination,
    Priority as PriorityAttribute, UnknownAttributes, UseCandidate, Username, XorMappedAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{
    AttributeType, Class, Message, Method, TieBreaker, TransactionId, Writer,
};

use crate::priority::Priority;
use crate::role::Role;
use crate::transactions::Request;

/// Attributes below 0x8000 that a check may carry.
const KNOWN: [AttributeType; 6] = [
    AttributeType::USERNAME,
    AttributeType::PRIORITY,
    AttributeType::USE_CANDIDATE,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::ERROR_CODE,
    AttributeType::MAPPED_ADDRESS,
];

/// Writes a check; `username` is `theirs:ours`.
pub(crate) fn write_request(
    out: &mut Vec<u8>,
    id: TransactionId,
    username: &str,
    request: &Request,
    network: Option<(u16, u16)>,
    key: &Key,
) -> Option<usize> {
    let tie_breaker = TieBreaker(request.tie_breaker);
    let writer = Writer::new(out, Class::Request, Method::BINDING, id).push(&Username(username));
    let writer = match request.role {
        Role::Controlling => writer.push(&IceControlling(tie_breaker)),
        Role::Controlled => writer.push(&IceControlled(tie_breaker)),
    };
    writer
        .push(&PriorityAttribute(request.priority.0))
        .push_opt(request.nominate.map(|_| UseCandidate).as_ref())
        .push_opt(
            request
                .nominate
                .filter(|_| request.renomination)
                .map(Nomination)
                .as_ref(),
        )
        .push_opt(
            network
                .map(|(id, cost)| GoogNetworkInfo { id, cost })
                .as_ref(),
        )
        .integrity(key)
        .fingerprint()
        .finish()
        .ok()
}

/// Writes a success response.
pub(crate) fn write_success(
    out: &mut Vec<u8>,
    id: TransactionId,
    mapped: SocketAddr,
    key: &Key,
) -> Option<usize> {
    Writer::new(out, Class::Success, Method::BINDING, id)
        .push(&XorMappedAddress(mapped))
        .integrity(key)
        .fingerprint()
        .finish()
        .ok()
}

/// Writes an error response; with integrity where the request was authentic.
pub(crate) fn write_error(
    out: &mut Vec<u8>,
    id: TransactionId,
    code: u16,
    unknown: &[AttributeType],
    key: Option<&Key>,
) -> Option<usize> {
    let reason = match code {
        400 => "Bad Request",
        401 => "Unauthenticated",
        420 => "Unknown Attribute",
        487 => "Role Conflict",
        _ => "Error",
    };
    let list = UnknownAttributes::List(unknown);
    let writer = Writer::new(out, Class::Error, Method::BINDING, id)
        .push(&ErrorCode::new(code, reason)?)
        .push_opt((code == 420).then_some(&list));
    match key {
        Some(key) => writer.integrity(key),
        None => writer,
    }
    .fingerprint()
    .finish()
    .ok()
}

/// Writes a Binding request to a STUN server: no credentials.
pub(crate) fn write_plain_request(out: &mut Vec<u8>, id: TransactionId) -> Option<usize> {
    Writer::new(out, Class::Request, Method::BINDING, id)
        .fingerprint()
        .finish()
        .ok()
}

/// What an authentic check says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) role: Option<(Role, u64)>,
    pub(crate) priority: Option<Priority>,
    pub(crate) use_candidate: bool,
    pub(crate) nomination: Option<u32>,
}

pub(crate) fn read_check(message: &Message<'_>) -> Check {
    let controlling = message
        .get::<IceControlling>()
        .map(|a| (Role::Controlling, a.0.0));
    let controlled = message
        .get::<IceControlled>()
        .map(|a| (Role::Controlled, a.0.0));
    Check {
        role: controlling.or(controlled),
        priority: message.get::<PriorityAttribute>().map(|p| Priority(p.0)),
        use_candidate: message.has(AttributeType::USE_CANDIDATE),
        nomination: message.get::<Nomination>().map(|n| n.0),
    }
}

/// The two fragments of a request's USERNAME: ours, theirs.
pub(crate) fn usernames<'a>(message: &Message<'a>) -> Option<(&'a str, &'a str)> {
    message.get::<Username<'a>>()?.0.split_once(':')
}

/// Attributes that must be understood and are not.
pub(crate) fn unknown_attributes(message: &Message<'_>) -> Vec<AttributeType> {
    message.unknown_required(&KNOWN).take(8).collect()
}

/// What a response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Mapped(SocketAddr),
    Error(u16),
    /// Neither address nor code: of no use.
    Empty,
}

pub(crate) fn read_answer(message: &Message<'_>) -> Answer {
    match message.class() {
        Class::Success => message
            .get::<XorMappedAddress>()
            .map_or(Answer::Empty, |a| Answer::Mapped(a.0)),
        _ => message
            .get::<ErrorCode<'_>>()
            .map_or(Answer::Empty, |e| Answer::Error(e.code())),
    }
}
