//! Media files: WebM read, taken through RTP and written again, and read by ffmpeg.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod media;
#[allow(dead_code)]
#[path = "../examples/webm.rs"]
mod webm;

use std::process::Command;

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
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-xerror", "-i"])
        .arg(&again)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && errors.is_empty(), "{errors}");
}
