//! The handshake: scripts of client and server for both versions, each state
//! a type that owns what it needs and becomes the next one by value.
//!
//! ```text
//! client: AwaitServerHello ─┬─ client13: … ─┐
//!                           └─ client12: … ─┼─ Done
//! server: AwaitClientHello ─┬─ server13: … ─┤
//!                           └─ server12: … ─┘
//! ```

use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;
use rustls::crypto::{ActiveKeyExchange, SharedSecret};

use crate::acks::Acks;
use crate::config::{Config, SrtpProfile, Version};
use crate::crypto::aead::CryptoError;
use crate::crypto::der::{DIGITAL_SIGNATURE, ParsedCertificate};
use crate::crypto::schedule13::Secret;
use crate::crypto::transcript::Transcript;
use crate::error::Failure;
use crate::flight::Flight;
use crate::limits::{MAX_CID, OLD_EPOCH_LIFETIME};
use crate::reassembly::Reassembly;
use crate::record::{Protection, RecordLayer};
use crate::session::Session;
use crate::timer::RetransmissionTimer;
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::hello::{Extensions, ext, extension, u16s};
use crate::wire::{Reader, Write};

pub(crate) mod client;
pub(crate) mod client12;
pub(crate) mod client13;
mod credential;
pub(crate) mod established;
pub(crate) mod server;
pub(crate) mod server12;
pub(crate) mod server13;

/// What the scripts work on; the conductor owns it.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) rng: StdRng,
    pub(crate) now: Instant,
    pub(crate) records: RecordLayer,
    pub(crate) flight: Flight,
    pub(crate) reassembly: Reassembly,
    pub(crate) session: Session,
    pub(crate) acks: Acks,
    pub(crate) timer: RetransmissionTimer,
    /// The last flight of 1.2 is ours: sent again when the peer repeats its
    /// own, not by a timer (RFC 6347 §4.2.4).
    pub(crate) sent_last_flight: bool,
    /// The write epoch in which the flight began: the peer has its keys.
    pub(crate) flight_epoch: u64,
}

/// Where a connection is in its script.
#[derive(Debug)]
pub(crate) enum State {
    AwaitServerHello(Box<client::AwaitServerHello>),
    Client12(Box<client12::State>),
    Client13(Box<client13::State>),
    AwaitClientHello(server::AwaitClientHello),
    Server12(Box<server12::State>),
    Server13(Box<server13::State>),
    Established(established::Established),
    /// Ended, or in the middle of a step.
    Ended,
}

impl State {
    /// Takes the next handshake message.
    pub(crate) fn on_message(self, parts: &mut Parts, message: Message) -> Result<Self, Failure> {
        match self {
            Self::AwaitServerHello(state) => state.on_message(parts, &message),
            Self::Client12(state) => state.on_message(parts, &message),
            Self::Client13(state) => state.on_message(parts, &message),
            Self::AwaitClientHello(state) => state.on_message(parts, &message),
            Self::Server12(state) => state.on_message(parts, &message),
            Self::Server13(state) => state.on_message(parts, &message),
            Self::Established(state) => state.on_message(parts, &message),
            Self::Ended => Ok(Self::Ended),
        }
    }
}

pub(crate) fn unexpected<T>(message: &Message) -> Result<T, Failure> {
    Err(Failure::UnexpectedMessage(message.kind.into()))
}

pub(crate) fn expect(message: &Message, kind: HandshakeType) -> Result<(), Failure> {
    if message.kind == kind {
        Ok(())
    } else {
        unexpected(message)
    }
}

impl From<CryptoError> for Failure {
    fn from(_: CryptoError) -> Self {
        Self::Crypto
    }
}

impl Parts {
    /// Octets of messages that wait for their rest or may be sent again.
    pub(crate) fn memory_usage(&self) -> usize {
        self.reassembly.held() + self.flight.octets()
    }

    /// A new flight answers the peer's, and so acknowledges it; the one before
    /// is done with.
    pub(crate) fn begin_flight(&mut self) {
        self.end_flight();
        self.acks.clear();
        self.flight_epoch = self.records.write_current();
    }

    /// The peer has our flight and owes us its own. It is not waited for without
    /// end: what said so may have been forged, and the peer may be gone.
    pub(crate) fn await_flight(&mut self) {
        if !self.flight.is_empty() {
            self.end_flight();
            self.timer.wait(self.now);
        }
    }

