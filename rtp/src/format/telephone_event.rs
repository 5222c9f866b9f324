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

/// An event as far as its packets told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardEvent {
    /// What happens, as [`Event::code`].
    pub code: u8,
    /// Its power in -dBm0, 0 to 63.
    pub volume: u8,
    /// The timestamp at which it began.
    pub began: u32,
    /// How long it lasts so far, in ticks of the timestamp: all of its segments together.
    pub duration: u32,
}

/// Sees each event of a stream once, though its packets are repeated (§2.5.1.4) and a long one comes in several segments
/// (§2.5.1.3). Each that is told as begun is told as ended before the next one. The last one of all is not where its last
/// packets are lost: who acts while a key is pressed sets a limit.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    heard: HeardEvent,
    /// The timestamp of the segment that came last.
    segment: u32,
    ended: bool,
}

impl Current {
    /// Whether a packet is of this event's same segment, or of one that goes on with it: segments follow each other without a
    /// pause, so that the next one's timestamp is where a full one ends. Some senders write the time at which they
    /// noticed; the full segment before gives theirs away.
    fn goes_on(&self, timestamp: u32, code: u8) -> bool {
        let step = timestamp.wrapping_sub(self.segment);
        let full = self.heard.duration
            == self
                .segment
                .wrapping_sub(self.heard.began)
                .wrapping_add(SEGMENT);
        self.heard.code == code
            && (step == 0 || (!self.ended && (step == SEGMENT || (full && step < 2 * SEGMENT))))
    }
}

/// Ticks of the longest duration a packet can tell: what lasts longer goes on in another segment (§2.5.1.3).
pub const SEGMENT: u32 = u16::MAX as u32;

/// What a packet tells of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventNews {
    /// It began.
    Began(HeardEvent),
    /// It goes on.
    Lasts(HeardEvent),
    /// It ended; its duration is final, or as far as packets told when none told of its end.
    Ended(HeardEvent),
}

impl EventReceiver {
    /// A receiver that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet. A repetition tells nothing. An event whose first packets were lost begins (or
    /// ends at once) with the first that comes; one whose last packets were lost ends where another one begins.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn on_packet(
        &mut self,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<impl Iterator<Item = EventNews> + use<>, ParseError> {
        let event = Event::parse(payload)?;
        Ok(self.take(timestamp, event).into_iter().flatten())
    }

    /// No more packets come: the event that lasts has ended. Begins anew.
    pub fn end(&mut self) -> Option<EventNews> {
        let lasts = self.current.take().filter(|c| !c.ended);
        lasts.map(|c| EventNews::Ended(c.heard))
    }

