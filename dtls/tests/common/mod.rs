//! A network in virtual time between two ends, lossy by a seed.
#![allow(dead_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use tincan_dtls::{
    Builder, Certificate, Config, Connection, Event, Fingerprint, HashAlgorithm, Role, SrtpProfile,
    Version,
};

/// What the network can drive: ours and others'.
pub(crate) trait End {
    fn input(&mut self, now: Instant, datagram: &[u8]);
    fn output(&mut self, now: Instant) -> Option<Vec<u8>>;
    fn timeout(&mut self) -> Option<Instant>;
    fn on_timeout(&mut self, now: Instant);
    fn done(&self) -> bool;
    fn dead(&self) -> bool;
}

impl End for Connection {
    fn input(&mut self, now: Instant, datagram: &[u8]) {
        self.handle_input(now, BytesMut::from(datagram)).unwrap();
    }

    fn output(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.poll_transmit(now, &mut out).map(|length| {
            assert_eq!(length, out.len());
            out
        })
    }

    fn timeout(&mut self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn on_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn done(&self) -> bool {
        self.is_connected()
    }

    fn dead(&self) -> bool {
        self.is_closed()
    }
}

/// How a network treats datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    pub(crate) corruption: f64,
    pub(crate) min_delay: Duration,
    pub(crate) max_delay: Duration,
}

impl Conditions {
    pub(crate) const PERFECT: Self = Self {
        loss: 0.0,
        duplication: 0.0,
        corruption: 0.0,
        min_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(10),
    };
}

/// Arrival, order of sending, receiver, datagram.
type InFlight = (Instant, u64, usize, Vec<u8>);

/// Datagrams on their way, by arrival; ties in order of sending.
pub(crate) struct Net {
    pub(crate) now: Instant,
    started: Instant,
    conditions: Conditions,
    rng: StdRng,
    queue: BinaryHeap<Reverse<InFlight>>,
    count: u64,
    pub(crate) sent_octets: [usize; 2],
    pub(crate) largest: usize,
}

impl Net {
    pub(crate) fn new(seed: u64, conditions: Conditions) -> Self {
        let now = Instant::now();
        Self {
            now,
            started: now,
            conditions,
            rng: StdRng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            count: 0,
            sent_octets: [0; 2],
            largest: 0,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.started
    }

    pub(crate) fn send(&mut self, to: usize, datagram: Vec<u8>) {
        self.sent_octets[1 - to] += datagram.len();
        self.largest = self.largest.max(datagram.len());
        let copies = 1 + usize::from(self.rng.random_bool(self.conditions.duplication));
        for _ in 0..copies {
            if self.rng.random_bool(self.conditions.loss) {
                continue;
            }
            let mut datagram = datagram.clone();
            if self.rng.random_bool(self.conditions.corruption) {
                let at = self.rng.random_range(0..datagram.len());
                datagram[at] ^= 1 << self.rng.random_range(0..8);
            }
            let delay = self
                .rng
                .random_range(self.conditions.min_delay..=self.conditions.max_delay);
            self.count += 1;
            self.queue
                .push(Reverse((self.now + delay, self.count, to, datagram)));
        }
    }

    /// Runs until `stop` says so, nothing is left to happen, or `limit` passes.
    pub(crate) fn run(
        &mut self,
        ends: [&mut dyn End; 2],
        limit: Duration,
        stop: impl Fn(&[&mut dyn End; 2]) -> bool,
    ) {
        let mut ends = ends;
        while self.elapsed() < limit {
            for (index, end) in ends.iter_mut().enumerate() {
                while let Some(datagram) = end.output(self.now) {
                    self.send(1 - index, datagram);
                }
            }
            if stop(&ends) {
                return;
            }
            let arrival = self.queue.peek().map(|Reverse((at, ..))| *at);
            let timeouts = [ends[0].timeout(), ends[1].timeout()];
            let Some(next) = timeouts.into_iter().flatten().chain(arrival).min() else {
                return;
            };
            self.now = self.now.max(next);
            while let Some(Reverse((at, ..))) = self.queue.peek()
                && *at <= self.now
            {
                let Some(Reverse((_, _, to, datagram))) = self.queue.pop() else {
                    break;
                };
                ends[to].input(self.now, &datagram);
            }
            for end in &mut ends {
                if end.timeout().is_some_and(|at| at <= self.now) {
                    end.on_timeout(self.now);
                }
            }
        }
    }
}

pub(crate) fn both_done(ends: &[&mut dyn End; 2]) -> bool {
    ends.iter().all(|end| end.done()) || ends.iter().any(|end| end.dead())
}

/// A configuration with a fresh certificate, and its fingerprint.
pub(crate) fn builder(oldest: Version, newest: Version) -> (Builder, Fingerprint) {
    let certificate = Certificate::generate(SystemTime::now()).unwrap();
    let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256);
    let builder = Config::builder()
        .certificate(certificate)
        .versions(oldest, newest)
        .srtp_profiles(vec![
            SrtpProfile::AeadAes128Gcm,
            SrtpProfile::AesCm128HmacSha1_80,
        ]);
    (builder, fingerprint)
}

