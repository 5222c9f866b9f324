//! Against aioice and libnice, driven by the scripts in `interop/scripts`, on
//! loopback. Skips where one of them, or coturn, is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tincan_ice::{
    Agent, Candidate, CandidateKind, Config, Credentials, Event, GatheringState, Input, LocalBase,
    Policy, RemoteOptions, Role, Server, Source, Transport,
};
use tincan_interop::coturn::{Coturn, PASSWORD, USER};

/// Python starts, coturn relays, two hundred messages go through six processes: seconds, unless the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// After this a message that did not come back is sent again.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Program {
    Aioice,
    Libnice,
}

impl Program {
    fn script(self) -> &'static str {
        match self {
            Program::Aioice => "aioice_peer.py",
            Program::Libnice => "libnice_peer.py",
        }
    }

    /// A Python that has it.
    fn python(self) -> Option<String> {
        let test = match self {
            Program::Aioice => "import aioice",
            Program::Libnice => "import gi; gi.require_version('Nice', '0.1')",
        };
        let own = std::env::var("TINCAN_PYTHON").ok();
        let candidates = own
            .into_iter()
            .chain(["/usr/bin/python3".into(), "python3".into()]);
        let mut able = candidates.filter(|python: &String| {
            let run = Command::new(python)
                .args(["-c", test])
                .stderr(Stdio::null())
                .status();
            run.is_ok_and(|status| status.success())
        });
        able.next()
    }
}

/// The other end.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    fn start(program: Program, flags: &[String]) -> Option<Peer> {
        let Some(python) = program.python() else {
            println!("skipped: no Python with {program:?}");
            return None;
        };
        let script = format!(
            "{}/../interop/scripts/{}",
            env!("CARGO_MANIFEST_DIR"),
            program.script()
        );
        let mut child = Command::new(python)
            .arg(script)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Some(Peer {
            input: child.stdin.take(),
            child,
            lines,
        })
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        // One that has gone shows in what does not happen.
        let _ = writeln!(input, "{line}");
        let _ = input.flush();
    }
}

