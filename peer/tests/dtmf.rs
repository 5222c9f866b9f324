//! Tones between the packets of a sender's audio (W3C §7, RFC 4733).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::Pair;
use tincan_peer::stats::Stats;
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// An audio transceiver of `a` that only sends.
fn offering(pair: &mut Pair) -> TransceiverId {
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    pair.a().pc.add_transceiver(Kind::Audio, init).unwrap()
}

/// The same, connected.
fn speaking(pair: &mut Pair) -> TransceiverId {
    let id = offering(pair);
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    id
}

fn sender(pair: &Pair, id: TransceiverId) -> SenderId {
    pair.ends[0].pc.transceiver(id).unwrap().sender
}

fn insert(pair: &mut Pair, sender: SenderId, tones: &str) -> Result<(), Error> {
    let now = pair.now;
    let pc = &mut pair.a().pc;
    pc.insert_dtmf(now, sender, tones, 100 * MS, 100 * MS)
}

fn dtmf(pair: &Pair, sender: SenderId) -> (bool, String) {
    let dtmf = pair.ends[0].pc.sender(sender).unwrap().dtmf.unwrap();
    (dtmf.can_insert, dtmf.tone_buffer)
}

/// The tones that `a` was told of.
fn told(pair: &Pair) -> Vec<Option<char>> {
    let events = pair.ends[0].events.iter();
    let tones = events.filter_map(|e| match e {
        Event::ToneChange { tone, .. } => Some(*tone),
        _ => None,
    });
    tones.collect()
}

/// Packets that reached `b`.
fn arrived(pair: &Pair) -> Vec<&RtpPacket> {
    let events = pair.ends[1].events.iter();
    let packets = events.filter_map(|e| match e {
        Event::Rtp { packet, .. } => Some(packet),
        _ => None,
    });
    packets.collect()
}

/// Payload type, tone and whole duration of the tones that reached `b`.
fn heard(pair: &Pair) -> Vec<(u8, u8, u16)> {
    let mut tones: Vec<_> = arrived(pair)
        .into_iter()
        .filter(|p| [110, 126].contains(&p.payload_type) && p.payload[1] & 0x80 != 0)
        .map(|p| {
            let duration = u16::from_be_bytes([p.payload[2], p.payload[3]]);
            (p.payload_type, p.payload[0], duration)
        })
        .collect();
    tones.dedup();
    tones
}

fn speak(pair: &mut Pair, id: TransceiverId, payload_type: u8, numbers: std::ops::Range<u16>) {
    for n in numbers {
        let now = pair.now;
        let packet = RtpPacket::new(payload_type, n, u32::from(n) * 960, false, vec![n as u8]);
        pair.a().pc.send_rtp(now, id, packet).unwrap();
        pair.run(20 * MS);
    }
}

/// W3C §7.3, canInsertDTMF algorithm, steps 4, 6, 7, 8.
#[test]
fn tones_are_taken_only_where_they_can_be_sent() {
    let mut pair = Pair::new();
    let audio = offering(&mut pair);
    let sender = sender(&pair, audio);
    let refused = Err(Error::CannotSendDtmf(audio));
    for negotiated in [false, true] {
        if negotiated {
            pair.negotiate(0);
        }
        assert!(!dtmf(&pair, sender).0);
        assert_eq!(insert(&mut pair, sender, "1"), refused);
    }
    pair.run_until(5 * SECOND, Pair::connected);
    assert!(dtmf(&pair, sender).0);
    let track = |pair: &mut Pair, track: Option<&str>| {
        let track = track.map(str::to_owned);
        pair.a().pc.replace_track(sender, track).unwrap();
    };
    let active = |pair: &mut Pair, active| {
        let mut parameters = pair.a().pc.parameters(sender).unwrap();
        parameters.encodings[0].active = active;
        pair.a().pc.set_parameters(sender, parameters).unwrap();
    };
    let direction = |pair: &mut Pair, direction| {
        pair.a().pc.set_direction(audio, direction).unwrap();
        pair.negotiate(0);
    };
    track(&mut pair, None);
    assert!(!dtmf(&pair, sender).0);
    assert_eq!(insert(&mut pair, sender, "1"), refused);
    track(&mut pair, Some("mic"));
    active(&mut pair, false);
    assert!(!dtmf(&pair, sender).0);
    assert_eq!(insert(&mut pair, sender, "1"), refused);
    active(&mut pair, true);
    direction(&mut pair, Direction::Inactive);
    assert!(!dtmf(&pair, sender).0);
    assert_eq!(insert(&mut pair, sender, "1"), refused);
    direction(&mut pair, Direction::SendOnly);
    assert!(dtmf(&pair, sender).0);
    assert_eq!(insert(&mut pair, sender, "1"), Ok(()));
    pair.run(SECOND);
    assert_eq!(told(&pair), [Some('1'), None]);
}

