//! A real handshake that is stopped anywhere, while the fuzzer adds, drops, swaps, splits and bends whole handshake
//! messages at the message and record numbers that the receiver expects. No panic, no stuck timer, memory within the
//! bounds; each end is established or has given up in the end; if both are established, they have the same keys; and
//! an established end is not moved by what nobody authenticated.
#![no_main]

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rand::{SeedableRng, rngs::StdRng};
use tincan_dtls::{Certificate, Config, Connection, Role, Verification, Version};
use tincan_fuzz::Memory;

#[derive(Arbitrary, Debug)]
struct Input {
    dtls12: [bool; 2],
    small: bool,
    connection_id: bool,
    steps: Vec<(bool, Step)>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// The next datagram arrives.
    Deliver,
    Drop,
    Later,
    Twice,
    Flip(u16),
    Cut(u16),
    /// A record of any type and epoch.
    Record {
        kind: u8,
        version: u8,
        epoch: u8,
        number: u8,
        body: Vec<u8>,
    },
    /// A handshake message, perhaps a fragment, with the number that comes next or near it.
    Message {
        kind: u8,
        sequence: u8,
        offset: u8,
        total: u16,
        body: Vec<u8>,
    },
    /// The body of a message under way, bent at one place, lengths mended.
    Bent {
        at: u16,
        bits: u8,
        cut: u8,
    },
    Timer,
    Data,
    Keys,
    Close,
}

fn config(dtls12: bool, small: bool, connection_id: bool) -> Arc<Config> {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE
        .get_or_init(|| Certificate::generate(UNIX_EPOCH + Duration::from_secs(1 << 30)).unwrap());
    let newest = if dtls12 {
        Version::Dtls12
    } else {
        Version::Dtls13
    };
    let mut builder = Config::builder()
        .certificate(certificate.clone())
        .verification(Verification::Any)
        .versions(Version::Dtls12, newest);
    if small {
        builder = builder.record_size_limit(600).mtu(300);
    }
    if connection_id {
        builder = builder.connection_id(4);
    }
    builder.build().unwrap()
}

fn record(kind: u8, minor: u8, epoch: u16, number: u64, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0xfe, minor];
    out.extend_from_slice(&epoch.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes()[2..]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn message(kind: u8, sequence: u16, offset: u32, total: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&total.to_be_bytes()[1..]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes()[1..]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(body);
    out
}

struct World {
    now: Instant,
    ends: [Connection; 2],
    wires: [VecDeque<Vec<u8>>; 2],
    /// Record number for what is made up: beyond all that an end uses itself.
    number: u64,
    established: [bool; 2],
}

impl World {
    fn give(&mut self, n: usize, bytes: &[u8], honest: bool) {
        let was = (self.ends[n].is_connected(), self.ends[n].is_closed());
        self.ends[n]
            .handle_input(self.now, BytesMut::from(bytes))
            .unwrap();
        if was == (true, false) && !honest {
            assert!(!self.ends[n].is_closed(), "closed by nobody's word");
        }
        self.collect();
    }

    fn collect(&mut self) {
        for n in 0..2 {
            let mut out = Vec::new();
            let mut sent = 0;
            while self.ends[n].poll_transmit(self.now, &mut out).is_some() {
                sent += 1;
                assert!(sent < 1_000, "transmits without end");
                if self.wires[1 - n].len() < 128 {
                    self.wires[1 - n].push_back(std::mem::take(&mut out));
                }
                out.clear();
            }
            while self.ends[n].poll_event().is_some() {}
            while let Some(data) = self.ends[n].poll_data() {
                assert_eq!(&data[..], b"payload", "data that nobody sent");
            }
            self.established[n] |= self.ends[n].is_connected();
        }
    }

    fn timer(&mut self, n: usize) {
        if let Some(at) = self.ends[n].poll_timeout() {
            self.now = self.now.max(at);
            self.ends[n].handle_timeout(self.now);
            let next = self.ends[n].poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "a stuck timer");
            self.collect();
        }
    }

    fn step(&mut self, n: usize, step: Step) {
        self.number += 1;
        match step {
            Step::Deliver => {
                if let Some(bytes) = self.wires[n].pop_front() {
                    self.give(n, &bytes, true);
                }
            }
            Step::Drop => drop(self.wires[n].pop_front()),
            Step::Later => {
                if let Some(bytes) = self.wires[n].pop_front() {
                    self.wires[n].push_back(bytes);
                }
            }
            Step::Twice => {
                if let Some(bytes) = self.wires[n].pop_front() {
                    self.give(n, &bytes, true);
                    self.give(n, &bytes, true);
                }
            }
            Step::Flip(at) => {
                if let Some(mut bytes) = self.wires[n].pop_front() {
                    let at = usize::from(at) % (bytes.len() * 8).max(1);
                    if let Some(byte) = bytes.get_mut(at / 8) {
                        *byte ^= 1 << (at % 8);
                    }
                    // One flip hurts one record; others of the datagram may be an honest close.
                    self.give(n, &bytes, true);
                }
            }
            Step::Cut(len) => {
                if let Some(mut bytes) = self.wires[n].pop_front() {
                    bytes.truncate(usize::from(len) % (bytes.len() + 1));
                    self.give(n, &bytes, true);
                }
            }
            Step::Record {
                kind,
                version,
                epoch,
                number,
                body,
            } => {
                let kind = [20, 21, 22, 23, 25, 26, 24, kind][usize::from(kind % 8)];
                let minor = if version & 1 == 0 { 0xfd } else { version };
                let number = (self.number << 8) + u64::from(number);
                let bytes = record(kind, minor, u16::from(epoch % 4), number, &body);
                self.give(n, &bytes, false);
            }
            Step::Message {
                kind,
                sequence,
                offset,
                total,
                body,
            } => {
                let total = u32::from(total).max(body.len() as u32);
                let body = message(kind, u16::from(sequence % 16), offset.into(), total, &body);
                let bytes = record(22, 0xfd, 0, self.number << 8, &body);
                self.give(n, &bytes, false);
            }
            Step::Bent { at, bits, cut } => {
                // The first record, if it is a whole plaintext message.
                let Some(bytes) = self.wires[n].front().cloned() else {
                    return;
                };
                let (Some(&22), Some(body)) = (bytes.first(), bytes.get(25..)) else {
                    return;
                };
                let len = usize::from(bytes[11]) << 8 | usize::from(bytes[12]);
                let mut body = body[..len.saturating_sub(12).min(body.len())].to_vec();
                if let Some(byte) = body.get_mut(usize::from(at)) {
                    *byte ^= bits;
                }
                body.truncate(body.len() - usize::from(cut).min(body.len()));
                let sequence = u16::from(bytes[17]) << 8 | u16::from(bytes[18]);
                let body = message(bytes[13], sequence, 0, body.len() as u32, &body);
                let bytes = record(22, 0xfd, 0, self.number << 8, &body);
                self.give(n, &bytes, false);
            }
            Step::Timer => self.timer(n),
            Step::Data => {
                let mut out = vec![0; self.ends[n].headroom()];
                out.extend_from_slice(b"payload");
                if self.ends[n].seal_in_place(&mut out, 0).is_ok() {
                    self.wires[1 - n].push_back(out);
                }
            }
            Step::Keys => drop(self.ends[n].update_keys(self.now, true)),
            Step::Close => self.ends[n].close(self.now),
        }
        self.collect();
    }
}

