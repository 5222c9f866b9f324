//! Rules of RFC 9429 and of the W3C text, one test each, on the signalling machine alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_peer::jsep::{Change, IceParameters, Jsep, JsepConfig, LocalTransport};
use tincan_peer::{
    BundlePolicy, Capabilities, DescriptionFault, Direction, Encoding, Error, ErrorKind, Kind,
    SdpType, SessionDescription, SignalingState, TransceiverInit,
};

const CHROMIUM: &str = include_str!("data/chromium-156-offer.sdp");

struct End {
    jsep: Jsep,
    transport: LocalTransport,
    rng: StdRng,
}

impl End {
    fn new(seed: u64) -> Self {
        Self::with(seed, Capabilities::browser(), BundlePolicy::Balanced)
    }

    fn with(seed: u64, capabilities: Capabilities, bundle_policy: BundlePolicy) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = JsepConfig {
            capabilities: Arc::new(capabilities),
            bundle_policy,
            ice_lite: false,
            max_message_size: 262_144,
        };
        let jsep = Jsep::new(config, &mut rng);
        let transport = LocalTransport {
            ice: IceParameters {
                ufrag: format!("uf{seed:02}"),
                pwd: format!("passwordpasswordpass{seed:04}"),
            },
            fingerprints: vec![format!("sha-256 {}{seed:02X}", "AB:".repeat(31))],
            tls_id: format!("tlsidtlsidtlsidtlsid{seed:04}"),
        };
        End {
            jsep,
            transport,
            rng,
        }
    }

    fn add(&mut self, kind: Kind, direction: Direction) -> tincan_peer::TransceiverId {
        let init = TransceiverInit {
            direction,
            ..Default::default()
        };
        self.jsep
            .add_transceiver(kind, init, &mut self.rng)
            .unwrap()
    }

    fn offer(&mut self) -> SessionDescription {
        let sdp = self.jsep.create_offer(&self.transport).unwrap();
        self.jsep.set_local(SdpType::Offer, &sdp).unwrap();
        SessionDescription::offer(sdp)
    }

    fn answer(&mut self) -> SessionDescription {
        let sdp = self.jsep.create_answer(&self.transport).unwrap();
        self.jsep.set_local(SdpType::Answer, &sdp).unwrap();
        SessionDescription::answer(sdp)
    }

    fn remote(&mut self, d: &SessionDescription) -> Result<Vec<Change>, Error> {
        self.jsep.set_remote(d, &mut self.rng)
    }
}

fn exchange(a: &mut End, b: &mut End) -> (String, String) {
    let offer = a.offer();
    b.remote(&offer).unwrap();
    let answer = b.answer();
    a.remote(&answer).unwrap();
    assert_eq!(a.jsep.state(), SignalingState::Stable);
    assert_eq!(b.jsep.state(), SignalingState::Stable);
    for sdp in [&offer.sdp, &answer.sdp] {
        tincan_sdp::SessionDescription::parse_strict(sdp).unwrap_or_else(|e| panic!("{e}\n{sdp}"));
    }
    (offer.sdp, answer.sdp)
}

fn section(sdp: &str, index: usize) -> &str {
    sdp.split("\r\nm=").nth(index + 1).unwrap()
}

fn count(text: &str, needle: &str) -> usize {
    text.matches(needle).count()
}

#[test]
fn chromiums_offer_is_answered_with_all_its_codecs_and_numbers() {
    let mut b = End::new(2);
    let changes = b.remote(&SessionDescription::offer(CHROMIUM)).unwrap();
    assert_eq!(
        changes
            .iter()
            .filter(|c| matches!(c, Change::TrackAdded { .. }))
            .count(),
        2
    );
    for t in b
        .jsep
        .transceivers()
        .iter()
        .map(|t| t.id())
        .collect::<Vec<_>>()
    {
        b.jsep.set_direction(t, Direction::SendRecv).unwrap();
    }
    let answer = b.answer().sdp;
    tincan_sdp::SessionDescription::parse_strict(&answer).unwrap();
    let line = |sdp: &str, kind: &str| -> String {
        let start = sdp.find(&format!("m={kind}")).unwrap();
        sdp[start..]
            .lines()
            .next()
            .unwrap()
            .split_once("SAVPF")
            .unwrap()
            .1
            .to_owned()
    };
    for kind in ["audio", "video"] {
        assert_eq!(line(&answer, kind), line(CHROMIUM, kind));
    }
    for prefix in ["a=rtpmap:", "a=rtcp-fb:", "a=extmap:", "a=fmtp:"] {
        let lines = |sdp: &str| {
            let mut l: Vec<String> = sdp
                .lines()
                .filter(|l| l.starts_with(prefix))
                .map(str::to_owned)
                .collect();
            l.sort();
            l
        };
        assert_eq!(lines(&answer), lines(CHROMIUM), "{prefix}");
    }
    assert!(answer.contains("a=group:BUNDLE 0 1 2\r\n"));
    assert_eq!(count(&answer, "a=setup:active"), 3);
    assert_eq!(count(&answer, "a=sendrecv"), 2);
    assert!(answer.contains("a=sctp-port:5000"));
    assert!(!answer.contains("bundle-only"));
    let video = b.jsep.transceivers()[1].negotiated().unwrap();
    assert_eq!(video.remote_ssrcs, [2_720_644_243, 3_965_393_842]);
    assert_eq!(video.send_codecs.len(), 23);
    assert!(video.reduced_size);
}

