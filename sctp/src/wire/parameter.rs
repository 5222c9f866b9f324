//! Parameters and error causes: type, length, value; and those of RE-CONFIG (RFC 6525 §4).

use super::{be16, be32, padded, parameter_type};

/// A parameter or error cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its type, or the cause's code.
    pub kind: u16,
    /// Its value without header and padding.
    pub value: &'a [u8],
    /// The whole of it, without padding.
    pub whole: &'a [u8],
}

/// Iterator over parameters; ends at the first malformed one.
#[derive(Clone, Copy, Debug)]
pub struct ParameterIter<'a> {
    rest: &'a [u8],
}

impl<'a> ParameterIter<'a> {
    /// Walks the parameters in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for ParameterIter<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Parameter<'a>> {
        let raw = std::mem::take(&mut self.rest);
        let kind = be16(raw, 0)?;
        let length = usize::from(be16(raw, 2)?);
        let value = raw.get(4..length)?;
        let whole = raw.get(..length)?;
        self.rest = raw.get(padded(length)..).unwrap_or_default();
        Some(Parameter { kind, value, whole })
    }
}

/// What became of a re-configuration request (RFC 6525 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconfigResult {
    /// 0: success, nothing to do.
    NothingToDo,
    /// 1: success, performed.
    Performed,
    /// 2: denied.
    Denied,
    /// 3: wrong stream number.
    WrongStream,
    /// 4: another request is in progress.
    AlreadyInProgress,
    /// 5: bad sequence number.
    BadSequenceNumber,
    /// 6: in progress.
    InProgress,
    /// Any other value.
    Unknown(u32),
}

impl ReconfigResult {
    /// The value on the wire.
    pub fn to_wire(self) -> u32 {
        match self {
            Self::NothingToDo => 0,
            Self::Performed => 1,
            Self::Denied => 2,
            Self::WrongStream => 3,
            Self::AlreadyInProgress => 4,
            Self::BadSequenceNumber => 5,
            Self::InProgress => 6,
            Self::Unknown(value) => value,
        }
    }

    /// From the value on the wire.
    pub fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::NothingToDo,
            1 => Self::Performed,
            2 => Self::Denied,
            3 => Self::WrongStream,
            4 => Self::AlreadyInProgress,
            5 => Self::BadSequenceNumber,
            6 => Self::InProgress,
            other => Self::Unknown(other),
        }
    }
}

/// A parameter of a RE-CONFIG chunk.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Reconfig<'a> {
    /// The sender resets its outgoing streams; no stream listed means all.
    OutgoingReset {
        /// Request sequence number.
        request: u32,
        /// Sequence number of the incoming-reset request that this one answers, if any.
        response: u32,
        /// The sender's last assigned TSN.
        last_tsn: u32,
        /// Stream identifiers, two octets each.
        streams: &'a [u8],
    },
    /// The sender asks its peer to reset outgoing streams.
    IncomingReset {
        /// Request sequence number.
        request: u32,
        /// Stream identifiers, two octets each.
        streams: &'a [u8],
    },
    /// The sender asks for all streams and the TSNs to be reset.
    TsnReset {
        /// Request sequence number.
        request: u32,
    },
    /// The answer to a request.
    Response {
        /// The request's sequence number.
        request: u32,
        /// What became of it.
        result: ReconfigResult,
    },
    /// The sender wants more outgoing streams.
    AddOutgoing {
        /// Request sequence number.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The sender asks its peer to add outgoing streams.
    AddIncoming {
        /// Request sequence number.
        request: u32,
        /// How many more.
        count: u16,
    },
}

impl<'a> Reconfig<'a> {
    /// Reads a parameter of a RE-CONFIG chunk; `None` for other types and short values.
    pub fn parse(parameter: &Parameter<'a>) -> Option<Self> {
        let value = parameter.value;
        let request = be32(value, 0)?;
        Some(match parameter.kind {
            parameter_type::OUTGOING_RESET => Self::OutgoingReset {
                request,
                response: be32(value, 4)?,
                last_tsn: be32(value, 8)?,
                streams: value.get(12..)?,
            },
            parameter_type::INCOMING_RESET => Self::IncomingReset {
                request,
                streams: value.get(4..)?,
            },
            parameter_type::TSN_RESET => Self::TsnReset { request },
            parameter_type::RECONFIG_RESPONSE => Self::Response {
                request,
                result: ReconfigResult::from_wire(be32(value, 4)?),
            },
            parameter_type::ADD_OUTGOING => Self::AddOutgoing {
                request,
                count: be16(value, 4)?,
            },
            parameter_type::ADD_INCOMING => Self::AddIncoming {
                request,
                count: be16(value, 4)?,
            },
            _ => return None,
        })
    }

    /// The stream identifiers of a list as in the reset requests.
    pub fn stream_ids(list: &'a [u8]) -> impl Iterator<Item = u16> + 'a {
        list.chunks_exact(2).filter_map(|id| be16(id, 0))
    }
}
