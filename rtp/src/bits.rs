//! Reading and writing bit by bit, highest bit first.

/// Reads bits; beyond the end it gives zeros and remembers that.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `n` bits, at most 32.
    pub(crate) fn bits(&mut self, n: u32) -> u32 {
        let mut value = 0u32;
        for _ in 0..n {
            let octet = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            value = (value << 1) | u32::from((octet >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        value
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.bits(1) == 1
    }

    /// Non-symmetric code of a value below `n` (AV1 §4.10.7).
    pub(crate) fn non_symmetric(&mut self, n: u32) -> u32 {
        let w = 32 - n.leading_zeros();
        if w == 0 {
            return 0;
        }
        let m = (1u64 << w) as u32 - n;
        let v = self.bits(w - 1);
        if v < m {
            return v;
        }
        (v << 1) - m + self.bits(1)
    }

    /// Whether more was read than there is.
    pub(crate) fn overrun(&self) -> bool {
        self.at > self.bytes.len() * 8
    }
}

/// Appends bits to a buffer; the last octet is filled up with zeros.
pub(crate) struct BitWriter<'b> {
    out: &'b mut Vec<u8>,
    /// Bits used of the last octet, 0 when it is full.
    used: u32,
}

impl<'b> BitWriter<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, used: 0 }
    }

    pub(crate) fn bits(&mut self, n: u32, value: u32) {
        for i in (0..n).rev() {
            if self.used == 0 {
                self.out.push(0);
            }
            let bit = ((value >> i) & 1) as u8;
            if let Some(last) = self.out.last_mut() {
                *last |= bit << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.bits(1, u32::from(flag));
    }

    pub(crate) fn non_symmetric(&mut self, n: u32, value: u32) {
        if n <= 1 {
            return;
        }
        let w = 32 - n.leading_zeros();
        let m = (1u64 << w) as u32 - n;
        if value < m {
            self.bits(w - 1, value);
        } else {
            self.bits(w, value + m);
        }
    }
}
