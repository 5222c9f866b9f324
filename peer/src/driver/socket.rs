//! One UDP socket: batches in and out, with GSO, GRO, ECN and the exact local address where the system has them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::config::DriverConfig;
use super::full::Jam;
use super::handle::DriverStats;
use super::ready::{Flag, waker};
use super::slot::PeerId;
use crate::types::{Ecn, Protocol, Received, Transmit};

/// Bytes that one receive call may fill: the largest UDP datagram, or a run of smaller ones with GRO.
const RECEIVE_BYTES: usize = 65_536;

/// Received datagrams are cut from blocks of this size: one allocation for about 200 full datagrams. A slice that the
/// application keeps holds its block.
const ARENA_BYTES: usize = 256 * 1024;

/// Receive buffers, one set for all sockets of a loop.
pub(super) struct Intake {
    buffers: Vec<Vec<u8>>,
    metas: Vec<RecvMeta>,
    arena: BytesMut,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            buffers: (0..BATCH_SIZE).map(|_| vec![0; RECEIVE_BYTES]).collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
            arena: BytesMut::with_capacity(ARENA_BYTES),
        }
    }
}

/// A socket.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    /// What the system takes in one call, as it said at first.
    segments: usize,
    local: SocketAddr,
    offload: bool,
    /// Who gets what arrives; `None`: that is to be found out.
    pub(super) owner: Option<PeerId>,
    /// Its entry in the loop's list of sockets to be read.
    flag: Option<(Arc<Flag>, Waker)>,
    /// What waits for room.
    pub(super) jam: Jam,
    /// A network that takes nothing, as tests want it.
    #[cfg(test)]
    pub(super) clogged: bool,
}

/// Whether to ask the runtime first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Reads if the runtime knows of something, and has it look again when there is no more.
    WhenReady,
    /// Reads whatever the runtime knows: it learns of arrivals only between the loop's rounds.
    AtOnce,
}

/// Figures of a socket's calls into the system.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Calls {
    pub(super) receive: u64,
    pub(super) send: u64,
}

