//! Calls and objects of the W3C's that `pair.rs` and `jsep.rs` leave out: configuration that changes, the candidate pool,
//! transports as objects, sources, and the lines of RFC 9429 that only some descriptions have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::{Pair, address};
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

fn stun(port: u16) -> IceServer {
    IceServer {
        urls: vec![format!("stun:192.0.2.1:{port}")],
        ..Default::default()
    }
}

/// Ports of 192.0.2.1 that a peer sends something to now.
fn asked(pair: &mut Pair, n: usize) -> Vec<u16> {
    let mut ports = Vec::new();
    for _ in 0..200 {
        let now = pair.now;
        let mut out = Vec::new();
        while let Some(t) = pair.ends[n].pc.poll_transmit(now, &mut out, 1) {
            if t.remote.ip().to_string() == "192.0.2.1" && !ports.contains(&t.remote.port()) {
                ports.push(t.remote.port());
            }
            out.clear();
        }
        pair.now += Duration::from_millis(20);
        let now = pair.now;
        pair.ends[n].pc.handle_timeout(now);
    }
    ports
}

#[test]
fn new_servers_are_asked_from_the_next_gathering_on() {
    // W3C §4.4.1.6: before the local description at once …
    let mut pair = Pair::new();
    let with = |port| Configuration {
        ice_servers: vec![stun(port)],
        ..pair.ends[0].pc.configuration().clone()
    };
    let (first, second) = (with(1001), with(1002));
    pair.a().pc.set_configuration(first).unwrap();
    let now = pair.now;
    pair.channel("x");
    pair.a().pc.set_local_description(now, None).unwrap();
    assert_eq!(asked(&mut pair, 0), [1001]);
    // … and after it with the next restart.
    pair.a().pc.set_configuration(second).unwrap();
    assert!(!asked(&mut pair, 0).contains(&1002));
    pair.a().pc.restart_ice();
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    assert!(asked(&mut pair, 0).contains(&1002));
}

#[test]
fn what_cannot_change_any_more_is_refused() {
    let mut pair = Pair::new();
    let pc = &mut pair.ends[0].pc;
    let before = pc.configuration().clone();
    let changed = [
        Configuration {
            bundle_policy: BundlePolicy::MaxBundle,
            ..before.clone()
        },
        Configuration {
            certificates: vec![Certificate::generate(std::time::SystemTime::now()).unwrap()],
            ..before.clone()
        },
        Configuration {
            ice_lite: true,
            ..before.clone()
        },
    ];
    for changed in changed {
        let error = pc.set_configuration(changed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModification);
        assert_eq!(*pc.configuration(), before);
    }
}

#[test]
fn a_pool_gathers_before_the_description_and_tells_with_it() {
    let config = Configuration {
        ice_candidate_pool_size: 1,
        ice_servers: vec![stun(1003)],
        ..Default::default()
    };
    let mut pair = Pair::with(config, Configuration::default(), 1);
    assert_eq!(asked(&mut pair, 0), [1003], "before anything was described");
    assert_eq!(pair.a().pc.ice_gathering_state(), IceGatheringState::New);
    assert_eq!(pair.a().pc.poll_event(), None);
    let now = pair.now;
    pair.channel("x");
    pair.a().pc.set_local_description(now, None).unwrap();
    let mut told = Vec::new();
    while let Some(event) = pair.a().pc.poll_event() {
        told.push(event);
    }
    let candidate =
        |e: &Event| matches!(e, Event::IceCandidate(Some(c)) if c.candidate.contains("typ host"));
    assert!(told.iter().any(candidate), "{told:?}");
    let sdp = pair.a().pc.local_description().unwrap().sdp;
    assert!(sdp.contains("typ host"));
}

/// RFC 9429 §4.1.18: a pool that grows is gathered at once, with the new servers.
#[test]
fn a_pool_that_is_wanted_later_gathers_when_it_is() {
    let mut pair = Pair::new();
    let config = Configuration {
        ice_candidate_pool_size: 1,
        ice_servers: vec![stun(1004)],
        ..pair.ends[0].pc.configuration().clone()
    };
    assert!(asked(&mut pair, 0).is_empty());
    pair.a().pc.set_configuration(config).unwrap();
    assert_eq!(asked(&mut pair, 0), [1004]);
    assert_eq!(pair.a().pc.poll_event(), None);
}

