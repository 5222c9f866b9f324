//! AV1 (RTP payload format for AV1, v1.0.0).

use crate::bytes_ext::{tail, u8_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::{Depacketize, Input, Packetize};
use crate::leb128;

/// OBU types (AV1 §6.2.2).
pub mod obu_type {
    /// Sequence header.
    pub const SEQUENCE_HEADER: u8 = 1;
    /// Temporal delimiter: not carried in RTP.
    pub const TEMPORAL_DELIMITER: u8 = 2;
    /// Frame header.
    pub const FRAME_HEADER: u8 = 3;
    /// Frame header and its tiles.
    pub const FRAME: u8 = 6;
    /// List of tiles: not carried in RTP.
    pub const TILE_LIST: u8 = 8;
}

/// A temporal delimiter OBU: what temporal units begin with in files (AV1 §7.5).
pub const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0x00];

/// The aggregation header (§4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggregationHeader {
    /// The first element goes on with an OBU of the packet before (Z).
    pub continues: bool,
    /// The last element goes on in the next packet (Y).
    pub to_be_continued: bool,
    /// How many elements there are, 1 to 3; 0 when each says its length (W).
    pub count: u8,
    /// A coded video sequence begins (N).
    pub new_sequence: bool,
}

impl AggregationHeader {
    /// The header in an octet; its reserved bits are ignored.
    pub const fn from_octet(octet: u8) -> Self {
        Self {
            continues: octet & 0x80 != 0,
            to_be_continued: octet & 0x40 != 0,
            count: (octet >> 4) & 3,
            new_sequence: octet & 0x08 != 0,
        }
    }

    /// Its octet.
    pub const fn octet(self) -> u8 {
        ((self.continues as u8) << 7)
            | ((self.to_be_continued as u8) << 6)
            | ((self.count & 3) << 4)
            | ((self.new_sequence as u8) << 3)
    }
}

/// The OBU elements of a payload (§4.5).
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    /// Elements still to come that have been counted; `None` when each says its length.
    left: Option<u8>,
}

impl<'a> Elements<'a> {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// [`ParseError`] for an empty payload, or a new sequence that continues an OBU (§4.4).
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<(AggregationHeader, Self), ParseError> {
        require(payload.len(), 2)?;
        let header = AggregationHeader::from_octet(u8_at(payload, 0));
        if header.new_sequence && header.continues {
            return Err(ParseError::Field("N"));
        }
        let elements = Self {
            rest: tail(payload, 1),
            left: (header.count > 0).then_some(header.count),
        };
        Ok((header, elements))
    }

    /// Whether all elements were taken.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element.
    ///
    /// # Errors
    /// [`ParseError`] when its length lies, or it is empty.
    #[inline]
    pub fn next_element(&mut self) -> Result<Option<&'a [u8]>, ParseError> {
        if self.rest.is_empty() {
            // §4.4: W must be the number of elements.
            return match self.left {
                Some(n) if n > 0 => Err(ParseError::Count(usize::from(n))),
                _ => Ok(None),
            };
        }
        let element = match &mut self.left {
            Some(0) => return Err(ParseError::Count(0)),
            Some(left @ 1) => {
                *left = 0;
                std::mem::take(&mut self.rest)
            }
            left => {
                if let Some(left) = left {
                    *left -= 1;
                }
                let (len, octets) = leb128::read(self.rest)?;
                let len = usize::try_from(len).map_err(|_| ParseError::Field("leb128"))?;
                let Some((element, rest)) = tail(self.rest, octets).split_at_checked(len) else {
                    return Err(ParseError::Count(len));
                };
                self.rest = rest;
                element
            }
        };
        if element.is_empty() {
            return Err(ParseError::Count(0));
        }
        Ok(Some(element))
    }
}

/// An OBU's header (AV1 §5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ObuHeader {
    first: u8,
    extension: Option<u8>,
}

impl ObuHeader {
    fn parse(obu: &[u8]) -> Result<Self, ParseError> {
        require(obu.len(), 1)?;
        let first = u8_at(obu, 0);
        if first & 0x80 != 0 {
            return Err(ParseError::Field("obu_forbidden_bit"));
        }
        let extension = match first & 0x04 != 0 {
            true => {
                require(obu.len(), 2)?;
                Some(u8_at(obu, 1))
            }
            false => None,
        };
        Ok(Self { first, extension })
    }

    const fn kind(self) -> u8 {
        (self.first >> 3) & 0x0f
    }

    const fn has_size(self) -> bool {
        self.first & 0x02 != 0
    }

    const fn len(self) -> usize {
        1 + self.extension.is_some() as usize
    }

    const fn layers(self) -> Option<(u8, u8)> {
        match self.extension {
            Some(e) => Some((e >> 5, (e >> 3) & 3)),
            None => None,
        }
    }

