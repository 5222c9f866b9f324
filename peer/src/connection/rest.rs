//! Rest: a connection on which nothing arrives for a while gives back the room that its beginning took.
//!
//! Most connections of a server are idle most of the time. Their queues and tables grew while the connection was made
//! (a queue of events has room for sixteen after the first five), and are empty ever since.

use std::time::Instant;

use super::PeerConnection;
use crate::limits::REST_AFTER;

/// When something came last, and whether room was given back since.
#[derive(Debug)]
pub(super) struct Rest {
    since: Instant,
    done: bool,
}

impl Rest {
    pub(super) fn new(now: Instant) -> Self {
        Rest {
            since: now,
            done: false,
        }
    }

    /// Data or media came.
    pub(super) fn disturb(&mut self, now: Instant) {
        self.since = now;
        self.done = false;
    }

    /// Whether it is time; says so once.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = !self.done && now.saturating_duration_since(self.since) >= REST_AFTER;
        self.done |= due;
        due
    }
}

impl PeerConnection {
    /// Gives room back once after each busy time. It needs no timer of its own: consent is renewed every five seconds.
    pub(super) fn give_back(&mut self, now: Instant) {
        if !self.rest.is_due(now) {
            return;
        }
        self.jsep.rest();
        self.events.shrink_to_fit();
        self.addresses.shrink_to_fit();
        self.held.shrink();
        self.signalling.shrink();
        self.transport.agent.shrink();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn says_so_once_after_each_disturbance() {
        let start = Instant::now();
        let mut rest = Rest::new(start);
        assert!(!rest.is_due(start + REST_AFTER - Duration::from_nanos(1)));
        assert!(rest.is_due(start + REST_AFTER));
        assert!(!rest.is_due(start + 2 * REST_AFTER));
        rest.disturb(start + 2 * REST_AFTER);
        assert!(!rest.is_due(start + 2 * REST_AFTER));
        assert!(rest.is_due(start + 3 * REST_AFTER));
    }
}
