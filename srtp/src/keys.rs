//! Master keys and where they come from.

use core::fmt;

use zeroize::Zeroize;

use crate::error::KeyError;
use crate::limits::MAX_MKI_LEN;
use crate::profile::Profile;

/// Longest master key, in bytes.
const MAX_KEY_LEN: usize = 32;
/// Longest master salt, in bytes.
pub(crate) const MAX_SALT_LEN: usize = 14;

/// A master key and master salt for one direction (RFC 3711 §8.2). Zeroized on drop; `Debug` shows
/// the profile only.
#[derive(Clone)]
pub struct MasterKey {
    profile: Profile,
    key: [u8; MAX_KEY_LEN],
    salt: [u8; MAX_SALT_LEN],
    mki: [u8; MAX_MKI_LEN],
    mki_len: usize,
}

impl MasterKey {
    /// A master key of [`Profile::key_len`] bytes and a master salt of [`Profile::salt_len`] bytes.
    ///
    /// # Errors
    /// [`KeyError::Length`] where either has another length.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let mut this = Self {
            profile,
            key: [0; MAX_KEY_LEN],
            salt: [0; MAX_SALT_LEN],
            mki: [0; MAX_MKI_LEN],
            mki_len: 0,
        };
        fill(&mut this.key, profile.key_len(), key)?;
        fill(&mut this.salt, profile.salt_len(), salt)?;
        Ok(this)
    }

    /// Master key and salt one after the other, as SDES carries them (RFC 4568 §6.1).
    ///
    /// # Errors
    /// [`KeyError::Length`] where the length is not that of the profile's key and salt together.
    pub fn from_concatenated(profile: Profile, key_and_salt: &[u8]) -> Result<Self, KeyError> {
        match key_and_salt.split_at_checked(profile.key_len()) {
            Some((key, salt)) if salt.len() == profile.salt_len() => Self::new(profile, key, salt),
            _ => Err(KeyError::Length {
                expected: profile.key_len() + profile.salt_len(),
                actual: key_and_salt.len(),
            }),
        }
    }

    /// The client's and the server's master keys out of what a DTLS exporter gave: both keys, then
    /// both salts, the client's first (RFC 5764 §4.2).
    ///
    /// # Errors
    /// [`KeyError::Length`] where the material is not [`Profile::exporter_len`] bytes long.
    pub fn pair_from_dtls_exporter(
        profile: Profile,
        material: &[u8],
    ) -> Result<(Self, Self), KeyError> {
        if material.len() != profile.exporter_len() {
            return Err(KeyError::Length {
                expected: profile.exporter_len(),
                actual: material.len(),
            });
        }
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        Ok((
            Self::new(profile, client_key, client_salt)?,
            Self::new(profile, server_key, server_salt)?,
        ))
    }

    /// Gives the key an identifier that every packet then carries (RFC 3711 §3.1), 1 to
    /// [`MAX_MKI_LEN`] bytes.
    ///
    /// # Errors
    /// [`KeyError::Mki`] for another length.
    pub fn with_mki(mut self, mki: &[u8]) -> Result<Self, KeyError> {
        match self.mki.get_mut(..mki.len()) {
            Some(room) if !mki.is_empty() => room.copy_from_slice(mki),
            _ => return Err(KeyError::Mki),
        }
        self.mki_len = mki.len();
        Ok(self)
    }

    /// The key's identifier; empty if it has none.
    pub fn mki(&self) -> &[u8] {
        self.mki.get(..self.mki_len).unwrap_or(&self.mki)
    }

    /// The profile the key is for.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.key.get(..self.profile.key_len()).unwrap_or(&self.key)
    }

    /// The salt in the most significant bytes of the 14 that key derivation uses: the 12-byte
    /// salts of AEADs are followed by zeros (RFC 7714 §11).
    pub(crate) fn salt(&self) -> &[u8; MAX_SALT_LEN] {
        &self.salt
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

fn fill(into: &mut [u8], expected: usize, from: &[u8]) -> Result<(), KeyError> {
    match into.get_mut(..expected) {
        Some(into) if from.len() == expected => {
            into.copy_from_slice(from);
            Ok(())
        }
        _ => Err(KeyError::Length {
            expected,
            actual: from.len(),
        }),
    }
}
