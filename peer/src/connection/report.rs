//! `getStats`: collects what the machines know.

use std::time::Instant;

use tincan_ice as ice;

use super::{PeerConnection, ntp_epoch};
use crate::jsep::MediaParameters;
use crate::stats::*;

/// Id of the only transport.
const TRANSPORT: &str = "T";

impl PeerConnection {
    /// `getStats`: a snapshot of everything.
    pub fn stats(&self, now: Instant) -> StatsReport {
        let mut collector = Collector {
            pc: self,
            now,
            timestamp: self.milliseconds(now),
            entries: Vec::new(),
        };
        collector.peer_connection();
        collector.channels();
        collector.ice();
        collector.media();
        StatsReport {
            entries: collector.entries,
        }
    }

    /// Milliseconds since the Unix epoch at an instant.
    fn milliseconds(&self, at: Instant) -> f64 {
        let elapsed = match at.checked_duration_since(self.started) {
            Some(later) => later.as_secs_f64(),
            None => -self.started.saturating_duration_since(at).as_secs_f64(),
        };
        (ntp_epoch(&self.config).as_secs_f64() + elapsed) * 1e3
    }
}

struct Collector<'a> {
    pc: &'a PeerConnection,
    now: Instant,
    timestamp: f64,
    entries: Vec<Stats>,
}

