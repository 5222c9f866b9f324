//! Two endpoints of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{Pair, pattern};
use tincan_sctp::association::Reliability;
use tincan_sctp::data_channel::{ChannelConfig, Event, Message, MessageKind};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn chat() -> ChannelConfig {
    ChannelConfig {
        label: "chat".into(),
        protocol: "p".into(),
        ..ChannelConfig::default()
    }
}

#[test]
fn opens_a_channel_talks_both_ways_and_closes_it() {
    let mut pair = Pair::connected(1, 10 * MS);
    let id = pair.a.open(pair.now, chat()).unwrap();
    assert_eq!(id.value(), 0, "the client's identifiers are even");
    pair.a
        .send(pair.now, id, Message::Text(Bytes::from_static(b"hello")))
        .unwrap();
    pair.run(SECOND, |p| p.events_b.len() >= 3);
    let events: Vec<_> = pair.events_b.drain(..).collect();
    assert!(matches!(events[0], Event::Connected));
    let Event::ChannelOpened {
        id: remote,
        ref config,
        remote: true,
    } = events[1]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (config.label.as_str(), config.protocol.as_str()),
        ("chat", "p")
    );
    let Event::Message {
        kind: MessageKind::Text,
        ref data,
        ..
    } = events[2]
    else {
        panic!("{events:?}")
    };
    assert_eq!(data.to_vec(), b"hello");

    pair.b
        .send(pair.now, remote, Message::Binary(Bytes::new()))
        .unwrap();
    pair.b
        .send(pair.now, remote, Message::Text(Bytes::new()))
        .unwrap();
    pair.run_for(SECOND);
    let kinds: Vec<_> = pair
        .events_a
        .iter()
        .filter_map(|e| match e {
            Event::Message { kind, data, .. } => Some((*kind, data.len())),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [(MessageKind::Binary, 0), (MessageKind::Text, 0)]);

    pair.a.close_channel(pair.now, id);
    pair.run_for(SECOND);
    assert!(pair.events_a.contains(&Event::ChannelClosed { id }));
    assert!(pair.events_b.contains(&Event::ChannelClosed { id }));
    assert_eq!((pair.a.channel_count(), pair.b.channel_count()), (0, 0));
    assert_eq!(
        pair.a.open(pair.now, chat()).unwrap(),
        id,
        "the identifier is free again"
    );
}

#[test]
fn messages_of_all_sizes_arrive_whole_and_in_order_in_spite_of_loss() {
    for seed in 0..6 {
        let mut pair = Pair::new(seed, 20 * MS).lossy(50);
        pair.to_b.reorder = 30;
        pair.to_b.duplicate = 20;
        pair.connect();
        let id = pair.a.open(pair.now, chat()).unwrap();
        let sizes = [1, 2, 1_000, 1_131, 1_132, 1_133, 5_000, 65_535, 262_144, 7];
        let sent: Vec<_> = (0..40)
            .map(|i| pattern(sizes[i % sizes.len()], i as u64))
            .collect();
        for data in &sent {
            pair.a
                .send(pair.now, id, Message::Binary(data.clone()))
                .unwrap();
        }
        let mut received = Vec::new();
        pair.run(600 * SECOND, |p| {
            received.extend(p.take_messages_b());
            received.len() == sent.len()
        });
        assert!(
            received == sent,
            "{} of {} arrived",
            received.len(),
            sent.len()
        );
        pair.run_for(2 * SECOND);
        assert_eq!(pair.a.stats().bytes_in_flight, 0);
        assert_eq!(
            pair.b.stats().bytes_waiting + pair.b.stats().bytes_unread,
            0
        );
    }
}

#[test]
fn a_partially_reliable_channel_gives_up_and_goes_on() {
    for reliability in [
        Reliability::MaxRetransmits(0),
        Reliability::MaxLifetime(60 * MS),
    ] {
        for ordered in [true, false] {
            let mut pair = Pair::connected(7, 20 * MS).lossy(200);
            let config = ChannelConfig {
                ordered,
                reliability,
                ..chat()
            };
            let id = pair.a.open(pair.now, config).unwrap();
            pair.run_for(10 * SECOND);
            let mut received = Vec::new();
            for i in 0..200u64 {
                let size = if i % 3 == 0 { 4_000 } else { 100 };
                pair.a
                    .send(pair.now, id, Message::Binary(pattern(size, i)))
                    .unwrap();
                pair.run_for(5 * MS);
                received.extend(pair.take_messages_b());
            }
            pair.to_a.loss = 0;
            pair.to_b.loss = 0;
            // What is in flight settles first: the last message has a lifetime too.
            pair.run_for(10 * SECOND);
            received.extend(pair.take_messages_b());
            pair.a
                .send(pair.now, id, Message::Binary(pattern(9, 999)))
                .unwrap();
            pair.run_for(30 * SECOND);
            received.extend(pair.take_messages_b());
            assert_eq!(
                received.pop().as_deref(),
                Some(&pattern(9, 999)[..]),
                "{reliability:?}"
            );
            assert!(
                received.len() > 20 && received.len() < 200,
                "{}",
                received.len()
            );
            let mut last = None;
            for data in &received {
                let index = (0..200u64)
                    .find(|i| pattern(if i % 3 == 0 { 4_000 } else { 100 }, *i) == data)
                    .expect("a message that was sent");
                assert!(!ordered || last.is_none_or(|l| l < index), "out of order");
                last = Some(index);
            }
            assert_eq!(pair.a.stats().chunks_outstanding, 0);
            assert_eq!(pair.b.stats().bytes_waiting, 0, "fragments are left over");
        }
    }
}

#[test]
fn shuts_down_after_everything_is_delivered() {
    let mut pair = Pair::connected(3, 20 * MS).lossy(100);
    let id = pair.a.open(pair.now, chat()).unwrap();
    let data = pattern(200_000, 1);
    pair.a
        .send(pair.now, id, Message::Binary(data.clone()))
        .unwrap();
    pair.a.close(pair.now);
    pair.run_for(300 * SECOND);
    assert_eq!(pair.take_messages_b(), [data]);
    let closed = |events: &std::collections::VecDeque<Event>| {
        matches!(
            events.back(),
            Some(Event::Closed {
                reason: tincan_sctp::CloseReason::Shutdown
            })
        )
    };
    assert!(
        closed(&pair.events_a) && closed(&pair.events_b),
        "{:?}",
        pair.events_b
    );
}

/// What was queued before a close still goes out, from both sides, and the close then completes.
#[test]
fn closing_with_messages_queued_loses_none() {
    let mut pair = Pair::connected(9, 10 * MS);
    let id = pair.a.open(pair.now, chat()).unwrap();
    for number in 0..200 {
        pair.a
            .send(pair.now, id, Message::Binary(pattern(5_000, number)))
            .unwrap();
    }
    // Closed before the far side has even heard of the channel.
    pair.a.close_channel(pair.now, id);
    pair.run_for(20 * SECOND);
    let arrived = pair
        .events_b
        .iter()
        .filter(|event| matches!(event, Event::Message { .. }))
        .count();
    assert_eq!(arrived, 200);
    for events in [&pair.events_a, &pair.events_b] {
        assert!(events.contains(&Event::ChannelClosed { id }));
    }
}
