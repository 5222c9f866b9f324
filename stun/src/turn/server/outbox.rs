//! Answers that wait to be sent: one buffer, reused.

use std::collections::VecDeque;

use super::config::FiveTuple;
use crate::error::WriteError;
use crate::limits::MAX_QUEUED_RESPONSES;

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
        if self.queue.len() >= MAX_QUEUED_RESPONSES {
            return false;
        }
        match write(&mut self.octets) {
            Ok(len) => {
                self.queue.push_back((client, len));
                true
            }
            Err(_) => false,
        }
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
