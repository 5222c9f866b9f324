//! The negotiated half of an `RTCRtpTransceiver`: association with a section, directions, what was agreed.

use std::sync::Arc;

use rand::{Rng, RngExt};

use crate::codec::Codec;
use crate::parameters::Encoding;
use crate::types::{Direction, Kind, TransceiverId};

use super::model::{ExtensionMapping, Msid, SsrcGroup};

/// A transceiver as negotiation sees it (W3C §5.4 slots, RFC 9429 §3.4.1).
#[derive(Debug, Clone)]
pub struct Transceiver {
    pub(super) id: TransceiverId,
    pub(super) kind: Kind,
    /// Its media section, once a description with it was applied (`[[JsepMid]]`).
    pub(super) association: Option<Association>,
    pub(super) direction: Direction,
    pub(super) current_direction: Option<Direction>,
    /// `[[FiredDirection]]`: what the application was told by track events.
    pub(super) fired_direction: Option<Direction>,
    pub(super) stop: Stop,
    /// A track was attached by `add_track`: survives rollback and takes remote sections (RFC 9429 §5.7, §5.10).
    pub(super) from_add_track: bool,
    /// The track was taken away: the sender does not send, whatever is negotiated (W3C §5.2, `track`).
    pub(super) silent: bool,
    /// It was negotiated to send at some time.
    pub(super) has_sent: bool,
    /// A remote offer made it, at any time.
    pub(super) from_remote: bool,
    /// Made by the remote offer that is pending: goes with its rollback.
    pub(super) from_pending_offer: bool,
    /// `[[AssociatedMediaStreamIds]]` of the sender.
    pub(super) streams: Vec<String>,
    /// Id of the sender's track, for the application.
    pub(super) track: Option<String>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) codec_preferences: Vec<Codec>,
    /// SSRC and RTX SSRC of each encoding.
    pub(super) ssrcs: Vec<StreamSsrcs>,
    /// The remote msids as last applied.
    pub(super) remote_msids: Vec<Msid>,
    pub(super) negotiated: Option<Arc<MediaParameters>>,
    /// What a rollback brings back.
    pub(super) stable: Option<Box<StableState>>,
}

/// Where a transceiver stands in descriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// The mid.
    pub mid: String,
    /// Index of the section.
    pub index: usize,
}

/// The way to being stopped (W3C §5.4, `[[Stopping]]` and `[[Stopped]]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Alive.
    Running,
    /// `stop()` was called; the section is to be refused in the next exchange.
    Stopping,
    /// For good.
    Stopped,
}

/// The SSRCs of one sent encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSsrcs {
    /// Of media.
    pub media: u32,
    /// Of its retransmissions.
    pub rtx: u32,
}

/// State at the last stable state that a rollback restores.
#[derive(Debug, Clone)]
pub(super) struct StableState {
    pub(super) association: Option<Association>,
    pub(super) negotiated: Option<Arc<MediaParameters>>,
    pub(super) remote_msids: Vec<Msid>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) current_direction: Option<Direction>,
    /// Of one whose section was recycled: what it was before.
    pub(super) recycled: Option<Stop>,
}

/// What both sides have agreed for one RTP section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaParameters {
    /// The mid.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// What we may send: the far side's payload types and order.
    pub send_codecs: Vec<Codec>,
    /// What may arrive: the payload types that we said.
    pub receive_codecs: Vec<Codec>,
    /// Header extensions, the same ids both ways.
    pub extensions: Vec<ExtensionMapping>,
    /// SSRCs that the far side announced.
    pub remote_ssrcs: Vec<u32>,
    /// Their groups.
    pub remote_groups: Vec<SsrcGroup>,
    /// The rids that the far side sends, in its order.
    pub remote_rids: Vec<String>,
    /// The rids that we may send.
    pub send_rids: Vec<String>,
    /// Reduced-size RTCP (RFC 5506).
    pub reduced_size: bool,
    /// The far side's `a=maxptime` in milliseconds.
    pub max_ptime: Option<u32>,
    /// The far side's limit in bit/s.
    pub max_bitrate: Option<u64>,
    /// The negotiated direction.
    pub direction: Direction,
}

impl Transceiver {
    pub(super) fn new(
        id: TransceiverId,
        kind: Kind,
        direction: Direction,
        encodings: Vec<Encoding>,
        rng: &mut impl Rng,
    ) -> Self {
        let ssrcs = encodings.iter().map(|_| StreamSsrcs::random(rng)).collect();
        Transceiver {
            id,
            kind,
            association: None,
            direction,
            current_direction: None,
            fired_direction: None,
            stop: Stop::Running,
            from_add_track: false,
            silent: false,
            has_sent: false,
            from_remote: false,
            from_pending_offer: false,
            streams: Vec::new(),
            track: None,
            encodings,
            codec_preferences: Vec::new(),
            ssrcs,
            remote_msids: Vec::new(),
            negotiated: None,
            stable: None,
        }
    }

