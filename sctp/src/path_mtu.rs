//! Finding the largest packet that passes (RFC 8899), by HEARTBEAT with PAD.
//!
//! Messages are cut so that every chunk fits the smallest size, `base`, and a larger packet holds several. So a path that
//! shrinks never strands what is in flight: it goes again in smaller packets, without IP's help (RFC 9260 §6.9 has IP
//! fragment chunks that were cut too large, which "don't fragment" and IPv6's routers forbid).

use std::time::{Duration, Instant};

/// A size is given up after this many unanswered probes (RFC 8899 §5.1.2, MAX_PROBES).
const MAX_PROBES: u32 = 3;

/// The search ends when the bounds are this close, in octets.
const GRANULARITY: usize = 16;

/// Search again after this time (RFC 8899 §5.1.1, PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// Timeouts in a row after which a large size is no longer trusted.
const BLACK_HOLE_TIMEOUTS: u32 = 2;

/// Losses make the size be confirmed no more often than this. Small packets may go on arriving where large ones vanish,
/// so that timeouts alone don't tell (RFC 8899 §4.3); congestion loses packets of any size all the time.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No search: not wanted, or not yet possible.
    Off,
    /// Sizes from `current` up to this one are still possible.
    Search {
        bound: usize,
        probe: Option<Probe>,
        first: bool,
    },
    /// Packets were lost: whether `current` still passes (RFC 8899 §4.3).
    Confirm(Probe),
    /// Large packets vanished. The search begins anew when data arrives again: until then it is the path that fails.
    Fallen,
    /// Done until the raise timer.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    size: usize,
    nonce: u64,
    tries: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct PathMtu {
    base: usize,
    most: usize,
    current: usize,
    phase: Phase,
    timeouts: u32,
    /// When losses may have the size confirmed again.
    confirm_from: Option<Instant>,
    /// When to search again, since a search ended: confirmations in between do not put it off.
    raise_at: Option<Instant>,
}

impl PathMtu {
    pub(crate) fn new(base: usize, most: usize) -> Self {
        Self {
            base,
            most,
            current: base,
            phase: Phase::Off,
            timeouts: 0,
            confirm_from: None,
            raise_at: None,
        }
    }

    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// The size that surely passes.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// The largest size that is ever tried.
    pub(crate) fn most(&self) -> usize {
        self.most.max(self.base)
    }

    /// Another path, of which only `base` is known; `most` is looked for from the next [`start`](Self::start) on.
    pub(crate) fn change(&mut self, most: usize) {
        *self = Self::new(self.base, most);
    }

    /// The association can probe now.
    pub(crate) fn start(&mut self) {
        self.raise_at = None;
        self.phase = if self.most > self.current {
            Phase::Search {
                bound: self.most,
                probe: None,
                first: true,
            }
        } else {
            Phase::Off
        };
    }

    /// The size of the probe to be sent now, if any; `nonce` marks it.
    pub(crate) fn next_probe(&mut self, nonce: u64) -> Option<usize> {
        let current = self.current;
        let (bound, probe, first) = match &mut self.phase {
            Phase::Search {
                bound,
                probe,
                first,
            } => (bound, probe, first),
            Phase::Confirm(probe) => {
                probe.tries += 1;
                probe.nonce = nonce;
                return Some(probe.size);
            }
            Phase::Off | Phase::Fallen | Phase::Done => return None,
        };
        match probe {
            Some(probe) => {
                probe.tries += 1;
                probe.nonce = nonce;
                Some(probe.size)
            }
            None => {
                // The configured size is the likeliest one: try it before halving.
                let size = if std::mem::take(first) {
                    *bound
                } else {
                    current.midpoint(*bound)
                };
                let size = (size & !3).max(current + 4);
                *probe = Some(Probe {
                    size,
                    nonce,
                    tries: 1,
                });
                Some(size)
            }
        }
    }

    /// The probe with this mark was answered. True when it was one: the size may have grown.
    pub(crate) fn on_answer(&mut self, nonce: u64) -> bool {
        let (bound, probe) = match &mut self.phase {
            Phase::Search { bound, probe, .. } => (bound, probe),
            Phase::Confirm(probe) if probe.nonce == nonce => {
                self.timeouts = 0;
                self.phase = Phase::Done;
                return true;
            }
            _ => return false,
        };
        let Some(answered) = probe.filter(|p| p.nonce == nonce) else {
            return false;
        };
        *probe = None;
        self.current = answered.size;
        self.timeouts = 0;
        if self.current + GRANULARITY > *bound {
            self.phase = Phase::Done;
        }
        true
    }

