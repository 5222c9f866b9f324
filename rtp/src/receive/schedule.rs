//! When to send RTCP (RFC 3550 §6.2, §6.3, A.7; RFC 4585 §3).

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::clock::after;

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportProfile {
    /// RTP/AVP: five seconds between reports at least (RFC 3550 §6.2).
    Avp,
    /// RTP/AVPF: no such least, and early feedback (RFC 4585 §3.4).
    Avpf {
        /// Least time between regular reports (`trr-int` of SDP), often zero.
        min_regular_interval: Duration,
    },
}

/// What the schedule reckons with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// Octets a second for all RTCP of the session: 5 % of the media's (RFC 3550 §6.2).
    pub bandwidth: u32,
    /// The rules.
    pub profile: ReportProfile,
}

/// RFC 3550 §6.3.1: compensates for reconsideration, e - 3/2.
const COMPENSATION: f64 = std::f64::consts::E - 1.5;
/// RFC 3550 §6.2: least interval.
const AVP_MINIMUM: f64 = 5.0;
/// Octets of UDP and IP that count for each packet (RFC 3550 §6.2).
const LOWER_LAYERS: usize = 28;
/// Longest interval: one never waits for hours because a bandwidth was set to nothing.
const LONGEST: f64 = 3600.0;

/// Decides when to send regular and early reports.
///
/// The caller asks [`poll_timeout`](Self::poll_timeout), calls
/// [`handle_timeout`](Self::handle_timeout), sends when that says so, and tells what it sent.
#[derive(Debug)]
pub struct ReportSchedule {
    config: ScheduleConfig,
    rng: StdRng,
    members: u32,
    senders: u32,
    we_sent: bool,
    /// Mean size of RTCP packets, lower layers included (RFC 3550 §6.3.3).
    average_size: f64,
    initial: bool,
    /// When the last report went, or after early feedback should have gone (tp), and when the next is due (tn).
    previous: Instant,
    next: Instant,
    /// RFC 4585 §3.5.2: T_rr, and whether early feedback may be sent.
    interval: f64,
    allow_early: bool,
    early: Option<Instant>,
    /// RFC 4585 §3.5.3: t_rr_last.
    last_regular: Option<Instant>,
    /// Feedback waits for the next report, whatever the least time between regular ones.
    feedback_waits: bool,
    /// The report that goes now goes for its feedback only (§3.5.3, 2b).
    for_feedback: bool,
}

impl ReportSchedule {
    /// A schedule that begins now: the first report comes after about half an interval.
    pub fn new(config: ScheduleConfig, now: Instant, rng: &mut impl Rng) -> Self {
        let mut schedule = Self {
            config,
            rng: StdRng::from_rng(rng),
            members: 1,
            senders: 0,
            we_sent: false,
            average_size: 100.0 + LOWER_LAYERS as f64,
            initial: true,
            previous: now,
            next: now,
            interval: 0.0,
            allow_early: true,
            early: None,
            last_regular: None,
            feedback_waits: false,
            for_feedback: false,
        };
        schedule.draw_next(now);
        schedule
    }

    /// How many members, ourselves among them, and how many of them send media.
    pub fn set_members(&mut self, members: u32, senders: u32, we_sent: bool) {
        self.members = members.max(1);
        self.senders = senders;
        self.we_sent = we_sent;
    }

    /// Octets a second for all RTCP of the session, from the next report on.
    pub fn set_bandwidth(&mut self, bandwidth: u32) {
        self.config.bandwidth = bandwidth;
    }

    /// The deterministic interval of RFC 3550 §6.3.1 in seconds.
    fn deterministic(&self) -> f64 {
        let mut bandwidth = f64::from(self.config.bandwidth.max(1));
        let mut n = f64::from(self.members);
        // A quarter of the bandwidth for senders, when they are fewer than that.
        if self.senders > 0 && f64::from(self.senders) <= n * 0.25 {
            if self.we_sent {
                bandwidth *= 0.25;
                n = f64::from(self.senders);
            } else {
                bandwidth *= 0.75;
                n -= f64::from(self.senders);
            }
        }
        let minimum = match self.config.profile {
            // Half of it before the first report (§6.2).
            ReportProfile::Avp if self.initial => AVP_MINIMUM / 2.0,
            ReportProfile::Avp => AVP_MINIMUM,
            // RFC 4585 §3.4 d: one second initially, then none.
            ReportProfile::Avpf { .. } if self.initial => 1.0,
            ReportProfile::Avpf { .. } => 0.0,
        };
        (self.average_size * n / bandwidth)
            .max(minimum)
            .min(LONGEST)
    }

    /// The interval drawn: half to one and a half of the deterministic one, compensated.
    fn draw(&mut self) -> f64 {
        let factor: f64 = self.rng.random_range(0.5..1.5);
        self.deterministic() * factor / COMPENSATION
    }

