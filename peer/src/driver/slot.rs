//! What the loop keeps of each peer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::BytesMut;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::events::PeerEvent;
use super::fault::Faulty;
use super::handle::DriverStats;
use super::peer::Inner;
use crate::demux::{Packet, classify};
use crate::frame::Frame;
use crate::limits::{MAX_BACKLOG_MEDIA, MAX_INBOX, MAX_INBOX_MEDIA};
use crate::packet::RtpPacket;
use crate::types::{ChannelKey, DataChannelState, Message, Received, TransceiverId};
use crate::{Error, Event, PeerConnection, work};

/// A peer's name inside one driver: an index and a generation, so that a late command never reaches a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// What the handles and the loop share about one peer.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The loop stopped handing over events because a queue was full; the reader says when there is room.
    pub(super) blocked: AtomicBool,
    /// The loop has forgotten the peer.
    pub(super) closed: AtomicBool,
    /// RTP packets on their way from handles to the loop.
    pub(super) rtp_in_flight: AtomicUsize,
    /// The longest message that the far side and the budget take, in bytes; 0 until the former has said so.
    pub(super) max_message: AtomicUsize,
}

/// Whether all that was sent on a channel is acknowledged.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) acknowledged: AtomicBool,
    /// What is not acknowledged by now never will be.
    pub(super) over: AtomicBool,
    /// Told of either, and when the longest message becomes known.
    pub(super) news: Arc<Notify>,
}

/// Where a channel's messages go and what it may still send.
#[derive(Debug)]
pub(super) struct ChannelRoute {
    pub(super) messages: mpsc::Sender<Message>,
    credit: Arc<Semaphore>,
    /// Bytes that handles paid for and that were not given back.
    paid: usize,
    /// What was sent before the channel opened, or when the connection had no room, with its price; the credit bounds it.
    waiting: VecDeque<(Message, usize)>,
    /// In [`Slot::queue`].
    queued: bool,
    /// To be closed when nothing waits any more.
    closing: bool,
    settled: Arc<Settled>,
    /// Behind the last of what was sent, when all of it has been.
    mark: Option<u64>,
}

impl ChannelRoute {
    pub(super) fn new(
        messages: mpsc::Sender<Message>,
        credit: Arc<Semaphore>,
        settled: Arc<Settled>,
    ) -> Self {
        Self {
            messages,
            credit,
            paid: 0,
            waiting: VecDeque::new(),
            queued: false,
            closing: false,
            settled,
            mark: None,
        }
    }

    /// Gives back what left the queue, and says whether the fate of all that was sent is known.
    fn settle(&mut self, key: ChannelKey, connection: &PeerConnection) -> bool {
        if self.settled.over.load(Ordering::Relaxed) {
            return true;
        }
        let ended = connection.channel_state(key).is_none();
        let buffered = connection.buffered_amount(key);
        // An end throws away what was not sent.
        let lost = ended && self.paid > 0;
        if buffered < self.paid && !ended {
            self.credit.add_permits(self.paid - buffered);
            self.paid = buffered;
        }
        if buffered == 0 && self.waiting.is_empty() && !lost {
            let mark = *self.mark.get_or_insert_with(|| connection.sent_mark());
            if connection.is_acknowledged(key, mark) {
                self.settled.acknowledged.store(true, Ordering::Release);
                self.settled.news.notify_waiters();
                return true;
            }
        }
        if ended {
            self.end();
        }
        ended
    }

    /// Nothing more is sent or acknowledged: whoever waits for that must not wait for ever.
    fn end(&self) {
        self.credit.close();
        self.settled.over.store(true, Ordering::Release);
        self.settled.news.notify_waiters();
    }
}

impl Drop for ChannelRoute {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where what a track receives goes.
#[derive(Debug)]
pub(super) enum TrackRoute {
    Packets(mpsc::Sender<RtpPacket>),
    Frames {
        frames: mpsc::Sender<Frame>,
        /// Frames dropped since the last that was taken.
        dropped: u64,
    },
}

impl TrackRoute {
    /// Whether there was room.
    fn packet(&self, packet: RtpPacket) -> bool {
        match self {
            Self::Packets(packets) => packets.try_send(packet).is_ok(),
            Self::Frames { .. } => false,
        }
    }

    /// The same. The next frame that is taken tells of those before it that were not.
    fn frame(&mut self, mut frame: Frame) -> bool {
        let Self::Frames { frames, dropped } = self else {
            return false;
        };
        frame.lost_before += *dropped;
        let taken = frames.try_send(frame).is_ok();
        *dropped = if taken { 0 } else { *dropped + 1 };
        taken
    }
}

/// What a turn of handing over events came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// All events are with the application.
    All,
    /// A queue is full.
    Blocked,
}

