//! `imageattr`: image sizes (RFC 6236).

use std::fmt::{self, Display};

use super::PayloadType;
use super::rtp::FeedbackTarget;
use crate::error::{Rule, ValueError};
use crate::limits::MAX_LIST;
use crate::scan::{Grammar, Scan, from_str, push_bounded};

/// The value of one key: a number, a list, a range; as it was written.
///
/// Sizes are pixels; `sar`, `par` and `q` are decimal fractions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// `176`.
    Value(String),
    /// `[176,352]`.
    List(Vec<String>),
    /// `[176:16:352]` or, without step, `[1.0-1.5]`, `[176:352]`.
    Range {
        /// The smallest.
        min: String,
        /// The step, which is 1 where it is not written.
        step: Option<String>,
        /// The largest.
        max: String,
        /// What stands between them: `:` for sizes, `-` for ratios.
        separator: char,
    },
}

impl Span {
    /// Whether a whole number is among those meant.
    pub fn contains(&self, number: u32) -> bool {
        match self {
            Self::Value(value) => value.parse() == Ok(number),
            Self::List(values) => values.iter().any(|value| value.parse() == Ok(number)),
            Self::Range { min, step, max, .. } => {
                let (Ok(min), Ok(max)) = (min.parse::<u32>(), max.parse::<u32>()) else {
                    return false;
                };
                let step = step.as_deref().and_then(|s| s.parse().ok()).unwrap_or(1);
                (min..=max).contains(&number) && (number - min).checked_rem(step) == Some(0)
            }
        }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(value),
            Self::List(values) => write!(f, "[{}]", values.join(",")),
            Self::Range {
                min,
                step,
                max,
                separator,
            } => {
                write!(f, "[{min}{separator}")?;
                if let Some(step) = step {
                    write!(f, "{step}{separator}")?;
                }
                write!(f, "{max}]")
            }
        }
    }
}

/// One set: `[x=176,y=144,q=0.5]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ImageSet {
    /// Keys and what they may be, in their order: `x`, `y`, `sar`, `par`, `q`.
    pub keys: Vec<(String, Span)>,
}

impl ImageSet {
    /// What a key may be.
    pub fn key(&self, wanted: &str) -> Option<&Span> {
        self.keys
            .iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, span)| span)
    }
}

impl Display for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, span)) in self.keys.iter().enumerate() {
            write!(f, "{}{key}={span}", if at == 0 { "[" } else { "," })?;
        }
        f.write_str("]")
    }
}

/// The sets of one direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ImageSets {
    /// `*`: whatever.
    Any,
    /// One or more sets.
    Sets(Vec<ImageSet>),
}

impl Display for ImageSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Sets(sets) => super::ice::write_words(f, sets),
        }
    }
}

/// `a=imageattr`: sizes that can be sent and received (RFC 6236 §3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageAttr {
    /// For which payload types.
    pub target: FeedbackTarget,
    /// What can be sent.
    pub send: Option<ImageSets>,
    /// What can be received.
    pub recv: Option<ImageSets>,
    /// Whether `recv` is written in front of `send`.
    pub recv_first: bool,
}

fn number<'a>(scan: &mut Scan<'a>) -> Result<&'a str, ValueError> {
    let text = scan.run(|byte| byte.is_ascii_digit() || byte == b'.');
    if text.is_empty() {
        return Err(scan.error(Rule::Number));
    }
    Ok(text)
}

fn span(scan: &mut Scan<'_>) -> Result<Span, ValueError> {
    if !scan.take(b'[') {
        return Ok(Span::Value(number(scan)?.to_owned()));
    }
    let first = number(scan)?.to_owned();
    let span = match scan.peek() {
        Some(separator @ (b':' | b'-')) => {
            scan.take(separator);
            let second = number(scan)?.to_owned();
            let (step, max) = if scan.take(separator) {
                (Some(second), number(scan)?.to_owned())
            } else {
                (None, second)
            };
            Span::Range {
                min: first,
                step,
                max,
                separator: char::from(separator),
            }
        }
        _ => {
            let mut values = vec![first];
            while scan.take(b',') {
                let value = number(scan)?.to_owned();
                push_bounded(scan, &mut values, value)?;
            }
            Span::List(values)
        }
    };
    scan.expect(b']')?;
    Ok(span)
}

fn set(scan: &mut Scan<'_>) -> Result<ImageSet, ValueError> {
    scan.expect(b'[')?;
    let mut set = ImageSet::default();
    loop {
        let key = scan.run(|byte| byte.is_ascii_alphanumeric()).to_owned();
        if key.is_empty() {
            return Err(scan.error(Rule::Empty));
        }
        scan.expect(b'=')?;
        let span = span(scan)?;
        push_bounded(scan, &mut set.keys, (key, span))?;
        if !scan.take(b',') {
            break;
        }
    }
    scan.expect(b']')?;
    if scan.is_strict() && (set.key("x").is_none() || set.key("y").is_none()) {
        return Err(scan.error(Rule::Contradiction));
    }
    Ok(set)
}

impl Grammar for ImageAttr {
    const CALLED: &'static str = "imageattr";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let target = if scan.take(b'*') {
            FeedbackTarget::All
        } else {
            FeedbackTarget::PayloadType(PayloadType::read(scan)?)
        };
        let mut attr = Self {
            target,
            send: None,
            recv: None,
            recv_first: false,
        };
        scan.space()?;
        let mut more = true;
        while more {
            let word = scan.word()?;
            let sending = match word {
                "send" => true,
                "recv" => false,
                _ => return Err(scan.error_in(word, Rule::UnknownValue)),
            };
            scan.space()?;
            let sets = if scan.take(b'*') {
                more = scan.more()?;
                ImageSets::Any
            } else {
                let mut sets = vec![set(scan)?];
                loop {
                    more = scan.more()?;
                    if !more || scan.peek() != Some(b'[') {
                        break;
                    }
                    if sets.len() >= MAX_LIST {
                        return Err(scan.error(Rule::ListTooLong(MAX_LIST)));
                    }
                    sets.push(set(scan)?);
                }
                ImageSets::Sets(sets)
            };
            attr.recv_first |= sending && attr.recv.is_some();
            let place = if sending {
                &mut attr.send
            } else {
                &mut attr.recv
            };
            if place.replace(sets).is_some() {
                return Err(scan.error(Rule::Repeated));
            }
        }
        Ok(attr)
    }
}

impl Display for ImageAttr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        let mut sides = [("send", &self.send), ("recv", &self.recv)];
        if self.recv_first {
            sides.reverse();
        }
        for (word, sets) in sides {
            if let Some(sets) = sets {
                write!(f, " {word} {sets}")?;
            }
        }
        Ok(())
    }
}

from_str!(ImageAttr);
