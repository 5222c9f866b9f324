//! AES-GCM from aws-lc-rs is AES-GCM from ring.
#![cfg(feature = "aws-lc-rs")]

mod support;

use support::{pair_with, rtcp, rtp};
use tincan_srtp::{Backend, Config, Cryptex, Profile, UnprotectError};

const GCM: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

#[test]
fn each_backend_writes_the_same_bytes_and_reads_the_others() {
    for profile in GCM {
        let config = Config::new().cryptex(Cryptex::Use).encrypted_elements([3]);
        let (mut ring, mut ring_in) = pair_with(profile, &config);
        let (mut aws, mut aws_in) = pair_with(profile, &config.backend(Backend::AwsLcRs));
        for sequence in 0..300 {
            let mut plain = rtp(
                7,
                sequence,
                &vec![sequence as u8; usize::from(sequence) * 5],
            );
            if sequence % 3 == 1 {
                plain[0] |= 0x10;
                plain.splice(12..12, [0xbe, 0xde, 0, 1, 0x31, 1, 2, 0]);
            }
            let (mut ours, mut theirs) = (plain.clone(), plain.clone());
            ring.protect_rtp(&mut ours, 0).unwrap();
            aws.protect_rtp(&mut theirs, 0).unwrap();
            assert_eq!(ours, theirs, "{profile:?} {sequence}");
            let len = aws_in.unprotect_rtp(&mut ours).unwrap();
            assert_eq!(ours[..len], plain);
            let len = ring_in.unprotect_rtp(&mut theirs).unwrap();
            assert_eq!(theirs[..len], plain);
        }
        for _ in 0..20 {
            let plain = rtcp(7);
            let (mut ours, mut theirs) = (plain.clone(), plain.clone());
            ring.protect_rtcp(&mut ours, 0).unwrap();
            aws.protect_rtcp(&mut theirs, 0).unwrap();
            assert_eq!(ours, theirs, "{profile:?}");
            let len = aws_in.unprotect_rtcp(&mut ours).unwrap();
            assert_eq!(ours[..len], plain);
            let len = ring_in.unprotect_rtcp(&mut theirs).unwrap();
            assert_eq!(theirs[..len], plain);
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_by_aws_lc_rs_too() {
    for profile in GCM {
        let (mut sender, mut receiver) =
            pair_with(profile, &Config::new().backend(Backend::AwsLcRs));
        let mut packet = rtp(1, 1, b"some payload");
        sender.protect_rtp(&mut packet, 0).unwrap();
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver.unprotect_rtp(&mut forged).is_err(), "bit {bit}");
        }
        assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok());
        assert_eq!(
            receiver.unprotect_rtp(&mut packet),
            Err(UnprotectError::Replayed)
        );
    }
}

#[test]
fn no_allocation_a_packet() {
    for profile in GCM {
        let (mut sender, mut receiver) =
            pair_with(profile, &Config::new().backend(Backend::AwsLcRs));
        let mut packet = Vec::with_capacity(2000);
        let mut one_way = |sequence: u16| {
            packet.clear();
            packet.extend_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet.resize(1200, 7);
            sender.protect_rtp(&mut packet, 0).unwrap();
            receiver.unprotect_rtp(&mut packet).unwrap();
        };
        one_way(0);
        let heap = allocation_counter::measure(|| (1..1000).for_each(&mut one_way));
        assert_eq!(heap.count_total, 0, "{profile:?}");
    }
}
