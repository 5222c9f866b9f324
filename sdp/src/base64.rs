//! Base64 (RFC 4648 §4), as `identity` and `sctp-init` use it.

use std::fmt::{self, Write};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn sextet(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Whether `text` is base64 with or without padding, at least one byte of it.
pub(crate) fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    !body.is_empty()
        && body.len() % 4 != 1
        && padding <= 2
        && (padding == 0 || text.len().is_multiple_of(4))
        && body.bytes().all(|byte| sextet(byte).is_some())
}

/// The bytes, or none if `text` is not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !is_base64(text) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let mut bits = 0;
    let mut count = 0;
    for byte in text.trim_end_matches('=').bytes() {
        bits = (bits << 6 | sextet(byte)?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// Writes bytes as base64 with padding.
pub(crate) fn encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            if at <= chunk.len() {
                let index = (bits >> (18 - 6 * at) & 63) as usize;
                f.write_char(char::from(ALPHABET.get(index).copied().unwrap_or(b'=')))?;
            } else {
                f.write_char('=')?;
            }
        }
    }
    Ok(())
}
