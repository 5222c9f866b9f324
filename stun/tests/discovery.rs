//! RFC 5780: our client against our server through every kind of NAT.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_stun::discovery::{Dependence, Discovery, Outcome};
use tincan_stun::transaction::Schedule;
use tincan_stun::turn::Transport;
use tincan_stun::turn::server::{Config, FiveTuple, Server};

const KINDS: [Dependence; 3] = [
    Dependence::EndpointIndependent,
    Dependence::AddressDependent,
    Dependence::AddressAndPortDependent,
];

type Key = (Option<IpAddr>, Option<u16>);

fn key(kind: Dependence, remote: SocketAddr) -> Key {
    match kind {
        Dependence::EndpointIndependent => (None, None),
        Dependence::AddressDependent => (Some(remote.ip()), None),
        Dependence::AddressAndPortDependent => (Some(remote.ip()), Some(remote.port())),
    }
}

/// A NAT with one client behind it.
struct Nat {
    mapping: Dependence,
    filtering: Dependence,
    ports: BTreeMap<Key, u16>,
    opened: Vec<(u16, Key)>,
}

impl Nat {
    fn out(&mut self, remote: SocketAddr) -> SocketAddr {
        let next = 61_000 + self.ports.len() as u16;
        let port = *self.ports.entry(key(self.mapping, remote)).or_insert(next);
        self.opened.push((port, key(self.filtering, remote)));
        SocketAddr::new("198.51.100.200".parse().unwrap(), port)
    }

    fn lets_in(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.opened
            .contains(&(to.port(), key(self.filtering, from)))
    }
}

fn discover(nat: Option<(Dependence, Dependence)>, config: Config) -> Outcome {
    let net = Net::new(1, NONE);
    let mut now = net.now;
    let mut server = Server::new(config, now, &mut StdRng::seed_from_u64(1));
    let local = addr("10.0.0.5:5000");
    let schedule = Schedule::DEFAULT
        .with_rto(Duration::from_millis(100))
        .with_rc(3)
        .with_rm(4);
    let mut rng = StdRng::seed_from_u64(2);
    let mut client = Discovery::new(addr("192.0.2.1:3478"), local, schedule, now, &mut rng);
    let mut nat = nat.map(|(mapping, filtering)| Nat {
        mapping,
        filtering,
        ports: BTreeMap::new(),
        opened: Vec::new(),
    });
    loop {
        if let Some(outcome) = client.outcome() {
            assert_eq!(client.poll_timeout(), None);
            return outcome;
        }
        client.handle_timeout(now);
        let mut out = Vec::new();
        if let Some(t) = client.poll_transmit(now, &mut out) {
            let remote = nat.as_mut().map_or(local, |nat| nat.out(t.remote));
            let tuple = FiveTuple {
                local: t.remote,
                remote,
                transport: Transport::Udp,
            };
            server.handle_input(now, tuple, &out, &mut users());
            let mut answer = Vec::new();
            while let Some(t) = server.poll_transmit(now, &mut answer) {
                let (from, to) = (t.client.local, t.client.remote);
                if nat.as_ref().is_none_or(|nat| nat.lets_in(from, to)) {
                    client.handle_input(now, &answer);
                }
                answer.clear();
            }
        }
        if let Some(at) = client.poll_timeout() {
            now = now.max(at);
        }
    }
}

fn two_addresses() -> Config {
    Config::new(REALM).discovery(tincan_stun::turn::server::Discovery {
        primary: addr("192.0.2.1:3478"),
        alternate: addr("192.0.2.2:3479"),
    })
}

#[test]
fn every_kind_of_nat_is_told_from_the_others() {
    for mapping in KINDS {
        for filtering in KINDS {
            match discover(Some((mapping, filtering)), two_addresses()) {
                Outcome::Found {
                    mapped,
                    mapping: m,
                    filtering: f,
                } => {
                    assert_eq!((m, f), (Some(mapping), filtering));
                    assert_eq!(mapped, addr("198.51.100.200:61000"));
                }
                other => panic!("{mapping:?} {filtering:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn no_nat_and_a_server_with_one_address_are_told() {
    let outcome = discover(None, two_addresses());
    let Outcome::Found {
        mapping: None,
        filtering,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(filtering, Dependence::EndpointIndependent);
    let mapped = addr("10.0.0.5:5000");
    assert_eq!(
        discover(None, Config::new(REALM)),
        Outcome::Unsupported { mapped }
    );
    assert_eq!(
        discover(None, Config::new(REALM).strangers(0)),
        Outcome::Blocked
    );
}
