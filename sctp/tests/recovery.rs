//! Loss recovery where SACKs tell little: tails, and more gaps than a SACK has room for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use support::raw::{PLAIN, Raw, each};
use support::{Pair, config, pattern};
use tincan_sctp::Config;
use tincan_sctp::association::{SendOptions, State};
use tincan_sctp::congestion::Algorithm;
use tincan_sctp::data_channel::{ChannelConfig, Endpoint, Event, Message, Role};
use tincan_sctp::wire::{Chunk, ChunkWriter, chunk_type};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

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

/// Sends some packets of which the last one is answered only once a tail probe has gone out.
fn probed(answer: impl FnOnce(&mut Raw, &[u32])) -> (usize, Raw) {
    let mut raw = Raw::with(no_pacing(), 1, 1 << 20, PLAIN);
    // A round trip of 100 ms is known.
    say(&mut raw, 100);
    let first = raw.sent_tsns();
    raw.now += 100 * MS;
    raw.sack(first[0], 1 << 20, &[]);
    for _ in 0..4 {
        say(&mut raw, 1_000);
    }
    let tsns = raw.sent_tsns();
    raw.now += 100 * MS;
    raw.sack(tsns[2], 1 << 20, &[]);
    let window = raw.association.stats().congestion_window;
    raw.wait();
    assert_eq!(raw.association.stats().counters.tail_probes, 1);
    assert_eq!(raw.sent_tsns(), [tsns[3]], "the last chunk asks");
    answer(&mut raw, &tsns);
    (window, raw)
}

/// RFC 8985 §7.4: a probe that repaired a loss hides it; the window shrinks all the same.
#[test]
fn a_loss_that_a_tail_probe_repaired_shrinks_the_window() {
    let (before, raw) = probed(|raw, tsns| {
        raw.now += 100 * MS;
        raw.sack(tsns[3], 1 << 20, &[]);
    });
    let stats = raw.association.stats();
    assert_eq!(stats.counters.tail_losses, 1);
    assert_eq!(stats.counters.congestion_events, 1);
    assert!(stats.congestion_window < before, "{before}");
}

/// RFC 8985 §7.4.2: the receiver had the chunk, or its answer was under way.
#[test]
fn a_tail_probe_that_was_not_needed_costs_nothing() {
    let duplicate = |raw: &mut Raw, tsns: &[u32]| {
        raw.now += 100 * MS;
        let tsn = tsns[3];
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::SACK, 0)
                .u32(tsn)
                .u32(1 << 20)
                .u16(0)
                .u16(1)
                .u32(tsn)
                .finish();
        });
    };
    let early = |raw: &mut Raw, tsns: &[u32]| {
        raw.now += 30 * MS;
        raw.sack(tsns[3], 1 << 20, &[]);
    };
    for (name, (before, raw)) in [("duplicate", probed(duplicate)), ("early", probed(early))] {
        let stats = raw.association.stats();
        assert_eq!(stats.counters.tail_losses, 0, "{name}");
        assert_eq!(stats.counters.congestion_events, 0, "{name}");
        assert!(stats.congestion_window >= before, "{name}");
    }
}

/// RFC 9260 §7.2.4: the window shrinks once until all that was outstanding at a loss is
/// acknowledged, also when a retransmission is lost; data sent later count anew.
#[test]
fn a_retransmission_lost_again_is_no_new_congestion() {
    let mut raw = Raw::with(no_pacing(), 1, 1 << 20, PLAIN);
    say(&mut raw, 100);
    let first = raw.sent_tsns();
    raw.now += 100 * MS;
    raw.sack(first[0], 1 << 20, &[]);
    for _ in 0..8 {
        say(&mut raw, 1_000);
    }
    let tsns = raw.sent_tsns();
    assert_eq!(tsns.len(), 8);
    raw.now += 100 * MS;
    // The first is missing.
    raw.sack(first[0], 1 << 20, &[(2, 5)]);
    assert_eq!(raw.sent_tsns(), [tsns[0]]);
    let events = |raw: &Raw| raw.association.stats().counters.congestion_events;
    assert_eq!(events(&raw), 1);
    for _ in 0..4 {
        say(&mut raw, 1_000);
    }
    let later = raw.sent_tsns();
    assert_eq!(later.len(), 4);
    raw.now += 100 * MS;
    // The later ones arrive, the retransmission does not.
    raw.sack(first[0], 1 << 20, &[(2, 12)]);
    assert_eq!(raw.sent_tsns(), [tsns[0]], "sent again");
    assert_eq!(events(&raw), 1);
    raw.now += 100 * MS;
    raw.sack(later[3], 1 << 20, &[]);
    for _ in 0..5 {
        say(&mut raw, 1_000);
    }
    let _ = raw.sent_tsns();
    raw.now += 100 * MS;
    raw.sack(later[3], 1 << 20, &[(2, 5)]);
    assert_eq!(events(&raw), 2);
}

