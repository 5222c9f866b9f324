//! How much memory a connection takes, and the budget that bounds it.
//!
//! Each part that a remote or the application can make grow has a share of the budget, so that nothing has to be added
//! up while packets pass, and no part can starve another:
//!
//! | share | of what | beyond it |
//! |---|---|---|
//! | 1/8 | media that waits for the application | is dropped and counted |
//! | 1/32 and one message | messages fetched from SCTP | stay there |
//! | 1/4 | SCTP's receive buffer | its window is closed, then chunks are refused, then the association is ended |
//! | 1/8 | data channels, their labels and protocols | the far side's are refused |
//! | 3/16 | what is sent: messages, packets, what may be sent again | `Error::MemoryBudget` |
//! | 1/16 | frames under way and lists of missing packets | the stream's are given up, a key frame is asked for |
//! | 1/16 | descriptions | `Error::MemoryBudget` |
//! | the rest | ICE, DTLS and SRTP, which are bounded by tables of fixed size | |

use super::PeerConnection;
use crate::error::Error;
use crate::limits::{BUDGET_PER_MESSAGE, MIN_MEMORY_BUDGET};
use crate::queue::Events;

/// A description is kept as text and as model, ours and theirs, current and pending, each at most four times its text.
const PER_DESCRIPTION: usize = 16;

/// The shares of a budget, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) queued_media: usize,
    pub(crate) queued_messages: usize,
    pub(crate) receive_window: usize,
    pub(crate) channels: usize,
    pub(crate) outgoing: usize,
    pub(crate) assembling: usize,
    pub(crate) description: usize,
    pub(crate) srtp_streams: usize,
}

impl Shares {
    pub(crate) fn of(budget: usize) -> Self {
        Shares {
            queued_media: budget / 8,
            queued_messages: budget / 32,
            // Of what it announces SCTP takes twice as much at most (`MAX_WAITING_WINDOWS`).
            receive_window: budget / 8,
            // Kept at the association and here.
            channels: budget / 16,
            outgoing: budget / 16 * 3,
            assembling: budget / 16,
            description: budget / 16 / PER_DESCRIPTION,
            srtp_streams: (budget / 32 / 512).clamp(16, tincan_srtp::limits::DEFAULT_MAX_STREAMS),
        }
    }

    /// Whether a budget can be had with messages of this size; 0 is any size.
    pub(crate) fn check(budget: usize, max_message_size: usize) -> Result<(), Error> {
        let least = max_message_size
            .saturating_mul(BUDGET_PER_MESSAGE)
            .max(MIN_MEMORY_BUDGET);
        if budget < least || max_message_size == 0 {
            return Err(Error::ConfigurationRange(
                "memory_budget must be at least 4 MiB and 16 times max_message_size",
            ));
        }
        Ok(())
    }

    pub(crate) fn events(shares: Option<Self>) -> Events {
        shares.map_or_else(Events::default, |s| {
            Events::bounded(s.queued_media, s.queued_messages)
        })
    }
}

impl PeerConnection {
    /// Bytes of memory that this connection takes, about: its tables, and all payload that waits, is under way or may be
    /// sent again. Payload is counted as long as it is; what an allocator or a driver's receive buffer keeps around it
    /// is not. Asking costs a walk over the candidates, a few hundred at most.
    pub fn memory_usage(&self) -> usize {
        let described: usize = [
            self.current_local_description(),
            self.pending_local_description(),
            self.current_remote_description(),
            self.pending_remote_description(),
        ]
        .iter()
        .flatten()
        .map(|d| d.sdp.len() * PER_DESCRIPTION / 4)
        .sum();
        size_of::<Self>()
            + described
            + self.events.memory_usage()
            + self.transport.memory_usage()
            + self.channels.memory_usage()
            + self.media.as_ref().map_or(0, |m| m.memory_usage())
    }

    pub(super) fn shares(&self) -> Option<Shares> {
        self.config.memory_budget.map(Shares::of)
    }

    /// Whether `octets` more may be sent.
    pub(super) fn check_outgoing(&self, octets: usize) -> Result<(), Error> {
        let Some(shares) = self.shares() else {
            return Ok(());
        };
        let media = self.media.as_ref().map_or(0, |m| m.outgoing());
        if self.channels.outgoing() + media + octets > shares.outgoing {
            return Err(Error::MemoryBudget);
        }
        Ok(())
    }

    pub(super) fn check_description(&self, sdp: &str) -> Result<(), Error> {
        match self.shares() {
            Some(shares) if sdp.len() > shares.description => Err(Error::MemoryBudget),
            _ => Ok(()),
        }
    }
}
