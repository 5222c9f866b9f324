//! Packets into the order of their sequence numbers, with a bounded wait for those missing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::clock::after;
use crate::limits::{MAX_RED_BLOCKS, REORDER_BYTES, REORDER_PACKETS, REORDER_WAIT};
use crate::work;

/// Bounds of a [`ReorderBuffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderConfig {
    /// Packets held, and distance of their numbers, at most.
    pub max_packets: usize,
    /// Octets held at most.
    pub max_bytes: usize,
    /// How long a packet waits for those before it.
    pub max_wait: Duration,
}

impl Default for ReorderConfig {
    /// [`REORDER_PACKETS`], [`REORDER_BYTES`], [`REORDER_WAIT`].
    fn default() -> Self {
        Self {
            max_packets: REORDER_PACKETS,
            max_bytes: REORDER_BYTES,
            max_wait: REORDER_WAIT,
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is held, or next.
    Inserted,
    /// It is held already, or was given already.
    Duplicate,
    /// Its place was given up.
    Late,
}

/// A packet in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// Its unwrapped sequence number.
    pub sequence: u64,
    /// Packets given up right before it.
    pub lost_before: u64,
    /// The packet.
    pub packet: P,
}

/// Counts of a [`ReorderBuffer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderStats {
    /// Packets given in order.
    pub delivered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after their place was given up.
    pub late: u64,
    /// Places given up.
    pub lost: u64,
}

#[derive(Debug)]
struct Slot<P> {
    len: usize,
    packet: P,
}

/// Holds packets until those before them came, or were waited for long enough.
#[derive(Debug)]
pub struct ReorderBuffer<P> {
    config: ReorderConfig,
    /// Number of the next packet to give; none before the first packet came.
    next: Option<u64>,
    /// Packets from `next` on.
    slots: VecDeque<Option<Slot<P>>>,
    /// When each packet held came, the oldest first; those given already are removed as they come
    /// to the front.
    arrivals: VecDeque<(Instant, u64)>,
    held: usize,
    bytes: usize,
    lost_before: u64,
    stats: ReorderStats,
}

impl<P> ReorderBuffer<P> {
    /// An empty buffer. The first packet that comes is the first given.
    pub fn new(config: ReorderConfig) -> Self {
        Self {
            config,
            next: None,
            slots: VecDeque::new(),
            arrivals: VecDeque::new(),
            held: 0,
            bytes: 0,
            lost_before: 0,
            stats: ReorderStats::default(),
        }
    }

    /// Sets how long packets wait for those before them, from now on.
    pub fn set_max_wait(&mut self, wait: Duration) {
        self.config.max_wait = wait;
    }

    /// Forgets everything: the sender began anew. What was held is lost.
    pub fn reset(&mut self) {
        self.slots.clear();
        self.arrivals.clear();
        (self.held, self.bytes, self.next) = (0, 0, None);
    }

    /// Takes a packet with its unwrapped sequence number and its length in octets.
    pub fn insert(&mut self, now: Instant, sequence: u64, len: usize, packet: P) -> InsertOutcome {
        let next = *self.next.get_or_insert(sequence);
        let Some(ahead) = sequence.checked_sub(next) else {
            self.stats.late += 1;
            return InsertOutcome::Late;
        };
        let at = match usize::try_from(ahead) {
            Ok(at) if at < self.slots.len() => at,
            _ => {
                self.make_room(sequence);
                // Making room may have moved the beginning.
                let next = self.next.unwrap_or(sequence);
                let at = usize::try_from(sequence.saturating_sub(next)).unwrap_or(0);
                work::steps((at + 1).saturating_sub(self.slots.len()));
                while self.slots.len() <= at {
                    self.slots.push_back(None);
                }
                at
            }
        };
        match self.slots.get_mut(at) {
            Some(slot @ None) => {
                *slot = Some(Slot { len, packet });
                self.held += 1;
                self.bytes += len;
                self.note_arrival(now, sequence);
                InsertOutcome::Inserted
            }
            _ => {
                self.stats.duplicates += 1;
                InsertOutcome::Duplicate
            }
        }
    }

