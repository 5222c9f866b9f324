//! Protecting and unprotecting, alone. `compare -- srtp` has bare primitives and peers beside.
#![allow(missing_docs)] // criterion's macros make public items without documentation

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tincan_srtp::{Contexts, Profile, Receiver, Sender};

const PACKETS: u16 = 128;

/// Bytes behind each packet for what protection adds.
const ROOM: usize = 32;

fn contexts(profile: Profile) -> Option<(Sender, Receiver)> {
    let material = vec![7; profile.exporter_len()];
    let (sender, _) = Contexts::from_dtls_exporter(profile, &material, true).ok()?;
    let (_, receiver) = Contexts::from_dtls_exporter(profile, &material, false).ok()?;
    Some((sender, receiver))
}

fn packets(len: usize) -> Vec<Vec<u8>> {
    (0..PACKETS)
        .map(|sequence| {
            let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet.resize(len, 0x5a);
            packet.resize(len + ROOM, 0);
            packet
        })
        .collect()
}

fn srtp(criterion: &mut Criterion) {
    for profile in Profile::ALL {
        for len in [160, 1200] {
            let name = format!("srtp/{}/{len}", profile.sdes_name());
            let mut group = criterion.benchmark_group(name);
            group.throughput(Throughput::Bytes(u64::from(PACKETS) * len as u64));
            let plain = packets(len);
            group.bench_function("protect", |b| {
                b.iter_batched_ref(
                    || (contexts(profile), plain.clone()),
                    |(contexts, packets)| {
                        if let Some((sender, _)) = contexts {
                            for packet in packets {
                                assert!(sender.protect_rtp_in(packet, len).is_ok());
                            }
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
            let mut protected = plain.clone();
            if let Some((mut sender, _)) = contexts(profile) {
                for packet in &mut protected {
                    let end = sender.protect_rtp_in(packet, len);
                    packet.truncate(end.unwrap_or(0));
                }
            }
            group.bench_function("unprotect", |b| {
                b.iter_batched_ref(
                    || (contexts(profile), protected.clone()),
                    |(contexts, packets)| {
                        if let Some((_, receiver)) = contexts {
                            for packet in packets {
                                assert!(receiver.unprotect_rtp(packet).is_ok());
                            }
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

criterion_group!(benches, srtp);
criterion_main!(benches);
