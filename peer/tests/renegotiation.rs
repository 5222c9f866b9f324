//! Offers and answers of far sides that are no browsers, that think again, or that are somebody else by now.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{End, Pair, address};
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

/// The first end's offer of what it has.
fn offer(pair: &mut Pair) -> String {
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    pair.a().pc.local_description().unwrap().sdp
}

/// The second end hears an offer.
fn hear(pair: &mut Pair, offer: &str) -> Result<(), Error> {
    let now = pair.now;
    let offer = SessionDescription::offer(offer);
    pair.b().pc.set_remote_description(now, offer)
}

fn answer(pair: &mut Pair) -> String {
    let now = pair.now;
    pair.b().pc.set_local_description(now, None).unwrap();
    pair.b().pc.local_description().unwrap().sdp
}

/// The first end hears an answer.
fn accept(pair: &mut Pair, answer: &str) -> Result<(), Error> {
    let now = pair.now;
    let answer = SessionDescription::answer(answer);
    pair.a().pc.set_remote_description(now, answer)
}

fn roll_back(end: &mut End, pair_now: std::time::Instant) {
    let rollback = SessionDescription::rollback();
    end.pc.set_remote_description(pair_now, rollback).unwrap();
}

fn events(end: &mut End) -> Vec<Event> {
    std::iter::from_fn(|| end.pc.poll_event()).collect()
}

fn refused(fault: DescriptionFault) -> Result<(), Error> {
    Err(Error::InvalidDescription(fault))
}

fn track(end: &mut End, kind: Kind, name: &str) -> TransceiverId {
    let sender = end.pc.add_track(kind, name, Vec::new()).unwrap();
    sender.transceiver()
}

/// RFC 4585 §4.2: `*` is all formats of the section; RFC 9429 §5.11 asks for what the section offered. Conference servers
/// answer so.
#[test]
fn an_answer_may_name_feedback_for_all_formats_at_once() {
    let answered = |more: &str| {
        let mut pair = Pair::new();
        track(pair.a(), Kind::Audio, "mic");
        let video = track(pair.a(), Kind::Video, "camera");
        offer(&mut pair);
        let transport = format!(
            "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=ice-ufrag:them\r\na=ice-pwd:passwordpasswordpassword\r\n\
             a=fingerprint:sha-256 {}AB\r\na=setup:passive\r\na=recvonly\r\n",
            "AB:".repeat(31)
        );
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111 126\r\n{transport}a=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=rtcp-fb:* transport-cc\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n{transport}a=mid:1\r\na=rtpmap:108 H264/90000\r\n\
             a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\na=rtcp-fb:* nack\r\na=rtcp-fb:* nack pli\r\n\
             a=rtcp-fb:* goog-remb\r\na=rtcp-fb:* ccm fir\r\na=rtcp-fb:* transport-cc\r\n{more}"
        );
        let result = accept(&mut pair, &sdp);
        let codecs = pair.a().pc.transceiver(video).unwrap().send_codecs;
        (result, codecs.len(), pair.a().pc.signaling_state())
    };
    assert_eq!(answered(""), (Ok(()), 2, SignalingState::Stable));
    let not_offered = refused(DescriptionFault::FeedbackNotOffered);
    assert_eq!(
        answered("a=rtcp-fb:* app x\r\n"),
        (not_offered, 0, SignalingState::HaveLocalOffer)
    );
}

#[test]
fn states_of_a_glare_are_told_in_their_order() {
    let mut pair = Pair::new();
    track(pair.a(), Kind::Audio, "mic");
    track(pair.b(), Kind::Video, "camera");
    let theirs = offer(&mut pair);
    let now = pair.now;
    pair.b().pc.set_local_description(now, None).unwrap();
    hear(&mut pair, &theirs).unwrap();
    let told = events(pair.b()).into_iter().filter_map(|e| match e {
        Event::SignalingState(state) => Some(state),
        _ => None,
    });
    use SignalingState::{HaveLocalOffer, HaveRemoteOffer, Stable};
    assert_eq!(
        told.collect::<Vec<_>>(),
        [HaveLocalOffer, Stable, HaveRemoteOffer]
    );
    assert_eq!(pair.b().pc.signaling_state(), HaveRemoteOffer);
}

