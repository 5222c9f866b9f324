//! Record headers: DTLSPlaintext and DTLSCiphertext of 1.2 (RFC 6347 §4.1,
//! RFC 9146 §4), and the unified header of 1.3 (RFC 9147 §4).

use super::{Malformed, Reader};

/// Length of the header that 1.2 and every plaintext record has.
pub(crate) const PLAIN_HEADER: usize = 13;

/// Length of the unified header as we write it without a connection ID:
/// one octet, two of sequence number, two of length.
pub(crate) const UNIFIED_HEADER: usize = 5;

/// What a record carries (RFC 8446 §5.1, RFC 9147 §4, RFC 9146 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    ChangeCipherSpec,
    Alert,
    Handshake,
    ApplicationData,
    Tls12Cid,
    Ack,
    Unknown(u8),
}

impl From<u8> for ContentType {
    #[inline]
    fn from(value: u8) -> Self {
        match value {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::ApplicationData,
            25 => Self::Tls12Cid,
            26 => Self::Ack,
            other => Self::Unknown(other),
        }
    }
}

impl From<ContentType> for u8 {
    fn from(value: ContentType) -> Self {
        match value {
            ContentType::ChangeCipherSpec => 20,
            ContentType::Alert => 21,
            ContentType::Handshake => 22,
            ContentType::ApplicationData => 23,
            ContentType::Tls12Cid => 25,
            ContentType::Ack => 26,
            ContentType::Unknown(other) => other,
        }
    }
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
}

/// One record's outer header, before any key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The 13-octet header, perhaps with a connection ID (type 25).
    Plain {
        content_type: ContentType,
        version: u16,
        number: RecordNumber,
    },
    /// The unified header; the sequence number is still masked.
    Unified {
        epoch_low_bits: u8,
        /// 1 or 2: octets of masked sequence number, at `sequence_at`.
        sequence_length: usize,
        sequence_at: usize,
    },
}

/// A header with the lengths that frame its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) header: Header,
    pub(crate) header_length: usize,
    pub(crate) body_length: usize,
}

impl Framed {
    /// Reads the header at the start of `datagram`. `cid_length` is the length
    /// of the connection ID that we told the peer to put in.
    #[inline]
    pub(crate) fn parse(datagram: &[u8], cid_length: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(datagram);
        let first = reader.u8()?;
        let (header, body_length) = if first & 0b1110_0000 == 0b0010_0000 {
            if first & 0b1_0000 != 0 {
                if cid_length == 0 {
                    return Err(Malformed);
                }
                reader.take(cid_length)?;
            }
            let sequence_at = datagram.len() - reader.remaining();
            let sequence_length = if first & 0b1000 == 0 { 1 } else { 2 };
            reader.take(sequence_length)?;
            let length = if first & 0b100 == 0 {
                reader.remaining()
            } else {
                usize::from(reader.u16()?)
            };
            let header = Header::Unified {
                epoch_low_bits: first & 0b11,
                sequence_length,
                sequence_at,
            };
            (header, length)
        } else {
            let content_type = ContentType::from(first);
            let version = reader.u16()?;
            let number = RecordNumber {
                epoch: u64::from(reader.u16()?),
                sequence: reader.u48()?,
            };
            if content_type == ContentType::Tls12Cid {
                if cid_length == 0 {
                    return Err(Malformed);
                }
                reader.take(cid_length)?;
            }
            let length = usize::from(reader.u16()?);
            (
                Header::Plain {
                    content_type,
                    version,
                    number,
                },
                length,
            )
        };
        let header_length = datagram.len() - reader.remaining();
        reader.take(body_length)?;
        Ok(Self {
            header,
            header_length,
            body_length,
        })
    }
}
