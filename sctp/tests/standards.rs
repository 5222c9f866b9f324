//! Rules that other files leave out: numbers that wrap, giving up with interleaving, gap blocks at
//! their edges, windows that are small or closed, resets that are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::raw::{PLAIN, Raw, each};
use support::{Pair, config, pattern};
use tincan_sctp::Config;
use tincan_sctp::association::{Event, Reliability, SendOptions, State};
use tincan_sctp::data_channel::{self, ChannelConfig, Message, Role};
use tincan_sctp::wire::{Chunk, ChunkWriter, DataHeader, chunk_type};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const B: u8 = 2;
const E: u8 = 1;
const U: u8 = 4;

/// With interleaving.
const INTERLEAVED: &[u8] = &[
    chunk_type::RE_CONFIG,
    chunk_type::FORWARD_TSN,
    chunk_type::I_DATA,
    chunk_type::I_FORWARD_TSN,
];

fn no_pacing() -> Config {
    Config {
        pacing: false,
        ..Config::default()
    }
}

fn say(raw: &mut Raw, size: usize) {
    let data = pattern(size, 1);
    raw.association
        .send(raw.now, 0, data, SendOptions::default())
        .unwrap();
}

/// An I-DATA chunk.
fn i_data(raw: &mut Raw, tsn: u32, stream: u16, message: (u32, u32), flags: u8, payload: &[u8]) {
    let header = DataHeader {
        interleaved: true,
        flags,
        tsn,
        stream,
        message: message.0,
        fragment: message.1,
        ppid: 53,
    };
    raw.send(|out| header.write(out, payload));
}

/// RFC 8260 §2.3.1: fragments of what was given up are forgotten, also when they are not the
/// message's first ones; the other messages of the same stream, and unordered ones, stay.
#[test]
fn i_forward_tsn_drops_fragments_and_keeps_the_others() {
    let mut raw = Raw::with(Config::default(), 1_000, 1 << 20, INTERLEAVED);
    i_data(&mut raw, 1_000, 7, (0, 0), B, b"ordered ");
    i_data(&mut raw, 1_001, 7, (0, 0), U | B, b"un");
    i_data(&mut raw, 1_003, 7, (1, 0), U | B, b"other ");
    i_data(&mut raw, 1_005, 7, (1, 0), B, b"next ");
    i_data(&mut raw, 1_006, 7, (0, 2), E, b"end of the first");
    assert!(raw.messages().is_empty());
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::I_FORWARD_TSN, 0)
            .u32(1_004)
            .u16(7)
            .u16(0)
            .u32(0)
            .u16(7)
            .u16(1)
            .u32(0)
            .finish();
    });
    let (cumulative, ..) = raw.sent_sack().expect("a SACK at once");
    assert_eq!(cumulative, 1_006);
    i_data(&mut raw, 1_007, 7, (1, 1), E, b"one");
    i_data(&mut raw, 1_008, 7, (1, 1), U | E, b"one");
    assert_eq!(raw.messages(), [&b"next one"[..], b"other one"]);
    assert_eq!(raw.association.stats().bytes_waiting, 0);
}

