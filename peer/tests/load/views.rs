//! A channel as a sink, a stream and a pipe of bytes.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tincan_peer::driver::{DriverConfig, DriverError, DriverHandle, Faults};
use tincan_peer::{Configuration, DataChannelInit, Error, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common;

/// Less than one turn's worth, so that backpressure is felt.
fn tight() -> DriverConfig {
    DriverConfig {
        channel_credit: 50_000,
        event_queue: 8,
        ..DriverConfig::loopback()
    }
}

#[test]
fn bytes_arrive_in_order_through_a_pipe_and_its_end_is_seen() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight()));
        let link = common::link(&handles[0], &handles[1]).await;
        // News that nobody reads would stop everything with such a short queue.
        drop(link.events);
        let [a, b] = link.channels.map(|channel| channel.into_bytes());
        let data: Vec<u8> = (0..600_000u32)
            .map(|n| (n.wrapping_mul(7919) >> 3) as u8)
            .collect();
        let expected = data.clone();
        let writer = tokio::spawn(async move {
            let mut a = a;
            // Pieces of odd sizes, some greater than a message.
            for piece in data.chunks(37_777) {
                a.write_all(piece).await.unwrap();
            }
            a.shutdown().await.unwrap();
            assert!(a.write(b"more").await.is_err(), "written after the end");
        });
        let (mut b, mut got) = (b, Vec::new());
        b.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        writer.await.unwrap();
        drop(link.peers);
    });
}

#[test]
fn a_sink_is_not_ready_while_nothing_is_acknowledged() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        // The far side does not read: its queue, SCTP's window and the credit fill up.
        handles[1].set_faults(Some(Faults::new(1).with_down(true)));
        handles[1].stats().await.unwrap();
        let message = Message::binary(vec![1; 20_000]);
        let mut taken = 0;
        while let Some(fed) = link.channels[0].feed(message.clone()).now_or_never() {
            fed.unwrap();
            taken += 1;
            assert!(taken < 100, "no backpressure");
        }
        // Two are paid for; a third waits in the sink.
        assert_eq!(taken, 3);
        handles[1].set_faults(None);
        let sender = link.channels[0].sender();
        let [mut from, to] = link.channels;
        from.flush().await.unwrap();
        let arrived: Vec<_> = to.take(taken).collect().await;
        assert_eq!(arrived, vec![message; taken]);
        SinkExt::close(&mut from).await.unwrap();
        let late = SinkExt::send(&mut from, Message::text("late")).await;
        assert!(matches!(late, Err(DriverError::ChannelClosed)));
        let late = sender.send(Message::text("late")).await;
        assert!(matches!(late, Err(DriverError::ChannelClosed)));
    });
}

#[test]
fn an_echo_of_stream_into_sink_gives_everything_back() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight()));
        let link = common::link(&handles[0], &handles[1]).await;
        // News that nobody reads would stop everything with such a short queue.
        drop(link.events);
        let [ours, theirs] = link.channels;
        let echo = tokio::spawn(async move {
            let (sink, messages) = theirs.split();
            messages.map(Ok).forward(sink).await
        });
        let (mut sink, messages) = ours.split();
        let sender = tokio::spawn(async move {
            for n in 0..300u32 {
                let message = Message::text(n.to_string());
                sink.send(message).await.unwrap();
            }
            sink
        });
        let back: Vec<_> = messages.take(300).collect().await;
        for (n, message) in back.iter().enumerate() {
            assert_eq!(message.as_text(), Some(n.to_string().as_str()));
        }
        drop(sender.await.unwrap());
        echo.abort();
    });
}

/// Both loops have gone round often enough for what is under way to be done.
async fn go_round(handles: &[DriverHandle; 2]) {
    for _ in 0..100 {
        for handle in handles {
            handle.stats().await.unwrap();
        }
    }
}

#[test]
fn what_was_written_before_a_shutdown_is_acknowledged_after_it() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let link = common::link(&handles[0], &handles[1]).await;
        drop(link.events);
        let [ours, theirs] = link.channels;
        let (mut ours, mut theirs) = (ours.into_bytes(), theirs.into_bytes());
        handles[0].set_faults(Some(Faults::new(1).with_down(true)));
        ours.write_all(&[7; 3_000]).await.unwrap();
        // All of it leaves in the first packets, which are lost.
        go_round(&handles).await;
        assert!(ours.shutdown().now_or_never().is_none());
        handles[0].set_faults(None);
        ours.shutdown().await.unwrap();
        let [us, them] = link.peers;
        drop((ours, us));
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [7; 3_000]);
        drop(them);
    });
}

