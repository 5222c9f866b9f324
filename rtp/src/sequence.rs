//! Sequence numbers that wrap, and their unwrapping.

use std::fmt;

/// An RTP sequence number (RFC 3550 §5.1); also the transport-wide one. Wraps at 65 536.
///
/// Has no `Ord`: which of two is later depends on the circle (RFC 1982), see
/// [`is_after`](Self::is_after).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number `n` further on.
    #[must_use]
    pub const fn add(self, n: u16) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// The following number.
    #[must_use]
    pub const fn next(self) -> Self {
        self.add(1)
    }

    /// Steps from `earlier` to `self`, going forward around the circle.
    pub const fn distance_from(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` is later than `other` (RFC 1982 §3.2 with 16 bits). Of two numbers exactly
    /// half a circle apart, the numerically larger counts as later.
    pub const fn is_after(self, other: Self) -> bool {
        let d = self.distance_from(other);
        d != 0 && (d < 0x8000 || (d == 0x8000 && self.0 > other.0))
    }
}

impl From<u16> for SequenceNumber {
    fn from(value: u16) -> Self {
        Self(value)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers there are.
const CIRCLE: u64 = 0x1_0000;

/// Turns wrapping 16-bit numbers into ever-growing 64-bit ones, by taking the nearest candidate to
/// the highest seen.
#[derive(Clone, Debug)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
    /// The circle of the first number.
    floor: u64,
}

impl Default for SequenceUnwrapper {
    fn default() -> Self {
        Self::new()
    }
}

impl SequenceUnwrapper {
    /// Begins with nothing seen; the first number lands in the second circle, so that numbers
    /// before it are not negative.
    pub const fn new() -> Self {
        Self {
            highest: None,
            floor: CIRCLE,
        }
    }

    /// Begins anew, as the sender did, with numbers above all before: the next one lands a whole circle further on at least.
    pub fn restart(&mut self) {
        if let Some(highest) = self.highest.take() {
            self.floor = (highest | (CIRCLE - 1)).saturating_add(1 + CIRCLE);
        }
    }

    /// The extended number of `sequence`; remembers it when it is the highest.
    pub fn unwrap(&mut self, sequence: SequenceNumber) -> u64 {
        let extended = self.peek(sequence);
        if self.highest.is_none_or(|h| extended > h) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The extended number of `sequence` without remembering it.
    pub fn peek(&self, sequence: SequenceNumber) -> u64 {
        match self.highest {
            None => self.floor.saturating_add(u64::from(sequence.0)),
            Some(highest) => {
                let delta = i64::from(sequence.0.wrapping_sub(highest as u16) as i16);
                highest.saturating_add_signed(delta)
            }
        }
    }

    /// The highest extended number so far.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Turns wrapping 32-bit media timestamps into ever-growing 64-bit ones, as
/// [`SequenceUnwrapper`] does for sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Begins with nothing seen.
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The extended timestamp; remembers it when it is the highest.
    pub fn unwrap(&mut self, timestamp: u32) -> u64 {
        let extended = self.peek(timestamp);
        if self.highest.is_none_or(|h| extended > h) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The extended timestamp without remembering it.
    pub fn peek(&self, timestamp: u32) -> u64 {
        match self.highest {
            None => 0x1_0000_0000 | u64::from(timestamp),
            Some(highest) => {
                let delta = i64::from(timestamp.wrapping_sub(highest as u32) as i32);
                highest.saturating_add_signed(delta)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_around_the_circle() {
        assert!(SequenceNumber(2).is_after(SequenceNumber(65_534)));
        assert!(!SequenceNumber(65_534).is_after(SequenceNumber(2)));
        assert!(!SequenceNumber(7).is_after(SequenceNumber(7)));
        let mut u = SequenceUnwrapper::new();
        assert_eq!(u.unwrap(SequenceNumber(65_535)), 0x1_ffff);
        assert_eq!(u.unwrap(SequenceNumber(0)), 0x2_0000);
        assert_eq!(u.unwrap(SequenceNumber(65_534)), 0x1_fffe);
        assert_eq!(u.highest(), Some(0x2_0000));
        // Anew, and what comes before the first is still above all of the past.
        u.restart();
        assert_eq!(u.highest(), None);
        assert_eq!(u.unwrap(SequenceNumber(7)), 0x4_0007);
        assert_eq!(u.unwrap(SequenceNumber(65_534)), 0x3_fffe);
    }

    proptest! {
        #[test]
        fn exactly_one_of_two_different_numbers_is_later(a: u16, b: u16) {
            let (a, b) = (SequenceNumber(a), SequenceNumber(b));
            prop_assert_eq!(a.is_after(b) || b.is_after(a), a != b);
            prop_assert!(!(a.is_after(b) && b.is_after(a)));
        }

        #[test]
        fn unwrapping_follows_a_walk(start: u16, steps in proptest::collection::vec(-90i32..400, 1..300)) {
            let mut u = SequenceUnwrapper::new();
            let base = u.unwrap(SequenceNumber(start));
            let mut truth = 0i64;
            for s in steps {
                let next = truth + i64::from(s);
                let wire = (i64::from(start) + next) as u16;
                prop_assert_eq!(u.unwrap(SequenceNumber(wire)) as i64 - base as i64, next);
                truth = truth.max(next);
            }
        }
    }
}
