//! Which layers a sender makes and what they cost (video-layers-allocation00).

use crate::bytes_ext::{u8_at, u16_at};
use crate::error::{ParseError, WriteError, require};
use crate::extension::{Extension, ExtensionKind};
use crate::leb128;
use crate::list::ShortList;

/// One spatial layer of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpatialLayer {
    /// Index of the RTP stream, 0 to 3.
    pub stream: u8,
    /// Spatial layer within the stream, 0 to 3.
    pub spatial_id: u8,
    /// Rate to receive each temporal layer with all that it needs, in kbit/s: one to four.
    pub bitrates: ShortList<u64, 4>,
    /// Width and height, 1 to 65 536, and frames a second at most.
    pub resolution: Option<LayerResolution>,
}

/// Size and rate of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerResolution {
    /// Pixels across, 1 to 65 536.
    pub width: u32,
    /// Pixels down, 1 to 65 536.
    pub height: u32,
    /// Frames a second at most.
    pub max_framerate: u8,
}

/// The layers of all streams of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoLayersAllocation {
    stream_index: u8,
    streams: u8,
    layers: ShortList<SpatialLayer, 16>,
}

impl VideoLayersAllocation {
    /// An allocation sent on the stream `stream_index` of `streams`, with layers in ascending order
    /// of stream and spatial layer. No layers at all: nothing is sent, on stream 0 of 1.
    ///
    /// # Errors
    /// [`WriteError`] when an index or count is out of range, the order is wrong, or only some of
    /// the layers have a resolution.
    pub fn new(stream_index: u8, streams: u8, layers: &[SpatialLayer]) -> Result<Self, WriteError> {
        if streams == 0 || streams > 4 || stream_index > 3 {
            return Err(WriteError::Field("stream"));
        }
        let mut before = None;
        for layer in layers {
            if layer.stream >= streams || layer.spatial_id > 3 || layer.bitrates.is_empty() {
                return Err(WriteError::Field("layer"));
            }
            let key = (layer.stream, layer.spatial_id);
            if before.is_some_and(|b| b >= key) {
                return Err(WriteError::Order);
            }
            before = Some(key);
            if let Some(r) = layer.resolution
                && (!(1..=65_536).contains(&r.width) || !(1..=65_536).contains(&r.height))
            {
                return Err(WriteError::Field("resolution"));
            }
        }
        let resolutions = layers.iter().filter(|l| l.resolution.is_some()).count();
        if resolutions != 0 && resolutions != layers.len() {
            return Err(WriteError::Field("resolution"));
        }
        if layers.is_empty() {
            return Ok(Self::nothing());
        }
        Ok(Self {
            stream_index,
            streams,
            layers: ShortList::from_slice(layers)?,
        })
    }

    /// Nothing is sent: the one octet that says so has no place for streams.
    fn nothing() -> Self {
        Self {
            streams: 1,
            ..Self::default()
        }
    }

    /// Index of the stream that this was sent on.
    pub const fn stream_index(&self) -> u8 {
        self.stream_index
    }

    /// How many streams there are, 1 to 4.
    pub const fn streams(&self) -> u8 {
        self.streams
    }

    /// The active layers.
    pub fn layers(&self) -> &[SpatialLayer] {
        &self.layers
    }

    fn masks(&self) -> [u8; 4] {
        let mut masks = [0u8; 4];
        for layer in self.layers.iter() {
            if let Some(mask) = masks.get_mut(usize::from(layer.stream)) {
                *mask |= 1 << layer.spatial_id;
            }
        }
        masks
    }

    /// Whether all streams have the same layers, so that one mask says all.
    fn shared_mask(&self) -> u8 {
        let masks = self.masks();
        let used = masks.get(..usize::from(self.streams)).unwrap_or(&[]);
        match used.split_first() {
            Some((first, rest)) if rest.iter().all(|m| m == first) => *first,
            _ => 0,
        }
    }
}

