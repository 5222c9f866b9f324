//! TCP relaying (RFC 6062 §5): connections to and from peers, each handed to
//! the client on a connection of its own.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;

use super::config::{Event, FiveTuple, RelayId};
use super::requests::{Asked, Pending, Refused};
use super::{Server, Timer};
use crate::attributes::{ConnectionId, ErrorCode, Family, XorPeerAddress};
use crate::limits::{CONNECTION_BIND_TIMEOUT, MAX_PEER_CONNECTIONS};
use crate::message::{Class, Method, TransactionId, Writer};
use crate::turn::Transport;

#[derive(Debug)]
enum State {
    /// The driver connects; then the client is answered.
    Connecting(Box<Pending>),
    /// The client's ConnectionBind is awaited until then.
    Waiting(Instant),
    /// Passed through.
    Spliced(FiveTuple),
}

#[derive(Debug)]
pub(super) struct PeerConnection {
    allocation: u32,
    peer: SocketAddr,
    state: State,
}

impl Server {
    fn new_connection(&mut self, allocation: u32, peer: SocketAddr, state: State) -> ConnectionId {
        let id = loop {
            let id = self.rng.next_u32();
            if id != 0 && !self.connections.contains_key(&id) {
                break id;
            }
        };
        self.connections.insert(
            id,
            PeerConnection {
                allocation,
                peer,
                state,
            },
        );
        if let Some(a) = self.allocations.get_mut(allocation) {
            a.connections.push(ConnectionId(id));
        }
        ConnectionId(id)
    }

    fn has_connection(&self, allocation: u32, peer: &SocketAddr) -> bool {
        self.allocations.get(allocation).is_some_and(|a| {
            a.connections
                .iter()
                .any(|c| self.connections.get(&c.0).is_some_and(|c| c.peer == *peer))
        })
    }

    pub(super) fn connect(&mut self, asked: &Asked<'_>) -> Result<(), Refused> {
        let index = self.owned(asked)?;
        let a = self
            .allocations
            .get(index)
            .ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if a.relay_transport != Transport::Tcp {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let XorPeerAddress(peer) = asked.message.get().ok_or(ErrorCode::BAD_REQUEST)?;
        let full = a.connections.len() >= MAX_PEER_CONNECTIONS;
        let relay = a.relay_for(&peer);
        self.check_peer(index, &peer)?;
        if self.has_connection(index, &peer) {
            return Err(ErrorCode::CONNECTION_ALREADY_EXISTS);
        }
        let Some(relay) = relay.filter(|_| !full) else {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        };
        let connection =
            self.new_connection(index, peer, State::Connecting(Box::new(asked.pending())));
        self.events.push_back(Event::ConnectPeer {
            relay,
            connection,
            peer,
        });
        Ok(())
    }

    /// The driver connected to a peer as asked, or could not.
    pub fn peer_connected(&mut self, now: Instant, connection: ConnectionId, connected: bool) {
        let Some(c) = self.connections.get_mut(&connection.0) else {
            // The allocation has gone meanwhile.
            if connected {
                self.events.push_back(Event::ClosePeer(connection));
            }
            return;
        };
        let until = now + CONNECTION_BIND_TIMEOUT;
        let State::Connecting(to) = std::mem::replace(&mut c.state, State::Waiting(until)) else {
            return;
        };
        if connected {
            self.timers.insert((until, Timer::Connection(connection.0)));
            self.grant(&to, Method::CONNECT, |w| w.push(&connection));
        } else {
            self.forget_connection(connection);
            self.refuse(
                &to,
                Method::CONNECT,
                ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE,
            );
        }
    }

    /// A peer connected to a relay. `None`: close that connection.
    pub fn peer_incoming(
        &mut self,
        now: Instant,
        relay: RelayId,
        peer: SocketAddr,
    ) -> Option<ConnectionId> {
        let index = self.relays.allocation_of(relay)?;
        let a = self.allocations.get(index)?;
        if !a.peers.is_permitted(now, peer.ip())
            || a.connections.len() >= MAX_PEER_CONNECTIONS
            || self.has_connection(index, &peer)
        {
            self.stats.not_permitted += 1;
            return None;
        }
        let client = a.client;
        let until = now + CONNECTION_BIND_TIMEOUT;
        let connection = self.new_connection(index, peer, State::Waiting(until));
        self.timers.insert((until, Timer::Connection(connection.0)));
        let id = TransactionId::random(&mut self.rng);
        let queued = self.outbox.push(client, |out| {
            Writer::new(out, Class::Indication, Method::CONNECTION_ATTEMPT, id)
                .push(&XorPeerAddress(peer))
                .push(&connection)
                .finish()
        });
        self.stats.queue_overflows += u64::from(!queued);
        Some(connection)
    }

    pub(super) fn connection_bind(&mut self, asked: &Asked<'_>) -> Result<(), Refused> {
        let connection: ConnectionId = asked.message.get().ok_or(ErrorCode::BAD_REQUEST)?;
        if asked.client.transport != Transport::Tcp || self.index_of(&asked.client).is_some() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let c = self
            .connections
            .get_mut(&connection.0)
            .ok_or(ErrorCode::BAD_REQUEST)?;
        let State::Waiting(until) = c.state else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        let owner = self.allocations.get(c.allocation).map(|a| &a.owner.account);
        if owner != Some(&asked.identity.account) {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        c.state = State::Spliced(asked.client);
        self.timers
            .remove(&(until, Timer::Connection(connection.0)));
        self.grant(&asked.pending(), Method::CONNECTION_BIND, |w| w);
        self.events.push_back(Event::Splice {
            client: asked.client,
            connection,
        });
        Ok(())
    }

    /// A peer's connection ended; the driver closes the client's side of it.
    pub fn peer_disconnected(&mut self, connection: ConnectionId) {
        self.forget_connection(connection);
    }

    fn forget_connection(&mut self, connection: ConnectionId) -> Option<PeerConnection> {
        let c = self.connections.remove(&connection.0)?;
        if let State::Waiting(until) = c.state {
            self.timers
                .remove(&(until, Timer::Connection(connection.0)));
        }
        if let Some(a) = self.allocations.get_mut(c.allocation) {
            a.connections.retain(|other| *other != connection);
        }
        Some(c)
    }

    pub(super) fn close_connection(&mut self, connection: ConnectionId) {
        if let Some(c) = self.forget_connection(connection)
            && !matches!(c.state, State::Connecting(_))
        {
            self.events.push_back(Event::ClosePeer(connection));
        }
    }

    /// The relay for peers of this family is given back, and what went through it ends.
    pub(super) fn close_connections(&mut self, allocation: u32, family: Family) {
        let connections = self.allocations.get(allocation).map(|a| &a.connections);
        let of_family = |id: &ConnectionId| {
            let connection = self.connections.get(&id.0);
            connection.is_some_and(|c| Family::of(&c.peer) == family)
        };
        let gone = connections.into_iter().flatten().copied().filter(of_family);
        for id in gone.collect::<Vec<_>>() {
            self.close_connection(id);
        }
    }

    pub(super) fn connection_timed_out(&mut self, connection: ConnectionId) {
        self.close_connection(connection);
    }

    pub(super) fn data_connection_closed(&mut self, client: &FiveTuple) {
        let of_client = |c: &PeerConnection| matches!(&c.state, State::Spliced(s) if s == client);
        // Only drivers that relay TCP have any.
        let found = self
            .connections
            .iter()
            .find(|(_, c)| of_client(c))
            .map(|(id, _)| *id);
        if let Some(id) = found {
            self.close_connection(ConnectionId(id));
        }
    }
}