/// RFC 3758 §3.5 with RFC 8260 §2.3.1: a sender that gives up messages of two streams, one of
/// them unordered, names both.
#[test]
fn what_is_given_up_is_named_by_message_with_interleaving() {
    let mut raw = Raw::with(no_pacing(), 1, 1 << 20, INTERLEAVED);
    let once = |unordered| SendOptions {
        unordered,
        reliability: Reliability::MaxRetransmits(0),
        ..SendOptions::default()
    };
    raw.association
        .send(raw.now, 3, pattern(2_500, 1), once(false))
        .unwrap();
    raw.association
        .send(raw.now, 4, pattern(2_500, 2), once(true))
        .unwrap();
    let sent = raw.sent_tsns();
    raw.wait();
    let mut named = Vec::new();
    let mut again = 0;
    for _ in 0..3 {
        for packet in raw.packets() {
            each(&packet, |chunk| match chunk {
                Chunk::ForwardTsn(forward) => {
                    let streams: Vec<_> = forward
                        .skipped()
                        .map(|s| (s.stream, s.unordered, s.message))
                        .collect();
                    named.push((forward.new_cumulative, streams));
                }
                Chunk::Data(_) => again += 1,
                _ => {}
            });
        }
        raw.wait();
    }
    let (reached, mut streams) = named.pop().expect("an I-FORWARD-TSN");
    streams.sort_unstable();
    assert_eq!(reached, *sent.last().unwrap());
    assert_eq!(streams, [(3, false, 0), (4, true, 0)]);
    assert_eq!(raw.association.stats().messages_abandoned, 2);
    assert!(again <= 1, "a tail probe at most: {again}");
}

/// RFC 8260 §2.1: message identifiers have 32 bits and wrap, those of unordered messages apart.
#[test]
fn message_identifiers_count_apart_for_unordered_messages() {
    let mut raw = Raw::with(Config::default(), 1_000, 1 << 20, INTERLEAVED);
    i_data(&mut raw, 1_000, 1, (0, 0), B | E, b"a");
    i_data(&mut raw, 1_001, 1, (0, 0), U | B | E, b"b");
    i_data(&mut raw, 1_002, 1, (1, 0), B | E, b"c");
    i_data(&mut raw, 1_003, 1, (1, 0), U | B | E, b"d");
    assert_eq!(raw.messages(), [b"a", b"b", b"c", b"d"]);
    // Skip to the last identifier, and over it.
    for (tsn, last) in [
        (1_004u32, 0x6000_0000u32),
        (1_005, 0xc000_0000),
        (1_006, 0xffff_fffe),
    ] {
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::I_FORWARD_TSN, 0)
                .u32(tsn)
                .u16(1)
                .u16(0)
                .u32(last)
                .finish();
        });
    }
    i_data(&mut raw, 1_007, 1, (0xffff_ffff, 0), B | E, b"last");
    i_data(&mut raw, 1_008, 1, (0, 0), B | E, b"first again");
    assert_eq!(raw.messages(), [&b"last"[..], b"first again"]);
}

/// RFC 9260 §3.3.4: blocks that touch the cumulative TSN, overlap, run backwards, reach to the
/// last TSN sent and beyond it.
#[test]
fn gap_blocks_at_their_edges_acknowledge_what_they_name_and_nothing_else() {
    let sent = || {
        let mut raw = Raw::with(no_pacing(), 1, 1 << 20, PLAIN);
        for _ in 0..8 {
            say(&mut raw, 1_000);
        }
        let tsns = raw.sent_tsns();
        assert_eq!(tsns.len(), 8);
        raw.now += 50 * MS;
        (raw, tsns)
    };
    // Blocks, and how many of the eight chunks they acknowledge.
    let cases: [(&[(u16, u16)], usize); 9] = [
        (&[(2, 2)], 1),
        (&[(2, 8)], 7),
        (&[(8, 8)], 1),
        (&[(8, 9)], 0),
        (&[(9, 9)], 0),
        (&[(3, 2)], 0),
        (&[(0, 0)], 0),
        (&[(2, 3), (4, 5)], 4),
        (&[(5, 6), (2, 3)], 2),
    ];
    for (blocks, acknowledged) in cases {
        let (mut raw, tsns) = sent();
        let base = tsns[0].wrapping_sub(1);
        raw.sack(base, 1 << 20, blocks);
        let delivered = raw.association.stats().bytes_delivered;
        assert_eq!(delivered, acknowledged as u64 * 1_016, "{blocks:?}");
        assert_eq!(raw.association.stats().chunks_outstanding, 8);
        raw.sack(tsns[7], 1 << 20, &[]);
        assert_eq!(raw.association.stats().bytes_delivered, 8 * 1_016);
        assert_eq!(raw.association.stats().bytes_in_flight, 0);
    }
}

