//! A call in virtual time: sound both ways, a message a second, over a link that loses packets, for minutes, or for as long
//! as one likes:
//!
//! ```text
//! TINCAN_SECONDS=10000 cargo test --release -p tincan-peer --test virtual_call -- --nocapture
//! ```
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::stats::Stats;
use tincan_peer::*;
use tincan_sim::{Action, Datagram, HostId, LinkConfig, Loss, Network, Peer, Simulation};

const FRAME: Duration = Duration::from_millis(20);

/// One end: a connection on a host of the simulated network.
struct Caller {
    pc: PeerConnection,
    out: Vec<u8>,
    /// When the microphone gives the next frame, once it is on.
    next_frame: Option<Instant>,
    frames: u16,
    heard: u64,
    channel: Option<ChannelKey>,
    sent: u64,
    read: u64,
    /// Bytes of the longest datagram so far.
    longest: usize,
}

impl Caller {
    fn new(now: Instant, addr: std::net::SocketAddr, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut pc = PeerConnection::new(Configuration::default(), now, &mut rng).unwrap();
        let transport = HostProtocol::Udp;
        pc.add_local_address(now, LocalAddress { addr, transport });
        Caller {
            pc,
            out: Vec::new(),
            next_frame: None,
            frames: 0,
            heard: 0,
            channel: None,
            sent: 0,
            read: 0,
            longest: 0,
        }
    }

    fn speak(&mut self, now: Instant) {
        static SOUND: [u8; 80] = [7; 80];
        let audio = self.pc.transceivers().next().unwrap().id;
        let timestamp = u32::from(self.frames).wrapping_mul(960);
        let sound = Bytes::from_static(&SOUND);
        let packet = RtpPacket::new(111, self.frames, timestamp, self.frames == 0, sound);
        self.pc.send_rtp(now, audio, packet).unwrap();
        if let Some(channel) = self.channel.filter(|_| self.frames.is_multiple_of(50)) {
            let message = Message::text("a second has gone by");
            self.pc.send(now, channel, message).unwrap();
            self.sent += 1;
        }
        self.frames = self.frames.wrapping_add(1);
    }

    /// Sends messages of 20 kB.
    fn send(&mut self, now: Instant, count: usize) {
        let channel = self.channel.unwrap();
        for _ in 0..count {
            let message = Message::binary(vec![7; 20_000]);
            self.pc.send(now, channel, message).unwrap();
        }
    }

    /// SCTP's packet size.
    fn mtu(&self, now: Instant) -> u64 {
        let of = |entry: &Stats| match entry {
            Stats::Transport(transport) => transport.mtu,
            _ => None,
        };
        self.pc.stats(now).entries.iter().find_map(of).unwrap()
    }

    fn news(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            match event {
                Event::Rtp { .. } => self.heard += 1,
                Event::ChannelOpen(key) => self.channel = Some(key),
                Event::ChannelMessage(..) => self.read += 1,
                _ => {}
            }
        }
    }
}

impl Peer for Caller {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        let received = Received {
            local: datagram.dst,
            remote: datagram.src,
            transport: Protocol::Udp,
            ecn: Ecn::NotEct,
        };
        let bytes = BytesMut::from(datagram.payload.as_slice());
        self.pc.handle_input(now, received, bytes);
        self.news();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_frame.is_some_and(|at| at <= now) {
            self.next_frame = self.next_frame.map(|at| at + FRAME);
            self.speak(now);
        }
        if self.pc.poll_timeout().is_some_and(|at| at <= now) {
            self.pc.handle_timeout(now);
        }
        self.news();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.pc
            .poll_timeout()
            .into_iter()
            .chain(self.next_frame)
            .min()
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        self.out.clear();
        let transmit = self.pc.poll_transmit(now, &mut self.out, 1)?;
        let (from, to) = (transmit.local, transmit.remote);
        self.longest = self.longest.max(transmit.len);
        Some(Datagram::new(from, to, self.out.clone()))
    }
}

fn connected(peers: &[Caller]) -> bool {
    let state = |p: &Caller| p.pc.connection_state();
    peers
        .iter()
        .all(|p| state(p) == PeerConnectionState::Connected && p.channel.is_some())
}

/// Two callers with sound and a channel between them, on this link.
fn call(seed: u64, link: LinkConfig) -> (Simulation<Caller>, HostId) {
    let (network, a, b) = Network::pair(seed, link.clone(), link);
    let now = network.now();
    let mut alice = Caller::new(now, network.addr(a, 5000), 1);
    let mut bob = Caller::new(now, network.addr(b, 5000), 2);

    let init = TransceiverInit::default();
    alice.pc.add_transceiver(Kind::Audio, init).unwrap();
    let channel = DataChannelInit::default();
    alice.pc.create_data_channel(now, "clock", channel).unwrap();
    alice.pc.set_local_description(now, None).unwrap();
    bob.pc
        .set_remote_description(now, alice.pc.local_description().unwrap())
        .unwrap();
    let theirs = bob.pc.transceivers().next().unwrap().id;
    bob.pc.set_direction(theirs, Direction::SendRecv).unwrap();
    bob.pc.set_local_description(now, None).unwrap();
    alice
        .pc
        .set_remote_description(now, bob.pc.local_description().unwrap())
        .unwrap();

    let mut simulation = Simulation::new(network);
    simulation.add_peer(a, alice);
    simulation.add_peer(b, bob);
    let ten = Duration::from_secs(10);
    simulation.run_until(ten, |peers| connected(peers)).unwrap();
    (simulation, a)
}

