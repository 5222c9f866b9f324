//! The record layer of both versions: epochs and their keys, opening and
//! sealing in place, replay windows. It knows no handshake.
//!
//! This file holds the epochs; `seal` and `open` are the two ways through
//! them, `protection` the keys.

mod open;
mod protection;
mod seal;

use std::time::Instant;

use crate::limits::{MAX_PLAINTEXT, OLD_EPOCH_LIFETIME};
use crate::replay::ReplayWindow;
use crate::wire::hello::DTLS10;
use crate::wire::record::{ContentType, RecordNumber};

pub(crate) use protection::Protection;

/// Sequence numbers are 48 bits long.
pub(crate) const LAST_SEQUENCE: u64 = (1 << 48) - 1;

/// Read epochs held at most: the current, the one before, and one that the
/// peer may already use.
const MAX_READ_EPOCHS: usize = 3;

#[derive(Debug)]
struct ReadEpoch {
    epoch: u64,
    protection: Protection,
    replay: ReplayWindow,
    forged: u64,
    expires: Option<Instant>,
}

#[derive(Debug)]
struct WriteEpoch {
    epoch: u64,
    protection: Protection,
    next_sequence: u64,
    /// Records after which new keys are to be asked for.
    renew_at: u64,
    /// Records that the keys may seal.
    limit: u64,
}

/// Why a record was not opened. All are dropped in silence and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// No record header, or one that claims more than there is: the rest of
    /// the datagram is lost.
    Malformed,
    /// The epoch is over, or far ahead.
    Epoch,
    /// Seen before, or too old to tell.
    Replay,
    /// The tag does not verify.
    Forged,
    /// Longer than a record may be.
    Oversized,
    /// The version field is not of DTLS.
    Version,
}

/// Where in its record a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) at: usize,
    pub(crate) length: usize,
}

impl Payload {
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.at..self.at + self.length
    }
}

/// What became of one record.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The payload is in the record's buffer.
    Record {
        number: RecordNumber,
        content_type: ContentType,
        payload: Payload,
    },
    /// Authentic, but the plaintext is more than was allowed.
    Overflow,
    /// Authentic, but without a content type (RFC 8446 §5.4).
    NoContentType,
    /// For an epoch to come: to be tried again when its keys are known.
    Early,
    Dropped(Dropped),
}

/// What became of a datagram that may be as nearly all are. Data come by
/// themselves and not as [`Opened`]: putting that together and taking it apart
/// through memory costs a record as much as all else that is done here.
#[derive(Debug)]
pub(crate) enum Usual {
    /// It was one record of application data.
    Data(Payload),
    /// It was one record of something else.
    Opened(Opened),
    /// It is not, and nothing was done.
    No,
}

/// Counters of records, since the connection began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RecordCounters {
    pub(crate) opened: u64,
    pub(crate) sealed: u64,
    pub(crate) malformed: u64,
    pub(crate) wrong_epoch: u64,
    pub(crate) replayed: u64,
    pub(crate) forged: u64,
    pub(crate) early: u64,
}

/// Epochs of both directions. See the module.
#[derive(Debug)]
pub(crate) struct RecordLayer {
    read: Vec<ReadEpoch>,
    write: Vec<WriteEpoch>,
    /// What the peer puts in its records for us, and we in ours for it.
    pub(crate) cid_in: Vec<u8>,
    pub(crate) cid_out: Vec<u8>,
    /// What we offer to receive, until it is agreed on.
    pub(crate) cid_in_offer: Vec<u8>,
    /// What the version field of plaintext records says.
    pub(crate) plain_version: u16,
    /// Largest plaintext we accept (RFC 8449), content type included for 1.3.
    pub(crate) limit_in: usize,
    /// Whether 1.3 is in use: protected records have the unified header.
    pub(crate) unified: bool,
    pub(crate) counters: RecordCounters,
    /// A protected record newer than all before it was opened.
    pub(crate) newest_seen: bool,
    read_current: u64,
    /// When the first of the read epochs expires.
    next_expiry: Option<Instant>,
}

/// Sealing failed: keys used up, the epoch is gone, or no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotSeal;

impl RecordLayer {
    pub(crate) fn new() -> Self {
        let plain = WriteEpoch {
            epoch: 0,
            protection: Protection::Plain,
            next_sequence: 0,
            renew_at: LAST_SEQUENCE,
            limit: LAST_SEQUENCE,
        };
        let read = ReadEpoch {
            epoch: 0,
            protection: Protection::Plain,
            replay: ReplayWindow::default(),
            forged: 0,
            expires: None,
        };
        Self {
            read: vec![read],
            write: vec![plain],
            cid_in: Vec::new(),
            cid_out: Vec::new(),
            cid_in_offer: Vec::new(),
            plain_version: DTLS10,
            limit_in: MAX_PLAINTEXT,
            unified: false,
            counters: RecordCounters::default(),
            newest_seen: false,
            read_current: 0,
            next_expiry: None,
        }
    }

    /// Adds keys to read an epoch with. It is not current until
    /// [`Self::set_read_current`] says so.
    pub(crate) fn add_read(&mut self, epoch: u64, protection: Protection) {
        if self.read.len() == MAX_READ_EPOCHS {
            self.read.remove(0);
        }
        self.read.push(ReadEpoch {
            epoch,
            protection,
            replay: ReplayWindow::default(),
            forged: 0,
            expires: None,
        });
    }

