//! DTLS 1.3 (RFC 9147) and 1.2 (RFC 6347), client and server, sans-IO.
//!
//! A [`Connection`] takes datagrams and time and gives datagrams, data and
//! events. It opens no socket and reads no clock, so it fits any event loop.
//! WebRTC is its first user: self-signed certificates are proved by
//! [`Fingerprint`], SRTP profiles are negotiated, keys are exported.
//!
//! ```
//! use std::time::{Instant, SystemTime};
//! use bytes::BytesMut;
//! use rand::{SeedableRng, rngs::StdRng};
//! use tincan_dtls::{Certificate, Config, Connection, HashAlgorithm, Role, SrtpProfile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = StdRng::seed_from_u64(1);
//! let now = Instant::now();
//! let make = |role, rng: &mut StdRng| {
//!     let certificate = Certificate::generate(SystemTime::now())?;
//!     let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256);
//!     let config = Config::builder()
//!         .certificate(certificate)
//!         .srtp_profiles(vec![SrtpProfile::AeadAes128Gcm])
//!         .build()?;
//!     Ok::<_, tincan_dtls::Error>((Connection::new(config, role, now, rng)?, fingerprint))
//! };
//! let (mut client, client_print) = make(Role::Client, &mut rng)?;
//! let (mut server, server_print) = make(Role::Server, &mut rng)?;
//! client.set_remote_fingerprints(vec![server_print]);
//! server.set_remote_fingerprints(vec![client_print]);
//!
//! // The network: every datagram arrives.
//! let mut idle = false;
//! while !idle {
//!     idle = true;
//!     for (from, to) in [(0, 1), (1, 0)] {
//!         let mut ends = [&mut client, &mut server];
//!         let mut datagram = Vec::new();
//!         while ends[from].poll_transmit(now, &mut datagram).is_some() {
//!             idle = false;
//!             ends[to].handle_input(now, BytesMut::from(datagram.as_slice()))?;
//!             datagram.clear();
//!         }
//!     }
//! }
//! assert!(client.is_connected() && server.is_connected());
//!
//! // Application data are sealed where they lie.
//! let mut out = vec![0; client.headroom()];
//! out.extend_from_slice(b"hello");
//! client.seal_in_place(&mut out, 0)?;
//! server.handle_input(now, BytesMut::from(out.as_slice()))?;
//! assert_eq!(&server.poll_data().ok_or("no data")?[..], b"hello");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod acks;
mod certificate;
mod config;
mod connection;
mod crypto;
mod error;
mod flight;
mod gate;
mod handshake;
pub mod limits;
pub mod provider;
mod ranges;
mod reassembly;
mod record;
mod replay;
mod roots;
mod session;
mod timer;
mod wire;

pub use certificate::{
    Certificate, DEFAULT_LIFETIME, Fingerprint, HashAlgorithm, InvalidFingerprint, KeyAlgorithm,
};
pub use config::{
    Builder, ClientAuth, Config, Role, SrtpProfile, Verification, VerifyPeer, Version,
};
pub use connection::{CloseReason, Connection, Event, Stats};
pub use error::{Error, Failure, SealError};
pub use gate::{Gate, Verdict};
pub use roots::Roots;
pub use rustls;
