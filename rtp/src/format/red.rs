//! Redundant coding (RFC 2198): earlier payloads go along with the newest.

use std::collections::VecDeque;

use crate::bytes_ext::{tail, u8_at, u32_at};
use crate::error::{ParseError, WriteError, require};
use crate::format::Input;
use crate::limits::MAX_RED_BLOCKS;
use crate::types::PayloadType;

/// Timestamp offsets a block can tell: 14 bits.
const MAX_OFFSET: u32 = (1 << 14) - 1;
/// Octets a redundant block can have: 10 bits.
const MAX_BLOCK: usize = (1 << 10) - 1;

/// One block of a RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is coded in.
    pub payload_type: PayloadType,
    /// How much earlier than the packet's timestamp it is: 0 for the primary block.
    pub timestamp_offset: u32,
    /// Its octets.
    pub data: &'a [u8],
}

/// A RED payload, checked once.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    headers: &'a [u8],
    primary: PayloadType,
    data: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Looks at a payload.
    ///
    /// # Errors
    /// [`ParseError`] when headers or blocks do not fit, or there are more than
    /// [`MAX_RED_BLOCKS`] redundant blocks.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let mut at = 0;
        let mut blocks = 0;
        let mut octets = 0;
        loop {
            require(payload.len(), at + 1)?;
            if u8_at(payload, at) & 0x80 == 0 {
                break;
            }
            require(payload.len(), at + 4)?;
            octets += (u32_at(payload, at) & 0x3ff) as usize;
            at += 4;
            blocks += 1;
            if blocks > MAX_RED_BLOCKS {
                return Err(ParseError::Count(blocks));
            }
        }
        let data = tail(payload, at + 1);
        if octets > data.len() {
            return Err(ParseError::Count(octets));
        }
        Ok(Self {
            headers: payload.get(..at).unwrap_or(&[]),
            primary: PayloadType::from_low_bits(u8_at(payload, at)),
            data,
        })
    }

    /// The blocks, the oldest first, the primary last.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + Clone + use<'a> {
        let mut data = self.data;
        let redundant = self.headers.chunks_exact(4).map(|h| {
            let word = u32_at(h, 0);
            (
                PayloadType::from_low_bits((word >> 24) as u8),
                (word >> 10) & MAX_OFFSET,
                Some((word & 0x3ff) as usize),
            )
        });
        redundant
            .chain(std::iter::once((self.primary, 0, None)))
            .map(move |(payload_type, timestamp_offset, len)| {
                let (block, rest) = data
                    .split_at_checked(len.unwrap_or(data.len()))
                    .unwrap_or((data, &[]));
                data = rest;
                Block {
                    payload_type,
                    timestamp_offset,
                    data: block,
                }
            })
    }

    /// The newest block.
    pub fn primary(&self) -> Block<'a> {
        let redundant: usize = self
            .headers
            .chunks_exact(4)
            .map(|h| (u32_at(h, 0) & 0x3ff) as usize)
            .sum();
        Block {
            payload_type: self.primary,
            timestamp_offset: 0,
            data: tail(self.data, redundant),
        }
    }
}

