//! ICE candidates as text (RFC 8839 §5.1).

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str, open_words, push_bounded};

open_words! {
    /// A candidate's transport protocol.
    CandidateTransport {
        /// UDP.
        Udp = "udp",
        /// TCP (RFC 6544).
        Tcp = "tcp",
        /// TLS over TCP, a private form of old browsers.
        Ssltcp = "ssltcp",
    }
}

open_words! {
    /// A candidate's type.
    CandidateKind {
        /// An address of a local interface.
        Host = "host",
        /// Seen by a STUN server.
        ServerReflexive = "srflx",
        /// Seen by the peer.
        PeerReflexive = "prflx",
        /// Allocated on a TURN server.
        Relayed = "relay",
    }
}

open_words! {
    /// The part a TCP candidate plays (RFC 6544 §4.5).
    TcpKind {
        /// Opens connections.
        Active = "active",
        /// Takes connections.
        Passive = "passive",
        /// Opens at the same time as the far side.
        SimultaneousOpen = "so",
    }
}

/// A candidate's address: IP, or a name (mDNS: `….local`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A name to be looked up.
    Name(String),
}

impl CandidateAddress {
    /// The IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// Whether it is a multicast DNS name (draft-ietf-mmusic-mdns-ice-candidates).
    pub fn is_mdns(&self) -> bool {
        match self {
            Self::Ip(_) => false,
            Self::Name(name) => name
                .get(name.len().saturating_sub(6)..)
                .is_some_and(|end| end.eq_ignore_ascii_case(".local")),
        }
    }
}

impl Grammar for CandidateAddress {
    const CALLED: &'static str = "address";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let word = scan.word()?;
        if let Ok(ip) = word.parse() {
            return Ok(Self::Ip(ip));
        }
        // A name's characters; a colon would mean an IPv6 address that did not parse.
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        // What has no letter is a broken IP address; only tolerant reading lets it be a name.
        let named = !scan.is_strict() || word.bytes().any(|b| b.is_ascii_alphabetic());
        if named && word.bytes().all(good) && word.len() <= 255 {
            Ok(Self::Name(word.to_owned()))
        } else {
            Err(scan.error_in(word, Rule::Address))
        }
    }
}

impl Display for CandidateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl From<IpAddr> for CandidateAddress {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

from_str!(CandidateAddress);

/// `a=candidate`: one ICE candidate.
///
/// `FromStr` takes the bare value, and the same with `candidate:` or `a=candidate:` before it (the
/// first is W3C's `RTCIceCandidateInit.candidate`). `Display` writes the bare value;
/// [`Candidate::to_init`] writes W3C's form.
///
/// ```
/// use tincan_sdp::{Candidate, CandidateKind};
///
/// let text = "candidate:1 1 udp 2113937151 192.0.2.7 54321 typ host generation 0 ufrag EsAw";
/// let candidate: Candidate = text.parse()?;
/// assert_eq!(candidate.kind, CandidateKind::Host);
/// assert_eq!(candidate.ufrag(), Some("EsAw"));
/// assert_eq!(candidate.to_init(), text);
/// # Ok::<(), tincan_sdp::ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Groups candidates alike: 1 to 32 ICE characters.
    pub foundation: String,
    /// The component: 1 for RTP and everything muxed, 2 for RTCP; 1 to 256.
    pub component: u16,
    /// The transport protocol.
    pub transport: CandidateTransport,
    /// The priority: 1 to 2³¹ − 1 by the standard; more is read.
    pub priority: u32,
    /// The address.
    pub address: CandidateAddress,
    /// The port: 9 for active TCP candidates.
    pub port: u16,
    /// The type.
    pub kind: CandidateKind,
    /// The address it was derived from.
    pub related_address: Option<CandidateAddress>,
    /// The port it was derived from.
    pub related_port: Option<u16>,
    /// Further attributes in their order: `tcptype`, `generation`, `ufrag`, `network-cost`, …
    pub extensions: Vec<(String, String)>,
}

