//! Writing transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions §3) in one pass
//! over the arrivals.

use crate::bytes_ext::put;
use crate::limits::TRANSPORT_FEEDBACK_STATUSES;
use crate::rtcp::packet_type;
use crate::rtcp::transport::{REFERENCE_STEP, spread};
use crate::sequence::SequenceNumber;
use crate::types::Ssrc;

/// Octets before the chunks.
const FIXED: usize = 20;
/// Symbols that are gathered before a chunk is chosen: what a one-bit vector has.
const BLOCK: u32 = 14;
/// The bits of a block's symbols, and of its first one.
const MASK: u32 = (1 << BLOCK) - 1;
const FIRST: u32 = 1 << (BLOCK - 1);
/// Octets that a block's deltas have room in: two for each, up to a power of two.
const DELTAS: usize = 32;
/// Symbols that a two-bit vector has.
const TWO_BITS: u32 = 7;
/// Symbols that a run has at most.
const RUN: u32 = 0x1fff;

/// Writes transport-wide feedback messages; keeps its buffer from one to the next.
#[derive(Clone, Debug, Default)]
pub struct TransportFeedbackBuilder {
    /// Room for the deltas of the message being written: they come after the chunks, of which one
    /// doesn't know beforehand how many there are.
    deltas: Vec<u8>,
}

impl TransportFeedbackBuilder {
    /// A builder without a buffer yet.
    pub const fn new() -> Self {
        Self { deltas: Vec::new() }
    }

    /// Appends one message about the packets from `base` on: for each, in order, its arrival in
    /// ticks of 250 µs of the receiver's clock, or `None` when it has not arrived.
    ///
    /// Stops before a packet whose arrival is too far from the one before for the format, and
    /// after [`TRANSPORT_FEEDBACK_STATUSES`]; and so that the message has at most `max_len` octets
    /// (at least 28). Returns how many statuses were written; the rest goes into another message.
    /// Writes nothing and returns 0 when none of the first [`TRANSPORT_FEEDBACK_STATUSES`] packets has arrived.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        sender: Ssrc,
        media: Ssrc,
        feedback_count: u8,
        base: SequenceNumber,
        arrivals: impl IntoIterator<Item = Option<i64>>,
        max_len: usize,
    ) -> u16 {
        let mut arrivals = arrivals.into_iter();
        let mut count = 0;
        let first = loop {
            match arrivals.next() {
                None => return 0,
                Some(_) if count == TRANSPORT_FEEDBACK_STATUSES => return 0,
                Some(None) => count += 1,
                Some(Some(at)) => break at,
            }
        };
        // The arithmetic wraps: times come from the caller, and a message tells 24 bits of them.
        let reference = first.div_euclid(REFERENCE_STEP);
        let mut time = reference.wrapping_mul(REFERENCE_STEP);
        let start = out.len();
        let reference_field = (reference as u32) << 8 | u32::from(feedback_count);
        let mut fixed = [0; FIXED];
        put(&mut fixed, 0, &[0x80 | 15, packet_type::RTPFB]);
        put(&mut fixed, 4, &sender.0.to_be_bytes());
        put(&mut fixed, 8, &media.0.to_be_bytes());
        put(&mut fixed, 12, &base.0.to_be_bytes());
        put(&mut fixed, 16, &reference_field.to_be_bytes());
        out.extend_from_slice(&fixed);

        let mut symbols = Symbols::default();
        for _ in 0..count {
            symbols.push(0, out);
        }
        // The reference time is at most 255 ticks before the first arrival.
        symbols.push(FIRST, out);
        count += 1;
        if let Some(place) = deltas_from(&mut self.deltas, 0) {
            place[0] = first.wrapping_sub(time) as u8;
        }
        let mut written = 1;
        time = first;
        let mut more = true;
        while more && count < TRANSPORT_FEEDBACK_STATUSES {
            // As many symbols as a chunk may need and as there is room for whatever their deltas
            // are; what they come to stays in registers meanwhile.
            let Some(place) = deltas_from(&mut self.deltas, written) else {
                break;
            };
            let taken = out.len() - start + symbols.open_len() + 3 + written;
            let room = (max_len.saturating_sub(taken) / 2)
                .min(TRANSPORT_FEEDBACK_STATUSES - count)
                .min((BLOCK - symbols.len) as usize);
            let end = (FIRST << 1) >> (symbols.len as usize + room + 1);
            let (mut arrived, mut large, mut len) = (0, 0, 0);
            let mut bit = FIRST >> symbols.len;
            while bit != end {
                let Some(arrival) = arrivals.next() else {
                    more = false;
                    break;
                };
                if let Some(at) = arrival {
                    let delta = at.wrapping_sub(time);
                    // A block has 28 octets at most.
                    if let Ok(small) = u8::try_from(delta) {
                        place[len % DELTAS] = small;
                        len += 1;
                    } else if let Ok(delta) = i16::try_from(delta) {
                        put(place, len, &delta.to_be_bytes());
                        large |= bit;
                        len += 2;
                    } else {
                        more = false;
                        break;
                    }
                    arrived |= bit;
                    time = at;
                }
                bit >>= 1;
            }
            written += len;
            let gathered = bit.leading_zeros() - FIRST.leading_zeros();
            count += (gathered - symbols.len) as usize;
            symbols.arrived |= arrived;
            symbols.large |= large;
            symbols.len = gathered;
            more &= room > 0;
            if symbols.len == BLOCK {
                symbols.chunk(out);
            }
        }
        symbols.finish(out);
        out.extend_from_slice(self.deltas.get(..written).unwrap_or_default());
        let padded = (out.len() - start).next_multiple_of(4);
        out.resize(start + padded, 0);
        put(out, start + 2, &((padded / 4 - 1) as u16).to_be_bytes());
        // At most TRANSPORT_FEEDBACK_STATUSES, which has sixteen bits.
        let count = count as u16;
        put(out, start + 14, &count.to_be_bytes());
        count
    }
}

