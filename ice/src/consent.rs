//! Consent freshness and liveness of the selected pair (RFC 7675).
//!
//! While answers come, one request every 4 to 6 seconds. When one stays
//! unanswered, or data go out and nothing at all comes back, requests follow
//! each other faster, so that a dead path is known in a second or two of a
//! call instead of half a minute. Only responses renew consent; anything
//! authenticated that arrives calms suspicion.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::pair::Pair;

/// Intervals, from the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) interval: Duration,
    pub(crate) expiry: Duration,
}

/// While suspicious: a request this often, at first.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// After this many unanswered ones they slow down to twice the interval.
const FAST_PROBES: u32 = 8;
/// Data going out with nothing coming back for this long is suspicious.
const QUIET: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Consent {
    timing: Timing,
    /// Next request.
    next: Instant,
    /// When it ends without another response.
    expires: Instant,
    last_request: Option<Instant>,
    unanswered: u32,
    suspect_since: Option<Instant>,
}

impl Consent {
    /// Begins with a pair: mostly one that a check has just proved, else what
    /// it answered last counts, and it is asked at once.
    pub(crate) fn new(now: Instant, pair: &Pair, timing: Timing, rng: &mut impl Rng) -> Self {
        let fresh = pair.last_response.is_some_and(|at| now < at + QUIET) && pair.asked.is_none();
        let pause = randomised(timing.interval, rng);
        Self {
            timing,
            next: if fresh { now + pause } else { now },
            expires: pair.consent_ends(now, timing.expiry),
            last_request: None,
            unanswered: 0,
            suspect_since: pair.suspect_since(),
        }
    }

    /// Whether a request is due. The caller sends it at once.
    pub(crate) fn due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// A request was sent.
    pub(crate) fn sent(&mut self, now: Instant, rtt: Option<Duration>) {
        if self.unanswered > 0 {
            // The previous one had its chance.
            self.suspect_since
                .get_or_insert(self.last_request.unwrap_or(now));
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_request = Some(now);
        // A late answer on a long path is no reason for suspicion.
        let patience = PROBE_INTERVAL.max(rtt.unwrap_or_default() * 2);
        self.next = now
            + if self.unanswered > FAST_PROBES {
                patience * 2
            } else {
                patience
            };
    }

    /// A response to a request of ours on this pair.
    pub(crate) fn response(&mut self, now: Instant, rng: &mut impl Rng) {
        self.expires = now + self.timing.expiry;
        self.unanswered = 0;
        self.suspect_since = None;
        self.next = now + randomised(self.timing.interval, rng);
    }

    /// Data or an authenticated request arrived on this pair.
    pub(crate) fn heard(&mut self) {
        self.suspect_since = None;
    }

    /// Data were sent; `silence` is how long nothing has arrived.
    pub(crate) fn data_sent(&mut self, now: Instant, silence: Duration) {
        if silence >= QUIET && self.unanswered == 0 {
            let earliest = self.last_request.map_or(now, |at| at + QUIET);
            self.next = self.next.min(earliest.max(now));
        }
    }

    /// Ask now: something suspicious happened.
    pub(crate) fn probe(&mut self, now: Instant) {
        if self.unanswered == 0 {
            self.next = self.next.min(now);
        }
    }

    /// For how long requests have stayed without any sign of life.
    pub(crate) fn suspect_for(&self, now: Instant) -> Option<Duration> {
        self.suspect_since
            .map(|since| now.saturating_duration_since(since))
    }

    pub(crate) fn suspect_since(&self) -> Option<Instant> {
        self.suspect_since
    }

    /// RFC 7675 §5.1: no response for the expiry time, nothing may be sent.
    pub(crate) fn expired(&self, now: Instant) -> bool {
        now >= self.expires
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next.min(self.expires)
    }
}

/// RFC 7675 §5.1: between 0.8 and 1.2 of the interval.
pub(crate) fn randomised(interval: Duration, rng: &mut impl Rng) -> Duration {
    interval * rng.random_range(800..=1200u32) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::CandidateKind;
    use crate::pair::{BaseId, LocalId, NewPair, RemoteId};
    use crate::priority::Priority;
    use crate::role::Role;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// One that a check has just proved.
    fn proved(now: Instant) -> Pair {
        let new = NewPair {
            base: BaseId(0),
            local: LocalId(0),
            local_kind: CandidateKind::Host,
            local_priority: Priority(1),
            remote: RemoteId(0),
            remote_addr: ([192, 0, 2, 1], 1000).into(),
            remote_kind: CandidateKind::Host,
            remote_priority: Priority(1),
            foundation: (0, 0),
            reliable: false,
        };
        let mut pair = Pair::new(new, Role::Controlling);
        pair.asks(now);
        pair.answered(now);
        pair
    }

    const TIMING: Timing = Timing {
        interval: Duration::from_secs(5),
        expiry: Duration::from_secs(30),
    };

    #[test]
    fn answered_requests_are_four_to_six_seconds_apart_and_not_regular() {
        let mut rng = StdRng::seed_from_u64(3);
        let begin = Instant::now();
        let mut consent = Consent::new(begin, &proved(begin), TIMING, &mut rng);
        let mut last = begin;
        let mut gaps = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let now = consent.poll_timeout();
            assert!(consent.due(now) && !consent.expired(now));
            let gap = now - last;
            assert!((4000..=6000).contains(&gap.as_millis()), "{gap:?}");
            gaps.insert(gap);
            consent.sent(now, None);
            consent.response(now, &mut rng);
            last = now;
        }
        assert!(gaps.len() > 20);
    }

