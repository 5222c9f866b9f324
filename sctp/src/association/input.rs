//! Packets in: chunks handed round.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Association, Ecn, Event, State};
use crate::acknowledgement::{Acknowledger, Arrival};
use crate::congestion::{Ack, CongestionControl};
use crate::error::{CloseReason, Violation};
use crate::limits::{
    MAX_FORWARD_JUMP, MAX_HEARTBEAT_INFO, MAX_QUEUED_REPLIES, MAX_RECONFIG_REQUESTS,
};
use crate::outstanding::{Acked, BadSack};
use crate::reset::{Action, FreshTsns};
use crate::serial::unwrap32;
use crate::timers::Timer;
use crate::wire::{
    Chunk, ChunkWriter, DataChunk, ForwardTsn, Packet, ParameterIter, Reconfig, Sack, cause,
    chunk_type,
};

/// Stands in for the round-trip time until one is known.
const GUESSED_RTT: Duration = Duration::from_millis(100);

/// What a packet's chunks ask for together.
#[derive(Debug, Default)]
struct Notes {
    data: bool,
    immediate: bool,
    lowest: Option<u32>,
    /// Re-configuration requests.
    requests: usize,
}

impl Association {
    /// Takes in a packet. What is wrong with it is counted, see [`stats`](Self::stats).
    pub fn handle_input(&mut self, now: Instant, packet: Bytes) {
        self.handle_marked_input(now, packet, Ecn::NotEct);
    }

    /// Takes in a packet with the congestion mark that the network gave it.
    pub fn handle_marked_input(&mut self, now: Instant, datagram: Bytes, ecn: Ecn) {
        self.counters.packets_received += 1;
        self.counters.bytes_received += datagram.len() as u64;
        let Ok(packet) = Packet::parse(&datagram, self.config.zero_checksum) else {
            self.counters.packets_rejected += 1;
            return;
        };
        if packet.header.destination_port != self.config.local_port
            || packet.header.source_port != self.config.remote_port
        {
            self.counters.packets_rejected += 1;
            return;
        }
        let tag = packet.header.verification_tag;
        let had_gaps = self.acks.has_gaps();
        let cumulative = self.acks.cumulative();
        let mut notes = Notes::default();
        let mut chunks = packet.chunks();
        for chunk in chunks.by_ref() {
            if !self.tag_fits(tag, &chunk) {
                self.counters.packets_rejected += 1;
                return;
            }
            if !self.handle_chunk(now, &chunk, tag, &datagram, &mut notes) {
                break;
            }
        }
        if chunks.malformed() {
            self.counters.packets_malformed += 1;
        }
        if notes.data && self.state != State::Closed {
            if ecn == Ecn::Ce && self.features.ecn {
                self.counters.ce_received += 1;
                self.due.ecne = notes.lowest;
            }
            // RFC 9260 §6.7: at once when there is a gap, or one was filled.
            let immediate = notes.immediate || had_gaps || self.acks.has_gaps();
            if self.acks.packet_received(immediate) {
                self.timers
                    .set(Timer::Acknowledgement, now + self.config.ack_delay);
            }
            if self.state == State::ShutdownSent {
                // RFC 9260 §9.2: acknowledged by SACK and by another SHUTDOWN; the peer has time for all of its data.
                let _ = self.acks.packet_received(true);
                self.due.shutdown = true;
                self.errors = 0;
                self.timers.set(Timer::Shutdown, now + self.rtt.timeout());
                if self.acks.cumulative() > cumulative {
                    self.guard_shutdown(now);
                }
            }
            self.after_cumulative();
        }
    }

    /// Verification tags (RFC 9260 §8.5).
    fn tag_fits(&self, tag: u32, chunk: &Chunk<'_>) -> bool {
        let ours = tag == self.own.tag;
        let theirs = self.peer.is_some_and(|p| p.tag == tag);
        match chunk {
            Chunk::Init(_) => tag == 0,
            // Its own tag is inside the cookie.
            Chunk::CookieEcho(_) => tag != 0,
            Chunk::Abort { reflected, .. } | Chunk::ShutdownComplete(reflected) => {
                if *reflected {
                    theirs
                } else {
                    ours && self.state != State::Idle
                }
            }
            // Answered even without an association (§8.4).
            Chunk::ShutdownAck => true,
            _ => ours && self.state != State::Idle,
        }
    }