impl Candidate {
    /// A candidate of component 1 over UDP, without related address and extensions.
    pub fn udp(
        foundation: impl Into<String>,
        priority: u32,
        address: SocketAddr,
        kind: CandidateKind,
    ) -> Self {
        Self {
            foundation: foundation.into(),
            component: 1,
            transport: CandidateTransport::Udp,
            priority,
            address: address.ip().into(),
            port: address.port(),
            kind,
            related_address: None,
            related_port: None,
            extensions: Vec::new(),
        }
    }

    /// The value of an extension.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets an extension, or adds it after the others.
    pub fn set_extension(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        match self.extensions.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.extensions.push((name.to_owned(), value)),
        }
    }

    /// The part a TCP candidate plays (RFC 6544 §4.5).
    pub fn tcp_kind(&self) -> Option<TcpKind> {
        self.extension("tcptype").map(TcpKind::from_word)
    }

    /// The user name fragment it belongs to (RFC 8840 §4.1).
    pub fn ufrag(&self) -> Option<&str> {
        self.extension("ufrag")
    }

    /// The generation that browsers count at ICE restarts.
    pub fn generation(&self) -> Option<u32> {
        self.extension("generation")?.parse().ok()
    }

    /// Address and port, if the address is an IP address.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address.ip()?, self.port))
    }

    /// W3C's form: `candidate:` and the value.
    pub fn to_init(&self) -> String {
        format!("candidate:{self}")
    }
}

impl Grammar for Candidate {
    const CALLED: &'static str = "candidate";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let foundation = scan.ice_chars(1, if scan.is_strict() { 32 } else { 256 })?;
        let foundation = foundation.to_owned();
        scan.space()?;
        let component = scan.u16(1, 256)?;
        scan.space()?;
        let transport = CandidateTransport::from_word(scan.token()?);
        scan.space()?;
        let priority = if scan.is_strict() {
            scan.u32(1, i32::MAX as u32)?
        } else {
            scan.u32(0, u32::MAX)?
        };
        scan.space()?;
        let address = CandidateAddress::read(scan)?;
        scan.space()?;
        let port = scan.u16(0, u16::MAX)?;
        scan.space()?;
        scan.expect_word("typ")?;
        scan.space()?;
        let kind = CandidateKind::from_word(scan.token()?);
        let mut candidate = Self {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            kind,
            related_address: None,
            related_port: None,
            extensions: Vec::new(),
        };
        while scan.more()? {
            let key = scan.word()?;
            // Tolerant reading lets the last extension stand without a value.
            if !scan.is_strict() && !scan.more()? {
                let extension = (key.to_owned(), String::new());
                push_bounded(scan, &mut candidate.extensions, extension)?;
                break;
            }
            if scan.is_strict() {
                scan.space()?;
            }
            match key {
                "raddr" if candidate.related_address.is_none() => {
                    candidate.related_address = Some(CandidateAddress::read(scan)?);
                }
                "rport" if candidate.related_port.is_none() => {
                    candidate.related_port = Some(scan.u16(0, u16::MAX)?);
                }
                _ => {
                    let extension = (key.to_owned(), scan.word()?.to_owned());
                    push_bounded(scan, &mut candidate.extensions, extension)?;
                }
            }
        }
        Ok(candidate)
    }
}

impl FromStr for Candidate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let value = text.strip_prefix("a=").unwrap_or(text);
        let value = value.strip_prefix("candidate:").unwrap_or(value);
        Self::read_all(value.trim_ascii(), false)
    }
}

impl Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} typ {}",
            self.foundation,
            self.component,
            self.transport,
            self.priority,
            self.address,
            self.port,
            self.kind
        )?;
        if let Some(address) = &self.related_address {
            write!(f, " raddr {address}")?;
        }
        if let Some(port) = self.related_port {
            write!(f, " rport {port}")?;
        }
        for (key, value) in &self.extensions {
            write!(f, " {key}")?;
            if !value.is_empty() {
                write!(f, " {value}")?;
            }
        }
        Ok(())
    }
}