/// Without `a=mid` and BUNDLE, as gateways to SIP speak.
fn without_mids(sdp: &str) -> String {
    let kept = sdp
        .lines()
        .filter(|l| !l.starts_with("a=mid:") && !l.starts_with("a=group:"));
    kept.map(|l| format!("{l}\r\n")).collect()
}

#[test]
fn a_far_side_without_mids_can_offer_again() {
    let mut pair = Pair::new();
    let ours = track(pair.a(), Kind::Audio, "desk");
    let theirs = track(pair.b(), Kind::Audio, "phone");
    let text = offer(&mut pair);
    hear(&mut pair, &text).unwrap();
    let text = without_mids(&answer(&mut pair));
    accept(&mut pair, &text).unwrap();
    pair.ends.swap(0, 1);
    // A hold, and what follows it.
    for direction in [Direction::SendOnly, Direction::SendRecv] {
        pair.a().pc.set_direction(theirs, direction).unwrap();
        let text = without_mids(&offer(&mut pair));
        hear(&mut pair, &text).unwrap();
        let text = answer(&mut pair);
        accept(&mut pair, &text).unwrap();
        let all: Vec<Transceiver> = pair.b().pc.transceivers().collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].id, all[0].stopped), (ours, false));
        assert_eq!(all[0].current_direction, Some(direction.reversed()));
    }
    // A refusal that is taken back.
    let text = offer(&mut pair).replace("m=audio 9 ", "m=audio 0 ");
    hear(&mut pair, &without_mids(&text)).unwrap();
    let now = pair.now;
    roll_back(pair.b(), now);
    assert!(!pair.b().pc.transceiver(ours).unwrap().stopped);
}

/// W3C §4.4.1.4 step 4.4.
#[test]
fn an_offer_after_another_is_held_against_it() {
    let other = |kinds: &[Kind]| {
        let mut pair = Pair::new();
        for kind in kinds {
            track(pair.a(), *kind, kind.as_str());
        }
        offer(&mut pair)
    };
    let both = other(&[Kind::Audio, Kind::Video]);
    let audio = other(&[Kind::Audio]);
    let video = other(&[Kind::Video]);
    let moved = audio
        .replace("a=mid:0", "a=mid:1")
        .replace("BUNDLE 0", "BUNDLE 1");
    let cases = [
        (&both, &audio, DescriptionFault::SectionsVanished),
        (&audio, &video, DescriptionFault::SectionType),
        (&audio, &moved, DescriptionFault::MidChanged),
    ];
    for (first, second, fault) in cases {
        let mut pair = Pair::new();
        let ours = track(pair.b(), Kind::Audio, "desk");
        hear(&mut pair, first).unwrap();
        let before: Vec<Transceiver> = pair.b().pc.transceivers().collect();
        events(pair.b());
        assert_eq!(hear(&mut pair, second), refused(fault));
        let after: Vec<Transceiver> = pair.b().pc.transceivers().collect();
        assert_eq!(before, after);
        assert_eq!(events(pair.b()), []);
        let text = answer(&mut pair);
        assert_eq!(
            text.matches("\r\nm=").count(),
            first.matches("\r\nm=").count()
        );
        assert!(!pair.b().pc.transceiver(ours).unwrap().stopped);
        assert!(!events(pair.b()).contains(&Event::NegotiationNeeded));
    }
    // More sections are well.
    let mut pair = Pair::new();
    hear(&mut pair, &audio).unwrap();
    hear(&mut pair, &both).unwrap();
    assert_eq!(pair.b().pc.transceivers().count(), 2);
}

#[test]
fn a_section_that_the_answer_would_refuse_can_be_recycled_and_given_back() {
    let mut pair = Pair::new();
    track(pair.a(), Kind::Audio, "mic");
    pair.negotiate(0);
    let ours = pair.b().pc.transceivers().next().unwrap();
    let again = offer(&mut pair);
    let line = again.lines().find(|l| l.starts_with("m=audio ")).unwrap();
    let unknown = again
        .replace(line, "m=audio 9 UDP/TLS/RTP/SAVPF 111")
        .replace("opus/48000/2", "unheard-of/48000/2");
    hear(&mut pair, &unknown).unwrap();
    let recycled = again
        .replace("a=mid:0", "a=mid:new")
        .replace("BUNDLE 0", "BUNDLE new");
    hear(&mut pair, &recycled).unwrap();
    let mids = |pair: &mut Pair| -> Vec<Option<String>> {
        pair.b().pc.transceivers().map(|t| t.mid).collect()
    };
    assert_eq!(mids(&mut pair), [None, Some("new".to_owned())]);
    let now = pair.now;
    roll_back(pair.b(), now);
    assert_eq!(mids(&mut pair), [ours.mid]);
    assert!(!pair.b().pc.transceiver(ours.id).unwrap().stopped);
}

