//! Keys for message integrity, with the keyed part of HMAC computed once.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// The key of a short-term or long-term credential (RFC 8489 §9.1.1, §9.2.2).
///
/// HMAC's inner and outer states are computed here, so that a message costs
/// only the hashing of its own octets. Wiped when dropped; `Debug` shows nothing.
#[derive(Clone)]
pub struct Key {
    sha1: Hmac<Sha1>,
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
            sha1: Hmac::new((&block1).into()),
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

    /// HMAC-SHA1 over `message` as it stands.
    #[inline]
    pub(crate) fn sha1_whole(&self, message: &[u8]) -> [u8; 20] {
        self.sha1
            .clone()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    }

    /// HMAC-SHA1 over `head` with its length field replaced.
    #[inline]
    pub(crate) fn sha1_of(&self, head: &[u8], length: usize) -> [u8; 20] {
        let mut mac = self.sha1.clone();
        update_with_length(&mut mac, head, length);
        mac.finalize().into_bytes().into()
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
