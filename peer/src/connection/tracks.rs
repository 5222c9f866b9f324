//! Transceivers with their senders and receivers (W3C §5), and RTP in and out.

use std::time::{Duration, Instant};

use super::PeerConnection;
use crate::codec::Codec;
use crate::error::Error;
use crate::frame::{Delivery, Frame};
use crate::jsep;
use crate::media::max_payload;
use crate::packet::RtpPacket;
use crate::types::{Direction, Encoding, Kind, TransceiverId, TransceiverInit};

/// What is known of a transceiver (`RTCRtpTransceiver` with its sender and receiver).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transceiver {
    /// Its id.
    pub id: TransceiverId,
    /// Audio or video.
    pub kind: Kind,
    /// Its mid once negotiated.
    pub mid: Option<String>,
    /// The wanted direction.
    pub direction: Direction,
    /// The negotiated direction.
    pub current_direction: Option<Direction>,
    /// Whether it is stopped or about to be.
    pub stopped: bool,
    /// What may be sent, most preferred first, with the far side's payload types; empty before negotiation.
    pub send_codecs: Vec<Codec>,
    /// What may arrive, with our payload types.
    pub receive_codecs: Vec<Codec>,
    /// Header extensions agreed on, with their ids.
    pub header_extensions: Vec<jsep::ExtensionMapping>,
    /// Reduced-size RTCP is agreed on (RFC 5506).
    pub reduced_size_rtcp: bool,
    /// Most media in one packet that the far side takes (`a=maxptime`), in milliseconds.
    pub max_ptime: Option<u32>,
    /// The far side's limit in bit/s (`b=TIAS`, `b=AS`).
    pub max_bitrate: Option<u64>,
    /// Send encodings.
    pub encodings: Vec<Encoding>,
    /// SSRCs of what we send: one an encoding.
    pub ssrcs: Vec<u32>,
    /// Ids of the sender's media streams.
    pub streams: Vec<String>,
    /// Id of the sender's track.
    pub track: Option<String>,
}

impl Transceiver {
    fn of(t: &jsep::Transceiver) -> Self {
        let negotiated = t.negotiated();
        Transceiver {
            id: t.id(),
            kind: t.kind(),
            mid: t.mid().map(str::to_owned),
            direction: t.direction(),
            current_direction: t.current_direction(),
            stopped: t.is_stopping(),
            send_codecs: negotiated
                .map(|n| n.send_codecs.clone())
                .unwrap_or_default(),
            receive_codecs: negotiated
                .map(|n| n.receive_codecs.clone())
                .unwrap_or_default(),
            header_extensions: negotiated.map(|n| n.extensions.clone()).unwrap_or_default(),
            reduced_size_rtcp: negotiated.is_some_and(|n| n.reduced_size),
            max_ptime: negotiated.and_then(|n| n.max_ptime),
            max_bitrate: negotiated.and_then(|n| n.max_bitrate),
            encodings: t.encodings().to_vec(),
            ssrcs: t.ssrcs().iter().map(|s| s.media).collect(),
            streams: t.streams().to_vec(),
            track: t.track().map(str::to_owned),
        }
    }
}

impl PeerConnection {
    /// `addTransceiver`.
    ///
    /// # Errors
    /// Encodings that break a rule, or too many transceivers.
    pub fn add_transceiver(
        &mut self,
        kind: Kind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, Error> {
        let id = self.jsep.add_transceiver(kind, init, &mut self.rng)?;
        self.update_negotiation_needed();
        Ok(id)
    }

    /// `addTrack`: on a transceiver that has none and never sent, or on a new one.
    ///
    /// # Errors
    /// The track is sent already, or too many transceivers.
    pub fn add_track(
        &mut self,
        kind: Kind,
        track: &str,
        streams: Vec<String>,
    ) -> Result<TransceiverId, Error> {
        let id = self.jsep.add_track(kind, track, streams, &mut self.rng)?;
        self.update_negotiation_needed();
        Ok(id)
    }

    /// `removeTrack`.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn remove_track(&mut self, id: TransceiverId) -> Result<(), Error> {
        self.jsep.remove_track(id)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// `replaceTrack`: another track, or none, on a transceiver's sender, without negotiation. Sending goes on with the
    /// same SSRC; what is sent is the caller's to change.
    ///
    /// # Errors
    /// No such transceiver, or stopped.
    pub fn replace_track(&mut self, id: TransceiverId, track: Option<String>) -> Result<(), Error> {
        self.jsep.replace_track(id, track)
    }

    /// `getTransceivers`, in the order of their making.
    pub fn transceivers(&self) -> impl Iterator<Item = Transceiver> {
        self.jsep.transceivers().iter().map(Transceiver::of)
    }

    /// One transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<Transceiver> {
        self.jsep.transceiver(id).map(Transceiver::of)
    }

