//! Data channels as an application uses them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{Pair, config, pattern};
use tincan_sctp::SendError;
use tincan_sctp::data_channel::{
    ChannelConfig, ChannelId, ChannelState, Endpoint, Event, Message, MessageKind, OpenError, Role,
};
use tincan_sim::{Datagram, LinkConfig, Network, Peer, Queue, Simulation};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A message of 24 MiB in pieces, both ways at once, and neither end ever holds more than a few
/// pieces of it.
#[test]
fn large_messages_stream_in_pieces_both_ways() {
    const LEN: usize = 24 << 20;
    let mut first = config(Role::Client);
    first.association.piece_size = Some(64 << 10);
    first.high_water_mark = 256 << 10;
    let mut second = first.clone();
    second.role = Role::Server;
    let mut pair = Pair::with(3, 2 * MS, first, second);
    pair.connect();
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    let piece = pattern(50_000, 9);
    let mut given = [0usize; 2];
    let mut got = [0usize; 2];
    let mut ended = [false; 2];
    let mut most = 0;
    for _ in 0..200_000 {
        for (side, endpoint) in [&mut pair.a, &mut pair.b].into_iter().enumerate() {
            while given[side] < LEN {
                let len = piece.len().min(LEN - given[side]);
                let next = piece.slice(..len);
                match endpoint.send_piece(pair.now, id, MessageKind::Binary, next) {
                    Ok(()) => given[side] += len,
                    Err(SendError::Full) => break,
                    Err(error) => panic!("{error}"),
                }
                if given[side] == LEN {
                    endpoint.finish_message(id).unwrap();
                }
            }
            let stats = endpoint.stats();
            most = most.max(stats.bytes_queued + stats.bytes_waiting + stats.bytes_unread);
        }
        pair.run_for(MS);
        for (side, events) in [&mut pair.events_b, &mut pair.events_a]
            .into_iter()
            .enumerate()
        {
            for event in events.drain(..) {
                if let Event::MessagePart {
                    data, last, first, ..
                } = event
                {
                    assert_eq!(first, got[side] == 0);
                    let mut at = got[side];
                    for part in data.fragments() {
                        let skew = at % piece.len();
                        let same = part.len().min(piece.len() - skew);
                        assert!(part[..same] == piece[skew..skew + same]);
                        at += part.len();
                    }
                    got[side] = at;
                    ended[side] |= last;
                }
            }
        }
        if ended == [true; 2] {
            break;
        }
    }
    assert_eq!(got, [LEN; 2]);
    assert!(most < 2 << 20, "{most} octets were held at once");
}

