//! SDP (RFC 8866): read and write every session description that exists, byte for byte
#![forbid(unsafe_code)]
#![deny(missing_docs)]
