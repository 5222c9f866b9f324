//! Which stream a packet belongs to (RFC 9143 §9.2): by SSRC once known, else by the mid and rid extensions, else by a
//! payload type that only one section has.

use std::collections::HashMap;
use std::time::Instant;

use tincan_rtp::Packet;
use tincan_rtp::extension::ExtensionKind;

use super::receiver::Repairs;
use super::{ReceiveStream, Track};
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
    /// Makes the tables anew and forgets streams of transceivers that are gone.
    pub(crate) fn rebuild(&mut self, tracks: &[Track], receivers: &mut Vec<ReceiveStream>) {
        receivers.retain(|r| tracks.iter().any(|t| t.id == r.transceiver));
        self.ssrcs = receivers
            .iter()
            .enumerate()
            .map(|(at, r)| (r.ssrc, at))
            .collect();
        self.announced.clear();
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
        let encoding = |rid: &str| track.parameters.remote_rids.iter().position(|r| r == rid);
        if codec.is_rtx() {
            stream.repairs = Some(match announced {
                Some((_, Some(repairs))) => *repairs,
                _ => Repairs::Encoding,
            });
            if let Some(rid) = text(self.repaired_id) {
                stream.encoding = encoding(rid)? as u8;
            }
        } else if let Some(rid) =
            text(self.rid_id).filter(|_| !track.parameters.remote_rids.is_empty())
        {
            // RFC 8853: a rid that was not agreed is not ours to take.
            stream.encoding = encoding(rid)? as u8;
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
