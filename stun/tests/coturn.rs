//! Our TURN client against coturn on loopback: UDP, TCP, TLS, and TCP between
//! peers. Skips where it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sockets;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sockets::*;
use tincan_interop::coturn::{Coturn, PASSWORD, USER};
use tincan_stun::turn::client::*;

/// Which of coturn's ports to use.
#[derive(Clone, Copy, Debug)]
enum Over {
    Udp,
    Tcp,
    Tls,
}

impl Over {
    fn of(self, coturn: &Coturn) -> (SocketAddr, Carrier) {
        match self {
            Over::Udp => (coturn.addr, Carrier::Udp),
            Over::Tcp => (coturn.addr, Carrier::Tcp),
            Over::Tls => (coturn.tls, Carrier::Tls(trusting(&coturn.certificate))),
        }
    }
}

fn relays_both_ways(over: Over) {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let (server, carrier) = over.of(&coturn);
    let config = Config::new(server, USER, PASSWORD);
    let mut ours = Driven::new(config, carrier);
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
    relays_both_ways(Over::Udp);
}

#[test]
fn relays_both_ways_over_tcp() {
    relays_both_ways(Over::Tcp);
}

#[test]
fn relays_both_ways_over_tls() {
    relays_both_ways(Over::Tls);
}

#[test]
fn relays_tcp_over_tcp_and_over_tls() {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    for over in [Over::Tcp, Over::Tls] {
        let (server, carrier) = over.of(&coturn);
        tcp_relay_scenario(Config::new(server, USER, PASSWORD), carrier);
    }
}

#[test]
fn a_wrong_password_is_told() {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let config = Config::new(coturn.addr, "alice", "looking glass");
    let mut ours = Driven::new(config, Carrier::Udp);
    let Event::Closed(Some(Failure::Authentication(_))) = ours.event() else {
        panic!("closed for another reason")
    };
}

/// RFC 8656 §5 and §7.4, as coturn sees them.
#[test]
fn finds_an_allocation_on_its_socket_and_none_where_its_address_changed() {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let config = Config::new(coturn.addr, USER, PASSWORD);
    let allocated = |event| assert!(matches!(event, Event::Allocated(_)), "{event:?}");
    let mut first = Driven::new(config.clone(), Carrier::Udp);
    allocated(first.event());
    let again = Client::new(
        config.clone(),
        Instant::now(),
        &mut StdRng::seed_from_u64(2),
    );
    let old = std::mem::replace(&mut first.client, again);
    allocated(first.event());

    let mut second = Driven::new(config, Carrier::Udp);
    second.client = old;
    second.client.refresh(Instant::now());
    assert_eq!(second.event(), Event::Closed(Some(Failure::Lost)));
}

#[test]
fn goes_on_with_another_nonce_when_the_first_is_stale() {
    let Some(coturn) = Coturn::start(&["--stale-nonce=1"]).unwrap() else {
        return;
    };
    for over in [Over::Udp, Over::Tcp, Over::Tls] {
        let (server, carrier) = over.of(&coturn);
        let config = Config::new(server, USER, PASSWORD);
        sees_a_stale_nonce_through(Driven::new(config, carrier));
    }
}

fn sees_a_stale_nonce_through(mut ours: Driven) {
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
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let config = Config::new(coturn.addr, USER, PASSWORD);
    let even = config.clone().port(Port::EvenAndReserveNext);
    let mut first = Driven::new(even, Carrier::Udp);
    let Event::Allocated(allocation) = first.event() else {
        panic!("no allocation")
    };
    let port = allocation.relayed_v4.unwrap().port();
    assert_eq!(port % 2, 0);
    let token = allocation.reservation.expect("a token");
    let second = config.port(Port::Reserved(token));
    let mut second = Driven::new(second, Carrier::Udp);
    let Event::Allocated(allocation) = second.event() else {
        panic!("no second allocation")
    };
    assert_eq!(allocation.relayed_v4.unwrap().port(), port + 1);
}
