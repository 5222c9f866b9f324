//! A master key at work: its session keys for RTP and RTCP, now and across a key-derivation rate.

use crate::aes_ctr::AesCtr;
use crate::backend::Backend;
use crate::error::KeyError;
use crate::extension::{self, Cover, ElementCipher, ElementIds};
use crate::hmac_sha1::HmacSha1;
use crate::kdf::{self, Label};
use crate::keys::{MAX_SALT_LEN, MasterKey};
use crate::limits::MAX_PACKET_LEN;
use crate::suite::{Kind, Suite};
use crate::tag::Tag;
use crate::wire::RtpHeader;
use zeroize::Zeroizing;

/// How session keys are made beyond what the master key says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Derivation {
    /// Exponent of the key-derivation rate; `None` for the rate 0: one derivation for good.
    pub(crate) rate: Option<u8>,
    /// Extension elements that are encrypted apart (RFC 6904).
    pub(crate) elements: ElementIds,
    /// Authentication alone.
    pub(crate) without_encryption: bool,
    /// Where AES-GCM comes from.
    pub(crate) backend: Backend,
}

/// The session keys of one master key in one direction.
pub(crate) struct SessionKeys {
    pub(crate) mki: Box<[u8]>,
    pub(crate) rtp: Epochs,
    pub(crate) rtcp: Epochs,
}

impl SessionKeys {
    pub(crate) fn derive(master: &MasterKey, how: Derivation) -> Result<Self, KeyError> {
        Ok(Self {
            mki: master.mki().into(),
            rtp: Epochs::new(master, Kind::Rtp, how)?,
            rtcp: Epochs::new(master, Kind::Rtcp, how)?,
        })
    }
}

/// The session keys for the packet indices of one `r`, which is the index divided by the
/// key-derivation rate (RFC 3711 §4.3.1).
pub(crate) struct Epoch {
    r: u64,
    suite: Suite,
    elements: Option<(ElementCipher, ElementIds)>,
}

/// Which epoch a packet belongs to: a choice that holds until the choice after the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EpochSlot {
    First,
    Second,
}

/// At most two epochs, so that packets around a change of keys find theirs.
pub(crate) struct Epochs {
    first: Epoch,
    second: Option<Epoch>,
    /// The slot confirmed last; the other one is given up for a new epoch.
    current: EpochSlot,
    rate: Option<Box<Rate>>,
}

struct Rate {
    exponent: u8,
    kind: Kind,
    master: MasterKey,
    prf: AesCtr,
    how: Derivation,
}

impl Epochs {
    fn new(master: &MasterKey, kind: Kind, how: Derivation) -> Result<Self, KeyError> {
        let prf = AesCtr::new(master.key()).ok_or(KeyError::Profile)?;
        Ok(Self {
            first: Epoch::derive(&prf, master, kind, 0, how)?,
            second: None,
            current: EpochSlot::First,
            rate: how.rate.map(|exponent| {
                Box::new(Rate {
                    exponent,
                    kind,
                    master: master.clone(),
                    prf,
                    how,
                })
            }),
        })
    }

    /// The slot with the keys for this index, derived if need be.
    #[inline]
    pub(crate) fn select(&mut self, index: u64) -> EpochSlot {
        match &self.rate {
            None => EpochSlot::First,
            Some(_) => self.select_rated(index),
        }
    }

    fn select_rated(&mut self, index: u64) -> EpochSlot {
        let Some(rate) = &self.rate else {
            return EpochSlot::First;
        };
        let r = index >> rate.exponent;
        if self.first.r == r {
            return EpochSlot::First;
        }
        if self.second.as_ref().is_some_and(|epoch| epoch.r == r) {
            return EpochSlot::Second;
        }
        // It was derived once from the same master key, so it can be again.
        let Ok(epoch) = Epoch::derive(&rate.prf, &rate.master, rate.kind, r, rate.how) else {
            return self.current;
        };
        match self.current {
            EpochSlot::First => {
                self.second = Some(epoch);
                EpochSlot::Second
            }
            EpochSlot::Second => {
                self.first = epoch;
                EpochSlot::First
            }
        }
    }

