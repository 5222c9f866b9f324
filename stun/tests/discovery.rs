//! RFC 5780: our clients against our server through every kind of NAT of
//! `tincan-sim`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sim::*;
use tincan_stun::attributes::{
    ErrorCode, MappedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort, XorMappedAddress,
};
use tincan_stun::discovery::{self, *};
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::transaction::Schedule;
use tincan_stun::turn::Transport as Carrier;
use tincan_stun::turn::server::{self, Config, FiveTuple, Server, Users};

const ONE_WAY: Duration = Duration::from_millis(20);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One of the clients under test.
enum Machine {
    Behaviour(Discovery),
    Hairpin(Hairpin),
    Lifetime(Lifetime),
}

impl Machine {
    fn is_done(&self) -> bool {
        match self {
            Machine::Behaviour(m) => m.outcome().is_some(),
            Machine::Hairpin(m) => m.outcome().is_some(),
            Machine::Lifetime(m) => m.outcome().is_some(),
        }
    }
}

#[allow(clippy::large_enum_variant, reason = "two of them exist")]
/// A host of the simulation. The client's first socket has port 5000, its
/// second 5001.
enum Node {
    Server(Box<Server>),
    Client { machine: Machine, local: SocketAddr },
}

impl Peer for Node {
    fn handle_datagram(&mut self, now: Instant, d: Datagram) {
        match self {
            Node::Server(server) => {
                let client = FiveTuple {
                    local: d.dst,
                    remote: d.src,
                    transport: Carrier::Udp,
                };
                server.handle_input(now, client, &d.payload, &mut Users::new("r"));
            }
            Node::Client { machine, local } => {
                let socket = if d.dst.port() == local.port() {
                    Socket::First
                } else {
                    Socket::Second
                };
                match machine {
                    Machine::Behaviour(m) => m.handle_input(now, &d.payload),
                    Machine::Hairpin(m) => m.handle_input(now, socket, &d.payload),
                    Machine::Lifetime(m) => m.handle_input(now, socket, &d.payload),
                };
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Node::Server(server) => server.handle_timeout(now),
            Node::Client { machine, .. } => match machine {
                Machine::Behaviour(m) => m.handle_timeout(now),
                Machine::Hairpin(m) => m.handle_timeout(now),
                Machine::Lifetime(m) => m.handle_timeout(now),
            },
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Node::Server(server) => server.poll_timeout(),
            Node::Client { machine, .. } => match machine {
                Machine::Behaviour(m) => m.poll_timeout(),
                Machine::Hairpin(m) => m.poll_timeout(),
                Machine::Lifetime(m) => m.poll_timeout(),
            },
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        let mut out = Vec::new();
        let (src, dst) = match self {
            Node::Server(server) => {
                let t = server.poll_transmit(now, &mut out)?;
                (t.client.local, t.client.remote)
            }
            Node::Client { machine, local } => {
                let from = |socket| match socket {
                    Socket::First => *local,
                    Socket::Second => SocketAddr::new(local.ip(), local.port() + 1),
                };
                let two = |t: SocketTransmit| (from(t.socket), t.remote);
                match machine {
                    Machine::Behaviour(m) => (*local, m.poll_transmit(now, &mut out)?.remote),
                    Machine::Hairpin(m) => two(m.poll_transmit(now, &mut out)?),
                    Machine::Lifetime(m) => two(m.poll_transmit(now, &mut out)?),
                }
            }
        };
        Some(Datagram::new(src, dst, out))
    }
}

fn schedule() -> Schedule {
    Schedule::DEFAULT
        .with_rto(Duration::from_millis(100))
        .with_rc(5)
        .with_rm(4)
}

fn two_addresses() -> Config {
    Config::new("r").discovery(server::Discovery {
        primary: addr("192.0.2.1:3478"),
        alternate: addr("192.0.2.2:3479"),
    })
}

const SERVER: &str = "192.0.2.1:3478";

fn run(
    seed: u64,
    nat: Option<NatConfig>,
    config: Config,
    loss: f64,
    make: impl FnOnce(SocketAddr, Instant, &mut StdRng) -> Machine,
) -> Machine {
    let mut network = Network::new(seed);
    let (now, internet) = (network.now(), network.internet());
    let link = LinkConfig::new()
        .delay(ONE_WAY)
        .loss(Loss::Random(loss))
        .duplicate(loss)
        .reorder(loss, ONE_WAY);
    let at = network.add_host();
    let ips = [addr(SERVER).ip(), addr("192.0.2.2:0").ip()];
    network.attach(at, internet, &ips, LinkConfig::new(), LinkConfig::new());
    let host = network.add_host();
    let (segment, local) = match nat {
        None => (internet, addr("198.51.100.9:5000")),
        Some(nat) => {
            let outer = addr("198.51.100.200:0").ip();
            let wire = LinkConfig::new();
            let (_, inner) = network.add_nat(internet, outer, nat, wire.clone(), wire);
            (inner, addr("10.0.0.5:5000"))
        }
    };
    network.attach(host, segment, &[local.ip()], link.clone(), link);
    let mut rng = StdRng::seed_from_u64(seed);
    let server = Server::new(config, now, &mut rng);
    let machine = make(local, now, &mut rng);
    let mut simulation = Simulation::new(network);
    simulation.add_peer(at, Node::Server(Box::new(server)));
    simulation.add_peer(host, Node::Client { machine, local });
    simulation
        .run_until(Duration::from_secs(24 * 3600), |nodes| {
            nodes
                .iter()
                .any(|n| matches!(n, Node::Client { machine, .. } if machine.is_done()))
        })
        .unwrap();
    let Some(Node::Client { machine, .. }) = simulation.peers_mut().get_mut(1).map(|n| {
        std::mem::replace(
            n,
            Node::Server(Box::new(Server::new(Config::new("r"), now, &mut rng))),
        )
    }) else {
        panic!("the client is the second")
    };
    machine
}

fn discover(seed: u64, nat: Option<NatConfig>, config: Config, loss: f64) -> Outcome {
    match run(seed, nat, config, loss, |local, now, rng| {
        Machine::Behaviour(Discovery::new(addr(SERVER), local, schedule(), now, rng))
    }) {
        Machine::Behaviour(m) => m.outcome().unwrap(),
        _ => panic!("another machine"),
    }
}

const KINDS: [(Behaviour, Dependence); 3] = [
    (
        Behaviour::EndpointIndependent,
        Dependence::EndpointIndependent,
    ),
    (Behaviour::AddressDependent, Dependence::AddressDependent),
    (
        Behaviour::AddressAndPortDependent,
        Dependence::AddressAndPortDependent,
    ),
];

#[test]
fn every_kind_of_nat_is_told_from_the_others() {
    for (mapping, maps) in KINDS {
        for (filtering, filters) in KINDS {
            for ports in [PortAssignment::Random, PortAssignment::Sequential] {
                let nat = NatConfig::new(mapping, filtering).ports(ports);
                match discover(1, Some(nat), two_addresses(), 0.0) {
                    Outcome::Found {
                        mapped,
                        mapping: m,
                        filtering: f,
                    } => {
                        assert_eq!((m, f), (Some(maps), filters));
                        assert_eq!(mapped.ip(), addr("198.51.100.200:0").ip());
                    }
                    other => panic!("{mapping:?} {filtering:?}: {other:?}"),
                }
            }
        }
    }
}

/// Nine of ten datagrams arrive; each test has five transmissions, so that one
/// in some ten thousand fails by bad luck.
#[test]
fn loss_does_not_change_what_is_found() {
    for seed in 0..30 {
        for (mapping, maps) in KINDS {
            for (filtering, filters) in KINDS {
                let nat = NatConfig::new(mapping, filtering);
                let outcome = discover(seed, Some(nat), two_addresses(), 0.05);
                let Outcome::Found {
                    mapping: m,
                    filtering: f,
                    ..
                } = outcome
                else {
                    panic!("seed {seed} {mapping:?} {filtering:?}: {outcome:?}")
                };
                assert_eq!((m, f), (Some(maps), filters), "seed {seed}");
            }
        }
    }
}

#[test]
fn no_nat_and_a_server_with_one_address_are_told() {
    let outcome = discover(1, None, two_addresses(), 0.0);
    let Outcome::Found {
        mapping: None,
        filtering,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(filtering, Dependence::EndpointIndependent);
    let mapped = addr("198.51.100.9:5000");
    assert_eq!(
        discover(1, None, Config::new("r"), 0.0),
        Outcome::Unsupported { mapped }
    );
    assert_eq!(
        discover(1, None, two_addresses(), 1.0),
        discovery::Outcome::Blocked
    );
}

/// RFC 5780 §3.5 and §3.6: with requests and answers too long for an Ethernet frame
/// the same is found; and nothing here rewrites addresses.
#[test]
fn long_messages_find_the_same() {
    for (mapping, maps) in KINDS {
        let nat = NatConfig::new(mapping, Behaviour::AddressDependent);
        let machine = run(1, Some(nat), two_addresses(), 0.0, |local, now, rng| {
            let machine = Discovery::new(addr(SERVER), local, schedule(), now, rng);
            let mut machine = machine.with_padding(4000);
            let mut out = Vec::new();
            let first = machine.poll_transmit(now, &mut out).unwrap();
            assert!(first.len > 4000 && out.len() == first.len);
            Machine::Behaviour(machine)
        });
        let Machine::Behaviour(machine) = machine else {
            panic!("another machine")
        };
        let Some(Outcome::Found {
            mapping, filtering, ..
        }) = machine.outcome()
        else {
            panic!("{:?}", machine.outcome())
        };
        assert_eq!(
            (mapping, filtering),
            (Some(maps), Dependence::AddressDependent)
        );
        assert_eq!(machine.rewritten(), Some(false));
    }
}

/// A client of its own, fed by hand.
fn fed(answer: impl FnOnce(&Message<'_>, &mut Vec<u8>)) -> Discovery {
    let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
    let local = addr("10.0.0.5:5000");
    let mut machine = Discovery::new(addr(SERVER), local, schedule(), now, &mut rng);
    let mut out = Vec::new();
    machine.poll_transmit(now, &mut out).unwrap();
    let mut back = Vec::new();
    answer(&Message::parse(&out).unwrap(), &mut back);
    assert!(machine.handle_input(now, &back));
    machine
}

#[test]
fn a_refusal_is_no_finding() {
    let machine = fed(|request, back| {
        let id = request.transaction_id();
        Writer::new(back, Class::Error, Method::BINDING, id)
            .push(&ErrorCode::UNAUTHENTICATED)
            .finish()
            .unwrap();
    });
    assert_eq!(machine.outcome(), Some(Outcome::Refused { code: 401 }));
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn what_rewrites_addresses_is_noticed() {
    for (plain, rewritten) in [("198.51.100.7:9", false), ("10.0.0.5:5000", true)] {
        let machine = fed(|request, back| {
            let id = request.transaction_id();
            Writer::new(back, Class::Success, Method::BINDING, id)
                .push(&XorMappedAddress(addr("198.51.100.7:9")))
                .push(&MappedAddress(addr(plain)))
                .finish()
                .unwrap();
        });
        assert_eq!(machine.rewritten(), Some(rewritten));
    }
}

/// RFC 5780 §6.1: PADDING is answered with PADDING, however long, not longer than
/// it was, and not beside RESPONSE-PORT; both forms of the address are there.
#[test]
fn the_server_pads_as_it_was_padded() {
    let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
    for (asked, answered) in [(0, 0), (100, 100), (1500, 1500), (9000, 1500)] {
        let mut server = Server::new(two_addresses(), now, &mut rng);
        let client = FiveTuple {
            local: addr(SERVER),
            remote: addr("198.51.100.9:5000"),
            transport: Carrier::Udp,
        };
        for port in [None, Some(ResponsePort(6000))] {
            let (filler, id) = (vec![7; asked], TransactionId::new([3; 12]));
            let mut out = Vec::new();
            Writer::new(&mut out, Class::Request, Method::BINDING, id)
                .push(&Padding(&filler))
                .push_opt(port.as_ref())
                .finish()
                .unwrap();
            server.handle_input(now, client, &out, &mut Users::new("r"));
            let mut back = Vec::new();
            server.poll_transmit(now, &mut back).unwrap();
            let m = Message::parse(&back).unwrap();
            if port.is_some() {
                let code = m.get::<ErrorCode<'_>>().map(|e| e.code());
                assert_eq!(code, Some(400));
                continue;
            }
            assert_eq!(m.get::<Padding<'_>>().unwrap().0.len(), answered);
            assert_eq!(m.get(), Some(MappedAddress(client.remote)));
            assert_eq!(m.get(), Some(XorMappedAddress(client.remote)));
            assert_eq!(m.get(), Some(ResponseOrigin(client.local)));
            assert_eq!(m.get(), Some(OtherAddress(addr("192.0.2.2:3479"))));
        }
    }
}

fn hairpin(nat: Option<NatConfig>, loss: f64) -> HairpinOutcome {
    match run(1, nat, Config::new("r"), loss, |_, now, rng| {
        Machine::Hairpin(Hairpin::new(addr(SERVER), schedule(), now, rng))
    }) {
        Machine::Hairpin(m) => m.outcome().unwrap(),
        _ => panic!("another machine"),
    }
}

#[test]
fn hairpinning_is_told_whatever_the_filter() {
    for (filtering, _) in KINDS {
        let nat = NatConfig::new(Behaviour::EndpointIndependent, filtering);
        let yes = hairpin(Some(nat.clone().hairpinning(true)), 0.0);
        assert_eq!(yes, HairpinOutcome::Hairpins, "{filtering:?}");
        let no = hairpin(Some(nat.clone().hairpinning(false)), 0.0);
        assert_eq!(no, HairpinOutcome::DoesNot, "{filtering:?}");
        let nat = Some(nat.hairpinning(true));
        let long = run(1, nat, Config::new("r"), 0.0, |_, now, rng| {
            let machine = Hairpin::new(addr(SERVER), schedule(), now, rng);
            Machine::Hairpin(machine.with_padding(1500))
        });
        let Machine::Hairpin(long) = long else {
            panic!("another machine")
        };
        assert_eq!(long.outcome(), Some(HairpinOutcome::Hairpins));
    }
    assert_eq!(hairpin(None, 0.0), HairpinOutcome::Hairpins, "no NAT");
    assert_eq!(hairpin(None, 1.0), HairpinOutcome::Blocked);
}

fn lifetime(nat: Option<NatConfig>, config: Config, loss: f64) -> LifetimeOutcome {
    let search = LifetimeSearch::default();
    match run(1, nat, config, loss, |_, now, rng| {
        Machine::Lifetime(Lifetime::new(addr(SERVER), search, schedule(), now, rng))
    }) {
        Machine::Lifetime(m) => m.outcome().unwrap(),
        _ => panic!("another machine"),
    }
}

#[test]
fn the_lifetime_of_a_mapping_is_found_to_within_ten_seconds() {
    for (filtering, _) in KINDS {
        for seconds in [15, 30, 31, 120, 300, 599] {
            for refreshes in [false, true] {
                let lives = Duration::from_secs(seconds);
                let nat = NatConfig::new(Behaviour::EndpointIndependent, filtering)
                    .udp_timeout(lives)
                    .inbound_refresh(refreshes);
                let outcome = lifetime(Some(nat), two_addresses(), 0.0);
                let LifetimeOutcome::Lives {
                    at_least,
                    less_than: Some(less_than),
                } = outcome
                else {
                    panic!("{seconds} s: {outcome:?}")
                };
                // A probe takes a moment to get there.
                assert!(
                    at_least <= lives && lives <= less_than + ONE_WAY * 4,
                    "{seconds} s: {outcome:?}"
                );
                assert!(less_than - at_least <= Duration::from_secs(10));
            }
        }
    }
}

#[test]
fn a_lifetime_beyond_the_search_and_a_server_without_response_port_are_told() {
    let nat = NatConfig::default().udp_timeout(Duration::from_secs(3600));
    let outcome = lifetime(Some(nat), two_addresses(), 0.0);
    let longest = LifetimeSearch::default().longest;
    let expected = LifetimeOutcome::Lives {
        at_least: longest,
        less_than: None,
    };
    assert_eq!(outcome, expected);
    let nat = Some(NatConfig::default());
    assert_eq!(
        lifetime(nat, Config::new("r"), 0.0),
        LifetimeOutcome::Unsupported
    );
    assert_eq!(
        lifetime(None, two_addresses(), 1.0),
        LifetimeOutcome::Blocked
    );
}
