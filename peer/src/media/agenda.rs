//! When which received stream has something due.
//!
//! There may be a thousand streams, each asking for what it lacks in its own time: nobody walks over all of them to find
//! the few that are due.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::work;

/// The times of streams, which are known by their places.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    order: BTreeSet<(Instant, usize)>,
    times: Vec<Option<Instant>>,
}

impl Agenda {
    /// Something of this stream is due then, or nothing at all.
    pub(super) fn set(&mut self, place: usize, due: Option<Instant>) {
        if self.times.len() <= place {
            if due.is_none() {
                return;
            }
            self.times.resize(place + 1, None);
        }
        let Some(before) = self.times.get_mut(place) else {
            return;
        };
        if *before == due {
            return;
        }
        if let Some(before) = before.take() {
            self.order.remove(&(before, place));
        }
        *before = due;
        self.order.extend(due.map(|due| (due, place)));
    }

    /// When the first stream has something due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Appends the places of streams that have something due now, the longest due first.
    pub(super) fn due(&self, now: Instant, places: &mut Vec<usize>) {
        let due = self.order.iter().take_while(|(due, _)| *due <= now);
        places.extend(due.map(|(_, place)| *place));
        work::steps(places.len());
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.times.clear();
    }

    /// Octets in use, about.
    pub(super) fn memory_usage(&self) -> usize {
        self.times.capacity() * size_of::<Option<Instant>>()
            + self.order.len() * size_of::<(Instant, usize)>() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_due_is_found_in_order_and_can_change() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut agenda = Agenda::default();
        assert_eq!(agenda.next(), None);
        for (place, seconds) in [(4, 9), (0, 5), (2, 7), (1, 7)] {
            agenda.set(place, Some(at(seconds)));
        }
        let due = |agenda: &Agenda, seconds| {
            let mut places = Vec::new();
            agenda.due(at(seconds), &mut places);
            places
        };
        assert_eq!(agenda.next(), Some(at(5)));
        assert_eq!(due(&agenda, 4), Vec::<usize>::new());
        assert_eq!(due(&agenda, 7), [0, 1, 2]);
        agenda.set(0, None);
        agenda.set(2, Some(at(20)));
        agenda.set(3, None);
        agenda.set(9, None);
        assert_eq!((agenda.next(), due(&agenda, 9)), (Some(at(7)), vec![1, 4]));
        agenda.clear();
        assert_eq!((agenda.next(), due(&agenda, 90)), (None, Vec::new()));
    }
}
