//! Streams, as far as a protocol above TCP can tell: connections that open, refuse or time out,
//! bytes in order after the path's delay, ends. A lost packet costs time, not bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a host does with streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpCommand {
    /// Accept connections on this address.
    Listen(SocketAddr),
    /// Open a connection from `local` (an address of the host with a port of its choice).
    Connect {
        /// The host's own end.
        local: SocketAddr,
        /// The listener.
        remote: SocketAddr,
    },
    /// Send bytes on an open connection.
    Send {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// Close a connection.
    Close {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
    },
}

/// What a host learns of its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpEvent {
    /// A connection that the host asked for is open.
    Connected {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
    },
    /// Somebody connected to a listener of the host.
    Accepted {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
    },
    /// Bytes came, in order.
    Data {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
        /// What came.
        bytes: Vec<u8>,
    },
    /// The connection ended, was refused, or never came about.
    Closed {
        /// The host's own end.
        local: SocketAddr,
        /// The far end.
        remote: SocketAddr,
    },
}

/// What a packet of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Syn,
    SynAck,
    Reset,
    Data,
    Fin,
}

/// A stream packet's header: its kind and its number among the packets of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
}

/// One end of a connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) open: bool,
    pub(crate) next_out: u64,
    next_in: u64,
    held: BTreeMap<u64, (Kind, Vec<u8>)>,
}

impl Connection {
    /// Takes a packet of the stream and gives all that are in order now.
    pub(crate) fn in_order(&mut self, segment: Segment, bytes: Vec<u8>) -> Vec<(Kind, Vec<u8>)> {
        if segment.number >= self.next_in {
            self.held.insert(segment.number, (segment.kind, bytes));
        }
        let mut ready = Vec::new();
        while let Some(next) = self.held.remove(&self.next_in) {
            self.next_in += 1;
            ready.push(next);
        }
        ready
    }
}
