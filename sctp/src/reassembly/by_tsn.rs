//! Fragments of DATA: a message's fragments have consecutive TSNs (RFC 9260 §6.9).

use std::collections::BTreeMap;

use super::assembly::{Assembly, Fragment};
use super::ordering::Ordering;
use super::{Contradiction, Delivery};

/// Every step is O(log n) in the fragments held, and O(1) in the usual order.
#[derive(Debug, Default)]
pub(super) struct ByTsn {
    /// The assembly that grew last: found without a search.
    current: Option<Assembly>,
    /// Other assemblies, by the TSN they wait for.
    open: BTreeMap<u64, Assembly>,
    /// Fragments whose predecessor has not come, by TSN.
    loose: BTreeMap<u64, Fragment>,
    /// Fragments of the last finished message: a guess for the next one's.
    usual: usize,
}

impl ByTsn {
    /// Whether the chunk with this TSN must continue a message.
    #[inline]
    pub(super) fn expects(&self, tsn: u64) -> bool {
        self.current.as_ref().is_some_and(|a| a.next == tsn)
            || (!self.open.is_empty() && self.open.contains_key(&tsn))
    }

    #[inline]
    pub(super) fn insert(
        &mut self,
        tsn: u64,
        fragment: Fragment,
        ordering: &mut Ordering,
        to: &mut Delivery<'_>,
    ) -> Result<(), Contradiction> {
        let waiting = match self.current.take() {
            Some(current) if current.next == tsn => Some(current),
            other => {
                self.current = other;
                self.open.remove(&tsn)
            }
        };
        let mut assembly = match waiting {
            Some(assembly) => assembly,
            None if fragment.begins() => {
                let message = ordering.unwrap_ordered(fragment.stream, fragment.message, false);
                let alone = self.current.is_none() && self.open.is_empty();
                ordering.begin(&fragment, message, tsn, self.usual, alone)
            }
            None => {
                ordering.held.waiting += fragment.cost();
                self.loose.insert(tsn, fragment);
                return Ok(());
            }
        };
        let mut fragment = fragment;
        loop {
            let first = assembly.next == tsn && fragment.begins() && assembly.total() == 0;
            if !first && !assembly.continues_with(&fragment)
                || !assembly.unordered && assembly.message as u16 != fragment.message as u16
            {
                return Err(Contradiction);
            }
            let ends = fragment.ends();
            ordering.held.waiting += assembly.push(fragment);
            if ends {
                self.usual = assembly.fragments();
                ordering.complete(assembly, to);
                return Ok(());
            }
            if self.loose.is_empty() {
                break;
            }
            match self.loose.remove(&assembly.next) {
                Some(next) => {
                    ordering.held.waiting -= next.cost();
                    fragment = next;
                }
                None => break,
            }
        }
        ordering.grown(&mut assembly, to);
        if let Some(other) = self.current.replace(assembly) {
            self.open.insert(other.next, other);
        }
        Ok(())
    }

    /// Drops what can no longer become whole because TSNs up to `cumulative` will not come.
    pub(super) fn drop_through(
        &mut self,
        cumulative: u64,
        ordering: &mut Ordering,
        to: &mut Delivery<'_>,
    ) {
        if self.current.as_ref().is_some_and(|a| a.next <= cumulative)
            && let Some(dead) = self.current.take()
        {
            ordering.drop_assembly(dead, to);
        }
        while let Some(entry) = self.open.first_entry()
            && *entry.key() <= cumulative
        {
            ordering.drop_assembly(entry.remove(), to);
        }
        while let Some(entry) = self.loose.first_entry()
            && *entry.key() <= cumulative
        {
            ordering.held.waiting -= entry.remove().cost();
        }
    }

    /// Drops the message of one of these streams, which are in order, that waits for the TSN `next`, the first that was
    /// not received. There is one at most, and nothing else of theirs to drop: what waits for a later TSN was sent
    /// after the reset.
    pub(super) fn drop_unfinished(
        &mut self,
        streams: &[u16],
        next: u64,
        ordering: &mut Ordering,
        to: &mut Delivery<'_>,
    ) {
        let goes = |a: &Assembly| a.next == next && streams.binary_search(&a.stream).is_ok();
        let dead = match self.current.take_if(|a| goes(a)) {
            None if self.open.get(&next).is_some_and(goes) => self.open.remove(&next),
            dead => dead,
        };
        if let Some(dead) = dead {
            ordering.drop_assembly(dead, to);
        }
    }
}
