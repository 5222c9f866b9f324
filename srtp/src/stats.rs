//! Counters.

use crate::error::UnprotectError;

/// What a [`Sender`](crate::Sender) has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderStats {
    /// SRTP packets protected.
    pub rtp_packets: u64,
    /// SRTCP packets protected.
    pub rtcp_packets: u64,
}

/// What a [`Receiver`](crate::Receiver) has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// SRTP packets accepted.
    pub rtp_packets: u64,
    /// SRTCP packets accepted.
    pub rtcp_packets: u64,
    /// Packets that were no SRTP or SRTCP.
    pub malformed: u64,
    /// Packets whose tag was wrong.
    pub authentication_failures: u64,
    /// Packets that came before.
    pub replayed: u64,
    /// Packets behind the replay window.
    pub too_old: u64,
    /// Packets refused for another reason: an unknown key, no room for a new stream, no encryption
    /// where it is demanded, an index that is used up.
    pub refused: u64,
}

impl ReceiverStats {
    pub(crate) fn count(&mut self, error: UnprotectError) {
        let counter = match error {
            UnprotectError::Malformed(_) => &mut self.malformed,
            UnprotectError::Authentication => &mut self.authentication_failures,
            UnprotectError::Replayed => &mut self.replayed,
            UnprotectError::TooOld => &mut self.too_old,
            _ => &mut self.refused,
        };
        *counter += 1;
    }
}
