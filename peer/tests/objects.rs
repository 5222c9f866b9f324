//! Senders and receivers as objects (W3C §5.2, §5.3): what they tell, what changes them, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::Pair;
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

/// A pair whose first end sends a track of each kind.
fn calling() -> (Pair, [SenderId; 2]) {
    let mut pair = Pair::new();
    let senders = [(Kind::Audio, "mic"), (Kind::Video, "camera")].map(|(kind, track)| {
        let streams = vec!["desk".to_owned(), "desk".to_owned()];
        pair.a().pc.add_track(kind, track, streams).unwrap()
    });
    pair.negotiate(0);
    pair.run_until(5 * SECOND, Pair::connected);
    (pair, senders)
}

fn packet(pc: &PeerConnection, sender: SenderId, n: u16) -> RtpPacket {
    let codecs = pc.transceiver(sender.transceiver()).unwrap().send_codecs;
    RtpPacket::new(
        codecs[0].payload_type,
        n,
        960 * u32::from(n),
        true,
        vec![1; 40],
    )
}

#[test]
fn a_connection_has_a_sender_and_a_receiver_for_each_transceiver() {
    let (mut pair, [audio, video]) = calling();
    let pc = &pair.ends[0].pc;
    let ids: Vec<SenderId> = pc.senders().map(|s| s.id).collect();
    assert_eq!(ids, [audio, video]);
    let sender = pc.sender(audio).unwrap();
    assert_eq!(sender.track.as_deref(), Some("mic"));
    assert_eq!(sender.streams, ["desk"], "§5.2: each stream once");
    assert_eq!(sender.transport, pc.dtls_transport());
    assert!(sender.transport.is_some() && sender.dtmf.unwrap().can_insert);
    assert_eq!(pc.sender(video).unwrap().dtmf, None);
    let of = pc.transceiver(audio.transceiver()).unwrap();
    assert_eq!((of.sender, of.kind), (audio, Kind::Audio));
    let far: Vec<Receiver> = pair.ends[1].pc.receivers().collect();
    let tracks: Vec<_> = far.iter().map(|r| (r.kind, r.track.clone())).collect();
    let named = |kind, track: &str| (kind, Some(track.to_owned()));
    assert_eq!(
        tracks,
        [named(Kind::Audio, "mic"), named(Kind::Video, "camera")]
    );
    assert_eq!(far[0].streams, ["desk"]);
    let told =
        pair.ends[1].saw(|e| matches!(e, Event::Track { receiver, .. } if *receiver == far[0].id));
    assert!(told, "the track event names the receiver");
    // A stopping transceiver's are still there, a stopped one's are not.
    let now = pair.now;
    pair.a().pc.stop(now, audio.transceiver()).unwrap();
    assert_eq!(pair.a().pc.senders().count(), 2);
    pair.negotiate(0);
    assert_eq!(
        pair.a().pc.senders().map(|s| s.id).collect::<Vec<_>>(),
        [video]
    );
    assert_eq!(pair.b().pc.receivers().count(), 1);
}

#[test]
fn what_is_another_connections_is_refused() {
    let (mut pair, [audio, _]) = calling();
    let now = pair.now;
    let foreign = pair.ends[0].pc.receivers().next().unwrap().id;
    let pc = &mut pair.ends[1].pc;
    assert_eq!(pc.sender(audio), None);
    let refused = Err(Error::OtherConnection);
    assert_eq!(Error::OtherConnection.kind(), ErrorKind::InvalidAccess);
    assert_eq!(pc.remove_track(audio), refused);
    assert_eq!(pc.replace_track(audio, None), refused);
    assert_eq!(pc.set_streams(audio, Vec::new()), refused);
    assert_eq!(pc.parameters(audio), Err(Error::OtherConnection));
    assert_eq!(pc.insert_dtmf(now, audio, "1", SECOND, SECOND), refused);
    assert_eq!(pc.set_jitter_buffer_target(foreign, None), refused);
    assert_eq!(pc.receive_parameters(foreign), Err(Error::OtherConnection));
    assert_eq!(pc.contributing_sources(now, foreign), []);
    assert!(pc.senders().next().unwrap().track.is_none());
    pc.close(now);
    assert_eq!(
        pc.remove_track(audio),
        Err(Error::Closed),
        "step 3 before 4"
    );
}

