//! A TURN client and a server with a network between them that drops,
//! duplicates, reorders and damages: no panic, no timer that sticks, tables
//! that empty in the end.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_stun::turn::client::{Client, Config, Families, Port};
use tincan_stun::turn::server::{self, Event, FiveTuple, RelayId, Server, Users};
use tincan_stun::turn::{MAX_DATA_HEADROOM, Transport};

#[derive(Arbitrary, Debug)]
enum Op {
    Deliver,
    Drop,
    Duplicate,
    Rotate,
    Damage(u16, u8),
    Wait(u16),
    Permit(u8),
    Bind(u8),
    Send(u8, u8),
    FromPeer(u8, u8),
    Raw(bool, Vec<u8>),
    FailRelays(bool),
    Close,
}

#[derive(Arbitrary, Debug)]
struct Case {
    both: bool,
    even: bool,
    mobility: bool,
    ops: Vec<Op>,
}

struct World {
    now: Instant,
    client: Client,
    server: Server,
    users: Users,
    tuple: FiveTuple,
    /// To the server or to the client.
    wire: VecDeque<(bool, Vec<u8>)>,
    relays: Vec<RelayId>,
    fail: bool,
}

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, n % 4], 7000 + u16::from(n / 4)))
}

impl World {
    fn settle(&mut self) {
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        let mut out = Vec::new();
        while self.client.poll_transmit(self.now, &mut out).is_some() {
            self.wire.push_back((true, std::mem::take(&mut out)));
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::OpenRelay { relay, .. } if self.fail => {
                    self.server.relay_failed(self.now, relay);
                }
                Event::OpenRelay { relay, .. } => {
                    self.relays.push(relay);
                    let port = 50_000 + 2 * (relay.index() as u16 % 1000);
                    let at = |port| SocketAddr::from(([203, 0, 113, 1], port));
                    self.server
                        .relay_opened(self.now, relay, at(port), Some(at(port + 1)));
                }
                Event::CloseRelay(relay) => self.relays.retain(|r| *r != relay),
                _ => {}
            }
        }
        while self.server.poll_transmit(self.now, &mut out).is_some() {
            self.wire.push_back((false, std::mem::take(&mut out)));
        }
        while self.client.poll_event().is_some() {}
    }

    fn deliver(&mut self) {
        let Some((to_server, octets)) = self.wire.pop_front() else {
            return;
        };
        if to_server {
            self.server
                .handle_input(self.now, self.tuple, &octets, &mut self.users);
        } else {
            self.client
                .handle_input(self.now, self.tuple.local, &octets);
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Deliver => self.deliver(),
            Op::Drop => drop(self.wire.pop_front()),
            Op::Duplicate => self.wire.extend(self.wire.front().cloned()),
            Op::Rotate => {
                if let Some(first) = self.wire.pop_front() {
                    self.wire.push_back(first);
                }
            }
            Op::Damage(at, with) => {
                if let Some((_, octets)) = self.wire.front_mut()
                    && !octets.is_empty()
                {
                    let at = usize::from(at) % octets.len();
                    octets[at] ^= with;
                }
            }
            Op::Wait(ms) => self.now += Duration::from_millis(u64::from(ms) * 20),
            Op::Permit(n) => drop(self.client.permit(self.now, peer(n).ip())),
            Op::Bind(n) => drop(self.client.bind_channel(self.now, peer(n))),
            Op::Send(n, len) => {
                if let Some(head) = self.client.data_headroom(self.now, &peer(n)) {
                    let mut out = vec![7; head + usize::from(len)];
                    let sent = self.client.frame_data(self.now, peer(n), &mut out, 0, head);
                    sent.expect("what the headroom promised");
                    self.wire.push_back((true, out));
                }
            }
            Op::FromPeer(n, len) => {
                for relay in self.relays.clone() {
                    let mut buffer = vec![9; MAX_DATA_HEADROOM + usize::from(len) + 3];
                    let payload = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + usize::from(len);
                    let to = self.server.handle_peer_datagram(
                        self.now,
                        relay,
                        peer(n),
                        &mut buffer,
                        payload,
                    );
                    if let Some(to) = to {
                        self.wire.push_back((false, buffer[to.range].to_vec()));
                    }
                }
            }
            Op::Raw(to_server, octets) => self.wire.push_back((to_server, octets)),
            Op::FailRelays(fail) => self.fail = fail,
            Op::Close => self.client.close(self.now),
        }
        // A caller's loop may grow it; memory of the test itself stays bounded.
        self.wire.truncate(256);
        self.settle();
    }
}

fuzz_target!(|case: Case| {
    let now = Instant::now();
    let mut users = Users::new("fuzz");
    users.add("u", "p");
    let local = SocketAddr::from(([192, 0, 2, 1], 3478));
    let mut config = Config::new(local, "u", "p").mobility(case.mobility);
    if case.both {
        config = config.families(Families::Both);
    } else if case.even {
        config = config.port(Port::EvenAndReserveNext);
    }
    let settings = server::Config::new("fuzz")
        .families(true, true)
        .mobility(true);
    let mut world = World {
        now,
        client: Client::new(config, now, &mut StdRng::seed_from_u64(1)),
        server: Server::new(settings, now, &mut StdRng::seed_from_u64(2)),
        users,
        tuple: FiveTuple {
            local,
            remote: SocketAddr::from(([198, 51, 100, 9], 4000)),
            transport: Transport::Udp,
        },
        wire: VecDeque::new(),
        relays: Vec::new(),
        fail: false,
    };
    world.settle();
    for op in case.ops.into_iter().take(400) {
        world.apply(op);
    }
    // Nothing arrives any more: all must end, and every timer with it.
    world.wire.clear();
    for _ in 0..20_000 {
        let next = [world.client.poll_timeout(), world.server.poll_timeout()];
        let Some(next) = next.into_iter().flatten().min() else {
            break;
        };
        world.now = world.now.max(next);
        world.settle();
        world.wire.clear();
    }
    assert_eq!(world.client.poll_timeout(), None, "{:?}", world.client);
    assert_eq!(world.server.poll_timeout(), None);
    assert_eq!(world.server.stats().allocations, 0);
});
