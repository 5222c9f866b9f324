#![no_main]
//! A connected pair whose datagrams are dropped, doubled, changed and made up as the input says: no panic, no timer that
//! stands still, bounded queues, and `close` always ends it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::{
    Certificate, Configuration, DataChannelInit, HostProtocol, Kind, LocalAddress, Message,
    PeerConnection, Received, RtpPacket,
};

/// What happens to the next datagram, or a call.
#[derive(arbitrary::Arbitrary, Debug)]
enum Act {
    Deliver,
    Drop,
    Double,
    Change { at: u16, to: u8 },
    MakeUp(Vec<u8>),
    Wait(u16),
    Text(u8),
    Media(u8),
    KeyFrame,
    Close(bool),
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5000))
}

fuzz_target!(|acts: Vec<Act>| {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE
        .get_or_init(|| Certificate::generate(std::time::UNIX_EPOCH).expect("a certificate"));
    let mut now = Instant::now();
    let mut rng = StdRng::seed_from_u64(1);
    let mut ends = [0, 1].map(|n| {
        let config = Configuration {
            certificates: vec![certificate.clone()],
            ..Default::default()
        };
        let mut pc = PeerConnection::new(config, now, &mut rng).expect("a peer");
        pc.add_local_address(
            now,
            LocalAddress {
                addr: address(n),
                transport: HostProtocol::Udp,
            },
        );
        pc
    });
    let [a, b] = &mut ends;
    let channel = a
        .create_data_channel(now, "x", DataChannelInit::default())
        .expect("a channel");
    let video = a
        .add_transceiver(Kind::Video, Default::default())
        .expect("a transceiver");
    a.set_local_description(now, None).expect("an offer");
    b.set_remote_description(now, a.local_description().expect("an offer"))
        .expect("taken");
    b.set_local_description(now, None).expect("an answer");
    a.set_remote_description(now, b.local_description().expect("an answer"))
        .expect("taken");
    let mut wires = [VecDeque::<Vec<u8>>::new(), VecDeque::new()];
    let mut acts = acts.into_iter();
    let mut out = Vec::new();
    for step in 0..600usize {
        let n = step % 2;
        if ends[n].poll_timeout().is_some_and(|t| t <= now) {
            ends[n].handle_timeout(now);
        }
        let mut sent = 0;
        while let Some(t) = ends[n].poll_transmit(now, &mut out, 4) {
            for datagram in out.chunks(t.segment_size.unwrap_or(t.len)) {
                wires[1 - n].push_back(datagram.to_vec());
            }
            out.clear();
            sent += 1;
            assert!(sent < 20_000, "transmits without end");
        }
        while ends[n].poll_event().is_some() {}
        let received = Received {
            local: address(n),
            remote: address(1 - n),
            transport: Default::default(),
            ecn: Default::default(),
        };
        let give = |pc: &mut PeerConnection, bytes: &[u8]| {
            pc.handle_input(now, received, BytesMut::from(bytes))
        };
        let act = acts.next().unwrap_or(Act::Deliver);
        match act {
            Act::Drop => drop(wires[n].pop_front()),
            Act::Double => {
                if let Some(bytes) = wires[n].pop_front() {
                    give(&mut ends[n], &bytes);
                    give(&mut ends[n], &bytes);
                }
            }
            Act::Change { at, to } => {
                if let Some(mut bytes) = wires[n].pop_front() {
                    let at = usize::from(at) % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = to;
                    }
                    give(&mut ends[n], &bytes);
                }
            }
            Act::MakeUp(bytes) => give(&mut ends[n], &bytes),
            Act::Wait(milliseconds) => now += Duration::from_millis(u64::from(milliseconds)),
            Act::Text(len) => drop(ends[0].send(
                now,
                channel,
                Message::binary(vec![1; usize::from(len) * 64]),
            )),
            Act::Media(len) => {
                let packet = RtpPacket::new(
                    96,
                    step as u16,
                    step as u32,
                    true,
                    vec![2; usize::from(len)],
                );
                drop(ends[0].send_rtp(now, video, packet));
            }
            Act::KeyFrame => {
                let theirs = ends[1].transceivers().next().map(|t| t.id);
                drop(theirs.map(|id| ends[1].request_key_frame(now, id)));
            }
            Act::Close(second) => ends[usize::from(second)].close(now),
            Act::Deliver => {
                while let Some(bytes) = wires[n].pop_front() {
                    give(&mut ends[n], &bytes);
                }
            }
        }
        now += Duration::from_millis(1);
    }
    for end in &mut ends {
        end.close(now);
        let mut sent = 0;
        while end.poll_transmit(now, &mut out, 4).is_some() {
            out.clear();
            sent += 1;
            assert!(sent < 100, "a closed peer goes on");
        }
        assert_eq!(end.poll_timeout(), None);
    }
});
