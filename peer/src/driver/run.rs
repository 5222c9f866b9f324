//! The loop.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, mpsc};

use super::config::DriverConfig;
use super::error::DriverError;
use super::events::{Events, PeerEvent};
use super::handle::{Command, DriverHandle, DriverStats};
use super::peer::{ChannelParts, Peer};
use super::slot::{ChannelRoute, Delivered, PeerId, Shared, Slot};
use super::socket::{Calls, Intake, Socket, local_addresses};
use super::timers::Timers;
use super::track::RemoteTrack;
use crate::demux::{Packet, Routes, classify};
use crate::types::{ChannelKey, HostProtocol, LocalAddress, Transmit};
use crate::{Configuration, Event, PeerConnection};

/// Batches received from one socket before peers get their turn: bounds the time until answers go out.
const RECEIVE_BATCHES: usize = 4;

/// Commands taken before sockets get their turn.
const COMMANDS_A_TURN: usize = 1024;

/// Send calls of one peer before the next peer's turn, so that a busy one can't starve the others.
const TRANSMITS_A_TURN: usize = 16;

/// Peers that one driver holds.
pub(super) const MAX_PEERS: usize = 1 << 20;

/// Most datagrams of one send call (the system's own bound for GSO).
const MAX_SEGMENTS: usize = 64;

/// Most bytes of one send call: a UDP length field's worth.
const MAX_BURST: usize = 65_000;

/// The event loop: sockets, peers, timers. Does nothing until [`Driver::run`] is polled.
pub struct Driver {
    config: DriverConfig,
    /// Shared sockets, then those of single peers; a place is empty when its peer is gone.
    sockets: Vec<Option<Socket>>,
    intake: Intake,
    /// The shared sockets' addresses.
    locals: Vec<LocalAddress>,
    slots: Vec<Option<Slot>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    routes: Routes<PeerId>,
    timers: Timers,
    dirty: VecDeque<PeerId>,
    commands: mpsc::UnboundedReceiver<Command>,
    handle: DriverHandle,
    out: Vec<u8>,
    /// A transmit that found its socket full, with its bytes in `out`.
    stuck: Option<(usize, Transmit)>,
    rng: StdRng,
    calls: Calls,
    stats: DriverStats,
    ended: bool,
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
        if config.udp.is_empty() {
            return Err(DriverError::NoSocket);
        }
        let mut sockets = Vec::new();
        let mut locals = Vec::new();
        if !config.port_per_peer {
            for (socket, addresses) in bind_all(&config)? {
                sockets.push(Some(socket));
                locals.extend(addresses);
            }
        }
        let (sender, commands) = mpsc::unbounded_channel();
        Ok(Self {
            config,
            sockets,
            intake: Intake::new(),
            locals,
            slots: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            routes: Routes::new(),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            commands,
            handle: DriverHandle::new(sender),
            out: Vec::with_capacity(MAX_BURST + PeerConnection::MAX_DATAGRAM),
            stuck: None,
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
    pub fn local_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.locals.iter().map(|local| local.addr).collect()
    }

    /// Runs until [`DriverHandle::shutdown`]. Dropping the future drops all peers.
    pub async fn run(mut self) {
        // The sleep is made once and moved along; tokio's own timer wheel sees one entry.
        let mut sleep = Box::pin(tokio::time::sleep_until(tokio::time::Instant::now()));
        let mut inbox = Vec::with_capacity(COMMANDS_A_TURN);
        while !self.ended {
            self.wait(&mut sleep, &mut inbox).await;
            let now = Instant::now();
            self.obey(now, &mut inbox);
            self.receive(now);
            self.expire(now);
            self.flush(now);
            // Other tasks of this thread get their turn even when there is always something to do.
            tokio::task::yield_now().await;
        }
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DriverError::Interfaces)?;
        runtime.block_on(async {
            let driver = Self::bind(config)?;
            ready(driver.handle());
            driver.run().await;
            Ok(())
        })
    }

