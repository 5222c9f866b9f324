//! The conductor: passes records, messages and time between the parts, and
//! is what the caller sees.

mod inbound;
mod memory;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustls::{AlertDescription, CipherSuite, NamedGroup};

use crate::acks::Acks;
use crate::certificate::Fingerprint;
use crate::config::{Config, Role, SrtpProfile, Verification, Version};
use crate::error::{Error, Failure, SealError};
use crate::flight::Flight;
use crate::handshake::client::AwaitServerHello;
use crate::handshake::server::{AwaitClientHello, Retry};
use crate::handshake::{Parts, State};
use crate::limits::{MAX_CLIENT_HELLO, MAX_MTU, MIN_MTU};
use crate::reassembly::Reassembly;
use crate::record::RecordLayer;
use crate::session::{Exporter, PeerTrust, Session};
use crate::timer::RetransmissionTimer;
use crate::wire::handshake::Message;
use crate::wire::record::{ContentType, RecordNumber};

/// A ClientHello that came back with our cookie.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) message: Message,
    /// The record that brought (the last of) it.
    pub(crate) number: RecordNumber,
    /// In 1.3, what the stateless HelloRetryRequest settled.
    pub(crate) retry: Option<Box<Retry>>,
}

/// What a connection has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer has shown a certificate and waits to be judged:
    /// [`Connection::set_remote_fingerprints`] goes on.
    FingerprintNeeded,
    /// The handshake ended and the peer is who it should be.
    Connected {
        /// The version agreed on.
        version: Version,
        /// The cipher suite agreed on.
        cipher_suite: CipherSuite,
        /// The SRTP profile agreed on, if any.
        srtp_profile: Option<SrtpProfile>,
    },
    /// The connection ended; nothing comes after this.
    Closed(CloseReason),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`Connection::close`] was called.
    Local,
    /// The peer sent close_notify.
    Peer,
    /// Something went wrong.
    Failed(Failure),
}

/// Counters since the connection began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records opened and found authentic (or plaintext).
    pub records_opened: u64,
    /// Records sealed.
    pub records_sealed: u64,
    /// Dropped: no or nonsensical header, or too large.
    pub records_malformed: u64,
    /// Dropped: of an epoch that is over or unknown, or too many of one to come.
    pub records_of_other_epochs: u64,
    /// Dropped: seen before or too old.
    pub records_replayed: u64,
    /// Dropped: the tag did not verify.
    pub records_forged: u64,
    /// Kept back, for keys that were to come.
    pub records_early: u64,
    /// Application data dropped because nobody took it.
    pub data_dropped: u64,
    /// Times that a flight was sent again.
    pub retransmissions: u64,
}

