//! Goodput as a share of the link, over rates, round trips, losses and queues:
//!
//! ```text
//! cargo run --release -p tincan-sctp --example link-table            # a table of 32 links
//! cargo run --release -p tincan-sctp --example link-table -- all     # all 128
//! cargo run --release -p tincan-sctp --example link-table -- 100 100 0.01 1   # one link (add: bbr, detail, trace)
//! ```
//!
//! Every column of a line runs on the same link with the same seed: ours with each congestion
//! control, and sctp-proto.
#![allow(clippy::print_stdout)]

mod node;
#[path = "../../tests/support/proto.rs"]
#[allow(dead_code, unreachable_pub, clippy::expect_used)]
mod proto;

use std::time::Duration;

use node::{Kind, Node, Work};
use tincan_sctp::congestion::Algorithm;
use tincan_sim::{LinkConfig, Loss, Network, Queue, Simulation};

const SEED: u64 = 7;

/// Octets of IP and UDP headers, which the link carries too.
const HEADERS: f64 = 28.0;

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
        let measured = if self.mbit >= 1000.0 {
            8
        } else if self.mbit >= 100.0 {
            20
        } else {
            40
        };
        (start, Duration::from_secs(measured).max(rtt * 20))
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
        let before = simulation.peers()[1].received();
        simulation.run_for(measured);
        let octets = (simulation.peers()[1].received() - before) as f64;
        if std::env::args().any(|a| a == "detail") {
            for peer in simulation.peers() {
                peer.print_stats();
            }
        }
        octets * 8.0 / measured.as_secs_f64() / (self.mbit * 1e6)
    }
}

const COLUMNS: [(&str, Kind); 4] = [
    ("cubic", Kind::Ours(Algorithm::Cubic)),
    ("bbr", Kind::Ours(Algorithm::Bbr)),
    ("newreno", Kind::Ours(Algorithm::NewReno)),
    ("sctp-proto", Kind::Proto),
];

/// What TCP CUBIC reaches at this loss in the fluid model (RFC 9438 §5.1 with C = 0.4,
/// β = 0.7), or Reno's where that is more (RFC 9438 §4.3): a share of the link, at most 1.
fn fluid(link: &Link) -> f64 {
    if link.loss == 0.0 {
        return 1.0;
    }
    let rtt = link.rtt_ms / 1e3;
    let packet = 1_200.0 + HEADERS;
    let cubic = 1.054 * (rtt / link.loss).powf(0.75) / rtt;
    let reno = (1.5 / link.loss).sqrt() / rtt;
    (cubic.max(reno) * packet * 8.0 / (link.mbit * 1e6)).min(1.0)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<f64> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let only = |name: &str| {
        arguments
            .iter()
            .all(|a| !COLUMNS.iter().any(|(n, _)| n == a))
            || arguments.iter().any(|a| a == name)
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
    println!("user data as % of the link's octets, IP and UDP headers included; seed {SEED}");
    print!(
        "{:>6} {:>6} {:>6} {:>5}",
        "Mbit/s", "RTT ms", "loss %", "queue"
    );
    for (name, _) in COLUMNS.iter().filter(|(n, _)| only(n)) {
        print!(" {name:>10}");
    }
    println!(" {:>11}", "fluid cubic");
    for link in links {
        print!(
            "{:>6} {:>6} {:>6} {:>5}",
            link.mbit,
            link.rtt_ms,
            link.loss * 100.0,
            link.queue
        );
        for (_, kind) in COLUMNS.iter().filter(|(n, _)| only(n)) {
            print!(" {:>10.1}", link.run(*kind) * 100.0);
            use std::io::Write;
            let _ = std::io::stdout().flush();
        }
        println!(" {:>11.1}", fluid(&link) * 100.0);
    }
}
