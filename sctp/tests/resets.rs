//! Resets of streams, and ends of associations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::raw::{PLAIN, Raw, each, init};
use support::{config, pattern};
use tincan_sctp::association::{Event, Reliability, SendOptions, State};
use tincan_sctp::data_channel::{self, ChannelConfig, ChannelState, Role};
use tincan_sctp::wire::{Chunk, ChunkWriter, DataHeader, chunk_type, parameter_type};
use tincan_sctp::{Association, CloseReason, Config};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const B: u8 = 2;
const E: u8 = 1;

/// The list may name a stream a hundred times, and streams that there are not; an empty one names all.
#[test]
fn a_reset_tells_of_each_stream_once() {
    let mut raw = Raw::new(Config::default());
    let mut request = 1_000u32;
    let mut reset = |raw: &mut Raw, streams: &[u16]| {
        let mut value = request.to_be_bytes().to_vec();
        request += 1;
        value.extend_from_slice(&0u32.to_be_bytes());
        value.extend_from_slice(&(raw.tsn.wrapping_sub(1)).to_be_bytes());
        value.extend(streams.iter().flat_map(|s| s.to_be_bytes()));
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::OUTGOING_RESET, &value)
                .finish();
        });
        raw.events()
    };
    let named: Vec<u16> = (0..500).map(|n| [7, 3, 60_000][n % 3]).collect();
    assert_eq!(
        reset(&mut raw, &named),
        [3, 7].map(|stream| Event::IncomingReset { stream })
    );
    raw.data(5, 0, B | E, b"x");
    raw.data(6, 0, B, b"half of it");
    assert_eq!(raw.messages(), [b"x"]);
    let all = reset(&mut raw, &[]);
    assert_eq!(all, [Event::AllIncomingReset]);
    assert_eq!(raw.association.stats().bytes_waiting, 0);
}

/// A reset of a stream that has a backlog, and more behind it: all goes out before the end.
#[test]
fn closing_does_not_wait_for_ever_for_what_is_behind_a_reset() {
    for both_close in [false, true] {
        closes_with_what_is_behind_a_reset(both_close);
    }
}

fn closes_with_what_is_behind_a_reset(both_close: bool) {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(8);
    let mut a = Association::new(Config::default(), now, &mut rng);
    let mut b = Association::new(Config::default(), now, &mut rng);
    let (init_a, init_b) = (a.local_init(), b.local_init());
    a.connect_with_init(now, &init_b).unwrap();
    b.connect_with_init(now, &init_a).unwrap();
    let options = SendOptions::default();
    a.send(now, 0, pattern(100_000, 1), options).unwrap();
    a.reset_stream(now, 0).unwrap();
    a.send(now, 0, pattern(1_000, 2), options).unwrap();
    a.close(now);
    if both_close {
        b.close(now);
    }
    let mut now = now;
    let (mut out, mut got) = (Vec::new(), Vec::new());
    for _ in 0..10_000 {
        now += MS;
        a.handle_timeout(now);
        b.handle_timeout(now);
        while a.poll_transmit(now, &mut out).is_some() {
            b.handle_input(now, Bytes::from(std::mem::take(&mut out)));
        }
        while b.poll_transmit(now, &mut out).is_some() {
            a.handle_input(now, Bytes::from(std::mem::take(&mut out)));
        }
        got.extend(std::iter::from_fn(|| b.poll_event()));
    }
    assert_eq!(a.close_reason(), Some(CloseReason::Shutdown));
    let lengths: Vec<usize> = got
        .iter()
        .filter_map(|event| match event {
            Event::Message { payload, .. } => Some(payload.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [100_000, 1_000]);
}

/// Nothing is in flight, so nothing times out; the peer answers heartbeats and not the request.
#[test]
fn closing_ends_although_a_reset_is_never_performed() {
    let mut raw = Raw::new(Config {
        max_retransmissions: None,
        ..Config::default()
    });
    raw.association.reset_stream(raw.now, 0).unwrap();
    let options = SendOptions::default();
    raw.association
        .send(raw.now, 0, pattern(1_000, 2), options)
        .unwrap();
    raw.association.close(raw.now);
    raw.pass(Duration::from_secs(299));
    assert_eq!(raw.association.state(), State::ShutdownPending);
    raw.pass(Duration::from_secs(2));
    assert_eq!(
        raw.association.close_reason(),
        Some(CloseReason::PeerUnreachable)
    );
}

/// A peer brings resets about and leaves the first request unanswered: they do not pile up.
#[test]
fn a_stream_waits_for_its_reset_once() {
    let mut raw = Raw::new(Config::default());
    for _ in 0..1_000 {
        raw.association.reset_stream(raw.now, 7).unwrap();
    }
    let mut requests = 0;
    for _ in 0..20 {
        let mut number = None;
        for packet in raw.packets() {
            each(&packet, |chunk| {
                if let Chunk::Reconfig(mut parameters) = chunk {
                    let first = parameters.next().unwrap().value.first_chunk::<4>();
                    number = first.copied();
                }
            });
        }
        let Some(number) = number else { break };
        requests += 1;
        let mut value = number.to_vec();
        value.extend_from_slice(&1u32.to_be_bytes());
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::RECONFIG_RESPONSE, &value)
                .finish();
        });
    }
    // The one that is under way, and one for what was queued since.
    assert_eq!(requests, 2);
}

