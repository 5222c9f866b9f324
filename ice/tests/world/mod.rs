//! Agents, STUN servers and a signalling channel on the simulator.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness: shared by several tests, and a fault in it is a failed test"
)]

pub mod bench;
pub mod topology;
pub mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    Agent, Candidate, CandidateKind, Config, ConnectionState, Credentials, Event, FailureReason,
    GatheringState, HostTransport, Input, LocalBase, RemoteOptions, Role, Source, Transport,
};
use tincan_sim::{Datagram, HostId, Network, Peer, Simulation, TcpCommand, TcpEvent};
use tincan_stun::attributes::XorMappedAddress;
use tincan_stun::framing::StreamDecoder;
use tincan_stun::message::{Class, Message, Method, Writer};

/// What travels between the applications.
#[derive(Debug, Clone)]
pub enum Signal {
    Credentials(Credentials, RemoteOptions),
    Candidate(Candidate),
    End,
}

/// One end: an agent, its sockets, and an application that counts.
pub struct End {
    pub agent: Agent,
    pub inbox: VecDeque<(Instant, Signal)>,
    pub outbox: VecDeque<Signal>,
    pub states: Vec<(Instant, ConnectionState)>,
    pub selections: Vec<(Instant, String)>,
    pub events: Vec<Event>,
    /// When the peer's first candidate that is not a host's came, or the last one.
    pub informed: Option<Instant>,
    /// First time data could be sent.
    pub connected: Option<Instant>,
    /// First time a nominated pair was selected.
    pub nominated: Option<Instant>,
    pub to_send: VecDeque<Vec<u8>>,
    pub received: Vec<Vec<u8>>,
    /// Drop what the application wants to send while there is no path.
    pub sent: usize,
    pub sent_datagrams: usize,
    ready: VecDeque<Datagram>,
    commands: VecDeque<TcpCommand>,
    /// Base and far end to the true local end.
    connections: BTreeMap<Key, Connection>,
    next_port: u16,
    /// TCP sockets whose connections leave from their own port.
    simultaneous: Vec<SocketAddr>,
    /// Neither hears nor speaks.
    pub mute: bool,
    /// Speaks, but does not hear.
    pub deaf: bool,
    /// Addresses in use, and the port of all of them.
    hosts: Vec<IpAddr>,
    port: u16,
    /// The driver does not tell about interfaces that come and go.
    pub blind: bool,
    last_seen: Instant,
}

/// Transport, base and far end.
type Key = (Transport, SocketAddr, SocketAddr);

struct Connection {
    local: SocketAddr,
    open: bool,
    waiting: Vec<u8>,
    decoder: Option<StreamDecoder>,
}

