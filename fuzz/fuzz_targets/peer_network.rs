//! Two whole peers with the fuzzer as their network: it drops, doubles, reorders, truncates, flips and injects, and
//! calls what applications call. Once the network calms, both ends agree: connected, with every message of a reliable
//! channel delivered in order, unless somebody closed or the handshake's plaintext was tampered with.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_fuzz::Memory;
use tincan_peer::*;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u8,
    /// Begin with an established connection.
    established: bool,
    versions: u8,
    acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
enum Act {
    /// What becomes of the next datagram on its way to an end.
    Fate(bool, Fate),
    /// Everything that is on its way to both ends arrives.
    Flow,
    /// Time passes.
    Wait(u8),
    Call(bool, Call),
}

#[derive(Arbitrary, Debug)]
enum Fate {
    Deliver,
    Drop,
    Twice,
    Later,
    Flip(u16),
    Cut(u16),
    Inject { stranger: bool, bytes: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
enum Call {
    Channel {
        unordered: bool,
        retransmits: Option<u8>,
    },
    Send {
        channel: u8,
        len: u16,
    },
    CloseChannel(u8),
    Transceiver(bool),
    Rtp(u8, u16),
    KeyFrame(u8),
    Negotiate,
    Restart,
    Stats,
    Close,
}

/// Milliseconds of virtual time that acts may take: less than consent lasts, so that nobody gives up.
const CHAOS: u64 = 15_000;

struct End {
    pc: PeerConnection,
    /// By label: what was sent and is owed.
    sent: BTreeMap<String, Vec<usize>>,
    got: BTreeMap<String, Vec<usize>>,
    closed: bool,
    opened: usize,
    labels: BTreeMap<ChannelKey, String>,
}

struct World {
    now: Instant,
    ends: [End; 2],
    /// Datagrams on their way to each end.
    wires: [VecDeque<Vec<u8>>; 2],
    tampered: bool,
    forgotten: Vec<String>,
    /// A datagram of data was lost by the network: only ever with the far side's knowledge.
    sequence: u16,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

impl World {
    fn collect(&mut self) {
        let mut out = Vec::new();
        for n in 0..2 {
            let mut runs = 0;
            while let Some(t) = self.ends[n].pc.poll_transmit(self.now, &mut out, 4) {
                runs += 1;
                assert!(runs < 20_000, "transmits without end");
                assert_eq!(t.len, out.len());
                assert_eq!(t.remote, address(1 - n), "nobody else was named");
                for datagram in out.chunks(t.segment_size.unwrap_or(t.len).max(1)) {
                    // A network has queues with an end.
                    if self.wires[1 - n].len() < 2_000 {
                        self.wires[1 - n].push_back(datagram.to_vec());
                    }
                }
                out.clear();
            }
            while let Some(event) = self.ends[n].pc.poll_event() {
                let end = &mut self.ends[n];
                match event {
                    Event::IceCandidate(candidate) => {
                        let _ = self.ends[1 - n].pc.add_ice_candidate(self.now, candidate);
                    }
                    Event::DataChannel(key) => {
                        if let Some(info) = end.pc.channel(key) {
                            end.labels.insert(key, info.label);
                        }
                    }
                    Event::ChannelMessage(key, message) => {
                        let label = end.labels.get(&key).expect("a channel that we know");
                        let got = end.got.entry(label.clone()).or_default();
                        got.push(message.len());
                    }
                    _ => {}
                }
            }
        }
    }

    fn give(&mut self, n: usize, from: SocketAddr, bytes: &[u8]) {
        let received = Received {
            local: address(n),
            remote: from,
            ..RECEIVED
        };
        self.ends[n]
            .pc
            .handle_input(self.now, received, BytesMut::from(bytes));
    }

    /// What is due is done: a timer may be due until what it is for was sent.
    fn timers(&mut self) {
        for _ in 0..200 {
            let now = self.now;
            let is_due = |end: &End| end.pc.poll_timeout().is_some_and(|at| at <= now);
            if !self.ends.iter().any(is_due) {
                return;
            }
            for end in self.ends.iter_mut().filter(|end| is_due(end)) {
                end.pc.handle_timeout(now);
            }
            self.collect();
        }
        panic!("a stuck timer");
    }

    fn flow(&mut self) {
        let mut rounds = 0;
        loop {
            self.collect();
            if self.wires.iter().all(VecDeque::is_empty) {
                break;
            }
            rounds += 1;
            assert!(rounds < 20_000, "no end of datagrams at one moment");
            for n in 0..2 {
                for bytes in core::mem::take(&mut self.wires[n]) {
                    self.give(n, address(1 - n), &bytes);
                }
            }
        }
    }

    /// A perfect network for a time, or until `done`.
    fn calm(&mut self, time: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + time;
        loop {
            self.timers();
            self.flow();
            if done(self) {
                return;
            }
            let next = self
                .ends
                .iter()
                .filter_map(|e| e.pc.poll_timeout())
                .min()
                .filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = next.max(self.now + Duration::from_millis(1));
        }
        self.now = self.now.max(end);
    }

    fn connected(&self, n: usize) -> bool {
        self.ends[n].pc.connection_state() == PeerConnectionState::Connected
    }

    fn both(&self) -> bool {
        self.connected(0) && self.connected(1)
    }

    fn negotiate(&mut self, from: usize) {
        if self.ends.iter().any(|e| e.closed) {
            return;
        }
        let [a, b] = &mut self.ends;
        let (a, b) = if from == 0 { (a, b) } else { (b, a) };
        let now = self.now;
        a.pc.set_local_description(now, None).expect("an offer");
        let offer = a.pc.local_description().expect("an offer");
        b.pc.set_remote_description(now, offer).expect("taken");
        b.pc.set_local_description(now, None).expect("an answer");
        let answer = b.pc.local_description().expect("an answer");
        a.pc.set_remote_description(now, answer).expect("taken");
    }

    fn states(&self, n: usize) -> String {
        let pc = &self.ends[n].pc;
        format!(
            "{:?} {:?} {:?} {:?} {:?} {} {}",
            pc.connection_state(),
            pc.ice_connection_state(),
            pc.dtls_state(),
            pc.sctp_state(),
            pc.signaling_state(),
            pc.channels().count(),
            pc.transceivers().count()
        )
    }

    fn fate(&mut self, n: usize, fate: Fate) {
        let peer = address(1 - n);
        // Until both have checked the other's Finished, the handshake's bytes are nobody's word.
        let early = !self.both();
        let Some(mut bytes) = (match fate {
            Fate::Inject { .. } => Some(Vec::new()),
            _ => self.wires[n].pop_front(),
        }) else {
            return;
        };
        match fate {
            Fate::Deliver => self.give(n, peer, &bytes),
            Fate::Drop => {}
            Fate::Twice => {
                self.give(n, peer, &bytes);
                self.give(n, peer, &bytes);
            }
            Fate::Later => self.wires[n].push_back(bytes),
            Fate::Flip(at) => {
                self.tampered |= early;
                if !bytes.is_empty() {
                    let at = usize::from(at) % (bytes.len() * 8);
                    bytes[at / 8] ^= 1 << (at % 8);
                }
                self.give(n, peer, &bytes);
            }
            Fate::Cut(len) => {
                self.tampered |= early;
                bytes.truncate(usize::from(len) % (bytes.len() + 1));
                self.give(n, peer, &bytes);
            }
            Fate::Inject { stranger, bytes } => {
                self.tampered |= early;
                let from = if stranger { address(7) } else { peer };
                let before = self.states(n);
                self.give(n, from, &bytes);
                if !early {
                    assert_eq!(before, self.states(n), "a state changed by nobody's word");
                }
            }
        }
    }

    fn call(&mut self, n: usize, call: Call) {
        let now = self.now;
        let end = &mut self.ends[n];
        match call {
            Call::Channel {
                unordered,
                retransmits,
            } if end.opened < 8 => {
                let init = DataChannelInit {
                    ordered: !unordered,
                    max_retransmits: retransmits.map(u16::from),
                    ..Default::default()
                };
                let label = format!("{n}-{}", end.opened);
                if let Ok(key) = end.pc.create_data_channel(now, &label, init) {
                    end.opened += 1;
                    end.labels.insert(key, label.clone());
                    if unordered || retransmits.is_some() {
                        self.forgotten.push(label);
                    }
                }
            }
            Call::Send { channel, len } => {
                let key = end.pc.channels().nth(usize::from(channel % 8));
                if let Some(key) = key
                    && let Some(label) = end.labels.get(&key)
                {
                    let message = Message::binary(vec![channel; usize::from(len)]);
                    if end.pc.send(now, key, message).is_ok() {
                        let sent = end.sent.entry(label.clone()).or_default();
                        sent.push(usize::from(len));
                    }
                }
            }
            Call::CloseChannel(channel) => {
                let key = end.pc.channels().nth(usize::from(channel % 8));
                if let Some(key) = key {
                    self.forgotten.extend(end.labels.get(&key).cloned());
                    let _ = end.pc.close_channel(now, key);
                }
            }
            Call::Transceiver(video) if end.pc.transceivers().count() < 6 => {
                let kind = if video { Kind::Video } else { Kind::Audio };
                let _ = end.pc.add_transceiver(kind, Default::default());
            }
            Call::Rtp(which, len) => {
                let Some(t) = end.pc.transceivers().nth(usize::from(which % 6)) else {
                    return;
                };
                let Some(codec) = t.send_codecs.first() else {
                    return;
                };
                self.sequence = self.sequence.wrapping_add(1);
                let packet = RtpPacket::new(
                    codec.payload_type,
                    self.sequence,
                    0,
                    true,
                    vec![7; usize::from(len % 1_100)],
                );
                let _ = end.pc.send_rtp(now, t.id, packet);
            }
            Call::KeyFrame(which) => {
                let id = end.pc.transceivers().nth(usize::from(which % 6));
                drop(id.map(|t| end.pc.request_key_frame(now, t.id)));
            }
            Call::Negotiate => self.negotiate(n),
            Call::Restart => end.pc.restart_ice(),
            Call::Stats => drop(end.pc.stats(now)),
            Call::Close => {
                end.pc.close(now);
                end.closed = true;
            }
            _ => {}
        }
    }
}

const RECEIVED: Received = Received {
    local: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
    remote: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
    transport: Protocol::Udp,
    ecn: Ecn::NotEct,
};

fuzz_target!(|input: Input| {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE
        .get_or_init(|| Certificate::generate(std::time::UNIX_EPOCH).expect("a certificate"));
    let _ = Configuration::default();
    let memory = Memory::watch();
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(input.seed.into());
    let ends = [0, 1].map(|n| {
        let config = Configuration {
            certificates: vec![certificate.clone()],
            dtls_versions: if input.versions >> n & 1 == 0 {
                DtlsVersions::Both
            } else {
                DtlsVersions::V12
            },
            ..Default::default()
        };
        let mut pc = PeerConnection::new(config, now, &mut rng).expect("a peer");
        let transport = HostProtocol::Udp;
        let addr = address(n);
        pc.add_local_address(now, LocalAddress { addr, transport });
        End {
            pc,
            sent: BTreeMap::new(),
            got: BTreeMap::new(),
            closed: false,
            opened: 0,
            labels: BTreeMap::new(),
        }
    });
    let mut world = World {
        now,
        ends,
        wires: Default::default(),
        tampered: false,
        forgotten: Vec::new(),
        sequence: 0,
    };
    world.call(
        0,
        Call::Channel {
            unordered: false,
            retransmits: None,
        },
    );
    world.negotiate(0);
    if input.established {
        world.calm(Duration::from_secs(5), World::both);
        assert!(world.both(), "a perfect network suffices");
    }
    let mut time = 0;
    for act in input.acts.into_iter().take(300) {
        match act {
            Act::Fate(second, fate) => world.fate(usize::from(second), fate),
            Act::Flow => world.flow(),
            Act::Wait(ms) => {
                let ms = u64::from(ms).min(CHAOS - time);
                time += ms;
                world.now += Duration::from_millis(ms);
            }
            Act::Call(second, call) => world.call(usize::from(second), call),
        }
        world.timers();
        world.collect();
    }
    // What was changed is told, as an application that hears `negotiationneeded` does.
    world.negotiate(0);
    world.negotiate(1);
    let closed = world.ends.iter().any(|e| e.closed);
    world.calm(Duration::from_secs(90), |_| false);
    if !closed && !world.tampered {
        for n in 0..2 {
            assert!(world.connected(n), "{}: {}", n, world.states(n));
            for (label, sent) in &world.ends[n].sent {
                if !world.forgotten.contains(label) {
                    let got = world.ends[1 - n].got.get(label);
                    assert_eq!(got, Some(sent), "channel {label}");
                }
            }
        }
    } else {
        // DTLS gives up after nine minutes, consent after thirty seconds.
        world.calm(Duration::from_secs(900), |_| false);
        assert_eq!(
            world.connected(0),
            world.connected(1),
            "one thinks it is connected: {} | {}",
            world.states(0),
            world.states(1)
        );
    }
    for n in 0..2 {
        world.ends[n].pc.close(world.now);
        let mut out = Vec::new();
        let mut sent = 0;
        while world.ends[n]
            .pc
            .poll_transmit(world.now, &mut out, 4)
            .is_some()
        {
            out.clear();
            sent += 1;
            assert!(sent < 100, "a closed peer goes on");
        }
        assert_eq!(world.ends[n].pc.poll_timeout(), None);
    }
    memory.at_most(96 << 20);
});
