//! Feedback on packets, pictures and rates (RFC 4585, RFC 5104, REMB).

use crate::bytes_ext::{slice, tail, u8_at, u24_at, u32_at};
use crate::error::{ParseError, require};
use crate::rtcp::{RawPacket, feedback, packet_type};
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Fails unless the FCI is whole entries of `size` octets.
fn whole_entries(fci: &[u8], size: usize) -> Result<(), ParseError> {
    if fci.len().is_multiple_of(size) {
        Ok(())
    } else {
        Err(ParseError::Count(fci.len()))
    }
}

/// Generic NACK (RFC 4585 §6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// The stream asked about.
    pub media: Ssrc,
    fci: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, media, fci) = feedback(raw)?;
        whole_entries(fci, 4)?;
        Ok(Self { sender, media, fci })
    }

    /// The sequence numbers asked for, in the order of the entries; at most 17 an entry.
    #[inline]
    pub fn sequences(&self) -> NackSequences<'a> {
        let (entries, _) = self.fci.as_chunks();
        NackSequences {
            entries,
            first: SequenceNumber(0),
            left: 0,
        }
    }
}

/// Iterator over the sequence numbers of a [`Nack`]. Quickest with `for_each` and the like, which go
/// through it in one loop.
#[derive(Clone, Debug)]
pub struct NackSequences<'a> {
    /// Entries after the one being read.
    entries: &'a [[u8; 4]],
    first: SequenceNumber,
    /// Bit `i` is set when the packet `i` after the first one is asked for and was not given yet.
    left: u32,
}

impl NackSequences<'_> {
    #[inline]
    fn load(&mut self) -> Option<()> {
        let ([a, b, c, d], rest) = self.entries.split_first()?;
        self.entries = rest;
        self.first = SequenceNumber(u16::from_be_bytes([*a, *b]));
        // Bit i of BLP is the packet i + 1 after the first one, which is asked for always.
        self.left = (u32::from(u16::from_be_bytes([*c, *d])) << 1) | 1;
        Some(())
    }

    #[inline]
    fn pop(&mut self) -> SequenceNumber {
        let sequence = self.first.add(self.left.trailing_zeros() as u16);
        self.left &= self.left.wrapping_sub(1);
        sequence
    }
}

impl Iterator for NackSequences<'_> {
    type Item = SequenceNumber;

    #[inline]
    fn next(&mut self) -> Option<SequenceNumber> {
        if self.left == 0 {
            self.load()?;
        }
        Some(self.pop())
    }

    #[inline]
    fn fold<B, F: FnMut(B, SequenceNumber) -> B>(mut self, init: B, mut f: F) -> B {
        let mut all = init;
        loop {
            while self.left != 0 {
                all = f(all, self.pop());
            }
            if self.load().is_none() {
                return all;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let open = self.left.count_ones() as usize;
        (
            open + self.entries.len(),
            Some(open + self.entries.len() * 17),
        )
    }
}

/// PLI (RFC 4585 §6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLoss {
    /// Who asks.
    pub sender: Ssrc,
    /// The stream that needs a key frame.
    pub media: Ssrc,
}

impl PictureLoss {
    pub(crate) fn from_raw(raw: &RawPacket<'_>) -> Result<Self, ParseError> {
        let (sender, media, _) = feedback(raw)?;
        Ok(Self { sender, media })
    }
}

/// Macroblocks lost in one picture (RFC 4585 §6.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostSlices {
    /// Address of the first lost macroblock, 13 bits.
    pub first: u16,
    /// How many are lost, 13 bits.
    pub number: u16,
    /// Low six bits of the picture's identifier.
    pub picture_id: u8,
}

/// SLI (RFC 4585 §6.3.2).
#[derive(Clone, Copy, Debug)]
pub struct SliceLoss<'a> {
    /// Who tells.
    pub sender: Ssrc,
    /// The stream told about.
    pub media: Ssrc,
    fci: &'a [u8],
}