/// Numbers of the requests to reset streams that are sent now, with the octets of their parameters.
fn requests(raw: &mut Raw) -> Vec<([u8; 4], usize)> {
    let mut found = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::Reconfig(parameters) = chunk {
                for parameter in parameters {
                    let number = parameter.value.first_chunk().unwrap();
                    found.push((*number, 4 + parameter.value.len()));
                }
            }
        });
    }
    found
}

/// Answers a request: 1 performed, 2 denied.
fn answer(raw: &mut Raw, number: [u8; 4], result: u32) {
    let value = [number, result.to_be_bytes()].concat();
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
            .parameter(parameter_type::RECONFIG_RESPONSE, &value)
            .finish();
    });
}

/// usrsctp denies what it has no room to copy: 512 octets.
#[test]
fn many_streams_are_reset_in_requests_that_usrsctp_takes() {
    let mut raw = Raw::new(Config::default());
    for stream in 0..600 {
        raw.association.reset_stream(raw.now, stream).unwrap();
    }
    let mut performed = 0;
    loop {
        let asked = requests(&mut raw);
        let Some((number, length)) = asked.first().copied() else {
            break;
        };
        assert_eq!(asked.len(), 1);
        assert!(length <= 512, "{length}");
        answer(&mut raw, number, 1);
        performed += raw.events().len();
    }
    assert_eq!(performed, 600);
}

/// The peer that denies a reset expects the next number.
#[test]
fn a_reset_that_is_denied_leaves_the_numbers() {
    let mut raw = Raw::new(Config::default());
    for expected in 0..3 {
        let options = SendOptions::default();
        raw.association
            .send(raw.now, 7, pattern(10, 1), options)
            .unwrap();
        let mut number = None;
        for packet in raw.packets() {
            each(&packet, |chunk| {
                if let Chunk::Data(data) = chunk {
                    number = Some(data.message);
                    assert_eq!(data.flags & 4, 0);
                }
            });
        }
        assert_eq!(number, Some(expected));
        raw.association.reset_stream(raw.now, 7).unwrap();
        // Waits for the answer, which lets it go.
        let (number, _) = requests(&mut raw)[0];
        answer(&mut raw, number, 2);
        let denied = Event::OutgoingReset {
            stream: 7,
            performed: false,
        };
        assert!(raw.events().contains(&denied));
    }
}

/// Its channel is still open there.
#[test]
fn an_identifier_whose_stream_was_not_reset_is_not_used_again() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut us = data_channel::Endpoint::new(config(Role::Client), now, &mut rng);
    let without_resets = init(9, 9, 100_000, &[chunk_type::FORWARD_TSN]);
    us.connect_with_init(now, &without_resets).unwrap();
    for expected in [0, 2, 4] {
        let id = us.open(now, ChannelConfig::default()).unwrap();
        assert_eq!(id.value(), expected);
        us.close_channel(now, id);
        assert_eq!(us.channel_count(), 0);
    }
}

