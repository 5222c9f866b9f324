//! Paths that die, with and without a restart under way: what is told, and when it ends.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::{Config, Role};
use world::bench::Bench;

const THEIRS: &str = "192.0.2.2:5000";

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lite_agent_whose_peer_is_gone_in_a_restart_comes_to_rest() {
    let mut bench = Bench::with(Config::new().with_lite(true));
    bench.nominate(THEIRS);
    assert!(bench.agent.can_send());
    bench.restart();
    let calls = bench.wakeups(31 * SECOND);
    assert!(calls.len() < 10, "{calls:?}");
    assert!(!bench.agent.can_send(), "nobody has asked for 30 s");
    bench.wakeups(60 * SECOND);
    assert_eq!(bench.agent.poll_timeout(), None);
}

#[test]
fn a_restart_between_the_first_valid_pair_and_its_nomination_is_no_busy_loop() {
    let mut bench = Bench::new(Role::Controlling);
    // Better, and not there: the reflexive pair waits for it.
    bench.add("192.0.2.9:5000", 65_535);
    bench.add_reflexive(THEIRS);
    bench.absent = vec!["192.0.2.9:5000"];
    bench.run(Duration::from_millis(30), None);
    assert!(bench.agent.selected_pair().is_some_and(|p| !p.nominated));
    bench.restart();
    let calls = bench.wakeups(10 * SECOND);
    assert!(calls.len() < 40, "{}", calls.len());
}
