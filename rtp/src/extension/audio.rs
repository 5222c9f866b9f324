//! Loudness (RFC 6464, RFC 6465) and comfort noise.

use crate::bytes_ext::u8_at;
use crate::error::ParseError;
use crate::extension::{Extension, ExtensionKind, expect_len};

/// Loudness of the packet's sound, from a client (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the client believes that somebody speaks.
    pub voice: bool,
    /// Level in -dBov: 0 loudest, 127 silence. Written modulo 128.
    pub level: u8,
}

impl Extension<'_> for AudioLevel {
    const KIND: ExtensionKind = ExtensionKind::AudioLevel;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[1])?;
        let octet = u8_at(value, 0);
        Ok(Self {
            voice: octet & 0x80 != 0,
            level: octet & 0x7f,
        })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push((u8::from(self.voice) << 7) | (self.level & 0x7f));
    }
}

/// Loudness of each contributing source, in the order of the packet's CSRCs (RFC 6465).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixerAudioLevels<'a> {
    /// Levels in -dBov, 0 to 127; the highest bit is reserved.
    pub levels: &'a [u8],
}

impl<'a> Extension<'a> for MixerAudioLevels<'a> {
    const KIND: ExtensionKind = ExtensionKind::MixerAudioLevels;

    fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        if value.is_empty() || value.len() > crate::limits::MAX_CSRCS {
            return Err(ParseError::ExtensionValue(value.len()));
        }
        Ok(Self { levels: value })
    }

    fn encoded_len(&self) -> usize {
        self.levels.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.levels);
    }
}

/// The packet holds comfort noise of the codec's own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InbandComfortNoise {
    /// Level of the noise in -dBov, 0 to 127, if told.
    pub level: Option<u8>,
}

impl Extension<'_> for InbandComfortNoise {
    const KIND: ExtensionKind = ExtensionKind::InbandComfortNoise;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[1])?;
        let octet = u8_at(value, 0);
        Ok(Self {
            level: (octet & 0x80 != 0).then_some(octet & 0x7f),
        })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.level.map_or(0, |level| 0x80 | (level & 0x7f)));
    }
}
