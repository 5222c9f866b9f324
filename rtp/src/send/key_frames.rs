//! Requests for key frames that reach a sender (RFC 4585 §6.3.1, RFC 5104 §4.3.1).

use std::time::{Duration, Instant};

use crate::clock::after;
use crate::limits::FIR_REQUESTERS;
use crate::types::Ssrc;

/// Decides when requests make the encoder produce a key frame: not more often than an interval, and
/// none for a repeated FIR.
#[derive(Clone, Debug)]
pub struct KeyFrameRequests {
    min_interval: Duration,
    last: Option<Instant>,
    pending: bool,
    /// The last FIR of each requester.
    requesters: Vec<(Ssrc, u8)>,
    received: u64,
}

impl KeyFrameRequests {
    /// At most one key frame in `min_interval`: each costs as much as a second of video.
    pub const fn new(min_interval: Duration) -> Self {
        Self {
            min_interval,
            last: None,
            pending: false,
            requesters: Vec::new(),
            received: 0,
        }
    }

    /// A PLI came.
    pub fn on_pli(&mut self) {
        self.received += 1;
        self.pending = true;
    }

    /// A FIR entry for this stream came from `requester`.
    pub fn on_fir(&mut self, requester: Ssrc, sequence: u8) {
        self.received += 1;
        if let Some(known) = self.requesters.iter_mut().find(|(s, _)| *s == requester) {
            if known.1 == sequence {
                return;
            }
            known.1 = sequence;
        } else {
            if self.requesters.len() >= FIR_REQUESTERS {
                self.requesters.remove(0);
            }
            self.requesters.push((requester, sequence));
        }
        self.pending = true;
    }

    /// Whether the encoder shall make a key frame now; says so once.
    pub fn poll(&mut self, now: Instant) -> bool {
        if !self.pending || self.poll_timeout().is_some_and(|at| at > now) {
            return false;
        }
        self.pending = false;
        self.last = Some(now);
        true
    }

    /// When [`poll`](Self::poll) will say so; `None` when nothing is asked, or at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let last = self.last.filter(|_| self.pending)?;
        Some(after(last, self.min_interval))
    }

    /// Requests that came.
    pub const fn received(&self) -> u64 {
        self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_frequent_requests_make_one_key_frame() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut requests = KeyFrameRequests::new(second);
        assert!(!requests.poll(start));
        requests.on_fir(Ssrc(1), 7);
        assert!(requests.poll(start));
        requests.on_fir(Ssrc(1), 7);
        assert!(!requests.poll(start + 2 * second));
        requests.on_fir(Ssrc(2), 7);
        assert!(requests.poll(start + 2 * second));
        requests.on_pli();
        requests.on_pli();
        assert!(!requests.poll(start + 2 * second));
        assert_eq!(requests.poll_timeout(), Some(start + 3 * second));
        assert!(requests.poll(start + 3 * second));
        for n in 0..1000 {
            requests.on_fir(Ssrc(n), 1);
        }
        assert_eq!(requests.requesters.len(), FIR_REQUESTERS);
        requests.min_interval = Duration::MAX;
        assert!(
            requests
                .poll_timeout()
                .is_some_and(|at| at > start + second)
        );
        assert!(!requests.poll(start + 4 * second));
    }
}
