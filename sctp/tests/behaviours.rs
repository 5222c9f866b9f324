//! Rules of the RFCs one by one; the peer is the test itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::raw::{PLAIN, Raw, each, init};
use support::{Pair, config, pattern};
use tincan_sctp::association::{Event, Reliability, SendOptions, State};
use tincan_sctp::data_channel::{self, ChannelConfig, Message, Role};
use tincan_sctp::wire::{Chunk, ChunkWriter, chunk_type};
use tincan_sctp::{Association, CloseReason, Config, Ecn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const B: u8 = 2;
const E: u8 = 1;
const U: u8 = 4;

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

/// RFC 9260 §6.3.3: the timeout doubles each time; §8.1: after ten the peer is unreachable.
#[test]
fn t3_doubles_and_gives_up_after_ten() {
    let mut raw = Raw::new(no_pacing());
    say(&mut raw, 100);
    let mut last = raw.now;
    assert_eq!(raw.sent_tsns(), [raw.first_tsn]);
    let mut gaps = Vec::new();
    while raw.association.state() != State::Closed {
        raw.wait();
        if !raw.sent_tsns().is_empty() {
            gaps.push(raw.now.duration_since(last).as_secs());
            last = raw.now;
        }
    }
    assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    let closed = Event::Closed {
        reason: CloseReason::PeerUnreachable,
    };
    assert_eq!(raw.events().last(), Some(&closed));
}

/// RFC 9260 §6.1 A: a closed window is probed with one chunk and is no reason to give up.
#[test]
fn a_closed_window_is_probed_and_never_given_up() {
    let mut raw = Raw::with(no_pacing(), 1, 0, PLAIN);
    for _ in 0..20 {
        say(&mut raw, 1_000);
    }
    assert_eq!(raw.sent_tsns().len(), 1, "one chunk probes");
    for _ in 0..40 {
        raw.wait();
        for tsn in raw.sent_tsns() {
            assert_eq!(tsn, raw.first_tsn, "only the probe is sent again");
            raw.sack(raw.first_tsn.wrapping_sub(1), 0, &[]);
        }
    }
    assert_eq!(raw.association.state(), State::Established);
    raw.sack(raw.first_tsn.wrapping_sub(1), 100_000, &[]);
    assert!(
        raw.sent_tsns().len() >= 5,
        "all goes at once when the window opens"
    );
}

/// RFC 9260 §6.2, §6.7: gaps and duplicates are reported, at once.
#[test]
fn gaps_and_duplicates_are_reported_at_once() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_000, 0, 0, B | E, b"a");
    assert_eq!(raw.sent_sack(), None, "one packet may wait");
    raw.data_at(1_003, 0, 3, B | E, b"d");
    let (cumulative, _, gaps, _) = raw.sent_sack().expect("a SACK at once");
    assert_eq!((cumulative, gaps), (1_000, vec![(3, 3)]));
    raw.data_at(1_003, 0, 3, B | E, b"d");
    let (_, _, _, duplicates) = raw.sent_sack().expect("a SACK at once");
    assert_eq!(duplicates, [1_003]);
    raw.data_at(1_001, 0, 1, B | E, b"b");
    raw.data_at(1_002, 0, 2, B | E, b"c");
    let (cumulative, _, gaps, _) = raw.sent_sack().expect("a SACK when a gap is filled");
    assert_eq!((cumulative, gaps), (1_003, vec![]));
    assert_eq!(raw.messages(), [b"a", b"b", b"c", b"d"]);
}

/// RFC 9260 §6.2: a single packet is acknowledged within the delay; RFC 7053: at once if asked.
#[test]
fn a_single_packet_is_acknowledged_after_the_delay_or_at_once_if_asked() {
    let mut raw = Raw::new(Config::default());
    raw.data(0, 0, B | E, b"a");
    assert_eq!(raw.sent_sack(), None);
    assert_eq!(raw.wait(), 200 * MS);
    assert!(raw.sent_sack().is_some());
    raw.data(0, 1, B | E | 8, b"b");
    assert!(raw.sent_sack().is_some());
}

