//! The few header fields SRTP reads (RFC 3550 §5.1, §5.3.1, §6.4.1).

use crate::error::Malformed;
use crate::limits::MAX_PACKET_LEN;

/// The fixed RTP header, in bytes.
pub(crate) const RTP_FIXED_LEN: usize = 12;
/// The extension's own header, in bytes: "defined by profile" and length.
pub(crate) const EXTENSION_HEADER_LEN: usize = 4;
/// The part of an RTCP packet that stays readable: first word and sender's SSRC, in bytes.
pub(crate) const RTCP_CLEAR_LEN: usize = 8;
/// The word with E flag and SRTCP index, in bytes.
pub(crate) const RTCP_INDEX_LEN: usize = 4;

/// Where the parts of an RTP header lie. All offsets are inside of the packet it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
    /// End of fixed header and CSRC list; the extension's own header begins here if there is one.
    pub(crate) csrc_end: usize,
    /// What the extension says it is, if there is one ("defined by profile").
    pub(crate) extension: Option<u16>,
    /// End of the whole header, extension included: the payload begins here.
    pub(crate) len: usize,
}

impl RtpHeader {
    /// Reads the header of `packet`, which must be no longer than its datagram.
    #[inline]
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        if packet.len() > MAX_PACKET_LEN {
            return Err(Malformed::TooLong);
        }
        let fixed = packet
            .first_chunk::<RTP_FIXED_LEN>()
            .ok_or(Malformed::TooShort)?;
        // Field by field and not as a whole: an application has often just written them so, and a
        // wider read would wait for its writes to leave the store buffer.
        let [flags, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = fixed;
        let flags = *flags;
        if flags >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let csrc_end = RTP_FIXED_LEN + 4 * usize::from(flags & 0x0f);
        let mut header = Self {
            sequence: u16::from_be_bytes([*s0, *s1]),
            ssrc: u32::from_be_bytes([*c0, *c1, *c2, *c3]),
            csrc_end,
            extension: None,
            len: csrc_end,
        };
        if packet.len() < csrc_end {
            return Err(Malformed::Csrcs);
        }
        if flags & 0x10 != 0 {
            let [p0, p1, l0, l1] = *packet
                .get(csrc_end..)
                .and_then(<[u8]>::first_chunk::<4>)
                .ok_or(Malformed::Extension)?;
            header.extension = Some(u16::from_be_bytes([p0, p1]));
            header.len = csrc_end + 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
            if packet.len() < header.len {
                return Err(Malformed::Extension);
            }
        }
        Ok(header)
    }
}

/// The SSRC of an RTCP packet's sender.
#[inline]
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Malformed> {
    if packet.len() > MAX_PACKET_LEN {
        return Err(Malformed::TooLong);
    }
    let [flags, _, _, _, s0, s1, s2, s3] = *packet
        .first_chunk::<RTCP_CLEAR_LEN>()
        .ok_or(Malformed::TooShort)?;
    if flags >> 6 != 2 {
        return Err(Malformed::Version);
    }
    Ok(u32::from_be_bytes([s0, s1, s2, s3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_payload_behind_csrcs_and_extension() {
        let mut packet = vec![0x92, 96, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4];
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0, 0, 0, 0]);
        packet.push(9);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.sequence, 0x1234);
        assert_eq!(header.ssrc, 0x0102_0304);
        assert_eq!(header.csrc_end, 20);
        assert_eq!(header.extension, Some(0xbede));
        assert_eq!(header.len, 28);
    }

    #[test]
    fn refuses_what_reaches_beyond_the_packet() {
        let mut packet = vec![0x80; 12];
        assert!(RtpHeader::parse(&packet).is_ok());
        assert_eq!(RtpHeader::parse(&packet[..11]), Err(Malformed::TooShort));
        packet[0] = 0x81;
        assert_eq!(RtpHeader::parse(&packet), Err(Malformed::Csrcs));
        packet[0] = 0x90;
        assert_eq!(RtpHeader::parse(&packet), Err(Malformed::Extension));
        packet.extend_from_slice(&[0, 0, 0xff, 0xff]);
        assert_eq!(RtpHeader::parse(&packet), Err(Malformed::Extension));
        packet[0] = 0x40;
        assert_eq!(RtpHeader::parse(&packet), Err(Malformed::Version));
    }
}
