//! The way in: from a datagram to messages, data, alerts and ACKs.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf as _, BytesMut};
use rustls::AlertDescription;

use super::{CloseReason, Connection, Event};
use crate::acks;
use crate::config::{Role, Version};
use crate::error::Failure;
use crate::handshake::State;
use crate::limits::{MAX_EARLY_RECORDS, MAX_HELD_DATA, MAX_QUEUED_DATA, MAX_WARNING_ALERTS};
use crate::reassembly::Outcome;
use crate::record::{Opened, Usual};
use crate::session::PeerTrust;
use crate::wire::Reader;
use crate::wire::handshake::{Fragment, HandshakeType, Message};
use crate::wire::record::{ContentType, RecordNumber};

/// The first epoch of application data in 1.3; those before it are of early
/// data and the handshake (RFC 9147 §6.1).
const FIRST_DATA_EPOCH: u64 = 3;

/// Octets of an alert: level and description.
const ALERT: usize = 2;

impl Connection {
    #[inline]
    pub(super) fn receive(&mut self, mut datagram: BytesMut) {
        if self.is_connected() {
            // Opened in the queue where data stay: nearly all datagrams are such,
            // and moving a buffer that was just changed costs as much as anything
            // else here does.
            self.data.push_back(datagram);
            let Some(record) = self.data.back_mut() else {
                return;
            };
            let usual = self.parts.records.open_usual(record);
            if let Usual::Data(payload) = usual {
                record.advance(payload.at);
                record.truncate(payload.length);
                self.took_data();
                return;
            }
            let Some(record) = self.data.pop_back() else {
                return;
            };
            if let Usual::Opened(opened) = usual {
                self.on_opened(opened, record);
                return;
            }
            datagram = record;
        }
        let mut left = Some(datagram);
        while !self.closed
            && let Some(datagram) = left.take()
            && let Some((record, rest)) = self.parts.records.split(datagram)
        {
            left = rest;
            self.data.push_back(record);
            let Some(record) = self.data.back_mut() else {
                return;
            };
            let opened = self.parts.records.open(record);
            if self.connected
                && let Opened::Record {
                    number,
                    content_type: ContentType::APPLICATION_DATA,
                    payload,
                } = opened
                && number.epoch >= self.data_epoch
            {
                record.advance(payload.at);
                record.truncate(payload.length);
                self.took_data();
            } else if let Some(record) = self.data.pop_back() {
                self.on_opened(opened, record);
            }
        }
    }

    /// Opens all records of a datagram where they lie; the place of the first
    /// data is returned, and what follows them is copied into the queue.
    #[inline]
    pub(super) fn receive_in_place(&mut self, datagram: &mut [u8]) -> Option<Range<usize>> {
        if self.is_connected() {
            match self.parts.records.open_usual(datagram) {
                Usual::Data(payload) => {
                    self.note_data();
                    return Some(payload.range());
                }
                Usual::Opened(opened) => {
                    self.on_opened(opened, BytesMut::from(&*datagram));
                    return None;
                }
                Usual::No => (),
            }
        }
        self.receive_any_in_place(datagram)
    }

    fn receive_any_in_place(&mut self, datagram: &mut [u8]) -> Option<Range<usize>> {
        let mut data = None;
        let mut at = 0;
        while !self.closed
            && let Some(rest) = datagram.get_mut(at..)
            && !rest.is_empty()
        {
            let Some(record) = self.parts.records.first_of(rest) else {
                break;
            };
            let length = record.len();
            match self.parts.records.open(record) {
                Opened::Record {
                    number,
                    content_type: ContentType::APPLICATION_DATA,
                    payload,
                } if self.connected && number.epoch >= self.data_epoch && data.is_none() => {
                    self.note_data();
                    data = Some(at + payload.at..at + payload.at + payload.length);
                }
                opened => self.on_opened(opened, BytesMut::from(&*record)),
            }
            at += length;
        }
        data
    }

    /// The peer does not only update keys and warn.
    #[inline]
    fn note_data(&mut self) {
        if let State::Established(state) = &mut self.state {
            state.note_data();
        }
        self.warnings = 0;
    }

    /// Data of an established connection are in the queue.
    #[inline]
    fn took_data(&mut self) {
        self.note_data();
        if self.data.len() > MAX_QUEUED_DATA {
            self.data.pop_back();
            self.data_dropped += 1;
        }
    }

    /// New keys: perhaps they open what came before them. That says nothing of
    /// the datagram that brought the keys: it may be from another address.
    fn retry_early(&mut self) {
        let newest_seen = self.parts.records.newest_seen;
        let early = self.parts.records.counters.early;
        for mut record in std::mem::take(&mut self.early) {
            if !self.closed {
                let opened = self.parts.records.open(&mut record);
                self.on_opened(opened, record);
            }
        }
        self.parts.records.newest_seen = newest_seen;
        self.parts.records.counters.early = early;
    }

