//! The memory budget: hostile senders never bring a connection over it, the caller is told, and it works meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::Pair;
use tincan_peer::*;

const MIB: usize = 1 << 20;
const BUDGET: usize = 4 * MIB;
const MS: Duration = Duration::from_millis(1);

/// A pair of which B has a budget; A may be anything.
fn pair() -> Pair {
    let b = Configuration {
        memory_budget: Some(BUDGET),
        ..Default::default()
    };
    Pair::with(Configuration::default(), b, 1)
}

fn connected(pair: &mut Pair) -> ChannelKey {
    let channel = pair.channel("x");
    pair.negotiate(0);
    pair.run_until(Duration::from_secs(10), |p| p.connected());
    pair.run(100 * MS);
    channel
}

/// Moves datagrams from A to B and back for a while; B's application takes no event.
fn deaf(pair: &mut Pair, time: Duration) -> usize {
    let mut most = 0;
    let end = pair.now + time;
    let mut out = Vec::new();
    while pair.now < end {
        pair.now += MS;
        let now = pair.now;
        for n in 0..2 {
            if pair.ends[n].pc.poll_timeout().is_some_and(|at| at <= now) {
                pair.ends[n].pc.handle_timeout(now);
            }
            while let Some(t) = pair.ends[n].pc.poll_transmit(now, &mut out, 10) {
                for datagram in out.chunks(t.segment_size.unwrap_or(t.len)) {
                    let received = Received {
                        local: t.remote,
                        remote: t.local,
                        transport: t.transport,
                        ecn: Ecn::NotEct,
                    };
                    pair.ends[1 - n]
                        .pc
                        .handle_input(now, received, datagram.into());
                    most = most.max(pair.ends[1].pc.memory_usage());
                }
                out.clear();
            }
        }
        while pair.a().pc.poll_event().is_some() {}
    }
    most
}

#[test]
fn messages_that_nobody_takes_stay_with_their_sender() {
    let mut pair = pair();
    let channel = connected(&mut pair);
    let idle = pair.b().pc.memory_usage();
    assert!(idle < BUDGET / 4, "{idle}");
    let now = pair.now;
    for n in 0..150u8 {
        let message = Message::binary(vec![n; 100_000]);
        pair.a().pc.send(now, channel, message).unwrap();
    }
    let most = deaf(&mut pair, Duration::from_secs(20));
    assert!(most > 400_000, "{most}: nothing came");
    assert!(most <= BUDGET / 2, "{most}");
    // Taken, all come, in order.
    pair.run(Duration::from_secs(60));
    let got: Vec<u8> = pair
        .b()
        .take()
        .into_iter()
        .filter_map(|event| match event {
            Event::ChannelMessage(_, message) => {
                assert_eq!(message.len(), 100_000);
                Some(message.as_bytes()[0])
            }
            _ => None,
        })
        .collect();
    assert_eq!(got, (0..150).collect::<Vec<u8>>());
    let after = pair.b().pc.memory_usage();
    assert!(after < idle + 50_000, "{after}");
}

#[test]
fn without_a_budget_messages_that_nobody_takes_are_held_back_too() {
    let generous = Configuration {
        max_buffered_amount: 100_000_000,
        ..Default::default()
    };
    let mut pair = Pair::with(generous, Configuration::default(), 1);
    let channel = connected(&mut pair);
    let now = pair.now;
    for _ in 0..900 {
        let message = Message::binary(vec![1; 100_000]);
        pair.a().pc.send(now, channel, message).unwrap();
    }
    let most = deaf(&mut pair, Duration::from_secs(20));
    // A mebibyte fetched ahead, and SCTP's window, which grew to its bound.
    assert!((1 << 20..70 << 20).contains(&most), "{most}");
    pair.run(Duration::from_secs(60));
    let messages = |e: &Event| matches!(e, Event::ChannelMessage(..));
    let got = pair.b().take().into_iter().filter(messages).count();
    assert_eq!(got, 900);
}

#[test]
fn channels_with_long_labels_are_refused_beyond_the_share() {
    let mut pair = pair();
    connected(&mut pair);
    let mut most = 0;
    for n in 0..60 {
        let now = pair.now;
        let label = format!("{n}-{}", "x".repeat(30_000));
        let _ = pair
            .a()
            .pc
            .create_data_channel(now, &label, DataChannelInit::default());
        pair.run(20 * MS);
        most = most.max(pair.b().pc.memory_usage());
    }
    pair.run(Duration::from_secs(5));
    assert!(most <= BUDGET, "{most}");
    let channels = pair.b().pc.channels().count();
    assert!((5..=9).contains(&channels), "{channels}");
    // The connection goes on.
    assert!(pair.connected());
}

