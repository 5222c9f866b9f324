//! Comfort noise (RFC 3389): how a pause sounds.

use crate::error::{ParseError, require};

/// A comfort noise payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComfortNoise<'a> {
    /// Level in -dBov, 0 to 127.
    pub level: u8,
    /// Reflection coefficients of the spectrum, quantised: `k = 258/32768 · (n - 127)`.
    pub spectrum: &'a [u8],
}

impl<'a> ComfortNoise<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] for an empty one.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        require(payload.len(), 1)?;
        let (level, spectrum) = payload.split_first().unwrap_or((&0, &[]));
        Ok(Self {
            level: level & 0x7f,
            spectrum,
        })
    }

    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.level & 0x7f);
        out.extend_from_slice(self.spectrum);
    }
}
