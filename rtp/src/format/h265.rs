//! H.265 (RFC 7798): single NAL units, aggregation packets and fragmentation units; PACI packets
//! are understood.

use crate::bytes_ext::{tail, u8_at, u16_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::nal::{NalUnits, START_CODE};
use crate::format::{Depacketize, Input, Packetize, balanced};

/// NAL unit types (ITU-T H.265 table 7-1, RFC 7798 §4.4).
pub mod nal_type {
    /// First of the types at which decoding can begin (BLA_W_LP).
    pub const IRAP_FIRST: u8 = 16;
    /// Last of them (reserved IRAP).
    pub const IRAP_LAST: u8 = 23;
    /// Video parameter set.
    pub const VPS: u8 = 32;
    /// Sequence parameter set.
    pub const SPS: u8 = 33;
    /// Picture parameter set.
    pub const PPS: u8 = 34;
    /// Access unit delimiter.
    pub const AUD: u8 = 35;
    /// Aggregation packet.
    pub const AP: u8 = 48;
    /// Fragmentation unit.
    pub const FU: u8 = 49;
    /// Packet with content information.
    pub const PACI: u8 = 50;
}

/// The type in a NAL unit's header.
const fn kind(first: u8) -> u8 {
    (first >> 1) & 0x3f
}

/// What is told of an access unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Whether decoding can begin with it.
    pub key_frame: bool,
    /// Whether it brings a sequence parameter set.
    pub has_sps: bool,
    /// Its highest temporal layer, 0 to 6.
    pub temporal_id: u8,
}

impl Info {
    fn see(&mut self, header: u16) {
        match kind((header >> 8) as u8) {
            nal_type::IRAP_FIRST..=nal_type::IRAP_LAST => self.key_frame = true,
            nal_type::SPS => self.has_sps = true,
            _ => {}
        }
        let temporal = (header & 7).saturating_sub(1) as u8;
        self.temporal_id = self.temporal_id.max(temporal);
    }
}

