//! Sends DTMF as telephone events (RFC 4733; W3C WebRTC §7.2).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::format::telephone_event::Event;
use crate::limits::DTMF_TONES;

/// How tones are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtmfConfig {
    /// Clock rate of the negotiated telephone-event in Hz.
    pub clock_rate: u32,
    /// How long a tone is: 40 ms to 6 s.
    pub tone: Duration,
    /// How long the pause between tones is: 30 ms to 6 s.
    pub gap: Duration,
    /// Power in -dBm0, 0 to 63.
    pub volume: u8,
}

impl DtmfConfig {
    /// W3C's defaults: 100 ms and 70 ms.
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            tone: Duration::from_millis(100),
            gap: Duration::from_millis(70),
            volume: 10,
        }
    }
}

/// Why tones were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DtmfError {
    /// A character that is no tone (W3C: InvalidCharacterError).
    #[error("'{0}' is no tone")]
    Tone(char),
    /// More than [`DTMF_TONES`].
    #[error("{0} tones are too many")]
    TooMany(usize),
}

/// A payload to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtmfPacket {
    /// The payload.
    pub event: Event,
    /// Ticks since the tone began: the packet's timestamp is that of the tone's beginning, this
    /// many ticks before now.
    pub timestamp_back: u32,
    /// The first packet of a tone, which has the marker (RFC 4733 §2.3.1).
    pub first: bool,
}

/// News of a DTMF sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfEvent {
    /// A tone begins (W3C: tonechange).
    Tone(char),
    /// All tones are done (W3C: tonechange with an empty tone).
    Done,
}

/// Packets of an ended event are sent so often (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;
/// Time between the packets of a tone (RFC 4733 §2.5.1.2 recommends 50 ms).
const UPDATE: Duration = Duration::from_millis(50);
/// What a comma stands for (W3C WebRTC §7.2).
const COMMA: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// Until then nothing is sent.
    Pause(Instant),
    /// A tone sounds.
    Tone {
        code: u8,
        began: Instant,
        next: Instant,
        sent: bool,
    },
    /// The tone ended; its last packet is repeated.
    Ending {
        code: u8,
        began: Instant,
        next: Instant,
        left: u8,
    },
}

/// Plays a queue of tones.
#[derive(Clone, Debug)]
pub struct DtmfSender {
    config: DtmfConfig,
    tones: VecDeque<char>,
    state: State,
    events: VecDeque<DtmfEvent>,
}

impl DtmfSender {
    /// A sender with nothing to do. Durations are brought into the W3C's bounds.
    pub fn new(config: DtmfConfig) -> Self {
        let mut sender = Self {
            config,
            tones: VecDeque::new(),
            state: State::Idle,
            events: VecDeque::new(),
        };
        sender.set_durations(config.tone, config.gap);
        sender
    }

    /// Sets how long tones and pauses are, from the next one on; brought into the W3C's bounds.
    pub fn set_durations(&mut self, tone: Duration, gap: Duration) {
        let long = Duration::from_secs(6);
        self.config.tone = tone.clamp(Duration::from_millis(40), long);
        self.config.gap = gap.clamp(Duration::from_millis(30), long);
    }

    /// Replaces the queue by these tones: `0`-`9`, `*`, `#`, `A`-`D` in either case, `,` for a pause
    /// of two seconds. A tone that sounds goes on to its end.
    ///
    /// # Errors
    /// [`DtmfError`]; the queue is left as it was.
    pub fn insert(&mut self, now: Instant, tones: &str) -> Result<(), DtmfError> {
        let count = tones.chars().count();
        if count > DTMF_TONES {
            return Err(DtmfError::TooMany(count));
        }
        if let Some(wrong) = tones
            .chars()
            .find(|t| *t != ',' && Event::code_of(*t).is_none())
        {
            return Err(DtmfError::Tone(wrong));
        }
        self.tones = tones.chars().map(|t| t.to_ascii_uppercase()).collect();
        if matches!(self.state, State::Idle) && !self.tones.is_empty() {
            self.state = State::Pause(now);
        }
        Ok(())
    }

    /// The tones not yet played (W3C: toneBuffer).
    pub fn tone_buffer(&self) -> String {
        self.tones.iter().collect()
    }

