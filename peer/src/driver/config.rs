//! What a driver is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::fault::Faults;

/// Sockets and bounds of a [`Driver`](super::Driver).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverConfig {
    /// UDP addresses to bind. A wildcard address stands for all addresses of the machine's interfaces; port 0 for any
    /// free port. Default: `0.0.0.0:0` and `[::]:0` where the machine has IPv6.
    pub udp: Vec<SocketAddr>,
    /// Whether each peer gets sockets of its own instead of sharing those of the driver. Two peers of one machine that
    /// talk to each other need it: on one port, one pair of addresses can belong to one peer only. Default: no.
    pub port_per_peer: bool,
    /// Whether loopback addresses are host candidates when bound to a wildcard address. Default: no.
    pub loopback: bool,
    /// Bytes of a data channel on the way before `send` waits. Default: 1 MiB, the product of 100 Mbit/s and 80 ms.
    pub channel_credit: usize,
    /// Events of a peer, or messages of a channel, that wait for the application before the peer stops receiving.
    /// Default: 256.
    pub event_queue: usize,
    /// RTP packets of a track that wait for the application before the newest are dropped. Default: 1024, a second of
    /// 10 Mbit/s.
    pub track_queue: usize,
    /// Send and receive buffers asked of the system for each socket, in bytes. Default: 4 MiB.
    /// The system may grant less (on Linux `net.core.rmem_max`); what does not fit there is lost before the driver can
    /// choose what to shed.
    pub socket_buffer: usize,
    /// Whether to send runs of datagrams in one call where the system can (GSO). Without it everything works the same
    /// with more system calls. Default: yes.
    pub offload: bool,
    /// Peers that may exist at once; one more is an error. Default: 100 000, about 4 GB when all are connected.
    pub max_peers: usize,
    /// A network that misbehaves from the beginning, for tests. Default: none.
    pub faults: Option<Faults>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            udp: vec![v4],
            port_per_peer: false,
            loopback: false,
            channel_credit: 1 << 20,
            event_queue: 256,
            track_queue: 1024,
            socket_buffer: 4 << 20,
            offload: true,
            max_peers: 100_000,
            faults: None,
        }
    }
}

impl DriverConfig {
    /// A socket on 127.0.0.1 for each peer: for tests and examples.
    pub fn loopback() -> Self {
        Self {
            udp: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)],
            loopback: true,
            port_per_peer: true,
            ..Self::default()
        }
    }

    /// All interfaces, loopback among them, on this port (0: any).
    pub fn everywhere(port: u16) -> Self {
        let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        Self {
            udp: vec![v4],
            loopback: true,
            ..Self::default()
        }
    }
}
