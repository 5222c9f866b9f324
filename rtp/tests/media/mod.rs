//! Media for tests: files that ffmpeg makes, read into frames, and the two ends of a transport.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::RngExt;
use rand::rngs::StdRng;
use tincan_rtp::format::nal::NalUnits;
use tincan_rtp::format::{
    AnyDepacketizer, Depacketize, Input, Packetize, av1, h264, h265, vp8, vp9,
};
use tincan_rtp::receive::{ReorderBuffer, ReorderConfig};
use tincan_rtp::{
    Header, Packet, PacketWriter, PayloadType, SequenceNumber, SequenceUnwrapper, Ssrc,
};

/// The payload type tests use.
pub const PT: u8 = 96;

/// Seconds of media: a few, or as TINCAN_MEDIA_SECONDS says.
pub fn seconds() -> u32 {
    std::env::var("TINCAN_MEDIA_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1)
}

/// Whether a program is there; says so when it is not.
pub fn have(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A codec under test.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Name in SDP.
    pub name: &'static str,
    /// Clock rate, and channels of sound.
    pub clock: u32,
    pub channels: u8,
    /// Ending of the file it is kept in, and arguments of ffmpeg that make it.
    pub file: &'static str,
    pub encode: &'static [&'static str],
}

pub const VP8: Codec = Codec {
    name: "VP8",
    clock: 90_000,
    channels: 0,
    file: "vp8.ivf",
    encode: &[
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-b:v",
        "600k",
        "-f",
        "ivf",
    ],
};
pub const VP9: Codec = Codec {
    name: "VP9",
    clock: 90_000,
    channels: 0,
    file: "vp9.ivf",
    // No frames that are not shown: those come as superframes of several.
    encode: &[
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-b:v",
        "600k",
        "-auto-alt-ref",
        "0",
        "-lag-in-frames",
        "0",
        "-f",
        "ivf",
    ],
};
pub const H264: Codec = Codec {
    name: "H264",
    clock: 90_000,
    channels: 0,
    file: "h264",
    encode: &[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-b:v",
        "600k",
        "-f",
        "h264",
    ],
};
/// In slices that fit usual packets: what packetization mode 0 wants, in which no NAL unit is cut (RFC 6184 §6.2).
pub const H264_SLICES: Codec = Codec {
    file: "slices.h264",
    encode: &[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-b:v",
        "600k",
        "-x264-params",
        "slice-max-size=1000",
        "-f",
        "h264",
    ],
    ..H264
};
pub const H265: Codec = Codec {
    name: "H265",
    clock: 90_000,
    channels: 0,
    file: "hevc",
    encode: &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:bframes=0",
        "-pix_fmt",
        "yuv420p",
        "-f",
        "hevc",
    ],
};
pub const AV1: Codec = Codec {
    name: "AV1",
    clock: 90_000,
    channels: 0,
    file: "av1.ivf",
    encode: &["-c:v", "libsvtav1", "-preset", "12", "-f", "ivf"],
};
pub const OPUS: Codec = Codec {
    name: "opus",
    clock: 48_000,
    channels: 2,
    file: "ogg",
    encode: &["-c:a", "libopus", "-ac", "2", "-ar", "48000", "-f", "ogg"],
};
pub const PCMU: Codec = Codec {
    name: "PCMU",
    clock: 8000,
    channels: 1,
    file: "ul",
    encode: &[
        "-c:a",
        "pcm_mulaw",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "mulaw",
    ],
};
pub const PCMA: Codec = Codec {
    name: "PCMA",
    clock: 8000,
    channels: 1,
    file: "al",
    encode: &["-c:a", "pcm_alaw", "-ac", "1", "-ar", "8000", "-f", "alaw"],
};
pub const G722: Codec = Codec {
    name: "G722",
    clock: 8000,
    channels: 1,
    file: "g722",
    encode: &["-c:a", "g722", "-ac", "1", "-ar", "16000", "-f", "g722"],
};
pub const L16: Codec = Codec {
    name: "L16",
    clock: 44_100,
    channels: 2,
    file: "s16be",
    encode: &[
        "-c:a",
        "pcm_s16be",
        "-ac",
        "2",
        "-ar",
        "44100",
        "-f",
        "s16be",
    ],
};