fuzz_target!(|input: Input| {
    let configs = [0, 1].map(|n| config(input.dtls12[n], input.small, input.connection_id));
    let memory = Memory::watch();
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let [client, server] = configs;
    let ends = [
        Connection::new(client, Role::Client, now, &mut rng).unwrap(),
        Connection::new(server, Role::Server, now, &mut rng).unwrap(),
    ];
    let mut world = World {
        now,
        ends,
        wires: Default::default(),
        number: 0,
        established: [false; 2],
    };
    world.collect();
    for (second, step) in input.steps.into_iter().take(200) {
        world.step(usize::from(second), step);
    }
    // The network calms: what is sent arrives. An end that waits for an answer gives up in bounded time.
    for _ in 0..128 {
        let mut rounds = 0;
        while world.wires.iter().any(|w| !w.is_empty()) {
            rounds += 1;
            assert!(rounds < 2_000, "no end of datagrams at one moment");
            for n in 0..2 {
                for bytes in std::mem::take(&mut world.wires[n]) {
                    world.give(n, &bytes, true);
                }
            }
        }
        for n in 0..2 {
            world.timer(n);
        }
    }
    for (n, end) in world.ends.iter().enumerate() {
        // Only a server that has seen no whole hello waits for one without end.
        let idle_server = n == 1 && end.version().is_none();
        assert!(
            end.is_closed() || end.is_connected() || idle_server,
            "neither established nor given up: {end:?}"
        );
        assert!(
            end.is_closed() || end.poll_timeout().is_none(),
            "no end of timers: {end:?}"
        );
    }
    let [a, b] = &world.ends;
    if a.is_connected() && b.is_connected() && !a.is_closed() && !b.is_closed() {
        assert_eq!(a.version(), b.version());
        let mut keys = [[0; 32]; 2];
        for (end, key) in [a, b].iter().zip(&mut keys) {
            end.export_keying_material("EXPORTER-fuzz", None, key)
                .expect("keys of an established connection");
        }
        assert_eq!(keys[0], keys[1], "two sets of keys");
    }
    memory.at_most(4 << 20);
});
