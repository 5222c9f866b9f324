//! Bounds on what a remote description may cost, each with its reason.
//!
//! Every bound can be changed for one parse through [`Limits`].

/// Longest description read, in bytes.
///
/// A browser's offer is 2 to 10 KB, and one m-section of it 1 to 4 KB; a conference of a thousand
/// participants stays under 4 MiB. The bound also keeps every offset in 32 bits.
pub const MAX_DESCRIPTION_LEN: usize = 4 * 1024 * 1024;

/// Most lines in a description.
///
/// Browsers' lines have 36 bytes on average, and one of their m-sections 30 to 90 lines: this is
/// room for some 600 m-sections. It also bounds what a description of many tiny lines costs: the
/// table has 16 bytes for each, and 1 MiB of them is read or refused in less than 20 times the
/// time of a copy.
pub const MAX_LINES: usize = 50_000;

/// Longest single line, in bytes without its ending.
///
/// The longest lines seen are `a=identity` assertions and `a=sctp-init`: a few kilobytes.
pub const MAX_LINE_LEN: usize = 64 * 1024;

/// Most m-sections in a description.
///
/// BUNDLE over one transport with mids in a one-byte header extension and browsers' own quadratic
/// work make more than some hundreds impractical.
pub const MAX_MEDIA: usize = 2048;

/// Most attributes in one section.
///
/// An old "Plan B" description carries all of a conference's SSRCs in one m-section, four lines
/// each.
pub const MAX_ATTRIBUTES: usize = 16_384;

/// Most characters of an ICE user name fragment or password (RFC 8839 §5.4).
pub const MAX_ICE_CREDENTIAL: usize = 256;

/// Most entries of one list inside of a value: group members, SSRCs of an `ssrc-group`, simulcast
/// alternatives, parameters of an `fmtp`.
///
/// The line's length bounds them already; this bound keeps the memory of a typed value near the
/// memory of its text.
pub const MAX_LIST: usize = 4096;

/// Most kinds of feedback gathered for one codec.
///
/// Some twenty are registered; a wildcard counts for up to 128 payload types, so that without a
/// bound one line would cost 128 times its own memory.
pub const MAX_FEEDBACK: usize = 64;

/// Bytes of deleted text that a section may carry around before it is packed.
///
/// Edits append and leave the old text behind, so that one edit costs no copy of the section.
pub(crate) const SLACK: usize = 1024;

/// Bounds of one parse. The default is the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    description_len: usize,
    lines: usize,
    line_len: usize,
    media: usize,
    attributes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            description_len: MAX_DESCRIPTION_LEN,
            lines: MAX_LINES,
            line_len: MAX_LINE_LEN,
            media: MAX_MEDIA,
            attributes: MAX_ATTRIBUTES,
        }
    }
}

impl Limits {
    /// The bounds of this module's constants.
    pub fn new() -> Self {
        Self::default()
    }

    /// Longest description in bytes; values above `i32::MAX` count as `i32::MAX`.
    #[must_use]
    pub fn with_description_len(mut self, bytes: usize) -> Self {
        self.description_len = bytes.min(i32::MAX as usize);
        self
    }

    /// Most lines.
    #[must_use]
    pub fn with_lines(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    /// Longest line in bytes, without its ending.
    #[must_use]
    pub fn with_line_len(mut self, bytes: usize) -> Self {
        self.line_len = bytes;
        self
    }

    /// Most m-sections.
    #[must_use]
    pub fn with_media(mut self, sections: usize) -> Self {
        self.media = sections;
        self
    }

    /// Most attributes in one section.
    #[must_use]
    pub fn with_attributes(mut self, attributes: usize) -> Self {
        self.attributes = attributes;
        self
    }

    /// Longest description in bytes.
    pub fn description_len(&self) -> usize {
        self.description_len
    }

    /// Most lines.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Longest line in bytes, without its ending.
    pub fn line_len(&self) -> usize {
        self.line_len
    }

    /// Most m-sections.
    pub fn media(&self) -> usize {
        self.media
    }

    /// Most attributes in one section.
    pub fn attributes(&self) -> usize {
        self.attributes
    }
}
