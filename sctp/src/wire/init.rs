//! INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3).

use super::{Parameter, ParameterIter, be16, be32, parameter_type};

/// A view of an INIT or INIT ACK chunk.
#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    /// The tag that packets to the sender must carry.
    pub initiate_tag: u32,
    /// Advertised receiver window in octets.
    pub window: u32,
    /// How many streams the sender wants to send on.
    pub outbound_streams: u16,
    /// How many streams the sender can receive.
    pub inbound_streams: u16,
    /// The first TSN that the sender will use.
    pub initial_tsn: u32,
    parameters: &'a [u8],
}

/// What to do with a parameter whose type is not known (RFC 9260 §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownParameter {
    /// Go on with the parameters after it.
    pub proceed: bool,
    /// Report it to the sender.
    pub report: bool,
}

impl UnknownParameter {
    /// The action that a type's two highest bits ask for.
    pub fn of(kind: u16) -> Self {
        Self {
            proceed: kind & 0x8000 != 0,
            report: kind & 0x4000 != 0,
        }
    }
}

impl<'a> Init<'a> {
    /// Reads the value of an INIT or INIT ACK chunk.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        Some(Self {
            initiate_tag: be32(value, 0)?,
            window: be32(value, 4)?,
            outbound_streams: be16(value, 8)?,
            inbound_streams: be16(value, 10)?,
            initial_tsn: be32(value, 12)?,
            parameters: value.get(16..)?,
        })
    }

    /// The optional parameters.
    pub fn parameters(&self) -> ParameterIter<'a> {
        ParameterIter::new(self.parameters)
    }

    /// Whether the mandatory fields have values they may have (RFC 9260 §3.3.2).
    pub fn is_valid(&self) -> bool {
        self.initiate_tag != 0 && self.outbound_streams != 0 && self.inbound_streams != 0
    }

    /// The state cookie of an INIT ACK.
    pub fn state_cookie(&self) -> Option<&'a [u8]> {
        self.parameters()
            .find(|p| p.kind == parameter_type::STATE_COOKIE)
            .map(|p| p.value)
    }

    /// Parameters that this crate does not know and that are to be reported, up to the first that
    /// stops the reading.
    pub fn unknown(&self) -> impl Iterator<Item = Parameter<'a>> + 'a {
        let mut stopped = false;
        self.parameters()
            .take_while(move |p| {
                let go_on = !stopped;
                stopped |= !is_known(p.kind) && !UnknownParameter::of(p.kind).proceed;
                go_on
            })
            .filter(|p| !is_known(p.kind) && UnknownParameter::of(p.kind).report)
    }
}

/// Types that are understood or are valid here and may be ignored: addresses (5, 6, 11, 12) have
/// no meaning over DTLS (RFC 8261 §6.1), authentication (0x8002..=0x8004) is optional.
fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        parameter_type::STATE_COOKIE
            | parameter_type::UNRECOGNIZED
            | parameter_type::ECN_CAPABLE
            | parameter_type::ZERO_CHECKSUM
            | parameter_type::SUPPORTED_EXTENSIONS
            | parameter_type::FORWARD_TSN_SUPPORTED
            | 5
            | 6
            | 9
            | 11
            | 12
            | 0x8002..=0x8005 | 0xC006
    )
}
