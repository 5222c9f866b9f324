//! SDP (RFC 8866): read and write every session description that exists, byte for byte
//!
//! [`SessionDescription`] owns a description: [`parse`](SessionDescription::parse) keeps every
//! byte, typed getters read values when they are asked for, and edits touch only what they change.
//! It knows the attributes that WebRTC uses (RFC 9429 and its references) as typed values, and it
//! decides nothing: offers and answers are made elsewhere.
//!
//! ```
//! use tincan_sdp::{Direction, MediaDescription, MediaLine, Origin, SessionDescription, SctpPort};
//!
//! let text = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
//!     m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n";
//! let mut description = SessionDescription::parse(text)?;
//! assert_eq!(description.to_string(), text);
//!
//! let audio = &mut description.media[0];
//! assert_eq!(audio.rtpmaps().flatten().next().unwrap().encoding, "opus");
//! audio.set_direction(Direction::RecvOnly);
//!
//! let mut data = MediaDescription::new(MediaLine::data_channel());
//! data.push_attribute(SctpPort(5000));
//! description.media.push(data);
//! assert_eq!(
//!     description.to_string(),
//!     text.replace("sendrecv", "recvonly")
//!         + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod attributes;
mod base64;
mod candidate;
pub mod codec;
mod description;
mod error;
mod fragment;
mod getters;
pub mod limits;
mod lines;
mod media;
mod munge;
mod parse;
mod scan;
mod section;
mod strict;
pub mod uri;
mod view;
mod work;

pub use attributes::*;
pub use candidate::{Candidate, CandidateAddress, CandidateKind, CandidateTransport, TcpKind};
pub use description::{Effective, SessionDescription};
pub use error::{ParseError, Rule, ValueError};
pub use fragment::{CandidatePlace, SdpFragment};
pub use limits::Limits;
pub use lines::{
    AddressKind, Bandwidth, BandwidthKind, Connection, Origin, Repeat, TimeZones, Timing, TypedTime,
};
pub use media::{MediaDescription, MediaLine};
pub use section::{Line, LineKind, RawAttribute, Section};
pub use view::{DescriptionView, MediaView, SectionView};

/// The README's program runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
