//! Loss and jitter of one received stream, as report blocks want them (RFC 3550 §6.4.1, A.1, A.3,
//! A.8).

use std::time::{Duration, Instant};

use crate::clock::{NtpTime, to_middle_units};
use crate::limits::{MAX_DROPOUT, MAX_FAST_DROPOUT, MAX_MISORDER, MISORDER_SPAN};
use crate::rtcp::ReportBlock;
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// How a packet's sequence number relates to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SequenceOutcome {
    /// Ahead of all before, with this many numbers left out.
    Ahead {
        /// Numbers between the highest before and this one.
        skipped: u16,
    },
    /// Behind the highest: late, or a duplicate.
    Behind,
    /// Two in a row beyond a large jump: the sender began anew, and so did the statistics.
    Restarted,
    /// Beyond a large jump; not counted unless the next one follows it.
    Suspicious,
}

/// Statistics of one stream.
///
/// Feed it the packets of the stream itself: retransmissions that came on a stream of their own
/// count there. There is no probation (RFC 3550 A.1 leaves it to the implementation): with SRTP a
/// packet's source is known.
#[derive(Clone, Debug)]
pub struct StreamStatistics {
    ssrc: Ssrc,
    clock_rate: u32,
    sequence: Option<Sequence>,
    received: u64,
    octets: u64,
    expected_prior: u64,
    received_prior: u64,
    jitter: Jitter,
    last_packet: Option<Instant>,
    last_sender_report: Option<(NtpTime, Instant)>,
}

#[derive(Clone, Debug)]
struct Sequence {
    base: u64,
    /// Highest number with its wraps; the first one lies in circle zero.
    highest: u64,
    /// The number that would confirm a restart.
    restart_at: Option<SequenceNumber>,
    /// Highest number when this span began and the one before, and when this one began: what came since then may come again.
    span: u64,
    span_before: u64,
    since: Instant,
}

impl Sequence {
    const fn new(base: u64, highest: u64, now: Instant) -> Self {
        Self {
            base,
            highest,
            restart_at: None,
            span: base,
            span_before: base,
            since: now,
        }
    }

    fn advance(&mut self, now: Instant, steps: u16) {
        self.highest += u64::from(steps);
        self.restart_at = None;
        if now.saturating_duration_since(self.since) >= MISORDER_SPAN {
            (self.span_before, self.span, self.since) = (self.span, self.highest, now);
        }
    }

    /// Numbers that came in the last span or two.
    fn recent(&self) -> u16 {
        u16::try_from(self.highest - self.span_before).unwrap_or(u16::MAX)
    }

    /// How far back a number counts as reordered, or sent again.
    fn misorder(&self) -> u16 {
        self.recent().clamp(MAX_MISORDER, 0x7fff)
    }

    /// How far ahead a number counts as one after a loss.
    fn dropout(&self) -> u16 {
        self.recent().clamp(MAX_DROPOUT, MAX_FAST_DROPOUT)
    }
}

