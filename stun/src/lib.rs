//! STUN (RFC 8489) messages, credentials and transactions, and TURN (RFC 8656) client and server, sans-IO
#![forbid(unsafe_code)]
#![deny(missing_docs)]