#[test]
fn closing_may_be_given_up() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight()));
        let link = common::link(&handles[0], &handles[1]).await;
        drop(link.events);
        let [mut ours, theirs] = link.channels;
        handles[0].set_faults(Some(Faults::new(1).with_down(true)));
        let message = Message::binary(vec![1; 50_000]);
        ours.feed(message.clone()).await.unwrap();
        assert!(SinkExt::close(&mut ours).now_or_never().is_none());
        handles[0].set_faults(None);
        // Others send, and so does this one.
        ours.sender().send(message.clone()).await.unwrap();
        for _ in 0..3 {
            SinkExt::send(&mut ours, message.clone()).await.unwrap();
        }
        SinkExt::close(&mut ours).await.unwrap();
        assert_eq!(theirs.collect::<Vec<_>>().await, vec![message; 5]);
        drop(link.peers);
    });
}

#[test]
fn what_the_far_side_does_not_take_is_refused() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let small = Configuration {
            max_message_size: 1_000,
            ..Default::default()
        };
        let link = common::pair(
            handles[0].peer(Configuration::default()).await.unwrap(),
            handles[1].peer(small).await.unwrap(),
            DataChannelInit::default(),
        )
        .await;
        let [mut ours, mut theirs] = link.channels;
        let fits = Message::binary(vec![1; 1_000]);
        ours.send(fits.clone()).await.unwrap();
        assert_eq!(theirs.recv().await, Some(fits.clone()));
        let long = Message::binary(vec![1; 1_001]);
        let is_refused = |refused| {
            let too_long = Error::MessageTooLarge {
                len: 1_001,
                max: 1_000,
            };
            assert!(matches!(refused, Err(DriverError::Connection(error)) if error == too_long));
        };
        is_refused(ours.send(long.clone()).await);
        is_refused(SinkExt::send(&mut ours, long).await);
        ours.send(fits.clone()).await.unwrap();
        assert_eq!(theirs.recv().await, Some(fits));
        drop((link.peers, link.events));
    });
}

#[test]
fn a_message_too_long_before_that_is_known_closes_the_channel() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let small = Configuration {
            max_message_size: 1_000,
            ..Default::default()
        };
        let us = handles[0].peer(Configuration::default()).await.unwrap();
        let them = handles[1].peer(small).await.unwrap();
        let (peers, mut events) = ([us.0, them.0], [us.1, them.1]);
        let init = DataChannelInit::default();
        let ours = peers[0].create_data_channel("early", init).await.unwrap();
        ours.send(Message::text("first")).await.unwrap();
        ours.send(Message::binary(vec![1; 1_001])).await.unwrap();
        ours.send(Message::text("third")).await.unwrap();
        common::signal(&peers, &mut events).await;
        let mut theirs = common::next_channel(&mut events[1]).await;
        assert_eq!(theirs.recv().await, Some(Message::text("first")));
        assert_eq!(theirs.recv().await, None, "no hole in what arrives");
        let late = ours.send(Message::text("late")).await;
        assert!(matches!(late, Err(DriverError::ChannelClosed)));
    });
}

#[test]
fn a_small_budget_slows_down_and_loses_nothing() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let frugal = || Configuration {
            memory_budget: Some(4 << 20),
            max_message_size: 65_536,
            ..Default::default()
        };
        let link = common::pair(
            handles[0].peer(frugal()).await.unwrap(),
            handles[1].peer(frugal()).await.unwrap(),
            DataChannelInit::default(),
        )
        .await;
        drop(link.events);
        let [ours, mut theirs] = link.channels;
        // The credit is more than the budget lets wait.
        for n in 0..17u8 {
            let sent = ours.send(Message::binary(vec![n; 60_000])).now_or_never();
            sent.expect("within the credit").unwrap();
        }
        ours.close().await.unwrap();
        for n in 0..17u8 {
            assert_eq!(theirs.recv().await, Some(Message::binary(vec![n; 60_000])));
        }
        assert_eq!(theirs.recv().await, None);
        drop(link.peers);
    });
}

#[test]
fn lengths_and_times_without_end_are_taken_as_such() {
    common::run(async {
        let endless = || DriverConfig {
            event_queue: usize::MAX,
            track_queue: usize::MAX,
            channel_credit: usize::MAX,
            interface_poll: Some(std::time::Duration::MAX),
            ..DriverConfig::loopback()
        };
        let handles = [0, 1].map(|_| common::driver(endless()));
        let link = common::link(&handles[0], &handles[1]).await;
        let [ours, mut theirs] = link.channels;
        ours.send(Message::text("hello")).await.unwrap();
        assert_eq!(theirs.recv().await, Some(Message::text("hello")));
        let faults = Faults::new(1).with_delay(std::time::Duration::MAX);
        link.peers[0].set_faults(Some(faults));
        ours.send(Message::text("never")).await.unwrap();
        go_round(&handles).await;
        drop((link.peers, link.events));
    });
}
