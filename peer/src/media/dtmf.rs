//! DTMF as telephone events (RFC 4733; W3C §7) between the packets of an audio stream.

use std::time::{Duration, Instant};

use tincan_rtp::send::{DtmfConfig, DtmfError, DtmfEvent, DtmfPacket, DtmfSender};

use super::{Media, Track};
use crate::error::Error;
use crate::event::Event;
use crate::packet::RtpPacket;
use crate::queue::Events;
use crate::types::{Kind, TransceiverId};

/// The tones of a track.
#[derive(Debug)]
pub(crate) struct Tones {
    sender: DtmfSender,
    /// Of the tone that sounds, or sounded last.
    format: Format,
    /// When that began, and the timestamp of all of its packets.
    began: Option<(Instant, u32)>,
}

/// How a tone is sent from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    payload_type: u8,
    /// Clock of its events in Hz.
    clock_rate: u32,
    /// Clock of the sound in Hz.
    sound: u32,
}

impl Tones {
    fn is_idle(&self) -> bool {
        self.sender.is_idle()
    }

    /// Between its first and last packet a tone stands in for the sound.
    pub(super) fn is_sounding(&self) -> bool {
        self.sender.is_sounding()
    }
}

impl Track {
    /// Whether tones sound or wait.
    fn plays(&self) -> bool {
        self.dtmf.as_ref().is_some_and(|tones| !tones.is_idle())
    }

    /// As what a tone that begins now is sent; `None` where none can be. W3C §7.3, canInsertDTMF algorithm, but for the
    /// state of the connection.
    fn tone_format(&self) -> Option<Format> {
        let p = &self.parameters;
        let sender = self.senders.first()?;
        if p.kind != Kind::Audio || !self.sends() || !sender.active {
            return None;
        }
        let in_use = match sender.payload_type {
            Some(payload_type) => p
                .send_codecs
                .iter()
                .find(|c| c.payload_type == payload_type),
            None => p.send_codecs.iter().find(|c| c.is_media()),
        };
        let sound = in_use?.clock_rate;
        let events = || p.send_codecs.iter().filter(|c| c.is("telephone-event"));
        // RFC 4733 §2.5.1.2: of the clock of the codec in use, if there is one. Firefox has one of 8 kHz only, whatever the
        // sound is.
        let codec = events()
            .find(|c| c.clock_rate == sound)
            .or_else(|| events().next())?;
        Some(Format {
            payload_type: codec.payload_type,
            clock_rate: codec.clock_rate,
            sound,
        })
    }

    /// The telephone event that is due; without a format nothing is sent. What was agreed may have changed since the tone
    /// began.
    fn poll_tone(&mut self, now: Instant, format: Option<Format>) -> Option<(DtmfPacket, Format)> {
        let tones = self.dtmf.as_mut()?;
        loop {
            let due = tones.sender.poll_timeout().is_some_and(|due| due <= now);
            if due && !tones.sender.is_sounding() {
                match format {
                    Some(format) => {
                        tones.sender.set_clock_rate(format.clock_rate);
                        tones.format = format;
                    }
                    // Step 1 of the DTMF playout task.
                    None => tones.sender.leave_off(),
                }
            }
            let packet = tones.sender.poll_packet(now)?;
            let Format {
                payload_type,
                clock_rate,
                ..
            } = tones.format;
            let agreed = self.parameters.send_codecs.iter().any(|c| {
                c.payload_type == payload_type
                    && c.clock_rate == clock_rate
                    && c.is("telephone-event")
            });
            if agreed && format.is_some() {
                return Some((packet, tones.format));
            }
        }
    }
}

impl Media {
    /// Whether `connectionState` is "connected": no tone begins otherwise.
    pub(crate) fn set_connected(&mut self, connected: bool) {
        self.connected = connected;
    }

    /// `canInsertDTMF`.
    pub(crate) fn can_insert_dtmf(&self, id: TransceiverId) -> bool {
        self.connected && self.track(id).is_some_and(|t| t.tone_format().is_some())
    }

