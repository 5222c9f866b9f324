//! Allocate, Refresh, CreatePermission, ChannelBind (RFC 8656 §7 to §12).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;
use subtle::ConstantTimeEq;

use super::allocation::{Allocation, Peers, Relay};
use super::auth::{self, Authenticator, Denied, Identity};
use super::bucket::TokenBucket;
use super::config::{Event, FiveTuple, PortDemand, RelayId};
use super::outbox::Unqueued;
use super::table::RelayUse;
use super::{Server, Timer};
use crate::attributes::{
    AdditionalAddressFamily, AddressErrorCode, AlternateServer, ChannelNumber, ErrorCode, EvenPort,
    Family, Lifetime, MobilityTicket, RequestedAddressFamily, RequestedTransport, ReservationToken,
    Software, UnknownAttributes, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use crate::limits::{HEADER_LEN, MAX_RESERVATIONS, MAX_UNKNOWN_LISTED, RESERVATION_LIFETIME};
use crate::message::{AttributeType, Class, Message, Method, TransactionId, Writer};
use crate::turn::Transport;

/// Comprehension-required attributes that a TURN request may hold, besides
/// those of authentication.
const KNOWN: [AttributeType; 9] = [
    AttributeType::CHANNEL_NUMBER,
    AttributeType::LIFETIME,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::REQUESTED_ADDRESS_FAMILY,
    AttributeType::EVEN_PORT,
    AttributeType::REQUESTED_TRANSPORT,
    AttributeType::DONT_FRAGMENT,
    AttributeType::RESERVATION_TOKEN,
    AttributeType::CONNECTION_ID,
];

/// What a request is answered with when it is refused.
pub(super) type Refused = ErrorCode<'static>;

/// A request that was let through.
pub(super) struct Asked<'m> {
    pub(super) client: FiveTuple,
    pub(super) message: Message<'m>,
    pub(super) identity: Identity,
}

/// Enough to answer later, when the driver has done its part.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) client: FiveTuple,
    pub(super) id: TransactionId,
    pub(super) identity: Identity,
}

impl Asked<'_> {
    pub(super) fn pending(&self) -> Pending {
        Pending {
            client: self.client,
            id: self.message.transaction_id(),
            identity: self.identity.clone(),
        }
    }
}

impl Server {
    pub(super) fn request(
        &mut self,
        now: Instant,
        client: FiveTuple,
        message: &Message<'_>,
        users: &mut impl Authenticator,
    ) {
        let known_method = matches!(
            message.method(),
            Method::ALLOCATE
                | Method::REFRESH
                | Method::CREATE_PERMISSION
                | Method::CHANNEL_BIND
                | Method::CONNECT
                | Method::CONNECTION_BIND
        );
        if !known_method || (message.has_fingerprint() && message.verify_fingerprint().is_err()) {
            self.stats.malformed += 1;
            return;
        }
        let identity = if self.config.anonymous {
            Ok(Identity::anonymous())
        } else {
            auth::authenticate(
                now,
                &client,
                message,
                &self.config.realm,
                &self.nonces,
                users,
            )
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(denied) => return self.deny(now, client, message, denied),
        };
        let asked = Asked {
            client,
            message: *message,
            identity,
        };
        let mut unknown: Vec<_> = message
            .unknown_required(&KNOWN)
            .filter(|t| !auth::KNOWN.contains(t))
            .take(MAX_UNKNOWN_LISTED)
            .collect();
        if message.method() == Method::ALLOCATE
            && message.has(AttributeType::DONT_FRAGMENT)
            && !self.config.dont_fragment
        {
            unknown.push(AttributeType::DONT_FRAGMENT);
        }
        if !unknown.is_empty() {
            self.refuse_with(
                &asked.pending(),
                message.method(),
                ErrorCode::UNKNOWN_ATTRIBUTE,
                |w| w.push(&UnknownAttributes::List(&unknown)),
            );
            return;
        }
        let outcome = match message.method() {
            Method::ALLOCATE => self.allocate(now, &asked),
            Method::REFRESH => self.refresh(now, &asked),
            Method::CREATE_PERMISSION => self.create_permission(now, &asked),
            Method::CHANNEL_BIND => self.channel_bind(now, &asked),
            Method::CONNECT => self.connect(&asked),
            _ => self.connection_bind(&asked),
        };
        if let Err(error) = outcome {
            self.refuse(&asked.pending(), message.method(), error);
        }
    }

