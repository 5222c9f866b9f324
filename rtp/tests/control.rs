//! RTCP: every kind written and read back, lies refused, arbitrary bytes survived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;
use tincan_rtp::rtcp::{
    BitrateLimit, Compound, CongestionMetric, DlrrEntry, Ecn, ExtendedBlock, FullIntraRequestEntry,
    LostSlices, Packet, RawPacket, ReportBlock, RleChunk, SdesKind, SenderInfo, StatisticsSummary,
    VoipMetrics, Writer,
};
use tincan_rtp::{NtpTime, ParseError, SequenceNumber, Ssrc};

const US: Ssrc = Ssrc(0x1111_1111);
const THEM: Ssrc = Ssrc(0x2222_2222);

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}

fn only(bytes: &[u8]) -> Packet<'_> {
    let compound = Compound::parse(bytes).unwrap();
    assert_eq!(compound.raw_packets().count(), 1);
    compound.packets().next().unwrap().unwrap()
}

fn block(n: u32) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(n),
        fraction_lost: 3,
        cumulative_lost: -5,
        highest_sequence: 0x0001_0002,
        jitter: 7,
        last_sender_report: 8,
        delay_since_last_sender_report: 9,
    }
}

#[test]
fn reports_survive_and_go_on_in_another_when_there_are_too_many_blocks() {
    let info = SenderInfo {
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: 1,
        packets: 2,
        octets: 3,
    };
    let out = written(|w| w.sender_report(US, &info, (0..40).map(block)));
    let compound = Compound::parse(&out).unwrap();
    let packets: Vec<_> = compound.packets().map(Result::unwrap).collect();
    let [Packet::SenderReport(sr), Packet::ReceiverReport(rr)] = &packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!((sr.ssrc, sr.info), (US, info));
    let blocks: Vec<_> = sr.blocks().chain(rr.blocks()).collect();
    assert_eq!(sr.blocks().len(), 31);
    assert_eq!(blocks, (0..40).map(block).collect::<Vec<_>>());
    assert!(compound.check_compound().is_err());
}

#[test]
fn a_compound_packet_is_told_from_a_reduced_one() {
    let out = written(|w| {
        w.receiver_report(US, [block(1)]);
        w.source_description(
            US,
            [
                (SdesKind::Cname, &b"me@home"[..]),
                (SdesKind::Mid, b"0"),
                (SdesKind::Unknown(77), &[0xff; 255]),
            ],
        )
        .unwrap();
        w.goodbye(&[US, THEM], b"tired").unwrap();
    });
    let compound = Compound::parse(&out).unwrap();
    assert_eq!(compound.check_compound(), Ok(()));
    let packets: Vec<_> = compound.packets().map(Result::unwrap).collect();
    let [_, Packet::SourceDescription(sdes), Packet::Goodbye(bye)] = &packets[..] else {
        panic!("{packets:?}");
    };
    let chunk = sdes.chunks().next().unwrap();
    assert_eq!(chunk.ssrc, US);
    let items: Vec<_> = chunk.items().collect();
    assert_eq!(items[0].text(), Ok("me@home"));
    assert_eq!(items[1].kind, SdesKind::Mid);
    assert_eq!(items[2].text(), Err(ParseError::Text));
    assert_eq!(items[2].kind, SdesKind::Unknown(77));
    assert_eq!(bye.sources().collect::<Vec<_>>(), [US, THEM]);
    assert_eq!(bye.reason(), b"tired");
}

#[test]
fn sdes_chunks_end_with_a_word_whatever_their_length() {
    for len in 0..9 {
        let name = "x".repeat(len);
        let out = written(|w| {
            w.cname(US, &name).unwrap();
            w.picture_loss(US, THEM);
        });
        let compound = Compound::parse(&out).unwrap();
        let mut packets = compound.packets().map(Result::unwrap);
        let Some(Packet::SourceDescription(sdes)) = packets.next() else {
            panic!();
        };
        let item = sdes.chunks().next().unwrap().items().next().unwrap();
        assert_eq!(item.text(), Ok(&name[..]));
        assert!(matches!(packets.next(), Some(Packet::PictureLoss(_))));
    }
}

