//! Two agents at every pair of places, on the simulator: which way they
//! connect, how often, and in what time.
//!
//! ```text
//! cargo run --release -p tincan-ice --example nat-matrix [-- SEEDS [FIRST_SEED]]
//! ```
//!
//! 100 seeds a cell by default. Virtual time; a run is reproduced by its seed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example on a test harness"
)]

#[path = "../../tests/world/mod.rs"]
mod world;

use std::error::Error;
use std::time::Duration;

use tincan_ice::{CandidateKind, Policy};
use tincan_sim::{Behaviour, Loss};
use world::topology::{Place, ROUND_TRIP, Setup, Topology};

const USAGE: &str = "usage: nat-matrix [SEEDS [FIRST_SEED]]";

/// One cell: runs over seeds.
#[derive(Default)]
struct Cell {
    runs: usize,
    relayed: usize,
    failed: Vec<u64>,
    times: Vec<Duration>,
    from_start: Vec<Duration>,
}

impl Cell {
    fn run(seeds: std::ops::Range<u64>, build: impl Fn(u64) -> Topology) -> Self {
        let mut cell = Self::default();
        for seed in seeds {
            let mut topology = build(seed);
            cell.runs += 1;
            if !topology.world.both_nominated(Duration::from_secs(60)) {
                cell.failed.push(seed);
                continue;
            }
            cell.times.extend(topology.time_to_connect());
            cell.from_start.extend(topology.time_from_start());
            // Better pairs may replace the first one.
            topology.world.run_for(Duration::from_secs(3));
            let pair = topology.world.end(0).agent.selected_pair();
            let kinds = pair.map(|p| [p.local.kind, p.remote.kind]);
            if kinds.is_some_and(|k| k.contains(&CandidateKind::Relayed)) {
                cell.relayed += 1;
            }
        }
        cell.times.sort();
        cell.from_start.sort();
        cell
    }

    fn way(&self) -> char {
        match (self.runs - self.failed.len(), self.relayed) {
            (0, _) => '-',
            (_, 0) => 'D',
            (ok, relayed) if ok == relayed => 'R',
            _ => 'M',
        }
    }

    fn quantile(times: &[Duration], q: f64) -> u128 {
        let at = ((times.len() as f64 - 1.0).max(0.0) * q).round() as usize;
        times.get(at).map_or(0, Duration::as_millis)
    }

