//! A sender or receiver on a simulated host: ours or sctp-proto's.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sctp_proto::PayloadProtocolIdentifier;
use tincan_sctp::congestion::Algorithm;
use tincan_sctp::data_channel::{ChannelConfig, ChannelId, Config, Endpoint, Event, Message, Role};
use tincan_sim::{Datagram, Peer};

use crate::proto::Proto;

/// Who runs.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Ours(Algorithm),
    Proto,
}

/// What it does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    Send,
    Receive,
}

enum Machine {
    Ours {
        endpoint: Box<Endpoint>,
        channel: Option<ChannelId>,
    },
    Proto(Box<Proto>),
}

pub(crate) struct Node {
    machine: Machine,
    work: Work,
    from: SocketAddr,
    to: SocketAddr,
    received: u64,
    message: Bytes,
    buffer: Vec<u8>,
}

/// Always this much is queued, so that the sender never runs dry.
const QUEUED: usize = 8 << 20;

impl Node {
    pub(crate) fn new(
        kind: Kind,
        work: Work,
        seed: u64,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Self {
        let machine = match kind {
            Kind::Ours(congestion) => {
                let mut config = Config {
                    role: if work == Work::Send {
                        Role::Client
                    } else {
                        Role::Server
                    },
                    remote_max_message_size: 0,
                    ..Config::default()
                };
                config.association.congestion = congestion;
                config.association.mtu = 1_200;
                config.association.max_mtu = 1_472;
                let mut rng = StdRng::seed_from_u64(seed);
                let mut endpoint = Box::new(Endpoint::new(config, now, &mut rng));
                endpoint.connect(now);
                let channel = (work == Work::Send)
                    .then(|| endpoint.open(now, ChannelConfig::default()).ok())
                    .flatten();
                Machine::Ours { endpoint, channel }
            }
            Kind::Proto => Machine::Proto(Box::new(match work {
                Work::Send => Proto::client(now),
                Work::Receive => Proto::server(),
            })),
        };
        let message = Bytes::from(vec![7; 64 << 10]);
        Self {
            machine,
            work,
            from,
            to,
            received: 0,
            message,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn print_stats(&self) {
        if let Machine::Ours { endpoint, .. } = &self.machine {
            println!("\n{:#?}", endpoint.stats());
        }
    }

    /// The sender's state in a line.
    pub(crate) fn line(&self) -> String {
        let Machine::Ours { endpoint, .. } = &self.machine else {
            return String::new();
        };
        let s = endpoint.stats();
        format!(
            "window {:6.2} MB, in flight {:6.2} MB, {:5} chunks, peer window {:6.2} MB, rtt {:5.1} ms, \
             {} sent again, {} events, {} timeouts, {} spurious",
            s.congestion_window as f64 / 1e6,
            s.bytes_in_flight as f64 / 1e6,
            s.chunks_outstanding,
            s.peer_window as f64 / 1e6,
            s.smoothed_rtt.unwrap_or_default().as_secs_f64() * 1e3,
            s.counters.retransmissions,
            s.counters.congestion_events,
            s.counters.timeouts,
            s.counters.spurious_losses,
        )
    }

    fn go_on(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Ours { endpoint, channel } => {
                while let Some(event) = endpoint.poll_event() {
                    if let Event::Message { data, .. } = event {
                        self.received += data.len() as u64;
                    }
                }
                if let Some(id) = *channel {
                    while endpoint.buffered_amount(id) < QUEUED
                        && endpoint
                            .send(now, id, Message::Binary(self.message.clone()))
                            .is_ok()
                    {}
                }
            }
            Machine::Proto(proto) => {
                self.received += proto
                    .messages
                    .drain(..)
                    .map(|m| m.2.len() as u64)
                    .sum::<u64>();
                if self.work == Work::Send && proto.connected {
                    proto.open(0);
                    while proto.buffered(0) < QUEUED {
                        proto.send(0, PayloadProtocolIdentifier::Binary, self.message.clone());
                    }
                }
            }
        }
    }
}

impl Peer for Node {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        let packet = Bytes::from(datagram.payload);
        match &mut self.machine {
            Machine::Ours { endpoint, .. } => endpoint.handle_input(now, packet),
            Machine::Proto(proto) => proto.handle_input(now, packet),
        }
        self.go_on(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Ours { endpoint, .. } => endpoint.handle_timeout(now),
            Machine::Proto(proto) => proto.handle_timeout(now),
        }
        self.go_on(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Ours { endpoint, .. } => endpoint.poll_timeout(),
            Machine::Proto(proto) => proto.poll_timeout(),
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        let payload = match &mut self.machine {
            Machine::Ours { endpoint, .. } => {
                self.buffer.clear();
                endpoint.poll_transmit(now, &mut self.buffer)?;
                self.buffer.clone()
            }
            Machine::Proto(proto) => proto.poll_transmit(now)?.to_vec(),
        };
        Some(Datagram::new(self.from, self.to, payload))
    }
}
