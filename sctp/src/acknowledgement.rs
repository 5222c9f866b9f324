//! What has been received, and when to say so (RFC 9260 §6.2, §6.7).

use std::collections::VecDeque;

use crate::limits::{MAX_DUPLICATES_REPORTED, MAX_GAP_RUNS, MAX_TSN_SPAN};
use crate::serial::{first, unwrap32};
use crate::wire::{ChunkWriter, chunk_type};

/// What to do with a DATA chunk's TSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// New.
    New,
    /// Received before.
    Duplicate,
    /// Beyond what can be reported, or too many gaps: as if it had been lost.
    Refused,
}

/// When the next SACK is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Nothing to acknowledge.
    No,
    /// One packet waits; the timer runs.
    Delayed,
    /// With the next packet out.
    Now,
}

/// A run of received TSNs, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    last: u64,
}

#[derive(Debug)]
pub(crate) struct Acknowledger {
    cumulative: u64,
    runs: VecDeque<Run>,
    duplicates: Vec<u32>,
    due: Due,
}

impl Acknowledger {
    pub(crate) fn new(initial_tsn: u32) -> Self {
        Self {
            cumulative: first(initial_tsn) - 1,
            runs: VecDeque::new(),
            duplicates: Vec::new(),
            due: Due::No,
        }
    }

    pub(crate) fn cumulative(&self) -> u64 {
        self.cumulative
    }

    /// The highest TSN received.
    pub(crate) fn highest(&self) -> u64 {
        self.runs.back().map_or(self.cumulative, |run| run.last)
    }

    pub(crate) fn has_gaps(&self) -> bool {
        !self.runs.is_empty()
    }

    #[inline]
    pub(crate) fn unwrap(&self, tsn: u32) -> u64 {
        unwrap32(self.cumulative, tsn)
    }

    /// What [`insert`](Self::insert) would say.
    #[inline]
    pub(crate) fn classify(&self, tsn: u64) -> Arrival {
        if tsn == self.cumulative + 1 {
            return Arrival::New;
        }
        if tsn <= self.cumulative {
            return Arrival::Duplicate;
        }
        if tsn - self.cumulative > MAX_TSN_SPAN {
            return Arrival::Refused;
        }
        let after = self.runs.partition_point(|run| run.first <= tsn);
        let before = after.checked_sub(1).and_then(|i| self.runs.get(i));
        if before.is_some_and(|run| tsn <= run.last) {
            return Arrival::Duplicate;
        }
        let extends = before.is_some_and(|run| run.last + 1 == tsn)
            || self.runs.get(after).is_some_and(|run| tsn + 1 == run.first);
        if !extends && self.runs.len() >= MAX_GAP_RUNS {
            Arrival::Refused
        } else {
            Arrival::New
        }
    }

    /// Records a TSN that was classified as new.
    #[inline]
    pub(crate) fn insert(&mut self, tsn: u64) {
        if tsn == self.cumulative + 1 {
            self.cumulative = tsn;
            self.absorb();
            return;
        }
        let after = match self.runs.back_mut() {
            Some(last) if last.last + 1 == tsn => {
                last.last = tsn;
                return;
            }
            Some(last) if last.last < tsn => self.runs.len(),
            _ => self.runs.partition_point(|run| run.first <= tsn),
        };
        let joins_next = self.runs.get(after).is_some_and(|run| tsn + 1 == run.first);
        let before = after.checked_sub(1).and_then(|i| self.runs.get_mut(i));
        match before {
            Some(run) if run.last + 1 == tsn => {
                run.last = tsn;
                if joins_next
                    && let Some(next) = self.runs.remove(after)
                    && let Some(run) = self.runs.get_mut(after - 1)
                {
                    run.last = next.last;
                }
            }
            _ if joins_next => {
                if let Some(next) = self.runs.get_mut(after) {
                    next.first = tsn;
                }
            }
            _ => self.runs.insert(
                after,
                Run {
                    first: tsn,
                    last: tsn,
                },
            ),
        }
    }

    /// Moves the cumulative TSN forward over what the peer gave up (RFC 3758 §3.6).
    pub(crate) fn forward(&mut self, tsn: u64) {
        if tsn <= self.cumulative {
            return;
        }
        self.cumulative = tsn;
        while let Some(run) = self.runs.front_mut() {
            if run.last <= tsn {
                self.runs.pop_front();
            } else {
                run.first = run.first.max(tsn + 1);
                break;
            }
        }
        self.absorb();
    }

    #[inline]
    fn absorb(&mut self) {
        while let Some(run) = self.runs.front() {
            if run.first > self.cumulative + 1 {
                break;
            }
            self.cumulative = self.cumulative.max(run.last);
            self.runs.pop_front();
        }
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        self.runs.shrink_to_fit();
        self.duplicates.shrink_to_fit();
    }