    /// Its id.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// Audio or video.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its mid, once a description with it was applied.
    pub fn mid(&self) -> Option<&str> {
        self.association.as_ref().map(|a| a.mid.as_str())
    }

    /// The wanted direction.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The negotiated direction.
    pub fn current_direction(&self) -> Option<Direction> {
        self.current_direction
    }

    /// Whether `stop` was called or the far side refused the section.
    pub fn is_stopping(&self) -> bool {
        self.stop != Stop::Running
    }

    /// Whether it is stopped for good.
    pub fn is_stopped(&self) -> bool {
        self.stop == Stop::Stopped
    }

    /// What was agreed; `None` before an answer.
    pub fn negotiated(&self) -> Option<&Arc<MediaParameters>> {
        self.negotiated.as_ref()
    }

    /// The send encodings.
    pub fn encodings(&self) -> &[Encoding] {
        &self.encodings
    }

    /// SSRCs of the send encodings, in their order.
    pub fn ssrcs(&self) -> &[StreamSsrcs] {
        &self.ssrcs
    }

    /// Ids of the media streams of the sender.
    pub fn streams(&self) -> &[String] {
        &self.streams
    }

    /// Id of the sender's track.
    pub fn track(&self) -> Option<&str> {
        self.track.as_deref()
    }

    /// The far side's ids of streams and track, as last applied.
    pub fn remote_msids(&self) -> &[Msid] {
        &self.remote_msids
    }

    /// Whether the sender's track was taken away, so that it does not send.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Other encodings, each with SSRCs: those that stay keep theirs.
    pub(super) fn replace_encodings(&mut self, encodings: Vec<Encoding>, rng: &mut impl Rng) {
        self.encodings = encodings;
        self.ssrcs.truncate(self.encodings.len());
        while self.ssrcs.len() < self.encodings.len() {
            self.ssrcs.push(StreamSsrcs::random(rng));
        }
    }

    /// Leaves only the layers that an answer takes, or the first where it takes none (W3C §4.4.1.4).
    pub(super) fn narrow(&mut self, taken: &[String]) {
        let has = |e: &Encoding| e.rid.as_ref().is_some_and(|r| taken.contains(r));
        if !self.encodings.iter().any(has) {
            self.encodings.truncate(1);
            self.ssrcs.truncate(1);
            return;
        }
        let kept: Vec<bool> = self.encodings.iter().map(has).collect();
        let mut of_encodings = kept.iter().copied();
        self.encodings.retain(|_| of_encodings.next() == Some(true));
        let mut of_ssrcs = kept.iter().copied();
        self.ssrcs.retain(|_| of_ssrcs.next() == Some(true));
    }

    pub(super) fn index(&self) -> Option<usize> {
        self.association.as_ref().map(|a| a.index)
    }

    pub(super) fn save_stable(&mut self) {
        self.stable = Some(Box::new(StableState {
            association: self.association.clone(),
            negotiated: self.negotiated.clone(),
            remote_msids: self.remote_msids.clone(),
            encodings: self.encodings.clone(),
            current_direction: self.current_direction,
            recycled: None,
        }));
    }

    /// Its section is somebody else's now.
    pub(super) fn recycle(&mut self) {
        if let Some(stable) = &mut self.stable {
            stable.recycled = Some(self.stop);
        }
        self.association = None;
        self.stop = Stop::Stopped;
    }

    pub(super) fn restore_stable(&mut self) {
        let Some(stable) = self.stable.take() else {
            // Made after the exchange began: it had no section then.
            self.association = None;
            self.negotiated = None;
            self.remote_msids.clear();
            return;
        };
        self.association = stable.association;
        self.negotiated = stable.negotiated;
        self.remote_msids = stable.remote_msids;
        self.current_direction = stable.current_direction;
        self.stop = stable.recycled.unwrap_or(self.stop);
        // Rids that the rolled-back description brought go; the application's own stay, and so do its changes.
        let brought = self.encodings.iter().any(|e| e.rid.is_some());
        if brought && stable.encodings.iter().all(|e| e.rid.is_none()) {
            self.encodings = stable.encodings;
            self.ssrcs.truncate(self.encodings.len());
        }
    }
}

impl StreamSsrcs {
    pub(super) fn random(rng: &mut impl Rng) -> Self {
        StreamSsrcs {
            media: nonzero(rng),
            rtx: nonzero(rng),
        }
    }
}

/// 0 is a legal SSRC, but it is also what half of the world's programs mean by "none".
fn nonzero(rng: &mut impl Rng) -> u32 {
    rng.random_range(1..=u32::MAX)
}