    /// Handles one chunk; false to leave the rest of the packet.
    fn handle_chunk(
        &mut self,
        now: Instant,
        chunk: &Chunk<'_>,
        tag: u32,
        datagram: &Bytes,
        notes: &mut Notes,
    ) -> bool {
        match chunk {
            Chunk::Data(data) => return self.on_data(now, data, datagram, notes),
            Chunk::Sack(sack) => self.on_sack(now, sack),
            Chunk::Init(init) => {
                self.on_init(now, init);
                return false;
            }
            Chunk::InitAck(init) => self.on_init_ack(now, init),
            Chunk::CookieEcho(cookie) => return self.on_cookie_echo(now, tag, cookie),
            Chunk::CookieAck => self.on_cookie_ack(now),
            Chunk::Heartbeat(info) => self.on_heartbeat(info),
            Chunk::HeartbeatAck(info) => self.on_heartbeat_ack(now, info),
            Chunk::Abort { causes, .. } => {
                let code = { *causes }.next().map_or(0, |c| c.kind);
                self.close_with(CloseReason::AbortedByPeer(code));
                return false;
            }
            Chunk::Error(causes) => self.on_error(*causes),
            Chunk::Shutdown(cumulative) => self.on_shutdown(now, *cumulative),
            Chunk::ShutdownAck => self.on_shutdown_ack(now, tag),
            Chunk::ShutdownComplete(_) => {
                if self.state == State::ShutdownAckSent {
                    self.close_with(CloseReason::Shutdown);
                }
            }
            Chunk::Reconfig(parameters) => self.on_reconfig(now, *parameters, notes),
            Chunk::ForwardTsn(forward) => self.on_forward(forward, notes),
            Chunk::Ecne(tsn) => self.on_ecn_echo(now, *tsn),
            Chunk::Cwr(_) => self.due.ecne = None,
            Chunk::Pad => {}
            Chunk::Unknown { kind, whole } => {
                self.counters.chunks_ignored += 1;
                // RFC 9260 §3.2: the second bit asks for a report, the first to go on.
                if kind & 0x40 != 0 {
                    let most = whole
                        .get(..whole.len().min(MAX_HEARTBEAT_INFO))
                        .unwrap_or(whole);
                    self.reply_error(cause::UNRECOGNIZED_CHUNK, most);
                }
                return kind & 0x80 != 0;
            }
        }
        self.state != State::Closed
    }

    pub(super) fn reply(&mut self, chunk: Vec<u8>) {
        if self.due.bundled.len() < MAX_QUEUED_REPLIES {
            self.due.bundled.push_back(chunk.into_boxed_slice());
        } else {
            self.counters.replies_dropped += 1;
        }
    }

    pub(super) fn reply_error(&mut self, code: u16, value: &[u8]) {
        let mut chunk = Vec::new();
        ChunkWriter::new(&mut chunk, chunk_type::ERROR, 0)
            .parameter(code, value)
            .finish();
        self.reply(chunk);
    }

    fn receives_data(&self) -> bool {
        matches!(
            self.state,
            State::Established | State::ShutdownPending | State::ShutdownSent
        )
    }

    pub(super) fn sends_data(&self) -> bool {
        matches!(
            self.state,
            State::Established | State::ShutdownPending | State::ShutdownReceived
        )
    }

    pub(super) fn violated(&mut self, violation: Violation) {
        self.due.abort = Some(violation.cause_code());
        self.close_with(CloseReason::ProtocolViolation(violation));
    }

    fn on_data(
        &mut self,
        now: Instant,
        chunk: &DataChunk<'_>,
        datagram: &Bytes,
        notes: &mut Notes,
    ) -> bool {
        if !self.receives_data() {
            self.counters.chunks_ignored += 1;
            return true;
        }
        if chunk.interleaved != self.features.interleaving {
            self.violated(Violation::WrongDataKind);
            return false;
        }
        if chunk.payload.is_empty() {
            self.violated(Violation::NoUserData);
            return false;
        }
        notes.data = true;
        notes.immediate |= chunk.immediate();
        notes.lowest = notes.lowest.or(Some(chunk.tsn));
        let tsn = self.acks.unwrap(chunk.tsn);
        match self.acks.classify(tsn) {
            Arrival::Duplicate => {
                self.counters.duplicates_received += 1;
                self.acks.duplicate(chunk.tsn);
                notes.immediate = true;
                return true;
            }
            Arrival::Refused => {
                self.counters.data_refused += 1;
                notes.immediate = true;
                return true;
            }
            Arrival::New => {}
        }
        let needed = tsn == self.acks.cumulative() + 1;
        let held = self.reassembly.held();
        if !self.window.accepts(held, needed) {
            self.counters.data_refused += 1;
            notes.immediate = true;
            return true;
        }
        if self.window.is_overrun(held) {
            self.violated(Violation::OutOfResource);
            return false;
        }
        self.acks.insert(tsn);
        self.counters.data_chunks_received += 1;
        if chunk.stream >= self.inbound_streams {
            // RFC 9260 §6.5: acknowledged, reported, not delivered.
            let [high, low] = chunk.stream.to_be_bytes();
            self.reply_error(cause::INVALID_STREAM, &[high, low, 0, 0]);
            return true;
        }
        let rtt = self.rtt.smoothed().unwrap_or(GUESSED_RTT);
        self.window.on_data(now, chunk.payload.len(), rtt);
        if self
            .reassembly
            .insert(tsn, chunk, datagram, &mut self.events)
            .is_err()
        {
            self.violated(Violation::Fragments);
            return false;
        }
        true
    }

