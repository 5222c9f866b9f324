//! Keys for message integrity, with the keyed part of HMAC computed once.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha1::block_api::compress;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// The key of a short-term or long-term credential (RFC 8489 §9.1.1, §9.2.2).
///
/// HMAC's inner and outer states are computed here, so that a message costs
/// only the hashing of its own octets. Wiped when dropped; `Debug` shows nothing.
#[derive(Clone)]
pub struct Key {
    sha1: HmacSha1,
    sha256: Hmac<Sha256>,
}

impl Key {
    /// A key of these octets: a short-term password that is already prepared
    /// (ICE's passwords are: they are ASCII), or a long-term key stored as such.
    pub fn from_bytes(key: &[u8]) -> Key {
        // Both hashes have blocks of 64 octets; a longer key is hashed first
        // (RFC 2104 §2), differently for each.
        let mut block1 = [0; 64];
        let mut block256 = [0; 64];
        if let (Some(a), Some(b)) = (block1.get_mut(..key.len()), block256.get_mut(..key.len())) {
            a.copy_from_slice(key);
            b.copy_from_slice(key);
        } else {
            block1[..20].copy_from_slice(&Sha1::digest(key));
            block256[..32].copy_from_slice(&Sha256::digest(key));
        }
        let key = Key {
            sha1: HmacSha1::new(&block1),
            sha256: Hmac::new((&block256).into()),
        };
        block1.zeroize();
        block256.zeroize();
        key
    }

    /// `MD5(username ":" realm ":" password)`, the long-term key of RFC 5389
    /// and of PASSWORD-ALGORITHM 1 (RFC 8489 §18.5.1.1), of strings that are
    /// already prepared; see [`credentials`](crate::credentials).
    pub fn long_term_md5(username: &str, realm: &str, password: &str) -> Key {
        let mut digest = Md5::new();
        for part in [username, ":", realm, ":", password] {
            digest.update(part.as_bytes());
        }
        let mut key = digest.finalize();
        let made = Key::from_bytes(&key);
        key.zeroize();
        made
    }

    /// `SHA-256(username ":" realm ":" password)`, the long-term key of
    /// PASSWORD-ALGORITHM 2 (RFC 8489 §18.5.1.2), of prepared strings.
    pub fn long_term_sha256(username: &str, realm: &str, password: &str) -> Key {
        let mut digest = Sha256::new();
        for part in [username, ":", realm, ":", password] {
            digest.update(part.as_bytes());
        }
        let mut key = digest.finalize();
        let made = Key::from_bytes(&key);
        key.zeroize();
        made
    }

