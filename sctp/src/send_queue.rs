//! Messages that have no TSN yet: a queue a stream, and whose turn it is.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::scheduler::{Scheduler, Share, Turns};
use crate::stream_map::StreamMap;
use crate::wire::{FLAG_BEGIN, FLAG_END, FLAG_UNORDERED};

/// How long to try, as the retransmission queue needs it (RFC 3758 §4.1, RFC 7496 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Give the message up at this time.
    pub(crate) deadline: Option<Instant>,
    /// Give the message up after this many retransmissions of a fragment.
    pub(crate) retransmissions: Option<u16>,
}

impl Effort {
    pub(crate) fn expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }
}

/// A message, or a piece of one that the application gives bit by bit.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) data: Bytes,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) effort: Effort,
    pub(crate) begin: bool,
    pub(crate) end: bool,
}

/// Takes its place among the TSNs next.
#[derive(Debug)]
pub(crate) struct OutFragment {
    pub(crate) data: Bytes,
    pub(crate) ppid: u32,
    pub(crate) effort: Effort,
    pub(crate) stream: u16,
    pub(crate) flags: u8,
    /// SSN or MID, not truncated.
    pub(crate) message: u32,
    /// FSN.
    pub(crate) number: u32,
}

/// What a packet has room for, in octets of payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) room: usize,
    /// The longest fragment.
    pub(crate) full: usize,
    /// The shortest that a message is cut to, but at its end.
    pub(crate) crumb: usize,
}

/// What [`SendQueue::take`] came to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The next fragment.
    Fragment(OutFragment),
    /// A message ran out of time after some of it was sent; the rest is dropped.
    GivenUp {
        stream: u16,
        unordered: bool,
        message: u32,
        ppid: u32,
        /// The FSN that the first dropped fragment would have had.
        number: u32,
    },
    /// Nothing that fits.
    Nothing,
}

#[derive(Debug)]
struct Queued {
    piece: Piece,
    arrival: u64,
}

/// The message at the front of a stream's queue once its first fragment has left.
#[derive(Clone, Copy, Debug)]
struct InProgress {
    message: u32,
    number: u32,
    unordered: bool,
    ppid: u32,
}

#[derive(Debug)]
struct OutStream {
    queue: VecDeque<Queued>,
    bytes: usize,
    next_ordered: u32,
    next_unordered: u32,
    progress: Option<InProgress>,
    share: Share,
    /// In the scheduler's queue.
    active: bool,
    /// The stream is to be reset: pieces that arrived at this number or later wait for it.
    paused_from: Option<u64>,
    /// The rest of a message that was given up is still to come from the application.
    discarding: bool,
    /// Tell when `bytes` falls to this.
    low: usize,
    /// Somebody was refused and waits for room below this.
    room_wanted: Option<usize>,
}

/// News about a stream's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// The amount fell to the low threshold.
    pub(crate) low: bool,
    /// There is room again for one who was refused.
    pub(crate) room: bool,
}

#[derive(Debug)]
pub(crate) struct SendQueue {
    streams: StreamMap<OutStream>,
    turns: Turns,
    interleaved: bool,
    /// The stream whose message must be finished first, without interleaving.
    locked: Option<u16>,
    /// What that message has taken so far.
    locked_octets: usize,
    /// The stream this packet is for, under round robin by packet: out of the scheduler's queue
    /// until the next packet begins.
    packet_of: Option<u16>,
    arrivals: u64,
    bytes: usize,
    /// Messages that ran out of time before anything of them was sent.
    expired: u64,
    drained: Vec<(u16, Drained)>,
    /// Streams to be reset that have sent what goes out before.
    emptied: Vec<u16>,
}

/// The weight of a stream whose priority was not set: RFC 8831 §6.4 "low" is 256 of
/// 128/256/512/1024.
const DEFAULT_WEIGHT: u16 = 256;

