//! Our TURN client against coturn on loopback. Skips where it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_stun::framing::{Framing, StreamDecoder};
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::turn::Transport;
use tincan_stun::turn::client::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Coturn {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Coturn {
    fn start(extra: &[&str]) -> Option<Coturn> {
        let port = free_port();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = Command::new("turnserver")
            .args([
                "-n",
                "--no-cli",
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
            ])
            .args([
                "--lt-cred-mech",
                "--user=alice:wonderland",
                "--realm=tincan.test",
            ])
            .args([
                "--allow-loopback-peers",
                "--no-dtls",
                "--log-file=stdout",
                "--simple-log",
            ])
            .args([
                format!("--listening-port={port}"),
                format!("--pidfile=/tmp/tincan-coturn-{port}"),
            ])
            .args([format!("--tls-listening-port={}", free_port())])
            .args(extra)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: turnserver cannot be started: {error}");
                return None;
            }
        };
        let coturn = Coturn { child, addr };
        // Ready when it answers a Binding request.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let begin = Instant::now();
        let mut buffer = [0; 1500];
        loop {
            assert!(begin.elapsed() < PATIENCE, "coturn does not answer");
            let mut out = Vec::new();
            let id = TransactionId::new([1; 12]);
            Writer::new(&mut out, Class::Request, Method::BINDING, id)
                .finish()
                .unwrap();
            let _ = socket.send_to(&out, addr);
            if let Ok((len, _)) = socket.recv_from(&mut buffer)
                && Message::parse(&buffer[..len]).is_ok_and(|m| m.class() == Class::Success)
            {
                return Some(coturn);
            }
        }
    }
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream, StreamDecoder),
}

/// A client with its socket, driven until something happens.
struct Driven {
    client: Client,
    link: Link,
    data: Vec<(SocketAddr, Vec<u8>)>,
}

impl Driven {
    fn new(config: Config, server: SocketAddr, transport: Transport) -> Driven {
        let link = match transport {
            Transport::Udp => Link::Udp(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()),
            Transport::Tcp => {
                let stream = TcpStream::connect(server).unwrap();
                Link::Tcp(stream, StreamDecoder::new(Framing::Turn))
            }
        };
        let mut rng = StdRng::seed_from_u64(1);
        let client = Client::new(config.transport(transport), Instant::now(), &mut rng);
        Driven {
            client,
            link,
            data: Vec::new(),
        }
    }

    fn write(&mut self, octets: &[u8], to: SocketAddr) {
        match &mut self.link {
            Link::Udp(socket) => drop(socket.send_to(octets, to).unwrap()),
            Link::Tcp(stream, _) => stream.write_all(octets).unwrap(),
        }
    }

    fn send(&mut self, peer: SocketAddr, payload: &[u8]) -> usize {
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
    fn turn(&mut self) {
        let mut out = Vec::new();
        self.client.handle_timeout(Instant::now());
        while let Some(t) = self.client.poll_transmit(Instant::now(), &mut out) {
            let octets = std::mem::take(&mut out);
            self.write(&octets, t.remote);
        }
        let wait = Duration::from_millis(50);
        let mut buffer = [0; 65_536];
        let server = self.client.server();
        let mut take = |client: &mut Client, from, packet: &[u8]| {
            if let Input::Data { peer, range } = client.handle_input(Instant::now(), from, packet) {
                self.data.push((peer, packet[range].to_vec()));
            }
        };
        match &mut self.link {
            Link::Udp(socket) => {
                socket.set_read_timeout(Some(wait)).unwrap();
                if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    take(&mut self.client, from, &buffer[..len]);
                }
            }
            Link::Tcp(stream, decoder) => {
                stream.set_read_timeout(Some(wait)).unwrap();
                if let Ok(len) = stream.read(&mut buffer) {
                    decoder.extend(&buffer[..len]);
                    while let Some(packet) = decoder.next_packet().unwrap() {
                        take(&mut self.client, server, packet);
                    }
                }
            }
        }
    }

    fn event(&mut self) -> Event {
        let begin = Instant::now();
        loop {
            if let Some(event) = self.client.poll_event() {
                return event;
            }
            assert!(begin.elapsed() < PATIENCE, "no event: {:?}", self.client);
            self.turn();
        }
    }

