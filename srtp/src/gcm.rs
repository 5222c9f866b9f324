//! AES-GCM as RFC 7714 uses it: nonces and what is authenticated.

use crate::backend::{AeadKey, Backend};
use crate::suite::ENCRYPTED;
use crate::tag::Tag;
use crate::wire::{RTCP_CLEAR_LEN, RTCP_INDEX_LEN};

/// A keyed AES-GCM with its session salt.
pub(crate) struct Gcm {
    key: AeadKey,
    /// The first 64 and the last 32 bits.
    salt: (u64, u32),
}

impl Gcm {
    /// The cipher for a key of 16 or 32 bytes and a salt of 12 bytes.
    pub(crate) fn new(backend: Backend, key: &[u8], salt: &[u8]) -> Option<Self> {
        if salt.len() != 12 {
            return None;
        }
        Some(Self {
            key: AeadKey::new(backend, key)?,
            salt: (
                u64::from_be_bytes(*salt.first_chunk()?),
                u32::from_be_bytes(*salt.last_chunk()?),
            ),
        })
    }

    /// RFC 7714 §8.1: 16 zero bits, SSRC, roll-over counter, sequence number, XOR the salt.
    ///
    /// Made of eight bytes and four, because the cipher reads it so: a nonce written otherwise
    /// waits for the store buffer, which is felt on short packets.
    #[inline]
    pub(crate) fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let (high, low) = self.salt;
        let mut nonce = [0; 12];
        let (first, last) = nonce.split_at_mut(8);
        first.copy_from_slice(&(high ^ (u64::from(ssrc) << 16) ^ (index >> 32)).to_be_bytes());
        last.copy_from_slice(&(low ^ index as u32).to_be_bytes());
        nonce
    }

    /// RFC 7714 §9.1: 16 zero bits, SSRC, 16 zero bits, one zero bit, the 31-bit SRTCP index, XOR
    /// the salt. As a number that is what SRTP has.
    #[inline]
    fn rtcp_nonce(&self, ssrc: u32, word: u32) -> [u8; 12] {
        self.rtp_nonce(ssrc, u64::from(word & !ENCRYPTED))
    }

    /// Encrypts `packet` from `clear` on; what stands before is authenticated. `None` for bodies of
    /// gigabytes, far beyond `MAX_PACKET_LEN`.
    #[inline]
    pub(crate) fn seal(&self, packet: &mut [u8], clear: usize, nonce: [u8; 12]) -> Option<Tag> {
        let (head, body) = packet.split_at_mut(clear.min(packet.len()));
        self.seal_parts(head, body, nonce)
    }

    #[inline]
    fn seal_parts(&self, aad: &[u8], body: &mut [u8], nonce: [u8; 12]) -> Option<Tag> {
        self.key.seal(nonce, aad, body, Tag::from_aead)
    }

    /// Verifies and decrypts `packet` from `clear` on.
    #[inline]
    pub(crate) fn open(
        &self,
        packet: &mut [u8],
        clear: usize,
        nonce: [u8; 12],
        tag: &[u8],
    ) -> bool {
        let (head, body) = packet.split_at_mut(clear.min(packet.len()));
        self.open_parts(head, body, nonce, tag)
    }

    #[inline]
    fn open_parts(&self, aad: &[u8], body: &mut [u8], nonce: [u8; 12], tag: &[u8]) -> bool {
        self.key.open(nonce, aad, body, tag)
    }

    /// RFC 7714 §9.2 and §9.3: the index word is authenticated behind the header; a packet that is
    /// not encrypted is authenticated as a whole, the index word behind it.
    #[inline]
    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<Tag> {
        let nonce = self.rtcp_nonce(ssrc, word);
        match packet.split_first_chunk_mut::<RTCP_CLEAR_LEN>() {
            Some((head, body)) if word & ENCRYPTED != 0 => {
                self.seal_parts(&rtcp_aad(head, word), body, nonce)
            }
            _ => self.seal_parts(&with_word(packet, word), &mut [], nonce),
        }
    }

    #[inline]
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32, tag: &[u8]) -> bool {
        let nonce = self.rtcp_nonce(ssrc, word);
        match packet.split_first_chunk_mut::<RTCP_CLEAR_LEN>() {
            Some((head, body)) if word & ENCRYPTED != 0 => {
                self.open_parts(&rtcp_aad(head, word), body, nonce, tag)
            }
            _ => self.open_parts(&with_word(packet, word), &mut [], nonce, tag),
        }
    }
}

#[inline]
fn rtcp_aad(head: &[u8; RTCP_CLEAR_LEN], word: u32) -> [u8; RTCP_CLEAR_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0u8; RTCP_CLEAR_LEN + RTCP_INDEX_LEN];
    let (first, last) = aad.split_at_mut(RTCP_CLEAR_LEN);
    first.copy_from_slice(head);
    last.copy_from_slice(&word.to_be_bytes());
    aad
}

/// SRTCP without encryption is rare enough (WebRTC forbids it) for an allocation.
fn with_word(packet: &[u8], word: u32) -> Vec<u8> {
    let mut aad = Vec::with_capacity(packet.len() + RTCP_INDEX_LEN);
    aad.extend_from_slice(packet);
    aad.extend_from_slice(&word.to_be_bytes());
    aad
}
