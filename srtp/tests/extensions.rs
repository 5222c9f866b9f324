//! CSRCs and header extensions: every header shape there and back, Cryptex and single elements.

mod support;

use proptest::prelude::*;
use support::{pair, pair_with, protected, rtp};
use tincan_srtp::{Config, Cryptex, Malformed, Profile, ProtectError, UnprotectError};

/// An RTP packet with CSRCs, an extension and padding.
fn shaped(
    sequence: u16,
    csrcs: &[u32],
    extension: Option<(u16, Vec<u8>)>,
    payload: &[u8],
    padding: u8,
) -> Vec<u8> {
    let mut packet = rtp(7, sequence, &[]);
    packet[0] |= csrcs.len() as u8;
    for csrc in csrcs {
        packet.extend_from_slice(&csrc.to_be_bytes());
    }
    if let Some((profile, mut body)) = extension {
        packet[0] |= 0x10;
        body.resize(body.len().div_ceil(4) * 4, 0);
        packet.extend_from_slice(&profile.to_be_bytes());
        packet.extend_from_slice(&((body.len() / 4) as u16).to_be_bytes());
        packet.extend_from_slice(&body);
    }
    packet.extend_from_slice(payload);
    if padding > 0 {
        packet[0] |= 0x20;
        packet.resize(packet.len() + usize::from(padding) - 1, 0);
        packet.push(padding);
    }
    packet
}

/// One-byte elements: id and length, with padding between some.
fn one_byte() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((1u8..15, 1usize..17, any::<u8>(), 0usize..3), 0..6).prop_map(
        |elements| {
            let mut body = Vec::new();
            for (id, len, fill, padding) in elements {
                body.push(id << 4 | (len - 1) as u8);
                body.resize(body.len() + len, fill);
                body.resize(body.len() + padding, 0);
            }
            body
        },
    )
}

fn two_byte() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((1u8..=255, 0usize..40, any::<u8>()), 0..6).prop_map(|elements| {
        let mut body = Vec::new();
        for (id, len, fill) in elements {
            body.extend_from_slice(&[id, len as u8]);
            body.resize(body.len() + len, fill);
        }
        body
    })
}

