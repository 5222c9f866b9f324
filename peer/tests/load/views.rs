//! A channel as a sink, a stream and a pipe of bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

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

/// An application that takes little at a time.
fn tight_reader() -> DriverConfig {
    DriverConfig {
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
fn a_sink_is_not_ready_while_nothing_can_be_sent() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        // Credit comes back as packets are sent, until SCTP's congestion window is full.
        handles[1].set_faults(Some(Faults::new(1).with_down(true)));
        go_round(&handles).await;
        let message = Message::binary(vec![1; 20_000]);
        let mut taken = 0;
        while let Some(fed) = link.channels[0].feed(message.clone()).now_or_never() {
            fed.unwrap();
            taken += 1;
            assert!(taken < 100, "no backpressure");
            go_round(&handles).await;
        }
        // Two are paid for at once, a third waits in the sink.
        assert!(taken >= 3, "{taken}");
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
fn a_shutdown_fails_when_the_connection_ends_before_all_arrived() {
    common::run(async {
        for end_of in [0, 1] {
            let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
            let link = common::link(&handles[0], &handles[1]).await;
            drop(link.events);
            let [ours, theirs] = link.channels;
            let mut ours = ours.into_bytes();
            handles[1].set_faults(Some(Faults::new(1).with_down(true)));
            ours.write_all(&[7; 500_000]).await.unwrap();
            go_round(&handles).await;
            assert!(ours.shutdown().now_or_never().is_none());
            handles[1].set_faults(None);
            link.peers[end_of].close();
            let broken = ours.shutdown().await.unwrap_err();
            assert_eq!(broken.kind(), std::io::ErrorKind::BrokenPipe);
            drop(theirs);
        }
    });
}

#[test]
fn a_shutdown_fails_when_what_found_no_room_is_thrown_away() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(tight_reader()));
        let frugal = Configuration {
            memory_budget: Some(4 << 20),
            ..Default::default()
        };
        let link = common::pair(
            handles[0].peer(Configuration::default()).await.unwrap(),
            handles[1].peer(frugal).await.unwrap(),
            DataChannelInit::default(),
        )
        .await;
        drop(link.events);
        let [ours, theirs] = link.channels;
        let key = ours.key();
        let mut ours = ours.into_bytes();
        // Nobody reads: what is sent is acknowledged, until the window is shut.
        ours.write_all(&[7; 1_000_000]).await.unwrap();
        let buffered = || link.peers[0].with(move |pc, _| pc.buffered_amount(key));
        let mut before = usize::MAX;
        loop {
            go_round(&handles).await;
            let now = buffered().await.unwrap();
            if now == before {
                break;
            }
            before = now;
        }
        assert!(before > 0);
        link.peers[1].close();
        let broken = ours.shutdown().await.unwrap_err();
        assert_eq!(broken.kind(), std::io::ErrorKind::BrokenPipe);
        drop(theirs);
    });
}

#[test]
fn closing_waits_for_acknowledgement_though_another_handle_has_closed() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let link = common::link(&handles[0], &handles[1]).await;
        drop(link.events);
        let [mut ours, theirs] = link.channels;
        handles[1].set_faults(Some(Faults::new(1).with_down(true)));
        ours.feed(Message::text("one")).await.unwrap();
        ours.close().await.unwrap();
        go_round(&handles).await;
        assert!(SinkExt::close(&mut ours).now_or_never().is_none());
        handles[1].set_faults(None);
        SinkExt::close(&mut ours).await.unwrap();
        assert_eq!(theirs.collect::<Vec<_>>().await, [Message::text("one")]);
        drop(link.peers);
    });
}

#[test]
fn closing_does_not_wait_for_a_call_of_send_that_is_given_up() {
    common::run(async {
        let config = || DriverConfig {
            channel_credit: 50_000,
            ..DriverConfig::loopback()
        };
        let handles = [0, 1].map(|_| common::driver(config()));
        let link = common::link(&handles[0], &handles[1]).await;
        let [mut ours, theirs] = link.channels;
        let reading = tokio::spawn(theirs.count());
        // One that is polled once, and one that waits in a sink.
        for by_sink in [false, true] {
            let message = || Message::binary(vec![1; 50_000]);
            ours.send(message()).await.unwrap();
            let late = ours.sender();
            let mut sink = ours.sink();
            let mut call = Box::pin(late.send(message()));
            if by_sink {
                sink.start_send_unpin(message()).unwrap();
                assert!(sink.flush().now_or_never().is_none());
            } else {
                assert!((&mut call).now_or_never().is_none());
            }
            // All is acknowledged; its credit went to who waited for it.
            go_round(&handles).await;
            let waker = std::sync::Arc::new(Woken(AtomicBool::new(false)));
            let as_waker = waker.clone().into();
            let mut cx = Context::from_waker(&as_waker);
            assert!(ours.poll_close_unpin(&mut cx).is_pending());
            waker.0.store(false, Ordering::Relaxed);
            drop((call, sink));
            assert!(waker.0.load(Ordering::Relaxed), "by sink: {by_sink}");
        }
        SinkExt::close(&mut ours).await.unwrap();
        assert_eq!(reading.await.unwrap(), 2);
        drop((link.peers, link.events));
    });
}

