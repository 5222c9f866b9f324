//! A W3C-shaped [`PeerConnection`], sans-IO, and one event loop that drives thousands of them.
//!
//! The connection is a state machine: datagrams and time go in by [`PeerConnection::handle_input`] and
//! [`PeerConnection::handle_timeout`], datagrams come out of [`PeerConnection::poll_transmit`], news out of
//! [`PeerConnection::poll_event`]. The verbs are those of `RTCPeerConnection`. Calls may come in any order; nothing must
//! be drained first.
//!
//! Two peers in one process, with function calls as their network:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bytes::BytesMut;
//! use rand::{SeedableRng, rngs::StdRng};
//! use tincan_peer::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut now, mut rng) = (Instant::now(), StdRng::seed_from_u64(7));
//! let mut alice = PeerConnection::new(Configuration::default(), now, &mut rng)?;
//! let mut bob = PeerConnection::new(Configuration::default(), now, &mut rng)?;
//! for (pc, addr) in [(&mut alice, "10.0.0.1:5000"), (&mut bob, "10.0.0.2:5000")] {
//!     pc.add_local_address(now, LocalAddress { addr: addr.parse()?, transport: HostProtocol::Udp });
//! }
//! alice.create_data_channel(now, "chat", DataChannelInit::default())?;
//!
//! // Signalling: an offer and an answer, with all candidates in them.
//! alice.set_local_description(now, None)?;
//! bob.set_remote_description(now, alice.local_description().ok_or("no offer")?)?;
//! bob.set_local_description(now, None)?;
//! alice.set_remote_description(now, bob.local_description().ok_or("no answer")?)?;
//!
//! // The network, and what the two do with their news: one after the other.
//! let (mut out, mut greeting) = (Vec::new(), None);
//! while greeting.is_none() {
//!     alice.handle_timeout(now);
//!     while let Some(t) = alice.poll_transmit(now, &mut out, 1) {
//!         let received = Received { local: t.remote, remote: t.local, transport: t.transport, ecn: t.ecn };
//!         bob.handle_input(now, received, BytesMut::from(&out[..]));
//!         out.clear();
//!     }
//!     while let Some(event) = alice.poll_event() {
//!         match event {
//!             Event::ChannelOpen(key) => alice.send(now, key, Message::text("hello"))?,
//!             Event::ChannelMessage(_, message) => greeting = Some(message),
//!             _ => {}
//!         }
//!     }
//!     std::mem::swap(&mut alice, &mut bob);
//!     now += Duration::from_millis(1);
//! }
//! assert_eq!(greeting, Some(Message::text("hello")));
//! # Ok(())
//! # }
//! ```
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
mod frame;
pub mod identity;
pub mod jsep;
pub mod limits;
mod media;
mod packet;
mod parameters;
mod queue;
pub mod stats;
mod types;
mod work;

pub use certificate::{Certificate, KeygenAlgorithm};
pub use codec::{Capabilities, Codec, HeaderExtension};
pub use config::{
    BundlePolicy, Configuration, DtlsVersions, IceServer, IceServerScheme, IceServerUrl,
    IceTransportPolicy, RtcpMuxPolicy,
};
pub use connection::{
    ContributingSource, DtlsTransport, Dtmf, IceTransport, Lookup, PeerConnection, Receiver,
    SctpTransport, Sender, SynchronizationSource, Transceiver,
};
pub use error::{DescriptionFault, Error, ErrorDetail, ErrorKind, Side};
pub use event::{ChannelError, DtlsError, Event, IceCandidateError};
pub use frame::{Delivery, Frame};
pub use identity::{
    GeneratedAssertion, IdentityAssertion, IdentityFault, IdentityProvider,
    IdentityProviderOptions, IdentityRequest, ThirdPartyIdentity, ValidatedAssertion,
};
pub use packet::RtpPacket;
pub use parameters::{
    Encoding, ReceiveParameters, ReceiverId, RtcpParameters, RtpCapabilities, ScalabilityMode,
    SendParameters, SenderId, TransactionId, TransceiverInit, UnknownScalabilityMode,
};
pub use stats::{StatsReport, StatsSelector};
#[cfg(feature = "capture")]
pub use tincan_capture as capture;
pub use tincan_ice::{
    Candidate as ParsedCandidate, CandidateAddress, CandidateKind, CandidateTransport, MdnsName,
    TcpType,
};
pub use tincan_rtp::extension::ExtensionKind;
pub use tincan_sctp::CloseReason;
pub use types::*;
