//! One allocation: who owns it, which peers it may talk to, until when.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::auth::Identity;
use super::bucket::TokenBucket;
use super::config::{FiveTuple, RelayId};
use crate::attributes::{ChannelNumber, ConnectionId, ErrorCode, Family, ReservationToken};
use crate::limits::{CHANNEL_LIFETIME, MAX_CHANNELS, MAX_PERMISSIONS, PERMISSION_LIFETIME};
use crate::message::TransactionId;
use crate::turn::Transport;

/// A relayed address of an allocation, on its way or open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    pub(super) family: Family,
    pub(super) addr: Option<SocketAddr>,
    pub(super) failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    until: Instant,
}

/// The lists of RFC 8656 §5, sorted, so that work is logarithmic.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Peers {
    by_number: Vec<Channel>,
    by_peer: Vec<(SocketAddr, ChannelNumber)>,
    permissions: Vec<Permission>,
}

impl Peers {
    #[inline]
    pub(super) fn is_permitted(&self, now: Instant, ip: IpAddr) -> bool {
        match self.permissions.binary_search_by(|p| p.ip.cmp(&ip)) {
            Ok(at) => self.permissions.get(at).is_some_and(|p| now < p.until),
            Err(_) => false,
        }
    }

    /// Installs or refreshes; `false` when the list is full of living ones.
    pub(super) fn permit(&mut self, now: Instant, ip: IpAddr) -> bool {
        let until = now + PERMISSION_LIFETIME;
        match self.permissions.binary_search_by(|p| p.ip.cmp(&ip)) {
            Ok(at) => {
                if let Some(p) = self.permissions.get_mut(at) {
                    p.until = until;
                }
                true
            }
            Err(_) if self.permissions.len() >= MAX_PERMISSIONS && !self.purge(now) => false,
            Err(_) => {
                let at = self.permissions.partition_point(|p| p.ip < ip);
                self.permissions.insert(at, Permission { ip, until });
                true
            }
        }
    }

    fn purge(&mut self, now: Instant) -> bool {
        self.permissions.retain(|p| now < p.until);
        self.permissions.len() < MAX_PERMISSIONS
    }

    /// Whether a permission for one more address fits or can be made to.
    pub(super) fn has_room(&mut self, now: Instant, more: usize) -> bool {
        if self.permissions.len() + more <= MAX_PERMISSIONS {
            return true;
        }
        self.purge(now);
        self.permissions.len() + more <= MAX_PERMISSIONS
    }

    #[inline]
    pub(super) fn peer_of(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        let at = self
            .by_number
            .binary_search_by_key(&number, |c| c.number)
            .ok()?;
        self.by_number
            .get(at)
            .filter(|c| now < c.until)
            .map(|c| c.peer)
    }

    #[inline]
    pub(super) fn channel_of(&self, now: Instant, peer: &SocketAddr) -> Option<ChannelNumber> {
        let at = self.by_peer.binary_search_by(|(p, _)| p.cmp(peer)).ok()?;
        let number = self.by_peer.get(at)?.1;
        self.peer_of(now, number).map(|_| number)
    }

    /// Binds or refreshes a channel (RFC 8656 §12.2).
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<(), ErrorCode<'static>> {
        // Whatever ran out makes room, and may be bound anew.
        if self.by_number.iter().any(|c| now >= c.until) {
            self.by_number.retain(|c| now < c.until);
            let by_number = &self.by_number;
            self.by_peer
                .retain(|(_, n)| by_number.iter().any(|c| c.number == *n));
        }
        match self.by_number.binary_search_by_key(&number, |c| c.number) {
            Ok(at) => match self.by_number.get_mut(at) {
                Some(c) if c.peer == peer => {
                    c.until = now + CHANNEL_LIFETIME;
                    Ok(())
                }
                _ => Err(ErrorCode::BAD_REQUEST),
            },
            Err(at) => {
                let Err(peer_at) = self.by_peer.binary_search_by(|(p, _)| p.cmp(&peer)) else {
                    return Err(ErrorCode::BAD_REQUEST);
                };
                if self.by_number.len() >= MAX_CHANNELS {
                    return Err(ErrorCode::INSUFFICIENT_CAPACITY);
                }
                self.by_peer.insert(peer_at, (peer, number));
                let until = now + CHANNEL_LIFETIME;
                self.by_number.insert(
                    at,
                    Channel {
                        number,
                        peer,
                        until,
                    },
                );
                Ok(())
            }
        }
    }
}

/// In this order: what each relayed packet touches lies together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Allocation {
    /// The open relays for IPv4 and IPv6 peers, where a packet's look-up need
    /// not follow another pointer.
    pub(super) open: [Option<RelayId>; 2],
    pub(super) peers: Peers,
    /// Payload octets from the client and to it.
    pub(super) bytes: (u64, u64),
    pub(super) bucket: Option<TokenBucket>,
    pub(super) relay_transport: Transport,
    pub(super) client: FiveTuple,
    pub(super) owner: Identity,
    /// Of the Allocate request, to know its repetitions (RFC 8656 §7.2, note).
    pub(super) id: TransactionId,
    /// One, or one of each family; of these at least one is open once
    /// `answered`.
    pub(super) relays: Vec<Relay>,
    pub(super) reservation: Option<(RelayId, ReservationToken)>,
    pub(super) answered: bool,
    pub(super) lifetime: u32,
    pub(super) expires: Instant,
    pub(super) wants_ticket: bool,
    pub(super) tickets: u32,
    pub(super) connections: Vec<ConnectionId>,
}

impl Allocation {
    /// The open relay for peers of this family.
    #[inline]
    pub(super) fn relay_for(&self, peer: &SocketAddr) -> Option<RelayId> {
        let [v4, v6] = self.open;
        if peer.is_ipv4() { v4 } else { v6 }
    }

    /// A relay is open at `addr`.
    pub(super) fn opened(&mut self, id: RelayId, addr: SocketAddr) {
        if let Some(r) = self.relays.iter_mut().find(|r| r.id == id) {
            r.addr = Some(addr);
            let [v4, v6] = &mut self.open;
            *(if addr.is_ipv4() { v4 } else { v6 }) = Some(id);
        }
    }

    pub(super) fn has_family(&self, family: Family) -> bool {
        self.relays.iter().any(|r| r.family == family && !r.failed)
    }
}
