//! Asks the sender for a key frame (RFC 4585 §6.3.1, RFC 5104 §4.3.1), not too often.

use std::time::{Duration, Instant};

use crate::clock::after;
use crate::rtcp::{FullIntraRequestEntry, Writer};
use crate::types::Ssrc;

/// Requests without an answer after which the pauses double; and how often they do, to some ten seconds.
const PATIENT_AFTER: u32 = 10;
const MOST_DOUBLINGS: u32 = 5;

/// Asks for a key frame of one stream until one comes: ten times, then ever less often, as some senders have no key frames
/// that can be told (periodic intra refresh, frames that are encrypted end to end).
#[derive(Clone, Debug)]
pub struct KeyFrameRequester {
    retry: Duration,
    wanted: bool,
    last: Option<Instant>,
    /// Requests since the last key frame.
    asked: u32,
    fir_sequence: u8,
    new_request: bool,
}

impl KeyFrameRequester {
    /// A requester that asks again after `retry`: a round trip and the time to encode a key frame.
    pub const fn new(retry: Duration) -> Self {
        Self {
            retry,
            wanted: false,
            last: None,
            asked: 0,
            fir_sequence: 0,
            new_request: false,
        }
    }

    /// Changes the time between requests.
    pub fn set_retry(&mut self, retry: Duration) {
        self.retry = retry;
    }

    /// A key frame is needed.
    pub fn request(&mut self) {
        if !self.wanted {
            self.wanted = true;
            self.new_request = true;
        }
    }

    /// A key frame came.
    pub fn on_key_frame(&mut self) {
        self.wanted = false;
        self.asked = 0;
    }

    /// From one request to the next.
    fn pause(&self) -> Duration {
        let doublings = self.asked.saturating_sub(PATIENT_AFTER).min(MOST_DOUBLINGS);
        self.retry.saturating_mul(1 << doublings)
    }

    /// Whether a key frame is being waited for.
    pub const fn is_waiting(&self) -> bool {
        self.wanted
    }

    /// When [`poll_pli`](Self::poll_pli) or [`poll_fir`](Self::poll_fir) will have something.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.wanted
            .then(|| self.last.map_or(now, |last| after(last, self.pause())))
    }

    /// Whether it is time to ask, for a caller that writes the request itself: `Some(false)` for a repetition of the one
    /// before, which no key frame has answered.
    pub fn poll(&mut self, now: Instant) -> Option<bool> {
        let waits = |last| now.saturating_duration_since(last) < self.pause();
        if !self.wanted || self.last.is_some_and(waits) {
            return None;
        }
        self.last = Some(now);
        self.asked = self.asked.saturating_add(1);
        Some(std::mem::take(&mut self.new_request))
    }

    /// Appends a PLI when it is time. Returns whether it did.
    pub fn poll_pli(&mut self, now: Instant, sender: Ssrc, media: Ssrc, out: &mut Vec<u8>) -> bool {
        let due = self.poll(now).is_some();
        if due {
            Writer::new(out).picture_loss(sender, media);
        }
        due
    }

    /// Appends a FIR when it is time; a repetition has the same number (RFC 5104 §4.3.1.2). Returns
    /// whether it did.
    pub fn poll_fir(&mut self, now: Instant, sender: Ssrc, media: Ssrc, out: &mut Vec<u8>) -> bool {
        let Some(new) = self.poll(now) else {
            return false;
        };
        self.fir_sequence = self.fir_sequence.wrapping_add(u8::from(new));
        let entry = FullIntraRequestEntry {
            ssrc: media,
            sequence: self.fir_sequence,
        };
        Writer::new(out).full_intra_request(sender, [entry]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_until_a_key_frame_comes_and_not_too_often() {
        let start = Instant::now();
        let retry = Duration::from_millis(200);
        let mut requester = KeyFrameRequester::new(retry);
        let mut out = Vec::new();
        let (us, them) = (Ssrc(1), Ssrc(2));
        assert!(!requester.poll_pli(start, us, them, &mut out));
        requester.request();
        assert!(requester.poll_fir(start, us, them, &mut out));
        assert!(!requester.poll_fir(start + retry / 2, us, them, &mut out));
        assert_eq!(requester.poll_timeout(start), Some(start + retry));
        assert!(requester.poll_fir(start + retry, us, them, &mut out));
        // The same request has the same number.
        assert_eq!(out[..20], out[20..]);
        requester.on_key_frame();
        assert_eq!(requester.poll_timeout(start), None);
        requester.request();
        out.clear();
        assert!(!requester.poll_pli(start + retry, us, them, &mut out));
        assert!(requester.poll_fir(start + retry * 2, us, them, &mut out));
        assert_eq!(out[16], 2);
        requester.set_retry(Duration::MAX);
        assert!(requester.poll_timeout(start).is_some_and(|at| at > start));
    }

    #[test]
    fn whoever_sends_no_key_frames_is_asked_ever_less_often() {
        let start = Instant::now();
        let mut requester = KeyFrameRequester::new(Duration::from_millis(300));
        requester.request();
        let mut asked = 0;
        for ms in 0..60_000 {
            asked += u32::from(requester.poll(start + Duration::from_millis(ms)).is_some());
        }
        assert!((15..20).contains(&asked), "{asked}");
        requester.on_key_frame();
        requester.request();
        let later = start + Duration::from_secs(61);
        assert_eq!(requester.poll(later), Some(true));
        assert_eq!(
            requester.poll_timeout(later),
            Some(later + Duration::from_millis(300))
        );
    }
}
