//! Where datagrams come from and go to.

use std::net::SocketAddr;

use crate::mdns_name::MdnsName;

/// How a datagram travels between this host and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram, one message.
    Udp,
    /// A TCP connection: to a peer each message behind two bytes of length
    /// (RFC 4571), to a TURN server STUN's and ChannelData's own framing.
    Tcp,
    /// TLS over TCP, to a TURN server only.
    Tls,
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// Our address as it was given to [`Agent::add_host`](crate::Agent::add_host);
    /// for a TCP connection the address of the base it belongs to.
    pub local: SocketAddr,
    /// The sender's address.
    pub remote: SocketAddr,
    /// What it came by.
    pub transport: Transport,
}

impl Source {
    /// A UDP datagram's source.
    #[must_use]
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            transport: Transport::Udp,
        }
    }
}

/// Where the bytes just appended to the output buffer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transmit {
    /// The base to send from.
    pub local: SocketAddr,
    /// The address to send to. For TCP: the connection to use; when there is
    /// none, the driver opens it from `local`'s address.
    pub remote: SocketAddr,
    /// What to send by.
    pub transport: Transport,
    /// How many bytes, framing included.
    pub len: usize,
}

/// What kind of socket a local base is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostTransport {
    /// A UDP socket.
    Udp,
    /// Outgoing TCP connections; the candidate's port is 9 (RFC 6544 §4.5).
    TcpActive,
    /// A listening TCP socket.
    TcpPassive,
    /// A TCP socket for simultaneous open.
    TcpSimultaneousOpen,
}

impl HostTransport {
    /// What its datagrams travel by.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            _ => Transport::Tcp,
        }
    }
}

/// What a UDP socket is for. A TURN server knows a client by its address, and
/// an address can have one allocation there (RFC 8656 §7.2): agents that share
/// a socket can't share it towards TURN servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum SocketUse {
    /// Everything: the socket is this agent's alone, or the agent knows of no
    /// TURN server.
    #[default]
    All,
    /// Shared with other agents: TURN servers are asked by TCP and TLS only,
    /// where each allocation has a connection of its own.
    Shared,
    /// For TURN servers by UDP and nothing else: no host candidate, no checks.
    Relay,
}

/// A local address the agent may use: one socket, possibly shared with
/// thousands of other agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalBase {
    /// The socket's address; never unspecified.
    pub addr: SocketAddr,
    /// The socket's kind.
    pub transport: HostTransport,
    /// Number of the network (interface), in the caller's order of
    /// preference; 0 is the best.
    pub network: u16,
    /// The network's cost, 0 (free) to 999 (unknown or dear); a VPN or a
    /// cellular network stands after a wired one.
    pub cost: u16,
    /// Signal this name instead of the address.
    pub name: Option<MdnsName>,
    /// What a UDP socket is for.
    pub used_for: SocketUse,
}

impl LocalBase {
    /// A base on the best network, without cost, by its plain address.
    #[must_use]
    pub fn new(addr: SocketAddr, transport: HostTransport) -> Self {
        Self {
            addr,
            transport,
            network: 0,
            cost: 0,
            name: None,
            used_for: SocketUse::All,
        }
    }

    /// A UDP socket.
    #[must_use]
    pub fn udp(addr: SocketAddr) -> Self {
        Self::new(addr, HostTransport::Udp)
    }

    /// Sets the network's number.
    #[must_use]
    pub fn with_network(mut self, network: u16) -> Self {
        self.network = network;
        self
    }

    /// Sets the network's cost.
    #[must_use]
    pub fn with_cost(mut self, cost: u16) -> Self {
        self.cost = cost;
        self
    }

    /// Sets what the socket is for.
    #[must_use]
    pub fn with_use(mut self, used_for: SocketUse) -> Self {
        self.used_for = used_for;
        self
    }

    /// Signals `name` instead of the address.
    #[must_use]
    pub fn with_name(mut self, name: MdnsName) -> Self {
        self.name = Some(name);
        self
    }
}
