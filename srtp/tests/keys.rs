//! Master keys: identifiers, changes of key, key-derivation rates, and doing without encryption.

mod support;

use support::{key, protected, rtcp, rtp};
use tincan_srtp::{Config, KeyError, MasterKey, Profile, Receiver, Sender, UnprotectError};

#[test]
fn an_identifier_chooses_the_key() {
    for profile in Profile::ALL {
        let old = key(profile, 1).with_mki(&[0, 1]).unwrap();
        let new = key(profile, 2).with_mki(&[0, 2]).unwrap();
        let mut sender = Sender::new(&old).unwrap();
        let mut receiver = Receiver::new(&old).unwrap();
        receiver.add_key(&new).unwrap();

        let before = protected(&mut sender, rtp(1, 1, b"before"));
        assert_eq!(
            before.len(),
            rtp(1, 1, b"before").len() + profile.rtp_tag_len() + 2
        );
        let mut rtcp_before = rtcp(1);
        sender.protect_rtcp(&mut rtcp_before, 0).unwrap();
        sender.rekey(&new).unwrap();
        let after = protected(&mut sender, rtp(1, 2, b"after"));
        let mut rtcp_after = rtcp(1);
        sender.protect_rtcp(&mut rtcp_after, 0).unwrap();

        for (packet, plain) in [(after, &b"after"[..]), (before, &b"before"[..])] {
            let mut packet = packet;
            let len = receiver.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet[12..len], *plain);
        }
        for mut packet in [rtcp_after, rtcp_before] {
            let len = receiver.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..len], rtcp(1));
        }

        receiver.retire_old_keys();
        let mut sender = Sender::new(&old).unwrap();
        let mut packet = protected(&mut sender, rtp(1, 9, b"old key"));
        assert_eq!(
            receiver.unprotect_rtp(&mut packet),
            Err(UnprotectError::UnknownMki)
        );
    }
}

#[test]
fn packets_in_flight_survive_a_change_of_key_without_identifiers() {
    for profile in Profile::ALL {
        let (old, new) = (key(profile, 1), key(profile, 2));
        let mut sender = Sender::new(&old).unwrap();
        let mut receiver = Receiver::new(&old).unwrap();
        let before = protected(&mut sender, rtp(1, 65_535, b"before"));
        let mut rtcp_before = rtcp(1);
        sender.protect_rtcp(&mut rtcp_before, 0).unwrap();
        sender.rekey(&new).unwrap();
        receiver.add_key(&new).unwrap();
        // The roll-over counter goes on.
        let after = protected(&mut sender, rtp(1, 0, b"after"));
        let first = protected(&mut Sender::new(&old).unwrap(), rtp(1, 65_534, b"first"));

        for packet in [first, before.clone(), after] {
            let mut forged = packet.clone();
            forged[14] ^= 1;
            let unchanged = forged.clone();
            assert_eq!(
                receiver.unprotect_rtp(&mut forged),
                Err(UnprotectError::Authentication)
            );
            assert_eq!(forged, unchanged);
            let mut packet = packet;
            receiver.unprotect_rtp(&mut packet).unwrap();
        }
        let len = receiver.unprotect_rtcp(&mut rtcp_before).unwrap();
        assert_eq!(rtcp_before[..len], rtcp(1));
        assert_eq!(
            receiver.unprotect_rtp(&mut before.clone()),
            Err(UnprotectError::Replayed)
        );
        assert_eq!(receiver.rollover(1), Some(1));
    }
}

#[test]
fn keys_that_do_not_fit_together_are_refused() {
    let profile = Profile::AeadAes128Gcm;
    let mut plain = Receiver::new(&key(profile, 1)).unwrap();
    let named = key(profile, 2).with_mki(&[1]).unwrap();
    assert_eq!(plain.add_key(&named), Err(KeyError::Mki));
    assert_eq!(
        plain.add_key(&key(Profile::AeadAes256Gcm, 1)),
        Err(KeyError::Profile)
    );
    for seed in 2..5 {
        plain.add_key(&key(profile, seed)).unwrap();
    }
    assert_eq!(plain.add_key(&key(profile, 6)), Err(KeyError::TooManyKeys));
    let mut receiver = Receiver::new(&named).unwrap();
    assert_eq!(receiver.add_key(&named), Err(KeyError::Mki));
    let longer = key(profile, 3).with_mki(&[1, 2]).unwrap();
    assert_eq!(receiver.add_key(&longer), Err(KeyError::Mki));
    assert!(key(profile, 1).with_mki(&[]).is_err());
    assert!(key(profile, 1).with_mki(&[0; 5]).is_err());
    assert!(MasterKey::new(profile, &[0; 15], &[0; 12]).is_err());
    assert!(MasterKey::new(profile, &[0; 16], &[0; 14]).is_err());
    assert!(MasterKey::from_concatenated(profile, &[0; 27]).is_err());
    assert!(MasterKey::pair_from_dtls_exporter(profile, &[0; 55]).is_err());
}