/// There is one request in flight at a time: a packet with more is no honest peer's.
#[test]
fn a_packet_full_of_requests_to_reset_streams_does_the_work_of_two() {
    let mut raw = Raw::new(Config::default());
    let last = raw.tsn.wrapping_sub(1);
    let response = 0u32;
    raw.send(|out| {
        for request in 1_000u32..1_052 {
            let mut value = request.to_be_bytes().to_vec();
            value.extend_from_slice(&response.to_be_bytes());
            value.extend_from_slice(&last.to_be_bytes());
            value.extend_from_slice(&(request as u16 - 1_000).to_be_bytes());
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::OUTGOING_RESET, &value)
                .finish();
        }
    });
    assert_eq!(
        raw.events(),
        [0, 1].map(|stream| Event::IncomingReset { stream })
    );
}

/// An endpoint whose peer is the test itself.
struct Lone {
    now: Instant,
    us: data_channel::Endpoint,
    tag: u32,
    tsn: u32,
    request: u32,
}

impl Lone {
    fn new() -> Self {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(3);
        let mut us = data_channel::Endpoint::new(config(Role::Client), now, &mut rng);
        let tag = us.local_init()[4..8].try_into().map(u32::from_be_bytes);
        us.connect_with_init(now, &init(9, 1_000, 1 << 20, PLAIN))
            .unwrap();
        Self {
            now,
            us,
            tag: tag.unwrap(),
            tsn: 1_000,
            request: 1_000,
        }
    }

    fn send(&mut self, chunks: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend_from_slice(&self.tag.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        chunks(&mut packet);
        tincan_sctp::wire::finish_packet(&mut packet, 0);
        self.us.handle_input(self.now, Bytes::from(packet));
    }

    /// DATA_CHANNEL_OPEN, the first message of its stream.
    fn open(&mut self, stream: u16) {
        let header = DataHeader {
            interleaved: false,
            flags: B | E,
            tsn: self.tsn,
            stream,
            message: 0,
            fragment: 0,
            ppid: 50,
        };
        self.tsn += 1;
        self.send(|out| header.write(out, &[3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }

    /// The peer resets its streams.
    fn reset(&mut self, streams: &[u16]) {
        let mut value = self.request.to_be_bytes().to_vec();
        self.request += 1;
        value.extend_from_slice(&0u32.to_be_bytes());
        value.extend_from_slice(&(self.tsn - 1).to_be_bytes());
        value.extend(streams.iter().flat_map(|s| s.to_be_bytes()));
        self.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::OUTGOING_RESET, &value)
                .finish();
        });
    }

    /// The number of our request, if we send one now.
    fn request(&mut self) -> Option<[u8; 4]> {
        let (mut out, mut number) = (Vec::new(), None);
        while self.us.poll_transmit(self.now, &mut out).is_some() {
            each(&out, |chunk| {
                if let Chunk::Reconfig(parameters) = chunk {
                    for parameter in parameters {
                        if parameter.kind == parameter_type::OUTGOING_RESET {
                            number = parameter.value.first_chunk().copied();
                        }
                    }
                }
            });
            out.clear();
        }
        number
    }

    fn performed(&mut self, number: [u8; 4]) {
        let value = [number, 1u32.to_be_bytes()].concat();
        self.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::RECONFIG_RESPONSE, &value)
                .finish();
        });
    }
}

/// No stream named is all of them, those too on which nothing ever came.
#[test]
fn a_reset_of_all_streams_closes_all_channels() {
    let mut peer = Lone::new();
    peer.open(1);
    let negotiated = ChannelConfig {
        negotiated: Some(8),
        ..ChannelConfig::default()
    };
    peer.us.open(peer.now, negotiated).unwrap();
    assert_eq!(peer.us.channel_count(), 2);
    peer.reset(&[]);
    // Ours follow.
    while let Some(number) = peer.request() {
        peer.performed(number);
    }
    assert_eq!(peer.us.channel_count(), 0);
}