#[test]
fn initial_offer_has_every_line_of_5_2_1() {
    let mut a = End::new(1);
    a.add(Kind::Audio, Direction::SendRecv);
    a.add(Kind::Video, Direction::RecvOnly);
    a.jsep.want_data();
    let offer = a.offer().sdp;
    tincan_sdp::SessionDescription::parse_strict(&offer).unwrap();
    assert!(offer.starts_with("v=0\r\no=- "));
    for line in [
        "s=-",
        "t=0 0",
        "a=ice-options:trickle ice2",
        "a=group:BUNDLE 0 1 2",
    ] {
        assert!(offer.contains(&format!("{line}\r\n")), "{line}");
    }
    let (audio, video, data) = (section(&offer, 0), section(&offer, 1), section(&offer, 2));
    for s in [audio, video] {
        assert!(
            s.contains(" 9 UDP/TLS/RTP/SAVPF ")
                && s.contains("a=rtcp-mux\r\n")
                && s.contains("a=rtcp-rsize\r\n")
        );
        assert!(
            s.contains("a=setup:actpass\r\n")
                && s.contains("a=fingerprint:sha-256 ")
                && s.contains("a=tls-id:")
        );
    }
    assert!(
        audio.contains("a=sendrecv")
            && audio.contains("a=msid:-")
            && audio.contains("opus/48000/2")
    );
    assert!(
        video.contains("a=recvonly")
            && !video.contains("a=msid")
            && video.contains("a=rtpmap:97 rtx/90000")
    );
    assert!(data.starts_with("application 9 UDP/DTLS/SCTP webrtc-datachannel"));
    assert!(data.contains("a=sctp-port:5000") && data.contains("a=max-message-size:262144"));
    assert!(!offer.contains("a=crypto") && !offer.contains("a=ice-lite"));
}

#[test]
fn bundle_policy_marks_sections_bundle_only() {
    for (policy, expected) in [
        (BundlePolicy::MaxCompat, 0),
        (BundlePolicy::Balanced, 1),
        (BundlePolicy::MaxBundle, 3),
    ] {
        let mut a = End::with(1, Capabilities::browser(), policy);
        let mut b = End::new(2);
        a.add(Kind::Audio, Direction::SendRecv);
        a.add(Kind::Video, Direction::SendRecv);
        a.add(Kind::Video, Direction::SendRecv);
        a.jsep.want_data();
        let (offer, answer) = exchange(&mut a, &mut b);
        assert_eq!(count(&offer, "a=bundle-only"), expected, "{policy:?}");
        assert_eq!(count(&answer, "a=bundle-only"), 0);
        assert!(answer.contains("a=group:BUNDLE 0 1 2 3"));
        let (again, _) = exchange(&mut a, &mut b);
        // RFC 9429 §5.2.2: never in a subsequent offer.
        assert_eq!(count(&again, "a=bundle-only"), 0);
    }
}

#[test]
fn answer_directions_are_the_intersection() {
    use Direction::*;
    for ours in [SendRecv, SendOnly, RecvOnly, Inactive] {
        for theirs in [SendRecv, SendOnly, RecvOnly, Inactive] {
            let (mut a, mut b) = (End::new(1), End::new(2));
            let id = a.add(Kind::Audio, ours);
            let offer = a.offer();
            b.remote(&offer).unwrap();
            let t = b.jsep.transceivers()[0].id();
            b.jsep.set_direction(t, theirs).unwrap();
            let answer = b.answer();
            a.remote(&answer).unwrap();
            let agreed = ours.intersection(theirs.reversed());
            assert_eq!(
                a.jsep.transceiver(id).unwrap().current_direction(),
                Some(agreed)
            );
            assert_eq!(
                b.jsep.transceivers()[0].current_direction(),
                Some(agreed.reversed())
            );
            assert!(answer.sdp.contains(&format!("a={}\r\n", agreed.reversed())));
        }
    }
}

#[test]
fn versions_grow_and_session_ids_stay() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendRecv);
    let origin = |sdp: &str| -> (String, u64) {
        let line = sdp.lines().nth(1).unwrap();
        let mut words = line.split(' ');
        (
            words.nth(1).unwrap().to_owned(),
            words.next().unwrap().parse().unwrap(),
        )
    };
    let (first, _) = exchange(&mut a, &mut b);
    let (second, _) = exchange(&mut a, &mut b);
    assert_eq!(origin(&first).0, origin(&second).0);
    assert!(origin(&second).1 > origin(&first).1);
}

#[test]
fn local_description_must_be_what_was_created() {
    let mut a = End::new(1);
    a.add(Kind::Audio, Direction::SendRecv);
    assert_eq!(
        a.jsep.set_local(SdpType::Offer, ""),
        Err(Error::DescriptionAltered)
    );
    let sdp = a.jsep.create_offer(&a.transport).unwrap();
    let altered = sdp.replace("opus", "OPUS");
    let error = a.jsep.set_local(SdpType::Offer, &altered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModification);
    assert_eq!(a.jsep.state(), SignalingState::Stable);
    a.jsep.set_local(SdpType::Offer, "").unwrap();
    assert_eq!(a.jsep.state(), SignalingState::HaveLocalOffer);
}

