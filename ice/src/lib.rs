//! ICE (RFC 8445) agents, full and lite, sans-IO
#![forbid(unsafe_code)]
#![deny(missing_docs)]
