//! Properties of the codec.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use tincan_stun::attributes::*;
use tincan_stun::error::ParseError;
use tincan_stun::integrity::Key;
use tincan_stun::limits::MAX_ATTRIBUTES;
use tincan_stun::message::*;

/// Attributes that end a message have rules of their own.
fn plain_type() -> impl Strategy<Value = u16> {
    any::<u16>().prop_filter("closing attribute", |t| {
        ![0x0008, 0x001C, 0x8028].contains(t)
    })
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Request),
        Just(Class::Indication),
        Just(Class::Success),
        Just(Class::Error)
    ]
}

fn touch_everything(octets: &[u8]) {
    let _ = is_stun(octets);
    let Ok(m) = Message::parse(octets) else {
        return;
    };
    let _ = format!("{m:?}");
    let key = Key::from_bytes(b"k");
    let _ = (
        m.verify_integrity(&key),
        m.verify_integrity_sha256(&key),
        m.verify_fingerprint(),
    );
    let _ = m.unknown_required(&[]).count();
    let _ = (
        m.get::<XorMappedAddress>(),
        m.get::<MappedAddress>(),
        m.get::<ErrorCode<'_>>(),
    );
    let _ = (
        m.get::<Username<'_>>(),
        m.get::<Icmp>(),
        m.get::<AddressErrorCode<'_>>(),
    );
    let _ = m.get::<UnknownAttributes<'_>>().map(|u| u.types().count());
    let _ = m.get::<PasswordAlgorithms<'_>>().map(|p| p.iter().count());
    let _ = m.get::<PasswordAlgorithm<'_>>();
    let _ = m.get::<DtlsInStunAck<'_>>().map(|a| a.checksums().count());
    let _ = m.get_all::<XorPeerAddress>().count();
    let _ = (
        m.get::<ChannelNumber>(),
        m.get::<Nomination>(),
        m.get::<EvenPort>(),
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("TINCAN_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
    ))]

    #[test]
    fn parse_after_write_is_identity(
        class in class(),
        method in 0u16..=0xFFF,
        id in any::<[u8; 12]>(),
        attributes in proptest::collection::vec(
            (plain_type(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        sha1 in any::<bool>(),
        sha256 in any::<bool>(),
        fingerprint in any::<bool>(),
        key in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let key = Key::from_bytes(&key);
        let mut out = vec![0xAB; 3];
        let mut w = Writer::new(&mut out, class, Method::new(method).unwrap(), TransactionId::new(id));
        for (kind, value) in &attributes {
            w = w.push_raw(AttributeType(*kind), value);
        }
        if sha1 { w = w.integrity(&key); }
        if sha256 { w = w.integrity_sha256(&key); }
        if fingerprint { w = w.fingerprint(); }
        let len = w.finish().unwrap();
        let octets = &out[3..];
        prop_assert_eq!(len, octets.len());
        let m = Message::parse(octets).unwrap();
        prop_assert_eq!(m.class(), class);
        prop_assert_eq!(m.method().number(), method);
        prop_assert_eq!(*m.transaction_id().as_bytes(), id);
        let read: Vec<_> = m.attributes()
            .filter(|a| ![0x0008, 0x001C].contains(&a.kind.0))
            .map(|a| (a.kind.0, a.value.to_vec())).collect();
        prop_assert_eq!(read, attributes);
        prop_assert_eq!(m.verify_integrity(&key).is_ok(), sha1);
        prop_assert_eq!(m.verify_integrity_sha256(&key).is_ok(), sha256);
        prop_assert_eq!(m.verify_fingerprint().is_ok(), fingerprint);
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        touch_everything(&octets);
    }

    /// Random octets are hardly ever a message: these all have its header.
    #[test]
    fn arbitrary_attributes_never_panic(
        kinds in proptest::collection::vec((0usize..70, 0u16..64, any::<u8>()), 0..30),
        cut in 0usize..8,
    ) {
        let types: Vec<u16> = (0..=u16::MAX).filter(|t| AttributeType(*t).name().is_some()).collect();
        let mut octets = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        octets.extend_from_slice(&[7; 12]);
        for (kind, len, fill) in kinds {
            octets.extend_from_slice(&types[kind % types.len()].to_be_bytes());
            octets.extend_from_slice(&len.to_be_bytes());
            octets.extend(std::iter::repeat_n(fill, usize::from(len + 3) & !3));
        }
        octets.truncate(octets.len() - cut.min(octets.len() - 20) / 4 * 4);
        let len = (octets.len() - 20) as u16;
        octets[2..4].copy_from_slice(&len.to_be_bytes());
        touch_everything(&octets);
    }

    #[test]
    fn a_flipped_bit_never_passes(bit in 0usize..8 * 60, key in any::<[u8; 16]>(), sha256 in any::<bool>()) {
        let key = Key::from_bytes(&key);
        let mut out = Vec::new();
        let w = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId::new([5; 12]))
            .push(&Username("user:name"))
            .push(&Priority(77));
        let w = if sha256 { w.integrity_sha256(&key) } else { w.integrity(&key) };
        w.fingerprint().finish().unwrap();
        let bit = bit % (out.len() * 8);
        out[bit / 8] ^= 1 << (bit % 8);
        if let Ok(m) = Message::parse(&out) {
            prop_assert!(m.verify_fingerprint().is_err());
            if bit / 8 < out.len() - 8 {
                prop_assert!(m.verify_strongest(&key).is_err());
            }
        }
    }
}

fn header(len: u16) -> Vec<u8> {
    let mut octets = vec![0, 1];
    octets.extend_from_slice(&len.to_be_bytes());
    octets.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    octets.extend_from_slice(&[7; 12]);
    octets
}

#[test]
fn bad_structure_is_told_by_name() {
    let parse = |octets: &[u8]| Message::parse(octets).err();
    assert_eq!(parse(&header(0)[..19]), Some(ParseError::Short));
    assert_eq!(parse(&header(0)), None);
    assert_eq!(parse(&header(2)), Some(ParseError::Unaligned));
    assert_eq!(parse(&header(4)), Some(ParseError::LengthMismatch));
    let mut trailing = header(0);
    trailing.extend_from_slice(&[0; 4]);
    assert_eq!(parse(&trailing), Some(ParseError::LengthMismatch));
    let mut not = header(0);
    not[0] = 0x40;
    assert_eq!(parse(&not), Some(ParseError::NotStun));
    let mut not = header(0);
    not[4] = 0;
    assert_eq!(parse(&not), Some(ParseError::NotStun));

    let with = |attributes: &[u8]| {
        let mut octets = header(attributes.len() as u16);
        octets.extend_from_slice(attributes);
        Message::parse(&octets).err()
    };
    // A value that ends in the message while its padding does not.
    assert_eq!(
        with(&[0, 6, 0, 5, 1, 2, 3, 4]),
        Some(ParseError::TruncatedAttribute)
    );
    assert_eq!(
        with(&[0, 6, 0xFF, 0xFF, 1, 2, 3, 4]),
        Some(ParseError::TruncatedAttribute)
    );
    assert_eq!(
        with(&[0, 8, 0, 4, 1, 2, 3, 4]),
        Some(ParseError::BadLength(AttributeType::MESSAGE_INTEGRITY))
    );
    assert_eq!(
        with(&[0, 0x1C, 0, 12, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]),
        Some(ParseError::BadLength(
            AttributeType::MESSAGE_INTEGRITY_SHA256
        ))
    );
    assert_eq!(
        with(&[0x80, 0x28, 0, 0]),
        Some(ParseError::BadLength(AttributeType::FINGERPRINT))
    );
    assert_eq!(with(&[0; 65_532]), Some(ParseError::TooManyAttributes));
    assert_eq!(with(&[0; 4 * MAX_ATTRIBUTES]), None);
}
