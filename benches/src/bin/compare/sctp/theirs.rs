//! sctp-proto and rtc-sctp, which share their ancestry and most of their interface.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{End, Pair};

macro_rules! end {
    ($name:ident, $library:ident, $make:expr, $connect:expr, $handle:expr, $reply:expr,
     $write:expr, |$transmit:ident| $packets:expr) => {
        pub(crate) struct $name {
            endpoint: $library::Endpoint,
            handle: Option<$library::AssociationHandle>,
            association: Option<$library::Association>,
            outgoing: VecDeque<Bytes>,
            ready: bool,
            received: usize,
            scratch: Vec<u8>,
        }

        impl $name {
            fn new(now: Instant, connect: bool) -> Self {
                let mut endpoint = $make();
                let mut pair = None;
                if connect {
                    pair = $connect(&mut endpoint, now);
                }
                let (handle, association) = pair.unzip();
                Self {
                    endpoint,
                    handle,
                    association,
                    outgoing: VecDeque::new(),
                    ready: false,
                    received: 0,
                    scratch: vec![0; 1 << 17],
                }
            }

            pub(crate) fn pair() -> Pair<Self> {
                let now = Instant::now();
                let mut pair = Pair::new(
                    Self::new(now, true),
                    Self::new(now, false),
                    now,
                    Duration::ZERO,
                );
                if let Some(association) = &mut pair.from.association {
                    let _ = association.open_stream(0, $library::PayloadProtocolIdentifier::Binary);
                }
                pair
            }

            fn drain(&mut self) {
                let Some(association) = self.association.as_mut() else {
                    return;
                };
                while let Some(event) = association.poll_endpoint_event() {
                    if let Some(handle) = self.handle {
                        $reply(&mut self.endpoint, handle, event, association);
                    }
                }
                let mut readable = false;
                while let Some(event) = association.poll() {
                    match event {
                        $library::Event::Connected => self.ready = true,
                        $library::Event::Stream(_) => readable = true,
                        _ => {}
                    }
                }
                while association.accept_stream().is_some() {
                    readable = true;
                }
                if readable && let Ok(mut stream) = association.stream(0) {
                    while let Ok(Some(chunks)) = stream.read_sctp() {
                        self.received += chunks.read(&mut self.scratch).unwrap_or(0);
                    }
                }
            }
        }

        impl End for $name {
            fn transmit(&mut self, now: Instant) -> Option<Bytes> {
                if let Some(packet) = self.outgoing.pop_front() {
                    return Some(packet);
                }
                let association = self.association.as_mut()?;
                if let Some($transmit) = association.poll_transmit(now) {
                    self.outgoing.extend($packets);
                }
                self.drain();
                self.outgoing.pop_front()
            }

            fn input(&mut self, now: Instant, packet: Bytes) {
                match $handle(&mut self.endpoint, now, packet) {
                    Some((handle, $library::DatagramEvent::NewAssociation(association))) => {
                        self.handle = Some(handle);
                        self.association = Some(association);
                    }
                    Some((_, $library::DatagramEvent::AssociationEvent(event))) => {
                        if let Some(association) = &mut self.association {
                            association.handle_event(event);
                        }
                    }
                    _ => {}
                }
                self.drain();
            }

            fn next(&self) -> Option<Instant> {
                self.association.as_ref()?.poll_timeout()
            }

            fn tick(&mut self, now: Instant) {
                if let Some(association) = &mut self.association {
                    association.handle_timeout(now);
                }
                self.drain();
            }

            fn fill(&mut self, now: Instant, message: &Bytes, octets: usize) {
                let Some(association) = &mut self.association else {
                    return;
                };
                let Ok(mut stream) = association.stream(0) else {
                    return;
                };
                let mut queued = stream.buffered_amount().unwrap_or(usize::MAX);
                while queued < octets && $write(&mut stream, now, message) {
                    queued += message.len();
                }
            }

            fn received(&mut self) -> usize {
                std::mem::take(&mut self.received)
            }

            fn is_ready(&mut self) -> bool {
                self.drain();
                self.ready
            }
        }
    };
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5000))
}

end!(
    Proto,
    sctp_proto,
    || sctp_proto::Endpoint::new(
        Arc::new(sctp_proto::EndpointConfig::new()),
        Some(Arc::new(sctp_proto::ServerConfig::default())),
    ),
    |endpoint: &mut sctp_proto::Endpoint, _now| {
        endpoint
            .connect(sctp_proto::ClientConfig::new(), address())
            .ok()
    },
    |endpoint: &mut sctp_proto::Endpoint, now, packet| {
        endpoint.handle(now, address(), None, None, packet)
    },
    |endpoint: &mut sctp_proto::Endpoint,
     handle,
     event,
     association: &mut sctp_proto::Association| {
        if let Some(reply) = endpoint.handle_event(handle, event) {
            association.handle_event(reply);
        }
    },
    |stream: &mut sctp_proto::Stream<'_>, _now, message: &Bytes| {
        stream
            .write_sctp(message, sctp_proto::PayloadProtocolIdentifier::Binary)
            .is_ok()
    },
    |transmit| match transmit.payload {
        sctp_proto::Payload::RawEncode(packets) => packets,
        _ => Vec::new(),
    }
);

end!(
    Rtc,
    rtc_sctp,
    || rtc_sctp::Endpoint::new(
        address(),
        Default::default(),
        Arc::new(rtc_sctp::EndpointConfig::new()),
        Some(Arc::new(rtc_sctp::ServerConfig::default())),
    ),
    |endpoint: &mut rtc_sctp::Endpoint, now| {
        endpoint
            .connect(now, rtc_sctp::ClientConfig::default(), address())
            .ok()
    },
    |endpoint: &mut rtc_sctp::Endpoint, now, packet| endpoint.handle(now, address(), None, packet),
    |endpoint: &mut rtc_sctp::Endpoint, handle, event, _association: &mut rtc_sctp::Association| {
        endpoint.handle_event(handle, event);
    },
    |stream: &mut rtc_sctp::Stream<'_>, now, message: &Bytes| {
        stream
            .write_sctp(now, message, rtc_sctp::PayloadProtocolIdentifier::Binary)
            .is_ok()
    },
    |transmit| match transmit.message {
        rtc_sctp::Payload::RawEncode(packets) => packets,
        _ => Vec::new(),
    }
);
