//! Two agents find each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::{Config, ConnectionState, Event, Role};
use tincan_sim::{LinkConfig, Loss, Network};
use world::{World, role};

fn lan(seed: u64, link: LinkConfig, a: Config, b: Config) -> World {
    let (network, host_a, host_b) = Network::pair(seed, link.clone(), link);
    let addresses = [network.addresses(host_a), network.addresses(host_b)];
    let mut world = World::new(network, (host_a, a), (host_b, b));
    let now = world.now();
    world.end(0).start(now, &addresses[0], 5000);
    world.end(1).start(now, &addresses[1], 5000);
    world
}

fn plain() -> LinkConfig {
    LinkConfig::new().delay(Duration::from_millis(25))
}

fn pair(seed: u64) -> World {
    lan(
        seed,
        plain(),
        role(Role::Controlling),
        role(Role::Controlled),
    )
}

#[test]
fn connects_in_one_round_trip_and_nominates_in_the_next() {
    let mut world = pair(1);
    let exchanged = world.now() + world.signalling;
    assert!(world.both_nominated(Duration::from_secs(1)));
    for n in [0, 1] {
        let end = world.end(n);
        let connected = end.connected.unwrap() - exchanged;
        let nominated = end.nominated.unwrap() - exchanged;
        assert!(connected <= Duration::from_millis(51), "{connected:?}");
        assert!(nominated <= Duration::from_millis(101), "{nominated:?}");
        assert_eq!(end.state(), ConnectionState::Completed);
    }
}

#[test]
fn data_pass_both_ways() {
    let mut world = pair(2);
    assert!(world.both_connected(Duration::from_secs(1)));
    world.end(0).to_send.push_back(vec![200, 1, 2, 3]);
    world.end(1).to_send.push_back(vec![201; 1200]);
    assert!(world.until(Duration::from_secs(1), |a, b| a.received.len()
        + b.received.len()
        == 2));
    assert_eq!(world.end(1).received, [vec![200, 1, 2, 3]]);
    assert_eq!(world.end(0).received, [vec![201; 1200]]);
}

#[test]
fn a_role_conflict_is_repaired() {
    for seed in 0..20 {
        for role_of_both in [Role::Controlling, Role::Controlled] {
            let mut world = lan(seed, plain(), role(role_of_both), role(role_of_both));
            assert!(
                world.both_nominated(Duration::from_secs(5)),
                "seed {seed} {role_of_both}"
            );
            assert_ne!(world.end(0).agent.role(), world.end(1).agent.role());
        }
    }
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_remembered() {
    let mut world = pair(3);
    // B learns everything at once, A half a second later.
    let now = world.now();
    let late = world.end(1).outbox.drain(..).collect::<Vec<_>>();
    assert!(!world.both_connected(Duration::from_millis(500)));
    let until = world.now();
    world
        .end(0)
        .inbox
        .extend(late.into_iter().map(|s| (until, s)));
    assert!(world.both_nominated(Duration::from_secs(1)));
    let connected = world.end(0).connected.unwrap() - until;
    assert!(
        connected <= Duration::from_millis(51),
        "{connected:?} after {:?}",
        until - now
    );
}

#[test]
fn the_agent_fails_no_sooner_than_the_patient_timer() {
    let mut world = pair(4);
    world.end(1).mute = true;
    let start = world.now();
    assert!(world.until(Duration::from_secs(300), |a, _| a.state()
        == ConnectionState::Failed));
    let failed = world.end(0).states.last().unwrap().0 - start;
    assert!(failed >= Duration::from_millis(39_500), "{failed:?}");
    assert!(failed < Duration::from_secs(240), "{failed:?}");
}

#[test]
fn a_closed_agent_is_silent() {
    let mut world = pair(5);
    assert!(world.both_nominated(Duration::from_secs(1)));
    world.end(0).agent.close();
    world.end(0).to_send.push_back(vec![200]);
    let before = world.end(0).sent_datagrams;
    assert!(world.until(Duration::from_secs(60), |_, b| b.state()
        == ConnectionState::Failed));
    assert_eq!(world.end(0).sent_datagrams, before);
    let states: Vec<_> = world.end(1).states.iter().map(|(_, s)| *s).collect();
    assert!(
        states.ends_with(&[ConnectionState::Disconnected, ConnectionState::Failed]),
        "{states:?}"
    );
}

#[test]
fn a_restart_keeps_data_going_and_changes_the_credentials() {
    let mut world = pair(6);
    assert!(world.both_nominated(Duration::from_secs(1)));
    let before = world.end(0).agent.local_credentials().clone();
    let now = world.now();
    world.end(0).restart(now);
    assert_ne!(world.end(0).agent.local_credentials(), &before);
    assert!(world.end(0).agent.can_send());
    let mut sent = 0;
    for _ in 0..200 {
        for n in [0, 1] {
            world
                .end(n)
                .to_send
                .push_back(vec![200, u8::try_from(sent % 256).unwrap()]);
        }
        sent += 1;
        world.run_for(Duration::from_millis(5));
    }
    // The old credentials are answered for three seconds more (RFC 8445 §8.3.1).
    world.run_for(Duration::from_secs(3));
    for n in [0, 1] {
        assert_eq!(world.end(n).received.len(), sent, "end {n}");
        assert_eq!(world.end(n).state(), ConnectionState::Completed);
        assert_eq!(world.end(n).agent.local_ufrags().count(), 1);
    }
}

#[test]
fn consent_keeps_an_idle_pair_for_ten_minutes_at_a_dozen_requests_a_minute() {
    let mut world = pair(7);
    assert!(world.both_nominated(Duration::from_secs(1)));
    let before = world.end(0).sent_datagrams;
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.end(0).state(), ConnectionState::Completed);
    let sent = world.end(0).sent_datagrams - before;
    // Our requests and our responses to the peer's: 12 a minute each.
    assert!((200..=260).contains(&sent), "{sent}");
}

