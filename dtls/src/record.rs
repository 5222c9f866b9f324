//! The record layer of both versions: epochs and their keys, opening and
//! sealing in place, replay windows. It knows no handshake.

use std::time::Instant;

use bytes::{Buf, BytesMut};

use crate::crypto::aead::{AeadKey, Algorithm, CryptoError, MaskKey, TAG};
use crate::crypto::schedule12::DirectionKeys;
use crate::crypto::schedule13::TrafficKeys;
use crate::limits::{MAX_CID, MAX_EXPANSION, MAX_PLAINTEXT};
use crate::replay::ReplayWindow;
use crate::wire::hello::{DTLS10, DTLS12};
use crate::wire::record::{
    ContentType, Framed, Header, PLAIN_HEADER, RecordNumber, UNIFIED_HEADER,
};

/// Sequence numbers are 48 bits long.
const LAST_SEQUENCE: u64 = (1 << 48) - 1;

/// Read epochs held at most: the current, the one before, and one that the
/// peer may already use.
const MAX_READ_EPOCHS: usize = 4;

/// How records of an epoch are protected in one direction.
#[derive(Debug)]
pub(crate) enum Protection {
    Plain,
    Tls12 {
        aead: Box<AeadKey>,
        iv: [u8; 12],
        algorithm: Algorithm,
    },
    Tls13 {
        aead: Box<AeadKey>,
        iv: [u8; 12],
        mask: Box<MaskKey>,
        algorithm: Algorithm,
    },
}

impl Protection {
    pub(crate) fn tls12(algorithm: Algorithm, keys: &DirectionKeys) -> Result<Self, CryptoError> {
        Ok(Self::Tls12 {
            aead: Box::new(AeadKey::new(algorithm, keys.key())?),
            iv: keys.iv,
            algorithm,
        })
    }

    pub(crate) fn tls13(keys: &TrafficKeys) -> Result<Self, CryptoError> {
        Ok(Self::Tls13 {
            aead: Box::new(AeadKey::new(keys.algorithm, keys.key())?),
            iv: keys.iv,
            mask: Box::new(MaskKey::new(keys.algorithm, keys.mask_key())?),
            algorithm: keys.algorithm,
        })
    }

    fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Plain => None,
            Self::Tls12 { algorithm, .. } | Self::Tls13 { algorithm, .. } => Some(*algorithm),
        }
    }
}

// Nonces and short associated data are made in registers and stored in wide
// pieces: the AEAD loads them at once, and a wide load after narrow stores waits
// for all of them, which costs more than making them.

/// Twelve octets from the top of a number.
#[inline]
fn top12(value: u128) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = value.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// The IV with four octets of zero after it.
#[inline]
fn wide(iv: &[u8; 12]) -> u128 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *iv;
    u128::from_be_bytes([a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0])
}

/// The nonce of 1.3 and of ChaCha20-Poly1305 in 1.2 (RFC 8446 §5.3, RFC 7905 §2).
#[inline]
fn xor_nonce(iv: &[u8; 12], number: [u8; 8]) -> [u8; 12] {
    top12(wide(iv) ^ u128::from(u64::from_be_bytes(number)) << 32)
}

/// The nonce of 1.2: with AES-GCM a fixed and an explicit part (RFC 5288 §3).
#[inline]
fn nonce12(algorithm: Algorithm, iv: &[u8; 12], explicit: [u8; 8]) -> [u8; 12] {
    // The fixed part has zeros where the explicit one goes.
    debug_assert!(algorithm.fixed_iv_length() == 12 || iv[4..] == [0; 8]);
    xor_nonce(iv, explicit)
}

/// Additional data of a 1.2 record without a connection ID (RFC 5246
/// §6.2.3.3), and three octets of zero.
#[inline]
fn aad12(content_type: ContentType, number: RecordNumber, text_length: usize) -> [u8; 16] {
    let number = u128::from(u64::from_be_bytes(number.packed()));
    let rest = u128::from(u8::from(content_type)) << 32
        | u128::from(DTLS12) << 16
        | u128::from(text_length as u16);
    (number << 64 | rest << 24).to_be_bytes()
}