#[test]
fn nack_packs_seventeen_into_an_entry() {
    let numbers: Vec<u16> = vec![65_530, 65_531, 10, 11, 27, 100];
    let out = written(|w| w.nack(US, THEM, numbers.iter().copied().map(SequenceNumber)));
    // 65 530 with 65 531 and 10 (sixteen on); 11 with 27; 100.
    assert_eq!(out.len(), 12 + 4 * 3);
    let Packet::Nack(nack) = only(&out) else {
        panic!();
    };
    assert_eq!((nack.sender, nack.media), (US, THEM));
    assert_eq!(nack.sequences().map(|s| s.0).collect::<Vec<_>>(), numbers);
    assert!(written(|w| w.nack(US, THEM, [])).is_empty());
}

/// RFC 5104 §4.3.1.1 and §4.2.1.1, RFC 4585 §6.3, the REMB draft: the layouts, octet for octet.
#[test]
fn feedback_has_the_layouts_of_the_standards() {
    let out = written(|w| {
        w.full_intra_request(
            US,
            [FullIntraRequestEntry {
                ssrc: THEM,
                sequence: 5,
            }],
        );
    });
    let mut want = vec![0x84, 206, 0, 4, 0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0];
    want.extend_from_slice(&[0x22, 0x22, 0x22, 0x22, 5, 0, 0, 0]);
    assert_eq!(out, want);

    let out = written(|w| w.receiver_estimate(US, 1_000_000, &[THEM]).unwrap());
    let mut want = vec![0x8f, 206, 0, 5, 0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0];
    // 1 000 000 = 250 000 · 2².
    want.extend_from_slice(b"REMB\x01\x0b\xd0\x90\x22\x22\x22\x22");
    assert_eq!(out, want);
    let Packet::ReceiverEstimate(remb) = only(&out) else {
        panic!();
    };
    assert_eq!(remb.bits_per_second, 1_000_000);
    assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [THEM]);

    let limit = BitrateLimit {
        ssrc: THEM,
        bits_per_second: 256_000,
        overhead: 40,
    };
    let out = written(|w| w.bitrate_request(US, [limit]));
    // 256 000 = 128 000 · 2¹: exponent 1, mantissa 128 000, overhead 40.
    let word = (1u32 << 26) | (128_000 << 9) | 40;
    assert_eq!(&out[16..], word.to_be_bytes());
    let Packet::BitrateRequest(request) = only(&out) else {
        panic!();
    };
    assert_eq!(request.limits().collect::<Vec<_>>(), [limit]);
    let out = written(|w| w.bitrate_notification(US, [limit]));
    assert!(matches!(only(&out), Packet::BitrateNotification(_)));

    let slices = LostSlices {
        first: 0x1001,
        number: 0x1fff,
        picture_id: 0x2a,
    };
    let out = written(|w| w.slice_loss(US, THEM, [slices]));
    let Packet::SliceLoss(sli) = only(&out) else {
        panic!();
    };
    assert_eq!(sli.slices().collect::<Vec<_>>(), [slices]);

    for len in 1..9usize {
        let bits = vec![0xa5; len];
        let out = written(|w| {
            w.reference_picture_selection(US, THEM, 96, &bits, 3)
                .unwrap();
        });
        let Packet::ReferencePictureSelection(rpsi) = only(&out) else {
            panic!();
        };
        assert_eq!((rpsi.bits, rpsi.unused_bits), (&bits[..], 3));
    }
    let out = written(|w| w.app(3, US, *b"TEST", &[1, 2, 3, 4]).unwrap());
    let Packet::App(app) = only(&out) else {
        panic!();
    };
    assert_eq!(
        (app.subtype, app.name, app.data),
        (3, *b"TEST", &[1, 2, 3, 4][..])
    );
}

