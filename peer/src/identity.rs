//! Who the far side is (RFC 8827 §5, §7; W3C Identity for WebRTC): assertions of identity providers over the fingerprints of
//! a description.
//!
//! A provider is a service with a domain. What it says it says in a text that only it understands (the assertion), over
//! a text that only the two ends understand (the contents). No provider is asked from here: a connection says what is to
//! be asked ([`PeerConnection::poll_identity`]) and is told the answer, whenever that comes; a provider that answers at
//! once is an [`IdentityProvider`] and serves a connection with
//! [`serve_identity`](crate::PeerConnection::serve_identity).
//!
//! [`PeerConnection::poll_identity`]: crate::PeerConnection::poll_identity
//!
//! ```
//! use std::time::Instant;
//! use tincan_peer::*;
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! /// A directory that both ends share; a real one signs.
//! struct Directory(Vec<String>);
//!
//! impl IdentityProvider for Directory {
//!     fn generate_assertion(
//!         &mut self,
//!         contents: &str,
//!         options: &IdentityProviderOptions,
//!     ) -> Result<GeneratedAssertion, IdentityFault> {
//!         let user = options.username_hint.as_deref().ok_or(IdentityFault::NeedLogin)?;
//!         self.0.push(contents.to_owned());
//!         let assertion = format!("{user}/{}", self.0.len() - 1);
//!         Ok(GeneratedAssertion::new("example.org", assertion))
//!     }
//!
//!     fn validate_assertion(
//!         &mut self,
//!         _domain: &str,
//!         _protocol: &str,
//!         assertion: &str,
//!     ) -> Result<ValidatedAssertion, IdentityFault> {
//!         let (user, at) = assertion.split_once('/').ok_or(IdentityFault::TokenInvalid)?;
//!         let at: usize = at.parse().map_err(|_| IdentityFault::TokenInvalid)?;
//!         let contents = self.0.get(at).ok_or(IdentityFault::TokenInvalid)?;
//!         Ok(ValidatedAssertion { identity: format!("{user}@example.org"), contents: contents.clone() })
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
//! let mut directory = Directory(Vec::new());
//! let mut alice = PeerConnection::new(Configuration::default(), now, &mut rng)?;
//! alice.set_identity_provider(IdentityProviderOptions {
//!     username_hint: Some("alice".into()),
//!     ..IdentityProviderOptions::new("example.org")
//! })?;
//! alice.serve_identity(&mut directory)?;
//! alice.create_data_channel(now, "chat", DataChannelInit::default())?;
//! alice.set_local_description(now, None)?;
//! let offer = alice.local_description().ok_or(Error::NoRemoteDescription)?;
//! assert!(offer.sdp.contains("a=identity:"));
//!
//! // Bob talks to Alice and to nobody else.
//! let config = Configuration { peer_identity: Some("alice@example.org".into()), ..Default::default() };
//! let mut bob = PeerConnection::new(config, now, &mut rng)?;
//! // Who it is has to be known before the offer counts.
//! assert_eq!(bob.set_remote_description(now, offer.clone()), Err(Error::IdentityPending));
//! bob.serve_identity(&mut directory)?;
//! bob.set_remote_description(now, offer)?;
//! assert_eq!(bob.peer_identity().map(|id| id.name.as_str()), Some("alice@example.org"));
//! # Ok(())
//! # }
//! ```

use serde_json::{Value, json};
use tincan_sdp::attributes::Identity;

/// Which provider asserts who we are (`setIdentityProvider` with its `RTCIdentityProviderOptions`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProviderOptions {
    /// The provider's domain, or more of its authority.
    pub provider: String,
    /// Its protocol, without `/` and `\`.
    pub protocol: String,
    /// Which of a user's identities is wanted; the provider knows what it means.
    pub username_hint: Option<String>,
    /// Whom it is asserted to, for providers that bind both. `None`: as
    /// [`Configuration::peer_identity`](crate::Configuration::peer_identity) says.
    pub peer_identity: Option<String>,
}

impl IdentityProviderOptions {
    /// The protocol `default` of this provider.
    pub fn new(provider: impl Into<String>) -> Self {
        IdentityProviderOptions {
            provider: provider.into(),
            protocol: "default".to_owned(),
            username_hint: None,
            peer_identity: None,
        }
    }
}

