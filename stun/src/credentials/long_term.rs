//! The client's side of the long-term mechanism (RFC 8489 §9.2): take the
//! challenge, sign what follows, refuse to be talked down to weaker means.

use core::fmt;

use zeroize::Zeroizing;

use super::{PrepareError, SecurityFeatures, opaque_string, saslprep, user_hash};
use crate::attributes::{
    ErrorCode, Nonce, PasswordAlgorithm, PasswordAlgorithmId, PasswordAlgorithms, Realm, UserHash,
    Username,
};
use crate::error::IntegrityError;
use crate::integrity::Key;
use crate::message::{AttributeType, Message, Writer};

/// What to do after a 401 or 438.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Send the request again, signed, with a new transaction id.
    Retry,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The server refuses the name or the password: a 401 to a signed request
    /// in the same realm.
    #[error("credentials rejected")]
    Rejected,
    /// The response lacks REALM or NONCE.
    #[error("challenge lacks realm or nonce")]
    Incomplete,
    /// The nonce announces PASSWORD-ALGORITHMS and there are none: somebody
    /// took them out (§9.2.1).
    #[error("password algorithms were removed from the challenge")]
    BidDown,
    /// No algorithm of the list is known here.
    #[error("no password algorithm in common")]
    NoCommonAlgorithm,
    /// Name or password have no prepared form.
    #[error("credentials cannot be prepared")]
    Prepare(#[from] PrepareError),
}

/// What a server's challenge settled.
#[derive(Clone)]
struct Session {
    realm: String,
    nonce: String,
    /// The server's list, to be echoed as it was, and what we chose of it.
    algorithms: Option<(Vec<u8>, PasswordAlgorithmId)>,
    anonymous: Option<[u8; 32]>,
    key: Key,
}

/// A name and a password towards one server.
#[derive(Clone)]
pub struct LongTerm {
    username: String,
    password: Zeroizing<String>,
    session: Option<Session>,
}

impl LongTerm {
    /// Not yet challenged: [`LongTerm::sign`] does nothing before
    /// [`LongTerm::challenged`].
    pub fn new(username: &str, password: &str) -> LongTerm {
        LongTerm {
            username: username.to_owned(),
            password: Zeroizing::new(password.to_owned()),
            session: None,
        }
    }

    /// Whether a challenge was taken, so that requests are signed.
    pub fn is_ready(&self) -> bool {
        self.session.is_some()
    }

    /// The key in use, once challenged.
    pub fn key(&self) -> Option<&Key> {
        self.session.as_ref().map(|s| &s.key)
    }

    /// Forgets the challenge, as before talking to another server.
    pub fn reset(&mut self) {
        self.session = None;
    }

    /// Takes in a 401 or 438. `signed`: whether the request it answers was.
    ///
    /// # Errors
    /// See [`ChallengeError`]: the request is not to be repeated.
    pub fn challenged(
        &mut self,
        response: &Message<'_>,
        signed: bool,
    ) -> Result<Challenge, ChallengeError> {
        let nonce = response
            .get::<Nonce<'_>>()
            .ok_or(ChallengeError::Incomplete)?
            .0;
        let code = response.get::<ErrorCode<'_>>().map(|e| e.code());
        let realm = match (response.get::<Realm<'_>>(), &self.session) {
            (Some(realm), _) => realm.0,
            // Some servers leave the realm out of a 438.
            (None, Some(session)) if code == Some(438) => session.realm.as_str(),
            _ => return Err(ChallengeError::Incomplete),
        };
        if code == Some(401) && signed && self.session.as_ref().is_some_and(|s| s.realm == realm) {
            return Err(ChallengeError::Rejected);
        }
        let features = SecurityFeatures::of_nonce(nonce).unwrap_or_default();
        let algorithms = if features.has(SecurityFeatures::PASSWORD_ALGORITHMS) {
            let list = response
                .get::<PasswordAlgorithms<'_>>()
                .ok_or(ChallengeError::BidDown)?;
            let known = list.iter().find_map(|a| match a.id {
                PasswordAlgorithmId::Unknown(_) => None,
                known => Some(known),
            });
            let chosen = known.ok_or(ChallengeError::NoCommonAlgorithm)?;
            let raw = response
                .raw(AttributeType::PASSWORD_ALGORITHMS)
                .unwrap_or_default();
            Some((raw.to_vec(), chosen))
        } else {
            None
        };
        let anonymous = features.has(SecurityFeatures::USERNAME_ANONYMITY);
        self.session = Some(self.open(realm, nonce, algorithms, anonymous)?);
        Ok(Challenge::Retry)
    }

    fn open(
        &self,
        realm: &str,
        nonce: &str,
        algorithms: Option<(Vec<u8>, PasswordAlgorithmId)>,
        anonymous: bool,
    ) -> Result<Session, ChallengeError> {
        let chosen = algorithms.as_ref().map(|(_, chosen)| *chosen);
        // Servers without PASSWORD-ALGORITHMS are of RFC 5389, which prepares
        // with SASLprep. The two differ only outside of ASCII.
        let key = if chosen == Some(PasswordAlgorithmId::Sha256) {
            let password = Zeroizing::new(opaque_string(&self.password)?.into_owned());
            Key::long_term_sha256(&opaque_string(&self.username)?, realm, &password)
        } else if chosen.is_some() {
            let password = Zeroizing::new(opaque_string(&self.password)?.into_owned());
            Key::long_term_md5(&opaque_string(&self.username)?, realm, &password)
        } else {
            let password = Zeroizing::new(saslprep(&self.password)?.into_owned());
            Key::long_term_md5(&saslprep(&self.username)?, realm, &password)
        };
        let anonymous = if anonymous {
            Some(user_hash(&opaque_string(&self.username)?, realm))
        } else {
            None
        };
        Ok(Session {
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            algorithms,
            anonymous,
            key,
        })
    }

    /// A response may bring the nonce for the next request.
    pub fn take_nonce(&mut self, response: &Message<'_>) {
        if let (Some(session), Some(nonce)) = (&mut self.session, response.get::<Nonce<'_>>()) {
            nonce.0.clone_into(&mut session.nonce);
        }
    }

    /// Appends name, realm, nonce and integrity (§9.2.3.2). Before a challenge
    /// it appends nothing: the first request goes out bare (§9.2.3.1).
    pub fn sign<'b>(&self, writer: Writer<'b>) -> Writer<'b> {
        let Some(session) = &self.session else {
            return writer;
        };
        let writer = match session.anonymous {
            Some(hash) => writer.push(&UserHash(hash)),
            None => writer.push(&Username(&self.username)),
        };
        let writer = writer
            .push(&Realm(&session.realm))
            .push(&Nonce(&session.nonce));
        match &session.algorithms {
            Some((list, chosen)) => writer
                .push_raw(AttributeType::PASSWORD_ALGORITHMS, list)
                .push(&PasswordAlgorithm {
                    id: *chosen,
                    parameters: &[],
                })
                .integrity_sha256(&session.key),
            None => writer.integrity(&session.key),
        }
    }

    /// Verifies a response to a signed request (§9.2.5).
    ///
    /// # Errors
    /// The integrity is missing or wrong, or weaker than what was agreed.
    pub fn verify(&self, response: &Message<'_>) -> Result<(), IntegrityError> {
        let Some(session) = &self.session else {
            return Err(IntegrityError::Missing);
        };
        match session.algorithms {
            Some(_) => response.verify_integrity_sha256(&session.key),
            None => response.verify_integrity(&session.key),
        }
    }
}

impl fmt::Debug for LongTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTerm")
            .field("username", &self.username)
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}
