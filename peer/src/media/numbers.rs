//! The sequence numbers of one sent stream: each goes out once.
//!
//! The caller numbers its packets; tones stand between them, and what is said meanwhile is left out, so that the caller's
//! numbers are shifted. A number that went out with one packet must not go out with another, whatever the caller's order:
//! the key stream would be used twice, and AES-GCM would give away its authentication key (RFC 3711 §9.1, RFC 7714 §13.2).

use tincan_rtp::SequenceNumber;

use crate::limits::MAX_LATE_NUMBERS;

const WORDS: usize = MAX_LATE_NUMBERS as usize / 64;

/// What was given out.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The highest that went out.
    highest: Option<SequenceNumber>,
    /// Which of the last [`MAX_LATE_NUMBERS`] are taken, by their remainder.
    taken: [u64; WORDS],
    /// The caller's highest that went out or was left out.
    callers: Option<SequenceNumber>,
    /// From the caller's numbers to ours.
    shift: u16,
    /// Follows one that came from far behind.
    stray: Option<SequenceNumber>,
    /// Something of ours went out, or something of the caller's was left out, since its last packet.
    between: bool,
}

impl Numbers {
    /// The number that a packet of the caller's goes out with; `None` for one that is not to go out.
    pub(super) fn of(&mut self, number: SequenceNumber) -> Option<SequenceNumber> {
        let late = self.callers.filter(|c| !number.is_after(*c));
        match late.map(|c| c.distance_from(number)) {
            // Two in a row from far behind are of a sender that began anew (RFC 3550 A.1): it goes on from here.
            Some(behind) if behind >= MAX_LATE_NUMBERS => {
                if self.stray.replace(number.next()) != Some(number) {
                    return None;
                }
                self.callers = None;
                self.between = true;
            }
            // It belongs before what came between: its place may be another's now.
            Some(_) if self.between => return None,
            _ => {}
        }
        self.stray = None;
        if core::mem::take(&mut self.between)
            && let Some(highest) = self.highest
        {
            self.shift = highest.next().0.wrapping_sub(number.0);
            self.taken = [u64::MAX; WORDS];
        }
        let ours = number.add(self.shift);
        if !self.take(ours) {
            return None;
        }
        self.note(number);
        Some(ours)
    }

    /// The number for a packet of our own; the first one where there was none before.
    pub(super) fn own(&mut self, first: SequenceNumber) -> SequenceNumber {
        let number = self.highest.map_or(first, SequenceNumber::next);
        self.take(number);
        self.between = true;
        number
    }

    /// A packet of the caller's does not go out: those after it close up.
    pub(super) fn leave_out(&mut self, number: SequenceNumber) {
        self.note(number);
        self.between = true;
    }

    fn note(&mut self, number: SequenceNumber) {
        if self.callers.is_none_or(|c| number.is_after(c)) {
            self.callers = Some(number);
        }
    }

    /// Whether this number was free, which it is no more. Nobody knows of those that are too far behind.
    fn take(&mut self, number: SequenceNumber) -> bool {
        let ahead = match self.highest {
            Some(highest) if !number.is_after(highest) => {
                let behind = highest.distance_from(number);
                return behind < MAX_LATE_NUMBERS && self.mark(number);
            }
            Some(highest) => number.distance_from(highest),
            None => MAX_LATE_NUMBERS,
        };
        for n in 0..ahead.min(MAX_LATE_NUMBERS) {
            let (word, bit) = place(SequenceNumber(number.0.wrapping_sub(n)));
            if let Some(word) = self.taken.get_mut(word) {
                *word &= !bit;
            }
        }
        self.highest = Some(number);
        self.mark(number)
    }

    /// Whether it was not marked before.
    fn mark(&mut self, number: SequenceNumber) -> bool {
        let (word, bit) = place(number);
        let Some(word) = self.taken.get_mut(word) else {
            return false;
        };
        let free = *word & bit == 0;
        *word |= bit;
        free
    }
}

