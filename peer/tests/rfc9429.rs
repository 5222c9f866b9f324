//! Rules of RFC 9429 §5 that `jsep.rs`, `pair.rs` and `w3c.rs` leave out, each test named by its section.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::Pair;
use tincan_peer::*;

/// An offer of audio, video and data.
fn offered() -> (Pair, String) {
    let mut pair = Pair::new();
    for (kind, track) in [(Kind::Audio, "mic"), (Kind::Video, "camera")] {
        pair.a().pc.add_track(kind, track, Vec::new()).unwrap();
    }
    let now = pair.now;
    let init = DataChannelInit::default();
    pair.a().pc.create_data_channel(now, "x", init).unwrap();
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap().sdp;
    (pair, offer)
}

/// What `b` answers to an offer.
fn answered(pair: &mut Pair, offer: &str) -> Result<String, Error> {
    let now = pair.now;
    let pc = &mut pair.b().pc;
    pc.set_remote_description(now, SessionDescription::offer(offer))?;
    pc.set_local_description(now, None)?;
    Ok(pc.local_description().unwrap().sdp)
}

fn accept(pair: &mut Pair, answer: &str) -> Result<(), Error> {
    let now = pair.now;
    let answer = SessionDescription::answer(answer);
    pair.a().pc.set_remote_description(now, answer)
}

fn value<'a>(sdp: &'a str, line: &str) -> &'a str {
    let found = sdp.lines().find_map(|l| l.strip_prefix(line));
    found.unwrap_or_else(|| panic!("no {line} in {sdp}"))
}

#[test]
fn s5_1_2_all_profile_names_are_taken_and_given_back() {
    let media = [
        "RTP/AVP",
        "RTP/AVPF",
        "RTP/SAVP",
        "RTP/SAVPF",
        "TCP/DTLS/RTP/SAVP",
        "TCP/DTLS/RTP/SAVPF",
        "UDP/TLS/RTP/SAVP",
        "UDP/TLS/RTP/SAVPF",
    ];
    let data = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"];
    for (n, profile) in media.into_iter().enumerate() {
        let sctp = data[n % data.len()];
        let (mut pair, offer) = offered();
        let other = offer
            .replace(" 9 UDP/TLS/RTP/SAVPF ", &format!(" 9 {profile} "))
            .replace(" 9 UDP/DTLS/SCTP ", &format!(" 9 {sctp} "));
        let answer = answered(&mut pair, &other).unwrap();
        assert_eq!(answer.matches(&format!(" 9 {profile} ")).count(), 2);
        assert_eq!(
            answer.matches(&format!(" 9 {sctp} ")).count(),
            1,
            "{answer}"
        );
        // Re-offers say what is meant.
        let now = pair.now;
        pair.b().pc.set_local_description(now, None).unwrap();
        let again = pair.b().pc.local_description().unwrap().sdp;
        assert_eq!(again.matches(" 9 UDP/TLS/RTP/SAVPF ").count(), 2);
        assert_eq!(again.matches(" 9 UDP/DTLS/SCTP ").count(), 1);
    }
    let (mut pair, offer) = offered();
    let strange = offer.replace(" 9 UDP/TLS/RTP/SAVPF ", " 9 RTP/XYZ ");
    let answer = answered(&mut pair, &strange).unwrap();
    assert_eq!(answer.matches(" 0 RTP/XYZ ").count(), 2, "refused");
}

#[test]
fn s5_2_3_1_a_restart_has_no_effect_on_the_first_offer() {
    let mut pair = Pair::new();
    let now = pair.now;
    let pc = &mut pair.a().pc;
    let init = DataChannelInit::default();
    pc.create_data_channel(now, "x", init).unwrap();
    let restart = OfferOptions { ice_restart: true };
    let ufrag = |sdp: &str| value(sdp, "a=ice-ufrag:").to_owned();
    let first = pc.create_offer(restart).unwrap().sdp;
    let plain = pc.create_offer(OfferOptions::default()).unwrap().sdp;
    assert_eq!(ufrag(&first), ufrag(&plain));
    pc.set_local_description(now, None).unwrap();
    let other = pc.create_offer(restart).unwrap().sdp;
    assert_ne!(ufrag(&other), ufrag(&plain), "later it has");
    assert_ne!(value(&other, "a=ice-pwd:"), value(&plain, "a=ice-pwd:"));
}