#[test]
fn connects_at_every_loss_up_to_thirty_percent() {
    let seeds: u64 = std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(40);
    for loss in [Loss::Random(0.1), Loss::Random(0.3), Loss::bursts(0.3, 3.0)] {
        for seed in 0..seeds {
            let link = plain().loss(loss);
            let mut world = lan(seed, link, role(Role::Controlling), role(Role::Controlled));
            assert!(
                world.both_nominated(Duration::from_secs(60)),
                "{loss:?} seed {seed}"
            );
        }
    }
}

#[test]
fn a_lite_agent_is_connected_to_and_sends_no_checks() {
    let lite = Config::new().with_lite(true);
    for full_role in [Role::Controlling, Role::Controlled] {
        let mut world = lan(8, plain(), role(full_role), lite.clone());
        assert!(world.both_nominated(Duration::from_secs(1)), "{full_role}");
        world.end(1).to_send.push_back(vec![200]);
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.end(0).received.len(), 1);
        let stats = world.end(1).agent.stats();
        assert!(stats.pairs.iter().all(|p| p.requests_sent == 0));
        assert_eq!(world.end(1).state(), ConnectionState::Completed);
        world.end(0).mute = true;
        world.end(0).agent.close();
        assert!(world.until(Duration::from_secs(60), |_, b| b.state()
            == ConnectionState::Failed));
    }
}

#[test]
fn candidates_are_reported_once_and_the_end_of_gathering_after_them() {
    let mut world = pair(9);
    world.run_for(Duration::from_secs(1));
    let events = &world.end(0).events;
    let candidates = events
        .iter()
        .filter(|e| matches!(e, Event::Candidate(_)))
        .count();
    assert_eq!(candidates, 1);
    let complete = events.iter().position(|e| {
        matches!(
            e,
            Event::GatheringState(tincan_ice::GatheringState::Complete)
        )
    });
    let candidate = events.iter().position(|e| matches!(e, Event::Candidate(_)));
    assert!(candidate < complete);
}

/// An answerer's DTLS overtakes its answer: the offerer knows the path by the checks that it already answered.
#[test]
fn data_before_the_answer_is_taken_on_paths_that_were_proven() {
    use rand::SeedableRng;
    use tincan_ice::{Agent, Config, Event, LocalBase, Role, Source};

    let now = std::time::Instant::now();
    let mut rng = rand::rngs::StdRng::seed_from_u64(3);
    let mut offerer = Agent::new(Config::new().with_role(Role::Controlling), now, &mut rng);
    let mut answerer = Agent::new(Config::new().with_role(Role::Controlled), now, &mut rng);
    let (here, there) = (
        "192.0.2.1:5000".parse().unwrap(),
        "192.0.2.2:5000".parse().unwrap(),
    );
    offerer.add_host(now, LocalBase::udp(here)).unwrap();
    answerer.add_host(now, LocalBase::udp(there)).unwrap();
    answerer.set_remote_credentials(now, offerer.local_credentials().clone());
    while let Some(event) = offerer.poll_event() {
        if let Event::Candidate(candidate) = event {
            answerer.add_remote_candidate(now, candidate).unwrap();
        }
    }
    let source = Source::udp(here, there);
    assert!(
        !offerer.data_received(now, source, 100),
        "nobody has proven anything yet"
    );
    let mut datagram = Vec::new();
    answerer.handle_timeout(now);
    while answerer.poll_transmit(now, &mut datagram).is_some() {
        offerer.handle_input(now, source, &datagram);
        datagram.clear();
    }
    assert!(offerer.data_received(now, source, 100));
    assert!(!offerer.data_received(
        now,
        Source::udp(here, "192.0.2.3:5000".parse().unwrap()),
        100
    ));
}

/// Times of any length are times of a year at most.
#[test]
fn no_configured_time_is_too_long() {
    const LONG: Duration = Duration::MAX;
    let long = |config: Config| {
        config
            .with_patience(LONG)
            .with_disconnected_timeout(LONG)
            .with_consent_interval(LONG)
            .with_consent_expiry(LONG)
            .with_failover_timeout(LONG)
            .with_backups(2, LONG)
            .with_nomination_patience(LONG, LONG)
            .with_server_keepalive(LONG)
            .with_unused_relays(Some(LONG))
    };
    let (a, b) = (role(Role::Controlling), role(Role::Controlled));
    let mut world = lan(7, plain(), long(a), long(b));
    assert!(world.both_nominated(Duration::from_secs(5)));
    let slow = |config: Config| config.with_pacing(LONG).with_initial_rto(LONG);
    let (a, b) = (role(Role::Controlling), role(Role::Controlled));
    let mut world = lan(8, plain(), slow(a), slow(b));
    assert!(world.both_connected(Duration::from_secs(5)));
}
