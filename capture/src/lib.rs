//! Recordings for Wireshark, without privileges and without a network interface: what an endpoint sends and receives, as
//! it saw it, in a pcapng file (draft-ietf-opsawg-pcapng), with the TLS and DTLS secrets inside, so that a reader
//! decrypts it without being given anything else.
//!
//! The caller tells addresses and payloads; IP, UDP and TCP headers are made up around them. Nothing here reads a clock.
//!
//! ```
//! use std::time::Duration;
//! use tincan_capture::{Direction, Packet, Protocol, Recorder};
//!
//! let mut recorder = Recorder::new(Vec::new());
//! let interface = recorder.add_interface("alice");
//! recorder.add_secrets("CLIENT_RANDOM 00… 11…\n");
//! recorder.record(interface, Duration::from_secs(1_735_689_600), &Packet {
//!     direction: Direction::Outbound,
//!     protocol: Protocol::Udp,
//!     source: "192.0.2.1:1000".parse().unwrap(),
//!     destination: "192.0.2.2:2000".parse().unwrap(),
//!     payload: b"hello",
//!     comment: "",
//! });
//! assert_eq!(recorder.stats().packets, 1);
//! let file = recorder.finish().unwrap();
//! assert_eq!(&file[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod limits;
mod pcapng;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, TcpHeader};

use limits::{DEFAULT_MAX_BYTES, MAX_FLOWS, MAX_INTERFACES, MAX_PAYLOAD};

/// Which way a packet went, as the recorded endpoint sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Inbound,
    /// Sent.
    Outbound,
}

/// What carries the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A datagram.
    Udp,
    /// Bytes of a stream, in order. There is no handshake in the recording: the stream begins with its first bytes.
    Tcp,
}

/// One thing sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Sent or received.
    pub direction: Direction,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The sender. Where the family differs from the destination's, IPv4 is written as IPv4-mapped IPv6.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// What is inside of the UDP or TCP packet; beyond [`MAX_PAYLOAD`] a datagram is cut off.
    pub payload: &'a [u8],
    /// A remark that the reader shows beside the packet; none where empty.
    pub comment: &'a str,
}

/// An interface of a recording, see [`Recorder::add_interface`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(u32);

/// What was recorded and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Packets in the file.
    pub packets: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets left out: beyond the recording's bound, or after an error of the sink.
    pub left_out: u64,
}

/// Why a recording is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sink refused bytes; what came after is left out.
    #[error("the recording's sink failed: {0}")]
    Sink(#[from] io::Error),
    /// The bound of [`Recorder::with_max_bytes`] was reached.
    #[error("the recording reached its bound of {0} bytes")]
    Full(u64),
}

