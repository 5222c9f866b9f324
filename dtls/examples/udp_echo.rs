//! A DTLS peer over UDP: `udp_echo server ADDR` echoes what it gets,
//! `udp_echo client ADDR` says hello and prints the answer. Any certificate is
//! accepted: this is for trying the crate against other programs.
//!
//! Third argument: `1.2`, `1.3` or `both`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{
    Certificate, ClientAuth, Config, Connection, Event, Role, SrtpProfile, Verification, Version,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, role, address, rest @ ..] = arguments.as_slice() else {
        return Err("usage: udp_echo client|server ADDR [1.2|1.3|both]".into());
    };
    let role = if role == "client" {
        Role::Client
    } else {
        Role::Server
    };
    let (oldest, newest) = match rest.first().map(String::as_str) {
        Some("1.2") => (Version::Dtls12, Version::Dtls12),
        Some("1.3") => (Version::Dtls13, Version::Dtls13),
        _ => (Version::Dtls12, Version::Dtls13),
    };
    let config = Config::builder()
        .certificate(Certificate::generate(SystemTime::now())?)
        .versions(oldest, newest)
        .verification(Verification::Any)
        .client_auth(ClientAuth::Request)
        .srtp_profiles(vec![
            SrtpProfile::AeadAes128Gcm,
            SrtpProfile::AesCm128HmacSha1_80,
        ])
        .build()?;
    let socket = match role {
        Role::Client => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(address)?;
            socket
        }
        Role::Server => UdpSocket::bind(address)?,
    };
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_nanos();
    let mut rng = StdRng::seed_from_u64(seed as u64);
    let mut connection = Connection::new(config, role, Instant::now(), &mut rng)?;
    let mut peer = None;
    let started = Instant::now();
    let mut buffer = [0; 65_536];
    let mut received = 0;
    loop {
        let now = Instant::now();
        while let Some(event) = connection.poll_event() {
            println!("{event:?}");
            match event {
                Event::Connected { .. } => {
                    let mut key = [0; 60];
                    connection.export_keying_material("EXTRACTOR-dtls_srtp", None, &mut key)?;
                    let hex: String = key.iter().map(|octet| format!("{octet:02X}")).collect();
                    println!("exported {hex}");
                    if role == Role::Client {
                        send(&socket, None, &mut connection, b"hello\n")?;
                    }
                }
                Event::Closed(_) => {
                    let mut out = Vec::new();
                    while connection.poll_transmit(now, &mut out).is_some() {
                        transmit(&socket, peer, &out)?;
                        out.clear();
                    }
                    return Ok(());
                }
                _ => (),
            }
        }
        while let Some(data) = connection.poll_data() {
            println!("data {}", String::from_utf8_lossy(&data));
            received += 1;
            match role {
                Role::Server => send(&socket, peer, &mut connection, &data)?,
                Role::Client if received == 1 => connection.close(now),
                Role::Client => (),
            }
        }
        let mut out = Vec::new();
        while connection.poll_transmit(now, &mut out).is_some() {
            transmit(&socket, peer, &out)?;
            out.clear();
        }
        if started.elapsed() > Duration::from_secs(20) {
            return Err("timed out".into());
        }
        let wait = connection
            .poll_timeout()
            .map_or(Duration::from_millis(100), |at| {
                at.saturating_duration_since(now)
            })
            .clamp(Duration::from_millis(1), Duration::from_millis(100));
        socket.set_read_timeout(Some(wait))?;
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if role == Role::Server {
                peer = Some(from);
            }
            let datagram = buffer.get(..length).unwrap_or_default();
            connection.handle_input(Instant::now(), BytesMut::from(datagram))?;
        }
        let now = Instant::now();
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
    }
}

fn send(
    socket: &UdpSocket,
    peer: Option<std::net::SocketAddr>,
    connection: &mut Connection,
    payload: &[u8],
) -> Result<(), Box<dyn Error>> {
    let mut out = vec![0; connection.headroom()];
    out.extend_from_slice(payload);
    connection.seal_in_place(&mut out, 0)?;
    transmit(socket, peer, &out)
}

fn transmit(
    socket: &UdpSocket,
    peer: Option<std::net::SocketAddr>,
    datagram: &[u8],
) -> Result<(), Box<dyn Error>> {
    match peer {
        Some(peer) => socket.send_to(datagram, peer)?,
        None => socket.send(datagram)?,
    };
    Ok(())
}
