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
        // Under load the queue may never be empty: what was sent goes once it is more than what was not.
        if self.taken > self.octets.len() / 2 {
            self.octets.drain(..self.taken);
            self.taken = 0;
        }
        Some((client, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Transport;

    #[test]
    fn what_was_sent_is_freed_though_the_queue_is_never_empty() {
        let addr = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let client = FiveTuple {
            local: addr,
            remote: addr,
            transport: Transport::Udp,
        };
        let mut outbox = Outbox::default();
        let mut out = Vec::new();
        for n in 0..10_000u32 {
            let message = [n as u8; 100];
            assert!(outbox.push(client, |to| {
                to.extend_from_slice(&message);
                Ok(message.len())
            }));
            if n > 0 {
                out.clear();
                assert_eq!(outbox.pop(&mut out), Some((client, 100)));
                assert_eq!(out, [(n - 1) as u8; 100]);
            }
            assert!(outbox.octets.len() <= 400, "{}", outbox.octets.len());
        }
    }
}
