//! DTLS 1.3 (RFC 9147) and 1.2 (RFC 6347), client and server, sans-IO
#![forbid(unsafe_code)]
#![deny(missing_docs)]
