//! Hostile input: bounded, counted, typed; legitimate data is not lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::raw::{PLAIN, Raw, each, init};
use support::{Pair, config, pattern};
use tincan_sctp::association::{Event, SendOptions, State};
use tincan_sctp::data_channel::{ChannelConfig, ChannelState, Message, Role};
use tincan_sctp::wire::{Chunk, ChunkWriter, DataHeader, chunk_type, parameter_type};
use tincan_sctp::{Association, CloseReason, Config, Violation};

const MS: Duration = Duration::from_millis(1);
const B: u8 = 2;
const E: u8 = 1;

#[test]
fn sacks_for_what_was_never_sent_change_nothing() {
    let mut raw = Raw::new(Config::default());
    raw.association
        .send(raw.now, 0, pattern(3_000, 1), SendOptions::default())
        .unwrap();
    let tsns = raw.sent_tsns();
    let before = raw.association.stats();
    raw.sack(tsns.last().unwrap().wrapping_add(1), 100_000, &[]);
    raw.sack(tsns[0].wrapping_add(1 << 31), 100_000, &[]);
    raw.sack(tsns[0].wrapping_sub(1), 100_000, &[(100, 60_000)]);
    let after = raw.association.stats();
    assert_eq!(after.bytes_in_flight, before.bytes_in_flight);
    assert_eq!(after.counters.bogus_sacks, 2);
    assert_eq!(after.counters.stale_sacks + after.counters.bogus_sacks, 3);
    raw.sack(*tsns.last().unwrap(), 100_000, &[]);
    assert_eq!(raw.association.stats().bytes_in_flight, 0);
}

#[test]
fn gap_blocks_by_the_thousand_overlapping_and_backwards_are_harmless() {
    let mut raw = Raw::with(
        Config {
            pacing: false,
            ..Config::default()
        },
        1,
        64 << 20,
        PLAIN,
    );
    let mut rng = StdRng::seed_from_u64(11);
    raw.association
        .send(raw.now, 0, pattern(250_000, 1), SendOptions::default())
        .unwrap();
    for _ in 0..300 {
        raw.now += MS;
        let _ = raw.packets();
        let gaps: Vec<(u16, u16)> = (0..4_000)
            .map(|_| ((rng.next_u32() % 300) as u16, (rng.next_u32() % 300) as u16))
            .collect();
        raw.sack(raw.first_tsn.wrapping_sub(1), 64 << 20, &gaps);
    }
    // The honest acknowledgements of a receiver that has it all.
    for _ in 0..400 {
        raw.now += MS;
        let _ = raw.packets();
        let stats = raw.association.stats();
        if stats.bytes_queued == 0 && stats.chunks_outstanding > 0 {
            let last = raw
                .first_tsn
                .wrapping_add(stats.counters.data_chunks_sent as u32 - 1);
            raw.sack(last, 64 << 20, &[]);
        }
        raw.pass(100 * MS);
    }
    let stats = raw.association.stats();
    assert_eq!(
        (
            stats.chunks_outstanding,
            stats.bytes_in_flight,
            stats.bytes_queued
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_flood_of_inits_costs_no_state() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut b = Association::new(Config::default(), now, &mut rng);
    let mut out = Vec::new();
    for i in 0..10_000u32 {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(&init(i + 1, i, 10_000, PLAIN));
        tincan_sctp::wire::finish_packet(&mut packet, 0);
        b.handle_input(now, packet.into());
        if i % 100 == 0 {
            out.clear();
            while b.poll_transmit(now, &mut out).is_some() {}
        }
    }
    assert_eq!(b.state(), State::Idle);
    assert_eq!(b.poll_timeout(), None, "nothing is waited for");
    assert!(
        b.stats().counters.replies_dropped > 0,
        "the answers are bounded too"
    );
}

#[test]
fn contradictory_fragments_end_the_association_with_a_reason() {
    let cases: [&[(u32, u32, u8)]; 4] = [
        // A message begins within another one.
        &[(0, 0, B), (1, 0, B)],
        // Another stream sequence number within a message.
        &[(0, 0, B), (1, 1, E)],
        // A whole message within another one.
        &[(0, 0, B), (1, 1, B | E)],
        // The same, the other way round.
        &[(1, 1, E), (0, 0, B)],
    ];
    for case in cases {
        let mut raw = Raw::new(Config::default());
        for (offset, ssn, flags) in case {
            raw.data_at(1_000 + offset, 0, *ssn, *flags, b"x");
        }
        let reason = CloseReason::ProtocolViolation(Violation::Fragments);
        assert_eq!(
            raw.events().last(),
            Some(&Event::Closed { reason }),
            "{case:?}"
        );
    }
}

#[test]
fn a_forward_tsn_by_half_the_space_is_not_believed() {
    let mut raw = Raw::new(Config::default());
    raw.data(0, 0, B | E, b"a");
    for jump in [1u32 << 31, (1 << 31) - 1, 1 << 20] {
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::FORWARD_TSN, 0)
                .u32(1_000u32.wrapping_add(jump))
                .finish();
        });
    }
    assert_eq!(raw.association.stats().counters.bogus_forwards, 2);
    raw.data(0, 1, B | E, b"b");
    assert_eq!(raw.messages(), [b"a", b"b"]);
}

