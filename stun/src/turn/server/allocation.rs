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

impl Channel {
    #[inline]
    fn lives(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// The lists of RFC 8656 §5, sorted, so that work is logarithmic.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Peers {
    /// The channel bound last, for most clients the only one: as it stands in
    /// `by_number`, or run out. A packet's look-up need not follow a pointer.
    latest: Option<Channel>,
    permissions: Vec<Permission>,
    by_number: Vec<Channel>,
    by_peer: Vec<(SocketAddr, ChannelNumber)>,
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

    /// Whether permissions for all of these addresses fit or can be made to. Those that are there need no room.
    pub(super) fn has_room<I: Iterator<Item = IpAddr>>(
        &mut self,
        now: Instant,
        addresses: impl Fn() -> I,
    ) -> bool {
        let fit = |permissions: &[Permission]| {
            let is_new = |ip: &IpAddr| permissions.binary_search_by(|p| p.ip.cmp(ip)).is_err();
            permissions.len() + addresses().filter(is_new).count() <= MAX_PERMISSIONS
        };
        fit(&self.permissions) || {
            self.purge(now);
            fit(&self.permissions)
        }
    }

    #[inline]
    pub(super) fn peer_of(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        if let Some(latest) = &self.latest
            && latest.number == number
        {
            return latest.lives(now).then_some(latest.peer);
        }
        let at = self
            .by_number
            .binary_search_by_key(&number, |c| c.number)
            .ok()?;
        self.by_number
            .get(at)
            .filter(|c| c.lives(now))
            .map(|c| c.peer)
    }

    #[inline]
    pub(super) fn channel_of(&self, now: Instant, peer: &SocketAddr) -> Option<ChannelNumber> {
        if let Some(latest) = &self.latest
            && latest.peer == *peer
            && latest.lives(now)
        {
            return Some(latest.number);
        }
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
        if self.by_number.iter().any(|c| !c.lives(now)) {
            self.by_number.retain(|c| c.lives(now));
            let by_number = &self.by_number;
            self.by_peer
                .retain(|(_, n)| by_number.iter().any(|c| c.number == *n));
        }
        let bound = Channel {
            number,
            peer,
            until: now + CHANNEL_LIFETIME,
        };
        match self.by_number.binary_search_by_key(&number, |c| c.number) {
            Ok(at) => match self.by_number.get_mut(at) {
                Some(c) if c.peer == peer => *c = bound,
                _ => return Err(ErrorCode::BAD_REQUEST),
            },
            Err(at) => {
                let Err(peer_at) = self.by_peer.binary_search_by(|(p, _)| p.cmp(&peer)) else {
                    return Err(ErrorCode::BAD_REQUEST);
                };
                if self.by_number.len() >= MAX_CHANNELS {
                    return Err(ErrorCode::INSUFFICIENT_CAPACITY);
                }
                self.by_peer.insert(peer_at, (peer, number));
                self.by_number.insert(at, bound);
            }
        }
        self.latest = Some(bound);
        Ok(())
    }
}

/// In this order, and on lines of the cache: what each relayed packet touches lies
/// together, on two of them from the client and on four to it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Allocation {
    pub(super) peers: Peers,
    /// The open relays for IPv4 and IPv6 peers, where a packet's look-up need
    /// not follow another pointer.
    pub(super) open: [Option<RelayId>; 2],
    /// Payload octets from the client and to it.
    pub(super) bytes: (u64, u64),
    /// Apart, because few servers limit anybody.
    pub(super) bucket: Option<Box<TokenBucket>>,
    pub(super) client: FiveTuple,
    pub(super) relay_transport: Transport,
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

    /// A relay is given back: nothing goes through it any more. Permissions and channels of its family, which nobody can
    /// renew, are of no use.
    pub(super) fn closed(&mut self, id: RelayId) {
        self.relays.retain(|r| r.id != id);
        for open in &mut self.open {
            open.take_if(|open| *open == id);
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whatever is bound, refreshed or runs out, the short way says what the lists say.
    #[test]
    fn the_channel_bound_last_is_found_as_the_others_are() {
        let mut now = Instant::now();
        let mut peers = Peers::default();
        let number = |n: u16| ChannelNumber::new(0x4000 + n).unwrap_or(ChannelNumber::MIN);
        let peer = |n: u16| SocketAddr::from(([192, 0, 2, 1], 1000 + n));
        let mut seed = 1u64;
        for step in 0..4000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = |shift: u32| (seed >> shift) as u16 % 4;
            now += Duration::from_secs((seed >> 50) % 200);
            let _ = peers.bind(now, number(pick(20)), peer(pick(30)));
            let mut plain = peers.clone();
            plain.latest = None;
            for n in 0..4 {
                assert_eq!(
                    peers.peer_of(now, number(n)),
                    plain.peer_of(now, number(n)),
                    "step {step}"
                );
                assert_eq!(
                    peers.channel_of(now, &peer(n)),
                    plain.channel_of(now, &peer(n)),
                    "step {step}"
                );
            }
        }
    }

    #[test]
    fn what_a_packet_from_the_client_touches_lies_on_two_lines() {
        assert_eq!(std::mem::offset_of!(Allocation, peers), 0);
        assert!(size_of::<Option<Channel>>() <= 64);
        let first = std::mem::offset_of!(Allocation, open);
        let last = std::mem::offset_of!(Allocation, bucket) + 7;
        assert_eq!(first / 64, last / 64, "{first} to {last}");
    }
}
