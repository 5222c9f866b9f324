//! Media descriptions: an m-line and the lines that follow it (RFC 8866 §5.14).

use std::fmt::{self, Display};
use std::ops::{Deref, DerefMut, Range};

use crate::attributes::PayloadType;
use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, from_str, is_token_char};
use crate::section::{Section, end_line};

/// An m-line: kind of media, port, protocol and formats.
///
/// The text of a parsed line is kept, its ending with it; a setter writes the line anew.
#[derive(Clone)]
pub struct MediaLine {
    /// The whole line: `m=`, the content, and its ending.
    text: String,
    kind: Range<u32>,
    proto: Range<u32>,
    /// The formats, with the blanks between them.
    formats: Range<u32>,
    port: u16,
    port_count: u16,
}

/// Parts of an m-line's value, by their place in it.
pub(crate) struct Parts {
    pub(crate) kind: Range<usize>,
    pub(crate) port: u16,
    port_count: u16,
    pub(crate) proto: Range<usize>,
    pub(crate) formats: Range<usize>,
}

impl Grammar for MediaLine {
    const CALLED: &'static str = "m=";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let parts = Parts::read(scan)?;
        let part = |range: Range<usize>| scan.text().get(range).unwrap_or_default();
        Ok(Self::build(
            part(parts.kind),
            (parts.port, parts.port_count),
            part(parts.proto),
            part(parts.formats).split_ascii_whitespace(),
        ))
    }
}

from_str!(MediaLine);

impl Parts {
    /// `media SP port ["/" integer] SP proto 1*(SP fmt)`; tolerant reading lets formats miss.
    pub(crate) fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let kind = scan.token()?;
        let kind = scan.at() - kind.len()..scan.at();
        scan.space()?;
        let port = scan.u16(0, u16::MAX)?;
        let port_count = if scan.take(b'/') {
            scan.u16(1, u16::MAX)?
        } else {
            1
        };
        scan.space()?;
        let proto = scan.word()?;
        if scan.is_strict() && !proto.split('/').all(is_token) {
            return Err(scan.error_in(proto, Rule::Token));
        }
        let proto = scan.at() - proto.len()..scan.at();
        let formats = if scan.is_strict() {
            scan.space()?;
            let start = scan.at();
            loop {
                scan.token()?;
                if !scan.more()? {
                    break start..scan.at();
                }
            }
        } else {
            let start = scan.at();
            scan.rest();
            start..scan.at()
        };
        Ok(Self {
            kind,
            port,
            port_count,
            proto,
            formats,
        })
    }
}

fn is_token(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(is_token_char)
}

impl MediaLine {
    /// A line for `kind` ("audio"), `port`, `proto` ("UDP/TLS/RTP/SAVPF") and `formats`.
    ///
    /// Blanks and line breaks do not belong in any of them; they are left out, and an empty word
    /// is written as `-`.
    pub fn new<I>(kind: &str, port: u16, proto: &str, formats: I) -> Self
    where
        I: IntoIterator,
        I::Item: Display,
    {
        Self::build(kind, (port, 1), proto, formats)
    }

    /// The line of a data channel section: `m=application 9 UDP/DTLS/SCTP webrtc-datachannel`
    /// (RFC 8841).
    pub fn data_channel() -> Self {
        Self::new("application", 9, "UDP/DTLS/SCTP", ["webrtc-datachannel"])
    }

    fn build<I>(kind: &str, (port, port_count): (u16, u16), proto: &str, formats: I) -> Self
    where
        I: IntoIterator,
        I::Item: Display,
    {
        let mut text = String::with_capacity(96);
        text.push_str("m=");
        let kind = push_word(&mut text, kind);
        text.push(' ');
        push_number(&mut text, port);
        if port_count > 1 {
            text.push('/');
            push_number(&mut text, port_count);
        }
        text.push(' ');
        let proto = push_word(&mut text, proto);
        let mut start = None;
        for format in formats {
            text.push(' ');
            let word = push_word(&mut text, format);
            start.get_or_insert(word.start);
        }
        let end = text.len() as u32;
        text.push_str("\r\n");
        Self {
            text,
            kind,
            proto,
            formats: start.unwrap_or(end)..end,
            port,
            port_count,
        }
    }

    /// Reads a raw line: `m=…` with its ending; `content` is the part of it that is not ending.
    pub(crate) fn from_raw(raw: &str, content: &str) -> Result<Self, ValueError> {
        let value = content.get(2..).unwrap_or_default();
        let parts = Parts::read(&mut Scan::new(Self::CALLED, value, false))?;
        // Two bytes for `m=`; the line's length has 32 bits, by the limit on descriptions.
        let range = |part: Range<usize>| part.start as u32 + 2..part.end as u32 + 2;
        Ok(Self {
            kind: range(parts.kind),
            proto: range(parts.proto),
            formats: range(parts.formats),
            port: parts.port,
            port_count: parts.port_count,
            text: raw.to_owned(),
        })
    }

