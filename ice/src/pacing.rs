//! When the next transaction may start (RFC 8445 §14.2).
//!
//! The first few start at the standard's floor of 5 ms, so that the common
//! case of a handful of pairs is decided in a round trip or two; from then on
//! they are Ta apart. One pacer serves an agent's checks and its gathering.

use std::time::{Duration, Instant};

use crate::limits::MIN_PACING;

#[derive(Debug)]
pub(crate) struct Pacer {
    ta: Duration,
    burst: u32,
    left: u32,
    next: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(ta: Duration, burst: u32) -> Self {
        Self {
            ta: ta.max(MIN_PACING),
            burst,
            left: burst,
            next: None,
        }
    }

    /// Ta, as both sides agreed.
    pub(crate) fn set_ta(&mut self, ta: Duration) {
        self.ta = ta.max(MIN_PACING);
    }

    pub(crate) fn ta(&self) -> Duration {
        self.ta
    }

    /// A new generation: fast start again.
    pub(crate) fn restart(&mut self) {
        self.left = self.burst;
    }

    /// When a transaction may start; `None` is at once.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn ready(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// One starts now.
    pub(crate) fn spend(&mut self, now: Instant) {
        let pause = if self.left > 0 {
            self.left -= 1;
            MIN_PACING
        } else {
            self.ta
        };
        self.next = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_start_fast_then_ta_rules_and_never_below_the_floor() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Duration::from_millis(50), 3);
        let mut at = vec![];
        let mut now = start;
        for _ in 0..6 {
            assert!(pacer.ready(now));
            at.push((now - start).as_millis());
            pacer.spend(now);
            assert!(!pacer.ready(now));
            now = pacer.next().unwrap_or(now);
        }
        assert_eq!(at, [0, 5, 10, 15, 65, 115]);
        assert_eq!(Pacer::new(Duration::ZERO, 0).ta(), MIN_PACING);
    }
}