/// What a provider asserts (`RTCIdentityAssertionResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedAssertion {
    /// The domain of the provider that can validate it.
    pub domain: String,
    /// That provider's protocol.
    pub protocol: String,
    /// The assertion, which only the provider understands.
    pub assertion: String,
}

impl GeneratedAssertion {
    /// For the protocol `default` of that domain.
    pub fn new(domain: impl Into<String>, assertion: impl Into<String>) -> Self {
        GeneratedAssertion {
            domain: domain.into(),
            protocol: "default".to_owned(),
            assertion: assertion.into(),
        }
    }
}

/// What a provider says of an assertion that is good (`RTCIdentityValidationResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedAssertion {
    /// `user@domain`, with `@` and `%` in `user` escaped by percent signs (RFC 8827 §7.5.1).
    pub identity: String,
    /// The contents that were asserted, unchanged.
    pub contents: String,
}

/// Who the far side is, as far as its provider is believed (`RTCIdentityAssertion`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityAssertion {
    /// The provider's domain.
    pub idp: String,
    /// `user@domain`.
    pub name: String,
}

/// What a provider is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityRequest {
    /// Assert these contents; the answer goes to
    /// [`identity_generated`](crate::PeerConnection::identity_generated).
    Generate {
        /// What is asserted: JSON with our fingerprints (RFC 8827 §7.4), which means nothing to the provider.
        contents: String,
        /// Which provider, for whom.
        options: IdentityProviderOptions,
    },
    /// Validate this assertion; the answer goes to
    /// [`identity_validated`](crate::PeerConnection::identity_validated).
    Validate {
        /// The provider's domain, or more of its authority, as the far side says.
        domain: String,
        /// The provider's protocol.
        protocol: String,
        /// The assertion.
        assertion: String,
    },
}

/// A provider that answers at once, as one does that signs and has the keys.
pub trait IdentityProvider {
    /// Asserts contents for whoever the options name.
    ///
    /// # Errors
    /// Why not.
    fn generate_assertion(
        &mut self,
        contents: &str,
        options: &IdentityProviderOptions,
    ) -> Result<GeneratedAssertion, IdentityFault>;

    /// Says whose an assertion is and what it asserts. `domain` and `protocol` are what the far side names: whoever is
    /// no provider for that domain says [`IdentityFault::LoadFailure`].
    ///
    /// # Errors
    /// Why it is not to be believed.
    fn validate_assertion(
        &mut self,
        domain: &str,
        protocol: &str,
        assertion: &str,
    ) -> Result<ValidatedAssertion, IdentityFault>;
}

/// Why there is no identity. The first ones are `RTCErrorDetailTypeIdp`'s and the provider's to say, the others are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFault {
    /// `idp-execution-failure`: the provider failed.
    #[error("the identity provider failed")]
    ExecutionFailure,
    /// `idp-load-failure`: there is no such provider, or it can't be reached.
    #[error("the identity provider can't be reached")]
    LoadFailure,
    /// `idp-need-login`: the user has to log in first.
    #[error("the identity provider wants the user to log in")]
    NeedLogin,
    /// `idp-timeout`: no answer, after 15 seconds as the W3C proposes.
    #[error("the identity provider did not answer in time")]
    Timeout,
    /// `idp-tls-failure`: the provider's certificate is not to be trusted.
    #[error("the identity provider's certificate is not trusted")]
    TlsFailure,
    /// `idp-token-expired`: the assertion was good once.
    #[error("the assertion has expired")]
    TokenExpired,
    /// `idp-token-invalid`: the provider never made it.
    #[error("the assertion is not valid")]
    TokenInvalid,
    /// The value of `a=identity` is not what RFC 8827 §5 and §7.4.2 say.
    #[error("malformed identity attribute")]
    Malformed,
    /// The protocol has `/` or `\` in it (W3C Identity §6).
    #[error("malformed identity provider protocol")]
    Protocol,
    /// The contents that the provider gives back are not those of RFC 8827 §7.4.
    #[error("malformed contents of the assertion")]
    Contents,
    /// A fingerprint of the description is not among those asserted (RFC 8827 §7.4.1).
    #[error("the assertion does not cover the description's fingerprints")]
    Fingerprints,
    /// The provider is not one for the identity's domain (RFC 8827 §7.5.1), nor trusted for it by
    /// [`Configuration::third_party_identity`](crate::Configuration::third_party_identity).
    #[error("the identity provider does not speak for the identity's domain")]
    Domain,
    /// It is somebody else than
    /// [`Configuration::peer_identity`](crate::Configuration::peer_identity) says, or than it was before.
    #[error("the peer is not who it has to be")]
    NotThePeer,
    /// The far side says nothing of who it is, and has to.
    #[error("the description has no identity")]
    Missing,
}

