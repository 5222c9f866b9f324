//! Several loops, each on a thread of its own.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rand::SeedableRng;
use rand::rngs::StdRng;
use socket2::{Domain, Socket, Type};

use super::binding;
use super::config::DriverConfig;
use super::error::DriverError;
use super::events::Events;
use super::exchange::Exchange;
use super::handle::{DriverHandle, DriverStats};
use super::links::BACKLOG;
use super::peer::Peer;
use super::run::Driver;
use crate::Configuration;

/// How several loops share the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharding {
    /// Each loop has ports of its own: of a configured port, the loops take that and the following ones. No datagram
    /// ever reaches a wrong loop. The one to take where ports are free to choose.
    #[default]
    Ports,
    /// All loops share the configured ports (`SO_REUSEPORT`). The system spreads datagrams over them by their addresses;
    /// those that reach the wrong loop are handed over by a bounded queue. For one open port in a firewall. The same holds
    /// for TCP connections: one that reaches the wrong loop is carried by it for the right one.
    SharedPort,
}

/// Loops on threads of their own, each with a small runtime. Dropping this ends the loops and does not wait for them.
///
/// ```
/// use tincan_peer::Configuration;
/// use tincan_peer::driver::{DriverConfig, Loops, Sharding};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = DriverConfig { udp: vec!["127.0.0.1:0".parse()?], ..DriverConfig::default() };
/// let loops = Loops::spawn(config, 2, Sharding::SharedPort)?;
/// // From here on as with one loop; peers take turns.
/// let (peer, _events) = loops.handle().peer(Configuration::default()).await?;
/// # drop(peer);
/// loops.join();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Loops {
    handle: LoopsHandle,
    threads: Vec<JoinHandle<()>>,
}

/// A handle to all loops of a [`Loops`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct LoopsHandle {
    loops: Arc<[DriverHandle]>,
    next: Arc<AtomicUsize>,
}

impl Loops {
    /// Starts `count` loops (at least one): one a core is a good number.
    ///
    /// # Errors
    /// As [`Driver::bind`]; a thread or its runtime could not be made.
    pub fn spawn(
        config: DriverConfig,
        count: usize,
        sharding: Sharding,
    ) -> Result<Self, DriverError> {
        let count = count.max(1);
        let mut ends = Vec::new();
        // With a port for each peer there is nothing to share.
        if sharding == Sharding::SharedPort && !config.port_per_peer {
            let shared = bind_shared(&config, count)?;
            for (exchange, sockets) in Exchange::new(count).into_iter().zip(shared) {
                ends.push((config.clone(), Some((exchange, sockets))));
            }
        } else {
            for n in 0..count {
                let mut config = config.clone();
                let all = config.udp.iter_mut().chain(&mut config.tcp);
                for addr in all.filter(|addr| addr.port() != 0) {
                    let port = u16::try_from(n)
                        .ok()
                        .and_then(|n| addr.port().checked_add(n));
                    let port = port.ok_or_else(|| {
                        let beyond = "no ports are left for that many loops";
                        let source = io::Error::new(io::ErrorKind::InvalidInput, beyond);
                        DriverError::bind("port", *addr, source)
                    })?;
                    addr.set_port(port);
                }
                ends.push((config, None));
            }
        }
        let mut threads = Vec::new();
        let mut loops: Vec<DriverHandle> = Vec::new();
        for (n, (config, shared)) in ends.into_iter().enumerate() {
            let (ready, started) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::Builder::new().name(format!("tincan-{n}"));
            let body = move || {
                let failed = run(config, shared, |handle| drop(ready.send(Ok(handle))));
                if let Err(error) = failed {
                    // Nobody waits any more: it had started before.
                    let _ = ready.send(Err(error));
                }
            };
            match thread.spawn(body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    loops.iter().for_each(DriverHandle::shutdown);
                    return Err(DriverError::Runtime(error));
                }
            }
            let started = started.recv().unwrap_or(Err(DriverError::DriverEnded));
            if started.is_err() {
                // Those before must not go on without anybody.
                loops.iter().for_each(DriverHandle::shutdown);
            }
            loops.push(started?);
        }
        let handle = LoopsHandle {
            loops: loops.into(),
            next: Arc::default(),
        };
        Ok(Self { handle, threads })
    }

    /// A handle to make peers with.
    pub fn handle(&self) -> LoopsHandle {
        self.handle.clone()
    }

    /// Closes all peers, ends the loops and waits for their threads: blocks.
    pub fn join(mut self) {
        self.handle.shutdown();
        for thread in self.threads.drain(..) {
            // A loop that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl LoopsHandle {
    /// Makes a connection in the loop whose turn it is.
    ///
    /// # Errors
    /// As [`DriverHandle::peer`].
    pub async fn peer(&self, config: Configuration) -> Result<(Peer, Events), DriverError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let chosen = self.loops.get(turn % self.loops.len().max(1));
        chosen.ok_or(DriverError::DriverEnded)?.peer(config).await
    }

    /// The loops: to choose one for a peer, as for all peers of one conference.
    pub fn loops(&self) -> &[DriverHandle] {
        &self.loops
    }

    /// Counters of each loop.
    ///
    /// # Errors
    /// A loop has ended.
    pub async fn stats(&self) -> Result<Vec<DriverStats>, DriverError> {
        let mut stats = Vec::with_capacity(self.loops.len());
        for handle in self.loops.iter() {
            stats.push(handle.stats().await?);
        }
        Ok(stats)
    }

    /// Closes all peers and ends the loops.
    pub fn shutdown(&self) {
        for handle in self.loops.iter() {
            handle.shutdown();
        }
    }
}

