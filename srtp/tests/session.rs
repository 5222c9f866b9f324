//! Sender and receiver together, through the public API only.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

use tincan_srtp::{Contexts, Profile, ProtectError, Receiver, Sender, UnprotectError};

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x5a; 20]);
    packet
}

fn pair(profile: Profile) -> (Sender, Receiver) {
    let material: Vec<u8> = (0..profile.exporter_len() as u8).collect();
    let (sender, _) = Contexts::from_dtls_exporter(profile, &material, true).unwrap();
    let (_, receiver) = Contexts::from_dtls_exporter(profile, &material, false).unwrap();
    (sender, receiver)
}

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
