//! Two whole peers that may use nothing but relayed candidates, through coturn: by UDP, TCP and TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::time::Duration;

use tincan_interop::coturn::{Coturn, PASSWORD};
use tincan_peer::driver::{Driver, DriverConfig, Events, Peer, PeerEvent, TlsRoots};
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Event, IceServer, IceTransportPolicy, Kind, Message,
    PeerConnectionState, RtpPacket, TransceiverInit,
};

/// coturn starts in about a second; everything else takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects two peers by this URL alone, sends data both ways and media one way, and looks at the pair they chose.
async fn relays(coturn: &Coturn, url: String) {
    let driver = Driver::bind(DriverConfig {
        // One UDP port for both: what goes to the TURN server needs sockets of its own.
        port_per_peer: false,
        tls_roots: TlsRoots::Pem(coturn.certificate.cert.pem()),
        ..DriverConfig::loopback()
    })
    .unwrap();
    let handle = driver.handle();
    let running = tokio::spawn(driver.run());
    let config = Configuration {
        ice_servers: vec![IceServer {
            urls: vec![url.clone()],
            username: Some("alice".into()),
            credential: Some(PASSWORD.into()),
        }],
        ice_transport_policy: IceTransportPolicy::Relay,
        ..Default::default()
    };
    let (alice, mut alice_events) = handle.peer(config.clone()).await.unwrap();
    let (bob, mut bob_events) = handle.peer(config).await.unwrap();
    let init = DataChannelInit::default();
    let mut channel = alice.create_data_channel("chat", init).await.unwrap();
    let send = TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    let audio = alice.add_transceiver(Kind::Audio, send).await.unwrap();
    let offer = alice
        .offer_with_candidates(&mut alice_events)
        .await
        .unwrap();
    assert!(offer.sdp.contains("typ relay"), "{url}: {}", offer.sdp);
    assert!(!offer.sdp.contains("typ host"), "{url}: {}", offer.sdp);
    bob.set_remote_description(offer).await.unwrap();
    let answer = bob.answer_with_candidates(&mut bob_events).await.unwrap();
    alice.set_remote_description(answer).await.unwrap();

    connected(&mut alice_events).await;
    let (mut theirs, mut track) = arrivals(&mut bob_events).await;
    for n in 0..50usize {
        let message = Message::binary(vec![7; n * 1000]);
        channel.send(message.clone()).await.unwrap();
        assert_eq!(theirs.recv().await.unwrap(), message);
        theirs.send(message.clone()).await.unwrap();
        assert_eq!(channel.recv().await.unwrap(), message);
    }
    // The first packets may be lost: channels of coturn's are bound meanwhile.
    let payload_type = alice.with(move |pc, _| {
        let sends = pc.transceivers().find(|t| t.id == audio);
        sends.and_then(|t| t.send_codecs.first().map(|c| c.payload_type))
    });
    let payload_type = payload_type.await.unwrap().unwrap();
    let sender = alice.sender(audio);
    let mut sequence = 0u16;
    loop {
        sequence += 1;
        let time = u32::from(sequence) * 960;
        let packet = RtpPacket::new(payload_type, sequence, time, false, vec![9; 100]);
        sender.send(packet).unwrap();
        let arrived = tokio::time::timeout(Duration::from_millis(20), track.recv()).await;
        if let Ok(Some(packet)) = arrived {
            assert_eq!(packet.payload.as_ref(), [9; 100]);
            break;
        }
        assert!(sequence < 1000, "{url}: no media");
    }
    for peer in [&alice, &bob] {
        assert_eq!(
            selected(peer).await,
            ("relay".into(), "relay".into()),
            "{url}"
        );
    }
    handle.shutdown();
    running.await.unwrap();
}

async fn connected(events: &mut Events) {
    loop {
        if let PeerEvent::Event(Event::ConnectionState(PeerConnectionState::Connected)) =
            events.next().await.unwrap()
        {
            return;
        }
    }
}

async fn arrivals(
    events: &mut Events,
) -> (
    tincan_peer::driver::DataChannel,
    tincan_peer::driver::RemoteTrack,
) {
    let (mut channel, mut track) = (None, None);
    loop {
        match events.next().await.unwrap() {
            PeerEvent::DataChannel(arrived) => channel = Some(arrived),
            PeerEvent::Track(arrived) => track = Some(arrived),
            _ => {}
        }
        if channel.is_some() && track.is_some() {
            return channel.zip(track).unwrap();
        }
    }
}

/// Types of the selected pair's candidates.
async fn selected(peer: &Peer) -> (String, String) {
    let report = peer.with(|pc, now| pc.stats(now)).await.unwrap();
    let (local, remote) = report.selected_candidates().expect("no pair is selected");
    (local.candidate_type.clone(), remote.candidate_type.clone())
}

#[tokio::test]
async fn peers_talk_through_coturn_by_udp_tcp_and_tls() {
    let Some(coturn) = Coturn::start(&[]).unwrap() else {
        return;
    };
    let (port, tls) = (coturn.addr.port(), coturn.tls.port());
    for url in [
        format!("turn:127.0.0.1:{port}"),
        format!("turn:localhost:{port}?transport=tcp"),
        format!("turns:localhost:{tls}"),
    ] {
        let done = tokio::time::timeout(PATIENCE, relays(&coturn, url.clone())).await;
        done.unwrap_or_else(|_| panic!("{url}: not done"));
    }
}
