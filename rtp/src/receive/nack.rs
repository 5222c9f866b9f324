//! Asks for missing packets (RFC 4585 §6.2.1): at once, again after each round trip, not forever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::clock::after;
use crate::limits::{NACK_AGE, NACK_LIST, NACK_RETRIES};
use crate::rtcp::Writer;
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;
use crate::work;

/// How missing packets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NackConfig {
    /// How long a packet may be missing before it is asked for: tolerance for reordering.
    pub initial_delay: Duration,
    /// Least time between two requests for a packet, whatever the round trip.
    pub min_retry: Duration,
    /// Requests for one packet at most.
    pub max_retries: u8,
    /// Age at which a packet is given up.
    pub max_age: Duration,
    /// Missing packets at most; more, and all are given up for a key frame.
    pub max_missing: usize,
}

impl Default for NackConfig {
    /// No delay, 20 ms between requests, [`NACK_RETRIES`], [`NACK_AGE`], [`NACK_LIST`].
    fn default() -> Self {
        Self {
            initial_delay: Duration::ZERO,
            min_retry: Duration::from_millis(20),
            max_retries: NACK_RETRIES,
            max_age: NACK_AGE,
            max_missing: NACK_LIST,
        }
    }
}

/// Counts of a [`NackGenerator`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NackStats {
    /// Requests for a packet, repeated ones counted.
    pub requested: u64,
    /// Packets that came after they were asked for.
    pub recovered: u64,
    /// Packets given up.
    pub given_up: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    due: Instant,
    retries: u8,
    arrived: bool,
}

/// Keeps the list of one stream's missing packets.
#[derive(Debug)]
pub struct NackGenerator {
    config: NackConfig,
    round_trip: Duration,
    highest: Option<u64>,
    /// In order of the numbers; what arrived stays until it is at the front.
    missing: VecDeque<Missing>,
    wanted: usize,
    /// When the first request is due; may be too early, never too late.
    due: Option<Instant>,
    key_frame_needed: bool,
    stats: NackStats,
}

impl NackGenerator {
    /// A generator that has seen nothing. The round trip counts as 100 ms until it is told.
    pub fn new(config: NackConfig) -> Self {
        Self {
            config,
            round_trip: Duration::from_millis(100),
            highest: None,
            missing: VecDeque::new(),
            wanted: 0,
            due: None,
            key_frame_needed: false,
            stats: NackStats::default(),
        }
    }

