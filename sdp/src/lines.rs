//! The lines that are no attributes: origin, connection, bandwidth, times (RFC 8866 §5).

use std::fmt::{self, Display};
use std::net::IpAddr;

use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str, open_words, push_bounded};

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// `IP4`.
    Ip4,
    /// `IP6`.
    Ip6,
}

impl Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip4 => "IP4",
            Self::Ip6 => "IP6",
        })
    }
}

impl From<IpAddr> for AddressKind {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ip4,
            IpAddr::V6(_) => Self::Ip6,
        }
    }
}

fn read_kind(scan: &mut Scan<'_>) -> Result<AddressKind, ValueError> {
    scan.expect_word("IN")?;
    scan.space()?;
    let word = scan.word()?;
    match word {
        "IP4" => Ok(AddressKind::Ip4),
        "IP6" => Ok(AddressKind::Ip6),
        _ => Err(scan.error_in(word, Rule::UnknownValue)),
    }
}

/// In strict mode an address must be of its kind, or a name.
fn check_address(scan: &Scan<'_>, kind: AddressKind, word: &str) -> Result<(), ValueError> {
    if !scan.is_strict() {
        return Ok(());
    }
    let good = match word.parse::<IpAddr>() {
        Ok(ip) => AddressKind::from(ip) == kind,
        Err(_) => {
            word.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
                && word.bytes().any(|b| b.is_ascii_alphabetic())
        }
    };
    if good {
        Ok(())
    } else {
        Err(scan.error_in(word, Rule::Address))
    }
}

/// `o=`: who made the description, and which version it is (RFC 8866 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The user's name, or `-`.
    pub username: String,
    /// The session's number. Browsers' fit 63 bits; the grammar allows any number of digits.
    pub session_id: String,
    /// The version, which grows with every change.
    pub session_version: String,
    /// The address' kind.
    pub address_kind: AddressKind,
    /// The address: IP or name.
    pub address: String,
}

impl Origin {
    /// `- id version IN IP4 127.0.0.1`: what JSEP writes (RFC 9429 §5.2.1).
    pub fn new(session_id: u64, session_version: u64) -> Self {
        Self {
            username: "-".to_owned(),
            session_id: session_id.to_string(),
            session_version: session_version.to_string(),
            address_kind: AddressKind::Ip4,
            address: "127.0.0.1".to_owned(),
        }
    }

    /// The session's number, if it has 64 bits.
    pub fn session_id(&self) -> Option<u64> {
        self.session_id.parse().ok()
    }

    /// The version, if it has 64 bits.
    pub fn session_version(&self) -> Option<u64> {
        self.session_version.parse().ok()
    }
}

impl Grammar for Origin {
    const CALLED: &'static str = "o=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        fn digits(scan: &mut Scan<'_>) -> Result<String, ValueError> {
            let word = scan.word()?;
            // Some stacks write other things than numbers; only strict reading minds.
            if scan.is_strict() && !word.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(scan.error_in(word, Rule::Number));
            }
            Ok(word.to_owned())
        }
        let username = scan.word()?.to_owned();
        scan.space()?;
        let session_id = digits(scan)?;
        scan.space()?;
        let session_version = digits(scan)?;
        scan.space()?;
        let address_kind = read_kind(scan)?;
        scan.space()?;
        let address = scan.word()?;
        check_address(scan, address_kind, address)?;
        Ok(Self {
            username,
            session_id,
            session_version,
            address_kind,
            address: address.to_owned(),
        })
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} IN {} {}",
            self.username, self.session_id, self.session_version, self.address_kind, self.address
        )
    }
}

/// `c=`: where media go (RFC 8866 §5.7), without meaning where ICE is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The address' kind.
    pub address_kind: AddressKind,
    /// The address: IP or name.
    pub address: String,
    /// Time to live of IPv4 multicast.
    pub ttl: Option<u8>,
    /// How many multicast addresses, counted from the first.
    pub count: Option<u32>,
}

impl Connection {
    /// A unicast address.
    pub fn new(ip: IpAddr) -> Self {
        Self {
            address_kind: ip.into(),
            address: ip.to_string(),
            ttl: None,
            count: None,
        }
    }

    /// The address, if it is one and no name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

impl Grammar for Connection {
    const CALLED: &'static str = "c=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let address_kind = read_kind(scan)?;
        scan.space()?;
        let address = scan.word_until(b'/')?;
        check_address(scan, address_kind, address)?;
        let address = address.to_owned();
        let mut ttl = None;
        let mut count = None;
        if scan.take(b'/') {
            match address_kind {
                AddressKind::Ip4 => {
                    ttl = Some(scan.u8(0, 255)?);
                    if scan.take(b'/') {
                        count = Some(scan.u32(1, u32::MAX)?);
                    }
                }
                AddressKind::Ip6 => count = Some(scan.u32(1, u32::MAX)?),
            }
        }
        Ok(Self {
            address_kind,
            address,
            ttl,
            count,
        })
    }
}

