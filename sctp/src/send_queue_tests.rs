//! The schedulers of RFC 8260 §3, one by one.

use super::*;

const FULL: usize = 1_000;

fn of(room: usize) -> Room {
    Room {
        room,
        full: FULL,
        crumb: FULL / 4,
    }
}

/// A queue with messages of these sizes on these streams, in this order.
fn queue(policy: Scheduler, interleaved: bool, messages: &[(u16, usize)]) -> SendQueue {
    let mut queue = SendQueue::new(policy);
    queue.set_interleaved(interleaved);
    add(&mut queue, messages);
    queue
}

fn add(queue: &mut SendQueue, messages: &[(u16, usize)]) {
    for (stream, octets) in messages {
        let piece = Piece {
            data: Bytes::from(vec![0; *octets]),
            ppid: 53,
            unordered: false,
            effort: Effort::default(),
            begin: true,
            end: true,
        };
        queue.push(Instant::now(), *stream, piece);
    }
}

/// Streams and sizes of the next fragments, each in a packet of its own.
fn order(queue: &mut SendQueue, count: usize) -> Vec<(u16, usize)> {
    let mut found = Vec::new();
    while found.len() < count {
        queue.start_packet();
        match queue.take(Instant::now(), of(FULL), usize::MAX) {
            Taken::Fragment(fragment) => found.push((fragment.stream, fragment.data.len())),
            _ => break,
        }
    }
    found
}

fn streams(queue: &mut SendQueue, count: usize) -> Vec<u16> {
    order(queue, count).into_iter().map(|(s, _)| s).collect()
}

/// Octets that each of the streams 0 to 2 has sent after so many fragments.
fn shares(queue: &mut SendQueue, fragments: usize) -> [usize; 3] {
    let mut octets = [0; 3];
    for (stream, size) in order(queue, fragments) {
        octets[usize::from(stream)] += size;
    }
    octets
}

/// §3.1: in the order in which the messages were given, whatever their streams.
#[test]
fn first_come_is_first_served() {
    for interleaved in [false, true] {
        let given = [(2, 100), (0, 1_500), (2, 100), (1, 100), (0, 100)];
        let mut queue = queue(Scheduler::FirstComeFirstServed, interleaved, &given);
        let expected = [(2, 100), (0, 1_000), (0, 500), (2, 100), (1, 100), (0, 100)];
        assert_eq!(order(&mut queue, 9), expected, "interleaved: {interleaved}");
    }
}

/// §3.2: a stream after the other; with interleaving a fragment each, without a message each.
#[test]
fn round_robin_goes_round() {
    let given = [(0, 2_000), (0, 2_000), (1, 2_000), (2, 100), (2, 100)];
    let mut whole = queue(Scheduler::RoundRobin, false, &given);
    assert_eq!(streams(&mut whole, 9), [0, 0, 1, 1, 2, 0, 0, 2]);
    let mut cut = queue(Scheduler::RoundRobin, true, &given);
    assert_eq!(streams(&mut cut, 9), [0, 1, 2, 0, 1, 2, 0, 0]);
}

/// §3.3: what shares a packet is of one stream.
#[test]
fn round_robin_by_packet_bundles_one_stream_only() {
    for interleaved in [false, true] {
        by_packet(interleaved);
    }
}

fn by_packet(interleaved: bool) {
    let given: Vec<(u16, usize)> = (0..8).map(|i| (i % 2, 300)).collect();
    let mut queue = queue(Scheduler::RoundRobinPacket, interleaved, &given);
    let mut packets = Vec::new();
    while queue.has_sendable() {
        queue.start_packet();
        let mut room = FULL;
        let mut packet = Vec::new();
        while let Taken::Fragment(f) = queue.take(Instant::now(), of(room), usize::MAX) {
            room -= f.data.len();
            packet.push(f.stream);
        }
        packets.push(packet);
    }
    let expected: [&[u16]; 4] = [&[0, 0, 0], &[1, 1, 1], &[0], &[1]];
    assert_eq!(packets, expected);
}

