//! What a picture is, how to turn and colour it, and how to check it.

use crate::bytes_ext::{tail, u8_at, u16_at};
use crate::error::ParseError;
use crate::extension::{Extension, ExtensionKind, expect_len};

/// A quarter turn the receiver must give the picture (3GPP TS 26.114 §7.4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// None.
    #[default]
    None,
    /// 90° counter-clockwise was sent, turn 90° clockwise.
    Clockwise90,
    /// 180°.
    Half,
    /// 270° clockwise.
    Clockwise270,
}

/// Camera and rotation of a picture (3GPP TS 26.114 §7.4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoOrientation {
    /// Whether the camera faces away from the user.
    pub back_camera: bool,
    /// Whether the picture is flipped horizontally.
    pub flipped: bool,
    /// The turn to give the picture.
    pub rotation: Rotation,
}

impl Extension<'_> for VideoOrientation {
    const KIND: ExtensionKind = ExtensionKind::VideoOrientation;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[1])?;
        let octet = u8_at(value, 0);
        Ok(Self {
            back_camera: octet & 8 != 0,
            flipped: octet & 4 != 0,
            rotation: match octet & 3 {
                0 => Rotation::None,
                1 => Rotation::Clockwise90,
                2 => Rotation::Half,
                _ => Rotation::Clockwise270,
            },
        })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let rotation = match self.rotation {
            Rotation::None => 0,
            Rotation::Clockwise90 => 1,
            Rotation::Half => 2,
            Rotation::Clockwise270 => 3,
        };
        out.push((u8::from(self.back_camera) << 3) | (u8::from(self.flipped) << 2) | rotation);
    }
}

/// What the pictures are of. Stands in the last packet of key frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoContentType {
    /// Not said.
    #[default]
    Unspecified,
    /// A screen.
    Screenshare,
    /// Another value.
    Other(u8),
}

impl Extension<'_> for VideoContentType {
    const KIND: ExtensionKind = ExtensionKind::VideoContentType;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[1])?;
        Ok(match u8_at(value, 0) {
            0 => Self::Unspecified,
            1 => Self::Screenshare,
            n => Self::Other(n),
        })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Unspecified => 0,
            Self::Screenshare => 1,
            Self::Other(n) => *n,
        });
    }
}

/// Mastering and light levels of HDR pictures (SMPTE ST 2086).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HdrMetadata {
    /// Greatest luminance in cd/m².
    pub luminance_max: u16,
    /// Least luminance in 1/10 000 cd/m².
    pub luminance_min: u16,
    /// CIE 1931 x and y of red, green, blue and white, in 1/50 000.
    pub chromaticity: [[u16; 2]; 4],
    /// Greatest content light level in cd/m².
    pub max_content_light_level: u16,
    /// Greatest frame-average light level in cd/m².
    pub max_frame_average_light_level: u16,
}

/// Colour space of a frame. Stands in its last packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColorSpace {
    /// ITU-T H.273 table 2.
    pub primaries: u8,
    /// ITU-T H.273 table 3.
    pub transfer: u8,
    /// ITU-T H.273 table 4.
    pub matrix: u8,
    /// Range, as WebM counts it: 0 unspecified, 1 limited, 2 full, 3 derived; 2 bits.
    pub range: u8,
    /// Horizontal chroma siting: 0 unspecified, 1 left, 2 half; 2 bits.
    pub chroma_horizontal: u8,
    /// Vertical chroma siting: 0 unspecified, 1 top, 2 half; 2 bits.
    pub chroma_vertical: u8,
    /// HDR metadata; needs the two-byte form.
    pub hdr: Option<HdrMetadata>,
}

