//! Authentication tags in memory.

use subtle::ConstantTimeEq;

/// A tag at full length; the profile says how much of it is sent.
///
/// Aligned and with room to spare, so that it moves in whole registers: as a plain byte array in
/// an `Option` it cost more than the rest of the packet's protocol.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Tag([u8; 32]);

impl Tag {
    /// What stands for a tag where the cipher makes none.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// Bytes of the longest tag.
    const LEN: usize = 20;

    /// An AEAD's tag.
    #[inline]
    pub(crate) fn from_aead(bytes: &[u8; 16]) -> Self {
        let mut out = [0; 32];
        let (head, _) = out.split_at_mut(16);
        head.copy_from_slice(bytes);
        Self(out)
    }

    /// SHA-1's state as a digest.
    #[inline]
    pub(crate) fn from_sha1(state: &[u32; 5]) -> Self {
        let mut out = [0; 32];
        for (room, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *room = word.to_be_bytes();
        }
        Self(out)
    }

    /// The first `len` bytes.
    #[inline]
    pub(crate) fn get(&self, len: usize) -> Option<&[u8]> {
        self.0.get(..len.min(Self::LEN))
    }

    /// Fills `room` with the beginning of the tag. The lengths that profiles use are copied without
    /// a call.
    #[inline]
    pub(crate) fn write(&self, room: &mut [u8]) {
        match room.len() {
            16 => self.write_exactly::<16>(room),
            10 => self.write_exactly::<10>(room),
            4 => self.write_exactly::<4>(room),
            _ => {
                for (room, byte) in room.iter_mut().zip(self.0) {
                    *room = byte;
                }
            }
        }
    }

    #[inline]
    fn write_exactly<const N: usize>(&self, room: &mut [u8]) {
        if let (Some(room), Some(tag)) = (room.first_chunk_mut::<N>(), self.0.first_chunk::<N>()) {
            *room = *tag;
        }
    }

    /// Whether `tag` is the beginning of this one, in constant time.
    #[inline]
    pub(crate) fn matches(&self, tag: &[u8]) -> bool {
        self.get(tag.len())
            .is_some_and(|expected| expected.ct_eq(tag).into())
    }
}
