//! How a NAT maps and filters (RFC 5780 §4), asked of a server with two
//! addresses.
//!
//! Filtering is tested first: the mapping tests send to the server's other
//! addresses and so would open the filter for them. One test follows the other, at
//! most five in all, which keeps within ten transactions a second (§5). UDP only.
//!
//! [`Hairpin`] tells whether a NAT leads its inner hosts to each other by their
//! outer addresses, [`Lifetime`] how long it remembers a mapping. Both need two
//! local sockets.

mod hairpin;
mod lifetime;

pub use hairpin::{Hairpin, HairpinOutcome};
pub use lifetime::{Lifetime, LifetimeOutcome, LifetimeSearch};

use std::net::SocketAddr;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::attributes::{
    ChangeRequest, ErrorCode, MappedAddress, OtherAddress, Padding, XorMappedAddress,
};
use crate::limits::MAX_PADDING_ASKED;
use crate::message::{Class, Message, Method, TransactionId, Writer};
use crate::transaction::{Reliability, Schedule, Step, Transaction};

/// On what a mapping or a filter depends (RFC 4787 §4.1, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dependence {
    /// On nothing of the other side.
    EndpointIndependent,
    /// On its IP address.
    AddressDependent,
    /// On its IP address and port.
    AddressAndPortDependent,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// No answer at all: UDP is blocked, or the server is away.
    Blocked,
    /// The server refused a request: nothing that was not answered may be believed.
    Refused {
        /// The code of its ERROR-CODE; 401 where it wants credentials, which these
        /// tests do not have.
        code: u16,
    },
    /// The server has no second address: only the mapped address is known.
    Unsupported {
        /// Our address as the server sees it.
        mapped: SocketAddr,
    },
    /// All tests were made.
    Found {
        /// Our address as the server sees it first.
        mapped: SocketAddr,
        /// `None` when there is no translation. What gets no answer counts as the
        /// narrowest kind.
        mapping: Option<Dependence>,
        /// How unasked datagrams fare.
        filtering: Dependence,
    },
}

/// Where a message is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// One of the server's addresses.
    pub remote: SocketAddr,
    /// Octets appended to the buffer.
    pub len: usize,
}

/// Which of the two local sockets of [`Hairpin`] and [`Lifetime`]. Both are
/// bound to the same address and different ports, and used for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// The one whose mapping is examined.
    First,
    /// The one that asks for it.
    Second,
}

/// Where a message is to go, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketTransmit {
    /// Send it from this socket.
    pub socket: Socket,
    /// To whom.
    pub remote: SocketAddr,
    /// Octets appended to the buffer.
    pub len: usize,
}

/// What makes a request long enough for fragments (RFC 5780 §7.6).
#[derive(Clone, Debug, Default)]
struct Filler(Vec<u8>);

impl Filler {
    fn new(octets: usize) -> Filler {
        Filler(vec![0; octets.min(MAX_PADDING_ASKED).next_multiple_of(4)])
    }

    fn attribute(&self) -> Option<Padding<'_>> {
        (!self.0.is_empty()).then_some(Padding(&self.0))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    First,
    /// Answer from the other IP address and port.
    FilterBoth,
    /// Answer from the other port.
    FilterPort,
    /// To the other IP address.
    MapAddress,
    /// To the other IP address and port.
    MapPort,
    Done,
}

/// The machine: one run of all tests from one local socket.
#[derive(Debug)]
pub struct Discovery {
    server: SocketAddr,
    local: SocketAddr,
    schedule: Schedule,
    rng: StdRng,
    test: Test,
    transaction: Transaction,
    mapped: Option<SocketAddr>,
    other: Option<SocketAddr>,
    filtering: Dependence,
    mapping: Option<Dependence>,
    mapped_at_other: Option<SocketAddr>,
    outcome: Option<Outcome>,
    rewritten: Option<bool>,
    filler: Filler,
}

impl Discovery {
    /// Begins with a socket bound to `local`. A test that gets no answer ends
    /// only with its `schedule`: take a shorter one than the default.
    pub fn new(
        server: SocketAddr,
        local: SocketAddr,
        schedule: Schedule,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Discovery {
        let mut rng = StdRng::from_rng(rng);
        let id = TransactionId::random(&mut rng);
        Discovery {
            server,
            local,
            schedule,
            rng,
            test: Test::First,
            transaction: Transaction::new(id, now, schedule, Reliability::Unreliable),
            mapped: None,
            other: None,
            filtering: Dependence::EndpointIndependent,
            mapping: None,
            mapped_at_other: None,
            outcome: None,
            rewritten: None,
            filler: Filler::default(),
        }
    }

    /// Makes every request longer by so many octets, and the server its answers
    /// (RFC 5780 §3.5): with the MTU of the interface the NAT sees fragments. At most
    /// [`MAX_PADDING_ASKED`].
    pub fn with_padding(mut self, octets: usize) -> Self {
        self.filler = Filler::new(octets);
        self
    }

    /// Whether something on the path rewrites addresses inside of datagrams, a
    /// "generic ALG" (RFC 5780 §3.6): MAPPED-ADDRESS did not come as it was sent.
    /// `None` before the first answer, and where the server does not send it.
    pub fn rewritten(&self) -> Option<bool> {
        self.rewritten
    }

    /// What was found, once all tests are done.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    fn target(&self) -> SocketAddr {
        match (self.test, self.other) {
            (Test::MapAddress, Some(other)) => SocketAddr::new(other.ip(), self.server.port()),
            (Test::MapPort, Some(other)) => other,
            _ => self.server,
        }
    }

