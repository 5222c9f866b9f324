//! The packet: common header, checksum, and the walk over its chunks.

use super::{CHUNK_HEADER_LEN, COMMON_HEADER_LEN, Chunk, be16, be32, padded};

/// The common header's fields but the checksum (RFC 9260 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's SCTP port.
    pub source_port: u16,
    /// The receiver's SCTP port.
    pub destination_port: u16,
    /// The receiver's verification tag, 0 for INIT.
    pub verification_tag: u32,
}

/// Why a datagram is no SCTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than the common header.
    #[error("the packet is shorter than the common header")]
    TooShort,
    /// The CRC32c does not match (RFC 9260 §6.8).
    #[error("the checksum does not match")]
    Checksum,
}

/// A received packet: the header is read, the chunks are yet to be walked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The common header.
    pub header: Header,
    chunks: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header and checks the checksum.
    ///
    /// With `zero_acceptable` a checksum of zero passes unchecked (RFC 9653 §5.3).
    pub fn parse(bytes: &'a [u8], zero_acceptable: bool) -> Result<Self, PacketError> {
        let (Some(source_port), Some(destination_port), Some(verification_tag)) =
            (be16(bytes, 0), be16(bytes, 2), be32(bytes, 4))
        else {
            return Err(PacketError::TooShort);
        };
        let (Some(sum), Some(chunks)) = (
            bytes.get(8..).and_then(|b| b.first_chunk::<4>()),
            bytes.get(COMMON_HEADER_LEN..),
        ) else {
            return Err(PacketError::TooShort);
        };
        let unchecked = zero_acceptable && *sum == [0; 4];
        if !unchecked && u32::from_le_bytes(*sum) != checksum(bytes) {
            return Err(PacketError::Checksum);
        }
        let header = Header {
            source_port,
            destination_port,
            verification_tag,
        };
        Ok(Self { header, chunks })
    }

    /// The chunks in the order of the packet; ends at the first malformed one.
    pub fn chunks(&self) -> ChunkIter<'a> {
        ChunkIter {
            rest: self.chunks,
            malformed: false,
        }
    }
}

/// The CRC32c of a packet with its checksum field taken as zero (RFC 9260 appendix A).
///
/// It is to be written least significant octet first.
pub fn checksum(packet: &[u8]) -> u32 {
    let (head, tail) = packet.split_at(packet.len().min(8));
    let mut start = [0u8; COMMON_HEADER_LEN];
    if let Some(room) = start.get_mut(..head.len()) {
        room.copy_from_slice(head);
    }
    let crc = crc32c::crc32c(&start);
    crc32c::crc32c_append(crc, tail.get(4..).unwrap_or_default())
}

/// Iterator over a packet's chunks.
#[derive(Clone, Debug)]
pub struct ChunkIter<'a> {
    rest: &'a [u8],
    malformed: bool,
}

impl ChunkIter<'_> {
    /// Whether the walk ended at a chunk whose length or fields do not fit.
    pub fn malformed(&self) -> bool {
        self.malformed
    }
}

impl<'a> Iterator for ChunkIter<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let raw = self.rest;
        let chunk = raw.first_chunk::<4>().and_then(|head| {
            let [kind, flags, l0, l1] = *head;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = raw.get(CHUNK_HEADER_LEN..length)?;
            let whole = raw.get(..length)?;
            // The last chunk's padding may be missing: tolerated, as others do.
            self.rest = raw.get(padded(length)..).unwrap_or_default();
            Chunk::parse(kind, flags, value, whole)
        });
        if chunk.is_none() {
            self.malformed = true;
            self.rest = &[];
        }
        chunk
    }
}
