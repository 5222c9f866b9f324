//! The client's side of a transaction: when to send again and when to give up
//! (RFC 8489 §6.2), and what round trips teach about it.

use std::time::{Duration, Instant};

use crate::limits::MAX_WAIT;
use crate::message::TransactionId;

/// Whether what carries the messages loses some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// UDP, DTLS over UDP: requests are sent again (§6.2.1).
    Unreliable,
    /// TCP, TLS: a request is sent once and waited for (§6.2.2).
    Reliable,
}

/// The numbers of RFC 8489 §6.2.1 and §6.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    rto: Duration,
    rc: u32,
    rm: u32,
    ti: Duration,
}

/// The longest pause between two requests. Doubling would pass any useful
/// time; a caller that asks for many transmissions still gets them.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

impl Schedule {
    /// RTO 500 ms, Rc 7, Rm 16, Ti 39.5 s: requests at 0, 0.5, 1.5, 3.5, 7.5,
    /// 15.5 and 31.5 s, failure at 39.5 s.
    pub const DEFAULT: Schedule = Schedule {
        rto: Duration::from_millis(500),
        rc: 7,
        rm: 16,
        ti: Duration::from_millis(39_500),
    };

    /// With another first retransmission timeout (1 ms to a year).
    #[must_use]
    pub fn with_rto(mut self, rto: Duration) -> Schedule {
        self.rto = rto.clamp(Duration::from_millis(1), MAX_WAIT);
        self
    }

    /// With another number of transmissions in all, Rc (at least 1).
    #[must_use]
    pub fn with_rc(mut self, rc: u32) -> Schedule {
        self.rc = rc.max(1);
        self
    }

    /// With another last wait in units of the first timeout, Rm (at least 1). It is a year at most, whatever the
    /// product.
    #[must_use]
    pub fn with_rm(mut self, rm: u32) -> Schedule {
        self.rm = rm.max(1);
        self
    }

    /// With another wait over reliable transports, Ti (up to a year).
    #[must_use]
    pub fn with_ti(mut self, ti: Duration) -> Schedule {
        self.ti = ti.min(MAX_WAIT);
        self
    }

    /// The first retransmission timeout.
    pub fn rto(&self) -> Duration {
        self.rto
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::DEFAULT
    }
}

/// What [`Transaction::step`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due before [`Transaction::poll_timeout`].
    Wait,
    /// Send the request now. The octets are the same each time.
    Transmit,
    /// No answer came in the time the schedule allows.
    TimedOut,
}

/// One request under way: its id and its timers, not its octets.
///
/// Drop it when the answer has come.
#[derive(Clone, Debug)]
pub struct Transaction {
    id: TransactionId,
    schedule: Schedule,
    reliability: Reliability,
    sent: u32,
    first_sent: Option<Instant>,
    due: Instant,
    interval: Duration,
}

impl Transaction {
    /// A transaction whose first transmission is due at `now`.
    pub fn new(
        id: TransactionId,
        now: Instant,
        schedule: Schedule,
        reliability: Reliability,
    ) -> Transaction {
        Transaction {
            id,
            schedule,
            reliability,
            sent: 0,
            first_sent: None,
            due: now,
            interval: schedule.rto,
        }
    }

    /// The id of the request.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// When [`Transaction::step`] has something to say next.
    pub fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// How often the request was sent.
    pub fn transmissions(&self) -> u32 {
        self.sent
    }

    /// When the request was sent first.
    pub fn first_sent(&self) -> Option<Instant> {
        self.first_sent
    }

    /// How many transmissions there may be, and the wait after the last.
    fn bounds(&self) -> (u32, Duration) {
        match self.reliability {
            Reliability::Unreliable => (
                self.schedule.rc,
                self.schedule
                    .rto
                    .saturating_mul(self.schedule.rm)
                    .min(MAX_WAIT),
            ),
            Reliability::Reliable => (1, self.schedule.ti),
        }
    }

    /// Whether the time for an answer is over.
    pub fn is_timed_out(&self, now: Instant) -> bool {
        now >= self.due && self.sent >= self.bounds().0
    }

    /// Says what to do at `now`. After [`Step::Transmit`] the caller sends.
    ///
    /// A caller that is late sends late and once: the pauses count from when
    /// it was really sent.
    pub fn step(&mut self, now: Instant) -> Step {
        if now < self.due {
            return Step::Wait;
        }
        let (limit, last_wait) = self.bounds();
        if self.sent >= limit {
            return Step::TimedOut;
        }
        self.first_sent.get_or_insert(now);
        self.sent += 1;
        if self.sent == limit {
            self.due = now + last_wait;
        } else {
            self.due = now + self.interval;
            self.interval = self
                .interval
                .saturating_mul(2)
                .min(MAX_INTERVAL.max(self.schedule.rto));
        }
        Step::Transmit
    }

    /// The round trip that an answer arriving `now` measures; `None` when the
    /// request was sent more than once, for then nobody knows which of them is
    /// answered (Karn's rule; RFC 8489 §6.2.1).
    pub fn rtt(&self, now: Instant) -> Option<Duration> {
        match self.sent {
            1 => Some(now.saturating_duration_since(self.first_sent?)),
            _ => None,
        }
    }
}