/// Step 1 of the DTMF playout task: nobody is told of tones that nobody hears.
#[test]
fn tones_that_can_not_be_sent_any_more_are_left() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    insert(&mut pair, sender, "1234").unwrap();
    pair.run(255 * MS);
    assert_eq!(told(&pair), [Some('1'), Some('2')]);
    pair.a().pc.replace_track(sender, None).unwrap();
    let before = arrived(&pair).len();
    pair.run(SECOND);
    pair.a()
        .pc
        .replace_track(sender, Some("mic".into()))
        .unwrap();
    pair.run(SECOND);
    assert_eq!(told(&pair), [Some('1'), Some('2')]);
    assert_eq!(arrived(&pair).len(), before);
    assert_eq!(dtmf(&pair, sender), (true, "34".to_owned()));
    insert(&mut pair, sender, "5").unwrap();
    pair.run(SECOND);
    assert_eq!(told(&pair)[2..], [Some('5'), None]);
    assert_eq!(heard(&pair).last(), Some(&(110, 5, 4800)));
}

#[test]
fn tones_end_where_the_connection_is_lost() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    let now = pair.now;
    let tones = "123456789".repeat(3);
    let pc = &mut pair.a().pc;
    pc.insert_dtmf(now, sender, &tones, 6 * SECOND, SECOND)
        .unwrap();
    // What is sent comes after it is thrown away.
    pair.latency = 100 * MS;
    let mut waited = 0;
    while pair.a().pc.connection_state() == PeerConnectionState::Connected {
        pair.run(50 * MS);
        pair.ends.iter_mut().for_each(|end| end.inbox.clear());
        waited += 1;
        assert!(waited < 2_000, "never noticed");
    }
    let before = told(&pair).len();
    assert!(!dtmf(&pair, sender).0);
    let lost = pair.now;
    while pair.now < lost + 20 * SECOND {
        pair.run(50 * MS);
        pair.ends.iter_mut().for_each(|end| end.inbox.clear());
    }
    assert_eq!(told(&pair).len(), before);
    assert_eq!(dtmf(&pair, sender).1.len(), tones.len() - before);
}

/// RFC 4733 §2.5.1.2: events have the clock of the sound where there are such.
#[test]
fn tones_follow_the_codec_of_the_sound() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    speak(&mut pair, audio, 111, 0..5);
    insert(&mut pair, sender, "1").unwrap();
    pair.run(SECOND);
    speak(&mut pair, audio, 0, 5..10);
    insert(&mut pair, sender, "2").unwrap();
    pair.run(SECOND);
    assert_eq!(heard(&pair), [(110, 1, 4800), (126, 2, 800)]);
}

#[test]
fn a_character_that_is_no_tone_changes_nothing() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    insert(&mut pair, sender, "12").unwrap();
    pair.run(60 * MS);
    let now = pair.now;
    let pc = &mut pair.a().pc;
    let error = pc
        .insert_dtmf(now, sender, "3x", SECOND, SECOND)
        .unwrap_err();
    assert_eq!(
        (&error, error.kind()),
        (&Error::DtmfTone('x'), ErrorKind::InvalidCharacter)
    );
    pair.run(SECOND);
    assert_eq!(heard(&pair), [(110, 1, 4800), (110, 2, 4800)]);
}

#[test]
fn sound_after_tones_goes_on_with_their_numbers() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    insert(&mut pair, sender, "1").unwrap();
    // What is spoken meanwhile is left out.
    speak(&mut pair, audio, 111, 1000..1005);
    pair.run(SECOND);
    speak(&mut pair, audio, 111, 1005..1010);
    let numbers: Vec<u16> = arrived(&pair).iter().map(|p| p.sequence_number).collect();
    let first = numbers[0];
    let expected: Vec<u16> = (0..numbers.len() as u16)
        .map(|n| first.wrapping_add(n))
        .collect();
    assert_eq!(numbers.len(), 9);
    assert_eq!(numbers, expected);
}

