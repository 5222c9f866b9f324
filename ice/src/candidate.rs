//! Candidates and their form in SDP (RFC 8445 §5.1, RFC 8839 §5.1, RFC 6544 §4.5).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::credentials::Ufrag;
use crate::limits::{MAX_CANDIDATE_EXTENSION_BYTES, MAX_CANDIDATE_EXTENSIONS, MAX_CANDIDATE_LINE};
use crate::mdns_name::MdnsName;
use crate::priority::Priority;

/// How a candidate was learned (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the peer saw in a check.
    PeerReflexive,
    /// An address that a TURN server relays for.
    Relayed,
}

impl CandidateKind {
    /// The word behind `typ`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which end of a TCP connection a candidate is (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpType {
    /// Connects.
    Active,
    /// Listens.
    Passive,
    /// Does both at once.
    SimultaneousOpen,
}

impl TcpType {
    /// The word behind `tcptype`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }

    /// The type on the other end that this one may be paired with (RFC 6544 §6.2).
    #[must_use]
    pub fn counterpart(self) -> Self {
        match self {
            Self::Active => Self::Passive,
            Self::Passive => Self::Active,
            Self::SimultaneousOpen => Self::SimultaneousOpen,
        }
    }
}

/// The transport of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateTransport {
    /// Datagrams.
    Udp,
    /// Framed messages on a TCP connection.
    Tcp(TcpType),
}

/// The host part of a candidate's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateAddress {
    /// A plain address.
    Ip(IpAddr),
    /// An mDNS name, to be resolved.
    Name(MdnsName),
}

impl fmt::Display for CandidateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Groups similar candidates: 1 to 32 `ice-char`s (RFC 8445 §5.1.1.3).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Foundation(Box<str>);

impl Foundation {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_number(n: u32) -> Self {
        Self(n.to_string().into())
    }
}

impl FromStr for Foundation {
    type Err = CandidateError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        // Some peers write longer ones, or '-': tolerated as they are only compared.
        let fine = (1..=64).contains(&s.len()) && s.bytes().all(|c| c.is_ascii_graphic());
        if fine {
            Ok(Self(s.into()))
        } else {
            Err(CandidateError::Foundation)
        }
    }
}

impl fmt::Display for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a candidate line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// Longer than [`MAX_CANDIDATE_LINE`] bytes.
    #[error("candidate line of {0} bytes is too long")]
    TooLong(usize),
    /// A field is missing.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// The foundation has bad characters or length.
    #[error("bad foundation")]
    Foundation,
    /// The component is not a number of 1 to 256.
    #[error("bad component id")]
    Component,
    /// Neither UDP nor TCP.
    #[error("unknown transport")]
    Transport,
    /// The priority is not a 32-bit number.
    #[error("bad priority")]
    Priority,
    /// The address is neither an IP address nor a `UUID.local` name.
    #[error("address is neither an IP address nor an mDNS name")]
    Address,
    /// The port is not a 16-bit number.
    #[error("bad port")]
    Port,
    /// The type is none of host, srflx, prflx and relay.
    #[error("unknown candidate type")]
    Kind,
    /// `raddr` or `rport` can't be read.
    #[error("bad related address")]
    Related,
    /// A TCP candidate without a known `tcptype`.
    #[error("bad or missing tcptype")]
    TcpType,
    /// A `ufrag` extension that is no user name fragment.
    #[error("bad ufrag")]
    Ufrag,
    /// More than [`MAX_CANDIDATE_EXTENSIONS`] extensions or [`MAX_CANDIDATE_EXTENSION_BYTES`], or a name without value.
    #[error("bad extension attributes")]
    Extensions,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Groups similar candidates.
    pub foundation: Foundation,
    /// 1 for RTP and everything multiplexed with it, 2 for RTCP apart.
    pub component: u16,
    /// UDP or one end of TCP.
    pub transport: CandidateTransport,
    /// The more the better.
    pub priority: Priority,
    /// Host part of the address.
    pub address: CandidateAddress,
    /// Port; 9 for active TCP candidates.
    pub port: u16,
    /// How it was learned.
    pub kind: CandidateKind,
    /// Base of a reflexive, mapped address of a relayed candidate; for diagnosis.
    pub related: Option<SocketAddr>,
    /// The generation it belongs to (RFC 8838 §4.1's `ufrag` extension).
    pub ufrag: Option<Ufrag>,
    /// Further attributes, in order (`generation`, `network-id`, `network-cost`, …).
    pub extensions: Vec<(Box<str>, Box<str>)>,
}

impl Candidate {
    /// A host candidate by UDP, as a peer without more to say would write it.
    #[must_use]
    pub fn host(addr: SocketAddr) -> Self {
        Self::new(CandidateKind::Host, CandidateTransport::Udp, addr, 65_535)
    }

