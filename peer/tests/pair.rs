//! Two peers without I/O: what connects, what flows, what ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use support::{Pair, address};
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

/// A connected pair with one channel from `a`.
fn with_channel() -> (Pair, ChannelKey, ChannelKey) {
    let mut pair = Pair::new();
    let a = pair.channel("chat");
    assert_eq!(pair.a().pc.poll_event(), Some(Event::NegotiationNeeded));
    pair.negotiate(0);
    pair.run_until(5 * SECOND, |p| {
        p.ends[0].saw(|e| matches!(e, Event::ChannelOpen(_)))
            && p.ends[1].saw(|e| matches!(e, Event::ChannelOpen(_)))
    });
    let b = pair.b().pc.channels().next().unwrap();
    (pair, a, b)
}

#[test]
fn two_peers_connect_open_a_channel_and_echo() {
    let (mut pair, a, b) = with_channel();
    assert!(pair.connected());
    assert_eq!(pair.b().pc.channel(b).unwrap().label, "chat");
    assert!(pair.ends[1].saw(|e| *e == Event::DataChannel(b)));
    let messages = [
        Message::text("hello"),
        Message::binary(vec![7; 100_000]),
        Message::text(""),
        Message::binary(vec![]),
    ];
    let now = pair.now;
    for message in &messages {
        pair.a().pc.send(now, a, message.clone()).unwrap();
    }
    pair.run(SECOND);
    let received = |end: &support::End| -> Vec<Message> {
        end.events
            .iter()
            .filter_map(|e| match e {
                Event::ChannelMessage(_, m) => Some(m.clone()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(received(&pair.ends[1]), messages);
    let now = pair.now;
    for message in received(&pair.ends[1]) {
        pair.b().pc.send(now, b, message).unwrap();
    }
    pair.run(SECOND);
    assert_eq!(received(&pair.ends[0]), messages);
}

#[test]
fn states_are_told_in_order() {
    let (mut pair, _, _) = with_channel();
    let events = pair.a().take();
    let states: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::ConnectionState(s) => Some(*s),
            _ => None,
        })
        .collect();
    use PeerConnectionState::*;
    assert_eq!(states, [Connecting, Connected]);
    let dtls: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::DtlsState(s) => Some(*s),
            _ => None,
        })
        .collect();
    assert_eq!(dtls.last(), Some(&DtlsTransportState::Connected));
    assert!(events.contains(&Event::SctpState(SctpTransportState::Connected)));
    assert!(events.contains(&Event::SelectedCandidatePair {
        local: address(0),
        remote: address(1)
    }));
    assert!(events.contains(&Event::IceGatheringState(IceGatheringState::Complete)));
}

#[test]
fn rtp_flows_both_ways() {
    let mut pair = Pair::new();
    let audio = pair.transceiver(Kind::Audio);
    let video = pair.transceiver(Kind::Video);
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap();
    pair.b().pc.set_remote_description(now, offer).unwrap();
    let theirs: Vec<TransceiverId> = pair.b().pc.transceivers().map(|t| t.id).collect();
    for t in &theirs {
        pair.b().pc.set_direction(*t, Direction::SendRecv).unwrap();
    }
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    pair.a().pc.set_remote_description(now, answer).unwrap();
    pair.run_until(5 * SECOND, Pair::connected);
    for (from, ids) in [(0, vec![audio, video]), (1, theirs)] {
        for n in 0..50u16 {
            let now = pair.now;
            for (id, pt) in ids.iter().zip([111, 96]) {
                let packet = RtpPacket::new(
                    pt,
                    1000 + n,
                    u32::from(n) * 960,
                    n % 10 == 0,
                    vec![n as u8; 200 + usize::from(n)],
                );
                pair.ends[from].pc.send_rtp(now, *id, packet).unwrap();
            }
            pair.run(Duration::from_millis(20));
        }
        let to = 1 - from;
        let received: Vec<&RtpPacket> = pair.ends[to]
            .events
            .iter()
            .filter_map(|e| match e {
                Event::Rtp { packet, .. } => Some(packet),
                _ => None,
            })
            .collect();
        assert_eq!(received.len(), 100);
        let video: Vec<_> = received.iter().filter(|p| p.payload_type == 96).collect();
        assert_eq!(video.len(), 50);
        for (n, packet) in video.iter().enumerate() {
            assert_eq!(packet.sequence_number, 1000 + n as u16);
            assert_eq!(packet.payload, vec![n as u8; 200 + n]);
            assert_eq!(packet.marker, n % 10 == 0);
        }
    }
    assert!(pair.ends[1].saw(|e| matches!(e, Event::TrackUnmuted { .. })));
    let error = pair
        .a()
        .pc
        .send_rtp(now, video, RtpPacket::new(1, 0, 0, false, vec![1]))
        .unwrap_err();
    assert!(matches!(
        error,
        Error::PayloadTypeUnknown {
            payload_type: 1,
            ..
        }
    ));
}

