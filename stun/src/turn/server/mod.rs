//! A STUN and TURN server (RFC 8489, RFC 8656, RFC 6062, RFC 5780, RFC 8016)
//! without sockets: thousands of allocations in one machine.
//!
//! The driver owns the sockets. It gives what clients send to
//! [`Server::handle_input`] and what peers send to
//! [`Server::handle_peer_datagram`]; both tell where in the caller's buffer
//! the payload or the message stands and where it is to go, so that relayed
//! data are not copied. What the server wants (a relay socket opened, closed)
//! comes as [`Event`]s.
//!
//! ```
//! use std::time::Instant;
//! use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
//! use tincan_stun::turn::Transport;
//! use tincan_stun::turn::server::{Config, FiveTuple, Server, Users};
//!
//! let mut users = Users::new("example.org");
//! users.add("alice", "wonderland");
//! # use rand::SeedableRng;
//! # let mut rng = rand::rngs::StdRng::seed_from_u64(1);
//! let mut server = Server::new(Config::new("example.org"), Instant::now(), &mut rng);
//! let client = FiveTuple {
//!     local: "192.0.2.1:3478".parse()?,
//!     remote: "198.51.100.7:4000".parse()?,
//!     transport: Transport::Udp,
//! };
//! let mut request = Vec::new();
//! Writer::new(&mut request, Class::Request, Method::BINDING, TransactionId::new([1; 12])).finish()?;
//! server.handle_input(Instant::now(), client, &request, &mut users);
//! let mut out = Vec::new();
//! let transmit = server.poll_transmit(Instant::now(), &mut out).ok_or("no answer")?;
//! assert_eq!(transmit.client, client);
//! assert_eq!(Message::parse(&out)?.class(), Class::Success);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocation;
mod auth;
mod binding;
mod bucket;
mod config;
mod outbox;
mod policy;
mod requests;
mod table;
mod tcp;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use auth::{Authenticator, RestUsers, Users};
pub use config::{
    Config, Discovery, Event, FiveTuple, Input, PortDemand, RelayId, Stats, ToClient, Transmit,
};
pub use policy::{Network, PeerPolicy};

use crate::attributes::{ConnectionId, Data, Icmp, XorPeerAddress};
use crate::credentials::SecurityFeatures;
use crate::integrity::Key;
use crate::message::{AttributeType, Class, Message, Method, TransactionId, Writer};
use crate::turn::{
    ChannelData, MAX_DATA_HEADROOM, Transport, channel_data, indication_head_len,
    write_indication_head,
};
use allocation::Allocation;
use auth::Nonces;
use bucket::{StrangerLimit, TokenBucket};
use outbox::Outbox;
use table::{Relays, Slab};
use tcp::PeerConnection;

/// Keyed by a seed of the server's own: clients choose the keys.
type ByClient = HashMap<FiveTuple, u32, foldhash::fast::FixedState>;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Allocation(u32),
    Reservation(RelayId),
    Connection(u32),
}

