//! DTLS: `fingerprint`, `setup`, `tls-id`, `identity`.

use std::fmt::{self, Display};

use crate::error::{Rule, ValueError};
use crate::scan::{Grammar, Scan, closed_words, from_str, open_words, push_bounded};

open_words! {
    /// A certificate fingerprint's hash function (RFC 8122 §5).
    HashFunction {
        /// SHA-1.
        Sha1 = "sha-1",
        /// SHA-224.
        Sha224 = "sha-224",
        /// SHA-256: what everybody uses.
        Sha256 = "sha-256",
        /// SHA-384.
        Sha384 = "sha-384",
        /// SHA-512.
        Sha512 = "sha-512",
        /// MD5, which nobody may use.
        Md5 = "md5",
        /// MD2, which nobody may use.
        Md2 = "md2",
    }
}

impl HashFunction {
    /// Bytes of its digests, where known.
    pub fn digest_len(&self) -> Option<usize> {
        match self {
            Self::Sha1 => Some(20),
            Self::Sha224 => Some(28),
            Self::Sha256 => Some(32),
            Self::Sha384 => Some(48),
            Self::Sha512 => Some(64),
            Self::Md5 | Self::Md2 => Some(16),
            Self::Other(_) => None,
        }
    }
}

/// `a=fingerprint`: the digest of a certificate (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The hash function.
    pub hash: HashFunction,
    /// The digest's bytes.
    pub digest: Vec<u8>,
}

impl Grammar for Fingerprint {
    const CALLED: &'static str = "fingerprint";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let hash = HashFunction::from_word(scan.token()?);
        scan.space()?;
        let mut digest = Vec::with_capacity(hash.digest_len().unwrap_or(0));
        loop {
            let byte = scan.hex_byte()?;
            push_bounded(scan, &mut digest, byte)?;
            if !scan.take(b':') {
                break;
            }
        }
        if let Some(len) = hash.digest_len()
            && len != digest.len()
        {
            return Err(scan.error(Rule::Contradiction));
        }
        Ok(Self { hash, digest })
    }
}

impl Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.hash)?;
        for (at, byte) in self.digest.iter().enumerate() {
            if at > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

closed_words! {
    /// `a=setup`: who begins (RFC 4145 §4).
    Setup, "setup" {
        /// Begins: the DTLS client.
        Active = "active",
        /// Waits: the DTLS server.
        Passive = "passive",
        /// Either: what an offer says.
        ActPass = "actpass",
        /// Not now.
        HoldConn = "holdconn",
    }
}

/// `a=tls-id`: names a DTLS association (RFC 8842 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsId(String);

impl TlsId {
    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grammar for TlsId {
    const CALLED: &'static str = "tls-id";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let word = scan.word()?;
        if scan.is_strict() {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
            if !word.bytes().all(good) {
                return Err(scan.error_in(word, Rule::IceChar));
            }
            if !(20..=255).contains(&word.len()) {
                return Err(scan.error_in(word, Rule::Length { min: 20, max: 255 }));
            }
        }
        Ok(Self(word.to_owned()))
    }
}

impl Display for TlsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `a=identity`: an identity provider's assertion (RFC 8827 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The assertion, in base64.
    pub assertion: String,
    /// Extensions, as they were written, without the `;` between them.
    pub extensions: Vec<String>,
}

impl Identity {
    /// An assertion in base64, without extensions.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        struct Encoded<'a>(&'a [u8]);
        impl Display for Encoded<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                crate::base64::encode(self.0, f)
            }
        }
        Self {
            assertion: Encoded(bytes).to_string(),
            extensions: Vec::new(),
        }
    }

    /// The bytes of the assertion: JSON in UTF-8 (RFC 8827 §5). `None` if it is not base64.
    pub fn decode(&self) -> Option<Vec<u8>> {
        crate::base64::decode(&self.assertion)
    }
}

impl Grammar for Identity {
    const CALLED: &'static str = "identity";

    fn read(scan: &mut Scan<'_>) -> Result<Self, ValueError> {
        let assertion = scan.word_until(b';')?;
        if !crate::base64::is_base64(assertion) {
            return Err(scan.error_in(assertion, Rule::Base64));
        }
        let assertion = assertion.to_owned();
        let mut extensions = Vec::new();
        scan.run(|byte| byte == b' ');
        while scan.take(b';') {
            scan.run(|byte| byte == b' ');
            let extension = scan.run(|byte| byte != b';').trim_ascii_end().to_owned();
            push_bounded(scan, &mut extensions, extension)?;
        }
        Ok(Self {
            assertion,
            extensions,
        })
    }
}

impl Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.assertion)?;
        self.extensions
            .iter()
            .try_for_each(|extension| write!(f, "; {extension}"))
    }
}

from_str!(Fingerprint, TlsId, Identity);