#[test]
fn tsns_and_stream_sequence_numbers_wrap() {
    let mut raw = Raw::with(Config::default(), u32::MAX - 70_000, 1 << 20, PLAIN);
    for i in 0..140_000u32 {
        raw.data(3, i & 0xffff, B | E, &i.to_be_bytes());
        assert_eq!(raw.messages(), [i.to_be_bytes()]);
        let _ = raw.packets();
    }
}

/// RFC 9260 §6.9: fragments in any order, around the wrap of the TSN.
#[test]
fn fragments_come_together_in_any_order_around_the_wrap() {
    for order in [[0u32, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let first = u32::MAX - 1;
        let mut raw = Raw::with(Config::default(), first, 1 << 20, PLAIN);
        for i in order {
            let flags = if i == 0 {
                B
            } else if i == 3 {
                E
            } else {
                0
            };
            raw.data_at(first.wrapping_add(i), 0, 0, flags, &[i as u8; 2]);
        }
        assert_eq!(raw.messages(), [[0, 0, 1, 1, 2, 2, 3, 3]]);
    }
}

/// RFC 3758 §3.6: the beginning of a message that was given up is forgotten, ordered messages
/// behind it are delivered.
#[test]
fn forward_tsn_drops_fragments_and_lets_later_messages_go() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_000, 7, 0, B, b"begun");
    raw.data_at(1_003, 7, 1, B | E, b"later");
    raw.data_at(1_004, 8, 0, U | B, b"unordered");
    assert!(raw.messages().is_empty());
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::FORWARD_TSN, 0)
            .u32(1_002)
            .u16(7)
            .u16(0)
            .finish();
    });
    assert_eq!(raw.messages(), [b"later"]);
    let (cumulative, ..) = raw.sent_sack().expect("a SACK");
    assert_eq!(cumulative, 1_004);
    raw.data_at(1_005, 8, 0, U | E, b"!");
    assert_eq!(
        raw.messages(),
        [b"unordered!"],
        "what was not given up is whole"
    );
    assert_eq!(raw.association.stats().bytes_waiting, 0);
}

/// RFC 3758 §3.5: a message given up moves the peer's cumulative TSN, also when its end was
/// never sent.
#[test]
fn a_message_whose_end_was_never_sent_is_forwarded_over() {
    let mut raw = Raw::with(no_pacing(), 1, 3_000, PLAIN);
    let options = SendOptions {
        reliability: Reliability::MaxLifetime(300 * MS),
        ..SendOptions::default()
    };
    raw.association
        .send(raw.now, 0, pattern(20_000, 1), options)
        .unwrap();
    let sent = raw.sent_tsns();
    assert!(
        (2..=3).contains(&sent.len()),
        "the window lets part of it out: {sent:?}"
    );
    let last = *sent.last().unwrap();
    raw.sack(last, 0, &[]);
    raw.pass(SECOND);
    raw.association
        .send(raw.now, 0, pattern(10, 2), SendOptions::default())
        .unwrap();
    raw.sack(last, 100_000, &[]);
    let mut forwarded = None;
    let mut data = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| match chunk {
            Chunk::ForwardTsn(f) => forwarded = Some((f.new_cumulative, f.skipped().count())),
            Chunk::Data(d) => data.push((d.tsn, d.message, d.begins() && d.ends())),
            _ => {}
        });
    }
    let end = last.wrapping_add(1);
    assert_eq!(
        forwarded,
        Some((end, 1)),
        "the TSN of the missing end is given up"
    );
    assert_eq!(data, [(end.wrapping_add(1), 1, true)]);
}

/// RFC 9260 §5.2.4.1: the peer restarts; streams begin anew, what was queued is sent.
#[test]
fn a_restarted_peer_is_recognized() {
    let mut pair = Pair::connected(5, 10 * MS);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    pair.events_b.clear();
    let mut rng = StdRng::seed_from_u64(77);
    pair.a = data_channel::Endpoint::new(config(Role::Client), pair.now, &mut rng);
    pair.a.connect(pair.now);
    pair.run_for(SECOND);
    assert!(pair.a.is_connected() && pair.b.is_connected());
    assert!(
        pair.events_b
            .contains(&data_channel::Event::ChannelClosed { id })
    );
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.a
        .send(pair.now, id, Message::Text(Bytes::from_static(b"again")))
        .unwrap();
    pair.run_for(SECOND);
    assert_eq!(pair.take_messages_b(), [b"again"]);
}