#[test]
fn lost_video_is_sent_again_and_key_frames_are_asked_for() {
    let mut pair = Pair::new();
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        ..Default::default()
    };
    let video = pair.a().pc.add_transceiver(Kind::Video, init).unwrap();
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    pair.lose_every = 10;
    for n in 0..200u16 {
        let now = pair.now;
        pair.a()
            .pc
            .send_rtp(
                now,
                video,
                RtpPacket::new(96, n, u32::from(n) * 3000, true, vec![1; 500]),
            )
            .unwrap();
        pair.run(Duration::from_millis(10));
    }
    pair.lose_every = 0;
    pair.run(SECOND);
    let mut seen: Vec<u16> = pair.ends[1]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Rtp { packet, .. } => Some(packet.sequence_number),
            _ => None,
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 199, "{} of 200", seen.len());
    let now = pair.now;
    let theirs = pair.b().pc.transceivers().next().unwrap().id;
    pair.b().pc.request_key_frame(now, theirs).unwrap();
    pair.run(SECOND);
    assert!(pair.ends[0].saw(|e| *e
        == Event::KeyFrameRequest {
            transceiver: video,
            encoding: 0
        }));
}

#[test]
fn close_is_seen_by_the_far_side() {
    let (mut pair, _, b) = with_channel();
    let now = pair.now;
    pair.a().pc.close(now);
    pair.run(SECOND);
    assert!(pair.ends[1].saw(|e| *e == Event::ChannelClosed(b)));
    assert!(pair.ends[1].saw(|e| *e == Event::DtlsState(DtlsTransportState::Closed)));
    assert_eq!(pair.a().pc.connection_state(), PeerConnectionState::Closed);
    assert_eq!(pair.a().pc.poll_timeout(), None);
}

#[test]
fn ice_restarts_and_data_goes_on() {
    let (mut pair, a, _) = with_channel();
    let before = pair.a().pc.local_ufrags().next().unwrap().to_owned();
    pair.a().pc.restart_ice();
    assert_eq!(pair.a().pc.poll_event(), Some(Event::NegotiationNeeded));
    pair.negotiate(0);
    assert_ne!(pair.a().pc.local_ufrags().next().unwrap(), before);
    let now = pair.now;
    pair.a().pc.send(now, a, Message::text("during")).unwrap();
    pair.run(2 * SECOND);
    let now = pair.now;
    pair.a().pc.send(now, a, Message::text("after")).unwrap();
    pair.run(2 * SECOND);
    let texts = pair.ends[1]
        .events
        .iter()
        .filter(|e| matches!(e, Event::ChannelMessage(..)))
        .count();
    assert_eq!(texts, 2);
    assert!(pair.connected());
    assert!(!pair.ends[0].saw(|e| matches!(
        e,
        Event::DtlsState(DtlsTransportState::Closed | DtlsTransportState::Failed)
    )));
}

