//! What a packet and a message cost on the heap once a connection is in its steady state.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::*;

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

/// Two ends, and a wire that takes room for datagrams from one block, as the driver does.
struct Pair {
    ends: [PeerConnection; 2],
    now: Instant,
    block: BytesMut,
    out: Vec<u8>,
    datagrams: usize,
    /// What events the ends told of.
    rtp: usize,
    messages: usize,
    channel: Option<ChannelKey>,
}

impl Pair {
    fn connected() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut end = |n| {
            let mut pc = PeerConnection::new(Configuration::default(), now, &mut rng).unwrap();
            let transport = HostProtocol::Udp;
            let addr = address(n);
            pc.add_local_address(now, LocalAddress { addr, transport });
            pc
        };
        let mut a = end(0);
        let mut b = end(1);
        for kind in [Kind::Audio, Kind::Video] {
            a.add_transceiver(kind, TransceiverInit::default()).unwrap();
        }
        a.create_data_channel(now, "x", DataChannelInit::default())
            .unwrap();
        a.set_local_description(now, None).unwrap();
        b.set_remote_description(now, a.local_description().unwrap())
            .unwrap();
        b.set_local_description(now, None).unwrap();
        a.set_remote_description(now, b.local_description().unwrap())
            .unwrap();
        let mut pair = Pair {
            ends: [a, b],
            now,
            block: BytesMut::with_capacity(64 << 20),
            out: Vec::with_capacity(64 * 1024),
            datagrams: 0,
            rtp: 0,
            messages: 0,
            channel: None,
        };
        for _ in 0..3_000 {
            pair.turn();
            pair.now += Duration::from_millis(1);
        }
        for end in &pair.ends {
            assert_eq!(end.connection_state(), PeerConnectionState::Connected);
        }
        assert!(pair.channel.is_some());
        pair
    }

    /// What is due now, until nobody has more to say.
    fn turn(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for from in [0, 1] {
                if self.ends[from]
                    .poll_timeout()
                    .is_some_and(|at| at <= self.now)
                {
                    self.ends[from].handle_timeout(self.now);
                }
                while let Some(t) = self.ends[from].poll_transmit(self.now, &mut self.out, 10) {
                    moved = true;
                    let size = t.segment_size.unwrap_or(t.len);
                    let received = Received {
                        local: t.remote,
                        remote: t.local,
                        transport: t.transport,
                        ecn: Ecn::NotEct,
                    };
                    for datagram in self.out.chunks(size) {
                        self.datagrams += 1;
                        self.block.extend_from_slice(datagram);
                        let datagram = self.block.split();
                        self.ends[1 - from].handle_input(self.now, received, datagram);
                    }
                    self.out.clear();
                }
                while let Some(event) = self.ends[from].poll_event() {
                    moved = true;
                    match event {
                        Event::Rtp { .. } => self.rtp += 1,
                        Event::ChannelMessage(..) => self.messages += 1,
                        Event::ChannelOpen(key) if from == 0 => self.channel = Some(key),
                        _ => {}
                    }
                }
            }
        }
    }

    /// `count` turns with `say` before each, a millisecond apart.
    fn run(&mut self, count: u32, mut say: impl FnMut(&mut PeerConnection, Instant, u32)) {
        for n in 0..count {
            say(&mut self.ends[0], self.now, n);
            self.turn();
            self.now += Duration::from_millis(1);
        }
    }
}

fn report(what: &str, count: u32, heap: &AllocationInfo) {
    println!(
        "{what}: {count} turns, {} allocations, {} bytes, {} of them kept",
        heap.count_total, heap.bytes_total, heap.bytes_current
    );
}

static PAYLOAD: [u8; 1_000] = [7; 1_000];

#[test]
fn a_packet_of_media_allocates_nothing() {
    let mut pair = Pair::connected();
    let video = pair.ends[0].transceivers().nth(1).unwrap().id;
    let mut sequence = 0u16;
    let mut say = |pc: &mut PeerConnection, now: Instant, _: u32| {
        let payload = Bytes::from_static(&PAYLOAD);
        sequence = sequence.wrapping_add(1);
        let timestamp = u32::from(sequence) * 90;
        let packet = RtpPacket::new(96, sequence, timestamp, true, payload);
        pc.send_rtp(now, video, packet).unwrap();
    };
    // Until the history of packets that may be asked for again is full.
    pair.run(2_000, &mut say);
    let before = pair.rtp;
    let count = 5_000;
    let heap = measure(|| pair.run(count, &mut say));
    report("media", count, &heap);
    assert_eq!(pair.rtp - before, count as usize);
    // RTCP of a report a second and feedback twenty times a second beside 1000 packets: lists of blocks.
    assert!(heap.count_total <= u64::from(count) / 50, "{heap:?}");
    assert!(heap.bytes_current < 4_096, "{heap:?}");
}

#[test]
fn a_message_allocates_little_and_leaves_nothing() {
    let mut pair = Pair::connected();
    let channel = pair.channel.unwrap();
    let say = |pc: &mut PeerConnection, now: Instant, _: u32| {
        let message = Message::binary(Bytes::from_static(&PAYLOAD));
        pc.send(now, channel, message).unwrap();
    };
    pair.run(2_000, say);
    let before = pair.messages;
    let count = 5_000;
    let heap = measure(|| pair.run(count, say));
    report("messages", count, &heap);
    assert_eq!(pair.messages - before, count as usize);
    assert!(heap.count_total <= u64::from(count) / 50, "{heap:?}");
    assert!(heap.bytes_current < 4_096, "{heap:?}");
}

#[test]
fn a_connection_at_rest_touches_the_heap_for_consent_only() {
    let mut pair = Pair::connected();
    pair.run(60_000, |_, _, _| {});
    pair.datagrams = 0;
    let heap = measure(|| pair.run(60_000, |_, _, _| {}));
    println!("{} datagrams in a minute of rest", pair.datagrams);
    report("rest", 60_000, &heap);
    assert!(pair.datagrams > 10);
    assert!(heap.count_total <= 8 * pair.datagrams as u64, "{heap:?}");
    assert!(heap.bytes_current < 4_096, "{heap:?}");
}
