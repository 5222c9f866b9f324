//! One endpoint of ours and one of sctp-proto's, with a path between them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::proto::Proto;

/// One of ours and one of sctp-proto's.
pub struct Mixed {
    pub now: Instant,
    pub ours: tincan_sctp::data_channel::Endpoint,
    pub theirs: Proto,
    pub to_ours: super::Path,
    pub to_theirs: super::Path,
    pub rng: rand::rngs::StdRng,
    pub events: VecDeque<tincan_sctp::data_channel::Event>,
}

impl Mixed {
    pub fn exchange(&mut self) {
        let mut out = Vec::new();
        loop {
            let mut idle = true;
            while self.ours.poll_transmit(self.now, &mut out).is_some() {
                let packet = Bytes::from(std::mem::take(&mut out));
                self.to_theirs.push(self.now, packet, &mut self.rng);
                idle = false;
            }
            while let Some(packet) = self.theirs.poll_transmit(self.now) {
                self.to_ours.push(self.now, packet, &mut self.rng);
                idle = false;
            }
            while let Some(packet) = self.to_theirs.pop(self.now) {
                self.theirs.handle_input(self.now, packet);
                idle = false;
            }
            while let Some(packet) = self.to_ours.pop(self.now) {
                self.ours.handle_input(self.now, packet);
                idle = false;
            }
            self.events
                .extend(std::iter::from_fn(|| self.ours.poll_event()));
            if idle {
                break;
            }
        }
    }

    pub fn run(&mut self, time: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + time;
        loop {
            self.exchange();
            if done(self) {
                return;
            }
            let next = [
                self.ours.poll_timeout(),
                self.theirs.poll_timeout(),
                self.to_ours.queue.front().map(|p| p.0),
                self.to_theirs.queue.front().map(|p| p.0),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(next) = next.filter(|t| *t <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.ours.handle_timeout(self.now);
            self.theirs.handle_timeout(self.now);
        }
    }
}
