//! RTP packets as views: look at one, or change one in place (RFC 3550 §5.1).

use std::ops::Range;

use crate::bytes_ext::{put, slice, u8_at, u16_at, u32_at};
use crate::error::{ParseError, WriteError, require};
use crate::extension::{Elements, Extension, ExtensionForm, ExtensionMap, IdRewrite};
use crate::sequence::SequenceNumber;
use crate::types::{PayloadType, Ssrc};

/// Octets of the fixed header (RFC 3550 §5.1).
pub const FIXED_HEADER: usize = 12;

/// Whether a datagram that is RTP or RTCP is RTCP, by its packet type: 192 to 223 (RFC 5761 §4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 4 && matches!(u8_at(datagram, 1), 192..=223)
}

/// Where the parts of a packet lie; found once, used by both views.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Whole length without trailing padding.
    payload_end: u32,
    /// First octet of the payload.
    payload: u32,
    /// First octet of the extension elements (after the four of the extension header).
    elements: u16,
    /// The extension's "defined by profile" field, if there is an extension.
    profile: Option<u16>,
}

impl Layout {
    #[inline]
    fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let Some(fixed) = bytes.first_chunk::<FIXED_HEADER>() else {
            return Err(ParseError::Truncated {
                needed: FIXED_HEADER,
                available: bytes.len(),
            });
        };
        let first = fixed[0];
        if first >> 6 != 2 {
            return Err(ParseError::Version(first >> 6));
        }
        let mut at = FIXED_HEADER + usize::from(first & 0x0f) * 4;
        require(bytes.len(), at)?;
        let mut elements = at as u16;
        let mut profile = None;
        if first & 0x10 != 0 {
            require(bytes.len(), at + 4)?;
            let words = u16_at(bytes, at + 2);
            profile = Some(u16_at(bytes, at));
            at += 4;
            elements = at as u16;
            at += usize::from(words) * 4;
            if at > bytes.len() {
                return Err(ParseError::ExtensionLength(words));
            }
        }
        let mut end = bytes.len();
        if first & 0x20 != 0 {
            let count = u8_at(bytes, end - 1);
            if count == 0 || usize::from(count) > end - at {
                return Err(ParseError::Padding(count));
            }
            end -= usize::from(count);
        }
        let (Ok(payload), Ok(payload_end)) = (u32::try_from(at), u32::try_from(end)) else {
            return Err(ParseError::Count(bytes.len()));
        };
        Ok(Self {
            payload_end,
            payload,
            elements,
            profile,
        })
    }
}

/// A received RTP packet: checked once, then read without further errors and without a copy.
///
/// The elements of the header extension are checked when they are read: an element that lies about
/// its length ends [`extensions`](Self::extensions), as RFC 8285 §4.2 wants it, and
/// [`check_extensions`](Self::check_extensions) says so.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> Packet<'a> {
    /// Looks at `bytes`, one whole RTP packet.
    ///
    /// # Errors
    /// [`ParseError`] when version, lengths or padding are wrong.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let layout = Layout::parse(bytes)?;
        Ok(Self { bytes, layout })
    }

    /// The marker bit; its meaning is the payload format's.
    #[inline]
    pub fn marker(&self) -> bool {
        u8_at(self.bytes, 1) & 0x80 != 0
    }

    /// The payload type.
    #[inline]
    pub fn payload_type(&self) -> PayloadType {
        PayloadType::from_low_bits(u8_at(self.bytes, 1))
    }

    /// The sequence number.
    #[inline]
    pub fn sequence_number(&self) -> SequenceNumber {
        SequenceNumber(u16_at(self.bytes, 2))
    }

    /// The media timestamp, in ticks of the payload type's clock.
    #[inline]
    pub fn timestamp(&self) -> u32 {
        u32_at(self.bytes, 4)
    }

    /// The synchronization source.
    #[inline]
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32_at(self.bytes, 8))
    }

    /// The contributing sources, at most 15.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + Clone + use<'a> {
        let count = usize::from(u8_at(self.bytes, 0) & 0x0f);
        slice(self.bytes, FIXED_HEADER..FIXED_HEADER + count * 4)
            .chunks_exact(4)
            .map(|c| Ssrc(u32_at(c, 0)))
    }

    /// The "defined by profile" field and the octets of the header extension, if there is one
    /// (RFC 3550 §5.3.1), of whatever profile.
    pub fn raw_extension(&self) -> Option<(u16, &'a [u8])> {
        let profile = self.layout.profile?;
        Some((
            profile,
            slice(
                self.bytes,
                usize::from(self.layout.elements)..self.layout.payload as usize,
            ),
        ))
    }

    /// The form of the header extension, if there is one of RFC 8285.
    pub fn extension_form(&self) -> Option<ExtensionForm> {
        ExtensionForm::from_profile(self.layout.profile?)
    }

    /// The elements of the header extension, one- or two-byte form (RFC 8285). Empty when there is
    /// no extension or it is of another profile.
    #[inline]
    pub fn extensions(&self) -> Elements<'a> {
        match self.raw_extension() {
            Some((profile, octets)) => Elements::new(profile, octets),
            None => Elements::empty(),
        }
    }

    /// The value of the extension element `id`, the first one if there are several.
    #[inline]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|e| e.id == id).map(|e| e.value)
    }

    /// The typed value of the extension `E` under the identifier that `map` has for it; `None` when
    /// absent, unmapped or malformed.
    pub fn typed_extension<E: Extension<'a>>(&self, map: &ExtensionMap) -> Option<E> {
        E::parse(self.extension(map.id(E::KIND)?)?).ok()
    }

    /// Whether all extension elements lie inside the header extension.
    ///
    /// # Errors
    /// [`ParseError::ExtensionElement`] names the first that does not.
    pub fn check_extensions(&self) -> Result<(), ParseError> {
        let mut elements = self.extensions();
        elements.by_ref().for_each(drop);
        elements.error().map_or(Ok(()), Err)
    }

    /// The payload without padding.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        slice(
            self.bytes,
            self.layout.payload as usize..self.layout.payload_end as usize,
        )
    }

    /// Octets before the payload: fixed header, contributing sources and header extension.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.layout.payload as usize
    }

    /// Octets of padding at the end, its count included; 0 without padding.
    pub fn padding_len(&self) -> usize {
        self.bytes.len() - self.layout.payload_end as usize
    }

    /// The whole packet as it came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl std::fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("ssrc", &self.ssrc().0)
            .field("payload_type", &self.payload_type().get())
            .field("marker", &self.marker())
            .field("sequence_number", &self.sequence_number().0)
            .field("timestamp", &self.timestamp())
            .field("payload_len", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// An RTP packet to be changed in place: what a forwarding server does to each.
///
/// ```
/// use tincan_rtp::{PacketMut, PayloadType, SequenceNumber, Ssrc};
///
/// let mut bytes = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0xaa];
/// let mut packet = PacketMut::parse(&mut bytes).unwrap();
/// packet.set_ssrc(Ssrc(8));
/// packet.set_sequence_number(SequenceNumber(2));
/// packet.set_payload_type(PayloadType::new(100).unwrap());
/// assert_eq!(bytes, [0x80, 100, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8, 0xaa]);
/// ```
pub struct PacketMut<'a> {
    bytes: &'a mut [u8],
    layout: Layout,
}

