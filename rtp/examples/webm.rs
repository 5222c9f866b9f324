//! Plays a WebM file into RTP packets, loses their order, puts them together again and records a
//! WebM file: `cargo run --example webm -- in.webm out.webm`.
//!
//! VP8, VP9, AV1 and Opus tracks are taken; others are left away.

use std::error::Error;
use std::time::Instant;

use bytes::Bytes;
use tincan_rtp::format::{AnyDepacketizer, Packetize, av1, vp8, vp9};
use tincan_rtp::receive::{StreamReceiver, StreamReceiverConfig};
use tincan_rtp::{Header, PacketWriter, PayloadType, SequenceNumber, Ssrc};
use webm_iterable::matroska_spec::{Master, MatroskaSpec, SimpleBlock};
use webm_iterable::{WebmIterator, WebmWriter, WriteOptions};

/// A track of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Track {
    /// Its number in the file.
    pub(crate) number: u64,
    /// Matroska's name of the codec, `V_VP8` or so.
    pub(crate) codec: String,
    /// The entry as it stands in the file, to be written again.
    entry: Vec<MatroskaSpec>,
}

/// A frame of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The track's number.
    pub(crate) track: u64,
    /// Milliseconds since the beginning.
    pub(crate) time: u64,
    /// Whether decoding can begin with it.
    pub(crate) key: bool,
    /// The encoded frame.
    pub(crate) data: Vec<u8>,
}

/// Reads the tracks and frames of a WebM file.
pub(crate) fn read(
    source: &mut impl std::io::Read,
) -> Result<(Vec<Track>, Vec<Frame>), Box<dyn Error>> {
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    let mut cluster = 0i64;
    for tag in WebmIterator::new(source, &[MatroskaSpec::TrackEntry(Master::Start)]) {
        match tag? {
            MatroskaSpec::TrackEntry(Master::Full(entry)) => {
                let mut track = Track {
                    number: 0,
                    codec: String::new(),
                    entry: entry.clone(),
                };
                for child in entry {
                    match child {
                        MatroskaSpec::TrackNumber(n) => track.number = n,
                        MatroskaSpec::CodecID(codec) => track.codec = codec,
                        _ => {}
                    }
                }
                tracks.push(track);
            }
            MatroskaSpec::Timestamp(at) => cluster = i64::try_from(at)?,
            MatroskaSpec::SimpleBlock(data) => {
                let block = SimpleBlock::try_from(&data)?;
                let time = u64::try_from(cluster + i64::from(block.timestamp))?;
                for frame in block.read_frame_data()? {
                    frames.push(Frame {
                        track: block.track,
                        time,
                        key: block.keyframe,
                        data: frame.data.to_vec(),
                    });
                }
            }
            _ => {}
        }
    }
    Ok((tracks, frames))
}

/// Writes tracks and frames, in order of their times, as a WebM file.
pub(crate) fn write(
    sink: &mut impl std::io::Write,
    tracks: &[Track],
    frames: &[Frame],
) -> Result<(), Box<dyn Error>> {
    let mut writer = WebmWriter::new(sink);
    writer.write(&MatroskaSpec::Ebml(Master::Full(vec![
        MatroskaSpec::DocType("webm".into()),
        MatroskaSpec::DocTypeVersion(4),
        MatroskaSpec::DocTypeReadVersion(2),
    ])))?;
    let unknown_size = WriteOptions::is_unknown_sized_element();
    writer.write_advanced(&MatroskaSpec::Segment(Master::Start), unknown_size)?;
    writer.write(&MatroskaSpec::Info(Master::Full(vec![
        MatroskaSpec::TimestampScale(1_000_000),
        MatroskaSpec::MuxingApp("tincan-rtp".into()),
        MatroskaSpec::WritingApp("tincan-rtp".into()),
    ])))?;
    let entries = tracks
        .iter()
        .map(|t| MatroskaSpec::TrackEntry(Master::Full(t.entry.clone())));
    writer.write(&MatroskaSpec::Tracks(Master::Full(entries.collect())))?;
    // A block's time is sixteen bits of milliseconds from its cluster's.
    for cluster in frames.chunk_by(|a, b| a.time / 5000 == b.time / 5000) {
        let base = cluster.first().map_or(0, |f| f.time / 5000 * 5000);
        writer.write(&MatroskaSpec::Cluster(Master::Start))?;
        writer.write(&MatroskaSpec::Timestamp(base))?;
        for frame in cluster {
            let at = i16::try_from(frame.time - base)?;
            let block = SimpleBlock::new_uncheked(
                &frame.data,
                frame.track,
                at,
                false,
                None,
                false,
                frame.key,
            );
            let block: MatroskaSpec = block.into();
            writer.write(&block)?;
        }
        writer.write(&MatroskaSpec::Cluster(Master::End))?;
    }
    writer.write(&MatroskaSpec::Segment(Master::End))?;
    writer.flush()?;
    Ok(())
}

