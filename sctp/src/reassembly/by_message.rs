//! Fragments of I-DATA: each names its message and its place in it (RFC 8260 §2.2.3).

use std::collections::BTreeMap;

use super::assembly::{Assembly, Fragment};
use super::ordering::Ordering;
use super::{Contradiction, Delivery};
use crate::serial::unwrap32;
use crate::stream_map::StreamMap;
use crate::wire::Skipped;

/// Whether a message is unordered, and its unwrapped MID.
type Key = (bool, u64);

#[derive(Debug)]
struct Growing {
    assembly: Assembly,
    /// Fragments beyond a gap, by FSN.
    later: BTreeMap<u64, Fragment>,
    /// The FSN of the last fragment, once it has come.
    end: Option<u64>,
}

/// A stream's unfinished messages.
#[derive(Debug, Default)]
struct Unfinished {
    /// The one that grew last: found without a search.
    current: Option<(Key, Box<Growing>)>,
    others: BTreeMap<Key, Box<Growing>>,
}

/// Every step is O(log n) in the fragments held, and O(1) in the usual order.
#[derive(Debug, Default)]
pub(super) struct ByMessage {
    streams: StreamMap<Unfinished>,
    /// Unfinished messages of all streams.
    unfinished: usize,
    /// Fragments of the last finished message: a guess for the next one's.
    usual: usize,
}

/// FSNs as 64-bit counters start one turn up (see [`crate::serial`]).
const FIRST_FSN: u64 = crate::serial::first(0);

impl ByMessage {
    #[inline]
    pub(super) fn insert(
        &mut self,
        fragment: Fragment,
        ordering: &mut Ordering,
        to: &mut Delivery<'_>,
    ) -> Result<(), Contradiction> {
        let unordered = fragment.unordered();
        let message = ordering.unwrap_message(fragment.stream, fragment.message, unordered);
        if !unordered && ordering.is_past(fragment.stream, message) {
            return Ok(());
        }
        let key = (unordered, message);
        let Some(stream) = self
            .streams
            .get_or_insert_with(fragment.stream, Unfinished::default)
        else {
            return Ok(());
        };
        let mut growing = match stream.current.take() {
            Some((current, growing)) if current == key => growing,
            other => {
                stream.current = other;
                stream.others.remove(&key).unwrap_or_else(|| {
                    let alone = self.unfinished == 0;
                    self.unfinished += 1;
                    Box::new(Growing {
                        assembly: ordering.begin(&fragment, message, FIRST_FSN, self.usual, alone),
                        later: BTreeMap::new(),
                        end: None,
                    })
                })
            }
        };
        let outcome = growing.add(fragment, ordering);
        if outcome.is_ok() && growing.end.is_some_and(|end| growing.assembly.next > end) {
            self.usual = growing.assembly.fragments();
            self.unfinished -= 1;
            ordering.complete(growing.assembly, to);
        } else {
            ordering.grown(&mut growing.assembly, to);
            if let Some((key, other)) = stream.current.replace((key, growing)) {
                stream.others.insert(key, other);
            }
        }
        outcome
    }

    /// Drops unfinished messages up to the one that the entry names.
    pub(super) fn skip(&mut self, entry: &Skipped, ordering: &mut Ordering, to: &mut Delivery<'_>) {
        let last = ordering.unwrap_message(entry.stream, entry.message, entry.unordered);
        let Some(stream) = self.streams.get_mut(entry.stream) else {
            return;
        };
        let dead = |key: &Key| key.0 == entry.unordered && key.1 <= last;
        if stream.current.as_ref().is_some_and(|(key, _)| dead(key))
            && let Some((_, growing)) = stream.current.take()
        {
            self.unfinished -= 1;
            growing.give_back(ordering, to);
        }
        let range = (entry.unordered, 0)..=(entry.unordered, last);
        while let Some((&key, _)) = stream.others.range(range.clone()).next() {
            if let Some(growing) = stream.others.remove(&key) {
                self.unfinished -= 1;
                growing.give_back(ordering, to);
            }
        }
    }

    pub(super) fn slim(&mut self) {
        self.streams.slim();
    }

    pub(super) fn clear(&mut self, ordering: &mut Ordering, to: &mut Delivery<'_>) {
        let streams: Vec<u16> = self.streams.iter().map(|(id, _)| id).collect();
        for stream in streams {
            self.drop_stream(stream, ordering, to);
        }
    }

    pub(super) fn drop_stream(
        &mut self,
        stream: u16,
        ordering: &mut Ordering,
        to: &mut Delivery<'_>,
    ) {
        let Some(unfinished) = self.streams.remove(stream) else {
            return;
        };
        let current = unfinished.current.map(|(_, growing)| growing);
        for growing in current.into_iter().chain(unfinished.others.into_values()) {
            self.unfinished -= 1;
            growing.give_back(ordering, to);
        }
    }
}

impl Growing {
    fn add(&mut self, fragment: Fragment, ordering: &mut Ordering) -> Result<(), Contradiction> {
        let assembly = &mut self.assembly;
        let number = unwrap32(assembly.next, fragment.number);
        let beyond_end = self.end.is_some_and(|end| number > end);
        let ends_twice = fragment.ends() && self.end.is_some_and(|end| number != end);
        let ends_early = fragment.ends()
            && self
                .later
                .last_key_value()
                .is_some_and(|(last, _)| number < *last);
        if beyond_end || ends_twice || ends_early {
            return Err(Contradiction);
        }
        if number < assembly.next || self.later.contains_key(&number) {
            // Another TSN brought the same fragment: the first one stands.
            return Ok(());
        }
        if fragment.ends() {
            self.end = Some(number);
        }
        if fragment.begins() {
            assembly.ppid = fragment.ppid;
        }
        if number > assembly.next {
            ordering.held.waiting += fragment.cost();
            self.later.insert(number, fragment);
            return Ok(());
        }
        ordering.held.waiting += assembly.push(fragment);
        while let Some(entry) = self.later.first_entry()
            && *entry.key() == assembly.next
        {
            let next = entry.remove();
            ordering.held.waiting -= next.cost();
            ordering.held.waiting += assembly.push(next);
        }
        Ok(())
    }

    /// The message will never be whole.
    fn give_back(self, ordering: &mut Ordering, to: &mut Delivery<'_>) {
        ordering.held.waiting -= self.later.values().map(Fragment::cost).sum::<usize>();
        ordering.drop_assembly(self.assembly, to);
    }
}
