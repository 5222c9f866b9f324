//! Little-endian base-128 numbers (AV1 §4.10.5).

use crate::error::ParseError;

/// Reads a number of at most eight octets; returns it and the octets read.
///
/// AV1 §4.10.5: the value must fit 32 bits.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Result<(u64, usize), ParseError> {
    let mut value = 0u64;
    for (i, octet) in bytes.iter().take(8).enumerate() {
        value |= u64::from(octet & 0x7f) << (7 * i);
        if octet & 0x80 == 0 {
            if value > u64::from(u32::MAX) {
                return Err(ParseError::Field("leb128"));
            }
            return Ok((value, i + 1));
        }
    }
    if bytes.len() < 8 {
        Err(ParseError::Truncated {
            needed: bytes.len() + 1,
            available: bytes.len(),
        })
    } else {
        Err(ParseError::Field("leb128"))
    }
}

/// Octets a number takes.
pub(crate) const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends a number.
pub(crate) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