#[test]
fn wrong_states_are_refused_and_change_nothing() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendRecv);
    assert_eq!(
        a.jsep.create_answer(&a.transport).unwrap_err().kind(),
        ErrorKind::InvalidState
    );
    let offer = a.offer();
    let error = a
        .remote(&SessionDescription::rollback())
        .and_then(|_| a.remote(&SessionDescription::rollback()));
    assert_eq!(
        error.unwrap_err().kind(),
        ErrorKind::InvalidState,
        "no rollback in stable"
    );
    b.remote(&offer).unwrap();
    assert_eq!(
        b.jsep.create_offer(&b.transport).unwrap_err().kind(),
        ErrorKind::InvalidState
    );
    let error = b.remote(&SessionDescription::answer(CHROMIUM)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    assert_eq!(b.jsep.state(), SignalingState::HaveRemoteOffer);
    b.jsep.close();
    assert_eq!(b.remote(&offer), Err(Error::Closed));
}

#[test]
fn provisional_answers_come_before_the_final_one() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendRecv);
    let offer = a.offer();
    b.remote(&offer).unwrap();
    let sdp = b.jsep.create_answer(&b.transport).unwrap();
    b.jsep.set_local(SdpType::PrAnswer, &sdp).unwrap();
    assert_eq!(b.jsep.state(), SignalingState::HaveLocalPrAnswer);
    a.remote(&SessionDescription::pranswer(sdp)).unwrap();
    assert_eq!(a.jsep.state(), SignalingState::HaveRemotePrAnswer);
    assert!(a.jsep.transceivers()[0].negotiated().is_some());
    // No rollback of a provisional answer (W3C §4.4.1.4 step 2).
    assert_eq!(
        a.remote(&SessionDescription::rollback())
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidState
    );
    let answer = b.answer();
    a.remote(&answer).unwrap();
    assert_eq!(a.jsep.state(), SignalingState::Stable);
}

#[test]
fn rollback_of_a_local_offer_disassociates() {
    let mut a = End::new(1);
    let id = a.add(Kind::Audio, Direction::SendRecv);
    a.offer();
    assert!(a.jsep.transceiver(id).unwrap().mid().is_some());
    a.jsep.set_local(SdpType::Rollback, "").unwrap();
    assert_eq!(a.jsep.state(), SignalingState::Stable);
    assert_eq!(a.jsep.transceiver(id).unwrap().mid(), None);
    assert!(a.jsep.local().is_none());
    assert!(a.jsep.negotiation_needed());
}

#[test]
fn rollback_of_a_remote_offer_removes_what_it_made_but_not_added_tracks() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendRecv);
    a.add(Kind::Video, Direction::SendRecv);
    let kept = b
        .jsep
        .add_track(Kind::Video, "camera", vec!["s".into()], &mut b.rng)
        .unwrap();
    let offer = a.offer();
    let changes = b.remote(&offer).unwrap();
    assert_eq!(
        changes
            .iter()
            .filter(|c| matches!(c, Change::TrackAdded { .. }))
            .count(),
        2
    );
    assert_eq!(
        b.jsep.transceivers().len(),
        2,
        "the added track takes the video section"
    );
    assert_eq!(b.jsep.transceiver(kept).unwrap().mid(), Some("1"));
    let changes = b.remote(&SessionDescription::rollback()).unwrap();
    assert_eq!(
        changes
            .iter()
            .filter(|c| matches!(c, Change::TrackRemoved(_)))
            .count(),
        2
    );
    assert_eq!(b.jsep.transceivers().len(), 1);
    assert_eq!(b.jsep.transceiver(kept).unwrap().mid(), None);
    // RFC 9429 §5.7: an offer made now has a section for the added track.
    assert!(b.offer().sdp.contains("m=video"));
}

#[test]
fn glare_rolls_the_polite_side_back() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendRecv);
    b.add(Kind::Video, Direction::SendRecv);
    let offer = a.offer();
    b.offer();
    b.remote(&offer).unwrap();
    assert_eq!(b.jsep.state(), SignalingState::HaveRemoteOffer);
    let answer = b.answer();
    a.remote(&answer).unwrap();
    assert!(b.jsep.negotiation_needed());
    let (offer, _) = exchange(&mut b, &mut a);
    assert_eq!(count(&offer, "m=video"), 1);
    assert_eq!(count(&offer, "m=audio"), 1);
    assert!(!b.jsep.negotiation_needed() && !a.jsep.negotiation_needed());
}

