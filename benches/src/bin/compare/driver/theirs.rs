//! str0m's ends, each on a thread with one blocking socket, as its own examples drive it.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::{Bulk, thread_cpu};

/// Bytes that wait in the sender: as much as ours has on the way.
const BUFFERED: usize = 1 << 20;

/// What both threads share.
#[derive(Default)]
struct Shared {
    received: AtomicU64,
    /// Bytes of a message; 0: do not send.
    size: AtomicUsize,
    open: AtomicUsize,
    ended: AtomicUsize,
    /// Nanoseconds of each thread's CPU, told at every pause.
    cpu: [AtomicU64; 2],
    calls: AtomicU64,
    datagrams: AtomicU64,
}

/// Two peers and their threads.
pub(crate) struct Pair {
    shared: Arc<Shared>,
    wake: [UdpSocket; 2],
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// One end.
struct End {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    n: usize,
    channel: Option<ChannelId>,
    shared: Arc<Shared>,
    sent: u64,
}

pub(crate) fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let local = socket.local_addr().expect("an address");
    (socket, local)
}

impl Pair {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let shared = Arc::new(Shared::default());
        let mut ends = [0, 1].map(|n| {
            let (socket, local) = socket();
            let mut rtc = Rtc::new(now);
            rtc.add_local_candidate(Candidate::host(local, "udp").expect("a candidate"));
            End {
                rtc,
                socket,
                local,
                n,
                channel: None,
                shared: shared.clone(),
                sent: 0,
            }
        });
        let [a, b] = &mut ends;
        let mut change = a.rtc.sdp_api();
        change.add_channel("bulk".into());
        let (offer, pending) = change.apply().expect("an offer");
        let answer = b.rtc.sdp_api().accept_offer(offer).expect("an answer");
        a.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .expect("accepted");
        let wake = [a, b].map(|end| end.socket.try_clone().expect("a socket"));
        let threads = ends
            .into_iter()
            .map(|end| std::thread::spawn(move || end.run()))
            .collect();
        let pair = Self {
            shared,
            wake,
            threads,
        };
        while pair.shared.open.load(Ordering::Acquire) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        pair
    }

    /// Has the threads look up from their sockets.
    fn nudge(&self) {
        for wake in &self.wake {
            let local = wake.local_addr().expect("an address");
            wake.send_to(&[0xff], local).expect("sent");
        }
    }

    /// Sends messages of `size` for a while. The bytes are those that arrived meanwhile.
    pub(crate) fn bulk(&mut self, size: usize, time: Duration) -> Bulk {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let cpu = |shared: &Shared| shared.cpu.iter().map(load).sum::<u64>() as f64 / 1e9;
        let shared = self.shared.clone();
        self.nudge();
        std::thread::sleep(Duration::from_millis(30));
        let before = (
            load(&shared.received),
            cpu(&shared),
            load(&shared.calls),
            load(&shared.datagrams),
        );
        let start = Instant::now();
        shared.size.store(size, Ordering::Release);
        self.nudge();
        std::thread::sleep(time);
        shared.size.store(0, Ordering::Release);
        // What is on its way arrives; then both threads sleep.
        let mut last = load(&shared.received);
        let mut seconds = start.elapsed().as_secs_f64();
        loop {
            std::thread::sleep(Duration::from_millis(60));
            let now = load(&shared.received);
            if now == last {
                break;
            }
            last = now;
            seconds = start.elapsed().as_secs_f64();
        }
        self.nudge();
        std::thread::sleep(Duration::from_millis(30));
        Bulk {
            bytes: last - before.0,
            seconds,
            cpu_seconds: cpu(&shared) - before.1,
            calls: load(&shared.calls) - before.2,
            datagrams: load(&shared.datagrams) - before.3,
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.shared.ended.store(1, Ordering::Release);
        self.nudge();
        for thread in self.threads.drain(..) {
            thread.join().expect("the thread");
        }
    }
}

impl End {
    fn run(mut self) {
        let mut buffer = vec![0; 2000];
        while self.shared.ended.load(Ordering::Acquire) == 0 {
            self.fill();
            let timeout = self.drain();
            let now = Instant::now();
            let wait = timeout.saturating_duration_since(now);
            if wait.is_zero() {
                self.rtc
                    .handle_input(Input::Timeout(now))
                    .expect("a timeout");
                continue;
            }
            self.socket.set_read_timeout(Some(wait)).expect("a timeout");
            self.tell();
            self.shared.calls.fetch_add(2, Ordering::Relaxed);
            match self.socket.recv_from(&mut buffer) {
                Ok((1, _)) => {}
                Ok((len, source)) => {
                    self.shared.datagrams.fetch_add(1, Ordering::Relaxed);
                    let contents = buffer[..len].try_into().expect("a datagram");
                    let receive = Receive {
                        proto: Protocol::Udp,
                        source,
                        destination: self.local,
                        contents,
                    };
                    self.rtc
                        .handle_input(Input::Receive(Instant::now(), receive))
                        .expect("input");
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.rtc
                        .handle_input(Input::Timeout(Instant::now()))
                        .expect("a timeout");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reading the clock of the thread costs more than a packet: now and then is enough, and before a long sleep.
    fn tell(&mut self) {
        self.sent += 1;
        if self.sent.is_multiple_of(256) || self.shared.size.load(Ordering::Acquire) == 0 {
            let nanos = (thread_cpu() * 1e9) as u64;
            self.shared.cpu[self.n].store(nanos, Ordering::Release);
        }
    }

    fn fill(&mut self) {
        let size = self.shared.size.load(Ordering::Acquire);
        let Some(id) = self.channel.filter(|_| size > 0 && self.n == 0) else {
            return;
        };
        let message = vec![7; size];
        while let Some(mut channel) = self.rtc.channel(id) {
            let room = channel.buffered_amount() < BUFFERED;
            if !room || !channel.write(true, &message).expect("written") {
                return;
            }
        }
    }

    /// Sends what there is; when it wants to be called again.
    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("output") {
                Output::Timeout(at) => return at,
                Output::Transmit(t) => {
                    self.shared.calls.fetch_add(1, Ordering::Relaxed);
                    self.shared.datagrams.fetch_add(1, Ordering::Relaxed);
                    // A full socket loses it, as the network would.
                    let _ = self.socket.send_to(&t.contents, t.destination);
                }
                Output::Event(Event::ChannelOpen(id, _)) => {
                    self.channel = Some(id);
                    self.shared.open.fetch_add(1, Ordering::AcqRel);
                }
                Output::Event(Event::ChannelData(data)) => {
                    let bytes = data.data.len() as u64;
                    self.shared.received.fetch_add(bytes, Ordering::AcqRel);
                }
                Output::Event(_) => {}
            }
        }
    }
}
