//! The simulated network for one TURN server, its clients and their peers.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tincan_sim::{Datagram, Delivery, HostId, LinkConfig, Loss, Network};
use tincan_stun::attributes::Family;
use tincan_stun::turn::server::{
    Authenticator, Event, FiveTuple, Input, PortDemand, RelayId, Server, Users,
};
use tincan_stun::turn::{MAX_DATA_HEADROOM, Transport};

pub(crate) const REALM: &str = "tincan.test";

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn users() -> Users {
    let mut users = Users::new(REALM);
    users.add("alice", "wonderland");
    users.add("bob", "builder");
    users
}

pub(crate) fn tuple(client: SocketAddr) -> FiveTuple {
    FiveTuple {
        local: addr("192.0.2.1:3478"),
        remote: client,
        transport: Transport::Udp,
    }
}

/// What the network does to each datagram.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    pub(crate) reordering: f64,
}

pub(crate) const NONE: Faults = Faults {
    loss: 0.0,
    duplication: 0.0,
    reordering: 0.0,
};

pub(crate) const DELAY: Duration = Duration::from_millis(20);

/// A datagram: source, destination, octets.
pub(crate) type Packet = (SocketAddr, SocketAddr, Vec<u8>);

/// `tincan-sim`'s network with a host for each IP address that is named. The
/// faults are those of the hosts' uplinks.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    link: LinkConfig,
    network: Network,
    hosts: BTreeMap<IpAddr, HostId>,
    inbox: VecDeque<Packet>,
}

impl Net {
    pub(crate) fn new(seed: u64, faults: Faults) -> Net {
        let network = Network::new(seed);
        let link = LinkConfig::new()
            .delay(DELAY)
            .loss(Loss::Random(faults.loss))
            .duplicate(faults.duplication)
            .reorder(faults.reordering, DELAY * 15);
        Net {
            now: network.now(),
            start: network.now(),
            link,
            network,
            hosts: BTreeMap::new(),
            inbox: VecDeque::new(),
        }
    }

    fn host(&mut self, ip: IpAddr) -> HostId {
        if let Some(host) = self.hosts.get(&ip) {
            return *host;
        }
        let host = self.network.add_host();
        let internet = self.network.internet();
        self.network
            .attach(host, internet, &[ip], self.link.clone(), LinkConfig::new());
        self.hosts.insert(ip, host);
        host
    }

    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, octets: &[u8]) {
        self.receive();
        self.host(to.ip());
        let host = self.host(from.ip());
        self.network
            .send(host, Datagram::new(from, to, octets.to_vec()));
    }

    fn receive(&mut self) {
        while let Some(delivery) = self.network.step(self.now) {
            if let Delivery::Datagram(_, d) = delivery {
                self.inbox.push_back((d.src, d.dst, d.payload));
            }
        }
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        if self.inbox.is_empty() {
            self.network.next_event()
        } else {
            Some(self.now)
        }
    }

    /// What arrives up to now.
    pub(crate) fn arrived(&mut self) -> Option<Packet> {
        self.receive();
        self.inbox.pop_front()
    }
}

/// The server with a driver that opens relays on 203.0.113.1 and 2001:db8::1.
pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) users: Box<dyn FnMut() -> Users>,
    pub(crate) relays: BTreeMap<SocketAddr, RelayId>,
    pub(crate) news: Vec<Event>,
    pub(crate) next_port: u16,
    pub(crate) broken: bool,
}

impl Host {
    pub(crate) fn new(server: Server) -> Host {
        let relays = BTreeMap::new();
        let users = Box::new(users);
        Host {
            server,
            users,
            relays,
            news: Vec::new(),
            next_port: 50_000,
            broken: false,
        }
    }

    fn open(&mut self, relay: RelayId, ip: &str, port: u16) -> SocketAddr {
        let at = SocketAddr::new(ip.parse().unwrap(), port);
        assert!(self.relays.insert(at, relay).is_none());
        at
    }

    pub(crate) fn handle_events(&mut self, now: Instant) {
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::OpenRelay { relay, .. } if self.broken => {
                    self.server.relay_failed(now, relay)
                }
                Event::OpenRelay {
                    relay,
                    family,
                    port,
                    ..
                } => {
                    let ip = if family == Family::V4 {
                        "203.0.113.1"
                    } else {
                        "2001:db8::1"
                    };
                    self.next_port += 2;
                    let even = self.next_port;
                    let next = match port {
                        PortDemand::EvenAndNext(next) => Some(self.open(next, ip, even + 1)),
                        _ => None,
                    };
                    let at = self.open(relay, ip, even);
                    self.server.relay_opened(now, relay, at, next);
                }
                Event::CloseRelay(relay) => self.relays.retain(|_, r| *r != relay),
                news => self.news.push(news),
            }
        }
    }

    /// Gives the server one datagram and puts what comes of it on the net.
    pub(crate) fn receive(&mut self, net: &mut Net, (from, to, octets): Packet) {
        if let Some(&relay) = self.relays.get(&to) {
            let mut buffer = vec![0; MAX_DATA_HEADROOM + octets.len() + 3];
            let range = MAX_DATA_HEADROOM..MAX_DATA_HEADROOM + octets.len();
            buffer[range.clone()].copy_from_slice(&octets);
            let out = self
                .server
                .handle_peer_datagram(net.now, relay, from, &mut buffer, range);
            if let Some(m) = out {
                net.send(m.client.local, m.client.remote, &buffer[m.range]);
            }
        } else {
            let client = FiveTuple {
                local: to,
                remote: from,
                transport: Transport::Udp,
            };
            let mut users = (self.users)();
            self.input(net, client, &octets, &mut users);
        }
    }

    pub(crate) fn input(
        &mut self,
        net: &mut Net,
        client: FiveTuple,
        octets: &[u8],
        users: &mut impl Authenticator,
    ) {
        if let Input::Relay {
            relay, peer, range, ..
        } = self.server.handle_input(net.now, client, octets, users)
        {
            let from = *self.relays.iter().find(|(_, r)| **r == relay).unwrap().0;
            net.send(from, peer, &octets[range]);
        }
        self.flush(net);
    }

    pub(crate) fn flush(&mut self, net: &mut Net) {
        self.handle_events(net.now);
        let mut out = Vec::new();
        while let Some(t) = self.server.poll_transmit(net.now, &mut out) {
            assert_eq!(t.len, out.len());
            net.send(t.client.local, t.client.remote, &out);
            out.clear();
        }
    }
}
