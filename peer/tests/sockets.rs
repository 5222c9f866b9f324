//! The driver's sockets: what can't be bound, port ranges, ICE over TCP, names by multicast, descriptions that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use tincan_peer::driver::{
    DataChannel, Driver, DriverConfig, DriverError, DriverHandle, Events, Mdns, PeerEvent,
};
use tincan_peer::{Configuration, DataChannelInit, Error, ErrorKind, Message, SessionDescription};
use tokio::time::timeout;

/// For what takes milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

fn start(config: DriverConfig) -> DriverHandle {
    let driver = Driver::bind(config).unwrap();
    let handle = driver.handle();
    tokio::spawn(driver.run());
    handle
}

/// Waits until all TCP connections have ended.
async fn without_streams(handle: &DriverHandle) {
    let ended = async {
        while handle.stats().await.unwrap().streams > 0 {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.expect("connections do not end");
}

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// What two peers need to be kept alive, and a channel between them that works.
struct Call {
    channel: DataChannel,
    theirs: DataChannel,
    offer: SessionDescription,
    answer: SessionDescription,
    _events: [Events; 2],
}

async fn call(from: &DriverHandle, to: &DriverHandle) -> Call {
    let called = async {
        let (alice, mut alice_events) = from.peer(Configuration::default()).await.unwrap();
        let (bob, mut bob_events) = to.peer(Configuration::default()).await.unwrap();
        let init = DataChannelInit::default();
        let mut channel = alice.create_data_channel("chat", init).await.unwrap();
        let offer = alice
            .offer_with_candidates(&mut alice_events)
            .await
            .unwrap();
        bob.set_remote_description(offer.clone()).await.unwrap();
        let answer = bob.answer_with_candidates(&mut bob_events).await.unwrap();
        alice.set_remote_description(answer.clone()).await.unwrap();
        let mut theirs = loop {
            match bob_events.next().await.expect("bob ended") {
                PeerEvent::DataChannel(channel) => break channel,
                _ => continue,
            }
        };
        for n in 0..50usize {
            let message = Message::binary(vec![7; n * 500]);
            channel.send(message.clone()).await.unwrap();
            assert_eq!(theirs.recv().await.unwrap(), message);
            theirs.send(message.clone()).await.unwrap();
            assert_eq!(channel.recv().await.unwrap(), message);
        }
        Call {
            channel,
            theirs,
            offer,
            answer,
            _events: [alice_events, bob_events],
        }
    };
    timeout(PATIENCE, called).await.expect("no call")
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let bind = |udp: Vec<SocketAddr>, tcp: Vec<SocketAddr>| {
        Driver::bind(DriverConfig {
            udp,
            tcp,
            port_per_peer: false,
            ..DriverConfig::loopback()
        })
    };
    let error = bind(vec![addr], vec![]).unwrap_err();
    assert!(matches!(error, DriverError::PortInUse { addr: at, .. } if at == addr));
    assert!(error.to_string().contains("port is in use"), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let error = bind(vec![], vec![addr]).unwrap_err();
    let is_tcp = matches!(
        error,
        DriverError::PortInUse {
            transport: "TCP",
            ..
        }
    );
    assert!(is_tcp, "{error}");
    // RFC 5737: an address that this machine does not have.
    let error = bind(vec!["192.0.2.1:0".parse().unwrap()], vec![]).unwrap_err();
    assert!(matches!(error, DriverError::Bind { .. }), "{error}");
    assert!(matches!(bind(vec![], vec![]), Err(DriverError::NoSocket)));
}

#[tokio::test]
async fn ports_come_from_the_range_until_it_is_used_up() {
    // Three ports in a row that are free now.
    let start_port = (20_000..60_000)
        .step_by(7)
        .find(|port| {
            let bound: Vec<_> = (*port..port + 3)
                .filter_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok())
                .collect();
            bound.len() == 3
        })
        .unwrap();
    let ports = start_port..=start_port + 2;
    let handle = start(DriverConfig {
        ports: Some(ports.clone()),
        ..DriverConfig::loopback()
    });
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(handle.peer(Configuration::default()).await.unwrap());
    }
    let (peer, events) = &mut peers[0];
    let _channel = peer.create_data_channel("a", DataChannelInit::default());
    let _channel = _channel.await.unwrap();
    let offer = peer.offer_with_candidates(events).await.unwrap();
    let told = offer.sdp.lines().find(|line| line.contains("typ host"));
    let port: u16 = told.unwrap().split(' ').nth(5).unwrap().parse().unwrap();
    assert!(ports.contains(&port), "{port}");
    let error = handle.peer(Configuration::default()).await.unwrap_err();
    assert!(matches!(error, DriverError::NoFreePort { .. }), "{error}");
    // The others are there as before, and a port that is given back is taken again.
    peers.pop();
    loop {
        match handle.peer(Configuration::default()).await {
            Ok(_) => break,
            Err(DriverError::NoFreePort { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_description_that_is_none_is_refused_and_nothing_else_happens() {
    let handle = start(DriverConfig::loopback());
    let mut call = call(&handle, &handle).await;
    let (peer, _events) = handle.peer(Configuration::default()).await.unwrap();
    for text in ["", "hello", "{\"type\":\"offer\"}", "v=0\r\nnonsense"] {
        let refused = peer
            .set_remote_description(SessionDescription::offer(text))
            .await
            .unwrap_err();
        let DriverError::Connection(error) = refused else {
            panic!("{refused}");
        };
        let syntax = matches!(error, Error::SdpSyntax { .. });
        assert!(
            syntax || error.kind() == ErrorKind::InvalidAccess,
            "{text:?}: {error}"
        );
    }
    // Nor with a good one in a state that does not want it.
    let answer = peer.set_remote_description(call.answer.clone()).await;
    let DriverError::Connection(error) = answer.unwrap_err() else {
        panic!("not the connection's error");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    peer.set_remote_description(call.offer.clone())
        .await
        .unwrap();
    call.channel
        .send(Message::text("still here"))
        .await
        .unwrap();
    let message = call.theirs.recv().await.unwrap();
    assert_eq!(message.as_text(), Some("still here"));
}

fn tcp_only() -> DriverConfig {
    DriverConfig {
        udp: vec![],
        tcp: vec![localhost()],
        port_per_peer: false,
        ..DriverConfig::loopback()
    }
}

#[tokio::test]
async fn peers_without_udp_connect_over_one_tcp_port() {
    let (one, other) = (start(tcp_only()), start(tcp_only()));
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(call(&one, &other).await);
    }
    assert!(calls[0].offer.sdp.contains("tcptype passive"));
    assert!(calls[0].offer.sdp.contains("tcptype active"));
    assert!(
        !calls[0].offer.sdp.contains(" udp "),
        "{}",
        calls[0].offer.sdp
    );
    let stats = one.stats().await.unwrap();
    assert!(stats.streams >= 5 && stats.dropped_stream == 0, "{stats:?}");
    // Connections end with their peers.
    drop(calls);
    for handle in [&one, &other] {
        without_streams(handle).await;
    }
}

#[tokio::test]
async fn strangers_on_the_tcp_port_are_turned_away() {
    let driver = Driver::bind(tcp_only()).unwrap();
    let addrs = driver.local_addresses();
    let addr = *addrs.iter().find(|addr| addr.port() != 9).unwrap();
    let handle = driver.handle();
    tokio::spawn(driver.run());
    let mut hello = vec![0, 28, 0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    hello.extend([7; 12]);
    hello.extend([0, 6, 0, 3, b'x', b':', b'y', 0]);
    // Another protocol, a length beyond every check, a message that is no check, a check for nobody.
    let greetings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff, 0xff, 0, 1],
        &[0, 4, 22, 1, 2, 3],
        &hello,
    ];
    for greeting in greetings {
        let greeting = greeting.to_vec();
        let closed = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&greeting).unwrap();
            let mut buffer = [0; 16];
            // Closed or reset: either way nothing is said.
            match stream.read(&mut buffer) {
                Ok(read) => read == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        });
        assert!(closed.await.unwrap());
    }
    let other = start(tcp_only());
    call(&other, &handle).await;
    assert_eq!(handle.stats().await.unwrap().unrouted, 1);
}

#[tokio::test]
async fn a_broken_tcp_connection_is_noticed() {
    let one = start(tcp_only());
    let driver = Driver::bind(tcp_only()).unwrap();
    let other = driver.handle();
    let running = tokio::spawn(driver.run());
    let call = call(&one, &other).await;
    // The far loop ends without a word to its peers.
    running.abort();
    without_streams(&one).await;
    drop(call);
}

#[tokio::test]
async fn hidden_addresses_are_found_by_their_names() {
    let hidden = || DriverConfig {
        mdns: Mdns::Hide,
        ..DriverConfig::loopback()
    };
    let bound = Driver::bind(hidden());
    let Ok(driver) = bound else {
        println!("skipped: no multicast here: {:?}", bound.err());
        return;
    };
    let one = driver.handle();
    tokio::spawn(driver.run());
    let other = start(DriverConfig {
        mdns: Mdns::Resolve,
        ..DriverConfig::loopback()
    });
    let call = call(&one, &other).await;
    let offer = &call.offer.sdp;
    assert!(offer.contains(".local "), "{offer}");
    assert!(!offer.contains("127.0.0.1 "), "{offer}");
}

#[tokio::test]
async fn two_of_one_driver_resolve_each_other() {
    let bound = Driver::bind(DriverConfig {
        mdns: Mdns::Hide,
        ..DriverConfig::loopback()
    });
    let Ok(driver) = bound else {
        println!("skipped: no multicast here: {:?}", bound.err());
        return;
    };
    let handle = driver.handle();
    tokio::spawn(driver.run());
    let call = call(&handle, &handle).await;
    assert!(call.offer.sdp.contains(".local "));
    assert!(call.answer.sdp.contains(".local "));
}

#[tokio::test]
async fn everywhere_means_both_families() {
    let handle = start(DriverConfig::everywhere(0));
    let (peer, mut events) = handle.peer(Configuration::default()).await.unwrap();
    let channel = peer.create_data_channel("a", DataChannelInit::default());
    let _channel = channel.await.unwrap();
    let offer = peer.offer_with_candidates(&mut events).await.unwrap();
    assert!(offer.sdp.contains(" 127.0.0.1 "), "{}", offer.sdp);
    let v6 = UdpSocket::bind("[::1]:0").is_ok();
    assert_eq!(offer.sdp.contains(" ::1 "), v6, "{}", offer.sdp);
}