/// Where tests keep their files.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Has ffmpeg make a file of synthetic pictures or sound; `None`, with the reason printed, when
/// this ffmpeg cannot.
pub fn make(codec: &Codec, tag: &str) -> Option<PathBuf> {
    let path = folder().join(format!("{tag}-{}s.{}", seconds(), codec.file));
    let source = if codec.channels == 0 {
        format!("testsrc2=size=256x144:rate=30:duration={}", seconds())
    } else {
        format!("sine=frequency=440:beep_factor=3:duration={}", seconds())
    };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &source]);
    if codec.channels == 0 {
        command.args(["-g", "30"]);
    }
    let output = command.args(codec.encode).arg(&path).output().unwrap();
    if !output.status.success() {
        println!(
            "skipped: this ffmpeg makes no {}: {}",
            codec.name,
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    Some(path)
}

/// The frames of an IVF file.
pub fn read_ivf(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    assert_eq!(&file[..4], b"DKIF");
    let mut at = usize::from(u16::from_le_bytes([file[6], file[7]]));
    let mut frames = Vec::new();
    while at + 12 <= file.len() {
        let len = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        frames.push(file[at + 12..at + 12 + len].to_vec());
        at += 12 + len;
    }
    frames
}

/// Writes frames as an IVF file.
pub fn write_ivf(path: &Path, fourcc: &[u8; 4], frames: &[Vec<u8>]) {
    let mut file = b"DKIF\0\0\x20\0".to_vec();
    file.extend_from_slice(fourcc);
    file.extend_from_slice(&256u16.to_le_bytes());
    file.extend_from_slice(&144u16.to_le_bytes());
    file.extend_from_slice(&30u32.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&(frames.len() as u32).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    for (n, frame) in frames.iter().enumerate() {
        file.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        file.extend_from_slice(&(n as u64).to_le_bytes());
        file.extend_from_slice(frame);
    }
    std::fs::write(path, file).unwrap();
}

/// The packets of an Ogg/Opus file, without its two headers (RFC 7845).
pub fn read_ogg_opus(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data);
    }
    assert!(packets[0].starts_with(b"OpusHead"));
    packets.drain(..2);
    packets
}

/// The first header of an Ogg/Opus file: its channels and what to skip (RFC 7845 §5.1).
pub fn ogg_opus_head(path: &Path) -> Vec<u8> {
    let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
    reader.read_packet_expected().unwrap().data
}

/// Writes Opus packets of 20 ms behind such a header as an Ogg/Opus file (RFC 7845).
pub fn write_ogg_opus(path: &Path, head: &[u8], packets: &[Vec<u8>]) {
    use ogg::PacketWriteEndInfo::{EndPage, EndStream, NormalPacket};
    const SERIAL: u32 = 7;
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&4u32.to_le_bytes());
    tags.extend_from_slice(b"none");
    tags.extend_from_slice(&0u32.to_le_bytes());
    let mut writer = ogg::PacketWriter::new(std::fs::File::create(path).unwrap());
    writer
        .write_packet(head.to_vec(), SERIAL, EndPage, 0)
        .unwrap();
    writer.write_packet(tags, SERIAL, EndPage, 0).unwrap();
    for (n, packet) in packets.iter().enumerate() {
        let end = match n + 1 {
            all if all == packets.len() => EndStream,
            second if second % 50 == 0 => EndPage,
            _ => NormalPacket,
        };
        // Samples at 48 kHz up to the packet's end (RFC 7845 §4).
        let position = 960 * (n as u64 + 1);
        writer
            .write_packet(packet.clone(), SERIAL, end, position)
            .unwrap();
    }
}

