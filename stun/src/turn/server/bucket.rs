//! Limits by token buckets: relayed octets, and answers to strangers.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{MAX_STRANGER_CREDIT, STRANGER_BUCKETS, STRANGER_PAID_PER_SECOND};

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

/// What senders of one prefix have coming to them.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// The second that the counts are of.
    second: u32,
    /// Answers left of any length, and of those that were paid for.
    free: u32,
    paid: u32,
    /// Octets they sent that were not answered.
    credit: u32,
}

/// What senders of one prefix are answered who did not prove who and where
/// they are. An answer may go to a forged address, and a challenge is longer
/// than its request: so many a second are given, and beyond those only answers
/// that are not longer than what was sent for them.
#[derive(Debug)]
pub(super) struct StrangerLimit {
    hasher: foldhash::fast::FixedState,
    start: Instant,
    per_second: u32,
    accounts: Vec<Account>,
}

impl StrangerLimit {
    pub(super) fn new(per_second: u32, seed: u64, now: Instant) -> StrangerLimit {
        let account = Account {
            second: 0,
            free: per_second,
            paid: STRANGER_PAID_PER_SECOND,
            credit: 0,
        };
        StrangerLimit {
            hasher: foldhash::fast::FixedState::with_seed(seed),
            start: now,
            per_second,
            accounts: vec![account; STRANGER_BUCKETS],
        }
    }

    /// By /24 or /56.
    fn account(&mut self, now: Instant, source: IpAddr) -> Option<&mut Account> {
        let prefix = match source {
            IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) => (ip.to_bits() >> 72) as u64 | 1 << 63,
        };
        let at = self.hasher.hash_one(prefix) as usize % STRANGER_BUCKETS;
        let second = now.saturating_duration_since(self.start).as_secs() as u32;
        let account = self.accounts.get_mut(at)?;
        if account.second != second {
            account.second = second;
            account.free = self.per_second;
            account.paid = STRANGER_PAID_PER_SECOND;
        }
        Some(account)
    }

    /// How long an answer to a request of so many octets may be; zero for none.
    pub(super) fn allowance(&mut self, now: Instant, source: IpAddr, request: usize) -> usize {
        let Some(account) = self.account(now, source) else {
            return 0;
        };
        if account.free > 0 {
            return usize::MAX;
        }
        let request = u32::try_from(request).unwrap_or(u32::MAX);
        account.credit = account
            .credit
            .saturating_add(request)
            .min(MAX_STRANGER_CREDIT);
        if account.paid > 0 {
            account.credit as usize
        } else {
            0
        }
    }

    /// An answer of this length was given.
    pub(super) fn answered(&mut self, now: Instant, source: IpAddr, len: usize) {
        let Some(account) = self.account(now, source) else {
            return;
        };
        if account.free > 0 {
            account.free -= 1;
        } else {
            account.paid = account.paid.saturating_sub(1);
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            account.credit = account.credit.saturating_sub(len);
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
        let mut ask = |at, from, request, answer| {
            let may = limit.allowance(at, from, request) >= answer;
            if may {
                limit.answered(at, from, answer);
            }
            may
        };
        let free = (0..=255).filter(|i| ask(t0, ip(*i), 0, 100)).count();
        assert_eq!(free, 10);
        let later = t0 + Duration::from_secs(1);
        assert!(ask(later, ip(0), 0, 100));
        assert!(
            ask(t0, IpAddr::from([192, 0, 3, 1]), 0, 100),
            "another prefix"
        );
    }

    #[test]
    fn beyond_the_budget_nobody_gets_more_than_they_sent() {
        let t0 = Instant::now();
        let mut limit = StrangerLimit::new(0, 7, t0);
        let ip = IpAddr::from([192, 0, 2, 1]);
        let (mut sent, mut got) = (0, 0);
        for i in 0..10_000u64 {
            let now = t0 + Duration::from_millis(i);
            sent += 28;
            if limit.allowance(now, ip, 28) >= 88 {
                limit.answered(now, ip, 88);
                got += 88;
            }
        }
        assert!(got <= sent && got >= sent / 2, "{got} of {sent}");
        let most = u64::from(STRANGER_PAID_PER_SECOND) * 11 * 88;
        assert!(got <= most, "{got} of {most}");
    }
}
