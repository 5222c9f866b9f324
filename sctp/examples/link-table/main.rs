//! Goodput as a share of the link, over rates, round trips, losses and queues:
//!
//! ```text
//! cargo run --release -p tincan-sctp --example link-table            # a table of 32 links
//! cargo run --release -p tincan-sctp --example link-table -- all     # all 128
//! cargo run --release -p tincan-sctp --example link-table -- 100 100 0.01 1   # one link (add: bbr-like, detail, trace)
//! ```
//!
//! Every column of a line runs on the same link with the same seed: ours with each congestion
//! control, and sctp-proto.
#![allow(clippy::print_stdout)]

mod node;
#[path = "../../tests/support/proto.rs"]
#[allow(dead_code, unreachable_pub, clippy::expect_used)]
mod proto;

use std::time::{Duration, Instant};

use node::{Kind, Node, Work};
use tincan_sctp::congestion::Algorithm;
use tincan_sim::{LinkConfig, Loss, Network, Queue, Simulation};

const SEED: u64 = 7;

/// Octets of user data in a full packet: 1 472 less SCTP's header and I-DATA's. With IP and UDP
/// the link carries 1 500.
const USER_DATA: f64 = 1_440.0;
const ON_THE_LINK: f64 = 1_500.0;

#[derive(Clone, Copy)]
struct Link {
    mbit: f64,
    rtt_ms: f64,
    loss: f64,
    /// In bandwidth-delay products.
    queue: f64,
}

impl Link {
    fn product(&self) -> f64 {
        self.mbit * 1e6 / 8.0 * self.rtt_ms / 1e3
    }

    fn config(&self, with_rate: bool) -> LinkConfig {
        let rate = if with_rate {
            (self.mbit * 1e6) as u64
        } else {
            0
        };
        // A queue below ten packets holds no burst at all; real ones are not that short.
        let bytes = (self.product() * self.queue).max(12_000.0) as usize;
        let loss = if self.loss > 0.0 {
            Loss::Random(self.loss)
        } else {
            Loss::None
        };
        LinkConfig::new()
            .rate(rate)
            .delay(Duration::from_secs_f64(self.rtt_ms / 2e3))
            .queue(Queue::DropTail { bytes })
            .loss(if with_rate { loss } else { Loss::None })
            .mtu(1_472)
    }

    /// Time for starting up, and time that is measured.
    fn times(&self) -> (Duration, Duration) {
        let rtt = Duration::from_secs_f64(self.rtt_ms / 1e3);
        let start = (rtt * 25).max(Duration::from_secs(3));
        // CUBIC's cycle on the longest and fattest of these links takes 30 s.
        let fast = self.mbit >= 1000.0 && self.rtt_ms <= 20.0;
        (start, Duration::from_secs(if fast { 20 } else { 60 }))
    }

    /// The share of the link's octets, headers included, that were user data.
    fn run(&self, kind: Kind) -> f64 {
        let (network, a, b) = Network::pair(SEED, self.config(true), self.config(false));
        let (from, to) = (network.addr(a, 5000), network.addr(b, 5000));
        let now = network.now();
        let mut simulation = Simulation::new(network);
        simulation.add_peer(a, Node::new(kind, Work::Send, SEED, now, from, to));
        simulation.add_peer(b, Node::new(kind, Work::Receive, SEED + 1, now, to, from));
        let (start, measured) = self.times();
        if std::env::args().any(|a| a == "trace") {
            let step = Duration::from_secs_f64(self.rtt_ms / 1e3).max(Duration::from_millis(100));
            let mut last = 0;
            let mut at = Duration::ZERO;
            while at < start + measured {
                simulation.run_for(step);
                at += step;
                let received = simulation.peers()[1].received();
                let rate = (received - last) as f64 * 8.0 / step.as_secs_f64() / 1e6;
                last = received;
                println!(
                    "{:7.2} s {rate:8.1} Mbit/s {}",
                    at.as_secs_f64(),
                    simulation.peers()[0].line()
                );
            }
            return 0.0;
        }
        simulation.run_for(start);
        let (from, before) = next_message(&mut simulation, measured);
        let spent = simulation.now().duration_since(from);
        simulation.run_for(measured.saturating_sub(spent));
        let (to, after) = next_message(&mut simulation, measured);
        let (octets, time) = ((after - before) as f64, to.duration_since(from));
        if std::env::args().any(|a| a == "detail") {
            for peer in simulation.peers() {
                peer.print_stats();
            }
        }
        octets * 8.0 / time.as_secs_f64() / (self.mbit * 1e6)
    }
}

