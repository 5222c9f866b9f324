//! A TURN server and several clients who know the password and mean no good: signed requests of every method with any
//! attributes, relays that fail, peers' datagrams and connections, time. No panic, no stuck timer, tables within the
//! quotas, nothing left in the end, and bytes that nobody signed make no allocation.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_fuzz::Memory;
use tincan_stun::attributes::{ConnectionId, XorPeerAddress};
use tincan_stun::credentials::LongTerm;
use tincan_stun::message::{AttributeType, Class, Message, Method, TransactionId, Writer};
use tincan_stun::turn::server::{Config, Discovery, Event, FiveTuple, RelayId, Server, Users};
use tincan_stun::turn::{MAX_DATA_HEADROOM, Transport};

#[derive(Arbitrary, Debug)]
struct Case {
    tcp: bool,
    mobility: bool,
    algorithms: bool,
    discovery: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// A request, signed or not.
    Ask {
        client: u8,
        method: u8,
        signed: bool,
        attributes: Vec<Piece>,
    },
    /// What a client would send to allocate.
    Allocate {
        client: u8,
        protocol: u8,
        extras: Vec<Piece>,
    },
    Raw(u8, Vec<u8>),
    ChannelData(u8, u8, u8),
    FromPeer {
        relay: u8,
        peer: u8,
        len: u8,
    },
    PeerConnects(u8, u8),
    PeerConnected(u8, bool),
    PeerGone(u8),
    Gone(u8),
    FailRelays(bool),
    Wait(u16),
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Peer(u8),
    Channel(u8),
    Lifetime(u8),
    Family(u8),
    AdditionalFamily(u8),
    EvenPort(bool),
    Token(u8),
    DontFragment,
    Data(u8),
    Connection(u8),
    Ticket(u8),
    Raw(u8, Vec<u8>),
}

struct World {
    now: Instant,
    server: Server,
    users: Users,
    accounts: Vec<LongTerm>,
    relays: Vec<RelayId>,
    connections: Vec<ConnectionId>,
    tokens: Vec<Vec<u8>>,
    tickets: Vec<Vec<u8>>,
    fail: bool,
    rng: StdRng,
}

const METHODS: [Method; 10] = [
    Method::BINDING,
    Method::ALLOCATE,
    Method::REFRESH,
    Method::SEND,
    Method::DATA,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
    Method::CONNECTION_ATTEMPT,
];
const QUOTA: usize = 6;

fn tuple(n: u8) -> FiveTuple {
    FiveTuple {
        local: SocketAddr::from(([192, 0, 2, 1], 3478)),
        remote: SocketAddr::from(([198, 51, 100, n % 8], 4000)),
        transport: if n & 8 == 0 {
            Transport::Udp
        } else {
            Transport::Tcp
        },
    }
}

fn peer(n: u8) -> SocketAddr {
    if n & 128 != 0 {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n % 4)], 7000))
    } else {
        SocketAddr::from(([203, 0, 113, 64 + n % 4], 7000 + u16::from(n / 4)))
    }
}

