//! The driver and STUN and TURN servers: by UDP, TCP and TLS, by name and address, and what goes wrong with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, unreachable_pub)]
#[path = "../../stun/examples/turn-server/relay/mod.rs"]
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use relay::{Accounts, Listeners, RelayAddresses, Relaying};
use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent, TlsRoots,
};
use tincan_peer::{
    Configuration, DataChannelInit, Event, IceCandidateError, IceServer, IceTransportPolicy,
    Message,
};
use tincan_stun::turn::server::{Config, PeerPolicy, Users};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// For what takes milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

struct Turn {
    server: Relaying,
    /// The TLS certificate.
    pem: String,
}

impl Turn {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let any = || vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let mut users = Users::new("test");
        users.add("alice", "wonderland");
        let listeners = Listeners {
            udp: any(),
            tcp: any(),
            tls: Some((any(), Arc::new(tls))),
        };
        let mut addresses = RelayAddresses::default();
        addresses.default_to_loopback();
        let config = Config::new("test").peers(PeerPolicy::new().allow_loopback());
        let server = Relaying::start(config, Accounts::Fixed(users), listeners, addresses)
            .await
            .unwrap();
        Turn {
            server,
            pem: made.cert.pem(),
        }
    }

    fn port(&self, kind: &str) -> u16 {
        let found = self.server.listening().iter().find(|(k, _)| *k == kind);
        found.unwrap().1.port()
    }
}

fn server(url: String) -> IceServer {
    IceServer {
        urls: vec![url],
        username: Some("alice".into()),
        credential: Some("wonderland".into()),
    }
}

fn relayed(url: String) -> Configuration {
    Configuration {
        ice_servers: vec![server(url)],
        ice_transport_policy: IceTransportPolicy::Relay,
        ..Default::default()
    }
}

/// A driver with one UDP port for all.
fn start(config: DriverConfig) -> DriverHandle {
    let driver = Driver::bind(config).unwrap();
    let handle = driver.handle();
    tokio::spawn(driver.run());
    handle
}

fn shared() -> DriverConfig {
    DriverConfig {
        port_per_peer: false,
        ..DriverConfig::loopback()
    }
}

struct Pair {
    alice: Peer,
    /// Unread events stop a peer's receiving.
    _alice_events: Events,
    bob: Peer,
    bob_events: Events,
    channel: DataChannel,
    /// Bob's last candidate.
    told: tincan_peer::IceCandidate,
}

async fn pair(handles: [&DriverHandle; 2], config: Configuration) -> Pair {
    let [of_alice, of_bob] = handles;
    let (alice, mut alice_events) = of_alice.peer(config.clone()).await.unwrap();
    let (bob, mut bob_events) = of_bob.peer(config).await.unwrap();
    let init = DataChannelInit::default();
    let channel = alice.create_data_channel("chat", init).await.unwrap();
    let offer = alice
        .offer_with_candidates(&mut alice_events)
        .await
        .unwrap();
    bob.set_remote_description(offer).await.unwrap();
    bob.set_local_description(None).await.unwrap();
    let mut told = tincan_peer::IceCandidate::default();
    loop {
        match bob_events.next().await.expect("bob ended") {
            PeerEvent::Event(Event::IceCandidate(Some(candidate))) => told = candidate,
            PeerEvent::Event(Event::IceCandidate(None)) => break,
            _ => {}
        }
    }
    let answer = bob.local_description().await.unwrap().unwrap();
    alice.set_remote_description(answer).await.unwrap();
    Pair {
        alice,
        _alice_events: alice_events,
        bob,
        bob_events,
        channel,
        told,
    }
}