    /// `insertDTMF`.
    pub(crate) fn insert_dtmf(
        &mut self,
        now: Instant,
        id: TransceiverId,
        tones: &str,
        tone: Duration,
        gap: Duration,
    ) -> Result<(), Error> {
        let connected = self.connected;
        let Some(track) = self.track_mut(id) else {
            return Err(Error::CannotSendDtmf(id));
        };
        let Some(format) = track.tone_format().filter(|_| connected) else {
            return Err(Error::CannotSendDtmf(id));
        };
        let dtmf = track.dtmf.get_or_insert_with(|| {
            Box::new(Tones {
                sender: DtmfSender::new(DtmfConfig::new(format.clock_rate)),
                format,
                began: None,
            })
        });
        dtmf.sender.insert(now, tones).map_err(|e| match e {
            DtmfError::Tone(tone) => Error::DtmfTone(tone),
            other => Error::Layer {
                layer: "rtp",
                reason: other.to_string(),
            },
        })?;
        dtmf.sender.set_durations(tone, gap);
        self.playing = true;
        Ok(())
    }

    /// `toneBuffer`.
    pub(crate) fn tone_buffer(&self, id: TransceiverId) -> String {
        self.track(id)
            .and_then(|t| t.dtmf.as_ref())
            .map(|d| d.sender.tone_buffer())
            .unwrap_or_default()
    }

    /// Appends a telephone event that is due.
    pub(super) fn poll_dtmf(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.playing {
            return false;
        }
        for at in 0..self.tracks.len() {
            let Some(track) = self.tracks.get_mut(at).filter(|t| t.plays()) else {
                continue;
            };
            let format = track.tone_format().filter(|_| self.connected);
            if let Some((due, format)) = track.poll_tone(now, format) {
                return self.write_tone(now, at, &due, format, out);
            }
        }
        false
    }

    /// Time passes for tones that can't be sent.
    pub(super) fn pass_tones(&mut self, now: Instant) {
        if !self.playing {
            return;
        }
        let connected = self.connected;
        for track in self.tracks.iter_mut().filter(|t| t.plays()) {
            if !connected || track.tone_format().is_none() {
                track.poll_tone(now, None);
            }
        }
    }

    fn write_tone(
        &mut self,
        now: Instant,
        at: usize,
        due: &DtmfPacket,
        format: Format,
        out: &mut Vec<u8>,
    ) -> bool {
        let (ntp, started, max_history) = (self.ntp(now), self.started, self.max_history);
        let sequence = self.transport_sequence;
        let Some(track) = self.tracks.get_mut(at) else {
            return false;
        };
        let (Some(sender), Some(tones)) = (track.senders.first_mut(), &mut track.dtmf) else {
            return false;
        };
        let began = match tones.began {
            Some((at, timestamp)) if at == due.began => timestamp,
            _ => {
                let running = due.began.saturating_duration_since(started).as_millis();
                let running = running * u128::from(format.sound) / 1_000;
                sender.begin(due.began, running as u32, format.sound);
                let timestamp = sender.timestamp_at(due.began).unwrap_or_default();
                tones.began = Some((due.began, timestamp));
                timestamp
            }
        };
        // Timestamps go on in the clock of the sound, and segments are in that of the events.
        let segment =
            u64::from(due.segment) * u64::from(format.sound) / u64::from(format.clock_rate.max(1));
        let mut payload = Vec::with_capacity(4);
        due.event.write(&mut payload);
        let packet = RtpPacket::new(
            format.payload_type,
            0,
            began.wrapping_add(segment as u32),
            due.first,
            payload,
        );
        let (extensions, parameters) = (&track.extensions, &track.parameters);
        sender.max_history = max_history;
        let kept = sender.history_bytes();
        let written =
            sender.write_between(now, ntp, extensions, parameters, sequence, &packet, out);
        self.history = (self.history + sender.history_bytes()).saturating_sub(kept);
        if written {
            self.on_written(now);
        }
        written
    }

    /// Tells of tones that begin.
    pub(crate) fn poll_tones(&mut self, events: &mut Events) {
        if !self.playing {
            return;
        }
        self.playing = false;
        for track in &mut self.tracks {
            let Some(tones) = &mut track.dtmf else {
                continue;
            };
            while let Some(event) = tones.sender.poll_event() {
                let tone = match event {
                    DtmfEvent::Tone(tone) => Some(tone),
                    DtmfEvent::Done => None,
                };
                events.push_back(Event::ToneChange {
                    transceiver: track.id,
                    tone,
                });
            }
            self.playing |= !tones.is_idle();
        }
    }

    pub(super) fn dtmf_timeout(&self) -> Option<Instant> {
        if !self.playing {
            return None;
        }
        let tones = self.tracks.iter().filter_map(|t| t.dtmf.as_ref());
        tones.filter_map(|tones| tones.sender.poll_timeout()).min()
    }
}