    /// Waits for a datagram, a command, a timer, or room in a full socket.
    async fn wait(&mut self, sleep: &mut Pin<Box<tokio::time::Sleep>>, inbox: &mut Vec<Command>) {
        if self.stuck.is_none() && !self.dirty.is_empty() {
            // There is work; take what is there and go on.
            while inbox.len() < COMMANDS_A_TURN {
                match self.commands.try_recv() {
                    Ok(command) => inbox.push(command),
                    Err(_) => break,
                }
            }
            return;
        }
        let deadline = self.timers.next();
        if let Some(deadline) = deadline {
            sleep
                .as_mut()
                .reset(tokio::time::Instant::from_std(deadline));
        }
        poll_fn(|cx| self.poll_work(cx, sleep, deadline.is_some(), inbox)).await;
    }

    fn poll_work(
        &mut self,
        cx: &mut Context<'_>,
        sleep: &mut Pin<Box<tokio::time::Sleep>>,
        armed: bool,
        inbox: &mut Vec<Command>,
    ) -> Poll<()> {
        let mut ready = false;
        if let Some((socket, _)) = self.stuck {
            ready |= self
                .socket(socket)
                .is_none_or(|s| s.poll_writable(cx).is_ready());
        }
        for socket in self.sockets.iter().flatten() {
            ready |= socket.poll_readable(cx).is_ready();
        }
        match self.commands.poll_recv_many(cx, inbox, COMMANDS_A_TURN) {
            Poll::Ready(0) => self.ended = true,
            Poll::Ready(_) => ready = true,
            Poll::Pending => {}
        }
        ready |= armed && sleep.as_mut().poll(cx).is_ready();
        if ready || self.ended {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    // ---- commands ----

    fn obey(&mut self, now: Instant, inbox: &mut Vec<Command>) {
        for command in inbox.drain(..) {
            match command {
                Command::NewPeer { config, reply } => {
                    let made = self.new_peer(now, *config);
                    // Nobody waits for it: the returned handle is dropped and closes the peer.
                    let _ = reply.send(made);
                }
                Command::Call(id, call) => {
                    if let Some(slot) = self.slot(id) {
                        call(&mut slot.connection, now);
                        self.touch(id);
                    }
                }
                Command::CreateChannel {
                    peer,
                    label,
                    init,
                    reply,
                } => {
                    let credit = self.config.channel_credit;
                    let queue = self.config.event_queue;
                    let Some(slot) = self.slot(peer) else {
                        continue;
                    };
                    let made = slot
                        .connection
                        .create_data_channel(now, &label, init)
                        .map(|key| new_channel(slot, key, label.into(), credit, queue));
                    let _ = reply.send(made);
                    self.touch(peer);
                }
                Command::Send {
                    peer,
                    channel,
                    message,
                    price,
                } => {
                    let Some(slot) = self.slot(peer) else {
                        continue;
                    };
                    slot.send(now, channel, message, price);
                    self.touch(peer);
                }
                Command::SendRtp {
                    peer,
                    transceiver,
                    packet,
                } => {
                    let Some(slot) = self.slot(peer) else {
                        continue;
                    };
                    slot.shared
                        .rtp_in_flight
                        .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                    if slot.connection.send_rtp(now, transceiver, packet).is_err() {
                        slot.dropped_rtp += 1;
                    }
                    self.touch(peer);
                }
                Command::Resume(id) => self.touch(id),
                Command::Close(id) => {
                    if let Some(slot) = self.slot(id) {
                        slot.connection.close(now);
                        slot.closing = true;
                        self.touch(id);
                    }
                }
                Command::Stats(reply) => {
                    let _ = reply.send(self.snapshot());
                }
                Command::Shutdown => {
                    for index in 0..self.slots.len() {
                        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
                            continue;
                        };
                        slot.connection.close(now);
                        slot.closing = true;
                        let id = slot.id;
                        self.touch(id);
                    }
                    self.ended = true;
                }
            }
        }
    }

    fn snapshot(&self) -> DriverStats {
        let mut stats = self.stats;
        stats.receive_calls = self.calls.receive;
        stats.send_calls = self.calls.send;
        stats.peers = self.slots.len() - self.free.len();
        stats.dropped_rtp += self
            .slots
            .iter()
            .flatten()
            .map(|slot| slot.dropped_rtp)
            .sum::<u64>();
        stats
    }

    fn new_peer(
        &mut self,
        now: Instant,
        config: Configuration,
    ) -> Result<(Peer, Events), DriverError> {
        let mut connection = PeerConnection::new(config, now, &mut self.rng)?;
        for local in &self.locals {
            connection.add_local_address(now, *local);
        }
        let own_sockets = self.bind_own(now, &mut connection)?;
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= MAX_PEERS => return Err(DriverError::Overload),
            None => {
                self.slots.push(None);
                self.generations.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        let generation = self
            .generations
            .get(index as usize)
            .copied()
            .unwrap_or_default();
        let id = PeerId { index, generation };
        let shared = Arc::new(Shared::default());
        let (sender, queue) = mpsc::channel(self.config.event_queue.max(1));
        let peer = Peer::new(self.handle.clone(), id, shared.clone());
        let slot = Slot {
            id,
            connection,
            shared,
            handle: peer.downgrade(),
            events: sender,
            channels: HashMap::new(),
            tracks: HashMap::new(),
            armed: None,
            dirty: false,
            closing: false,
            again: false,
            own_sockets,
            held: None,
            ufrags: Vec::new(),
            dropped_rtp: 0,
        };
        if let Some(place) = self.slots.get_mut(index as usize) {
            *place = Some(slot);
        }
        self.touch(id);
        let events = Events {
            queue,
            wake: peer.wake(),
        };
        Ok((peer, events))
    }

    fn slot(&mut self, id: PeerId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.index as usize)?
            .as_mut()
            .filter(|slot| slot.id == id)
    }

    /// The sockets of a peer that has its own.
    fn bind_own(
        &mut self,
        now: Instant,
        connection: &mut PeerConnection,
    ) -> Result<Vec<usize>, DriverError> {
        let mut own = Vec::new();
        if !self.config.port_per_peer {
            return Ok(own);
        }
        for (socket, addresses) in bind_all(&self.config)? {
            for local in addresses {
                connection.add_local_address(now, local);
            }
            let place = match self.sockets.iter().position(Option::is_none) {
                Some(place) => place,
                None => {
                    self.sockets.push(None);
                    self.sockets.len() - 1
                }
            };
            if let Some(empty) = self.sockets.get_mut(place) {
                *empty = Some(socket);
            }
            own.push(place);
        }
        Ok(own)
    }

    fn socket(&self, place: usize) -> Option<&Socket> {
        self.sockets.get(place)?.as_ref()
    }

    /// Puts a peer on the list of those that may have something to say.
    fn touch(&mut self, id: PeerId) {
        if let Some(slot) = self.slot(id)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push_back(id);
        }
    }

