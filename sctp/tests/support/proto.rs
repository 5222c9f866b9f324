//! sctp-proto as the independent other end.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ServerConfig, StreamEvent, Transmit,
};

/// An association of sctp-proto, driven by hand.
pub struct Proto {
    endpoint: Endpoint,
    handle: Option<AssociationHandle>,
    association: Option<Association>,
    outgoing: VecDeque<Bytes>,
    pub connected: bool,
    pub lost: bool,
    /// Whole messages: stream, ppid, octets.
    pub messages: VecDeque<(u16, u32, Vec<u8>)>,
    pub opened: Vec<u16>,
    /// Streams that the peer reset.
    pub finished: Vec<u16>,
    backlog: HashMap<u16, VecDeque<(PayloadProtocolIdentifier, Bytes)>>,
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5000))
}

impl Proto {
    pub fn client(now: Instant) -> Self {
        let _ = now;
        let mut this = Self::server();
        let config = ClientConfig::new();
        let (handle, association) = this
            .endpoint
            .connect(config, address())
            .expect("sctp-proto connects");
        this.handle = Some(handle);
        this.association = Some(association);
        this
    }

    pub fn server() -> Self {
        let endpoint = Endpoint::new(
            Arc::new(EndpointConfig::new()),
            Some(Arc::new(ServerConfig::default())),
        );
        Self {
            endpoint,
            handle: None,
            association: None,
            outgoing: VecDeque::new(),
            connected: false,
            lost: false,
            messages: VecDeque::new(),
            opened: Vec::new(),
            finished: Vec::new(),
            backlog: HashMap::new(),
        }
    }

    fn queue(&mut self, transmit: Transmit) {
        if let Payload::RawEncode(packets) = transmit.payload {
            self.outgoing.extend(packets);
        }
    }

    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.drive(now);
        self.outgoing.pop_front()
    }

    pub fn handle_input(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, address(), None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.handle = Some(handle);
                self.association = Some(association);
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some(association) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
        self.drive(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.association
            .as_ref()
            .and_then(Association::poll_timeout)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
        self.drive(now);
    }

    pub fn open(&mut self, stream: u16) {
        let association = self.association.as_mut().expect("an association");
        let _ = association.open_stream(stream, PayloadProtocolIdentifier::Binary);
    }

    pub fn send(&mut self, stream: u16, ppid: PayloadProtocolIdentifier, data: Bytes) {
        self.backlog
            .entry(stream)
            .or_default()
            .push_back((ppid, data));
        self.flush(stream);
    }

    /// Octets that are queued, here or there.
    pub fn buffered(&mut self, stream: u16) -> usize {
        let here: usize = self
            .backlog
            .get(&stream)
            .map_or(0, |queue| queue.iter().map(|(_, data)| data.len()).sum());
        let there = self
            .association
            .as_mut()
            .and_then(|a| a.stream(stream).ok()?.buffered_amount().ok())
            .unwrap_or(0);
        here + there
    }

    fn flush(&mut self, stream: u16) {
        let Some(association) = self.association.as_mut() else {
            return;
        };
        let Some(queue) = self.backlog.get_mut(&stream) else {
            return;
        };
        let Ok(mut handle) = association.stream(stream) else {
            return;
        };
        while let Some((ppid, data)) = queue.pop_front() {
            if handle.buffered_amount().unwrap_or(0) > 4 << 20
                || handle.write_sctp(&data, ppid).is_err()
            {
                queue.push_front((ppid, data));
                break;
            }
        }
    }

    pub fn set_unordered(&mut self, stream: u16) {
        let association = self.association.as_mut().expect("an association");
        let mut handle = association.stream(stream).expect("a stream");
        handle
            .set_reliability_params(true, sctp_proto::ReliabilityType::Reliable, 0)
            .expect("reliability");
    }

    pub fn stop(&mut self, stream: u16) {
        let association = self.association.as_mut().expect("an association");
        let mut handle = association.stream(stream).expect("a stream");
        let _ = handle.close();
    }

    pub fn shutdown(&mut self) {
        let _ = self
            .association
            .as_mut()
            .expect("an association")
            .shutdown();
    }

    fn read(&mut self, stream: u16) {
        let Some(association) = self.association.as_mut() else {
            return;
        };
        let Ok(mut handle) = association.stream(stream) else {
            return;
        };
        while let Ok(Some(chunks)) = handle.read_sctp() {
            let mut data = vec![0; chunks.len()];
            let read = chunks.read(&mut data).unwrap_or(0);
            data.truncate(read);
            self.messages.push_back((stream, chunks.ppi as u32, data));
        }
    }

    fn drive(&mut self, now: Instant) {
        while let Some(association) = self.association.as_mut() {
            let mut busy = false;
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(handle) = self.handle
                    && let Some(reply) = self.endpoint.handle_event(handle, event)
                {
                    association.handle_event(reply);
                }
                busy = true;
            }
            let mut readable = Vec::new();
            while let Some(event) = association.poll() {
                busy = true;
                match event {
                    Event::Connected => self.connected = true,
                    Event::AssociationLost { .. } => self.lost = true,
                    Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                    Event::Stream(StreamEvent::Finished { id }) => self.finished.push(id),
                    _ => {}
                }
            }
            while let Some(stream) = association.accept_stream() {
                self.opened.push(stream.stream_identifier());
                readable.push(stream.stream_identifier());
                busy = true;
            }
            let mut packets = Vec::new();
            while let Some(transmit) = association.poll_transmit(now) {
                packets.push(transmit);
            }
            for id in readable {
                self.read(id);
            }
            busy |= !packets.is_empty();
            for transmit in packets {
                self.queue(transmit);
            }
            let streams: Vec<u16> = self.backlog.keys().copied().collect();
            for stream in streams {
                self.flush(stream);
            }
            if !busy {
                break;
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.queue(transmit);
        }
    }
}