/// Makes access units, as byte streams with start codes, of packets. What is whole after a loss is
/// told as for [H.264](super::h264::Depacketizer), by a delimiter or a video parameter set.
#[derive(Debug)]
pub struct Depacketizer {
    frames: Assembler<Info>,
    /// A NAL unit's fragments are being collected.
    fragment: bool,
    /// Decoding order numbers are present (`sprop-max-don-diff` above 0).
    with_don: bool,
    /// Room for a packet without its content information (PACI).
    inner: Vec<u8>,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Depacketizer {
    /// A depacketizer that has seen nothing. `with_don` says that payloads have decoding order
    /// numbers (RFC 7798 §7.1, sprop-max-don-diff above 0); they are skipped: NAL units are taken
    /// in the order of the packets. [`DecodingOrder`](super::h265_order::DecodingOrder) brings
    /// interleaved ones into theirs.
    pub fn new(with_don: bool) -> Self {
        Self {
            frames: Assembler::new(),
            fragment: false,
            with_don,
            inner: Vec::new(),
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        if let Some(info) = self.frames.info() {
            info.see(u16_at(unit, 0));
        }
        let data = self.frames.data();
        data.extend_from_slice(&START_CODE);
        data.extend_from_slice(unit);
    }

    fn take(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        require(payload.len(), 2)?;
        let header = u16_at(payload, 0);
        let don = if self.with_don { 2 } else { 0 };
        let kind = kind(u8_at(payload, 0));
        if self.fragment && kind != nal_type::FU {
            return Err(ParseError::Field("FU"));
        }
        match kind {
            nal_type::AP => self.take_aggregation(tail(payload, 2)),
            nal_type::FU => {
                require(payload.len(), 4)?;
                let fu = u8_at(payload, 2);
                let starts = fu & 0x80 != 0;
                if starts == self.fragment || fu & 0xc0 == 0xc0 {
                    return Err(ParseError::Field("FU"));
                }
                let mut at = 3;
                if starts {
                    at += don;
                    require(payload.len(), at + 1)?;
                    let header = (header & 0x81ff) | (u16::from(fu & 0x3f) << 9);
                    if let Some(info) = self.frames.info() {
                        info.see(header);
                    }
                    let data = self.frames.data();
                    data.extend_from_slice(&START_CODE);
                    data.extend_from_slice(&header.to_be_bytes());
                }
                self.frames.data().extend_from_slice(tail(payload, at));
                self.fragment = fu & 0x40 == 0;
                Ok(())
            }
            0..=47 => {
                require(payload.len(), 2 + don)?;
                if don == 0 {
                    self.unit(payload);
                    return Ok(());
                }
                if let Some(info) = self.frames.info() {
                    info.see(header);
                }
                let data = self.frames.data();
                data.extend_from_slice(&START_CODE);
                data.extend_from_slice(&header.to_be_bytes());
                data.extend_from_slice(tail(payload, 2 + don));
                Ok(())
            }
            _ => Err(ParseError::Field("NAL unit type")),
        }
    }

    /// RFC 7798 §4.4.2: sizes before units; order numbers before the sizes, of one octet from the
    /// second on.
    fn take_aggregation(&mut self, mut rest: &[u8]) -> Result<(), ParseError> {
        let mut first = true;
        while !rest.is_empty() {
            if self.with_don {
                let don = if first { 2 } else { 1 };
                require(rest.len(), don)?;
                rest = tail(rest, don);
            }
            require(rest.len(), 2)?;
            let len = usize::from(u16_at(rest, 0));
            let Some((unit, after)) = tail(rest, 2).split_at_checked(len).filter(|_| len >= 2)
            else {
                return Err(ParseError::Count(len));
            };
            self.unit(unit);
            rest = after;
            first = false;
        }
        if first {
            return Err(ParseError::Count(0));
        }
        Ok(())
    }

    /// As [`push`](Depacketize::push), of a packet that arrived with this payload.
    fn push_payload(
        &mut self,
        packet: &Input<'_>,
        payload: Result<&[u8], ParseError>,
    ) -> Result<(), ParseError> {
        if !self.frames.is_open() {
            self.fragment = false;
        }
        let first = payload
            .as_ref()
            .ok()
            .and_then(|payload| first_kind(payload, self.with_don));
        let begins = matches!(first, Some(nal_type::AUD | nal_type::VPS));
        let start = if begins && !self.frames.is_open() {
            Start::Yes
        } else {
            Start::Unknown
        };
        if !self.frames.enter(packet, start, Info::default()) {
            self.frames.leave(packet, packet.marker);
            return Ok(());
        }
        let taken = payload.and_then(|payload| self.take(payload));
        self.frames
            .leave_units(packet, taken, &mut self.fragment, "FU")
    }
}

/// A packet with content information (RFC 7798 §4.4.4) as it is without: its header extension is
/// skipped, the header of what is inside put together in `room`. Other packets as they are.
///
/// # Errors
/// [`ParseError`] for one that ends within its header extension, or has another of its kind inside.
pub(super) fn without_content_information<'a>(
    payload: &'a [u8],
    room: &'a mut Vec<u8>,
) -> Result<&'a [u8], ParseError> {
    if kind(u8_at(payload, 0)) != nal_type::PACI {
        return Ok(payload);
    }
    require(payload.len(), 4)?;
    let (header, fields) = (u16_at(payload, 0), u16_at(payload, 2));
    let inner_kind = (fields >> 9) & 0x3f;
    let extension = usize::from((fields >> 4) & 0x1f);
    if inner_kind == u16::from(nal_type::PACI) {
        return Err(ParseError::Field("PACI"));
    }
    require(payload.len(), 4 + extension + 1)?;
    let inner_header = (fields & 0x8000) | (inner_kind << 9) | (header & 0x01ff);
    room.clear();
    room.extend_from_slice(&inner_header.to_be_bytes());
    room.extend_from_slice(tail(payload, 4 + extension));
    Ok(room)
}

/// The NAL unit type a payload begins with, looked for behind an aggregation's or fragment's
/// header.
fn first_kind(payload: &[u8], with_don: bool) -> Option<u8> {
    let don = if with_don { 2 } else { 0 };
    match kind(*payload.first()?) {
        nal_type::AP => payload.get(4 + don).map(|b| kind(*b)),
        nal_type::FU => payload
            .get(2)
            .filter(|fu| *fu & 0x80 != 0)
            .map(|fu| fu & 0x3f),
        n => Some(n),
    }
}

impl Depacketize for Depacketizer {
    type Info = Info;

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if !self.frames.arrive_after(packet, self.fragment) || packet.payload.is_empty() {
            return Ok(());
        }
        let mut room = std::mem::take(&mut self.inner);
        let payload = without_content_information(packet.payload, &mut room);
        let taken = self.push_payload(packet, payload);
        self.inner = room;
        taken
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
        self.frames.memory_usage() + self.inner.capacity()
    }
}

