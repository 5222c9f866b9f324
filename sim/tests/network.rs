//! The network does what its configuration says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tincan_sim::{
    Action, Behaviour, Datagram, Delivery, Direction, DropReason, Ecn, Firewall, GatewayId, HostId,
    LinkConfig, Loss, NatConfig, Network, Protocols, Queue, TcpCommand, TcpEvent, UnsolicitedSyn,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Sends and returns the source that the far side saw, if the datagram arrived.
fn send(
    network: &mut Network,
    from: HostId,
    src: SocketAddr,
    dst: SocketAddr,
) -> Option<SocketAddr> {
    network.send(from, Datagram::new(src, dst, b"x".to_vec()));
    let end = network.now() + Duration::from_secs(1);
    let mut seen = None;
    while let Some(delivery) = network.step(end) {
        if let Delivery::Datagram(_, datagram) = delivery {
            seen = Some(datagram.src);
        }
    }
    seen
}

/// One host behind a NAT and two outside, the second with two ports.
struct Home {
    network: Network,
    gateway: GatewayId,
    inside: HostId,
    outside: [HostId; 2],
}

const INNER: &str = "192.168.1.2:5000";
const OUT1: &str = "1.1.1.1:7000";
const OUT1_OTHER: &str = "1.1.1.1:7001";
const OUT2: &str = "2.2.2.2:7000";

fn home(config: NatConfig) -> Home {
    let mut network = Network::new(7);
    let core = network.internet();
    let perfect = LinkConfig::new;
    let (gateway, lan) = network.add_nat(core, ip("9.9.9.9"), config, perfect(), perfect());
    let inside = network.add_host();
    network.attach(inside, lan, &[ip("192.168.1.2")], perfect(), perfect());
    let outside = [network.add_host(), network.add_host()];
    network.attach(outside[0], core, &[ip("1.1.1.1")], perfect(), perfect());
    network.attach(outside[1], core, &[ip("2.2.2.2")], perfect(), perfect());
    Home {
        network,
        gateway,
        inside,
        outside,
    }
}

#[test]
fn mapping_behaviours_are_those_of_rfc_4787() {
    for mapping in Behaviour::ALL {
        let mut home = home(NatConfig::new(mapping, Behaviour::EndpointIndependent));
        let mut to = |dst| send(&mut home.network, home.inside, at(INNER), at(dst)).unwrap();
        let (one, other, two) = (to(OUT1), to(OUT1_OTHER), to(OUT2));
        assert_eq!(
            one == other,
            mapping != Behaviour::AddressAndPortDependent,
            "{mapping:?}"
        );
        assert_eq!(
            one == two,
            mapping == Behaviour::EndpointIndependent,
            "{mapping:?}"
        );
        assert_eq!(one, to(OUT1), "a mapping is kept");
    }
}

#[test]
fn filtering_behaviours_are_those_of_rfc_4787() {
    for filtering in Behaviour::ALL {
        let mut home = home(NatConfig::new(Behaviour::EndpointIndependent, filtering));
        let mapped = send(&mut home.network, home.inside, at(INNER), at(OUT1)).unwrap();
        let [one, two] = home.outside;
        let mut from = |host, src| send(&mut home.network, host, at(src), mapped).is_some();
        assert!(from(one, OUT1));
        assert_eq!(
            from(one, OUT1_OTHER),
            filtering != Behaviour::AddressAndPortDependent
        );
        assert_eq!(from(two, OUT2), filtering == Behaviour::EndpointIndependent);
    }
}

#[test]
fn an_idle_mapping_expires_and_a_reboot_forgets() {
    let mut home = home(NatConfig::default().udp_timeout(Duration::from_secs(120)));
    let mapped = send(&mut home.network, home.inside, at(INNER), at(OUT1)).unwrap();
    assert!(send(&mut home.network, home.outside[0], at(OUT1), mapped).is_some());
    let later = home.network.now() + Duration::from_secs(121);
    assert_eq!(home.network.step(later), None);
    assert!(send(&mut home.network, home.outside[0], at(OUT1), mapped).is_none());

    let before = send(&mut home.network, home.inside, at(INNER), at(OUT1)).unwrap();
    let moved = Action::RebootNat(home.gateway, Some(ip("9.9.9.10")));
    home.network.act(moved);
    assert!(send(&mut home.network, home.outside[0], at(OUT1), before).is_none());
    let after = send(&mut home.network, home.inside, at(INNER), at(OUT1)).unwrap();
    assert_eq!(after.ip(), ip("9.9.9.10"));
    assert!(send(&mut home.network, home.outside[0], at(OUT1), after).is_some());
}

