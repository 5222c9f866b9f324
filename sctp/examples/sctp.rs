//! SCTP alone, over real UDP sockets: an echo server and a client with data channels, no DTLS below. (On the open
//! network put DTLS below it: RFC 8261. Alone it is for closed networks and for looking at packets.)
//!
//! ```text
//! cargo run --release -p tincan-sctp --example sctp                            # both in one process
//! cargo run --release -p tincan-sctp --example sctp -- server 127.0.0.1:9899
//! cargo run --release -p tincan-sctp --example sctp -- client 127.0.0.1:9899   # in another terminal
//! ```
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sctp::data_channel::{ChannelConfig, ChannelId, Config, Endpoint, Event, Message, Role};

/// Messages that the client sends.
const MESSAGES: usize = 1000;

/// An endpoint with its socket.
struct End {
    endpoint: Endpoint,
    socket: UdpSocket,
    remote: Option<SocketAddr>,
    out: Vec<u8>,
}

impl End {
    fn new(role: Role, socket: UdpSocket) -> Self {
        let config = Config {
            role,
            ..Config::default()
        };
        let mut rng = StdRng::from_rng(&mut rand::rng());
        let mut endpoint = Endpoint::new(config, Instant::now(), &mut rng);
        endpoint.connect(Instant::now());
        Self {
            endpoint,
            socket,
            remote: None,
            out: Vec::new(),
        }
    }

    /// Sends what there is, then waits for a packet or for the endpoint's next timer.
    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        while self.endpoint.poll_transmit(now, &mut self.out).is_some() {
            if let Some(remote) = self.remote {
                // A lost datagram is SCTP's business.
                let _ = self.socket.send_to(&self.out, remote);
            }
            self.out.clear();
        }
        let wait = self
            .endpoint
            .poll_timeout()
            .map_or(Duration::from_secs(1), |at| {
                at.saturating_duration_since(now)
            });
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1));
        self.socket.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 2000];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                self.remote.get_or_insert(from);
                let packet = Bytes::copy_from_slice(&buffer[..len]);
                self.endpoint.handle_input(Instant::now(), packet);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The far side is not there yet, or no more.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        }
        self.endpoint.handle_timeout(Instant::now());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let address = socket.local_addr()?;
            let server = std::thread::spawn(move || serve(socket).map_err(|e| e.to_string()));
            ask(address)?;
            server.join().map_err(|_| "the server panicked")??;
            Ok(())
        }
        ["server", address] => loop {
            serve(UdpSocket::bind(address)?)?;
        },
        ["client", address] => ask(address.parse()?),
        _ => Err("sctp [server ADDR:PORT | client ADDR:PORT]".into()),
    }
}

/// Sends everything back to one client, until it leaves.
fn serve(socket: UdpSocket) -> Result<(), Box<dyn Error>> {
    println!("server: on {}", socket.local_addr()?);
    let mut end = End::new(Role::Server, socket);
    let mut count = 0;
    loop {
        end.step()?;
        while let Some(event) = end.endpoint.poll_event() {
            match event {
                Event::Message { id, data, .. } => {
                    let back = Message::Text(data.into_bytes());
                    end.endpoint.send(Instant::now(), id, back)?;
                    count += 1;
                }
                Event::Closed { .. } => {
                    println!("server: {count} messages sent back");
                    return Ok(());
                }
                other => println!("server: {other:?}"),
            }
        }
    }
}

/// Sends on one channel and awaits every answer, in order.
fn ask(server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut end = End::new(Role::Client, UdpSocket::bind("0.0.0.0:0")?);
    end.remote = Some(server);
    let reliable = ChannelConfig {
        label: "reliable".into(),
        ..ChannelConfig::default()
    };
    let channel: ChannelId = end.endpoint.open(Instant::now(), reliable)?;
    let start = Instant::now();
    let (mut sent, mut back) = (0, 0);
    while back < MESSAGES {
        while sent < MESSAGES && sent < back + 64 {
            let text = Bytes::from(format!("message {sent}"));
            end.endpoint
                .send(Instant::now(), channel, Message::Text(text))?;
            sent += 1;
        }
        end.step()?;
        while let Some(event) = end.endpoint.poll_event() {
            match event {
                Event::Message { data, .. } => {
                    let expected = format!("message {back}");
                    if data.into_bytes() != expected.as_bytes() {
                        return Err("out of order".into());
                    }
                    back += 1;
                }
                other => println!("client: {other:?}"),
            }
        }
        if start.elapsed() > Duration::from_secs(30) {
            return Err("the server does not answer".into());
        }
    }
    println!(
        "client: {back} messages and their answers in {:.0?}",
        start.elapsed()
    );
    end.endpoint.close(Instant::now());
    let leave = Instant::now();
    while leave.elapsed() < Duration::from_millis(300) {
        end.step()?;
    }
    Ok(())
}