/// The answer to the reset of the channel before says nothing of the one that has its stream now.
#[test]
fn a_late_answer_does_not_close_the_next_channel() {
    let mut peer = Lone::new();
    peer.open(1);
    let id = std::iter::from_fn(|| peer.us.poll_event())
        .find_map(|event| match event {
            data_channel::Event::ChannelOpened { id, .. } => Some(id),
            _ => None,
        })
        .unwrap();
    peer.us.close_channel(peer.now, id);
    let first = peer.request().expect("a request");
    peer.reset(&[1]);
    peer.open(1);
    peer.performed(first);
    assert_eq!(peer.us.channel_state(id), Some(ChannelState::Open));
    peer.reset(&[1]);
    assert_eq!(peer.us.channel_state(id), Some(ChannelState::Closing));
    let second = peer.request().expect("a request");
    peer.performed(second);
    assert_eq!(peer.us.channel_count(), 0);
}

/// What came before a restart is still to be read, and holds the peer back.
#[test]
fn a_restart_does_not_empty_the_receive_buffer() {
    let mut raw = Raw::new(Config::default());
    for n in 0..10 {
        raw.data(0, n, B | E, &[1; 1_000]);
    }
    let unread = raw.association.stats().bytes_unread;
    assert!(unread >= 10_000);
    let mut tag = 77;
    for _ in 0..3 {
        tag = raw.restart(tag);
        assert_eq!(raw.association.state(), State::Established);
        assert_eq!(raw.association.stats().bytes_unread, unread);
    }
    assert_eq!(raw.messages().len(), 10);
    assert_eq!(raw.association.stats().bytes_unread, 0);
}

