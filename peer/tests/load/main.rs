//! The event loop with many peers, with bad networks and with greedy ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set up has failed"
)]

mod common;
mod faults;
mod loops;
mod media;
#[cfg(target_os = "linux")]
mod namespaces;
mod overload;
mod views;
