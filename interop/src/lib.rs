//! Tests of Tincan against real programs
#![forbid(unsafe_code)]
#![deny(missing_docs)]
