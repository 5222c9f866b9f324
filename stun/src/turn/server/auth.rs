//! The server's side of the long-term mechanism (RFC 8489 §9.2.4): nonces
//! without a table, and who is behind a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;
use subtle::ConstantTimeEq;

use super::config::FiveTuple;
use crate::attributes::{
    ErrorCode, Nonce, PasswordAlgorithm, PasswordAlgorithmId, PasswordAlgorithms, Realm, UserHash,
    Username,
};
use crate::credentials::{RestSecret, SecurityFeatures, base64, user_hash};
use crate::integrity::Key;
use crate::message::{AttributeType, Message, Writer};
use crate::turn::Transport;

/// Knows users. The server asks it once a request.
pub trait Authenticator {
    /// The key of a user, or `None` when there is no such user (now).
    fn key(&mut self, username: &str, realm: &str, algorithm: PasswordAlgorithmId) -> Option<Key>;

    /// The name behind a USERHASH; `None` when it is not known, or user hashes
    /// are not supported, as by default.
    fn resolve(&mut self, hash: &[u8; 32], realm: &str) -> Option<String> {
        let _ = (hash, realm);
        None
    }

    /// The account that a name belongs to: what quotas count and what an
    /// allocation is owned by. The name itself unless names change with time.
    fn account<'u>(&self, username: &'u str) -> &'u str {
        username
    }
}

fn make_key(
    user: &str,
    realm: &str,
    password: &str,
    algorithm: PasswordAlgorithmId,
) -> Option<Key> {
    match algorithm {
        PasswordAlgorithmId::Md5 => Some(Key::long_term_md5(user, realm, password)),
        PasswordAlgorithmId::Sha256 => Some(Key::long_term_sha256(user, realm, password)),
        PasswordAlgorithmId::Unknown(_) => None,
    }
}

/// A fixed list of users of one realm. Keys are kept, not passwords.
#[derive(Clone, Debug, Default)]
pub struct Users {
    realm: String,
    keys: HashMap<String, (Key, Key)>,
    hashes: HashMap<[u8; 32], String>,
}

impl Users {
    /// No users yet; the realm must be that of the server's configuration.
    pub fn new(realm: &str) -> Users {
        Users {
            realm: realm.to_owned(),
            ..Users::default()
        }
    }

    /// Adds or replaces a user (prepared strings; see
    /// [`opaque_string`](crate::credentials::opaque_string)).
    pub fn add(&mut self, username: &str, password: &str) {
        let md5 = Key::long_term_md5(username, &self.realm, password);
        let sha256 = Key::long_term_sha256(username, &self.realm, password);
        self.keys.insert(username.to_owned(), (md5, sha256));
        self.hashes
            .insert(user_hash(username, &self.realm), username.to_owned());
    }

    /// Removes a user. Allocations that stand live until their next refresh.
    pub fn remove(&mut self, username: &str) {
        self.keys.remove(username);
        self.hashes.remove(&user_hash(username, &self.realm));
    }
}

impl Authenticator for Users {
    fn key(&mut self, username: &str, realm: &str, algorithm: PasswordAlgorithmId) -> Option<Key> {
        let (md5, sha256) = self.keys.get(username).filter(|_| realm == self.realm)?;
        match algorithm {
            PasswordAlgorithmId::Md5 => Some(md5.clone()),
            PasswordAlgorithmId::Sha256 => Some(sha256.clone()),
            PasswordAlgorithmId::Unknown(_) => None,
        }
    }

    fn resolve(&mut self, hash: &[u8; 32], realm: &str) -> Option<String> {
        self.hashes
            .get(hash)
            .filter(|_| realm == self.realm)
            .cloned()
    }
}

/// Time-limited users of a shared secret; see [`RestSecret`].
#[derive(Clone, Debug)]
pub struct RestUsers {
    secret: RestSecret,
    now: SystemTime,
}