    /// The cumulative TSN may have moved: a deferred reset may have its turn.
    fn after_cumulative(&mut self) {
        if let Some(action) = self.reset.on_cumulative(self.acks.cumulative()) {
            self.act(action);
        }
    }

    fn on_sack(&mut self, now: Instant, sack: &Sack<'_>) {
        if !self.sends_data() {
            self.counters.chunks_ignored += 1;
            return;
        }
        self.counters.sacks_received += 1;
        let prior = self.outstanding.in_flight();
        let acked = match self.outstanding.on_sack(now, sack) {
            Ok(acked) => acked,
            Err(BadSack::Stale) => {
                self.counters.stale_sacks += 1;
                return;
            }
            Err(BadSack::NeverSent) => {
                self.counters.bogus_sacks += 1;
                return;
            }
        };
        self.counters.bogus_sacks += u64::from(acked.never_sent);
        self.counters.reneged_sacks += u64::from(acked.reneged);
        self.set_peer_window(sack.window as usize);
        self.after_ack(now, &acked, prior, sack.duplicate_count());
    }

    fn set_peer_window(&mut self, window: usize) {
        let was_closed = self.peer_window < self.path.current();
        self.peer_window = window;
        if was_closed && window >= self.path.current() && self.due.window_probe {
            // What went out to probe a closed window was dropped: it is not lost to congestion.
            self.due.window_probe = false;
            let _ = self.outstanding.all_lost();
        }
        if window == 0 {
            // The peer lives: a closed window is no reason to give it up (RFC 9260 §6.1 A).
            self.errors = 0;
        }
    }

    pub(super) fn after_ack(
        &mut self,
        now: Instant,
        acked: &Acked,
        prior: usize,
        duplicates: usize,
    ) {
        let next_packet = self.outstanding.next_packet();
        let in_recovery_before = self.loss.in_recovery();
        self.loss.on_ack(acked, duplicates, next_packet);
        self.counters.spurious_losses += u64::from(acked.spurious);
        if let Some(rtt) = acked.rtt {
            self.rtt.sample(now, rtt);
            self.outstanding
                .set_least_rtt(self.rtt.minimum().unwrap_or_default());
        }
        let progress = acked.octets > 0 || acked.advanced;
        if progress {
            self.errors = 0;
            if matches!(self.state, State::ShutdownPending | State::ShutdownReceived) {
                self.guard_shutdown(now);
            }
            if self.path.on_ack() {
                self.schedule_path_mtu(now, true);
            }
            if acked.octets > 0 {
                let in_recovery = in_recovery_before && self.loss.in_recovery();
                self.congestion.on_ack(&Ack {
                    now,
                    acked: acked.octets,
                    prior_in_flight: prior,
                    in_flight: self.outstanding.in_flight(),
                    rtt: acked.rtt,
                    smoothed_rtt: self.rtt.smoothed().unwrap_or_default(),
                    min_rtt: self.rtt.minimum().unwrap_or_default(),
                    window_limited: !self.app_limited,
                    in_recovery,
                    rate: acked.rate,
                    delivered: self.outstanding.delivered(),
                    lost: self.outstanding.lost(),
                });
            }
            // RFC 9260 §6.3.2 R2, R3.
            if self.outstanding.is_empty() {
                self.timers.stop(Timer::Retransmission);
                self.timers.stop(Timer::TailProbe);
            } else {
                if acked.advanced {
                    self.timers
                        .set(Timer::Retransmission, now + self.rtt.timeout());
                }
                self.arm_tail_probe(now);
            }
        }
        let next_tsn = self.outstanding.next_tsn();
        if let Some(tsn) = acked.repaired
            && self.loss.is_new_event(tsn, next_tsn, next_packet)
        {
            // RFC 8985 §7.4: the probe hid the loss, not its cause.
            self.counters.congestion_events += 1;
            self.counters.tail_losses += 1;
            self.congestion
                .on_congestion(now, self.outstanding.in_flight());
        }
        self.detect_losses(now);
        self.after_outstanding(now);
    }

