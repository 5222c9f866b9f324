//! RTP packets: whatever the octets, views do not panic, rewriting keeps the payload, and what is
//! written again reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_rtp::extension::{
    ColorSpace, CorruptionDetection, DependencyDescriptor, DependencyReader, Extension, IdRewrite,
    Mid, VideoLayersAllocation, VideoTiming,
};
use tincan_rtp::{Header, Packet, PacketMut, PacketWriter, PayloadType, Ssrc, rtx};

fn again<'a, E: Extension<'a>>(value: &'a [u8]) {
    if let Ok(read) = E::parse(value) {
        let mut out = Vec::new();
        read.encode(&mut out);
        assert_eq!(out.len(), read.encoded_len());
    }
}

fuzz_target!(|input: (Vec<u8>, [u8; 14])| {
    let (bytes, table) = input;
    let Ok(packet) = Packet::parse(&bytes) else {
        return;
    };
    let mut dependencies = DependencyReader::new();
    for element in packet.extensions() {
        again::<ColorSpace>(element.value);
        again::<CorruptionDetection<'_>>(element.value);
        again::<VideoLayersAllocation>(element.value);
        again::<VideoTiming>(element.value);
        again::<Mid<'_>>(element.value);
        if let Ok(raw) = DependencyDescriptor::parse(element.value)
            && let Ok(frame) = dependencies.read(&raw)
        {
            let _ = dependencies.in_active_chain(&frame, 0);
        }
    }
    // Written again, it reads the same.
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &Header::of(&packet));
    for element in packet.extensions() {
        writer.extension(element.id, element.value).expect("fits");
    }
    writer.payload(packet.payload());
    writer.finish();
    let copy = Packet::parse(&out).expect("our own");
    assert!(copy.extensions().eq(packet.extensions()));
    assert_eq!(copy.payload(), packet.payload());
    assert_eq!(Header::of(&copy), Header::of(&packet));
    // A retransmission gives it back.
    let mut wrapped = Vec::new();
    let pt = PayloadType::new(97).expect("seven bits");
    rtx::wrap(&out, Ssrc(1), pt, packet.sequence_number(), &mut wrapped).expect("a packet");
    let at =
        rtx::unwrap_in_place(&mut wrapped, packet.ssrc(), packet.payload_type()).expect("our own");
    assert_eq!(&wrapped[at..], &out[..]);
    // Renaming keeps what is not an extension.
    let mut rewrite = IdRewrite::drop_all();
    for (old, new) in (1..).zip(table) {
        rewrite.set(old, new);
    }
    let payload = packet.payload().to_vec();
    let mut bytes = bytes.clone();
    if let Ok(mut packet) = PacketMut::parse(&mut bytes) {
        let _ = packet.rewrite_extension_ids(&rewrite);
        assert_eq!(packet.view().payload(), &payload[..]);
    }
});
