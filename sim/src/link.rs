//! One direction of one wire.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::accidents::{Chance, Harm};
use crate::packet::{Ecn, Packet};

/// Which way a link of an interface points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the host or gateway to the segment.
    Up,
    /// From the segment to the host or gateway.
    Down,
}

/// How packets are lost on the wire (not in the queue).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet alone, with this probability (0 to 1).
    Random(f64),
    /// The Gilbert–Elliott chain: a good and a bad state, moved between with the first two
    /// probabilities before each packet, each with its own loss.
    GilbertElliott {
        /// Probability of going from good to bad before a packet.
        to_bad: f64,
        /// Probability of going from bad to good before a packet.
        to_good: f64,
        /// Loss in the good state.
        loss_good: f64,
        /// Loss in the bad state.
        loss_bad: f64,
    },
}

impl Loss {
    /// Bursts of `mean_burst` packets on average that lose everything, `loss` (0 to 1) in all.
    pub fn bursts(loss: f64, mean_burst: f64) -> Self {
        let loss = loss.clamp(0.0, 0.999);
        let to_good = 1.0 / mean_burst.max(1.0);
        Self::GilbertElliott {
            to_bad: (to_good * loss / (1.0 - loss)).min(1.0),
            to_good,
            loss_good: 0.0,
            loss_bad: 1.0,
        }
    }
}

/// What waits in front of a link with a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// First in, first out; what does not fit in `bytes` is dropped.
    DropTail {
        /// Room in bytes, headers included.
        bytes: usize,
    },
    /// Two queues in the manner of RFC 9332: packets with ECT(1) or CE go to a short one that is
    /// served first and marked when a packet stayed longer than `step`; the others to a queue of
    /// `bytes` that marks ECT(0) and drops the rest with a probability that grows with the square
    /// of the time they stayed beyond `target`.
    DualMarking {
        /// Room in bytes of both queues together, headers included.
        bytes: usize,
        /// Sojourn time from which packets of the low-latency queue are marked.
        step: Duration,
        /// Sojourn time that the classic queue aims at.
        target: Duration,
    },
}

/// The properties of one direction of a wire. The default is a perfect wire: no delay, endless
/// rate, nothing lost.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    pub(crate) rate: Option<u64>,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: Loss,
    pub(crate) reorder: f64,
    pub(crate) reorder_delay: Duration,
    pub(crate) duplicate: f64,
    pub(crate) corrupt: f64,
    pub(crate) queue: Queue,
    pub(crate) mtu: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            reorder: 0.0,
            reorder_delay: Duration::ZERO,
            duplicate: 0.0,
            corrupt: 0.0,
            queue: Queue::DropTail { bytes: 256 * 1024 },
            mtu: 65_507,
        }
    }
}

impl LinkConfig {
    /// A perfect wire.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits a second, headers included; 0 means endless.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.rate = (bits_per_second > 0).then_some(bits_per_second);
        self
    }

    /// One-way propagation delay.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Up to this much more delay, uniformly drawn; order is kept.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Loss on the wire.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// With `probability` (0 to 1) a packet takes up to `by` longer and may be overtaken.
    pub fn reorder(mut self, probability: f64, by: Duration) -> Self {
        self.reorder = probability;
        self.reorder_delay = by;
        self
    }

    /// With `probability` (0 to 1) a packet arrives twice.
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }

    /// With `probability` (0 to 1) one bit of the payload is flipped.
    pub fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt = probability;
        self
    }

    /// The queue in front of the wire; without a rate nothing ever waits.
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// Largest UDP payload in bytes that passes; larger ones vanish, as behind a black-hole router.
    pub fn mtu(mut self, payload_bytes: usize) -> Self {
        self.mtu = payload_bytes;
        self
    }
}

/// What happened on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets handed to the link.
    pub offered: u64,
    /// Packets that left it at the far end, copies included.
    pub delivered: u64,
    /// Bytes that left it at the far end, headers included.
    pub delivered_bytes: u64,
    /// Packets lost on the wire.
    pub lost: u64,
    /// Packets that found the queue full or were dropped by it.
    pub queue_drops: u64,
    /// Packets larger than the MTU.
    pub too_large: u64,
    /// Packets marked with congestion experienced.
    pub marked: u64,
    /// Most bytes that ever waited.
    pub queue_peak: usize,
}

