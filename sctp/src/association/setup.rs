//! The scripts of setting up (RFC 9260 §5) and of shutting down (§9).

use std::time::Instant;

use bytes::Bytes;

use super::{Association, Due, Event, State};
use crate::acknowledgement::Acknowledger;
use crate::congestion::Controller;
use crate::error::{CloseReason, SnapError, Violation};
use crate::handshake::{Cookie, Features, OwnInit, PeerInit, write_init};
use crate::limits::{MAX_COOKIE, MAX_QUEUED_REPLIES};
use crate::loss::LossDetection;
use crate::reset::Reset;
use crate::timers::Timer;
use crate::wire::{Chunk, ChunkWriter, Init, cause, chunk_type};

impl Association {
    /// Begins the handshake. Both ends may do so at once (RFC 9260 §5.2.1).
    pub fn connect(&mut self, now: Instant) {
        if self.state != State::Idle {
            return;
        }
        self.state = State::CookieWait;
        self.due.init = true;
        self.errors = 0;
        self.handshake_sent = Some(now);
        self.timers.set(Timer::Handshake, now + self.rtt.timeout());
    }

    /// Our INIT chunk for signalling (`a=sctp-init`, draft-hancke-tsvwg-snap §5.2). It does not
    /// change the association.
    pub fn local_init(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_init(&self.config, self.own, None, std::iter::empty(), &mut out);
        out
    }

    /// The peer's INIT chunk came by signalling, and ours went there: the association is
    /// established at once (draft-hancke-tsvwg-snap §6). To be called when DTLS is.
    pub fn connect_with_init(&mut self, now: Instant, remote: &[u8]) -> Result<(), SnapError> {
        if self.state != State::Idle {
            return Err(SnapError::TooLate);
        }
        let init = Self::parse_init(remote)?;
        self.adopt(PeerInit::of(&init));
        self.establish(now);
        Ok(())
    }

    /// Whether these octets are a chunk that [`connect_with_init`](Self::connect_with_init)
    /// will take.
    pub fn check_init(remote: &[u8]) -> Result<(), SnapError> {
        Self::parse_init(remote).map(|_| ())
    }

