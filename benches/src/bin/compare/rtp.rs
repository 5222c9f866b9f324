//! `compare -- rtp`: packets, feedback and frames, beside webrtc-rs's crates and str0m's parsers as
//! far as they can be reached.
//!
//! Others give a payload's octets as a slice of the packet where ours copies them into the frame: a
//! row named `frame` has all of them end with the whole frame in one buffer.

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_rtp::packetizer::Depacketizer as _;
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtp::packetizer::Depacketizer as _;
use tincan_benches::{Better, Comparison, counts_allocations};
use tincan_rtp::extension::{
    AbsoluteSendTime, AudioLevel, ExtensionMap, IdRewrite, Mid, TransportSequence,
};
use tincan_rtp::format::{Depacketize, Input, Packetize, av1, h264, vp8};
use tincan_rtp::rtcp::{
    Compound, Packet as ControlPacket, TransportFeedbackBuilder, TransportStatus, Writer,
};
use tincan_rtp::{Header, Packet, PacketMut, PacketWriter, PayloadType, SequenceNumber, Ssrc};
use webrtc_util::marshal::{Marshal, MarshalSize, Unmarshal};

/// Identifiers of the extensions in the packet measured.
const LEVEL: u8 = 1;
const SEND_TIME: u8 = 2;
const SEQUENCE: u8 = 3;
const MID: u8 = 4;

/// Packets a feedback message tells of.
const STATUSES: usize = 200;

/// Octets of the frames that are put together.
const FRAME: usize = 12_000;

/// Runs every case of the area.
pub(crate) fn run() {
    header_parse();
    extension_rewrite();
    feedback_parse();
    feedback_build();
    nack_parse();
    nack_build();
    vp8_descriptor();
    vp8_frame();
    h264_frame();
    av1_frame();
}

/// A comparison of times, or of allocations in builds that count these.
fn begin(case: &str) -> Comparison<'_> {
    if counts_allocations() {
        let case = format!("{case}-allocations");
        Comparison::new("rtp", case, "allocations", Better::Less)
    } else {
        Comparison::new("rtp", case, "ns", Better::Less)
    }
}

trait Work<'a> {
    /// Adds a contender, measured as the comparison asks.
    fn work<T>(self, name: &str, work: impl FnMut() -> T + 'a) -> Self;
}

impl<'a> Work<'a> for Comparison<'a> {
    fn work<T>(self, name: &str, work: impl FnMut() -> T + 'a) -> Self {
        if counts_allocations() {
            self.allocations(name, work)
        } else {
            self.time(name, work)
        }
    }
}

fn payload_type(n: u8) -> PayloadType {
    PayloadType::new(n).unwrap_or_default()
}

