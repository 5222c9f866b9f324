//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions §3): which packets of
//! a connection arrived, and when.

use crate::bytes_ext::{put, slice, tail, u8_at, u16_at, u24_at, u32_at};
use crate::error::{ParseError, require};
use crate::limits::TRANSPORT_FEEDBACK_STATUSES;
use crate::rtcp::{RawPacket, packet_type};
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Octets before the chunks, the four of the RTCP header not counted.
const FIXED: usize = 16;
/// Ticks of 250 µs in one step of the reference time, 64 ms.
const REFERENCE_STEP: i64 = 256;

/// What the feedback says about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportStatus {
    /// It has not arrived, or was reported before.
    NotReceived,
    /// It arrived; when is not told.
    Received,
    /// It arrived at this time of the receiver's own clock, in ticks of 250 µs. The clock's origin
    /// is the receiver's; it wraps every 2³² ticks (12.4 days), as the reference time does.
    ReceivedAt(i64),
}

/// A transport-wide feedback message. Checked once when looked into: the chunks cover the status
/// count, and every delta is there.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    /// Who tells.
    pub sender: Ssrc,
    /// Some stream of the connection.
    pub media: Ssrc,
    /// Number of the first packet told about.
    pub base_sequence: SequenceNumber,
    /// How many packets are told about.
    pub status_count: u16,
    /// The receiver's clock before the first delta, in steps of 64 ms; 24 bits signed, wraps.
    pub reference_time: i32,
    /// Number of this message; wraps. A gap is lost feedback.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
    timed: bool,
}

impl<'a> TransportFeedback<'a> {
    pub(crate) fn from_raw(raw: &RawPacket<'a>) -> Result<Self, ParseError> {
        let body = raw.body();
        require(body.len(), FIXED)?;
        let status_count = u16_at(body, 10);
        let rest = tail(body, FIXED);
        let (chunk_octets, delta_octets) = measure(rest, status_count)?;
        let deltas = tail(rest, chunk_octets);
        // transport-wide-cc-02 lets the sender ask for feedback without times: then no deltas
        // follow, only zeros up to a whole word.
        let timed = deltas.len() >= delta_octets;
        if !timed && deltas.len() > 3 {
            return Err(ParseError::Count(delta_octets));
        }
        Ok(Self {
            sender: Ssrc(u32_at(body, 0)),
            media: Ssrc(u32_at(body, 4)),
            base_sequence: SequenceNumber(u16_at(body, 8)),
            status_count,
            reference_time: ((u24_at(body, 12) << 8) as i32) >> 8,
            feedback_count: u8_at(body, 15),
            chunks: slice(rest, 0..chunk_octets),
            deltas,
            timed,
        })
    }

    /// Each packet told about, in order of the sequence numbers.
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            chunks: self.chunks,
            deltas: self.deltas,
            timed: self.timed,
            symbols: 0,
            step: 0,
            in_chunk: 0,
            left: self.status_count,
            sequence: self.base_sequence,
            time: i64::from(self.reference_time) * REFERENCE_STEP,
        }
    }

    /// Whether arrival times are told.
    pub const fn is_timed(&self) -> bool {
        self.timed
    }
}

/// Octets of the chunks that cover `count` statuses, and of the deltas these ask for.
fn measure(rest: &[u8], count: u16) -> Result<(usize, usize), ParseError> {
    const LOW: u32 = 0x1555;
    let mut left = u32::from(count);
    let mut deltas = 0;
    let mut at = 0;
    for chunk in rest.chunks_exact(2) {
        if left == 0 {
            break;
        }
        at += 2;
        let chunk = u32::from(u16_at(chunk, 0));
        if chunk & 0x8000 == 0 {
            let run = (chunk & 0x1fff).min(left);
            deltas += delta_len(chunk >> 13) * run;
            left -= run;
        } else if chunk & 0x4000 == 0 {
            let symbols = left.min(14);
            let list = (chunk & 0x3fff) >> (14 - symbols);
            deltas += list.count_ones();
            left -= symbols;
        } else {
            let symbols = left.min(7);
            let list = (chunk & 0x3fff) >> (14 - 2 * symbols);
            let (low, high) = (list & LOW, (list >> 1) & LOW);
            deltas += (low & !high).count_ones() + 2 * (high & !low).count_ones();
            left -= symbols;
        }
    }
    if left > 0 {
        return Err(ParseError::Count(usize::from(count)));
    }
    Ok((at, deltas as usize))
}