    /// A candidate of component 1 with the priority of the formula.
    #[must_use]
    pub fn new(
        kind: CandidateKind,
        transport: CandidateTransport,
        addr: SocketAddr,
        local_preference: u16,
    ) -> Self {
        Self {
            foundation: Foundation::from_number(1 + kind as u32),
            component: 1,
            transport,
            priority: Priority::compute(kind, local_preference, 1),
            address: CandidateAddress::Ip(addr.ip()),
            port: addr.port(),
            kind,
            related: None,
            ufrag: None,
            extensions: Vec::new(),
        }
    }

    /// The transport address, unless it is a name.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.address {
            CandidateAddress::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            CandidateAddress::Name(_) => None,
        }
    }

    /// TCP type, if it is a TCP candidate.
    #[must_use]
    pub fn tcp_type(&self) -> Option<TcpType> {
        match self.transport {
            CandidateTransport::Udp => None,
            CandidateTransport::Tcp(t) => Some(t),
        }
    }
}

/// Without `a=` and with `candidate:`, as browsers pass it to `addIceCandidate`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            CandidateTransport::Udp => "udp",
            CandidateTransport::Tcp(_) => "tcp",
        };
        write!(
            f,
            "candidate:{} {} {} {} {} {} typ {}",
            self.foundation,
            self.component,
            transport,
            self.priority.0,
            self.address,
            self.port,
            self.kind
        )?;
        if let Some(related) = self.related {
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let Some(tcp) = self.tcp_type() {
            write!(f, " tcptype {}", tcp.as_str())?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        for (name, value) in &self.extensions {
            write!(f, " {name} {value}")?;
        }
        Ok(())
    }
}

/// Accepts the line with or without `a=` and `candidate:` in front.
impl FromStr for Candidate {
    type Err = CandidateError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        if line.len() > MAX_CANDIDATE_LINE {
            return Err(CandidateError::TooLong(line.len()));
        }
        // As words are split below: a vertical tab, or blanks outside ASCII, belong to a word.
        let line = line.trim_ascii();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        let mut next = |name| words.next().ok_or(CandidateError::Missing(name));

        let foundation = next("foundation")?.parse()?;
        let component: u16 = next("component-id")?
            .parse()
            .map_err(|_| CandidateError::Component)?;
        if !(1..=256).contains(&component) {
            return Err(CandidateError::Component);
        }
        let transport = next("transport")?;
        let is_tcp = if transport.eq_ignore_ascii_case("udp") {
            false
        } else if transport.eq_ignore_ascii_case("tcp") {
            true
        } else {
            return Err(CandidateError::Transport);
        };
        let priority = Priority(
            next("priority")?
                .parse()
                .map_err(|_| CandidateError::Priority)?,
        );
        let address = parse_address(next("connection-address")?)?;
        let port = next("port")?.parse().map_err(|_| CandidateError::Port)?;
        if next("typ")? != "typ" {
            return Err(CandidateError::Missing("typ"));
        }
        let kind = match next("cand-type")? {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return Err(CandidateError::Kind),
        };

        let mut rest = Rest::default();
        while let Some(name) = words.next() {
            rest.take(name, words.next().ok_or(CandidateError::Extensions)?)?;
        }
        let transport = match (is_tcp, rest.tcp) {
            (false, _) => CandidateTransport::Udp,
            (true, Some(tcp)) => CandidateTransport::Tcp(tcp),
            (true, None) => return Err(CandidateError::TcpType),
        };
        Ok(Self {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            related: rest
                .related_ip
                .map(|ip| SocketAddr::new(ip, rest.related_port.unwrap_or(0))),
            ufrag: rest.ufrag,
            extensions: rest.extensions,
        })
    }
}

fn parse_address(word: &str) -> Result<CandidateAddress, CandidateError> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Ok(CandidateAddress::Ip(canonical(ip)));
    }
    word.parse()
        .map(CandidateAddress::Name)
        .map_err(|_| CandidateError::Address)
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// What may follow the type.
#[derive(Default)]
struct Rest {
    related_ip: Option<IpAddr>,
    related_port: Option<u16>,
    tcp: Option<TcpType>,
    ufrag: Option<Ufrag>,
    extensions: Vec<(Box<str>, Box<str>)>,
    extension_bytes: usize,
}