#[test]
fn stopped_section_is_refused_and_recycled() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let first = a.add(Kind::Video, Direction::SendRecv);
    a.jsep.want_data();
    exchange(&mut a, &mut b);
    a.jsep.stop(first).unwrap();
    assert!(a.jsep.negotiation_needed());
    let (offer, answer) = exchange(&mut a, &mut b);
    assert!(
        section(&offer, 0).starts_with("video 0 ") && section(&answer, 0).starts_with("video 0 ")
    );
    assert!(offer.contains("a=group:BUNDLE 1\r\n"));
    assert!(a.jsep.transceivers().is_empty() && b.jsep.transceivers().is_empty());
    assert!(!a.jsep.negotiation_needed());
    // RFC 9429 §5.2.2: an added transceiver takes the refused section, with a new mid and of any kind.
    let second = a.add(Kind::Audio, Direction::SendRecv);
    let (offer, answer) = exchange(&mut a, &mut b);
    assert!(
        section(&offer, 0).starts_with("audio 9 ") && section(&answer, 0).starts_with("audio 9 ")
    );
    assert_eq!(count(&offer, "\r\nm="), 2);
    let mid = a
        .jsep
        .transceiver(second)
        .unwrap()
        .mid()
        .unwrap()
        .to_owned();
    assert!(mid != "0" && mid != "1");
    assert!(offer.contains(&format!("a=group:BUNDLE {mid} 1\r\n")));
}

#[test]
fn refused_by_the_answerer_stops_the_transceiver() {
    let mut a = End::new(1);
    let mut b = End::with(2, Capabilities::none(), BundlePolicy::Balanced);
    let id = a.add(Kind::Video, Direction::SendRecv);
    a.jsep.want_data();
    let offer = a.offer();
    b.remote(&offer).unwrap();
    let answer = b.answer();
    assert!(section(&answer.sdp, 0).starts_with("video 0 "));
    assert!(section(&answer.sdp, 1).starts_with("application 9 "));
    let changes = a.remote(&answer).unwrap();
    assert!(changes.contains(&Change::Stopped(id)));
}

#[test]
fn codecs_are_the_intersection_with_rtx_of_what_is_left() {
    let mut a = End::new(1);
    let mut caps = Capabilities::browser();
    caps.accept_any_format = false;
    let vp8 = caps.video.iter().position(|c| c.is("VP8")).unwrap();
    caps.video = caps.video[vp8..vp8 + 2].to_vec();
    caps.video[0].feedback.retain(|f| f.starts_with("nack"));
    let mut b = End::with(2, caps, BundlePolicy::Balanced);
    a.add(Kind::Video, Direction::SendRecv);
    let (_, answer) = exchange(&mut a, &mut b);
    let video = section(&answer, 0);
    assert!(
        video.starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97\r\n"),
        "{video}"
    );
    assert_eq!(count(video, "a=rtcp-fb"), 2);
    let negotiated = a.jsep.transceivers()[0].negotiated().unwrap();
    assert_eq!(negotiated.send_codecs.len(), 2);
    assert_eq!(negotiated.receive_codecs.len(), 2);
    assert_eq!(negotiated.send_codecs[1].apt(), Some(96));
}

#[test]
fn codec_preferences_order_and_restrict_both_ways() {
    let caps = Capabilities::browser();
    let pick = |name: &str| caps.video.iter().find(|c| c.is(name)).unwrap().clone();
    let (mut a, mut b) = (End::new(1), End::new(2));
    let id = a.add(Kind::Video, Direction::SendRecv);
    a.jsep
        .set_codec_preferences(id, vec![pick("AV1"), pick("rtx"), pick("VP8")])
        .unwrap();
    let offer = a.offer();
    assert!(section(&offer.sdp, 0).starts_with("video 9 UDP/TLS/RTP/SAVPF 45 46 96 97\r\n"));
    b.remote(&offer).unwrap();
    let theirs = b.jsep.transceivers()[0].id();
    b.jsep
        .set_codec_preferences(theirs, vec![pick("VP8"), pick("AV1")])
        .unwrap();
    let answer = b.answer();
    assert!(section(&answer.sdp, 0).starts_with("video 9 UDP/TLS/RTP/SAVPF 96 45\r\n"));
    a.remote(&answer).unwrap();
    assert_eq!(
        a.jsep.transceivers()[0].negotiated().unwrap().send_codecs[0].payload_type,
        96
    );
    let error = a
        .jsep
        .set_codec_preferences(id, vec![pick("rtx")])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModification);
}

#[test]
fn subsequent_offer_keeps_the_answers_order_and_numbers() {
    let mut b = End::new(2);
    b.remote(&SessionDescription::offer(CHROMIUM)).unwrap();
    b.answer();
    b.add(Kind::Video, Direction::SendOnly);
    let offer = b.offer().sdp;
    tincan_sdp::SessionDescription::parse_strict(&offer).unwrap();
    assert!(offer.contains("a=rtpmap:111 opus") && offer.contains("a=group:BUNDLE 0 1 2 3"));
    let old = section(&offer, 1);
    let new = section(&offer, 3);
    let first = |s: &str| s.lines().next().unwrap().to_owned();
    assert!(first(old).starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107"));
    // The same numbers mean the same in the new section.
    for line in new
        .lines()
        .filter(|l| l.starts_with("a=rtpmap:") || l.starts_with("a=extmap:"))
    {
        assert!(old.contains(line), "{line}");
    }
}

#[test]
fn simulcast_is_offered_and_taken_by_rid() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let encodings = vec![Encoding::rid("h"), Encoding::rid("m"), Encoding::rid("l")];
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        send_encodings: encodings,
        ..Default::default()
    };
    let id = a
        .jsep
        .add_transceiver(Kind::Video, init, &mut a.rng)
        .unwrap();
    let (offer, answer) = exchange(&mut a, &mut b);
    assert!(offer.contains("a=rid:h send\r\n") && offer.contains("a=simulcast:send h;m;l\r\n"));
    assert!(!offer.contains("a=ssrc:"));
    assert!(answer.contains("a=rid:h recv\r\n") && answer.contains("a=simulcast:recv h;m;l\r\n"));
    assert_eq!(
        a.jsep
            .transceiver(id)
            .unwrap()
            .negotiated()
            .unwrap()
            .send_rids,
        ["h", "m", "l"]
    );
    assert_eq!(
        b.jsep.transceivers()[0].negotiated().unwrap().remote_rids,
        ["h", "m", "l"]
    );
}