#[test]
fn a_sender_without_its_track_sends_nothing() {
    let (mut pair, [audio, video]) = calling();
    for (n, sender) in [(1, audio), (2, video)] {
        let packet = packet(&pair.ends[0].pc, sender, n);
        let now = pair.now;
        let id = sender.transceiver();
        let pc = &mut pair.ends[0].pc;
        pc.send_rtp(now, id, packet.clone()).unwrap();
        // What waits goes as little as what comes.
        match sender == audio {
            true => pc.remove_track(sender).unwrap(),
            false => pc.replace_track(sender, None).unwrap(),
        }
        assert_eq!(
            pc.send_rtp(now, id, packet.clone()),
            Err(Error::NotSending(id))
        );
        pair.run(SECOND / 10);
        assert!(!pair.ends[1].saw(|e| matches!(e, Event::Rtp { .. })));
    }
    let now = pair.now;
    let again = packet(&pair.ends[0].pc, video, 3);
    let pc = &mut pair.ends[0].pc;
    assert_eq!(
        pc.transceiver(audio.transceiver()).unwrap().direction,
        Direction::RecvOnly
    );
    pc.replace_track(video, Some("screen".into())).unwrap();
    pc.send_rtp(now, video.transceiver(), again).unwrap();
    pair.run(SECOND / 10);
    assert!(pair.ends[1].saw(|e| matches!(e, Event::Rtp { .. })));
    // §5.1, addTrack step 7: a sender that was used to send is not used again.
    let other = pair
        .a()
        .pc
        .add_track(Kind::Audio, "other", Vec::new())
        .unwrap();
    assert_ne!(other, audio);
    // One that never was is, whatever its direction.
    let idle = pair
        .a()
        .pc
        .add_transceiver(Kind::Video, TransceiverInit::default());
    let third = pair
        .a()
        .pc
        .add_track(Kind::Video, "third", Vec::new())
        .unwrap();
    assert_eq!(third.transceiver(), idle.unwrap());
    assert_eq!(
        pair.a().pc.add_track(Kind::Video, "third", Vec::new()),
        Err(Error::TrackAlreadySent)
    );
}

#[test]
fn a_stopped_transceiver_sends_nothing_and_says_goodbye_at_once() {
    let (mut pair, [audio, _]) = calling();
    let sent = packet(&pair.ends[0].pc, audio, 1);
    let now = pair.now;
    let id = audio.transceiver();
    pair.a().pc.send_rtp(now, id, sent.clone()).unwrap();
    pair.run(SECOND / 10);
    let now = pair.now;
    pair.a().pc.stop(now, id).unwrap();
    assert_eq!(
        pair.a().pc.send_rtp(now, id, sent),
        Err(Error::NotSending(id))
    );
    pair.run(SECOND / 10);
    let ended = |e: &Event| matches!(e, Event::StreamEnded { .. });
    assert!(
        pair.ends[1].saw(ended),
        "§5.4, stop: RTCP BYE before any negotiation"
    );
}

