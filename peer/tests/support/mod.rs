//! Two peers in one process, with a queue of datagrams as their network and a clock of its own.
#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::*;

pub struct Datagram {
    pub at: Instant,
    pub received: Received,
    pub bytes: BytesMut,
}

pub struct End {
    pub pc: PeerConnection,
    pub events: Vec<Event>,
    pub inbox: VecDeque<Datagram>,
    /// Send trickled candidates to the other side by themselves.
    pub trickle: bool,
}

impl End {
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub fn saw(&self, f: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(f)
    }
}

pub struct Pair {
    pub now: Instant,
    pub ends: [End; 2],
    pub latency: Duration,
    /// Every n-th datagram that is no STUN is lost; 0: none.
    pub lose_every: u64,
    pub sent: u64,
    pub datagrams: u64,
    pub max_datagrams: usize,
}

pub fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Configuration::default(), Configuration::default(), 1)
    }

    pub fn with(a: Configuration, b: Configuration, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Instant::now();
        let mut end = |config: Configuration, n: usize| {
            let mut pc = PeerConnection::new(config, now, &mut rng).unwrap();
            pc.add_local_address(
                now,
                LocalAddress {
                    addr: address(n),
                    transport: HostProtocol::Udp,
                },
            );
            End {
                pc,
                events: Vec::new(),
                inbox: VecDeque::new(),
                trickle: true,
            }
        };
        let ends = [end(a, 0), end(b, 1)];
        Pair {
            now,
            ends,
            latency: Duration::from_millis(1),
            lose_every: 0,
            sent: 0,
            datagrams: 0,
            max_datagrams: 10,
        }
    }

    pub fn a(&mut self) -> &mut End {
        &mut self.ends[0]
    }

    pub fn b(&mut self) -> &mut End {
        &mut self.ends[1]
    }

    /// Offer and answer from `from` to the other, without time passing.
    pub fn negotiate(&mut self, from: usize) {
        let now = self.now;
        self.ends[from].pc.set_local_description(now, None).unwrap();
        let offer = self.ends[from].pc.local_description().unwrap();
        self.ends[1 - from]
            .pc
            .set_remote_description(now, offer)
            .unwrap();
        self.ends[1 - from]
            .pc
            .set_local_description(now, None)
            .unwrap();
        let answer = self.ends[1 - from].pc.local_description().unwrap();
        self.ends[from]
            .pc
            .set_remote_description(now, answer)
            .unwrap();
    }

    /// A transceiver of `a` with nothing special.
    pub fn transceiver(&mut self, kind: Kind) -> TransceiverId {
        let init = TransceiverInit::default();
        self.a().pc.add_transceiver(kind, init).unwrap()
    }

    /// A data channel of `a` with nothing special.
    pub fn channel(&mut self, label: &str) -> ChannelKey {
        let (now, init) = (self.now, DataChannelInit::default());
        self.a().pc.create_data_channel(now, label, init).unwrap()
    }

    /// Moves datagrams and events once; `true` if something moved.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for n in 0..2 {
            while let Some(event) = self.ends[n].pc.poll_event() {
                moved = true;
                if let Event::IceCandidate(candidate) = &event {
                    let other = &mut self.ends[1 - n];
                    if other.trickle && other.pc.remote_description().is_some() {
                        let _ = other.pc.add_ice_candidate(self.now, candidate.clone());
                    }
                }
                self.ends[n].events.push(event);
            }
            let mut out = Vec::new();
            while let Some(t) =
                self.ends[n]
                    .pc
                    .poll_transmit(self.now, &mut out, self.max_datagrams)
            {
                moved = true;
                assert_eq!(t.len, out.len());
                let size = t.segment_size.unwrap_or(t.len);
                assert!(size <= t.len);
                for datagram in out.chunks(size) {
                    self.sent += 1;
                    let stun = datagram[0] < 4;
                    if self.lose_every > 0 && !stun && self.sent.is_multiple_of(self.lose_every) {
                        continue;
                    }
                    self.datagrams += 1;
                    let received = Received {
                        local: t.remote,
                        remote: t.local,
                        transport: t.transport,
                        ecn: Ecn::NotEct,
                    };
                    if t.remote != address(1 - n) {
                        continue;
                    }
                    self.ends[1 - n].inbox.push_back(Datagram {
                        at: self.now + self.latency,
                        received,
                        bytes: BytesMut::from(datagram),
                    });
                }
                out.clear();
            }
            while self.ends[n].inbox.front().is_some_and(|d| d.at <= self.now) {
                moved = true;
                if let Some(d) = self.ends[n].inbox.pop_front() {
                    self.ends[n].pc.handle_input(self.now, d.received, d.bytes);
                }
            }
        }
        moved
    }

    /// Lets the world run for a time.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mut steps = 0;
            while self.step() {
                steps += 1;
                assert!(steps < 100_000, "no end of datagrams at one moment");
            }
            let next = self
                .ends
                .iter()
                .flat_map(|e| [e.pc.poll_timeout(), e.inbox.front().map(|d| d.at)])
                .flatten()
                .min();
            match next {
                Some(next) if next <= end => {
                    self.now = next.max(self.now);
                    let now = self.now;
                    for end in &mut self.ends {
                        if end.pc.poll_timeout().is_some_and(|t| t <= now) {
                            end.pc.handle_timeout(now);
                        }
                    }
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs until `done`, for at most `time`.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&Pair) -> bool) {
        let end = self.now + time;
        while !done(self) {
            assert!(
                self.now < end,
                "not within {time:?}: {:?} {:?}",
                self.ends[0].events,
                self.ends[1].events
            );
            self.run(Duration::from_millis(1));
        }
    }

    pub fn connected(&self) -> bool {
        self.ends
            .iter()
            .all(|e| e.pc.connection_state() == PeerConnectionState::Connected)
    }
}