    /// What a record is to a connection that is not established, or has no data.
    fn on_opened(&mut self, opened: Opened, mut record: BytesMut) {
        let read_epoch = self.parts.records.read_current();
        let result = match opened {
            Opened::Record {
                number,
                content_type,
                payload,
            } => {
                record.advance(payload.at);
                record.truncate(payload.length);
                if content_type == ContentType::APPLICATION_DATA {
                    self.on_data(number, record)
                } else {
                    self.on_record(number, content_type, &record)
                }
            }
            other => self.on_unopened(&other, record),
        };
        if let Err(failure) = result {
            self.fail(failure);
        }
        if read_epoch != self.parts.records.read_current() {
            self.retry_early();
        }
        if matches!(self.state, State::Established(_)) && !self.early.is_empty() {
            // All keys that they could have waited for are there.
            self.early = VecDeque::new();
        }
    }

    #[cold]
    fn on_unopened(&mut self, opened: &Opened, record: BytesMut) -> Result<(), Failure> {
        match opened {
            Opened::Record { .. } => Ok(()),
            Opened::Early => {
                let established = matches!(self.state, State::Established(_));
                let counters = &mut self.parts.records.counters;
                if !established && self.early.len() < MAX_EARLY_RECORDS {
                    counters.early += 1;
                    self.early.push_back(record);
                } else {
                    counters.wrong_epoch += 1;
                }
                Ok(())
            }
            Opened::Overflow => Err(Failure::RecordOverflow),
            Opened::NoContentType => Err(Failure::UnexpectedRecord(0)),
            Opened::Dropped(_) if self.parts.records.read_is_worn() => Err(Failure::Exhausted),
            Opened::Dropped(_) => Ok(()),
        }
    }

    fn on_record(
        &mut self,
        number: RecordNumber,
        content_type: ContentType,
        payload: &[u8],
    ) -> Result<(), Failure> {
        // With keys in use, messages come in the clear only again, and are no
        // reason to stop. ACKs are as ever (RFC 9147 §7): a client has no keys to
        // acknowledge part of a ServerHello with.
        let late = number.epoch == 0 && self.parts.records.read_current() > 0;
        match content_type {
            ContentType::HANDSHAKE if late => Ok(()),
            ContentType::ALERT if late && payload.len() != ALERT => Ok(()),
            ContentType::HANDSHAKE => self.on_handshake(number, payload),
            ContentType::ALERT => self.on_alert(number, payload),
            ContentType::ACK => self.on_ack(number, payload),
            // The keys of 1.2 change with the message that needs them.
            ContentType::CHANGE_CIPHER_SPEC if number.epoch == 0 => Ok(()),
            // Anyone can send plaintext: no reason to stop.
            _ if number.epoch == 0 => Ok(()),
            other => Err(Failure::UnexpectedRecord(other.0)),
        }
    }

    fn on_data(&mut self, number: RecordNumber, payload: BytesMut) -> Result<(), Failure> {
        if number.epoch == 0 {
            return Ok(());
        }
        if self.parts.session.version == Some(Version::Dtls13) && number.epoch < FIRST_DATA_EPOCH {
            return Err(Failure::UnexpectedRecord(ContentType::APPLICATION_DATA.0));
        }
        if self.connected {
            self.data.push_back(payload);
            self.took_data();
            return Ok(());
        }
        if self.held.len() < MAX_HELD_DATA {
            self.held.push_back(payload);
        } else {
            self.data_dropped += 1;
        }
        Ok(())
    }

