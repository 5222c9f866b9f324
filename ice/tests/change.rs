//! Networks that change in mid-call.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tincan_ice::{Config, ConnectionState, Role};
use tincan_sim::{
    Action, Behaviour, GatewayId, InterfaceId, LinkConfig, NatConfig, Network, PortAssignment,
};
use world::topology::Setup;
use world::{World, ip, role};

const WIFI: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 2));
const CELL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 2));

struct Mobile {
    world: World,
    wifi: InterfaceId,
    wifi_nat: GatewayId,
}

/// A has two interfaces behind a NAT each, B is on the internet.
fn mobile(seed: u64, change: impl Fn(Config) -> Config) -> Mobile {
    mobile_and(seed, &[ip("203.0.113.9")], change)
}

/// As [`mobile`], with other addresses of B.
fn mobile_and(seed: u64, theirs: &[IpAddr], change: impl Fn(Config) -> Config) -> Mobile {
    let mut network = Network::new(seed);
    let core = network.internet();
    let wan = || LinkConfig::new().delay(Duration::from_millis(20));
    let nat = || {
        NatConfig::new(
            Behaviour::EndpointIndependent,
            Behaviour::AddressAndPortDependent,
        )
        .ports(PortAssignment::Random)
    };
    let a = network.add_host();
    let (wifi_nat, home) = network.add_nat(core, ip("198.51.100.1"), nat(), wan(), wan());
    let (_, carrier) = network.add_nat(core, ip("198.51.100.2"), nat(), wan(), wan());
    let wifi = network.attach(a, home, &[WIFI], LinkConfig::new(), LinkConfig::new());
    network.attach(a, carrier, &[CELL], LinkConfig::new(), LinkConfig::new());
    let b = network.add_host();
    network.attach(b, core, theirs, wan(), wan());
    let configs = [role(Role::Controlling), role(Role::Controlled)].map(change);
    let [config_a, config_b] = configs;
    let mut world = World::new(network, (a, config_a), (b, config_b));
    let now = world.now();
    world.end(0).start(now, &[WIFI, CELL], 5000);
    world.end(1).start(now, theirs, 5000);
    assert!(world.both_nominated(Duration::from_secs(5)), "seed {seed}");
    world.run_for(Duration::from_secs(3));
    assert!(
        local(&mut world).starts_with(&WIFI.to_string()),
        "seed {seed}"
    );
    Mobile {
        world,
        wifi,
        wifi_nat,
    }
}

fn local(world: &mut World) -> String {
    let pair = world.end(0).agent.selected_pair().unwrap();
    let base = pair.local.related.or(pair.local.socket_addr()).unwrap();
    base.to_string()
}

/// Both send 50 packets a second; how long the longest pause was at each end.
fn call(world: &mut World, time: Duration) -> [Duration; 2] {
    let step = Duration::from_millis(20);
    let mut last: [Instant; 2] = [world.now(); 2];
    let mut longest = [Duration::ZERO; 2];
    let mut left = time;
    while left > Duration::ZERO {
        for n in [0, 1] {
            let end = world.end(n);
            end.to_send.push_back(vec![200; 100]);
            if end.to_send.len() > 1 && !end.agent.can_send() {
                end.to_send.clear();
            }
            end.received.clear();
        }
        world.run_for(step);
        let now = world.now();
        for n in [0, 1] {
            if !world.end(n).received.is_empty() {
                last[n] = now;
            }
            longest[n] = longest[n].max(now - last[n]);
        }
        left = left.saturating_sub(step);
    }
    longest
}

fn seeds() -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(10)
}

#[test]
fn a_dying_interface_that_nobody_reports_is_replaced_within_seconds() {
    for renomination in [true, false] {
        for seed in 0..seeds() {
            let Mobile {
                mut world, wifi, ..
            } = mobile(seed, |c| c.with_renomination(renomination));
            world.end(0).blind = true;
            call(&mut world, Duration::from_secs(2));
            world.sim.network_mut().act(Action::Unplug(wifi));
            let pause = call(&mut world, Duration::from_secs(15));
            assert!(
                pause.iter().all(|p| *p < Duration::from_secs(5)),
                "seed {seed} {renomination}: {pause:?}"
            );
            assert!(
                local(&mut world).starts_with(&CELL.to_string()),
                "seed {seed} {renomination}"
            );
            for n in [0, 1] {
                assert_ne!(
                    world.end(n).state(),
                    ConnectionState::Disconnected,
                    "seed {seed}"
                );
            }
        }
    }
}

