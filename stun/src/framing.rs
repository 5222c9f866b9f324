//! Messages out of streams: STUN and ChannelData as TURN puts them on TCP and
//! TLS (RFC 8656 §12.5), and the two-octet length of RFC 4571 that ICE-TCP uses.

use crate::limits::{HEADER_LEN, MAX_MESSAGE_LEN};
use crate::message::MAGIC_COOKIE;

/// How messages follow each other in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// STUN messages tell their own length; ChannelData is padded to four.
    Turn,
    /// Two octets of length in front of every packet (RFC 4571 §2).
    Rfc4571,
}

/// The stream holds something that cannot be a message: it is lost, for there
/// is no mark to find the next one by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream holds neither STUN nor ChannelData")]
pub struct FramingError;

/// Where the next packet stands in what has arrived of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Octets before the packet.
    pub head: usize,
    /// Octets of the packet.
    pub len: usize,
    /// Octets to take out of the stream in all.
    pub total: usize,
}

impl Framing {
    /// The largest [`Frame::total`] there can be.
    pub const MAX_FRAME: usize = 2 + 65_535 + 3;

    /// Finds the first packet; `None` when more octets must come first.
    ///
    /// # Errors
    /// What stands there cannot be the beginning of a packet.
    pub fn next(self, stream: &[u8]) -> Result<Option<Frame>, FramingError> {
        let frame = match self {
            Framing::Rfc4571 => match stream.first_chunk::<2>() {
                None => return Ok(None),
                Some(len) => {
                    let len = usize::from(u16::from_be_bytes(*len));
                    Frame {
                        head: 2,
                        len,
                        total: 2 + len,
                    }
                }
            },
            Framing::Turn => match stream.first_chunk::<4>() {
                None => {
                    return match stream.first() {
                        Some(0x80..) => Err(FramingError),
                        _ => Ok(None),
                    };
                }
                Some(&[b0, _, l0, l1]) => {
                    let len = usize::from(u16::from_be_bytes([l0, l1]));
                    match b0 {
                        0x00..=0x3F => {
                            if len % 4 != 0 || HEADER_LEN + len > MAX_MESSAGE_LEN {
                                return Err(FramingError);
                            }
                            let cookie = MAGIC_COOKIE.to_be_bytes();
                            let seen = stream.get(4..stream.len().min(8)).unwrap_or_default();
                            if !cookie.starts_with(seen) {
                                return Err(FramingError);
                            }
                            Frame {
                                head: 0,
                                len: HEADER_LEN + len,
                                total: HEADER_LEN + len,
                            }
                        }
                        0x40..=0x7F => Frame {
                            head: 0,
                            len: 4 + len,
                            total: (4 + len).next_multiple_of(4),
                        },
                        _ => return Err(FramingError),
                    }
                }
            },
        };
        Ok((stream.len() >= frame.total).then_some(frame))
    }
}

/// Collects what arrives of a stream and gives it out packet by packet.
#[derive(Debug)]
pub struct StreamDecoder {
    framing: Framing,
    buffer: Vec<u8>,
    taken: usize,
    broken: bool,
}

impl StreamDecoder {
    /// An empty one.
    pub fn new(framing: Framing) -> StreamDecoder {
        StreamDecoder {
            framing,
            buffer: Vec::new(),
            taken: 0,
            broken: false,
        }
    }

    /// Takes in octets as they arrived. Drain with [`StreamDecoder::next_packet`]
    /// before the next call: then no more than one packet is ever kept.
    pub fn extend(&mut self, octets: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole packet, if there is one.
    ///
    /// # Errors
    /// The stream is no such stream, now and for ever: close the connection.
    pub fn next_packet(&mut self) -> Result<Option<&[u8]>, FramingError> {
        if self.broken {
            return Err(FramingError);
        }
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        match self.framing.next(rest) {
            Ok(None) => Ok(None),
            Ok(Some(frame)) => {
                let at = self.taken + frame.head;
                self.taken += frame.total;
                Ok(self.buffer.get(at..at + frame.len))
            }
            Err(error) => {
                self.broken = true;
                Err(error)
            }
        }
    }

    /// What arrived behind the last packet given out, and empties the decoder:
    /// for streams that change what they carry, such as a TCP relay's data
    /// connection (RFC 6062 §4.3).
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.taken.min(self.buffer.len()));
        self.buffer.clear();
        self.taken = 0;
        rest
    }
}

/// Puts the length of RFC 4571 into the two octets at `start`, for the packet
/// behind them up to the end of `out`; `false` when it is longer than 65 535.
#[must_use]
pub fn finish_rfc4571(out: &mut [u8], start: usize) -> bool {
    let Some(len) = out
        .len()
        .checked_sub(start + 2)
        .and_then(|len| u16::try_from(len).ok())
    else {
        return false;
    };
    match out.get_mut(start..start + 2) {
        Some(slot) => {
            slot.copy_from_slice(&len.to_be_bytes());
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(decoder: &mut StreamDecoder) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut packets = Vec::new();
        while let Some(packet) = decoder.next_packet()? {
            packets.push(packet.to_vec());
        }
        Ok(packets)
    }

    proptest! {
        #[test]
        fn packets_survive_any_segmentation(
            packets in proptest::collection::vec((any::<bool>(), 0usize..40), 0..12),
            cuts in proptest::collection::vec(1usize..30, 1..20),
            turn in any::<bool>(),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (stun, len) in packets {
                let packet = if stun {
                    let len = len / 4 * 4;
                    let mut p = vec![0, 1, 0, len as u8, 0x21, 0x12, 0xA4, 0x42];
                    p.resize(20 + len, 7);
                    p
                } else {
                    let mut p = vec![0x40, 0, 0, len as u8];
                    p.resize(4 + len, 9);
                    p
                };
                if turn {
                    stream.extend_from_slice(&packet);
                    stream.resize(stream.len().next_multiple_of(4), 0);
                } else {
                    let start = stream.len();
                    stream.extend_from_slice(&[0, 0]);
                    stream.extend_from_slice(&packet);
                    prop_assert!(finish_rfc4571(&mut stream, start));
                }
                expected.push(packet);
            }
            let framing = if turn { Framing::Turn } else { Framing::Rfc4571 };
            let mut decoder = StreamDecoder::new(framing);
            let mut got = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                decoder.extend(now);
                got.extend(drain(&mut decoder).unwrap());
                rest = later;
            }
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_stream_of_something_else_is_refused_at_once_and_for_good() {
        for start in [
            &[0x16, 3, 1, 0, 0xFF][..],
            &[0x80],
            &[0x80, 0, 0, 0],
            &[0, 1, 0, 2],
        ] {
            let mut decoder = StreamDecoder::new(Framing::Turn);
            decoder.extend(start);
            assert_eq!(decoder.next_packet(), Err(FramingError), "{start:?}");
            assert_eq!(decoder.next_packet(), Err(FramingError));
        }
    }
}
