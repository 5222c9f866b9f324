//! The same script with sctp-proto as the other end, on a path that drops and reorders: what one
//! accepts for sending the other delivers, in order, octet for octet.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sctp_proto::PayloadProtocolIdentifier;
use tincan_sctp::data_channel::{ChannelConfig, Config, Endpoint, Event, Message, Role};

#[path = "../../sctp/tests/support/proto.rs"]
#[allow(dead_code, unreachable_pub)]
mod proto;

use proto::Proto;

#[derive(Arbitrary, Debug)]
struct Input {
    we_connect: bool,
    ours: Vec<u16>,
    theirs: Vec<u16>,
    /// Of each packet: lost or late.
    fates: Vec<(bool, bool)>,
}

fuzz_target!(|input: Input| {
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut config = Config {
        role: Role::Client,
        ..Config::default()
    };
    config.association.max_retransmissions = None;
    config.association.max_init_retransmissions = None;
    let mut ours = Endpoint::new(config, now, &mut rng);
    let mut theirs = if input.we_connect {
        ours.connect(now);
        Proto::server()
    } else {
        Proto::client(now)
    };
    let mut fates = input.fates.into_iter().take(120);
    // Theirs gives up after eight losses of the same, and without a word where that is INIT, whatever comes between.
    let mut lost_in_a_row = 0;
    let Ok(id) = ours.open(now, ChannelConfig::default()) else {
        return;
    };
    let mut sent = Vec::new();
    for (index, len) in input.ours.iter().take(12).enumerate() {
        let data = Bytes::from(vec![index as u8; usize::from(*len).max(1)]);
        if ours.send(now, id, Message::Binary(data.clone())).is_ok() {
            sent.push(data.to_vec());
        }
    }
    let mut expected = Vec::new();
    let (mut opened, mut answered) = (false, false);
    let mut got = Vec::new();
    let mut got_by_them: Vec<Vec<u8>> = Vec::new();
    let mut out = Vec::new();
    let (mut to_us, mut to_them): (Vec<Bytes>, Vec<Bytes>) = (Vec::new(), Vec::new());
    for _ in 0..4_000 {
        let mut quiet = true;
        while ours.poll_transmit(now, &mut out).is_some() {
            quiet = false;
            to_them.push(Bytes::from(std::mem::take(&mut out)));
        }
        while let Some(packet) = theirs.poll_transmit(now) {
            quiet = false;
            to_us.push(packet);
        }
        now += Duration::from_millis(5);
        let connected = theirs.connected;
        for wire in [&mut to_us, &mut to_them] {
            let mut late = Vec::new();
            wire.retain(|packet| match fates.next().unwrap_or_default() {
                (true, _) if lost_in_a_row < 5 => {
                    lost_in_a_row += 1;
                    false
                }
                (_, true) => {
                    late.push(packet.clone());
                    false
                }
                _ => {
                    if connected {
                        lost_in_a_row = 0;
                    }
                    true
                }
            });
            wire.extend(late);
        }
        to_them
            .drain(..)
            .for_each(|packet| theirs.handle_input(now, packet));
        to_us
            .drain(..)
            .for_each(|packet| ours.handle_input(now, packet));
        while let Some((_, ppid, data)) = theirs.messages.pop_front() {
            if ppid == 50 {
                opened = true;
            } else {
                got_by_them.push(data);
            }
        }
        // Theirs delivers before COOKIE ACK has come, and uses a stream sequence number up with each refused try to send
        // before it.
        if opened && theirs.connected && !answered {
            answered = true;
            theirs.send(0, PayloadProtocolIdentifier::Dcep, Bytes::from_static(&[2]));
            for (index, len) in input.theirs.iter().take(12).enumerate() {
                let data = Bytes::from(vec![index as u8; usize::from(*len).max(1)]);
                theirs.send(0, PayloadProtocolIdentifier::Binary, data.clone());
                expected.push(data.to_vec());
            }
        }
        while let Some(event) = ours.poll_event() {
            match event {
                Event::Message { data, .. } => got.push(data.to_vec()),
                Event::Closed { reason } => panic!("closed: {reason}"),
                _ => {}
            }
        }
        // Theirs gives INIT up after some losses: not what is looked for here.
        if theirs.lost || (answered && got.len() == expected.len() && got_by_them == sent) {
            break;
        }
        let next = [ours.poll_timeout(), theirs.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        // What was answered is sent before the next timer: a minute later, a cookie would be stale.
        if let Some(next) = next.filter(|at| quiet && *at > now) {
            now = next;
        }
        ours.handle_timeout(now);
        theirs.handle_timeout(now);
    }
    if !theirs.lost {
        assert!(got == expected, "{} of {}", got.len(), expected.len());
        assert!(
            got_by_them == sent,
            "{} of {}",
            got_by_them.len(),
            sent.len()
        );
    }
});