#[test]
fn an_application_that_never_reads_closes_the_window_and_loses_nothing() {
    let mut pair = Pair::connected(4, 5 * MS);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(Duration::from_secs(1));
    pair.b_reads = false;
    let message = pattern(60_000, 3);
    let mut sent = 0usize;
    for _ in 0..200 {
        while pair.a.buffered_amount(id) < 1 << 20 {
            pair.a
                .send(pair.now, id, Message::Binary(message.clone()))
                .unwrap();
            sent += 1;
        }
        pair.run_for(50 * MS);
    }
    let held = pair.b.stats();
    assert!(held.bytes_unread + held.bytes_waiting <= held.receive_window * 3 / 2);
    assert!(held.receive_window <= 64 << 20);
    assert!(pair.a.stats().bytes_queued > 0, "the sender was held back");
    pair.b_reads = true;
    let mut got = 0;
    pair.run(Duration::from_secs(600), |p| {
        got += p
            .take_messages_b()
            .iter()
            .filter(|m| **m == message)
            .count();
        got == sent
    });
    assert_eq!(got, sent);
}

#[test]
fn a_sender_that_ignores_the_window_is_refused_at_the_bound() {
    let config = Config {
        receive_window: 100_000,
        max_receive_window: 600_000,
        max_message_size: 60_000,
        ..Config::default()
    };
    let mut raw = Raw::new(config);
    for i in 0..20_000 {
        // One octet each: their bookkeeping counts.
        raw.data(0, i, B | E, b"x");
    }
    let stats = raw.association.stats();
    assert!(stats.bytes_unread <= 900_100, "{}", stats.bytes_unread);
    assert!(stats.counters.data_refused > 0);
    // Out of order, and the missing one at last: it is taken although the buffer is full.
    let config = Config {
        receive_window: 100_000,
        max_receive_window: 600_000,
        max_message_size: 60_000,
        ..Config::default()
    };
    let mut raw = Raw::new(config);
    for i in 1..2_000 {
        raw.data_at(1_000 + i, 0, i, B | E, &[1; 1_000]);
    }
    assert!(raw.association.stats().bytes_waiting <= 1_000_000);
    raw.data_at(1_000, 0, 0, B | E, b"x");
    assert!(raw.messages().len() > 100);
}

#[test]
fn storms_of_reconfigurations_are_answered_in_bounds() {
    let mut raw = Raw::new(Config::default());
    for i in 0..10_000u32 {
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::OUTGOING_RESET, &{
                    let mut value = (1_000 + i).to_be_bytes().to_vec();
                    value.extend_from_slice(&0u32.to_be_bytes());
                    value.extend_from_slice(
                        &(if i % 2 == 0 { 999u32 } else { 5_000 }).to_be_bytes(),
                    );
                    value.extend_from_slice(&[0, 1, 0, 2]);
                    value
                })
                .finish();
        });
    }
    assert!(raw.packets().len() <= 2);
    raw.data(1, 0, B | E, b"still here");
    assert_eq!(raw.messages(), [b"still here"]);
}

#[test]
fn floods_that_ask_for_replies_are_bounded() {
    let mut raw = Raw::new(Config::default());
    for _ in 0..1_000 {
        raw.send(|out| {
            for _ in 0..20 {
                ChunkWriter::new(out, chunk_type::HEARTBEAT, 0)
                    .parameter(1, &[7; 40])
                    .finish();
            }
            ChunkWriter::new(out, 0xc9, 0).bytes(b"unknown").finish();
        });
    }
    assert!(raw.packets().len() <= 16);
    assert!(raw.association.stats().counters.replies_dropped > 10_000);
}

