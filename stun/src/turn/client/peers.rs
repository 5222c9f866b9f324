//! What the server was told about peers: permissions by IP address, channels
//! by transport address (RFC 8656 §9, §12). Timers and states, no messages.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::attributes::ChannelNumber;
use crate::limits::{
    CHANNEL_LIFETIME, MAX_CLIENT_CHANNELS, MAX_CLIENT_PERMISSIONS, MAX_PEERS_PER_REQUEST,
    PERMISSION_LIFETIME,
};

/// Time before its end that something is refreshed.
const REFRESH_EARLY: Duration = Duration::from_secs(60);

/// A permission or a channel in its life on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Not there; to be asked for.
    Wanted,
    /// First asked for.
    Requested,
    /// There until then.
    Active { until: Instant },
    /// There until then, and asked for again.
    Refreshing { until: Instant },
    /// Refused.
    Refused,
}

impl Life {
    fn usable(self, now: Instant) -> bool {
        matches!(self, Life::Active { until } | Life::Refreshing { until } if now < until)
    }

    fn due(self) -> Option<Instant> {
        match self {
            Life::Active { until } => until.checked_sub(REFRESH_EARLY),
            Life::Refreshing { until } => Some(until),
            _ => None,
        }
    }

    /// Whether a request must go out now; marks it as gone.
    fn take_request(&mut self, now: Instant) -> bool {
        match *self {
            Life::Wanted => *self = Life::Requested,
            Life::Active { until } if now + REFRESH_EARLY >= until => {
                *self = Life::Refreshing { until };
            }
            _ => return false,
        }
        true
    }

    fn wants_request(self, now: Instant) -> bool {
        let mut copy = self;
        copy.take_request(now)
    }

    fn expire(&mut self, now: Instant) {
        if let Life::Active { until } | Life::Refreshing { until } = *self
            && now >= until
        {
            *self = Life::Wanted;
        }
    }
}

#[derive(Clone, Debug)]
struct Permission {
    ip: IpAddr,
    life: Life,
}

#[derive(Clone, Debug)]
struct Channel {
    peer: SocketAddr,
    number: ChannelNumber,
    life: Life,
}

/// The client's copy of the server's lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    /// Sorted by address.
    permissions: Vec<Permission>,
    /// Sorted by address.
    channels: Vec<Channel>,
    /// Peers by channel number, from [`ChannelNumber::MIN`] up. A number is
    /// never given to another peer: the server would refuse that for minutes.
    by_number: Vec<SocketAddr>,
}

impl Peers {
    /// Wants a permission; `false` when the table is full.
    pub(super) fn permit(&mut self, ip: IpAddr) -> bool {
        match self.permissions.binary_search_by_key(&ip, |p| p.ip) {
            Ok(at) => {
                if let Some(p) = self.permissions.get_mut(at)
                    && p.life == Life::Refused
                {
                    p.life = Life::Wanted;
                }
                true
            }
            Err(at) if self.permissions.len() < MAX_CLIENT_PERMISSIONS => {
                self.permissions.insert(
                    at,
                    Permission {
                        ip,
                        life: Life::Wanted,
                    },
                );
                true
            }
            Err(_) => false,
        }
    }

    /// No longer refreshes anything of this address.
    pub(super) fn forget(&mut self, ip: IpAddr) {
        self.permissions.retain(|p| p.ip != ip);
        self.channels.retain(|c| c.peer.ip() != ip);
    }

    /// Wants a channel; `false` when the table is full.
    pub(super) fn bind(&mut self, peer: SocketAddr) -> bool {
        match self.channels.binary_search_by_key(&peer, |c| c.peer) {
            Ok(at) => {
                if let Some(c) = self.channels.get_mut(at)
                    && c.life == Life::Refused
                {
                    c.life = Life::Wanted;
                }
                true
            }
            Err(at) => {
                let known = self.by_number.iter().position(|p| *p == peer);
                let index = known.unwrap_or(self.by_number.len());
                let number = u16::try_from(index)
                    .ok()
                    .and_then(|i| ChannelNumber::new(ChannelNumber::MIN.number() + i));
                let (true, Some(number)) = (self.channels.len() < MAX_CLIENT_CHANNELS, number)
                else {
                    return false;
                };
                if known.is_none() {
                    self.by_number.push(peer);
                }
                self.channels.insert(
                    at,
                    Channel {
                        peer,
                        number,
                        life: Life::Wanted,
                    },
                );
                true
            }
        }
    }

