//! Header extensions under encryption: single elements (RFC 6904) or everything (RFC 9335,
//! Cryptex).

use core::ops::Range;

use crate::aes_ctr::AesCtr;
use crate::error::Malformed;
use crate::wire::{EXTENSION_HEADER_LEN, RTP_FIXED_LEN, RtpHeader};

/// "Defined by profile" of one-byte elements (RFC 8285 §4.2) and its encrypted counterpart
/// (RFC 9335 §4).
const ONE_BYTE: u16 = 0xbede;
const CRYPTEX_ONE_BYTE: u16 = 0xc0de;
/// The same for two-byte elements (RFC 8285 §4.3); the low four bits are the application's.
const TWO_BYTE: u16 = 0x1000;
const TWO_BYTE_MASK: u16 = 0xfff0;
const CRYPTEX_TWO_BYTE: u16 = 0xc2de;

/// Longest element: its length is one byte (RFC 8285 §4.3).
const MAX_ELEMENT: usize = 255;
const AES_BLOCK: usize = 16;

/// Encryption of whole header extensions and CSRC lists (RFC 9335, SDP `a=cryptex`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cryptex {
    /// A sender does not use it; a receiver understands it.
    #[default]
    Accept,
    /// A sender uses it for packets with CSRCs or header extensions; a receiver understands it.
    Use,
    /// A sender uses it; a receiver refuses packets whose CSRCs or header extensions are not
    /// encrypted.
    Require,
}

/// A set of extension element ids, 1 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ElementIds([u64; 4]);

impl ElementIds {
    pub(crate) fn insert(&mut self, id: u8) {
        if let Some(word) = self.0.get_mut(usize::from(id / 64)) {
            *word |= 1 << (id % 64);
        }
    }

    fn contains(&self, id: u8) -> bool {
        self.0
            .get(usize::from(id / 64))
            .is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// How much of a packet is encrypted beyond its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    Payload,
    /// RFC 6904: the payload, and with another key some extension elements.
    Elements,
    /// RFC 9335: CSRCs, extension elements and payload in one.
    Cryptex,
}

impl Cover {
    /// How a packet that came is encrypted: it says so itself.
    pub(crate) fn of_received(header: &RtpHeader, elements: bool) -> Self {
        match header.extension {
            Some(CRYPTEX_ONE_BYTE | CRYPTEX_TWO_BYTE) => Self::Cryptex,
            Some(_) if elements => Self::Elements,
            _ => Self::Payload,
        }
    }

    /// How a packet to be sent is to be encrypted.
    pub(crate) fn of_sent(header: &RtpHeader, cryptex: bool, elements: bool) -> Self {
        match header.extension {
            Some(ONE_BYTE) if cryptex => Self::Cryptex,
            // The appbits have no place in Cryptex's value (RFC 9335 §4).
            Some(TWO_BYTE) if cryptex => Self::Cryptex,
            None if cryptex && header.csrc_end > RTP_FIXED_LEN => Self::Cryptex,
            Some(_) if elements => Self::Elements,
            _ => Self::Payload,
        }
    }

    /// Where the encrypted part begins, once CSRCs and extension header have [traded
    /// places](swap_in).
    #[inline]
    pub(crate) fn clear(self, header: &RtpHeader) -> usize {
        match self {
            Self::Cryptex => RTP_FIXED_LEN + EXTENSION_HEADER_LEN,
            _ => header.len,
        }
    }
}

/// Whether a packet shows CSRCs or header extensions that Cryptex could hide.
pub(crate) fn is_bare(header: &RtpHeader, cover: Cover) -> bool {
    cover != Cover::Cryptex && (header.extension.is_some() || header.csrc_end > RTP_FIXED_LEN)
}

/// Bytes by which a packet grows: one with CSRCs and no extension gets an empty one
/// (RFC 9335 §5.1).
pub(crate) fn growth(header: &RtpHeader, cover: Cover) -> usize {
    if cover == Cover::Cryptex && header.extension.is_none() {
        EXTENSION_HEADER_LEN
    } else {
        0
    }
}

/// Marks the packet `buffer[..len]` as encrypted with Cryptex; it has room to
/// [grow](growth). Returns what its header is then.
pub(crate) fn mark(buffer: &mut [u8], len: usize, mut header: RtpHeader) -> RtpHeader {
    let at = header.csrc_end;
    let profile = match header.extension {
        Some(TWO_BYTE) => CRYPTEX_TWO_BYTE,
        _ => CRYPTEX_ONE_BYTE,
    };
    if header.extension.is_none() {
        if len + EXTENSION_HEADER_LEN <= buffer.len() {
            buffer.copy_within(at..len, at + EXTENSION_HEADER_LEN);
        }
        if let Some(flags) = buffer.first_mut() {
            *flags |= 0x10;
        }
        put(buffer, at + 2, 0);
        header.len += EXTENSION_HEADER_LEN;
    }
    put(buffer, at, profile);
    header.extension = Some(profile);
    header
}

/// Takes the mark off a packet that was decrypted.
pub(crate) fn unmark(packet: &mut [u8], header: &RtpHeader) {
    let profile = match header.extension {
        Some(CRYPTEX_TWO_BYTE) => TWO_BYTE,
        _ => ONE_BYTE,
    };
    put(packet, header.csrc_end, profile);
}

fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(room) = packet.get_mut(at..at + 2) {
        room.copy_from_slice(&value.to_be_bytes());
    }
}

