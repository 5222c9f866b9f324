//! From a datagram to its records' payloads, where they lie.

use bytes::BytesMut;

use super::protection::{
    AAD12, Keys12, Keys13, Protection, aad12, unified_flags, unified_header, with_cid_aad,
};
use super::{Dropped, LAST_SEQUENCE, Opened, Payload, ReadEpoch, RecordLayer, Usual};
use crate::crypto::aead::{CryptoError, TAG};
use crate::limits::{MAX_EXPANSION, MAX_PLAINTEXT};
use crate::wire::hello::DTLS12;
use crate::wire::record::{
    ContentType, PLAIN_HEADER, RecordNumber, UNIFIED_HEADER, is_unified, plain_header_length,
    record_length, unified_header_length,
};

impl RecordLayer {
    /// Takes one record off the front of a datagram, and returns it with what
    /// is left. `None` for what makes no sense.
    #[inline]
    pub(crate) fn split(&mut self, mut datagram: BytesMut) -> Option<(BytesMut, Option<BytesMut>)> {
        match record_length(&datagram, self.cid_in.len()) {
            // The last record keeps the whole buffer: splitting would allocate.
            Ok(length) if length == datagram.len() => Some((datagram, None)),
            Ok(length) => Some((datagram.split_to(length), Some(datagram))),
            Err(_) => {
                self.counters.malformed += u64::from(!datagram.is_empty());
                None
            }
        }
    }