impl Pair {
    /// A message there and back.
    async fn echo(&mut self) {
        let echoed = async {
            self.channel.send(Message::text("hello")).await.unwrap();
            let mut theirs = loop {
                match self.bob_events.next().await.expect("bob ended") {
                    PeerEvent::DataChannel(channel) => break channel,
                    _ => continue,
                }
            };
            for n in 0..100usize {
                let message = Message::binary(vec![7; n * 300]);
                self.channel.send(message.clone()).await.unwrap();
                if n == 0 {
                    assert_eq!(theirs.recv().await.unwrap().as_text(), Some("hello"));
                }
                assert_eq!(theirs.recv().await.unwrap(), message);
                theirs.send(message.clone()).await.unwrap();
                assert_eq!(self.channel.recv().await.unwrap(), message);
            }
        };
        tokio::time::timeout(PATIENCE, echoed)
            .await
            .expect("no echo");
    }

    /// The type of the candidates that each end selected.
    async fn selected(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for peer in [&self.alice, &self.bob] {
            let report = peer.with(|pc, now| pc.stats(now)).await.unwrap();
            let (local, remote) = report.selected_candidates().expect("no pair selected");
            out.push((local.candidate_type.clone(), remote.candidate_type.clone()));
        }
        out
    }
}

/// Gathers, and gives the errors reported meanwhile.
async fn errors(handle: &DriverHandle, config: Configuration) -> Vec<IceCandidateError> {
    let (peer, mut events) = handle.peer(config).await.unwrap();
    let init = DataChannelInit::default();
    let _channel = peer.create_data_channel("chat", init).await.unwrap();
    peer.set_local_description(None).await.unwrap();
    let mut errors = Vec::new();
    let gathered = async {
        loop {
            match events.next().await.expect("the peer ended") {
                PeerEvent::Event(Event::IceCandidateError(error)) => errors.push(error),
                PeerEvent::Event(Event::IceCandidate(None)) => break,
                _ => {}
            }
        }
    };
    let gathered = tokio::time::timeout(PATIENCE, gathered).await;
    gathered.expect("gathering does not end");
    errors
}

async fn relays_by(url: impl Fn(&Turn) -> String) {
    let turn = Turn::start().await;
    let handle = start(DriverConfig {
        tls_roots: TlsRoots::Pem(turn.pem.clone()),
        ..shared()
    });
    let url = url(&turn);
    let mut pair = pair([&handle, &handle], relayed(url.clone())).await;
    pair.echo().await;
    let relay = ("relay".to_owned(), "relay".to_owned());
    assert_eq!(pair.selected().await, [relay.clone(), relay]);
    // Where the candidate comes from (W3C §4.8.1; RTCIceCandidateStats).
    let protocol = match &url {
        url if url.starts_with("turns:") => tincan_peer::Protocol::Tls,
        url if url.ends_with("transport=tcp") => tincan_peer::Protocol::Tcp,
        _ => tincan_peer::Protocol::Udp,
    };
    assert_eq!(pair.told.url.as_ref(), Some(&url));
    assert_eq!(pair.told.relay_protocol, Some(protocol));
    let report = pair.alice.with(|pc, now| pc.stats(now)).await.unwrap();
    let (local, remote) = report.selected_candidates().unwrap();
    assert_eq!(local.url.as_ref(), Some(&url));
    assert_eq!(local.relay_protocol.as_deref(), Some(protocol.as_str()));
    assert_eq!((&remote.url, &remote.relay_protocol), (&None, &None));
    let stats = turn.server.stats();
    assert!(stats.allocations >= 2, "{stats:?}");
    // What is closed is given back at once.
    drop(pair);
    let given_back = async {
        while turn.server.stats().allocations > 0 || handle.stats().await.unwrap().streams > 0 {
            tokio::task::yield_now().await;
        }
    };
    let given_back = tokio::time::timeout(PATIENCE, given_back).await;
    given_back.expect("allocations or connections stay");
}

#[tokio::test]
async fn two_peers_of_one_port_talk_through_relays_by_udp() {
    relays_by(|turn| format!("turn:127.0.0.1:{}", turn.port("udp"))).await;
}

