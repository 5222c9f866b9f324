//! A TURN server inside the demo, and `GET /ice`: what pages put into `iceServers`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use serde_json::{Value, json};
use tincan_stun::credentials::RestSecret;
use tincan_stun::turn::server::{Config, PeerPolicy, RestUsers};

use crate::App;
use crate::relay::{Accounts, Listeners, RelayAddresses, Relaying};

/// How long what a page is given is good for.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A running server and the secret that makes names and passwords for it.
pub(crate) struct Turn {
    server: Relaying,
    secret: RestSecret,
    /// `None`: wherever the page came from.
    ip: Option<std::net::IpAddr>,
}

impl Turn {
    pub(crate) async fn start(addr: SocketAddr) -> std::io::Result<Self> {
        let secret = RestSecret::new(&rand::random::<[u8; 32]>());
        let mut addresses = RelayAddresses::default();
        let mut policy = PeerPolicy::new();
        // A relay on loopback reaches loopback and nothing else; one on other addresses must not reach into this host.
        if addr.ip().is_loopback() {
            policy = policy.allow_loopback();
        }
        if !addr.ip().is_unspecified() {
            addresses.bind(addr.ip());
        } else if let Some(ip) = outward() {
            addresses.bind(ip);
        }
        addresses.default_to_loopback();
        let udp = std::net::UdpSocket::bind(addr)?;
        // The same port for both.
        let addr = udp.local_addr()?;
        drop(udp);
        let listeners = Listeners {
            udp: vec![addr],
            tcp: vec![addr],
            tls: None,
        };
        let config = Config::new("tincan-demo")
            .software("tincan")
            .peers(policy)
            .families(addresses.has_ipv4(), addresses.has_ipv6());
        let users = Accounts::Rest(RestUsers::new(secret.clone(), SystemTime::now()));
        let server = Relaying::start(config, users, listeners, addresses).await?;
        Ok(Self {
            server,
            secret,
            ip: Some(addr.ip()).filter(|ip| !ip.is_unspecified()),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server
            .listening()
            .first()
            .map_or(0, |(_, addr)| addr.port())
    }

    /// Allocations that stand.
    pub(crate) fn allocations(&self) -> usize {
        self.server.stats().allocations
    }

    fn ice_server(&self, host: &str) -> Value {
        let host = self.ip.map_or(host.to_owned(), |ip| match ip {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        });
        let (name, password) = self.secret.issue(SystemTime::now(), LIFETIME, "page");
        let url = |transport| format!("turn:{host}:{}?transport={transport}", self.port());
        json!({ "urls": [url("udp"), url("tcp")], "username": name, "credential": *password })
    }
}

/// The address that this host has towards others; nothing is sent.
fn outward() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// `GET /ice`: `{"iceServers":[…]}`, empty without `--turn`.
pub(crate) async fn ice(State(app): State<App>, headers: HeaderMap) -> Json<Value> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host))
        .unwrap_or("127.0.0.1");
    let servers: Vec<Value> = app.turn.iter().map(|turn| turn.ice_server(host)).collect();
    Json(json!({ "iceServers": servers }))
}