    /// Tells the round-trip time: requests are repeated after it.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// A packet came, at first or again, with its unwrapped sequence number.
    pub fn on_packet(&mut self, now: Instant, sequence: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            self.arrived(sequence);
            return;
        }
        self.highest = Some(sequence);
        let gap = sequence - highest - 1;
        if gap == 0 {
            return;
        }
        if gap as usize > self.config.max_missing
            || self.wanted + gap as usize > self.config.max_missing
        {
            self.give_up_all();
            return;
        }
        // Entries that arrived in the middle count for memory, too.
        if self.missing.len() + gap as usize > 2 * self.config.max_missing {
            work::steps(self.missing.len());
            self.missing.retain(|m| !m.arrived);
        }
        work::steps(gap as usize);
        let due = after(now, self.config.initial_delay);
        for number in highest + 1..sequence {
            self.missing.push_back(Missing {
                sequence: number,
                since: now,
                due,
                retries: 0,
                arrived: false,
            });
        }
        self.wanted += gap as usize;
        self.due = Some(self.due.map_or(due, |d| d.min(due)));
    }

    fn arrived(&mut self, sequence: u64) {
        let Ok(at) = self.missing.binary_search_by_key(&sequence, |m| m.sequence) else {
            return;
        };
        if let Some(entry) = self.missing.get_mut(at)
            && !entry.arrived
        {
            entry.arrived = true;
            self.wanted -= 1;
            if entry.retries > 0 {
                self.stats.recovered += 1;
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.missing.front().is_some_and(|m| m.arrived) {
            self.missing.pop_front();
        }
    }

    fn give_up_all(&mut self) {
        self.stats.given_up += self.wanted as u64;
        self.missing.clear();
        self.wanted = 0;
        self.due = None;
        self.key_frame_needed = true;
    }

    /// Packets up to this number need not come any more: a reorder buffer went past them.
    pub fn give_up_before(&mut self, sequence: u64) {
        while let Some(front) = self.missing.front() {
            if front.sequence >= sequence {
                break;
            }
            if !front.arrived {
                self.wanted -= 1;
                self.stats.given_up += 1;
            }
            self.missing.pop_front();
        }
        self.trim();
    }

    /// Appends a NACK for the packets whose time has come. `sender` is our SSRC, `media` the
    /// stream's. Returns the octets appended.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        sender: Ssrc,
        media: Ssrc,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if self.wanted == 0 || self.poll_timeout().is_none_or(|due| due > now) {
            return None;
        }
        let NackConfig {
            max_retries,
            max_age,
            min_retry,
            ..
        } = self.config;
        let retry = self.round_trip.max(min_retry);
        let start = out.len();
        let (wanted, stats) = (&mut self.wanted, &mut self.stats);
        let mut next: Option<Instant> = None;
        let mut later = |due: Instant| next = Some(next.map_or(due, |n| n.min(due)));
        work::steps(self.missing.len());
        let due = self.missing.iter_mut().filter_map(|m| {
            if m.arrived {
                return None;
            }
            if m.due > now {
                later(m.due);
                return None;
            }
            if m.retries >= max_retries || now.saturating_duration_since(m.since) > max_age {
                // Given up: counts as arrived, so that it is removed.
                m.arrived = true;
                *wanted -= 1;
                stats.given_up += 1;
                return None;
            }
            m.retries += 1;
            m.due = after(now, retry);
            later(m.due);
            stats.requested += 1;
            Some(SequenceNumber(m.sequence as u16))
        });
        Writer::new(out).nack(sender, media, due);
        self.due = next;
        self.trim();
        (out.len() > start).then(|| out.len() - start)
    }

    /// When [`poll_transmit`](Self::poll_transmit) will have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| self.wanted > 0)
    }

    /// Whether so much is missing that a key frame is needed; says so once.
    pub fn take_key_frame_needed(&mut self) -> bool {
        std::mem::take(&mut self.key_frame_needed)
    }

    /// Packets missing.
    pub const fn missing(&self) -> usize {
        self.wanted
    }

    /// Counts so far.
    pub const fn stats(&self) -> NackStats {
        self.stats
    }

    /// Octets of memory in use: the list of what is missing.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.missing.capacity() * size_of::<Missing>()
    }

    /// Forgets everything: the sender began anew.
    pub fn reset(&mut self) {
        self.missing.clear();
        self.wanted = 0;
        self.due = None;
        self.highest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet};

    const MS: Duration = Duration::from_millis(1);

    fn asked(g: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        if g.poll_transmit(now, Ssrc(1), Ssrc(2), &mut out).is_none() {
            return Vec::new();
        }
        match Compound::parse(&out).unwrap().packets().next() {
            Some(Ok(Packet::Nack(nack))) => nack.sequences().map(|s| s.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn asks_again_after_a_round_trip_until_it_comes() {
        let start = Instant::now();
        let mut g = NackGenerator::new(NackConfig::default());
        g.set_round_trip(50 * MS);
        g.on_packet(start, 100);
        g.on_packet(start, 104);
        assert_eq!(asked(&mut g, start), [101, 102, 103]);
        assert!(asked(&mut g, start + 49 * MS).is_empty());
        g.on_packet(start + 49 * MS, 102);
        assert_eq!(g.poll_timeout(), Some(start + 50 * MS));
        assert_eq!(asked(&mut g, start + 50 * MS), [101, 103]);
        g.on_packet(start + 60 * MS, 101);
        g.on_packet(start + 60 * MS, 103);
        assert_eq!(g.poll_timeout(), None);
        assert_eq!(g.stats().recovered, 3);
        assert!(g.missing.is_empty());
    }

    #[test]
    fn gives_up_after_the_retries_and_for_too_many() {
        let start = Instant::now();
        let mut g = NackGenerator::new(NackConfig::default());
        g.on_packet(start, 1);
        g.on_packet(start, 3);
        let mut requests = 0;
        let mut now = start;
        while let Some(due) = g.poll_timeout() {
            now = due;
            requests += asked(&mut g, now).len();
        }
        assert_eq!(requests, 10);
        assert_eq!(g.stats().given_up, 1);
        g.on_packet(now, 2000);
        assert!(g.take_key_frame_needed());
        assert!(!g.take_key_frame_needed());
        assert_eq!(g.poll_timeout(), None);
    }

    #[test]
    fn endless_waits_are_bounded() {
        let start = Instant::now();
        let mut g = NackGenerator::new(NackConfig {
            initial_delay: Duration::MAX,
            min_retry: Duration::MAX,
            ..NackConfig::default()
        });
        g.on_packet(start, 1);
        g.on_packet(start, 3);
        let due = g.poll_timeout().unwrap();
        assert!(due > start);
        assert_eq!(asked(&mut g, due), [] as [u16; 0]);
        g.config.initial_delay = Duration::ZERO;
        g.on_packet(start, 5);
        assert_eq!(asked(&mut g, start), [4]);
        assert!(g.poll_timeout().is_some_and(|at| at > start));
    }

    #[test]
    fn what_arrives_without_end_in_the_middle_does_not_pile_up() {
        let start = Instant::now();
        let mut g = NackGenerator::new(NackConfig::default());
        g.on_packet(start, 0);
        for n in 1..100_000u64 {
            // Every other one is missing and comes at once after; number 1 never does.
            g.on_packet(start, n * 2 + 1);
            g.on_packet(start, n * 2);
            assert!(g.missing.len() <= 2 * NACK_LIST + 2);
        }
    }
}
