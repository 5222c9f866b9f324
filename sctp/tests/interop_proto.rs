//! sctp-proto as the independent other end, in both roles.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sctp_proto::PayloadProtocolIdentifier as Ppid;
use support::mixed::Mixed;
use support::proto::Proto;
use support::{Path, config, pattern};
use tincan_sctp::data_channel::{ChannelConfig, Endpoint, Event, Message, Role};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn mixed(seed: u64, we_connect: bool, they_connect: bool, loss: u32) -> Mixed {
    println!("seed {seed}, we connect: {we_connect}, they connect: {they_connect}");
    let now = Instant::now();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut ours = Endpoint::new(config(Role::Client), now, &mut rng);
    let theirs = if they_connect {
        Proto::client(now)
    } else {
        Proto::server()
    };
    if we_connect {
        ours.connect(now);
    }
    let mut to_ours = Path::new(10 * MS);
    let mut to_theirs = Path::new(10 * MS);
    to_ours.loss = loss;
    to_theirs.loss = loss;
    let events = VecDeque::new();
    let mut mixed = Mixed {
        now,
        ours,
        theirs,
        to_ours,
        to_theirs,
        rng,
        events,
    };
    mixed.run(60 * SECOND, |m| m.ours.is_connected() && m.theirs.connected);
    assert!(
        mixed.ours.is_connected() && mixed.theirs.connected,
        "no connection"
    );
    mixed
}

#[test]
fn talks_with_sctp_proto_in_both_roles() {
    for (seed, we, they, loss) in [
        (1, true, false, 0),
        (2, false, true, 0),
        (4, true, false, 30),
        (5, false, true, 30),
    ] {
        let mut m = mixed(seed, we, they, loss);
        let config = ChannelConfig {
            label: "x".into(),
            ..ChannelConfig::default()
        };
        let id = m.ours.open(m.now, config).unwrap();
        let sizes = [1, 100, 1_200, 3_000, 60_000];
        let sent: Vec<_> = (0..20).map(|i| pattern(sizes[i % 5], i as u64)).collect();
        for data in &sent {
            m.ours
                .send(m.now, id, Message::Binary(data.clone()))
                .unwrap();
        }
        m.run(120 * SECOND, |m| m.theirs.messages.len() > sent.len());
        let (stream, ppid, open) = m.theirs.messages.pop_front().expect("the OPEN message");
        assert_eq!((stream, ppid, open[0]), (0, 50, 3));
        m.theirs.send(0, Ppid::Dcep, Bytes::from_static(&[2]));
        let got: Vec<_> = m
            .theirs
            .messages
            .drain(..)
            .map(|(_, _, data)| data)
            .collect();
        assert!(got == sent, "{} of {} arrived", got.len(), sent.len());

        for data in &sent {
            m.theirs.send(0, Ppid::Binary, data.clone());
        }
        m.run(120 * SECOND, |m| {
            m.events
                .iter()
                .filter(|e| matches!(e, Event::Message { .. }))
                .count()
                == sent.len()
        });
        let got: Vec<_> = m
            .events
            .iter()
            .filter_map(|e| match e {
                Event::Message { data, .. } => Some(data.to_vec()),
                _ => None,
            })
            .collect();
        assert!(got == sent, "{} of {} came back", got.len(), sent.len());
    }
}

#[test]
fn shuts_down_with_sctp_proto() {
    let mut m = mixed(9, true, false, 0);
    m.ours.close(m.now);
    m.run(10 * SECOND, |m| {
        matches!(m.events.back(), Some(Event::Closed { .. }))
    });
    assert!(matches!(
        m.events.back(),
        Some(Event::Closed {
            reason: tincan_sctp::CloseReason::Shutdown
        })
    ));
}
