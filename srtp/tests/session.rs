//! Sender and receiver together, through the public API only.

mod support;

use support::{pair, pair_with, protected, rtcp, rtp};
use tincan_srtp::{Config, Profile, ProtectError, UnprotectError};

#[test]
fn every_profile_gives_back_what_it_was_given() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        for len in [0, 1, 15, 16, 17, 160, 1200] {
            let plain = rtp(7, 100 + len as u16, &vec![0xab; len]);
            let mut packet = b"head".to_vec();
            packet.extend_from_slice(&plain);
            sender.protect_rtp(&mut packet, 4).unwrap();
            assert_eq!(packet.len(), 4 + plain.len() + profile.rtp_tag_len());
            assert_eq!(receiver.unprotect_rtp(&mut packet[4..]), Ok(plain.len()));
            assert_eq!(packet[4..4 + plain.len()], plain);

            let plain = rtcp(7);
            let mut packet = plain.clone();
            sender.protect_rtcp(&mut packet, 0).unwrap();
            assert_ne!(packet[8..28], plain[8..]);
            assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(plain.len()));
            assert_eq!(packet[..plain.len()], plain);
        }
        assert_eq!(receiver.stats().rtp_packets, 7);
        assert_eq!(receiver.stats().rtcp_packets, 7);
    }
}

#[test]
fn replays_are_refused_and_reordering_is_accepted() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut packets: Vec<_> = (0..50u16)
            .map(|n| {
                let mut packet = rtp(1, 65_500u16.wrapping_add(n), b"payload");
                sender.protect_rtp(&mut packet, 0).unwrap();
                packet
            })
            .collect();
        packets.swap(10, 45);
        packets.swap(30, 40);
        for packet in &packets {
            receiver.unprotect_rtp(&mut packet.clone()).unwrap();
        }
        for packet in &packets {
            assert_eq!(
                receiver.unprotect_rtp(&mut packet.clone()),
                Err(UnprotectError::Replayed)
            );
        }
        assert_eq!(receiver.rollover(1), Some(1));
        assert_eq!(sender.rollover(1), Some(1));
    }
}

#[test]
fn a_sequence_number_is_not_protected_twice() {
    let (mut sender, _) = pair(Profile::AeadAes128Gcm);
    let mut packet = rtp(1, 5, b"one");
    sender.protect_rtp(&mut packet, 0).unwrap();
    let plain = rtp(1, 5, b"two");
    let mut packet = plain.clone();
    assert_eq!(
        sender.protect_rtp(&mut packet, 0),
        Err(ProtectError::IndexReused)
    );
    assert_eq!(packet, plain);
}

#[test]
fn any_flipped_bit_is_refused_and_leaves_no_trace() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let plain = rtp(1, 5, b"some payload");
        let mut packet = plain.clone();
        sender.protect_rtp(&mut packet, 0).unwrap();
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.unprotect_rtp(&mut forged).is_err(), "bit {bit}");
        }
        assert_eq!(receiver.ssrcs().count(), 0);
        assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
    }
}

#[test]
fn any_flipped_bit_of_rtcp_is_refused() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut packet = rtcp(1);
        sender.protect_rtcp(&mut packet, 0).unwrap();
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.unprotect_rtcp(&mut forged).is_err(), "bit {bit}");
        }
        assert!(receiver.unprotect_rtcp(&mut packet.clone()).is_ok());
        assert_eq!(
            receiver.unprotect_rtcp(&mut packet),
            Err(UnprotectError::Replayed)
        );
    }
}