/// Whether any chunk that is sent now is one of these.
fn sends(raw: &mut Raw, wanted: impl Fn(&Chunk<'_>) -> bool) -> bool {
    let mut found = false;
    for packet in raw.packets() {
        each(&packet, |chunk| found |= wanted(&chunk));
    }
    found
}

/// Nothing goes out for which an acknowledgement would come.
#[test]
fn what_runs_out_of_time_or_is_discarded_wakes_what_waited_for_it() {
    let brief = SendOptions {
        reliability: Reliability::MaxLifetime(100 * MS),
        ..SendOptions::default()
    };
    let queued = || {
        let mut raw = Raw::new(Config::default());
        raw.association
            .send(raw.now, 7, Bytes::from_static(b"late"), brief)
            .unwrap();
        raw
    };
    let reset = |chunk: &Chunk<'_>| matches!(chunk, Chunk::Reconfig(_));
    let shutdown = |chunk: &Chunk<'_>| matches!(chunk, Chunk::Shutdown(_));

    let mut raw = queued();
    raw.association.reset_stream(raw.now, 7).unwrap();
    raw.now += 200 * MS;
    assert!(sends(&mut raw, reset));

    let mut raw = queued();
    raw.association.close(raw.now);
    raw.now += 200 * MS;
    assert!(sends(&mut raw, shutdown));

    let mut raw = queued();
    raw.association.reset_stream(raw.now, 7).unwrap();
    raw.association.discard_queued(raw.now, 7);
    assert!(sends(&mut raw, reset));

    let mut raw = queued();
    raw.association.close(raw.now);
    raw.association.discard_queued(raw.now, 7);
    assert!(sends(&mut raw, shutdown));
}

/// RFC 9260 §9.2: data is answered by SHUTDOWN, and the timer begins anew.
#[test]
fn a_peer_has_time_for_its_backlog_after_a_shutdown() {
    let mut raw = Raw::new(Config {
        rto_max: SECOND,
        ..Config::default()
    });
    raw.association.close(raw.now);
    let shutdown = |chunk: &Chunk<'_>| matches!(chunk, Chunk::Shutdown(_));
    assert!(sends(&mut raw, shutdown));
    for n in 0..120 {
        raw.pass(500 * MS);
        raw.data(0, n, 3, b"more");
        assert_eq!(raw.association.state(), State::ShutdownSent);
        assert!(sends(&mut raw, shutdown));
    }
    // One that has no more is not waited for.
    raw.pass(12 * SECOND);
    assert_eq!(raw.association.state(), State::Closed);
}

/// What the application wanted of the old association it wants of the new one.
#[test]
fn a_restart_of_the_peer_does_not_undo_a_close() {
    let mut raw = Raw::new(Config::default());
    let options = SendOptions::default();
    raw.association
        .send(raw.now, 0, pattern(1_000, 1), options)
        .unwrap();
    let _ = raw.packets();
    raw.association.close(raw.now);
    assert_eq!(raw.association.state(), State::ShutdownPending);
    raw.restart(77);
    assert!(sends(&mut raw, |c| matches!(c, Chunk::Shutdown(_))));
    assert_eq!(raw.association.state(), State::ShutdownSent);
}

/// What is in flight when an association ends is given back, and was not acknowledged.
#[test]
fn an_association_that_is_over_holds_nothing() {
    let mut raw = Raw::with(
        Config {
            pacing: false,
            ..Config::default()
        },
        1_000,
        64 << 20,
        PLAIN,
    );
    let options = SendOptions::default();
    raw.association
        .send(raw.now, 0, pattern(1_000_000, 1), options)
        .unwrap();
    assert!(!raw.packets().is_empty());
    let mark = raw.association.sent_mark();
    assert!(raw.association.memory_usage() > 1_000_000);
    raw.association.abort();
    assert!(raw.association.memory_usage() < 10_000);
    assert!(!raw.association.is_acknowledged(mark));
}

/// Numbers and streams of the requests to reset streams that are sent now, and numbers of messages.
#[allow(clippy::type_complexity)]
fn asked(raw: &mut Raw) -> (Vec<([u8; 4], Vec<u8>)>, Vec<u32>) {
    let (mut requests, mut messages) = (Vec::new(), Vec::new());
    for packet in raw.packets() {
        each(&packet, |chunk| match chunk {
            Chunk::Reconfig(parameters) => {
                for parameter in parameters {
                    let (number, rest) = parameter.value.split_first_chunk().unwrap();
                    requests.push((*number, rest[8..].to_vec()));
                }
            }
            Chunk::Data(data) => messages.push(data.message),
            _ => {}
        });
    }
    (requests, messages)
}

/// What is sent between two resets of a stream goes between them.
#[test]
fn a_second_reset_waits_for_what_was_said_before_it() {
    let mut raw = Raw::new(Config::default());
    let say = |raw: &mut Raw| {
        raw.association
            .send(raw.now, 7, pattern(10, 1), SendOptions::default())
            .unwrap();
    };
    let perform = |raw: &mut Raw, number: [u8; 4]| {
        let value = [number, 1u32.to_be_bytes()].concat();
        raw.send(|out| {
            ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
                .parameter(parameter_type::RECONFIG_RESPONSE, &value)
                .finish();
        });
    };
    say(&mut raw);
    raw.association.reset_stream(raw.now, 7).unwrap();
    // Each life of the stream begins with message 0.
    let (first, messages) = asked(&mut raw);
    assert_eq!((first.len(), messages), (1, vec![0]));
    say(&mut raw);
    raw.association.reset_stream(raw.now, 7).unwrap();
    say(&mut raw);
    assert_eq!(asked(&mut raw).1, []);
    perform(&mut raw, first[0].0);
    let (second, messages) = asked(&mut raw);
    assert_eq!((second.len(), messages), (1, vec![0, 1]));
    say(&mut raw);
    assert_eq!(asked(&mut raw).1, []);
    perform(&mut raw, second[0].0);
    assert_eq!(asked(&mut raw).1, [0]);
}

/// A strict peer refuses the whole list for one stream that it does not have.
#[test]
fn streams_that_the_peer_does_not_have_are_not_reset() {
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(5);
    let mut a = Association::new(Config::default(), now, &mut rng);
    a.reset_stream(now, 20).unwrap();
    a.reset_stream(now, 3).unwrap();
    let mut few = init(9, 1, 100_000, PLAIN);
    few[14..16].copy_from_slice(&16u16.to_be_bytes());
    a.connect_with_init(now, &few).unwrap();
    let mut raw = Raw::new(Config::default());
    raw.association = a;
    let (requests, _) = asked(&mut raw);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].1, [0, 3]);
    assert!(raw.events().contains(&Event::OutgoingReset {
        stream: 20,
        performed: false
    }));
}

fn number_after(number: [u8; 4], more: u32) -> [u8; 4] {
    u32::from_be_bytes(number).wrapping_add(more).to_be_bytes()
}

/// The number under which a request is repeated, and after how long.
fn repetition(raw: &mut Raw) -> ([u8; 4], Duration) {
    let mut waited = Duration::ZERO;
    for _ in 0..100 {
        waited += raw.wait();
        if let Some((number, _)) = requests(raw).first() {
            return (*number, waited);
        }
    }
    panic!("it is not repeated");
}

