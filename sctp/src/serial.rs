//! Serial numbers (RFC 1982, RFC 9260 §1.6) once for all: on the wire they wrap, inside they are
//! 64-bit counters that do not. Nothing inside ever compares wrapped numbers.

/// Where a 64-bit counter of a wrapping number starts: one turn above zero, so that the numbers
/// just below the first one exist too.
pub(crate) const fn first(wire: u32) -> u64 {
    (1 << 32) | wire as u64
}

/// The counter value nearest to `reference` whose low 32 bits are `wire`.
#[inline]
pub(crate) fn unwrap32(reference: u64, wire: u32) -> u64 {
    let ahead = wire.wrapping_sub(reference as u32) as i32;
    reference.wrapping_add_signed(i64::from(ahead))
}

/// The counter value nearest to `reference` whose low 16 bits are `wire`.
#[inline]
pub(crate) fn unwrap16(reference: u64, wire: u16) -> u64 {
    let ahead = wire.wrapping_sub(reference as u16) as i16;
    reference.wrapping_add_signed(i64::from(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unwrapping_undoes_truncation_within_half_a_turn(
            reference in (1u64 << 32)..(1 << 40),
            ahead in i32::MIN + 1..i32::MAX,
        ) {
            let value = reference.wrapping_add_signed(i64::from(ahead));
            prop_assert_eq!(unwrap32(reference, value as u32), value);
        }

        #[test]
        fn unwrapping_16_bits_undoes_truncation_within_half_a_turn(
            reference in (1u64 << 32)..(1 << 40),
            ahead in i16::MIN + 1..i16::MAX,
        ) {
            let value = reference.wrapping_add_signed(i64::from(ahead));
            prop_assert_eq!(unwrap16(reference, value as u16), value);
        }
    }

    #[test]
    fn the_number_before_the_first_exists() {
        assert_eq!(unwrap32(first(0), u32::MAX), first(0) - 1);
    }
}
