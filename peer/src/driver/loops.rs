//! Several loops, each on a thread of its own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::config::DriverConfig;
use super::error::DriverError;
use super::events::Events;
use super::exchange::Exchange;
use super::handle::{DriverHandle, DriverStats};
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
    /// those that reach the wrong loop are handed over by a bounded queue. For one open port in a firewall. There is no ICE
    /// over TCP then: [`DriverConfig::tcp`] does not count.
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
            for (exchange, sockets) in Exchange::new(count)
                .into_iter()
                .zip(bind_shared(&config, count)?)
            {
                let config = DriverConfig {
                    tcp: Vec::new(),
                    ..config.clone()
                };
                ends.push((config, Some((exchange, sockets))));
            }
        } else {
            for n in 0..count {
                let mut config = config.clone();
                let all = config.udp.iter_mut().chain(&mut config.tcp);
                for addr in all.filter(|addr| addr.port() != 0) {
                    addr.set_port(addr.port().wrapping_add(n as u16));
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
    shared: Option<(Exchange, Vec<UdpSocket>)>,
    ready: impl FnOnce(DriverHandle),
) -> Result<(), DriverError> {
    let Some((exchange, sockets)) = shared else {
        return Driver::run_blocking(config, ready);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DriverError::Runtime)?;
    runtime.block_on(async {
        let mut driver = Driver::with_sockets(config, sockets)?;
        driver.exchange = Some(exchange);
        ready(driver.handle());
        driver.run().await;
        Ok(())
    })
}

/// For each loop a socket for each configured address.
fn bind_shared(config: &DriverConfig, count: usize) -> Result<Vec<Vec<UdpSocket>>, DriverError> {
    let mut of_loops: Vec<Vec<UdpSocket>> = (0..count).map(|_| Vec::new()).collect();
    for configured in &config.udp {
        let mut addr = *configured;
        for sockets in &mut of_loops {
            let bound = bind_reusable(addr);
            let socket = match bound {
                Ok(socket) => socket,
                // As a single loop does where the machine has no IPv6.
                Err(error) if super::binding::has_no_ipv6(addr, &error) => break,
                Err(error) => return Err(DriverError::bind("UDP", addr, error)),
            };
            // Port 0: the first socket finds one, the others take the same.
            addr = socket.local_addr().map_err(DriverError::Socket)?;
            sockets.push(socket);
        }
    }
    Ok(of_loops)
}

fn bind_reusable(addr: SocketAddr) -> std::io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    share_port(&socket)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

#[cfg(unix)]
fn share_port(socket: &socket2::Socket) -> std::io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &socket2::Socket) -> std::io::Result<()> {
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "ports can't be shared here; Sharding::Ports works",
    ))
}
