//! Client and server of TURN against each other in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_stun::attributes::*;
use tincan_stun::turn::client::*;
use tincan_stun::turn::server::{self, PeerPolicy, Server};

/// One client, the server, and peers that echo.
struct World {
    net: Net,
    host: Host,
    clients: Vec<(SocketAddr, Client)>,
    /// What clients and peers got: who, from whom, what.
    got: Vec<Packet>,
    echo: bool,
}

impl World {
    fn new(seed: u64, faults: Faults, config: server::Config) -> World {
        let net = Net::new(seed, faults);
        let server = Server::new(config, net.now, &mut StdRng::seed_from_u64(seed ^ 1));
        World {
            net,
            host: Host::new(server),
            clients: Vec::new(),
            got: Vec::new(),
            echo: false,
        }
    }

    fn client(&mut self, at: &str, config: impl FnOnce(Config) -> Config) -> usize {
        let config = config(Config::new(addr("192.0.2.1:3478"), "alice", "wonderland"));
        let n = self.clients.len();
        let mut rng = StdRng::seed_from_u64(n as u64 + 100);
        self.clients
            .push((addr(at), Client::new(config, self.net.now, &mut rng)));
        n
    }

    fn next(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(|(_, c)| c.poll_timeout());
        let server = self.host.server.poll_timeout();
        clients.chain(server).chain(self.net.next_arrival()).min()
    }

    fn step(&mut self) {
        let now = self.net.now;
        for (at, client) in &mut self.clients {
            client.handle_timeout(now);
            let mut out = Vec::new();
            while let Some(t) = client.poll_transmit(now, &mut out) {
                self.net.send(*at, t.remote, &out);
                out.clear();
            }
        }
        self.host.server.handle_timeout(now);
        self.host.flush(&mut self.net);
        while let Some((from, to, octets)) = self.net.arrived() {
            if let Some((at, client)) = self.clients.iter_mut().find(|(at, _)| *at == to) {
                if let Input::Data { peer, range } = client.handle_input(now, from, &octets) {
                    self.got.push((*at, peer, octets[range].to_vec()));
                }
            } else if to == addr("192.0.2.1:3478") || self.host.relays.contains_key(&to) {
                self.host.receive(&mut self.net, (from, to, octets));
            } else {
                if self.echo {
                    self.net.send(to, from, &octets);
                }
                self.got.push((to, from, octets));
            }
        }
    }

    /// Runs until `done` or `limit` has passed; says whether done.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.net.now + limit;
        let mut stuck = 0;
        loop {
            self.step();
            if done(self) {
                return true;
            }
            match self.next() {
                Some(at) if at <= end => {
                    // A timer in the past that never goes away would hang a driver.
                    stuck = if at <= self.net.now { stuck + 1 } else { 0 };
                    assert!(stuck < 100, "a timer is stuck");
                    self.net.now = self.net.now.max(at);
                }
                _ => {
                    self.net.now = end;
                    self.step();
                    return done(self);
                }
            }
        }
    }

    fn event(&mut self, n: usize) -> Event {
        let mut event = None;
        self.run(Duration::from_secs(120), |w| {
            event = w.clients[n].1.poll_event();
            event.is_some()
        });
        event.expect("an event within two minutes")
    }

    fn allocated(&mut self, n: usize) -> Allocation {
        match self.event(n) {
            Event::Allocated(allocation) => allocation,
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, n: usize, peer: SocketAddr, payload: &[u8]) {
        let (at, client) = &mut self.clients[n];
        let head = client.data_headroom(self.net.now, &peer).expect("sendable");
        let mut out = vec![0xEE; head + 3];
        out.extend_from_slice(payload);
        client
            .frame_data(self.net.now, peer, &mut out, 3, head)
            .unwrap();
        let (at, server) = (*at, client.server());
        self.net.send(at, server, &out[3..]);
    }
}

fn plain() -> server::Config {
    server::Config::new(REALM)
}

const PEER: &str = "198.51.100.5:7000";

