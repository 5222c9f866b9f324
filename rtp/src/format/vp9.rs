//! VP9 (RFC 9628): flexible and not, with spatial and temporal layers.

use crate::bytes_ext::{tail, u8_at, u16_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::vp8::PictureId;
use crate::format::{Depacketize, Input, Packetize, balanced};
use crate::list::ShortList;

/// Layer indices (RFC 9628 §4.2, L).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Temporal layer (TID), 0 to 7.
    pub temporal_id: u8,
    /// From here on higher temporal layers can be decoded (U).
    pub switching_up: bool,
    /// Spatial layer (SID), 0 to 7.
    pub spatial_id: u8,
    /// The frame refers to the lower spatial layer of the same picture (D).
    pub inter_layer: bool,
    /// Running number of the pictures of temporal layer 0; only without flexible mode.
    pub tl0_picture_index: Option<u8>,
}

/// A picture of a group (RFC 9628 §4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupPicture {
    /// Temporal layer, 0 to 7.
    pub temporal_id: u8,
    /// From here on higher temporal layers can be decoded.
    pub switching_up: bool,
    /// How many pictures back those are that it refers to.
    pub differences: ShortList<u8, 3>,
}

/// The scalability structure (RFC 9628 §4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalabilityStructure {
    /// How many spatial layers there are, 1 to 8.
    pub spatial_layers: u8,
    /// Width and height of each, if told.
    pub sizes: Vec<(u16, u16)>,
    /// The pictures of a group, if told; at most 255.
    pub group: Option<Vec<GroupPicture>>,
}

impl ScalabilityStructure {
    /// Octets from `at` on, without building it.
    fn measure(payload: &[u8], at: usize) -> Result<usize, ParseError> {
        require(payload.len(), at + 1)?;
        let first = u8_at(payload, at);
        let mut end = at + 1;
        if first & 0x10 != 0 {
            end += 4 * (usize::from(first >> 5) + 1);
        }
        if first & 0x08 != 0 {
            require(payload.len(), end + 1)?;
            let pictures = u8_at(payload, end);
            end += 1;
            for _ in 0..pictures {
                require(payload.len(), end + 1)?;
                end += 1 + usize::from((u8_at(payload, end) >> 2) & 3);
            }
        }
        require(payload.len(), end)?;
        Ok(end - at)
    }

    fn read(bytes: &[u8]) -> Self {
        let first = u8_at(bytes, 0);
        let layers = (first >> 5) + 1;
        let mut at = 1;
        let mut sizes = Vec::new();
        if first & 0x10 != 0 {
            for _ in 0..layers {
                sizes.push((u16_at(bytes, at), u16_at(bytes, at + 2)));
                at += 4;
            }
        }
        let group = (first & 0x08 != 0).then(|| {
            let count = u8_at(bytes, at);
            at += 1;
            let mut pictures = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let octet = u8_at(bytes, at);
                at += 1;
                let mut differences = ShortList::new();
                for _ in 0..(octet >> 2) & 3 {
                    let _fits_three = differences.push(u8_at(bytes, at));
                    at += 1;
                }
                pictures.push(GroupPicture {
                    temporal_id: octet >> 5,
                    switching_up: octet & 0x10 != 0,
                    differences,
                });
            }
            pictures
        });
        Self {
            spatial_layers: layers,
            sizes,
            group,
        }
    }

    /// Appends the structure.
    ///
    /// # Errors
    /// [`WriteError::Field`] when counts do not fit together; nothing is written.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if !(1..=8).contains(&self.spatial_layers) {
            return Err(WriteError::Field("spatial layers"));
        }
        if !self.sizes.is_empty() && self.sizes.len() != usize::from(self.spatial_layers) {
            return Err(WriteError::Field("sizes"));
        }
        if self.group.as_ref().is_some_and(|g| g.len() > 255) {
            return Err(WriteError::Field("group"));
        }
        out.push(
            ((self.spatial_layers - 1) << 5)
                | (u8::from(!self.sizes.is_empty()) << 4)
                | (u8::from(self.group.is_some()) << 3),
        );
        for (width, height) in &self.sizes {
            out.extend_from_slice(&width.to_be_bytes());
            out.extend_from_slice(&height.to_be_bytes());
        }
        if let Some(group) = &self.group {
            out.push(group.len() as u8);
            for picture in group {
                out.push(
                    ((picture.temporal_id & 7) << 5)
                        | (u8::from(picture.switching_up) << 4)
                        | ((picture.differences.len() as u8) << 2),
                );
                out.extend_from_slice(&picture.differences);
            }
        }
        Ok(())
    }
}

