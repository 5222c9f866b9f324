//! From a payload to a record, where it lies.

use super::protection::{
    AAD12, Keys12, Keys13, Protection, aad12, unified_flags, unified_header, with_cid_aad,
};
use super::{CannotSeal, LAST_SEQUENCE, RecordLayer, WriteEpoch};
use crate::crypto::aead::TAG;
use crate::error::SealError;
use crate::limits::{MAX_EXPANSION, MAX_PLAINTEXT};
use crate::wire::hello::DTLS12;
use crate::wire::record::{ContentType, PLAIN_HEADER, RecordNumber, UNIFIED_HEADER};

impl WriteEpoch {
    /// Octets before the payload of a record.
    #[inline]
    fn headroom(&self, cid: &[u8]) -> usize {
        match &self.protection {
            Protection::Tls13(_) => UNIFIED_HEADER + cid.len(),
            Protection::Tls12(keys) => {
                PLAIN_HEADER + cid.len() + keys.algorithm.explicit_nonce_length()
            }
            Protection::Plain | Protection::Asleep13(_) => PLAIN_HEADER,
        }
    }

    /// Makes `out[start..]`, of which the payload begins after the headroom, a
    /// record.
    #[inline]
    fn seal(
        &mut self,
        (cid, plain_version): (&[u8], u16),
        content_type: ContentType,
        out: &mut Vec<u8>,
        (start, headroom): (usize, usize),
    ) -> Result<RecordNumber, CannotSeal> {
        let payload_at = start.checked_add(headroom).ok_or(CannotSeal)?;
        let length = out.len().checked_sub(payload_at).ok_or(CannotSeal)?;
        if self.next_sequence > LAST_SEQUENCE || length > MAX_PLAINTEXT + MAX_EXPANSION {
            return Err(CannotSeal);
        }
        let number = RecordNumber {
            epoch: self.epoch,
            sequence: self.next_sequence,
        };
        self.next_sequence += 1;
        match &self.protection {
            Protection::Plain => {
                let record = out.get_mut(start..).ok_or(CannotSeal)?;
                write_plain_header(record, content_type, plain_version, number, &[], length)?;
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
        Ok(number)
    }
}

impl RecordLayer {
    /// Octets before the payload of a record of `epoch`.
    #[inline]
    pub(crate) fn headroom(&self, epoch: u64) -> usize {
        self.write_epoch(epoch)
            .map_or(PLAIN_HEADER, |write| write.headroom(&self.cid_out))
    }

    /// Octets before the payload of a record of the current epoch.
    #[inline]
    pub(crate) fn current_headroom(&self) -> usize {
        self.write
            .last()
            .map_or(PLAIN_HEADER, |write| write.headroom(&self.cid_out))
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
        let mut epochs = self.write.iter_mut();
        let write = epochs.find(|write| write.epoch == epoch);
        let write = write.ok_or(CannotSeal)?;
        let head = (self.cid_out.as_slice(), self.plain_version);
        let headroom = write.headroom(&self.cid_out);
        let number = write.seal(head, content_type, out, (start, headroom))?;
        self.counters.sealed += 1;
        Ok(number)
    }

    /// The same with at most `most` octets of application data for the current
    /// epoch, in which nearly all are sealed; `None` when its keys are to be
    /// replaced. While that is under way they are `worn`, and seal what they may.
    #[inline]
    pub(crate) fn seal_data(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        most: usize,
        worn: bool,
    ) -> Option<Result<(), SealError>> {
        let Some(write) = self.write.last_mut() else {
            return Some(Err(SealError::Exhausted));
        };
        let headroom = write.headroom(&self.cid_out);
        let length = out
            .len()
            .checked_sub(start)
            .and_then(|length| length.checked_sub(headroom));
        match length {
            None => return Some(Err(SealError::NoHeadroom)),
            Some(length) if length > most => return Some(Err(SealError::TooLarge)),
            Some(_)
                if write.next_sequence >= write.renew_at
                    && !(worn && write.next_sequence < write.limit) =>
            {
                return None;
            }
            Some(_) => (),
        }
        let head = (self.cid_out.as_slice(), self.plain_version);
        let kind = ContentType::APPLICATION_DATA;
        let before = out.len();
        if write.seal(head, kind, out, (start, headroom)).is_err() {
            out.truncate(before);
            return Some(Err(SealError::Exhausted));
        }
        self.counters.sealed += 1;
        Some(Ok(()))
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
    out.extend_from_slice(&[0; TAG]);
    let explicit = number.packed();
    let explicit_length = keys.algorithm.explicit_nonce_length();
    let record = out.get_mut(start..).ok_or(CannotSeal)?;
    let body_length = (explicit_length + record.len()).saturating_sub(headroom);
    write_plain_header(record, outer, DTLS12, number, cid, body_length)?;
    let (head, body) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
    let text_length = body.len().saturating_sub(TAG);
    if explicit_length == 8 {
        *head.last_chunk_mut::<8>().ok_or(CannotSeal)? = explicit;
    }
    let nonce = keys.nonce(explicit);
    if cid.is_empty() {
        let aad = aad12(outer, number, text_length);
        let aad = aad.get(..AAD12).unwrap_or_default();
        keys.aead.seal(nonce, aad, body)
    } else {
        with_cid_aad(number, cid, text_length, |aad| {
            keys.aead.seal(nonce, aad, body)
        })
    }
    .map_err(|_| CannotSeal)
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
    // The content type and room for the tag.
    let mut tail = [0; 1 + TAG];
    tail[0] = content_type.0;
    out.extend_from_slice(&tail);
    let record = out.get_mut(start..).ok_or(CannotSeal)?;
    let (head, body) = record.split_at_mut_checked(headroom).ok_or(CannotSeal)?;
    let (flags, sequence) = (unified_flags(number.epoch), number.sequence as u16);
    let length = body.len() as u16;
    let nonce = keys.nonce(number.sequence);
    if cid.is_empty() {
        let head = head.first_chunk_mut::<UNIFIED_HEADER>().ok_or(CannotSeal)?;
        let aad = unified_header(flags, sequence, length);
        let aad = aad.get(..UNIFIED_HEADER).unwrap_or_default();
        keys.aead.seal(nonce, aad, body).map_err(|_| CannotSeal)?;
        let mask = keys.mask.mask(body).map_err(|_| CannotSeal)?;
        let [a, b, c, d, e, ..] = unified_header(flags, sequence ^ mask, length);
        *head = [a, b, c, d, e];
        return Ok(());
    }
    let (first, rest) = head.split_first_mut().ok_or(CannotSeal)?;
    let (cid_room, rest) = rest.split_at_mut_checked(cid.len()).ok_or(CannotSeal)?;
    let rest = rest.first_chunk_mut::<4>().ok_or(CannotSeal)?;
    *first = flags | 0b1_0000;
    cid_room.copy_from_slice(cid);
    let [_, rest_clear @ .., _, _, _] = unified_header(flags, sequence, length);
    *rest = rest_clear;
    keys.aead.seal(nonce, head, body).map_err(|_| CannotSeal)?;
    let mask = keys.mask.mask(body).map_err(|_| CannotSeal)?;
    let masked = head.get_mut(1 + cid.len()..3 + cid.len());
    let masked = masked.ok_or(CannotSeal)?;
    masked.copy_from_slice(&(sequence ^ mask).to_be_bytes());
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