impl StreamStatistics {
    /// Statistics of the stream `ssrc`, whose timestamps run at `clock_rate` Hz (not zero; zero
    /// counts as 1).
    pub fn new(ssrc: Ssrc, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate: clock_rate.max(1),
            sequence: None,
            received: 0,
            octets: 0,
            expected_prior: 0,
            received_prior: 0,
            jitter: Jitter::default(),
            last_packet: None,
            last_sender_report: None,
        }
    }

    /// Changes the clock rate: another payload type. Jitter begins anew.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate.max(1) {
            self.clock_rate = clock_rate.max(1);
            self.jitter = Jitter::default();
        }
    }

    /// A packet of the stream arrived, with `payload_len` octets of payload.
    pub fn on_packet(
        &mut self,
        now: Instant,
        sequence: SequenceNumber,
        timestamp: u32,
        payload_len: usize,
    ) -> SequenceOutcome {
        let outcome = self.advance(now, sequence);
        if outcome == SequenceOutcome::Suspicious {
            return outcome;
        }
        self.received += 1;
        self.octets += payload_len as u64;
        self.last_packet = Some(now);
        self.jitter.on_packet(now, timestamp, self.clock_rate);
        outcome
    }

    /// RFC 3550 A.1, `update_seq`.
    fn advance(&mut self, now: Instant, sequence: SequenceNumber) -> SequenceOutcome {
        let Some(state) = &mut self.sequence else {
            let first = u64::from(sequence.0);
            self.sequence = Some(Sequence::new(first, first, now));
            return SequenceOutcome::Ahead { skipped: 0 };
        };
        let delta = sequence.0.wrapping_sub(state.highest as u16);
        if delta != 0 && delta < state.dropout() {
            state.advance(now, delta);
            return SequenceOutcome::Ahead { skipped: delta - 1 };
        }
        if delta == 0 || delta > u16::MAX - state.misorder() {
            return SequenceOutcome::Behind;
        }
        if state.restart_at == Some(sequence) {
            // The number before zero lies in the circle before.
            let highest = match sequence.0 {
                0 => 0x1_0000,
                wire => u64::from(wire),
            };
            self.sequence = Some(Sequence::new(highest - 1, highest, now));
            // The packet before this one was the suspicious one and belongs to the new count.
            self.received = 1;
            self.received_prior = 0;
            self.expected_prior = 0;
            self.jitter = Jitter::default();
            return SequenceOutcome::Restarted;
        }
        state.restart_at = Some(sequence.next());
        SequenceOutcome::Suspicious
    }

    /// A sender report of the stream arrived: report blocks refer to it.
    pub fn on_sender_report(&mut self, now: Instant, ntp: NtpTime) {
        self.last_sender_report = Some((ntp, now));
    }

    /// The report block as of `now`, for the interval since the last one; begins a new interval.
    /// `None` when no packet has arrived.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let block = self.peek_report_block(now)?;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        Some(block)
    }

    /// The report block as of `now` without beginning a new interval.
    pub fn peek_report_block(&self, now: Instant) -> Option<ReportBlock> {
        let sequence = self.sequence.as_ref()?;
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        let lost = expected.saturating_sub(received);
        // RFC 3550 A.3: a share of 1/256, which cannot be all of them.
        let fraction_lost = (lost * 256)
            .checked_div(expected)
            .map_or(0, |f| f.min(255) as u8);
        let (last_sender_report, delay) =
            self.last_sender_report.map_or((0, 0), |(ntp, arrived)| {
                let delay = now.saturating_duration_since(arrived);
                (ntp.middle(), to_middle_units(delay))
            });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost: self
                .cumulative_lost()
                .clamp(i64::from(i32::MIN), i64::from(i32::MAX))
                as i32,
            highest_sequence: sequence.highest as u32,
            jitter: self.jitter.ticks(),
            last_sender_report,
            delay_since_last_sender_report: delay,
        })
    }

    /// Packets that should have arrived.
    pub fn expected(&self) -> u64 {
        self.sequence.as_ref().map_or(0, |s| s.highest - s.base + 1)
    }

    /// Packets that arrived, duplicates counted.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Payload octets that arrived.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets lost; negative when more duplicates came than were lost.
    pub fn cumulative_lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        let nanos = u64::from(self.jitter.ticks()) * 1_000_000_000 / u64::from(self.clock_rate);
        Duration::from_nanos(nanos)
    }

    /// When the last packet arrived.
    pub const fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }

    /// The stream.
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }
}

/// RFC 3550 A.8.
#[derive(Clone, Debug, Default)]
struct Jitter {
    /// First arrival, and the clock of all later ones.
    epoch: Option<Instant>,
    transit: u32,
    last_timestamp: u32,
    /// In 1/16 tick.
    scaled: u32,
}

impl Jitter {
    fn on_packet(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        let Some(epoch) = self.epoch else {
            self.epoch = Some(now);
            self.transit = 0u32.wrapping_sub(timestamp);
            self.last_timestamp = timestamp;
            return;
        };
        // Packets of one frame share a timestamp but are sent one after another: only the first
        // one's transit tells of the network.
        if timestamp == self.last_timestamp {
            return;
        }
        self.last_timestamp = timestamp;
        let arrival = ticks(now.saturating_duration_since(epoch), clock_rate);
        let transit = (arrival as u32).wrapping_sub(timestamp);
        let d = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // A step of the sender's clock is no jitter: five seconds at most count.
        if d < clock_rate.saturating_mul(5) {
            self.scaled = self
                .scaled
                .wrapping_add(d.wrapping_sub((self.scaled + 8) >> 4));
        }
    }

    const fn ticks(&self) -> u32 {
        self.scaled >> 4
    }
}

