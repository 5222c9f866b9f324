//! The four vectors of RFC 5769, compared octet by octet with four other projects'
//! transcriptions, those of its §2.1 and §2.2 also with annotated dumps; and that
//! of RFC 8489 appendix B.1, compared with the RFC's text and its erratum.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use tincan_stun::attributes::*;
use tincan_stun::error::{IntegrityError, ParseError};
use tincan_stun::integrity::Key;
use tincan_stun::message::{AttributeType, Class, Message, Method, TieBreaker, Writer};

const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";
const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
const REQUEST_LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e\
    00060012e3839ee38388e383aae38383e382afe382b90000\
    0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b\
    6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// RFC 8489 B.1 as corrected by its erratum 6268.
const REQUEST_SHA256: &str = "000100902112a44278ad3433c6ad72c029da412e\
    001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704\
    001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476\
    793634734100000000\
    14000b6578616d706c652e6f726700001d000400020000\
    001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65";

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const MATRIX: &str = "マトリックス";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Every single flipped bit is noticed by the integrity, and by the fingerprint
/// where there is one (or makes the octets no message at all).
fn no_flipped_bit_passes(octets: &[u8], key: &Key) {
    let fingerprint = Message::parse(octets).unwrap().has_fingerprint();
    // What follows the integrity is not covered by it.
    let covered = octets.len() - if fingerprint { 8 } else { 0 };
    for bit in 0..octets.len() * 8 {
        let mut changed = octets.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = Message::parse(&changed) else {
            continue;
        };
        assert!(
            !fingerprint || message.verify_fingerprint().is_err(),
            "bit {bit}"
        );
        assert!(
            bit / 8 >= covered || message.verify_strongest(key).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn rfc_5769_2_1_request() {
    let octets = hex(REQUEST);
    let key = Key::from_bytes(PASSWORD.as_bytes());
    let message = Message::parse(&octets).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Request, Method::BINDING)
    );
    assert_eq!(message.get(), Some(Software("STUN test client")));
    assert_eq!(message.get(), Some(Priority(0x6e00_01ff)));
    assert_eq!(
        message.get(),
        Some(IceControlled(TieBreaker(0x932f_f9b1_5126_3b36)))
    );
    assert_eq!(message.get(), Some(Username("evtj:h6vY")));
    message.verify_fingerprint().unwrap();
    message.verify_integrity(&key).unwrap();
    assert_eq!(
        message.verify_integrity_sha256(&key),
        Err(IntegrityError::Missing)
    );
    let wrong = Key::from_bytes(b"VOkJxbRl1RmTxUk/WvJxBT");
    assert_eq!(
        message.verify_integrity(&wrong),
        Err(IntegrityError::Mismatch)
    );
    no_flipped_bit_passes(&octets, &key);
}

/// The vectors pad with spaces, we with zeros: write, and compare all octets
/// but padding and what depends on it.
#[test]
fn rfc_5769_2_1_written() {
    let octets = hex(REQUEST);
    let expected = Message::parse(&octets).unwrap();
    let key = Key::from_bytes(PASSWORD.as_bytes());
    let mut out = Vec::new();
    Writer::new(
        &mut out,
        Class::Request,
        Method::BINDING,
        expected.transaction_id(),
    )
    .push(&Software("STUN test client"))
    .push(&Priority(0x6e00_01ff))
    .push(&IceControlled(TieBreaker(0x932f_f9b1_5126_3b36)))
    .push(&Username("evtj:h6vY"))
    .integrity(&key)
    .fingerprint()
    .finish()
    .unwrap();
    let ours = Message::parse(&out).unwrap();
    ours.verify_fingerprint().unwrap();
    ours.verify_integrity(&key).unwrap();
    assert_eq!(out.len(), octets.len());
    assert_eq!(out[..73], octets[..73], "up to the padding of USERNAME");
}

#[test]
fn rfc_5769_2_2_and_2_3_responses() {
    let key = Key::from_bytes(PASSWORD.as_bytes());
    let v6: SocketAddr = "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
        .parse()
        .unwrap();
    let v4: SocketAddr = "192.0.2.1:32853".parse().unwrap();
    for (text, addr) in [(RESPONSE_V4, v4), (RESPONSE_V6, v6)] {
        let octets = hex(text);
        let message = Message::parse(&octets).unwrap();
        assert_eq!(
            (message.class(), message.method()),
            (Class::Success, Method::BINDING)
        );
        assert_eq!(message.get(), Some(Software("test vector")));
        assert_eq!(message.get(), Some(XorMappedAddress(addr)));
        message.verify_fingerprint().unwrap();
        message.verify_integrity(&key).unwrap();
        no_flipped_bit_passes(&octets, &key);

        let mut out = Vec::new();
        Writer::new(
            &mut out,
            Class::Success,
            Method::BINDING,
            message.transaction_id(),
        )
        .push(&Software("test vector"))
        .push(&XorMappedAddress(addr))
        .finish()
        .unwrap();
        assert_eq!(out[36..], octets[36..out.len()], "the address as written");
    }
}

#[test]
fn rfc_5769_2_4_long_term() {
    let octets = hex(REQUEST_LONG_TERM);
    let message = Message::parse(&octets).unwrap();
    assert_eq!(message.get(), Some(Username(MATRIX)));
    assert_eq!(message.get(), Some(Nonce("f//499k954d6OL34oL9FSTvy64sA")));
    assert_eq!(message.get(), Some(Realm("example.org")));
    assert!(!message.has_fingerprint());
    // The password of the vector is "The<U+00AD>M<U+00AA>tr<U+2168>" before SASLprep.
    let key = Key::long_term_md5(MATRIX, "example.org", "TheMatrIX");
    message.verify_integrity(&key).unwrap();
    no_flipped_bit_passes(&octets, &key);

    // Its padding is of zeros: writing gives the very octets.
    let mut out = Vec::new();
    Writer::new(
        &mut out,
        Class::Request,
        Method::BINDING,
        message.transaction_id(),
    )
    .push(&Username(MATRIX))
    .push(&Nonce("f//499k954d6OL34oL9FSTvy64sA"))
    .push(&Realm("example.org"))
    .integrity(&key)
    .finish()
    .unwrap();
    assert_eq!(out, octets);
}

#[test]
fn rfc_8489_b_1_with_its_erratum() {
    let octets = hex(REQUEST_SHA256);
    let message = Message::parse(&octets).unwrap();
    let key = Key::long_term_sha256(MATRIX, "example.org", "TheMatrIX");
    message.verify_integrity_sha256(&key).unwrap();
    message.verify_strongest(&key).unwrap();
    assert_eq!(message.get(), Some(PasswordAlgorithm::SHA256));
    no_flipped_bit_passes(&octets, &key);

    let user = message.get::<UserHash>().unwrap();
    let mut out = Vec::new();
    Writer::new(
        &mut out,
        Class::Request,
        Method::BINDING,
        message.transaction_id(),
    )
    .push(&user)
    .push(&message.get::<Nonce<'_>>().unwrap())
    .push(&Realm("example.org"))
    .push(&PasswordAlgorithm::SHA256)
    .integrity_sha256(&key)
    .finish()
    .unwrap();
    assert_eq!(out, octets);
}

/// As first printed it lacks PASSWORD-ALGORITHM and its length field is wrong:
/// no message, and its integrity is that of the octets as printed.
#[test]
fn rfc_8489_b_1_as_printed_is_refused_for_its_length() {
    let mut octets = hex(REQUEST_SHA256);
    let algorithm = octets.len() - 36 - 8;
    octets.drain(algorithm..algorithm + 8);
    octets[2..4].copy_from_slice(&[0x00, 0x9C]);
    assert_eq!(
        Message::parse(&octets).unwrap_err(),
        ParseError::LengthMismatch
    );
}

#[test]
fn what_follows_the_integrity_is_not_shown_and_nothing_may_follow_the_fingerprint() {
    let key = Key::from_bytes(b"key");
    let id = Message::parse(&hex(REQUEST)).unwrap().transaction_id();
    let mut out = Vec::new();
    Writer::new(&mut out, Class::Request, Method::BINDING, id)
        .push(&Username("u"))
        .integrity(&key)
        .finish()
        .unwrap();
    // PRIORITY smuggled in behind, by somebody who does not know the key.
    out.extend_from_slice(&[0x00, 0x24, 0, 4, 1, 2, 3, 4]);
    out[3] += 8;
    let message = Message::parse(&out).unwrap();
    message.verify_integrity(&key).unwrap();
    assert_eq!(message.get::<Priority>(), None);
    assert!(!message.has(AttributeType::PRIORITY));

    let mut out = Vec::new();
    Writer::new(&mut out, Class::Request, Method::BINDING, id)
        .integrity(&key)
        .integrity_sha256(&key)
        .fingerprint()
        .finish()
        .unwrap();
    let message = Message::parse(&out).unwrap();
    message.verify_integrity(&key).unwrap();
    message.verify_integrity_sha256(&key).unwrap();
    message.verify_fingerprint().unwrap();
    out.extend_from_slice(&[0x00, 0x24, 0, 4, 1, 2, 3, 4]);
    out[3] += 8;
    assert_eq!(
        Message::parse(&out).unwrap_err(),
        ParseError::AfterFingerprint
    );
}
