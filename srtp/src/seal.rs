//! The steps from a plain RTP packet to a protected one, so that several packets can take them
//! together: plan (the only step that changes the context), encrypt, authenticate, finish.

use crate::error::{Malformed, ProtectError};
use crate::extension::Cover;
use crate::hmac_sha1::{HmacSha1, tag_pair};
use crate::index::Index;
use crate::profile::Profile;
use crate::session::{Epoch, EpochSlot, SessionKeys};
use crate::suite::rtp_message;
use crate::tag::Tag;
use crate::wire::RtpHeader;

/// A packet that may be protected, and with what.
pub(crate) struct Plan {
    pub(crate) header: RtpHeader,
    pub(crate) cover: Cover,
    pub(crate) index: Index,
    pub(crate) slot: EpochSlot,
    /// Length of the packet without what comes behind it.
    pub(crate) len: usize,
}

/// A planned packet with all it takes to seal it.
pub(crate) struct Sealing<'a> {
    pub(crate) profile: Profile,
    pub(crate) keys: &'a SessionKeys,
    pub(crate) plan: Plan,
    pub(crate) buffer: &'a mut [u8],
}

impl Sealing<'_> {
    fn epoch(&self) -> &Epoch {
        self.keys.rtp.get(self.plan.slot)
    }

    fn mac(&self) -> Option<&HmacSha1> {
        self.epoch().mac()
    }

    fn packet(&self) -> &[u8] {
        self.buffer.get(..self.plan.len).unwrap_or(&[])
    }

    #[inline(always)]
    fn encrypt(&mut self) -> Result<Tag, ProtectError> {
        let epoch = self.keys.rtp.get(self.plan.slot);
        let Plan {
            header,
            cover,
            index,
            len,
            ..
        } = &self.plan;
        let packet = self.buffer.get_mut(..*len).ok_or(ProtectError::NoRoom)?;
        epoch
            .encrypt_rtp(packet, header, *cover, *index)
            .ok_or(Malformed::TooLong.into())
    }

    /// Writes what comes behind the packet: identifier and tag (RFC 3711 §3.1), or tag and
    /// identifier for AEADs (RFC 7714 §8.3). Returns the length of it all.
    #[inline]
    fn finish(self, tag: &Tag) -> Result<usize, ProtectError> {
        let mki: &[u8] = &self.keys.mki;
        let tag_len = self.profile.rtp_tag_len();
        let end = self.plan.len + tag_len + mki.len();
        let room = self
            .buffer
            .get_mut(self.plan.len..end)
            .ok_or(ProtectError::NoRoom)?;
        let at = if self.profile.is_aead() {
            tag_len
        } else {
            mki.len()
        };
        let (first, second) = room.split_at_mut_checked(at).ok_or(ProtectError::NoRoom)?;
        let (tag_room, mki_room) = if self.profile.is_aead() {
            (first, second)
        } else {
            (second, first)
        };
        tag.write(tag_room);
        if !mki.is_empty() {
            mki_room.copy_from_slice(mki);
        }
        Ok(end)
    }

    /// Seals one packet.
    #[inline(always)]
    pub(crate) fn seal(mut self) -> Result<usize, ProtectError> {
        let mut tag = self.encrypt()?;
        if let Some(mac) = self.mac() {
            tag = mac.tag(rtp_message(self.packet(), self.plan.index));
        }
        self.finish(&tag)
    }

    /// Seals two packets; where tags are computed apart from the cipher, in turns.
    #[inline]
    pub(crate) fn seal_pair(mut self, mut other: Self) -> [Result<usize, ProtectError>; 2] {
        let (Some(_), Some(_)) = (self.mac(), other.mac()) else {
            return [self.seal(), other.seal()];
        };
        let encrypted = [self.encrypt(), other.encrypt()];
        let (Some(mac), Some(other_mac)) = (self.mac(), other.mac()) else {
            return encrypted.map(|tag| tag.map(|_| 0));
        };
        let [tag, other_tag] = tag_pair(
            (mac, rtp_message(self.packet(), self.plan.index)),
            (other_mac, rtp_message(other.packet(), other.plan.index)),
        );
        let [first, second] = encrypted;
        [
            first.and_then(|_| self.finish(&tag)),
            second.and_then(|_| other.finish(&other_tag)),
        ]
    }
}
