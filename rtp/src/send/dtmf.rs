//! Sends DTMF as telephone events (RFC 4733; W3C WebRTC §7.2).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::format::telephone_event::{Event, SEGMENT};
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
    /// When the tone began. All of its packets have the timestamp of this moment (RFC 4733 §2.5.1.2), to the tick: it is
    /// to be reckoned once for a tone, with its first packet.
    pub began: Instant,
    /// Ticks from there to the segment that this packet is of (RFC 4733 §2.5.1.3), to be added to that timestamp; 0 in
    /// the first [`SEGMENT`].
    pub segment: u32,
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

/// A tone under way: it keeps the durations it began with.
#[derive(Clone, Copy, Debug)]
struct Tone {
    code: u8,
    began: Instant,
    length: Duration,
    gap: Duration,
    /// Ticks after which the segment under way began.
    segment: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// Until then nothing is sent.
    Pause(Instant),
    /// A tone sounds.
    Tone {
        tone: Tone,
        next: Instant,
        sent: bool,
    },
    /// The tone ended; its last packet is repeated.
    Ending {
        tone: Tone,
        next: Instant,
        left: u8,
    },
}

/// Plays a queue of tones.
#[derive(Clone, Debug)]
pub struct DtmfSender {
    config: DtmfConfig,
    /// Of the tone under way.
    clock_rate: u32,
    tones: VecDeque<char>,
    state: State,
    events: VecDeque<DtmfEvent>,
}