/// Octets of delta that a status symbol asks for.
const fn delta_len(symbol: u32) -> u32 {
    match symbol {
        1 => 1,
        2 => 2,
        _ => 0,
    }
}

/// Iterator over the packets of a [`TransportFeedback`].
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    timed: bool,
    /// Symbols of the chunk being read, the next one in the two highest bits.
    symbols: u32,
    /// Bits from one symbol to the next: 0 in a run, 1 or 2 in a vector.
    step: u32,
    /// Symbols the chunk being read still has.
    in_chunk: u16,
    left: u16,
    sequence: SequenceNumber,
    time: i64,
}

impl Statuses<'_> {
    #[inline]
    fn load(&mut self) -> Option<()> {
        let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
        self.chunks = rest;
        let chunk = u16::from_be_bytes(*chunk);
        if chunk & 0x8000 == 0 {
            self.symbols = u32::from(chunk) << 17;
            self.step = 0;
            self.in_chunk = chunk & 0x1fff;
        } else if chunk & 0x4000 == 0 {
            // A zero goes in front, so that the two highest bits are 00 or 01.
            self.symbols = u32::from(chunk & 0x3fff) << 17;
            self.step = 1;
            self.in_chunk = 14;
        } else {
            self.symbols = u32::from(chunk & 0x3fff) << 18;
            self.step = 2;
            self.in_chunk = 7;
        }
        Some(())
    }

    #[inline]
    fn delta(&mut self, symbol: u32) -> Option<i64> {
        if symbol == 1 {
            let (delta, rest) = self.deltas.split_first()?;
            self.deltas = rest;
            Some(i64::from(*delta))
        } else {
            let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
            self.deltas = rest;
            Some(i64::from(i16::from_be_bytes(*delta)))
        }
    }
}

impl Iterator for Statuses<'_> {
    type Item = (SequenceNumber, TransportStatus);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while self.in_chunk == 0 {
            // An empty run is allowed by the format; it consumes its chunk.
            self.load()?;
        }
        let symbol = self.symbols >> 30;
        self.symbols = match self.step {
            0 => self.symbols,
            // Keep the zero in front of the next one-bit symbol.
            1 => (self.symbols << 1) & 0x7fff_ffff,
            _ => self.symbols << 2,
        };
        self.in_chunk -= 1;
        self.left -= 1;
        let sequence = self.sequence;
        self.sequence = sequence.next();
        let status = match symbol {
            0 => TransportStatus::NotReceived,
            1 | 2 if self.timed => {
                self.time += self.delta(symbol)?;
                TransportStatus::ReceivedAt(self.time)
            }
            _ => TransportStatus::Received,
        };
        Some((sequence, status))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

/// Writes transport-wide feedback messages; keeps its buffers from one to the next.
#[derive(Clone, Debug, Default)]
pub struct TransportFeedbackBuilder {
    deltas: Vec<u8>,
}

/// What one packet's status is on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    None = 0,
    Small = 1,
    Large = 2,
}

impl TransportFeedbackBuilder {
    /// A builder without buffers yet.
    pub const fn new() -> Self {
        Self { deltas: Vec::new() }
    }