    /// Chunks left the retransmission queue or were given up.
    pub(super) fn after_outstanding(&mut self, now: Instant) {
        self.drop_cut_short();
        if let Some(point) = self.outstanding.forward_point() {
            let pause = self.rtt.smoothed().unwrap_or(GUESSED_RTT);
            let again = self.forwarded.is_none_or(|(last, at)| {
                point > last || now.saturating_duration_since(at) >= pause
            });
            self.due.forward |= again;
        } else {
            self.due.forward = false;
        }
        self.request_reset(now);
        self.progress_shutdown(now);
    }

    /// Messages were given up whose rest is still queued: drop it, and mark their end.
    pub(super) fn drop_cut_short(&mut self) {
        let mut any = false;
        while let Some((stream, message, unordered)) = self.outstanding.take_cut_short() {
            if let Some(number) = self.send.give_up(stream, unordered, message) {
                self.outstanding
                    .append_abandoned_end(stream, message, unordered, 0, number);
                any = true;
            }
        }
        if any {
            self.tell_drained();
        }
    }

    pub(super) fn detect_losses(&mut self, now: Instant) {
        let test = self.loss.test(now, &self.rtt);
        let (losses, next) = self.outstanding.detect_losses(test);
        if let Some(highest) = losses.highest {
            if self.path.on_loss(now) {
                self.schedule_path_mtu(now, true);
            }
            let next_packet = self.outstanding.next_packet();
            let next_tsn = self.outstanding.next_tsn();
            if self.loss.is_new_event(highest, next_tsn, next_packet) {
                self.counters.congestion_events += 1;
                self.congestion
                    .on_congestion(now, self.outstanding.in_flight());
                self.due.fast_retransmit = true;
            }
        }
        match next {
            Some(at) => self
                .timers
                .set(Timer::Reordering, self.loss.lost_at(at, &self.rtt)),
            None => self.timers.stop(Timer::Reordering),
        }
    }

    fn on_ecn_echo(&mut self, now: Instant, tsn: u32) {
        if !self.features.ecn {
            self.counters.chunks_ignored += 1;
            return;
        }
        self.counters.ecn_echoes += 1;
        self.due.cwr = Some(tsn);
        let tsn = unwrap32(self.outstanding.next_tsn(), tsn);
        if tsn >= self.ecn_until && tsn < self.outstanding.next_tsn() {
            self.ecn_until = self.outstanding.next_tsn();
            self.counters.congestion_events += 1;
            self.congestion
                .on_congestion(now, self.outstanding.in_flight());
        }
    }

    fn on_forward(&mut self, forward: &ForwardTsn<'_>, notes: &mut Notes) {
        if !self.receives_data() {
            self.counters.chunks_ignored += 1;
            return;
        }
        if forward.interleaved != self.features.interleaving || !self.features.forward_tsn {
            self.violated(Violation::WrongForwardKind);
            return;
        }
        notes.data = true;
        let cumulative = self.acks.unwrap(forward.new_cumulative);
        if cumulative <= self.acks.cumulative() {
            // Our SACK was lost (RFC 3758 §3.6): say it again.
            notes.immediate = true;
            return;
        }
        if cumulative > self.acks.highest() + MAX_FORWARD_JUMP {
            self.counters.bogus_forwards += 1;
            return;
        }
        self.acks.forward(cumulative);
        notes.immediate = true;
        let inbound = self.inbound_streams;
        let skipped = forward.skipped().filter(|s| s.stream < inbound);
        self.reassembly
            .forward(cumulative, skipped, &mut self.events);
        self.after_cumulative();
    }

    fn on_heartbeat(&mut self, info: &[u8]) {
        if info.len() > MAX_HEARTBEAT_INFO || self.state == State::Closed {
            self.counters.replies_dropped += 1;
            return;
        }
        let mut chunk = Vec::with_capacity(info.len() + 8);
        ChunkWriter::new(&mut chunk, chunk_type::HEARTBEAT_ACK, 0)
            .bytes(info)
            .finish();
        self.reply(chunk);
    }

