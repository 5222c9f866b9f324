//! `getStats`: collects what the machines know.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use tincan_ice as ice;

use super::{PeerConnection, ntp_epoch};
use crate::error::Error;
use crate::jsep::MediaParameters;
use crate::media::{ReceiveStream, Repaired};
use crate::stats::*;
use crate::types::Kind;

/// Id of the only transport.
const TRANSPORT: &str = "T";

impl PeerConnection {
    /// `getStats` with a selector: the streams of one sender or receiver, and all that they refer to.
    ///
    /// # Errors
    /// Another connection's sender or receiver; a track that nobody has, or more than one.
    pub fn stats_of(
        &self,
        now: Instant,
        selector: impl Into<StatsSelector>,
    ) -> Result<StatsReport, Error> {
        let (sent, received) = match selector.into() {
            StatsSelector::Sender(sender) => (Some(self.sending(sender)?), None),
            StatsSelector::Receiver(receiver) => (None, Some(self.receiving(receiver)?)),
            StatsSelector::Track(track) => {
                let of = |id: &Option<String>| id.as_ref() == Some(&track);
                let senders = self.senders().filter(|s| of(&s.track));
                let receivers = self.receivers().filter(|r| of(&r.track));
                let found: Vec<_> = senders
                    .map(|s| (Some(s.transceiver), None))
                    .chain(receivers.map(|r| (None, Some(r.transceiver))))
                    .collect();
                match found[..] {
                    [one] => one,
                    _ => return Err(Error::TrackAmbiguous),
                }
            }
        };
        let Some(media) = &self.media else {
            return Ok(StatsReport::default());
        };
        let outbound = media
            .tracks()
            .iter()
            .filter(|t| Some(t.id) == sent)
            .flat_map(|t| &t.senders)
            .map(|s| outbound_id(s.ssrc));
        let inbound = media
            .receivers()
            .iter()
            .filter(|r| Some(r.transceiver) == received && r.repairs.is_none())
            .map(inbound_id);
        let roots: Vec<String> = outbound.chain(inbound).collect();
        Ok(self.stats(now).reachable(roots.iter().map(String::as_str)))
    }