    /// Whether nothing is being played. While a tone sounds, audio of the stream is held back.
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// When [`poll_packet`](Self::poll_packet) has something to do.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Pause(until) => Some(until),
            State::Tone { next, .. } | State::Ending { next, .. } => Some(next),
        }
    }

    /// News.
    pub fn poll_event(&mut self) -> Option<DtmfEvent> {
        self.events.pop_front()
    }

    fn ticks(&self, span: Duration) -> u32 {
        (span.as_micros() * u128::from(self.config.clock_rate) / 1_000_000) as u32
    }

    fn packet(&self, code: u8, length: Duration, since: Duration, end: bool) -> DtmfPacket {
        DtmfPacket {
            event: Event {
                code,
                end,
                volume: self.config.volume,
                // RFC 4733 §2.5.1.3: an event longer than the field counts as its greatest.
                duration: u16::try_from(self.ticks(length)).unwrap_or(u16::MAX),
            },
            timestamp_back: self.ticks(since),
            first: false,
        }
    }

    /// The packet to be sent now, if one is due. To be called until it gives none.
    pub fn poll_packet(&mut self, now: Instant) -> Option<DtmfPacket> {
        loop {
            match self.state {
                State::Idle => return None,
                State::Pause(until) => {
                    if until > now {
                        return None;
                    }
                    match self.tones.pop_front() {
                        None => {
                            self.state = State::Idle;
                            self.events.push_back(DtmfEvent::Done);
                        }
                        Some(',') => {
                            self.events.push_back(DtmfEvent::Tone(','));
                            self.state = State::Pause(until + COMMA);
                        }
                        Some(tone) => {
                            self.events.push_back(DtmfEvent::Tone(tone));
                            let code = Event::code_of(tone).unwrap_or(0);
                            self.state = State::Tone {
                                code,
                                began: until,
                                // The first packet tells of some duration already.
                                next: until + UPDATE.min(self.config.tone),
                                sent: false,
                            };
                        }
                    }
                }
                State::Tone {
                    code,
                    began,
                    next,
                    sent,
                } => {
                    if next > now {
                        return None;
                    }
                    let length = next - began;
                    if length >= self.config.tone {
                        self.state = State::Ending {
                            code,
                            began,
                            next,
                            left: END_PACKETS,
                        };
                        if sent {
                            continue;
                        }
                    } else {
                        self.state = State::Tone {
                            code,
                            began,
                            next: (next + UPDATE).min(began + self.config.tone),
                            sent: true,
                        };
                    }
                    let mut packet = self.packet(code, length, now - began, false);
                    packet.first = !sent;
                    return Some(packet);
                }
                State::Ending {
                    code,
                    began,
                    next,
                    left,
                } => {
                    if next > now {
                        return None;
                    }
                    self.state = if left > 1 {
                        State::Ending {
                            code,
                            began,
                            // Repetitions right after one another, all within the gap.
                            next: next + Duration::from_millis(5),
                            left: left - 1,
                        }
                    } else {
                        State::Pause(began + self.config.tone + self.config.gap)
                    };
                    return Some(self.packet(code, self.config.tone, now - began, true));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::telephone_event::{EventNews, EventReceiver};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn tones_come_in_order_with_their_lengths() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(DtmfConfig::new(8000));
        assert_eq!(sender.insert(start, "1x"), Err(DtmfError::Tone('x')));
        sender.insert(start, "1,#d").unwrap();
        assert_eq!(sender.tone_buffer(), "1,#D");
        let mut receiver = EventReceiver::new();
        let mut ended = Vec::new();
        let mut firsts = 0;
        let mut packets = 0;
        while let Some(now) = sender.poll_timeout() {
            while let Some(packet) = sender.poll_packet(now) {
                let ticks = ((now - start).as_millis() * 8) as u32;
                let timestamp = ticks - packet.timestamp_back;
                let mut payload = Vec::new();
                packet.event.write(&mut payload);
                packets += 1;
                firsts += u32::from(packet.first);
                if let Some(EventNews::Ended(e)) = receiver.on_packet(timestamp, &payload).unwrap()
                {
                    ended.push((
                        Event::tone_of(e.code).unwrap(),
                        timestamp / 8,
                        e.duration / 8,
                    ));
                }
            }
        }
        assert_eq!(ended, [('1', 0, 100), ('#', 2170, 100), ('D', 2340, 100)]);
        assert_eq!((firsts, packets), (3, 12));
        let events: Vec<_> = std::iter::from_fn(|| sender.poll_event()).collect();
        use DtmfEvent::{Done, Tone};
        assert_eq!(events, [Tone('1'), Tone(','), Tone('#'), Tone('D'), Done]);
        assert!(sender.is_idle());
    }

    #[test]
    fn an_empty_insert_stops_after_the_tone_that_sounds() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(DtmfConfig::new(48_000));
        sender.insert(start, "123").unwrap();
        assert!(sender.poll_packet(start).is_none());
        assert!(sender.poll_packet(start + 50 * MS).unwrap().first);
        sender.insert(start + 60 * MS, "").unwrap();
        let mut ends = 0;
        while let Some(now) = sender.poll_timeout() {
            while let Some(packet) = sender.poll_packet(now) {
                assert_eq!(packet.event.code, 1);
                ends += u32::from(packet.event.end);
            }
        }
        assert_eq!(ends, 3);
    }
}