    fn take(&mut self, timestamp: u32, event: Event) -> [Option<EventNews>; 2] {
        let known = self.current.filter(|c| c.goes_on(timestamp, event.code));
        // A later event, or a later segment of the same, came already: this packet is late. From further back it is of a
        // sender whose clock was set back.
        let is_late = |c: Current| (1..2 * SEGMENT).contains(&c.segment.wrapping_sub(timestamp));
        if known.is_none() && self.current.is_some_and(is_late) {
            return [None; 2];
        }
        let began = known.map_or(timestamp, |k| k.heard.began);
        let heard = HeardEvent {
            code: event.code,
            volume: event.volume,
            began,
            duration: timestamp
                .wrapping_sub(began)
                .saturating_add(u32::from(event.duration)),
        };
        let news = match known {
            Some(known) if known.ended => return [None; 2],
            _ if event.end => EventNews::Ended(heard),
            None => EventNews::Began(heard),
            Some(known) if heard.duration > known.heard.duration => EventNews::Lasts(heard),
            Some(_) => return [None; 2],
        };
        let before = if known.is_none() { self.end() } else { None };
        self.current = Some(Current {
            heard,
            segment: timestamp,
            ended: event.end,
        });
        [before, Some(news)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(news: &[EventNews]) -> Vec<char> {
        news.iter()
            .map(|n| match n {
                EventNews::Began(_) => 'b',
                EventNews::Lasts(_) => 'l',
                EventNews::Ended(_) => 'e',
            })
            .collect()
    }

    fn feed(packets: &[(u32, bool, u16)]) -> Vec<EventNews> {
        let mut receiver = EventReceiver::new();
        let mut got = Vec::new();
        for (timestamp, end, duration) in packets {
            let mut payload = Vec::new();
            Event {
                code: 5,
                end: *end,
                volume: 10,
                duration: *duration,
            }
            .write(&mut payload);
            got.extend(receiver.on_packet(*timestamp, &payload).unwrap());
        }
        got
    }

    /// RFC 4733 §2.5.1.3. What was full may be lost, and what was late comes.
    #[test]
    fn segments_of_a_long_event_are_one_event() {
        let start = u32::MAX - 70_000;
        let second = start.wrapping_add(SEGMENT);
        let third = second.wrapping_add(SEGMENT);
        let packets = [
            (start, false, 2400),
            (start, false, 0xffff),
            (second, false, 2400),
            (start, false, 0xffff),
            // The packet that tells of the full segment is lost.
            (third, false, 2400),
            (third, true, 4800),
            (third, true, 4800),
            (third.wrapping_add(SEGMENT), false, 2400),
        ];
        let got = feed(&packets);
        assert_eq!(kinds(&got), ['b', 'l', 'l', 'l', 'e', 'b']);
        let EventNews::Ended(whole) = got[4] else {
            panic!("{got:?}");
        };
        assert_eq!((whole.began, whole.duration), (start, 2 * SEGMENT + 4800));
        // A sender whose next segment begins when it noticed, as libwebrtc's does.
        let got = feed(&[
            (100, false, 0xffff),
            (66_000, false, 500),
            (66_000, true, 900),
        ]);
        assert_eq!(kinds(&got), ['b', 'l', 'e']);
        // A clock that was far ahead.
        let got = feed(&[
            (1 << 30, false, 500),
            (1 << 30, true, 900),
            (5, false, 500),
            (5, true, 900),
        ]);
        assert_eq!(kinds(&got), ['b', 'e', 'b', 'e']);
        // An event that ended is followed by another one.
        let got = feed(&[(100, true, 0xffff), (100 + SEGMENT, false, 500)]);
        assert_eq!(kinds(&got), ['e', 'b']);
    }

    #[test]
    fn an_event_ends_where_another_begins() {
        let mut receiver = EventReceiver::new();
        let mut hear = |timestamp, code, end, duration| {
            let event = Event {
                code,
                end,
                volume: 10,
                duration,
            };
            let mut payload = Vec::new();
            event.write(&mut payload);
            let news = receiver.on_packet(timestamp, &payload).unwrap();
            news.collect::<Vec<_>>()
        };
        assert_eq!(kinds(&hear(100, 5, false, 400)), ['b']);
        let news = hear(2000, 6, false, 400);
        assert_eq!(kinds(&news), ['e', 'b']);
        let EventNews::Ended(five) = news[0] else {
            panic!("{news:?}");
        };
        assert_eq!((five.code, five.began, five.duration), (5, 100, 400));
        // Late, of the one before.
        assert_eq!(hear(100, 5, true, 900), []);
        // Nothing of it came but its end.
        assert_eq!(kinds(&hear(4000, 6, true, 400)), ['e', 'e']);
        assert_eq!(kinds(&hear(6000, 7, false, 400)), ['b']);
        assert_eq!(receiver.end().map(|n| kinds(&[n])), Some(vec!['e']));
        assert_eq!(receiver.end(), None);
    }

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
        assert_eq!(kinds(&got), ['b', 'l', 'e', 'e']);
        for tone in "0123456789*#ABCD".chars() {
            assert_eq!(Event::code_of(tone).and_then(Event::tone_of), Some(tone));
        }
    }
}