fn place(number: SequenceNumber) -> (usize, u64) {
    let n = number.0 % MAX_LATE_NUMBERS;
    (usize::from(n / 64), 1 << (n % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A caller's number, one of ours, or the caller's number that is left out.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Caller(u16),
        Own,
        LeaveOut(u16),
    }
    use Step::{Caller, LeaveOut, Own};

    /// The numbers that go out, which are each another.
    fn out(steps: impl IntoIterator<Item = Step>) -> Vec<u16> {
        let mut numbers = Numbers::default();
        let mut out = Vec::new();
        for step in steps {
            match step {
                Caller(n) => out.extend(numbers.of(SequenceNumber(n)).map(|n| n.0)),
                Own => out.push(numbers.own(SequenceNumber(500)).0),
                LeaveOut(n) => numbers.leave_out(SequenceNumber(n)),
            }
        }
        let different: HashSet<_> = out.iter().collect();
        assert_eq!(different.len(), out.len(), "{out:?}");
        out
    }

    #[test]
    fn numbers_go_out_as_given_and_once() {
        let given = [65_534, 65_535, 1, 0, 1, 65_533, 2, 65_534];
        assert_eq!(out(given.map(Caller)), [65_534, 65_535, 1, 0, 65_533, 2]);
    }

    #[test]
    fn a_tone_follows_the_highest_number() {
        let steps = [Caller(10), Caller(12), Caller(11), Own, Own, Caller(13)];
        assert_eq!(out(steps), [10, 12, 11, 13, 14, 15]);
    }

    #[test]
    fn what_comes_late_after_a_tone_is_left_out() {
        let tone = [Caller(10), Caller(14), Own, Own];
        // Whether sound goes on before it or not.
        let late = [Caller(11), Caller(15), Caller(12), Caller(13), Caller(16)];
        assert_eq!(out(tone.into_iter().chain(late)), [10, 14, 15, 16, 17, 18]);
    }

    #[test]
    fn what_is_left_out_leaves_no_gap_and_no_second_use() {
        let steps = [
            Caller(10),
            Caller(12),
            LeaveOut(14),
            LeaveOut(13),
            Caller(11),
        ];
        let steps = steps
            .into_iter()
            .chain([Caller(15), Caller(11), Caller(17)]);
        assert_eq!(out(steps), [10, 12, 13, 15]);
    }

    #[test]
    fn sound_that_begins_after_tones_may_begin_out_of_order() {
        let steps = [Own, Own, LeaveOut(8), Caller(10), Caller(9), Caller(11)];
        assert_eq!(out(steps), [500, 501, 502, 503]);
    }

    #[test]
    fn a_sender_that_begins_anew_goes_on_with_the_second_packet() {
        let anew = [
            Caller(20_000),
            Caller(20_001),
            Caller(18_000),
            Caller(20_002),
        ];
        // The one that strays changes nothing.
        let again = [Caller(9), Caller(10), Caller(11)];
        assert_eq!(
            out(anew.into_iter().chain(again)),
            [20_000, 20_001, 20_002, 20_003, 20_004]
        );
        let tone = [Caller(20_000), Own, LeaveOut(8), Caller(9), Caller(10)];
        assert_eq!(out(tone), [20_000, 20_001, 20_002]);
    }

    #[test]
    fn no_number_is_used_twice_whatever_the_order() {
        for seed in 0..200 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let mut at: u16 = rng.random();
            // Few enough that none comes round again.
            let steps: Vec<_> = (0..400)
                .map(|_| {
                    at = at.wrapping_add(rng.random_range(1..5) / 2);
                    let late = rng.random_range(0..16);
                    let n = at.wrapping_sub(if late < 8 { late } else { 0 });
                    match rng.random_range(0..40) {
                        0..4 => Own,
                        4..8 => LeaveOut(n),
                        8 => {
                            at = at.wrapping_sub(rng.random_range(0..5_000));
                            Caller(at)
                        }
                        _ => Caller(n),
                    }
                })
                .collect();
            assert!(out(steps).len() > 50);
        }
    }
}