    fn permission(&self, ip: IpAddr) -> Option<&Permission> {
        let at = self.permissions.binary_search_by_key(&ip, |p| p.ip).ok()?;
        self.permissions.get(at)
    }

    #[inline]
    pub(super) fn is_permitted(&self, now: Instant, ip: IpAddr) -> bool {
        self.permission(ip).is_some_and(|p| p.life.usable(now))
    }

    /// The channel of a peer, when it is bound.
    #[inline]
    pub(super) fn channel_of(&self, now: Instant, peer: &SocketAddr) -> Option<ChannelNumber> {
        let at = self.channels.binary_search_by_key(peer, |c| c.peer).ok()?;
        self.channels
            .get(at)
            .filter(|c| c.life.usable(now))
            .map(|c| c.number)
    }

    /// Whether a channel was asked for, bound or not.
    pub(super) fn has_channel(&self, peer: &SocketAddr) -> bool {
        self.channels.binary_search_by_key(peer, |c| c.peer).is_ok()
    }

    /// The peer of a channel that may carry data (asked for is enough: data
    /// may overtake the answer).
    #[inline]
    pub(super) fn peer_of(&self, number: ChannelNumber) -> Option<SocketAddr> {
        let index = number.number() - ChannelNumber::MIN.number();
        self.by_number.get(usize::from(index)).copied()
    }

    /// Addresses that a CreatePermission must name now, at most
    /// [`MAX_PEERS_PER_REQUEST`]; marks them as asked for.
    pub(super) fn take_permissions(&mut self, now: Instant) -> Vec<IpAddr> {
        let wanting = self.permissions.iter_mut().filter_map(|p| {
            p.life.expire(now);
            p.life.take_request(now).then_some(p.ip)
        });
        wanting.take(MAX_PEERS_PER_REQUEST).collect()
    }

    /// A channel that must be bound now; marks it as asked for.
    pub(super) fn take_channel(&mut self, now: Instant) -> Option<(SocketAddr, ChannelNumber)> {
        self.channels.iter_mut().find_map(|c| {
            c.life.expire(now);
            c.life.take_request(now).then_some((c.peer, c.number))
        })
    }

    /// Whether either of the two above has something.
    pub(super) fn wants_requests(&self, now: Instant) -> bool {
        self.permissions.iter().any(|p| p.life.wants_request(now))
            || self.channels.iter().any(|c| c.life.wants_request(now))
    }

    /// The server installed or refreshed a permission; `true` when it is new.
    pub(super) fn permitted(&mut self, now: Instant, ip: IpAddr) -> bool {
        let Ok(at) = self.permissions.binary_search_by_key(&ip, |p| p.ip) else {
            return false;
        };
        let Some(p) = self.permissions.get_mut(at) else {
            return false;
        };
        let new = !p.life.usable(now);
        p.life = Life::Active {
            until: now + PERMISSION_LIFETIME,
        };
        new
    }

    /// The server refused. One that is still there lives on to its end.
    pub(super) fn not_permitted(&mut self, ip: IpAddr) {
        if let Ok(at) = self.permissions.binary_search_by_key(&ip, |p| p.ip)
            && let Some(p) = self.permissions.get_mut(at)
            && !matches!(p.life, Life::Active { .. } | Life::Refreshing { .. })
        {
            p.life = Life::Refused;
        }
    }

    /// The server bound a channel, which permits too; `true` when it is new.
    pub(super) fn bound(&mut self, now: Instant, peer: &SocketAddr) -> bool {
        let Ok(at) = self.channels.binary_search_by_key(peer, |c| c.peer) else {
            return false;
        };
        let Some(c) = self.channels.get_mut(at) else {
            return false;
        };
        let new = !c.life.usable(now);
        c.life = Life::Active {
            until: now + CHANNEL_LIFETIME,
        };
        new
    }

