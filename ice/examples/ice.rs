//! ICE alone, over real UDP sockets: two agents find each other and exchange
//! a few lines of text.
//!
//! Both in one process, each with a socket on every address of this host that
//! is given (loopback by default):
//!
//! ```text
//! cargo run --release -p tincan-ice --example ice [-- [--stun ADDR:PORT] [IP…]]
//! ```
//!
//! Between two terminals or two hosts, descriptions carried by copy and paste:
//!
//! ```text
//! cargo run --release -p tincan-ice --example ice -- offer [--stun ADDR:PORT] [IP…]
//! cargo run --release -p tincan-ice --example ice -- answer [--stun ADDR:PORT] [IP…]
//! ```
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::{BufRead, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tincan_ice::{
    Agent, Candidate, Config, ConnectionState, Credentials, Event, GatheringState, Input,
    LocalBase, Role, Server, Source,
};

/// An agent with its sockets.
struct End {
    name: &'static str,
    agent: Agent,
    sockets: Vec<UdpSocket>,
    candidates: Vec<Candidate>,
    out: Vec<u8>,
}

impl End {
    fn new(name: &'static str, role: Role, args: &Args) -> Result<Self, Box<dyn Error>> {
        let mut config = Config::new().with_role(role);
        if let Some(stun) = args.stun {
            config = config.with_server(Server::stun(stun));
        }
        let mut agent = Agent::new(config, Instant::now(), &mut rand::rng());
        let mut sockets = Vec::new();
        for ip in &args.addresses {
            let socket = UdpSocket::bind(SocketAddr::new(*ip, 0))?;
            socket.set_nonblocking(true)?;
            agent.add_host(Instant::now(), LocalBase::udp(socket.local_addr()?))?;
            sockets.push(socket);
        }
        agent.end_of_hosts();
        Ok(Self {
            name,
            agent,
            sockets,
            candidates: Vec::new(),
            out: Vec::new(),
        })
    }

    /// One turn of an event loop: what arrived, what is due, what is to be sent.
    fn turn(&mut self) -> Result<(), Box<dyn Error>> {
        let mut buffer = [0; 1500];
        for at in 0..self.sockets.len() {
            while let Some(socket) = self.sockets.get(at) {
                let (len, remote) = match socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // An ICMP error about something we sent.
                    Err(_) => continue,
                };
                let source = Source::udp(socket.local_addr()?, remote);
                let Some(datagram) = buffer.get(..len) else {
                    continue;
                };
                if let Input::Data(range) =
                    self.agent.handle_input(Instant::now(), source, datagram)
                {
                    let text = String::from_utf8_lossy(datagram.get(range).unwrap_or_default());
                    println!("{}: \"{text}\" from {remote}", self.name);
                }
            }
        }
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        while let Some(transmit) = self.agent.poll_transmit(now, &mut self.out) {
            self.send(transmit.local, transmit.remote);
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Candidate(candidate) => self.candidates.push(candidate),
                Event::SelectedPair(pair) => {
                    println!("{}: by {} to {}", self.name, pair.local, pair.remote);
                }
                Event::ConnectionState(state) => {
                    println!("{}: {state}", self.name);
                    if state == ConnectionState::Failed {
                        println!("{}", self.agent.explain());
                    }
                }
                other => println!("{}: {other:?}", self.name),
            }
        }
        Ok(())
    }

    fn send(&mut self, local: SocketAddr, remote: SocketAddr) {
        let owner = self
            .sockets
            .iter()
            .find(|s| s.local_addr().is_ok_and(|a| a == local));
        if let Some(socket) = owner {
            // A datagram that can't be sent is a lost one.
            let _ = socket.send_to(&self.out, remote);
        }
        self.out.clear();
    }

    fn say(&mut self, text: &str) {
        self.out.resize(self.agent.data_headroom(), 0);
        self.out.extend_from_slice(text.as_bytes());
        match self.agent.frame_data(Instant::now(), &mut self.out, 0) {
            Some(transmit) => self.send(transmit.local, transmit.remote),
            None => self.out.clear(),
        }
    }

    /// Credentials and candidates in one line.
    fn description(&self) -> String {
        let credentials = self.agent.local_credentials();
        let mut text = format!("{} {}", credentials.ufrag, credentials.pwd.as_str());
        for candidate in &self.candidates {
            text.push('|');
            text.push_str(&candidate.to_string());
        }
        text
    }

    fn take(&mut self, description: &str) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        let mut parts = description.trim().split('|');
        let credentials = parts
            .next()
            .and_then(|p| p.split_once(' '))
            .ok_or("no description")?;
        self.agent
            .set_remote_credentials(now, Credentials::new(credentials.0, credentials.1)?);
        for candidate in parts {
            self.agent.add_remote_candidate(now, candidate.parse()?)?;
        }
        self.agent.end_of_remote_candidates(now);
        Ok(())
    }
}

struct Args {
    mode: Option<String>,
    stun: Option<SocketAddr>,
    addresses: Vec<IpAddr>,
}

fn args() -> Result<Args, Box<dyn Error>> {
    let mut args = Args {
        mode: None,
        stun: None,
        addresses: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "offer" | "answer" => args.mode = Some(word),
            "--stun" => args.stun = Some(words.next().ok_or("--stun wants ADDR:PORT")?.parse()?),
            ip => args.addresses.push(ip.parse()?),
        }
    }
    if args.addresses.is_empty() {
        args.addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(args)
}

/// Turns the loops until the condition holds.
fn run(
    ends: &mut [End],
    time: Duration,
    done: impl Fn(&[End]) -> bool,
) -> Result<bool, Box<dyn Error>> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for end in ends.iter_mut() {
            end.turn()?;
        }
        if done(ends) {
            return Ok(true);
        }
        // The standard library can't wait for several sockets: a program of one's own sleeps in its event loop until one
        // is readable or `poll_timeout` has come.
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

fn gathered(ends: &[End]) -> bool {
    ends.iter()
        .all(|e| e.agent.gathering_state() == GatheringState::Complete)
}

fn connected(ends: &[End]) -> bool {
    let nominated = |e: &End| e.agent.selected_pair().is_some_and(|p| p.nominated);
    ends.iter().all(nominated)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = args()?;
    let minute = Duration::from_secs(60);
    let mut ends = match args.mode.as_deref() {
        None => vec![
            End::new("left", Role::Controlling, &args)?,
            End::new("right", Role::Controlled, &args)?,
        ],
        Some("offer") => vec![End::new("me", Role::Controlling, &args)?],
        Some(_) => vec![End::new("me", Role::Controlled, &args)?],
    };
    run(&mut ends, minute, gathered)?;
    match ends.as_mut_slice() {
        [left, right] => {
            right.take(&left.description())?;
            left.take(&right.description())?;
        }
        [me] => {
            println!(
                "Give this line to the other end, and paste its line here:\n{}",
                me.description()
            );
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            me.take(&line)?;
        }
        _ => {}
    }
    let start = Instant::now();
    if !run(&mut ends, minute, connected)? {
        return Err("not connected".into());
    }
    println!("connected in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    for n in 1..=3 {
        for end in &mut ends {
            let text = format!("{n} from {}", end.name);
            end.say(&text);
        }
        run(&mut ends, Duration::from_millis(100), |_| false)?;
    }
    for end in &ends {
        println!("{}: {}", end.name, end.agent.explain());
    }
    Ok(())
}
