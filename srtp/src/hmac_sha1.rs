//! HMAC-SHA1 (RFC 2104) with both key blocks hashed once, when the key is set.

use sha1::block_api::compress;
use zeroize::Zeroize;

/// Bytes of a SHA-1 block.
const BLOCK: usize = 64;

/// Bytes of a full HMAC-SHA1 tag.
pub(crate) const TAG: usize = 20;

/// Most bytes that may follow the data: a roll-over counter (RFC 3711 §4.2).
pub(crate) type Trailer = [u8; 4];

/// SHA-1's initial state (FIPS 180-4 §5.3.1).
const INITIAL: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// A keyed HMAC-SHA1: the hash states after the inner and the outer key block.
pub(crate) struct HmacSha1 {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl HmacSha1 {
    /// Keys of at most a block (RFC 3711 uses 20 bytes); what is longer is cut off.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut ipad = [0x36u8; BLOCK];
        let mut opad = [0x5cu8; BLOCK];
        for ((i, o), k) in ipad.iter_mut().zip(&mut opad).zip(key) {
            *i ^= k;
            *o ^= k;
        }
        let mut this = Self {
            inner: INITIAL,
            outer: INITIAL,
        };
        compress(&mut this.inner, &[ipad]);
        compress(&mut this.outer, &[opad]);
        ipad.zeroize();
        opad.zeroize();
        this
    }

    /// The tag over `data` followed by `trailer`.
    #[inline]
    pub(crate) fn tag(&self, data: &[u8], trailer: Option<Trailer>) -> [u8; TAG] {
        let (blocks, rest) = data.as_chunks::<BLOCK>();
        let mut state = self.inner;
        compress(&mut state, blocks);
        let (tail, count) = tail(rest, trailer, data.len());
        compress(&mut state, tail.get(..count).unwrap_or(&tail));
        let last = [outer_block(&state)];
        let mut state = self.outer;
        compress(&mut state, &last);
        to_bytes(&state)
    }
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// What is left of the data, the trailer and SHA-1's padding: one or two blocks.
/// `data_len` is the length of all data before the trailer, without the key block.
#[inline]
fn tail(rest: &[u8], trailer: Option<Trailer>, data_len: usize) -> ([[u8; BLOCK]; 2], usize) {
    let mut bytes = [0u8; 2 * BLOCK];
    let mut len = rest.len();
    let mut total = BLOCK + data_len;
    if let Some(room) = bytes.get_mut(..len) {
        room.copy_from_slice(rest);
    }
    if let Some(trailer) = trailer {
        if let Some(room) = bytes.get_mut(len..len + trailer.len()) {
            room.copy_from_slice(&trailer);
        }
        len += trailer.len();
        total += trailer.len();
    }
    if let Some(byte) = bytes.get_mut(len) {
        *byte = 0x80;
    }
    let count = if len + 9 <= BLOCK { 1 } else { 2 };
    let end = count * BLOCK;
    if let Some(room) = bytes.get_mut(end - 8..end) {
        room.copy_from_slice(&((total as u64) * 8).to_be_bytes());
    }
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let mut out = [[0u8; BLOCK]; 2];
    out.copy_from_slice(blocks);
    (out, count)
}

/// The outer hash's only block: the inner digest and the padding of 84 bytes in all.
#[inline]
fn outer_block(state: &[u32; 5]) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    for (room, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *room = word.to_be_bytes();
    }
    block[TAG] = 0x80;
    let bits = ((BLOCK + TAG) as u64 * 8).to_be_bytes();
    block[BLOCK - 8..].copy_from_slice(&bits);
    block
}

#[inline]
fn to_bytes(state: &[u32; 5]) -> [u8; TAG] {
    let mut out = [0u8; TAG];
    for (room, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *room = word.to_be_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_another_hmac_for_every_length() {
        let key: Vec<u8> = (0..20).collect();
        let ours = HmacSha1::new(&key);
        let theirs = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        let data: Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for len in 0..data.len() {
            let plain = &data[..len];
            assert_eq!(
                ours.tag(plain, None)[..],
                *ring::hmac::sign(&theirs, plain).as_ref()
            );
            let mut longer = plain.to_vec();
            longer.extend_from_slice(&[1, 2, 3, 4]);
            assert_eq!(
                ours.tag(plain, Some([1, 2, 3, 4]))[..],
                *ring::hmac::sign(&theirs, &longer).as_ref(),
                "{len} bytes and a trailer"
            );
        }
    }
}