/// One peer.
pub(super) struct Slot {
    pub(super) id: PeerId,
    pub(super) connection: PeerConnection,
    pub(super) shared: Arc<Shared>,
    /// To make handles for what the far side opens.
    pub(super) handle: Weak<Inner>,
    pub(super) events: mpsc::Sender<PeerEvent>,
    pub(super) channels: HashMap<ChannelKey, ChannelRoute>,
    /// Channels of which something is not acknowledged. The far side can open tens of thousands that send nothing.
    pub(super) unsettled: Vec<ChannelKey>,
    /// Channels whose messages wait for room, in the order of their turns.
    pub(super) queue: VecDeque<ChannelKey>,
    pub(super) tracks: HashMap<TransceiverId, TrackRoute>,
    pub(super) armed: Option<Instant>,
    pub(super) dirty: bool,
    pub(super) closing: bool,
    /// Something was sent after this turn's transmits were taken.
    pub(super) again: bool,
    /// Places of the sockets that serve this peer alone.
    pub(super) own_sockets: Vec<usize>,
    /// The socket that the last transmit went out by.
    pub(super) sent_by: Option<usize>,
    /// The path that data go by, when it was last looked at.
    pub(super) path: Option<(SocketAddr, SocketAddr)>,
    /// It is full, and calls this peer when there is room.
    pub(super) waits: bool,
    /// Events that were polled but found their queue full.
    pub(super) held: Option<Held>,
    /// The ufrags that the demultiplexer knows of this peer.
    pub(super) ufrags: Vec<String>,
    pub(super) dropped_rtp: u64,
    /// Datagrams that came when this round's share was used up; the newest last.
    pub(super) inbox: VecDeque<(Received, BytesMut)>,
    /// Datagrams that the connection was given in this round.
    pub(super) inputs: usize,
    pub(super) faulty: Option<Box<Faulty>>,
}

/// The peer, if it is there still.
pub(super) fn find(slots: &mut [Option<Box<Slot>>], id: PeerId) -> Option<&mut Slot> {
    slots
        .get_mut(id.index as usize)?
        .as_deref_mut()
        .filter(|slot| slot.id == id)
}

/// An event with the queue it waits for.
pub(super) enum Held {
    Event(PeerEvent),
    Message(ChannelKey, Message),
}

impl Slot {
    /// Keeps a datagram for later, or sheds it: media first (see [`super::turns`]). `backlog` is that of all peers.
    pub(super) fn defer(
        &mut self,
        received: Received,
        datagram: BytesMut,
        backlog: &mut usize,
        stats: &mut DriverStats,
    ) {
        if classify(&datagram) == Packet::Rtp {
            if self.inbox.len() >= MAX_INBOX_MEDIA || *backlog >= MAX_BACKLOG_MEDIA {
                stats.shed_media += 1;
                return;
            }
        } else if self.inbox.len() >= MAX_INBOX {
            stats.shed_other += 1;
            return;
        }
        *backlog += 1;
        self.inbox.push_back((received, datagram));
    }

    /// Hands over events until there are none or a queue is full. `wrap` turns what needs a handle into one.
    pub(super) fn deliver(
        &mut self,
        mut wrap: impl FnMut(&mut Self, Event) -> Option<PeerEvent>,
    ) -> Delivered {
        loop {
            let held = match self.held.take() {
                Some(held) => held,
                None => match self.connection.poll_event() {
                    None => return Delivered::All,
                    Some(Event::Rtp {
                        transceiver,
                        packet,
                    }) => {
                        let track = self.tracks.get(&transceiver);
                        if !track.is_some_and(|track| track.packet(packet)) {
                            self.dropped_rtp += 1;
                        }
                        continue;
                    }
                    Some(Event::Frame { transceiver, frame }) => {
                        let track = self.tracks.get_mut(&transceiver);
                        if !track.is_some_and(|track| track.frame(frame)) {
                            self.dropped_rtp += 1;
                        }
                        continue;
                    }
                    Some(Event::ChannelMessage(key, message)) => Held::Message(key, message),
                    Some(Event::ChannelClosed(key)) => {
                        self.channels.remove(&key);
                        Held::Event(PeerEvent::Event(Event::ChannelClosed(key)))
                    }
                    Some(event) => match wrap(self, event) {
                        Some(event) => Held::Event(event),
                        None => continue,
                    },
                },
            };
            // Said before the attempt, so that a reader who makes room meanwhile is not missed.
            let full = match held {
                Held::Event(event) => match self.events.try_send(event) {
                    Err(mpsc::error::TrySendError::Full(event)) => Some(Held::Event(event)),
                    _ => None,
                },
                Held::Message(key, message) => {
                    match self
                        .channels
                        .get(&key)
                        .map(|route| route.messages.try_send(message))
                    {
                        Some(Err(mpsc::error::TrySendError::Full(message))) => {
                            Some(Held::Message(key, message))
                        }
                        _ => None,
                    }
                }
            };
            // After a close of ours nobody is waited for.
            if let Some(held) = full.filter(|_| !self.closing) {
                self.held = Some(held);
                if !self.shared.blocked.swap(true, Ordering::AcqRel) {
                    // Try once more: the reader may have emptied the queue before the flag was up.
                    continue;
                }
                return Delivered::Blocked;
            }
        }
    }

