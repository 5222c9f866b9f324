//! coturn's client against our server, as the example runs it on sockets.
//! Skips where it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../examples/turn-server/relay/mod.rs"]
#[allow(dead_code)]
mod relay;
mod sockets;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use relay::{Accounts, Listeners, RelayAddresses, Relaying};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sockets::{Carrier, PATIENCE, tcp_relay_scenario, trusting};
use tincan_stun::attributes::{Data, Nonce, Realm, RequestedTransport, Username, XorPeerAddress};
use tincan_stun::credentials::RestSecret;
use tincan_stun::integrity::Key;
use tincan_stun::message::{Class, Message, Method, TransactionId, Writer};
use tincan_stun::turn::client;
use tincan_stun::turn::server::{Config, PeerPolicy, RestUsers, Users};
use tokio::net::UdpSocket;
use tokio::process::Command;

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn tls(made: &CertifiedKey<KeyPair>) -> Arc<rustls::ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Arc::new(
        rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap(),
    )
}

async fn server(accounts: Accounts, made: &CertifiedKey<KeyPair>) -> Relaying {
    let config = Config::new("tincan.test")
        .peers(PeerPolicy::new().allow_loopback())
        .mobility(true)
        .tcp_relay(true);
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listeners = Listeners {
        udp: vec![any],
        tcp: vec![any],
        tls: Some((vec![any], tls(made))),
    };
    let mut addresses = RelayAddresses::default();
    addresses.default_to_loopback();
    Relaying::start(config, accounts, listeners, addresses)
        .await
        .unwrap()
}

fn alice() -> Accounts {
    let mut users = Users::new("tincan.test");
    users.add("alice", "wonderland");
    Accounts::Fixed(users)
}

fn port(relaying: &Relaying, kind: &str) -> SocketAddr {
    let found = relaying.listening().iter().find(|(k, _)| *k == kind);
    found.unwrap().1
}

/// Runs turnutils_uclient and wants every message back; `false`: not installed. What it sends by UDP it sends once, so that
/// a full buffer of a socket loses it: that may not happen three times.
async fn uclient(relaying: &Relaying, kind: &str, flags: &[&str]) -> bool {
    let mut tries = 3;
    loop {
        let Some(text) = run(relaying, kind, flags).await else {
            return false;
        };
        tries -= 1;
        let whole = text.contains("Total lost packets 0 (0.000000%)")
            && text.contains("tot_send_msgs=40, tot_recv_msgs=40");
        if whole {
            return true;
        }
        assert!(kind == "udp" && tries > 0, "{kind} {flags:?}: {text}");
    }
}

/// Runs turnutils_uclient; what it printed, or nothing where it is not installed.
async fn run(relaying: &Relaying, kind: &str, flags: &[&str]) -> Option<String> {
    let port = port(relaying, kind).port();
    let run = Command::new("turnutils_uclient")
        .args(flags)
        // Client to client, no RTCP, two of them, twenty messages each.
        .args(["-y", "-c", "-m", "2", "-n", "20", "-z", "2", "-p"])
        .args([&port.to_string(), "127.0.0.1"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("ends")
    {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: turnutils_uclient cannot be started: {error}");
            return None;
        }
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const ALICE: [&str; 4] = ["-u", "alice", "-w", "wonderland"];

async fn relays(kind: &str, flags: &[&str]) {
    let relaying = server(alice(), &certificate()).await;
    let flags: Vec<&str> = ALICE.iter().chain(flags).copied().collect();
    if uclient(&relaying, kind, &flags).await {
        let stats = relaying.stats();
        // What passes between two TCP connections is not the machine's to count.
        let counted = stats.from_clients.0 >= 40 || flags.contains(&"-T");
        assert!(counted && stats.malformed == 0, "{stats:?}");
    }
}

#[tokio::test]
async fn over_udp_with_channels() {
    relays("udp", &[]).await;
}

#[tokio::test]
async fn over_udp_with_indications_mobility_and_extra_requests() {
    relays("udp", &["-s", "-M", "-G"]).await;
}

#[tokio::test]
async fn over_tcp() {
    relays("tcp", &["-t"]).await;
}

#[tokio::test]
async fn over_tls() {
    relays("tls", &["-t", "-S"]).await;
}

#[tokio::test]
async fn tcp_between_peers_over_tcp() {
    relays("tcp", &["-t", "-T"]).await;
}

#[tokio::test]
async fn tcp_between_peers_over_tls() {
    relays("tls", &["-t", "-S", "-T"]).await;
}

/// Our client and our server, both on sockets.
#[tokio::test(flavor = "multi_thread")]
async fn tcp_between_peers_with_our_client() {
    let made = certificate();
    let relaying = server(alice(), &made).await;
    for (kind, carrier) in [
        ("tcp", Carrier::Tcp),
        ("tls", Carrier::Tls(trusting(&made))),
    ] {
        let config = client::Config::new(port(&relaying, kind), "alice", "wonderland");
        tokio::task::spawn_blocking(move || tcp_relay_scenario(config, carrier))
            .await
            .unwrap();
    }
}

/// Whoever sends as soon as there is a relay: the runtime had no look at the relay's socket yet.
#[tokio::test]
async fn what_comes_with_the_allocation_is_relayed() {
    let relaying = server(alice(), &certificate()).await;
    let server = port(&relaying, "udp");
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peers = XorPeerAddress(peer.local_addr().unwrap());
    fn allocate(out: &mut Vec<u8>) -> Writer<'_> {
        let id = TransactionId::new([1; 12]);
        Writer::new(out, Class::Request, Method::ALLOCATE, id).push(&RequestedTransport::UDP)
    }

    let mut out = Vec::new();
    allocate(&mut out).finish().unwrap();
    ours.send_to(&out, server).await.unwrap();
    let mut challenge = [0; 2000];
    let answered = tokio::time::timeout(PATIENCE, ours.recv(&mut challenge));
    let len = answered.await.expect("no challenge").unwrap();
    let challenge = Message::parse(&challenge[..len]).unwrap();
    let nonce: Nonce<'_> = challenge.get().unwrap();

    let key = Key::long_term_md5("alice", "tincan.test", "wonderland");
    let signed = |w: Writer<'_>| {
        let w = w.push(&Username("alice")).push(&Realm("tincan.test"));
        w.push(&nonce).integrity(&key).finish().unwrap();
    };
    let mut asked = [Vec::new(), Vec::new(), Vec::new()];
    signed(allocate(&mut asked[0]));
    let id = TransactionId::new([2; 12]);
    let permit = Writer::new(&mut asked[1], Class::Request, Method::CREATE_PERMISSION, id);
    signed(permit.push(&peers));
    let id = TransactionId::new([3; 12]);
    Writer::new(&mut asked[2], Class::Indication, Method::SEND, id)
        .push(&peers)
        .push(&Data(b"at once"))
        .finish()
        .unwrap();
    // All three in the socket's buffer before the server has its turn.
    for message in &asked {
        ours.try_send_to(message, server).unwrap();
    }
    let mut buffer = [0; 2000];
    let arrived = tokio::time::timeout(PATIENCE, peer.recv(&mut buffer));
    let len = arrived.await.expect("nothing is relayed").unwrap();
    assert_eq!(&buffer[..len], b"at once");
}

#[tokio::test]
async fn with_time_limited_credentials() {
    let secret = RestSecret::new(b"north by northwest");
    let users = RestUsers::new(secret, SystemTime::now());
    let relaying = server(Accounts::Rest(users), &certificate()).await;
    uclient(
        &relaying,
        "udp",
        &["-u", "alice", "-W", "north by northwest"],
    )
    .await;
}
