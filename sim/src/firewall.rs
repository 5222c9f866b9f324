//! Packet filters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::packet::Transport;

/// Which flows a firewall lets hosts begin, and to which ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// All.
    All,
    /// TCP to any port, no UDP.
    TcpOnly,
    /// TCP to these ports, nothing else.
    TcpPorts(Vec<u16>),
    /// UDP to any port, no TCP.
    UdpOnly,
    /// Nothing.
    None,
}

impl Protocols {
    fn allow(&self, transport: Transport, remote: SocketAddr) -> bool {
        match self {
            Self::All => true,
            Self::TcpOnly => transport == Transport::Tcp,
            Self::TcpPorts(ports) => transport == Transport::Tcp && ports.contains(&remote.port()),
            Self::UdpOnly => transport == Transport::Udp,
            Self::None => false,
        }
    }
}

/// A firewall: lets flows out by a rule, and in only as answers to them (unless `open_inbound`).
#[derive(Clone, Debug)]
pub struct Firewall {
    outbound: Protocols,
    open_inbound: bool,
    state_timeout: Duration,
    flows: BTreeMap<(Transport, SocketAddr, SocketAddr), Instant>,
}

impl Firewall {
    /// A stateful firewall that lets hosts begin the given flows.
    pub fn new(outbound: Protocols) -> Self {
        Self {
            outbound,
            open_inbound: false,
            state_timeout: Duration::from_secs(120),
            flows: BTreeMap::new(),
        }
    }

    /// Whether flows may be begun from outside (default: no).
    pub fn open_inbound(mut self, yes: bool) -> Self {
        self.open_inbound = yes;
        self
    }

    /// How long an idle flow is remembered (default: 2 minutes).
    pub fn state_timeout(mut self, timeout: Duration) -> Self {
        self.state_timeout = timeout;
        self
    }

    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        transport: Transport,
        inner: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        let known = self
            .flows
            .get(&(transport, inner, remote))
            .is_some_and(|end| *end > now);
        if !known && !self.outbound.allow(transport, remote) {
            return false;
        }
        self.flows
            .insert((transport, inner, remote), now + self.state_timeout);
        true
    }

    pub(crate) fn inbound(
        &mut self,
        now: Instant,
        transport: Transport,
        inner: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        let flow = (transport, inner, remote);
        let known = self.flows.get(&flow).is_some_and(|end| *end > now);
        if known || self.open_inbound {
            self.flows.insert(flow, now + self.state_timeout);
        }
        known || self.open_inbound
    }
}
