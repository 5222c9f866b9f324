//! The few lines of base64 (RFC 4648 §4) that nonces and REST passwords need.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn digit(value: u32) -> char {
    char::from(ALPHABET.get((value & 63) as usize).copied().unwrap_or(b'A'))
}

/// With padding.
pub(crate) fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        text.push(digit(bits >> 18));
        text.push(digit(bits >> 12));
        text.push(if chunk.len() > 1 {
            digit(bits >> 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    text
}

/// Twenty-four bits from four digits.
pub(crate) fn decode_quad(text: &[u8; 4]) -> Option<u32> {
    text.iter().try_fold(0, |bits, c| {
        let value = ALPHABET.iter().position(|a| a == c)?;
        Some(bits << 6 | value as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        let cases = [
            "", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==",
        ];
        for [plain, coded] in cases.as_chunks::<2>().0 {
            assert_eq!(encode(plain.as_bytes()), *coded);
        }
        assert_eq!(decode_quad(b"Zm9v"), Some(0x66_6f_6f));
        assert_eq!(decode_quad(b"Zg=="), None);
    }
}
