//! Tracks that give and take packets or whole frames.

use tincan_peer::driver::{DriverConfig, Events, PeerEvent, RemoteTrack};
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Frame, Kind, Message, OfferOptions, RtpPacket,
    TransceiverInit,
};

use crate::common;

async fn next_track(events: &mut Events) -> RemoteTrack {
    loop {
        match events.next().await.expect("the peer ended") {
            PeerEvent::Track(track) => return track,
            _ => continue,
        }
    }
}

fn payload_type(sdp: &str, codec: &str) -> u8 {
    let found = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .find(|(_, name)| name.starts_with(codec));
    found.unwrap().0.parse().unwrap()
}

#[test]
fn a_track_gives_packets_and_another_whole_frames() {
    common::run(async {
        let handles = [0, 1].map(|_| common::driver(DriverConfig::loopback()));
        let (a, mut a_events) = handles[0].peer(Configuration::default()).await.unwrap();
        let (b, mut b_events) = handles[1].peer(Configuration::default()).await.unwrap();
        let init = || TransceiverInit {
            direction: Direction::SendOnly,
            ..TransceiverInit::default()
        };
        let audio = a.add_transceiver(Kind::Audio, init()).await.unwrap();
        let video = a.add_transceiver(Kind::Video, init()).await.unwrap();
        // Its first message says that DTLS, and so SRTP, is there.
        let ours = a.create_data_channel("ready", DataChannelInit::default());
        let mut ours = ours.await.unwrap();
        let offer = a.offer_with_candidates(&mut a_events).await.unwrap();
        let (opus, vp8) = (
            payload_type(&offer.sdp, "opus/"),
            payload_type(&offer.sdp, "VP8/"),
        );
        b.set_remote_description(offer).await.unwrap();
        let first = next_track(&mut b_events).await;
        let second = next_track(&mut b_events).await;
        let answer = b.answer_with_candidates(&mut b_events).await.unwrap();
        a.set_remote_description(answer).await.unwrap();
        let (mut packets, frames) = match first.kind() {
            Kind::Audio => (first, second),
            Kind::Video => (second, first),
        };
        let mut frames = frames.into_frames().await.unwrap();
        assert_eq!(frames.kind(), Kind::Video);
        let theirs = common::next_channel(&mut b_events).await;
        theirs.send(Message::text("ready")).await.unwrap();
        assert!(ours.recv().await.is_some());

        let (voice, picture) = (a.sender(audio), a.sender(video));
        for n in 0..20u16 {
            let time = u32::from(n);
            let packet = RtpPacket::new(opus, n, time * 960, false, vec![n as u8; 80]);
            voice.send(packet).unwrap();
            assert_eq!(packets.recv().await.unwrap().payload, vec![n as u8; 80]);
            // RFC 7741: the first bit of a VP8 frame says whether it is no key frame; a key frame has a start code.
            let mut data = vec![n as u8; 5_000];
            let head: &[u8] = if n == 0 {
                &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0]
            } else {
                &[0x11]
            };
            data[..head.len()].copy_from_slice(head);
            picture
                .send_frame(Frame::new(vp8, time * 3000, data.clone()))
                .unwrap();
            let frame = frames.recv().await.unwrap();
            assert_eq!(frame.data, data);
            assert_eq!((frame.timestamp, frame.key_frame), (time * 3000, n == 0));
            assert_eq!(frame.lost_before, 0);
        }
        let sent = handles[0].stats().await.unwrap().datagrams_sent;
        assert!(sent >= 20 + 20 * 5, "{sent} datagrams");
        // The video pauses; what goes on is a track of packets.
        for direction in [Direction::Inactive, Direction::SendOnly] {
            a.with(move |pc, _| pc.set_direction(video, direction))
                .await
                .unwrap()
                .unwrap();
            let offer = a.create_offer(OfferOptions::default()).await.unwrap();
            a.set_local_description(Some(offer.clone())).await.unwrap();
            b.set_remote_description(offer).await.unwrap();
            let answer = b.create_answer().await.unwrap();
            b.set_local_description(Some(answer.clone())).await.unwrap();
            a.set_remote_description(answer).await.unwrap();
        }
        let mut again = next_track(&mut b_events).await;
        let frame = Frame::new(vp8, 90_000, vec![0x11; 100]);
        picture.send_frame(frame).unwrap();
        assert!(again.recv().await.unwrap().payload.ends_with(&[0x11; 100]));
        assert!(frames.recv().await.is_none());
        // Both end with their peer.
        drop((b, theirs));
        while again.recv().await.is_some() {}
        while frames.recv().await.is_some() {}
        while packets.recv().await.is_some() {}
    });
}
