//! Finding the largest packet that passes (RFC 8899), by HEARTBEAT with PAD.

use std::time::{Duration, Instant};

/// A size is given up after this many unanswered probes (RFC 8899 §5.1.2, MAX_PROBES).
const MAX_PROBES: u32 = 3;

/// The search ends when the bounds are this close, in octets.
const GRANULARITY: usize = 16;

/// Search again after this time (RFC 8899 §5.1.1, PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// Timeouts in a row after which a large size is no longer trusted.
const BLACK_HOLE_TIMEOUTS: u32 = 2;

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
}

impl PathMtu {
    pub(crate) fn new(base: usize, most: usize) -> Self {
        Self {
            base,
            most,
            current: base,
            phase: Phase::Off,
            timeouts: 0,
        }
    }

    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// The association can probe now.
    pub(crate) fn start(&mut self) {
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
        let Phase::Search {
            bound,
            probe,
            first,
        } = &mut self.phase
        else {
            return None;
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

    /// The probe with this mark was answered. True when it was one and the size grew.
    pub(crate) fn on_answer(&mut self, nonce: u64) -> bool {
        let Phase::Search { bound, probe, .. } = &mut self.phase else {
            return false;
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

    /// The timer ran out. True when a probe is to be sent now.
    pub(crate) fn on_timer(&mut self) -> bool {
        match &mut self.phase {
            Phase::Off => false,
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

    pub(crate) fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Search { .. })
    }

    /// When to call [`on_timer`](Self::on_timer).
    pub(crate) fn deadline(&self, now: Instant, rto: Duration) -> Option<Instant> {
        match self.phase {
            Phase::Off => None,
            Phase::Search { .. } => Some(now + rto),
            Phase::Done => (self.most > self.current).then(|| now + RAISE_AFTER),
        }
    }

    /// The retransmission timer ran out. True when the size fell back (§4.3, black hole).
    pub(crate) fn on_timeout(&mut self) -> bool {
        self.timeouts += 1;
        if self.timeouts < BLACK_HOLE_TIMEOUTS || self.current == self.base {
            return false;
        }
        self.current = self.base;
        self.phase = Phase::Done;
        true
    }

    /// Data was acknowledged.
    pub(crate) fn on_ack(&mut self) {
        self.timeouts = 0;
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
    }
}