#[test]
fn session_keys_change_with_the_derivation_rate() {
    for profile in Profile::ALL {
        let config = Config::new().key_derivation_rate(Some(4)).unwrap();
        let key = key(profile, 1);
        let mut sender = Sender::with_config(&key, config.clone()).unwrap();
        let mut receiver = Receiver::with_config(&key, config).unwrap();
        let mut constant = Sender::new(&key).unwrap();
        let mut packets = Vec::new();
        for sequence in 0..200u16 {
            let plain = rtp(1, sequence, b"some payload");
            let packet = protected(&mut sender, plain.clone());
            let same = packet == protected(&mut constant, plain.clone());
            assert_eq!(same, sequence < 16, "{profile:?} {sequence}");
            packets.push((plain, packet));
        }
        // Reordered across the changes, with forgeries that claim to be of a far-off epoch.
        for chunk in packets.chunks(10).collect::<Vec<_>>().chunks(2) {
            for (plain, packet) in chunk.iter().rev().flat_map(|packets| packets.iter()) {
                let mut forged = packet.clone();
                forged[2] ^= 0x40;
                assert!(receiver.unprotect_rtp(&mut forged).is_err());
                let mut packet = packet.clone();
                assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
                assert_eq!(packet[..plain.len()], *plain);
            }
        }
        for _ in 0..40 {
            let mut packet = rtcp(1);
            sender.protect_rtcp(&mut packet, 0).unwrap();
            let len = receiver.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..len], rtcp(1));
        }
    }
    assert!(Config::new().key_derivation_rate(Some(25)).is_err());
}

#[test]
fn without_encryption_packets_are_readable_and_still_verified() {
    let profile = Profile::AesCm128HmacSha1_80;
    let key = key(profile, 1);
    let mut sender = Sender::dangerous_without_encryption(&key, Config::new()).unwrap();
    let mut receiver = Receiver::dangerous_without_encryption(&key, Config::new()).unwrap();
    let plain = rtp(1, 1, b"readable");
    let mut packet = protected(&mut sender, plain.clone());
    assert_eq!(packet[..plain.len()], plain);
    let mut forged = packet.clone();
    forged[13] ^= 1;
    assert_eq!(
        receiver.unprotect_rtp(&mut forged),
        Err(UnprotectError::Authentication)
    );
    assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
    let gcm = support::key(Profile::AeadAes128Gcm, 1);
    assert!(Sender::dangerous_without_encryption(&gcm, Config::new()).is_err());
}

#[test]
fn rtcp_without_encryption_is_refused_unless_it_is_wanted() {
    for profile in Profile::ALL {
        let key = key(profile, 1);
        let open = Config::new().unencrypted_rtcp(true);
        let mut sender = Sender::with_config(&key, open.clone()).unwrap();
        let mut packet = rtcp(1);
        sender.protect_rtcp(&mut packet, 0).unwrap();
        assert_eq!(packet[..28], rtcp(1));
        let mut strict = Receiver::new(&key).unwrap();
        assert_eq!(
            strict.unprotect_rtcp(&mut packet.clone()),
            Err(UnprotectError::NotEncrypted)
        );
        let mut lenient = Receiver::with_config(&key, open).unwrap();
        let mut forged = packet.clone();
        forged[10] ^= 1;
        assert!(lenient.unprotect_rtcp(&mut forged).is_err());
        assert_eq!(lenient.unprotect_rtcp(&mut packet), Ok(28));
        assert_eq!(packet[..28], rtcp(1));
    }
}

#[test]
fn debug_shows_no_key() {
    let key = MasterKey::new(Profile::AeadAes128Gcm, &[0xab; 16], &[0xcd; 12]).unwrap();
    let shown = format!(
        "{key:?} {:?} {:?}",
        Sender::new(&key).unwrap(),
        Receiver::new(&key).unwrap()
    );
    for forbidden in ["171", "205", "ab", "cd"] {
        assert!(!shown.to_lowercase().contains(&format!("[{forbidden}")));
    }
    assert!(!shown.contains("171, 171"));
}
