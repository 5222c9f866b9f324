//! Retransmission payload format (RFC 4588): an old packet inside a packet of another stream.

use crate::bytes_ext::{put, slice, u8_at, u16_at};
use crate::error::{ParseError, require};
use crate::packet::{Packet, PacketMut};
use crate::sequence::SequenceNumber;
use crate::types::{PayloadType, Ssrc};

/// Octets of the original sequence number in front of the payload (RFC 4588 §4).
pub const OSN: usize = 2;

/// Appends the retransmission of `original` to `out`: the same header with the retransmission
/// stream's SSRC, payload type and next sequence number, then the original sequence number and the
/// original payload. Padding is left away. Returns the octets appended.
///
/// Header extensions are the original's: where it tells its stream by rid, the retransmission has to tell that as the repaired
/// one's (RFC 8852), which [`PacketMut::rename_extension`] makes of it.
///
/// # Errors
/// [`ParseError`] when `original` is no RTP packet; nothing is written.
pub fn wrap(
    original: &[u8],
    ssrc: Ssrc,
    payload_type: PayloadType,
    sequence: SequenceNumber,
    out: &mut Vec<u8>,
) -> Result<usize, ParseError> {
    let packet = Packet::parse(original)?;
    let start = out.len();
    out.extend_from_slice(slice(original, 0..packet.header_len()));
    out.extend_from_slice(&packet.sequence_number().0.to_be_bytes());
    out.extend_from_slice(packet.payload());
    let first = u8_at(out, start) & !0x20;
    let marker = u8_at(out, start + 1) & 0x80;
    put(out, start, &[first, marker | payload_type.get()]);
    put(out, start + 2, &sequence.0.to_be_bytes());
    put(out, start + 8, &ssrc.0.to_be_bytes());
    Ok(out.len() - start)
}

/// The sequence number of the packet that a retransmission carries.
///
/// # Errors
/// [`ParseError::Truncated`] for a payload without one: padding only, as bandwidth probes are.
pub fn original_sequence(packet: &Packet<'_>) -> Result<SequenceNumber, ParseError> {
    require(packet.payload().len(), OSN)?;
    Ok(SequenceNumber(u16_at(packet.payload(), 0)))
}

/// Turns a retransmission back into the original packet, in place: it begins at the returned offset
/// (always 2) of `packet`. The original's SSRC and payload type are what signalling associates with
/// the retransmission stream.
///
/// # Errors
/// [`ParseError`] when it is no RTP packet or carries none; `packet` is left as it was.
pub fn unwrap_in_place(
    packet: &mut [u8],
    ssrc: Ssrc,
    payload_type: PayloadType,
) -> Result<usize, ParseError> {
    let view = Packet::parse(packet)?;
    let sequence = original_sequence(&view)?;
    let header = view.header_len();
    packet.copy_within(0..header, OSN);
    if let Some(original) = packet.get_mut(OSN..) {
        let mut original = PacketMut::parse(original)?;
        original.set_sequence_number(sequence);
        original.set_payload_type(payload_type);
        original.set_ssrc(ssrc);
    }
    Ok(OSN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Header, PacketWriter};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unwrapping_undoes_wrapping(
            marker: bool, number: u16, osn: u16, timestamp: u32,
            value in proptest::collection::vec(any::<u8>(), 1..40),
            payload in proptest::collection::vec(any::<u8>(), 0..100), padding: u8,
        ) {
            let pt = |n| PayloadType::new(n).unwrap();
            let mut header = Header::new(pt(96), SequenceNumber(osn), timestamp, Ssrc(7));
            header.marker = marker;
            header.set_csrcs(&[Ssrc(1), Ssrc(2)]).unwrap();
            let mut original = Vec::new();
            let mut writer = PacketWriter::new(&mut original, &header);
            writer.extension(3, &value).unwrap();
            writer.payload(&payload);
            writer.finish();
            let mut padded = original.clone();
            if padding > 0 {
                padded[0] |= 0x20;
                padded.resize(padded.len() + usize::from(padding) - 1, 0);
                padded.push(padding);
            }
            let mut rtx = Vec::new();
            wrap(&padded, Ssrc(8), pt(97), SequenceNumber(number), &mut rtx).unwrap();
            let view = Packet::parse(&rtx).unwrap();
            prop_assert_eq!(view.ssrc(), Ssrc(8));
            prop_assert_eq!(view.payload_type(), pt(97));
            prop_assert_eq!(view.sequence_number().0, number);
            prop_assert_eq!(original_sequence(&view).unwrap().0, osn);
            let at = unwrap_in_place(&mut rtx, Ssrc(7), pt(96)).unwrap();
            prop_assert_eq!(&rtx[at..], &original[..]);
        }
    }

    #[test]
    fn a_probe_without_payload_is_no_retransmission() {
        let mut probe = vec![0xa0, 97, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 3];
        let before = probe.clone();
        let got = unwrap_in_place(&mut probe, Ssrc(7), PayloadType::new(96).unwrap());
        assert_eq!(
            got,
            Err(ParseError::Truncated {
                needed: 2,
                available: 0
            })
        );
        assert_eq!(probe, before);
    }
}
