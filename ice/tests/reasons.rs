//! What a peer, a TURN server or the system answers is told as the reason; and a peer
//! that nominates aggressively, as RFC 5245 allowed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::diagnosis::Cause;
use tincan_ice::{
    Agent, Candidate, CandidateKind, CandidateTransport, Config, Credentials, FailureReason,
    LocalBase, Policy, Role, Source,
};
use tincan_stun::attributes::{
    ErrorCode, IceControlling, Priority, UseCandidate, Username, XorMappedAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TieBreaker, TransactionId, Writer};
use world::topology::{Place, Setup};

const OURS: &str = "192.0.2.1:5000";
const BETTER: &str = "192.0.2.2:5000";
const WORSE: &str = "192.0.2.3:5000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An agent whose peer is the test.
struct Bench {
    agent: Agent,
    now: Instant,
    theirs: Credentials,
    count: u8,
}

impl Bench {
    fn new(role: Role) -> Self {
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
        let mut agent = Agent::new(Config::new().with_role(role), now, &mut rng);
        agent.add_host(now, LocalBase::udp(addr(OURS))).unwrap();
        let theirs = Credentials::random(&mut rng);
        agent.set_remote_credentials(now, theirs.clone());
        Self {
            agent,
            now,
            theirs,
            count: 0,
        }
    }

    fn add(&mut self, at: &str, preference: u16) {
        let (kind, udp) = (CandidateKind::Host, CandidateTransport::Udp);
        let candidate = Candidate::new(kind, udp, addr(at), preference);
        self.agent
            .add_remote_candidate(self.now, candidate)
            .unwrap();
    }

    /// Lets time pass and answers every check: with this error, or with success.
    fn run(&mut self, time: Duration, error: Option<ErrorCode<'static>>) {
        let (end, mut out) = (self.now + time, Vec::new());
        let key = Key::from_bytes(self.theirs.pwd.as_str().as_bytes());
        while self.now < end {
            while let Some(sent) = self.agent.poll_transmit(self.now, &mut out) {
                let request = Message::parse(&out).unwrap();
                if request.class() == Class::Request {
                    let class = error.map_or(Class::Success, |_| Class::Error);
                    let (id, mut back) = (request.transaction_id(), Vec::new());
                    let mapped = XorMappedAddress(addr(OURS));
                    Writer::new(&mut back, class, Method::BINDING, id)
                        .push_opt(error.as_ref())
                        .push_opt(error.is_none().then_some(&mapped))
                        .integrity(&key)
                        .fingerprint()
                        .finish()
                        .unwrap();
                    let source = Source::udp(addr(OURS), sent.remote);
                    self.agent.handle_input(self.now, source, &back);
                }
                out.clear();
            }
            self.now += Duration::from_millis(5);
            self.agent.handle_timeout(self.now);
        }
    }

    /// A check of the peer's that nominates.
    fn nominate(&mut self, from: &str) {
        self.count += 1;
        let ours = self.agent.local_credentials().clone();
        let username = format!("{}:{}", ours.ufrag, self.theirs.ufrag);
        let id = TransactionId::new([self.count; 12]);
        let mut check = Vec::new();
        Writer::new(&mut check, Class::Request, Method::BINDING, id)
            .push(&Username(&username))
            .push(&Priority(1_862_270_975))
            .push(&IceControlling(TieBreaker(7)))
            .push(&UseCandidate)
            .integrity(&Key::from_bytes(ours.pwd.as_str().as_bytes()))
            .fingerprint()
            .finish()
            .unwrap();
        let source = Source::udp(addr(OURS), addr(from));
        self.agent.handle_input(self.now, source, &check);
        self.run(Duration::from_millis(50), None);
    }

    fn selected(&self) -> Option<SocketAddr> {
        let pair = self.agent.selected_pair().filter(|p| p.nominated)?;
        pair.remote.socket_addr()
    }
}

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
    let report = bench.agent.explain();
    assert_eq!(report.pairs[0].failure, Some(FailureReason::Unreachable));
    assert_eq!(report.cause, Cause::AllFailed(FailureReason::Unreachable));
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
