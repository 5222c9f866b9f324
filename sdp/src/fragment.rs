//! Fragments for trickled candidates (RFC 8840), as WHIP and WHEP carry them.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::attributes::{Attribute, Candidate, IcePwd, IceUfrag, Mid};
use crate::error::{ParseError, ValueError};
use crate::limits::Limits;
use crate::media::{MediaDescription, MediaLine};
use crate::parse;
use crate::section::Section;
use crate::strict;

/// `application/trickle-ice-sdpfrag` (RFC 8840 §9): candidates and credentials without the rest
/// of the description.
///
/// ```
/// use tincan_sdp::SdpFragment;
///
/// let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
///     m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
///     a=candidate:1 1 udp 2113937151 192.0.2.7 54321 typ host\r\na=end-of-candidates\r\n";
/// let fragment = SdpFragment::parse(text)?;
/// let (place, candidate) = fragment.candidates().next().unwrap();
/// assert_eq!(place.mid, Some("0"));
/// assert_eq!(candidate?.port, 54321);
/// assert!(fragment.media[0].end_of_candidates());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpFragment {
    /// The lines before the first m-line: credentials, options, BUNDLE group.
    pub session: Section,
    /// The m-lines with their tags and candidates. Only the kind of media counts in these lines.
    pub media: Vec<MediaDescription>,
}

/// Where in a fragment a candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidatePlace<'a> {
    /// The section's index among the fragment's sections; none before the first m-line.
    pub index: Option<usize>,
    /// The section's identification tag.
    pub mid: Option<&'a str>,
}

impl SdpFragment {
    /// An empty fragment with credentials.
    pub fn new(ufrag: IceUfrag, pwd: IcePwd) -> Self {
        let mut session = Section::new();
        session.push_attribute(ufrag);
        session.push_attribute(pwd);
        Self {
            session,
            media: Vec::new(),
        }
    }

    /// Reads a fragment, tolerantly.
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
        let (session, media) = parse::sections(text, limits, false)?;
        Ok(Self { session, media })
    }

    /// Reads by the letter of RFC 8840 and the attributes' own standards.
    ///
    /// # Errors
    /// Line, column and the rule that is broken.
    pub fn parse_strict(text: &str) -> Result<Self, ParseError> {
        strict::check(text, &Limits::default(), false)?;
        Self::parse(text)
    }

    /// All candidates with their places, in their order.
    pub fn candidates(
        &self,
    ) -> impl Iterator<Item = (CandidatePlace<'_>, Result<Candidate, ValueError>)> {
        let session = self.session.candidates().map(|candidate| {
            let place = CandidatePlace {
                index: None,
                mid: None,
            };
            (place, candidate)
        });
        let media = self.media.iter().enumerate().flat_map(|(index, media)| {
            let place = CandidatePlace {
                index: Some(index),
                mid: media.value("mid"),
            };
            media.candidates().map(move |candidate| (place, candidate))
        });
        session.chain(media)
    }

    /// Whether the fragment says that there will be no more candidates, for all sections.
    pub fn end_of_candidates(&self) -> bool {
        self.session.end_of_candidates()
            || (!self.media.is_empty() && self.media.iter().all(|m| m.end_of_candidates()))
    }

    /// The credentials that count for the section at `index`: its own, or the fragment's.
    ///
    /// # Errors
    /// A value breaks the grammar.
    pub fn credentials(
        &self,
        index: usize,
    ) -> Result<(Option<IceUfrag>, Option<IcePwd>), ValueError> {
        let own = self.media.get(index);
        let ufrag = match own.map(|media| media.ice_ufrag()).transpose()?.flatten() {
            Some(ufrag) => Some(ufrag),
            None => self.session.ice_ufrag()?,
        };
        let pwd = match own.map(|media| media.ice_pwd()).transpose()?.flatten() {
            Some(pwd) => Some(pwd),
            None => self.session.ice_pwd()?,
        };
        Ok((ufrag, pwd))
    }

    /// Adds a candidate to the section with this tag, which is made where it is missing:
    /// `m=<kind> 9 RTP/AVP 0` and the tag, as RFC 8840 §9 writes it.
    pub fn push_candidate(&mut self, kind: &str, mid: &Mid, candidate: Candidate) {
        self.section(kind, mid).push_attribute(candidate);
    }

    /// Says that the section with this tag will have no more candidates.
    pub fn push_end_of_candidates(&mut self, kind: &str, mid: &Mid) {
        self.section(kind, mid)
            .push_attribute(Attribute::EndOfCandidates);
    }

    fn section(&mut self, kind: &str, mid: &Mid) -> &mut Section {
        let found = self
            .media
            .iter()
            .position(|media| media.value("mid") == Some(mid.as_str()));
        let index = found.unwrap_or_else(|| {
            let mut media = MediaDescription::new(MediaLine::new(kind, 9, "RTP/AVP", [0]));
            media.push_attribute(mid.clone());
            self.media.push(media);
            self.media.len() - 1
        });
        match self.media.get_mut(index) {
            Some(media) => &mut media.section,
            // Found or pushed just now: the session's lines stand in for the impossible.
            None => &mut self.session,
        }
    }

    /// The whole text.
    pub fn to_sdp(&self) -> String {
        let mut out = String::new();
        self.session.write_to(&mut out);
        for media in &self.media {
            media.write_to(&mut out);
        }
        out
    }
}

impl FromStr for SdpFragment {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl Display for SdpFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sdp())
    }
}
