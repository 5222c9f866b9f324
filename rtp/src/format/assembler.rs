//! Frames from packets in order: what all formats share.

use crate::error::ParseError;
use crate::format::Input;
use crate::limits::MAX_FRAME;

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a, I> {
    /// The encoded frame, as an encoder made it.
    pub data: &'a [u8],
    /// Its media timestamp.
    pub timestamp: u32,
    /// Unwrapped sequence number of its first packet.
    pub first_sequence: u64,
    /// Unwrapped sequence number of its last packet.
    pub last_sequence: u64,
    /// Packets missing, and frames dropped for it, between the frame given before and this one:
    /// when not zero, what this frame refers to may be missing.
    pub lost_before: u64,
    /// What the format tells of it.
    pub info: I,
}

/// Counts of a depacketizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblerStats {
    /// Whole frames given.
    pub frames: u64,
    /// Frames dropped because a packet was missing or wrong.
    pub dropped_frames: u64,
    /// Packets missing.
    pub lost_packets: u64,
    /// Packets that came again or too late.
    pub late_packets: u64,
    /// Payloads that were none of the format.
    pub malformed_packets: u64,
}

/// What a payload says about where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It begins one.
    Yes,
    /// It goes on with one.
    No,
    /// It does not say: it begins one if the packet before ended one.
    Unknown,
}

/// Room for a whole frame.
#[derive(Debug)]
struct Done<I> {
    data: Vec<u8>,
    timestamp: u32,
    first_sequence: u64,
    last_sequence: u64,
    lost_before: u64,
    info: Option<I>,
}

impl<I> Done<I> {
    const fn new() -> Self {
        Self {
            data: Vec::new(),
            timestamp: 0,
            first_sequence: 0,
            last_sequence: 0,
            lost_before: 0,
            info: None,
        }
    }
}

/// Whole frames in order. They stay where they are written until others take their room: moving
/// them about costs as much as putting a small one together.
#[derive(Debug)]
struct Queue<I> {
    /// At most two frames can end in one packet.
    rooms: [Done<I>; 2],
    /// The room of the oldest frame.
    first: usize,
    len: usize,
    /// The oldest frame was given already, and may still be looked at.
    given: bool,
}

impl<I> Queue<I> {
    const fn new() -> Self {
        Self {
            rooms: [Done::new(), Done::new()],
            first: 0,
            len: 0,
            given: false,
        }
    }

    fn room(&mut self, at: usize) -> Option<&mut Done<I>> {
        self.rooms.get_mut((self.first + at) % 2)
    }

    /// Nobody looks any more at the frame given last.
    #[inline]
    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.forget();
        }
    }

    /// Without the oldest. The last one's room is the next one's: it is in the processor's cache.
    fn forget(&mut self) {
        self.len = self.len.saturating_sub(1);
        if self.len > 0 {
            self.first = (self.first + 1) % 2;
        }
    }
}

#[derive(Debug)]
struct Open<I> {
    timestamp: u32,
    first_sequence: u64,
    info: I,
}

/// Collects the packets of one frame after the other.
#[derive(Debug)]
pub(crate) struct Assembler<I> {
    open: Option<Open<I>>,
    data: Vec<u8>,
    last: Option<(u64, u32)>,
    /// The packet before is known to have ended its frame.
    boundary: bool,
    lost_before: u64,
    /// The frame that the packet before belongs to was dropped already.
    dropping: bool,
    done: Queue<I>,
    pub(crate) stats: AssemblerStats,
}

