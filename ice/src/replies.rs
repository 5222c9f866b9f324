//! Responses waiting to be written when the driver polls.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tincan_stun::message::{AttributeType, TransactionId};

use crate::limits::MAX_QUEUED_REPLIES;
use crate::pair::BaseId;

#[derive(Debug)]
pub(crate) enum Kind {
    /// With the password of the current (`false`) or previous generation.
    Success { previous: bool },
    /// Authentic request, refused.
    Refusal { code: u16, previous: bool },
    /// Request that was not authentic.
    Stranger { code: u16 },
    /// 420 with these.
    Unknown {
        types: Vec<AttributeType>,
        previous: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) base: BaseId,
    pub(crate) to: SocketAddr,
    pub(crate) id: TransactionId,
    pub(crate) kind: Kind,
}

#[derive(Debug, Default)]
pub(crate) struct Replies(VecDeque<Reply>);

impl Replies {
    /// `false`: the queue was full and the oldest one made room.
    pub(crate) fn push(&mut self, reply: Reply) -> bool {
        let fits = self.0.len() < MAX_QUEUED_REPLIES;
        if !fits {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            // An idle agent answers one request at a time.
            self.0.reserve_exact(1);
        }
        self.0.push_back(reply);
        fits
    }

    pub(crate) fn pop(&mut self) -> Option<Reply> {
        self.0.pop_front()
    }

    /// Gives back room that was kept for more.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
