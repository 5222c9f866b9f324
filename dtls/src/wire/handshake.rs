//! The handshake message header and its fragments (RFC 9147 §5.2).

use super::{Malformed, Reader, Write};

/// Length of the header before every fragment.
pub(crate) const HEADER: usize = 12;

macro_rules! handshake_types {
    ($($name:ident = $value:literal,)*) => {
        /// Handshake message types (RFC 8446 §4, RFC 5246 §7.4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum HandshakeType { $($name,)* Unknown(u8) }
        impl From<u8> for HandshakeType {
            fn from(value: u8) -> Self {
                match value { $($value => Self::$name,)* other => Self::Unknown(other) }
            }
        }
        impl From<HandshakeType> for u8 {
            fn from(value: HandshakeType) -> Self {
                match value { $(HandshakeType::$name => $value,)* HandshakeType::Unknown(other) => other }
            }
        }
    };
}

handshake_types! {
    HelloRequest = 0,
    ClientHello = 1,
    ServerHello = 2,
    HelloVerifyRequest = 3,
    NewSessionTicket = 4,
    RequestConnectionId = 9,
    NewConnectionId = 10,
    EncryptedExtensions = 8,
    Certificate = 11,
    ServerKeyExchange = 12,
    CertificateRequest = 13,
    ServerHelloDone = 14,
    CertificateVerify = 15,
    ClientKeyExchange = 16,
    Finished = 20,
    KeyUpdate = 24,
    MessageHash = 254,
}

/// One fragment as it came in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) kind: HandshakeType,
    /// Length of the whole message's body.
    pub(crate) length: usize,
    pub(crate) sequence: u16,
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let kind = HandshakeType::from(reader.u8()?);
        let length = reader.u24()? as usize;
        let sequence = reader.u16()?;
        let offset = reader.u24()? as usize;
        let bytes = reader.vec24()?;
        if offset
            .checked_add(bytes.len())
            .is_none_or(|end| end > length)
        {
            return Err(Malformed);
        }
        Ok(Self {
            kind,
            length,
            sequence,
            offset,
            bytes,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.u8(self.kind.into());
        out.u24(self.length);
        out.u16(self.sequence);
        out.u24(self.offset);
        out.u24(self.bytes.len());
        out.bytes(self.bytes);
    }
}

/// A whole handshake message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: HandshakeType,
    pub(crate) sequence: u16,
    pub(crate) body: Vec<u8>,
}
