//! SCTP (RFC 9260) associations and WebRTC data channels (RFC 8831, RFC 8832), sans-IO
#![forbid(unsafe_code)]
#![deny(missing_docs)]