#[test]
fn too_large_messages_are_refused_and_others_delivered() {
    let mut raw = Raw::new(Config {
        max_message_size: 5_000,
        ..Config::default()
    });
    raw.data(0, 0, B | E, b"before");
    for i in 0..10 {
        let flags = if i == 0 {
            B
        } else if i == 9 {
            E
        } else {
            0
        };
        raw.data(0, 1, flags, &[1; 1_000]);
    }
    raw.data(0, 2, B | E, b"after");
    let events = raw.events();
    assert!(events.contains(&Event::MessageRefused { stream: 0 }));
    let messages = events
        .iter()
        .filter(|e| matches!(e, Event::Message { .. }))
        .count();
    assert_eq!(messages, 2);
    assert_eq!(raw.association.stats().bytes_waiting, 0);
}

#[test]
fn a_tiny_fragment_does_not_keep_its_datagram() {
    let mut raw = Raw::new(Config::default());
    let header = DataHeader {
        interleaved: false,
        flags: B,
        tsn: 1_000,
        stream: 0,
        message: 0,
        fragment: 0,
        ppid: 53,
    };
    raw.send(|out| {
        header.write(out, b"x");
        ChunkWriter::new(out, chunk_type::PAD, 0)
            .bytes(&[0; 1_000])
            .finish();
    });
    raw.data_at(1_001, 0, 0, E, b"y");
    let payload = raw.events().into_iter().find_map(|event| match event {
        Event::Message { payload, .. } => Some(payload),
        _ => None,
    });
    let payload = payload.expect("the message");
    // A slice of its own is unique; one of a datagram of which other parts live is not.
    assert!(payload.fragments().iter().all(Bytes::is_unique));
}

/// Two of ours behind a path that flips bits, drops, repeats and reorders: it never panics, and
/// with checksums on nothing wrong is delivered.
#[test]
fn corrupted_packets_are_dropped() {
    let (mut first, mut second) = (config(Role::Client), config(Role::Server));
    first.association.zero_checksum = false;
    second.association.zero_checksum = false;
    let mut pair = Pair::with(9, 10 * MS, first, second).lossy(30);
    pair.connect();
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    let data = pattern(100_000, 1);
    pair.a
        .send(pair.now, id, Message::Binary(data.clone()))
        .unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..2_000 {
        pair.exchange();
        for queue in [&mut pair.to_a.queue, &mut pair.to_b.queue] {
            for (_, packet) in queue.iter_mut() {
                if rng.next_u32() % 10 == 0 {
                    let mut bytes = packet.to_vec();
                    let at = rng.next_u32() as usize % bytes.len();
                    bytes[at] ^= 1 << (rng.next_u32() % 8);
                    *packet = Bytes::from(bytes);
                }
            }
        }
        pair.run_for(5 * MS);
    }
    assert_eq!(pair.take_messages_b(), [data]);
    assert!(pair.b.stats().counters.packets_rejected > 0);
}

/// An endpoint and an association that opens channels as it likes.
struct Opener {
    now: Instant,
    us: tincan_sctp::data_channel::Endpoint,
    liar: Association,
    opened: Vec<tincan_sctp::data_channel::ChannelId>,
}

impl Opener {
    fn new(ours: tincan_sctp::data_channel::Config) -> Self {
        Self::with(ours, u16::MAX)
    }

