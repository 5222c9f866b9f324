//! What travels.

use std::net::SocketAddr;

use crate::tcp::Segment;

/// The two bits of the IP header that carry congestion marks (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// Not ECN-capable: congestion drops the packet.
    #[default]
    NotEct,
    /// ECT(1): the sender takes marks as scalable congestion control does (RFC 9331).
    Ect1,
    /// ECT(0): the sender takes marks as it takes losses.
    Ect0,
    /// Congestion experienced.
    Ce,
}

/// The protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams, see [`TcpCommand`](crate::TcpCommand).
    Tcp,
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source address and port, as the holder of the datagram sees it.
    pub src: SocketAddr,
    /// Destination address and port, as the holder of the datagram sees it.
    pub dst: SocketAddr,
    /// Congestion bits.
    pub ecn: Ecn,
    /// What UDP carries.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A datagram that is not ECN-capable.
    pub fn new(src: SocketAddr, dst: SocketAddr, payload: Vec<u8>) -> Self {
        Self {
            src,
            dst,
            ecn: Ecn::NotEct,
            payload,
        }
    }
}

/// Bytes of IP and UDP headers, counted towards rate and queue but not towards the MTU of the
/// payload.
pub(crate) fn header_bytes(src: &SocketAddr) -> usize {
    if src.is_ipv4() { 28 } else { 48 }
}

/// A packet inside the network: a datagram or a part of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) datagram: Datagram,
    pub(crate) segment: Option<Segment>,
    /// Its number on the link it is on.
    pub(crate) number: u64,
    /// Gateways passed; ends routing loops.
    pub(crate) hops: u8,
}

impl Packet {
    pub(crate) fn transport(&self) -> Transport {
        if self.segment.is_some() {
            Transport::Tcp
        } else {
            Transport::Udp
        }
    }

    pub(crate) fn wire_bytes(&self) -> usize {
        self.datagram.payload.len() + header_bytes(&self.datagram.src)
    }
}