/// What was still to be said to the old association is not said to the new one.
#[test]
fn a_restart_leaves_no_answers_to_what_was_before() {
    let mut raw = Raw::new(Config::default());
    raw.send_with_tag(0, |out| out.extend(init(77, 1, 100_000, PLAIN)));
    let (mut tag, mut echo) = (0, Vec::new());
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::InitAck(ack) = chunk {
                tag = ack.initiate_tag;
                ChunkWriter::new(&mut echo, chunk_type::COOKIE_ECHO, 0)
                    .bytes(ack.state_cookie().unwrap())
                    .finish();
            }
        });
    }
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::HEARTBEAT, 0)
            .parameter(1, &[7; 40])
            .finish();
    });
    raw.send_with_tag(tag, |out| out.extend(&echo));
    assert!(raw.events().contains(&Event::Restarted));
    let mut acknowledged = false;
    for packet in raw.packets() {
        each(&packet, |chunk| {
            acknowledged |= matches!(chunk, Chunk::CookieAck);
            assert!(!matches!(chunk, Chunk::HeartbeatAck(_)));
        });
    }
    assert!(acknowledged);
}

/// RFC 8831 §6.7: what was said on a channel before there was an association is sent, then the channel closes.
#[test]
fn a_channel_closed_before_the_association_stands_closes_once_it_does() {
    let mut pair = Pair::new(5, 10 * MS);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.a
        .send(pair.now, id, Message::Text(Bytes::from_static(b"bye")))
        .unwrap();
    pair.a.close_channel(pair.now, id);
    pair.connect();
    pair.run_for(SECOND);
    assert_eq!(pair.take_messages_b(), [b"bye"]);
    assert_eq!((pair.a.channel_count(), pair.b.channel_count()), (0, 0));
}

/// RFC 9260 §5.2.1: both connect at once, with all kinds of delay and loss.
#[test]
fn simultaneous_handshakes_end_in_one_association() {
    for seed in 0..30 {
        let mut pair = Pair::new(seed, 20 * MS).lossy(if seed % 2 == 0 { 0 } else { 300 });
        pair.to_a.delay = Duration::from_millis(seed * 3 % 40);
        pair.a.connect(pair.now);
        pair.run_for(Duration::from_millis(seed * 7 % 100));
        pair.b.connect(pair.now);
        pair.run(60 * SECOND, |p| p.a.is_connected() && p.b.is_connected());
        assert!(
            pair.a.is_connected() && pair.b.is_connected(),
            "seed {seed}"
        );
        pair.to_a.loss = 0;
        pair.to_b.loss = 0;
        let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        pair.a
            .send(pair.now, id, Message::Text(Bytes::from_static(b"hi")))
            .unwrap();
        pair.run_for(10 * SECOND);
        assert_eq!(pair.take_messages_b(), [b"hi"], "seed {seed}");
    }
}

/// RFC 6525: both ends reset the same streams while data is in flight; nothing is lost.
#[test]
fn streams_are_reset_from_both_sides_with_data_in_flight() {
    for seed in 0..5 {
        let mut pair = Pair::new(seed, 20 * MS).lossy(50);
        pair.connect();
        let ids: Vec<_> = (0..10)
            .map(|_| pair.a.open(pair.now, ChannelConfig::default()).unwrap())
            .collect();
        pair.run_for(2 * SECOND);
        for (i, id) in ids.iter().enumerate() {
            let salt = i as u64;
            pair.a
                .send(pair.now, *id, Message::Binary(pattern(30_000, salt)))
                .unwrap();
            pair.b
                .send(pair.now, *id, Message::Binary(pattern(30_000, salt + 100)))
                .unwrap();
        }
        pair.run_for(30 * MS);
        for id in &ids {
            pair.a.close_channel(pair.now, *id);
            pair.b.close_channel(pair.now, *id);
        }
        pair.run(120 * SECOND, |p| {
            p.a.channel_count() + p.b.channel_count() == 0
        });
        assert_eq!(
            (pair.a.channel_count(), pair.b.channel_count()),
            (0, 0),
            "seed {seed}"
        );
        assert_eq!(pair.take_messages_b().len(), 10);
        assert_eq!(pair.take_messages_a().len(), 10);
        // The identifiers and their sequence numbers can be used again.
        let again = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        assert_eq!(again, ids[0]);
        pair.a
            .send(pair.now, again, Message::Text(Bytes::from_static(b"new")))
            .unwrap();
        pair.run_for(20 * SECOND);
        assert_eq!(pair.take_messages_b(), [b"new"]);
    }
}