impl OutStream {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            next_ordered: 0,
            next_unordered: 0,
            progress: None,
            share: Share::new(DEFAULT_WEIGHT),
            active: false,
            paused_from: None,
            discarding: false,
            low: 0,
            room_wanted: None,
        }
    }

    /// Something can be sent now. The last piece of an unfinished message is held back: should
    /// nothing follow it, it must carry the E bit, and a chunk without data cannot.
    fn sendable(&self) -> bool {
        let Some(front) = self.queue.front() else {
            return false;
        };
        if self.progress.is_none() && self.is_held_back(front) {
            return false;
        }
        front.piece.end || self.queue.len() > 1
    }

    fn is_held_back(&self, queued: &Queued) -> bool {
        self.paused_from.is_some_and(|from| queued.arrival >= from)
    }

    /// There is neither an unfinished message nor what goes out before a reset.
    fn is_empty(&self) -> bool {
        let front = self.queue.front();
        self.progress.is_none() && front.is_none_or(|front| self.is_held_back(front))
    }

    fn front_arrival(&self) -> Option<u64> {
        if !self.sendable() {
            return None;
        }
        self.queue.front().map(|q| q.arrival)
    }

    fn less(&mut self, octets: usize) -> Drained {
        let before = self.bytes;
        self.bytes -= octets;
        let room = self.room_wanted.is_some_and(|below| self.bytes < below);
        if room {
            self.room_wanted = None;
        }
        Drained {
            low: before > self.low && self.bytes <= self.low,
            room,
        }
    }
}

impl SendQueue {
    pub(crate) fn new(policy: Scheduler) -> Self {
        Self {
            streams: StreamMap::new(),
            turns: Turns::new(policy),
            interleaved: false,
            locked: None,
            locked_octets: 0,
            packet_of: None,
            arrivals: 0,
            bytes: 0,
            expired: 0,
            drained: Vec::new(),
            emptied: Vec::new(),
        }
    }

    pub(crate) fn set_interleaved(&mut self, interleaved: bool) {
        self.interleaved = interleaved;
    }

    /// Octets queued in all streams.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Octets queued in one stream.
    pub(crate) fn stream_bytes(&self, stream: u16) -> usize {
        self.streams.get(stream).map_or(0, |s| s.bytes)
    }

    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    #[inline]
    pub(crate) fn has_sendable(&self) -> bool {
        match self.locked {
            Some(id) => self.streams.get(id).is_some_and(OutStream::sendable),
            None => {
                self.turns.first().is_some()
                    || self
                        .packet_of
                        .and_then(|id| self.streams.get(id))
                        .is_some_and(OutStream::sendable)
            }
        }
    }

    pub(crate) fn set_low(&mut self, stream: u16, low: usize) {
        if let Some(state) = self.streams.get_or_insert_with(stream, OutStream::new) {
            state.low = low;
        }
    }

    pub(crate) fn low(&self, stream: u16) -> usize {
        self.streams.get(stream).map_or(0, |s| s.low)
    }

    pub(crate) fn want_room(&mut self, stream: u16, below: usize) {
        if let Some(state) = self.streams.get_or_insert_with(stream, OutStream::new) {
            state.room_wanted = Some(below);
        }
    }

    pub(crate) fn set_weight(&mut self, stream: u16, weight: u16) {
        if let Some(state) = self.streams.get_or_insert_with(stream, OutStream::new) {
            state.share.weight = weight;
        }
    }

    /// News since the last call.
    pub(crate) fn take_drained(&mut self) -> Option<(u16, Drained)> {
        self.drained.pop()
    }

    /// A stream that was to be reset and has now sent what goes out before, see [`pause`](Self::pause).
    pub(crate) fn take_emptied(&mut self) -> Option<u16> {
        self.emptied.pop()
    }