    /// The other end takes so many streams.
    fn with(mut ours: tincan_sctp::data_channel::Config, streams: u16) -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(4);
        ours.association.zero_checksum = false;
        let us = tincan_sctp::data_channel::Endpoint::new(ours, now, &mut rng);
        let liar = Config {
            interleaving: false,
            inbound_streams: streams,
            ..Config::default()
        };
        let liar = Association::new(liar, now, &mut rng);
        let opened = Vec::new();
        let mut this = Self {
            now,
            us,
            liar,
            opened,
        };
        this.us.connect(now);
        this.exchange(20, true);
        assert!(this.us.is_connected());
        this
    }

    fn exchange(&mut self, rounds: usize, reads: bool) {
        let mut out = Vec::new();
        for _ in 0..rounds {
            self.now += MS;
            while self.us.poll_transmit(self.now, &mut out).is_some() {
                let packet = Bytes::from(std::mem::take(&mut out));
                self.liar.handle_input(self.now, packet);
            }
            while self.liar.poll_transmit(self.now, &mut out).is_some() {
                let packet = Bytes::from(std::mem::take(&mut out));
                self.us.handle_input(self.now, packet);
            }
            self.us.handle_timeout(self.now);
            self.liar.handle_timeout(self.now);
            while self.liar.poll_event().is_some() {}
            while reads && let Some(event) = self.us.poll_event() {
                if let tincan_sctp::data_channel::Event::ChannelOpened { id, .. } = event {
                    self.opened.push(id);
                }
            }
        }
    }

    fn open(&mut self, stream: u16, label: usize) {
        let mut open = vec![3, 0, 1, 0, 0, 0, 0, 0];
        open.extend_from_slice(&(label as u16).to_be_bytes());
        open.extend_from_slice(&[0, 0]);
        open.resize(open.len() + label, b'x');
        let options = SendOptions {
            ppid: 50,
            ..SendOptions::default()
        };
        self.liar
            .send(self.now, stream, open.into(), options)
            .unwrap();
    }
}

#[test]
fn labels_of_64_kib_do_not_fill_the_memory() {
    let mut ours = config(Role::Client);
    ours.max_channel_octets = 1 << 20;
    let mut pair = Opener::new(ours);
    for stream in 0..60 {
        pair.open(2 * stream + 1, 60_000);
        pair.exchange(40, true);
        assert!(pair.us.channel_octets() <= 1 << 20);
    }
    assert_eq!(pair.us.channel_count(), (1 << 20) / (60_000 + 512));
    assert_eq!(pair.us.messages_dropped(), 60 - 17);
    // Channels that end make room again.
    let first = pair.opened[0];
    pair.us.close_channel(pair.now, first);
    pair.liar.reset_stream(pair.now, 1).unwrap();
    pair.exchange(300, true);
    assert_eq!(pair.us.channel_count(), 16);
    assert!(pair.us.channel_octets() <= 16 * 60_512);
    pair.open(201, 1_000);
    pair.exchange(40, true);
    assert_eq!(pair.us.channel_count(), 17);
}

#[test]
fn news_of_channels_that_nobody_takes_closes_the_window() {
    let mut ours = config(Role::Client);
    ours.association.receive_window = 200_000;
    ours.association.max_receive_window = 600_000;
    let bound = 3 * 600_000 / 2 + 70_000;
    let mut pair = Opener::new(ours);
    let mut most = 0;
    for stream in 0..100 {
        pair.open(2 * stream + 1, 50_000);
        pair.exchange(10, false);
        most = most.max(pair.us.stats().bytes_unread);
    }
    assert!(most > 100_000, "{most}: nothing was charged");
    assert!(most <= bound, "{most}");
    // Taken, the rest comes.
    for _ in 0..200 {
        pair.exchange(100, true);
    }
    assert_eq!(pair.us.channel_count(), 100);
    assert_eq!(pair.us.stats().bytes_unread, 0);
}

#[test]
fn memory_usage_tells_what_waits() {
    let mut ours = config(Role::Client);
    ours.high_water_mark = 64 << 20;
    let mut pair = Opener::new(ours);
    let idle = pair.us.memory_usage();
    assert!(idle < 20_000, "{idle}");
    let id = pair.us.open(pair.now, ChannelConfig::default()).unwrap();
    for _ in 0..100 {
        let data = pattern(50_000, 1);
        pair.us.send(pair.now, id, Message::Binary(data)).unwrap();
    }
    let full = pair.us.memory_usage();
    assert!((5_000_000..5_600_000).contains(&full), "{full}");
    pair.exchange(4_000, true);
    let after = pair.us.memory_usage();
    assert!(after <= idle + 2_000, "{after}");
}

/// What came before the ABORT in its packet would be acknowledged later; there is no later.
#[test]
fn an_association_that_was_ended_waits_for_nothing() {
    let mut raw = Raw::new(Config::default());
    let header = DataHeader {
        interleaved: false,
        flags: B | E,
        tsn: raw.tsn,
        stream: 0,
        message: 0,
        fragment: 0,
        ppid: 53,
    };
    raw.send(|out| {
        header.write(out, b"last words");
        ChunkWriter::new(out, chunk_type::ABORT, 0).finish();
    });
    assert_eq!(raw.association.state(), State::Closed);
    assert_eq!(raw.association.poll_timeout(), None);
    assert_eq!(raw.messages(), [b"last words"]);
    // Nor does anything begin anew by what the layers below tell.
    raw.association.path_changed(raw.now, 9_000);
    raw.association.packet_refused(raw.now, 1_200);
    assert_eq!(raw.association.poll_timeout(), None);
    assert!(raw.packets().is_empty());
}

