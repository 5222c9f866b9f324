//! Transport-wide numbers, and what became of the packets that carried them.

use std::time::{Duration, Instant};

use crate::limits::TRANSPORT_LOG_PACKETS;
use crate::rtcp::{TransportFeedback, TransportStatus};
use crate::sequence::{SequenceNumber, SequenceUnwrapper};
use crate::work;

/// What feedback says about a packet sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketResult {
    /// Its unwrapped transport-wide number.
    pub sequence: u64,
    /// When it was sent.
    pub sent: Instant,
    /// Its octets, as counted when it was sent.
    pub size: usize,
    /// Whether it arrived, and when.
    pub arrived: Arrival,
}

/// Whether and when a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It has not arrived (yet).
    Missing,
    /// It arrived, and the message does not say when.
    Untimed,
    /// When it arrived by the receiver's clock, since the origin of that clock: only differences
    /// mean something.
    At(Duration),
}

impl Arrival {
    /// Whether it arrived.
    pub const fn is_arrived(self) -> bool {
        !matches!(self, Self::Missing)
    }

    /// When it arrived, if the message says so.
    pub const fn time(self) -> Option<Duration> {
        match self {
            Self::At(time) => Some(time),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u64,
    at: Instant,
    size: u32,
    /// A message spoke of it.
    told: bool,
    /// One said that it arrived.
    reported: bool,
}

/// Gives out transport-wide numbers and remembers what was sent with them.
#[derive(Clone, Debug)]
pub struct TransportLog {
    next: u64,
    /// Packet `n` at `n` modulo the length, a power of two; grows as needed.
    ring: Vec<Option<Sent>>,
    oldest: u64,
    in_flight: usize,
    unwrapper: SequenceUnwrapper,
    /// The receiver's clock unwrapped: the last reference time and its place.
    reference: Option<(i32, i64)>,
    last_feedback: Option<u8>,
    lost_feedback: u64,
}

impl TransportLog {
    /// A log whose first number is `first`.
    pub fn new(first: SequenceNumber) -> Self {
        let mut unwrapper = SequenceUnwrapper::new();
        let next = unwrapper.unwrap(first);
        Self {
            next,
            ring: Vec::new(),
            oldest: next,
            in_flight: 0,
            unwrapper,
            reference: None,
            last_feedback: None,
            lost_feedback: 0,
        }
    }

    fn slot(&mut self, sequence: u64) -> Option<&mut Option<Sent>> {
        let mask = self.ring.len().wrapping_sub(1);
        self.ring.get_mut(sequence as usize & mask)
    }

    /// The number for a packet of `size` octets that is sent now.
    pub fn next(&mut self, now: Instant, size: usize) -> SequenceNumber {
        let sequence = self.next;
        self.next += 1;
        if self.ring.is_empty() {
            self.ring.resize(64, None);
        }
        if sequence - self.oldest >= self.ring.len() as u64 {
            self.make_room();
        }
        let entry = Sent {
            sequence,
            at: now,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            told: false,
            reported: false,
        };
        self.in_flight += entry.size as usize;
        if let Some(slot) = self.slot(sequence) {
            *slot = Some(entry);
        }
        self.unwrapper.unwrap(SequenceNumber(sequence as u16));
        SequenceNumber(sequence as u16)
    }

    fn make_room(&mut self) {
        // Forget what was reported first; then grow; then forget what was not.
        while self.oldest + (self.ring.len() as u64) < self.next {
            let oldest = self.oldest;
            let reported = match self.slot(oldest) {
                Some(Some(s)) if s.sequence == oldest => s.reported,
                _ => true,
            };
            if !reported {
                if self.ring.len() < TRANSPORT_LOG_PACKETS {
                    self.grow();
                    return;
                }
                if let Some(slot) = self.slot(oldest)
                    && let Some(sent) = slot.take()
                    && !sent.told
                {
                    self.in_flight -= sent.size as usize;
                }
            }
            self.oldest += 1;
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![None; self.ring.len() * 2];
        let mask = larger.len() - 1;
        for sent in self
            .ring
            .iter()
            .flatten()
            .filter(|s| s.sequence >= self.oldest)
        {
            if let Some(slot) = larger.get_mut(sent.sequence as usize & mask) {
                *slot = Some(*sent);
            }
        }
        self.ring = larger;
    }

    /// Takes a feedback message; appends to `results` what it says of packets still remembered, in
    /// order of their numbers. A packet told as not arrived may be told as arrived later.
    ///
    /// A message about more packets than are remembered is only looked at where it begins: thirty octets can speak of
    /// 65 535 packets, and a datagram has room for dozens of such messages.
    pub fn on_feedback(
        &mut self,
        feedback: &TransportFeedback<'_>,
        results: &mut Vec<PacketResult>,
    ) {
        let last = self.last_feedback;
        let step = last.map_or(1, |last| feedback.feedback_count.wrapping_sub(last));
        // Half a circle back is reordering and not loss.
        if step < 128 {
            self.lost_feedback += u64::from(step.saturating_sub(1));
            self.last_feedback = Some(feedback.feedback_count);
        }
        let offset = self.unwrap_reference(feedback.reference_time);
        let base = self.unwrapper.peek(feedback.base_sequence);
        let mask = self.ring.len().wrapping_sub(1);
        let told = base.saturating_add(u64::from(feedback.status_count));
        if told <= self.oldest {
            return;
        }
        let sent = (base..self.next).take(TRANSPORT_LOG_PACKETS);
        for (sequence, (_, status)) in sent.zip(feedback.statuses()) {
            work::steps(1);
            let Some(Some(sent)) = self.ring.get_mut(sequence as usize & mask) else {
                continue;
            };
            if sent.sequence != sequence || sent.reported {
                continue;
            }
            let arrived = match status {
                TransportStatus::NotReceived => Arrival::Missing,
                TransportStatus::ReceivedAt(ticks) => Arrival::At(Duration::from_micros(
                    u64::try_from((ticks + offset) * 250).unwrap_or(0),
                )),
                TransportStatus::Received => Arrival::Untimed,
            };
            sent.reported = arrived.is_arrived();
            if !std::mem::replace(&mut sent.told, true) {
                self.in_flight -= sent.size as usize;
            }
            results.push(PacketResult {
                sequence,
                sent: sent.at,
                size: sent.size as usize,
                arrived,
            });
        }
    }

    /// What to add to a message's ticks so that they do not wrap and are not negative.
    fn unwrap_reference(&mut self, reference: i32) -> i64 {
        // The first message lies one circle up, so that earlier times stay above zero.
        let place = match self.reference {
            None => i64::from(reference) + (1 << 24),
            Some((last, place)) => {
                let step = (reference.wrapping_sub(last) << 8) >> 8;
                place + i64::from(step)
            }
        };
        if self.reference.is_none_or(|(_, p)| place > p) {
            self.reference = Some((reference, place));
        }
        (place - i64::from(reference)) * 256
    }

    /// Octets of memory in use: the packets remembered.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.ring.capacity() * size_of::<Option<Sent>>()
    }

    /// Octets sent and not yet reported.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Feedback messages missing.
    pub const fn lost_feedback(&self) -> u64 {
        self.lost_feedback
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;
    use crate::receive::{TransportFeedbackConfig, TransportFeedbackGenerator};
    use crate::rtcp::{Compound, Packet};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn what_arrives_is_told_with_its_time_and_the_rest_as_missing() {
        for seed in 0..20u64 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let start = Instant::now();
            let mut now = start;
            let mut log = TransportLog::new(SequenceNumber(rng.random()));
            let mut generator = TransportFeedbackGenerator::new(TransportFeedbackConfig::default());
            let origin = log.next;
            let mut results = Vec::new();
            let mut truth = Vec::new();
            let mut out = Vec::new();
            for _ in 0..5000 {
                now += Duration::from_micros(rng.random_range(0..2000));
                let number = log.next(now, 1000);
                let arrived = rng.random_bool(0.8);
                truth.push(arrived);
                if arrived {
                    generator.on_packet(now + Duration::from_millis(30), number);
                }
                out.clear();
                if generator
                    .poll_transmit(now, Ssrc(1), Ssrc(2), &mut out)
                    .is_some()
                {
                    for packet in Compound::parse(&out).unwrap().packets() {
                        if let Ok(Packet::TransportFeedback(f)) = packet {
                            log.on_feedback(&f, &mut results);
                        }
                    }
                }
            }
            assert_eq!(log.lost_feedback(), 0);
            let first = results.iter().find(|r| r.arrived.is_arrived()).unwrap();
            let (base_sent, base) = (first.sent, first.arrived.time().unwrap());
            for r in &results {
                assert_eq!(
                    r.arrived.is_arrived(),
                    truth[(r.sequence - origin) as usize]
                );
                if let Arrival::At(at) = r.arrived {
                    let flight = (at - base).as_micros() as i64;
                    let sent = (r.sent - base_sent).as_micros() as i64;
                    assert!((flight - sent).abs() <= 500, "{flight} {sent}");
                }
            }
            assert!(results.len() > 4500);
        }
    }

    #[test]
    fn missing_packets_leave_the_flight_and_reordered_messages_count_nothing() {
        use crate::rtcp::TransportFeedbackBuilder;
        let now = Instant::now();
        let mut log = TransportLog::new(SequenceNumber(0));
        for _ in 0..4 {
            log.next(now, 100);
        }
        assert_eq!(log.in_flight(), 400);
        let mut builder = TransportFeedbackBuilder::new();
        let mut feed = |log: &mut TransportLog, count: u8, arrivals: [Option<i64>; 3]| {
            let (mut out, mut results) = (Vec::new(), Vec::new());
            builder.write(
                &mut out,
                Ssrc(1),
                Ssrc(2),
                count,
                SequenceNumber(0),
                arrivals,
                1000,
            );
            for packet in Compound::parse(&out).unwrap().packets() {
                if let Ok(Packet::TransportFeedback(f)) = packet {
                    log.on_feedback(&f, &mut results);
                }
            }
            results
                .iter()
                .map(|r| r.arrived.is_arrived())
                .collect::<Vec<_>>()
        };
        // The second is missing, and comes later.
        let first = feed(&mut log, 7, [Some(0), None, Some(4)]);
        assert_eq!((first, log.in_flight()), (vec![true, false, true], 100));
        let second = feed(&mut log, 6, [None, Some(8), None]);
        assert_eq!((second, log.in_flight()), (vec![true], 100));
        // Message 6 was late: after 7 comes 8, and nothing is lost.
        feed(&mut log, 8, [Some(0), None, None]);
        assert_eq!(log.lost_feedback(), 0);
        feed(&mut log, 10, [Some(0), None, None]);
        assert_eq!(log.lost_feedback(), 1);
    }

    #[test]
    fn memory_is_bounded_without_feedback() {
        let mut log = TransportLog::new(SequenceNumber(0));
        let now = Instant::now();
        for _ in 0..100_000 {
            log.next(now, 10);
        }
        assert_eq!(log.ring.len(), TRANSPORT_LOG_PACKETS);
        assert_eq!(log.in_flight(), TRANSPORT_LOG_PACKETS * 10);
    }
}
