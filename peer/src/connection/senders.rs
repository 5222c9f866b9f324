//! Senders and receivers as objects of their own (W3C §5.2, §5.3, §7): the two halves of a transceiver.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::{DtlsTransport, PeerConnection};
use crate::codec::Capabilities;
use crate::error::Error;
use crate::jsep;
use crate::limits::MAX_JITTER_BUFFER_TARGET;
use crate::parameters::{
    ReceiveParameters, ReceiverId, RtcpParameters, RtpCapabilities, SendParameters, SenderId,
    TransactionId,
};
use crate::types::{Direction, Kind, TransceiverId};

/// What is known of an `RTCRtpSender` (W3C §5.2).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sender {
    /// Its name.
    pub id: SenderId,
    /// The transceiver that it is half of.
    pub transceiver: TransceiverId,
    /// Audio or video.
    pub kind: Kind,
    /// Id of its track. Where a track was taken away nothing is sent.
    pub track: Option<String>,
    /// Ids of the media streams that the track belongs to.
    pub streams: Vec<String>,
    /// The transport, once a description has been set for it.
    pub transport: Option<DtlsTransport>,
    /// Tones between its packets; audio only.
    pub dtmf: Option<Dtmf>,
}

impl Sender {
    /// `RTCRtpSender.getCapabilities(kind)` where [`Configuration::capabilities`](crate::Configuration::capabilities)
    /// says nothing else; [`Capabilities::of`] tells those of a configuration.
    pub fn capabilities(kind: Kind) -> RtpCapabilities {
        Capabilities::default().of(kind)
    }
}

/// What is known of an `RTCRtpReceiver` (W3C §5.3).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Receiver {
    /// Its name, which is also that of its track: there is one for as long as it lives.
    pub id: ReceiverId,
    /// The transceiver that it is half of.
    pub transceiver: TransceiverId,
    /// Audio or video.
    pub kind: Kind,
    /// The far side's id of the track, where it tells.
    pub track: Option<String>,
    /// The far side's ids of the media streams that the track belongs to.
    pub streams: Vec<String>,
    /// The transport, once a description has been set for it.
    pub transport: Option<DtlsTransport>,
    /// As [`PeerConnection::set_jitter_buffer_target`] has set it.
    pub jitter_buffer_target: Option<Duration>,
}

impl Receiver {
    /// `RTCRtpReceiver.getCapabilities(kind)` where [`Configuration::capabilities`](crate::Configuration::capabilities)
    /// says nothing else; [`Capabilities::of`] tells those of a configuration.
    pub fn capabilities(kind: Kind) -> RtpCapabilities {
        Capabilities::default().of(kind)
    }
}

/// `RTCDTMFSender` (W3C §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dtmf {
    /// `canInsertDTMF` (W3C §7.3): connected, and the audio is sent, with telephone events agreed on.
    pub can_insert: bool,
    /// `toneBuffer`: the tones that wait.
    pub tone_buffer: String,
}

/// `RTCRtpContributingSource` (W3C §5.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContributingSource {
    /// The CSRC.
    pub source: u32,
    /// How long ago its last packet came.
    pub age: Duration,
    /// That packet's timestamp.
    pub rtp_timestamp: u32,
    /// Its audio level in -dBov, 0 to 127, where the packet told (RFC 6465).
    pub audio_level: Option<u8>,
}

/// `RTCRtpSynchronizationSource` (W3C §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynchronizationSource {
    /// The SSRC.
    pub ssrc: u32,
    /// How long ago its last packet came.
    pub age: Duration,
    /// Timestamp of the packet with the highest number: one that comes late says what was.
    pub rtp_timestamp: u32,
    /// That packet's audio level in -dBov, 0 to 127, where it told (RFC 6464).
    pub audio_level: Option<u8>,
}

/// How long `getSynchronizationSources` and `getContributingSources` remember (W3C §5.3).
const SOURCES_FOR: Duration = Duration::from_secs(10);

impl PeerConnection {
    pub(super) fn sender_of(&self, transceiver: TransceiverId) -> SenderId {
        SenderId {
            connection: self.tag,
            transceiver,
        }
    }

    pub(super) fn receiver_of(&self, transceiver: TransceiverId) -> ReceiverId {
        ReceiverId {
            connection: self.tag,
            transceiver,
        }
    }