    /// The peer has our last flight.
    pub(crate) fn end_flight(&mut self) {
        self.flight.clear();
        self.timer.reset();
        self.records.drop_old_write();
    }

    /// Queues a message at `epoch` and adds it to the transcript.
    pub(crate) fn send(
        &mut self,
        transcript: &mut Transcript,
        epoch: u64,
        kind: HandshakeType,
        body: Vec<u8>,
    ) -> Result<(), Failure> {
        let copy = body.clone();
        let sequence = self.flight.push(epoch, kind, body)?;
        transcript.add(kind, sequence, &copy);
        Ok(())
    }

    /// Hello.random: public, so the injected source will do.
    pub(crate) fn random(&mut self) -> [u8; 32] {
        let mut random = [0; 32];
        self.rng.fill_bytes(&mut random);
        random
    }

    pub(crate) fn log(&self, label: &str, secret: &[u8]) {
        if self.config.key_log.will_log(label) {
            self.config
                .key_log
                .log(label, &self.session.client_random, secret);
        }
    }

    /// Handshake messages are taken of `epoch` from now on; nothing of the
    /// epoch before may be left (RFC 8446 §5.1).
    pub(crate) fn read_from_epoch(&mut self, epoch: u64) -> Result<(), Failure> {
        if self.reassembly.has_leftovers() {
            return Err(Failure::ExcessHandshakeData);
        }
        self.records
            .set_read_current(epoch, self.now + OLD_EPOCH_LIFETIME);
        Ok(())
    }

    pub(crate) fn add_read13(
        &mut self,
        epoch: u64,
        algorithm: crate::crypto::aead::Algorithm,
        secret: &Secret,
    ) -> Result<(), Failure> {
        let protection = Protection::tls13(self.config.backend, secret.traffic_keys(algorithm))?;
        self.records.add_read(epoch, protection);
        Ok(())
    }

    pub(crate) fn add_write13(
        &mut self,
        epoch: u64,
        algorithm: crate::crypto::aead::Algorithm,
        secret: &Secret,
    ) -> Result<(), Failure> {
        let protection = Protection::tls13(self.config.backend, secret.traffic_keys(algorithm))?;
        self.records.add_write(epoch, protection);
        Ok(())
    }

    /// Stores the peer's chain and judges it.
    pub(crate) fn take_certificates(&mut self, chain: &[&[u8]]) -> Result<(), Failure> {
        let leaf = chain.first().ok_or(Failure::NoCertificate)?;
        let parsed = ParsedCertificate::parse(leaf).map_err(|_| Failure::BadCertificate)?;
        if parsed
            .key_usage
            .is_some_and(|usage| usage & DIGITAL_SIGNATURE == 0)
        {
            return Err(Failure::UnsupportedCertificate);
        }
        self.session.peer_certificates = chain.iter().map(|der| der.to_vec()).collect();
        self.session.judge(&self.config)
    }

    pub(crate) fn peer_leaf(&self) -> Result<&[u8], Failure> {
        self.session
            .peer_certificates
            .first()
            .map(Vec::as_slice)
            .ok_or(Failure::NoCertificate)
    }

    /// use_srtp and ALPN as the server answers them, in 1.2's ServerHello or
    /// 1.3's EncryptedExtensions.
    pub(crate) fn take_server_extensions(
        &mut self,
        extensions: &Extensions<'_>,
    ) -> Result<(), Failure> {
        if let Some((profiles, mki)) = extensions.use_srtp()? {
            let [profile] = profiles.as_slice() else {
                return Err(Failure::Malformed);
            };
            // We send no MKI, so none may come back (RFC 5764 §4.1.3).
            let profile = SrtpProfile::from_id(*profile)
                .filter(|profile| mki.is_empty() && self.config.srtp_profiles.contains(profile))
                .ok_or(Failure::WrongSrtpProfile)?;
            self.session.srtp_profile = Some(profile);
        }
        if let Some(names) = extensions.alpn()? {
            let [name] = names.as_slice() else {
                return Err(Failure::Malformed);
            };
            if !self.config.alpn.iter().any(|ours| ours == name) {
                return Err(Failure::WrongAlpn);
            }
            self.session.alpn = Some(name.to_vec());
        }
        if let Some(limit) = extensions.record_size_limit()? {
            self.take_record_size_limit(limit)?;
        }
        Ok(())
    }

