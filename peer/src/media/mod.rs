//! RTP and RTCP of one connection: which transceiver a packet is for, what is sent, reported and asked for.
//!
//! No encryption and no paths here: packets come in decrypted and go out to be protected. The parts:
//! - `router`: SSRC, mid, rid and payload type → stream (RFC 9143 §9.2);
//! - `sender`: one sent stream with its history and counters;
//! - `receiver`: one received stream with its statistics and what it lacks;
//! - `reports`: RTCP in and out;
//! - `track`: what of it belongs to one transceiver;
//! - `frames`: whole frames to packets and back;
//! - `numbers`: each sequence number goes out once;
//! - `dtmf`: tones between the packets of an audio stream;
//! - `agenda`: when which received stream has something due.

mod agenda;
#[cfg(test)]
mod crowd;
mod dtmf;
mod frames;
mod numbers;
mod receiver;
mod reports;
mod router;
mod sender;
mod track;
#[cfg(test)]
mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tincan_rtp::extension::{ExtensionKind, ExtensionMap};
use tincan_rtp::receive::{TransportFeedbackConfig, TransportFeedbackGenerator};
use tincan_rtp::{NtpTime, Packet, SequenceNumber};

use agenda::Agenda;
use frames::FrameSender;
pub(crate) use frames::max_payload;
pub(crate) use receiver::ReceiveStream;
pub(crate) use router::Router;
pub(crate) use sender::SendStream;
pub(crate) use track::{Reception, Track};

use crate::codec::Codec;
use crate::error::Error;
use crate::event::Event;
use crate::frame::{Delivery, Frame};
use crate::jsep::Transceiver;
use crate::limits::{MAX_SEND_QUEUE, TRANSPORT_FEEDBACK_INTERVAL};
use crate::packet::{Head, RtpPacket};
use crate::queue::Events;
use crate::types::{Ecn, TransceiverId};

/// All media of one connection.
#[derive(Debug)]
pub(crate) struct Media {
    router: Router,
    /// In the order of their ids.
    tracks: Vec<Track>,
    receivers: Vec<ReceiveStream>,
    agenda: Agenda,
    /// What sent and may not any more, because it was refused: if it may again, its numbers go on under the same keys.
    retired: Vec<SendStream>,
    /// Places of streams that said goodbye, or were over when somebody looked for such; the first to be taken last.
    vacant: Vec<usize>,
    looked: Option<Instant>,
    /// How many streams there have been.
    streams: u32,
    /// Room for the places of streams that are due.
    places: Vec<usize>,
    queue: VecDeque<Queued>,
    /// Octets of payload in `queue`, of what senders keep to send again, and of what receivers hold.
    queued: usize,
    history: usize,
    incoming: usize,
    max_incoming: usize,
    max_history: Option<usize>,
    cname: String,
    /// When NTP time was `epoch`.
    started: Instant,
    epoch: NtpTime,
    transport_sequence: SequenceNumber,
    feedback: TransportFeedbackGenerator,
    reports_due: Option<Instant>,
    /// Whether `connectionState` is "connected".
    connected: bool,
    /// Some track may have tones to play.
    playing: bool,
    /// How far the reports that are due have come.
    round: Option<reports::Round>,
    /// As the last report of the far side tells.
    round_trip: Option<Duration>,
    /// Goodbye to be said for these.
    farewell: Vec<u32>,
    counters: Counters,
}

/// What went wrong or was dropped, for statistics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// RTP packets that no stream would have.
    pub(crate) unrouted: u64,
    /// Malformed RTP or RTCP after decryption.
    pub(crate) malformed: u64,
    /// RTP for transceivers that don't receive.
    pub(crate) unwanted: u64,
    /// Packets that came while too many events waited for the application.
    pub(crate) overflow: u64,
}

/// What came on the streams that repair one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repaired {
    pub(crate) packets: u64,
    /// Of payload, and of headers and padding.
    pub(crate) octets: u64,
    pub(crate) header_octets: u64,
    pub(crate) ect1: u64,
    pub(crate) ce: u64,
    /// The SSRC of one of them.
    pub(crate) ssrc: Option<u32>,
}

