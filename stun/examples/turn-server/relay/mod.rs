//! The loop around [`Server`]: sockets on tokio, one lock around the machine.
//!
//! This folder stands alone: another program embeds the server with
//! `#[path = "…/turn-server/relay/mod.rs"] mod relay;` and
//! [`Relaying::start`].

mod stream;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;
use tincan_stun::attributes::{ConnectionId, Family};
use tincan_stun::integrity::Key;
use tincan_stun::turn::server::{
    Authenticator, Config, Event, FiveTuple, Input, PortDemand, RelayId, RestUsers, Server, Stats,
    Users,
};
use tincan_stun::turn::{MAX_DATA_HEADROOM, Transport};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;

/// Larger than any datagram.
const BUFFER: usize = MAX_DATA_HEADROOM + 65_536 + 3;

/// Messages that wait for a slow TCP client; more are dropped, as UDP would.
const STREAM_QUEUE: usize = 256;

/// Who may use the server.
pub(crate) enum Accounts {
    /// A list.
    Fixed(Users),
    /// Whoever shows a name and password made of a shared secret.
    Rest(RestUsers),
}

impl Authenticator for Accounts {
    fn key(
        &mut self,
        username: &str,
        realm: &str,
        algorithm: tincan_stun::attributes::PasswordAlgorithmId,
    ) -> Option<Key> {
        match self {
            Accounts::Fixed(users) => users.key(username, realm, algorithm),
            Accounts::Rest(users) => {
                users.set_time(SystemTime::now());
                users.key(username, realm, algorithm)
            }
        }
    }

    fn resolve(&mut self, hash: &[u8; 32], realm: &str) -> Option<String> {
        match self {
            Accounts::Fixed(users) => users.resolve(hash, realm),
            Accounts::Rest(users) => users.resolve(hash, realm),
        }
    }

    fn account<'u>(&self, username: &'u str) -> &'u str {
        match self {
            Accounts::Fixed(users) => users.account(username),
            Accounts::Rest(users) => users.account(username),
        }
    }
}

/// Where to listen.
#[derive(Default)]
pub(crate) struct Listeners {
    /// UDP.
    pub(crate) udp: Vec<SocketAddr>,
    /// TCP.
    pub(crate) tcp: Vec<SocketAddr>,
    /// TLS over TCP.
    pub(crate) tls: Option<(Vec<SocketAddr>, Arc<ServerConfig>)>,
}

/// Where relays are bound and what clients are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RelayAddresses {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
    public_v4: Option<IpAddr>,
    public_v6: Option<IpAddr>,
}

impl RelayAddresses {
    /// Binds relays of this family here.
    pub(crate) fn bind(&mut self, ip: IpAddr) {
        if ip.is_ipv4() {
            self.v4 = Some(ip)
        } else {
            self.v6 = Some(ip)
        }
    }

    /// Tells clients this address instead.
    pub(crate) fn announce(&mut self, ip: IpAddr) {
        if ip.is_ipv4() {
            self.public_v4 = Some(ip)
        } else {
            self.public_v6 = Some(ip)
        }
    }

    /// 127.0.0.1 when nothing was said.
    pub(crate) fn default_to_loopback(&mut self) {
        if self.v4.is_none() && self.v6.is_none() {
            self.v4 = Some(Ipv4Addr::LOCALHOST.into());
        }
    }

    pub(crate) fn has_ipv4(&self) -> bool {
        self.v4.is_some()
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.v6.is_some()
    }

    fn of(&self, family: Family) -> Option<(IpAddr, Option<IpAddr>)> {
        match family {
            Family::V4 => self.v4.map(|ip| (ip, self.public_v4)),
            Family::V6 => self.v6.map(|ip| (ip, self.public_v6)),
        }
    }
}

/// An open relay.
enum RelaySocket {
    Udp(Sender, JoinHandle<()>),
    Tcp(SocketAddr, JoinHandle<()>),
}

impl Drop for RelaySocket {
    fn drop(&mut self) {
        let (RelaySocket::Udp(_, task) | RelaySocket::Tcp(_, task)) = self;
        task.abort();
    }
}

