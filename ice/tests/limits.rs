//! Every bound of `limits.rs` that the other hostile tests do not reach: filled
//! to the brim, and then some.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    AddHostError, Agent, Candidate, CandidateError, CandidateKind, Config, Credentials, Event,
    Input, LocalBase, MdnsName, Role, Server, Source, Transport, limits,
};
use tincan_stun::attributes::{
    ErrorCode, IceControlling, Priority, RequestedTransport, Username, XorMappedAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TieBreaker, TransactionId, Writer};

fn host(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, (n / 250) as u8, 1 + (n % 250) as u8], 5000))
}

fn server(n: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n as u8], 3478))
}

fn peer(n: usize) -> SocketAddr {
    SocketAddr::from(([198, 18, (n / 250) as u8, 1 + (n % 250) as u8], 6000))
}

/// An agent and what it says.
struct Bench {
    agent: Agent,
    now: Instant,
    rng: StdRng,
    out: Vec<u8>,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        Bench {
            agent: Agent::new(config, now, &mut rng),
            now,
            rng,
            out: Vec::new(),
        }
    }

    /// Everything it wants to send now: from, to, octets.
    fn listen(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(t) = self.agent.poll_transmit(self.now, &mut self.out) {
            assert!(t.len <= limits::MAX_DATAGRAM);
            sent.push((t.local, t.remote, std::mem::take(&mut self.out)));
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.agent.handle_timeout(self.now);
    }

    fn tell(&mut self, local: SocketAddr, remote: SocketAddr, octets: &[u8]) -> Input {
        self.agent
            .handle_input(self.now, Source::udp(local, remote), octets)
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.agent.poll_event()).collect()
    }

    fn add_hosts(&mut self, count: usize) -> usize {
        (0..count)
            .filter(|n| {
                self.agent
                    .add_host(self.now, LocalBase::udp(host(*n)))
                    .is_ok()
            })
            .count()
    }
}

fn id_of(octets: &[u8]) -> TransactionId {
    Message::parse(octets).unwrap().transaction_id()
}

#[test]
fn bases_are_as_many_as_the_limit() {
    let mut b = Bench::new(Config::new());
    assert_eq!(b.add_hosts(1000), limits::MAX_BASES);
    let one_more = b.agent.add_host(b.now, LocalBase::udp(host(2000)));
    assert_eq!(one_more, Err(AddHostError::KnownOrTooMany));
    // One goes, one may come.
    let udp = tincan_ice::HostTransport::Udp;
    b.agent.remove_host(b.now, host(0), udp);
    assert_eq!(b.agent.add_host(b.now, LocalBase::udp(host(2000))), Ok(()));
}

#[test]
fn hosts_that_wait_for_a_restart_are_as_many_as_the_limit() {
    let mut b = Bench::new(Config::new().with_continual_gathering(false));
    b.add_hosts(1);
    b.agent.end_of_hosts();
    let waiting = (1..1000)
        .filter(|n| b.agent.add_host(b.now, LocalBase::udp(host(*n))).is_ok())
        .count();
    assert_eq!(waiting, limits::MAX_BASES);
    b.agent.restart(b.now);
    assert_eq!(
        b.agent.stats().local_candidates.len(),
        limits::MAX_BASES,
        "with the first one"
    );
}

/// Sixteen servers, each of which sees every base elsewhere.
#[test]
fn local_candidates_and_servers_are_as_many_as_the_limit() {
    let config = (0..40).fold(Config::new(), |c, n| c.with_server(Server::stun(server(n))));
    let mut b = Bench::new(config);
    b.add_hosts(limits::MAX_BASES);
    let (mut asked, mut port) = (BTreeSet::new(), 1000u16);
    for _ in 0..100_000 {
        let sent = b.listen();
        for (local, remote, octets) in sent {
            asked.insert(remote);
            port += 1;
            let mut answer = Vec::new();
            Writer::new(&mut answer, Class::Success, Method::BINDING, id_of(&octets))
                .push(&XorMappedAddress(SocketAddr::from(([192, 0, 2, 1], port))))
                .finish()
                .unwrap();
            b.tell(local, remote, &answer);
        }
        if port > 1000 + 16 * 64 {
            break;
        }
        b.pass(Duration::from_millis(5));
    }
    assert_eq!(asked.len(), limits::MAX_SERVERS);
    assert_eq!(
        b.agent.stats().local_candidates.len(),
        limits::MAX_LOCAL_CANDIDATES
    );
    // And however often they are exchanged.
    for round in 0..50 {
        b.agent
            .set_servers((0..40).map(|n| Server::stun(server(n + round))));
        b.agent.restart(b.now);
        b.listen();
    }
    assert_eq!(
        b.agent.stats().local_candidates.len(),
        limits::MAX_LOCAL_CANDIDATES
    );
}

