//! H.264 (RFC 6184): packetization modes 0 and 1: single NAL units, STAP-A and FU-A.

use crate::bytes_ext::{slice, tail, u8_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::nal::{NalUnits, START_CODE};
use crate::format::{Depacketize, Input, Packetize, balanced};

/// NAL unit types (ITU-T H.264 table 7-1, RFC 6184 §5.2).
pub mod nal_type {
    /// A slice of a picture that is no IDR.
    pub const SLICE: u8 = 1;
    /// A slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// Several NAL units of one time in a packet.
    pub const STAP_A: u8 = 24;
    /// Part of a NAL unit.
    pub const FU_A: u8 = 28;
}

/// How NAL units may be packed (RFC 6184 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketizationMode {
    /// 0: one NAL unit a packet.
    SingleNalUnit,
    /// 1: also STAP-A and FU-A.
    NonInterleaved,
}

/// What is told of an access unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Whether it has an IDR slice: nothing before it is referred to.
    pub key_frame: bool,
    /// Whether it brings a sequence parameter set.
    pub has_sps: bool,
    /// Whether another picture may refer to it (a nal_ref_idc that is not zero).
    pub reference: bool,
}

impl Info {
    fn see(&mut self, header: u8) {
        match header & 0x1f {
            nal_type::IDR => self.key_frame = true,
            nal_type::SPS => self.has_sps = true,
            _ => {}
        }
        if matches!(header & 0x1f, 1..=5) && header & 0x60 != 0 {
            self.reference = true;
        }
    }
}

/// Whether a payload holds a NAL unit of the given type, or its beginning: how a forwarder finds
/// key frames.
pub fn has_nal_type(payload: &[u8], wanted: u8) -> bool {
    let first = u8_at(payload, 0);
    match first & 0x1f {
        nal_type::STAP_A => aggregated(tail(payload, 1)).any(|u| u8_at(u, 0) & 0x1f == wanted),
        nal_type::FU_A => {
            let header = u8_at(payload, 1);
            header & 0x80 != 0 && header & 0x1f == wanted
        }
        n => !payload.is_empty() && n == wanted,
    }
}

/// The units of an aggregation packet's body, up to the first that does not fit.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (unit, after) = after.split_at_checked(len).filter(|_| len > 0)?;
        rest = after;
        Some(unit)
    })
}

/// Makes access units, as byte streams with start codes, of packets.
///
/// A frame after a loss is taken as whole when it begins with an access unit delimiter or a
/// sequence parameter set; else only what follows a marker, or a change of the timestamp without
/// loss, is: H.264 payloads do not say where a picture begins.
#[derive(Debug)]
pub struct Depacketizer {
    frames: Assembler<Info>,
    /// A NAL unit's fragments are being collected.
    fragment: bool,
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
            fragment: false,
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        if let Some(info) = self.frames.info() {
            info.see(u8_at(unit, 0));
        }
        let data = self.frames.data();
        data.extend_from_slice(&START_CODE);
        data.extend_from_slice(unit);
    }

    fn take(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        let first = u8_at(payload, 0);
        let kind = first & 0x1f;
        if self.fragment && kind != nal_type::FU_A {
            // The NAL unit begun never ended.
            return Err(ParseError::Field("FU-A"));
        }
        match kind {
            1..=23 => self.unit(payload),
            nal_type::STAP_A => {
                let mut read = 1;
                for unit in aggregated(tail(payload, 1)) {
                    self.unit(unit);
                    read += 2 + unit.len();
                }
                if read != payload.len() || read == 1 {
                    return Err(ParseError::Count(payload.len() - read));
                }
            }
            nal_type::FU_A => {
                require(payload.len(), 3)?;
                let fu = u8_at(payload, 1);
                if (fu & 0x80 != 0) == self.fragment || fu & 0xc0 == 0xc0 {
                    return Err(ParseError::Field("FU-A"));
                }
                if fu & 0x80 != 0 {
                    let header = (first & 0xe0) | (fu & 0x1f);
                    if let Some(info) = self.frames.info() {
                        info.see(header);
                    }
                    let data = self.frames.data();
                    data.extend_from_slice(&START_CODE);
                    data.push(header);
                }
                self.frames.data().extend_from_slice(tail(payload, 2));
                self.fragment = fu & 0x40 == 0;
            }
            // STAP-B, MTAP and FU-B are of mode 2, which nobody negotiates.
            _ => return Err(ParseError::Field("NAL unit type")),
        }
        Ok(())
    }
}

