//! `compare -- ice`: beside `is`, the agent of str0m.
//!
//! Both sides get the same candidates and a network of function calls; the
//! message that `is` wants parsed by its caller is parsed within its time, as
//! ours parses within.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_benches::{Better, Comparison};
use tincan_ice::{Agent, Candidate, Config, LocalBase, Role, Source};

const CANDIDATES: u8 = 4;

fn addr(end: u8, n: u8) -> SocketAddr {
    SocketAddr::from(([10, end, 0, n + 1], 5000))
}

/// Runs every case of the area.
pub(crate) fn run() {
    // CPU from two new agents with 4 candidates each until both have nominated.
    Comparison::new("ice", "connect-4x4-cpu", "ns", Better::Less)
        .time("ours", || ours::Pair::connected().rounds)
        .time("is", || theirs::Pair::connected().rounds)
        .run();
    // The same in virtual time on a network without delay: what pacing costs.
    let elapsed = [
        ours::Pair::connected().elapsed(),
        theirs::Pair::connected().elapsed(),
    ];
    println!(
        "ice connect-4x4-virtual-time {} is {} us (no delay on the network)",
        elapsed[0].as_micros(),
        elapsed[1].as_micros()
    );
    let datagrams = [
        ours::Pair::connected().datagrams,
        theirs::Pair::connected().datagrams,
    ];
    println!(
        "ice connect-4x4-datagrams {} is {} datagrams",
        datagrams[0], datagrams[1]
    );
    // Two idle connected agents for a minute of virtual time.
    let mut our_pair = ours::Pair::connected();
    let mut their_pair = theirs::Pair::connected();
    our_pair.run_for(Duration::from_secs(120));
    their_pair.run_for(Duration::from_secs(120));
    let before = [our_pair.datagrams, their_pair.datagrams];
    our_pair.run_for(Duration::from_secs(60));
    their_pair.run_for(Duration::from_secs(60));
    println!(
        "ice idle-minute-datagrams {} is {} datagrams (both ends)",
        our_pair.datagrams - before[0],
        their_pair.datagrams - before[1]
    );
    Comparison::new("ice", "idle-minute-cpu", "ns", Better::Less)
        .time("ours", || our_pair.run_for(Duration::from_secs(60)))
        .time("is", || their_pair.run_for(Duration::from_secs(60)))
        .run();
}

mod ours {
    use super::*;

    pub(super) struct Pair {
        agents: [Agent; 2],
        start: Instant,
        now: Instant,
        out: Vec<u8>,
        pub(super) rounds: u32,
        pub(super) datagrams: u32,
    }

    impl Pair {
        pub(super) fn connected() -> Self {
            let start = Instant::now();
            let mut rng = StdRng::seed_from_u64(7);
            let mut new = |role| Agent::new(Config::new().with_role(role), start, &mut rng);
            let agents = [new(Role::Controlling), new(Role::Controlled)];
            let out = Vec::with_capacity(2048);
            let mut pair = Self {
                agents,
                start,
                now: start,
                out,
                rounds: 0,
                datagrams: 0,
            };
            for end in 0..2u8 {
                let (here, there) = (usize::from(end), usize::from(1 - end));
                let credentials = pair.agents[there].local_credentials().clone();
                for n in 0..CANDIDATES {
                    let base = LocalBase::udp(addr(end, n)).with_network(u16::from(n));
                    let added = pair.agents[here].add_host(start, base);
                    assert!(added.is_ok());
                    let remote = Candidate::host(addr(1 - end, n));
                    let added = pair.agents[here].add_remote_candidate(start, remote);
                    assert!(added.is_ok());
                }
                pair.agents[here].set_remote_credentials(start, credentials);
            }
            let nominated =
                |agent: &Agent| agent.selected_pair().is_some_and(|pair| pair.nominated);
            while !pair.agents.iter().all(nominated) {
                pair.step();
            }
            pair
        }

        pub(super) fn elapsed(&self) -> Duration {
            self.now - self.start
        }