/// A client and a server that know each other's fingerprints.
pub(crate) fn pair(
    now: Instant,
    seed: u64,
    client: impl FnOnce(Builder) -> Builder,
    server: impl FnOnce(Builder) -> Builder,
) -> (Connection, Connection) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (client_builder, client_print) = builder(Version::Dtls12, Version::Dtls13);
    let (server_builder, server_print) = builder(Version::Dtls12, Version::Dtls13);
    let client = client(client_builder).build().unwrap();
    let server = server(server_builder).build().unwrap();
    let mut client = Connection::new(client, Role::Client, now, &mut rng).unwrap();
    let mut server = Connection::new(server, Role::Server, now, &mut rng).unwrap();
    client.set_remote_fingerprints(vec![server_print]);
    server.set_remote_fingerprints(vec![client_print]);
    (client, server)
}

/// A pair that has shaken hands over a perfect network.
pub(crate) fn connected(
    client: impl FnOnce(Builder) -> Builder,
    server: impl FnOnce(Builder) -> Builder,
) -> (Connection, Connection, Net) {
    let mut net = Net::new(0, Conditions::PERFECT);
    let (mut client, mut server) = pair(net.now, 1, client, server);
    net.run(
        [&mut client, &mut server],
        Duration::from_secs(10),
        |ends| ends.iter().all(|end| end.done()),
    );
    settle(&mut net, &mut client, &mut server);
    assert!(
        client.is_connected() && server.is_connected(),
        "{client:?} {server:?}"
    );
    (client, server, net)
}

/// Runs until nothing is left to happen.
pub(crate) fn settle(net: &mut Net, client: &mut Connection, server: &mut Connection) {
    let limit = net.elapsed() + Duration::from_secs(600);
    net.run([client, server], limit, |_| false);
}

pub(crate) fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

pub(crate) fn seal(connection: &mut Connection, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; connection.headroom()];
    out.extend_from_slice(data);
    connection.seal_in_place(&mut out, 0).unwrap();
    out
}

pub(crate) fn open(connection: &mut Connection, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
    connection
        .handle_input(now, BytesMut::from(datagram))
        .unwrap();
    connection.poll_data().map(|data| data.to_vec())
}

pub(crate) fn seeds(default: u64) -> u64 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A record in the clear, as anyone can make it.
pub(crate) fn record(content_type: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut datagram = vec![content_type, 0xfe, 0xfd, 0, 0];
    datagram.extend_from_slice(&sequence.to_be_bytes()[2..]);
    datagram.extend_from_slice(&(body.len() as u16).to_be_bytes());
    datagram.extend_from_slice(body);
    datagram
}
