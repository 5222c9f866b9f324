//! Messages: a view that validates once and a writer that appends in place.
//!
//! [`Message::parse`] walks the attributes once, checks every length and
//! remembers where the integrity and the fingerprint stand; all that follows
//! (iterators, typed getters, verification) is without allocation and without
//! further structural errors. Attributes that follow the integrity and that
//! RFC 8489 §14.5 and §14.6 say to ignore are not shown.

mod header;
mod types;
mod writer;

use subtle::ConstantTimeEq;

pub use header::{Class, MAGIC_COOKIE, Method, TieBreaker, TransactionId, is_stun};
pub(crate) use header::{decode_type, encode_type};
pub use types::AttributeType;
pub use writer::Writer;

use crate::attributes::Attribute;
use crate::error::{AttributeError, FingerprintError, IntegrityError, ParseError};
use crate::integrity::Key;
use crate::limits::{HEADER_LEN, MAX_ATTRIBUTES};

/// FINGERPRINT is the CRC-32 of the message XORed with this (RFC 8489 §14.7).
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// A validated view of one message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// End of the attributes that count.
    end: usize,
    /// Where the header of the attribute begins; zero when there is none.
    integrity: usize,
    integrity_sha256: usize,
    fingerprint: usize,
}

/// An attribute as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// The type.
    pub kind: AttributeType,
    /// The value without its padding.
    pub value: &'a [u8],
}

/// Splits one attribute from the front: type, value, and what follows.
#[inline(always)]
fn split_attribute(rest: &[u8]) -> Option<(AttributeType, &[u8], &[u8])> {
    let (&[t0, t1, l0, l1], body) = rest.split_first_chunk::<4>()?;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let padded = (len + 3) & !3;
    let after = body.get(padded..)?;
    let value = body.get(..len)?;
    Some((AttributeType(u16::from_be_bytes([t0, t1])), value, after))
}

