//! Records of the peer to be acknowledged (RFC 9147 §7).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits::{MAX_ACKS, MAX_ACKS_READ};
use crate::wire::record::RecordNumber;
use crate::wire::{Malformed, Reader, Write};

/// Octets of one record number in an ACK.
const ENTRY: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    list: VecDeque<RecordNumber>,
    started: Option<Instant>,
    now: bool,
}

impl Acks {
    pub(crate) fn push(&mut self, number: RecordNumber) {
        // In the clear a record may come twice.
        if self.list.contains(&number) {
            return;
        }
        if self.list.len() == MAX_ACKS {
            self.list.pop_front();
        }
        self.list.push_back(number);
    }

    /// Starts the delay after which an ACK is sent, unless it runs.
    pub(crate) fn start(&mut self, now: Instant) {
        self.started = self.started.or(Some(now));
    }

    /// Sends at the next opportunity.
    pub(crate) fn send_now(&mut self) {
        self.now = !self.list.is_empty();
        self.started = None;
    }

    /// Forgets all: what we send next acknowledges by itself.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When the ACK is to be sent, a quarter of the peer's supposed timeout
    /// after the first record (RFC 9147 §7.1).
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        Some(self.started? + timeout / 4)
    }

    pub(crate) fn is_due(&self) -> bool {
        self.now
    }

    /// Writes the newest that fit in `room` octets, sorted. They stay in the
    /// list: this ACK may be lost. `false` when not even one fits.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, room: usize) -> bool {
        let Some(fits) = room.checked_sub(2).map(|room| room / ENTRY) else {
            return false;
        };
        if fits == 0 {
            return false;
        }
        let skip = self.list.len().saturating_sub(fits);
        let mut numbers: Vec<RecordNumber> = self.list.iter().skip(skip).copied().collect();
        numbers.sort_unstable();
        out.vec16(|out| {
            for number in numbers {
                out.bytes(&number.epoch.to_be_bytes());
                out.bytes(&number.sequence.to_be_bytes());
            }
        });
        self.started = None;
        self.now = false;
        true
    }
}

/// Reads an ACK record; numbers beyond what we can remember are skipped.
pub(crate) fn parse(payload: &[u8]) -> Result<Vec<RecordNumber>, Malformed> {
    let mut reader = Reader::new(payload);
    let mut list = Reader::new(reader.vec16()?);
    reader.finish()?;
    if !list.remaining().is_multiple_of(ENTRY) {
        return Err(Malformed);
    }
    let mut numbers = Vec::new();
    while !list.is_empty() && numbers.len() < MAX_ACKS_READ {
        numbers.push(RecordNumber {
            epoch: list.u64()?,
            sequence: list.u64()?,
        });
    }
    Ok(numbers)
}
