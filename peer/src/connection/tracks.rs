//! Transceivers (W3C §5.4), and RTP in and out. Their halves are `senders`'s.

use std::time::Instant;

use super::PeerConnection;
use crate::codec::Codec;
use crate::error::Error;
use crate::frame::{Delivery, Frame};
use crate::jsep;
use crate::media::{Reception, max_payload};
use crate::packet::RtpPacket;
use crate::parameters::{Encoding, ReceiverId, SenderId, TransceiverInit};
use crate::types::{Direction, Kind, TransceiverId};

/// What is known of an `RTCRtpTransceiver`, with what is negotiated for both of its halves.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transceiver {
    /// Its id.
    pub id: TransceiverId,
    /// What sends.
    pub sender: SenderId,
    /// What receives.
    pub receiver: ReceiverId,
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

impl PeerConnection {
    fn describe(&self, t: &jsep::Transceiver) -> Transceiver {
        let negotiated = t.negotiated();
        Transceiver {
            id: t.id(),
            sender: self.sender_of(t.id()),
            receiver: self.receiver_of(t.id()),
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

    /// `addTransceiver`: its two halves are [`Transceiver::sender`] and [`Transceiver::receiver`].
    ///
    /// # Errors
    /// Encodings that break a rule, ids that `a=msid` can't have ([`Error::MsidToken`]), or too many transceivers.
    pub fn add_transceiver(
        &mut self,
        kind: Kind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, Error> {
        let id = self.jsep.add_transceiver(kind, init, &mut self.rng)?;
        self.update_negotiation_needed();
        Ok(id)
    }

    /// `addTrack`: on a transceiver whose sender has no track and never sent, or on a new one. The sender that has it.
    ///
    /// # Errors
    /// The track is sent already, ids that `a=msid` can't have ([`Error::MsidToken`]), or too many transceivers.
    pub fn add_track(
        &mut self,
        kind: Kind,
        track: &str,
        streams: Vec<String>,
    ) -> Result<SenderId, Error> {
        let id = self.jsep.add_track(kind, track, streams, &mut self.rng)?;
        self.reconcile_media();
        self.update_negotiation_needed();
        Ok(self.sender_of(id))
    }

    /// `getTransceivers`, in the order of their making.
    pub fn transceivers(&self) -> impl Iterator<Item = Transceiver> {
        self.jsep.transceivers().iter().map(|t| self.describe(t))
    }

    /// One transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<Transceiver> {
        self.jsep.transceiver(id).map(|t| self.describe(t))
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

    /// `stop` of a transceiver: from now on nothing is sent, which RTCP tells, and nothing received; negotiation takes its
    /// section away.
    ///
    /// # Errors
    /// No such transceiver.
    pub fn stop(&mut self, _now: Instant, id: TransceiverId) -> Result<(), Error> {
        self.jsep.stop(id)?;
        self.reconcile_media();
        // RTCP BYE.
        self.held.wake = true;
        self.update_negotiation_needed();
        Ok(())
    }

    /// Queues an RTP packet. Payload type, timestamp and marker go out as given, and so does the sequence number until
    /// tones go out in between: while one sounds packets are left out, and those after it are numbered on from it. Each
    /// number goes out once: a packet is left out that has the number of another, that is
    /// [`MAX_LATE_NUMBERS`](crate::limits::MAX_LATE_NUMBERS) or more behind, or that belongs before a tone that went out
    /// already. Two in a row from that far behind are of a source that began anew, and are numbered on.
    ///
    /// # Errors
    /// Not negotiated to send, an unknown payload type, or the queue full; the packet was not taken.
    pub fn send_rtp(
        &mut self,
        now: Instant,
        id: TransceiverId,
        packet: RtpPacket,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_outgoing(packet.payload.len())?;
        match &mut self.media {
            Some(media) => media.send(now, id, packet),
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
    /// of its codec, or no room for all of it in the queue or the memory budget; nothing of the frame was taken.
    pub fn send_frame(
        &mut self,
        now: Instant,
        id: TransceiverId,
        frame: &Frame,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_outgoing(frame.data.len())?;
        let max = max_payload(self.config.max_datagram);
        match &mut self.media {
            Some(media) => media.send_frame(now, id, frame, max),
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
        self.change_reception(id, |r| r.delivery = delivery);
        Ok(())
    }

    /// What the application wants of what a transceiver receives.
    pub(super) fn reception(&self, id: TransceiverId) -> Reception {
        let known = self.receptions.iter().find(|(t, _)| *t == id);
        known.map(|(_, r)| *r).unwrap_or_default()
    }

    pub(super) fn change_reception(
        &mut self,
        id: TransceiverId,
        change: impl FnOnce(&mut Reception),
    ) {
        let mut reception = self.reception(id);
        change(&mut reception);
        self.receptions.retain(|(known, _)| *known != id);
        self.receptions.push((id, reception));
        self.reconcile_media();
    }

    /// Asks the far side for a key frame of a received track, at most five times a second: by PLI, or by FIR where only that
    /// was agreed on (`a=rtcp-fb`), or not at all where neither was.
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
