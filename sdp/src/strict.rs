//! Strict reading: a description held against the letter of the standards.
//!
//! A pass of its own over the lines, before the tolerant one: so tolerant reading pays nothing
//! for it.

use std::collections::HashSet;

use crate::attributes::{Level, known};
use crate::error::{ParseError, Rule, ValueError};
use crate::limits::Limits;
use crate::lines::{Bandwidth, Connection, Origin, Repeat, TimeZones, Timing};
use crate::media::MediaLine;
use crate::parse::{next_line, split_line};
use crate::scan::{Grammar, is_token_char};
use crate::section::{LineKind, RawAttribute};

/// What has been seen in a section.
struct Checker<'a> {
    whole: bool,
    number: usize,
    /// Whether an m-line was seen.
    in_media: bool,
    /// The line before, whose order the next must respect.
    last: Option<LineKind>,
    /// Single-valued attributes of the section, by the name under which they count.
    seen: HashSet<&'a str>,
    timing: bool,
    connection: bool,
    /// The media section lacks connection data and so did the session.
    wants_connection: bool,
}

/// Checks the whole text.
///
/// # Errors
/// The first breach of a rule, with its line and column.
pub(crate) fn check(text: &str, limits: &Limits, whole: bool) -> Result<(), ParseError> {
    let mut checker = Checker {
        whole,
        number: 0,
        in_media: false,
        last: None,
        seen: HashSet::new(),
        timing: false,
        connection: false,
        wants_connection: false,
    };
    if text.len() > limits.description_len() {
        let rule = Rule::DescriptionTooLong(limits.description_len());
        return Err(ParseError::new(1, 1, rule));
    }
    let mut rest = text;
    while !rest.is_empty() {
        checker.number += 1;
        if checker.number > limits.lines() {
            return Err(checker.error(1, Rule::TooManyLines(limits.lines())));
        }
        let found = next_line(rest.as_bytes());
        found
            .check(limits.line_len())
            .map_err(|(column, rule)| checker.error(column, rule))?;
        let (_, raw) = split_line(rest, found);
        checker.line(found.kind, raw)?;
        rest = rest.get(found.whole..).unwrap_or_default();
    }
    checker.number += 1;
    checker.end()
}

impl<'a> Checker<'a> {
    fn error(&self, column: usize, rule: Rule) -> ParseError {
        ParseError::new(self.number, column, rule)
    }

    /// An error inside of a value that begins at `column`.
    fn value_error(&self, column: usize, error: ValueError) -> ParseError {
        self.error(column + error.offset(), error.rule())
    }

    fn line(&mut self, kind: u8, raw: &'a str) -> Result<(), ParseError> {
        let Some(content) = raw.strip_suffix("\r\n") else {
            let column = raw.trim_end_matches(['\r', '\n']).len() + 1;
            return Err(self.error(column, Rule::LineEnding));
        };
        if content.is_empty() || kind == LineKind::BLANK {
            return Err(self.error(1, Rule::BlankLine));
        }
        if let Some(at) = content.bytes().position(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(self.error(at + 1, Rule::ControlCharacter));
        }
        let value = content.get(2..).unwrap_or_default();
        let kind = LineKind::from_byte(kind);
        self.order(kind)?;
        self.value(kind, value)
    }

    /// The order of RFC 8866 §5 and §9.
    fn order(&mut self, kind: LineKind) -> Result<(), ParseError> {
        use LineKind::{
            Attribute, Bandwidth, Connection, Email, Information, Key, Media, Other, Phone, Repeat,
            SessionName, TimeZones, Timing, Version,
        };
        if let Other(letter) = kind {
            return Err(self.error(1, Rule::UnknownType(letter)));
        }
        if kind == Media {
            self.close_section()?;
            self.in_media = true;
            self.seen.clear();
            self.last = Some(Media);
            self.wants_connection = self.whole && !self.connection;
            return Ok(());
        }
        if !self.whole && !matches!(kind, Attribute | Connection | Bandwidth | Information) {
            return Err(self.error(1, Rule::Order(kind)));
        }
        if self.in_media {
            let allowed = matches!(kind, Information | Connection | Bandwidth | Key | Attribute);
            if !allowed {
                return Err(self.error(1, Rule::Order(kind)));
            }
            let before = self.last.filter(|last| *last != Media);
            let often = matches!(kind, Connection | Bandwidth | Attribute);
            self.rises(before, kind, often)?;
            self.wants_connection &= kind != Connection;
        } else {
            if self.whole {
                // The first three lines in their order.
                let wanted = match self.last {
                    None => Some(Version),
                    Some(Version) => Some(LineKind::Origin),
                    Some(LineKind::Origin) => Some(SessionName),
                    _ => None,
                };
                if let Some(wanted) = wanted
                    && wanted != kind
                {
                    return Err(self.error(1, Rule::Missing(wanted)));
                }
            }
            if kind == Repeat && !matches!(self.last, Some(Timing | Repeat)) {
                return Err(self.error(1, Rule::Order(kind)));
            }
            if self.whole && !self.timing && kind.rank() > Timing.rank() {
                return Err(self.error(1, Rule::Missing(Timing)));
            }
            let often = matches!(
                kind,
                Email | Phone | Bandwidth | Timing | Repeat | TimeZones | Attribute
            );
            self.rises(self.last, kind, often)?;
            self.timing |= kind == Timing;
            self.connection |= kind == Connection;
        }
        self.last = Some(kind);
        Ok(())
    }