impl<'a> Message<'a> {
    /// Checks the structure of `bytes`, which must be exactly one message.
    ///
    /// # Errors
    /// See [`ParseError`]. On a stream, cut messages out first with
    /// [`framing`](crate::framing).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let Some((&[b0, _, l0, l1, c0, c1, c2, c3, ..], mut rest)) =
            bytes.split_first_chunk::<HEADER_LEN>()
        else {
            return Err(ParseError::Short);
        };
        if b0 & 0xC0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::NotStun);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len & 3 != 0 {
            return Err(ParseError::Unaligned);
        }
        if len != rest.len() {
            return Err(ParseError::LengthMismatch);
        }
        let mut message = Message {
            bytes,
            end: bytes.len(),
            integrity: 0,
            integrity_sha256: 0,
            fingerprint: 0,
        };
        let mut count = 0;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let Some((kind, value, after)) = split_attribute(rest) else {
                return Err(ParseError::TruncatedAttribute);
            };
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err(ParseError::TooManyAttributes);
            }
            if message.fingerprint != 0 {
                return Err(ParseError::AfterFingerprint);
            }
            match kind {
                AttributeType::MESSAGE_INTEGRITY => {
                    if value.len() != 20 {
                        return Err(ParseError::BadLength(kind));
                    }
                    // After MESSAGE-INTEGRITY-SHA256 only FINGERPRINT counts (§14.6).
                    if message.integrity == 0 && message.integrity_sha256 == 0 {
                        message.integrity = at;
                        message.end = message.end.min(after_of(bytes, after));
                    }
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 => {
                    if value.len() < 16 || value.len() > 32 || value.len() & 3 != 0 {
                        return Err(ParseError::BadLength(kind));
                    }
                    if message.integrity_sha256 == 0 {
                        message.integrity_sha256 = at;
                        message.end = message.end.min(after_of(bytes, after));
                    }
                }
                AttributeType::FINGERPRINT => {
                    if value.len() != 4 {
                        return Err(ParseError::BadLength(kind));
                    }
                    message.fingerprint = at;
                }
                _ => {}
            }
            rest = after;
        }
        Ok(message)
    }

    /// The whole message as given.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the message is within its transaction.
    #[inline]
    pub fn class(&self) -> Class {
        decode_type(self.type_field()).0
    }

    /// What the message asks for or answers.
    #[inline]
    pub fn method(&self) -> Method {
        decode_type(self.type_field()).1
    }

    #[inline]
    fn type_field(&self) -> u16 {
        match self.bytes.first_chunk::<2>() {
            Some(field) => u16::from_be_bytes(*field),
            None => 0,
        }
    }

    /// The transaction it belongs to.
    #[inline]
    pub fn transaction_id(&self) -> TransactionId {
        let id = self.bytes.get(8..20).and_then(|id| id.first_chunk::<12>());
        TransactionId::new(id.copied().unwrap_or_default())
    }

    /// The attributes in their order, without those that must be ignored
    /// because they follow the integrity; the integrity itself is among them,
    /// the fingerprint is not.
    pub fn attributes(&self) -> Attributes<'a> {
        let mut end = self.end;
        if self.fingerprint != 0 {
            end = end.min(self.fingerprint);
        }
        Attributes {
            rest: self.bytes.get(HEADER_LEN..end).unwrap_or_default(),
        }
    }

    /// The value of the first attribute of this type, as octets.
    #[inline]
    pub fn raw(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|a| a.kind == kind).map(|a| a.value)
    }

    /// Whether an attribute of this type is there.
    #[inline]
    pub fn has(&self, kind: AttributeType) -> bool {
        self.raw(kind).is_some()
    }

    /// The first attribute of type `A`; `None` when it is missing or malformed.
    #[inline]
    pub fn get<A: Attribute<'a>>(&self) -> Option<A> {
        A::decode(self.raw(A::TYPE)?, &self.transaction_id())
    }

    /// The first attribute of type `A`, telling a malformed one from none.
    ///
    /// # Errors
    /// The attribute is there and its value is not what the type says.
    pub fn try_get<A: Attribute<'a>>(&self) -> Result<Option<A>, AttributeError> {
        match self.raw(A::TYPE) {
            None => Ok(None),
            Some(value) => match A::decode(value, &self.transaction_id()) {
                Some(attribute) => Ok(Some(attribute)),
                None => Err(AttributeError(A::TYPE)),
            },
        }
    }

    /// Every attribute of type `A` that is well formed, in order (a
    /// CreatePermission request has many XOR-PEER-ADDRESSes).
    pub fn get_all<A: Attribute<'a>>(&self) -> impl Iterator<Item = A> + use<'a, A> {
        let id = self.transaction_id();
        self.attributes()
            .filter(|a| a.kind == A::TYPE)
            .filter_map(move |a| A::decode(a.value, &id))
    }

    /// Types below 0x8000 that are not among `known`: a request with such is
    /// answered 420 with UNKNOWN-ATTRIBUTES, anything else is dropped
    /// (RFC 8489 §6.3.1 to §6.3.4). The integrity attributes are always known.
    pub fn unknown_required<'k>(
        &self,
        known: &'k [AttributeType],
    ) -> impl Iterator<Item = AttributeType> + use<'a, 'k> {
        self.attributes().map(|a| a.kind).filter(|kind| {
            kind.is_comprehension_required()
                && *kind != AttributeType::MESSAGE_INTEGRITY
                && *kind != AttributeType::MESSAGE_INTEGRITY_SHA256
                && !known.contains(kind)
        })
    }

    /// Whether MESSAGE-INTEGRITY is there.
    pub fn has_integrity(&self) -> bool {
        self.integrity != 0
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there.
    pub fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256 != 0
    }

    /// Whether FINGERPRINT is there.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint != 0
    }

    /// Verifies MESSAGE-INTEGRITY (HMAC-SHA1; RFC 8489 §14.5), in constant time.
    ///
    /// # Errors
    /// The attribute is missing, or is not that of these octets under `key`.
    #[inline]
    pub fn verify_integrity(&self, key: &Key) -> Result<(), IntegrityError> {
        let at = self.integrity;
        let found = self.bytes.get(at + 4..at + 24).filter(|_| at != 0);
        let (found, head) = found
            .zip(self.bytes.get(..at))
            .ok_or(IntegrityError::Missing)?;
        let computed = key.sha1_of(head, at + 24 - HEADER_LEN);
        if bool::from(computed.ct_eq(found)) {
            Ok(())
        } else {
            Err(IntegrityError::Mismatch)
        }
    }

    /// Verifies MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6), cut or whole, in
    /// constant time.
    ///
    /// # Errors
    /// The attribute is missing, or is not that of these octets under `key`.
    pub fn verify_integrity_sha256(&self, key: &Key) -> Result<(), IntegrityError> {
        let at = self.integrity_sha256;
        if at == 0 {
            return Err(IntegrityError::Missing);
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        let (head, (_, found, _)) = self
            .bytes
            .get(..at)
            .zip(split_attribute(rest))
            .ok_or(IntegrityError::Missing)?;
        let computed = key.sha256_of(head, at + 4 + found.len() - HEADER_LEN);
        let computed = computed.get(..found.len()).unwrap_or_default();
        if bool::from(computed.ct_eq(found)) {
            Ok(())
        } else {
            Err(IntegrityError::Mismatch)
        }
    }

    /// Verifies the strongest integrity that the message has.
    ///
    /// # Errors
    /// As [`Message::verify_integrity`].
    pub fn verify_strongest(&self, key: &Key) -> Result<(), IntegrityError> {
        if self.has_integrity_sha256() {
            self.verify_integrity_sha256(key)
        } else {
            self.verify_integrity(key)
        }
    }

    /// Verifies FINGERPRINT (RFC 8489 §14.7).
    ///
    /// # Errors
    /// The attribute is missing or the checksum is another.
    #[inline]
    pub fn verify_fingerprint(&self) -> Result<(), FingerprintError> {
        let at = self.fingerprint;
        let found = self.bytes.get(at + 4..).and_then(|v| v.first_chunk::<4>());
        let found = found.filter(|_| at != 0);
        let (found, head) = found
            .zip(self.bytes.get(..at))
            .ok_or(FingerprintError::Missing)?;
        if crc32fast::hash(head) ^ FINGERPRINT_XOR == u32::from_be_bytes(*found) {
            Ok(())
        } else {
            Err(FingerprintError::Mismatch)
        }
    }
}

/// Where `after`, a tail of `bytes`, begins.
#[inline(always)]
fn after_of(bytes: &[u8], after: &[u8]) -> usize {
    bytes.len() - after.len()
}

impl core::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let kinds: Vec<_> = self.attributes().map(|a| a.kind).collect();
        f.debug_struct("Message")
            .field("class", &self.class())
            .field("method", &self.method())
            .field("transaction_id", &self.transaction_id())
            .field("attributes", &kinds)
            .finish_non_exhaustive()
    }
}

/// Iterator over the attributes of a message; see [`Message::attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let (kind, value, after) = split_attribute(self.rest)?;
        self.rest = after;
        Some(RawAttribute { kind, value })
    }
}
