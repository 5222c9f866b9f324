//! The one pass over a description's bytes that finds lines and sections.

use memchr::memchr;

use crate::error::{ParseError, Rule};
use crate::limits::Limits;
use crate::media::{MediaDescription, MediaLine};
use crate::section::{LineKind, LineRef, Section, key_of};
use crate::work::looked_at;

/// Lines of a section from which on its table is handed over instead of copied to its exact size:
/// copying costs more than a new table for the sections that follow.
const BIG_SECTION: usize = 1024;

/// Blanks and ending after a line's content that the table can count; more blanks than that stay
/// in the content.
const MAX_TAIL: usize = u8::MAX as usize - 2;

/// The kind of what is no line.
const NOT_A_LINE: u8 = 1;

/// A line found: its type, and its lengths.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The type's letter, or 0 for a blank line.
    pub(crate) kind: u8,
    /// Bytes without ending and trailing blanks.
    pub(crate) len: usize,
    /// Bytes with all of it.
    pub(crate) whole: usize,
}

/// Where the first LF is. Most lines end within some tens of bytes, where eight bytes at a time
/// are quicker than a call.
fn line_feed(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    const FEEDS: u64 = u64::from_le_bytes([b'\n'; 8]);
    const NEAR: usize = 64;
    let (chunks, _) = bytes.get(..NEAR).unwrap_or(bytes).as_chunks::<8>();
    for (at, chunk) in chunks.iter().enumerate() {
        // A byte is zero where the line feed is; the lowest mark is always a true one.
        let word = u64::from_le_bytes(*chunk) ^ FEEDS;
        let marks = word.wrapping_sub(ONES) & !word & HIGHS;
        if marks != 0 {
            return Some(at * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let seen = chunks.len() * 8;
    memchr(b'\n', bytes.get(seen..).unwrap_or_default()).map(|at| at + seen)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\r' | b' ' | b'\t')
}

/// How many blanks and CR stand at the end of `bytes`, up to [`MAX_TAIL`]. Long runs are gone over
/// eight bytes at a time.
#[cold]
fn blanks_at_end(bytes: &[u8]) -> usize {
    let bytes = bytes
        .get(bytes.len().saturating_sub(MAX_TAIL)..)
        .unwrap_or_default();
    let (body, cr) = match bytes {
        [body @ .., b'\r'] => (body, 1),
        body => (body, 0),
    };
    let (_, chunks) = body.as_rchunks::<8>();
    let spaces = chunks
        .iter()
        .rev()
        .take_while(|chunk| **chunk == *b"        ")
        .count()
        * 8;
    let rest = body.get(..body.len() - spaces).unwrap_or_default();
    cr + spaces
        + rest
            .iter()
            .rev()
            .take_while(|byte| is_blank(**byte))
            .count()
}

/// Finds the line at the beginning of `bytes`, which must not be empty. Whether it may stand is
/// for [`Found::check`] to say: apart, so that the loop over lines carries no error along.
#[inline]
pub(crate) fn next_line(bytes: &[u8]) -> Found {
    let (end, whole) = match line_feed(bytes) {
        Some(at) => (at, at + 1),
        None => (bytes.len(), bytes.len()),
    };
    looked_at(whole);
    let line = bytes.get(..end).unwrap_or_default();
    let len = match line {
        [.., last, b'\r'] if !is_blank(*last) => end - 1,
        [.., last] if !is_blank(*last) => end,
        // The type and its `=` are no blanks.
        _ => end - blanks_at_end(line.get(2..).unwrap_or_default()),
    };
    let kind = match line {
        [kind, b'=', ..] if kind.is_ascii_graphic() && *kind != b'=' => *kind,
        _ => kind_of_odd(line),
    };
    Found { kind, len, whole }
}

/// The type of a line that does not begin with a letter and `=`.
#[cold]
fn kind_of_odd(line: &[u8]) -> u8 {
    if line.trim_ascii().is_empty() {
        LineKind::BLANK
    } else {
        NOT_A_LINE
    }
}

impl Found {
    /// Whether the line may stand.
    ///
    /// # Errors
    /// The column from 1 and the rule.
    #[inline]
    pub(crate) fn check(self, line_len: usize) -> Result<(), (usize, Rule)> {
        if self.len > line_len {
            return Err((line_len.saturating_add(1), Rule::LineTooLong(line_len)));
        }
        if self.kind == NOT_A_LINE {
            return Err((1, Rule::NotALine));
        }
        Ok(())
    }
}

/// The line at the beginning of `text`, without and with its end.
pub(crate) fn split_line(text: &str, found: Found) -> (&str, &str) {
    let content = text.get(..found.len).unwrap_or_default();
    let raw = text.get(..found.whole).unwrap_or_default();
    (content, raw)
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
    let bytes = text.as_bytes();
    let mut scratch: Vec<LineRef> = Vec::with_capacity(text.len() / 28 + 8);
    let mut session = None;
    let mut media: Vec<MediaDescription> = Vec::new();
    let mut open: Option<MediaLine> = None;
    let mut close = |open: &mut Option<MediaLine>,
                     media: &mut Vec<MediaDescription>,
                     body: &str,
                     scratch: &mut Vec<LineRef>| {
        let lines = if scratch.len() > BIG_SECTION {
            let mut lines = std::mem::take(scratch);
            lines.shrink_to_fit();
            lines
        } else {
            let lines = scratch.to_vec();
            scratch.clear();
            lines
        };
        let section = Section::from_parts(body.to_owned(), lines);
        match open.take() {
            Some(line) => media.push(MediaDescription { line, section }),
            None => session = Some(section),
        }
    };

    let mut at = 0;
    let mut start = 0;
    let mut number = 0;
    let mut attributes = 0;
    while at < bytes.len() {
        number += 1;
        let error = |column, rule| ParseError::new(number, column, rule);
        if number > limits.lines() {
            return Err(error(1, Rule::TooManyLines(limits.lines())));
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let found = next_line(rest);
        if let Err((column, rule)) = found.check(limits.line_len()) {
            return Err(error(column, rule));
        }
        let content = rest.get(..found.len).unwrap_or_default();
        if number == 1 && whole && content != b"v=0" {
            return Err(error(1, Rule::Version));
        }
        if found.kind == b'm' {
            let (content, raw) = split_line(text.get(at..).unwrap_or_default(), found);
            let line =
                MediaLine::from_raw(raw, content).map_err(|e| error(e.offset() + 3, e.rule()))?;
            if media.len() + usize::from(open.is_some()) >= limits.media() {
                return Err(error(1, Rule::TooManyMedia(limits.media())));
            }
            let body = text.get(start..at).unwrap_or_default();
            close(&mut open, &mut media, body, &mut scratch);
            open = Some(line);
            start = at + found.whole;
            attributes = 0;
        } else {
            attributes += usize::from(found.kind == b'a');
            if attributes > limits.attributes() {
                return Err(error(1, Rule::TooManyAttributes(limits.attributes())));
            }
            // The description's length has 32 bits, by the limit's own bound.
            scratch.push(LineRef {
                start: (at - start) as u32,
                len: found.len as u32,
                key: if found.kind == b'a' {
                    key_of(content)
                } else {
                    0
                },
                kind: found.kind,
                tail: (found.whole - found.len) as u8,
            });
        }
        at += found.whole;
    }
    if whole && number == 0 {
        return Err(ParseError::new(1, 1, Rule::Version));
    }
    let body = text.get(start..).unwrap_or_default();
    close(&mut open, &mut media, body, &mut scratch);
    Ok((session.unwrap_or_default(), media))
}

#[cfg(test)]
mod tests {
    use super::{MAX_TAIL, blanks_at_end, line_feed};

    #[test]
    fn line_feed_is_found_wherever_it_is() {
        for len in 0..200 {
            let mut bytes = vec![b'\x0b'; len];
            assert_eq!(line_feed(&bytes), None, "{len}");
            for at in (0..len).rev() {
                bytes[at] = b'\n';
                assert_eq!(line_feed(&bytes), Some(at), "{at} of {len}");
            }
        }
    }

    #[test]
    fn blanks_are_counted_up_to_the_bound() {
        for blank in [" ", "\t", "\r", " \t\r"] {
            for count in 0..300 {
                let blanks: String = blank.chars().cycle().take(count).collect();
                let expected = count.min(MAX_TAIL);
                assert_eq!(blanks_at_end(blanks.as_bytes()), expected);
                let text = format!("a b{blanks}");
                assert_eq!(blanks_at_end(text.as_bytes()), expected, "{text:?}");
            }
        }
    }
}