#[test]
fn s5_3_1_a_section_of_an_unknown_kind_is_refused_in_its_place() {
    let (mut pair, offer) = offered();
    let text = "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:t\r\na=rtpmap:98 t140/1000\r\n";
    let at = offer.find("m=video").unwrap();
    let offer = format!("{}{text}{}", &offer[..at], &offer[at..]);
    let offer = offer.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 t");
    let answer = answered(&mut pair, &offer).unwrap();
    let sections: Vec<&str> = answer.lines().filter(|l| l.starts_with("m=")).collect();
    assert_eq!(sections.len(), 4);
    assert!(sections[1].starts_with("m=text 0 "), "{}", sections[1]);
    assert!(sections[2].starts_with("m=video 9 "));
    assert!(
        !value(&answer, "a=group:BUNDLE ")
            .split(' ')
            .any(|mid| mid == "t")
    );
}

#[test]
fn s5_5_and_5_6_descriptions_of_the_wrong_time_change_nothing() {
    let (mut pair, offer) = offered();
    let now = pair.now;
    let before = pair.a().pc.local_description();
    for wrong in [
        SessionDescription::answer(offer.clone()),
        SessionDescription::pranswer(offer.clone()),
        SessionDescription::offer(offer.replace("mic", "other")),
    ] {
        let error = pair
            .a()
            .pc
            .set_local_description(now, Some(wrong))
            .unwrap_err();
        let kinds = [ErrorKind::InvalidState, ErrorKind::InvalidModification];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert_eq!(pair.a().pc.local_description(), before);
    }
    let error = pair
        .b()
        .pc
        .set_remote_description(now, SessionDescription::answer(offer))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    // §5.7: there is nothing to go back from.
    let rollback = SessionDescription::rollback();
    let error = pair.b().pc.set_local_description(now, Some(rollback));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn s5_8_1_attributes_of_the_session_are_those_of_its_sections() {
    let (mut pair, offer) = offered();
    let inherited = [
        "a=ice-ufrag:",
        "a=ice-pwd:",
        "a=fingerprint:",
        "a=setup:",
        "a=ice-options:",
    ];
    let is_inherited = |l: &&str| inherited.iter().any(|i| l.starts_with(i));
    let mut above: Vec<&str> = offer.lines().filter(is_inherited).collect();
    above.sort_unstable();
    above.dedup();
    assert_eq!(above.len(), inherited.len());
    let (head, sections) = offer.split_at(offer.find("m=").unwrap());
    let below: Vec<&str> = sections.lines().filter(|l| !is_inherited(l)).collect();
    let offer = format!("{head}{}\r\n{}\r\n", above.join("\r\n"), below.join("\r\n"));
    let answer = answered(&mut pair, &offer).unwrap();
    accept(&mut pair, &answer).unwrap();
    pair.run_until(Duration::from_secs(5), Pair::connected);
}

#[test]
fn s5_8_3_what_every_section_needs_is_looked_for() {
    use DescriptionFault as F;
    let long = "x".repeat(257);
    let print = |sdp: &str| value(sdp, "a=fingerprint:").to_owned();
    for (fault, change) in [
        (
            F::IceCredentials,
            Box::new(|sdp: &str| sdp.replace(value(sdp, "a=ice-ufrag:"), "abc"))
                as Box<dyn Fn(&str) -> String>,
        ),
        (
            F::IceCredentials,
            Box::new(|sdp: &str| sdp.replace(value(sdp, "a=ice-ufrag:"), &long)),
        ),
        (
            F::IceCredentials,
            Box::new(|sdp: &str| sdp.replace(value(sdp, "a=ice-pwd:"), &long[..21])),
        ),
        (
            F::IceCredentials,
            Box::new(|sdp: &str| {
                let line = format!("a=ice-pwd:{}\r\n", value(sdp, "a=ice-pwd:"));
                sdp.replace(&line, "")
            }),
        ),
        (
            F::Fingerprint,
            Box::new(|sdp: &str| sdp.replace(&format!("a=fingerprint:{}\r\n", print(sdp)), "")),
        ),
    ] {
        let (mut pair, offer) = offered();
        let changed = change(&offer);
        assert_ne!(changed, offer);
        let error = answered(&mut pair, &changed);
        let error = error.unwrap_err();
        // Of a length that the grammar does not have (RFC 8839 §5.4), or not there.
        let named = error == Error::InvalidDescription(fault);
        assert!(named || error.kind() == ErrorKind::Syntax, "{error}");
        assert_eq!(pair.b().pc.signaling_state(), SignalingState::Stable);
    }
}

#[test]
fn s5_8_3_another_tls_id_needs_a_restart() {
    let (mut pair, offer) = offered();
    let answer = answered(&mut pair, &offer).unwrap();
    accept(&mut pair, &answer).unwrap();
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    let again = pair.a().pc.local_description().unwrap().sdp;
    let other = again.replace(value(&again, "a=tls-id:"), &"y".repeat(24));
    assert_ne!(other, again);
    let refused = pair
        .b()
        .pc
        .set_remote_description(now, SessionDescription::offer(other));
    let fault = DescriptionFault::DtlsChangedWithoutRestart;
    assert_eq!(refused, Err(Error::InvalidDescription(fault)));
    let fine = SessionDescription::offer(again);
    pair.b().pc.set_remote_description(now, fine).unwrap();
}

#[test]
fn s5_10_limits_of_the_far_side_are_told() {
    let (mut pair, offer) = offered();
    let answer = answered(&mut pair, &offer).unwrap();
    // TIAS is in bit/s, AS in kbit/s with 40 octets of headers in 50 packets a second: §5.10.
    for (line, limit) in [
        ("b=TIAS:500000", 500_000),
        ("b=AS:500", 500 * 950 - 50 * 40 * 8),
    ] {
        let mut limited = answer.clone();
        let at = limited.find("m=video").unwrap();
        let end = at + limited[at..].find("\r\nc=").unwrap() + 2;
        let end = end + limited[end..].find("\r\n").unwrap() + 2;
        limited.insert_str(end, &format!("{line}\r\n"));
        if pair.a().pc.signaling_state() == SignalingState::Stable {
            let now = pair.now;
            pair.a().pc.set_local_description(now, None).unwrap();
        }
        accept(&mut pair, &limited).unwrap();
        let video = pair.a().pc.transceivers().nth(1).unwrap();
        assert_eq!(video.max_bitrate, Some(limit), "{line}");
    }
}

#[test]
fn s5_11_an_answer_that_takes_less_leaves_less() {
    let (mut pair, offer) = offered();
    let answer = answered(&mut pair, &offer).unwrap();
    // Without the extension and the codecs, and with the data refused.
    let less = answer
        .lines()
        .filter(|l| !l.contains("urn:3gpp:video-orientation"))
        .map(|l| {
            if l.starts_with("m=application") {
                l.replace(" 9 ", " 0 ")
            } else {
                l.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\r\n")
        + "\r\n";
    let less = less.replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1");
    assert_ne!(less, answer);
    accept(&mut pair, &less).unwrap();
    assert_eq!(pair.a().pc.sctp_transport(), None, "no association");
    let video = pair.a().pc.transceivers().nth(1).unwrap();
    let has = |uri: &str| video.header_extensions.iter().any(|e| e.uri.ends_with(uri));
    assert!(!has("video-orientation") && has("sdes:mid"));
}

/// §5.10 wants a transceiver for each section. Where there can't be one the offer is refused, and nothing has changed.
#[test]
fn an_offer_of_more_sections_than_there_can_be_transceivers_changes_nothing() {
    let mut far = Pair::new();
    for _ in 0..200 {
        let init = TransceiverInit::default();
        far.a().pc.add_transceiver(Kind::Audio, init).unwrap();
    }
    let now = far.now;
    far.a().pc.set_local_description(now, None).unwrap();
    let offer = far.a().pc.local_description().unwrap();
    for _ in 0..limits::MAX_TRANSCEIVERS - 100 {
        let init = TransceiverInit::default();
        far.b().pc.add_transceiver(Kind::Video, init).unwrap();
    }
    let before: Vec<Transceiver> = far.b().pc.transceivers().collect();
    let refused = far.b().pc.set_remote_description(now, offer);
    assert_eq!(refused, Err(Error::TooManyTransceivers));
    assert_eq!(far.b().pc.transceivers().collect::<Vec<_>>(), before);
    assert_eq!(far.b().pc.signaling_state(), SignalingState::Stable);
}
