//! ffmpeg at the other end: its packets come out as the frames it sent, ours are read by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod media;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use media::{AV1, Codec, G722, H264, H264_SLICES, H265, L16, OPUS, PCMA, PCMU, PT, VP8, VP9};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_rtp::rtcp::Writer;
use tincan_rtp::{Packet, Ssrc, is_rtcp};

const MTUS: [usize; 3] = [300, 1200, 1472];

/// Arguments that have ffmpeg read a file of the codec.
fn input(codec: &Codec, path: &Path) -> Vec<String> {
    let mut args: Vec<&str> = match codec.name {
        "PCMU" => vec!["-f", "mulaw", "-ar", "8000"],
        "PCMA" => vec!["-f", "alaw", "-ar", "8000"],
        "G722" => vec!["-f", "g722"],
        "L16" => vec!["-f", "s16be", "-ar", "44100", "-ac", "2"],
        "H264" | "H265" => vec!["-framerate", "30"],
        _ => vec![],
    };
    args.extend(["-i", path.to_str().unwrap()]);
    args.into_iter().map(str::to_owned).collect()
}

/// What ffmpeg sends of a file, and whether all of it came.
fn captured(codec: &Codec, path: &Path, mtu: usize, rate: &str) -> (Vec<Vec<u8>>, bool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    // The size counts RTP and not UDP and IP. Its control packets go to a port of their own where
    // nobody listens.
    let url = format!("rtp://127.0.0.1:{port}?pkt_size={}", mtu - 28);
    let flags = match codec.file {
        file if file == H264_SLICES.file => "skip_rtcp+h264_mode0",
        _ => "skip_rtcp",
    };
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-readrate", rate])
        .args(input(codec, path))
        .args(["-c", "copy", "-strict", "experimental", "-rtpflags", flags])
        .args(["-payload_type", &PT.to_string(), "-f", "rtp", &url])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut packets = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) if is_rtcp(&buffer[..len]) => {}
            Ok(len) => packets.push(buffer[..len].to_vec()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(child.wait().unwrap().success());
    let whole = consecutive(&packets) && queue(port).is_none_or(|(_, dropped)| dropped == 0);
    (packets, whole)
}

/// Whether no packet is missing between the first and the last.
fn consecutive(packets: &[Vec<u8>]) -> bool {
    let number = |p: &Vec<u8>| Packet::parse(p).unwrap().sequence_number();
    packets
        .windows(2)
        .all(|w| number(&w[1]).distance_from(number(&w[0])) == 1)
}

fn their_packets(codec: &Codec) {
    if !media::have("ffmpeg", "-version") {
        return;
    }
    let Some(path) = media::make(codec, "ffmpeg-out") else {
        return;
    };
    let sent = media::read(codec, &path);
    for mtu in MTUS {
        // A sound packet's length is its time's and not the MTU's; ffmpeg cuts none.
        if codec.name == "opus" && mtu == 300 {
            continue;
        }
        if mtu < 1200 && codec.file == H264_SLICES.file {
            // A macroblock alone may be larger.
            continue;
        }
        // The kernel drops datagrams when this machine is busy: then once more, slower.
        let mut packets = Vec::new();
        for rate in ["16", "4", "1", "1", "1"] {
            let whole;
            (packets, whole) = captured(codec, &path, mtu, rate);
            if whole {
                break;
            }
        }
        assert!(packets.iter().all(|p| p.len() + 28 <= mtu));
        let view = Packet::parse(&packets[0]).unwrap();
        assert_eq!(view.payload_type().get(), PT);
        if codec.file == H264_SLICES.file {
            // Mode 0: NAL units, none cut and none together.
            let kind = |p: &Vec<u8>| Packet::parse(p).unwrap().payload()[0] & 0x1f;
            assert!(packets.iter().all(|p| (1..24).contains(&kind(p))));
        }
        media::compare(codec, &media::receive(codec, &packets), &sent);
        let mut rng = StdRng::seed_from_u64(mtu as u64);
        media::shuffle(&mut packets, 20, true, &mut rng);
        media::compare(codec, &media::receive(codec, &packets), &sent);
        println!(
            "{} {mtu}: {} packets, {} frames",
            codec.name,
            packets.len(),
            sent.len()
        );
    }
}

fn description(codec: &Codec, port: u16) -> String {
    let kind = if codec.channels == 0 {
        "video"
    } else {
        "audio"
    };
    let channels = match codec.channels {
        0 | 1 => String::new(),
        n => format!("/{n}"),
    };
    format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m={kind} {port} RTP/AVP {PT}\r\na=rtpmap:{PT} {}/{}{channels}\r\n",
        codec.name, codec.clock
    )
}

/// An even port whose neighbour is free as well, for RTCP: below those that systems give to whoever asks for any, and no
/// pair twice, so that nobody takes one before ffmpeg does.
fn two_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 64) as u16 * 256;
    loop {
        let port = first + 2 * (NEXT.fetch_add(1, Ordering::Relaxed) % 128);
        let free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return port;
        }
    }
}

