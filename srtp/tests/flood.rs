//! A million new streams: memory stays at its bound, known streams work on.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

mod support;

use support::{pair, protected, rtcp, rtp};
use tincan_srtp::limits::{DEFAULT_MAX_STREAMS, ESTABLISHED_AFTER};
use tincan_srtp::{Profile, Receiver, Sender, UnprotectError};

/// New streams of the flood: a million unless `TINCAN_SEEDS` says otherwise.
fn flood() -> u32 {
    std::env::var("TINCAN_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000)
        .max(10_000)
}

const KNOWN: u32 = 10;

/// One packet of a stream that the sender then forgets: it may hold few, the flood has many.
fn one_of(sender: &mut Sender, ssrc: u32, packet: &mut Vec<u8>) {
    packet.clear();
    packet.extend_from_slice(&[0x80, 96, 0, 1, 0, 0, 0, 0]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(b"flood");
    sender.protect_rtp(packet, 0).unwrap();
    assert!(sender.remove_stream(ssrc));
}

fn known_streams_work(known: &mut Sender, receiver: &mut Receiver, sequence: u16) {
    for ssrc in 0..KNOWN {
        let mut packet = protected(known, rtp(ssrc, sequence, b"known"));
        receiver.unprotect_rtp(&mut packet.clone()).unwrap();
        assert_eq!(
            receiver.unprotect_rtp(&mut packet),
            Err(UnprotectError::Replayed)
        );
    }
}

#[test]
fn a_million_genuine_streams_leave_memory_at_its_bound() {
    let profile = Profile::AeadAes128Gcm;
    let (mut known, mut receiver) = pair(profile);
    let (mut flooder, _) = pair(profile);
    for sequence in 0..ESTABLISHED_AFTER as u16 {
        known_streams_work(&mut known, &mut receiver, sequence);
    }
    let mut packet = Vec::with_capacity(64);
    let mut next = 1_000_000;
    let mut push = |count: u32, receiver: &mut Receiver| {
        for _ in 0..count {
            one_of(&mut flooder, next, &mut packet);
            receiver.unprotect_rtp(&mut packet).unwrap();
            next += 1;
        }
    };
    // Until the table is full, and a little further.
    let fill = 2 * DEFAULT_MAX_STREAMS as u32;
    let filling = allocation_counter::measure(|| push(fill, &mut receiver));
    let rest = flood() - fill;
    let flooding = allocation_counter::measure(|| push(rest, &mut receiver));
    println!(
        "table: {} octets; then {rest} streams: {} octets more, {} allocations",
        filling.bytes_current, flooding.bytes_current, flooding.count_total
    );
    assert!(filling.bytes_current < 300_000, "{filling:?}");
    assert_eq!(flooding.bytes_current, 0, "{flooding:?}");
    // At no moment more than a stream beyond the bound.
    assert!(flooding.bytes_max < 1_000, "{flooding:?}");
    // A flood's work on the heap: the sender's window and the receiver's of each stream, no more.
    assert!(flooding.count_total <= 2 * u64::from(rest), "{flooding:?}");
    assert_eq!(receiver.ssrcs().count(), DEFAULT_MAX_STREAMS);
    known_streams_work(&mut known, &mut receiver, 40);
    assert_eq!(receiver.rollover(3), Some(0));
}

#[test]
fn forged_packets_of_new_streams_leave_no_trace_and_cost_no_memory() {
    for profile in [Profile::AeadAes128Gcm, Profile::AesCm128HmacSha1_80] {
        let (mut known, mut receiver) = pair(profile);
        known_streams_work(&mut known, &mut receiver, 0);
        let forged = protected(&mut known, rtp(77, 1, b"forged"));
        let mut report = rtcp(77);
        known.protect_rtcp(&mut report, 0).unwrap();
        let mut packet = forged.clone();
        let mut control = report.clone();
        let count = flood() / 10;
        let heap = allocation_counter::measure(|| {
            for ssrc in 0..count {
                packet.copy_from_slice(&forged);
                packet[8..12].copy_from_slice(&(1_000_000 + ssrc).to_be_bytes());
                let refused = receiver.unprotect_rtp(&mut packet);
                assert_eq!(refused, Err(UnprotectError::Authentication));
                control.copy_from_slice(&report);
                control[4..8].copy_from_slice(&(1_000_000 + ssrc).to_be_bytes());
                let refused = receiver.unprotect_rtcp(&mut control);
                assert_eq!(refused, Err(UnprotectError::Authentication));
            }
        });
        assert_eq!(heap.count_total, 0, "{heap:?}");
        let stats = receiver.stats();
        assert_eq!(stats.authentication_failures, 2 * u64::from(count));
        assert_eq!(receiver.ssrcs().count(), KNOWN as usize);
        known_streams_work(&mut known, &mut receiver, 1);
    }
}
