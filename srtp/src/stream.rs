//! One RTP stream as a context sees it: its roll-over counter and which indices were used.

use crate::index::{Index, estimate};
use crate::replay::{Verdict, Window};

/// The state of one SSRC.
pub(crate) struct Stream {
    /// The roll-over counter to begin with, while no packet was seen.
    initial_rollover: u32,
    /// From the first packet on.
    window: Option<Window>,
}

impl Stream {
    pub(crate) fn starting_at(rollover: u32) -> Self {
        Self {
            initial_rollover: rollover,
            window: None,
        }
    }

    /// The index of a packet with this sequence number, `None` beyond the last one.
    #[inline]
    pub(crate) fn index(&self, sequence: u16) -> Option<Index> {
        match &self.window {
            Some(window) => estimate(window.highest(), sequence),
            None => Some((u64::from(self.initial_rollover) << 16) | u64::from(sequence)),
        }
    }

    #[inline]
    pub(crate) fn check(&self, index: Index) -> Verdict {
        match &self.window {
            Some(window) => window.check(index),
            None => Verdict::Fresh,
        }
    }

    /// Records an index that was fresh; `size` is the window's, in packets.
    #[inline]
    pub(crate) fn record(&mut self, index: Index, size: usize) {
        match &mut self.window {
            Some(window) => window.record(index),
            None => self.window = Some(Window::new(size, index)),
        }
    }

    /// The roll-over counter now.
    pub(crate) fn rollover(&self) -> u32 {
        match &self.window {
            Some(window) => (window.highest() >> 16) as u32,
            None => self.initial_rollover,
        }
    }
}
