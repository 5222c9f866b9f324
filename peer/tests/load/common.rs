//! Two peers of the same or of two loops, connected by function calls.

use std::future::Future;
use std::time::Duration;

use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent,
};
use tincan_peer::stats::Stats;
use tincan_peer::{Configuration, DataChannelInit};

/// Both ends of a channel, with everything that keeps them alive.
pub(crate) struct Link {
    pub(crate) peers: [Peer; 2],
    pub(crate) events: [Events; 2],
    pub(crate) channels: [DataChannel; 2],
}

/// A runtime of one thread, and a bound on how long a test may take.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), test)
            .await
            .expect("the test hangs")
    })
}

pub(crate) fn driver(config: DriverConfig) -> DriverHandle {
    let driver = Driver::bind(config).unwrap();
    let handle = driver.handle();
    tokio::spawn(driver.run());
    handle
}

/// All peers on one port, on 127.0.0.1.
pub(crate) fn one_port() -> DriverConfig {
    DriverConfig {
        port_per_peer: false,
        ..DriverConfig::loopback()
    }
}

pub(crate) async fn signal(peers: &[Peer; 2], events: &mut [Events; 2]) {
    let [a, b] = peers;
    let [a_events, b_events] = events;
    let offer = a.offer_with_candidates(a_events).await.unwrap();
    b.set_remote_description(offer).await.unwrap();
    let answer = b.answer_with_candidates(b_events).await.unwrap();
    a.set_remote_description(answer).await.unwrap();
}

pub(crate) async fn next_channel(events: &mut Events) -> DataChannel {
    loop {
        match events.next().await.expect("the peer ended") {
            PeerEvent::DataChannel(channel) => return channel,
            _ => continue,
        }
    }
}

pub(crate) async fn pair(from: (Peer, Events), to: (Peer, Events), init: DataChannelInit) -> Link {
    let (peers, mut events) = ([from.0, to.0], [from.1, to.1]);
    let ours = peers[0].create_data_channel("load", init).await.unwrap();
    signal(&peers, &mut events).await;
    let theirs = next_channel(&mut events[1]).await;
    Link {
        peers,
        events,
        channels: [ours, theirs],
    }
}

pub(crate) async fn link(from: &DriverHandle, to: &DriverHandle) -> Link {
    let config = Configuration::default;
    pair(
        from.peer(config()).await.unwrap(),
        to.peer(config()).await.unwrap(),
        DataChannelInit::default(),
    )
    .await
}

/// SCTP's packet size; 0 before there is an association.
pub(crate) async fn mtu(peer: &Peer) -> u64 {
    let of = |entry: &Stats| match entry {
        Stats::Transport(transport) => transport.mtu,
        _ => None,
    };
    peer.with(move |pc, now| pc.stats(now).entries.iter().find_map(of))
        .await
        .unwrap()
        .unwrap_or_default()
}