/// RFC 9260 §5.1 C: what was queued before the handshake rides with COOKIE ECHO, and is there
/// one round trip and a half after the first packet.
#[test]
fn data_rides_with_cookie_echo_and_arrives_once_even_when_that_packet_is_lost() {
    for lost in [0u32, 1, 2] {
        let mut pair = Pair::new(4, 50 * MS);
        pair.a.connect(pair.now);
        let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        let hello = Message::Text(bytes::Bytes::from_static(b"hello"));
        pair.a.send(pair.now, id, hello).unwrap();
        let begin = pair.now;
        // INIT arrives, INIT ACK comes back.
        pair.run_for(100 * MS);
        for _ in 0..lost {
            let (_, packet) = pair.to_b.queue.pop_back().expect("COOKIE ECHO");
            let mut kinds = Vec::new();
            each(&packet, |chunk| {
                kinds.push(match chunk {
                    Chunk::CookieEcho(_) => 'c',
                    Chunk::Data(_) => 'd',
                    _ => '?',
                })
            });
            assert_eq!(kinds, ['c', 'd', 'd'], "the cookie, OPEN, the message");
            assert!(
                pair.to_b.queue.is_empty(),
                "nothing else may go before the answer"
            );
            let before = pair.now;
            pair.run(10 * SECOND, |p| !p.to_b.queue.is_empty());
            assert!(pair.now > before);
        }
        pair.run(10 * SECOND, |p| {
            p.events_b
                .iter()
                .any(|e| matches!(e, Event::Message { .. }))
        });
        if lost == 0 {
            assert_eq!(pair.now - begin, 150 * MS);
        }
        pair.run_for(5 * SECOND);
        assert_eq!(pair.take_messages_b(), [b"hello"]);
        assert!(pair.a.is_connected() && pair.b.is_connected());
    }
}

/// RFC 8899 §4.3: large packets vanish from one moment to the next. What is in flight arrives all the same, in packets of
/// the size that surely passes: no chunk is larger. Then the new size is found.
#[test]
fn a_path_that_shrinks_under_data_strands_nothing_and_is_searched_again() {
    let mut larger = config(Role::Client);
    larger.association.max_mtu = 1_472;
    let mut pair = Pair::with(2, 10 * MS, larger.clone(), larger);
    pair.connect();
    pair.run_for(5 * SECOND);
    assert_eq!(pair.a.stats().mtu, 1_472);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    let data = pattern(100_000, 1);
    pair.a.send(pair.now, id, Message::Binary(data)).unwrap();
    pair.run_for(5 * MS);
    assert!(pair.a.stats().bytes_in_flight > 5_000);
    pair.to_b.mtu = 1_300;
    pair.run(20 * SECOND, |p| {
        p.events_b
            .iter()
            .any(|e| matches!(e, Event::Message { .. }))
    });
    assert_eq!(pair.take_messages_b(), [pattern(100_000, 1)]);
    pair.run_for(60 * SECOND);
    let found = pair.a.stats().mtu;
    assert!((1_270..=1_300).contains(&found), "{found}");
    let too_large = pair.to_b.too_large;
    let data = pattern(100_000, 2);
    pair.a.send(pair.now, id, Message::Binary(data)).unwrap();
    pair.run_for(5 * SECOND);
    assert_eq!(pair.take_messages_b(), [pattern(100_000, 2)]);
    assert_eq!(pair.to_b.too_large, too_large);
}

