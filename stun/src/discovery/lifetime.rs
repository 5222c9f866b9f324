//! How long a NAT remembers an unused mapping (RFC 5780 §4.6).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Socket, SocketTransmit};
use crate::attributes::{ResponsePort, XorMappedAddress};
use crate::message::{Class, Message, Method, TransactionId, Writer};
use crate::transaction::{Reliability, Schedule, Step, Transaction};

/// Where to look, and how closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeSearch {
    /// The first wait that is tried; doubled while the mapping survives.
    pub first: Duration,
    /// The longest wait that is tried.
    pub longest: Duration,
    /// The search ends when the lifetime is known to within this (at least one
    /// second).
    pub resolution: Duration,
}

impl Default for LifetimeSearch {
    /// From 30 s to ten minutes, to within 10 s: about an hour for a NAT of five
    /// minutes.
    fn default() -> Self {
        LifetimeSearch {
            first: Duration::from_secs(30),
            longest: Duration::from_secs(600),
            resolution: Duration::from_secs(10),
        }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifetimeOutcome {
    /// The server does not answer.
    Blocked,
    /// The server knows no RESPONSE-PORT, or what it sends there does not
    /// arrive even at once.
    Unsupported,
    /// A mapping lives at least so long, and less than that; `None` when it
    /// survived the longest wait.
    Lives {
        /// It was still there after this time.
        at_least: Duration,
        /// It was gone after this.
        less_than: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first socket asks for its mapped address, which refreshes it.
    Map,
    /// Nothing is sent until then.
    Idle {
        port: u16,
        until: Instant,
    },
    /// The second socket has the answer sent to the first.
    Probe {
        port: u16,
    },
    Done(LifetimeOutcome),
}

/// The machine: waits of different length, each from a fresh mapping, until
/// the lifetime stands between two of them.
///
/// RFC 5780 warns that what was found need not hold: a NAT under load forgets
/// sooner.
#[derive(Debug)]
pub struct Lifetime {
    server: SocketAddr,
    search: LifetimeSearch,
    schedule: Schedule,
    rng: StdRng,
    state: State,
    transaction: Transaction,
    /// The wait under test; zero first, to see that the test can succeed.
    wait: Duration,
    at_least: Option<Duration>,
    less_than: Option<Duration>,
}

impl Lifetime {
    /// Begins. A mapping that is gone is noticed when `schedule` has run out:
    /// take a shorter one than the default.
    pub fn new(
        server: SocketAddr,
        search: LifetimeSearch,
        schedule: Schedule,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Self {
        let mut rng = StdRng::from_rng(rng);
        let id = TransactionId::random(&mut rng);
        Lifetime {
            server,
            search,
            schedule,
            rng,
            state: State::Map,
            transaction: Transaction::new(id, now, schedule, Reliability::Unreliable),
            wait: Duration::ZERO,
            at_least: None,
            less_than: None,
        }
    }

    /// What was found, once the search is done.
    pub fn outcome(&self) -> Option<LifetimeOutcome> {
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

    /// A wait was tried.
    fn tried(&mut self, now: Instant, alive: bool) {
        if alive {
            self.at_least = Some(self.wait);
        } else {
            self.less_than = Some(self.wait);
        }
        let Some(at_least) = self.at_least else {
            return self.go(now, State::Done(LifetimeOutcome::Unsupported));
        };
        let resolution = self.search.resolution.max(Duration::from_secs(1));
        let next = match self.less_than {
            None if at_least >= self.search.longest => None,
            None => Some((at_least * 2).max(self.search.first)),
            Some(less_than) if less_than.saturating_sub(at_least) <= resolution => None,
            Some(less_than) => Some(at_least + (less_than - at_least) / 2),
        };
        match next {
            Some(wait) => {
                self.wait = wait.clamp(Duration::from_millis(1), self.search.longest);
                self.go(now, State::Map);
            }
            None => {
                let less_than = self.less_than;
                self.go(
                    now,
                    State::Done(LifetimeOutcome::Lives {
                        at_least,
                        less_than,
                    }),
                );
            }
        }
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
        match (self.state, m.class(), socket) {
            (State::Map, Class::Success, Socket::First) => {
                match m.get::<XorMappedAddress>() {
                    Some(XorMappedAddress(mapped)) => {
                        // The mapping was used last when the request left.
                        let sent = self.transaction.first_sent().unwrap_or(now);
                        let until = (sent + self.wait).max(now);
                        let port = mapped.port();
                        self.go(now, State::Idle { port, until });
                    }
                    None => self.go(now, State::Done(LifetimeOutcome::Blocked)),
                }
            }
            (State::Probe { .. }, Class::Success, Socket::First) => self.tried(now, true),
            // The mapping was gone, and the second socket was given its port.
            (State::Probe { .. }, Class::Success, Socket::Second) => self.tried(now, false),
            // 420: no RESPONSE-PORT.
            (State::Probe { .. }, Class::Error, _) => {
                self.go(now, State::Done(LifetimeOutcome::Unsupported));
            }
            _ => return false,
        }
        true
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Done(_) => {}
            State::Idle { port, until } => {
                if now >= until {
                    self.go(now, State::Probe { port });
                }
            }
            State::Map => {
                if self.transaction.is_timed_out(now) {
                    self.go(now, State::Done(LifetimeOutcome::Blocked));
                }
            }
            State::Probe { .. } => {
                if self.transaction.is_timed_out(now) {
                    self.tried(now, false);
                }
            }
        }
    }

    /// When there is something to do next; `None` when done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Done(_) => None,
            State::Idle { until, .. } => Some(until),
            State::Map | State::Probe { .. } => Some(self.transaction.poll_timeout()),
        }
    }

    /// Appends the next request to `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketTransmit> {
        let (socket, port) = match self.state {
            State::Map => (Socket::First, None),
            State::Probe { port } => (Socket::Second, Some(ResponsePort(port))),
            State::Idle { .. } | State::Done(_) => return None,
        };
        if self.transaction.step(now) != Step::Transmit {
            return None;
        }
        let id = self.transaction.id();
        let writer = Writer::new(out, Class::Request, Method::BINDING, id);
        let len = writer.push_opt(port.as_ref()).finish().ok()?;
        Some(SocketTransmit {
            socket,
            remote: self.server,
            len,
        })
    }
}
