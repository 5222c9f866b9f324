//! Counters, percentiles, the line of every few seconds and the verdict.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tincan_peer::driver::{DriverHandle, DriverStats};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{CONNECT_TIME, DRAIN_TIME, Failure, LONG, Plan, REST};

/// Buckets of a histogram: 16 for each doubling, from a microsecond.
const BUCKETS: usize = 16 * 32;

/// Durations, to 6 %.
pub(crate) struct Histogram(Vec<AtomicU64>);

impl Histogram {
    fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn record(&self, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        let bucket = (micros.max(1.0).log2() * 16.0) as usize;
        if let Some(count) = self.0.get(bucket.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Milliseconds that a share of the durations stays below.
    fn percentile(&self, share: f64) -> f64 {
        let counts: Vec<u64> = self.0.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share) as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen > wanted {
                return ((bucket + 1) as f64 / 16.0).exp2() / 1e3;
            }
        }
        0.0
    }

    fn line(&self) -> String {
        format!(
            "p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}",
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.percentile(0.999)
        )
    }
}

/// What both sides count.
pub(crate) struct Tally {
    begin: Instant,
    pub(crate) connected: AtomicUsize,
    pub(crate) deaths: AtomicU64,
    pub(crate) media_sent: AtomicU64,
    pub(crate) media_received: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_back: AtomicU64,
    /// Bytes that the two threads hold on the heap.
    pub(crate) heap: AtomicI64,
    failures: AtomicU64,
    pub(crate) connects: Histogram,
    pub(crate) messages: Histogram,
    pub(crate) media: Histogram,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            connected: AtomicUsize::new(0),
            deaths: AtomicU64::new(0),
            media_sent: AtomicU64::new(0),
            media_received: AtomicU64::new(0),
            messages_sent: AtomicU64::new(0),
            messages_back: AtomicU64::new(0),
            heap: AtomicI64::new(0),
            failures: AtomicU64::new(0),
            connects: Histogram::new(),
            messages: Histogram::new(),
            media: Histogram::new(),
        }
    }

    /// Microseconds since the beginning: both sides have one clock.
    pub(crate) fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    pub(crate) fn since(&self, then: u64) -> Duration {
        Duration::from_micros(self.now().saturating_sub(then))
    }

    pub(crate) fn fail(&self, why: &str) {
        // The first few tell the story.
        if self.failures.fetch_add(1, Ordering::Relaxed) < 10 {
            println!("FAILURE: {why}");
        }
    }
}

/// Memory at one moment, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    resident: i64,
    heap: i64,
}

fn memory(tally: &Tally) -> Memory {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse().ok());
    Memory {
        resident: pages.unwrap_or(0) * PAGE,
        heap: tally.heap.load(Ordering::Relaxed),
    }
}