/// `identity` of a provider that speaks for another domain than its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdPartyIdentity {
    /// The provider's domain.
    pub provider: String,
    /// The domain of the identities that it is trusted for.
    pub domain: String,
}

/// The contents for these `a=fingerprint` values (RFC 8827 §7.4).
pub(crate) fn contents(fingerprints: &[String]) -> String {
    let list: Vec<Value> = fingerprints
        .iter()
        .filter_map(|f| f.split_once(' '))
        .map(|(algorithm, digest)| json!({ "algorithm": algorithm, "digest": digest }))
        .collect();
    json!({ "fingerprint": list }).to_string()
}

/// The `a=fingerprint` values that contents attest to.
pub(crate) fn fingerprints(contents: &str) -> Result<Vec<String>, IdentityFault> {
    let value: Value = serde_json::from_str(contents).map_err(|_| IdentityFault::Contents)?;
    let list = value.get("fingerprint").and_then(Value::as_array);
    let mut out = Vec::new();
    for entry in list.ok_or(IdentityFault::Contents)? {
        let member = |name| entry.get(name).and_then(Value::as_str);
        let (Some(algorithm), Some(digest)) = (member("algorithm"), member("digest")) else {
            return Err(IdentityFault::Contents);
        };
        out.push(format!("{algorithm} {digest}"));
    }
    Ok(out)
}

