//! Which stream sends next (RFC 8260 §3).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How the association shares its capacity among streams (RFC 8260 §3).
///
/// Without message interleaving (I-DATA) a choice holds for a whole message, with it for a
/// fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduler {
    /// Messages in the order in which they were given (§3.1).
    FirstComeFirstServed,
    /// One after another (§3.2).
    RoundRobin,
    /// One after another, changing only between packets (§3.3).
    RoundRobinPacket,
    /// Strictly by priority, equal ones in turn (§3.4).
    Priority,
    /// The same octets for each stream (§3.5).
    FairCapacity,
    /// Octets in proportion to the streams' priorities (§3.6): what data channels want
    /// (RFC 8831 §6.4).
    #[default]
    WeightedFair,
}

/// What a stream is sorted by: smallest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    class: u16,
    order: u64,
}

/// One octet at weight 1 in virtual time.
const OCTET: u64 = 1 << 16;

/// The queue of streams that have something to send. Every step is O(log n).
#[derive(Debug)]
pub(crate) struct Turns {
    policy: Scheduler,
    heap: BinaryHeap<Reverse<(Rank, u16)>>,
    turn: u64,
    virtual_time: u64,
}

/// A stream's own part of the bookkeeping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Weight, or priority: larger is more.
    pub(crate) weight: u16,
    /// The virtual time at which the stream has used up what it was given.
    finish: u64,
}

impl Share {
    pub(crate) const fn new(weight: u16) -> Self {
        Self { weight, finish: 0 }
    }
}

impl Turns {
    pub(crate) fn new(policy: Scheduler) -> Self {
        Self {
            policy,
            heap: BinaryHeap::new(),
            turn: 0,
            virtual_time: 0,
        }
    }

    pub(crate) fn policy(&self) -> Scheduler {
        self.policy
    }

    /// The stream whose turn it is.
    #[inline]
    pub(crate) fn first(&self) -> Option<u16> {
        self.heap.peek().map(|Reverse((_, stream))| *stream)
    }

    /// Takes the first stream out; it comes back by [`add`](Self::add).
    #[inline]
    pub(crate) fn pop(&mut self) {
        if let Some(Reverse((rank, _))) = self.heap.pop() {
            self.virtual_time = self.virtual_time.max(rank.order);
        }
    }

    /// Adds a stream that is not in the queue and has just sent `octets`; `arrival` numbers its
    /// first message.
    #[inline]
    pub(crate) fn add(&mut self, stream: u16, share: &mut Share, octets: usize, arrival: u64) {
        let rank = self.rank(share, arrival, octets);
        self.heap.push(Reverse((rank, stream)));
    }

    /// Charges a stream that has nothing more to send.
    pub(crate) fn charge(&mut self, share: &mut Share, octets: usize) {
        let _ = self.rank(share, 0, octets);
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        self.heap.shrink_to_fit();
    }

    /// Takes a stream out of the queue: O(n), unless it is the first.
    pub(crate) fn remove(&mut self, stream: u16) {
        if self.first() == Some(stream) {
            self.heap.pop();
            return;
        }
        self.heap.retain(|Reverse((_, id))| *id != stream);
    }

    /// The rank after `octets` more.
    #[inline]
    fn rank(&mut self, share: &mut Share, arrival: u64, octets: usize) -> Rank {
        let weight = match self.policy {
            Scheduler::FirstComeFirstServed => {
                return Rank {
                    class: 0,
                    order: arrival,
                };
            }
            Scheduler::RoundRobin | Scheduler::RoundRobinPacket => {
                self.turn += 1;
                return Rank {
                    class: 0,
                    order: self.turn,
                };
            }
            Scheduler::Priority => {
                self.turn += 1;
                return Rank {
                    class: u16::MAX - share.weight,
                    order: self.turn,
                };
            }
            Scheduler::FairCapacity => 1,
            Scheduler::WeightedFair => u64::from(share.weight.max(1)),
        };
        // Start-time fair queueing: a stream that was idle starts now, not in the past.
        let start = share.finish.max(self.virtual_time);
        share.finish = start + octets as u64 * OCTET / weight;
        Rank {
            class: 0,
            order: share.finish,
        }
    }
}