/// Whether it was woken.
struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn handles_end_after_a_close_though_nobody_reads_the_news() {
    common::run(async {
        let config = || DriverConfig {
            event_queue: 1,
            channel_credit: 50_000,
            ..DriverConfig::loopback()
        };
        let handles = [0, 1].map(|_| common::driver(config()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        // More news than there is room for.
        for n in 0..3 {
            let init = DataChannelInit::default();
            let label = n.to_string();
            drop(link.peers[0].create_data_channel(&label, init).await);
        }
        go_round(&handles).await;
        let [mut ours, theirs] = link.channels;
        handles[0].set_faults(Some(Faults::new(1).with_down(true)));
        let message = Message::binary(vec![1; 50_000]);
        for _ in 0..100 {
            if theirs.send(message.clone()).now_or_never().is_none() {
                break;
            }
            go_round(&handles).await;
        }
        let late = theirs.sender();
        let late = tokio::spawn(async move { late.send(message).await });
        go_round(&handles).await;
        assert!(!late.is_finished());
        for peer in &link.peers {
            peer.close();
        }
        assert_eq!(ours.recv().await, None);
        assert!(late.await.unwrap().is_err(), "sent to nowhere");
        let mut theirs = theirs;
        assert!(SinkExt::close(&mut theirs).await.is_err());
        for handle in &handles {
            while handle.stats().await.unwrap().peers > 0 {
                tokio::task::yield_now().await;
            }
        }
        while link.events[1].next().await.is_some() {}
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
fn a_pipe_writes_what_the_far_side_takes_as_soon_as_that_is_known() {
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
        let mut ours = ours.into_bytes();
        let data: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        let expected = data.clone();
        let writer = tokio::spawn(async move {
            ours.write_all(&data).await.unwrap();
            ours.shutdown().await.unwrap();
        });
        common::signal(&peers, &mut events).await;
        let mut theirs = common::next_channel(&mut events[1]).await.into_bytes();
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        writer.await.unwrap();

        // Or it never is.
        let lonely = handles[0].peer(Configuration::default()).await.unwrap();
        let init = DataChannelInit::default();
        let pipe = lonely.0.create_data_channel("lonely", init).await.unwrap();
        let mut pipe = pipe.into_bytes();
        assert!(pipe.write(b"x").now_or_never().is_none());
        lonely.0.close();
        assert!(pipe.write(b"x").await.is_err());
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
        let mut ours = ours;
        let closed = SinkExt::close(&mut ours).await;
        assert!(matches!(closed, Err(DriverError::ChannelClosed)));
    });
}

/// A budget, and a far side that takes messages of any length.
async fn frugal(handles: &[DriverHandle; 2]) -> common::Link {
    let frugal = Configuration {
        memory_budget: Some(4 << 20),
        max_message_size: 65_536,
        ..Default::default()
    };
    let generous = Configuration {
        max_message_size: 0,
        ..Default::default()
    };
    common::pair(
        handles[0].peer(frugal).await.unwrap(),
        handles[1].peer(generous).await.unwrap(),
        DataChannelInit::default(),
    )
    .await
}

#[test]
fn a_message_that_the_budget_never_takes_is_refused() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let link = frugal(&handles).await;
        let [ours, mut theirs] = link.channels;
        let share = (4 << 20) / 16 * 3;
        let refused = ours.send(Message::binary(vec![1; share + 1])).await;
        let too_long = Error::MessageTooLarge {
            len: share + 1,
            max: share,
        };
        assert!(matches!(refused, Err(DriverError::Connection(error)) if error == too_long));
        let fits = Message::binary(vec![1; share]);
        ours.send(fits.clone()).await.unwrap();
        assert_eq!(theirs.recv().await, Some(fits));

        // Sent before the far side has said anything, it closes the channel.
        let lone = handles[0].peer(Configuration {
            memory_budget: Some(4 << 20),
            ..Default::default()
        });
        let us = lone.await.unwrap();
        let them = handles[1].peer(Configuration {
            max_message_size: 0,
            ..Default::default()
        });
        let them = them.await.unwrap();
        let (peers, mut events) = ([us.0, them.0], [us.1, them.1]);
        let init = DataChannelInit::default();
        let ours = peers[0].create_data_channel("early", init).await.unwrap();
        ours.send(Message::binary(vec![1; share + 1]))
            .await
            .unwrap();
        common::signal(&peers, &mut events).await;
        let mut theirs = common::next_channel(&mut events[1]).await;
        assert_eq!(theirs.recv().await, None);
        drop((link.peers, link.events));
    });
}

#[test]
fn a_channel_without_end_leaves_room_for_others() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let mut link = frugal(&handles).await;
        let mut quiet = Vec::new();
        for n in 0..8 {
            let init = DataChannelInit::default();
            let label = n.to_string();
            let ours = link.peers[0].create_data_channel(&label, init).await;
            let theirs = common::next_channel(&mut link.events[1]).await;
            quiet.push((ours.unwrap(), theirs));
        }
        drop(link.events);
        let [ours, mut theirs] = link.channels;
        // The credit is more than the budget lets wait.
        let bulk = tokio::spawn(async move {
            let message = Message::binary(vec![1; 50_000]);
            while ours.send(message.clone()).await.is_ok() {}
        });
        let sink = tokio::spawn(async move { while theirs.recv().await.is_some() {} });
        go_round(&handles).await;
        for (ours, theirs) in &mut quiet {
            ours.send(Message::text("?")).await.unwrap();
            assert_eq!(theirs.recv().await, Some(Message::text("?")));
        }
        assert!(!bulk.is_finished());
        drop(link.peers);
        bulk.abort();
        sink.abort();
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