/// RFC 9260 §5.2.4.1: the far end begins anew while a size is being looked for, perhaps elsewhere.
#[test]
fn a_restart_begins_the_search_anew() {
    let mut larger = config(Role::Client);
    larger.association.max_mtu = 1_472;
    let mut pair = Pair::with(2, 10 * MS, larger.clone(), larger.clone());
    pair.connect();
    // The first probe is on its way.
    pair.run_for(5 * MS);
    let mut rng = StdRng::seed_from_u64(77);
    pair.a = Endpoint::new(larger, pair.now, &mut rng);
    pair.a.connect(pair.now);
    pair.run_for(20 * SECOND);
    assert!(pair.a.is_connected() && pair.b.is_connected());
    assert_eq!(pair.a.stats().mtu, 1_472);
    assert_eq!(pair.b.stats().mtu, 1_472);
}

/// The same where small packets go on arriving, so that timeouts in a row never come.
#[test]
fn a_black_hole_is_found_though_small_messages_pass() {
    let mut larger = config(Role::Client);
    larger.association.max_mtu = 9_000;
    let mut pair = Pair::with(3, 10 * MS, larger.clone(), larger);
    pair.connect();
    pair.run_for(5 * SECOND);
    assert_eq!(pair.a.stats().mtu, 9_000);
    let large = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    let small = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    pair.to_b.mtu = 1_300;
    let data = pattern(200_000, 1);
    pair.a.send(pair.now, large, Message::Binary(data)).unwrap();
    for n in 0..1_000 {
        let tick = Message::Binary(pattern(20, n));
        pair.a.send(pair.now, small, tick).unwrap();
        pair.run_for(10 * MS);
    }
    let messages = pair.take_messages_b();
    assert_eq!(messages.len(), 1_001, "{:?}", pair.a.stats());
    assert!(messages.iter().any(|m| pattern(200_000, 1) == m));
}

/// The layer below says at once what its interface does not take.
#[test]
fn what_the_layer_below_refuses_is_believed_at_once() {
    let mut larger = config(Role::Client);
    larger.association.max_mtu = 9_000;
    let mut pair = Pair::with(4, 10 * MS, larger.clone(), larger);
    pair.to_b.mtu = 1_400;
    pair.to_b.refuses = true;
    pair.connect();
    // An answer takes 20 ms, a probe that is waited for in vain a second, three times.
    pair.run_for(SECOND);
    let found = pair.a.stats().mtu;
    assert!((1_370..=1_400).contains(&found), "{found}");
    assert!(pair.to_b.too_large > 0);
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    let data = pattern(100_000, 1);
    pair.a.send(pair.now, id, Message::Binary(data)).unwrap();
    pair.run_for(30 * MS);
    pair.to_b.mtu = 1_300;
    pair.run_for(5 * SECOND);
    assert_eq!(pair.take_messages_b(), [pattern(100_000, 1)]);
    let found = pair.a.stats().mtu;
    assert!((1_270..=1_300).contains(&found), "{found}");
    // Another path: nothing is known of it.
    pair.to_b.mtu = usize::MAX;
    pair.a.path_changed(pair.now, 2_000);
    assert_eq!(pair.a.stats().mtu, 1_160);
    pair.run_for(100 * MS);
    assert_eq!(pair.a.stats().mtu, 2_000);
}

fn reconfigure(raw: &mut Raw, kind: u16, number: u32) -> Vec<Vec<u32>> {
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
            .parameter(kind, &number.to_be_bytes())
            .finish();
    });
    let mut answers = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::Reconfig(parameters) = chunk {
                for parameter in parameters {
                    let words = parameter.value.chunks_exact(4);
                    answers.push(
                        words
                            .map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
                            .collect(),
                    );
                }
            }
        });
    }
    answers
}