    pub(crate) fn duplicate(&mut self, tsn: u32) {
        if self.duplicates.len() < MAX_DUPLICATES_REPORTED {
            self.duplicates.push(tsn);
        }
    }

    /// A packet with data came: acknowledge at once, or every second packet.
    /// Returns whether the timer is to be started.
    #[must_use]
    pub(crate) fn packet_received(&mut self, immediate: bool) -> bool {
        let (due, start) = match self.due {
            Due::No if !immediate => (Due::Delayed, true),
            _ => (Due::Now, false),
        };
        self.due = due;
        start
    }

    pub(crate) fn timer_expired(&mut self) {
        if self.due == Due::Delayed {
            self.due = Due::Now;
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due == Due::Now
    }

    /// Whether a SACK could go along with data that is sent anyway.
    pub(crate) fn may_ride_along(&self) -> bool {
        self.due != Due::No
    }

    /// Appends a SACK of at most `room` octets. Nothing is due afterwards.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, window: u32, room: usize) {
        let blocks = (room.saturating_sub(16) / 4).min(self.runs.len());
        let duplicates = (room.saturating_sub(16 + blocks * 4) / 4).min(self.duplicates.len());
        let mut chunk = ChunkWriter::new(out, chunk_type::SACK, 0)
            .u32(self.cumulative as u32)
            .u32(window)
            .u16(u16::try_from(blocks).unwrap_or(u16::MAX))
            .u16(u16::try_from(duplicates).unwrap_or(u16::MAX));
        for run in self.runs.iter().take(blocks) {
            // The span is bounded on insertion: the offsets fit.
            let offset = |tsn: u64| u16::try_from(tsn - self.cumulative).unwrap_or(u16::MAX);
            chunk = chunk.u16(offset(run.first)).u16(offset(run.last));
        }
        for tsn in self.duplicates.iter().take(duplicates) {
            chunk = chunk.u32(*tsn);
        }
        chunk.finish();
        self.duplicates.clear();
        self.due = Due::No;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn blocks(acks: &mut Acknowledger) -> (u32, Vec<(u16, u16)>) {
        let mut out = Vec::new();
        acks.write(&mut out, 0, 60_000);
        let sack = crate::wire::Sack::parse(&out[4..]).unwrap();
        (sack.cumulative, sack.gaps().collect())
    }

    proptest! {
        #[test]
        fn reports_exactly_what_was_received(
            initial in prop_oneof![Just(u32::MAX - 5), Just(0u32), any::<u32>()],
            offsets in proptest::collection::vec(0u64..60, 1..80),
            jump in proptest::option::of(0u64..60),
        ) {
            let mut acks = Acknowledger::new(initial);
            let base = acks.cumulative() + 1;
            let mut model = BTreeSet::new();
            for offset in &offsets {
                let tsn = base + offset;
                let new = acks.classify(tsn);
                prop_assert_eq!(new == Arrival::New, model.insert(tsn));
                if new == Arrival::New {
                    acks.insert(tsn);
                }
            }
            if let Some(jump) = jump {
                acks.forward(base + jump);
                model.extend(base..=base + jump);
            }
            let (cumulative, gaps) = blocks(&mut acks);
            let mut reported: BTreeSet<u64> = (base..=unwrap32(base, cumulative)).collect();
            for (from, to) in &gaps {
                prop_assert!(from > &1, "a block right after the cumulative TSN");
                let c = unwrap32(base, cumulative);
                reported.extend(c + u64::from(*from)..=c + u64::from(*to));
            }
            prop_assert_eq!(reported, model);
            prop_assert!(gaps.windows(2).all(|w| w[0].1 + 1 < w[1].0), "blocks touch: {:?}", gaps);
        }
    }

    #[test]
    fn refuses_what_a_sack_could_not_report() {
        let mut acks = Acknowledger::new(1);
        let base = acks.cumulative();
        assert_eq!(acks.classify(base + MAX_TSN_SPAN), Arrival::New);
        assert_eq!(acks.classify(base + MAX_TSN_SPAN + 1), Arrival::Refused);
        for i in 1..=MAX_GAP_RUNS as u64 {
            acks.insert(base + i * 2);
        }
        let end = base + MAX_GAP_RUNS as u64 * 2;
        assert_eq!(acks.classify(end + 2), Arrival::Refused);
        assert_eq!(acks.classify(end + 1), Arrival::New, "extends a run");
    }

    #[test]
    fn second_packet_or_immediate_flag_makes_a_sack_due() {
        let mut acks = Acknowledger::new(1);
        assert!(acks.packet_received(false));
        assert!(!acks.is_due());
        assert!(!acks.packet_received(false));
        assert!(acks.is_due());
        let _ = blocks(&mut acks);
        assert!(!acks.packet_received(true));
        assert!(acks.is_due());
    }
}