    fn success(&self) -> f64 {
        100.0 * (self.runs - self.failed.len()) as f64 / self.runs.max(1) as f64
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = Vec::new();
    for argument in std::env::args().skip(1) {
        given.push(
            argument
                .parse::<u64>()
                .map_err(|error| format!("{argument}: {error}; {USAGE}"))?,
        );
    }
    let (seeds, first) = match given[..] {
        [] => (100, 0),
        [seeds] => (seeds, 0),
        [seeds, first] => (seeds, first),
        _ => return Err(USAGE.into()),
    };
    let seeds = first..first.saturating_add(seeds);
    println!(
        "{} seeds a cell; one way {} ms, round trip {} ms; times are medians.",
        seeds.end - seeds.start,
        ROUND_TRIP.as_millis() / 2,
        ROUND_TRIP.as_millis()
    );
    let mut failed = Vec::new();
    nat_table(&seeds, &mut failed);
    loss_table(&seeds, &mut failed);
    place_table(&seeds, &mut failed);
    if failed.is_empty() {
        println!("\nEvery run up to 30 % loss connected where a path exists.");
    } else {
        println!("\nNOT CONNECTED although a path exists, loss 30 % or less:");
        for line in &failed {
            println!("  {line}");
        }
        std::process::exit(1);
    }
    Ok(())
}

fn places() -> Vec<Place> {
    [Place::Open].into_iter().chain(Place::ALL_NATS).collect()
}

fn nat_table(seeds: &std::ops::Range<u64>, failed: &mut Vec<String>) {
    println!("\nmapping/filtering of RFC 4787 (EI endpoint-independent, AD address-dependent,");
    println!("APD address-and-port-dependent), random ports, a TURN server at hand.");
    println!("D direct, R relayed; ms from the exchange of reflexive or relayed candidates.\n");
    print!("{:>8}", "");
    for b in places() {
        print!("{:>8}", b.name());
    }
    println!();
    for a in places() {
        print!("{:>8}", a.name());
        for b in places() {
            let cell = Cell::run(seeds.clone(), |seed| Setup::new(seed, a, b).turn().build());
            let expected = if a.reaches(b) { 'D' } else { 'R' };
            let mark = if cell.way() == expected { "" } else { "!" };
            if !cell.failed.is_empty() || !mark.is_empty() {
                let seeds = cell.failed.iter().take(5).collect::<Vec<_>>();
                failed.push(format!(
                    "{} - {}: way {}, seeds {seeds:?}",
                    a.name(),
                    b.name(),
                    cell.way()
                ));
            }
            print!(
                "{:>8}",
                format!("{}{mark} {}", cell.way(), Cell::quantile(&cell.times, 0.5))
            );
        }
        println!();
    }
}

fn loss_table(seeds: &std::ops::Range<u64>, failed: &mut Vec<String>) {
    let nat = Place::Nat(
        Behaviour::EndpointIndependent,
        Behaviour::AddressAndPortDependent,
    );
    let symmetric = Place::Nat(
        Behaviour::AddressAndPortDependent,
        Behaviour::AddressAndPortDependent,
    );
    println!(
        "\nloss each way on the path, all of it on one end's link; connected %, median / 95th percentile in ms"
    );
    println!("(host-host and NAT-NAT from the exchange of candidates, relay from the start).\n");
    println!(
        "{:>16}{:>22}{:>22}{:>22}",
        "loss", "open - open", "EI/APD - EI/APD", "relay only"
    );
    let rows: [(&str, bool, Loss); 7] = [
        ("0 %", true, Loss::None),
        ("10 % random", true, Loss::Random(0.1)),
        ("10 % bursts", true, Loss::bursts(0.1, 4.0)),
        ("30 % random", true, Loss::Random(0.3)),
        ("30 % bursts", true, Loss::bursts(0.3, 4.0)),
        ("50 % random", false, Loss::Random(0.5)),
        ("50 % bursts", false, Loss::bursts(0.5, 4.0)),
    ];
    for (name, counts, loss) in rows {
        print!("{name:>16}");
        for (place, relay) in [(Place::Open, false), (nat, false), (symmetric, true)] {
            let cell = Cell::run(seeds.clone(), |seed| {
                let mut setup = Setup::new(seed, place, place).lossy(loss);
                if relay {
                    setup = setup.turn().config(|c| c.with_policy(Policy::Relay));
                }
                setup.build()
            });
            if counts && !cell.failed.is_empty() {
                let seeds = cell.failed.iter().take(5).collect::<Vec<_>>();
                failed.push(format!("{name}, {}: seeds {seeds:?}", place.name()));
            }
            let times = if relay { &cell.from_start } else { &cell.times };
            let (median, tail) = (Cell::quantile(times, 0.5), Cell::quantile(times, 0.95));
            print!(
                "{:>22}",
                format!("{:.1} % {median} / {tail}", cell.success())
            );
        }
        println!();
    }
}

fn place_table(seeds: &std::ops::Range<u64>, failed: &mut Vec<String>) {
    println!("\nother places; connected %, way, median ms from the start, gathering included.\n");
    let ei = Behaviour::EndpointIndependent;
    let apd = Behaviour::AddressAndPortDependent;
    let row = |name: &str, failed: &mut Vec<String>, build: &dyn Fn(u64) -> Topology| {
        let cell = Cell::run(seeds.clone(), build);
        if !cell.failed.is_empty() {
            let seeds = cell.failed.iter().take(5).collect::<Vec<_>>();
            failed.push(format!("{name}: seeds {seeds:?}"));
        }
        let (success, way) = (cell.success(), cell.way());
        println!(
            "{name:>56}  {success:5.1} %  {way}  {:>5}",
            Cell::quantile(&cell.from_start, 0.5)
        );
    };
    row("double NAT - NAT", failed, &|seed| {
        Setup::new(seed, Place::DoubleNat(ei, apd), Place::Nat(ei, apd))
            .turn()
            .build()
    });
    row(
        "two homes behind one carrier NAT that hairpins",
        failed,
        &|seed| {
            Setup::new(seed, Place::Nat(ei, apd), Place::Nat(ei, apd))
                .one_carrier(true)
                .turn()
                .build()
        },
    );
    row(
        "two homes behind one carrier NAT that does not",
        failed,
        &|seed| {
            Setup::new(seed, Place::Nat(ei, apd), Place::Nat(ei, apd))
                .one_carrier(false)
                .turn()
                .build()
        },
    );
    row(
        "two hosts behind one NAT without hairpinning",
        failed,
        &|seed| {
            Setup::new(seed, Place::Nat(ei, apd), Place::Nat(ei, apd))
                .one_home()
                .build()
        },
    );
    for (name, place) in [
        ("firewall that passes only TCP - open", Place::TcpOnly),
        ("firewall that passes only TLS (443) - open", Place::TlsOnly),
    ] {
        row(name, failed, &|seed| {
            Setup::new(seed, place, Place::Open).turn().build()
        });
    }
    row(
        "firewall that passes only TLS - the same",
        failed,
        &|seed| {
            Setup::new(seed, Place::TlsOnly, Place::TlsOnly)
                .turn()
                .build()
        },
    );
    row(
        "firewall that passes only TCP - open, ICE-TCP, no relay",
        failed,
        &|seed| {
            Setup::new(seed, Place::TcpOnly, Place::Open)
                .ice_tcp()
                .build()
        },
    );
    row(
        "two such firewalls, simultaneous open, no relay",
        failed,
        &|seed| {
            Setup::new(seed, Place::TcpOnly, Place::TcpOnly)
                .simultaneous_open()
                .build()
        },
    );
    row(
        "two NATs, only TCP, reflexive, simultaneous open",
        failed,
        &|seed| {
            Setup::new(seed, Place::Nat(ei, apd), Place::Nat(ei, apd))
                .tcp_alone()
                .build()
        },
    );
    for (name, broken) in [("IPv6 broken", 6), ("IPv4 broken", 4), ("both fine", 0)] {
        row(&format!("dual stack, {name}"), failed, &|seed| {
            Setup::dual_stack(seed, broken)
        });
    }
}