/// RFC 6525 §5.1.5.
#[test]
fn streams_are_added() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let small = Config {
        outbound_streams: 10,
        inbound_streams: 10,
        ..Config::default()
    };
    let mut a = Association::new(small.clone(), now, &mut rng);
    let mut b = Association::new(small, now, &mut rng);
    a.connect_with_init(now, &b.local_init()).unwrap();
    b.connect_with_init(now, &a.local_init()).unwrap();
    // RFC 6525 §5.1.5 and §5.1.6: more of one's own, and more of the other's.
    a.add_streams(now, 5).unwrap();
    a.request_peer_streams(now, 3).unwrap();
    let mut out = Vec::new();
    for _ in 0..4 {
        while a.poll_transmit(now, &mut out).is_some() {
            b.handle_input(now, std::mem::take(&mut out).into());
        }
        while b.poll_transmit(now, &mut out).is_some() {
            a.handle_input(now, std::mem::take(&mut out).into());
        }
    }
    let events: Vec<Event> = std::iter::from_fn(|| a.poll_event()).collect();
    for (outbound, inbound) in [(15, 10), (15, 13)] {
        let added = Event::StreamsAdded { outbound, inbound };
        assert!(events.contains(&added), "{events:?}");
    }
    assert_eq!((a.outbound_streams(), b.outbound_streams()), (15, 13));
}

/// draft-hancke-tsvwg-snap: established without a packet.
#[test]
fn inits_by_signalling_establish_at_once() {
    let mut pair = Pair::new(6, 10 * MS);
    let (a, b) = (pair.a.local_init(), pair.b.local_init());
    pair.a.connect_with_init(pair.now, &b).unwrap();
    pair.b.connect_with_init(pair.now, &a).unwrap();
    assert!(pair.a.is_connected() && pair.b.is_connected());
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.a
        .send(pair.now, id, Message::Text(Bytes::from_static(b"hi")))
        .unwrap();
    pair.run_for(10 * MS);
    assert_eq!(pair.take_messages_b(), [b"hi"], "after half a round trip");
    // The example of the draft, §4.1.
    let example = [
        1, 0, 0, 30, 0x89, 0x6c, 0xdd, 0x1d, 0, 0x50, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xe0, 0x79,
        0x65, 0x1d, 0xc0, 0, 0, 4, 0x80, 8, 0, 6, 0x82, 0xc0,
    ];
    assert_eq!(Association::check_init(&example), Ok(()));
    assert!(Association::check_init(&example[..29]).is_err());
    assert!(Association::check_init(&[]).is_err());
}

/// RFC 9653: once both accept it, packets go without checksum; INIT and COOKIE ECHO never.
#[test]
fn zero_checksums_are_used_only_once_negotiated() {
    for (a_wants, b_wants) in [(true, true), (true, false)] {
        let mut first = config(Role::Client);
        let mut second = config(Role::Server);
        first.association.zero_checksum = a_wants;
        second.association.zero_checksum = b_wants;
        let mut pair = Pair::with(1, 10 * MS, first, second);
        pair.a.connect(pair.now);
        let mut zeros = 0;
        let mut out = Vec::new();
        pair.run(SECOND, |p| p.a.is_connected() && p.b.is_connected());
        pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        while pair.a.poll_transmit(pair.now, &mut out).is_some() {
            zeros += usize::from(out[8..12] == [0; 4]);
            pair.b
                .handle_input(pair.now, std::mem::take(&mut out).into());
        }
        assert_eq!(zeros > 0, a_wants && b_wants);
        assert_eq!(pair.b.channel_count(), 1);
    }
}