#[tokio::test]
async fn relays_by_tcp_with_a_server_that_has_a_name() {
    relays_by(|turn| format!("turn:localhost:{}?transport=tcp", turn.port("tcp"))).await;
}

#[tokio::test]
async fn relays_by_tls() {
    relays_by(|turn| format!("turns:localhost:{}", turn.port("tls"))).await;
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_candidate_error_that_says_what_to_do() {
    let turn = Turn::start().await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let handle = start(DriverConfig {
        tls_roots: TlsRoots::Pem(other.cert.pem()),
        ..shared()
    });
    let mut other = another(&handle).await;
    let url = format!("turns:localhost:{}", turn.port("tls"));
    let errors = errors(&handle, relayed(url.clone())).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].code, &errors[0].url), (701, &url));
    assert!(errors[0].text.contains("certificate"), "{errors:?}");
    // Nobody else has noticed anything.
    other.echo().await;
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let turn = Turn::start().await;
    let handle = start(DriverConfig {
        tls_roots: TlsRoots::Pem(turn.pem.clone()),
        ..shared()
    });
    let errors = errors(
        &handle,
        relayed(format!("turns:127.0.0.1:{}", turn.port("tls"))),
    )
    .await;
    assert!(errors[0].text.contains("certificate"), "{errors:?}");
}

#[tokio::test]
async fn a_name_of_nobody_is_a_candidate_error() {
    let handle = start(shared());
    let mut other = another(&handle).await;
    // RFC 6761 §6.4: never exists; but some resolvers know every name.
    let found = tokio::task::spawn_blocking(|| {
        std::net::ToSocketAddrs::to_socket_addrs("nobody.invalid:3478").is_ok()
    });
    if found.await.unwrap() {
        println!("skipped: the resolver knows nobody.invalid");
        return;
    }
    let url = "turn:nobody.invalid:3478".to_owned();
    let errors = errors(&handle, relayed(url.clone())).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].code, &errors[0].url), (701, &url));
    assert!(errors[0].text.contains("nobody.invalid"), "{errors:?}");
    // Nobody else has noticed anything.
    other.echo().await;
}

#[tokio::test]
async fn a_refused_connection_is_a_candidate_error() {
    let handle = start(shared());
    // A port that is bound and does not listen.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    let errors = errors(&handle, relayed(format!("turn:{addr}?transport=tcp"))).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].text.contains("refused"), "{errors:?}");
    assert_eq!(errors[0].code, 701);
}

#[tokio::test]
async fn a_wrong_password_and_urls_of_no_use_are_candidate_errors() {
    let turn = Turn::start().await;
    let handle = start(shared());
    let mut config = relayed(format!("turn:127.0.0.1:{}", turn.port("udp")));
    config.ice_servers[0].credential = Some("wrong".into());
    let refused = errors(&handle, config).await;
    assert_eq!(refused[0].code, 401, "{refused:?}");
    for url in ["stuns:127.0.0.1", "turns:127.0.0.1?transport=udp"] {
        let errors = errors(&handle, relayed(url.to_owned())).await;
        assert_eq!((errors.len(), errors[0].code), (1, 701), "{errors:?}");
    }
}

#[tokio::test]
async fn many_peers_of_one_port_ask_one_stun_server() {
    let turn = Turn::start().await;
    let handle = start(shared());
    let config = Configuration {
        ice_servers: vec![IceServer {
            urls: vec![format!("stun:localhost:{}", turn.port("udp"))],
            ..Default::default()
        }],
        ..Default::default()
    };
    let all = (0..20).map(|_| errors(&handle, config.clone()));
    // A response that went to another peer would leave a question unanswered, which is an error after 10 s.
    for errors in futures_util::future::join_all(all).await {
        assert_eq!(errors, []);
    }
}

/// A peer of this loop with one of another.
async fn another(handle: &DriverHandle) -> Pair {
    let elsewhere = start(DriverConfig::loopback());
    pair([handle, &elsewhere], Configuration::default()).await
}
