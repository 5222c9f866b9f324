//! Two ICE agents, the fuzzer being network, signalling and an intruder.
//!
//! Invariants: no panic; after its timeouts are handled an agent asks for none
//! in the past; tables stay within their bounds; bytes that nobody signed
//! change neither pairs nor candidates nor role; closed agents are silent.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    Agent, Candidate, Config, Credentials, Event, FailureReason, HostTransport, LocalBase,
    RemoteOptions, Role, Source, limits,
};

#[derive(Debug, Arbitrary)]
enum Op {
    /// Lets time pass, up to about a minute, with all timeouts on the way.
    Pass {
        agent: bool,
        ms: u16,
    },
    /// Takes what an agent sends; `fate` decides what the network does with it.
    Send {
        agent: bool,
        fate: u8,
        bit: u16,
        port: u8,
    },
    /// Delivers an old datagram again.
    Replay {
        agent: bool,
        which: u8,
        port: u8,
    },
    /// An intruder's bytes.
    Inject {
        agent: bool,
        bytes: Vec<u8>,
        port: u8,
    },
    /// Signals a candidate line of the fuzzer's.
    Line {
        agent: bool,
        line: String,
    },
    /// Signals what the other end reported.
    Signal {
        agent: bool,
    },
    Credentials {
        agent: bool,
    },
    Options {
        agent: bool,
        lite: bool,
        renomination: bool,
        pacing: u8,
    },
    AddHost {
        agent: bool,
        n: u8,
        tcp: u8,
    },
    RemoveHost {
        agent: bool,
        n: u8,
    },
    EndOfHosts {
        agent: bool,
    },
    EndOfRemote {
        agent: bool,
    },
    PathFailed {
        agent: bool,
        n: u8,
        port: u8,
    },
    SetRole {
        agent: bool,
        controlling: bool,
    },
    Restart {
        agent: bool,
    },
    Data {
        agent: bool,
        len: u16,
    },
    Close {
        agent: bool,
    },
}

#[derive(Debug, Arbitrary)]
struct Input {
    seed: u64,
    lite: [bool; 2],
    controlling: [bool; 2],
    ops: Vec<Op>,
}

fn host(agent: usize, n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, agent as u8, n % 4], 5000))
}

fn stranger(port: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 1000 + u16::from(port % 8)))
}

struct World {
    agents: [Agent; 2],
    now: Instant,
    reported: [Vec<Candidate>; 2],
    old: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl World {
    fn drain_events(&mut self, n: usize) {
        while let Some(event) = self.agents[n].poll_event() {
            if let Event::Candidate(candidate) = event {
                self.reported[n].push(candidate);
                self.reported[n].truncate(64);
            }
        }
    }

    fn deliver(&mut self, n: usize, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let _ = self.agents[n].handle_input(self.now, Source::udp(local, remote), bytes);
    }

    fn check(&mut self, n: usize) {
        let stats = self.agents[n].stats();
        assert!(stats.pairs.len() <= limits::MAX_PAIRS);
        let remotes = limits::MAX_REMOTE_CANDIDATES + limits::MAX_PEER_REFLEXIVE;
        assert!(stats.remote_candidates.len() <= remotes);
        assert!(stats.local_candidates.len() <= limits::MAX_LOCAL_CANDIDATES);
    }

    fn pass(&mut self, n: usize, time: Duration) {
        let end = self.now + time;
        let mut at_once = 0;
        while let Some(next) = self.agents[n].poll_timeout().filter(|at| *at <= end) {
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 2_000, "a stuck timer");
            self.now = self.now.max(next);
            self.agents[n].handle_timeout(self.now);
            let mut out = Vec::new();
            while self.agents[n].poll_transmit(self.now, &mut out).is_some() {
                assert!(out.len() <= limits::MAX_DATAGRAM);
                out.clear();
            }
        }
        self.now = end;
    }
}

