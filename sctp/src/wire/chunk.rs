//! Typed views of the chunks.

use super::{
    FLAG_BEGIN, FLAG_END, FLAG_IMMEDIATE, FLAG_TAG_REFLECTED, FLAG_UNORDERED, Init, ParameterIter,
    Sack, be16, be32, chunk_type,
};

/// One chunk of a received packet.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Chunk<'a> {
    /// DATA or I-DATA.
    Data(DataChunk<'a>),
    /// INIT.
    Init(Init<'a>),
    /// INIT ACK.
    InitAck(Init<'a>),
    /// SACK.
    Sack(Sack<'a>),
    /// HEARTBEAT with its information parameter, header included.
    Heartbeat(&'a [u8]),
    /// HEARTBEAT ACK with the information parameter as we sent it, header included.
    HeartbeatAck(&'a [u8]),
    /// ABORT with its causes.
    Abort {
        /// The verification tag is the sender's own (RFC 9260 §8.5.1).
        reflected: bool,
        /// The error causes: type, length, value each.
        causes: ParameterIter<'a>,
    },
    /// SHUTDOWN with the cumulative TSN.
    Shutdown(u32),
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// ERROR with its causes.
    Error(ParameterIter<'a>),
    /// COOKIE ECHO with the cookie.
    CookieEcho(&'a [u8]),
    /// COOKIE ACK.
    CookieAck,
    /// ECNE with the lowest TSN of the marked packet.
    Ecne(u32),
    /// CWR with the TSN that it answers.
    Cwr(u32),
    /// SHUTDOWN COMPLETE; true when the tag is reflected.
    ShutdownComplete(bool),
    /// RE-CONFIG with its parameters.
    Reconfig(ParameterIter<'a>),
    /// PAD: nothing to do.
    Pad,
    /// FORWARD-TSN or I-FORWARD-TSN.
    ForwardTsn(ForwardTsn<'a>),
    /// A type this crate does not know; the whole chunk, without padding.
    Unknown {
        /// The chunk type; its two highest bits say what to do (RFC 9260 §3.2).
        kind: u8,
        /// The whole chunk.
        whole: &'a [u8],
    },
}

/// A DATA (RFC 9260 §3.3.1) or I-DATA chunk (RFC 8260 §2.1).
#[derive(Clone, Copy, Debug)]
pub struct DataChunk<'a> {
    /// Whether it is an I-DATA chunk.
    pub interleaved: bool,
    /// The flags as on the wire.
    pub flags: u8,
    /// Transmission sequence number.
    pub tsn: u32,
    /// Stream identifier.
    pub stream: u16,
    /// Stream sequence number of DATA, message identifier of I-DATA.
    pub message: u32,
    /// Fragment sequence number of I-DATA; 0 in DATA.
    pub fragment: u32,
    /// Payload protocol identifier; 0 in an I-DATA chunk that does not begin a message.
    pub ppid: u32,
    /// The user data.
    pub payload: &'a [u8],
}

impl DataChunk<'_> {
    /// First fragment of a message.
    pub fn begins(&self) -> bool {
        self.flags & FLAG_BEGIN != 0
    }

    /// Last fragment of a message.
    pub fn ends(&self) -> bool {
        self.flags & FLAG_END != 0
    }

    /// Unordered delivery.
    pub fn unordered(&self) -> bool {
        self.flags & FLAG_UNORDERED != 0
    }

    /// The sender wants an acknowledgement at once (RFC 7053).
    pub fn immediate(&self) -> bool {
        self.flags & FLAG_IMMEDIATE != 0
    }
}

/// A stream's messages that a FORWARD-TSN skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Stream identifier.
    pub stream: u16,
    /// Whether the entry is about unordered messages (I-FORWARD-TSN only).
    pub unordered: bool,
    /// The largest stream sequence number or message identifier that is skipped.
    pub message: u32,
}

/// FORWARD-TSN (RFC 3758 §3.2) or I-FORWARD-TSN (RFC 8260 §2.3.1).
#[derive(Clone, Copy, Debug)]
pub struct ForwardTsn<'a> {
    /// Whether it is an I-FORWARD-TSN.
    pub interleaved: bool,
    /// The new cumulative TSN.
    pub new_cumulative: u32,
    entries: &'a [u8],
}

impl<'a> ForwardTsn<'a> {
    /// The skipped streams.
    pub fn skipped(&self) -> impl Iterator<Item = Skipped> + 'a {
        let interleaved = self.interleaved;
        let size = if interleaved { 8 } else { 4 };
        self.entries.chunks_exact(size).map(move |entry| {
            let stream = be16(entry, 0).unwrap_or_default();
            if interleaved {
                Skipped {
                    stream,
                    unordered: be16(entry, 2).unwrap_or_default() & 1 != 0,
                    message: be32(entry, 4).unwrap_or_default(),
                }
            } else {
                let message = u32::from(be16(entry, 2).unwrap_or_default());
                Skipped {
                    stream,
                    unordered: false,
                    message,
                }
            }
        })
    }
}

impl<'a> Chunk<'a> {
    /// Reads a chunk; `None` when its value is too short for its type.
    #[inline]
    pub(crate) fn parse(kind: u8, flags: u8, value: &'a [u8], whole: &'a [u8]) -> Option<Self> {
        Some(match kind {
            chunk_type::DATA => Self::Data(DataChunk {
                interleaved: false,
                flags,
                tsn: be32(value, 0)?,
                stream: be16(value, 4)?,
                message: u32::from(be16(value, 6)?),
                fragment: 0,
                ppid: be32(value, 8)?,
                payload: value.get(12..)?,
            }),
            chunk_type::I_DATA => {
                let begins = flags & FLAG_BEGIN != 0;
                let field = be32(value, 12)?;
                Self::Data(DataChunk {
                    interleaved: true,
                    flags,
                    tsn: be32(value, 0)?,
                    stream: be16(value, 4)?,
                    message: be32(value, 8)?,
                    fragment: if begins { 0 } else { field },
                    ppid: if begins { field } else { 0 },
                    payload: value.get(16..)?,
                })
            }
            chunk_type::SACK => Self::Sack(Sack::parse(value)?),
            chunk_type::INIT => Self::Init(Init::parse(value)?),
            chunk_type::INIT_ACK => Self::InitAck(Init::parse(value)?),
            chunk_type::HEARTBEAT => Self::Heartbeat(value),
            chunk_type::HEARTBEAT_ACK => Self::HeartbeatAck(value),
            chunk_type::ABORT => Self::Abort {
                reflected: flags & FLAG_TAG_REFLECTED != 0,
                causes: ParameterIter::new(value),
            },
            chunk_type::SHUTDOWN => Self::Shutdown(be32(value, 0)?),
            chunk_type::SHUTDOWN_ACK => Self::ShutdownAck,
            chunk_type::ERROR => Self::Error(ParameterIter::new(value)),
            chunk_type::COOKIE_ECHO => Self::CookieEcho(value),
            chunk_type::COOKIE_ACK => Self::CookieAck,
            chunk_type::ECNE => Self::Ecne(be32(value, 0)?),
            chunk_type::CWR => Self::Cwr(be32(value, 0)?),
            chunk_type::SHUTDOWN_COMPLETE => {
                Self::ShutdownComplete(flags & FLAG_TAG_REFLECTED != 0)
            }
            chunk_type::RE_CONFIG => Self::Reconfig(ParameterIter::new(value)),
            chunk_type::PAD => Self::Pad,
            chunk_type::FORWARD_TSN | chunk_type::I_FORWARD_TSN => Self::ForwardTsn(ForwardTsn {
                interleaved: kind == chunk_type::I_FORWARD_TSN,
                new_cumulative: be32(value, 0)?,
                entries: value.get(4..)?,
            }),
            _ => Self::Unknown { kind, whole },
        })
    }
}
