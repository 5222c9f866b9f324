//! Paths that die, with and without a restart under way: what is told, and when it ends.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::{Config, ConnectionState as S, Role};
use world::bench::{Bench, addr};

const THEIRS: &str = "192.0.2.2:5000";
/// The peer's after a restart.
const OTHER: &str = "192.0.2.3:5000";

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
    assert_eq!(bench.agent.state(), S::Failed);
    assert_eq!(bench.agent.poll_timeout(), None);
}

#[test]
fn a_restart_that_nobody_answers_fails_when_the_old_path_is_dead() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add(THEIRS, 65_535);
    bench.run(SECOND, None);
    bench.mute = true;
    bench.run(10 * SECOND, None);
    assert_eq!(bench.agent.state(), S::Disconnected);
    bench.states.clear();
    bench.restart();
    bench.wakeups(120 * SECOND);
    assert_eq!(bench.states, [S::Checking, S::Failed]);
    assert_eq!(bench.agent.poll_timeout(), None);

    // One more, and now the peer is there again.
    bench.states.clear();
    bench.mute = false;
    bench.restart();
    bench.run(20 * SECOND, None);
    bench.answer();
    bench.add(OTHER, 65_535);
    bench.run(SECOND, None);
    assert_eq!(bench.states, [S::Checking, S::Connected]);
}

#[test]
fn a_search_that_failed_goes_on_when_the_answer_comes_late() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add(THEIRS, 65_535);
    bench.run(SECOND, None);
    bench.mute = true;
    bench.wakeups(40 * SECOND);
    bench.restart();
    bench.wakeups(60 * SECOND);
    assert_eq!(bench.agent.state(), S::Failed);
    bench.states.clear();
    bench.answer();
    bench.add(OTHER, 65_535);
    // Patience counts from the first check.
    bench.wakeups(30 * SECOND);
    bench.mute = false;
    bench.wakeups(10 * SECOND);
    assert_eq!(bench.states, [S::Checking, S::Connected]);
}

/// The peer's old address is in no pair of the new generation.
#[test]
fn data_stay_on_the_old_pair_until_nomination_and_are_heard_there_some_seconds_more() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add(THEIRS, 65_535);
    bench.nominate(THEIRS);
    bench.restart();
    assert!(bench.hears(THEIRS));
    bench.answer();
    bench.add(OTHER, 65_535);
    bench.run(SECOND, None);
    assert!(bench.agent.stats().pairs[0].responses_received > 0);
    assert_eq!(bench.sends_to(), Some(addr(THEIRS)));
    assert!(bench.hears(THEIRS) && bench.check_as_before(THEIRS));
    bench.nominate(OTHER);
    assert_eq!(bench.sends_to(), Some(addr(OTHER)));
    assert_eq!(bench.selected(), Some(addr(OTHER)));
    bench.run(Duration::from_millis(2_900), None);
    assert!(bench.hears(THEIRS) && bench.check_as_before(THEIRS));
    bench.run(Duration::from_millis(200), None);
    assert!(!bench.hears(THEIRS) && bench.hears(OTHER));
    assert_eq!(bench.agent.local_ufrags().count(), 1);
    assert!(!bench.states.contains(&S::Disconnected));
}

#[test]
fn data_follow_a_peer_that_sends_by_a_new_pair_before_it_nominates() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add(THEIRS, 65_535);
    bench.nominate(THEIRS);
    bench.restart();
    bench.answer();
    bench.add(OTHER, 65_535);
    bench.run(SECOND, None);
    assert_eq!(bench.sends_to(), Some(addr(THEIRS)));
    assert!(bench.hears(OTHER));
    assert_eq!(bench.sends_to(), Some(addr(OTHER)));
}

#[test]
fn data_leave_an_old_pair_that_is_silent_for_one_that_answers() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add(THEIRS, 65_535);
    bench.nominate(THEIRS);
    bench.restart();
    bench.answer();
    bench.absent = vec![THEIRS];
    bench.add(OTHER, 65_535);
    bench.run(8 * SECOND, None);
    assert_eq!(bench.sends_to(), Some(addr(OTHER)));
    assert!(!bench.states.contains(&S::Disconnected));
}

/// Between the first valid pair and its nomination.
fn pondering() -> Bench {
    let mut bench = Bench::new(Role::Controlling);
    // Better, and not there: the reflexive pair waits for it.
    bench.add("192.0.2.9:5000", 65_535);
    bench.add_reflexive(THEIRS);
    bench.absent = vec!["192.0.2.9:5000"];
    bench.run(Duration::from_millis(30), None);
    assert!(bench.agent.selected_pair().is_some_and(|p| !p.nominated));
    bench
}

#[test]
fn another_role_between_the_first_valid_pair_and_its_nomination_is_no_busy_loop() {
    let mut bench = pondering();
    bench.agent.set_role(Role::Controlled);
    let calls = bench.wakeups(10 * SECOND);
    assert!(calls.len() < 40, "{}", calls.len());
}

#[test]
fn a_restart_between_the_first_valid_pair_and_its_nomination_is_no_busy_loop() {
    let mut bench = pondering();
    bench.restart();
    let calls = bench.wakeups(10 * SECOND);
    assert!(calls.len() < 40, "{}", calls.len());
}