/// RFC 8899: the search ends at the path's size, data is cut to it.
#[test]
fn the_path_mtu_is_found_and_used() {
    let mut larger = config(Role::Client);
    larger.association.max_mtu = 1_472;
    let mut pair = Pair::with(2, 10 * MS, larger.clone(), larger);
    pair.to_b.mtu = 1_400;
    pair.to_a.mtu = 1_400;
    pair.connect();
    pair.run_for(20 * SECOND);
    let found = pair.a.stats().mtu;
    assert!((1_370..=1_400).contains(&found), "{found}");
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.a
        .send(pair.now, id, Message::Binary(pattern(200_000, 3)))
        .unwrap();
    pair.run_for(5 * SECOND);
    assert_eq!(pair.take_messages_b(), [pattern(200_000, 3)]);
    assert_eq!(pair.a.stats().counters.retransmissions, 0);
}

/// RFC 9260 appendix B.
#[test]
fn congestion_marks_shrink_the_window_once_a_round_trip() {
    let ecn = Config {
        ecn: true,
        ..Config::default()
    };
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut a = Association::new(ecn.clone(), now, &mut rng);
    let mut b = Association::new(ecn, now, &mut rng);
    a.connect_with_init(now, &b.local_init()).unwrap();
    b.connect_with_init(now, &a.local_init()).unwrap();
    a.send(now, 0, pattern(60_000, 1), SendOptions::default())
        .unwrap();
    let before = a.stats().congestion_window;
    let mut out = Vec::new();
    while let Some(transmit) = a.poll_transmit(now, &mut out) {
        assert_eq!(transmit.ecn, Ecn::Ect0);
        b.handle_marked_input(now, std::mem::take(&mut out).into(), Ecn::Ce);
    }
    let later = now + 10 * MS;
    while b.poll_transmit(later, &mut out).is_some() {
        a.handle_input(later, std::mem::take(&mut out).into());
    }
    assert!(a.stats().congestion_window < before * 3 / 2);
    assert_eq!(a.stats().counters.congestion_events, 1);
    assert!(b.stats().counters.ce_received > 0);
}

/// RFC 8260 §2.2.1, §2.3.1: the wrong kind of chunk ends the association.
#[test]
fn the_wrong_kind_of_data_chunk_aborts() {
    let mut raw = Raw::new(Config::default());
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::I_DATA, B | E)
            .u32(1_000)
            .u16(0)
            .u16(0)
            .u32(0)
            .u32(53)
            .bytes(b"x")
            .finish();
    });
    let mut aborts = 0;
    for packet in raw.packets() {
        each(&packet, |chunk| {
            aborts += usize::from(matches!(chunk, Chunk::Abort { .. }))
        });
    }
    assert_eq!(aborts, 1);
    assert!(matches!(
        raw.events().last(),
        Some(Event::Closed {
            reason: CloseReason::ProtocolViolation(_)
        })
    ));
}

/// RFC 9260 §8.3.
#[test]
fn an_idle_path_is_probed_and_heartbeats_are_answered() {
    let mut raw = Raw::new(Config {
        max_retransmissions: Some(2),
        ..Config::default()
    });
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::HEARTBEAT, 0)
            .parameter(1, b"abc")
            .finish()
    });
    let mut echoed = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::HeartbeatAck(info) = chunk {
                echoed = info.to_vec();
            }
        });
    }
    assert_eq!(echoed, [0, 1, 0, 7, b'a', b'b', b'c']);
    raw.pass(200 * SECOND);
    assert_eq!(raw.association.state(), State::Closed, "nobody answered");
}

