//! The dependency descriptor (AV1 RTP payload format, appendix A): what a frame depends on and who
//! needs it, told outside of the payload.
//!
//! A descriptor alone says little: it refers to a structure sent with a key frame. A
//! [`DependencyReader`] keeps that, a [`DependencyWriter`] makes it.

use crate::bits::{BitReader, BitWriter};
use crate::bytes_ext::{tail, u8_at, u16_at};
use crate::error::{ParseError, WriteError, require};
use crate::extension::{Extension, ExtensionKind};
use crate::list::ShortList;

/// Decode targets a structure has at most: a count of five bits.
pub const MAX_DECODE_TARGETS: usize = 32;
/// Templates a structure has at most: identifiers of six bits.
pub const MAX_TEMPLATES: usize = 64;
/// Frames one frame may refer to: AV1 has seven references, others fewer.
pub const MAX_FRAME_DIFFS: usize = 16;
/// Spatial layers: next_layer_idc could go on, codecs have at most four to eight.
pub const MAX_SPATIAL_LAYERS: usize = 8;

/// What a frame is to a decode target (table A.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecodeTargetIndication {
    /// Not part of it.
    #[default]
    NotPresent,
    /// Part of it, and no other of its frames needs this one.
    Discardable,
    /// All its later frames can be decoded if this one can.
    Switch,
    /// Part of it.
    Required,
}

impl DecodeTargetIndication {
    const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::NotPresent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }

    const fn bits(self) -> u32 {
        match self {
            Self::NotPresent => 0,
            Self::Discardable => 1,
            Self::Switch => 2,
            Self::Required => 3,
        }
    }
}

/// One indication a decode target.
pub type Indications = ShortList<DecodeTargetIndication, MAX_DECODE_TARGETS>;

/// What a frame is and what it needs: a template, or a frame's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameDependencies {
    /// Spatial layer.
    pub spatial_id: u8,
    /// Temporal layer.
    pub temporal_id: u8,
    /// What it is to each decode target.
    pub indications: Indications,
    /// How many frames back each frame it refers to is: 1 to 16 in a template, to 4096 in a frame.
    pub frame_diffs: ShortList<u16, MAX_FRAME_DIFFS>,
    /// How many frames back the last frame of each chain is: 0 to 15 in a template, to 255 in a
    /// frame.
    pub chain_diffs: ShortList<u8, MAX_DECODE_TARGETS>,
}

/// The structure that frames refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyStructure {
    /// Identifier of the first template, 0 to 63.
    pub template_id_offset: u8,
    /// How many decode targets there are, 1 to 32.
    pub decode_targets: u8,
    /// How many chains there are, 0 to the number of decode targets.
    pub chains: u8,
    /// The chain that protects each decode target; empty without chains.
    pub protected_by: ShortList<u8, MAX_DECODE_TARGETS>,
    /// The templates, in order of their layers.
    pub templates: Vec<FrameDependencies>,
    /// Greatest width and height of each spatial layer, 1 to 65 536; empty when not told.
    pub resolutions: ShortList<(u32, u32), MAX_SPATIAL_LAYERS>,
}

impl DependencyStructure {
    /// All decode targets active.
    pub fn all_targets(&self) -> u32 {
        u32::MAX >> (32 - u32::from(self.decode_targets.clamp(1, 32)))
    }

    /// Spatial and temporal layer of a decode target: the highest of its frames.
    pub fn target_layers(&self, target: usize) -> (u8, u8) {
        self.templates
            .iter()
            .filter(|t| {
                t.indications
                    .get(target)
                    .is_some_and(|i| *i != DecodeTargetIndication::NotPresent)
            })
            .fold((0, 0), |(s, t), template| {
                (s.max(template.spatial_id), t.max(template.temporal_id))
            })
    }

    fn template(&self, id: u8) -> Option<&FrameDependencies> {
        let index = (id + 64 - self.template_id_offset) % 64;
        self.templates.get(usize::from(index))
    }

    fn max_spatial_id(&self) -> u8 {
        self.templates.last().map_or(0, |t| t.spatial_id)
    }

