//! H.265 NAL units back in decoding order (RFC 7798 §6): what an interleaving sender put out of it.

use std::collections::{BTreeMap, VecDeque};

use crate::bytes_ext::{tail, u8_at, u16_at};
use crate::error::{ParseError, require};
use crate::format::Input;
use crate::format::h265::{nal_type, without_content_information};
use crate::limits::{MAX_FRAME, MAX_INTERLEAVED_UNITS};

/// What the far side's description says of its order (RFC 7798 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterleavingConfig {
    /// `sprop-max-don-diff`: how far apart the decoding order numbers of units are that are out of
    /// order, 1 to 32 767.
    pub max_don_diff: u16,
    /// `sprop-depack-buf-nalus`: how many units a unit may have to wait for, 0 to 32 767; taken as
    /// at most [`MAX_INTERLEAVED_UNITS`].
    pub depack_buf_nalus: u16,
}

/// One NAL unit in decoding order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedUnit {
    /// The unit with its header, without a start code.
    pub data: Vec<u8>,
    /// The timestamp of the picture it belongs to: units of one picture follow each other.
    pub timestamp: u32,
    /// Its decoding order number, unwrapped (AbsDon).
    pub order: i64,
    /// Packets missing, and units dropped for it, since the unit that arrived before this one.
    pub lost_before: u64,
}

/// Takes packets in order of their sequence numbers and gives NAL units in decoding order. For
/// senders whose description says `sprop-max-don-diff` above 0; others are served by
/// [`Depacketizer`](super::h265::Depacketizer), which gives whole pictures. Browsers never
/// interleave.
///
/// A unit comes out whole or not at all. Whether a picture is whole can't be told here: order
/// numbers may have gaps (§4.4), so `lost_before` is all there is.
#[derive(Debug)]
pub struct DecodingOrder {
    config: InterleavingConfig,
    waiting: BTreeMap<(i64, u64), OrderedUnit>,
    ready: VecDeque<OrderedUnit>,
    bytes: usize,
    /// Order number of the unit that arrived last, and how many have arrived.
    last_order: Option<i64>,
    arrived: u64,
    last_sequence: Option<u64>,
    lost: u64,
    fragment: Option<OrderedUnit>,
    /// Room for a packet without its content information (PACI).
    inner: Vec<u8>,
}

impl DecodingOrder {
    /// An order that has seen nothing.
    pub fn new(config: InterleavingConfig) -> Self {
        Self {
            config,
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            bytes: 0,
            last_order: None,
            arrived: 0,
            last_sequence: None,
            lost: 0,
            fragment: None,
            inner: Vec::new(),
        }
    }

