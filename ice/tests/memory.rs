//! What an agent does on the heap: nothing for a datagram of data, little for a connection in its steady state, and what
//! `memory_usage` tells is what the heap says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    Agent, Candidate, Config, Credentials, Event, Input, LocalBase, Role, Source, limits,
};

const A: &str = "192.0.2.1:5000";
const B: &str = "192.0.2.2:5000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

struct Pair {
    agents: [Agent; 2],
    now: Instant,
    out: Vec<u8>,
    datagrams: usize,
}

impl Pair {
    fn connected() -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut make = |role, at| {
            let mut agent = Agent::new(Config::new().with_role(role), now, &mut rng);
            agent.add_host(now, LocalBase::udp(addr(at))).unwrap();
            agent.end_of_hosts();
            agent
        };
        let mut agents = [make(Role::Controlling, A), make(Role::Controlled, B)];
        for (us, them) in [(0, 1), (1, 0)] {
            let credentials = agents[them].local_credentials().clone();
            agents[us].set_remote_credentials(now, credentials);
            let candidate = Candidate::host(addr([A, B][them]));
            agents[us].add_remote_candidate(now, candidate).unwrap();
            agents[us].end_of_remote_candidates(now);
        }
        let mut pair = Pair {
            agents,
            now,
            out: Vec::with_capacity(2_000),
            datagrams: 0,
        };
        pair.run(Duration::from_secs(3));
        for agent in &mut pair.agents {
            assert!(agent.selected_pair().is_some_and(|p| p.nominated));
            while agent.poll_event().is_some() {}
        }
        pair
    }

    /// Time goes by; everything arrives at once.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            for from in [0, 1] {
                while let Some(t) = self.agents[from].poll_transmit(self.now, &mut self.out) {
                    let source = Source::udp(t.remote, t.local);
                    self.agents[1 - from].handle_input(self.now, source, &self.out);
                    self.out.clear();
                    self.datagrams += 1;
                }
            }
            let next = self.agents.iter().filter_map(Agent::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for agent in &mut self.agents {
                agent.handle_timeout(self.now);
            }
        }
    }

    fn data(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.out.clear();
            let head = self.agents[from].data_headroom();
            self.out.resize(head + 1_200, 7);
            let t = self.agents[from]
                .frame_data(self.now, &mut self.out, 0)
                .unwrap();
            let source = Source::udp(t.remote, t.local);
            let input = self.agents[to].handle_input(self.now, source, &self.out);
            assert_eq!(input, Input::Data(0..1_200));
            assert!(self.agents[to].poll_event().is_none());
            let _ = self.agents[to].poll_timeout();
        }
        self.out.clear();
    }
}

#[test]
fn a_datagram_of_data_allocates_nothing() {
    let mut pair = Pair::connected();
    pair.data();
    let heap = measure(|| {
        for _ in 0..1_000 {
            pair.now += Duration::from_micros(100);
            pair.data();
        }
    });
    assert_eq!(heap.count_total, 0);
}

#[test]
fn consent_for_an_hour_leaves_nothing_behind() {
    let mut pair = Pair::connected();
    // Tables take their room with the first exchanges.
    pair.run(Duration::from_secs(60));
    pair.datagrams = 0;
    let heap = measure(|| pair.run(Duration::from_secs(3_600)));
    println!("{} datagrams in an hour: {heap:?}", pair.datagrams);
    assert!(pair.datagrams > 1_000, "{}", pair.datagrams);
    assert_eq!(heap.bytes_current, 0, "{heap:?}");
    assert_eq!(heap.count_total, 0, "{heap:?}");
    assert!(pair.agents.iter().all(Agent::can_send));
}

/// What was told beside what the heap says.
fn agrees(what: &str, told: usize, heap: &AllocationInfo) {
    let true_size = heap.bytes_current + size_of::<Agent>() as i64;
    println!("{what}: {told} told, {true_size} on the heap");
    let told = told as i64;
    assert!(told >= true_size / 2, "{what}: {told} of {true_size}");
    assert!(told <= 3 * true_size, "{what}: {told} of {true_size}");
}

#[test]
fn memory_usage_is_what_the_heap_says() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(2);
    let mut agent = None;
    let idle = measure(|| {
        let mut new = Agent::new(Config::new(), now, &mut rng);
        new.add_host(now, LocalBase::udp(addr(A))).unwrap();
        agent = Some(new);
    });
    let mut agent = agent.unwrap();
    let before = agent.memory_usage();
    agrees("idle", before, &idle);

    // A peer with as many candidates as it is allowed, and more.
    let mut full = measure(|| {
        agent.set_remote_credentials(now, Credentials::random(&mut rng));
        for n in 0..10_000u32 {
            let [_, a, b, c] = n.to_be_bytes();
            let remote = SocketAddr::from(([10, a, b, c], 4_000));
            let _ = agent.add_remote_candidate(now, Candidate::host(remote));
        }
    });
    full.bytes_current += idle.bytes_current;
    let told = agent.memory_usage();
    agrees("full", told, &full);
    assert!(told > before + limits::MAX_REMOTE_CANDIDATES * size_of::<Candidate>());
    // All that this peer can make an agent with one address hold.
    assert!(full.bytes_current < 256 * 1024, "{full:?}");

    // And it is given back with the generation.
    let mut later = measure(|| {
        agent.close();
        while agent.poll_event().is_some() {}
    });
    later.bytes_current += full.bytes_current;
    let closed = agent.memory_usage();
    println!("closed: {closed} told, {later:?}");
    assert!(closed <= told);
}

#[test]
fn news_that_nobody_takes_are_told() {
    let mut pair = Pair::connected();
    let before = pair.agents[0].memory_usage();
    for port in 0..50 {
        let base = LocalBase::udp(SocketAddr::from(([192, 0, 2, 1], 6_000 + port)));
        pair.agents[0].add_host(pair.now, base).unwrap();
    }
    let told = pair.agents[0].memory_usage();
    assert!(told > before + 50 * size_of::<Event>(), "{before} {told}");
    while pair.agents[0].poll_event().is_some() {}
    assert!(pair.agents[0].memory_usage() < told);
}
