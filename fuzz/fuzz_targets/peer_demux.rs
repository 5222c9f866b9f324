#![no_main]
//! Any datagram: classified, and its username fragment found, without a panic.

use libfuzzer_sys::fuzz_target;
use tincan_peer::demux::{Packet, classify, local_ufrag};

fuzz_target!(|data: &[u8]| {
    let kind = classify(data);
    if data.is_empty() {
        assert_eq!(kind, Packet::NotMine);
    }
    if let Some(ufrag) = local_ufrag(data) {
        assert!(ufrag.len() <= data.len());
    }
});
