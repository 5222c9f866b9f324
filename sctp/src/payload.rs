//! A received message: slices of the datagrams that brought it.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// The octets of a received message, as slices of the datagrams that they arrived in.
///
/// A message that fitted one packet is one slice; a longer one is a list of slices in order.
/// Nothing is copied unless [`into_bytes`](Self::into_bytes) has to join slices.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    repr: Repr,
}

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    One(Bytes),
    Many { parts: Vec<Bytes>, len: usize },
}

impl Payload {
    pub(crate) fn from_parts(parts: Vec<Bytes>, len: usize) -> Self {
        Self {
            repr: Repr::Many { parts, len },
        }
    }

    /// Length in octets.
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::One(bytes) => bytes.len(),
            Repr::Many { len, .. } => *len,
        }
    }

    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices in order.
    pub fn fragments(&self) -> &[Bytes] {
        match &self.repr {
            Repr::One(bytes) => std::slice::from_ref(bytes),
            Repr::Many { parts, .. } => parts,
        }
    }

    /// All octets as one piece: free for a message of one slice, one copy for others.
    pub fn into_bytes(self) -> Bytes {
        match self.repr {
            Repr::One(bytes) => bytes,
            Repr::Many { mut parts, len } => {
                if parts.len() == 1
                    && let Some(only) = parts.pop()
                {
                    return only;
                }
                let mut whole = BytesMut::with_capacity(len);
                for part in &parts {
                    whole.extend_from_slice(part);
                }
                whole.freeze()
            }
        }
    }

    /// All octets as a new vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.fragments().concat()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self {
            repr: Repr::One(bytes),
        }
    }
}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        for part in self.fragments() {
            match rest.split_at_checked(part.len()) {
                Some((head, tail)) if head == part => rest = tail,
                _ => return false,
            }
        }
        rest.is_empty()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Payload({} octets in {} slices)",
            self.len(),
            self.fragments().len()
        )
    }
}