#[test]
fn failures_of_servers_are_remembered_as_many_as_the_limit() {
    let config =
        (0..limits::MAX_SERVERS).fold(Config::new(), |c, n| c.with_server(Server::stun(server(n))));
    let mut b = Bench::new(config);
    b.add_hosts(20);
    let mut told = 0;
    for _ in 0..10_000 {
        for (local, remote, octets) in b.listen() {
            let mut answer = Vec::new();
            Writer::new(&mut answer, Class::Error, Method::BINDING, id_of(&octets))
                .push(&ErrorCode::SERVER_ERROR)
                .finish()
                .unwrap();
            b.tell(local, remote, &answer);
        }
        told += b
            .events()
            .iter()
            .filter(|e| matches!(e, Event::CandidateError(_)))
            .count();
        b.pass(Duration::from_millis(5));
    }
    assert_eq!(told, 20 * limits::MAX_SERVERS);
    assert_eq!(b.agent.explain().servers.len(), limits::MAX_SERVER_ERRORS);
}

#[test]
fn allocations_are_as_many_as_the_limit() {
    let config = (0..limits::MAX_SERVERS).fold(Config::new(), |c, n| {
        c.with_server(Server::turn(server(n), Transport::Udp, "u", "p"))
    });
    let mut b = Bench::new(config);
    b.add_hosts(8);
    let mut asked = BTreeSet::new();
    for _ in 0..2000 {
        for (local, remote, octets) in b.listen() {
            let m = Message::parse(&octets).unwrap();
            assert_eq!(m.method(), Method::ALLOCATE);
            assert_eq!(m.get(), Some(RequestedTransport::UDP));
            asked.insert((local, remote));
        }
        b.pass(Duration::from_millis(5));
    }
    assert_eq!(asked.len(), limits::MAX_ALLOCATIONS);
}

/// Only one allocation can stand between two addresses: whoever wished for another is told.
#[test]
fn an_allocation_whose_path_is_taken_is_reported() {
    let of = |user| Server::turn(server(1), Transport::Udp, user, "p");
    let mut b = Bench::new(Config::new().with_server(of("old")).with_server(of("new")));
    b.add_hosts(1);
    let mut asked = BTreeSet::new();
    let mut codes = Vec::new();
    for _ in 0..100 {
        asked.extend(b.listen().into_iter().map(|(from, to, _)| (from, to)));
        codes.extend(b.events().into_iter().filter_map(|event| match event {
            Event::CandidateError(error) => Some(error.code),
            _ => None,
        }));
        b.pass(Duration::from_millis(5));
    }
    assert_eq!((asked.len(), codes), (1, vec![437]));
}

#[test]
fn checks_before_the_answer_are_remembered_as_many_as_the_limit() {
    let mut b = Bench::new(Config::new().with_role(Role::Controlled));
    b.add_hosts(1);
    let theirs = Credentials::random(&mut b.rng);
    let ours = b.agent.local_credentials().clone();
    let key = Key::from_bytes(ours.pwd.as_str().as_bytes());
    for n in 0..1000 {
        let mut check = Vec::new();
        let id = TransactionId::random(&mut b.rng);
        Writer::new(&mut check, Class::Request, Method::BINDING, id)
            .push(&Username(&format!("{}:{}", ours.ufrag, theirs.ufrag)))
            .push(&Priority(1_862_270_975))
            .push(&IceControlling(TieBreaker(7)))
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
        assert_eq!(b.tell(host(0), peer(n), &check), Input::Consumed);
        assert_eq!(b.listen().len(), 1, "each is answered");
    }
    b.agent.set_remote_credentials(b.now, theirs);
    assert_eq!(b.agent.stats().pairs.len(), limits::MAX_EARLY_CHECKS);
}

#[test]
fn events_that_nobody_takes_are_as_many_as_the_limit() {
    let mut b = Bench::new(Config::new());
    let udp = tincan_ice::HostTransport::Udp;
    for n in 0..3000 {
        b.agent
            .add_host(b.now, LocalBase::udp(host(n % 1000)))
            .unwrap();
        b.agent.remove_host(b.now, host(n % 1000), udp);
    }
    let events = b.events();
    assert_eq!(events.len(), limits::MAX_QUEUED_EVENTS);
    let newest = |e: &&Event| matches!(e, Event::CandidateRemoved(_) | Event::Candidate(_));
    let last = events.iter().rfind(newest).unwrap();
    let Event::CandidateRemoved(last) = last else {
        unreachable!("the newest is kept: {last:?}")
    };
    assert_eq!(last.socket_addr(), Some(host(2999 % 1000)));
}