/// A DTLS connection with one peer, of either role and version. See the
/// [crate's page](crate) for how to drive it.
pub struct Connection {
    parts: Parts,
    state: State,
    role: Role,
    mtu: usize,
    alert: Option<(u8, AlertDescription)>,
    /// Records that came before their keys.
    early: VecDeque<BytesMut>,
    /// Data that came before the end of the handshake or the judgement.
    held: VecDeque<BytesMut>,
    data: VecDeque<BytesMut>,
    events: VecDeque<Event>,
    connected: bool,
    /// The first epoch that has application data, once connected.
    data_epoch: u64,
    closed: bool,
    warnings: u32,
    data_dropped: u64,
    retransmissions: u64,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("version", &self.parts.session.version)
            .field("connected", &self.connected)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins a connection; a client has its ClientHello ready at once.
    ///
    /// `rng` gives hello randoms and connection IDs. Keys come from the
    /// configuration's crypto provider.
    ///
    /// # Errors
    /// [`Error::Config`] for a server without a certificate, [`Error::Crypto`]
    /// when the provider makes no key.
    pub fn new(
        config: Arc<Config>,
        role: Role,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Self, Error> {
        let mut timer = RetransmissionTimer::new();
        timer.set_first(config.rto);
        let mut parts = Parts {
            rng: StdRng::from_rng(rng),
            now,
            records: RecordLayer::new(),
            flight: Flight::default(),
            reassembly: Reassembly::new(match role {
                Role::Client => config.max_message,
                Role::Server => config.max_message.min(MAX_CLIENT_HELLO),
            }),
            session: Session::new(&config),
            acks: Acks::default(),
            timer,
            sent_last_flight: false,
            flight_epoch: 0,
            config,
        };
        let state = match role {
            Role::Client => State::AwaitServerHello(Box::new(
                AwaitServerHello::start(&mut parts).map_err(|_| Error::Crypto)?,
            )),
            Role::Server if parts.config.certificates.is_empty() => {
                return Err(Error::Config("a server needs a certificate"));
            }
            Role::Server => State::AwaitClientHello(AwaitClientHello::default()),
        };
        let mtu = parts.config.mtu;
        Ok(Self {
            parts,
            state,
            role,
            mtu,
            alert: None,
            early: VecDeque::new(),
            held: VecDeque::new(),
            data: VecDeque::new(),
            events: VecDeque::new(),
            connected: false,
            data_epoch: 0,
            closed: false,
            warnings: 0,
            data_dropped: 0,
            retransmissions: 0,
        })
    }

    /// A server's connection that begins with a ClientHello whose address was
    /// proved by a cookie.
    pub(crate) fn accepted(
        config: Arc<Config>,
        now: Instant,
        rng: &mut impl Rng,
        proved: Proved,
    ) -> Result<Self, Error> {
        let mut connection = Self::new(config, Role::Server, now, rng)?;
        let parts = &mut connection.parts;
        parts.session.retried = proved.retry.is_some();
        parts.records.start_plain_write_at(proved.number.sequence);
        parts.flight.start_at(proved.message.sequence);
        parts.reassembly.start_after(proved.message.sequence);
        connection.state = State::AwaitClientHello(AwaitClientHello {
            retry: proved.retry,
        });
        connection.take_first(proved.message);
        Ok(connection)
    }

    /// Takes a datagram of the peer. Records are decrypted where they lie;
    /// application data wait in [`Self::poll_data`]. What is not a record of
    /// this connection is dropped and counted.
    ///
    /// # Errors
    /// None at present: whatever the network brings is dealt with.
    #[inline]
    pub fn handle_input(&mut self, now: Instant, datagram: BytesMut) -> Result<(), Error> {
        self.begin_input(now);
        self.receive(datagram);
        Ok(())
    }

    /// As [`Self::handle_input`] for a buffer that stays the caller's: returns
    /// where in it the application data lie, if it brought any. Datagrams with
    /// more than one record of data are rare; the data of the others are copied
    /// and wait in [`Self::poll_data`]. This is the shortest way in, as
    /// [`Self::seal_in_place`] is out.
    #[inline]
    pub fn open_in_place(&mut self, now: Instant, datagram: &mut [u8]) -> Option<Range<usize>> {
        self.begin_input(now);
        self.receive_in_place(datagram)
    }

    #[inline]
    fn begin_input(&mut self, now: Instant) {
        self.parts.now = now;
        // Only a record can notice that old keys are gone: no timer for that.
        self.parts.records.expire(now);
        self.parts.records.newest_seen = false;
    }

    /// Whether the last datagram had a protected record newer than all before
    /// it: with connection IDs, the peer may then be followed to the address
    /// that the datagram came from (RFC 9146 §6).
    #[must_use]
    pub fn may_follow_address(&self) -> bool {
        self.parts.records.newest_seen
    }

    /// The connection ID that the peer's protected records carry, once agreed
    /// on: what tells the connection where addresses do not.
    #[must_use]
    pub fn connection_id(&self) -> Option<&[u8]> {
        Some(self.parts.records.cid_in.as_slice()).filter(|id| !id.is_empty())
    }

    /// The next application data record, a slice of the datagram it came in.
    #[inline]
    pub fn poll_data(&mut self) -> Option<BytesMut> {
        self.data.pop_front()
    }

    /// Appends one datagram of at most the MTU to `out` and returns its
    /// length, or `None` when there is nothing to send.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        let sending = self.parts.flight.is_sending();
        if !sending && !self.parts.acks.is_due() && self.alert.is_none() {
            return None;
        }
        let start = out.len();
        if self.parts.acks.is_due() && !self.closed {
            self.write_acks(out, start);
        }
        if sending {
            let parts = &mut self.parts;
            let limit = parts.session.limit_out;
            let written = parts
                .flight
                .write(&mut parts.records, limit, out, start, self.mtu);
            if written.is_err() {
                out.truncate(start);
                self.fail(Failure::Exhausted);
            } else if !self.parts.flight.is_sending() && !self.parts.sent_last_flight {
                self.parts.timer.start(now);
            }
        }
        if !self.parts.flight.is_sending()
            && let Some((level, description)) = self.alert
        {
            let epoch = self.parts.records.write_current();
            let before = out.len();
            let headroom = self.parts.records.headroom(epoch);
            let size = headroom + 2 + self.parts.records.tailroom(epoch);
            if before - start + size <= self.mtu {
                self.alert = None;
                out.resize(before + headroom, 0);
                out.extend_from_slice(&[level, description.into()]);
                if self
                    .parts
                    .records
                    .seal(epoch, ContentType::ALERT, out, before)
                    .is_err()
                {
                    out.truncate(before);
                }
            }
        }
        (out.len() > start).then(|| out.len() - start)
    }

