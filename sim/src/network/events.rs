//! What is going to happen, in the order of time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Action, GatewayId, HostId, InterfaceId};
use crate::link::Direction;
use crate::packet::Packet;

pub(super) enum Event {
    LinkFree(InterfaceId, Direction),
    LeftLink(InterfaceId, Direction, Packet),
    ConnectTimeout(HostId, SocketAddr, SocketAddr),
    /// A connection is asked for again, and how long it was waited for.
    ConnectAgain(HostId, SocketAddr, SocketAddr, Duration),
    /// A NAT refuses a connection from outside: outer and far address.
    Refuse(GatewayId, SocketAddr, SocketAddr),
    /// An action and its number.
    Script(usize, Action),
}

pub(super) struct Scheduled {
    pub(super) at: Instant,
    pub(super) order: u64,
    pub(super) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the largest: the earliest is largest, first come first served.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