fn map(offset: u8) -> ExtensionMap {
    let mut map = ExtensionMap::new();
    let uris = [
        (LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        (
            SEND_TIME,
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        ),
        (
            SEQUENCE,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        ),
        (MID, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    ];
    for (id, uri) in uris {
        let _mapped = map.insert(id + offset, uri);
    }
    map
}

/// A packet such as browsers send: four extensions, 1100 octets of payload.
fn packet() -> Vec<u8> {
    let header = Header::new(payload_type(96), SequenceNumber(1000), 90_000, Ssrc(7));
    let map = map(0);
    let mut out = Vec::new();
    let mut writer = PacketWriter::new(&mut out, &header);
    let level = AudioLevel {
        voice: true,
        level: 30,
    };
    let _written = writer.typed_extension(&map, &level);
    let _written = writer.typed_extension(&map, &AbsoluteSendTime(77));
    let _written = writer.typed_extension(&map, &TransportSequence(SequenceNumber(5)));
    let _written = writer.typed_extension(&map, &Mid("0"));
    writer.payload(&[0x5a; 1100]);
    writer.finish();
    out
}

/// Parse, read the fixed fields, the transport-wide number and the mid.
fn header_parse() {
    let packet = packet();
    let shared = Bytes::copy_from_slice(&packet);
    let mut exts = str0m::rtp::ExtensionMap::empty();
    exts.set(LEVEL, str0m::rtp::Extension::AudioLevel);
    exts.set(SEND_TIME, str0m::rtp::Extension::AbsoluteSendTime);
    exts.set(SEQUENCE, str0m::rtp::Extension::TransportSequenceNumber);
    exts.set(MID, str0m::rtp::Extension::RtpMid);
    begin("header-parse")
        .work("ours", || {
            let p = Packet::parse(black_box(&packet)).ok()?;
            Some((
                p.ssrc(),
                p.payload_type(),
                p.sequence_number(),
                p.timestamp(),
                p.marker(),
                p.extension(SEQUENCE).map(|v| (v[0], v[1])),
                p.extension(MID).map(<[u8]>::len),
                p.payload().len(),
            ))
        })
        .work("webrtc-rs-rtp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let p = rtp::packet::Packet::unmarshal(&mut bytes).ok()?;
            let sequence = p.header.get_extension(SEQUENCE);
            let mid = p.header.get_extension(MID);
            Some((
                p.header.ssrc,
                p.header.sequence_number,
                sequence,
                mid,
                p.payload.len(),
            ))
        })
        .work("rtc-rtp-0.21", || {
            use rtc_shared::marshal::Unmarshal as _;
            let mut bytes = black_box(&shared).clone();
            let p = rtc_rtp::Packet::unmarshal(&mut bytes).ok()?;
            let sequence = p.header.get_extension(SEQUENCE);
            let mid = p.header.get_extension(MID);
            Some((
                p.header.ssrc,
                p.header.sequence_number,
                sequence,
                mid,
                p.payload.len(),
            ))
        })
        .work("str0m-0.25", || {
            let header = str0m::rtp::RtpHeader::_parse(black_box(&packet), &exts)?;
            Some((
                header.ssrc,
                header.sequence_number,
                header.ext_vals.transport_cc,
                header.ext_vals.mid,
            ))
        })
        .run();
}

/// A forwarding server's work on one packet for one peer: other SSRC, payload type, numbers and
/// extension identifiers, another transport-wide number, into a buffer of its own.
fn extension_rewrite() {
    let packet = packet();
    let shared = Bytes::copy_from_slice(&packet);
    let rewrite = IdRewrite::between(&map(0), &map(5));
    let mut out = Vec::with_capacity(1500);
    let mut room = vec![0; 1500];
    begin("extension-rewrite")
        .work("ours", || {
            out.clear();
            out.extend_from_slice(black_box(&packet));
            let mut p = PacketMut::parse(&mut out).ok()?;
            p.set_ssrc(Ssrc(9));
            p.set_payload_type(payload_type(100));
            p.set_sequence_number(SequenceNumber(4));
            p.set_timestamp(5);
            p.rewrite_extension_ids(&rewrite).ok()?;
            p.set_extension(SEQUENCE + 5, &[1, 2]);
            Some(out.len())
        })
        .work("webrtc-rs-rtp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let mut p = rtp::packet::Packet::unmarshal(&mut bytes).ok()?;
            p.header.ssrc = 9;
            p.header.payload_type = 100;
            p.header.sequence_number = 4;
            p.header.timestamp = 5;
            for extension in &mut p.header.extensions {
                extension.id += 5;
            }
            p.header
                .set_extension(SEQUENCE + 5, Bytes::from_static(&[1, 2]))
                .ok()?;
            p.marshal_to(black_box(&mut room[..])).ok()
        })
        .run();
}

/// Arrivals with some loss and uneven gaps.
fn arrivals() -> Vec<Option<i64>> {
    let mut at = 1000;
    (0..STATUSES as i64)
        .map(|n| {
            at += 1 + (n * 7) % 40 + if n % 50 == 49 { 300 } else { 0 };
            (n % 13 != 5).then_some(at)
        })
        .collect()
}

