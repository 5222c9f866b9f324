//! Attributes with a layout of their own.

use super::{Attribute, Family};
use crate::error::WriteError;
use crate::message::{AttributeType, TransactionId};

macro_rules! fixed {
    ($($name:ident $kind:ident [$len:literal] |$v:ident| $decode:expr, |$s:ident| $encode:expr;)*) => {$(
        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
                let $v: [u8; $len] = value.try_into().ok()?;
                $decode
            }

            #[inline]
            fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
                let $s = self;
                let octets: [u8; $len] = $encode;
                out.extend_from_slice(&octets);
                Ok(())
            }
        }
    )*};
}

/// A channel of an allocation (RFC 8656 §12, §18.1).
///
/// RFC 8656 leaves 0x4000 to 0x4FFF to choose from; RFC 5766 had 0x4000 to
/// 0x7FFF, and clients of its age (coturn's among them) still choose there, so
/// all of these are valid here. Our client stays below [`ChannelNumber::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The first that may be chosen.
    pub const MIN: ChannelNumber = ChannelNumber(0x4000);
    /// The last that may be chosen by RFC 8656.
    pub const MAX: ChannelNumber = ChannelNumber(0x4FFF);
    /// The last that may be chosen by RFC 5766.
    pub const MAX_RFC5766: ChannelNumber = ChannelNumber(0x7FFF);

    /// `None` outside 0x4000 to 0x7FFF.
    #[inline]
    pub const fn new(number: u16) -> Option<ChannelNumber> {
        if number >= Self::MIN.0 && number <= Self::MAX_RFC5766.0 {
            Some(ChannelNumber(number))
        } else {
            None
        }
    }

    /// The number on the wire.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The family a relayed address shall have (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedAddressFamily(pub Family);

/// A second family to allocate in the same request; only IPv6 may be asked for
/// (RFC 8656 §18.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdditionalAddressFamily(pub Family);

/// The relayed port shall be even (RFC 8656 §18.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvenPort {
    /// And the next higher one shall be kept for later.
    pub reserve_next: bool,
}

/// What carries data between server and peer, by IP protocol number
/// (RFC 8656 §18.8, RFC 6062 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// 17.
    pub const UDP: RequestedTransport = RequestedTransport(17);
    /// 6.
    pub const TCP: RequestedTransport = RequestedTransport(6);
}

/// Names a port kept in reserve (RFC 8656 §18.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationToken(pub [u8; 8]);

/// `SHA-256(username ":" realm)` in place of USERNAME (RFC 8489 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserHash(pub [u8; 32]);

/// Answer from elsewhere (RFC 5780 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ChangeRequest {
    /// From the other IP address.
    pub ip: bool,
    /// From the other port.
    pub port: bool,
}

/// Answer to this port (RFC 5780 §7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePort(pub u16);

/// An ICMP error about relayed data (RFC 8656 §18.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// ICMP type, v4 or v6 by the peer's family.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// The next hop's MTU for "packet too big", otherwise zero.
    pub data: u32,
}

/// Which transmission of a request this is and which it answers (RFC 7982 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionTransmitCounter {
    /// Count of requests sent, from 1.
    pub request: u8,
    /// Count of responses sent; zero in a request.
    pub response: u8,
}

/// The ECN bits that a check arrived with (RFC 6679 §7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcnCheck {
    /// The value of the ECN field seen, 0 to 3.
    pub ecn: u8,
    /// Whether the value is valid.
    pub valid: bool,
}

/// Which network a check came by and what it costs (libwebrtc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoogNetworkInfo {
    /// The sender's number of its network.
    pub id: u16,
    /// 0 (best) to 999.
    pub cost: u16,
}

/// Orders nominations: the largest wins (draft-thatcher-ice-renomination §4);
/// 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nomination(pub u32);