#[test]
fn simulcast_asked_for_in_an_offer_gives_the_encodings_rids() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Video, Direction::RecvOnly);
    let offer = a.offer().sdp.replacen(
        "a=recvonly\r\n",
        "a=recvonly\r\na=rid:1 recv\r\na=rid:2 recv\r\na=simulcast:recv 1;2\r\n",
        1,
    );
    b.remote(&SessionDescription::offer(offer)).unwrap();
    let t = b.jsep.transceivers()[0].id();
    b.jsep.set_direction(t, Direction::SendOnly).unwrap();
    let answer = b.answer().sdp;
    assert!(answer.contains("a=simulcast:send 1;2\r\n") && answer.contains("a=rid:2 send\r\n"));
    assert_eq!(b.jsep.transceivers()[0].ssrcs().len(), 2);
}

/// W3C §4.4.1.4: "using only the first value if comma-separated alternatives exist".
#[test]
fn of_alternative_layers_the_first_is_taken() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Video, Direction::RecvOnly);
    let offer = a.offer().sdp.replacen(
        "a=recvonly\r\n",
        "a=recvonly\r\na=rid:1 recv\r\na=rid:2 recv\r\na=rid:3 recv\r\na=simulcast:recv 1,2;3\r\n",
        1,
    );
    b.remote(&SessionDescription::offer(offer)).unwrap();
    let t = &b.jsep.transceivers()[0];
    let rids: Vec<_> = t.encodings().iter().map(|e| e.rid.as_deref()).collect();
    assert_eq!(rids, [Some("1"), Some("3")]);
    let t = t.id();
    b.jsep.set_direction(t, Direction::SendOnly).unwrap();
    let answer = b.answer().sdp;
    assert!(answer.contains("a=simulcast:send 1;3\r\n") && !answer.contains("a=rid:2"));
}

/// What is taken is what `a=simulcast` says, and nothing beside.
#[test]
fn of_alternative_layers_the_first_is_received() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Video, Direction::SendOnly);
    let offer = a.offer().sdp.replacen(
        "a=sendonly\r\n",
        "a=sendonly\r\na=rid:1 send\r\na=rid:2 send\r\na=rid:3 send\r\na=simulcast:send 1,2;3\r\n",
        1,
    );
    b.remote(&SessionDescription::offer(offer)).unwrap();
    let answer = b.answer().sdp;
    assert!(answer.contains("a=simulcast:recv 1;3\r\n"), "{answer}");
    assert!(answer.contains("a=rid:1 recv") && !answer.contains("a=rid:2"));
}

#[test]
fn sound_is_sent_in_one_encoding_whatever_is_asked_for() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::RecvOnly);
    let offer = a.offer().sdp.replacen(
        "a=recvonly\r\n",
        "a=recvonly\r\na=rid:1 recv\r\na=rid:2 recv\r\na=simulcast:recv 1;2\r\n",
        1,
    );
    b.remote(&SessionDescription::offer(offer)).unwrap();
    let t = &b.jsep.transceivers()[0];
    assert_eq!((t.encodings().len(), t.ssrcs().len()), (1, 1));
    assert_eq!(t.encodings()[0].scale_resolution_down_by, None);
}

/// An answer drops layers of those that the offer had (W3C §4.4.1.4); an offer of a sender on hold has none.
#[test]
fn simulcast_survives_a_hold() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        send_encodings: vec![Encoding::rid("h"), Encoding::rid("l")],
        ..Default::default()
    };
    let id = a
        .jsep
        .add_transceiver(Kind::Video, init, &mut a.rng)
        .unwrap();
    exchange(&mut a, &mut b);
    let ssrcs = a.jsep.transceiver(id).unwrap().ssrcs().to_vec();
    a.jsep.set_direction(id, Direction::Inactive).unwrap();
    let (offer, _) = exchange(&mut a, &mut b);
    assert!(!offer.contains("a=simulcast"));
    a.jsep.set_direction(id, Direction::SendOnly).unwrap();
    let (offer, answer) = exchange(&mut a, &mut b);
    assert!(offer.contains("a=simulcast:send h;l\r\n"), "{offer}");
    assert!(answer.contains("a=simulcast:recv h;l\r\n"), "{answer}");
    assert_eq!(a.jsep.transceiver(id).unwrap().ssrcs(), ssrcs);
}

