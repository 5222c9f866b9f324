//! The client's requests under way and how each is written.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::config::{Config, Failure, Families, Port, RelayTransport};
use crate::attributes::{
    AdditionalAddressFamily, ChannelNumber, ConnectionId, DontFragment, ErrorCode, EvenPort,
    Family, Lifetime, MobilityTicket, RequestedAddressFamily, RequestedTransport, Software,
    XorPeerAddress,
};
use crate::credentials::LongTerm;
use crate::error::WriteError;
use crate::limits::MAX_CLIENT_REQUESTS;
use crate::message::{Class, Method, TransactionId, Writer};
use crate::transaction::{Step, Transaction};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Allocate,
    /// Refresh; with zero the allocation is given up.
    Refresh {
        lifetime: Option<u32>,
        ticket: Option<Vec<u8>>,
    },
    Permit(Vec<IpAddr>),
    Bind(SocketAddr, ChannelNumber),
    Connect(SocketAddr),
    ConnectionBind(ConnectionId),
}

impl Ask {
    pub(super) fn method(&self) -> Method {
        match self {
            Ask::Allocate => Method::ALLOCATE,
            Ask::Refresh { .. } => Method::REFRESH,
            Ask::Permit(_) => Method::CREATE_PERMISSION,
            Ask::Bind(..) => Method::CHANNEL_BIND,
            Ask::Connect(_) => Method::CONNECT,
            Ask::ConnectionBind(_) => Method::CONNECTION_BIND,
        }
    }

    /// Appends the request, signed when there was a challenge.
    pub(super) fn write(
        &self,
        id: TransactionId,
        config: &Config,
        credentials: &LongTerm,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let mut w = Writer::new(out, Class::Request, self.method(), id);
        match self {
            Ask::Allocate => {
                w = w.push(&match config.relay {
                    RelayTransport::Udp => RequestedTransport::UDP,
                    RelayTransport::Tcp => RequestedTransport::TCP,
                });
                if let Some(lifetime) = config.lifetime {
                    let secs = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
                    w = w.push(&Lifetime(secs));
                }
                // A reserved port has its family already (RFC 8656 §7.1).
                let reserved = matches!(config.port, Port::Reserved(_));
                w = match config.families {
                    _ if reserved => w,
                    Families::V4 => w,
                    Families::V6 => w.push(&RequestedAddressFamily(Family::V6)),
                    Families::Both => w.push(&AdditionalAddressFamily(Family::V6)),
                };
                w = match config.port {
                    Port::Any => w,
                    Port::Even => w.push(&EvenPort {
                        reserve_next: false,
                    }),
                    Port::EvenAndReserveNext => w.push(&EvenPort { reserve_next: true }),
                    Port::Reserved(token) => w.push(&token),
                };
                if config.dont_fragment {
                    w = w.push(&DontFragment);
                }
                if config.mobility {
                    w = w.push(&MobilityTicket(&[]));
                }
                if let Some(software) = &config.software {
                    w = w.push(&Software(software));
                }
            }
            Ask::Refresh { lifetime, ticket } => {
                w = w.push_opt(lifetime.map(Lifetime).as_ref());
                w = w.push_opt(ticket.as_deref().map(MobilityTicket).as_ref());
            }
            Ask::Permit(ips) => {
                for ip in ips {
                    w = w.push(&XorPeerAddress(SocketAddr::new(*ip, 0)));
                }
            }
            Ask::Bind(peer, number) => w = w.push(number).push(&XorPeerAddress(*peer)),
            Ask::Connect(peer) => w = w.push(&XorPeerAddress(*peer)),
            Ask::ConnectionBind(connection) => w = w.push(connection),
        }
        credentials.sign(w).finish().map(|_| ())
    }
}

/// What a server said no with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    reason: String,
}

impl From<ErrorCode<'_>> for Refusal {
    fn from(error: ErrorCode<'_>) -> Self {
        Self {
            code: error.code(),
            reason: error.reason().to_owned(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { code, reason }: Refusal) -> Self {
        Failure::Refused { code, reason }
    }
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) transaction: Transaction,
    pub(super) octets: Vec<u8>,
    /// Whether it carries integrity.
    pub(super) signed: bool,
    /// How often it was repeated because of a challenge.
    pub(super) challenged: u8,
    /// What came without integrity, and is not believed yet.
    pub(super) refusal: Option<Refusal>,
}

impl Request {
    /// A Refresh that does not tell of another address.
    fn is_plain_refresh(&self) -> bool {
        matches!(self.ask, Ask::Refresh { ticket: None, .. })
    }
}

/// All requests under way; few, so a list.
#[derive(Debug, Default)]
pub(super) struct Requests {
    list: Vec<Request>,
}

impl Requests {
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_CLIENT_REQUESTS
    }

    pub(super) fn has(&self, method: Method) -> bool {
        self.list.iter().any(|r| r.ask.method() == method)
    }

    /// Whether a Refresh is under way that was not sent, or not longer than `fresh` ago.
    pub(super) fn is_refreshing_since(&self, now: Instant, fresh: Duration) -> bool {
        let young = |r: &Request| r.transaction.first_sent().is_none_or(|at| now < at + fresh);
        let mut refreshing = self.list.iter().filter(|r| r.is_plain_refresh());
        refreshing.any(young)
    }

    pub(super) fn forget_refresh(&mut self) {
        self.list.retain(|r| !r.is_plain_refresh());
    }

    /// Remembers a refusal; `true` where the request was refused in the same way before.
    pub(super) fn note_refusal(&mut self, id: TransactionId, error: ErrorCode<'_>) -> bool {
        let Some(request) = self.list.iter_mut().find(|r| r.transaction.id() == id) else {
            return false;
        };
        let before = request.refusal.replace(error.into());
        before.is_some_and(|refusal| refusal.code == error.code())
    }

    pub(super) fn push(&mut self, request: Request) {
        self.list.push(request);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.list.iter().map(|r| r.transaction.poll_timeout()).min()
    }

    pub(super) fn take(&mut self, id: TransactionId) -> Option<Request> {
        let at = self.list.iter().position(|r| r.transaction.id() == id)?;
        Some(self.list.swap_remove(at))
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&Request> {
        self.list.iter().find(|r| r.transaction.id() == id)
    }

    /// The octets of a request that must be sent now.
    pub(super) fn next_to_send(&mut self, now: Instant) -> Option<&[u8]> {
        let at = self.list.iter_mut().position(|r| {
            // One that timed out stays due: take_timed_out finds it again.
            r.transaction.step(now) == Step::Transmit
        })?;
        self.list.get(at).map(|r| r.octets.as_slice())
    }

    /// A request that got no answer.
    pub(super) fn take_timed_out(&mut self, now: Instant) -> Option<Request> {
        let at = self
            .list
            .iter()
            .position(|r| r.transaction.is_timed_out(now))?;
        Some(self.list.swap_remove(at))
    }
}