/// A message that goes on in the next packet keeps its stream's place, once.
#[test]
fn round_robin_by_packet_finishes_a_message_that_cannot_be_interleaved() {
    let given = [(0, 400), (1, 300), (0, 2_500), (0, 100), (1, 300)];
    let mut queue = queue(Scheduler::RoundRobinPacket, false, &given);
    let mut packets = Vec::new();
    while queue.has_sendable() {
        queue.start_packet();
        let mut room = FULL;
        let mut packet = Vec::new();
        while let Taken::Fragment(f) = queue.take(Instant::now(), of(room), usize::MAX) {
            room -= f.data.len();
            packet.push((f.stream, f.data.len()));
        }
        packets.push(packet);
    }
    let expected = [
        vec![(0, 400), (0, 600)],
        vec![(0, 1_000)],
        vec![(0, 900), (0, 100)],
        vec![(1, 300), (1, 300)],
    ];
    assert_eq!(packets, expected);
}

/// §3.4: the higher priority always first, also in the midst of a lower one's message if it can
/// be interleaved; equal ones in turn.
#[test]
fn priority_comes_first_and_equals_take_turns() {
    let mut queue = queue(Scheduler::Priority, true, &[]);
    queue.set_weight(0, 100);
    queue.set_weight(1, 900);
    queue.set_weight(2, 900);
    add(&mut queue, &[(0, 3_000)]);
    assert_eq!(streams(&mut queue, 1), [0]);
    add(&mut queue, &[(1, 2_000), (2, 2_000)]);
    assert_eq!(streams(&mut queue, 9), [1, 2, 1, 2, 0, 0]);
}

/// §3.5: each stream the same octets, not the same messages.
#[test]
fn fair_capacity_shares_octets() {
    for interleaved in [false, true] {
        let mut given = vec![(0, 1_000); 300];
        given.extend(vec![(1, 250); 1_200]);
        given.extend(vec![(2, 5_000); 60]);
        let mut queue = queue(Scheduler::FairCapacity, interleaved, &given);
        let octets = shares(&mut queue, 900);
        let sum: usize = octets.iter().sum();
        for share in octets {
            let share = share as f64 / sum as f64;
            assert!((0.31..0.36).contains(&share), "{octets:?}");
        }
    }
}

/// §3.6: octets in proportion to the weights, whatever the sizes.
#[test]
fn weighted_fair_queueing_shares_by_weight() {
    for interleaved in [false, true] {
        let mut queue = queue(Scheduler::WeightedFair, interleaved, &[]);
        for (stream, weight) in [(0, 128), (1, 256), (2, 512)] {
            queue.set_weight(stream, weight);
        }
        let mut given = vec![(0, 1_000); 300];
        given.extend(vec![(1, 250); 1_200]);
        given.extend(vec![(2, 5_000); 100]);
        add(&mut queue, &given);
        let octets = shares(&mut queue, 700);
        let unit = octets.iter().sum::<usize>() as f64 / 7.0;
        for (share, weight) in octets.into_iter().zip([1.0, 2.0, 4.0]) {
            let ratio = share as f64 / (unit * weight);
            assert!((0.93..1.07).contains(&ratio), "{octets:?}");
        }
    }
}

/// A stream that was idle has no claim on what others used meanwhile.
#[test]
fn who_was_idle_starts_now() {
    let mut queue = queue(Scheduler::WeightedFair, true, &[(0, 1_000_000)]);
    assert_eq!(streams(&mut queue, 500), [0; 500]);
    add(&mut queue, &[(1, 1_000_000)]);
    let next = streams(&mut queue, 20);
    let first = next.iter().filter(|s| **s == 0).count();
    assert!((9..=11).contains(&first), "{next:?}");
}

/// A packet larger than a fragment may be holds several, and no crumbs.
#[test]
fn a_large_packet_is_filled_with_fragments_that_would_fit_a_small_one() {
    let mut queue = queue(Scheduler::default(), false, &[(0, 6_000)]);
    let mut packets = Vec::new();
    while queue.has_sendable() {
        queue.start_packet();
        let mut left = 2_500;
        let mut packet = Vec::new();
        while let Taken::Fragment(f) = queue.take(Instant::now(), of(left), usize::MAX) {
            left -= f.data.len();
            packet.push(f.data.len());
        }
        packets.push(packet);
        assert!(packets.len() < 10, "{packets:?}");
    }
    assert_eq!(
        packets,
        [
            vec![1_000, 1_000, 500],
            vec![1_000, 1_000, 500],
            vec![1_000],
        ]
    );
}