    /// 400, 401 or 438, unsigned, to a stranger.
    fn deny(&mut self, now: Instant, client: FiveTuple, message: &Message<'_>, denied: Denied) {
        match denied {
            Denied::Wrong => self.stats.wrong_credentials += 1,
            Denied::Stale => self.stats.stale_nonces += 1,
            Denied::Bare | Denied::Malformed => {}
        }
        let Some(budget) = self.budget(now, &client, message) else {
            return;
        };
        let nonce = self.nonces.make(now, &client);
        let (realm, algorithms) = (&self.config.realm, self.config.password_algorithms);
        let queued = self.outbox.push_within(budget, client, |out| {
            let id = message.transaction_id();
            let w = Writer::new(out, Class::Error, message.method(), id).push(&denied.error());
            auth::challenge(w, denied, realm, &nonce, algorithms).finish()
        });
        if self.settle(now, &client, queued) {
            self.stats.refused += 1;
        }
    }

    /// How long an answer to somebody unproved may be; `None` for no answer.
    pub(super) fn budget(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
    ) -> Option<usize> {
        // A stream's handshake has proved the address.
        if client.transport != Transport::Udp {
            return Some(usize::MAX);
        }
        let request = message.as_bytes().len();
        let budget = self.strangers.allowance(now, client.remote.ip(), request);
        if budget <= HEADER_LEN {
            self.stats.strangers_ignored += 1;
            return None;
        }
        Some(budget)
    }

