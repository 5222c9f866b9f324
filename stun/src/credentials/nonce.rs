//! The nonce cookie: features that a server announces where nobody in between
//! can take them out unnoticed (RFC 8489 §9.2, §18.1).

use super::base64;

/// What a nonce with features begins with.
pub const NONCE_COOKIE: &str = "obMatJos2";

/// The 24 bits of security features; bit 0 of the registry is the leftmost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SecurityFeatures(u32);

impl SecurityFeatures {
    /// None.
    pub const NONE: SecurityFeatures = SecurityFeatures(0);
    /// Bit 0: the server sends PASSWORD-ALGORITHMS.
    pub const PASSWORD_ALGORITHMS: SecurityFeatures = SecurityFeatures(1 << 23);
    /// Bit 1: the server understands USERHASH.
    pub const USERNAME_ANONYMITY: SecurityFeatures = SecurityFeatures(1 << 22);

    /// Those of a nonce; `None` when it does not begin with the cookie.
    pub fn of_nonce(nonce: &str) -> Option<SecurityFeatures> {
        let rest = nonce.as_bytes().strip_prefix(NONCE_COOKIE.as_bytes())?;
        base64::decode_quad(rest.first_chunk::<4>()?).map(SecurityFeatures)
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: SecurityFeatures) -> SecurityFeatures {
        SecurityFeatures(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: SecurityFeatures) -> bool {
        self.0 & other.0 == other.0
    }

    /// The thirteen characters a nonce with these features begins with.
    pub fn to_nonce_prefix(self) -> String {
        let [_, a, b, c] = self.0.to_be_bytes();
        format!("{NONCE_COOKIE}{}", base64::encode(&[a, b, c]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_round_trip_through_a_nonce() {
        let both = SecurityFeatures::PASSWORD_ALGORITHMS.and(SecurityFeatures::USERNAME_ANONYMITY);
        assert_eq!(both.to_nonce_prefix(), "obMatJos2wAAA");
        assert_eq!(SecurityFeatures::of_nonce("obMatJos2wAAAxyz"), Some(both));
        assert_eq!(SecurityFeatures::of_nonce("obMatJos2wAA"), None);
        assert_eq!(SecurityFeatures::of_nonce("something else"), None);
    }
}