#[test]
fn negotiated_channel_needs_no_announcement() {
    let mut pair = Pair::new();
    let now = pair.now;
    let init = DataChannelInit {
        negotiated: true,
        id: Some(100),
        ..Default::default()
    };
    let a = pair
        .a()
        .pc
        .create_data_channel(now, "negotiated", init.clone())
        .unwrap();
    let b = pair
        .b()
        .pc
        .create_data_channel(now, "negotiated", init)
        .unwrap();
    pair.negotiate(0);
    pair.run(SECOND);
    let now = pair.now;
    pair.a().pc.send(now, a, Message::text("x")).unwrap();
    pair.run(SECOND);
    assert!(pair.ends[1].saw(|e| *e == Event::ChannelMessage(b, Message::text("x"))));
    assert!(!pair.ends[1].saw(|e| matches!(e, Event::DataChannel(_))));
}

/// `a` sends on a fresh transceiver to `b`; returns it.
fn sending(pair: &mut Pair, kind: Kind, encodings: Vec<Encoding>) -> TransceiverId {
    let init = TransceiverInit {
        direction: Direction::SendOnly,
        send_encodings: encodings,
        ..Default::default()
    };
    let id = pair.a().pc.add_transceiver(kind, init).unwrap();
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    id
}

#[test]
fn statistics_of_both_sides_tell_the_same_story() {
    use tincan_peer::stats::Stats;
    let mut pair = Pair::new();
    let video = sending(&mut pair, Kind::Video, Vec::new());
    for n in 0..300u16 {
        let now = pair.now;
        let packet = RtpPacket::new(96, n, u32::from(n) * 3000, true, vec![1; 700]);
        pair.a().pc.send_rtp(now, video, packet).unwrap();
        pair.run(Duration::from_millis(10));
    }
    let now = pair.now;
    let [a, b] = [0, 1].map(|n| pair.ends[n].pc.stats(now));
    let out = a
        .entries
        .iter()
        .find_map(|s| {
            if let Stats::OutboundRtp(s) = s {
                Some(s)
            } else {
                None
            }
        })
        .unwrap();
    let inb = b
        .entries
        .iter()
        .find_map(|s| {
            if let Stats::InboundRtp(s) = s {
                Some(s)
            } else {
                None
            }
        })
        .unwrap();
    assert_eq!(
        (out.ssrc, out.packets_sent, out.bytes_sent),
        (inb.ssrc, inb.packets_received, inb.bytes_received)
    );
    assert_eq!((out.packets_sent, inb.packets_lost), (Some(300), Some(0)));
    let Some(Stats::RemoteInboundRtp(remote)) = a.get(out.remote_id.as_ref().unwrap()) else {
        panic!("{a:?}")
    };
    let rtt = remote.round_trip_time.unwrap();
    assert!(
        (0.0019..0.0022).contains(&rtt),
        "two milliseconds, not {rtt}"
    );
    let Some(Stats::RemoteOutboundRtp(remote)) = b.get(inb.remote_id.as_ref().unwrap()) else {
        panic!("{b:?}")
    };
    assert!(remote.reports_sent.unwrap() >= 2 && remote.packets_sent.unwrap() > 200);
    let transport = |r: &StatsReport| {
        r.entries
            .iter()
            .find_map(|s| {
                if let Stats::Transport(s) = s {
                    Some(s.clone())
                } else {
                    None
                }
            })
            .unwrap()
    };
    let (ta, tb) = (transport(&a), transport(&b));
    assert_eq!(ta.packets_sent, tb.packets_received);
    assert_eq!(ta.bytes_received, tb.bytes_sent);
    assert_eq!(ta.srtp_cipher, tb.srtp_cipher);
    let mut ids: Vec<&str> = a.entries.iter().map(Stats::id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "every id once");
    for (id, kind) in [
        (&ta.selected_candidate_pair_id, "CandidatePair"),
        (&ta.remote_certificate_id, "Certificate"),
    ] {
        let entry = a.get(id.as_ref().unwrap()).unwrap();
        assert!(format!("{entry:?}").starts_with(kind));
    }
}

