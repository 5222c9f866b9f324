//! str0m on a plain socket loop: one thread, one socket, the peers asked one after the other, as its examples do it.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::Mid;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::Totals;
use crate::driver::theirs::socket;

/// The longest sleep, to see the end.
const NAP: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Done {
    calls: AtomicU64,
    datagrams: AtomicU64,
}

pub(super) struct Forwarder {
    socket: UdpSocket,
    local: SocketAddr,
    clients: Vec<Client>,
    /// Which client has an address: the examples ask all for each datagram, which would be slower.
    routes: HashMap<SocketAddr, usize>,
    done: Arc<Done>,
    pending: Vec<RtpPacket>,
}

struct Client {
    rtc: Rtc,
    mid: Option<Mid>,
    publishes: bool,
    timeout: Instant,
}

impl Forwarder {
    pub(super) fn new() -> Self {
        let (socket, local) = socket();
        Self {
            socket,
            local,
            clients: Vec::new(),
            routes: HashMap::new(),
            done: Arc::default(),
            pending: Vec::new(),
        }
    }

    fn take(&mut self, source: SocketAddr, datagram: &[u8]) {
        let Ok(contents) = datagram.try_into() else {
            return;
        };
        let receive = Receive {
            proto: Protocol::Udp,
            source,
            destination: self.local,
            contents,
        };
        let input = Input::Receive(Instant::now(), receive);
        let known = self.routes.get(&source).copied();
        let accepts = |n: &usize| self.clients[*n].rtc.accepts(&input);
        let Some(n) = known.or_else(|| (0..self.clients.len()).find(accepts)) else {
            return;
        };
        self.routes.insert(source, n);
        self.clients[n].rtc.handle_input(input).expect("input");
        self.drain(n);
    }

    fn drain(&mut self, n: usize) {
        let client = &mut self.clients[n];
        loop {
            match client.rtc.poll_output().expect("output") {
                Output::Timeout(at) => {
                    client.timeout = at;
                    return;
                }
                Output::Transmit(t) => {
                    self.done.calls.fetch_add(1, Ordering::Relaxed);
                    self.done.datagrams.fetch_add(1, Ordering::Relaxed);
                    // A full socket loses it, as the network would.
                    let _ = self.socket.send_to(&t.contents, t.destination);
                }
                Output::Event(Event::MediaAdded(media)) => client.mid = Some(media.mid),
                Output::Event(Event::RtpPacket(packet)) if client.publishes => {
                    self.pending.push(packet);
                }
                Output::Event(_) => {}
            }
        }
    }

    fn forward(&mut self) {
        for packet in std::mem::take(&mut self.pending) {
            for n in 0..self.clients.len() {
                let client = &mut self.clients[n];
                let Some(mid) = client.mid.filter(|_| !client.publishes) else {
                    continue;
                };
                let mut direct = client.rtc.direct_api();
                let Some(stream) = direct.stream_tx_by_mid(mid, None) else {
                    continue;
                };
                let write = RtpWrite::new(
                    packet.header.payload_type,
                    packet.seq_no,
                    packet.header.timestamp,
                    packet.timestamp,
                    packet.payload.clone(),
                );
                stream.write_rtp(write.marker(packet.header.marker));
                self.drain(n);
            }
        }
    }
}

impl super::Forwarder for Forwarder {
    fn answer(&mut self, offer: &str, publishes: bool) -> String {
        let now = Instant::now();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        rtc.add_local_candidate(Candidate::host(self.local, "udp").expect("a candidate"));
        let offer = SdpOffer::from_sdp_string(offer).expect("an offer");
        let answer = rtc.sdp_api().accept_offer(offer).expect("an answer");
        self.clients.push(Client {
            rtc,
            mid: None,
            publishes,
            timeout: now,
        });
        self.drain(self.clients.len() - 1);
        answer.to_sdp_string()
    }

    fn totals(&self) -> Box<dyn Fn() -> Totals> {
        let done = self.done.clone();
        Box::new(move || {
            (
                done.calls.load(Ordering::Relaxed),
                done.datagrams.load(Ordering::Relaxed),
            )
        })
    }

    fn run(mut self, ended: &AtomicBool) {
        let mut buffer = vec![0; 2000];
        while !ended.load(Ordering::Acquire) {
            let now = Instant::now();
            for n in 0..self.clients.len() {
                if self.clients[n].timeout <= now {
                    let input = Input::Timeout(now);
                    self.clients[n].rtc.handle_input(input).expect("a timeout");
                    self.drain(n);
                }
            }
            self.forward();
            let next = self.clients.iter().map(|client| client.timeout).min();
            let wait = next
                .map_or(NAP, |at| at.saturating_duration_since(Instant::now()))
                .clamp(Duration::from_millis(1), NAP);
            self.socket.set_read_timeout(Some(wait)).expect("a timeout");
            self.done.calls.fetch_add(2, Ordering::Relaxed);
            match self.socket.recv_from(&mut buffer) {
                Ok((len, source)) => {
                    self.done.datagrams.fetch_add(1, Ordering::Relaxed);
                    self.take(source, &buffer[..len]);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
