//! Giving messages up, and telling the receiver (RFC 3758 §3.5, RFC 8260 §2.3.1).

use bytes::Bytes;

use super::{OutChunk, Outstanding, State};
use crate::send_queue::Effort;
use crate::wire::{ChunkWriter, FLAG_BEGIN, FLAG_END, FLAG_UNORDERED, Skipped, chunk_type};

impl Outstanding {
    /// Gives up the message that this chunk is of: all its chunks, wherever they are.
    pub(super) fn abandon(&mut self, tsn: u64) {
        let Some(identity) = self.get(tsn).map(OutChunk::identity) else {
            return;
        };
        self.abandoned_messages += 1;
        let mut at = tsn;
        loop {
            let begins = self.abandon_one(at, &identity) & FLAG_BEGIN != 0;
            if begins || at == self.base || !self.may_continue(at, &identity) {
                break;
            }
            at -= 1;
        }
        let mut at = tsn;
        let mut ended = false;
        while at < self.next_tsn() {
            let flags = self.abandon_one(at, &identity);
            if flags & FLAG_END != 0 {
                ended = true;
                break;
            }
            at += 1;
            if !self.interleaved && self.get(at).is_some_and(|c| !c.same_message(&identity)) {
                break;
            }
        }
        if !ended {
            self.cut_short.push(identity);
        }
    }

    /// Without interleaving the message's chunks are neighbours.
    fn may_continue(&self, at: u64, identity: &(u16, u32, bool)) -> bool {
        self.interleaved || self.get(at - 1).is_some_and(|c| c.same_message(identity))
    }

    /// Abandons this chunk if it is of the message; returns its flags then.
    fn abandon_one(&mut self, tsn: u64, identity: &(u16, u32, bool)) -> u8 {
        let header = self.header();
        let Some(chunk) = self.get_mut(tsn) else {
            return 0;
        };
        if !chunk.same_message(identity) {
            return 0;
        }
        let was = std::mem::replace(&mut chunk.state, State::Abandoned);
        let size = chunk.size(header);
        let payload = std::mem::take(&mut chunk.data).len();
        let flags = chunk.flags;
        match was {
            State::InFlight => {
                self.in_flight -= size;
                self.unacked_payload -= payload;
            }
            State::Lost | State::Untold => self.unacked_payload -= payload,
            State::Acked => {}
            State::Abandoned => return flags,
        }
        self.abandoned_chunks += 1;
        flags
    }

    /// A message given up of which the send queue may hold the rest.
    pub(crate) fn take_cut_short(&mut self) -> Option<(u16, u32, bool)> {
        self.cut_short.pop()
    }

    /// Gives up this message's chunks: its rest was dropped before it had TSNs.
    pub(crate) fn abandon_message(&mut self, stream: u16, message: u32, unordered: bool) {
        let identity = (stream, message, unordered);
        let last = self.ring.iter().rposition(|c| c.same_message(&identity));
        if let Some(position) = last {
            self.abandon(self.base + position as u64);
            self.cut_short.retain(|cut| *cut != identity);
        }
    }

    /// A TSN for the end of a message that was cut short, abandoned from the start: without it
    /// nothing would tell the receiver to forget the beginning that it has acknowledged.
    pub(crate) fn append_abandoned_end(
        &mut self,
        stream: u16,
        message: u32,
        unordered: bool,
        ppid: u32,
        number: u32,
    ) {
        let flags = if unordered {
            FLAG_UNORDERED | FLAG_END
        } else {
            FLAG_END
        };
        self.abandoned_chunks += 1;
        let packet = self.next_packet();
        self.ring.push_back(OutChunk {
            data: Bytes::new(),
            effort: Effort::default(),
            packet,
            ppid,
            message,
            number,
            stream,
            sent_times: 0,
            flags,
            state: State::Abandoned,
        });
        self.advance();
    }

    /// RFC 3758 §3.5 C2: up to where everything is given up.
    pub(super) fn advance(&mut self) {
        self.advanced = self.advanced.max(self.base - 1);
        if self.abandoned_chunks == 0 {
            return;
        }
        while self
            .get(self.advanced + 1)
            .is_some_and(|c| c.state == State::Abandoned)
        {
            self.advanced += 1;
        }
    }

    /// Where the receiver should move its cumulative TSN to, if that is ahead of where it is.
    pub(crate) fn forward_point(&self) -> Option<u64> {
        (self.advanced >= self.base).then_some(self.advanced)
    }

    /// Appends FORWARD-TSN or I-FORWARD-TSN of at most `room` octets; returns the new cumulative
    /// TSN that it carries.
    pub(crate) fn write_forward(&self, room: usize, out: &mut Vec<u8>) -> Option<u64> {
        let target = self.forward_point()?;
        let size = if self.interleaved { 8 } else { 4 };
        let most = room.checked_sub(8)? / size;
        let mut skipped: Vec<Skipped> = Vec::new();
        let mut reached = self.base - 1;
        for tsn in self.base..=target {
            let Some(chunk) = self.get(tsn) else { break };
            let (stream, message, unordered) = chunk.identity();
            if !unordered || self.interleaved {
                let key = (stream, unordered);
                match skipped.binary_search_by_key(&key, |s| (s.stream, s.unordered)) {
                    Ok(found) => {
                        if let Some(entry) = skipped.get_mut(found) {
                            entry.message = message;
                        }
                    }
                    Err(_) if skipped.len() >= most => break,
                    Err(place) => skipped.insert(
                        place,
                        Skipped {
                            stream,
                            unordered,
                            message,
                        },
                    ),
                }
            }
            reached = tsn;
        }
        if reached < self.base {
            return None;
        }
        let kind = if self.interleaved {
            chunk_type::I_FORWARD_TSN
        } else {
            chunk_type::FORWARD_TSN
        };
        let mut chunk = ChunkWriter::new(out, kind, 0).u32(reached as u32);
        for entry in skipped {
            chunk = if self.interleaved {
                chunk
                    .u16(entry.stream)
                    .u16(u16::from(entry.unordered))
                    .u32(entry.message)
            } else {
                chunk.u16(entry.stream).u16(entry.message as u16)
            };
        }
        chunk.finish();
        Some(reached)
    }
}