#[test]
fn hairpinning_is_by_choice() {
    for hairpinning in [true, false] {
        let mut home = home(NatConfig::default().hairpinning(hairpinning));
        let mapped = send(&mut home.network, home.inside, at(INNER), at(OUT1)).unwrap();
        // A second flow of the same host, which the filter must know first.
        let other = at("192.168.1.2:5001");
        send(&mut home.network, home.inside, other, at(OUT1)).unwrap();
        let other_mapped = at("9.9.9.9:5001");
        send(&mut home.network, home.inside, at(INNER), other_mapped);
        let seen = send(&mut home.network, home.inside, other, mapped);
        assert_eq!(seen, hairpinning.then_some(other_mapped));
    }
}

#[test]
fn a_firewall_lets_answers_in_and_nothing_else() {
    let mut network = Network::new(1);
    let core = network.internet();
    let perfect = LinkConfig::new;
    let wall = Firewall::new(Protocols::All);
    let (gateway, lan) = network.add_firewall(core, wall, perfect(), perfect());
    let inside = network.add_host();
    network.attach(inside, lan, &[ip("5.5.5.5")], perfect(), perfect());
    let outside = network.add_host();
    network.attach(outside, core, &[ip("1.1.1.1")], perfect(), perfect());
    let (a, b) = (at("5.5.5.5:1"), at("1.1.1.1:1"));
    assert_eq!(send(&mut network, outside, b, a), None);
    assert_eq!(send(&mut network, inside, a, b), Some(a));
    assert_eq!(send(&mut network, outside, b, a), Some(b));
    network.set_firewall(gateway, Some(Firewall::new(Protocols::TcpOnly)));
    assert_eq!(send(&mut network, inside, a, b), None);
    assert_eq!(network.stats().dropped[&DropReason::Firewall], 2);
}

#[test]
fn a_link_keeps_its_rate_and_its_queue() {
    // 1000 bytes on the wire at 8 Mbit/s take 1 ms; 10 fit in the queue besides the one on it.
    let link = LinkConfig::new()
        .rate(8_000_000)
        .delay(Duration::from_millis(5))
        .queue(Queue::DropTail { bytes: 10_000 });
    let (mut network, a, b) = Network::pair(1, link, LinkConfig::new());
    let (src, dst) = (network.addr(a, 1), network.addr(b, 1));
    for _ in 0..20 {
        network.send(a, Datagram::new(src, dst, vec![0; 972]));
    }
    let end = network.now() + Duration::from_secs(1);
    let start = network.now();
    let mut arrivals = Vec::new();
    while network.step(end).is_some() {
        arrivals.push((network.now() - start).as_micros());
    }
    let expected: Vec<u128> = (1..=11).map(|n| 5_000 + n * 1_000).collect();
    assert_eq!(arrivals, expected);
    let stats = network.link_stats(network.interfaces(a)[0], Direction::Up);
    assert_eq!((stats.queue_drops, stats.queue_peak), (9, 10_000));
}

#[test]
fn the_dual_queue_marks_and_lets_the_low_latency_packets_pass() {
    let link = LinkConfig::new().rate(8_000_000).queue(Queue::DualMarking {
        bytes: 1_000_000,
        step: Duration::from_millis(1),
        target: Duration::from_millis(15),
    });
    let (mut network, a, b) = Network::pair(1, link, LinkConfig::new());
    let (src, dst) = (network.addr(a, 1), network.addr(b, 1));
    for number in 0..60 {
        let ecn = if number % 10 == 9 {
            Ecn::Ect1
        } else {
            Ecn::Ect0
        };
        network.send(
            a,
            Datagram {
                src,
                dst,
                ecn,
                payload: vec![number; 972],
            },
        );
    }
    let end = network.now() + Duration::from_secs(1);
    let mut order = Vec::new();
    let mut marks = 0;
    while let Some(Delivery::Datagram(_, datagram)) = network.step(end) {
        order.push(datagram.payload[0]);
        marks += usize::from(datagram.ecn == Ecn::Ce);
    }
    assert_eq!(order.len(), 60);
    assert_eq!(order[..7], [0, 9, 19, 29, 39, 49, 59]);
    assert!(marks > 6, "{marks}");
}