    /// The first record of a datagram that is not empty. `None` for what makes
    /// no sense.
    #[inline]
    pub(crate) fn first_of<'a>(&mut self, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        match record_length(datagram, self.cid_in.len()) {
            Ok(length) => datagram.get_mut(..length),
            Err(_) => {
                self.counters.malformed += 1;
                None
            }
        }
    }

    /// Opens a whole record in place.
    #[inline]
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Opened {
        let opened = match record.first() {
            Some(first) if is_unified(*first) => self.open_unified_header(*first, record),
            _ => self.open_plain_header(record),
        };
        if matches!(opened, Opened::Record { .. }) {
            self.counters.opened += 1;
        } else {
            self.count(&opened);
        }
        opened
    }

    #[cold]
    fn count(&mut self, opened: &Opened) {
        let counters = &mut self.counters;
        match opened {
            Opened::Record { .. } | Opened::Overflow | Opened::NoContentType => {
                counters.opened += 1;
            }
            // Who keeps them knows which they are.
            Opened::Early => (),
            Opened::Dropped(dropped) => match dropped {
                Dropped::Malformed | Dropped::Oversized | Dropped::Version => {
                    counters.malformed += 1;
                }
                Dropped::Epoch => counters.wrong_epoch += 1,
                Dropped::Replay => counters.replayed += 1,
                Dropped::Forged => counters.forged += 1,
            },
        }
    }

    /// A record of 1.2, or in the clear.
    #[inline]
    fn open_plain_header(&mut self, record: &mut [u8]) -> Opened {
        let Some([kind, major, minor, packed @ .., _, _]) = record.first_chunk::<PLAIN_HEADER>()
        else {
            return Opened::Dropped(Dropped::Malformed);
        };
        let content_type = ContentType(*kind);
        let version = u16::from_be_bytes([*major, *minor]);
        let number = RecordNumber::from_packed(*packed);
        let header_length = plain_header_length(content_type, self.cid_in.len());
        let body_length = record.len().saturating_sub(header_length);
        if body_length > MAX_PLAINTEXT + MAX_EXPANSION {
            return Opened::Dropped(Dropped::Oversized);
        }
        // 1.3 is to ignore the field (RFC 9147 §4), but nobody sends another, and
        // noise is told by it.
        if version >> 8 != DTLS12 >> 8 {
            return Opened::Dropped(Dropped::Version);
        }
        // The newest epoch is the last, and nearly always the one.
        let of_epoch = |read: &&mut ReadEpoch| read.epoch == number.epoch;
        let Some(read) = self.read.iter_mut().rev().find(of_epoch) else {
            // 1.3 protects with the other header.
            let next = self.read.last().map_or(0, |read| read.epoch) + 1;
            return if number.epoch == next && !self.unified {
                Opened::Early
            } else {
                Opened::Dropped(Dropped::Epoch)
            };
        };
        let keys = match &read.protection {
            // No window: anyone could move it, and only what was deprotected may
            // (RFC 9147 §4.5.1). Messages have numbers of their own.
            Protection::Plain => {
                if body_length > MAX_PLAINTEXT {
                    return Opened::Dropped(Dropped::Oversized);
                }
                return Opened::Record {
                    number,
                    content_type,
                    payload: Payload {
                        at: header_length,
                        length: body_length,
                    },
                };
            }
            Protection::Tls12(keys) => keys,
            Protection::Tls13(_) | Protection::Asleep13(_) => {
                return Opened::Dropped(Dropped::Malformed);
            }
        };
        if !read.replay.is_new(number.sequence) {
            return Opened::Dropped(Dropped::Replay);
        }
        if version != DTLS12 {
            return Opened::Dropped(Dropped::Version);
        }
        // With a connection ID agreed on, nothing else is taken.
        let with_cid = content_type == ContentType::TLS12_CID;
        if with_cid == self.cid_in.is_empty() {
            return Opened::Dropped(Dropped::Malformed);
        }
        let cid: &[u8] = if with_cid { &self.cid_in } else { &[] };
        let Ok(payload) = open12(keys, content_type, number, cid, header_length, record) else {
            read.forged += 1;
            return Opened::Dropped(Dropped::Forged);
        };
        let newest = number.sequence >= read.replay.next();
        read.replay.mark(number.sequence);
        self.note_newest(newest, number.epoch);
        if with_cid {
            let text = record.get(payload.range()).unwrap_or_default();
            return finish_inner(number, text, payload.at, self.limit_in + 1);
        }
        if payload.length > self.limit_in {
            return Opened::Overflow;
        }
        Opened::Record {
            number,
            content_type,
            payload,
        }
    }

    /// Takes note of a record that is or is not the newest of its epoch. Only
    /// where no later epoch has any is it newer than all (RFC 9146 §6).
    #[inline]
    fn note_newest(&mut self, of_its_epoch: bool, epoch: u64) {
        self.newest_seen |= of_its_epoch
            && !self
                .read
                .iter()
                .any(|read| read.epoch > epoch && read.replay.next() > 0);
    }

    /// Opens the datagram that nearly all are, once there is data: one record of
    /// the newest epoch, with no connection ID and the header as we write it
    /// ourselves, and of the number that comes next. Any other is left as it came.
    #[inline(always)]
    pub(crate) fn open_usual(&mut self, datagram: &mut [u8]) -> Usual {
        let Some(read) = self.read.last_mut() else {
            return Usual::No;
        };
        let number = RecordNumber {
            epoch: read.epoch,
            sequence: read.replay.next(),
        };
        if !self.cid_in.is_empty()
            || datagram.len() > MAX_PLAINTEXT
            || number.sequence > LAST_SEQUENCE
        {
            return Usual::No;
        }
        let (at, opened) = match &read.protection {
            Protection::Tls13(keys) => (UNIFIED_HEADER, open_next13(keys, number, datagram)),
            Protection::Tls12(keys) => (
                PLAIN_HEADER + keys.algorithm.explicit_nonce_length(),
                open_next12(keys, number, datagram),
            ),
            Protection::Plain | Protection::Asleep13(_) => return Usual::No,
        };
        let Some(opened) = opened else {
            return Usual::No;
        };
        let Ok(mut length) = opened else {
            read.forged += 1;
            self.counters.forged += 1;
            return Usual::Opened(Opened::Dropped(Dropped::Forged));
        };
        self.newest_seen = true;
        self.counters.opened += 1;
        read.replay.mark(number.sequence);
        let mut limit = self.limit_in;
        if self.unified {
            limit += 1;
            let text = datagram.get(at..at + length).unwrap_or_default();
            if text.last() != Some(&ContentType::APPLICATION_DATA.0) || length > limit {
                return Usual::Opened(finish_inner(number, text, at, limit));
            }
            length -= 1;
        } else if length > limit {
            return Usual::Opened(Opened::Overflow);
        }
        Usual::Data(Payload { at, length })
    }

    /// A protected record of 1.3.
    fn open_unified_header(&mut self, flags: u8, record: &mut [u8]) -> Opened {
        let header_length = unified_header_length(flags, self.cid_in.len());
        if record.len().saturating_sub(header_length) > MAX_PLAINTEXT + MAX_EXPANSION {
            return Opened::Dropped(Dropped::Oversized);
        }
        let of_epoch = |read: &&mut ReadEpoch| {
            (read.epoch as u8 ^ flags) & 0b11 == 0
                && matches!(
                    read.protection,
                    Protection::Tls13(_) | Protection::Asleep13(_)
                )
        };
        let Some(read) = self.read.iter_mut().rev().find(of_epoch) else {
            let plain_only = self.read.iter().all(|read| read.epoch < 3);
            return if plain_only {
                Opened::Early
            } else {
                Opened::Dropped(Dropped::Epoch)
            };
        };
        let woken;
        let keys: &Keys13 = match &read.protection {
            Protection::Tls13(keys) => keys,
            Protection::Asleep13(raw) => match raw.wake() {
                Ok(keys) => {
                    woken = keys;
                    &woken
                }
                Err(_) => return Opened::Dropped(Dropped::Epoch),
            },
            Protection::Plain | Protection::Tls12(_) => return Opened::Dropped(Dropped::Epoch),
        };
        let other_cid = if flags & 0b1_0000 == 0 {
            !self.cid_in.is_empty()
        } else {
            !has_cid(record, &self.cid_in)
        };
        if other_cid {
            return Opened::Dropped(Dropped::Malformed);
        }
        let Some((header, body)) = record.split_at_mut_checked(header_length) else {
            return Opened::Dropped(Dropped::Malformed);
        };
        let expected = read.replay.next();
        let sequence = keys
            .mask
            .mask(body)
            .ok()
            .and_then(|mask| clear_number(header, flags, self.cid_in.len(), expected, mask));
        let Some(sequence) = sequence else {
            return Opened::Dropped(Dropped::Malformed);
        };
        if !read.replay.is_new(sequence) {
            return Opened::Dropped(Dropped::Replay);
        }
        let Ok(length) = keys.aead.open(keys.nonce(sequence), header, body) else {
            read.forged += 1;
            return Opened::Dropped(Dropped::Forged);
        };
        read.replay.mark(sequence);
        let number = RecordNumber {
            epoch: read.epoch,
            sequence,
        };
        self.note_newest(sequence >= expected, number.epoch);
        let text = body.get(..length).unwrap_or_default();
        finish_inner(number, text, header_length, self.limit_in + 1)
    }
}

