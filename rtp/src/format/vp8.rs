//! VP8 (RFC 7741).

use crate::bytes_ext::{put, u8_at, u16_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::{Depacketize, Input, Packetize, balanced};

/// The payload descriptor (RFC 7741 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// No other frame refers to this one (N).
    pub non_reference: bool,
    /// The payload begins a partition (S).
    pub start_of_partition: bool,
    /// The partition (PID), 0 to 7.
    pub partition: u8,
    /// Number of the picture.
    pub picture_id: Option<PictureId>,
    /// Running number of the frames of temporal layer 0 (TL0PICIDX).
    pub tl0_picture_index: Option<u8>,
    /// Temporal layer (TID) 0 to 3, and whether it depends on layer 0 only (Y).
    pub temporal: Option<(u8, bool)>,
    /// Temporal key frame index (KEYIDX), 0 to 31.
    pub key_index: Option<u8>,
}

/// A picture's number (RFC 7741 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureId {
    /// Seven bits.
    Short(u8),
    /// Fifteen bits.
    Long(u16),
}

impl PictureId {
    /// The number.
    pub const fn get(self) -> u16 {
        match self {
            Self::Short(n) => n as u16,
            Self::Long(n) => n,
        }
    }

    /// The following number, in the same width.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Short(n) => Self::Short((n + 1) & 0x7f),
            Self::Long(n) => Self::Long((n + 1) & 0x7fff),
        }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(n) => out.push(n & 0x7f),
            Self::Long(n) => out.extend_from_slice(&(n | 0x8000).to_be_bytes()),
        }
    }

    /// Reads one; returns it and its octets.
    pub(crate) fn read(bytes: &[u8], at: usize) -> Result<(Self, usize), ParseError> {
        require(bytes.len(), at + 1)?;
        let first = u8_at(bytes, at);
        if first & 0x80 == 0 {
            return Ok((Self::Short(first), 1));
        }
        require(bytes.len(), at + 2)?;
        Ok((Self::Long(u16_at(bytes, at) & 0x7fff), 2))
    }
}

impl Descriptor {
    /// Reads the descriptor; returns it and the octets of VP8 behind it.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] when the payload ends within it, or right after it.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        // The layouts that libwebrtc writes, at known places: a long picture number, alone or with
        // TL0PICIDX and TID.
        if let Some(&[first, extension, high, low, index, layers, ..]) = payload.first_chunk::<8>()
            && first & extension & high & 0x80 != 0
        {
            let base = Self {
                non_reference: first & 0x20 != 0,
                start_of_partition: first & 0x10 != 0,
                partition: first & 0x07,
                picture_id: Some(PictureId::Long(u16::from_be_bytes([high, low]) & 0x7fff)),
                ..Self::default()
            };
            match (extension & 0xf0, payload.get(4..), payload.get(6..)) {
                (0x80, Some(frame), _) => return Ok((base, frame)),
                (0xe0, _, Some(frame)) => {
                    let with_layers = Self {
                        tl0_picture_index: Some(index),
                        temporal: Some((layers >> 6, layers & 0x20 != 0)),
                        ..base
                    };
                    return Ok((with_layers, frame));
                }
                _ => {}
            }
        }
        let view = DescriptorView::parse(payload)?;
        Ok((view.to_descriptor(), view.frame()))
    }

    /// Whether a payload with this descriptor begins a frame.
    pub const fn begins_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }

    /// Appends the descriptor.
    pub fn write(&self, out: &mut Vec<u8>) {
        let extension = (u8::from(self.picture_id.is_some()) << 7)
            | (u8::from(self.tl0_picture_index.is_some()) << 6)
            | (u8::from(self.temporal.is_some()) << 5)
            | (u8::from(self.key_index.is_some()) << 4);
        let first = (u8::from(extension != 0) << 7)
            | (u8::from(self.non_reference) << 5)
            | (u8::from(self.start_of_partition) << 4)
            | (self.partition & 7);
        out.push(first);
        if extension == 0 {
            return;
        }
        out.push(extension);
        if let Some(id) = self.picture_id {
            id.write(out);
        }
        if let Some(index) = self.tl0_picture_index {
            out.push(index);
        }
        if extension & 0x30 != 0 {
            let (layer, sync) = self.temporal.unwrap_or_default();
            let key = self.key_index.unwrap_or_default();
            out.push(((layer & 3) << 6) | (u8::from(sync) << 5) | (key & 0x1f));
        }
    }

    /// Octets that [`write`](Self::write) appends.
    pub fn encoded_len(&self) -> usize {
        let id = match self.picture_id {
            None => 0,
            Some(PictureId::Short(_)) => 1,
            Some(PictureId::Long(_)) => 2,
        };
        let rest = id
            + usize::from(self.tl0_picture_index.is_some())
            + usize::from(self.temporal.is_some() || self.key_index.is_some());
        if rest == 0 { 1 } else { 2 + rest }
    }
}

