//! Payload formats, both ways: encoded frames into packets' payloads, and payloads into whole
//! frames.
//!
//! **Out**: each format has a packetizer that walks over one encoded frame and appends one payload
//! a call to the caller's buffer, behind the header that a
//! [`PacketWriter`](crate::PacketWriter) wrote.
//!
//! **In**: each format has a depacketizer that takes packets in order of their sequence numbers (a
//! [`ReorderBuffer`](crate::receive::ReorderBuffer) brings them into it) and gives frames. A frame
//! comes out only when all its packets went in: where packets are missing it is dropped and counted.
//!
//! ```
//! use tincan_rtp::format::{Depacketize, Input, Packetize, vp8};
//!
//! let frame = vec![0x10; 3000]; // the first octet says "key frame" (RFC 6386 §9.1)
//! let mut packetizer = vp8::Packetizer::new(&frame, &vp8::Descriptor::default(), 1200)?;
//! let mut depacketizer = vp8::Depacketizer::new();
//! let mut payload = Vec::new();
//! let mut sequence = 0;
//! while let Some(last) = packetizer.write_next(&mut payload) {
//!     let input = Input { sequence, timestamp: 90_000, marker: last, payload: &payload };
//!     depacketizer.push(&input).unwrap();
//!     sequence += 1;
//!     payload.clear();
//! }
//! let whole = depacketizer.poll_frame().unwrap();
//! assert_eq!(whole.data, frame);
//! assert!(whole.info.key_frame);
//! # Ok::<(), tincan_rtp::WriteError>(())
//! ```

mod any;
mod assembler;
pub mod audio;
pub mod av1;
pub mod comfort_noise;
pub mod h264;
pub mod h265;
pub mod h265_order;
pub mod nal;
pub mod opus;
pub mod red;
pub mod telephone_event;
pub mod vp8;
pub mod vp9;

pub use any::{AnyDepacketizer, FrameInfo};
pub use assembler::{AssemblerStats, Frame};

use crate::error::ParseError;

/// One packet for a depacketizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The sequence number, unwrapped: [`SequenceUnwrapper`](crate::SequenceUnwrapper). Must grow;
    /// what comes again or too late is ignored.
    pub sequence: u64,
    /// The media timestamp.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// Turns packets in order into whole frames.
pub trait Depacketize {
    /// What the format tells of a frame beside its octets.
    type Info;

    /// Takes one packet. Frames it completes are given by [`poll_frame`](Self::poll_frame), to be
    /// called until it gives none; at most two are kept.
    ///
    /// # Errors
    /// [`ParseError`] for a payload that is none of the format; the frame it belongs to is dropped.
    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError>;

    /// The packets up to this number that were not given to it are of other formats: none of them is missing here.
    fn skip(&mut self, sequence: u64);

    /// Whether [`poll_frame`](Self::poll_frame) will give a frame.
    fn has_frame(&self) -> bool;

    /// The next whole frame, in order.
    fn poll_frame(&mut self) -> Option<Frame<'_, Self::Info>>;

    /// What was received and dropped so far.
    fn stats(&self) -> AssemblerStats;

    /// Octets of memory that frames under way, whole ones and kept buffers take beyond the value itself: at most a few
    /// times [`MAX_FRAME`](crate::limits::MAX_FRAME).
    fn memory_usage(&self) -> usize;
}

/// Cuts one frame into payloads.
pub trait Packetize {
    /// Appends the next payload to `out`. Returns whether it is the frame's last (its packet gets
    /// the marker); `None`, and nothing appended, when the frame is done.
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool>;
}

/// How many octets the next of several parts of about equal size has: `left` octets in parts of at
/// most `max`.
pub(crate) fn balanced(left: usize, max: usize) -> usize {
    let parts = left.div_ceil(max.max(1)).max(1);
    left.div_ceil(parts)
}
