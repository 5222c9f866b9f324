//! Recordings of a connection's datagrams for Wireshark.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tincan_capture as capture;
use tincan_dtls::rustls::KeyLog;

use super::PeerConnection;
use crate::error::Error;
use crate::limits::MAX_LOGGED_SECRETS;
use crate::types::{Protocol, Received, SignalingState, Transmit};

/// DTLS secrets on their way into the recording, in lines of SSLKEYLOGFILE (RFC 9850).
#[derive(Default)]
pub(super) struct Secrets(Mutex<String>);

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets")
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let Ok(mut lines) = self.0.lock() else {
            return;
        };
        let room = lines.len() + label.len() + 2 * (client_random.len() + secret.len()) + 3;
        if room > MAX_LOGGED_SECRETS {
            return;
        }
        lines.push_str(label);
        for bytes in [client_random, secret] {
            lines.push(' ');
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    lines.extend(char::from_digit(digit.into(), 16));
                }
            }
        }
        lines.push('\n');
    }
}

/// A recording that runs.
pub(super) struct Recording {
    recorder: capture::Recorder<Box<dyn Write + Send>>,
    interface: capture::InterfaceId,
    secrets: Arc<Secrets>,
    started: Instant,
    /// When that was, since the Unix epoch.
    epoch: Duration,
    /// A received datagram, as it came, while the connection deals with it.
    waiting: Option<Received>,
    bytes: Vec<u8>,
}

impl Recording {
    pub(super) fn arriving(&mut self, received: &Received, datagram: &[u8], framed: bool) {
        self.bytes.clear();
        if framed {
            let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
            self.bytes.extend_from_slice(&length.to_be_bytes());
        }
        self.bytes.extend_from_slice(datagram);
        self.waiting = Some(*received);
    }

    pub(super) fn arrived(&mut self, now: Instant) {
        self.write_secrets();
        let Some(received) = self.waiting.take() else {
            return;
        };
        let at = self.at(now);
        let packet = capture::Packet {
            direction: capture::Direction::Inbound,
            protocol: protocol(received.transport),
            source: received.remote,
            destination: received.local,
            payload: &self.bytes,
            comment: comment(received.transport),
        };
        self.recorder.record(self.interface, at, &packet);
    }

    pub(super) fn leaving(&mut self, now: Instant, transmit: &Transmit, bytes: &[u8]) {
        self.write_secrets();
        let at = self.at(now);
        let size = transmit.segment_size.unwrap_or(bytes.len()).max(1);
        for payload in bytes.chunks(size) {
            let packet = capture::Packet {
                direction: capture::Direction::Outbound,
                protocol: protocol(transmit.transport),
                source: transmit.local,
                destination: transmit.remote,
                payload,
                comment: comment(transmit.transport),
            };
            self.recorder.record(self.interface, at, &packet);
        }
    }

    fn write_secrets(&mut self) {
        if let Ok(mut lines) = self.secrets.0.lock()
            && !lines.is_empty()
        {
            self.recorder.add_secrets(&lines);
            lines.clear();
        }
    }

    fn at(&self, now: Instant) -> Duration {
        self.epoch + now.saturating_duration_since(self.started)
    }
}

fn protocol(transport: Protocol) -> capture::Protocol {
    match transport {
        Protocol::Udp => capture::Protocol::Udp,
        Protocol::Tcp | Protocol::Tls => capture::Protocol::Tcp,
    }
}

fn comment(transport: Protocol) -> &'static str {
    match transport {
        Protocol::Tls => "inside of TLS",
        _ => "",
    }
}

impl PeerConnection {
    /// Records from now on what this connection sends and receives, as pcapng with the DTLS secrets embedded: Wireshark
    /// shows it decrypted. **Whoever gets the recording can read the data of the connection.** (Media stay encrypted in
    /// it: their keys are exported, not logged.)
    ///
    /// The secrets are those of handshakes that begin later: call it before the connection is negotiated. The sink is
    /// written to in the calls that take and give datagrams; put a buffer around a file. At most
    /// [`DEFAULT_MAX_BYTES`](capture::limits::DEFAULT_MAX_BYTES) are written; a sink that fails ends the recording, never
    /// the connection. A recording that ran before ends.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close).
    pub fn record(&mut self, sink: impl Write + Send + 'static) -> Result<(), Error> {
        if self.jsep.state() == SignalingState::Closed {
            return Err(Error::Closed);
        }
        let secrets = Arc::new(Secrets::default());
        if self.transport.dtls().is_none() {
            let config = super::dtls_config(&self.config, Some(secrets.clone()))?;
            self.transport.set_config(config);
        }
        let mut recorder = capture::Recorder::new(Box::new(sink) as Box<dyn Write + Send>);
        let name = self.local_ufrags().next().unwrap_or("peer").to_owned();
        let interface = recorder.add_interface(&name);
        self.taps.recording = Some(Box::new(Recording {
            recorder,
            interface,
            secrets,
            started: self.started,
            epoch: super::ntp_epoch(&self.config),
            waiting: None,
            bytes: Vec::new(),
        }));
        Ok(())
    }

    /// Ends the recording, if there is one: what was written, and why it is not whole, where that is so.
    pub fn stop_recording(&mut self) -> Option<(capture::Stats, Result<(), capture::Error>)> {
        let recording = self.taps.recording.take()?;
        let stats = recording.recorder.stats();
        Some((stats, recording.recorder.finish().map(drop)))
    }
}
