//! Identification and grouping: `mid`, `group`, `msid`.

use std::fmt::{self, Display};

use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str, is_token_char, open_words, words};

/// A media section's identification tag (RFC 5888 §4): a token of at least one character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(String);

impl Mid {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for Mid {
    const CALLED: &'static str = "mid";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        scan.token().map(|token| Self(token.to_owned()))
    }
}

impl Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Mid {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<u32> for Mid {
    /// The tag that browsers give the n-th section: its number.
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

open_words! {
    /// What a group of sections is for.
    GroupSemantics {
        /// One transport for all (RFC 9143).
        Bundle = "BUNDLE",
        /// Lip synchronization (RFC 5888 §7).
        LipSync = "LS",
        /// Flow identification (RFC 5888 §8).
        FlowIdentification = "FID",
        /// Forward error correction (RFC 5956).
        ForwardErrorCorrection = "FEC-FR",
        /// Decoding dependency (RFC 5583).
        DecodingDependency = "DDP",
        /// Duplication (RFC 7104).
        Duplication = "DUP",
    }
}

/// `a=group`: sections that belong together (RFC 5888 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// What for.
    pub semantics: GroupSemantics,
    /// The members, in their order: the first of a BUNDLE group is its tagged section.
    pub mids: Vec<Mid>,
}

impl Group {
    /// A BUNDLE group.
    pub fn bundle(mids: impl IntoIterator<Item = Mid>) -> Self {
        Self {
            semantics: GroupSemantics::Bundle,
            mids: mids.into_iter().collect(),
        }
    }

    /// Whether `mid` is a member.
    pub fn contains(&self, mid: &Mid) -> bool {
        self.mids.contains(mid)
    }
}

impl Grammar for Group {
    const CALLED: &'static str = "group";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let semantics = GroupSemantics::from_word(scan.token()?);
        let mut mids = Vec::new();
        while scan.more()? {
            let mid = Mid::read(scan)?;
            crate::scan::push_bounded(scan, &mut mids, mid)?;
        }
        Ok(Self { semantics, mids })
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.semantics)?;
        self.mids.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}

/// `a=msid`: a track, and the stream it belongs to (RFC 8830 §2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Msid {
    /// The stream's identifier; `-` stands for "no stream" (RFC 9429 §5.2.1).
    pub stream: String,
    /// The track's identifier. Newer descriptions leave it out.
    pub track: Option<String>,
}

impl Msid {
    /// Stream and track by their identifiers.
    pub fn new(stream: impl Into<String>, track: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            track: Some(track.into()),
        }
    }

    /// The stream's identifier, or none for `-`.
    pub fn stream_id(&self) -> Option<&str> {
        (self.stream != "-").then_some(self.stream.as_str())
    }
}

impl Grammar for Msid {
    const CALLED: &'static str = "msid";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        fn id(scan: &mut Scan<'_>) -> Result<String, ValueError> {
            let id = scan.word()?;
            if scan.is_strict() {
                if !id.bytes().all(is_token_char) {
                    return Err(scan.error_in(id, Rule::Token));
                }
                if id.len() > 64 {
                    return Err(scan.error_in(id, Rule::Length { min: 1, max: 64 }));
                }
            }
            Ok(id.to_owned())
        }
        let stream = id(scan)?;
        let track = if scan.more()? { Some(id(scan)?) } else { None };
        Ok(Self { stream, track })
    }
}

impl Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stream)?;
        match &self.track {
            Some(track) => write!(f, " {track}"),
            None => Ok(()),
        }
    }
}

/// `a=msid-semantic`: identifiers of streams with a meaning in common; a relic of drafts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MsidSemantic {
    /// The meaning: `WMS` for WebRTC media streams.
    pub semantic: String,
    /// The streams; `*` stands for all.
    pub streams: Vec<String>,
}

impl Grammar for MsidSemantic {
    const CALLED: &'static str = "msid-semantic";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        // Chromium and those who copied it write a space after the colon; drafts had none.
        scan.run(|byte| byte == b' ');
        let semantic = scan.token()?.to_owned();
        let streams = words(scan)?;
        Ok(Self { semantic, streams })
    }
}

impl Display for MsidSemantic {
    /// With the space after the colon that browsers write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.semantic)?;
        self.streams.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

from_str!(Mid, Group, Msid, MsidSemantic);
