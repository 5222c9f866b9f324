//! Our ends.

use std::time::{Duration, Instant};

use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Loops, Peer, PeerEvent, Sharding,
};
use tincan_peer::{Configuration, DataChannelInit, Message};

use super::{Bulk, process_cpu, thread_cpu};

/// Two loops on one thread, two peers, one channel.
pub(crate) struct Pair {
    runtime: tokio::runtime::Runtime,
    handles: [DriverHandle; 2],
    from: DataChannel,
    to: DataChannel,
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Offer and answer by function calls, then a channel at both ends. News is read and forgotten from then on.
pub(crate) async fn connect(
    (a, mut a_events): (Peer, Events),
    (b, mut b_events): (Peer, Events),
) -> (DataChannel, DataChannel) {
    let from = a
        .create_data_channel("bulk", DataChannelInit::default())
        .await
        .expect("a channel");
    let offer = a.offer_with_candidates(&mut a_events).await;
    b.set_remote_description(offer.expect("an offer"))
        .await
        .expect("set");
    let answer = b.answer_with_candidates(&mut b_events).await;
    a.set_remote_description(answer.expect("an answer"))
        .await
        .expect("set");
    let to = loop {
        match b_events.next().await {
            Some(PeerEvent::DataChannel(channel)) => break channel,
            Some(_) => {}
            None => panic!("the peer ended"),
        }
    };
    for mut events in [a_events, b_events] {
        tokio::spawn(async move { while events.next().await.is_some() {} });
    }
    (from, to)
}

impl Pair {
    pub(crate) fn new(offload: bool) -> Self {
        let runtime = runtime();
        let (handles, from, to) = runtime.block_on(async {
            let config = DriverConfig {
                offload,
                ..DriverConfig::loopback()
            };
            let drivers = [0, 1].map(|_| Driver::bind(config.clone()).expect("a socket"));
            let handles = drivers.each_ref().map(Driver::handle);
            for driver in drivers {
                tokio::spawn(driver.run());
            }
            let [a, b] = [&handles[0], &handles[1]].map(|h| h.peer(Configuration::default()));
            let (from, to) = connect(a.await.expect("a peer"), b.await.expect("a peer")).await;
            (handles, from, to)
        });
        Self {
            runtime,
            handles,
            from,
            to,
        }
    }

    /// Sends messages of `size` for a while, and waits until all have arrived.
    pub(crate) fn bulk(&mut self, size: usize, time: Duration) -> Bulk {
        let Self {
            runtime,
            handles,
            from,
            to,
        } = self;
        let message = Message::binary(vec![7; size]);
        runtime.block_on(async {
            let before = totals(handles).await;
            let (start, cpu) = (Instant::now(), thread_cpu());
            let (mut sent, mut got) = (0, 0);
            while start.elapsed() < time {
                tokio::select! {
                    biased;
                    message = to.recv() => got += message.expect("a message").len(),
                    result = from.send(message.clone()) => {
                        result.expect("sent");
                        sent += size;
                    }
                }
            }
            while got < sent {
                got += to.recv().await.expect("a message").len();
            }
            let (seconds, cpu_seconds) = (start.elapsed().as_secs_f64(), thread_cpu() - cpu);
            let after = totals(handles).await;
            Bulk {
                bytes: got as u64,
                seconds,
                cpu_seconds,
                calls: after.0 - before.0,
                datagrams: after.1 - before.1,
            }
        })
    }
}

/// System calls and datagrams of both loops.
async fn totals(handles: &[DriverHandle; 2]) -> (u64, u64) {
    let mut totals = (0, 0);
    for handle in handles {
        let stats = handle.stats().await.expect("stats");
        totals.0 += stats.send_calls + stats.receive_calls;
        totals.1 += stats.datagrams_sent + stats.datagrams_received;
    }
    totals
}

/// Peers that send to several loops.
const SENDERS: usize = 8;

/// The table of one and two loops: peers in loops of their own threads receive bulk data from one other thread each,
/// as many bytes a second as the machine gives, and what share was handed over.
pub(crate) fn loops() {
    for (name, count, sharding) in [
        ("loops-1", 1, Sharding::Ports),
        ("loops-2-ports", 2, Sharding::Ports),
        ("loops-2-shared-port", 2, Sharding::SharedPort),
    ] {
        let config = || DriverConfig {
            port_per_peer: false,
            ..DriverConfig::loopback()
        };
        let receivers = Loops::spawn(config(), count, sharding).expect("loops");
        let senders = Loops::spawn(DriverConfig::loopback(), count, Sharding::Ports);
        let senders = senders.expect("loops");
        let runtime = runtime();
        let (rate, handed) = runtime.block_on(async {
            let mut tasks = Vec::new();
            for n in 0..SENDERS {
                let from = senders.handle().peer(Configuration::default()).await;
                // Round robin at both ends, but not in step, so that loops meet crosswise.
                let to = receivers.handle().loops()[n / count % count]
                    .peer(Configuration::default())
                    .await;
                tasks.push(connect(from.expect("a peer"), to.expect("a peer")).await);
            }
            let before: u64 = receivers
                .handle()
                .stats()
                .await
                .expect("stats")
                .iter()
                .map(|s| s.bytes_received)
                .sum();
            let (start, cpu) = (Instant::now(), process_cpu());
            let streams: Vec<_> = tasks
                .into_iter()
                .map(|(from, mut to)| {
                    tokio::spawn(async move { while to.recv().await.is_some() {} });
                    tokio::spawn(async move {
                        let message = Message::binary(vec![7; 64 * 1024]);
                        while from.send(message.clone()).await.is_ok() {}
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let stats = receivers.handle().stats().await.expect("stats");
            let bytes: u64 = stats.iter().map(|s| s.bytes_received).sum();
            let datagrams: u64 = stats.iter().map(|s| s.datagrams_received).sum();
            let handed: u64 = stats.iter().map(|s| s.handed_over).sum();
            let (seconds, cpu_seconds) = (start.elapsed().as_secs_f64(), process_cpu() - cpu);
            for stream in streams {
                stream.abort();
            }
            let megabytes = (bytes - before) as f64 / 1e6;
            (
                (megabytes / seconds, megabytes / cpu_seconds.max(1e-3)),
                handed as f64 / datagrams.max(1) as f64,
            )
        });
        let (rate, per_cpu) = rate;
        println!(
            "driver {name} {rate:.1} MB/s, {per_cpu:.1} MB/cpu-s of both ends, {handed:.3} of the datagrams handed over"
        );
        receivers.join();
        senders.join();
    }
}