/// The text after `"key": "`, for lines as simple as these.
fn text<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!("\"{key}\": \""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// What a run is like.
struct Scene {
    program: Program,
    role: Role,
    lite: bool,
    /// Candidates go one at a time, a dead one first, after checks could begin.
    trickle: bool,
    turn: Option<SocketAddr>,
    /// In mid-transfer.
    restart: bool,
}

impl Scene {
    fn new(program: Program, role: Role) -> Scene {
        Scene {
            program,
            role,
            lite: false,
            trickle: false,
            turn: None,
            restart: false,
        }
    }

    fn config(&self) -> Config {
        let config = Config::new().with_role(self.role).with_lite(self.lite);
        match self.turn {
            Some(server) => config.with_policy(Policy::Relay).with_server(Server::turn(
                server,
                Transport::Udp,
                USER,
                PASSWORD,
            )),
            None => config,
        }
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.role == Role::Controlled {
            flags.push("--controlling".to_owned());
        }
        if self.lite {
            flags.push("--remote-lite".to_owned());
        }
        if let Some(server) = self.turn {
            flags.push(format!("--turn={server}:{USER}:{PASSWORD}"));
        }
        flags
    }

    fn run(self) {
        let Some(mut peer) = Peer::start(self.program, &self.flags()) else {
            return;
        };
        let begin = Instant::now();
        let mut agent = Agent::new(self.config(), begin, &mut rand::rng());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let moment = Some(Duration::from_millis(2));
        socket.set_read_timeout(moment).unwrap();
        agent.add_host(begin, LocalBase::udp(local)).unwrap();
        agent.end_of_hosts();
        let tell_credentials = |agent: &Agent, peer: &mut Peer| {
            let ours = agent.local_credentials();
            let (ufrag, pwd) = (&ours.ufrag, ours.pwd.as_str());
            peer.say(&format!(r#"{{"ufrag": "{ufrag}", "pwd": "{pwd}"}}"#));
        };
        tell_credentials(&agent, &mut peer);

        let mut held_back = Vec::new();
        if self.trickle {
            // Nobody is there.
            let nobody = UdpSocket::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap();
            let dead = Candidate::host(nobody).to_string();
            held_back.push(format!(r#"{{"candidate": "{}"}}"#, strip(&dead)));
        }
        let (mut connected, mut told_end) = (false, false);
        let (mut sent, mut sent_at, mut back, mut turns) = (0u32, begin, 0u32, 0u32);
        // No first octet of STUN's or ChannelData's.
        let message = |n: u32| [0x80 | n as u8; 700];
        let mut restarted = false;
        let (mut out, mut buffer) = (Vec::new(), [0; 2000]);
        let wanted = 200;
        let nominated = |agent: &Agent| agent.selected_pair().is_some_and(|p| p.nominated);
        while back < wanted || !connected || !nominated(&agent) {
            let now = Instant::now();
            assert!(
                begin.elapsed() < PATIENCE,
                "connected there: {connected}, {back} of {sent} back, restarted: {restarted}\n{}\n{:?}",
                agent.explain(),
                agent.stats().counters
            );
            turns += 1;
            while let Ok(line) = peer.lines.try_recv() {
                assert!(!line.contains("failed"), "{line}");
                if let (Some(ufrag), Some(pwd)) = (text(&line, "ufrag"), text(&line, "pwd")) {
                    let theirs = Credentials::new(ufrag, pwd).unwrap();
                    agent.set_remote_options(RemoteOptions::default());
                    agent.set_remote_credentials(now, theirs);
                } else if let Some(candidate) = text(&line, "candidate") {
                    let candidate = format!("candidate:{candidate}");
                    agent
                        .add_remote_candidate(now, candidate.parse().unwrap())
                        .unwrap();
                } else if line.contains("\"end\"") {
                    agent.end_of_remote_candidates(now);
                } else if line.contains("\"connected\"") {
                    connected = true;
                }
            }
            if let Ok((len, remote)) = socket.recv_from(&mut buffer) {
                let source = Source::udp(local, remote);
                if let Input::Data(range) =
                    agent.handle_input(Instant::now(), source, &buffer[..len])
                {
                    // Whole and unchanged; or a copy of one that was sent again.
                    if back < sent && buffer[range] == message(back) {
                        back += 1;
                    }
                }
            }
            let now = Instant::now();
            if agent.poll_timeout().is_some_and(|at| at <= now) {
                agent.handle_timeout(now);
            }
            while let Some(event) = agent.poll_event() {
                match event {
                    Event::Candidate(candidate) => {
                        let line = candidate.to_string();
                        held_back.push(format!(r#"{{"candidate": "{}"}}"#, strip(&line)));
                    }
                    Event::GatheringState(GatheringState::Complete) if !told_end => {
                        told_end = true;
                        held_back.push(r#"{"end": true}"#.to_owned());
                    }
                    _ => {}
                }
            }
            // Trickled: one every hundred turns.
            if !held_back.is_empty() && (!self.trickle || turns.is_multiple_of(100)) {
                let now_told = if self.trickle { 1 } else { held_back.len() };
                for line in held_back.drain(..now_told).collect::<Vec<_>>() {
                    peer.say(&line);
                }
            }
            while let Some(t) = agent.poll_transmit(now, &mut out) {
                let _ = socket.send_to(&out, t.remote);
                out.clear();
            }
            // One at a time, again if a socket's buffer had no room for it: one that never comes back is missed.
            if back == sent && sent < wanted {
                sent += 1;
                sent_at = now - AGAIN;
            }
            let may = connected && agent.can_send() && now.duration_since(sent_at) >= AGAIN;
            if may && back < sent {
                out.resize(agent.data_headroom(), 0);
                out.extend_from_slice(&message(sent - 1));
                let start = agent.frame_data(now, &mut out, 0).unwrap();
                socket.send_to(&out, start.remote).unwrap();
                out.clear();
                sent_at = now;
            }
            if self.restart && !restarted && back == wanted / 2 {
                restarted = true;
                told_end = false;
                agent.restart(now);
                peer.say(r#"{"restart": true}"#);
                tell_credentials(&agent, &mut peer);
            }
        }
        let pair = agent.selected_pair().unwrap();
        assert!(pair.nominated);
        if self.turn.is_some() {
            // The program may send from its host address all the same, which on
            // loopback is as permitted as its relayed one.
            assert_eq!(pair.local.kind, CandidateKind::Relayed);
        }
        println!(
            "{:?} as the {} end: {:?}, {} and {}",
            self.program,
            self.role.opposite(),
            begin.elapsed(),
            pair.local,
            pair.remote
        );
    }
}

fn strip(line: &str) -> &str {
    line.strip_prefix("candidate:").unwrap_or(line)
}

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];

fn full(program: Program) {
    for role in ROLES {
        Scene::new(program, role).run();
    }
}

fn trickled(program: Program) {
    for role in ROLES {
        Scene {
            trickle: true,
            ..Scene::new(program, role)
        }
        .run();
    }
}

/// We are lite, so the program controls.
fn lite(program: Program) {
    Scene {
        lite: true,
        ..Scene::new(program, Role::Controlled)
    }
    .run();
}

/// Both ends by allocations on coturn only.
fn relayed(program: Program) {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    for role in ROLES {
        Scene {
            turn: Some(coturn.addr),
            ..Scene::new(program, role)
        }
        .run();
    }
}

#[test]
fn aioice_full_in_both_roles() {
    full(Program::Aioice);
}

#[test]
fn aioice_trickled_in_both_roles() {
    trickled(Program::Aioice);
}

#[test]
fn aioice_with_a_lite_agent_of_ours() {
    lite(Program::Aioice);
}

#[test]
fn aioice_relayed_by_coturn() {
    relayed(Program::Aioice);
}

#[test]
fn libnice_full_in_both_roles() {
    full(Program::Libnice);
}

#[test]
fn libnice_trickled_in_both_roles() {
    trickled(Program::Libnice);
}

#[test]
fn libnice_with_a_lite_agent_of_ours() {
    lite(Program::Libnice);
}

#[test]
fn libnice_relayed_by_coturn() {
    relayed(Program::Libnice);
}

/// Two hundred messages, each echoed before the next: none is lost.
#[test]
fn libnice_restarted_in_mid_transfer() {
    for role in ROLES {
        Scene {
            restart: true,
            ..Scene::new(Program::Libnice, role)
        }
        .run();
    }
}