impl Collector<'_> {
    fn peer_connection(&mut self) {
        self.entries
            .push(Stats::PeerConnection(PeerConnectionStats {
                id: "P".into(),
                timestamp: self.timestamp,
                data_channels_opened: Some(self.pc.channels.opened),
                data_channels_closed: Some(self.pc.channels.closed),
            }));
    }

    fn channels(&mut self) {
        for key in self.pc.channels.keys() {
            let Some(info) = self.pc.channels.info(key) else {
                continue;
            };
            let counters = self.pc.channels.counters(key);
            self.entries.push(Stats::DataChannel(DataChannelStats {
                id: format!("D{key}"),
                timestamp: self.timestamp,
                state: info.state.to_string(),
                label: Some(info.label),
                protocol: Some(info.init.protocol),
                data_channel_identifier: info.init.id,
                messages_sent: Some(counters.messages_sent),
                bytes_sent: Some(counters.bytes_sent),
                messages_received: Some(counters.messages_received),
                bytes_received: Some(counters.bytes_received),
            }));
        }
    }

    fn ice(&mut self) {
        let stats = self.pc.transport.agent.stats();
        let candidates = |list: &[ice::Candidate], c: &ice::Candidate, prefix: char| {
            let same = |o: &ice::Candidate| {
                o.address == c.address
                    && o.port == c.port
                    && o.transport == c.transport
                    && o.kind == c.kind
            };
            format!(
                "{prefix}{}",
                list.iter().position(same).unwrap_or(list.len())
            )
        };
        for (n, candidate) in stats.local_candidates.iter().enumerate() {
            self.entries.push(Stats::LocalCandidate(local_candidate(
                candidate,
                format!("L{n}"),
                self.timestamp,
            )));
        }
        for (n, candidate) in stats.remote_candidates.iter().enumerate() {
            let c = local_candidate(candidate, format!("R{n}"), self.timestamp);
            self.entries
                .push(Stats::RemoteCandidate(RemoteIceCandidateStats {
                    id: c.id,
                    timestamp: c.timestamp,
                    transport_id: c.transport_id,
                    candidate_type: c.candidate_type,
                    address: c.address,
                    port: c.port,
                    protocol: c.protocol,
                    priority: c.priority,
                    foundation: c.foundation,
                    related_address: c.related_address,
                    related_port: c.related_port,
                    username_fragment: c.username_fragment,
                    tcp_type: c.tcp_type,
                }));
        }
        for (n, pair) in stats.pairs.iter().enumerate() {
            self.entries.push(Stats::CandidatePair(CandidatePairStats {
                id: format!("CP{n}"),
                timestamp: self.timestamp,
                transport_id: TRANSPORT.into(),
                local_candidate_id: candidates(&stats.local_candidates, &pair.local, 'L'),
                remote_candidate_id: candidates(&stats.remote_candidates, &pair.remote, 'R'),
                state: match pair.state {
                    ice::PairState::Frozen => "frozen",
                    ice::PairState::Waiting => "waiting",
                    ice::PairState::InProgress => "in-progress",
                    ice::PairState::Succeeded => "succeeded",
                    _ => "failed",
                }
                .into(),
                nominated: Some(pair.nominated),
                packets_sent: Some(pair.packets_sent),
                packets_received: Some(pair.packets_received),
                bytes_sent: Some(pair.bytes_sent),
                total_round_trip_time: Some(pair.total_round_trip_time.as_secs_f64()),
                current_round_trip_time: pair.current_round_trip_time.map(|t| t.as_secs_f64()),
                requests_received: Some(pair.requests_received),
                requests_sent: Some(pair.requests_sent),
                responses_received: Some(pair.responses_received),
                responses_sent: Some(pair.responses_sent),
                consent_requests_sent: Some(pair.consent_requests_sent),
            }));
        }
        self.transport(&stats);
    }

    fn transport(&mut self, ice_stats: &ice::stats::Stats) {
        let transport = &self.pc.transport;
        let Some(state) = transport.state else { return };
        let dtls = transport.dtls();
        let sctp = self.pc.channels.stats();
        let media = self
            .pc
            .media
            .as_ref()
            .map(|m| m.counters())
            .unwrap_or_default();
        let remote = dtls.and_then(|d| d.peer_certificates().first());
        self.entries.push(Stats::Transport(TransportStats {
            id: TRANSPORT.into(),
            timestamp: self.timestamp,
            dtls_state: state.to_string(),
            packets_sent: Some(transport.counters.packets_sent),
            packets_received: Some(transport.counters.packets_received),
            bytes_sent: Some(transport.counters.bytes_sent),
            bytes_received: Some(transport.counters.bytes_received),
            ice_role: Some(match transport.agent.role() {
                ice::Role::Controlling => "controlling".into(),
                _ => "controlled".into(),
            }),
            ice_local_username_fragment: Some(
                transport.agent.local_credentials().ufrag.as_str().into(),
            ),
            ice_state: Some(ice_stats.state.to_string()),
            selected_candidate_pair_id: ice_stats.selected.map(|n| format!("CP{n}")),
            local_certificate_id: Some("CL".into()),
            remote_certificate_id: remote.map(|_| "CR".into()),
            tls_version: dtls.and_then(|d| d.version()).map(|v| match v {
                tincan_dtls::Version::Dtls13 => "FEFC".into(),
                _ => "FEFD".into(),
            }),
            dtls_cipher: dtls
                .and_then(|d| d.cipher_suite())
                .map(|c| format!("{c:?}")),
            dtls_role: transport.role().map(|r| r.to_string()),
            srtp_cipher: transport.srtp_profile().map(|p| p.sdes_name().into()),
            selected_candidate_pair_changes: Some(ice_stats.selected_pair_changes),
            packets_dropped: Some(
                transport.counters.dropped
                    + media.unrouted
                    + media.unwanted
                    + media.malformed
                    + media.overflow,
            ),
            packets_forged: Some(transport.counters.forged),
            smoothed_round_trip_time: sctp
                .as_ref()
                .and_then(|s| s.smoothed_rtt)
                .map(|t| t.as_secs_f64()),
            congestion_window: sctp.as_ref().map(|s| s.congestion_window as u64),
            receiver_window: sctp.as_ref().map(|s| s.peer_window as u64),
            mtu: sctp.as_ref().map(|s| s.mtu as u64),
        }));
        let own = self.pc.config.certificates.first().and_then(|c| c.der());
        for (id, der) in [("CL", own), ("CR", remote.map(|r| &r[..]))] {
            let Some(der) = der else { continue };
            let print =
                tincan_dtls::Fingerprint::of(tincan_dtls::HashAlgorithm::Sha256, der).to_string();
            let (algorithm, fingerprint) = print.split_once(' ').unwrap_or(("sha-256", ""));
            self.entries.push(Stats::Certificate(CertificateStats {
                id: id.into(),
                timestamp: self.timestamp,
                fingerprint: fingerprint.into(),
                fingerprint_algorithm: algorithm.into(),
                base64_certificate: base64(der),
            }));
        }
    }

    fn media(&mut self) {
        let Some(media) = &self.pc.media else { return };
        for track in media.tracks() {
            let p = &track.parameters;
            self.codecs(p);
            let kind = p.kind.as_str();
            for (n, sender) in track.senders.iter().enumerate() {
                let id = format!("O{}", sender.ssrc);
                let remote_id = sender.remote.map(|_| format!("RI{}", sender.ssrc));
                self.entries.push(Stats::OutboundRtp(OutboundRtpStats {
                    id: id.clone(),
                    timestamp: self.timestamp,
                    ssrc: sender.ssrc,
                    kind: kind.into(),
                    transport_id: Some(TRANSPORT.into()),
                    codec_id: sender.payload_type.map(|pt| codec_id(p, "S", pt)),
                    mid: Some(p.mid.clone()),
                    remote_id: remote_id.clone(),
                    rid: sender.rid.as_deref().map(Into::into),
                    encoding_index: Some(n as u32),
                    packets_sent: Some(sender.packets + sender.retransmitted_packets),
                    bytes_sent: Some(sender.octets + sender.retransmitted_octets),
                    header_bytes_sent: Some(sender.header_octets),
                    retransmitted_packets_sent: Some(sender.retransmitted_packets),
                    retransmitted_bytes_sent: Some(sender.retransmitted_octets),
                    rtx_ssrc: p
                        .send_codecs
                        .iter()
                        .any(crate::Codec::is_rtx)
                        .then_some(sender.rtx_ssrc),
                    nack_count: Some(sender.nacks),
                    fir_count: Some(sender.firs),
                    pli_count: Some(sender.plis),
                    active: Some(p.direction.sends() && sender.active),
                    frames_sent: sender.frames.as_ref().map(|f| f.frames),
                }));
                let (Some(report), Some(remote_id)) = (sender.remote, remote_id) else {
                    continue;
                };
                self.entries
                    .push(Stats::RemoteInboundRtp(RemoteInboundRtpStats {
                        id: remote_id,
                        timestamp: self.pc.milliseconds(report.at),
                        ssrc: sender.ssrc,
                        kind: kind.into(),
                        transport_id: Some(TRANSPORT.into()),
                        local_id: Some(id),
                        packets_lost: Some(i64::from(report.cumulative_lost)),
                        jitter: Some(report.jitter.as_secs_f64()),
                        fraction_lost: Some(f64::from(report.fraction_lost) / 256.0),
                        round_trip_time: report.round_trip.map(|t| t.as_secs_f64()),
                        total_round_trip_time: Some(report.total_round_trip.as_secs_f64()),
                        round_trip_time_measurements: Some(report.measurements),
                    }));
            }
            self.receivers(p, track.id);
        }
    }

    fn receivers(&mut self, p: &MediaParameters, transceiver: crate::TransceiverId) {
        let Some(media) = &self.pc.media else { return };
        let msids = self
            .pc
            .jsep
            .remote()
            .and_then(|d| d.section_of(&p.mid))
            .map(|(_, s)| s.msids.clone());
        let track = msids
            .unwrap_or_default()
            .into_iter()
            .find_map(|m| m.track)
            .unwrap_or_default();
        let rtx = p.receive_codecs.iter().any(crate::Codec::is_rtx);
        for (at, r) in media
            .receivers()
            .iter()
            .enumerate()
            .filter(|(_, r)| r.transceiver == transceiver && r.repairs.is_none())
        {
            // §6: streams of retransmissions have no entry of their own, they count here.
            let [again, again_octets, again_headers] = media.repairs(at);
            let id = format!("I{}", r.ssrc);
            let remote_id = r.sender_report.map(|_| format!("RO{}", r.ssrc));
            self.entries.push(Stats::InboundRtp(InboundRtpStats {
                id: id.clone(),
                timestamp: self.timestamp,
                ssrc: r.ssrc,
                kind: p.kind.as_str().into(),
                track_identifier: track.clone(),
                transport_id: Some(TRANSPORT.into()),
                codec_id: r.payload_type.map(|pt| codec_id(p, "R", pt)),
                mid: Some(p.mid.clone()),
                remote_id: remote_id.clone(),
                packets_received: Some(r.packets + again),
                packets_lost: Some(r.statistics.cumulative_lost()),
                jitter: Some(r.statistics.jitter().as_secs_f64()),
                bytes_received: Some(r.octets + again_octets),
                header_bytes_received: Some(r.header_octets + again_headers),
                last_packet_received_timestamp: r.last_packet.map(|at| self.pc.milliseconds(at)),
                nack_count: Some(r.nacks),
                pli_count: Some(r.plis),
                retransmitted_packets_received: rtx.then_some(again),
                retransmitted_bytes_received: rtx.then_some(again_octets),
                frames_received: r.assembly.as_ref().map(|a| a.frames),
                frames_dropped: r.assembly.as_ref().map(|a| a.dropped()),
                // RFC 6464: -dBov; 127 is silence.
                audio_level: r.audio_level.map(|l| {
                    if l == 127 {
                        0.0
                    } else {
                        10f64.powf(-f64::from(l) / 20.0)
                    }
                }),
            }));
            let (Some(report), Some(remote_id)) = (r.sender_report, remote_id) else {
                continue;
            };
            self.entries
                .push(Stats::RemoteOutboundRtp(RemoteOutboundRtpStats {
                    id: remote_id,
                    timestamp: self.pc.milliseconds(report.at),
                    ssrc: r.ssrc,
                    kind: p.kind.as_str().into(),
                    transport_id: Some(TRANSPORT.into()),
                    local_id: Some(id),
                    packets_sent: Some(u64::from(report.packets)),
                    bytes_sent: Some(u64::from(report.octets)),
                    remote_timestamp: Some(report.ntp.to_unix().as_secs_f64() * 1e3),
                    reports_sent: Some(report.count),
                }));
        }
        let _ = self.now;
    }

    fn codecs(&mut self, p: &MediaParameters) {
        for (way, list) in [("S", &p.send_codecs), ("R", &p.receive_codecs)] {
            for codec in list {
                self.entries.push(Stats::Codec(CodecStats {
                    id: codec_id(p, way, codec.payload_type),
                    timestamp: self.timestamp,
                    payload_type: codec.payload_type,
                    transport_id: TRANSPORT.into(),
                    mime_type: codec.mime_type(p.kind),
                    clock_rate: Some(codec.clock_rate),
                    channels: codec.channels,
                    sdp_fmtp_line: Some(codec.fmtp.clone()).filter(|f| !f.is_empty()),
                }));
            }
        }
    }
}

fn codec_id(p: &MediaParameters, way: &str, payload_type: u8) -> String {
    format!("C{way}{}_{payload_type}", p.mid)
}

fn local_candidate(c: &ice::Candidate, id: String, timestamp: f64) -> IceCandidateStats {
    let address = match &c.address {
        ice::CandidateAddress::Ip(ip) => Some(ip.to_string()),
        // W3C §7.18: an mDNS name is not told.
        ice::CandidateAddress::Name(_) => None,
    };
    IceCandidateStats {
        id,
        timestamp,
        transport_id: TRANSPORT.into(),
        candidate_type: c.kind.as_str().into(),
        address,
        port: Some(c.port),
        protocol: Some(match c.transport {
            ice::CandidateTransport::Udp => "udp".into(),
            ice::CandidateTransport::Tcp(_) => "tcp".into(),
        }),
        priority: Some(c.priority.0),
        foundation: Some(c.foundation.as_str().into()),
        related_address: c.related.map(|r| r.ip().to_string()),
        related_port: c.related.map(|r| r.port()),
        username_fragment: c.ufrag.as_ref().map(|u| u.as_str().into()),
        tcp_type: c.tcp_type().map(|t| t.as_str().into()),
    }
}
