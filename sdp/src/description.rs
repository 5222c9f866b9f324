//! A whole session description.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;

use crate::attributes::{Direction, ExtMap, Fingerprint, IceOptions, IcePwd, IceUfrag, Mid, Setup};
use crate::error::{ParseError, Rule, ValueError};
use crate::limits::Limits;
use crate::lines::{Connection, Origin, Repeat, TimeZones, Timing};
use crate::media::MediaDescription;
use crate::parse;
use crate::section::{LineKind, Section};
use crate::strict;

/// A session description: the session's lines, and the media sections.
///
/// Reading keeps every byte: writing an unchanged description gives the text that was read,
/// unknown lines, line endings and all. What is added is written as RFC 8866 wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    /// The lines before the first m-line.
    pub session: Section,
    /// The media sections, in the order of their m-lines.
    pub media: Vec<MediaDescription>,
}

impl SessionDescription {
    /// A description without media: `v=0`, `o=`, `s=-`, `t=0 0`.
    pub fn new(origin: &Origin) -> Self {
        let mut session = Section::new();
        session.add_line(LineKind::Version, &0);
        session.add_line(LineKind::Origin, origin);
        session.add_line(LineKind::SessionName, &"-");
        session.add_line(LineKind::Timing, &Timing::default());
        Self {
            session,
            media: Vec::new(),
        }
    }

    /// Reads what peers really write: lines may end with LF only, the last one may have no ending,
    /// blanks may stand at line ends, lines may be blank, unknown, repeated, out of order or
    /// missing. It must begin with `v=0`, every line must be of the form `x=…`, and m-lines must
    /// say media, port and protocol. Values are read when they are asked for.
    ///
    /// # Errors
    /// Line, column and the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, &Limits::default())
    }

    /// [`parse`](Self::parse) with other limits than the default ones.
    ///
    /// # Errors
    /// Line, column and the rule that is broken.
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        let (session, media) = parse::sections(text, limits, true)?;
        Ok(Self { session, media })
    }

    /// Reads by the letter of RFC 8866 and of the attributes' own standards: line order and
    /// endings, what must be there, what may stand once, levels, and every value whose grammar
    /// this crate knows.
    ///
    /// # Errors
    /// Line, column and the rule that is broken.
    pub fn parse_strict(text: &str) -> Result<Self, ParseError> {
        Self::parse_strict_with(text, &Limits::default())
    }

    /// [`parse_strict`](Self::parse_strict) with other limits than the default ones.
    ///
    /// # Errors
    /// Line, column and the rule that is broken.
    pub fn parse_strict_with(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        strict::check(text, limits, true)?;
        Self::parse_with(text, limits)
    }

    /// Reads bytes that should be UTF-8, as [`parse`](Self::parse) does.
    ///
    /// # Errors
    /// Line, column and the rule that is broken; [`Rule::NotUtf8`] where the text is not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let column = before
                    .iter()
                    .rev()
                    .take_while(|byte| **byte != b'\n')
                    .count()
                    + 1;
                Err(ParseError::new(line, column, Rule::NotUtf8))
            }
        }
    }

    /// `o=`: who made the description, and its version.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn origin(&self) -> Result<Option<Origin>, ValueError> {
        self.session.typed_line(LineKind::Origin)
    }

    /// Sets `o=`.
    pub fn set_origin(&mut self, origin: &Origin) {
        self.session.set_line(LineKind::Origin, origin);
    }

    /// `s=`: the session's name; blanks and `-` mean none.
    pub fn session_name(&self) -> Option<&str> {
        self.session.line_value(LineKind::SessionName)
    }

    /// Sets `s=`; an empty name is written as `-`.
    pub fn set_session_name(&mut self, name: &str) {
        let name = if name.is_empty() { "-" } else { name };
        self.session.set_line(LineKind::SessionName, &name);
    }

    /// `t=`: when the session is active.
    pub fn timings(&self) -> impl Iterator<Item = Result<Timing, ValueError>> {
        self.session.line_values(LineKind::Timing).map(str::parse)
    }

    /// `r=`: when it repeats.
    pub fn repeats(&self) -> impl Iterator<Item = Result<Repeat, ValueError>> {
        self.session.line_values(LineKind::Repeat).map(str::parse)
    }

    /// `z=`: time zone adjustments.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn time_zones(&self) -> Result<Option<TimeZones>, ValueError> {
        self.session.typed_line(LineKind::TimeZones)
    }

    /// The media section with this identification tag, and its index.
    pub fn media_by_mid(&self, mid: &str) -> Option<(usize, &MediaDescription)> {
        self.media
            .iter()
            .enumerate()
            .find(|(_, media)| media.value("mid") == Some(mid))
    }

    /// What counts for the media section at `index` where the session's lines fill in for missing
    /// ones of its own.
    pub fn effective(&self, index: usize) -> Option<Effective<'_>> {
        self.media.get(index).map(|media| Effective {
            session: &self.session,
            media,
        })
    }

    /// The whole text.
    pub fn to_sdp(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out);
        out
    }

    /// Appends the whole text to `out`.
    pub fn write_to(&self, out: &mut String) {
        let media: usize = self.media.iter().map(MediaDescription::text_len).sum();
        out.reserve(self.session.text_len() + media + 2);
        self.session.write_to(out);
        for media in &self.media {
            media.write_to(out);
        }
    }
}