/// Opens a datagram of 1.3 if it is the record with this number. Returns the
/// octets of text.
///
/// Nonce and associated data are made of the number that is expected and not of
/// the one that is found, though they are the same: so the AEAD can begin while
/// the mask is still on its way, which is a whole AES.
#[inline(always)]
fn open_next13(
    keys: &Keys13,
    number: RecordNumber,
    datagram: &mut [u8],
) -> Option<Result<usize, CryptoError>> {
    let (header, body) = datagram.split_first_chunk_mut::<UNIFIED_HEADER>()?;
    let [flags, high, low, length_high, length_low] = *header;
    let length = u16::from_be_bytes([length_high, length_low]);
    let sequence = number.sequence as u16;
    if flags != unified_flags(number.epoch) || usize::from(length) != body.len() {
        return None;
    }
    let mask = keys.mask.mask(body).ok()?;
    if u16::from_be_bytes([high, low]) ^ mask != sequence {
        return None;
    }
    let aad = unified_header(flags, sequence, length);
    let aad = aad.get(..UNIFIED_HEADER)?;
    Some(keys.aead.open(keys.nonce(number.sequence), aad, body))
}

/// Opens a datagram of 1.2 if it is the record of application data with this
/// number. Returns the octets of text.
#[inline]
fn open_next12(
    keys: &Keys12,
    number: RecordNumber,
    datagram: &mut [u8],
) -> Option<Result<usize, CryptoError>> {
    let (header, body) = datagram.split_first_chunk_mut::<PLAIN_HEADER>()?;
    let [kind, major, minor, packed @ .., length_high, length_low] = *header;
    if ContentType(kind) != ContentType::APPLICATION_DATA
        || u16::from_be_bytes([major, minor]) != DTLS12
        || packed != number.packed()
        || usize::from(u16::from_be_bytes([length_high, length_low])) != body.len()
    {
        return None;
    }
    let (explicit, body) = if keys.algorithm.explicit_nonce_length() == 8 {
        let (explicit, body) = body.split_first_chunk_mut::<8>()?;
        (*explicit, body)
    } else {
        (packed, body)
    };
    let text_length = body.len().checked_sub(TAG)?;
    let aad = aad12(ContentType::APPLICATION_DATA, number, text_length);
    let aad = aad.get(..AAD12)?;
    Some(keys.aead.open(keys.nonce(explicit), aad, body))
}