impl<'a> SliceLoss<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, media, fci) = feedback(raw)?;
        whole_entries(fci, 4)?;
        Ok(Self { sender, media, fci })
    }

    /// The lost parts.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = LostSlices> + Clone + use<'a> {
        self.fci.chunks_exact(4).map(|entry| {
            let word = u32_at(entry, 0);
            LostSlices {
                first: (word >> 19) as u16,
                number: (word >> 6) as u16 & 0x1fff,
                picture_id: word as u8 & 0x3f,
            }
        })
    }
}

/// RPSI (RFC 4585 §6.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferencePictureSelection<'a> {
    /// Who tells.
    pub sender: Ssrc,
    /// The stream told about.
    pub media: Ssrc,
    /// The payload type whose codec the bits are for, 7 bits.
    pub payload_type: u8,
    /// The codec's own bit string, with its unused last bits.
    pub bits: &'a [u8],
    /// How many of the last octet's bits are unused, 0 to 7.
    pub unused_bits: u8,
}

impl<'a> ReferencePictureSelection<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, media, fci) = feedback(raw)?;
        require(fci.len(), 4)?;
        // The padding is counted in bits, whole octets of it included.
        let padding = usize::from(u8_at(fci, 0));
        let len = fci.len() - 2;
        if padding / 8 > len {
            return Err(ParseError::Padding(u8_at(fci, 0)));
        }
        Ok(Self {
            sender,
            media,
            payload_type: u8_at(fci, 1) & 0x7f,
            bits: slice(fci, 2..fci.len() - padding / 8),
            unused_bits: (padding % 8) as u8,
        })
    }
}

/// One stream asked for a key frame (RFC 5104 §4.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullIntraRequestEntry {
    /// The stream.
    pub ssrc: Ssrc,
    /// Number of the request: the same number is the same request.
    pub sequence: u8,
}

/// FIR (RFC 5104 §4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct FullIntraRequest<'a> {
    /// Who asks.
    pub sender: Ssrc,
    fci: &'a [u8],
}

impl<'a> FullIntraRequest<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, _, fci) = feedback(raw)?;
        whole_entries(fci, 8)?;
        Ok(Self { sender, fci })
    }

    /// The streams asked.
    pub fn entries(
        &self,
    ) -> impl ExactSizeIterator<Item = FullIntraRequestEntry> + Clone + use<'a> {
        self.fci.chunks_exact(8).map(|e| FullIntraRequestEntry {
            ssrc: Ssrc(u32_at(e, 0)),
            sequence: u8_at(e, 4),
        })
    }
}

/// One rate limit (RFC 5104 §4.2.1.1, §4.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitrateLimit {
    /// In a request the stream it is for, in a notification its owner.
    pub ssrc: Ssrc,
    /// Bits a second, packet headers included.
    pub bits_per_second: u64,
    /// Octets of header a packet that the limit reckons with, 9 bits.
    pub overhead: u16,
}

impl BitrateLimit {
    fn read(e: &[u8]) -> Self {
        let word = u32_at(e, 4);
        let mantissa = u64::from((word >> 9) & 0x1_ffff);
        Self {
            ssrc: Ssrc(u32_at(e, 0)),
            bits_per_second: scale(mantissa, word >> 26),
            overhead: (word & 0x1ff) as u16,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (exponent, mantissa) = exponent_mantissa(self.bits_per_second, 17);
        let word = (exponent << 26) | (mantissa << 9) | u32::from(self.overhead & 0x1ff);
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// TMMBR or TMMBN (RFC 5104 §4.2).
#[derive(Clone, Copy, Debug)]
pub struct BitrateLimits<'a> {
    /// Who asks or tells.
    pub sender: Ssrc,
    fci: &'a [u8],
}

impl<'a> BitrateLimits<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, _, fci) = feedback(raw)?;
        whole_entries(fci, 8)?;
        Ok(Self { sender, fci })
    }