/// dcSCTP before 2026 never looks again at a number that it has answered.
#[test]
fn what_stays_in_progress_for_no_reason_is_asked_for_under_the_next_number() {
    let mut raw = Raw::new(Config::default());
    let options = SendOptions::default();
    raw.association
        .send(raw.now, 7, pattern(10, 1), options)
        .unwrap();
    raw.association.reset_stream(raw.now, 7).unwrap();
    let (number, _) = requests(&mut raw)[0];
    for _ in 0..3 {
        // Its data is missing: the peer is right.
        answer(&mut raw, number, 6);
        assert_eq!(repetition(&mut raw).0, number);
    }
    raw.sack(raw.first_tsn, 1 << 20, &[]);
    answer(&mut raw, number, 6);
    assert_eq!(repetition(&mut raw).0, number);
    answer(&mut raw, number, 6);
    let next = number_after(number, 1);
    assert_eq!(repetition(&mut raw).0, next);
    // One that is lost is repeated as it is.
    assert_eq!(repetition(&mut raw).0, next);
    let performed = Event::OutgoingReset {
        stream: 7,
        performed: true,
    };
    answer(&mut raw, next, 1);
    assert!(raw.events().contains(&performed));
    raw.association.reset_stream(raw.now, 8).unwrap();
    assert_eq!(requests(&mut raw)[0].0, number_after(number, 2));
}

/// RFC 6525 §5.2.7: the error counters are not incremented.
#[test]
fn waiting_for_what_is_in_progress_is_no_failure() {
    let mut raw = Raw::new(Config {
        heartbeat_interval: None,
        ..Config::default()
    });
    raw.association.reset_stream(raw.now, 7).unwrap();
    let (mut number, _) = requests(&mut raw)[0];
    let mut waits = Vec::new();
    for _ in 0..40 {
        // The timer begins anew with the answer.
        raw.now += 100 * MS;
        answer(&mut raw, number, 6);
        let (again, waited) = repetition(&mut raw);
        number = again;
        waits.push(waited);
    }
    waits.dedup();
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(raw.association.state(), State::Established);
    // What is not answered is.
    assert_eq!(repetition(&mut raw).1, waits[0]);
    assert_eq!(repetition(&mut raw).1, 2 * waits[0]);
    raw.pass(600 * SECOND);
    assert_eq!(
        raw.association.close_reason(),
        Some(CloseReason::PeerUnreachable)
    );
}

/// The peer asks for a reset of its streams; streams reset, and numbers and results of responses.
fn ask(raw: &mut Raw, number: u32, stream: u16, last_tsn: u32) -> (Vec<Event>, Vec<(u32, u32)>) {
    let mut value = [number, 0, last_tsn].map(u32::to_be_bytes).concat();
    value.extend_from_slice(&stream.to_be_bytes());
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
            .parameter(parameter_type::OUTGOING_RESET, &value)
            .finish();
    });
    news(raw)
}

fn news(raw: &mut Raw) -> (Vec<Event>, Vec<(u32, u32)>) {
    let mut events = raw.events();
    events.retain(|event| matches!(event, Event::IncomingReset { .. }));
    let mut responses = Vec::new();
    for packet in raw.packets() {
        each(&packet, |chunk| {
            if let Chunk::Reconfig(parameters) = chunk {
                for parameter in parameters {
                    let word = |at: usize| {
                        let octets = parameter.value[at..].first_chunk().unwrap();
                        u32::from_be_bytes(*octets)
                    };
                    responses.push((word(0), word(4)));
                }
            }
        });
    }
    (events, responses)
}

fn reset_of(stream: u16) -> Vec<Event> {
    vec![Event::IncomingReset { stream }]
}