#[test]
fn congestion_feedback_keeps_marks_and_times() {
    let metric = |ecn, ms: Option<u64>| {
        Some(CongestionMetric {
            ecn,
            arrival_offset: ms.map(|ms| Duration::from_nanos(ms * 1_000_000_000 / 1024)),
        })
    };
    let first = [metric(Ecn::Ce, Some(0)), None, metric(Ecn::Ect1, Some(100))];
    let second = [metric(Ecn::Ect0, None), metric(Ecn::NotEct, Some(8189))];
    let streams = [
        (US, SequenceNumber(65_535), &first[..]),
        (THEM, SequenceNumber(5), &second[..]),
    ];
    let out = written(|w| {
        w.congestion_feedback(
            US,
            0xdead_beef,
            streams.map(|(s, b, m)| (s, b, m.iter().copied())),
        )
        .unwrap();
    });
    let Packet::CongestionFeedback(feedback) = only(&out) else {
        panic!();
    };
    assert_eq!((feedback.sender, feedback.timestamp), (US, 0xdead_beef));
    let got: Vec<_> = feedback.streams().collect();
    assert_eq!(got.len(), 2);
    for (stream, (ssrc, begin, metrics)) in got.iter().zip(streams) {
        assert_eq!((stream.ssrc, stream.begin), (ssrc, begin));
        let read: Vec<_> = stream.metrics().collect();
        for (i, (sequence, metric)) in read.iter().enumerate() {
            assert_eq!(*sequence, begin.add(i as u16));
            assert_eq!(*metric, metrics[i]);
        }
        assert_eq!(read.len(), metrics.len());
    }
    // Too long ago for the field: arrived, time not told.
    let long = Some(CongestionMetric {
        ecn: Ecn::NotEct,
        arrival_offset: Some(Duration::from_secs(9)),
    });
    let out = written(|w| {
        w.congestion_feedback(US, 0, [(US, SequenceNumber(0), [long])])
            .unwrap();
    });
    let Packet::CongestionFeedback(feedback) = only(&out) else {
        panic!();
    };
    let got = feedback.streams().next().unwrap().metrics().next().unwrap();
    assert_eq!(got.1.unwrap().arrival_offset, None);
}

#[test]
fn extended_reports_keep_every_block() {
    let range = (SequenceNumber(10), SequenceNumber(60));
    let chunks = [
        RleChunk::Run {
            bit: true,
            length: 35,
        },
        RleChunk::Vector(0x5a5a),
        RleChunk::Run {
            bit: false,
            length: 1,
        },
    ];
    let entry = DlrrEntry {
        ssrc: THEM,
        last_receiver_report: 5,
        delay: 6,
    };
    let summary = StatisticsSummary {
        ssrc: THEM,
        begin: range.0,
        end: range.1,
        lost: Some(4),
        duplicates: None,
        jitter: Some([1, 2, 3, 4]),
        ttl: Some([60, 64, 62, 1]),
        hop_limit: true,
    };
    let voip = VoipMetrics {
        ssrc: THEM,
        loss_rate: 1,
        burst_duration: 300,
        signal_level: -20,
        mos_cq: 41,
        jitter_buffer_absolute_maximum: 500,
        ..VoipMetrics::default()
    };
    let out = written(|w| {
        w.extended_report(US, |b| {
            b.loss_rle(THEM, 2, range, chunks);
            b.duplicate_rle(THEM, 0, range, chunks.into_iter().take(2));
            b.receipt_times(THEM, 0, range, [7, 8]);
            b.receiver_reference_time(NtpTime(9));
            b.dlrr([entry, entry]);
            b.statistics_summary(&summary);
            b.voip_metrics(&voip);
            b.block(42, 3, &[1, 2, 3, 4]).unwrap();
            assert!(b.block(42, 3, &[1, 2, 3]).is_err());
        });
    });
    let Packet::ExtendedReport(xr) = only(&out) else {
        panic!();
    };
    let blocks: Vec<_> = xr.blocks().map(Result::unwrap).collect();
    let [
        ExtendedBlock::LossRle(loss),
        ExtendedBlock::DuplicateRle(duplicates),
        ExtendedBlock::ReceiptTimes(times),
        ExtendedBlock::ReceiverReferenceTime(NtpTime(9)),
        ExtendedBlock::Dlrr(dlrr),
        ExtendedBlock::StatisticsSummary(got_summary),
        ExtendedBlock::VoipMetrics(got_voip),
        ExtendedBlock::Unknown {
            block_type: 42,
            type_specific: 3,
            body: [1, 2, 3, 4],
        },
    ] = &blocks[..]
    else {
        panic!("{blocks:?}");
    };
    assert_eq!(loss.chunks().collect::<Vec<_>>(), chunks);
    assert_eq!((loss.thinning, loss.begin, loss.end), (2, range.0, range.1));
    assert_eq!(duplicates.chunks().collect::<Vec<_>>(), &chunks[..2]);
    assert_eq!(times.times().collect::<Vec<_>>(), [7, 8]);
    assert_eq!(dlrr.entries().collect::<Vec<_>>(), [entry, entry]);
    assert_eq!(*got_summary, summary);
    assert_eq!(*got_voip, voip);
}

