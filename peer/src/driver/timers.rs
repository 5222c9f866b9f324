//! One queue for the timers of all peers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::slot::PeerId;

/// A heap up to this size is not worth tidying.
const TIDY_FROM: usize = 256;

/// When which peer wants to be called. A peer has at most one entry that counts; entries that were overtaken stay in the
/// heap until their time and are passed over then, so a change costs O(log n) and nothing is searched.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, PeerId)>>,
    /// Entries that were left when the heap was tidied last.
    tidied: usize,
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

    /// Throws away entries that don't count, when they are most of the heap. `counts` is asked of each: amortised, O(1)
    /// an entry.
    pub(super) fn tidy(&mut self, mut counts: impl FnMut(Instant, PeerId) -> bool) {
        if self.heap.len() > 2 * self.tidied + TIDY_FROM {
            self.heap.retain(|Reverse((at, peer))| counts(*at, *peer));
            self.heap.shrink_to(2 * self.heap.len() + TIDY_FROM);
            self.tidied = self.heap.len();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_that_were_overtaken_do_not_pile_up() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let peer = |index| PeerId {
            index,
            generation: 0,
        };
        let mut armed = [None; 10];
        // Each peer's timer comes nearer, ten thousand times.
        for round in (1..10_000).rev() {
            for index in 0..10 {
                let at = now + Duration::from_millis(round);
                timers.arm(peer(index), Some(at), &mut armed[index as usize]);
            }
            timers.tidy(|at, id| armed[id.index as usize] == Some(at));
        }
        assert!(timers.heap.len() <= TIDY_FROM + 30, "{}", timers.heap.len());
        let due = std::iter::from_fn(|| timers.pop_due(now + Duration::from_secs(1)));
        let live = due.filter(|(at, id)| armed[id.index as usize] == Some(*at));
        assert_eq!(live.count(), 10);
    }
}
