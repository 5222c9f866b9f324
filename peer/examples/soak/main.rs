//! Many peers on one loop for a long time: each with a data channel and with media, over a network that loses, some
//! dying and coming again.
//!
//! ```text
//! cargo run --release --example soak                 # 1000 peers for 10 minutes
//! cargo run --release --example soak -- --short      # 100 peers for 30 seconds
//! cargo run --release --example soak -- --peers 300 --seconds 120 --rate 50 --loss 0.01 --deaths 0.05
//! ```
//!
//! One loop holds all servers' ends on one port; another, on a second thread, the clients' ends with a port each. Every
//! client sends media packets at `--rate` a second and numbered messages on a reliable channel, which come back. The
//! driver's own fault hook loses `--loss` of the datagrams in both directions. In a minute `--deaths` of the clients
//! die, half of them without a word, and connect anew.
//!
//! Ends with 1 if a message was lost or came out of order, if somebody could not connect, or if memory stays behind when
//! all are gone; a run of five minutes or more also if memory grew while it lasted. None of it depends on how fast the
//! machine is: one that is too slow shows as shed media, datagrams lost in the system's buffers, and long waits.

mod client;
mod report;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use report::Tally;
use tokio::sync::{mpsc, watch};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) peers: usize,
    pub(crate) time: Duration,
    /// Media packets a second and peer.
    pub(crate) rate: u32,
    /// Share of datagrams lost in each direction.
    pub(crate) loss: f64,
    /// Share of the peers that die in a minute.
    pub(crate) deaths: f64,
    pub(crate) seed: u64,
}

/// Time for everybody to connect before the clock starts, and for one who died to come again: nobody waits so long but
/// on a machine that stands still.
const CONNECT_TIME: Duration = Duration::from_secs(300);

/// Time for the last messages to come back, and for the last peers to be forgotten.
const DRAIN_TIME: Duration = Duration::from_secs(300);

/// From here on a run is long enough for memory to be judged while it lasts: histories and windows are full, and the
/// dead of a half-minute, who are not forgotten yet, are few beside all.
const LONG: Duration = Duration::from_secs(300);

/// Bytes on the heap that may stay when everybody is gone: receive buffers of two loops, 2.3 MiB each, and their queues'
/// room. A hundred connected peers have twice that.
const REST: i64 = 8 << 20;

fn plan() -> Result<Plan, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};
    let mut plan = Plan {
        peers: 1000,
        time: Duration::from_secs(600),
        rate: 50,
        loss: 0.01,
        deaths: 0.05,
        seed: 1,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("short") => {
                plan.peers = 100;
                plan.time = Duration::from_secs(30);
                // So that a short run sees some, too.
                plan.deaths = 0.5;
            }
            Long("peers") => plan.peers = parser.value()?.parse()?,
            Long("seconds") => plan.time = Duration::from_secs(parser.value()?.parse()?),
            Long("rate") => plan.rate = parser.value()?.parse()?,
            Long("loss") => plan.loss = parser.value()?.parse()?,
            Long("deaths") => plan.deaths = parser.value()?.parse()?,
            Long("seed") => plan.seed = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(plan)
}

/// Runs `part` on a thread with a runtime of its own and counts what it keeps on the heap.
fn thread<F>(
    name: &str,
    tally: Arc<Tally>,
    part: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<Result<(), Failure>>>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let mut result = None;
            let mut task = runtime.spawn(part());
            while result.is_none() {
                let info = allocation_counter::measure(|| {
                    result = runtime.block_on(async {
                        tokio::time::timeout(Duration::from_secs(1), &mut task)
                            .await
                            .ok()
                    });
                });
                tally.heap.fetch_add(info.bytes_current, Ordering::Relaxed);
            }
            result.unwrap_or(Ok(Ok(())))?
        })
}

fn main() -> Result<(), Failure> {
    let plan = plan()?;
    println!("{plan:?}");
    let tally = Arc::new(Tally::new());
    let (calls, incoming) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let (server_handle, server_ready) = std::sync::mpsc::sync_channel(1);
    let (client_handle, client_ready) = std::sync::mpsc::sync_channel(1);

    let of_server = tally.clone();
    let (close, closing) = watch::channel(false);
    let servers = thread("servers", tally.clone(), move || {
        server::run(incoming, server_handle, closing, of_server)
    })?;
    let of_clients = tally.clone();
    let clients = thread("clients", tally.clone(), move || {
        client::run(plan, calls, client_handle, stopped, of_clients)
    })?;
    let server = server_ready.recv()?;
    let client = client_ready.recv()?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let verdict = runtime.block_on(async {
        let verdict = report::watch(plan, &tally, [&server, &client], stop, close).await;
        if let Err(error) = &verdict {
            // Threads that wait for what will not come are not waited for.
            println!("FAILED: {error}");
            std::process::exit(1);
        }
        client.shutdown();
        server.shutdown();
        verdict
    });
    clients
        .join()
        .map_err(|_| "the clients' thread panicked")??;
    servers
        .join()
        .map_err(|_| "the servers' thread panicked")??;
    verdict
}