impl Extension<'_> for VideoLayersAllocation {
    const KIND: ExtensionKind = ExtensionKind::VideoLayersAllocation;

    fn parse(value: &[u8]) -> Result<Self, ParseError> {
        require(value.len(), 1)?;
        // A single zero octet: nothing is sent on this stream.
        if value == [0] {
            return Ok(Self::nothing());
        }
        let first = u8_at(value, 0);
        let streams = ((first >> 4) & 3) + 1;
        let shared = first & 0x0f;
        let mut at = 1;
        let mut masks = [shared; 4];
        if shared == 0 {
            masks = [
                u8_at(value, 1) >> 4,
                u8_at(value, 1) & 0x0f,
                u8_at(value, 2) >> 4,
                u8_at(value, 2) & 0x0f,
            ];
            at += usize::from(streams).div_ceil(2);
        }
        let mut layers: ShortList<SpatialLayer, 16> = ShortList::new();
        for (stream, mask) in (0..streams).zip(masks) {
            for spatial_id in (0..4).filter(|s| mask & (1 << s) != 0) {
                let layer = SpatialLayer {
                    stream,
                    spatial_id,
                    ..SpatialLayer::default()
                };
                layers.push(layer).map_err(|_| ParseError::Count(16))?;
            }
        }
        let counts_at = at;
        at += layers.len().div_ceil(4);
        require(value.len(), at)?;
        let mut out: ShortList<SpatialLayer, 16> = ShortList::new();
        for (i, layer) in layers.iter().enumerate() {
            let mut layer = *layer;
            let temporal = (u8_at(value, counts_at + i / 4) >> (6 - 2 * (i % 4))) & 3;
            for _ in 0..=temporal {
                let (rate, len) = leb128::read(value.get(at..).unwrap_or(&[]))?;
                at += len;
                layer
                    .bitrates
                    .push(rate)
                    .map_err(|_| ParseError::Count(4))?;
            }
            out.push(layer).map_err(|_| ParseError::Count(16))?;
        }
        let mut layers = out;
        if layers.is_empty() {
            return Ok(Self::nothing());
        }
        if at < value.len() {
            let mut with_sizes = ShortList::new();
            require(value.len(), at + layers.len() * 5)?;
            for layer in layers.iter() {
                let mut layer = *layer;
                layer.resolution = Some(LayerResolution {
                    width: u32::from(u16_at(value, at)) + 1,
                    height: u32::from(u16_at(value, at + 2)) + 1,
                    max_framerate: u8_at(value, at + 4),
                });
                at += 5;
                with_sizes.push(layer).map_err(|_| ParseError::Count(16))?;
            }
            layers = with_sizes;
        }
        Ok(Self {
            stream_index: first >> 6,
            streams,
            layers,
        })
    }

    fn encoded_len(&self) -> usize {
        if self.layers.is_empty() {
            return 1;
        }
        let masks = if self.shared_mask() == 0 {
            usize::from(self.streams).div_ceil(2)
        } else {
            0
        };
        let rates: usize = self
            .layers
            .iter()
            .flat_map(|l| l.bitrates.iter())
            .map(|rate| leb128::len(*rate))
            .sum();
        let sizes = self
            .layers
            .iter()
            .filter(|l| l.resolution.is_some())
            .count()
            * 5;
        1 + masks + self.layers.len().div_ceil(4) + rates + sizes
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if self.layers.is_empty() {
            out.push(0);
            return;
        }
        let shared = self.shared_mask();
        out.push((self.stream_index << 6) | ((self.streams - 1) << 4) | shared);
        if shared == 0 {
            let [a, b, c, d] = self.masks();
            out.push((a << 4) | b);
            if self.streams > 2 {
                out.push((c << 4) | d);
            }
        }
        for four in self.layers.chunks(4) {
            let mut octet = 0;
            for (i, layer) in four.iter().enumerate() {
                octet |= (layer.bitrates.len() as u8 - 1) << (6 - 2 * i);
            }
            out.push(octet);
        }
        for rate in self.layers.iter().flat_map(|l| l.bitrates.iter()) {
            leb128::write(out, *rate);
        }
        for r in self.layers.iter().filter_map(|l| l.resolution) {
            out.extend_from_slice(&((r.width - 1) as u16).to_be_bytes());
            out.extend_from_slice(&((r.height - 1) as u16).to_be_bytes());
            out.push(r.max_framerate);
        }
    }
}
