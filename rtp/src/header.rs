//! Writing RTP packets (RFC 3550 §5.1).

use crate::bytes_ext::put;
use crate::error::WriteError;
use crate::extension::{Extension, ExtensionForm, ExtensionMap};
use crate::limits::MAX_CSRCS;
use crate::packet::Packet;
use crate::sequence::SequenceNumber;
use crate::types::{PayloadType, Ssrc};

/// The fields of an RTP header, without its extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type.
    pub payload_type: PayloadType,
    /// The sequence number.
    pub sequence_number: SequenceNumber,
    /// The media timestamp, in ticks of the payload type's clock.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: Ssrc,
    csrcs: Csrcs,
}

/// Up to 15 contributing sources, in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Csrcs {
    len: u8,
    list: [Ssrc; MAX_CSRCS],
}

impl Header {
    /// A header with these fields, no marker and no contributing sources.
    pub fn new(
        payload_type: PayloadType,
        sequence_number: SequenceNumber,
        timestamp: u32,
        ssrc: Ssrc,
    ) -> Self {
        Self {
            payload_type,
            sequence_number,
            timestamp,
            ssrc,
            ..Self::default()
        }
    }

    /// The header of a packet seen.
    pub fn of(packet: &Packet<'_>) -> Self {
        let mut header = Self {
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence_number: packet.sequence_number(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            csrcs: Csrcs::default(),
        };
        for (slot, csrc) in header.csrcs.list.iter_mut().zip(packet.csrcs()) {
            *slot = csrc;
            header.csrcs.len += 1;
        }
        header
    }

    /// The contributing sources.
    pub fn csrcs(&self) -> &[Ssrc] {
        self.csrcs
            .list
            .get(..usize::from(self.csrcs.len))
            .unwrap_or(&[])
    }

    /// Sets the contributing sources.
    ///
    /// # Errors
    /// [`WriteError::TooMany`] for more than 15.
    pub fn set_csrcs(&mut self, csrcs: &[Ssrc]) -> Result<(), WriteError> {
        let mut next = Csrcs::default();
        next.list
            .get_mut(..csrcs.len())
            .ok_or(WriteError::TooMany(csrcs.len()))?
            .copy_from_slice(csrcs);
        next.len = csrcs.len() as u8;
        self.csrcs = next;
        Ok(())
    }
}

/// Writes one RTP packet at the end of a buffer: header, then extensions, then payload, then
/// padding.
///
/// ```
/// use tincan_rtp::{Header, Packet, PacketWriter, PayloadType, SequenceNumber, Ssrc};
///
/// let header = Header::new(PayloadType::new(96).unwrap(), SequenceNumber(1), 3000, Ssrc(7));
/// let mut out = Vec::new();
/// let mut writer = PacketWriter::new(&mut out, &header);
/// writer.extension(4, b"0")?;
/// writer.payload(b"picture");
/// writer.finish();
///
/// let packet = Packet::parse(&out).unwrap();
/// assert_eq!(packet.extension(4), Some(&b"0"[..]));
/// assert_eq!(packet.payload(), b"picture");
/// # Ok::<(), tincan_rtp::WriteError>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    /// Where the extension header begins, and its form, once there is one.
    extension: Option<(usize, ExtensionForm)>,
    /// The form elements must have; `None` takes two bytes when an element needs it.
    form: Option<ExtensionForm>,
    in_payload: bool,
}

impl<'b> PacketWriter<'b> {
    /// Begins a packet at the end of `out`. Extensions take the one-byte form, and all of them the
    /// two-byte form as soon as one needs it; [`with_form`](Self::with_form) forbids that.
    pub fn new(out: &'b mut Vec<u8>, header: &Header) -> Self {
        let start = out.len();
        let csrcs = header.csrcs();
        let mut fixed = [0; 12];
        fixed[0] = 0x80 | csrcs.len() as u8;
        fixed[1] = (u8::from(header.marker) << 7) | header.payload_type.get();
        put(&mut fixed, 2, &header.sequence_number.0.to_be_bytes());
        put(&mut fixed, 4, &header.timestamp.to_be_bytes());
        put(&mut fixed, 8, &header.ssrc.0.to_be_bytes());
        out.extend_from_slice(&fixed);
        for csrc in csrcs {
            out.extend_from_slice(&csrc.0.to_be_bytes());
        }
        Self {
            out,
            start,
            extension: None,
            form: None,
            in_payload: false,
        }
    }