/// Ends of an association for a peer that makes too much wait.
fn overrun(raw: &mut Raw, most: usize, mut chunk: impl FnMut(&mut Raw, u32)) {
    let reason = CloseReason::ProtocolViolation(Violation::OutOfResource);
    assert_eq!(reason.cause_code(), Some(4));
    let mut peak = 0;
    for n in 0..60_000 {
        chunk(raw, n);
        peak = peak.max(raw.association.memory_usage());
        if raw.association.state() == State::Closed {
            break;
        }
    }
    assert_eq!(raw.events().last(), Some(&Event::Closed { reason }));
    assert!(peak <= most, "{peak}");
    // Nothing is kept of what led to it.
    let after = raw.association.memory_usage();
    assert!(after < 10_000, "{after}");
}

/// No TSN is missing: each chunk is the next one, and must be stored however full the buffer is.
#[test]
fn messages_whose_forerunner_never_comes_are_not_collected_without_end() {
    let small = Config {
        receive_window: 100_000,
        max_receive_window: 600_000,
        max_message_size: 10_000,
        ..Config::default()
    };
    let most = 1_250_000;
    let plain = || Raw::new(small.clone());
    let interleaved = || {
        let extensions = [PLAIN, &[chunk_type::I_DATA, chunk_type::I_FORWARD_TSN]].concat();
        Raw::with(small.clone(), 1_000, 1 << 20, &extensions)
    };
    let write = |raw: &mut Raw, stream: u16, message: u32, fragment: u32, flags: u8| {
        let header = DataHeader {
            interleaved: true,
            flags,
            tsn: raw.tsn,
            stream,
            message,
            fragment,
            ppid: 53,
        };
        raw.tsn = raw.tsn.wrapping_add(1);
        raw.send(|out| header.write(out, &[1; 1_000]));
    };
    // Whole messages, the first of which never comes.
    overrun(&mut plain(), most, |raw, n| {
        raw.data((n % 900) as u16, 1 + n / 900, B | E, &[1; 1_000]);
    });
    // Beginnings of messages.
    overrun(&mut interleaved(), most, |raw, n| {
        write(raw, 0, n, 0, B);
    });
    const UNORDERED: u8 = 4;
    overrun(&mut interleaved(), most, |raw, n| {
        write(raw, 0, n, 0, B | UNORDERED);
    });
    // One message without end that has not its turn, handed over in pieces.
    let mut raw = Raw::new(Config {
        piece_size: Some(2_000),
        ..small.clone()
    });
    overrun(&mut raw, most, |raw, n| {
        raw.data(0, 1, if n == 0 { B } else { 0 }, &[1; 1_000]);
    });
}

/// With DATA one message is under way at a time: the largest messages need no room beyond the buffer.
#[test]
fn without_interleaving_what_waits_is_bounded_by_the_receive_buffer() {
    const WINDOW: usize = 512 << 10;
    let config = Config {
        interleaving: false,
        receive_window: WINDOW,
        max_receive_window: WINDOW,
        max_message_size: 256 << 10,
        ..Config::default()
    };
    let most = 2 * WINDOW + 10_000;
    overrun(&mut Raw::new(config.clone()), most, |raw, n| {
        raw.data((n % 900) as u16, 1 + n / 900, B | E, &[1; 1_000]);
    });
    // What waits for the application counts too.
    let mut raw = Raw::new(config);
    for n in 0..900 {
        raw.data(n, 1, B | E, &[1; 1_000]);
    }
    let mut peak = 0;
    for n in 0..900 {
        raw.data(999, n, B | E, &[1; 1_000]);
        peak = peak.max(raw.association.memory_usage());
    }
    let stats = raw.association.stats();
    assert_eq!(raw.association.state(), State::Established);
    assert!(stats.bytes_unread > 50_000 && stats.bytes_waiting > 900_000);
    assert!(peak <= most, "{peak}");
    // Read, the rest comes.
    let got = raw.messages().len() as u32;
    raw.tsn -= 900 - got;
    raw.data(999, got, B | E, &[1; 1_000]);
    assert_eq!(raw.messages().len(), 1);
}