    fn read(bits: &mut BitReader<'_>) -> Result<Self, ParseError> {
        let mut structure = Self {
            template_id_offset: bits.bits(6) as u8,
            decode_targets: bits.bits(5) as u8 + 1,
            ..Self::default()
        };
        structure.read_layers(bits)?;
        let targets = structure.decode_targets;
        for template in &mut structure.templates {
            for _ in 0..targets {
                push(
                    &mut template.indications,
                    DecodeTargetIndication::from_bits(bits.bits(2)),
                )?;
            }
        }
        for template in &mut structure.templates {
            while bits.flag() {
                push(&mut template.frame_diffs, bits.bits(4) as u16 + 1)?;
                check(bits)?;
            }
        }
        let chains = bits.non_symmetric(u32::from(targets) + 1);
        structure.chains = chains as u8;
        if chains > 0 {
            for _ in 0..targets {
                let chain = bits.non_symmetric(chains);
                push(&mut structure.protected_by, chain as u8)?;
            }
            for template in &mut structure.templates {
                for _ in 0..chains {
                    push(&mut template.chain_diffs, bits.bits(4) as u8)?;
                }
            }
        }
        if bits.flag() {
            for _ in 0..=structure.max_spatial_id() {
                let size = (bits.bits(16) + 1, bits.bits(16) + 1);
                push(&mut structure.resolutions, size)?;
            }
        }
        check(bits)?;
        Ok(structure)
    }

    fn read_layers(&mut self, bits: &mut BitReader<'_>) -> Result<(), ParseError> {
        let (mut spatial_id, mut temporal_id) = (0u8, 0u8);
        loop {
            if self.templates.len() == MAX_TEMPLATES {
                return Err(ParseError::Count(MAX_TEMPLATES + 1));
            }
            self.templates.push(FrameDependencies {
                spatial_id,
                temporal_id,
                ..FrameDependencies::default()
            });
            match bits.bits(2) {
                0 => {}
                1 => temporal_id += 1,
                2 => {
                    temporal_id = 0;
                    spatial_id += 1;
                    if usize::from(spatial_id) >= MAX_SPATIAL_LAYERS {
                        return Err(ParseError::Count(MAX_SPATIAL_LAYERS + 1));
                    }
                }
                _ => return check(bits),
            }
            check(bits)?;
        }
    }

    fn write(&self, bits: &mut BitWriter<'_>) {
        bits.bits(6, u32::from(self.template_id_offset));
        bits.bits(5, u32::from(self.decode_targets) - 1);
        let followers = self.templates.iter().skip(1);
        for (template, next) in self.templates.iter().zip(followers) {
            let idc = if next.spatial_id != template.spatial_id {
                2
            } else {
                u32::from(next.temporal_id != template.temporal_id)
            };
            bits.bits(2, idc);
        }
        bits.bits(2, 3);
        for indication in self.templates.iter().flat_map(|t| t.indications.iter()) {
            bits.bits(2, indication.bits());
        }
        for template in &self.templates {
            for diff in template.frame_diffs.iter() {
                bits.bits(1, 1);
                bits.bits(4, u32::from(*diff) - 1);
            }
            bits.bits(1, 0);
        }
        bits.non_symmetric(u32::from(self.decode_targets) + 1, u32::from(self.chains));
        if self.chains > 0 {
            for chain in self.protected_by.iter() {
                bits.non_symmetric(u32::from(self.chains), u32::from(*chain));
            }
            for diff in self.templates.iter().flat_map(|t| t.chain_diffs.iter()) {
                bits.bits(4, u32::from(*diff));
            }
        }
        bits.flag(!self.resolutions.is_empty());
        for (width, height) in self.resolutions.iter() {
            bits.bits(16, width - 1);
            bits.bits(16, height - 1);
        }
    }