    /// The timer ran out. True when a probe is to be sent now. The size may have fallen.
    pub(crate) fn on_timer(&mut self) -> bool {
        match &mut self.phase {
            Phase::Off | Phase::Fallen => false,
            Phase::Confirm(probe) => {
                let goes_on = probe.tries < MAX_PROBES;
                if !goes_on {
                    self.fall();
                }
                goes_on
            }
            Phase::Done => {
                self.start();
                self.is_searching()
            }
            Phase::Search { bound, probe, .. } => {
                if let Some(unanswered) = probe.filter(|p| p.tries >= MAX_PROBES) {
                    *bound = unanswered.size - 4;
                    *probe = None;
                    if self.current + GRANULARITY > *bound {
                        self.phase = Phase::Done;
                        return false;
                    }
                }
                true
            }
        }
    }

    /// Only `base` is trusted.
    fn fall(&mut self) {
        self.current = self.base;
        self.timeouts = 0;
        self.phase = Phase::Fallen;
    }

    /// A packet is taken to be lost. True when the size is to be confirmed, by a probe now.
    pub(crate) fn on_loss(&mut self, now: Instant) -> bool {
        let rests = self.confirm_from.is_some_and(|from| now < from);
        if self.phase != Phase::Done || self.current == self.base || rests {
            return false;
        }
        self.confirm_from = Some(now + CONFIRM_EVERY);
        self.phase = Phase::Confirm(Probe {
            size: self.current,
            nonce: 0,
            tries: 0,
        });
        true
    }

    /// The system refused to send a packet of `size` in one piece: its interface is known to be smaller. True when a
    /// probe is to be sent now. The size may have fallen.
    pub(crate) fn on_refusal(&mut self, size: usize) -> bool {
        let most = size.saturating_sub(1) & !3;
        let too_large = self.current >= size && self.current > self.base;
        if too_large {
            self.current = self.base;
        }
        let bound = match self.phase {
            // A late word of a probe that was given up already.
            Phase::Search { bound, .. } if bound <= most && !too_large => return false,
            Phase::Search { bound, .. } => bound.min(most),
            Phase::Confirm(_) | Phase::Done if too_large => most,
            _ => return false,
        };
        if self.current + GRANULARITY > bound {
            self.phase = Phase::Done;
            return false;
        }
        self.phase = Phase::Search {
            bound,
            probe: None,
            first: false,
        };
        true
    }