/// Every `a=fingerprint` value of a description, at whatever level: an assertion is about all of them.
pub(crate) fn fingerprints_in(sdp: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for value in sdp.lines().filter_map(|l| l.strip_prefix("a=fingerprint:")) {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

/// Whether all fingerprints are among the attested ones. Letters' case means nothing (RFC 8122 §5).
pub(crate) fn covers(attested: &[String], fingerprints: &[String]) -> bool {
    fingerprints
        .iter()
        .all(|f| attested.iter().any(|a| a.eq_ignore_ascii_case(f)))
}

/// The value of `a=identity` (RFC 8827 §7.4.1).
pub(crate) fn encode(generated: &GeneratedAssertion) -> String {
    let value = json!({
        "idp": { "domain": generated.domain, "protocol": generated.protocol },
        "assertion": generated.assertion,
    });
    Identity::from_bytes(value.to_string().as_bytes()).to_string()
}

/// Reads the value of `a=identity`.
pub(crate) fn decode(value: &str) -> Result<GeneratedAssertion, IdentityFault> {
    let identity: Identity = value.parse().map_err(|_| IdentityFault::Malformed)?;
    let bytes = identity.decode().ok_or(IdentityFault::Malformed)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| IdentityFault::Malformed)?;
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let idp = value.get("idp").ok_or(IdentityFault::Malformed)?;
    let protocol = match idp.get("protocol") {
        None => "default".to_owned(),
        Some(protocol) => match protocol.as_str() {
            Some("") => "default".to_owned(),
            Some(protocol) => protocol.to_owned(),
            None => return Err(IdentityFault::Malformed),
        },
    };
    check_protocol(&protocol)?;
    Ok(GeneratedAssertion {
        domain: text(idp, "domain")
            .filter(|d| !host(d).is_empty())
            .ok_or(IdentityFault::Malformed)?,
        protocol,
        assertion: text(&value, "assertion").ok_or(IdentityFault::Malformed)?,
    })
}

/// `/` and `\` would lead out of the provider's well-known folder (RFC 8827 §7.5).
pub(crate) fn check_protocol(protocol: &str) -> Result<(), IdentityFault> {
    if protocol.contains(['/', '\\']) {
        return Err(IdentityFault::Protocol);
    }
    Ok(())
}

/// The host of an authority: port and user are left away where identities are compared (RFC 8827 §7.5).
fn host(authority: &str) -> &str {
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Equal but for the case of letters. An A-label and the U-label it stands for count as different: the safe side of
/// RFC 5890 §2.3.2.4, as providers are to give U-labels.
fn same_domain(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').to_lowercase() == b.trim_end_matches('.').to_lowercase()
}

/// Whether a provider may speak for an identity (RFC 8827 §7.5.1).
pub(crate) fn check_domain(
    provider: &str,
    identity: &str,
    trusted: &[ThirdPartyIdentity],
) -> Result<(), IdentityFault> {
    let provider = host(provider);
    let mut parts = identity.split('@');
    let (Some(user), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(IdentityFault::Domain);
    };
    if user.is_empty() || domain.is_empty() {
        return Err(IdentityFault::Domain);
    }
    let third_party = || {
        trusted
            .iter()
            .any(|t| same_domain(host(&t.provider), provider) && same_domain(&t.domain, domain))
    };
    if same_domain(provider, domain) || third_party() {
        Ok(())
    } else {
        Err(IdentityFault::Domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_those_of_7_4() {
        let fingerprints_of_ours = ["sha-256 4A:AD:B9".to_owned(), "sha-1 74:E9".to_owned()];
        let text = contents(&fingerprints_of_ours);
        assert_eq!(
            text,
            r#"{"fingerprint":[{"algorithm":"sha-256","digest":"4A:AD:B9"},{"algorithm":"sha-1","digest":"74:E9"}]}"#
        );
        assert_eq!(fingerprints(&text).unwrap(), fingerprints_of_ours);
        assert!(covers(&fingerprints_of_ours, &["SHA-256 4a:ad:b9".into()]));
        assert!(!covers(&fingerprints_of_ours, &["sha-256 4A:AD:B8".into()]));
        for bad in [
            "",
            "{}",
            r#"{"fingerprint":{}}"#,
            r#"{"fingerprint":[{"algorithm":1}]}"#,
        ] {
            assert_eq!(fingerprints(bad), Err(IdentityFault::Contents), "{bad}");
        }
    }

    #[test]
    fn the_attribute_comes_back_as_it_went() {
        let made = GeneratedAssertion {
            domain: "ü.example:8443".into(),
            protocol: "p?x".into(),
            assertion: "{\"signed\": \"…\"}".into(),
        };
        let value = encode(&made);
        assert_eq!(decode(&value), Ok(made.clone()));
        assert_eq!(decode(&format!("{value}; extension=1")), Ok(made));
        // RFC 8827 §7.5: no protocol, or none said, is `default`.
        let value = Identity::from_bytes(br#"{"idp":{"domain":"a"},"assertion":""}"#).to_string();
        assert_eq!(decode(&value).unwrap().protocol, "default");
        for bad in [
            &br#"{"assertion":""}"#[..],
            br#"{"idp":{"domain":""},"assertion":""}"#,
            b"[]",
            b"\xff",
        ] {
            let value = Identity::from_bytes(bad).to_string();
            assert_eq!(decode(&value), Err(IdentityFault::Malformed));
        }
        let value =
            Identity::from_bytes(br#"{"idp":{"domain":"a","protocol":"../x"},"assertion":""}"#);
        assert_eq!(decode(&value.to_string()), Err(IdentityFault::Protocol));
        assert_eq!(decode("no base64!"), Err(IdentityFault::Malformed));
    }

    #[test]
    fn providers_speak_for_their_domain_only() {
        let ok = |provider, identity| check_domain(provider, identity, &[]).is_ok();
        assert!(ok("example.org", "a@example.org") && ok("user@Example.org:443", "a@eXample.org."));
        assert!(ok("bücher.example", "a@BÜCHER.example"));
        for (provider, identity) in [
            ("example.org", "a@example.com"),
            ("example.org", "a@sub.example.org"),
            ("example.org", "example.org"),
            ("example.org", "@example.org"),
            ("example.org", "a@evil.org@example.org"),
            ("evil.org:example.org", "a@example.org"),
        ] {
            assert!(!ok(provider, identity), "{provider} {identity}");
        }
        let trusted = [ThirdPartyIdentity {
            provider: "idp.example".into(),
            domain: "example.org".into(),
        }];
        assert!(check_domain("idp.example:99", "a@example.org", &trusted).is_ok());
        assert!(check_domain("idp.example", "a@example.com", &trusted).is_err());
        assert!(check_domain("example.org", "a@idp.example", &trusted).is_err());
    }
}
