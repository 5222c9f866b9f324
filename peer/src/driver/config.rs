//! What a driver is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::Faults;

/// Sockets and bounds of a [`Driver`](super::Driver).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverConfig {
    /// UDP addresses to bind. A wildcard address stands for all addresses of the machine's interfaces; port 0 for any
    /// free port. `[::]` is passed over where the machine has no IPv6. Default: `0.0.0.0:0` and `[::]:0`.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses to listen on for ICE over TCP (RFC 6544), one port for all peers: browsers that can't use UDP connect
    /// there. With any of them our peers connect to the far side's listeners as well. Wildcards as for `udp`. Default:
    /// none.
    pub tcp: Vec<SocketAddr>,
    /// Where port 0 is asked for, a port of this range instead of any: for firewalls. Sockets towards TURN servers are
    /// taken from it too. Default: any.
    pub ports: Option<RangeInclusive<u16>>,
    /// Whether each peer gets UDP sockets of its own instead of sharing those of the driver. Two peers of one machine that
    /// talk to each other need it: on one port, one pair of addresses can belong to one peer only. So do two ends that hold
    /// several connections with each other: the one that came up last gets all data. Default: no.
    pub port_per_peer: bool,
    /// Whether loopback addresses are host candidates when bound to a wildcard address. Default: no.
    pub loopback: bool,
    /// How often the interfaces are looked at, where a wildcard address is bound: what comes and goes is given to all
    /// peers as candidates. `None`: only once. Default: 2 s, which costs about 50 µs of CPU each time.
    pub interface_poll: Option<Duration>,
    /// Bytes of a data channel that were not sent once before `send` waits. Default: 1 MiB, the product of 100 Mbit/s and 80 ms.
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
    /// What multicast DNS is used for. Default: nothing.
    #[cfg(feature = "mdns")]
    pub mdns: Mdns,
    /// Whose word a `turns:` server's certificate needs. Default: the system's authorities.
    #[cfg(feature = "tls")]
    pub tls_roots: TlsRoots,
}

/// What multicast DNS (RFC 6762) is used for: browsers hide their host addresses behind `.local` names as long as a page
/// has no camera or microphone.
#[cfg(feature = "mdns")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mdns {
    /// Nothing: candidates with names are ignored. Their owner's checks still lead to it, if it can reach us.
    #[default]
    Off,
    /// Names of the far side's candidates are resolved. The sockets on port 5353 are opened when the first name comes.
    Resolve,
    /// And our own host addresses are told as names, which the driver answers for. All peers of a driver tell the same
    /// names.
    Hide,
}

/// The authorities that TURN servers' certificates are checked against.
#[cfg(feature = "tls")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsRoots {
    /// Those that the operating system trusts.
    #[default]
    System,
    /// These, and no others: one or more certificates in PEM. A self-signed certificate is its own authority.
    Pem(String),
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            udp: wildcards(0),
            tcp: Vec::new(),
            ports: None,
            port_per_peer: false,
            loopback: false,
            interface_poll: Some(Duration::from_secs(2)),
            channel_credit: 1 << 20,
            event_queue: 256,
            track_queue: 1024,
            socket_buffer: 4 << 20,
            offload: true,
            max_peers: 100_000,
            faults: None,
            #[cfg(feature = "mdns")]
            mdns: Mdns::Off,
            #[cfg(feature = "tls")]
            tls_roots: TlsRoots::System,
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

    /// All interfaces, loopback among them, IPv4 and IPv6, on this UDP port (0: any).
    pub fn everywhere(port: u16) -> Self {
        Self {
            udp: wildcards(port),
            loopback: true,
            ..Self::default()
        }
    }
}

fn wildcards(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
    ]
}