    /// The transceiver of a sender of ours.
    pub(super) fn sending(&self, sender: SenderId) -> Result<TransceiverId, Error> {
        if sender.connection == self.tag {
            Ok(sender.transceiver)
        } else {
            Err(Error::OtherConnection)
        }
    }

    /// The transceiver of a receiver of ours.
    pub(super) fn receiving(&self, receiver: ReceiverId) -> Result<TransceiverId, Error> {
        if receiver.connection == self.tag {
            Ok(receiver.transceiver)
        } else {
            Err(Error::OtherConnection)
        }
    }

    fn negotiated(&self, id: TransceiverId) -> Result<&jsep::Transceiver, Error> {
        self.jsep.transceiver(id).ok_or(Error::NoTransceiver(id))
    }

    /// `getSenders`: those of the transceivers that are not stopped, in the order of their making.
    pub fn senders(&self) -> impl Iterator<Item = Sender> {
        let running = self.jsep.transceivers().iter().filter(|t| !t.is_stopped());
        running.map(|t| self.describe_sender(t))
    }

    /// One sender; `None` where its transceiver is gone, or where it is another connection's.
    pub fn sender(&self, sender: SenderId) -> Option<Sender> {
        let t = self.jsep.transceiver(self.sending(sender).ok()?)?;
        Some(self.describe_sender(t))
    }

    /// `getReceivers`: those of the transceivers that are not stopped, in the order of their making.
    pub fn receivers(&self) -> impl Iterator<Item = Receiver> {
        let running = self.jsep.transceivers().iter().filter(|t| !t.is_stopped());
        running.map(|t| self.describe_receiver(t))
    }

    /// One receiver; `None` where its transceiver is gone, or where it is another connection's.
    pub fn receiver(&self, receiver: ReceiverId) -> Option<Receiver> {
        let t = self.jsep.transceiver(self.receiving(receiver).ok()?)?;
        Some(self.describe_receiver(t))
    }

    fn transport_of(&self, t: &jsep::Transceiver) -> Option<DtlsTransport> {
        t.mid().and_then(|_| self.dtls_transport())
    }

    fn describe_sender(&self, t: &jsep::Transceiver) -> Sender {
        let media = self.media.as_ref();
        Sender {
            id: self.sender_of(t.id()),
            transceiver: t.id(),
            kind: t.kind(),
            track: t.track().map(str::to_owned),
            streams: t.streams().to_vec(),
            transport: self.transport_of(t),
            dtmf: (t.kind() == Kind::Audio).then(|| Dtmf {
                can_insert: media.is_some_and(|m| m.can_insert_dtmf(t.id())),
                tone_buffer: media.map(|m| m.tone_buffer(t.id())).unwrap_or_default(),
            }),
        }
    }

    fn describe_receiver(&self, t: &jsep::Transceiver) -> Receiver {
        let msids = t.remote_msids();
        Receiver {
            id: self.receiver_of(t.id()),
            transceiver: t.id(),
            kind: t.kind(),
            track: msids.iter().find_map(|m| m.track.clone()),
            streams: msids
                .iter()
                .map(|m| m.stream.clone())
                .filter(|s| s != "-")
                .collect(),
            transport: self.transport_of(t),
            jitter_buffer_target: self.reception(t.id()).jitter_buffer_target,
        }
    }

    /// `removeTrack`: nothing is sent any more; negotiation tells the far side.
    ///
    /// # Errors
    /// Another connection's sender, closed.
    pub fn remove_track(&mut self, sender: SenderId) -> Result<(), Error> {
        self.check_open()?;
        let id = self.sending(sender)?;
        if self.jsep.transceiver(id).is_none() {
            // Stopped or rolled back: there is nothing left to remove (steps 6 and 8).
            return Ok(());
        }
        self.jsep.remove_track(id)?;
        self.reconcile_media();
        self.update_negotiation_needed();
        Ok(())
    }

    /// `replaceTrack`: another track, or none, without negotiation. Sending goes on with the same SSRC; what is sent is the
    /// caller's to change. Without a track nothing is sent.
    ///
    /// # Errors
    /// Another connection's sender, no such transceiver any more, or stopped; [`Error::MsidToken`].
    pub fn replace_track(&mut self, sender: SenderId, track: Option<String>) -> Result<(), Error> {
        let id = self.sending(sender)?;
        self.jsep.replace_track(id, track)?;
        self.reconcile_media();
        Ok(())
    }

