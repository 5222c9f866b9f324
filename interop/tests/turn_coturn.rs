//! Two whole peers that may use nothing but relayed candidates, through coturn: by UDP, TCP and TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tincan_peer::driver::{Driver, DriverConfig, Events, Peer, PeerEvent, TlsRoots};
use tincan_peer::stats::Stats;
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Event, IceServer, IceTransportPolicy, Kind, Message,
    PeerConnectionState, RtpPacket, TransceiverInit,
};

/// coturn starts in about a second; everything else takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

struct Coturn {
    child: Child,
    folder: PathBuf,
    port: u16,
    tls_port: u16,
    pem: String,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Coturn {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let (port, tls_port) = (free_port(), free_port());
        let folder = std::env::temp_dir().join(format!("tincan-coturn-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let pem = made.cert.pem();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, &pem).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let child = Command::new("turnserver")
            .args([
                "-n",
                "--no-cli",
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
            ])
            .args([
                "--lt-cred-mech",
                "--user=alice:wonderland",
                "--realm=tincan.test",
            ])
            .args([
                "--allow-loopback-peers",
                "--no-dtls",
                "--log-file=stdout",
                "--simple-log",
            ])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", cert.display()))
            .arg(format!("--pkey={}", key.display()))
            .arg(format!("--pidfile={}", folder.join("pid").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: turnserver can't be started: {error}");
                let _ = std::fs::remove_dir_all(&folder);
                return None;
            }
        };
        let coturn = Self {
            child,
            folder,
            port,
            tls_port,
            pem,
        };
        let begin = Instant::now();
        for port in [port, tls_port] {
            let addr = SocketAddr::from(([127, 0, 0, 1], port));
            while TcpStream::connect(addr).is_err() {
                assert!(begin.elapsed() < PATIENCE, "coturn does not listen");
                std::thread::yield_now();
            }
        }
        Some(coturn)
    }
}

/// Connects two peers by this URL alone, sends data both ways and media one way, and looks at the pair they chose.
async fn relays(coturn: &Coturn, url: String) {
    let driver = Driver::bind(DriverConfig {
        // One UDP port for both: what goes to the TURN server needs sockets of its own.
        port_per_peer: false,
        tls_roots: TlsRoots::Pem(coturn.pem.clone()),
        ..DriverConfig::loopback()
    })
    .unwrap();
    let handle = driver.handle();
    let running = tokio::spawn(driver.run());
    let config = Configuration {
        ice_servers: vec![IceServer {
            urls: vec![url.clone()],
            username: Some("alice".into()),
            credential: Some("wonderland".into()),
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
    let kinds = report.entries.iter().find_map(|entry| {
        let Stats::Transport(transport) = entry else {
            return None;
        };
        let pair = report.get(transport.selected_candidate_pair_id.as_ref()?)?;
        let Stats::CandidatePair(pair) = pair else {
            return None;
        };
        let kind = |id: &str| match report.get(id)? {
            Stats::LocalCandidate(c) => Some(c.candidate_type.clone()),
            Stats::RemoteCandidate(c) => Some(c.candidate_type.clone()),
            _ => None,
        };
        Some((
            kind(&pair.local_candidate_id)?,
            kind(&pair.remote_candidate_id)?,
        ))
    });
    kinds.expect("no pair is selected")
}

#[tokio::test]
async fn peers_talk_through_coturn_by_udp_tcp_and_tls() {
    let Some(coturn) = Coturn::start() else {
        return;
    };
    let (port, tls) = (coturn.port, coturn.tls_port);
    for url in [
        format!("turn:127.0.0.1:{port}"),
        format!("turn:localhost:{port}?transport=tcp"),
        format!("turns:localhost:{tls}"),
    ] {
        let done = tokio::time::timeout(PATIENCE, relays(&coturn, url.clone())).await;
        done.unwrap_or_else(|_| panic!("{url}: not done"));
    }
}
