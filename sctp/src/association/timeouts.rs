//! What happens when time has passed.

use std::time::Instant;

use super::{Association, State};
use crate::congestion::CongestionControl;
use crate::error::CloseReason;
use crate::timers::Timer;

impl Association {
    /// Time has passed: to be called at [`poll_timeout`](Self::poll_timeout), or any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_expired(now) {
            match timer {
                Timer::Handshake => self.repeat_handshake(now),
                Timer::Shutdown => self.repeat_shutdown(now),
                Timer::Retransmission => self.on_retransmission_timeout(now),
                Timer::TailProbe => {
                    self.counters.tail_probes += 1;
                    self.due.probe = self.outstanding.in_flight() > 0;
                    // RFC 8985 §7.3: the probe is given a whole timeout.
                    self.timers
                        .set(Timer::Retransmission, now + self.rtt.timeout());
                }
                Timer::Reordering => {
                    self.detect_losses(now);
                    self.after_outstanding(now);
                }
                Timer::Acknowledgement => self.acks.timer_expired(),
                Timer::Heartbeat => self.on_heartbeat_timer(now),
                Timer::Reconfiguration => {
                    // RFC 6525 §5.2.7: what is "in progress" is repeated without being counted.
                    if self.reset.repeat(self.outstanding.cumulative()) {
                        self.rtt.back_off();
                        self.count_error();
                    }
                }
                Timer::Pacing => {}
                Timer::PathMtu => {
                    let before = self.path.current();
                    if self.path.on_timer() {
                        self.due.path_probe = true;
                    } else {
                        self.schedule_path_mtu(now, false);
                    }
                    if self.path.current() != before {
                        self.congestion.set_mtu(self.path.current());
                    }
                }
                Timer::Guard => self.abort_for(CloseReason::PeerUnreachable),
            }
        }
    }

    /// The layer below knows that the path works again after it did not: what waits for a timeout that was doubled
    /// meanwhile is sent now. To be called when ICE has its consent back or selects a pair; without a doubled timeout it
    /// does nothing. As RFC 6069 has it for TCP, the doubling is undone, as no congestion was its reason; the congestion
    /// window stays as small as the timeouts have made it.
    pub fn path_restored(&mut self, now: Instant) {
        if !self.rtt.forget_backoff() {
            return;
        }
        for timer in [
            Timer::Handshake,
            Timer::Shutdown,
            Timer::Retransmission,
            Timer::Reconfiguration,
        ] {
            if self.timers.is_set(timer) {
                self.timers.set(timer, now);
                // This timeout is not the peer's doing.
                self.errors = self.errors.saturating_sub(1);
            }
        }
        self.handle_timeout(now);
    }

    /// One more timeout in a row; false when it was one too many (RFC 9260 §8.1).
    pub(super) fn count_error(&mut self) -> bool {
        self.errors += 1;
        if self
            .config
            .max_retransmissions
            .is_some_and(|most| self.errors > most)
        {
            self.close_with(CloseReason::PeerUnreachable);
            return false;
        }
        true
    }

    fn on_retransmission_timeout(&mut self, now: Instant) {
        self.counters.timeouts += 1;
        if !self.count_error() {
            return;
        }
        self.rtt.back_off();
        self.timers.stop(Timer::TailProbe);
        self.timers.stop(Timer::Reordering);
        if self.path.on_timeout() {
            self.congestion.set_mtu(self.path.current());
            self.schedule_path_mtu(now, false);
        } else if self.path.on_loss(now) {
            self.schedule_path_mtu(now, true);
        }
        let losses = self.outstanding.all_lost();
        if losses.highest.is_some() {
            let next_packet = self.outstanding.next_packet();
            self.loss.answered(self.outstanding.next_tsn(), next_packet);
            // A probe into a closed window says nothing of congestion (RFC 9260 §6.1 A).
            if !self.due.window_probe {
                self.congestion.on_timeout(now);
            }
        }
        self.forwarded = None;
        self.after_outstanding(now);
        if !self.outstanding.is_empty() {
            self.timers
                .set(Timer::Retransmission, now + self.rtt.timeout());
        }
    }

    fn on_heartbeat_timer(&mut self, now: Instant) {
        if !matches!(self.state, State::Established | State::ShutdownPending) {
            return;
        }
        if self.heartbeat.is_some() && !self.count_error() {
            return;
        }
        self.due.heartbeat = true;
        self.restart_heartbeat(now);
        self.slim();
    }

    /// Nothing was sent for a while: the buffers that bulk has grown are given back.
    fn slim(&mut self) {
        if !self.outstanding.is_empty() || self.send.bytes() > 0 {
            return;
        }
        self.outstanding.slim();
        self.send.slim();
        self.acks.slim();
        self.reassembly.slim();
        self.reset.slim();
        self.events.shrink_to_fit();
        self.due.alone.shrink_to_fit();
        self.due.bundled.shrink_to_fit();
        self.slimmed = true;
    }

    /// Whether buffers were given back since the last call.
    pub(crate) fn take_slimmed(&mut self) -> bool {
        std::mem::take(&mut self.slimmed)
    }
}
