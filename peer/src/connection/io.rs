//! Datagrams and time, in and out.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use tincan_stun::framing::Framing;

use super::PeerConnection;
use super::transport::{Arrived, MediaPacket};
use crate::event::{DtlsError, Event};
use crate::types::{DtlsTransportState, Protocol, Received, SignalingState, Transmit};

/// A datagram that did not fit into the run it was made for: it goes out first the next time.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    transmit: Option<Transmit>,
    closing: Option<Closing>,
    /// Something may be to be sent since the last [`poll_transmit`](PeerConnection::poll_transmit).
    pub(super) wake: bool,
    /// The last packet of the data channels tries the path: it goes in a call of its own.
    alone: bool,
}

/// What is still to be said after `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// RTCP BYE and SCTP ABORT or SHUTDOWN.
    Goodbyes,
    /// DTLS close_notify.
    Dtls,
    /// What TURN servers are told, and then nothing any more.
    Done,
}

impl Held {
    pub(super) fn shrink(&mut self) {
        if self.transmit.is_none() {
            self.bytes = Vec::new();
        }
    }

    pub(super) fn closing(&mut self, _now: Instant) {
        self.closing = Some(Closing::Goodbyes);
    }
}

/// What kind of datagram a run is made of.
#[derive(Debug, Clone, Copy)]
enum Source {
    Rtp,
    Data,
}

impl PeerConnection {
    /// Takes a datagram. What is not for this connection, or can't be decrypted, is counted and dropped.
    pub fn handle_input(&mut self, now: Instant, received: Received, datagram: BytesMut) {
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        let _entered = self.taps.enter(now);
        if self.taps.records() {
            let framed = self.transport.is_framed(&received);
            self.taps.arriving(&received, &datagram, framed);
        }
        self.take_datagram(now, received, datagram);
        self.taps.arrived();
    }

    fn take_datagram(&mut self, now: Instant, received: Received, datagram: BytesMut) {
        let ecn = received.ecn;
        match self
            .transport
            .handle_input(now, received, datagram, &mut self.rng)
        {
            Arrived::Rtp(packet) => {
                self.rest.disturb(now);
                if let Some(media) = &mut self.media {
                    media.handle_rtp(now, ecn, packet, &mut self.events);
                }
            }
            Arrived::Rtcp(packet) => {
                if let Some(media) = &mut self.media {
                    media.handle_rtcp(now, &packet, &mut self.events);
                }
            }
            Arrived::Dtls => {
                self.rest.disturb(now);
                self.after_dtls(now);
            }
            Arrived::Data(data) => {
                self.rest.disturb(now);
                self.channels.handle_input(now, data.freeze());
                self.after_dtls(now);
            }
            Arrived::Nothing => self.after_input(now),
        }
    }

    /// The system says that nothing gets through between these addresses: no route, or a TCP or TLS connection that was
    /// refused, broke or is not trusted. `why` is for people: if the far end is a STUN or TURN server it becomes the text
    /// of an [`Event::IceCandidateError`](crate::Event::IceCandidateError).
    pub fn path_failed(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        transport: Protocol,
        why: &str,
    ) {
        if self.check_open().is_err() {
            return;
        }
        self.transport
            .path_failed(now, local, remote, transport, why);
        self.after_input(now);
    }

    /// How messages are cut out of a TCP or TLS stream between these addresses. What is sent is framed already.
    pub fn stream_framing(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        transport: Protocol,
    ) -> Framing {
        self.transport.stream_framing(local, remote, transport)
    }

    /// ICE may have news, and DTLS may begin.
    pub(super) fn after_input(&mut self, now: Instant) {
        self.drain_ice_events();
        if self.transport.dtls().is_none() && self.transport.agent.can_send() {
            self.transport.ensure_dtls(now, &mut self.rng);
        }
        self.after_dtls(now);
    }