struct Waiting {
    packet: Packet,
    since: Instant,
}

/// One direction of one wire: a queue, a transmitter, a delay line.
pub(crate) struct Link {
    config: LinkConfig,
    low_latency: VecDeque<Waiting>,
    classic: VecDeque<Waiting>,
    queued_bytes: usize,
    on_wire: Option<Packet>,
    bad_state: bool,
    up: bool,
    last_arrival: Option<Instant>,
    stats: LinkStats,
    numbered: u64,
}

/// Extra delay of a stream's packet that the wire lost: the far end's retransmission.
const STREAM_LOSS_PENALTY: Duration = Duration::from_millis(200);

impl Link {
    /// An idle link.
    pub(crate) fn new(config: LinkConfig) -> Self {
        Self {
            config,
            low_latency: VecDeque::new(),
            classic: VecDeque::new(),
            queued_bytes: 0,
            on_wire: None,
            bad_state: false,
            up: true,
            last_arrival: None,
            stats: LinkStats::default(),
            numbered: 0,
        }
    }

    /// Changes the properties; what already waits or travels is not touched.
    pub(crate) fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// The number of the next packet. Those that find the cable pulled have one too, so that the others keep theirs in
    /// a replay in which it is not.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Counters since the start.
    pub(crate) fn stats(&self) -> LinkStats {
        self.stats
    }

    pub(crate) fn set_up(&mut self, up: bool) {
        self.up = up;
        if !up {
            self.stats.lost += (self.low_latency.len() + self.classic.len()) as u64;
            self.low_latency.clear();
            self.classic.clear();
            self.queued_bytes = 0;
        }
    }

