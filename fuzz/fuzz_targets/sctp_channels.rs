//! An endpoint of data channels against an association that says anything in the establishment protocol and resets
//! what it likes: no panic, no stuck timer, channels and memory within their bounds.
#![no_main]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_fuzz::Memory;
use tincan_sctp::association::{Reliability, SendOptions};
use tincan_sctp::data_channel::{
    ChannelConfig, ChannelId, Config, DcepMessage, Endpoint, Event, Message, Role,
};
use tincan_sctp::{Association, Config as AssociationConfig};

#[derive(Arbitrary, Debug)]
enum Step {
    /// Any bytes with any payload protocol identifier.
    Say {
        stream: u16,
        ppid: u8,
        unordered: bool,
        bytes: Vec<u8>,
    },
    /// An OPEN that can be read.
    Open {
        stream: u16,
        kind: u8,
        priority: u16,
        reliability: u32,
        label: Vec<u8>,
        protocol: u8,
    },
    Reset(u16),
    AddStreams(u8),
    OurOpen(bool),
    OurSend(u8, u16),
    OurClose(u8),
    Network {
        to_us: bool,
        fate: u8,
    },
    Flow,
    Wait(u16),
    Close(bool),
}

#[derive(Arbitrary, Debug)]
struct Input {
    client: bool,
    interleaving: [bool; 2],
    steps: Vec<Step>,
}

struct World {
    now: Instant,
    us: Endpoint,
    liar: Association,
    /// To us, to the liar.
    wires: [VecDeque<Bytes>; 2],
    channels: Vec<ChannelId>,
}

impl World {
    fn collect(&mut self) {
        let mut out = Vec::new();
        let mut sent = 0;
        while self.us.poll_transmit(self.now, &mut out).is_some() {
            sent += 1;
            assert!(sent < 10_000, "it never stops sending");
            self.wires[1].push_back(Bytes::from(std::mem::take(&mut out)));
        }
        while self.liar.poll_transmit(self.now, &mut out).is_some() {
            self.wires[0].push_back(Bytes::from(std::mem::take(&mut out)));
        }
        for wire in &mut self.wires {
            wire.truncate(512);
        }
        while let Some(event) = self.us.poll_event() {
            match event {
                Event::ChannelOpened { id, .. } if self.channels.len() < 64 => {
                    self.channels.push(id);
                }
                Event::ChannelClosed { id } => self.channels.retain(|c| *c != id),
                _ => {}
            }
        }
        while self.liar.poll_event().is_some() {}
        assert!(self.us.channel_count() <= self.us.max_channels());
    }

    fn deliver(&mut self, to_us: bool) {
        let packet = self.wires[usize::from(!to_us)].pop_front();
        let Some(packet) = packet else { return };
        if to_us {
            self.us.handle_input(self.now, packet);
        } else {
            self.liar.handle_input(self.now, packet);
        }
    }

    fn flow(&mut self) {
        for _ in 0..2_000 {
            self.collect();
            if self.wires.iter().all(VecDeque::is_empty) {
                return;
            }
            self.deliver(true);
            self.deliver(false);
        }
    }

    fn timers(&mut self) {
        if self.us.poll_timeout().is_some_and(|at| at <= self.now) {
            self.us.handle_timeout(self.now);
            let next = self.us.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "a stuck timer");
        }
        self.liar.handle_timeout(self.now);
    }
}

fuzz_target!(|input: Input| {
    let memory = Memory::watch();
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut config = Config {
        role: if input.client {
            Role::Client
        } else {
            Role::Server
        },
        ..Config::default()
    };
    config.association.interleaving = input.interleaving[0];
    config.association.receive_window = 100_000;
    config.association.max_receive_window = 400_000;
    let us = Endpoint::new(config, now, &mut rng);
    let liar = AssociationConfig {
        interleaving: input.interleaving[1],
        zero_checksum: true,
        ..AssociationConfig::default()
    };
    let liar = Association::new(liar, now, &mut rng);
    let mut world = World {
        now,
        us,
        liar,
        wires: Default::default(),
        channels: Vec::new(),
    };
    world.us.connect(now);
    world.flow();
    assert!(world.us.is_connected());
    for step in input.steps.into_iter().take(200) {
        let now = world.now;
        let options = |ppid, unordered| SendOptions {
            ppid,
            unordered,
            reliability: Reliability::Reliable,
        };
        match step {
            Step::Say {
                stream,
                ppid,
                unordered,
                bytes,
            } => {
                let ppid = [50, 50, 51, 53, 56, 57, 52, 54, 0][usize::from(ppid % 9)];
                let _ = world
                    .liar
                    .send(now, stream, bytes.into(), options(ppid, unordered));
            }
            Step::Open {
                stream,
                kind,
                priority,
                reliability,
                label,
                protocol,
            } => {
                let mut bytes = vec![3, kind];
                bytes.extend_from_slice(&priority.to_be_bytes());
                bytes.extend_from_slice(&reliability.to_be_bytes());
                bytes.extend_from_slice(&(label.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&u16::from(protocol).to_be_bytes());
                bytes.extend_from_slice(&label);
                bytes.resize(bytes.len() + usize::from(protocol), b'p');
                let _ = DcepMessage::parse(&bytes);
                let _ = world
                    .liar
                    .send(now, stream, bytes.into(), options(50, false));
            }
            Step::Reset(stream) => drop(world.liar.reset_stream(now, stream)),
            Step::AddStreams(count) => drop(world.liar.add_streams(now, count.into())),
            Step::OurOpen(ordered) => {
                let config = ChannelConfig {
                    ordered,
                    ..ChannelConfig::default()
                };
                if world.channels.len() < 64
                    && let Ok(id) = world.us.open(now, config)
                {
                    world.channels.push(id);
                }
            }
            Step::OurSend(n, len) => {
                if let Some(id) = world.channels.get(usize::from(n)) {
                    let data = vec![1; usize::from(len)];
                    let _ = world.us.send(now, *id, Message::Binary(data.into()));
                }
            }
            Step::OurClose(n) => {
                if let Some(id) = world.channels.get(usize::from(n)) {
                    world.us.close_channel(now, *id);
                }
            }
            Step::Network { to_us, fate } => {
                let wire = &mut world.wires[usize::from(!to_us)];
                match fate % 4 {
                    0 => drop(wire.pop_front()),
                    1 => wire.extend(wire.front().cloned()),
                    2 => {
                        if let Some(first) = wire.pop_front() {
                            wire.push_back(first);
                        }
                    }
                    _ => world.deliver(to_us),
                }
            }
            Step::Flow => world.flow(),
            Step::Wait(ms) => world.now += Duration::from_millis(ms.into()),
            Step::Close(us) => {
                if us {
                    world.us.close(now);
                } else {
                    world.liar.close(now);
                }
            }
        }
        world.timers();
        world.collect();
    }
    world.us.close(world.now);
    for _ in 0..400 {
        world.flow();
        let Some(next) = world.us.poll_timeout() else {
            break;
        };
        world.now = world.now.max(next);
        world.timers();
    }
    assert_eq!(world.us.poll_timeout(), None, "it never ends");
    memory.at_most(48 << 20);
});