impl RestUsers {
    /// Names are judged by the time that [`RestUsers::set_time`] gives last.
    pub fn new(secret: RestSecret, now: SystemTime) -> RestUsers {
        RestUsers { secret, now }
    }

    /// The wall clock, which no machine here reads by itself.
    pub fn set_time(&mut self, now: SystemTime) {
        self.now = now;
    }
}

impl Authenticator for RestUsers {
    fn key(&mut self, username: &str, realm: &str, algorithm: PasswordAlgorithmId) -> Option<Key> {
        let password = self.secret.check(self.now, username).ok()?;
        make_key(username, realm, &password, algorithm)
    }

    fn account<'u>(&self, username: &'u str) -> &'u str {
        username.split_once(':').map_or(username, |(_, user)| user)
    }
}

/// Nonces that prove themselves: features, time of making, and an HMAC of that
/// time and of the client's address under a key of this server.
///
/// Short, for a challenge must not be longer than it has to be. The seal keeps
/// a nonce from being used from elsewhere; who guesses one still lacks the
/// password.
#[derive(Debug)]
pub(super) struct Nonces {
    key: Key,
    epoch: Instant,
    lifetime: Duration,
    prefix: String,
}

impl Nonces {
    pub(super) fn new(
        features: SecurityFeatures,
        lifetime: Duration,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Nonces {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let prefix = features.to_nonce_prefix();
        Nonces {
            key: Key::from_bytes(&secret),
            epoch: now,
            lifetime,
            prefix,
        }
    }

    /// Time and seal, in twelve characters.
    fn seal(&self, stamp: u32, client: &FiveTuple) -> String {
        let mut input = [0; 4 + 16 + 2 + 1];
        input[..4].copy_from_slice(&stamp.to_be_bytes());
        let ip = match client.remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        input[4..20].copy_from_slice(&ip.octets());
        // A data connection (RFC 6062 §4.3) may be signed with the nonce of the
        // control connection; TCP has shown the address to be the client's.
        if client.transport == Transport::Udp {
            input[20..22].copy_from_slice(&client.remote.port().to_be_bytes());
        }
        input[22] = u8::from(client.transport == Transport::Tcp);
        let mac = self.key.sha256_whole(&input);
        let mut sealed = [0; 9];
        sealed[..4].copy_from_slice(&stamp.to_be_bytes());
        sealed[4..].copy_from_slice(&mac[..5]);
        base64::encode(&sealed)
    }

    pub(super) fn make(&self, now: Instant, client: &FiveTuple) -> String {
        let stamp = now.saturating_duration_since(self.epoch).as_secs() as u32;
        format!("{}{}", self.prefix, self.seal(stamp, client))
    }

    fn is_fresh(&self, now: Instant, client: &FiveTuple, nonce: &str) -> bool {
        let Some(rest) = nonce.strip_prefix(&self.prefix) else {
            return false;
        };
        let quads = rest
            .as_bytes()
            .first_chunk::<8>()
            .map(|q| q.as_chunks::<4>().0);
        let Some(&[first, second]) = quads else {
            return false;
        };
        let bits = base64::decode_quad(&first).zip(base64::decode_quad(&second));
        let Some(stamp) = bits.map(|(high, low)| high << 8 | low >> 16) else {
            return false;
        };
        let good = self.seal(stamp, client);
        let made = self.epoch + Duration::from_secs(stamp.into());
        bool::from(good.as_bytes().ct_eq(rest.as_bytes()))
            && now.saturating_duration_since(made) <= self.lifetime
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) account: String,
    /// Signs the answer; `None` where no credentials are asked for.
    pub(super) key: Option<(Key, bool)>,
}

impl Identity {
    pub(super) fn anonymous() -> Identity {
        Identity {
            account: String::new(),
            key: None,
        }
    }

