//! HMAC-SHA1 (RFC 2104) with both key blocks hashed once, when the key is set.

use core::slice;

use sha1::block_api::compress;
use zeroize::Zeroize;

use crate::tag::Tag;

/// Bytes of a SHA-1 block.
const BLOCK: usize = 64;

/// Bytes of a SHA-1 digest.
const DIGEST: usize = 20;

/// Bytes that follow a packet where it is authenticated.
const TRAILER: usize = 4;

/// What is authenticated: a packet, then its roll-over counter or its SRTCP index word, which are
/// not sent or not yet written (RFC 3711 §4.2).
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) trailer: [u8; TRAILER],
}

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

    /// The tag over the message.
    #[inline]
    pub(crate) fn tag(&self, message: Message<'_>) -> Tag {
        let (blocks, rest) = message.data.as_chunks::<BLOCK>();
        let mut state = self.inner;
        compress(&mut state, blocks);
        let tail = Tail::new(rest, message);
        compress(&mut state, tail.blocks());
        let last = [outer_block(&state)];
        let mut state = self.outer;
        compress(&mut state, &last);
        Tag::from_sha1(&state)
    }
}

/// The tags over two messages, under one key or two.
///
/// The rounds of SHA-1 wait for each other; taken in turns, those of one message fill the pauses
/// of the other's. Two tags cost about two thirds of twice one.
#[inline]
pub(crate) fn tag_pair(
    (key_a, a): (&HmacSha1, Message<'_>),
    (key_b, b): (&HmacSha1, Message<'_>),
) -> [Tag; 2] {
    let (blocks_a, rest_a) = a.data.as_chunks::<BLOCK>();
    let (blocks_b, rest_b) = b.data.as_chunks::<BLOCK>();
    let mut state_a = key_a.inner;
    let mut state_b = key_b.inner;
    compress_pair(&mut state_a, blocks_a, &mut state_b, blocks_b);
    let tail_a = Tail::new(rest_a, a);
    let tail_b = Tail::new(rest_b, b);
    compress_pair(&mut state_a, tail_a.blocks(), &mut state_b, tail_b.blocks());
    let last_a = [outer_block(&state_a)];
    let last_b = [outer_block(&state_b)];
    state_a = key_a.outer;
    state_b = key_b.outer;
    compress_pair(&mut state_a, &last_a, &mut state_b, &last_b);
    [Tag::from_sha1(&state_a), Tag::from_sha1(&state_b)]
}

#[inline]
fn compress_pair(
    state_a: &mut [u32; 5],
    blocks_a: &[[u8; BLOCK]],
    state_b: &mut [u32; 5],
    blocks_b: &[[u8; BLOCK]],
) {
    let common = blocks_a.len().min(blocks_b.len());
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        compress(state_a, slice::from_ref(a));
        compress(state_b, slice::from_ref(b));
    }
    if let Some(rest) = blocks_a.get(common..) {
        compress(state_a, rest);
    }
    if let Some(rest) = blocks_b.get(common..) {
        compress(state_b, rest);
    }
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// What is left of a message after its whole blocks, and SHA-1's padding: one or two blocks.
struct Tail {
    blocks: [[u8; BLOCK]; 2],
    count: usize,
}

impl Tail {
    #[inline]
    fn new(rest: &[u8], message: Message<'_>) -> Self {
        let mut blocks = [[0u8; BLOCK]; 2];
        let bytes = blocks.as_flattened_mut();
        let mut len = rest.len();
        if let Some(room) = bytes.get_mut(..len) {
            room.copy_from_slice(rest);
        }
        if let Some(room) = bytes.get_mut(len..len + TRAILER) {
            room.copy_from_slice(&message.trailer);
        }
        len += TRAILER;
        if let Some(byte) = bytes.get_mut(len) {
            *byte = 0x80;
        }
        let count = if len + 9 <= BLOCK { 1 } else { 2 };
        let bits = ((BLOCK + message.data.len() + TRAILER) as u64) * 8;
        if let Some(length) = bytes
            .get_mut(..count * BLOCK)
            .and_then(<[u8]>::last_chunk_mut)
        {
            *length = bits.to_be_bytes();
        }
        Self { blocks, count }
    }

    #[inline]
    fn blocks(&self) -> &[[u8; BLOCK]] {
        self.blocks.get(..self.count).unwrap_or(&self.blocks)
    }
}

/// The outer hash's only block: the inner digest and the padding of 84 bytes in all.
#[inline]
fn outer_block(state: &[u32; 5]) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    for (room, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *room = word.to_be_bytes();
    }
    block[DIGEST] = 0x80;
    let bits = ((BLOCK + DIGEST) as u64 * 8).to_be_bytes();
    block[BLOCK - 8..].copy_from_slice(&bits);
    block
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
        let expected = |data: &[u8]| {
            let mut all = data.to_vec();
            all.extend_from_slice(&[1, 2, 3, 4]);
            ring::hmac::sign(&theirs, &all)
        };
        fn message(data: &[u8]) -> Message<'_> {
            let trailer = [1, 2, 3, 4];
            Message { data, trailer }
        }
        for len in 0..data.len() {
            let a = &data[..len];
            assert_eq!(
                ours.tag(message(a)).get(20),
                Some(expected(a).as_ref()),
                "{len}"
            );
            let b = &data[..(len * 7 + 3) % data.len()];
            let pair = tag_pair((&ours, message(a)), (&ours, message(b)));
            assert_eq!(pair[0].get(20), Some(expected(a).as_ref()), "{len}");
            assert_eq!(pair[1].get(20), Some(expected(b).as_ref()), "{len}");
        }
    }
}