/// RFC 6525 §5.2.4: served once nothing is on its way; a repeated request gets the same answer.
#[test]
fn a_request_to_reset_all_numbers_is_served() {
    const SSN_TSN_RESET: u16 = 15;
    const PERFORMED: u32 = 1;
    const DENIED: u32 = 2;
    let mut raw = Raw::new(no_pacing());
    raw.data(3, 0, 3, b"one");
    assert_eq!(raw.messages(), [b"one"]);
    say(&mut raw, 100);
    let ours = raw.sent_tsns()[0];
    // What was begun is dropped.
    raw.data(4, 0, 2, b"begun");
    for _ in 0..3 {
        let answers = reconfigure(&mut raw, SSN_TSN_RESET, 1_000);
        assert!(answers.is_empty(), "ours is not acknowledged");
    }
    let answers = reconfigure(&mut raw, SSN_TSN_RESET, 1_000);
    assert_eq!(answers, [[1_000, DENIED]], "it need not wait for ever");
    assert!(reconfigure(&mut raw, SSN_TSN_RESET, 1_001).is_empty());
    raw.sack(ours, 1 << 20, &[]);
    let answers = reconfigure(&mut raw, SSN_TSN_RESET, 1_001);
    let fresh = 1_002u32.wrapping_add(1 << 31);
    let expected = vec![1_001, PERFORMED, ours.wrapping_add(1), fresh];
    assert_eq!(answers, std::slice::from_ref(&expected));
    assert_eq!(raw.association.stats().bytes_waiting, 0);
    let event = tincan_sctp::association::Event::NumbersReset;
    assert!(raw.events().contains(&event));
    raw.data_at(fresh, 3, 0, 3, b"anew");
    assert_eq!(raw.messages(), [b"anew"], "SSNs and TSNs begin anew");
    assert_eq!(reconfigure(&mut raw, SSN_TSN_RESET, 1_001), [expected]);
    say(&mut raw, 10);
    let mut next = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::Data(d) = chunk {
                next.push((d.tsn, d.message));
            }
        });
    }
    assert_eq!(next, [(ours.wrapping_add(1), 0)]);
    assert_eq!(raw.association.state(), State::Established);
}

/// RFC 6525 §5.1.3: the peer is asked to reset its stream, and does it.
#[test]
fn a_peer_resets_its_stream_when_asked() {
    use rand::SeedableRng;
    use tincan_sctp::Association;
    let now = std::time::Instant::now();
    let mut rng = rand::rngs::StdRng::seed_from_u64(3);
    let mut a = Association::new(Config::default(), now, &mut rng);
    let mut b = Association::new(Config::default(), now, &mut rng);
    a.connect_with_init(now, &b.local_init()).unwrap();
    b.connect_with_init(now, &a.local_init()).unwrap();
    b.send(now, 5, pattern(10, 1), SendOptions::default())
        .unwrap();
    a.request_peer_reset(now, 5).unwrap();
    let mut out = Vec::new();
    let mut events = Vec::new();
    for _ in 0..6 {
        while a.poll_transmit(now, &mut out).is_some() {
            b.handle_input(now, std::mem::take(&mut out).into());
        }
        while let Some(event) = b.poll_event() {
            if let tincan_sctp::association::Event::ResetRequested { stream } = event {
                b.reset_stream(now, stream).unwrap();
            }
        }
        while b.poll_transmit(now, &mut out).is_some() {
            a.handle_input(now, std::mem::take(&mut out).into());
        }
        events.extend(std::iter::from_fn(|| a.poll_event()));
    }
    let reset = tincan_sctp::association::Event::IncomingReset { stream: 5 };
    assert_eq!(events.iter().filter(|e| **e == reset).count(), 1);
    // Nothing is asked again.
    let mut asked = 0;
    for seconds in 1..10 {
        let later = now + seconds * SECOND;
        a.handle_timeout(later);
        while a.poll_transmit(later, &mut out).is_some() {
            each(&std::mem::take(&mut out), |chunk| {
                asked += usize::from(matches!(chunk, Chunk::Reconfig(_)));
            });
        }
    }
    assert_eq!(asked, 0);
}

