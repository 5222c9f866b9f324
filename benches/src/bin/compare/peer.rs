//! `compare -- peer`: two whole peers in memory, both ends in one thread, beside str0m driven in the same way: CPU from
//! offer to open channel, octets of data channel a CPU-second, RTP packets forwarded, heap of an idle peer.

mod ours;
mod theirs;

use std::time::Duration;

use tincan_benches::{Better, Comparison, counts_allocations, measure_heap};

/// Two connected ends as the benchmark drives them.
pub(crate) trait Pair: Sized {
    /// Makes and connects two ends with one open channel.
    fn connected() -> Self;
    /// Lets the pair be idle for so long.
    fn idle(&mut self, time: Duration);
    /// How often an end wanted to be woken so far, of both ends together.
    fn wakeups(&self) -> u64;
    /// Sends messages of `size` octets until `octets` have arrived.
    fn transfer(&mut self, size: usize, octets: usize);
}

/// Nanoseconds that this thread has had the CPU: other programs on the machine don't count.
pub(crate) fn cpu_nanos() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|s| s.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

fn connect<P: Pair>() -> f64 {
    let start = cpu_nanos();
    const PAIRS: u32 = 8;
    for _ in 0..PAIRS {
        std::hint::black_box(P::connected());
    }
    (cpu_nanos() - start) as f64 / 1e6 / f64::from(PAIRS)
}

fn transfer<P: Pair>(pair: &mut P, size: usize, octets: usize) -> f64 {
    let start = cpu_nanos();
    pair.transfer(size, octets);
    octets as f64 * 1e3 / (cpu_nanos() - start).max(1) as f64
}

fn heap<P: Pair>() -> f64 {
    const PAIRS: usize = 200;
    let idle = || {
        let mut pair = P::connected();
        pair.idle(Duration::from_secs(30));
        pair
    };
    let (pairs, heap) = measure_heap(|| (0..PAIRS).map(|_| idle()).collect::<Vec<_>>());
    drop(pairs);
    heap.map_or(0.0, |h| h.held_bytes as f64 / (2 * PAIRS) as f64)
}

/// How often an idle peer wants to be woken by its timers and its far end's datagrams, a minute.
fn wakeups<P: Pair>() -> f64 {
    const MINUTES: u32 = 20;
    let mut pair = P::connected();
    pair.idle(Duration::from_secs(60));
    let before = pair.wakeups();
    pair.idle(MINUTES * Duration::from_secs(60));
    (pair.wakeups() - before) as f64 / f64::from(2 * MINUTES)
}

/// Runs every case of the area.
pub(crate) fn run() {
    Comparison::new("peer", "connect-pair", "ms-cpu", Better::Less)
        .figure("tincan", connect::<ours::Ours>)
        .figure("str0m", connect::<theirs::Theirs>)
        .run();
    for (size, octets) in [(65_536, 24 << 20), (1_024, 8 << 20), (64, 1 << 19)] {
        let (mut a, mut b) = (ours::Ours::connected(), theirs::Theirs::connected());
        a.transfer(size, octets / 4);
        b.transfer(size, octets / 16);
        Comparison::new("peer", format!("data-{size}"), "MB/cpu-s", Better::More)
            .figure("tincan", || transfer(&mut a, size, octets))
            .figure("str0m", || transfer(&mut b, size, octets / 6))
            .run();
    }
    Comparison::new("peer", "forward-1-to-50", "packets/cpu-s", Better::More)
        .figure("tincan", ours::forward)
        .figure("str0m", theirs::forward)
        .run();
    Comparison::new("peer", "wakeups-idle", "a-minute", Better::Less)
        .figure("tincan", wakeups::<ours::Ours>)
        .figure("str0m", wakeups::<theirs::Theirs>)
        .run();
    if counts_allocations() {
        Comparison::new("peer", "heap-idle-peer", "bytes", Better::Less)
            .figure("tincan", heap::<ours::Ours>)
            .figure("str0m", heap::<theirs::Theirs>)
            .run();
        ours::heap_by_stage();
        let mut pair = ours::Ours::connected();
        pair.transfer(1_024, 1 << 20);
        let before = pair.datagrams;
        let (_, heap) = measure_heap(|| pair.transfer(1_024, 1 << 20));
        let datagrams = (pair.datagrams - before).max(1);
        println!(
            "peer allocations-a-datagram {:.3} - - allocations -",
            heap.map_or(0.0, |h| h.allocations as f64 / datagrams as f64)
        );
    }
}