#[test]
fn an_answer_to_the_offer_before_is_none() {
    let mut pair = Pair::new();
    track(pair.a(), Kind::Audio, "mic");
    let first = offer(&mut pair);
    hear(&mut pair, &first).unwrap();
    let answer = pair.b().pc.create_answer(AnswerOptions::default()).unwrap();
    track(pair.a(), Kind::Video, "camera");
    let second = offer(&mut pair);
    hear(&mut pair, &second).unwrap();
    let now = pair.now;
    assert_eq!(
        pair.b().pc.set_local_description(now, Some(answer)),
        Err(Error::DescriptionAltered)
    );
    pair.b().pc.set_local_description(now, None).unwrap();
}

#[test]
fn fingerprints_of_which_none_can_be_checked_change_nothing() {
    let mut pair = Pair::new();
    pair.channel("x");
    let text = offer(&mut pair);
    let odd = |sdp: &str| {
        let (_, rest) = sdp.split_once("a=fingerprint:sha-256 ").unwrap();
        let digest = rest.lines().next().unwrap();
        let shorter = format!("sha-224 {}", &digest[..28 * 3 - 1]);
        sdp.replace(&format!("sha-256 {digest}"), &shorter)
    };
    assert_eq!(
        hear(&mut pair, &odd(&text)),
        refused(DescriptionFault::Fingerprint)
    );
    assert_eq!(pair.b().pc.signaling_state(), SignalingState::Stable);
    hear(&mut pair, &text).unwrap();
    let text = answer(&mut pair);
    events(pair.a());
    assert_eq!(
        accept(&mut pair, &odd(&text)),
        refused(DescriptionFault::Fingerprint)
    );
    assert_eq!(
        pair.a().pc.signaling_state(),
        SignalingState::HaveLocalOffer
    );
    assert_eq!(events(pair.a()), []);
    accept(&mut pair, &text).unwrap();
}

/// RFC 8285 §6.
#[test]
fn extensions_beyond_the_ids_that_there_are_are_left() {
    let mut pair = Pair::new();
    track(pair.a(), Kind::Audio, "mic");
    let text = offer(&mut pair);
    let (_, from) = text.split_once("a=extmap:").unwrap();
    let (id, rest) = from.split_once(' ').unwrap();
    let uri = rest.lines().next().unwrap();
    let line = format!("a=extmap:{id} {uri}");
    let none = text.replace(&line, &format!("a=extmap:0 {uri}"));
    assert_eq!(
        hear(&mut pair, &none),
        refused(DescriptionFault::ExtensionId)
    );
    hear(
        &mut pair,
        &text.replace(&line, &format!("a=extmap:4096 {uri}")),
    )
    .unwrap();
    let text = answer(&mut pair);
    assert!(!text.contains(uri) && text.contains("a=extmap:"), "{text}");
}

/// RFC 8830 §2.
#[test]
fn ids_of_tracks_and_streams_stay_in_their_line() {
    let mut pair = Pair::new();
    let pc = &mut pair.a().pc;
    let long = "x".repeat(256);
    for id in ["my camera", "", "a\r\na=inactive", "a\tb", &long] {
        let no = Err(Error::MsidToken);
        let streams = || vec!["fine".to_owned(), id.to_owned()];
        assert_eq!(pc.add_track(Kind::Audio, id, Vec::new()), no);
        assert_eq!(pc.add_track(Kind::Audio, "fine", streams()), no);
        let init = |streams, track| TransceiverInit {
            streams,
            track,
            ..Default::default()
        };
        let no = Err(Error::MsidToken);
        let with_streams = init(streams(), None);
        assert_eq!(pc.add_transceiver(Kind::Audio, with_streams), no);
        let with_track = init(Vec::new(), Some(id.to_owned()));
        assert_eq!(pc.add_transceiver(Kind::Audio, with_track), no);
    }
    assert_eq!(pc.transceivers().count(), 0);
    let longest = "x".repeat(255);
    let sender = pc
        .add_track(Kind::Audio, "ä@b/{0a-1b}", vec![longest.clone()])
        .unwrap();
    // RFC 9429 §5.2.1: that is no stream.
    for streams in [vec!["-".to_owned()], vec!["room 1".to_owned()]] {
        assert_eq!(pc.set_streams(sender, streams), Err(Error::MsidToken));
    }
    let other = Some("my camera".to_owned());
    assert_eq!(pc.replace_track(sender, other), Err(Error::MsidToken));
    assert_eq!(Error::MsidToken.kind(), ErrorKind::InvalidCharacter);
    let text = offer(&mut pair);
    assert!(text.contains(&format!("a=msid:{longest} ä@b/{{0a-1b}}\r\n")));
    hear(&mut pair, &text).unwrap();
}