#[test]
fn parameters_are_changed_as_set_parameters_says() {
    let (mut pair, [audio, video]) = calling();
    let pc = &mut pair.ends[0].pc;
    let first = pc.parameters(video).unwrap();
    assert_eq!(
        pc.parameters(video).unwrap(),
        first,
        "the same until it is used"
    );
    assert!(first.rtcp.reduced_size && first.rtcp.cname.is_some());
    assert!(first.codecs.iter().any(|c| c.is("VP8")) && first.codecs.iter().any(Codec::is_rtx));
    assert!(
        first
            .header_extensions
            .iter()
            .any(|e| e.uri.ends_with("sdes:mid"))
    );
    assert_eq!(first.encodings[0].scale_resolution_down_by, Some(1.0));
    // Step 6: what is read-only.
    let altered = |change: fn(&mut SendParameters)| {
        let mut parameters = first.clone();
        change(&mut parameters);
        parameters
    };
    let other = pc.parameters(audio).unwrap();
    for parameters in [
        altered(|p| p.codecs.clear()),
        altered(|p| p.header_extensions.clear()),
        altered(|p| p.rtcp.reduced_size = false),
        altered(|p| p.encodings.push(Encoding::new())),
        altered(|p| p.encodings[0].rid = Some("x".into())),
        other.clone(),
    ] {
        let error = pc.set_parameters(video, parameters).unwrap_err();
        assert_eq!(error, Error::ParametersAltered);
        assert_eq!(error.kind(), ErrorKind::InvalidModification);
    }
    for (change, kind) in [
        (
            (|p| p.encodings[0].codec = Some(Codec::new(0, "theora", 90_000)))
                as fn(&mut SendParameters),
            ErrorKind::InvalidModification,
        ),
        (
            |p| {
                p.encodings[0].codec = Some(Codec::new(0, "VP8", 90_000));
                p.encodings[0].scalability_mode = "L3T3".parse().ok();
            },
            ErrorKind::InvalidModification,
        ),
        (
            |p| p.encodings[0].scale_resolution_down_by = Some(0.5),
            ErrorKind::Range,
        ),
        (
            |p| p.encodings[0].max_framerate = Some(-1.0),
            ErrorKind::Range,
        ),
    ] {
        let error = pc.set_parameters(video, altered(change)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(pc.parameters(video).unwrap(), first, "nothing has changed");
    }
    pc.set_parameters(
        video,
        altered(|p| {
            p.encodings[0].max_framerate = Some(0.0);
            p.encodings[0].scale_resolution_down_by = None;
            p.encodings[0].scalability_mode = "L1T2".parse().ok();
        }),
    )
    .unwrap();
    // Step 5: once.
    let error = pc.set_parameters(video, first.clone()).unwrap_err();
    assert_eq!(
        (error.kind(), error),
        (ErrorKind::InvalidState, Error::StaleParameters)
    );
    let second = pc.parameters(video).unwrap();
    assert_ne!(second.transaction_id, first.transaction_id);
    assert_eq!(second.encodings[0].max_framerate, Some(0.0));
    assert_eq!(second.encodings[0].scale_resolution_down_by, Some(1.0));
    assert_eq!(
        pc.set_parameters(video, first),
        Err(Error::ParametersAltered)
    );
    // §4.4.1.4: a description takes the transaction away.
    pair.negotiate(0);
    let pc = &mut pair.ends[0].pc;
    assert_eq!(
        pc.set_parameters(video, second),
        Err(Error::StaleParameters)
    );
    let fresh = pc.parameters(audio).unwrap();
    pc.stop(pair.now, audio.transceiver()).unwrap();
    let stopped = Err(Error::TransceiverStopped(audio.transceiver()));
    assert_eq!(pc.set_parameters(audio, fresh), stopped);
}

#[test]
fn an_encoding_is_sent_with_its_codec_while_that_is_negotiated() {
    let (mut pair, [_, video]) = calling();
    let id = video.transceiver();
    let pc = &mut pair.ends[0].pc;
    let codecs = pc.transceiver(id).unwrap().send_codecs;
    let of = |name: &str| codecs.iter().find(|c| c.is(name)).unwrap().clone();
    let (vp8, vp9) = (of("VP8"), of("VP9"));
    let mut parameters = pc.parameters(video).unwrap();
    parameters.encodings[0].codec = Some(vp9.clone());
    pc.set_parameters(video, parameters).unwrap();
    let now = pair.now;
    let send = |pair: &mut Pair, payload_type| {
        let packet = RtpPacket::new(payload_type, 1, 1, true, vec![1; 9]);
        pair.a().pc.send_rtp(now, id, packet)
    };
    let refused = Error::EncodingCodec {
        transceiver: id,
        encoding: 0,
    };
    assert_eq!(send(&mut pair, vp8.payload_type), Err(refused));
    send(&mut pair, vp9.payload_type).unwrap();
    // The far side wants VP8 only: the choice is forgotten, and what is left may be sent.
    let theirs = pair.b().pc.transceivers().nth(1).unwrap().id;
    pair.b()
        .pc
        .set_codec_preferences(theirs, vec![vp8.clone()])
        .unwrap();
    pair.negotiate(1);
    let encodings = pair.a().pc.transceiver(id).unwrap().encodings;
    assert_eq!(encodings[0].codec, None, "§4.4.1.4 step 14.2");
    send(&mut pair, vp8.payload_type).unwrap();
}

#[test]
fn receive_parameters_are_what_may_arrive() {
    let mut pair = Pair::new();
    pair.transceiver(Kind::Video);
    let receiver = pair.a().pc.receivers().next().unwrap().id;
    let now = pair.now;
    let codecs = |pair: &mut Pair| pair.a().pc.receive_parameters(receiver).unwrap().codecs;
    assert_eq!(codecs(&mut pair), []);
    pair.a().pc.set_local_description(now, None).unwrap();
    let offered = codecs(&mut pair);
    assert!(
        offered.iter().any(|c| c.is("AV1")),
        "all that is offered may arrive"
    );
    let offer = pair.a().pc.local_description().unwrap();
    pair.b().pc.set_remote_description(now, offer).unwrap();
    let theirs = pair.b().pc.transceivers().next().unwrap().id;
    let capabilities = Receiver::capabilities(Kind::Video);
    let wanted = capabilities
        .codecs
        .into_iter()
        .filter(|c| c.is("VP8") || c.is_rtx());
    pair.b()
        .pc
        .set_codec_preferences(theirs, wanted.collect())
        .unwrap();
    pair.b()
        .pc
        .set_direction(theirs, Direction::SendRecv)
        .unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap();
    pair.a().pc.set_remote_description(now, answer).unwrap();
    let agreed: Vec<String> = codecs(&mut pair).iter().map(|c| c.name.clone()).collect();
    assert_eq!(agreed, ["VP8", "rtx"]);
    let id = receiver.transceiver();
    pair.a().pc.set_direction(id, Direction::SendOnly).unwrap();
    pair.negotiate(0);
    assert_eq!(codecs(&mut pair), [], "§5.3.2: nothing is to arrive");
}

#[test]
fn a_jitter_buffer_target_is_how_long_frames_wait_for_a_lost_packet() {
    for (target, waits) in [(None, 80), (Some(0), 0), (Some(300), 300)] {
        let (mut pair, [audio, _]) = calling();
        let receiver = pair.b().pc.receivers().next().unwrap().id;
        let pc = &mut pair.ends[1].pc;
        let beyond = Some(Duration::from_millis(4001));
        let error = pc.set_jitter_buffer_target(receiver, beyond).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Range);
        pc.set_delivery(receiver.transceiver(), Delivery::Frames)
            .unwrap();
        let target = target.map(Duration::from_millis);
        pc.set_jitter_buffer_target(receiver, target).unwrap();
        assert_eq!(pc.receiver(receiver).unwrap().jitter_buffer_target, target);
        for n in [1, 2, 4] {
            let packet = packet(&pair.ends[0].pc, audio, n);
            let now = pair.now;
            pair.a()
                .pc
                .send_rtp(now, audio.transceiver(), packet)
                .unwrap();
            pair.run(Duration::from_millis(5));
        }
        let since = pair.now;
        let last =
            |e: &Event| matches!(e, Event::Frame { frame, .. } if frame.timestamp == 4 * 960);
        pair.run_until(SECOND, |p| p.ends[1].saw(last));
        let waited = (pair.now - since).as_millis() as i64;
        assert!((waited - waits).abs() <= 10, "{target:?}: {waited} ms");
    }
}