/// A time span in ticks of a clock.
fn ticks(span: Duration, clock_rate: u32) -> u64 {
    let rate = u64::from(clock_rate);
    span.as_secs() * rate + u64::from(span.subsec_nanos()) * rate / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(stats: &mut StreamStatistics, start: Instant, numbers: &[u16]) {
        for n in numbers {
            let at = start + Duration::from_millis(20) * u32::from(*n);
            stats.on_packet(at, SequenceNumber(*n), u32::from(*n) * 960, 100);
        }
    }

    #[test]
    fn counts_loss_in_the_interval_and_in_all() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 48_000);
        assert!(stats.report_block(start).is_none());
        feed(&mut stats, start, &[1, 2, 4, 5, 8]);
        let block = stats.report_block(start).unwrap();
        assert_eq!(block.cumulative_lost, 3);
        assert_eq!(block.fraction_lost, (3 * 256 / 8) as u8);
        assert_eq!(block.highest_sequence, 8);
        assert_eq!(block.jitter, 0);
        feed(&mut stats, start, &[9, 10, 6, 7]);
        let block = stats.report_block(start).unwrap();
        assert_eq!(block.cumulative_lost, 1);
        assert_eq!(block.fraction_lost, 0);
    }

    #[test]
    fn wraps_and_restarts_as_the_standard_says() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 90_000);
        for n in [65_534u16, 65_535, 0, 1] {
            stats.on_packet(start, SequenceNumber(n), 0, 1);
        }
        assert_eq!(stats.expected(), 4);
        let block = stats.peek_report_block(start).unwrap();
        assert_eq!(block.highest_sequence, 0x1_0001);
        let far = SequenceNumber(30_000);
        let outcome = stats.on_packet(start, far, 0, 1);
        assert_eq!(outcome, SequenceOutcome::Suspicious);
        assert_eq!(stats.received(), 4);
        let outcome = stats.on_packet(start, far.next(), 0, 1);
        assert_eq!(outcome, SequenceOutcome::Restarted);
        assert_eq!((stats.expected(), stats.received()), (2, 2));
        assert_eq!(stats.cumulative_lost(), 0);
    }

    #[test]
    fn a_restart_that_zero_confirms_counts_two() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 90_000);
        for n in [30_000, 65_535, 0, 1] {
            stats.on_packet(start, SequenceNumber(n), 0, 1);
        }
        assert_eq!((stats.expected(), stats.received()), (3, 3));
        assert_eq!(stats.cumulative_lost(), 0);
    }

    /// What NACK brings on the stream itself, at 1000 packets a second.
    #[test]
    fn packets_sent_again_are_late_and_no_restart() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 90_000);
        let mut number = SequenceNumber(60_000);
        for n in 0..10_000u32 {
            let now = start + Duration::from_millis(1) * n;
            let outcome = stats.on_packet(now, number, n, 1);
            assert_eq!(outcome, SequenceOutcome::Ahead { skipped: 0 });
            if n > 400 && n % 50 == 0 {
                // A second ago, when there was one.
                let back = (n - 2).min(1000) as u16;
                for again in [
                    number.add(0u16.wrapping_sub(back)),
                    number.add(1u16.wrapping_sub(back)),
                ] {
                    let outcome = stats.on_packet(now, again, n, 1);
                    assert_eq!(outcome, SequenceOutcome::Behind, "{n}");
                }
            }
            number = number.next();
        }
        // Of a slow stream a hundred are two seconds.
        let mut stats = StreamStatistics::new(Ssrc(5), 48_000);
        for n in 0..1000u16 {
            let now = start + Duration::from_millis(20) * u32::from(n);
            stats.on_packet(now, SequenceNumber(n), 0, 1);
        }
        let now = start + Duration::from_secs(20);
        let outcome = stats.on_packet(now, SequenceNumber(600), 0, 1);
        assert_eq!(outcome, SequenceOutcome::Suspicious);
        let outcome = stats.on_packet(now, SequenceNumber(601), 0, 1);
        assert_eq!(outcome, SequenceOutcome::Restarted);
    }

    /// An outage of less than two seconds, at 2000 packets a second.
    #[test]
    fn an_outage_of_a_fast_stream_is_a_loss() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 90_000);
        let mut number = SequenceNumber(63_000);
        for n in 0..6000u32 {
            let now = start + Duration::from_micros(500) * n;
            stats.on_packet(now, number, n, 1);
            number = number.next();
        }
        stats.report_block(start);
        let now = start + Duration::from_millis(4750);
        let outcome = stats.on_packet(now, number.add(3500), 0, 1);
        assert_eq!(outcome, SequenceOutcome::Ahead { skipped: 3500 });
        let block = stats.report_block(now).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (3500, 255));
        // However fast it is, most of the circle is for restarts.
        for n in 0..40_000u32 {
            number = SequenceNumber(n as u16);
            stats.on_packet(now + Duration::from_micros(50) * n, number, n, 1);
        }
        let far = number.add(MAX_FAST_DROPOUT);
        let outcome = stats.on_packet(now + Duration::from_secs(2), far, 0, 1);
        assert_eq!(outcome, SequenceOutcome::Suspicious);
    }

    #[test]
    fn jitter_converges_to_the_spread_of_transit() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 1000);
        for n in 0..1000u16 {
            // Every other packet comes 10 ms late: |D| is 10 ticks for each.
            let late = u64::from(n % 2) * 10;
            let at = start + Duration::from_millis(u64::from(n) * 20 + late);
            stats.on_packet(at, SequenceNumber(n), u32::from(n) * 20, 1);
        }
        let jitter = stats.peek_report_block(start).unwrap().jitter;
        assert!((9..=10).contains(&jitter), "{jitter}");
        assert_eq!(stats.jitter(), Duration::from_millis(u64::from(jitter)));
    }

    #[test]
    fn tells_the_delay_since_the_sender_report() {
        let start = Instant::now();
        let mut stats = StreamStatistics::new(Ssrc(5), 48_000);
        feed(&mut stats, start, &[1]);
        stats.on_sender_report(start, NtpTime(0x1234_5678_9abc_def0));
        let block = stats
            .report_block(start + Duration::from_millis(1500))
            .unwrap();
        assert_eq!(block.last_sender_report, 0x5678_9abc);
        assert_eq!(block.delay_since_last_sender_report, 3 * 32_768);
    }
}