#[test]
fn all_65535_channels_open_carry_and_close() {
    let mut pair = Pair::connected(5, MS);
    for id in 0..u16::MAX {
        let config = ChannelConfig {
            negotiated: Some(id),
            ..ChannelConfig::default()
        };
        assert_eq!(pair.a.open(pair.now, config.clone()).unwrap().value(), id);
        pair.b.open(pair.now, config).unwrap();
    }
    let one_more = ChannelConfig {
        negotiated: Some(u16::MAX),
        ..ChannelConfig::default()
    };
    assert_eq!(pair.a.open(pair.now, one_more), Err(OpenError::InvalidId));
    assert_eq!(
        pair.a.open(pair.now, ChannelConfig::default()),
        Err(OpenError::Exhausted)
    );
    let ids: Vec<ChannelId> = pair
        .events_a
        .drain(..)
        .chain(std::iter::from_fn(|| pair.a.poll_event()))
        .filter_map(|e| match e {
            Event::ChannelOpened { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 65_535);
    for id in &ids {
        let text = Bytes::copy_from_slice(&id.value().to_be_bytes());
        pair.a.send(pair.now, *id, Message::Binary(text)).unwrap();
    }
    pair.run_for(5 * SECOND);
    let mut seen = vec![false; 65_535];
    for event in pair.events_b.drain(..) {
        if let Event::Message { id, data, .. } = event {
            assert_eq!(data.to_vec(), id.value().to_be_bytes());
            seen[usize::from(id.value())] = true;
        }
    }
    assert!(seen.iter().all(|s| *s));
    for id in &ids {
        pair.a.close_channel(pair.now, *id);
    }
    pair.run(60 * SECOND, |p| {
        p.a.channel_count() + p.b.channel_count() == 0
    });
    assert_eq!((pair.a.channel_count(), pair.b.channel_count()), (0, 0));
}

#[test]
fn water_marks_give_messages_back_and_tell_when_there_is_room() {
    let mut first = config(Role::Client);
    first.high_water_mark = 100_000;
    let mut pair = Pair::with(3, 20 * MS, first, config(Role::Server));
    pair.connect();
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    pair.run_for(SECOND);
    pair.events_a.clear();
    pair.a.set_buffered_amount_low_threshold(id, 20_000);
    let message = Message::Binary(pattern(30_000, 1));
    let mut accepted = 0;
    let back = loop {
        match pair.a.try_send(pair.now, id, message.clone()) {
            Ok(()) => accepted += 1,
            Err(back) => break back,
        }
    };
    assert_eq!(accepted, 3);
    assert_eq!(back, (SendError::Full, message));
    assert_eq!(pair.a.buffered_amount(id), 90_000);
    pair.run_for(5 * SECOND);
    let low = pair
        .events_a
        .iter()
        .filter(|e| **e == Event::BufferedAmountLow { id })
        .count();
    let writable = pair
        .events_a
        .iter()
        .filter(|e| **e == Event::Writable { id })
        .count();
    assert_eq!((low, writable), (1, 1));
    assert_eq!(pair.a.buffered_amount(id), 0);
    // A message larger than the mark goes when nothing is queued.
    let large = Message::Binary(pattern(150_000, 1));
    assert_eq!(pair.a.try_send(pair.now, id, large), Ok(()));
}

#[test]
fn wrong_calls_are_answered_with_a_reason() {
    let mut first = config(Role::Client);
    first.remote_max_message_size = 1_000;
    let mut pair = Pair::with(3, 20 * MS, first, config(Role::Server));
    pair.connect();
    let id = pair.a.open(pair.now, ChannelConfig::default()).unwrap();
    let send = |p: &mut Pair, id, n| p.a.send(p.now, id, Message::Binary(pattern(n, 1)));
    assert_eq!(send(&mut pair, id, 1_001), Err(SendError::TooLarge));
    assert_eq!(send(&mut pair, id, 1_000), Ok(()));
    let label = "x".repeat(65_536);
    let long = ChannelConfig {
        label,
        ..ChannelConfig::default()
    };
    assert_eq!(pair.a.open(pair.now, long), Err(OpenError::TooLong));
    let taken = ChannelConfig {
        negotiated: Some(id.value()),
        ..ChannelConfig::default()
    };
    assert_eq!(pair.a.open(pair.now, taken), Err(OpenError::InUse));
    pair.a.close_channel(pair.now, id);
    assert_eq!(pair.a.channel_state(id), Some(ChannelState::Closing));
    assert_eq!(send(&mut pair, id, 10), Err(SendError::NoSuchStream));
    pair.run_for(SECOND);
    assert_eq!(pair.a.channel_state(id), None);
    assert_eq!(
        pair.take_messages_b().len(),
        1,
        "what was queued is sent before the close"
    );
    assert_eq!(pair.a.finish_message(id), Err(SendError::NoSuchStream));
    pair.a.close(pair.now);
    pair.run_for(SECOND);
    assert_eq!(
        pair.a.open(pair.now, ChannelConfig::default()),
        Err(OpenError::Closed)
    );
}

/// RFC 8831 §6.4: capacity in proportion to priority, with and without interleaving.
#[test]
fn channels_share_by_priority() {
    for interleaving in [true, false] {
        let mut first = config(Role::Client);
        first.association.interleaving = interleaving;
        let mut pair = Pair::with(3, 20 * MS, first, config(Role::Server));
        pair.connect();
        let mut open = |priority| {
            let config = ChannelConfig {
                priority,
                ..ChannelConfig::default()
            };
            pair.a.open(pair.now, config).unwrap()
        };
        let (low, high) = (open(128), open(1_024));
        for i in 0..100 {
            pair.a
                .send(pair.now, low, Message::Binary(pattern(20_000, i)))
                .unwrap();
            pair.a
                .send(pair.now, high, Message::Binary(pattern(20_000, i)))
                .unwrap();
        }
        pair.run(60 * SECOND, |p| p.a.buffered_amount(high) < 200_000);
        let sent = |id| 2_000_000 - pair.a.buffered_amount(id);
        let ratio = sent(high) as f64 / sent(low) as f64;
        assert!((6.0..10.5).contains(&ratio), "{ratio}");
    }
}

struct Node {
    endpoint: Endpoint,
    from: std::net::SocketAddr,
    to: std::net::SocketAddr,
    buffer: Vec<u8>,
    urgent: Option<Instant>,
}

impl Node {
    fn look(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Message { data, .. } = event
                && data.len() == 1_024
            {
                self.urgent = Some(now);
            }
        }
    }
}

impl Peer for Node {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        self.endpoint.handle_input(now, datagram.payload.into());
        self.look(now);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.look(now);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }
    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        self.buffer.clear();
        self.endpoint.poll_transmit(now, &mut self.buffer)?;
        Some(Datagram::new(self.from, self.to, self.buffer.clone()))
    }
}

