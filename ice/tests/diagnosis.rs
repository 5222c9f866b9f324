//! The agent says why it is not connected.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::diagnosis::Cause;
use tincan_ice::{Candidate, Config, ConnectionState, Credentials, FailureReason, Role};
use tincan_sim::{Behaviour, LinkConfig, Network};
use world::topology::{Place, Setup};
use world::{Signal, World, role};

fn pair() -> World {
    let link = LinkConfig::new().delay(Duration::from_millis(10));
    let (network, a, b) = Network::pair(1, link.clone(), link);
    let addresses = [network.addresses(a), network.addresses(b)];
    let mut world = World::new(
        network,
        (a, role(Role::Controlling)),
        (b, role(Role::Controlled)),
    );
    let now = world.now();
    for n in [0, 1] {
        world.end(n).start(now, &addresses[n], 5000);
    }
    world
}

fn cause(world: &mut World) -> Cause {
    world.end(0).agent.explain().cause
}

#[test]
fn before_anything_is_known_it_says_what_is_missing() {
    let mut world = pair();
    assert_eq!(cause(&mut world), Cause::NoRemoteCredentials);
    let now = world.now();
    let credentials = world.end(1).agent.local_credentials().clone();
    world.end(0).agent.set_remote_credentials(now, credentials);
    assert_eq!(cause(&mut world), Cause::NoRemoteCandidates);
    let name = "candidate:1 1 udp 1 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 9000 typ host";
    world
        .end(0)
        .agent
        .add_remote_candidate(now, name.parse().unwrap())
        .unwrap();
    assert_eq!(cause(&mut world), Cause::UnresolvedNames);
    let v6 = Candidate::host("[2001:db8::1]:5000".parse().unwrap());
    world.end(0).agent.add_remote_candidate(now, v6).unwrap();
    assert_eq!(cause(&mut world), Cause::NothingInCommon);
    let v4 = Candidate::host("10.0.0.2:5000".parse().unwrap());
    world.end(0).agent.add_remote_candidate(now, v4).unwrap();
    assert_eq!(cause(&mut world), Cause::StillChecking);
    world.run_for(Duration::from_secs(1));
    assert_eq!(cause(&mut world), Cause::Connected);
    world.end(0).agent.close();
    assert_eq!(cause(&mut world), Cause::Closed);
}

#[test]
fn an_agent_without_addresses_says_so() {
    let (network, a, b) = Network::pair(1, LinkConfig::new(), LinkConfig::new());
    let mut world = World::new(network, (a, Config::new()), (b, Config::new()));
    assert_eq!(cause(&mut world), Cause::NoLocalCandidates);
}

#[test]
fn silence_is_called_silence() {
    let mut world = pair();
    world.end(1).mute = true;
    assert!(world.until(Duration::from_secs(300), |a, _| a.state()
        == ConnectionState::Failed));
    let explanation = world.end(0).agent.explain();
    assert_eq!(explanation.cause, Cause::AllFailed(FailureReason::NoReply));
    let words = explanation.to_string();
    assert!(words.contains("no reply"), "{words}");
    assert!(words.contains("10.0.0.2:5000"), "{words}");
}

#[test]
fn one_way_traffic_is_called_that() {
    let mut world = pair();
    world.end(1).deaf = true;
    assert!(world.until(Duration::from_secs(300), |a, _| a.state()
        == ConnectionState::Failed));
    let explanation = world.end(0).agent.explain();
    assert_eq!(explanation.cause, Cause::AllFailed(FailureReason::OneWay));
}

#[test]
fn a_wrong_password_is_called_a_wrong_password() {
    let mut world = pair();
    // Signalling hands A another password than B has.
    for signal in &mut world.end(1).outbox {
        if let Signal::Credentials(credentials, _) = signal {
            let wrong = Credentials::new(credentials.ufrag.as_str(), &"x".repeat(24)).unwrap();
            *credentials = wrong;
        }
    }
    // B's own requests are fine: only A's are refused, with 401.
    assert!(!world.until(Duration::from_secs(20), |a, _| a.agent.can_send()));
    let report = world.end(0).agent.explain();
    assert_eq!(
        report.pairs[0].failure,
        Some(FailureReason::WrongPassword),
        "{report}"
    );
    assert!(world.end(1).agent.stats().counters.bad_integrity > 0);
}

#[test]
fn symmetric_nats_without_a_relay_fail_with_a_reason_for_every_pair() {
    let place = Place::Nat(
        Behaviour::AddressAndPortDependent,
        Behaviour::AddressAndPortDependent,
    );
    let mut topology = Setup::new(1, place, place).build();
    assert!(topology.world.until(Duration::from_secs(400), |a, b| {
        [a, b]
            .iter()
            .all(|end| end.state() == ConnectionState::Failed)
    }));
    for n in [0, 1] {
        let report = topology.world.end(n).agent.explain();
        assert!(matches!(report.cause, Cause::AllFailed(_)), "{report}");
        assert!(report.pairs.len() >= 2 && report.pairs.iter().all(|p| p.failure.is_some()));
    }
}

#[test]
fn a_lost_path_is_told_apart_from_one_that_never_was() {
    let mut world = pair();
    assert!(world.both_nominated(Duration::from_secs(2)));
    world.end(1).mute = true;
    assert!(world.until(Duration::from_secs(60), |a, _| a.state()
        == ConnectionState::Disconnected));
    assert_eq!(cause(&mut world), Cause::Lost);
    assert!(world.until(Duration::from_secs(60), |a, _| a.state()
        == ConnectionState::Failed));
    assert_eq!(cause(&mut world), Cause::Lost);
    assert!(!world.end(0).agent.can_send(), "no consent, no data");
}