    /// Closes an answer as the request was closed.
    pub(super) fn sign<'b>(&self, writer: Writer<'b>) -> Writer<'b> {
        match &self.key {
            Some((key, true)) => writer.integrity_sha256(key),
            Some((key, false)) => writer.integrity(key),
            None => writer,
        }
    }
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// 401: it is not signed.
    Bare,
    /// 401: unknown user or wrong password.
    Wrong,
    /// 400: attributes are missing or disagree.
    Malformed,
    /// 438.
    Stale,
}

impl Denied {
    /// Without the words: strangers get no longer answers than they must.
    pub(super) fn error(self) -> ErrorCode<'static> {
        match self {
            Denied::Bare | Denied::Wrong => ErrorCode::UNAUTHENTICATED,
            Denied::Malformed => ErrorCode::BAD_REQUEST,
            Denied::Stale => ErrorCode::STALE_NONCE,
        }
        .terse()
    }
}

/// The algorithms this server takes, best first.
pub(super) const ALGORITHMS: [PasswordAlgorithm<'static>; 2] =
    [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];

/// Checks a request in the order of RFC 8489 §9.2.4.
pub(super) fn authenticate(
    now: Instant,
    client: &FiveTuple,
    message: &Message<'_>,
    realm: &str,
    nonces: &Nonces,
    users: &mut impl Authenticator,
) -> Result<Identity, Denied> {
    if !message.has_integrity() && !message.has_integrity_sha256() {
        return Err(Denied::Bare);
    }
    let name = message.get::<Username<'_>>();
    let hash = message.get::<UserHash>();
    let (Some(given_realm), Some(nonce)) = (message.get::<Realm<'_>>(), message.get::<Nonce<'_>>())
    else {
        return Err(Denied::Malformed);
    };
    if name.is_none() && hash.is_none() {
        return Err(Denied::Malformed);
    }
    // Both or none, and the list as we sent it: otherwise somebody in between
    // talked the client down (§9.2.4).
    let chosen = message.get::<PasswordAlgorithm<'_>>();
    let listed = message.get::<PasswordAlgorithms<'_>>();
    let algorithm = match (chosen, listed) {
        (None, None) => PasswordAlgorithmId::Md5,
        (Some(chosen), Some(listed))
            if listed.iter().eq(ALGORITHMS) && ALGORITHMS.contains(&chosen) =>
        {
            chosen.id
        }
        _ => return Err(Denied::Malformed),
    };
    if !nonces.is_fresh(now, client, nonce.0) {
        return Err(Denied::Stale);
    }
    if given_realm.0 != realm {
        return Err(Denied::Wrong);
    }
    let username = match (name, hash) {
        (Some(name), _) => name.0.to_owned(),
        (None, Some(hash)) => users.resolve(&hash.0, realm).ok_or(Denied::Wrong)?,
        (None, None) => return Err(Denied::Malformed),
    };
    let key = users
        .key(&username, realm, algorithm)
        .ok_or(Denied::Wrong)?;
    let sha256 = message.has_integrity_sha256();
    message.verify_strongest(&key).map_err(|_| Denied::Wrong)?;
    let account = users.account(&username).to_owned();
    Ok(Identity {
        account,
        key: Some((key, sha256)),
    })
}

/// Appends what a client needs to try (again): 401 and 438 only.
pub(super) fn challenge<'b>(
    writer: Writer<'b>,
    denied: Denied,
    realm: &str,
    nonce: &str,
    algorithms: bool,
) -> Writer<'b> {
    if denied == Denied::Malformed {
        return writer;
    }
    let writer = writer.push(&Realm(realm)).push(&Nonce(nonce));
    if algorithms {
        writer.push(&PasswordAlgorithms::List(&ALGORITHMS))
    } else {
        writer
    }
}

/// Attributes a request may hold for authentication.
pub(super) const KNOWN: [AttributeType; 5] = [
    AttributeType::USERNAME,
    AttributeType::USERHASH,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::PASSWORD_ALGORITHM,
];