/// Cuts an access unit, a byte stream with start codes, into payloads without decoding order
/// numbers.
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    units: NalUnits<'f>,
    next: Option<&'f [u8]>,
    /// The NAL unit being cut: its header and what is left.
    fragment: Option<(u16, &'f [u8])>,
    first_fragment: bool,
    max: usize,
}

impl<'f> Packetizer<'f> {
    /// Payloads of at most `max_payload` octets.
    ///
    /// # Errors
    /// [`WriteError::Field`] when there is no NAL unit or one without a whole header, or
    /// `max_payload` is below 4.
    pub fn new(access_unit: &'f [u8], max_payload: usize) -> Result<Self, WriteError> {
        if max_payload < 4 {
            return Err(WriteError::Field("max_payload"));
        }
        let mut units = NalUnits::new(access_unit);
        if units.clone().any(|u| u.len() < 2) {
            return Err(WriteError::Field("access_unit"));
        }
        let next = units.next();
        if next.is_none() {
            return Err(WriteError::Field("access_unit"));
        }
        Ok(Self {
            units,
            next,
            fragment: None,
            first_fragment: false,
            max: max_payload,
        })
    }

    /// How many units from `first` on fit one aggregation packet.
    fn count_aggregated(&self, first: &[u8]) -> usize {
        let mut len = 2 + 2 + first.len();
        let mut count = 1;
        for unit in self.units.clone() {
            len += 2 + unit.len();
            if len > self.max || unit.len() > usize::from(u16::MAX) {
                break;
            }
            count += 1;
        }
        count
    }
}

