//! A section's lines: one text, and where each line stands in it.
//!
//! A parsed section is a copy of its part of the description and a table of offsets, so that
//! reading costs two allocations a section and writing an unchanged section is one copy. Edits
//! append to the text and change the table; when too much deleted text has gathered, the section
//! is packed.

use std::fmt::{self, Display, Write};

use crate::attributes::{Attribute, TypedAttribute};
use crate::error::ValueError;
use crate::limits::SLACK;
use crate::scan::Grammar;
use crate::work::looked_at;

/// The type of a line: its letter (RFC 8866 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineKind {
    /// `v=`, the protocol version.
    Version,
    /// `o=`, the originator.
    Origin,
    /// `s=`, the session's name.
    SessionName,
    /// `i=`, information for people.
    Information,
    /// `u=`, a URI.
    Uri,
    /// `e=`, an e-mail address.
    Email,
    /// `p=`, a phone number.
    Phone,
    /// `c=`, connection data.
    Connection,
    /// `b=`, bandwidth.
    Bandwidth,
    /// `t=`, times of activity.
    Timing,
    /// `r=`, repeat times.
    Repeat,
    /// `z=`, time zone adjustments.
    TimeZones,
    /// `k=`, the obsolete encryption key.
    Key,
    /// `a=`, an attribute.
    Attribute,
    /// `m=`, the start of a media description.
    Media,
    /// Any other letter.
    Other(char),
    /// A line without any text, which only tolerant reading lets pass.
    Blank,
}

impl LineKind {
    pub(crate) const BLANK: u8 = 0;

    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            b'v' => Self::Version,
            b'o' => Self::Origin,
            b's' => Self::SessionName,
            b'i' => Self::Information,
            b'u' => Self::Uri,
            b'e' => Self::Email,
            b'p' => Self::Phone,
            b'c' => Self::Connection,
            b'b' => Self::Bandwidth,
            b't' => Self::Timing,
            b'r' => Self::Repeat,
            b'z' => Self::TimeZones,
            b'k' => Self::Key,
            b'a' => Self::Attribute,
            b'm' => Self::Media,
            Self::BLANK => Self::Blank,
            other => Self::Other(char::from(other)),
        }
    }

    /// The letter; none for a blank line.
    pub fn letter(self) -> Option<char> {
        Some(match self {
            Self::Version => 'v',
            Self::Origin => 'o',
            Self::SessionName => 's',
            Self::Information => 'i',
            Self::Uri => 'u',
            Self::Email => 'e',
            Self::Phone => 'p',
            Self::Connection => 'c',
            Self::Bandwidth => 'b',
            Self::Timing => 't',
            Self::Repeat => 'r',
            Self::TimeZones => 'z',
            Self::Key => 'k',
            Self::Attribute => 'a',
            Self::Media => 'm',
            Self::Other(letter) => letter,
            Self::Blank => return None,
        })
    }

    /// Place in the order of RFC 8866 §5; unknown types go before the attributes.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Version => 0,
            Self::Origin => 1,
            Self::SessionName => 2,
            Self::Information => 3,
            Self::Uri => 4,
            Self::Email => 5,
            Self::Phone => 6,
            Self::Connection => 7,
            Self::Bandwidth => 8,
            Self::Timing | Self::Repeat => 9,
            Self::TimeZones => 10,
            Self::Key => 11,
            Self::Other(_) | Self::Blank => 12,
            Self::Attribute => 13,
            Self::Media => 14,
        }
    }
}

impl Display for LineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.letter() {
            Some(letter) => write!(f, "{letter}="),
            None => f.write_str("blank"),
        }
    }
}

/// One line of a section, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    kind: u8,
    content: &'a str,
    raw: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn new(kind: u8, content: &'a str, raw: &'a str) -> Self {
        Self { kind, content, raw }
    }

    /// The line's type.
    pub fn kind(&self) -> LineKind {
        LineKind::from_byte(self.kind)
    }

    /// What stands after the `=`, without the blanks that tolerant reading lets follow.
    pub fn value(&self) -> &'a str {
        self.content.get(2..).unwrap_or_default()
    }

    /// The line as it stands, with its ending.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Name and value, if the line is an attribute.
    pub fn attribute(&self) -> Option<RawAttribute<'a>> {
        (self.kind == b'a').then(|| RawAttribute::split(self.value()))
    }
}

