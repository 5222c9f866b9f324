//! Two peers without I/O: what connects, what flows, what ends.

mod support;

use std::time::Duration;

use support::{Pair, address};
use tincan_peer::*;

const SECOND: Duration = Duration::from_secs(1);

/// A connected pair with one channel from `a`.
fn with_channel() -> (Pair, ChannelKey, ChannelKey) {
    let mut pair = Pair::new();
    let now = pair.now;
    let a = pair
        .a()
        .pc
        .create_data_channel(now, "chat", DataChannelInit::default())
        .unwrap();
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
    let audio = pair
        .a()
        .pc
        .add_transceiver(Kind::Audio, TransceiverInit::default())
        .unwrap();
    let video = pair
        .a()
        .pc
        .add_transceiver(Kind::Video, TransceiverInit::default())
        .unwrap();
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
