//! webrtc-srtp as the other end: the same bytes and the same plain packets, for every profile it
//! has, SRTP and SRTCP, both ways, across wraps of the sequence number.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails should fail its test"
)]

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tincan_srtp::{MasterKey, Profile, Receiver, Sender};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile as Theirs;

const PROFILES: [(Profile, Theirs); 6] = [
    (Profile::AesCm128HmacSha1_80, Theirs::Aes128CmHmacSha1_80),
    (Profile::AesCm128HmacSha1_32, Theirs::Aes128CmHmacSha1_32),
    (Profile::AesCm256HmacSha1_80, Theirs::Aes256CmHmacSha1_80),
    (Profile::AesCm256HmacSha1_32, Theirs::Aes256CmHmacSha1_32),
    (Profile::AeadAes128Gcm, Theirs::AeadAes128Gcm),
    (Profile::AeadAes256Gcm, Theirs::AeadAes256Gcm),
];

/// Both implementations with the same keys: a sender and a receiver of each.
struct Ends {
    sender: Sender,
    receiver: Receiver,
    their_sender: Context,
    their_receiver: Context,
}

impl Ends {
    fn new(profile: Profile, theirs: Theirs, rng: &mut StdRng) -> Self {
        let mut key = vec![0; profile.key_len()];
        let mut salt = vec![0; profile.salt_len()];
        rng.fill_bytes(&mut key);
        rng.fill_bytes(&mut salt);
        let master = MasterKey::new(profile, &key, &salt).unwrap();
        let context = || {
            let rtp = Some(srtp_replay_protection(1024));
            let rtcp = Some(srtcp_replay_protection(1024));
            Context::new(&key, &salt, theirs, rtp, rtcp).unwrap()
        };
        Self {
            sender: Sender::new(&master).unwrap(),
            receiver: Receiver::new(&master).unwrap(),
            their_sender: context(),
            their_receiver: context(),
        }
    }
}

/// A packet of any shape: CSRCs, an extension of either form, padding, a payload of any length.
fn rtp(rng: &mut StdRng, ssrc: u32, sequence: u16) -> Vec<u8> {
    let csrcs = rng.random_range(0..4_u8);
    let mut packet = vec![0x80 | csrcs, rng.random_range(96..128)];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&rng.random::<u32>().to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    for _ in 0..csrcs {
        packet.extend_from_slice(&rng.random::<u32>().to_be_bytes());
    }
    match rng.random_range(0..3) {
        0 => {
            packet[0] |= 0x10;
            packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0x21, 4, 5, 0]);
        }
        1 => {
            packet[0] |= 0x10;
            packet.extend_from_slice(&[0x10, 0x00, 0, 1, 7, 2, 1, 2]);
        }
        _ => (),
    }
    let mut payload = vec![0; rng.random_range(1..1300)];
    rng.fill_bytes(&mut payload);
    packet.extend_from_slice(&payload);
    if rng.random_bool(0.3) {
        packet[0] |= 0x20;
        let padding = rng.random_range(1..20_u8);
        packet.extend(std::iter::repeat_n(0, usize::from(padding) - 1));
        packet.push(padding);
    }
    packet
}

#[test]
fn rtp_is_the_same_both_ways() {
    for (number, (profile, theirs)) in PROFILES.into_iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(number as u64);
        let mut ends = Ends::new(profile, theirs, &mut rng);
        // Two streams, one of them across two wraps of its sequence number.
        for step in 0..1_500_u32 {
            let (ssrc, sequence) = if step % 3 == 0 {
                (0xcafe_babe, (65_500 + step) as u16)
            } else {
                (0x1234_5678, (30_000 + step * 100) as u16)
            };
            let plain = rtp(&mut rng, ssrc, sequence);
            let mut packet = plain.clone();
            ends.sender.protect_rtp(&mut packet, 0).unwrap();
            let made = ends.their_sender.encrypt_rtp(&plain).unwrap();
            assert!(packet == made, "{profile:?}: packet {step} differs");
            let opened = ends.their_receiver.decrypt_rtp(&packet).unwrap();
            assert!(
                opened == plain,
                "{profile:?}: theirs read packet {step} otherwise"
            );
            let mut packet = made.to_vec();
            let len = ends.receiver.unprotect_rtp(&mut packet).unwrap();
            assert!(
                packet[..len] == plain,
                "{profile:?}: ours read packet {step} otherwise"
            );
        }
    }
}

#[test]
fn rtcp_is_the_same_both_ways() {
    for (number, (profile, theirs)) in PROFILES.into_iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(100 + number as u64);
        let mut ends = Ends::new(profile, theirs, &mut rng);
        for step in 0..300_u32 {
            let words = rng.random_range(1..200_u16);
            let mut plain = vec![0x80, 200];
            plain.extend_from_slice(&words.to_be_bytes());
            plain.extend_from_slice(&(7 + step % 2).to_be_bytes());
            let mut body = vec![0; usize::from(words - 1) * 4];
            rng.fill_bytes(&mut body);
            plain.extend_from_slice(&body);
            let mut packet = plain.clone();
            ends.sender.protect_rtcp(&mut packet, 0).unwrap();
            // Their first index is 1, ours 0: the packets differ, what is read is the same.
            let made = ends.their_sender.encrypt_rtcp(&plain).unwrap();
            let opened = ends.their_receiver.decrypt_rtcp(&packet).unwrap();
            assert!(
                opened == plain,
                "{profile:?}: theirs read report {step} otherwise"
            );
            let mut packet = made.to_vec();
            let len = ends.receiver.unprotect_rtcp(&mut packet).unwrap();
            assert!(
                packet[..len] == plain,
                "{profile:?}: ours read report {step} otherwise"
            );
        }
    }
}

#[test]
fn both_refuse_damage_and_replays() {
    for (number, (profile, theirs)) in PROFILES.into_iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(200 + number as u64);
        let mut ends = Ends::new(profile, theirs, &mut rng);
        let mut packet = rtp(&mut rng, 1, 1);
        ends.sender.protect_rtp(&mut packet, 0).unwrap();
        // Behind the fixed header: a changed SSRC or number is another stream's business.
        for at in (12..packet.len()).step_by(7) {
            let mut forged = packet.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(
                ends.their_receiver.decrypt_rtp(&forged).is_err(),
                "{profile:?} {at}"
            );
            assert!(
                ends.receiver.unprotect_rtp(&mut forged).is_err(),
                "{profile:?} {at}"
            );
        }
        assert!(ends.their_receiver.decrypt_rtp(&packet).is_ok());
        assert!(ends.receiver.unprotect_rtp(&mut packet.clone()).is_ok());
        assert!(ends.their_receiver.decrypt_rtp(&packet).is_err());
        assert!(ends.receiver.unprotect_rtp(&mut packet).is_err());
    }
}