/// Learns the retransmission timeout from round trips (RFC 6298, with the
/// floor and the forgetting of RFC 8489 §6.2.1).
#[derive(Clone, Debug)]
pub struct RtoEstimator {
    floor: Duration,
    smoothed: Option<(Duration, Duration)>,
    backed_off: Option<Duration>,
    used: Option<Instant>,
}

/// What was learned is forgotten after ten minutes (RFC 8489 §6.2.1).
const STALE_AFTER: Duration = Duration::from_secs(600);

/// RFC 6298 §2.4 allows an upper bound of at least 60 s.
const MAX_RTO: Duration = Duration::from_secs(60);

impl RtoEstimator {
    /// An estimator that knows nothing and never answers below `floor`
    /// (500 ms by the RFC; ICE and others with paced starts may go lower).
    pub fn new(floor: Duration) -> RtoEstimator {
        RtoEstimator {
            floor,
            smoothed: None,
            backed_off: None,
            used: None,
        }
    }

    /// The timeout to begin the next transaction with.
    pub fn rto(&self, now: Instant) -> Duration {
        if self
            .used
            .is_some_and(|used| now.saturating_duration_since(used) > STALE_AFTER)
        {
            return self.floor;
        }
        let estimate = match self.smoothed {
            Some((srtt, rttvar)) => srtt + rttvar.saturating_mul(4),
            None => self.floor,
        };
        self.backed_off
            .unwrap_or(estimate)
            .max(self.floor)
            .min(MAX_RTO.max(self.floor))
    }

    /// Takes in a round trip, as [`Transaction::rtt`] gives it.
    pub fn sample(&mut self, now: Instant, rtt: Duration) {
        let stale = self
            .used
            .is_some_and(|used| now.saturating_duration_since(used) > STALE_AFTER);
        self.smoothed = Some(match self.smoothed.filter(|_| !stale) {
            None => (rtt, rtt / 2),
            Some((srtt, rttvar)) => (
                srtt * 7 / 8 + rtt / 8,
                rttvar * 3 / 4 + srtt.abs_diff(rtt) / 4,
            ),
        });
        self.backed_off = None;
        self.used = Some(now);
    }

    /// A transaction ended without a sample after `retransmissions` of them:
    /// the next one begins with the doubled timeout (RFC 6298 §5.5 to §5.7),
    /// until a round trip is measured again.
    pub fn back_off(&mut self, now: Instant, retransmissions: u32) {
        let rto = self.rto(now);
        let factor = 1u32.checked_shl(retransmissions).unwrap_or(u32::MAX);
        self.backed_off = Some(rto.saturating_mul(factor).min(MAX_RTO));
        self.used = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(mut t: Transaction, start: Instant) -> (Vec<u128>, u128) {
        let mut sent = Vec::new();
        loop {
            let now = t.poll_timeout();
            match t.step(now) {
                Step::Transmit => sent.push((now - start).as_millis()),
                Step::TimedOut => return (sent, (now - start).as_millis()),
                Step::Wait => panic!("nothing to do at its own timeout"),
            }
        }
    }

    #[test]
    fn default_schedule_is_that_of_the_rfc() {
        let start = Instant::now();
        let id = TransactionId::new([0; 12]);
        let t = Transaction::new(id, start, Schedule::DEFAULT, Reliability::Unreliable);
        assert_eq!(
            offsets(t, start),
            (vec![0, 500, 1500, 3500, 7500, 15500, 31500], 39500)
        );
        let t = Transaction::new(id, start, Schedule::DEFAULT, Reliability::Reliable);
        assert_eq!(offsets(t, start), (vec![0], 39500));
    }

    #[test]
    fn a_caller_that_is_late_sends_once() {
        let start = Instant::now();
        let id = TransactionId::new([0; 12]);
        let mut t = Transaction::new(id, start, Schedule::DEFAULT, Reliability::Unreliable);
        assert_eq!(t.step(start), Step::Transmit);
        let late = start + Duration::from_secs(5);
        assert_eq!(t.step(late), Step::Transmit);
        assert_eq!(t.step(late), Step::Wait);
        assert_eq!(t.rtt(late), None);
    }

    #[test]
    fn estimator_follows_rfc_6298_and_forgets() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut e = RtoEstimator::new(ms(10));
        e.sample(start, ms(100));
        assert_eq!(e.rto(start), ms(300));
        e.sample(start, ms(200));
        // srtt 112.5, rttvar 37.5 + 25
        assert_eq!(e.rto(start), Duration::from_micros(362_500));
        e.back_off(start, 1);
        assert_eq!(e.rto(start), ms(725));
        assert_eq!(e.rto(start + STALE_AFTER + ms(1)), ms(10));
    }

    /// A wait of any length is one of a year at most.
    #[test]
    fn no_configured_wait_is_too_long() {
        let start = Instant::now();
        let schedule = Schedule::DEFAULT
            .with_rto(Duration::MAX)
            .with_rm(u32::MAX)
            .with_ti(Duration::MAX);
        for reliability in [Reliability::Unreliable, Reliability::Reliable] {
            let id = TransactionId::new([1; 12]);
            let mut transaction = Transaction::new(id, start, schedule, reliability);
            while transaction.step(transaction.poll_timeout()) == Step::Transmit {}
            assert!(transaction.is_timed_out(transaction.poll_timeout()));
        }
    }
}
