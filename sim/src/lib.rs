//! A deterministic network: virtual time, links, NATs and firewalls for sans-IO protocols
#![forbid(unsafe_code)]
#![deny(missing_docs)]
