//! One allocation on one TURN server (RFC 8656 §6 to §12, RFC 6062, RFC 8016).
//!
//! ```no_run
//! use std::time::Instant;
//! use tincan_stun::turn::client::{Client, Config, Event};
//!
//! # let (socket, server) = (std::net::UdpSocket::bind("0.0.0.0:0")?, "192.0.2.1:3478".parse()?);
//! # use rand::SeedableRng;
//! # let mut rng = rand::rngs::StdRng::seed_from_u64(1);
//! let mut client = Client::new(Config::new(server, "user", "password"), Instant::now(), &mut rng);
//! let mut out = Vec::new();
//! while let Some(transmit) = client.poll_transmit(Instant::now(), &mut out) {
//!     socket.send_to(&out[..transmit.len], transmit.remote)?;
//!     out.clear();
//! }
//! // … then client.handle_input() for what arrives, and:
//! while let Some(event) = client.poll_event() {
//!     if let Event::Allocated(allocation) = event {
//!         println!("relayed address {:?}", allocation.relayed_v4);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A payload goes out without being copied: the caller leaves
//! [`Client::data_headroom`] octets in front of it and [`Client::frame_data`]
//! fills them. In the other direction [`Client::handle_input`] tells where in
//! the datagram the payload stands.
//!
//! Over a stream, cut it with [`framing`](crate::framing) first; what
//! [`Client::poll_transmit`] and [`Client::frame_data`] append can go to the
//! stream as it is.

mod answers;
mod config;
mod data_connection;
mod peers;
mod requests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use config::{
    Allocation, ChannelPolicy, Config, Event, Failure, Families, Input, Port, RelayTransport,
    SendError, Stats,
};
pub use data_connection::{DataConnection, DataConnectionState};

use crate::attributes::{ConnectionId, Data, Icmp, XorPeerAddress};
use crate::credentials::LongTerm;
use crate::limits::MAX_CLIENT_CHANNELS;
use crate::message::{Class, Message, Method, TransactionId};
use crate::transaction::{RtoEstimator, Transaction};
use crate::turn::{
    ChannelData, Transport, channel_data, indication_head_len, write_indication_head,
};
use peers::Peers;
use requests::{Ask, Request, Requests};

/// Time before its end that an allocation is refreshed; half of a short one.
const REFRESH_EARLY: Duration = Duration::from_secs(60);

/// The shortest pause between refreshes, whatever lifetime a server grants.
const MIN_REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// A Refresh that is under way for so many RTOs is begun anew by [`Client::refresh`].
const STALE_PROBE_RTOS: u32 = 4;

/// RFC 8656 §19.
const ALLOCATION_MISMATCH: u16 = 437;

/// After an allocation was given back to make room, servers may need a moment: coturn's goes a second later.
/// Pause before the next try, doubled with each of the others.
const MISMATCH_PAUSE: Duration = Duration::from_millis(500);

/// RFC 8656 §8: with no lifetime the allocation is deleted.
const GIVE_BACK: Ask = Ask::Refresh {
    lifetime: Some(0),
    ticket: None,
};

/// Where a message is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The server.
    pub remote: SocketAddr,
    /// Octets appended to the buffer.
    pub len: usize,
}

#[derive(Debug)]
enum State {
    Allocating,
    Allocated {
        allocation: Allocation,
        refresh_at: Instant,
    },
    /// The server was told to give it up.
    Releasing,
    Closed,
}