/// Puts the extension's four-byte header before the CSRCs, so that what is encrypted is in one
/// piece (RFC 9335 §6.2).
#[inline]
pub(crate) fn swap_in(packet: &mut [u8], header: &RtpHeader, cover: Cover) {
    if let Some(region) = swapped(packet, header, cover) {
        region.rotate_right(EXTENSION_HEADER_LEN);
    }
}

/// Undoes [`swap_in`].
#[inline]
pub(crate) fn swap_out(packet: &mut [u8], header: &RtpHeader, cover: Cover) {
    if let Some(region) = swapped(packet, header, cover) {
        region.rotate_left(EXTENSION_HEADER_LEN);
    }
}

#[inline]
fn swapped<'a>(packet: &'a mut [u8], header: &RtpHeader, cover: Cover) -> Option<&'a mut [u8]> {
    if cover != Cover::Cryptex || header.csrc_end == RTP_FIXED_LEN {
        return None;
    }
    packet.get_mut(RTP_FIXED_LEN..header.csrc_end + EXTENSION_HEADER_LEN)
}

/// Whether elements have two-byte headers; `None` for extensions that are not made of elements.
fn two_byte(profile: u16) -> Option<bool> {
    match profile {
        ONE_BYTE => Some(false),
        _ if profile & TWO_BYTE_MASK == TWO_BYTE => Some(true),
        _ => None,
    }
}

/// The next element of an extension's body at or behind `at`: its id and the range of its data,
/// the end of which is where to look on. Padding is passed over; the reserved id 15 ends the body
/// (RFC 8285 §4.2).
fn next_element(
    two_byte: bool,
    body: &[u8],
    mut at: usize,
) -> Result<Option<(u8, Range<usize>)>, Malformed> {
    while let Some(&first) = body.get(at) {
        let (id, start, len) = if two_byte && first != 0 {
            let len = *body.get(at + 1).ok_or(Malformed::Extension)?;
            (first, at + 2, usize::from(len))
        } else {
            match first >> 4 {
                0 => {
                    at += 1;
                    continue;
                }
                15 => break,
                id => (id, at + 1, usize::from(first & 0x0f) + 1),
            }
        };
        let end = start + len;
        if end > body.len() {
            return Err(Malformed::Extension);
        }
        return Ok(Some((id, start..end)));
    }
    Ok(None)
}

fn body_range(header: &RtpHeader) -> Range<usize> {
    header.csrc_end + EXTENSION_HEADER_LEN..header.len
}

/// Whether the elements of a packet's extension can be told apart.
pub(crate) fn check(packet: &[u8], header: &RtpHeader) -> Result<(), Malformed> {
    let (Some(two_byte), Some(body)) = (
        header.extension.and_then(two_byte),
        packet.get(body_range(header)),
    ) else {
        return Ok(());
    };
    let mut at = 0;
    while let Some((_, data)) = next_element(two_byte, body, at)? {
        at = data.end;
    }
    Ok(())
}

/// The cipher of RFC 6904 with its session salt.
pub(crate) struct ElementCipher {
    pub(crate) cipher: AesCtr,
    pub(crate) salt: u128,
}

impl ElementCipher {
    /// Encrypts, or decrypts, the data of the elements in `ids`. The key stream runs along the
    /// whole extension body and is used where the mask says so (RFC 6904 §3).
    pub(crate) fn apply(
        &self,
        packet: &mut [u8],
        header: &RtpHeader,
        index: u64,
        ids: &ElementIds,
    ) -> Result<(), Malformed> {
        let (Some(two_byte), Some(body)) = (
            header.extension.and_then(two_byte),
            packet.get_mut(body_range(header)),
        ) else {
            return Ok(());
        };
        let iv = self.salt ^ (u128::from(header.ssrc) << 64) ^ (u128::from(index) << 16);
        let mut at = 0;
        while let Some((id, data)) = next_element(two_byte, body, at)? {
            at = data.end;
            if !ids.contains(id) {
                continue;
            }
            let block = (data.start / AES_BLOCK) as u128;
            let offset = data.start % AES_BLOCK;
            let mut stream = [0u8; AES_BLOCK + MAX_ELEMENT];
            if let (Some(stream), Some(data)) =
                (stream.get_mut(..offset + data.len()), body.get_mut(data))
            {
                self.cipher.apply(iv.wrapping_add(block), stream);
                for (byte, key) in data.iter_mut().zip(stream.iter().skip(offset)) {
                    *byte ^= key;
                }
            }
        }
        Ok(())
    }
}
