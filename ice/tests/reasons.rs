//! What a peer, a TURN server or the system answers is told as the reason; and a peer
//! that nominates aggressively, as RFC 5245 allowed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use tincan_ice::diagnosis::Cause;
use tincan_ice::{
    AddCandidateError, Candidate, CandidateKind, CandidateTransport, FailureReason, Policy, Role,
    Source,
};
use tincan_stun::attributes::ErrorCode;
use world::bench::{Bench, OURS, addr};
use world::topology::{Place, Setup};

const BETTER: &str = "192.0.2.2:5000";
const WORSE: &str = "192.0.2.3:5000";

#[test]
fn an_error_response_and_an_endless_role_conflict_are_told_as_such() {
    for (error, reason) in [
        (ErrorCode::BAD_REQUEST, FailureReason::ErrorResponse(400)),
        (ErrorCode::ROLE_CONFLICT, FailureReason::RoleConflict),
    ] {
        let mut bench = Bench::new(Role::Controlling);
        bench.add(BETTER, 65_535);
        bench.run(Duration::from_secs(60), Some(error));
        let report = bench.agent.explain();
        assert_eq!(report.pairs[0].failure, Some(reason), "{report}");
        assert!(report.to_string().contains(&reason.to_string()));
    }
}

#[test]
fn an_address_that_the_system_cannot_reach_is_told_as_such() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add(BETTER, 65_535);
    let source = Source::udp(addr(OURS), addr(BETTER));
    bench
        .agent
        .path_failed(bench.now, source, FailureReason::Unreachable);
    // Not its end yet: the route may come back.
    let report = bench.agent.explain();
    assert_eq!(report.pairs[0].failure, Some(FailureReason::Unreachable));
    bench.mute = true;
    bench.run(Duration::from_secs(60), None);
    let report = bench.agent.explain();
    assert_eq!(report.pairs[0].failure, Some(FailureReason::Unreachable));
    assert_eq!(report.cause, Cause::AllFailed(FailureReason::Unreachable));
}

/// More often than there are places for peer-reflexive candidates, as in a call of days.
#[test]
fn a_peer_that_changes_its_address_often_is_followed() {
    let mut bench = Bench::new(Role::Controlled);
    for n in 0..40 {
        let at = format!("198.51.100.7:{}", 1000 + n);
        bench.only = Some(addr(&at));
        bench.nominate(&at);
        bench.run(Duration::from_secs(40), None);
        assert_eq!(
            bench.selected(),
            bench.only,
            "{n}: {}",
            bench.agent.explain()
        );
    }
    // Those that come too fast are not: they may be strangers.
    for n in 0..40 {
        bench.nominate(&format!("198.51.100.8:{}", 1000 + n));
    }
    assert!(bench.agent.stats().counters.candidates_refused > 0);
}

#[test]
fn a_candidate_beyond_the_bound_takes_the_place_of_a_dead_one() {
    let mut bench = Bench::new(Role::Controlling);
    bench.only = Some(addr(BETTER));
    for n in 0..tincan_ice::limits::MAX_REMOTE_CANDIDATES {
        bench.add(&format!("198.51.100.7:{}", 1000 + n), 1000);
    }
    let late = || {
        let (kind, udp) = (CandidateKind::Host, CandidateTransport::Udp);
        Candidate::new(kind, udp, addr(BETTER), 65_535)
    };
    bench.run(Duration::from_secs(10), None);
    let refused = bench.agent.add_remote_candidate(bench.now, late());
    assert_eq!(refused, Err(AddCandidateError::TooMany));
    bench.run(Duration::from_secs(110), None);
    bench.add(BETTER, 65_535);
    bench.run(Duration::from_secs(1), None);
    assert_eq!(bench.selected(), bench.only, "{}", bench.agent.explain());
}

#[test]
fn a_route_that_is_away_for_a_moment_does_not_end_a_check() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add(BETTER, 65_535);
    bench.mute = true;
    bench.run(Duration::from_millis(10), None);
    let source = Source::udp(addr(OURS), addr(BETTER));
    bench
        .agent
        .path_failed(bench.now, source, FailureReason::Unreachable);
    bench.mute = false;
    bench.run(Duration::from_secs(1), None);
    assert_eq!(bench.selected(), Some(addr(BETTER)));
}

#[test]
fn a_relay_that_gives_no_permission_is_told_as_such() {
    let mut topology = Setup::new(1, Place::Open, Place::Open)
        .turn()
        .config(|c| c.with_policy(Policy::Relay))
        .build();
    topology.turn().refuse_permissions = true;
    assert!(!topology.world.both_connected(Duration::from_secs(30)));
    let report = topology.world.end(0).agent.explain();
    let reasons: Vec<_> = report.pairs.iter().map(|p| p.failure).collect();
    assert!(!reasons.is_empty(), "{report}");
    assert!(
        reasons
            .iter()
            .all(|r| *r == Some(FailureReason::NoPermission)),
        "{report}"
    );
}

/// Every check nominates, and the pairs become valid in any order: the best of them is
/// used (RFC 5245 §8.1.1.2), and stays in use when a worse one is nominated again.
#[test]
fn of_an_aggressive_peers_nominations_the_best_counts() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add(WORSE, 1000);
    bench.add(BETTER, 65_535);
    bench.nominate(WORSE);
    assert_eq!(bench.selected(), Some(addr(WORSE)));
    bench.nominate(BETTER);
    assert_eq!(bench.selected(), Some(addr(BETTER)));
    bench.nominate(WORSE);
    bench.run(Duration::from_secs(5), None);
    assert_eq!(bench.selected(), Some(addr(BETTER)));
}