impl Depacketize for Depacketizer {
    type Info = Info;

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if !self.frames.arrive_after(packet, self.fragment) || packet.payload.is_empty() {
            return Ok(());
        }
        if !self.frames.is_open() {
            self.fragment = false;
        }
        let begins = has_nal_type(packet.payload, nal_type::AUD)
            || has_nal_type(packet.payload, nal_type::SPS);
        let start = if begins && !self.frames.is_open() {
            Start::Yes
        } else {
            Start::Unknown
        };
        if !self.frames.enter(packet, start, Info::default()) {
            self.frames.leave(packet, packet.marker);
            return Ok(());
        }
        let taken = self.take(packet.payload);
        self.frames
            .leave_units(packet, taken, &mut self.fragment, "FU-A")
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

/// Cuts an access unit, a byte stream with start codes, into payloads.
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    units: NalUnits<'f>,
    next: Option<&'f [u8]>,
    /// The NAL unit being cut: its header and what is left.
    fragment: Option<(u8, &'f [u8])>,
    first_fragment: bool,
    mode: PacketizationMode,
    max: usize,
}

impl<'f> Packetizer<'f> {
    /// Payloads of at most `max_payload` octets.
    ///
    /// # Errors
    /// [`WriteError::Field`] when there is no NAL unit, or `max_payload` is below 3;
    /// [`WriteError::TooMany`] when a NAL unit is longer than mode 0 can carry.
    pub fn new(
        access_unit: &'f [u8],
        mode: PacketizationMode,
        max_payload: usize,
    ) -> Result<Self, WriteError> {
        if max_payload < 3 {
            return Err(WriteError::Field("max_payload"));
        }
        let mut units = NalUnits::new(access_unit);
        if mode == PacketizationMode::SingleNalUnit
            && let Some(long) = units.clone().find(|u| u.len() > max_payload)
        {
            return Err(WriteError::TooMany(long.len()));
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
            mode,
            max: max_payload,
        })
    }

