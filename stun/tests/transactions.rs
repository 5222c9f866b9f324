//! Transactions over `tincan-sim`: they succeed or time out exactly as RFC 8489
//! §6.2.1 says, whatever is lost, doubled or late.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sim::*;
use tincan_stun::attributes::XorMappedAddress;
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::transaction::{Reliability, Schedule, Step, Transaction};

const ONE_WAY: Duration = Duration::from_millis(30);

/// Offsets in milliseconds of the seven transmissions and of the failure, by
/// the RFC's own example (RTO 500 ms, Rc 7, Rm 16).
const SENDS: [u64; 7] = [0, 500, 1500, 3500, 7500, 15_500, 31_500];
const FAILS: u64 = 39_500;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Answered(Instant),
    TimedOut(Instant),
}

struct Asker {
    transaction: Transaction,
    request: Vec<u8>,
    sent: Vec<Instant>,
    end: Option<End>,
    late: u32,
    route: (std::net::SocketAddr, std::net::SocketAddr),
}

struct Answerer {
    answers: Vec<Datagram>,
    asked: Vec<Instant>,
}

enum Node {
    Asker(Box<Asker>),
    Answerer(Answerer),
}

impl Peer for Node {
    fn handle_datagram(&mut self, now: Instant, d: Datagram) {
        let m = Message::parse(&d.payload).expect("nothing is damaged");
        match self {
            Node::Asker(a) => {
                assert_eq!(m.transaction_id(), a.transaction.id());
                assert_eq!(m.get(), Some(XorMappedAddress(a.route.0)));
                match a.end {
                    None => a.end = Some(End::Answered(now)),
                    Some(_) => a.late += 1,
                }
            }
            Node::Answerer(a) => {
                a.asked.push(now);
                let mut out = Vec::new();
                Writer::new(
                    &mut out,
                    Class::Success,
                    Method::BINDING,
                    m.transaction_id(),
                )
                .push(&XorMappedAddress(d.src))
                .finish()
                .unwrap();
                a.answers.push(Datagram::new(d.dst, d.src, out));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Node::Asker(a) = self
            && a.end.is_none()
            && a.transaction.is_timed_out(now)
        {
            a.end = Some(End::TimedOut(now));
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Node::Asker(a) if a.end.is_none() => Some(a.transaction.poll_timeout()),
            _ => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        match self {
            Node::Answerer(a) => a.answers.pop(),
            Node::Asker(a) => {
                if a.end.is_some() || a.transaction.step(now) != Step::Transmit {
                    return None;
                }
                a.sent.push(now);
                Some(Datagram::new(a.route.0, a.route.1, a.request.clone()))
            }
        }
    }
}

/// One transaction: how it went, as offsets from the start.
struct Run {
    sent: Vec<u64>,
    asked: Vec<Duration>,
    answered: Option<Duration>,
    failed: Option<u64>,
    late: u32,
}

fn run(seed: u64, there: LinkConfig, back: LinkConfig) -> Run {
    let (network, a, b) = Network::pair(seed, there, back);
    let start = network.now();
    let route = (network.addr(a, 1000), network.addr(b, 3478));
    let id = TransactionId::random(&mut StdRng::seed_from_u64(seed));
    let mut request = Vec::new();
    Writer::new(&mut request, Class::Request, Method::BINDING, id)
        .finish()
        .unwrap();
    let asker = Asker {
        transaction: Transaction::new(id, start, Schedule::DEFAULT, Reliability::Unreliable),
        request,
        sent: Vec::new(),
        end: None,
        late: 0,
        route,
    };
    let mut simulation = Simulation::new(network);
    simulation.add_peer(a, Node::Asker(Box::new(asker)));
    simulation.add_peer(
        b,
        Node::Answerer(Answerer {
            answers: Vec::new(),
            asked: Vec::new(),
        }),
    );
    simulation.run_for(Duration::from_secs(60));
    let [Node::Asker(asker), Node::Answerer(answerer)] = simulation.peers() else {
        panic!("in this order")
    };
    let millis = |at: &Instant| (*at - start).as_millis() as u64;
    Run {
        sent: asker.sent.iter().map(millis).collect(),
        asked: answerer.asked.iter().map(|at| *at - start).collect(),
        answered: match asker.end {
            Some(End::Answered(at)) => Some(at - start),
            _ => None,
        },
        failed: match &asker.end {
            Some(End::TimedOut(at)) => Some(millis(at)),
            _ => None,
        },
        late: asker.late,
    }
}

fn seeds() -> u64 {
    let asked = std::env::var("TINCAN_SEEDS").ok();
    asked.and_then(|s| s.parse().ok()).unwrap_or(400)
}

#[test]
fn a_silent_server_gets_seven_requests_and_39_5_seconds() {
    let dead = LinkConfig::new().loss(Loss::Random(1.0));
    for (there, back) in [
        (dead.clone(), LinkConfig::new()),
        (LinkConfig::new(), dead.clone()),
    ] {
        let run = run(1, there, back);
        assert_eq!(run.sent, SENDS);
        assert_eq!((run.answered, run.failed), (None, Some(FAILS)));
    }
}

#[test]
fn under_faults_requests_keep_to_the_schedule_and_end_with_the_first_answer() {
    for loss in [0.0, 0.1, 0.3, 0.5, 0.8] {
        let (mut answered, mut again, mut late) = (0, 0, 0);
        for seed in 0..seeds() {
            let link = LinkConfig::new()
                .delay(ONE_WAY)
                .jitter(ONE_WAY)
                .loss(Loss::Random(loss))
                .duplicate(0.2)
                .reorder(0.3, Duration::from_millis(700));
            let run = run(seed, link.clone(), link);
            // Sent at the RFC's times, up to the end and not after it.
            assert_eq!(run.sent, SENDS[..run.sent.len()], "seed {seed}");
            match (run.answered, run.failed) {
                (Some(at), None) => {
                    answered += 1;
                    assert!(at >= ONE_WAY * 2 && at < Duration::from_millis(FAILS));
                    let due = SENDS
                        .iter()
                        .filter(|ms| Duration::from_millis(**ms) <= at)
                        .count();
                    assert_eq!(run.sent.len(), due, "seed {seed}: {at:?}");
                    assert!(run.asked.first().is_some_and(|first| *first < at));
                }
                (None, Some(at)) => {
                    assert_eq!((at, run.sent.len()), (FAILS, 7), "seed {seed}");
                    assert_eq!(run.late, 0, "seed {seed}: an answer was not taken");
                }
                other => panic!("seed {seed}: {other:?}"),
            }
            again += run.sent.len() - 1;
            late += run.late;
        }
        println!("loss {loss}: {answered} answered, {again} sent again, {late} doubled or late");
        // One exchange survives with (1 - loss)²; seven times failing:
        let exchange: f64 = (1.0 - loss) * (1.0 - loss);
        let expected = 1.0 - (1.0 - exchange).powi(7);
        let share = answered as f64 / seeds() as f64;
        assert!(share > expected - 0.08, "loss {loss}: {share}, {expected}");
        assert!(late > 0 || loss > 0.7, "duplicates were meant to arrive");
    }
}
