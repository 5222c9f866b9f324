//! A peer that floods, lies and replays: memory, work and answers stay
//! bounded, and the good pair stays up.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tincan_ice::{
    AddCandidateError, Agent, Candidate, Config, ConnectionState, Credentials, Input, LocalBase,
    Role, Source, Transmit, limits,
};
use tincan_stun::attributes::{
    ErrorCode, IceControlled, IceControlling, Priority, UseCandidate, Username, XorMappedAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TieBreaker, TransactionId, Writer};

const OURS: &str = "192.0.2.1:5000";
const THEIRS: &str = "192.0.2.2:5000";

/// A liar that knows how to speak: the victim's peer, held by the test.
struct Liar {
    victim: Agent,
    now: Instant,
    rng: StdRng,
    ours: Credentials,
    out: Vec<u8>,
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Liar {
    fn new(role: Role) -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut victim = Agent::new(Config::new().with_role(role), now, &mut rng);
        victim.add_host(now, LocalBase::udp(addr(OURS))).unwrap();
        let ours = Credentials::random(&mut rng);
        victim.set_remote_credentials(now, ours.clone());
        victim
            .add_remote_candidate(now, Candidate::host(addr(THEIRS)))
            .unwrap();
        Self {
            victim,
            now,
            rng,
            ours,
            out: Vec::new(),
        }
    }

    fn victim_key(&self) -> Key {
        Key::from_bytes(self.victim.local_credentials().pwd.as_str().as_bytes())
    }

    fn key(&self) -> Key {
        Key::from_bytes(self.ours.pwd.as_str().as_bytes())
    }

    fn username(&self) -> String {
        format!(
            "{}:{}",
            self.victim.local_credentials().ufrag,
            self.ours.ufrag
        )
    }

    fn request(&mut self, key: &Key, role: Role, tie_breaker: u64, nominate: bool) -> Vec<u8> {
        let id = TransactionId::random(&mut self.rng);
        let username = self.username();
        let mut bytes = Vec::new();
        let writer = Writer::new(&mut bytes, Class::Request, Method::BINDING, id)
            .push(&Username(&username))
            .push(&Priority(1_862_270_975));
        let writer = match role {
            Role::Controlling => writer.push(&IceControlling(TieBreaker(tie_breaker))),
            Role::Controlled => writer.push(&IceControlled(TieBreaker(tie_breaker))),
        };
        writer
            .push_opt(nominate.then_some(&UseCandidate))
            .integrity(key)
            .fingerprint()
            .finish()
            .unwrap();
        bytes
    }

    fn tell(&mut self, from: SocketAddr, bytes: &[u8]) -> Input {
        self.victim
            .handle_input(self.now, Source::udp(addr(OURS), from), bytes)
    }

    /// Everything the victim wants to send now.
    fn listen(&mut self) -> Vec<(Transmit, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.victim.poll_transmit(self.now, &mut self.out) {
            sent.push((transmit, std::mem::take(&mut self.out)));
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.victim.handle_timeout(self.now);
    }

    /// Answers the victim's checks at our address, like an honest peer.
    fn answer(&mut self, sent: &[(Transmit, Vec<u8>)]) {
        for (transmit, bytes) in sent {
            let message = Message::parse(bytes).unwrap();
            if message.class() != Class::Request || transmit.remote != addr(THEIRS) {
                continue;
            }
            let key = self.key();
            let mut response = Vec::new();
            Writer::new(
                &mut response,
                Class::Success,
                Method::BINDING,
                message.transaction_id(),
            )
            .push(&XorMappedAddress(addr(OURS)))
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
            self.tell(addr(THEIRS), &response);
        }
    }

    fn connect(&mut self) {
        for _ in 0..20 {
            let sent = self.listen();
            self.answer(&sent);
            self.pass(Duration::from_millis(5));
        }
        if self.victim.role() == Role::Controlled {
            let key = self.victim_key();
            let nomination = self.request(&key, Role::Controlling, 1, true);
            self.tell(addr(THEIRS), &nomination);
        }
        assert!(self.victim.selected_pair().is_some_and(|p| p.nominated));
    }

    fn is_well(&self) -> bool {
        self.victim.can_send()
            && self
                .victim
                .selected_pair()
                .is_some_and(|p| p.remote.socket_addr() == Some(addr(THEIRS)))
    }
}

fn other(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 1024 + (n % 60_000) as u16))
}

