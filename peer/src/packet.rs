//! RTP packets as the application gets and gives them.

use std::sync::Arc;

use bytes::Bytes;
use tincan_rtp::extension::{Elements, ExtensionKind, ExtensionMap};

/// One RTP packet, owned, cheap to clone: payload and header parts are shared slices of the datagram.
///
/// Whoever sends chooses payload type, sequence number, timestamp and marker; the connection puts its own SSRC and the
/// negotiated extensions. Forwarding a received packet to another connection is `send_rtp(now, id, packet.clone())`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence_number: u16,
    /// Timestamp in the payload format's clock.
    pub timestamp: u32,
    /// SSRC of the received stream; for sending it is replaced.
    pub ssrc: u32,
    /// Which simulcast encoding: of the receiver by the far side's order of rids, of the sender by the order of its send
    /// encodings. 0 without simulcast.
    pub encoding: u8,
    /// Payload without padding.
    pub payload: Bytes,
    /// CSRCs and header extensions as received; empty for packets made here.
    pub(crate) head: Head,
}

/// CSRC list and header extension of a received packet, and what its extension ids mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Contributing sources, four bytes each.
    pub(crate) csrcs: Bytes,
    /// The extension header's profile.
    pub(crate) profile: u16,
    /// The extension elements.
    pub(crate) elements: Bytes,
    /// What the ids mean.
    pub(crate) map: Option<Arc<ExtensionMap>>,
}

impl RtpPacket {
    /// A packet to be sent.
    pub fn new(
        payload_type: u8,
        sequence_number: u16,
        timestamp: u32,
        marker: bool,
        payload: impl Into<Bytes>,
    ) -> Self {
        RtpPacket {
            payload_type,
            marker,
            sequence_number,
            timestamp,
            ssrc: 0,
            encoding: 0,
            payload: payload.into(),
            head: Head::default(),
        }
    }

    /// The contributing sources.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.head
            .csrcs
            .chunks_exact(4)
            .filter_map(|c| Some(u32::from_be_bytes(c.try_into().ok()?)))
    }

    /// Sets the contributing sources of a packet to be sent, as a mixer does; fifteen at most, further ones are left out.
    #[must_use]
    pub fn with_csrcs(mut self, csrcs: &[u32]) -> Self {
        let octets = csrcs.iter().take(15).flat_map(|csrc| csrc.to_be_bytes());
        self.head.csrcs = octets.collect();
        self
    }

    /// The value of a header extension.
    pub fn extension(&self, kind: ExtensionKind) -> Option<&[u8]> {
        let id = self.head.map.as_ref()?.id(kind)?;
        self.elements().find(|e| e.id == id).map(|e| e.value)
    }

    /// Sets header extensions of a packet to be sent, by kind; those that were not negotiated are left out, and so are
    /// those that the connection writes itself (mid, rid, send time, transport-wide sequence number). Values are 1 to 16
    /// bytes; others are left out. Replaces what was there.
    #[must_use]
    pub fn with_extensions(mut self, values: &[(ExtensionKind, &[u8])]) -> Self {
        let mut map = ExtensionMap::new();
        let mut elements = Vec::new();
        for (at, (kind, value)) in values.iter().enumerate().take(14) {
            let id = at as u8 + 1;
            if (1..=16).contains(&value.len()) && map.insert_kind(id, *kind).is_ok() {
                elements.push((id << 4) | (value.len() as u8 - 1));
                elements.extend_from_slice(value);
            }
        }
        self.head.profile = tincan_rtp::extension::ONE_BYTE_PROFILE;
        self.head.elements = elements.into();
        self.head.map = Some(Arc::new(map));
        self
    }

    pub(crate) fn elements(&self) -> Elements<'_> {
        Elements::new(self.head.profile, &self.head.elements)
    }
}