    fn part(&self, range: &Range<u32>) -> &str {
        self.text
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }

    /// The kind of media: "audio", "video", "application", …
    pub fn kind(&self) -> &str {
        self.part(&self.kind)
    }

    /// The port; 0 means the section is rejected or, with `a=bundle-only`, bundled.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many ports, counted from the first: 1 unless the line says more.
    pub fn port_count(&self) -> u16 {
        self.port_count
    }

    /// The protocol: "UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP", …
    pub fn proto(&self) -> &str {
        self.part(&self.proto)
    }

    /// The formats in their order: payload types for RTP.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.part(&self.formats).split_ascii_whitespace()
    }

    /// The formats that are RTP payload types.
    pub fn payload_types(&self) -> impl Iterator<Item = PayloadType> {
        self.formats().filter_map(|format| format.parse().ok())
    }

    /// Whether the protocol is one of RTP's.
    pub fn is_rtp(&self) -> bool {
        self.proto().split('/').any(|part| part == "RTP")
    }

    /// Sets the port.
    pub fn set_port(&mut self, port: u16) {
        *self = Self::build(
            self.kind(),
            (port, self.port_count),
            self.proto(),
            self.formats(),
        );
    }

    /// Sets the number of ports; 0 counts as 1.
    pub fn set_port_count(&mut self, count: u16) {
        *self = Self::build(
            self.kind(),
            (self.port, count.max(1)),
            self.proto(),
            self.formats(),
        );
    }

    /// Sets the protocol.
    pub fn set_proto(&mut self, proto: &str) {
        *self = Self::build(
            self.kind(),
            (self.port, self.port_count),
            proto,
            self.formats(),
        );
    }

    /// Sets the formats.
    pub fn set_formats<I>(&mut self, formats: I)
    where
        I: IntoIterator,
        I::Item: Display,
    {
        *self = Self::build(
            self.kind(),
            (self.port, self.port_count),
            self.proto(),
            formats,
        );
    }

    /// The whole line, with its ending.
    pub fn raw(&self) -> &str {
        &self.text
    }
}

/// Appends a word without blanks and control characters.
fn push_word(text: &mut String, word: impl Display) -> Range<u32> {
    let start = text.len();
    // Writing to a String does not fail.
    let _ = fmt::write(text, format_args!("{word}"));
    let written = text.get(start..).unwrap_or_default();
    if written.is_empty() || written.bytes().any(|b| b <= b' ') {
        let clean: String = written.chars().filter(|c| *c > ' ').collect();
        text.truncate(start);
        text.push_str(if clean.is_empty() { "-" } else { &clean });
    }
    start as u32..text.len() as u32
}

fn push_number(text: &mut String, number: u16) {
    let _ = fmt::write(text, format_args!("{number}"));
}

impl Display for MediaLine {
    /// The line's value, without `m=` and ending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get(2..).unwrap_or_default().trim_ascii_end())
    }
}

impl PartialEq for MediaLine {
    /// Lines are equal when they write the same text.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for MediaLine {}

impl fmt::Debug for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaLine({self})")
    }
}

/// A media section: its m-line, and its other lines through [`Section`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// The m-line.
    pub line: MediaLine,
    /// The lines after it. All of [`Section`]'s methods can be called on the description itself.
    pub section: Section,
}

impl MediaDescription {
    /// A media section without further lines.
    pub fn new(line: MediaLine) -> Self {
        Self {
            line,
            section: Section::new(),
        }
    }

    /// The kind of media: "audio", "video", "application", …
    pub fn kind(&self) -> &str {
        self.line.kind()
    }

    /// The port; 0 means the section is rejected or, with `a=bundle-only`, bundled.
    pub fn port(&self) -> u16 {
        self.line.port()
    }

    /// The protocol: "UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP", …
    pub fn proto(&self) -> &str {
        self.line.proto()
    }

    /// The formats in their order.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.line.formats()
    }

    /// The formats that are RTP payload types, in their order.
    pub fn payload_types(&self) -> impl Iterator<Item = PayloadType> {
        self.line.payload_types()
    }

    /// Whether the section is rejected: port 0 without `a=bundle-only` (RFC 9143 §6).
    pub fn is_rejected(&self) -> bool {
        self.port() == 0 && !self.section.has("bundle-only")
    }

    pub(crate) fn text_len(&self) -> usize {
        self.line.text.len() + self.section.text_len()
    }

    pub(crate) fn write_to(&self, out: &mut String) {
        end_line(out);
        out.push_str(&self.line.text);
        self.section.write_to(out);
    }
}

impl Deref for MediaDescription {
    type Target = Section;

    fn deref(&self) -> &Section {
        &self.section
    }
}

impl DerefMut for MediaDescription {
    fn deref_mut(&mut self) -> &mut Section {
        &mut self.section
    }
}

impl Display for MediaDescription {
    /// The section's text, as it stands in a description.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::with_capacity(self.text_len() + 2);
        self.write_to(&mut out);
        f.write_str(&out)
    }
}