    /// Types that are not carried in RTP (§5).
    const fn ignored(self) -> bool {
        matches!(
            self.kind(),
            obu_type::TEMPORAL_DELIMITER | obu_type::TILE_LIST
        )
    }
}

/// What is told of a temporal unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Whether it begins with a shown key frame and brings a sequence header.
    pub key_frame: bool,
    /// Whether a coded video sequence begins (N).
    pub new_sequence: bool,
    /// Whether it brings a sequence header.
    pub has_sequence_header: bool,
    /// Highest temporal and spatial layer in it, where OBUs tell.
    pub layers: Option<(u8, u8)>,
    key_seen: Option<bool>,
}

impl Info {
    /// Looks at an OBU's header and the octets behind its size.
    fn see(&mut self, header: ObuHeader, body: &[u8]) {
        match header.kind() {
            obu_type::SEQUENCE_HEADER => self.has_sequence_header = true,
            obu_type::FRAME | obu_type::FRAME_HEADER if self.key_seen.is_none() => {
                // AV1 §5.9.2: show_existing_frame, then frame_type: 0 is a key frame. (A reduced
                // still picture has neither; its first bits may read otherwise.)
                self.key_seen = body.first().map(|b| b & 0xe0 == 0);
            }
            _ => {}
        }
        if let Some((temporal, spatial)) = header.layers() {
            let (t, s) = self.layers.unwrap_or_default();
            self.layers = Some((t.max(temporal), s.max(spatial)));
        }
        self.key_frame = self.has_sequence_header && self.key_seen == Some(true);
    }
}

/// Octets set aside for the size of an OBU that comes in parts: such are longer than 127 octets and
/// mostly shorter than 16 384.
const SIZE_GUESS: usize = 2;

/// An OBU whose end has not come yet.
#[derive(Clone, Copy, Debug)]
struct OpenObu {
    /// Where its size goes in the frame's octets.
    size_at: usize,
    /// The size its own header told, if it did.
    told: Option<usize>,
    /// It is of a type that is dropped.
    ignored: bool,
    /// Not even its header and the first octet behind it have come: what has is in `head`.
    headless: bool,
}

/// An OBU's header, the size it tells, and the octets behind both.
fn obu_head(obu: &[u8]) -> Result<(ObuHeader, Option<usize>, &[u8]), ParseError> {
    let header = ObuHeader::parse(obu)?;
    let body = tail(obu, header.len());
    if !header.has_size() {
        return Ok((header, None, body));
    }
    let (size, octets) = leb128::read(body)?;
    let size = usize::try_from(size).map_err(|_| ParseError::Field("leb128"))?;
    Ok((header, Some(size), tail(body, octets)))
}

