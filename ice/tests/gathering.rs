//! Gathering over a call's life: keep-alive of mappings, restarts, other
//! servers, a choice of when to go on, allocations that nobody needs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    AddHostError, Agent, CandidateKind, Config, Event, GatheringState, HostTransport, LocalBase,
    Policy, Role, Server,
};
use tincan_sim::{Action, Behaviour, GatewayId, LinkConfig, Loss, NatConfig, Network};
use world::topology::{Place, Setup, Topology};
use world::{Node, World, ip};

const STUN: &str = "203.0.113.1:3478";
const OTHER: &str = "203.0.113.3:3478";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The first end behind a NAT that forgets after half a minute, the second on
/// the internet; two STUN servers (peers 2 and 3), of which the first is used.
fn forgetful(change: impl Fn(Config) -> Config) -> World {
    behind_nat(change).0
}

fn behind_nat(change: impl Fn(Config) -> Config) -> (World, GatewayId) {
    let mut network = Network::new(1);
    let core = network.internet();
    let wire = || LinkConfig::new().delay(Duration::from_millis(10));
    let nat = NatConfig::new(
        Behaviour::EndpointIndependent,
        Behaviour::AddressAndPortDependent,
    )
    .udp_timeout(Duration::from_secs(30));
    let (gateway, home) = network.add_nat(core, ip("198.51.100.10"), nat, wire(), wire());
    let hosts = [network.add_host(), network.add_host()];
    network.attach(hosts[0], home, &[ip("10.0.0.2")], wire(), wire());
    network.attach(hosts[1], core, &[ip("198.51.100.11")], wire(), wire());
    let servers = [STUN, OTHER].map(|server| {
        let host = network.add_host();
        network.attach(host, core, &[at(server).ip()], wire(), wire());
        host
    });
    let config = |role| {
        change(
            Config::new()
                .with_role(role)
                .with_server(Server::stun(at(STUN))),
        )
    };
    let mut world = World::new(
        network,
        (hosts[0], config(Role::Controlling)),
        (hosts[1], config(Role::Controlled)),
    );
    for host in servers {
        world.sim.add_peer(host, Node::stun());
    }
    (world, gateway)
}

fn answered(world: &World, peer: usize) -> usize {
    match &world.sim.peers()[peer] {
        Node::Stun(server) => server.answered,
        _ => 0,
    }
}

/// RFC 8445 §5.1.1.4: an answer that takes ten minutes finds the mapping that
/// the offer told.
#[test]
fn a_reflexive_candidate_lives_until_the_answer_comes() {
    let mut world = forgetful(|c| c);
    world.signalling = Duration::from_secs(600);
    let now = world.now();
    world.end(0).start(now, &[ip("10.0.0.2")], 6000);
    world.run_for(Duration::from_secs(300));
    let told = world.end(0).agent.stats().local_candidates;
    let mapped = told
        .iter()
        .find(|c| c.kind == CandidateKind::ServerReflexive)
        .and_then(|c| c.socket_addr())
        .unwrap();
    assert!((15..=25).contains(&answered(&world, 2)), "every 15 s");
    let now = world.now();
    world.end(1).start(now, &[ip("198.51.100.11")], 6000);
    assert!(world.both_nominated(Duration::from_secs(1300)));
    let pair = world.end(1).agent.selected_pair().unwrap();
    assert_eq!(pair.remote.socket_addr(), Some(mapped));
    assert_eq!(pair.remote.kind, CandidateKind::ServerReflexive);
}

#[test]
fn servers_are_asked_on_after_connection_only_with_continual_gathering() {
    for continual in [true, false] {
        let mut world = forgetful(|c| c.with_continual_gathering(continual));
        let now = world.now();
        world.end(0).start(now, &[ip("10.0.0.2")], 6000);
        world.end(1).start(now, &[ip("198.51.100.11")], 6000);
        assert!(world.both_nominated(Duration::from_secs(10)));
        let before = answered(&world, 2);
        world.run_for(Duration::from_secs(300));
        let more = answered(&world, 2) - before;
        assert_eq!(more > 20, continual, "{more}");
    }
}

