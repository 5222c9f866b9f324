//! Calls by way of a TURN server whose allocation, or the way to it, gets lost.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tincan_ice::{Config, ConnectionState, Event, Policy, Role, Server, Source, Transport};
use tincan_sim::{
    Action, Behaviour, GatewayId, InterfaceId, LinkConfig, NatConfig, Network, PortAssignment,
};
use world::{Node, World, ip, role, turn};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));
const TURN: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
const PORT: u16 = 5000;

struct Relayed {
    world: World,
    nat: GatewayId,
    home: InterfaceId,
}

/// A is behind a NAT and speaks by its TURN server alone, B is on the internet.
fn relayed(seed: u64, transport: Transport) -> Relayed {
    let mut network = Network::new(seed);
    let core = network.internet();
    let wan = || LinkConfig::new().delay(Duration::from_millis(20));
    let apd = Behaviour::AddressAndPortDependent;
    let config = NatConfig::new(apd, apd).ports(PortAssignment::Random);
    let (nat, lan) = network.add_nat(core, ip("198.51.100.1"), config, wan(), wan());
    let a = network.add_host();
    let home = network.attach(a, lan, &[HOME], LinkConfig::new(), LinkConfig::new());
    let b = network.add_host();
    network.attach(b, core, &[ip("203.0.113.9")], wan(), wan());
    let turn_host = network.add_host();
    network.attach(turn_host, core, &[TURN], wan(), wan());
    let server = Server::turn(SocketAddr::new(TURN, turn::PORT), transport, "u", "p");
    let ours = role(Role::Controlling).with_policy(Policy::Relay);
    let ours: Config = ours.with_server(server);
    let mut world = World::new(network, (a, ours), (b, role(Role::Controlled)));
    world.sim.add_peer(turn_host, Node::turn(TURN));
    let now = world.now();
    world.end(0).start(now, &[HOME], PORT);
    world.end(1).start(now, &[ip("203.0.113.9")], PORT);
    assert!(world.both_nominated(Duration::from_secs(5)), "seed {seed}");
    call(&mut world, Duration::from_secs(3));
    world.end(0).events.clear();
    Relayed { world, nat, home }
}

fn server(world: &mut World) -> &mut turn::TurnServer {
    match &mut world.sim.peers_mut()[2] {
        Node::Turn(server) => server,
        _ => unreachable!("peer 2 is the TURN server"),
    }
}

/// Both send 50 packets a second; how long the longest pause was.
fn call(world: &mut World, time: Duration) -> Duration {
    let step = Duration::from_millis(20);
    let begin = world.now();
    let mut last: [Instant; 2] = [begin; 2];
    let mut longest = Duration::ZERO;
    while world.now() < begin + time {
        for n in [0, 1] {
            let end = world.end(n);
            if end.agent.can_send() {
                end.to_send.push_back(vec![200; 100]);
            }
            end.received.clear();
        }
        world.run_for(step);
        let now = world.now();
        for (n, last) in last.iter_mut().enumerate() {
            if !world.end(n).received.is_empty() {
                *last = now;
            }
            longest = longest.max(now - *last);
        }
    }
    longest
}

fn seeds() -> std::ops::Range<u64> {
    let more = std::env::var("TINCAN_SEEDS").ok();
    0..more.and_then(|s| s.parse().ok()).unwrap_or(5)
}

/// The route is away while one datagram is sent, as when a VPN comes up.
#[test]
fn a_datagram_that_the_turn_server_had_no_route_for_ends_nothing() {
    let Relayed { mut world, .. } = relayed(1, Transport::Udp);
    let path = Source::udp(
        SocketAddr::new(HOME, PORT),
        SocketAddr::new(TURN, turn::PORT),
    );
    for _ in 0..3 {
        let now = world.now();
        let agent = &mut world.end(0).agent;
        assert!(agent.server_failed_at(now, path, "network is unreachable"));
        let pause = call(&mut world, Duration::from_secs(3));
        assert!(pause <= Duration::from_millis(60), "{pause:?}");
    }
    assert_eq!(server(&mut world).allocations(), 1);
    let told = |e: &&Event| {
        matches!(
            e,
            Event::CandidateError(_) | Event::CandidateRemoved(_) | Event::ConnectionState(_)
        )
    };
    assert_eq!(world.end(0).events.iter().find(told), None);
}

#[test]
fn a_nat_that_reboots_under_an_allocation_is_survived_without_restart() {
    for seed in seeds() {
        let Relayed { mut world, nat, .. } = relayed(seed, Transport::Udp);
        let new = Some(ip("198.51.100.99"));
        world.sim.network_mut().act(Action::RebootNat(nat, new));
        let pause = call(&mut world, Duration::from_secs(20));
        assert!(pause < Duration::from_secs(4), "seed {seed}: {pause:?}");
    }
}

#[test]
fn a_turn_server_that_starts_anew_is_asked_anew() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let Relayed { mut world, .. } = relayed(1, transport);
        server(&mut world).forget();
        let pause = call(&mut world, Duration::from_secs(20));
        assert!(pause < Duration::from_secs(4), "{transport:?}: {pause:?}");
        // And long after patience with the first checks has ended.
        call(&mut world, Duration::from_secs(60));
        server(&mut world).forget();
        let pause = call(&mut world, Duration::from_secs(20));
        assert!(pause < Duration::from_secs(4), "{transport:?}: {pause:?}");
    }
}

/// Whether the server knows the allocation still, says that it does not, or says nothing.
#[test]
fn a_restart_after_an_outage_does_not_rely_on_a_dead_allocation() {
    for (reboot, reserved) in [(false, false), (true, false), (true, true)] {
        let Relayed {
            mut world,
            nat,
            home,
        } = relayed(2, Transport::Udp);
        server(&mut world).reserved = reserved;
        world.end(0).blind = true;
        world.sim.network_mut().act(Action::Unplug(home));
        call(&mut world, Duration::from_secs(40));
        assert_eq!(world.end(0).state(), ConnectionState::Failed);
        if reboot {
            let new = Some(ip("198.51.100.99"));
            world.sim.network_mut().act(Action::RebootNat(nat, new));
        }
        world.sim.network_mut().act(Action::Plug(home));
        let now = world.now();
        world.end(0).restart(now);
        assert!(
            world.both_nominated(Duration::from_secs(5)),
            "{reboot} {reserved}: {}",
            world.end(0).agent.explain()
        );
        let pause = call(&mut world, Duration::from_secs(3));
        assert!(pause <= Duration::from_millis(60), "{pause:?}");
        assert_eq!(server(&mut world).allocations(), 1 + usize::from(reboot));
    }
}