/// The machine. See the [module](self).
#[derive(Debug)]
pub struct Server {
    config: Config,
    rng: StdRng,
    nonces: Nonces,
    ticket_key: Key,
    allocations: Slab<Allocation>,
    by_client: ByClient,
    per_account: BTreeMap<String, usize>,
    relays: Relays,
    connections: BTreeMap<u32, PeerConnection>,
    timers: BTreeSet<(Instant, Timer)>,
    strangers: StrangerLimit,
    bucket: Option<TokenBucket>,
    outbox: Outbox,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Server {
    /// A server without allocations.
    pub fn new(config: Config, now: Instant, rng: &mut impl Rng) -> Server {
        let mut rng = StdRng::from_rng(rng);
        let mut features = SecurityFeatures::NONE;
        if config.password_algorithms {
            features = features.and(SecurityFeatures::PASSWORD_ALGORITHMS);
        }
        if config.user_hashes {
            features = features.and(SecurityFeatures::USERNAME_ANONYMITY);
        }
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Server {
            nonces: Nonces::new(features, config.nonce_lifetime, now, &mut rng),
            ticket_key: Key::from_bytes(&secret),
            allocations: Slab::default(),
            by_client: ByClient::with_hasher(foldhash::fast::FixedState::with_seed(rng.next_u64())),
            per_account: BTreeMap::new(),
            relays: Relays::default(),
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            strangers: StrangerLimit::new(config.strangers_per_second, rng.next_u64(), now),
            bucket: config
                .total_bytes_per_second
                .map(|rate| TokenBucket::new(rate, now)),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
            config,
            rng,
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats {
            allocations: self.by_client.len(),
            ..self.stats
        }
    }

    /// Sends all who want to allocate from now on elsewhere, or no longer.
    pub fn set_alternate_server(&mut self, server: Option<SocketAddr>) {
        self.config.alternate_server = server;
    }

    /// Takes in one datagram of a client, or one message of its stream.
    #[inline]
    pub fn handle_input(
        &mut self,
        now: Instant,
        client: FiveTuple,
        datagram: &[u8],
        users: &mut impl Authenticator,
    ) -> Input {
        if ChannelData::is_at_server(datagram) {
            return self.channel_data(now, &client, datagram);
        }
        let Ok(message) = Message::parse(datagram) else {
            self.stats.malformed += 1;
            return Input::Consumed;
        };
        match (message.class(), message.method()) {
            (Class::Indication, Method::SEND) => {
                return self.send_indication(now, &client, datagram, &message);
            }
            // A Binding indication keeps NATs open and asks for nothing.
            (Class::Indication, Method::BINDING) => {}
            (Class::Request, Method::BINDING) => self.binding(now, client, &message),
            (Class::Request, _) => self.request(now, client, &message, users),
            _ => self.stats.malformed += 1,
        }
        Input::Consumed
    }

    /// The index of the allocation of a client that was answered.
    #[inline]
    fn index_of(&self, client: &FiveTuple) -> Option<u32> {
        self.by_client.get(client).copied()
    }

    #[inline]
    fn channel_data(&mut self, now: Instant, client: &FiveTuple, datagram: &[u8]) -> Input {
        let Some(ChannelData { channel, data }) = ChannelData::parse(datagram) else {
            self.stats.malformed += 1;
            return Input::Consumed;
        };
        let found = self
            .index_of(client)
            .and_then(|index| self.allocations.get_mut(index));
        let target = found.and_then(|a| {
            let peer = a.peers.peer_of(now, channel)?;
            Some((a.relay_for(&peer)?, peer, a))
        });
        let Some((relay, peer, allocation)) = target else {
            self.stats.not_permitted += 1;
            return Input::Consumed;
        };
        let len = data.len();
        if !may_pass(now, &mut allocation.bucket, &mut self.bucket, len) {
            self.stats.over_bandwidth += 1;
            return Input::Consumed;
        }
        allocation.bytes.0 += len as u64;
        count(&mut self.stats.from_clients, len);
        let head = channel_data::HEADER_LEN;
        Input::Relay {
            relay,
            peer,
            range: head..head + len,
            dont_fragment: false,
        }
    }

    fn send_indication(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        datagram: &[u8],
        message: &Message<'_>,
    ) -> Input {
        const KNOWN: [AttributeType; 3] = [
            AttributeType::XOR_PEER_ADDRESS,
            AttributeType::DATA,
            AttributeType::DONT_FRAGMENT,
        ];
        let dont_fragment = message.has(AttributeType::DONT_FRAGMENT);
        let parts = message
            .get::<XorPeerAddress>()
            .zip(message.get::<Data<'_>>());
        let Some((XorPeerAddress(peer), Data(data))) = parts.filter(|_| {
            message.unknown_required(&KNOWN).next().is_none()
                && (!dont_fragment || self.config.dont_fragment)
        }) else {
            self.stats.malformed += 1;
            return Input::Consumed;
        };
        let found = self
            .index_of(client)
            .and_then(|index| self.allocations.get_mut(index));
        let target = found.and_then(|a| {
            let relay = a.relay_for(&peer)?;
            (a.relay_transport == Transport::Udp && a.peers.is_permitted(now, peer.ip()))
                .then_some((relay, a))
        });
        let Some((relay, allocation)) = target else {
            self.stats.not_permitted += 1;
            return Input::Consumed;
        };
        let len = data.len();
        if !may_pass(now, &mut allocation.bucket, &mut self.bucket, len) {
            self.stats.over_bandwidth += 1;
            return Input::Consumed;
        }
        allocation.bytes.0 += len as u64;
        count(&mut self.stats.from_clients, len);
        let start = (data.as_ptr() as usize).saturating_sub(datagram.as_ptr() as usize);
        Input::Relay {
            relay,
            peer,
            range: start..start + len,
            dont_fragment,
        }
    }

    /// Makes a message for the client of what a peer sent to a relay, around
    /// the payload where it stands. In front of it there must be
    /// [`MAX_DATA_HEADROOM`] octets of room, and three behind it (for padding,
    /// RFC 8656 §12.5). `None`: nothing is to be sent.
    #[inline]
    pub fn handle_peer_datagram(
        &mut self,
        now: Instant,
        relay: RelayId,
        from: SocketAddr,
        buffer: &mut [u8],
        payload: Range<usize>,
    ) -> Option<ToClient> {
        let index = self.relays.allocation_of(relay)?;
        let allocation = self.allocations.get_mut(index)?;
        let len = payload.end.checked_sub(payload.start)?;
        if payload.start < MAX_DATA_HEADROOM || payload.end + 3 > buffer.len() {
            return None;
        }
        if !allocation.peers.is_permitted(now, from.ip()) {
            self.stats.not_permitted += 1;
            return None;
        }
        // The length fields count sixteen bits, head and padding included.
        let len16 = u16::try_from(len).ok().filter(|l| *l < u16::MAX - 64)?;
        if !may_pass(now, &mut allocation.bucket, &mut self.bucket, len) {
            self.stats.over_bandwidth += 1;
            return None;
        }
        let client = allocation.client;
        let stream = client.transport == Transport::Tcp;
        let (start, padded) = match allocation.peers.channel_of(now, &from) {
            Some(number) => {
                let start = payload.start - channel_data::HEADER_LEN;
                let head = buffer.get_mut(start..payload.start)?;
                head.copy_from_slice(&ChannelData::header(number, len16));
                (start, stream)
            }
            None => {
                let start = payload.start - indication_head_len(&from);
                let head = buffer.get_mut(start..payload.start)?;
                let id = TransactionId::random(&mut self.rng);
                write_indication_head(Method::DATA, &id, &from, len16, head);
                (start, true)
            }
        };
        let padding = if padded { (4 - len % 4) % 4 } else { 0 };
        buffer.get_mut(payload.end..payload.end + padding)?.fill(0);
        allocation.bytes.1 += len as u64;
        count(&mut self.stats.to_clients, len);
        Some(ToClient {
            client,
            range: start..payload.end + padding,
        })
    }

    /// An ICMP error about what a relay sent to `peer` (RFC 8656 §11.5).
    pub fn handle_peer_icmp(&mut self, now: Instant, relay: RelayId, peer: SocketAddr, icmp: Icmp) {
        let index = self.relays.allocation_of(relay);
        let Some(allocation) = index.and_then(|index| self.allocations.get_mut(index)) else {
            return;
        };
        if !allocation.peers.is_permitted(now, peer.ip()) {
            return;
        }
        let id = TransactionId::random(&mut self.rng);
        let client = allocation.client;
        let queued = self.outbox.push(client, |out| {
            Writer::new(out, Class::Indication, Method::DATA, id)
                .push(&XorPeerAddress(peer))
                .push(&icmp)
                .finish()
        });
        self.stats.queue_overflows += u64::from(!queued);
    }

    /// A client's stream ended: its allocation or data connection ends too.
    pub fn client_disconnected(&mut self, client: &FiveTuple) {
        if let Some(index) = self.index_of(client) {
            self.release(index);
        }
        self.data_connection_closed(client);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, timer)) = self.timers.first()
            && due <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Allocation(index) => self.release(index),
                Timer::Reservation(relay) => {
                    if self.relays.is_reserved(relay) && self.relays.free(relay) {
                        self.events.push_back(Event::CloseRelay(relay));
                    }
                }
                Timer::Connection(id) => self.connection_timed_out(ConnectionId(id)),
            }
        }
    }

    /// When [`Server::handle_timeout`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Appends the next message for a client to `out`.
    #[inline]
    pub fn poll_transmit(&mut self, _now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        self.outbox
            .pop(out)
            .map(|(client, len)| Transmit { client, len })
    }

    /// The next demand on the driver or piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends an allocation and all that hangs on it.
    fn release(&mut self, index: u32) {
        let Some(allocation) = self.allocations.remove(index) else {
            return;
        };
        self.by_client.remove(&allocation.client);
        self.timers
            .remove(&(allocation.expires, Timer::Allocation(index)));
        if let Some(count) = self.per_account.get_mut(&allocation.owner.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_account.remove(&allocation.owner.account);
            }
        }
        for relay in &allocation.relays {
            if self.relays.free(relay.id) && relay.addr.is_some() {
                self.events.push_back(Event::CloseRelay(relay.id));
            }
        }
        for id in &allocation.connections {
            self.close_connection(*id);
        }
        let Allocation {
            client,
            bytes,
            answered,
            ..
        } = allocation;
        if answered {
            self.events.push_back(Event::Released { client, bytes });
        }
    }
}

#[inline]
fn may_pass(
    now: Instant,
    own: &mut Option<Box<TokenBucket>>,
    all: &mut Option<TokenBucket>,
    octets: usize,
) -> bool {
    own.as_mut().is_none_or(|bucket| bucket.take(now, octets))
        && all.as_mut().is_none_or(|bucket| bucket.take(now, octets))
}

#[inline]
fn count(counter: &mut (u64, u64), octets: usize) {
    counter.0 += 1;
    counter.1 += octets as u64;
}
