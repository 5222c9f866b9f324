//! The client's beginning: ClientHello, HelloVerifyRequest, HelloRetryRequest,
//! and the ServerHello that decides the version.

use rustls::crypto::ActiveKeyExchange;

use super::{Parts, State, client12, client13, expect, unexpected};
use crate::config::Version;
use crate::crypto::suite::Suite13;
use crate::crypto::transcript::{Form, Pending, Transcript};
use crate::error::Failure;
use crate::limits::{MAX_COOKIE, MAX_VERIFY_REQUESTS};
use crate::wire::Write;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{
    ClientHelloParts, DOWNGRADE_11, DOWNGRADE_12, DTLS12, DTLS13, ServerHello, ext, extension,
    parse_hello_verify_request, u16s,
};

/// What a HelloRetryRequest settled.
#[derive(Debug)]
struct Retry {
    suite: Suite13,
    transcript: Transcript,
}

/// A ClientHello is out; the answer decides the version.
pub(crate) struct AwaitServerHello {
    random: [u8; 32],
    cookie12: Vec<u8>,
    cookie13: Vec<u8>,
    exchanges: Vec<Box<dyn ActiveKeyExchange>>,
    offered: Vec<u16>,
    pending: Pending,
    /// HelloVerifyRequests that came.
    verify_requests: u16,
    retry: Option<Retry>,
}

impl std::fmt::Debug for AwaitServerHello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwaitServerHello").finish_non_exhaustive()
    }
}

impl AwaitServerHello {
    /// Queues the first ClientHello.
    pub(crate) fn start(parts: &mut Parts) -> Result<Self, Failure> {
        let random = parts.random();
        parts.session.client_random = random;
        parts.choose_connection_id();
        let mut exchanges = Vec::new();
        if parts.config.offers(Version::Dtls13) {
            for group in parts.config.initial_shares() {
                exchanges.push(group.start().map_err(|_| Failure::Crypto)?);
            }
        }
        let mut state = Self {
            random,
            cookie12: Vec::new(),
            cookie13: Vec::new(),
            exchanges,
            offered: Vec::new(),
            pending: Pending::default(),
            verify_requests: 0,
            retry: None,
        };
        state.send_hello(parts)?;
        Ok(state)
    }

