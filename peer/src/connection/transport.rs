//! The one transport of a connection: ICE below, DTLS on it, SRTP keyed by it. No SDP and no media here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::rngs::StdRng;
use tincan_dtls as dtls;
use tincan_ice as ice;
use tincan_srtp as srtp;
use tincan_stun::framing::Framing;

use crate::limits::MAX_EARLY_DTLS;
use crate::types::{DtlsRole, DtlsTransportState, Ecn, HostProtocol, Protocol, Received, Transmit};

/// ICE agent, DTLS connection and SRTP contexts.
pub(super) struct Transport {
    pub(super) agent: ice::Agent,
    config: Arc<dtls::Config>,
    dtls: Option<Box<dtls::Connection>>,
    pub(super) state: Option<DtlsTransportState>,
    srtp: Option<Box<Srtp>>,
    /// What negotiation has decided, before there is a path.
    plan: Option<Plan>,
    /// DTLS datagrams that came before the plan.
    early: Vec<BytesMut>,
    /// Streams in an SRTP context, where a budget bounds them.
    srtp_streams: Option<usize>,
    pub(super) counters: Counters,
    /// Not told yet.
    failure: Option<dtls::Failure>,
}

/// A DTLS connection as negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) role: DtlsRole,
    pub(super) fingerprints: Vec<String>,
    /// The far side's, if it says one.
    pub(super) tls_id: Option<String>,
}

impl Plan {
    /// RFC 9429 §5.11; the role is another only in another association.
    fn continues(&self, before: &Plan) -> bool {
        let other_id = matches!((&self.tls_id, &before.tls_id), (Some(a), Some(b)) if a != b);
        self.role == before.role && self.fingerprints == before.fingerprints && !other_id
    }
}

struct Srtp {
    sender: srtp::Sender,
    receiver: srtp::Receiver,
}

/// Datagrams and what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) bytes_sent: u64,
    pub(super) packets_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) packets_received: u64,
    /// From an unknown path, of an unknown kind, or before keys.
    pub(super) dropped: u64,
    /// Not authentic.
    pub(super) forged: u64,
}

/// What is protected by SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaPacket {
    Rtp,
    Rtcp,
}

/// What a datagram was.
pub(super) enum Arrived {
    /// Dealt with here.
    Nothing,
    /// DTLS was fed: data and events may wait.
    Dtls,
    /// Decrypted data; DTLS may have more of them, and events.
    Data(BytesMut),
    /// A decrypted RTP packet.
    Rtp(BytesMut),
    /// Decrypted RTCP.
    Rtcp(BytesMut),
}

impl Transport {
    pub(super) fn new(
        agent: ice::Agent,
        config: Arc<dtls::Config>,
        srtp_streams: Option<usize>,
    ) -> Self {
        Transport {
            agent,
            config,
            dtls: None,
            state: None,
            srtp: None,
            plan: None,
            early: Vec::new(),
            srtp_streams,
            failure: None,
            counters: Counters::default(),
        }
    }

    /// Why DTLS failed, once.
    pub(super) fn take_failure(&mut self) -> Option<dtls::Failure> {
        self.failure.take()
    }

    /// What negotiation decided on; `true` where that is another association than the one before.
    pub(super) fn set_plan(&mut self, now: Instant, plan: Plan, rng: &mut StdRng) -> bool {
        if self.plan.as_ref() == Some(&plan) {
            return false;
        }
        let replaced = self.plan.as_ref().is_some_and(|p| !plan.continues(p));
        if replaced {
            self.dtls = None;
            self.srtp = None;
        }
        self.plan = Some(plan);
        if self.state.is_none() || self.dtls.is_none() {
            self.state = Some(DtlsTransportState::New);
        }
        for datagram in core::mem::take(&mut self.early) {
            self.handle_dtls(now, datagram, rng);
        }
        replaced
    }

