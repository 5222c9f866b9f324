//! Time-limited credentials that a web service hands out and a TURN server
//! checks without asking it (draft-uberti-behave-turn-rest): the name is
//! `expiry:user`, the password base64(HMAC-SHA1(secret, name)).

use core::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::base64;
use crate::integrity::Key;

/// A name that is no valid time-limited one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// The name does not begin with a number of seconds.
    #[error("user name holds no expiry time")]
    Malformed,
    /// The time in the name has passed.
    #[error("credentials have expired")]
    Expired,
}

/// The secret that the web service and the TURN server share.
#[derive(Clone)]
pub struct RestSecret {
    key: Key,
}

impl RestSecret {
    /// From the octets of the shared secret.
    pub fn new(secret: &[u8]) -> RestSecret {
        RestSecret {
            key: Key::from_bytes(secret),
        }
    }

    /// What the web service hands out: a name that is good for `lifetime`
    /// after `now`, and its password.
    pub fn issue(
        &self,
        now: SystemTime,
        lifetime: Duration,
        user: &str,
    ) -> (String, Zeroizing<String>) {
        let expiry = now.duration_since(UNIX_EPOCH).unwrap_or_default() + lifetime;
        let name = if user.is_empty() {
            expiry.as_secs().to_string()
        } else {
            format!("{}:{user}", expiry.as_secs())
        };
        let password = self.password(&name);
        (name, password)
    }

    /// The password of a name, whatever its time.
    pub fn password(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(base64::encode(&self.key.sha1_of_text(name)))
    }

    /// The password of a name that is still good at `now`.
    ///
    /// # Errors
    /// The name holds no time, or one that has passed.
    pub fn check(&self, now: SystemTime, name: &str) -> Result<Zeroizing<String>, RestError> {
        let expiry = name.split_once(':').map_or(name, |(expiry, _)| expiry);
        let expiry: u64 = expiry.parse().map_err(|_| RestError::Malformed)?;
        if now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() >= expiry {
            return Err(RestError::Expired);
        }
        Ok(self.password(name))
    }
}

impl fmt::Debug for RestSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_good_until_their_time() {
        let secret = RestSecret::new(b"north");
        let now = UNIX_EPOCH + Duration::from_secs(1_433_895_918);
        let (name, password) = secret.issue(now, Duration::from_secs(86_400), "alice");
        assert_eq!(name, "1433982318:alice");
        assert_eq!(secret.check(now, &name).unwrap(), password);
        assert_eq!(password.len(), 28);
        let later = now + Duration::from_secs(86_400);
        assert_eq!(secret.check(later, &name), Err(RestError::Expired));
        assert_eq!(secret.check(now, "alice"), Err(RestError::Malformed));
    }
}
