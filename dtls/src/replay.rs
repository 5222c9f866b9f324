//! The replay window of one epoch (RFC 9147 §4.5.1, RFC 4303 §3.4.3).

/// Sequence numbers looked back at.
pub(crate) const WINDOW: u64 = 256;

const WORDS: usize = (WINDOW / 64) as usize;

/// Which of the last [`WINDOW`] sequence numbers have been seen.
#[derive(Debug, Default)]
pub(crate) struct ReplayWindow {
    /// One more than the highest number seen.
    next: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// The number after the highest seen: the reference for reconstruction.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    #[inline]
    fn slot(sequence: u64) -> (usize, u64) {
        (
            (sequence / 64 % WORDS as u64) as usize,
            1 << (sequence % 64),
        )
    }

    /// Whether a record with this number may be new.
    #[inline]
    pub(crate) fn is_new(&self, sequence: u64) -> bool {
        if sequence >= self.next {
            return true;
        }
        if self.next - sequence > WINDOW {
            return false;
        }
        let (word, bit) = Self::slot(sequence);
        self.seen.get(word).is_some_and(|seen| seen & bit == 0)
    }

    /// Notes a number; only after the record proved authentic.
    #[inline]
    pub(crate) fn mark(&mut self, sequence: u64) {
        if sequence == self.next {
            // In order, as nearly always.
            self.next = sequence + 1;
        } else if sequence > self.next {
            let skipped = sequence - self.next;
            if skipped >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for passed in self.next..sequence {
                    let (word, bit) = Self::slot(passed);
                    if let Some(seen) = self.seen.get_mut(word) {
                        *seen &= !bit;
                    }
                }
            }
            self.next = sequence + 1;
        } else if self.next - sequence > WINDOW {
            return;
        }
        let (word, bit) = Self::slot(sequence);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn never_takes_a_number_twice_and_takes_all_new_in_the_window(
            numbers in prop::collection::vec(0_u64..2_000, 1..400),
        ) {
            let mut window = ReplayWindow::default();
            let mut seen = HashSet::new();
            let mut highest = 0;
            for number in numbers {
                let fresh = !seen.contains(&number);
                let in_window = number + WINDOW > highest;
                prop_assert_eq!(window.is_new(number), fresh && in_window);
                if window.is_new(number) {
                    window.mark(number);
                    seen.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }
}
