//! Protecting packets.

use core::fmt;

use crate::config::Config;
use crate::error::{KeyError, Malformed, ProtectError};
use crate::index::Index;
use crate::keys::MasterKey;
use crate::profile::Profile;
use crate::replay::Verdict;
use crate::session::SessionKeys;
use crate::stats::SenderStats;
use crate::stream::Stream;
use crate::suite::{ENCRYPTED, Tag};
use crate::table::{Place, StreamTable, WhenFull};
use crate::wire::{RTCP_INDEX_LEN, RtpHeader, rtcp_ssrc};

/// Protects RTP and RTCP packets of any number of streams with one master key.
///
/// Packets are encrypted where they lie and grow at their end: by [`rtp_overhead`] or
/// [`rtcp_overhead`] bytes. A stream begins with its first packet.
///
/// [`rtp_overhead`]: Self::rtp_overhead
/// [`rtcp_overhead`]: Self::rtcp_overhead
pub struct Sender {
    profile: Profile,
    config: Config,
    keys: SessionKeys,
    rtp_left: u64,
    rtcp_left: u64,
    rtp: StreamTable<Stream>,
    /// The next SRTCP index of each stream.
    rtcp: StreamTable<u32>,
    stats: SenderStats,
}

impl Sender {
    /// A sender with default settings.
    ///
    /// # Errors
    /// [`KeyError`] where the key does not fit.
    pub fn new(key: &MasterKey) -> Result<Self, KeyError> {
        Self::with_config(key, Config::default())
    }

    /// A sender with settings.
    ///
    /// # Errors
    /// [`KeyError`] where the key does not fit.
    pub fn with_config(key: &MasterKey, config: Config) -> Result<Self, KeyError> {
        Ok(Self {
            profile: key.profile(),
            keys: SessionKeys::derive(key).ok_or(KeyError::Profile)?,
            rtp_left: config.max_rtp_packets,
            rtcp_left: config.max_rtcp_packets,
            rtp: StreamTable::new(config.max_streams),
            rtcp: StreamTable::new(config.max_streams),
            config,
            stats: SenderStats::default(),
        })
    }

    /// The profile in use.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes that protection adds to an RTP packet.
    pub fn rtp_overhead(&self) -> usize {
        self.profile.rtp_tag_len()
    }

    /// Bytes that protection adds to an RTCP packet.
    pub fn rtcp_overhead(&self) -> usize {
        self.profile.rtcp_tag_len() + RTCP_INDEX_LEN
    }

    /// What was done so far.
    pub fn stats(&self) -> SenderStats {
        self.stats
    }

    /// SRTP and SRTCP packets that may still be protected before the key is used up.
    pub fn packets_left(&self) -> (u64, u64) {
        (self.rtp_left, self.rtcp_left)
    }

    /// Protects the RTP packet `out[start..]`, which grows by [`rtp_overhead`](Self::rtp_overhead)
    /// bytes.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then as it was.
    pub fn protect_rtp(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), ProtectError> {
        let end = out.len();
        let len = end.checked_sub(start).ok_or(ProtectError::NoRoom)?;
        out.resize(end + self.rtp_overhead(), 0);
        let result = match out.get_mut(start..) {
            Some(packet) => self.protect_rtp_in(packet, len),
            None => Err(ProtectError::NoRoom),
        };
        if result.is_err() {
            out.truncate(end);
        }
        result.map(|_| ())
    }