#[test]
fn dtmf_goes_out_as_telephone_events_between_audio() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let of = |pair: &Pair, n: usize, id| pair.ends[n].pc.transceiver(id).unwrap();
    let sender = of(&pair, 0, audio).sender;
    let can = |pair: &Pair, n: usize, sender| {
        let dtmf = pair.ends[n].pc.sender(sender).unwrap().dtmf;
        dtmf.is_some_and(|d| d.can_insert)
    };
    assert!(can(&pair, 0, sender));
    let now = pair.now;
    let ms = Duration::from_millis;
    assert_eq!(
        pair.a().pc.insert_dtmf(now, sender, "1x", ms(100), ms(70)),
        Err(Error::DtmfTone('x'))
    );
    for n in 0..60u16 {
        let now = pair.now;
        if n == 10 {
            pair.a()
                .pc
                .insert_dtmf(now, sender, "5#", ms(100), ms(70))
                .unwrap();
        }
        let packet = RtpPacket::new(111, n, u32::from(n) * 960, false, vec![n as u8]);
        pair.a().pc.send_rtp(now, audio, packet).unwrap();
        pair.run(ms(20));
    }
    let tones: Vec<_> = pair.ends[0]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::ToneChange { tone, .. } => Some(*tone),
            _ => None,
        })
        .collect();
    assert_eq!(tones, [Some('5'), Some('#'), None]);
    let packets: Vec<&RtpPacket> = pair.ends[1]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Rtp { packet, .. } => Some(packet),
            _ => None,
        })
        .collect();
    // One sequence space without gaps, whatever came between.
    for pair in packets.windows(2) {
        assert_eq!(
            pair[1].sequence_number,
            pair[0].sequence_number.wrapping_add(1)
        );
    }
    let events: Vec<u8> = packets
        .iter()
        .filter(|p| p.payload_type == 110 && p.payload[1] & 0x80 != 0)
        .map(|p| p.payload[0])
        .collect();
    assert_eq!(
        events,
        [5, 5, 5, 11, 11, 11],
        "each event's end three times"
    );
    let first = packets.iter().find(|p| p.payload_type == 110).unwrap();
    assert!(first.marker && first.payload[0] == 5);
    // RFC 4733 §2.5.1.2: all packets of a tone have the timestamp of its beginning.
    let mut begins: Vec<_> = packets
        .iter()
        .filter(|p| p.payload_type == 110)
        .map(|p| (p.payload[0], p.timestamp))
        .collect();
    begins.dedup();
    let [(5, five), (11, hash)] = begins[..] else {
        panic!("{begins:?}");
    };
    assert_eq!(hash.wrapping_sub(five), 170 * 48);
    let now = pair.now;
    let theirs = pair.b().pc.transceivers().next().unwrap();
    assert!(!can(&pair, 1, theirs.sender));
    let sources = pair.b().pc.synchronization_sources(now, theirs.receiver);
    assert_eq!(sources.len(), 1);
}

/// Events of 8 kHz only, as Firefox has them.
fn narrow() -> Configuration {
    let mut capabilities = Capabilities::default();
    capabilities
        .audio
        .retain(|c| !(c.is("telephone-event") && c.clock_rate == 48_000));
    Configuration {
        capabilities: capabilities.into(),
        ..Configuration::default()
    }
}

/// As an event loop does it, which is late by what else it does.
fn run_late(pair: &mut Pair, time: Duration) {
    let end = pair.now + time;
    while pair.now < end {
        pair.now += Duration::from_micros(3_013);
        pair.run(Duration::ZERO);
    }
}

