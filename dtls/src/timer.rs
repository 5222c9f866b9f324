//! The retransmission timer (RFC 9147 §5.8.2) and the ACK timer that follows it.

use std::time::{Duration, Instant};

use crate::limits::{INITIAL_RTO, MAX_RTO, MAX_TIMEOUTS, MIN_RTO};

/// Doubles from a first timeout that may be changed while it runs.
#[derive(Debug)]
pub(crate) struct RetransmissionTimer {
    first: Duration,
    timeouts: u32,
    started: Option<Instant>,
    /// Nothing is to be sent again: only the end of patience is waited for.
    waits: bool,
}

/// The last timeout has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp;

impl RetransmissionTimer {
    pub(crate) fn new() -> Self {
        Self {
            first: INITIAL_RTO,
            timeouts: 0,
            started: None,
            waits: false,
        }
    }

    /// Sets the first timeout; a running one is rescaled.
    pub(crate) fn set_first(&mut self, first: Duration) {
        self.first = first.clamp(MIN_RTO, MAX_RTO);
    }

    /// The timeout that runs now or will next.
    pub(crate) fn current(&self) -> Duration {
        self.after(self.timeouts)
    }

    fn after(&self, timeouts: u32) -> Duration {
        self.first
            .saturating_mul(1 << timeouts.min(20))
            .min(MAX_RTO)
    }

    /// How long a flight is sent again that nobody answers, and one timeout more:
    /// the peer's last attempt may still come.
    fn patience(&self) -> Duration {
        (0..=MAX_TIMEOUTS)
            .map(|timeouts| self.after(timeouts))
            .sum()
    }

    /// Starts, unless it runs already.
    pub(crate) fn start(&mut self, now: Instant) {
        self.started = self.started.or(Some(now));
    }

    /// Waits for the peer without anything to send again, a little longer than a
    /// flight without an answer would be sent.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.reset();
        self.started = Some(now);
        self.waits = true;
    }

    /// Stops and forgets the doublings.
    pub(crate) fn reset(&mut self) {
        self.started = None;
        self.timeouts = 0;
        self.waits = false;
    }

    /// Forgets the doublings of a timeout that runs, and stops it. Returns whether there were any.
    pub(crate) fn begin_anew(&mut self) -> bool {
        let doubled = self.started.is_some() && self.timeouts > 0 && !self.waits;
        if doubled {
            self.reset();
        }
        doubled
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timeout = if self.waits {
            self.patience()
        } else {
            self.current()
        };
        Some(self.started? + timeout)
    }

    /// Takes note of a timeout that has passed. Stopped until started again.
    pub(crate) fn fire(&mut self) -> Result<(), GaveUp> {
        self.started = None;
        self.timeouts += 1;
        if self.waits || self.timeouts >= MAX_TIMEOUTS {
            Err(GaveUp)
        } else {
            Ok(())
        }
    }
}
