//! The receive buffer's size: it grows to what the path carries in a few round trips.

use std::time::{Duration, Instant};

use crate::limits::{MAX_WAITING_ALLOWANCE, MAX_WAITING_MESSAGES, MAX_WAITING_WINDOWS};
use crate::reassembly::Held;

/// The window is kept at this many times what arrives in a round trip: twice for the round trip
/// that a retransmission takes, twice again because the sender's start doubles each round.
const ROUND_TRIPS: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct ReceiveWindow {
    size: usize,
    bound: usize,
    /// Octets at which what waits is too much.
    most_waiting: usize,
    round_began: Option<Instant>,
    received: usize,
}

impl ReceiveWindow {
    /// `unit` is the most of one message that waits while others do: nothing without interleaving, where one message
    /// is under way at a time.
    pub(crate) fn new(size: usize, bound: usize, unit: usize) -> Self {
        let messages = unit
            .saturating_mul(MAX_WAITING_MESSAGES)
            .min(MAX_WAITING_ALLOWANCE);
        Self {
            size,
            bound,
            most_waiting: bound.saturating_mul(MAX_WAITING_WINDOWS).max(messages),
            round_began: None,
            received: 0,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Data arrived.
    #[inline]
    pub(crate) fn on_data(&mut self, now: Instant, octets: usize, rtt: Duration) {
        self.received += octets;
        if self.size >= self.bound {
            return;
        }
        let began = *self.round_began.get_or_insert(now);
        if now.saturating_duration_since(began) >= rtt {
            self.size = self.size.max(self.received * ROUND_TRIPS).min(self.bound);
            self.round_began = Some(now);
            self.received = 0;
        } else if self.received >= self.size / 2 {
            // Half a window within a round trip: the sender is held back by it or will be.
            self.size = (self.size * 2).min(self.bound);
        }
    }

    /// What to advertise. A message that is not complete yet must not close the window to its
    /// own rest: the size grows to hold it.
    pub(crate) fn advertise(&mut self, held: Held) -> usize {
        if held.waiting > self.size / 2 {
            self.size = (held.waiting * 2).min(self.bound);
        }
        self.size.saturating_sub(held.waiting + held.unread)
    }

    /// More waits than an honest sender makes wait.
    #[inline]
    pub(crate) fn is_overrun(&self, held: Held) -> bool {
        held.waiting >= self.most_waiting
    }

    /// Whether a chunk may be stored; `needed` says that it fills the first gap. Then what waits
    /// for it does not count: otherwise a full buffer could never empty. But what is unread empties it too, so
    /// the two together are bounded as what waits alone is.
    #[inline]
    pub(crate) fn accepts(&self, held: Held, needed: bool) -> bool {
        // Half as much again: the sender may have used a window that shrank since.
        let most = self.size + self.size / 2;
        let both = held.unread + held.waiting;
        if needed {
            held.unread == 0 || held.unread < most && both < self.most_waiting
        } else {
            both < most
        }
    }
}
