//! What handles ask of the loop: peers made and ended, calls, sends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::error::DriverError;
use super::events::{Events, PeerEvent};
use super::fault::Faulty;
use super::handle::{Command, DriverStats};
use super::peer::{ChannelParts, Peer};
use super::run::Driver;
use super::slot::{ChannelRoute, PeerId, Settled, Shared, Slot, TrackRoute};
use super::socket::Socket;
use super::timers::Timers;
use super::track::RemoteTrack;
use crate::demux::Routes;
use crate::frame::{Delivery, Frame};
use crate::limits::{MAX_MEDIA_A_TURN, MAX_QUEUED_FRAMES};
use crate::types::{ChannelKey, TransceiverId};
use crate::{Configuration, Event, PeerConnection};

impl Driver {
    // ---- commands ----

    pub(super) fn obey(&mut self, now: Instant, inbox: &mut Vec<Command>) {
        let mut media = 0;
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
                Command::CloseChannel(peer, channel) => {
                    let Some(slot) = self.slot(peer) else {
                        continue;
                    };
                    slot.close_channel(now, channel);
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
                    slot.shared.rtp_in_flight.fetch_sub(1, Ordering::Relaxed);
                    media += 1;
                    if media > MAX_MEDIA_A_TURN {
                        self.stats.shed_media += 1;
                        continue;
                    }
                    if slot.connection.send_rtp(now, transceiver, packet).is_err() {
                        slot.dropped_rtp += 1;
                    }
                    self.touch(peer);
                }
                Command::SendFrame {
                    peer,
                    transceiver,
                    frame,
                    price,
                } => {
                    let Some(slot) = self.slot(peer) else {
                        continue;
                    };
                    slot.shared
                        .rtp_in_flight
                        .fetch_sub(price, Ordering::Relaxed);
                    media += price;
                    if media > MAX_MEDIA_A_TURN {
                        self.stats.shed_media += 1;
                        continue;
                    }
                    if slot
                        .connection
                        .send_frame(now, transceiver, &frame)
                        .is_err()
                    {
                        slot.dropped_rtp += 1;
                    }
                    self.touch(peer);
                }
                Command::TakeFrames {
                    peer,
                    transceiver,
                    reply,
                } => {
                    if let Some(slot) = self.slot(peer) {
                        let _ = reply.send(take_frames(slot, transceiver));
                    }
                }
                Command::Resume(id) => self.touch(id),
                Command::Close(id) => {
                    if let Some(slot) = self.slot(id) {
                        slot.connection.close(now);
                        slot.closing = true;
                        self.touch(id);
                    }
                }
                Command::Faults(None, faults) => self.faulty = faults.map(Faulty::new),
                Command::Faults(Some(id), faults) => {
                    if let Some(slot) = self.slot(id) {
                        slot.faulty = faults.map(|faults| Box::new(Faulty::new(faults)));
                    }
                }
                Command::Stats(reply) => {
                    let _ = reply.send(self.snapshot());
                }
                Command::Shutdown => {
                    for index in 0..self.slots.len() {
                        let Some(Some(slot)) = self.slots.get_mut(index) else {
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

    pub(super) fn snapshot(&self) -> DriverStats {
        let mut stats = self.stats;
        stats.receive_calls = self.calls.receive;
        stats.send_calls = self.calls.send;
        stats.peers = self.alive();
        stats.streams = self.streams.len();
        stats.waiting = self.backlog;
        stats.dropped_rtp += self
            .slots
            .iter()
            .flatten()
            .map(|slot| slot.dropped_rtp)
            .sum::<u64>();
        stats
    }

    pub(super) fn new_peer(
        &mut self,
        now: Instant,
        config: Configuration,
    ) -> Result<(Peer, Events), DriverError> {
        if self.alive() >= self.config.max_peers.min(u32::MAX as usize) {
            return Err(DriverError::TooManyPeers);
        }
        let mut connection = PeerConnection::new(config, now, &mut self.rng)?;
        for local in self.locals.clone() {
            self.give(now, &mut connection, local);
        }
        let own = self.bind_own(connection.wants_relay_sockets())?;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.generation = self.generation.wrapping_add(1);
        let id = PeerId {
            index,
            generation: self.generation,
        };
        let mut own_sockets = Vec::new();
        for (socket, addresses) in own {
            for local in addresses {
                self.give(now, &mut connection, local);
            }
            own_sockets.push(self.place(socket, Some(id)));
        }
        let shared = Arc::new(Shared::default());
        let (sender, queue) = mpsc::channel(queue_length(self.config.event_queue));
        let peer = Peer::new(self.handle.clone(), id, shared.clone());
        let slot = Slot {
            id,
            connection,
            shared,
            handle: peer.downgrade(),
            events: sender,
            channels: HashMap::new(),
            unsettled: Vec::new(),
            queue: VecDeque::new(),
            tracks: HashMap::new(),
            armed: None,
            dirty: false,
            closing: false,
            again: false,
            own_sockets,
            sent_by: None,
            path: None,
            waits: false,
            held: None,
            ufrags: Vec::new(),
            dropped_rtp: 0,
            inbox: VecDeque::new(),
            inputs: 0,
            faulty: None,
        };
        if let Some(place) = self.slots.get_mut(index as usize) {
            *place = Some(Box::new(slot));
        }
        self.touch(id);
        let events = Events {
            queue,
            wake: peer.wake(),
            kept: VecDeque::new(),
        };
        Ok((peer, events))
    }

    /// Adds a socket that all peers share.
    pub(super) fn share(&mut self, socket: Socket) {
        self.place(socket, None);
        self.shared_sockets = self.sockets.len();
    }

    /// Gives a socket a place, and its place to the list of those to be read.
    pub(super) fn place(&mut self, mut socket: Socket, owner: Option<PeerId>) -> usize {
        socket.owner = owner;
        let place = self.free_sockets.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        let flag = self.ready.flag(place);
        // Something may be there already.
        flag.raise();
        socket.enlist(flag);
        if let Some(empty) = self.sockets.get_mut(place) {
            *empty = Some(socket);
        }
        place
    }

    /// Peers that are there.
    pub(super) fn alive(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn remove(&mut self, id: PeerId) {
        self.routes.remove_peer(id);
        self.streams.remove_peer(id);
        #[cfg(feature = "mdns")]
        if let Some(multicast) = &mut self.multicast {
            multicast.forget(id);
        }
        if let Some(exchange) = &self.exchange {
            exchange.forget(id);
        }
        let Some(place) = self.slots.get_mut(id.index as usize) else {
            return;
        };
        let Some(slot) = place.take_if(|slot| slot.id == id) else {
            return;
        };
        self.free.push(id.index);
        slot.shared.closed.store(true, Ordering::Release);
        self.stats.dropped_rtp += slot.dropped_rtp;
        self.backlog -= slot.inbox.len();
        for own in &slot.own_sockets {
            if let Some(socket) = self.sockets.get_mut(*own) {
                *socket = None;
                self.free_sockets.push(*own);
            }
        }
        if self.alive() == 0 {
            self.forget_the_crowd();
        }
    }

    /// The last peer is gone: what the tables grew to goes as well.
    fn forget_the_crowd(&mut self) {
        self.slots = Vec::new();
        self.free = Vec::new();
        self.dirty.clear();
        self.dirty.shrink_to(64);
        self.timers = Timers::default();
        if self.routes.is_empty() {
            self.routes = Routes::new();
        }
        if self.sockets.iter().all(Option::is_none) {
            self.sockets = Vec::new();
            self.free_sockets = Vec::new();
            self.readable = Vec::new();
        }
    }
}

/// Makes handles for what the far side opened.
pub(super) fn wrap(
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
            let peer = Peer::upgrade(&slot.handle)?;
            let (sender, packets) = mpsc::channel(queue_length(tracks));
            let before = slot.tracks.insert(transceiver, TrackRoute::Packets(sender));
            if let Some(TrackRoute::Frames { .. }) = before {
                let _ = slot.connection.set_delivery(transceiver, Delivery::Packets);
            }
            Some(PeerEvent::Track(RemoteTrack {
                transceiver,
                kind,
                streams,
                media: packets,
                peer: peer.id(),
                handle: peer.handle().clone(),
            }))
        }
        Event::ChannelOpen(key) => {
            slot.enqueue(now, key);
            Some(PeerEvent::Event(Event::ChannelOpen(key)))
        }
        Event::TransceiverStopped { transceiver } => {
            slot.tracks.remove(&transceiver);
            Some(PeerEvent::Event(Event::TransceiverStopped { transceiver }))
        }
        event => Some(PeerEvent::Event(event)),
    }
}

/// Has a track's receiver give whole frames from now on.
fn take_frames(
    slot: &mut Slot,
    transceiver: TransceiverId,
) -> Result<mpsc::Receiver<Frame>, crate::Error> {
    slot.connection
        .set_delivery(transceiver, Delivery::Frames)?;
    let (sender, frames) = mpsc::channel(MAX_QUEUED_FRAMES);
    let route = TrackRoute::Frames {
        frames: sender,
        dropped: 0,
    };
    slot.tracks.insert(transceiver, route);
    Ok(frames)
}

/// What tokio takes as the length of a queue.
fn queue_length(wanted: usize) -> usize {
    wanted.clamp(1, Semaphore::MAX_PERMITS)
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
    let (sender, messages) = mpsc::channel(queue_length(queue));
    let settled = Arc::new(Settled {
        acknowledged: AtomicBool::new(true),
        over: AtomicBool::new(false),
        news: Arc::new(Notify::new()),
    });
    let route = ChannelRoute::new(sender, credit.clone(), settled.clone());
    slot.channels.insert(key, route);
    ChannelParts {
        key,
        label,
        messages,
        credit,
        credit_limit,
        settled,
    }
}
