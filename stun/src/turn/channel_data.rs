//! ChannelData (RFC 8656 §12.4): four octets in front of the payload.

use crate::attributes::ChannelNumber;

/// Octets in front of the payload.
pub const HEADER_LEN: usize = 4;

/// A view of one ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel.
    pub channel: ChannelNumber,
    /// The application data.
    pub data: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Whether a datagram is ChannelData by its first octet, on a socket that
    /// other protocols share (RFC 7983 §7).
    #[inline]
    pub fn is(datagram: &[u8]) -> bool {
        matches!(datagram.first(), Some(0x40..=0x4F))
    }

    /// The same on a server's socket, where channels of RFC 5766 may come.
    #[inline]
    pub(crate) fn is_at_server(datagram: &[u8]) -> bool {
        matches!(datagram.first(), Some(0x40..=0x7F))
    }

    /// Reads one datagram, or one message cut out of a stream. Octets behind
    /// the announced length are padding and ignored (§12.5).
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Option<ChannelData<'a>> {
        let (&[c0, c1, l0, l1], rest) = datagram.split_first_chunk::<4>()?;
        let channel = ChannelNumber::new(u16::from_be_bytes([c0, c1]))?;
        let data = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
        Some(ChannelData { channel, data })
    }

    /// The header for a payload of `len` octets.
    #[inline]
    pub fn header(channel: ChannelNumber, len: u16) -> [u8; HEADER_LEN] {
        let ([c0, c1], [l0, l1]) = (channel.number().to_be_bytes(), len.to_be_bytes());
        [c0, c1, l0, l1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_with_padding_and_refuses_what_is_short_or_reserved() {
        let channel = ChannelNumber::MIN;
        let mut octets = ChannelData::header(channel, 3).to_vec();
        octets.extend_from_slice(b"abc");
        assert_eq!(
            ChannelData::parse(&octets),
            Some(ChannelData {
                channel,
                data: b"abc"
            })
        );
        octets.push(0);
        assert_eq!(
            ChannelData::parse(&octets),
            Some(ChannelData {
                channel,
                data: b"abc"
            })
        );
        assert_eq!(ChannelData::parse(&octets[..6]), None);
        assert_eq!(ChannelData::parse(&[0x80, 0, 0, 0]), None);
        assert_eq!(
            ChannelData::parse(&[0x40, 0, 0, 0]).map(|d| d.data.len()),
            Some(0)
        );
    }
}
