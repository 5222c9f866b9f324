//! Record headers: DTLSPlaintext and DTLSCiphertext of 1.2 (RFC 6347 §4.1,
//! RFC 9146 §4), and the unified header of 1.3 (RFC 9147 §4). Where records
//! end; what stands in their headers is read where they are opened.

use super::Malformed;

/// Length of the header that 1.2 and every plaintext record has.
pub(crate) const PLAIN_HEADER: usize = 13;

/// Length of the unified header as we write it without a connection ID:
/// one octet, two of sequence number, two of length.
pub(crate) const UNIFIED_HEADER: usize = 5;

/// What a record carries (RFC 8446 §5.1, RFC 9147 §4, RFC 9146 §4). One octet
/// and no enum: it passes through every record's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentType(pub(crate) u8);

impl ContentType {
    pub(crate) const CHANGE_CIPHER_SPEC: Self = Self(20);
    pub(crate) const ALERT: Self = Self(21);
    pub(crate) const HANDSHAKE: Self = Self(22);
    pub(crate) const APPLICATION_DATA: Self = Self(23);
    pub(crate) const TLS12_CID: Self = Self(25);
    pub(crate) const ACK: Self = Self(26);
}

/// Epoch and sequence number: what identifies a record (RFC 9147 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordNumber {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

impl RecordNumber {
    /// The 64-bit form of 1.2: epoch in the high 16 bits.
    #[inline]
    pub(crate) fn packed(self) -> [u8; 8] {
        (self.epoch << 48 | self.sequence & 0xffff_ffff_ffff).to_be_bytes()
    }

    #[inline]
    pub(crate) fn from_packed(packed: [u8; 8]) -> Self {
        let packed = u64::from_be_bytes(packed);
        Self {
            epoch: packed >> 48,
            sequence: packed & 0xffff_ffff_ffff,
        }
    }
}

/// Whether a record begins with the unified header (RFC 9147 §4): 001CSLEE.
#[inline]
pub(crate) fn is_unified(first: u8) -> bool {
    first & 0b1110_0000 == 0b0010_0000
}

/// Length of a unified header with these flags and our connection ID, which
/// stands in it where the flags say so.
#[inline]
pub(crate) fn unified_header_length(flags: u8, cid_length: usize) -> usize {
    let cid = if flags & 0b1_0000 == 0 { 0 } else { cid_length };
    let sequence = if flags & 0b1000 == 0 { 1 } else { 2 };
    let length = if flags & 0b100 == 0 { 0 } else { 2 };
    1 + cid + sequence + length
}

/// Length of the header with 13 octets, and perhaps a connection ID (type 25).
#[inline]
pub(crate) fn plain_header_length(content_type: ContentType, cid_length: usize) -> usize {
    if content_type == ContentType::TLS12_CID {
        PLAIN_HEADER + cid_length
    } else {
        PLAIN_HEADER
    }
}

/// Length of the first record of `datagram`, header included, all of which is
/// there. `cid_length` is the length of the connection ID that we told the peer
/// to put in.
#[inline]
pub(crate) fn record_length(datagram: &[u8], cid_length: usize) -> Result<usize, Malformed> {
    let first = *datagram.first().ok_or(Malformed)?;
    // Without a connection ID, with two octets of number and a length: as we
    // write it, and nearly all do.
    if first & 0b1111_1100 == 0b0010_1100
        && let Some(&[_, _, _, high, low]) = datagram.first_chunk::<UNIFIED_HEADER>()
    {
        let total = UNIFIED_HEADER + usize::from(u16::from_be_bytes([high, low]));
        return if total > datagram.len() {
            Err(Malformed)
        } else {
            Ok(total)
        };
    }
    let header = if is_unified(first) {
        if first & 0b1_0000 != 0 && cid_length == 0 {
            return Err(Malformed);
        }
        let header = unified_header_length(first, cid_length);
        if first & 0b100 == 0 {
            // Without a length it goes on to the end.
            return if datagram.len() < header {
                Err(Malformed)
            } else {
                Ok(datagram.len())
            };
        }
        header
    } else {
        let content_type = ContentType(first);
        if content_type == ContentType::TLS12_CID && cid_length == 0 {
            return Err(Malformed);
        }
        plain_header_length(content_type, cid_length)
    };
    // Both headers end with the length of what follows.
    let length = datagram
        .get(..header)
        .and_then(<[u8]>::last_chunk::<2>)
        .ok_or(Malformed)?;
    let total = header + usize::from(u16::from_be_bytes(*length));
    if total > datagram.len() {
        return Err(Malformed);
    }
    Ok(total)
}
