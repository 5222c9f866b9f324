//! Media files read, taken through RTP out of order and written again, and read by ffmpeg: WebM, IVF,
//! Ogg/Opus and byte streams with start codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod media;
#[allow(dead_code)]
#[path = "../examples/webm.rs"]
mod webm;

use std::path::Path;
use std::process::Command;

use media::{H264, OPUS, VP8};
use rand::{SeedableRng, rngs::StdRng};

/// ffmpeg decodes all of a file and has nothing to say about it.
fn assert_decodes(path: &Path) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && errors.is_empty(), "{errors}");
}

#[test]
fn ivf_ogg_and_byte_streams_survive_rtp_and_ffmpeg_reads_them() {
    if !media::have("ffmpeg", "-version") {
        return;
    }
    for codec in [VP8, OPUS, H264] {
        let Some(path) = media::make(&codec, &format!("files-{}", codec.name)) else {
            continue;
        };
        let frames = media::read(&codec, &path);
        assert!(frames.len() >= 25, "{}", codec.name);
        let mut packets = media::packets(&codec, &frames, 1200);
        media::shuffle(&mut packets, 4, true, &mut StdRng::seed_from_u64(3));
        let received = media::receive(&codec, &packets);
        let again = media::folder().join(format!("again-{}", codec.file));
        match codec.name {
            "VP8" => media::write_ivf(&again, b"VP80", &received),
            "opus" => media::write_ogg_opus(&again, &media::ogg_opus_head(&path), &received),
            _ => std::fs::write(&again, received.concat()).unwrap(),
        }
        media::compare(&codec, &media::read(&codec, &again), &frames);
        assert_decodes(&again);
    }
}

#[test]
fn a_webm_file_survives_rtp_and_ffmpeg_reads_it() {
    if !media::have("ffmpeg", "-version") {
        return;
    }
    let path = media::folder().join("source.webm");
    let seconds = media::seconds().to_string();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=256x144:rate=30")
        .args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", &seconds])
        .args(["-c:v", "libvpx", "-deadline", "realtime", "-g", "30"])
        .args(["-c:a", "libopus"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let (tracks, frames) = webm::read(&mut std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(tracks.len(), 2);
    let mut received = Vec::new();
    for track in &tracks {
        let sent: Vec<_> = frames.iter().filter(|f| f.track == track.number).collect();
        let got = webm::through_rtp(track, &frames).unwrap();
        assert_eq!(got.len(), sent.len(), "{}", track.codec);
        for (a, b) in got.iter().zip(sent) {
            assert_eq!((&a.data, a.time), (&b.data, b.time));
            assert!(a.key == b.key || track.codec == "A_OPUS");
        }
        received.extend(got);
    }
    received.sort_by_key(|f| f.time);
    let again = media::folder().join("again.webm");
    webm::write(
        &mut std::fs::File::create(&again).unwrap(),
        &tracks,
        &received,
    )
    .unwrap();
    let (tracks_again, frames_again) =
        webm::read(&mut std::fs::File::open(&again).unwrap()).unwrap();
    assert_eq!(tracks_again, tracks);
    assert_eq!(frames_again, received);
    assert_decodes(&again);
}
