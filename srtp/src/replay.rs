//! The sliding window of packet indices (RFC 3711 §3.3.2).

/// Bits of a word of the map.
const WORD: u64 = u64::BITS as u64;

/// What a window says of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not recorded before.
    Fresh,
    /// Recorded before.
    Repeated,
    /// Too far behind the highest index to tell.
    TooOld,
}

/// Which of the last so many indices were recorded. The map is a ring: index `i` has bit
/// `i mod size`, so nothing is ever shifted.
#[derive(Clone)]
pub(crate) struct Window {
    highest: u64,
    map: Box<[u64]>,
}

impl Window {
    /// A window of `size` indices, a power of two of at least 64, in which only `first` is
    /// recorded.
    pub(crate) fn new(size: usize, first: u64) -> Self {
        let words = size.div_ceil(WORD as usize).next_power_of_two();
        let mut this = Self {
            highest: first,
            map: vec![0; words].into_boxed_slice(),
        };
        this.set(first);
        this
    }

    /// A window in which nothing is recorded, `highest` included.
    pub(crate) fn empty(size: usize, highest: u64) -> Self {
        let mut this = Self::new(size, highest);
        this.map.fill(0);
        this
    }

    /// The highest index recorded.
    #[inline]
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    fn size(&self) -> u64 {
        self.map.len() as u64 * WORD
    }

    fn word(&self, index: u64) -> usize {
        (index / WORD) as usize & (self.map.len() - 1)
    }

    #[inline]
    pub(crate) fn check(&self, index: u64) -> Verdict {
        if index > self.highest {
            return Verdict::Fresh;
        }
        if self.highest - index >= self.size() {
            return Verdict::TooOld;
        }
        let word = self.map.get(self.word(index)).copied().unwrap_or(0);
        if word & (1 << (index % WORD)) != 0 {
            Verdict::Repeated
        } else {
            Verdict::Fresh
        }
    }

    /// Records an index that [`check`](Self::check) called fresh; the window moves if it is the
    /// highest so far.
    #[inline]
    pub(crate) fn record(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest > 1 {
                self.forget_between(index);
            }
            self.highest = index;
        }
        self.set(index);
    }

    fn set(&mut self, index: u64) {
        let at = self.word(index);
        if let Some(word) = self.map.get_mut(at) {
            *word |= 1 << (index % WORD);
        }
    }

    /// Clears the bits of all indices between the highest and `next`, both excluded.
    fn forget_between(&mut self, next: u64) {
        let from = self.highest + 1;
        if next - from >= self.size() {
            self.map.fill(0);
            return;
        }
        let mut index = from;
        while index < next {
            let first = index % WORD;
            let count = (WORD - first).min(next - index);
            let mask = if count == WORD {
                u64::MAX
            } else {
                ((1 << count) - 1) << first
            };
            let at = self.word(index);
            if let Some(word) = self.map.get_mut(at) {
                *word &= !mask;
            }
            index += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_jump_clears_what_it_passes() {
        let mut window = Window::new(64, 10);
        window.record(11);
        assert_eq!(window.check(11), Verdict::Repeated);
        window.record(11 + 63);
        assert_eq!(window.check(11), Verdict::Repeated);
        assert_eq!(window.check(10), Verdict::TooOld);
        assert_eq!(window.check(12), Verdict::Fresh);
        window.record(1000);
        assert_eq!(window.check(11 + 63), Verdict::TooOld);
        assert_eq!(window.check(999), Verdict::Fresh);
    }

    proptest! {
        /// Against the plain model: the set of all indices ever recorded.
        #[test]
        fn agrees_with_a_set(
            size in prop::sample::select(vec![64usize, 128, 1024, 32_768]),
            first in 0u64..1 << 40,
            steps in prop::collection::vec((any::<bool>(), 0u64..40_000, 0u32..16), 1..200),
        ) {
            let mut window = Window::new(size, first);
            let mut seen = HashSet::from([first]);
            let mut highest = first;
            for (forward, distance, shift) in steps {
                let distance = distance >> shift;
                let index = if forward {
                    highest + distance
                } else {
                    highest.saturating_sub(distance)
                };
                let expected = if highest.saturating_sub(index) >= size as u64 {
                    Verdict::TooOld
                } else if seen.contains(&index) {
                    Verdict::Repeated
                } else {
                    Verdict::Fresh
                };
                prop_assert_eq!(window.check(index), expected);
                if expected == Verdict::Fresh {
                    window.record(index);
                    seen.insert(index);
                    highest = highest.max(index);
                }
                prop_assert_eq!(window.highest(), highest);
            }
        }
    }
}