    /// Whether the structure can be written.
    ///
    /// # Errors
    /// [`WriteError::Field`] or [`WriteError::Order`] names what cannot.
    pub fn check(&self) -> Result<(), WriteError> {
        let targets = usize::from(self.decode_targets);
        if self.template_id_offset > 63 || !(1..=MAX_DECODE_TARGETS).contains(&targets) {
            return Err(WriteError::Field("decode targets"));
        }
        if self.chains > self.decode_targets {
            return Err(WriteError::Field("chains"));
        }
        let protected = if self.chains > 0 { targets } else { 0 };
        if self.protected_by.len() != protected
            || self.protected_by.iter().any(|c| *c >= self.chains)
        {
            return Err(WriteError::Field("protected by"));
        }
        if self.templates.is_empty() || self.templates.len() > MAX_TEMPLATES {
            return Err(WriteError::Field("templates"));
        }
        let mut before = (0, 0);
        for t in &self.templates {
            let (s, l) = (t.spatial_id, t.temporal_id);
            let follows = (s, l) == before
                || (s == before.0 && l == before.1 + 1)
                || (s == before.0 + 1 && l == 0);
            if !follows || usize::from(s) >= MAX_SPATIAL_LAYERS {
                return Err(WriteError::Order);
            }
            before = (s, l);
            if t.indications.len() != targets
                || t.chain_diffs.len() != usize::from(self.chains)
                || t.chain_diffs.iter().any(|d| *d > 15)
                || t.frame_diffs.iter().any(|d| !(1..=16).contains(d))
            {
                return Err(WriteError::Field("template"));
            }
        }
        let sizes = self.resolutions.len();
        let valid = |n: &u32| (1..=65_536).contains(n);
        if sizes != 0
            && (sizes != usize::from(before.0) + 1
                || !self.resolutions.iter().all(|(w, h)| valid(w) && valid(h)))
        {
            return Err(WriteError::Field("resolutions"));
        }
        Ok(())
    }
}

fn push<T: Copy + Default, const N: usize>(
    list: &mut ShortList<T, N>,
    item: T,
) -> Result<(), ParseError> {
    list.push(item).map_err(|_| ParseError::Count(N + 1))
}

fn check(bits: &BitReader<'_>) -> Result<(), ParseError> {
    if bits.overrun() {
        Err(ParseError::Field("dependency descriptor"))
    } else {
        Ok(())
    }
}

/// A descriptor as it stands in a packet: the fields that need no structure are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor<'a> {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// The template it refers to, 0 to 63.
    pub template_id: u8,
    /// The frame's number; wraps.
    pub frame_number: u16,
    rest: &'a [u8],
}

impl DependencyDescriptor<'_> {
    /// Whether a structure comes with it: the first packet of a coded video sequence.
    pub fn has_structure(&self) -> bool {
        u8_at(self.rest, 0) & 0x80 != 0
    }
}

impl<'a> Extension<'a> for DependencyDescriptor<'a> {
    const KIND: ExtensionKind = ExtensionKind::DependencyDescriptor;

    fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        require(value.len(), 3)?;
        let first = u8_at(value, 0);
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number: u16_at(value, 1),
            rest: tail(value, 3),
        })
    }

    fn encoded_len(&self) -> usize {
        3 + self.rest.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let first = (u8::from(self.start_of_frame) << 7)
            | (u8::from(self.end_of_frame) << 6)
            | (self.template_id & 0x3f);
        out.push(first);
        out.extend_from_slice(&self.frame_number.to_be_bytes());
        out.extend_from_slice(self.rest);
    }
}

/// A descriptor with everything it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameDescription {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// The frame's number; wraps.
    pub frame_number: u16,
    /// Layers, references and chains.
    pub dependencies: FrameDependencies,
    /// Greatest width and height of the frame's spatial layer, if told.
    pub resolution: Option<(u32, u32)>,
    /// Decode targets that can be decoded, one bit each.
    pub active_targets: u32,
    /// Whether the packet brought a structure.
    pub new_structure: bool,
}

/// Reads descriptors of one stream, in order of the sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct DependencyReader {
    structure: Option<DependencyStructure>,
    active_targets: u32,
}

impl DependencyReader {
    /// A reader that waits for a structure.
    pub fn new() -> Self {
        Self::default()
    }

    /// The structure in use.
    pub const fn structure(&self) -> Option<&DependencyStructure> {
        self.structure.as_ref()
    }

    /// Whether a chain protects an active decode target, and the frame is part of it (§A.6).
    pub fn in_active_chain(&self, frame: &FrameDescription, chain: u8) -> bool {
        let Some(structure) = &self.structure else {
            return false;
        };
        let mut active = false;
        for (i, protected_by) in structure.protected_by.iter().enumerate() {
            if *protected_by != chain {
                continue;
            }
            active |= (frame.active_targets >> i) & 1 == 1;
            let indication = frame.dependencies.indications.get(i);
            if matches!(
                indication,
                None | Some(
                    DecodeTargetIndication::NotPresent | DecodeTargetIndication::Discardable
                )
            ) {
                return false;
            }
        }
        active
    }