    fn write_acks(&mut self, out: &mut Vec<u8>, start: usize) {
        let parts = &mut self.parts;
        let epoch = parts.records.write_current();
        let before = out.len();
        let headroom = parts.records.headroom(epoch);
        let overhead = headroom + parts.records.tailroom(epoch);
        let Some(room) = (start + self.mtu).checked_sub(before + overhead) else {
            return;
        };
        // The peer's limit is on all protected records (RFC 8449 §4).
        let room = room.min(parts.session.limit_out);
        out.resize(before + headroom, 0);
        let written = parts.acks.write(out, room)
            && parts
                .records
                .seal(epoch, ContentType::ACK, out, before)
                .is_ok();
        if !written {
            out.truncate(before);
        }
    }

    /// Octets to leave free before a payload for [`Self::seal_in_place`]. To be
    /// asked for each: with connection IDs in 1.3 the peer may say another, of
    /// another length (RFC 9147 §9).
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.parts.records.current_headroom()
    }

    /// Octets that [`Self::seal_in_place`] appends.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.parts
            .records
            .tailroom(self.parts.records.write_current())
    }

    /// Makes application data a record where they lie: the payload is
    /// `out[start + headroom..]`, the header is written before it and the tag
    /// appended.
    ///
    /// # Errors
    /// See [`SealError`]; `out` is then as it was.
    pub fn seal_in_place(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        if !self.connected || self.closed {
            return Err(SealError::NotConnected);
        }
        let most = self.parts.session.limit_out;
        if let Some(sealed) = self.parts.records.seal_data(out, start, most, false) {
            return sealed;
        }
        self.seal_with_worn_keys(out, start, most)
    }

    /// Asks for new keys, unless that is done, and meanwhile seals what those in
    /// use still may. Where there are none to come the connection ends: nobody is
    /// to wait for what will never be sent.
    #[cold]
    fn seal_with_worn_keys(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        most: usize,
    ) -> Result<(), SealError> {
        let asked = match &mut self.state {
            State::Established(state) if self.parts.session.version == Some(Version::Dtls13) => {
                state.update_keys(&mut self.parts, false)
            }
            _ => Err(Failure::Exhausted),
        };
        if let Err(failure) = asked {
            self.fail(failure);
            return Err(SealError::Exhausted);
        }
        self.parts
            .records
            .seal_data(out, start, most, true)
            .unwrap_or(Err(SealError::Exhausted))
    }

    /// Renews the keys that we write with and, with `request`, asks the peer
    /// to renew its own (RFC 9147 §8). 1.3 only.
    ///
    /// # Errors
    /// [`Error::NotConnected`] before the handshake ended, in 1.2, and when
    /// epochs or message numbers are used up, which ends the connection.
    pub fn update_keys(&mut self, now: Instant, request: bool) -> Result<(), Error> {
        self.parts.now = now;
        match &mut self.state {
            State::Established(state)
                if self.connected && self.parts.session.version == Some(Version::Dtls13) =>
            {
                if let Err(failure) = state.update_keys(&mut self.parts, request) {
                    self.fail(failure);
                    return Err(Error::NotConnected);
                }
                Ok(())
            }
            _ => Err(Error::NotConnected),
        }
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let parts = &self.parts;
        [
            parts.timer.deadline(),
            parts.acks.deadline(parts.timer.current()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.parts.now = now;
        if self.closed {
            return;
        }
        let parts = &mut self.parts;
        parts.records.expire(now);
        if parts
            .acks
            .deadline(parts.timer.current())
            .is_some_and(|at| at <= now)
        {
            parts.acks.send_now();
        }
        if parts.timer.deadline().is_some_and(|at| at <= now) {
            if parts.timer.fire().is_err() {
                self.fail(Failure::TimedOut);
            } else {
                parts.flight.restart();
                self.retransmissions += 1;
            }
        }
    }

    /// The layer below knows that the path works again after it did not: a flight whose timeout was doubled meanwhile is
    /// sent now, and the timeouts begin anew. To be called when ICE has its consent back or selects a pair; it does nothing
    /// where no flight was sent again.
    pub fn path_restored(&mut self) {
        if !self.closed && self.parts.timer.begin_anew() {
            self.parts.flight.restart();
            self.retransmissions += 1;
        }
    }

    /// Seeds the first retransmission timeout: 1.5 times the round trip, where
    /// that is known, from ICE for example (RFC 9147 §5.8.2). One that runs is
    /// rescaled. What is beyond 50 ms to 60 s is brought within.
    pub fn set_initial_timeout(&mut self, timeout: Duration) {
        self.parts.timer.set_first(timeout);
    }

    /// The largest datagram to send from now on, in octets, as
    /// [`crate::Builder::mtu`] takes it.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu.clamp(MIN_MTU, MAX_MTU);
    }

    /// Says what the peer's certificate must be: it may come before, during or
    /// after the handshake (an SDP answer can arrive late). A peer that was judged
    /// already is judged again, and an established connection ends where it has
    /// none of these; an empty list changes nothing there. Without a meaning
    /// unless the configuration has [`Verification::Fingerprints`].
    pub fn set_remote_fingerprints(&mut self, fingerprints: Vec<Fingerprint>) {
        let by_fingerprint = matches!(
            self.parts.config.verification,
            Verification::Fingerprints(_)
        );
        if !by_fingerprint || (self.connected && fingerprints.is_empty()) {
            return;
        }
        self.parts.session.fingerprints = fingerprints;
        if self.closed || self.parts.session.trust == PeerTrust::Unknown {
            return;
        }
        let config = Arc::clone(&self.parts.config);
        match self.parts.session.judge(&config) {
            Ok(()) => self.check_connected(),
            Err(failure) => self.fail(failure),
        }
    }

    /// Keying material for another protocol (RFC 5705, RFC 8446 §7.5), known
    /// as soon as the handshake's secrets are: before [`Event::Connected`] the
    /// peer is not proved, and only data that may be wrong go with it.
    ///
    /// # Errors
    /// [`Error::Export`] before the secrets are known, or when label, context
    /// or length are beyond the exporter's reach.
    pub fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), Error> {
        match &self.parts.session.exporter {
            Some(Exporter::Dtls12(master)) => master.export(label.as_bytes(), context, out),
            Some(Exporter::Dtls13(exporter)) => {
                exporter.export(label.as_bytes(), context.unwrap_or_default(), out)
            }
            None => Err(()),
        }
        .map_err(|()| Error::Export)
    }

    /// The version, once it is agreed on.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.parts.session.version
    }

    /// The cipher suite, once it is agreed on.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.parts.session.cipher_suite
    }

    /// The key exchange group, once it is agreed on.
    #[must_use]
    pub fn key_exchange_group(&self) -> Option<NamedGroup> {
        self.parts.session.group.map(NamedGroup::from)
    }

    /// The SRTP profile, if one was agreed on.
    #[must_use]
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.parts.session.srtp_profile
    }

    /// The application protocol, if one was agreed on.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.parts.session.alpn.as_deref()
    }

    /// At a server, the application protocols that the client offers, best
    /// first.
    #[must_use]
    pub fn offered_alpn(&self) -> &[Vec<u8>] {
        &self.parts.session.offered_alpn
    }

    /// At a server, the name that the client asks for (RFC 6066 §3).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.parts.session.server_name.as_deref()
    }

    /// Which certificate of [`crate::Builder::certificates`] the peer was shown,
    /// counted from 0.
    #[must_use]
    pub fn shown_certificate(&self) -> Option<usize> {
        self.parts.session.shown
    }

    /// The peer's chain in DER, the leaf first; empty until it was shown.
    #[must_use]
    pub fn peer_certificates(&self) -> &[Vec<u8>] {
        &self.parts.session.peer_certificates
    }

    /// The scheme that the peer signed the handshake with.
    #[must_use]
    pub fn peer_signature_scheme(&self) -> Option<rustls::SignatureScheme> {
        self.parts
            .session
            .peer_scheme
            .map(rustls::SignatureScheme::from)
    }

    /// Whether a HelloRetryRequest was part of the handshake.
    #[must_use]
    pub fn was_retried(&self) -> bool {
        self.parts.session.retried
    }

    /// Whether data can be sent.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected && !self.closed
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = self.parts.records.counters;
        Stats {
            records_opened: counters.opened,
            records_sealed: counters.sealed,
            records_malformed: counters.malformed,
            records_of_other_epochs: counters.wrong_epoch,
            records_replayed: counters.replayed,
            records_forged: counters.forged,
            records_early: counters.early,
            data_dropped: self.data_dropped,
            retransmissions: self.retransmissions,
        }
    }

    /// Ends the connection; one more datagram says so to the peer.
    pub fn close(&mut self, now: Instant) {
        self.parts.now = now;
        self.end(CloseReason::Local, Some(AlertDescription::CloseNotify));
    }

    /// Ends the connection with a fatal alert of the caller's choice, for what is
    /// wrong above it.
    pub fn abort(&mut self, now: Instant, alert: AlertDescription) {
        self.parts.now = now;
        self.end(CloseReason::Local, Some(alert));
    }

    fn fail(&mut self, failure: Failure) {
        let alert = match failure {
            // The alert of its own came with 1.3 (RFC 5246 §7.4.6).
            Failure::NoCertificate if self.version() == Some(Version::Dtls12) => {
                Some(AlertDescription::HandshakeFailure)
            }
            failure => failure.alert(),
        };
        self.end(CloseReason::Failed(failure), alert);
    }

    fn end(&mut self, reason: CloseReason, alert: Option<AlertDescription>) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.state = State::Ended;
        if self.parts.flight.is_sending() {
            // The peer will not see what tells it the keys of this flight.
            let epoch = self.parts.flight_epoch;
            self.parts.records.roll_back_write(epoch);
        }
        self.parts.end_flight();
        self.parts.acks.clear();
        self.early.clear();
        self.held.clear();
        self.alert = alert.map(|description| {
            let level = if description == AlertDescription::CloseNotify {
                1
            } else {
                2
            };
            (level, description)
        });
        self.events.push_back(Event::Closed(reason));
    }
}
