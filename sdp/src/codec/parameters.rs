//! Lists of `key=value`, and values in them.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

use crate::limits::MAX_LIST;

/// Parameters in their order: `key=value` or a bare word.
///
/// Blanks around the `;` are not kept. A list has at most [`MAX_LIST`] entries; what comes after
/// them is one last entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    list: Vec<(String, Option<String>)>,
}

impl Parameters {
    /// Reads a list.
    pub fn read(text: &str) -> Self {
        let list = text
            .splitn(MAX_LIST, ';')
            .map(str::trim_ascii)
            .filter(|entry| !entry.is_empty())
            .map(|entry| match entry.split_once('=') {
                Some((key, value)) => (
                    key.trim_ascii().to_owned(),
                    Some(value.trim_ascii().to_owned()),
                ),
                None => (entry.to_owned(), None),
            })
            .collect();
        Self { list }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The entries in their order; a bare word has no value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.list
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// The value of a key, in any case.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.list
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .and_then(|(_, value)| value.as_deref())
    }

    /// Whether a key or a bare word is there, in any case.
    pub fn contains(&self, key: &str) -> bool {
        self.list
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(key))
    }

    /// Sets the value of a key in its place, or adds it after the others.
    pub fn set(&mut self, key: &str, value: impl Display) {
        let value = Some(value.to_string());
        match self
            .list
            .iter_mut()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
        {
            Some((_, old)) => *old = value,
            None => self.list.push((key.to_owned(), value)),
        }
    }

    /// Takes all entries of a key away; says whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.list.len();
        self.list
            .retain(|(name, _)| !name.eq_ignore_ascii_case(key));
        self.list.len() < before
    }

    /// Takes the first entry of a key away if `T` can be read from it, so that what cannot be
    /// read stays. Keys that stand twice keep their second entry.
    pub(super) fn take<T: ParameterValue>(&mut self, key: &str) -> Option<T> {
        let index = self
            .list
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(key))?;
        let value = T::read(self.list.get(index)?.1.as_deref()?)?;
        self.list.remove(index);
        Some(value)
    }
}

impl FromStr for Parameters {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::read(text))
    }
}

impl Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str(";")?;
            }
            f.write_str(key)?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// A value of a parameter that is read only if writing it gives the same text again: so
/// `stereo=true` or `apt=096` are kept as they are.
pub trait ParameterValue: Sized {
    /// Reads the text after the `=`.
    fn read(text: &str) -> Option<Self>;

    /// Writes it.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl ParameterValue for $type {
            fn read(text: &str) -> Option<Self> {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit())
                    && (text.len() == 1 || !text.starts_with('0'));
                if plain { text.parse().ok() } else { None }
            }

            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )+};
}

number!(u8, u16, u32, u64);

impl ParameterValue for bool {
    /// `0` or `1`.
    fn read(text: &str) -> Option<Self> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self { "1" } else { "0" })
    }
}

impl ParameterValue for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
