//! Whether a NAT turns packets around (RFC 5780 §3.4; RFC 4787 §6).

use std::net::SocketAddr;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Filler, Socket, SocketTransmit};
use crate::attributes::XorMappedAddress;
use crate::message::{Class, Message, Method, TransactionId, Writer};
use crate::transaction::{Reliability, Schedule, Step, Transaction};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HairpinOutcome {
    /// The server does not answer.
    Blocked,
    /// What one socket sent to the other's mapped address arrived. Also so
    /// where there is no NAT.
    Hairpins,
    /// It did not. Of a NAT whose mapping depends on the other side this says
    /// only that these two sockets do not reach each other: neither knows the
    /// address that the other would have towards it.
    DoesNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Ask the server for the mapped address of the first, then of the second.
    First,
    Second {
        first: SocketAddr,
    },
    /// From the second to the mapped address of the first. Before each, the
    /// first sends something the other way, so that its filter knows the
    /// second.
    Probe {
        first: SocketAddr,
        second: SocketAddr,
        opened: bool,
    },
    Done(HairpinOutcome),
}

/// The machine: one test from two local sockets.
///
/// A request is sent to a mapped address of our own and recognised when it
/// comes in.
#[derive(Debug)]
pub struct Hairpin {
    server: SocketAddr,
    schedule: Schedule,
    rng: StdRng,
    state: State,
    transaction: Transaction,
    filler: Filler,
}

impl Hairpin {
    /// Begins. "No" is known only when `schedule` has run out: take a shorter
    /// one than the default.
    pub fn new(server: SocketAddr, schedule: Schedule, now: Instant, rng: &mut impl Rng) -> Self {
        let mut rng = StdRng::from_rng(rng);
        let id = TransactionId::random(&mut rng);
        Hairpin {
            server,
            schedule,
            rng,
            state: State::First,
            transaction: Transaction::new(id, now, schedule, Reliability::Unreliable),
            filler: Filler::default(),
        }
    }

    /// Makes what the NAT is to turn around longer by so many octets (RFC 5780
    /// §3.5): with the MTU of the interface it is sent in fragments, and some NATs
    /// do not turn those around. At most
    /// [`MAX_PADDING_ASKED`](crate::limits::MAX_PADDING_ASKED).
    pub fn with_padding(mut self, octets: usize) -> Self {
        self.filler = Filler::new(octets);
        self
    }

    /// What was found, once the test is done.
    pub fn outcome(&self) -> Option<HairpinOutcome> {
        match self.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn go(&mut self, now: Instant, state: State) {
        self.state = state;
        let id = TransactionId::random(&mut self.rng);
        self.transaction = Transaction::new(id, now, self.schedule, Reliability::Unreliable);
    }

    /// Takes in what arrived on one of the sockets. `false`: nothing of this
    /// test.
    pub fn handle_input(&mut self, now: Instant, socket: Socket, datagram: &[u8]) -> bool {
        let Ok(m) = Message::parse(datagram) else {
            return false;
        };
        if m.transaction_id() != self.transaction.id() || m.method() != Method::BINDING {
            return false;
        }
        let mapped = m.get::<XorMappedAddress>().map(|a| a.0);
        match (self.state, m.class(), socket) {
            (State::First, Class::Success, Socket::First) => {
                let next = mapped.map(|first| State::Second { first });
                self.go(now, next.unwrap_or(State::Done(HairpinOutcome::Blocked)));
            }
            (State::Second { first }, Class::Success, Socket::Second) => {
                let next = mapped.map(|second| State::Probe {
                    first,
                    second,
                    opened: false,
                });
                self.go(now, next.unwrap_or(State::Done(HairpinOutcome::Blocked)));
            }
            (State::Probe { .. }, Class::Request, Socket::First) => {
                self.state = State::Done(HairpinOutcome::Hairpins);
            }
            _ => return false,
        }
        true
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.outcome().is_none() && self.transaction.is_timed_out(now) {
            self.state = State::Done(match self.state {
                State::Probe { .. } => HairpinOutcome::DoesNot,
                _ => HairpinOutcome::Blocked,
            });
        }
    }

    /// When there is something to do next; `None` when done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outcome()
            .is_none()
            .then(|| self.transaction.poll_timeout())
    }

    /// Appends the next message to `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketTransmit> {
        let (socket, remote) = match &mut self.state {
            State::Done(_) => return None,
            State::First => (Socket::First, self.server),
            State::Second { .. } => (Socket::Second, self.server),
            State::Probe {
                second,
                opened: opened @ false,
                ..
            } if now >= self.transaction.poll_timeout() && !self.transaction.is_timed_out(now) => {
                *opened = true;
                let id = TransactionId::random(&mut self.rng);
                let writer = Writer::new(out, Class::Indication, Method::BINDING, id);
                return Some(SocketTransmit {
                    socket: Socket::First,
                    remote: *second,
                    len: writer.finish().ok()?,
                });
            }
            State::Probe { first, opened, .. } => {
                *opened = false;
                (Socket::Second, *first)
            }
        };
        if self.transaction.step(now) != Step::Transmit {
            return None;
        }
        let id = self.transaction.id();
        let filler = match self.state {
            State::Probe { .. } => self.filler.attribute(),
            _ => None,
        };
        let len = Writer::new(out, Class::Request, Method::BINDING, id)
            .push_opt(filler.as_ref())
            .finish()
            .ok()?;
        Some(SocketTransmit {
            socket,
            remote,
            len,
        })
    }
}
