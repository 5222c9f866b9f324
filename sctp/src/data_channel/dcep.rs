//! The messages of the establishment protocol (RFC 8832 §5).

use std::time::Duration;

use super::ChannelConfig;
use crate::association::Reliability;
use crate::wire::{be16, be32};

const ACK: u8 = 0x02;
const OPEN: u8 = 0x03;

/// Channel types (RFC 8832 §5.1, §8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelType {
    /// How hard to try; the reliability parameter is in it.
    pub reliability: Reliability,
    /// Ordered delivery.
    pub ordered: bool,
}

/// Why a message of the protocol cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DcepError {
    /// Shorter than its fields say.
    #[error("the message is too short")]
    TooShort,
    /// A message type this crate does not know.
    #[error("unknown message type {0}")]
    UnknownType(u8),
    /// A channel type this crate does not know.
    #[error("unknown channel type {0}")]
    UnknownChannelType(u8),
    /// Label or protocol is not UTF-8.
    #[error("label or protocol is not UTF-8")]
    NotUtf8,
}

/// A message of the establishment protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DcepMessage {
    /// DATA_CHANNEL_OPEN.
    Open(ChannelConfig),
    /// DATA_CHANNEL_ACK.
    Ack,
}

impl DcepMessage {
    /// Reads a message.
    pub fn parse(bytes: &[u8]) -> Result<Self, DcepError> {
        match bytes.first() {
            Some(&ACK) => Ok(Self::Ack),
            Some(&OPEN) => Self::parse_open(bytes).map(Self::Open),
            Some(&other) => Err(DcepError::UnknownType(other)),
            None => Err(DcepError::TooShort),
        }
    }

    fn parse_open(bytes: &[u8]) -> Result<ChannelConfig, DcepError> {
        let kind = *bytes.get(1).ok_or(DcepError::TooShort)?;
        let priority = be16(bytes, 2).ok_or(DcepError::TooShort)?;
        let parameter = be32(bytes, 4).ok_or(DcepError::TooShort)?;
        let label_len = be16(bytes, 8).ok_or(DcepError::TooShort)?;
        let protocol_len = be16(bytes, 10).ok_or(DcepError::TooShort)?;
        let rest = bytes.get(12..).ok_or(DcepError::TooShort)?;
        let (label, rest) = rest
            .split_at_checked(usize::from(label_len))
            .ok_or(DcepError::TooShort)?;
        let protocol = rest
            .get(..usize::from(protocol_len))
            .ok_or(DcepError::TooShort)?;
        let text = |b: &[u8]| {
            std::str::from_utf8(b)
                .map(str::to_owned)
                .map_err(|_| DcepError::NotUtf8)
        };
        let reliability = match kind & 0x7f {
            0 => Reliability::Reliable,
            1 => Reliability::MaxRetransmits(u16::try_from(parameter).unwrap_or(u16::MAX)),
            2 => Reliability::MaxLifetime(Duration::from_millis(u64::from(parameter))),
            _ => return Err(DcepError::UnknownChannelType(kind)),
        };
        Ok(ChannelConfig {
            label: text(label)?,
            protocol: text(protocol)?,
            ordered: kind & 0x80 == 0,
            reliability,
            negotiated: None,
            priority,
        })
    }

    /// Writes the message. A label or protocol beyond 65 535 octets is cut: callers check.
    pub fn to_vec(&self) -> Vec<u8> {
        let Self::Open(config) = self else {
            return vec![ACK];
        };
        let (kind, parameter) = match config.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::MaxRetransmits(most) => (1, u32::from(most)),
            Reliability::MaxLifetime(life) => {
                (2, u32::try_from(life.as_millis()).unwrap_or(u32::MAX))
            }
        };
        let kind = if config.ordered { kind } else { kind | 0x80 };
        let length = |s: &str| u16::try_from(s.len()).unwrap_or(u16::MAX);
        let (label_len, protocol_len) = (length(&config.label), length(&config.protocol));
        let mut out = vec![OPEN, kind];
        out.extend_from_slice(&config.priority.to_be_bytes());
        out.extend_from_slice(&parameter.to_be_bytes());
        out.extend_from_slice(&label_len.to_be_bytes());
        out.extend_from_slice(&protocol_len.to_be_bytes());
        out.extend(config.label.bytes().take(usize::from(label_len)));
        out.extend(config.protocol.bytes().take(usize::from(protocol_len)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reliability() -> impl Strategy<Value = Reliability> {
        prop_oneof![
            Just(Reliability::Reliable),
            any::<u16>().prop_map(Reliability::MaxRetransmits),
            any::<u32>().prop_map(|ms| Reliability::MaxLifetime(Duration::from_millis(ms.into()))),
        ]
    }

    proptest! {
        #[test]
        fn an_open_message_survives_the_wire(
            label in ".{0,40}", protocol in ".{0,40}", ordered: bool, reliability in reliability(),
            priority: u16,
        ) {
            let config =
                ChannelConfig { label, protocol, ordered, reliability, negotiated: None, priority };
            let message = DcepMessage::Open(config);
            prop_assert_eq!(DcepMessage::parse(&message.to_vec()), Ok(message));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = DcepMessage::parse(&bytes);
        }
    }

    #[test]
    fn reads_what_chromium_sends() {
        // Partially reliable, unordered, 3 retransmissions, label "chat", protocol "p".
        let bytes = [
            3, 0x81, 1, 0, 0, 0, 0, 3, 0, 4, 0, 1, b'c', b'h', b'a', b't', b'p',
        ];
        let Ok(DcepMessage::Open(config)) = DcepMessage::parse(&bytes) else {
            panic!()
        };
        assert_eq!(
            (config.label.as_str(), config.protocol.as_str()),
            ("chat", "p")
        );
        assert_eq!(config.reliability, Reliability::MaxRetransmits(3));
        assert!(!config.ordered);
        assert_eq!(config.priority, 256);
    }
}
