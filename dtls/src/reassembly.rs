//! Reassembly of handshake messages from fragments that come in any order,
//! overlapping and more than once (RFC 9147 §5.5).

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::Failure;
use crate::limits::{MAX_MESSAGES_AHEAD, MAX_REASSEMBLY};
use crate::wire::handshake::{Fragment, HandshakeType, Message};

#[derive(Debug)]
struct Partial {
    kind: HandshakeType,
    length: usize,
    /// Grows to the last octet received, not to the length claimed.
    body: Vec<u8>,
    /// A bit for each octet of `body` that is here.
    received: Vec<u64>,
    missing: usize,
}

impl Partial {
    fn new(kind: HandshakeType, length: usize) -> Self {
        Self {
            kind,
            length,
            body: Vec::new(),
            received: Vec::new(),
            missing: length,
        }
    }

    /// Notes the octets of `range` as received, a word of bits at a time.
    fn mark(&mut self, range: Range<usize>) {
        let first = range.start / 64;
        let last = range.end.div_ceil(64);
        for (index, word) in self.received.iter_mut().enumerate().take(last).skip(first) {
            let from = range.start.saturating_sub(index * 64).min(64);
            let to = (range.end - index * 64).min(64);
            // `to` is above `from`: the word has at least one octet of the range.
            let mask = (u64::MAX << from) & (u64::MAX >> (64 - to));
            self.missing -= (mask & !*word).count_ones() as usize;
            *word |= mask;
        }
    }
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Of a message that is complete and handed out already.
    Past,
    /// Kept (or known already).
    Kept,
    /// Not kept: too far ahead, or no room. The peer has to send it again.
    Discarded,
}

/// Messages of one direction in order of their sequence numbers.
#[derive(Debug)]
pub(crate) struct Reassembly {
    /// One more than the last number handed out: 2^16 in the end, since
    /// numbers never wrap.
    next: u32,
    /// Octets that one message may have, and all together.
    max_message: usize,
    max_held: usize,
    /// Slot `i` is for message `next + i`.
    slots: VecDeque<Option<Partial>>,
    held: usize,
}

impl Reassembly {
    /// Octets of messages that are not whole or not next.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn new(max_message: usize) -> Self {
        let max_message = max_message.min(MAX_REASSEMBLY);
        Self {
            next: 0,
            max_message,
            max_held: max_message.saturating_mul(2).min(MAX_REASSEMBLY),
            slots: VecDeque::new(),
            held: 0,
        }
    }

    /// Changes what a message may have; nothing of it is here yet.
    pub(crate) fn set_max_message(&mut self, max_message: usize) {
        *self = Self {
            next: self.next,
            ..Self::new(max_message)
        };
    }

    /// The messages up to `sequence` were handled by a stateless answer.
    pub(crate) fn start_after(&mut self, sequence: u16) {
        self.next = u32::from(sequence) + 1;
    }

    /// The sequence number of the message to be handed out next.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.next
    }

    /// Whether part of a message that was not handed out is here.
    pub(crate) fn has_leftovers(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    pub(crate) fn insert(&mut self, fragment: &Fragment<'_>) -> Result<Outcome, Failure> {
        let Some(ahead) = u32::from(fragment.sequence).checked_sub(self.next) else {
            return Ok(Outcome::Past);
        };
        if ahead >= MAX_MESSAGES_AHEAD {
            return Ok(Outcome::Discarded);
        }
        if fragment.length > self.max_message {
            return Err(Failure::MessageTooLarge);
        }
        let index = ahead as usize;
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(Outcome::Discarded);
        };
        let partial = slot.get_or_insert_with(|| Partial::new(fragment.kind, fragment.length));
        if partial.kind != fragment.kind || partial.length != fragment.length {
            return Err(Failure::FragmentMismatch);
        }
        if fragment.bytes.is_empty() {
            return Ok(Outcome::Kept);
        }
        let end = fragment.offset + fragment.bytes.len();
        let growth = end.saturating_sub(partial.body.len());
        if self.held + growth > self.max_held {
            return Ok(Outcome::Discarded);
        }
        if growth > 0 {
            partial.body.resize(end, 0);
            partial.received.resize(end.div_ceil(64), 0);
            self.held += growth;
        }
        if let Some(room) = partial.body.get_mut(fragment.offset..end) {
            room.copy_from_slice(fragment.bytes);
        }
        partial.mark(fragment.offset..end);
        Ok(Outcome::Kept)
    }

    /// Hands out the next message once it is complete.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let front = self.slots.front()?.as_ref()?;
        if front.missing > 0 {
            return None;
        }
        let sequence = u16::try_from(self.next).ok()?;
        self.next += 1;
        let partial = self.slots.pop_front()??;
        self.held -= partial.body.len();
        if self.slots.iter().all(Option::is_none) {
            self.slots = VecDeque::new();
        }
        Some(Message {
            kind: partial.kind,
            sequence,
            body: partial.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_MESSAGE;
    use proptest::prelude::*;

    fn fragment(sequence: u16, whole: &[u8], offset: usize, length: usize) -> Fragment<'_> {
        Fragment {
            kind: HandshakeType::Certificate,
            length: whole.len(),
            sequence,
            offset,
            bytes: &whole[offset..offset + length],
        }
    }

    proptest! {
        #[test]
        fn any_order_overlap_and_repetition_gives_the_message(
            whole in prop::collection::vec(any::<u8>(), 1..300),
            pieces in prop::collection::vec((0_usize..300, 1_usize..80), 0..40),
        ) {
            let mut reassembly = Reassembly::new(MAX_MESSAGE);
            for (offset, length) in pieces {
                let offset = offset.min(whole.len());
                let length = length.min(whole.len() - offset);
                reassembly.insert(&fragment(0, &whole, offset, length)).expect("no mismatch");
            }
            reassembly.insert(&fragment(0, &whole, 0, whole.len())).expect("no mismatch");
            prop_assert_eq!(reassembly.pop().expect("complete").body, whole);
            prop_assert_eq!(reassembly.held, 0);
        }
    }

    #[test]
    fn messages_come_out_in_order() {
        let mut reassembly = Reassembly::new(MAX_MESSAGE);
        assert_eq!(
            reassembly.insert(&fragment(1, b"second", 0, 6)),
            Ok(Outcome::Kept)
        );
        assert!(reassembly.pop().is_none());
        assert_eq!(
            reassembly.insert(&fragment(0, b"first", 0, 5)),
            Ok(Outcome::Kept)
        );
        assert_eq!(reassembly.pop().expect("first").body, b"first");
        assert_eq!(reassembly.pop().expect("second").body, b"second");
        assert_eq!(
            reassembly.insert(&fragment(0, b"first", 0, 5)),
            Ok(Outcome::Past)
        );
    }

    #[test]
    fn memory_is_bounded_whatever_is_claimed() {
        let mut reassembly = Reassembly::new(MAX_MESSAGE);
        let byte = [0];
        for sequence in 0..u16::MAX {
            let claim = Fragment {
                kind: HandshakeType::Certificate,
                length: MAX_MESSAGE,
                sequence,
                offset: MAX_MESSAGE - 1,
                bytes: &byte,
            };
            reassembly.insert(&claim).expect("not malformed");
        }
        assert!(reassembly.held <= MAX_REASSEMBLY);
        assert!(reassembly.slots.len() <= MAX_MESSAGES_AHEAD as usize);
    }
}
