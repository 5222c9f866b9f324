//! What `memory_usage` tells is what the heap says, from the first stream to a full table.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

mod support;

use allocation_counter::measure;
use support::{pair_with, protected, rtp};
use tincan_srtp::limits::DEFAULT_MAX_STREAMS;
use tincan_srtp::{Config, Profile};

#[test]
fn memory_usage_is_what_the_heap_says() {
    for profile in Profile::ALL {
        for window in [64, 128, 4096] {
            let config = Config::new().replay_window(window).unwrap();
            let (mut sender, mut receiver) = pair_with(profile, &config);
            let empty = [sender.memory_usage(), receiver.memory_usage()];
            let mut packets = Vec::with_capacity(DEFAULT_MAX_STREAMS);
            let sent = measure(|| {
                for ssrc in 0..DEFAULT_MAX_STREAMS as u32 {
                    packets.push(protected(&mut sender, rtp(ssrc, 1, b"stream")));
                }
            });
            let in_packets: i64 = packets.iter().map(|p| p.capacity() as i64).sum();
            let received = measure(|| {
                for packet in &mut packets {
                    receiver.unprotect_rtp(packet).unwrap();
                }
            });
            for (end, told, empty, heap) in [
                (
                    "sender",
                    sender.memory_usage(),
                    empty[0],
                    sent.bytes_current - in_packets,
                ),
                (
                    "receiver",
                    receiver.memory_usage(),
                    empty[1],
                    received.bytes_current,
                ),
            ] {
                let grew = (told - empty) as i64;
                println!("{profile:?}, window {window}, {end}: {grew} told, {heap} on the heap");
                assert!(grew >= heap / 2, "{profile:?} {end}: {grew} of {heap}");
                assert!(grew <= 2 * heap, "{profile:?} {end}: {grew} of {heap}");
            }
        }
    }
}

#[test]
fn streams_that_go_are_no_longer_told() {
    let (mut sender, mut receiver) = pair_with(Profile::AeadAes128Gcm, &Config::new());
    for ssrc in 0..500 {
        let mut packet = protected(&mut sender, rtp(ssrc, 1, b"stream"));
        receiver.unprotect_rtp(&mut packet).unwrap();
    }
    let full = [sender.memory_usage(), receiver.memory_usage()];
    for ssrc in 0..500 {
        assert!(sender.remove_stream(ssrc));
        assert!(receiver.remove_stream(ssrc));
    }
    assert!(sender.memory_usage() <= full[0]);
    assert!(receiver.memory_usage() < full[1]);
}
