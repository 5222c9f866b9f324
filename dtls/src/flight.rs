//! The outgoing flight: its messages until they are acknowledged, cut into
//! records and datagrams as they are sent, and again when they are lost.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::Failure;
use crate::limits::{MAX_PLAINTEXT, MAX_SENT_RECORDS};
use crate::ranges::Ranges;
use crate::record::{CannotSeal, RecordLayer};
use crate::wire::handshake::{Fragment, HEADER, HandshakeType};
use crate::wire::record::{ContentType, RecordNumber};

#[derive(Debug)]
enum Item {
    Message {
        epoch: u64,
        kind: HandshakeType,
        sequence: u16,
        body: Vec<u8>,
        acked: Ranges,
        /// An empty message has no octets to be acknowledged.
        empty_acked: bool,
    },
    /// Only in 1.2 (RFC 5246 §7.1).
    ChangeCipherSpec { epoch: u64 },
}

impl Item {
    /// The next octets to send at or after `offset`.
    fn gap(&self, offset: usize) -> Option<Range<usize>> {
        match self {
            Self::ChangeCipherSpec { .. } => (offset == 0).then_some(0..0),
            Self::Message {
                body, empty_acked, ..
            } if body.is_empty() => (offset == 0 && !empty_acked).then_some(0..0),
            Self::Message { body, acked, .. } => acked.gap(offset, body.len()),
        }
    }
}

/// Which octets a record carried, to be matched with ACKs.
#[derive(Debug)]
struct Sent {
    number: RecordNumber,
    /// Index of the item, and the octets of it.
    parts: Vec<(usize, Range<usize>)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    items: Vec<Item>,
    /// Where sending goes on: item and offset. `None` when all is sent.
    cursor: Option<(usize, usize)>,
    sent: VecDeque<Sent>,
    next_sequence: u32,
}

/// What is left of a datagram, in octets.
struct Room {
    start: usize,
    mtu: usize,
}

impl Room {
    fn left(&self, out: &[u8]) -> usize {
        (self.start + self.mtu).saturating_sub(out.len())
    }
}

impl Flight {
    /// Octets of messages that may be sent again.
    pub(crate) fn octets(&self) -> usize {
        let body = |item: &Item| match item {
            Item::Message { body, .. } => body.len(),
            _ => 0,
        };
        size_of::<Item>() * self.items.len() + self.items.iter().map(body).sum::<usize>()
    }

    /// The messages before `sequence` were sent by a stateless answer.
    pub(crate) fn start_at(&mut self, sequence: u16) {
        self.next_sequence = u32::from(sequence);
    }

    /// Adds a message and returns its sequence number. Fails when the numbers
    /// are used up.
    pub(crate) fn push(
        &mut self,
        epoch: u64,
        kind: HandshakeType,
        body: Vec<u8>,
    ) -> Result<u16, Failure> {
        let sequence = u16::try_from(self.next_sequence).map_err(|_| Failure::Exhausted)?;
        self.next_sequence += 1;
        let acked = Ranges::default();
        self.add(Item::Message {
            epoch,
            kind,
            sequence,
            body,
            acked,
            empty_acked: false,
        });
        Ok(sequence)
    }

    pub(crate) fn push_change_cipher_spec(&mut self, epoch: u64) {
        self.add(Item::ChangeCipherSpec { epoch });
    }

    fn add(&mut self, item: Item) {
        if self.cursor.is_none() {
            self.cursor = Some((self.items.len(), 0));
        }
        self.items.push(item);
    }

    /// Forgets the messages: the peer has them all. Numbering goes on.
    pub(crate) fn clear(&mut self) {
        // With their room: flights are rare once established.
        self.items = Vec::new();
        self.sent = VecDeque::new();
        self.cursor = None;
    }

    /// Whether nothing waits for an acknowledgement.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether some of it is still to be sent.
    pub(crate) fn is_sending(&self) -> bool {
        self.cursor.is_some()
    }

    /// Sends again what is not acknowledged.
    pub(crate) fn restart(&mut self) {
        self.cursor = self.position_from(0, 0);
    }

    fn position_from(&self, index: usize, offset: usize) -> Option<(usize, usize)> {
        let first = self
            .items
            .get(index)?
            .gap(offset)
            .map(|gap| (index, gap.start));
        first.or_else(|| {
            self.items
                .iter()
                .enumerate()
                .skip(index + 1)
                .find_map(|(index, item)| item.gap(0).map(|gap| (index, gap.start)))
        })
    }

