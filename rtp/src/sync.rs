//! Clocks of senders: timestamps to their wall clock, their wall clock to ours, and streams that
//! play together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::clock::NtpTime;
use crate::limits::CLOCK_POINTS;
use crate::sequence::TimestampUnwrapper;

/// Relates one stream's timestamps to its sender's wall clock, from sender reports.
///
/// With one report the nominal clock rate is taken; with more, the line through the oldest and the
/// newest remembered, if it is plausible.
#[derive(Clone, Debug)]
pub struct ClockMap {
    clock_rate: u32,
    timestamps: TimestampUnwrapper,
    points: VecDeque<(NtpTime, u64)>,
}

/// How far a sender's clock may be off its nominal rate for a measured one to be believed: crystals
/// keep within 100 ppm, the measure itself jitters.
const PLAUSIBLE: f64 = 0.01;

impl ClockMap {
    /// A map without reports, for timestamps that run at `clock_rate` Hz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            timestamps: TimestampUnwrapper::new(),
            points: VecDeque::new(),
        }
    }

    /// A sender report came.
    pub fn on_sender_report(&mut self, ntp: NtpTime, timestamp: u32) {
        let timestamp = self.timestamps.unwrap(timestamp);
        if let Some((last, last_timestamp)) = self.points.back() {
            if *last == ntp {
                return;
            }
            // Backwards, or far off: the sender set its clock, or began anew.
            let span = ntp.wrapping_difference(*last) as f64 / 4_294_967_296.0;
            let ticks = timestamp as f64 - *last_timestamp as f64;
            let expected = span * f64::from(self.clock_rate);
            let off = (ticks - expected).abs();
            if span <= 0.0 || off > f64::from(self.clock_rate).max(expected * 0.1) {
                self.points.clear();
            }
        }
        if self.points.len() == CLOCK_POINTS {
            self.points.pop_front();
        }
        self.points.push_back((ntp, timestamp));
    }

    /// The clock rate measured, or the nominal one.
    pub fn rate(&self) -> f64 {
        let nominal = f64::from(self.clock_rate);
        if let (Some((first, t0)), Some((last, t1))) = (self.points.front(), self.points.back()) {
            let span = last.wrapping_difference(*first) as f64 / 4_294_967_296.0;
            // Short spans measure jitter rather than drift.
            if span > 1.0 {
                let rate = (*t1 as f64 - *t0 as f64) / span;
                if (rate / nominal - 1.0).abs() < PLAUSIBLE {
                    return rate;
                }
            }
        }
        nominal
    }

    /// The wall-clock time of a timestamp near those of late; `None` before the first report.
    pub fn ntp_of(&self, timestamp: u32) -> Option<NtpTime> {
        let (ntp, at) = self.points.back()?;
        let ticks = self.timestamps.peek(timestamp) as f64 - *at as f64;
        let offset = ticks / self.rate() * 4_294_967_296.0;
        Some(NtpTime(ntp.0.wrapping_add(offset as i64 as u64)))
    }

    /// The timestamp of a wall-clock time; `None` before the first report.
    pub fn timestamp_of(&self, ntp: NtpTime) -> Option<u32> {
        let (base, at) = self.points.back()?;
        let span = ntp.wrapping_difference(*base) as f64 / 4_294_967_296.0;
        let ticks = (span * self.rate()).round() as i64;
        Some(at.wrapping_add(ticks as u64) as u32)
    }
}

/// Relates a sender's wall clock to ours, by its fastest packets: what came with the least delay
/// tells the offset, the unknown least transit included.
#[derive(Clone, Debug)]
pub struct RemoteClock {
    origin: Option<(Instant, NtpTime)>,
    /// Least offset of the window before and of this one, in µs, and when this one began.
    before: Option<i64>,
    current: Option<i64>,
    since: Option<Instant>,
}

/// A window of the least offset; drift within two of them stays below a few milliseconds.
const WINDOW: Duration = Duration::from_secs(20);

impl RemoteClock {
    /// A clock of which nothing is known.
    pub const fn new() -> Self {
        Self {
            origin: None,
            before: None,
            current: None,
            since: None,
        }
    }

    /// Something that the sender's wall clock stamped with `ntp` arrived.
    pub fn on_arrival(&mut self, now: Instant, ntp: NtpTime) {
        let (start, base) = *self.origin.get_or_insert((now, ntp));
        let ours = now.saturating_duration_since(start).as_micros() as i64;
        let theirs = micros(ntp.wrapping_difference(base));
        let offset = ours - theirs;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) > WINDOW {
            self.before = self.current.take();
            self.since = Some(now);
        }
        self.current = Some(self.current.map_or(offset, |c| c.min(offset)));
    }

    /// When, on our clock, something stamped with `ntp` arrives at the earliest.
    pub fn instant_of(&self, ntp: NtpTime) -> Option<Instant> {
        let (start, base) = self.origin?;
        let offset = match (self.before, self.current) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        let at = micros(ntp.wrapping_difference(base)) + offset;
        if at >= 0 {
            Some(start + Duration::from_micros(at.unsigned_abs()))
        } else {
            start.checked_sub(Duration::from_micros(at.unsigned_abs()))
        }
    }
}

