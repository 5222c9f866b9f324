//! Which stream a packet belongs to (RFC 9143 §9.2): by SSRC once known, else by the mid and rid extensions, else by a
//! payload type that only one section has. And where streams of new SSRCs have their place.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Instant;

use tincan_rtp::Packet;
use tincan_rtp::extension::ExtensionKind;

use super::receiver::Repairs;
use super::{Media, ReceiveStream, Track};
use crate::limits::{MAX_REMOTE_SSRCS, RTCP_INTERVAL};
use crate::types::TransceiverId;
use crate::work;

/// Tables made from what was agreed, and SSRCs as they are learned.
#[derive(Debug, Default)]
pub(crate) struct Router {
    /// SSRC → index into the receivers.
    ssrcs: HashMap<u32, usize>,
    /// Announced SSRCs whose packets have not come.
    announced: HashMap<u32, (TransceiverId, Option<Repairs>)>,
    /// Payload type → the only transceiver that has it.
    payload_types: HashMap<u8, Option<TransceiverId>>,
    mid_id: Option<u8>,
    rid_id: Option<u8>,
    repaired_id: Option<u8>,
}

impl Router {
    /// Makes the tables anew and forgets streams of transceivers that are gone, and those that were announced elsewhere
    /// since the last time: what packets said meanwhile holds against an announcement that is older.
    pub(crate) fn rebuild(&mut self, tracks: &[Track], receivers: &mut Vec<ReceiveStream>) {
        let before = core::mem::take(&mut self.announced);
        self.payload_types.clear();
        (self.mid_id, self.rid_id, self.repaired_id) = (None, None, None);
        for track in tracks {
            // One id, one meaning in a bundle: whichever section says it.
            self.mid_id = self.mid_id.or(track.extensions.id(ExtensionKind::Mid));
            self.rid_id = self
                .rid_id
                .or(track.extensions.id(ExtensionKind::RtpStreamId));
            self.repaired_id = self
                .repaired_id
                .or(track.extensions.id(ExtensionKind::RepairedRtpStreamId));
            // The far side makes both lists as long as it likes.
            let mut repairs = HashMap::new();
            for group in &track.parameters.remote_groups {
                work::steps(1);
                if let [primary, rtx] = group.ssrcs[..]
                    && group.semantics == "FID"
                {
                    repairs.entry(rtx).or_insert(Repairs::Ssrc(primary));
                }
            }
            for ssrc in &track.parameters.remote_ssrcs {
                work::steps(1);
                let repairs = repairs.get(ssrc).copied();
                self.announced.insert(*ssrc, (track.id, repairs));
            }
            for codec in &track.parameters.receive_codecs {
                self.payload_types
                    .entry(codec.payload_type)
                    .and_modify(|t| *t = None)
                    .or_insert(Some(track.id));
            }
        }
        receivers.retain(|r| {
            let announced = |all: &HashMap<_, (TransceiverId, _)>| all.get(&r.ssrc).map(|a| a.0);
            let now = announced(&self.announced);
            let moved = now != announced(&before) && now.is_some_and(|id| id != r.transceiver);
            tracks.iter().any(|t| t.id == r.transceiver) && !moved
        });
        let places = receivers.iter().enumerate();
        self.ssrcs = places.map(|(at, r)| (r.ssrc, at)).collect();
    }

    /// The stream of this SSRC has this place now, in which that of `before` was.
    pub(super) fn learn(&mut self, ssrc: u32, at: usize, before: Option<u32>) {
        if let Some(before) = before {
            self.ssrcs.remove(&before);
        }
        self.ssrcs.insert(ssrc, at);
    }

    /// A stream for the SSRC of a packet, if it can be told what it is of.
    #[cold]
    pub(super) fn place(
        &self,
        now: Instant,
        packet: &Packet<'_>,
        tracks: &[Track],
    ) -> Option<ReceiveStream> {
        let ssrc = packet.ssrc().0;
        let payload_type = packet.payload_type().get();
        let text = |id: Option<u8>| {
            id.and_then(|id| packet.extension(id))
                .and_then(|v| core::str::from_utf8(v).ok())
        };
        let by_mid = text(self.mid_id).map(|mid| tracks.iter().find(|t| t.parameters.mid == mid));
        let announced = self.announced.get(&ssrc);
        let track = match by_mid {
            // RFC 9143 §9.2: a mid that names no section drops the packet.
            Some(found) => found?,
            None => {
                let id = match announced {
                    Some((id, _)) => *id,
                    None => (*self.payload_types.get(&payload_type)?)?,
                };
                tracks.iter().find(|t| t.id == id)?
            }
        };
        let codec = track
            .parameters
            .receive_codecs
            .iter()
            .find(|c| c.payload_type == payload_type)?;
        let mut stream = ReceiveStream::new(now, ssrc, track.id, codec.clock_rate);
        let rids = &track.parameters.remote_rids;
        let mut rid = text(self.rid_id);
        if codec.is_rtx() {
            stream.repairs = Some(match announced {
                Some((_, Some(repairs))) => *repairs,
                _ => Repairs::Encoding,
            });
            // A rid on a retransmission is its own, unless it is one of those agreed: some senders copy the original's.
            let copied = rid.filter(|rid| rids.iter().any(|r| r == rid));
            rid = text(self.repaired_id).or(copied);
        }
        if let Some(rid) = rid.filter(|_| !rids.is_empty()) {
            // RFC 8853: a rid that was not agreed is not ours to take.
            stream.encoding = rids.iter().position(|r| r == rid)? as u8;
        }
        Some(stream)
    }

