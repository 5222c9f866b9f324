//! Nothing is allocated for a packet of a stream that is known.

mod support;

use support::{pair, rtcp, rtp};
use tincan_srtp::{Destination, Profile, Slot, forward_rtp};

#[test]
fn a_packet_allocates_nothing() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut out = Vec::with_capacity(2000);
        let mut report = Vec::with_capacity(2000);
        let mut one_way = |sequence: u16| {
            out.clear();
            out.extend_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
            out[2..4].copy_from_slice(&sequence.to_be_bytes());
            out.resize(1200, 7);
            sender.protect_rtp(&mut out, 0).unwrap();
            receiver.unprotect_rtp(&mut out).unwrap();
            report.clear();
            report.extend_from_slice(&[0x80, 200, 0, 1, 0, 0, 0, 1]);
            sender.protect_rtcp(&mut report, 0).unwrap();
            receiver.unprotect_rtcp(&mut report).unwrap();
        };
        one_way(0);
        let heap = allocation_counter::measure(|| (1..1000).for_each(&mut one_way));
        assert_eq!(heap.count_total, 0, "{profile:?}");
    }
}

#[test]
fn batches_and_forwarding_allocate_nothing() {
    for profile in Profile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let (mut other, _) = pair(profile);
        let mut buffers: Vec<Vec<u8>> = (0..8).map(|n| rtp(1, n, &[7; 300])).collect();
        for buffer in &mut buffers {
            buffer.resize(400, 0);
        }
        let plain = buffers.clone();
        let packet = rtp(1, 100, &[7; 300]);
        let mut outs = [Vec::with_capacity(2000), Vec::with_capacity(2000)];
        let mut third = pair(profile).0;
        // The first packets make the streams.
        protect_one(&mut sender, 60_000);
        protect_one(&mut other, 60_000);
        protect_one(&mut third, 60_000);
        let mut first = rtp(1, 65_000, &[]);
        sender.protect_rtp(&mut first, 0).unwrap();
        receiver.unprotect_rtp(&mut first).unwrap();
        let heap = allocation_counter::measure(|| {
            let mut slots = buffers.each_mut_slots();
            assert_eq!(sender.protect_rtp_batch(&mut slots), 8);
            let [a, b] = &mut outs;
            let mut copies = [
                Destination::new(&mut other, a),
                Destination::new(&mut third, b),
            ];
            assert_eq!(forward_rtp(&packet, &mut copies), 2);
        });
        assert_eq!(heap.count_total, 0, "{profile:?}");
        assert_ne!(buffers, plain);
        let _ = rtcp(1);
    }
}

fn protect_one(sender: &mut tincan_srtp::Sender, sequence: u16) {
    let mut packet = rtp(1, sequence, &[]);
    let _ = sender.protect_rtp(&mut packet, 0);
}

/// Slots without a `Vec` of them.
trait Slots {
    fn each_mut_slots(&mut self) -> [Slot<'_, tincan_srtp::ProtectError>; 8];
}

impl Slots for Vec<Vec<u8>> {
    fn each_mut_slots(&mut self) -> [Slot<'_, tincan_srtp::ProtectError>; 8] {
        let mut buffers = self.iter_mut();
        std::array::from_fn(|_| match buffers.next() {
            Some(buffer) => Slot::new(buffer, 312),
            None => Slot::new(&mut [], 0),
        })
    }
}
