//! A connection to the server that becomes one to a peer (RFC 6062 §4.3).

use std::time::Instant;

use rand::Rng;

use super::config::{Config, Failure};
use super::requests::Ask;
use crate::attributes::{ConnectionId, ErrorCode};
use crate::credentials::LongTerm;
use crate::framing::{Framing, StreamDecoder};
use crate::limits::MAX_AUTH_RETRIES;
use crate::message::{Class, Message, Method, TransactionId};
use crate::transaction::{Step, Transaction};

/// How far a data connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataConnectionState {
    /// ConnectionBind is under way.
    Binding,
    /// All that follows is the peer's, and goes to the peer.
    Open,
    /// Close the connection.
    Failed(Failure),
}

/// Sends ConnectionBind on a fresh connection and waits for its answer; from
/// then on the connection carries raw data and this machine is done.
#[derive(Debug)]
pub struct DataConnection {
    connection: ConnectionId,
    config: Config,
    credentials: LongTerm,
    /// Ids for the first attempt and for those after challenges.
    ids: Vec<TransactionId>,
    transaction: Transaction,
    challenged: u8,
    stream: StreamDecoder,
    state: DataConnectionState,
}

impl DataConnection {
    pub(super) fn new(
        connection: ConnectionId,
        config: Config,
        credentials: LongTerm,
        now: Instant,
        rng: &mut impl Rng,
    ) -> DataConnection {
        let mut ids: Vec<_> = (0..=MAX_AUTH_RETRIES)
            .map(|_| TransactionId::random(rng))
            .collect();
        let first = ids.pop().unwrap_or(TransactionId::new([0; 12]));
        let reliability = config.transport.reliability();
        DataConnection {
            connection,
            transaction: Transaction::new(first, now, config.schedule, reliability),
            config,
            credentials,
            ids,
            challenged: 0,
            stream: StreamDecoder::new(Framing::Turn),
            state: DataConnectionState::Binding,
        }
    }

    /// How far it is.
    pub fn state(&self) -> &DataConnectionState {
        &self.state
    }

    /// When to call [`DataConnection::poll_transmit`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.state == DataConnectionState::Binding).then(|| self.transaction.poll_timeout())
    }

    /// Appends what must be written to the connection now.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        if self.state != DataConnectionState::Binding {
            return None;
        }
        match self.transaction.step(now) {
            Step::Wait => None,
            Step::TimedOut => {
                self.state = DataConnectionState::Failed(Failure::TimedOut);
                None
            }
            Step::Transmit => {
                let start = out.len();
                let ask = Ask::ConnectionBind(self.connection);
                let id = self.transaction.id();
                match ask.write(id, &self.config, &self.credentials, out) {
                    Ok(()) => Some(out.len() - start),
                    Err(_) => {
                        self.state = DataConnectionState::Failed(Failure::Unwritable);
                        None
                    }
                }
            }
        }
    }

    /// Takes in what arrived. Once open, gives back what is the peer's already.
    pub fn handle_input(&mut self, now: Instant, octets: &[u8]) -> Vec<u8> {
        if self.state != DataConnectionState::Binding {
            return octets.to_vec();
        }
        self.stream.extend(octets);
        let signed = self.credentials.is_ready();
        let outcome = match self.stream.next_packet() {
            Ok(None) => return Vec::new(),
            Err(_) => Err(Failure::Malformed),
            Ok(Some(packet)) => match Message::parse(packet) {
                Ok(m)
                    if m.transaction_id() == self.transaction.id()
                        && m.method() == Method::CONNECTION_BIND =>
                {
                    match (m.class(), m.get::<ErrorCode<'_>>()) {
                        (Class::Success, _) if self.credentials.verify(&m).is_ok() => Ok(true),
                        (Class::Error, Some(e)) if matches!(e.code(), 401 | 438) => {
                            self.challenged += 1;
                            match self.credentials.challenged(&m, signed) {
                                Ok(_) => Ok(false),
                                Err(error) => Err(Failure::Authentication(error)),
                            }
                        }
                        (Class::Error, Some(e)) => Err(Failure::Refused {
                            code: e.code(),
                            reason: e.reason().to_owned(),
                        }),
                        _ => Err(Failure::Malformed),
                    }
                }
                _ => Err(Failure::Malformed),
            },
        };
        match outcome {
            Ok(true) => {
                self.state = DataConnectionState::Open;
                self.stream.take_rest()
            }
            Ok(false) => {
                match self.ids.pop() {
                    Some(id) => {
                        let (schedule, transport) = (self.config.schedule, self.config.transport);
                        self.transaction =
                            Transaction::new(id, now, schedule, transport.reliability());
                    }
                    None => self.state = DataConnectionState::Failed(Failure::ChallengeLoop),
                }
                Vec::new()
            }
            Err(failure) => {
                self.state = DataConnectionState::Failed(failure);
                Vec::new()
            }
        }
    }
}
