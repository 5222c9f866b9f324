//! SACK (RFC 9260 §3.3.4).

use super::{be16, be32};

/// A view of a SACK chunk.
#[derive(Clone, Copy, Debug)]
pub struct Sack<'a> {
    /// The last TSN before a gap.
    pub cumulative: u32,
    /// Advertised receiver window in octets.
    pub window: u32,
    gaps: &'a [u8],
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let gap_count = usize::from(be16(value, 8)?);
        let duplicate_count = usize::from(be16(value, 10)?);
        let (gaps, rest) = value.get(12..)?.split_at_checked(gap_count * 4)?;
        let duplicates = rest.get(..duplicate_count * 4)?;
        Some(Self {
            cumulative: be32(value, 0)?,
            window: be32(value, 4)?,
            gaps,
            duplicates,
        })
    }

    /// The gap blocks as offsets from the cumulative TSN, both ends included, as received.
    pub fn gaps(&self) -> GapBlocks<'a> {
        GapBlocks(self.gaps)
    }

    /// How many duplicate TSNs are reported.
    pub fn duplicate_count(&self) -> usize {
        self.duplicates.len() / 4
    }

    /// The TSNs received more than once since the last SACK.
    pub fn duplicates(&self) -> impl Iterator<Item = u32> + 'a {
        self.duplicates.chunks_exact(4).filter_map(|d| be32(d, 0))
    }
}

/// Iterator over gap blocks.
#[derive(Clone, Debug)]
pub struct GapBlocks<'a>(&'a [u8]);

impl Iterator for GapBlocks<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let (block, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        Some((be16(block, 0)?, be16(block, 2)?))
    }
}