    /// Sets the wanted direction of a transceiver.
    ///
    /// # Errors
    /// No such transceiver, or stopped.
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), Error> {
        self.jsep.set_direction(id, direction)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// `setStreams` of a transceiver's sender.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn set_streams(&mut self, id: TransceiverId, streams: Vec<String>) -> Result<(), Error> {
        self.jsep.set_streams(id, streams)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// `setParameters` of a sender, as far as its encodings go: same rids in the same order.
    ///
    /// # Errors
    /// Rids or their number changed, or a rule is broken.
    pub fn set_encodings(
        &mut self,
        id: TransceiverId,
        encodings: Vec<Encoding>,
    ) -> Result<(), Error> {
        self.jsep.set_encodings(id, encodings)?;
        self.reconcile_media();
        Ok(())
    }

    /// `setCodecPreferences`; an empty list takes them away.
    ///
    /// # Errors
    /// A codec that is none of the capabilities, or no media codec in the list.
    pub fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<Codec>,
    ) -> Result<(), Error> {
        self.jsep.set_codec_preferences(id, codecs)
    }

    /// `stop` of a transceiver.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn stop(&mut self, _now: Instant, id: TransceiverId) -> Result<(), Error> {
        self.jsep.stop(id)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// Queues an RTP packet. Payload type, sequence number, timestamp and marker go out as given.
    ///
    /// # Errors
    /// Not negotiated to send, an unknown payload type, or the queue full; the packet was not taken.
    pub fn send_rtp(
        &mut self,
        _now: Instant,
        id: TransceiverId,
        packet: RtpPacket,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_outgoing(packet.payload.len())?;
        match &mut self.media {
            Some(media) => media.send(id, packet),
            None if self.jsep.transceiver(id).is_none() => Err(Error::NoTransceiver(id)),
            None => Err(Error::NotSending(id)),
        }
    }

    /// Queues a whole frame, cut into packets as the payload format of its codec says: VP8, VP9 (one layer), H.264,
    /// H.265, AV1, Opus, G.711, G.722, L16. Sequence numbers are made here: a sender sends either frames or packets of
    /// the application's own numbering. Losses are answered from the history of what was sent, as for packets.
    ///
    /// # Errors
    /// Not negotiated to send, a switched-off encoding, an unknown payload type, no payload format, a frame that is none
    /// of its codec, or no room for all of it in the queue; nothing of the frame was taken.
    pub fn send_frame(
        &mut self,
        _now: Instant,
        id: TransceiverId,
        frame: &Frame,
    ) -> Result<(), Error> {
        self.check_open()?;
        let max = max_payload(self.config.max_datagram);
        match &mut self.media {
            Some(media) => media.send_frame(id, frame, max),
            None if self.jsep.transceiver(id).is_none() => Err(Error::NoTransceiver(id)),
            None => Err(Error::NotSending(id)),
        }
    }

    /// Whether what this transceiver receives comes as packets (default) or as whole frames.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn set_delivery(&mut self, id: TransceiverId, delivery: Delivery) -> Result<(), Error> {
        self.check_open()?;
        self.jsep.transceiver(id).ok_or(Error::NoTransceiver(id))?;
        self.deliveries.retain(|(known, _)| *known != id);
        self.deliveries.push((id, delivery));
        self.reconcile_media();
        Ok(())
    }

    /// Asks the far side for a key frame of a received track (PLI), at most five a second.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn request_key_frame(&mut self, _now: Instant, id: TransceiverId) -> Result<(), Error> {
        self.jsep.transceiver(id).ok_or(Error::NoTransceiver(id))?;
        if let Some(media) = &mut self.media {
            media.request_key_frame(id);
        }
        Ok(())
    }

    /// `canInsertDTMF`: audio that is sent, with telephone events of its clock agreed on.
    pub fn can_insert_dtmf(&self, id: TransceiverId) -> bool {
        self.media.as_ref().is_some_and(|m| m.can_insert_dtmf(id))
    }

    /// `insertDTMF`: replaces the tones that wait by `tones` (`0`–`9`, `*`, `#`, `A`–`D`, and `,` for two seconds of
    /// pause). Tones last 40 ms to 6 s, gaps 30 ms to 6 s; other values are brought into these bounds. While a tone
    /// sounds, audio packets of the transceiver are left out.
    ///
    /// # Errors
    /// The transceiver can't send tones now, or a character is none.
    pub fn insert_dtmf(
        &mut self,
        now: Instant,
        id: TransceiverId,
        tones: &str,
        duration: Duration,
        gap: Duration,
    ) -> Result<(), Error> {
        self.check_open()?;
        match &mut self.media {
            Some(media) => media.insert_dtmf(now, id, tones, duration, gap),
            None => Err(Error::CannotSendDtmf(id)),
        }
    }

    /// `toneBuffer`: the tones that wait.
    pub fn tone_buffer(&self, id: TransceiverId) -> String {
        self.media
            .as_ref()
            .map(|m| m.tone_buffer(id))
            .unwrap_or_default()
    }

    /// `getSynchronizationSources` of a transceiver's receiver: SSRCs whose last packet is at most ten seconds old.
    pub fn synchronization_sources(
        &self,
        now: Instant,
        id: TransceiverId,
    ) -> Vec<SynchronizationSource> {
        let receivers = self
            .media
            .as_ref()
            .map(|m| m.receivers())
            .unwrap_or_default();
        receivers
            .iter()
            .filter(|r| r.transceiver == id && r.repairs.is_none())
            .filter_map(|r| {
                let age = now.saturating_duration_since(r.last_packet?);
                (age <= Duration::from_secs(10)).then_some(SynchronizationSource {
                    ssrc: r.ssrc,
                    age,
                    rtp_timestamp: r.last_timestamp,
                    audio_level: r.audio_level,
                })
            })
            .collect()
    }

    /// `getContributingSources` of a transceiver's receiver: CSRCs whose last packet is at most ten seconds old.
    pub fn contributing_sources(&self, now: Instant, id: TransceiverId) -> Vec<ContributingSource> {
        let receivers = self
            .media
            .as_ref()
            .map(|m| m.receivers())
            .unwrap_or_default();
        receivers
            .iter()
            .filter(|r| r.transceiver == id)
            .flat_map(|r| &r.contributors)
            .filter_map(|c| {
                let age = now.saturating_duration_since(c.at);
                (age <= Duration::from_secs(10)).then_some(ContributingSource {
                    source: c.csrc,
                    age,
                    rtp_timestamp: c.timestamp,
                })
            })
            .collect()
    }

    /// `a=identity` of ours in descriptions from now on (RFC 8827 §5): an assertion that an identity provider made over
    /// the fingerprints of [`certificates`](Self::certificates), made outside. It is carried, whatever it says;
    /// [`set_identity_provider`](Self::set_identity_provider) has one made.
    pub fn set_identity_assertion(&mut self, assertion: Option<String>) {
        self.jsep.set_identity(assertion);
    }

    /// The far side's `a=identity` as it was said; [`peer_identity`](Self::peer_identity) is who it proved to be.
    pub fn peer_identity_assertion(&self) -> Option<&str> {
        self.jsep.remote()?.identity.as_deref()
    }
}

/// `RTCRtpContributingSource` (W3C §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContributingSource {
    /// The CSRC.
    pub source: u32,
    /// How long ago its last packet came.
    pub age: Duration,
    /// That packet's timestamp.
    pub rtp_timestamp: u32,
}

/// `RTCRtpSynchronizationSource` (W3C §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynchronizationSource {
    /// The SSRC.
    pub ssrc: u32,
    /// How long ago its last packet came.
    pub age: Duration,
    /// That packet's timestamp.
    pub rtp_timestamp: u32,
    /// Its audio level in -dBov, 0 to 127, where the packet told.
    pub audio_level: Option<u8>,
}