    fn send_hello(&mut self, parts: &mut Parts) -> Result<(), Failure> {
        let config = std::sync::Arc::clone(&parts.config);
        let (tls12, tls13) = (
            config.offers(Version::Dtls12),
            config.offers(Version::Dtls13),
        );
        let mut suites = Vec::new();
        if tls13 {
            suites.extend(config.suites13.iter().map(Suite13::id));
        }
        if tls12 {
            suites.extend(config.suites12.iter().map(|suite| suite.id()));
        }
        let mut extensions = Vec::new();
        let out = &mut extensions;
        if tls13 {
            extension(out, ext::SUPPORTED_VERSIONS, |out| {
                out.vec8(|out| {
                    out.u16(DTLS13);
                    if tls12 {
                        out.u16(DTLS12);
                    }
                });
            });
        }
        if let Some(name) = &config.server_name {
            extension(out, ext::SERVER_NAME, |out| {
                out.vec16(|out| {
                    out.u8(0);
                    out.vec16(|out| out.bytes(name.as_bytes()));
                });
            });
        }
        if tls12 {
            extension(out, ext::EXTENDED_MASTER_SECRET, |_| ());
            extension(out, ext::RENEGOTIATION_INFO, |out| out.vec8(|_| ()));
            extension(out, ext::EC_POINT_FORMATS, |out| out.vec8(|out| out.u8(0)));
        }
        let newest = if tls13 {
            Version::Dtls13
        } else {
            Version::Dtls12
        };
        extension(out, ext::SUPPORTED_GROUPS, |out| {
            u16s(out, config.groups(newest).map(|group| group.name().into()));
        });
        let schemes = if tls12 {
            &config.schemes12
        } else {
            &config.schemes13
        };
        extension(out, ext::SIGNATURE_ALGORITHMS, |out| {
            u16s(out, schemes.iter().copied())
        });
        if !config.srtp_profiles.is_empty() {
            extension(out, ext::USE_SRTP, |out| {
                u16s(out, config.srtp_profiles.iter().map(|profile| profile.id()));
                out.vec8(|_| ());
            });
        }
        if !config.alpn.is_empty() {
            extension(out, ext::ALPN, |out| {
                out.vec16(|out| {
                    for name in &config.alpn {
                        out.vec8(|out| out.bytes(name));
                    }
                });
            });
        }
        if let Some(limit) = config.record_size_limit {
            extension(out, ext::RECORD_SIZE_LIMIT, |out| out.u16(limit));
        }
        if config.connection_id.is_some() {
            let id = &parts.records.cid_in_offer;
            extension(out, ext::CONNECTION_ID, |out| out.vec8(|out| out.bytes(id)));
        }
        if !self.cookie13.is_empty() {
            extension(out, ext::COOKIE, |out| {
                out.vec16(|out| out.bytes(&self.cookie13))
            });
        }
        if tls13 {
            extension(out, ext::KEY_SHARE, |out| {
                out.vec16(|out| {
                    for exchange in &self.exchanges {
                        out.u16(exchange.group().into());
                        out.vec16(|out| out.bytes(exchange.pub_key()));
                    }
                });
            });
        }
        self.offered = vec![];
        if let Ok(list) = offered_kinds(&extensions) {
            self.offered = list;
        }
        let body = ClientHelloParts {
            random: &self.random,
            cookie: &self.cookie12,
            cipher_suites: &suites,
            extensions: &extensions,
        }
        .write();
        parts.begin_flight();
        let kind = HandshakeType::ClientHello;
        let sequence = parts.flight.push(0, kind, body.clone())?;
        match &mut self.retry {
            Some(retry) => retry.transcript.add(kind, sequence, &body),
            None => self.pending.add(kind, sequence, &body),
        }
        Ok(())
    }

    pub(crate) fn on_message(self, parts: &mut Parts, message: &Message) -> Result<State, Failure> {
        match message.kind {
            HandshakeType::HelloVerifyRequest => self.on_verify_request(parts, message),
            HandshakeType::ServerHello => self.on_server_hello(parts, message),
            _ => unexpected(message),
        }
    }

    /// The cookie of 1.2 goes back in the same hello (RFC 6347 §4.2.1). It may not be good any more when it arrives: then
    /// another is asked for.
    fn on_verify_request(mut self, parts: &mut Parts, message: &Message) -> Result<State, Failure> {
        if self.verify_requests == MAX_VERIFY_REQUESTS || self.retry.is_some() {
            return unexpected(message);
        }
        if !parts.config.offers(Version::Dtls12) {
            return Err(Failure::NoCommonVersion);
        }
        self.verify_requests += 1;
        self.cookie12 = parse_hello_verify_request(&message.body)?.to_vec();
        self.pending.clear();
        self.send_hello(parts)?;
        Ok(State::AwaitServerHello(Box::new(self)))
    }

