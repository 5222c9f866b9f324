//! Writers: they append to the caller's buffer.

use super::{COMMON_HEADER_LEN, DATA_HEADER_LEN, FLAG_BEGIN, Header, I_DATA_HEADER_LEN, checksum};
use super::{chunk_type, padded};

/// Appends a common header with the checksum zero.
#[inline]
pub fn start_packet(out: &mut Vec<u8>, header: &Header) {
    let mut head = [0u8; COMMON_HEADER_LEN];
    let [s0, s1] = header.source_port.to_be_bytes();
    let [d0, d1] = header.destination_port.to_be_bytes();
    let [t0, t1, t2, t3] = header.verification_tag.to_be_bytes();
    head[..8].copy_from_slice(&[s0, s1, d0, d1, t0, t1, t2, t3]);
    out.extend_from_slice(&head);
}

/// Fills in the checksum of the packet that begins at `start`.
#[inline]
pub fn finish_packet(out: &mut [u8], start: usize) {
    let Some(packet) = out.get_mut(start..) else {
        return;
    };
    let sum = checksum(packet).to_le_bytes();
    if let Some(field) = packet.get_mut(8..COMMON_HEADER_LEN) {
        field.copy_from_slice(&sum);
    }
}

/// A chunk being written: its length is filled in and its padding appended by
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct ChunkWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> ChunkWriter<'o> {
    /// Begins a chunk.
    pub fn new(out: &'o mut Vec<u8>, kind: u8, flags: u8) -> Self {
        let start = out.len();
        out.extend_from_slice(&[kind, flags, 0, 0]);
        Self { out, start }
    }

    /// Appends bytes.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends a 16-bit field.
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 32-bit field.
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a parameter or cause, padded before what follows.
    pub fn parameter(self, kind: u16, value: &[u8]) -> Self {
        pad(self.out, self.start);
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.u16(kind).u16(length).bytes(value)
    }

    /// How many octets the chunk has so far.
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Never: a chunk has its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Fills in the length and pads.
    pub fn finish(self) {
        let length = u16::try_from(self.len()).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(field) = self.out.get_mut(self.start + 2..self.start + 4) {
            field.copy_from_slice(&length);
        }
        pad(self.out, self.start);
    }
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.resize(start + padded(len), 0);
}

/// The header fields of a DATA or I-DATA chunk to be written.
#[derive(Clone, Copy, Debug)]
pub struct DataHeader {
    /// Write I-DATA and not DATA.
    pub interleaved: bool,
    /// The flags as on the wire.
    pub flags: u8,
    /// Transmission sequence number.
    pub tsn: u32,
    /// Stream identifier.
    pub stream: u16,
    /// Stream sequence number (its low 16 bits are used) or message identifier.
    pub message: u32,
    /// Fragment sequence number, for I-DATA.
    pub fragment: u32,
    /// Payload protocol identifier.
    pub ppid: u32,
}

impl DataHeader {
    /// Appends the chunk with its payload, padded. `payload` must be shorter than 65 500 octets.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, payload: &[u8]) {
        let [t0, t1, t2, t3] = self.tsn.to_be_bytes();
        let [s0, s1] = self.stream.to_be_bytes();
        let [m0, m1, m2, m3] = self.message.to_be_bytes();
        if self.interleaved {
            let length = payload.len() + I_DATA_HEADER_LEN;
            let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            let field = if self.flags & FLAG_BEGIN != 0 {
                self.ppid
            } else {
                self.fragment
            };
            let [f0, f1, f2, f3] = field.to_be_bytes();
            out.extend_from_slice(&[
                chunk_type::I_DATA,
                self.flags,
                l0,
                l1,
                t0,
                t1,
                t2,
                t3,
                s0,
                s1,
                0,
                0,
                m0,
                m1,
                m2,
                m3,
                f0,
                f1,
                f2,
                f3,
            ]);
        } else {
            let length = payload.len() + DATA_HEADER_LEN;
            let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            let [p0, p1, p2, p3] = self.ppid.to_be_bytes();
            out.extend_from_slice(&[
                chunk_type::DATA,
                self.flags,
                l0,
                l1,
                t0,
                t1,
                t2,
                t3,
                s0,
                s1,
                m2,
                m3,
                p0,
                p1,
                p2,
                p3,
            ]);
        }
        out.extend_from_slice(payload);
        let padding = padded(payload.len()) - payload.len();
        out.extend_from_slice(&[0u8; 3][..padding]);
    }
}