impl Default for RemoteClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A difference of NTP times in µs.
fn micros(difference: i64) -> i64 {
    ((i128::from(difference) * 1_000_000) >> 32) as i64
}

/// A span in µs; saturates.
fn whole_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// One stream to be played together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncInput {
    /// Capture time of the frame played last, by the sender's wall clock.
    pub captured: NtpTime,
    /// When it arrived on our clock.
    pub arrived: Instant,
    /// The delay the stream wants for its own sake, after arrival.
    pub wanted: Duration,
}

/// The delays after arrival with which streams of one sender play in step: the stream that would be
/// played latest keeps the delay it wants, the others wait for it. At most `max` is added to a
/// stream, so that a wrong clock of the sender cannot stop it. Appends one delay a stream.
pub fn synchronize(streams: &[SyncInput], max: Duration, delays: &mut Vec<Duration>) {
    let Some(first) = streams.first() else { return };
    // Latency from capture to play, up to the same unknown for all.
    let latency = |s: &SyncInput| {
        let arrived = if s.arrived >= first.arrived {
            whole_micros(s.arrived - first.arrived)
        } else {
            -whole_micros(first.arrived - s.arrived)
        };
        arrived
            .saturating_sub(micros(s.captured.wrapping_difference(first.captured)))
            .saturating_add(whole_micros(s.wanted))
    };
    let latest = streams.iter().map(latency).max().unwrap_or(0);
    for stream in streams {
        let wait =
            Duration::from_micros(latest.saturating_sub(latency(stream)).max(0).unsigned_abs());
        delays.push(stream.wanted.saturating_add(wait.min(max)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    #[test]
    fn timestamps_and_wall_clock_convert_both_ways_across_the_wrap() {
        let mut map = ClockMap::new(90_000);
        assert_eq!(map.ntp_of(0), None);
        let base = 0xe000_0000 * SECOND;
        let start = u32::MAX - 45_000;
        map.on_sender_report(NtpTime(base), start);
        let later = start.wrapping_add(90_000);
        let ntp = map.ntp_of(later).unwrap();
        assert_eq!(ntp.0 >> 16, (base + SECOND) >> 16);
        assert_eq!(map.timestamp_of(ntp), Some(later));
        let earlier = start.wrapping_sub(45_000);
        assert_eq!(map.ntp_of(earlier).unwrap().0, base - SECOND / 2);
    }

    #[test]
    fn the_rate_is_measured_and_a_jump_begins_anew() {
        let mut map = ClockMap::new(48_000);
        for n in 0..10u64 {
            // 100 ppm fast.
            let ticks = (n as f64 * 5.0 * 48_004.8) as u32;
            map.on_sender_report(NtpTime(n * 5 * SECOND), ticks);
        }
        assert!((map.rate() - 48_004.8).abs() < 0.1, "{}", map.rate());
        map.on_sender_report(NtpTime(46 * SECOND), 5);
        assert!((map.rate() - 48_000.0).abs() < 1e-9);
        assert_eq!(map.ntp_of(48_005), Some(NtpTime(47 * SECOND)));
    }

    #[test]
    fn the_fastest_packet_tells_the_offset() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut clock = RemoteClock::new();
        assert_eq!(clock.instant_of(NtpTime(0)), None);
        for (n, late) in [(0u64, 30), (1, 50), (2, 10), (3, 90)] {
            let now = start + ms(n * 1000 + late);
            clock.on_arrival(now, NtpTime(n * SECOND));
        }
        let at = clock.instant_of(NtpTime(5 * SECOND)).unwrap();
        let off = at.duration_since(start).as_micros() as i64 - 5_010_000;
        assert!(off.abs() <= 2, "{off}");
    }

    #[test]
    fn the_faster_stream_waits_for_the_slower() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let audio = SyncInput {
            captured: NtpTime(SECOND),
            arrived: start,
            wanted: ms(40),
        };
        // Captured at the same time, arrived 80 ms later, wants 30 ms.
        let video = SyncInput {
            captured: NtpTime(SECOND),
            arrived: start + ms(80),
            wanted: ms(30),
        };
        let mut delays = Vec::new();
        synchronize(&[audio, video], ms(1000), &mut delays);
        assert_eq!(delays, [ms(110), ms(30)]);
        delays.clear();
        synchronize(&[audio, video], ms(20), &mut delays);
        assert_eq!(delays, [ms(60), ms(30)]);
        delays.clear();
        let endless = SyncInput {
            wanted: Duration::MAX,
            ..video
        };
        synchronize(&[endless, audio, video], Duration::MAX, &mut delays);
        assert_eq!(delays[0], Duration::MAX);
    }
}
