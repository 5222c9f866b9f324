//! A set of octet ranges, sorted and disjoint.

use std::ops::Range;

/// See the module. Adjoining ranges are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    list: Vec<Range<usize>>,
}

impl Ranges {
    /// Adds a range; an empty one adds nothing.
    pub(crate) fn insert(&mut self, mut new: Range<usize>) {
        if new.is_empty() {
            return;
        }
        let from = self.list.partition_point(|range| range.end < new.start);
        let to = self.list.partition_point(|range| range.start <= new.end);
        if let Some(touched) = self.list.get(from..to)
            && let (Some(first), Some(last)) = (touched.first(), touched.last())
        {
            new.start = new.start.min(first.start);
            new.end = new.end.max(last.end);
        }
        self.list.splice(from..to, [new]);
    }

    /// Whether all of `0..length` is in the set.
    #[cfg(test)]
    fn covers(&self, length: usize) -> bool {
        length == 0
            || matches!(self.list.as_slice(), [only] if only.start == 0 && only.end >= length)
    }

    /// The first gap at or after `from` and below `length`.
    pub(crate) fn gap(&self, from: usize, length: usize) -> Option<Range<usize>> {
        let mut start = from;
        for range in &self.list {
            if range.end <= start {
                continue;
            }
            if range.start > start {
                return (start < length).then(|| start..range.start.min(length));
            }
            start = range.end;
        }
        (start < length).then_some(start..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_bitmap(
            inserts in prop::collection::vec((0_usize..60, 0_usize..20), 0..20),
        ) {
            let mut ranges = Ranges::default();
            let mut bits = [false; 80];
            for (start, length) in inserts {
                ranges.insert(start..start + length);
                bits[start..start + length].fill(true);
            }
            prop_assert_eq!(ranges.covers(60), bits[..60].iter().all(|bit| *bit));
            let mut from = 0;
            let mut missing = vec![];
            while let Some(gap) = ranges.gap(from, 80) {
                missing.extend(gap.clone());
                from = gap.end;
            }
            let expected: Vec<usize> = (0..80).filter(|index| !bits[*index]).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
