//! A TURN client of ours on real sockets, for coturn and our server.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tincan_stun::attributes::ConnectionId;
use tincan_stun::framing::{Framing, StreamDecoder};
use tincan_stun::turn::Transport;
use tincan_stun::turn::client::*;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a read waits; nothing is decided by it.
const MOMENT: Duration = Duration::from_millis(50);

/// A client that trusts this certificate and nothing else.
pub(crate) fn trusting(made: &CertifiedKey<KeyPair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// What lies between client and server.
#[derive(Clone)]
pub(crate) enum Carrier {
    Udp,
    Tcp,
    Tls(Arc<ClientConfig>),
}

impl Carrier {
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Carrier::Udp => Transport::Udp,
            _ => Transport::Tcp,
        }
    }

    /// A connection to the server.
    pub(crate) fn connect(&self, server: SocketAddr) -> Box<dyn Wire> {
        let begin = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(server) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
        };
        stream.set_nodelay(true).unwrap();
        // A write that takes longer than that takes for ever.
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        match self {
            Carrier::Tls(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let mut connection = ClientConnection::new(config.clone(), name).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                while connection.is_handshaking() {
                    connection.complete_io(&mut stream).unwrap();
                }
                stream.set_read_timeout(Some(MOMENT)).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            }
            _ => {
                stream.set_read_timeout(Some(MOMENT)).unwrap();
                Box::new(stream)
            }
        }
    }
}

/// A stream whose reads end after a moment.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// Reads what is there: `None` when nothing came, nothing at the end.
fn read(wire: &mut dyn Wire) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    match wire.read(&mut buffer) {
        Ok(len) => {
            buffer.truncate(len);
            Some(buffer)
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        // A connection cut without TLS's good-bye, or reset, has ended too.
        Err(_) => Some(Vec::new()),
    }
}

enum Link {
    Udp(UdpSocket),
    Stream(Box<dyn Wire>, StreamDecoder),
}

/// A client with its socket, driven until something happens.
pub(crate) struct Driven {
    pub(crate) client: Client,
    link: Link,
    carrier: Carrier,
    data: Vec<(SocketAddr, Vec<u8>)>,
}

impl Driven {
    pub(crate) fn new(config: Config, carrier: Carrier) -> Driven {
        let mut rng = StdRng::seed_from_u64(1);
        let config = config.transport(carrier.transport());
        let client = Client::new(config, Instant::now(), &mut rng);
        let link = match carrier {
            Carrier::Udp => Link::Udp(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()),
            _ => Link::Stream(
                carrier.connect(client.server()),
                StreamDecoder::new(Framing::Turn),
            ),
        };
        Driven {
            client,
            link,
            carrier,
            data: Vec::new(),
        }
    }

    fn write(&mut self, octets: &[u8], to: SocketAddr) {
        match &mut self.link {
            Link::Udp(socket) => drop(socket.send_to(octets, to).unwrap()),
            Link::Stream(wire, _) => {
                wire.write_all(octets).unwrap();
                wire.flush().unwrap();
            }
        }
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, payload: &[u8]) -> usize {
        let now = Instant::now();
        let headroom = self.client.data_headroom(now, &peer).expect("sendable");
        let mut out = vec![0; headroom];
        out.extend_from_slice(payload);
        self.client
            .frame_data(now, peer, &mut out, 0, headroom)
            .unwrap();
        let server = self.client.server();
        self.write(&out, server);
        headroom
    }

    /// One turn: out what is due, in what arrives within the next timeout.
    pub(crate) fn turn(&mut self) {
        let mut out = Vec::new();
        self.client.handle_timeout(Instant::now());
        while let Some(t) = self.client.poll_transmit(Instant::now(), &mut out) {
            let octets = std::mem::take(&mut out);
            self.write(&octets, t.remote);
        }
        let mut buffer = [0; 65_536];
        let server = self.client.server();
        let mut take = |client: &mut Client, from, packet: &[u8]| {
            if let Input::Data { peer, range } = client.handle_input(Instant::now(), from, packet) {
                self.data.push((peer, packet[range].to_vec()));
            }
        };
        match &mut self.link {
            Link::Udp(socket) => {
                socket.set_read_timeout(Some(MOMENT)).unwrap();
                if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    take(&mut self.client, from, &buffer[..len]);
                }
            }
            Link::Stream(wire, decoder) => {
                if let Some(octets) = read(wire.as_mut()) {
                    assert!(!octets.is_empty(), "the server hung up");
                    decoder.extend(&octets);
                    while let Some(packet) = decoder.next_packet().unwrap() {
                        take(&mut self.client, server, packet);
                    }
                }
            }
        }
    }

    pub(crate) fn event(&mut self) -> Event {
        let begin = Instant::now();
        loop {
            if let Some(event) = self.client.poll_event() {
                return event;
            }
            assert!(begin.elapsed() < PATIENCE, "no event: {:?}", self.client);
            self.turn();
        }
    }

    pub(crate) fn receive(&mut self) -> (SocketAddr, Vec<u8>) {
        let begin = Instant::now();
        while self.data.is_empty() {
            assert!(begin.elapsed() < PATIENCE, "no data");
            self.turn();
        }
        self.data.remove(0)
    }
}

