//! A W3C-shaped [`PeerConnection`], sans-IO, and one event loop that drives thousands of them.
//!
//! The connection is a state machine: datagrams and time go in by [`PeerConnection::handle_input`] and
//! [`PeerConnection::handle_timeout`], datagrams come out of [`PeerConnection::poll_transmit`], news out of
//! [`PeerConnection::poll_event`]. The verbs are those of `RTCPeerConnection`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod certificate;
mod codec;
mod config;
mod connection;
pub mod demux;
#[cfg(feature = "driver")]
pub mod driver;
mod error;
mod event;
pub mod jsep;
pub mod limits;
mod media;
mod packet;
mod types;

pub use certificate::Certificate;
pub use codec::{Capabilities, Codec, HeaderExtension};
pub use config::{
    BundlePolicy, Configuration, DtlsVersions, IceServer, IceServerScheme, IceServerUrl,
    IceTransportPolicy, RtcpMuxPolicy,
};
pub use connection::{PeerConnection, Transceiver};
pub use error::{DescriptionFault, Error, ErrorKind, Side};
pub use event::{Event, IceCandidateError};
pub use packet::RtpPacket;
pub use types::*;