    /// Takes a packet. Returns when the transmitter will be done with it if it was idle; the owner
    /// then calls [`Link::transmitted`] at that time.
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        packet: Packet,
        arrivals: &mut Vec<(Instant, Packet)>,
        chance: &mut Chance<'_>,
    ) -> Option<Instant> {
        self.stats.offered += 1;
        if !self.up {
            self.stats.lost += 1;
            return None;
        }
        if packet.segment.is_none() && packet.datagram.payload.len() > self.config.mtu {
            self.stats.too_large += 1;
            return None;
        }
        let Some(rate) = self.config.rate else {
            self.propagate(now, packet, arrivals, chance);
            return None;
        };
        let bytes = packet.wire_bytes();
        if self.on_wire.is_none() {
            self.on_wire = Some(packet);
            return Some(now + transmission_time(bytes, rate));
        }
        let room = match self.config.queue {
            Queue::DropTail { bytes } | Queue::DualMarking { bytes, .. } => bytes,
        };
        // A stream's sender slows down instead of losing: its packets always fit.
        if self.queued_bytes + bytes > room && packet.segment.is_none() {
            self.stats.queue_drops += 1;
            return None;
        }
        self.queued_bytes += bytes;
        self.stats.queue_peak = self.stats.queue_peak.max(self.queued_bytes);
        let low = matches!(self.config.queue, Queue::DualMarking { .. })
            && matches!(packet.datagram.ecn, Ecn::Ect1 | Ecn::Ce);
        let queue = if low {
            &mut self.low_latency
        } else {
            &mut self.classic
        };
        queue.push_back(Waiting { packet, since: now });
        None
    }

    /// The transmitter is done with a packet. Returns when it will be done with the next.
    pub(crate) fn transmitted(
        &mut self,
        now: Instant,
        arrivals: &mut Vec<(Instant, Packet)>,
        chance: &mut Chance<'_>,
    ) -> Option<Instant> {
        if let Some(packet) = self.on_wire.take() {
            if self.up {
                self.propagate(now, packet, arrivals, chance);
            } else {
                self.stats.lost += 1;
            }
        }
        while let Some((waiting, low)) = self.pop_waiting() {
            let Waiting { mut packet, since } = waiting;
            let bytes = packet.wire_bytes();
            self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
            if let Queue::DualMarking { step, target, .. } = self.config.queue {
                let stayed = now.saturating_duration_since(since);
                let congested = if low {
                    stayed > step
                } else {
                    let beyond = stayed.saturating_sub(target).as_secs_f64()
                        / target.as_secs_f64().max(1e-6);
                    beyond > 0.0 && chance.rng.random_bool((beyond * beyond * 0.05).min(1.0))
                };
                if congested {
                    if packet.datagram.ecn == Ecn::NotEct && packet.segment.is_none() {
                        self.stats.queue_drops += 1;
                        continue;
                    }
                    packet.datagram.ecn = Ecn::Ce;
                    self.stats.marked += 1;
                }
            }
            self.on_wire = Some(packet);
            let rate = self.config.rate.unwrap_or(u64::MAX);
            return Some(now + transmission_time(bytes, rate));
        }
        None
    }

    fn pop_waiting(&mut self) -> Option<(Waiting, bool)> {
        if let Some(waiting) = self.low_latency.pop_front() {
            return Some((waiting, true));
        }
        self.classic.pop_front().map(|waiting| (waiting, false))
    }

    fn propagate(
        &mut self,
        now: Instant,
        mut packet: Packet,
        arrivals: &mut Vec<(Instant, Packet)>,
        chance: &mut Chance<'_>,
    ) {
        let number = packet.number;
        let drawn = self.draw_loss(chance.rng).then_some(Harm::Loss);
        let lost = chance.decide(number, Harm::Loss, drawn).is_some();
        let stream = packet.segment.is_some();
        let mut at = now + self.config.delay;
        if lost {
            self.stats.lost += 1;
            if !stream {
                return;
            }
            at += STREAM_LOSS_PENALTY;
        }
        if !self.config.jitter.is_zero() {
            at += self.config.jitter.mul_f64(chance.rng.random::<f64>());
        }
        let rng = &mut *chance.rng;
        let drawn = (self.config.reorder > 0.0
            && rng.random_bool(self.config.reorder.clamp(0.0, 1.0)))
        .then(|| Harm::Delay(self.config.reorder_delay.mul_f64(rng.random::<f64>())));
        if let Some(Harm::Delay(by)) = chance.decide(number, Harm::Delay(Duration::ZERO), drawn) {
            at += by;
        } else {
            // Jitter alone does not reorder.
            at = self.last_arrival.map_or(at, |last| at.max(last));
            if !(stream && lost) {
                self.last_arrival = Some(at);
            }
        }
        if stream {
            self.count_delivery(&packet);
            arrivals.push((at, packet));
            return;
        }
        let bits = packet.datagram.payload.len() * 8;
        let rng = &mut *chance.rng;
        let drawn = (self.config.corrupt > 0.0
            && bits > 0
            && rng.random_bool(self.config.corrupt.clamp(0.0, 1.0)))
        .then(|| Harm::Flip(rng.random_range(0..bits)));
        if let Some(Harm::Flip(bit)) = chance.decide(number, Harm::Flip(0), drawn)
            && let Some(byte) = packet.datagram.payload.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        let drawn = (self.config.duplicate > 0.0
            && chance
                .rng
                .random_bool(self.config.duplicate.clamp(0.0, 1.0)))
        .then_some(Harm::Copy);
        if chance.decide(number, Harm::Copy, drawn).is_some() {
            self.count_delivery(&packet);
            arrivals.push((at, packet.clone()));
        }
        self.count_delivery(&packet);
        arrivals.push((at, packet));
    }

    fn count_delivery(&mut self, packet: &Packet) {
        self.stats.delivered += 1;
        self.stats.delivered_bytes += packet.wire_bytes() as u64;
    }

    fn draw_loss(&mut self, rng: &mut impl Rng) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random(p) => p > 0.0 && rng.random_bool(p.clamp(0.0, 1.0)),
            Loss::GilbertElliott {
                to_bad,
                to_good,
                loss_good,
                loss_bad,
            } => {
                let turn = if self.bad_state { to_good } else { to_bad };
                if rng.random_bool(turn.clamp(0.0, 1.0)) {
                    self.bad_state = !self.bad_state;
                }
                let p = if self.bad_state { loss_bad } else { loss_good };
                rng.random_bool(p.clamp(0.0, 1.0))
            }
        }
    }
}

fn transmission_time(bytes: usize, rate: u64) -> Duration {
    let nanos = (bytes as u128 * 8 * 1_000_000_000) / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