    /// Appends one message about the packets from `base` on: for each, in order, its arrival in
    /// ticks of 250 µs of the receiver's clock, or `None` when it has not arrived.
    ///
    /// Stops before a packet whose arrival is too far from the one before for the format, and
    /// after [`TRANSPORT_FEEDBACK_STATUSES`]; and so that the message has at most `max_len` octets
    /// (at least 28). Returns how many statuses were written; the rest goes into another message.
    /// Writes nothing and returns 0 when none of the packets has arrived.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        sender: Ssrc,
        media: Ssrc,
        feedback_count: u8,
        base: SequenceNumber,
        arrivals: impl IntoIterator<Item = Option<i64>, IntoIter: Clone>,
        max_len: usize,
    ) -> u16 {
        let arrivals = arrivals.into_iter().take(TRANSPORT_FEEDBACK_STATUSES);
        let Some(first) = arrivals.clone().flatten().next() else {
            return 0;
        };
        let reference = first.div_euclid(REFERENCE_STEP);
        let start = out.len();
        out.extend_from_slice(&[0x80 | 15, packet_type::RTPFB, 0, 0]);
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&media.0.to_be_bytes());
        out.extend_from_slice(&base.0.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        let reference_field = (reference as u32 & 0xff_ffff) << 8;
        out.extend_from_slice(&(reference_field | u32::from(feedback_count)).to_be_bytes());

        self.deltas.clear();
        let mut chunks = ChunkWriter::default();
        let mut time = reference * REFERENCE_STEP;
        let mut count = 0u16;
        for arrival in arrivals {
            let symbol = match arrival {
                None => Symbol::None,
                Some(at) => {
                    let delta = at - time;
                    // The chunk being filled, this delta, and zeros up to a word.
                    let needed = out.len() - start + 4 + self.deltas.len() + 2 + 3;
                    if !self.deltas.is_empty() && needed > max_len {
                        break;
                    }
                    if let Ok(small) = u8::try_from(delta) {
                        self.deltas.push(small);
                        time = at;
                        Symbol::Small
                    } else if let Ok(large) = i16::try_from(delta) {
                        self.deltas.extend_from_slice(&large.to_be_bytes());
                        time = at;
                        Symbol::Large
                    } else {
                        break;
                    }
                }
            };
            chunks.push(out, symbol);
            count += 1;
        }
        chunks.finish(out);
        out.extend_from_slice(&self.deltas);
        let padded = (out.len() - start).div_ceil(4) * 4;
        out.resize(start + padded, 0);
        put(out, start + 2, &((padded / 4 - 1) as u16).to_be_bytes());
        put(out, start + 14, &count.to_be_bytes());
        count
    }
}

/// Gathers statuses into chunks: runs where all are the same, vectors elsewhere.
#[derive(Default)]
struct ChunkWriter {
    /// Pending symbols, the first in the lowest two bits; only the first 14 are kept, as only a
    /// run can be longer.
    symbols: u32,
    len: u16,
    large: bool,
    mixed: bool,
}

impl ChunkWriter {
    #[inline]
    fn push(&mut self, out: &mut Vec<u8>, symbol: Symbol) {
        while !self.fits(symbol) {
            self.emit(out);
        }
        self.add(symbol as u32);
    }

    #[inline]
    fn add(&mut self, symbol: u32) {
        if self.len > 0 && symbol != self.symbols & 3 {
            self.mixed = true;
        }
        if self.len < 14 {
            self.symbols |= symbol << (2 * self.len);
        }
        self.large |= symbol == Symbol::Large as u32;
        self.len += 1;
    }

    #[inline]
    fn fits(&self, symbol: Symbol) -> bool {
        if self.len < 7 {
            return true;
        }
        if !self.mixed && self.len < 0x1fff && symbol as u32 == self.symbols & 3 {
            return true;
        }
        self.len < 14 && !self.large && symbol != Symbol::Large
    }

    /// Writes one full chunk and keeps what it did not hold.
    fn emit(&mut self, out: &mut Vec<u8>) {
        if !self.mixed {
            out.extend_from_slice(&(((self.symbols & 3) as u16) << 13 | self.len).to_be_bytes());
            *self = Self::default();
        } else if self.len == 14 && !self.large {
            self.vector_of_bits(out);
        } else {
            self.vector_of_pairs(out);
        }
    }

    fn vector_of_bits(&mut self, out: &mut Vec<u8>) {
        let mut chunk = 0x8000;
        for i in 0..14 {
            chunk |= (((self.symbols >> (2 * i)) & 1) as u16) << (13 - i);
        }
        out.extend_from_slice(&chunk.to_be_bytes());
        *self = Self::default();
    }