/// Writes RED payloads: remembers the last few payloads and sends them along.
#[derive(Clone, Debug)]
pub struct Encoder {
    payload_type: PayloadType,
    distance: usize,
    history: VecDeque<(u32, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Encoder {
    /// An encoder of payloads of one type that sends the last `distance` along, at most
    /// [`MAX_RED_BLOCKS`].
    pub fn new(payload_type: PayloadType, distance: usize) -> Self {
        Self {
            payload_type,
            distance: distance.min(MAX_RED_BLOCKS),
            history: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Appends the RED payload for `primary`, of at most `max_payload` octets: the oldest redundant
    /// blocks are left away as needed, and those too old or too long for the format.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] when not even the primary block fits; nothing is written.
    pub fn encode(
        &mut self,
        timestamp: u32,
        primary: &[u8],
        max_payload: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        if primary.len() + 1 > max_payload {
            return Err(WriteError::TooMany(primary.len()));
        }
        let mut room = max_payload - 1 - primary.len();
        let mut used = 0;
        for (earlier, payload) in self.history.iter().rev() {
            let fits = timestamp.wrapping_sub(*earlier) <= MAX_OFFSET
                && payload.len() <= MAX_BLOCK
                && payload.len() + 4 <= room;
            if !fits {
                break;
            }
            room -= payload.len() + 4;
            used += 1;
        }
        let redundant = || self.history.iter().skip(self.history.len() - used);
        for (earlier, payload) in redundant() {
            let offset = timestamp.wrapping_sub(*earlier);
            let word = 0x8000_0000
                | (u32::from(self.payload_type.get()) << 24)
                | (offset << 10)
                | payload.len() as u32;
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.push(self.payload_type.get());
        for (_, payload) in redundant() {
            out.extend_from_slice(payload);
        }
        out.extend_from_slice(primary);
        self.remember(timestamp, primary);
        Ok(())
    }

    fn remember(&mut self, timestamp: u32, payload: &[u8]) {
        if self.distance == 0 {
            return;
        }
        if self.history.len() == self.distance
            && let Some((_, buffer)) = self.history.pop_front()
        {
            self.spare.push(buffer);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(payload);
        self.history.push_back((timestamp, buffer));
    }
}

/// Takes the packets of a stream in order and gives each one's own payload, and of those before it the ones whose packets never
/// came.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// Timestamp of the packet before.
    last: Option<u32>,
}

impl Receiver {
    /// A receiver that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of the same stream that wraps nothing came.
    pub fn on_plain(&mut self, timestamp: u32) {
        self.last = Some(timestamp);
    }

    /// How many payloads later than the packet before a RED payload with this timestamp carries along. When as many packets are
    /// missing, or fewer, there is nothing to wait for.
    pub fn carried(&self, timestamp: u32, payload: &[u8]) -> usize {
        Payload::parse(payload).map_or(0, |red| self.later(&red, timestamp).count())
    }

    /// Takes a RED packet, `lost_before` packets right before which did not come. Returns how many of these it carries along, and
    /// the payloads, the packet's own last, as packets of their own: those lost with the numbers that they had. Empty payloads
    /// are left away.
    ///
    /// Timestamps tell what was given already; that they go on where they were is not needed.
    ///
    /// # Errors
    /// As [`Payload::parse`].
    pub fn on_packet<'a>(
        &mut self,
        packet: &Input<'a>,
        lost_before: u64,
    ) -> Result<
        (
            u64,
            impl Iterator<Item = (PayloadType, Input<'a>)> + use<'a>,
        ),
        ParseError,
    > {
        let packet = *packet;
        let red = Payload::parse(packet.payload)?;
        let later = self.later(&red, packet.timestamp);
        self.last = Some(packet.timestamp);
        let count = later.clone().count() as u64;
        let carried = count.min(lost_before);
        let lost = later.skip((count - carried) as usize);
        let own = Some(red.primary()).filter(|b| !b.data.is_empty());
        let first = packet.sequence.saturating_sub(carried);
        let numbered = (first..).zip(lost);
        let payloads = numbered.chain(own.map(|b| (packet.sequence, b)));
        let payloads = payloads.map(move |(sequence, block)| {
            let input = Input {
                sequence,
                timestamp: packet.timestamp.wrapping_sub(block.timestamp_offset),
                payload: block.data,
                ..packet
            };
            (block.payload_type, input)
        });
        Ok((carried, payloads))
    }

    /// The redundant blocks from after the packet before, each later than the one before it.
    fn later<'a>(
        &self,
        red: &Payload<'a>,
        timestamp: u32,
    ) -> impl Iterator<Item = Block<'a>> + Clone + use<'a> {
        // Of the first packet of all none: it was before we listened.
        let mut age = self.last.map_or(0, |last| timestamp.wrapping_sub(last));
        red.blocks().filter(move |block| {
            let is_later = (1..age).contains(&block.timestamp_offset) && !block.data.is_empty();
            if is_later {
                age = block.timestamp_offset;
            }
            is_later
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pt(n: u8) -> PayloadType {
        PayloadType::new(n).unwrap()
    }

    /// What a receiver gives of packets with these numbers and timestamps: timestamps of sound, in frames.
    fn given(timestamps: impl Fn(u32) -> u32, lost: &[u32]) -> Vec<(u64, u32)> {
        let mut encoder = Encoder::new(pt(111), 2);
        let mut receiver = Receiver::new();
        let mut got = Vec::new();
        let mut missing = 0;
        for n in 0..10u32 {
            let mut payload = Vec::new();
            let timestamp = timestamps(n);
            encoder
                .encode(timestamp, &[n as u8; 5], 1200, &mut payload)
                .unwrap();
            if lost.contains(&n) {
                missing += 1;
                continue;
            }
            let input = Input {
                sequence: 1000 + u64::from(n),
                timestamp,
                marker: false,
                payload: &payload,
            };
            let (carried, payloads) = receiver.on_packet(&input, missing).unwrap();
            assert!(carried <= missing);
            missing = 0;
            for (payload_type, input) in payloads {
                let n = input.payload[0];
                assert_eq!(
                    (payload_type, input.timestamp),
                    (pt(111), timestamps(u32::from(n)))
                );
                got.push((input.sequence, u32::from(n)));
            }
        }
        got
    }

    #[test]
    fn lost_packets_come_with_later_ones() {
        let all: Vec<_> = (0..10).map(|n| (1000 + u64::from(n), n)).collect();
        assert_eq!(given(|n| n * 960, &[3, 4, 7]), all);
        let got = given(|n| n * 960, &[3, 4, 5]);
        assert_eq!(got, [&all[..3], &all[4..]].concat());
    }

    #[test]
    fn timestamps_that_leap_silence_nothing() {
        let all: Vec<_> = (0..10).map(|n| (1000 + u64::from(n), n)).collect();
        for leap in [1u32 << 30, 1 << 31, 3 << 30, 5, 0u32.wrapping_sub(5 * 960)] {
            let timestamps = |n: u32| (n * 960).wrapping_add(if n >= 5 { leap } else { 0 });
            assert_eq!(given(timestamps, &[3, 7]), all, "{leap}");
        }
        // A packet of an event has the event's timestamp, each time the same.
        let mut receiver = Receiver::new();
        for sequence in 0..5 {
            let input = Input {
                sequence,
                timestamp: 777,
                marker: false,
                payload: &[126, 5, 10, 0, 1],
            };
            let (_, payloads) = receiver.on_packet(&input, 0).unwrap();
            assert_eq!(payloads.count(), 1);
        }
    }

    #[test]
    fn blocks_out_of_order_take_no_later_numbers() {
        let block = |offset: u32| (0x8000_0001 | (111 << 24) | (offset << 10)).to_be_bytes();
        let received = |offsets: &[u32], lost| {
            let mut payload: Vec<u8> = offsets.iter().copied().flat_map(block).collect();
            payload.push(111);
            payload.resize(payload.len() + offsets.len() + 1, 7);
            let mut receiver = Receiver::new();
            receiver.on_plain(0);
            let input = Input {
                sequence: 10,
                timestamp: 4 * 960,
                marker: false,
                payload: &payload,
            };
            let (carried, payloads) = receiver.on_packet(&input, lost).unwrap();
            let given: Vec<_> = payloads.map(|(_, p)| (p.sequence, p.timestamp)).collect();
            (carried, given)
        };
        let own = (10, 4 * 960);
        let offsets = [&[0; 15][..], &[960]].concat();
        assert_eq!(received(&offsets, 1), (1, vec![(9, 3 * 960), own]));
        assert_eq!(received(&[960, 1920], 3), (1, vec![(9, 3 * 960), own]));
        assert_eq!(received(&[960, 960], 1), (1, vec![(9, 3 * 960), own]));
        // What came is in it too.
        assert_eq!(received(&[1920, 960], 1), (1, vec![(9, 3 * 960), own]));
        assert_eq!(received(&[1920, 960], 0), (0, vec![own]));
        // As old as what came before, and older.
        assert_eq!(received(&[5 * 960, 4 * 960], 2), (0, vec![own]));
    }

    #[test]
    fn blocks_that_lie_are_refused() {
        assert!(Payload::parse(&[]).is_err());
        assert!(Payload::parse(&[0x80 | 111, 0, 0]).is_err());
        assert_eq!(
            Payload::parse(&[0x80 | 111, 0, 0, 9, 111, 1]).err(),
            Some(ParseError::Count(9))
        );
        let many = [0x80 | 111, 0, 0, 0].repeat(17);
        assert_eq!(
            Payload::parse(&[&many[..], &[111]].concat()).err(),
            Some(ParseError::Count(17))
        );
        let plain = Payload::parse(&[111, 7, 8]).unwrap();
        assert_eq!(plain.primary().data, [7, 8]);
        assert_eq!(plain.blocks().count(), 1);
    }

    proptest! {
        #[test]
        fn written_payloads_read_back(
            sizes in proptest::collection::vec(0usize..1100, 1..8), step in 1u32..9000,
            max in 200usize..1500, distance in 0usize..5) {
            let mut encoder = Encoder::new(pt(96), distance);
            for (i, size) in sizes.iter().enumerate() {
                let mut out = Vec::new();
                let primary = vec![i as u8; *size];
                let timestamp = (i as u32).wrapping_mul(step);
                if encoder.encode(timestamp, &primary, max, &mut out).is_err() { continue; }
                prop_assert!(out.len() <= max);
                let red = Payload::parse(&out).unwrap();
                prop_assert_eq!(red.primary().data, &primary[..]);
                for block in red.blocks() {
                    let from = timestamp.wrapping_sub(block.timestamp_offset) / step;
                    prop_assert!(block.data.iter().all(|b| u32::from(*b) == from));
                    prop_assert_eq!(block.data.len(), sizes[from as usize]);
                }
            }
        }
    }
}