/// A new controller by each name: the recovery above is not of one of them alone.
#[test]
fn every_controller_recovers_from_a_burst_of_losses() {
    for congestion in [Algorithm::Cubic, Algorithm::NewReno, Algorithm::Bbr] {
        let mut ours = config(Role::Client);
        ours.association.congestion = congestion;
        let mut pair = Pair::with(3, 20 * MS, ours, config(Role::Server));
        pair.connect();
        let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
        let data = pattern(100_000, 1);
        for _ in 0..20 {
            pair.a
                .send(pair.now, id, Message::Binary(data.clone()))
                .unwrap();
        }
        pair.run_for(100 * MS);
        pair.to_b.loss = 600;
        pair.run_for(100 * MS);
        pair.to_b.loss = 0;
        pair.run_for(60 * SECOND);
        let got = pair.take_messages_b();
        assert_eq!(got.len(), 20, "{congestion:?}");
        assert!(got.iter().all(|m| *m == data), "{congestion:?}");
        assert!(pair.a.stats().counters.retransmissions > 0);
    }
}

/// Unfinished messages on all streams at once take many times the receive buffer: single packets finish them all.
#[test]
fn big_messages_on_many_streams_pass_a_small_window_with_losses() {
    for seed in [31, 32] {
        let small = |role| {
            let mut config = config(role);
            config.association.receive_window = 40_000;
            config.association.max_receive_window = 128_000;
            config.association.max_message_size = 60_000;
            config.high_water_mark = 1 << 20;
            config
        };
        let (a, b) = (small(Role::Client), small(Role::Server));
        let mut pair = Pair::with(seed, 5 * MS, a, b).lossy(50);
        pair.connect();
        assert!(pair.a.association().interleaves());
        let mut sent = Vec::new();
        for stream in 0..24u64 {
            let ordered = stream % 2 == 0;
            let config = ChannelConfig {
                ordered,
                ..ChannelConfig::default()
            };
            let id = pair.a.open(pair.now, config).unwrap();
            for n in 0..2 {
                let message = pattern(60_000, 100 * stream + n);
                sent.push(message.to_vec());
                pair.a.send(pair.now, id, Message::Binary(message)).unwrap();
            }
        }
        let mut got = Vec::new();
        let mut most = 0;
        pair.run(Duration::from_secs(3_600), |p| {
            most = most.max(p.b.stats().bytes_waiting);
            got.extend(p.take_messages_b());
            got.len() == sent.len()
        });
        println!("{most} octets waited at most");
        got.sort();
        sent.sort();
        assert!(got == sent, "{} of {} messages", got.len(), sent.len());
        assert!(most > 2 * 128_000, "{most}: not enough at once");
    }
}

/// RFC 6069 for SCTP: while the path is away timeouts double; when the layer below says that it is back, nobody waits for
/// the last of them.
#[test]
fn what_waited_for_the_path_is_sent_when_it_is_back() {
    let mut patient = config(Role::Client);
    patient.association.max_retransmissions = Some(8);
    let mut pair = Pair::with(3, 20 * MS, patient.clone(), patient);
    pair.connect();
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    let anything = |p: &mut Pair| {
        p.events_b
            .iter()
            .any(|e| matches!(e, Event::Message { .. }))
    };
    let data = pattern(5_000, 1);
    pair.to_b.loss = 1_000;
    pair.a.send(pair.now, id, Message::Binary(data)).unwrap();
    // After the fifth timeout: the next comes 16 s later or more.
    while pair.a.stats().counters.timeouts < 5 {
        pair.run_for(100 * MS);
    }
    // Told too early and too often: that is not the peer's silence.
    for _ in 0..20 {
        pair.a.path_restored(pair.now);
        pair.run_for(MS);
    }
    assert!(pair.a.is_connected());
    while pair.a.stats().counters.timeouts < 28 {
        pair.run_for(100 * MS);
    }
    pair.to_b.loss = 0;
    pair.a.path_restored(pair.now);
    let back = pair.now;
    pair.run(SECOND, anything);
    assert!(pair.now - back < 200 * MS, "{:?}", pair.now - back);
    assert_eq!(pair.take_messages_b(), [pattern(5_000, 1)]);
    // Nothing waits: nothing is sent.
    pair.run_for(SECOND);
    let timeouts = pair.a.stats().counters.timeouts;
    pair.a.path_restored(pair.now);
    assert_eq!(pair.a.stats().counters.timeouts, timeouts);
}
