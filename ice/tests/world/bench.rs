//! One agent whose peer is the test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_ice::{
    Agent, Candidate, CandidateKind, CandidateTransport, Config, ConnectionState, Credentials,
    Event, Input, LocalBase, Role, Source,
};
use tincan_stun::attributes::{
    ErrorCode, IceControlling, Priority, UseCandidate, Username, XorMappedAddress,
};
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TieBreaker, TransactionId, Writer};

pub const OURS: &str = "192.0.2.1:5000";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An agent whose peer is the test.
pub struct Bench {
    pub agent: Agent,
    pub now: Instant,
    theirs: Credentials,
    /// Of the generation before: theirs and ours.
    before: Option<(Credentials, Credentials)>,
    count: u8,
    /// The peer says nothing.
    pub mute: bool,
    /// Nobody is anywhere else.
    pub only: Option<SocketAddr>,
    /// Nobody is at these addresses.
    pub absent: Vec<&'static str>,
    /// All states that the agent told.
    pub states: Vec<ConnectionState>,
}

impl Bench {
    pub fn new(role: Role) -> Self {
        Self::with(Config::new().with_role(role))
    }

    pub fn with(config: Config) -> Self {
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
        let mut agent = Agent::new(config, now, &mut rng);
        agent.add_host(now, LocalBase::udp(addr(OURS))).unwrap();
        let theirs = Credentials::random(&mut rng);
        agent.set_remote_credentials(now, theirs.clone());
        Self {
            agent,
            now,
            theirs,
            before: None,
            count: 0,
            mute: false,
            only: None,
            absent: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Restarts; the peer has not answered yet.
    pub fn restart(&mut self) {
        let ours = self.agent.local_credentials().clone();
        self.before = Some((self.theirs.clone(), ours));
        self.agent.restart(self.now);
    }

    /// The peer's answer to a restart.
    pub fn answer(&mut self) {
        self.theirs = Credentials::random(&mut StdRng::seed_from_u64(2));
        self.agent
            .set_remote_credentials(self.now, self.theirs.clone());
    }

    /// The password that a request of ours is made with.
    fn key(&self, request: &Message<'_>) -> Key {
        let name = request.get::<Username<'_>>().unwrap().0.to_owned();
        let of = |c: &&Credentials| name.starts_with(c.ufrag.as_str());
        let before = self.before.as_ref().map(|(theirs, _)| theirs);
        let credentials = [Some(&self.theirs), before];
        let credentials = credentials.into_iter().flatten().find(of).unwrap();
        Key::from_bytes(credentials.pwd.as_str().as_bytes())
    }

    /// Lets time pass from one deadline to the next, and says when it was called.
    pub fn wakeups(&mut self, time: Duration) -> Vec<Duration> {
        let (begin, mut calls) = (self.now, Vec::new());
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= begin + time) {
            self.now = self.now.max(at);
            calls.push(self.now - begin);
            assert!(calls.len() < 2_000, "a busy loop: {:?}", calls.last());
            self.agent.handle_timeout(self.now);
            self.run(Duration::ZERO, None);
        }
        self.now = begin + time;
        calls
    }

    pub fn add(&mut self, at: &str, preference: u16) {
        let (kind, udp) = (CandidateKind::Host, CandidateTransport::Udp);
        let candidate = Candidate::new(kind, udp, addr(at), preference);
        self.agent
            .add_remote_candidate(self.now, candidate)
            .unwrap();
    }

    pub fn add_reflexive(&mut self, at: &str) {
        let (kind, udp) = (CandidateKind::ServerReflexive, CandidateTransport::Udp);
        let candidate = Candidate::new(kind, udp, addr(at), 65_535);
        self.agent
            .add_remote_candidate(self.now, candidate)
            .unwrap();
    }

    /// Lets time pass and answers every check: with this error, or with success.
    pub fn run(&mut self, time: Duration, error: Option<ErrorCode<'static>>) {
        let (end, mut out) = (self.now + time, Vec::new());
        loop {
            while let Some(sent) = self.agent.poll_transmit(self.now, &mut out) {
                let request = Message::parse(&out).unwrap();
                let there = !self.mute
                    && self.only.is_none_or(|only| only == sent.remote)
                    && !self.absent.iter().any(|a| addr(a) == sent.remote);
                if request.class() == Class::Request && there {
                    let key = self.key(&request);
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
            while let Some(event) = self.agent.poll_event() {
                if let Event::ConnectionState(state) = event {
                    self.states.push(state);
                }
            }
            if self.now >= end {
                break;
            }
            self.now += Duration::from_millis(5);
            self.agent.handle_timeout(self.now);
        }
    }

    /// A check of the peer's that nominates.
    pub fn nominate(&mut self, from: &str) {
        let ours = self.agent.local_credentials().clone();
        self.check(from, &ours, &self.theirs.clone(), true);
        self.run(Duration::from_millis(50), None);
    }

    /// A check of the peer's in the generation before. Is it answered?
    pub fn check_as_before(&mut self, from: &str) -> bool {
        let (theirs, ours) = self.before.clone().unwrap();
        self.check(from, &ours, &theirs, false);
        let mut out = Vec::new();
        self.agent
            .poll_transmit(self.now, &mut out)
            .is_some_and(|sent| {
                sent.remote == addr(from) && Message::parse(&out).unwrap().class() == Class::Success
            })
    }

    /// Where data go.
    pub fn sends_to(&mut self) -> Option<SocketAddr> {
        let mut out = vec![0; self.agent.data_headroom() + 100];
        let sent = self.agent.frame_data(self.now, &mut out, 0)?;
        Some(sent.remote)
    }

    /// Data come from there. Are they taken?
    pub fn hears(&mut self, from: &str) -> bool {
        let source = Source::udp(addr(OURS), addr(from));
        let input = self.agent.handle_input(self.now, source, &[200; 100]);
        self.agent.handle_timeout(self.now);
        input == Input::Data(0..100)
    }

    fn check(&mut self, from: &str, ours: &Credentials, theirs: &Credentials, nominate: bool) {
        self.count += 1;
        let username = format!("{}:{}", ours.ufrag, theirs.ufrag);
        let id = TransactionId::new([self.count; 12]);
        let mut check = Vec::new();
        Writer::new(&mut check, Class::Request, Method::BINDING, id)
            .push(&Username(&username))
            .push(&Priority(1_862_270_975))
            .push(&IceControlling(TieBreaker(7)))
            .push_opt(nominate.then_some(&UseCandidate))
            .integrity(&Key::from_bytes(ours.pwd.as_str().as_bytes()))
            .fingerprint()
            .finish()
            .unwrap();
        let source = Source::udp(addr(OURS), addr(from));
        self.agent.handle_input(self.now, source, &check);
    }

    pub fn selected(&self) -> Option<SocketAddr> {
        let pair = self.agent.selected_pair().filter(|p| p.nominated)?;
        pair.remote.socket_addr()
    }
}
