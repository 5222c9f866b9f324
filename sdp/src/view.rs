//! Looking at a description without owning it: no allocation.

use std::str::FromStr;

use memchr::memmem;

use crate::attributes::{Direction, TypedAttribute};
use crate::error::{ParseError, ValueError};
use crate::limits::{Limits, MAX_LINE_LEN};
use crate::media::Parts;
use crate::parse::{next_line, split_line};
use crate::scan::Scan;
use crate::section::{Line, LineKind, RawAttribute};

/// A description that is only looked at.
///
/// Making one checks nothing but that every line has the form of a line; reading goes over the
/// text each time. For more than a few looks, [`crate::SessionDescription`] is quicker.
///
/// ```
/// use tincan_sdp::{DescriptionView, IceUfrag};
///
/// let text = "v=0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:EsAw\r\n";
/// let view = DescriptionView::parse(text)?;
/// assert!(view.session().has("ice-lite"));
/// let audio = view.media().next().unwrap();
/// assert_eq!(audio.kind(), "audio");
/// assert_eq!(audio.section().get::<IceUfrag>()?.unwrap().as_str(), "EsAw");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DescriptionView<'a> {
    session: SectionView<'a>,
    media: &'a str,
}

/// One m-section that is only looked at.
#[derive(Clone, Copy, Debug)]
pub struct MediaView<'a> {
    line: &'a str,
    section: SectionView<'a>,
}

/// Lines that are only looked at.
#[derive(Clone, Copy, Debug)]
pub struct SectionView<'a> {
    text: &'a str,
}

/// Iterates over lines whose form was checked.
#[derive(Clone, Debug)]
struct Lines<'a> {
    text: &'a str,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.text.is_empty() {
            return None;
        }
        let found = next_line(self.text.as_bytes());
        let (content, raw) = split_line(self.text, found);
        self.text = self.text.get(found.whole..).unwrap_or_default();
        Some(Line::new(found.kind, content, raw))
    }
}

impl<'a> DescriptionView<'a> {
    /// A view of a whole description, or of a fragment.
    ///
    /// # Errors
    /// A line is not of the form `x=…`, is longer than [`MAX_LINE_LEN`], or is an m-line without
    /// media, port and protocol; or the text is longer than the limit.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let max = Limits::default().description_len();
        if text.len() > max {
            return Err(ParseError::new(1, 1, crate::Rule::DescriptionTooLong(max)));
        }
        let mut at = 0;
        let mut number = 0;
        let mut first_media = None;
        while at < text.len() {
            number += 1;
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            let found = next_line(rest);
            found
                .check(MAX_LINE_LEN)
                .map_err(|(column, rule)| ParseError::new(number, column, rule))?;
            if found.kind == b'm' {
                first_media.get_or_insert(at);
                let value = text.get(at + 2..at + found.len).unwrap_or_default();
                Parts::read(&mut Scan::new("m=", value, false))
                    .map_err(|e| ParseError::new(number, e.offset() + 3, e.rule()))?;
            }
            at += found.whole;
        }
        let (session, media) = text
            .split_at_checked(first_media.unwrap_or(text.len()))
            .unwrap_or_default();
        Ok(Self {
            session: SectionView { text: session },
            media,
        })
    }

    /// The lines before the first m-line.
    pub fn session(&self) -> SectionView<'a> {
        self.session
    }

    /// The m-sections in their order.
    pub fn media(&self) -> impl Iterator<Item = MediaView<'a>> {
        let mut rest = self.media;
        std::iter::from_fn(move || {
            let line = Lines { text: rest }.next()?;
            let body = rest.get(line.raw().len()..).unwrap_or_default();
            // A line that begins with `m=` begins the next section, and nothing else does.
            let len = if body.starts_with("m=") {
                0
            } else {
                memmem::find(body.as_bytes(), b"\nm=").map_or(body.len(), |at| at + 1)
            };
            let (section, after) = body.split_at_checked(len).unwrap_or_default();
            rest = after;
            Some(MediaView {
                line: line.value(),
                section: SectionView { text: section },
            })
        })
    }
}

impl<'a> MediaView<'a> {
    fn parts(&self) -> Option<Parts> {
        Parts::read(&mut Scan::new("m=", self.line, false)).ok()
    }

    fn part(&self, place: impl Fn(&Parts) -> std::ops::Range<usize>) -> &'a str {
        self.parts()
            .and_then(|parts| self.line.get(place(&parts)))
            .unwrap_or_default()
    }

    /// The m-line's value: `audio 9 UDP/TLS/RTP/SAVPF 111`.
    pub fn line(&self) -> &'a str {
        self.line
    }

    /// The kind of media.
    pub fn kind(&self) -> &'a str {
        self.part(|parts| parts.kind.clone())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.parts().map_or(0, |parts| parts.port)
    }

    /// The protocol.
    pub fn proto(&self) -> &'a str {
        self.part(|parts| parts.proto.clone())
    }

    /// The formats in their order.
    pub fn formats(&self) -> impl Iterator<Item = &'a str> {
        self.part(|parts| parts.formats.clone())
            .split_ascii_whitespace()
    }

    /// The lines after the m-line.
    pub fn section(&self) -> SectionView<'a> {
        self.section
    }
}

impl<'a> SectionView<'a> {
    /// All lines in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> {
        Lines { text: self.text }
    }

    /// All attributes in order.
    pub fn attributes(&self) -> impl Iterator<Item = RawAttribute<'a>> {
        self.lines().filter_map(|line| line.attribute())
    }

    /// The value of the first line of a type.
    pub fn line_value(&self, kind: LineKind) -> Option<&'a str> {
        self.lines()
            .find(|line| line.kind() == kind)
            .map(|line| line.value())
    }

    /// Whether there is an attribute called `name`, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name() == name)
    }

    /// The values of all attributes called `name`; empty for a flag.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.attributes()
            .filter(move |attribute| attribute.name() == name)
            .map(|attribute| attribute.value().unwrap_or_default())
    }

    /// The value of the first attribute called `name`; empty for a flag.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The first attribute of a type.
    ///
    /// # Errors
    /// Its value breaks the grammar.
    pub fn get<T: TypedAttribute>(&self) -> Result<Option<T>, ValueError> {
        self.value(T::NAME).map(str::parse).transpose()
    }

    /// All attributes of a type in order; an item is an error where a value breaks the grammar.
    pub fn all<T: TypedAttribute>(&self) -> impl Iterator<Item = Result<T, ValueError>> {
        self.values(T::NAME).map(str::parse)
    }

    /// The direction, if the section says one.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes()
            .filter(|attribute| attribute.value().is_none())
            .find_map(|attribute| Direction::from_str(attribute.name()).ok())
    }
}
