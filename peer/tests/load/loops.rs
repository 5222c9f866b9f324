//! Several loops behind one port.

use std::collections::HashSet;
use std::net::UdpSocket;

use tincan_peer::driver::{Driver, DriverConfig, Loops, Sharding};
use tincan_peer::{Configuration, DataChannelInit, Message};

use crate::common;

#[test]
fn peers_of_two_loops_share_a_port_and_hand_over_what_is_not_theirs() {
    common::run(async {
        let loops = Loops::spawn(common::one_port(), 2, Sharding::SharedPort).unwrap();
        let clients = common::driver(DriverConfig::loopback());
        let mut links = Vec::new();
        // The chance that the system sends all of them to the right loop at once is one of 2^16.
        for _ in 0..16 {
            let from = clients.peer(Configuration::default()).await.unwrap();
            let to = loops.handle().peer(Configuration::default()).await.unwrap();
            links.push(common::pair(from, to, DataChannelInit::default()).await);
        }
        let ports = far_ports(&links).await;
        assert_eq!(ports.len(), 1, "{ports:?}");
        for link in &mut links {
            for n in 0..50u8 {
                let message = Message::binary(vec![n; 2000]);
                link.channels[0].send(message.clone()).await.unwrap();
                assert_eq!(link.channels[1].recv().await, Some(message.clone()));
                link.channels[1].send(message.clone()).await.unwrap();
                assert_eq!(link.channels[0].recv().await, Some(message));
            }
        }
        let stats = loops.handle().stats().await.unwrap();
        for stats in &stats {
            println!(
                "{} peers, {} datagrams, {} handed over, {} not",
                stats.peers, stats.datagrams_received, stats.handed_over, stats.handover_dropped
            );
            assert_eq!(stats.peers, 8);
        }
        assert!(stats.iter().map(|s| s.handed_over).sum::<u64>() > 50);
        drop(links);
        tokio::task::spawn_blocking(move || loops.join())
            .await
            .unwrap();
    });
}

#[test]
fn a_far_side_of_one_port_may_come_back_to_another_loop() {
    common::run(async {
        let loops = Loops::spawn(common::one_port(), 2, Sharding::SharedPort).unwrap();
        let clients = common::driver(common::one_port());
        // All have one pair of addresses, and the system sends them to one loop; every other one lives in the other.
        let mut links = Vec::new();
        for _ in 0..4 {
            let from = clients.peer(Configuration::default()).await.unwrap();
            let to = loops.handle().peer(Configuration::default()).await.unwrap();
            let mut link = common::pair(from, to, DataChannelInit::default()).await;
            link.channels[0].send(Message::text("?")).await.unwrap();
            assert_eq!(link.channels[1].recv().await, Some(Message::text("?")));
            link.channels[1].send(Message::text("!")).await.unwrap();
            assert_eq!(link.channels[0].recv().await, Some(Message::text("!")));
            links.push(link);
        }
        let stats = loops.handle().stats().await.unwrap();
        assert_eq!(stats.iter().map(|s| s.peers).collect::<Vec<_>>(), [2, 2]);
        drop(links);
        tokio::task::spawn_blocking(move || loops.join())
            .await
            .unwrap();
    });
}

#[test]
fn a_second_connection_to_an_ice_lite_port_gets_its_data() {
    common::run(async {
        let server = common::driver(common::one_port());
        let clients = common::driver(common::one_port());
        let mut links = Vec::new();
        // The far side makes no checks that could tell one from the other.
        for _ in 0..3 {
            let lite = Configuration {
                ice_lite: true,
                ..Default::default()
            };
            let from = clients.peer(Configuration::default()).await.unwrap();
            let to = server.peer(lite).await.unwrap();
            let mut link = common::pair(from, to, DataChannelInit::default()).await;
            link.channels[1].send(Message::text("!")).await.unwrap();
            assert_eq!(link.channels[0].recv().await, Some(Message::text("!")));
            links.push(link);
        }
    });
}

/// The ports that the far ends of `links` offer.
async fn far_ports(links: &[common::Link]) -> HashSet<String> {
    let mut ports = HashSet::new();
    for link in links {
        let description = link.peers[1].local_description().await.unwrap().unwrap();
        let lines = description.sdp.lines();
        let candidates = lines.filter_map(|line| line.strip_prefix("a=candidate:"));
        ports.extend(candidates.filter_map(|c| Some(c.split(' ').nth(5)?.to_owned())));
    }
    ports
}

#[test]
fn loops_beyond_the_last_port_are_refused() {
    let config = DriverConfig {
        udp: vec!["127.0.0.1:65535".parse().unwrap()],
        ..common::one_port()
    };
    assert!(Loops::spawn(config, 2, Sharding::Ports).is_err());
}