#[test]
fn transports_are_objects() {
    let mut pair = Pair::new();
    assert_eq!(pair.a().pc.dtls_transport(), None);
    assert_eq!(pair.a().pc.sctp_transport(), None);
    let ice = pair.a().pc.ice_transport();
    assert_eq!((ice.local_parameters, ice.remote_parameters), (None, None));
    pair.channel("x");
    pair.negotiate(0);
    pair.run_until(5 * SECOND, |p| {
        p.ends
            .iter()
            .all(|e| e.pc.sctp_state() == Some(SctpTransportState::Connected))
    });
    let [a, b] = [0, 1].map(|n| {
        let pc = &pair.ends[n].pc;
        (
            pc.ice_transport(),
            pc.dtls_transport().unwrap(),
            pc.sctp_transport().unwrap(),
        )
    });
    assert!(a.0.controlling && !b.0.controlling);
    assert_eq!(a.0.selected, Some((address(0), address(1))));
    assert_eq!(b.0.selected, Some((address(1), address(0))));
    let (local, remote) = a.0.selected_candidates.as_ref().unwrap();
    assert_eq!(
        (local.kind, remote.kind),
        (CandidateKind::Host, CandidateKind::Host)
    );
    assert_eq!(remote.socket_addr(), Some(address(1)));
    // §5.6.2: as the descriptions have them.
    let own = a.0.local_parameters.as_ref().unwrap();
    assert!(own.ufrag.len() >= 4 && own.pwd.len() >= 22);
    assert_eq!(b.0.remote_parameters.as_ref(), Some(own));
    assert_eq!(a.0.remote_parameters, b.0.local_parameters);
    assert_eq!(a.0.local_candidates.len(), 1);
    assert!(a.0.remote_candidates[0].contains("10.0.0.2"));
    assert_ne!(a.1.role, b.1.role);
    assert_eq!(a.1.state, DtlsTransportState::Connected);
    let theirs = pair.ends[1].pc.certificates()[0].der().unwrap();
    assert_eq!(a.1.remote_certificates, [theirs]);
    assert_eq!(a.2.max_message_size, Some(262_144));
    assert!(a.2.max_channels > Some(1000));
}

#[test]
fn lines_of_rtp_sections_are_those_of_rfc_9429() {
    let mut pair = Pair::new();
    let stream = |track: &str| (track.to_owned(), vec!["camera".to_owned()]);
    for (kind, (track, streams)) in [(Kind::Audio, stream("mic")), (Kind::Video, stream("cam"))] {
        pair.a().pc.add_track(kind, &track, streams).unwrap();
    }
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap();
    let count = |sdp: &str, line: &str| sdp.lines().filter(|l| *l == line).count();
    assert_eq!(count(&offer.sdp, "a=rtcp-mux-only"), 2, "§5.2.1");
    assert_eq!(count(&offer.sdp, "a=maxptime:120"), 1, "§5.2.1, audio");
    assert_eq!(count(&offer.sdp, "a=group:LS 0 1"), 1, "§5.2.1");
    pair.b()
        .pc
        .set_remote_description(now, offer.clone())
        .unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    assert_eq!(count(&answer.sdp, "a=rtcp-mux-only"), 0, "§5.3.1");
    assert_eq!(
        count(&answer.sdp, "a=group:LS 0 1"),
        1,
        "§5.3.1: made by the offer"
    );
    assert_eq!(count(&answer.sdp, "a=ice-options:trickle ice2"), 1);
    pair.a().pc.set_remote_description(now, answer).unwrap();
    let t = pair.a().pc.transceivers().next().unwrap();
    assert_eq!((t.max_ptime, t.reduced_size_rtcp), (Some(120), true));
    assert!(
        t.header_extensions
            .iter()
            .any(|e| e.uri.ends_with("sdes:mid"))
    );
    pair.a().pc.set_local_description(now, None).unwrap();
    let again = pair.a().pc.local_description().unwrap().sdp;
    assert_eq!(count(&again, "a=rtcp-mux-only"), 0, "§5.2.2");

    // §5.3.1: options that were not offered are not in the answer, and no group if nothing is shared.
    let mut other = Pair::new();
    for (track, stream) in [("mic", "one"), ("cam", "two")] {
        let kind = if track == "mic" {
            Kind::Audio
        } else {
            Kind::Video
        };
        other
            .b()
            .pc
            .add_track(kind, track, vec![stream.to_owned()])
            .unwrap();
    }
    let plain = offer.sdp.replace("a=ice-options:trickle ice2\r\n", "");
    other
        .b()
        .pc
        .set_remote_description(now, SessionDescription::offer(plain))
        .unwrap();
    other.b().pc.set_local_description(now, None).unwrap();
    let answer = other.b().pc.local_description().unwrap().sdp;
    assert!(!answer.contains("a=ice-options") && !answer.contains("a=group:LS"));
    // RFC 8858 §4.2: mux-only without mux is no offer.
    let broken = offer.sdp.replace("a=rtcp-mux\r\n", "");
    let mut third = Pair::new();
    assert_eq!(
        third
            .b()
            .pc
            .set_remote_description(now, SessionDescription::offer(broken)),
        Err(Error::InvalidDescription(DescriptionFault::NoRtcpMux))
    );
}

