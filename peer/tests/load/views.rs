//! A channel as a sink, a stream and a pipe of bytes.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tincan_peer::Message;
use tincan_peer::driver::{DriverConfig, DriverError};
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
        handles[1].set_faults(Some(tincan_peer::driver::Faults::new(1).with_down(true)));
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