    /// The next report is due an interval after `now`.
    fn draw_next(&mut self, now: Instant) {
        self.interval = self.draw();
        self.next = after(now, Duration::from_secs_f64(self.interval));
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        self.early.map_or(self.next, |early| early.min(self.next))
    }

    /// Whether to send a report now: [`on_sent`](Self::on_sent) tells that it was.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.early.is_some_and(|early| early <= now) {
            return true;
        }
        if self.next > now {
            return false;
        }
        // Timer reconsideration (RFC 3550 §6.3.6): more members may have come.
        self.interval = self.draw();
        let reconsidered = after(self.previous, Duration::from_secs_f64(self.interval));
        if reconsidered > now {
            self.next = reconsidered;
            return false;
        }
        self.for_feedback = false;
        // RFC 4585 §3.5.3: reports between regular ones go only with feedback that waits for them.
        if let ReportProfile::Avpf {
            min_regular_interval,
        } = self.config.profile
            && let Some(last) = self.last_regular
            && !min_regular_interval.is_zero()
        {
            let least = min_regular_interval.as_secs_f64().min(LONGEST);
            let least = least * self.rng.random_range(0.5..1.5);
            if now.saturating_duration_since(last).as_secs_f64() < least {
                if self.feedback_waits {
                    self.for_feedback = true;
                    return true;
                }
                self.previous = now;
                self.draw_next(now);
                self.allow_early = true;
                return false;
            }
        }
        true
    }

    /// There is feedback that should not wait for the next regular report (RFC 4585 §3.5.2).
    /// Returns when it may go: at once between two members; `None` when it has to wait for the
    /// next report, which then goes even where the least time between regular ones is not over.
    pub fn request_early(&mut self, now: Instant) -> Option<Instant> {
        if self.config.profile == ReportProfile::Avp {
            return None;
        }
        if let Some(early) = self.early {
            return Some(early);
        }
        // T_dither_max: none between two, else half of T_rr (RFC 4585 §3.4 f).
        let dither = if self.members <= 2 {
            0.0
        } else {
            0.5 * self.interval
        };
        if self.next <= after(now, Duration::from_secs_f64(dither)) || !self.allow_early {
            self.feedback_waits = true;
            return None;
        }
        let wait = if dither > 0.0 {
            self.rng.random_range(0.0..dither)
        } else {
            0.0
        };
        let early = after(now, Duration::from_secs_f64(wait));
        self.early = Some(early);
        Some(early)
    }

    /// A report of so many octets was sent.
    pub fn on_sent(&mut self, now: Instant, octets: usize) {
        self.on_size(octets);
        self.feedback_waits = false;
        if let Some(early) = self.early.take()
            && early <= now
            && self.next > now
        {
            // RFC 4585 §3.5.2 step 6: once between two regular reports; the next goes later.
            self.allow_early = false;
            let next = after(self.previous, Duration::from_secs_f64(2.0 * self.interval));
            self.previous = self.next;
            self.next = next.max(now);
            return;
        }
        self.allow_early = true;
        if !std::mem::take(&mut self.for_feedback) {
            self.initial = false;
            self.last_regular = Some(now);
        }
        self.previous = now;
        self.draw_next(now);
    }

    /// RTCP of so many octets came from another member.
    pub fn on_received(&mut self, octets: usize) {
        self.on_size(octets);
    }

    fn on_size(&mut self, octets: usize) {
        let size = (octets + LOWER_LAYERS) as f64;
        self.average_size += (size - self.average_size) / 16.0;
    }

    /// Members left (RFC 3550 §6.3.4): the next report comes sooner, in proportion.
    pub fn on_members_left(&mut self, now: Instant, members: u32) {
        let share = f64::from(members.max(1)) / f64::from(self.members);
        if share < 1.0 {
            let ahead = self.next.saturating_duration_since(now).mul_f64(share);
            let behind = now.saturating_duration_since(self.previous).mul_f64(share);
            // After early feedback the last report is one that would be still to come.
            let before = self.previous.saturating_duration_since(now).mul_f64(share);
            self.next = after(now, ahead);
            self.previous = after(now.checked_sub(behind).unwrap_or(now), before);
        }
        self.members = members.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(profile: ReportProfile, bandwidth: u32, seed: u64) -> (ReportSchedule, Instant) {
        let now = Instant::now();
        let config = ScheduleConfig { bandwidth, profile };
        let mut rng = StdRng::seed_from_u64(seed);
        (ReportSchedule::new(config, now, &mut rng), now)
    }

    /// Runs for an hour; returns the intervals between reports in seconds.
    fn run(schedule: &mut ReportSchedule, start: Instant, octets: usize) -> Vec<f64> {
        let mut last = start;
        let mut intervals = Vec::new();
        loop {
            let now = schedule.poll_timeout();
            if now > start + Duration::from_secs(3600) {
                return intervals;
            }
            if schedule.handle_timeout(now) {
                schedule.on_sent(now, octets);
                intervals.push((now - last).as_secs_f64());
                last = now;
            }
        }
    }

    #[test]
    fn avp_reports_come_about_every_five_seconds() {
        for seed in 0..5 {
            println!("seed {seed}");
            let (mut s, start) = schedule(ReportProfile::Avp, 100_000, seed);
            s.set_members(2, 1, true);
            let intervals = run(&mut s, start, 100);
            let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
            assert!((4.0..6.5).contains(&mean), "{mean}");
            for i in &intervals[1..] {
                assert!((2.0..6.3).contains(i), "{i}");
            }
        }
    }

    #[test]
    fn the_bandwidth_is_kept() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::ZERO,
        };
        for (members, senders) in [(2, 1), (50, 2), (50, 40)] {
            let (mut s, start) = schedule(avpf, 1000, 7);
            s.set_members(members, senders, true);
            let n = run(&mut s, start, 100).len() as f64;
            let rate = n * 128.0 / 3600.0;
            let share = if f64::from(senders) <= 0.25 * f64::from(members) {
                250.0 / f64::from(senders)
            } else {
                1000.0 / f64::from(members)
            };
            assert!((0.7..1.3).contains(&(rate / share)), "{rate} of {share}");
        }
    }

    #[test]
    fn feedback_goes_at_once_and_then_waits_for_a_regular_report() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::ZERO,
        };
        let (mut s, start) = schedule(avpf, 100, 3);
        s.set_members(2, 1, false);
        assert_eq!(s.request_early(start), Some(start));
        assert_eq!(s.poll_timeout(), start);
        assert!(s.handle_timeout(start));
        s.on_sent(start, 60);
        assert_eq!(s.request_early(start), None);
        let next = s.poll_timeout();
        assert!(next > start);
        let mut now = next;
        while !s.handle_timeout(now) {
            now = s.poll_timeout();
        }
        s.on_sent(now, 60);
        assert_eq!(s.request_early(now), Some(now));
        let (mut s, start) = schedule(ReportProfile::Avp, 100, 3);
        assert_eq!(s.request_early(start), None);
    }

    #[test]
    fn regular_reports_keep_the_interval_that_was_negotiated() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::from_secs(10),
        };
        let (mut s, start) = schedule(avpf, 100_000, 5);
        s.set_members(2, 1, false);
        let intervals = run(&mut s, start, 100);
        let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
        assert!(mean > 5.0, "{mean}");
        assert!(intervals[1..].iter().all(|i| *i > 4.9), "{intervals:?}");
    }

    /// The next report that is due, reconsidered as long as needed.
    fn report(s: &mut ReportSchedule) -> Instant {
        loop {
            let now = s.poll_timeout();
            if s.handle_timeout(now) {
                return now;
            }
        }
    }

    /// RFC 4585 §3.5.3, 2b: feedback is not held back by `trr-int`, and the regular report comes when it would have.
    #[test]
    fn feedback_that_waits_is_sent_between_regular_reports() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::from_secs(1000),
        };
        for seed in 0..5 {
            println!("seed {seed}");
            let (mut s, _) = schedule(avpf, 100, seed);
            s.set_members(2, 1, false);
            let regular = report(&mut s);
            s.on_sent(regular, 60);
            let early = s.request_early(regular).unwrap();
            assert!(s.handle_timeout(early));
            s.on_sent(early, 60);
            // Only one early report between two others: this has to wait, but not for `trr-int`.
            assert_eq!(s.request_early(early), None);
            let with_feedback = report(&mut s);
            assert!(with_feedback - regular < Duration::from_secs(100));
            s.on_sent(with_feedback, 60);
            let next = report(&mut s);
            let since = next - regular;
            assert!(since >= Duration::from_secs(500), "{since:?}");
        }
    }

    /// RFC 4585 §3.5.2 step 6: tn = tp + 2·T_rr, and tp is what tn was.
    #[test]
    fn early_feedback_takes_the_place_of_one_report() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::ZERO,
        };
        for seed in 0..20 {
            println!("seed {seed}");
            let (mut s, start) = schedule(avpf, 100, seed);
            s.set_members(2, 1, false);
            let first = s.next;
            assert!(s.request_early(start).is_some());
            s.on_sent(start, 60);
            let twice = start + 2 * (first - start);
            assert_eq!(s.previous, first);
            assert!((s.next - start).abs_diff(twice - start) < Duration::from_micros(1));
            // No regular report went: the least time before the first one still holds.
            assert!(s.initial);
            // Reconsidered from where the report left out would have been.
            assert!(report(&mut s) > first);
        }
    }

    #[test]
    fn endless_intervals_are_bounded() {
        let avpf = ReportProfile::Avpf {
            min_regular_interval: Duration::MAX,
        };
        let (mut s, _) = schedule(avpf, 0, 1);
        for _ in 0..2 {
            let now = report(&mut s);
            s.on_sent(now, usize::from(u16::MAX));
        }
    }
}
