//! Peers come and go in every state; nothing of them stays. A process of its own: descriptors are counted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set up has failed"
)]

#[path = "load/common.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod common;

use std::time::{Duration, SystemTime};

use tincan_peer::driver::{DriverConfig, DriverHandle, Events, Peer};
use tincan_peer::{Certificate, Configuration, DataChannelInit, Kind, Message};

use common::Link;

/// Peers of one wave: of each ten, eight end unconnected in a state of their own.
const WAVE: usize = 500;

/// Pairs of a wave that connect; a handshake costs more than everything else here.
const CONNECTED: usize = 12;

const WAVES: usize = 20;

/// Heap that may differ between the beginning and the end: tables that breathe. One peer is more than that.
const SLACK: i64 = 24 * 1024;

/// For a wave, which takes seconds on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(120);

struct Config(Certificate);

impl Config {
    fn get(&self) -> Configuration {
        Configuration {
            certificates: vec![self.0.clone()],
            ..Configuration::default()
        }
    }

    async fn peer(&self, handle: &DriverHandle) -> (Peer, Events) {
        handle.peer(self.get()).await.unwrap()
    }
}

/// A wave, and a bound: who waits for a word that was lost fails here.
async fn wave(handle: &DriverHandle, config: &Config) {
    tokio::time::timeout(PATIENCE, come_and_go(handle, config))
        .await
        .expect("a wave does not end");
}

async fn come_and_go(handle: &DriverHandle, config: &Config) {
    let mut crowd = Vec::new();
    for n in 0..(WAVE - 2 * CONNECTED) {
        let (peer, mut events) = config.peer(handle).await;
        match n % 8 {
            // Made and dropped at once.
            0 => continue,
            // With a transceiver and a channel that never opens.
            1 => {
                let transceiver = peer.add_transceiver(Kind::Video, Default::default()).await;
                let channel = peer
                    .create_data_channel("early", DataChannelInit::default())
                    .await
                    .unwrap();
                channel.send(Message::text("never sent")).await.unwrap();
                peer.sender(transceiver.unwrap());
            }
            // With an offer that nobody answers.
            2 => {
                let channel = peer.create_data_channel("x", DataChannelInit::default());
                drop(channel.await.unwrap());
                peer.offer_with_candidates(&mut events).await.unwrap();
            }
            // The events dropped first, the peer closed by hand.
            3 => {
                drop(events);
                peer.close();
                continue;
            }
            // A call that is cancelled.
            4 => {
                let call = peer.create_offer(Default::default());
                drop(tokio::time::timeout(Duration::ZERO, call).await);
            }
            // Both ends described, dropped before they meet.
            5 => {
                let (other, mut other_events) = config.peer(handle).await;
                let channel = peer.create_data_channel("x", DataChannelInit::default());
                drop(channel.await.unwrap());
                let offer = peer.offer_with_candidates(&mut events).await.unwrap();
                other.set_remote_description(offer).await.unwrap();
                let answer = other.answer_with_candidates(&mut other_events).await;
                peer.set_remote_description(answer.unwrap()).await.unwrap();
            }
            // Restarted before anything began.
            6 => peer.restart_ice().await.unwrap(),
            _ => {}
        }
        crowd.push((peer, events));
    }
    for n in 0..CONNECTED {
        let pair = [config.peer(handle).await, config.peer(handle).await];
        let [a, b] = pair;
        let mut link: Link = common::pair(a, b, DataChannelInit::default()).await;
        link.channels[0].send(Message::text("hello")).await.unwrap();
        assert!(link.channels[1].recv().await.is_some());
        match n % 4 {
            // Closed with data on the way and messages unread.
            0 => {
                for _ in 0..100 {
                    let message = Message::binary(vec![1; 1000]);
                    link.channels[1].send(message).await.unwrap();
                }
                link.peers[0].close();
            }
            // One end told by the other.
            1 => {
                link.peers[1].close();
                while link.channels[0].recv().await.is_some() {}
            }
            // The channel closed first.
            2 => link.channels[0].close().await.unwrap(),
            // Dropped.
            _ => {}
        }
    }
    drop(crowd);
    // Every round trip is a turn of the loop.
    while handle.stats().await.unwrap().peers > 0 {
        tokio::task::yield_now().await;
    }
}

fn descriptors() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

#[test]
fn ten_thousand_peers_that_come_and_go_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = Config(Certificate::generate(SystemTime::now()).unwrap());
    let handle = runtime.block_on(async { common::driver(DriverConfig::loopback()) });
    let tasks = |runtime: &tokio::runtime::Runtime| runtime.metrics().num_alive_tasks();
    // The first waves fill what is made once: statics, the runtime's own tables, buffers of the loop.
    for _ in 0..2 {
        runtime.block_on(wave(&handle, &config));
    }
    let (tasks_before, descriptors_before) = (tasks(&runtime), descriptors());
    let mut held = Vec::new();
    let all = allocation_counter::measure(|| {
        for _ in 2..WAVES {
            let wave = allocation_counter::measure(|| runtime.block_on(wave(&handle, &config)));
            held.push(wave.bytes_current);
        }
    });
    println!(
        "{} peers: {} bytes more on the heap than before, {} at most, by wave {held:?}",
        WAVE * WAVES,
        all.bytes_current,
        all.bytes_max
    );
    println!(
        "tasks {tasks_before} -> {}, descriptors {descriptors_before:?} -> {:?}",
        tasks(&runtime),
        descriptors()
    );
    assert!(all.bytes_current.abs() < SLACK, "{held:?}");
    assert_eq!(tasks(&runtime), tasks_before);
    assert_eq!(descriptors(), descriptors_before);
    let stats = runtime.block_on(handle.stats()).unwrap();
    assert_eq!((stats.peers, stats.waiting), (0, 0));
}