impl<I: Clone> Assembler<I> {
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            data: Vec::new(),
            last: None,
            boundary: false,
            lost_before: 0,
            dropping: false,
            done: Queue::new(),
            stats: AssemblerStats::default(),
        }
    }

    /// Whether a frame's packets are being collected.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The info of the frame being collected.
    pub(crate) fn info(&mut self) -> Option<&mut I> {
        self.open.as_mut().map(|o| &mut o.info)
    }

    /// Where the frame's octets go.
    #[inline]
    pub(crate) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Notes that a packet came. False when it is a duplicate or too late. Drops the open frame
    /// when packets before this one are missing; ends it when the timestamp changed.
    #[inline]
    pub(crate) fn arrive(&mut self, packet: &Input<'_>) -> bool {
        if let Some((last, timestamp)) = self.last {
            if packet.sequence <= last {
                self.stats.late_packets += 1;
                return false;
            }
            let missing = packet.sequence - last - 1;
            if missing > 0 || timestamp != packet.timestamp {
                self.turn(packet, missing, last, timestamp);
            }
        }
        self.last = Some((packet.sequence, packet.timestamp));
        true
    }

    /// As [`arrive`](Self::arrive), where `cut` says that the packet before left a unit unfinished: a frame that ends
    /// there without a marker is not whole.
    #[inline]
    pub(crate) fn arrive_after(&mut self, packet: &Input<'_>, cut: bool) -> bool {
        if cut
            && let Some((last, timestamp)) = self.last
            && packet.sequence > last
            && packet.timestamp != timestamp
        {
            self.drop_open();
        }
        self.arrive(packet)
    }

    /// The packets up to `sequence` that did not come here are of other formats: nothing is missing.
    #[inline]
    pub(crate) fn skip(&mut self, sequence: u64) {
        if let Some((last, _)) = &mut self.last {
            *last = sequence.max(*last);
        }
    }

    /// Packets are missing before this one, or it is of another time than the one before.
    #[inline(never)]
    fn turn(&mut self, packet: &Input<'_>, missing: u64, last: u64, timestamp: u32) {
        if missing > 0 {
            self.stats.lost_packets += missing;
            self.lost_before += missing;
            self.drop_open();
            self.boundary = false;
        } else if !self.boundary {
            // No marker, but nothing missing either: the frame is whole (AV1 RTP §4.2).
            self.finish(last);
            self.boundary = true;
        }
        if timestamp != packet.timestamp {
            self.dropping = false;
        }
    }

    /// As [`enter_with`](Self::enter_with) with an info that is there already.
    pub(crate) fn enter(&mut self, packet: &Input<'_>, start: Start, info: I) -> bool {
        self.enter_with(packet, start, || info)
    }

    /// Opens a frame for the packet that arrived, or goes on with the open one. False when the
    /// packet belongs to a frame whose beginning is missing.
    #[inline]
    pub(crate) fn enter_with(
        &mut self,
        packet: &Input<'_>,
        start: Start,
        info: impl FnOnce() -> I,
    ) -> bool {
        (start != Start::Yes && self.open.is_some()) || self.begin(packet, start, info)
    }

    fn begin(&mut self, packet: &Input<'_>, start: Start, info: impl FnOnce() -> I) -> bool {
        if self.open.is_some() {
            self.finish(packet.sequence - 1);
        }
        let begins = match start {
            Start::Yes => true,
            Start::No => false,
            Start::Unknown => self.boundary,
        };
        if !begins {
            if !self.dropping {
                self.dropping = true;
                self.stats.dropped_frames += 1;
                self.lost_before += 1;
            }
            return false;
        }
        self.dropping = false;
        self.boundary = false;
        self.renew();
        self.open = Some(Open {
            timestamp: packet.timestamp,
            first_sequence: packet.sequence,
            info: info(),
        });
        true
    }

    /// Makes the buffer empty; takes the one that went away with the frame given last, as it is the
    /// one in the processor's cache.
    fn renew(&mut self) {
        self.done.forget_given();
        if self.done.len == 0
            && let Some(room) = self.done.room(0)
        {
            std::mem::swap(&mut self.data, &mut room.data);
        }
        self.data.clear();
    }

    /// Ends a packet's part: with `ends` the frame is whole.
    #[inline]
    pub(crate) fn leave(&mut self, packet: &Input<'_>, ends: bool) {
        if self.data.len() > MAX_FRAME {
            self.drop_open();
        }
        if ends {
            self.finish(packet.sequence);
            self.boundary = true;
            self.dropping = false;
        }
    }

    /// As [`leave`](Self::leave), where a frame is made of NAL units and the packet belongs to one
    /// that is open: `taken` says whether the payload was one, `fragment` whether it left a NAL unit
    /// unfinished, which the last packet must not (`kind` names the fragment).
    #[inline]
    pub(crate) fn leave_units(
        &mut self,
        packet: &Input<'_>,
        taken: Result<(), ParseError>,
        fragment: &mut bool,
        kind: &'static str,
    ) -> Result<(), ParseError> {
        let unfinished = packet.marker && *fragment;
        if taken.is_ok() && !unfinished {
            self.leave(packet, packet.marker);
            return Ok(());
        }
        *fragment = false;
        self.malformed();
        if packet.marker {
            self.leave(packet, true);
        }
        taken.and(Err(ParseError::Field(kind)))
    }

    /// The payload is wrong: the frame is dropped.
    pub(crate) fn malformed(&mut self) {
        self.stats.malformed_packets += 1;
        self.drop_open();
        self.boundary = false;
        if !self.dropping {
            self.dropping = true;
            self.stats.dropped_frames += 1;
            self.lost_before += 1;
        }
    }

    /// Drops the open frame.
    #[cold]
    pub(crate) fn drop_open(&mut self) {
        if self.open.take().is_some() {
            self.dropping = true;
            self.stats.dropped_frames += 1;
            self.lost_before += 1;
        }
        self.data.clear();
    }

    fn finish(&mut self, last_sequence: u64) {
        let Some(open) = self.open.take() else { return };
        self.stats.frames += 1;
        self.done.forget_given();
        // A caller who does not poll loses the oldest.
        if self.done.len == 2 {
            self.done.forget();
            self.stats.dropped_frames += 1;
        }
        if let Some(room) = self.done.room(self.done.len) {
            std::mem::swap(&mut self.data, &mut room.data);
            room.timestamp = open.timestamp;
            room.first_sequence = open.first_sequence;
            room.last_sequence = last_sequence;
            room.lost_before = std::mem::take(&mut self.lost_before);
            room.info = Some(open.info);
            self.done.len += 1;
        }
    }

    /// Octets on the heap.
    pub(crate) fn memory_usage(&self) -> usize {
        let rooms = self.done.rooms.iter().map(|room| &room.data);
        rooms.chain([&self.data]).map(Vec::capacity).sum()
    }

    pub(crate) fn has_frame(&self) -> bool {
        self.done.len > usize::from(self.done.given)
    }

    pub(crate) fn poll(&mut self) -> Option<Frame<'_, I>> {
        self.done.forget_given();
        if self.done.len == 0 {
            return None;
        }
        self.done.given = true;
        let done = self.done.room(0)?;
        Some(Frame {
            data: &done.data,
            timestamp: done.timestamp,
            first_sequence: done.first_sequence,
            last_sequence: done.last_sequence,
            lost_before: done.lost_before,
            info: done.info.clone()?,
        })
    }
}