    /// Takes one packet; packets that come again or too late are ignored.
    ///
    /// # Errors
    /// [`ParseError`] for a payload that is none of the format; units before the fault are kept.
    pub fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if let Some(last) = self.last_sequence {
            if packet.sequence <= last {
                return Ok(());
            }
            let missing = packet.sequence - last - 1;
            if missing > 0 {
                self.lost += missing;
                self.drop_fragment();
            }
        }
        self.last_sequence = Some(packet.sequence);
        if packet.payload.is_empty() {
            return Ok(());
        }
        let mut room = std::mem::take(&mut self.inner);
        let taken = without_content_information(packet.payload, &mut room)
            .and_then(|payload| self.take(packet.timestamp, payload));
        self.inner = room;
        if taken.is_err() {
            self.drop_fragment();
            self.lost += 1;
        }
        self.release(false);
        taken
    }

    /// The next unit in decoding order.
    pub fn poll(&mut self) -> Option<OrderedUnit> {
        let unit = self.ready.pop_front()?;
        self.bytes -= unit.data.len();
        Some(unit)
    }

    /// No more packets will come: what waits is given by [`poll`](Self::poll) in its order.
    pub fn finish(&mut self) {
        self.drop_fragment();
        self.release(true);
    }

    /// Octets of memory in use, about: the units that wait.
    pub fn memory_usage(&self) -> usize {
        let fragment = self.fragment.as_ref().map_or(0, |f| f.data.capacity());
        let units = self.waiting.len() + self.ready.capacity();
        let held = self.bytes + fragment + self.inner.capacity();
        size_of::<Self>() + held + units * size_of::<OrderedUnit>()
    }

    fn take(&mut self, timestamp: u32, payload: &[u8]) -> Result<(), ParseError> {
        require(payload.len(), 3)?;
        let kind = (u8_at(payload, 0) >> 1) & 0x3f;
        if self.fragment.is_some() && kind != nal_type::FU {
            return Err(ParseError::Field("FU"));
        }
        match kind {
            nal_type::AP => self.take_aggregation(timestamp, tail(payload, 2)),
            nal_type::FU => self.take_fragment(timestamp, payload),
            0..=47 => {
                // §4.4.1: the header, DONL, the unit.
                require(payload.len(), 5)?;
                let order = self.unwrap(u16_at(payload, 2));
                let mut unit = self.unit(timestamp, order);
                unit.data
                    .extend_from_slice(payload.get(..2).unwrap_or_default());
                unit.data.extend_from_slice(tail(payload, 4));
                self.keep(unit);
                Ok(())
            }
            _ => Err(ParseError::Field("NAL unit type")),
        }
    }

    /// §4.4.2: DONL before the first unit, DOND, which is one less than the step, before the others.
    fn take_aggregation(&mut self, timestamp: u32, mut rest: &[u8]) -> Result<(), ParseError> {
        let mut don = None;
        while !rest.is_empty() {
            let (number, at) = match don {
                None => (u16_at(rest, 0), 2),
                Some(last) => (u16::wrapping_add(last, u16::from(u8_at(rest, 0)) + 1), 1),
            };
            require(rest.len(), at + 2)?;
            let len = usize::from(u16_at(rest, at));
            let Some((unit, after)) = tail(rest, at + 2)
                .split_at_checked(len)
                .filter(|_| len >= 2)
            else {
                return Err(ParseError::Count(len));
            };
            let order = self.unwrap(number);
            let mut kept = self.unit(timestamp, order);
            kept.data.extend_from_slice(unit);
            self.keep(kept);
            don = Some(number);
            rest = after;
        }
        Ok(())
    }

    /// §4.4.3: DONL in the first fragment only.
    fn take_fragment(&mut self, timestamp: u32, payload: &[u8]) -> Result<(), ParseError> {
        require(payload.len(), 4)?;
        let fu = u8_at(payload, 2);
        let (starts, ends) = (fu & 0x80 != 0, fu & 0x40 != 0);
        if starts && (ends || self.fragment.is_some()) {
            return Err(ParseError::Field("FU"));
        }
        let mut unit = if starts {
            require(payload.len(), 6)?;
            let order = self.unwrap(u16_at(payload, 3));
            let mut unit = self.unit(timestamp, order);
            let header = (u16_at(payload, 0) & 0x81ff) | (u16::from(fu & 0x3f) << 9);
            unit.data.extend_from_slice(&header.to_be_bytes());
            unit.data.extend_from_slice(tail(payload, 5));
            unit
        } else {
            // One whose beginning is missing is none of ours.
            let Some(mut unit) = self.fragment.take() else {
                return Ok(());
            };
            unit.data.extend_from_slice(tail(payload, 3));
            unit
        };
        if unit.data.len() > MAX_FRAME {
            return Err(ParseError::Count(unit.data.len()));
        }
        if ends {
            self.keep(unit);
        } else {
            unit.timestamp = timestamp;
            self.fragment = Some(unit);
        }
        Ok(())
    }

    /// §6: the number nearest to that of the unit before in order of arrival.
    fn unwrap(&mut self, don: u16) -> i64 {
        let order = match self.last_order {
            None => i64::from(don),
            Some(last) => {
                let step = don.wrapping_sub(last as u16);
                // Half a circle on is forward for the smaller number and back for the larger one.
                let back = step > 0x8000 || (step == 0x8000 && don > last as u16);
                last + i64::from(step) - if back { 0x1_0000 } else { 0 }
            }
        };
        self.last_order = Some(order);
        order
    }

    fn unit(&mut self, timestamp: u32, order: i64) -> OrderedUnit {
        OrderedUnit {
            data: Vec::new(),
            timestamp,
            order,
            lost_before: std::mem::take(&mut self.lost),
        }
    }

    fn keep(&mut self, unit: OrderedUnit) {
        self.bytes += unit.data.len();
        self.arrived += 1;
        self.waiting.insert((unit.order, self.arrived), unit);
    }

    fn drop_fragment(&mut self) {
        if let Some(unit) = self.fragment.take() {
            self.lost += unit.lost_before + 1;
        }
    }

    /// §6, conditions A and B: the smallest goes on while the numbers that wait are as far apart as
    /// they may be, or more units wait than have to. So it does where they hold too much memory;
    /// what nobody polls is then dropped, the oldest first.
    fn release(&mut self, all: bool) {
        let units = usize::from(self.config.depack_buf_nalus).min(MAX_INTERLEAVED_UNITS);
        while let (Some(first), Some(last)) = (
            self.waiting.first_key_value(),
            self.waiting.last_key_value(),
        ) {
            let apart = last.0.0 - first.0.0 >= i64::from(self.config.max_don_diff.max(1));
            if !(all || apart || self.waiting.len() > units || self.bytes > MAX_FRAME) {
                break;
            }
            if let Some((_, unit)) = self.waiting.pop_first() {
                self.ready.push_back(unit);
            }
            while self.ready.len() > 2 * MAX_INTERLEAVED_UNITS || self.bytes > 2 * MAX_FRAME {
                let Some(unit) = self.ready.pop_front() else {
                    break;
                };
                self.bytes -= unit.data.len();
                self.lost += unit.lost_before + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::h265::tests::with_content_information;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    /// A unit of type 1 whose octets tell its number.
    fn unit(n: u16, len: usize) -> Vec<u8> {
        let mut unit = vec![2, 1];
        unit.extend_from_slice(&n.to_be_bytes());
        unit.resize(len.max(4), n as u8);
        unit
    }

    /// Payloads with the numbers `base + n` for each `n`: single, in fragments, or aggregated, some
    /// with content information.
    fn payloads(order: &[u16], base: u16, rng: &mut StdRng) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut at = 0;
        while let Some(&n) = order.get(at) {
            let don = base.wrapping_add(n).to_be_bytes();
            let body = unit(n, 40);
            let next = order.get(at + 1).copied();
            at += 1;
            match (rng.random_range(0..3), next) {
                (0, _) => {
                    let parts = [&body[2..10], &body[10..30], &body[30..]];
                    for (i, part) in parts.into_iter().enumerate() {
                        let flags = [0x80, 0, 0x40][i];
                        let mut payload = vec![nal_type::FU << 1, 1, flags | 1];
                        if i == 0 {
                            payload.extend_from_slice(&don);
                        }
                        payload.extend_from_slice(part);
                        all.push(payload);
                    }
                }
                (1, Some(m)) if m > n => {
                    let mut payload = vec![nal_type::AP << 1, 1, don[0], don[1], 0, 40];
                    payload.extend_from_slice(&body);
                    payload.extend_from_slice(&[(m - n - 1) as u8, 0, 40]);
                    payload.extend_from_slice(&unit(m, 40));
                    all.push(payload);
                    at += 1;
                }
                _ => all.push([&body[..2], &don, &body[2..]].concat()),
            }
        }
        for payload in &mut all {
            if rng.random_bool(0.2) {
                *payload = with_content_information(payload, rng.random_range(0..32));
            }
        }
        all
    }

    fn push(order: &mut DecodingOrder, sequence: u64, payload: &[u8]) -> Result<(), ParseError> {
        order.push(&Input {
            sequence,
            timestamp: sequence as u32,
            marker: false,
            payload,
        })
    }

    #[test]
    fn units_come_out_in_decoding_order_whatever_the_order_they_came_in() {
        for seed in 0..50 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let mut numbers: Vec<u16> = (0..400).collect();
            for group in numbers.chunks_mut(6) {
                group.shuffle(&mut rng);
            }
            let mut order = DecodingOrder::new(InterleavingConfig {
                max_don_diff: 6,
                depack_buf_nalus: 64,
            });
            let mut got = Vec::new();
            for (sequence, payload) in payloads(&numbers, 65_400, &mut rng).iter().enumerate() {
                push(&mut order, sequence as u64, payload).unwrap();
                // A copy changes nothing.
                push(&mut order, sequence as u64, payload).unwrap();
                while let Some(unit) = order.poll() {
                    got.push(unit);
                }
            }
            assert!(got.len() > 380, "only {} before the end", got.len());
            order.finish();
            while let Some(unit) = order.poll() {
                got.push(unit);
            }
            assert_eq!(got.len(), 400);
            for (n, got) in got.iter().enumerate() {
                assert_eq!(got.data, unit(n as u16, 40));
                assert_eq!((got.order, got.lost_before), (65_400 + n as i64, 0));
            }
        }
    }

    #[test]
    fn lost_packets_cost_their_units_and_no_others() {
        for seed in 0..50 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let numbers: Vec<u16> = (0..300).collect();
            let mut order = DecodingOrder::new(InterleavingConfig {
                max_don_diff: 4,
                depack_buf_nalus: 10,
            });
            let (mut got, mut lost) = (0, 0);
            let mut told = 0;
            for (sequence, payload) in payloads(&numbers, 5, &mut rng).iter().enumerate() {
                if rng.random_bool(0.1) {
                    lost += 1;
                    continue;
                }
                push(&mut order, sequence as u64, payload).unwrap();
            }
            order.finish();
            let mut last = None;
            while let Some(unit) = order.poll() {
                let n = (unit.order - 5) as u16;
                assert_eq!(unit.data, super::tests::unit(n, 40));
                assert!(last.is_none_or(|last| n > last));
                last = Some(n);
                got += 1;
                told += unit.lost_before;
            }
            // The last ones may be lost without anything after them to tell.
            assert!(got < 300 && told + 3 >= lost, "{got} {told} {lost}");
        }
    }

    #[test]
    fn arbitrary_payloads_hold_bounded_memory() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut rng = StdRng::seed_from_u64(seed);
            let mut order = DecodingOrder::new(InterleavingConfig {
                max_don_diff: rng.random(),
                depack_buf_nalus: rng.random(),
            });
            let mut sequence = 0;
            for _ in 0..5000 {
                sequence += rng.random_range(0..3);
                let kinds = [2, nal_type::FU << 1, nal_type::AP << 1, rng.random()];
                let mut payload: Vec<u8> =
                    (0..rng.random_range(0..60)).map(|_| rng.random()).collect();
                if let Some(first) = payload.first_mut() {
                    *first = kinds[rng.random_range(0..4)];
                }
                let _ = push(&mut order, sequence, &payload);
                assert!(order.waiting.len() <= MAX_INTERLEAVED_UNITS);
                assert!(order.ready.len() <= 2 * MAX_INTERLEAVED_UNITS);
            }
            order.finish();
            while order.poll().is_some() {}
            assert_eq!((order.bytes, order.waiting.len()), (0, 0));
        }
    }

    /// RFC 7798 §6: of two numbers half a circle apart the larger one lies before the smaller one.
    #[test]
    fn half_a_circle_is_forward_for_the_smaller_number() {
        for (first, second, step) in [
            (0, 0x8000, -0x8000),
            (0x8000, 0, 0x8000),
            (5, 0x8005, -0x8000),
        ] {
            let mut order = DecodingOrder::new(InterleavingConfig {
                max_don_diff: 1,
                depack_buf_nalus: 1,
            });
            let before = order.unwrap(first);
            assert_eq!(order.unwrap(second) - before, step);
        }
    }
}
