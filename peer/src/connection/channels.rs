//! Data channels (W3C §6): keys, states and what waits for the SCTP association. The association itself is
//! `tincan-sctp`'s.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use tincan_sctp as sctp;
use tincan_sctp::association::Reliability;
use tincan_sctp::data_channel::{
    ChannelConfig, ChannelId, Config, Endpoint, MessageKind, OpenError,
};

use super::Shares;
use crate::error::Error;
use crate::event::{ChannelError, DtlsError, Event};
use crate::limits::{MAX_CHANNELS, MAX_LABEL};
use crate::queue::Events;
use crate::types::{
    ChannelInfo, ChannelKey, DataChannelInit, DataChannelState, DtlsRole, Message,
    SctpTransportState,
};
use crate::work;

/// The data channels of a connection and their association.
pub(super) struct Channels {
    endpoint: Option<Box<Endpoint>>,
    pub(super) state: Option<SctpTransportState>,
    /// In the order of their keys, which is that of their making. Trees: the far side can close tens of thousands one by
    /// one or all at once.
    channels: BTreeMap<ChannelKey, Box<Channel>>,
    /// By SCTP stream id.
    by_id: BTreeMap<u16, ChannelKey>,
    next_key: u32,
    max_buffered: usize,
    remote_max_message_size: usize,
    connecting: bool,
    shares: Option<Shares>,
    /// The association ended with DTLS or with its section, so that another may follow.
    may_begin_anew: bool,
    dtls_error: Option<DtlsError>,
    /// News and messages were left at the association.
    held_back: bool,
    pub(super) opened: u64,
    pub(super) closed: u64,
}

struct Channel {
    label: String,
    init: DataChannelInit,
    state: DataChannelState,
    remote: bool,
    id: Option<ChannelId>,
    low_threshold: usize,
    counters: ChannelCounters,
}

/// Messages and bytes of a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChannelCounters {
    pub(super) messages_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) messages_received: u64,
    pub(super) bytes_received: u64,
}

/// What an association is made of.
pub(super) struct Association {
    pub(super) role: DtlsRole,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) remote_max_message_size: Option<u64>,
    pub(super) max_message_size: usize,
    pub(super) mtu: usize,
}

/// RFC 8841 §6: without `a=max-message-size` the far side takes 64 KiB.
const UNSAID_MAX_MESSAGE_SIZE: u64 = 65_536;

impl Channels {
    pub(super) fn new(max_buffered: usize, shares: Option<Shares>) -> Self {
        Channels {
            endpoint: None,
            state: None,
            channels: BTreeMap::new(),
            by_id: BTreeMap::new(),
            next_key: 0,
            max_buffered,
            remote_max_message_size: 0,
            connecting: false,
            shares,
            may_begin_anew: false,
            dtls_error: None,
            held_back: false,
            opened: 0,
            closed: 0,
        }
    }

    fn get(&self, key: ChannelKey) -> Option<&Channel> {
        self.channels.get(&key).map(|c| &**c)
    }

    fn by_id(&mut self, id: ChannelId) -> Option<(ChannelKey, &mut Channel)> {
        let key = *self.by_id.get(&id.value())?;
        Some((key, self.channels.get_mut(&key)?))
    }

    fn new_key(&mut self) -> ChannelKey {
        let key = ChannelKey(self.next_key);
        self.next_key += 1;
        key
    }