    pub(crate) fn push(&mut self, now: Instant, stream: u16, piece: Piece) {
        let Some(state) = self.streams.get_or_insert_with(stream, OutStream::new) else {
            return;
        };
        if state.discarding && !piece.begin {
            state.discarding = !piece.end;
            return;
        }
        // Messages that are out of time leave before they reach the front's turn, so that a
        // blocked association does not hoard them.
        while state.progress.is_none()
            && let Some(front) = state.queue.front()
            && front.piece.begin
            && front.piece.end
            && front.piece.effort.expired(now)
            && state.queue.len() > 1
        {
            let octets = state.queue.pop_front().map_or(0, |q| q.piece.data.len());
            let drained = state.less(octets);
            self.bytes -= octets;
            self.expired += 1;
            note(&mut self.drained, stream, drained);
            if state.paused_from.is_some() && state.is_empty() {
                self.emptied.push(stream);
            }
        }
        state.bytes += piece.data.len();
        self.bytes += piece.data.len();
        self.arrivals += 1;
        state.queue.push_back(Queued {
            piece,
            arrival: self.arrivals,
        });
        self.activate(stream);
    }

    /// Puts the stream into the scheduler's queue if it belongs there.
    fn activate(&mut self, stream: u16) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        if !state.active
            && let Some(arrival) = state.front_arrival()
        {
            state.active = true;
            self.turns.add(stream, &mut state.share, 0, arrival);
        }
    }

    /// The message that the application gives bit by bit ends with what was given so far.
    /// False when there is no such message or nothing of it is left to carry the end.
    pub(crate) fn finish_message(&mut self, stream: u16) -> bool {
        let Some(state) = self.streams.get_mut(stream) else {
            return false;
        };
        if std::mem::take(&mut state.discarding) {
            return true;
        }
        let Some(last) = state.queue.back_mut() else {
            return false;
        };
        last.piece.end = true;
        self.activate(stream);
        true
    }

    /// The peer does not let messages be given up: all are sent until they arrive.
    pub(crate) fn forget_efforts(&mut self) {
        for (_, stream) in self.streams.iter_mut() {
            for queued in &mut stream.queue {
                queued.piece.effort = Effort::default();
            }
        }
    }

    /// A new packet begins.
    pub(crate) fn start_packet(&mut self) {
        let Some(id) = self.packet_of.take() else {
            return;
        };
        if self.locked == Some(id) {
            // Its message is to be finished first: it comes back then.
            return;
        }
        if let Some(state) = self.streams.get_mut(id) {
            state.active = false;
        }
        self.activate(id);
    }

    /// The next fragment for this room. What would fit an empty packet waits for one. A fragment longer than `window` is
    /// not taken.
    #[inline]
    pub(crate) fn take(
        &mut self,
        now: Instant,
        Room { room, full, crumb }: Room,
        window: usize,
    ) -> Taken {
        loop {
            let chosen = self.locked.or(self.packet_of);
            let Some(id) = chosen.or_else(|| self.turns.first()) else {
                return Taken::Nothing;
            };
            let Some(state) = self.streams.get_mut(id) else {
                return Taken::Nothing;
            };
            if !state.sendable() {
                return Taken::Nothing;
            }
            let Some(front) = state.queue.front_mut() else {
                return Taken::Nothing;
            };
            if front.piece.effort.expired(now) {
                match self.expire(id) {
                    Some(given_up) => return given_up,
                    None => continue,
                }
            }
            let whole = front.piece.data.len();
            // A message that fits a packet of its own waits for it; a longer one fills this one
            // unless that would leave a crumb.
            let length = if whole <= room.min(full) {
                whole
            } else if whole <= full || room < crumb {
                return Taken::Nothing;
            } else {
                room.min(full)
            };
            if length > window {
                return Taken::Nothing;
            }
            return Taken::Fragment(self.cut(id, length));
        }
    }

    /// Cuts `length` octets off the front of a stream that has them.
    fn cut(&mut self, id: u16, length: usize) -> OutFragment {
        let mut fragment = OutFragment {
            data: Bytes::new(),
            ppid: 0,
            effort: Effort::default(),
            stream: id,
            flags: 0,
            message: 0,
            number: 0,
        };
        let Some(state) = self.streams.get_mut(id) else {
            return fragment;
        };
        let Some(front) = state.queue.front_mut() else {
            return fragment;
        };
        let piece = &mut front.piece;
        fragment.ppid = piece.ppid;
        fragment.effort = piece.effort;
        let unordered = piece.unordered;
        if unordered {
            fragment.flags |= FLAG_UNORDERED;
        }
        let exhausted = length >= piece.data.len();
        let progress = match state.progress {
            Some(progress) => progress,
            None => {
                fragment.flags |= FLAG_BEGIN;
                let counter = if unordered {
                    &mut state.next_unordered
                } else {
                    &mut state.next_ordered
                };
                let message = *counter;
                *counter = counter.wrapping_add(1);
                InProgress {
                    message,
                    number: 0,
                    unordered,
                    ppid: piece.ppid,
                }
            }
        };
        fragment.message = progress.message;
        fragment.number = progress.number;
        if exhausted {
            fragment.data = std::mem::take(&mut piece.data);
        } else {
            fragment.data = piece.data.split_to(length);
        }
        if exhausted && piece.end {
            fragment.flags |= FLAG_END;
            state.progress = None;
        } else {
            let number = progress.number.wrapping_add(1);
            state.progress = Some(InProgress { number, ..progress });
        }
        if exhausted {
            state.queue.pop_front();
        }
        let unfinished = state.progress.is_some();
        if state.paused_from.is_some() && state.is_empty() {
            self.emptied.push(id);
        }
        let drained = state.less(length);
        self.bytes -= length;
        note(&mut self.drained, id, drained);
        if self.locked.is_none() && self.packet_of.is_none() {
            self.turns.pop();
        }
        if unfinished && !self.interleaved {
            // The message must be finished first: its stream is out of the scheduler's queue
            // until then and is charged for all of it.
            self.locked = Some(id);
            self.locked_octets += length;
            return fragment;
        }
        self.locked = None;
        let octets = std::mem::take(&mut self.locked_octets) + length;
        if self.turns.policy() == Scheduler::RoundRobinPacket {
            self.packet_of = Some(id);
            return fragment;
        }
        match state.front_arrival() {
            Some(next) => self.turns.add(id, &mut state.share, octets, next),
            None => {
                state.active = false;
                self.turns.charge(&mut state.share, octets);
            }
        }
        fragment
    }

    /// The front message of a stream is out of time. `Some` when part of it was sent.
    fn expire(&mut self, id: u16) -> Option<Taken> {
        let state = self.streams.get_mut(id)?;
        match state.progress {
            Some(progress) => {
                self.drop_rest(id);
                Some(Taken::GivenUp {
                    stream: id,
                    unordered: progress.unordered,
                    message: progress.message,
                    ppid: progress.ppid,
                    number: progress.number,
                })
            }
            None => {
                self.expired += 1;
                self.drop_rest(id);
                None
            }
        }
    }

    /// If this message has begun and not ended, drops its rest and returns the FSN that the next
    /// fragment would have had.
    pub(crate) fn give_up(&mut self, id: u16, unordered: bool, message: u32) -> Option<u32> {
        let progress = self.streams.get(id)?.progress?;
        if progress.unordered != unordered || progress.message != message {
            return None;
        }
        self.drop_rest(id);
        Some(progress.number)
    }

    /// Drops the front message, or what is left of it.
    fn drop_rest(&mut self, id: u16) {
        let Some(state) = self.streams.get_mut(id) else {
            return;
        };
        let mut octets = 0;
        let mut ended = false;
        while let Some(queued) = state.queue.pop_front() {
            octets += queued.piece.data.len();
            if queued.piece.end {
                ended = true;
                break;
            }
        }
        state.discarding = !ended;
        state.progress = None;
        if state.paused_from.is_some() && state.is_empty() {
            self.emptied.push(id);
        }
        if self.packet_of == Some(id) {
            self.packet_of = None;
            state.active = false;
        }
        let drained = state.less(octets);
        self.bytes -= octets;
        note(&mut self.drained, id, drained);
        if self.locked == Some(id) {
            self.locked = None;
            self.locked_octets = 0;
            state.active = false;
        } else if state.active {
            state.active = false;
            self.turns.remove(id);
        }
        self.activate(id);
    }

    /// Sends what is queued on the stream and starts no message that is queued later.
    pub(crate) fn pause(&mut self, id: u16) {
        let next = self.arrivals + 1;
        if let Some(state) = self.streams.get_or_insert_with(id, OutStream::new) {
            state.paused_from.get_or_insert(next);
        }
    }

    /// Whether the stream has neither an unfinished message nor queued data that goes out before
    /// a reset.
    pub(crate) fn is_empty(&self, id: u16) -> bool {
        self.streams.get(id).is_none_or(OutStream::is_empty)
    }

    /// Lets messages go that waited for a reset that will not be.
    pub(crate) fn resume(&mut self, id: u16) {
        if let Some(state) = self.streams.get_mut(id) {
            state.paused_from = None;
        }
        self.activate(id);
    }

    /// Starts the stream's numbers again from zero (RFC 6525 §5.1.2 E1, RFC 8260 §2.3.2) and
    /// lets messages go.
    pub(crate) fn restart(&mut self, id: u16) {
        if let Some(state) = self.streams.get_mut(id) {
            state.next_ordered = 0;
            state.next_unordered = 0;
        }
        self.resume(id);
    }

    /// Forgets the stream and what it has queued, but a message in progress, which is cut short.
    /// Returns that message's identity and the FSN due next.
    pub(crate) fn discard(&mut self, id: u16) -> Option<(bool, u32, u32, u32)> {
        let progress = self.streams.get(id)?.progress;
        while self
            .streams
            .get(id)
            .is_some_and(|s| !s.queue.is_empty() || s.progress.is_some())
        {
            self.drop_rest(id);
        }
        progress.map(|p| (p.unordered, p.message, p.ppid, p.number))
    }

    pub(crate) fn remove(&mut self, id: u16) {
        let _ = self.discard(id);
        self.packet_of.take_if(|of| *of == id);
        self.turns.remove(id);
        self.streams.remove(id);
    }

    /// Gives back what is not used.
    pub(crate) fn slim(&mut self) {
        for (_, stream) in self.streams.iter_mut() {
            stream.queue.shrink_to_fit();
        }
        self.streams.slim();
        self.turns.slim();
        self.drained.shrink_to_fit();
        self.emptied.shrink_to_fit();
    }

    pub(crate) fn streams(&self) -> Vec<u16> {
        self.streams.iter().map(|(id, _)| id).collect()
    }

    /// Everything is dropped: the association is over.
    pub(crate) fn clear(&mut self) {
        self.streams.clear();
        self.turns = Turns::new(self.turns.policy());
        self.locked = None;
        self.packet_of = None;
        self.bytes = 0;
        self.drained.clear();
        self.emptied.clear();
    }

    /// A peer that restarted starts all streams from zero; nothing queued is lost
    /// (RFC 9260 §5.2.4.1), but messages that were cut in two begin anew by their rest being
    /// dropped.
    pub(crate) fn restart_all(&mut self) {
        for id in self.streams() {
            let cut = self.streams.get(id).is_some_and(|s| s.progress.is_some());
            if cut {
                self.drop_rest(id);
            }
            self.restart(id);
        }
    }
}

fn note(list: &mut Vec<(u16, Drained)>, stream: u16, drained: Drained) {
    if drained != Drained::default() {
        list.push((stream, drained));
    }
}

#[cfg(test)]
#[path = "send_queue_tests.rs"]
mod tests;
