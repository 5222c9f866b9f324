//! Agents behind NATs and firewalls.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::{CandidateKind, Policy, Server, TcpType, Transport};
use tincan_sim::Behaviour;
use world::topology::{Place, Setup, Topology, WAN};

fn seeds() -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(3)
}

fn kinds(topology: &mut Topology) -> (CandidateKind, CandidateKind) {
    let pair = topology.world.end(0).agent.selected_pair().unwrap();
    (pair.local.kind, pair.remote.kind)
}

#[test]
fn two_well_behaved_nats_need_no_relay_and_two_round_trips() {
    for seed in 0..seeds() {
        let nat = Place::Nat(
            Behaviour::EndpointIndependent,
            Behaviour::AddressAndPortDependent,
        );
        let mut topology = Setup::new(seed, nat, nat).build();
        assert!(
            topology.world.both_nominated(Duration::from_secs(20)),
            "seed {seed}"
        );
        let time = topology.time_to_connect().unwrap();
        assert!(
            time <= WAN * 8 + Duration::from_millis(10),
            "seed {seed}: {time:?}"
        );
        let (local, remote) = kinds(&mut topology);
        assert!(local != CandidateKind::Relayed && remote != CandidateKind::Relayed);
    }
}

#[test]
fn every_pair_of_nats_connects_directly_where_a_path_exists_and_by_relay_where_not() {
    for a in Place::ALL_NATS {
        for b in Place::ALL_NATS {
            for seed in 0..seeds() {
                let mut topology = Setup::new(seed, a, b).turn().build();
                assert!(
                    topology.world.both_nominated(Duration::from_secs(30)),
                    "{a:?} {b:?} seed {seed}"
                );
                topology.world.run_for(Duration::from_secs(3));
                let (local, remote) = kinds(&mut topology);
                let relayed = [local, remote].contains(&CandidateKind::Relayed);
                assert_eq!(
                    !relayed,
                    a.reaches(b),
                    "{a:?} {b:?} seed {seed}: {local} {remote}"
                );
            }
        }
    }
}

#[test]
fn without_a_relay_it_connects_exactly_where_a_path_exists() {
    for a in Place::ALL_NATS {
        for b in Place::ALL_NATS {
            let mut topology = Setup::new(1, a, b).build();
            let connected = topology.world.both_nominated(Duration::from_secs(60));
            assert_eq!(connected, a.reaches(b), "{a:?} {b:?}");
        }
    }
}

#[test]
fn relay_only_tells_nothing_else_and_frees_the_allocations_in_the_end() {
    let place = Place::Nat(
        Behaviour::EndpointIndependent,
        Behaviour::EndpointIndependent,
    );
    let mut topology = Setup::new(1, place, place)
        .turn()
        .config(|c| c.with_policy(Policy::Relay))
        .build();
    assert!(topology.world.both_nominated(Duration::from_secs(20)));
    assert_eq!(
        kinds(&mut topology),
        (CandidateKind::Relayed, CandidateKind::Relayed)
    );
    let told = topology.world.end(0).agent.stats().local_candidates;
    let told: Vec<_> = told
        .iter()
        .filter(|c| c.kind != CandidateKind::Host)
        .collect();
    assert!(
        told.iter().all(|c| c.kind == CandidateKind::Relayed),
        "{told:?}"
    );
    for n in 0..50u8 {
        topology
            .world
            .end(0)
            .to_send
            .push_back(vec![200, n, 0, 0, 0]);
        topology.world.run_for(Duration::from_millis(20));
    }
    topology.world.run_for(Duration::from_secs(1));
    assert_eq!(topology.world.end(1).received.len(), 50);
    assert!(topology.turn().channel_data > 50, "channels are used");
    let before = topology.turn().allocations();
    assert_eq!(before, 2 * 3, "by UDP, TCP and TLS");
    topology.world.end(0).agent.close();
    topology.world.end(1).agent.close();
    topology.world.run_for(Duration::from_secs(1));
    assert_eq!(
        (topology.turn().allocations(), topology.turn().released),
        (0, before)
    );
}

#[test]
fn a_relayed_pair_lives_through_refreshes_for_half_an_hour() {
    let place = Place::Nat(
        Behaviour::EndpointIndependent,
        Behaviour::EndpointIndependent,
    );
    let mut topology = Setup::new(2, place, place)
        .turn()
        .config(|c| c.with_policy(Policy::Relay))
        .build();
    assert!(topology.world.both_nominated(Duration::from_secs(20)));
    topology.world.run_for(Duration::from_secs(1800));
    topology.world.end(0).to_send.push_back(vec![200; 300]);
    topology.world.run_for(Duration::from_secs(1));
    assert_eq!(topology.world.end(1).received, [vec![200; 300]]);
}