    /// `setStreams`.
    ///
    /// # Errors
    /// Another connection's sender, no such transceiver any more, closed; [`Error::MsidToken`].
    pub fn set_streams(&mut self, sender: SenderId, streams: Vec<String>) -> Result<(), Error> {
        let id = self.sending(sender)?;
        self.jsep.set_streams(id, streams)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// `getParameters` of a sender. What it returns stays good for [`set_parameters`](Self::set_parameters) until that is
    /// called or a description is set; the W3C's stays good for one turn of a browser's event loop.
    ///
    /// # Errors
    /// Another connection's sender, or no such transceiver any more.
    pub fn parameters(&mut self, sender: SenderId) -> Result<SendParameters, Error> {
        let id = self.sending(sender)?;
        let known = self.transactions.iter().find(|(t, _)| *t == id);
        let transaction = match known {
            Some((_, transaction)) => *transaction,
            None => TransactionId(self.rng.random()),
        };
        let parameters = self.send_parameters(id, transaction)?;
        self.transactions.retain(|(t, _)| *t != id);
        self.transactions.push((id, transaction));
        Ok(parameters)
    }

    fn send_parameters(
        &self,
        id: TransceiverId,
        transaction_id: TransactionId,
    ) -> Result<SendParameters, Error> {
        let t = self.negotiated(id)?;
        let negotiated = t.negotiated();
        Ok(SendParameters {
            transaction_id,
            encodings: t.encodings().to_vec(),
            header_extensions: extensions(t, Direction::sends),
            rtcp: RtcpParameters {
                cname: Some(self.jsep.cname().to_owned()),
                reduced_size: negotiated.is_some_and(|n| n.reduced_size),
            },
            codecs: negotiated.map_or_else(Vec::new, |n| n.send_codecs.clone()),
        })
    }

    /// `setParameters`: other encodings, with the rids as they were.
    ///
    /// # Errors
    /// [`Error::StaleParameters`] where [`parameters`](Self::parameters) was not called since the last change,
    /// [`Error::ParametersAltered`] where anything but encodings is other than it said, a codec or scalability mode that
    /// can't be sent, a number out of its range; stopped. Nothing has changed then.
    pub fn set_parameters(
        &mut self,
        sender: SenderId,
        parameters: SendParameters,
    ) -> Result<(), Error> {
        self.check_open()?;
        let id = self.sending(sender)?;
        if self.negotiated(id)?.is_stopping() {
            return Err(Error::TransceiverStopped(id));
        }
        let known = self.transactions.iter().find(|(t, _)| *t == id);
        let (_, transaction) = *known.ok_or(Error::StaleParameters)?;
        let SendParameters {
            transaction_id,
            encodings,
            header_extensions,
            rtcp,
            codecs,
        } = parameters;
        let told = self.send_parameters(id, transaction)?;
        if told.transaction_id != transaction_id
            || told.header_extensions != header_extensions
            || told.rtcp != rtcp
            || told.codecs != codecs
        {
            return Err(Error::ParametersAltered);
        }
        self.jsep.set_encodings(id, encodings)?;
        self.transactions.retain(|(t, _)| *t != id);
        self.reconcile_media();
        Ok(())
    }

    /// `getParameters` of a receiver. While an offer of ours has no answer, all that it offers may arrive.
    ///
    /// # Errors
    /// Another connection's receiver, or no such transceiver any more.
    pub fn receive_parameters(&self, receiver: ReceiverId) -> Result<ReceiveParameters, Error> {
        let id = self.receiving(receiver)?;
        let t = self.negotiated(id)?;
        let negotiated = t.negotiated();
        let offered = self
            .jsep
            .pending_local()
            .zip(t.mid())
            .and_then(|(local, mid)| local.section_of(mid))
            .map(|(_, section)| section);
        let (receives, codecs) = match (offered, negotiated) {
            (Some(section), _) => (section.direction.receives(), Some(&section.codecs)),
            (None, Some(n)) => (n.direction.receives(), Some(&n.receive_codecs)),
            (None, None) => (false, None),
        };
        Ok(ReceiveParameters {
            header_extensions: extensions(t, Direction::receives),
            rtcp: RtcpParameters {
                cname: None,
                reduced_size: negotiated.is_some_and(|n| n.reduced_size),
            },
            codecs: codecs.filter(|_| receives).cloned().unwrap_or_default(),
        })
    }

    /// `jitterBufferTarget`: how long packets wait for those before them where whole frames are delivered
    /// ([`set_delivery`](Self::set_delivery)); `None` for what suits the kind. Nothing is played out here.
    ///
    /// # Errors
    /// More than [`limits::MAX_JITTER_BUFFER_TARGET`](crate::limits::MAX_JITTER_BUFFER_TARGET), another connection's
    /// receiver, or no such transceiver any more.
    pub fn set_jitter_buffer_target(
        &mut self,
        receiver: ReceiverId,
        target: Option<Duration>,
    ) -> Result<(), Error> {
        self.check_open()?;
        let id = self.receiving(receiver)?;
        self.negotiated(id)?;
        if target.is_some_and(|t| t > MAX_JITTER_BUFFER_TARGET) {
            return Err(Error::JitterBufferTarget);
        }
        self.change_reception(id, |r| r.jitter_buffer_target = target);
        Ok(())
    }

    /// `insertDTMF`: replaces the tones that wait by `tones` (`0`–`9`, `*`, `#`, `A`–`D`, and `,` for two seconds of
    /// pause). Tones last 40 ms to 6 s, gaps 30 ms to 6 s; other values are brought into these bounds. While a tone
    /// sounds, audio packets of the sender are left out. [`Sender::dtmf`] tells whether it can be called, and what waits.
    /// Where tones can't be sent any more when one is to begin, those that wait are left, without an event.
    ///
    /// # Errors
    /// The sender can't send tones now, a character is none, or another connection's sender.
    pub fn insert_dtmf(
        &mut self,
        now: Instant,
        sender: SenderId,
        tones: &str,
        duration: Duration,
        gap: Duration,
    ) -> Result<(), Error> {
        self.check_open()?;
        let id = self.sending(sender)?;
        match &mut self.media {
            Some(media) => media.insert_dtmf(now, id, tones, duration, gap),
            None => Err(Error::CannotSendDtmf(id)),
        }
    }

    /// `getSynchronizationSources`: SSRCs whose last packet is at most ten seconds old, the latest first; none of another
    /// connection's receiver.
    pub fn synchronization_sources(
        &self,
        now: Instant,
        receiver: ReceiverId,
    ) -> Vec<SynchronizationSource> {
        let id = self.receiving(receiver).ok();
        let streams = self.media.as_ref().map(|m| m.receivers());
        let mut sources: Vec<_> = streams
            .unwrap_or_default()
            .iter()
            .filter(|r| Some(r.transceiver) == id && r.repairs.is_none())
            .filter_map(|r| {
                let age = now.saturating_duration_since(r.last_packet?);
                (age <= SOURCES_FOR).then_some(SynchronizationSource {
                    ssrc: r.ssrc,
                    age,
                    rtp_timestamp: r.last_timestamp,
                    audio_level: r.audio_level,
                })
            })
            .collect();
        sources.sort_by_key(|s| s.age);
        sources
    }

    /// `getContributingSources`: CSRCs, each once, whose last packet is at most ten seconds old, the latest first; none
    /// of another connection's receiver.
    pub fn contributing_sources(
        &self,
        now: Instant,
        receiver: ReceiverId,
    ) -> Vec<ContributingSource> {
        let id = self.receiving(receiver).ok();
        let streams = self.media.as_ref().map(|m| m.receivers());
        let mut sources: Vec<_> = streams
            .unwrap_or_default()
            .iter()
            .filter(|r| Some(r.transceiver) == id)
            .flat_map(|r| &r.contributors)
            .filter_map(|c| {
                let age = now.saturating_duration_since(c.at);
                (age <= SOURCES_FOR).then_some(ContributingSource {
                    source: c.csrc,
                    age,
                    rtp_timestamp: c.timestamp,
                    audio_level: c.audio_level,
                })
            })
            .collect();
        sources.sort_by_key(|s| s.age);
        // W3C §5.3: one for each unique identifier, whatever streams it is in.
        let mut known = HashSet::new();
        sources.retain(|s| known.insert(s.source));
        sources
    }
}

/// The extensions agreed on whose direction is one of these.
fn extensions(t: &jsep::Transceiver, way: fn(Direction) -> bool) -> Vec<jsep::ExtensionMapping> {
    let agreed = t
        .negotiated()
        .map(|n| &n.extensions[..])
        .unwrap_or_default();
    agreed
        .iter()
        .filter(|e| e.direction.is_none_or(way))
        .cloned()
        .collect()
}