    /// The limits.
    pub fn limits(&self) -> impl ExactSizeIterator<Item = BitrateLimit> + Clone + use<'a> {
        self.fci.chunks_exact(8).map(BitrateLimit::read)
    }
}

/// REMB (draft-alvestrand-rmcat-remb §2).
#[derive(Clone, Copy, Debug)]
pub struct ReceiverEstimate<'a> {
    /// Who estimates.
    pub sender: Ssrc,
    /// What the streams together may send, in bits a second.
    pub bits_per_second: u64,
    ssrcs: &'a [u8],
}

impl<'a> ReceiverEstimate<'a> {
    /// Whether an application-layer feedback message is a REMB.
    pub(crate) fn is(raw: &RawPacket<'_>) -> bool {
        raw.packet_type() == packet_type::PSFB && slice(raw.body(), 8..12) == b"REMB"
    }

    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let (sender, _, fci) = feedback(raw)?;
        require(fci.len(), 8)?;
        let count = usize::from(u8_at(fci, 4));
        let rate = u24_at(fci, 5);
        let ssrcs = tail(fci, 8);
        if ssrcs.len() < count * 4 {
            return Err(ParseError::Count(count));
        }
        Ok(Self {
            sender,
            bits_per_second: scale(u64::from(rate & 0x3_ffff), rate >> 18),
            ssrcs: slice(ssrcs, 0..count * 4),
        })
    }

    /// The streams that share the rate.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + Clone + use<'a> {
        self.ssrcs.chunks_exact(4).map(|c| Ssrc(u32_at(c, 0)))
    }
}

/// `mantissa · 2^exponent`, at most `u64::MAX`: exponents have six bits.
fn scale(mantissa: u64, exponent: u32) -> u64 {
    if mantissa == 0 {
        0
    } else if mantissa.leading_zeros() < exponent {
        u64::MAX
    } else {
        mantissa << exponent
    }
}

/// The exponent and the mantissa of at most `bits` bits nearest below `value`.
pub(crate) fn exponent_mantissa(value: u64, bits: u32) -> (u32, u32) {
    let exponent = (64 - value.leading_zeros()).saturating_sub(bits);
    (exponent, (value >> exponent) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet, Writer};
    use proptest::prelude::*;

    #[test]
    fn a_nack_longer_than_a_packet_goes_on_in_another() {
        let numbers = || (0..70_000u32).map(|n| SequenceNumber((n * 17) as u16));
        let mut out = Vec::new();
        Writer::new(&mut out).nack(Ssrc(1), Ssrc(2), numbers());
        let compound = Compound::parse(&out).unwrap();
        let mut got = Vec::new();
        for packet in compound.packets() {
            match packet.unwrap() {
                Packet::Nack(nack) => got.extend(nack.sequences()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(compound.packets().count(), 2);
        assert_eq!(got, numbers().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn a_nack_gives_its_numbers_in_a_loop_and_step_by_step(
            numbers in proptest::collection::vec(any::<u16>(), 1..100),
        ) {
            let mut out = Vec::new();
            Writer::new(&mut out).nack(Ssrc(1), Ssrc(2), numbers.iter().copied().map(SequenceNumber));
            let compound = Compound::parse(&out).unwrap();
            let Some(Ok(Packet::Nack(nack))) = compound.packets().next() else {
                panic!("no NACK");
            };
            let mut looped = Vec::new();
            nack.sequences().for_each(|s| looped.push(s.0));
            let mut stepped = Vec::new();
            let mut sequences = nack.sequences();
            loop {
                let (low, high) = sequences.size_hint();
                let left = sequences.clone().count();
                prop_assert!(low <= left && high.is_some_and(|high| left <= high));
                match sequences.next() {
                    Some(s) => stepped.push(s.0),
                    None => break,
                }
            }
            prop_assert_eq!(&looped, &stepped);
            for n in numbers {
                prop_assert!(looped.contains(&n));
            }
        }
    }
}