/// Starts ffmpeg as a receiver; returns it, the file it writes and its port.
fn receiver(codec: &Codec, tag: &str) -> (Child, PathBuf, u16) {
    let port = two_ports();
    let folder = media::folder();
    let sdp = folder.join(format!("{tag}.sdp"));
    std::fs::write(&sdp, description(codec, port)).unwrap();
    let output = folder.join(format!("{tag}-received.{}", codec.file));
    let format = codec.encode.last().unwrap();
    let child = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-xerror"])
        .args([
            "-protocol_whitelist",
            "file,udp,rtp",
            "-buffer_size",
            "4000000",
        ])
        .args(["-max_delay", "20000000", "-reorder_queue_size", "500"])
        .args(["-analyzeduration", "500000"])
        .args(["-f", "sdp", "-i", sdp.to_str().unwrap()])
        // It marks no key frames of VP9, and would wait for one.
        .args([
            "-copyinkf",
            "-c",
            "copy",
            "-f",
            format,
            output.to_str().unwrap(),
        ])
        // The same decoded: nothing may be wrong.
        .args(["-f", "null", "-"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, output, port)
}

/// Octets of memory that wait on the socket bound to a UDP port, and packets that it dropped; `None`
/// when nobody has bound it.
fn queue(port: u16) -> Option<(u64, u64)> {
    let wanted = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/udp").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if !fields.get(1)?.ends_with(&wanted) {
            return None;
        }
        let (_, waiting) = fields.get(4)?.split_once(':')?;
        let dropped = fields.last()?.parse().ok()?;
        Some((u64::from_str_radix(waiting, 16).ok()?, dropped))
    })
}

fn our_packets(codec: &Codec) {
    if !media::have("ffmpeg", "-version") {
        return;
    }
    let Some(path) = media::make(codec, "ffmpeg-in") else {
        return;
    };
    let sent = media::read(codec, &path);
    for mtu in MTUS {
        if mtu < 1200 && codec.file == H264_SLICES.file {
            // A macroblock alone may be larger.
            continue;
        }
        let mut packets = media::packets(codec, &sent, mtu);
        let mut rng = StdRng::seed_from_u64(mtu as u64);
        // ffmpeg takes copies for packets of their own.
        media::shuffle(&mut packets, 5, false, &mut rng);
        let tag = format!("in-{}-{mtu}", codec.file);
        let (mut child, output, port) = receiver(codec, &tag);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = |micros: u64| {
            // Nothing comes on this socket: the time-out paces us.
            let timeout = Duration::from_micros(micros);
            socket.set_read_timeout(Some(timeout)).unwrap();
            let _ = socket.recv(&mut [0; 16]);
        };
        while queue(port).is_none() {
            assert!(child.try_wait().unwrap().is_none(), "ffmpeg ended");
            pause(5000);
        }
        for burst in packets.chunks(16) {
            for packet in burst {
                socket.send_to(packet, ("127.0.0.1", port)).unwrap();
            }
            // As fast as it reads: nothing is lost however busy this machine is.
            while queue(port).is_some_and(|(waiting, _)| waiting > 30_000) {
                pause(500);
            }
        }
        let dropped = queue(port).map_or(0, |(_, dropped)| dropped);
        assert_eq!(
            dropped, 0,
            "{} {mtu}: the kernel dropped packets",
            codec.name
        );
        // A goodbye ends it at once, whatever still waits.
        while queue(port).is_some_and(|(waiting, _)| waiting > 0) {
            pause(1000);
        }
        let mut bye = Vec::new();
        let mut writer = Writer::new(&mut bye);
        writer.receiver_report(Ssrc(0x5eed), []);
        writer.goodbye(&[Ssrc(0x5eed)], b"").unwrap();
        // The receiver takes a while to look at the last packets: two minutes at most.
        let mut patience = 1200;
        while child.try_wait().unwrap().is_none() {
            pause(100_000);
            patience -= 1;
            if patience == 0 {
                child.kill().unwrap();
            }
            let _ = socket.send_to(&bye, ("127.0.0.1", port + 1));
        }
        let result = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "{} {mtu}: {errors}", codec.name);
        assert_eq!(errors, "", "{} {mtu}", codec.name);
        media::compare(codec, &media::read(codec, &output), &sent);
        println!(
            "{} {mtu}: {} packets, {} frames",
            codec.name,
            packets.len(),
            sent.len()
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
    h264_of_mode_0: H264_SLICES,
    h265: H265,
    opus: OPUS,
    pcmu: PCMU,
    pcma: PCMA,
    g722: G722,
    l16: L16,
}

/// This ffmpeg packs no AV1; its encoder's temporal units go through both our ends and back into
/// its decoder.
#[test]
fn av1_of_a_real_encoder_survives_our_two_ends() {
    if !media::have("ffmpeg", "-version") {
        return;
    }
    let Some(path) = media::make(&AV1, "ffmpeg-both") else {
        return;
    };
    let sent = media::read(&AV1, &path);
    for mtu in MTUS {
        let mut packets = media::packets(&AV1, &sent, mtu);
        let mut rng = StdRng::seed_from_u64(mtu as u64);
        media::shuffle(&mut packets, 20, true, &mut rng);
        let frames = media::receive(&AV1, &packets);
        media::compare(&AV1, &frames, &sent);
        let delimited: Vec<Vec<u8>> = frames
            .iter()
            .map(|f| [&tincan_rtp::format::av1::TEMPORAL_DELIMITER[..], f].concat())
            .collect();
        let file = media::folder().join(format!("av1-{mtu}.ivf"));
        media::write_ivf(&file, b"AV01", &delimited);
        let decode = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-xerror", "-i"])
            .arg(&file)
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&decode.stderr);
        assert!(decode.status.success() && errors.is_empty(), "{errors}");
    }
}
