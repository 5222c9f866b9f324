//! Renaming extension elements in place: each peer of a forwarding server has its own identifiers.

use crate::bytes_ext::{put, u16_at};
use crate::error::WriteError;
use crate::extension::{ExtensionForm, ExtensionMap, TWO_BYTE_PROFILE, walk};

/// A table from the identifiers of one session to those of another.
#[derive(Clone, PartialEq, Eq)]
pub struct IdRewrite {
    /// New identifier of each old one; 0 drops the element.
    table: Box<[u8; 256]>,
    /// Whether every new identifier fits the one-byte form.
    narrow: bool,
}

impl IdRewrite {
    /// A table that drops every element.
    pub fn drop_all() -> Self {
        Self {
            table: Box::new([0; 256]),
            narrow: true,
        }
    }

    /// The table that gives elements of a session with the map `from` the identifiers of `to`;
    /// extensions that `to` lacks are dropped.
    pub fn between(from: &ExtensionMap, to: &ExtensionMap) -> Self {
        let mut rewrite = Self::drop_all();
        for (old, uri) in from.iter() {
            if let Some(new) = to.id_of_uri(uri) {
                rewrite.set(old, new);
            }
        }
        rewrite
    }

    /// Has the identifier `old` become `new`; 0 drops the element.
    pub fn set(&mut self, old: u8, new: u8) {
        if let Some(slot) = self.table.get_mut(usize::from(old)) {
            *slot = new;
        }
        // The one-byte form cannot have old identifiers above 14.
        self.narrow = self.table.iter().take(15).all(|id| *id < 15);
    }

    /// What `old` becomes; `None` when it is dropped.
    #[inline]
    pub fn get(&self, old: u8) -> Option<u8> {
        let new = self.table.get(usize::from(old)).copied().unwrap_or(0);
        (new != 0).then_some(new)
    }

    /// Renames the elements in `octets`, which are of the given form; dropped ones become padding.
    /// Returns how many are left.
    ///
    /// # Errors
    /// [`WriteError::ExtensionId`] when a new identifier does not fit the one-byte form; `octets`
    /// is left as it was.
    pub fn apply(&self, form: ExtensionForm, octets: &mut [u8]) -> Result<usize, WriteError> {
        match form {
            ExtensionForm::OneByte => {
                if !self.narrow {
                    walk(form, octets, |_, _, id, _| match self.get(id) {
                        Some(new) if new > 14 => Err(WriteError::ExtensionId(new)),
                        _ => Ok(()),
                    })?;
                }
                Ok(self.apply_one_byte(octets))
            }
            ExtensionForm::TwoByte => Ok(self.apply_two_byte(octets)),
        }
    }

    fn apply_one_byte(&self, octets: &mut [u8]) -> usize {
        let mut left = 0;
        let mut rest = octets;
        while let Some((first, after)) = rest.split_first_mut() {
            if *first == 0 {
                rest = after;
                continue;
            }
            let id = *first >> 4;
            let len = usize::from(*first & 0x0f) + 1;
            if id == 15 || id == 0 {
                break;
            }
            let Some((value, after)) = after.split_at_mut_checked(len) else {
                break;
            };
            match self.get(id) {
                Some(new) => {
                    *first = (new << 4) | (*first & 0x0f);
                    left += 1;
                }
                None => {
                    *first = 0;
                    value.fill(0);
                }
            }
            rest = after;
        }
        left
    }

    fn apply_two_byte(&self, octets: &mut [u8]) -> usize {
        let mut left = 0;
        let mut rest = octets;
        while let Some((first, after)) = rest.split_first_mut() {
            if *first == 0 {
                rest = after;
                continue;
            }
            let Some((len, after)) = after.split_first_mut() else {
                break;
            };
            let Some((value, after)) = after.split_at_mut_checked(usize::from(*len)) else {
                break;
            };
            match self.get(*first) {
                Some(new) => {
                    *first = new;
                    left += 1;
                }
                None => {
                    *first = 0;
                    *len = 0;
                    value.fill(0);
                }
            }
            rest = after;
        }
        left
    }
}

impl std::fmt::Debug for IdRewrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries((1..=255u8).filter_map(|old| Some((old, self.get(old)?))))
            .finish()
    }
}

/// Turns the one-byte elements of the unfinished extension whose header begins at `at`, at the end
/// of `out`, into two-byte ones.
pub(crate) fn widen(out: &mut Vec<u8>, at: usize) {
    let from = at + 4;
    debug_assert_eq!(
        ExtensionForm::from_profile(u16_at(out, at)),
        Some(ExtensionForm::OneByte)
    );
    // Insert an octet after each element's first; the extension is small and this is rare.
    let mut position = from;
    while let Some(&first) = out.get(position) {
        let len = usize::from(first & 0x0f) + 1;
        if let Some(slot) = out.get_mut(position) {
            *slot = first >> 4;
        }
        out.insert(position + 1, len as u8);
        position += 2 + len;
    }
    put(out, at, &TWO_BYTE_PROFILE.to_be_bytes());
}
