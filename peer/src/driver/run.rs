//! The loop.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use super::binding::Interfaces;
use super::config::DriverConfig;
use super::error::DriverError;
use super::exchange::Exchange;
use super::fault::{Delayed, Faulty};
use super::handle::{Command, DriverHandle, DriverStats};
use super::links::{Listener, News};
use super::loops::SharedSockets;
use super::ready::Ready;
use super::resolver::Resolver;
use super::slot::{PeerId, Slot, find};
use super::socket::{Calls, Intake, Socket};
use super::streams::Streams;
use super::timers::Timers;
use crate::PeerConnection;
use crate::demux::Routes;
use crate::limits::{MAX_COMMANDS_A_TURN, MAX_NEWS};
use crate::types::LocalAddress;

/// Commands that the loop has room for without asking for memory.
const COMMANDS_AT_REST: usize = 1024;

/// Sockets looked at before commands get their turn.
pub(super) const SOCKETS_A_TURN: usize = 4096;

/// Most bytes of one send call: a UDP length field's worth.
const MAX_BURST: usize = 65_000;

/// The event loop: sockets, peers, timers. Does nothing until [`Driver::run`] is polled.
pub struct Driver {
    pub(super) config: DriverConfig,
    /// Shared sockets, then those of single peers; a place is empty when its peer is gone.
    pub(super) sockets: Vec<Option<Socket>>,
    /// How many of the sockets all peers share.
    pub(super) shared_sockets: usize,
    pub(super) listeners: Vec<Listener>,
    pub(super) interfaces: Interfaces,
    /// When to look at the interfaces again.
    pub(super) look_again: Option<Instant>,
    pub(super) streams: Streams,
    pub(super) resolver: Resolver,
    #[cfg(feature = "mdns")]
    pub(super) multicast: Option<Box<super::mdns::Multicast>>,
    #[cfg(feature = "tls")]
    pub(super) trust: super::tls::Trust,
    news: mpsc::Receiver<News>,
    /// Empty places among the sockets.
    pub(super) free_sockets: Vec<usize>,
    pub(super) ready: Ready,
    /// Sockets to be read in this turn.
    pub(super) readable: Vec<usize>,
    pub(super) intake: Intake,
    /// The shared sockets' addresses.
    pub(super) locals: Vec<LocalAddress>,
    pub(super) slots: Vec<Option<Box<Slot>>>,
    /// Of the newest peer.
    pub(super) generation: u32,
    pub(super) free: Vec<u32>,
    pub(super) routes: Routes<PeerId>,
    pub(super) timers: Timers,
    pub(super) dirty: VecDeque<PeerId>,
    /// Datagrams in all peers' inboxes.
    pub(super) backlog: usize,
    /// Datagrams that connections were given in this turn.
    pub(super) handled: usize,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) handle: DriverHandle,
    pub(super) out: Vec<u8>,
    /// Sockets that were full and have room again, and those of them to be used in this turn.
    pub(super) room: Ready,
    pub(super) roomy: Vec<usize>,
    pub(super) faulty: Option<Faulty>,
    pub(super) delayed: Delayed,
    /// Where several loops share a port.
    pub(super) exchange: Option<Exchange>,
    pub(super) rng: StdRng,
    pub(super) calls: Calls,
    pub(super) stats: DriverStats,
    pub(super) ended: bool,
}

/// What a round of the loop is woken by and begins with.
pub(super) struct Waiting {
    /// Made once and moved along; tokio's own timer wheel sees one entry.
    sleep: Pin<Box<tokio::time::Sleep>>,
    pub(super) inbox: Vec<Command>,
    news: Vec<News>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(tokio::time::Instant::now())),
            inbox: Vec::with_capacity(COMMANDS_AT_REST),
            news: Vec::new(),
        }
    }
}

/// A runtime of one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, DriverError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DriverError::Runtime)
}