impl Socket {
    pub(super) fn bind(addr: SocketAddr, config: &DriverConfig) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&addr.into())?;
        Self::adopt(socket.into(), config)
    }

    /// Takes a bound socket.
    pub(super) fn adopt(socket: std::net::UdpSocket, config: &DriverConfig) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        // The system may grant less than asked; that is no reason not to run.
        let _ = state.set_send_buffer_size((&socket).into(), config.socket_buffer);
        let _ = state.set_recv_buffer_size((&socket).into(), config.socket_buffer);
        Ok(Self {
            local: socket.local_addr()?,
            io: UdpSocket::from_std(socket)?,
            segments: state.max_gso_segments(),
            state,
            offload: config.offload,
            owner: None,
            flag: None,
            jam: Jam::default(),
            #[cfg(test)]
            clogged: false,
        })
    }

    /// Puts the socket on the list of its loop.
    pub(super) fn enlist(&mut self, flag: Arc<Flag>) {
        let waker = waker(&flag);
        self.flag = Some((flag, waker));
    }

    /// To be called before the first of some [`Socket::receive`].
    pub(super) fn begin_reading(&self) {
        if let Some((flag, _)) = &self.flag {
            flag.lower();
        }
    }

    /// After everything was read: has the socket put on the list when there is more. `false` if there is already.
    pub(super) fn wait_readable(&self) -> bool {
        let Some((_, waker)) = &self.flag else {
            return true;
        };
        let mut cx = Context::from_waker(waker);
        self.io.poll_recv_ready(&mut cx).is_pending()
    }

    /// The bound address.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether this socket sends from `local`.
    pub(super) fn serves(&self, local: SocketAddr) -> bool {
        self.local == local
            || (self.local.ip().is_unspecified()
                && self.local.port() == local.port()
                && self.local.is_ipv4() == local.is_ipv4())
    }

    /// Datagrams that one send call can take.
    pub(super) fn max_segments(&self) -> usize {
        if self.offload {
            self.state.max_gso_segments().max(1)
        } else {
            1
        }
    }

    pub(super) fn poll_writable(&self, waker: &Waker) -> Poll<()> {
        #[cfg(test)]
        if self.clogged {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(waker);
        self.io.poll_send_ready(&mut cx).map(|_| ())
    }

    /// Receives one batch and hands each datagram over. `Ok(false)` when there was none.
    pub(super) fn receive(
        &self,
        intake: &mut Intake,
        calls: &mut Calls,
        reading: Reading,
        mut take: impl FnMut(Received, BytesMut),
    ) -> io::Result<bool> {
        calls.receive += 1;
        let Self {
            io, state, local, ..
        } = self;
        let Intake {
            buffers,
            metas,
            arena,
        } = intake;
        let count = {
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = {
                let mut buffers = buffers.iter_mut();
                std::array::from_fn(|_| {
                    IoSliceMut::new(buffers.next().map_or(&mut [][..], Vec::as_mut_slice))
                })
            };
            let socket = io;
            let mut read = || state.recv(socket.into(), &mut slices, metas);
            let result = match reading {
                Reading::WhenReady => socket.try_io(Interest::READABLE, read),
                Reading::AtOnce => read(),
            };
            match result {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        };
        for (buffer, meta) in buffers.iter().zip(metas.iter()).take(count) {
            let Some(filled) = buffer.get(..meta.len) else {
                continue;
            };
            let local = match meta.dst_ip {
                Some(ip) if local.ip().is_unspecified() => SocketAddr::new(ip, local.port()),
                _ => *local,
            };
            let received = Received {
                local,
                remote: meta.addr,
                transport: Protocol::Udp,
                ecn: from_codepoint(meta.ecn),
            };
            for datagram in filled.chunks(meta.stride.max(1)) {
                if arena.capacity() < datagram.len() {
                    arena.reserve(ARENA_BYTES);
                }
                arena.extend_from_slice(datagram);
                take(received, arena.split());
            }
        }
        Ok(true)
    }

    /// Sends one transmit. What the system says about a single datagram is dropped, but for what it knows of the path.
    pub(super) fn send(&mut self, transmit: &Transmit, bytes: &[u8], calls: &mut Calls) -> Sent {
        calls.send += 1;
        #[cfg(test)]
        if self.clogged {
            return Sent::Full;
        }
        let wildcard = self.local.ip().is_unspecified();
        let transmit = quinn_udp::Transmit {
            destination: transmit.remote,
            ecn: to_codepoint(transmit.ecn),
            contents: bytes,
            segment_size: transmit.segment_size,
            src_ip: wildcard.then(|| transmit.local.ip()),
        };
        let result = self.io.try_io(Interest::WRITABLE, || {
            self.state.try_send((&self.io).into(), &transmit)
        });
        match result {
            Ok(()) => Sent::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
            Err(error) if error.raw_os_error() == Some(MESSAGE_TOO_LONG) => Sent::TooLong,
            Err(error) => {
                tracing::debug!(%error, remote = %transmit.destination, "datagram not sent");
                use io::ErrorKind as Kind;
                match error.kind() {
                    Kind::AddrNotAvailable | Kind::HostUnreachable | Kind::NetworkUnreachable => {
                        Sent::Unreachable(error.to_string())
                    }
                    // On Linux an address that is not the machine's (any more), or loopback's towards another machine, is an
                    // invalid argument. A run of datagrams may be one too, where there is no GSO.
                    Kind::InvalidInput if transmit.segment_size.is_none() => {
                        self.keep_offload();
                        Sent::Unreachable(error.to_string())
                    }
                    _ => Sent::Done,
                }
            }
        }
    }
}

impl Socket {
    /// quinn-udp takes an invalid argument for a system without GSO and uses it no more. Where a single datagram is one,
    /// that was not the reason, nor was it for runs before.
    fn keep_offload(&mut self) {
        if self.segments > self.state.max_gso_segments()
            && let Ok(state) = UdpSocketState::new((&self.io).into())
        {
            self.state = state;
        }
    }
}

/// What became of a transmit.
pub(super) enum Sent {
    /// It is the network's now, or lost.
    Done,
    /// The socket is full: again later.
    Full,
    /// Datagrams of this length don't leave here in one piece, and they may not be cut.
    TooLong,
    /// No way leads there from here, in the system's words.
    Unreachable(String),
}

impl Sent {
    /// Counts what was sent and what can't be.
    pub(super) fn count(&self, transmit: &Transmit, stats: &mut DriverStats) {
        match self {
            Self::Done => {
                stats.bytes_sent += transmit.len as u64;
                stats.datagrams_sent += transmit.datagrams();
            }
            Self::TooLong => stats.too_long += transmit.datagrams(),
            Self::Full | Self::Unreachable(_) => {}
        }
    }
}

/// `EMSGSIZE`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MESSAGE_TOO_LONG: i32 = 90;
#[cfg(windows)]
const MESSAGE_TOO_LONG: i32 = 10040;
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
const MESSAGE_TOO_LONG: i32 = 40;

fn from_codepoint(ecn: Option<EcnCodepoint>) -> Ecn {
    match ecn {
        None => Ecn::NotEct,
        Some(EcnCodepoint::Ect0) => Ecn::Ect0,
        Some(EcnCodepoint::Ect1) => Ecn::Ect1,
        Some(EcnCodepoint::Ce) => Ecn::Ce,
    }
}

fn to_codepoint(ecn: Ecn) -> Option<EcnCodepoint> {
    match ecn {
        Ecn::NotEct => None,
        Ecn::Ect0 => Some(EcnCodepoint::Ect0),
        Ecn::Ect1 => Some(EcnCodepoint::Ect1),
        Ecn::Ce => Some(EcnCodepoint::Ce),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::run::bounded;

    /// The IP header's ECN field arrives as it was sent, over IPv4 and IPv6. Of runs that GRO puts together quinn-udp 0.6.3
    /// loses it: its buffer for what comes beside a datagram is too small for that and its own timestamps.
    #[test]
    fn ecn_is_carried_both_ways() {
        bounded(async {
            for local in ["127.0.0.1:0", "[::1]:0"] {
                let config = DriverConfig::default();
                let Ok(mut from) = Socket::bind(local.parse().unwrap(), &config) else {
                    println!("skipped: no {local}");
                    continue;
                };
                let to = Socket::bind(local.parse().unwrap(), &config).unwrap();
                let mut calls = Calls::default();
                let mut intake = Intake::new();
                for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
                    let transmit = Transmit {
                        local: from.local(),
                        remote: to.local(),
                        transport: Protocol::Udp,
                        len: 300,
                        segment_size: None,
                        ecn,
                    };
                    from.io.writable().await.unwrap();
                    let sent = from.send(&transmit, &[7; 300], &mut calls);
                    assert!(matches!(sent, Sent::Done));
                    let mut bytes = 0;
                    while bytes < 300 {
                        to.io.readable().await.unwrap();
                        let take = |received: Received, datagram: BytesMut| {
                            assert_eq!(received.ecn, ecn);
                            assert_eq!(received.remote, from.local());
                            bytes += datagram.len();
                        };
                        to.receive(&mut intake, &mut calls, Reading::WhenReady, take)
                            .unwrap();
                    }
                    assert_eq!(bytes, 300);
                }
            }
        });
    }

    /// Linux takes a source address that is not the machine's for an invalid argument, and so IPv4's loopback towards
    /// another machine.
    #[test]
    fn an_address_that_went_costs_no_other_path_its_offload() {
        bounded(async {
            let config = DriverConfig::default();
            let Ok(mut socket) = Socket::bind("[::]:0".parse().unwrap(), &config) else {
                println!("skipped: no IPv6");
                return;
            };
            let before = socket.max_segments();
            socket.io.writable().await.unwrap();
            let transmit = Transmit {
                local: "[2001:db8::9]:1".parse().unwrap(),
                remote: "[::1]:9".parse().unwrap(),
                transport: Protocol::Udp,
                len: 300,
                segment_size: None,
                ecn: Ecn::NotEct,
            };
            let sent = socket.send(&transmit, &[7; 300], &mut Calls::default());
            assert!(matches!(sent, Sent::Unreachable(_)));
            assert_eq!(socket.max_segments(), before);
            // Nor does a run that went there, once a single datagram has shown why.
            let run = Transmit {
                segment_size: Some(150),
                ..transmit
            };
            socket.send(&run, &[7; 300], &mut Calls::default());
            socket.send(&transmit, &[7; 300], &mut Calls::default());
            assert_eq!(socket.max_segments(), before);
            println!("{before} segments");
        });
    }
}