    /// Gives up places, and packets nobody polled for, until `sequence` is within the span.
    fn make_room(&mut self, sequence: u64) {
        let span = self.config.max_packets.max(1) as u64;
        while let Some(next) = self.next {
            if sequence - next < span {
                break;
            }
            work::steps(1);
            match self.slots.pop_front() {
                Some(slot) => {
                    self.lost_before += 1;
                    self.stats.lost += 1;
                    if let Some(slot) = slot {
                        self.held -= 1;
                        self.bytes -= slot.len;
                    }
                    self.next = Some(next + 1);
                }
                None => {
                    let skipped = sequence - next;
                    self.lost_before += skipped;
                    self.stats.lost += skipped;
                    self.next = Some(sequence);
                }
            }
        }
        self.trim_arrivals();
    }

    /// Whether the wait for the first missing packet is over.
    fn gives_up(&self, now: Instant) -> bool {
        self.bytes > self.config.max_bytes
            || self.held >= self.config.max_packets
            || self.slots.len() > self.config.max_packets
            || self.deadline().is_some_and(|d| d <= now)
    }

    fn note_arrival(&mut self, now: Instant, sequence: u64) {
        self.arrivals.push_back((now, sequence));
        if self.arrivals.len() > 2 * self.config.max_packets.max(1) {
            let next = self.next.unwrap_or(0);
            work::steps(self.arrivals.len());
            self.arrivals.retain(|(_, s)| *s >= next);
        }
    }

    /// Removes arrivals of packets that are no longer held.
    fn trim_arrivals(&mut self) {
        let next = self.next.unwrap_or(0);
        while self.arrivals.front().is_some_and(|(_, s)| *s < next) {
            self.arrivals.pop_front();
        }
    }

    /// When the packet held for longest stops waiting.
    fn deadline(&self) -> Option<Instant> {
        let (arrived, _) = self.arrivals.front()?;
        Some(after(*arrived, self.config.max_wait))
    }

    /// The next packet in order, if it is there or those before it were waited for long enough.
    pub fn poll(&mut self, now: Instant) -> Option<Delivery<P>> {
        if self.held == 0 {
            return None;
        }
        if matches!(self.slots.front(), Some(None)) {
            if !self.gives_up(now) {
                return None;
            }
            self.give_up_missing();
        }
        let slot = self.slots.pop_front().flatten()?;
        let sequence = self.next?;
        self.next = Some(sequence + 1);
        self.held -= 1;
        self.bytes -= slot.len;
        self.trim_arrivals();
        self.stats.delivered += 1;
        Some(Delivery {
            sequence,
            lost_before: std::mem::take(&mut self.lost_before),
            packet: slot.packet,
        })
    }

    /// Waits no longer for those missing before the first packet that is held.
    pub fn give_up_missing(&mut self) {
        while self.held > 0 && matches!(self.slots.front(), Some(None)) {
            work::steps(1);
            self.slots.pop_front();
            self.next = self.next.map(|n| n + 1);
            self.lost_before += 1;
            self.stats.lost += 1;
        }
    }

    /// How many packets are missing before the first that is held, and that one. `None` also when these are more than
    /// [`MAX_RED_BLOCKS`], which no packet can carry along.
    pub fn first(&self) -> Option<(usize, &P)> {
        let places = self.slots.iter().take(MAX_RED_BLOCKS + 1);
        let missing = places.into_iter().position(Option::is_some)?;
        let slot = self.slots.get(missing)?.as_ref()?;
        Some((missing, &slot.packet))
    }

