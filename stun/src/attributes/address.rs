//! Transport addresses, plain and XORed (RFC 8489 §14.1, §14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Attribute;
use crate::error::WriteError;
use crate::message::{AttributeType, MAGIC_COOKIE, TransactionId};

/// An address family as STUN numbers them (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// 0x01.
    V4,
    /// 0x02.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(addr: &SocketAddr) -> Family {
        if addr.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Family::V4 => 1,
            Family::V6 => 2,
        }
    }

    /// The family with this number.
    pub const fn new(number: u8) -> Option<Family> {
        match number {
            1 => Some(Family::V4),
            2 => Some(Family::V6),
            _ => None,
        }
    }
}

fn decode_plain(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0, p1]);
    let ip = match Family::new(family)? {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
    };
    Some(SocketAddr::new(ip, port))
}

fn encode_plain(addr: &SocketAddr, out: &mut Vec<u8>) {
    let [p0, p1] = addr.port().to_be_bytes();
    match addr.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            out.extend_from_slice(&[0, Family::V4.number(), p0, p1, a, b, c, d]);
        }
        IpAddr::V6(ip) => {
            out.extend_from_slice(&[0, Family::V6.number(), p0, p1]);
            out.extend_from_slice(&ip.octets());
        }
    }
}

/// XORs port and address with the cookie and, for IPv6, the transaction id;
/// the same operation hides and reveals.
fn xor(addr: SocketAddr, id: &TransactionId) -> SocketAddr {
    let port = addr.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match addr.ip() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE)),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(id.as_bytes());
            IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() ^ u128::from_be_bytes(mask),
            ))
        }
    };
    SocketAddr::new(ip, port)
}

/// Octets of the value of an address attribute.
pub(crate) fn xor_address_len(addr: &SocketAddr) -> usize {
    if addr.is_ipv4() { 8 } else { 20 }
}

/// Writes the value of a XORed address into exactly as many octets as
/// [`xor_address_len`] says; does nothing when `out` has another length.
pub(crate) fn write_xor_address(addr: &SocketAddr, id: &TransactionId, out: &mut [u8]) {
    let hidden = xor(*addr, id);
    let [p0, p1] = hidden.port().to_be_bytes();
    let Some((head, body)) = out.split_first_chunk_mut::<4>() else {
        return;
    };
    *head = [0, Family::of(addr).number(), p0, p1];
    match hidden.ip() {
        IpAddr::V4(ip) if body.len() == 4 => body.copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) if body.len() == 16 => body.copy_from_slice(&ip.octets()),
        _ => {}
    }
}

macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident $kind:ident $xored:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub SocketAddr);

        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], id: &TransactionId) -> Option<Self> {
                let addr = decode_plain(value)?;
                Some($name(if $xored { xor(addr, id) } else { addr }))
            }

            #[inline]
            fn encode(&self, id: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
                encode_plain(&if $xored { xor(self.0, id) } else { self.0 }, out);
                Ok(())
            }
        }
    )*};
}

addresses! {
    /// Where the request came from, as RFC 3489 peers read it (RFC 8489 §14.1).
    MappedAddress MAPPED_ADDRESS false;
    /// Where the request came from (RFC 8489 §14.2).
    XorMappedAddress XOR_MAPPED_ADDRESS true;
    /// The peer of relayed data (RFC 8656 §18.3).
    XorPeerAddress XOR_PEER_ADDRESS true;
    /// The relayed transport address (RFC 8656 §18.5).
    XorRelayedAddress XOR_RELAYED_ADDRESS true;
    /// Another server to ask (RFC 8489 §14.15).
    AlternateServer ALTERNATE_SERVER false;
    /// Where the response was sent from (RFC 5780 §7.3).
    ResponseOrigin RESPONSE_ORIGIN false;
    /// The server's address with both IP and port changed (RFC 5780 §7.4).
    OtherAddress OTHER_ADDRESS false;
}