    /// The peer's record size limit (RFC 8449 §4): in 1.3 it counts the
    /// content type.
    pub(crate) fn take_record_size_limit(&mut self, limit: u16) -> Result<(), Failure> {
        if limit < 64 {
            return Err(Failure::IllegalHello);
        }
        let own = usize::from(self.session.version == Some(Version::Dtls13));
        self.session.limit_out = (usize::from(limit) - own).min(crate::limits::MAX_PLAINTEXT);
        if let Some(ours) = self.config.record_size_limit {
            self.records.limit_in = usize::from(ours) - own;
        }
        Ok(())
    }

    /// The server's answers that both versions have: chooses and writes them.
    pub(crate) fn write_server_extensions(
        &mut self,
        offered: &Extensions<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.config.acknowledges_server_name && self.session.server_name.is_some() {
            extension(out, ext::SERVER_NAME, |_| ());
        }
        if let Some((profiles, _)) = offered.use_srtp()? {
            let chosen = self
                .config
                .srtp_profiles
                .iter()
                .find(|profile| profiles.contains(&profile.id()))
                .copied();
            if let Some(profile) = chosen {
                self.session.srtp_profile = Some(profile);
                extension(out, ext::USE_SRTP, |out| {
                    u16s(out, [profile.id()]);
                    out.vec8(|_| ());
                });
            }
        }
        if let Some(names) = offered.alpn()?
            && !self.config.alpn.is_empty()
        {
            let chosen = self
                .config
                .alpn
                .iter()
                .find(|ours| names.contains(&ours.as_slice()))
                .cloned();
            match chosen {
                Some(name) => {
                    extension(out, ext::ALPN, |out| {
                        out.vec16(|out| out.vec8(|out| out.bytes(&name)));
                    });
                    self.session.alpn = Some(name);
                }
                None if self.config.alpn_required => return Err(Failure::NoCommonAlpn),
                None => (),
            }
        }
        if let Some(limit) = offered.record_size_limit()? {
            if let Some(ours) = self.config.record_size_limit {
                extension(out, ext::RECORD_SIZE_LIMIT, |out| out.u16(ours));
            }
            if self.config.record_size_limit.is_some() {
                self.take_record_size_limit(limit)?;
            }
        }
        Ok(())
    }

    /// The server's part of connection ID negotiation (RFC 9146 §3).
    pub(crate) fn answer_connection_id(
        &mut self,
        offered: &Extensions<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let Some(theirs) = offered.connection_id()? else {
            return Ok(());
        };
        if self.config.connection_id.is_none() || theirs.len() > MAX_CID {
            return Ok(());
        }
        self.choose_connection_id();
        let ours = self.records.cid_in_offer.clone();
        extension(out, ext::CONNECTION_ID, |out| {
            out.vec8(|out| out.bytes(&ours))
        });
        self.records.agree_connection_ids(theirs);
        Ok(())
    }

    /// The client's: what the server wants to find in our records.
    pub(crate) fn take_connection_id(
        &mut self,
        extensions: &Extensions<'_>,
    ) -> Result<(), Failure> {
        if let Some(theirs) = extensions.connection_id()? {
            if theirs.len() > MAX_CID {
                return Err(Failure::IllegalHello);
            }
            self.records.agree_connection_ids(theirs);
        }
        Ok(())
    }

    /// Draws the ID that the peer is to put in its records.
    pub(crate) fn choose_connection_id(&mut self) {
        if let Some(length) = self.config.connection_id
            && self.records.cid_in_offer.is_empty()
        {
            let mut id = vec![0; length];
            self.rng.fill_bytes(&mut id);
            self.records.cid_in_offer = id;
        }
    }
}

/// Completes a key exchange with a share that was not checked yet.
pub(crate) fn complete(
    exchange: Box<dyn ActiveKeyExchange>,
    share: &[u8],
) -> Result<SharedSecret, Failure> {
    exchange.complete(share).map_err(|_| Failure::BadKeyShare)
}

/// Reads a body that must be empty.
pub(crate) fn expect_empty(body: &[u8]) -> Result<(), Failure> {
    Reader::new(body).finish().map_err(Failure::from)
}