/// Calls `use_it` with the additional data of a 1.2 record that may have a
/// connection ID (RFC 9146 §5.3); nothing is put on the heap.
fn with_aad12<T>(
    content_type: ContentType,
    number: RecordNumber,
    cid: &[u8],
    text_length: usize,
    use_it: impl FnOnce(&[u8]) -> T,
) -> T {
    if content_type != ContentType::Tls12Cid {
        let aad = aad12(content_type, number, text_length);
        return use_it(aad.get(..13).unwrap_or_default());
    }
    let mut aad = [0; 23 + MAX_CID];
    let mut length = 0;
    let mut push = |bytes: &[u8]| {
        if let Some(room) = aad.get_mut(length..length + bytes.len()) {
            room.copy_from_slice(bytes);
            length += bytes.len();
        }
    };
    let [major, minor] = DTLS12.to_be_bytes();
    let own: u8 = content_type.into();
    push(&[0xff; 8]);
    push(&[own, cid.len() as u8, own, major, minor]);
    push(&number.packed());
    push(cid);
    push(&(text_length as u16).to_be_bytes());
    use_it(aad.get(..length).unwrap_or_default())
}

#[derive(Debug)]
struct ReadEpoch {
    epoch: u64,
    protection: Protection,
    replay: ReplayWindow,
    forged: u64,
    expires: Option<Instant>,
}

#[derive(Debug)]
struct WriteEpoch {
    epoch: u64,
    protection: Protection,
    next_sequence: u64,
}

/// Why a record was not opened. All are dropped in silence and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// No record header, or one that claims more than there is: the rest of
    /// the datagram is lost.
    Malformed,
    /// The epoch is over, or far ahead.
    Epoch,
    /// Seen before, or too old to tell.
    Replay,
    /// The tag does not verify.
    Forged,
    /// Longer than a record may be.
    Oversized,
    /// The version field is not of DTLS.
    Version,
}

/// One record taken from a datagram.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The record's buffer holds its payload.
    Record {
        number: RecordNumber,
        content_type: ContentType,
    },
    /// Authentic, but the plaintext is more than was allowed.
    Overflow,
    /// Authentic, but without a content type (RFC 8446 §5.4).
    NoContentType,
    /// For an epoch to come: to be tried again when its keys are known.
    Early,
    Dropped(Dropped),
}

/// Counters of records, since the connection began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RecordCounters {
    pub(crate) opened: u64,
    pub(crate) sealed: u64,
    pub(crate) malformed: u64,
    pub(crate) wrong_epoch: u64,
    pub(crate) replayed: u64,
    pub(crate) forged: u64,
    pub(crate) early: u64,
}

/// Epochs of both directions. See the module.
#[derive(Debug)]
pub(crate) struct RecordLayer {
    read: Vec<ReadEpoch>,
    write: Vec<WriteEpoch>,
    /// What the peer puts in its records for us, and we in ours for it.
    pub(crate) cid_in: Vec<u8>,
    pub(crate) cid_out: Vec<u8>,
    /// What we offer to receive, until it is agreed on.
    pub(crate) cid_in_offer: Vec<u8>,
    /// What the version field of plaintext records says.
    pub(crate) plain_version: u16,
    /// Largest plaintext we accept (RFC 8449), content type included for 1.3.
    pub(crate) limit_in: usize,
    /// Whether 1.3 is in use: protected records have the unified header.
    pub(crate) unified: bool,
    pub(crate) counters: RecordCounters,
    /// A protected record newer than all before it was opened.
    pub(crate) newest_seen: bool,
    read_current: u64,
}

/// Sealing failed: keys used up, the epoch is gone, or no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotSeal;

