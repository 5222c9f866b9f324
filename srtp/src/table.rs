//! The streams of a context, by SSRC: bounded, found in constant time, the idle ones evictable.

use std::hash::{BuildHasher, RandomState};

use crate::limits::ESTABLISHED_AFTER;

/// No entry.
const NONE: u32 = u32::MAX;

/// The segments of the table, each a list from the most to the least recently used: streams that
/// have shown few packets yet, and those that have shown enough. A flood of new streams pushes
/// out only others of the first segment.
const NEW: usize = 0;
const ESTABLISHED: usize = 1;

/// What to do when a new stream comes and the table is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Gives up the stream that has been idle for longest, one of the newcomers if there is any.
    /// A stream given up loses its roll-over counter and its memory of which packets came.
    #[default]
    EvictIdle,
    /// Refuses the new stream.
    Refuse,
}

/// Where a stream lies in the table; valid until the next insertion or removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

struct Entry<S> {
    ssrc: u32,
    /// Neighbours in the entry's segment; `next` also links the free entries.
    previous: u32,
    next: u32,
    packets: u32,
    state: Option<S>,
}

#[derive(Clone, Copy)]
struct Segment {
    first: u32,
    last: u32,
}

pub(crate) struct StreamTable<S> {
    /// Open addressing with linear probing: entry numbers, or `NONE`. A power of two, at most
    /// half full.
    slots: Vec<u32>,
    entries: Vec<Entry<S>>,
    free: u32,
    len: usize,
    max: usize,
    segments: [Segment; 2],
    /// The entry found last: streams come in runs.
    hint: u32,
    seed: u64,
}

impl<S> StreamTable<S> {
    pub(crate) fn new(max: usize) -> Self {
        // Keeps a remote from choosing SSRCs that collide. It decides only which slot an entry lies
        // in, never an output.
        Self::seeded(max, RandomState::new().hash_one(0u32))
    }

    fn seeded(max: usize, seed: u64) -> Self {
        let empty = Segment {
            first: NONE,
            last: NONE,
        };
        Self {
            slots: vec![NONE; 8],
            entries: Vec::new(),
            free: NONE,
            len: 0,
            max,
            segments: [empty; 2],
            hint: NONE,
            seed: seed | 1,
        }
    }

    /// Octets in use, where each stream has `each` beside its entry.
    pub(crate) fn memory_usage(&self, each: usize) -> usize {
        self.slots.len() * size_of::<u32>()
            + self.entries.len() * size_of::<Entry<S>>()
            + self.len * each
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries
            .iter()
            .filter(|entry| entry.state.is_some())
            .map(|entry| entry.ssrc)
    }