#[cfg(feature = "serde")]
#[test]
fn statistics_have_the_w3cs_names_as_json() {
    let (pair, ..) = with_channel();
    let json = serde_json::to_value(pair.ends[0].pc.stats(pair.now)).unwrap();
    assert_eq!(json["P"]["type"], "peer-connection");
    assert_eq!(json["P"]["dataChannelsOpened"], 1);
    assert_eq!(json["T"]["dtlsState"], "connected");
    assert_eq!(
        json["D0"]["dataChannelIdentifier"].as_u64().map(|n| n < 2),
        Some(true)
    );
    assert!(json["T"].get("srtpCipher").is_none_or(|c| c.is_string()));
    let pair = json["T"]["selectedCandidatePairId"].as_str().unwrap();
    let local = json[pair]["localCandidateId"].as_str().unwrap();
    assert_eq!(json[local]["candidateType"], "host");
    assert_eq!(json[local]["address"], "10.0.0.1");
}

/// W3C stats §7.18: an address that was found out by checks alone is not told, in no member.
#[test]
fn statistics_do_not_tell_addresses_that_were_not_signalled() {
    use tincan_peer::stats::Stats;
    let mut pair = Pair::new();
    pair.channel("x");
    pair.ends[1].trickle = false;
    let now = pair.now;
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap().sdp;
    let hidden: String = offer
        .split_inclusive('\n')
        .filter(|line| !line.contains("candidate"))
        .collect();
    let offer = SessionDescription::offer(hidden);
    pair.b().pc.set_remote_description(now, offer).unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    pair.a().pc.set_remote_description(now, answer).unwrap();
    pair.run_until(5 * SECOND, Pair::connected);
    let mut found = 0;
    for entry in pair.ends[1].pc.stats(pair.now).entries {
        assert!(!entry.id().contains("10.0"), "{}", entry.id());
        if let Stats::RemoteCandidate(candidate) = entry {
            assert_eq!(
                (candidate.candidate_type.as_str(), candidate.address),
                ("prflx", None)
            );
            found += 1;
        }
    }
    assert_eq!(found, 1);
    let known = pair.ends[0].pc.stats(pair.now);
    let (_, remote) = known.selected_candidates().unwrap();
    assert_eq!(remote.address.as_deref(), Some("10.0.0.2"));
}

#[test]
fn simulcast_arrives_by_rid() {
    let mut pair = Pair::new();
    let rids = ["q", "h", "f"];
    let video = sending(
        &mut pair,
        Kind::Video,
        rids.iter().map(|r| Encoding::rid(*r)).collect(),
    );
    let now = pair.now;
    for n in 0..3u8 {
        let mut packet = RtpPacket::new(96, 7, 9, true, vec![n; 10]);
        packet.encoding = n;
        pair.a().pc.send_rtp(now, video, packet).unwrap();
    }
    pair.run(Duration::from_millis(100));
    let mut seen: Vec<(u8, u8)> = pair.ends[1]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Rtp { packet, .. } => Some((packet.encoding, packet.payload[0])),
            _ => None,
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(0, 0), (1, 1), (2, 2)]);
    let mut packet = RtpPacket::new(96, 8, 9, true, vec![1]);
    packet.encoding = 3;
    assert_eq!(
        pair.a().pc.send_rtp(now, video, packet),
        Err(Error::NotSending(video))
    );
}