/// The machine. See the [module](self).
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: StdRng,
    credentials: LongTerm,
    state: State,
    requests: Requests,
    peers: Peers,
    /// Payloads sent to peers that have no channel yet, for
    /// [`ChannelPolicy::After`]; as bounded as the permissions.
    sent_to: Vec<(SocketAddr, u32)>,
    rto: RtoEstimator,
    redirects: u8,
    /// How often the server said that an allocation stands on our 5-tuple.
    mismatches: u8,
    close_wanted: bool,
    /// When the first request after the last response was sent.
    unanswered_since: Option<Instant>,
    ticket: Option<Vec<u8>>,
    /// Something was asked for since the last drive.
    wake: Option<Instant>,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Client {
    /// Begins to allocate at once. The socket is to be this client's alone, as far as its server is concerned: an
    /// allocation of the same user that stands on it already is given back to make room.
    pub fn new(config: Config, now: Instant, rng: &mut impl Rng) -> Client {
        let mut client = Client {
            credentials: LongTerm::new(&config.username, &config.password),
            rto: RtoEstimator::new(config.schedule.rto()),
            config,
            rng: StdRng::from_rng(rng),
            state: State::Allocating,
            requests: Requests::default(),
            peers: Peers::default(),
            sent_to: Vec::new(),
            redirects: 0,
            mismatches: 0,
            close_wanted: false,
            unanswered_since: None,
            ticket: None,
            wake: None,
            events: VecDeque::new(),
            stats: Stats::default(),
        };
        client.ask(now, Ask::Allocate, 0);
        client
    }

    /// The server in use: another one than configured after a redirection.
    pub fn server(&self) -> SocketAddr {
        self.config.server
    }

    /// The allocation, while it stands.
    pub fn allocation(&self) -> Option<&Allocation> {
        match &self.state {
            State::Allocated { allocation, .. } => Some(allocation),
            _ => None,
        }
    }

    /// Whether the machine has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Asks that peers of this IP address may send to us and be sent to; kept
    /// up until [`Client::revoke`]. May be called before the allocation stands.
    ///
    /// # Errors
    /// The table is full ([`limits::MAX_CLIENT_PERMISSIONS`](crate::limits::MAX_CLIENT_PERMISSIONS)).
    pub fn permit(&mut self, now: Instant, ip: IpAddr) -> Result<(), SendError> {
        if !self.peers.permit(ip) {
            return Err(SendError::TooManyPeers);
        }
        self.wake = Some(now);
        Ok(())
    }

    /// Whether peers of this address are permitted.
    #[inline]
    pub fn is_permitted(&self, now: Instant, ip: IpAddr) -> bool {
        self.peers.is_permitted(now, ip)
    }

    /// Lets permission and channels of this address run out.
    pub fn revoke(&mut self, ip: IpAddr) {
        self.peers.forget(ip);
        self.sent_to.retain(|(peer, _)| peer.ip() != ip);
    }

    /// Asks for a channel (and a permission) for this peer now.
    ///
    /// # Errors
    /// The table is full, or the relay speaks TCP.
    pub fn bind_channel(&mut self, now: Instant, peer: SocketAddr) -> Result<(), SendError> {
        if self.config.relay == RelayTransport::Tcp {
            return Err(SendError::WrongRelay);
        }
        if !self.peers.permit(peer.ip()) || !self.peers.bind(peer) {
            return Err(SendError::TooManyPeers);
        }
        self.wake = Some(now);
        Ok(())
    }

    /// TCP relay: asks the server to connect to this peer (RFC 6062 §4.3).
    ///
    /// # Errors
    /// The relay speaks UDP, there is no allocation, or too much is under way.
    pub fn connect(&mut self, now: Instant, peer: SocketAddr) -> Result<(), SendError> {
        if self.config.relay != RelayTransport::Tcp {
            return Err(SendError::WrongRelay);
        }
        if self.allocation().is_none() {
            return Err(SendError::NoAllocation);
        }
        if self.requests.is_full() {
            return Err(SendError::TooManyPeers);
        }
        self.ask(now, Ask::Connect(peer), 0);
        Ok(())
    }

    /// TCP relay: the machine for a fresh connection to the server that shall
    /// carry the data of `connection`.
    pub fn data_connection(&mut self, now: Instant, connection: ConnectionId) -> DataConnection {
        DataConnection::new(
            connection,
            self.config.clone(),
            self.credentials.clone(),
            now,
            &mut self.rng,
        )
    }

    /// Asks the server at once, by a Refresh, whether the allocation still stands: for when nothing comes through
    /// it any more. If it does not, [`Event::Closed`] follows.
    pub fn refresh(&mut self, now: Instant) {
        let State::Allocated { refresh_at, .. } = &mut self.state else {
            return;
        };
        let fresh = self.rto.rto(now) * STALE_PROBE_RTOS;
        if self.requests.is_refreshing_since(now, fresh) {
            return;
        }
        // Its next repetition may be many seconds away.
        self.requests.forget_refresh();
        *refresh_at = now;
        self.wake = Some(now);
    }

    /// For how long the server has not answered anything; `None` where nothing waits for an answer.
    pub fn unanswered_for(&self, now: Instant) -> Option<Duration> {
        self.unanswered_since
            .map(|since| now.saturating_duration_since(since))
    }

    /// Our address changed while the allocation lives (RFC 8016): tells the
    /// server, from the new address. Does nothing without a ticket.
    pub fn address_changed(&mut self, now: Instant) {
        if self.allocation().is_some() && self.ticket.is_some() {
            self.ask(
                now,
                Ask::Refresh {
                    lifetime: None,
                    ticket: self.ticket.clone(),
                },
                0,
            );
        }
    }

    /// Gives the allocation up; [`Event::Closed`] follows.
    pub fn close(&mut self, now: Instant) {
        match self.state {
            State::Allocated { .. } => {
                self.requests.clear();
                self.state = State::Releasing;
                self.ask(now, GIVE_BACK, 0);
            }
            // The server may allocate yet: wait for its word.
            State::Allocating => self.close_wanted = true,
            State::Releasing | State::Closed => {}
        }
    }

    /// Octets to leave in front of a payload for this peer now; `None` when it
    /// could not be sent: no allocation, no permission.
    #[inline]
    pub fn data_headroom(&self, now: Instant, peer: &SocketAddr) -> Option<usize> {
        self.allocation()?.relayed_for(peer)?;
        if self.peers.channel_of(now, peer).is_some() {
            return Some(channel_data::HEADER_LEN);
        }
        self.peers
            .is_permitted(now, peer.ip())
            .then(|| indication_head_len(peer))
    }

    /// Makes `out[start..]`, which is `headroom` octets of room and then the
    /// payload, into a message for the server that relays it to `peer`;
    /// appends padding where it must be. Send it to [`Client::server`].
    ///
    /// `headroom` is what [`Client::data_headroom`] said for this peer just
    /// before, or the length of an indication's head all the same.
    ///
    /// # Errors
    /// See [`SendError`]; `out` is unchanged then.
    pub fn frame_data(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        out: &mut Vec<u8>,
        start: usize,
        headroom: usize,
    ) -> Result<(), SendError> {
        let allocation = self.allocation().ok_or(SendError::NoAllocation)?;
        allocation
            .relayed_for(&peer)
            .ok_or(SendError::NoAllocation)?;
        let payload = out
            .len()
            .checked_sub(start + headroom)
            .ok_or(SendError::Headroom)?;
        let len = u16::try_from(payload).map_err(|_| SendError::TooLong)?;
        if headroom == channel_data::HEADER_LEN {
            let number = self
                .peers
                .channel_of(now, &peer)
                .ok_or(SendError::Headroom)?;
            if let Some(head) = out.get_mut(start..start + channel_data::HEADER_LEN) {
                head.copy_from_slice(&ChannelData::header(number, len));
            }
            if self.config.transport == Transport::Tcp {
                pad(out, payload);
            }
            self.stats.channel_data_sent += 1;
            return Ok(());
        }
        if headroom != indication_head_len(&peer) {
            return Err(SendError::Headroom);
        }
        if !self.peers.is_permitted(now, peer.ip()) {
            return Err(SendError::NoPermission);
        }
        // Everything with its head and padding must fit the length field.
        if payload + headroom > usize::from(u16::MAX) {
            return Err(SendError::TooLong);
        }
        let id = TransactionId::random(&mut self.rng);
        if let Some(head) = out.get_mut(start..start + headroom) {
            write_indication_head(Method::SEND, &id, &peer, len, head);
        }
        pad(out, payload);
        self.stats.indications_sent += 1;
        self.count_towards_channel(now, peer);
        Ok(())
    }

    fn count_towards_channel(&mut self, now: Instant, peer: SocketAddr) {
        let ChannelPolicy::After(limit) = self.config.channels else {
            return;
        };
        let at = match self.sent_to.iter().position(|(p, _)| *p == peer) {
            Some(at) => at,
            None if self.sent_to.len() < MAX_CLIENT_CHANNELS => {
                self.sent_to.push((peer, 0));
                self.sent_to.len() - 1
            }
            None => return,
        };
        let Some((_, count)) = self.sent_to.get_mut(at) else {
            return;
        };
        *count = count.saturating_add(1);
        let count = *count;
        if count > limit && !self.peers.has_channel(&peer) && self.peers.bind(peer) {
            self.wake = Some(now);
        }
    }

    /// Takes in what arrived from `from`: one datagram, or one message of the
    /// stream.
    #[inline]
    pub fn handle_input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Input {
        if from != self.config.server {
            return Input::NotMine;
        }
        if ChannelData::is(datagram) {
            return self.handle_channel_data(now, datagram);
        }
        let Ok(message) = Message::parse(datagram) else {
            return Input::NotMine;
        };
        match message.class() {
            Class::Indication => self.handle_indication(now, datagram, &message),
            Class::Success | Class::Error => self.handle_response(now, &message),
            Class::Request => Input::NotMine,
        }
    }

    fn handle_channel_data(&mut self, now: Instant, datagram: &[u8]) -> Input {
        let parsed = ChannelData::parse(datagram)
            .and_then(|cd| Some((self.peers.peer_of(cd.channel)?, cd.data.len())));
        match parsed {
            // RFC 8656 §12.6: better not from peers that lost their permission.
            Some((peer, len)) if self.peers.is_permitted(now, peer.ip()) => {
                self.stats.data_received += 1;
                let head = channel_data::HEADER_LEN;
                Input::Data {
                    peer,
                    range: head..head + len,
                }
            }
            _ => {
                self.stats.dropped += 1;
                Input::Consumed
            }
        }
    }

    fn handle_indication(&mut self, now: Instant, datagram: &[u8], message: &Message<'_>) -> Input {
        let peer = message.get::<XorPeerAddress>().map(|p| p.0);
        match (message.method(), peer) {
            (Method::DATA, Some(peer)) if self.allocation().is_some() => {
                if let Some(Icmp { kind, code, data }) = message.get::<Icmp>() {
                    self.events
                        .push_back(Event::Icmp(peer, Icmp { kind, code, data }));
                    return Input::Consumed;
                }
                // RFC 8656 §11.4: better not from peers that we did not permit.
                let data = message.get::<Data<'_>>().map(|d| d.0);
                if let Some(data) = data.filter(|_| self.peers.is_permitted(now, peer.ip())) {
                    let start = offset_in(datagram, data);
                    self.stats.data_received += 1;
                    return Input::Data {
                        peer,
                        range: start..start + data.len(),
                    };
                }
            }
            (Method::CONNECTION_ATTEMPT, Some(peer)) => {
                if let Some(id) = message.get::<ConnectionId>()
                    && self.config.relay == RelayTransport::Tcp
                {
                    self.events.push_back(Event::ConnectionAttempt(peer, id));
                    return Input::Consumed;
                }
            }
            (Method::DATA | Method::CONNECTION_ATTEMPT, None) => {}
            _ => return Input::NotMine,
        }
        self.stats.dropped += 1;
        Input::Consumed
    }

    fn end(&mut self, failure: Option<Failure>) {
        if !matches!(self.state, State::Closed) {
            let told = matches!(self.events.back(), Some(Event::Closed(_)));
            self.state = State::Closed;
            self.requests.clear();
            self.peers = Peers::default();
            self.wake = None;
            if !told {
                self.events.push_back(Event::Closed(failure));
            }
        }
    }

    fn ask(&mut self, now: Instant, ask: Ask, challenged: u8) {
        let id = TransactionId::random(&mut self.rng);
        let mut octets = Vec::new();
        if ask
            .write(id, &self.config, &self.credentials, &mut octets)
            .is_err()
        {
            return self.failed(now, ask, Failure::Unwritable);
        }
        let schedule = self.config.schedule.with_rto(self.rto.rto(now));
        self.requests.push(Request {
            ask,
            transaction: Transaction::new(id, now, schedule, self.config.transport.reliability()),
            octets,
            signed: self.credentials.is_ready(),
            challenged,
            refusal: None,
        });
    }

    /// Lets time pass: gives up on requests, asks for what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake = None;
        while let Some(request) = self.requests.take_timed_out(now) {
            self.rto.back_off(now, 1);
            let failure = request.refusal.map_or(Failure::TimedOut, Failure::from);
            self.failed(now, request.ask, failure);
        }
        let State::Allocated {
            allocation,
            refresh_at,
        } = &self.state
        else {
            return;
        };
        if now >= allocation.expires {
            return self.end(Some(Failure::Lost));
        }
        if now >= *refresh_at && !self.requests.has(Method::REFRESH) {
            let lifetime = self.config.lifetime;
            let lifetime = lifetime.map(|l| u32::try_from(l.as_secs()).unwrap_or(u32::MAX));
            self.ask(
                now,
                Ask::Refresh {
                    lifetime,
                    ticket: None,
                },
                0,
            );
        }
        while !self.requests.is_full() {
            let ips = self.peers.take_permissions(now);
            if !ips.is_empty() {
                self.ask(now, Ask::Permit(ips), 0);
            } else if let Some((peer, number)) = self.peers.take_channel(now) {
                self.ask(now, Ask::Bind(peer, number), 0);
            } else {
                break;
            }
        }
    }

    /// When [`Client::handle_timeout`] or [`Client::poll_transmit`] has
    /// something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = match &self.state {
            State::Allocated {
                allocation,
                refresh_at,
            } => {
                let refresh = (!self.requests.has(Method::REFRESH)).then_some(*refresh_at);
                let peers = self.peers.next_due().filter(|_| !self.requests.is_full());
                [Some(allocation.expires), refresh, peers, self.wake]
            }
            _ => [None; 4],
        };
        timers
            .into_iter()
            .flatten()
            .chain(self.requests.next_due())
            .min()
    }

    /// Appends the next message to `out` and says where it goes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.wake.is_some() {
            self.handle_timeout(now);
        }
        let octets = self.requests.next_to_send(now)?;
        out.extend_from_slice(octets);
        self.stats.requests_sent += 1;
        self.unanswered_since.get_or_insert(now);
        Some(Transmit {
            remote: self.config.server,
            len: octets.len(),
        })
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// Pads what follows a head of a multiple of four octets.
fn pad(out: &mut Vec<u8>, payload: usize) {
    out.extend_from_slice(&[0; 3][..(4 - payload % 4) % 4]);
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

fn next_refresh(now: Instant, lifetime: u32) -> Instant {
    let lifetime = Duration::from_secs(lifetime.into());
    now + (lifetime - REFRESH_EARLY.min(lifetime / 2)).max(MIN_REFRESH_PAUSE)
}