/// Makes temporal units of packets, in the low-overhead format: each OBU with its size, as decoders
/// and files want them, without a temporal delimiter (files want
/// [`TEMPORAL_DELIMITER`] before each).
///
/// After a loss a temporal unit is taken as whole when it begins a coded video sequence; else only
/// what follows a marker, or a change of the timestamp without loss, is.
#[derive(Debug)]
pub struct Depacketizer {
    frames: Assembler<Info>,
    open: Option<OpenObu>,
    /// The beginning of an OBU that was cut within its header.
    head: Vec<u8>,
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
            open: None,
            head: Vec::new(),
        }
    }

    fn take(
        &mut self,
        header: AggregationHeader,
        mut elements: Elements<'_>,
    ) -> Result<(), ParseError> {
        if header.continues != self.open.is_some() {
            return Err(ParseError::Field("Z"));
        }
        while let Some(element) = elements.next_element()? {
            let last = elements.is_empty();
            let goes_on = last && header.to_be_continued;
            match self.open.take() {
                Some(open) if open.headless => {
                    let mut head = std::mem::take(&mut self.head);
                    head.extend_from_slice(element);
                    self.begin_obu(&head, goes_on)?;
                    if self.head.is_empty() {
                        self.head = head;
                    }
                }
                Some(open) => {
                    if !open.ignored {
                        self.frames.data().extend_from_slice(element);
                    }
                    self.open = Some(open);
                }
                None => self.begin_obu(element, goes_on)?,
            }
            if !goes_on {
                self.end_obu()?;
            }
        }
        Ok(())
    }

    /// Writes the header and what there is of an OBU, with room for its size.
    #[inline]
    fn begin_obu(&mut self, element: &[u8], goes_on: bool) -> Result<(), ParseError> {
        let (header, told, body) = match obu_head(element) {
            // A packet may end within the header, or right after it.
            Err(ParseError::Truncated { .. }) if goes_on => return self.wait_for_head(element),
            Ok((_, _, [])) if goes_on => return self.wait_for_head(element),
            head => head?,
        };
        if let Some(info) = self.frames.info()
            && !header.ignored()
        {
            info.see(header, body);
        }
        let data = self.frames.data();
        let mut size_at = data.len();
        if !header.ignored() {
            data.push(header.first | 0x02);
            data.extend(header.extension);
            size_at = data.len();
            if goes_on {
                data.extend_from_slice(&[0; SIZE_GUESS]);
            } else {
                if told.is_some_and(|t| t != body.len()) {
                    return Err(ParseError::Count(body.len()));
                }
                leb128::write(data, body.len() as u64);
                data.extend_from_slice(body);
                return Ok(());
            }
            data.extend_from_slice(body);
        }
        if goes_on {
            self.open = Some(OpenObu {
                size_at,
                told,
                ignored: header.ignored(),
                headless: false,
            });
        }
        Ok(())
    }

    /// Keeps the beginning of an OBU until there is more of it.
    #[cold]
    fn wait_for_head(&mut self, element: &[u8]) -> Result<(), ParseError> {
        self.head.clear();
        self.head.extend_from_slice(element);
        self.open = Some(OpenObu {
            size_at: 0,
            told: None,
            ignored: false,
            headless: true,
        });
        Ok(())
    }

    /// Fills in the size of an OBU that came in parts.
    fn end_obu(&mut self) -> Result<(), ParseError> {
        let Some(open) = self.open.take().filter(|o| !o.ignored) else {
            return Ok(());
        };
        let data = self.frames.data();
        let body_at = open.size_at + SIZE_GUESS;
        let size = data.len().saturating_sub(body_at);
        if open.told.is_some_and(|t| t != size) {
            return Err(ParseError::Count(size));
        }
        let octets = leb128::len(size as u64);
        // Move the body when the guess was wrong.
        if octets > SIZE_GUESS {
            data.resize(data.len() + octets - SIZE_GUESS, 0);
        }
        if octets != SIZE_GUESS {
            data.copy_within(body_at..body_at + size, open.size_at + octets);
            data.truncate(open.size_at + octets + size);
        }
        let mut value = size;
        for (i, slot) in data.iter_mut().skip(open.size_at).take(octets).enumerate() {
            let more = if i + 1 < octets { 0x80 } else { 0 };
            *slot = (value & 0x7f) as u8 | more;
            value >>= 7;
        }
        Ok(())
    }

    fn fail(&mut self, packet: &Input<'_>, error: ParseError) -> Result<(), ParseError> {
        self.open = None;
        self.frames.malformed();
        if packet.marker {
            self.frames.leave(packet, true);
        }
        Err(error)
    }
}

impl Depacketize for Depacketizer {
    type Info = Info;

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        // An OBU cut off by the end of its temporal unit: the unit is not whole (§5).
        let cut = self.open.is_some();
        if !self.frames.arrive_after(packet, cut) || packet.payload.is_empty() {
            return Ok(());
        }
        if !self.frames.is_open() {
            self.open = None;
        }
        let (header, elements) = match Elements::parse(packet.payload) {
            Ok(parsed) => parsed,
            Err(error) => return self.fail(packet, error),
        };
        let start = match (self.frames.is_open(), header) {
            (true, _) => Start::Unknown,
            (false, h) if h.continues => Start::No,
            (false, h) if h.new_sequence => Start::Yes,
            _ => Start::Unknown,
        };
        let info = Info {
            new_sequence: header.new_sequence,
            ..Info::default()
        };
        if self.frames.enter(packet, start, info) {
            let mut taken = self.take(header, elements);
            if packet.marker && self.open.is_some() && taken.is_ok() {
                taken = Err(ParseError::Field("Y"));
            }
            if let Err(error) = taken {
                return self.fail(packet, error);
            }
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
        self.frames.memory_usage() + self.head.capacity()
    }
}

/// One OBU of a temporal unit, without its size.
#[derive(Clone, Copy, Debug)]
struct Obu<'f> {
    header: [u8; 2],
    header_len: usize,
    body: &'f [u8],
    layers: Option<(u8, u8)>,
    kind: u8,
}

impl Obu<'_> {
    const fn len(&self) -> usize {
        self.header_len + self.body.len()
    }

    /// Appends the octets `range` of header and body together.
    fn write(&self, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
        if range.start < self.header_len {
            let header = self.header.get(range.start..self.header_len.min(range.end));
            out.extend_from_slice(header.unwrap_or(&[]));
        }
        let from = range.start.saturating_sub(self.header_len);
        let to = range.end.saturating_sub(self.header_len);
        out.extend_from_slice(self.body.get(from..to).unwrap_or(&[]));
    }
}

/// The OBUs of a temporal unit in the low-overhead format that are carried in RTP.
#[derive(Clone, Debug)]
struct Obus<'f> {
    rest: &'f [u8],
}

