//! One queue for the timers of all peers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::slot::PeerId;

/// When which peer wants to be called. A peer has at most one entry that counts; entries that were overtaken stay in the
/// heap until their time and are passed over then, so a change costs O(log n) and nothing is searched.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, PeerId)>>,
}

impl Timers {
    /// Wakes `peer` at `at`. `armed` is the peer's own note of its earliest entry.
    pub(super) fn arm(&mut self, peer: PeerId, at: Option<Instant>, armed: &mut Option<Instant>) {
        let Some(at) = at else { return };
        // A later time than the one armed is found out when the earlier fires.
        if armed.is_none_or(|armed| at < armed) {
            *armed = Some(at);
            self.heap.push(Reverse((at, peer)));
        }
    }

    /// The next time that something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// A peer whose entry is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, PeerId)> {
        let due = self.heap.peek().is_some_and(|Reverse((at, _))| *at <= now);
        due.then(|| self.heap.pop().map(|Reverse(entry)| entry))
            .flatten()
    }
}