#[test]
fn a_dying_interface_that_is_reported_is_replaced_at_once() {
    for seed in 0..seeds() {
        let Mobile {
            mut world, wifi, ..
        } = mobile(seed, |c| c);
        call(&mut world, Duration::from_secs(1));
        world.sim.network_mut().act(Action::Unplug(wifi));
        let pause = call(&mut world, Duration::from_secs(10));
        // A moves at once; B learns it from A's nomination.
        assert!(
            pause[1] < Duration::from_millis(400),
            "seed {seed}: {pause:?}"
        );
        assert!(pause[0] < Duration::from_secs(4), "seed {seed}: {pause:?}");
    }
}

#[test]
fn a_better_interface_that_comes_back_is_taken_again_without_loss() {
    let Mobile {
        mut world, wifi, ..
    } = mobile(1, |c| c);
    world.sim.network_mut().act(Action::Unplug(wifi));
    call(&mut world, Duration::from_secs(5));
    assert!(local(&mut world).starts_with(&CELL.to_string()));
    world.sim.network_mut().act(Action::Plug(wifi));
    let pause = call(&mut world, Duration::from_secs(10));
    assert!(
        local(&mut world).starts_with(&WIFI.to_string()),
        "{}",
        local(&mut world)
    );
    // Less than two packets' time beyond the difference of the paths.
    assert!(
        pause.iter().all(|p| *p <= Duration::from_millis(60)),
        "{pause:?}"
    );
}

#[test]
fn a_new_address_on_the_only_interface_is_survived_without_restart() {
    for seed in 0..seeds() {
        let Mobile {
            mut world, wifi, ..
        } = mobile(seed, |c| c);
        let new = ip("10.1.0.77");
        let cell = world.sim.network().interfaces(world.hosts()[0])[1];
        world.sim.network_mut().act(Action::Unplug(cell));
        call(&mut world, Duration::from_secs(1));
        world
            .sim
            .network_mut()
            .act(Action::SetAddresses(wifi, vec![new]));
        let pause = call(&mut world, Duration::from_secs(15));
        assert!(
            pause.iter().all(|p| *p < Duration::from_secs(5)),
            "seed {seed}: {pause:?}"
        );
        assert!(local(&mut world).starts_with("10.1.0.77"), "seed {seed}");
    }
}

#[test]
fn a_nat_that_reboots_with_another_address_is_survived_without_restart() {
    for seed in 0..seeds() {
        let Mobile {
            mut world,
            wifi_nat,
            ..
        } = mobile(seed, |c| c);
        let cell = world.sim.network().interfaces(world.hosts()[0])[1];
        world.sim.network_mut().act(Action::Unplug(cell));
        call(&mut world, Duration::from_secs(1));
        world
            .sim
            .network_mut()
            .act(Action::RebootNat(wifi_nat, Some(ip("198.51.100.99"))));
        let pause = call(&mut world, Duration::from_secs(20));
        assert!(
            pause.iter().all(|p| *p < Duration::from_secs(6)),
            "seed {seed}: {pause:?}"
        );
    }
}

#[test]
fn a_cable_pulled_for_ten_seconds_disconnects_and_reconnects() {
    let Mobile {
        mut world, wifi, ..
    } = mobile(3, |c| c);
    let cell = world.sim.network().interfaces(world.hosts()[0])[1];
    world.end(0).blind = true;
    world.sim.network_mut().act(Action::Unplug(cell));
    world.sim.network_mut().act(Action::Unplug(wifi));
    call(&mut world, Duration::from_secs(10));
    for n in [0, 1] {
        assert_eq!(world.end(n).state(), ConnectionState::Disconnected);
    }
    world.sim.network_mut().act(Action::Plug(wifi));
    call(&mut world, Duration::from_secs(3));
    for n in [0, 1] {
        let state = world.end(n).state();
        assert!(
            matches!(
                state,
                ConnectionState::Connected | ConnectionState::Completed
            ),
            "{state}"
        );
        let states: Vec<_> = world.end(n).states.iter().map(|(_, s)| *s).collect();
        assert!(!states.contains(&ConnectionState::Failed), "{states:?}");
    }
}