/// 1 KiB at high priority behind a transfer of 100 MB in one message: within two round trips and
/// one queue (RFC 8260).
#[test]
fn an_urgent_message_does_not_wait_for_a_large_one() {
    let (rate, rtt) = (50_000_000u64, 40 * MS);
    let queue = (rate / 8) as usize * 40 / 1_000;
    let link = |rate| {
        LinkConfig::new()
            .rate(rate)
            .delay(rtt / 2)
            .queue(Queue::DropTail { bytes: queue })
    };
    let (network, a, b) = Network::pair(3, link(rate), link(0));
    let (at_a, at_b) = (network.addr(a, 5000), network.addr(b, 5000));
    let now = network.now();
    let mut rng = StdRng::seed_from_u64(3);
    let mut node = |role, from, to| {
        let mut config = config(role);
        config.association.max_message_size = 200 << 20;
        config.high_water_mark = 200 << 20;
        let mut endpoint = Endpoint::new(config, now, &mut rng);
        endpoint.connect(now);
        Node {
            endpoint,
            from,
            to,
            buffer: Vec::new(),
            urgent: None,
        }
    };
    let mut simulation = Simulation::new(network);
    let first = node(Role::Client, at_a, at_b);
    let second = node(Role::Server, at_b, at_a);
    simulation.add_peer(a, first);
    simulation.add_peer(b, second);
    let sender = &mut simulation.peers_mut()[0].endpoint;
    let bulk = sender
        .open(
            now,
            ChannelConfig {
                priority: 128,
                ..Default::default()
            },
        )
        .unwrap();
    let urgent = sender
        .open(
            now,
            ChannelConfig {
                priority: 1_024,
                ..Default::default()
            },
        )
        .unwrap();
    let large = Bytes::from(vec![1; 100_000_000]);
    sender.send(now, bulk, Message::Binary(large)).unwrap();
    simulation.run_for(3 * SECOND);
    let now = simulation.now();
    let sender = &mut simulation.peers_mut()[0].endpoint;
    assert!(
        sender.buffered_amount(bulk) > 50_000_000,
        "the large message is under way"
    );
    sender
        .send(now, urgent, Message::Binary(pattern(1_024, 1)))
        .unwrap();
    simulation
        .run_until(SECOND, |p| p[1].urgent.is_some())
        .expect("it arrives");
    let took = simulation.peers()[1]
        .urgent
        .expect("a time")
        .duration_since(now);
    let queue_time = Duration::from_secs_f64(queue as f64 * 8.0 / rate as f64);
    assert!(took <= rtt * 2 + queue_time, "{took:?}");
}