    /// Reads one descriptor. A structure that comes with it replaces the one before, unless the
    /// descriptor is wrong.
    ///
    /// # Errors
    /// [`ParseError::Field`] for a template that no known structure has (the packet with the
    /// structure is missing), or when the descriptor contradicts itself.
    pub fn read(&mut self, raw: &DependencyDescriptor<'_>) -> Result<FrameDescription, ParseError> {
        let mut bits = BitReader::new(raw.rest);
        let mut flags = [false; 5];
        if !raw.rest.is_empty() {
            for flag in &mut flags {
                *flag = bits.flag();
            }
        }
        let [
            with_structure,
            with_active,
            own_indications,
            own_diffs,
            own_chains,
        ] = flags;
        let fresh = match with_structure {
            true => Some(DependencyStructure::read(&mut bits)?),
            false => None,
        };
        let structure = fresh
            .as_ref()
            .or(self.structure.as_ref())
            .ok_or(ParseError::Field("template"))?;
        let mut active_targets = match &fresh {
            Some(s) => s.all_targets(),
            None => self.active_targets,
        };
        if with_active {
            active_targets = bits.bits(u32::from(structure.decode_targets));
        }
        let mut dependencies = *structure
            .template(raw.template_id)
            .ok_or(ParseError::Field("template"))?;
        if own_indications {
            dependencies.indications = ShortList::new();
            for _ in 0..structure.decode_targets {
                push(
                    &mut dependencies.indications,
                    DecodeTargetIndication::from_bits(bits.bits(2)),
                )?;
            }
        }
        if own_diffs {
            dependencies.frame_diffs = ShortList::new();
            loop {
                let nibbles = bits.bits(2);
                if nibbles == 0 {
                    break;
                }
                push(
                    &mut dependencies.frame_diffs,
                    bits.bits(4 * nibbles) as u16 + 1,
                )?;
                check(&bits)?;
            }
        }
        if own_chains {
            dependencies.chain_diffs = ShortList::new();
            for _ in 0..structure.chains {
                push(&mut dependencies.chain_diffs, bits.bits(8) as u8)?;
            }
        }
        check(&bits)?;
        let resolution = structure
            .resolutions
            .get(usize::from(dependencies.spatial_id))
            .copied();
        self.active_targets = active_targets;
        let new_structure = fresh.is_some();
        if new_structure {
            self.structure = fresh;
        }
        Ok(FrameDescription {
            start_of_frame: raw.start_of_frame,
            end_of_frame: raw.end_of_frame,
            frame_number: raw.frame_number,
            dependencies,
            resolution,
            active_targets,
            new_structure,
        })
    }
}

/// Writes descriptors of one stream.
#[derive(Clone, Debug)]
pub struct DependencyWriter {
    structure: DependencyStructure,
    active_targets: u32,
}

impl DependencyWriter {
    /// A writer for frames of this structure.
    ///
    /// # Errors
    /// As [`DependencyStructure::check`].
    pub fn new(structure: DependencyStructure) -> Result<Self, WriteError> {
        structure.check()?;
        let active_targets = structure.all_targets();
        Ok(Self {
            structure,
            active_targets,
        })
    }

    /// The structure.
    pub const fn structure(&self) -> &DependencyStructure {
        &self.structure
    }