    /// Makes the DTLS connection once there is a path and a plan.
    pub(super) fn ensure_dtls(&mut self, now: Instant, rng: &mut StdRng) {
        let Some(plan) = self.plan.as_ref().filter(|_| self.dtls.is_none()) else {
            return;
        };
        if matches!(
            self.state,
            Some(DtlsTransportState::Closed | DtlsTransportState::Failed)
        ) {
            return;
        }
        let role = match plan.role {
            DtlsRole::Client => dtls::Role::Client,
            DtlsRole::Server => dtls::Role::Server,
        };
        let Ok(mut connection) = dtls::Connection::new(self.config.clone(), role, now, rng) else {
            self.state = Some(DtlsTransportState::Failed);
            return;
        };
        connection.set_remote_fingerprints(
            plan.fingerprints
                .iter()
                .filter_map(|f| f.parse().ok())
                .collect(),
        );
        // RFC 9147 §5.8.2.
        if let Some(round_trip) = self.round_trip() {
            connection.set_initial_timeout(round_trip.saturating_mul(3) / 2);
        }
        self.dtls = Some(Box::new(connection));
        self.state = Some(DtlsTransportState::Connecting);
    }

    /// The last round trip on the path in use, if it was measured.
    fn round_trip(&self) -> Option<Duration> {
        let stats = self.agent.stats();
        stats.pairs.get(stats.selected?)?.current_round_trip_time
    }

    /// Our DTLS role, once decided.
    pub(super) fn role(&self) -> Option<DtlsRole> {
        self.plan.as_ref().map(|p| p.role)
    }

    /// Another configuration for DTLS connections to come.
    #[cfg(feature = "capture")]
    pub(super) fn set_config(&mut self, config: Arc<dtls::Config>) {
        self.config = config;
    }

    /// Whether what comes this way had a length in front (RFC 4571): TCP, but not from a TURN server.
    pub(super) fn is_framed(&self, received: &Received) -> bool {
        received.transport == Protocol::Tcp
            && !self.agent.is_server(ice::Source {
                local: received.local,
                remote: received.remote,
                transport: ice::Transport::Tcp,
            })
    }

    pub(super) fn dtls(&self) -> Option<&dtls::Connection> {
        self.dtls.as_deref()
    }

    pub(super) fn dtls_mut(&mut self) -> Option<&mut dtls::Connection> {
        self.dtls.as_deref_mut()
    }

    pub(super) fn has_srtp(&self) -> bool {
        self.srtp.is_some()
    }

    pub(super) fn srtp_profile(&self) -> Option<srtp::Profile> {
        self.srtp.as_ref().map(|s| s.sender.profile())
    }

    /// Sorts a datagram (RFC 7983) and decrypts media.
    pub(super) fn handle_input(
        &mut self,
        now: Instant,
        received: Received,
        mut datagram: BytesMut,
        rng: &mut StdRng,
    ) -> Arrived {
        use crate::demux::Packet;
        self.counters.packets_received += 1;
        self.counters.bytes_received += datagram.len() as u64;
        let source = ice::Source {
            local: received.local,
            remote: received.remote,
            transport: ice_transport(received.transport),
        };
        let mut kind = crate::demux::classify(&datagram);
        if matches!(kind, Packet::Stun | Packet::TurnChannel) {
            match self.agent.handle_input(now, source, &datagram) {
                ice::Input::Consumed => return Arrived::Nothing,
                ice::Input::NotMine => {
                    self.counters.dropped += 1;
                    return Arrived::Nothing;
                }
                // What a TURN server wrapped is a datagram by itself.
                ice::Input::Data(range) => {
                    datagram.truncate(range.end);
                    let _ = datagram.split_to(range.start.min(datagram.len()));
                    kind = crate::demux::classify(&datagram);
                }
            }
        } else if !self.agent.data_received(now, source, datagram.len()) {
            self.counters.dropped += 1;
            return Arrived::Nothing;
        }
        match kind {
            Packet::Dtls => {
                return match self.handle_dtls(now, datagram, rng) {
                    Some(data) => Arrived::Data(data),
                    None => Arrived::Dtls,
                };
            }
            Packet::Rtp | Packet::Rtcp => {
                if let Some(srtp) = &mut self.srtp {
                    let rtp = kind == Packet::Rtp;
                    let opened = if rtp {
                        srtp.receiver.unprotect_rtp(&mut datagram)
                    } else {
                        srtp.receiver.unprotect_rtcp(&mut datagram)
                    };
                    let Ok(len) = opened else {
                        self.counters.forged += 1;
                        return Arrived::Nothing;
                    };
                    datagram.truncate(len);
                    return if rtp {
                        Arrived::Rtp(datagram)
                    } else {
                        Arrived::Rtcp(datagram)
                    };
                }
            }
            _ => {}
        }
        self.counters.dropped += 1;
        Arrived::Nothing
    }

