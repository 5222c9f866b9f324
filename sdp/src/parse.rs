//! The one pass over a description's bytes that finds lines and sections.

use memchr::memchr;

use crate::error::{ParseError, Rule};
use crate::limits::Limits;
use crate::media::{MediaDescription, MediaLine};
use crate::section::{LineKind, LineRef, Section, key_of};

/// A line found: its place, and the parts of it.
pub(crate) struct Found<'a> {
    /// The type's letter, or 0 for a blank line.
    pub(crate) kind: u8,
    /// The line without ending and trailing blanks.
    pub(crate) content: &'a str,
    /// The line with all of it.
    pub(crate) raw: &'a str,
}

/// Finds the line at the beginning of `text`, which must not be empty.
///
/// # Errors
/// The column from 1 and the rule.
pub(crate) fn next_line(text: &str, line_len: usize) -> Result<Found<'_>, (usize, Rule)> {
    let bytes = text.as_bytes();
    let (mut len, mut tail) = match memchr(b'\n', bytes) {
        Some(at) => (at, 1),
        None => (bytes.len(), 0),
    };
    let raw = text.get(..len + tail).unwrap_or_default();
    // The ending, and blanks before it: as many as the table's field for them can count.
    while tail < usize::from(u8::MAX) - 2 && len > 2 {
        match bytes.get(len - 1) {
            Some(b'\r' | b' ' | b'\t') => {
                len -= 1;
                tail += 1;
            }
            _ => break,
        }
    }
    if len > line_len {
        return Err((line_len.saturating_add(1), Rule::LineTooLong(line_len)));
    }
    let content = text.get(..len).unwrap_or_default();
    let kind = match bytes {
        [kind, b'=', ..] if len >= 2 && kind.is_ascii_graphic() => *kind,
        _ if content.trim_ascii().is_empty() => LineKind::BLANK,
        _ => return Err((1, Rule::NotALine)),
    };
    Ok(Found { kind, content, raw })
}

/// Reads the lines before the first m-line, and the media sections.
pub(crate) fn sections(
    text: &str,
    limits: &Limits,
    whole: bool,
) -> Result<(Section, Vec<MediaDescription>), ParseError> {
    let max = limits.description_len();
    if text.len() > max {
        return Err(ParseError::new(1, 1, Rule::DescriptionTooLong(max)));
    }
    let mut scratch: Vec<LineRef> = Vec::with_capacity(text.len() / 28 + 8);
    let mut session = None;
    let mut media: Vec<MediaDescription> = Vec::new();
    let mut open: Option<MediaLine> = None;
    let mut close = |open: &mut Option<MediaLine>,
                     media: &mut Vec<MediaDescription>,
                     body: &str,
                     scratch: &mut Vec<LineRef>| {
        let section = Section::from_parts(body.to_owned(), scratch.to_vec());
        scratch.clear();
        match open.take() {
            Some(line) => media.push(MediaDescription { line, section }),
            None => session = Some(section),
        }
    };

    let mut at = 0;
    let mut start = 0;
    let mut number = 0;
    let mut attributes = 0;
    while at < text.len() {
        number += 1;
        let error = |column, rule| ParseError::new(number, column, rule);
        if number > limits.lines() {
            return Err(error(1, Rule::TooManyLines(limits.lines())));
        }
        let rest = text.get(at..).unwrap_or_default();
        let found =
            next_line(rest, limits.line_len()).map_err(|(column, rule)| error(column, rule))?;
        let next = at + found.raw.len();
        if whole && number == 1 && found.content != "v=0" {
            return Err(error(1, Rule::Version));
        }
        match found.kind {
            b'm' => {
                let line = MediaLine::from_raw(found.raw, found.content)
                    .map_err(|e| error(e.offset() + 3, e.rule()))?;
                if media.len() + usize::from(open.is_some()) >= limits.media() {
                    return Err(error(1, Rule::TooManyMedia(limits.media())));
                }
                let body = text.get(start..at).unwrap_or_default();
                close(&mut open, &mut media, body, &mut scratch);
                open = Some(line);
                start = next;
                attributes = 0;
            }
            kind => {
                if kind == b'a' {
                    attributes += 1;
                    if attributes > limits.attributes() {
                        return Err(error(1, Rule::TooManyAttributes(limits.attributes())));
                    }
                }
                // The description's length has 32 bits, by the limit's own bound.
                scratch.push(LineRef {
                    start: (at - start) as u32,
                    len: found.content.len() as u32,
                    key: key_of(found.content.as_bytes()),
                    kind,
                    tail: (found.raw.len() - found.content.len()) as u8,
                });
            }
        }
        at = next;
    }
    if whole && number == 0 {
        return Err(ParseError::new(1, 1, Rule::Version));
    }
    let body = text.get(start..).unwrap_or_default();
    close(&mut open, &mut media, body, &mut scratch);
    Ok((session.unwrap_or_default(), media))
}