#[test]
fn loops_with_ports_of_their_own_never_hand_over() {
    common::run(async {
        let loops = Loops::spawn(common::one_port(), 2, Sharding::Ports).unwrap();
        let clients = common::driver(DriverConfig::loopback());
        let mut links = Vec::new();
        for _ in 0..4 {
            let from = clients.peer(Configuration::default()).await.unwrap();
            let to = loops.handle().peer(Configuration::default()).await.unwrap();
            let mut link = common::pair(from, to, DataChannelInit::default()).await;
            link.channels[0].send(Message::text("hi")).await.unwrap();
            assert!(link.channels[1].recv().await.is_some());
            links.push(link);
        }
        for stats in loops.handle().stats().await.unwrap() {
            assert_eq!((stats.handed_over, stats.unrouted), (0, 0), "{stats:?}");
            assert!(stats.datagrams_received > 0);
        }
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = DriverConfig {
        udp: vec![taken.local_addr().unwrap()],
        ..common::one_port()
    };
    for sharding in [Sharding::Ports, Sharding::SharedPort] {
        let error = Loops::spawn(config.clone(), 2, sharding).unwrap_err();
        let port = taken.local_addr().unwrap().port().to_string();
        assert!(error.to_string().contains(&port), "{error}");
    }
}

#[test]
fn a_socket_of_the_callers_serves() {
    common::run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let driver = Driver::with_sockets(DriverConfig::default(), [socket]).unwrap();
        assert_eq!(driver.local_addresses(), [addr]);
        let handle = driver.handle();
        tokio::spawn(driver.run());
        let clients = common::driver(DriverConfig::loopback());
        let mut link = common::link(&clients, &handle).await;
        link.channels[0].send(Message::text("hi")).await.unwrap();
        assert!(link.channels[1].recv().await.is_some());
        assert!(Driver::with_sockets(DriverConfig::default(), []).is_err());
    });
}

#[test]
fn without_offload_everything_works_the_same() {
    common::run(async {
        let config = DriverConfig {
            offload: false,
            ..DriverConfig::loopback()
        };
        let handles = [0, 1].map(|_| common::driver(config.clone()));
        let mut link = common::link(&handles[0], &handles[1]).await;
        let sender = link.channels[0].sender();
        tokio::spawn(async move {
            for n in 0..40u8 {
                let message = Message::binary(vec![n; 60_000]);
                sender.send(message).await.unwrap();
            }
        });
        for n in 0..40u8 {
            let message = link.channels[1].recv().await.unwrap();
            assert_eq!(message, Message::binary(vec![n; 60_000]));
        }
        let stats = handles[0].stats().await.unwrap();
        // Calls that found no room are made again.
        assert!(stats.send_calls >= stats.datagrams_sent, "{stats:?}");
        assert!(stats.send_calls <= stats.datagrams_sent + 16, "{stats:?}");
    });
}

#[test]
fn tcp_connections_reach_the_loop_that_has_their_peer() {
    common::run(async {
        let tcp_only = || DriverConfig {
            udp: vec![],
            tcp: vec!["127.0.0.1:0".parse().unwrap()],
            ..common::one_port()
        };
        let loops = Loops::spawn(tcp_only(), 2, Sharding::SharedPort).unwrap();
        let clients = common::driver(tcp_only());
        let mut links = Vec::new();
        // As many as above: by chance none of them reaches a wrong loop once in 2^16 runs.
        for _ in 0..16 {
            let from = clients.peer(Configuration::default()).await.unwrap();
            let to = loops.handle().peer(Configuration::default()).await.unwrap();
            links.push(common::pair(from, to, DataChannelInit::default()).await);
        }
        for link in &mut links {
            for n in 0..20u8 {
                let message = Message::binary(vec![n; 2000]);
                link.channels[0].send(message.clone()).await.unwrap();
                assert_eq!(link.channels[1].recv().await, Some(message.clone()));
                link.channels[1].send(message.clone()).await.unwrap();
                assert_eq!(link.channels[0].recv().await, Some(message));
            }
        }
        for stats in loops.handle().stats().await.unwrap() {
            println!("{} peers, {} connections", stats.peers, stats.streams);
            assert!(stats.peers == 8 && stats.streams >= 8, "{stats:?}");
            assert_eq!(stats.dropped_stream, 0);
        }
        drop(links);
        tokio::task::spawn_blocking(move || loops.join())
            .await
            .unwrap();
    });
}

#[test]
fn shared_ports_come_from_the_range_and_join_nobody_elses() {
    let config = |port: u16| DriverConfig {
        tcp: vec!["127.0.0.1:0".parse().unwrap()],
        ports: Some(port..=port),
        ..common::one_port()
    };
    let port = (20_000..60_000)
        .step_by(11)
        .find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let first = Loops::spawn(config(port), 2, Sharding::SharedPort).unwrap();
    // Sockets that share ports could be bound beside: they would get half of the others' datagrams.
    let error = Loops::spawn(config(port), 2, Sharding::SharedPort).unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    first.join();
    Loops::spawn(config(port), 2, Sharding::SharedPort)
        .unwrap()
        .join();
}