impl RecordLayer {
    pub(crate) fn new() -> Self {
        let plain = WriteEpoch {
            epoch: 0,
            protection: Protection::Plain,
            next_sequence: 0,
        };
        let read = ReadEpoch {
            epoch: 0,
            protection: Protection::Plain,
            replay: ReplayWindow::default(),
            forged: 0,
            expires: None,
        };
        Self {
            read: vec![read],
            write: vec![plain],
            cid_in: Vec::new(),
            cid_out: Vec::new(),
            cid_in_offer: Vec::new(),
            plain_version: DTLS10,
            limit_in: MAX_PLAINTEXT,
            unified: false,
            counters: RecordCounters::default(),
            newest_seen: false,
            read_current: 0,
        }
    }

    /// Adds keys to read an epoch with. It is not current until
    /// [`Self::set_read_current`] says so.
    pub(crate) fn add_read(&mut self, epoch: u64, protection: Protection) {
        if self.read.len() == MAX_READ_EPOCHS {
            self.read.remove(0);
        }
        self.read.push(ReadEpoch {
            epoch,
            protection,
            replay: ReplayWindow::default(),
            forged: 0,
            expires: None,
        });
    }

    /// Both sides said their connection IDs: protected records carry them.
    pub(crate) fn agree_connection_ids(&mut self, theirs: &[u8]) {
        self.cid_in = std::mem::take(&mut self.cid_in_offer);
        self.cid_out = theirs.to_vec();
    }

    /// The epoch of which handshake messages are taken.
    pub(crate) fn read_current(&self) -> u64 {
        self.read_current
    }

    /// Moves on to `epoch`; those before it are kept until `expires`.
    pub(crate) fn set_read_current(&mut self, epoch: u64, expires: Instant) {
        self.read_current = epoch;
        for old in self.read.iter_mut().filter(|old| old.epoch < epoch) {
            old.expires = old.expires.or(Some(expires));
        }
        // Only the one before can still be useful.
        let before = self
            .read
            .iter()
            .map(|read| read.epoch)
            .filter(|old| *old < epoch)
            .max();
        self.read
            .retain(|read| read.epoch >= epoch || Some(read.epoch) == before);
    }

    /// Drops the plaintext epoch: what is not protected is ignored from now on.
    pub(crate) fn drop_plain_read(&mut self) {
        self.read.retain(|read| read.epoch != 0);
    }

    #[inline]
    pub(crate) fn expire(&mut self, now: Instant) {
        let expired = |read: &ReadEpoch| read.expires.is_some_and(|expires| expires <= now);
        if self.read.iter().any(expired) {
            self.read.retain(|read| !expired(read));
        }
    }

    /// Gives back what the handshake took.
    pub(crate) fn shrink(&mut self) {
        self.read.shrink_to_fit();
        self.write.shrink_to_fit();
    }

    /// Adds keys to write with; they are current at once, and those of epochs
    /// before stay for retransmissions until [`Self::drop_old_write`].
    pub(crate) fn add_write(&mut self, epoch: u64, protection: Protection) {
        self.write.push(WriteEpoch {
            epoch,
            protection,
            next_sequence: 0,
        });
    }

    /// Numbers of plaintext records go on from `sequence`: those before were
    /// used by a stateless answer (RFC 6347 §4.2.1).
    pub(crate) fn start_plain_write_at(&mut self, sequence: u64) {
        for plain in self.write.iter_mut().filter(|write| write.epoch == 0) {
            plain.next_sequence = sequence;
        }
    }

    /// Takes back the write epochs after `epoch`: nothing was sent in them.
    pub(crate) fn roll_back_write(&mut self, epoch: u64) {
        self.write
            .retain(|write| write.epoch <= epoch || write.next_sequence > 0);
    }

    #[inline]
    pub(crate) fn write_current(&self) -> u64 {
        self.write.last().map_or(0, |write| write.epoch)
    }

    /// Drops write epochs before the current one: nothing is sent again.
    pub(crate) fn drop_old_write(&mut self) {
        self.write.drain(..self.write.len().saturating_sub(1));
    }

