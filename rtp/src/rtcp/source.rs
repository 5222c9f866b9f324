//! Source descriptions, goodbyes and application-defined packets (RFC 3550 §6.5 to §6.7).

use crate::bytes_ext::{slice, tail, u8_at, u32_at};
use crate::error::{ParseError, require};
use crate::rtcp::RawPacket;
use crate::types::Ssrc;

/// Kind of an SDES item (RFC 3550 §12.2 and IANA's registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SdesKind {
    /// 1: the canonical name, the same for all streams of one endpoint.
    Cname,
    /// 2: the user's name.
    Name,
    /// 3: an electronic mail address.
    Email,
    /// 4: a telephone number.
    Phone,
    /// 5: a place.
    Location,
    /// 6: name of the program.
    Tool,
    /// 7: a notice.
    Note,
    /// 8: a private extension: prefix length, prefix, value.
    Private,
    /// 12: a rid (RFC 8852).
    RtpStreamId,
    /// 13: the rid of the repaired stream (RFC 8852).
    RepairedRtpStreamId,
    /// 15: a mid (RFC 9143).
    Mid,
    /// Any other number.
    Unknown(u8),
}

impl SdesKind {
    /// The kind a number stands for.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Cname,
            2 => Self::Name,
            3 => Self::Email,
            4 => Self::Phone,
            5 => Self::Location,
            6 => Self::Tool,
            7 => Self::Note,
            8 => Self::Private,
            12 => Self::RtpStreamId,
            13 => Self::RepairedRtpStreamId,
            15 => Self::Mid,
            n => Self::Unknown(n),
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cname => 1,
            Self::Name => 2,
            Self::Email => 3,
            Self::Phone => 4,
            Self::Location => 5,
            Self::Tool => 6,
            Self::Note => 7,
            Self::Private => 8,
            Self::RtpStreamId => 12,
            Self::RepairedRtpStreamId => 13,
            Self::Mid => 15,
            Self::Unknown(n) => n,
        }
    }
}

/// One SDES item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// What it tells.
    pub kind: SdesKind,
    /// Its octets; UTF-8 text by the standard.
    pub value: &'a [u8],
}

impl<'a> SdesItem<'a> {
    /// The value as text.
    ///
    /// # Errors
    /// [`ParseError::Text`] when it is not UTF-8.
    pub fn text(&self) -> Result<&'a str, ParseError> {
        std::str::from_utf8(self.value).map_err(|_| ParseError::Text)
    }
}

/// What an SDES says about one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// The items, in order.
    pub fn items(&self) -> impl Iterator<Item = SdesItem<'a>> + Clone + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (&[number, len], after) = rest.split_first_chunk::<2>()?;
            let (value, after) = after.split_at_checked(usize::from(len))?;
            rest = after;
            Some(SdesItem {
                kind: SdesKind::from_number(number),
                value,
            })
        })
    }
}

/// SDES.
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let sdes = Self {
            count: raw.count(),
            body: raw.body(),
        };
        let mut rest = sdes.body;
        for _ in 0..sdes.count {
            (_, rest) = split_chunk(rest)?;
        }
        Ok(sdes)
    }

    /// The chunks, one a source.
    pub fn chunks(&self) -> impl Iterator<Item = SdesChunk<'a>> + Clone + use<'a> {
        let mut rest = self.body;
        (0..self.count).map_while(move |_| {
            let (chunk, after) = split_chunk(rest).ok()?;
            rest = after;
            Some(chunk)
        })
    }
}

/// Takes one chunk: the source, items up to a zero octet, zeros up to a whole word.
fn split_chunk(bytes: &[u8]) -> Result<(SdesChunk<'_>, &[u8]), ParseError> {
    require(bytes.len(), 4)?;
    let mut at = 4;
    loop {
        require(bytes.len(), at + 1)?;
        if u8_at(bytes, at) == 0 {
            break;
        }
        require(bytes.len(), at + 2)?;
        at += 2 + usize::from(u8_at(bytes, at + 1));
    }
    let chunk = SdesChunk {
        ssrc: Ssrc(u32_at(bytes, 0)),
        items: slice(bytes, 4..at),
    };
    // At least one zero octet, then up to the next word.
    let end = (at + 4) & !3;
    require(bytes.len(), end)?;
    Ok((chunk, tail(bytes, end)))
}

/// BYE.
#[derive(Clone, Copy, Debug)]
pub struct Goodbye<'a> {
    sources: &'a [u8],
    reason: &'a [u8],
}

impl<'a> Goodbye<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        let count = usize::from(raw.count());
        if body.len() < count * 4 {
            return Err(ParseError::Count(count));
        }
        let rest = tail(body, count * 4);
        let reason = match rest.split_first() {
            None => &[],
            Some((&len, text)) => {
                require(text.len(), usize::from(len))?;
                slice(text, 0..usize::from(len))
            }
        };
        Ok(Self {
            sources: slice(body, 0..count * 4),
            reason,
        })
    }

    /// The sources that leave.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = Ssrc> + Clone + use<'a> {
        self.sources.chunks_exact(4).map(|c| Ssrc(u32_at(c, 0)))
    }

    /// The reason's octets; empty when none is given.
    pub fn reason(&self) -> &'a [u8] {
        self.reason
    }
}

/// APP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct App<'a> {
    /// The subtype, five bits.
    pub subtype: u8,
    /// Who sends it.
    pub ssrc: Ssrc,
    /// Four ASCII characters that name the application.
    pub name: [u8; 4],
    /// The application's data, whole words.
    pub data: &'a [u8],
}

impl<'a> App<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), 8)?;
        Ok(Self {
            subtype: raw.count(),
            ssrc: Ssrc(u32_at(body, 0)),
            name: u32_at(body, 4).to_be_bytes(),
            data: tail(body, 8),
        })
    }
}