#[test]
fn allocates_in_two_round_trips_and_relays_both_ways_in_both_forms() {
    let mut w = World::new(1, NONE, plain());
    w.echo = true;
    let c = w.client("198.51.100.1:4000", |c| c);
    let allocation = w.allocated(c);
    assert_eq!(w.net.now - w.net.start, DELAY * 4);
    assert_eq!(allocation.mapped, addr("198.51.100.1:4000"));
    let relayed = allocation.relayed_v4.unwrap();
    let peer = addr(PEER);
    let now = w.net.now;
    w.clients[c].1.permit(now, peer.ip()).unwrap();
    assert_eq!(w.clients[c].1.data_headroom(now, &peer), None);
    assert_eq!(w.event(c), Event::Permitted(peer.ip()));
    for i in 0..10u8 {
        let payload = vec![i; usize::from(i)];
        w.got.clear();
        w.send(c, peer, &payload);
        assert!(w.run(Duration::from_secs(1), |w| w.got.len() == 2), "{i}");
        assert_eq!(w.got[0], (peer, relayed, payload.clone()));
        assert_eq!(w.got[1], (addr("198.51.100.1:4000"), peer, payload));
    }
    let stats = w.clients[c].1.stats();
    assert_eq!((stats.indications_sent, stats.channel_data_sent), (5, 5));
    let stats = w.host.server.stats();
    assert_eq!((stats.from_clients, stats.to_clients), ((10, 45), (10, 45)));
    assert_eq!((stats.malformed, stats.not_permitted), (0, 0));
}

#[test]
fn everything_is_kept_alive_for_hours_and_given_back_at_the_end() {
    let mut w = World::new(2, NONE, plain());
    w.echo = true;
    let c = w.client("198.51.100.1:4000", |c| c.channels(ChannelPolicy::OnDemand));
    w.allocated(c);
    let (permitted, bound) = (addr("198.51.100.6:1"), addr(PEER));
    let now = w.net.now;
    w.clients[c].1.permit(now, permitted.ip()).unwrap();
    w.clients[c].1.bind_channel(now, bound).unwrap();
    assert!(!w.run(Duration::from_secs(3 * 3600), |w| {
        w.clients[c].1.is_closed()
    }));
    for peer in [permitted, bound] {
        w.got.clear();
        w.send(c, peer, b"still there");
        assert!(w.run(Duration::from_secs(1), |w| w.got.len() == 2));
    }
    let stats = w.clients[c].1.stats();
    // Allocation every 9 minutes, permissions (two) every 4, channel every 9,
    // nonce once an hour: a few hundred requests, not thousands.
    assert!((110..200).contains(&stats.requests_sent), "{stats:?}");
    assert_eq!((stats.channel_data_sent, stats.indications_sent), (1, 1));
    let now = w.net.now;
    w.clients[c].1.close(now);
    assert!(w.run(Duration::from_secs(60), |w| w.clients[c].1.is_closed()));
    assert_eq!(w.host.server.stats().allocations, 0);
    assert!(w.host.relays.is_empty());
    assert_eq!(w.host.server.poll_timeout(), None);
}