/// The payload descriptor (RFC 9628 §4.2), without the scalability structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Number of the picture (I).
    pub picture_id: Option<PictureId>,
    /// The picture refers to another one (P).
    pub inter_picture: bool,
    /// Layers (L).
    pub layers: Option<Layers>,
    /// How many pictures back those are that it refers to, 1 to 127; `Some` is flexible mode (F).
    pub differences: Option<ShortList<u8, 3>>,
    /// The payload begins a frame of one spatial layer (B).
    pub start_of_frame: bool,
    /// The payload ends a frame of one spatial layer (E).
    pub end_of_frame: bool,
    /// No frame of a higher spatial layer of the same picture refers to this one (Z).
    pub not_for_higher_layers: bool,
}

/// A payload taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The descriptor.
    pub descriptor: Descriptor,
    structure: &'a [u8],
    /// The octets of VP9.
    pub data: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// [`ParseError`] when it ends within the descriptor or right after it, or when references go
    /// on beyond three.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        require(payload.len(), 1)?;
        let first = u8_at(payload, 0);
        let flexible = first & 0x10 != 0;
        let mut d = Descriptor {
            inter_picture: first & 0x40 != 0,
            start_of_frame: first & 0x08 != 0,
            end_of_frame: first & 0x04 != 0,
            not_for_higher_layers: first & 0x01 != 0,
            ..Descriptor::default()
        };
        let mut at = 1;
        if first & 0x80 != 0 {
            let (id, len) = PictureId::read(payload, at)?;
            d.picture_id = Some(id);
            at += len;
        }
        if first & 0x20 != 0 {
            require(payload.len(), at + 1)?;
            let octet = u8_at(payload, at);
            at += 1;
            let mut layers = Layers {
                temporal_id: octet >> 5,
                switching_up: octet & 0x10 != 0,
                spatial_id: (octet >> 1) & 7,
                inter_layer: octet & 1 != 0,
                tl0_picture_index: None,
            };
            if !flexible {
                require(payload.len(), at + 1)?;
                layers.tl0_picture_index = Some(u8_at(payload, at));
                at += 1;
            }
            d.layers = Some(layers);
        }
        if flexible {
            let mut differences = ShortList::new();
            let mut more = d.inter_picture;
            while more {
                require(payload.len(), at + 1)?;
                let octet = u8_at(payload, at);
                differences
                    .push(octet >> 1)
                    .map_err(|_| ParseError::Field("P_DIFF"))?;
                more = octet & 1 != 0;
                at += 1;
            }
            d.differences = Some(differences);
        }
        let mut structure: &[u8] = &[];
        if first & 0x02 != 0 {
            let len = ScalabilityStructure::measure(payload, at)?;
            structure = tail(payload, at).get(..len).unwrap_or(&[]);
            at += len;
        }
        require(payload.len(), at + 1)?;
        Ok(Self {
            descriptor: d,
            structure,
            data: tail(payload, at),
        })
    }

    /// The scalability structure, if there is one.
    pub fn structure(&self) -> Option<ScalabilityStructure> {
        (!self.structure.is_empty()).then(|| ScalabilityStructure::read(self.structure))
    }
}

impl Descriptor {
    /// Whether a payload with this descriptor begins a picture that refers to no other: a key frame
    /// when the lowest spatial layer is new as well.
    pub fn begins_key_picture(&self) -> bool {
        let lowest = self.layers.is_none_or(|l| l.spatial_id == 0);
        self.start_of_frame && !self.inter_picture && lowest
    }

    fn write(&self, structure: Option<&ScalabilityStructure>, out: &mut Vec<u8>) {
        let flexible = self.differences.is_some();
        let first = (u8::from(self.picture_id.is_some()) << 7)
            | (u8::from(self.inter_picture) << 6)
            | (u8::from(self.layers.is_some()) << 5)
            | (u8::from(flexible) << 4)
            | (u8::from(self.start_of_frame) << 3)
            | (u8::from(self.end_of_frame) << 2)
            | (u8::from(structure.is_some()) << 1)
            | u8::from(self.not_for_higher_layers);
        out.push(first);
        if let Some(id) = self.picture_id {
            id.write(out);
        }
        if let Some(l) = self.layers {
            out.push(
                ((l.temporal_id & 7) << 5)
                    | (u8::from(l.switching_up) << 4)
                    | ((l.spatial_id & 7) << 1)
                    | u8::from(l.inter_layer),
            );
            if !flexible {
                out.push(l.tl0_picture_index.unwrap_or(0));
            }
        }
        if let Some(differences) = &self.differences
            && self.inter_picture
        {
            for (i, difference) in differences.iter().enumerate() {
                let more = u8::from(i + 1 < differences.len());
                out.push((difference << 1) | more);
            }
        }
        if let Some(structure) = structure {
            // Checked when the packetizer was made.
            let _checked = structure.write(out);
        }
    }