fixed! {
    ChannelNumber CHANNEL_NUMBER [4] |v| ChannelNumber::new(u16::from_be_bytes([v[0], v[1]])),
        |s| { let [a, b] = s.0.to_be_bytes(); [a, b, 0, 0] };
    RequestedAddressFamily REQUESTED_ADDRESS_FAMILY [4]
        |v| Family::new(v[0]).map(RequestedAddressFamily), |s| [s.0.number(), 0, 0, 0];
    AdditionalAddressFamily ADDITIONAL_ADDRESS_FAMILY [4]
        |v| Family::new(v[0]).map(AdditionalAddressFamily), |s| [s.0.number(), 0, 0, 0];
    EvenPort EVEN_PORT [1] |v| Some(EvenPort { reserve_next: v[0] & 0x80 != 0 }),
        |s| [u8::from(s.reserve_next) << 7];
    RequestedTransport REQUESTED_TRANSPORT [4] |v| Some(RequestedTransport(v[0])),
        |s| [s.0, 0, 0, 0];
    ReservationToken RESERVATION_TOKEN [8] |v| Some(ReservationToken(v)), |s| s.0;
    UserHash USERHASH [32] |v| Some(UserHash(v)), |s| s.0;
    ChangeRequest CHANGE_REQUEST [4]
        |v| Some(ChangeRequest { ip: v[3] & 4 != 0, port: v[3] & 2 != 0 }),
        |s| [0, 0, 0, u8::from(s.ip) << 2 | u8::from(s.port) << 1];
    ResponsePort RESPONSE_PORT [4] |v| Some(ResponsePort(u16::from_be_bytes([v[0], v[1]]))),
        |s| { let [a, b] = s.0.to_be_bytes(); [a, b, 0, 0] };
    Icmp ICMP [8]
        |v| Some(Icmp { kind: v[2], code: v[3], data: u32::from_be_bytes([v[4], v[5], v[6], v[7]]) }),
        |s| { let [a, b, c, d] = s.data.to_be_bytes(); [0, 0, s.kind, s.code, a, b, c, d] };
    TransactionTransmitCounter TRANSACTION_TRANSMIT_COUNTER [4]
        |v| Some(TransactionTransmitCounter { request: v[2], response: v[3] }),
        |s| [0, 0, s.request, s.response];
    EcnCheck ECN_CHECK_STUN [4] |v| Some(EcnCheck { ecn: v[3] >> 1 & 3, valid: v[3] & 1 != 0 }),
        |s| [0, 0, 0, (s.ecn & 3) << 1 | u8::from(s.valid)];
    GoogNetworkInfo GOOG_NETWORK_INFO [4]
        |v| Some(GoogNetworkInfo {
            id: u16::from_be_bytes([v[0], v[1]]),
            cost: u16::from_be_bytes([v[2], v[3]]),
        }),
        |s| {
            let ([a, b], [c, d]) = (s.id.to_be_bytes(), s.cost.to_be_bytes());
            [a, b, c, d]
        };
}

impl<'a> Attribute<'a> for Nomination {
    const TYPE: AttributeType = AttributeType::NOMINATION;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        let &[_, a, b, c] = value.first_chunk::<4>().filter(|_| value.len() == 4)?;
        Some(Nomination(u32::from_be_bytes([0, a, b, c])))
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.0 > 0xFF_FFFF {
            return Err(WriteError::OutOfRange(Self::TYPE));
        }
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}

/// How a long-term key is made (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithmId {
    /// 0x0001.
    Md5,
    /// 0x0002.
    Sha256,
    /// Any other number.
    Unknown(u16),
}

impl PasswordAlgorithmId {
    /// The registered number.
    pub const fn number(self) -> u16 {
        match self {
            PasswordAlgorithmId::Md5 => 1,
            PasswordAlgorithmId::Sha256 => 2,
            PasswordAlgorithmId::Unknown(number) => number,
        }
    }

    /// The algorithm with this number.
    pub const fn new(number: u16) -> PasswordAlgorithmId {
        match number {
            1 => PasswordAlgorithmId::Md5,
            2 => PasswordAlgorithmId::Sha256,
            other => PasswordAlgorithmId::Unknown(other),
        }
    }
}

/// The algorithm the client chose, with its parameters, of which the two known
/// ones have none (RFC 8489 §14.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAlgorithm<'a> {
    /// Which.
    pub id: PasswordAlgorithmId,
    /// Its parameters.
    pub parameters: &'a [u8],
}

