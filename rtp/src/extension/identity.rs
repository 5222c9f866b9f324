//! Which m-line and which encoding a packet belongs to (RFC 9143 §15.2, RFC 8852).

use crate::error::ParseError;
use crate::extension::{Extension, ExtensionKind};

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name<'a>(pub &'a str);

        impl<'a> Extension<'a> for $name<'a> {
            const KIND: ExtensionKind = ExtensionKind::$name;

            fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
                identifier(value).map(Self)
            }

            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_bytes());
            }
        }
    )*};
}

identifiers! {
    /// The mid of the packet's m-line (RFC 9143 §15.2).
    Mid,
    /// The rid of the packet's encoding (RFC 8852 §3.1).
    RtpStreamId,
    /// The rid of the encoding that this retransmission or repair packet belongs to (RFC 8852 §3.2).
    RepairedRtpStreamId,
}

/// The text of an identifier: not empty, ASCII without blanks or controls (RFC 5888 token,
/// RFC 8851 rid syntax). Some senders pad with zero octets at the end; these are cut off.
fn identifier(value: &[u8]) -> Result<&str, ParseError> {
    let end = value.iter().rposition(|c| *c != 0).map_or(0, |i| i + 1);
    let text = value.get(..end).unwrap_or(&[]);
    if text.is_empty() {
        return Err(ParseError::ExtensionValue(value.len()));
    }
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err(ParseError::Text);
    }
    std::str::from_utf8(text).map_err(|_| ParseError::Text)
}
