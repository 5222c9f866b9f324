//! From chunks to messages in their order (RFC 9260 §6.5, §6.9; RFC 8260 §2.2.3).
//!
//! Two ways to collect the fragments of a message, one a file: [`by_tsn`] for DATA, whose
//! fragments have consecutive TSNs, and [`by_message`] for I-DATA, whose fragments name their
//! message. Both hand finished and growing [`Assembly`]s to the [`Ordering`] of the streams.

mod assembly;
mod by_message;
mod by_tsn;
mod ordering;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::association::Event;
use crate::limits::{COPY_BELOW_SHARE, FRAGMENT_OVERHEAD};
use crate::payload::Payload;
use crate::wire::{DataChunk, Skipped};
use crate::work;

use assembly::Fragment;
use ordering::Ordering;

/// A fragment contradicts another one: the sender broke the rules of fragmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction;

/// What a payload takes of the receive buffer.
pub(crate) fn cost(payload: &Payload) -> usize {
    payload.len() + payload.fragments().len() * FRAGMENT_OVERHEAD
}

/// What a message without octets takes of it.
pub(crate) const fn cost_of_empty() -> usize {
    FRAGMENT_OVERHEAD
}

/// Octets charged in the two places where received data can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Fragments of unfinished messages, and messages that wait for earlier ones.
    pub(crate) waiting: usize,
    /// Messages the application has not taken.
    pub(crate) unread: usize,
}

#[derive(Debug)]
enum Fragments {
    Consecutive(by_tsn::ByTsn),
    Interleaved(by_message::ByMessage),
}

/// Where assembled messages go.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) events: &'a mut VecDeque<Event>,
}

/// How messages are handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Hand over a message in pieces of about this many octets instead of whole.
    pub(crate) piece: Option<usize>,
    /// Refuse whole messages that are larger.
    pub(crate) largest: usize,
}

#[derive(Debug)]
pub(crate) struct Reassembly {
    fragments: Fragments,
    ordering: Ordering,
}

impl Reassembly {
    pub(crate) fn new(interleaved: bool, policy: Policy) -> Self {
        let fragments = if interleaved {
            Fragments::Interleaved(by_message::ByMessage::default())
        } else {
            Fragments::Consecutive(by_tsn::ByTsn::default())
        };
        Self {
            fragments,
            ordering: Ordering::new(policy),
        }
    }

    /// Forgets all streams and what waits. What the application has not taken is still charged.
    pub(crate) fn begin_anew(&mut self, interleaved: bool) {
        let unread = self.held().unread;
        *self = Self::new(interleaved, self.ordering.policy);
        self.charge(unread);
    }

    pub(crate) fn held(&self) -> Held {
        self.ordering.held
    }

    /// The application took a message of this [`cost`].
    pub(crate) fn release(&mut self, cost: usize) {
        self.ordering.held.unread = self.ordering.held.unread.saturating_sub(cost);
    }

    /// The application has something of this cost to take that is no message.
    pub(crate) fn charge(&mut self, cost: usize) {
        self.ordering.held.unread += cost;
    }

    /// Takes in a chunk that was not received before.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        tsn: u64,
        chunk: &DataChunk<'_>,
        datagram: &Bytes,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Contradiction> {
        let mut to = Delivery { events };
        if chunk.begins() && chunk.ends() {
            if let Fragments::Consecutive(store) = &self.fragments
                && store.expects(tsn)
            {
                return Err(Contradiction);
            }
            let payload = datagram.slice_ref(chunk.payload);
            self.ordering
                .single(chunk, payload, datagram.len(), &mut to);
            return Ok(());
        }
        let small = chunk.payload.len() * COPY_BELOW_SHARE < datagram.len();
        let payload = if small {
            Bytes::copy_from_slice(chunk.payload)
        } else {
            datagram.slice_ref(chunk.payload)
        };
        let fragment = Fragment::new(chunk, payload);
        match &mut self.fragments {
            Fragments::Consecutive(store) => {
                store.insert(tsn, fragment, &mut self.ordering, &mut to)
            }
            Fragments::Interleaved(store) => store.insert(fragment, &mut self.ordering, &mut to),
        }
    }

    /// The peer gave up everything up to `cumulative` (RFC 3758 §3.6, RFC 8260 §2.3.1).
    pub(crate) fn forward(
        &mut self,
        cumulative: u64,
        skipped: impl Iterator<Item = Skipped>,
        events: &mut VecDeque<Event>,
    ) {
        let mut to = Delivery { events };
        if let Fragments::Consecutive(store) = &mut self.fragments {
            store.drop_through(cumulative, &mut self.ordering, &mut to);
        }
        for entry in skipped {
            if let Fragments::Interleaved(store) = &mut self.fragments {
                store.skip(&entry, &mut self.ordering, &mut to);
            }
            if !entry.unordered {
                let interleaved = matches!(self.fragments, Fragments::Interleaved(_));
                self.ordering.skip(&entry, interleaved, &mut to);
            }
        }
    }

    /// The peer starts these streams again from zero (RFC 6525 §5.2.2): in order, each once. `next` is the first TSN
    /// that was not received.
    pub(crate) fn reset(&mut self, streams: &[u16], next: u64, events: &mut VecDeque<Event>) {
        let mut to = Delivery { events };
        work::steps(streams.len());
        match &mut self.fragments {
            Fragments::Consecutive(store) => {
                store.drop_unfinished(streams, next, &mut self.ordering, &mut to)
            }
            Fragments::Interleaved(store) => {
                for stream in streams {
                    store.drop_stream(*stream, &mut self.ordering, &mut to);
                }
            }
        }
        for stream in streams {
            self.ordering.reset(*stream);
        }
    }

    /// All streams begin anew, and nothing unfinished will be finished.
    pub(crate) fn clear(&mut self, events: &mut VecDeque<Event>) {
        let mut to = Delivery { events };
        match &mut self.fragments {
            Fragments::Consecutive(store) => {
                store.drop_through(u64::MAX, &mut self.ordering, &mut to)
            }
            Fragments::Interleaved(store) => store.clear(&mut self.ordering, &mut to),
        }
        for stream in self.streams() {
            self.ordering.reset(stream);
        }
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        if let Fragments::Interleaved(store) = &mut self.fragments {
            store.slim();
        }
        self.ordering.slim();
    }

    /// Streams that hold any state.
    pub(crate) fn streams(&self) -> Vec<u16> {
        self.ordering.streams()
    }
}

#[cfg(test)]
mod tests;