    fn go(&mut self, now: Instant, test: Test) {
        self.test = test;
        let id = TransactionId::random(&mut self.rng);
        self.transaction = Transaction::new(id, now, self.schedule, Reliability::Unreliable);
        if test == Test::Done {
            self.outcome = Some(match (self.mapped, self.other) {
                (None, _) => Outcome::Blocked,
                (Some(mapped), None) => Outcome::Unsupported { mapped },
                (Some(mapped), Some(_)) => {
                    let (mapping, filtering) = (self.mapping, self.filtering);
                    Outcome::Found {
                        mapped,
                        mapping,
                        filtering,
                    }
                }
            });
        }
    }

    /// `false`: not an answer to the test under way.
    pub fn handle_input(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let Ok(m) = Message::parse(datagram) else {
            return false;
        };
        let ours = m.transaction_id() == self.transaction.id() && m.method() == Method::BINDING;
        if self.test == Test::Done || !ours || !matches!(m.class(), Class::Success | Class::Error) {
            return false;
        }
        if m.class() == Class::Error {
            let code = m.get::<ErrorCode<'_>>().map_or(0, |error| error.code());
            self.go(now, Test::Done);
            self.outcome = Some(Outcome::Refused { code });
            return true;
        }
        let mapped = m.get::<XorMappedAddress>().map(|a| a.0);
        if let (None, Some(hidden), Some(MappedAddress(plain))) =
            (self.rewritten, mapped, m.get::<MappedAddress>())
        {
            self.rewritten = Some(plain != hidden);
        }
        self.ended(now, mapped, m.get::<OtherAddress>().map(|a| a.0));
        true
    }

    /// A test ended, with an answer or without.
    fn ended(&mut self, now: Instant, mapped: Option<SocketAddr>, other: Option<SocketAddr>) {
        let next = match (self.test, mapped) {
            (Test::First, _) => {
                self.mapped = mapped;
                // An address that is not another one would make every test lie.
                self.other = other.filter(|o| {
                    o.ip() != self.server.ip()
                        && o.port() != self.server.port()
                        && o.is_ipv4() == self.server.is_ipv4()
                });
                if self.mapped.is_some() && self.other.is_some() {
                    Test::FilterBoth
                } else {
                    Test::Done
                }
            }
            (Test::FilterBoth, None) => Test::FilterPort,
            (Test::FilterBoth, Some(_)) => {
                self.filtering = Dependence::EndpointIndependent;
                self.mapping_test()
            }
            (Test::FilterPort, answer) => {
                self.filtering = match answer {
                    Some(_) => Dependence::AddressDependent,
                    None => Dependence::AddressAndPortDependent,
                };
                self.mapping_test()
            }
            (Test::MapAddress, answer) if answer == self.mapped => {
                self.mapping = Some(Dependence::EndpointIndependent);
                Test::Done
            }
            (Test::MapAddress, answer) => {
                self.mapped_at_other = answer;
                Test::MapPort
            }
            (Test::MapPort, answer) => {
                self.mapping = Some(if answer.is_some() && answer == self.mapped_at_other {
                    Dependence::AddressDependent
                } else {
                    Dependence::AddressAndPortDependent
                });
                Test::Done
            }
            (Test::Done, _) => Test::Done,
        };
        self.go(now, next);
    }

    fn mapping_test(&self) -> Test {
        if self.mapped == Some(self.local) {
            Test::Done
        } else {
            Test::MapAddress
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.test != Test::Done && self.transaction.is_timed_out(now) {
            self.ended(now, None, None);
        }
    }

    /// When there is something to do next; `None` when done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.test != Test::Done).then(|| self.transaction.poll_timeout())
    }

    /// Appends the next request to `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.test == Test::Done || self.transaction.step(now) != Step::Transmit {
            return None;
        }
        let change = match self.test {
            Test::FilterBoth => Some(ChangeRequest {
                ip: true,
                port: true,
            }),
            Test::FilterPort => Some(ChangeRequest {
                ip: false,
                port: true,
            }),
            _ => None,
        };
        let remote = self.target();
        let id = self.transaction.id();
        let writer = Writer::new(out, Class::Request, Method::BINDING, id);
        let writer = writer.push_opt(change.as_ref());
        let len = writer
            .push_opt(self.filler.attribute().as_ref())
            .finish()
            .ok()?;
        Some(Transmit { remote, len })
    }
}