/// W3C §4.4.1.4: layers that an answer leaves out are gone; a lone encoding becomes the simulcast that is asked for, and
/// is itself again after a rollback.
#[test]
fn simulcast_envelopes_are_proposed_and_narrowed() {
    let mut pair = Pair::new();
    let init = TransceiverInit {
        send_encodings: ["l", "m", "h"].map(Encoding::rid).to_vec(),
        ..Default::default()
    };
    let id = pair.a().pc.add_transceiver(Kind::Video, init).unwrap();
    let now = pair.now;
    pair.negotiate(0);
    let rids = |pair: &Pair, n: usize| -> Vec<String> {
        let t = pair.ends[n].pc.transceivers().next().unwrap();
        t.encodings.iter().filter_map(|e| e.rid.clone()).collect()
    };
    assert_eq!(rids(&pair, 0), ["l", "m", "h"]);
    // An offer of who receives goes on receiving.
    pair.negotiate(1);
    assert_eq!(rids(&pair, 0), ["l", "m", "h"]);
    let ssrcs = pair.a().pc.transceiver(id).unwrap().ssrcs;
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = pair.a().pc.local_description().unwrap();
    pair.b().pc.set_remote_description(now, offer).unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = pair.b().pc.local_description().unwrap().sdp;
    let less = answer
        .replace("a=rid:m recv\r\n", "")
        .replace("recv l;m;h", "recv l;h");
    assert_ne!(answer, less);
    let answer = SessionDescription::answer(less);
    pair.a().pc.set_remote_description(now, answer).unwrap();
    assert_eq!(rids(&pair, 0), ["l", "h"]);
    let left = pair.a().pc.transceiver(id).unwrap().ssrcs;
    assert_eq!(left, [ssrcs[0], ssrcs[2]], "the others keep their SSRCs");

    // Somebody asks a sender of one stream for two.
    let mut pair = Pair::new();
    let sender = pair
        .a()
        .pc
        .add_track(Kind::Video, "camera", Vec::new())
        .unwrap();
    pair.b()
        .pc
        .add_transceiver(
            Kind::Video,
            TransceiverInit {
                direction: Direction::RecvOnly,
                ..Default::default()
            },
        )
        .unwrap();
    let now = pair.now;
    pair.b().pc.set_local_description(now, None).unwrap();
    let plain = pair.b().pc.local_description().unwrap().sdp;
    let ask = plain.replace(
        "a=recvonly\r\n",
        "a=recvonly\r\na=rid:x recv\r\na=rid:y recv\r\na=simulcast:recv x;y;x\r\n",
    );
    assert_ne!(plain, ask);
    let before = pair.a().pc.transceiver(sender.transceiver()).unwrap();
    let offer = SessionDescription::offer(ask);
    pair.a()
        .pc
        .set_remote_description(now, offer.clone())
        .unwrap();
    assert_eq!(rids(&pair, 0), ["x", "y"]);
    let scales = pair
        .a()
        .pc
        .transceiver(sender.transceiver())
        .unwrap()
        .encodings;
    assert_eq!(scales[0].scale_resolution_down_by, Some(2.0));
    pair.a()
        .pc
        .set_remote_description(now, SessionDescription::rollback())
        .unwrap();
    let after = pair.a().pc.transceiver(sender.transceiver()).unwrap();
    assert_eq!(
        (before.encodings, before.ssrcs),
        (after.encodings, after.ssrcs)
    );
    pair.a().pc.set_remote_description(now, offer).unwrap();
    pair.a().pc.set_local_description(now, None).unwrap();
    assert_eq!(rids(&pair, 0), ["x", "y"]);
}