    /// Fills the datagram that began at `start` of `out` as far as `mtu` goes.
    pub(crate) fn write(
        &mut self,
        records: &mut RecordLayer,
        limit: usize,
        out: &mut Vec<u8>,
        start: usize,
        mtu: usize,
    ) -> Result<(), CannotSeal> {
        let room = Room { start, mtu };
        while let Some((index, _)) = self.cursor {
            let Some(item) = self.items.get(index) else {
                break;
            };
            let before = out.len();
            match item {
                Item::ChangeCipherSpec { epoch } => {
                    let epoch = *epoch;
                    let size = records.headroom(epoch) + 1 + records.tailroom(epoch);
                    if size > room.left(out) {
                        break;
                    }
                    out.resize(before + records.headroom(epoch), 0);
                    out.push(1);
                    records.seal(epoch, ContentType::CHANGE_CIPHER_SPEC, out, before)?;
                    self.cursor = self.position_from(index + 1, 0);
                }
                Item::Message { epoch, .. } => {
                    let epoch = *epoch;
                    if !self.write_record(records, limit, epoch, out, &room)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes one record of `epoch`; `false` when it has no room.
    fn write_record(
        &mut self,
        records: &mut RecordLayer,
        limit: usize,
        epoch: u64,
        out: &mut Vec<u8>,
        room: &Room,
    ) -> Result<bool, CannotSeal> {
        let before = out.len();
        let overhead = records.headroom(epoch) + records.tailroom(epoch);
        let Some(available) = room.left(out).checked_sub(overhead) else {
            return Ok(false);
        };
        let mut available = available.min(limit).min(MAX_PLAINTEXT);
        let mut parts = Vec::new();
        while let Some((index, offset)) = self.cursor {
            let Some(
                item @ Item::Message {
                    epoch: of,
                    kind,
                    sequence,
                    body,
                    ..
                },
            ) = self.items.get(index)
            else {
                break;
            };
            let Some(gap) = item.gap(offset) else { break };
            // Plaintext records carry one message each: not every peer reads more.
            if *of != epoch || (epoch == 0 && !parts.is_empty()) {
                break;
            }
            let Some(fits) = available.checked_sub(HEADER) else {
                break;
            };
            let take = gap.len().min(fits);
            if take == 0 && !gap.is_empty() {
                break;
            }
            let range = gap.start..gap.start + take;
            let Some(bytes) = body.get(range.clone()) else {
                break;
            };
            if parts.is_empty() {
                out.resize(before + records.headroom(epoch), 0);
            }
            let fragment = Fragment {
                kind: *kind,
                length: body.len(),
                sequence: *sequence,
                offset: range.start,
                bytes,
            };
            fragment.write(out);
            available -= HEADER + take;
            // An empty message is done once sent: past its only position.
            let next = if gap.is_empty() { 1 } else { range.end };
            parts.push((index, range));
            self.cursor = self.position_from(index, next);
        }
        if parts.is_empty() {
            return Ok(false);
        }
        let number = records.seal(epoch, ContentType::HANDSHAKE, out, before)?;
        if self.sent.len() == MAX_SENT_RECORDS {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { number, parts });
        Ok(true)
    }

    /// The peer has the record `number`. Returns whether that was news.
    pub(crate) fn acknowledge(&mut self, number: RecordNumber) -> bool {
        let Some(at) = self.sent.iter().position(|sent| sent.number == number) else {
            return false;
        };
        let Some(sent) = self.sent.remove(at) else {
            return false;
        };
        for (index, range) in sent.parts {
            if let Some(Item::Message {
                acked, empty_acked, ..
            }) = self.items.get_mut(index)
            {
                if range.is_empty() {
                    *empty_acked = true;
                }
                acked.insert(range);
            }
        }
        if let Some((index, offset)) = self.cursor {
            self.cursor = self.position_from(index, offset);
        }
        true
    }

    /// Whether every message is acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.position_from(0, 0).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    use crate::reassembly::Reassembly;
    use crate::record::Opened;
    use crate::wire::Reader;

    fn datagrams(flight: &mut Flight, records: &mut RecordLayer, mtu: usize) -> Vec<Vec<u8>> {
        let mut list = Vec::new();
        while flight.is_sending() {
            let mut out = Vec::new();
            flight
                .write(records, MAX_PLAINTEXT, &mut out, 0, mtu)
                .expect("can seal");
            assert!(!out.is_empty() && out.len() <= mtu);
            list.push(out);
        }
        list
    }

    #[test]
    fn arrives_whole_at_every_mtu() {
        let bodies = [
            vec![],
            (0..=255).cycle().take(3000).collect::<Vec<u8>>(),
            vec![7; 40],
        ];
        for mtu in [40, 64, 256, 1200, 9000] {
            let mut flight = Flight::default();
            let mut records = RecordLayer::new();
            for body in &bodies {
                flight
                    .push(0, HandshakeType::Certificate, body.clone())
                    .expect("a number");
            }
            let mut reassembly = Reassembly::new(9_000);
            let mut receiver = RecordLayer::new();
            for datagram in datagrams(&mut flight, &mut records, mtu) {
                let mut left = Some(BytesMut::from(datagram.as_slice()));
                while let Some(datagram) = left.take() {
                    let (mut record, rest) = receiver.split(datagram).expect("a record");
                    left = rest;
                    let Opened::Record { payload, .. } = receiver.open(&mut record) else {
                        panic!("{record:?}")
                    };
                    let mut reader = Reader::new(&record[payload.range()]);
                    while !reader.is_empty() {
                        let fragment = Fragment::read(&mut reader).expect("well-formed");
                        reassembly.insert(&fragment).expect("consistent");
                    }
                }
            }
            for body in &bodies {
                assert_eq!(&reassembly.pop().expect("complete").body, body, "mtu {mtu}");
            }
        }
    }

    #[test]
    fn sends_again_only_what_is_not_acknowledged() {
        let mut flight = Flight::default();
        let mut records = RecordLayer::new();
        flight
            .push(0, HandshakeType::Certificate, vec![1; 1000])
            .expect("a number");
        flight
            .push(0, HandshakeType::ServerHelloDone, vec![])
            .expect("a number");
        let count = datagrams(&mut flight, &mut records, 200).len() as u64;
        for sequence in (0..count).filter(|sequence| *sequence != 2) {
            assert!(flight.acknowledge(RecordNumber { epoch: 0, sequence }));
            assert!(!flight.acknowledge(RecordNumber { epoch: 0, sequence }));
        }
        flight.restart();
        // The last datagram held the end of the first message and the empty one.
        let again = datagrams(&mut flight, &mut records, 200);
        assert!(again.len() <= 2, "{}", again.len());
    }
}