    fn vector_of_pairs(&mut self, out: &mut Vec<u8>) {
        let mut chunk = 0xc000;
        for i in 0..7 {
            chunk |= (((self.symbols >> (2 * i)) & 3) as u16) << (12 - 2 * i);
        }
        out.extend_from_slice(&chunk.to_be_bytes());
        let (symbols, len) = (self.symbols >> 14, self.len.saturating_sub(7));
        *self = Self::default();
        for i in 0..len.min(7) {
            self.add((symbols >> (2 * i)) & 3);
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        while self.len > 0 {
            if self.mixed && self.len > 7 && !self.large {
                self.vector_of_bits(out);
            } else {
                self.emit(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet};
    use proptest::prelude::*;

    fn statuses(bytes: &[u8]) -> Vec<(u16, TransportStatus)> {
        let compound = Compound::parse(bytes).unwrap();
        match compound.packets().next().unwrap().unwrap() {
            Packet::TransportFeedback(f) => f.statuses().map(|(s, t)| (s.0, t)).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn message(count: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 1, 9]);
        bytes.extend_from_slice(rest);
        bytes.resize(bytes.len().div_ceil(4) * 4, 0);
        bytes[3] = (bytes.len() / 4 - 1) as u8;
        bytes
    }

    /// The two vectors of §3.1.4 and a run of §3.1.3.
    #[test]
    fn reads_the_drafts_example_chunks() {
        let vector = 0b1001_1111_0001_1100_u16.to_be_bytes();
        let mut rest = vector.to_vec();
        rest.extend_from_slice(&[1; 8]);
        let got = statuses(&message(14, &rest));
        let arrived: Vec<bool> = got
            .iter()
            .map(|(_, s)| *s != TransportStatus::NotReceived)
            .collect();
        let t = true;
        let f = false;
        assert_eq!(arrived, [f, t, t, t, t, t, f, f, f, t, t, t, f, f]);
        assert_eq!(got[0].0, 0xffff);
        assert_eq!(got[1], (0, TransportStatus::ReceivedAt(257)));
        assert_eq!(got[11].1, TransportStatus::ReceivedAt(264));

        let pairs = 0b1100_1101_0101_0000_u16.to_be_bytes();
        let mut rest = pairs.to_vec();
        rest.extend_from_slice(&[1; 3]);
        let got: Vec<_> = statuses(&message(7, &rest)).iter().map(|s| s.1).collect();
        use TransportStatus::*;
        assert_eq!(
            got,
            [
                NotReceived,
                Received,
                ReceivedAt(257),
                ReceivedAt(258),
                ReceivedAt(259),
                NotReceived,
                NotReceived
            ]
        );
        let got = statuses(&message(221, &221u16.to_be_bytes()));
        assert!(got.iter().all(|s| s.1 == NotReceived));
        assert_eq!(got.len(), 221);
    }

    #[test]
    fn refuses_counts_that_lie() {
        for (count, rest) in [(222, &[0, 221][..]), (3, &[0x20, 3, 1, 1, 0, 0][..4])] {
            let bytes = message(count, rest);
            let compound = Compound::parse(&bytes).unwrap();
            let got = compound.packets().next().unwrap().err();
            match count {
                222 => assert_eq!(got, Some(ParseError::Count(222))),
                // Fewer than a word of deltas is feedback without times.
                _ => assert_eq!(got, None),
            }
        }
        let mut rest = vec![0x20, 40];
        rest.extend_from_slice(&[1; 20]);
        let bytes = message(40, &rest);
        let got = Compound::parse(&bytes).unwrap().packets().next().unwrap();
        assert_eq!(got.err(), Some(ParseError::Count(40)));
    }

    proptest! {
        #[test]
        fn written_feedback_reads_back(
            base: u16,
            first in -40_000_000i64..40_000_000,
            steps in proptest::collection::vec(
                proptest::option::weighted(0.7, prop_oneof![0i64..200, -3000i64..3000, 30_000i64..40_000]),
                0..600),
            max_len in 60usize..1400,
        ) {
            let mut arrivals = vec![Some(first)];
            let mut at = first;
            for step in steps {
                arrivals.push(step.map(|s| { at += s; at }));
            }
            let mut builder = TransportFeedbackBuilder::new();
            let mut done = 0;
            while done < arrivals.len() {
                let mut out = Vec::new();
                let base = SequenceNumber(base).add(done as u16);
                let n = builder.write(&mut out, Ssrc(1), Ssrc(2), 3, base,
                    arrivals[done..].iter().copied(), max_len);
                if n == 0 { prop_assert!(arrivals[done..].iter().all(Option::is_none)); break; }
                prop_assert!(out.len() <= max_len, "{} > {}", out.len(), max_len);
                let got = statuses(&out);
                prop_assert_eq!(got.len(), usize::from(n));
                for (i, (sequence, status)) in got.into_iter().enumerate() {
                    prop_assert_eq!(sequence, base.add(i as u16).0);
                    let expected = match arrivals[done + i] {
                        None => TransportStatus::NotReceived,
                        Some(t) => TransportStatus::ReceivedAt(t),
                    };
                    prop_assert_eq!(status, expected);
                }
                done += usize::from(n);
            }
        }
    }
}