#[test]
fn an_abandoned_allocation_ends_by_itself() {
    let mut w = World::new(3, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    w.allocated(c);
    w.clients.clear();
    let ended = w.run(Duration::from_secs(601), |w| {
        w.host.server.stats().allocations == 0
    });
    assert!(ended && w.host.relays.is_empty());
    assert_eq!(w.host.server.poll_timeout(), None);
}

/// A client with a permitted peer whose allocation the server forgets, as when it was started anew.
fn forgotten(seed: u64) -> (World, usize) {
    let mut w = World::new(seed, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    w.allocated(c);
    let now = w.net.now;
    w.clients[c].1.permit(now, addr(PEER).ip()).unwrap();
    assert_eq!(w.event(c), Event::Permitted(addr(PEER).ip()));
    w.host
        .server
        .client_disconnected(&tuple(addr("198.51.100.1:4000")));
    (w, c)
}

/// RFC 8656 §5.
#[test]
fn whatever_is_asked_of_a_forgotten_allocation_ends_it() {
    let asks: [fn(&mut Client, Instant); 3] = [
        |c, now| c.permit(now, addr("198.51.100.6:1").ip()).unwrap(),
        |c, now| c.bind_channel(now, addr(PEER)).unwrap(),
        |c, now| c.refresh(now),
    ];
    for ask in asks {
        let (mut w, c) = forgotten(30);
        let now = w.net.now;
        ask(&mut w.clients[c].1, now);
        assert_eq!(w.event(c), Event::Closed(Some(Failure::Lost)));
        assert!(w.net.now - now < DELAY * 6, "{:?}", w.net.now - now);
        assert!(w.clients[c].1.is_closed());
    }
}

#[test]
fn an_allocation_that_is_questioned_and_stands_goes_on() {
    let mut w = World::new(31, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    let before = w.allocated(c).expires;
    w.run(Duration::from_secs(10), |_| false);
    let (now, asked) = (w.net.now, w.clients[c].1.stats().requests_sent);
    w.clients[c].1.refresh(now);
    w.clients[c].1.refresh(now);
    w.run(Duration::from_secs(1), |_| false);
    let client = &w.clients[c].1;
    assert_eq!(client.stats().requests_sent, asked + 1);
    assert!(client.allocation().unwrap().expires >= before + Duration::from_secs(10));
    assert_eq!(client.unanswered_for(w.net.now), None);
}

/// What was asked in an outage has its next repetition far away when the outage ends.
#[test]
fn a_question_after_an_outage_does_not_wait_for_the_old_one() {
    let mut w = World::new(32, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    w.allocated(c);
    let ask = |w: &mut World| {
        let now = w.net.now;
        w.clients[c].1.refresh(now);
        let mut out = Vec::new();
        let sent = w.clients[c].1.poll_transmit(now, &mut out);
        (sent.is_some(), now)
    };
    let (sent, begin) = ask(&mut w);
    assert!(sent);
    // Nothing gets through for twenty seconds.
    let mut lost = Vec::new();
    while w.net.now < begin + Duration::from_secs(20) {
        w.net.now += Duration::from_millis(100);
        let now = w.net.now;
        while w.clients[c].1.poll_transmit(now, &mut lost).is_some() {}
    }
    let now = w.net.now;
    let silence = w.clients[c].1.unanswered_for(now).unwrap();
    assert_eq!(silence, Duration::from_secs(20));
    w.clients[c].1.refresh(now);
    w.run(Duration::from_millis(100), |_| false);
    assert_eq!(w.clients[c].1.unanswered_for(w.net.now), None);
}

/// A client that ended without a word and left its allocation on the socket.
#[test]
fn what_a_client_left_behind_on_the_socket_is_given_back() {
    let mut w = World::new(33, NONE, plain());
    let at = "198.51.100.1:4000";
    let c = w.client(at, |c| c);
    let before = w.allocated(c);
    // What it hears and says goes elsewhere from now on.
    w.clients[c].0 = addr("198.51.100.250:1");
    let c = w.client(at, |c| c);
    let after = w.allocated(c);
    assert_ne!(before.relayed_v4, after.relayed_v4);
    assert_eq!(w.host.server.stats().allocations, 1);
    // Another's is not for us to take.
    w.clients[c].0 = addr("198.51.100.250:2");
    let c = w.client(at, |_| {
        Config::new(addr("192.0.2.1:3478"), "bob", "builder")
    });
    let event = w.event(c);
    assert!(
        matches!(
            event,
            Event::Closed(Some(Failure::Refused { code: 441, .. }))
        ),
        "{event:?}"
    );
    assert_eq!(w.host.server.stats().allocations, 1);
}

#[test]
fn a_dead_server_is_noticed_by_the_schedule_of_the_rfc() {
    let mut w = World::new(4, Faults { loss: 1.0, ..NONE }, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    assert_eq!(w.event(c), Event::Closed(Some(Failure::TimedOut)));
    assert_eq!(w.net.now - w.net.start, Duration::from_millis(39_500));
    assert_eq!(w.clients[c].1.stats().requests_sent, 7);
    assert_eq!(w.clients[c].1.poll_timeout(), None);
}

#[test]
fn wrong_passwords_quotas_and_missing_ports_are_told() {
    let mut w = World::new(5, NONE, plain().quotas(3, 2));
    let c = w.client("198.51.100.9:1", |_| {
        Config::new(addr("192.0.2.1:3478"), "alice", "looking glass")
    });
    assert!(matches!(
        w.event(c),
        Event::Closed(Some(Failure::Authentication(_)))
    ));
    let refused = |event: Event| match event {
        Event::Closed(Some(Failure::Refused { code, .. })) => code,
        other => panic!("{other:?}"),
    };
    for port in 1..=2 {
        let c = w.client(&format!("198.51.100.1:{port}"), |c| c);
        w.allocated(c);
    }
    let c = w.client("198.51.100.1:3", |c| c);
    assert_eq!(refused(w.event(c)), 486, "per user");
    let c = w.client("198.51.100.2:1", |_| {
        Config::new(addr("192.0.2.1:3478"), "bob", "builder")
    });
    w.allocated(c);
    let c = w.client("198.51.100.2:2", |_| {
        Config::new(addr("192.0.2.1:3478"), "bob", "builder")
    });
    assert_eq!(refused(w.event(c)), 508, "in all");
    let now = w.net.now;
    w.clients[1].1.close(now);
    assert_eq!(w.event(1), Event::Closed(None));
    w.host.broken = true;
    let c = w.client("198.51.100.1:4", |c| c);
    assert_eq!(refused(w.event(c)), 508, "no port");
    let c = w.client("198.51.100.1:5", |c| c.families(Families::V6));
    assert_eq!(refused(w.event(c)), 440, "no IPv6");
}

#[test]
fn both_families_with_one_request_and_a_word_for_the_one_that_lacks() {
    let mut w = World::new(6, NONE, plain().families(true, true));
    let c = w.client("198.51.100.1:4000", |c| c.families(Families::Both));
    let allocation = w.allocated(c);
    assert!(allocation.relayed_v4.is_some() && allocation.relayed_v6.is_some());
    let now = w.net.now;
    let v6 = addr("[2001:db8:5::5]:7000");
    w.clients[c].1.permit(now, v6.ip()).unwrap();
    assert_eq!(w.event(c), Event::Permitted(v6.ip()));
    w.send(c, v6, b"six");
    assert!(w.run(Duration::from_secs(1), |w| !w.got.is_empty()));
    assert_eq!(
        w.got[0],
        (v6, allocation.relayed_v6.unwrap(), b"six".to_vec())
    );

    let mut w = World::new(7, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c.families(Families::Both));
    let allocation = w.allocated(c);
    assert!(allocation.relayed_v4.is_some() && allocation.relayed_v6.is_none());
    assert_eq!(w.clients[c].1.data_headroom(w.net.now, &v6), None);
}

#[test]
fn forbidden_peers_are_refused_one_by_one() {
    let policy = PeerPolicy::new().deny_private();
    let mut w = World::new(8, NONE, plain().peers(policy));
    let c = w.client("198.51.100.1:4000", |c| c);
    w.allocated(c);
    let now = w.net.now;
    let good = addr(PEER).ip();
    let bad = ["127.0.0.1", "10.0.0.1", "169.254.0.1"].map(|ip| ip.parse().unwrap());
    for ip in bad.iter().chain([&good]) {
        w.clients[c].1.permit(now, *ip).unwrap();
    }
    let mut refused = 0;
    for _ in 0..4 {
        match w.event(c) {
            Event::Permitted(ip) => assert_eq!(ip, good),
            Event::NotPermitted(ip, Failure::Refused { code: 403, .. }) => {
                assert!(bad.contains(&ip));
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 3);
}

#[test]
fn what_peers_send_without_permission_goes_nowhere() {
    let mut w = World::new(9, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    let relayed = w.allocated(c).relayed_v4.unwrap();
    w.net.send(addr(PEER), relayed, b"knock");
    w.run(Duration::from_secs(1), |_| false);
    assert!(w.got.is_empty());
    assert_eq!(w.host.server.stats().not_permitted, 1);
    // A permission is for an address, whatever the port; after five minutes
    // without a refresh it is gone.
    let now = w.net.now;
    w.clients[c].1.permit(now, addr(PEER).ip()).unwrap();
    w.event(c);
    w.net.send(addr("198.51.100.5:9"), relayed, b"knock");
    assert!(w.run(Duration::from_secs(1), |w| w.got.len() == 1));
    w.clients[c].1.revoke(addr(PEER).ip());
    w.run(Duration::from_secs(301), |_| false);
    w.net.send(addr("198.51.100.5:9"), relayed, b"knock");
    w.run(Duration::from_secs(1), |_| false);
    assert_eq!((w.got.len(), w.host.server.stats().not_permitted), (1, 2));
}

#[test]
fn a_reserved_port_is_had_with_its_token_once_and_for_a_while() {
    let mut w = World::new(10, NONE, plain());
    let c = w.client("198.51.100.1:1", |c| c.port(Port::EvenAndReserveNext));
    let first = w.allocated(c);
    let token = first.reservation.expect("a token");
    let port = first.relayed_v4.unwrap().port();
    assert_eq!(port % 2, 0);
    let c = w.client("198.51.100.1:2", |c| c.port(Port::Reserved(token)));
    assert_eq!(w.allocated(c).relayed_v4.unwrap().port(), port + 1);
    let c = w.client("198.51.100.1:3", |c| c.port(Port::Reserved(token)));
    assert!(matches!(
        w.event(c),
        Event::Closed(Some(Failure::Refused { code: 508, .. }))
    ));
    // The reservation's timer must not end the allocation that took it over.
    w.run(Duration::from_secs(60), |_| false);
    assert_eq!(w.host.server.stats().allocations, 2);

    let c = w.client("198.51.100.1:4", |c| c.port(Port::EvenAndReserveNext));
    let token = w.allocated(c).reservation.unwrap();
    let relays = w.host.relays.len();
    w.run(Duration::from_secs(60), |_| false);
    assert_eq!(w.host.relays.len(), relays - 1, "closed when nobody came");
    let c = w.client("198.51.100.1:5", |c| c.port(Port::Reserved(token)));
    assert!(matches!(
        w.event(c),
        Event::Closed(Some(Failure::Refused { code: 508, .. }))
    ));
}

#[test]
fn an_allocation_follows_its_client_to_another_address() {
    let mut w = World::new(11, NONE, plain().mobility(true));
    let c = w.client("198.51.100.1:4000", |c| c.mobility(true));
    let relayed = w.allocated(c).relayed_v4.unwrap();
    let now = w.net.now;
    w.clients[c].1.permit(now, addr(PEER).ip()).unwrap();
    w.event(c);
    for last in 2..5 {
        w.clients[c].0 = addr(&format!("198.51.100.{last}:4000"));
        let now = w.net.now;
        w.clients[c].1.address_changed(now);
        w.run(Duration::from_secs(2), |_| false);
        w.got.clear();
        w.net.send(addr(PEER), relayed, b"found you");
        assert!(
            w.run(Duration::from_secs(1), |w| w.got.len() == 1),
            "{last}"
        );
    }
    assert_eq!(w.host.server.stats().allocations, 1);
}

#[test]
fn a_drained_server_sends_its_clients_to_another() {
    let mut w = World::new(12, NONE, plain());
    w.host
        .server
        .set_alternate_server(Some(addr("192.0.2.9:3478")));
    let c = w.client("198.51.100.1:4000", |c| c);
    w.run(Duration::from_secs(2), |_| false);
    assert_eq!(w.clients[c].1.server(), addr("192.0.2.9:3478"));
    // And an allocation that stands is not disturbed.
    let asked = w
        .got
        .iter()
        .filter(|(to, ..)| *to == addr("192.0.2.9:3478"))
        .count();
    assert!(asked >= 1);
}

#[test]
fn bandwidth_is_limited_by_allocation() {
    let mut w = World::new(13, NONE, plain().bandwidth(Some(100_000), None));
    let c = w.client("198.51.100.1:4000", |c| c);
    w.allocated(c);
    let now = w.net.now;
    w.clients[c].1.permit(now, addr(PEER).ip()).unwrap();
    w.event(c);
    for _ in 0..10 {
        for _ in 0..100 {
            w.send(c, addr(PEER), &[0; 1000]);
        }
        w.run(Duration::from_millis(500), |_| false);
    }
    // A million octets offered in five seconds.
    let octets: usize = w.got.iter().map(|(.., o)| o.len()).sum();
    assert!((450_000..=600_000).contains(&octets), "{octets}");
    assert_eq!(
        w.host.server.stats().over_bandwidth,
        1000 - octets as u64 / 1000
    );
}

#[test]
fn icmp_errors_reach_the_client() {
    let mut w = World::new(14, NONE, plain());
    let c = w.client("198.51.100.1:4000", |c| c);
    let relayed = w.allocated(c).relayed_v4.unwrap();
    let now = w.net.now;
    w.clients[c].1.permit(now, addr(PEER).ip()).unwrap();
    w.event(c);
    let relay = w.host.relays[&relayed];
    let icmp = Icmp {
        kind: 3,
        code: 4,
        data: 1280,
    };
    w.host
        .server
        .handle_peer_icmp(w.net.now, relay, addr(PEER), icmp);
    assert_eq!(w.event(c), Event::Icmp(addr(PEER), icmp));
}

/// With faults on every datagram, a client gets its allocation, a permission
/// and a channel, or says that the server did not answer; never anything else.
#[test]
fn loss_duplication_and_reordering_end_in_an_allocation_or_a_timeout() {
    let seeds: u64 = std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(300);
    for (loss, must_work) in [(0.0, 1.0), (0.1, 0.999), (0.3, 0.95), (0.5, 0.5)] {
        let mut worked = 0;
        for seed in 0..seeds {
            let faults = Faults {
                loss,
                duplication: 0.1,
                reordering: 0.2,
            };
            let mut w = World::new(seed, faults, plain());
            let c = w.client("198.51.100.1:4000", |c| c);
            let now = w.net.now;
            w.clients[c].1.bind_channel(now, addr(PEER)).unwrap();
            let mut bound = false;
            let ended = w.run(Duration::from_secs(200), |w| {
                while let Some(event) = w.clients[c].1.poll_event() {
                    match event {
                        Event::ChannelBound(_) => bound = true,
                        Event::Allocated(_) | Event::Permitted(_) => {}
                        Event::Closed(Some(Failure::TimedOut))
                        | Event::ChannelRefused(_, Failure::TimedOut)
                        | Event::NotPermitted(_, Failure::TimedOut) => {
                            assert!(loss > 0.0, "seed {seed}");
                            return true;
                        }
                        // The answer was lost seven times, or came after the
                        // client had begun anew: RFC 8656 §7.4 on 437.
                        other => panic!("seed {seed} loss {loss}: {other:?}"),
                    }
                }
                bound
            });
            assert!(ended, "seed {seed} loss {loss}: neither done nor failed");
            worked += u64::from(bound);
            // Never a second allocation by a repeated request.
            assert!(w.host.server.stats().allocations_made <= 1, "seed {seed}");
        }
        let share = worked as f64 / seeds as f64;
        println!("loss {loss}: {worked} of {seeds} bound");
        assert!(share >= must_work, "loss {loss}: {share}");
    }
}