/// Runs until the receiver has been given another message, or for `limit`: when that was, and the
/// octets it has. Between two such moments is what is measured: between any others, half a message
/// or all that waits behind a lost packet would count at one end and not at the other.
fn next_message(simulation: &mut Simulation<Node>, limit: Duration) -> (Instant, u64) {
    let before = simulation.peers()[1].received();
    // At the limit there is nothing to tell but that nothing came.
    let _ = simulation.run_until(limit, |peers| peers[1].received() > before);
    (simulation.now(), simulation.peers()[1].received())
}

const COLUMNS: [(&str, Kind); 4] = [
    ("CUBIC", Kind::Ours(Algorithm::Cubic)),
    ("BBR-like", Kind::Ours(Algorithm::Bbr)),
    ("NewReno", Kind::Ours(Algorithm::NewReno)),
    ("sctp-proto", Kind::Proto),
];

/// What TCP CUBIC reaches with packets of this size at this loss in the fluid model (RFC 9438 §5.1
/// with C = 0.4, β = 0.7), or Reno's where that is more (RFC 9438 §4.3): user data as a share of the
/// link, at most what headers and loss leave.
fn fluid(link: &Link) -> f64 {
    let most = USER_DATA / ON_THE_LINK * (1.0 - link.loss);
    if link.loss == 0.0 {
        return most;
    }
    let rtt = link.rtt_ms / 1e3;
    let cubic = 1.054 * (rtt / link.loss).powf(0.75) / rtt;
    let reno = (1.5 / link.loss).sqrt() / rtt;
    (cubic.max(reno) * USER_DATA * 8.0 / (link.mbit * 1e6)).min(most)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<f64> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let only = |name: &str| {
        arguments
            .iter()
            .all(|a| !COLUMNS.iter().any(|(n, _)| n.eq_ignore_ascii_case(a)))
            || arguments.iter().any(|a| name.eq_ignore_ascii_case(a))
    };
    let links: Vec<Link> = if let [mbit, rtt_ms, loss, queue] = numbers[..] {
        vec![Link {
            mbit,
            rtt_ms,
            loss,
            queue,
        }]
    } else {
        let all = arguments.iter().any(|a| a == "all");
        let (rates, queues): (&[f64], &[f64]) = if all {
            (&[1.0, 10.0, 100.0, 1000.0], &[0.5, 2.0])
        } else {
            (&[10.0, 100.0], &[0.5])
        };
        let mut links = Vec::new();
        for &mbit in rates {
            for rtt_ms in [1.0, 20.0, 100.0, 300.0] {
                for loss in [0.0, 0.001, 0.01, 0.05] {
                    for &queue in queues {
                        links.push(Link {
                            mbit,
                            rtt_ms,
                            loss,
                            queue,
                        });
                    }
                }
            }
        }
        links
    };
    println!("User data as % of the link's octets, IP and UDP headers included; seed {SEED}.\n");
    let columns: Vec<_> = COLUMNS.iter().filter(|(name, _)| only(name)).collect();
    print!("| Mbit/s | RTT ms | loss % | queue |");
    for (name, _) in &columns {
        print!(" {name} |");
    }
    println!(" fluid |\n|{}", "---|".repeat(columns.len() + 5));
    for link in links {
        print!(
            "| {} | {} | {} | {} |",
            link.mbit,
            link.rtt_ms,
            link.loss * 100.0,
            link.queue
        );
        for (_, kind) in &columns {
            print!(" {:.1} |", link.run(*kind) * 100.0);
            use std::io::Write;
            let _ = std::io::stdout().flush();
        }
        println!(" {:.1} |", fluid(&link) * 100.0);
    }
}
