//! After the handshake: KeyUpdate, connection IDs and tickets in 1.3, silence in
//! 1.2.

use super::{Parts, State, unexpected};
use crate::crypto::aead::Algorithm;
use crate::crypto::schedule13::Secret;
use crate::error::Failure;
use crate::limits::{MAX_CID, MAX_CID_REQUESTS, MAX_KEY_UPDATES};
use crate::wire::handshake::{HandshakeType, Message};
use crate::wire::messages::{
    NO_CONNECTION_IDS, check_new_session_ticket, check_request_connection_id, parse_key_update,
    parse_new_connection_id,
};

/// The last epoch: the two-octet field of an ACK-less 1.2 would end here, and
/// so do we (RFC 9147 §8 allows 2^48 - 1).
const LAST_EPOCH: u64 = 0xffff;

/// How far our own KeyUpdate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Update {
    Idle,
    /// Ours is in flight; the new keys are used once it is acknowledged.
    InFlight,
    /// As before, and another is wanted after it.
    InFlightAndWanted,
    Wanted,
}

/// Secrets of both directions' current epochs.
#[derive(Debug)]
struct Keys {
    aead: Algorithm,
    read: Secret,
    write: Secret,
    update: Update,
    request: bool,
    updates_in_a_row: u32,
    /// The peer asked for connection IDs and has no answer yet.
    owes_ids: bool,
    id_requests_in_a_row: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Established {
    is_client: bool,
    keys: Option<Box<Keys>>,
}

impl Established {
    pub(crate) fn new12(is_client: bool) -> Self {
        Self {
            is_client,
            keys: None,
        }
    }

    pub(crate) fn new13(aead: Algorithm, read: Secret, write: Secret, is_client: bool) -> Self {
        let update = Update::Idle;
        let keys = Keys {
            aead,
            read,
            write,
            update,
            request: false,
            updates_in_a_row: 0,
            owes_ids: false,
            id_requests_in_a_row: 0,
        };
        Self {
            is_client,
            keys: Some(Box::new(keys)),
        }
    }

    /// Application data came: the peer does not only update keys and ask for
    /// connection IDs.
    pub(crate) fn note_data(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.updates_in_a_row = 0;
            keys.id_requests_in_a_row = 0;
        }
    }

    pub(crate) fn on_message(
        mut self,
        parts: &mut Parts,
        message: &Message,
    ) -> Result<State, Failure> {
        let Some(keys) = &mut self.keys else {
            return unexpected(message);
        };
        match message.kind {
            HandshakeType::NewSessionTicket if self.is_client => {
                check_new_session_ticket(&message.body)?;
            }
            HandshakeType::KeyUpdate => {
                let requested = parse_key_update(&message.body)?;
                keys.updates_in_a_row += 1;
                let epoch = parts.records.read_current() + 1;
                if keys.updates_in_a_row > MAX_KEY_UPDATES || epoch > LAST_EPOCH {
                    return Err(Failure::TooManyKeyUpdates);
                }
                keys.read = keys.read.next_generation();
                parts.add_read13(epoch, keys.aead, &keys.read)?;
                parts.read_from_epoch(epoch)?;
                if requested {
                    keys.want_update(false);
                    keys.start_next(parts)?;
                }
            }
            // Who agreed to receive none has none to give, and who agreed to send
            // none has no use for more (RFC 9147 §9).
            HandshakeType::NewConnectionId if !parts.records.cid_out.is_empty() => {
                let (ids, at_once) = parse_new_connection_id(&message.body)?;
                if at_once {
                    let id = ids.iter().find(|id| (1..=MAX_CID).contains(&id.len()));
                    parts.records.cid_out = id.ok_or(Failure::IllegalHello)?.to_vec();
                }
            }
            HandshakeType::RequestConnectionId if !parts.records.cid_in.is_empty() => {
                check_request_connection_id(&message.body)?;
                keys.id_requests_in_a_row += 1;
                if keys.id_requests_in_a_row > MAX_CID_REQUESTS {
                    return Err(Failure::TooManyIdRequests);
                }
                keys.owes_ids = true;
                keys.start_next(parts)?;
            }
            _ => return unexpected(message),
        }
        Ok(State::Established(self))
    }

    /// Asks for new write keys, and with `request` for the peer's too.
    pub(crate) fn update_keys(&mut self, parts: &mut Parts, request: bool) -> Result<(), Failure> {
        let Some(keys) = &mut self.keys else {
            return Ok(());
        };
        keys.want_update(request);
        keys.start_next(parts)
    }

    /// The flight was acknowledged whole.
    pub(crate) fn on_flight_acknowledged(&mut self, parts: &mut Parts) -> Result<(), Failure> {
        let Some(keys) = &mut self.keys else {
            return Ok(());
        };
        let again = match keys.update {
            Update::InFlight => false,
            Update::InFlightAndWanted => true,
            Update::Wanted | Update::Idle => return keys.start_next(parts),
        };
        let epoch = parts.records.write_current() + 1;
        if epoch > LAST_EPOCH {
            return Err(Failure::TooManyKeyUpdates);
        }
        keys.write = keys.write.next_generation();
        parts.add_write13(epoch, keys.aead, &keys.write)?;
        parts.records.drop_old_write();
        keys.update = if again { Update::Wanted } else { Update::Idle };
        keys.start_next(parts)
    }
}

impl Keys {
    fn want_update(&mut self, request: bool) {
        self.request |= request;
        self.update = match self.update {
            Update::Idle | Update::Wanted => Update::Wanted,
            // One in flight answers the peer's request as well as another
            // would; only our own wish for the peer's keys needs one more.
            Update::InFlight if !request => Update::InFlight,
            Update::InFlight | Update::InFlightAndWanted => Update::InFlightAndWanted,
        };
    }

    /// Sends what is due, unless another post-handshake message is in flight:
    /// nothing may follow a KeyUpdate in its epoch (RFC 9147 §8).
    fn start_next(&mut self, parts: &mut Parts) -> Result<(), Failure> {
        if !parts.flight.is_empty() {
            return Ok(());
        }
        let epoch = parts.records.write_current();
        parts.flight_epoch = epoch;
        if std::mem::take(&mut self.owes_ids) {
            // Paths are not known here, so one ID is all that the peer needs.
            let kind = HandshakeType::NewConnectionId;
            parts.flight.push(epoch, kind, NO_CONNECTION_IDS.to_vec())?;
            return Ok(());
        }
        if self.update != Update::Wanted {
            return Ok(());
        }
        let body = vec![u8::from(std::mem::take(&mut self.request))];
        parts.flight.push(epoch, HandshakeType::KeyUpdate, body)?;
        self.update = Update::InFlight;
        Ok(())
    }
}
