//! Who may ask: preparation of names and passwords, the long-term mechanism of
//! RFC 8489 §9.2 on the client's side, and time-limited REST credentials.
//!
//! Short-term credentials (§9.1) need no machine: the key is
//! [`Key::from_bytes`](crate::integrity::Key::from_bytes) of the (prepared) password.

pub(crate) mod base64;
mod long_term;
mod nonce;
mod prepare;
mod rest;

pub use long_term::{Challenge, ChallengeError, LongTerm};
pub use nonce::{NONCE_COOKIE, SecurityFeatures};
pub use prepare::{PrepareError, opaque_string, saslprep};
pub use rest::{RestError, RestSecret};

use sha2::{Digest, Sha256};

/// `SHA-256(username ":" realm)`, the value of USERHASH (RFC 8489 §14.4), of
/// prepared strings.
pub fn user_hash(username: &str, realm: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [username, ":", realm] {
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}