impl PasswordAlgorithm<'static> {
    /// MD5, without parameters.
    pub const MD5: Self = PasswordAlgorithm {
        id: PasswordAlgorithmId::Md5,
        parameters: &[],
    };
    /// SHA-256, without parameters.
    pub const SHA256: Self = PasswordAlgorithm {
        id: PasswordAlgorithmId::Sha256,
        parameters: &[],
    };
}

fn split_algorithm(octets: &[u8]) -> Option<(PasswordAlgorithm<'_>, &[u8])> {
    let (&[n0, n1, l0, l1], rest) = octets.split_first_chunk::<4>()?;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let parameters = rest.get(..len)?;
    // Padding within the list; a lone last one may have none behind it.
    let after = rest.get((len + 3) & !3..).unwrap_or_default();
    let id = PasswordAlgorithmId::new(u16::from_be_bytes([n0, n1]));
    Some((PasswordAlgorithm { id, parameters }, after))
}

fn encode_algorithm(
    algorithm: &PasswordAlgorithm<'_>,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let Ok(len) = u16::try_from(algorithm.parameters.len()) else {
        return Err(WriteError::ValueTooLong(AttributeType::PASSWORD_ALGORITHM));
    };
    out.extend_from_slice(&algorithm.id.number().to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(algorithm.parameters);
    let padded = out.len() + (4 - algorithm.parameters.len() % 4) % 4;
    out.resize(padded, 0);
    Ok(())
}

impl<'a> Attribute<'a> for PasswordAlgorithm<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        let (algorithm, after) = split_algorithm(value)?;
        after.is_empty().then_some(algorithm)
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        encode_algorithm(self, out)
    }
}

/// The algorithms the server takes, best first (RFC 8489 §14.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithms<'a> {
    /// As read from a message.
    Wire(&'a [u8]),
    /// To be written.
    List(&'a [PasswordAlgorithm<'a>]),
}

impl<'a> PasswordAlgorithms<'a> {
    /// The algorithms in order.
    pub fn iter(&self) -> impl Iterator<Item = PasswordAlgorithm<'a>> + use<'a> {
        let (mut wire, list): (&'a [u8], &'a [PasswordAlgorithm<'a>]) = match *self {
            PasswordAlgorithms::Wire(octets) => (octets, &[]),
            PasswordAlgorithms::List(list) => (&[], list),
        };
        let read = core::iter::from_fn(move || {
            let (algorithm, after) = split_algorithm(wire)?;
            wire = after;
            Some(algorithm)
        });
        read.chain(list.iter().copied())
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        let mut rest = value;
        while !rest.is_empty() {
            rest = split_algorithm(rest)?.1;
        }
        Some(PasswordAlgorithms::Wire(value))
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        self.iter()
            .try_for_each(|algorithm| encode_algorithm(&algorithm, out))
    }
}

/// CRC-32s of DTLS datagrams that arrived (SPED); may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsInStunAck<'a> {
    /// As read from a message.
    Wire(&'a [u8]),
    /// To be written.
    List(&'a [u32]),
}

impl DtlsInStunAck<'_> {
    /// The checksums in order of arrival.
    pub fn checksums(&self) -> impl Iterator<Item = u32> {
        let (wire, list): (&[u8], &[u32]) = match *self {
            DtlsInStunAck::Wire(octets) => (octets, &[]),
            DtlsInStunAck::List(list) => (&[], list),
        };
        let read = wire
            .as_chunks::<4>()
            .0
            .iter()
            .map(|c| u32::from_be_bytes(*c));
        read.chain(list.iter().copied())
    }
}

impl<'a> Attribute<'a> for DtlsInStunAck<'a> {
    const TYPE: AttributeType = AttributeType::DTLS_IN_STUN_ACK;

    fn decode(value: &'a [u8], _: &TransactionId) -> Option<Self> {
        value
            .len()
            .is_multiple_of(4)
            .then_some(DtlsInStunAck::Wire(value))
    }

    fn encode(&self, _: &TransactionId, out: &mut Vec<u8>) -> Result<(), WriteError> {
        for checksum in self.checksums() {
            out.extend_from_slice(&checksum.to_be_bytes());
        }
        Ok(())
    }
}
