//! GStreamer at the other end: its packets come out as the frames it sent, ours are read by it.
//!
//! Packets go through files, framed as RFC 4571 says, so that none is lost and nothing is timed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod media;

use std::path::Path;
use std::process::Command;

use media::{Codec, G722, H264, H265, L16, OPUS, PCMA, PCMU, PT, VP8, VP9};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_rtp::Packet;
use tincan_rtp::format::opus::PacketInfo;

const MTUS: [usize; 3] = [300, 1200, 1472];

/// Elements that read a file of the codec, pack it, and take it out of packets.
fn elements(codec: &Codec) -> (&'static str, &'static str, &'static str) {
    match codec.name {
        "VP8" => ("ivfparse", "rtpvp8pay", "rtpvp8depay"),
        "VP9" => ("ivfparse", "rtpvp9pay", "rtpvp9depay"),
        "H264" => (
            "h264parse",
            "rtph264pay aggregate-mode=zero-latency",
            "rtph264depay ! video/x-h264,stream-format=byte-stream,alignment=au",
        ),
        "H265" => (
            "h265parse",
            "rtph265pay aggregate-mode=zero-latency",
            "rtph265depay ! video/x-h265,stream-format=byte-stream,alignment=au",
        ),
        "opus" => ("oggdemux ! opusparse", "rtpopuspay", "rtpopusdepay"),
        "PCMU" => (
            "rawaudioparse format=mulaw sample-rate=8000 num-channels=1 ! audio/x-mulaw,rate=8000,channels=1",
            "rtppcmupay",
            "rtppcmudepay",
        ),
        "PCMA" => (
            "rawaudioparse format=alaw sample-rate=8000 num-channels=1 ! audio/x-alaw,rate=8000,channels=1",
            "rtppcmapay",
            "rtppcmadepay",
        ),
        "G722" => (
            "capsfilter caps=audio/G722,rate=16000,channels=1",
            "rtpg722pay",
            "rtpg722depay",
        ),
        _ => (
            "rawaudioparse pcm-format=s16be sample-rate=44100 num-channels=2",
            "rtpL16pay",
            "rtpL16depay",
        ),
    }
}

/// Elements that decode what came out of packets to raw pictures or sound.
fn decoder(codec: &Codec) -> &'static str {
    match codec.name {
        "VP8" => "vp8dec",
        "VP9" => "vp9dec",
        "H264" => "h264parse ! avdec_h264",
        "H265" => "h265parse ! avdec_h265",
        "opus" => "opusdec plc=false",
        "PCMU" => "mulawdec",
        "PCMA" => "alawdec",
        "G722" => "avdec_g722",
        _ => "audioconvert ! audio/x-raw,format=S16LE",
    }
}

/// Octets of all pictures or sound when each frame is decoded.
fn decoded_size(codec: &Codec, sent: &[Vec<u8>]) -> u64 {
    let octets = sent.concat().len() as u64;
    match codec.name {
        "VP8" | "VP9" | "H264" | "H265" => sent.len() as u64 * 256 * 144 * 3 / 2,
        // Two channels of sixteen bits.
        "opus" => sent
            .iter()
            .map(|p| u64::from(PacketInfo::parse(p).unwrap().ticks()) * 4)
            .sum(),
        "PCMU" | "PCMA" => octets * 2,
        // Two samples an octet.
        "G722" => octets * 4,
        _ => octets,
    }
}

/// Runs a pipeline; false, with the reason printed, when it fails.
fn launch(pipeline: &str) -> bool {
    let output = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || errors.contains("ERROR") {
        println!("{pipeline}\n{errors}");
        return false;
    }
    true
}

/// Packets of a file framed as RFC 4571 says.
fn read_framed(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut packets = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        packets.push(after[..len].to_vec());
        rest = &after[len..];
    }
    packets
}

fn their_packets(codec: &Codec) {
    if !media::have("gst-launch-1.0", "--version") || !media::have("ffmpeg", "-version") {
        return;
    }
    let Some(path) = media::make(codec, "gstreamer-out") else {
        return;
    };
    let sent = media::read(codec, &path);
    let (parse, pay, _) = elements(codec);
    for mtu in MTUS {
        let framed = media::folder().join(format!("gstreamer-{}-{mtu}.rtp", codec.name));
        let pipeline = format!(
            "filesrc location={} ! {parse} ! {pay} pt={PT} mtu={} ! rtpstreampay ! queue ! filesink buffer-mode=unbuffered location={}",
            path.display(),
            mtu - 28,
            framed.display()
        );
        assert!(launch(&pipeline), "{} {mtu}", codec.name);
        let mut packets = read_framed(&framed);
        assert!(!packets.is_empty());
        assert_eq!(Packet::parse(&packets[0]).unwrap().payload_type().get(), PT);
        compare(codec, &media::receive(codec, &packets), &sent);
        let mut rng = StdRng::seed_from_u64(mtu as u64);
        media::shuffle(&mut packets, 20, true, &mut rng);
        compare(codec, &media::receive(codec, &packets), &sent);
        println!(
            "{} {mtu}: {} packets, {} frames",
            codec.name,
            packets.len(),
            sent.len()
        );
    }
}