#[test]
fn a_restart_in_mid_call_loses_nothing_and_moves_to_the_new_generation() {
    let Mobile { mut world, .. } = mobile(4, |c| c);
    let now = world.now();
    world.end(1).restart(now);
    let pause = call(&mut world, Duration::from_secs(5));
    assert!(
        pause.iter().all(|p| *p <= Duration::from_millis(60)),
        "{pause:?}"
    );
    for n in [0, 1] {
        assert_eq!(
            world.end(n).agent.local_ufrags().count(),
            1,
            "the old generation is gone"
        );
    }
}

#[test]
fn of_several_pairs_over_a_dead_link_none_is_tried_while_another_link_lives() {
    let theirs = [ip("203.0.113.9"), ip("203.0.113.10"), ip("203.0.113.11")];
    for renomination in [true, false] {
        for seed in 0..seeds() {
            let Mobile {
                mut world, wifi, ..
            } = mobile_and(seed, &theirs, |c| c.with_renomination(renomination));
            world.end(0).blind = true;
            call(&mut world, Duration::from_secs(2));
            world.sim.network_mut().act(Action::Unplug(wifi));
            let before = [0, 1].map(|n| world.end(n).selections.len());
            let pause = call(&mut world, Duration::from_secs(15));
            assert!(
                pause.iter().all(|p| *p < Duration::from_secs(4)),
                "seed {seed} {renomination}: {pause:?}"
            );
            for n in [0, 1] {
                let moves = world.end(n).selections[before[n]..].to_vec();
                assert!(
                    moves.len() <= 2,
                    "seed {seed} {renomination} {n}: {moves:?}"
                );
            }
        }
    }
}

/// Two families between two hosts: the pair that is not selected dies with the one that is.
#[test]
fn reserves_that_are_as_silent_do_not_count_as_connected() {
    for seed in 0..seeds() {
        let mut world = Setup::dual_stack(seed, 0);
        let world = &mut world.world;
        assert!(world.both_nominated(Duration::from_secs(5)), "seed {seed}");
        world.run_for(Duration::from_secs(60));
        for n in [0, 1] {
            world.end(n).blind = true;
            world.end(n).states.clear();
        }
        let begin = world.now();
        let host = world.hosts()[0];
        for interface in world.sim.network().interfaces(host).to_vec() {
            world.sim.network_mut().act(Action::Unplug(interface));
        }
        world.run_for(Duration::from_secs(45));
        for n in [0, 1] {
            let states: Vec<_> = world.end(n).states.iter().map(|(_, s)| *s).collect();
            assert_eq!(
                states,
                [ConnectionState::Disconnected, ConnectionState::Failed],
                "seed {seed} {n}"
            );
            let failed = world.end(n).states[1].0 - begin;
            assert!(
                failed <= Duration::from_secs(31),
                "seed {seed} {n}: {failed:?}"
            );
        }
    }
}

#[test]
fn a_reserve_takes_over_while_a_restart_waits_for_its_answer() {
    for seed in 0..seeds() {
        let Mobile {
            mut world, wifi, ..
        } = mobile(seed, |c| c);
        call(&mut world, Duration::from_secs(1));
        world.signalling = Duration::from_secs(1_000);
        let now = world.now();
        world.end(0).restart(now);
        call(&mut world, Duration::from_millis(200));
        world.sim.network_mut().act(Action::Unplug(wifi));
        let pause = call(&mut world, Duration::from_secs(10));
        assert!(
            pause[1] < Duration::from_millis(400),
            "seed {seed}: {pause:?}"
        );
        assert!(pause[0] < Duration::from_secs(4), "seed {seed}: {pause:?}");
        assert!(local(&mut world).starts_with(&CELL.to_string()));
    }
}

#[test]
fn an_interface_that_passes_nothing_at_first_is_used_when_it_does() {
    for seed in 0..seeds() {
        let Mobile {
            mut world, wifi, ..
        } = mobile(seed, |c| c);
        let cell = world.sim.network().interfaces(world.hosts()[0])[1];
        world.sim.network_mut().act(Action::Unplug(cell));
        // The patience of the first checks is over.
        world.run_for(Duration::from_secs(60));
        world.end(0).mute = true;
        let new = vec![ip("10.1.0.77")];
        world.sim.network_mut().act(Action::SetAddresses(wifi, new));
        world.run_for(Duration::from_secs(8));
        assert_eq!(world.end(0).state(), ConnectionState::Disconnected);
        world.end(0).mute = false;
        let pause = call(&mut world, Duration::from_secs(5));
        assert!(
            pause.iter().all(|p| *p < Duration::from_secs(3)),
            "seed {seed}: {pause:?}"
        );
    }
}