impl End {
    pub fn new(config: Config, now: Instant, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            agent: Agent::new(config, now, &mut rng),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            states: Vec::new(),
            selections: Vec::new(),
            events: Vec::new(),
            informed: None,
            connected: None,
            nominated: None,
            to_send: VecDeque::new(),
            received: Vec::new(),
            sent: 0,
            sent_datagrams: 0,
            ready: VecDeque::new(),
            commands: VecDeque::new(),
            connections: BTreeMap::new(),
            next_port: 50_000,
            simultaneous: Vec::new(),
            mute: false,
            deaf: false,
            hosts: Vec::new(),
            port: 0,
            blind: false,
            last_seen: now,
        }
    }

    pub fn options(lite: bool) -> RemoteOptions {
        RemoteOptions {
            lite,
            renomination: true,
            pacing: None,
        }
    }

    /// Begins: tells credentials, adds UDP sockets on these addresses.
    pub fn start(&mut self, now: Instant, addresses: &[IpAddr], port: u16) {
        let options = Self::options(self.agent.is_lite());
        self.start_with(now, addresses, port, options);
    }

    pub fn start_with(
        &mut self,
        now: Instant,
        addresses: &[IpAddr],
        port: u16,
        options: RemoteOptions,
    ) {
        let credentials = self.agent.local_credentials().clone();
        self.outbox
            .push_back(Signal::Credentials(credentials, options));
        self.hosts = addresses.to_vec();
        self.port = port;
        for (network, ip) in addresses.iter().enumerate() {
            let base = LocalBase::udp(SocketAddr::new(*ip, port))
                .with_network(u16::try_from(network).unwrap());
            self.agent.add_host(now, base).unwrap();
        }
        self.agent.end_of_hosts();
        self.news(now);
    }

    /// As [`start`](Self::start), all addresses being those of one interface.
    pub fn start_on_one_network(&mut self, now: Instant, addresses: &[IpAddr], port: u16) {
        let options = Self::options(self.agent.is_lite());
        let credentials = self.agent.local_credentials().clone();
        self.outbox
            .push_back(Signal::Credentials(credentials, options));
        self.hosts = addresses.to_vec();
        self.port = port;
        for ip in addresses {
            self.agent
                .add_host(now, LocalBase::udp(SocketAddr::new(*ip, port)))
                .unwrap();
        }
        self.agent.end_of_hosts();
        self.news(now);
    }

    fn addresses_changed(&mut self, now: Instant, addresses: &[IpAddr]) {
        if self.blind {
            return;
        }
        for gone in self.hosts.iter().filter(|ip| !addresses.contains(ip)) {
            let addr = SocketAddr::new(*gone, self.port);
            self.agent.remove_host(now, addr, HostTransport::Udp);
        }
        for (network, new) in addresses.iter().enumerate() {
            if !self.hosts.contains(new) {
                let base = LocalBase::udp(SocketAddr::new(*new, self.port))
                    .with_network(u16::try_from(network).unwrap());
                self.agent.add_host(now, base).unwrap();
            }
        }
        self.hosts = addresses.to_vec();
        self.news(now);
    }

    pub fn listen(&mut self, now: Instant, addr: SocketAddr) {
        self.agent
            .add_host(now, LocalBase::new(addr, HostTransport::TcpPassive))
            .unwrap();
        self.commands.push_back(TcpCommand::Listen(addr));
    }

    /// A TCP socket that opens connections at the same time as the far end.
    pub fn open(&mut self, now: Instant, addr: SocketAddr) {
        self.agent
            .add_host(
                now,
                LocalBase::new(addr, HostTransport::TcpSimultaneousOpen),
            )
            .unwrap();
        self.simultaneous.push(addr);
    }

    pub fn dial(&mut self, now: Instant, ip: IpAddr) {
        let addr = SocketAddr::new(ip, 9);
        self.agent
            .add_host(now, LocalBase::new(addr, HostTransport::TcpActive))
            .unwrap();
    }

    pub fn state(&self) -> ConnectionState {
        self.agent.state()
    }

    pub fn restart(&mut self, now: Instant) {
        self.agent.restart(now);
        let credentials = self.agent.local_credentials().clone();
        self.outbox.push_front(Signal::Credentials(
            credentials,
            Self::options(self.agent.is_lite()),
        ));
        self.news(now);
    }

    fn news(&mut self, now: Instant) {
        self.last_seen = now;
        while let Some(event) = self.agent.poll_event() {
            match &event {
                Event::Candidate(candidate) => {
                    self.outbox.push_back(Signal::Candidate(candidate.clone()));
                }
                Event::GatheringState(GatheringState::Complete) => {
                    self.outbox.push_back(Signal::End)
                }
                Event::ConnectionState(state) => self.states.push((now, *state)),
                Event::SelectedPair(pair) => {
                    self.selections
                        .push((now, format!("{} {}", pair.local, pair.remote)));
                }
                _ => {}
            }
            self.events.push(event);
        }
        if self.connected.is_none() && self.agent.can_send() {
            self.connected = Some(now);
        }
        if self.nominated.is_none() && self.agent.selected_pair().is_some_and(|p| p.nominated) {
            self.nominated = Some(now);
        }
    }

    fn signals(&mut self, now: Instant) {
        while self.inbox.front().is_some_and(|(at, _)| *at <= now) {
            let (_, signal) = self.inbox.pop_front().unwrap();
            match signal {
                Signal::Credentials(credentials, options) => {
                    if self
                        .agent
                        .remote_credentials()
                        .is_some_and(|c| *c != credentials)
                    {
                        // The peer restarts: so do we.
                        self.restart(now);
                    }
                    self.agent.set_remote_options(options);
                    self.agent.set_remote_credentials(now, credentials);
                }
                Signal::Candidate(candidate) => {
                    if candidate.kind != CandidateKind::Host {
                        self.informed.get_or_insert(now);
                    }
                    let line = candidate.to_string();
                    let _ = self.agent.add_remote_candidate(now, line.parse().unwrap());
                }
                Signal::End => {
                    self.informed.get_or_insert(now);
                    self.agent.end_of_remote_candidates(now);
                }
            }
        }
        self.news(now);
    }

    fn input(&mut self, now: Instant, source: Source, bytes: &[u8]) {
        if let Input::Data(range) = self.agent.handle_input(now, source, bytes) {
            self.received.push(bytes[range].to_vec());
        }
        self.news(now);
    }

    fn pump(&mut self, now: Instant) {
        let mut out = Vec::new();
        while let Some(transmit) = self.agent.poll_transmit(now, &mut out) {
            assert_eq!(transmit.len, out.len(), "one datagram a call");
            assert!(out.len() <= tincan_ice::limits::MAX_DATAGRAM);
            self.route(transmit, std::mem::take(&mut out));
        }
        assert!(out.is_empty());
        while !self.to_send.is_empty() && self.agent.can_send() {
            let payload = self.to_send.pop_front().unwrap();
            let headroom = self.agent.data_headroom();
            out.resize(headroom, 0);
            out.extend_from_slice(&payload);
            let transmit = self
                .agent
                .frame_data(now, &mut out, 0)
                .expect("can_send said so");
            self.sent += 1;
            self.route(transmit, std::mem::take(&mut out));
        }
        self.news(now);
    }

    fn route(&mut self, transmit: tincan_ice::Transmit, bytes: Vec<u8>) {
        self.sent_datagrams += 1;
        if transmit.transport == Transport::Udp {
            self.ready
                .push_back(Datagram::new(transmit.local, transmit.remote, bytes));
            return;
        }
        let key = (transmit.transport, transmit.local, transmit.remote);
        if !self.connections.contains_key(&key) {
            self.next_port += 1;
            let local = if self.simultaneous.contains(&transmit.local) {
                transmit.local
            } else {
                SocketAddr::new(transmit.local.ip(), self.next_port)
            };
            let connection = Connection {
                local,
                open: false,
                waiting: Vec::new(),
                decoder: None,
            };
            self.connections.insert(key, connection);
            self.commands.push_back(TcpCommand::Connect {
                local,
                remote: transmit.remote,
            });
        }
        let connection = self.connections.get_mut(&key).unwrap();
        if connection.open {
            self.commands.push_back(TcpCommand::Send {
                local: connection.local,
                remote: transmit.remote,
                bytes,
            });
        } else {
            connection.waiting.extend_from_slice(&bytes);
        }
    }

    fn key_of(&self, local: SocketAddr, remote: SocketAddr) -> Option<Key> {
        self.connections
            .iter()
            .find(|((_, _, r), c)| c.local == local && *r == remote)
            .map(|(key, _)| *key)
    }

    fn tcp_data(&mut self, now: Instant, key: Key, bytes: &[u8]) {
        let source = Source {
            transport: key.0,
            local: key.1,
            remote: key.2,
        };
        let framing = self.agent.stream_framing(source);
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        let mut decoder = connection
            .decoder
            .take()
            .unwrap_or_else(|| StreamDecoder::new(framing));
        decoder.extend(bytes);
        while let Ok(Some(packet)) = decoder.next_packet() {
            let packet = packet.to_vec();
            self.input(now, source, &packet);
        }
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.decoder = Some(decoder);
        }
    }
}

