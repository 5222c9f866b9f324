//! Codec parameters: what is known becomes a value, what is not is kept.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

mod common;

use common::corpus;
use tincan_sdp::codec::{
    CodecParameters, H264, Opus, Parameters, ProfileLevelId, Red, Rtx, TelephoneEvent, Vp9,
};
use tincan_sdp::{PayloadType, SessionDescription};

#[test]
fn every_codec_has_its_type_and_writes_what_it_read() {
    let cases = [
        ("VP8", "max-fr=30;max-fs=3600"),
        ("vp9", "max-fr=30;max-fs=3600;profile-id=2"),
        (
            "H264",
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
        (
            "H264",
            "packetization-mode=0;profile-level-id=42E01F;sprop-parameter-sets=Z0IACpZ=,aMlji==;own=1",
        ),
        ("H265", "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"),
        (
            "H265",
            "profile-space=0;interop-constraints=000000000000;sprop-vps=QAEMA==",
        ),
        ("AV1", "level-idx=5;profile=0;tier=0"),
        (
            "opus",
            "maxplaybackrate=48000;minptime=10;stereo=1;useinbandfec=1",
        ),
        (
            "opus",
            "sprop-maxcapturerate=16000;maxaveragebitrate=20000;sprop-stereo=0;cbr=0;usedtx=1",
        ),
        ("rtx", "apt=96;rtx-time=3000"),
        ("red", "111/111/111"),
        ("red", ""),
        ("telephone-event", "0-15,66,70"),
        ("flexfec-03", "repair-window=10000000"),
        ("H263-2000", "profile=3;level=10"),
        ("isac", "maxbitrate=32000"),
        ("iLBC", "mode=20"),
        ("AMR-WB", "octet-align=1;mode-set=0,1,2"),
        ("G723", "annexa=no;bitrate=6.3"),
        ("G729", "annexb=yes"),
        ("L16", "channel-order=DV.LRLsRs"),
    ];
    for (name, text) in cases {
        let parameters = CodecParameters::read(name, text);
        assert!(!matches!(parameters, CodecParameters::Other(_)), "{name}");
        assert_eq!(parameters.to_string(), text, "{name}");
    }
    for (name, text) in [
        ("PCMU", ""),
        ("ulpfec", ""),
        ("own", "a=1;b;c=2=3"),
        ("red", "111/x"),
        ("telephone-event", "15-0"),
        ("telephone-event", "x"),
    ] {
        let parameters = CodecParameters::read(name, text);
        assert!(
            matches!(parameters, CodecParameters::Other(_)),
            "{name} {text}"
        );
        assert_eq!(parameters.to_string(), text, "{name}");
    }
}

#[test]
fn values_mean_what_they_say() {
    let h264 =
        H264::read("Profile-Level-Id=640c1f; packetization-mode=1 ;level-asymmetry-allowed=1");
    assert_eq!(
        h264.profile_level_id,
        Some(ProfileLevelId::new(0x64, 0x0c, 0x1f))
    );
    assert_eq!(h264.packetization_mode, Some(1));
    assert_eq!(h264.level_asymmetry_allowed, Some(true));
    assert!(h264.others.is_empty());
    let opus = Opus::read("stereo=1;useinbandfec=0;minptime=10");
    assert_eq!(opus.stereo, Some(true));
    assert_eq!(opus.use_in_band_fec, Some(false));
    assert_eq!(opus.use_dtx, None);
    assert_eq!(Vp9::read("").profile_id, None);
    assert_eq!(Rtx::read("apt=96").apt, PayloadType::new(96));
    assert_eq!(Red::read("63/63").unwrap().payload_types.len(), 2);
    let events = TelephoneEvent::read("0-15,66").unwrap();
    assert!(events.contains(0) && events.contains(15) && events.contains(66));
    assert!(!events.contains(16) && !events.contains(65));
    assert!(TelephoneEvent::read("").unwrap().contains(11));
}

/// Empty parameters around a list once made it unknown when read and known when read again.
#[test]
fn lists_are_read_alike_with_and_without_separators() {
    for text in [
        "0-15,66",
        " 0-15,66 ;",
        ";0-15,66",
        "events=0-15,66",
        "events = 0-15, 66;;",
    ] {
        let read = CodecParameters::read("telephone-event", text);
        assert_eq!(read.to_string(), "0-15,66", "{text}");
        assert!(matches!(read, CodecParameters::TelephoneEvent(_)), "{text}");
    }
    assert_eq!(CodecParameters::read("red", "; 1/2;").to_string(), "1/2");
    assert!(Red::read("1/2;3").is_none());
}

#[test]
fn what_makes_no_sense_is_kept() {
    for text in [
        "packetization-mode=x",
        "packetization-mode=01",
        "profile-level-id=42e0",
        "profile-level-id=42E01f",
        "level-asymmetry-allowed=true",
        "packetization-mode",
        "max-fs=99999999999",
    ] {
        let h264 = H264::read(text);
        assert_eq!(h264.others.len(), 1, "{text}");
        assert_eq!(h264.to_string(), text);
    }
    let rtx = Rtx::read("apt=200;apt=96");
    assert_eq!(rtx.apt, None);
    assert_eq!(rtx.to_string(), "apt=200;apt=96");
}

#[test]
fn parameters_are_edited_by_key_in_any_case() {
    let mut parameters = Parameters::read(" a=1; B = 2 ;c;; ");
    assert_eq!(parameters.to_string(), "a=1;B=2;c");
    assert_eq!(
        (parameters.get("b"), parameters.get("c")),
        (Some("2"), None)
    );
    assert!(parameters.contains("C") && !parameters.contains("d"));
    parameters.set("b", 3);
    parameters.set("d", "x");
    assert!(parameters.remove("A") && !parameters.remove("A"));
    assert_eq!(parameters.to_string(), "B=3;c;d=x");
}

/// Browsers write parameters in the order of our fields, so that ours and theirs compare as text.
#[test]
fn browsers_parameters_are_written_as_they_were() {
    let browsers = corpus();
    let mut seen = 0;
    for (path, text) in browsers
        .iter()
        .filter(|(path, _)| path.starts_with("chromium/"))
    {
        for media in SessionDescription::parse(text).unwrap().media {
            for fmtp in media.fmtps().flatten() {
                let map = media.rtpmap(fmtp.payload_type().unwrap()).unwrap();
                let parameters = fmtp.codec_parameters(&map);
                assert_eq!(
                    parameters.to_string(),
                    fmtp.parameters,
                    "{path}: {}",
                    map.encoding
                );
                assert!(
                    !matches!(parameters, CodecParameters::Other(_)),
                    "{path}: {}",
                    map.encoding
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 500);
}

/// Found by fuzzing: nothing but white space after the name is no attributes, and reads back as it was written.
#[test]
fn an_extmap_with_trailing_white_space_has_no_attributes() {
    let read: tincan_sdp::ExtMap = "5 urn:x\t\t".parse().unwrap();
    assert_eq!(read.attributes, None);
    assert_eq!(
        read.to_string().parse::<tincan_sdp::ExtMap>().unwrap(),
        read
    );
}
