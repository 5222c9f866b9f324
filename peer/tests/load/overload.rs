//! One greedy peer among others.

use tincan_peer::driver::{DriverConfig, DriverError};
use tincan_peer::{Configuration, Message};

use crate::common;

/// Bulk bytes that may pass while another peer waits for an answer: a few rounds of the loop with full budgets. A loop
/// that served the busy one until it has nothing left would pass a hundred times that.
const BYTES_A_ROUND_TRIP: usize = 24 << 20;

#[test]
fn a_busy_peer_does_not_starve_a_quiet_one() {
    common::run(async {
        let server = common::driver(common::one_port());
        let clients = common::driver(DriverConfig::loopback());
        let busy = common::link(&clients, &server).await;
        let mut quiet = common::link(&clients, &server).await;
        let [from, mut to] = busy.channels;
        let bulk = tokio::spawn(async move {
            let message = Message::binary(vec![1; 60_000]);
            while from.send(message.clone()).await.is_ok() {}
        });
        let moved = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = moved.clone();
        tokio::spawn(async move {
            while let Some(message) = to.recv().await {
                count.fetch_add(message.len(), std::sync::atomic::Ordering::Relaxed);
            }
        });
        let moved = || moved.load(std::sync::atomic::Ordering::Relaxed);
        while moved() < 4 << 20 {
            tokio::task::yield_now().await;
        }
        let mut trips = Vec::new();
        for _ in 0..50 {
            let before = moved();
            quiet.channels[0].send(Message::text("?")).await.unwrap();
            let question = quiet.channels[1].recv().await.unwrap();
            quiet.channels[1].send(question).await.unwrap();
            quiet.channels[0].recv().await.unwrap();
            trips.push(moved() - before);
        }
        trips.sort_unstable();
        println!("{trips:?} bytes of bulk in 50 round trips");
        // Some have lost a packet and waited for it to be sent again: the socket's buffer is the bulk's as well, and may be
        // small. One who starves starves each time.
        assert!(trips[25] < BYTES_A_ROUND_TRIP, "{trips:?}");
        bulk.abort();
    });
}

#[test]
fn one_peer_more_than_there_may_be_is_refused_and_the_others_stay() {
    common::run(async {
        let config = DriverConfig {
            max_peers: 2,
            ..DriverConfig::loopback()
        };
        let handle = common::driver(config);
        let first = handle.peer(Configuration::default()).await.unwrap();
        let second = handle.peer(Configuration::default()).await.unwrap();
        let third = handle.peer(Configuration::default()).await;
        assert!(matches!(third, Err(DriverError::TooManyPeers)));
        drop(second);
        while handle.stats().await.unwrap().peers > 1 {
            tokio::task::yield_now().await;
        }
        assert!(handle.peer(Configuration::default()).await.is_ok());
        assert!(first.0.local_description().await.is_ok());
    });
}