    /// Says that a packet of this slot was sent or verified: its keys are worth keeping. Keys that
    /// were derived for forged packets never push out the ones in use.
    #[inline]
    pub(crate) fn confirm(&mut self, slot: EpochSlot) {
        self.current = slot;
    }

    #[inline]
    pub(crate) fn get(&self, slot: EpochSlot) -> &Epoch {
        match (slot, &self.second) {
            (EpochSlot::Second, Some(second)) => second,
            _ => &self.first,
        }
    }

    /// Whether packets are all of one epoch.
    pub(crate) fn is_single(&self) -> bool {
        self.rate.is_none()
    }
}

impl Epoch {
    fn derive(
        prf: &AesCtr,
        master: &MasterKey,
        kind: Kind,
        r: u64,
        how: Derivation,
    ) -> Result<Self, KeyError> {
        let suite = Suite::derive(how.backend, prf, master, kind, r).ok_or(KeyError::Profile)?;
        let suite = if how.without_encryption {
            suite.without_encryption().ok_or(KeyError::Profile)?
        } else {
            suite
        };
        let elements = if kind == Kind::Rtp && !how.elements.is_empty() {
            let cipher = element_cipher(prf, master, r).ok_or(KeyError::Profile)?;
            Some((cipher, how.elements))
        } else {
            None
        };
        Ok(Self { r, suite, elements })
    }

    pub(crate) fn suite(&self) -> &Suite {
        &self.suite
    }

    /// Encrypts an RTP packet; what is returned is its tag, if the cipher makes one. `None` for
    /// packets beyond [`MAX_PACKET_LEN`].
    #[inline(always)]
    pub(crate) fn encrypt_rtp(
        &self,
        packet: &mut [u8],
        header: &RtpHeader,
        cover: Cover,
        index: u64,
    ) -> Option<Tag> {
        debug_assert!(packet.len() <= MAX_PACKET_LEN + 4);
        if cover == Cover::Elements
            && let Some((cipher, ids)) = &self.elements
        {
            // The elements were checked before.
            cipher.apply(packet, header, index, ids).ok()?;
        }
        extension::swap_in(packet, header, cover);
        let tag = self
            .suite
            .encrypt_rtp(packet, cover.clear(header), header.ssrc, index);
        extension::swap_out(packet, header, cover);
        tag
    }

    /// Decrypts an RTP packet; an AEAD verifies it by that, for others that was done before.
    #[inline]
    pub(crate) fn decrypt_rtp(
        &self,
        packet: &mut [u8],
        header: &RtpHeader,
        cover: Cover,
        index: u64,
        tag: &[u8],
    ) -> bool {
        extension::swap_in(packet, header, cover);
        let clear = cover.clear(header);
        let genuine = self
            .suite
            .decrypt_rtp(packet, clear, header.ssrc, index, tag);
        extension::swap_out(packet, header, cover);
        genuine
    }

    /// What is left to do with a packet that was verified and decrypted: its single elements.
    pub(crate) fn decrypt_elements(&self, packet: &mut [u8], header: &RtpHeader, index: u64) {
        if let Some((cipher, ids)) = &self.elements {
            // A sender that breaks its own extension has the rest of it left as it is.
            let _ = cipher.apply(packet, header, index, ids);
        }
    }

    /// The authentication that is computed apart from the cipher, if there is any.
    #[inline]
    pub(crate) fn mac(&self) -> Option<&HmacSha1> {
        self.suite.mac()
    }
}

fn element_cipher(prf: &AesCtr, master: &MasterKey, r: u64) -> Option<ElementCipher> {
    let profile = master.profile();
    let mut key = Zeroizing::new([0u8; 32]);
    let key = key.get_mut(..profile.key_len())?;
    kdf::derive(prf, master, Label::HeaderEncryption, r, key);
    let mut salt = Zeroizing::new([0u8; 16]);
    let used = salt.get_mut(..profile.salt_len().min(MAX_SALT_LEN))?;
    kdf::derive(prf, master, Label::HeaderSalt, r, used);
    Some(ElementCipher {
        cipher: AesCtr::new(key)?,
        salt: u128::from_be_bytes(*salt),
    })
}