impl World {
    fn push<'b>(&self, writer: Writer<'b>, piece: &Piece) -> Writer<'b> {
        let raw = |w: Writer<'b>, kind, value: &[u8]| w.push_raw(AttributeType(kind), value);
        match piece {
            Piece::Peer(n) => writer.push(&XorPeerAddress(peer(*n))),
            Piece::Channel(n) => raw(writer, 0x000c, &[0x40 | n >> 6, *n, 0, 0]),
            Piece::Lifetime(n) => raw(
                writer,
                0x000d,
                &u32::from(*n).wrapping_mul(30).to_be_bytes(),
            ),
            Piece::Family(n) => raw(writer, 0x0017, &[1 + n % 3, 0, 0, 0]),
            Piece::AdditionalFamily(n) => raw(writer, 0x8000, &[1 + n % 3, 0, 0, 0]),
            Piece::EvenPort(reserve) => raw(writer, 0x0018, &[u8::from(*reserve) << 7]),
            Piece::Token(n) => {
                let token = self.tokens.get(usize::from(*n)).cloned();
                raw(writer, 0x0022, &token.unwrap_or_else(|| vec![*n; 8]))
            }
            Piece::DontFragment => raw(writer, 0x001a, &[]),
            Piece::Data(len) => raw(writer, 0x0013, &vec![5; usize::from(*len)]),
            Piece::Connection(n) => match self.connections.get(usize::from(*n)) {
                Some(id) => writer.push(id),
                None => writer.push(&ConnectionId(u32::from(*n))),
            },
            Piece::Ticket(n) => {
                let ticket = self.tickets.get(usize::from(*n)).cloned();
                raw(writer, 0x8030, &ticket.unwrap_or_default())
            }
            Piece::Raw(kind, value) => raw(
                writer,
                u16::from(*kind & 0x7f) | u16::from(kind & 0x80) << 8,
                value,
            ),
        }
    }

    fn ask(
        &mut self,
        client: u8,
        method: Method,
        signed: bool,
        first: Option<Piece>,
        rest: &[Piece],
    ) {
        let mut out = Vec::new();
        let id = TransactionId::random(&mut self.rng);
        let class = if matches!(method, Method::SEND | Method::DATA) {
            Class::Indication
        } else {
            Class::Request
        };
        let mut writer = Writer::new(&mut out, class, method, id);
        for piece in first.iter().chain(rest).take(24) {
            writer = self.push(writer, piece);
        }
        let account = &self.accounts[usize::from(client) % self.accounts.len()];
        if signed {
            writer = account.sign(writer);
        }
        if writer.finish().is_ok() {
            self.give(client, &out);
        }
    }

    fn give(&mut self, client: u8, datagram: &[u8]) {
        let input = self
            .server
            .handle_input(self.now, tuple(client), datagram, &mut self.users);
        if let tincan_stun::turn::server::Input::Relay { range, .. } = input {
            assert!(range.end <= datagram.len());
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.server.handle_timeout(self.now);
        let mut rounds = 0;
        while let Some(event) = self.server.poll_event() {
            rounds += 1;
            assert!(rounds < 10_000, "events without end");
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
                Event::ConnectPeer { connection, .. } => self.connections.push(connection),
                Event::ClosePeer(connection) => self.connections.retain(|c| *c != connection),
                _ => {}
            }
        }
        let mut out = Vec::new();
        while let Some(t) = self.server.poll_transmit(self.now, &mut out) {
            assert_eq!(t.len, out.len());
            let message = Message::parse(&out).expect("our own message");
            let from = usize::from(t.client.remote.ip().is_ipv4());
            let _ = from;
            if message.class() == Class::Error {
                for account in &mut self.accounts {
                    let _ = account.challenged(&message, false);
                }
            }
            for (kind, list) in [(0x0022, &mut self.tokens), (0x8030, &mut self.tickets)] {
                if let Some(value) = message.raw(AttributeType(kind))
                    && list.len() < 16
                {
                    list.push(value.to_vec());
                }
            }
            out.clear();
        }
        assert!(self.server.stats().allocations <= QUOTA);
        assert!(
            self.server.poll_timeout().is_none_or(|at| at > self.now),
            "a stuck timer"
        );
    }

    fn apply(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Ask {
                client,
                method,
                signed,
                attributes,
            } => {
                let method = METHODS[usize::from(method) % METHODS.len()];
                let before = self.server.stats().allocations;
                self.ask(client, method, signed, None, &attributes);
                if !signed {
                    assert!(self.server.stats().allocations <= before);
                }
            }
            Op::Allocate {
                client,
                protocol,
                extras,
            } => {
                let number = if protocol & 1 == 0 { 17 } else { 6 };
                let transport = Piece::Raw(0x19, vec![number, 0, 0, 0]);
                self.ask(client, Method::ALLOCATE, true, Some(transport), &extras);
            }
            Op::Raw(client, bytes) => {
                let before = self.server.stats().allocations;
                self.give(client, &bytes);
                assert!(self.server.stats().allocations <= before);
            }
            Op::ChannelData(client, channel, len) => {
                let mut bytes = vec![0x40 | channel >> 6, channel, 0, len];
                bytes.resize(4 + usize::from(len), 9);
                self.give(client, &bytes);
            }
            Op::FromPeer {
                relay,
                peer: n,
                len,
            } => {
                let Some(relay) = self.relays.get(usize::from(relay)).copied() else {
                    return;
                };
                let mut buffer = vec![9; MAX_DATA_HEADROOM + usize::from(len) + 3];
                let payload = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + usize::from(len);
                self.server
                    .handle_peer_datagram(now, relay, peer(n), &mut buffer, payload);
            }
            Op::PeerConnects(relay, n) => {
                if let Some(relay) = self.relays.get(usize::from(relay)).copied() {
                    let id = self.server.peer_incoming(now, relay, peer(n));
                    self.connections.extend(id);
                }
            }
            Op::PeerConnected(n, yes) => {
                if let Some(id) = self.connections.get(usize::from(n)) {
                    self.server.peer_connected(now, *id, yes);
                }
            }
            Op::PeerGone(n) => {
                if usize::from(n) < self.connections.len() {
                    let id = self.connections.remove(usize::from(n));
                    self.server.peer_disconnected(id);
                }
            }
            Op::Gone(client) => self.server.client_disconnected(&tuple(client)),
            Op::FailRelays(fail) => self.fail = fail,
            Op::Wait(ms) => self.now += Duration::from_millis(u64::from(ms) * 10),
        }
        self.connections.truncate(256);
        self.settle();
    }
}

fuzz_target!(|case: Case| {
    let memory = Memory::watch();
    let now = Instant::now();
    let mut users = Users::new("fuzz");
    users.add("u", "p");
    users.add("v", "q");
    let mut config = Config::new("fuzz")
        .families(true, true)
        .mobility(case.mobility)
        .tcp_relay(case.tcp)
        .password_algorithms(case.algorithms)
        .strangers(1_000_000)
        .quotas(QUOTA, 4);
    if case.discovery {
        config = config.discovery(Discovery {
            primary: SocketAddr::from(([192, 0, 2, 1], 3478)),
            alternate: SocketAddr::from(([192, 0, 2, 2], 3479)),
        });
    }
    let mut world = World {
        now,
        server: Server::new(config, now, &mut StdRng::seed_from_u64(2)),
        users,
        accounts: vec![LongTerm::new("u", "p"), LongTerm::new("v", "q")],
        relays: Vec::new(),
        connections: Vec::new(),
        tokens: Vec::new(),
        tickets: Vec::new(),
        fail: false,
        rng: StdRng::seed_from_u64(3),
    };
    // Both accounts learn realm and nonce.
    for client in 0..2 {
        world.ask(client, Method::ALLOCATE, false, None, &[]);
    }
    assert!(world.accounts.iter().all(LongTerm::is_ready));
    for op in case.ops.into_iter().take(300) {
        world.apply(op);
    }
    for _ in 0..10_000 {
        let Some(next) = world.server.poll_timeout() else {
            break;
        };
        world.now = world.now.max(next);
        world.settle();
    }
    assert_eq!(world.server.poll_timeout(), None);
    assert_eq!(world.server.stats().allocations, 0);
    memory.at_most(8 << 20);
});
