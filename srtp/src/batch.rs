//! Packets of a batch.

use core::fmt;

/// One packet of a batch: where it lies, and after the batch call what became of it.
///
/// `E` is [`ProtectError`](crate::ProtectError) or [`UnprotectError`](crate::UnprotectError).
pub struct Slot<'a, E> {
    pub(crate) buffer: &'a mut [u8],
    pub(crate) len: usize,
    pub(crate) result: Option<Result<usize, E>>,
}

impl<'a, E: Copy> Slot<'a, E> {
    /// The packet `buffer[..len]`. To be protected it needs room behind it, as much as
    /// [`Sender::rtp_overhead`](crate::Sender::rtp_overhead) says.
    pub fn new(buffer: &'a mut [u8], len: usize) -> Self {
        Self {
            buffer,
            len,
            result: None,
        }
    }

    /// The packet's new length, or why there is none; `None` before the batch call.
    pub fn result(&self) -> Option<Result<usize, E>> {
        self.result
    }

    /// The packet as the batch call left it, `None` if it failed or was not called.
    pub fn packet(&self) -> Option<&[u8]> {
        match self.result {
            Some(Ok(len)) => self.buffer.get(..len),
            _ => None,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Slot<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("len", &self.len)
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}