#[test]
fn a_base_that_comes_late_is_used_at_once_or_waits_for_the_restart() {
    for continual in [true, false] {
        let mut world = forgetful(|c| c.with_continual_gathering(continual));
        let now = world.now();
        world.end(1).start(now, &[ip("198.51.100.11")], 6000);
        world.run_for(Duration::from_secs(2));
        assert_eq!(
            world.end(1).agent.gathering_state(),
            GatheringState::Complete
        );
        let now = world.now();
        let late = LocalBase::udp(at("198.51.100.11:6001"));
        world.end(1).agent.add_host(now, late.clone()).unwrap();
        assert!(world.end(1).agent.add_host(now, late).is_err(), "known");
        world.run_for(Duration::from_secs(2));
        let count = |world: &mut World| world.end(1).agent.stats().local_candidates.len();
        assert_eq!(count(&mut world), if continual { 2 } else { 1 });
        let now = world.now();
        world.end(1).restart(now);
        world.run_for(Duration::from_secs(2));
        assert_eq!(count(&mut world), 2);
        // One that went before it was used is not.
        let now = world.now();
        let gone = at("198.51.100.11:6002");
        let agent = &mut world.end(1).agent;
        agent.add_host(now, LocalBase::udp(gone)).unwrap();
        agent.remove_host(now, gone, HostTransport::Udp);
        agent.restart(now);
        assert_eq!(count(&mut world), 2);
    }
}

/// W3C's setConfiguration: other servers count from the next gathering on.
#[test]
fn other_servers_are_asked_with_the_next_restart() {
    let mut world = forgetful(|c| c);
    let now = world.now();
    world.end(0).start(now, &[ip("10.0.0.2")], 6000);
    world.end(1).start(now, &[ip("198.51.100.11")], 6000);
    assert!(world.both_nominated(Duration::from_secs(10)));
    world
        .end(0)
        .agent
        .set_servers([Server::stun(at(OTHER)).with_url("stun:other")]);
    world.run_for(Duration::from_secs(5));
    assert_eq!(answered(&world, 3), 0, "not yet");
    let now = world.now();
    world.end(0).restart(now);
    world.end(0).events.clear();
    world.run_for(Duration::from_secs(5));
    assert!(answered(&world, 3) > 0);
    let before = answered(&world, 2);
    world.run_for(Duration::from_secs(120));
    let by_first = answered(&world, 2) - before;
    assert!(by_first <= 10, "only the other end still asks: {by_first}");
    assert!(world.both_nominated(Duration::from_secs(10)));
    let complete = |e: &Event| *e == Event::GatheringState(GatheringState::Complete);
    assert!(world.end(0).events.iter().any(complete));
}

/// The NAT gets another address: the server's next answer shows it, the old
/// candidate goes and the new one is told.
#[test]
fn a_mapping_that_changes_becomes_a_new_candidate() {
    let (mut world, nat) = behind_nat(|c| c);
    let now = world.now();
    world.end(0).start(now, &[ip("10.0.0.2")], 6000);
    world.run_for(Duration::from_secs(2));
    let reflexive = |world: &mut World| {
        let stats = world.end(0).agent.stats();
        let all: Vec<_> = stats
            .local_candidates
            .iter()
            .filter(|c| c.kind == CandidateKind::ServerReflexive)
            .filter_map(|c| c.socket_addr())
            .collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].ip()
    };
    assert_eq!(reflexive(&mut world), ip("198.51.100.10"));
    world.end(0).events.clear();
    let moved = Action::RebootNat(nat, Some(ip("198.51.100.99")));
    world.sim.network_mut().act(moved);
    world.run_for(Duration::from_secs(20));
    assert_eq!(reflexive(&mut world), ip("198.51.100.99"));
    let events = &world.end(0).events;
    let gone = events
        .iter()
        .filter(|e| matches!(e, Event::CandidateRemoved(c) if c.socket_addr().is_some_and(|a| a.ip() == ip("198.51.100.10"))));
    assert_eq!(gone.count(), 1);
    let new = events.iter().filter(|e| matches!(e, Event::Candidate(_)));
    assert_eq!(new.count(), 1);
}

/// Two hosts on the internet with a TURN server at hand need no relay.
#[test]
fn allocations_that_nothing_uses_are_given_back_after_a_while() {
    for kept in [Some(Duration::from_secs(10)), None] {
        let mut topology = Setup::new(1, Place::Open, Place::Open)
            .turn()
            .config(|c| {
                c.with_unused_relays(kept)
                    .with_backups(0, Duration::from_secs(20))
            })
            .build();
        assert!(topology.world.both_nominated(Duration::from_secs(10)));
        topology.world.run_for(Duration::from_secs(5));
        assert_eq!(topology.turn().allocations(), 6, "still there");
        topology.world.run_for(Duration::from_secs(30));
        let left = if kept.is_some() { 0 } else { 6 };
        assert_eq!(topology.turn().allocations(), left);
        let relayed = topology
            .world
            .end(0)
            .agent
            .stats()
            .local_candidates
            .iter()
            .filter(|c| c.kind == CandidateKind::Relayed)
            .count();
        assert_eq!(relayed, left / 2);
        // A restart wants them again.
        let now = topology.world.now();
        topology.world.end(0).restart(now);
        topology.world.run_for(Duration::from_secs(5));
        assert!(topology.turn().allocations() >= 3);
        assert!(topology.world.both_nominated(Duration::from_secs(10)));
    }
}

