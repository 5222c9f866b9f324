//! Spreads packets over the round trip.

use std::time::{Duration, Instant};

/// What may leave at once after a pause: timers are coarse, and bursts of this length are
/// absorbed by any queue worth the name.
const BURST_TIME: Duration = Duration::from_millis(2);

/// But never more than this part of a round trip: on a short path 2 ms are several of them.
const BURST_SHARE: u32 = 4;

/// The least burst in packets.
const BURST_PACKETS: usize = 10;

/// Below this round-trip time there is nothing to spread over.
const MIN_RTT: Duration = Duration::from_micros(200);

/// A bucket of octets that fills at the pacing rate.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    octets: f64,
    filled_at: Instant,
}

impl Pacer {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            octets: 0.0,
            filled_at: now,
        }
    }

    /// Whether a packet may leave now; otherwise when.
    pub(crate) fn ready(
        &mut self,
        now: Instant,
        rate: Option<f64>,
        rtt: Duration,
        mtu: usize,
    ) -> Result<(), Instant> {
        let Some(rate) = rate.filter(|rate| *rate > 0.0 && rtt >= MIN_RTT) else {
            return Ok(());
        };
        let burst = (rate * BURST_TIME.min(rtt / BURST_SHARE).as_secs_f64())
            .max((BURST_PACKETS * mtu) as f64);
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.octets = (self.octets + passed * rate).min(burst);
        self.filled_at = now;
        if self.octets > 0.0 {
            return Ok(());
        }
        // Wait for a quarter of a burst: waking up for each packet would cost more than it gives.
        let missing = burst / 4.0 - self.octets;
        Err(now + Duration::from_secs_f64((missing / rate).min(1.0)))
    }

    pub(crate) fn sent(&mut self, octets: usize) {
        self.octets -= octets as f64;
    }
}
