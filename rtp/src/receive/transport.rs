//! Generates transport-wide feedback from arrivals
//! (draft-holmer-rmcat-transport-wide-cc-extensions §3).

use std::time::{Duration, Instant};

use crate::clock::after;
use crate::limits::{TRANSPORT_FEEDBACK_STATUSES, TRANSPORT_FEEDBACK_WINDOW};
use crate::rtcp::TransportFeedbackBuilder;
use crate::sequence::{SequenceNumber, SequenceUnwrapper};
use crate::types::Ssrc;
use crate::work;

/// Marks a place in the window whose packet has not arrived.
const EMPTY: i64 = i64::MIN;

/// How feedback is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportFeedbackConfig {
    /// Time between two messages while packets arrive.
    pub interval: Duration,
    /// Octets of one message at most.
    pub max_len: usize,
}

impl Default for TransportFeedbackConfig {
    /// Every 100 ms, at most 1 100 octets a message.
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            max_len: 1100,
        }
    }
}

/// Remembers when packets of a connection arrived, and reports each once.
#[derive(Clone, Debug)]
pub struct TransportFeedbackGenerator {
    config: TransportFeedbackConfig,
    builder: TransportFeedbackBuilder,
    unwrapper: SequenceUnwrapper,
    epoch: Option<Instant>,
    /// Arrival of packet `n` at `n` modulo the length, a power of two: twice the time in ticks of
    /// 250 µs, plus one when it was reported.
    window: Vec<i64>,
    /// The window holds the packets of `low..end`.
    low: u64,
    /// First packet not yet reported on.
    begin: u64,
    end: u64,
    due: Option<Instant>,
    feedback_count: u8,
}

impl TransportFeedbackGenerator {
    /// A generator that has seen nothing.
    pub fn new(config: TransportFeedbackConfig) -> Self {
        Self {
            config,
            builder: TransportFeedbackBuilder::new(),
            unwrapper: SequenceUnwrapper::new(),
            epoch: None,
            window: Vec::new(),
            low: 0,
            begin: 0,
            end: 0,
            due: None,
            feedback_count: 0,
        }
    }

    /// Changes the time between messages, from the next one on.
    pub fn set_interval(&mut self, interval: Duration) {
        self.config.interval = interval;
    }

