//! str0m's ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Two peers and the wire between them.
pub(crate) struct Theirs {
    ends: [Rtc; 2],
    next: [Instant; 2],
    now: Instant,
    channel: Option<ChannelId>,
    open: bool,
    received: usize,
    wire: Vec<(usize, SocketAddr, SocketAddr, Vec<u8>)>,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

impl Theirs {
    /// Drains one end, as its API asks after each input.
    fn drain(&mut self, n: usize) {
        loop {
            match self.ends[n].poll_output().expect("output") {
                Output::Timeout(at) => {
                    self.next[n] = at;
                    return;
                }
                Output::Transmit(t) => {
                    self.wire
                        .push((1 - n, t.source, t.destination, t.contents.into()))
                }
                Output::Event(Event::ChannelOpen(id, _)) if n == 0 => {
                    self.channel = Some(id);
                    self.open = true;
                }
                Output::Event(Event::ChannelData(data)) => self.received += data.data.len(),
                Output::Event(_) => {}
            }
        }
    }

    fn step(&mut self) {
        let mut idle = true;
        for n in [0, 1] {
            self.drain(n);
        }
        for (to, source, destination, contents) in std::mem::take(&mut self.wire) {
            idle = false;
            self.now += Duration::from_micros(1);
            let receive = Receive {
                proto: Protocol::Udp,
                source,
                destination,
                contents: contents.as_slice().try_into().expect("a datagram"),
            };
            self.ends[to]
                .handle_input(Input::Receive(self.now, receive))
                .expect("input");
            self.drain(to);
        }
        if idle && self.wire.is_empty() {
            self.now = self.now.max(self.next[0].min(self.next[1]));
        }
        for n in [0, 1] {
            if self.next[n] <= self.now {
                self.ends[n]
                    .handle_input(Input::Timeout(self.now))
                    .expect("timeout");
                self.drain(n);
            }
        }
    }
}

impl super::Pair for Theirs {
    fn connected() -> Self {
        let now = Instant::now();
        let mut ends = [0, 1].map(|_| Rtc::new(now));
        for (n, end) in ends.iter_mut().enumerate() {
            end.add_local_candidate(Candidate::host(address(n), "udp").expect("a candidate"));
        }
        let [a, b] = &mut ends;
        let mut change = a.sdp_api();
        change.add_channel("bench".into());
        let (offer, pending) = change.apply().expect("an offer");
        let answer = b.sdp_api().accept_offer(offer).expect("an answer");
        a.sdp_api()
            .accept_answer(pending, answer)
            .expect("accepted");
        let mut pair = Theirs {
            ends,
            next: [now; 2],
            now,
            channel: None,
            open: false,
            received: 0,
            wire: Vec::new(),
        };
        for _ in 0..10_000 {
            if pair.open {
                break;
            }
            pair.step();
        }
        assert!(pair.open, "the channel did not open");
        pair
    }

    fn transfer(&mut self, size: usize, octets: usize) {
        let Some(id) = self.channel else { return };
        let message = vec![7; size];
        self.received = 0;
        while self.received < octets {
            loop {
                let Some(mut channel) = self.ends[0].channel(id) else {
                    return;
                };
                let room = channel.buffered_amount() < 1 << 17;
                if !room || !channel.write(true, &message).expect("written") {
                    break;
                }
            }
            self.step();
        }
    }
}