/// A connection to the server that became one to a peer (RFC 6062).
pub(crate) struct DataLink {
    machine: DataConnection,
    wire: Box<dyn Wire>,
    got: Vec<u8>,
    ended: bool,
}

impl Driven {
    /// Opens the data connection of `id`.
    pub(crate) fn open(&mut self, id: ConnectionId) -> DataLink {
        let now = Instant::now();
        let mut link = DataLink {
            machine: self.client.data_connection(now, id),
            wire: self.carrier.connect(self.client.server()),
            got: Vec::new(),
            ended: false,
        };
        while *link.machine.state() == DataConnectionState::Binding {
            assert!(now.elapsed() < PATIENCE, "not bound: {:?}", link.machine);
            let mut out = Vec::new();
            if link
                .machine
                .poll_transmit(Instant::now(), &mut out)
                .is_some()
            {
                link.write(&out);
            }
            link.turn();
        }
        assert_eq!(*link.machine.state(), DataConnectionState::Open);
        link
    }
}

impl DataLink {
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.wire.write_all(octets).unwrap();
        self.wire.flush().unwrap();
    }

    fn turn(&mut self) {
        if let Some(octets) = read(self.wire.as_mut()) {
            self.ended |= octets.is_empty();
            let data = self.machine.handle_input(Instant::now(), &octets);
            self.got.extend_from_slice(&data);
        }
    }

    /// The next so many octets of the peer.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let begin = Instant::now();
        while self.got.len() < len {
            assert!(
                begin.elapsed() < PATIENCE && !self.ended,
                "{}",
                self.got.len()
            );
            self.turn();
        }
        self.got.drain(..len).collect()
    }

    /// Waits for the end of the connection.
    pub(crate) fn wait_for_end(&mut self) {
        let begin = Instant::now();
        while !self.ended {
            assert!(begin.elapsed() < PATIENCE, "the connection stays open");
            self.turn();
        }
    }
}

/// The whole of RFC 6062 against a server on loopback: connections to a peer
/// and from one, octets both ways, and their end with the allocation.
pub(crate) fn tcp_relay_scenario(config: Config, carrier: Carrier) {
    use std::net::TcpListener;
    let mut ours = Driven::new(config.relay(RelayTransport::Tcp), carrier);
    let Event::Allocated(allocation) = ours.event() else {
        panic!("no allocation")
    };
    let relayed = allocation.relayed_v4.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer_addr = listener.local_addr().unwrap();
    ours.client.permit(Instant::now(), peer_addr.ip()).unwrap();
    assert_eq!(ours.event(), Event::Permitted(peer_addr.ip()));

    let there: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
    let back: Vec<u8> = there.iter().map(|b| b ^ 0x5A).collect();
    let both_ways = |link: &mut DataLink, mut peer: TcpStream| {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_write_timeout(Some(PATIENCE)).unwrap();
        link.write(&there);
        let mut got = vec![0; there.len()];
        peer.read_exact(&mut got).unwrap();
        assert!(got == there, "to the peer");
        peer.write_all(&back).unwrap();
        assert!(link.take(back.len()) == back, "from the peer");
        peer
    };

    // To the peer.
    ours.client.connect(Instant::now(), peer_addr).unwrap();
    let (to, id) = match ours.event() {
        Event::Connected(to, id) => (to, id),
        other => panic!("{other:?}"),
    };
    assert_eq!(to, peer_addr);
    let (peer, from) = listener.accept().unwrap();
    assert_eq!(from, relayed);
    let mut first = ours.open(id);
    let first_peer = both_ways(&mut first, peer);

    // From the peer, which speaks before it is heard.
    let mut peer = TcpStream::connect(relayed).unwrap();
    peer.write_all(b"early").unwrap();
    let (from, id) = match ours.event() {
        Event::ConnectionAttempt(from, id) => (from, id),
        other => panic!("{other:?}"),
    };
    assert_eq!(from, peer.local_addr().unwrap());
    let mut second = ours.open(id);
    assert_eq!(second.take(5), b"early");
    let _second_peer = both_ways(&mut second, peer);

    // One ends with its peer, the other with the allocation.
    drop(first_peer);
    first.wait_for_end();
    ours.client.close(Instant::now());
    assert_eq!(ours.event(), Event::Closed(None));
    second.wait_for_end();
}