/// GStreamer's parsers may repeat parameter sets and put delimiters; pictures are compared without.
fn compare(codec: &Codec, got: &[Vec<u8>], sent: &[Vec<u8>]) {
    let pictures =
        |frames: &[Vec<u8>]| -> Vec<Vec<u8>> { frames.iter().map(|f| slices(codec, f)).collect() };
    match codec.name {
        "H264" | "H265" => media::compare(codec, &pictures(got), &pictures(sent)),
        _ => media::compare(codec, got, sent),
    }
}

/// The slices and messages of an access unit.
fn slices(codec: &Codec, frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in tincan_rtp::format::nal::NalUnits::new(frame) {
        let drop = match codec.name {
            "H264" => matches!(unit[0] & 0x1f, 7..=9),
            _ => matches!((unit[0] >> 1) & 0x3f, 32..=35),
        };
        if !drop {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(unit);
        }
    }
    out
}

fn our_packets(codec: &Codec) {
    if !media::have("gst-launch-1.0", "--version") || !media::have("ffmpeg", "-version") {
        return;
    }
    let Some(path) = media::make(codec, "gstreamer-in") else {
        return;
    };
    let sent = media::read(codec, &path);
    let (_, _, depay) = elements(codec);
    for mtu in MTUS {
        let mut packets = media::packets(codec, &sent, mtu);
        let mut rng = StdRng::seed_from_u64(mtu as u64);
        media::shuffle(&mut packets, 5, true, &mut rng);
        let mut framed = Vec::new();
        for packet in &packets {
            framed.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            framed.extend_from_slice(packet);
        }
        let input = media::folder().join(format!("ours-{}-{mtu}.rtp", codec.name));
        std::fs::write(&input, framed).unwrap();
        let output = media::folder().join(format!("ours-{}-{mtu}.out", codec.name));
        let decoded = media::folder().join(format!("ours-{}-{mtu}.decoded", codec.name));
        let kind = if codec.channels == 0 {
            "video"
        } else {
            "audio"
        };
        let channels = match codec.name {
            "L16" => ",channels=(int)2,encoding-params=(string)2",
            "opus" => ",encoding-params=(string)2",
            _ => "",
        };
        let caps = format!(
            "application/x-rtp-stream,media=(string){kind},clock-rate=(int){},encoding-name=(string){},payload=(int){PT}{channels}",
            codec.clock,
            codec.name.to_uppercase()
        );
        // What is out of order is waited for longer than a slow machine stalls, but at times so is the end. The first packet
        // is the first of all.
        let pipeline = format!(
            "filesrc location={} ! {caps} ! rtpstreamdepay ! rtpjitterbuffer latency=5000 faststart-min-packets=1 ! {depay} ! tee name=t \
             t. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! filesink location={} \
             t. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! {} ! filesink location={}",
            input.display(),
            output.display(),
            decoder(codec),
            decoded.display(),
        );
        assert!(launch(&pipeline), "{} {mtu}", codec.name);
        let size = std::fs::metadata(&decoded).unwrap().len();
        assert_eq!(size, decoded_size(codec, &sent), "{} {mtu}", codec.name);
        std::fs::remove_file(&decoded).unwrap();
        let got = std::fs::read(&output).unwrap();
        let whole = match codec.name {
            "H264" | "H265" => {
                let frames = media::access_units(codec, &got);
                compare(codec, &frames, &sent);
                continue;
            }
            _ => sent.concat(),
        };
        assert!(
            got == whole,
            "{} {mtu}: {} of {}",
            codec.name,
            got.len(),
            whole.len()
        );
        println!(
            "{} {mtu}: {} packets, {} octets",
            codec.name,
            packets.len(),
            got.len()
        );
    }
}

macro_rules! codecs {
    ($($name:ident: $codec:expr,)*) => {
        mod sends {
            use super::*;
            $(#[test] fn $name() { their_packets(&$codec); })*
        }
        mod receives {
            use super::*;
            $(#[test] fn $name() { our_packets(&$codec); })*
        }
    };
}

codecs! {
    vp8: VP8,
    vp9: VP9,
    h264: H264,
    h265: H265,
    opus: OPUS,
    pcmu: PCMU,
    pcma: PCMA,
    g722: G722,
    l16: L16,
}