    /// The place of the stream that a retransmission stream repairs.
    pub(crate) fn repaired(
        &self,
        rtx: &ReceiveStream,
        receivers: &[ReceiveStream],
    ) -> Option<usize> {
        match rtx.repairs? {
            Repairs::Ssrc(ssrc) => self.ssrcs.get(&ssrc).copied(),
            // Where a sender began anew with another SSRC, the one that is heard is meant.
            Repairs::Encoding => {
                work::steps(receivers.len());
                receivers
                    .iter()
                    .enumerate()
                    .filter(|(_, r)| {
                        r.transceiver == rtx.transceiver
                            && r.encoding == rtx.encoding
                            && r.repairs.is_none()
                    })
                    .max_by_key(|(_, r)| r.last_packet)
                    .map(|(at, _)| at)
            }
        }
    }

    /// All retransmission streams, each with the place of the stream that it repairs as [`repaired`](Self::repaired) finds
    /// it, in two passes.
    pub(crate) fn repairs<'a>(
        &'a self,
        receivers: &'a [ReceiveStream],
    ) -> impl Iterator<Item = (usize, &'a ReceiveStream)> {
        let mut heard: HashMap<_, usize> = HashMap::new();
        for (at, r) in receivers.iter().enumerate() {
            work::steps(1);
            if r.repairs.is_none() {
                let latest = heard.entry((r.transceiver, r.encoding)).or_insert(at);
                let known = receivers.get(*latest).and_then(|k| k.last_packet);
                if r.last_packet >= known {
                    *latest = at;
                }
            }
        }
        receivers.iter().filter_map(move |r| {
            work::steps(1);
            let at = match r.repairs? {
                Repairs::Ssrc(ssrc) => self.ssrcs.get(&ssrc),
                Repairs::Encoding => heard.get(&(r.transceiver, r.encoding)),
            };
            Some((*at?, r))
        })
    }

    /// How many SSRCs have streams.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.ssrcs.len()
    }

    /// The stream of an SSRC.
    pub(crate) fn by_ssrc(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.get(&ssrc).copied()
    }
}

impl Media {
    /// Makes a stream for the SSRC of a packet, if it can be told what it is of: in a place of its own, or, where there
    /// are as many as may be, in that of one that is over.
    #[cold]
    pub(super) fn admit(&mut self, now: Instant, packet: &Packet<'_>) -> Option<usize> {
        let stream = self.router.place(now, packet, &self.tracks)?;
        let mut at = self.receivers.len();
        if at >= MAX_REMOTE_SSRCS {
            at = self.vacate(now, &stream)?;
        }
        self.settle(at, stream);
        Some(at)
    }

    /// Gives a stream its place, which may have been another's.
    fn settle(&mut self, at: usize, mut stream: ReceiveStream) {
        let ssrc = stream.ssrc;
        stream.number = self.streams;
        self.streams = self.streams.wrapping_add(1);
        let mut before = None;
        match self.receivers.get_mut(at) {
            Some(place) => {
                let gone = core::mem::replace(place, stream);
                self.incoming = self.incoming.saturating_sub(gone.charged);
                self.agenda.set(at, None);
                before = Some(gone.ssrc);
            }
            None => self.receivers.push(stream),
        }
        self.router.learn(ssrc, at, before);
    }

    /// RFC 9143 §9.2: a packet ahead of all before it says of which section its stream is from now on. One whose mid names none
    /// says nothing.
    pub(super) fn follow(&mut self, now: Instant, at: usize, packet: &Packet<'_>) {
        let Some(mid) = self.router.mid_id.and_then(|id| packet.extension(id)) else {
            return;
        };
        let Some(receiver) = self.receivers.get(at) else {
            return;
        };
        let stays = self
            .track(receiver.transceiver)
            .is_none_or(|t| t.parameters.mid.as_bytes() == mid);
        if stays || !receiver.is_ahead(packet.sequence_number()) {
            return;
        }
        if let Some(stream) = self.router.place(now, packet, &self.tracks) {
            self.settle(at, stream);
        }
    }

    /// The place of a stream that is over, but not that of the one that `stream` repairs. Looks at all streams once an
    /// interval at most, however many strangers come.
    fn vacate(&mut self, now: Instant, stream: &ReceiveStream) -> Option<usize> {
        if let Some(at) = self.take_vacant(now, stream) {
            return Some(at);
        }
        let waited = |looked| now.saturating_duration_since(looked) >= RTCP_INTERVAL;
        if !self.looked.is_none_or(waited) {
            return None;
        }
        work::steps(self.receivers.len());
        self.looked = Some(now);
        let places = self.receivers.iter().enumerate();
        let mut over: Vec<_> = places.filter(|(_, r)| r.is_over(now)).collect();
        // The last is taken first: one that said goodbye, then the one that was silent for longest.
        over.sort_by_key(|(_, r)| (r.ended, Reverse(r.heard)));
        self.vacant = over.into_iter().map(|(at, _)| at).collect();
        self.take_vacant(now, stream)
    }

    fn take_vacant(&mut self, now: Instant, stream: &ReceiveStream) -> Option<usize> {
        if self.vacant.is_empty() {
            return None;
        }
        let kept = self.router.repaired(stream, &self.receivers);
        while let Some(at) = self.vacant.pop() {
            // It may have come back, or be another's by now.
            let over = self.receivers.get(at).is_some_and(|r| r.is_over(now));
            if over && kept != Some(at) {
                return Some(at);
            }
        }
        None
    }
}