/// An open channel cannot go on with its stream held back.
#[test]
fn what_cannot_be_understood_closes_the_channel_that_it_came_on() {
    let mut pair = Opener::new(config(Role::Client));
    pair.open(1, 10);
    pair.exchange(20, true);
    assert_eq!(pair.us.channel_count(), 1);
    let options = SendOptions {
        ppid: 50,
        ..SendOptions::default()
    };
    pair.liar
        .send(pair.now, 1, Bytes::from_static(&[77]), options)
        .unwrap();
    pair.exchange(20, true);
    let state = pair.us.channel_state(pair.opened[0]);
    assert_eq!(state, Some(ChannelState::Closing));
}

/// RFC 8832 §6: the odd identifiers are the server's; and we need a stream to answer on.
#[test]
fn channels_on_streams_that_are_not_the_peers_to_choose_are_closed() {
    for (streams, stream) in [(u16::MAX, 4), (16, 21)] {
        let mut pair = Opener::with(config(Role::Client), streams);
        pair.open(stream, 10);
        pair.exchange(20, true);
        assert_eq!(pair.us.channel_count(), 0);
        assert_eq!(pair.us.messages_dropped(), 1);
        let (ours, theirs) = (pair.us.stats(), pair.liar.stats());
        assert_eq!(
            ours.counters.chunks_ignored + theirs.counters.chunks_ignored,
            0
        );
        pair.open(1, 10);
        pair.exchange(20, true);
        assert_eq!(pair.us.channel_count(), 1);
    }
}

/// A peer that is never content with our cookie is not asked for another for ever.
#[test]
fn cookies_that_are_always_stale_end_the_handshake() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut a = Association::new(Config::default(), now, &mut rng);
    let tag = a.local_init()[4..8].to_vec();
    a.connect(now);
    let mut rounds = 0;
    while a.close_reason().is_none() {
        rounds += 1;
        assert!(rounds < 20);
        let mut out = Vec::new();
        while a.poll_transmit(now, &mut out).is_some() {}
        for stale in [false, true] {
            let mut packet = vec![0x13, 0x88, 0x13, 0x88];
            packet.extend_from_slice(&tag);
            packet.extend_from_slice(&[0; 4]);
            if stale {
                ChunkWriter::new(&mut packet, chunk_type::ERROR, 0)
                    .parameter(3, &[0; 4])
                    .finish();
            } else {
                ChunkWriter::new(&mut packet, chunk_type::INIT_ACK, 0)
                    .u32(9)
                    .u32(100_000)
                    .u16(10)
                    .u16(10)
                    .u32(1)
                    .parameter(parameter_type::STATE_COOKIE, b"cookie")
                    .finish();
            }
            tincan_sctp::wire::finish_packet(&mut packet, 0);
            a.handle_input(now, Bytes::from(packet));
        }
    }
    assert_eq!(a.close_reason(), Some(CloseReason::HandshakeTimeout));
    assert_eq!(rounds, 9);
}

#[test]
fn a_flood_of_stale_cookies_is_answered_in_bounds() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut b = Association::new(Config::default(), now, &mut rng);
    let packet = |tag: u32, chunk: &[u8]| {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend_from_slice(&tag.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(chunk);
        tincan_sctp::wire::finish_packet(&mut packet, 0);
        Bytes::from(packet)
    };
    b.handle_input(now, packet(0, &init(9, 9, 10_000, PLAIN)));
    let mut out = Vec::new();
    b.poll_transmit(now, &mut out).unwrap();
    let (mut tag, mut echo) = (0, Vec::new());
    each(&out, |chunk| {
        if let Chunk::InitAck(ack) = chunk {
            tag = ack.initiate_tag;
            ChunkWriter::new(&mut echo, chunk_type::COOKIE_ECHO, 0)
                .bytes(ack.state_cookie().unwrap())
                .finish();
        }
    });
    let late = now + Duration::from_secs(61);
    for _ in 0..1_000 {
        b.handle_input(late, packet(tag, &echo));
    }
    let answers = std::iter::from_fn(|| b.poll_transmit(late, &mut out)).count();
    assert_eq!(answers, tincan_sctp::limits::MAX_QUEUED_REPLIES);
    assert_eq!(b.stats().counters.replies_dropped, 1_000 - 16);
}