    /// Counts what came of an answer within a budget; whether it goes out.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        queued: Result<usize, Unqueued>,
    ) -> bool {
        match queued {
            Ok(len) => {
                if client.transport == Transport::Udp {
                    self.strangers.answered(now, client.remote.ip(), len);
                }
                true
            }
            Err(Unqueued::TooLong) => {
                self.stats.strangers_ignored += 1;
                false
            }
            Err(Unqueued::Dropped) => {
                self.stats.queue_overflows += 1;
                false
            }
        }
    }

    pub(super) fn refuse(&mut self, to: &Pending, method: Method, error: Refused) {
        self.refuse_with(to, method, error, |w| w);
    }

    pub(super) fn refuse_with(
        &mut self,
        to: &Pending,
        method: Method,
        error: Refused,
        more: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) {
        self.stats.refused += 1;
        let queued = self.outbox.push(to.client, |out| {
            let w = Writer::new(out, Class::Error, method, to.id).push(&error);
            to.identity.sign(more(w)).finish()
        });
        self.stats.queue_overflows += u64::from(!queued);
    }

    pub(super) fn grant(
        &mut self,
        to: &Pending,
        method: Method,
        content: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) {
        self.stats.granted += 1;
        let software = self.config.software.as_deref().map(Software);
        let queued = self.outbox.push(to.client, |out| {
            let w = Writer::new(out, Class::Success, method, to.id);
            to.identity
                .sign(content(w).push_opt(software.as_ref()))
                .finish()
        });
        self.stats.queue_overflows += u64::from(!queued);
    }

    /// The allocation of a client, which must be this user's.
    pub(super) fn owned(&self, asked: &Asked<'_>) -> Result<u32, Refused> {
        let index = self.index_of(&asked.client);
        let found = index.and_then(|i| Some((i, self.allocations.get(i)?)));
        let (index, allocation) = found
            .filter(|(_, a)| a.answered)
            .ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.owner.account != asked.identity.account {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        Ok(index)
    }

    fn lifetime(&self, message: &Message<'_>) -> u32 {
        let secs = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        let asked = message.get::<Lifetime>().map_or(0, |l| l.0);
        asked
            .min(secs(self.config.max_lifetime))
            .max(secs(self.config.default_lifetime))
    }

    fn supports(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.config.ipv4,
            Family::V6 => self.config.ipv6,
        }
    }

    fn allocate(&mut self, now: Instant, asked: &Asked<'_>) -> Result<(), Refused> {
        let m = &asked.message;
        if let Some(index) = self.index_of(&asked.client) {
            let Some(a) = self.allocations.get(index) else {
                return Ok(());
            };
            if a.id != m.transaction_id() {
                return Err(ErrorCode::ALLOCATION_MISMATCH);
            }
            if a.answered {
                self.answer_allocate(now, index);
            }
            return Ok(());
        }
        if let Some(server) = self.config.alternate_server {
            let (to, error) = (asked.pending(), ErrorCode::TRY_ALTERNATE);
            self.refuse_with(&to, Method::ALLOCATE, error, |w| {
                w.push(&AlternateServer(server))
            });
            return Ok(());
        }
        let transport = m
            .get::<RequestedTransport>()
            .ok_or(ErrorCode::BAD_REQUEST)?;
        let even: Option<EvenPort> = get(m)?;
        let token: Option<ReservationToken> = get(m)?;
        let family: Option<RequestedAddressFamily> = match m.try_get() {
            Ok(family) => family,
            Err(_) => return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED),
        };
        let additional: Option<AdditionalAddressFamily> = get(m)?;
        let relay_transport = match transport {
            RequestedTransport::UDP => Transport::Udp,
            RequestedTransport::TCP if self.config.tcp_relay => {
                let odd = even.is_some()
                    || token.is_some()
                    || m.has(AttributeType::DONT_FRAGMENT)
                    || asked.client.transport != Transport::Tcp;
                if odd {
                    return Err(ErrorCode::BAD_REQUEST);
                }
                Transport::Tcp
            }
            _ => return Err(ErrorCode::UNSUPPORTED_TRANSPORT),
        };
        let reserve = even.is_some_and(|e| e.reserve_next);
        if (token.is_some() && (even.is_some() || family.is_some() || additional.is_some()))
            || (family.is_some() && additional.is_some())
            || (reserve && additional.is_some())
            || additional.is_some_and(|a| a.0 == Family::V4)
        {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let reserved = match token {
            Some(token) => Some(
                self.relays
                    .by_token(token)
                    .ok_or(ErrorCode::INSUFFICIENT_CAPACITY)?,
            ),
            None => None,
        };
        let families: Vec<Family> = match (family, additional) {
            (Some(family), _) => vec![family.0],
            (None, Some(_)) => vec![Family::V4, Family::V6],
            (None, None) => vec![Family::V4],
        };
        if reserved.is_none() && !families.iter().any(|f| self.supports(*f)) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        if self.by_client.len() >= self.config.max_allocations
            || (reserve && self.relays.reserved_count() >= MAX_RESERVATIONS)
        {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let held = self
            .per_account
            .get(&asked.identity.account)
            .copied()
            .unwrap_or(0);
        if held >= self.config.max_per_user {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let lifetime = self.lifetime(m);
        let index = self.allocations.insert(Allocation {
            client: asked.client,
            owner: asked.identity.clone(),
            id: m.transaction_id(),
            relay_transport,
            relays: Vec::with_capacity(2),
            open: [None; 2],
            reservation: None,
            answered: false,
            lifetime,
            expires: now + Duration::from_secs(lifetime.into()),
            wants_ticket: self.config.mobility
                && m.raw(AttributeType::MOBILITY_TICKET)
                    .is_some_and(<[u8]>::is_empty),
            tickets: 0,
            peers: Peers::default(),
            bucket: self
                .config
                .bytes_per_second
                .map(|rate| Box::new(TokenBucket::new(rate, now))),
            connections: Vec::new(),
            bytes: (0, 0),
        });
        self.by_client.insert(asked.client, index);
        *self
            .per_account
            .entry(asked.identity.account.clone())
            .or_default() += 1;
        if let Some(a) = self.allocations.get(index) {
            self.timers.insert((a.expires, Timer::Allocation(index)));
        }
        if let Some((id, addr)) = reserved {
            self.relays.set(id, RelayUse::Allocation(index));
            let relay = Relay {
                id,
                family: Family::of(&addr),
                addr: None,
                failed: false,
            };
            if let Some(a) = self.allocations.get_mut(index) {
                a.relays.push(relay);
                a.opened(id, addr);
            }
            self.answer_allocate(now, index);
        } else {
            self.open_relays(now, index, &families, even, relay_transport);
        }
        Ok(())
    }

    fn open_relays(
        &mut self,
        now: Instant,
        index: u32,
        families: &[Family],
        even: Option<EvenPort>,
        transport: Transport,
    ) {
        for &family in families {
            let relay = self.relays.insert(RelayUse::Allocation(index));
            let failed = !self.supports(family);
            let mut reservation = None;
            let port = match even {
                None => PortDemand::Any,
                Some(EvenPort {
                    reserve_next: false,
                }) => PortDemand::Even,
                Some(EvenPort { reserve_next: true }) => {
                    let mut token = [0; 8];
                    self.rng.fill_bytes(&mut token);
                    let token = ReservationToken(token);
                    let next = self.relays.insert(RelayUse::Reserved { token, addr: None });
                    // However the allocation ends, this ends by itself.
                    self.timers
                        .insert((now + RESERVATION_LIFETIME, Timer::Reservation(next)));
                    reservation = Some((next, token));
                    PortDemand::EvenAndNext(next)
                }
            };
            if !failed {
                self.events.push_back(Event::OpenRelay {
                    relay,
                    family,
                    port,
                    transport,
                });
            }
            if let Some(a) = self.allocations.get_mut(index) {
                a.relays.push(Relay {
                    id: relay,
                    family,
                    addr: None,
                    failed,
                });
                a.reservation = reservation;
            }
        }
    }

    /// The driver opened a relay at `addr`, and the next port at `next` when
    /// that was demanded.
    pub fn relay_opened(
        &mut self,
        now: Instant,
        relay: RelayId,
        addr: SocketAddr,
        next: Option<SocketAddr>,
    ) {
        let index = self.relays.allocation_of(relay);
        let Some(allocation) = index.and_then(|i| self.allocations.get_mut(i)) else {
            // The client has gone meanwhile.
            self.events.push_back(Event::CloseRelay(relay));
            return;
        };
        allocation.opened(relay, addr);
        if let Some((id, token)) = allocation.reservation {
            match next {
                Some(next) => {
                    self.relays.set(
                        id,
                        RelayUse::Reserved {
                            token,
                            addr: Some(next),
                        },
                    );
                    self.timers
                        .insert((now + RESERVATION_LIFETIME, Timer::Reservation(id)));
                }
                None => {
                    allocation.reservation = None;
                    self.relays.free(id);
                }
            }
        }
        if let Some(index) = index {
            self.answer_allocate(now, index);
        }
    }

    /// The driver could not open a relay.
    pub fn relay_failed(&mut self, now: Instant, relay: RelayId) {
        let Some(index) = self.relays.allocation_of(relay) else {
            return;
        };
        if let Some(a) = self.allocations.get_mut(index) {
            if let Some(r) = a.relays.iter_mut().find(|r| r.id == relay) {
                r.failed = true;
            }
            if let Some((next, _)) = a.reservation.take() {
                self.relays.free(next);
            }
        }
        self.answer_allocate(now, index);
    }

    /// Answers an Allocate request once the driver has done its part; again
    /// when the request is repeated.
    fn answer_allocate(&mut self, now: Instant, index: u32) {
        let Some(a) = self.allocations.get_mut(index) else {
            return;
        };
        if a.relays.iter().any(|r| r.addr.is_none() && !r.failed) {
            return;
        }
        let to = Pending {
            client: a.client,
            id: a.id,
            identity: a.owner.clone(),
        };
        let addrs: Vec<_> = a.relays.iter().filter_map(|r| r.addr).collect();
        let Some(&relayed) = addrs.first() else {
            self.release(index);
            return self.refuse(&to, Method::ALLOCATE, ErrorCode::INSUFFICIENT_CAPACITY);
        };
        let lacking = a.relays.iter().find(|r| r.failed).map(|r| r.family);
        let first_time = !std::mem::replace(&mut a.answered, true);
        let lifetime = a.expires.saturating_duration_since(now).as_secs() as u32;
        let lifetime = Lifetime(if first_time { a.lifetime } else { lifetime });
        let token = a.reservation.map(|(_, token)| token);
        let ticket = a.wants_ticket;
        if first_time {
            self.stats.allocations_made += 1;
            let (client, account) = (to.client, to.identity.account.clone());
            self.events.push_back(Event::Allocated {
                client,
                account,
                relayed,
            });
        }
        let lacking = lacking.map(|family| AddressErrorCode {
            family,
            error: if self.supports(family) {
                ErrorCode::INSUFFICIENT_CAPACITY
            } else {
                ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED
            },
        });
        let ticket = if ticket {
            self.make_ticket(index)
        } else {
            None
        };
        self.grant(&to, Method::ALLOCATE, |mut w| {
            for addr in addrs {
                w = w.push(&XorRelayedAddress(addr));
            }
            w.push(&lifetime)
                .push_opt(token.as_ref())
                .push(&XorMappedAddress(to.client.remote))
                .push_opt(lacking.as_ref())
                .push_opt(ticket.as_ref().map(|t| MobilityTicket(t)).as_ref())
        });
    }

    /// A ticket (RFC 8016 §3.1): which allocation, the how manieth ticket, and
    /// a seal. Only the last one given is good.
    fn make_ticket(&mut self, index: u32) -> Option<[u8; 24]> {
        let a = self.allocations.get_mut(index)?;
        a.tickets += 1;
        let (count, id) = (a.tickets, a.id);
        Some(self.seal_ticket(index, count, id))
    }

    fn seal_ticket(&self, index: u32, count: u32, id: TransactionId) -> [u8; 24] {
        let mut ticket = [0; 24];
        ticket[..4].copy_from_slice(&index.to_be_bytes());
        ticket[4..8].copy_from_slice(&count.to_be_bytes());
        let mut input = [0; 20];
        input[..8].copy_from_slice(&ticket[..8]);
        input[8..].copy_from_slice(id.as_bytes());
        let mac = self.ticket_key.sha256_whole(&input);
        ticket[8..].copy_from_slice(&mac[..16]);
        ticket
    }

    /// Moves the allocation that a ticket names to the client that shows it
    /// (RFC 8016 §3.2.2).
    fn move_by_ticket(&mut self, asked: &Asked<'_>, ticket: &[u8]) -> Result<u32, Refused> {
        if !self.config.mobility {
            return Err(ErrorCode::MOBILITY_FORBIDDEN);
        }
        let index = ticket.first_chunk::<4>().map(|i| u32::from_be_bytes(*i));
        let found = index.and_then(|i| Some((i, self.allocations.get(i)?)));
        let (index, a) = found.ok_or(ErrorCode::BAD_REQUEST)?;
        let good = self.seal_ticket(index, a.tickets, a.id);
        if a.tickets == 0 || !bool::from(good.ct_eq(ticket)) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        if a.owner.account != asked.identity.account {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        let old = a.client;
        if old != asked.client {
            if self.by_client.contains_key(&asked.client) {
                return Err(ErrorCode::ALLOCATION_MISMATCH);
            }
            self.by_client.remove(&old);
            self.by_client.insert(asked.client, index);
            if let Some(a) = self.allocations.get_mut(index) {
                a.client = asked.client;
            }
        }
        Ok(index)
    }

    fn refresh(&mut self, now: Instant, asked: &Asked<'_>) -> Result<(), Refused> {
        let m = &asked.message;
        let ticket = m.get::<MobilityTicket<'_>>().filter(|t| !t.0.is_empty());
        let index = match ticket {
            Some(ticket) => self.move_by_ticket(asked, ticket.0)?,
            None => self.owned(asked)?,
        };
        let family: Option<RequestedAddressFamily> = get(m)?;
        let Some(a) = self.allocations.get_mut(index) else {
            return Ok(());
        };
        if family.is_some_and(|f| !a.has_family(f.0)) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if m.get::<Lifetime>() == Some(Lifetime(0)) {
            let several = a.relays.iter().filter(|r| r.addr.is_some()).count() > 1;
            match family.filter(|_| several) {
                // One half of a dual allocation.
                Some(RequestedAddressFamily(family)) => {
                    let gone = a.relays.iter().find(|r| r.family == family);
                    let gone = gone.map(|relay| relay.id);
                    if let Some(id) = gone {
                        a.closed(id);
                    }
                    self.close_connections(index, family);
                    if let Some(id) = gone.filter(|id| self.relays.free(*id)) {
                        self.events.push_back(Event::CloseRelay(id));
                    }
                }
                None => self.release(index),
            }
            self.grant(&asked.pending(), Method::REFRESH, |w| w.push(&Lifetime(0)));
            return Ok(());
        }
        let lifetime = self.lifetime(m);
        let expires = now + Duration::from_secs(lifetime.into());
        if let Some(a) = self.allocations.get_mut(index) {
            self.timers.remove(&(a.expires, Timer::Allocation(index)));
            self.timers.insert((expires, Timer::Allocation(index)));
            a.expires = expires;
        }
        let ticket = if ticket.is_some() {
            self.make_ticket(index)
        } else {
            None
        };
        self.grant(&asked.pending(), Method::REFRESH, |w| {
            w.push(&Lifetime(lifetime))
                .push_opt(ticket.as_ref().map(|t| MobilityTicket(t)).as_ref())
        });
        Ok(())
    }

    /// Whether this allocation may talk to a peer at all.
    pub(super) fn check_peer(&self, index: u32, peer: &SocketAddr) -> Result<(), Refused> {
        let a = self
            .allocations
            .get(index)
            .ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if !a.has_family(Family::of(peer)) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if !self.config.policy.permits(peer.ip()) {
            return Err(ErrorCode::FORBIDDEN);
        }
        Ok(())
    }

    fn create_permission(&mut self, now: Instant, asked: &Asked<'_>) -> Result<(), Refused> {
        let m = &asked.message;
        let index = self.owned(asked)?;
        let named = m
            .attributes()
            .filter(|a| a.kind == AttributeType::XOR_PEER_ADDRESS)
            .count();
        let mut good = 0;
        for XorPeerAddress(peer) in m.get_all() {
            self.check_peer(index, &peer)?;
            good += 1;
        }
        if good == 0 || good != named {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let Some(a) = self.allocations.get_mut(index) else {
            return Ok(());
        };
        // All or none (RFC 8656 §10.2).
        if !a
            .peers
            .has_room(now, || m.get_all().map(|XorPeerAddress(peer)| peer.ip()))
        {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        for XorPeerAddress(peer) in m.get_all() {
            a.peers.permit(now, peer.ip());
        }
        self.grant(&asked.pending(), Method::CREATE_PERMISSION, |w| w);
        Ok(())
    }

    fn channel_bind(&mut self, now: Instant, asked: &Asked<'_>) -> Result<(), Refused> {
        let m = &asked.message;
        let index = self.owned(asked)?;
        let number = m.get::<ChannelNumber>().ok_or(ErrorCode::BAD_REQUEST)?;
        let XorPeerAddress(peer) = m.get().ok_or(ErrorCode::BAD_REQUEST)?;
        self.check_peer(index, &peer)?;
        let Some(a) = self.allocations.get_mut(index) else {
            return Ok(());
        };
        if a.relay_transport != Transport::Udp {
            return Err(ErrorCode::BAD_REQUEST);
        }
        if !a.peers.has_room(now, || std::iter::once(peer.ip())) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        a.peers.bind(now, number, peer)?;
        a.peers.permit(now, peer.ip());
        self.grant(&asked.pending(), Method::CHANNEL_BIND, |w| w);
        Ok(())
    }
}

/// An attribute that may be missing but must not be malformed.
fn get<'a, A: crate::attributes::Attribute<'a>>(m: &Message<'a>) -> Result<Option<A>, Refused> {
    m.try_get().map_err(|_| ErrorCode::BAD_REQUEST)
}
