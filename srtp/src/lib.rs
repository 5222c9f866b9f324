//! SRTP and SRTCP (RFC 3711, RFC 7714, RFC 6188): packets protected and unprotected in place, as
//! fast as the cipher.
//!
//! A [`Sender`] and a [`Receiver`] are one direction each, of any number of streams. They do no I/O
//! and know no clock; give them packets and send or use what they leave in the buffer.
//!
//! ```
//! use tincan_srtp::{Contexts, Profile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What the DTLS exporter gave for the label `Profile::EXPORTER_LABEL`, on both sides.
//! let profile = Profile::AeadAes128Gcm;
//! let material: Vec<u8> = (0..profile.exporter_len() as u8).collect();
//! let (mut sender, _) = Contexts::from_dtls_exporter(profile, &material, true)?;
//! let (_, mut receiver) = Contexts::from_dtls_exporter(profile, &material, false)?;
//!
//! let rtp = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, b'h', b'e', b'l', b'l', b'o'];
//! let mut datagram = rtp.to_vec();
//! sender.protect_rtp(&mut datagram, 0)?;
//! assert_eq!(datagram.len(), rtp.len() + sender.rtp_overhead());
//!
//! let len = receiver.unprotect_rtp(&mut datagram)?;
//! assert_eq!(datagram[..len], rtp);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod aes_ctr;
mod backend;
mod batch;
mod config;
pub mod error;
mod extension;
mod forward;
mod gcm;
mod hmac_sha1;
mod index;
mod kdf;
mod keys;
pub mod limits;
mod profile;
mod receiver;
mod replay;
mod sdes;
mod seal;
mod sender;
mod session;
mod stats;
mod stream;
mod suite;
mod table;
mod tag;
#[cfg(test)]
mod testing;
mod wire;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

pub use backend::Backend;
pub use batch::Slot;
pub use config::Config;
pub use error::{KeyError, Malformed, OutOfRange, ProtectError, UnprotectError};
pub use extension::Cryptex;
pub use forward::{Destination, forward_rtp};
pub use keys::MasterKey;
pub use profile::Profile;
pub use receiver::Receiver;
pub use sender::Sender;
pub use stats::{ReceiverStats, SenderStats};
pub use table::WhenFull;

/// Both directions of a session at once.
#[derive(Debug)]
pub struct Contexts;

impl Contexts {
    /// The contexts of one end of a DTLS-SRTP session (RFC 5764 §4.2) with default settings.
    ///
    /// `material` is what the DTLS exporter gave for [`Profile::EXPORTER_LABEL`] and
    /// [`Profile::exporter_len`] bytes; `is_client` says whether this end was the DTLS client.
    ///
    /// # Errors
    /// [`KeyError::Length`] where the material has another length.
    pub fn from_dtls_exporter(
        profile: Profile,
        material: &[u8],
        is_client: bool,
    ) -> Result<(Sender, Receiver), KeyError> {
        Self::from_dtls_exporter_with(profile, material, is_client, &Config::default())
    }

    /// As [`from_dtls_exporter`](Self::from_dtls_exporter), with settings for both directions.
    ///
    /// # Errors
    /// [`KeyError::Length`] where the material has another length.
    pub fn from_dtls_exporter_with(
        profile: Profile,
        material: &[u8],
        is_client: bool,
        config: &Config,
    ) -> Result<(Sender, Receiver), KeyError> {
        let (client, server) = MasterKey::pair_from_dtls_exporter(profile, material)?;
        let (ours, theirs) = if is_client {
            (client, server)
        } else {
            (server, client)
        };
        Ok((
            Sender::with_config(&ours, config.clone())?,
            Receiver::with_config(&theirs, config.clone())?,
        ))
    }
}