/// The encoded frames of a file: pictures or packets; for sound that can be cut anywhere, 20 ms
/// each.
pub fn read(codec: &Codec, path: &Path) -> Vec<Vec<u8>> {
    match codec.name {
        "VP8" | "VP9" | "AV1" => read_ivf(path),
        "opus" => read_ogg_opus(path),
        "H264" | "H265" => access_units(codec, &std::fs::read(path).unwrap()),
        _ => {
            let bytes_per_20ms = match codec.name {
                "L16" => 882 * 4,
                _ => 160,
            };
            let file = std::fs::read(path).unwrap();
            file.chunks(bytes_per_20ms).map(<[u8]>::to_vec).collect()
        }
    }
}

/// Splits a byte stream into access units, each with start codes of four octets. Encoders here make
/// slices whose first octet tells the first of a picture.
pub fn access_units(codec: &Codec, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut has_slice = true;
    for unit in NalUnits::new(stream) {
        let (slice, first) = match codec.name {
            "H264" => (matches!(unit[0] & 0x1f, 1..=5), unit[1] & 0x80 != 0),
            _ => ((unit[0] >> 1) & 0x3f < 32, unit[2] & 0x80 != 0),
        };
        if has_slice && (!slice || first) {
            units.push(Vec::new());
            has_slice = false;
        }
        has_slice |= slice;
        let au = units.last_mut().unwrap();
        au.extend_from_slice(&[0, 0, 0, 1]);
        au.extend_from_slice(unit);
    }
    units
}

/// Ticks of the RTP clock that a frame lasts.
fn ticks(codec: &Codec, frame: &[u8]) -> u32 {
    match codec.name {
        "opus" => tincan_rtp::format::opus::PacketInfo::parse(frame)
            .unwrap()
            .ticks(),
        "L16" => (frame.len() / 4) as u32,
        "PCMU" | "PCMA" | "G722" => frame.len() as u32,
        _ => 3000,
    }
}

/// Our packets of all frames, at an MTU of UDP over IPv4.
pub fn packets(codec: &Codec, frames: &[Vec<u8>], mtu: usize) -> Vec<Vec<u8>> {
    let max = mtu - 28 - 12;
    let mut sequence = SequenceNumber(65_500);
    let mut timestamp = 0xffff_0000u32;
    let mut all = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let mut run = |packetizer: &mut dyn Packetize| {
            let mut payload = Vec::new();
            while let Some(last) = packetizer.write_next(&mut payload) {
                let pt = PayloadType::new(PT).unwrap();
                let mut header = Header::new(pt, sequence, timestamp, Ssrc(0x5eed));
                header.marker = last && codec.channels == 0;
                let mut packet = Vec::new();
                let mut writer = PacketWriter::new(&mut packet, &header);
                writer.payload(&payload);
                writer.finish();
                assert!(packet.len() + 28 <= mtu);
                all.push(packet);
                sequence = sequence.next();
                payload.clear();
            }
        };
        match codec.name {
            "VP8" => {
                let descriptor = vp8::Descriptor {
                    picture_id: Some(vp8::PictureId::Long(n as u16 & 0x7fff)),
                    ..vp8::Descriptor::default()
                };
                run(&mut vp8::Packetizer::new(frame, &descriptor, max).unwrap());
            }
            "VP9" => {
                let descriptor = vp9::Descriptor {
                    picture_id: Some(vp8::PictureId::Long(n as u16 & 0x7fff)),
                    // The uncompressed header: frame marker, profile, show existing, frame type.
                    inter_picture: frame[0] & 0x04 != 0,
                    ..vp9::Descriptor::default()
                };
                run(&mut vp9::Packetizer::new(frame, &descriptor, None, true, max).unwrap());
            }
            "H264" => {
                let mode = match codec.file == H264_SLICES.file {
                    true => h264::PacketizationMode::SingleNalUnit,
                    false => h264::PacketizationMode::NonInterleaved,
                };
                run(&mut h264::Packetizer::new(frame, mode, max).unwrap());
            }
            "H265" => run(&mut h265::Packetizer::new(frame, max).unwrap()),
            "AV1" => run(&mut av1::Packetizer::new(frame, max).unwrap()),
            _ => {
                // Sound that can be cut is cut to fit.
                let part = match codec.name {
                    "opus" => frame.len(),
                    "L16" => max / 4 * 4,
                    _ => max,
                };
                for part in frame.chunks(part.min(frame.len())) {
                    let pt = PayloadType::new(PT).unwrap();
                    let header = Header::new(pt, sequence, timestamp, Ssrc(0x5eed));
                    let mut packet = Vec::new();
                    let mut writer = PacketWriter::new(&mut packet, &header);
                    writer.payload(part);
                    writer.finish();
                    all.push(packet);
                    sequence = sequence.next();
                    timestamp = timestamp.wrapping_add(ticks(codec, part));
                }
                continue;
            }
        }
        timestamp = timestamp.wrapping_add(ticks(codec, frame));
    }
    all
}

