//! Reading and writing network-order integers without a panicking index.

/// The octet at `at`, or zero beyond the end (callers have checked lengths once).
#[inline]
pub(crate) fn u8_at(b: &[u8], at: usize) -> u8 {
    b.get(at).copied().unwrap_or(0)
}

/// Sixteen bits at `at`, or zero beyond the end.
#[inline]
pub(crate) fn u16_at(b: &[u8], at: usize) -> u16 {
    match b.get(at..).and_then(|b| b.first_chunk::<2>()) {
        Some(c) => u16::from_be_bytes(*c),
        None => 0,
    }
}

/// Twenty-four bits at `at`, or zero beyond the end.
#[inline]
pub(crate) fn u24_at(b: &[u8], at: usize) -> u32 {
    match b.get(at..).and_then(|b| b.first_chunk::<3>()) {
        Some(c) => u32::from_be_bytes([0, c[0], c[1], c[2]]),
        None => 0,
    }
}

/// Thirty-two bits at `at`, or zero beyond the end.
#[inline]
pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    match b.get(at..).and_then(|b| b.first_chunk::<4>()) {
        Some(c) => u32::from_be_bytes(*c),
        None => 0,
    }
}

/// Sixty-four bits at `at`, or zero beyond the end.
#[inline]
pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    match b.get(at..).and_then(|b| b.first_chunk::<8>()) {
        Some(c) => u64::from_be_bytes(*c),
        None => 0,
    }
}

/// The octets from `at` on, or none beyond the end.
#[inline]
pub(crate) fn tail(b: &[u8], at: usize) -> &[u8] {
    b.get(at..).unwrap_or(&[])
}

/// The octets of a range, or none when it does not lie inside.
#[inline]
pub(crate) fn slice(b: &[u8], range: std::ops::Range<usize>) -> &[u8] {
    b.get(range).unwrap_or(&[])
}

/// Overwrites octets at `at`; does nothing when they do not lie inside.
#[inline]
pub(crate) fn put(b: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = b.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}