    fn on_handshake(&mut self, number: RecordNumber, payload: &[u8]) -> Result<(), Failure> {
        let parts = &mut self.parts;
        let is_13 = parts.session.version == Some(Version::Dtls13);
        let established = matches!(self.state, State::Established(_));
        let current = number.epoch == parts.records.read_current();
        let mut ackable = true;
        let mut progress = false;
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let fragment = Fragment::read(&mut reader)?;
            let renegotiates = matches!(
                fragment.kind,
                HandshakeType::HelloRequest | HandshakeType::ClientHello
            );
            if established && !is_13 && number.epoch > 0 && renegotiates {
                // Not for the reassembly: a new handshake counts its messages from 0
                // again (RFC 6347 §4.2.2), so this would pass for an old one.
                decline(self.role, &fragment)?;
                // At most one waits to be sent.
                self.alert = Some((1, AlertDescription::NoRenegotiation));
                ackable = false;
                continue;
            }
            let past = u32::from(fragment.sequence) < parts.reassembly.next_sequence();
            let outcome = if current || past {
                parts.reassembly.insert(&fragment)?
            } else if number.epoch > 0 && number.epoch < parts.records.read_current() {
                // The keys changed after all that this epoch may say.
                return Err(Failure::ExcessHandshakeData);
            } else {
                Outcome::Discarded
            };
            match outcome {
                Outcome::Kept => progress = true,
                Outcome::Discarded => ackable = false,
                Outcome::Past => {
                    let asks_again = parts.sent_last_flight
                        && number.epoch > 0
                        && fragment.kind == HandshakeType::Finished
                        && fragment.offset == 0;
                    if asks_again && !parts.flight.is_sending() {
                        parts.flight.restart();
                        self.retransmissions += 1;
                    }
                }
            }
        }
        if ackable {
            parts.acks.push(number);
            if is_13 {
                parts.acks.start(parts.now);
                if progress && !established {
                    // Part of the answer says that ours arrived (RFC 9147 §7.2).
                    parts.await_flight();
                }
            }
        }
        self.process_messages(number)
    }

    /// Takes the message that the stateless front has put together.
    pub(super) fn take_first(&mut self, message: Message) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        match state.on_message(&mut self.parts, message) {
            Ok(state) => self.state = state,
            Err(failure) => self.fail(failure),
        }
    }

    fn process_messages(&mut self, number: RecordNumber) -> Result<(), Failure> {
        while self.parts.records.read_current() == number.epoch {
            let Some(message) = self.parts.reassembly.pop() else {
                break;
            };
            let was_established = matches!(self.state, State::Established(_));
            let state = std::mem::replace(&mut self.state, State::Ended);
            self.state = state.on_message(&mut self.parts, message)?;
            if !was_established {
                self.check_connected();
            }
        }
        Ok(())
    }

    /// Reports the connection once the handshake ended and the peer is trusted.
    pub(super) fn check_connected(&mut self) {
        if self.connected || self.closed || !matches!(self.state, State::Established(_)) {
            return;
        }
        self.parts.records.drop_plain_read();
        self.parts.records.shrink();
        if self.parts.session.trust == PeerTrust::AwaitsFingerprint {
            if self.events.back() != Some(&Event::FingerprintNeeded) {
                self.events.push_back(Event::FingerprintNeeded);
            }
            return;
        }
        let (Some(version), Some(cipher_suite)) =
            (self.parts.session.version, self.parts.session.cipher_suite)
        else {
            return;
        };
        self.connected = true;
        self.data_epoch = match version {
            Version::Dtls12 => 1,
            Version::Dtls13 => FIRST_DATA_EPOCH,
        };
        let srtp_profile = self.parts.session.srtp_profile;
        self.events.push_back(Event::Connected {
            version,
            cipher_suite,
            srtp_profile,
        });
        self.data.append(&mut self.held);
        if version == Version::Dtls12 {
            // 1.2 has no ACKs: nothing is to be remembered for one.
            self.parts.acks.clear();
        }
    }

    fn on_alert(&mut self, number: RecordNumber, payload: &[u8]) -> Result<(), Failure> {
        let &[level, description] = payload else {
            return Err(Failure::BadAlert);
        };
        let description = AlertDescription::from(description);
        let is_13 = self.parts.session.version == Some(Version::Dtls13);
        match (level, description) {
            // The level says nothing in 1.3 (RFC 8446 §6).
            (level, AlertDescription::CloseNotify) if level == 1 || is_13 && level == 2 => {
                self.end(CloseReason::Peer, Some(AlertDescription::CloseNotify));
                Ok(())
            }
            (level, AlertDescription::UserCanceled) if level == 1 || is_13 && level == 2 => {
                self.on_warning()
            }
            (1, _) if !is_13 => self.on_warning(),
            (1 | 2, _) => {
                self.end(
                    CloseReason::Failed(Failure::AlertReceived(description)),
                    None,
                );
                Ok(())
            }
            _ if number.epoch == 0 => Ok(()),
            _ => Err(Failure::BadAlert),
        }
    }

    fn on_warning(&mut self) -> Result<(), Failure> {
        self.warnings += 1;
        if self.warnings > MAX_WARNING_ALERTS {
            Err(Failure::Flood)
        } else {
            Ok(())
        }
    }

    fn on_ack(&mut self, number: RecordNumber, payload: &[u8]) -> Result<(), Failure> {
        // Before the version is known an ACK says nothing that we need.
        if self.parts.session.version != Some(Version::Dtls13) {
            return Ok(());
        }
        let numbers = acks::parse(payload)?;
        // Handshake records are not acknowledged from below their epoch (RFC 9147
        // §7.2). Later the epochs of the two directions need not be the same.
        if number.epoch < 3 && numbers.iter().any(|acked| acked.epoch > number.epoch) {
            return Err(Failure::BadAck);
        }
        for acked in numbers {
            self.parts.flight.acknowledge(acked);
        }
        if !self.parts.flight.is_empty() && self.parts.flight.is_acknowledged() {
            if let State::Established(state) = &mut self.state {
                self.parts.end_flight();
                state.on_flight_acknowledged(&mut self.parts)?;
            } else {
                self.parts.await_flight();
            }
        }
        Ok(())
    }
}

/// Whether the peer may ask for a renegotiation like this: a warning is then the
/// answer, and the connection goes on (RFC 5246 §7.2.2, RFC 5746 §4.2).
fn decline(role: Role, fragment: &Fragment<'_>) -> Result<(), Failure> {
    match (role, fragment.kind) {
        (Role::Client, HandshakeType::HelloRequest) if fragment.length == 0 => Ok(()),
        (Role::Client, HandshakeType::HelloRequest) => Err(Failure::Malformed),
        (Role::Server, HandshakeType::ClientHello) => Ok(()),
        (_, kind) => Err(Failure::UnexpectedMessage(kind.into())),
    }
}