    fn rises(&self, last: Option<LineKind>, kind: LineKind, often: bool) -> Result<(), ParseError> {
        match last.map(|last| kind.rank().cmp(&last.rank())) {
            Some(std::cmp::Ordering::Less) => Err(self.error(1, Rule::Order(kind))),
            Some(std::cmp::Ordering::Equal) if !often => Err(self.error(1, Rule::Repeated)),
            _ => Ok(()),
        }
    }

    fn value(&mut self, kind: LineKind, value: &'a str) -> Result<(), ParseError> {
        fn check<T: Grammar>(value: &str) -> Result<(), ValueError> {
            T::read_all(value, true).map(|_| ())
        }
        let result = match kind {
            LineKind::Version if value != "0" => return Err(self.error(3, Rule::Version)),
            LineKind::Origin => check::<Origin>(value),
            LineKind::Connection => check::<Connection>(value),
            LineKind::Bandwidth => check::<Bandwidth>(value),
            LineKind::Timing => check::<Timing>(value),
            LineKind::Repeat => check::<Repeat>(value),
            LineKind::TimeZones => check::<TimeZones>(value),
            LineKind::Media => check::<MediaLine>(value),
            LineKind::Attribute => return self.attribute(value),
            LineKind::SessionName
            | LineKind::Information
            | LineKind::Uri
            | LineKind::Email
            | LineKind::Phone
            | LineKind::Key
                if value.is_empty() =>
            {
                return Err(self.error(3, Rule::Empty));
            }
            _ => Ok(()),
        };
        result.map_err(|error| self.value_error(3, error))
    }

    fn attribute(&mut self, value: &'a str) -> Result<(), ParseError> {
        let attribute = RawAttribute::split(value);
        let name = attribute.name();
        if let Some(at) = name.bytes().position(|byte| !is_token_char(byte)) {
            return Err(self.error(3 + at, Rule::Token));
        }
        if name.is_empty() {
            return Err(self.error(3, Rule::Empty));
        }
        if attribute.value() == Some("") {
            return Err(self.error(3 + name.len() + 1, Rule::Empty));
        }
        let Some(known) = known(name) else {
            return Ok(());
        };
        let level = if self.in_media {
            Level::Media
        } else {
            Level::Session
        };
        // In fragments the session's lines may hold what belongs to media (RFC 8840 §9).
        if self.whole && known.level != Level::Both && known.level != level {
            return Err(self.error(3, Rule::Level));
        }
        if known.once && !self.seen.insert(known.name) {
            return Err(self.error(3, Rule::Repeated));
        }
        let start = 3 + name.len() + usize::from(attribute.value().is_some());
        (known.check)(attribute.value()).map_err(|error| self.value_error(start, error))
    }

    /// What must have come before the next m-line, or the end.
    fn close_section(&self) -> Result<(), ParseError> {
        if !self.whole {
            return Ok(());
        }
        if !self.in_media {
            let missing = match self.last {
                None => Some(LineKind::Version),
                Some(LineKind::Version) => Some(LineKind::Origin),
                Some(LineKind::Origin) => Some(LineKind::SessionName),
                _ if !self.timing => Some(LineKind::Timing),
                _ => None,
            };
            if let Some(missing) = missing {
                return Err(self.error(1, Rule::Missing(missing)));
            }
        } else if self.wants_connection {
            // RFC 8866 §5.7: at session level, or in each media section.
            return Err(self.error(1, Rule::Missing(LineKind::Connection)));
        }
        Ok(())
    }

    fn end(&self) -> Result<(), ParseError> {
        self.close_section()
    }
}
