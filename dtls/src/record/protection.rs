//! How the records of an epoch are protected in one direction: keys, nonces
//! and associated data.

use crate::crypto::aead::{AeadKey, Algorithm, CryptoError, MaskKey};
use crate::crypto::schedule12::DirectionKeys;
use crate::crypto::schedule13::TrafficKeys;
use crate::limits::MAX_CID;
use crate::provider::Backend;
use crate::wire::hello::DTLS12;
use crate::wire::record::{ContentType, RecordNumber};

/// Keys of one direction of one epoch. Behind a pointer: epochs are moved as
/// they come and go, and the plain one has none.
#[derive(Debug)]
pub(crate) enum Protection {
    Plain,
    Tls12(Box<Keys12>),
    Tls13(Box<Keys13>),
    /// Keys of 1.3 wanted only for what the peer may send again: made ready for
    /// each such record, they take a tenth of the room until then.
    Asleep13(Box<Raw13>),
}

/// Keys of 1.3 as the schedule gave them.
pub(crate) struct Raw13 {
    keys: TrafficKeys,
    backend: Backend,
}

impl std::fmt::Debug for Raw13 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw13(..)")
    }
}

impl Raw13 {
    #[cold]
    pub(super) fn wake(&self) -> Result<Keys13, CryptoError> {
        Keys13::new(self.backend, &self.keys)
    }
}

/// Keys of 1.2.
#[derive(Debug)]
pub(crate) struct Keys12 {
    pub(super) aead: AeadKey,
    iv: Iv,
    pub(super) algorithm: Algorithm,
}

/// Keys of 1.3.
#[derive(Debug)]
pub(crate) struct Keys13 {
    pub(super) aead: AeadKey,
    pub(super) mask: MaskKey,
    iv: Iv,
    pub(super) algorithm: Algorithm,
    raw: Option<Raw13>,
}

impl Protection {
    pub(crate) fn tls12(
        backend: Backend,
        algorithm: Algorithm,
        keys: &DirectionKeys,
    ) -> Result<Self, CryptoError> {
        // With AES-GCM the fixed part has zeros where the explicit one goes.
        debug_assert!(algorithm.fixed_iv_length() == 12 || keys.iv[4..] == [0; 8]);
        Ok(Self::Tls12(Box::new(Keys12 {
            aead: AeadKey::new(backend, algorithm, keys.key())?,
            iv: Iv::new(keys.iv),
            algorithm,
        })))
    }

    pub(crate) fn tls13(backend: Backend, keys: TrafficKeys) -> Result<Self, CryptoError> {
        let ready = Keys13::new(backend, &keys)?;
        Ok(Self::Tls13(Box::new(Keys13 {
            raw: Some(Raw13 { keys, backend }),
            ..ready
        })))
    }

    /// Gives up what was made ready of keys that are hardly used any more.
    pub(super) fn fall_asleep(&mut self) {
        if let Self::Tls13(keys) = self
            && let Some(raw) = keys.raw.take()
        {
            *self = Self::Asleep13(Box::new(raw));
        }
    }

    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Plain => None,
            Self::Tls12(keys) => Some(keys.algorithm),
            Self::Tls13(keys) => Some(keys.algorithm),
            Self::Asleep13(raw) => Some(raw.keys.algorithm),
        }
    }
}

impl Keys12 {
    /// The nonce: with AES-GCM a fixed and an explicit part (RFC 5288 §3), with
    /// ChaCha20-Poly1305 the record's number (RFC 7905 §2).
    #[inline]
    pub(super) fn nonce(&self, explicit: [u8; 8]) -> [u8; 12] {
        self.iv.nonce(u64::from_be_bytes(explicit))
    }
}

impl Keys13 {
    fn new(backend: Backend, keys: &TrafficKeys) -> Result<Self, CryptoError> {
        Ok(Self {
            aead: AeadKey::new(backend, keys.algorithm, keys.key())?,
            mask: MaskKey::new(backend, keys.algorithm, keys.mask_key())?,
            iv: Iv::new(keys.iv),
            algorithm: keys.algorithm,
            raw: None,
        })
    }

    /// The nonce (RFC 8446 §5.3): in 1.3 the epoch is not part of the number
    /// (RFC 9147 §4.2.1).
    #[inline]
    pub(super) fn nonce(&self, sequence: u64) -> [u8; 12] {
        self.iv.nonce(sequence)
    }
}

// Nonces and short associated data are made in registers and stored in wide
// pieces: the AEAD loads them at once, and a wide load after narrow stores waits
// for all of them, which costs more than making them.

/// An IV of twelve octets as the first eight and the last four.
#[derive(Clone, Copy)]
struct Iv {
    high: u64,
    low: u32,
}

impl std::fmt::Debug for Iv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Iv(..)")
    }
}

impl Iv {
    fn new(iv: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, low @ ..] = iv;
        Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u32::from_be_bytes(low),
        }
    }

    /// The IV with a number XORed on its last eight octets.
    #[inline]
    fn nonce(self, number: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        let (first, last) = nonce.split_at_mut(8);
        first.copy_from_slice(&(self.high ^ number >> 32).to_be_bytes());
        last.copy_from_slice(&(self.low ^ number as u32).to_be_bytes());
        nonce
    }
}

/// Octets of [`aad12`] that are associated data.
pub(super) const AAD12: usize = 13;

/// Additional data of a 1.2 record without a connection ID (RFC 5246
/// §6.2.3.3), and three octets of zero.
#[inline]
pub(super) fn aad12(
    content_type: ContentType,
    number: RecordNumber,
    text_length: usize,
) -> [u8; 16] {
    let number = u128::from(u64::from_be_bytes(number.packed()));
    let rest = u64::from(content_type.0) << 56
        | u64::from(DTLS12) << 40
        | u64::from(text_length as u16) << 24;
    (number << 64 | u128::from(rest)).to_be_bytes()
}

/// The first octet of the unified header as we write it, 001CSLEE: no connection
/// ID, two octets of sequence number and a length (RFC 9147 §4).
#[inline]
pub(super) fn unified_flags(epoch: u64) -> u8 {
    0b0010_1100 | (epoch & 0b11) as u8
}

/// A unified header without a connection ID, and three octets of zero.
#[inline]
pub(super) fn unified_header(flags: u8, sequence: u16, length: u16) -> [u8; 8] {
    let header = u64::from(flags) << 56 | u64::from(sequence) << 40 | u64::from(length) << 24;
    header.to_be_bytes()
}

/// Calls `use_it` with the additional data of a 1.2 record with a connection
/// ID (RFC 9146 §5.3); nothing is put on the heap.
pub(super) fn with_cid_aad<T>(
    number: RecordNumber,
    cid: &[u8],
    text_length: usize,
    use_it: impl FnOnce(&[u8]) -> T,
) -> T {
    let mut aad = [0; 23 + MAX_CID];
    let mut length = 0;
    let mut push = |bytes: &[u8]| {
        if let Some(room) = aad.get_mut(length..length + bytes.len()) {
            room.copy_from_slice(bytes);
            length += bytes.len();
        }
    };
    let [major, minor] = DTLS12.to_be_bytes();
    let own = ContentType::TLS12_CID.0;
    push(&[0xff; 8]);
    push(&[own, cid.len() as u8, own, major, minor]);
    push(&number.packed());
    push(cid);
    push(&(text_length as u16).to_be_bytes());
    use_it(aad.get(..length).unwrap_or_default())
}