/// An attribute's name and value as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> RawAttribute<'a> {
    /// Splits `name` or `name:value`.
    pub fn split(text: &'a str) -> Self {
        match text.split_once(':') {
            Some((name, value)) => Self {
                name,
                value: Some(value),
            },
            None => Self {
                name: text,
                value: None,
            },
        }
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The value: none for a flag.
    pub fn value(&self) -> Option<&'a str> {
        self.value
    }

    /// The attribute as a typed value. Names that this crate does not know give
    /// [`Attribute::Other`].
    ///
    /// # Errors
    /// The value breaks the attribute's grammar.
    pub fn parse(&self) -> Result<Attribute, ValueError> {
        Attribute::parse(self.name, self.value)
    }
}

/// Where a line stands in its section's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineRef {
    /// First byte.
    pub(crate) start: u32,
    /// Bytes of the content: `a=mid:0`.
    pub(crate) len: u32,
    /// The first four bytes after `a=`, so that looking for a name seldom touches the text.
    pub(crate) key: u32,
    /// The type's letter, or 0 for a blank line.
    pub(crate) kind: u8,
    /// Bytes of blanks and line ending after the content.
    pub(crate) tail: u8,
}

impl LineRef {
    /// Bytes with ending.
    fn whole(&self) -> usize {
        self.len as usize + usize::from(self.tail)
    }
}

/// The key of a line's content.
pub(crate) fn key_of(content: &[u8]) -> u32 {
    match content.get(2..6) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => name_key(content.get(2..).unwrap_or_default()).0,
    }
}

/// The key of an attribute's name, and which of its bits count.
pub(crate) fn name_key(name: &[u8]) -> (u32, u32) {
    let mut key = 0;
    let mut mask = 0;
    for (at, byte) in name.iter().take(4).enumerate() {
        key |= u32::from(*byte) << (8 * at);
        mask |= 0xff << (8 * at);
    }
    (key, mask)
}

/// The lines of the session part, or those of a media section after its m-line.
///
/// Lines are kept in their order and byte for byte, known or not. Values put in are written so
/// that they cannot break out of their line: CR, LF and NUL in them become spaces.
#[derive(Clone, Default)]
pub struct Section {
    text: String,
    lines: Vec<LineRef>,
    /// Bytes of `text` that belong to no line.
    garbage: usize,
    /// Whether the lines stand in the text in their order.
    scattered: bool,
}

impl Section {
    /// A section without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// A section of lines that follow one another in `text`.
    pub(crate) fn from_parts(text: String, lines: Vec<LineRef>) -> Self {
        Self {
            text,
            lines,
            garbage: 0,
            scattered: false,
        }
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn text_of(&self, line: &LineRef) -> &str {
        let start = line.start as usize;
        self.text
            .get(start..start + line.len as usize)
            .unwrap_or_default()
    }

    fn raw_of(&self, line: &LineRef) -> &str {
        let start = line.start as usize;
        self.text
            .get(start..start + line.whole())
            .unwrap_or_default()
    }

    /// All lines in order.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = Line<'_>> + ExactSizeIterator {
        looked_at(self.lines.len());
        self.lines
            .iter()
            .map(|line| Line::new(line.kind, self.text_of(line), self.raw_of(line)))
    }