    fn on_server_hello(self, parts: &mut Parts, message: &Message) -> Result<State, Failure> {
        expect(message, HandshakeType::ServerHello)?;
        let hello = ServerHello::parse(&message.body)?;
        if hello.is_retry() && parts.config.offers(Version::Dtls13) {
            return self.on_retry_request(parts, message, &hello);
        }
        let selected = hello.extensions.selected_version()?;
        let version = match selected {
            Some(DTLS13) if parts.config.offers(Version::Dtls13) => Version::Dtls13,
            Some(_) => return Err(Failure::WrongVersion),
            None if hello.legacy_version != DTLS12 => return Err(Failure::NoCommonVersion),
            None if !parts.config.offers(Version::Dtls12) => {
                return Err(Failure::NoCommonVersion);
            }
            None => Version::Dtls12,
        };
        if hello.legacy_version != DTLS12 {
            return Err(Failure::WrongVersion);
        }
        // Each version has its own way to ask for a cookie.
        let asked_for_13 = self.retry.is_some() && version == Version::Dtls12;
        let asked_for_12 = self.verify_requests > 0 && version == Version::Dtls13;
        if asked_for_13 || asked_for_12 {
            return Err(Failure::WrongVersion);
        }
        if hello.compression != 0 {
            return Err(Failure::WrongCompression);
        }
        parts.session.version = Some(version);
        parts.records.plain_version = DTLS12;
        match version {
            Version::Dtls13 => self.on_server_hello13(parts, message, &hello),
            Version::Dtls12 => {
                let newer = parts.config.offers(Version::Dtls13);
                let tail = hello.random.last_chunk::<8>();
                if newer && (tail == Some(&DOWNGRADE_12) || tail == Some(&DOWNGRADE_11)) {
                    return Err(Failure::Downgrade);
                }
                let suite = parts
                    .config
                    .suites12
                    .iter()
                    .find(|suite| suite.id() == hello.cipher_suite)
                    .copied()
                    .ok_or(Failure::WrongCipherSuite)?;
                hello.extensions.only(&self.offered)?;
                let mut transcript = self.pending.start(Form::Dtls12, suite.hash());
                transcript.add(message.kind, message.sequence, &message.body);
                client12::start(parts, suite, transcript, self.random, &hello)
            }
        }
    }

    fn on_server_hello13(
        mut self,
        parts: &mut Parts,
        message: &Message,
        hello: &ServerHello<'_>,
    ) -> Result<State, Failure> {
        let suite = parts
            .config
            .suites13
            .iter()
            .find(|suite| suite.id() == hello.cipher_suite)
            .copied()
            .ok_or(Failure::WrongCipherSuite)?;
        if !hello.session_id.is_empty() {
            return Err(Failure::IllegalHello);
        }
        let mut allowed = vec![ext::SUPPORTED_VERSIONS, ext::KEY_SHARE];
        if parts.config.connection_id.is_some() {
            allowed.push(ext::CONNECTION_ID);
        }
        hello.extensions.only(&allowed)?;
        let (group, share) = hello
            .extensions
            .key_share()?
            .ok_or(Failure::MissingExtension(ext::KEY_SHARE))?;
        let mut transcript = match self.retry {
            Some(retry) if retry.suite.id() != suite.id() => {
                return Err(Failure::WrongCipherSuite);
            }
            Some(retry) => retry.transcript,
            None => self.pending.start(Form::Tls13, suite.hash()),
        };
        let at = self
            .exchanges
            .iter()
            .position(|exchange| u16::from(exchange.group()) == group)
            .ok_or(Failure::WrongGroup)?;
        let exchange = self.exchanges.swap_remove(at);
        transcript.add(message.kind, message.sequence, &message.body);
        parts.session.group = Some(group);
        parts.take_connection_id(&hello.extensions)?;
        let shared = super::complete(exchange, share)?;
        client13::start(parts, suite, transcript, shared.secret_bytes())
    }

