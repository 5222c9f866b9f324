//! AES in counter mode (RFC 3711 §4.1.1, RFC 6188 §3).

use aes::cipher::{
    BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper,
};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;

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
    ///
    /// The low 16 bits of `iv` are zero and count blocks. No packet has 2^16 blocks, so a counter
    /// of 32 bits never carries into the rest and the cheaper flavour is the standard's.
    #[inline]
    pub(crate) fn apply(&self, iv: u128, data: &mut [u8]) {
        let iv = iv.to_be_bytes().into();
        match self {
            Self::Aes128(cipher) => apply(cipher, &iv, data),
            Self::Aes192(cipher) => apply(cipher, &iv, data),
            Self::Aes256(cipher) => apply(cipher, &iv, data),
        }
    }
}

#[inline]
fn apply<C>(cipher: &C, iv: &Block, data: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let core = CtrCore::<&C, Ctr32BE>::inner_iv_init(cipher, iv);
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}
