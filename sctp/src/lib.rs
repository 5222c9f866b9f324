//! SCTP (RFC 9260) associations and WebRTC data channels (RFC 8831, RFC 8832), sans-IO.
//!
//! Two levels: [`data_channel::Endpoint`] is what a WebRTC peer wants, [`Association`] is SCTP
//! over any datagram layer (RFC 8261), one path, without data channels. Neither does I/O nor
//! looks at a clock: packets, time and randomness come from the caller.
//!
//! ```
//! use std::time::Instant;
//! use bytes::Bytes;
//! use rand::{SeedableRng, rngs::StdRng};
//! use tincan_sctp::data_channel::{ChannelConfig, Config, Endpoint, Event, Message, Role};
//!
//! let now = Instant::now();
//! let mut rng = StdRng::seed_from_u64(1);
//! let mut client = Endpoint::new(Config::default(), now, &mut rng);
//! let mut server = Endpoint::new(Config { role: Role::Server, ..Config::default() }, now, &mut rng);
//! client.connect(now);
//! server.connect(now);
//! let channel = client.open(now, ChannelConfig { label: "chat".into(), ..Default::default() })?;
//! client.send(now, channel, Message::Text(Bytes::from_static(b"hello")))?;
//!
//! let mut received = None;
//! while received.is_none() {
//!     // A network without delay or loss.
//!     let mut packet = Vec::new();
//!     while client.poll_transmit(now, &mut packet).is_some() {
//!         server.handle_input(now, Bytes::from(std::mem::take(&mut packet)));
//!     }
//!     while server.poll_transmit(now, &mut packet).is_some() {
//!         client.handle_input(now, Bytes::from(std::mem::take(&mut packet)));
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Message { data, .. } = event {
//!             received = Some(data.into_bytes());
//!         }
//!     }
//! }
//! assert_eq!(received.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod acknowledgement;
pub mod association;
mod config;
pub mod congestion;
pub mod data_channel;
mod error;
mod handshake;
pub mod limits;
mod loss;
mod outstanding;
mod pacer;
mod path_mtu;
mod payload;
mod reassembly;
mod reset;
mod rtt;
mod scheduler;
mod send_queue;
mod serial;
mod stats;
mod stream_map;
mod timers;
mod window;
pub mod wire;
mod work;

pub use association::{Association, Ecn, Transmit};
pub use config::Config;
pub use error::{CloseReason, SendError, SnapError, Violation};
pub use payload::Payload;
pub use scheduler::Scheduler;
pub use stats::{Counters, Stats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
