//! The server's beginning: the ClientHello that decides the version, and
//! HelloRetryRequest.

use super::{Parts, State, expect, server12, server13};
use crate::config::{Config, Version};
use crate::crypto::suite::Suite13;
use crate::crypto::transcript::{Form, Pending, Transcript};
use crate::error::Failure;
use crate::wire::Write;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{
    ClientHello, DTLS12, DTLS13, EMPTY_RENEGOTIATION_INFO_SCSV, FALLBACK_SCSV, KeyShare,
    RETRY_RANDOM, ServerHello, ext, extension,
};

/// What a HelloRetryRequest settled, and the hello it answered.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) suite: Suite13,
    /// The group that a share was asked of, if any.
    pub(crate) group: Option<u16>,
    /// With the first hello's hash and the request in it.
    pub(crate) transcript: Transcript,
    /// The first hello, unless the request was stateless: then the transcript
    /// alone notices a change.
    pub(crate) first: Option<Vec<u8>>,
}

/// No (second) ClientHello yet.
#[derive(Debug, Default)]
pub(crate) struct AwaitClientHello {
    pub(crate) retry: Option<Box<Retry>>,
}

impl AwaitClientHello {
    pub(crate) fn on_message(self, parts: &mut Parts, message: &Message) -> Result<State, Failure> {
        expect(message, HandshakeType::ClientHello)?;
        let hello = ClientHello::parse(&message.body)?;
        // What is no text is no name of ours.
        let name = hello.extensions.server_name()?;
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        parts.session.server_name = name.map(str::to_owned);
        hello.extensions.authorities()?;
        // Of another transport (RFC 9001 §8.2).
        if hello.extensions.has(ext::QUIC_TRANSPORT_PARAMETERS) {
            return Err(Failure::UnsolicitedExtension(
                ext::QUIC_TRANSPORT_PARAMETERS,
            ));
        }
        if let Some(names) = hello.extensions.alpn()? {
            parts.session.offered_alpn = names.iter().map(|name| name.to_vec()).collect();
        }
        parts.session.client_random = hello.random;
        let version = choose_version(&parts.config, &hello)?;
        if self.retry.is_some() && version != Version::Dtls13 {
            return Err(Failure::HelloChanged);
        }
        parts.session.version = Some(version);
        parts.records.plain_version = DTLS12;
        match version {
            Version::Dtls13 => self.on_hello13(parts, message, &hello),
            Version::Dtls12 => {
                if !hello.compression.contains(&0) {
                    return Err(Failure::WrongCompression);
                }
                check_renegotiation(&hello)?;
                let mut pending = Pending::default();
                pending.add(message.kind, message.sequence, &message.body);
                server12::start(parts, &pending, &hello)
            }
        }
    }

    fn on_hello13(
        self,
        parts: &mut Parts,
        message: &Message,
        hello: &ClientHello<'_>,
    ) -> Result<State, Failure> {
        let choice = Choice::make(&parts.config, hello)?;
        let suite = choice.suite;
        let asked = match self.retry {
            Some(mut retry) => {
                if let Some(first) = &retry.first {
                    check_unchanged(&ClientHello::parse(first)?, hello)?;
                }
                if suite.id() != retry.suite.id() {
                    return Err(Failure::HelloChanged);
                }
                retry
                    .transcript
                    .add(message.kind, message.sequence, &message.body);
                if let Some(asked) = retry.group {
                    // One share, of the group that was asked for.
                    let [share @ (group, _)] = choice.shares.as_slice() else {
                        return Err(Failure::WrongGroup);
                    };
                    if *group != asked {
                        return Err(Failure::WrongGroup);
                    }
                    return server13::start(parts, suite, retry.transcript, hello, *share);
                }
                retry.transcript
            }
            None => {
                let mut pending = Pending::default();
                pending.add(message.kind, message.sequence, &message.body);
                let mut transcript = pending.start(Form::Tls13, suite.hash());
                if choice.share().is_none() {
                    transcript.replace_with_message_hash();
                    let body = retry_request(suite, Some(choice.best), None);
                    parts.begin_flight();
                    parts.send(&mut transcript, 0, HandshakeType::ServerHello, body)?;
                    parts.session.retried = true;
                    let first = Some(message.body.clone());
                    let retry = Retry {
                        suite,
                        group: Some(choice.best),
                        transcript,
                        first,
                    };
                    return Ok(State::AwaitClientHello(Self {
                        retry: Some(Box::new(retry)),
                    }));
                }
                transcript
            }
        };
        let share = choice.share().ok_or(Failure::WrongGroup)?;
        server13::start(parts, suite, asked, hello, share)
    }
}

/// What a 1.3 server makes of a ClientHello, without any state.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) suite: Suite13,
    /// Groups in common, our favourite first.
    common: Vec<u16>,
    pub(crate) best: u16,
    shares: Vec<KeyShare<'a>>,
}