/// Seconds of CPU that the process has had.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Prints how it goes until the time is over, then says whether it went well.
pub(crate) async fn watch(
    plan: Plan,
    tally: &Tally,
    [server, client]: [&DriverHandle; 2],
    stop: watch::Sender<bool>,
    close: watch::Sender<bool>,
) -> Result<(), Failure> {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let failures = || load(&tally.failures);
    let begun = Instant::now();
    let empty = memory(tally);
    while tally.connected.load(Ordering::Relaxed) < plan.peers && failures() == 0 {
        if begun.elapsed() > CONNECT_TIME {
            return Err(format!("not everybody connected in {CONNECT_TIME:?}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{} peers connected in {:.1} s",
        plan.peers,
        begun.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let step = (plan.time / 20).clamp(Duration::from_secs(3), Duration::from_secs(30));
    let mut ticks = interval(step);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let before = (server.stats().await?, client.stats().await?, cpu());
    let (media_before, sent_before) = (load(&tally.media_received), load(&tally.media_sent));
    let mut settled = None;
    while start.elapsed() < plan.time {
        ticks.tick().await;
        let stats = server.stats().await?;
        let memory = memory(tally);
        println!(
            "{:5.0} s: {} connected, {} at the server, {} deaths; messages {} of {} back; media {} of {}; \
             RSS {:.1} MB, heap {:.1} MB; waiting {}, shed {}, not taken {}",
            start.elapsed().as_secs_f64(),
            tally.connected.load(Ordering::Relaxed),
            stats.peers,
            load(&tally.deaths),
            load(&tally.messages_back),
            load(&tally.messages_sent),
            load(&tally.media_received),
            load(&tally.media_sent),
            memory.resident as f64 / 1e6,
            memory.heap as f64 / 1e6,
            stats.waiting,
            stats.shed_media + stats.shed_other,
            stats.dropped_rtp,
        );
        // Histories and windows are full, the first dead are forgotten.
        if settled.is_none() && start.elapsed() * 3 > plan.time {
            settled = Some(memory);
        }
    }
    let last = memory(tally);
    let after = (server.stats().await?, client.stats().await?, cpu());
    // Asking may take its time where a loop is behind.
    let took = start.elapsed().as_secs_f64();
    let media = load(&tally.media_received) - media_before;
    let sent = load(&tally.media_sent) - sent_before;
    // Everybody waits for what is on its way.
    stop.send_replace(true);
    let drained = Instant::now();
    while tally.connected.load(Ordering::Relaxed) > 0 && drained.elapsed() < DRAIN_TIME {
        sleep(Duration::from_millis(20)).await;
    }
    let missing = tally.connected.load(Ordering::Relaxed);
    // And then until nobody is left.
    close.send_replace(true);
    let mut left = server.stats().await?.peers + client.stats().await?.peers;
    while left > 0 && drained.elapsed() < DRAIN_TIME {
        sleep(Duration::from_millis(100)).await;
        left = server.stats().await?.peers + client.stats().await?.peers;
    }
    // The heap is counted once a second.
    sleep(Duration::from_millis(2_500)).await;
    let rest = memory(tally).heap - empty.heap;

    println!("connecting:      {}", tally.connects.line());
    println!("message, both ways: {}", tally.messages.line());
    println!("media, one way:  {}", tally.media.line());
    println!(
        "media: {:.0} packets a second sent ({:.1} % of what was asked), {:.2} % arrived",
        sent as f64 / took,
        sent as f64 / took / (plan.peers as f64 * f64::from(plan.rate)).max(1.0) * 100.0,
        media as f64 / sent.max(1) as f64 * 100.0
    );
    for (name, before, after) in [
        ("servers' loop", before.0, after.0),
        ("clients' loop", before.1, after.1),
    ] {
        println!("{name}: {}", traffic(&before, &after, took));
    }
    let [before_server, before_client] = [before.0, before.1];
    let [after_server, after_client] = [after.0, after.1];
    for (name, sent, received) in [
        (
            "clients to servers",
            after_client.datagrams_sent - before_client.datagrams_sent,
            after_server.datagrams_received - before_server.datagrams_received,
        ),
        (
            "servers to clients",
            after_server.datagrams_sent - before_server.datagrams_sent,
            after_client.datagrams_received - before_client.datagrams_received,
        ),
    ] {
        // What the harness loses is counted as received, or was never sent.
        let lost = sent.saturating_sub(received);
        println!(
            "{name}: {lost} datagrams ({:.2} %) lost between the sockets: in the system's buffers, or sent to who was gone",
            lost as f64 / sent.max(1) as f64 * 100.0
        );
    }
    println!(
        "CPU: {:.1} s in {took:.0} s ({:.0} % of a core)",
        after.2 - before.2,
        (after.2 - before.2) / took * 100.0
    );
    let settled = settled.unwrap_or(last);
    println!("memory from a third of the time to the end: {settled:?} -> {last:?}");

    let mut faults = Vec::new();
    if failures() > 0 {
        faults.push(format!("{} failures", failures()));
    }
    if missing > 0 {
        faults.push(format!("{missing} clients still wait for their messages"));
    }
    println!("heap when all are gone: {rest} bytes more than at the beginning");
    if left > 0 {
        faults.push(format!("{left} peers are still there"));
    }
    if rest > REST {
        faults.push("the heap is not as it was".into());
    }
    let long = plan.time >= LONG;
    // Peers that died without a word stay for 30 seconds; how many there are at a moment varies.
    if long && last.heap - settled.heap > settled.heap / 10 + (2 << 20) {
        faults.push("the heap grew".into());
    }
    if long && last.resident - settled.resident > settled.resident / 10 + (8 << 20) {
        faults.push("the resident set grew".into());
    }
    if !faults.is_empty() {
        return Err(faults.join("; ").into());
    }
    println!(
        "PASSED: {} messages sent by those who lived and died, none lost or out of order; {} deaths",
        load(&tally.messages_sent),
        load(&tally.deaths)
    );
    Ok(())
}

fn traffic(before: &DriverStats, after: &DriverStats, took: f64) -> String {
    let received = after.datagrams_received - before.datagrams_received;
    let sent = after.datagrams_sent - before.datagrams_sent;
    let calls = after.receive_calls - before.receive_calls + after.send_calls - before.send_calls;
    format!(
        "{:.0} datagrams a second in, {:.0} out, {:.2} system calls each; {} lost by the harness; shed {}",
        received as f64 / took,
        sent as f64 / took,
        calls as f64 / (received + sent).max(1) as f64,
        after.fault_losses - before.fault_losses,
        after.shed_media + after.shed_other - before.shed_media - before.shed_other,
    )
}
