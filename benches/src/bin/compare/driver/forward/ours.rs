//! Our forwarder: one loop on one port, and a task beside it that gives each packet to all subscribers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tincan_peer::driver::{
    Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent, RemoteTrack, RtpSender,
};
use tincan_peer::{Configuration, Direction, SessionDescription};

use super::Totals;
use crate::driver::ours::runtime;

pub(super) struct Forwarder {
    runtime: tokio::runtime::Runtime,
    handle: DriverHandle,
    peers: Vec<Peer>,
    senders: Vec<RtpSender>,
    track: Option<RemoteTrack>,
}

impl Forwarder {
    pub(super) fn new(offload: bool) -> Self {
        let runtime = runtime();
        let handle = runtime.block_on(async {
            let config = DriverConfig {
                port_per_peer: false,
                offload,
                ..DriverConfig::loopback()
            };
            let driver = Driver::bind(config).expect("a socket");
            let handle = driver.handle();
            tokio::spawn(driver.run());
            handle
        });
        Self {
            runtime,
            handle,
            peers: Vec::new(),
            senders: Vec::new(),
            track: None,
        }
    }
}

async fn next_track(events: &mut Events) -> RemoteTrack {
    loop {
        match events.next().await {
            Some(PeerEvent::Track(track)) => return track,
            Some(_) => {}
            None => panic!("the peer ended"),
        }
    }
}

impl super::Forwarder for Forwarder {
    fn answer(&mut self, offer: &str, publishes: bool) -> String {
        let Self {
            runtime,
            handle,
            peers,
            senders,
            track,
        } = self;
        runtime.block_on(async {
            let (peer, mut events) = handle.peer(Configuration::default()).await.expect("a peer");
            peer.set_remote_description(SessionDescription::offer(offer))
                .await
                .expect("set");
            if publishes {
                *track = Some(next_track(&mut events).await);
            } else {
                // The transceiver that the offer made: one of our own would need an offer of ours.
                let id = peer
                    .with(|connection, _| {
                        let id = connection.transceivers().next().expect("a transceiver").id;
                        connection
                            .set_direction(id, Direction::SendOnly)
                            .expect("a direction");
                        id
                    })
                    .await
                    .expect("a peer");
                senders.push(peer.sender(id));
            }
            let answer = peer.answer_with_candidates(&mut events).await;
            tokio::spawn(async move { while events.next().await.is_some() {} });
            peers.push(peer);
            answer.expect("an answer").sdp.to_string()
        })
    }

    fn totals(&self) -> Box<dyn Fn() -> Totals> {
        let handle = self.handle.clone();
        // The answer comes from the forwarder's thread; here one only waits for it.
        let runtime = runtime();
        Box::new(move || {
            let stats = runtime.block_on(handle.stats()).expect("stats");
            (
                stats.send_calls + stats.receive_calls,
                stats.datagrams_sent + stats.datagrams_received,
            )
        })
    }

    fn run(self, ended: &AtomicBool) {
        let Self {
            runtime,
            senders,
            track,
            peers: _peers,
            ..
        } = self;
        let mut track = track.expect("a publisher");
        runtime.block_on(async {
            tokio::spawn(async move {
                while let Some(packet) = track.recv().await {
                    for sender in &senders {
                        // What the loop has no room for is lost, and does not arrive.
                        let _ = sender.send(packet.clone());
                    }
                }
            });
            while !ended.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}