    fn remove(&mut self, id: PeerId) {
        self.routes.remove_peer(id);
        if let Some(place) = self.slots.get_mut(id.index as usize)
            && place.as_ref().is_some_and(|slot| slot.id == id)
        {
            if let Some(slot) = place.take() {
                self.stats.dropped_rtp += slot.dropped_rtp;
                for own in &slot.own_sockets {
                    if let Some(socket) = self.sockets.get_mut(*own) {
                        *socket = None;
                    }
                }
                for route in slot.channels.values() {
                    route.credit.close();
                }
            }
            if let Some(generation) = self.generations.get_mut(id.index as usize) {
                *generation = generation.wrapping_add(1);
            }
            self.free.push(id.index);
        }
    }

    // ---- datagrams in ----

    fn receive(&mut self, now: Instant) {
        let Self {
            sockets,
            intake,
            slots,
            routes,
            dirty,
            calls,
            stats,
            ..
        } = self;
        for socket in sockets.iter().flatten() {
            for _ in 0..RECEIVE_BATCHES {
                let more = socket.receive(intake, calls, |received, datagram| {
                    stats.datagrams_received += 1;
                    stats.bytes_received += datagram.len() as u64;
                    let Some(id) = routes.route(received.local, received.remote, &datagram) else {
                        stats.unrouted += 1;
                        return;
                    };
                    let slot = slots.get_mut(id.index as usize).and_then(Option::as_mut);
                    let Some(slot) = slot.filter(|slot| slot.id == id) else {
                        return;
                    };
                    slot.connection.handle_input(now, received, datagram);
                    if !slot.dirty {
                        slot.dirty = true;
                        dirty.push_back(id);
                    }
                });
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        // An ICMP error of some path; the next call goes on.
                        tracing::debug!(%error, "receive");
                        break;
                    }
                }
            }
        }
    }

    // ---- time ----

    fn expire(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.pop_due(now) {
            let Some(slot) = self.slot(id).filter(|slot| slot.armed == Some(at)) else {
                continue;
            };
            slot.armed = None;
            if slot
                .connection
                .poll_timeout()
                .is_some_and(|timeout| timeout <= now)
            {
                slot.connection.handle_timeout(now);
            }
            self.touch(id);
        }
    }

    // ---- out ----

    fn flush(&mut self, now: Instant) {
        if let Some((socket, transmit)) = self.stuck.take()
            && !self.send(socket, &transmit)
        {
            self.stuck = Some((socket, transmit));
        }
        // Each peer that is on the list now gets one turn.
        for _ in 0..self.dirty.len() {
            let Some(id) = self.dirty.pop_front() else {
                break;
            };
            if let Some(slot) = self.slot(id) {
                slot.dirty = false;
            }
            self.turn(now, id);
        }
    }

    /// One peer's turn: what it wants to send, to tell, and to be woken for.
    fn turn(&mut self, now: Instant, id: PeerId) {
        let mut sent_all = false;
        for _ in 0..TRANSMITS_A_TURN {
            if self.stuck.is_some() {
                break;
            }
            self.out.clear();
            let Some(slot) = self
                .slots
                .get_mut(id.index as usize)
                .and_then(Option::as_mut)
            else {
                return;
            };
            if slot.id != id {
                return;
            }
            let first = slot.own_sockets.first().copied().unwrap_or(0);
            let segments = match self.sockets.get(first) {
                Some(Some(socket)) => socket.max_segments().min(MAX_SEGMENTS),
                _ => 1,
            };
            let Some(transmit) = slot.connection.poll_transmit(now, &mut self.out, segments) else {
                sent_all = true;
                break;
            };
            let serves = |place: &usize| {
                let socket = self.sockets.get(*place).and_then(Option::as_ref);
                socket.is_some_and(|socket| socket.serves(transmit.local))
            };
            let mut own = slot.own_sockets.iter().copied();
            let shared = if slot.own_sockets.is_empty() {
                self.sockets.len()
            } else {
                0
            };
            let Some(socket) = own.find(serves).or_else(|| (0..shared).find(serves)) else {
                continue;
            };
            self.learn_route(id, &transmit);
            if !self.send(socket, &transmit) {
                self.stuck = Some((socket, transmit));
            }
        }
        let (credit, queue) = (self.config.channel_credit, self.config.event_queue);
        let tracks = self.config.track_queue;
        let Some(slot) = self.slot(id) else { return };
        slot.refund();
        let delivered = slot.deliver(|slot, event| wrap(slot, event, now, credit, queue, tracks));
        self.update_ufrags(id);
        let Some(slot) = self
            .slots
            .get_mut(id.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        self.timers
            .arm(id, slot.connection.poll_timeout(), &mut slot.armed);
        if slot.closing && sent_all && delivered == Delivered::All {
            self.remove(id);
        } else if !sent_all || std::mem::take(&mut slot.again) {
            self.touch(id);
        }
    }

    /// What goes out to an address as a check or its answer comes back from there.
    fn learn_route(&mut self, id: PeerId, transmit: &Transmit) {
        // Requests (0x0001) and success responses (0x0101); an error is no proof of anything.
        let stun = classify(&self.out) == Packet::Stun;
        if stun && matches!(self.out.get(..2), Some([0x00 | 0x01, 0x01])) {
            // A full table costs the address its fast path, and the peer a path: nothing to do about it here.
            let _ = self
                .routes
                .insert_address(transmit.local, transmit.remote, id);
        }
    }

    fn update_ufrags(&mut self, id: PeerId) {
        let Self { slots, routes, .. } = self;
        let Some(slot) = slots.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return;
        };
        if slot
            .connection
            .local_ufrags()
            .eq(slot.ufrags.iter().map(String::as_str))
        {
            return;
        }
        let now: Vec<String> = slot.connection.local_ufrags().map(str::to_owned).collect();
        for old in slot.ufrags.iter().filter(|old| !now.contains(old)) {
            routes.remove_ufrag(old);
        }
        for new in &now {
            let _ = routes.insert_ufrag(new, id);
        }
        slot.ufrags = now;
    }

    /// Whether the socket took it.
    fn send(&mut self, socket: usize, transmit: &Transmit) -> bool {
        let Some(Some(socket)) = self.sockets.get(socket) else {
            return true;
        };
        let Some(bytes) = self.out.get(..transmit.len) else {
            return true;
        };
        let sent = socket.send(transmit, bytes, &mut self.calls);
        if sent {
            self.stats.bytes_sent += bytes.len() as u64;
            self.stats.datagrams_sent += bytes
                .len()
                .div_ceil(transmit.segment_size.unwrap_or(usize::MAX).max(1))
                as u64;
        }
        sent
    }
}

