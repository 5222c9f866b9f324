//! What a network may bring, and what a caller may.

mod support;

use support::{pair, pair_with, protected, rtcp, rtp};
use tincan_srtp::{Config, Profile, ProtectError, Receiver, UnprotectError, WhenFull};

/// A simple generator: the tests need variety, not quality.
fn noise(seed: &mut u64) -> u8 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 56) as u8
}

#[test]
fn every_length_is_refused_and_counted() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut seed = 1;
        for len in 0..=2000 {
            for first in [0x80, 0x9f, 0x90, 0x8f, 0x00, 0xff] {
                let mut packet: Vec<u8> = (0..len).map(|_| noise(&mut seed)).collect();
                if let Some(byte) = packet.first_mut() {
                    *byte = first;
                }
                assert!(receiver.unprotect_rtp(&mut packet.clone()).is_err());
                assert!(receiver.unprotect_rtcp(&mut packet).is_err());
            }
        }
        let stats = receiver.stats();
        let counted = stats.malformed + stats.authentication_failures + stats.refused;
        assert_eq!(counted, 2001 * 6 * 2);
        assert_eq!(receiver.ssrcs().count(), 0);
        // The same from the caller's side.
        for len in 0..=2000 {
            let mut packet: Vec<u8> = (0..len).map(|_| noise(&mut seed)).collect();
            let before = packet.clone();
            if sender.protect_rtp(&mut packet, 0).is_err() {
                assert_eq!(packet, before);
            }
            let mut packet = before.clone();
            if sender.protect_rtcp(&mut packet, 0).is_err() {
                assert_eq!(packet, before);
            }
        }
    }
}

#[test]
fn packets_longer_than_a_datagram_are_refused() {
    let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let mut packet = rtp(1, 1, &vec![0; 65_600]);
    assert!(matches!(
        sender.protect_rtp(&mut packet, 0),
        Err(ProtectError::Malformed(_))
    ));
    assert!(matches!(
        receiver.unprotect_rtp(&mut packet),
        Err(UnprotectError::Malformed(_))
    ));
    let mut longest = protected(&mut sender, rtp(1, 2, &vec![7; 65_535 - 12]));
    assert_eq!(receiver.unprotect_rtp(&mut longest), Ok(65_535));
}

#[test]
fn a_full_table_refuses_where_it_was_told_to() {
    let config = Config::new()
        .max_streams(2)
        .unwrap()
        .when_full(WhenFull::Refuse);
    let profile = Profile::AesCm128HmacSha1_80;
    let (mut sender, _) = pair(profile);
    let (_, mut receiver) = pair_with(profile, &config);
    let mut results = Vec::new();
    for ssrc in 1..=3 {
        let mut packet = protected(&mut sender, rtp(ssrc, 1, b"x"));
        results.push(receiver.unprotect_rtp(&mut packet));
    }
    assert_eq!(results[2], Err(UnprotectError::TooManyStreams));
    assert!(receiver.remove_stream(1));
    assert!(!receiver.remove_stream(1));
    let mut packet = protected(&mut sender, rtp(3, 2, b"x"));
    assert!(receiver.unprotect_rtp(&mut packet).is_ok());

    let (mut small, _) = pair_with(profile, &config);
    protected(&mut small, rtp(1, 1, b"x"));
    protected(&mut small, rtp(2, 1, b"x"));
    assert_eq!(
        small.protect_rtp(&mut rtp(3, 1, b"x"), 0),
        Err(ProtectError::TooManyStreams)
    );
    assert!(small.remove_stream(1));
    protected(&mut small, rtp(3, 1, b"x"));
}

#[test]
fn forged_packets_far_ahead_move_nothing() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let packets: Vec<_> = (100..110)
            .map(|sequence| protected(&mut sender, rtp(1, sequence, b"payload")))
            .collect();
        receiver.unprotect_rtp(&mut packets[0].clone()).unwrap();
        for sequence in (0..=u16::MAX).step_by(11) {
            let mut forged = packets[5].clone();
            forged[2..4].copy_from_slice(&sequence.to_be_bytes());
            if sequence != 105 {
                assert!(receiver.unprotect_rtp(&mut forged).is_err());
            }
        }
        assert_eq!(receiver.rollover(1), Some(0));
        let stats = receiver.stats();
        assert_eq!(stats.rtp_packets, 1);
        // Each was counted, nearly all by their tags: few numbers are behind the window.
        let refused = stats.authentication_failures + stats.too_old + stats.replayed;
        assert_eq!(refused, 5_958, "{stats:?}");
        assert!(stats.authentication_failures > 2_900, "{stats:?}");
        for packet in &packets[1..] {
            receiver.unprotect_rtp(&mut packet.clone()).unwrap();
        }
        let mut packet = rtcp(1);
        sender.protect_rtcp(&mut packet, 0).unwrap();
        for index in [1u32, 1000, 0x7fff_ffff] {
            let mut forged = packet.clone();
            let at = if profile.is_aead() {
                forged.len() - 4
            } else {
                forged.len() - 14
            };
            forged[at..at + 4].copy_from_slice(&(index | 1 << 31).to_be_bytes());
            assert_eq!(
                receiver.unprotect_rtcp(&mut forged),
                Err(UnprotectError::Authentication)
            );
        }
        assert!(receiver.unprotect_rtcp(&mut packet).is_ok());
    }
}

#[test]
fn a_receiver_of_another_profile_or_key_refuses() {
    for profile in Profile::ALL {
        let (mut sender, _) = pair(profile);
        let packet = protected(&mut sender, rtp(1, 1, b"some payload of some length"));
        for other in Profile::ALL {
            if other != profile {
                let (_, mut receiver) = pair(other);
                assert!(receiver.unprotect_rtp(&mut packet.clone()).is_err());
            }
        }
        let mut receiver = Receiver::new(&support::key(profile, 77)).unwrap();
        assert_eq!(
            receiver.unprotect_rtp(&mut packet.clone()),
            Err(UnprotectError::Authentication)
        );
    }
}