/// RFC 4733 §2.5.1.2: the timestamp of an event is that of its beginning, the same in all packets; a receiver takes
/// another one for another event. §2.5.1.3: that of a segment is a whole segment on.
#[test]
fn packets_of_a_tone_have_one_timestamp_however_late_they_go() {
    for (theirs, clock_rate) in [(Configuration::default(), 48_000), (narrow(), 8000)] {
        let mut pair = Pair::with(Configuration::default(), theirs, 1);
        let audio = speaking(&mut pair);
        let sender = sender(&pair, audio);
        speak(&mut pair, audio, 111, 0..5);
        pair.now += Duration::from_micros(10_010);
        let now = pair.now;
        let pc = &mut pair.a().pc;
        pc.insert_dtmf(now, sender, "12", 2 * SECOND, 100 * MS)
            .unwrap();
        run_late(&mut pair, 5 * SECOND);
        let mut timestamps: Vec<(u8, u32)> = arrived(&pair)
            .into_iter()
            .filter(|p| p.payload_type != 111)
            .map(|p| (p.payload[0], p.timestamp))
            .collect();
        assert!(timestamps.len() > 80);
        timestamps.dedup();
        let first = timestamps[0].1;
        let steps: Vec<_> = timestamps
            .iter()
            .map(|(tone, t)| (*tone, t.wrapping_sub(first)))
            .collect();
        let second = 2_100 * 48;
        let expected = match clock_rate {
            48_000 => vec![(1, 0), (1, 65_535), (2, second), (2, second + 65_535)],
            _ => vec![(1, 0), (2, second)],
        };
        assert_eq!(steps, expected, "{clock_rate}");
        assert_eq!(told(&pair), [Some('1'), Some('2'), None]);
    }
}

/// W3C §7.2, DTMF playout task: a comma delays tones, and only a tone stands in for the sound (RFC 4733 §2.1).
#[test]
fn sound_goes_on_between_tones() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    insert(&mut pair, sender, ",").unwrap();
    speak(&mut pair, audio, 111, 0..100);
    assert_eq!(arrived(&pair).len(), 100);
    let now = pair.now;
    let pc = &mut pair.a().pc;
    pc.insert_dtmf(now, sender, "12", 100 * MS, SECOND).unwrap();
    speak(&mut pair, audio, 111, 100..200);
    pair.run(SECOND);
    let sound = |p: &&RtpPacket| p.payload_type == 111;
    // Two tones of 100 ms and the packets of their ends take some.
    let got = arrived(&pair).into_iter().filter(sound).count();
    assert!((185..=190).contains(&got), "{got}");
    for pair in arrived(&pair).windows(2) {
        let next = pair[0].sequence_number.wrapping_add(1);
        assert_eq!(pair[1].sequence_number, next);
    }
}

/// RFC 3550 §6.2: whoever sends reports, be it tones alone.
#[test]
fn tones_alone_are_reported() {
    let mut pair = Pair::new();
    let audio = speaking(&mut pair);
    let sender = sender(&pair, audio);
    insert(&mut pair, sender, "1").unwrap();
    pair.run(2 * SECOND);
    let report = pair.ends[1].pc.stats(pair.now);
    let reported = |s: &Stats| matches!(s, Stats::RemoteOutboundRtp(s) if s.packets_sent > Some(3));
    assert!(report.entries.iter().any(reported));
}

/// Firefox has telephone events of 8 kHz beside Opus: their durations are in that clock, timestamps in Opus's.
#[test]
fn dtmf_of_another_clock_keeps_the_timestamps_of_the_sound() {
    let mut pair = Pair::with(Configuration::default(), narrow(), 1);
    let audio = speaking(&mut pair);
    let sender = pair.a().pc.transceiver(audio).unwrap().sender;
    let ms = Duration::from_millis;
    for n in 0..40u16 {
        let now = pair.now;
        if n == 10 {
            let inserted = pair.a().pc.insert_dtmf(now, sender, "12", ms(100), ms(100));
            inserted.unwrap();
        }
        let packet = RtpPacket::new(111, n, u32::from(n) * 960, false, vec![n as u8]);
        pair.a().pc.send_rtp(now, audio, packet).unwrap();
        pair.run(ms(20));
    }
    let mut tones: Vec<(u8, u32, u16)> = pair.ends[1]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Rtp { packet, .. } if packet.payload_type == 126 => {
                let duration = u16::from_be_bytes([packet.payload[2], packet.payload[3]]);
                Some((packet.payload[0], packet.timestamp, duration))
            }
            _ => None,
        })
        .collect();
    // The last packet of each tone has its whole duration.
    tones.reverse();
    tones.dedup_by_key(|(tone, timestamp, _)| (*tone, *timestamp));
    let [(2, second, 800), (1, first, 800)] = tones[..] else {
        panic!("{tones:?}");
    };
    assert_eq!(second.wrapping_sub(first), 200 * 48);
}