    /// How many units from `first` on fit one aggregation packet.
    fn count_aggregated(&self, first: &[u8]) -> usize {
        if self.mode == PacketizationMode::SingleNalUnit {
            return 1;
        }
        let mut len = 1 + 2 + first.len();
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
            let (part, rest) = rest.split_at_checked(balanced(rest.len(), self.max - 2))?;
            let start = std::mem::take(&mut self.first_fragment);
            let flags = (u8::from(start) << 7) | (u8::from(rest.is_empty()) << 6);
            out.extend_from_slice(&[(header & 0xe0) | nal_type::FU_A, flags | (header & 0x1f)]);
            out.extend_from_slice(part);
            self.fragment = (!rest.is_empty()).then_some((header, rest));
            return Some(self.fragment.is_none() && self.next.is_none());
        }
        let unit = self.next.take()?;
        if unit.len() > self.max {
            self.fragment = Some((u8_at(unit, 0), slice(unit, 1..unit.len())));
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
        // RFC 6184 §5.7: F and NRI are the greatest of all.
        let header_at = out.len();
        let mut header = 0u8;
        out.push(0);
        let mut current = Some(unit);
        for _ in 0..count {
            let Some(unit) = current else { break };
            out.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            out.extend_from_slice(unit);
            let first = u8_at(unit, 0);
            header = ((header | first) & 0x80) | (header & 0x60).max(first & 0x60);
            current = self.units.next();
        }
        if let Some(slot) = out.get_mut(header_at) {
            *slot = header | nal_type::STAP_A;
        }
        self.next = current;
        Some(self.next.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(kind: u8, len: usize) -> Vec<u8> {
        let mut unit = vec![0x60 | kind];
        unit.resize(len, 0xab);
        unit
    }

    fn stream(units: &[Vec<u8>]) -> Vec<u8> {
        units
            .iter()
            .flat_map(|u| [&START_CODE[..], u].concat())
            .collect()
    }

    fn payloads(au: &[u8], mode: PacketizationMode, max: usize) -> Vec<(Vec<u8>, bool)> {
        let mut packetizer = Packetizer::new(au, mode, max).unwrap();
        let mut all = Vec::new();
        let mut out = Vec::new();
        while let Some(last) = packetizer.write_next(&mut out) {
            assert!(out.len() <= max);
            all.push((std::mem::take(&mut out), last));
        }
        all
    }

    #[test]
    fn small_units_share_a_packet_and_large_ones_are_cut() {
        let units = [
            unit(nal_type::SPS, 20),
            unit(nal_type::PPS, 5),
            unit(nal_type::IDR, 2500),
        ];
        let au = stream(&units);
        let got = payloads(&au, PacketizationMode::NonInterleaved, 1000);
        assert_eq!(got.len(), 4);
        assert_eq!(got[0].0[0], 0x60 | nal_type::STAP_A);
        let sizes: Vec<usize> = aggregated(&got[0].0[1..]).map(<[u8]>::len).collect();
        assert_eq!(sizes, [20, 5]);
        let flags: Vec<u8> = got[1..].iter().map(|(p, _)| p[1] & 0xc0).collect();
        assert_eq!(flags, [0x80, 0, 0x40]);
        let lasts: Vec<bool> = got.iter().map(|(_, l)| *l).collect();
        assert_eq!(lasts, [false, false, false, true]);
        assert!(Packetizer::new(&au, PacketizationMode::SingleNalUnit, 1000).is_err());
        let got = payloads(&au, PacketizationMode::SingleNalUnit, 2500);
        assert_eq!(
            got.iter().map(|(p, _)| p.len()).collect::<Vec<_>>(),
            [20, 5, 2500]
        );
    }

    #[test]
    fn a_lying_fragment_drops_the_frame() {
        let mut depacketizer = Depacketizer::new();
        let mut push = |sequence, marker, payload: &[u8]| {
            depacketizer.push(&Input {
                sequence,
                timestamp: sequence as u32 / 10,
                marker,
                payload,
            })
        };
        assert!(push(1, true, &unit(nal_type::SPS, 5)).is_ok());
        // A middle without a beginning; a second beginning; a beginning that is the end.
        assert!(push(10, false, &[0x7c, 0x05, 1]).is_ok());
        assert!(push(11, true, &unit(nal_type::SPS, 5)).is_ok());
        assert!(push(12, false, &[0x7c, 0x05, 1]).is_err());
        assert!(push(20, false, &unit(nal_type::SPS, 5)).is_ok());
        assert!(push(21, false, &[0x7c, 0x85, 1]).is_ok());
        assert!(push(22, false, &[0x7c, 0x85, 1]).is_err());
        assert!(push(30, false, &unit(nal_type::SPS, 5)).is_ok());
        assert!(push(31, true, &[0x7c, 0xc5, 1]).is_err());
        assert!(push(32, true, &[0x78, 0, 9, 1]).is_err());
        let mut frames = 0;
        while depacketizer.poll_frame().is_some() {
            frames += 1;
        }
        assert_eq!(frames, 2);
        assert_eq!(depacketizer.stats().malformed_packets, 4);
    }

    /// A sender that gives up in the midst of a NAL unit: no marker, and the next packet is of another time.
    #[test]
    fn a_unit_without_its_end_is_no_frame() {
        let mut depacketizer = Depacketizer::new();
        let mut got = Vec::new();
        let mut push = |sequence, timestamp, marker, payload: &[u8]| {
            let input = Input {
                sequence,
                timestamp,
                marker,
                payload,
            };
            depacketizer.push(&input).unwrap();
            while let Some(frame) = depacketizer.poll_frame() {
                got.push((frame.timestamp, frame.lost_before));
            }
        };
        push(1, 0, true, &unit(nal_type::SPS, 5));
        push(2, 1, false, &unit(nal_type::SLICE, 5));
        push(3, 1, false, &[0x7c, 0x81, 1]);
        push(4, 2, true, &unit(nal_type::SLICE, 6));
        // A unit that ends needs no marker.
        push(5, 3, false, &[0x7c, 0x81, 1]);
        push(6, 3, false, &[0x7c, 0x41, 1]);
        push(7, 4, true, &unit(nal_type::SLICE, 7));
        assert_eq!(got, [(0, 0), (2, 1), (3, 0), (4, 0)]);
        assert_eq!(depacketizer.stats().dropped_frames, 1);
    }
}