/// Answers Binding requests, by UDP and by TCP.
pub struct StunServer {
    ready: VecDeque<Datagram>,
    commands: VecDeque<TcpCommand>,
    pub answered: usize,
    pub silent: bool,
}

impl StunServer {
    fn answer(&mut self, request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let message = Message::parse(request).ok()?;
        if message.class() != Class::Request || self.silent {
            return None;
        }
        let (id, mut out) = (message.transaction_id(), Vec::new());
        Writer::new(&mut out, Class::Success, Method::BINDING, id)
            .push(&XorMappedAddress(from))
            .fingerprint()
            .finish()
            .unwrap();
        self.answered += 1;
        Some(out)
    }
}

/// Whatever stands on a host.
pub enum Node {
    End(Box<End>),
    Stun(StunServer),
    Turn(Box<turn::TurnServer>),
}

impl Node {
    pub fn stun() -> Self {
        Self::Stun(StunServer {
            ready: VecDeque::new(),
            commands: VecDeque::new(),
            answered: 0,
            silent: false,
        })
    }

    /// One that listens for connections too.
    pub fn stun_with_tcp(addr: SocketAddr) -> Self {
        let mut node = Self::stun();
        if let Self::Stun(server) = &mut node {
            server.commands.push_back(TcpCommand::Listen(addr));
        }
        node
    }