#[test]
fn a_long_call_in_little_time() {
    let seconds: u64 = std::env::var("TINCAN_SECONDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let link = LinkConfig::new()
        .rate(1_000_000)
        .delay(Duration::from_millis(40))
        .jitter(Duration::from_millis(10))
        .loss(Loss::Random(0.01));
    let (mut simulation, _) = call(12, link);

    let began = Instant::now();
    let start = simulation.now();
    for peer in simulation.peers_mut() {
        peer.next_frame = Some(start);
    }
    // The first tenth: all tables have their room.
    simulation.run_for(Duration::from_millis(100 * seconds));
    let early: Vec<usize> = simulation
        .peers()
        .iter()
        .map(|p| p.pc.memory_usage())
        .collect();
    simulation.run_for(Duration::from_millis(900 * seconds));
    let took = began.elapsed();

    let spoken = seconds * 50;
    for (peer, early) in simulation.peers().iter().zip(early) {
        println!(
            "{seconds} s in {took:?}: {} of {spoken} packets heard, {} messages read, {} bytes",
            peer.heard,
            peer.read,
            peer.pc.memory_usage()
        );
        assert!(peer.pc.connection_state() == PeerConnectionState::Connected);
        // One in a hundred is lost.
        assert!(peer.heard >= spoken * 97 / 100, "{}", peer.heard);
        assert!(peer.heard <= spoken + 1, "{}", peer.heard);
        // Those that are late are on their way yet.
        assert!(peer.read + 3 >= seconds, "{} of {seconds}", peer.read);
        assert!(peer.pc.memory_usage() <= early + 16 * 1024);
    }
}

/// RFC 8899: data channels fill the path, headers of DTLS included; what is on its way when the path shrinks without a
/// word arrives nevertheless, and ten minutes after it has grown again it is filled again.
#[test]
fn data_channels_find_the_size_of_the_path_and_lose_nothing_when_it_shrinks() {
    let link = |mtu| {
        LinkConfig::new()
            .rate(20_000_000)
            .delay(Duration::from_millis(20))
            .mtu(mtu)
    };
    let second = Duration::from_secs(1);
    let (mut simulation, alice) = call(5, link(1_500));
    let configured = Configuration::default().max_probed_datagram;
    // Whoever says how long datagrams may be gets them as long, to the granularity of SCTP's chunks, and no longer.
    simulation.run_for(second);
    for peer in simulation.peers() {
        assert!(
            (configured - 3..=configured).contains(&peer.longest),
            "{} of {configured}",
            peer.longest
        );
    }
    let now = simulation.now();
    let largest = simulation.peers()[0].mtu(now);

    let send = |simulation: &mut Simulation<Caller>, wanted| {
        let now = simulation.now();
        simulation.peers_mut()[0].send(now, 50);
        // In the middle of it.
        simulation.run_for(Duration::from_millis(100));
        let read = simulation.peers()[1].read;
        assert!(read < wanted, "{read}");
    };
    let arrived = |simulation: &mut Simulation<Caller>, wanted| {
        simulation
            .run_until(20 * second, |peers| peers[1].read >= wanted)
            .unwrap();
        assert_eq!(simulation.peers()[1].read, wanted);
    };
    let change = |simulation: &mut Simulation<Caller>, mtu| {
        let interface = simulation.network().interfaces(alice)[0];
        let up = tincan_sim::Direction::Up;
        let action = Action::SetLink(interface, up, link(mtu));
        simulation.network_mut().act(action);
    };
    let too_large = |simulation: &Simulation<Caller>| {
        let interface = simulation.network().interfaces(alice)[0];
        let up = tincan_sim::Direction::Up;
        simulation.network().link_stats(interface, up).too_large
    };
    send(&mut simulation, 50);
    change(&mut simulation, 1_330);
    arrived(&mut simulation, 50);
    assert!(too_large(&simulation) > 0);
    // The next search, which the first data that arrive again begin.
    simulation.run_for(60 * second);
    let now = simulation.now();
    let smaller = simulation.peers()[0].mtu(now);
    assert!((1_260..1_330).contains(&smaller), "{smaller} of {largest}");
    let before = too_large(&simulation);
    send(&mut simulation, 100);
    arrived(&mut simulation, 100);
    assert_eq!(too_large(&simulation), before);

    change(&mut simulation, 1_500);
    simulation.run_for(660 * second);
    let now = simulation.now();
    assert_eq!(simulation.peers()[0].mtu(now), largest);
}

/// RFC 6069's way for SCTP: its timeouts double while the cable is out; as soon as ICE has its consent back, nobody waits
/// for the last of them.
#[test]
fn channels_go_on_as_soon_as_ice_does() {
    let link = LinkConfig::new().delay(Duration::from_millis(20));
    let second = Duration::from_secs(1);
    let (mut simulation, alice) = call(7, link);
    simulation.run_for(second);
    let cable = simulation.network().interfaces(alice)[0];
    simulation.network_mut().act(Action::Unplug(cable));
    let now = simulation.now();
    simulation.peers_mut()[0].send(now, 5);
    simulation.run_for(20 * second);
    let state = |peer: &Caller| peer.pc.ice_connection_state();
    assert_eq!(
        state(&simulation.peers()[0]),
        IceConnectionState::Disconnected
    );
    simulation.network_mut().act(Action::Plug(cable));
    let works = |peers: &mut [Caller]| state(&peers[0]) != IceConnectionState::Disconnected;
    simulation.run_until(30 * second, works).unwrap();
    let back = simulation.now();
    simulation
        .run_until(30 * second, |peers| peers[1].read == 5)
        .unwrap();
    let waited = simulation.now() - back;
    println!("{waited:?} after ICE");
    assert!(waited < second, "{waited:?}");
}
