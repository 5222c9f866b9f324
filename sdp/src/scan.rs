//! A cursor over one value: what all value grammars are written with.

use crate::error::{Rule, ValueError};
use crate::work::looked_at;

/// Whether `byte` is a `token-char` of RFC 8866 §9.
pub(crate) fn is_token_char(byte: u8) -> bool {
    matches!(
        byte,
        0x21 | 0x23..=0x27 | 0x2a..=0x2b | 0x2d..=0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e
    )
}

/// Whether `byte` is an `ice-char` of RFC 8839 §5.1.
pub(crate) fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// A value being read from left to right. It only ever stops at ASCII bytes or the end, so every
/// position is a character boundary.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    name: &'static str,
    text: &'a str,
    at: usize,
    strict: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(name: &'static str, text: &'a str, strict: bool) -> Self {
        Self {
            name,
            text,
            at: 0,
            strict,
        }
    }

    /// The whole value.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Bytes read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    pub(crate) fn error(&self, rule: Rule) -> ValueError {
        ValueError::new(self.name, self.at, rule)
    }

    /// An error about a word that ended at the cursor.
    pub(crate) fn error_in(&self, word: &str, rule: Rule) -> ValueError {
        ValueError::new(self.name, self.at.saturating_sub(word.len()), rule)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the longest run of bytes that satisfy `keep`, which must hold or fail for all bytes
    /// of a character alike.
    pub(crate) fn run(&mut self, mut keep: impl FnMut(u8) -> bool) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest
            .bytes()
            .position(|byte| !keep(byte))
            .unwrap_or(rest.len());
        looked_at(len + 1);
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        looked_at(rest.len());
        self.at = self.text.len();
        rest
    }

    /// Everything that is left, at least one character.
    pub(crate) fn some_rest(&mut self) -> Result<&'a str, ValueError> {
        if self.is_done() {
            return Err(self.error(Rule::Empty));
        }
        Ok(self.rest())
    }

    /// A run without blanks, at least one character.
    pub(crate) fn word(&mut self) -> Result<&'a str, ValueError> {
        let word = self.run(|byte| !is_blank(byte));
        if word.is_empty() {
            return Err(self.error(Rule::Empty));
        }
        Ok(word)
    }

    /// A run without blanks up to `stop`, at least one character; `stop` is not taken.
    pub(crate) fn word_until(&mut self, stop: u8) -> Result<&'a str, ValueError> {
        let word = self.run(|byte| !is_blank(byte) && byte != stop);
        if word.is_empty() {
            return Err(self.error(Rule::Empty));
        }
        Ok(word)
    }

    /// A token of RFC 8866 §9. Tolerant reading lets it hold anything but blanks.
    pub(crate) fn token(&mut self) -> Result<&'a str, ValueError> {
        if self.strict {
            let word = self.run(is_token_char);
            if word.is_empty() {
                return Err(self.error(Rule::Token));
            }
            Ok(word)
        } else {
            self.word()
        }
    }

    /// A token that ends before `stop`; `stop` must be no token character.
    pub(crate) fn token_until(&mut self, stop: u8) -> Result<&'a str, ValueError> {
        if self.strict {
            self.token()
        } else {
            self.word_until(stop)
        }
    }

    /// `min` to `max` ICE characters. Tolerant reading lets them be anything but blanks.
    pub(crate) fn ice_chars(&mut self, min: usize, max: usize) -> Result<&'a str, ValueError> {
        let word = if self.strict {
            let word = self.run(is_ice_char);
            if self.peek().is_some_and(|byte| !is_blank(byte)) {
                return Err(self.error(Rule::IceChar));
            }
            word
        } else {
            self.run(|byte| !is_blank(byte))
        };
        if word.is_empty() {
            return Err(self.error(Rule::Empty));
        }
        if word.len() < min || word.len() > max {
            return Err(self.error_in(word, Rule::Length { min, max }));
        }
        Ok(word)
    }

    /// One space; tolerant reading takes any run of blanks.
    pub(crate) fn space(&mut self) -> Result<(), ValueError> {
        if self.skip_space()? {
            Ok(())
        } else {
            Err(self.error(Rule::Space))
        }
    }

    /// Takes a space if there is one and text follows it: `Ok(false)` at the end.
    pub(crate) fn more(&mut self) -> Result<bool, ValueError> {
        if self.is_done() {
            return Ok(false);
        }
        self.space()?;
        if self.is_done() {
            if self.strict {
                return Err(self.error(Rule::TrailingBlank));
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn skip_space(&mut self) -> Result<bool, ValueError> {
        if self.strict {
            if self.peek() != Some(b' ') {
                return Ok(false);
            }
            self.at += 1;
            if self.peek().is_some_and(is_blank) {
                return Err(self.error(Rule::Space));
            }
            Ok(true)
        } else {
            Ok(!self.run(is_blank).is_empty())
        }
    }

    /// Takes `byte` if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes `byte`, which must be next. It must be ASCII.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ValueError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(Rule::Expected(char::from(byte))))
        }
    }

    /// Takes the word `word`, in any case when tolerant.
    pub(crate) fn expect_word(&mut self, word: &'static str) -> Result<(), ValueError> {
        let found = self.word()?;
        let same = if self.strict {
            found == word
        } else {
            found.eq_ignore_ascii_case(word)
        };
        if same {
            Ok(())
        } else {
            Err(self.error_in(found, Rule::ExpectedWord(word)))
        }
    }

    /// A decimal number from `min` to `max`.
    pub(crate) fn number(&mut self, min: u64, max: u64) -> Result<u64, ValueError> {
        let digits = self.run(|byte| byte.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.error(Rule::Number));
        }
        match digits.parse::<u64>() {
            Ok(number) if number >= min && number <= max => Ok(number),
            _ => Err(self.error_in(digits, Rule::Range { min, max })),
        }
    }

    pub(crate) fn u8(&mut self, min: u8, max: u8) -> Result<u8, ValueError> {
        self.number(min.into(), max.into())
            .map(|n| u8::try_from(n).unwrap_or(max))
    }

    pub(crate) fn u16(&mut self, min: u16, max: u16) -> Result<u16, ValueError> {
        self.number(min.into(), max.into())
            .map(|n| u16::try_from(n).unwrap_or(max))
    }

    pub(crate) fn u32(&mut self, min: u32, max: u32) -> Result<u32, ValueError> {
        self.number(min.into(), max.into())
            .map(|n| u32::try_from(n).unwrap_or(max))
    }

    /// A byte as two hexadecimal digits; lower case only when tolerant.
    pub(crate) fn hex_byte(&mut self) -> Result<u8, ValueError> {
        let digits = self.run(|byte| byte.is_ascii_hexdigit());
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if digits.len() == 2 => {
                if self.strict && digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
                    return Err(self.error_in(digits, Rule::HexCase));
                }
                Ok(byte)
            }
            _ => Err(self.error_in(digits, Rule::Hex)),
        }
    }

    /// The value must end here; tolerant reading lets blanks follow.
    pub(crate) fn end(&mut self) -> Result<(), ValueError> {
        if !self.strict {
            self.run(is_blank);
        }
        if self.is_done() {
            Ok(())
        } else {
            Err(self.error(Rule::Trailing))
        }
    }
}