    /// The server refused. One that is still bound lives on to its end.
    pub(super) fn not_bound(&mut self, peer: &SocketAddr) {
        if let Ok(at) = self.channels.binary_search_by_key(peer, |c| c.peer)
            && let Some(c) = self.channels.get_mut(at)
            && !matches!(c.life, Life::Active { .. } | Life::Refreshing { .. })
        {
            c.life = Life::Refused;
        }
    }

    /// When something must be refreshed or ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let permissions = self.permissions.iter().filter_map(|p| p.life.due());
        permissions
            .chain(self.channels.iter().filter_map(|c| c.life.due()))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_asked_for_once_and_again_before_they_end() {
        let t0 = Instant::now();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut peers = Peers::default();
        assert!(peers.permit(ip) && peers.permit(ip));
        assert_eq!(peers.take_permissions(t0), [ip]);
        assert_eq!(peers.take_permissions(t0), [] as [IpAddr; 0]);
        assert!(!peers.is_permitted(t0, ip));
        assert!(peers.permitted(t0, ip));
        assert!(peers.is_permitted(t0, ip));
        let due = peers.next_due().unwrap();
        assert_eq!(due, t0 + PERMISSION_LIFETIME - REFRESH_EARLY);
        assert!(!peers.wants_requests(due - Duration::from_millis(1)));
        assert!(peers.wants_requests(due));
        assert_eq!(peers.take_permissions(due), [ip]);
        peers.not_permitted(ip);
        assert!(peers.is_permitted(due, ip), "lives on to its end");
        assert!(!peers.is_permitted(t0 + PERMISSION_LIFETIME, ip));
    }

    #[test]
    fn a_channel_number_stays_with_its_peer() {
        let t0 = Instant::now();
        let a: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let b: SocketAddr = "192.0.2.0:1".parse().unwrap();
        let mut peers = Peers::default();
        assert!(peers.bind(a) && peers.bind(b));
        peers.forget(a.ip());
        assert!(peers.bind(a));
        let mut taken = [
            peers.take_channel(t0).unwrap(),
            peers.take_channel(t0).unwrap(),
        ];
        taken.sort_by_key(|t| t.1);
        assert_eq!(taken.map(|t| t.0), [a, b]);
        assert!(peers.bound(t0, &a));
        assert_eq!(peers.channel_of(t0, &a), Some(ChannelNumber::MIN));
        assert_eq!(peers.channel_of(t0, &b), None);
        assert_eq!(peers.peer_of(ChannelNumber::MIN), Some(a));
    }

    #[test]
    fn a_channel_that_was_refused_once_can_be_bound_later() {
        let t0 = Instant::now();
        let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let mut peers = Peers::default();
        assert!(peers.bind(peer));
        assert!(peers.take_channel(t0).is_some());
        peers.not_bound(&peer);
        assert_eq!(peers.take_channel(t0), None, "not of its own accord");
        assert!(peers.bind(peer));
        assert!(peers.take_channel(t0).is_some());
        assert!(peers.bound(t0, &peer));
        // Its refresh fails: the server keeps it until its end, and then it is asked for anew.
        let due = t0 + CHANNEL_LIFETIME - REFRESH_EARLY;
        assert!(peers.take_channel(due).is_some());
        peers.not_bound(&peer);
        assert!(peers.channel_of(due, &peer).is_some());
        let end = t0 + CHANNEL_LIFETIME;
        assert_eq!(peers.next_due(), Some(end));
        assert_eq!(peers.channel_of(end, &peer), None);
        assert!(peers.take_channel(end).is_some());
    }

    #[test]
    fn tables_are_bounded() {
        let mut peers = Peers::default();
        let ip = |i: u32| IpAddr::from(i.to_be_bytes());
        assert!((0..MAX_CLIENT_PERMISSIONS as u32).all(|i| peers.permit(ip(i))));
        assert!(!peers.permit(ip(u32::MAX)));
        assert!((0..MAX_CLIENT_CHANNELS as u32).all(|i| peers.bind(SocketAddr::new(ip(i), 9))));
        assert!(!peers.bind(SocketAddr::new(ip(u32::MAX), 9)));
    }
}