#[test]
fn firewalls_that_pass_only_tcp_or_only_tls_are_crossed() {
    for (place, transport) in [
        (Place::TcpOnly, Transport::Tcp),
        (Place::TlsOnly, Transport::Tls),
    ] {
        for other in [Place::Open, place, Place::ALL_NATS[8]] {
            for seed in 0..seeds() {
                let mut topology = Setup::new(seed, place, other).turn().build();
                assert!(
                    topology.world.both_nominated(Duration::from_secs(60)),
                    "{place:?} {other:?} seed {seed}"
                );
                topology.world.end(0).to_send.push_back(vec![200; 999]);
                topology.world.end(1).to_send.push_back(vec![201; 998]);
                topology.world.run_for(Duration::from_secs(2));
                assert_eq!(
                    topology.world.end(1).received,
                    [vec![200; 999]],
                    "{transport:?}"
                );
                assert_eq!(
                    topology.world.end(0).received,
                    [vec![201; 998]],
                    "{transport:?}"
                );
            }
        }
    }
}

/// RFC 6544: two firewalls that let TCP out and nobody in. Only connections
/// that both ends open at once pass, whoever tries first.
#[test]
fn simultaneous_open_crosses_two_firewalls_that_let_nobody_in() {
    for seed in 0..seeds() {
        let firewalled = || Setup::new(seed, Place::TcpOnly, Place::TcpOnly);
        let mut topology = firewalled().simultaneous_open().build();
        assert!(
            topology.world.both_nominated(Duration::from_secs(30)),
            "seed {seed}: {}",
            topology.world.end(0).agent.explain()
        );
        for n in [0, 1] {
            let agent = &topology.world.end(n).agent;
            let pair = agent.selected_pair().unwrap();
            for end in [pair.local, pair.remote] {
                assert_eq!(end.tcp_type(), Some(TcpType::SimultaneousOpen));
            }
            // UDP between the same addresses may be another's.
            assert_eq!(agent.selected_path(), None);
            topology.world.end(n).to_send.push_back(b"hello".to_vec());
        }
        assert!(topology.world.until(Duration::from_secs(5), |a, b| {
            !a.received.is_empty() && !b.received.is_empty()
        }));
        let mut topology = firewalled().ice_tcp().build();
        assert!(
            !topology.world.both_connected(Duration::from_secs(60)),
            "seed {seed}: a listener behind a firewall"
        );
    }
}

/// RFC 6544 §5.2: two hosts behind NATs, and nothing but TCP. The addresses that a
/// STUN server saw by TCP lead through where the mappings do not depend on the far
/// end, whatever the filters; without them there is no way.
#[test]
fn server_reflexive_tcp_candidates_lead_through_two_nats() {
    for seed in 0..seeds() {
        for place in &Place::ALL_NATS[..3] {
            let behind = || Setup::new(seed, *place, Place::ALL_NATS[2]);
            let mut topology = behind().tcp_alone().build();
            assert!(
                topology.world.both_nominated(Duration::from_secs(30)),
                "seed {seed} {place:?}: {}",
                topology.world.end(0).agent.explain()
            );
            for n in [0, 1] {
                let end = topology.world.end(n);
                let pair = end.agent.selected_pair().unwrap();
                assert_eq!(
                    pair.remote.tcp_type(),
                    Some(TcpType::SimultaneousOpen),
                    "{pair:?}"
                );
                assert_eq!(pair.remote.kind, CandidateKind::ServerReflexive);
                let told = end.events.iter().find_map(|e| match e {
                    tincan_ice::Event::Candidate(c) => {
                        (c.kind == CandidateKind::ServerReflexive).then(|| c.clone())
                    }
                    _ => None,
                });
                // 100 less 36; direction 6 above thirteen bits (RFC 6544 §4.2).
                let priority = told.unwrap().priority.0;
                assert_eq!((priority >> 24, priority >> 21 & 7), (64, 6));
                end.to_send.push_back(b"hello".to_vec());
            }
            assert!(topology.world.until(Duration::from_secs(5), |a, b| {
                !a.received.is_empty() && !b.received.is_empty()
            }));
        }
        let without = Setup::new(seed, Place::ALL_NATS[2], Place::ALL_NATS[2])
            .tcp_alone()
            .config(|c| c.with_tcp_reflexive(false));
        assert!(
            !without
                .build()
                .world
                .both_connected(Duration::from_secs(30)),
            "seed {seed}"
        );
    }
}

#[test]
fn servers_that_fail_are_reported_and_do_not_hold_up_gathering() {
    let nobody = Server::stun("203.0.113.77:3478".parse().unwrap()).with_url("stun:nobody");
    let mut topology = Setup::new(3, Place::Open, Place::Open)
        .turn()
        .config(|c| c.with_server(nobody))
        .build();
    topology.turn().refuse_all = true;
    assert!(topology.world.both_nominated(Duration::from_secs(5)));
    topology.world.run_for(Duration::from_secs(60));
    let codes: Vec<(u16, String)> = topology
        .world
        .end(0)
        .events
        .iter()
        .filter_map(|e| match e {
            tincan_ice::Event::CandidateError(e) => Some((e.code, e.url.to_string())),
            _ => None,
        })
        .collect();
    assert!(codes.contains(&(701, "stun:nobody".into())), "{codes:?}");
    assert!(codes.iter().any(|(code, _)| *code == 486), "{codes:?}");
    assert_eq!(
        topology.world.end(0).agent.gathering_state(),
        tincan_ice::GatheringState::Complete
    );
}