    /// RFC 8446 §4.1.4.
    fn on_retry_request(
        mut self,
        parts: &mut Parts,
        message: &Message,
        hello: &ServerHello<'_>,
    ) -> Result<State, Failure> {
        if self.retry.is_some() || self.verify_requests > 0 {
            return unexpected(message);
        }
        if hello.extensions.selected_version()? != Some(DTLS13) || hello.legacy_version != DTLS12 {
            return Err(Failure::WrongVersion);
        }
        if hello.compression != 0 {
            return Err(Failure::WrongCompression);
        }
        if !hello.session_id.is_empty() {
            return Err(Failure::IllegalHello);
        }
        hello
            .extensions
            .only(&[ext::SUPPORTED_VERSIONS, ext::KEY_SHARE, ext::COOKIE])?;
        let suite = parts
            .config
            .suites13
            .iter()
            .find(|suite| suite.id() == hello.cipher_suite)
            .copied()
            .ok_or(Failure::WrongCipherSuite)?;
        let group = hello.extensions.selected_group()?;
        let cookie = hello.extensions.cookie()?;
        if group.is_none() && cookie.is_none() {
            return Err(Failure::IllegalRetry);
        }
        if cookie.is_some_and(|cookie| cookie.len() > MAX_COOKIE) {
            return Err(Failure::CookieTooLong);
        }
        if let Some(id) = group {
            let known = self
                .exchanges
                .iter()
                .any(|exchange| u16::from(exchange.group()) == id);
            let group = parts
                .config
                .group(id, Version::Dtls13)
                .filter(|_| !known)
                .ok_or(Failure::WrongGroup)?;
            self.exchanges = vec![group.start().map_err(|_| Failure::Crypto)?];
        }
        self.cookie13 = cookie.unwrap_or_default().to_vec();
        let mut transcript = self.pending.start(Form::Tls13, suite.hash());
        transcript.replace_with_message_hash();
        transcript.add(message.kind, message.sequence, &message.body);
        self.retry = Some(Retry { suite, transcript });
        parts.session.version = Some(Version::Dtls13);
        parts.session.retried = true;
        parts.records.plain_version = DTLS12;
        self.send_hello(parts)?;
        Ok(State::AwaitServerHello(Box::new(self)))
    }
}

/// The kinds of the extensions just written.
fn offered_kinds(extensions: &[u8]) -> Result<Vec<u16>, crate::wire::Malformed> {
    let mut reader = crate::wire::Reader::new(extensions);
    let mut kinds = Vec::new();
    while !reader.is_empty() {
        kinds.push(reader.u16()?);
        reader.vec16()?;
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::BytesMut;
    use rand::{SeedableRng, rngs::StdRng};

    use crate::config::{Config, Role};
    use crate::connection::{CloseReason, Connection, Event};
    use crate::error::Failure;
    use crate::flight::Flight;
    use crate::handshake::server::retry_request;
    use crate::limits::{MAX_COOKIE, MAX_PLAINTEXT};
    use crate::record::RecordLayer;
    use crate::wire::handshake::HandshakeType;
    use crate::wire::hello::DTLS12;

    /// What a client makes of a HelloRetryRequest with a cookie of this length.
    fn asked_for_cookie(length: usize) -> (Connection, Vec<u8>) {
        let config = Config::builder().build().expect("a configuration");
        let suite = config.suites13[0];
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut client = Connection::new(config, Role::Client, now, &mut rng).expect("a client");
        let mut out = Vec::new();
        while client.poll_transmit(now, &mut out).is_some() {}
        let mut flight = Flight::default();
        let mut records = RecordLayer::new();
        records.plain_version = DTLS12;
        let body = retry_request(suite, None, Some(&vec![7; length]));
        flight
            .push(0, HandshakeType::ServerHello, body)
            .expect("a number");
        while flight.is_sending() {
            let mut datagram = Vec::new();
            flight
                .write(&mut records, MAX_PLAINTEXT, &mut datagram, 0, 1200)
                .expect("can seal");
            client
                .handle_input(now, BytesMut::from(datagram.as_slice()))
                .expect("no error");
        }
        out.clear();
        while client.poll_transmit(now, &mut out).is_some() {}
        (client, out)
    }

    #[test]
    fn a_cookie_that_fits_goes_back() {
        let (client, sent) = asked_for_cookie(MAX_COOKIE);
        assert!(!client.is_closed() && sent.len() > MAX_COOKIE);
    }

    #[test]
    fn a_cookie_that_does_not_fit_ends_the_handshake() {
        for length in [MAX_COOKIE + 1, 64_500, 65_400] {
            let (mut client, sent) = asked_for_cookie(length);
            let failed = CloseReason::Failed(Failure::CookieTooLong);
            assert_eq!(client.poll_event(), Some(Event::Closed(failed)));
            // A fatal alert of illegal_parameter.
            assert!(sent.ends_with(&[2, 47]), "{length}");
        }
    }
}