    /// DTLS may have news and data.
    fn after_dtls(&mut self, now: Instant) {
        self.transport.poll_dtls_events();
        let failure = self.transport.take_failure().map(DtlsError::new);
        self.events.extend(failure.map(Event::DtlsError));
        if self.media.is_some() {
            self.transport.ensure_srtp();
        }
        if let Some(dtls) = self.transport.dtls_mut() {
            let connected = dtls.is_connected();
            while let Some(data) = dtls.poll_data() {
                self.channels.handle_input(now, data.freeze());
            }
            if connected && self.channels.connect(now) {
                self.search_path(now);
            }
        }
        self.channels.poll_events(&mut self.events);
        let ended = matches!(
            self.transport.state,
            Some(DtlsTransportState::Closed | DtlsTransportState::Failed)
        );
        if ended && self.channels.has_association() {
            self.channels.dtls_ended(now, failure, &mut self.events);
        }
        self.update_states();
    }

    /// Appends up to `max_datagrams` datagrams for one destination to `out`; `None` when there is nothing to send now.
    /// All but the last have the same length, the last none longer, and all together at most
    /// [`MAX_DATAGRAM`](Self::MAX_DATAGRAM) bytes, as one call with GSO takes them.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        max_datagrams: usize,
    ) -> Option<Transmit> {
        let _entered = self.taps.enter(now);
        self.held.wake = false;
        let start = out.len();
        let transmit = self.poll_any(now, out, max_datagrams)?;
        self.taps
            .leaving(&transmit, out.get(start..).unwrap_or_default());
        Some(transmit)
    }

    fn poll_any(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        max_datagrams: usize,
    ) -> Option<Transmit> {
        if let Some(transmit) = self.held.transmit.take() {
            out.extend_from_slice(&self.held.bytes);
            return Some(transmit);
        }
        if self.held.closing.is_some() {
            return self.poll_closing(now, out);
        }
        let transmit = self
            .transport
            .poll_ice(now, out)
            .or_else(|| self.transport.poll_handshake(now, out))
            .or_else(|| self.poll_rtcp(now, out))
            .or_else(|| self.poll_run(now, out, max_datagrams, Source::Rtp))
            .or_else(|| self.poll_run(now, out, max_datagrams, Source::Data));
        if let Some(media) = &mut self.media {
            media.poll_tones(&mut self.events);
        }
        if transmit.is_some() && self.transport.dtls().is_some_and(|d| !d.is_connected()) {
            // Our last flight may have been what the handshake waited for.
            self.after_dtls(now);
        }
        transmit
    }

    fn poll_rtcp(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let media = self.media.as_mut().filter(|_| self.transport.has_srtp())?;
        let start = out.len();
        let head = self.transport.headroom();
        out.resize(start + head, 0);
        if !media.poll_rtcp(now, out) {
            out.truncate(start);
            return None;
        }
        self.transport
            .send_media(now, out, start, head, MediaPacket::Rtcp)
    }

    /// Appends datagrams of one size, as one GSO call can send them.
    fn poll_run(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        max: usize,
        source: Source,
    ) -> Option<Transmit> {
        self.held.alone = false;
        let mut run = self.poll_one(now, out, source)?;
        if self.held.alone {
            return Some(run);
        }
        let segment = run.len;
        let mut count = 1;
        // The system takes no more in one call than a datagram could have.
        while count < max
            && run.transport == crate::Protocol::Udp
            && run.len + segment <= Self::MAX_DATAGRAM
        {
            let at = out.len();
            let Some(next) = self.poll_one(now, out, source) else {
                break;
            };
            let fits = next.len <= segment
                && (next.local, next.remote, next.transport)
                    == (run.local, run.remote, run.transport);
            if !fits {
                self.held.bytes.clear();
                self.held
                    .bytes
                    .extend_from_slice(out.get(at..).unwrap_or_default());
                self.held.transmit = Some(next);
                out.truncate(at);
                break;
            }
            run.len += next.len;
            count += 1;
            if next.len < segment {
                break;
            }
        }
        run.segment_size = (count > 1).then_some(segment);
        Some(run)
    }

    fn poll_one(&mut self, now: Instant, out: &mut Vec<u8>, source: Source) -> Option<Transmit> {
        let start = out.len();
        match source {
            Source::Rtp => {
                let media = self
                    .media
                    .as_mut()
                    .filter(|m| m.has_queued(now) && self.transport.has_srtp())?;
                let head = self.transport.headroom();
                out.resize(start + head, 0);
                if !media.poll_rtp(now, out) {
                    out.truncate(start);
                    return None;
                }
                self.transport
                    .send_media(now, out, start, head, MediaPacket::Rtp)
            }
            Source::Data => {
                if !self.channels.has_association() || !self.transport.agent.can_send() {
                    return None;
                }
                let head = self.transport.headroom();
                let dtls = self.transport.dtls_mut().filter(|d| d.is_connected())?;
                out.resize(start + head + dtls.headroom(), 0);
                let sent = self.channels.poll_transmit(now, out);
                if sent.is_none() || dtls.seal_in_place(out, start + head).is_err() {
                    out.truncate(start);
                    return None;
                }
                self.held.alone = sent.is_some_and(|sent| sent.probes);
                self.transport.frame(now, out, start)
            }
        }
    }

    /// After `close`: BYE, what SCTP still says, close_notify, and then nothing.
    fn poll_closing(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.held.closing == Some(Closing::Goodbyes) {
            if let Some(transmit) = self
                .poll_rtcp(now, out)
                .or_else(|| self.poll_one(now, out, Source::Data))
            {
                return Some(transmit);
            }
            if let Some(dtls) = self.transport.dtls_mut() {
                dtls.close(now);
            }
            self.held.closing = Some(Closing::Dtls);
        }
        if self.held.closing == Some(Closing::Dtls) {
            if let Some(transmit) = self.transport.poll_handshake(now, out) {
                return Some(transmit);
            }
            self.transport.agent.close();
            self.held.closing = Some(Closing::Done);
        }
        // TURN servers are told that their allocations may go.
        self.transport.poll_ice(now, out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next; `None` when nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.held.closing.is_some() {
            return None;
        }
        let media = self
            .media
            .as_ref()
            .filter(|_| self.transport.has_srtp())
            .and_then(|m| m.poll_timeout());
        [
            self.transport.poll_timeout(),
            self.channels.poll_timeout(),
            media,
            self.held.wake.then(|| self.taps.clock()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        let _entered = self.taps.enter(now);
        if let Some(media) = &mut self.media {
            media.handle_timeout(now, &mut self.events);
        }
        self.transport.handle_timeout(now);
        self.channels.handle_timeout(now);
        self.after_input(now);
        self.log_stats_when_due();
        self.give_back(now);
    }

    fn log_stats_when_due(&mut self) {
        #[cfg(feature = "qlog")]
        if self.taps.wants_stats(crate::limits::LOG_STATS_INTERVAL) {
            self.log_stats();
        }
    }

    /// The system would not send a datagram of `len` bytes in one piece (`EMSGSIZE`), to any destination: data channels
    /// use smaller ones from now on, at once where no search for the path's size found it out before. Not needed for
    /// correctness: without it, a search takes longer.
    pub fn handle_refused(&mut self, now: Instant, len: usize) {
        let _entered = self.taps.enter(now);
        if let Some(around) = self.around_sctp() {
            self.channels
                .packet_refused(now, len.saturating_sub(around));
        }
    }

    /// Bytes around an SCTP packet in a datagram of the path in use.
    fn around_sctp(&self) -> Option<usize> {
        let dtls = self.transport.dtls().filter(|dtls| dtls.is_connected())?;
        // A relay's channel may come and go.
        let relay = match self.transport.headroom() {
            0..=2 => 0,
            _ => crate::limits::MAX_RELAY_OVERHEAD,
        };
        Some(dtls.headroom() + dtls.tailroom() + relay)
    }

    /// Datagrams of data channels take another path, or the first: its size is to be found.
    pub(super) fn search_path(&mut self, now: Instant) {
        let most = self.config.max_probed_datagram;
        if most > self.config.max_datagram
            && let Some(around) = self.around_sctp()
        {
            self.channels.path_changed(now, most.saturating_sub(around));
        }
    }

    /// Bytes of one SCTP packet so that the datagram around it has at most `max_datagram`.
    pub(super) fn sctp_mtu(&self) -> usize {
        // 48 for IPv6 and UDP, 50 for DTLS, 36 for a TURN Send indication.
        self.config.max_datagram.saturating_sub(100).max(500)
    }
}