/// One thread's life.
fn run(
    config: DriverConfig,
    shared: Option<(Exchange, SharedSockets)>,
    ready: impl FnOnce(DriverHandle),
) -> Result<(), DriverError> {
    let Some((exchange, sockets)) = shared else {
        return Driver::run_blocking(config, ready);
    };
    super::run::runtime()?.block_on(async {
        let driver = Driver::with_exchange(config, exchange, sockets)?;
        ready(driver.handle());
        driver.run().await;
        Ok(())
    })
}

/// What is bound for one of several loops that share their ports.
#[derive(Default)]
pub(super) struct SharedSockets {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
}

/// For each loop a socket and a listener for each configured address.
fn bind_shared(config: &DriverConfig, count: usize) -> Result<Vec<SharedSockets>, DriverError> {
    if config.udp.is_empty() && config.tcp.is_empty() {
        return Err(DriverError::NoSocket);
    }
    let mut rng = StdRng::from_rng(&mut rand::rng());
    let mut of_loops: Vec<SharedSockets> = (0..count).map(|_| SharedSockets::default()).collect();
    for addr in &config.udp {
        let sockets = bind_group("UDP", Type::DGRAM, config, *addr, count, &mut rng)?;
        for (of_loop, socket) in of_loops.iter_mut().zip(sockets) {
            of_loop.udp.push(socket.into());
        }
    }
    for addr in &config.tcp {
        let listeners = bind_group("TCP", Type::STREAM, config, *addr, count, &mut rng)?;
        for (of_loop, listener) in of_loops.iter_mut().zip(listeners) {
            let listening = listener.listen(BACKLOG);
            listening.map_err(|source| DriverError::bind("TCP", *addr, source))?;
            of_loop.tcp.push(listener.into());
        }
    }
    Ok(of_loops)
}

/// `count` sockets on one port; none where all addresses of IPv6 are asked for and the machine has no IPv6.
fn bind_group(
    transport: &'static str,
    kind: Type,
    config: &DriverConfig,
    addr: SocketAddr,
    count: usize,
    rng: &mut StdRng,
) -> Result<Vec<Socket>, DriverError> {
    // Sockets that share a port would join somebody else's without a word: one that does not share finds a free port.
    let alone = |addr| {
        let socket = open(addr, kind)?;
        socket.bind(&SocketAddr::into(addr))?;
        let bound = socket.local_addr()?.as_socket();
        bound.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
    };
    let Some(addr) = binding::bind(transport, config, addr, rng, alone)? else {
        return Ok(Vec::new());
    };
    let shared = |_| {
        let socket = open(addr, kind)?;
        share_port(&socket)?;
        socket.bind(&addr.into())?;
        Ok(socket)
    };
    (0..count)
        .map(shared)
        .collect::<io::Result<_>>()
        .map_err(|source| DriverError::bind(transport, addr, source))
}

fn open(addr: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run that wait for their end must not keep the port.
    #[cfg(unix)]
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    Ok(socket)
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "ports can't be shared here; Sharding::Ports works",
    ))
}