/// Whether the unified header has this connection ID. Apart, so that records
/// without one do not compare nothing with nothing by a call.
#[cold]
fn has_cid(record: &[u8], cid: &[u8]) -> bool {
    !cid.is_empty() && record.get(1..1 + cid.len()) == Some(cid)
}

/// Takes the mask off the number in the header: the associated data are the
/// header with its number in the clear (RFC 9147 §4).
/// Returns the number in full.
fn clear_number(
    header: &mut [u8],
    flags: u8,
    cid_length: usize,
    expected: u64,
    mask: u16,
) -> Option<u64> {
    let at = if flags & 0b1_0000 == 0 {
        1
    } else {
        1 + cid_length
    };
    let length = if flags & 0b1000 == 0 { 1 } else { 2 };
    let octets = header.get_mut(at..at + length)?;
    let mut truncated = 0;
    for (octet, mask) in octets.iter_mut().zip(mask.to_be_bytes()) {
        *octet ^= mask;
        truncated = truncated << 8 | u64::from(*octet);
    }
    Some(reconstruct(expected, truncated, 8 * length as u32))
}

/// Takes padding and content type off (RFC 8446 §5.4) what begins at `at` of
/// its record.
#[inline]
fn finish_inner(number: RecordNumber, text: &[u8], at: usize, limit: usize) -> Opened {
    if text.len() > limit {
        return Opened::Overflow;
    }
    let Some(length) = text.iter().rposition(|octet| *octet != 0) else {
        return Opened::NoContentType;
    };
    Opened::Record {
        number,
        content_type: ContentType(text.get(length).copied().unwrap_or(0)),
        payload: Payload { at, length },
    }
}

/// Opens a record of 1.2.
#[inline]
fn open12(
    keys: &Keys12,
    content_type: ContentType,
    number: RecordNumber,
    cid: &[u8],
    header_length: usize,
    record: &mut [u8],
) -> Result<Payload, CryptoError> {
    let (header, body) = record
        .split_at_mut_checked(header_length)
        .ok_or(CryptoError)?;
    if !cid.is_empty() && header.get(11..11 + cid.len()) != Some(cid) {
        return Err(CryptoError);
    }
    let explicit_length = keys.algorithm.explicit_nonce_length();
    let (explicit, body) = if explicit_length == 8 {
        let (explicit, body) = body.split_first_chunk_mut::<8>().ok_or(CryptoError)?;
        (*explicit, body)
    } else {
        (number.packed(), body)
    };
    let text_length = body.len().checked_sub(TAG).ok_or(CryptoError)?;
    let nonce = keys.nonce(explicit);
    let length = if cid.is_empty() {
        let aad = aad12(content_type, number, text_length);
        let aad = aad.get(..AAD12).unwrap_or_default();
        keys.aead.open(nonce, aad, body)
    } else {
        with_cid_aad(number, cid, text_length, |aad| {
            keys.aead.open(nonce, aad, body)
        })
    }?;
    Ok(Payload {
        at: header_length + explicit_length,
        length,
    })
}

/// The full sequence number nearest to `expected` (RFC 9147 §4.2.2).
#[inline]
fn reconstruct(expected: u64, truncated: u64, bits: u32) -> u64 {
    let window = 1_u64 << bits;
    let candidate = expected & !(window - 1) | truncated;
    if candidate + window / 2 <= expected && candidate + window <= LAST_SEQUENCE {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_truncated_number_near_the_expected_one_is_reconstructed(
            expected in 40_000_u64..1 << 40, off in -32_000_i64..32_000,
        ) {
            let actual = expected.checked_add_signed(off).expect("in range");
            prop_assert_eq!(reconstruct(expected, actual & 0xffff, 16), actual);
        }

        #[test]
        fn eight_bits_are_enough_nearby(expected in 200_u64..1 << 40, off in -127_i64..127) {
            let actual = expected.checked_add_signed(off).expect("in range");
            prop_assert_eq!(reconstruct(expected, actual & 0xff, 8), actual);
        }
    }
}