impl Packetize for Packetizer<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        if let Some((header, rest)) = self.fragment {
            let (part, rest) = rest.split_at_checked(balanced(rest.len(), self.max - 3))?;
            let start = std::mem::take(&mut self.first_fragment);
            let flags = (u8::from(start) << 7) | (u8::from(rest.is_empty()) << 6);
            let outer = (header & 0x81ff) | (u16::from(nal_type::FU) << 9);
            out.extend_from_slice(&outer.to_be_bytes());
            out.push(flags | ((header >> 9) & 0x3f) as u8);
            out.extend_from_slice(part);
            self.fragment = (!rest.is_empty()).then_some((header, rest));
            return Some(self.fragment.is_none() && self.next.is_none());
        }
        let unit = self.next.take()?;
        if unit.len() > self.max {
            self.fragment = Some((u16_at(unit, 0), tail(unit, 2)));
            self.first_fragment = true;
            self.next = self.units.next();
            return self.write_next(out);
        }
        let count = self.count_aggregated(unit);
        if count == 1 {
            out.extend_from_slice(unit);
            self.next = self.units.next();
            return Some(self.next.is_none());
        }
        // RFC 7798 §4.4.2: F of any, the lowest layer, the lowest temporal layer.
        let header_at = out.len();
        out.extend_from_slice(&[0, 0]);
        let (mut forbidden, mut layer, mut temporal) = (0u16, 0x3fu16, 7u16);
        let mut current = Some(unit);
        for _ in 0..count {
            let Some(unit) = current else { break };
            let header = u16_at(unit, 0);
            forbidden |= header & 0x8000;
            layer = layer.min((header >> 3) & 0x3f);
            temporal = temporal.min(header & 7);
            out.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            out.extend_from_slice(unit);
            current = self.units.next();
        }
        let header = forbidden | (u16::from(nal_type::AP) << 9) | (layer << 3) | temporal;
        crate::bytes_ext::put(out, header_at, &header.to_be_bytes());
        self.next = current;
        Some(self.next.is_none())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn push(d: &mut Depacketizer, sequence: u64, marker: bool, payload: &[u8]) -> bool {
        let input = Input {
            sequence,
            timestamp: 0,
            marker,
            payload,
        };
        d.push(&input).is_ok()
    }

    #[test]
    fn order_numbers_are_skipped_where_they_were_negotiated() {
        let mut d = Depacketizer::new(true);
        let vps = [0x40, 1, 0xaa];
        // Single with DONL, aggregation with DONL and DOND, fragments with DONL in the first.
        assert!(push(&mut d, 1, false, &[0x40, 1, 0, 7, 0xaa]));
        let ap = [0x60, 1, 0, 8, 0, 3, 0x40, 1, 0xaa, 5, 0, 3, 0x40, 1, 0xaa];
        assert!(push(&mut d, 2, false, &ap));
        assert!(push(&mut d, 3, false, &[0x62, 1, 0x80 | 32, 0, 9, 0xaa]));
        assert!(push(&mut d, 4, true, &[0x62, 1, 0x40 | 32, 0xbb]));
        let frame = d.poll_frame().unwrap();
        let units: Vec<_> = NalUnits::new(frame.data).collect();
        assert_eq!(units, [&vps[..], &vps, &vps, &[0x40, 1, 0xaa, 0xbb]]);
    }

    /// What would be this payload, behind content information with an extension of so many octets.
    pub(crate) fn with_content_information(payload: &[u8], extension: u16) -> Vec<u8> {
        let header = u16_at(payload, 0);
        let outer = (header & 0x01ff) | (u16::from(nal_type::PACI) << 9);
        let fields = (header & 0xfe00) | (extension << 4);
        let mut out = [outer.to_be_bytes(), fields.to_be_bytes()].concat();
        out.resize(out.len() + usize::from(extension), 0xee);
        out.extend_from_slice(tail(payload, 2));
        out
    }

    /// RFC 7798 §4.4.4: single units, aggregation packets and fragments may be inside; with the
    /// three octets of temporal scalability control (§4.5) and with the most there can be.
    #[test]
    fn content_information_is_skipped() {
        for extension in [0, 3, 31] {
            let mut d = Depacketizer::new(false);
            let vps = [0x40, 1, 0xaa];
            let ap = [0x60, 1, 0, 3, 0x40, 1, 0xaa, 0, 3, 0x40, 1, 0xaa];
            let fragments = [[0x62, 1, 0x80 | 19, 0xbb], [0x62, 1, 0x40 | 19, 0xcc]];
            let packets = [&vps[..], &ap, &fragments[0], &fragments[1]];
            for (n, packet) in packets.into_iter().enumerate() {
                let packet = with_content_information(packet, extension);
                assert!(push(&mut d, n as u64 + 1, n == 3, &packet));
            }
            let frame = d.poll_frame().unwrap();
            let units: Vec<_> = NalUnits::new(frame.data).collect();
            assert_eq!(units, [&vps[..], &vps, &vps, &[19 << 1, 1, 0xbb, 0xcc]]);
            assert!(frame.info.key_frame);
        }
    }

    #[test]
    fn content_information_that_lies_is_refused() {
        let inside = with_content_information(&[0x40, 1, 0xaa], 3);
        let mut nested = inside.clone();
        nested[2] = nal_type::PACI << 1;
        let mut reaching = inside.clone();
        reaching[3] = 4 << 4;
        for packet in [&nested[..], &reaching, &inside[..3], &[0x64]] {
            let mut d = Depacketizer::new(false);
            assert!(push(&mut d, 1, true, &[0x40, 1, 0xaa]));
            assert!(d.poll_frame().is_some());
            assert!(!push(&mut d, 2, true, packet), "{packet:?}");
            assert!(d.poll_frame().is_none());
            assert_eq!(d.stats().malformed_packets, 1);
        }
    }

    /// After a loss a parameter set tells where a picture begins, also behind content information.
    #[test]
    fn content_information_does_not_hide_a_beginning() {
        let mut d = Depacketizer::new(false);
        assert!(push(&mut d, 1, true, &[0x40, 1, 0xaa]));
        assert!(d.poll_frame().is_some());
        let vps = with_content_information(&[0x40, 1, 0xaa], 3);
        assert!(push(&mut d, 3, true, &vps));
        assert_eq!(d.poll_frame().unwrap().lost_before, 1);
    }

    #[test]
    fn a_unit_without_its_end_is_no_frame() {
        let mut d = Depacketizer::new(false);
        let mut push = |sequence, timestamp, marker, payload: &[u8]| {
            let input = Input {
                sequence,
                timestamp,
                marker,
                payload,
            };
            d.push(&input).unwrap();
            d.poll_frame().map(|f| (f.timestamp, f.lost_before))
        };
        assert_eq!(push(1, 0, true, &[0x40, 1, 0xaa]), Some((0, 0)));
        assert_eq!(push(2, 1, false, &[0x62, 1, 0x80 | 19, 0xbb]), None);
        assert_eq!(push(3, 2, true, &[2, 1, 0xaa]), Some((2, 1)));
        assert_eq!(d.stats().dropped_frames, 1);
    }
}