    /// Returns the datagram's data, where they are all that it brought, as they mostly are.
    fn handle_dtls(
        &mut self,
        now: Instant,
        mut datagram: BytesMut,
        rng: &mut StdRng,
    ) -> Option<BytesMut> {
        if self.plan.is_none() {
            if self.early.len() < MAX_EARLY_DTLS {
                self.early.push(datagram);
            }
            return None;
        }
        self.ensure_dtls(now, rng);
        let dtls = self.dtls.as_mut()?;
        if !dtls.is_connected() {
            // Errors of the network are counted there; what ends the connection comes as an event.
            let _ = dtls.handle_input(now, datagram);
            return None;
        }
        let data = dtls.open_in_place(now, &mut datagram)?;
        datagram.truncate(data.end);
        let _ = datagram.split_to(data.start.min(datagram.len()));
        Some(datagram)
    }

    /// Takes over DTLS events; `true` if the state is another.
    pub(super) fn poll_dtls_events(&mut self) -> bool {
        let Some(dtls) = &mut self.dtls else {
            return false;
        };
        let before = self.state;
        let mut connected = false;
        while let Some(event) = dtls.poll_event() {
            match event {
                dtls::Event::Connected { .. } => connected = true,
                dtls::Event::Closed(reason) => {
                    self.state = Some(match reason {
                        dtls::CloseReason::Failed(failure) => {
                            self.failure = Some(failure);
                            DtlsTransportState::Failed
                        }
                        _ => DtlsTransportState::Closed,
                    });
                }
                _ => {}
            }
        }
        if connected {
            self.state = Some(DtlsTransportState::Connected);
            // Keys of an association before this one.
            self.srtp = None;
        }
        self.state != before
    }

    /// Makes the contexts for media where there are none: eight kilobytes that a connection for data alone never needs.
    pub(super) fn ensure_srtp(&mut self) {
        if self.srtp.is_none() && self.state == Some(DtlsTransportState::Connected) {
            self.srtp = self.make_srtp();
        }
    }

    /// RFC 5764 §4.2.
    fn make_srtp(&self) -> Option<Box<Srtp>> {
        let dtls = self.dtls.as_ref().filter(|d| d.is_connected())?;
        let profile = srtp::Profile::from_dtls_id(dtls.srtp_profile()?.id())?;
        let mut material = vec![0; profile.exporter_len()];
        dtls.export_keying_material(srtp::Profile::EXPORTER_LABEL, None, &mut material)
            .ok()?;
        let is_client = self.role() == Some(DtlsRole::Client);
        // Losses are sent again as they were where the far side knows no RTX (RFC 3711 §3.3.2 allows it knowingly).
        let mut config = srtp::Config::new().allow_repeats(true);
        if let Some(streams) = self.srtp_streams {
            config = config.max_streams(streams).ok()?;
        }
        let contexts =
            srtp::Contexts::from_dtls_exporter_with(profile, &material, is_client, &config);
        material.fill(0);
        let (sender, receiver) = contexts.ok()?;
        Some(Box::new(Srtp { sender, receiver }))
    }

    /// Bytes in use.
    pub(super) fn memory_usage(&self) -> usize {
        self.agent.memory_usage()
            + self.early.iter().map(BytesMut::len).sum::<usize>()
            + self.dtls.as_ref().map_or(0, |d| d.memory_usage())
            + self
                .srtp
                .as_ref()
                .map_or(0, |s| s.receiver.memory_usage() + s.sender.memory_usage())
    }

    /// Bytes to leave free in front of a packet.
    pub(super) fn headroom(&self) -> usize {
        self.agent.data_headroom()
    }

