//! Attributes of single RTP sources (RFC 5576).

use std::fmt::{self, Display};

use crate::error::ValueError;
use crate::scan::{Grammar, Scan, from_str, open_words, push_bounded};

/// A synchronization source's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

impl Grammar for Ssrc {
    const CALLED: &'static str = "ssrc";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.u32(0, u32::MAX).map(Self)
    }
}

impl Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<u32> for Ssrc {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// `a=ssrc`: an attribute of one source (RFC 5576 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceAttribute {
    /// The source.
    pub ssrc: Ssrc,
    /// The attribute's name: "cname", "msid", "fmtp", …
    pub name: String,
    /// Its value; none for a flag.
    pub value: Option<String>,
}

impl SourceAttribute {
    /// An attribute with a value.
    pub fn new(ssrc: Ssrc, name: impl Into<String>, value: impl Display) -> Self {
        Self {
            ssrc,
            name: name.into(),
            value: Some(value.to_string()),
        }
    }

    /// The canonical name, if this is one (RFC 5576 §6.1).
    pub fn cname(&self) -> Option<&str> {
        (self.name == "cname").then_some(self.value.as_deref()?)
    }
}

impl Grammar for SourceAttribute {
    const CALLED: &'static str = "ssrc";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let ssrc = Ssrc::read(scan)?;
        scan.space()?;
        let name = scan.token_until(b':')?.to_owned();
        let value = scan.take(b':').then(|| scan.rest().to_owned());
        Ok(Self { ssrc, name, value })
    }
}

impl Display for SourceAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ssrc, self.name)?;
        match &self.value {
            Some(value) => write!(f, ":{value}"),
            None => Ok(()),
        }
    }
}

open_words! {
    /// What sources are grouped for (RFC 5576 §4.2).
    SourceGroupSemantics {
        /// Flow identification: a stream and its retransmissions.
        FlowIdentification = "FID",
        /// A stream and its forward error correction (RFC 5956 §4.3).
        ForwardErrorCorrection = "FEC-FR",
        /// The same before RFC 5956.
        Fec = "FEC",
        /// Encodings of one source, of the time before `a=rid`.
        Simulcast = "SIM",
        /// Duplicates (RFC 7104).
        Duplication = "DUP",
    }
}

/// `a=ssrc-group`: sources that belong together (RFC 5576 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceGroup {
    /// What for.
    pub semantics: SourceGroupSemantics,
    /// The sources in their order.
    pub ssrcs: Vec<Ssrc>,
}

impl SourceGroup {
    /// A stream and its retransmissions.
    pub fn fid(primary: Ssrc, retransmission: Ssrc) -> Self {
        Self {
            semantics: SourceGroupSemantics::FlowIdentification,
            ssrcs: vec![primary, retransmission],
        }
    }
}

impl Grammar for SourceGroup {
    const CALLED: &'static str = "ssrc-group";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let semantics = SourceGroupSemantics::from_word(scan.token()?);
        let mut ssrcs = Vec::new();
        while scan.more()? {
            let ssrc = Ssrc::read(scan)?;
            push_bounded(scan, &mut ssrcs, ssrc)?;
        }
        Ok(Self { semantics, ssrcs })
    }
}

impl Display for SourceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.semantics)?;
        self.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))
    }
}

from_str!(Ssrc, SourceAttribute, SourceGroup);