/// pion has a request on the way for each channel, and forgets those that are answered with an error.
#[test]
fn requests_that_cannot_be_taken_yet_are_as_if_lost() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_001, 2, 1, B | E, b"second");
    assert_eq!(ask(&mut raw, 1_000, 2, 1_001), (vec![], vec![(1_000, 6)]));
    assert_eq!(ask(&mut raw, 1_001, 4, 1_001), (vec![], vec![]));
    assert_eq!(ask(&mut raw, 1_002, 6, 1_001), (vec![], vec![]));
    raw.data_at(1_000, 2, 0, B | E, b"first");
    assert_eq!(news(&mut raw), (reset_of(2), vec![(1_000, 1)]));
    assert_eq!(ask(&mut raw, 1_002, 6, 1_001), (vec![], vec![]));
    assert_eq!(
        ask(&mut raw, 1_001, 4, 1_001),
        (reset_of(4), vec![(1_001, 1)])
    );
    assert_eq!(
        ask(&mut raw, 1_002, 6, 1_001),
        (reset_of(6), vec![(1_002, 1)])
    );
    // Repeated, and too old to be remembered.
    assert_eq!(ask(&mut raw, 1_002, 6, 1_001), (vec![], vec![(1_002, 1)]));
    assert_eq!(ask(&mut raw, 1_000, 2, 1_001), (vec![], vec![(1_000, 5)]));
}

/// dcSCTP before 2026 repeats what is in progress under the next number, and hears no answer to the last one.
#[test]
fn a_repetition_under_the_next_number_is_the_same_request() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_001, 2, 1, B | E, b"second");
    assert_eq!(ask(&mut raw, 1_000, 2, 1_001), (vec![], vec![(1_000, 6)]));
    assert_eq!(ask(&mut raw, 1_001, 2, 1_001), (vec![], vec![(1_001, 6)]));
    raw.data_at(1_000, 2, 0, B | E, b"first");
    assert_eq!(news(&mut raw), (reset_of(2), vec![(1_001, 1)]));
    assert_eq!(ask(&mut raw, 1_002, 2, 1_001), (vec![], vec![(1_002, 1)]));
    // That was heard: this is another.
    assert_eq!(
        ask(&mut raw, 1_003, 2, 1_001),
        (reset_of(2), vec![(1_003, 1)])
    );
}

/// usrsctp goes on with the next number after any answer.
#[test]
fn a_request_that_is_refused_uses_up_its_number() {
    let mut raw = Raw::new(Config::default());
    raw.data_at(1_001, 2, 1, B | E, b"second");
    assert_eq!(ask(&mut raw, 1_000, 2, 1_001), (vec![], vec![(1_000, 6)]));
    raw.send(|out| {
        ChunkWriter::new(out, chunk_type::RE_CONFIG, 0)
            .parameter(parameter_type::TSN_RESET, &1_001u32.to_be_bytes())
            .finish();
    });
    assert_eq!(news(&mut raw), (vec![], vec![(1_001, 4)]));
    raw.data_at(1_000, 2, 0, B | E, b"first");
    assert_eq!(news(&mut raw), (reset_of(2), vec![(1_000, 1)]));
    assert_eq!(
        ask(&mut raw, 1_002, 4, 1_001),
        (reset_of(4), vec![(1_002, 1)])
    );
}

/// Between a reset and its repetition under the next number an application may have opened a channel there.
#[test]
fn a_repeated_reset_does_not_close_the_next_channel() {
    let mut peer = Lone::new();
    let id = peer.us.open(peer.now, ChannelConfig::default()).unwrap();
    let _ = peer.request();
    let acknowledgement = |tsn, message| DataHeader {
        interleaved: false,
        flags: B | E,
        tsn,
        stream: 0,
        message,
        fragment: 0,
        ppid: 50,
    };
    peer.send(|out| acknowledgement(1_001, 1).write(out, &[2]));
    peer.tsn = 1_002;
    peer.reset(&[0]);
    assert_eq!(peer.us.channel_state(id), Some(ChannelState::Open));
    peer.send(|out| acknowledgement(1_000, 0).write(out, &[2]));
    let ours = peer.request().expect("a request");
    peer.performed(ours);
    assert_eq!(peer.us.channel_count(), 0);
    let next = peer.us.open(peer.now, ChannelConfig::default()).unwrap();
    assert_eq!(next, id);
    peer.reset(&[0]);
    assert_eq!(peer.us.channel_state(next), Some(ChannelState::Open));
    // Closed in earnest.
    peer.send(|out| acknowledgement(1_002, 0).write(out, &[2]));
    peer.tsn = 1_003;
    peer.reset(&[0]);
    assert_eq!(peer.us.channel_state(next), Some(ChannelState::Closing));
}