    fn parse_init(remote: &[u8]) -> Result<Init<'_>, SnapError> {
        let mut head = remote.iter().copied();
        let (Some(kind), Some(flags)) = (head.next(), head.next()) else {
            return Err(SnapError::Invalid);
        };
        let length = crate::wire::be16(remote, 2).map_or(0, usize::from);
        let (Some(value), Some(whole)) = (remote.get(4..length), remote.get(..length)) else {
            return Err(SnapError::Invalid);
        };
        match Chunk::parse(kind, flags, value, whole) {
            Some(Chunk::Init(init)) if init.is_valid() => Ok(init),
            _ => Err(SnapError::Invalid),
        }
    }

    /// Shuts down in order: what is queued is sent and acknowledged first, unless five times
    /// [`rto_max`](crate::Config::rto_max) pass without any progress, because the peer's application does not read or
    /// the path is dead: then the association ends as [`CloseReason::PeerUnreachable`].
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        match self.state {
            State::Idle | State::CookieWait | State::CookieEchoed => {
                self.abort_for(CloseReason::Shutdown);
            }
            State::Established => {
                self.state = State::ShutdownPending;
                self.guard_shutdown(now);
                self.progress_shutdown(now);
            }
            _ => {}
        }
    }

    /// Ends at once; the peer is told by one ABORT.
    pub fn abort(&mut self) {
        self.abort_for(CloseReason::Aborted);
    }

    pub(super) fn abort_for(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        if self.peer.is_some() {
            self.due.abort = Some(cause::USER_ABORT);
        }
        self.close_with(reason);
    }

    pub(super) fn on_init(&mut self, now: Instant, init: &Init<'_>) {
        if self.state == State::Closed {
            self.counters.chunks_ignored += 1;
            return;
        }
        if self.state == State::ShutdownAckSent {
            // §9.2: the peer missed our SHUTDOWN ACK.
            self.due.shutdown_ack = true;
            return;
        }
        self.counters.inits_received += 1;
        if self.due.alone.len() >= MAX_QUEUED_REPLIES {
            self.counters.replies_dropped += 1;
            return;
        }
        if !init.is_valid() {
            if init.initiate_tag != 0 {
                let mut abort = Vec::new();
                ChunkWriter::new(&mut abort, chunk_type::ABORT, 0)
                    .parameter(cause::INVALID_PARAMETER, &[])
                    .finish();
                self.due
                    .alone
                    .push_back((init.initiate_tag, abort.into_boxed_slice()));
            }
            return;
        }
        // §5.2.1 keeps tag and TSN while the handshake is under way, §5.2.2 takes new ones and
        // remembers the old in the cookie. Nothing else is remembered, and nothing here.
        let (own, tie_tags) = match self.state {
            State::Idle | State::CookieWait => (self.own, (0, 0)),
            State::CookieEchoed => (self.own, (self.own.tag, self.peer.map_or(0, |p| p.tag))),
            _ => {
                let number = self.random.next();
                let own = OwnInit {
                    tag: ((number >> 32) as u32).max(1),
                    initial_tsn: number as u32,
                };
                (own, (self.own.tag, self.peer.map_or(0, |p| p.tag)))
            }
        };
        let created = now.saturating_duration_since(self.began);
        let cookie = Cookie {
            created,
            own,
            peer: PeerInit::of(init),
            tie_tags,
        };
        let sealed = cookie.seal(&self.cookie_secret);
        let mut chunk = Vec::new();
        let unknown = init.unknown().map(|p| p.whole);
        write_init(&self.config, own, Some(&sealed), unknown, &mut chunk);
        self.due
            .alone
            .push_back((init.initiate_tag, chunk.into_boxed_slice()));
    }

    pub(super) fn on_init_ack(&mut self, now: Instant, init: &Init<'_>) {
        if self.state != State::CookieWait {
            // §5.2.3
            self.counters.chunks_ignored += 1;
            return;
        }
        let cookie = init.state_cookie().filter(|c| c.len() <= MAX_COOKIE);
        let (true, Some(cookie)) = (init.is_valid(), cookie) else {
            self.peer = Some(PeerInit::of(init));
            self.violated(Violation::Init);
            return;
        };
        self.adopt(PeerInit::of(init));
        self.cookie = Some(Bytes::copy_from_slice(cookie));
        self.state = State::CookieEchoed;
        self.due.cookie_echo = true;
        let unknown: Vec<_> = init.unknown().map(|p| p.whole.to_vec()).collect();
        for parameter in unknown {
            self.reply_error(cause::UNRECOGNIZED_PARAMETERS, &parameter);
        }
        if self.errors == 0
            && let Some(sent) = self.handshake_sent.take()
        {
            self.rtt.sample(now, now.saturating_duration_since(sent));
        }
        self.errors = 0;
        self.timers.set(Timer::Handshake, now + self.rtt.timeout());
    }

    /// Returns whether the rest of the packet belongs to the association.
    pub(super) fn on_cookie_echo(&mut self, now: Instant, tag: u32, bytes: &[u8]) -> bool {
        let cookie = Cookie::open(bytes, &self.cookie_secret).filter(|c| c.own.tag == tag);
        let Some(cookie) = cookie else {
            self.counters.bad_cookies += 1;
            return false;
        };
        let age = now
            .saturating_duration_since(self.began)
            .saturating_sub(cookie.created);
        let own_known = cookie.own.tag == self.own.tag;
        let peer_known = self.peer.is_some_and(|p| p.tag == cookie.peer.tag);
        let stale = age > self.config.cookie_lifetime && !(own_known && peer_known);
        if stale {
            self.counters.bad_cookies += 1;
            if self.due.alone.len() >= MAX_QUEUED_REPLIES {
                self.counters.replies_dropped += 1;
                return false;
            }
            let over = age.saturating_sub(self.config.cookie_lifetime).as_micros();
            let over = u32::try_from(over).unwrap_or(u32::MAX).to_be_bytes();
            let mut error = Vec::new();
            ChunkWriter::new(&mut error, chunk_type::ERROR, 0)
                .parameter(cause::STALE_COOKIE, &over)
                .finish();
            self.due
                .alone
                .push_back((cookie.peer.tag, error.into_boxed_slice()));
            return false;
        }
        match self.state {
            State::Closed => return false,
            State::Idle | State::CookieWait | State::CookieEchoed => {
                if !own_known {
                    self.counters.bad_cookies += 1;
                    return false;
                }
                // §5.2.4 B and D, or nothing existed.
                if !peer_known {
                    self.adopt(cookie.peer);
                }
                self.establish(now);
            }
            _ => {
                let ties = (self.own.tag, self.peer.map_or(0, |p| p.tag));
                match (own_known, peer_known) {
                    // D: our COOKIE ACK was lost.
                    (true, true) => {}
                    // A: the peer restarted.
                    (false, false) if cookie.tie_tags == ties => {
                        if self.state == State::ShutdownAckSent {
                            self.due.shutdown_ack = true;
                            self.reply_error(cause::COOKIE_IN_SHUTDOWN, &[]);
                            return false;
                        }
                        self.restart(now, &cookie);
                    }
                    // C: late; or B after establishment, which cannot be told from a forgery.
                    _ => {
                        self.counters.bad_cookies += 1;
                        return false;
                    }
                }
            }
        }
        self.due.cookie_ack = true;
        true
    }

    pub(super) fn on_cookie_ack(&mut self, now: Instant) {
        if self.state == State::CookieEchoed {
            self.establish(now);
        }
    }

    /// The peer is known: what both can do, and its numbers.
    fn adopt(&mut self, peer: PeerInit) {
        self.features = Features::ours(&self.config).and(peer.features);
        self.peer = Some(peer);
        self.peer_window = peer.window as usize;
        self.outbound_streams = self.config.outbound_streams.min(peer.inbound);
        self.inbound_streams = self.config.inbound_streams.min(peer.outbound);
        self.acks = Acknowledger::new(peer.initial_tsn);
        self.reassembly.begin_anew(self.features.interleaving);
        // What was asked for before there was a peer.
        let waiting = self.reset.take_waiting();
        self.reset = Reset::new(self.own.initial_tsn, peer.initial_tsn);
        for stream in waiting {
            if self.features.reconfig && stream < self.outbound_streams {
                self.reset.want(stream, self.send.is_empty(stream));
            } else {
                self.send.resume(stream);
                let performed = false;
                self.events
                    .push_back(Event::OutgoingReset { stream, performed });
            }
        }
        self.send.set_interleaved(self.features.interleaving);
        self.outstanding.set_interleaved(self.features.interleaving);
        if !self.features.forward_tsn {
            self.send.forget_efforts();
        }
        for stream in self.send.streams() {
            if stream >= self.outbound_streams {
                self.send.remove(stream);
            }
        }
    }

    fn establish(&mut self, now: Instant) {
        self.state = State::Established;
        self.errors = 0;
        self.cookie = None;
        self.due.init = false;
        self.due.cookie_echo = false;
        self.timers.stop(Timer::Handshake);
        self.restart_heartbeat(now);
        self.search_path_mtu(now);
        self.events.push_back(Event::Connected);
        if !self.outstanding.is_empty() {
            // What went along with COOKIE ECHO.
            self.timers
                .set(Timer::Retransmission, now + self.rtt.timeout());
        }
        self.request_reset(now);
    }

    fn search_path_mtu(&mut self, now: Instant) {
        if self.features.pad || self.config.max_mtu > self.config.mtu {
            self.path.start();
            self.schedule_path_mtu(now, true);
        }
    }

    fn restart(&mut self, now: Instant, cookie: &Cookie) {
        self.own = cookie.own;
        self.outstanding.restart(now, cookie.own.initial_tsn);
        self.send.restart_all();
        self.tell_drained();
        self.loss = LossDetection::new();
        // Answers to old probes bear the old tag.
        self.path.change(self.path.most());
        self.congestion = Controller::new(self.config.congestion, self.path.current());
        // All streams begin anew.
        self.reset.take_waiting();
        self.adopt(cookie.peer);
        self.timers.stop_all();
        self.heartbeat = None;
        self.forwarded = None;
        self.writing = None;
        // What was due was due to the old association, whose numbers it names.
        self.ecn_until = 0;
        self.due = Due {
            alone: std::mem::take(&mut self.due.alone),
            ..Due::default()
        };
        self.state = State::Established;
        self.errors = 0;
        self.restart_heartbeat(now);
        self.search_path_mtu(now);
        self.events.push_back(Event::Restarted);
        if self.closing {
            // What the application wanted of the old association it wants of the new one.
            self.close(now);
        }
    }

    /// Ends it after so many repetitions if that is one too many.
    pub(super) fn handshake_failed(&mut self, repetitions: u32) -> bool {
        let most = self.config.max_init_retransmissions;
        let failed = most.is_some_and(|most| repetitions > most);
        if failed {
            self.close_with(CloseReason::HandshakeTimeout);
        }
        failed
    }

    pub(super) fn repeat_handshake(&mut self, now: Instant) {
        self.errors += 1;
        if self.handshake_failed(self.errors) {
            return;
        }
        self.handshake_sent = None;
        self.rtt.back_off();
        match self.state {
            State::CookieWait => self.due.init = true,
            State::CookieEchoed => self.due.cookie_echo = true,
            _ => return,
        }
        self.timers.set(Timer::Handshake, now + self.rtt.timeout());
    }

    /// Bounds the time without progress until everything is acknowledged, and then that of the rest. RFC 9260 §9.2
    /// starts T5 with SHUTDOWN; what SHUTDOWN waits for may never come either.
    pub(super) fn guard_shutdown(&mut self, now: Instant) {
        self.timers.set(Timer::Guard, now + self.config.rto_max * 5);
    }

    /// Goes on with shutting down once everything is acknowledged.
    pub(super) fn progress_shutdown(&mut self, now: Instant) {
        let done = self.outstanding.is_empty() && self.send.bytes() == 0;
        match self.state {
            State::ShutdownPending if done => {
                self.state = State::ShutdownSent;
                self.due.shutdown = true;
                self.timers.set(Timer::Shutdown, now + self.rtt.timeout());
                self.guard_shutdown(now);
            }
            State::ShutdownReceived if done => {
                self.state = State::ShutdownAckSent;
                self.due.shutdown_ack = true;
                self.timers.set(Timer::Shutdown, now + self.rtt.timeout());
            }
            _ => {}
        }
    }

    pub(super) fn repeat_shutdown(&mut self, now: Instant) {
        if !self.count_error() {
            return;
        }
        self.rtt.back_off();
        match self.state {
            State::ShutdownSent => self.due.shutdown = true,
            State::ShutdownAckSent => self.due.shutdown_ack = true,
            _ => return,
        }
        self.timers.set(Timer::Shutdown, now + self.rtt.timeout());
    }

    pub(super) fn on_shutdown(&mut self, now: Instant, cumulative: u32) {
        let prior = self.outstanding.in_flight();
        match self.state {
            State::Established | State::ShutdownPending => {
                self.state = State::ShutdownReceived;
                self.guard_shutdown(now);
            }
            State::ShutdownReceived => {}
            State::ShutdownSent => {
                self.state = State::ShutdownAckSent;
                self.due.shutdown_ack = true;
                self.timers.set(Timer::Shutdown, now + self.rtt.timeout());
                return;
            }
            _ => {
                self.counters.chunks_ignored += 1;
                return;
            }
        }
        match self.outstanding.on_cumulative(now, cumulative) {
            Ok(acked) => self.after_ack(now, &acked, prior, 0),
            Err(_) => self.progress_shutdown(now),
        }
    }

    pub(super) fn on_shutdown_ack(&mut self, _now: Instant, tag: u32) {
        match self.state {
            State::ShutdownSent | State::ShutdownAckSent if tag == self.own.tag => {
                self.due.shutdown_complete = self.peer.map(|p| (p.tag, false));
                self.close_with(CloseReason::Shutdown);
            }
            // §8.4 (5), §8.5.1 E: answered with the tag reflected.
            State::Idle | State::Closed | State::CookieWait | State::CookieEchoed => {
                self.due.shutdown_complete = Some((tag, true));
            }
            _ => self.counters.chunks_ignored += 1,
        }
    }
}