    /// W3C §6.1, createDataChannel.
    pub(super) fn create(
        &mut self,
        now: Instant,
        label: &str,
        mut init: DataChannelInit,
        events: &mut Events,
    ) -> Result<ChannelKey, Error> {
        if label.len() > MAX_LABEL || init.protocol.len() > MAX_LABEL {
            return Err(Error::ChannelOptions(
                "label and protocol have at most 65535 bytes",
            ));
        }
        if init.max_packet_life_time.is_some() && init.max_retransmits.is_some() {
            return Err(Error::ChannelOptions(
                "max_packet_life_time and max_retransmits exclude each other",
            ));
        }
        if init
            .max_packet_life_time
            .is_some_and(|t| t > Duration::from_millis(u64::from(u16::MAX)))
        {
            return Err(Error::ChannelOptions(
                "max_packet_life_time is at most 65535 ms",
            ));
        }
        match (init.negotiated, init.id) {
            (true, None) => return Err(Error::ChannelOptions("a negotiated channel needs an id")),
            (true, Some(u16::MAX)) => return Err(Error::ChannelOptions("an id is at most 65534")),
            (true, Some(id)) if self.channels.values().any(|c| c.init.id == Some(id)) => {
                return Err(Error::ChannelIdUnavailable);
            }
            (false, _) => init.id = None,
            _ => {}
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(Error::ChannelIdUnavailable);
        }
        if self.state == Some(SctpTransportState::Closed) && !self.may_begin_anew {
            return Err(Error::ChannelIdUnavailable);
        }
        let key = self.new_key();
        let channel = Channel {
            label: label.to_owned(),
            init,
            state: DataChannelState::Connecting,
            remote: false,
            id: None,
            low_threshold: 0,
            counters: ChannelCounters::default(),
        };
        self.channels.insert(key, Box::new(channel));
        if self.endpoint.is_some() && !self.may_begin_anew {
            if let Err(error) = self.open(now, key) {
                self.channels.remove(&key);
                return Err(error);
            }
            self.poll_events(events);
        }
        Ok(key)
    }

    /// Opens a channel on the association that exists.
    fn open(&mut self, now: Instant, key: ChannelKey) -> Result<(), Error> {
        let channel = self.channels.get_mut(&key).ok_or(Error::NoChannel(key))?;
        let Some(endpoint) = &mut self.endpoint else {
            return Ok(());
        };
        let reliability = match (
            channel.init.max_packet_life_time,
            channel.init.max_retransmits,
        ) {
            (Some(time), _) => Reliability::MaxLifetime(time),
            (_, Some(count)) => Reliability::MaxRetransmits(count),
            _ => Reliability::Reliable,
        };
        let config = ChannelConfig {
            label: channel.label.clone(),
            protocol: channel.init.protocol.clone(),
            ordered: channel.init.ordered,
            reliability,
            negotiated: channel.init.id.filter(|_| channel.init.negotiated),
            priority: channel.init.priority,
        };
        let id = endpoint.open(now, config).map_err(|e| match e {
            OpenError::InUse | OpenError::Exhausted | OpenError::InvalidId => {
                Error::ChannelIdUnavailable
            }
            other => Error::Layer {
                layer: "sctp",
                reason: other.to_string(),
            },
        })?;
        channel.id = Some(id);
        channel.init.id = Some(id.value());
        if channel.low_threshold > 0 {
            endpoint.set_buffered_amount_low_threshold(id, channel.low_threshold);
        }
        self.by_id.insert(id.value(), key);
        Ok(())
    }

