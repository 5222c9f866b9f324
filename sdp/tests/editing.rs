//! Edits: what is touched changes, what is not stays byte for byte.
#![allow(clippy::unwrap_used, clippy::panic)] // a test helper stops where it fails

mod common;

use common::corpus;
use tincan_sdp::codec::CodecParameters;
use tincan_sdp::{
    Attribute, Bandwidth, BandwidthKind, CandidateTransport, Connection, Direction, FeedbackKind,
    Fmtp, Group, LineKind, MediaDescription, MediaLine, Mid, Origin, PayloadType, RtcpFb, RtpMap,
    Section, SessionDescription, Ssrc, uri,
};

fn chromium(name: &str) -> SessionDescription {
    let path = format!("chromium/{name}.sdp");
    let (_, text) = corpus().into_iter().find(|(p, _)| *p == path).unwrap();
    SessionDescription::parse(&text).unwrap()
}

fn pt(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

#[test]
fn a_description_is_built_from_nothing() {
    let mut offer = SessionDescription::new(&Origin::new(4_962_303_333_179_871_722, 1));
    offer
        .session
        .push_attribute(Group::bundle([mid("0"), mid("1")]));
    offer.session.push_attribute(Attribute::ExtMapAllowMixed);
    let mut audio =
        MediaDescription::new(MediaLine::new("audio", 9, "UDP/TLS/RTP/SAVPF", [111, 0]));
    audio.push_attribute(mid("0"));
    audio.push_attribute(Direction::SendRecv);
    audio.push_attribute(RtpMap::new(pt(111), "opus", 48_000).with_channels(2));
    audio.push_attribute(RtcpFb::new(pt(111), FeedbackKind::TransportCc));
    audio.push_attribute(Fmtp::new(pt(111), "minptime=10;useinbandfec=1"));
    audio.push_attribute(Attribute::RtcpMux);
    // Lines that belong before the attributes go there, whenever they are set.
    audio.set_bandwidth(&Bandwidth {
        kind: BandwidthKind::ApplicationSpecific,
        value: 64,
    });
    audio.set_connection(&Connection::new([0, 0, 0, 0].into()));
    audio.set_information("voice");
    offer.media.push(audio);
    let mut data = MediaDescription::new(MediaLine::data_channel());
    data.push_attribute(mid("1"));
    data.set_connection(&Connection::new([0, 0, 0, 0].into()));
    offer.media.push(data);
    let text = offer.to_string();
    assert_eq!(
        text,
        "v=0\r\no=- 4962303333179871722 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
         a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\ni=voice\r\nc=IN IP4 0.0.0.0\r\nb=AS:64\r\n\
         a=mid:0\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-mux\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"
    );
    assert_eq!(SessionDescription::parse_strict(&text).unwrap(), offer);
}

#[test]
fn values_cannot_break_out_of_their_line() {
    let mut section = Section::new();
    section.push_attribute(Attribute::other("x", Some("1\r\na=ice-lite\r\n\0")));
    section.set_information("a\nb");
    assert!(!section.has("ice-lite"));
    assert_eq!(section.len(), 2);
    assert_eq!(section.value("x"), Some("1  a=ice-lite   "));
    assert_eq!(section.information(), Some("a b"));
    let line = MediaLine::new("au dio\r\n", 9, "", ["0\n1", ""]);
    assert_eq!(line.raw(), "m=audio 9 - 01 -\r\n");
}

#[test]
fn set_attribute_replaces_the_first_and_removes_the_rest() {
    let text = "v=0\r\na=mid:0\r\na=x\r\na=mid:1\r\na=midi:2\r\na=mi:3\r\n";
    let mut description = SessionDescription::parse(text).unwrap();
    description.session.set_attribute(mid("7"));
    assert_eq!(
        description.to_string(),
        "v=0\r\na=mid:7\r\na=x\r\na=midi:2\r\na=mi:3\r\n"
    );
    assert_eq!(description.session.remove_attribute("mi"), 1);
    assert_eq!(description.session.remove_attribute("mid"), 1);
    assert_eq!(description.session.remove_attribute("mid"), 0);
    assert_eq!(description.to_string(), "v=0\r\na=x\r\na=midi:2\r\n");
    description.session.set_attribute(mid("8"));
    assert_eq!(
        description.to_string(),
        "v=0\r\na=x\r\na=midi:2\r\na=mid:8\r\n"
    );
}

#[test]
fn an_open_last_line_is_closed_before_another_follows() {
    let mut description = SessionDescription::parse("v=0\na=x").unwrap();
    assert_eq!(description.to_string(), "v=0\na=x");
    let mut longer = description.clone();
    longer
        .media
        .push(MediaDescription::new(MediaLine::data_channel()));
    assert!(
        longer
            .to_string()
            .starts_with("v=0\na=x\r\nm=application 9 ")
    );
    description.session.push_attribute(Attribute::IceLite);
    assert_eq!(description.to_string(), "v=0\na=x\r\na=ice-lite\r\n");
    description.session.insert_attribute(1, Attribute::Cryptex);
    assert_eq!(
        description.to_string(),
        "v=0\na=cryptex\r\na=x\r\na=ice-lite\r\n"
    );

    let mut media = SessionDescription::parse("v=0\nm=audio 9 RTP/AVP 0").unwrap();
    media.media[0].push_attribute(mid("0"));
    assert_eq!(media.to_string(), "v=0\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n");
    media.media[0].line.set_port(0);
    assert_eq!(media.to_string(), "v=0\nm=audio 0 RTP/AVP 0\r\na=mid:0\r\n");

    // Removed while still open: what is pushed next stands alone.
    let mut gone = SessionDescription::parse("v=0\na=x").unwrap();
    gone.session.remove_attribute("x");
    gone.session.push_attribute(Attribute::IceLite);
    assert_eq!(gone.to_string(), "v=0\na=ice-lite\r\n");
}

#[test]
fn direction_is_set_in_its_place() {
    let mut description = chromium("audio-offer");
    let before = description.to_string();
    let audio = &mut description.media[0];
    assert_eq!(audio.direction(), Some(Direction::SendRecv));
    audio.set_direction(Direction::Inactive);
    assert_eq!(audio.direction(), Some(Direction::Inactive));
    assert_eq!(
        description.to_string(),
        before.replace("a=sendrecv\r\n", "a=inactive\r\n")
    );
    let text =
        "v=0\r\nm=audio 9 RTP/AVP 0\r\na=recvonly\r\na=x\r\na=sendonly\r\na=sendonly:not\r\n";
    let mut twice = SessionDescription::parse(text).unwrap();
    twice.media[0].set_direction(Direction::SendRecv);
    assert_eq!(
        twice.to_string(),
        "v=0\r\nm=audio 9 RTP/AVP 0\r\na=sendrecv\r\na=x\r\na=sendonly:not\r\n"
    );
}

#[test]
fn session_lines_fill_in_for_missing_ones() {
    let text = "v=0\r\na=ice-ufrag:sess\r\na=setup:actpass\r\na=recvonly\r\na=extmap:1 urn:s\r\n\
                a=fingerprint:own AA\r\nc=IN IP4 192.0.2.1\r\n\
                m=audio 9 RTP/AVP 0\r\na=ice-ufrag:mine\r\na=extmap:2 urn:m\r\n\
                m=video 9 RTP/AVP 0\r\na=setup:active\r\na=sendonly\r\na=fingerprint:own BB\r\n";
    let description = SessionDescription::parse(text).unwrap();
    let audio = description.effective(0).unwrap();
    assert_eq!(audio.ice_ufrag().unwrap().unwrap().as_str(), "mine");
    assert_eq!(audio.setup().unwrap(), Some(tincan_sdp::Setup::ActPass));
    assert_eq!(audio.direction(), Direction::RecvOnly);
    assert_eq!(audio.fingerprints().unwrap()[0].digest, [0xaa]);
    assert_eq!(audio.connection_ip(), Some([192, 0, 2, 1].into()));
    assert_eq!(audio.extmaps().flatten().count(), 2);
    let video = description.effective(1).unwrap();
    assert_eq!(video.ice_ufrag().unwrap().unwrap().as_str(), "sess");
    assert_eq!(video.setup().unwrap(), Some(tincan_sdp::Setup::Active));
    assert_eq!(video.direction(), Direction::SendOnly);
    assert_eq!(video.fingerprints().unwrap()[0].digest, [0xbb]);
    assert!(description.effective(2).is_none());
}

#[test]
fn codecs_come_with_all_that_is_said_of_them() {
    let offer = chromium("everything-offer");
    let audio = offer.media[0].codecs();
    assert_eq!(audio.len(), offer.media[0].formats().count());
    assert_eq!(audio[0].map.encoding, "opus");
    let CodecParameters::Opus(opus) = &audio[0].parameters else {
        panic!()
    };
    assert_eq!(
        (opus.min_ptime, opus.use_in_band_fec),
        (Some(10), Some(true))
    );
    assert_eq!(audio[0].feedback, [FeedbackKind::TransportCc]);
    let video = offer.media[1].codecs();
    let vp8 = &video[0];
    assert_eq!(vp8.map.encoding, "VP8");
    assert_eq!(vp8.feedback.len(), 5);
    assert_eq!(video[1].retransmits(), Some(vp8.payload_type()));

    let text = "v=0\r\nm=audio 9 RTP/AVP 0 0 96 97 8 96 x\r\na=rtpmap:96 a/1\r\na=rtpmap:96 b/1\r\n\
                a=rtcp-fb:* nack\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=fmtp:96 y\r\n";
    let codecs = SessionDescription::parse(text).unwrap().media[0].codecs();
    let names: Vec<_> = codecs
        .iter()
        .map(|codec| codec.map.encoding.as_str())
        .collect();
    assert_eq!(names, ["PCMU", "a", "PCMA"]);
    assert_eq!(
        codecs[1].feedback,
        [FeedbackKind::Nack, FeedbackKind::NackPli]
    );
    assert_eq!(codecs[0].feedback, [FeedbackKind::Nack]);
    assert_eq!(codecs[1].parameters.to_string(), "y");
}

#[test]
fn a_codec_goes_with_all_its_lines() {
    let mut offer = chromium("everything-offer");
    let video = &mut offer.media[1];
    let count = video.formats().count();
    let gone = video.retain_codecs(|map| map.is("VP8") || map.is("red"));
    assert!(gone > 0);
    assert_eq!(video.formats().count(), count - gone);
    let names: Vec<String> = video
        .codecs()
        .into_iter()
        .map(|codec| codec.map.encoding)
        .collect();
    assert_eq!(names, ["VP8", "rtx", "red", "rtx"]);
    for name in ["rtpmap", "fmtp", "rtcp-fb"] {
        for value in video.values(name) {
            let format = value.split(' ').next().unwrap();
            assert!(video.formats().any(|f| f == format), "{name}:{value}");
        }
    }
    // Everything else is as it was.
    assert!(video.has("ssrc-group") && video.has("rtcp-mux"));
    assert_eq!(video.remove_payload_types(&[pt(1)]), 0);
}

#[test]
fn a_preferred_codec_comes_first_with_its_retransmissions() {
    let mut offer = chromium("everything-offer");
    let video = &mut offer.media[1];
    let before: Vec<String> = video.formats().map(str::to_owned).collect();
    assert!(video.prefer_codec("vp9"));
    let codecs = video.codecs();
    let names: Vec<_> = codecs
        .iter()
        .take(4)
        .map(|codec| codec.map.encoding.as_str())
        .collect();
    assert_eq!(names, ["VP9", "rtx", "VP9", "rtx"]);
    let mut after: Vec<String> = video.formats().map(str::to_owned).collect();
    assert_ne!(before, after);
    let mut before = before;
    before.sort();
    after.sort();
    assert_eq!(before, after);
    let text = offer.to_string();
    assert!(!offer.media[1].prefer_codec("nothing"));
    assert_eq!(offer.to_string(), text);
}

#[test]
fn one_parameter_changes_in_its_place() {
    let mut offer = chromium("audio-offer");
    let before = offer.to_string();
    let audio = &mut offer.media[0];
    audio.set_format_parameter(pt(111), "stereo", "1");
    audio.set_format_parameter(pt(111), "minptime", "20");
    assert_eq!(
        offer.to_string(),
        before.replace(
            "minptime=10;useinbandfec=1",
            "minptime=20;useinbandfec=1;stereo=1"
        )
    );
    let audio = &mut offer.media[0];
    for key in ["minptime", "useinbandfec", "stereo", "stereo"] {
        audio.remove_format_parameter(pt(111), key);
    }
    assert_eq!(audio.fmtp(pt(111)), None);
    audio.set_format_parameter(pt(111), "cbr", "1");
    let lines: Vec<_> = audio.attributes().map(|a| (a.name(), a.value())).collect();
    let at = lines
        .iter()
        .position(|line| *line == ("fmtp", Some("111 cbr=1")))
        .unwrap();
    assert_eq!(lines[at - 1], ("rtcp-fb", Some("111 transport-cc")));
}

#[test]
fn a_rejected_section_leaves_its_group() {
    let mut offer = chromium("everything-offer");
    assert!(offer.reject_media(1));
    assert!(offer.media[1].is_rejected());
    let members = offer.session.bundle().unwrap().mids;
    assert_eq!(members, [mid("0"), mid("2")]);
    assert!(!offer.reject_media(9));
}

#[test]
fn a_tag_is_renamed_everywhere() {
    let mut offer = chromium("everything-offer");
    assert!(offer.rename_mid("1", &mid("cam")));
    assert!(!offer.rename_mid("1", &mid("x")));
    assert!(!offer.rename_mid("0", &mid("cam")));
    assert_eq!(offer.session.value("group"), Some("BUNDLE 0 cam 2"));
    assert_eq!(offer.media_by_mid("cam").unwrap().0, 1);
}

#[test]
fn bandwidth_extensions_feedback_candidates_and_sources_are_edited() {
    let mut offer = chromium("everything-offer");
    let video = &mut offer.media[1];
    let kilobits = |value| Bandwidth {
        kind: BandwidthKind::ApplicationSpecific,
        value,
    };
    video.set_bandwidth(&kilobits(500));
    video.set_bandwidth(&kilobits(800));
    assert_eq!(
        video.line_values(LineKind::Bandwidth).collect::<Vec<_>>(),
        ["AS:800"]
    );
    assert_eq!(
        video.line(1).unwrap().kind(),
        LineKind::Bandwidth,
        "it follows c="
    );
    assert_eq!(video.remove_bandwidth("AS"), 1);

    assert_eq!(video.remove_extension(uri::TRANSPORT_WIDE_CC), 1);
    assert!(
        video
            .extmaps()
            .flatten()
            .all(|map| map.uri != uri::TRANSPORT_WIDE_CC)
    );
    assert!(video.retain_feedback(|feedback| feedback.kind != FeedbackKind::TransportCc) > 0);
    assert!(
        video
            .rtcp_fbs()
            .flatten()
            .all(|f| f.kind != FeedbackKind::TransportCc)
    );

    let group = video.ssrc_groups().flatten().next().unwrap();
    let retransmission = group.ssrcs[1];
    video.remove_source(retransmission);
    assert!(!video.has("ssrc-group"));
    assert!(
        video
            .ssrcs()
            .flatten()
            .all(|source| source.ssrc != retransmission)
    );
    assert!(
        video
            .ssrcs()
            .flatten()
            .any(|source| source.ssrc == group.ssrcs[0])
    );
    assert_ne!(group.ssrcs[0], Ssrc(0));

    let audio = &mut offer.media[0];
    assert!(audio.candidates().flatten().count() > 0);
    audio.retain_candidates(|candidate| candidate.transport == CandidateTransport::Tcp);
    assert_eq!(audio.candidates().count(), 0);
    offer.remove_candidates();
    assert!(!offer.to_string().contains("candidate"));
}

#[test]
fn credentials_and_fingerprint_are_set_wherever_they_are() {
    let mut offer = chromium("everything-offer");
    offer.set_ice_credentials(
        &"newU".parse().unwrap(),
        &"0123456789abcdefABCDEF".parse().unwrap(),
    );
    offer.set_fingerprint(&"own AB".parse().unwrap());
    for media in &offer.media {
        assert_eq!(media.ice_ufrag().unwrap().unwrap().as_str(), "newU");
        assert_eq!(
            media.ice_pwd().unwrap().unwrap().as_str(),
            "0123456789abcdefABCDEF"
        );
        assert_eq!(media.values("fingerprint").collect::<Vec<_>>(), ["own AB"]);
    }
    assert!(!offer.session.has("ice-ufrag"));
}

#[test]
fn m_lines_are_edited_part_by_part() {
    let mut line: MediaLine = "audio 49170/2 RTP/AVP 0 8".parse().unwrap();
    assert_eq!((line.port(), line.port_count()), (49_170, 2));
    line.set_port(9);
    line.set_port_count(0);
    line.set_proto("UDP/TLS/RTP/SAVPF");
    assert!(line.is_rtp());
    line.set_formats([111, 8]);
    assert_eq!(line.to_string(), "audio 9 UDP/TLS/RTP/SAVPF 111 8");
    line.set_formats::<[u8; 0]>([]);
    assert_eq!(line.raw(), "m=audio 9 UDP/TLS/RTP/SAVPF\r\n");
    assert_eq!(line.formats().count(), 0);
}

#[test]
fn origin_and_session_name_are_set_in_their_places() {
    let mut description = chromium("data-offer");
    let mut origin = description.origin().unwrap().unwrap();
    assert_eq!(origin.session_version(), Some(2));
    origin.session_version = "3".to_owned();
    description.set_origin(&origin);
    description.set_session_name("");
    description.set_session_name("call");
    let text = description.to_string();
    let lines: Vec<_> = text.lines().take(4).collect();
    assert_eq!(lines[1], format!("o={origin}"));
    assert_eq!(lines[2], "s=call");
    assert_eq!(description.session_name(), Some("call"));
    assert_eq!(description.timings().flatten().count(), 1);
}

#[test]
fn many_edits_do_not_gather_garbage() {
    // The text was packed while a line was written and not yet in the table.
    // What an edited section holds is bounded by what it writes, not by how often it was edited.
    let mut description = chromium("everything-offer");
    let before = description.to_string();
    for round in 0..20_000u32 {
        description.media[1].set_attribute(Mid::from(round));
    }
    description.media[1].set_attribute(mid("1"));
    assert!(description.to_string() == before, "the text has changed");
    assert!(description.media[1].capacity() < 4 * before.len());
}