    fn on_heartbeat_ack(&mut self, now: Instant, info: &[u8]) {
        let nonce = ParameterIter::new(info)
            .next()
            .and_then(|p| p.value.first_chunk::<8>().copied())
            .map(u64::from_be_bytes);
        let Some(nonce) = nonce else { return };
        if self.path.on_answer(nonce) {
            self.congestion.set_mtu(self.path.current());
            self.errors = 0;
            self.schedule_path_mtu(now, true);
        } else if let Some((_, at)) = self.heartbeat.take_if(|(expected, _)| *expected == nonce) {
            self.errors = 0;
            if self.outstanding.is_empty() {
                self.rtt.sample(now, now.saturating_duration_since(at));
            }
        }
    }

    fn on_error(&mut self, causes: ParameterIter<'_>) {
        for cause in causes {
            if cause.kind == cause::STALE_COOKIE && self.state == State::CookieEchoed {
                // RFC 9260 §5.2.6: begin again, as often as any of it is repeated.
                self.stale_cookies += 1;
                if self.handshake_failed(self.stale_cookies) {
                    return;
                }
                self.state = State::CookieWait;
                self.due.init = true;
                self.due.cookie_echo = false;
            }
        }
    }

    fn on_reconfig(&mut self, now: Instant, parameters: ParameterIter<'_>, notes: &mut Notes) {
        if !self.features.reconfig || !(self.receives_data() || self.sends_data()) {
            self.counters.chunks_ignored += 1;
            return;
        }
        for parameter in parameters.take(2) {
            let Some(parameter) = Reconfig::parse(&parameter) else {
                self.counters.chunks_ignored += 1;
                continue;
            };
            if !matches!(parameter, Reconfig::Response { .. }) {
                notes.requests += 1;
                if notes.requests > MAX_RECONFIG_REQUESTS {
                    self.counters.chunks_ignored += 1;
                    continue;
                }
            }
            let cumulative = self.acks.cumulative();
            let quiet =
                self.outstanding.is_empty() && self.send.bytes() == 0 && self.writing.is_none();
            // RFC 6525 §5.2.4: 2^31 beyond what came, and where we are.
            let fresh = quiet.then(|| FreshTsns {
                sender: self.outstanding.next_tsn() as u32,
                receiver: (cumulative as u32).wrapping_add(1).wrapping_add(1 << 31),
            });
            let acks = &self.acks;
            let unwrap = |tsn| acks.unwrap(tsn);
            let asked = self.reset.is_asking();
            match self.reset.handle(&parameter, cumulative, unwrap, fresh) {
                Some(Action::AskLater) => {
                    self.errors = 0;
                    self.timers
                        .set(Timer::Reconfiguration, now + self.rtt.timeout());
                }
                Some(action) => self.act(action),
                None => {}
            }
            if !self.reset.is_asking() {
                if asked {
                    self.errors = 0;
                }
                self.timers.stop(Timer::Reconfiguration);
                self.request_reset(now);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ResetIncoming(streams) => {
                if streams.is_empty() {
                    self.reassembly.clear(&mut self.events);
                    self.events.push_back(Event::AllIncomingReset);
                    return;
                }
                let mut streams = streams;
                streams.retain(|stream| *stream < self.inbound_streams);
                streams.sort_unstable();
                streams.dedup();
                let next = self.acks.cumulative() + 1;
                self.reassembly.reset(&streams, next, &mut self.events);
                let resets = streams.into_iter();
                self.events
                    .extend(resets.map(|stream| Event::IncomingReset { stream }));
            }
            Action::OutgoingDone(streams, result) => self.settle_reset(streams, result),
            Action::ResetOutgoing(streams) => {
                for stream in streams {
                    self.events.push_back(Event::ResetRequested { stream });
                }
            }
            Action::IncomingAdded(count) => {
                self.inbound_streams = self.inbound_streams.saturating_add(count);
                self.events.push_back(Event::StreamsAdded {
                    outbound: self.outbound_streams,
                    inbound: self.inbound_streams,
                });
            }
            Action::OutgoingAdded(count) => {
                self.outbound_streams = self.outbound_streams.saturating_add(count);
                self.events.push_back(Event::StreamsAdded {
                    outbound: self.outbound_streams,
                    inbound: self.inbound_streams,
                });
            }
            Action::AskLater | Action::RequestSettled => {}
            Action::RestartNumbers(peer_tsn) => {
                self.reassembly.clear(&mut self.events);
                self.acks = Acknowledger::new(peer_tsn);
                self.timers.stop(Timer::Acknowledgement);
                self.send.restart_all();
                self.events.push_back(Event::NumbersReset);
            }
        }
    }
}
