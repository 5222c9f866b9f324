//! The log of a connection's events: JSON text sequences (RFC 7464) in the manner of qlog
//! (draft-ietf-quic-qlog-main-schema), for tools that draw or compare runs.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PeerConnection;
use super::transport::Transport;
use crate::error::Error;
use crate::event::Event;
use crate::limits::MAX_LOG_BYTES;
use crate::types::{Message, SignalingState};

/// A log that is written.
pub(super) struct Log {
    sink: Box<dyn Write + Send>,
    started: Instant,
    written: u64,
    error: Option<io::Error>,
    stats_at: Option<Instant>,
}

impl Log {
    fn record(&mut self, value: &Value) {
        if self.error.is_some() {
            return;
        }
        // RFC 7464 §2.2: a record separator, the text, a line feed.
        let mut text = vec![0x1E];
        if serde_json::to_writer(&mut text, value).is_err() {
            return;
        }
        text.push(b'\n');
        let length = text.len() as u64;
        let written = if self.written + length > MAX_LOG_BYTES {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            self.sink.write_all(&text)
        };
        match written {
            Ok(()) => self.written += length,
            Err(error) => self.error = Some(error),
        }
    }

    fn write(&mut self, now: Instant, name: &str, data: &Value) {
        let time = now.saturating_duration_since(self.started).as_secs_f64() * 1e3;
        self.record(&json!({ "time": time, "name": name, "data": data }));
    }

    pub(super) fn event(&mut self, now: Instant, event: &Event, transport: &Transport) {
        if let Some((name, data)) = describe(event, transport) {
            self.write(now, name, &data);
        }
    }

    pub(super) fn wants_stats(&mut self, now: Instant, interval: Duration) -> bool {
        let wanted = self.stats_at.is_none_or(|at| now >= at);
        if wanted {
            self.stats_at = Some(now + interval);
        }
        wanted && self.error.is_none()
    }
}

/// Name and data of an event; `None` for what comes with every packet of media.
fn describe(event: &Event, transport: &Transport) -> Option<(&'static str, Value)> {
    let transceiver = |t: &crate::TransceiverId| t.to_string();
    Some(match event {
        Event::NegotiationNeeded => ("webrtc:negotiation_needed", json!({})),
        Event::SignalingState(s) => ("webrtc:signaling_state", json!({ "new": s.to_string() })),
        Event::IceGatheringState(s) => (
            "webrtc:ice_gathering_state",
            json!({ "new": s.to_string() }),
        ),
        Event::IceCandidate(candidate) => (
            "webrtc:ice_candidate",
            json!({ "candidate": candidate.as_ref().map(|c| c.candidate.as_str()) }),
        ),
        Event::IceCandidateError(e) => (
            "webrtc:ice_candidate_error",
            json!({ "url": e.url, "error_code": e.code, "error_text": e.text,
                "address": e.address.map(|a| a.to_string()) }),
        ),
        Event::IceConnectionState(s) => (
            "webrtc:ice_connection_state",
            json!({ "new": s.to_string() }),
        ),
        Event::SelectedCandidatePair { local, remote } => (
            "webrtc:selected_candidate_pair",
            json!({ "local": local.to_string(), "remote": remote.to_string() }),
        ),
        Event::ConnectionState(s) => ("webrtc:connection_state", json!({ "new": s.to_string() })),
        Event::DtlsState(s) => {
            let dtls = transport.dtls();
            let debug = |v: Option<String>| v.map_or(Value::Null, Value::String);
            (
                "webrtc:dtls_state",
                json!({ "new": s.to_string(),
                    "version": debug(dtls.and_then(|d| d.version()).map(|v| format!("{v:?}"))),
                    "cipher_suite": debug(dtls.and_then(|d| d.cipher_suite()).map(|v| format!("{v:?}"))),
                    "group": debug(dtls.and_then(|d| d.key_exchange_group()).map(|v| format!("{v:?}"))),
                    "srtp_profile": debug(dtls.and_then(|d| d.srtp_profile()).map(|v| format!("{v:?}"))) }),
            )
        }
        Event::DtlsError(e) => ("webrtc:dtls_error", json!({ "reason": e.to_string() })),
        Event::SctpState(s) => ("webrtc:sctp_state", json!({ "new": s.to_string() })),
        Event::DataChannel(key) => ("webrtc:datachannel", json!({ "channel": key.to_string() })),
        Event::ChannelOpen(key) => ("webrtc:channel_open", json!({ "channel": key.to_string() })),
        Event::ChannelMessage(key, message) => {
            let kind = match message {
                Message::Text(_) => "text",
                Message::Binary(_) => "binary",
            };
            (
                "webrtc:message_received",
                json!({ "channel": key.to_string(), "kind": kind, "length": message.len() }),
            )
        }
        Event::ChannelClosing(key) => (
            "webrtc:channel_closing",
            json!({ "channel": key.to_string() }),
        ),
        Event::ChannelError(key, error) => (
            "webrtc:channel_error",
            json!({ "channel": key.to_string(), "detail": error.detail().as_str(), "cause": error.sctp_cause_code(),
                "error": error.to_string() }),
        ),
        Event::ChannelClosed(key) => (
            "webrtc:channel_closed",
            json!({ "channel": key.to_string() }),
        ),
        Event::BufferedAmountLow(key) => (
            "webrtc:buffered_amount_low",
            json!({ "channel": key.to_string() }),
        ),
        Event::Track {
            transceiver: t,
            kind,
            streams,
            track,
            ..
        } => (
            "webrtc:track",
            json!({ "transceiver": transceiver(t), "kind": kind.to_string(), "streams": streams, "track": track }),
        ),
        Event::TrackRemoved { transceiver: t } => (
            "webrtc:track_removed",
            json!({ "transceiver": transceiver(t) }),
        ),
        Event::TrackUnmuted { transceiver: t } => (
            "webrtc:track_unmuted",
            json!({ "transceiver": transceiver(t) }),
        ),
        Event::TransceiverStopped { transceiver: t } => (
            "webrtc:transceiver_stopped",
            json!({ "transceiver": transceiver(t) }),
        ),
        Event::KeyFrameRequest {
            transceiver: t,
            encoding,
        } => (
            "webrtc:key_frame_request",
            json!({ "transceiver": transceiver(t), "encoding": encoding }),
        ),
        Event::StreamEnded {
            transceiver: t,
            ssrc,
        } => (
            "webrtc:stream_ended",
            json!({ "transceiver": transceiver(t), "ssrc": ssrc }),
        ),
        Event::PeerIdentity(peer) => (
            "webrtc:peer_identity",
            json!({ "idp": peer.idp, "name": peer.name }),
        ),
        Event::PeerIdentityFailed(fault) => (
            "webrtc:peer_identity_failed",
            json!({ "reason": fault.to_string() }),
        ),
        Event::ToneChange {
            transceiver: t,
            tone,
        } => (
            "webrtc:tone_change",
            json!({ "transceiver": transceiver(t), "tone": tone.map(String::from) }),
        ),
        _ => return None,
    })
}