struct State {
    server: Server,
    accounts: Accounts,
    addresses: RelayAddresses,
    udp: HashMap<SocketAddr, Sender>,
    relays: HashMap<RelayId, RelaySocket>,
    streams: HashMap<FiveTuple, mpsc::Sender<Vec<u8>>>,
    /// Peer connections (RFC 6062) that wait for their client.
    peers: HashMap<ConnectionId, TcpStream>,
    /// Peer connections for the streams that asked for them.
    splices: HashMap<FiveTuple, (ConnectionId, TcpStream)>,
    /// Those passed through; dropping one ends it.
    spliced: HashMap<ConnectionId, oneshot::Sender<()>>,
    out: Vec<u8>,
}

struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; stops when dropped.
pub(crate) struct Relaying {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
    listening: Vec<(&'static str, SocketAddr)>,
}

impl Drop for Relaying {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.lock().relays.clear();
    }
}

impl Relaying {
    /// Binds all and serves until dropped.
    pub(crate) async fn start(
        config: Config,
        accounts: Accounts,
        listeners: Listeners,
        addresses: RelayAddresses,
    ) -> io::Result<Relaying> {
        let state = State {
            server: Server::new(config, Instant::now(), &mut rand::rng()),
            accounts,
            addresses,
            udp: HashMap::new(),
            relays: HashMap::new(),
            streams: HashMap::new(),
            peers: HashMap::new(),
            splices: HashMap::new(),
            spliced: HashMap::new(),
            out: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
        });
        let (mut tasks, mut listening) = (Vec::new(), Vec::new());
        for addr in listeners.udp {
            let (socket, sender) = bind_udp(addr)?;
            let local = socket.local_addr()?;
            shared.lock().udp.insert(local, sender);
            listening.push(("udp", local));
            tasks.push(tokio::spawn(serve_udp(shared.clone(), socket, local)));
        }
        let (tls, certificate) = match listeners.tls {
            Some((addrs, config)) => (addrs, Some(config)),
            None => (Vec::new(), None),
        };
        let plain = listeners.tcp.into_iter().map(|addr| ("tcp", addr, None));
        for (kind, addr, tls) in plain.chain(
            tls.into_iter()
                .map(|addr| ("tls", addr, certificate.clone())),
        ) {
            let listener = TcpListener::bind(addr).await?;
            listening.push((kind, listener.local_addr()?));
            tasks.push(tokio::spawn(stream::accept(shared.clone(), listener, tls)));
        }
        tasks.push(tokio::spawn(run_timers(shared.clone())));
        Ok(Relaying {
            shared,
            tasks,
            listening,
        })
    }

    /// What it listens on.
    pub(crate) fn listening(&self) -> &[(&'static str, SocketAddr)] {
        &self.listening
    }

    /// Counters.
    pub(crate) fn stats(&self) -> Stats {
        self.shared.lock().server.stats()
    }
}

async fn serve_udp(shared: Arc<Shared>, socket: UdpSocket, local: SocketAddr) {
    let mut buffer = vec![0; BUFFER];
    loop {
        // Errors of a datagram socket are about datagrams sent before.
        let Ok((len, remote)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let client = FiveTuple {
            local,
            remote,
            transport: Transport::Udp,
        };
        take_input(&shared, client, &buffer[..len]);
    }
}

/// One message of a client: relayed at once, or answered.
fn take_input(shared: &Arc<Shared>, client: FiveTuple, message: &[u8]) {
    let mut guard = shared.lock();
    let state = &mut *guard;
    let now = Instant::now();
    match state
        .server
        .handle_input(now, client, message, &mut state.accounts)
    {
        Input::Relay {
            relay, peer, range, ..
        } => {
            if let Some(RelaySocket::Udp(sender, _)) = state.relays.get(&relay) {
                // A full socket buffer loses the datagram, as a router would.
                let _ = sender.send_to(&message[range], peer);
            }
        }
        Input::Consumed => state.pump(shared, now),
    }
}

/// Allocations end within a second of their time: nobody needs it finer.
async fn run_timers(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let mut state = shared.lock();
        let now = Instant::now();
        state.server.handle_timeout(now);
        state.pump(&shared, now);
    }
}

async fn serve_relay(shared: Arc<Shared>, socket: UdpSocket, relay: RelayId) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let room = &mut buffer[MAX_DATA_HEADROOM..BUFFER - 3];
        let Ok((len, from)) = socket.recv_from(room).await else {
            continue;
        };
        let mut guard = shared.lock();
        let state = &mut *guard;
        let payload = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + len;
        let now = Instant::now();
        let to = state
            .server
            .handle_peer_datagram(now, relay, from, &mut buffer, payload);
        if let Some(to) = to {
            state.write(&to.client, &buffer[to.range]);
        }
    }
}