/// A payload descriptor as it came: its length is checked once, its fields are read when asked for.
/// What a forwarding server needs of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorView<'a> {
    /// The first eight octets of the payload, the first one lowest, zeros beyond its end; all but
    /// the first are zeros where there are no flags in the second (X).
    word: u64,
    /// From TL0PICIDX on, or from where it would be.
    after_picture: u64,
    frame: &'a [u8],
}

impl<'a> DescriptorView<'a> {
    /// Looks at a payload.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] when the payload ends within the descriptor, or right after it.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let octets = match payload.first_chunk::<8>() {
            Some(octets) => u64::from_le_bytes(*octets),
            None => short_word(payload),
        };
        // X, I, L, T, K, and M in the third octet. A descriptor has at most six octets.
        let (word, before, len) = if octets & 0x80 != 0 {
            let picture = octets >> 15 & 1;
            let before = 2 + picture + (octets >> 23 & picture);
            let layers = u64::from(octets & 0x3000 != 0);
            (octets, before, before + (octets >> 14 & 1) + layers)
        } else {
            (octets & 0xff, 1, 1)
        };
        let len = len as usize;
        match payload.get(len..) {
            Some(frame) if !frame.is_empty() => Ok(Self {
                word,
                after_picture: word >> (8 * before),
                frame,
            }),
            _ => Err(ParseError::Truncated {
                needed: len + 1,
                available: payload.len(),
            }),
        }
    }

    #[inline]
    const fn octet(&self, at: usize) -> u8 {
        (self.word >> (8 * at)) as u8
    }

    /// The flags of the second octet, none set where there is no such octet.
    #[inline]
    const fn extension(&self) -> u8 {
        self.octet(1)
    }

    /// The octet of TID, Y and KEYIDX, if it is there.
    #[inline]
    const fn layers(&self) -> u8 {
        (self.after_picture >> (8 * (self.word >> 14 & 1))) as u8
    }

    /// The octets of VP8 behind the descriptor, at least one.
    #[inline]
    pub const fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// Whether the payload begins a frame.
    #[inline]
    pub const fn begins_frame(&self) -> bool {
        // S, and PID 0.
        self.octet(0) & 0x17 == 0x10
    }

    /// Number of the picture.
    #[inline]
    pub const fn picture_id(&self) -> Option<PictureId> {
        if self.extension() & 0x80 == 0 {
            None
        } else if self.octet(2) & 0x80 == 0 {
            Some(PictureId::Short(self.octet(2)))
        } else {
            Some(PictureId::Long(
                u16::from_be_bytes([self.octet(2), self.octet(3)]) & 0x7fff,
            ))
        }
    }

    /// Running number of the frames of temporal layer 0 (TL0PICIDX).
    #[inline]
    pub const fn tl0_picture_index(&self) -> Option<u8> {
        if self.extension() & 0x40 == 0 {
            return None;
        }
        Some(self.after_picture as u8)
    }

    /// Temporal layer (TID) 0 to 3, and whether it depends on layer 0 only (Y).
    #[inline]
    pub const fn temporal(&self) -> Option<(u8, bool)> {
        if self.extension() & 0x20 == 0 {
            return None;
        }
        let layers = self.layers();
        Some((layers >> 6, layers & 0x20 != 0))
    }

    /// Temporal key frame index (KEYIDX), 0 to 31.
    #[inline]
    pub const fn key_index(&self) -> Option<u8> {
        if self.extension() & 0x10 == 0 {
            return None;
        }
        Some(self.layers() & 0x1f)
    }

    /// All fields.
    #[inline]
    pub fn to_descriptor(&self) -> Descriptor {
        let first = self.octet(0);
        let extension = self.extension();
        let layers = self.layers();
        Descriptor {
            non_reference: first & 0x20 != 0,
            start_of_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id: self.picture_id(),
            tl0_picture_index: self.tl0_picture_index(),
            temporal: (extension & 0x20 != 0).then_some((layers >> 6, layers & 0x20 != 0)),
            key_index: (extension & 0x10 != 0).then_some(layers & 0x1f),
        }
    }
}

