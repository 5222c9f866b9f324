//! Wire formats: parsing and writing only, no state.

pub(crate) mod handshake;
pub(crate) mod hello;
pub(crate) mod messages;
pub(crate) mod record;

/// Bytes that do not follow the grammar of what they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads network bytes front to back; nothing it does can panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = tail;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<u32, Malformed> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A vector with a one-octet length before it (RFC 8446 §3.4).
    pub(crate) fn vec8(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A vector with a two-octet length before it.
    pub(crate) fn vec16(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A vector with a three-octet length before it.
    pub(crate) fn vec24(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u24()?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }

    /// Fails when something follows the last field.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// A list of two-octet values that fills `bytes` exactly.
pub(crate) fn u16_list(bytes: &[u8]) -> Result<Vec<u16>, Malformed> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Malformed);
    }
    Ok(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// Writing, on the caller's buffer.
pub(crate) trait Write {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u24(&mut self, value: usize);
    fn bytes(&mut self, bytes: &[u8]);
    fn vec8(&mut self, body: impl FnOnce(&mut Self));
    fn vec16(&mut self, body: impl FnOnce(&mut Self));
    fn vec24(&mut self, body: impl FnOnce(&mut Self));
}

/// Puts `width` octets of length before what `body` writes. What we write
/// never exceeds the prefix: every caller bounds its input first.
fn prefixed(out: &mut Vec<u8>, width: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.resize(at + width, 0);
    body(out);
    let length = (out.len() - at - width) as u64;
    debug_assert!(length < 1 << (8 * width));
    let octets = length.to_be_bytes();
    if let (Some(prefix), Some(low)) = (out.get_mut(at..at + width), octets.get(8 - width..)) {
        prefix.copy_from_slice(low);
    }
}

impl Write for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u24(&mut self, value: usize) {
        let [.., a, b, c] = (value as u64).to_be_bytes();
        self.extend_from_slice(&[a, b, c]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn vec8(&mut self, body: impl FnOnce(&mut Self)) {
        prefixed(self, 1, body);
    }

    fn vec16(&mut self, body: impl FnOnce(&mut Self)) {
        prefixed(self, 2, body);
    }

    fn vec24(&mut self, body: impl FnOnce(&mut Self)) {
        prefixed(self, 3, body);
    }
}
