//! Verifying and decrypting packets.

use core::fmt;

use crate::config::Config;
use crate::error::{KeyError, Malformed, UnprotectError};
use crate::keys::MasterKey;
use crate::profile::Profile;
use crate::replay::{Verdict, Window};
use crate::session::SessionKeys;
use crate::stats::ReceiverStats;
use crate::stream::Stream;
use crate::suite::ENCRYPTED;
use crate::table::StreamTable;
use crate::wire::{RTCP_INDEX_LEN, RtpHeader, rtcp_ssrc};

/// Verifies and decrypts SRTP and SRTCP packets of any number of streams.
///
/// Packets are decrypted where they lie; what is returned is the length of the plain packet, which
/// begins where the protected one began. A stream begins with its first packet that verifies, and
/// nothing of a packet that does not verify leaves a trace, but in [`stats`](Self::stats).
pub struct Receiver {
    profile: Profile,
    config: Config,
    keys: SessionKeys,
    rtp: StreamTable<Stream>,
    rtcp: StreamTable<Window>,
    stats: ReceiverStats,
}

impl Receiver {
    /// A receiver with default settings.
    ///
    /// # Errors
    /// [`KeyError`] where the key does not fit.
    pub fn new(key: &MasterKey) -> Result<Self, KeyError> {
        Self::with_config(key, Config::default())
    }

    /// A receiver with settings.
    ///
    /// # Errors
    /// [`KeyError`] where the key does not fit.
    pub fn with_config(key: &MasterKey, config: Config) -> Result<Self, KeyError> {
        Ok(Self {
            profile: key.profile(),
            keys: SessionKeys::derive(key).ok_or(KeyError::Profile)?,
            rtp: StreamTable::new(config.max_streams),
            rtcp: StreamTable::new(config.max_streams),
            config,
            stats: ReceiverStats::default(),
        })
    }

    /// The profile in use.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// What came so far.
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Verifies and decrypts an SRTP packet in place and returns the length of the RTP packet,
    /// which `packet` then begins with.
    ///
    /// # Errors
    /// [`UnprotectError`]; the bytes of the packet are then not to be used.
    #[inline]
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let result = self.open_rtp(packet);
        match &result {
            Ok(_) => self.stats.rtp_packets += 1,
            Err(error) => self.stats.count(*error),
        }
        result
    }

    #[inline]
    fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let tag_len = self.profile.rtp_tag_len();
        let len = packet
            .len()
            .checked_sub(tag_len)
            .ok_or(Malformed::TooShort)?;
        let (packet, tag) = packet
            .split_at_mut_checked(len)
            .ok_or(Malformed::TooShort)?;
        let header = RtpHeader::parse(packet)?;
        let place = self.rtp.find(header.ssrc);
        let index = match place.and_then(|place| self.rtp.get(place)) {
            Some(stream) => {
                let index = stream
                    .index(header.sequence)
                    .ok_or(UnprotectError::IndexExhausted)?;
                match stream.check(index) {
                    Verdict::Fresh => index,
                    Verdict::Repeated => return Err(UnprotectError::Replayed),
                    Verdict::TooOld => return Err(UnprotectError::TooOld),
                }
            }
            None => u64::from(header.sequence),
        };
        if !self
            .keys
            .rtp
            .open_rtp(packet, header.len, header.ssrc, index, tag)
        {
            return Err(UnprotectError::Authentication);
        }
        let place = match place {
            Some(place) => place,
            None => self
                .rtp
                .insert(header.ssrc, Stream::starting_at(0), self.config.when_full)
                .ok_or(UnprotectError::TooManyStreams)?,
        };
        self.rtp.touch(place);
        if let Some(stream) = self.rtp.get_mut(place) {
            stream.record(index, self.config.replay_window);
        }
        Ok(len)
    }

    /// Verifies and decrypts an SRTCP packet in place and returns the length of the RTCP packet,
    /// which `packet` then begins with.
    ///
    /// # Errors
    /// [`UnprotectError`]; the bytes of the packet are then not to be used.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let result = self.open_rtcp(packet);
        match &result {
            Ok(_) => self.stats.rtcp_packets += 1,
            Err(error) => self.stats.count(*error),
        }
        result
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let tag_len = self.profile.rtcp_tag_len();
        let len = packet
            .len()
            .checked_sub(tag_len + RTCP_INDEX_LEN)
            .ok_or(Malformed::TooShort)?;
        let (packet, trailer) = packet
            .split_at_mut_checked(len)
            .ok_or(Malformed::TooShort)?;
        let ssrc = rtcp_ssrc(packet)?;
        // RFC 3711 §3.4: index, then tag; RFC 7714 §9.2: tag, then index.
        let (word, tag) = if self.profile.is_aead() {
            trailer
                .split_last_chunk::<RTCP_INDEX_LEN>()
                .map(|(tag, word)| (*word, tag))
        } else {
            trailer
                .split_first_chunk::<RTCP_INDEX_LEN>()
                .map(|(word, tag)| (*word, tag))
        }
        .ok_or(Malformed::TooShort)?;
        let word = u32::from_be_bytes(word);
        if word & ENCRYPTED == 0 && !self.config.unencrypted_rtcp {
            return Err(UnprotectError::NotEncrypted);
        }
        let index = u64::from(word & !ENCRYPTED);
        let place = self.rtcp.find(ssrc);
        if let Some(window) = place.and_then(|place| self.rtcp.get(place)) {
            match window.check(index) {
                Verdict::Fresh => {}
                Verdict::Repeated => return Err(UnprotectError::Replayed),
                Verdict::TooOld => return Err(UnprotectError::TooOld),
            }
        }
        if !self.keys.rtcp.open_rtcp(packet, ssrc, word, tag) {
            return Err(UnprotectError::Authentication);
        }
        let place = match place {
            Some(place) => place,
            None => self
                .rtcp
                .insert(
                    ssrc,
                    Window::empty(self.config.replay_window, index),
                    self.config.when_full,
                )
                .ok_or(UnprotectError::TooManyStreams)?,
        };
        self.rtcp.touch(place);
        if let Some(window) = self.rtcp.get_mut(place) {
            window.record(index);
        }
        Ok(len)
    }

    /// Says which roll-over counter a stream has before its first packet comes, or sets that of a
    /// stream that is there; what the replay window knew is forgotten.
    ///
    /// # Errors
    /// [`UnprotectError::TooManyStreams`] where the table is full and may not give up a stream.
    pub fn set_rollover(&mut self, ssrc: u32, rollover: u32) -> Result<(), UnprotectError> {
        self.rtp.remove(ssrc);
        self.rtp
            .insert(ssrc, Stream::starting_at(rollover), self.config.when_full)
            .map(|_| ())
            .ok_or(UnprotectError::TooManyStreams)
    }

    /// The stream's roll-over counter, if there is such a stream.
    pub fn rollover(&mut self, ssrc: u32) -> Option<u32> {
        let place = self.rtp.find(ssrc)?;
        self.rtp.get(place).map(Stream::rollover)
    }

    /// The streams that have sent RTP, in no order.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.rtp.ssrcs()
    }

    /// Forgets a stream, RTP and RTCP; `false` if there is none. Packets of it that were recorded
    /// before could then be replayed.
    pub fn remove_stream(&mut self, ssrc: u32) -> bool {
        let rtp = self.rtp.remove(ssrc).is_some();
        let rtcp = self.rtcp.remove(ssrc).is_some();
        rtp || rtcp
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("profile", &self.profile)
            .field("streams", &self.rtp.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
