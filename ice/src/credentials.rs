//! User name fragments and passwords (RFC 8445 §5.3, RFC 8839 §5.4).

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use zeroize::Zeroize;

/// Why a user name fragment or password was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The fragment has fewer than 4 or more than 256 characters (RFC 8839 §5.4).
    #[error("user name fragment has {0} characters, not 4 to 256")]
    UfragLength(usize),
    /// The password has fewer than 22 or more than 256 characters (RFC 8839 §5.4).
    #[error("password has {0} characters, not 22 to 256")]
    PasswordLength(usize),
    /// A character is no `ice-char`: a letter, a digit, `+` or `/`.
    #[error("a character is not a letter, digit, '+' or '/'")]
    Character,
}

const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Some deployed peers use `-`, `_` and `=` too; they harm nobody.
fn is_ice_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Eight characters: 48 bits, where the standard asks for 24; thousands of
/// agents behind one socket are told apart by it.
const UFRAG_CHARS: usize = 8;
/// Twenty-four characters: 144 bits, where the standard asks for 128.
const PASSWORD_CHARS: usize = 24;

fn random_chars<const N: usize>(rng: &mut impl Rng) -> [u8; N] {
    let mut bytes = [0u8; N];
    rng.fill_bytes(&mut bytes);
    for b in &mut bytes {
        *b = ICE_CHARS[usize::from(*b & 63)];
    }
    bytes
}

/// A user name fragment: names one end of one ICE generation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ufrag(Box<str>);

impl Ufrag {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let mut chars = random_chars::<UFRAG_CHARS>(rng);
        // A leading '+' or '/' is legal, but trips naive URL and log handling.
        chars[0] = ICE_CHARS[usize::from(chars[0]) % 52];
        Self(String::from_utf8_lossy(&chars).into())
    }
}

impl FromStr for Ufrag {
    type Err = CredentialsError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if !(4..=256).contains(&s.len()) {
            return Err(CredentialsError::UfragLength(s.len()));
        }
        if !s.bytes().all(is_ice_char) {
            return Err(CredentialsError::Character);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password: the key of the checks' integrity. Never printed, zeroized on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The characters, for signalling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let chars = random_chars::<PASSWORD_CHARS>(rng);
        Self(String::from_utf8_lossy(&chars).into_owned())
    }
}

impl FromStr for Password {
    type Err = CredentialsError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if !(22..=256).contains(&s.len()) {
            return Err(CredentialsError::PasswordLength(s.len()));
        }
        if !s.bytes().all(is_ice_char) {
            return Err(CredentialsError::Character);
        }
        Ok(Self(s.to_owned()))
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The credentials of one end of one ICE generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the end in the USERNAME of checks; `a=ice-ufrag`.
    pub ufrag: Ufrag,
    /// Keys the integrity of checks sent to this end; `a=ice-pwd`.
    pub pwd: Password,
}

impl Credentials {
    /// Takes what signalling brought.
    ///
    /// # Errors
    /// A length or character that RFC 8839 §5.4 forbids.
    pub fn new(ufrag: &str, pwd: &str) -> Result<Self, CredentialsError> {
        Ok(Self {
            ufrag: ufrag.parse()?,
            pwd: pwd.parse()?,
        })
    }

    /// Draws fresh ones.
    #[must_use]
    pub fn random(rng: &mut impl Rng) -> Self {
        Self {
            ufrag: Ufrag::random(rng),
            pwd: Password::random(rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn random_credentials_are_legal_and_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        let a = Credentials::random(&mut rng);
        let b = Credentials::random(&mut rng);
        assert_ne!(a, b);
        assert_eq!(
            Credentials::new(a.ufrag.as_str(), a.pwd.as_str()).as_ref(),
            Ok(&a)
        );
    }

    #[test]
    fn refuses_short_and_strange_ones() {
        let pwd = "x".repeat(22);
        assert_eq!(
            Credentials::new("abc", &pwd),
            Err(CredentialsError::UfragLength(3))
        );
        assert_eq!(
            Credentials::new("ab:d", &pwd),
            Err(CredentialsError::Character)
        );
        assert_eq!(
            Credentials::new("abcd", "short"),
            Err(CredentialsError::PasswordLength(5))
        );
    }

    #[test]
    fn debug_does_not_print_the_password() {
        let c = Credentials::new("abcd", "secretsecretsecretsecret").ok();
        assert!(!format!("{c:?}").contains("secret"));
    }
}
