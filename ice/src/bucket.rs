//! A token bucket: so many at once, so many a second.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Bucket {
    burst: u32,
    per_second: u32,
    level: u32,
    filled: Option<Instant>,
}

impl Bucket {
    pub(crate) fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst,
            per_second,
            level: burst,
            filled: None,
        }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let granted = self.level > 0;
        self.level = self.level.saturating_sub(1);
        granted
    }

    /// Whether there is one.
    pub(crate) fn has(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level > 0
    }

    fn fill(&mut self, now: Instant) {
        let Some(filled) = self.filled else {
            self.filled = Some(now);
            return;
        };
        let elapsed = now.saturating_duration_since(filled);
        let tokens = elapsed.as_micros() * u128::from(self.per_second) / 1_000_000;
        if let Ok(tokens) = u32::try_from(tokens) {
            if tokens == 0 {
                return;
            }
            self.level = self.level.saturating_add(tokens).min(self.burst);
            // Keep the fraction: only whole tokens are paid for.
            let paid = u64::from(tokens) * 1_000_000 / u64::from(self.per_second.max(1));
            self.filled = Some(filled + Duration::from_micros(paid));
        } else {
            self.level = self.burst;
            self.filled = Some(now);
        }
        if self.level == self.burst {
            self.filled = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_the_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4, 10);
        let granted = (0..100).filter(|_| bucket.take(start)).count();
        assert_eq!(granted, 4);
        let granted = (0u64..1000)
            .filter(|ms| bucket.take(start + Duration::from_millis(*ms)))
            .count();
        assert!((9..=10).contains(&granted), "{granted}");
        assert!(bucket.take(start + Duration::from_secs(1_000_000)));
    }
}
