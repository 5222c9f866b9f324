//! SRTP and SRTCP (RFC 3711, RFC 7714, RFC 6188), in place and as fast as the cipher
#![forbid(unsafe_code)]
#![deny(missing_docs)]