    /// When [`poll`](Self::poll) will give something even if nothing comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline()
    }

    /// Octets of memory in use: the packets, as long as they are, and their places.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.bytes
            + self.slots.capacity() * size_of::<Option<Slot<P>>>()
            + self.arrivals.capacity() * size_of::<(Instant, u64)>()
    }

    /// Counts so far.
    pub const fn stats(&self) -> ReorderStats {
        self.stats
    }

    /// Packets held.
    pub const fn len(&self) -> usize {
        self.held
    }

    /// Whether no packet is held.
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn drain(b: &mut ReorderBuffer<u64>, now: Instant) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| b.poll(now))
            .map(|d| {
                assert_eq!(d.packet, d.sequence);
                (d.sequence, d.lost_before)
            })
            .collect()
    }

    #[test]
    fn waits_for_a_missing_packet_and_no_longer() {
        let start = Instant::now();
        let mut b = ReorderBuffer::new(ReorderConfig::default());
        for n in [10, 12, 13] {
            assert_eq!(b.insert(start, n, 100, n), InsertOutcome::Inserted);
        }
        assert_eq!(drain(&mut b, start), [(10, 0)]);
        assert_eq!(b.poll_timeout(), Some(start + 250 * MS));
        assert_eq!(drain(&mut b, start + 249 * MS), []);
        assert_eq!(b.insert(start, 12, 100, 12), InsertOutcome::Duplicate);
        assert_eq!(drain(&mut b, start + 250 * MS), [(12, 1), (13, 0)]);
        assert_eq!(b.insert(start, 11, 100, 11), InsertOutcome::Late);
        assert_eq!(b.insert(start, 9, 100, 9), InsertOutcome::Late);
        assert_eq!(b.poll_timeout(), None);
        assert_eq!(b.stats().lost, 1);
    }

    #[test]
    fn an_endless_wait_is_bounded() {
        let start = Instant::now();
        let mut b = ReorderBuffer::new(ReorderConfig {
            max_wait: Duration::MAX,
            ..ReorderConfig::default()
        });
        b.insert(start, 1, 100, 1);
        b.insert(start, 3, 100, 3);
        assert_eq!(drain(&mut b, start), [(1, 0)]);
        assert!(b.poll_timeout().is_some_and(|at| at > start));
    }

    #[test]
    fn octets_and_packets_are_bounded() {
        let start = Instant::now();
        let config = ReorderConfig {
            max_packets: 8,
            max_bytes: 1000,
            ..ReorderConfig::default()
        };
        let mut b = ReorderBuffer::new(config);
        b.insert(start, 0, 1, 0);
        assert_eq!(drain(&mut b, start), [(0, 0)]);
        b.insert(start, 2, 600, 2);
        assert_eq!(drain(&mut b, start), []);
        b.insert(start, 3, 600, 3);
        assert_eq!(drain(&mut b, start), [(2, 1), (3, 0)]);
        b.insert(start, 5, 1, 5);
        b.insert(start, 1_000_000, 1, 1_000_000);
        assert!(b.slots.len() <= 8);
        // Too far ahead to wait for what is between: 5, still waiting for 4, is lost with it.
        assert_eq!(drain(&mut b, start), [(1_000_000, 999_996)]);
        // Nobody polls: memory stays bounded.
        for n in 0..100_000u64 {
            b.insert(start, 1_000_001 + n * 3, 10, 1_000_001 + n * 3);
            assert!(b.slots.len() <= 8 && b.len() <= 8);
        }
    }

    proptest! {
        #[test]
        fn order_is_kept_and_every_packet_accounted_for(
            swaps in proptest::collection::vec((0usize..200, 0usize..12), 0..80),
            lost in proptest::collection::btree_set(1u64..200, 0..40),
            copies in proptest::collection::vec(0usize..200, 0..20),
        ) {
            let start = Instant::now();
            let mut sent: Vec<u64> = (0..200).collect();
            for (at, by) in swaps {
                // The first packet stays: what comes before the first given is late.
                if at > 0 && at + by < sent.len() { sent.swap(at, at + by); }
            }
            sent.retain(|n| !lost.contains(n));
            for c in copies { if let Some(n) = sent.get(c).copied() { sent.push(n); } }
            let mut b = ReorderBuffer::new(ReorderConfig::default());
            let mut got = Vec::new();
            for n in &sent {
                b.insert(start, *n, 10, *n);
                got.extend(drain(&mut b, start));
            }
            got.extend(drain(&mut b, start + 300 * MS));
            let numbers: Vec<u64> = got.iter().map(|g| g.0).collect();
            let want: Vec<u64> = (0..200).filter(|n| !lost.contains(n)).collect();
            prop_assert_eq!(numbers, want);
            let told: u64 = got.iter().map(|g| g.1).sum();
            prop_assert_eq!(told, lost.iter().filter(|n| got.last().is_some_and(|l| **n < l.0)).count() as u64);
        }
    }
}
