//! Frames from packets in order: what all formats share.

use std::collections::VecDeque;

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

#[derive(Debug)]
struct Done<I> {
    data: Vec<u8>,
    timestamp: u32,
    first_sequence: u64,
    last_sequence: u64,
    lost_before: u64,
    info: I,
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
    /// Whole frames. The first one was given already when `given` says so.
    done: VecDeque<Done<I>>,
    given: bool,
    spare: Vec<Vec<u8>>,
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
            done: VecDeque::new(),
            given: false,
            spare: Vec::new(),
            stats: AssemblerStats::default(),
        }
    }

    /// Whether a frame's packets are being collected.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The timestamp of the frame being collected.
    pub(crate) fn open_timestamp(&self) -> Option<u32> {
        self.open.as_ref().map(|o| o.timestamp)
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

    /// Makes the buffer empty; takes one that was used before when it went away with a frame. The
    /// one given last comes first, as it is the one in the processor's cache.
    fn renew(&mut self) {
        if self.data.capacity() == 0 {
            self.recycle_given();
            if let Some(used) = self.spare.pop() {
                self.data = used;
            }
        }
        self.data.clear();
    }

    /// Nobody looks any more at the frame given last.
    #[inline]
    fn recycle_given(&mut self) {
        if std::mem::take(&mut self.given)
            && let Some(given) = self.done.pop_front()
        {
            self.spare.push(given.data);
        }
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
    pub(crate) fn leave_units(
        &mut self,
        packet: &Input<'_>,
        taken: Result<(), ParseError>,
        fragment: &mut bool,
        kind: &'static str,
    ) -> Result<(), ParseError> {
        let unfinished = packet.marker && *fragment;
        let taken = match taken {
            Ok(()) if unfinished => Err(ParseError::Field(kind)),
            taken => taken,
        };
        if taken.is_err() {
            *fragment = false;
            self.malformed();
        }
        if taken.is_ok() || packet.marker {
            self.leave(packet, packet.marker);
        }
        taken
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
        let data = std::mem::take(&mut self.data);
        self.stats.frames += 1;
        self.recycle_given();
        // At most two frames can end in one packet; a caller who does not poll loses the oldest.
        if self.done.len() >= 2
            && let Some(lost) = self.done.pop_front()
        {
            self.spare.push(lost.data);
            self.stats.dropped_frames += 1;
        }
        self.done.push_back(Done {
            data,
            timestamp: open.timestamp,
            first_sequence: open.first_sequence,
            last_sequence,
            lost_before: std::mem::take(&mut self.lost_before),
            info: open.info,
        });
    }

    /// Octets on the heap.
    pub(crate) fn memory_usage(&self) -> usize {
        let frames = self.done.iter().map(|d| &d.data);
        let buffers = frames.chain(&self.spare).chain([&self.data]);
        buffers.map(Vec::capacity).sum::<usize>()
            + self.done.capacity() * size_of::<Done<I>>()
            + self.spare.capacity() * size_of::<Vec<u8>>()
    }

    pub(crate) fn has_frame(&self) -> bool {
        self.done.len() > usize::from(self.given)
    }

    pub(crate) fn poll(&mut self) -> Option<Frame<'_, I>> {
        self.recycle_given();
        let done = self.done.front()?;
        self.given = true;
        Some(Frame {
            data: &done.data,
            timestamp: done.timestamp,
            first_sequence: done.first_sequence,
            last_sequence: done.last_sequence,
            lost_before: done.lost_before,
            info: done.info.clone(),
        })
    }
}