/// RFC 9260 §5.1.5, §5.2.6: a cookie that is too old is refused, with how much.
#[test]
fn stale_and_forged_cookies_are_refused() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut b = Association::new(Config::default(), now, &mut rng);
    let mut raw_init = Vec::new();
    let header = tincan_sctp::wire::Header {
        source_port: 5000,
        destination_port: 5000,
        verification_tag: 0,
    };
    tincan_sctp::wire::start_packet(&mut raw_init, &header);
    raw_init.extend_from_slice(&init(9, 1, 10_000, PLAIN));
    tincan_sctp::wire::finish_packet(&mut raw_init, 0);
    b.handle_input(now, raw_init.into());
    let mut out = Vec::new();
    b.poll_transmit(now, &mut out).expect("an INIT ACK");
    let mut cookie = Vec::new();
    let mut tag = 0;
    each(&out, |chunk| {
        if let Chunk::InitAck(init) = chunk {
            cookie = init.state_cookie().expect("a cookie").to_vec();
            tag = init.initiate_tag;
        }
    });
    let echo = |b: &mut Association, at: Instant, cookie: &[u8]| {
        let mut packet = Vec::new();
        let header = tincan_sctp::wire::Header {
            source_port: 5000,
            destination_port: 5000,
            verification_tag: tag,
        };
        tincan_sctp::wire::start_packet(&mut packet, &header);
        ChunkWriter::new(&mut packet, chunk_type::COOKIE_ECHO, 0)
            .bytes(cookie)
            .finish();
        tincan_sctp::wire::finish_packet(&mut packet, 0);
        b.handle_input(at, packet.into());
    };
    let mut forged = cookie.clone();
    forged[20] ^= 1;
    echo(&mut b, now, &forged);
    assert_eq!(b.state(), State::Idle);
    echo(&mut b, now + 61 * SECOND, &cookie);
    assert_eq!(b.state(), State::Idle);
    assert_eq!(b.stats().counters.bad_cookies, 2);
    let mut errors = 0;
    out.clear();
    b.poll_transmit(now, &mut out).expect("an ERROR");
    each(&out, |chunk| {
        errors += usize::from(matches!(chunk, Chunk::Error(_)))
    });
    assert_eq!(errors, 1);
    echo(&mut b, now + 59 * SECOND, &cookie);
    assert_eq!(b.state(), State::Established);
}

/// RFC 8985 §7: a lost tail is found by a probe, long before the retransmission timer.
#[test]
fn a_lost_tail_is_probed_two_round_trips_after_the_last_word() {
    let mut pair = Pair::connected(8, 50 * MS);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(2 * SECOND);
    pair.a
        .send(pair.now, id, Message::Binary(pattern(5_000, 1)))
        .unwrap();
    pair.exchange();
    let lost = pair.to_b.queue.pop_back().expect("the tail");
    drop(lost);
    let begin = pair.now;
    pair.run(10 * SECOND, |p| {
        p.events_b
            .iter()
            .any(|e| matches!(e, data_channel::Event::Message { .. }))
    });
    let took = pair.now.duration_since(begin);
    // The last acknowledgement after one, the probe two later, half of one on the way.
    assert!(took <= 360 * MS, "{took:?}");
    assert_eq!(pair.a.stats().counters.timeouts, 0);
}

/// RFC 9260 §6.2.1: what the receiver takes back is sent again.
#[test]
fn a_reneging_receiver_gets_the_data_again() {
    let mut raw = Raw::new(no_pacing());
    for _ in 0..5 {
        say(&mut raw, 1_000);
    }
    let tsns = raw.sent_tsns();
    raw.now += 50 * MS;
    raw.sack(tsns[0], 100_000, &[(3, 4)]);
    // The hole is filled, yet what was reported beyond it is gone.
    raw.now += 50 * MS;
    let _ = raw.packets();
    raw.sack(tsns[2], 100_000, &[]);
    raw.now += 50 * MS;
    let again = raw.sent_tsns();
    assert!(
        again.contains(&tsns[3]) && again.contains(&tsns[4]),
        "{again:?}"
    );
    assert_eq!(raw.association.stats().counters.reneged_sacks, 1);
}

/// Times of any length, and of none, are brought into their range.
#[test]
fn no_configured_time_is_too_long_or_too_short() {
    for time in [Duration::MAX, Duration::ZERO] {
        let mut raw = Raw::new(Config {
            rto_initial: time,
            rto_min: time,
            rto_max: time,
            heartbeat_interval: Some(time),
            cookie_lifetime: time,
            max_retransmissions: None,
            max_init_retransmissions: None,
            ..Config::default()
        });
        let options = SendOptions::default();
        raw.association
            .send(raw.now, 0, pattern(3_000, 1), options)
            .unwrap();
        for _ in 0..20 {
            raw.data(0, 0, 3, b"x");
            let _ = raw.packets();
            assert!(raw.association.poll_timeout().unwrap() > raw.now);
            let _ = raw.wait();
        }
        raw.association.close(raw.now);
        let _ = raw.packets();
        let last = raw.first_tsn.wrapping_add(2);
        raw.sack(last, 1 << 20, &[]);
        let _ = raw.packets();
        assert!(raw.association.poll_timeout().unwrap() > raw.now);
    }
}