fn feedback() -> Vec<u8> {
    let mut out = Vec::new();
    TransportFeedbackBuilder::new().write(
        &mut out,
        Ssrc(1),
        Ssrc(2),
        3,
        SequenceNumber(100),
        arrivals(),
        1400,
    );
    out
}

/// Transport-wide feedback on 200 packets: parse alone, and parse and walk over the arrivals. Parsing,
/// the others make lists of what ours only checks.
fn feedback_parse() {
    let feedback = feedback();
    let shared = Bytes::copy_from_slice(&feedback);
    let zero = Instant::now();
    begin("feedback-parse")
        .work("ours", || {
            let compound = Compound::parse(black_box(&feedback)).ok()?;
            match compound.packets().next()? {
                Ok(ControlPacket::TransportFeedback(f)) => Some(f.status_count),
                _ => None,
            }
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let packets = rtcp::packet::unmarshal(&mut bytes).ok()?;
            let f = packets
                .first()?
                .as_any()
                .downcast_ref::<TransportLayerCc>()?;
            Some(f.recv_deltas.len())
        })
        .work("str0m-0.25", || {
            match str0m::rtp::rtcp::Rtcp::try_from(black_box(&feedback[..])) {
                Ok(str0m::rtp::rtcp::Rtcp::Twcc(f)) => Some(f.delta.len()),
                _ => None,
            }
        })
        .run();
    begin("feedback-parse-and-walk")
        .work("ours", || {
            let compound = Compound::parse(black_box(&feedback)).ok()?;
            let mut sum = 0;
            for packet in compound.packets() {
                if let Ok(ControlPacket::TransportFeedback(f)) = packet {
                    f.statuses().for_each(|(_, status)| {
                        if let TransportStatus::ReceivedAt(t) = status {
                            sum += t;
                        }
                    });
                }
            }
            Some(sum)
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let mut sum = 0;
            for packet in rtcp::packet::unmarshal(&mut bytes).ok()? {
                if let Some(f) = packet.as_any().downcast_ref::<TransportLayerCc>() {
                    let mut at = 0;
                    for delta in &f.recv_deltas {
                        at += delta.delta;
                        sum += at;
                    }
                }
            }
            Some(sum)
        })
        .work("str0m-0.25", || {
            match str0m::rtp::rtcp::Rtcp::try_from(black_box(&feedback[..])) {
                Ok(str0m::rtp::rtcp::Rtcp::Twcc(f)) => Some(
                    f.into_iter(zero, 0.into())
                        .filter_map(|(_, _, at)| at)
                        .map(|at| at.saturating_duration_since(zero).subsec_micros())
                        .fold(0, u32::wrapping_add),
                ),
                _ => None,
            }
        })
        .run();
}

/// What a user of webrtc-rs's crate does to have a message of arrival times, in its plainest form:
/// vectors of two bits a status, and a delta for each arrival.
fn their_feedback(arrivals: &[Option<i64>]) -> Option<TransportLayerCc> {
    let first = arrivals.iter().flatten().next()?;
    let reference = first.div_euclid(256);
    let mut time = reference * 256;
    let mut message = TransportLayerCc {
        sender_ssrc: 1,
        media_ssrc: 2,
        base_sequence_number: 100,
        packet_status_count: arrivals.len() as u16,
        reference_time: reference as u32,
        fb_pkt_count: 3,
        ..TransportLayerCc::default()
    };
    for seven in arrivals.chunks(7) {
        let mut symbols = Vec::with_capacity(7);
        for arrival in seven {
            let symbol = match arrival {
                None => SymbolTypeTcc::PacketNotReceived,
                Some(at) => {
                    let delta = at - time;
                    time = *at;
                    let symbol = if (0..256).contains(&delta) {
                        SymbolTypeTcc::PacketReceivedSmallDelta
                    } else {
                        SymbolTypeTcc::PacketReceivedLargeDelta
                    };
                    message.recv_deltas.push(RecvDelta {
                        type_tcc_packet: symbol,
                        delta: delta * 250,
                    });
                    symbol
                }
            };
            symbols.push(symbol);
        }
        message
            .packet_chunks
            .push(PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: SymbolSizeTypeTcc::TwoBit,
                symbol_list: symbols,
            }));
    }
    Some(message)
}

