//! ICE: credentials, options, pacing, remote candidates; and `rtcp`, which says the RTCP address.

use std::fmt::{self, Display};
use std::net::IpAddr;

use crate::candidate::CandidateAddress;
use crate::error::{Rule, ValueError};
use crate::limits::MAX_ICE_CREDENTIAL;
use crate::lines::Connection;
use crate::scan::{Grammar, Scan, from_str, push_bounded};

/// `a=ice-ufrag`: the user name fragment (RFC 8839 §5.4), 4 to 256 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IceUfrag(String);

impl IceUfrag {
    /// The fragment as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for IceUfrag {
    const CALLED: &'static str = "ice-ufrag";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.ice_chars(4, MAX_ICE_CREDENTIAL)
            .map(|word| Self(word.to_owned()))
    }
}

impl Display for IceUfrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `a=ice-pwd`: the password (RFC 8839 §5.4), 22 to 256 characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IcePwd(String);

impl IcePwd {
    /// The password as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for IcePwd {
    const CALLED: &'static str = "ice-pwd";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.ice_chars(22, MAX_ICE_CREDENTIAL)
            .map(|word| Self(word.to_owned()))
    }
}

impl Display for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IcePwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePwd(..)")
    }
}

/// `a=ice-options`: what ICE extensions a side knows (RFC 8839 §5.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct IceOptions {
    /// The option tags in their order: "trickle", "ice2", "renomination", …
    pub tags: Vec<String>,
}

impl IceOptions {
    /// Options by their tags.
    pub fn new<I>(tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            tags: tags.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether a tag is among them.
    pub fn contains(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }

    /// Whether candidates may trickle (RFC 8840 §4.1).
    pub fn trickle(&self) -> bool {
        self.contains("trickle")
    }
}

impl Grammar for IceOptions {
    const CALLED: &'static str = "ice-options";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        if scan.is_strict() {
            let mut tags = vec![ice_tag(scan)?];
            while scan.more()? {
                let tag = ice_tag(scan)?;
                push_bounded(scan, &mut tags, tag)?;
            }
            return Ok(Self { tags });
        }
        // libdatachannel separates the tags by commas.
        let separates = |byte| matches!(byte, b' ' | b'\t' | b',');
        let mut tags = Vec::new();
        loop {
            scan.run(separates);
            let tag = scan.run(|byte| !separates(byte)).to_owned();
            if tag.is_empty() {
                break;
            }
            push_bounded(scan, &mut tags, tag)?;
        }
        if tags.is_empty() {
            return Err(scan.error(Rule::Empty));
        }
        Ok(Self { tags })
    }
}

/// RFC 8839 has `1*ice-char`, but the registry's own tags ("rtp+ecn") and those of browsers hold
/// characters beyond: any token.
fn ice_tag(scan: &mut Scan<'_>) -> Result<String, ValueError> {
    scan.token().map(str::to_owned)
}

impl Display for IceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, &self.tags)
    }
}

pub(super) fn write_words(
    f: &mut fmt::Formatter<'_>,
    words: impl IntoIterator<Item = impl Display>,
) -> fmt::Result {
    for (at, word) in words.into_iter().enumerate() {
        if at > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{word}")?;
    }
    Ok(())
}

/// `a=ice-pacing`: the wished time between checks, in milliseconds (RFC 8839 §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IcePacing(pub u32);

impl Grammar for IcePacing {
    const CALLED: &'static str = "ice-pacing";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.u32(0, u32::MAX).map(Self)
    }
}

impl Display for IcePacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One of `a=remote-candidates`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteCandidate {
    /// The component: 1 to 256.
    pub component: u16,
    /// The address of the far side's selected candidate.
    pub address: CandidateAddress,
    /// Its port.
    pub port: u16,
}

/// `a=remote-candidates`: what the offerer chose (RFC 8839 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RemoteCandidates {
    /// One a component.
    pub candidates: Vec<RemoteCandidate>,
}

impl Grammar for RemoteCandidates {
    const CALLED: &'static str = "remote-candidates";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let mut candidates = Vec::new();
        loop {
            let component = scan.u16(1, 256)?;
            scan.space()?;
            let address = CandidateAddress::read(scan)?;
            scan.space()?;
            let port = scan.u16(0, u16::MAX)?;
            let candidate = RemoteCandidate {
                component,
                address,
                port,
            };
            push_bounded(scan, &mut candidates, candidate)?;
            if !scan.more()? {
                return Ok(Self { candidates });
            }
        }
    }
}

impl Display for RemoteCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.component, self.address, self.port)
    }
}

impl Display for RemoteCandidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, &self.candidates)
    }
}

/// `a=rtcp`: where RTCP goes when it is not the next port (RFC 3605 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, if it is not that of the media.
    pub connection: Option<Connection>,
}

impl Rtcp {
    /// Port 9 at 0.0.0.0: what JSEP writes while nothing is known (RFC 9429 §5.2.1).
    pub fn placeholder() -> Self {
        Self {
            port: 9,
            connection: Some(Connection::new(IpAddr::from([0, 0, 0, 0]))),
        }
    }
}

impl Grammar for Rtcp {
    const CALLED: &'static str = "rtcp";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let port = scan.u16(0, u16::MAX)?;
        let connection = if scan.more()? {
            Some(Connection::read(scan)?)
        } else {
            None
        };
        Ok(Self { port, connection })
    }
}

impl Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        match &self.connection {
            Some(connection) => write!(f, " {connection}"),
            None => Ok(()),
        }
    }
}

from_str!(
    IceUfrag,
    IcePwd,
    IceOptions,
    IcePacing,
    RemoteCandidates,
    Rtcp
);

/// Checks made here and not by the grammar's reader, for those who make credentials.
impl IceUfrag {
    /// Whether `text` can be a user name fragment by the letter of RFC 8839.
    pub fn is_valid(text: &str) -> bool {
        Self::read_all(text, true).is_ok()
    }
}

impl IcePwd {
    /// Whether `text` can be a password by the letter of RFC 8839.
    pub fn is_valid(text: &str) -> bool {
        Self::read_all(text, true).is_ok()
    }
}
