//! coturn's client against our server, as the example runs it on sockets.
//! Skips where it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../examples/turn-server/relay/mod.rs"]
#[allow(dead_code)]
mod relay;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use relay::{Accounts, Listeners, RelayAddresses, Relaying};
use tincan_stun::credentials::RestSecret;
use tincan_stun::turn::server::{Config, PeerPolicy, RestUsers, Users};
use tokio::process::Command;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

fn certificate() -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let chain = vec![made.cert.der().clone()];
    Arc::new(
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap(),
    )
}

async fn server(accounts: Accounts) -> Relaying {
    let config = Config::new("tincan.test")
        .peers(PeerPolicy::new().allow_loopback())
        .mobility(true)
        .tcp_relay(true);
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listeners = Listeners {
        udp: vec![any],
        tcp: vec![any],
        tls: Some((vec![any], certificate())),
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

/// Runs turnutils_uclient and wants every message back; `false`: not installed.
async fn uclient(relaying: &Relaying, kind: &str, flags: &[&str]) -> bool {
    let port = relaying
        .listening()
        .iter()
        .find(|(k, _)| *k == kind)
        .unwrap()
        .1
        .port();
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
            return false;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("Total lost packets 0 (0.000000%)"),
        "{kind} {flags:?}: {text}"
    );
    assert!(
        text.contains("tot_send_msgs=40, tot_recv_msgs=40"),
        "{kind} {flags:?}: {text}"
    );
    true
}

const ALICE: [&str; 4] = ["-u", "alice", "-w", "wonderland"];

async fn relays(kind: &str, flags: &[&str]) {
    let relaying = server(alice()).await;
    let flags: Vec<&str> = ALICE.iter().chain(flags).copied().collect();
    if uclient(&relaying, kind, &flags).await {
        let stats = relaying.stats();
        assert!(
            stats.from_clients.0 >= 40 && stats.malformed == 0,
            "{stats:?}"
        );
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
async fn with_time_limited_credentials() {
    let secret = RestSecret::new(b"north by northwest");
    let relaying = server(Accounts::Rest(RestUsers::new(secret, SystemTime::now()))).await;
    uclient(
        &relaying,
        "udp",
        &["-u", "alice", "-W", "north by northwest"],
    )
    .await;
}