/// Up to eight octets from the lowest on, zeros after them.
#[cold]
fn short_word(octets: &[u8]) -> u64 {
    let mut word = [0; 8];
    put(&mut word, 0, octets);
    u64::from_le_bytes(word)
}

/// What the first octets of a VP8 frame tell (RFC 6386 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether it is a key frame.
    pub key_frame: bool,
    /// Width and height of a key frame.
    pub size: Option<(u16, u16)>,
}

impl FrameHeader {
    /// Looks at the first octets of a frame.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let key_frame = frame.first()? & 1 == 0;
        let marked = frame.get(3..6) == Some(&[0x9d, 0x01, 0x2a]);
        let size = frame
            .get(6..)
            .and_then(|b| b.first_chunk::<4>())
            .filter(|_| key_frame && marked)
            .map(|b| {
                let width = u16::from_le_bytes([b[0], b[1]]) & 0x3fff;
                (width, u16::from_le_bytes([b[2], b[3]]) & 0x3fff)
            });
        Some(Self { key_frame, size })
    }
}

/// What is told of a VP8 frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Whether it is a key frame.
    pub key_frame: bool,
    /// The descriptor of its first packet: picture number, layers, dependencies.
    pub descriptor: Descriptor,
}

/// Makes VP8 frames of packets.
#[derive(Debug)]
pub struct Depacketizer {
    frames: Assembler<Info>,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Depacketizer {
    /// A depacketizer that has seen nothing.
    pub fn new() -> Self {
        Self {
            frames: Assembler::new(),
        }
    }
}

impl Depacketize for Depacketizer {
    type Info = Info;

    #[inline]
    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if !self.frames.arrive(packet) || packet.payload.is_empty() {
            return Ok(());
        }
        let view = match DescriptorView::parse(packet.payload) {
            Ok(view) => view,
            Err(error) => {
                self.frames.malformed();
                return Err(error);
            }
        };
        let start = if view.begins_frame() {
            Start::Yes
        } else {
            Start::No
        };
        let info = || Info {
            key_frame: u8_at(view.frame(), 0) & 1 == 0,
            descriptor: view.to_descriptor(),
        };
        if self.frames.enter_with(packet, start, info) {
            self.frames.data().extend_from_slice(view.frame());
        }
        self.frames.leave(packet, packet.marker);
        Ok(())
    }

    fn skip(&mut self, sequence: u64) {
        self.frames.skip(sequence);
    }

    fn has_frame(&self) -> bool {
        self.frames.has_frame()
    }

    fn poll_frame(&mut self) -> Option<Frame<'_, Info>> {
        self.frames.poll()
    }

    fn stats(&self) -> AssemblerStats {
        self.frames.stats
    }

    fn memory_usage(&self) -> usize {
        self.frames.memory_usage()
    }
}

/// Cuts a VP8 frame into payloads of about equal size. All of it counts as partition 0, as
/// RFC 7741 §4.4 allows and everybody does.
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    rest: &'f [u8],
    descriptor: Descriptor,
    max: usize,
    first: bool,
}

impl<'f> Packetizer<'f> {
    /// Payloads of at most `max_payload` octets for `frame`; `descriptor` says all but S and PID.
    ///
    /// # Errors
    /// [`WriteError::Field`] when `max_payload` has no room for any of the frame, or the frame is
    /// empty.
    pub fn new(
        frame: &'f [u8],
        descriptor: &Descriptor,
        max_payload: usize,
    ) -> Result<Self, WriteError> {
        let max = max_payload
            .checked_sub(descriptor.encoded_len())
            .filter(|m| *m > 0)
            .ok_or(WriteError::Field("max_payload"))?;
        if frame.is_empty() {
            return Err(WriteError::Field("frame"));
        }
        let descriptor = Descriptor {
            partition: 0,
            ..*descriptor
        };
        Ok(Self {
            rest: frame,
            descriptor,
            max,
            first: true,
        })
    }
}

impl Packetize for Packetizer<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        if self.rest.is_empty() {
            return None;
        }
        self.descriptor.start_of_partition = std::mem::take(&mut self.first);
        self.descriptor.write(out);
        let (part, rest) = self
            .rest
            .split_at_checked(balanced(self.rest.len(), self.max))?;
        out.extend_from_slice(part);
        self.rest = rest;
        Some(rest.is_empty())
    }
}
