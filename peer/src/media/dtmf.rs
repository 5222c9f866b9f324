//! DTMF as telephone events (RFC 4733; W3C §7) between the packets of an audio stream.

use std::time::{Duration, Instant};

use tincan_rtp::send::{DtmfConfig, DtmfError, DtmfEvent, DtmfSender};

use super::Media;
use crate::codec::Codec;
use crate::error::Error;
use crate::event::Event;
use crate::packet::RtpPacket;
use crate::queue::Events;
use crate::types::{Kind, TransceiverId};

impl Media {
    /// The telephone-event format of a transceiver that can send tones, and the clock of its sound.
    fn dtmf_codec(&self, id: TransceiverId) -> Option<(&Codec, u32)> {
        let track = self.track(id)?;
        let p = &track.parameters;
        if p.kind != Kind::Audio || !p.direction.sends() {
            return None;
        }
        let payload_type = track.senders.first().and_then(|s| s.payload_type);
        let in_use = match payload_type {
            Some(payload_type) => p
                .send_codecs
                .iter()
                .find(|c| c.payload_type == payload_type),
            None => p.send_codecs.iter().find(|c| c.is_media()),
        };
        let clock = in_use?.clock_rate;
        let events = || p.send_codecs.iter().filter(|c| c.is("telephone-event"));
        // RFC 4733 §2.5.1.2: of the clock of the codec in use, if there is one. Firefox has one of 8 kHz only, whatever the
        // sound is.
        let codec = events()
            .find(|c| c.clock_rate == clock)
            .or_else(|| events().next())?;
        Some((codec, clock))
    }

    /// `canInsertDTMF`.
    pub(crate) fn can_insert_dtmf(&self, id: TransceiverId) -> bool {
        self.dtmf_codec(id).is_some()
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
        let Some(clock_rate) = self.dtmf_codec(id).map(|(c, _)| c.clock_rate) else {
            return Err(Error::CannotSendDtmf(id));
        };
        let Some(track) = self.track_mut(id) else {
            return Err(Error::NoTransceiver(id));
        };
        let dtmf = track
            .dtmf
            .get_or_insert_with(|| Box::new(DtmfSender::new(DtmfConfig::new(clock_rate))));
        dtmf.set_durations(tone, gap);
        dtmf.insert(now, tones).map_err(|e| match e {
            DtmfError::Tone(tone) => Error::DtmfTone(tone),
            other => Error::Layer {
                layer: "rtp",
                reason: other.to_string(),
            },
        })
    }

    /// `toneBuffer`.
    pub(crate) fn tone_buffer(&self, id: TransceiverId) -> String {
        self.track(id)
            .and_then(|t| t.dtmf.as_ref())
            .map(|d| d.tone_buffer())
            .unwrap_or_default()
    }

    /// Appends a telephone event that is due.
    pub(super) fn poll_dtmf(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let due = self
            .tracks
            .iter_mut()
            .find_map(|t| Some((t.id, t.dtmf.as_mut()?.poll_packet(now)?)));
        let Some((id, due)) = due else { return false };
        let Some((codec, clock)) = self.dtmf_codec(id) else {
            return false;
        };
        let payload_type = codec.payload_type;
        // Timestamps go on in the clock of the sound, and durations are in that of the events.
        let back =
            u64::from(due.timestamp_back) * u64::from(clock) / u64::from(codec.clock_rate.max(1));
        let (ntp, sequence, started) = (self.ntp(now), self.transport_sequence, self.started);
        let Some(track) = self.track_mut(id) else {
            return false;
        };
        let Some(sender) = track.senders.first_mut() else {
            return false;
        };
        let running = now.saturating_duration_since(started).as_millis() * u128::from(clock);
        sender.begin(now, (running / 1_000) as u32, clock);
        let timestamp = sender.timestamp_at(now).unwrap_or_default();
        let mut payload = Vec::with_capacity(4);
        due.event.write(&mut payload);
        let packet = RtpPacket::new(
            payload_type,
            0,
            timestamp.wrapping_sub(back as u32),
            due.first,
            payload,
        );
        let (extensions, parameters) = (&track.extensions, &track.parameters);
        let written =
            sender.write_between(now, ntp, extensions, parameters, sequence, &packet, out);
        if written {
            self.transport_sequence = sequence.next();
        }
        written
    }

    /// Tells of tones that begin.
    pub(crate) fn poll_tones(&mut self, events: &mut Events) {
        for track in &mut self.tracks {
            while let Some(event) = track.dtmf.as_mut().and_then(|d| d.poll_event()) {
                let tone = match event {
                    DtmfEvent::Tone(tone) => Some(tone),
                    DtmfEvent::Done => None,
                };
                events.push_back(Event::ToneChange {
                    transceiver: track.id,
                    tone,
                });
            }
        }
    }

    pub(super) fn dtmf_timeout(&self) -> Option<Instant> {
        self.tracks
            .iter()
            .filter_map(|t| t.dtmf.as_ref()?.poll_timeout())
            .min()
    }
}