#[derive(Debug)]
enum What {
    Packet(RtpPacket),
    /// Sequence number to be sent again.
    Again(SequenceNumber),
}

#[derive(Debug)]
struct Queued {
    /// Since when it waits.
    at: Instant,
    transceiver: TransceiverId,
    encoding: u8,
    what: What,
}

impl Media {
    pub(crate) fn new(now: Instant, cname: &str, epoch: Duration) -> Self {
        Media {
            router: Router::default(),
            tracks: Vec::new(),
            receivers: Vec::new(),
            agenda: Agenda::default(),
            retired: Vec::new(),
            vacant: Vec::new(),
            looked: None,
            streams: 0,
            places: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            history: 0,
            incoming: 0,
            max_incoming: usize::MAX,
            max_history: None,
            cname: cname.to_owned(),
            started: now,
            epoch: NtpTime::from_unix(epoch),
            transport_sequence: SequenceNumber(1),
            feedback: TransportFeedbackGenerator::new(TransportFeedbackConfig {
                interval: TRANSPORT_FEEDBACK_INTERVAL,
                ..Default::default()
            }),
            reports_due: None,
            connected: false,
            playing: false,
            round: None,
            round_trip: None,
            farewell: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes over what negotiation agreed on.
    pub(crate) fn reconcile(
        &mut self,
        transceivers: &[Transceiver],
        receptions: &[(TransceiverId, Reception)],
    ) {
        let mut tracks = core::mem::take(&mut self.tracks);
        for t in transceivers {
            let Some(parameters) = t.negotiated() else {
                continue;
            };
            // W3C §5.4, stop: at once, whenever negotiation follows.
            if t.is_stopping() {
                continue;
            }
            let before = tracks
                .iter()
                .position(|track| track.id == t.id())
                .map(|at| tracks.swap_remove(at));
            let mut track = match before {
                Some(track) if Arc::ptr_eq(&track.parameters, parameters) => track,
                before => {
                    let mut extensions = ExtensionMap::new();
                    for e in &parameters.extensions {
                        // The ids of one section are unique by verification.
                        let _ = extensions.insert(e.id, &e.uri);
                    }
                    let (unmuted, senders, dtmf) = before
                        .map(|b| (b.unmuted, b.senders, b.dtmf))
                        .unwrap_or_default();
                    Track {
                        id: t.id(),
                        parameters: parameters.clone(),
                        extensions: Arc::new(extensions),
                        senders,
                        silent: false,
                        reception: Reception::default(),
                        unmuted,
                        dtmf,
                    }
                }
            };
            let gone = track.set_senders(t, &mut self.retired);
            self.retire(gone);
            track.silent = t.is_silent();
            let reception = receptions.iter().find(|(id, _)| *id == t.id());
            track.reception = reception.map(|(_, r)| *r).unwrap_or_default();
            if !parameters.direction.receives() {
                track.unmuted = false;
            }
            self.tracks.push(track);
        }
        // Whoever is left has gone: its streams say goodbye.
        for gone in tracks {
            self.retire(gone.senders);
            let id = gone.id;
            self.receivers.retain(|r| r.transceiver != id);
        }
        // No more of them than transceivers have SSRCs.
        let known = |s: &SendStream| {
            let mut ssrcs = transceivers.iter().flat_map(|t| t.ssrcs());
            ssrcs.any(|known| known.media == s.ssrc)
        };
        self.retired.retain(known);
        self.tracks.sort_by_key(|t| t.id);
        self.router.rebuild(&self.tracks, &mut self.receivers);
        self.recount();
        for receiver in &mut self.receivers {
            let track = self.tracks.iter().find(|t| t.id == receiver.transceiver);
            match (track, &mut receiver.assembly) {
                (Some(track), Some(assembly)) if track.reception.delivery == Delivery::Frames => {
                    assembly.configure(&track.parameters);
                    assembly.set_target(track.reception.jitter_buffer_target);
                }
                _ => receiver.stop_assembling(),
            }
        }
        // Streams have other places now.
        self.agenda.clear();
        self.vacant.clear();
        for place in 0..self.receivers.len() {
            self.rearm(place);
        }
    }

    /// Notes when something of this stream is due, after it changed.
    fn rearm(&mut self, place: usize) {
        let due = self.receivers.get(place).and_then(|r| r.poll_timeout());
        self.agenda.set(place, due);
    }

    pub(crate) fn track(&self, id: TransceiverId) -> Option<&Track> {
        self.tracks
            .binary_search_by_key(&id, |t| t.id)
            .ok()
            .and_then(|at| self.tracks.get(at))
    }

    fn track_mut(&mut self, id: TransceiverId) -> Option<&mut Track> {
        self.tracks
            .binary_search_by_key(&id, |t| t.id)
            .ok()
            .and_then(|at| self.tracks.get_mut(at))
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    pub(crate) fn receivers(&self) -> &[ReceiveStream] {
        &self.receivers
    }

    /// What came on the streams that repair others, by the place of the repaired one.
    pub(crate) fn repairs(&self) -> HashMap<usize, Repaired> {
        let mut sums: HashMap<usize, Repaired> = HashMap::new();
        for (of, r) in self.router.repairs(&self.receivers) {
            let sum = sums.entry(of).or_default();
            sum.packets += r.packets;
            sum.octets += r.octets;
            sum.header_octets += r.header_octets;
            sum.ect1 += r.ect1;
            sum.ce += r.ce;
            sum.ssrc = Some(r.ssrc);
        }
        sums
    }

    /// Bounds what receivers hold and what each sender keeps to send again, in octets.
    pub(crate) fn set_shares(&mut self, shares: crate::connection::Shares) {
        self.max_incoming = shares.assembling;
        self.max_history = Some(shares.outgoing / 8);
    }

    /// Octets in use.
    pub(crate) fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.tracks.len() * size_of::<Track>()
            + self.outgoing()
            + self.queue.len() * size_of::<Queued>()
            + self.retired.capacity() * size_of::<SendStream>()
            + self.agenda.memory_usage()
            + self.vacant.capacity() * size_of::<usize>()
            + self.incoming
    }

    /// Says goodbye for those that sent, and keeps their numbers.
    fn retire(&mut self, senders: Vec<SendStream>) {
        for mut sender in senders.into_iter().filter(|s| s.packets > 0) {
            self.farewell.push(sender.ssrc);
            sender.retire();
            self.retired.push(sender);
        }
    }

    /// Octets that are to be sent or may have to be sent again.
    pub(crate) fn outgoing(&self) -> usize {
        self.queued + self.history
    }

    /// Counts anew what comes and goes with streams.
    fn recount(&mut self) {
        self.incoming = 0;
        for at in 0..self.receivers.len() {
            if let Some(receiver) = self.receivers.get_mut(at) {
                receiver.charged = 0;
            }
            self.charge(at);
        }
        self.recount_history();
    }

    /// Charges a receiver for what it holds now.
    fn charge(&mut self, at: usize) {
        charge(
            &mut self.receivers,
            &mut self.incoming,
            self.max_incoming,
            at,
        );
    }

    fn recount_history(&mut self) {
        let senders = self.tracks.iter().flat_map(|t| &t.senders);
        self.history = senders.map(SendStream::history_bytes).sum();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// NTP time of an instant, by the connection's own epoch.
    fn ntp(&self, now: Instant) -> NtpTime {
        self.epoch.plus(now.saturating_duration_since(self.started))
    }

    /// Queues a packet for sending.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        id: TransceiverId,
        packet: RtpPacket,
    ) -> Result<(), Error> {
        if self.queue.len() >= MAX_SEND_QUEUE {
            return Err(Error::SendQueueFull);
        }
        let Some(track) = self.track(id) else {
            return Err(Error::NotSending(id));
        };
        track.can_send(packet.encoding, packet.payload_type)?;
        self.queued += packet.payload.len();
        self.queue.push_back(Queued {
            at: now,
            transceiver: id,
            encoding: packet.encoding,
            what: What::Packet(packet),
        });
        Ok(())
    }

    /// Cuts a frame into packets of at most `max` octets of payload and queues them: all, or none.
    pub(crate) fn send_frame(
        &mut self,
        now: Instant,
        id: TransceiverId,
        frame: &Frame,
        max: usize,
    ) -> Result<(), Error> {
        let room = MAX_SEND_QUEUE.saturating_sub(self.queue.len());
        let Some(track) = self.track_mut(id) else {
            return Err(Error::NotSending(id));
        };
        let at = track.can_send(frame.encoding, frame.payload_type)?;
        let parameters = track.parameters.clone();
        let (Some(codec), Some(sender)) = (
            parameters.send_codecs.get(at),
            track.senders.get_mut(usize::from(frame.encoding)),
        ) else {
            return Err(Error::NotSending(id));
        };
        let first = sender.first_sequence();
        let frames = sender
            .frames
            .get_or_insert_with(|| Box::new(FrameSender::new(first)));
        let packets = frames.cut(frame, codec, max)?;
        if packets.len() > room {
            return Err(Error::SendQueueFull);
        }
        frames.commit(packets.len());
        self.queued += packets.iter().map(|p| p.payload.len()).sum::<usize>();
        self.queue.extend(packets.into_iter().map(|packet| Queued {
            at: now,
            transceiver: id,
            encoding: packet.encoding,
            what: What::Packet(packet),
        }));
        Ok(())
    }

    /// Lets time pass: tones begin, and frames wait no longer for what does not come.
    pub(crate) fn handle_timeout(&mut self, now: Instant, events: &mut Events) {
        self.pass_tones(now);
        self.poll_tones(events);
        let mut places = core::mem::take(&mut self.places);
        self.agenda.due(now, &mut places);
        for place in places.drain(..) {
            if let Some(receiver) = self.receivers.get_mut(place) {
                receiver.drain(now, events);
            }
            self.charge(place);
            self.rearm(place);
        }
        self.places = places;
        // What is kept to be sent again becomes too old, also where nothing more is sent.
        for sender in self.tracks.iter_mut().flat_map(|t| &mut t.senders) {
            sender.expire(now);
        }
        self.recount_history();
    }

    /// A packet goes out with the next number of the transport: reports are due from now on.
    fn on_written(&mut self, now: Instant) {
        self.transport_sequence = self.transport_sequence.next();
        if self.reports_due.is_none() {
            self.reports_due = Some(now + reports::first_interval());
        }
    }

    /// Appends the next RTP packet, unencrypted; `false` if there is none.
    pub(crate) fn poll_rtp(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if self.poll_dtmf(now, out) {
            return true;
        }
        while let Some(queued) = self.queue.pop_front() {
            if let What::Packet(packet) = &queued.what {
                self.queued = self.queued.saturating_sub(packet.payload.len());
            }
            let (started, epoch) = (self.started, self.epoch);
            let ntp = epoch.plus(now.saturating_duration_since(started));
            let sequence = self.transport_sequence;
            let max_history = self.max_history;
            let Some(track) = self.track_mut(queued.transceiver) else {
                continue;
            };
            // What was agreed may have changed since it was queued.
            if !track.sends() {
                continue;
            }
            let extensions = track.extensions.clone();
            let parameters = track.parameters.clone();
            let tone = track.dtmf.as_ref().is_some_and(|d| d.is_sounding());
            let Some(sender) = track.senders.get_mut(usize::from(queued.encoding)) else {
                continue;
            };
            sender.max_history = max_history;
            let kept = sender.history_bytes();
            // Whether the number of the transport is in it.
            let written = match queued.what {
                // RFC 4733 §2.1: while a tone sounds, the voice is silent.
                What::Packet(packet) if tone => {
                    sender.skip(&packet);
                    None
                }
                What::Packet(packet) => sender
                    .write(now, ntp, &extensions, &parameters, sequence, &packet, out)
                    .then_some(true),
                What::Again(number) => {
                    sender.write_again(now, ntp, &extensions, sequence, number, out)
                }
            };
            let keeps = sender.history_bytes();
            if written.is_some() {
                sender.send_delay += now.saturating_duration_since(queued.at);
            }
            self.history = (self.history + keeps).saturating_sub(kept);
            if let Some(numbered) = written {
                if numbered {
                    self.on_written(now);
                }
                return true;
            }
            out.truncate(start);
        }
        false
    }

    /// Whether RTP waits to be sent.
    pub(crate) fn has_queued(&self, now: Instant) -> bool {
        !self.queue.is_empty() || self.dtmf_timeout().is_some_and(|due| due <= now)
    }

    /// Takes a decrypted RTP packet; what the application gets is pushed to `events`.
    pub(crate) fn handle_rtp(
        &mut self,
        now: Instant,
        ecn: Ecn,
        datagram: BytesMut,
        events: &mut Events,
    ) {
        let mut touched = [None; 2];
        self.take_rtp(now, ecn, datagram, events, &mut touched);
        for place in touched.into_iter().flatten() {
            self.rearm(place);
        }
    }

    /// `touched`: the stream that the packet came in, and the one that it is for.
    fn take_rtp(
        &mut self,
        now: Instant,
        ecn: Ecn,
        mut datagram: BytesMut,
        events: &mut Events,
        touched: &mut [Option<usize>; 2],
    ) {
        let Ok(view) = Packet::parse(&datagram) else {
            self.counters.malformed += 1;
            return;
        };
        let known = self.router.by_ssrc(view.ssrc().0);
        if let Some(at) = known {
            self.follow(now, at, &view);
        }
        let Some(mut at) = known.or_else(|| self.admit(now, &view)) else {
            self.counters.unrouted += 1;
            return;
        };
        touched[0] = Some(at);
        let Some(receiver) = self.receivers.get_mut(at) else {
            return;
        };
        let transceiver = receiver.transceiver;
        let Ok(index) = self.tracks.binary_search_by_key(&transceiver, |t| t.id) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        if !track.parameters.direction.receives() {
            self.counters.unwanted += 1;
            return;
        }
        let mut number = receiver.on_packet(
            now,
            ecn,
            &view,
            datagram.len(),
            &track.parameters,
            self.round_trip,
        );
        if let Some(sequence) = track
            .extensions
            .id(ExtensionKind::TransportSequence)
            .and_then(|id| view.extension(id))
            .and_then(|v| Some(SequenceNumber(u16::from_be_bytes(v.try_into().ok()?))))
        {
            self.feedback.on_packet(now, sequence);
        }
        if self.reports_due.is_none() {
            self.reports_due = Some(now + reports::first_interval());
        }
        if view.payload().is_empty() {
            // Padding only: a probe for bandwidth, for which frames must not wait.
            let frames = track.reception.delivery == Delivery::Frames;
            if let Some(number) = number.filter(|_| frames && receiver.repairs.is_none()) {
                receiver.skip(now, number, datagram.freeze(), events);
            }
            return;
        }
        let mut recovered = false;
        if receiver.repairs.is_none() {
            if number.is_some_and(|number| receiver.came_before(number)) {
                return;
            }
        } else {
            // RFC 4588: what is inside belongs to the stream that it repairs.
            let rtx = self.receivers.get(at);
            let Some(primary) = rtx.and_then(|rtx| self.router.repaired(rtx, &self.receivers))
            else {
                return;
            };
            let apt = track
                .parameters
                .receive_codecs
                .iter()
                .find(|c| c.payload_type == view.payload_type().get());
            let Some(apt) = apt
                .and_then(|c| c.apt())
                .and_then(tincan_rtp::PayloadType::new)
            else {
                return;
            };
            let Some(ssrc) = self.receivers.get(primary).map(|r| r.ssrc) else {
                return;
            };
            let Ok(offset) =
                tincan_rtp::rtx::unwrap_in_place(&mut datagram, tincan_rtp::Ssrc(ssrc), apt)
            else {
                self.counters.malformed += 1;
                return;
            };
            let _ = datagram.split_to(offset);
            at = primary;
            touched[1] = Some(at);
            recovered = true;
        }
        let Ok(view) = Packet::parse(&datagram) else {
            return;
        };
        if let Some(receiver) = self.receivers.get_mut(at) {
            if recovered {
                number = receiver.on_recovered(now, view.sequence_number());
                if number.is_none() {
                    return;
                }
            }
            receiver.note(now, number, &view, &track.extensions);
        }
        charge(
            &mut self.receivers,
            &mut self.incoming,
            self.max_incoming,
            at,
        );
        // Beyond the limit the application does not keep up: media is what can be lost.
        if events.drops_media(datagram.len()) {
            self.counters.overflow += 1;
            return;
        }
        let encoding = self.receivers.get(at).map_or(0, |r| r.encoding);
        if !core::mem::replace(&mut track.unmuted, true) {
            events.push_back(Event::TrackUnmuted { transceiver });
        }
        let payload_type = view.payload_type().get();
        let datagram = datagram.freeze();
        if track.reception.delivery == Delivery::Frames {
            let target = track.reception.jitter_buffer_target;
            match (self.receivers.get_mut(at), number) {
                (Some(receiver), Some(number)) => {
                    let packet = datagram.clone();
                    receiver.assemble(now, number, packet, &track.parameters, target, events);
                }
                (Some(receiver), None) => receiver.suspect(datagram.clone()),
                (None, _) => {}
            }
            charge(
                &mut self.receivers,
                &mut self.incoming,
                self.max_incoming,
                at,
            );
            // What is no part of a frame, as telephone events, comes as packets even so.
            let apart = |c: &Codec| !c.is_media() && !c.is("red") && !c.is("ulpfec");
            let helper = track
                .parameters
                .receive_codecs
                .iter()
                .any(|c| c.payload_type == payload_type && apart(c));
            if !helper {
                return;
            }
        }
        let packet = into_packet(datagram, &track.extensions, encoding);
        if let Some(packet) = packet {
            events.push_back(Event::Rtp {
                transceiver,
                packet,
            });
        }
    }

    /// Asks for a key frame of what this transceiver receives.
    pub(crate) fn request_key_frame(&mut self, id: TransceiverId) {
        for place in 0..self.receivers.len() {
            let receiver = self.receivers.get_mut(place);
            if let Some(receiver) = receiver.filter(|r| r.transceiver == id && r.repairs.is_none())
            {
                receiver.request_key_frame();
                self.rearm(place);
            }
        }
    }

    /// Says goodbye for all that was sent.
    pub(crate) fn close(&mut self) {
        self.queue.clear();
        self.queued = 0;
        let ssrcs = self
            .tracks
            .iter()
            .flat_map(|t| &t.senders)
            .filter(|s| s.packets > 0)
            .map(|s| s.ssrc);
        self.farewell.extend(ssrcs);
        self.tracks.clear();
        self.retired.clear();
        self.receivers.clear();
        self.agenda.clear();
        self.vacant.clear();
        self.reports_due = None;
    }
}

/// Charges a receiver for what it holds now; beyond the bound it gives that up.
fn charge(receivers: &mut [ReceiveStream], incoming: &mut usize, max: usize, at: usize) {
    let Some(receiver) = receivers.get_mut(at) else {
        return;
    };
    let others = incoming.saturating_sub(receiver.charged);
    if others + receiver.memory_usage() > max {
        receiver.shed();
    }
    receiver.charged = receiver.memory_usage();
    *incoming = others + receiver.charged;
}

/// Slices a datagram into the packet that the application gets.
fn into_packet(bytes: Bytes, extensions: &Arc<ExtensionMap>, encoding: u8) -> Option<RtpPacket> {
    let view = Packet::parse(&bytes).ok()?;
    let header = view.header_len();
    let payload = header..header + view.payload().len();
    let mut head = Head::default();
    let csrcs = tincan_rtp::FIXED_HEADER..tincan_rtp::FIXED_HEADER + view.csrcs().len() * 4;
    if !csrcs.is_empty() {
        head.csrcs = bytes.slice(csrcs);
    }
    if let Some((profile, elements)) = view.raw_extension() {
        head.profile = profile;
        head.elements = bytes.slice_ref(elements);
        head.map = Some(extensions.clone());
    }
    Some(RtpPacket {
        payload_type: view.payload_type().get(),
        marker: view.marker(),
        sequence_number: view.sequence_number().0,
        timestamp: view.timestamp(),
        ssrc: view.ssrc().0,
        encoding,
        payload: bytes.slice(payload),
        head,
    })
}