/// Names are asked for as often as there are candidates at most, however many
/// the peer tells.
#[test]
fn names_are_asked_for_as_often_as_there_are_candidates() {
    let mut b = Bench::new(Config::new());
    b.add_hosts(1);
    b.events();
    let mut refused = 0;
    for n in 0..1000u32 {
        let name = MdnsName::random(&mut b.rng);
        let line = format!("candidate:1 1 udp {} {name} 5000 typ host", 1000 + n);
        let candidate: Candidate = line.parse().unwrap();
        refused += usize::from(b.agent.add_remote_candidate(b.now, candidate).is_err());
    }
    let asked = b
        .events()
        .iter()
        .filter(|e| matches!(e, Event::Resolve(_)))
        .count();
    assert_eq!(asked, limits::MAX_REMOTE_CANDIDATES);
    assert_eq!(refused, 1000 - limits::MAX_REMOTE_CANDIDATES);
}

/// A peer that names one stranger gets so many checks sent there; one that
/// names a hundred does not get a hundred times as many.
#[test]
fn strangers_are_called_as_often_as_the_limit() {
    let calls = |strangers: usize| {
        let config = Config::new()
            .with_patience(Duration::from_secs(110))
            .with_pacing(limits::MIN_PACING);
        let mut b = Bench::new(config);
        b.add_hosts(1);
        let theirs = Credentials::random(&mut b.rng);
        b.agent.set_remote_credentials(b.now, theirs);
        for n in 0..strangers {
            b.agent
                .add_remote_candidate(b.now, Candidate::host(peer(n)))
                .unwrap();
        }
        let (mut sent, mut starts, mut last) = (0, Vec::new(), BTreeSet::new());
        for _ in 0..120_000 {
            for (_, _, octets) in b.listen() {
                sent += 1;
                if last.insert(*id_of(&octets).as_bytes()) {
                    starts.push(b.now);
                }
            }
            b.pass(Duration::from_millis(1));
        }
        // RFC 8445 §14.2.
        for pair in starts.windows(2) {
            if let [first, second] = pair {
                assert!(*second - *first >= limits::MIN_PACING);
            }
        }
        (sent, starts.len())
    };
    let (_, checks) = calls(1);
    assert_eq!(checks, 1 + usize::from(limits::MAX_PAIR_RETRIES));
    let (sent, checks) = calls(limits::MAX_PAIRS);
    let most = limits::MAX_PAIRS + limits::MAX_RETRIES as usize;
    assert_eq!(checks, most);
    assert!(sent <= most * 4, "{sent}");
}

#[test]
fn candidate_lines_are_as_long_as_the_limit() {
    let base = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";
    let with =
        |count: usize| (0..count).fold(base.to_owned(), |line, n| line + &format!(" x{n} y"));
    let most = with(limits::MAX_CANDIDATE_EXTENSIONS);
    assert!(most.parse::<Candidate>().is_ok());
    let more = with(limits::MAX_CANDIDATE_EXTENSIONS + 1);
    assert_eq!(more.parse::<Candidate>(), Err(CandidateError::Extensions));
    // Blanks count for the line only.
    let wide = |len: usize| format!("{base}{:1$}x y", "", len - base.len() - 3);
    let longest = wide(limits::MAX_CANDIDATE_LINE);
    assert_eq!(longest.len(), limits::MAX_CANDIDATE_LINE);
    assert!(longest.parse::<Candidate>().is_ok());
    let longer = wide(limits::MAX_CANDIDATE_LINE + 1);
    let refused = Err(CandidateError::TooLong(longer.len()));
    assert_eq!(longer.parse::<Candidate>(), refused);
}

/// The longest names that the standard allows still make a check that fits.
#[test]
fn the_longest_check_fits_its_bound() {
    // Theirs and ours with a colon: USERNAME has at most 508 octets (RFC 8489
    // §14.3), a fragment 256 (RFC 8839 §5.4).
    let (long, ours) = ("x".repeat(256), "y".repeat(508 - 257));
    let ours = Credentials::new(&ours, &long).unwrap();
    let mut b = Bench::new(Config::new());
    b.agent.restart_with(b.now, ours);
    b.agent
        .add_host(b.now, LocalBase::udp(host(0)).with_network(3).with_cost(10))
        .unwrap();
    let theirs = Credentials::new(&long, &long).unwrap();
    b.agent.set_remote_credentials(b.now, theirs);
    b.agent
        .add_remote_candidate(b.now, Candidate::host(peer(0)))
        .unwrap();
    let mut longest = 0;
    for _ in 0..20 {
        let sent = b.listen();
        longest = sent.iter().map(|t| t.2.len()).fold(longest, usize::max);
        b.pass(Duration::from_millis(5));
    }
    assert!(longest > 508 && longest < 1000, "{longest}");
    let kinds = b.agent.stats().local_candidates;
    assert!(kinds.iter().all(|c| c.kind == CandidateKind::Host));
}
