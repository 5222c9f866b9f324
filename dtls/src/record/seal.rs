//! From a payload to a record, where it lies.

use super::protection::{AAD12, Keys12, Keys13, Protection, aad12, with_cid_aad};
use super::{CannotSeal, LAST_SEQUENCE, RecordLayer};
use crate::crypto::aead::TAG;
use crate::limits::{MAX_EXPANSION, MAX_PLAINTEXT};
use crate::wire::hello::DTLS12;
use crate::wire::record::{ContentType, PLAIN_HEADER, RecordNumber, UNIFIED_HEADER};

impl RecordLayer {
    /// Octets before the payload of a record of `epoch`.
    #[inline]
    pub(crate) fn headroom(&self, epoch: u64) -> usize {
        match self.write_epoch(epoch).map(|write| &write.protection) {
            Some(Protection::Tls13(_)) => UNIFIED_HEADER + self.cid_out.len(),
            Some(Protection::Tls12(keys)) => {
                PLAIN_HEADER + self.cid_out.len() + keys.algorithm.explicit_nonce_length()
            }
            Some(Protection::Plain | Protection::Asleep13(_)) | None => PLAIN_HEADER,
        }
    }

    /// Octets after it.
    pub(crate) fn tailroom(&self, epoch: u64) -> usize {
        match self.write_epoch(epoch).map(|write| &write.protection) {
            Some(Protection::Tls13(_)) => 1 + TAG,
            Some(Protection::Tls12(_)) => usize::from(!self.cid_out.is_empty()) + TAG,
            Some(Protection::Plain | Protection::Asleep13(_)) | None => 0,
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
        // The newest epoch is the last, and nearly always the one.
        let write = self
            .write
            .iter_mut()
            .rev()
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
        let cid: &[u8] = &self.cid_out;
        match &write.protection {
            Protection::Plain => {
                let record = out.get_mut(start..).ok_or(CannotSeal)?;
                let version = self.plain_version;
                write_plain_header(record, content_type, version, number, &[], length)?;
            }
            Protection::Tls12(keys) => {
                seal12(keys, content_type, number, cid, out, (start, headroom))?;
            }
            // Nothing is written with keys of an epoch that is over.
            Protection::Asleep13(_) => return Err(CannotSeal),
            Protection::Tls13(keys) => {
                seal13(keys, content_type, number, cid, out, (start, headroom))?;
            }
        }
        self.counters.sealed += 1;
        Ok(number)
    }
}

/// Seals with 1.2's header, and its connection ID if there is one (RFC 9146 §4).
#[inline]
fn seal12(
    keys: &Keys12,
    content_type: ContentType,
    number: RecordNumber,
    cid: &[u8],
    out: &mut Vec<u8>,
    (start, headroom): (usize, usize),
) -> Result<(), CannotSeal> {
    let mut outer = content_type;
    if !cid.is_empty() {
        out.push(content_type.0);
        outer = ContentType::TLS12_CID;
    }
    let explicit = number.packed();
    let explicit_length = keys.algorithm.explicit_nonce_length();
    let record = out.get_mut(start..).ok_or(CannotSeal)?;
    let text_length = record.len().checked_sub(headroom).ok_or(CannotSeal)?;
    let body_length = explicit_length + text_length + TAG;
    write_plain_header(record, outer, DTLS12, number, cid, body_length)?;
    let (head, text) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
    if explicit_length == 8 {
        *head.last_chunk_mut::<8>().ok_or(CannotSeal)? = explicit;
    }
    let nonce = keys.nonce(explicit);
    let tag = if cid.is_empty() {
        let aad = aad12(outer, number, text_length);
        let aad = aad.get(..AAD12).unwrap_or_default();
        keys.aead.seal(nonce, aad, text)
    } else {
        with_cid_aad(number, cid, text_length, |aad| {
            keys.aead.seal(nonce, aad, text)
        })
    }
    .map_err(|_| CannotSeal)?;
    out.extend_from_slice(&tag);
    Ok(())
}

/// Seals with the unified header (RFC 9147 §4).
#[inline]
fn seal13(
    keys: &Keys13,
    content_type: ContentType,
    number: RecordNumber,
    cid: &[u8],
    out: &mut Vec<u8>,
    (start, headroom): (usize, usize),
) -> Result<(), CannotSeal> {
    out.push(content_type.0);
    let record = out.get_mut(start..).ok_or(CannotSeal)?;
    let (head, text) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
    // 001CSLEE with two octets of sequence number and a length.
    let flags = 0b0010_1100 | (number.epoch & 0b11) as u8;
    let body_length = (text.len() + TAG) as u16;
    if let Some((first, rest)) = head.split_first_mut() {
        *first = if cid.is_empty() {
            flags
        } else {
            flags | 0b1_0000
        };
        let (cid_room, rest) = rest.split_at_mut_checked(cid.len()).ok_or(CannotSeal)?;
        cid_room.copy_from_slice(cid);
        let (sequence, length) = rest.split_at_mut_checked(2).ok_or(CannotSeal)?;
        sequence.copy_from_slice(&(number.sequence as u16).to_be_bytes());
        length.copy_from_slice(&body_length.to_be_bytes());
    }
    let nonce = keys.nonce(number.sequence);
    let tag = keys.aead.seal(nonce, head, text).map_err(|_| CannotSeal)?;
    out.extend_from_slice(&tag);
    let ciphertext = out.get(start + headroom..).ok_or(CannotSeal)?;
    let mask = keys.mask.mask(ciphertext).map_err(|_| CannotSeal)?;
    let sequence_at = start + 1 + cid.len();
    let sequence = out
        .get_mut(sequence_at..sequence_at + 2)
        .ok_or(CannotSeal)?;
    for (octet, mask) in sequence.iter_mut().zip(mask) {
        *octet ^= mask;
    }
    Ok(())
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
    head[..3].copy_from_slice(&[content_type.0, version_high, version_low]);
    head[3..].copy_from_slice(&number.packed());
    let (cid_room, rest) = rest.split_at_mut_checked(cid.len()).ok_or(CannotSeal)?;
    cid_room.copy_from_slice(cid);
    let length = rest.first_chunk_mut::<2>().ok_or(CannotSeal)?;
    *length = (body_length as u16).to_be_bytes();
    Ok(())
}