    /// Both sides said their connection IDs: protected records carry them.
    pub(crate) fn agree_connection_ids(&mut self, theirs: &[u8]) {
        self.cid_in = std::mem::take(&mut self.cid_in_offer);
        self.cid_out = theirs.to_vec();
    }

    /// The epoch of which handshake messages are taken.
    pub(crate) fn read_current(&self) -> u64 {
        self.read_current
    }

    /// Moves on to `epoch`; those before it are kept until `expires`.
    pub(crate) fn set_read_current(&mut self, epoch: u64, expires: Instant) {
        self.read_current = epoch;
        self.next_expiry = self.next_expiry.or(Some(expires));
        for old in self.read.iter_mut().filter(|old| old.epoch < epoch) {
            old.expires = old.expires.or(Some(expires));
        }
        // Only the one before can still be useful.
        let before = self
            .read
            .iter()
            .map(|read| read.epoch)
            .filter(|old| *old < epoch)
            .max();
        self.read
            .retain(|read| read.epoch >= epoch || Some(read.epoch) == before);
    }

    /// Drops the plaintext epoch: what is not protected is ignored from now on.
    pub(crate) fn drop_plain_read(&mut self) {
        self.read.retain(|read| read.epoch != 0);
    }

    #[inline]
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.next_expiry.is_some_and(|at| at <= now) {
            self.expire_epochs(now);
        }
    }

    #[cold]
    fn expire_epochs(&mut self, now: Instant) {
        // A peer that never saw our ACK goes on with the old keys: they stay until
        // something came under the new ones (RFC 9147 §8).
        let current = self.read_current;
        let in_use = |read: &ReadEpoch| read.epoch >= current && read.replay.next() > 0;
        let moved_on = self.read.iter().any(in_use);
        let is_over = |read: &ReadEpoch| read.expires.is_some_and(|at| at <= now);
        if moved_on {
            self.read.retain(|read| !is_over(read));
        } else {
            for old in self.read.iter_mut().filter(|read| is_over(read)) {
                old.expires = Some(now + OLD_EPOCH_LIFETIME);
            }
        }
        self.next_expiry = self.read.iter().filter_map(|read| read.expires).min();
    }

    /// Gives back what the handshake took; the keys of epochs that are over
    /// sleep until a record wants them.
    pub(crate) fn shrink(&mut self) {
        let current = self.read_current;
        for old in self.read.iter_mut().filter(|old| old.epoch < current) {
            old.protection.fall_asleep();
        }
        self.read.shrink_to_fit();
        self.write.shrink_to_fit();
    }

    /// Adds keys to write with; they are current at once, and those of epochs
    /// before stay for retransmissions until [`Self::drop_old_write`].
    pub(crate) fn add_write(&mut self, epoch: u64, protection: Protection) {
        let (renew_at, limit) = match &protection {
            // Early, so that the update is through before the end (RFC 9147 §4.5.3).
            Protection::Tls13(keys) => {
                let limit = keys.algorithm.confidentiality_limit();
                (limit - limit / 16, limit)
            }
            // 1.2 has no updates. Its keys last as long as their numbers, of which
            // an alert gets the last (RFC 6347 §4.1).
            _ => (LAST_SEQUENCE, LAST_SEQUENCE),
        };
        self.write.push(WriteEpoch {
            epoch,
            protection,
            next_sequence: 0,
            renew_at,
            limit,
        });
    }

    /// As if the current write keys had sealed `sequence` records, and another
    /// layer's read keys had opened them.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, reader: &mut Self, sequence: u64) {
        if let (Some(write), Some(read)) = (self.write.last_mut(), reader.read.last_mut()) {
            write.next_sequence = sequence;
            read.replay.mark(sequence - 1);
        }
    }

    /// Numbers of plaintext records go on from `sequence`: those before were
    /// used by a stateless answer (RFC 6347 §4.2.1).
    pub(crate) fn start_plain_write_at(&mut self, sequence: u64) {
        for plain in self.write.iter_mut().filter(|write| write.epoch == 0) {
            plain.next_sequence = sequence;
        }
    }

    /// Takes back the write epochs after `epoch`: nothing was sent in them.
    pub(crate) fn roll_back_write(&mut self, epoch: u64) {
        self.write
            .retain(|write| write.epoch <= epoch || write.next_sequence > 0);
    }

    #[inline]
    pub(crate) fn write_current(&self) -> u64 {
        self.write.last().map_or(0, |write| write.epoch)
    }

    /// Drops write epochs before the current one: nothing is sent again.
    pub(crate) fn drop_old_write(&mut self) {
        self.write.drain(..self.write.len().saturating_sub(1));
    }

    /// Whether more forgeries were refused than the algorithm allows.
    pub(crate) fn read_is_worn(&self) -> bool {
        self.read.iter().any(|read| {
            read.protection
                .algorithm()
                .is_some_and(|algorithm| read.forged >= algorithm.integrity_limit())
        })
    }

    #[inline]
    fn write_epoch(&self, epoch: u64) -> Option<&WriteEpoch> {
        self.write.iter().find(|write| write.epoch == epoch)
    }
}