impl State {
    fn write(&self, client: &FiveTuple, message: &[u8]) {
        match client.transport {
            Transport::Udp => {
                if let Some(sender) = self.udp.get(&client.local) {
                    let _ = sender.send_to(message, client.remote);
                }
            }
            Transport::Tcp => {
                if let Some(stream) = self.streams.get(client) {
                    let _ = stream.try_send(message.to_vec());
                }
            }
        }
    }

    /// Does what the server wants and sends what it has.
    fn pump(&mut self, shared: &Arc<Shared>, now: Instant) {
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::OpenRelay {
                    relay,
                    family,
                    port,
                    transport,
                } => match self.open(shared, relay, family, port, transport) {
                    Ok((addr, next)) => self.server.relay_opened(now, relay, addr, next),
                    Err(_) => self.server.relay_failed(now, relay),
                },
                Event::CloseRelay(relay) => drop(self.relays.remove(&relay)),
                Event::ConnectPeer {
                    relay,
                    connection,
                    peer,
                } => {
                    let from = match self.relays.get(&relay) {
                        Some(RelaySocket::Tcp(local, _)) => Some(*local),
                        _ => None,
                    };
                    tokio::spawn(stream::connect(shared.clone(), connection, from, peer));
                }
                Event::Splice { client, connection } => {
                    if let Some(peer) = self.peers.remove(&connection) {
                        self.splices.insert(client, (connection, peer));
                    }
                }
                Event::ClosePeer(connection) => {
                    self.peers.remove(&connection);
                    self.spliced.remove(&connection);
                    self.splices.retain(|_, (c, _)| *c != connection);
                }
                _ => {}
            }
        }
        let mut out = std::mem::take(&mut self.out);
        while let Some(transmit) = self.server.poll_transmit(now, &mut out) {
            self.write(&transmit.client, &out);
            out.clear();
        }
        self.out = out;
    }

    fn open(
        &mut self,
        shared: &Arc<Shared>,
        relay: RelayId,
        family: Family,
        port: PortDemand,
        transport: Transport,
    ) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
        let (ip, public) = self
            .addresses
            .of(family)
            .ok_or(io::ErrorKind::Unsupported)?;
        let told = |local: SocketAddr| SocketAddr::new(public.unwrap_or(ip), local.port());
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        // RFC 6056: a random port of the dynamic range, again if it is taken.
        for _ in 0..64 {
            let mut candidate = rand::rng().random_range(49_152..=65_534u16);
            if port != PortDemand::Any {
                candidate &= !1;
            }
            let at = SocketAddr::new(ip, candidate);
            let opened = match transport {
                Transport::Udp => bind_udp(at).map(|(socket, sender)| {
                    let task = tokio::spawn(serve_relay(shared.clone(), socket, relay));
                    RelaySocket::Udp(sender, task)
                }),
                Transport::Tcp => stream::listen(shared, relay, at),
            };
            let next = match (&opened, port) {
                (Ok(_), PortDemand::EvenAndNext(next)) => {
                    match bind_udp(SocketAddr::new(ip, candidate + 1)) {
                        Ok(sockets) => Some((next, sockets)),
                        Err(error) => {
                            last = error;
                            continue;
                        }
                    }
                }
                _ => None,
            };
            match opened {
                Ok(socket) => {
                    self.relays.insert(relay, socket);
                    let next = next.map(|(next, (socket, sender))| {
                        let task = tokio::spawn(serve_relay(shared.clone(), socket, next));
                        self.relays.insert(next, RelaySocket::Udp(sender, task));
                        told(SocketAddr::new(ip, candidate + 1))
                    });
                    return Ok((told(at), next));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A socket twice: what it is given to send goes to the system at once. Tokio's `try_send_to` sends nothing before the
/// runtime has looked at a new socket.
fn bind_udp(at: SocketAddr) -> io::Result<(UdpSocket, Sender)> {
    let sender = Sender::bind(at)?;
    sender.set_nonblocking(true)?;
    Ok((UdpSocket::from_std(sender.try_clone()?)?, sender))
}
