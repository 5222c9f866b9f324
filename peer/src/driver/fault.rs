//! A network that misbehaves on purpose: for the driver's own tests and those of its users.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::limits::MAX_DELAYED;
use crate::types::Transmit;

/// What goes wrong with the UDP datagrams of a driver ([`DriverConfig::faults`](super::DriverConfig::faults),
/// [`DriverHandle::set_faults`](super::DriverHandle::set_faults)) or of one peer
/// ([`Peer::set_faults`](super::Peer::set_faults)).
///
/// The far side needs to know nothing of it: datagrams vanish between the socket and the connection, in both directions.
///
/// ```
/// use std::time::Duration;
/// use tincan_peer::driver::Faults;
///
/// let train = Faults::new(42).with_loss(0.02).with_delay(Duration::from_millis(80));
/// let tunnel = train.with_down(true);
/// assert!(tunnel.is_down() && !train.is_down());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    seed: u64,
    /// Lost datagrams of 2³².
    loss: u64,
    delay: Duration,
    down: bool,
    mtu: usize,
}

impl Faults {
    /// No fault yet. The same seed loses the same datagrams of the same traffic.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            loss: 0,
            delay: Duration::ZERO,
            down: false,
            mtu: usize::MAX,
        }
    }

    /// The share of datagrams that is lost, in each direction; beyond 0 to 1 the nearer of them.
    #[must_use]
    pub fn with_loss(mut self, share: f64) -> Self {
        self.loss = (share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        self
    }

    /// How long a datagram is held before it is sent. Received ones are not held.
    #[must_use]
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest datagram that passes, in bytes of UDP payload; longer ones vanish in both directions, and no error
    /// tells, as where a router sends no word of it (a black hole).
    #[must_use]
    pub const fn with_mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Whether the network is gone: nothing gets out or in, and no error tells.
    #[must_use]
    pub const fn with_down(mut self, down: bool) -> Self {
        self.down = down;
        self
    }

    /// Whether the network is gone.
    pub const fn is_down(&self) -> bool {
        self.down
    }
}

/// Faults at work.
#[derive(Debug)]
pub(super) struct Faulty {
    faults: Faults,
    rng: StdRng,
}

impl Faulty {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            rng: StdRng::seed_from_u64(faults.seed),
        }
    }

    /// Whether the next datagram, of so many bytes, is lost.
    pub(super) fn loses(&mut self, len: usize) -> bool {
        self.faults.down
            || len > self.faults.mtu
            || (self.faults.loss > 0 && u64::from(self.rng.next_u32()) < self.faults.loss)
    }

    /// How long what is sent is held.
    pub(super) fn delay(&self) -> Duration {
        self.faults.delay
    }

    /// Takes lost datagrams out of a transmit at the start of `bytes`. Returns how many there were.
    pub(super) fn thin(&mut self, transmit: &mut Transmit, bytes: &mut Vec<u8>) -> u64 {
        let segment = transmit.segment_size.unwrap_or(transmit.len).max(1);
        let (mut lost, mut from, mut to) = (0, 0, 0);
        while from < transmit.len {
            let end = (from + segment).min(transmit.len);
            if self.loses(end - from) {
                lost += 1;
            } else {
                bytes.copy_within(from..end, to);
                to += end - from;
            }
            from = end;
        }
        bytes.truncate(to);
        transmit.len = to;
        if to <= segment {
            transmit.segment_size = None;
        }
        lost
    }
}

/// A transmit that waits for its time.
#[derive(Debug)]
pub(super) struct Held {
    at: Instant,
    number: u64,
    pub(super) socket: usize,
    pub(super) transmit: Transmit,
    pub(super) bytes: Vec<u8>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    /// The heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What is on its way through a slow network.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    heap: BinaryHeap<Held>,
    number: u64,
}

impl Delayed {
    /// Holds a transmit; `false` if there is no room.
    pub(super) fn push(
        &mut self,
        at: Instant,
        socket: usize,
        transmit: Transmit,
        bytes: &[u8],
    ) -> bool {
        if self.heap.len() >= MAX_DELAYED {
            return false;
        }
        self.number += 1;
        self.heap.push(Held {
            at,
            number: self.number,
            socket,
            transmit,
            bytes: bytes.to_vec(),
        });
        true
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|held| held.at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Held> {
        let due = self.next().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Ecn, Protocol};

    fn run(len: usize, segment: usize) -> (Transmit, Vec<u8>) {
        let transmit = Transmit {
            local: "127.0.0.1:1".parse().unwrap(),
            remote: "127.0.0.1:2".parse().unwrap(),
            transport: Protocol::Udp,
            len,
            segment_size: Some(segment),
            ecn: Ecn::NotEct,
        };
        let bytes = (0..len).map(|n| (n / segment) as u8).collect();
        (transmit, bytes)
    }

    #[test]
    fn loss_takes_whole_datagrams_out_of_a_run_and_repeats_with_its_seed() {
        let faults = Faults::new(9).with_loss(0.3);
        let mut again = Faulty::new(faults);
        let mut faulty = Faulty::new(faults);
        let mut lost = 0;
        for _ in 0..200 {
            let (mut transmit, mut bytes) = run(995, 100);
            let gone = faulty.thin(&mut transmit, &mut bytes);
            let expected: Vec<u8> = (0..10).filter(|_| !again.loses(100)).collect();
            assert_eq!(gone, 10 - expected.len() as u64);
            assert_eq!(transmit.len, bytes.len());
            assert!(expected.len() > 1 || transmit.segment_size.is_none());
            let kept: Vec<u8> = bytes.chunks(100).map(|c| c[0]).collect();
            assert_eq!(kept, expected);
            lost += gone;
        }
        assert!((450..750).contains(&lost), "{lost} of 2000");
    }

    #[test]
    fn delayed_datagrams_come_out_in_order_at_their_time() {
        let now = Instant::now();
        let mut delayed = Delayed::default();
        for n in 0..3 {
            let (transmit, bytes) = run(100, 100);
            assert!(delayed.push(now + Duration::from_millis(10), n, transmit, &bytes));
        }
        assert!(delayed.pop_due(now).is_none());
        let later = delayed.next().unwrap();
        let order: Vec<_> = std::iter::from_fn(|| delayed.pop_due(later))
            .map(|held| held.socket)
            .collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn what_is_longer_than_the_mtu_vanishes_and_nothing_else() {
        let mut faulty = Faulty::new(Faults::new(1).with_mtu(99));
        let (mut transmit, mut bytes) = run(250, 100);
        assert_eq!(faulty.thin(&mut transmit, &mut bytes), 2);
        assert_eq!((transmit.len, bytes), (50, vec![2; 50]));
    }

    #[test]
    fn a_network_that_is_down_loses_everything() {
        let mut faulty = Faulty::new(Faults::new(1).with_down(true));
        let (mut transmit, mut bytes) = run(500, 100);
        assert_eq!(faulty.thin(&mut transmit, &mut bytes), 5);
        assert_eq!((transmit.len, bytes.len()), (0, 0));
    }
}