/// The same message made of arrival times; and, of webrtc-rs, only the writing of a message whose
/// chunks and deltas were made before.
fn feedback_build() {
    let arrivals = arrivals();
    let mut builder = TransportFeedbackBuilder::new();
    let mut out = Vec::with_capacity(1500);
    let mut bytes = Bytes::from(feedback());
    let theirs = TransportLayerCc::unmarshal(&mut bytes).unwrap_or_default();
    let mut room = vec![0; theirs.marshal_size().max(1)];
    let size = their_feedback(&arrivals).map_or(0, |f| f.marshal_size());
    let mut larger = vec![0; size.max(1)];
    begin("feedback-build")
        .work("ours", || {
            out.clear();
            builder.write(
                &mut out,
                Ssrc(1),
                Ssrc(2),
                3,
                SequenceNumber(100),
                black_box(&arrivals).iter().copied(),
                1400,
            )
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let message = their_feedback(black_box(&arrivals))?;
            message.marshal_to(&mut larger).ok()
        })
        .work("webrtc-rs-rtcp-0.17-of-ready-chunks", || {
            black_box(&theirs).marshal_to(&mut room).ok()
        })
        .run();
}

fn missing() -> Vec<u16> {
    (0..50u16).map(|n| 65_500u16.wrapping_add(n * 3)).collect()
}

fn nack() -> Vec<u8> {
    let mut out = Vec::new();
    let numbers = missing().into_iter().map(SequenceNumber);
    Writer::new(&mut out).nack(Ssrc(1), Ssrc(2), numbers);
    out
}

/// A NACK for 50 packets: parse alone, and parse and walk over the numbers.
fn nack_parse() {
    let nack = nack();
    let shared = Bytes::copy_from_slice(&nack);
    begin("nack-parse")
        .work("ours", || {
            let compound = Compound::parse(black_box(&nack)).ok()?;
            match compound.packets().next()? {
                Ok(ControlPacket::Nack(n)) => Some(n.media),
                _ => None,
            }
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let packets = rtcp::packet::unmarshal(&mut bytes).ok()?;
            let n = packets
                .first()?
                .as_any()
                .downcast_ref::<TransportLayerNack>()?;
            Some(n.media_ssrc)
        })
        .work("str0m-0.25", || {
            match str0m::rtp::rtcp::Rtcp::try_from(black_box(&nack[..])) {
                Ok(str0m::rtp::rtcp::Rtcp::Nack(n)) => Some(*n.ssrc),
                _ => None,
            }
        })
        .run();
    begin("nack-parse-and-walk")
        .work("ours", || {
            let compound = Compound::parse(black_box(&nack)).ok()?;
            let mut sum = 0u64;
            for packet in compound.packets() {
                if let Ok(ControlPacket::Nack(n)) = packet {
                    sum += n.sequences().map(|s| u64::from(s.0)).sum::<u64>();
                }
            }
            Some(sum)
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let mut bytes = black_box(&shared).clone();
            let mut sum = 0u64;
            for packet in rtcp::packet::unmarshal(&mut bytes).ok()? {
                if let Some(n) = packet.as_any().downcast_ref::<TransportLayerNack>() {
                    for pair in &n.nacks {
                        sum += pair.into_iter().map(u64::from).sum::<u64>();
                    }
                }
            }
            Some(sum)
        })
        .work("str0m-0.25", || {
            match str0m::rtp::rtcp::Rtcp::try_from(black_box(&nack[..])) {
                Ok(str0m::rtp::rtcp::Rtcp::Nack(n)) => Some(
                    n.reports
                        .iter()
                        .flat_map(|pair| pair.into_iter(0.into()))
                        .map(|sequence| *sequence)
                        .sum::<u64>(),
                ),
                _ => None,
            }
        })
        .run();
}