impl<'f> Obus<'f> {
    fn next_obu(&mut self) -> Result<Option<Obu<'f>>, ParseError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let header = ObuHeader::parse(self.rest)?;
            let after = tail(self.rest, header.len());
            let (body, rest) = if header.has_size() {
                let (size, octets) = leb128::read(after)?;
                let size = usize::try_from(size).map_err(|_| ParseError::Field("leb128"))?;
                tail(after, octets)
                    .split_at_checked(size)
                    .ok_or(ParseError::Count(size))?
            } else {
                // AV1 §5.2: only the last may leave its size out.
                (after, &[][..])
            };
            self.rest = rest;
            if header.ignored() {
                continue;
            }
            return Ok(Some(Obu {
                header: [header.first & !0x02, header.extension.unwrap_or(0)],
                header_len: header.len(),
                body,
                layers: header.layers(),
                kind: header.kind(),
            }));
        }
    }
}

/// Cuts a temporal unit, in the low-overhead format, into payloads: OBUs share packets as they fit,
/// those of different layers do not (§5).
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    obus: Obus<'f>,
    /// The OBU at hand, and how much of it was written.
    current: Option<(Obu<'f>, usize)>,
    max: usize,
    new_sequence: bool,
}

impl<'f> Packetizer<'f> {
    /// Payloads of at most `max_payload` octets. The first says that a coded video sequence begins
    /// when the unit brings a sequence header.
    ///
    /// # Errors
    /// [`WriteError::Field`] when `max_payload` is below 4, or the unit is not in the low-overhead
    /// format or has nothing to be sent.
    pub fn new(temporal_unit: &'f [u8], max_payload: usize) -> Result<Self, WriteError> {
        if max_payload < 4 {
            return Err(WriteError::Field("max_payload"));
        }
        let wrong = |_| WriteError::Field("temporal_unit");
        let mut check = Obus {
            rest: temporal_unit,
        };
        let mut new_sequence = false;
        while let Some(obu) = check.next_obu().map_err(wrong)? {
            new_sequence |= obu.kind == obu_type::SEQUENCE_HEADER;
        }
        let mut obus = Obus {
            rest: temporal_unit,
        };
        let first = obus.next_obu().map_err(wrong)?;
        let Some(first) = first else {
            return Err(WriteError::Field("temporal_unit"));
        };
        Ok(Self {
            obus,
            current: Some((first, 0)),
            max: max_payload,
            new_sequence,
        })
    }

    /// The elements of the next packet: how many, and whether the last one is cut. Elements but the
    /// last of at most three have their lengths written; a fourth makes all have one.
    fn plan(&self) -> (usize, Option<usize>) {
        let Some((mut obu, mut done)) = self.current else {
            return (0, None);
        };
        let mut obus = self.obus.clone();
        let mut used = 1;
        let mut count = 0;
        let mut layers = None;
        // Octets of lengths if all elements had one.
        let mut lengths = 0;
        loop {
            let left = obu.len() - done;
            let length = leb128::len(left as u64);
            // With more than three elements each needs a length; that of the last among three is
            // saved.
            let overhead = if count >= 3 {
                lengths + length
            } else {
                lengths
            };
            if used + left + overhead > self.max {
                // Cut it, if it is worth it: a few octets of an OBU in a packet are not.
                let worth = if count == 0 { 0 } else { 32 };
                if count >= 3 {
                    return (count, None);
                }
                let room = self.max.saturating_sub(used + overhead);
                return if room > worth {
                    (count + 1, Some(room))
                } else {
                    (count, None)
                };
            }
            used += left;
            lengths += length;
            count += 1;
            layers = layers.or(obu.layers);
            match obus.next_obu() {
                // An OBU of another layer goes into another packet.
                Ok(Some(next))
                    if next.layers.is_none() || layers.is_none_or(|l| Some(l) == next.layers) =>
                {
                    obu = next;
                    done = 0;
                }
                _ => return (count, None),
            }
        }
    }
}

impl Packetize for Packetizer<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        let (_, done) = self.current?;
        let (count, cut) = self.plan();
        let header = AggregationHeader {
            continues: done > 0,
            to_be_continued: cut.is_some(),
            count: if count <= 3 { count as u8 } else { 0 },
            new_sequence: std::mem::take(&mut self.new_sequence),
        };
        out.push(header.octet());
        for i in 1..=count {
            let Some((obu, done)) = self.current else {
                break;
            };
            let last = i == count;
            let len = match cut {
                Some(room) if last => room,
                _ => obu.len() - done,
            };
            if count > 3 || !last {
                leb128::write(out, len as u64);
            }
            obu.write(done..done + len, out);
            self.current = if done + len < obu.len() {
                Some((obu, done + len))
            } else {
                // Checked when the packetizer was made.
                self.obus.next_obu().ok().flatten().map(|o| (o, 0))
            };
        }
        Some(self.current.is_none())
    }
}
