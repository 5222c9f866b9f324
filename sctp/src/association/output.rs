//! Packets out: what is due, then data as far as the windows and the pacer let it.

use std::time::{Duration, Instant};

use super::{Association, Ecn, State, Transmit};
use crate::congestion::CongestionControl;
use crate::handshake::write_init;
use crate::limits::{MAX_MTU, MAX_TSN_SPAN};
use crate::outstanding::Limited;
use crate::send_queue::{Room, Taken};
use crate::timers::Timer;
use crate::wire::{
    CHUNK_HEADER_LEN, COMMON_HEADER_LEN, ChunkWriter, DATA_HEADER_LEN, FLAG_IMMEDIATE,
    FLAG_TAG_REFLECTED, Header, I_DATA_HEADER_LEN, chunk_type, finish_packet, parameter_type,
    start_packet,
};

/// Room that a SACK takes at least.
const LEAST_SACK: usize = 16;

impl Association {
    /// The most octets that one [`poll_transmit`](Self::poll_transmit) appends.
    pub fn max_packet(&self) -> usize {
        self.path.most()
    }

    /// Packets take another path from now on. Of this one only [`Config::mtu`](crate::Config::mtu) is known; up to
    /// `max_mtu` octets, lower layers' not counted, are looked for as
    /// [`Config::max_mtu`](crate::Config::max_mtu) says, at once or when the association stands.
    pub fn path_changed(&mut self, now: Instant, max_mtu: usize) {
        self.path.change(max_mtu.min(MAX_MTU) & !3);
        self.congestion.set_mtu(self.path.current());
        if self.state == State::Established {
            self.path.start();
        }
        self.due.path_probe = false;
        self.schedule_path_mtu(now, true);
    }

    /// The layer below refused to send a packet of `size` octets: it is longer than what leaves here in one piece. What
    /// was in it is lost, and sent again in smaller packets if there are smaller ones.
    pub fn packet_refused(&mut self, now: Instant, size: usize) {
        let probes = self.path.on_refusal(size);
        self.congestion.set_mtu(self.path.current());
        self.schedule_path_mtu(now, probes);
    }