    /// The slot that an SSRC's search begins at.
    #[inline]
    fn home(&self, ssrc: u32) -> usize {
        // The first product is what no remote knows, but with some seeds neighbours stay
        // neighbours; the second, by 2^64 over the golden ratio, takes those apart (Knuth 6.4), in
        // its highest bits.
        let secret = (u64::from(ssrc) ^ self.seed).wrapping_mul(self.seed);
        let hash = (secret ^ (secret >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> ((self.slots.len() as u64).leading_zeros() + 1)) as usize
    }

    #[inline]
    fn entry(&self, at: u32) -> Option<&Entry<S>> {
        self.entries.get(at as usize)
    }

    #[inline]
    fn entry_mut(&mut self, at: u32) -> Option<&mut Entry<S>> {
        self.entries.get_mut(at as usize)
    }

    /// The stream with this SSRC.
    #[inline]
    pub(crate) fn find(&mut self, ssrc: u32) -> Option<Place> {
        if let Some(entry) = self.entry(self.hint)
            && entry.ssrc == ssrc
        {
            return Some(Place(self.hint));
        }
        let found = self.probe(ssrc).map(|(_, at)| at)?;
        self.hint = found;
        Some(Place(found))
    }

    /// Slot and entry of an SSRC.
    fn probe(&self, ssrc: u32) -> Option<(usize, u32)> {
        let mut slot = self.home(ssrc);
        loop {
            let at = *self.slots.get(slot)?;
            if self.entry(at)?.ssrc == ssrc {
                return Some((slot, at));
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    pub(crate) fn get(&self, place: Place) -> Option<&S> {
        self.entry(place.0)?.state.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut S> {
        self.entry_mut(place.0)?.state.as_mut()
    }

    /// Says that a packet of the stream was accepted: it is now the most recently used one.
    #[inline]
    pub(crate) fn touch(&mut self, place: Place) {
        let at = place.0;
        let Some(entry) = self.entry_mut(at) else {
            return;
        };
        let old = segment_of(entry.packets);
        entry.packets = entry.packets.saturating_add(1);
        let new = segment_of(entry.packets);
        if old == new && self.segments.get(new).is_some_and(|s| s.first == at) {
            return;
        }
        self.unlink(at, old);
        self.link_first(at, new);
    }

    /// Adds a stream that is not in the table yet. A full table gives up another one or refuses.
    pub(crate) fn insert(&mut self, ssrc: u32, state: S, full: WhenFull) -> Option<Place> {
        if self.len >= self.max {
            let idle = match full {
                WhenFull::Refuse => None,
                WhenFull::EvictIdle => self
                    .segments
                    .iter()
                    .map(|segment| segment.last)
                    .find(|last| *last != NONE),
            };
            let idle = self.entry(idle?)?.ssrc;
            self.remove(idle);
        }
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let fresh = Entry {
            ssrc,
            previous: NONE,
            next: NONE,
            packets: 0,
            state: Some(state),
        };
        let at = self.free;
        let at = if let Some(entry) = self.entry_mut(at) {
            let next_free = entry.next;
            *entry = fresh;
            self.free = next_free;
            at
        } else {
            self.entries.push(fresh);
            (self.entries.len() - 1) as u32
        };
        self.len += 1;
        self.link_first(at, NEW);
        self.place_in_slot(ssrc, at);
        self.hint = at;
        Some(Place(at))
    }

    /// Removes a stream.
    pub(crate) fn remove(&mut self, ssrc: u32) -> Option<S> {
        let (slot, at) = self.probe(ssrc)?;
        let packets = self.entry(at)?.packets;
        self.unlink(at, segment_of(packets));
        self.vacate(slot);
        if self.hint == at {
            self.hint = NONE;
        }
        let free = self.free;
        self.free = at;
        self.len -= 1;
        let entry = self.entry_mut(at)?;
        entry.next = free;
        entry.state.take()
    }

    fn place_in_slot(&mut self, ssrc: u32, at: u32) {
        let mut slot = self.home(ssrc);
        while self.slots.get(slot).is_some_and(|at| *at != NONE) {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = at;
        }
    }

    /// Empties a slot and moves back the entries behind it that were displaced by it.
    fn vacate(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = slot;
        let mut slot = slot;
        loop {
            slot = (slot + 1) & mask;
            let at = self.slots.get(slot).copied().unwrap_or(NONE);
            let Some(ssrc) = self.entry(at).map(|entry| entry.ssrc) else {
                break;
            };
            let home = self.home(ssrc);
            // The entry may move into the hole unless its home lies between the two.
            if (slot.wrapping_sub(home) & mask) >= (slot.wrapping_sub(hole) & mask) {
                self.slots.swap(hole, slot);
                hole = slot;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = NONE;
        }
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots = vec![NONE; size];
        for at in 0..self.entries.len() as u32 {
            if let Some(ssrc) = self
                .entry(at)
                .filter(|entry| entry.state.is_some())
                .map(|entry| entry.ssrc)
            {
                self.place_in_slot(ssrc, at);
            }
        }
    }

    fn link_first(&mut self, at: u32, segment: usize) {
        let Some(ends) = self.segments.get_mut(segment) else {
            return;
        };
        let second = ends.first;
        ends.first = at;
        if ends.last == NONE {
            ends.last = at;
        }
        if let Some(second) = self.entry_mut(second) {
            second.previous = at;
        }
        if let Some(entry) = self.entry_mut(at) {
            entry.previous = NONE;
            entry.next = second;
        }
    }

    fn unlink(&mut self, at: u32, segment: usize) {
        let Some((previous, next)) = self.entry(at).map(|e| (e.previous, e.next)) else {
            return;
        };
        if let Some(ends) = self.segments.get_mut(segment) {
            if ends.first == at {
                ends.first = next;
            }
            if ends.last == at {
                ends.last = previous;
            }
        }
        if let Some(entry) = self.entry_mut(previous) {
            entry.next = next;
        }
        if let Some(entry) = self.entry_mut(next) {
            entry.previous = previous;
        }
    }
}

#[inline]
fn segment_of(packets: u32) -> usize {
    if packets < ESTABLISHED_AFTER {
        NEW
    } else {
        ESTABLISHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_flood_pushes_out_its_own_kind() {
        let mut table = StreamTable::new(16);
        for ssrc in 0..4 {
            let place = table.insert(ssrc, ssrc, WhenFull::EvictIdle).unwrap();
            for _ in 0..ESTABLISHED_AFTER {
                table.touch(place);
            }
        }
        for ssrc in 1000..100_000 {
            let place = table.insert(ssrc, ssrc, WhenFull::EvictIdle).unwrap();
            table.touch(place);
            assert!(table.len() <= 16);
        }
        assert!(table.entries.len() <= 16 && table.slots.len() <= 32);
        for ssrc in 0..4 {
            let place = table.find(ssrc).unwrap();
            assert_eq!(table.get(place), Some(&ssrc));
        }
    }

    /// Slots looked at to find a stream.
    fn steps<S>(table: &StreamTable<S>, ssrc: u32) -> usize {
        let (slot, _) = table.probe(ssrc).unwrap();
        (slot.wrapping_sub(table.home(ssrc)) & (table.slots.len() - 1)) + 1
    }

    #[test]
    fn many_streams_later_one_is_found_in_as_few_steps_as_ever() {
        // Seeds that as a factor leave things as they are, or nearly, and some without a pattern.
        let mut seeds = vec![0, 1 << 31, 1 << 32, 1 << 43, 1 << 63, u64::MAX];
        seeds.extend((1..=26u64).map(|n| n.wrapping_mul(0xd134_2543_de82_ef95)));
        for seed in seeds {
            let max = 1024;
            let mut table = StreamTable::seeded(max, seed);
            let mut longest = 0;
            for n in 0..30_000_u32 {
                // In order, then far apart with equal low bits: what a careless hash would pile up.
                let ssrc = if n % 2 == 0 { n } else { n.rotate_right(16) };
                if table.find(ssrc).is_some() {
                    continue;
                }
                table.insert(ssrc, (), WhenFull::EvictIdle).unwrap();
                longest = longest.max(steps(&table, ssrc));
            }
            let ssrcs: Vec<u32> = table.ssrcs().collect();
            assert_eq!(ssrcs.len(), max);
            assert_eq!(table.slots.len(), 2 * max);
            let all: usize = ssrcs.iter().map(|ssrc| steps(&table, *ssrc)).sum();
            // Half full with linear probing: 1.5 on average for what is found (Knuth 6.4).
            assert!(all < 2 * max, "seed {seed}: {all} steps for {max} streams");
            assert!(longest < 60, "seed {seed}: {longest} steps for one");
        }
    }

    #[test]
    fn established_streams_go_in_the_order_of_their_idleness() {
        let mut table = StreamTable::new(3);
        for ssrc in 0..3 {
            let place = table.insert(ssrc, (), WhenFull::EvictIdle).unwrap();
            for _ in 0..ESTABLISHED_AFTER {
                table.touch(place);
            }
        }
        let place = table.find(0).unwrap();
        table.touch(place);
        table.insert(9, (), WhenFull::EvictIdle).unwrap();
        assert!(table.find(1).is_none() && table.find(0).is_some() && table.find(2).is_some());
        assert!(table.insert(10, (), WhenFull::Refuse).is_none());
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u8..3, 0u32..40), 1..400)) {
            let mut table = StreamTable::new(64);
            let mut model = HashMap::new();
            for (n, (what, ssrc)) in steps.into_iter().enumerate() {
                match what {
                    0 if !model.contains_key(&ssrc) => {
                        prop_assert!(table.insert(ssrc, n, WhenFull::Refuse).is_some());
                        model.insert(ssrc, n);
                    }
                    1 => prop_assert_eq!(table.remove(ssrc), model.remove(&ssrc)),
                    _ => {
                        let place = table.find(ssrc);
                        prop_assert_eq!(place.and_then(|p| table.get(p)), model.get(&ssrc));
                        if let Some(place) = place {
                            table.touch(place);
                        }
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                let mut ssrcs: Vec<_> = table.ssrcs().collect();
                ssrcs.sort_unstable();
                let mut expected: Vec<_> = model.keys().copied().collect();
                expected.sort_unstable();
                prop_assert_eq!(ssrcs, expected);
            }
        }
    }
}