/// Brings packets out of order, each at most `by` places; the first stays. With `copies` some come
/// twice.
pub fn shuffle(packets: &mut Vec<Vec<u8>>, by: usize, copies: bool, rng: &mut StdRng) {
    let mut keyed: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, packet) in packets.drain(..).enumerate() {
        let late = if at > 0 && rng.random_bool(0.2) {
            rng.random_range(0..=by)
        } else {
            0
        };
        if copies && rng.random_bool(0.01) {
            keyed.push((at + by, packet.clone()));
        }
        keyed.push((at + late, packet));
    }
    keyed.sort_by_key(|(at, _)| *at);
    packets.extend(keyed.into_iter().map(|(_, p)| p));
}

/// Puts packets through our reorder buffer and depacketizer; returns the frames.
pub fn receive(codec: &Codec, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let now = std::time::Instant::now();
    let mut buffer = ReorderBuffer::new(ReorderConfig::default());
    let mut unwrapper = SequenceUnwrapper::new();
    let mut depacketizer = AnyDepacketizer::for_encoding(codec.name).unwrap();
    let mut frames = Vec::new();
    for packet in packets {
        let view = Packet::parse(packet).unwrap();
        let sequence = unwrapper.unwrap(view.sequence_number());
        buffer.insert(now, sequence, packet.len(), packet.clone());
        while let Some(delivery) = buffer.poll(now) {
            assert_eq!(delivery.lost_before, 0);
            let view = Packet::parse(&delivery.packet).unwrap();
            let input = Input {
                sequence: delivery.sequence,
                timestamp: view.timestamp(),
                marker: view.marker(),
                payload: view.payload(),
            };
            depacketizer.push(&input).unwrap();
            while let Some(frame) = depacketizer.poll_frame() {
                frames.push(frame.data.to_vec());
            }
        }
    }
    assert!(buffer.is_empty());
    assert_eq!(depacketizer.stats().malformed_packets, 0);
    frames
}

/// Fails unless the frames received are those sent. Sound that can be cut is compared as a whole,
/// byte streams by their NAL units (start codes may be of three or four octets), AV1 without
/// temporal delimiters.
pub fn compare(codec: &Codec, got: &[Vec<u8>], sent: &[Vec<u8>]) {
    let what = codec.name;
    match what {
        "PCMU" | "PCMA" | "G722" | "L16" => {
            assert!(got.concat() == sent.concat(), "{what}: sound differs");
        }
        _ => {
            assert_eq!(got.len(), sent.len(), "{what}: number of frames");
            for (n, (a, b)) in got.iter().zip(sent).enumerate() {
                let same = match what {
                    "H264" | "H265" => NalUnits::new(a).eq(NalUnits::new(b)),
                    "AV1" => *a == b.strip_prefix(&av1::TEMPORAL_DELIMITER).unwrap_or(b),
                    _ => a == b,
                };
                assert!(same, "{what}: frame {n} differs");
            }
        }
    }
}
