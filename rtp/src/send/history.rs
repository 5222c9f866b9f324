//! Packets sent, kept for retransmission: bounded by count, octets and age.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits::{HISTORY_AGE, HISTORY_BYTES, HISTORY_PACKETS};
use crate::sequence::{SequenceNumber, SequenceUnwrapper};
use crate::work;

/// Bounds of a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// Packets kept at most.
    pub max_packets: usize,
    /// Octets kept at most.
    pub max_bytes: usize,
    /// Age at which a packet is forgotten.
    pub max_age: Duration,
    /// Time that must pass before a packet is given out again: about a round trip, as a second
    /// request within it was sent before the first answer could arrive.
    pub min_resend_interval: Duration,
}

impl Default for HistoryConfig {
    /// [`HISTORY_PACKETS`], [`HISTORY_BYTES`], [`HISTORY_AGE`]; 5 ms between retransmissions.
    fn default() -> Self {
        Self {
            max_packets: HISTORY_PACKETS,
            max_bytes: HISTORY_BYTES,
            max_age: HISTORY_AGE,
            min_resend_interval: Duration::from_millis(5),
        }
    }
}

#[derive(Debug)]
struct Entry {
    number: u64,
    sent: Instant,
    resent: Option<Instant>,
    packet: Vec<u8>,
}

/// The packets of one stream, before encryption.
///
/// Allocates nothing a packet once it is full: buffers of forgotten packets are used again.
#[derive(Debug)]
pub struct History {
    config: HistoryConfig,
    unwrapper: SequenceUnwrapper,
    /// In order of sequence numbers, with gaps where the sender left numbers out.
    entries: VecDeque<Entry>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
}

impl History {
    /// An empty history.
    pub fn new(config: HistoryConfig) -> Self {
        Self {
            config,
            unwrapper: SequenceUnwrapper::new(),
            entries: VecDeque::new(),
            spare: Vec::new(),
            bytes: 0,
        }
    }

    /// Sets how long after one retransmission of a packet the next may follow: the round-trip time.
    pub fn set_min_resend_interval(&mut self, interval: Duration) {
        self.config.min_resend_interval = interval;
    }

    /// Keeps a packet that is being sent, whole and unencrypted. A packet may come after some with
    /// higher numbers: a forwarder sends what it recovered late. Returns whether it was kept: not
    /// when it is there already, or when the history is full of later ones.
    pub fn insert(&mut self, now: Instant, sequence: SequenceNumber, packet: &[u8]) -> bool {
        if packet.len() > self.config.max_bytes || self.config.max_packets == 0 {
            return false;
        }
        self.expire(now);
        let number = self.unwrapper.peek(sequence);
        let before = self.entries.len();
        let mut at = before;
        if self.entries.back().is_some_and(|e| number <= e.number) {
            match self.entries.binary_search_by_key(&number, |e| e.number) {
                Ok(_) => return false,
                Err(place) => at = place,
            }
        }
        while self.entries.len() >= self.config.max_packets
            || self.bytes + packet.len() > self.config.max_bytes
        {
            // Older than all that there is room for.
            if before - self.entries.len() >= at || !self.forget_oldest() {
                return false;
            }
        }
        at -= before - self.entries.len();
        self.unwrapper.unwrap(sequence);
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.bytes += packet.len();
        let entry = Entry {
            number,
            sent: now,
            resent: None,
            packet: buffer,
        };
        // A deque moves the shorter side.
        work::steps(at.min(self.entries.len() - at));
        self.entries.insert(at, entry);
        true
    }

    /// The packet to send again for a request, marked as sent again; `None` when it is not (or no
    /// longer) kept, or was sent again a moment ago.
    pub fn resend(&mut self, now: Instant, sequence: SequenceNumber) -> Option<&[u8]> {
        self.expire(now);
        let interval = self.config.min_resend_interval;
        let max_age = self.config.max_age;
        let entry = self.find(sequence)?;
        // One that went out late holds back the forgetting of those after it.
        if now.saturating_duration_since(entry.sent) > max_age {
            return None;
        }
        if let Some(at) = entry.resent
            && now.saturating_duration_since(at) < interval
        {
            return None;
        }
        entry.resent = Some(now);
        Some(&entry.packet)
    }

    /// The packet with this number, if it is kept; for probing with real data, and for looking.
    pub fn get(&self, sequence: SequenceNumber) -> Option<&[u8]> {
        let at = self.position(sequence)?;
        self.entries.get(at).map(|e| e.packet.as_slice())
    }

    /// The newest packet of at most `max_len` octets: what a prober sends again to fill up.
    pub fn newest(&self, max_len: usize) -> Option<(SequenceNumber, &[u8])> {
        self.entries
            .iter()
            .rev()
            .take(16)
            .find(|e| e.packet.len() <= max_len)
            .map(|e| (SequenceNumber(e.number as u16), e.packet.as_slice()))
    }

    /// Octets of memory in use: packets kept and buffers to be used again. Costs a walk over them.
    pub fn memory_usage(&self) -> usize {
        let packets = self.entries.iter().map(|e| &e.packet).chain(&self.spare);
        size_of::<Self>()
            + packets.map(Vec::capacity).sum::<usize>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.spare.capacity() * size_of::<Vec<u8>>()
    }

