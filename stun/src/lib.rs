//! STUN (RFC 8489) messages, credentials and transactions, and TURN (RFC 8656)
//! client and server, sans-IO.
//!
//! ```
//! use std::net::SocketAddr;
//! use tincan_stun::attributes::XorMappedAddress;
//! use tincan_stun::message::{Class, Message, Method, TransactionId, Writer, is_stun};
//!
//! // What a server answers to a Binding request.
//! fn answer(request: &[u8], from: SocketAddr, out: &mut Vec<u8>) -> Option<usize> {
//!     let request = Message::parse(request).ok()?;
//!     if (request.class(), request.method()) != (Class::Request, Method::BINDING) {
//!         return None;
//!     }
//!     Writer::new(out, Class::Success, Method::BINDING, request.transaction_id())
//!         .push(&XorMappedAddress(from))
//!         .fingerprint()
//!         .finish()
//!         .ok()
//! }
//!
//! let mut request = Vec::new();
//! let id = TransactionId::new(*b"twelve bytes");
//! Writer::new(&mut request, Class::Request, Method::BINDING, id).finish()?;
//! let mut response = Vec::new();
//! answer(&request, "192.0.2.7:4711".parse()?, &mut response).ok_or("no answer")?;
//! assert!(is_stun(&response));
//! let response = Message::parse(&response)?;
//! assert_eq!(response.transaction_id(), id);
//! assert_eq!(response.get(), Some(XorMappedAddress("192.0.2.7:4711".parse()?)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod attributes;
pub mod credentials;
pub mod discovery;
pub mod error;
pub mod framing;
pub mod integrity;
pub mod limits;
pub mod message;
pub mod transaction;
pub mod turn;
pub mod uri;