/// Runs a test, and fails it when it waits for what does not come.
#[cfg(test)]
pub(super) fn bounded(test: impl Future<Output = ()>) {
    runtime().unwrap().block_on(async {
        let patience = std::time::Duration::from_secs(120);
        tokio::time::timeout(patience, test).await.unwrap();
    });
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("local", &self.local_addresses())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Binds the sockets. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// An address that can't be bound, or no address at all.
    pub fn bind(config: DriverConfig) -> Result<Self, DriverError> {
        if config.udp.is_empty() && config.tcp.is_empty() {
            return Err(DriverError::NoSocket);
        }
        let mut driver = Self::empty(config)?;
        if !driver.config.port_per_peer {
            for socket in driver.bind_udp()? {
                driver.share(socket);
            }
        }
        driver.bind_rest()?;
        Ok(driver)
    }

    /// Takes sockets that the caller made: with options of his own, inherited from a parent process, or made before
    /// privileges were dropped. All peers share them; [`DriverConfig::udp`] and [`DriverConfig::port_per_peer`] do not
    /// count. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// No socket, or one that the system or the runtime refuses.
    pub fn with_sockets(
        config: DriverConfig,
        sockets: impl IntoIterator<Item = UdpSocket>,
    ) -> Result<Self, DriverError> {
        let mut driver = Self::empty(DriverConfig {
            port_per_peer: false,
            ..config
        })?;
        driver.adopt_udp(sockets)?;
        if driver.sockets.is_empty() {
            return Err(DriverError::NoSocket);
        }
        driver.bind_rest()?;
        Ok(driver)
    }

    /// One of several loops that share their ports: what is bound for it, and its end of what they tell each other.
    pub(super) fn with_exchange(
        config: DriverConfig,
        exchange: Exchange,
        shared: SharedSockets,
    ) -> Result<Self, DriverError> {
        let mut driver = Self::empty(DriverConfig {
            tcp: Vec::new(),
            ..config
        })?;
        driver.streams.workshop.join(exchange.homes());
        driver.exchange = Some(exchange);
        driver.adopt_udp(shared.udp)?;
        for listener in shared.tcp {
            let addr = listener.local_addr().map_err(DriverError::Socket)?;
            let adopted = Listener::adopt(listener, &driver.streams.workshop)
                .map_err(|source| DriverError::bind("TCP", addr, source))?;
            driver.listeners.push(adopted);
        }
        driver.bind_rest()?;
        Ok(driver)
    }

    fn adopt_udp(
        &mut self,
        sockets: impl IntoIterator<Item = UdpSocket>,
    ) -> Result<(), DriverError> {
        for socket in sockets {
            let addr = socket.local_addr().map_err(DriverError::Socket)?;
            let adopted = Socket::adopt(socket, &self.config)
                .map_err(|source| DriverError::bind("UDP", addr, source))?;
            self.share(adopted);
        }
        Ok(())
    }

    fn empty(config: DriverConfig) -> Result<Self, DriverError> {
        let (sender, commands) = mpsc::unbounded_channel();
        let (tell, news) = mpsc::channel(MAX_NEWS);
        Ok(Self {
            #[cfg(feature = "tls")]
            trust: super::tls::Trust::new(config.tls_roots.clone())?,
            #[cfg(feature = "mdns")]
            multicast: None,
            shared_sockets: 0,
            listeners: Vec::new(),
            interfaces: Interfaces::default(),
            look_again: None,
            streams: Streams::new(tell.clone()),
            resolver: Resolver::new(tell),
            news,
            faulty: config.faults.map(Faulty::new),
            config,
            sockets: Vec::new(),
            free_sockets: Vec::new(),
            ready: Ready::new(),
            readable: Vec::new(),
            intake: Intake::new(),
            locals: Vec::new(),
            slots: Vec::new(),
            generation: 0,
            free: Vec::new(),
            routes: Routes::new(),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            backlog: 0,
            handled: 0,
            commands,
            handle: DriverHandle::new(sender),
            out: Vec::with_capacity(MAX_BURST + PeerConnection::MAX_DATAGRAM),
            room: Ready::new(),
            roomy: Vec::new(),
            delayed: Delayed::default(),
            exchange: None,
            rng: StdRng::from_rng(&mut rand::rng()),
            calls: Calls::default(),
            stats: DriverStats::default(),
            ended: false,
        })
    }

    /// A handle to make peers with.
    pub fn handle(&self) -> DriverHandle {
        self.handle.clone()
    }

    /// The addresses that peers get as host candidates.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.locals.iter().map(|local| local.addr).collect()
    }

    /// Runs until [`DriverHandle::shutdown`]. Dropping the future drops all peers.
    pub async fn run(mut self) {
        let mut waiting = Waiting::new();
        while !self.ended {
            self.round(&mut waiting).await;
        }
        // Whoever is just asking is told, too: a queue that is only dropped may keep his question.
        self.commands.close();
        while self.commands.recv().await.is_some() {}
    }

    /// Waits until there is something to do, and does it.
    pub(super) async fn round(&mut self, waiting: &mut Waiting) {
        self.wait(waiting).await;
        let now = Instant::now();
        self.handled = 0;
        self.obey(now, &mut waiting.inbox);
        if waiting.inbox.capacity() > 4 * COMMANDS_AT_REST {
            // A crowd that is over leaves no memory behind.
            waiting.inbox.shrink_to(COMMANDS_AT_REST);
        }
        self.receive(now);
        self.hear(now, &mut waiting.news);
        self.expire(now);
        self.flush(now);
        #[cfg(feature = "mdns")]
        self.turn_multicast(now);
        // Other tasks of this thread get their turn even when there is always something to do.
        tokio::task::yield_now().await;
    }

    /// Runs on this thread with a small runtime of its own until [`DriverHandle::shutdown`]: for programs that have no
    /// runtime. `config` says what to bind; `ready` gets the handle.
    ///
    /// # Errors
    /// As [`Driver::bind`]; the runtime could not be made.
    pub fn run_blocking(
        config: DriverConfig,
        ready: impl FnOnce(DriverHandle),
    ) -> Result<(), DriverError> {
        runtime()?.block_on(async {
            let driver = Self::bind(config)?;
            ready(driver.handle());
            driver.run().await;
            Ok(())
        })
    }

    /// Waits for a datagram, a command, a timer, or room in a full socket.
    pub(super) async fn wait(&mut self, waiting: &mut Waiting) {
        let Waiting { sleep, inbox, news } = waiting;
        let busy = !self.readable.is_empty() || !self.dirty.is_empty();
        if busy {
            // There is work; take what is there and go on.
            while inbox.len() < MAX_COMMANDS_A_TURN {
                match self.commands.try_recv() {
                    Ok(command) => inbox.push(command),
                    Err(_) => break,
                }
            }
            while news.len() < MAX_NEWS {
                match self.news.try_recv() {
                    Ok(piece) => news.push(piece),
                    Err(_) => break,
                }
            }
            self.ready.take(&mut self.readable, SOCKETS_A_TURN);
            return;
        }
        #[cfg(feature = "mdns")]
        let multicast = self.multicast.as_ref().and_then(|m| m.poll_timeout());
        #[cfg(not(feature = "mdns"))]
        let multicast = None;
        let deadline = [
            self.timers.next(),
            self.delayed.next(),
            self.look_again,
            multicast,
        ]
        .into_iter()
        .flatten()
        .min();
        if let Some(deadline) = deadline {
            sleep
                .as_mut()
                .reset(tokio::time::Instant::from_std(deadline));
        }
        poll_fn(|cx| self.poll_work(cx, sleep, deadline.is_some(), inbox, news)).await;
    }

    fn poll_work(
        &mut self,
        cx: &mut Context<'_>,
        sleep: &mut Pin<Box<tokio::time::Sleep>>,
        armed: bool,
        inbox: &mut Vec<Command>,
        news: &mut Vec<News>,
    ) -> Poll<()> {
        let mut ready = !self.readable.is_empty();
        ready |= self
            .room
            .poll(cx, &mut self.roomy, SOCKETS_A_TURN)
            .is_ready();
        ready |= self
            .ready
            .poll(cx, &mut self.readable, SOCKETS_A_TURN)
            .is_ready();
        if let Some(exchange) = &mut self.exchange {
            ready |= exchange.poll(cx).is_ready();
        }
        // It never ends by itself: the driver keeps a sender.
        let commands = self.commands.poll_recv_many(cx, inbox, MAX_COMMANDS_A_TURN);
        ready |= commands.is_ready();
        ready |= self.news.poll_recv_many(cx, news, MAX_NEWS).is_ready();
        #[cfg(feature = "mdns")]
        if let Some(multicast) = &self.multicast {
            ready |= multicast.poll_readable(cx).is_ready();
        }
        ready |= armed && sleep.as_mut().poll(cx).is_ready();
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn slot(&mut self, id: PeerId) -> Option<&mut Slot> {
        find(&mut self.slots, id)
    }

    pub(super) fn socket(&self, place: usize) -> Option<&Socket> {
        self.sockets.get(place)?.as_ref()
    }

    /// Puts a peer on the list of those that may have something to say.
    pub(super) fn touch(&mut self, id: PeerId) {
        if let Some(slot) = self.slot(id)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push_back(id);
        }
    }
}
