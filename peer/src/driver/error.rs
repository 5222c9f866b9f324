//! What goes wrong between an application and the driver.

use std::io;
use std::net::SocketAddr;

use crate::Error;

/// An error of a driver or of one of its handles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A socket could not be bound: another program has the port, or the address is not this machine's.
    #[error(
        "can't bind UDP {addr}: {source}; is the port in use, the address one of this machine's?"
    )]
    Bind {
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
    /// No address to bind was given.
    #[error("no UDP address given")]
    NoSocket,
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
