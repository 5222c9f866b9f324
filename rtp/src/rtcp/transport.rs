//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions §3): which packets of
//! a connection arrived, and when.

use crate::bytes_ext::{slice, tail, u8_at, u16_at, u24_at, u32_at};
use crate::error::{ParseError, require};
use crate::rtcp::RawPacket;
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Octets before the chunks, the four of the RTCP header not counted.
const FIXED: usize = 16;
/// Ticks of 250 µs in one step of the reference time, 64 ms.
pub(super) const REFERENCE_STEP: i64 = 256;

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

/// Octets of delta that eight bits of a one-bit vector ask for, in the first table, and four symbols
/// of a two-bit vector, in the second: a symbol 1 has one, a symbol 2 two.
const DELTAS: [[u8; 256]; 2] = {
    let mut tables = [[0; 256]; 2];
    let mut bits = 0;
    while bits < 256 {
        tables[0][bits] = (bits as u8).count_ones() as u8;
        let mut shift = 0;
        while shift < 8 {
            let symbol = (bits >> shift) as u8 & 3;
            tables[1][bits] += if symbol == 3 { 0 } else { symbol };
            shift += 2;
        }
        bits += 1;
    }
    tables
};

/// Octets of the chunks that cover `count` statuses, and of the deltas these ask for.
fn measure(rest: &[u8], count: u16) -> Result<(usize, usize), ParseError> {
    let mut left = u32::from(count);
    let mut deltas = 0;
    let mut at = 0;
    let (chunks, _) = rest.as_chunks::<2>();
    for chunk in chunks {
        if left == 0 {
            break;
        }
        at += 2;
        let chunk = u16::from_be_bytes(*chunk);
        if chunk & 0x8000 == 0 {
            let run = u32::from(chunk & 0x1fff).min(left);
            let symbol = u32::from(chunk >> 13);
            deltas += if symbol == 3 { 0 } else { symbol * run };
            left -= run;
        } else {
            let pairs = usize::from(chunk >> 14 & 1);
            let (bits, full) = if pairs == 0 { (1, 14) } else { (2, 7) };
            let symbols = left.min(full);
            // Symbols beyond the count do not count.
            let [high, low] = ((chunk & 0x3fff) >> ((full - symbols) * bits)).to_be_bytes();
            let table = &DELTAS[pairs];
            deltas += u32::from(table[usize::from(high)]) + u32::from(table[usize::from(low)]);
            left -= symbols;
        }
    }
    if left > 0 {
        return Err(ParseError::Count(usize::from(count)));
    }
    Ok((at, deltas as usize))
}

/// Iterator over the packets of a [`TransportFeedback`]. Quickest with `for_each` and the like, which
/// go through it in one loop.
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    timed: bool,
    /// Symbols of the chunk being read, two bits each, the next one highest. They are rotated, so
    /// that those of a run never end.
    symbols: u32,
    /// Symbols the chunk being read still has.
    in_chunk: u16,
    /// Statuses in the chunks after it.
    left: u16,
    sequence: SequenceNumber,
    time: i64,
}

impl Statuses<'_> {
    /// Reads the next chunk that has symbols; `None` when all were read.
    #[inline]
    fn load(&mut self) -> Option<()> {
        // An empty run is allowed by the format; it consumes its chunk.
        while self.in_chunk == 0 && self.left > 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            let chunk = u16::from_be_bytes(*chunk);
            let symbols = u32::from(chunk & 0x3fff);
            (self.symbols, self.in_chunk) = if chunk & 0x8000 == 0 {
                (u32::from(chunk >> 13) * 0x5555_5555, chunk & 0x1fff)
            } else if chunk & 0x4000 == 0 {
                (spread(symbols) << 4, 14)
            } else {
                (symbols << 18, 7)
            };
            self.in_chunk = self.in_chunk.min(self.left);
            self.left -= self.in_chunk;
        }
        (self.in_chunk > 0).then_some(())
    }

    /// The status of the next symbol of the chunk, of which there is one.
    #[inline(always)]
    fn pop(&mut self) -> Option<(SequenceNumber, TransportStatus)> {
        let symbol = self.symbols >> 30;
        self.symbols = self.symbols.rotate_left(2);
        self.in_chunk -= 1;
        let sequence = self.sequence;
        self.sequence = sequence.next();
        let status = match symbol {
            0 => TransportStatus::NotReceived,
            1 if self.timed => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                self.time += i64::from(*delta);
                TransportStatus::ReceivedAt(self.time)
            }
            2 if self.timed => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                self.time += i64::from(i16::from_be_bytes(*delta));
                TransportStatus::ReceivedAt(self.time)
            }
            _ => TransportStatus::Received,
        };
        Some((sequence, status))
    }
}

/// Puts a zero in front of each of the lowest sixteen bits.
pub(super) const fn spread(bits: u32) -> u32 {
    let bits = (bits | (bits << 8)) & 0x00ff_00ff;
    let bits = (bits | (bits << 4)) & 0x0f0f_0f0f;
    let bits = (bits | (bits << 2)) & 0x3333_3333;
    (bits | (bits << 1)) & 0x5555_5555
}

impl Iterator for Statuses<'_> {
    type Item = (SequenceNumber, TransportStatus);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.in_chunk == 0 {
            self.load()?;
        }
        self.pop()
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut all = init;
        while self.load().is_some() {
            while self.in_chunk > 0 {
                let Some(status) = self.pop() else {
                    return all;
                };
                all = f(all, status);
            }
        }
        all
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left) + usize::from(self.in_chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet, TransportFeedbackBuilder};
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
        fn a_loop_over_all_statuses_gives_what_single_steps_give(
            count in 0u16..400,
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = message(count, &rest);
            let compound = Compound::parse(&bytes).unwrap();
            if let Ok(Packet::TransportFeedback(f)) = compound.packets().next().unwrap() {
                let mut looped = Vec::new();
                f.statuses().for_each(|s| looped.push(s));
                let mut stepped = Vec::new();
                for s in f.statuses() {
                    stepped.push(s);
                }
                prop_assert_eq!(&looped, &stepped);
                prop_assert_eq!(stepped.len(), usize::from(count));
            }
        }

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