    /// Appends `head` and the HMAC-SHA1 over `out[start..]`.
    // Inlined into the writer's chain it is a tenth slower.
    #[inline(never)]
    pub(crate) fn append_sha1(&self, out: &mut Vec<u8>, start: usize, head: [u8; 4]) {
        let mac = self.sha1.in_place(out, start);
        out.extend_from_slice(&head);
        // Word by word: what is written in small pieces and read as a large one
        // has to wait for the cache.
        for word in mac {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// HMAC-SHA1 over a text.
    pub(crate) fn sha1_of_text(&self, text: &str) -> [u8; 20] {
        self.sha1.mac(text.as_bytes(), None)
    }

    /// HMAC-SHA1 over `head` with its length field replaced.
    #[inline(never)]
    pub(crate) fn sha1_of(&self, head: &[u8], length: usize) -> [u8; 20] {
        let [a, b] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        self.sha1.mac(head, Some([a, b]))
    }

    /// HMAC-SHA256 over `message` as it stands.
    pub(crate) fn sha256_whole(&self, message: &[u8]) -> [u8; 32] {
        self.sha256
            .clone()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    }

    /// HMAC-SHA256 over `head` with its length field replaced.
    pub(crate) fn sha256_of(&self, head: &[u8], length: usize) -> [u8; 32] {
        let mut mac = self.sha256.clone();
        update_with_length(&mut mac, head, length);
        mac.finalize().into_bytes().into()
    }
}

/// HMAC (RFC 2104) on SHA-1's compression function: two states of five words,
/// and a message hashed where it lies. Checks carry three or four blocks; the
/// buffers of a general hasher cost as much as one of them.
#[derive(Clone)]
struct HmacSha1 {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl HmacSha1 {
    /// FIPS 180-4 §5.3.1.
    const START: [u32; 5] = [
        0x6745_2301,
        0xEFCD_AB89,
        0x98BA_DCFE,
        0x1032_5476,
        0xC3D2_E1F0,
    ];

    fn new(key: &[u8; 64]) -> HmacSha1 {
        let keyed = |pad: u8| {
            let mut block = key.map(|b| b ^ pad);
            let mut state = Self::START;
            compress(&mut state, &[block]);
            block.zeroize();
            state
        };
        HmacSha1 {
            inner: keyed(0x36),
            outer: keyed(0x5C),
        }
    }

    /// The MAC of what ends `out`, padded and hashed where it lies; `out` is as
    /// before when it returns. The octets were written a moment ago, in small
    /// pieces: copying them into a block would wait for those to reach the
    /// cache, and the hash for the copy again.
    #[inline]
    fn in_place(&self, out: &mut Vec<u8>, start: usize) -> [u32; 5] {
        /// A one bit, zeros (FIPS 180-4 §5.1.1): as much as may be needed.
        const PADDING: [u8; 72] = {
            let mut padding = [0; 72];
            padding[0] = 0x80;
            padding
        };
        let end = out.len();
        let len = end.saturating_sub(start);
        let padded = (len + 9).next_multiple_of(64);
        out.extend_from_slice(&PADDING);
        let mut state = self.inner;
        if let Some(message) = out.get_mut(start..start + padded) {
            let blocks = message.as_chunks_mut::<64>().0;
            if let Some(last) = blocks.last_mut() {
                last[56..].copy_from_slice(&Self::bits(len));
            }
            compress(&mut state, blocks);
        }
        out.truncate(end);
        self.outer(state)
    }

    /// The length in bits, which ends the last block; the key's block counts.
    #[inline]
    fn bits(len: usize) -> [u8; 8] {
        ((len as u64 + 64) * 8).to_be_bytes()
    }

    /// The outer hash, of an inner one.
    #[inline]
    fn outer(&self, inner: [u32; 5]) -> [u32; 5] {
        let mut block = [0; 64];
        for (to, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
            *to = word.to_be_bytes();
        }
        block[20] = 0x80;
        block[56..].copy_from_slice(&Self::bits(20));
        let mut state = self.outer;
        compress(&mut state, &[block]);
        state
    }

    /// The MAC of `message`, octets 2 and 3 replaced if so asked.
    #[inline]
    fn mac(&self, message: &[u8], length: Option<[u8; 2]>) -> [u8; 20] {
        let mut state = self.inner;
        let (blocks, tail) = message.as_chunks::<64>();
        let patch = |block: &mut [u8; 64]| {
            if let Some([a, b]) = length {
                (block[2], block[3]) = (a, b);
            }
        };
        let mut last = [[0; 64]; 2];
        if let Some((first, rest)) = blocks.split_first() {
            let mut first = *first;
            patch(&mut first);
            compress(&mut state, &[first]);
            if !rest.is_empty() {
                compress(&mut state, rest);
            }
        }
        for (to, from) in last.as_flattened_mut().iter_mut().zip(tail) {
            *to = *from;
        }
        if blocks.is_empty() && tail.len() >= 4 {
            patch(&mut last[0]);
        }
        if let Some(end) = last.as_flattened_mut().get_mut(tail.len()) {
            *end = 0x80;
        }
        let count = if tail.len() < 56 { 1 } else { 2 };
        last[count - 1][56..].copy_from_slice(&Self::bits(message.len()));
        compress(&mut state, &last[..count]);
        let mut mac = [0; 20];
        for (to, word) in mac.as_chunks_mut::<4>().0.iter_mut().zip(self.outer(state)) {
            *to = word.to_be_bytes();
        }
        mac
    }
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The length field counts up to the end of the integrity attribute itself,
/// whatever follows it in the message (RFC 8489 §14.5).
#[inline]
fn update_with_length(mac: &mut impl Mac, head: &[u8], length: usize) {
    if let Some((&[t0, t1, _, _], rest)) = head.split_first_chunk::<4>() {
        let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        mac.update(&[t0, t1, l0, l1]);
        mac.update(rest);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the general implementation, for every length around the ends of
    /// blocks, with and without another length field.
    #[test]
    fn sha1_agrees_with_the_general_implementation() {
        for key_len in [0, 1, 20, 63, 64, 65, 200] {
            let key: Vec<u8> = (0..key_len).map(|i| i as u8).collect();
            let ours = Key::from_bytes(&key);
            let theirs = Hmac::<Sha1>::new_from_slice(&key).unwrap();
            for len in 0..300 {
                let mut message: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                let expected = theirs
                    .clone()
                    .chain_update(&message)
                    .finalize()
                    .into_bytes();
                let whole = |message: &mut Vec<u8>| {
                    let before = message.clone();
                    let mut out = [b"in front".as_slice(), message].concat();
                    ours.append_sha1(&mut out, 8, *b"head");
                    let mac = out.split_off(out.len() - 20);
                    assert_eq!(out[8..], [&before, b"head".as_slice()].concat());
                    mac
                };
                assert_eq!(whole(&mut message)[..], expected[..], "{key_len} {len}");
                if len >= 4 {
                    let patched = ours.sha1_of(&message, 0x1234);
                    message[2..4].copy_from_slice(&[0x12, 0x34]);
                    assert_eq!(patched[..], whole(&mut message), "{key_len} {len}");
                }
            }
        }
    }
}
