//! One publisher's packets to fifty subscribers through real sockets: what the forwarder's thread pays.
//!
//! Publisher and subscribers are ours in all cases, in a thread whose CPU does not count. What counts is what arrived:
//! a forwarder that loses packets has forwarded fewer.

mod ours;
mod theirs;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tincan_benches::{Better, Comparison, Figures};
use tincan_peer::driver::{Driver, DriverConfig, DriverHandle, Events, Peer, PeerEvent, RtpSender};
use tincan_peer::{
    Configuration, Direction, Kind, RtpPacket, SessionDescription, TransceiverId, TransceiverInit,
};

const SUBSCRIBERS: u64 = 50;

/// How long one round sends.
const ROUND: Duration = Duration::from_millis(1000);

/// Packets that the publisher sends in a millisecond.
const PACKETS_A_MILLISECOND: u64 = 1;

/// Bytes of a packet's payload.
const PAYLOAD: usize = 1100;

/// System calls, and datagrams in either direction.
type Totals = (u64, u64);

/// Somebody who answers offers, and then forwards in a thread of its own.
trait Forwarder: Send + Sized + 'static {
    /// Takes an offer of somebody who publishes or subscribes.
    fn answer(&mut self, offer: &str, publishes: bool) -> String;

    /// What was done so far, to be asked from another thread.
    fn totals(&self) -> Box<dyn Fn() -> Totals>;

    /// Forwards until `ended`.
    fn run(self, ended: &AtomicBool);
}

/// A forwarder's thread.
struct Running {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Where its CPU time stands.
    schedstat: String,
    totals: Box<dyn Fn() -> Totals>,
}

impl Running {
    fn new(forwarder: impl Forwarder) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let totals = forwarder.totals();
        let (tell, name) = mpsc::channel();
        let flag = ended.clone();
        let thread = std::thread::spawn(move || {
            let name = std::fs::read_link("/proc/thread-self").expect("a name");
            tell.send(name).expect("told");
            forwarder.run(&flag);
        });
        let name = name.recv().expect("a name");
        Self {
            ended,
            thread: Some(thread),
            schedstat: format!("/proc/{}/schedstat", name.display()),
            totals,
        }
    }

    fn cpu(&self) -> f64 {
        super::cpu_of(&self.schedstat)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the forwarder");
        }
    }
}

/// The far ends: in the thread that measures.
struct Crowd {
    runtime: tokio::runtime::Runtime,
    publisher: RtpSender,
    payload_type: u8,
    received: Arc<AtomicU64>,
    forwarder: Running,
    number: u16,
    _peers: Vec<Peer>,
}

/// What a round came to.
#[derive(Debug, Clone, Copy)]
struct Round {
    packets_a_cpu_second: f64,
    calls_a_datagram: f64,
    /// The share that arrived.
    delivered: f64,
}

fn payload_type(sdp: &str) -> u8 {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .find(|(_, name)| name.starts_with("VP8/"))
        .and_then(|(number, _)| number.parse().ok())
        .expect("VP8")
}

async fn offer(handle: &DriverHandle, publishes: bool) -> (Peer, Events, TransceiverId, String) {
    let (peer, mut events) = handle.peer(Configuration::default()).await.expect("a peer");
    let init = TransceiverInit {
        direction: if publishes {
            Direction::SendOnly
        } else {
            Direction::RecvOnly
        },
        ..TransceiverInit::default()
    };
    let id = peer.add_transceiver(Kind::Video, init).await;
    let offer = peer.offer_with_candidates(&mut events).await;
    let offer = offer.expect("an offer").sdp.to_string();
    (peer, events, id.expect("added"), offer)
}

