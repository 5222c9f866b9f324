//! Any octets: the view never panics, and what it shows can be written and
//! read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_stun::attributes::*;
use tincan_stun::integrity::Key;
use tincan_stun::message::{AttributeType, Message, Writer, is_stun};

fuzz_target!(|octets: &[u8]| {
    let Ok(m) = Message::parse(octets) else {
        return;
    };
    assert!(is_stun(octets));
    let key = Key::from_bytes(b"fuzz");
    let _ = (
        m.verify_integrity(&key),
        m.verify_integrity_sha256(&key),
        m.verify_fingerprint(),
    );
    let _ = (
        m.get::<Username<'_>>(),
        m.get::<ErrorCode<'_>>(),
        m.get::<AddressErrorCode<'_>>(),
    );
    let _ = (
        m.get::<XorMappedAddress>(),
        m.get::<MappedAddress>(),
        m.get::<Icmp>(),
    );
    let _ = m.get::<UnknownAttributes<'_>>().map(|u| u.types().count());
    let _ = m.get::<PasswordAlgorithms<'_>>().map(|p| p.iter().count());
    let _ = m.get::<DtlsInStunAck<'_>>().map(|a| a.checksums().count());
    let _ = m.unknown_required(&[]).count();
    let closing = [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
    ];
    let shown: Vec<_> = m
        .attributes()
        .filter(|a| !closing.contains(&a.kind))
        .collect();
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out, m.class(), m.method(), m.transaction_id());
    for attribute in &shown {
        w = w.push_raw(attribute.kind, attribute.value);
    }
    if w.fingerprint().finish().is_ok() {
        let again = Message::parse(&out).expect("what was written");
        assert!(again.verify_fingerprint().is_ok());
        assert!(again.attributes().eq(shown.iter().copied()));
    }
});
