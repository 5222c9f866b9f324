//! `compare -- driver`: the event loop on loopback, its sockets and system calls included.
//!
//! No contender yet: the figures are ours alone, bulk data from one loop to another in one process.

use std::time::{Duration, Instant};

use tincan_benches::{Better, Comparison};
use tincan_peer::driver::{DataChannel, Driver, DriverConfig, DriverHandle, PeerEvent};
use tincan_peer::{Configuration, DataChannelInit, Message};

/// How long one round sends.
const ROUND: Duration = Duration::from_millis(700);

/// Two loops, two peers, one channel.
struct Pair {
    runtime: tokio::runtime::Runtime,
    handles: [DriverHandle; 2],
    from: DataChannel,
    to: DataChannel,
}

impl Pair {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let (handles, from, to) = runtime.block_on(async {
            let drivers = [0, 1].map(|_| Driver::bind(DriverConfig::loopback()).expect("a socket"));
            let handles = drivers.each_ref().map(Driver::handle);
            for driver in drivers {
                tokio::spawn(driver.run());
            }
            let (a, mut a_events) = handles[0]
                .peer(Configuration::default())
                .await
                .expect("a peer");
            let (b, mut b_events) = handles[1]
                .peer(Configuration::default())
                .await
                .expect("a peer");
            let from = a
                .create_data_channel("bulk", DataChannelInit::default())
                .await;
            let from = from.expect("a channel");
            let offer = a
                .offer_with_candidates(&mut a_events)
                .await
                .expect("an offer");
            b.set_remote_description(offer).await.expect("set");
            let answer = b
                .answer_with_candidates(&mut b_events)
                .await
                .expect("an answer");
            a.set_remote_description(answer).await.expect("set");
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
            (handles, from, to)
        });
        Self {
            runtime,
            handles,
            from,
            to,
        }
    }

    /// Sends messages of `size` for a while. Bytes a second of the wall clock (the one thread is busy all the time),
    /// and system calls a datagram.
    fn bulk(&mut self, size: usize) -> (f64, f64) {
        let Self {
            runtime,
            handles,
            from,
            to,
        } = self;
        let message = Message::binary(vec![7; size]);
        runtime.block_on(async {
            let before = [
                handles[0].stats().await.expect("stats"),
                handles[1].stats().await.expect("stats"),
            ];
            let start = Instant::now();
            let mut sent = 0usize;
            let mut got = 0usize;
            while start.elapsed() < ROUND {
                tokio::select! {
                    biased;
                    message = to.recv() => got += message.expect("a message").len(),
                    result = from.send(message.clone()) => {
                        result.expect("sent");
                        sent += size;
                    }
                }
            }
            let rate = got as f64 / start.elapsed().as_secs_f64() / 1e6;
            while got < sent {
                got += to.recv().await.expect("a message").len();
            }
            let after = [
                handles[0].stats().await.expect("stats"),
                handles[1].stats().await.expect("stats"),
            ];
            let mut calls = 0;
            let mut datagrams = 0;
            for (before, after) in before.iter().zip(&after) {
                calls += after.send_calls - before.send_calls + after.receive_calls
                    - before.receive_calls;
                datagrams += after.datagrams_sent - before.datagrams_sent
                    + after.datagrams_received
                    - before.datagrams_received;
            }
            (rate, calls as f64 / datagrams.max(1) as f64)
        })
    }
}

/// Runs every case of the area.
pub(crate) fn run() {
    let mut pair = Pair::new();
    for size in [64 * 1024, 1024, 64] {
        Comparison::new("driver", format!("bulk-{size}"), "MB/s", Better::More)
            .figure("ours", || pair.bulk(size).0)
            .run();
    }
    Comparison::new(
        "driver",
        "system-calls-a-datagram-bulk-65536",
        "calls",
        Better::Less,
    )
    .figure("ours", || pair.bulk(64 * 1024).1)
    .run();
}
