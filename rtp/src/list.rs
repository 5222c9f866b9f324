//! A short list in place: what a packet tells, without an allocation.

use std::fmt;
use std::ops::Deref;

use crate::error::WriteError;

/// Up to `N` items, stored in place. Reads as a slice.
#[derive(Clone, Copy)]
pub struct ShortList<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Copy + Default, const N: usize> ShortList<T, N> {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            len: 0,
            items: [T::default(); N],
        }
    }

    /// A list of these items.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] for more than `N`.
    pub fn from_slice(items: &[T]) -> Result<Self, WriteError> {
        let mut list = Self::new();
        for item in items {
            list.push(*item)?;
        }
        Ok(list)
    }

    /// Appends an item.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] when the list is full.
    pub fn push(&mut self, item: T) -> Result<(), WriteError> {
        let slot = self
            .items
            .get_mut(usize::from(self.len))
            .ok_or(WriteError::TooMany(N + 1))?;
        *slot = item;
        self.len += 1;
        Ok(())
    }
}

impl<T: Copy + Default, const N: usize> Default for ShortList<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Deref for ShortList<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.items.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl<T: PartialEq, const N: usize> PartialEq for ShortList<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for ShortList<T, N> {}

impl<T: fmt::Debug, const N: usize> fmt::Debug for ShortList<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
