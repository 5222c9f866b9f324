//! RTP packets: views, writers, changes in place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use tincan_rtp::extension::{Element, ExtensionForm, ExtensionKind, ExtensionMap, IdRewrite};
use tincan_rtp::{
    Header, Packet, PacketMut, PacketWriter, ParseError, PayloadType, SequenceNumber, Ssrc,
    WriteError, is_rtcp,
};

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap()
}

fn header() -> Header {
    Header::new(pt(96), SequenceNumber(4711), 90_000, Ssrc(0x0102_0304))
}

#[test]
fn refuses_what_is_no_packet() {
    let good = [0x80u8, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xaa];
    assert_eq!(Packet::parse(&good).unwrap().payload(), [0xaa]);
    assert!(matches!(
        Packet::parse(&good[..11]),
        Err(ParseError::Truncated { needed: 12, .. })
    ));
    let with = |at: usize, octet: u8| {
        let mut bytes = good;
        bytes[at] = octet;
        Packet::parse(&bytes).err()
    };
    assert_eq!(with(0, 0x40), Some(ParseError::Version(1)));
    assert!(matches!(with(0, 0x81), Some(ParseError::Truncated { .. })));
    assert!(matches!(with(0, 0x90), Some(ParseError::Truncated { .. })));
    assert_eq!(with(0, 0xa0), Some(ParseError::Padding(0xaa)));
    let mut bytes = good.to_vec();
    bytes[0] = 0x90;
    bytes.extend_from_slice(&[0xde, 0, 2, 1]);
    bytes[12] = 0xbe;
    assert_eq!(
        Packet::parse(&bytes).err(),
        Some(ParseError::ExtensionLength(2))
    );
}

#[test]
fn padding_of_the_whole_payload_is_allowed_and_zero_is_not() {
    let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 3];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.payload(), packet.padding_len()), (&[][..], 3));
    bytes[14] = 4;
    assert_eq!(Packet::parse(&bytes).err(), Some(ParseError::Padding(4)));
    bytes[14] = 0;
    assert_eq!(Packet::parse(&bytes).err(), Some(ParseError::Padding(0)));
}

/// The example of RFC 8285 §4.2: three elements with padding between.
#[test]
fn reads_the_one_byte_form_with_padding() {
    let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 3];
    bytes.extend_from_slice(&[0x10, 0xaa, 0x21, 1, 2, 0, 0, 0x33, 4, 5, 6, 7]);
    let packet = Packet::parse(&bytes).unwrap();
    let got: Vec<_> = packet.extensions().map(|e| (e.id, e.value)).collect();
    let want: [(u8, &[u8]); 3] = [(1, &[0xaa]), (2, &[1, 2]), (3, &[4, 5, 6, 7])];
    assert_eq!(got, want);
    assert_eq!(packet.check_extensions(), Ok(()));
    // 15 ends processing (§4.2); an element beyond the end is an error.
    bytes[18] = 0xf1;
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().count(), 1);
    assert_eq!(packet.check_extensions(), Ok(()));
    bytes[18] = 0x2f;
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().count(), 1);
    assert_eq!(
        packet.check_extensions(),
        Err(ParseError::ExtensionElement { id: 2 })
    );
}

#[test]
fn reads_the_two_byte_form_with_application_bits() {
    let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x05, 0, 3];
    bytes.extend_from_slice(&[1, 0, 2, 1, 9, 0, 200, 4, 1, 2, 3, 4]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extension_form(), Some(ExtensionForm::TwoByte));
    let got: Vec<_> = packet.extensions().map(|e| (e.id, e.value)).collect();
    let want: [(u8, &[u8]); 3] = [(1, &[]), (2, &[9]), (200, &[1, 2, 3, 4])];
    assert_eq!(got, want);
}

#[test]
fn widens_to_two_bytes_when_an_element_needs_it() {
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header());
    writer.extension(1, &[7]).unwrap();
    writer.extension(2, &[8; 16]).unwrap();
    writer.extension(200, &[9; 20]).unwrap();
    writer.extension(3, &[]).unwrap();
    assert_eq!(writer.extension(0, &[1]), Err(WriteError::ExtensionId(0)));
    writer.payload(b"x");
    assert_eq!(writer.extension(4, &[1]), Err(WriteError::Order));
    let len = writer.finish();
    assert_eq!(len, out.len());
    let packet = Packet::parse(&out).unwrap();
    let got: Vec<_> = packet.extensions().map(|e| (e.id, e.value.len())).collect();
    assert_eq!(got, [(1, 1), (2, 16), (200, 20), (3, 0)]);
    assert_eq!(packet.extension(2), Some(&[8; 16][..]));
    assert_eq!(packet.payload(), b"x");
}