    pub fn turn(ip: IpAddr) -> Self {
        Self::Turn(Box::new(turn::TurnServer::new(ip)))
    }

    pub fn end(&mut self) -> &mut End {
        match self {
            Self::End(end) => end,
            _ => panic!("not an agent"),
        }
    }
}

impl Peer for Node {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        match self {
            Self::End(end) => {
                if !end.mute && !end.deaf {
                    end.input(
                        now,
                        Source::udp(datagram.dst, datagram.src),
                        &datagram.payload,
                    );
                }
            }
            Self::Turn(server) => server.datagram(datagram),
            Self::Stun(server) => {
                let Some(out) = server.answer(&datagram.payload, datagram.src) else {
                    return;
                };
                server
                    .ready
                    .push_back(Datagram::new(datagram.dst, datagram.src, out));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Self::End(end) = self {
            end.signals(now);
            if end.agent.poll_timeout().is_some_and(|at| at <= now) {
                end.agent.handle_timeout(now);
            }
            end.news(now);
            end.pump(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::End(end) => {
                let signal = end.inbox.front().map(|(at, _)| *at);
                [signal, end.agent.poll_timeout()]
                    .into_iter()
                    .flatten()
                    .min()
            }
            _ => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        match self {
            Self::End(end) => {
                if end.ready.is_empty() {
                    end.pump(now);
                }
                if end.mute {
                    end.ready.clear();
                }
                end.ready.pop_front()
            }
            Self::Stun(server) => server.ready.pop_front(),
            Self::Turn(server) => server.ready.pop_front(),
        }
    }

    fn handle_addresses(&mut self, now: Instant, addresses: &[IpAddr]) {
        if let Self::End(end) = self {
            end.addresses_changed(now, addresses);
        }
    }

    fn handle_tcp(&mut self, now: Instant, event: TcpEvent) {
        let end = match self {
            Self::End(end) => end,
            Self::Turn(server) => return server.stream(event),
            Self::Stun(server) => {
                // Requests are small enough to come whole.
                if let TcpEvent::Data {
                    local,
                    remote,
                    bytes,
                } = event
                    && let Some(bytes) = server.answer(&bytes, remote)
                {
                    server.commands.push_back(TcpCommand::Send {
                        local,
                        remote,
                        bytes,
                    });
                }
                return;
            }
        };
        match event {
            TcpEvent::Connected { local, remote } => {
                let Some(key) = end.key_of(local, remote) else {
                    return;
                };
                let connection = end.connections.get_mut(&key).unwrap();
                connection.open = true;
                let bytes = std::mem::take(&mut connection.waiting);
                end.commands.push_back(TcpCommand::Send {
                    local,
                    remote,
                    bytes,
                });
            }
            TcpEvent::Accepted { local, remote } => {
                let connection = Connection {
                    local,
                    open: true,
                    waiting: Vec::new(),
                    decoder: None,
                };
                end.connections
                    .insert((Transport::Tcp, local, remote), connection);
            }
            TcpEvent::Data {
                local,
                remote,
                bytes,
            } => {
                if let Some(key) = end.key_of(local, remote) {
                    end.tcp_data(now, key, &bytes);
                }
            }
            TcpEvent::Closed { local, remote } => {
                if let Some(key) = end.key_of(local, remote) {
                    end.connections.remove(&key);
                    let source = Source {
                        transport: key.0,
                        local: key.1,
                        remote: key.2,
                    };
                    if !end.agent.server_failed_at(now, source, "connection lost") {
                        end.agent
                            .path_failed(now, source, FailureReason::ConnectionLost);
                    }
                    end.news(now);
                }
            }
        }
    }

    fn poll_tcp(&mut self, _now: Instant) -> Option<TcpCommand> {
        match self {
            Self::End(end) => end.commands.pop_front(),
            Self::Turn(server) => server.commands.pop_front(),
            Self::Stun(server) => server.commands.pop_front(),
        }
    }
}

/// Two ends (peers 0 and 1) and whatever else.
pub struct World {
    pub sim: Simulation<Node>,
    pub signalling: Duration,
    hosts: [HostId; 2],
}

impl World {
    pub fn new(network: Network, a: (HostId, Config), b: (HostId, Config)) -> Self {
        let now = network.now();
        let seed = network.seed();
        let hosts = [a.0, b.0];
        let mut sim = Simulation::new(network);
        sim.add_peer(
            a.0,
            Node::End(Box::new(End::new(a.1, now, seed.wrapping_mul(2)))),
        );
        sim.add_peer(
            b.0,
            Node::End(Box::new(End::new(
                b.1,
                now,
                seed.wrapping_mul(2).wrapping_add(1),
            ))),
        );
        Self {
            sim,
            signalling: Duration::from_millis(20),
            hosts,
        }
    }

    pub fn hosts(&self) -> [HostId; 2] {
        self.hosts
    }

    pub fn now(&self) -> Instant {
        self.sim.now()
    }

    pub fn end(&mut self, n: usize) -> &mut End {
        self.sim.peers_mut()[n].end()
    }

    /// Runs until the condition holds; `false` if it did not within the limit.
    pub fn until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut End, &mut End) -> bool,
    ) -> bool {
        let delay = self.signalling;
        let result = self.sim.run_until(limit, |peers| {
            let (a, b) = peers.split_at_mut(1);
            let (a, b) = (a[0].end(), b[0].end());
            shuttle(a, b, delay);
            shuttle(b, a, delay);
            done(a, b)
        });
        result.is_ok()
    }

    pub fn run_for(&mut self, time: Duration) {
        self.until(time, |_, _| false);
    }

    pub fn both_connected(&mut self, limit: Duration) -> bool {
        self.until(limit, |a, b| a.agent.can_send() && b.agent.can_send())
    }

    pub fn both_nominated(&mut self, limit: Duration) -> bool {
        self.until(limit, |a, b| {
            let nominated = |e: &End| e.agent.selected_pair().is_some_and(|p| p.nominated);
            nominated(a) && nominated(b)
        })
    }
}

fn shuttle(from: &mut End, to: &mut End, delay: Duration) {
    while let Some(signal) = from.outbox.pop_front() {
        to.inbox.push_back((from.last_seen + delay, signal));
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn role(role: Role) -> Config {
    Config::new().with_role(role)
}
