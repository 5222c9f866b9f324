//! What goes into an endpoint and what comes out.

use bytes::Bytes;

use super::ids::{ChannelId, Role};
use super::{ChannelConfig, ppid};
use crate::error::CloseReason;
use crate::payload::Payload;

/// Settings of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The association's settings. Here [`zero_checksum`](crate::Config::zero_checksum) is true
    /// by default: data channels run over DTLS.
    pub association: crate::Config,
    /// Which side of the DTLS connection this is.
    pub role: Role,
    /// The largest message that the peer accepts, in octets (`a=max-message-size`, RFC 8841 §6);
    /// 0: any. Default 65 536, as when the attribute is missing.
    pub remote_max_message_size: usize,
    /// The high water mark: octets that a channel may have queued before messages are refused.
    /// A message larger than that is accepted when nothing is queued. Default 16 MiB.
    pub high_water_mark: usize,
    /// Octets that all channels may be charged, labels, protocols and
    /// [`CHANNEL_OVERHEAD`](crate::limits::CHANNEL_OVERHEAD): the peer's OPENs beyond it are refused by a reset, as
    /// RFC 8832 §6 has it for an OPEN that cannot be honoured, and counted. Our own are not. Default
    /// [`MAX_CHANNEL_OCTETS`](crate::limits::MAX_CHANNEL_OCTETS).
    pub max_channel_octets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            association: crate::Config {
                zero_checksum: true,
                ..crate::Config::default()
            },
            role: Role::Client,
            remote_max_message_size: 65_536,
            high_water_mark: 16 << 20,
            max_channel_octets: crate::limits::MAX_CHANNEL_OCTETS,
        }
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text. It is not checked here.
    Text(Bytes),
    /// Octets.
    Binary(Bytes),
}

impl Message {
    /// Its kind.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Its octets.
    pub fn data(&self) -> &Bytes {
        match self {
            Self::Text(data) | Self::Binary(data) => data,
        }
    }
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text. It is not checked here.
    Text,
    /// Octets.
    Binary,
}

impl MessageKind {
    pub(super) fn ppid(self) -> u32 {
        match self {
            Self::Text => ppid::STRING,
            Self::Binary => ppid::BINARY,
        }
    }

    pub(super) fn ppid_empty(self) -> u32 {
        match self {
            Self::Text => ppid::STRING_EMPTY,
            Self::Binary => ppid::BINARY_EMPTY,
        }
    }
}

/// News from an endpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The association is established.
    Connected,
    /// A channel is open.
    ChannelOpened {
        /// The channel.
        id: ChannelId,
        /// What it was opened with.
        config: Box<ChannelConfig>,
        /// The peer opened it.
        remote: bool,
    },
    /// A message.
    Message {
        /// The channel.
        id: ChannelId,
        /// Text or binary.
        kind: MessageKind,
        /// Its octets: slices of the datagrams that brought them.
        data: Payload,
    },
    /// A piece of a message, when [`piece_size`](crate::Config::piece_size) is set.
    MessagePart {
        /// The channel.
        id: ChannelId,
        /// Text or binary; a text may be cut within a character.
        kind: MessageKind,
        /// Its octets.
        data: Payload,
        /// The message begins.
        first: bool,
        /// The message ends.
        last: bool,
    },
    /// The rest of a message will not come: the peer gave it up.
    MessageAborted {
        /// The channel.
        id: ChannelId,
    },
    /// The peer began to close the channel: messages that are queued are still sent.
    ChannelClosing {
        /// The channel.
        id: ChannelId,
    },
    /// A channel is closed; its identifier may be used again.
    ChannelClosed {
        /// The channel.
        id: ChannelId,
    },
    /// The amount queued fell to the channel's low threshold.
    BufferedAmountLow {
        /// The channel.
        id: ChannelId,
    },
    /// A channel that refused a message has room again: half of the high water mark is free.
    Writable {
        /// The channel.
        id: ChannelId,
    },
    /// The association is over; so are all channels. The last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a channel cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The association is closing or closed.
    #[error("the association is closing or closed")]
    Closed,
    /// Label or protocol has more than 65 535 octets.
    #[error("label or protocol is longer than 65 535 octets")]
    TooLong,
    /// The negotiated identifier is 65 535, or beyond the association's streams.
    #[error("the identifier is out of range")]
    InvalidId,
    /// The negotiated identifier is in use.
    #[error("the identifier is in use")]
    InUse,
    /// All identifiers of this side are in use.
    #[error("no identifier is free")]
    Exhausted,
    /// A lifetime beyond 2³² - 1 ms cannot be told to the peer.
    #[error("the lifetime is too long")]
    Lifetime,
}
