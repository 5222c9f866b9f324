//! One channel: what it was opened with, and its life.
//!
//! ```text
//! Connecting ──▶ Open ──▶ Closing ──▶ Closed
//!      └──────────────────────┘
//! ```
//! Closing waits for both streams' resets (RFC 8831 §6.7).

use crate::association::Reliability;
use crate::limits::CHANNEL_OVERHEAD;

/// What a channel is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its label, up to 65 535 octets of UTF-8.
    pub label: String,
    /// Its subprotocol, up to 65 535 octets of UTF-8.
    pub protocol: String,
    /// Messages arrive in the order they were sent in.
    pub ordered: bool,
    /// How hard to try.
    pub reliability: Reliability,
    /// The identifier, when both ends agreed on the channel by other means; nothing is sent to
    /// open it then.
    pub negotiated: Option<u16>,
    /// 128 very low, 256 low, 512 medium, 1024 high, or between (RFC 8831 §6.4): the share of
    /// the association's capacity.
    pub priority: u16,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            label: String::new(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: None,
            priority: 256,
        }
    }
}

/// Where a channel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// The association is not established yet. Messages are queued.
    Connecting,
    /// Messages flow.
    Open,
    /// Being closed by either side.
    Closing,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) config: Box<ChannelConfig>,
    pub(super) state: ChannelState,
    /// The peer knows the channel: from now on messages may overtake each other (RFC 8832 §6).
    pub(super) acknowledged: bool,
    /// Our stream was reset.
    pub(super) outgoing_reset: bool,
    /// The peer's stream was reset.
    pub(super) incoming_reset: bool,
    /// A message is being written piece by piece, of this kind.
    pub(super) writing: Option<u32>,
}

impl Channel {
    pub(super) fn new(config: Box<ChannelConfig>, state: ChannelState, acknowledged: bool) -> Self {
        Self {
            config,
            state,
            acknowledged,
            outgoing_reset: false,
            incoming_reset: false,
            writing: None,
        }
    }

    /// Octets that the channel is charged.
    pub(super) fn cost(&self) -> usize {
        CHANNEL_OVERHEAD + self.config.label.len() + self.config.protocol.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.outgoing_reset && self.incoming_reset
    }
}
