//! Two endpoints, and a path that drops, repeats, reorders and corrupts as the input says. What
//! is sent on reliable channels arrives whole and in order once the path behaves; it always ends.
#![no_main]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_sctp::data_channel::{ChannelConfig, Config, Endpoint, Event, Message, Role};

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Fate {
    Deliver,
    Drop,
    Twice,
    Late,
    Corrupt(u16),
}

#[derive(Arbitrary, Debug)]
struct Input {
    interleaving: (bool, bool),
    both_connect: bool,
    messages: Vec<(bool, u16)>,
    fates: Vec<Fate>,
}

fuzz_target!(|input: Input| {
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut end = |role, interleaving| {
        let mut config = Config {
            role,
            ..Config::default()
        };
        config.association.interleaving = interleaving;
        // Corruption is found by the checksum.
        config.association.zero_checksum = false;
        config.association.max_retransmissions = None;
        config.association.max_init_retransmissions = None;
        Endpoint::new(config, now, &mut rng)
    };
    let mut ends = [
        end(Role::Client, input.interleaving.0),
        end(Role::Server, input.interleaving.1),
    ];
    ends[0].connect(now);
    if input.both_connect {
        ends[1].connect(now);
    }
    let mut channel = [0; 2].map(|_: i32| None);
    for (side, end) in ends.iter_mut().enumerate() {
        channel[side] = end.open(now, ChannelConfig::default()).ok();
    }
    let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
    for (index, (side, len)) in input.messages.iter().take(30).enumerate() {
        let side = usize::from(*side);
        let data = vec![index as u8; usize::from(*len)];
        if let Some(id) = channel[side]
            && ends[side]
                .send(now, id, Message::Binary(data.clone().into()))
                .is_ok()
        {
            sent[side].push(data);
        }
    }
    let mut got: [Vec<Vec<u8>>; 2] = Default::default();
    let mut wires: [VecDeque<Bytes>; 2] = Default::default();
    let mut fates = input.fates.into_iter().take(500);
    let mut out = Vec::new();
    for _ in 0..3_000 {
        let mut quiet = true;
        for side in 0..2 {
            while ends[side].poll_transmit(now, &mut out).is_some() {
                quiet = false;
                let packet = Bytes::from(std::mem::take(&mut out));
                let wire = &mut wires[side];
                match fates.next().unwrap_or(Fate::Deliver) {
                    Fate::Deliver => wire.push_back(packet),
                    Fate::Drop => {}
                    Fate::Twice => wire.extend([packet.clone(), packet]),
                    Fate::Late => wire.push_front(packet),
                    Fate::Corrupt(at) => {
                        let mut bytes = packet.to_vec();
                        let at = usize::from(at) % bytes.len();
                        bytes[at] ^= 0x11;
                        wire.push_back(bytes.into());
                    }
                }
            }
        }
        now += Duration::from_millis(10);
        for side in 0..2 {
            while let Some(packet) = wires[side].pop_front() {
                ends[1 - side].handle_input(now, packet);
            }
            while let Some(event) = ends[side].poll_event() {
                match event {
                    Event::Message { data, .. } => got[1 - side].push(data.to_vec()),
                    Event::Closed { reason } => panic!("closed: {reason}"),
                    _ => {}
                }
            }
        }
        if got.iter().zip(&sent).all(|(g, s)| g.len() == s.len())
            && ends.iter().all(|e| e.stats().bytes_in_flight == 0)
        {
            break;
        }
        // Nothing on its way: the next timer. (What is on its way may not take a minute, or the cookie is stale.)
        let next = ends.iter().filter_map(Endpoint::poll_timeout).min();
        let next = next.filter(|_| quiet);
        if let Some(next) = next.filter(|at| *at > now) {
            now = next;
        }
        for end in &mut ends {
            end.handle_timeout(now);
            assert!(
                end.poll_timeout().is_none_or(|at| at > now),
                "a stuck timer"
            );
        }
    }
    assert!(
        got == sent,
        "{:?} of {:?}",
        got.map(|g| g.len()),
        sent.map(|s| s.len())
    );
});