#[test]
fn an_allocation_that_data_go_by_is_kept() {
    let symmetric = Place::Nat(
        Behaviour::AddressAndPortDependent,
        Behaviour::AddressAndPortDependent,
    );
    let mut topology = Setup::new(1, symmetric, symmetric)
        .turn()
        .config(|c| c.with_unused_relays(Some(Duration::from_secs(3))))
        .build();
    assert!(topology.world.both_nominated(Duration::from_secs(10)));
    topology.world.run_for(Duration::from_secs(120));
    assert!(topology.turn().allocations() >= 2);
    for n in [0, 1] {
        topology.world.end(n).to_send.push_back(b"hello".to_vec());
    }
    let heard = topology.world.until(Duration::from_secs(5), |a, b| {
        !a.received.is_empty() && !b.received.is_empty()
    });
    assert!(heard);
}

/// The servers of before a restart are let go, but for what data go by.
#[test]
fn a_restart_with_other_servers_leaves_the_old_ones_allocations() {
    let mut topology = Setup::new(2, Place::Open, Place::Open)
        .turn()
        .config(|c| c.with_unused_relays(None))
        .build();
    assert!(topology.world.both_nominated(Duration::from_secs(10)));
    topology.world.run_for(Duration::from_secs(5));
    for n in [0, 1] {
        topology.world.end(n).agent.set_servers([]);
    }
    let now = topology.world.now();
    topology.world.end(0).restart(now);
    topology.world.run_for(Duration::from_secs(10));
    assert!(topology.world.both_nominated(Duration::from_secs(10)));
    assert!(
        topology.turn().allocations() <= 4,
        "reserves may stand on one"
    );
}

/// The server is away for the time of a whole request: the allocation is made
/// anew as long as nothing works, and gathering does not wait for that.
#[test]
fn an_allocation_that_timed_out_is_made_anew_while_nothing_works() {
    let symmetric = Place::Nat(
        Behaviour::AddressAndPortDependent,
        Behaviour::AddressAndPortDependent,
    );
    let mut topology = Setup::new(3, symmetric, symmetric)
        .turn()
        .config(|c| {
            c.with_policy(Policy::Relay)
                .with_patience(Duration::from_secs(120))
        })
        .build();
    topology.turn().deaf = true;
    topology.world.run_for(Duration::from_secs(45));
    for n in [0, 1] {
        let end = topology.world.end(n);
        assert_eq!(end.agent.gathering_state(), GatheringState::Complete);
        let errors = |e: &&Event| matches!(e, Event::CandidateError(e) if e.code == 701);
        assert_eq!(
            end.events.iter().filter(errors).count(),
            3,
            "told once each"
        );
    }
    topology.turn().deaf = false;
    assert!(
        topology.world.both_nominated(Duration::from_secs(60)),
        "{}",
        topology.world.end(0).agent.explain()
    );
}

/// Both relay only, and the way to the server loses a lot in bursts. In the first
/// run the controlled end's own check of the nominated pair failed at first, and
/// the nomination was forgotten.
#[test]
fn a_nomination_is_remembered_until_the_pair_works_at_both_ends() {
    let symmetric = Place::Nat(
        Behaviour::AddressAndPortDependent,
        Behaviour::AddressAndPortDependent,
    );
    let relayed = |seed| -> Topology {
        Setup::new(seed, symmetric, symmetric)
            .turn()
            .lossy(Loss::bursts(0.3, 4.0))
            .config(|c| c.with_policy(Policy::Relay))
            .build()
    };
    for seed in [588, 1, 2] {
        let mut topology = relayed(seed);
        assert!(
            topology.world.both_nominated(Duration::from_secs(60)),
            "seed {seed}: {}\n{}",
            topology.world.end(0).agent.explain(),
            topology.world.end(1).agent.explain()
        );
    }
}

/// RFC 8445 §5.1.1.1.
#[test]
fn addresses_that_must_not_be_candidates_are_refused() {
    let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
    let mut agent = Agent::new(Config::new(), now, &mut rng);
    for text in ["[fec0::1]:9", "[::192.0.2.1]:9", "[::]:9", "[ff02::1]:9"] {
        let refused = agent.add_host(now, LocalBase::udp(at(text)));
        assert_eq!(refused, Err(AddHostError::Unusable), "{text}");
    }
    let mapped = LocalBase::udp(at("[::ffff:192.0.2.1]:9"));
    assert_eq!(agent.add_host(now, mapped), Ok(()));
    let known = LocalBase::udp(at("192.0.2.1:9"));
    assert_eq!(
        agent.add_host(now, known),
        Err(AddHostError::KnownOrTooMany)
    );
}