#[test]
fn channels_are_told_that_the_far_side_takes_no_data() {
    let mut pair = Pair::new();
    track(pair.a(), Kind::Audio, "mic");
    let key = pair.channel("x");
    let no_data = |sdp: String| {
        sdp.replace("m=application 9 ", "m=application 0 ")
            .replace("BUNDLE 0 1", "BUNDLE 0")
    };
    let exchange = |pair: &mut Pair, taken: bool| {
        let text = offer(pair);
        hear(pair, &text).unwrap();
        let text = answer(pair);
        accept(pair, &if taken { text } else { no_data(text) }).unwrap();
    };
    exchange(&mut pair, false);
    let told = |key| {
        [
            Event::ChannelError(key, ChannelError::NotMade),
            Event::ChannelClosed(key),
        ]
    };
    let seen = events(pair.a());
    assert!(told(key).iter().all(|e| seen.contains(e)), "{seen:?}");
    assert_eq!(pair.a().pc.channels().count(), 0);
    // Nobody waits for data: it is not asked for again and again, but by another channel.
    track(pair.a(), Kind::Video, "camera");
    exchange(&mut pair, false);
    let seen = events(pair.a());
    let stable = Event::SignalingState(SignalingState::Stable);
    let after = seen.rsplit(|e| *e == stable).next().unwrap();
    assert!(!after.contains(&Event::NegotiationNeeded), "{seen:?}");
    let key = pair.channel("y");
    assert!(events(pair.a()).contains(&Event::NegotiationNeeded));
    exchange(&mut pair, true);
    pair.run_until(5 * SECOND, |p| {
        p.ends[0].saw(|e| *e == Event::ChannelOpen(key))
    });
    assert!(!pair.ends[0].saw(|e| matches!(e, Event::ChannelError(..))));
}

/// What comes instead of an end: a new process, or a page that was loaded again.
fn newcomer(pair: &mut Pair, n: usize, certificate: Option<&Certificate>) {
    let config = Configuration {
        certificates: certificate.cloned().into_iter().collect(),
        ..Default::default()
    };
    let mut rng = StdRng::seed_from_u64(7);
    let mut pc = PeerConnection::new(config, pair.now, &mut rng).unwrap();
    let local = LocalAddress {
        addr: address(n),
        transport: HostProtocol::Udp,
    };
    pc.add_local_address(pair.now, local);
    pair.ends[n] = End {
        pc,
        events: Vec::new(),
        inbox: Default::default(),
        trickle: true,
    };
}

fn make(pair: &mut Pair, n: usize, label: &str) -> ChannelKey {
    let (now, init) = (pair.now, DataChannelInit::default());
    let pc = &mut pair.ends[n].pc;
    pc.create_data_channel(now, label, init).unwrap()
}

fn run_until_open(pair: &mut Pair, n: usize, key: ChannelKey) {
    pair.run_until(20 * SECOND, |p| {
        p.ends[n].saw(|e| *e == Event::ChannelOpen(key))
    });
}

/// A channel of each end says its name to the other.
fn both_ways(pair: &mut Pair, keys: [ChannelKey; 2]) {
    for n in [0, 1] {
        run_until_open(pair, n, keys[n]);
        let now = pair.now;
        let text = Message::text(format!("from {n}"));
        pair.ends[n].pc.send(now, keys[n], text).unwrap();
    }
    pair.run(SECOND);
    for n in [0, 1] {
        let text = format!("from {n}");
        let heard =
            |e: &Event| matches!(e, Event::ChannelMessage(_, m) if m.as_text() == Some(&text));
        assert!(pair.ends[1 - n].saw(heard));
        assert!(pair.ends[n].pc.channel(keys[n]).is_some());
    }
}