impl Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IN {} {}", self.address_kind, self.address)?;
        if let Some(ttl) = self.ttl {
            write!(f, "/{ttl}")?;
        }
        match self.count {
            Some(count) => write!(f, "/{count}"),
            None => Ok(()),
        }
    }
}

open_words! {
    /// What a bandwidth is the bandwidth of (RFC 8866 §5.8).
    BandwidthKind {
        /// Conference total, in kilobits a second.
        ConferenceTotal = "CT",
        /// Application specific: one media section, in kilobits a second.
        ApplicationSpecific = "AS",
        /// Transport independent, in bits a second (RFC 3890).
        TransportIndependent = "TIAS",
        /// RTCP of senders, in bits a second (RFC 3556).
        RtcpSenders = "RS",
        /// RTCP of receivers, in bits a second (RFC 3556).
        RtcpReceivers = "RR",
    }
}

/// `b=`: a bandwidth (RFC 8866 §5.8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bandwidth {
    /// Of what, and in which unit.
    pub kind: BandwidthKind,
    /// How much.
    pub value: u64,
}

impl Grammar for Bandwidth {
    const CALLED: &'static str = "b=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let kind = BandwidthKind::from_word(scan.token_until(b':')?);
        scan.expect(b':')?;
        let value = scan.number(0, u64::MAX)?;
        Ok(Self { kind, value })
    }
}

impl Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// `t=`: when the session is active, in seconds of NTP time (RFC 8866 §5.9); 0 means unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timing {
    /// The start.
    pub start: u64,
    /// The end.
    pub stop: u64,
}

impl Grammar for Timing {
    const CALLED: &'static str = "t=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let start = scan.number(0, u64::MAX)?;
        scan.space()?;
        let stop = scan.number(0, u64::MAX)?;
        Ok(Self { start, stop })
    }
}

impl Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.start, self.stop)
    }
}

/// A time with an optional unit, as `r=` and `z=` write it: `7d`, `1h`, `-1h`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypedTime {
    /// Whether it counts backwards; only offsets of `z=` do.
    pub negative: bool,
    /// The number, in its unit.
    pub count: u64,
    /// The unit, `d`, `h`, `m` or `s`, if it is written.
    pub unit: Option<char>,
}

impl TypedTime {
    /// The time in seconds; at the ends of the range it stays there.
    pub fn seconds(&self) -> i64 {
        let unit = match self.unit {
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            _ => 1,
        };
        let seconds = i64::try_from(self.count.saturating_mul(unit)).unwrap_or(i64::MAX);
        if self.negative { -seconds } else { seconds }
    }
}

impl Grammar for TypedTime {
    const CALLED: &'static str = "time";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let negative = scan.take(b'-');
        let count = scan.number(0, u64::MAX)?;
        let unit = scan
            .peek()
            .filter(|b| matches!(b, b'd' | b'h' | b'm' | b's'));
        if let Some(unit) = unit {
            scan.take(unit);
        }
        Ok(Self {
            negative,
            count,
            unit: unit.map(char::from),
        })
    }
}

impl Display for TypedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        write!(f, "{}", self.count)?;
        match self.unit {
            Some(unit) => write!(f, "{unit}"),
            None => Ok(()),
        }
    }
}

/// `r=`: when the session repeats (RFC 8866 §5.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repeat {
    /// How often.
    pub interval: TypedTime,
    /// How long it is active.
    pub duration: TypedTime,
    /// Offsets from the start of `t=`.
    pub offsets: Vec<TypedTime>,
}

impl Grammar for Repeat {
    const CALLED: &'static str = "r=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let interval = TypedTime::read(scan)?;
        scan.space()?;
        let duration = TypedTime::read(scan)?;
        let mut offsets = Vec::new();
        while scan.more()? {
            let offset = TypedTime::read(scan)?;
            push_bounded(scan, &mut offsets, offset)?;
        }
        if offsets.is_empty() && scan.is_strict() {
            return Err(scan.error(Rule::Empty));
        }
        Ok(Self {
            interval,
            duration,
            offsets,
        })
    }
}

impl Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.interval, self.duration)?;
        self.offsets
            .iter()
            .try_for_each(|offset| write!(f, " {offset}"))
    }
}

/// `z=`: time zone adjustments (RFC 8866 §5.11).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeZones {
    /// From when (seconds of NTP time), and by how much.
    pub adjustments: Vec<(u64, TypedTime)>,
}

impl Grammar for TimeZones {
    const CALLED: &'static str = "z=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let mut adjustments = Vec::new();
        loop {
            let from = scan.number(0, u64::MAX)?;
            scan.space()?;
            let by = TypedTime::read(scan)?;
            push_bounded(scan, &mut adjustments, (from, by))?;
            if !scan.more()? {
                return Ok(Self { adjustments });
            }
        }
    }
}

impl Display for TimeZones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, by)) in self.adjustments.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{from} {by}")?;
        }
        Ok(())
    }
}

from_str!(
    Origin, Connection, Bandwidth, Timing, TypedTime, Repeat, TimeZones
);