impl Rest {
    fn take(&mut self, name: &str, value: &str) -> Result<(), CandidateError> {
        match name {
            // A name here is legal grammar; it says nothing we use.
            "raddr" => self.related_ip = value.parse().ok(),
            "rport" => {
                self.related_port = Some(value.parse().map_err(|_| CandidateError::Related)?);
            }
            "tcptype" => {
                self.tcp = Some(match value {
                    "active" => TcpType::Active,
                    "passive" => TcpType::Passive,
                    "so" => TcpType::SimultaneousOpen,
                    _ => return Err(CandidateError::TcpType),
                });
            }
            "ufrag" => self.ufrag = Some(value.parse().map_err(|_| CandidateError::Ufrag)?),
            _ if self.extensions.len() >= MAX_CANDIDATE_EXTENSIONS => {
                return Err(CandidateError::Extensions);
            }
            _ => {
                self.extension_bytes += name.len() + value.len() + 2;
                if self.extension_bytes > MAX_CANDIDATE_EXTENSION_BYTES {
                    return Err(CandidateError::Extensions);
                }
                self.extensions.push((name.into(), value.into()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: [&str; 5] = [
        "candidate:1 1 udp 2130706431 203.0.113.141 8998 typ host",
        "candidate:2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
        "candidate:842163049 1 udp 1677729535 2001:db8::1 54321 typ relay raddr :: rport 0 ufrag BhrL generation 0 network-cost 999",
        "candidate:4 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active",
        "candidate:5 1 udp 2122260223 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host",
    ];

    #[test]
    fn writes_what_it_read() {
        for line in LINES {
            let parsed: Result<Candidate, _> = line.parse();
            assert_eq!(parsed.map(|c| c.to_string()).as_deref(), Ok(line));
        }
    }

    #[test]
    fn prefixes_are_optional() {
        let plain = LINES[0].parse::<Candidate>();
        assert_eq!(format!("a={}\r\n", LINES[0]).parse(), plain);
        let tab: Candidate = format!("{} x \u{b}", LINES[0]).parse().unwrap();
        assert_eq!(tab.to_string().parse(), Ok(tab));
        assert_eq!(LINES[0].trim_start_matches("candidate:").parse(), plain);
    }

    #[test]
    fn each_bad_field_is_named() {
        use CandidateError as E;
        let cases = [
            ("", E::Missing("foundation")),
            ("1 0 udp 1 1.2.3.4 5 typ host", E::Component),
            ("1 1 sctp 1 1.2.3.4 5 typ host", E::Transport),
            ("1 1 udp -1 1.2.3.4 5 typ host", E::Priority),
            ("1 1 udp 1 example.com 5 typ host", E::Address),
            ("1 1 udp 1 1.2.3.4 65536 typ host", E::Port),
            ("1 1 udp 1 1.2.3.4 5 typ cloud", E::Kind),
            ("1 1 tcp 1 1.2.3.4 5 typ host", E::TcpType),
            ("1 1 udp 1 1.2.3.4 5 typ host raddr", E::Extensions),
            ("1 1 udp 1 1.2.3.4 5 typ host ufrag a:b", E::Ufrag),
        ];
        for (line, error) in cases {
            assert_eq!(line.parse::<Candidate>(), Err(error), "{line}");
        }
        let long = "x".repeat(MAX_CANDIDATE_LINE + 1);
        assert_eq!(long.parse::<Candidate>(), Err(E::TooLong(long.len())));
    }

    #[test]
    fn what_was_accepted_is_not_too_long_when_it_is_written() {
        let line = |bytes: usize| {
            format!(
                "{} 256 tcp 4294967295 5bd0f7a4-4c5a-4b7a-8b6e-2d6a4a0d9a6b.local 65535 typ srflx \
                 raddr ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff rport 65535 tcptype passive ufrag {} \
                 x {}",
                "f".repeat(32),
                "u".repeat(256),
                "y".repeat(bytes - 3),
            )
        };
        let longest: Candidate = line(MAX_CANDIDATE_EXTENSION_BYTES).parse().unwrap();
        assert_eq!(longest.to_string().parse(), Ok(longest));
        let longer = line(MAX_CANDIDATE_EXTENSION_BYTES + 1);
        assert!(longer.len() < MAX_CANDIDATE_LINE);
        let refused = longer.parse::<Candidate>();
        assert_eq!(refused, Err(CandidateError::Extensions));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(s in "\\PC{0,120}") {
            let _ = s.parse::<Candidate>();
        }

        #[test]
        fn arbitrary_fields_never_panic(s in "candidate:[0-9a-z]{1,3} [0-9]{1,4} (udp|tcp) [0-9]{1,11} [0-9.:]{3,9} [0-9]{1,6} typ (host|relay)( [a-z]{1,7} [0-9a-z]{1,5}){0,4}") {
            if let Ok(c) = s.parse::<Candidate>() {
                prop_assert_eq!(c.to_string().parse::<Candidate>(), Ok(c));
            }
        }
    }
}