    fn check(&self) -> Result<(), WriteError> {
        match &self.differences {
            // §4.2: P without a reference, or references without P, cannot be written.
            Some(d) if self.inter_picture == d.is_empty() || d.iter().any(|n| *n > 127) => {
                Err(WriteError::Field("differences"))
            }
            // Flexible mode needs the picture's number.
            Some(_) if self.picture_id.is_none() => Err(WriteError::Field("picture_id")),
            _ => Ok(()),
        }
    }
}

/// What is told of a VP9 frame: one spatial layer of one picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Whether it belongs to a key picture: nothing before it is referred to.
    pub key_frame: bool,
    /// Whether it is the last of its picture.
    pub end_of_picture: bool,
    /// The descriptor of its first packet: picture number, layers, dependencies.
    pub descriptor: Descriptor,
    /// The scalability structure it came with.
    pub structure: Option<ScalabilityStructure>,
}

impl Info {
    /// Whether it refers to the lower spatial layer of its picture (RFC 9628 §4.2, D).
    pub const fn refers_below(&self) -> bool {
        match self.descriptor.layers {
            Some(layers) => layers.spatial_id > 0 && layers.inter_layer,
            None => false,
        }
    }
}

/// Makes VP9 frames of packets: one a spatial layer. The frames of a picture, one after the other,
/// are what a decoder wants.
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

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if !self.frames.arrive(packet) || packet.payload.is_empty() {
            return Ok(());
        }
        let payload = match Payload::parse(packet.payload) {
            Ok(payload) => payload,
            Err(error) => {
                self.frames.malformed();
                return Err(error);
            }
        };
        let start = if payload.descriptor.start_of_frame {
            Start::Yes
        } else {
            Start::No
        };
        let info = Info {
            key_frame: !payload.descriptor.inter_picture,
            end_of_picture: packet.marker,
            descriptor: payload.descriptor,
            structure: payload.structure(),
        };
        if self.frames.enter(packet, start, info) {
            self.frames.data().extend_from_slice(payload.data);
            if packet.marker
                && let Some(info) = self.frames.info()
            {
                info.end_of_picture = true;
            }
        }
        let ends = payload.descriptor.end_of_frame || packet.marker;
        self.frames.leave(packet, ends);
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

/// Cuts the frame of one spatial layer into payloads of about equal size.
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    rest: &'f [u8],
    descriptor: Descriptor,
    structure: Option<&'f ScalabilityStructure>,
    last_of_picture: bool,
    max: usize,
    first_max: usize,
    first: bool,
}

impl<'f> Packetizer<'f> {
    /// Payloads of at most `max_payload` octets for `frame`, one spatial layer of a picture;
    /// `descriptor` says all but B and E. `structure` goes with the first. With `last_of_picture`
    /// the last payload gets the marker.
    ///
    /// # Errors
    /// [`WriteError::Field`] when `max_payload` has no room for any of the frame, the frame is
    /// empty, or the descriptor contradicts itself.
    pub fn new(
        frame: &'f [u8],
        descriptor: &Descriptor,
        structure: Option<&'f ScalabilityStructure>,
        last_of_picture: bool,
        max_payload: usize,
    ) -> Result<Self, WriteError> {
        descriptor.check()?;
        if frame.is_empty() {
            return Err(WriteError::Field("frame"));
        }
        let mut probe = Vec::new();
        if let Some(structure) = structure {
            structure.write(&mut probe)?;
            probe.clear();
        }
        let room = |with: Option<&ScalabilityStructure>, probe: &mut Vec<u8>| {
            probe.clear();
            descriptor.write(with, probe);
            max_payload
                .checked_sub(probe.len())
                .filter(|m| *m > 0)
                .ok_or(WriteError::Field("max_payload"))
        };
        Ok(Self {
            rest: frame,
            descriptor: *descriptor,
            structure,
            last_of_picture,
            max: room(None, &mut probe)?,
            first_max: room(structure, &mut probe)?,
            first: true,
        })
    }
}

impl Packetize for Packetizer<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        if self.rest.is_empty() {
            return None;
        }
        let first = std::mem::take(&mut self.first);
        let take = if first {
            balanced(self.rest.len(), self.max).min(self.first_max)
        } else {
            balanced(self.rest.len(), self.max)
        };
        let (part, rest) = self.rest.split_at_checked(take)?;
        self.descriptor.start_of_frame = first;
        self.descriptor.end_of_frame = rest.is_empty();
        let structure = self.structure.filter(|_| first);
        self.descriptor.write(structure, out);
        out.extend_from_slice(part);
        self.rest = rest;
        Some(rest.is_empty() && self.last_of_picture)
    }
}