#[test]
fn keeps_to_the_form_that_was_negotiated() {
    let mut out = Vec::new();
    let mut writer = PacketWriter::with_form(&mut out, &header(), ExtensionForm::OneByte);
    assert_eq!(writer.extension(15, &[1]), Err(WriteError::ExtensionId(15)));
    let long = WriteError::ExtensionLength(17);
    assert_eq!(writer.extension(1, &[0; 17]), Err(long));
    assert_eq!(
        writer.extension(1, &[]),
        Err(WriteError::ExtensionLength(0))
    );
    writer.extension(14, &[1]).unwrap();
    writer.finish();
    assert_eq!(
        Packet::parse(&out).unwrap().extension_form(),
        Some(ExtensionForm::OneByte)
    );
}

#[test]
fn a_forwarder_renames_extensions_in_place() {
    let mut from = ExtensionMap::new();
    from.insert_kind(1, ExtensionKind::AudioLevel).unwrap();
    from.insert_kind(3, ExtensionKind::TransportSequence)
        .unwrap();
    from.insert(5, "urn:example:private").unwrap();
    from.insert_kind(6, ExtensionKind::Mid).unwrap();
    let mut to = ExtensionMap::new();
    to.insert_kind(10, ExtensionKind::AudioLevel).unwrap();
    to.insert_kind(1, ExtensionKind::TransportSequence).unwrap();
    to.insert(14, "urn:example:private").unwrap();
    assert!(to.insert(14, "urn:other").is_err());
    let rewrite = IdRewrite::between(&from, &to);

    for form in [ExtensionForm::OneByte, ExtensionForm::TwoByte] {
        let mut out = Vec::new();
        let mut writer = PacketWriter::with_form(&mut out, &header(), form);
        writer.extension(6, b"mid").unwrap();
        writer.extension(1, &[0x85]).unwrap();
        writer.extension(3, &[0, 9]).unwrap();
        writer.extension(5, b"secret").unwrap();
        writer.extension(9, b"unknown").unwrap();
        writer.payload(b"payload");
        writer.finish();
        let len = out.len();

        let mut packet = PacketMut::parse(&mut out).unwrap();
        assert_eq!(packet.rewrite_extension_ids(&rewrite), Ok(3));
        packet.set_ssrc(Ssrc(99));
        packet.set_marker(true);
        packet.set_timestamp(1);
        assert!(packet.set_extension(1, &[1, 2]));
        assert!(!packet.set_extension(1, &[1, 2, 3]));
        let packet = Packet::parse(&out).unwrap();
        let got: Vec<_> = packet.extensions().map(|e| (e.id, e.value)).collect();
        let want: [(u8, &[u8]); 3] = [(10, &[0x85]), (1, &[1, 2]), (14, b"secret")];
        assert_eq!(got, want);
        assert_eq!(packet.payload(), b"payload");
        assert_eq!(
            (packet.ssrc(), packet.marker(), packet.timestamp()),
            (Ssrc(99), true, 1)
        );
        assert_eq!(out.len(), len);
    }
}

#[test]
fn one_extension_is_renamed_in_place() {
    for long in [&b"m"[..], &[b'm'; 20]] {
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::new(&mut bytes, &header());
        for (id, value) in [(4, &b"0"[..]), (10, long), (3, &[1, 2])] {
            writer.extension(id, value).unwrap();
        }
        writer.payload(&[7; 9]);
        writer.finish();
        let wide = long.len() > 16;
        for (new, left) in [(11, 3), (0, 2), (15, if wide { 3 } else { 2 })] {
            let mut copy = bytes.clone();
            let mut packet = PacketMut::parse(&mut copy).unwrap();
            packet.rename_extension(9, 1);
            packet.rename_extension(10, new);
            let packet = Packet::parse(&copy).unwrap();
            packet.check_extensions().unwrap();
            assert_eq!(packet.extensions().count(), left, "{new}");
            assert_eq!(packet.extension(10), None);
            assert_eq!(packet.extension(new), (left == 3).then_some(long));
            assert_eq!(packet.extension(4), Some(&b"0"[..]));
            assert_eq!(packet.extension(3), Some(&[1, 2][..]));
            assert_eq!(packet.payload(), [7; 9]);
        }
    }
}