/// RFC 9260 §6.2 and RFC 1122 §4.2.3.3: a receiver whose application takes crumbs does not
/// advertise crumbs, and a sender does not cut its messages to fit a small window.
#[test]
fn neither_end_falls_into_the_silly_window() {
    // The receiver: 500 messages wait, the application takes one at a time.
    let mut raw = Raw::new(Config {
        receive_window: 100_000,
        max_receive_window: 100_000,
        max_message_size: 50_000,
        ..Config::default()
    });
    for i in 0..90 {
        raw.data(0, i, B | E, &[1; 1_000]);
    }
    let _ = raw.packets();
    let mut updates = 0;
    let mut least = u32::MAX;
    for _ in 0..90 {
        assert!(raw.association.poll_event().is_some());
        if let Some((_, window, ..)) = raw.sent_sack() {
            updates += 1;
            least = least.min(window);
        }
    }
    assert!((1..=4).contains(&updates), "{updates} window updates");
    assert!(least >= 25_000, "{least}");
    // The sender: room for half a packet is no room.
    let mut raw = Raw::with(no_pacing(), 1, 1_700, PLAIN);
    for _ in 0..4 {
        say(&mut raw, 1_100);
    }
    let first = raw.sent_tsns();
    assert_eq!(first.len(), 1, "600 octets of room hold no fragment of it");
    raw.now += 50 * MS;
    raw.sack(first[0], 600, &[]);
    assert_eq!(
        raw.sent_tsns().len(),
        1,
        "one may probe when nothing is in flight"
    );
}

/// RFC 9260 §6.2: out of room, a receiver drops what is new, but never what fills the first gap,
/// and says so at once; nothing that was acknowledged is dropped.
#[test]
fn a_receiver_out_of_room_refuses_what_is_new_and_takes_what_is_due() {
    let mut raw = Raw::new(Config {
        receive_window: 20_000,
        max_receive_window: 20_000,
        max_message_size: 5_000,
        ..Config::default()
    });
    for i in 1..100u32 {
        raw.data_at(1_000 + i, 0, i, B | E, &[i as u8; 1_000]);
    }
    let refused = raw.association.stats().counters.data_refused;
    assert!(refused > 0);
    let (cumulative, window, gaps, _) = raw.sent_sack().expect("at once");
    assert_eq!((cumulative, window, gaps.len()), (999, 0, 1));
    let kept = u32::from(gaps[0].1) - 1;
    assert_eq!(u64::from(kept) + refused, 99);
    raw.data_at(1_000, 0, 0, B | E, &[0; 1_000]);
    let messages = raw.messages();
    assert_eq!(messages.len() as u32, kept + 1, "all that was acknowledged");
    for (i, message) in messages.iter().enumerate() {
        assert_eq!(*message, vec![i as u8; 1_000]);
    }
}

/// RFC 9260 §6.1 A: the window stays closed for hours; nothing grows, nothing ends.
#[test]
fn a_window_closed_for_hours_costs_little_and_ends_nothing() {
    let mut raw = Raw::with(no_pacing(), 1, 0, PLAIN);
    for _ in 0..50 {
        say(&mut raw, 1_000);
    }
    let end = raw.now + 7_200 * SECOND;
    let mut probes = 0;
    while raw.now < end {
        raw.wait();
        for tsn in raw.sent_tsns() {
            assert_eq!(tsn, raw.first_tsn);
            probes += 1;
            raw.sack(raw.first_tsn.wrapping_sub(1), 0, &[]);
        }
    }
    assert_eq!(raw.association.state(), State::Established);
    // One a minute, once the timeout has grown to its ceiling.
    assert!((100..200).contains(&probes), "{probes}");
    assert_eq!(raw.association.stats().bytes_queued, 49_000);
}

