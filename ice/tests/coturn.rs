//! Two agents over real sockets with coturn between them, where it is installed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tincan_ice::{
    Agent, CandidateKind, Config, Event, Input, LocalBase, Policy, Role, Server, Source, Transport,
};
use tincan_interop::coturn::{Coturn, PASSWORD, USER};

struct End {
    agent: Agent,
    socket: UdpSocket,
    received: Vec<Vec<u8>>,
    errors: Vec<String>,
    out: Vec<u8>,
}

impl End {
    fn new(role: Role, server: SocketAddr) -> Self {
        let config = Config::new()
            .with_role(role)
            .with_policy(Policy::Relay)
            .with_server(Server::turn(server, Transport::Udp, USER, PASSWORD));
        let mut agent = Agent::new(config, Instant::now(), &mut rand::rng());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        agent
            .add_host(Instant::now(), LocalBase::udp(socket.local_addr().unwrap()))
            .unwrap();
        agent.end_of_hosts();
        Self {
            agent,
            socket,
            received: vec![],
            errors: vec![],
            out: vec![],
        }
    }

    fn turn(&mut self, other: &mut Self) {
        let local = self.socket.local_addr().unwrap();
        let mut buffer = [0; 2000];
        while let Ok((len, remote)) = self.socket.recv_from(&mut buffer) {
            let source = Source::udp(local, remote);
            if let Input::Data(range) =
                self.agent
                    .handle_input(Instant::now(), source, &buffer[..len])
            {
                self.received.push(buffer[range].to_vec());
            }
        }
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        while let Some(transmit) = self.agent.poll_transmit(now, &mut self.out) {
            let _ = self.socket.send_to(&self.out, transmit.remote);
            self.out.clear();
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Candidate(candidate) => {
                    other.agent.add_remote_candidate(now, candidate).unwrap();
                }
                Event::CandidateError(error) => self.errors.push(format!("{error:?}")),
                _ => {}
            }
        }
    }

    fn say(&mut self, payload: &[u8]) {
        self.out.resize(self.agent.data_headroom(), 0);
        self.out.extend_from_slice(payload);
        let transmit = self
            .agent
            .frame_data(Instant::now(), &mut self.out, 0)
            .unwrap();
        self.socket.send_to(&self.out, transmit.remote).unwrap();
        self.out.clear();
    }
}

#[test]
fn relayed_agents_connect_and_talk_through_coturn() {
    let Some(server) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let mut a = End::new(Role::Controlling, server.addr);
    let mut b = End::new(Role::Controlled, server.addr);
    a.agent
        .set_remote_credentials(Instant::now(), b.agent.local_credentials().clone());
    b.agent
        .set_remote_credentials(Instant::now(), a.agent.local_credentials().clone());
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut sent = 0;
    while a.received.len() < 20 || b.received.len() < 20 {
        assert!(
            Instant::now() < give_up,
            "{:?} {:?}\n{}\n{}",
            a.errors,
            b.errors,
            a.agent.explain(),
            b.agent.explain()
        );
        a.turn(&mut b);
        b.turn(&mut a);
        // Indications first, channels later; one packet a turn.
        if a.agent.can_send() && b.agent.can_send() && sent < 1000 {
            sent += 1;
            a.say(&[200; 500]);
            b.say(&[201; 501]);
        }
        let _ = a.socket.set_read_timeout(None);
        std::thread::yield_now();
    }
    assert!(a.received.iter().all(|p| *p == [201; 501]));
    assert!(b.received.iter().all(|p| *p == [200; 500]));
    for end in [&a, &b] {
        let pair = end.agent.selected_pair().unwrap();
        assert_eq!(
            (pair.local.kind, pair.remote.kind),
            (CandidateKind::Relayed, CandidateKind::Relayed)
        );
    }
}
