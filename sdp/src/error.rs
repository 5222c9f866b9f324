//! What can be wrong with a description, and where.

use crate::section::LineKind;

/// The rule a description breaks.
///
/// One list for the grammar of lines and for that of values, so that a caller that reports a
/// fault needs to know one type only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// The description is longer than the limit.
    #[error("the description is longer than {0} bytes")]
    DescriptionTooLong(usize),
    /// There are more lines than the limit.
    #[error("there are more than {0} lines")]
    TooManyLines(usize),
    /// One line is longer than the limit.
    #[error("the line is longer than {0} bytes")]
    LineTooLong(usize),
    /// There are more m-sections than the limit.
    #[error("there are more than {0} m-sections")]
    TooManyMedia(usize),
    /// One section has more attributes than the limit.
    #[error("the section has more than {0} attributes")]
    TooManyAttributes(usize),
    /// A list inside of a value has more entries than the limit.
    #[error("the list has more than {0} entries")]
    ListTooLong(usize),
    /// The text holds bytes that are no UTF-8 (RFC 8866 §5: the default character set).
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// A line is not of the form `<type>=<value>` (RFC 8866 §5).
    #[error("a line must be one letter, '=' and a value")]
    NotALine,
    /// The description does not begin with `v=0` (RFC 8866 §5.1).
    #[error("a description must begin with v=0")]
    Version,
    /// A line that must be there is missing (RFC 8866 §5).
    #[error("the {0} line is missing")]
    Missing(LineKind),
    /// A line stands where the order of RFC 8866 §5 does not allow it.
    #[error("a {0} line may not stand here")]
    Order(LineKind),
    /// A line or attribute that may stand once in a section stands there twice.
    #[error("this may stand only once in a section")]
    Repeated,
    /// A line's type is none of RFC 8866's.
    #[error("'{0}' is no known line type")]
    UnknownType(char),
    /// An attribute stands at session level that belongs to a media section, or the other way
    /// round.
    #[error("the attribute may not stand at this level")]
    Level,
    /// A line does not end with CR LF (RFC 8866 §5).
    #[error("a line must end with CR LF")]
    LineEnding,
    /// A line is empty.
    #[error("a line may not be empty")]
    BlankLine,
    /// There are spaces or tabs at the end of a line.
    #[error("there are blanks at the end of the line")]
    TrailingBlank,
    /// NUL, CR or LF inside of a value (RFC 8866 §9, `byte-string`).
    #[error("NUL, CR and LF may not stand in a value")]
    ControlCharacter,
    /// A value is missing.
    #[error("a value is expected here")]
    Empty,
    /// An attribute that is only a flag has a value.
    #[error("the attribute has no value")]
    Flag,
    /// A single space is expected.
    #[error("one space is expected here")]
    Space,
    /// A certain character is expected.
    #[error("'{0}' is expected here")]
    Expected(char),
    /// A certain word is expected.
    #[error("\"{0}\" is expected here")]
    ExpectedWord(&'static str),
    /// Text is left over after the value.
    #[error("unexpected text after the value")]
    Trailing,
    /// A `token` of RFC 8866 §9 is expected.
    #[error("a token is expected here")]
    Token,
    /// Only letters, digits, '+' and '/' are allowed (RFC 8839 §5.1, `ice-char`).
    #[error("only letters, digits, '+' and '/' may stand here")]
    IceChar,
    /// A text is too short or too long.
    #[error("{min} to {max} characters are expected")]
    Length {
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
    },
    /// A decimal number is expected.
    #[error("a number is expected here")]
    Number,
    /// A number is out of its range.
    #[error("a number from {min} to {max} is expected")]
    Range {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// An address is expected that fits its address type.
    #[error("an address of the type named is expected")]
    Address,
    /// The value is none of those that the standard lists.
    #[error("the value is none of those that the standard lists")]
    UnknownValue,
    /// Hexadecimal bytes are expected.
    #[error("two hexadecimal digits are expected")]
    Hex,
    /// Upper-case hexadecimal digits are expected (RFC 8122 §5).
    #[error("hexadecimal digits must be upper case")]
    HexCase,
    /// Base64 is expected.
    #[error("base64 is expected")]
    Base64,
    /// Two parts of the value contradict each other.
    #[error("two parts of the value contradict each other")]
    Contradiction,
}

/// A description cannot be read: where and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {rule}")]
pub struct ParseError {
    line: usize,
    column: usize,
    rule: Rule,
}

impl ParseError {
    pub(crate) fn new(line: usize, column: usize, rule: Rule) -> Self {
        Self { line, column, rule }
    }

    /// The line's number, from 1. For a line that is missing, the line before which it is missed.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in bytes, from 1; the line's type letter stands in column 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The rule that is broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

/// One value cannot be read: in which attribute or line, at which byte, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}, at byte {offset} of the value: {rule}")]
pub struct ValueError {
    name: &'static str,
    offset: usize,
    rule: Rule,
}

impl ValueError {
    /// An error in the value of `name`, at byte `offset` of it.
    pub fn new(name: &'static str, offset: usize, rule: Rule) -> Self {
        Self { name, offset, rule }
    }

    /// The attribute's name, or the line's type with its `=`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Byte of the value at which the fault was seen, from 0.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The rule that is broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }
}
