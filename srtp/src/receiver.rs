//! Verifying and decrypting packets.

use core::fmt;

use crate::batch::Slot;
use crate::config::Config;
use crate::error::{KeyError, Malformed, UnprotectError};
use crate::extension::{self, Cover, Cryptex};
use crate::hmac_sha1::tag_pair;
use crate::index::Index;
use crate::keys::MasterKey;
use crate::limits::{MAX_MASTER_KEYS, MAX_PACKET_LEN};
use crate::profile::Profile;
use crate::replay::{Verdict, Window};
use crate::session::{EpochSlot, SessionKeys};
use crate::stats::ReceiverStats;
use crate::stream::Stream;
use crate::suite::{ENCRYPTED, rtp_message};
use crate::table::{Place, StreamTable};
use crate::tag::Tag;
use crate::wire::{RTCP_INDEX_LEN, RTP_FIXED_LEN, RtpHeader, rtcp_ssrc};

/// Verifies and decrypts SRTP and SRTCP packets of any number of streams.
///
/// Packets are decrypted where they lie; what is returned is the length of the plain packet, which
/// begins where the protected one began. A stream begins with its first packet that verifies, and
/// nothing of a packet that does not verify leaves a trace, but in [`stats`](Self::stats).
pub struct Receiver {
    profile: Profile,
    config: Config,
    /// The newest first; never empty. Either all have an identifier, of one length, or none.
    keys: Vec<SessionKeys>,
    rtp: StreamTable<Stream>,
    rtcp: StreamTable<Window>,
    stats: ReceiverStats,
    /// A copy of a packet while several keys are tried on it: a failed trial spoils what it
    /// worked on.
    scratch: Vec<u8>,
}