#[test]
fn loss_is_as_asked_and_bursts_are_bursts() {
    for (loss, longest) in [(Loss::Random(0.1), 12), (Loss::bursts(0.1, 10.0), 200)] {
        let (mut network, a, b) = Network::pair(3, LinkConfig::new().loss(loss), LinkConfig::new());
        let (src, dst) = (network.addr(a, 1), network.addr(b, 1));
        let (mut lost, mut run, mut worst) = (0, 0, 0);
        for _ in 0..20_000 {
            network.send(a, Datagram::new(src, dst, vec![1]));
            let end = network.now() + Duration::from_micros(1);
            if network.step(end).is_some() {
                run = 0;
            } else {
                lost += 1;
                run += 1;
                worst = worst.max(run);
            }
        }
        assert!((1_500..2_500).contains(&lost), "{loss:?}: {lost}");
        assert!(worst <= longest, "{loss:?}: {worst}");
        if matches!(loss, Loss::GilbertElliott { .. }) {
            assert!(worst > 15, "{worst}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let link = LinkConfig::new()
            .delay(Duration::from_millis(10))
            .jitter(Duration::from_millis(5))
            .loss(Loss::Random(0.2))
            .reorder(0.1, Duration::from_millis(30))
            .duplicate(0.1)
            .corrupt(0.1);
        let (mut network, a, b) = Network::pair(seed, link, LinkConfig::new());
        let (src, dst) = (network.addr(a, 1), network.addr(b, 1));
        for number in 0..200u8 {
            network.send(a, Datagram::new(src, dst, vec![number; 10]));
        }
        let start = network.now();
        let end = start + Duration::from_secs(1);
        let mut log = Vec::new();
        while let Some(Delivery::Datagram(_, datagram)) = network.step(end) {
            log.push((network.now() - start, datagram.payload));
        }
        log
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let mut copies: BTreeMap<u8, usize> = BTreeMap::new();
    for (_, payload) in run(1) {
        *copies.entry(payload[9]).or_default() += 1;
    }
    assert!(copies.values().any(|n| *n > 1), "duplicates happen");
}

#[test]
fn scripts_pull_cables_and_change_addresses() {
    let (mut network, a, b) = Network::pair(1, LinkConfig::new(), LinkConfig::new());
    let (src, dst) = (network.addr(a, 1), network.addr(b, 1));
    let wire = network.interfaces(a)[0];
    network.schedule(Duration::from_secs(2), Action::Unplug(wire));
    network.schedule(Duration::from_secs(4), Action::Plug(wire));
    network.schedule(
        Duration::from_secs(6),
        Action::SetAddresses(wire, vec![ip("10.0.0.9")]),
    );
    assert!(send(&mut network, a, src, dst).is_some());
    let pulled = network.now() + Duration::from_secs(2);
    assert_eq!(network.step(pulled), Some(Delivery::Addresses(a, vec![])));
    assert!(send(&mut network, a, src, dst).is_none());
    let back = network.now() + Duration::from_secs(2);
    assert_eq!(
        network.step(back),
        Some(Delivery::Addresses(a, vec![src.ip()]))
    );
    assert!(send(&mut network, a, src, dst).is_some());
    let changed = network.now() + Duration::from_secs(4);
    assert_eq!(
        network.step(changed),
        Some(Delivery::Addresses(a, vec![ip("10.0.0.9")]))
    );
    assert!(send(&mut network, a, src, dst).is_none());
    assert!(send(&mut network, a, at("10.0.0.9:1"), dst).is_some());
}

fn tcp_events(network: &mut Network, time: Duration) -> Vec<(HostId, TcpEvent)> {
    let end = network.now() + time;
    let mut events = Vec::new();
    while let Some(delivery) = network.step(end) {
        if let Delivery::Tcp(host, event) = delivery {
            events.push((host, event));
        }
    }
    events
}

#[test]
fn streams_open_carry_bytes_in_order_through_loss_and_close() {
    let link = LinkConfig::new()
        .delay(Duration::from_millis(10))
        .loss(Loss::Random(0.3));
    let (mut network, a, b) = Network::pair(5, link.clone(), link);
    let (local, remote) = (network.addr(a, 40_000), network.addr(b, 443));
    let seconds = Duration::from_secs(5);
    network.tcp(b, TcpCommand::Listen(remote));
    network.tcp(a, TcpCommand::Connect { local, remote });
    let events = tcp_events(&mut network, seconds);
    assert!(events.contains(&(a, TcpEvent::Connected { local, remote })));
    assert!(events.contains(&(
        b,
        TcpEvent::Accepted {
            local: remote,
            remote: local
        }
    )));
    for number in 0..100u8 {
        network.tcp(
            a,
            TcpCommand::Send {
                local,
                remote,
                bytes: vec![number],
            },
        );
    }
    let got: Vec<u8> = tcp_events(&mut network, seconds)
        .into_iter()
        .filter_map(|(_, event)| match event {
            TcpEvent::Data { bytes, .. } => Some(bytes[0]),
            _ => None,
        })
        .collect();
    assert_eq!(got, (0..100).collect::<Vec<u8>>());
    network.tcp(a, TcpCommand::Close { local, remote });
    let events = tcp_events(&mut network, seconds);
    assert_eq!(
        events,
        [(
            b,
            TcpEvent::Closed {
                local: remote,
                remote: local
            }
        )]
    );
}

#[test]
fn a_connection_to_nobody_is_refused() {
    let (mut network, a, b) = Network::pair(5, LinkConfig::new(), LinkConfig::new());
    let (local, remote) = (network.addr(a, 40_000), network.addr(b, 443));
    network.tcp(a, TcpCommand::Connect { local, remote });
    let events = tcp_events(&mut network, Duration::from_secs(1));
    assert_eq!(events, [(a, TcpEvent::Closed { local, remote })]);
}

/// Two hosts, each behind a NAT that lets in what was asked for only.
fn two_homes(answer: UnsolicitedSyn) -> (Network, [HostId; 2]) {
    let mut network = Network::new(3);
    let core = network.internet();
    let link = || LinkConfig::new().delay(Duration::from_millis(5));
    let hosts = ["7.7.7.7", "8.8.8.8"].map(|outer| {
        let config = NatConfig::new(
            Behaviour::EndpointIndependent,
            Behaviour::AddressAndPortDependent,
        )
        .unsolicited_syn(answer);
        let (_, lan) = network.add_nat(core, ip(outer), config, link(), link());
        let host = network.add_host();
        network.attach(host, lan, &[ip("192.168.1.2")], link(), link());
        host
    });
    (network, hosts)
}

/// RFC 5382 §4.3: both ends open, one of them later than the other's request comes to its NAT.
#[test]
fn two_ends_behind_nats_open_a_connection_at_the_same_time() {
    for answer in [
        UnsolicitedSyn::Hold,
        UnsolicitedSyn::Drop,
        UnsolicitedSyn::Refuse,
    ] {
        let (mut network, [a, b]) = two_homes(answer);
        let local = at("192.168.1.2:5000");
        let (to_b, to_a) = (at("8.8.8.8:5000"), at("7.7.7.7:5000"));
        let connect = |remote| TcpCommand::Connect { local, remote };
        network.tcp(a, connect(to_b));
        let early = tcp_events(&mut network, Duration::from_millis(100));
        network.tcp(b, connect(to_a));
        let events = tcp_events(&mut network, Duration::from_secs(30));
        let opens = |host, remote| events.contains(&(host, TcpEvent::Connected { local, remote }));
        let open = answer != UnsolicitedSyn::Refuse;
        assert_eq!(opens(a, to_b), open, "{answer:?}: {early:?} {events:?}");
        assert_eq!(opens(b, to_a), open, "{answer:?}: {early:?} {events:?}");
        let refused = early.contains(&(
            a,
            TcpEvent::Closed {
                local,
                remote: to_b,
            },
        ));
        assert_eq!(refused, !open, "{answer:?}");
        if open {
            assert!(network.has_connection(a, local, to_b));
            let bytes = b"hello".to_vec();
            network.tcp(
                b,
                TcpCommand::Send {
                    local,
                    remote: to_a,
                    bytes: bytes.clone(),
                },
            );
            let got = tcp_events(&mut network, Duration::from_secs(1));
            let data = TcpEvent::Data {
                local,
                remote: to_b,
                bytes,
            };
            assert_eq!(got, [(a, data)]);
        }
    }
}

#[test]
fn a_stranger_is_refused_at_once_after_six_seconds_or_never() {
    for (answer, seconds) in [
        (UnsolicitedSyn::Refuse, 0),
        (UnsolicitedSyn::Hold, 6),
        (UnsolicitedSyn::Drop, 20),
    ] {
        let (mut network, [a, _]) = two_homes(answer);
        let (local, remote) = (at("192.168.1.2:5000"), at("8.8.8.8:5000"));
        let start = network.now();
        network.tcp(a, TcpCommand::Connect { local, remote });
        let delivery = network.step(start + Duration::from_secs(60));
        let closed = Delivery::Tcp(a, TcpEvent::Closed { local, remote });
        assert_eq!(delivery, Some(closed), "{answer:?}");
        assert_eq!((network.now() - start).as_secs(), seconds, "{answer:?}");
    }
}
