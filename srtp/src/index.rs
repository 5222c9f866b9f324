//! 48-bit packet indices out of 16-bit sequence numbers (RFC 3711 §3.3.1, appendix A).

/// The index of an SRTP packet: roll-over counter and sequence number, 48 bits.
pub(crate) type Index = u64;

/// The largest index.
pub(crate) const MAX_INDEX: Index = (1 << 48) - 1;

/// The index a packet with this sequence number most likely has, given the highest index seen.
/// `None` where that would be beyond 2^48.
///
/// Appendix A of RFC 3711, but that a stream before its first roll-over has no packets of an
/// earlier one: the guess "one roll-over back" is then the sequence number as it stands.
#[inline]
pub(crate) fn estimate(highest: Index, sequence: u16) -> Option<Index> {
    let rollover = highest >> 16;
    let last = (highest & 0xffff) as u16;
    let guess = if last < 0x8000 {
        if sequence.wrapping_sub(last) > 0x8000 && sequence > last {
            rollover.saturating_sub(1)
        } else {
            rollover
        }
    } else if last - 0x8000 > sequence {
        rollover + 1
    } else {
        rollover
    };
    let index = (guess << 16) | u64::from(sequence);
    (index <= MAX_INDEX).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A as the RFC writes it.
    fn appendix_a(rollover: i64, last: i64, sequence: i64) -> i64 {
        let v = if last < 32768 {
            if sequence - last > 32768 {
                rollover - 1
            } else {
                rollover
            }
        } else if last - 32768 > sequence {
            rollover + 1
        } else {
            rollover
        };
        v * 65536 + sequence
    }

    #[test]
    fn follows_appendix_a() {
        for last in (0..65536)
            .step_by(251)
            .chain([0, 32767, 32768, 32769, 65535])
        {
            for sequence in (0..65536)
                .step_by(17)
                .chain([0, 32767, 32768, 32769, 65535])
            {
                let ours = estimate((5 << 16) | last as u64, sequence as u16);
                assert_eq!(ours, Some(appendix_a(5, last, sequence) as u64));
            }
        }
    }

    #[test]
    fn has_no_index_below_zero_and_none_beyond_the_last() {
        assert_eq!(estimate(2, 65_534), Some(65_534));
        assert_eq!(estimate(MAX_INDEX - 1, 65_535), Some(MAX_INDEX));
        assert_eq!(estimate(MAX_INDEX, 0), None);
        assert_eq!(estimate(MAX_INDEX, 65_000), Some(MAX_INDEX - 535));
    }
}