    /// Sends on a channel what a handle paid for, or keeps it until the channel opens and the connection has room.
    pub(super) fn send(&mut self, now: Instant, key: ChannelKey, message: Message, price: usize) {
        let Some(route) = self.channels.get_mut(&key) else {
            return;
        };
        if route.settled.acknowledged.swap(false, Ordering::AcqRel) {
            self.unsettled.push(key);
        }
        route.waiting.push_back((message, price));
        self.enqueue(now, key);
    }

    /// Gives a channel its turn to send what waits there: at once, if no other waits.
    pub(super) fn enqueue(&mut self, now: Instant, key: ChannelKey) {
        let Some(route) = self.channels.get_mut(&key) else {
            return;
        };
        if !std::mem::replace(&mut route.queued, true) {
            self.queue.push_back(key);
            if self.queue.len() == 1 {
                self.send_waiting(now);
            }
        }
    }

    /// Sends what waits, a message of each channel in turn, as far as the connection has room.
    fn send_waiting(&mut self, now: Instant) {
        // Channels in a row whose own buffer is full.
        let mut full = 0;
        while let Some(key) = self.queue.pop_front() {
            let Some(route) = self.channels.get_mut(&key) else {
                continue;
            };
            let connecting =
                self.connection.channel_state(key) == Some(DataChannelState::Connecting);
            let next = if connecting {
                None
            } else {
                route.waiting.pop_front()
            };
            let Some((message, price)) = next else {
                route.queued = false;
                if !connecting && std::mem::take(&mut route.closing) {
                    // A channel that is gone is closed.
                    let _ = self.connection.close_channel(now, key);
                    self.again = true;
                }
                continue;
            };
            match self.connection.send(now, key, message.clone()) {
                Ok(()) => {
                    route.paid += price;
                    route.mark = None;
                    self.again = true;
                    full = 0;
                    self.queue.push_back(key);
                }
                Err(Error::MemoryBudget) => {
                    // All share it. Whoever is first stays so, or short messages would overtake a long one for ever.
                    route.waiting.push_front((message, price));
                    self.queue.push_front(key);
                    return;
                }
                Err(Error::ChannelBufferFull) => {
                    route.waiting.push_front((message, price));
                    self.queue.push_back(key);
                    full += 1;
                    if full >= self.queue.len() {
                        return;
                    }
                }
                Err(error) => {
                    // The channel is closed; or such a message can't be sent, without which no other makes sense.
                    tracing::debug!(%error, ?key, "message not sent");
                    route.end();
                    route.waiting.clear();
                    route.closing = true;
                    self.queue.push_back(key);
                }
            }
        }
    }

    /// Closes a channel behind what was sent.
    pub(super) fn close_channel(&mut self, now: Instant, key: ChannelKey) {
        let Some(route) = self.channels.get_mut(&key) else {
            return;
        };
        if route.waiting.is_empty() {
            // As above.
            let _ = self.connection.close_channel(now, key);
        } else {
            route.closing = true;
        }
    }

    /// After a turn: channels get back what left the queue, learn what was acknowledged, and send what waited for room.
    pub(super) fn settle(&mut self, now: Instant) {
        let Self {
            connection,
            channels,
            unsettled,
            shared,
            ..
        } = self;
        if let Some(max) = connection.max_message_size()
            && shared.max_message.swap(max, Ordering::AcqRel) == 0
        {
            for route in channels.values() {
                route.settled.news.notify_waiters();
            }
        }
        unsettled.retain(|key| {
            work::steps(1);
            channels
                .get_mut(key)
                .is_some_and(|route| !route.settle(*key, connection))
        });
        if !self.queue.is_empty() {
            self.send_waiting(now);
        }
    }
}