#[test]
fn a_new_identifier_too_large_for_the_form_changes_nothing() {
    let mut rewrite = IdRewrite::drop_all();
    rewrite.set(1, 2);
    rewrite.set(2, 15);
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header());
    writer.extension(1, &[1]).unwrap();
    writer.extension(2, &[2]).unwrap();
    writer.finish();
    let before = out.clone();
    let mut packet = PacketMut::parse(&mut out).unwrap();
    assert_eq!(
        packet.rewrite_extension_ids(&rewrite),
        Err(WriteError::ExtensionId(15))
    );
    assert_eq!(out, before);
}

#[test]
fn tells_rtcp_from_rtp() {
    for second in 0..=255u8 {
        let bytes = [0x80, second, 0, 0];
        assert_eq!(is_rtcp(&bytes), (192..=223).contains(&second));
    }
    for n in 0..128 {
        let clash = is_rtcp(&[0x80, 0x80 | n, 0, 0]) && !is_rtcp(&[0x80, n, 0, 0]);
        assert_eq!(pt(n).collides_with_rtcp(), clash);
    }
}

fn elements() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let value = proptest::collection::vec(any::<u8>(), 0..24);
    let id = prop_oneof![4 => 1u8..15, 1 => 1u8..=255];
    proptest::collection::vec((id, value), 0..8)
}

proptest! {
    #[test]
    fn a_written_packet_reads_back(
        marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
        csrcs in proptest::collection::vec(any::<u32>(), 0..16),
        elements in elements(), payload in proptest::collection::vec(any::<u8>(), 0..64),
        padding: u8, front in 0usize..5,
    ) {
        let mut header = Header::new(pt(payload_type), SequenceNumber(sequence), timestamp, Ssrc(ssrc));
        header.marker = marker;
        let csrcs: Vec<Ssrc> = csrcs.into_iter().map(Ssrc).collect();
        header.set_csrcs(&csrcs).unwrap();
        let mut out = vec![0xee; front];
        let mut writer = PacketWriter::new(&mut out, &header);
        for (id, value) in &elements {
            writer.extension(*id, value).unwrap();
        }
        writer.payload(&payload);
        let len = writer.finish_padded(padding);
        prop_assert_eq!(len, out.len() - front);
        let packet = Packet::parse(&out[front..]).unwrap();
        prop_assert_eq!(Header::of(&packet), header);
        let got: Vec<Element<'_>> = packet.extensions().collect();
        let want: Vec<Element<'_>> =
            elements.iter().map(|(id, value)| Element { id: *id, value }).collect();
        prop_assert_eq!(got, want);
        prop_assert_eq!(packet.check_extensions(), Ok(()));
        prop_assert_eq!(packet.payload(), &payload[..]);
        prop_assert_eq!(packet.padding_len(), usize::from(padding));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), likely: bool, table: u64) {
        if likely && bytes.len() > 16 {
            bytes[0] = 0x90 | (bytes[0] & 1);
            bytes[12] = 0xbe;
            bytes[13] = 0xde;
            bytes[14] = 0;
            bytes[15] &= 0xf;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let count = packet.extensions().count();
            let _ = packet.check_extensions();
            prop_assert!(packet.header_len() + packet.payload().len() + packet.padding_len() == bytes.len());
            let _ = packet.csrcs().count();
            let mut rewrite = IdRewrite::drop_all();
            for i in 1..=14u8 {
                rewrite.set(i, ((table >> (i * 4)) & 0xf) as u8);
            }
            let payload = packet.payload().to_vec();
            let mut copy = bytes.clone();
            let mut packet = PacketMut::parse(&mut copy).unwrap();
            if let Ok(left) = packet.rewrite_extension_ids(&rewrite) {
                prop_assert!(left <= count);
            }
            prop_assert_eq!(Packet::parse(&copy).unwrap().payload(), &payload[..]);
        }
    }
}
