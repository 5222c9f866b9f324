//! Batches and forwarding do what single calls do.

mod support;

use proptest::prelude::*;
use support::{key, pair, pair_with, protected, rtp};
use tincan_srtp::{
    Config, Cryptex, Destination, Profile, ProtectError, Receiver, Sender, Slot, UnprotectError,
    forward_rtp,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Packets of few streams and few sequence numbers, so that they repeat, some of them broken:
    /// whatever a call a packet gives, a batch gives.
    #[test]
    fn a_batch_is_as_many_calls(
        profile in prop::sample::select(Profile::ALL.to_vec()),
        rated: bool,
        packets in prop::collection::vec(
            (0u32..3, prop::sample::select(vec![0u16, 1, 2, 3, 32_767, 32_768, 40_000, 65_534, 65_535]),
             0usize..300, prop::option::weighted(0.1, any::<prop::sample::Index>())),
            0..30,
        ),
    ) {
        let rate = rated.then_some(1);
        let config = Config::new().key_derivation_rate(rate).unwrap().cryptex(Cryptex::Use);
        let (mut single, mut single_receiver) = pair_with(profile, &config);
        let (mut batched, mut batched_receiver) = pair_with(profile, &config);
        let mut expected = Vec::new();
        let mut buffers = Vec::new();
        for (ssrc, sequence, len, _) in &packets {
            let plain = rtp(*ssrc, *sequence, &vec![0x5a; *len]);
            let mut packet = plain.clone();
            expected.push(single.protect_rtp(&mut packet, 0).map(|()| packet));
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + batched.rtp_overhead(), 0);
            buffers.push((buffer, plain.len()));
        }
        let mut slots: Vec<_> = buffers.iter_mut().map(|(b, len)| Slot::new(b, *len)).collect();
        let done = batched.protect_rtp_batch(&mut slots);
        prop_assert_eq!(done, expected.iter().filter(|e| e.is_ok()).count());
        for (slot, expected) in slots.iter().zip(&expected) {
            match expected {
                Ok(packet) => prop_assert_eq!(slot.packet(), Some(&packet[..])),
                Err(error) => prop_assert_eq!(slot.result(), Some(Err(*error))),
            }
        }
        prop_assert_eq!(batched.stats(), single.stats());

        // On the way back: every packet that was sent, twice, some damaged.
        let mut received = Vec::new();
        for ((_, _, _, damage), packet) in packets.iter().zip(&expected) {
            if let Ok(packet) = packet {
                let mut packet = packet.clone();
                if let Some(at) = damage {
                    let at = at.index(packet.len());
                    packet[at] ^= 1;
                }
                received.extend([packet.clone(), packet]);
            }
        }
        let mut one_by_one = received.clone();
        let expected: Vec<_> = one_by_one
            .iter_mut()
            .map(|packet| single_receiver.unprotect_rtp(packet))
            .collect();
        let mut slots: Vec<_> = received
            .iter_mut()
            .map(|packet| {
                let len = packet.len();
                Slot::new(&mut packet[..], len)
            })
            .collect();
        batched_receiver.unprotect_rtp_batch(&mut slots);
        for ((slot, expected), packet) in slots.iter().zip(&expected).zip(&one_by_one) {
            prop_assert_eq!(slot.result(), Some(*expected));
            if let Ok(len) = expected {
                prop_assert_eq!(slot.packet(), Some(&packet[..*len]));
            }
        }
        prop_assert_eq!(batched_receiver.stats(), single_receiver.stats());
    }

    #[test]
    fn forwarding_is_as_many_rewritten_copies(
        profile in prop::sample::select(Profile::ALL.to_vec()),
        copies in 0usize..9,
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let packet = rtp(1, 10, &payload);
        let sender = |n: usize| Sender::new(&key(profile, n as u8)).unwrap();
        let mut senders: Vec<_> = (0..copies).map(sender).collect();
        let mut outs: Vec<Vec<u8>> = (0..copies).map(|n| vec![0xee; n]).collect();
        let mut destinations: Vec<_> = senders
            .iter_mut()
            .zip(&mut outs)
            .enumerate()
            .map(|(n, (sender, out))| {
                Destination::new(sender, out)
                    .ssrc(100 + n as u32)
                    .sequence_number(500 + n as u16)
                    .timestamp(7)
                    .payload_type(111)
            })
            .collect();
        prop_assert_eq!(forward_rtp(&packet, &mut destinations), copies);
        for (n, destination) in destinations.iter().enumerate() {
            let total = packet.len() + sender(n).rtp_overhead();
            prop_assert_eq!(destination.result(), Some(Ok(total)));
        }
        for (n, out) in outs.iter_mut().enumerate() {
            let mut expected = rtp(100 + n as u32, 500 + n as u16, &payload);
            expected[1] = 111;
            expected[4..8].copy_from_slice(&7u32.to_be_bytes());
            let protected = protected(&mut sender(n), expected.clone());
            prop_assert_eq!(&out[n..], &protected[..]);
            prop_assert!(out[..n].iter().all(|byte| *byte == 0xee));
            let mut receiver = Receiver::new(&key(profile, n as u8)).unwrap();
            prop_assert_eq!(receiver.unprotect_rtp(&mut out[n..]), Ok(expected.len()));
        }
    }
}

#[test]
fn a_copy_that_fails_leaves_its_buffer_as_it_was() {
    let profile = Profile::AesCm128HmacSha1_80;
    let mut first = Sender::new(&key(profile, 1)).unwrap();
    let mut second = Sender::new(&key(profile, 2)).unwrap();
    let packet = rtp(1, 1, b"payload");
    protected(&mut second, packet.clone());
    let (mut out, mut other) = (vec![1, 2, 3], vec![4, 5, 6]);
    let mut destinations = [
        Destination::new(&mut first, &mut out),
        Destination::new(&mut second, &mut other),
    ];
    assert_eq!(forward_rtp(&packet, &mut destinations), 1);
    assert_eq!(
        destinations[1].result(),
        Some(Err(ProtectError::IndexReused))
    );
    assert_eq!(other, [4, 5, 6]);
    assert_eq!(out.len(), 3 + packet.len() + 10);
}

#[test]
fn two_of_the_same_packet_in_a_batch_are_one_packet_and_a_replay() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let packet = protected(&mut sender, rtp(1, 1, b"payload"));
        let (mut one, mut two) = (packet.clone(), packet.clone());
        let len = packet.len();
        let mut slots = [Slot::new(&mut one, len), Slot::new(&mut two, len)];
        assert_eq!(receiver.unprotect_rtp_batch(&mut slots), 1);
        assert!(matches!(slots[0].result(), Some(Ok(_))));
        assert_eq!(slots[1].result(), Some(Err(UnprotectError::Replayed)));
    }
}