/// Room for the deltas of a block of symbols behind the `written` ones.
#[inline]
fn deltas_from(deltas: &mut Vec<u8>, written: usize) -> Option<&mut [u8; DELTAS]> {
    if deltas.len() < written + DELTAS {
        deltas.resize((written + DELTAS) * 2, 0);
    }
    deltas.get_mut(written..)?.first_chunk_mut()
}

/// Gathers status symbols and chooses chunks for them: a run where more of them are the same than
/// a vector holds, a vector of one bit a symbol where no delta is large, one of two bits elsewhere.
#[derive(Default)]
struct Symbols {
    /// How many symbols a run has that is open, already taken out of the masks; zero when none is.
    run: u32,
    /// Its symbol.
    symbol: u16,
    /// The symbols after the run, the first one in the highest of [`BLOCK`] bits: whether the
    /// packet arrived, and whether its delta has two octets.
    arrived: u32,
    large: u32,
    len: u32,
}

impl Symbols {
    /// Adds one without a delta or, with [`FIRST`], with a small one.
    fn push(&mut self, arrived: u32, out: &mut Vec<u8>) {
        self.arrived |= arrived >> self.len;
        self.len += 1;
        if self.len == BLOCK {
            self.chunk(out);
        }
    }

    /// Octets that the chunks of the open run and of a block after it come to at most.
    const fn open_len(&self) -> usize {
        if self.run > 0 { 6 } else { 4 }
    }

    /// Writes what is decided of a full block and leaves less than one, or a run.
    fn chunk(&mut self, out: &mut Vec<u8>) {
        if self.run > 0 {
            self.extend_run();
            if self.len == 0 {
                return;
            }
            self.end_run(out);
            if self.len < BLOCK {
                return;
            }
        }
        let same = self.same();
        if same == self.len {
            self.begin_run(same);
        } else if self.large == 0 {
            self.one_bit(out);
        } else {
            self.run_or_two_bits(same, out);
        }
    }

    /// The first symbol.
    const fn first(&self) -> u16 {
        // Arrived with a large delta is 2, with a small one 1.
        ((self.arrived & FIRST != 0) as u16) + ((self.large & FIRST != 0) as u16)
    }

    /// How many symbols from the first on are as this one.
    const fn leading(&self, symbol: u16) -> u32 {
        let arrived = if symbol > 0 { MASK } else { 0 };
        let large = if symbol > 1 { MASK } else { 0 };
        let others = (self.arrived ^ arrived) | (self.large ^ large);
        let same = others.leading_zeros() - FIRST.leading_zeros();
        if same < self.len { same } else { self.len }
    }

    /// How many symbols from the first on are as the first one.
    const fn same(&self) -> u32 {
        self.leading(self.first())
    }

    const fn drop(&mut self, n: u32) {
        self.arrived = (self.arrived << n) & MASK;
        self.large = (self.large << n) & MASK;
        self.len -= n;
    }

    const fn begin_run(&mut self, n: u32) {
        self.run = n;
        self.symbol = self.first();
        self.drop(n);
    }

    fn extend_run(&mut self) {
        let more = self.leading(self.symbol).min(RUN - self.run);
        self.run += more;
        self.drop(more);
    }

    fn end_run(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.symbol << 13 | self.run as u16).to_be_bytes());
        self.run = 0;
    }

    fn one_bit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(0x8000 | self.arrived as u16).to_be_bytes());
        self.drop(self.len);
    }

    fn run_or_two_bits(&mut self, same: u32, out: &mut Vec<u8>) {
        if same > TWO_BITS {
            self.begin_run(same);
            return self.end_run(out);
        }
        // Small is 01 and large 10: both bits are spread to their places and added.
        let arrived = spread(self.arrived >> TWO_BITS);
        let large = spread(self.large >> TWO_BITS);
        out.extend_from_slice(&(0xc000 | (arrived + large) as u16).to_be_bytes());
        self.drop(self.len.min(TWO_BITS));
    }

    /// Writes the rest.
    fn finish(mut self, out: &mut Vec<u8>) {
        if self.run > 0 {
            self.extend_run();
            self.end_run(out);
        }
        while self.len > 0 {
            let same = self.same();
            if same == self.len {
                self.begin_run(same);
                self.end_run(out);
            } else if self.len > TWO_BITS && self.large == 0 {
                self.one_bit(out);
            } else {
                self.run_or_two_bits(same, out);
            }
        }
    }
}