    /// The line at `index`, from 0.
    pub fn line(&self, index: usize) -> Option<Line<'_>> {
        let line = self.lines.get(index)?;
        Some(Line::new(line.kind, self.text_of(line), self.raw_of(line)))
    }

    /// All attributes in order.
    pub fn attributes(&self) -> impl DoubleEndedIterator<Item = RawAttribute<'_>> {
        self.lines().filter_map(|line| line.attribute())
    }

    /// The value of the first line of a type, as text.
    pub fn line_value(&self, kind: LineKind) -> Option<&str> {
        self.line_values(kind).next()
    }

    /// The values of all lines of a type, as text.
    pub fn line_values(&self, kind: LineKind) -> impl Iterator<Item = &str> {
        let letter = kind.letter().and_then(|c| u8::try_from(c).ok());
        self.lines
            .iter()
            .filter(move |line| Some(line.kind) == letter)
            .map(|line| self.text_of(line).get(2..).unwrap_or_default())
    }

    pub(crate) fn typed_line<T: Grammar>(&self, kind: LineKind) -> Result<Option<T>, ValueError> {
        self.line_value(kind)
            .map(|value| T::read_all(value, false))
            .transpose()
    }

    /// Indices and values of the attributes called `name`.
    fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, Option<&'a str>)> {
        let (key, mask) = name_key(name.as_bytes());
        looked_at(self.lines.len());
        self.lines
            .iter()
            .enumerate()
            .filter(move |(_, line)| line.kind == b'a' && line.key & mask == key)
            .filter_map(move |(index, line)| {
                let rest = self.text_of(line).get(2..)?.strip_prefix(name)?;
                if rest.is_empty() {
                    Some((index, None))
                } else {
                    rest.strip_prefix(':').map(|value| (index, Some(value)))
                }
            })
    }

    /// Whether there is an attribute called `name`, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).next().is_some()
    }

    /// The value of the first attribute called `name`, as text; empty for a flag.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The values of all attributes called `name`, as text; empty for a flag.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.find(name).map(|(_, value)| value.unwrap_or_default())
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

    /// Adds an attribute after all lines.
    pub fn push_attribute(&mut self, attribute: impl Into<Attribute>) {
        let line = self.append('a', &attribute.into());
        self.lines.push(line);
    }

    /// Adds an attribute in front of the line at `index`, or after all lines where there are not
    /// so many.
    pub fn insert_attribute(&mut self, index: usize, attribute: impl Into<Attribute>) {
        let line = self.append('a', &attribute.into());
        self.insert_line(index, line);
    }

    /// Puts an attribute in the place of the first one of the same name and takes all others of
    /// that name away; where there is none, adds it after all lines.
    pub fn set_attribute(&mut self, attribute: impl Into<Attribute>) {
        let attribute = attribute.into();
        let place = self.find(attribute.name()).next().map(|(index, _)| index);
        self.remove_attribute(attribute.name());
        let line = self.append('a', &attribute);
        self.insert_line(place.unwrap_or(usize::MAX), line);
    }

    /// Takes away all attributes called `name`; says how many there were.
    pub fn remove_attribute(&mut self, name: &str) -> usize {
        let before = self.lines.len();
        self.retain(|line| line.attribute().is_none_or(|a| a.name() != name));
        before - self.lines.len()
    }

    /// Keeps the lines for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&Line<'_>) -> bool) {
        let Self {
            text,
            lines,
            garbage,
            ..
        } = self;
        looked_at(lines.len());
        lines.retain(|line| {
            let start = line.start as usize;
            let raw = text.get(start..start + line.whole()).unwrap_or_default();
            let content = raw.get(..line.len as usize).unwrap_or_default();
            let keep = keep(&Line::new(line.kind, content, raw));
            if !keep {
                *garbage += line.whole();
            }
            keep
        });
        self.pack_if_loose();
    }

    /// Puts `attribute` in the place of the line at `index`; says whether there is such a line.
    pub fn replace(&mut self, index: usize, attribute: impl Into<Attribute>) -> bool {
        if index >= self.lines.len() {
            return false;
        }
        let new = self.append('a', &attribute.into());
        self.replace_line(index, new);
        true
    }

    /// Takes the line at `index` away; says whether there was one.
    pub fn remove(&mut self, index: usize) -> bool {
        let Some(line) = (index < self.lines.len()).then(|| self.lines.remove(index)) else {
            return false;
        };
        self.garbage += line.whole();
        self.pack_if_loose();
        true
    }

    /// Puts a line of a type other than `a=` and `m=` in the place of the first one of its type,
    /// or where the order of RFC 8866 §5 wants it.
    pub(crate) fn set_line(&mut self, kind: LineKind, value: &impl Display) {
        let Some(letter) = kind.letter() else { return };
        let place = self.position(kind);
        match place {
            Some(index) => {
                let line = self.append(letter, value);
                self.replace_line(index, line);
            }
            None => self.add_line(kind, value),
        }
    }

    /// Adds a line after those of its type, where the order of RFC 8866 §5 wants it.
    pub(crate) fn add_line(&mut self, kind: LineKind, value: &impl Display) {
        let Some(letter) = kind.letter() else { return };
        let index = self
            .lines
            .iter()
            .position(|line| LineKind::from_byte(line.kind).rank() > kind.rank());
        let line = self.append(letter, value);
        self.insert_line(index.unwrap_or(usize::MAX), line);
    }

    /// Takes all lines of a type away; says how many there were.
    pub fn remove_lines(&mut self, kind: LineKind) -> usize {
        let before = self.lines.len();
        self.retain(|line| line.kind() != kind);
        before - self.lines.len()
    }

    fn position(&self, kind: LineKind) -> Option<usize> {
        let letter = kind.letter().and_then(|c| u8::try_from(c).ok())?;
        self.lines.iter().position(|line| line.kind == letter)
    }

    fn replace_line(&mut self, index: usize, new: LineRef) {
        if let Some(line) = self.lines.get_mut(index) {
            self.garbage += line.whole();
            self.scattered = true;
            *line = new;
        }
        self.pack_if_loose();
    }

    fn insert_line(&mut self, index: usize, line: LineRef) {
        if index < self.lines.len() {
            self.scattered = true;
            looked_at(self.lines.len() - index);
            self.lines.insert(index, line);
        } else {
            self.lines.push(line);
        }
        self.pack_if_loose();
    }

    /// Writes a line at the end of the text. It must be put into the table before anything else is
    /// changed: packing keeps only what is in the table.
    fn append(&mut self, letter: char, value: &impl Display) -> LineRef {
        self.end_last_line();
        let start = self.text.len();
        self.text.push(letter);
        self.text.push('=');
        // Writing to a String fails only where a Display does, and then the line is short.
        let _ = write!(self.text, "{value}");
        let written = self.text.get(start..).unwrap_or_default();
        if written.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            let clean = written.replace(['\r', '\n', '\0'], " ");
            self.text.truncate(start);
            self.text.push_str(&clean);
        }
        let content = self.text.as_bytes().get(start..).unwrap_or_default();
        let line = LineRef {
            start: offset(start),
            len: offset(content.len()),
            key: key_of(content),
            kind: u8::try_from(letter).unwrap_or(b'?'),
            tail: 2,
        };
        self.text.push_str("\r\n");
        line
    }

    /// Gives the last line an ending, if it has none, before another follows.
    fn end_last_line(&mut self) {
        if self.text.is_empty() || self.text.ends_with('\n') {
            return;
        }
        // The line without ending came last in the parsed text and nothing was appended since.
        self.text.push_str("\r\n");
        let end = self.text.len();
        match self
            .lines
            .iter_mut()
            .find(|line| line.start as usize + line.whole() + 2 == end)
        {
            Some(line) => line.tail = line.tail.saturating_add(2),
            None => self.garbage += 2,
        }
    }

    fn pack_if_loose(&mut self) {
        if self.garbage > SLACK && self.garbage > self.text.len() / 2 {
            self.pack();
        }
    }

    fn pack(&mut self) {
        looked_at(self.text.len());
        let mut text = String::with_capacity(self.text.len() - self.garbage.min(self.text.len()));
        let mut lines = std::mem::take(&mut self.lines);
        for line in &mut lines {
            let start = offset(text.len());
            text.push_str(self.raw_of(line));
            line.start = start;
        }
        *self = Self::from_parts(text, lines);
    }

    /// Bytes of heap that the section holds: its text with what edits left behind, and the table of
    /// lines.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<LineRef>()
    }

    /// Bytes that writing takes, give or take line endings.
    pub(crate) fn text_len(&self) -> usize {
        self.text.len() - self.garbage.min(self.text.len())
    }

    /// Appends the section's text.
    pub(crate) fn write_to(&self, out: &mut String) {
        if self.lines.is_empty() {
            return;
        }
        end_line(out);
        if self.garbage == 0 && !self.scattered {
            out.push_str(&self.text);
        } else {
            for line in &self.lines {
                end_line(out);
                out.push_str(self.raw_of(line));
            }
        }
    }
}

impl PartialEq for Section {
    /// Sections are equal when they write the same text.
    fn eq(&self, other: &Self) -> bool {
        self.lines().map(|l| l.raw).eq(other.lines().map(|l| l.raw))
    }
}

impl Eq for Section {}

impl fmt::Debug for Section {
    /// Lists the lines. ICE passwords and SDES keys are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.lines().map(|line| redact(line.content)))
            .finish()
    }
}

/// The line as it may be shown in logs.
fn redact(content: &str) -> &str {
    ["a=ice-pwd:", "a=crypto:", "a=key-mgmt:", "k="]
        .into_iter()
        .find(|secret| content.starts_with(secret))
        .unwrap_or(content)
}

/// Ends the last line of `out`, if it is open.
pub(crate) fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str("\r\n");
    }
}

/// A position in the text. Texts that grow beyond 4 GiB by edits are out of memory first: an
/// edited section is packed when half of it is garbage, and lines are written by their user.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
