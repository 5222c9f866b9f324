//! Redundant coding (RFC 2198): earlier payloads go along with the newest.

use std::collections::VecDeque;

use crate::bytes_ext::{tail, u8_at, u32_at};
use crate::error::{ParseError, WriteError, require};
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

/// Takes RED payloads and gives each block once, those of lost packets from later ones.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    newest: Option<u32>,
}

impl Receiver {
    /// A receiver that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A payload of the same stream came by itself, not in RED: it is not new when it comes along
    /// with a later one.
    pub fn on_plain(&mut self, timestamp: u32) {
        let later = |b: u32| (timestamp.wrapping_sub(b) as i32) > 0;
        if self.newest.is_none_or(later) {
            self.newest = Some(timestamp);
        }
    }

    /// The blocks of a packet that are new, with their timestamps, the oldest first. Empty blocks
    /// are left away.
    ///
    /// # Errors
    /// As [`Payload::parse`].
    pub fn on_packet<'a>(
        &mut self,
        timestamp: u32,
        payload: &'a [u8],
    ) -> Result<impl Iterator<Item = (u32, Block<'a>)> + use<'a>, ParseError> {
        let red = Payload::parse(payload)?;
        let before = self.newest;
        if before.is_none_or(|b| (timestamp.wrapping_sub(b) as i32) > 0) {
            self.newest = Some(timestamp);
        }
        Ok(red.blocks().filter_map(move |block| {
            let at = timestamp.wrapping_sub(block.timestamp_offset);
            let new = match before {
                // The first packet: what it repeats was before we listened.
                None => block.timestamp_offset == 0,
                Some(b) => (at.wrapping_sub(b) as i32) > 0,
            };
            (new && !block.data.is_empty()).then_some((at, block))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pt(n: u8) -> PayloadType {
        PayloadType::new(n).unwrap()
    }

    #[test]
    fn lost_packets_come_with_later_ones() {
        let mut encoder = Encoder::new(pt(111), 2);
        let mut receiver = Receiver::new();
        let mut got = Vec::new();
        for n in 0..10u32 {
            let mut out = Vec::new();
            encoder
                .encode(n * 960, &[n as u8; 5], 1200, &mut out)
                .unwrap();
            if matches!(n, 3 | 4 | 7) {
                continue;
            }
            for (at, block) in receiver.on_packet(n * 960, &out).unwrap() {
                assert_eq!(block.data, [(at / 960) as u8; 5]);
                got.push(at / 960);
            }
        }
        assert_eq!(got, (0..10).collect::<Vec<_>>());
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