    /// A packet with this transport-wide sequence number arrived.
    pub fn on_packet(&mut self, now: Instant, sequence: SequenceNumber) {
        let epoch = *self.epoch.get_or_insert(now);
        let ticks = (now.saturating_duration_since(epoch).as_micros() / 250) as i64;
        let number = self.unwrapper.unwrap(sequence);
        if !self.make_room(number) {
            return;
        }
        let slot = self.slot(number);
        if let Some(place) = self.window.get_mut(slot)
            && *place == EMPTY
        {
            *place = ticks * 2;
            self.begin = self.begin.min(number);
            let interval = self.config.interval;
            self.due.get_or_insert_with(|| after(now, interval));
        }
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.window.len().wrapping_sub(1))
    }

    /// Extends the window to `number`; false when it lies too far back.
    fn make_room(&mut self, number: u64) -> bool {
        let max = TRANSPORT_FEEDBACK_WINDOW as u64;
        if self.window.is_empty() {
            self.window.resize(64, EMPTY);
            (self.low, self.begin, self.end) = (number, number, number);
        }
        if number >= self.end {
            if number - self.begin >= max {
                // A gap larger than the window: what is before it is not worth telling.
                work::steps(self.window.len());
                self.window.fill(EMPTY);
                (self.low, self.begin, self.end) = (number, number, number);
            }
            while number - self.begin >= self.window.len() as u64 {
                self.grow();
            }
            work::steps((number - self.end) as usize);
            for n in self.end..number {
                self.clear(n);
            }
            self.clear(number);
            self.end = number + 1;
            self.low = self
                .low
                .max(self.end.saturating_sub(self.window.len() as u64));
        } else if number < self.low {
            if self.end - number > max {
                return false;
            }
            while self.end - number > self.window.len() as u64 {
                self.grow();
            }
            self.low = number;
        }
        true
    }

    fn clear(&mut self, number: u64) {
        let slot = self.slot(number);
        if let Some(place) = self.window.get_mut(slot) {
            *place = EMPTY;
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![EMPTY; self.window.len() * 2];
        let mask = larger.len() - 1;
        work::steps(larger.len());
        for n in self.low..self.end {
            if let (Some(to), Some(from)) = (
                larger.get_mut(n as usize & mask),
                self.window.get(self.slot(n)),
            ) {
                *to = *from;
            }
        }
        self.window = larger;
    }

    /// Octets of memory in use: the window.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.window.capacity() * size_of::<i64>()
    }

    /// When [`poll_transmit`](Self::poll_transmit) will have something.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Appends feedback messages on everything not yet reported when they are due, one RTCP packet
    /// a message. `sender` is our SSRC, `media` one of the streams received. Returns the octets
    /// appended.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        sender: Ssrc,
        media: Ssrc,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.due = None;
        let start = out.len();
        while self.begin < self.end {
            let n = self.write(out, sender, media, self.begin..self.end, false);
            self.begin = (self.begin + n).min(self.end);
        }
        (out.len() > start).then(|| out.len() - start)
    }

    /// Appends feedback on the `count` packets up to and with `sequence`, as the sender asked in
    /// that packet (transport-wide-cc-02). Returns the octets appended. Periodic feedback goes on
    /// unless the interval was set very long.
    pub fn respond(
        &mut self,
        sequence: SequenceNumber,
        count: u16,
        sender: Ssrc,
        media: Ssrc,
        out: &mut Vec<u8>,
    ) -> usize {
        let start = out.len();
        let end = (self.unwrapper.peek(sequence) + 1).min(self.end);
        let mut begin = end.saturating_sub(u64::from(count)).max(self.low);
        while begin < end {
            begin += self.write(out, sender, media, begin..end, true);
        }
        out.len() - start
    }

    /// Writes a message about the packets from the range's beginning on. Returns how many it is about, or may be skipped:
    /// what a message can't tell of because too many are missing before it comes into the next one.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        sender: Ssrc,
        media: Ssrc,
        range: std::ops::Range<u64>,
        again: bool,
    ) -> u64 {
        let window = &self.window;
        let mask = window.len().wrapping_sub(1);
        let arrivals = range.clone().map(|n| {
            let entry = window.get(n as usize & mask).copied().unwrap_or(EMPTY);
            // What was reported before counts as not received (§3.1.1).
            (entry != EMPTY && (again || entry & 1 == 0)).then_some(entry >> 1)
        });
        let n = self.builder.write(
            out,
            sender,
            media,
            self.feedback_count,
            SequenceNumber(range.start as u16),
            arrivals,
            self.config.max_len,
        );
        if n == 0 {
            return TRANSPORT_FEEDBACK_STATUSES as u64;
        }
        self.feedback_count = self.feedback_count.wrapping_add(1);
        for number in range.take(usize::from(n)) {
            if let Some(entry) = self.window.get_mut(number as usize & mask)
                && *entry != EMPTY
            {
                *entry |= 1;
            }
        }
        u64::from(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet, TransportStatus};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::collections::BTreeMap;

    fn read(bytes: &[u8]) -> Vec<(u16, TransportStatus)> {
        let mut all = Vec::new();
        for packet in Compound::parse(bytes).unwrap().packets() {
            match packet.unwrap() {
                Packet::TransportFeedback(f) => all.extend(f.statuses().map(|(s, t)| (s.0, t))),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn reports_arrivals_once_and_late_ones_again() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
        for (i, n) in [65_534u16, 65_535, 1].into_iter().enumerate() {
            generator.on_packet(start + ms(i as u64), SequenceNumber(n));
        }
        let mut out = Vec::new();
        let (us, them) = (Ssrc(1), Ssrc(2));
        assert!(
            generator
                .poll_transmit(start + ms(99), us, them, &mut out)
                .is_none()
        );
        let due = generator.poll_timeout().unwrap();
        assert_eq!(due, start + ms(100));
        generator.poll_transmit(due, us, them, &mut out).unwrap();
        use TransportStatus::*;
        assert_eq!(
            read(&out),
            [
                (65_534, ReceivedAt(0)),
                (65_535, ReceivedAt(4)),
                (0, NotReceived),
                (1, ReceivedAt(8))
            ]
        );
        assert_eq!(generator.poll_timeout(), None);
        generator.on_packet(start + ms(150), SequenceNumber(0));
        out.clear();
        generator
            .poll_transmit(start + ms(250), us, them, &mut out)
            .unwrap();
        assert_eq!(read(&out), [(0, ReceivedAt(600)), (1, NotReceived)]);
        out.clear();
        generator.respond(SequenceNumber(1), 3, us, them, &mut out);
        assert_eq!(
            read(&out),
            [
                (65_535, ReceivedAt(4)),
                (0, ReceivedAt(600)),
                (1, ReceivedAt(8))
            ]
        );
    }

    #[test]
    fn every_arrival_is_reported_exactly_once_whatever_the_order() {
        for seed in 0..40 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let start = Instant::now();
            let mut now = start;
            let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
            let mut sent: Vec<u16> = (0..3000u32).map(|n| (n + 64_000) as u16).collect();
            for i in 0..sent.len() - 20 {
                if rng.random_bool(0.1) {
                    sent.swap(i, i + rng.random_range(1..20));
                }
            }
            let mut expected = BTreeMap::new();
            let mut got = BTreeMap::new();
            let mut out = Vec::new();
            let mut drain = |g: &mut TransportFeedbackGenerator, now, got: &mut BTreeMap<_, _>| {
                out.clear();
                if g.poll_transmit(now, Ssrc(1), Ssrc(2), &mut out).is_some() {
                    for (n, status) in read(&out) {
                        if let TransportStatus::ReceivedAt(t) = status {
                            assert_eq!(got.insert(n, t), None, "{n} twice");
                        }
                    }
                }
            };
            let mut first = None;
            for n in sent {
                now += Duration::from_micros(rng.random_range(0..4000));
                if rng.random_bool(0.2) {
                    continue;
                }
                let zero = *first.get_or_insert(now);
                generator.on_packet(now, SequenceNumber(n));
                expected.insert(n, ((now - zero).as_micros() / 250) as i64);
                drain(&mut generator, now, &mut got);
            }
            drain(&mut generator, now + Duration::from_secs(1), &mut got);
            assert_eq!(expected, got);
        }
    }

    /// A message tells of 4096 packets, the window holds twice as many.
    #[test]
    fn arrivals_behind_a_long_gap_are_reported() {
        for gap in [4094u16, 4095, 4096, 4097, 5000, 8190] {
            let start = Instant::now();
            let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
            generator.on_packet(start, SequenceNumber(0));
            let mut out = Vec::new();
            let due = generator.poll_timeout().unwrap();
            generator.poll_transmit(due, Ssrc(1), Ssrc(2), &mut out);
            let last = gap + 1;
            generator.on_packet(due, SequenceNumber(last));
            out.clear();
            let due = generator.poll_timeout().unwrap();
            generator
                .poll_transmit(due, Ssrc(1), Ssrc(2), &mut out)
                .unwrap();
            let told = read(&out).last().copied();
            assert_eq!(
                told,
                Some((last, TransportStatus::ReceivedAt(400))),
                "{gap}"
            );
            out.clear();
            generator.respond(SequenceNumber(last), last + 1, Ssrc(1), Ssrc(2), &mut out);
            let told = read(&out).last().copied();
            assert_eq!(
                told,
                Some((last, TransportStatus::ReceivedAt(400))),
                "{gap}"
            );
        }
    }

    #[test]
    fn endless_intervals_are_bounded() {
        let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig {
            interval: Duration::MAX,
            ..TransportFeedbackConfig::default()
        });
        let start = Instant::now();
        generator.on_packet(start, SequenceNumber(0));
        assert!(generator.poll_timeout().is_some_and(|at| at > start));
    }

    #[test]
    fn a_leap_of_the_numbers_keeps_the_window_bounded() {
        let mut now = Instant::now();
        let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
        for n in 0..2000u32 {
            now += Duration::from_millis(1);
            generator.on_packet(now, SequenceNumber((n * 30_011) as u16));
            assert!(generator.window.len() <= TRANSPORT_FEEDBACK_WINDOW);
            assert!(generator.end - generator.begin <= TRANSPORT_FEEDBACK_WINDOW as u64);
        }
    }
}