#[test]
fn rtx_and_ssrcs_are_grouped() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let id = a.add(Kind::Video, Direction::SendRecv);
    let (offer, _) = exchange(&mut a, &mut b);
    let ssrcs = a.jsep.transceiver(id).unwrap().ssrcs()[0];
    assert!(offer.contains(&format!(
        "a=ssrc-group:FID {} {}\r\n",
        ssrcs.media, ssrcs.rtx
    )));
    let seen = b.jsep.transceivers()[0].negotiated().unwrap();
    assert_eq!(seen.remote_ssrcs, [ssrcs.media, ssrcs.rtx]);
}

#[test]
fn ice_restart_must_be_followed_and_must_not_be_made_up() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.jsep.want_data();
    exchange(&mut a, &mut b);
    // The answerer restarts though nobody asked.
    let offer = a.offer();
    b.remote(&offer).unwrap();
    assert!(!b.jsep.remote_restarts());
    let kept = b.transport.ice.clone();
    b.transport.ice.ufrag = "newufrag".into();
    let answer = SessionDescription::answer(b.jsep.create_answer(&b.transport).unwrap());
    let error = a.remote(&answer).unwrap_err();
    assert_eq!(
        error,
        Error::InvalidDescription(DescriptionFault::UnexpectedIceRestart)
    );
    b.transport.ice = kept;
    let answer = b.answer();
    a.remote(&answer).unwrap();
    // The answerer does not follow.
    a.transport.ice.ufrag = "aaaa2".into();
    let offer = a.offer();
    b.remote(&offer).unwrap();
    assert!(b.jsep.remote_restarts());
    let stale = SessionDescription::answer(b.jsep.create_answer(&b.transport).unwrap());
    assert_eq!(
        a.remote(&stale),
        Err(DescriptionFault::IceRestartIgnored.into())
    );
    b.transport.ice.ufrag = "bbbb2".into();
    let answer = b.answer();
    a.remote(&answer).unwrap();
}

#[test]
fn setup_roles_are_kept_over_renegotiation() {
    use tincan_peer::DtlsRole::{Client, Server};
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.jsep.want_data();
    exchange(&mut a, &mut b);
    assert_eq!(
        (a.jsep.dtls_role(), b.jsep.dtls_role()),
        (Some(Server), Some(Client))
    );
    let (offer, answer) = exchange(&mut b, &mut a);
    assert!(offer.contains("a=setup:actpass") && answer.contains("a=setup:passive"));
    assert_eq!(
        (a.jsep.dtls_role(), b.jsep.dtls_role()),
        (Some(Server), Some(Client))
    );
}

/// Firefox answers an ICE restart, and what follows it, as it would answer a first offer, and goes on with the association
/// that there is.
#[test]
fn a_role_that_an_answer_changes_means_nothing() {
    use tincan_peer::DtlsRole::{Client, Server};
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.jsep.want_data();
    exchange(&mut a, &mut b);
    let active = |answer: SessionDescription| {
        let sdp = answer.sdp.replace("a=setup:passive", "a=setup:active");
        assert_ne!(sdp, answer.sdp);
        SessionDescription::answer(sdp)
    };
    // An offer is refused, as we could not answer it.
    let offer = a.offer();
    let changed = offer.sdp.replace("a=setup:actpass", "a=setup:active");
    assert_eq!(
        b.remote(&SessionDescription::offer(changed)),
        Err(DescriptionFault::SetupChanged.into())
    );
    b.remote(&offer).unwrap();
    a.remote(&b.answer()).unwrap();

    b.transport.ice.ufrag = "bbbb2".into();
    let offer = b.offer();
    a.remote(&offer).unwrap();
    a.transport.ice.ufrag = "aaaa2".into();
    let answer = active(a.answer());
    let provisional = SessionDescription {
        type_: SdpType::PrAnswer,
        ..answer.clone()
    };
    for description in [provisional, answer] {
        b.remote(&description).unwrap();
        assert_eq!(b.jsep.dtls_role(), Some(Client));
    }
    // It says so again without a restart.
    let offer = b.offer();
    a.remote(&offer).unwrap();
    b.remote(&active(a.answer())).unwrap();
    assert_eq!(b.jsep.dtls_role(), Some(Client));
    // Nor is what we say afterwards changed by it.
    let (_, answer) = exchange(&mut a, &mut b);
    assert!(answer.contains("a=setup:active"));

    // With another certificate the association is a new one, and the role is as the answer has it.
    b.transport.ice.ufrag = "bbbb3".into();
    let offer = b.offer();
    a.remote(&offer).unwrap();
    a.transport.ice.ufrag = "aaaa3".into();
    a.transport.fingerprints = vec![format!("sha-256 {}CD", "CD:".repeat(31))];
    let answer = active(a.answer());
    b.remote(&answer).unwrap();
    assert_eq!(b.jsep.dtls_role(), Some(Server));
}

