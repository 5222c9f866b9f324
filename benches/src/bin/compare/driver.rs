//! `compare -- driver`: the event loop on loopback, its sockets and system calls included, beside str0m on a plain
//! socket loop and, with the feature `libdatachannel`, beside that.
//!
//! What counts is CPU time, so that other programs on the machine do not: each end's threads are asked for their own.
//! Bulk data go from one end to the other in one process; both ends are counted. Of packets that are forwarded, the
//! forwarder alone.

mod forward;
#[cfg(feature = "libdatachannel")]
mod libdatachannel;
mod ours;
mod theirs;

use std::time::Duration;

use tincan_benches::{Better, Comparison};

/// How long one round sends.
const ROUND: Duration = Duration::from_millis(500);

/// What a round of bulk data came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bulk {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) calls: u64,
    /// Datagrams, each counted by the sender and by the receiver.
    pub(crate) datagrams: u64,
}

impl Bulk {
    fn per_cpu(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.cpu_seconds.max(1e-9)
    }

    fn per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds.max(1e-9)
    }

    fn calls_a_datagram(&self) -> f64 {
        self.calls as f64 / self.datagrams.max(1) as f64
    }
}

/// Seconds that this thread has had the CPU.
pub(crate) fn thread_cpu() -> f64 {
    cpu_of("/proc/thread-self/schedstat")
}

/// Seconds that all threads of this process have had the CPU.
fn process_cpu() -> f64 {
    std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .filter_map(|task| Some(task.ok()?.path().join("schedstat")))
        .map(cpu_of)
        .sum()
}

/// Seconds that a thread has had the CPU, by the system's file about it.
fn cpu_of(schedstat: impl AsRef<std::path::Path>) -> f64 {
    std::fs::read_to_string(schedstat)
        .ok()
        .and_then(|s| s.split(' ').next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e9
}

/// Runs every case of the area.
pub(crate) fn run() {
    let mut ours = ours::Pair::new(true);
    let mut plain = ours::Pair::new(false);
    let mut theirs = theirs::Pair::new();
    #[cfg(feature = "libdatachannel")]
    let mut libdatachannel = libdatachannel::Pair::new();
    for size in [64 * 1024, 1024, 64] {
        let wall = std::cell::RefCell::new((Vec::new(), Vec::new()));
        let comparison =
            Comparison::new("driver", format!("bulk-{size}"), "MB/cpu-s", Better::More)
                .figure("ours", || {
                    let round = ours.bulk(size, ROUND);
                    wall.borrow_mut().0.push(round.per_second());
                    round.per_cpu()
                })
                .figure("ours-without-gso", || plain.bulk(size, ROUND).per_cpu())
                .figure("str0m-plain-loop", || {
                    let round = theirs.bulk(size, ROUND);
                    wall.borrow_mut().1.push(round.per_second());
                    round.per_cpu()
                });
        #[cfg(feature = "libdatachannel")]
        let comparison = comparison.figure("libdatachannel", || {
            libdatachannel.bulk(size, ROUND).per_cpu()
        });
        comparison.run();
        let (a, b) = wall.into_inner();
        let [a, b] = [a, b].map(|rounds| tincan_benches::Figures::new(rounds).median());
        println!(
            "driver bulk-{size}-wall {a:.4} str0m-plain-loop {b:.4} MB/s {:.3}",
            a / b
        );
    }
    Comparison::new(
        "driver",
        "system-calls-a-datagram-bulk",
        "calls",
        Better::Less,
    )
    .figure("ours", || ours.bulk(64 * 1024, ROUND).calls_a_datagram())
    .figure("ours-without-gso", || {
        plain.bulk(64 * 1024, ROUND).calls_a_datagram()
    })
    .figure("str0m-plain-loop", || {
        theirs.bulk(64 * 1024, ROUND).calls_a_datagram()
    })
    .run();
    drop((ours, plain, theirs));
    forward::run();
    ours::loops();
}
