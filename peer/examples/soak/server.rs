//! The servers' ends: one loop, one port. Sends every message back, in order or not at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use tincan_peer::driver::RemoteTrack;
use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent,
};
use tincan_peer::{
    Certificate, Configuration, DtlsTransportState, Event, PeerConnectionState, SessionDescription,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Failure;
use crate::report::Tally;

/// A client that wants in.
pub(crate) struct Call {
    pub(crate) offer: SessionDescription,
    pub(crate) answer: oneshot::Sender<SessionDescription>,
}

pub(crate) async fn run(
    mut calls: mpsc::Receiver<Call>,
    ready: SyncSender<DriverHandle>,
    closing: watch::Receiver<bool>,
    tally: Arc<Tally>,
) -> Result<(), Failure> {
    let config = DriverConfig {
        udp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        ..DriverConfig::default()
    };
    let driver = Driver::bind(config)?;
    let handle = driver.handle();
    ready.send(handle.clone())?;
    let running = tokio::spawn(driver.run());
    let configuration = Configuration {
        certificates: vec![Certificate::generate(std::time::SystemTime::now())?],
        ..Configuration::default()
    };
    while let Some(call) = calls.recv().await {
        let accepted = accept(&handle, configuration.clone(), call, &closing, &tally);
        if let Err(error) = accepted.await {
            tally.fail(&format!("a call was not accepted: {error}"));
        }
    }
    running.await?;
    Ok(())
}

async fn accept(
    handle: &DriverHandle,
    configuration: Configuration,
    call: Call,
    closing: &watch::Receiver<bool>,
    tally: &Arc<Tally>,
) -> Result<(), Failure> {
    let (peer, mut events) = handle.peer(configuration).await?;
    peer.set_remote_description(call.offer).await?;
    peer.set_local_description(None).await?;
    let mut early = Vec::new();
    let answer = peer
        .gathered(&mut events, |event| early.push(event))
        .await?;
    // A client that has gone meanwhile will call again.
    let _ = call.answer.send(answer);
    let attended = attend(peer, events, early, closing.clone(), tally.clone());
    tokio::spawn(attended);
    Ok(())
}

async fn attend(
    peer: Peer,
    mut events: Events,
    early: Vec<PeerEvent>,
    mut closing: watch::Receiver<bool>,
    tally: Arc<Tally>,
) {
    let mut early = early.into_iter();
    let mut open = true;
    loop {
        let event = match early.next() {
            Some(event) => Some(event),
            None => tokio::select! {
                event = events.next() => event,
                // It is over: those who are not known to be dead are not waited for.
                _ = closing.changed(), if open => {
                    open = false;
                    peer.close();
                    continue;
                }
            },
        };
        match event {
            Some(PeerEvent::DataChannel(channel)) => {
                tokio::spawn(echo(channel, tally.clone()));
            }
            Some(PeerEvent::Track(track)) => {
                tokio::spawn(listen(track, tally.clone()));
            }
            // The client said goodbye, or was silent for too long.
            Some(PeerEvent::Event(
                Event::ConnectionState(PeerConnectionState::Failed | PeerConnectionState::Closed)
                | Event::DtlsState(DtlsTransportState::Closed),
            )) => peer.close(),
            Some(_) => {}
            None => return,
        }
    }
}

async fn echo(mut channel: DataChannel, tally: Arc<Tally>) {
    let mut expected = 0u32;
    while let Some(message) = channel.recv().await {
        let number = message.as_bytes().first_chunk::<4>();
        if number != Some(&expected.to_be_bytes()) {
            tally.fail(&format!("{number:?} came where {expected} was due"));
        }
        expected += 1;
        if channel.send(message).await.is_err() {
            return;
        }
    }
}

async fn listen(mut track: RemoteTrack, tally: Arc<Tally>) {
    while let Some(packet) = track.recv().await {
        tally.media_received.fetch_add(1, Ordering::Relaxed);
        if let Some(sent) = packet.payload.first_chunk::<8>() {
            tally.media.record(tally.since(u64::from_be_bytes(*sent)));
        }
    }
}
