use std::net::SocketAddr;

use super::*;
use crate::message::{Class, Message, Method, Writer};

fn round_trip<'a, A>(out: &'a mut Vec<u8>, attribute: A)
where
    A: Attribute<'a> + PartialEq + core::fmt::Debug,
{
    out.clear();
    let id = TransactionId::new(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98");
    Writer::new(out, Class::Request, Method::BINDING, id)
        .push(&attribute)
        .finish()
        .unwrap();
    let message = Message::parse(out).unwrap();
    assert_eq!(message.attributes().count(), 1);
    assert_eq!(message.get::<A>(), Some(attribute));
}

#[test]
fn every_fixed_attribute_reads_back_what_was_written() {
    let out = &mut Vec::new();
    let v4: SocketAddr = "192.0.2.1:32853".parse().unwrap();
    let v6: SocketAddr = "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
        .parse()
        .unwrap();
    for addr in [v4, v6] {
        round_trip(&mut out.clone(), MappedAddress(addr));
        round_trip(&mut out.clone(), XorMappedAddress(addr));
        round_trip(&mut out.clone(), XorPeerAddress(addr));
        round_trip(&mut out.clone(), XorRelayedAddress(addr));
        round_trip(&mut out.clone(), AlternateServer(addr));
        round_trip(&mut out.clone(), ResponseOrigin(addr));
        round_trip(&mut out.clone(), OtherAddress(addr));
    }
    for family in [Family::V4, Family::V6] {
        round_trip(&mut out.clone(), RequestedAddressFamily(family));
        round_trip(&mut out.clone(), AdditionalAddressFamily(family));
        let error = ErrorCode::INSUFFICIENT_CAPACITY;
        round_trip(&mut out.clone(), AddressErrorCode { family, error });
    }
    for flag in [false, true] {
        round_trip(&mut out.clone(), EvenPort { reserve_next: flag });
        round_trip(
            &mut out.clone(),
            ChangeRequest {
                ip: flag,
                port: !flag,
            },
        );
        round_trip(
            &mut out.clone(),
            EcnCheck {
                ecn: 2,
                valid: flag,
            },
        );
    }
    round_trip(&mut out.clone(), Username("a:b"));
    round_trip(&mut out.clone(), Realm("example.org"));
    round_trip(&mut out.clone(), Nonce("x"));
    round_trip(&mut out.clone(), Software("tincan"));
    round_trip(&mut out.clone(), AlternateDomain("example.org"));
    round_trip(&mut out.clone(), Data(&[1, 2, 3]));
    round_trip(&mut out.clone(), MobilityTicket(&[]));
    round_trip(&mut out.clone(), DtlsInStun(&[22; 5]));
    round_trip(&mut out.clone(), UseCandidate);
    round_trip(&mut out.clone(), DontFragment);
    round_trip(&mut out.clone(), Priority(0x6e00_01ff));
    round_trip(&mut out.clone(), Lifetime(600));
    round_trip(&mut out.clone(), ConnectionId(7));
    round_trip(&mut out.clone(), IceControlled(TieBreaker(u64::MAX)));
    round_trip(&mut out.clone(), IceControlling(TieBreaker(1)));
    round_trip(&mut out.clone(), ChannelNumber::MIN);
    round_trip(&mut out.clone(), RequestedTransport::UDP);
    round_trip(&mut out.clone(), ReservationToken([3; 8]));
    round_trip(&mut out.clone(), UserHash([9; 32]));
    round_trip(&mut out.clone(), ResponsePort(4000));
    round_trip(
        &mut out.clone(),
        Icmp {
            kind: 3,
            code: 4,
            data: 1280,
        },
    );
    round_trip(
        &mut out.clone(),
        TransactionTransmitCounter {
            request: 2,
            response: 1,
        },
    );
    round_trip(&mut out.clone(), GoogNetworkInfo { id: 1, cost: 999 });
    round_trip(&mut out.clone(), Nomination(0xFF_FFFF));
    round_trip(&mut out.clone(), ErrorCode::ROLE_CONFLICT);
    round_trip(&mut out.clone(), PasswordAlgorithm::SHA256);
}

#[test]
fn lists_read_back_what_was_written() {
    let mut out = Vec::new();
    let id = TransactionId::new([1; 12]);
    let types = [
        AttributeType::PRIORITY,
        AttributeType(0x7FFF),
        AttributeType(1),
    ];
    let algorithms = [
        PasswordAlgorithm {
            id: PasswordAlgorithmId::Unknown(9),
            parameters: &[1, 2, 3],
        },
        PasswordAlgorithm::MD5,
    ];
    Writer::new(&mut out, Class::Error, Method::ALLOCATE, id)
        .push(&UnknownAttributes::List(&types))
        .push(&PasswordAlgorithms::List(&algorithms))
        .push(&DtlsInStunAck::List(&[1, u32::MAX]))
        .finish()
        .unwrap();
    let message = Message::parse(&out).unwrap();
    assert!(
        message
            .get::<UnknownAttributes<'_>>()
            .unwrap()
            .types()
            .eq(types)
    );
    assert!(
        message
            .get::<PasswordAlgorithms<'_>>()
            .unwrap()
            .iter()
            .eq(algorithms)
    );
    assert!(
        message
            .get::<DtlsInStunAck<'_>>()
            .unwrap()
            .checksums()
            .eq([1, u32::MAX])
    );
}

#[test]
fn values_that_may_not_stand_on_the_wire_are_refused_and_leave_nothing() {
    let id = TransactionId::new([1; 12]);
    let mut out = vec![0xEE];
    let long = "x".repeat(MAX_USERNAME_LEN + 1);
    let write = Writer::new(&mut out, Class::Request, Method::BINDING, id);
    assert_eq!(
        write.push(&Username(&long)).push(&Priority(1)).finish(),
        Err(WriteError::ValueTooLong(AttributeType::USERNAME))
    );
    assert_eq!(out, [0xEE]);
    let write = Writer::new(&mut out, Class::Request, Method::BINDING, id);
    assert_eq!(
        write.push(&Nomination(1 << 24)).finish(),
        Err(WriteError::OutOfRange(AttributeType::NOMINATION))
    );
    let big = vec![0; 40_000];
    let write = Writer::new(&mut out, Class::Request, Method::BINDING, id);
    assert_eq!(
        write.push(&Data(&big)).push(&Data(&big)).finish(),
        Err(WriteError::MessageTooLong)
    );
    assert_eq!(out, [0xEE]);
    assert_eq!(ErrorCode::new(299, ""), None);
    assert_eq!(ChannelNumber::new(0x8000), None);
}

#[test]
fn malformed_values_are_told_from_missing_ones() {
    let mut out = Vec::new();
    let id = TransactionId::new([1; 12]);
    Writer::new(&mut out, Class::Request, Method::BINDING, id)
        .push_raw(AttributeType::PRIORITY, &[1, 2, 3])
        .push_raw(
            AttributeType::XOR_MAPPED_ADDRESS,
            &[0, 1, 0, 0, 1, 2, 3, 4, 5],
        )
        .push_raw(AttributeType::USERNAME, &[0xFF])
        .push_raw(AttributeType::ERROR_CODE, &[0, 0, 2, 0])
        .finish()
        .unwrap();
    let message = Message::parse(&out).unwrap();
    assert!(message.try_get::<Priority>().is_err());
    assert!(message.try_get::<XorMappedAddress>().is_err());
    assert!(message.try_get::<Username<'_>>().is_err());
    assert!(message.try_get::<ErrorCode<'_>>().is_err());
    assert_eq!(message.try_get::<Lifetime>(), Ok(None));
}