/// A value with a grammar: how it is read, in both modes.
pub(crate) trait Grammar: Sized {
    /// What errors call it: the attribute's name, or the line's type with its `=`.
    const CALLED: &'static str;

    /// Reads the value; text may be left over.
    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError>;

    /// Reads the whole of `text`.
    fn read_all(text: &str, strict: bool) -> Result<Self, ValueError> {
        let mut scan = Scan::new(Self::CALLED, text, strict);
        let value = Self::read(&mut scan)?;
        scan.end()?;
        Ok(value)
    }
}

/// Implements `FromStr` by the type's grammar, in tolerant mode.
macro_rules! from_str {
    ($($type:ty),+ $(,)?) => {$(
        impl std::str::FromStr for $type {
            type Err = $crate::error::ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::scan::Grammar>::read_all(text, false)
            }
        }
    )+};
}
pub(crate) use from_str;

/// An enum of words, with a variant that keeps any other word.
macro_rules! open_words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
            /// Any other word, as it was written.
            Other(String),
        }

        impl $name {
            /// The word as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            /// The value that `word` names; known words in any case.
            pub fn from_word(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) {
                    return Self::$variant;
                })+
                Self::Other(word.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use open_words;

/// An enum of words that allows no other.
macro_rules! closed_words {
    ($(#[$meta:meta])* $name:ident, $called:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
        }

        impl $name {
            /// The word as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::scan::Grammar for $name {
            const CALLED: &'static str = $called;

            fn read(scan: &mut $crate::scan::Scan<'_>) -> Result<Self, $crate::error::ValueError> {
                let word = scan.word()?;
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(scan.error_in(word, $crate::error::Rule::UnknownValue)),
                }
            }
        }

        $crate::scan::from_str!($name);
    };
}
pub(crate) use closed_words;

/// Reads the rest as a list of words separated by single spaces.
pub(crate) fn words(scan: &mut Scan<'_>) -> Result<Vec<String>, ValueError> {
    let mut list = Vec::new();
    while scan.more()? {
        let word = scan.word()?;
        push_bounded(scan, &mut list, word.to_owned())?;
    }
    Ok(list)
}

/// Pushes on a list, at most to [`crate::limits::MAX_LIST`] entries.
pub(crate) fn push_bounded<T>(
    scan: &Scan<'_>,
    list: &mut Vec<T>,
    entry: T,
) -> Result<(), ValueError> {
    if list.len() >= crate::limits::MAX_LIST {
        return Err(scan.error(Rule::ListTooLong(crate::limits::MAX_LIST)));
    }
    list.push(entry);
    Ok(())
}
