//! Byte streams of NAL units (ITU-T H.264 and H.265, annex B).

/// Start code that depacketizers write before each NAL unit.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The NAL units of a byte stream: what stands between start codes of three or four octets,
/// trailing zeros cut off.
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    /// Begins right after a start code, or is empty.
    rest: &'a [u8],
}

impl<'a> NalUnits<'a> {
    /// The NAL units of `stream`. What stands before the first start code is skipped; a stream
    /// without any has none.
    pub fn new(stream: &'a [u8]) -> Self {
        let rest = match find_start_code(stream) {
            Some(at) => stream.get(at + 3..).unwrap_or(&[]),
            None => &[],
        };
        Self { rest }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (unit, rest) = match find_start_code(self.rest) {
                Some(at) => (
                    self.rest.get(..at).unwrap_or(&[]),
                    self.rest.get(at + 3..).unwrap_or(&[]),
                ),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            let end = unit.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            if end > 0 {
                return unit.get(..end);
            }
        }
    }
}

/// Where the first 00 00 01 begins.
fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&third) = bytes.get(at) {
        // The third octet decides how far the next candidate is.
        if third > 1 {
            at += 3;
        } else if third == 1 {
            if bytes.get(at - 2..at) == Some(&[0, 0]) {
                return Some(at - 2);
            }
            at += 3;
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_at_start_codes_of_both_lengths() {
        let stream = [
            9, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 1, 0, 0, 1, 0x65, 0, 2, 0, 0,
        ];
        let units: Vec<_> = NalUnits::new(&stream).collect();
        let want: [&[u8]; 3] = [&[0x67, 1], &[0x68], &[0x65, 0, 2]];
        assert_eq!(units, want);
        assert_eq!(NalUnits::new(&[1, 2, 3]).count(), 0);
    }

    proptest! {
        #[test]
        fn finds_what_a_naive_search_finds(bytes in proptest::collection::vec(0u8..3, 0..60)) {
            let naive = bytes.windows(3).position(|w| w == [0, 0, 1]);
            prop_assert_eq!(find_start_code(&bytes), naive);
        }
    }
}
