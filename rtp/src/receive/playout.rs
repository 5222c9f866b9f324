//! How long to hold frames before playing them, so that most come in time: advice to the caller.

use std::time::{Duration, Instant};

use crate::extension::PlayoutDelay;
use crate::sequence::TimestampUnwrapper;

/// How a [`PlayoutEstimator`] advises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// Least delay advised.
    pub min: Duration,
    /// Greatest delay advised.
    pub max: Duration,
    /// Share of the packets that shall come in time, in 1/1000.
    pub in_time: u16,
}

impl Default for PlayoutConfig {
    /// 0 to 2 s, for 970 of 1000 packets.
    fn default() -> Self {
        Self {
            min: Duration::ZERO,
            max: Duration::from_secs(2),
            in_time: 970,
        }
    }
}

/// Width of a histogram's bin.
const BIN: Duration = Duration::from_millis(5);
/// Bins: two seconds, and one for all beyond.
const BINS: usize = 401;
/// A transit that is longer than the one before by so much, which no bin tells apart, is a sender that set its clock back.
const STEP: i64 = 2_000_000;
/// How long the least transit counts before it must be seen again: a sender's clock may drift.
const BASE_WINDOW: Duration = Duration::from_secs(10);
/// Weight of the past a packet: its half-life is about 460 packets.
const FORGET: f32 = 0.9985;

/// Learns the spread of the packets' transit times, and advises a delay.
#[derive(Clone, Debug)]
pub struct PlayoutEstimator {
    config: PlayoutConfig,
    clock_rate: u32,
    timestamps: TimestampUnwrapper,
    epoch: Option<(Instant, u64)>,
    /// Least transit of the window before, of this one, and when this one began, in µs.
    base: (i64, i64, Instant),
    last_transit: Option<i64>,
    histogram: Vec<f32>,
    total: f32,
}

impl PlayoutEstimator {
    /// An estimator for a stream whose timestamps run at `clock_rate` Hz.
    pub fn new(config: PlayoutConfig, clock_rate: u32, now: Instant) -> Self {
        Self {
            config,
            clock_rate: clock_rate.max(1),
            timestamps: TimestampUnwrapper::new(),
            epoch: None,
            base: (i64::MAX, i64::MAX, now),
            last_transit: None,
            histogram: Vec::new(),
            total: 0.0,
        }
    }

    /// Takes the bounds that the sender asks for.
    pub fn set_bounds(&mut self, bounds: &PlayoutDelay) {
        self.config.min = bounds.min;
        self.config.max = bounds.max;
    }

    /// Forgets what was learned: the sender began anew.
    pub fn reset(&mut self, now: Instant) {
        *self = Self::new(self.config, self.clock_rate, now);
    }

    /// A packet came; feed the first of each frame, and no retransmissions (their transit tells of
    /// the recovery and not of the network).
    pub fn on_packet(&mut self, now: Instant, timestamp: u32) {
        let wire = timestamp;
        let timestamp = self.timestamps.unwrap(timestamp);
        let (start, first) = *self.epoch.get_or_insert((now, timestamp));
        let arrived = now.saturating_duration_since(start).as_micros() as i64;
        let ticks = timestamp.wrapping_sub(first) as i64;
        let sent = i128::from(ticks) * 1_000_000 / i128::from(self.clock_rate);
        let transit = arrived.saturating_sub(sent as i64);
        if self
            .last_transit
            .is_some_and(|last| transit.saturating_sub(last) > STEP)
        {
            self.reset(now);
            return self.on_packet(now, wire);
        }
        self.last_transit = Some(transit);
        let (before, current, since) = &mut self.base;
        if now.saturating_duration_since(*since) > BASE_WINDOW {
            (*before, *current, *since) = (*current, transit, now);
        }
        *current = (*current).min(transit);
        let late = transit.saturating_sub((*current).min(*before)).max(0) as u128;
        if self.histogram.is_empty() {
            self.histogram.resize(BINS, 0.0);
        }
        // Instead of making all the past lighter, make the present heavier.
        self.total = self.total * FORGET + 1.0;
        for share in &mut self.histogram {
            *share *= FORGET;
        }
        let bin = (late / BIN.as_micros()).min(BINS as u128 - 1) as usize;
        if let Some(share) = self.histogram.get_mut(bin) {
            *share += 1.0;
        }
    }

    /// How long after the fastest packets' transit to play: within the bounds.
    pub fn delay(&self) -> Duration {
        let wanted = self.total * f32::from(self.config.in_time.min(1000)) / 1000.0;
        let mut seen = 0.0;
        let mut bins = 0u32;
        for share in &self.histogram {
            seen += share;
            bins += 1;
            if seen >= wanted {
                break;
            }
        }
        let delay = if self.total > 0.0 {
            BIN * bins
        } else {
            Duration::ZERO
        };
        delay.min(self.config.max).max(self.config.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advises_what_covers_nearly_all_packets() {
        let start = Instant::now();
        let mut p = PlayoutEstimator::new(PlayoutConfig::default(), 90_000, start);
        let at = |n: u32, late: u64| start + Duration::from_millis(u64::from(n) * 20 + late);
        for n in 0..500 {
            p.on_packet(at(n, 0), n * 1800);
        }
        assert_eq!(p.delay(), BIN);
        // One of ten comes 80 ms late.
        for n in 500..3000 {
            p.on_packet(at(n, if n % 10 == 0 { 80 } else { 0 }), n * 1800);
        }
        assert!((80..=90).contains(&(p.delay().as_millis() as u64)));
        // The network calms down.
        for n in 3000..6000 {
            p.on_packet(at(n, 0), n * 1800);
        }
        assert_eq!(p.delay(), BIN);
        p.set_bounds(&PlayoutDelay {
            min: Duration::from_millis(100),
            max: Duration::from_millis(200),
        });
        assert_eq!(p.delay(), Duration::from_millis(100));
    }

    #[test]
    fn a_sender_that_sets_its_clock_back_costs_no_delay() {
        let start = Instant::now();
        let mut p = PlayoutEstimator::new(PlayoutConfig::default(), 90_000, start);
        let mut now = start;
        for jump in [0u32, 90_000 * 3600, 90_000 * 1800, 90_000 * 3000] {
            for n in 0..100 {
                now += Duration::from_millis(20);
                p.on_packet(now, jump.wrapping_neg().wrapping_add(n * 1800));
            }
            assert_eq!(p.delay(), BIN, "{jump}");
        }
        p.reset(now);
        assert_eq!(p.delay(), Duration::ZERO);
    }

    #[test]
    fn follows_a_clock_that_drifts() {
        let start = Instant::now();
        let mut p = PlayoutEstimator::new(PlayoutConfig::default(), 48_000, start);
        // The sender's clock is 100 ppm slow: a second late after 10 000 s.
        for n in 0..50_000u64 {
            let drift = Duration::from_micros(n * 2);
            p.on_packet(
                start + Duration::from_millis(n * 20) + drift,
                (n * 960) as u32,
            );
        }
        assert!(p.delay() <= BIN * 2, "{:?}", p.delay());
    }
}