#[test]
fn faults_of_descriptions_are_named() {
    use DescriptionFault::*;
    let cases: &[(&str, &str, DescriptionFault)] = &[
        (
            "a=ice-pwd:lPr2hJGrsOi+H8IzXNFgq9sJ
",
            "",
            IceCredentials,
        ),
        ("a=setup:actpass", "a=setup:holdconn", Setup),
        ("a=rtcp-mux\n", "", NoRtcpMux),
        ("a=mid:1", "a=mid:0", MidDuplicate),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1 7", BundleGroup),
        (
            "a=group:BUNDLE 0 1 2",
            "a=group:BUNDLE 0 1 2 0",
            BundleGroup,
        ),
        ("a=fmtp:97 apt=96", "a=fmtp:97 apt=95", RtxPayloadType),
        ("a=sctp-port:5000\n", "", SctpPort),
        (
            "a=extmap:14 urn:ietf:params:rtp-hdrext:toffset",
            "a=extmap:2 urn:ietf:params:rtp-hdrext:toffset",
            ExtensionConflict,
        ),
        (
            "a=sendrecv\n",
            "a=sendrecv\na=simulcast:send x;y\n",
            SimulcastRid,
        ),
    ];
    let ok = CHROMIUM.replace("\r\n", "\n");
    for (from, to, fault) in cases {
        let text = ok.replace(from, to);
        assert_ne!(text, ok, "{from}");
        let mut b = End::new(2);
        assert_eq!(
            b.remote(&SessionDescription::offer(text)),
            Err((*fault).into()),
            "{from} -> {to}"
        );
        assert_eq!(b.jsep.state(), SignalingState::Stable);
        assert!(b.jsep.transceivers().is_empty());
    }
    let mut b = End::new(2);
    let error = b
        .remote(&SessionDescription::offer(ok.replace("a=mid:0", "a=mid:")))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Syntax);
    let at = ok.lines().position(|l| l == "a=mid:0").unwrap() + 1;
    assert!(
        matches!(error, Error::SdpSyntax { line, .. } if line == at),
        "{error}"
    );
}

#[test]
fn answers_that_break_rfc_3264_are_refused() {
    use DescriptionFault as F;
    let (mut a, mut b) = (End::new(1), End::new(2));
    a.add(Kind::Audio, Direction::SendOnly);
    a.jsep.want_data();
    let offer = a.offer();
    b.remote(&offer).unwrap();
    let answer = b.answer().sdp;
    let cut = answer[..answer.find("m=application").unwrap()].to_owned();
    let cases = [
        (
            cut.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"),
            F::SectionCount,
        ),
        (answer.replace("m=audio", "m=video"), F::SectionType),
        (answer.replace("a=recvonly", "a=sendrecv"), F::Direction),
        (
            answer.replace("a=setup:active", "a=setup:actpass"),
            F::Setup,
        ),
        (
            answer
                .replace("a=mid:0", "a=mid:x")
                .replace("BUNDLE 0", "BUNDLE x"),
            F::MidChanged,
        ),
        (
            answer.replace(
                "a=rtpmap:9 G722/8000\r\n",
                "a=rtpmap:9 G722/8000\r\na=rtcp-fb:9 nack\r\n",
            ),
            F::FeedbackNotOffered,
        ),
    ];
    for (sdp, fault) in cases {
        assert_eq!(
            a.remote(&SessionDescription::answer(sdp)),
            Err(fault.into())
        );
        assert_eq!(a.jsep.state(), SignalingState::HaveLocalOffer);
    }
    a.remote(&SessionDescription::answer(answer)).unwrap();
}

#[test]
fn negotiation_is_needed_as_4_7_3_says() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    assert!(!a.jsep.negotiation_needed());
    a.jsep.want_data();
    assert!(a.jsep.negotiation_needed());
    exchange(&mut a, &mut b);
    assert!(!a.jsep.negotiation_needed() && !b.jsep.negotiation_needed());
    let id = a.add(Kind::Audio, Direction::SendRecv);
    assert!(a.jsep.negotiation_needed());
    exchange(&mut a, &mut b);
    assert!(!a.jsep.negotiation_needed());
    // The answerer took it as recvonly; wanting to send needs another round from its side.
    let theirs = b.jsep.transceivers()[0].id();
    assert!(!b.jsep.negotiation_needed());
    b.jsep.set_direction(theirs, Direction::SendRecv).unwrap();
    assert!(b.jsep.negotiation_needed());
    exchange(&mut b, &mut a);
    assert!(!b.jsep.negotiation_needed() && !a.jsep.negotiation_needed());
    a.jsep.set_direction(id, Direction::RecvOnly).unwrap();
    assert!(a.jsep.negotiation_needed());
    exchange(&mut a, &mut b);
    a.jsep.want_restart();
    assert!(a.jsep.negotiation_needed());
    a.transport.ice.ufrag = "aaaa9".into();
    let offer = a.offer();
    b.remote(&offer).unwrap();
    b.transport.ice.ufrag = "bbbb9".into();
    let answer = b.answer();
    a.remote(&answer).unwrap();
    assert!(!a.jsep.negotiation_needed());
}

#[test]
fn tracks_come_and_go_with_directions() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let id = a.add(Kind::Audio, Direction::SendRecv);
    let (first, _) = (a.offer(), ());
    let changes = b.remote(&first).unwrap();
    assert!(
        changes
            .iter()
            .any(|c| matches!(c, Change::TrackAdded { .. }))
    );
    let answer = b.answer();
    let changes = a.remote(&answer).unwrap();
    assert!(
        !changes
            .iter()
            .any(|c| matches!(c, Change::TrackAdded { .. })),
        "they only receive"
    );
    a.jsep.set_direction(id, Direction::Inactive).unwrap();
    let offer = a.offer();
    let changes = b.remote(&offer).unwrap();
    assert!(changes.iter().any(|c| matches!(c, Change::TrackRemoved(_))));
    let answer = b.answer();
    a.remote(&answer).unwrap();
}