        /// Delivers everything there is, then moves on to the next timeout.
        fn step(&mut self) {
            self.rounds += 1;
            let mut quiet = false;
            while !quiet {
                quiet = true;
                for here in [0, 1] {
                    while let Some(t) = self.agents[here].poll_transmit(self.now, &mut self.out) {
                        quiet = false;
                        self.datagrams += 1;
                        let source = Source::udp(t.remote, t.local);
                        self.agents[1 - here].handle_input(self.now, source, &self.out);
                        self.out.clear();
                    }
                    while self.agents[here].poll_event().is_some() {}
                }
            }
            let next = self.agents.iter().filter_map(Agent::poll_timeout).min();
            if let Some(next) = next {
                self.now = self.now.max(next);
            }
            for agent in &mut self.agents {
                if agent.poll_timeout().is_some_and(|at| at <= self.now) {
                    agent.handle_timeout(self.now);
                }
            }
        }

        pub(super) fn run_for(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.step();
            }
        }
    }
}

mod theirs {
    use is::stun::{StunMessage, StunPacket};
    use is::{IceAgent, IceAgentEvent, IceCreds, Protocol};

    use super::*;

    pub(super) struct Pair {
        agents: [IceAgent; 2],
        nominated: [bool; 2],
        start: Instant,
        now: Instant,
        pub(super) rounds: u32,
        pub(super) datagrams: u32,
    }

    impl Pair {
        pub(super) fn connected() -> Self {
            let start = Instant::now();
            let agents = [0, 1].map(|_| IceAgent::new(IceCreds::new()));
            let mut pair = Self {
                agents,
                nominated: [false; 2],
                start,
                now: start,
                rounds: 0,
                datagrams: 0,
            };
            for end in 0..2u8 {
                let (here, there) = (usize::from(end), usize::from(1 - end));
                let credentials = pair.agents[there].local_credentials().clone();
                pair.agents[here].set_controlling(end == 0);
                pair.agents[here].set_remote_credentials(credentials);
                for n in 0..CANDIDATES {
                    let host = |end| is::Candidate::host(addr(end, n), Protocol::Udp);
                    if let (Ok(local), Ok(remote)) = (host(end), host(1 - end)) {
                        pair.agents[here].add_local_candidate(local);
                        pair.agents[here].add_remote_candidate(remote);
                    }
                }
                pair.agents[here].handle_timeout(start);
            }
            while !pair.nominated.iter().all(|n| *n) {
                pair.step();
            }
            pair
        }

        pub(super) fn elapsed(&self) -> Duration {
            self.now - self.start
        }

        fn step(&mut self) {
            self.rounds += 1;
            let mut quiet = false;
            while !quiet {
                quiet = true;
                for here in [0, 1] {
                    while let Some(t) = self.agents[here].poll_transmit() {
                        quiet = false;
                        self.datagrams += 1;
                        let Ok(message) = StunMessage::parse(&t.contents) else {
                            continue;
                        };
                        let packet = StunPacket {
                            proto: t.proto,
                            source: t.source,
                            destination: t.destination,
                            message,
                        };
                        self.agents[1 - here].handle_packet(self.now, packet);
                        // It acts upon what came when time is told.
                        self.agents[1 - here].handle_timeout(self.now);
                    }
                    while let Some(event) = self.agents[here].poll_event() {
                        if matches!(event, IceAgentEvent::NominatedSend { .. }) {
                            self.nominated[here] = true;
                        }
                    }
                }
            }
            let next = self
                .agents
                .iter_mut()
                .filter_map(IceAgent::poll_timeout)
                .min();
            if let Some(next) = next {
                self.now = self.now.max(next);
            }
            for agent in &mut self.agents {
                if agent.poll_timeout().is_some_and(|at| at <= self.now) {
                    agent.handle_timeout(self.now);
                }
            }
        }

        pub(super) fn run_for(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.step();
            }
        }
    }
}