impl<'a> PacketMut<'a> {
    /// Takes `bytes`, one whole RTP packet, for changing.
    ///
    /// # Errors
    /// [`ParseError`] as [`Packet::parse`].
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, ParseError> {
        let layout = Layout::parse(bytes)?;
        Ok(Self { bytes, layout })
    }

    /// The packet as it is now.
    #[inline]
    pub fn view(&self) -> Packet<'_> {
        Packet {
            bytes: self.bytes,
            layout: self.layout,
        }
    }

    /// Sets or clears the marker.
    pub fn set_marker(&mut self, marker: bool) {
        if let Some(octet) = self.bytes.get_mut(1) {
            *octet = (*octet & 0x7f) | (u8::from(marker) << 7);
        }
    }

    /// Sets the payload type.
    #[inline]
    pub fn set_payload_type(&mut self, payload_type: PayloadType) {
        if let Some(octet) = self.bytes.get_mut(1) {
            *octet = (*octet & 0x80) | payload_type.get();
        }
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_sequence_number(&mut self, sequence: SequenceNumber) {
        put(self.bytes, 2, &sequence.0.to_be_bytes());
    }

    /// Sets the media timestamp.
    #[inline]
    pub fn set_timestamp(&mut self, timestamp: u32) {
        put(self.bytes, 4, &timestamp.to_be_bytes());
    }

    /// Sets the synchronization source.
    #[inline]
    pub fn set_ssrc(&mut self, ssrc: Ssrc) {
        put(self.bytes, 8, &ssrc.0.to_be_bytes());
    }

    /// The value of the extension element `id`, to be overwritten in place (a transport-wide
    /// sequence number, a send time).
    pub fn extension_mut(&mut self, id: u8) -> Option<&mut [u8]> {
        let range = self.value_of(id)?;
        self.bytes.get_mut(range)
    }

    /// Where the value of the extension element `id` lies.
    fn value_of(&self, id: u8) -> Option<Range<usize>> {
        let start = usize::from(self.layout.elements);
        let mut elements = self.view().extensions();
        loop {
            let element = elements.next()?;
            if element.id == id {
                let end = elements.offset();
                return Some(start + end - element.value.len()..start + end);
            }
        }
    }

    /// Overwrites the value of the extension element `id` if it is there with the same length.
    /// Returns whether it was.
    pub fn set_extension(&mut self, id: u8, value: &[u8]) -> bool {
        match self.extension_mut(id) {
            Some(place) if place.len() == value.len() => {
                place.copy_from_slice(value);
                true
            }
            _ => false,
        }
    }

    /// Gives the extension element `old` the identifier `new`, in place; 0, or one above 14 in the one-byte form, has it
    /// become padding. The first one if there are several; nothing if there is none.
    pub fn rename_extension(&mut self, old: u8, new: u8) {
        let Some((form, value)) = self.view().extension_form().zip(self.value_of(old)) else {
            return;
        };
        let (head, widest) = match form {
            ExtensionForm::OneByte => (1, 14),
            ExtensionForm::TwoByte => (2, u8::MAX),
        };
        let Some(element) = self.bytes.get_mut(value.start - head..value.end) else {
            return;
        };
        if new == 0 || new > widest {
            element.fill(0);
        } else if let Some(first) = element.first_mut() {
            *first = match form {
                ExtensionForm::OneByte => (new << 4) | (*first & 0x0f),
                ExtensionForm::TwoByte => new,
            };
        }
    }

    /// Renames the extension elements as `rewrite` says, in place; elements that it drops become
    /// padding. Returns how many elements are left.
    ///
    /// # Errors
    /// [`WriteError::ExtensionId`] when a new identifier does not fit the one-byte form this packet
    /// has; the packet is left as it was.
    pub fn rewrite_extension_ids(&mut self, rewrite: &IdRewrite) -> Result<usize, WriteError> {
        let Some(form) = self.view().extension_form() else {
            return Ok(0);
        };
        let range = usize::from(self.layout.elements)..self.layout.payload as usize;
        match self.bytes.get_mut(range) {
            Some(elements) => rewrite.apply(form, elements),
            None => Ok(0),
        }
    }
}

impl std::fmt::Debug for PacketMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}