fn extension() -> impl Strategy<Value = Option<(u16, Vec<u8>)>> {
    prop_oneof![
        Just(None),
        one_byte().prop_map(|body| Some((0xbede, body))),
        (0u16..16, two_byte()).prop_map(|(appbits, body)| Some((0x1000 | appbits, body))),
        (0u16..0xb000, prop::collection::vec(any::<u8>(), 0..40))
            .prop_filter("not of elements", |(profile, _)| profile & 0xfff0 != 0x1000)
            .prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_header_shape_comes_back(
        profile in prop::sample::select(Profile::ALL.to_vec()),
        mode in 0..4,
        sequence: u16,
        csrcs in prop::collection::vec(any::<u32>(), 0..16),
        extension in extension(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        padding in 0u8..20,
        bit: prop::sample::Index,
    ) {
        let config = match mode {
            0 => Config::new(),
            1 => Config::new().cryptex(Cryptex::Use),
            2 => Config::new().encrypted_elements([1, 3, 5, 200]),
            _ => Config::new().cryptex(Cryptex::Use).encrypted_elements(0..=255),
        };
        let (mut sender, mut receiver) = pair_with(profile, &config);
        let plain = shaped(sequence, &csrcs, extension.clone(), &payload, padding);
        let packet = protected(&mut sender, plain.clone());
        prop_assert!(packet.len() <= plain.len() + sender.rtp_overhead());

        let mut forged = packet.clone();
        let bit = bit.index(forged.len() * 8);
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(receiver.unprotect_rtp(&mut forged).is_err(), "bit {}", bit);

        let mut packet = packet;
        let len = receiver.unprotect_rtp(&mut packet).unwrap();
        packet.truncate(len);
        if mode % 2 == 1 && extension.is_none() && !csrcs.is_empty() {
            // RFC 9335 §5.1: an empty extension was added, and stays.
            let expected = shaped(sequence, &csrcs, Some((0xbede, vec![])), &payload, padding);
            prop_assert_eq!(packet, expected);
        } else {
            prop_assert_eq!(packet, plain);
        }
    }
}

#[test]
fn cryptex_leaves_nothing_of_csrcs_and_extensions_readable() {
    let config = Config::new().cryptex(Cryptex::Use);
    for profile in Profile::ALL {
        let (mut sender, _) = pair_with(profile, &config);
        let body = vec![0x1f; 16];
        let plain = shaped(1, &[0xabab_abab; 3], Some((0xbede, body)), b"payload", 0);
        let packet = protected(&mut sender, plain.clone());
        assert_eq!(packet[..12], plain[..12]);
        assert_eq!(packet[24..28], [0xc0, 0xde, 0, 4]);
        assert_ne!(packet[12..24], plain[12..24]);
        assert_ne!(packet[28..44], plain[28..44]);
    }
}

#[test]
fn where_cryptex_is_required_bare_headers_are_refused() {
    let (mut bare, _) = pair(Profile::AeadAes128Gcm);
    let config = Config::new().cryptex(Cryptex::Require);
    let (mut sender, mut receiver) = pair_with(Profile::AeadAes128Gcm, &config);
    let with_extension = shaped(1, &[], Some((0xbede, vec![0x10, 1, 0, 0])), b"x", 0);
    let with_csrc = shaped(2, &[5], None, b"x", 0);
    for plain in [&with_extension, &with_csrc] {
        let mut packet = protected(&mut bare, plain.clone());
        assert_eq!(
            receiver.unprotect_rtp(&mut packet),
            Err(UnprotectError::NotEncrypted)
        );
        let mut packet = protected(&mut sender, plain.clone());
        assert!(receiver.unprotect_rtp(&mut packet).is_ok());
    }
    let mut packet = protected(&mut bare, rtp(7, 3, b"neither"));
    assert!(receiver.unprotect_rtp(&mut packet).is_ok());
}

#[test]
fn a_packet_that_says_it_is_encrypted_already_is_not_sent() {
    for config in [Config::new(), Config::new().cryptex(Cryptex::Use)] {
        let (mut sender, _) = pair_with(Profile::AesCm128HmacSha1_80, &config);
        for profile in [0xc0de, 0xc2de] {
            let plain = shaped(1, &[], Some((profile, vec![0x10, 1, 0, 0])), b"x", 0);
            let mut packet = plain.clone();
            assert_eq!(
                sender.protect_rtp(&mut packet, 0),
                Err(ProtectError::Malformed(Malformed::EncryptedExtension))
            );
            assert_eq!(packet, plain);
        }
    }
}

#[test]
fn elements_beyond_their_extension_are_not_sent() {
    let config = Config::new().encrypted_elements([1]);
    let (mut sender, mut receiver) = pair_with(Profile::AesCm128HmacSha1_80, &config);
    let broken = shaped(1, &[], Some((0xbede, vec![0x1f, 1, 2, 3])), b"x", 0);
    let mut packet = broken.clone();
    assert!(matches!(
        sender.protect_rtp(&mut packet, 0),
        Err(ProtectError::Malformed(_))
    ));
    assert_eq!(packet, broken);
    // One that was sent all the same is genuine, so it is given on.
    let (mut careless, _) = pair(Profile::AesCm128HmacSha1_80);
    let mut packet = protected(&mut careless, broken.clone());
    assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(broken.len()));
}

#[test]
fn elements_not_chosen_stay_readable() {
    let config = Config::new().encrypted_elements([2]);
    for profile in Profile::ALL {
        let (mut sender, _) = pair_with(profile, &config);
        let body = vec![0x10, 0xaa, 0x23, 1, 2, 3, 4, 0, 0x30, 0xbb, 0, 0];
        let plain = shaped(1, &[], Some((0xbede, body)), b"payload", 0);
        let packet = protected(&mut sender, plain.clone());
        let changed: Vec<_> = (0..28).filter(|&i| packet[i] != plain[i]).collect();
        assert!(changed.iter().all(|i| (19..23).contains(i)), "{changed:?}");
        assert!(!changed.is_empty());
    }
}