#[test]
fn media_that_nobody_takes_is_dropped_at_the_share() {
    let mut pair = pair();
    let video = pair.transceiver(Kind::Video);
    connected(&mut pair);
    pair.b().take();
    let codec = pair.a().pc.transceiver(video).unwrap().send_codecs[0].clone();
    let mut most = 0;
    for n in 0..4_000u16 {
        let now = pair.now;
        let packet = RtpPacket::new(codec.payload_type, n, 0, true, vec![1; 1_000]);
        pair.a().pc.send_rtp(now, video, packet).unwrap();
        if n % 20 == 19 {
            most = most.max(deaf(&mut pair, MS));
        }
    }
    most = most.max(deaf(&mut pair, 50 * MS));
    assert!(most <= BUDGET, "{most}");
    let mut got = 0;
    while let Some(event) = pair.b().pc.poll_event() {
        got += usize::from(matches!(event, Event::Rtp { .. }));
    }
    assert!(
        (400..530).contains(&got),
        "{got}: an eighth of 4 MiB is 524"
    );
}

#[test]
fn what_the_caller_sends_beyond_the_share_is_an_error_and_passes() {
    let mut pair = pair();
    connected(&mut pair);
    let channel = pair.b().pc.channels().next().unwrap();
    let now = pair.now;
    let mut taken = 0;
    let error = loop {
        let message = Message::binary(vec![1; 50_000]);
        match pair.b().pc.send(now, channel, message) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::MemoryBudget);
    assert!((10..=15).contains(&taken), "{taken}");
    assert!(pair.b().pc.memory_usage() <= BUDGET);
    pair.run(Duration::from_secs(5));
    let now = pair.now;
    pair.b()
        .pc
        .send(now, channel, Message::binary(vec![1; 50_000]))
        .unwrap();
}

/// What was sent may be asked for again for two seconds, whether more is sent or not.
#[test]
fn what_was_sent_long_ago_holds_nothing_back() {
    // Descriptions of eight senders have a share, too.
    let mut capabilities = Capabilities::default();
    capabilities.video.retain(|c| c.is("VP8"));
    let b = Configuration {
        memory_budget: Some(BUDGET),
        capabilities: capabilities.into(),
        ..Default::default()
    };
    let mut pair = Pair::with(Configuration::default(), b, 1);
    connected(&mut pair);
    let init = || TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    let videos: Vec<_> = (0..8)
        .map(|_| pair.b().pc.add_transceiver(Kind::Video, init()).unwrap())
        .collect();
    pair.negotiate(1);
    pair.run(100 * MS);
    let channel = pair.b().pc.channels().next().unwrap();
    let codec = pair.b().pc.transceiver(videos[0]).unwrap().send_codecs[0].clone();
    for n in 0..90u16 {
        for id in &videos {
            let now = pair.now;
            let packet = RtpPacket::new(codec.payload_type, n, 0, true, vec![1; 1_000]);
            pair.b().pc.send_rtp(now, *id, packet).unwrap();
        }
        pair.run(MS);
    }
    let now = pair.now;
    let message = || Message::binary(vec![1; 50_000]);
    assert_eq!(
        pair.b().pc.send(now, channel, message()),
        Err(Error::MemoryBudget)
    );
    let large = Frame::new(codec.payload_type, 0, vec![0x10; 50_000]);
    assert_eq!(
        pair.b().pc.send_frame(now, videos[0], &large),
        Err(Error::MemoryBudget)
    );
    pair.run(Duration::from_secs(4));
    let now = pair.now;
    pair.b().pc.send(now, channel, message()).unwrap();
    pair.b().pc.send_frame(now, videos[0], &large).unwrap();
}

#[test]
fn a_description_beyond_the_share_is_an_error_and_changes_nothing() {
    let mut pair = pair();
    let now = pair.now;
    let mut sdp = String::from("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
    while sdp.len() < 20_000 {
        sdp.push_str("a=x-attribute:of no use to anybody at all\r\n");
    }
    let result = pair
        .b()
        .pc
        .set_remote_description(now, SessionDescription::offer(sdp));
    assert_eq!(result, Err(Error::MemoryBudget));
    assert_eq!(pair.b().pc.signaling_state(), SignalingState::Stable);
    connected(&mut pair);
}

#[test]
fn a_budget_too_small_to_work_in_is_refused() {
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
    let mut make = |memory_budget, max_message_size| {
        let config = Configuration {
            memory_budget,
            max_message_size,
            ..Default::default()
        };
        PeerConnection::new(config, std::time::Instant::now(), &mut rng).map(drop)
    };
    assert!(make(Some(4 * MIB - 1), 65_536).is_err());
    assert!(make(Some(4 * MIB), 262_145).is_err());
    assert!(make(Some(1 << 30), 0).is_err());
    assert!(make(Some(4 * MIB), 262_144).is_ok());
    assert!(make(None, 0).is_ok());
}