    /// Appends the descriptor of one packet. With `with_structure` (the first packet of a key
    /// frame) the structure goes along. Active targets are told when they differ from what the
    /// receiver believes.
    ///
    /// # Errors
    /// [`WriteError::Field`] when the frame does not fit the structure; nothing is written.
    pub fn write(
        &mut self,
        frame: &FrameDescription,
        with_structure: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let d = &frame.dependencies;
        if d.indications.len() != usize::from(self.structure.decode_targets)
            || d.chain_diffs.len() != usize::from(self.structure.chains)
            || d.frame_diffs.iter().any(|diff| !(1..=4096).contains(diff))
        {
            return Err(WriteError::Field("frame"));
        }
        // The template of the same layers that leaves least to be said.
        let (index, template) = self
            .structure
            .templates
            .iter()
            .enumerate()
            .filter(|(_, t)| t.spatial_id == d.spatial_id && t.temporal_id == d.temporal_id)
            .min_by_key(|(_, t)| own_bits(t, d))
            .ok_or(WriteError::Field("layer"))?;
        let first = (u8::from(frame.start_of_frame) << 7)
            | (u8::from(frame.end_of_frame) << 6)
            | ((index as u8 + self.structure.template_id_offset) % 64);
        out.push(first);
        out.extend_from_slice(&frame.frame_number.to_be_bytes());
        let own_indications = template.indications != d.indications;
        let own_diffs = template.frame_diffs != d.frame_diffs;
        let own_chains = template.chain_diffs != d.chain_diffs;
        let believed = if with_structure {
            self.structure.all_targets()
        } else {
            self.active_targets
        };
        let active = frame.active_targets & self.structure.all_targets();
        let with_active = active != believed;
        let flags = [
            with_structure,
            with_active,
            own_indications,
            own_diffs,
            own_chains,
        ];
        if flags.contains(&true) {
            let mut bits = BitWriter::new(out);
            for flag in flags {
                bits.flag(flag);
            }
            if with_structure {
                self.structure.write(&mut bits);
            }
            if with_active {
                bits.bits(u32::from(self.structure.decode_targets), active);
            }
            if own_indications {
                for indication in d.indications.iter() {
                    bits.bits(2, indication.bits());
                }
            }
            if own_diffs {
                for diff in d.frame_diffs.iter() {
                    let diff = u32::from(*diff) - 1;
                    let nibbles = (32 - diff.leading_zeros()).div_ceil(4).max(1);
                    bits.bits(2, nibbles);
                    bits.bits(4 * nibbles, diff);
                }
                bits.bits(2, 0);
            }
            if own_chains {
                for diff in d.chain_diffs.iter() {
                    bits.bits(8, u32::from(*diff));
                }
            }
        }
        self.active_targets = active;
        Ok(())
    }
}

