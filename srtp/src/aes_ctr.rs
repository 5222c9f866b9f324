//! AES in counter mode (RFC 3711 §4.1.1, RFC 6188 §3).
//!
//! The `aes` crate has the cipher, in the CPU's instructions or in constant-time code; this adds
//! the counter. The whole loop runs inside of the cipher's backend, so that short packets do not
//! pay for a call a block.

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    ParBlocks,
};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// A keyed AES of any of the three key lengths.
pub(crate) enum AesCtr {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl AesCtr {
    /// The cipher for a key of 16, 24 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128Enc::new_from_slice(key).ok().map(Self::Aes128),
            24 => Aes192Enc::new_from_slice(key).ok().map(Self::Aes192),
            32 => Aes256Enc::new_from_slice(key).ok().map(Self::Aes256),
            _ => None,
        }
    }

    /// Xors the key stream that begins at the counter block `iv` over `data`.
    #[inline]
    pub(crate) fn apply(&self, iv: u128, data: &mut [u8]) {
        let stream = KeyStream { iv, data };
        match self {
            Self::Aes128(cipher) => cipher.encrypt_with_backend(stream),
            Self::Aes192(cipher) => cipher.encrypt_with_backend(stream),
            Self::Aes256(cipher) => cipher.encrypt_with_backend(stream),
        }
    }
}

struct KeyStream<'a> {
    iv: u128,
    data: &'a mut [u8],
}

impl BlockSizeUser for KeyStream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for KeyStream<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let batch = <B::ParBlocksSize as Unsigned>::USIZE;
        let Self { mut iv, mut data } = self;
        // As many blocks at once as the backend works on. A rest of more than half of that is
        // cheaper as a batch of which some is thrown away than block by block.
        while data.len() > batch / 2 * BLOCK && batch > 1 {
            let mut stream = ParBlocks::<B>::default();
            for block in &mut stream {
                *block = iv.to_be_bytes().into();
                iv = iv.wrapping_add(1);
            }
            backend.encrypt_par_blocks((&mut stream).into());
            let (now, rest) = data.split_at_mut(data.len().min(batch * BLOCK));
            let (blocks, last) = now.as_chunks_mut::<BLOCK>();
            let mut stream = stream.iter();
            for (block, key) in blocks.iter_mut().zip(&mut stream) {
                xor_block(block, key);
            }
            if let Some(key) = stream.next() {
                xor_bytes(last, key);
            }
            data = rest;
        }
        let (blocks, last) = data.as_chunks_mut::<BLOCK>();
        for block in blocks {
            xor_block(block, &key_block(backend, iv));
            iv = iv.wrapping_add(1);
        }
        if !last.is_empty() {
            xor_bytes(last, &key_block(backend, iv));
        }
    }
}

#[inline(always)]
fn key_block<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, iv: u128) -> Array<u8, U16> {
    let mut block: Array<u8, U16> = iv.to_be_bytes().into();
    backend.encrypt_block((&mut block).into());
    block
}

#[inline(always)]
fn xor_block(block: &mut [u8; BLOCK], key: &Array<u8, U16>) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(key.0)).to_ne_bytes();
}

#[inline(always)]
fn xor_bytes(bytes: &mut [u8], key: &Array<u8, U16>) {
    for (byte, key) in bytes.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mode's definition, a block at a time.
    #[test]
    fn agrees_with_the_definition_for_every_length() {
        for key_len in [16, 24, 32] {
            let key: Vec<u8> = (0..key_len).collect();
            let cipher = AesCtr::new(&key).unwrap();
            let block = |counter: u128| {
                let mut block = counter.to_be_bytes().into();
                match &cipher {
                    AesCtr::Aes128(aes) => aes.encrypt_block(&mut block),
                    AesCtr::Aes192(aes) => aes.encrypt_block(&mut block),
                    AesCtr::Aes256(aes) => aes.encrypt_block(&mut block),
                }
                <[u8; 16]>::from(block)
            };
            let iv = 0x0123_4567_89ab_cdef_0011_2233_4455_0000u128;
            let expected: Vec<u8> = (0..80).flat_map(|n| block(iv + n)).collect();
            for len in 0..expected.len() {
                let mut data = vec![0; len];
                cipher.apply(iv, &mut data);
                assert_eq!(data, expected[..len]);
            }
        }
    }
}