#[test]
fn a_reduced_size_rtcp_packet_passes() {
    // RFC 5506: a feedback message alone, here a PLI without its media SSRC: just the header.
    let (mut sender, mut receiver) = pair(Profile::AesCm128HmacSha1_80);
    let plain = [0x81, 206, 0, 1, 0, 0, 0, 9];
    let mut packet = plain.to_vec();
    sender.protect_rtcp(&mut packet, 0).unwrap();
    assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn the_roll_over_counter_follows_over_losses_of_half_a_cycle() {
    for profile in [Profile::AesCm128HmacSha1_32, Profile::AeadAes128Gcm] {
        let (mut sender, mut receiver) = pair(profile);
        let mut index = 1000u64;
        while index < 12 << 16 {
            // Only every 32768th packet arrives; the sender sees some between.
            for step in [1, 10_000, 20_000] {
                let _ = protected(&mut sender, rtp(1, (index + step) as u16, b"lost"));
            }
            index += 32_767;
            let plain = rtp(1, index as u16, b"arrives");
            let mut packet = protected(&mut sender, plain.clone());
            assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
            assert_eq!(receiver.rollover(1), Some((index >> 16) as u32));
        }
    }
}

/// The packet index passes 2^32 and every power of two from 2^16 on, with packets out of
/// order across the border and one lost there.
#[test]
fn indices_pass_every_power_of_two() {
    for profile in Profile::ALL {
        for power in 16..48 {
            let border = 1u64 << power;
            let (mut sender, mut receiver) = pair(profile);
            let before = ((border - 3) >> 16) as u32;
            sender.set_rollover(1, before).unwrap();
            receiver.set_rollover(1, before).unwrap();
            let mut packets: Vec<_> = (border - 3..border + 3)
                .map(|index| protected(&mut sender, rtp(1, index as u16, b"payload")))
                .collect();
            packets.remove(3);
            packets.swap(1, 4);
            for packet in &packets {
                let done = receiver.unprotect_rtp(&mut packet.clone());
                assert_eq!(done, Ok(19), "{profile:?} 2^{power}");
            }
            assert_eq!(receiver.rollover(1), Some((border >> 16) as u32));
            assert_eq!(
                receiver.unprotect_rtp(&mut packets[2].clone()),
                Err(UnprotectError::Replayed)
            );
        }
    }
}

#[test]
fn the_last_roll_over_ends_the_stream() {
    for profile in [Profile::AesCm128HmacSha1_80, Profile::AeadAes256Gcm] {
        let (mut sender, mut receiver) = pair(profile);
        sender.set_rollover(1, u32::MAX).unwrap();
        receiver.set_rollover(1, u32::MAX).unwrap();
        for sequence in [40_000, 65_534, 65_535] {
            let mut packet = protected(&mut sender, rtp(1, sequence, b"late"));
            receiver.unprotect_rtp(&mut packet).unwrap();
        }
        let plain = rtp(1, 0, b"too late");
        let mut packet = plain.clone();
        assert_eq!(
            sender.protect_rtp(&mut packet, 0),
            Err(ProtectError::IndexExhausted)
        );
        assert_eq!(packet, plain);
        packet.extend_from_slice(&[0; 16]);
        assert_eq!(
            receiver.unprotect_rtp(&mut packet),
            Err(UnprotectError::IndexExhausted)
        );
    }
}

#[test]
fn a_stream_joined_late_needs_its_roll_over_counter() {
    let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    sender.set_rollover(1, 7).unwrap();
    let packet = protected(&mut sender, rtp(1, 5, b"payload"));
    assert_eq!(
        receiver.unprotect_rtp(&mut packet.clone()),
        Err(UnprotectError::Authentication)
    );
    receiver.set_rollover(1, 7).unwrap();
    assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok());
}

#[test]
fn packets_behind_the_window_are_too_old() {
    for window in [64, 1024, 32_768] {
        let config = Config::new().replay_window(window).unwrap();
        let (mut sender, mut receiver) = pair_with(Profile::AesCm128HmacSha1_80, &config);
        let window = window as u16;
        let behind = protected(&mut sender, rtp(1, 100, b"behind"));
        let edge = protected(&mut sender, rtp(1, 101, b"edge"));
        for step in 1..=4 {
            let sequence = 100 + window / 4 * step;
            let mut packet = protected(&mut sender, rtp(1, sequence, b"newest"));
            receiver.unprotect_rtp(&mut packet).unwrap();
        }
        assert_eq!(
            receiver.unprotect_rtp(&mut behind.clone()),
            Err(UnprotectError::TooOld)
        );
        assert!(receiver.unprotect_rtp(&mut edge.clone()).is_ok());
    }
    assert!(Config::new().replay_window(63).is_err());
    assert!(Config::new().replay_window(32_769).is_err());
}

#[test]
fn a_key_is_used_up_before_it_is_used_too_often() {
    let config = Config::new()
        .max_rtp_packets(2)
        .unwrap()
        .max_rtcp_packets(1)
        .unwrap();
    let (mut sender, _) = pair_with(Profile::AeadAes128Gcm, &config);
    protected(&mut sender, rtp(1, 1, b"one"));
    protected(&mut sender, rtp(2, 1, b"two"));
    assert_eq!(
        sender.protect_rtp(&mut rtp(1, 2, b"three"), 0),
        Err(ProtectError::KeyExpired)
    );
    sender.protect_rtcp(&mut rtcp(1), 0).unwrap();
    assert_eq!(
        sender.protect_rtcp(&mut rtcp(2), 0),
        Err(ProtectError::KeyExpired)
    );
    assert_eq!(sender.packets_left(), (0, 0));
    sender
        .rekey(&support::key(Profile::AeadAes128Gcm, 9))
        .unwrap();
    protected(&mut sender, rtp(1, 2, b"three"));
}

#[test]
fn bad_starts_and_lengths_are_the_callers_and_not_a_panic() {
    let (mut sender, _) = pair(Profile::AeadAes128Gcm);
    let mut packet = rtp(1, 1, b"payload");
    let plain = packet.clone();
    assert_eq!(
        sender.protect_rtp(&mut packet, 1000),
        Err(ProtectError::NoRoom)
    );
    let len = packet.len();
    for (len, room) in [
        (len, len),
        (len + 1, len),
        (len, len + 15),
        (usize::MAX, len),
    ] {
        let mut buffer = plain.clone();
        buffer.resize(room, 0);
        assert_eq!(
            sender.protect_rtp_in(&mut buffer, len),
            Err(ProtectError::NoRoom)
        );
        assert_eq!(
            sender.protect_rtcp_in(&mut buffer, len),
            Err(ProtectError::NoRoom)
        );
    }
    assert_eq!(packet, plain);
    assert_eq!(sender.stats().rtp_packets, 0);
}