    /// Records sealed and forgeries refused with the current keys, as shares
    /// of what the algorithm allows.
    pub(crate) fn write_is_worn(&self) -> bool {
        self.write.last().is_some_and(|write| {
            write
                .protection
                .algorithm()
                .is_some_and(|algorithm| write.next_sequence >= algorithm.confidentiality_limit())
        })
    }

    pub(crate) fn read_is_worn(&self) -> bool {
        self.read.iter().any(|read| {
            read.protection
                .algorithm()
                .is_some_and(|algorithm| read.forged >= algorithm.integrity_limit())
        })
    }

    #[inline]
    fn write_epoch(&self, epoch: u64) -> Option<&WriteEpoch> {
        self.write.iter().find(|write| write.epoch == epoch)
    }

    /// Octets before the payload of a record of `epoch`.
    #[inline]
    pub(crate) fn headroom(&self, epoch: u64) -> usize {
        match self.write_epoch(epoch).map(|write| &write.protection) {
            Some(Protection::Tls13 { .. }) => UNIFIED_HEADER + self.cid_out.len(),
            Some(Protection::Tls12 { algorithm, .. }) => {
                PLAIN_HEADER + self.cid_out.len() + algorithm.explicit_nonce_length()
            }
            Some(Protection::Plain) | None => PLAIN_HEADER,
        }
    }

    /// Octets after it.
    pub(crate) fn tailroom(&self, epoch: u64) -> usize {
        match self.write_epoch(epoch).map(|write| &write.protection) {
            Some(Protection::Tls13 { .. }) => 1 + TAG,
            Some(Protection::Tls12 { .. }) => usize::from(!self.cid_out.is_empty()) + TAG,
            Some(Protection::Plain) | None => 0,
        }
    }