/// The same NACK made from a list of numbers.
fn nack_build() {
    let missing = missing();
    let mut out = Vec::with_capacity(1500);
    let mut room = vec![0; 1500];
    begin("nack-build")
        .work("ours", || {
            out.clear();
            let numbers = black_box(&missing).iter().copied().map(SequenceNumber);
            Writer::new(&mut out).nack(Ssrc(1), Ssrc(2), numbers);
            out.len()
        })
        .work("webrtc-rs-rtcp-0.17", || {
            let nack = TransportLayerNack {
                sender_ssrc: 1,
                media_ssrc: 2,
                nacks: nack_pairs_from_sequence_numbers(black_box(&missing)),
            };
            nack.marshal_to(&mut room).ok()
        })
        .run();
}

/// All payloads of a frame.
fn payloads(packetizer: &mut impl Packetize) -> Vec<Bytes> {
    let mut all = Vec::new();
    let mut out = Vec::new();
    while packetizer.write_next(&mut out).is_some() {
        all.push(Bytes::copy_from_slice(&out));
        out.clear();
    }
    all
}

fn vp8_payloads() -> Vec<Bytes> {
    let descriptor = vp8::Descriptor {
        picture_id: Some(vp8::PictureId::Long(300)),
        tl0_picture_index: Some(4),
        temporal: Some((1, true)),
        ..vp8::Descriptor::default()
    };
    match vp8::Packetizer::new(&vec![0x5a; FRAME], &descriptor, 1150) {
        Ok(mut packetizer) => payloads(&mut packetizer),
        Err(_) => Vec::new(),
    }
}

/// A VP8 payload: picture number, layers, and where the frame's octets are.
fn vp8_descriptor() {
    let Some(payload) = vp8_payloads().into_iter().nth(1) else {
        return;
    };
    begin("vp8-descriptor")
        .work("ours", || {
            let (d, frame) = vp8::Descriptor::parse(black_box(&payload)).ok()?;
            let picture = (d.picture_id, d.tl0_picture_index, d.temporal);
            Some((picture, frame.len()))
        })
        .work("webrtc-rs-rtp-0.17", || {
            let mut packet = rtp::codecs::vp8::Vp8Packet::default();
            let rest = packet.depacketize(black_box(&payload)).ok()?;
            let picture = (packet.picture_id, packet.tl0_pic_idx, packet.tid, packet.y);
            Some((picture, rest.len()))
        })
        .work("str0m-0.25", || {
            str0m::rtp::Vp8Descriptor::parse(black_box(&payload)).ok()
        })
        .run();
}

/// A frame of our depacketizer from payloads that are there; `Some(octets)` when it is whole.
fn our_frame<D: Depacketize>(d: &mut D, payloads: &[Bytes], sequence: &mut u64) -> Option<usize> {
    let timestamp = *sequence as u32;
    for (n, payload) in payloads.iter().enumerate() {
        let input = Input {
            sequence: *sequence,
            timestamp,
            marker: n + 1 == payloads.len(),
            payload,
        };
        d.push(&input).ok()?;
        *sequence += 1;
    }
    d.poll_frame().map(|f| f.data.len())
}

/// What nobody can go below: the payloads copied one after the other into a warm buffer.
fn copied(payloads: &[Bytes], frame: &mut Vec<u8>) -> Option<usize> {
    frame.clear();
    for payload in payloads {
        frame.extend_from_slice(payload);
    }
    Some(frame.len())
}

/// A frame by somebody's depacketizer: what it gives of each payload, one after the other, in a
/// buffer that grows, as webrtc-rs's own sample builder has it.
fn their_frame(
    payloads: &[Bytes],
    depacketize: impl FnMut(&Bytes) -> Option<Bytes>,
) -> Option<usize> {
    their_frame_into(&mut BytesMut::new(), payloads, depacketize)
}