    /// Begins a packet whose extensions must have the given form: one-byte unless mixing was
    /// negotiated (`a=extmap-allow-mixed`, RFC 8285 §6).
    pub fn with_form(out: &'b mut Vec<u8>, header: &Header, form: ExtensionForm) -> Self {
        let mut writer = Self::new(out, header);
        writer.form = Some(form);
        writer
    }

    /// Appends an extension element.
    ///
    /// # Errors
    /// [`WriteError::ExtensionId`] or [`WriteError::ExtensionLength`] when the form in use cannot
    /// carry it, [`WriteError::Order`] after the payload has begun. Nothing is written then.
    pub fn extension(&mut self, id: u8, value: &[u8]) -> Result<(), WriteError> {
        let form = self.prepare(id, value.len())?;
        form.push_header(self.out, id, value.len());
        self.out.extend_from_slice(value);
        Ok(())
    }

    /// Appends a typed extension under the identifier `map` has for it; does nothing when it was
    /// not negotiated. Returns whether it was written.
    ///
    /// # Errors
    /// As [`extension`](Self::extension).
    pub fn typed_extension<'v, E: Extension<'v>>(
        &mut self,
        map: &ExtensionMap,
        value: &E,
    ) -> Result<bool, WriteError> {
        let Some(id) = map.id(E::KIND) else {
            return Ok(false);
        };
        let len = value.encoded_len();
        let form = self.prepare(id, len)?;
        form.push_header(self.out, id, len);
        let from = self.out.len();
        value.encode(self.out);
        debug_assert_eq!(self.out.len() - from, len);
        self.out.resize(from + len, 0);
        Ok(true)
    }

    /// Checks that the element fits and makes place for it: writes the extension header, or turns
    /// what is there into the two-byte form.
    fn prepare(&mut self, id: u8, len: usize) -> Result<ExtensionForm, WriteError> {
        if self.in_payload {
            return Err(WriteError::Order);
        }
        let current = self.extension.map(|(_, form)| form);
        let wanted = current
            .or(self.form)
            .unwrap_or(ExtensionForm::narrowest(id, len));
        let form = match wanted.check(id, len) {
            Ok(()) => wanted,
            Err(e) if self.form.is_some() || wanted == ExtensionForm::TwoByte => return Err(e),
            Err(_) => {
                ExtensionForm::TwoByte.check(id, len)?;
                ExtensionForm::TwoByte
            }
        };
        match self.extension {
            None => {
                let at = self.out.len();
                self.out.extend_from_slice(&form.profile().to_be_bytes());
                self.out.extend_from_slice(&[0, 0]);
                if let Some(first) = self.out.get_mut(self.start) {
                    *first |= 0x10;
                }
                self.extension = Some((at, form));
            }
            Some((at, ExtensionForm::OneByte)) if form == ExtensionForm::TwoByte => {
                crate::extension::widen(self.out, at);
                self.extension = Some((at, form));
            }
            Some(_) => {}
        }
        Ok(form)
    }

    /// Pads the extension to whole words and writes its length.
    fn close_extension(&mut self) {
        if self.in_payload {
            return;
        }
        self.in_payload = true;
        if let Some((at, _)) = self.extension {
            let elements = self.out.len() - at - 4;
            let words = elements.div_ceil(4);
            self.out.resize(at + 4 + words * 4, 0);
            // At most 255 elements of 257 octets: fits sixteen bits of words.
            put(self.out, at + 2, &(words as u16).to_be_bytes());
        }
    }

    /// Appends payload; may be called several times.
    pub fn payload(&mut self, payload: &[u8]) {
        self.close_extension();
        self.out.extend_from_slice(payload);
    }

    /// The buffer, with everything up to the payload written, for a packetizer to append to.
    pub fn payload_buffer(&mut self) -> &mut Vec<u8> {
        self.close_extension();
        self.out
    }

    /// Ends the packet; returns its length in octets.
    pub fn finish(mut self) -> usize {
        self.close_extension();
        self.out.len() - self.start
    }

    /// Ends the packet with `padding` octets of padding, the count included; none for 0. Returns
    /// the packet's length.
    pub fn finish_padded(mut self, padding: u8) -> usize {
        self.close_extension();
        if padding > 0 {
            self.out
                .resize(self.out.len() + usize::from(padding) - 1, 0);
            self.out.push(padding);
            if let Some(first) = self.out.get_mut(self.start) {
                *first |= 0x20;
            }
        }
        self.out.len() - self.start
    }
}
