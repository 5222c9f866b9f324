//! A W3C-shaped PeerConnection, sans-IO, and one event loop that drives thousands of them
#![forbid(unsafe_code)]
#![deny(missing_docs)]
