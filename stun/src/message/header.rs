//! Class, method and transaction id: the twenty octets every message begins with.

use core::fmt;

use rand::Rng;

/// The constant in octets 4 to 8 of every message (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What a message is within its transaction (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for an answer.
    Request,
    /// Asks for none.
    Indication,
    /// Answers: done.
    Success,
    /// Answers: refused.
    Error,
}

/// What a message asks for: twelve bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// Binding (RFC 8489 §18.2).
    pub const BINDING: Method = Method(0x001);
    /// Allocate (RFC 8656 §17).
    pub const ALLOCATE: Method = Method(0x003);
    /// Refresh (RFC 8656 §17).
    pub const REFRESH: Method = Method(0x004);
    /// Send, indication only (RFC 8656 §17).
    pub const SEND: Method = Method(0x006);
    /// Data, indication only (RFC 8656 §17).
    pub const DATA: Method = Method(0x007);
    /// CreatePermission (RFC 8656 §17).
    pub const CREATE_PERMISSION: Method = Method(0x008);
    /// ChannelBind (RFC 8656 §17).
    pub const CHANNEL_BIND: Method = Method(0x009);
    /// Connect (RFC 6062 §6.1).
    pub const CONNECT: Method = Method(0x00A);
    /// ConnectionBind (RFC 6062 §6.1).
    pub const CONNECTION_BIND: Method = Method(0x00B);
    /// ConnectionAttempt, indication only (RFC 6062 §6.1).
    pub const CONNECTION_ATTEMPT: Method = Method(0x00C);
    /// The short keep-alive of libwebrtc (not registered).
    pub const GOOG_PING: Method = Method(0x080);

    /// A method by its number; `None` above twelve bits.
    pub const fn new(number: u16) -> Option<Method> {
        if number <= 0xFFF {
            Some(Method(number))
        } else {
            None
        }
    }

    /// The number, at most 0xFFF.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Method::BINDING => "Binding",
            Method::ALLOCATE => "Allocate",
            Method::REFRESH => "Refresh",
            Method::SEND => "Send",
            Method::DATA => "Data",
            Method::CREATE_PERMISSION => "CreatePermission",
            Method::CHANNEL_BIND => "ChannelBind",
            Method::CONNECT => "Connect",
            Method::CONNECTION_BIND => "ConnectionBind",
            Method::CONNECTION_ATTEMPT => "ConnectionAttempt",
            Method::GOOG_PING => "GoogPing",
            Method(other) => return write!(f, "Method(0x{other:03x})"),
        };
        f.write_str(name)
    }
}

/// Spreads method and class over the fourteen bits of RFC 8489 figure 3.
pub(crate) const fn encode_type(class: Class, method: Method) -> u16 {
    let m = method.0;
    let spread = (m & 0x000F) | ((m & 0x0070) << 1) | ((m & 0x0F80) << 2);
    spread
        | match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        }
}

/// Gathers class and method again; the two top bits of `t` must be zero.
pub(crate) const fn decode_type(t: u16) -> (Class, Method) {
    let class = match t & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    let method = (t & 0x000F) | ((t & 0x00E0) >> 1) | ((t & 0x3E00) >> 2);
    (class, Method(method))
}

/// The 96 bits that tie a response to its request (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId([u8; 12]);

impl TransactionId {
    /// Wraps twelve octets.
    pub const fn new(octets: [u8; 12]) -> Self {
        TransactionId(octets)
    }

    /// A fresh one. The source should be cryptographically strong (RFC 8489 §5):
    /// who can guess the id can forge a response to an unauthenticated request.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut octets = [0; 12];
        rng.fill_bytes(&mut octets);
        TransactionId(octets)
    }

    /// The octets as on the wire.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Settles who controls when both agents believe they do (RFC 8445 §7.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TieBreaker(pub u64);

impl TieBreaker {
    /// A fresh one.
    pub fn random(rng: &mut impl Rng) -> Self {
        TieBreaker(rng.next_u64())
    }
}

/// Whether octets that arrived on a shared socket may be STUN: first two bits
/// zero, magic cookie, twenty octets at least (RFC 7983 §7 asks for the first
/// octet only; the cookie makes it sure).
#[inline]
pub fn is_stun(datagram: &[u8]) -> bool {
    match datagram.first_chunk::<20>() {
        Some(&[b0, _, _, _, c0, c1, c2, c3, ..]) => {
            b0 < 0x40 && u32::from_be_bytes([c0, c1, c2, c3]) == MAGIC_COOKIE
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_field_spreads_and_gathers_every_method_and_class() {
        for number in 0..=0xFFF {
            for class in [
                Class::Request,
                Class::Indication,
                Class::Success,
                Class::Error,
            ] {
                let t = encode_type(class, Method(number));
                assert_eq!(t & 0xC000, 0);
                assert_eq!(decode_type(t), (class, Method(number)));
            }
        }
        assert_eq!(encode_type(Class::Success, Method::BINDING), 0x0101);
        assert_eq!(encode_type(Class::Error, Method::ALLOCATE), 0x0113);
        assert_eq!(Method::new(0x1000), None);
    }
}