    /// Appends one datagram of the DTLS handshake.
    pub(super) fn poll_handshake(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.agent.can_send() {
            return None;
        }
        let start = out.len();
        let head = self.headroom();
        out.resize(start + head, 0);
        let written = self
            .dtls
            .as_mut()
            .and_then(|dtls| dtls.poll_transmit(now, out));
        if written.is_none() {
            out.truncate(start);
            return None;
        }
        self.frame(now, out, start)
    }

    /// Puts the path's frame around what was appended since `start`, headroom included.
    pub(super) fn frame(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Option<Transmit> {
        match self.agent.frame_data(now, out, start) {
            Some(t) => Some(self.count(t)),
            None => {
                out.truncate(start);
                None
            }
        }
    }

    fn count(&mut self, t: ice::Transmit) -> Transmit {
        self.counters.packets_sent += 1;
        self.counters.bytes_sent += t.len as u64;
        transmit(t)
    }

    /// Appends one STUN message of ICE's.
    pub(super) fn poll_ice(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let t = self.agent.poll_transmit(now, out)?;
        Some(self.count(t))
    }

    /// Protects the RTP or RTCP packet in `out[start + headroom..]` and frames it.
    pub(super) fn send_media(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        start: usize,
        head: usize,
        what: MediaPacket,
    ) -> Option<Transmit> {
        let protected = self.srtp.as_mut().is_some_and(|s| match what {
            MediaPacket::Rtp => s.sender.protect_rtp(out, start + head).is_ok(),
            MediaPacket::Rtcp => s.sender.protect_rtcp(out, start + head).is_ok(),
        });
        if !protected {
            out.truncate(start);
            return None;
        }
        self.frame(now, out, start)
    }

    pub(super) fn path_failed(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        transport: Protocol,
        why: &str,
    ) {
        let source = ice::Source {
            local,
            remote,
            transport: ice_transport(transport),
        };
        if self.agent.server_failed_at(now, source, why) {
            return;
        }
        let reason = match transport {
            Protocol::Udp => ice::FailureReason::Unreachable,
            _ => ice::FailureReason::ConnectionLost,
        };
        self.agent.path_failed(now, source, reason);
    }

    pub(super) fn stream_framing(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        transport: Protocol,
    ) -> Framing {
        self.agent.stream_framing(ice::Source {
            local,
            remote,
            transport: ice_transport(transport),
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let dtls = self
            .dtls
            .as_ref()
            .filter(|_| self.agent.can_send())
            .and_then(|d| d.poll_timeout());
        [self.agent.poll_timeout(), dtls]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now);
        }
    }
}

pub(super) fn ice_transport(protocol: Protocol) -> ice::Transport {
    match protocol {
        Protocol::Udp => ice::Transport::Udp,
        Protocol::Tcp => ice::Transport::Tcp,
        Protocol::Tls => ice::Transport::Tls,
    }
}

pub(super) fn protocol(transport: ice::Transport) -> Protocol {
    match transport {
        ice::Transport::Udp => Protocol::Udp,
        ice::Transport::Tcp => Protocol::Tcp,
        ice::Transport::Tls => Protocol::Tls,
    }
}

pub(super) fn host_transport(protocol: HostProtocol) -> ice::HostTransport {
    match protocol {
        HostProtocol::Udp | HostProtocol::SharedUdp | HostProtocol::RelayUdp => {
            ice::HostTransport::Udp
        }
        HostProtocol::TcpActive => ice::HostTransport::TcpActive,
        HostProtocol::TcpPassive => ice::HostTransport::TcpPassive,
    }
}

pub(super) fn socket_use(protocol: HostProtocol) -> ice::SocketUse {
    match protocol {
        HostProtocol::SharedUdp => ice::SocketUse::Shared,
        HostProtocol::RelayUdp => ice::SocketUse::Relay,
        _ => ice::SocketUse::All,
    }
}

fn transmit(t: ice::Transmit) -> Transmit {
    Transmit {
        local: t.local,
        remote: t.remote,
        transport: protocol(t.transport),
        len: t.len,
        segment_size: None,
        ecn: Ecn::NotEct,
    }
}
