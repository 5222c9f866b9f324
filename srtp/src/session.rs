//! A master key at work: its session keys for RTP and RTCP.

use crate::aes_ctr::AesCtr;
use crate::keys::MasterKey;
use crate::suite::{Kind, Suite};

/// The session keys of one master key in one direction.
pub(crate) struct SessionKeys {
    pub(crate) rtp: Suite,
    pub(crate) rtcp: Suite,
}

impl SessionKeys {
    /// Derives the session keys. `None` for a key that no cipher takes, which a [`MasterKey`]
    /// never is.
    pub(crate) fn derive(master: &MasterKey) -> Option<Self> {
        let prf = AesCtr::new(master.key())?;
        Some(Self {
            rtp: Suite::derive(&prf, master, Kind::Rtp, 0)?,
            rtcp: Suite::derive(&prf, master, Kind::Rtcp, 0)?,
        })
    }
}
