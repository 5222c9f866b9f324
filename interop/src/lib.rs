//! Tests of Tincan against real programs. What the tests of several crates need to start one is here.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(clippy::print_stdout, reason = "tests say why they skip")]

pub mod coturn;