/// Counts what a subscriber receives.
async fn count(mut events: Events, received: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if let PeerEvent::Track(mut track) = event {
            let received = received.clone();
            tokio::spawn(async move {
                while track.recv().await.is_some() {
                    received.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
}

impl Crowd {
    fn new(mut forwarder: impl Forwarder) -> Self {
        let runtime = super::ours::runtime();
        let received = Arc::new(AtomicU64::new(0));
        let handle = runtime.block_on(async {
            let driver = Driver::bind(DriverConfig::loopback()).expect("a socket");
            let handle = driver.handle();
            tokio::spawn(driver.run());
            handle
        });
        let mut peers = Vec::new();
        let mut publisher = None;
        // Subscribers first, so that nobody misses the beginning.
        for n in 0..=SUBSCRIBERS {
            let publishes = n == SUBSCRIBERS;
            let (peer, events, id, offer) = runtime.block_on(offer(&handle, publishes));
            let answer = forwarder.answer(&offer, publishes);
            runtime.block_on(async {
                let answer = SessionDescription::answer(answer.as_str());
                peer.set_remote_description(answer).await.expect("set");
                tokio::spawn(count(events, received.clone()));
            });
            if publishes {
                publisher = Some((peer.sender(id), payload_type(&answer)));
            }
            peers.push(peer);
        }
        let (publisher, payload_type) = publisher.expect("the last one publishes");
        let mut crowd = Self {
            runtime,
            publisher,
            payload_type,
            received,
            forwarder: Running::new(forwarder),
            number: 0,
            _peers: peers,
        };
        // Until everybody gets something.
        let begun = Instant::now();
        loop {
            let before = crowd.received.load(Ordering::Relaxed);
            crowd.send(1);
            crowd.rest(Duration::from_millis(100));
            let got = crowd.received.load(Ordering::Relaxed) - before;
            if got >= SUBSCRIBERS {
                return crowd;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{got} connected");
        }
    }

    fn send(&mut self, count: u64) {
        for n in 0..count {
            let number = self.number;
            self.number = number.wrapping_add(1);
            let time = u32::from(number) * 90;
            let marker = n + 1 == count;
            let payload = vec![7; PAYLOAD];
            let packet = RtpPacket::new(self.payload_type, number, time, marker, payload);
            self.publisher.send(packet).expect("sent");
        }
    }

    fn rest(&self, time: Duration) {
        // A timer is made inside the runtime that has it.
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Sends `burst` packets at once, and again when their time has passed.
    fn round(&mut self, burst: u64) -> Round {
        let received = |crowd: &Self| crowd.received.load(Ordering::Relaxed);
        let before = (
            (self.forwarder.totals)(),
            self.forwarder.cpu(),
            received(self),
        );
        let start = Instant::now();
        // Sent, and lapsed: who fell behind does not catch up by larger bursts than asked for.
        let (mut sent, mut lapsed) = (0, 0);
        while start.elapsed() < ROUND {
            let due = start.elapsed().as_millis() as u64 * PACKETS_A_MILLISECOND - lapsed;
            if sent + burst <= due {
                self.send(burst);
                sent += burst;
                lapsed += due - sent;
            }
            self.rest(Duration::from_millis(1));
        }
        self.rest(Duration::from_millis(150));
        let after = (
            (self.forwarder.totals)(),
            self.forwarder.cpu(),
            received(self),
        );
        let packets = (after.2 - before.2) as f64;
        let (calls, datagrams) = (after.0.0 - before.0.0, after.0.1 - before.0.1);
        Round {
            packets_a_cpu_second: packets / (after.1 - before.1).max(1e-9),
            calls_a_datagram: calls as f64 / datagrams.max(1) as f64,
            delivered: packets / (sent * SUBSCRIBERS).max(1) as f64,
        }
    }
}

/// Runs the cases of this file.
pub(super) fn run() {
    let crowds = [
        ("ours", Crowd::new(ours::Forwarder::new(true))),
        ("ours-without-gso", Crowd::new(ours::Forwarder::new(false))),
        ("str0m-plain-loop", Crowd::new(theirs::Forwarder::new())),
    ]
    .map(|(name, crowd)| (name, RefCell::new((crowd, Vec::new()))));
    // A video frame of ten packets, and sound of one.
    for burst in [10, 1] {
        let mut comparison = Comparison::new(
            "driver",
            format!("forward-1-to-50-bursts-of-{burst}"),
            "packets/cpu-s",
            Better::More,
        );
        for (name, crowd) in &crowds {
            comparison = comparison.figure(*name, || {
                let (crowd, rounds) = &mut *crowd.borrow_mut();
                let round = crowd.round(burst);
                rounds.push(round);
                round.packets_a_cpu_second
            });
        }
        comparison.run();
        for (name, crowd) in &crowds {
            let rounds = std::mem::take(&mut crowd.borrow_mut().1);
            let median = |figure: fn(&Round) -> f64| {
                Figures::new(rounds.iter().map(figure).collect::<Vec<_>>()).median()
            };
            println!(
                "driver forward-1-to-50-bursts-of-{burst} {name}: {:.3} system calls a datagram, {:.3} of the packets arrived",
                median(|round| round.calls_a_datagram),
                median(|round| round.delivered),
            );
        }
    }
}
