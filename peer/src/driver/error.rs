//! What goes wrong between an application and the driver.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use crate::Error;

/// An error of a driver or of one of its handles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// Another program (or another driver) has the port.
    #[error("can't bind {transport} {addr}: the port is in use; stop its owner or ask for port 0")]
    PortInUse {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The address.
        addr: SocketAddr,
    },
    /// All ports of [`DriverConfig::ports`](super::DriverConfig::ports) are in use.
    #[error(
        "can't bind {transport} {addr}: all ports from {} to {} are in use; widen the range",
        ports.start(),
        ports.end()
    )]
    NoFreePort {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The address, without its port.
        addr: SocketAddr,
        /// The range.
        ports: RangeInclusive<u16>,
    },
    /// A socket could not be bound for another reason: the address is not this machine's, or the port needs privileges.
    #[error(
        "can't bind {transport} {addr}: {source}; is the address one of this machine's, the port allowed?"
    )]
    Bind {
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A socket that was given can't be used.
    #[error("can't use the socket: {0}")]
    Socket(io::Error),
    /// The runtime of [`Driver::run_blocking`](super::Driver::run_blocking) could not be made.
    #[error("can't make a runtime: {0}")]
    Runtime(io::Error),
    /// The driver has [`DriverConfig::max_peers`](super::DriverConfig::max_peers) already.
    #[error("the driver has as many peers as it may have")]
    TooManyPeers,
    /// The interfaces could not be listed.
    #[error("can't list the network interfaces: {0}")]
    Interfaces(io::Error),
    /// Neither a UDP nor a TCP address to bind was given.
    #[error("no UDP or TCP address given")]
    NoSocket,
    /// [`TlsRoots::Pem`](super::TlsRoots) holds no certificates.
    #[error("tls_roots: {reason}; give certificates in PEM")]
    TlsRoots {
        /// What is wrong with it.
        reason: String,
    },
    /// The driver has ended; its task was dropped or it was shut down.
    #[error("the driver has ended")]
    DriverEnded,
    /// The peer is closed.
    #[error("the peer is closed")]
    PeerClosed,
    /// The channel is closed: by either side, or with its peer.
    #[error("the data channel is closed")]
    ChannelClosed,
    /// Too many packets wait to be sent on this peer; this one was dropped.
    #[error("the peer's send queue is full")]
    Overload,
    /// The connection refused the call.
    #[error(transparent)]
    Connection(#[from] Error),
}

impl DriverError {
    /// Why an address can't be bound.
    pub(super) fn bind(transport: &'static str, addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { transport, addr },
            _ => Self::Bind {
                transport,
                addr,
                source,
            },
        }
    }
}
