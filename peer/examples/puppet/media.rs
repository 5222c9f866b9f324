//! What comes and goes on tracks, in numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tincan_peer::driver::{DriverError, Peer, RemoteTrack, RtpSender};
use tincan_peer::stats::{Stats, StatsReport};
use tincan_peer::{ErrorKind, Kind, RtpPacket};

/// Packets by transceiver and encoding, and the tones among them.
#[derive(Default)]
pub(crate) struct Received {
    packets: BTreeMap<(String, u8), u64>,
    tones: String,
    /// Timestamp of the tone that is noted already: it comes in many packets.
    last_tone: Option<u32>,
}

/// Keys of telephone events (RFC 4733 §3.2).
const TONES: &[u8; 16] = b"0123456789*#ABCD";

impl Received {
    fn note(&mut self, track: &str, kind: Kind, packet: &RtpPacket) {
        *self
            .packets
            .entry((track.to_owned(), packet.encoding))
            .or_default() += 1;
        // Chromium numbers telephone events 110 (48 kHz) and 126 (8 kHz), and so do we; Firefox 101.
        let event = matches!(packet.payload_type, 101 | 110 | 126) && packet.payload.len() == 4;
        if kind == Kind::Audio && event && self.last_tone != Some(packet.timestamp) {
            self.last_tone = Some(packet.timestamp);
            let tone = packet
                .payload
                .first()
                .and_then(|n| TONES.get(usize::from(*n)));
            self.tones.extend(tone.map(|t| char::from(*t)));
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let packets: Vec<Value> = self
            .packets
            .iter()
            .map(|((track, encoding), packets)| json!({ "track": track, "encoding": encoding, "packets": packets }))
            .collect();
        json!({ "packets": packets, "tones": self.tones })
    }
}

/// Counts a track's packets, and sends them back on its transceiver.
pub(crate) async fn take(
    mut track: RemoteTrack,
    received: Arc<Mutex<Received>>,
    back: Option<RtpSender>,
) {
    let name = format!("{:?}", track.transceiver());
    let kind = track.kind();
    while let Some(packet) = track.recv().await {
        crate::lock(&received).note(&name, kind, &packet);
        if let Some(back) = &back {
            // What can't be sent is lost, as on any network.
            let _ = back.send(packet);
        }
    }
}

/// Sends packets on every transceiver, in each encoding; how many were taken.
pub(crate) async fn send(peer: &Peer, count: u16) -> Result<u64, DriverError> {
    peer.with(move |pc, now| {
        let mut taken = 0;
        for t in pc.transceivers().collect::<Vec<_>>() {
            let Some(codec) = t.send_codecs.iter().find(|c| c.is_media()) else {
                continue;
            };
            for encoding in 0..t.ssrcs.len() as u8 {
                for n in 0..count {
                    let payload = vec![0u8; 80];
                    let mut packet =
                        RtpPacket::new(codec.payload_type, n, u32::from(n) * 960, true, payload);
                    packet.encoding = encoding;
                    match pc.send_rtp(now, t.id, packet) {
                        Ok(()) => taken += 1,
                        Err(error) => debug_assert_eq!(error.kind(), ErrorKind::InvalidState),
                    }
                }
            }
        }
        taken
    })
    .await
}

/// What both ends can tell alike: packets, octets, losses and round trips of each stream.
pub(crate) fn stats(report: &StatsReport) -> Value {
    let mut out = Vec::new();
    for entry in &report.entries {
        out.extend(match entry {
            Stats::InboundRtp(s) => Some(json!({
                "type": "inbound-rtp", "ssrc": s.ssrc, "kind": s.kind, "packetsReceived": s.packets_received,
                "bytesReceived": s.bytes_received, "packetsLost": s.packets_lost, "jitter": s.jitter,
                "nackCount": s.nack_count, "pliCount": s.pli_count,
                "retransmittedPacketsReceived": s.retransmitted_packets_received,
            })),
            Stats::OutboundRtp(s) => Some(json!({
                "type": "outbound-rtp", "ssrc": s.ssrc, "kind": s.kind, "packetsSent": s.packets_sent,
                "bytesSent": s.bytes_sent, "retransmittedPacketsSent": s.retransmitted_packets_sent,
                "nackCount": s.nack_count, "pliCount": s.pli_count,
            })),
            Stats::RemoteInboundRtp(s) => Some(json!({
                "type": "remote-inbound-rtp", "ssrc": s.ssrc, "kind": s.kind, "packetsLost": s.packets_lost,
                "roundTripTime": s.round_trip_time,
            })),
            Stats::RemoteOutboundRtp(s) => Some(json!({
                "type": "remote-outbound-rtp", "ssrc": s.ssrc, "kind": s.kind, "packetsSent": s.packets_sent,
                "bytesSent": s.bytes_sent,
            })),
            Stats::CandidatePair(s) => Some(json!({
                "type": "candidate-pair", "nominated": s.nominated, "state": s.state,
                "currentRoundTripTime": s.current_round_trip_time,
            })),
            _ => None,
        });
    }
    json!(out)
}