    fn position(&self, sequence: SequenceNumber) -> Option<usize> {
        let number = self.unwrapper.peek(sequence);
        let first = self.entries.front()?.number;
        // Without gaps the place is known.
        let guess = usize::try_from(number.checked_sub(first)?).ok()?;
        if self.entries.get(guess).is_some_and(|e| e.number == number) {
            return Some(guess);
        }
        self.entries
            .binary_search_by_key(&number, |e| e.number)
            .ok()
    }

    fn find(&mut self, sequence: SequenceNumber) -> Option<&mut Entry> {
        let at = self.position(sequence)?;
        self.entries.get_mut(at)
    }

    /// Forgets packets that are too old. The other methods do so, too; this one is for a sender that has nothing to send.
    pub fn expire(&mut self, now: Instant) {
        while self
            .entries
            .front()
            .is_some_and(|e| now.saturating_duration_since(e.sent) > self.config.max_age)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else {
            return false;
        };
        self.bytes -= entry.packet.len();
        // A handful is enough: as many come back as go out.
        if self.spare.len() < 8 {
            self.spare.push(entry.packet);
        }
        true
    }

    /// Packets kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Octets kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn keeps_within_all_three_bounds() {
        let config = HistoryConfig {
            max_packets: 4,
            max_bytes: 100,
            max_age: 50 * MS,
            min_resend_interval: 5 * MS,
        };
        let start = Instant::now();
        let mut history = History::new(config);
        for n in 0..10u16 {
            assert!(history.insert(start, SequenceNumber(n), &[n as u8; 10]));
        }
        assert_eq!((history.len(), history.bytes()), (4, 40));
        assert!(history.resend(start, SequenceNumber(5)).is_none());
        assert_eq!(history.resend(start, SequenceNumber(6)), Some(&[6; 10][..]));
        assert!(history.insert(start, SequenceNumber(10), &[10; 90]));
        assert_eq!((history.len(), history.bytes()), (2, 100));
        assert!(!history.insert(start, SequenceNumber(11), &[0; 101]));
        assert!(!history.insert(start, SequenceNumber(9), &[0; 1]));
        let later = start + 51 * MS;
        assert!(history.resend(later, SequenceNumber(10)).is_none());
        assert!(history.is_empty());
    }

    #[test]
    fn forgets_by_time_alone() {
        let start = Instant::now();
        let mut history = History::new(HistoryConfig::default());
        history.insert(start, SequenceNumber(1), &[1; 10]);
        history.insert(start + 10 * MS, SequenceNumber(2), &[2; 10]);
        history.expire(start + HISTORY_AGE + 5 * MS);
        assert_eq!((history.len(), history.bytes()), (1, 10));
        history.expire(start + HISTORY_AGE + 11 * MS);
        assert_eq!((history.len(), history.bytes()), (0, 0));
    }

    #[test]
    fn keeps_what_a_forwarder_sends_late() {
        let start = Instant::now();
        let mut history = History::new(HistoryConfig {
            max_packets: 5,
            max_age: 50 * MS,
            ..HistoryConfig::default()
        });
        for n in [65_534u16, 0, 1, 65_535] {
            assert!(history.insert(start, SequenceNumber(n), &n.to_be_bytes()));
        }
        assert!(!history.insert(start, SequenceNumber(65_535), &[]));
        assert!(history.insert(start + 40 * MS, SequenceNumber(65_533), &[]));
        assert_eq!(history.len(), 5);
        // Full of later ones.
        assert!(!history.insert(start, SequenceNumber(65_532), &[]));
        for n in [65_534u16, 65_535, 0, 1] {
            let packet = history.resend(start, SequenceNumber(n));
            assert_eq!(packet, Some(&n.to_be_bytes()[..]));
        }
        // The first one is forgotten for a later one, wherever that stands.
        assert!(history.insert(start, SequenceNumber(2), &[]));
        assert_eq!(history.len(), 5);
        assert!(history.get(SequenceNumber(65_533)).is_none());
        let later = start + 51 * MS;
        assert!(history.resend(later, SequenceNumber(0)).is_none());
    }

    #[test]
    fn gives_a_packet_once_a_round_trip_and_finds_it_behind_gaps() {
        let start = Instant::now();
        let mut history = History::new(HistoryConfig::default());
        for n in [65_530u16, 65_535, 3, 4, 100] {
            history.insert(start, SequenceNumber(n), &n.to_be_bytes());
        }
        history.set_min_resend_interval(40 * MS);
        for n in [65_530u16, 65_535, 3, 4, 100] {
            let sequence = SequenceNumber(n);
            assert_eq!(history.resend(start, sequence), Some(&n.to_be_bytes()[..]));
            assert_eq!(history.resend(start + 39 * MS, sequence), None);
            assert!(history.resend(start + 40 * MS, sequence).is_some());
        }
        assert!(history.get(SequenceNumber(5)).is_none());
        assert!(history.get(SequenceNumber(101)).is_none());
        assert_eq!(history.newest(2).map(|p| p.0), Some(SequenceNumber(100)));
    }
}