impl DtmfSender {
    /// A sender with nothing to do. Durations are brought into the W3C's bounds.
    pub fn new(config: DtmfConfig) -> Self {
        let mut sender = Self {
            config,
            clock_rate: config.clock_rate,
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

    /// Sets the clock in Hz, from the next tone on: a tone keeps the one that it began with
    /// (RFC 4733 §2.3.5: durations are in the units of the timestamp).
    pub const fn set_clock_rate(&mut self, clock_rate: u32) {
        self.config.clock_rate = clock_rate;
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

    /// Whether a tone has begun whose last packet was not given yet.
    pub const fn is_sounding(&self) -> bool {
        matches!(self.state, State::Tone { .. } | State::Ending { .. })
    }

    /// Leaves off, also in the middle of a tone: nothing is played before the next
    /// [`insert`](Self::insert). What was not played stays in the [`tone_buffer`](Self::tone_buffer),
    /// and there is no news of it (W3C WebRTC §7.2, step 1 of the DTMF playout task).
    pub const fn leave_off(&mut self) {
        self.state = State::Idle;
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
        (span.as_micros() * u128::from(self.clock_rate) / 1_000_000) as u32
    }

    /// The time after a tone's beginning at which the segment is full that began after so many ticks.
    fn full(&self, segment: u32) -> Duration {
        let ticks = u128::from(segment) + u128::from(SEGMENT);
        let micros = (ticks * 1_000_000).div_ceil(u128::from(self.clock_rate.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn packet(&self, tone: &Tone, length: Duration, end: bool) -> DtmfPacket {
        let duration = self.ticks(length).saturating_sub(tone.segment);
        DtmfPacket {
            event: Event {
                code: tone.code,
                end,
                volume: self.config.volume,
                duration: u16::try_from(duration).unwrap_or(u16::MAX),
            },
            began: tone.began,
            segment: tone.segment,
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
                            self.clock_rate = self.config.clock_rate;
                            let tone = Tone {
                                code: Event::code_of(tone).unwrap_or(0),
                                began: until,
                                length: self.config.tone,
                                gap: self.config.gap,
                                segment: 0,
                            };
                            self.state = State::Tone {
                                tone,
                                // The first packet tells of some duration already.
                                next: until + UPDATE.min(tone.length).min(self.full(0)),
                                sent: false,
                            };
                        }
                    }
                }
                State::Tone {
                    mut tone,
                    next,
                    sent,
                } => {
                    if next > now {
                        return None;
                    }
                    let length = next - tone.began;
                    let mut packet = self.packet(&tone, length, false);
                    packet.first = !sent;
                    if length >= tone.length {
                        self.state = State::Ending {
                            tone,
                            next,
                            left: END_PACKETS,
                        };
                        if sent {
                            continue;
                        }
                    } else {
                        // RFC 4733 §2.5.1.3: a full segment was told of without its end; another one begins where it
                        // ended.
                        if length >= self.full(tone.segment) {
                            tone.segment += SEGMENT;
                        }
                        let full = tone.began + self.full(tone.segment);
                        let end = tone.began + tone.length;
                        self.state = State::Tone {
                            tone,
                            next: (next + UPDATE).min(end).min(full),
                            sent: true,
                        };
                    }
                    return Some(packet);
                }
                State::Ending { tone, next, left } => {
                    if next > now {
                        return None;
                    }
                    self.state = if left > 1 {
                        State::Ending {
                            tone,
                            // Repetitions right after one another, all within the gap.
                            next: next + Duration::from_millis(5),
                            left: left - 1,
                        }
                    } else {
                        State::Pause(tone.began + tone.length + tone.gap)
                    };
                    return Some(self.packet(&tone, tone.length, true));
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
                let timestamp = ((packet.began - start).as_millis() * 8) as u32;
                let mut payload = Vec::new();
                packet.event.write(&mut payload);
                packets += 1;
                firsts += u32::from(packet.first);
                for news in receiver.on_packet(timestamp, &payload).unwrap() {
                    if let EventNews::Ended(e) = news {
                        ended.push((Event::tone_of(e.code).unwrap(), e.began / 8, e.duration / 8));
                    }
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

    /// RFC 4733 §2.3.5, §2.5.1.2: an event's durations are in the clock of its timestamps.
    #[test]
    fn a_tone_keeps_the_clock_that_it_began_with() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(DtmfConfig::new(48_000));
        sender.insert(start, "12").unwrap();
        assert!(!sender.is_sounding() && sender.poll_packet(start).is_none());
        assert!(sender.is_sounding());
        sender.set_clock_rate(8000);
        let mut ended = Vec::new();
        while let Some(now) = sender.poll_timeout() {
            while let Some(packet) = sender.poll_packet(now) {
                if packet.event.end {
                    ended.push((packet.event.code, packet.event.duration));
                }
            }
        }
        ended.dedup();
        assert_eq!(ended, [(1, 4800), (2, 800)]);
    }

    #[test]
    fn what_is_left_off_waits_for_the_next_insert_without_news() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(DtmfConfig::new(8000));
        sender.insert(start, "12").unwrap();
        sender.leave_off();
        assert!(sender.is_idle() && sender.poll_timeout().is_none());
        assert!(sender.poll_packet(start + 500 * MS).is_none() && sender.poll_event().is_none());
        assert_eq!(sender.tone_buffer(), "12");
        let later = start + 1000 * MS;
        sender.insert(later, "2").unwrap();
        assert!(sender.poll_packet(later + 50 * MS).unwrap().first);
        assert_eq!(sender.poll_event(), Some(DtmfEvent::Tone('2')));
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

    /// What a receiver hears of all that is sent: codes, when they began and how long they last, in ticks; and how many
    /// packets had the marker. Whoever polls is late each time, and ever more.
    fn hear(sender: &mut DtmfSender, start: Instant, rate: u32) -> (Vec<(u8, u32, u32)>, u32) {
        let mut receiver = EventReceiver::new();
        let (mut ended, mut firsts) = (Vec::new(), 0);
        let mut late = Duration::ZERO;
        while let Some(due) = sender.poll_timeout() {
            late += Duration::from_micros(7);
            while let Some(packet) = sender.poll_packet(due + late) {
                let ticks = (packet.began - start).as_micros() * u128::from(rate) / 1_000_000;
                let timestamp = ticks as u32 + packet.segment;
                let mut payload = Vec::new();
                packet.event.write(&mut payload);
                firsts += u32::from(packet.first);
                for news in receiver.on_packet(timestamp, &payload).unwrap() {
                    if let EventNews::Ended(e) = news {
                        ended.push((e.code, e.began, e.duration));
                    }
                }
            }
        }
        (ended, firsts)
    }

    /// RFC 4733 §2.5.1.3: 65 535 ticks of 48 kHz are 1.365 s.
    #[test]
    fn tones_longer_than_the_field_go_on_in_segments() {
        let start = Instant::now();
        for (rate, millis) in [(48_000, 6000), (48_000, 1366), (8000, 6000)] {
            let mut config = DtmfConfig::new(rate);
            config.tone = MS * millis;
            let mut sender = DtmfSender::new(config);
            sender.insert(start, "12").unwrap();
            let (ended, firsts) = hear(&mut sender, start, rate);
            let ticks = millis * rate / 1000;
            let second = (millis + 70) * rate / 1000;
            assert_eq!(
                ended,
                [(1, 0, ticks), (2, second, ticks)],
                "{rate} {millis}"
            );
            assert_eq!(firsts, 2);
        }
    }

    #[test]
    fn new_durations_leave_the_tone_that_sounds_alone() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(DtmfConfig::new(8000));
        sender.insert(start, "12").unwrap();
        assert!(sender.poll_packet(start).is_none());
        assert!(sender.poll_packet(start + 50 * MS).is_some());
        sender.set_durations(40 * MS, 30 * MS);
        // The first has its 100 ms, and its 70 ms of pause.
        let (ended, _) = hear(&mut sender, start, 8000);
        assert_eq!(ended, [(1, 0, 800), (2, 1360, 320)]);
    }
}