#[test]
fn header_extensions_are_carried_over_by_their_meaning() {
    let mut pair = Pair::new();
    let audio = sending(&mut pair, Kind::Audio, Vec::new());
    let now = pair.now;
    let packet = RtpPacket::new(111, 1, 2, false, vec![1])
        .with_extensions(&[(ExtensionKind::AudioLevel, &[0x85])]);
    pair.a().pc.send_rtp(now, audio, packet).unwrap();
    pair.run(Duration::from_millis(100));
    let packet = pair.ends[1]
        .events
        .iter()
        .find_map(|e| match e {
            Event::Rtp { packet, .. } => Some(packet.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(
        packet.extension(ExtensionKind::AudioLevel),
        Some(&[0x85][..])
    );
    assert_eq!(packet.extension(ExtensionKind::Mid), Some(&b"0"[..]));
    assert!(packet.extension(ExtensionKind::AbsoluteSendTime).is_some());
}

#[test]
fn a_transceiver_that_says_no_gets_nothing() {
    let mut pair = Pair::new();
    let audio = sending(&mut pair, Kind::Audio, Vec::new());
    let theirs = pair.b().pc.transceivers().next().unwrap().id;
    let now = pair.now;
    // Queued before the far side says no, and not sent after.
    pair.b()
        .pc
        .set_direction(theirs, Direction::Inactive)
        .unwrap();
    pair.negotiate(1);
    assert_eq!(
        pair.a()
            .pc
            .send_rtp(now, audio, RtpPacket::new(111, 1, 2, false, vec![1])),
        Err(Error::NotSending(audio))
    );
    pair.run(SECOND);
    assert!(!pair.ends[1].saw(|e| matches!(e, Event::Rtp { .. })));
}

#[test]
fn versions_roles_and_lite_agents_all_connect() {
    let v = |dtls_versions, ice_lite| Configuration {
        dtls_versions,
        ice_lite,
        ..Default::default()
    };
    use DtlsVersions::{Both, V12, V13};
    for (a, b) in [
        (v(V12, false), v(Both, false)),
        (v(V13, false), v(Both, false)),
        (v(Both, false), v(Both, true)),
        (v(Both, true), v(Both, false)),
    ] {
        let mut pair = Pair::with(a, b, 3);
        pair.channel("x");
        pair.negotiate(0);
        pair.run_until(5 * SECOND, |p| {
            p.ends
                .iter()
                .all(|e| e.saw(|e| matches!(e, Event::ChannelOpen(_))))
        });
    }
}

#[test]
fn incompatible_versions_fail_and_say_so() {
    let v = |dtls_versions| Configuration {
        dtls_versions,
        ..Default::default()
    };
    let mut pair = Pair::with(v(DtlsVersions::V12), v(DtlsVersions::V13), 3);
    pair.channel("x");
    pair.negotiate(0);
    pair.run(5 * SECOND);
    assert!(
        pair.ends
            .iter()
            .any(|e| e.pc.connection_state() == PeerConnectionState::Failed)
    );
}

#[test]
fn trickled_candidates_connect_too() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.channel("x");
    let offer = pair.a().pc.create_offer(OfferOptions::default()).unwrap();
    assert!(!offer.sdp.contains("a=candidate"));
    pair.a()
        .pc
        .set_local_description(now, Some(offer.clone()))
        .unwrap();
    pair.b().pc.set_remote_description(now, offer).unwrap();
    let answer = pair.b().pc.create_answer(AnswerOptions::default()).unwrap();
    pair.b()
        .pc
        .set_local_description(now, Some(answer.clone()))
        .unwrap();
    pair.a().pc.set_remote_description(now, answer).unwrap();
    assert_eq!(pair.a().pc.can_trickle_ice_candidates(), Some(true));
    pair.run_until(5 * SECOND, Pair::connected);
    let remote = pair.a().pc.remote_description().unwrap().sdp;
    assert!(remote.contains("a=candidate:"), "{remote}");
}

#[test]
fn wrong_candidates_are_named() {
    let mut pair = Pair::new();
    let now = pair.now;
    let init = |candidate: &str, mid: Option<&str>| {
        Some(IceCandidateInit {
            candidate: candidate.into(),
            sdp_mid: mid.map(Into::into),
            ..Default::default()
        })
    };
    let good = "candidate:1 1 udp 2130706431 10.0.0.9 9999 typ host";
    assert_eq!(
        pair.a().pc.add_ice_candidate(now, init(good, Some("0"))),
        Err(Error::NoRemoteDescription)
    );
    pair.channel("x");
    pair.negotiate(0);
    let mut add = |c, mid| {
        pair.ends[0]
            .pc
            .add_ice_candidate(now, init(c, mid))
            .map_err(|e| e.kind())
    };
    assert_eq!(add(good, Some("0")), Ok(()));
    assert_eq!(add(good, None), Err(ErrorKind::Type));
    assert_eq!(add(good, Some("7")), Err(ErrorKind::Operation));
    assert_eq!(
        add("candidate:nonsense", Some("0")),
        Err(ErrorKind::Operation)
    );
    assert_eq!(add("", Some("0")), Ok(()));
    assert_eq!(pair.a().pc.add_ice_candidate(now, None), Ok(()));
}

#[test]
fn channel_options_are_checked() {
    let mut pair = Pair::new();
    let now = pair.now;
    let mut create = |init| {
        pair.ends[0]
            .pc
            .create_data_channel(now, "x", init)
            .map(|_| ())
            .map_err(|e| e.kind())
    };
    let d = DataChannelInit::default;
    assert_eq!(
        create(DataChannelInit {
            negotiated: true,
            ..d()
        }),
        Err(ErrorKind::Type)
    );
    assert_eq!(
        create(DataChannelInit {
            negotiated: true,
            id: Some(65535),
            ..d()
        }),
        Err(ErrorKind::Type)
    );
    let both = DataChannelInit {
        max_retransmits: Some(1),
        max_packet_life_time: Some(SECOND),
        ..d()
    };
    assert_eq!(create(both), Err(ErrorKind::Type));
    assert_eq!(
        create(DataChannelInit {
            protocol: "p".repeat(65_536),
            ..d()
        }),
        Err(ErrorKind::Type)
    );
    assert_eq!(
        create(DataChannelInit {
            negotiated: true,
            id: Some(3),
            ..d()
        }),
        Ok(())
    );
    assert_eq!(
        create(DataChannelInit {
            negotiated: true,
            id: Some(3),
            ..d()
        }),
        Err(ErrorKind::Operation)
    );
}

#[test]
fn closed_channel_ends_on_both_sides_and_its_id_is_used_again() {
    let (mut pair, a, b) = with_channel();
    let id = pair.a().pc.channel(a).unwrap().init.id;
    let now = pair.now;
    pair.a().pc.send(now, a, Message::text("last")).unwrap();
    pair.a().pc.close_channel(now, a).unwrap();
    assert_eq!(
        pair.a().pc.send(now, a, Message::text("late")),
        Err(Error::ChannelNotOpen(a))
    );
    pair.run(SECOND);
    assert!(
        pair.ends[1].saw(|e| *e == Event::ChannelMessage(b, Message::text("last"))),
        "{:?}",
        pair.ends[1].events
    );
    assert!(
        pair.ends[0].saw(|e| *e == Event::ChannelClosed(a))
            && pair.ends[1].saw(|e| *e == Event::ChannelClosed(b))
    );
    let again = pair.channel("again");
    assert_ne!(again, a);
    pair.run(SECOND);
    assert_eq!(pair.a().pc.channel(again).unwrap().init.id, id);
    assert_eq!(
        pair.a().pc.channel(again).unwrap().state,
        DataChannelState::Open
    );
}

#[test]
fn message_over_the_far_sides_limit_is_refused() {
    let small = Configuration {
        max_message_size: 1000,
        ..Default::default()
    };
    let mut pair = Pair::with(Configuration::default(), small, 5);
    let now = pair.now;
    let a = pair.channel("x");
    assert_eq!(
        pair.a().pc.send(now, a, Message::text("early")),
        Err(Error::ChannelNotOpen(a))
    );
    pair.negotiate(0);
    pair.run(SECOND);
    let now = pair.now;
    let error = pair
        .a()
        .pc
        .send(now, a, Message::binary(vec![0; 1001]))
        .unwrap_err();
    assert_eq!(
        error,
        Error::MessageTooLarge {
            len: 1001,
            max: 1000
        }
    );
    pair.a()
        .pc
        .send(now, a, Message::binary(vec![0; 1000]))
        .unwrap();
}

#[test]
fn bulk_data_survives_loss() {
    let (mut pair, a, _) = with_channel();
    pair.lose_every = 20;
    let now = pair.now;
    for n in 0..40u8 {
        pair.a()
            .pc
            .send(now, a, Message::binary(vec![n; 65_536]))
            .unwrap();
    }
    pair.run(60 * SECOND);
    let messages: Vec<u8> = pair.ends[1]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::ChannelMessage(_, m) => Some(m.as_bytes()[0]),
            _ => None,
        })
        .collect();
    assert_eq!(messages, (0..40).collect::<Vec<u8>>());
}

