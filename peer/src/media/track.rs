//! What media knows of one transceiver: its sent streams, and what may be sent on them.

use std::sync::Arc;
use std::time::Duration;

use tincan_rtp::extension::ExtensionMap;

use super::SendStream;
use crate::codec::Codec;
use crate::error::Error;
use crate::frame::Delivery;
use crate::jsep::{MediaParameters, Transceiver};
use crate::types::TransceiverId;

/// What media knows of a transceiver.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TransceiverId,
    pub(crate) parameters: Arc<MediaParameters>,
    pub(crate) extensions: Arc<ExtensionMap>,
    pub(crate) senders: Vec<SendStream>,
    /// There is nothing to send: the sender's track was taken away.
    pub(super) silent: bool,
    pub(super) reception: Reception,
    /// The first packet has been told of.
    pub(super) unmuted: bool,
    /// Made with the first tones.
    pub(super) dtmf: Option<Box<super::dtmf::Tones>>,
}

/// What the application wants of what is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reception {
    pub(crate) delivery: Delivery,
    /// How long packets wait for those before them, where it says.
    pub(crate) jitter_buffer_target: Option<Duration>,
}

impl Track {
    /// Whether a packet may be sent; the place of its codec.
    pub(super) fn can_send(&self, encoding: u8, payload_type: u8) -> Result<usize, Error> {
        let sender = self
            .senders
            .get(usize::from(encoding))
            .filter(|_| self.sends())
            .ok_or(Error::NotSending(self.id))?;
        if !sender.active {
            return Err(Error::EncodingInactive {
                transceiver: self.id,
                encoding,
            });
        }
        let codecs = &self.parameters.send_codecs;
        let at = codecs
            .iter()
            .position(|c| c.payload_type == payload_type && !c.is_rtx())
            .ok_or(Error::PayloadTypeUnknown {
                transceiver: self.id,
                payload_type,
            })?;
        let other = |chosen: &Codec| {
            codecs
                .get(at)
                .is_some_and(|codec| codec.is_media() && !codec.matches(chosen))
        };
        if sender.codec.as_deref().is_some_and(other) {
            return Err(Error::EncodingCodec {
                transceiver: self.id,
                encoding,
            });
        }
        Ok(at)
    }

    /// Whether it sends at all.
    pub(crate) fn sends(&self) -> bool {
        self.parameters.direction.sends() && !self.silent
    }

    /// One sender for each encoding that may be sent, `retired` ones again where there are any; while nothing may, each keeps
    /// its own. Those that are no more are returned.
    pub(super) fn set_senders(
        &mut self,
        t: &Transceiver,
        retired: &mut Vec<SendStream>,
    ) -> Vec<SendStream> {
        let rids = &self.parameters.send_rids;
        let wanted: Vec<_> = t
            .ssrcs()
            .iter()
            .zip(t.encodings())
            .filter(|(_, e)| {
                t.encodings().len() == 1
                    || !self.parameters.direction.sends()
                    || e.rid.as_ref().is_some_and(|r| rids.contains(r))
            })
            .collect();
        let mut before = core::mem::take(&mut self.senders);
        for (ssrcs, encoding) in wanted {
            let take = |from: &mut Vec<SendStream>| {
                let at = from.iter().position(|s| s.ssrc == ssrcs.media)?;
                Some(from.swap_remove(at))
            };
            let mut sender = take(&mut before)
                .or_else(|| take(retired))
                .unwrap_or_else(|| SendStream::new(ssrcs.media, ssrcs.rtx));
            sender.configure(
                &self.parameters,
                encoding.rid.as_deref().filter(|_| !rids.is_empty()),
            );
            sender.active = encoding.active;
            sender.codec = encoding.codec.clone().map(Box::new);
            sender.scalability_mode = encoding.scalability_mode;
            self.senders.push(sender);
        }
        before
    }
}