    #[test]
    fn silence_makes_it_ask_faster_and_expires_thirty_seconds_after_the_last_answer() {
        let mut rng = StdRng::seed_from_u64(4);
        let begin = Instant::now();
        let mut consent = Consent::new(begin, &proved(begin), TIMING, &mut rng);
        let mut now = begin;
        let mut requests = 0;
        while !consent.expired(now) {
            now = consent.poll_timeout();
            if consent.due(now) && !consent.expired(now) {
                consent.sent(now, Some(Duration::from_millis(20)));
                requests += 1;
            }
        }
        assert_eq!(now - begin, Duration::from_secs(30));
        assert!((20..40).contains(&requests), "{requests}");
        assert!(consent.suspect_for(now) > Some(Duration::from_secs(20)));
    }

    #[test]
    fn one_way_data_are_questioned_after_a_second() {
        let mut rng = StdRng::seed_from_u64(5);
        let begin = Instant::now();
        let mut consent = Consent::new(begin, &proved(begin), TIMING, &mut rng);
        let later = begin + Duration::from_secs(2);
        consent.data_sent(later, Duration::from_millis(500));
        assert!(!consent.due(later));
        consent.data_sent(later, Duration::from_millis(1500));
        assert!(consent.due(later));
        consent.sent(later, None);
        consent.response(later, &mut rng);
        consent.data_sent(later, Duration::from_millis(1500));
        assert!(
            !consent.due(later + Duration::from_millis(900)),
            "once a second at most"
        );
    }

    #[test]
    fn a_pair_that_was_a_reserve_begins_with_what_it_answered_last() {
        let mut rng = StdRng::seed_from_u64(6);
        let secs = Duration::from_secs;
        let begin = Instant::now();
        // Asked in vain since a while: as suspicious as the one before it.
        let mut silent = proved(begin);
        for n in 0..4 {
            silent.asks(begin + secs(12 + n));
        }
        let consent = Consent::new(begin + secs(25), &silent, TIMING, &mut rng);
        assert!(consent.due(begin + secs(25)));
        assert_eq!(consent.suspect_for(begin + secs(25)), Some(secs(13)));
        assert!(!consent.expired(begin + secs(29)));
        assert!(consent.expired(begin + secs(30)));
        // Not asked for a minute, or once: it gets the time for an answer.
        for requests in 0..2 {
            let mut reserve = proved(begin);
            for _ in 0..requests {
                reserve.asks(begin + secs(20));
            }
            let consent = Consent::new(begin + secs(60), &reserve, TIMING, &mut rng);
            assert!(consent.due(begin + secs(60)));
            assert!(!consent.expired(begin + secs(64)));
            assert!(consent.expired(begin + secs(65)));
        }
    }
}
