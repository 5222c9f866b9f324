//! RTCP: whatever the octets, every view can be walked to its end, and counts are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tincan_rtp::SequenceNumber;
use tincan_rtp::rtcp::{Compound, ExtendedBlock, Packet};
use tincan_rtp::send::TransportLog;

fuzz_target!(|bytes: &[u8]| {
    let Ok(compound) = Compound::parse(bytes) else {
        return;
    };
    let _ = compound.check_compound();
    let mut log = TransportLog::new(SequenceNumber(0));
    let now = std::time::Instant::now();
    for _ in 0..100 {
        log.next(now, 1000);
    }
    let mut results = Vec::new();
    for packet in compound.packets().flatten() {
        match packet {
            Packet::SenderReport(r) => assert!(r.blocks().count() <= 31),
            Packet::ReceiverReport(r) => assert!(r.blocks().count() <= 31),
            Packet::SourceDescription(s) => {
                s.chunks().flat_map(|c| c.items()).for_each(|i| {
                    let _ = i.text();
                });
            }
            Packet::Goodbye(b) => assert!(b.sources().count() <= 31),
            Packet::Nack(n) => assert!(n.sequences().count() <= bytes.len() * 17),
            Packet::BitrateRequest(l) | Packet::BitrateNotification(l) => {
                l.limits().for_each(drop);
            }
            Packet::CongestionFeedback(f) => {
                f.streams().flat_map(|s| s.metrics()).for_each(drop);
            }
            Packet::TransportFeedback(f) => {
                assert_eq!(f.statuses().count(), usize::from(f.status_count));
                log.on_feedback(&f, &mut results);
                assert!(log.in_flight() <= 100_000);
            }
            Packet::SliceLoss(s) => s.slices().for_each(drop),
            Packet::FullIntraRequest(f) => f.entries().for_each(drop),
            Packet::ReceiverEstimate(r) => r.ssrcs().for_each(drop),
            Packet::ExtendedReport(x) => {
                for block in x.blocks().flatten() {
                    match block {
                        ExtendedBlock::LossRle(b) | ExtendedBlock::DuplicateRle(b) => {
                            b.chunks().for_each(drop);
                        }
                        ExtendedBlock::ReceiptTimes(t) => t.times().for_each(drop),
                        ExtendedBlock::Dlrr(d) => d.entries().for_each(drop),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
});