#[test]
fn a_replaced_track_needs_no_negotiation() {
    let mut pair = Pair::new();
    let id = pair
        .a()
        .pc
        .add_track(Kind::Video, "front", vec!["s".into()])
        .unwrap();
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    pair.a().take();
    pair.a().pc.replace_track(id, Some("back".into())).unwrap();
    assert_eq!(
        pair.a().pc.sender(id).unwrap().track.as_deref(),
        Some("back")
    );
    pair.a().pc.replace_track(id, None).unwrap();
    assert_eq!(pair.a().pc.poll_event(), None);
    let now = pair.now;
    pair.a().pc.stop(now, id.transceiver()).unwrap();
    assert_eq!(
        pair.a().pc.replace_track(id, Some("x".into())),
        Err(Error::TransceiverStopped(id.transceiver()))
    );
}

#[test]
fn a_packet_that_comes_late_does_not_take_sources_back() {
    let mut pair = Pair::new();
    let audio = pair.transceiver(Kind::Audio);
    pair.negotiate(0);
    pair.run_until(Duration::from_secs(5), Pair::connected);
    let codec = pair.a().pc.transceiver(audio).unwrap().send_codecs[0].payload_type;
    for n in [1u16, 3, 2] {
        let now = pair.now;
        let packet = RtpPacket::new(codec, n, u32::from(n) * 960, false, vec![1; 40]);
        let packet = packet.with_csrcs(&[7]);
        pair.a().pc.send_rtp(now, audio, packet).unwrap();
        pair.run(Duration::from_millis(20));
    }
    let now = pair.now;
    let pc = &mut pair.b().pc;
    let to = pc.receivers().next().unwrap().id;
    let contributing: Vec<_> = pc.contributing_sources(now, to);
    let synchronization = pc.synchronization_sources(now, to);
    assert_eq!(contributing[0].rtp_timestamp, 3 * 960);
    assert_eq!(synchronization[0].rtp_timestamp, 3 * 960);
}

/// W3C §5.3: an entry for each unique CSRC, in whatever streams of the receiver it is.
#[test]
fn a_contributor_of_two_streams_is_told_once() {
    let mut pair = Pair::new();
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        send_encodings: ["l", "h"].map(Encoding::rid).to_vec(),
        ..Default::default()
    };
    let video = pair.a().pc.add_transceiver(Kind::Video, init).unwrap();
    pair.negotiate(0);
    pair.run_until(Duration::from_secs(5), Pair::connected);
    let codec = pair.a().pc.transceiver(video).unwrap().send_codecs[0].payload_type;
    for n in 0..2u8 {
        let now = pair.now;
        let mut packet =
            RtpPacket::new(codec, 1, u32::from(n), false, vec![1; 40]).with_csrcs(&[7]);
        packet.encoding = n;
        pair.a().pc.send_rtp(now, video, packet).unwrap();
        pair.run(Duration::from_millis(20));
    }
    let now = pair.now;
    let pc = &mut pair.b().pc;
    let to = pc.receivers().next().unwrap().id;
    assert_eq!(pc.synchronization_sources(now, to).len(), 2);
    let sources = pc.contributing_sources(now, to);
    assert_eq!(sources.len(), 1);
    assert_eq!((sources[0].source, sources[0].rtp_timestamp), (7, 1));
}

#[test]
fn contributing_sources_are_those_of_the_last_ten_seconds() {
    // What a mixer sends has CSRCs; a forwarded packet keeps them.
    let mut pair = Pair::new();
    let id = pair.transceiver(Kind::Audio);
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    let codec = pair.a().pc.transceiver(id).unwrap().send_codecs[0].payload_type;
    let packet = RtpPacket::new(codec, 1, 960, false, vec![1; 40]).with_csrcs(&[7, 9]);
    let now = pair.now;
    pair.a().pc.send_rtp(now, id, packet).unwrap();
    pair.run(Duration::from_millis(20));
    let to = pair.b().pc.receivers().next().unwrap().id;
    let now = pair.now;
    let sources = pair.b().pc.contributing_sources(now, to);
    let ids: Vec<_> = sources
        .iter()
        .map(|s| (s.source, s.rtp_timestamp))
        .collect();
    assert_eq!(ids, [(7, 960), (9, 960)]);
    let later = now + 11 * SECOND;
    assert_eq!(pair.b().pc.contributing_sources(later, to), []);
}