/// The same into a buffer that somebody keeps.
fn their_frame_into(
    frame: &mut BytesMut,
    payloads: &[Bytes],
    mut depacketize: impl FnMut(&Bytes) -> Option<Bytes>,
) -> Option<usize> {
    frame.clear();
    for payload in payloads {
        frame.extend_from_slice(&depacketize(payload)?);
    }
    Some(frame.len())
}

fn vp8_frame() {
    let payloads = vp8_payloads();
    let (mut warm, mut kept) = (Vec::new(), BytesMut::new());
    let mut ours = vp8::Depacketizer::new();
    let mut sequence = 0;
    begin("vp8-frame-of-11")
        .work("ours", || {
            our_frame(&mut ours, black_box(&payloads), &mut sequence)
        })
        .work("webrtc-rs-rtp-0.17", || {
            their_frame(black_box(&payloads), |p| {
                rtp::codecs::vp8::Vp8Packet::default().depacketize(p).ok()
            })
        })
        .work("webrtc-rs-rtp-0.17-kept-buffer", || {
            their_frame_into(&mut kept, black_box(&payloads), |p| {
                rtp::codecs::vp8::Vp8Packet::default().depacketize(p).ok()
            })
        })
        .work("copies-alone", || copied(black_box(&payloads), &mut warm))
        .run();
}

/// An access unit: parameter sets and one large slice.
fn h264_payloads() -> Vec<Bytes> {
    let mut unit = vec![0, 0, 0, 1, 0x67];
    unit.extend_from_slice(&[0x5a; 20]);
    unit.extend_from_slice(&[0, 0, 0, 1, 0x68, 0x5a, 0x5a, 0x5a, 0, 0, 0, 1, 0x65]);
    unit.extend_from_slice(&[0x5a; FRAME]);
    let mode = h264::PacketizationMode::NonInterleaved;
    match h264::Packetizer::new(&unit, mode, 1150) {
        Ok(mut packetizer) => payloads(&mut packetizer),
        Err(_) => Vec::new(),
    }
}

fn h264_frame() {
    let payloads = h264_payloads();
    let mut ours = h264::Depacketizer::new();
    let mut sequence = 0;
    begin("h264-frame-of-12")
        .work("ours", || {
            our_frame(&mut ours, black_box(&payloads), &mut sequence)
        })
        .work("webrtc-rs-rtp-0.17", || {
            let mut packet = rtp::codecs::h264::H264Packet::default();
            their_frame(black_box(&payloads), |p| packet.depacketize(p).ok())
        })
        .work("rtc-rtp-0.21", || {
            let mut packet = rtc_rtp::codec::h264::H264Packet::default();
            their_frame(black_box(&payloads), |p| packet.depacketize(p).ok())
        })
        .run();
}

/// A temporal unit: sequence header, metadata and one large frame.
fn av1_payloads() -> Vec<Bytes> {
    let mut unit = av1::TEMPORAL_DELIMITER.to_vec();
    unit.extend_from_slice(&[0x0a, 3, 1, 2, 3, 0x2a, 4, 1, 2, 3, 4]);
    unit.extend_from_slice(&[0x32, 0xe0, 0x5d, 0x10]);
    unit.extend_from_slice(&[0x5a; FRAME - 1]);
    match av1::Packetizer::new(&unit, 1150) {
        Ok(mut packetizer) => payloads(&mut packetizer),
        Err(_) => Vec::new(),
    }
}

fn av1_frame() {
    let payloads = av1_payloads();
    let mut ours = av1::Depacketizer::new();
    let mut sequence = 0;
    begin("av1-frame-of-11")
        .work("ours", || {
            our_frame(&mut ours, black_box(&payloads), &mut sequence)
        })
        .work("rtc-rtp-0.21", || {
            let mut depacketizer = rtc_rtp::codec::av1::Av1Depacketizer::new();
            their_frame(black_box(&payloads), |p| depacketizer.depacketize(p).ok())
        })
        .run();
}
