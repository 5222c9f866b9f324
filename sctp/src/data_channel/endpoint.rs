//! The endpoint: an association and its channels.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;

use super::channel::{Channel, ChannelConfig, ChannelState};
use super::dcep::DcepMessage;
use super::ids::{ChannelId, Ids};
use super::ppid;
use super::types::{Config, Event, Message, MessageKind, OpenError};
use crate::association::{self, Association, Ecn, Reliability, SendOptions, State, Transmit};
use crate::error::{SendError, SnapError};
use crate::limits::{FRAGMENT_OVERHEAD, MAX_CHANNELS, MAX_LABEL};
use crate::payload::Payload;
use crate::reassembly;
use crate::stats::Stats;
use crate::stream_map::StreamMap;

/// Data channels over one association, sans-IO.
#[derive(Debug)]
pub struct Endpoint {
    association: Association,
    channels: StreamMap<Channel>,
    ids: Ids,
    events: VecDeque<Event>,
    remote_max_message_size: usize,
    high_water_mark: usize,
    messages_dropped: u64,
    /// What all channels are charged, and the most that the peer may bring it to.
    channel_octets: usize,
    max_channel_octets: usize,
}

/// What news of a channel that the peer opened takes of the receive buffer until it is taken.
fn opening_cost(config: &ChannelConfig) -> usize {
    FRAGMENT_OVERHEAD + config.label.len() + config.protocol.len()
}

impl Endpoint {
    /// An endpoint that has not begun. `rng` seeds everything random in it.
    pub fn new(config: Config, now: Instant, rng: &mut impl Rng) -> Self {
        Self {
            association: Association::new(config.association, now, rng),
            channels: StreamMap::new(),
            ids: Ids::new(config.role),
            events: VecDeque::new(),
            remote_max_message_size: config.remote_max_message_size,
            high_water_mark: config.high_water_mark.max(1),
            messages_dropped: 0,
            channel_octets: 0,
            max_channel_octets: config.max_channel_octets,
        }
    }

    /// Begins the handshake. Both ends do so in WebRTC.
    pub fn connect(&mut self, now: Instant) {
        self.association.connect(now);
        self.translate(now);
    }

    /// Our INIT for signalling (`a=sctp-init`), see [`Association::local_init`].
    pub fn local_init(&self) -> Vec<u8> {
        self.association.local_init()
    }

    /// The peer's INIT came by signalling: established at once, see
    /// [`Association::connect_with_init`].
    pub fn connect_with_init(&mut self, now: Instant, remote: &[u8]) -> Result<(), SnapError> {
        self.association.connect_with_init(now, remote)?;
        self.translate(now);
        Ok(())
    }

    /// The association below.
    pub fn association(&self) -> &Association {
        &self.association
    }

    /// Counters and estimates of the association.
    pub fn stats(&self) -> Stats {
        self.association.stats()
    }

    /// Octets of memory in use, about: what waits to be sent, is in flight, waits for missing data or for the
    /// application, and the channels. Costs nothing to ask.
    pub fn memory_usage(&self) -> usize {
        self.association.memory_usage() + self.channel_octets
    }

    /// Octets that all channels are charged, see [`Config::max_channel_octets`].
    pub fn channel_octets(&self) -> usize {
        self.channel_octets
    }

    /// Messages that came for no channel, or with an unknown payload protocol identifier.
    pub fn messages_dropped(&self) -> u64 {
        self.messages_dropped
    }

    /// Whether the association is established.
    pub fn is_connected(&self) -> bool {
        self.association.state() == State::Established
    }

    /// How many channels there are.
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// How many channels the association has streams for.
    pub fn max_channels(&self) -> usize {
        usize::from(self.association.outbound_streams()).min(MAX_CHANNELS)
    }

    /// A channel's state; `None` when it is closed.
    pub fn channel_state(&self, id: ChannelId) -> Option<ChannelState> {
        self.channels.get(id.0).map(|c| c.state)
    }

