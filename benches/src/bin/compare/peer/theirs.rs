//! str0m's ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Two peers and the wire between them.
pub(crate) struct Theirs {
    ends: [Rtc; 2],
    next: [Instant; 2],
    now: Instant,
    channel: Option<ChannelId>,
    open: bool,
    received: usize,
    wakeups: u64,
    packets: Vec<RtpPacket>,
    wire: Vec<(usize, SocketAddr, SocketAddr, Vec<u8>)>,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

impl Theirs {
    /// Drains one end, as its API asks after each input.
    fn drain(&mut self, n: usize) {
        loop {
            match self.ends[n].poll_output().expect("output") {
                Output::Timeout(at) => {
                    self.next[n] = at;
                    return;
                }
                Output::Transmit(t) => {
                    self.wire
                        .push((1 - n, t.source, t.destination, t.contents.into()))
                }
                Output::Event(Event::ChannelOpen(id, _)) if n == 0 => {
                    self.channel = Some(id);
                    self.open = true;
                }
                Output::Event(Event::ChannelData(data)) => self.received += data.data.len(),
                Output::Event(Event::RtpPacket(packet)) => self.packets.push(packet),
                Output::Event(_) => {}
            }
        }
    }

    fn step(&mut self) {
        let mut idle = true;
        for n in [0, 1] {
            self.drain(n);
        }
        for (to, source, destination, contents) in std::mem::take(&mut self.wire) {
            idle = false;
            self.wakeups += 1;
            self.now += Duration::from_micros(1);
            let receive = Receive {
                proto: Protocol::Udp,
                source,
                destination,
                contents: contents.as_slice().try_into().expect("a datagram"),
            };
            self.ends[to]
                .handle_input(Input::Receive(self.now, receive))
                .expect("input");
            self.drain(to);
        }
        if idle && self.wire.is_empty() {
            self.now = self.now.max(self.next[0].min(self.next[1]));
        }
        for n in [0, 1] {
            if self.next[n] <= self.now {
                self.wakeups += 1;
                self.ends[n]
                    .handle_input(Input::Timeout(self.now))
                    .expect("timeout");
                self.drain(n);
            }
        }
    }
}

/// A connected pair in which the first end sends video, as packets.
fn media() -> (Theirs, Mid) {
    let now = Instant::now();
    let mut ends = [0, 1].map(|_| Rtc::builder().set_rtp_mode(true).build(now));
    for (n, end) in ends.iter_mut().enumerate() {
        end.add_local_candidate(Candidate::host(address(n), "udp").expect("a candidate"));
    }
    let [a, b] = &mut ends;
    let mut change = a.sdp_api();
    let mid = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = change.apply().expect("an offer");
    let answer = b.sdp_api().accept_offer(offer).expect("an answer");
    a.sdp_api()
        .accept_answer(pending, answer)
        .expect("accepted");
    let mut pair = Theirs::of(ends, now);
    for _ in 0..10_000 {
        if pair.ends.iter().all(Rtc::is_connected) {
            break;
        }
        pair.step();
    }
    assert!(pair.ends.iter().all(Rtc::is_connected), "not connected");
    (pair, mid)
}

impl Theirs {
    fn of(ends: [Rtc; 2], now: Instant) -> Self {
        Theirs {
            ends,
            next: [now; 2],
            now,
            channel: None,
            open: false,
            received: 0,
            wakeups: 0,
            packets: Vec::new(),
            wire: Vec::new(),
        }
    }

    fn write(&mut self, mid: Mid, packet: RtpWrite) {
        let mut direct = self.ends[0].direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).expect("a stream");
        stream.write_rtp(packet);
    }

    /// Has the first end send what waits; drops it, and says how many datagrams it was.
    fn flush(&mut self) -> usize {
        loop {
            self.drain(0);
            if self.next[0] > self.now {
                break;
            }
            self.ends[0]
                .handle_input(Input::Timeout(self.now))
                .expect("timeout");
        }
        self.wire.len()
    }
}

/// The same work as ours: 1 100 octets from one publisher to 50 others.
pub(crate) fn forward() -> f64 {
    let (mut publisher, from) = media();
    let mut others: Vec<_> = (0..50).map(|_| media()).collect();
    for pair in others.iter_mut().map(|(p, _)| p).chain([&mut publisher]) {
        // What the set-up still has to say.
        for _ in 0..20 {
            pair.step();
        }
        pair.wire.clear();
    }
    let (mut nanos, mut packets) = (0, 0u64);
    for n in 0..200u16 {
        let packet = RtpWrite::new(
            96.into(),
            u64::from(n).into(),
            u32::from(n) * 3000,
            publisher.now,
            vec![n as u8; 1100],
        );
        publisher.write(from, packet.marker(true));
        publisher.flush();
        let wire = std::mem::take(&mut publisher.wire);
        let start = super::cpu_nanos();
        for (_, source, destination, contents) in wire {
            let receive = Receive {
                proto: Protocol::Udp,
                source,
                destination,
                contents: contents.as_slice().try_into().expect("a datagram"),
            };
            publisher.ends[1]
                .handle_input(Input::Receive(publisher.now, receive))
                .expect("input");
            publisher.drain(1);
        }
        for packet in std::mem::take(&mut publisher.packets) {
            for (other, to) in &mut others {
                let write = RtpWrite::new(
                    packet.header.payload_type,
                    packet.seq_no,
                    packet.header.timestamp,
                    other.now,
                    packet.payload.clone(),
                );
                other.write(*to, write.marker(packet.header.marker).nackable(true));
                packets += other.flush() as u64;
                other.wire.clear();
            }
        }
        nanos += super::cpu_nanos() - start;
        publisher.wire.clear();
    }
    packets as f64 * 1e9 / nanos.max(1) as f64
}

impl super::Pair for Theirs {
    fn connected() -> Self {
        let now = Instant::now();
        let mut ends = [0, 1].map(|_| Rtc::new(now));
        for (n, end) in ends.iter_mut().enumerate() {
            end.add_local_candidate(Candidate::host(address(n), "udp").expect("a candidate"));
        }
        let [a, b] = &mut ends;
        let mut change = a.sdp_api();
        change.add_channel("bench".into());
        let (offer, pending) = change.apply().expect("an offer");
        let answer = b.sdp_api().accept_offer(offer).expect("an answer");
        a.sdp_api()
            .accept_answer(pending, answer)
            .expect("accepted");
        let mut pair = Theirs::of(ends, now);
        for _ in 0..10_000 {
            if pair.open {
                break;
            }
            pair.step();
        }
        assert!(pair.open, "the channel did not open");
        pair
    }

    fn idle(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
        self.wire = Vec::new();
    }

    fn wakeups(&self) -> u64 {
        self.wakeups
    }

    fn transfer(&mut self, size: usize, octets: usize) {
        let Some(id) = self.channel else { return };
        let message = vec![7; size];
        self.received = 0;
        while self.received < octets {
            loop {
                let Some(mut channel) = self.ends[0].channel(id) else {
                    return;
                };
                let room = channel.buffered_amount() < 1 << 17;
                if !room || !channel.write(true, &message).expect("written") {
                    break;
                }
            }
            self.step();
        }
    }
}
