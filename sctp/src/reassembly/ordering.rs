//! The order of each stream's messages, and their delivery (RFC 9260 §6.5, §6.6).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::assembly::{Assembly, Fragment};
use super::{Delivery, Held, Policy, cost};
use crate::association::Event;
use crate::limits::{
    ASSEMBLY_OVERHEAD, COPY_BELOW_SHARE, FRAGMENT_OVERHEAD, MAX_FRAGMENTS_GUESSED,
};
use crate::payload::Payload;
use crate::serial::{first, unwrap16, unwrap32};
use crate::stream_map::StreamMap;
use crate::wire::{DataChunk, Skipped};

/// A whole message that waits for earlier ones; no payload when it was refused or its last piece
/// is all that is missing.
#[derive(Debug)]
struct Finished {
    ppid: u32,
    payload: Option<Payload>,
}

#[derive(Debug)]
struct InStream {
    /// The next ordered message, unwrapped SSN or MID.
    next: u64,
    /// The highest unordered MID seen: what the next one is unwrapped against.
    unordered: u64,
    waiting: BTreeMap<u64, Finished>,
}

const START: u64 = first(0);

impl InStream {
    const fn new() -> Self {
        Self {
            next: START,
            unordered: START,
            waiting: BTreeMap::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Ordering {
    streams: StreamMap<InStream>,
    pub(super) held: Held,
    pub(super) policy: Policy,
}

impl Ordering {
    pub(super) const fn new(policy: Policy) -> Self {
        Self {
            streams: StreamMap::new(),
            held: Held {
                waiting: 0,
                unread: 0,
            },
            policy,
        }
    }

    pub(super) fn unwrap_ordered(&self, stream: u16, message: u32, interleaved: bool) -> u64 {
        let next = self.streams.get(stream).map_or(START, |s| s.next);
        if interleaved {
            unwrap32(next, message)
        } else {
            unwrap16(next, message as u16)
        }
    }

    pub(super) fn unwrap_message(&mut self, stream: u16, message: u32, unordered: bool) -> u64 {
        if !unordered {
            return self.unwrap_ordered(stream, message, true);
        }
        let Some(state) = self.streams.get_or_insert_with(stream, InStream::new) else {
            return 0;
        };
        let unwrapped = unwrap32(state.unordered, message);
        state.unordered = state.unordered.max(unwrapped);
        unwrapped
    }

    /// Whether the ordered message was delivered or given up.
    pub(super) fn is_past(&self, stream: u16, message: u64) -> bool {
        self.streams.get(stream).is_some_and(|s| message < s.next)
    }

    /// A message in one chunk: the path that must be short.
    #[inline]
    pub(super) fn single(
        &mut self,
        chunk: &DataChunk<'_>,
        payload: Bytes,
        datagram: usize,
        to: &mut Delivery<'_>,
    ) {
        if payload.len() > self.policy.largest && self.policy.piece.is_none() {
            to.events.push_back(Event::MessageRefused {
                stream: chunk.stream,
            });
            if !chunk.unordered() {
                self.finish(chunk.stream, chunk.message, chunk.interleaved, None, to);
            }
            return;
        }
        if chunk.unordered() {
            self.held.unread += payload.len() + FRAGMENT_OVERHEAD;
            to.events.push_back(Event::Message {
                stream: chunk.stream,
                ppid: chunk.ppid,
                unordered: true,
                payload: payload.into(),
            });
            return;
        }
        let Some(state) = self.streams.get_or_insert_with(chunk.stream, InStream::new) else {
            return;
        };
        let message = if chunk.interleaved {
            unwrap32(state.next, chunk.message)
        } else {
            unwrap16(state.next, chunk.message as u16)
        };
        if message == state.next {
            state.next += 1;
            self.held.unread += payload.len() + FRAGMENT_OVERHEAD;
            to.events.push_back(Event::Message {
                stream: chunk.stream,
                ppid: chunk.ppid,
                unordered: false,
                payload: payload.into(),
            });
            if !state.waiting.is_empty() {
                self.drain(chunk.stream, to);
            }
            return;
        }
        let small = payload.len() * COPY_BELOW_SHARE < datagram;
        let payload = if small {
            Bytes::copy_from_slice(&payload)
        } else {
            payload
        };
        let finished = Finished {
            ppid: chunk.ppid,
            payload: Some(payload.into()),
        };
        self.finish(
            chunk.stream,
            chunk.message,
            chunk.interleaved,
            Some(finished),
            to,
        );
    }

    fn finish(
        &mut self,
        stream: u16,
        message: u32,
        interleaved: bool,
        finished: Option<Finished>,
        to: &mut Delivery<'_>,
    ) {
        let message = self.unwrap_ordered(stream, message, interleaved);
        let finished = finished.unwrap_or(Finished {
            ppid: 0,
            payload: None,
        });
        self.place(stream, message, finished, to);
    }

    /// Puts a whole ordered message at its place and delivers what has its turn.
    fn place(&mut self, stream: u16, message: u64, finished: Finished, to: &mut Delivery<'_>) {
        let Some(state) = self.streams.get_or_insert_with(stream, InStream::new) else {
            return;
        };
        if message < state.next || state.waiting.contains_key(&message) {
            return;
        }
        self.held.waiting += finished.payload.as_ref().map_or(FRAGMENT_OVERHEAD, cost);
        state.waiting.insert(message, finished);
        self.drain(stream, to);
    }

    /// Delivers the waiting messages whose turn it is.
    fn drain(&mut self, stream: u16, to: &mut Delivery<'_>) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        while let Some(entry) = state.waiting.first_entry()
            && *entry.key() == state.next
        {
            state.next += 1;
            deliver(&mut self.held, stream, entry.remove(), to);
        }
    }

    /// A message is begun, of about `usual` fragments; `alone` says that no other is unfinished.
    pub(super) fn begin(
        &mut self,
        fragment: &Fragment,
        message: u64,
        first: u64,
        usual: usize,
        alone: bool,
    ) -> Assembly {
        self.held.waiting += ASSEMBLY_OVERHEAD;
        let parts = if alone {
            usual.min(MAX_FRAGMENTS_GUESSED)
        } else {
            0
        };
        Assembly::new(fragment, message, first, parts)
    }

    /// A message has all its fragments.
    pub(super) fn complete(&mut self, mut assembly: Assembly, to: &mut Delivery<'_>) {
        self.check_size(&mut assembly, to);
        self.held.waiting -= assembly.cost() + ASSEMBLY_OVERHEAD;
        let Assembly {
            stream,
            unordered,
            message,
            ppid,
            started,
            refused,
            ..
        } = assembly;
        if refused {
            if !unordered {
                self.place(
                    stream,
                    message,
                    Finished {
                        ppid,
                        payload: None,
                    },
                    to,
                );
            }
            return;
        }
        let payload = assembly.take();
        if started {
            self.held.unread += cost(&payload);
            to.events.push_back(Event::MessagePart {
                stream,
                ppid,
                payload,
                first: false,
                last: true,
            });
            if !unordered && let Some(state) = self.streams.get_mut(stream) {
                state.next = state.next.max(message + 1);
                self.drain(stream, to);
            }
        } else if unordered {
            self.held.unread += cost(&payload);
            to.events.push_back(Event::Message {
                stream,
                ppid,
                unordered,
                payload,
            });
        } else {
            match self.streams.get_or_insert_with(stream, InStream::new) {
                Some(state) if state.next == message => {
                    state.next += 1;
                    self.held.unread += cost(&payload);
                    to.events.push_back(Event::Message {
                        stream,
                        ppid,
                        unordered,
                        payload,
                    });
                    self.drain(stream, to);
                }
                _ => self.place(
                    stream,
                    message,
                    Finished {
                        ppid,
                        payload: Some(payload),
                    },
                    to,
                ),
            }
        }
    }

    /// An unfinished message grew: hand over a piece if it is its turn and there is enough.
    pub(super) fn grown(&mut self, assembly: &mut Assembly, to: &mut Delivery<'_>) {
        let Some(piece) = self.policy.piece else {
            self.check_size(assembly, to);
            return;
        };
        let has_turn = assembly.unordered
            || self.streams.get(assembly.stream).map_or(START, |s| s.next) == assembly.message;
        if assembly.len() < piece.max(1) || !has_turn {
            return;
        }
        self.held.waiting -= assembly.cost();
        let payload = assembly.take();
        self.held.unread += cost(&payload);
        let first = !std::mem::replace(&mut assembly.started, true);
        to.events.push_back(Event::MessagePart {
            stream: assembly.stream,
            ppid: assembly.ppid,
            payload,
            first,
            last: false,
        });
    }

    fn check_size(&mut self, assembly: &mut Assembly, to: &mut Delivery<'_>) {
        let too_large = self.policy.piece.is_none() && assembly.total() > self.policy.largest;
        if too_large && !assembly.refused {
            assembly.refused = true;
            self.held.waiting -= assembly.cost();
            drop(assembly.take());
            to.events.push_back(Event::MessageRefused {
                stream: assembly.stream,
            });
        }
    }

    /// An unfinished message will never be finished.
    pub(super) fn drop_assembly(&mut self, assembly: Assembly, to: &mut Delivery<'_>) {
        self.held.waiting -= assembly.cost() + ASSEMBLY_OVERHEAD;
        if assembly.started {
            to.events.push_back(Event::MessageAborted {
                stream: assembly.stream,
            });
        }
    }

    /// The stream's messages up to this one will not come: deliver those that did.
    pub(super) fn skip(&mut self, entry: &Skipped, interleaved: bool, to: &mut Delivery<'_>) {
        let Some(state) = self.streams.get_or_insert_with(entry.stream, InStream::new) else {
            return;
        };
        let last = if interleaved {
            unwrap32(state.next, entry.message)
        } else {
            unwrap16(state.next, entry.message as u16)
        };
        while let Some(first) = state.waiting.first_entry()
            && *first.key() <= last
        {
            state.next = first.key() + 1;
            deliver(&mut self.held, entry.stream, first.remove(), to);
        }
        state.next = state.next.max(last + 1);
        self.drain(entry.stream, to);
    }

    pub(super) fn reset(&mut self, stream: u16) {
        if let Some(state) = self.streams.remove(stream) {
            for finished in state.waiting.into_values() {
                let held = finished.payload.as_ref().map_or(FRAGMENT_OVERHEAD, cost);
                self.held.waiting -= held;
            }
        }
    }

    pub(super) fn slim(&mut self) {
        self.streams.slim();
    }

    pub(super) fn streams(&self) -> Vec<u16> {
        self.streams.iter().map(|(id, _)| id).collect()
    }
}

fn deliver(held: &mut Held, stream: u16, finished: Finished, to: &mut Delivery<'_>) {
    held.waiting -= finished.payload.as_ref().map_or(FRAGMENT_OVERHEAD, cost);
    if let Some(payload) = finished.payload {
        held.unread += cost(&payload);
        let ppid = finished.ppid;
        to.events.push_back(Event::Message {
            stream,
            ppid,
            unordered: false,
            payload,
        });
    }
}