/// Writes one recording to a sink: a file, a buffer, a socket.
///
/// A failing sink never disturbs what is recorded: the first error stops the recording, and
/// [`finish`](Self::finish) and [`error`](Self::error) tell of it.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    sink: W,
    interfaces: usize,
    flows: HashMap<(SocketAddr, SocketAddr), u32>,
    max_bytes: u64,
    stats: Stats,
    error: Option<Error>,
    block: Vec<u8>,
    headers: Vec<u8>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording of at most [`DEFAULT_MAX_BYTES`].
    pub fn new(sink: W) -> Self {
        Self::with_max_bytes(sink, DEFAULT_MAX_BYTES)
    }

    /// Begins a recording of at most `max_bytes`; what is beyond is left out and counted.
    pub fn with_max_bytes(sink: W, max_bytes: u64) -> Self {
        let mut recorder = Self {
            sink,
            interfaces: 0,
            flows: HashMap::new(),
            max_bytes,
            stats: Stats::default(),
            error: None,
            block: Vec::new(),
            headers: Vec::new(),
        };
        pcapng::section(&mut recorder.block);
        recorder.write();
        recorder
    }

    /// Adds an interface: a name under which the reader shows packets, such as the host's. Beyond [`MAX_INTERFACES`] the
    /// last one is shared.
    pub fn add_interface(&mut self, name: &str) -> InterfaceId {
        if self.interfaces < MAX_INTERFACES {
            self.interfaces += 1;
            pcapng::interface(&mut self.block, name);
            self.write();
        }
        InterfaceId(self.interfaces.saturating_sub(1) as u32)
    }

    /// Embeds secrets: lines of the SSLKEYLOGFILE format (RFC 9850). They should come before the packets that they
    /// decrypt. **Whoever gets the file can read the traffic.**
    pub fn add_secrets(&mut self, lines: &str) {
        pcapng::secrets(&mut self.block, lines);
        self.write();
    }

    /// Records a packet at a time since the Unix epoch.
    pub fn record(&mut self, interface: InterfaceId, at: Duration, packet: &Packet<'_>) {
        if self.error.is_some() {
            self.stats.left_out += 1;
            return;
        }
        match packet.protocol {
            Protocol::Udp => {
                let cut = packet.payload.len().min(MAX_PAYLOAD);
                let payload = packet.payload.get(..cut).unwrap_or_default();
                self.headers.clear();
                let step = ip(packet.source.ip(), packet.destination.ip())
                    .udp(packet.source.port(), packet.destination.port());
                // Writing to memory, of a length that fits.
                let _ = step.write(&mut self.headers, payload);
                self.packet(interface, at, packet);
            }
            Protocol::Tcp => {
                for payload in packet.payload.chunks(MAX_PAYLOAD) {
                    let header = self.segment(packet, payload.len());
                    self.headers.clear();
                    let step = ip(packet.source.ip(), packet.destination.ip()).tcp_header(header);
                    let _ = step.write(&mut self.headers, payload);
                    self.packet(interface, at, packet);
                }
            }
        }
    }

    /// The header of the next segment of a flow.
    fn segment(&mut self, packet: &Packet<'_>, length: usize) -> TcpHeader {
        let forward = (packet.source, packet.destination);
        let back = (packet.destination, packet.source);
        let next = self.flows.get(&forward).copied().unwrap_or(1);
        if self.flows.len() < MAX_FLOWS || self.flows.contains_key(&forward) {
            self.flows.insert(forward, next.wrapping_add(length as u32));
        }
        let (from, to) = (packet.source.port(), packet.destination.port());
        let mut header = TcpHeader::new(from, to, next, u16::MAX);
        header.ack = true;
        header.psh = true;
        header.acknowledgment_number = self.flows.get(&back).copied().unwrap_or(1);
        header
    }

    fn packet(&mut self, interface: InterfaceId, at: Duration, packet: &Packet<'_>) {
        pcapng::packet(
            &mut self.block,
            interface.0,
            u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
            packet.direction == Direction::Inbound,
            &self.headers,
            packet.comment,
        );
        if self.write() {
            self.stats.packets += 1;
        } else {
            self.stats.left_out += 1;
        }
    }

    /// Writes the block; `false` when it was left out.
    fn write(&mut self) -> bool {
        let length = self.block.len() as u64;
        if self.error.is_none() {
            if self.stats.bytes + length > self.max_bytes {
                self.error = Some(Error::Full(self.max_bytes));
            } else {
                match self.sink.write_all(&self.block) {
                    Ok(()) => self.stats.bytes += length,
                    Err(error) => self.error = Some(error.into()),
                }
            }
        }
        self.block.clear();
        self.error.is_none()
    }

    /// What was recorded so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Why nothing is recorded any more, where that is so.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Passes on to the sink what it buffers, for a reader that follows.
    pub fn flush(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.sink.flush()
        {
            self.error = Some(error.into());
        }
    }

    /// Ends the recording and gives the sink back.
    ///
    /// # Errors
    /// Why the recording is not whole.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush();
        match self.error {
            None => Ok(self.sink),
            Some(error) => Err(error),
        }
    }
}

fn ip(source: IpAddr, destination: IpAddr) -> PacketBuilderStep<IpHeaders> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (source, destination) => {
            let octets = |ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            PacketBuilder::ipv6(octets(source), octets(destination), 64)
        }
    }
}
