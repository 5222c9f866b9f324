//! Limits by token buckets: relayed octets, and answers to strangers.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::STRANGER_BUCKETS;

/// A token bucket of octets. It holds up to one second's worth.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    per_second: u64,
    /// In nanoseconds of the rate, so that no fraction is lost: one octet is
    /// worth 10⁹.
    tokens: u64,
    last: Instant,
}

const NANOS: u64 = 1_000_000_000;

impl TokenBucket {
    /// Rates above eighteen gigabytes a second count as that.
    pub(super) fn new(per_second: u64, now: Instant) -> TokenBucket {
        let per_second = per_second.min(u64::MAX / NANOS);
        TokenBucket {
            per_second,
            tokens: per_second * NANOS,
            last: now,
        }
    }

    /// Takes the tokens if they are there.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, octets: usize) -> bool {
        let elapsed = now.saturating_duration_since(self.last);
        let full = self.per_second * NANOS;
        if elapsed >= Duration::from_secs(1) {
            self.tokens = full;
        } else {
            let fresh = self
                .per_second
                .saturating_mul(elapsed.subsec_nanos().into());
            self.tokens = self.tokens.saturating_add(fresh).min(full);
        }
        self.last = self.last.max(now);
        let Some(cost) = (octets as u64).checked_mul(NANOS) else {
            return false;
        };
        match self.tokens.checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

/// How many answers a second senders of one prefix get who did not prove who
/// and where they are. What is answered may go to a forged address; this is
/// what bounds it.
#[derive(Debug)]
pub(super) struct StrangerLimit {
    hasher: foldhash::fast::FixedState,
    start: Instant,
    per_second: u32,
    /// Answers left, and the second since `start` they were counted in.
    buckets: Vec<(u32, u32)>,
}

impl StrangerLimit {
    pub(super) fn new(per_second: u32, seed: u64, now: Instant) -> StrangerLimit {
        StrangerLimit {
            hasher: foldhash::fast::FixedState::with_seed(seed),
            start: now,
            per_second,
            buckets: vec![(per_second, 0); STRANGER_BUCKETS],
        }
    }

    /// Whether one more may be answered: by /24 or /56.
    pub(super) fn may_answer(&mut self, now: Instant, source: IpAddr) -> bool {
        let prefix = match source {
            IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) => (ip.to_bits() >> 72) as u64 | 1 << 63,
        };
        let at = self.hasher.hash_one(prefix) as usize % STRANGER_BUCKETS;
        let second = now.saturating_duration_since(self.start).as_secs() as u32;
        let Some((left, seen)) = self.buckets.get_mut(at) else {
            return false;
        };
        if *seen != second {
            (*left, *seen) = (self.per_second, second);
        }
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_through_and_not_more() {
        let t0 = Instant::now();
        let mut bucket = TokenBucket::new(1000, t0);
        let mut passed = 0;
        for ms in 0..10_000 {
            if bucket.take(t0 + Duration::from_millis(ms), 100) {
                passed += 100;
            }
        }
        // The full bucket at the beginning and ten seconds of rate.
        assert!((10_900..=11_000).contains(&passed), "{passed}");
    }

    #[test]
    fn strangers_of_one_prefix_share_a_budget() {
        let t0 = Instant::now();
        let mut limit = StrangerLimit::new(10, 7, t0);
        let ip = |last| IpAddr::from([192, 0, 2, last]);
        assert_eq!(
            (0..=255).filter(|i| limit.may_answer(t0, ip(*i))).count(),
            10
        );
        assert!(limit.may_answer(t0 + Duration::from_secs(1), ip(0)));
    }
}