/// W3C §8.5: a selector's streams, and everything that they refer to.
#[test]
fn statistics_of_one_sender_or_receiver_have_all_that_is_referred_to() {
    let (mut pair, [audio, video]) = busy();
    let now = pair.now;
    let whole = pair.a().pc.stats(now);
    for entry in &whole.entries {
        for id in entry.references() {
            assert!(whole.get(id).is_some(), "{} refers to {id}", entry.id());
        }
    }
    let report = pair.a().pc.stats_of(now, video).unwrap();
    let mut types: Vec<&str> = report.entries.iter().map(kind_of).collect();
    types.sort_unstable();
    assert_eq!(
        types,
        [
            "candidate-pair",
            "certificate",
            "certificate",
            "codec",
            "local-candidate",
            "media-source",
            "outbound-rtp",
            "remote-candidate",
            "remote-inbound-rtp",
            "transport"
        ]
    );
    for entry in &report.entries {
        for id in entry.references() {
            assert!(report.get(id).is_some(), "{} refers to {id}", entry.id());
        }
        assert_eq!(whole.get(entry.id()), Some(entry));
    }
    let other = pair.a().pc.stats_of(now, audio).unwrap();
    let sent = |report: &StatsReport| -> Vec<String> {
        let kinds = report.entries.iter().filter_map(|e| match e {
            stats::Stats::OutboundRtp(s) => Some(s.kind.clone()),
            stats::Stats::InboundRtp(s) => Some(s.kind.clone()),
            _ => None,
        });
        kinds.collect()
    };
    assert_eq!(
        (sent(&report), sent(&other)),
        (vec!["video".into()], vec!["audio".into()])
    );
    let by_track = StatsSelector::Track("camera".into());
    assert_eq!(pair.a().pc.stats_of(now, by_track.clone()).unwrap(), report);
    let far = pair.b().pc.stats_of(now, by_track).unwrap();
    assert_eq!(sent(&far), ["video"]);
    assert!(
        far.entries
            .iter()
            .any(|e| kind_of(e) == "remote-outbound-rtp")
    );
    assert!(!far.entries.iter().any(|e| kind_of(e) == "data-channel"));
    let receiver = pair.ends[1].pc.receivers().nth(1).unwrap().id;
    assert_eq!(pair.b().pc.stats_of(now, receiver).unwrap(), far);
    assert_eq!(
        pair.a().pc.stats_of(now, receiver),
        Err(Error::OtherConnection)
    );
    // §8.2 step 4: nobody's track, or everybody's.
    let nobody = StatsSelector::Track("nobody".into());
    let error = pair.a().pc.stats_of(now, nobody).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAccess);
    let senders: Vec<_> = pair.a().pc.senders().map(|s| s.id).collect();
    for sender in senders {
        pair.a()
            .pc
            .replace_track(sender, Some("same".into()))
            .unwrap();
    }
    let both = StatsSelector::Track("same".into());
    assert_eq!(pair.a().pc.stats_of(now, both), Err(Error::TrackAmbiguous));
}

fn kind_of(entry: &stats::Stats) -> &'static str {
    use stats::Stats as S;
    match entry {
        S::Codec(_) => "codec",
        S::InboundRtp(_) => "inbound-rtp",
        S::OutboundRtp(_) => "outbound-rtp",
        S::RemoteInboundRtp(_) => "remote-inbound-rtp",
        S::RemoteOutboundRtp(_) => "remote-outbound-rtp",
        S::MediaSource(_) => "media-source",
        S::PeerConnection(_) => "peer-connection",
        S::DataChannel(_) => "data-channel",
        S::Transport(_) => "transport",
        S::LocalCandidate(_) => "local-candidate",
        S::RemoteCandidate(_) => "remote-candidate",
        S::CandidatePair(_) => "candidate-pair",
        S::Certificate(_) => "certificate",
        other => panic!("{other:?}"),
    }
}

/// A call with frames, losses, reports and a data channel behind it.
fn busy() -> (Pair, [SenderId; 2]) {
    let (mut pair, senders) = calling();
    pair.channel("x");
    pair.negotiate(0);
    for receiver in pair.ends[1]
        .pc
        .receivers()
        .map(|r| r.id.transceiver())
        .collect::<Vec<_>>()
    {
        pair.b()
            .pc
            .set_delivery(receiver, Delivery::Frames)
            .unwrap();
    }
    let mut parameters = pair.a().pc.parameters(senders[1]).unwrap();
    parameters.encodings[0].scalability_mode = "L1T1".parse().ok();
    pair.a().pc.set_parameters(senders[1], parameters).unwrap();
    pair.lose_every = 20;
    for n in 0..200u32 {
        for sender in senders {
            let id = sender.transceiver();
            let codecs = pair.ends[0].pc.transceiver(id).unwrap().send_codecs;
            let size = if sender == senders[1] { 3000 } else { 100 };
            let mut data = vec![0x11; size];
            data[0] = u8::from(n % 50 != 0);
            let frame = Frame::new(codecs[0].payload_type, n * 3000, data);
            let now = pair.now;
            pair.a().pc.send_frame(now, id, &frame).unwrap();
        }
        pair.run(Duration::from_millis(20));
    }
    (pair, senders)
}