/// A packet that may be genuine: where its parts lie and which index it claims.
struct Claim {
    header: RtpHeader,
    cover: Cover,
    place: Option<Place>,
    index: Index,
    /// Length of the packet without what comes behind it.
    len: usize,
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
            keys: vec![SessionKeys::derive(key, config.derivation)?],
            rtp: StreamTable::new(config.max_streams),
            rtcp: StreamTable::new(config.max_streams),
            config,
            stats: ReceiverStats::default(),
            scratch: Vec::new(),
        })
    }

    /// The other end of
    /// [`Sender::dangerous_without_encryption`](crate::Sender::dangerous_without_encryption):
    /// packets are verified and **were not encrypted**.
    ///
    /// # Errors
    /// [`KeyError::Profile`] for a key of an AEAD profile.
    pub fn dangerous_without_encryption(
        key: &MasterKey,
        mut config: Config,
    ) -> Result<Self, KeyError> {
        config.derivation.without_encryption = true;
        config.unencrypted_rtcp = true;
        Self::with_config(key, config)
    }

    /// The profile in use.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// What came so far.
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Octets of memory in use, about: the tables of streams with their replay windows. Costs nothing to ask.
    pub fn memory_usage(&self) -> usize {
        let window = size_of::<Window>() + self.config.replay_window.div_ceil(8);
        size_of::<Self>()
            + self.scratch.capacity()
            + self.rtp.memory_usage(window)
            + self.rtcp.memory_usage(window)
    }

    /// Takes another master key of the same profile beside those there are, so that packets under
    /// the old one that are still on their way are not lost.
    ///
    /// Keys with identifiers are chosen by what a packet carries. Keys without are tried one after
    /// the other, the newest first: [`retire_old_keys`](Self::retire_old_keys) once the other side
    /// has surely changed.
    ///
    /// # Errors
    /// [`KeyError::Profile`] for another profile, [`KeyError::Mki`] for an identifier that is
    /// there already, that has another length than the others, or that only some keys have,
    /// [`KeyError::TooManyKeys`] beyond [`MAX_MASTER_KEYS`].
    pub fn add_key(&mut self, key: &MasterKey) -> Result<(), KeyError> {
        if key.profile() != self.profile {
            return Err(KeyError::Profile);
        }
        let mki = key.mki();
        for other in &self.keys {
            if other.mki.len() != mki.len() || (!mki.is_empty() && *other.mki == *mki) {
                return Err(KeyError::Mki);
            }
        }
        if self.keys.len() >= MAX_MASTER_KEYS {
            return Err(KeyError::TooManyKeys);
        }
        let keys = SessionKeys::derive(key, self.config.derivation)?;
        self.keys.insert(0, keys);
        Ok(())
    }

    /// Forgets all master keys but the newest.
    pub fn retire_old_keys(&mut self) {
        self.keys.truncate(1);
    }

    fn mki_len(&self) -> usize {
        self.keys.first().map_or(0, |keys| keys.mki.len())
    }

    /// Verifies and decrypts an SRTP packet in place and returns the length of the RTP packet,
    /// which `packet` then begins with.
    ///
    /// # Errors
    /// [`UnprotectError`]; the bytes of the packet are then not to be used.
    #[inline]
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let result = self.open_rtp(packet);
        self.count_rtp(&result);
        result
    }

    #[inline]
    fn count_rtp(&mut self, result: &Result<usize, UnprotectError>) {
        match result {
            Ok(_) => self.stats.rtp_packets += 1,
            Err(error) => self.stats.count(*error),
        }
    }

    /// Verifies and decrypts many SRTP packets, of one or many streams, in their order; each one's
    /// outcome is in its [`Slot`]. Returns how many were genuine. With counter-mode profiles that
    /// takes about a third less time than one call a packet.
    pub fn unprotect_rtp_batch(&mut self, packets: &mut [Slot<'_, UnprotectError>]) -> usize {
        let mut done = 0;
        for pair in packets.chunks_mut(self.profile.batch()) {
            let mut next = pair.iter_mut();
            match (next.next(), next.next()) {
                (Some(a), Some(b)) => {
                    let [first, second] =
                        match (a.buffer.get_mut(..a.len), b.buffer.get_mut(..b.len)) {
                            (Some(a), Some(b)) => self.open_pair(a, b),
                            (a, b) => [self.open_if_some(a), self.open_if_some(b)],
                        };
                    for (slot, result) in [(a, first), (b, second)] {
                        self.count_rtp(&result);
                        done += usize::from(result.is_ok());
                        slot.result = Some(result);
                    }
                }
                (Some(one), None) => {
                    let result = self.open_if_some(one.buffer.get_mut(..one.len));
                    self.count_rtp(&result);
                    done += usize::from(result.is_ok());
                    one.result = Some(result);
                }
                _ => {}
            }
        }
        done
    }

    fn open_if_some(&mut self, packet: Option<&mut [u8]>) -> Result<usize, UnprotectError> {
        match packet {
            Some(packet) => self.open_rtp(packet),
            None => Err(Malformed::TooShort.into()),
        }
    }

    /// Two packets, the second as if it had come after the first was done with.
    fn open_pair(&mut self, a: &mut [u8], b: &mut [u8]) -> [Result<usize, UnprotectError>; 2] {
        // The tags can be computed together where there is no doubt of the key.
        let (Ok(claim_a), Ok(claim_b)) = (self.claim(a), self.claim(b)) else {
            return [self.open_rtp(a), self.open_rtp(b)];
        };
        let tags = match self.keys.as_slice() {
            [keys] if keys.mki.is_empty() && keys.rtp.is_single() => {
                match (
                    keys.rtp.get(EpochSlot::First).mac(),
                    a.get(..claim_a.len),
                    b.get(..claim_b.len),
                ) {
                    (Some(mac), Some(a), Some(b)) => Some(tag_pair(
                        (mac, rtp_message(a, claim_a.index)),
                        (mac, rtp_message(b, claim_b.index)),
                    )),
                    _ => None,
                }
            }
            _ => None,
        };
        let Some([tag_a, tag_b]) = tags else {
            return [self.open_rtp(a), self.open_rtp(b)];
        };
        let first = self.open_tagged(a, &claim_a, &tag_a);
        // The first packet may have moved the stream's window or its roll-over counter.
        let second = match self.claim(b) {
            Ok(again) if again.index == claim_b.index => self.open_tagged(b, &again, &tag_b),
            Ok(_) => self.open_rtp(b),
            Err(error) => Err(error),
        };
        [first, second]
    }

    /// Opens a packet whose tag was computed before.
    fn open_tagged(
        &mut self,
        packet: &mut [u8],
        claim: &Claim,
        expected: &Tag,
    ) -> Result<usize, UnprotectError> {
        let (body, tag) = packet
            .split_at_mut_checked(claim.len)
            .ok_or(Malformed::TooShort)?;
        if !expected.matches(tag) {
            return Err(UnprotectError::Authentication);
        }
        if let [keys] = self.keys.as_slice() {
            keys.rtp.get(EpochSlot::First).decrypt_rtp(
                body,
                &claim.header,
                claim.cover,
                claim.index,
                tag,
            );
        }
        self.accept(body, claim, 0, EpochSlot::First)
    }

    #[inline]
    fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let claim = self.claim(packet)?;
        let aead = self.profile.is_aead();
        let tag_len = self.profile.rtp_tag_len();
        let (body, behind) = packet
            .split_at_mut_checked(claim.len)
            .ok_or(Malformed::TooShort)?;
        // RFC 3711 §3.1: identifier, tag; RFC 7714 §8.3: tag, identifier.
        let (first, second) = behind
            .split_at_checked(if aead {
                tag_len
            } else {
                behind.len().saturating_sub(tag_len)
            })
            .ok_or(Malformed::TooShort)?;
        let (tag, mki) = if aead {
            (first, second)
        } else {
            (second, first)
        };
        let (key, slot) = if mki.is_empty() && self.keys.len() > 1 {
            self.try_keys(body, &claim, tag)?
        } else {
            let key = self
                .keys
                .iter()
                .position(|keys| *keys.mki == *mki)
                .ok_or(UnprotectError::UnknownMki)?;
            let slot = self.open_with(key, body, &claim, tag)?;
            (key, slot)
        };
        self.accept(body, &claim, key, slot)
    }

    /// Looks at a packet: what it says of itself, and whether a packet with that index may come.
    #[inline]
    fn claim(&mut self, packet: &[u8]) -> Result<Claim, UnprotectError> {
        let len = packet
            .len()
            .checked_sub(self.profile.rtp_tag_len() + self.mki_len())
            .ok_or(Malformed::TooShort)?;
        let body = packet.get(..len).ok_or(Malformed::TooShort)?;
        let header = RtpHeader::parse(body)?;
        let mut cover = Cover::Payload;
        if header.len > RTP_FIXED_LEN {
            cover = Cover::of_received(&header, !self.config.derivation.elements.is_empty());
            if self.config.cryptex == Cryptex::Require && extension::is_bare(&header, cover) {
                return Err(UnprotectError::NotEncrypted);
            }
        }
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
        Ok(Claim {
            header,
            cover,
            place,
            index,
            len,
        })
    }

    /// Verifies and decrypts with one key.
    #[inline]
    fn open_with(
        &mut self,
        key: usize,
        body: &mut [u8],
        claim: &Claim,
        tag: &[u8],
    ) -> Result<EpochSlot, UnprotectError> {
        let keys = self.keys.get_mut(key).ok_or(UnprotectError::UnknownMki)?;
        let slot = keys.rtp.select(claim.index);
        let epoch = keys.rtp.get(slot);
        let genuine = match epoch.mac() {
            Some(mac) => mac.tag(rtp_message(body, claim.index)).matches(tag),
            None => true,
        } && epoch.decrypt_rtp(body, &claim.header, claim.cover, claim.index, tag);
        if genuine {
            Ok(slot)
        } else {
            Err(UnprotectError::Authentication)
        }
    }

    /// Verifies and decrypts with whichever key fits, the newest first.
    fn try_keys(
        &mut self,
        body: &mut [u8],
        claim: &Claim,
        tag: &[u8],
    ) -> Result<(usize, EpochSlot), UnprotectError> {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.reserve(MAX_PACKET_LEN.min(body.len()));
        scratch.extend_from_slice(body);
        let mut opened = Err(UnprotectError::Authentication);
        for key in 0..self.keys.len() {
            opened = self
                .open_with(key, body, claim, tag)
                .map(|slot| (key, slot));
            if opened.is_ok() {
                break;
            }
            body.copy_from_slice(&scratch);
        }
        self.scratch = scratch;
        opened
    }

    /// Takes note of a packet that is genuine and undoes what was done to its header.
    #[inline]
    fn accept(
        &mut self,
        body: &mut [u8],
        claim: &Claim,
        key: usize,
        slot: EpochSlot,
    ) -> Result<usize, UnprotectError> {
        let place = match claim.place {
            Some(place) => place,
            None => self
                .rtp
                .insert(
                    claim.header.ssrc,
                    Stream::starting_at(0),
                    self.config.when_full,
                )
                .ok_or(UnprotectError::TooManyStreams)?,
        };
        self.rtp.touch(place);
        if let Some(stream) = self.rtp.get_mut(place) {
            stream.record(claim.index, self.config.replay_window);
        }
        if let Some(keys) = self.keys.get_mut(key) {
            keys.rtp.confirm(slot);
            match claim.cover {
                Cover::Payload => {}
                Cover::Cryptex => extension::unmark(body, &claim.header),
                Cover::Elements => {
                    keys.rtp
                        .get(slot)
                        .decrypt_elements(body, &claim.header, claim.index);
                }
            }
        }
        Ok(claim.len)
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
            .checked_sub(tag_len + RTCP_INDEX_LEN + self.mki_len())
            .ok_or(Malformed::TooShort)?;
        let (packet, behind) = packet
            .split_at_mut_checked(len)
            .ok_or(Malformed::TooShort)?;
        let ssrc = rtcp_ssrc(packet)?;
        // RFC 3711 §3.4: index, identifier, tag; RFC 7714 §9.1: tag, index, identifier.
        let (word, mki, tag) = if self.profile.is_aead() {
            behind.split_at_checked(tag_len).and_then(|(tag, rest)| {
                let (word, mki) = rest.split_first_chunk::<RTCP_INDEX_LEN>()?;
                Some((*word, mki, tag))
            })
        } else {
            behind
                .split_first_chunk::<RTCP_INDEX_LEN>()
                .and_then(|(word, rest)| {
                    let (mki, tag) = rest.split_at_checked(rest.len().checked_sub(tag_len)?)?;
                    Some((*word, mki, tag))
                })
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
        self.open_rtcp_with_keys(packet, (ssrc, word), mki, tag)?;
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

    fn open_rtcp_with_keys(
        &mut self,
        packet: &mut [u8],
        (ssrc, word): (u32, u32),
        mki: &[u8],
        tag: &[u8],
    ) -> Result<(), UnprotectError> {
        let trial = mki.is_empty() && self.keys.len() > 1;
        if trial {
            self.scratch.clear();
            self.scratch.extend_from_slice(packet);
        }
        let mut error = UnprotectError::UnknownMki;
        for keys in self.keys.iter_mut().filter(|keys| *keys.mki == *mki) {
            let slot = keys.rtcp.select((word & !ENCRYPTED).into());
            let suite = keys.rtcp.get(slot).suite();
            if suite.open_rtcp(packet, ssrc, word, tag) {
                keys.rtcp.confirm(slot);
                return Ok(());
            }
            error = UnprotectError::Authentication;
            if trial {
                packet.copy_from_slice(&self.scratch);
            }
        }
        Err(error)
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