#[test]
fn unbundled_sections_are_refused_but_the_first() {
    let text = CHROMIUM
        .replace("a=group:BUNDLE 0 1 2\r\n", "")
        .replace("a=group:BUNDLE 0 1 2\n", "");
    let mut b = End::new(2);
    b.remote(&SessionDescription::offer(text)).unwrap();
    let answer = b.answer().sdp;
    assert!(section(&answer, 0).starts_with("audio 9"));
    assert!(
        section(&answer, 1).starts_with("video 0")
            && section(&answer, 2).starts_with("application 0")
    );
    assert!(!answer.contains("a=group:BUNDLE"));
}

#[test]
fn encodings_are_checked_as_add_transceiver_says() {
    let mut a = End::new(1);
    let mut add = |kind, encodings: Vec<Encoding>| {
        let init = TransceiverInit {
            send_encodings: encodings,
            ..Default::default()
        };
        a.jsep
            .add_transceiver(kind, init, &mut a.rng)
            .map_err(|e| e.kind())
    };
    assert_eq!(
        add(Kind::Video, vec![Encoding::new(), Encoding::new()]),
        Err(ErrorKind::Type)
    );
    assert_eq!(
        add(Kind::Video, vec![Encoding::rid("a"), Encoding::rid("a")]),
        Err(ErrorKind::Type)
    );
    assert_eq!(
        add(Kind::Video, vec![Encoding::rid("a b")]),
        Err(ErrorKind::Type)
    );
    let mixed = vec![Encoding::rid("a"), Encoding::new()];
    assert_eq!(add(Kind::Video, mixed), Err(ErrorKind::Type));
    let with = |change: fn(&mut Encoding)| {
        let mut encoding = Encoding::new();
        change(&mut encoding);
        vec![encoding]
    };
    for (change, error) in [
        (
            (|e| e.scale_resolution_down_by = Some(0.9)) as fn(&mut Encoding),
            ErrorKind::Range,
        ),
        (|e| e.max_framerate = Some(0.0), ErrorKind::Range),
        (|e| e.max_framerate = Some(f64::NAN), ErrorKind::Type),
        (
            |e| e.codec = Some(tincan_peer::Codec::new(0, "theora", 90_000)),
            ErrorKind::Operation,
        ),
        (
            |e| e.codec = Some(tincan_peer::Codec::new(97, "rtx", 90_000)),
            ErrorKind::Operation,
        ),
        (
            |e| {
                e.codec = Some(tincan_peer::Codec::new(96, "VP8", 90_000));
                e.scalability_mode = "L2T1".parse().ok();
            },
            ErrorKind::Operation,
        ),
    ] {
        assert_eq!(add(Kind::Video, with(change)), Err(error));
    }
    let s_mode = |rid: &str| Encoding {
        scalability_mode: "S2T1".parse().ok(),
        ..Encoding::rid(rid)
    };
    let twice = vec![s_mode("a"), Encoding::rid("b")];
    assert_eq!(add(Kind::Video, twice), Err(ErrorKind::Operation));
    // Audio knows neither sizes nor frame rates: they go before anybody looks at them.
    let ids = [
        add(
            Kind::Audio,
            with(|e| e.scale_resolution_down_by = Some(0.5)),
        ),
        add(Kind::Audio, vec![Encoding::rid("a"), Encoding::rid("b")]),
        add(Kind::Video, vec![Encoding::rid("a")]),
        add(Kind::Video, vec![s_mode("a")]),
        add(Kind::Video, ["q", "h", "f"].map(Encoding::rid).to_vec()),
        add(
            Kind::Video,
            vec![
                Encoding::rid("a"),
                Encoding {
                    scale_resolution_down_by: Some(3.0),
                    ..Encoding::rid("b")
                },
            ],
        ),
        add(
            Kind::Video,
            (0..20).map(|n| Encoding::rid(n.to_string())).collect(),
        ),
    ];
    let kept: Vec<Vec<(Option<String>, Option<f64>)>> = ids
        .map(|id| {
            let t = a.jsep.transceiver(id.unwrap()).unwrap();
            let of = |e: &Encoding| (e.rid.clone(), e.scale_resolution_down_by);
            t.encodings().iter().map(of).collect()
        })
        .to_vec();
    let rid = |rid: &str| Some(rid.to_owned());
    assert_eq!(kept[0], [(None, None)]);
    assert_eq!(kept[1], [(None, None)], "one of audio, and no rid");
    assert_eq!(kept[2], [(None, Some(1.0))], "a lone one has no rid");
    assert_eq!(kept[3].len(), 1);
    let thirds = [("q", 4.0), ("h", 2.0), ("f", 1.0)];
    assert_eq!(kept[4], thirds.map(|(r, s)| (rid(r), Some(s))));
    assert_eq!(kept[5], [(rid("a"), Some(1.0)), (rid("b"), Some(3.0))]);
    assert_eq!(kept[6].len(), tincan_peer::limits::MAX_ENCODINGS);
}