impl Extension<'_> for ColorSpace {
    const KIND: ExtensionKind = ExtensionKind::ColorSpace;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[4, 28])?;
        let packed = u8_at(value, 3);
        let hdr = (value.len() == 28).then(|| {
            let mut chromaticity = [[0; 2]; 4];
            for (i, xy) in chromaticity.iter_mut().enumerate() {
                *xy = [u16_at(value, 8 + i * 4), u16_at(value, 10 + i * 4)];
            }
            HdrMetadata {
                luminance_max: u16_at(value, 4),
                luminance_min: u16_at(value, 6),
                chromaticity,
                max_content_light_level: u16_at(value, 24),
                max_frame_average_light_level: u16_at(value, 26),
            }
        });
        Ok(Self {
            primaries: u8_at(value, 0),
            transfer: u8_at(value, 1),
            matrix: u8_at(value, 2),
            range: (packed >> 4) & 3,
            chroma_horizontal: (packed >> 2) & 3,
            chroma_vertical: packed & 3,
            hdr,
        })
    }

    fn encoded_len(&self) -> usize {
        if self.hdr.is_some() { 28 } else { 4 }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let packed = ((self.range & 3) << 4)
            | ((self.chroma_horizontal & 3) << 2)
            | (self.chroma_vertical & 3);
        out.extend_from_slice(&[self.primaries, self.transfer, self.matrix, packed]);
        if let Some(hdr) = &self.hdr {
            out.extend_from_slice(&hdr.luminance_max.to_be_bytes());
            out.extend_from_slice(&hdr.luminance_min.to_be_bytes());
            for coordinate in hdr.chromaticity.iter().flatten() {
                out.extend_from_slice(&coordinate.to_be_bytes());
            }
            out.extend_from_slice(&hdr.max_content_light_level.to_be_bytes());
            out.extend_from_slice(&hdr.max_frame_average_light_level.to_be_bytes());
        }
    }
}

/// A frame's number, for measurements. Stands in its first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFrameTrackingId(pub u16);

impl Extension<'_> for VideoFrameTrackingId {
    const KIND: ExtensionKind = ExtensionKind::VideoFrameTrackingId;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        expect_len(value, &[2])?;
        Ok(Self(u16_at(value, 0)))
    }

    fn encoded_len(&self) -> usize {
        2
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// Samples of the picture before encoding, by which a receiver notices a corrupt one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptionDetection<'a> {
    /// Whether the index is the high seven bits of the fourteen; else the low ones.
    pub high_bits: bool,
    /// Index into the Halton sequence, 7 bits.
    pub sequence_index: u8,
    /// The samples; `None` in a message that only keeps the index in step.
    pub samples: Option<CorruptionSamples<'a>>,
}

/// The samples of a [`CorruptionDetection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptionSamples<'a> {
    /// Deviation of the filter: 0 to 255 stand for 0.0 to 40.0.
    pub deviation: u8,
    /// Error allowed in luma, 4 bits.
    pub luma_error: u8,
    /// Error allowed in chroma, 4 bits.
    pub chroma_error: u8,
    /// One to thirteen filtered samples.
    pub values: &'a [u8],
}

impl<'a> Extension<'a> for CorruptionDetection<'a> {
    const KIND: ExtensionKind = ExtensionKind::CorruptionDetection;

    fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        if !matches!(value.len(), 1 | 4..=16) {
            return Err(ParseError::ExtensionValue(value.len()));
        }
        let first = u8_at(value, 0);
        let errors = u8_at(value, 2);
        Ok(Self {
            high_bits: first & 0x80 != 0,
            sequence_index: first & 0x7f,
            samples: (value.len() > 1).then(|| CorruptionSamples {
                deviation: u8_at(value, 1),
                luma_error: errors >> 4,
                chroma_error: errors & 0x0f,
                values: tail(value, 3),
            }),
        })
    }

    fn encoded_len(&self) -> usize {
        self.samples.map_or(1, |s| 3 + s.values.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push((u8::from(self.high_bits) << 7) | (self.sequence_index & 0x7f));
        if let Some(s) = &self.samples {
            out.extend_from_slice(&[s.deviation, (s.luma_error << 4) | (s.chroma_error & 0x0f)]);
            out.extend_from_slice(s.values);
        }
    }
}