    /// Makes `out[start..]`, of which the payload begins at
    /// `start + headroom(epoch)`, a record.
    pub(crate) fn seal(
        &mut self,
        epoch: u64,
        content_type: ContentType,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Result<RecordNumber, CannotSeal> {
        let headroom = self.headroom(epoch);
        let write = self
            .write
            .iter_mut()
            .find(|write| write.epoch == epoch)
            .ok_or(CannotSeal)?;
        let payload_at = start.checked_add(headroom).ok_or(CannotSeal)?;
        let length = out.len().checked_sub(payload_at).ok_or(CannotSeal)?;
        if write.next_sequence > LAST_SEQUENCE || length > MAX_PLAINTEXT + MAX_EXPANSION {
            return Err(CannotSeal);
        }
        let number = RecordNumber {
            epoch,
            sequence: write.next_sequence,
        };
        write.next_sequence += 1;
        match &write.protection {
            Protection::Plain => {
                let record = out.get_mut(start..).ok_or(CannotSeal)?;
                write_plain_header(
                    record,
                    content_type,
                    self.plain_version,
                    number,
                    &[],
                    length,
                )?;
            }
            Protection::Tls12 {
                aead,
                iv,
                algorithm,
            } => {
                let cid: &[u8] = &self.cid_out;
                let mut outer = content_type;
                if !cid.is_empty() {
                    out.push(content_type.into());
                    outer = ContentType::Tls12Cid;
                }
                let text_length = out.len() - payload_at;
                let explicit_length = algorithm.explicit_nonce_length();
                let explicit = number.packed();
                let record = out.get_mut(start..).ok_or(CannotSeal)?;
                let body_length = explicit_length + text_length + TAG;
                write_plain_header(record, outer, DTLS12, number, cid, body_length)?;
                let (head, text) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
                if explicit_length == 8 {
                    *head.last_chunk_mut::<8>().ok_or(CannotSeal)? = explicit;
                }
                let nonce = nonce12(*algorithm, iv, explicit);
                let tag = with_aad12(outer, number, cid, text_length, |aad| {
                    aead.seal(nonce, aad, text)
                })
                .map_err(|_| CannotSeal)?;
                out.extend_from_slice(&tag);
            }
            Protection::Tls13 { aead, iv, mask, .. } => {
                out.push(content_type.into());
                let cid: &[u8] = &self.cid_out;
                let record = out.get_mut(start..).ok_or(CannotSeal)?;
                let (head, text) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
                // 001CSLEE with two octets of sequence number and a length.
                let flags = 0b0010_1100 | (epoch & 0b11) as u8;
                let body_length = (text.len() + TAG) as u16;
                if let Some((first, rest)) = head.split_first_mut() {
                    *first = if cid.is_empty() {
                        flags
                    } else {
                        flags | 0b1_0000
                    };
                    let (cid_room, rest) =
                        rest.split_at_mut_checked(cid.len()).ok_or(CannotSeal)?;
                    cid_room.copy_from_slice(cid);
                    let (sequence, length) = rest.split_at_mut_checked(2).ok_or(CannotSeal)?;
                    sequence.copy_from_slice(&(number.sequence as u16).to_be_bytes());
                    length.copy_from_slice(&body_length.to_be_bytes());
                }
                let nonce = xor_nonce(iv, number.sequence.to_be_bytes());
                let tag = aead.seal(nonce, head, text).map_err(|_| CannotSeal)?;
                out.extend_from_slice(&tag);
                let ciphertext = out.get(payload_at..).ok_or(CannotSeal)?;
                let mask = mask.mask(ciphertext).map_err(|_| CannotSeal)?;
                let sequence_at = start + 1 + cid.len();
                let sequence = out
                    .get_mut(sequence_at..sequence_at + 2)
                    .ok_or(CannotSeal)?;
                for (octet, mask) in sequence.iter_mut().zip(mask) {
                    *octet ^= mask;
                }
            }
        }
        self.counters.sealed += 1;
        Ok(number)
    }

    /// Takes one record off the front of `datagram` into `record` and opens it
    /// in place. `None` when nothing is left.
    pub(crate) fn open_next(
        &mut self,
        datagram: &mut BytesMut,
        record: &mut BytesMut,
    ) -> Option<Opened> {
        if datagram.is_empty() {
            return None;
        }
        let Ok(framed) = Framed::parse(datagram, self.cid_in.len()) else {
            datagram.clear();
            self.counters.malformed += 1;
            return Some(Opened::Dropped(Dropped::Malformed));
        };
        let total = framed.header_length + framed.body_length;
        // The last record keeps the whole buffer: splitting would allocate.
        *record = if total == datagram.len() {
            std::mem::take(datagram)
        } else {
            datagram.split_to(total)
        };
        let opened = self.open(framed, record);
        let counters = &mut self.counters;
        match &opened {
            Opened::Record { .. } | Opened::Overflow | Opened::NoContentType => {
                counters.opened += 1;
            }
            Opened::Early => counters.early += 1,
            Opened::Dropped(dropped) => match dropped {
                Dropped::Malformed | Dropped::Oversized | Dropped::Version => {
                    counters.malformed += 1;
                }
                Dropped::Epoch => counters.wrong_epoch += 1,
                Dropped::Replay => counters.replayed += 1,
                Dropped::Forged => counters.forged += 1,
            },
        }
        Some(opened)
    }

    fn open(&mut self, framed: Framed, record: &mut BytesMut) -> Opened {
        if framed.body_length > MAX_PLAINTEXT + MAX_EXPANSION {
            return Opened::Dropped(Dropped::Oversized);
        }
        match framed.header {
            Header::Plain {
                content_type,
                version,
                number,
            } => {
                if version >> 8 != DTLS12 >> 8 {
                    return Opened::Dropped(Dropped::Version);
                }
                let Some(read) = self.read.iter_mut().find(|read| read.epoch == number.epoch)
                else {
                    // 1.3 protects with the other header.
                    let next = self.read.last().map_or(0, |read| read.epoch) + 1;
                    return if number.epoch == next && !self.unified {
                        Opened::Early
                    } else {
                        Opened::Dropped(Dropped::Epoch)
                    };
                };
                if !read.replay.is_new(number.sequence) {
                    return Opened::Dropped(Dropped::Replay);
                }
                match &read.protection {
                    Protection::Plain => {
                        read.replay.mark(number.sequence);
                        if framed.body_length > MAX_PLAINTEXT {
                            return Opened::Dropped(Dropped::Oversized);
                        }
                        record.advance(framed.header_length);
                        Opened::Record {
                            number,
                            content_type,
                        }
                    }
                    Protection::Tls12 {
                        aead,
                        iv,
                        algorithm,
                    } => {
                        if version != DTLS12 {
                            return Opened::Dropped(Dropped::Version);
                        }
                        // With a connection ID agreed on, nothing else is taken.
                        let with_cid = content_type == ContentType::Tls12Cid;
                        if with_cid == self.cid_in.is_empty() {
                            return Opened::Dropped(Dropped::Malformed);
                        }
                        let result = open12(
                            (aead, iv, *algorithm),
                            content_type,
                            number,
                            &self.cid_in,
                            framed.header_length,
                            record,
                        );
                        let Ok(length) = result else {
                            read.forged += 1;
                            return Opened::Dropped(Dropped::Forged);
                        };
                        self.newest_seen |= number.sequence >= read.replay.next();
                        read.replay.mark(number.sequence);
                        record.advance(framed.header_length + algorithm.explicit_nonce_length());
                        record.truncate(length);
                        if with_cid {
                            return finish_inner(number, record, self.limit_in + 1);
                        }
                        if length > self.limit_in {
                            return Opened::Overflow;
                        }
                        Opened::Record {
                            number,
                            content_type,
                        }
                    }
                    Protection::Tls13 { .. } => Opened::Dropped(Dropped::Malformed),
                }
            }
            Header::Unified {
                epoch_low_bits,
                sequence_length,
                sequence_at,
            } => {
                let found = self
                    .read
                    .iter_mut()
                    .rev()
                    .filter(|read| matches!(read.protection, Protection::Tls13 { .. }))
                    .find(|read| read.epoch as u8 & 0b11 == epoch_low_bits);
                let Some(read) = found else {
                    let plain_only = self.read.iter().all(|read| read.epoch < 3);
                    return if plain_only {
                        Opened::Early
                    } else {
                        Opened::Dropped(Dropped::Epoch)
                    };
                };
                let Protection::Tls13 { aead, iv, mask, .. } = &read.protection else {
                    return Opened::Dropped(Dropped::Epoch);
                };
                let has_cid = record.first().is_some_and(|first| first & 0b1_0000 != 0);
                if has_cid == self.cid_in.is_empty()
                    || has_cid
                        && record.get(1..1 + self.cid_in.len()) != Some(self.cid_in.as_slice())
                {
                    return Opened::Dropped(Dropped::Malformed);
                }
                let Some((header, body)) = record.split_at_mut_checked(framed.header_length) else {
                    return Opened::Dropped(Dropped::Malformed);
                };
                let Ok(mask) = mask.mask(body) else {
                    return Opened::Dropped(Dropped::Malformed);
                };
                let [mask_high, mask_low] = mask;
                let plain = u16::from_be_bytes([mask_high, mask_low]);
                let (truncated, bits) = match header.get(sequence_at..) {
                    Some([high, low, ..]) if sequence_length == 2 => {
                        (u16::from_be_bytes([*high, *low]) ^ plain, 16)
                    }
                    Some([low, ..]) => (u16::from(*low ^ mask_high), 8),
                    _ => return Opened::Dropped(Dropped::Malformed),
                };
                let sequence = reconstruct(read.replay.next(), u64::from(truncated), bits);
                if !read.replay.is_new(sequence) {
                    return Opened::Dropped(Dropped::Replay);
                }
                let nonce = xor_nonce(iv, sequence.to_be_bytes());
                // The associated data are the header with its number in the clear.
                let opened = if let [flags, _, _, high, low] = &*header
                    // Without connection ID, two octets of number and a length.
                    && flags & 0b1_1100 == 0b0_1100
                {
                    let sequence = u64::from(truncated);
                    let length = u64::from(u16::from_be_bytes([*high, *low]));
                    let aad = u64::from(*flags) << 56 | sequence << 40 | length << 24;
                    let aad = aad.to_be_bytes();
                    aead.open(nonce, aad.get(..UNIFIED_HEADER).unwrap_or_default(), body)
                } else {
                    let clear = truncated.to_be_bytes();
                    let clear = clear.get(2 - sequence_length..).unwrap_or_default();
                    if let Some(room) = header.get_mut(sequence_at..sequence_at + sequence_length) {
                        room.copy_from_slice(clear);
                    }
                    aead.open(nonce, header, body)
                };
                let Ok(length) = opened else {
                    read.forged += 1;
                    return Opened::Dropped(Dropped::Forged);
                };
                self.newest_seen |= sequence >= read.replay.next();
                read.replay.mark(sequence);
                let number = RecordNumber {
                    epoch: read.epoch,
                    sequence,
                };
                record.advance(framed.header_length);
                record.truncate(length);
                finish_inner(number, record, self.limit_in + 1)
            }
        }
    }
}

/// Takes padding and content type off (RFC 8446 §5.4).
#[inline]
fn finish_inner(number: RecordNumber, inner: &mut BytesMut, limit: usize) -> Opened {
    if inner.len() > limit {
        return Opened::Overflow;
    }
    let Some(at) = inner.iter().rposition(|octet| *octet != 0) else {
        return Opened::NoContentType;
    };
    let content_type = ContentType::from(inner.get(at).copied().unwrap_or(0));
    inner.truncate(at);
    Opened::Record {
        number,
        content_type,
    }
}

#[inline]
fn open12(
    (aead, iv, algorithm): (&AeadKey, &[u8; 12], Algorithm),
    content_type: ContentType,
    number: RecordNumber,
    cid: &[u8],
    header_length: usize,
    record: &mut BytesMut,
) -> Result<usize, CryptoError> {
    let (header, body) = record
        .split_at_mut_checked(header_length)
        .ok_or(CryptoError)?;
    let cid = if content_type == ContentType::Tls12Cid {
        cid
    } else {
        &[]
    };
    if !cid.is_empty() && header.get(11..11 + cid.len()) != Some(cid) {
        return Err(CryptoError);
    }
    let (explicit, body) = if algorithm.explicit_nonce_length() == 8 {
        let (explicit, body) = body.split_first_chunk_mut::<8>().ok_or(CryptoError)?;
        (*explicit, body)
    } else {
        (number.packed(), body)
    };
    let text_length = body.len().checked_sub(TAG).ok_or(CryptoError)?;
    let nonce = nonce12(algorithm, iv, explicit);
    with_aad12(content_type, number, cid, text_length, |aad| {
        aead.open(nonce, aad, body)
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

#[inline]
fn write_plain_header(
    record: &mut [u8],
    content_type: ContentType,
    version: u16,
    number: RecordNumber,
    cid: &[u8],
    body_length: usize,
) -> Result<(), CannotSeal> {
    let (head, rest) = record.split_first_chunk_mut::<11>().ok_or(CannotSeal)?;
    let [version_high, version_low] = version.to_be_bytes();
    head[..3].copy_from_slice(&[content_type.into(), version_high, version_low]);
    head[3..].copy_from_slice(&number.packed());
    let (cid_room, rest) = rest.split_at_mut_checked(cid.len()).ok_or(CannotSeal)?;
    cid_room.copy_from_slice(cid);
    let length = rest.first_chunk_mut::<2>().ok_or(CannotSeal)?;
    *length = (body_length as u16).to_be_bytes();
    Ok(())
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