    /// What a channel was opened with.
    pub fn channel_config(&self, id: ChannelId) -> Option<&ChannelConfig> {
        self.channels.get(id.0).map(|c| &*c.config)
    }

    /// The peer's `a=max-message-size`, 0: any.
    pub fn set_remote_max_message_size(&mut self, octets: usize) {
        self.remote_max_message_size = octets;
    }

    /// Packets take another path from now on, see [`Association::path_changed`].
    pub fn path_changed(&mut self, now: Instant, max_mtu: usize) {
        self.association.path_changed(now, max_mtu);
    }

    /// The path works again, see [`Association::path_restored`].
    pub fn path_restored(&mut self, now: Instant) {
        self.association.path_restored(now);
        self.translate(now);
    }

    /// The layer below refused to send a packet of `size` octets, see [`Association::packet_refused`].
    pub fn packet_refused(&mut self, now: Instant, size: usize) {
        self.association.packet_refused(now, size);
    }

    /// Takes in a packet.
    pub fn handle_input(&mut self, now: Instant, packet: Bytes) {
        self.association.handle_input(now, packet);
        self.translate(now);
    }

    /// Takes in a packet with its congestion mark.
    pub fn handle_marked_input(&mut self, now: Instant, packet: Bytes, ecn: Ecn) {
        self.association.handle_marked_input(now, packet, ecn);
        self.translate(now);
    }

