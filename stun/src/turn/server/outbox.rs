//! Answers that wait to be sent: one buffer, reused.

use std::collections::VecDeque;

use super::config::FiveTuple;
use crate::error::WriteError;
use crate::limits::MAX_QUEUED_RESPONSES;

/// Why an answer was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unqueued {
    /// No room, or it cannot be written.
    Dropped,
    /// Longer than the asker may be sent.
    TooLong,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    octets: Vec<u8>,
    taken: usize,
    queue: VecDeque<(FiveTuple, usize)>,
}

impl Outbox {
    /// Queues one message; `false` when there is no room for it.
    pub(super) fn push(
        &mut self,
        client: FiveTuple,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize, WriteError>,
    ) -> bool {
        self.push_within(usize::MAX, client, write).is_ok()
    }

    /// Queues one message of at most `limit` octets; its length.
    pub(super) fn push_within(
        &mut self,
        limit: usize,
        client: FiveTuple,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize, WriteError>,
    ) -> Result<usize, Unqueued> {
        if self.queue.len() >= MAX_QUEUED_RESPONSES {
            return Err(Unqueued::Dropped);
        }
        let end = self.octets.len();
        let len = write(&mut self.octets).map_err(|_| Unqueued::Dropped)?;
        if len > limit {
            self.octets.truncate(end);
            return Err(Unqueued::TooLong);
        }
        self.queue.push_back((client, len));
        Ok(len)
    }

    #[inline]
    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> Option<(FiveTuple, usize)> {
        let (client, len) = self.queue.pop_front()?;
        let end = self.taken + len;
        out.extend_from_slice(self.octets.get(self.taken..end).unwrap_or_default());
        self.taken = end;
        if self.queue.is_empty() {
            self.octets.clear();
            self.taken = 0;
        }
        Some((client, len))
    }
}