impl<'a> Choice<'a> {
    pub(crate) fn make(config: &Config, hello: &ClientHello<'a>) -> Result<Self, Failure> {
        if hello.compression != [0] {
            return Err(Failure::WrongCompression);
        }
        // DTLS 1.3 has its own cookie (RFC 9147 §5.3).
        if !hello.cookie.is_empty() {
            return Err(Failure::IllegalHello);
        }
        let groups = hello
            .extensions
            .supported_groups()?
            .ok_or(Failure::MissingExtension(ext::SUPPORTED_GROUPS))?;
        let shares = hello
            .extensions
            .key_shares()?
            .ok_or(Failure::MissingExtension(ext::KEY_SHARE))?;
        check_shares(&groups, &shares)?;
        let suite = config
            .suites13
            .iter()
            .find(|suite| hello.cipher_suites.contains(&suite.id()))
            .copied()
            .ok_or(Failure::NoCommonCipherSuite)?;
        let common: Vec<u16> = config
            .groups(Version::Dtls13)
            .map(|group| u16::from(group.name()))
            .filter(|id| groups.contains(id))
            .collect();
        let best = common.first().copied().ok_or(Failure::NoCommonGroup)?;
        Ok(Self {
            suite,
            common,
            best,
            shares,
        })
    }

    /// The share of the best group that has one.
    pub(crate) fn share(&self) -> Option<KeyShare<'a>> {
        self.common
            .iter()
            .find_map(|id| self.shares.iter().find(|(group, _)| group == id).copied())
    }
}

/// HelloRetryRequest (RFC 8446 §4.1.4), asking for a share, a cookie, or both.
pub(crate) fn retry_request(suite: Suite13, group: Option<u16>, cookie: Option<&[u8]>) -> Vec<u8> {
    let mut extensions = Vec::new();
    let out = &mut extensions;
    extension(out, ext::SUPPORTED_VERSIONS, |out| out.u16(DTLS13));
    if let Some(group) = group {
        extension(out, ext::KEY_SHARE, |out| out.u16(group));
    }
    if let Some(cookie) = cookie {
        extension(out, ext::COOKIE, |out| out.vec16(|out| out.bytes(cookie)));
    }
    ServerHello::write(&RETRY_RANDOM, &[], suite.id(), &extensions)
}

/// What the second ClientHello may change: key share, cookie, early data,
/// pre-shared keys and padding (RFC 8446 §4.1.2).
fn check_unchanged(first: &ClientHello<'_>, second: &ClientHello<'_>) -> Result<(), Failure> {
    const PADDING: u16 = 21;
    const PRE_SHARED_KEY: u16 = 41;
    const EARLY_DATA: u16 = 42;
    let may_change = |kind: u16| {
        [
            ext::KEY_SHARE,
            ext::COOKIE,
            PADDING,
            PRE_SHARED_KEY,
            EARLY_DATA,
        ]
        .contains(&kind)
    };
    let same = first.legacy_version == second.legacy_version
        && first.random == second.random
        && first.session_id == second.session_id
        && first.cipher_suites == second.cipher_suites
        && first.compression == second.compression
        && first
            .extensions
            .iter()
            .filter(|(kind, _)| !may_change(*kind))
            .eq(second
                .extensions
                .iter()
                .filter(|(kind, _)| !may_change(*kind)));
    let early_data_again = second.extensions.has(EARLY_DATA);
    if same && !early_data_again {
        Ok(())
    } else {
        Err(Failure::HelloChanged)
    }
}

/// Shares are of offered groups, one a group (RFC 8446 §4.2.8).
fn check_shares(groups: &[u16], shares: &[(u16, &[u8])]) -> Result<(), Failure> {
    let mut seen: Vec<u16> = shares.iter().map(|(group, _)| *group).collect();
    if seen.iter().any(|group| !groups.contains(group)) {
        return Err(Failure::WrongGroup);
    }
    seen.sort_unstable();
    if seen.iter().zip(seen.iter().skip(1)).any(|(a, b)| a == b) {
        return Err(Failure::WrongGroup);
    }
    Ok(())
}

/// The newest version that both sides have.
pub(crate) fn choose_version(config: &Config, hello: &ClientHello<'_>) -> Result<Version, Failure> {
    let offered = hello.extensions.supported_versions()?;
    let has = |version: u16| match &offered {
        Some(list) => list.contains(&version),
        // Versions count down: what is not newer than ours is not smaller.
        None => version == DTLS12 && hello.legacy_version <= DTLS12,
    };
    let chosen = [(Version::Dtls13, DTLS13), (Version::Dtls12, DTLS12)]
        .into_iter()
        .find(|(version, wire)| config.offers(*version) && has(*wire))
        .map(|(version, _)| version)
        .ok_or(Failure::NoCommonVersion)?;
    if chosen < config.newest && hello.cipher_suites.contains(&FALLBACK_SCSV) {
        return Err(Failure::InappropriateFallback);
    }
    Ok(chosen)
}

/// The first handshake has nothing to renegotiate (RFC 5746 §3.6).
fn check_renegotiation(hello: &ClientHello<'_>) -> Result<(), Failure> {
    match hello.extensions.renegotiation_info()? {
        Some(info) if !info.is_empty() => Err(Failure::RenegotiationMismatch),
        _ => Ok(()),
    }
}

/// Whether the client knows secure renegotiation, and so may be told that we do.
pub(super) fn knows_renegotiation(hello: &ClientHello<'_>) -> bool {
    hello.extensions.has(ext::RENEGOTIATION_INFO)
        || hello.cipher_suites.contains(&EMPTY_RENEGOTIATION_INFO_SCSV)
}