/// RFC 9429 §5.11: another tls-id is another DTLS association, also with the same certificate.
#[test]
fn a_far_side_that_begins_anew_with_its_certificate_is_met_anew() {
    for offerer in [0, 1] {
        let now = std::time::SystemTime::UNIX_EPOCH;
        let certificates = [(); 2].map(|()| Certificate::generate(now).unwrap());
        let config = |n: usize| Configuration {
            certificates: vec![certificates[n].clone()],
            ..Default::default()
        };
        let mut pair = Pair::with(config(0), config(1), 1);
        let old = pair.channel("old");
        pair.negotiate(0);
        run_until_open(&mut pair, 0, old);
        pair.run(SECOND);
        newcomer(&mut pair, 0, Some(&certificates[0]));
        pair.b().take();
        pair.b().pc.restart_ice();
        let ours = make(&mut pair, 0, "new");
        pair.negotiate(offerer);
        let keys = [ours, make(&mut pair, 1, "new")];
        both_ways(&mut pair, keys);
        let closed = pair.b().events.iter();
        assert_eq!(
            closed
                .filter(|e| matches!(e, Event::ChannelClosed(_)))
                .count(),
            1
        );
        assert_eq!(pair.b().pc.channels().count(), 2);
    }
}

/// RFC 8832 §6: ids by the role in the association that is below.
#[test]
fn channels_of_another_association_have_ids_of_its_roles() {
    let mut pair = Pair::new();
    let old = make(&mut pair, 1, "old");
    pair.negotiate(1);
    run_until_open(&mut pair, 1, old);
    pair.run(SECOND);
    assert_eq!(pair.b().pc.channel(old).unwrap().init.id, Some(1));
    let server = pair.a().pc.channels().next().unwrap();
    newcomer(&mut pair, 1, None);
    pair.a().pc.restart_ice();
    pair.negotiate(0);
    pair.run_until(20 * SECOND, Pair::connected);
    assert!(pair.ends[0].saw(|e| *e == Event::ChannelClosed(server)));
    let keys = [make(&mut pair, 0, "ours"), make(&mut pair, 1, "theirs")];
    both_ways(&mut pair, keys);
    let id = |p: &Pair, n: usize| p.ends[n].pc.channel(keys[n]).unwrap().init.id;
    assert_eq!([id(&pair, 0), id(&pair, 1)], [Some(1), Some(0)]);
}

#[test]
fn channels_outlive_a_provisional_answer_of_somebody_else() {
    let mut pair = Pair::new();
    let key = pair.channel("x");
    let text = offer(&mut pair);
    let now = pair.now;
    let mut rng = StdRng::seed_from_u64(7);
    let mut third = PeerConnection::new(Configuration::default(), now, &mut rng).unwrap();
    third
        .set_remote_description(now, SessionDescription::offer(&text))
        .unwrap();
    third.set_local_description(now, None).unwrap();
    let provisional = SessionDescription::pranswer(third.local_description().unwrap().sdp);
    pair.a()
        .pc
        .set_remote_description(now, provisional)
        .unwrap();
    hear(&mut pair, &text).unwrap();
    let text = answer(&mut pair);
    accept(&mut pair, &text).unwrap();
    run_until_open(&mut pair, 0, key);
    assert!(!pair.ends[0].saw(|e| matches!(e, Event::ChannelClosed(_))));
}

/// W3C §4.3.3: both states change in one task.
#[test]
fn the_loss_of_the_only_address_is_told_at_once() {
    let mut pair = Pair::new();
    let key = pair.channel("x");
    pair.negotiate(0);
    run_until_open(&mut pair, 0, key);
    let local = LocalAddress {
        addr: address(0),
        transport: HostProtocol::Udp,
    };
    let now = pair.now;
    pair.a().pc.remove_local_address(now, local);
    let told = events(pair.a());
    let ice = Event::IceConnectionState(IceConnectionState::Disconnected);
    let connection = Event::ConnectionState(PeerConnectionState::Disconnected);
    assert!(
        told.contains(&ice) && told.contains(&connection),
        "{told:?}"
    );
}
