//! Channel identifiers: even ones for the DTLS client, odd ones for the server (RFC 8832 §6).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

/// Identifies a channel, and is its stream identifier: 0 to 65 534.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(crate) u16);

impl ChannelId {
    /// The stream identifier as in `RTCDataChannel.id`.
    pub fn value(self) -> u16 {
        self.0
    }
}

impl From<ChannelId> for u16 {
    fn from(id: ChannelId) -> u16 {
        id.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The side of the DTLS connection: it decides which identifiers this end may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Even identifiers.
    #[default]
    Client,
    /// Odd identifiers.
    Server,
}

/// Hands out the lowest free identifiers of one parity. O(log n).
#[derive(Debug)]
pub(super) struct Ids {
    /// The next one that was never handed out.
    next: u32,
    /// Given back.
    free: BinaryHeap<Reverse<u16>>,
}

impl Ids {
    pub(super) fn new(role: Role) -> Self {
        let next = match role {
            Role::Client => 0,
            Role::Server => 1,
        };
        Self {
            next,
            free: BinaryHeap::new(),
        }
    }

    /// The lowest free identifier below `limit` that `is_taken` does not claim.
    pub(super) fn allocate(
        &mut self,
        limit: u16,
        is_taken: impl Fn(u16) -> bool,
    ) -> Option<ChannelId> {
        while let Some(Reverse(id)) = self.free.pop() {
            if id < limit && !is_taken(id) {
                return Some(ChannelId(id));
            }
        }
        while let Ok(id) = u16::try_from(self.next)
            && id < limit
        {
            self.next += 2;
            if !is_taken(id) {
                return Some(ChannelId(id));
            }
        }
        None
    }

    /// Whether this side chooses the identifier.
    pub(super) fn is_ours(&self, id: ChannelId) -> bool {
        u32::from(id.0) % 2 == self.next % 2
    }

    pub(super) fn give_back(&mut self, id: ChannelId) {
        let handed_out = self.is_ours(id) && u32::from(id.0) < self.next;
        if handed_out {
            self.free.push(Reverse(id.0));
        }
    }
}
