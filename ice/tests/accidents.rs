//! Two agents on a path where everything goes wrong that a path can do, and a cable is pulled. A seed that fails is brought
//! down to the few accidents that it takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::{ConnectionState, Role};
use tincan_sim::{Action, LinkConfig, Loss, Network, Run, explore, replay};
use world::{World, role};

const MS: Duration = Duration::from_millis(1);

fn seeds() -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60)
}

fn rough(run: &Run, loss: f64) -> World {
    let link = LinkConfig::new()
        .delay(20 * MS)
        .jitter(5 * MS)
        .loss(Loss::Random(loss))
        .reorder(0.1, 60 * MS)
        .duplicate(0.1)
        .corrupt(0.1);
    let (mut network, a, b) = Network::pair(run.seed(), link.clone(), link);
    run.watch(&mut network);
    let cable = network.interfaces(a)[0];
    network.schedule(200 * MS, Action::Unplug(cable));
    network.schedule(900 * MS, Action::Plug(cable));
    let addresses = [network.addresses(a), network.addresses(b)];
    let ends = ((a, role(Role::Controlling)), (b, role(Role::Controlled)));
    let mut world = World::new(network, ends.0, ends.1);
    let now = world.now();
    world.end(0).start(now, &addresses[0], 5000);
    world.end(1).start(now, &addresses[1], 5000);
    world
}

#[test]
fn a_rough_path_and_a_pulled_cable_do_not_keep_agents_apart() {
    let result = explore(0..seeds(), |run| {
        let mut world = rough(run, 0.25);
        if !world.both_nominated(Duration::from_secs(30)) {
            return Err("no pair nominated in 30 s");
        }
        world.run_for(Duration::from_secs(10));
        for n in [0, 1] {
            if world.end(n).state() != ConnectionState::Completed {
                return Err("not completed after 10 s more");
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// The tool itself: what is asked for can't be had when an early check is lost, and nothing else is named.
#[test]
fn a_failing_seed_comes_down_to_the_losses_that_it_takes() {
    let fast = |run: &Run| -> Result<(), &'static str> {
        let mut world = rough(run, 0.25);
        if world.both_connected(190 * MS) {
            Ok(())
        } else {
            Err("slow")
        }
    };
    let failure = explore(0..seeds(), fast).unwrap_err();
    println!("{failure}");
    assert!(failure.before > failure.accidents.len());
    assert!(
        (1..=6).contains(&failure.accidents.len()),
        "{} accidents: {failure}",
        failure.accidents.len()
    );
    // It fails with them, and without any of them it does not.
    assert_eq!(
        replay(failure.seed, &failure.accidents, fast),
        Err("slow".to_owned())
    );
    for left_out in 0..failure.accidents.len() {
        let mut rest = failure.accidents.clone();
        rest.remove(left_out);
        assert_eq!(replay(failure.seed, &rest, fast), Ok(()), "{left_out}");
    }
}