#[test]
fn ten_thousand_candidates_fill_the_table_and_no_more() {
    let mut liar = Liar::new(Role::Controlling);
    liar.connect();
    let now = liar.now;
    let mut refused = 0;
    for n in 0..10_000 {
        let candidate = Candidate::host(other(n));
        match liar.victim.add_remote_candidate(now, candidate) {
            Ok(()) => {}
            Err(AddCandidateError::TooMany) => refused += 1,
            Err(other) => assert_eq!(other, AddCandidateError::TooMany),
        }
    }
    let stats = liar.victim.stats();
    assert_eq!(stats.remote_candidates.len(), limits::MAX_REMOTE_CANDIDATES);
    assert!(stats.pairs.len() <= limits::MAX_PAIRS);
    assert_eq!(refused, 10_000 - limits::MAX_REMOTE_CANDIDATES + 1);
    // What the victim can be made to send to strangers is bounded by the pairs
    // and the transmissions of a check, and paced (RFC 8445 §19.5.1).
    let mut strangers = 0;
    for _ in 0..60_000 {
        let sent = liar.listen();
        strangers += sent
            .iter()
            .filter(|(t, _)| t.remote != addr(THEIRS))
            .count();
        liar.answer(&sent);
        liar.pass(Duration::from_millis(5));
    }
    assert!(
        strangers <= limits::MAX_PAIRS * 4,
        "connected: one check each, {strangers}"
    );
    assert!(liar.is_well());
}

#[test]
fn a_walk_through_ports_with_the_right_password_is_bounded() {
    let mut liar = Liar::new(Role::Controlled);
    liar.connect();
    let key = liar.victim_key();
    for n in 0..10_000 {
        let request = liar.request(&key, Role::Controlling, 1, false);
        liar.tell(other(n), &request);
        if n % 16 == 0 {
            let sent = liar.listen();
            liar.answer(&sent);
        }
        if n % 100 == 0 {
            liar.pass(Duration::from_millis(5));
        }
    }
    let stats = liar.victim.stats();
    assert!(stats.remote_candidates.len() <= 1 + limits::MAX_PEER_REFLEXIVE);
    assert!(stats.pairs.len() <= limits::MAX_PAIRS);
    assert!(stats.counters.candidates_refused > 9_000);
    assert!(liar.is_well());
}

#[test]
fn checks_with_wrong_passwords_at_line_rate_cost_little_and_are_hardly_answered() {
    let mut liar = Liar::new(Role::Controlled);
    liar.connect();
    liar.listen();
    let wrong = Key::from_bytes(b"not the password at all!");
    let mut answers = 0;
    // 100 000 a second for a second.
    for n in 0..100_000 {
        let request = liar.request(&wrong, Role::Controlling, 1, true);
        assert_eq!(liar.tell(other(n), &request), Input::Consumed);
        if n % 64 == 63 {
            answers += liar
                .listen()
                .iter()
                .filter(|(t, _)| t.remote != addr(THEIRS))
                .count();
        }
        liar.now += Duration::from_micros(10);
    }
    let counters = liar.victim.stats().counters;
    let budget = u64::from(limits::BAD_INTEGRITY_BURST + limits::BAD_INTEGRITY_PER_SECOND);
    assert!(counters.bad_integrity <= budget + 1, "{counters:?}");
    assert_eq!(
        counters.bad_integrity + counters.integrity_throttled,
        100_000
    );
    assert!(
        answers <= (limits::ERROR_REPLIES_BURST + limits::ERROR_REPLIES_PER_SECOND) as usize + 1
    );
    // The good peer is heard all the same.
    let key = liar.victim_key();
    let request = liar.request(&key, Role::Controlling, 1, false);
    liar.tell(addr(THEIRS), &request);
    let sent = liar.listen();
    assert!(
        sent.iter().any(|(t, b)| t.remote == addr(THEIRS)
            && Message::parse(b).unwrap().class() == Class::Success)
    );
    assert!(liar.is_well());
    assert_eq!(
        liar.victim.stats().remote_candidates.len(),
        1,
        "nothing was learned"
    );
}

#[test]
fn answers_are_never_larger_than_the_questions() {
    let mut liar = Liar::new(Role::Controlled);
    let wrong = Key::from_bytes(b"not the password at all!");
    let right = liar.victim_key();
    for key in [wrong, right] {
        let request = liar.request(&key, Role::Controlling, 1, false);
        liar.listen();
        liar.tell(other(7), &request);
        for (transmit, bytes) in liar.listen() {
            if transmit.remote == other(7)
                && Message::parse(&bytes).unwrap().class() != Class::Request
            {
                assert!(
                    bytes.len() <= request.len(),
                    "{} > {}",
                    bytes.len(),
                    request.len()
                );
            }
        }
    }
}

#[test]
fn a_ping_pong_of_role_conflicts_ends() {
    let mut liar = Liar::new(Role::Controlling);
    // Each check is answered with 487, for ever.
    for _ in 0..20_000 {
        for (_, bytes) in liar.listen() {
            let message = Message::parse(&bytes).unwrap();
            if message.class() != Class::Request {
                continue;
            }
            let key = liar.key();
            let mut response = Vec::new();
            Writer::new(
                &mut response,
                Class::Error,
                Method::BINDING,
                message.transaction_id(),
            )
            .push(&ErrorCode::ROLE_CONFLICT)
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
            liar.tell(addr(THEIRS), &response);
        }
        liar.pass(Duration::from_millis(5));
    }
    let stats = liar.victim.stats();
    assert_eq!(
        stats.counters.role_switches,
        u64::from(limits::MAX_ROLE_SWITCHES)
    );
    let requests: u64 = stats.pairs.iter().map(|p| p.requests_sent).sum();
    assert!(
        requests <= u64::from(limits::MAX_ROLE_SWITCHES) + 1,
        "{requests}"
    );
}