/// Binds what the configuration asks for, with the addresses that each socket can be reached at.
fn bind_all(config: &DriverConfig) -> Result<Vec<(Socket, Vec<LocalAddress>)>, DriverError> {
    let mut bound = Vec::new();
    for addr in &config.udp {
        let socket = Socket::bind(*addr, config.socket_buffer)?;
        let addresses = local_addresses(socket.local(), config.loopback)?
            .into_iter()
            .map(|addr| LocalAddress {
                addr,
                transport: HostProtocol::Udp,
            })
            .collect();
        bound.push((socket, addresses));
    }
    Ok(bound)
}

/// Makes handles for what the far side opened.
fn wrap(
    slot: &mut Slot,
    event: Event,
    now: Instant,
    credit: usize,
    queue: usize,
    tracks: usize,
) -> Option<PeerEvent> {
    match event {
        Event::DataChannel(key) => {
            let peer = Peer::upgrade(&slot.handle)?;
            let label = slot
                .connection
                .channel(key)
                .map(|info| info.label)
                .unwrap_or_default();
            let parts = new_channel(slot, key, label.into(), credit, queue);
            Some(PeerEvent::DataChannel(peer.channel(parts)))
        }
        Event::Track {
            transceiver,
            kind,
            streams,
            ..
        } => {
            let (sender, packets) = mpsc::channel(tracks.max(1));
            slot.tracks.insert(transceiver, sender);
            Some(PeerEvent::Track(RemoteTrack {
                transceiver,
                kind,
                streams,
                packets,
            }))
        }
        Event::ChannelOpen(key) => {
            slot.opened(now, key);
            Some(PeerEvent::Event(Event::ChannelOpen(key)))
        }
        Event::TransceiverStopped { transceiver } => {
            slot.tracks.remove(&transceiver);
            Some(PeerEvent::Event(Event::TransceiverStopped { transceiver }))
        }
        event => Some(PeerEvent::Event(event)),
    }
}

fn new_channel(
    slot: &mut Slot,
    key: ChannelKey,
    label: Arc<str>,
    credit_limit: usize,
    queue: usize,
) -> ChannelParts {
    let credit_limit = credit_limit.clamp(1, u32::MAX as usize);
    let credit = Arc::new(Semaphore::new(credit_limit.min(Semaphore::MAX_PERMITS)));
    let (sender, messages) = mpsc::channel(queue.max(1));
    let route = ChannelRoute {
        messages: sender,
        credit: credit.clone(),
        paid: 0,
        waiting: VecDeque::new(),
    };
    slot.channels.insert(key, route);
    ChannelParts {
        key,
        label,
        messages,
        credit,
        credit_limit,
    }
}