    /// Appends one packet to `out` if there is one to send. Call it until it returns `None`.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.association.poll_transmit(now, out)?;
        self.translate(now);
        Some(transmit)
    }

    /// The most octets that one [`poll_transmit`](Self::poll_transmit) appends.
    pub fn max_packet(&self) -> usize {
        self.association.max_packet()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
        self.translate(now);
        if self.association.take_slimmed() {
            self.events.shrink_to_fit();
            self.channels.slim();
        }
    }

    /// The next piece of news.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Message { data, .. } | Event::MessagePart { data, .. } = &event {
            self.association.release(reassembly::cost(data));
        }
        if let Event::ChannelOpened {
            config,
            remote: true,
            ..
        } = &event
        {
            self.association.release(opening_cost(config));
        }
        Some(event)
    }

    /// Opens a channel. Messages may be sent at once; they are queued until the association is
    /// established.
    pub fn open(&mut self, now: Instant, config: ChannelConfig) -> Result<ChannelId, OpenError> {
        if config.label.len() > MAX_LABEL || config.protocol.len() > MAX_LABEL {
            return Err(OpenError::TooLong);
        }
        if let Reliability::MaxLifetime(life) = config.reliability
            && life.as_millis() > u128::from(u32::MAX)
        {
            return Err(OpenError::Lifetime);
        }
        if !matches!(
            self.association.state(),
            State::Idle | State::CookieWait | State::CookieEchoed | State::Established
        ) {
            return Err(OpenError::Closed);
        }
        let limit = self.association.outbound_streams();
        let channels = &self.channels;
        let id = match config.negotiated {
            Some(id) if id >= limit => return Err(OpenError::InvalidId),
            Some(id) if channels.get(id).is_some() => return Err(OpenError::InUse),
            Some(id) => ChannelId(id),
            None => self
                .ids
                .allocate(limit, |id| channels.get(id).is_some())
                .ok_or(OpenError::Exhausted)?,
        };
        let negotiated = config.negotiated.is_some();
        self.association.set_stream_priority(id.0, config.priority);
        if !negotiated {
            let open = Bytes::from(DcepMessage::Open(config.clone()).to_vec());
            let options = SendOptions {
                ppid: ppid::DCEP,
                ..SendOptions::default()
            };
            if self.association.send(now, id.0, open, options).is_err() {
                return Err(OpenError::Closed);
            }
        }
        let connected = self.is_connected();
        let state = if connected {
            ChannelState::Open
        } else {
            ChannelState::Connecting
        };
        let config = Box::new(config);
        if connected {
            let config = config.clone();
            self.events.push_back(Event::ChannelOpened {
                id,
                config,
                remote: false,
            });
        }
        let channel = Channel::new(config, state, negotiated);
        let cost = channel.cost();
        self.channels
            .get_or_insert_with(id.0, || channel)
            .ok_or(OpenError::Exhausted)?;
        self.channel_octets += cost;
        self.translate(now);
        Ok(id)
    }

    /// Sends a message. With [`SendError::Full`] the message is dropped: see
    /// [`try_send`](Self::try_send).
    pub fn send(&mut self, now: Instant, id: ChannelId, message: Message) -> Result<(), SendError> {
        self.try_send(now, id, message).map_err(|(error, _)| error)
    }

    /// Sends a message, or gives it back. After [`SendError::Full`] the event
    /// [`Writable`](Event::Writable) tells when there is room.
    #[inline]
    pub fn try_send(
        &mut self,
        now: Instant,
        id: ChannelId,
        message: Message,
    ) -> Result<(), (SendError, Message)> {
        if let Err(error) = self.check_send(id, message.data().len()) {
            return Err((error, message));
        }
        let kind = message.kind();
        let data = message.data();
        let (ppid, octets) = if data.is_empty() {
            (kind.ppid_empty(), Bytes::from_static(&[0]))
        } else {
            (kind.ppid(), data.clone())
        };
        let options = self.options(id, ppid);
        match self.association.send(now, id.0, octets, options) {
            Ok(()) => Ok(()),
            Err(error) => Err((error, message)),
        }
    }

    fn check_send(&mut self, id: ChannelId, len: usize) -> Result<(), SendError> {
        match self.channels.get(id.0) {
            None => return Err(SendError::NoSuchStream),
            Some(c) if c.state == ChannelState::Closing => return Err(SendError::NoSuchStream),
            Some(c) if c.writing.is_some() => return Err(SendError::Busy),
            Some(_) => {}
        }
        if self.remote_max_message_size != 0 && len > self.remote_max_message_size {
            return Err(SendError::TooLarge);
        }
        self.check_room(id, len)
    }

    fn check_room(&mut self, id: ChannelId, len: usize) -> Result<(), SendError> {
        let queued = self.association.buffered_amount(id.0);
        if queued > 0 && queued + len > self.high_water_mark {
            self.association
                .notify_writable(id.0, self.high_water_mark / 2 + 1);
            return Err(SendError::Full);
        }
        Ok(())
    }

    fn options(&self, id: ChannelId, ppid: u32) -> SendOptions {
        match self.channels.get(id.0) {
            Some(channel) => SendOptions {
                ppid,
                unordered: !channel.config.ordered && channel.acknowledged,
                reliability: channel.config.reliability,
            },
            None => SendOptions {
                ppid,
                ..SendOptions::default()
            },
        }
    }

    /// Begins or goes on with a message given piece by piece, see
    /// [`Association::send_piece`]. Empty pieces are skipped. The peer's maximum size is the
    /// caller's business here.
    pub fn send_piece(
        &mut self,
        now: Instant,
        id: ChannelId,
        kind: MessageKind,
        piece: Bytes,
    ) -> Result<(), SendError> {
        match self.channels.get(id.0) {
            None => return Err(SendError::NoSuchStream),
            Some(c) if c.state == ChannelState::Closing => return Err(SendError::NoSuchStream),
            Some(_) => {}
        }
        self.check_room(id, piece.len())?;
        if piece.is_empty() {
            return Ok(());
        }
        let ppid = match self.channels.get(id.0).and_then(|c| c.writing) {
            Some(ppid) => ppid,
            None => kind.ppid(),
        };
        let options = self.options(id, ppid);
        self.association.send_piece(now, id.0, piece, options)?;
        if let Some(channel) = self.channels.get_mut(id.0) {
            channel.writing = Some(ppid);
        }
        Ok(())
    }

    /// Ends the message given piece by piece.
    pub fn finish_message(&mut self, id: ChannelId) -> Result<(), SendError> {
        let channel = self.channels.get_mut(id.0).ok_or(SendError::NoSuchStream)?;
        if channel.writing.take().is_none() {
            return Err(SendError::NotWriting);
        }
        self.association.finish_message(id.0)
    }

    /// Octets that are queued and have not been sent once.
    pub fn buffered_amount(&self, id: ChannelId) -> usize {
        self.association.buffered_amount(id.0)
    }

    /// [`Event::BufferedAmountLow`] comes when the amount falls from above to `octets`.
    pub fn set_buffered_amount_low_threshold(&mut self, id: ChannelId, octets: usize) {
        if self.channels.get(id.0).is_some() {
            self.association
                .set_buffered_amount_low_threshold(id.0, octets);
        }
    }

    /// Closes a channel: what is queued is sent first. [`Event::ChannelClosed`] tells when both
    /// sides have closed it.
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(id.0) else {
            return;
        };
        if channel.state == ChannelState::Closing {
            return;
        }
        channel.state = ChannelState::Closing;
        if channel.writing.take().is_some() {
            let _ = self.association.finish_message(id.0);
        }
        if self.association.reset_stream(now, id.0).is_err() {
            channel.outgoing_reset = true;
        }
        self.translate(now);
    }

    /// Shuts the association down in order: what is queued is sent first.
    pub fn close(&mut self, now: Instant) {
        self.association.close(now);
        self.translate(now);
    }

    /// Ends the association at once; the peer is told by one ABORT.
    pub fn abort(&mut self, now: Instant) {
        self.association.abort();
        self.translate(now);
    }

    /// Turns the association's news into ours.
    #[inline]
    fn translate(&mut self, now: Instant) {
        while let Some(event) = self.association.take_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Instant, event: association::Event) {
        match event {
            association::Event::Message {
                stream,
                ppid,
                payload,
                ..
            } => {
                self.on_message(now, stream, ppid, payload);
            }
            association::Event::MessagePart {
                stream,
                ppid,
                payload,
                first,
                last,
            } => {
                self.on_part(now, stream, ppid, payload, first, last);
            }
            association::Event::Connected => self.on_connected(now),
            association::Event::MessageAborted { stream } => {
                if self.channels.get(stream).is_some() {
                    self.events.push_back(Event::MessageAborted {
                        id: ChannelId(stream),
                    });
                }
            }
            association::Event::MessageRefused { stream } => {
                // RFC 8841 §6: the peer knew our maximum. The channel cannot go on as if nothing
                // were missing.
                self.messages_dropped += 1;
                self.close_channel(now, ChannelId(stream));
            }
            association::Event::IncomingReset { stream } => self.on_incoming_reset(now, stream),
            association::Event::AllIncomingReset => {
                let mut all: Vec<u16> = self.channels.iter().map(|(id, _)| id).collect();
                all.sort_unstable();
                for stream in all {
                    self.on_incoming_reset(now, stream);
                }
            }
            association::Event::ResetRequested { stream } => {
                self.close_channel(now, ChannelId(stream));
            }
            association::Event::OutgoingReset { stream, performed } => {
                let Some(channel) = self.channels.get_mut(stream) else {
                    return;
                };
                if channel.state != ChannelState::Closing || self.association.is_resetting(stream) {
                    // It was the reset of the channel that had this stream before.
                    return;
                }
                if performed {
                    channel.outgoing_reset = true;
                    self.finish_close(stream);
                } else {
                    // Who does not reset streams will not reset its own either, and goes on with the channel: its
                    // identifier is not free.
                    self.forget(stream);
                    self.events.push_back(Event::ChannelClosed {
                        id: ChannelId(stream),
                    });
                }
            }
            association::Event::StreamsAdded { .. } | association::Event::NumbersReset => {}
            association::Event::BufferedAmountLow { stream } => {
                if self.channels.get(stream).is_some() {
                    self.events.push_back(Event::BufferedAmountLow {
                        id: ChannelId(stream),
                    });
                }
            }
            association::Event::Writable { stream } => {
                if self.channels.get(stream).is_some() {
                    self.events.push_back(Event::Writable {
                        id: ChannelId(stream),
                    });
                }
            }
            association::Event::Restarted => self.close_all_channels(),
            association::Event::Closed { reason } => {
                self.close_all_channels();
                self.events.push_back(Event::Closed { reason });
            }
        }
    }

    fn on_connected(&mut self, _now: Instant) {
        self.events.push_back(Event::Connected);
        let limit = self.association.outbound_streams();
        let mut opened: Vec<u16> = Vec::new();
        let mut beyond: Vec<u16> = Vec::new();
        for (id, channel) in self.channels.iter_mut() {
            if channel.state == ChannelState::Connecting {
                if id < limit {
                    channel.state = ChannelState::Open;
                    opened.push(id);
                } else {
                    beyond.push(id);
                }
            }
        }
        opened.sort_unstable();
        for id in opened {
            if let Some(channel) = self.channels.get(id) {
                let config = channel.config.clone();
                self.events.push_back(Event::ChannelOpened {
                    id: ChannelId(id),
                    config,
                    remote: false,
                });
            }
        }
        for id in beyond {
            self.forget(id);
            self.events
                .push_back(Event::ChannelClosed { id: ChannelId(id) });
        }
    }

    #[inline]
    fn on_message(&mut self, now: Instant, stream: u16, ppid: u32, payload: Payload) {
        let kind = match ppid {
            ppid::BINARY | ppid::BINARY_PARTIAL | ppid::BINARY_EMPTY => MessageKind::Binary,
            ppid::STRING | ppid::STRING_PARTIAL | ppid::STRING_EMPTY => MessageKind::Text,
            ppid::DCEP => {
                self.association.release(reassembly::cost(&payload));
                self.on_dcep(now, stream, &payload.into_bytes());
                return;
            }
            _ => {
                self.drop_message(&payload);
                return;
            }
        };
        let Some(channel) = self.channels.get_mut(stream) else {
            self.drop_message(&payload);
            return;
        };
        // RFC 8832 §6: a message says as much as an acknowledgement.
        channel.acknowledged = true;
        let data = if matches!(ppid, ppid::STRING_EMPTY | ppid::BINARY_EMPTY) {
            self.association
                .release(reassembly::cost(&payload) - reassembly::cost_of_empty());
            Payload::from(Bytes::new())
        } else {
            payload
        };
        self.events.push_back(Event::Message {
            id: ChannelId(stream),
            kind,
            data,
        });
    }

    fn drop_message(&mut self, payload: &Payload) {
        self.association.release(reassembly::cost(payload));
        self.messages_dropped += 1;
    }

    fn on_part(
        &mut self,
        now: Instant,
        stream: u16,
        ppid: u32,
        payload: Payload,
        first: bool,
        last: bool,
    ) {
        let kind = match ppid {
            ppid::BINARY | ppid::BINARY_PARTIAL => MessageKind::Binary,
            ppid::STRING | ppid::STRING_PARTIAL => MessageKind::Text,
            // An OPEN longer than a piece would have to be: no such thing is answered.
            _ => {
                let _ = now;
                self.drop_message(&payload);
                return;
            }
        };
        if self.channels.get(stream).is_none() {
            self.drop_message(&payload);
            return;
        }
        let id = ChannelId(stream);
        self.events.push_back(Event::MessagePart {
            id,
            kind,
            data: payload,
            first,
            last,
        });
    }

    fn on_dcep(&mut self, now: Instant, stream: u16, bytes: &[u8]) {
        match DcepMessage::parse(bytes) {
            Ok(DcepMessage::Ack) => {
                if let Some(channel) = self.channels.get_mut(stream) {
                    channel.acknowledged = true;
                }
            }
            Ok(DcepMessage::Open(config)) => self.on_open(now, stream, config),
            Err(_) => {
                self.messages_dropped += 1;
                // RFC 8832 §6: an OPEN that cannot be understood closes the channel.
                if self.channels.get(stream).is_some() {
                    self.close_channel(now, ChannelId(stream));
                } else {
                    let _ = self.association.reset_stream(now, stream);
                }
            }
        }
    }

    fn on_open(&mut self, now: Instant, stream: u16, config: ChannelConfig) {
        let id = ChannelId(stream);
        if let Some(existing) = self.channels.get(stream) {
            if existing.state == ChannelState::Closing && existing.incoming_reset {
                // The peer has seen both resets and begins anew before its answer reached us.
                if let Some(channel) = self.channels.get_mut(stream) {
                    channel.outgoing_reset = true;
                }
                self.finish_close(stream);
            } else {
                // §6: the identifier is in use.
                self.messages_dropped += 1;
                self.close_channel(now, id);
                return;
            }
        }
        if stream >= self.association.outbound_streams() {
            // We have no stream to reset: the peer is asked to reset its own.
            self.messages_dropped += 1;
            let _ = self.association.request_peer_reset(now, stream);
            return;
        }
        if self.ids.is_ours(id) {
            // §6: the identifier is not the peer's to choose.
            self.messages_dropped += 1;
            let _ = self.association.reset_stream(now, stream);
            return;
        }
        let config = Box::new(config);
        let channel = Channel::new(config.clone(), ChannelState::Open, true);
        let cost = channel.cost();
        if self.channel_octets + cost > self.max_channel_octets {
            self.messages_dropped += 1;
            let _ = self.association.reset_stream(now, stream);
            return;
        }
        self.association
            .set_stream_priority(stream, config.priority);
        let ack = Bytes::from(DcepMessage::Ack.to_vec());
        let options = SendOptions {
            ppid: ppid::DCEP,
            ..SendOptions::default()
        };
        if self.association.send(now, stream, ack, options).is_err() {
            return;
        }
        if self
            .channels
            .get_or_insert_with(stream, || channel)
            .is_some()
        {
            self.channel_octets += cost;
            // News that nobody takes holds the peer back as messages do.
            self.association.charge(opening_cost(&config));
            self.events.push_back(Event::ChannelOpened {
                id,
                config,
                remote: true,
            });
        }
    }

    fn on_incoming_reset(&mut self, now: Instant, stream: u16) {
        let Some(channel) = self.channels.get_mut(stream) else {
            return;
        };
        channel.incoming_reset = true;
        if channel.state != ChannelState::Closing {
            // RFC 8831 §6.7: reset the other direction too.
            self.events.push_back(Event::ChannelClosing {
                id: ChannelId(stream),
            });
            self.close_channel(now, ChannelId(stream));
        }
        self.finish_close(stream);
    }

    fn finish_close(&mut self, stream: u16) {
        if self.channels.get(stream).is_some_and(Channel::is_closed) {
            self.forget(stream);
            self.ids.give_back(ChannelId(stream));
            self.events.push_back(Event::ChannelClosed {
                id: ChannelId(stream),
            });
        }
    }

    fn forget(&mut self, stream: u16) {
        if let Some(channel) = self.channels.remove(stream) {
            self.channel_octets -= channel.cost().min(self.channel_octets);
        }
    }

    fn close_all_channels(&mut self) {
        let mut all: Vec<u16> = self.channels.iter().map(|(id, _)| id).collect();
        all.sort_unstable();
        self.channels.clear();
        self.channel_octets = 0;
        for stream in all {
            self.ids.give_back(ChannelId(stream));
            self.events.push_back(Event::ChannelClosed {
                id: ChannelId(stream),
            });
        }
    }
}
