//! Opus (RFC 7587): a packet's payload is one Opus packet. Here is what its first octets tell
//! (RFC 6716 §3).

use std::time::Duration;

use crate::error::{ParseError, require};

/// Clock rate of Opus in RTP, whatever the sound's own (RFC 7587 §4.1).
pub const CLOCK_RATE: u32 = 48_000;

/// Sound in one packet at most (RFC 6716 §3.2.5, R5).
const MAX_DURATION: Duration = Duration::from_millis(120);

/// Which of Opus's layers code the sound (RFC 6716 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Linear prediction, for speech.
    Silk,
    /// Both.
    Hybrid,
    /// Transform, for music.
    Celt,
}

/// What the first octets of an Opus packet tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo {
    /// The coding.
    pub mode: Mode,
    /// Whether two channels are coded.
    pub stereo: bool,
    /// How many frames there are, 1 to 48.
    pub frames: u8,
    /// How long each is: 2.5 to 60 ms.
    pub frame_duration: Duration,
}

impl PacketInfo {
    /// Looks at an Opus packet.
    ///
    /// # Errors
    /// [`ParseError`] for an empty packet, or one with no frames or of more than 120 ms.
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        require(packet.len(), 1)?;
        let toc = packet.first().copied().unwrap_or(0);
        let config = toc >> 3;
        let (mode, micros) = match config {
            0..=11 => (
                Mode::Silk,
                [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
            ),
            12..=15 => (Mode::Hybrid, [10_000, 20_000][usize::from(config % 2)]),
            _ => (
                Mode::Celt,
                [2500, 5000, 10_000, 20_000][usize::from(config % 4)],
            ),
        };
        let frames = match toc & 3 {
            0 => 1,
            1 | 2 => 2,
            _ => {
                require(packet.len(), 2)?;
                packet.get(1).map_or(0, |b| b & 0x3f)
            }
        };
        let info = Self {
            mode,
            stereo: toc & 4 != 0,
            frames,
            frame_duration: Duration::from_micros(micros),
        };
        if frames == 0 || info.duration() > MAX_DURATION {
            return Err(ParseError::Count(usize::from(frames)));
        }
        Ok(info)
    }

    /// How long the packet's sound is.
    pub fn duration(&self) -> Duration {
        self.frame_duration * u32::from(self.frames)
    }

    /// The same in ticks of the RTP clock: what the timestamp advances by.
    pub fn ticks(&self) -> u32 {
        (self.duration().as_micros() * u128::from(CLOCK_RATE) / 1_000_000) as u32
    }
}

/// Whether a packet says only that nothing is sent (DTX): nothing behind its first octet, or one
/// more (RFC 6716 §2.1.9; encoders make one or two octets).
pub const fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_table_2() {
        let ticks = |packet: &[u8]| PacketInfo::parse(packet).map(|p| p.ticks());
        assert_eq!(ticks(&[0 << 3]), Ok(480));
        assert_eq!(ticks(&[(3 << 3) | 1]), Ok(2 * 2880));
        assert_eq!(ticks(&[13 << 3]), Ok(960));
        assert_eq!(ticks(&[16 << 3]), Ok(120));
        assert_eq!(ticks(&[(31 << 3) | 7, 6]), Ok(6 * 960));
        assert!(ticks(&[(31 << 3) | 3, 7]).is_err());
        assert!(ticks(&[(31 << 3) | 3, 0]).is_err());
        assert!(ticks(&[(31 << 3) | 3]).is_err());
        assert!(ticks(&[]).is_err());
        assert_eq!(PacketInfo::parse(&[0xfc, 1]).unwrap().mode, Mode::Celt);
        assert!(is_dtx(&[0xf8]));
    }
}