/// RFC 6525 §5.2.2 E2: a reset waits for the data that was sent before it, however often it is
/// asked for, and is performed once.
#[test]
fn a_reset_waits_for_data_that_is_missing() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_000, 2, 0, B | E, b"one");
    let ask = |raw: &mut Raw| {
        raw.send(|out| {
            let mut value = 1_000u32.to_be_bytes().to_vec();
            value.extend_from_slice(&0u32.to_be_bytes());
            value.extend_from_slice(&1_001u32.to_be_bytes());
            value.extend_from_slice(&[0, 2]);
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(13, &value)
                .finish();
        });
    };
    for _ in 0..3 {
        ask(&mut raw);
        let _ = raw.packets();
    }
    let reset = Event::IncomingReset { stream: 2 };
    assert!(!raw.events().contains(&reset), "a chunk is missing");
    raw.data_at(1_001, 2, 1, B | E, b"two");
    let events = raw.events();
    assert_eq!(events.last(), Some(&reset), "after the message: {events:?}");
    ask(&mut raw);
    assert!(!raw.events().contains(&reset), "once");
    raw.data_at(1_002, 2, 0, B | E, b"anew");
    assert_eq!(raw.messages(), [b"anew"]);
}

/// RFC 9260 §5.2.4.1: both ends restart at once, and one restarts while data is in flight.
#[test]
fn restarts_with_data_in_flight_and_on_both_sides_end_in_one_association() {
    use rand::SeedableRng;
    for seed in 0..10 {
        let mut pair = Pair::connected(seed, 20 * MS);
        let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        pair.run_for(SECOND);
        pair.a
            .send(pair.now, id, Message::Binary(pattern(100_000, 1)))
            .unwrap();
        pair.run_for(Duration::from_millis(seed * 7));
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed + 100);
        pair.a = data_channel::Endpoint::new(config(Role::Client), pair.now, &mut rng);
        pair.a.connect(pair.now);
        if seed % 2 == 1 {
            pair.b = data_channel::Endpoint::new(config(Role::Server), pair.now, &mut rng);
            pair.b.connect(pair.now);
        }
        pair.run_for(30 * SECOND);
        assert!(
            pair.a.is_connected() && pair.b.is_connected(),
            "seed {seed}"
        );
        pair.events_b.clear();
        let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        let data = pattern(50_000, 3);
        pair.a
            .send(pair.now, id, Message::Binary(data.clone()))
            .unwrap();
        pair.run_for(5 * SECOND);
        let got = pair.take_messages_b();
        assert!(got == [data], "seed {seed}: {} messages", got.len());
    }
}

/// RFC 8260 §2.2.3: an I-DATA message whose fragments contradict each other ends the association;
/// one that repeats a fragment under another TSN does not.
#[test]
fn overlapping_fragments_of_i_data_are_harmless_or_end_the_association() {
    let mut raw = Raw::with(Config::default(), 1_000, 1 << 20, INTERLEAVED);
    i_data(&mut raw, 1_000, 0, (0, 0), B, b"ab");
    i_data(&mut raw, 1_001, 0, (0, 1), 0, b"cd");
    i_data(&mut raw, 1_002, 0, (0, 1), 0, b"XX");
    i_data(&mut raw, 1_003, 0, (0, 2), E, b"ef");
    assert_eq!(raw.messages(), [b"abcdef"], "the first one stands");
    // Two ends; an end before what came already; something beyond the end.
    let cases: [&[(u32, u8)]; 3] = [
        &[(0, B), (3, E), (2, E)],
        &[(0, B), (3, 0), (2, E)],
        &[(0, B), (2, E), (3, 0)],
    ];
    for case in cases {
        let mut raw = Raw::with(Config::default(), 1_000, 1 << 20, INTERLEAVED);
        for (i, (number, flags)) in case.iter().enumerate() {
            i_data(&mut raw, 1_000 + i as u32, 0, (0, *number), *flags, b"x");
        }
        assert_eq!(raw.association.state(), State::Closed, "{case:?}");
    }
}