    /// Negotiation gave a data section: makes the association, or updates the one there is.
    pub(super) fn associate(
        &mut self,
        now: Instant,
        association: Association,
        rng: &mut StdRng,
        events: &mut Events,
    ) {
        let max = association
            .remote_max_message_size
            .unwrap_or(UNSAID_MAX_MESSAGE_SIZE);
        self.remote_max_message_size = usize::try_from(max).unwrap_or(usize::MAX);
        if core::mem::take(&mut self.may_begin_anew) {
            // What the association before this one left behind.
            let bound = self.channels.iter().filter(|(_, c)| c.id.is_some());
            for key in bound.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.closed(key, events);
            }
            self.endpoint = None;
            self.dtls_error = None;
            self.state = None;
        }
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.set_remote_max_message_size(self.remote_max_message_size);
            return;
        }
        if self.state == Some(SctpTransportState::Closed) {
            return;
        }
        let mut config = Config {
            association: sctp::Config {
                local_port: association.local_port,
                remote_port: association.remote_port,
                mtu: association.mtu,
                max_message_size: match association.max_message_size {
                    0 => usize::MAX / 4,
                    size => size,
                },
                // RFC 9653: DTLS's integrity is the stronger.
                zero_checksum: true,
                // ICE's consent tells when the path is dead.
                max_retransmissions: None,
                heartbeat_interval: None,
                ..Default::default()
            },
            role: match association.role {
                DtlsRole::Client => tincan_sctp::data_channel::Role::Client,
                DtlsRole::Server => tincan_sctp::data_channel::Role::Server,
            },
            remote_max_message_size: self.remote_max_message_size,
            high_water_mark: self.max_buffered,
            max_channel_octets: self
                .shares
                .map_or(sctp::limits::MAX_CHANNEL_OCTETS, |s| s.channels),
        };
        if let Some(shares) = self.shares {
            let association = &mut config.association;
            association.max_receive_window = shares.receive_window;
            association.receive_window = association.receive_window.min(shares.receive_window);
            association.interleaving = false;
        }
        self.endpoint = Some(Box::new(Endpoint::new(config, now, rng)));
        self.state = Some(SctpTransportState::Connecting);
        self.connecting = false;
        // First those that were given an id, so that no other takes it.
        for negotiated in [true, false] {
            let unopened = self
                .channels
                .iter()
                .filter(|(_, c)| c.init.negotiated == negotiated);
            for key in unopened.map(|(key, _)| *key).collect::<Vec<_>>() {
                if self.open(now, key).is_err() {
                    self.fail(key, ChannelError::NotMade, events);
                }
            }
        }
    }

    /// DTLS is up: both ends begin the handshake.
    /// `true`: they begin now.
    pub(super) fn connect(&mut self, now: Instant) -> bool {
        let Some(endpoint) = self.endpoint.as_mut().filter(|_| !self.connecting) else {
            return false;
        };
        self.connecting = true;
        endpoint.connect(now);
        true
    }

    /// Packets take another path, of which up to `max_mtu` bytes for SCTP are to be looked for.
    pub(super) fn path_changed(&mut self, now: Instant, max_mtu: usize) {
        if let Some(endpoint) = self.endpoint.as_mut().filter(|_| self.connecting) {
            endpoint.path_changed(now, max_mtu);
        }
    }

    /// ICE's path works again, or another does.
    pub(super) fn path_restored(&mut self, now: Instant) {
        if let Some(endpoint) = self.endpoint.as_mut().filter(|_| self.connecting) {
            endpoint.path_restored(now);
        }
    }

    /// The system would not send a packet of so many bytes.
    pub(super) fn packet_refused(&mut self, now: Instant, size: usize) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.packet_refused(now, size);
        }
    }

    /// The data section is gone. Another may follow.
    pub(super) fn disassociate(&mut self, now: Instant, events: &mut Events) {
        self.dtls_ended(now, None, events);
    }

    /// The far side takes no data: channels that wait for an association can't be made.
    pub(super) fn refused(&mut self, events: &mut Events) {
        let waiting = self.channels.iter().filter(|(_, c)| c.id.is_none());
        for key in waiting.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.fail(key, ChannelError::NotMade, events);
        }
    }

    /// Another DTLS association takes the place of the one below, with a role of its own. What was open ends; what was not
    /// yet waits for the next association.
    pub(super) fn begin_anew(&mut self, now: Instant, events: &mut Events) {
        if self.state != Some(SctpTransportState::Connecting) || self.may_begin_anew {
            self.dtls_ended(now, None, events);
            return;
        }
        self.endpoint = None;
        self.state = None;
        self.by_id.clear();
        for channel in self.channels.values_mut() {
            channel.id = None;
            channel.init.id = channel.init.id.filter(|_| channel.init.negotiated);
        }
        let closing = |c: &Channel| c.state == DataChannelState::Closing;
        let closing = self.channels.iter().filter(|(_, c)| closing(c));
        for key in closing.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.end(key, events);
        }
    }

    fn end(&mut self, key: ChannelKey, events: &mut Events) {
        work::steps(1);
        if let Some(channel) = self.channels.remove(&key) {
            // Another channel may have the id by now.
            if let Some(id) = channel.id.map(|id| id.value())
                && self.by_id.get(&id) == Some(&key)
            {
                self.by_id.remove(&id);
            }
            self.closed += 1;
            events.push_back(Event::ChannelClosed(key));
        }
    }

    fn fail(&mut self, key: ChannelKey, error: ChannelError, events: &mut Events) {
        if self.channels.contains_key(&key) {
            events.push_back(Event::ChannelError(key, error));
        }
        self.end(key, events);
    }

    /// DTLS has ended below the association: in order, or with an error. Another handshake begins another association.
    pub(super) fn dtls_ended(
        &mut self,
        now: Instant,
        error: Option<DtlsError>,
        events: &mut Events,
    ) {
        let Some(endpoint) = self.endpoint.as_mut().filter(|_| !self.may_begin_anew) else {
            return;
        };
        self.may_begin_anew = true;
        if endpoint.association().close_reason().is_none() {
            self.dtls_error = error;
            endpoint.abort(now);
            self.poll_events(events);
        }
    }

    pub(super) fn info(&self, key: ChannelKey) -> Option<ChannelInfo> {
        let c = self.get(key)?;
        Some(ChannelInfo {
            key,
            label: c.label.clone(),
            init: c.init.clone(),
            state: c.state,
            remote: c.remote,
        })
    }

    /// A channel's state; `None` when it is closed, also where nobody has been told yet.
    #[cfg(feature = "driver")]
    pub(super) fn state(&self, key: ChannelKey) -> Option<DataChannelState> {
        let channel = self.get(key)?;
        let ended = |endpoint: &Endpoint| endpoint.association().close_reason().is_some();
        // One without an id waits for the next association.
        if channel.id.is_some() && self.endpoint.as_deref().is_some_and(ended) {
            return None;
        }
        Some(channel.state)
    }

    pub(super) fn counters(&self, key: ChannelKey) -> ChannelCounters {
        self.get(key).map(|c| c.counters).unwrap_or_default()
    }

    /// Longest message that may be sent, and channels that there can be.
    pub(super) fn bounds(&self) -> (Option<usize>, Option<usize>) {
        let size = Some(self.remote_max_message_size).filter(|size| *size > 0);
        (size, self.endpoint.as_ref().map(|e| e.max_channels()))
    }

    /// Octets in use: at the association, and a channel's name and options here.
    pub(super) fn memory_usage(&self) -> usize {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(0, |e| e.memory_usage() + e.channel_octets())
            + self.channels.len() * size_of::<Channel>()
    }

    /// Octets that are to be sent, or were and may be lost.
    pub(super) fn outgoing(&self) -> usize {
        self.endpoint
            .as_ref()
            .map_or(0, |e| e.association().outgoing())
    }

    /// Whether news was left at the association because the application does not take what is there.
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back
    }

    pub(super) fn stats(&self) -> Option<sctp::Stats> {
        self.endpoint.as_ref().map(|e| e.stats())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = ChannelKey> {
        self.channels.keys().copied()
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        key: ChannelKey,
        message: Message,
    ) -> Result<(), Error> {
        let channel = self.channels.get_mut(&key).ok_or(Error::NoChannel(key))?;
        let (DataChannelState::Open, Some(id), Some(endpoint)) =
            (channel.state, channel.id, &mut self.endpoint)
        else {
            return Err(Error::ChannelNotOpen(key));
        };
        let len = message.len();
        let message = match message {
            Message::Text(text) => tincan_sctp::data_channel::Message::Text(text),
            Message::Binary(bytes) => tincan_sctp::data_channel::Message::Binary(bytes),
        };
        endpoint.send(now, id, message).map_err(|e| match e {
            sctp::SendError::TooLarge => Error::MessageTooLarge {
                len,
                max: self.remote_max_message_size,
            },
            sctp::SendError::Full => Error::ChannelBufferFull,
            sctp::SendError::Closed | sctp::SendError::NoSuchStream => Error::ChannelNotOpen(key),
            other => Error::Layer {
                layer: "sctp",
                reason: other.to_string(),
            },
        })?;
        channel.counters.messages_sent += 1;
        channel.counters.bytes_sent += len as u64;
        Ok(())
    }

    pub(super) fn buffered_amount(&self, key: ChannelKey) -> usize {
        match (self.get(key).and_then(|c| c.id), &self.endpoint) {
            (Some(id), Some(endpoint)) => endpoint.buffered_amount(id),
            _ => 0,
        }
    }

    /// A mark behind all that was sent up to now, for [`is_acknowledged`](Self::is_acknowledged).
    #[cfg(feature = "driver")]
    pub(super) fn sent_mark(&self) -> u64 {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(0, |e| e.association().sent_mark())
    }

    /// Of what one channel sent. The association knows marks of all channels; but where it stands and the channel is
    /// closed, the far side has performed our stream's reset, which it does when it has everything (RFC 6525 §5.2.2).
    #[cfg(feature = "driver")]
    pub(super) fn is_acknowledged(&self, key: ChannelKey, mark: u64) -> bool {
        let Some(association) = self.endpoint.as_ref().map(|e| e.association()) else {
            return true;
        };
        let closed = association.close_reason().is_none() && self.get(key).is_none();
        closed || association.is_acknowledged(mark)
    }

    /// The longest message that the far side and the budget take; `None` until the former has said so.
    #[cfg(feature = "driver")]
    pub(super) fn max_message_size(&self) -> Option<usize> {
        self.endpoint.as_ref()?;
        let theirs = match self.remote_max_message_size {
            0 => usize::MAX,
            size => size,
        };
        Some(theirs.min(self.shares.map_or(usize::MAX, |s| s.outgoing)))
    }

    pub(super) fn set_low_threshold(&mut self, key: ChannelKey, bytes: usize) {
        let Some(channel) = self.channels.get_mut(&key) else {
            return;
        };
        channel.low_threshold = bytes;
        if let (Some(id), Some(endpoint)) = (channel.id, &mut self.endpoint) {
            endpoint.set_buffered_amount_low_threshold(id, bytes);
        }
    }

    pub(super) fn close_channel(
        &mut self,
        now: Instant,
        key: ChannelKey,
        events: &mut Events,
    ) -> Result<(), Error> {
        let channel = self.channels.get_mut(&key).ok_or(Error::NoChannel(key))?;
        match (channel.id, &mut self.endpoint) {
            (Some(id), Some(endpoint)) => {
                channel.state = DataChannelState::Closing;
                endpoint.close_channel(now, id);
                self.poll_events(events);
            }
            // Never reached the far side.
            _ => self.end(key, events),
        }
        Ok(())
    }

    /// The connection closes: the far side learns it from one ABORT.
    pub(super) fn close(&mut self, now: Instant) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.abort(now);
        }
        self.channels.clear();
        self.by_id.clear();
        self.state = self.state.map(|_| SctpTransportState::Closed);
    }

    pub(super) fn handle_input(&mut self, now: Instant, packet: Bytes) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.handle_input(now, packet);
        }
    }

    pub(super) fn has_association(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Appends one SCTP packet.
    pub(super) fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<sctp::Transmit> {
        self.endpoint.as_mut()?.poll_transmit(now, out)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.as_ref().and_then(|e| e.poll_timeout())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.handle_timeout(now);
        }
    }

    /// Takes over the association's news.
    pub(super) fn poll_events(&mut self, events: &mut Events) {
        use tincan_sctp::data_channel::Event as E;
        self.held_back = false;
        loop {
            if events.holds_back() && self.endpoint.is_some() {
                self.held_back = true;
                return;
            }
            let Some(event) = self.endpoint.as_mut().and_then(|e| e.poll_event()) else {
                return;
            };
            match event {
                E::Connected => self.state = Some(SctpTransportState::Connected),
                E::ChannelOpened { id, config, remote } => {
                    self.on_opened(id, *config, remote, events)
                }
                E::Message { id, kind, data } => {
                    let Some((key, channel)) = self.by_id(id) else {
                        continue;
                    };
                    let bytes = data.into_bytes();
                    let message = match kind {
                        // RFC 8831 §6.6 says UTF-8; what is not reaches the application as what it is.
                        MessageKind::Text if core::str::from_utf8(&bytes).is_ok() => {
                            Message::Text(bytes)
                        }
                        _ => Message::Binary(bytes),
                    };
                    channel.counters.messages_received += 1;
                    channel.counters.bytes_received += message.len() as u64;
                    events.push_back(Event::ChannelMessage(key, message));
                }
                E::ChannelClosing { id } => {
                    if let Some((key, channel)) = self
                        .by_id(id)
                        .filter(|(_, c)| c.state != DataChannelState::Closing)
                    {
                        channel.state = DataChannelState::Closing;
                        events.push_back(Event::ChannelClosing(key));
                    }
                }
                E::ChannelClosed { id } => {
                    if let Some(key) = self.by_id(id).map(|(key, _)| key) {
                        self.closed(key, events);
                    }
                }
                E::BufferedAmountLow { id } | E::Writable { id } => {
                    if let Some(key) = self.by_id(id).map(|(key, _)| key) {
                        events.push_back(Event::BufferedAmountLow(key));
                    }
                }
                E::Closed { .. } => {
                    self.state = Some(SctpTransportState::Closed);
                    for key in self.keys().collect::<Vec<_>>() {
                        match self.failure() {
                            Some(error) => self.fail(key, error, events),
                            None => self.end(key, events),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Why the association ended, if not in order or by us.
    fn failure(&self) -> Option<ChannelError> {
        if let Some(error) = self.dtls_error {
            return Some(ChannelError::Dtls(error));
        }
        let reason = self.endpoint.as_ref()?.association().close_reason()?;
        match reason {
            sctp::CloseReason::Shutdown | sctp::CloseReason::Aborted => None,
            reason => Some(ChannelError::Sctp(reason)),
        }
    }

    /// A channel whose transport is closed.
    fn closed(&mut self, key: ChannelKey, events: &mut Events) {
        // Beyond the streams that the far side takes (W3C §6.2.7).
        let made = |c: &Channel| c.state != DataChannelState::Connecting;
        let unmade = self.get(key).is_some_and(|c| !made(c));
        match self.failure() {
            Some(error) => self.fail(key, error, events),
            None if unmade => self.fail(key, ChannelError::NotMade, events),
            None => self.end(key, events),
        }
    }

    fn on_opened(
        &mut self,
        id: ChannelId,
        config: ChannelConfig,
        remote: bool,
        events: &mut Events,
    ) {
        self.opened += 1;
        if !remote {
            if let Some((key, channel)) = self.by_id(id) {
                channel.state = DataChannelState::Open;
                events.push_back(Event::ChannelOpen(key));
            }
            return;
        }
        let key = self.new_key();
        let (life, retransmits) = match config.reliability {
            Reliability::MaxLifetime(time) => (Some(time), None),
            Reliability::MaxRetransmits(count) => (None, Some(count)),
            _ => (None, None),
        };
        let channel = Channel {
            label: config.label,
            init: DataChannelInit {
                ordered: config.ordered,
                max_packet_life_time: life,
                max_retransmits: retransmits,
                protocol: config.protocol,
                negotiated: false,
                id: Some(id.value()),
                priority: config.priority,
            },
            state: DataChannelState::Open,
            remote: true,
            id: Some(id),
            low_threshold: 0,
            counters: ChannelCounters::default(),
        };
        self.channels.insert(key, Box::new(channel));
        self.by_id.insert(id.value(), key);
        events.push_back(Event::DataChannel(key));
        events.push_back(Event::ChannelOpen(key));
    }
}

#[cfg(test)]
mod tests;