    /// Protects the RTP packet `buffer[..len]` and returns its new length. The buffer must have
    /// [`rtp_overhead`](Self::rtp_overhead) bytes of room behind the packet.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then as it was.
    pub fn protect_rtp_in(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, ProtectError> {
        let tag_len = self.profile.rtp_tag_len();
        let total = len.saturating_add(tag_len);
        let (packet, room) = buffer
            .get_mut(..total)
            .and_then(|buffer| buffer.split_at_mut_checked(len))
            .ok_or(ProtectError::NoRoom)?;
        let header = RtpHeader::parse(packet)?;
        let (place, index) = self.next_rtp(header.ssrc, header.sequence)?;
        let tag = self
            .keys
            .rtp
            .seal_rtp(packet, header.len, header.ssrc, index)
            .ok_or(Malformed::TooLong)?;
        put(room, &tag);
        self.sent_rtp(place, index);
        Ok(total)
    }

    /// Stream and index of a packet that may be protected. Creates the stream if it is new.
    #[inline]
    fn next_rtp(&mut self, ssrc: u32, sequence: u16) -> Result<(Place, Index), ProtectError> {
        if self.rtp_left == 0 {
            return Err(ProtectError::KeyExpired);
        }
        let place = match self.rtp.find(ssrc) {
            Some(place) => place,
            None => self
                .rtp
                .insert(ssrc, Stream::starting_at(0), WhenFull::Refuse)
                .ok_or(ProtectError::TooManyStreams)?,
        };
        let stream = self.rtp.get(place).ok_or(ProtectError::TooManyStreams)?;
        let index = stream.index(sequence).ok_or(ProtectError::IndexExhausted)?;
        if stream.check(index) != Verdict::Fresh && !self.config.repeats {
            return Err(ProtectError::IndexReused);
        }
        Ok((place, index))
    }

    #[inline]
    fn sent_rtp(&mut self, place: Place, index: Index) {
        self.rtp_left -= 1;
        self.stats.rtp_packets += 1;
        let size = self.config.replay_window;
        if let Some(stream) = self.rtp.get_mut(place)
            && stream.check(index) == Verdict::Fresh
        {
            stream.record(index, size);
        }
    }

    /// Protects the RTCP packet `out[start..]`, compound or reduced-size (RFC 5506), which grows by
    /// [`rtcp_overhead`](Self::rtcp_overhead) bytes.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then as it was.
    pub fn protect_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), ProtectError> {
        let end = out.len();
        let len = end.checked_sub(start).ok_or(ProtectError::NoRoom)?;
        out.resize(end + self.rtcp_overhead(), 0);
        let result = match out.get_mut(start..) {
            Some(packet) => self.protect_rtcp_in(packet, len),
            None => Err(ProtectError::NoRoom),
        };
        if result.is_err() {
            out.truncate(end);
        }
        result.map(|_| ())
    }

    /// Protects the RTCP packet `buffer[..len]` and returns its new length. The buffer must have
    /// [`rtcp_overhead`](Self::rtcp_overhead) bytes of room behind the packet.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then as it was.
    pub fn protect_rtcp_in(
        &mut self,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, ProtectError> {
        let tag_len = self.profile.rtcp_tag_len();
        let total = len.saturating_add(tag_len + RTCP_INDEX_LEN);
        let (packet, room) = buffer
            .get_mut(..total)
            .and_then(|buffer| buffer.split_at_mut_checked(len))
            .ok_or(ProtectError::NoRoom)?;
        let ssrc = rtcp_ssrc(packet)?;
        if self.rtcp_left == 0 {
            return Err(ProtectError::KeyExpired);
        }
        let place = match self.rtcp.find(ssrc) {
            Some(place) => place,
            None => self
                .rtcp
                .insert(ssrc, 0, WhenFull::Refuse)
                .ok_or(ProtectError::TooManyStreams)?,
        };
        let next = self
            .rtcp
            .get_mut(place)
            .ok_or(ProtectError::TooManyStreams)?;
        let index = *next;
        if index & ENCRYPTED != 0 {
            return Err(ProtectError::IndexExhausted);
        }
        let word = if self.config.unencrypted_rtcp {
            index
        } else {
            index | ENCRYPTED
        };
        let tag = self
            .keys
            .rtcp
            .seal_rtcp(packet, ssrc, word)
            .ok_or(Malformed::TooLong)?;
        *next = index + 1;
        // RFC 3711 §3.4: index, then tag; RFC 7714 §9.2: tag, then index.
        let word = word.to_be_bytes();
        if self.profile.is_aead() {
            let (tag_room, word_room) = room.split_at_mut(tag_len.min(room.len()));
            put(tag_room, &tag);
            word_room.copy_from_slice(&word);
        } else {
            let (word_room, tag_room) = room.split_at_mut(RTCP_INDEX_LEN.min(room.len()));
            word_room.copy_from_slice(&word);
            put(tag_room, &tag);
        }
        self.rtcp_left -= 1;
        self.stats.rtcp_packets += 1;
        Ok(total)
    }

    /// Starts a stream with this roll-over counter, or sets that of a stream that is there: its
    /// next packet is the first one again.
    ///
    /// A stream that goes back reuses key stream; this is for one that continues what another
    /// context sent.
    ///
    /// # Errors
    /// [`ProtectError::TooManyStreams`].
    pub fn set_rollover(&mut self, ssrc: u32, rollover: u32) -> Result<(), ProtectError> {
        self.rtp.remove(ssrc);
        self.rtp
            .insert(ssrc, Stream::starting_at(rollover), WhenFull::Refuse)
            .map(|_| ())
            .ok_or(ProtectError::TooManyStreams)
    }

    /// The stream's roll-over counter, if there is such a stream.
    pub fn rollover(&mut self, ssrc: u32) -> Option<u32> {
        let place = self.rtp.find(ssrc)?;
        self.rtp.get(place).map(Stream::rollover)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("profile", &self.profile)
            .field("streams", &self.rtp.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// As much of the tag as there is room for.
#[inline]
fn put(room: &mut [u8], tag: &Tag) {
    for (room, byte) in room.iter_mut().zip(tag) {
        *room = *byte;
    }
}
