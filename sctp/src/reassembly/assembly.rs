//! One fragment, and the growing front part of one message.

use bytes::Bytes;

use crate::limits::FRAGMENT_OVERHEAD;
use crate::payload::Payload;
use crate::wire::{DataChunk, FLAG_BEGIN, FLAG_END, FLAG_UNORDERED};

#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) stream: u16,
    flags: u8,
    /// SSN or MID as on the wire.
    pub(super) message: u32,
    /// FSN as on the wire.
    pub(super) number: u32,
    pub(super) ppid: u32,
    pub(super) payload: Bytes,
}

impl Fragment {
    pub(super) fn new(chunk: &DataChunk<'_>, payload: Bytes) -> Self {
        Self {
            stream: chunk.stream,
            flags: chunk.flags,
            message: chunk.message,
            number: chunk.fragment,
            ppid: chunk.ppid,
            payload,
        }
    }

    pub(super) fn begins(&self) -> bool {
        self.flags & FLAG_BEGIN != 0
    }

    pub(super) fn ends(&self) -> bool {
        self.flags & FLAG_END != 0
    }

    pub(super) fn unordered(&self) -> bool {
        self.flags & FLAG_UNORDERED != 0
    }

    pub(super) fn cost(&self) -> usize {
        self.payload.len() + FRAGMENT_OVERHEAD
    }
}

/// The contiguous front part of a message.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) stream: u16,
    pub(super) unordered: bool,
    /// Unwrapped SSN or MID.
    pub(super) message: u64,
    pub(super) ppid: u32,
    /// TSN or FSN of the next fragment.
    pub(super) next: u64,
    parts: Vec<Bytes>,
    /// Octets in `parts`.
    len: usize,
    /// Octets of the message so far, those already handed over included.
    total: usize,
    /// A first piece was handed over.
    pub(super) started: bool,
    /// The message is too large: its octets are dropped, its place in the order is kept.
    pub(super) refused: bool,
}

impl Assembly {
    pub(super) fn new(fragment: &Fragment, message: u64, first: u64, parts: usize) -> Self {
        Self {
            stream: fragment.stream,
            unordered: fragment.unordered(),
            message,
            ppid: fragment.ppid,
            next: first,
            parts: Vec::with_capacity(parts),
            len: 0,
            total: 0,
            started: false,
            refused: false,
        }
    }

    /// Appends the next fragment; returns by how much the assembly's cost grew.
    pub(super) fn push(&mut self, fragment: Fragment) -> usize {
        self.next += 1;
        self.total += fragment.payload.len();
        if self.refused {
            return 0;
        }
        let cost = fragment.cost();
        self.len += fragment.payload.len();
        self.parts.push(fragment.payload);
        cost
    }

    pub(super) fn continues_with(&self, fragment: &Fragment) -> bool {
        self.stream == fragment.stream
            && self.unordered == fragment.unordered()
            && !fragment.begins()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn fragments(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn cost(&self) -> usize {
        self.len + self.parts.len() * FRAGMENT_OVERHEAD
    }

    /// Takes what there is.
    pub(super) fn take(&mut self) -> Payload {
        let len = std::mem::take(&mut self.len);
        Payload::from_parts(std::mem::take(&mut self.parts), len)
    }
}
