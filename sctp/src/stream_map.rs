//! Tables by stream identifier that cost what is used, not what is possible.

/// Entries a page: small enough that one channel costs little, large enough that 65 536 streams
/// need only 1024 pages.
const PAGE: usize = 64;
const NONE: u16 = u16::MAX;

/// A map from stream identifiers to `T`: two array reads a look-up, no hashing.
///
/// Identifiers go through pages of slot numbers to a dense list, so that an idle association
/// with one stream pays for one page of 128 octets. At most 65 535 entries: identifier 65 535 is
/// reserved (RFC 8832 §6).
#[derive(Debug)]
pub(crate) struct StreamMap<T> {
    pages: Vec<Option<Box<[u16; PAGE]>>>,
    entries: Vec<(u16, T)>,
}

impl<T> Default for StreamMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> StreamMap<T> {
    pub(crate) const fn new() -> Self {
        Self {
            pages: Vec::new(),
            entries: Vec::new(),
        }
    }

    #[inline]
    fn slot(&self, id: u16) -> Option<usize> {
        let page = self.pages.get(usize::from(id) / PAGE)?.as_ref()?;
        let slot = page[usize::from(id) % PAGE];
        (slot != NONE).then_some(usize::from(slot))
    }

    fn set_slot(&mut self, id: u16, slot: u16) {
        let index = usize::from(id) / PAGE;
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
        }
        if let Some(page) = self.pages.get_mut(index) {
            page.get_or_insert_with(|| Box::new([NONE; PAGE]))[usize::from(id) % PAGE] = slot;
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: u16) -> Option<&T> {
        self.entries.get(self.slot(id)?).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        let slot = self.slot(id)?;
        self.entries.get_mut(slot).map(|(_, value)| value)
    }

    /// The entry of `id`, made by `make` if there is none. `None` when the table is full.
    #[inline]
    pub(crate) fn get_or_insert_with(
        &mut self,
        id: u16,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        let slot = match self.slot(id) {
            Some(slot) => slot,
            None => {
                let slot = self.entries.len();
                let short = u16::try_from(slot).ok().filter(|s| *s != NONE)?;
                self.set_slot(id, short);
                self.entries.push((id, make()));
                slot
            }
        };
        self.entries.get_mut(slot).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, id: u16) -> Option<T> {
        let slot = self.slot(id)?;
        self.set_slot(id, NONE);
        let (_, value) = self.entries.swap_remove(slot);
        if let Some((moved, _)) = self.entries.get(slot) {
            let moved = *moved;
            self.set_slot(moved, u16::try_from(slot).unwrap_or(NONE));
        }
        if self.entries.is_empty() {
            self.pages = Vec::new();
        }
        Some(value)
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        self.pages.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        self.entries.iter().map(|(id, value)| (*id, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        self.entries.iter_mut().map(|(id, value)| (*id, value))
    }

    pub(crate) fn clear(&mut self) {
        self.pages = Vec::new();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn behaves_as_a_hash_map(ops in proptest::collection::vec((any::<bool>(), 0u16..300), 1..400)) {
            let mut ours = StreamMap::new();
            let mut model = HashMap::new();
            for (step, (insert, id)) in ops.into_iter().enumerate() {
                if insert {
                    let value = *ours.get_or_insert_with(id, || step).unwrap();
                    prop_assert_eq!(value, *model.entry(id).or_insert(step));
                } else {
                    prop_assert_eq!(ours.remove(id), model.remove(&id));
                }
                prop_assert_eq!(ours.len(), model.len());
                prop_assert_eq!(ours.get(id), model.get(&id));
            }
            for (id, value) in ours.iter() {
                prop_assert_eq!(Some(value), model.get(&id));
            }
        }
    }

    #[test]
    fn holds_65535_streams_and_refuses_one_more() {
        let mut map = StreamMap::new();
        for id in 0..u16::MAX {
            assert!(map.get_or_insert_with(id, || id).is_some());
        }
        assert!(map.get_or_insert_with(u16::MAX, || 0).is_none());
        assert_eq!(map.get(65_534), Some(&65_534));
    }
}