#[test]
fn candidates_of_an_offer_that_is_taken_back_are_not_told() {
    let told = |taken_back: bool| {
        let mut pair = Pair::new();
        let now = pair.now;
        let init = DataChannelInit::default();
        pair.a().pc.create_data_channel(now, "x", init).unwrap();
        pair.negotiate(0);
        pair.run_until(5 * SECOND, Pair::connected);
        while pair.a().pc.poll_event().is_some() {}
        let pc = &mut pair.a().pc;
        pc.restart_ice();
        pc.set_local_description(now, None).unwrap();
        if taken_back {
            let rollback = Some(SessionDescription::rollback());
            pc.set_local_description(now, rollback).unwrap();
        }
        let mut told = Vec::new();
        while let Some(event) = pc.poll_event() {
            if let Event::IceCandidate(Some(candidate)) = event {
                told.extend(candidate.username_fragment);
            }
        }
        let agreed = pc.current_local_description().unwrap().sdp;
        told.retain(|ufrag| !agreed.contains(&format!("a=ice-ufrag:{ufrag}\r")));
        told.len()
    };
    assert_eq!((told(false), told(true)), (1, 0));
}

#[test]
fn identity_assertions_are_carried() {
    let mut pair = Pair::new();
    pair.a()
        .pc
        .set_identity_assertion(Some("eyJpZHAiOiJleGFtcGxlIn0=".into()));
    pair.channel("x");
    pair.negotiate(0);
    assert_eq!(
        pair.b().pc.peer_identity_assertion(),
        Some("eyJpZHAiOiJleGFtcGxlIn0=")
    );
    assert_eq!(pair.a().pc.peer_identity_assertion(), None);
}

#[test]
fn a_handshake_over_a_long_path_says_nothing_twice() {
    let mut pair = Pair::new();
    // Longer a round trip than the first timeout of DTLS where none is known.
    pair.latency = Duration::from_millis(300);
    pair.channel("chat");
    pair.negotiate(0);
    let (datagrams, fragments) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::new()));
    pair.run_until(20 * SECOND, |pair| {
        for (n, end) in pair.ends.iter().enumerate() {
            for datagram in &end.inbox {
                // A handshake record of epoch 0: type, number and place of the fragment.
                if let [
                    22,
                    _,
                    _,
                    0,
                    0,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    kind,
                    _,
                    _,
                    _,
                    message @ ..,
                ] = &datagram.bytes[..]
                {
                    datagrams.borrow_mut().insert((n, datagram.bytes.clone()));
                    let place = message[..5].to_vec();
                    fragments.borrow_mut().insert((n, *kind, place));
                }
            }
        }
        pair.connected()
    });
    assert!(fragments.borrow().len() > 1);
    assert_eq!(datagrams.borrow().len(), fragments.borrow().len());
}