/// Each dictionary of W3C Statistics §7 with all its members: those in front are told here, those after `not` can't be known
/// without an encoder, a decoder or an estimate of bandwidth; `(a)` and the like are told in other circumstances.
const DICTIONARIES: [(&str, &str); 13] = [
    (
        "codec",
        "payloadType transportId mimeType clockRate (channels) sdpFmtpLine",
    ),
    (
        "inbound-rtp",
        "ssrc kind transportId codecId packetsReceived packetsReceivedWithEct1 packetsReceivedWithCe packetsLost jitter \
         trackIdentifier mid remoteId framesDropped lastPacketReceivedTimestamp headerBytesReceived bytesReceived nackCount \
         firCount pliCount (audioLevel) framesReceived framesAssembledFromMultiplePackets totalAssemblyTime \
         retransmittedPacketsReceived retransmittedBytesReceived rtxSsrc not packetsReportedAsLost \
         packetsReportedAsLostButRecovered framesDecoded keyFramesDecoded framesRendered frameWidth frameHeight \
         framesPerSecond qpSum totalDecodeTime totalInterFrameDelay totalSquaredInterFrameDelay pauseCount \
         totalPausesDuration freezeCount totalFreezesDuration packetsDiscarded fecBytesReceived fecPacketsReceived \
         fecPacketsDiscarded totalProcessingDelay estimatedPlayoutTimestamp jitterBufferDelay jitterBufferTargetDelay \
         jitterBufferEmittedCount jitterBufferMinimumDelay totalSamplesReceived concealedSamples silentConcealedSamples \
         concealmentEvents insertedSamplesForDeceleration removedSamplesForAcceleration totalAudioEnergy \
         totalSamplesDuration decoderImplementation playoutId powerEfficientDecoder fecSsrc totalCorruptionProbability \
         totalSquaredCorruptionProbability corruptionMeasurements",
    ),
    (
        "outbound-rtp",
        "ssrc kind transportId codecId packetsSent bytesSent mid mediaSourceId remoteId (rid) encodingIndex headerBytesSent \
         retransmittedPacketsSent retransmittedBytesSent rtxSsrc framesSent totalPacketSendDelay nackCount firCount pliCount \
         active scalabilityMode packetsSentWithEct1 not targetBitrate totalEncodedBytesTarget frameWidth frameHeight \
         framesPerSecond hugeFramesSent framesEncoded keyFramesEncoded qpSum psnrSum psnrMeasurements totalEncodeTime \
         qualityLimitationReason qualityLimitationDurations qualityLimitationResolutionChanges encoderImplementation \
         powerEfficientEncoder",
    ),
    (
        "remote-inbound-rtp",
        "ssrc kind transportId codecId packetsLost jitter localId roundTripTime totalRoundTripTime fractionLost \
         roundTripTimeMeasurements not packetsReceived packetsReceivedWithEct1 packetsReceivedWithCe packetsReportedAsLost \
         packetsReportedAsLostButRecovered packetsWithBleachedEct1Marking",
    ),
    (
        "remote-outbound-rtp",
        "ssrc kind transportId codecId packetsSent bytesSent localId remoteTimestamp reportsSent not roundTripTime \
         totalRoundTripTime roundTripTimeMeasurements",
    ),
    ("media-source", "trackIdentifier kind"),
    ("peer-connection", "dataChannelsOpened dataChannelsClosed"),
    (
        "data-channel",
        "label protocol dataChannelIdentifier state messagesSent bytesSent messagesReceived bytesReceived",
    ),
    (
        "transport",
        "packetsSent packetsReceived bytesSent bytesReceived iceRole iceLocalUsernameFragment dtlsState iceState \
         selectedCandidatePairId localCertificateId remoteCertificateId tlsVersion dtlsCipher dtlsRole srtpCipher \
         selectedCandidatePairChanges packetsDropped packetsForged smoothedRoundTripTime congestionWindow receiverWindow mtu \
         not ccfbMessagesSent ccfbMessagesReceived",
    ),
    (
        "local-candidate",
        "transportId address port protocol candidateType priority (url) (relayProtocol) foundation (relatedAddress) \
         (relatedPort) (usernameFragment) (tcpType)",
    ),
    (
        "remote-candidate",
        "transportId address port protocol candidateType priority foundation (relatedAddress) (relatedPort) \
         (usernameFragment) (tcpType) not url relayProtocol",
    ),
    (
        "candidate-pair",
        "transportId localCandidateId remoteCandidateId state nominated packetsSent packetsReceived bytesSent bytesReceived \
         lastPacketSentTimestamp lastPacketReceivedTimestamp totalRoundTripTime currentRoundTripTime requestsReceived \
         requestsSent responsesReceived responsesSent consentRequestsSent not availableOutgoingBitrate \
         availableIncomingBitrate packetsDiscardedOnSend bytesDiscardedOnSend",
    ),
    (
        "certificate",
        "fingerprint fingerprintAlgorithm base64Certificate (issuerCertificateId)",
    ),
];

#[cfg(feature = "serde")]
#[test]
fn statistics_tell_each_member_that_can_be_known_by_its_name() {
    use std::collections::{BTreeMap, BTreeSet};
    let (pair, _) = busy();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for end in &pair.ends {
        let json = serde_json::to_value(end.pc.stats(pair.now)).unwrap();
        for (id, entry) in json.as_object().unwrap() {
            let entry = entry.as_object().unwrap();
            assert_eq!(entry["id"], *id);
            assert!(entry["timestamp"].is_f64());
            let members = seen
                .entry(entry["type"].as_str().unwrap().to_owned())
                .or_default();
            members.extend(entry.keys().cloned());
        }
    }
    for (name, members) in DICTIONARIES {
        let told = members.split(" not ").next().unwrap();
        let mut seen = seen.remove(name).unwrap_or_default();
        for common in ["id", "type", "timestamp"] {
            assert!(seen.remove(common));
        }
        for member in told.split_whitespace() {
            let plain = member.trim_matches(['(', ')']);
            assert!(seen.remove(plain) || plain != member, "{name}: no {member}");
        }
        assert_eq!(seen, BTreeSet::new(), "{name}: nobody knows these");
    }
    assert_eq!(seen, BTreeMap::new());
}