/// The name in SDP and the clock rate of a codec.
fn encoding(codec: &str) -> Option<(&'static str, u32)> {
    match codec {
        "V_VP8" => Some(("VP8", 90_000)),
        "V_VP9" => Some(("VP9", 90_000)),
        "V_AV1" => Some(("AV1", 90_000)),
        "A_OPUS" => Some(("opus", 48_000)),
        _ => None,
    }
}

/// Appends the RTP packets of one frame to `packets`.
fn send(
    name: &str,
    frame: &Frame,
    timestamp: u32,
    sequence: &mut SequenceNumber,
    packets: &mut Vec<Bytes>,
) -> Result<(), Box<dyn Error>> {
    const MAX_PAYLOAD: usize = 1100;
    let payload_type = PayloadType::try_from(96)?;
    let mut payloads: Vec<(Vec<u8>, bool)> = Vec::new();
    let mut cut = |packetizer: &mut dyn Packetize| {
        let mut payload = Vec::new();
        while let Some(last) = packetizer.write_next(&mut payload) {
            payloads.push((std::mem::take(&mut payload), last));
        }
    };
    match name {
        "VP8" => cut(&mut vp8::Packetizer::new(
            &frame.data,
            &vp8::Descriptor::default(),
            MAX_PAYLOAD,
        )?),
        "VP9" => {
            let descriptor = vp9::Descriptor {
                inter_picture: !frame.key,
                ..vp9::Descriptor::default()
            };
            cut(&mut vp9::Packetizer::new(
                &frame.data,
                &descriptor,
                None,
                true,
                MAX_PAYLOAD,
            )?);
        }
        "AV1" => cut(&mut av1::Packetizer::new(&frame.data, MAX_PAYLOAD)?),
        _ => payloads.push((frame.data.clone(), false)),
    }
    for (payload, marker) in payloads {
        let mut header = Header::new(payload_type, *sequence, timestamp, Ssrc(1));
        header.marker = marker;
        let mut packet = Vec::new();
        let mut writer = PacketWriter::new(&mut packet, &header);
        writer.payload(&payload);
        writer.finish();
        packets.push(packet.into());
        *sequence = sequence.next();
    }
    Ok(())
}

/// Takes the frames of one track through RTP and back; packets change places on the way.
pub(crate) fn through_rtp(track: &Track, frames: &[Frame]) -> Result<Vec<Frame>, Box<dyn Error>> {
    let Some((name, clock)) = encoding(&track.codec) else {
        return Ok(Vec::new());
    };
    let ticks_a_ms = clock / 1000;
    let mut sequence = SequenceNumber(65_000);
    let mut packets = Vec::new();
    for frame in frames.iter().filter(|f| f.track == track.number) {
        let timestamp = u32::try_from(frame.time)?.wrapping_mul(ticks_a_ms);
        send(name, frame, timestamp, &mut sequence, &mut packets)?;
    }
    for pair in packets.get_mut(1..).unwrap_or(&mut []).chunks_exact_mut(3) {
        pair.swap(0, 2);
    }
    let now = Instant::now();
    let mut receiver = StreamReceiver::new(StreamReceiverConfig::audio(Ssrc(1), clock), now);
    let format = AnyDepacketizer::for_encoding(name).ok_or("no such format")?;
    receiver.set_format(PayloadType::try_from(96)?, format);
    let mut received = Vec::new();
    for packet in packets {
        receiver.on_packet(now, packet)?;
        while let Some(frame) = receiver.poll_frame(now) {
            received.push(Frame {
                track: track.number,
                time: u64::from(frame.timestamp / ticks_a_ms),
                key: frame.info.is_key_frame(),
                data: frame.data.to_vec(),
            });
        }
    }
    Ok(received)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: webm IN OUT".into());
    };
    let (mut tracks, frames) = read(&mut std::fs::File::open(from)?)?;
    tracks.retain(|t| encoding(&t.codec).is_some());
    let mut received = Vec::new();
    for track in &tracks {
        received.extend(through_rtp(track, &frames)?);
    }
    received.sort_by_key(|f| f.time);
    write(&mut std::fs::File::create(to)?, &tracks, &received)?;
    println!("{} of {} frames", received.len(), frames.len());
    Ok(())
}