#[test]
fn requests_that_claim_our_role_for_ever_switch_it_a_few_times() {
    let mut liar = Liar::new(Role::Controlling);
    liar.connect();
    let key = liar.victim_key();
    for _ in 0..1000 {
        // Always the victim's role, with a tie-breaker that wins.
        let role = liar.victim.role();
        let tie_breaker = if role == Role::Controlling {
            u64::MAX
        } else {
            0
        };
        let request = liar.request(&key, role, tie_breaker, false);
        liar.tell(addr(THEIRS), &request);
        let sent = liar.listen();
        liar.answer(&sent);
        liar.pass(Duration::from_millis(5));
    }
    let counters = liar.victim.stats().counters;
    assert_eq!(counters.role_switches, u64::from(limits::MAX_ROLE_SWITCHES));
    assert!(liar.is_well());
}

#[test]
fn a_response_from_another_address_neither_moves_nor_kills_the_pair() {
    let mut liar = Liar::new(Role::Controlled);
    liar.connect();
    for _ in 0..20 {
        liar.pass(Duration::from_secs(1));
        let sent = liar.listen();
        // A replay of the true response from elsewhere arrives first …
        for (_, bytes) in &sent {
            let message = Message::parse(bytes).unwrap();
            if message.class() != Class::Request {
                continue;
            }
            let key = liar.key();
            let mut response = Vec::new();
            Writer::new(
                &mut response,
                Class::Success,
                Method::BINDING,
                message.transaction_id(),
            )
            .push(&XorMappedAddress(addr(OURS)))
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
            liar.tell(other(1), &response);
        }
        // … and then the true one.
        liar.answer(&sent);
    }
    assert!(liar.victim.stats().counters.not_symmetric >= 2);
    assert!(liar.is_well());
    assert_eq!(liar.victim.stats().remote_candidates.len(), 1);
    assert!(liar.victim.state() != ConnectionState::Disconnected);
}

#[test]
fn old_responses_sent_again_are_not_taken_for_consent() {
    let mut liar = Liar::new(Role::Controlled);
    liar.connect();
    // The first consent exchange is recorded …
    let mut recorded = Vec::new();
    while recorded.is_empty() {
        liar.pass(Duration::from_millis(500));
        for (_, bytes) in liar.listen() {
            let message = Message::parse(&bytes).unwrap();
            let key = liar.key();
            Writer::new(
                &mut recorded,
                Class::Success,
                Method::BINDING,
                message.transaction_id(),
            )
            .push(&XorMappedAddress(addr(OURS)))
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
        }
    }
    liar.tell(addr(THEIRS), &recorded);
    // … and played back for a minute by someone on the path.
    for _ in 0..120 {
        liar.pass(Duration::from_millis(500));
        liar.listen();
        liar.tell(addr(THEIRS), &recorded);
    }
    assert_eq!(liar.victim.state(), ConnectionState::Failed);
    assert!(!liar.victim.can_send());
}

#[test]
fn unpolled_replies_do_not_pile_up() {
    let mut liar = Liar::new(Role::Controlled);
    let key = liar.victim_key();
    for _ in 0..10_000 {
        let request = liar.request(&key, Role::Controlling, 1, false);
        liar.tell(addr(THEIRS), &request);
    }
    let replies = liar
        .listen()
        .iter()
        .filter(|(_, b)| Message::parse(b).unwrap().class() == Class::Success)
        .count();
    assert_eq!(replies, limits::MAX_QUEUED_REPLIES);
}

#[test]
fn garbage_changes_nothing() {
    let mut liar = Liar::new(Role::Controlled);
    liar.connect();
    let key = liar.victim_key();
    let good = liar.request(&key, Role::Controlling, 1, true);
    let mut rng = StdRng::seed_from_u64(99);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        bytes.truncate(rng.random_range(0..=bytes.len()));
        let n = rng.random_range(0..100_000);
        if bytes != good {
            liar.tell(other(n), &bytes);
        }
    }
    let stats = liar.victim.stats();
    assert_eq!((stats.remote_candidates.len(), stats.pairs.len()), (1, 1));
    assert!(liar.is_well());
}

#[test]
fn stale_and_foreign_requests_are_left_to_others() {
    let mut liar = Liar::new(Role::Controlled);
    let mut bytes = Vec::new();
    let id = TransactionId::new([9; 12]);
    Writer::new(&mut bytes, Class::Request, Method::BINDING, id)
        .push(&Username("someone:else"))
        .push(&Priority(1))
        .integrity(&Key::from_bytes(b"password"))
        .fingerprint()
        .finish()
        .unwrap();
    liar.listen();
    assert_eq!(liar.tell(addr(THEIRS), &bytes), Input::NotMine);
    assert_eq!(liar.listen().len(), 0, "no answer");
}