fuzz_target!(|input: Input| {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(input.seed);
    let agents = [0, 1].map(|n| {
        let role = if input.controlling[n] {
            Role::Controlling
        } else {
            Role::Controlled
        };
        let config = Config::new().with_role(role).with_lite(input.lite[n]);
        Agent::new(config, now, &mut rng)
    });
    let mut world = World {
        agents,
        now,
        reported: [vec![], vec![]],
        old: vec![],
    };
    for op in input.ops.into_iter().take(256) {
        let now = world.now;
        match op {
            Op::Pass { agent, ms } => {
                world.pass(usize::from(agent), Duration::from_millis(ms.into()))
            }
            Op::Send {
                agent,
                fate,
                bit,
                port,
            } => {
                let n = usize::from(agent);
                let mut out = Vec::new();
                let Some(t) = world.agents[n].poll_transmit(now, &mut out) else {
                    continue;
                };
                assert_eq!(t.len, out.len());
                if fate & 1 != 0 {
                    continue;
                }
                let from = if fate & 2 != 0 {
                    stranger(port)
                } else {
                    t.local
                };
                if fate & 4 != 0 && !out.is_empty() {
                    let at = usize::from(bit) % (out.len() * 8);
                    out[at / 8] ^= 1 << (at % 8);
                }
                if fate & 8 != 0 {
                    out.truncate(usize::from(bit) % (out.len() + 1));
                }
                world.old.push((t.remote, from, out.clone()));
                if world.old.len() > 32 {
                    world.old.remove(0);
                }
                world.deliver(1 - n, t.remote, from, &out);
                if fate & 16 != 0 {
                    world.deliver(1 - n, t.remote, from, &out);
                }
            }
            Op::Replay { agent, which, port } => {
                let Some((to, from, bytes)) = world.old.get(usize::from(which)).cloned() else {
                    continue;
                };
                let from = if port & 1 != 0 { stranger(port) } else { from };
                world.deliver(usize::from(agent), to, from, &bytes);
            }
            Op::Inject { agent, bytes, port } => {
                let n = usize::from(agent);
                let before = world.agents[n].stats();
                world.deliver(n, host(n, port), stranger(port), &bytes);
                let after = world.agents[n].stats();
                assert_eq!(before.pairs.len(), after.pairs.len());
                assert_eq!(before.remote_candidates, after.remote_candidates);
                assert_eq!(before.role, after.role);
                assert_eq!(before.state, after.state);
            }
            Op::Line { agent, line } => {
                if let Ok(candidate) = line.parse::<Candidate>() {
                    assert_eq!(candidate.to_string().parse(), Ok(candidate.clone()));
                    let _ = world.agents[usize::from(agent)].add_remote_candidate(now, candidate);
                }
            }
            Op::Signal { agent } => {
                let n = usize::from(agent);
                for candidate in world.reported[1 - n].clone() {
                    let _ = world.agents[n].add_remote_candidate(now, candidate);
                }
            }
            Op::Credentials { agent } => {
                let n = usize::from(agent);
                let credentials: Credentials = world.agents[1 - n].local_credentials().clone();
                world.agents[n].set_remote_credentials(now, credentials);
            }
            Op::Options {
                agent,
                lite,
                renomination,
                pacing,
            } => {
                let pacing = Some(Duration::from_millis(pacing.into()));
                let options = RemoteOptions {
                    lite,
                    renomination,
                    pacing,
                };
                world.agents[usize::from(agent)].set_remote_options(options);
            }
            Op::AddHost { agent, n, tcp } => {
                let at = usize::from(agent);
                let transport = match tcp % 8 {
                    0 => HostTransport::TcpActive,
                    1 => HostTransport::TcpPassive,
                    2 => HostTransport::TcpSimultaneousOpen,
                    _ => HostTransport::Udp,
                };
                let _ = world.agents[at].add_host(now, LocalBase::new(host(at, n), transport));
            }
            Op::RemoveHost { agent, n } => {
                let at = usize::from(agent);
                world.agents[at].remove_host(now, host(at, n), HostTransport::Udp);
            }
            Op::EndOfHosts { agent } => world.agents[usize::from(agent)].end_of_hosts(),
            Op::EndOfRemote { agent } => {
                world.agents[usize::from(agent)].end_of_remote_candidates(now);
            }
            Op::PathFailed { agent, n, port } => {
                let at = usize::from(agent);
                let source = Source::udp(host(at, n), host(1 - at, port));
                world.agents[at].path_failed(now, source, FailureReason::Unreachable);
            }
            Op::SetRole { agent, controlling } => {
                let role = if controlling {
                    Role::Controlling
                } else {
                    Role::Controlled
                };
                world.agents[usize::from(agent)].set_role(role);
            }
            Op::Restart { agent } => world.agents[usize::from(agent)].restart(now),
            Op::Data { agent, len } => {
                let n = usize::from(agent);
                let mut out = vec![0; world.agents[n].data_headroom()];
                out.resize(out.len() + usize::from(len % 1500), 200);
                let sent = world.agents[n].frame_data(now, &mut out, 0);
                assert_eq!(sent.is_some(), world.agents[n].can_send());
            }
            Op::Close { agent } => {
                let n = usize::from(agent);
                world.agents[n].close();
                assert!(
                    world.agents[n]
                        .poll_transmit(now, &mut Vec::new())
                        .is_none()
                );
                assert_eq!(world.agents[n].poll_timeout(), None);
            }
        }
        for n in [0, 1] {
            world.drain_events(n);
            world.check(n);
        }
    }
    // Whatever happened, it comes to rest.
    for n in [0, 1] {
        world.pass(n, Duration::from_secs(300));
        let _ = world.agents[n].explain().to_string();
    }
});
