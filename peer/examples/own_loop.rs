//! No driver at all: two `PeerConnection`s, each on a thread with one `std` socket, and nothing of tokio. What a loop of
//! your own has to do is `Loop::step`: send what there is, wait for a datagram or the next timer, hand it over, take
//! the news.
//!
//! ```text
//! cargo run --release -p tincan-peer --no-default-features --example own_loop
//! ```

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::{
    Configuration, DataChannelInit, Ecn, Event, HostProtocol, LocalAddress, Message,
    PeerConnection, Protocol, Received, SessionDescription,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection with its socket.
struct Loop {
    connection: PeerConnection,
    socket: UdpSocket,
    out: Vec<u8>,
}

impl Loop {
    fn new() -> Result<Self, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // Keys come from the system; this seeds names, ports and timers only.
        let mut rng = StdRng::seed_from_u64(
            Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()),
        );
        let now = Instant::now();
        let mut connection = PeerConnection::new(Configuration::default(), now, &mut rng)?;
        let local = LocalAddress {
            addr: socket.local_addr()?,
            transport: HostProtocol::Udp,
        };
        connection.add_local_address(now, local);
        Ok(Self {
            connection,
            socket,
            out: Vec::new(),
        })
    }

    /// One round; returns one piece of news, if there is any.
    fn step(&mut self) -> Result<Option<Event>, Failure> {
        let now = Instant::now();
        // One datagram at a time: with GSO at hand ask for more and send them in one call.
        while let Some(transmit) = self.connection.poll_transmit(now, &mut self.out, 1) {
            // An error is the path's: ICE finds out by itself.
            let _ = self
                .socket
                .send_to(&self.out[..transmit.len], transmit.remote);
            self.out.clear();
        }
        if let Some(event) = self.connection.poll_event() {
            return Ok(Some(event));
        }
        let wait = match self.connection.poll_timeout() {
            Some(at) => at.saturating_duration_since(now),
            None => Duration::from_secs(1),
        };
        // A socket takes zero for "for ever".
        self.socket
            .set_read_timeout(Some(wait.max(Duration::from_micros(100))))?;
        // A buffer of its own for each datagram: decryption happens in place, messages are slices of it.
        let mut datagram = BytesMut::zeroed(2048);
        match self.socket.recv_from(&mut datagram) {
            Ok((len, remote)) => {
                datagram.truncate(len);
                let received = Received {
                    local: self.socket.local_addr()?,
                    remote,
                    transport: Protocol::Udp,
                    ecn: Ecn::NotEct,
                };
                self.connection
                    .handle_input(Instant::now(), received, datagram);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        if self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now);
        }
        Ok(None)
    }
}

fn main() -> Result<(), Failure> {
    // Signalling: two pipes.
    let (to_bob, from_alice) = channel();
    let (to_alice, from_bob) = channel();
    let bob = std::thread::spawn(move || bob(&from_alice, &to_alice));
    alice(&to_bob, &from_bob)?;
    bob.join().map_err(|_| "bob panicked")?
}

fn alice(
    signal: &Sender<SessionDescription>,
    answers: &Receiver<SessionDescription>,
) -> Result<(), Failure> {
    let mut alice = Loop::new()?;
    let now = Instant::now();
    let chat = alice
        .connection
        .create_data_channel(now, "chat", DataChannelInit::default())?;
    alice.connection.set_local_description(now, None)?;
    let offer = alice.connection.local_description().ok_or("no offer")?;
    signal.send(offer)?;
    let answer = answers.recv()?;
    alice
        .connection
        .set_remote_description(Instant::now(), answer)?;
    loop {
        match alice.step()? {
            Some(Event::ChannelOpen(_)) => {
                let hello = Message::text("hello, bob");
                alice.connection.send(Instant::now(), chat, hello)?;
            }
            Some(Event::ChannelMessage(_, message)) => {
                println!("alice got: {}", message.as_text().unwrap_or_default());
                alice.connection.close(Instant::now());
                // What closing has to say still goes out.
                alice.step()?;
                return Ok(());
            }
            _ => {}
        }
    }
}

fn bob(
    offers: &Receiver<SessionDescription>,
    signal: &Sender<SessionDescription>,
) -> Result<(), Failure> {
    let mut bob = Loop::new()?;
    let offer = offers.recv()?;
    let now = Instant::now();
    bob.connection.set_remote_description(now, offer)?;
    bob.connection.set_local_description(now, None)?;
    let answer = bob.connection.local_description().ok_or("no answer")?;
    signal.send(answer)?;
    loop {
        match bob.step()? {
            Some(Event::ChannelMessage(chat, message)) => {
                println!("bob got: {}", message.as_text().unwrap_or_default());
                let answer = Message::text("hello, alice");
                bob.connection.send(Instant::now(), chat, answer)?;
            }
            // Alice said goodbye.
            Some(Event::DtlsState(tincan_peer::DtlsTransportState::Closed)) => return Ok(()),
            _ => {}
        }
    }
}