    fn receive(&mut self) -> (SocketAddr, Vec<u8>) {
        let begin = Instant::now();
        while self.data.is_empty() {
            assert!(begin.elapsed() < PATIENCE, "no data");
            self.turn();
        }
        self.data.remove(0)
    }
}

fn relays_both_ways(transport: Transport) {
    let Some(coturn) = Coturn::start(&[]) else {
        return;
    };
    let config = Config::new(coturn.addr, "alice", "wonderland");
    let mut ours = Driven::new(config, coturn.addr, transport);
    let Event::Allocated(allocation) = ours.event() else {
        panic!("no allocation")
    };
    let relayed = allocation.relayed_v4.unwrap();

    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let peer_addr = peer.local_addr().unwrap();
    ours.client.permit(Instant::now(), peer_addr.ip()).unwrap();
    assert_eq!(ours.event(), Event::Permitted(peer_addr.ip()));

    let mut buffer = [0; 2000];
    let mut forms = Vec::new();
    for round in 0..20u8 {
        // Every length modulo four, to see the padding both ways.
        let payload = vec![round; 100 + usize::from(round)];
        forms.push(ours.send(peer_addr, &payload));
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&payload[..], relayed));
        peer.send_to(&payload[1..], relayed).unwrap();
        assert_eq!(ours.receive(), (peer_addr, payload[1..].to_vec()));
        if round == 10 {
            assert_eq!(ours.event(), Event::ChannelBound(peer_addr));
        }
    }
    assert!(forms.starts_with(&[36; 5]), "indications first: {forms:?}");
    assert!(forms.ends_with(&[4; 5]), "channel data then: {forms:?}");
    ours.client.close(Instant::now());
    assert_eq!(ours.event(), Event::Closed(None));
}

#[test]
fn relays_both_ways_over_udp() {
    relays_both_ways(Transport::Udp);
}

#[test]
fn relays_both_ways_over_tcp() {
    relays_both_ways(Transport::Tcp);
}

#[test]
fn a_wrong_password_is_told() {
    let Some(coturn) = Coturn::start(&[]) else {
        return;
    };
    let config = Config::new(coturn.addr, "alice", "looking glass");
    let mut ours = Driven::new(config, coturn.addr, Transport::Udp);
    let Event::Closed(Some(Failure::Authentication(_))) = ours.event() else {
        panic!("closed for another reason")
    };
}

#[test]
fn goes_on_with_another_nonce_when_the_first_is_stale() {
    let Some(coturn) = Coturn::start(&["--stale-nonce=1"]) else {
        return;
    };
    let config = Config::new(coturn.addr, "alice", "wonderland");
    let mut ours = Driven::new(config, coturn.addr, Transport::Udp);
    let Event::Allocated(_) = ours.event() else {
        panic!("no allocation")
    };
    // Permissions one after the other, one answer each, until there is one
    // answer more: the 438.
    let begin = Instant::now();
    let mut asked = 0u8;
    while ours.client.stats().responses <= 2 + u64::from(asked) {
        assert!(
            begin.elapsed() < PATIENCE,
            "no stale nonce seen: {:?}",
            ours.client.stats()
        );
        asked += 1;
        let ip = Ipv4Addr::new(127, 0, 0, asked).into();
        ours.client.permit(Instant::now(), ip).unwrap();
        assert_eq!(ours.event(), Event::Permitted(ip));
        (0..5).for_each(|_| ours.turn());
    }
}

#[test]
fn even_port_reserves_the_next_one() {
    let Some(coturn) = Coturn::start(&[]) else {
        return;
    };
    let config = Config::new(coturn.addr, "alice", "wonderland");
    let even = config.clone().port(Port::EvenAndReserveNext);
    let mut first = Driven::new(even, coturn.addr, Transport::Udp);
    let Event::Allocated(allocation) = first.event() else {
        panic!("no allocation")
    };
    let port = allocation.relayed_v4.unwrap().port();
    assert_eq!(port % 2, 0);
    let token = allocation.reservation.expect("a token");
    let second = config.port(Port::Reserved(token));
    let mut second = Driven::new(second, coturn.addr, Transport::Udp);
    let Event::Allocated(allocation) = second.event() else {
        panic!("no second allocation")
    };
    assert_eq!(allocation.relayed_v4.unwrap().port(), port + 1);
}