    pub(crate) fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Search { .. })
    }

    /// When to call [`on_timer`](Self::on_timer).
    pub(crate) fn deadline(&mut self, now: Instant, rto: Duration) -> Option<Instant> {
        match self.phase {
            Phase::Off | Phase::Fallen => None,
            Phase::Search { .. } | Phase::Confirm(_) => Some(now + rto),
            Phase::Done if self.most > self.current => {
                Some(*self.raise_at.get_or_insert(now + RAISE_AFTER))
            }
            Phase::Done => None,
        }
    }

    /// The retransmission timer ran out. True when the size fell back (§4.3, black hole).
    pub(crate) fn on_timeout(&mut self) -> bool {
        self.timeouts += 1;
        if self.timeouts < BLACK_HOLE_TIMEOUTS || self.current == self.base {
            return false;
        }
        self.fall();
        true
    }

    /// Data was acknowledged. True when a search begins.
    #[inline]
    pub(crate) fn on_ack(&mut self) -> bool {
        self.timeouts = 0;
        if self.phase != Phase::Fallen {
            return false;
        }
        self.start();
        self.is_searching()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a path that passes packets up to `limit`.
    fn search(base: usize, most: usize, limit: usize) -> (usize, u32) {
        let mut path = PathMtu::new(base, most);
        path.start();
        let mut probes = 0;
        let mut nonce = 0;
        while path.is_searching() {
            nonce += 1;
            let Some(size) = path.next_probe(nonce) else {
                break;
            };
            probes += 1;
            assert!(probes < 200, "the search does not end");
            if size <= limit {
                assert!(path.on_answer(nonce));
            } else if !path.on_timer() {
                break;
            }
        }
        (path.current(), probes)
    }

    #[test]
    fn one_probe_confirms_the_configured_size() {
        assert_eq!(search(1_160, 1_400, 1_500), (1_400, 1));
    }

    #[test]
    fn finds_any_limit_within_the_granularity() {
        for limit in (1_160..9_000).step_by(37) {
            let (found, _) = search(1_160, 9_000, limit);
            assert!(
                found <= limit && found + 2 * GRANULARITY > limit,
                "{limit}: {found}"
            );
        }
    }

    #[test]
    fn falls_back_when_large_packets_vanish() {
        let mut path = PathMtu::new(1_160, 1_400);
        path.start();
        assert_eq!(path.next_probe(1), Some(1_400));
        assert!(!path.on_answer(2), "another heartbeat's answer");
        assert!(path.on_answer(1));
        assert!(!path.on_timeout());
        assert!(path.on_timeout());
        assert_eq!(path.current(), 1_160);
        // No probe into a path that is gone; a new search once it is back.
        assert_eq!(path.next_probe(3), None);
        assert_eq!(path.deadline(Instant::now(), Duration::ZERO), None);
        assert!(path.on_ack());
        assert_eq!(path.next_probe(4), Some(1_400));
        assert!(!path.on_ack(), "it has begun");
    }

    #[test]
    fn losses_have_the_size_confirmed_but_not_all_the_time() {
        let now = Instant::now();
        let mut path = PathMtu::new(1_160, 1_400);
        path.start();
        assert!(!path.on_loss(now), "nothing to confirm");
        path.next_probe(1);
        assert!(path.on_answer(1));
        assert!(path.on_loss(now));
        assert_eq!(path.next_probe(2), Some(1_400));
        assert!(path.on_answer(2));
        assert!(!path.on_loss(now + CONFIRM_EVERY / 2));
        assert_eq!(path.current(), 1_400);
        assert!(path.on_loss(now + CONFIRM_EVERY));
        for nonce in 3..3 + u64::from(MAX_PROBES) {
            assert_eq!(path.current(), 1_400);
            assert_eq!(path.next_probe(nonce), Some(1_400));
            assert_eq!(path.on_timer(), nonce < 2 + u64::from(MAX_PROBES));
        }
        assert_eq!(path.current(), 1_160);
        assert!(!path.on_answer(5), "too late");
    }

    /// RFC 8899 §5.1.1: on a path that loses packets all the time, too, a larger size is looked for.
    #[test]
    fn confirmations_do_not_put_off_the_next_search() {
        let (now, rto) = (Instant::now(), Duration::from_millis(200));
        let mut path = PathMtu::new(1_160, 1_400);
        path.start();
        let mut nonce = 0;
        while path.is_searching() {
            nonce += 1;
            let size = path.next_probe(nonce).unwrap();
            let _ = size <= 1_280 && path.on_answer(nonce) || path.on_timer();
        }
        let again = path.deadline(now, rto);
        assert_eq!(again, Some(now + RAISE_AFTER));
        for minute in 1..10 {
            let later = now + Duration::from_secs(60 * minute);
            assert!(path.on_loss(later));
            assert_eq!(path.deadline(later, rto), Some(later + rto));
            path.next_probe(100 + minute);
            assert!(path.on_answer(100 + minute));
            assert_eq!(path.deadline(later, rto), again);
        }
        assert!(path.on_timer() && path.is_searching());
    }

    #[test]
    fn what_the_system_refuses_is_not_tried_again() {
        let refusing = |limit: usize| {
            let mut path = PathMtu::new(1_160, 9_000);
            path.start();
            let mut probes = 0;
            let mut again = true;
            while again && path.is_searching() {
                probes += 1;
                let size = path.next_probe(probes).unwrap();
                again = if size > limit {
                    path.on_refusal(size)
                } else {
                    path.on_answer(probes)
                };
            }
            assert_eq!(path.phase, Phase::Done);
            (path, probes)
        };
        for limit in (1_160..9_000).step_by(37) {
            let (path, probes) = refusing(limit);
            let found = path.current();
            assert!(
                found <= limit && found + 2 * GRANULARITY > limit,
                "{limit}: {found}"
            );
            assert!(probes < 15, "{probes}");
        }
        // A smaller interface later on.
        let (mut path, _) = refusing(4_000);
        let found = path.current();
        assert!(!path.on_refusal(found + 4), "nothing of that size was sent");
        assert_eq!(path.current(), found);
        assert!(path.on_refusal(found));
        assert_eq!(path.current(), 1_160);
        assert!(path.next_probe(1).unwrap() < found);
        assert!(!path.on_refusal(1_000), "base is as small as it gets");
    }
}