    /// `getStats`: a snapshot of everything.
    pub fn stats(&self, now: Instant) -> StatsReport {
        let mut collector = Collector {
            pc: self,
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

    /// The same for the same candidate in every report. An address that may be hidden can't be read from it; whoever knows
    /// all else of the candidate can try which address fits.
    fn candidate_id(&self, prefix: char, c: &ice::Candidate) -> String {
        let mut hasher = DefaultHasher::new();
        let tcp_type = c.tcp_type().map(|t| t.as_str());
        (self.tag, c.kind.as_str(), tcp_type).hash(&mut hasher);
        (c.address.to_string(), c.port).hash(&mut hasher);
        format!("{prefix}{:016x}", hasher.finish())
    }

    fn pair_id(&self, pair: &ice::stats::PairStats) -> String {
        let local = self.candidate_id('L', &pair.local);
        let remote = self.candidate_id('R', &pair.remote);
        format!("P{local}{remote}")
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
        let (mut ours, mut theirs) = (
            stats.local_candidates.clone(),
            stats.remote_candidates.clone(),
        );
        // What a pair is made of is there, told or not.
        for pair in &stats.pairs {
            for (list, candidate) in [(&mut ours, &pair.local), (&mut theirs, &pair.remote)] {
                if !list.iter().any(|c| same(c, candidate)) {
                    list.push(candidate.clone());
                }
            }
        }
        for candidate in &ours {
            let mut entry = candidate_stats(
                candidate,
                self.pc.candidate_id('L', candidate),
                self.timestamp,
            );
            if let Some(origin) = self.pc.transport.agent.origin(candidate) {
                let relayed = candidate.kind == ice::CandidateKind::Relayed;
                let protocol = super::transport::protocol(origin.transport);
                entry.relay_protocol = relayed.then(|| protocol.as_str().into());
                entry.url = Some(origin.url.to_string());
            }
            self.entries.push(Stats::LocalCandidate(entry));
        }
        for candidate in &theirs {
            let id = self.pc.candidate_id('R', candidate);
            let mut c = candidate_stats(candidate, id, self.timestamp);
            // §7.18: an address that the application never heard from the far side's signalling is not told.
            let signalled = |known: &ice::Candidate| {
                known.kind != ice::CandidateKind::PeerReflexive
                    && known.address == candidate.address
            };
            if !stats.remote_candidates.iter().any(signalled) {
                c.address = None;
            }
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
                    url: None,
                    relay_protocol: None,
                    foundation: c.foundation,
                    related_address: c.related_address,
                    related_port: c.related_port,
                    username_fragment: c.username_fragment,
                    tcp_type: c.tcp_type,
                }));
        }
        for pair in &stats.pairs {
            self.entries.push(Stats::CandidatePair(CandidatePairStats {
                id: self.pc.pair_id(pair),
                timestamp: self.timestamp,
                transport_id: TRANSPORT.into(),
                local_candidate_id: self.pc.candidate_id('L', &pair.local),
                remote_candidate_id: self.pc.candidate_id('R', &pair.remote),
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
                bytes_received: Some(pair.bytes_received),
                last_packet_sent_timestamp: pair
                    .last_packet_sent
                    .map(|at| self.pc.milliseconds(at)),
                last_packet_received_timestamp: pair
                    .last_packet_received
                    .map(|at| self.pc.milliseconds(at)),
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
            selected_candidate_pair_id: ice_stats
                .selected
                .and_then(|n| ice_stats.pairs.get(n))
                .map(|pair| self.pc.pair_id(pair)),
            local_certificate_id: Some("CL".into()),
            remote_certificate_id: remote.map(|_| "CR".into()),
            tls_version: dtls.and_then(|d| d.version()).map(|v| match v {
                tincan_dtls::Version::Dtls13 => "FEFC".into(),
                _ => "FEFD".into(),
            }),
            dtls_cipher: dtls
                .and_then(|d| d.cipher_suite())
                // rustls tells the suites of 1.3 apart from IANA's names for them.
                .map(|c| format!("{c:?}").replacen("TLS13_", "TLS_", 1)),
            dtls_role: Some(
                transport
                    .role()
                    .map_or_else(|| "unknown".into(), |r| r.to_string()),
            ),
            srtp_cipher: transport.srtp_profile().and_then(srtp_profile),
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
        let own: Vec<&[u8]> = self
            .pc
            .config
            .certificates
            .first()
            .map_or_else(Vec::new, |c| c.chain());
        let theirs = dtls.map_or_else(Vec::new, |d| {
            d.peer_certificates().iter().map(|c| &c[..]).collect()
        });
        for (name, chain) in [("CL", own), ("CR", theirs)] {
            let id = |n: usize| match n {
                0 => name.to_owned(),
                n => format!("{name}{n}"),
            };
            for (n, der) in chain.iter().enumerate() {
                let print = tincan_dtls::Fingerprint::of(tincan_dtls::HashAlgorithm::Sha256, der)
                    .to_string();
                let (algorithm, fingerprint) = print.split_once(' ').unwrap_or(("sha-256", ""));
                self.entries.push(Stats::Certificate(CertificateStats {
                    id: id(n),
                    timestamp: self.timestamp,
                    fingerprint: fingerprint.into(),
                    fingerprint_algorithm: algorithm.into(),
                    base64_certificate: base64(der),
                    issuer_certificate_id: (n + 1 < chain.len()).then(|| id(n + 1)),
                }));
            }
        }
    }

    fn media(&mut self) {
        let Some(media) = &self.pc.media else { return };
        let repairs = media.repairs();
        for track in media.tracks() {
            let p = &track.parameters;
            self.codecs(p);
            let kind = p.kind.as_str();
            let video = p.kind == Kind::Video;
            let source = self.media_source(track.id, kind);
            for (n, sender) in track.senders.iter().enumerate() {
                let id = outbound_id(sender.ssrc);
                let codec_id = sender.payload_type.map(|pt| codec_id(p, "S", pt));
                let remote_id = sender.remote.map(|_| format!("RI{}", sender.ssrc));
                self.entries.push(Stats::OutboundRtp(OutboundRtpStats {
                    id: id.clone(),
                    timestamp: self.timestamp,
                    ssrc: sender.ssrc,
                    kind: kind.into(),
                    transport_id: Some(TRANSPORT.into()),
                    codec_id: codec_id.clone(),
                    mid: Some(p.mid.clone()),
                    media_source_id: source.clone(),
                    remote_id: remote_id.clone(),
                    rid: sender.rid.as_deref().map(Into::into).filter(|_| video),
                    encoding_index: video.then_some(n as u32),
                    packets_sent: Some(sender.packets + sender.retransmitted_packets),
                    bytes_sent: Some(sender.octets + sender.retransmitted_octets),
                    header_bytes_sent: Some(sender.header_octets + sender.retransmitted_headers),
                    retransmitted_packets_sent: Some(sender.retransmitted_packets),
                    retransmitted_bytes_sent: Some(sender.retransmitted_octets),
                    rtx_ssrc: p
                        .send_codecs
                        .iter()
                        .any(crate::Codec::is_rtx)
                        .then_some(sender.rtx_ssrc),
                    nack_count: Some(sender.nacks),
                    fir_count: video.then_some(sender.firs),
                    pli_count: video.then_some(sender.plis),
                    active: Some(track.sends() && sender.active),
                    scalability_mode: sender
                        .scalability_mode
                        .filter(|_| video)
                        .map(|m| m.as_str().into()),
                    total_packet_send_delay: Some(sender.send_delay.as_secs_f64()),
                    frames_sent: sender.frames.as_ref().map(|f| f.frames).filter(|_| video),
                    packets_sent_with_ect1: Some(0),
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
                        codec_id,
                        local_id: Some(id),
                        packets_lost: Some(i64::from(report.cumulative_lost)),
                        jitter: Some(report.jitter.as_secs_f64()),
                        fraction_lost: Some(f64::from(report.fraction_lost) / 256.0),
                        round_trip_time: report.round_trip.map(|t| t.as_secs_f64()),
                        total_round_trip_time: Some(report.total_round_trip.as_secs_f64()),
                        round_trip_time_measurements: Some(report.measurements),
                    }));
            }
            self.receivers(p, track.id, &repairs);
        }
    }

    /// The entry of a sender's track, where it has one.
    fn media_source(&mut self, transceiver: crate::TransceiverId, kind: &str) -> Option<String> {
        let track = self.pc.jsep.transceiver(transceiver)?.track()?;
        let id = format!("S{transceiver}");
        self.entries.push(Stats::MediaSource(MediaSourceStats {
            id: id.clone(),
            timestamp: self.timestamp,
            track_identifier: track.to_owned(),
            kind: kind.into(),
        }));
        Some(id)
    }

    fn receivers(
        &mut self,
        p: &MediaParameters,
        transceiver: crate::TransceiverId,
        repairs: &HashMap<usize, Repaired>,
    ) {
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
        let video = p.kind == Kind::Video;
        let rtx = p.receive_codecs.iter().any(crate::Codec::is_rtx);
        for (at, r) in media
            .receivers()
            .iter()
            .enumerate()
            .filter(|(_, r)| r.transceiver == transceiver && r.repairs.is_none())
        {
            // §6: streams of retransmissions have no entry of their own, they count here.
            let again = repairs.get(&at).copied().unwrap_or_default();
            let id = inbound_id(r);
            let codec_id = r.payload_type.map(|pt| codec_id(p, "R", pt));
            let frames = r.frame_counts().filter(|_| video);
            let remote_id = r.sender_report.map(|_| format!("RO{}", r.number));
            self.entries.push(Stats::InboundRtp(InboundRtpStats {
                id: id.clone(),
                timestamp: self.timestamp,
                ssrc: r.ssrc,
                kind: p.kind.as_str().into(),
                track_identifier: track.clone(),
                transport_id: Some(TRANSPORT.into()),
                codec_id: codec_id.clone(),
                mid: Some(p.mid.clone()),
                remote_id: remote_id.clone(),
                packets_received: Some(r.packets + again.packets),
                packets_received_with_ect1: Some(r.ect1 + again.ect1),
                packets_received_with_ce: Some(r.ce + again.ce),
                packets_lost: Some(r.statistics.cumulative_lost()),
                jitter: Some(r.statistics.jitter().as_secs_f64()),
                bytes_received: Some(r.octets + again.octets),
                header_bytes_received: Some(r.header_octets + again.header_octets),
                last_packet_received_timestamp: r.last_packet.map(|at| self.pc.milliseconds(at)),
                nack_count: Some(r.nacks),
                fir_count: video.then_some(r.firs),
                pli_count: video.then_some(r.plis),
                rtx_ssrc: again.ssrc,
                retransmitted_packets_received: rtx.then_some(again.packets),
                retransmitted_bytes_received: rtx.then_some(again.octets),
                frames_received: frames.map(|f| f.frames),
                frames_dropped: frames.map(|f| f.dropped),
                frames_assembled_from_multiple_packets: frames.map(|f| f.of_several),
                total_assembly_time: frames.map(|f| f.assembly_time.as_secs_f64()),
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
                    codec_id,
                    local_id: Some(id),
                    packets_sent: Some(u64::from(report.packets)),
                    bytes_sent: Some(u64::from(report.octets)),
                    remote_timestamp: Some(report.ntp.to_unix().as_secs_f64() * 1e3),
                    reports_sent: Some(report.count),
                }));
        }
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

fn outbound_id(ssrc: u32) -> String {
    format!("O{ssrc}")
}

/// §7.1: an SSRC that comes again after its stream was forgotten is another object.
fn inbound_id(stream: &ReceiveStream) -> String {
    format!("I{}", stream.number)
}

/// Whether both mean one entry.
fn same(a: &ice::Candidate, b: &ice::Candidate) -> bool {
    a.address == b.address && a.port == b.port && a.transport == b.transport && a.kind == b.kind
}

/// The name in IANA's registry of DTLS-SRTP protection profiles.
fn srtp_profile(profile: tincan_srtp::Profile) -> Option<String> {
    use tincan_srtp::Profile as P;
    let name = match profile {
        P::AesCm128HmacSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        P::AesCm128HmacSha1_32 => "SRTP_AES128_CM_HMAC_SHA1_32",
        P::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        P::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        _ => return None,
    };
    Some(name.to_owned())
}

fn candidate_stats(c: &ice::Candidate, id: String, timestamp: f64) -> IceCandidateStats {
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
        url: None,
        relay_protocol: None,
        foundation: Some(c.foundation.as_str().into()),
        related_address: c.related.map(|r| r.ip().to_string()),
        related_port: c.related.map(|r| r.port()),
        username_fragment: c.ufrag.as_ref().map(|u| u.as_str().into()),
        tcp_type: c.tcp_type().map(|t| t.as_str().into()),
    }
}