#[test]
fn unknown_kinds_are_kept_as_they_came() {
    let bytes = [
        0x9f, 206, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, b'A', b'F', b'B', b'!',
    ];
    let Packet::Unknown(raw) = only(&bytes) else {
        panic!();
    };
    let mut out = Vec::new();
    Writer::new(&mut out).raw(&raw);
    assert_eq!(out, bytes);
}

#[test]
fn lies_about_lengths_and_counts_are_refused() {
    let cases: [(&[u8], ParseError); 5] = [
        (&[0x80, 201, 0, 2, 0, 0, 0, 1], ParseError::RtcpLength(2)),
        (&[0x40, 201, 0, 0], ParseError::Version(1)),
        (&[0xa0, 201, 0, 1, 0, 0, 0, 5], ParseError::Padding(5)),
        (&[0xa0, 201, 0, 1, 0, 0, 0, 0], ParseError::Padding(0)),
        // Padding in a packet that is not the last.
        (
            &[0xa0, 201, 0, 1, 0, 0, 0, 4, 0x80, 201, 0, 0],
            ParseError::Padding(4),
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(Compound::parse(bytes).err(), Some(error), "{bytes:?}");
    }
    let bodies: [(&[u8], ParseError); 6] = [
        (&[0x81, 201, 0, 1, 0, 0, 0, 1], ParseError::Count(1)),
        (&[0x82, 203, 0, 1, 0, 0, 0, 1], ParseError::Count(2)),
        (
            &[0x81, 203, 0, 2, 0, 0, 0, 1, 4, 0, 0, 0],
            ParseError::Truncated {
                needed: 4,
                available: 3,
            },
        ),
        (
            &[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 0, 0],
            ParseError::Truncated {
                needed: 16,
                available: 8,
            },
        ),
        (
            &[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
            ParseError::Count(4),
        ),
        (
            &[
                0x8b, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0,
            ],
            ParseError::Count(9),
        ),
    ];
    for (bytes, error) in bodies {
        let (raw, _) = RawPacket::split(bytes).unwrap();
        assert_eq!(raw.decode().err(), Some(error), "{bytes:?}");
    }
}

/// Reads everything that can be read of a datagram.
fn read_all(bytes: &[u8]) {
    let Ok(compound) = Compound::parse(bytes) else {
        return;
    };
    let _ = compound.check_compound();
    for packet in compound.packets().flatten() {
        match packet {
            Packet::SenderReport(r) => assert!(r.blocks().count() <= 31),
            Packet::ReceiverReport(r) => assert!(r.blocks().count() <= 31),
            Packet::SourceDescription(s) => {
                s.chunks().flat_map(|c| c.items()).for_each(drop);
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
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 4..120),
        kind in 200u8..208, count in 0u8..32,
    ) {
        read_all(&bytes);
        // The same as one packet of a known kind with a right length.
        let len = bytes.len() & !3;
        bytes.truncate(len);
        bytes[0] = 0x80 | count;
        bytes[1] = kind;
        bytes[2..4].copy_from_slice(&((len / 4 - 1) as u16).to_be_bytes());
        read_all(&bytes);
    }

    #[test]
    fn nack_and_rates_read_back(numbers in proptest::collection::btree_set(0u16..3000, 1..80), rate: u64) {
        let out = written(|w| w.nack(US, THEM, numbers.iter().copied().map(SequenceNumber)));
        let Packet::Nack(nack) = only(&out) else { panic!() };
        prop_assert_eq!(nack.sequences().map(|s| s.0).collect::<Vec<_>>(), numbers.into_iter().collect::<Vec<_>>());
        let out = written(|w| w.receiver_estimate(US, rate, &[]).unwrap());
        let Packet::ReceiverEstimate(remb) = only(&out) else { panic!() };
        prop_assert!(remb.bits_per_second <= rate);
        prop_assert!(rate - remb.bits_per_second <= rate >> 17);
    }

    #[test]
    fn reports_read_back(
        (ntp, rtp_timestamp, packets, octets) in any::<(u64, u32, u32, u32)>(),
        blocks in vec((any::<(u32, u8, u32, u32)>(), -0x80_0000..0x80_0000i32, any::<(u32, u32)>()), 0..70),
    ) {
        let info = SenderInfo { ntp: NtpTime(ntp), rtp_timestamp, packets, octets };
        let blocks: Vec<_> = blocks
            .into_iter()
            .map(|((ssrc, fraction_lost, highest_sequence, jitter), cumulative_lost, (last, delay))| ReportBlock {
                ssrc: Ssrc(ssrc),
                fraction_lost,
                cumulative_lost,
                highest_sequence,
                jitter,
                last_sender_report: last,
                delay_since_last_sender_report: delay,
            })
            .collect();
        let out = written(|w| w.sender_report(US, &info, blocks.iter().copied()));
        let mut got = Vec::new();
        for packet in Compound::parse(&out).unwrap().packets() {
            match packet.unwrap() {
                Packet::SenderReport(sr) => {
                    prop_assert_eq!((sr.ssrc, sr.info), (US, info));
                    got.extend(sr.blocks());
                }
                Packet::ReceiverReport(rr) => {
                    prop_assert_eq!(rr.ssrc, US);
                    got.extend(rr.blocks());
                }
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(got, blocks);
    }

    #[test]
    fn texts_and_sources_read_back(
        items in vec((1u8.., vec(any::<u8>(), 0..256)), 0..20),
        sources in vec(any::<u32>(), 0..32), reason in vec(any::<u8>(), 0..256),
        subtype in 0u8..32, name: [u8; 4], words in vec(any::<[u8; 4]>(), 0..50),
    ) {
        let items = items.iter().map(|(kind, value)| (SdesKind::from_number(*kind), &value[..]));
        let sources: Vec<_> = sources.into_iter().map(Ssrc).collect();
        let out = written(|w| {
            w.source_description(US, items.clone()).unwrap();
            w.goodbye(&sources, &reason).unwrap();
            w.app(subtype, US, name, words.as_flattened()).unwrap();
        });
        let compound = Compound::parse(&out).unwrap();
        let packets: Vec<_> = compound.packets().map(Result::unwrap).collect();
        let [Packet::SourceDescription(sdes), Packet::Goodbye(bye), Packet::App(app)] = &packets[..] else {
            panic!("{packets:?}");
        };
        let chunks: Vec<_> = sdes.chunks().collect();
        prop_assert_eq!((chunks.len(), chunks[0].ssrc), (1, US));
        let got = chunks[0].items().map(|item| (item.kind, item.value));
        prop_assert!(got.eq(items), "{:?}", chunks[0]);
        prop_assert_eq!(bye.sources().collect::<Vec<_>>(), sources);
        prop_assert_eq!(bye.reason(), &reason[..]);
        prop_assert_eq!((app.subtype, app.ssrc, app.name, app.data), (subtype, US, name, words.as_flattened()));
    }

    #[test]
    fn requests_read_back(
        requests in vec(any::<(u32, u8)>(), 1..40),
        slices in vec((0u16..0x2000, 0u16..0x2000, 0u8..64), 1..40),
        bits in vec(any::<u8>(), 1..40), unused_bits in 0u8..8, payload_type in 0u8..128,
    ) {
        let requests: Vec<_> = requests
            .into_iter()
            .map(|(ssrc, sequence)| FullIntraRequestEntry { ssrc: Ssrc(ssrc), sequence })
            .collect();
        let slices: Vec<_> = slices
            .into_iter()
            .map(|(first, number, picture_id)| LostSlices { first, number, picture_id })
            .collect();
        let out = written(|w| {
            w.full_intra_request(US, requests.iter().copied());
            w.slice_loss(US, THEM, slices.iter().copied());
            w.reference_picture_selection(US, THEM, payload_type, &bits, unused_bits).unwrap();
            w.picture_loss(US, THEM);
        });
        let compound = Compound::parse(&out).unwrap();
        let packets: Vec<_> = compound.packets().map(Result::unwrap).collect();
        let [
            Packet::FullIntraRequest(fir),
            Packet::SliceLoss(sli),
            Packet::ReferencePictureSelection(rpsi),
            Packet::PictureLoss(pli),
        ] = &packets[..]
        else {
            panic!("{packets:?}");
        };
        prop_assert_eq!(fir.entries().collect::<Vec<_>>(), requests);
        prop_assert_eq!((sli.sender, sli.media), (US, THEM));
        prop_assert_eq!(sli.slices().collect::<Vec<_>>(), slices);
        prop_assert_eq!((rpsi.payload_type, rpsi.bits, rpsi.unused_bits), (payload_type, &bits[..], unused_bits));
        prop_assert_eq!((pli.sender, pli.media), (US, THEM));
    }

    #[test]
    fn congestion_feedback_reads_back(
        timestamp: u32,
        streams in vec((any::<(u32, u16)>(), vec(option::of((0u8..4, option::of(0u64..0x1ffe))), 0..40)), 0..6),
    ) {
        let streams: Vec<_> = streams
            .into_iter()
            .map(|((ssrc, begin), metrics)| {
                let metrics: Vec<_> = metrics
                    .into_iter()
                    .map(|metric| {
                        metric.map(|(ecn, offset)| CongestionMetric {
                            ecn: Ecn::from_bits(ecn),
                            arrival_offset: offset.map(|n| Duration::from_nanos(n * 1_000_000_000 / 1024)),
                        })
                    })
                    .collect();
                (Ssrc(ssrc), SequenceNumber(begin), metrics)
            })
            .collect();
        let out = written(|w| {
            let streams = streams.iter().map(|(ssrc, begin, metrics)| (*ssrc, *begin, metrics.iter().copied()));
            w.congestion_feedback(US, timestamp, streams).unwrap();
        });
        let Packet::CongestionFeedback(feedback) = only(&out) else { panic!() };
        prop_assert_eq!((feedback.sender, feedback.timestamp), (US, timestamp));
        let got: Vec<_> = feedback
            .streams()
            .map(|s| (s.ssrc, s.begin, s.metrics().map(|(_, metric)| metric).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(got, streams);
    }

    #[test]
    fn extended_reports_read_back(
        (begin, end, thinning) in (any::<u16>(), any::<u16>(), 0u8..16),
        chunks in vec((any::<bool>(), any::<bool>(), 1u16..0x4000), 0..40),
        times in vec(any::<u32>(), 0..20), entries in vec(any::<(u32, u32, u32)>(), 0..10),
        (lost, duplicates, jitter) in any::<(Option<u32>, Option<u32>, Option<[u32; 4]>)>(),
        (ttl, hop_limit, body) in any::<(Option<[u8; 4]>, bool, [u8; 31])>(), (kind, specific) in any::<(u8, u8)>(),
    ) {
        let range = (SequenceNumber(begin), SequenceNumber(end));
        let chunks: Vec<_> = chunks
            .into_iter()
            .map(|(run, bit, n)| if run { RleChunk::Run { bit, length: n } } else { RleChunk::Vector(n * 2 + 1) })
            .collect();
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(ssrc, last_receiver_report, delay)| DlrrEntry { ssrc: Ssrc(ssrc), last_receiver_report, delay })
            .collect();
        let summary = StatisticsSummary {
            ssrc: THEM,
            begin: range.0,
            end: range.1,
            lost,
            duplicates,
            jitter,
            ttl,
            hop_limit: hop_limit && ttl.is_some(),
        };
        let half = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let voip = VoipMetrics {
            ssrc: THEM,
            loss_rate: body[0],
            discard_rate: body[1],
            burst_density: body[2],
            gap_density: body[3],
            burst_duration: half(4),
            gap_duration: half(6),
            round_trip_delay: half(8),
            end_system_delay: half(10),
            signal_level: body[12] as i8,
            noise_level: body[13] as i8,
            residual_echo_return_loss: body[14],
            gmin: body[15],
            r_factor: body[16],
            external_r_factor: body[17],
            mos_lq: body[18],
            mos_cq: body[19],
            receiver_config: body[20],
            jitter_buffer_nominal: half(21),
            jitter_buffer_maximum: half(23),
            jitter_buffer_absolute_maximum: half(25),
        };
        // RFC 3611 has 1 to 7.
        let unknown = kind.max(8);
        let out = written(|w| {
            w.extended_report(US, |b| {
                b.loss_rle(THEM, thinning, range, chunks.iter().copied());
                b.duplicate_rle(THEM, thinning, range, chunks.iter().copied());
                b.receipt_times(THEM, thinning, range, times.iter().copied());
                b.receiver_reference_time(NtpTime(u64::from(lost.unwrap_or(9)) << 20));
                b.dlrr(entries.iter().copied());
                b.statistics_summary(&summary);
                b.voip_metrics(&voip);
                b.block(unknown, specific, &body[..28]).unwrap();
            });
        });
        let Packet::ExtendedReport(xr) = only(&out) else { panic!() };
        let blocks: Vec<_> = xr.blocks().map(Result::unwrap).collect();
        let [
            ExtendedBlock::LossRle(loss),
            ExtendedBlock::DuplicateRle(duplicate),
            ExtendedBlock::ReceiptTimes(received),
            ExtendedBlock::ReceiverReferenceTime(time),
            ExtendedBlock::Dlrr(dlrr),
            ExtendedBlock::StatisticsSummary(got_summary),
            ExtendedBlock::VoipMetrics(got_voip),
            ExtendedBlock::Unknown { block_type, type_specific, body: got_body },
        ] = &blocks[..]
        else {
            panic!("{blocks:?}");
        };
        for rle in [loss, duplicate] {
            prop_assert_eq!((rle.ssrc, rle.thinning, rle.begin, rle.end), (THEM, thinning, range.0, range.1));
            prop_assert_eq!(rle.chunks().collect::<Vec<_>>(), &chunks[..]);
        }
        prop_assert_eq!(received.times().collect::<Vec<_>>(), times);
        prop_assert_eq!(*time, NtpTime(u64::from(lost.unwrap_or(9)) << 20));
        prop_assert_eq!(dlrr.entries().collect::<Vec<_>>(), entries);
        prop_assert_eq!(*got_summary, summary);
        prop_assert_eq!(*got_voip, voip);
        prop_assert_eq!((*block_type, *type_specific, *got_body), (unknown, specific, &body[..28]));
    }
}
