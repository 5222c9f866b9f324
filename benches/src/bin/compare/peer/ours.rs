//! Our ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::{
    ChannelKey, Configuration, DataChannelInit, Direction, Event, HostProtocol, Kind, LocalAddress,
    Message, PeerConnection, Received, RtpPacket, TransceiverId, TransceiverInit,
};

/// Two peers and the wire between them.
pub(crate) struct Ours {
    pub(crate) ends: [PeerConnection; 2],
    pub(crate) now: Instant,
    out: Vec<u8>,
    key: Option<ChannelKey>,
    received: usize,
    pub(crate) packets: Vec<RtpPacket>,
    pub(crate) datagrams: u64,
    wakeups: u64,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

impl Ours {
    fn new() -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let ends = [0, 1].map(|n| {
            let mut pc =
                PeerConnection::new(Configuration::default(), now, &mut rng).expect("a peer");
            pc.add_local_address(
                now,
                LocalAddress {
                    addr: address(n),
                    transport: HostProtocol::Udp,
                },
            );
            pc
        });
        Ours {
            ends,
            now,
            out: Vec::new(),
            key: None,
            received: 0,
            packets: Vec::new(),
            datagrams: 0,
            wakeups: 0,
        }
    }

    fn negotiate(&mut self) {
        let [a, b] = &mut self.ends;
        a.set_local_description(self.now, None).expect("offer");
        b.set_remote_description(self.now, a.local_description().expect("offer"))
            .expect("offer");
        b.set_local_description(self.now, None).expect("answer");
        a.set_remote_description(self.now, b.local_description().expect("answer"))
            .expect("answer");
    }

    /// Moves what can be moved; if nothing can, time.
    pub(crate) fn step(&mut self) {
        let mut idle = true;
        for n in [0, 1] {
            while let Some(t) = self.ends[n].poll_transmit(self.now, &mut self.out, 32) {
                idle = false;
                self.now += Duration::from_micros(1);
                let segment = t.segment_size.unwrap_or(t.len).max(1);
                let mut run = BytesMut::from(&self.out[..]);
                self.out.clear();
                let received = Received {
                    local: t.remote,
                    remote: t.local,
                    transport: t.transport,
                    ecn: t.ecn,
                };
                while !run.is_empty() {
                    let datagram = run.split_to(segment.min(run.len()));
                    self.datagrams += 1;
                    self.wakeups += 1;
                    self.ends[1 - n].handle_input(self.now, received, datagram);
                }
            }
            while let Some(event) = self.ends[n].poll_event() {
                match event {
                    Event::ChannelOpen(key) if n == 0 => self.key = Some(key),
                    Event::ChannelMessage(_, message) => self.received += message.len(),
                    Event::Rtp { packet, .. } => self.packets.push(packet),
                    _ => {}
                }
            }
        }
        let next = self
            .ends
            .iter()
            .filter_map(PeerConnection::poll_timeout)
            .min();
        if idle && let Some(next) = next {
            self.now = self.now.max(next);
        }
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|t| t <= self.now) {
                self.wakeups += 1;
                end.handle_timeout(self.now);
            }
        }
    }
}

/// Heap of a peer at the stages of its life, in octets: made, described, connected.
pub(crate) fn heap_by_stage() {
    const PAIRS: usize = 20;
    let per_peer =
        |h: Option<tincan_benches::Heap>| h.map_or(0, |h| h.held_bytes) / (2 * PAIRS as i64);
    let (mut pairs, made) =
        tincan_benches::measure_heap(|| (0..PAIRS).map(|_| Ours::new()).collect::<Vec<_>>());
    let ((), described) = tincan_benches::measure_heap(|| {
        for pair in &mut pairs {
            pair.ends[0]
                .create_data_channel(pair.now, "bench", DataChannelInit::default())
                .expect("a channel");
            pair.negotiate();
        }
    });
    let ((), connected) = tincan_benches::measure_heap(|| {
        for pair in &mut pairs {
            while pair.key.is_none() {
                pair.step();
            }
            super::Pair::idle(pair, Duration::from_secs(30));
        }
    });
    println!(
        "peer heap-by-stage made {} described {} connected {} struct {}",
        per_peer(made),
        per_peer(described),
        per_peer(connected),
        size_of::<PeerConnection>()
    );
}

impl super::Pair for Ours {
    fn connected() -> Self {
        let mut pair = Self::new();
        pair.ends[0]
            .create_data_channel(pair.now, "bench", DataChannelInit::default())
            .expect("a channel");
        pair.negotiate();
        for _ in 0..10_000 {
            if pair.key.is_some() {
                break;
            }
            pair.step();
        }
        assert!(pair.key.is_some(), "the channel did not open");
        pair
    }

    fn idle(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
        self.out = Vec::new();
    }

    fn wakeups(&self) -> u64 {
        self.wakeups
    }

    fn transfer(&mut self, size: usize, octets: usize) {
        let Some(key) = self.key else { return };
        let message = Message::Binary(Bytes::from(vec![7; size]));
        self.received = 0;
        while self.received < octets {
            while self.ends[0].buffered_amount(key) < 1 << 20 {
                self.ends[0]
                    .send(self.now, key, message.clone())
                    .expect("room");
            }
            self.step();
        }
    }
}

/// A connected pair in which `a` sends video.
fn media() -> (Ours, TransceiverId) {
    let mut pair = Ours::new();
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    let id = pair.ends[0]
        .add_transceiver(Kind::Video, init)
        .expect("a transceiver");
    pair.negotiate();
    for _ in 0..200 {
        pair.step();
        if pair.ends[0].dtls_state() == Some(tincan_peer::DtlsTransportState::Connected)
            && pair.ends[1].dtls_state() == Some(tincan_peer::DtlsTransportState::Connected)
        {
            break;
        }
    }
    (pair, id)
}

/// Packets of 1 100 octets received from one publisher and sent to 50 others, a CPU-second: decryption, demultiplexing,
/// rewriting, encryption. What the far ends do is not counted.
pub(crate) fn forward() -> f64 {
    let (mut publisher, from) = media();
    let mut others: Vec<_> = (0..50).map(|_| media()).collect();
    let (mut nanos, mut packets) = (0, 0u64);
    let mut out = Vec::new();
    for n in 0..200u16 {
        let packet = RtpPacket::new(96, n, u32::from(n) * 3000, true, vec![n as u8; 1100]);
        publisher.ends[0]
            .send_rtp(publisher.now, from, packet)
            .expect("sent");
        let mut datagrams = Vec::new();
        while let Some(t) = publisher.ends[0].poll_transmit(publisher.now, &mut out, 1) {
            datagrams.push((t, BytesMut::from(&out[..])));
            out.clear();
        }
        let start = super::cpu_nanos();
        for (t, datagram) in datagrams {
            let received = Received {
                local: t.remote,
                remote: t.local,
                transport: t.transport,
                ecn: t.ecn,
            };
            publisher.ends[1].handle_input(publisher.now, received, datagram);
        }
        while let Some(event) = publisher.ends[1].poll_event() {
            let Event::Rtp { packet, .. } = event else {
                continue;
            };
            for (other, to) in &mut others {
                other.ends[0]
                    .send_rtp(other.now, *to, packet.clone())
                    .expect("sent");
                while other.ends[0]
                    .poll_transmit(other.now, &mut out, 32)
                    .is_some()
                {
                    packets += 1;
                    out.clear();
                }
            }
        }
        nanos += super::cpu_nanos() - start;
    }
    packets as f64 * 1e9 / nanos.max(1) as f64
}
