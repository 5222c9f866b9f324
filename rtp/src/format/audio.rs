//! Sound whose packets are frames of their own, and sound that is cut anywhere: G.711, G.722 and
//! linear PCM (RFC 3551 §4.5, RFC 3190).

use std::time::Duration;

use crate::error::{ParseError, WriteError};
use crate::format::assembler::{Assembler, AssemblerStats, Frame, Start};
use crate::format::{Depacketize, Input, Packetize};

/// Makes a frame of each packet: Opus, G.711, G.722, linear PCM, comfort noise.
#[derive(Debug)]
pub struct Depacketizer {
    frames: Assembler<()>,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Depacketizer {
    /// A depacketizer that has seen nothing.
    pub fn new() -> Self {
        Self {
            frames: Assembler::new(),
        }
    }
}

impl Depacketize for Depacketizer {
    type Info = ();

    fn push(&mut self, packet: &Input<'_>) -> Result<(), ParseError> {
        if self.frames.arrive(packet)
            && !packet.payload.is_empty()
            && self.frames.enter(packet, Start::Yes, ())
        {
            self.frames.data().extend_from_slice(packet.payload);
            self.frames.leave(packet, true);
        }
        Ok(())
    }

    fn skip(&mut self, sequence: u64) {
        self.frames.skip(sequence);
    }

    fn has_frame(&self) -> bool {
        self.frames.has_frame()
    }

    fn poll_frame(&mut self) -> Option<Frame<'_, ()>> {
        self.frames.poll()
    }

    fn stats(&self) -> AssemblerStats {
        self.frames.stats
    }

    fn memory_usage(&self) -> usize {
        self.frames.memory_usage()
    }
}

/// Sound of a fixed number of octets a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// G.711 µ-law, PCMU: an octet a sample, 8 kHz (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law, PCMA: an octet a sample, 8 kHz (RFC 3551 §4.5.14).
    Pcma,
    /// G.722: an octet for two samples at 16 kHz, and a clock of 8 kHz all the same (RFC 3551
    /// §4.5.2).
    G722,
    /// Linear PCM of 16 bits, network order (RFC 3551 §4.5.11).
    L16 {
        /// Samples a second and channel.
        rate: u32,
        /// Channels.
        channels: u8,
    },
}

impl SampleFormat {
    /// The RTP clock in Hz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::L16 { rate, .. } => rate,
        }
    }

    /// Octets that cannot be cut: a sample of all channels.
    pub const fn block(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            Self::L16 { channels, .. } => 2 * channels as usize,
        }
    }

    /// Ticks of the RTP clock that so many octets last.
    pub const fn ticks(self, octets: usize) -> u32 {
        let block = self.block();
        if block == 0 {
            return 0;
        }
        (octets / block) as u32
    }

    /// Octets of a time span, whole samples.
    pub fn octets(self, span: Duration) -> usize {
        let ticks = span.as_nanos() * u128::from(self.clock_rate()) / 1_000_000_000;
        usize::try_from(ticks)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.block())
    }
}

/// Cuts sound into payloads of one length, the last as long as is left.
#[derive(Clone, Debug)]
pub struct Packetizer<'f> {
    rest: &'f [u8],
    octets: usize,
    format: SampleFormat,
}

impl<'f> Packetizer<'f> {
    /// Payloads that last `packet_time` (the `ptime` of SDP, usually 20 ms).
    ///
    /// # Errors
    /// [`WriteError::Field`] when the span is shorter than a sample, the sound is not whole
    /// samples, or a payload would be longer than `max_payload`.
    pub fn new(
        sound: &'f [u8],
        format: SampleFormat,
        packet_time: Duration,
        max_payload: usize,
    ) -> Result<Self, WriteError> {
        let octets = format.octets(packet_time);
        if octets == 0 || octets > max_payload {
            return Err(WriteError::Field("packet_time"));
        }
        if !sound.len().is_multiple_of(format.block()) {
            return Err(WriteError::Field("sound"));
        }
        Ok(Self {
            rest: sound,
            octets,
            format,
        })
    }

    /// Ticks that the next payload lasts: what to add to the timestamp after it.
    pub fn next_ticks(&self) -> u32 {
        self.format.ticks(self.rest.len().min(self.octets))
    }
}

impl Packetize for Packetizer<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        if self.rest.is_empty() {
            return None;
        }
        let take = self.rest.len().min(self.octets);
        let (part, rest) = self.rest.split_at_checked(take)?;
        out.extend_from_slice(part);
        self.rest = rest;
        Some(rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_ticks_of_each_format() {
        let ptime = Duration::from_millis(20);
        let l16 = SampleFormat::L16 {
            rate: 44_100,
            channels: 2,
        };
        for (format, octets, ticks) in [
            (SampleFormat::Pcmu, 160, 160),
            (SampleFormat::G722, 160, 160),
            (l16, 882 * 4, 882),
        ] {
            assert_eq!(format.octets(ptime), octets);
            assert_eq!(format.ticks(octets), ticks);
        }
        let sound = [7u8; 400];
        let mut packetizer = Packetizer::new(&sound, SampleFormat::Pcma, ptime, 1200).unwrap();
        let mut lengths = Vec::new();
        let mut out = Vec::new();
        while packetizer.write_next(&mut out).is_some() {
            lengths.push(out.len());
            out.clear();
        }
        assert_eq!(lengths, [160, 160, 80]);
        assert!(Packetizer::new(&sound, l16, ptime, 1200).is_err());
        assert!(Packetizer::new(&sound[..3], l16, Duration::from_millis(5), 1200).is_err());
    }
}