    /// Appends one packet to `out` if there is one to send. Call it until it returns `None`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let start = out.len();
        let mut ecn = Ecn::NotEct;
        let mut probes = false;
        if let Some((tag, chunk)) = self.due.alone.pop_front() {
            self.begin(out, tag);
            out.extend_from_slice(&chunk);
            finish_packet(out, start);
        } else if let Some((tag, reflected)) = self.due.shutdown_complete.take() {
            self.begin(out, tag);
            let flags = if reflected { FLAG_TAG_REFLECTED } else { 0 };
            ChunkWriter::new(out, chunk_type::SHUTDOWN_COMPLETE, flags).finish();
            finish_packet(out, start);
        } else if let Some(cause) = self.due.abort.take() {
            let tag = self.peer?.tag;
            self.begin(out, tag);
            ChunkWriter::new(out, chunk_type::ABORT, 0)
                .parameter(cause, &[])
                .finish();
            finish_packet(out, start);
        } else {
            match self.state {
                State::Idle | State::Closed => return None,
                State::CookieWait => {
                    if !std::mem::take(&mut self.due.init) {
                        return None;
                    }
                    self.begin(out, 0);
                    write_init(&self.config, self.own, None, std::iter::empty(), out);
                    finish_packet(out, start);
                }
                State::CookieEchoed => {
                    if !std::mem::take(&mut self.due.cookie_echo) {
                        return None;
                    }
                    let cookie = self.cookie.clone()?;
                    self.begin(out, self.peer?.tag);
                    ChunkWriter::new(out, chunk_type::COOKIE_ECHO, 0)
                        .bytes(&cookie)
                        .finish();
                    self.write_early_data(now, start, out);
                    finish_packet(out, start);
                }
                _ => {
                    self.begin(out, self.peer?.tag);
                    if std::mem::take(&mut self.due.path_probe) {
                        probes = true;
                        self.write_path_probe(now, start, out);
                    } else if self.bundle(now, start, out) && self.features.ecn {
                        ecn = Ecn::Ect0;
                    }
                    if out.len() == start + COMMON_HEADER_LEN {
                        out.truncate(start);
                        return None;
                    }
                    if !self.features.zero_checksum {
                        finish_packet(out, start);
                    }
                }
            }
        }
        let len = out.len() - start;
        self.counters.packets_sent += 1;
        self.counters.bytes_sent += len as u64;
        Some(Transmit { len, ecn, probes })
    }

    fn begin(&self, out: &mut Vec<u8>, verification_tag: u32) {
        let header = Header {
            source_port: self.config.local_port,
            destination_port: self.config.remote_port,
            verification_tag,
        };
        start_packet(out, &header);
    }

    /// Fills the packet with control chunks and data; true when there is data in it.
    #[inline]
    fn bundle(&mut self, now: Instant, start: usize, out: &mut Vec<u8>) -> bool {
        let data_ready = self.data_ready(now);
        if std::mem::take(&mut self.due.cookie_ack) {
            ChunkWriter::new(out, chunk_type::COOKIE_ACK, 0).finish();
        }
        if self.acks.is_due() || (data_ready && self.acks.may_ride_along()) {
            let room = self.room(start, out);
            if room >= LEAST_SACK {
                let window = self.window.advertise(self.reassembly.held());
                self.advertised = window;
                self.acks
                    .write(out, u32::try_from(window).unwrap_or(u32::MAX), room);
                self.timers.stop(Timer::Acknowledgement);
                self.counters.sacks_sent += 1;
            }
        }
        self.write_control(now, start, out);
        let data = data_ready && self.write_data(now, start, out);
        if out.len() == start + COMMON_HEADER_LEN {
            // What ran out of time instead of being sent may have held back a reset, or the end.
            self.write_control(now, start, out);
        }
        data
    }

    fn room(&self, start: usize, out: &[u8]) -> usize {
        self.path.current().saturating_sub(out.len() - start)
    }

    fn write_control(&mut self, now: Instant, start: usize, out: &mut Vec<u8>) {
        while let Some(chunk) = self.due.bundled.front() {
            if chunk.len() > self.room(start, out) && out.len() > start + COMMON_HEADER_LEN {
                break;
            }
            out.extend_from_slice(chunk);
            self.due.bundled.pop_front();
        }
        if let Some(tsn) = self.due.ecne.filter(|_| self.room(start, out) >= 8) {
            // Repeated with each packet until CWR comes (RFC 9260 appendix B), but not alone.
            if out.len() > start + COMMON_HEADER_LEN {
                ChunkWriter::new(out, chunk_type::ECNE, 0).u32(tsn).finish();
            }
        }
        if self.room(start, out) >= 8
            && let Some(tsn) = self.due.cwr.take()
        {
            ChunkWriter::new(out, chunk_type::CWR, 0).u32(tsn).finish();
        }
        if self.due.forward && self.room(start, out) >= 16 {
            self.due.forward = false;
            let room = self.room(start, out);
            if let Some(point) = self.outstanding.write_forward(room, out) {
                self.forwarded = Some((point, now));
                // RFC 3758 §3.5 C5: the timer repeats it.
                if !self.timers.is_set(Timer::Retransmission) {
                    self.timers
                        .set(Timer::Retransmission, now + self.rtt.timeout());
                }
            }
        }
        while self.reset.is_due() && self.room(start, out) >= self.reset.next_len() {
            if self.reset.write(out) {
                self.timers
                    .set(Timer::Reconfiguration, now + self.rtt.timeout());
            }
        }
        if self.due.heartbeat && self.room(start, out) >= 24 {
            self.due.heartbeat = false;
            let nonce = self.write_heartbeat(out);
            self.heartbeat = Some((nonce, now));
        }
        if self.due.shutdown && self.room(start, out) >= 8 {
            self.due.shutdown = false;
            let cumulative = self.acks.cumulative() as u32;
            ChunkWriter::new(out, chunk_type::SHUTDOWN, 0)
                .u32(cumulative)
                .finish();
        }
        if self.due.shutdown_ack && self.room(start, out) >= CHUNK_HEADER_LEN {
            self.due.shutdown_ack = false;
            ChunkWriter::new(out, chunk_type::SHUTDOWN_ACK, 0).finish();
        }
    }

    fn write_heartbeat(&mut self, out: &mut Vec<u8>) -> u64 {
        let nonce = self.random.next();
        ChunkWriter::new(out, chunk_type::HEARTBEAT, 0)
            .parameter(parameter_type::HEARTBEAT_INFO, &nonce.to_be_bytes())
            .finish();
        nonce
    }

    /// A HEARTBEAT padded to the size to be tried (RFC 8899 §4.1, RFC 4820 §3).
    fn write_path_probe(&mut self, now: Instant, start: usize, out: &mut Vec<u8>) {
        let nonce = self.write_heartbeat(out);
        let Some(size) = self.path.next_probe(nonce) else {
            out.truncate(start + COMMON_HEADER_LEN);
            return;
        };
        let padding = size.saturating_sub(out.len() - start);
        let length = u16::try_from(padding.max(CHUNK_HEADER_LEN)).unwrap_or(u16::MAX);
        let begin = out.len();
        out.extend_from_slice(&[chunk_type::PAD, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.resize(begin + usize::from(length), 0);
        self.counters.path_probes += 1;
        self.schedule_path_mtu(now, false);
    }

    /// Whether data may leave now. Sets the pacing timer when only that holds it back.
    #[inline]
    fn data_ready(&mut self, now: Instant) -> bool {
        if !matches!(
            self.state,
            State::Established | State::ShutdownPending | State::ShutdownReceived
        ) {
            return false;
        }
        if self.due.probe {
            return true;
        }
        let lost = self.outstanding.has_lost();
        if !lost && !self.send.has_sendable() && self.outstanding.next_unsure().is_none() {
            self.note_limited(Limited::ByApplication);
            return false;
        }
        if self.due.fast_retransmit && lost {
            return true;
        }
        if self.outstanding.in_flight() >= self.congestion.window() {
            self.app_limited = false;
            return false;
        }
        if self.config.pacing {
            let rtt = self.rtt.smoothed().unwrap_or_default();
            let rate = self.congestion.pacing_rate(rtt);
            if let Err(at) = self.pacer.ready(now, rate, rtt, self.path.current()) {
                self.app_limited = false;
                self.timers.set(Timer::Pacing, at);
                return false;
            }
        }
        true
    }

    fn note_limited(&mut self, by: Limited) {
        let in_flight = self.outstanding.in_flight();
        if in_flight < self.congestion.window() {
            self.app_limited = true;
            self.limited_until = (self.outstanding.delivered() + in_flight as u64, by);
        }
    }

    /// Data may ride with COOKIE ECHO, and with nothing else until it is answered
    /// (RFC 9260 §5.1 C).
    fn write_early_data(&mut self, now: Instant, start: usize, out: &mut Vec<u8>) {
        // When this is a repetition, what rode with the last one went down with it.
        let _ = self.outstanding.all_lost();
        if self.outstanding.has_lost() || self.send.has_sendable() {
            self.write_data(now, start, out);
        }
        // The handshake's timer repeats both.
        self.timers.stop(Timer::Retransmission);
        self.timers.stop(Timer::TailProbe);
    }

    /// Appends retransmissions, then new data. True when anything was appended.
    #[inline]
    fn write_data(&mut self, now: Instant, start: usize, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let probe = std::mem::take(&mut self.due.probe);
        let exempt = std::mem::take(&mut self.due.fast_retransmit) | probe;
        let (until, by) = self.limited_until;
        let limited = if self.outstanding.delivered() < until {
            by
        } else {
            Limited::No
        };
        let packet = self.outstanding.start_packet(now, limited);
        let flags = if probe { FLAG_IMMEDIATE } else { 0 };
        self.write_retransmissions(now, start, packet, exempt, out);
        self.write_new(now, start, packet, exempt, flags, out);
        self.write_unsure(now, start, packet, out);
        if probe && out.len() == before {
            let fits = self
                .outstanding
                .probe_size()
                .is_some_and(|s| s <= self.room(start, out) || before == start + COMMON_HEADER_LEN);
            if fits && self.outstanding.probe(now, packet, out) {
                self.counters.retransmissions += 1;
            }
        }
        if out.len() == before {
            self.outstanding.cancel_packet();
            return false;
        }
        self.pacer.sent(out.len() - before);
        let front = self.outstanding.take_front_sent_again();
        if front || !self.timers.is_set(Timer::Retransmission) {
            self.timers
                .set(Timer::Retransmission, now + self.rtt.timeout());
        }
        if !probe {
            self.arm_tail_probe(now);
        }
        self.restart_heartbeat(now);
        true
    }

    fn write_retransmissions(
        &mut self,
        now: Instant,
        start: usize,
        packet: u64,
        exempt: bool,
        out: &mut Vec<u8>,
    ) {
        while let Some(size) = self.outstanding.next_retransmission() {
            if !exempt && self.outstanding.in_flight() >= self.congestion.window() {
                break;
            }
            // A chunk cut for a larger path goes alone.
            if size > self.room(start, out) && out.len() > start + COMMON_HEADER_LEN {
                break;
            }
            if self.outstanding.retransmit(now, packet, out) {
                self.counters.retransmissions += 1;
            } else {
                // Its time was over: it was given up instead.
                self.drop_cut_short();
                self.due.forward |= self.outstanding.forward_point().is_some();
            }
        }
    }

    /// What the SACKs cannot tell of goes again when nothing better may: the receiver's window
    /// is full, or there is nothing new.
    fn write_unsure(&mut self, now: Instant, start: usize, packet: u64, out: &mut Vec<u8>) {
        while let Some(size) = self.outstanding.next_unsure() {
            if self.outstanding.in_flight() >= self.congestion.window()
                || (size > self.room(start, out) && out.len() > start + COMMON_HEADER_LEN)
            {
                break;
            }
            if self.outstanding.send_unsure(now, packet, out) {
                self.counters.retransmissions += 1;
            } else {
                self.drop_cut_short();
                self.due.forward |= self.outstanding.forward_point().is_some();
            }
        }
    }

    #[inline]
    fn write_new(
        &mut self,
        now: Instant,
        start: usize,
        packet: u64,
        exempt: bool,
        flags: u8,
        out: &mut Vec<u8>,
    ) {
        let header = if self.features.interleaving {
            I_DATA_HEADER_LEN
        } else {
            DATA_HEADER_LEN
        };
        let mtu = self.path.current();
        // The path may shrink, and a chunk can't be cut again.
        let full = (self.path.base() - COMMON_HEADER_LEN - header) & !3;
        // Where the packet can hold more than a fragment, what is left of it is worth more of them.
        let crumb = full / if mtu > self.path.base() { 8 } else { 4 };
        self.send.start_packet();
        let mut sent = 0;
        let mut last_chunk = out.len();
        loop {
            if !exempt && self.outstanding.in_flight() >= self.congestion.window() {
                self.app_limited = false;
                break;
            }
            if self.outstanding.len() as u64 >= MAX_TSN_SPAN {
                break;
            }
            let Some(room) = mtu.checked_sub(out.len() - start + header) else {
                break;
            };
            let unacked = self.outstanding.unacked_payload();
            let window = if unacked == 0 {
                usize::MAX
            } else {
                self.peer_window.saturating_sub(unacked)
            };
            let room = Room {
                room: room & !3,
                full,
                crumb,
            };
            match self.send.take(now, room, window) {
                Taken::Fragment(fragment) => {
                    if unacked == 0 && fragment.data.len() > self.peer_window {
                        self.due.window_probe = true;
                    }
                    last_chunk = out.len();
                    self.outstanding.send_new(fragment, packet, flags, out);
                    sent += 1;
                }
                Taken::GivenUp {
                    stream,
                    unordered,
                    message,
                    ppid,
                    number,
                } => {
                    self.outstanding.abandon_message(stream, message, unordered);
                    self.outstanding
                        .append_abandoned_end(stream, message, unordered, ppid, number);
                    self.due.forward = true;
                }
                Taken::Nothing => {
                    if !self.send.has_sendable() {
                        self.note_limited(Limited::ByApplication);
                    } else if window < full {
                        self.note_limited(Limited::ByReceiver);
                    } else {
                        self.app_limited = false;
                    }
                    break;
                }
            }
        }
        if sent > 0 {
            // The end of a burst is acknowledged at once (RFC 7053 §4): nothing follows that
            // would make the receiver speak, and a lost tail shows a delay earlier.
            let burst = self.outstanding.in_flight() > mtu;
            self.tail_immediate = burst && !self.send.has_sendable();
            if self.tail_immediate
                && let Some(flags) = out.get_mut(last_chunk + 1)
            {
                *flags |= FLAG_IMMEDIATE;
            }
        }
        self.counters.data_chunks_sent += sent;
        self.tell_drained();
        self.request_reset(now);
        self.progress_shutdown(now);
    }

    pub(super) fn arm_tail_probe(&mut self, now: Instant) {
        let single = !self.tail_immediate && self.outstanding.in_flight() <= self.path.current();
        let timeout = self
            .loss
            .probe_timeout(&self.rtt, single, self.config.ack_delay);
        let Some(timeout) = timeout.filter(|_| self.outstanding.in_flight() > 0) else {
            self.timers.stop(Timer::TailProbe);
            return;
        };
        let at = now + timeout;
        // The retransmission timer does better when it comes first.
        match self.timers.get(Timer::Retransmission) {
            Some(t3) if t3 <= at => self.timers.stop(Timer::TailProbe),
            _ => self.timers.set(Timer::TailProbe, at),
        }
    }

    pub(super) fn restart_heartbeat(&mut self, now: Instant) {
        if let Some(interval) = self.config.heartbeat_interval {
            self.timers
                .set(Timer::Heartbeat, now + interval + self.rtt.timeout());
        }
    }

    /// Sets the timer of the path-MTU search; `soon` when the next probe can go now.
    pub(super) fn schedule_path_mtu(&mut self, now: Instant, soon: bool) {
        let rto = if soon {
            Duration::ZERO
        } else {
            self.rtt.timeout()
        };
        match self.path.deadline(now, rto) {
            Some(at) => self.timers.set(Timer::PathMtu, at),
            None => self.timers.stop(Timer::PathMtu),
        }
    }
}