impl PeerConnection {
    /// Writes from now on every event of this connection but received media, and its statistics once a second, to a
    /// sink: JSON text sequences (RFC 7464) in the manner of qlog, with a header record first. The names of events are in
    /// the crate's README. Addresses are in it; keys, passwords and contents of messages are not.
    ///
    /// Events are written when the application takes them. A sink that fails ends the log, never the connection. A log
    /// that ran before ends.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close).
    pub fn log_events(
        &mut self,
        title: &str,
        sink: impl Write + Send + 'static,
    ) -> Result<(), Error> {
        if self.jsep.state() == SignalingState::Closed {
            return Err(Error::Closed);
        }
        let mut log = Log {
            sink: Box::new(sink),
            started: self.started,
            written: 0,
            error: None,
            stats_at: None,
        };
        let epoch = super::ntp_epoch(&self.config).as_secs_f64() * 1e3;
        log.record(&json!({
            "qlog_version": "0.3",
            "qlog_format": "JSON-SEQ",
            "title": title,
            "trace": {
                "vantage_point": { "name": "tincan-peer", "type": "unknown" },
                "common_fields": { "time_format": "relative", "reference_time": epoch, "protocol_type": ["WEBRTC"] }
            }
        }));
        self.taps.log = Some(Box::new(log));
        Ok(())
    }

    /// Ends the log, if there is one: `Ok` when all was written.
    pub fn stop_logging(&mut self) -> Option<io::Result<()>> {
        let mut log = self.taps.log.take()?;
        Some(match log.error {
            Some(error) => Err(error),
            None => log.sink.flush(),
        })
    }

    /// Statistics for the log.
    pub(super) fn log_stats(&mut self) {
        let now = self.taps.clock();
        let stats = serde_json::to_value(self.stats(now)).unwrap_or(Value::Null);
        if let Some(log) = &mut self.taps.log {
            log.write(now, "webrtc:stats", &stats);
        }
    }
}
