//! All timers of an association in one small array with names.

use std::time::Instant;

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// T1: INIT or COOKIE ECHO unanswered (RFC 9260 §5.1).
    Handshake,
    /// T2: SHUTDOWN or SHUTDOWN ACK unanswered (RFC 9260 §9.2).
    Shutdown,
    /// T3: data unacknowledged (RFC 9260 §6.3.2).
    Retransmission,
    /// The tail-loss probe (RFC 8985 §7).
    TailProbe,
    /// RACK's reordering window (RFC 8985 §6.2).
    Reordering,
    /// A delayed acknowledgement (RFC 9260 §6.2).
    Acknowledgement,
    /// The next heartbeat (RFC 9260 §8.3).
    Heartbeat,
    /// A re-configuration request unanswered (RFC 6525 §5.1.1).
    Reconfiguration,
    /// The pacer lets the next packet go.
    Pacing,
    /// A path-MTU probe unanswered, or time to search again (RFC 8899 §5.1.1).
    PathMtu,
    /// T5: shutting down takes too long (RFC 9260 §9.2).
    Guard,
}

const COUNT: usize = Timer::Guard as usize + 1;

const ALL: [Timer; COUNT] = [
    Timer::Handshake,
    Timer::Shutdown,
    Timer::Retransmission,
    Timer::TailProbe,
    Timer::Reordering,
    Timer::Acknowledgement,
    Timer::Heartbeat,
    Timer::Reconfiguration,
    Timer::Pacing,
    Timer::PathMtu,
    Timer::Guard,
];

#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; COUNT],
    closed: bool,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if !self.closed {
            self.at[timer as usize] = Some(at);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        self.at = [None; COUNT];
    }

    /// Stops all of them for good: an association that is closed waits for nothing.
    pub(crate) fn close(&mut self) {
        self.stop_all();
        self.closed = true;
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.at[timer as usize]
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }

    /// Takes one timer that has run out, if any.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let timer = ALL
            .into_iter()
            .find(|t| self.at[*t as usize].is_some_and(|at| at <= now))?;
        self.stop(timer);
        Some(timer)
    }
}
