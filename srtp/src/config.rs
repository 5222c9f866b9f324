//! What a context can be told beyond its keys.

use crate::backend::Backend;
use crate::error::OutOfRange;
use crate::extension::{Cryptex, ElementIds};
use crate::limits;
use crate::session::Derivation;
use crate::table::WhenFull;

/// Settings of a [`Sender`](crate::Sender) or [`Receiver`](crate::Receiver). The defaults are what
/// WebRTC asks for.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) replay_window: usize,
    pub(crate) max_streams: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) repeats: bool,
    pub(crate) max_rtp_packets: u64,
    pub(crate) max_rtcp_packets: u64,
    pub(crate) unencrypted_rtcp: bool,
    pub(crate) cryptex: Cryptex,
    pub(crate) derivation: Derivation,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            replay_window: limits::DEFAULT_REPLAY_WINDOW,
            max_streams: limits::DEFAULT_MAX_STREAMS,
            when_full: WhenFull::default(),
            repeats: false,
            max_rtp_packets: limits::MAX_RTP_PACKETS,
            max_rtcp_packets: limits::MAX_RTCP_PACKETS,
            unencrypted_rtcp: false,
            cryptex: Cryptex::default(),
            derivation: Derivation::default(),
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many packets behind the newest one a packet may come (RFC 3711 §3.3.2), 64 to 32 768,
    /// rounded up to a power of two. A stream takes one bit for each. A sender uses the same window
    /// to know which sequence numbers it has protected.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn replay_window(mut self, packets: usize) -> Result<Self, OutOfRange> {
        self.replay_window = within(
            packets,
            limits::MIN_REPLAY_WINDOW,
            limits::MAX_REPLAY_WINDOW,
        )?
        .next_power_of_two();
        Ok(self)
    }

    /// How many streams (SSRCs) the context holds, 1 to 65 536; RTP and RTCP count apart.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn max_streams(mut self, streams: usize) -> Result<Self, OutOfRange> {
        self.max_streams = within(streams, 1, limits::MAX_STREAMS)?;
        Ok(self)
    }

    /// What a receiver does with a new stream when its table is full. A sender always refuses: to
    /// forget a stream's index would be to reuse key stream.
    pub fn when_full(mut self, what: WhenFull) -> Self {
        self.when_full = what;
        self
    }

    /// Lets a sender protect the same sequence number again, which a retransmission on the
    /// original stream does (RFC 4585 without RFC 4588).
    ///
    /// **Only for packets that are repeated byte for byte.** If any byte differs, header extension
    /// included, the key stream is used twice (RFC 3711 §9.1), and with AES-GCM the authentication
    /// key can be computed from the two packets (RFC 7714 §13.2).
    pub fn allow_repeats(mut self, allow: bool) -> Self {
        self.repeats = allow;
        self
    }

    /// SRTP packets a sender protects with one master key before it wants another: 1 to 2^48
    /// (RFC 3711 §9.2).
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn max_rtp_packets(mut self, packets: u64) -> Result<Self, OutOfRange> {
        self.max_rtp_packets = within_u64(packets, 1, limits::MAX_RTP_PACKETS)?;
        Ok(self)
    }

    /// SRTCP packets a sender protects with one master key before it wants another: 1 to 2^31
    /// (RFC 3711 §9.2).
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn max_rtcp_packets(mut self, packets: u64) -> Result<Self, OutOfRange> {
        self.max_rtcp_packets = within_u64(packets, 1, limits::MAX_RTCP_PACKETS)?;
        Ok(self)
    }

    /// SRTCP that is authenticated and not encrypted (RFC 3711 §3.4, SDES `UNENCRYPTED_SRTCP`): a
    /// sender does not encrypt, a receiver takes both kinds. WebRTC forbids it (RFC 8827 §6.5).
    pub fn unencrypted_rtcp(mut self, unencrypted: bool) -> Self {
        self.unencrypted_rtcp = unencrypted;
        self
    }

    /// Whether header extensions and CSRCs are encrypted (RFC 9335). A sender may use it once the
    /// other side has said `a=cryptex`. Extensions that are not made of RFC 8285's elements, and
    /// two-byte ones with application bits, can not be encrypted so and are sent as they are.
    pub fn cryptex(mut self, cryptex: Cryptex) -> Self {
        self.cryptex = cryptex;
        self
    }

    /// The ids, 1 to 255, of header-extension elements that are encrypted by themselves
    /// (RFC 6904, SDP `urn:ietf:params:rtp-hdrext:encrypt`), in packets that do not use Cryptex.
    /// The id 0 is padding and is passed over.
    pub fn encrypted_elements(mut self, ids: impl IntoIterator<Item = u8>) -> Self {
        self.derivation.elements = ElementIds::default();
        for id in ids.into_iter().filter(|id| *id != 0) {
            self.derivation.elements.insert(id);
        }
        self
    }

    /// Which library AES-GCM comes from: [`Backend::Ring`] unless told otherwise.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.derivation.backend = backend;
        self
    }

    /// The key-derivation rate (RFC 3711 §4.3.1) as the exponent of 2: session keys are derived
    /// anew every 2^exponent packets, 0 to 24. `None`, the default, is the rate 0: once.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn key_derivation_rate(mut self, exponent: Option<u8>) -> Result<Self, OutOfRange> {
        if let Some(exponent) = exponent {
            within_u64(
                exponent.into(),
                0,
                limits::MAX_KEY_DERIVATION_EXPONENT.into(),
            )?;
        }
        self.derivation.rate = exponent;
        Ok(self)
    }
}

fn within(value: usize, min: usize, max: usize) -> Result<usize, OutOfRange> {
    within_u64(value as u64, min as u64, max as u64).map(|_| value)
}

fn within_u64(value: u64, min: u64, max: u64) -> Result<u64, OutOfRange> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(OutOfRange { value, min, max })
    }
}
