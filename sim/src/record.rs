//! Recording to pcapng: what each host sends and receives, as it sees it.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use tincan_capture::{Direction, Error, InterfaceId, Packet, Protocol, Recorder};

use crate::network::{HostId, Network};
use crate::packet::Datagram;

/// A recording under way.
pub(crate) struct Recording {
    recorder: Recorder<Box<dyn Write + Send>>,
    interfaces: Vec<InterfaceId>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("stats", &self.recorder.stats())
            .finish_non_exhaustive()
    }
}

impl Recording {
    pub(crate) fn packet(
        &mut self,
        host: usize,
        at: Duration,
        out: bool,
        packet: &crate::packet::Packet,
    ) {
        let Some(interface) = self.interfaces.get(host) else {
            return;
        };
        if packet.segment.is_some() && packet.datagram.payload.is_empty() {
            return;
        }
        let Datagram {
            src, dst, payload, ..
        } = &packet.datagram;
        let packet = Packet {
            direction: if out {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            protocol: if packet.segment.is_some() {
                Protocol::Tcp
            } else {
                Protocol::Udp
            },
            source: *src,
            destination: *dst,
            payload,
            comment: "",
        };
        self.recorder.record(*interface, at, &packet);
    }
}

impl Network {
    /// Records to `sink` in pcapng what the hosts that there are now send and receive from now on, each on an interface
    /// of its own, `host 0` and so on; times count from the run's start. `secrets` are lines of the SSLKEYLOGFILE
    /// format, for keys that are known already.
    pub fn record(&mut self, sink: impl Write + Send + 'static, secrets: &str) {
        let mut recorder = Recorder::new(Box::new(sink) as Box<dyn Write + Send>);
        let interfaces = (0..self.host_count())
            .map(|n| recorder.add_interface(&format!("host {n}")))
            .collect();
        if !secrets.is_empty() {
            recorder.add_secrets(secrets);
        }
        self.set_recording(Some(Recording {
            recorder,
            interfaces,
        }));
    }

    /// Adds secrets to a recording under way, such as a key log wrote meanwhile.
    pub fn record_secrets(&mut self, lines: &str) {
        if let Some(recording) = self.recording_mut() {
            recording.recorder.add_secrets(lines);
        }
    }

    /// Ends the recording, if there is one.
    ///
    /// # Errors
    /// Why it is not whole.
    pub fn finish_recording(&mut self) -> Result<(), Error> {
        match self.set_recording(None) {
            Some(recording) => recording.recorder.finish().map(drop),
            None => Ok(()),
        }
    }

    /// Records a packet that a host sent or got.
    pub(crate) fn note(&mut self, host: HostId, out: bool, packet: &crate::packet::Packet) {
        let at = self.elapsed();
        let index = host.index();
        if let Some(recording) = self.recording_mut() {
            recording.packet(index, at, out, packet);
        }
    }
}