impl FromStr for SessionDescription {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sdp())
    }
}

/// A media section with the session's lines as defaults (RFC 8866 §5: session-level values hold
/// for all media sections that do not say otherwise).
#[derive(Clone, Copy, Debug)]
pub struct Effective<'a> {
    session: &'a Section,
    media: &'a MediaDescription,
}

impl<'a> Effective<'a> {
    /// The media section alone.
    pub fn media(&self) -> &'a MediaDescription {
        self.media
    }

    fn either<T>(
        &self,
        get: impl Fn(&'a Section) -> Result<Option<T>, ValueError>,
    ) -> Result<Option<T>, ValueError> {
        match get(&self.media.section)? {
            Some(value) => Ok(Some(value)),
            None => get(self.session),
        }
    }

    /// The section's own identification tag.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn mid(&self) -> Result<Option<Mid>, ValueError> {
        self.media.mid()
    }

    /// The user name fragment.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn ice_ufrag(&self) -> Result<Option<IceUfrag>, ValueError> {
        self.either(Section::ice_ufrag)
    }

    /// The password.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn ice_pwd(&self) -> Result<Option<IcePwd>, ValueError> {
        self.either(Section::ice_pwd)
    }

    /// The ICE options; the session's if the section has none.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn ice_options(&self) -> Result<Option<IceOptions>, ValueError> {
        self.either(Section::ice_options)
    }

    /// Who begins DTLS.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn setup(&self) -> Result<Option<Setup>, ValueError> {
        self.either(Section::setup)
    }

    /// The certificates' digests: the section's, or the session's where it has none.
    ///
    /// # Errors
    /// One of the values breaks the grammar.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, ValueError> {
        let own: Vec<_> = self.media.fingerprints().collect::<Result<_, _>>()?;
        if own.is_empty() {
            return self.session.fingerprints().collect();
        }
        Ok(own)
    }

    /// The direction; `sendrecv` where nothing is said (RFC 8866 §6.7).
    pub fn direction(&self) -> Direction {
        self.media
            .direction()
            .or_else(|| self.session.direction())
            .unwrap_or(Direction::SendRecv)
    }

    /// Header extensions: the session's and the section's (RFC 8285 §5: one that stands at session
    /// level holds for all sections).
    pub fn extmaps(&self) -> impl Iterator<Item = Result<ExtMap, ValueError>> {
        self.session.extmaps().chain(self.media.extmaps())
    }

    /// Whether one-byte and two-byte headers may be mixed.
    pub fn extmap_allow_mixed(&self) -> bool {
        self.media.extmap_allow_mixed() || self.session.extmap_allow_mixed()
    }

    /// Where media go.
    ///
    /// # Errors
    /// The value breaks the grammar.
    pub fn connection(&self) -> Result<Option<Connection>, ValueError> {
        self.either(Section::connection)
    }

    /// The address media go to, if it is said as an IP address.
    pub fn connection_ip(&self) -> Option<IpAddr> {
        self.connection().ok().flatten().and_then(|c| c.ip())
    }
}