/// Bits a frame's own fields take beside a template.
fn own_bits(template: &FrameDependencies, frame: &FrameDependencies) -> usize {
    let mut bits = 0;
    if template.indications != frame.indications {
        bits += 2 * frame.indications.len();
    }
    if template.frame_diffs != frame.frame_diffs {
        bits += 2 + 6 * frame.frame_diffs.len();
    }
    if template.chain_diffs != frame.chain_diffs {
        bits += 8 * frame.chain_diffs.len();
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use DecodeTargetIndication::{Discardable, NotPresent, Required, Switch};
    use proptest::prelude::*;

    fn template(
        layers: (u8, u8),
        indications: &[DecodeTargetIndication],
        diffs: &[u16],
        chains: &[u8],
    ) -> FrameDependencies {
        FrameDependencies {
            spatial_id: layers.0,
            temporal_id: layers.1,
            indications: ShortList::from_slice(indications).unwrap(),
            frame_diffs: ShortList::from_slice(diffs).unwrap(),
            chain_diffs: ShortList::from_slice(chains).unwrap(),
        }
    }

    /// L1T2 of §A.10: two decode targets, one chain, three templates.
    fn l1t2() -> DependencyStructure {
        DependencyStructure {
            template_id_offset: 62,
            decode_targets: 2,
            chains: 1,
            protected_by: ShortList::from_slice(&[0, 0]).unwrap(),
            templates: vec![
                template((0, 0), &[Switch, Switch], &[], &[0]),
                template((0, 0), &[Switch, Switch], &[2], &[2]),
                template((0, 1), &[NotPresent, Discardable], &[1], &[1]),
            ],
            resolutions: ShortList::from_slice(&[(640, 360)]).unwrap(),
        }
    }

    fn roundtrip(
        writer: &mut DependencyWriter,
        reader: &mut DependencyReader,
        frame: &FrameDescription,
        with_structure: bool,
    ) -> usize {
        let mut out = Vec::new();
        writer.write(frame, with_structure, &mut out).unwrap();
        let raw = DependencyDescriptor::parse(&out).unwrap();
        assert_eq!(raw.has_structure(), with_structure);
        assert_eq!(reader.read(&raw).unwrap(), *frame);
        out.len()
    }

    #[test]
    fn a_frame_that_follows_a_template_takes_three_octets() {
        let structure = l1t2();
        let mut writer = DependencyWriter::new(structure.clone()).unwrap();
        let mut reader = DependencyReader::new();
        let frame = |number: u16, template: usize, new_structure| FrameDescription {
            start_of_frame: true,
            end_of_frame: false,
            frame_number: number,
            dependencies: structure.templates[template],
            resolution: Some((640, 360)),
            active_targets: 3,
            new_structure,
        };
        let mut out = Vec::new();
        writer.write(&frame(1, 1, false), false, &mut out).unwrap();
        let raw = DependencyDescriptor::parse(&out).unwrap();
        assert_eq!(reader.read(&raw), Err(ParseError::Field("template")));

        roundtrip(&mut writer, &mut reader, &frame(0, 0, true), true);
        assert_eq!(reader.structure(), Some(&structure));
        let len = roundtrip(&mut writer, &mut reader, &frame(1, 2, false), false);
        assert_eq!(len, 3);
        let mut own = frame(2, 1, false);
        own.dependencies.frame_diffs = ShortList::from_slice(&[1, 300, 4096]).unwrap();
        own.active_targets = 1;
        roundtrip(&mut writer, &mut reader, &own, false);
        own.dependencies.indications = ShortList::from_slice(&[Required, Switch]).unwrap();
        own.dependencies.chain_diffs = ShortList::from_slice(&[200]).unwrap();
        roundtrip(&mut writer, &mut reader, &own, false);
        assert!(!reader.in_active_chain(&frame(1, 2, false), 0));
        assert!(reader.in_active_chain(&frame(2, 1, false), 0));
        assert_eq!(structure.target_layers(0), (0, 0));
        assert_eq!(structure.target_layers(1), (0, 1));
    }

    #[test]
    fn the_non_symmetric_code_is_that_of_the_table() {
        let expect = ["00", "01", "10", "110", "111"];
        for (value, code) in expect.iter().enumerate() {
            let mut out = Vec::new();
            BitWriter::new(&mut out).non_symmetric(5, value as u32);
            let want = u8::from_str_radix(&format!("{code:0<8}"), 2).unwrap();
            assert_eq!(out, [want]);
            assert_eq!(BitReader::new(&out).non_symmetric(5), value as u32);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_structures_read_back(
            offset in 0u8..64, targets in 1u8..=32, chains in 0u8..=32, seed: u64,
            steps in proptest::collection::vec(0u8..3, 0..63), sizes: bool,
        ) {
            use rand::{RngExt, SeedableRng};
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let chains = chains.min(targets);
            let mut layers = vec![(0u8, 0u8)];
            for step in steps {
                let (s, t) = layers[layers.len() - 1];
                layers.push(match step { 0 => (s, t), 1 => (s, t + 1), _ if s < 7 => (s + 1, 0), _ => (s, t) });
            }
            let mut structure = DependencyStructure {
                template_id_offset: offset, decode_targets: targets, chains, ..Default::default()
            };
            for (s, t) in &layers {
                let mut template = FrameDependencies { spatial_id: *s, temporal_id: *t, ..Default::default() };
                for _ in 0..targets {
                    template.indications.push(DecodeTargetIndication::from_bits(rng.random())).unwrap();
                }
                for _ in 0..rng.random_range(0..4) {
                    template.frame_diffs.push(rng.random_range(1..=16)).unwrap();
                }
                for _ in 0..chains {
                    template.chain_diffs.push(rng.random_range(0..16)).unwrap();
                }
                structure.templates.push(template);
            }
            if chains > 0 {
                for _ in 0..targets {
                    structure.protected_by.push(rng.random_range(0..chains)).unwrap();
                }
            }
            if sizes {
                for _ in 0..=structure.max_spatial_id() {
                    structure.resolutions.push((rng.random_range(1..=65_536), rng.random_range(1..=65_536))).unwrap();
                }
            }
            let template = rng.random_range(0..structure.templates.len());
            let frame = FrameDescription {
                start_of_frame: true, end_of_frame: true, frame_number: rng.random(),
                dependencies: structure.templates[template],
                resolution: structure.resolutions.get(usize::from(structure.templates[template].spatial_id)).copied(),
                active_targets: rng.random::<u32>() & structure.all_targets(),
                new_structure: true,
            };
            let mut writer = DependencyWriter::new(structure.clone()).unwrap();
            let mut reader = DependencyReader::new();
            roundtrip(&mut writer, &mut reader, &frame, true);
            prop_assert_eq!(reader.structure(), Some(&structure));
        }

        #[test]
        fn arbitrary_descriptors_never_panic(values in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..60), 1..6)) {
            let mut reader = DependencyReader::new();
            for mut value in values {
                if value.len() > 3 { value[3] |= 0x80; }
                if let Ok(raw) = DependencyDescriptor::parse(&value)
                    && let Ok(frame) = reader.read(&raw) {
                    let _ = reader.in_active_chain(&frame, 0);
                }
            }
        }
    }
}