#[test]
fn statistics_count_marks_and_time_of_assembly_and_name_ciphers_as_iana_does() {
    let (mut pair, _) = busy();
    let now = pair.now;
    let report = pair.b().pc.stats(now);
    let video = report.entries.iter().find_map(|e| match e {
        stats::Stats::InboundRtp(s) if s.kind == "video" => Some(s),
        _ => None,
    });
    let video = video.unwrap();
    let frames = video.frames_received.unwrap();
    assert!(frames > 150);
    assert_eq!(video.frames_assembled_from_multiple_packets, Some(frames));
    // A lost packet comes again after a round trip at least.
    assert!(video.total_assembly_time > Some(0.002));
    assert_eq!(video.packets_received_with_ce, Some(0));
    let transport = report.entries.iter().find_map(|e| match e {
        stats::Stats::Transport(s) => Some(s),
        _ => None,
    });
    let transport = transport.unwrap();
    assert_eq!(
        transport.srtp_cipher.as_deref(),
        Some("SRTP_AEAD_AES_128_GCM")
    );
    let suite = transport.dtls_cipher.as_deref().unwrap();
    assert!(
        suite.starts_with("TLS_AES_") || suite.starts_with("TLS_CHACHA20_"),
        "{suite}"
    );
}

/// W3C §4.9: certificates of each kind that can be made, in both versions.
#[test]
fn generated_certificates_of_each_kind_connect() {
    let now = std::time::SystemTime::now();
    let day = Duration::from_secs(86_400);
    for (algorithm, prints) in [
        (KeygenAlgorithm::EcdsaP256, 1),
        (KeygenAlgorithm::EcdsaP384, 2),
        (KeygenAlgorithm::Ed25519, 1),
    ] {
        for dtls_versions in [DtlsVersions::V12, DtlsVersions::V13] {
            let config = || {
                let made = Certificate::generate_with(algorithm, now, Some(day)).unwrap();
                let left = made.expires().unwrap().duration_since(now).unwrap();
                assert!(left <= day && left > day - SECOND);
                assert_eq!(
                    made.fingerprints().len(),
                    prints,
                    "one by the signature's hash"
                );
                Configuration {
                    certificates: vec![made],
                    dtls_versions,
                    ..Default::default()
                }
            };
            let mut pair = Pair::with(config(), config(), 1);
            pair.channel("x");
            pair.negotiate(0);
            pair.run_until(5 * SECOND, Pair::connected);
            let sdp = pair.a().pc.local_description().unwrap().sdp;
            assert_eq!(sdp.matches("a=fingerprint:").count(), prints);
        }
    }
    // §4.9.1: 30 days, a year at most, and no keys that can't be made.
    let expires = |expires| {
        let made = Certificate::generate_with(KeygenAlgorithm::EcdsaP256, now, expires).unwrap();
        let left = made.expires().unwrap().duration_since(now).unwrap();
        (left + SECOND).as_secs() / day.as_secs()
    };
    assert_eq!(expires(None), 30);
    assert_eq!(expires(Some(1000 * day)), 365);
    let rsa = KeygenAlgorithm::Rsa {
        modulus_length: 2048,
    };
    let error = Certificate::generate_with(rsa, now, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
}

/// Two ends with an open channel; its key at each.
fn talking(config: Configuration) -> (Pair, [ChannelKey; 2]) {
    let mut pair = Pair::with(config, Configuration::default(), 1);
    let key = pair.channel("x");
    pair.negotiate(0);
    pair.run_until(5 * SECOND, |p| {
        p.ends[1].saw(|e| matches!(e, Event::ChannelOpen(_)))
    });
    let theirs = pair.b().pc.channels().next().unwrap();
    pair.a().take();
    pair.b().take();
    (pair, [key, theirs])
}

fn ends_of(events: &[Event]) -> Vec<Event> {
    let ends = |e: &&Event| {
        matches!(
            e,
            Event::ChannelError(..) | Event::ChannelClosed(_) | Event::SctpState(_)
        )
    };
    events.iter().filter(ends).cloned().collect()
}

#[test]
fn channels_tell_why_they_fail() {
    // §6.2.5: the far side closed its connection, which is an ABORT of its user's.
    let (mut pair, [_, theirs]) = talking(Configuration::default());
    let now = pair.now;
    pair.a().pc.close(now);
    pair.run(SECOND);
    let events = ends_of(&pair.ends[1].events);
    let Event::ChannelError(key, error) = &events[0] else {
        panic!("{events:?}");
    };
    assert_eq!(*key, theirs);
    assert_eq!(error.detail(), ErrorDetail::SctpFailure);
    assert_eq!(error.sctp_cause_code(), Some(12), "RFC 9260 §3.3.10.12");
    assert!(error.to_string().starts_with("sctp: "));
    assert!(
        matches!(events[1..], [Event::ChannelClosed(k), Event::SctpState(SctpTransportState::Closed)] if k == theirs),
        "{events:?}"
    );

    // Closed in order there is no error.
    let (mut pair, [ours, _]) = talking(Configuration::default());
    let now = pair.now;
    pair.a().pc.close_channel(now, ours).unwrap();
    pair.run(SECOND);
    for end in &pair.ends {
        assert!(matches!(
            ends_of(&end.events)[..],
            [Event::ChannelClosed(_)]
        ));
    }
}

#[test]
fn ids_are_given_once_and_up_to_the_highest() {
    // §6.2.7: an id that one connection has twice, once in band.
    let mut pair = Pair::new();
    let now = pair.now;
    let negotiated = DataChannelInit {
        negotiated: true,
        id: Some(0),
        ..Default::default()
    };
    let pc = &mut pair.a().pc;
    pc.create_data_channel(now, "negotiated", negotiated.clone())
        .unwrap();
    assert_eq!(
        pc.create_data_channel(now, "again", negotiated),
        Err(Error::ChannelIdUnavailable)
    );
    // The highest id there is: two of us have streams for all.
    let high = DataChannelInit {
        negotiated: true,
        id: Some(65_534),
        ..Default::default()
    };
    let highest = pc.create_data_channel(now, "highest", high).unwrap();
    pair.negotiate(0);
    pair.run_until(5 * SECOND, |p| {
        p.ends[0].events.contains(&Event::ChannelOpen(highest))
    });
}

/// An ICE restart by `a`, in which each side hears a wrong or the right fingerprint of the other.
fn restart(pair: &mut Pair, right: bool) {
    let heard = |mut description: SessionDescription| {
        let at = description.sdp.find("a=fingerprint:sha-256 ").unwrap() + 22;
        if !right {
            let other = if &description.sdp[at..at + 2] == "00" {
                "01"
            } else {
                "00"
            };
            description.sdp.replace_range(at..at + 2, other);
        }
        description
    };
    let now = pair.now;
    pair.a().pc.restart_ice();
    pair.a().pc.set_local_description(now, None).unwrap();
    let offer = heard(pair.a().pc.local_description().unwrap());
    pair.b().pc.set_remote_description(now, offer).unwrap();
    pair.b().pc.set_local_description(now, None).unwrap();
    let answer = heard(pair.b().pc.local_description().unwrap());
    pair.a().pc.set_remote_description(now, answer).unwrap();
}

#[test]
fn channels_fail_with_dtls_and_begin_anew_with_it() {
    let (mut pair, keys) = talking(Configuration::default());
    restart(&mut pair, false);
    // Another DTLS association ends what was open; what is made now waits for it.
    let now = pair.now;
    let waiting = [0, 1].map(|n: usize| {
        let pc = &mut pair.ends[n].pc;
        pc.create_data_channel(now, "waiting", DataChannelInit::default())
            .unwrap()
    });
    pair.run_until(20 * SECOND, |p| {
        let failed = |e: &support::End| e.pc.dtls_state() == Some(DtlsTransportState::Failed);
        p.ends.iter().all(failed)
    });
    let mut details = Vec::new();
    for (n, key) in keys.into_iter().enumerate() {
        let mut events = ends_of(&pair.ends[n].events);
        events.retain(|e| !matches!(e, Event::SctpState(_)));
        assert_eq!(events[0], Event::ChannelClosed(key));
        let Event::ChannelError(failed, error) = &events[1] else {
            panic!("{events:?}");
        };
        assert_eq!((*failed, error.sctp_cause_code()), (waiting[n], None));
        assert_eq!(events[2], Event::ChannelClosed(waiting[n]));
        details.push(error.detail());
        assert_eq!(pair.ends[n].pc.channels().count(), 0);
    }
    assert!(
        details.contains(&ErrorDetail::FingerprintFailure),
        "{details:?}"
    );
    let other =
        |d: &ErrorDetail| [ErrorDetail::FingerprintFailure, ErrorDetail::DtlsFailure].contains(d);
    assert!(details.iter().all(other), "{details:?}");
    // Another handshake begins another association.
    let now = pair.now;
    let key = pair
        .a()
        .pc
        .create_data_channel(now, "again", DataChannelInit::default());
    let key = key.unwrap();
    restart(&mut pair, true);
    pair.run_until(20 * SECOND, |p| {
        p.ends[0].saw(|e| *e == Event::ChannelOpen(key))
    });
    let now = pair.now;
    pair.a().pc.send(now, key, Message::text("hello")).unwrap();
    pair.run(SECOND);
    assert!(
        pair.ends[1]
            .saw(|e| matches!(e, Event::ChannelMessage(_, m) if m.as_text() == Some("hello")))
    );
}
