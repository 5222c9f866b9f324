//! Telephone events (RFC 4733): digits pressed, and how long.

use crate::bytes_ext::{u8_at, u16_at};
use crate::error::{ParseError, require};

/// One event's payload (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What happens: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D, others by IANA.
    pub code: u8,
    /// It ended.
    pub end: bool,
    /// Its power in -dBm0, 0 to 63.
    pub volume: u8,
    /// How long it lasts so far, in ticks of the timestamp.
    pub duration: u16,
}

impl Event {
    /// Octets of the payload.
    pub const LEN: usize = 4;

    /// Reads a payload; several events of one packet are not in use (§2.5.1.5 has them in RED).
    ///
    /// # Errors
    /// [`ParseError::Truncated`] for less than four octets.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        require(payload.len(), Self::LEN)?;
        let flags = u8_at(payload, 1);
        Ok(Self {
            code: u8_at(payload, 0),
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16_at(payload, 2),
        })
    }

    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code, (u8::from(self.end) << 7) | (self.volume & 0x3f)]);
        out.extend_from_slice(&self.duration.to_be_bytes());
    }

    /// The code of a key: digits, `*`, `#`, `A` to `D` in either case.
    pub const fn code_of(tone: char) -> Option<u8> {
        match tone {
            '0'..='9' => Some(tone as u8 - b'0'),
            '*' => Some(10),
            '#' => Some(11),
            'A'..='D' => Some(tone as u8 - b'A' + 12),
            'a'..='d' => Some(tone as u8 - b'a' + 12),
            _ => None,
        }
    }

    /// The key of a code.
    pub const fn tone_of(code: u8) -> Option<char> {
        match code {
            0..=9 => Some((b'0' + code) as char),
            10 => Some('*'),
            11 => Some('#'),
            12..=15 => Some((b'A' + code - 12) as char),
            _ => None,
        }
    }
}

/// Sees each event of a stream once, though its packets are repeated (§2.5.1.4).
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    current: Option<(u32, Event, bool)>,
}

/// What a packet tells of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventNews {
    /// It began.
    Began(Event),
    /// It goes on.
    Lasts(Event),
    /// It ended; its duration is final.
    Ended(Event),
}

impl EventReceiver {
    /// A receiver that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet. `None` for a repetition. An event whose first packets were lost begins (or
    /// ends at once) with the first that comes.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn on_packet(
        &mut self,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<Option<EventNews>, ParseError> {
        let event = Event::parse(payload)?;
        let known = self
            .current
            .filter(|(t, e, _)| *t == timestamp && e.code == event.code);
        let news = match known {
            // A later event came already: this packet is late.
            None if self
                .current
                .is_some_and(|(t, ..)| (timestamp.wrapping_sub(t) as i32) < 0) =>
            {
                return Ok(None);
            }
            None if event.end => Some(EventNews::Ended(event)),
            None => Some(EventNews::Began(event)),
            Some((_, _, true)) => return Ok(None),
            Some(_) if event.end => Some(EventNews::Ended(event)),
            Some((_, before, _)) if event.duration > before.duration => {
                Some(EventNews::Lasts(event))
            }
            Some(_) => return Ok(None),
        };
        self.current = Some((timestamp, event, event.end));
        Ok(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_though_repeated() {
        let mut receiver = EventReceiver::new();
        let mut got = Vec::new();
        let packets = [
            (100, false, 160),
            (100, false, 320),
            (100, false, 320),
            (100, true, 480),
            (100, true, 480),
            (100, false, 320),
            (900, true, 400),
            (900, true, 400),
        ];
        for (timestamp, end, duration) in packets {
            let event = Event {
                code: 5,
                end,
                volume: 10,
                duration,
            };
            let mut payload = Vec::new();
            event.write(&mut payload);
            assert_eq!(Event::parse(&payload), Ok(event));
            got.extend(receiver.on_packet(timestamp, &payload).unwrap());
        }
        let kinds: Vec<char> = got
            .iter()
            .map(|n| match n {
                EventNews::Began(_) => 'b',
                EventNews::Lasts(_) => 'l',
                EventNews::Ended(_) => 'e',
            })
            .collect();
        assert_eq!(kinds, ['b', 'l', 'e', 'e']);
        for tone in "0123456789*#ABCD".chars() {
            assert_eq!(Event::code_of(tone).and_then(Event::tone_of), Some(tone));
        }
    }
}
