//! The network goes away and comes back; it loses, and it is slow.

use std::time::Duration;

use tincan_peer::driver::{DataChannel, Driver, DriverConfig, Faults, PeerEvent};
use tincan_peer::{Configuration, DataChannelInit, Event, IceConnectionState, Message};

use crate::common;

/// Sends numbers until told to stop; how many there were.
fn count_up(
    channel: &DataChannel,
) -> (
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<u32>,
) {
    let sender = channel.sender();
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut next = 0u32;
        loop {
            // A lost connection is no reason for `send` to fail, only to wait.
            let mut bytes = vec![0; 1000];
            bytes[..4].copy_from_slice(&next.to_be_bytes());
            tokio::select! {
                _ = &mut stopped => return next,
                sent = sender.send(Message::binary(bytes)) => sent.unwrap(),
            }
            next += 1;
        }
    });
    (stop, task)
}

fn number(message: &Message) -> u32 {
    let head = message.as_bytes().first_chunk::<4>();
    u32::from_be_bytes(*head.expect("four bytes"))
}

async fn wait_for(events: &mut tincan_peer::driver::Events, wanted: IceConnectionState) {
    loop {
        match events.next().await.expect("the peer ended") {
            PeerEvent::Event(Event::IceConnectionState(state)) if state == wanted => return,
            _ => continue,
        }
    }
}

#[test]
fn channels_go_on_when_the_network_was_away_and_ice_restarts() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        let ufrags_before = link.peers[0]
            .with(|pc, _| pc.local_ufrags().map(str::to_owned).collect::<Vec<_>>())
            .await
            .unwrap();
        let (stop, sending) = count_up(&link.channels[0]);
        let mut expected = 0;
        while expected < 500 {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
            expected += 1;
        }

        let gone = Faults::new(1).with_down(true);
        handles[0].set_faults(Some(gone));
        let [from, to] = &mut link.events;
        let [_, reader] = &mut link.channels;
        // What was on its way is read meanwhile, so that the reader is not what stands still.
        let reading = async {
            loop {
                let message = reader.recv().await.expect("open");
                assert_eq!(number(&message), expected);
                expected += 1;
            }
        };
        tokio::select! {
            () = reading => {}
            () = async {
                tokio::join!(
                    wait_for(from, IceConnectionState::Disconnected),
                    wait_for(to, IceConnectionState::Disconnected),
                );
            } => {}
        }
        let at_the_restart = expected;
        link.peers[0].restart_ice().await.unwrap();
        handles[0].set_faults(None);
        common::signal(&link.peers, &mut link.events).await;
        let ufrags_after = link.peers[0]
            .with(|pc, _| pc.local_ufrags().map(str::to_owned).collect::<Vec<_>>())
            .await
            .unwrap();
        let fresh = ufrags_after.iter().any(|u| !ufrags_before.contains(u));
        assert!(fresh, "no restart: {ufrags_before:?}, {ufrags_after:?}");

        while expected < at_the_restart + 2000 {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
            expected += 1;
        }
        stop.send(()).unwrap();
        let sent = sending.await.unwrap();
        while expected < sent {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
            expected += 1;
        }
        let lost = handles[0].stats().await.unwrap().fault_losses;
        println!("{sent} messages, none lost; {lost} datagrams were");
        assert!(lost > 10, "{lost}");
    });
}

#[test]
fn a_network_of_one_peer_that_loses_and_delays_costs_no_message() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        let bad = Faults::new(7)
            .with_loss(0.05)
            .with_delay(Duration::from_millis(2));
        link.peers[0].set_faults(Some(bad));
        let (stop, sending) = count_up(&link.channels[0]);
        for expected in 0..3000 {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
        }
        drop(stop);
        assert!(sending.await.unwrap() >= 3000);
        let [first, second] = [
            handles[0].stats().await.unwrap(),
            handles[1].stats().await.unwrap(),
        ];
        let seen = first.datagrams_sent + first.datagrams_received + first.fault_losses;
        println!("seed 7: {} of {seen} datagrams lost", first.fault_losses);
        assert!(first.fault_losses * 50 > seen, "{first:?}");
        assert_eq!(second.fault_losses, 0);
    });
}

#[test]
fn a_path_that_turns_out_smaller_costs_no_message() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let config = || Configuration {
            max_probed_datagram: 9_000,
            ..Configuration::default()
        };
        let from = handles[0].peer(config()).await.unwrap();
        let to = handles[1].peer(config()).await.unwrap();
        let mut link = common::pair(from, to, DataChannelInit::default()).await;
        let (stop, sending) = count_up(&link.channels[0]);
        let mut expected = 0;
        while expected < 500 || common::mtu(&link.peers[0]).await < 8_900 {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
            expected += 1;
        }
        link.peers[0].set_faults(Some(Faults::new(1).with_mtu(1_400)));
        let shrunk = expected;
        while expected < shrunk + 3000 || common::mtu(&link.peers[0]).await > 1_400 {
            let message = link.channels[1].recv().await.expect("open");
            assert_eq!(number(&message), expected);
            expected += 1;
        }
        drop(stop);
        assert!(sending.await.unwrap() >= expected);
        let stats = handles[0].stats().await.unwrap();
        println!(
            "{expected} messages, none lost; {} datagrams were",
            stats.fault_losses
        );
        assert!(stats.fault_losses > 0);
        assert_eq!(stats.too_long, 0, "loopback takes them all");
    });
}

#[test]
fn whoever_waits_for_a_loop_that_is_dropped_is_told() {
    common::run(async {
        let driver = Driver::bind(DriverConfig::loopback()).unwrap();
        let handle = driver.handle();
        let task = tokio::spawn(driver.run());
        let other = common::driver(DriverConfig::loopback());
        let mut link = common::link(&handle, &other).await;
        // More than the credit: the sender waits, and nobody reads.
        let sender = link.channels[0].sender();
        let waiting = tokio::spawn(async move {
            loop {
                if let Err(error) = sender.send(Message::binary(vec![0; 60_000])).await {
                    return error;
                }
            }
        });
        tokio::task::yield_now().await;
        task.abort();
        let error = waiting.await.unwrap();
        println!("the sender hears: {error}");
        assert!(link.peers[0].local_description().await.is_err());
        while link.channels[0].recv().await.is_some() {}
        while link.events[0].next().await.is_some() {}
        // The other loop goes on.
        assert!(other.peer(Configuration::default()).await.is_ok());
    });
}
