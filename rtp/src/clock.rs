//! Time as RTP's reports tell it.

use std::time::{Duration, Instant};

/// A wall-clock time as NTP writes it: seconds since 1900 in the high 32 bits, fractions of a
/// second in the low 32 (RFC 3550 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970): RFC 868.
const UNIX_EPOCH: u64 = 2_208_988_800;

impl NtpTime {
    /// The NTP time of a time since the Unix epoch. Wraps in 2036, as NTP's seconds do.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(UNIX_EPOCH) << 32;
        Self(seconds | fraction(since_epoch.subsec_nanos()))
    }

    /// The time since the Unix epoch. Seconds below 2³¹ count as those after NTP's wrap of 7 February 2036 (RFC 4330
    /// §3), so that it tells 1968 to 2104. Zero for what is before 1970, and for the zero that a sender without a wall clock
    /// writes (RFC 3550 §6.4.1).
    pub fn to_unix(self) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        let seconds = self.0 >> 32;
        let era = u64::from(seconds < 1 << 31) << 32;
        match (era + seconds).checked_sub(UNIX_EPOCH) {
            Some(seconds) => Duration::new(seconds, nanoseconds(self.0 as u32)),
            None => Duration::ZERO,
        }
    }

    /// The middle 32 bits, the form in which report blocks and DLRR refer to a time: units of
    /// 1/65536 s (RFC 3550 §6.4.1).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// This time and `later`.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        let d = (later.as_secs() << 32) | fraction(later.subsec_nanos());
        Self(self.0.wrapping_add(d))
    }

    /// Signed difference to `earlier` in 1/2³² s.
    pub const fn wrapping_difference(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }
}

/// Fraction of a second in 1/2³², rounded to the nearest so that [`nanoseconds`] undoes it.
fn fraction(nanoseconds: u32) -> u64 {
    ((u64::from(nanoseconds) << 32) + 500_000_000) / 1_000_000_000
}

fn nanoseconds(fraction: u32) -> u32 {
    ((u64::from(fraction) * 1_000_000_000 + (1 << 31)) >> 32).min(999_999_999) as u32
}

/// A time span in 1/65536 s, as LSR, DLSR and DLRR use it; saturates.
pub(crate) fn to_middle_units(d: Duration) -> u32 {
    let units = d.as_nanos() * 65_536 / 1_000_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// The time span that a number of 1/65536 s is.
pub(crate) fn from_middle_units(units: u32) -> Duration {
    Duration::from_nanos(u64::from(units) * 1_000_000_000 / 65_536)
}

/// A time after another; spans of more than a year, as a configuration may have them, count as one.
pub(crate) fn after(time: Instant, span: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    time.checked_add(span.min(YEAR)).unwrap_or(time)
}

/// The round-trip time that a report block or DLRR gives (RFC 3550 §6.4.1): arrival minus LSR minus
/// DLSR, all in the middle form. `None` when there was no report to answer, or when the clock says
/// that the answer came before the question.
pub fn round_trip(arrival: NtpTime, last_report: u32, delay: u32) -> Option<Duration> {
    if last_report == 0 {
        return None;
    }
    let units = arrival
        .middle()
        .wrapping_sub(last_report)
        .wrapping_sub(delay);
    // RFC 3550 asks for no sign; a small negative one comes from rounding.
    if units > 0xffff_0000 {
        return Some(Duration::ZERO);
    }
    (units < 0x8000_0000).then(|| from_middle_units(units))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figure of RFC 3550 §6.4.1: LSR 46853.125 s, DLSR 5.250 s, arrival 46864.500 s.
    #[test]
    fn round_trip_of_the_standards_figure() {
        let arrival = NtpTime(0xb710_8000_u64 << 16);
        let rtt = round_trip(arrival, 0xb705_2000, 0x0005_4000);
        assert_eq!(rtt, Some(Duration::from_millis(6125)));
        assert_eq!(round_trip(arrival, 0, 0x0005_4000), None);
    }

    #[test]
    fn unix_time_survives_ntp() {
        // The last are the seconds before and after the wrap of 7 February 2036, and the year 2100.
        let wrap = (1 << 32) - UNIX_EPOCH;
        for seconds in [0, 1_700_000_000, wrap - 1, wrap + 1, 4_102_444_800] {
            for nanos in [0, 1, 499_999_999, 999_999_999] {
                let t = Duration::new(seconds, nanos);
                assert_eq!(NtpTime::from_unix(t).to_unix(), t);
            }
        }
        assert_eq!(NtpTime(0).to_unix(), Duration::ZERO);
        assert_eq!(NtpTime(0x8000_0000 << 32).to_unix(), Duration::ZERO);
    }
}
