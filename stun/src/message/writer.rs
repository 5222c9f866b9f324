//! Appends one message to a caller's buffer.

use super::{Class, FINGERPRINT_XOR, MAGIC_COOKIE, Method, TransactionId, encode_type};
use crate::attributes::Attribute;
use crate::error::WriteError;
use crate::integrity::Key;
use crate::limits::{HEADER_LEN, MAX_MESSAGE_LEN};
use crate::message::AttributeType;

/// How far the message is closed: what may follow (RFC 8489 §14.5 to §14.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closed {
    Open,
    Integrity,
    IntegritySha256,
    Fingerprint,
}

/// Writes a message in place at the end of a buffer, without allocating when
/// the buffer has room.
///
/// The first fault is kept and told by [`Writer::finish`], so that a message
/// can be written in one chain; nothing of a faulty message stays in the buffer.
///
/// ```
/// use tincan_stun::attributes::{Priority, Username};
/// use tincan_stun::integrity::Key;
/// use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
///
/// let key = Key::from_bytes(b"the password of the other side");
/// let mut out = Vec::new();
/// let id = TransactionId::new([7; 12]);
/// let len = Writer::new(&mut out, Class::Request, Method::BINDING, id)
///     .push(&Username("theirs:ours"))
///     .push(&Priority(1))
///     .integrity(&key)
///     .fingerprint()
///     .finish()?;
/// assert_eq!(len, out.len());
///
/// let message = Message::parse(&out)?;
/// message.verify_fingerprint()?;
/// message.verify_integrity(&key)?;
/// assert_eq!(message.get::<Username<'_>>(), Some(Username("theirs:ours")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a message is complete only after finish()"]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    id: TransactionId,
    closed: Closed,
    error: Option<WriteError>,
}

impl<'b> Writer<'b> {
    /// Begins a message behind what `out` already holds.
    #[inline]
    pub fn new(out: &'b mut Vec<u8>, class: Class, method: Method, id: TransactionId) -> Self {
        let start = out.len();
        let [t0, t1] = encode_type(class, method).to_be_bytes();
        let [c0, c1, c2, c3] = MAGIC_COOKIE.to_be_bytes();
        let mut header = [
            t0, t1, 0, 0, c0, c1, c2, c3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        if let Some(field) = header.get_mut(8..) {
            field.copy_from_slice(id.as_bytes());
        }
        out.extend_from_slice(&header);
        Writer {
            out,
            start,
            id,
            closed: Closed::Open,
            error: None,
        }
    }

    /// The id given at the beginning.
    pub fn transaction_id(&self) -> TransactionId {
        self.id
    }

    /// Appends a typed attribute.
    #[inline]
    pub fn push<'a, A: Attribute<'a>>(self, attribute: &A) -> Self {
        self.attribute(A::TYPE, |id, out| attribute.encode(id, out))
    }

    /// Appends a typed attribute if there is one.
    #[inline]
    pub fn push_opt<'a, A: Attribute<'a>>(self, attribute: Option<&A>) -> Self {
        match attribute {
            Some(attribute) => self.push(attribute),
            None => self,
        }
    }

    /// Appends an attribute of any type from the octets of its value.
    #[inline]
    pub fn push_raw(self, kind: AttributeType, value: &[u8]) -> Self {
        self.attribute(kind, |_, out| {
            out.extend_from_slice(value);
            Ok(())
        })
    }

    #[inline]
    fn attribute(
        mut self,
        kind: AttributeType,
        encode: impl FnOnce(&TransactionId, &mut Vec<u8>) -> Result<(), WriteError>,
    ) -> Self {
        if self.error.is_some() {
            return self;
        }
        if self.closed != Closed::Open {
            self.error = Some(WriteError::Order(kind));
            return self;
        }
        let at = self.out.len();
        let [t0, t1] = kind.0.to_be_bytes();
        self.out.extend_from_slice(&[t0, t1, 0, 0]);
        if let Err(error) = encode(&self.id, self.out) {
            self.error = Some(error);
            return self;
        }
        let len = self.out.len() - at - 4;
        let Ok(field) = u16::try_from(len) else {
            self.error = Some(WriteError::ValueTooLong(kind));
            return self;
        };
        if let Some(slot) = self.out.get_mut(at + 2..at + 4) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        // Most values are aligned: copying no octets would still be a call.
        if !len.is_multiple_of(4) {
            self.out.extend_from_slice(&[0; 3][..4 - len % 4]);
        }
        self
    }

    /// Writes the length field as if `more` octets followed what is there.
    #[inline]
    fn set_length(&mut self, more: usize) -> bool {
        let total = self.out.len() - self.start + more;
        if total > MAX_MESSAGE_LEN {
            self.error = Some(WriteError::MessageTooLong);
            return false;
        }
        let field = u16::try_from(total - HEADER_LEN).unwrap_or(u16::MAX);
        if let Some(slot) = self.out.get_mut(self.start + 2..self.start + 4) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        true
    }

    fn may_close(&mut self, with: Closed, kind: AttributeType) -> bool {
        if self.error.is_none() && self.closed >= with {
            self.error = Some(WriteError::Order(kind));
        }
        self.error.is_none()
    }

    /// Closes with MESSAGE-INTEGRITY (HMAC-SHA1).
    #[inline]
    pub fn integrity(mut self, key: &Key) -> Self {
        if self.may_close(Closed::Integrity, AttributeType::MESSAGE_INTEGRITY)
            && self.set_length(24)
        {
            key.append_sha1(self.out, self.start, [0x00, 0x08, 0x00, 20]);
            self.closed = Closed::Integrity;
        }
        self
    }

    /// Closes with MESSAGE-INTEGRITY-SHA256, whole (32 octets).
    pub fn integrity_sha256(mut self, key: &Key) -> Self {
        if self.may_close(
            Closed::IntegritySha256,
            AttributeType::MESSAGE_INTEGRITY_SHA256,
        ) && self.set_length(36)
        {
            let mac = key.sha256_whole(self.out.get(self.start..).unwrap_or_default());
            self.out.extend_from_slice(&[0x00, 0x1C, 0x00, 32]);
            self.out.extend_from_slice(&mac);
            self.closed = Closed::IntegritySha256;
        }
        self
    }

    /// Closes with FINGERPRINT; nothing may follow.
    #[inline]
    pub fn fingerprint(mut self) -> Self {
        if self.may_close(Closed::Fingerprint, AttributeType::FINGERPRINT) && self.set_length(8) {
            let crc = crc32fast::hash(self.out.get(self.start..).unwrap_or_default());
            let [a, b, c, d] = (crc ^ FINGERPRINT_XOR).to_be_bytes();
            self.out
                .extend_from_slice(&[0x80, 0x28, 0x00, 4, a, b, c, d]);
            self.closed = Closed::Fingerprint;
        }
        self
    }

    /// Completes the header and returns the length of the message in octets.
    ///
    /// # Errors
    /// The first fault of the chain; `out` is then as it was before.
    #[inline]
    pub fn finish(mut self) -> Result<usize, WriteError> {
        if self.error.is_none() {
            self.set_length(0);
        }
        match self.error {
            Some(error) => {
                self.out.truncate(self.start);
                Err(error)
            }
            None => Ok(self.out.len() - self.start),
        }
    }
}