/// W3C §4.4.1.6 with RFC 9429 §4.1.18: another transport policy counts from the next gathering phase on.
#[test]
fn another_transport_policy_counts_from_the_next_gathering_on() {
    let policy = |ice_transport_policy| Configuration {
        ice_transport_policy,
        ..Default::default()
    };
    let tells_host = |pair: &mut Pair| {
        let sdp = pair.a().pc.local_description().unwrap().sdp;
        sdp.contains("typ host")
    };
    let mut pair = Pair::new();
    pair.channel("x");
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    assert!(tells_host(&mut pair));
    let relay = policy(IceTransportPolicy::Relay);
    pair.a().pc.set_configuration(relay).unwrap();
    pair.run(SECOND);
    assert!(tells_host(&mut pair) && pair.connected(), "nothing yet");
    pair.a().pc.restart_ice();
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    assert!(!tells_host(&mut pair), "no relay, no candidate");
    assert_eq!(
        pair.a().pc.ice_gathering_state(),
        IceGatheringState::Complete
    );
    // And back.
    pair.a()
        .pc
        .set_local_description(now, Some(SessionDescription::rollback()))
        .unwrap();
    let all = policy(IceTransportPolicy::All);
    pair.a().pc.set_configuration(all).unwrap();
    pair.negotiate(0);
    assert!(tells_host(&mut pair));
    pair.run_until(5 * SECOND, Pair::connected);
}

#[test]
fn a_pool_tells_what_the_policy_allows_when_it_is_told() {
    for (first, then) in [
        (IceTransportPolicy::All, IceTransportPolicy::Relay),
        (IceTransportPolicy::Relay, IceTransportPolicy::All),
    ] {
        let config = Configuration {
            ice_candidate_pool_size: 1,
            ice_transport_policy: first,
            ..Default::default()
        };
        let mut pair = Pair::with(config.clone(), Configuration::default(), 1);
        let now = pair.now;
        let config = Configuration {
            ice_transport_policy: then,
            ..config
        };
        let pc = &mut pair.a().pc;
        pc.set_configuration(config).unwrap();
        pc.create_data_channel(now, "x", DataChannelInit::default())
            .unwrap();
        pc.set_local_description(now, None).unwrap();
        let mut told = Vec::new();
        while let Some(event) = pc.poll_event() {
            if let Event::IceCandidate(Some(candidate)) = event {
                told.push(candidate.candidate);
            }
        }
        assert_eq!(
            told.len(),
            usize::from(then == IceTransportPolicy::All),
            "{told:?}"
        );
        let sdp = pc.local_description().unwrap().sdp;
        assert_eq!(sdp.matches("typ host").count(), told.len());
    }
}

/// W3C §5.5: `error` of the DTLS transport, with what went over the wire.
#[test]
fn a_certificate_that_nobody_named_is_an_error_with_its_reason() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.channel("x");
    pair.a().pc.set_local_description(now, None).unwrap();
    let mut offer = pair.a().pc.local_description().unwrap();
    let at = offer.sdp.find("a=fingerprint:sha-256 ").unwrap() + 22;
    let other = if offer.sdp[at..].starts_with("00") {
        "01"
    } else {
        "00"
    };
    offer.sdp.replace_range(at..at + 2, other);
    pair.b().pc.set_remote_description(now, offer).unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    pair.a().pc.set_remote_description(now, answer).unwrap();
    pair.run_until(10 * SECOND, |p| {
        let failed = |e: &support::End| e.pc.dtls_state() == Some(DtlsTransportState::Failed);
        p.ends.iter().all(failed)
    });
    let told = |events: Vec<Event>| {
        let at = events.iter().position(|e| matches!(e, Event::DtlsError(_)));
        let state = Event::DtlsState(DtlsTransportState::Failed);
        assert!(at < events.iter().position(|e| *e == state), "{events:?}");
        match events[at.unwrap()] {
            Event::DtlsError(error) => error,
            _ => unreachable!(),
        }
    };
    let theirs = told(pair.a().take());
    let ours = told(pair.b().take());
    assert!(ours.is_fingerprint_failure() && !theirs.is_fingerprint_failure());
    // bad_certificate (RFC 8446 §6).
    assert_eq!((ours.sent_alert(), ours.received_alert()), (Some(42), None));
    assert_eq!(
        (theirs.sent_alert(), theirs.received_alert()),
        (None, Some(42))
    );
}

/// W3C §4.8.1: a candidate's attributes can be asked for.
#[test]
fn a_candidate_has_attributes() {
    let mut pair = Pair::new();
    let now = pair.now;
    let pc = &mut pair.a().pc;
    pc.create_data_channel(now, "x", DataChannelInit::default())
        .unwrap();
    pc.set_local_description(now, None).unwrap();
    let candidate = std::iter::from_fn(|| pc.poll_event()).find_map(|e| match e {
        Event::IceCandidate(candidate) => candidate,
        _ => None,
    });
    let parsed = candidate.unwrap().parsed().unwrap();
    assert_eq!(parsed.kind, CandidateKind::Host);
    assert_eq!(parsed.transport, CandidateTransport::Udp);
    assert_eq!(parsed.socket_addr(), Some(address(0)));
    let end = IceCandidateInit::default().parsed();
    assert_eq!(end, Err(Error::CandidateMalformed));
}
