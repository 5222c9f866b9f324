//! A whole peer of another make at the other end: str0m, in memory, both roles; data both ways and RTP both ways.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{SeedableRng, rngs::StdRng};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction as TheirDirection, MediaKind, Mid};
use str0m::net::{Protocol as TheirProtocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event as TheirEvent, Input, Output, Rtc};
use tincan_peer::{
    Configuration, DataChannelInit, Direction, Event, HostProtocol, Kind, LocalAddress, Message,
    PeerConnection, Received, RtpPacket, SessionDescription, TransceiverInit,
};

const OURS: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);
const THEIRS: ([u8; 4], u16) = ([10, 0, 0, 2], 5000);
const PACKETS: u16 = 50;

/// Both ends, their wire and what they got.
struct World {
    now: Instant,
    ours: PeerConnection,
    theirs: Rtc,
    their_timeout: Instant,
    channel: Option<ChannelId>,
    mid: Option<Mid>,
    /// What each end got: messages and payloads.
    messages: [Vec<Vec<u8>>; 2],
    payloads: [Vec<Vec<u8>>; 2],
    key_frames_asked: [usize; 2],
    our_channel: Option<tincan_peer::ChannelKey>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let mut ours =
            PeerConnection::new(Configuration::default(), now, &mut StdRng::seed_from_u64(1))
                .unwrap();
        ours.add_local_address(
            now,
            LocalAddress {
                addr: SocketAddr::from(OURS),
                transport: HostProtocol::Udp,
            },
        );
        let provider = str0m::crypto::from_feature_flags();
        let mut theirs = Rtc::builder()
            .set_crypto_provider(provider.into())
            .set_rtp_mode(true)
            .build(now);
        theirs.add_local_candidate(Candidate::host(SocketAddr::from(THEIRS), "udp").unwrap());
        World {
            now,
            ours,
            theirs,
            their_timeout: now,
            channel: None,
            mid: None,
            messages: Default::default(),
            payloads: Default::default(),
            key_frames_asked: [0; 2],
            our_channel: None,
        }
    }

    fn drain_theirs(&mut self) {
        loop {
            match self.theirs.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.their_timeout = at;
                    return;
                }
                Output::Transmit(t) => {
                    let received = Received {
                        local: t.destination,
                        remote: t.source,
                        transport: Default::default(),
                        ecn: Default::default(),
                    };
                    let datagram = BytesMut::from(&t.contents[..]);
                    self.ours.handle_input(self.now, received, datagram);
                }
                Output::Event(TheirEvent::ChannelOpen(id, _)) => self.channel = Some(id),
                Output::Event(TheirEvent::ChannelData(data)) => self.messages[1].push(data.data),
                Output::Event(TheirEvent::MediaAdded(media)) => self.mid = Some(media.mid),
                Output::Event(TheirEvent::RtpPacket(packet)) => {
                    self.payloads[1].push(packet.payload.to_vec());
                }
                Output::Event(TheirEvent::KeyframeRequest(_)) => self.key_frames_asked[1] += 1,
                Output::Event(_) => {}
            }
        }
    }

    fn step(&mut self) {
        let mut idle = true;
        self.drain_theirs();
        let mut out = Vec::new();
        while let Some(t) = self.ours.poll_transmit(self.now, &mut out, 1) {
            idle = false;
            let receive = Receive {
                proto: TheirProtocol::Udp,
                source: t.local,
                destination: t.remote,
                contents: out.as_slice().try_into().unwrap(),
            };
            self.theirs
                .handle_input(Input::Receive(self.now, receive))
                .unwrap();
            out.clear();
            self.drain_theirs();
        }
        while let Some(event) = self.ours.poll_event() {
            match event {
                Event::ChannelOpen(key) => self.our_channel = Some(key),
                Event::ChannelMessage(_, message) => {
                    self.messages[0].push(message.as_bytes().to_vec());
                }
                Event::Rtp { packet, .. } => self.payloads[0].push(packet.payload.to_vec()),
                Event::KeyFrameRequest { .. } => self.key_frames_asked[0] += 1,
                _ => {}
            }
        }
        if idle {
            let next = self.ours.poll_timeout().into_iter();
            let next = next.chain([self.their_timeout]).min().unwrap();
            self.now = next.max(self.now + Duration::from_micros(100));
        }
        if self.ours.poll_timeout().is_some_and(|t| t <= self.now) {
            self.ours.handle_timeout(self.now);
        }
        if self.their_timeout <= self.now {
            self.theirs.handle_input(Input::Timeout(self.now)).unwrap();
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let end = self.now + Duration::from_secs(20);
        while !done(self) {
            assert!(self.now < end, "{what}: not in 20 s");
            self.step();
        }
    }

    /// Data and media in both directions, and what feedback there is.
    fn talk(&mut self) {
        self.until("channel", |w| {
            w.channel.is_some() && w.our_channel.is_some()
        });
        let id = self.channel.unwrap();
        let hello = vec![1; 20_000];
        let mut channel = self.theirs.channel(id).unwrap();
        assert!(channel.write(true, &hello).unwrap());
        let key = self.our_channel.unwrap();
        self.ours
            .send(self.now, key, Message::text("hello"))
            .unwrap();
        self.until("messages", |w| w.messages.iter().all(|m| m.len() == 1));
        assert_eq!(self.messages[0], [hello]);
        assert_eq!(self.messages[1], [b"hello".to_vec()]);

        let t = self.ours.transceivers().next().unwrap();
        assert_eq!(t.current_direction, Some(Direction::SendRecv));
        let codec = t.send_codecs.iter().find(|c| c.is("VP8")).unwrap();
        let payload_type = codec.payload_type;
        let mid = self.mid.unwrap_or_else(|| t.mid.as_deref().unwrap().into());
        for n in 0..PACKETS {
            let packet = RtpPacket::new(
                payload_type,
                n,
                u32::from(n) * 3000,
                true,
                vec![n as u8; 500],
            );
            self.ours.send_rtp(self.now, t.id, packet).unwrap();
            let write = RtpWrite::new(
                payload_type.into(),
                u64::from(n).into(),
                u32::from(n) * 3000,
                self.now,
                vec![n as u8; 600],
            );
            let mut direct = self.theirs.direct_api();
            let stream = direct.stream_tx_by_mid(mid, None).unwrap();
            stream.write_rtp(write.marker(true).nackable(true));
            let until = self.now + Duration::from_millis(20);
            while self.now < until {
                self.step();
            }
        }
        let all = usize::from(PACKETS);
        self.until("packets", |w| w.payloads.iter().all(|p| p.len() >= all));
        for (payloads, len) in self.payloads.iter().zip([600, 500]) {
            let expected: Vec<_> = (0..PACKETS).map(|n| vec![n as u8; len]).collect();
            assert_eq!(payloads, &expected);
        }
        self.ours.request_key_frame(self.now, t.id).unwrap();
        self.until("PLI at theirs", |w| w.key_frames_asked[1] > 0);
    }
}

#[test]
fn we_offer_and_str0m_answers() {
    let mut world = World::new();
    let now = world.now;
    world
        .ours
        .create_data_channel(now, "chat", DataChannelInit::default())
        .unwrap();
    world
        .ours
        .add_transceiver(Kind::Video, TransceiverInit::default())
        .unwrap();
    world.ours.set_local_description(now, None).unwrap();
    let offer = world.ours.local_description().unwrap().sdp;
    let answer = world
        .theirs
        .sdp_api()
        .accept_offer(SdpOffer::from_sdp_string(&offer).unwrap())
        .unwrap();
    world
        .ours
        .set_remote_description(now, SessionDescription::answer(answer.to_sdp_string()))
        .unwrap();
    world.talk();
}

#[test]
fn str0m_offers_and_we_answer() {
    let mut world = World::new();
    let now = world.now;
    let mut change = world.theirs.sdp_api();
    change.add_channel("chat".into());
    let mid = change.add_media(MediaKind::Video, TheirDirection::SendRecv, None, None, None);
    world.mid = Some(mid);
    let (offer, pending) = change.apply().unwrap();
    world
        .ours
        .set_remote_description(now, SessionDescription::offer(offer.to_sdp_string()))
        .unwrap();
    let id = world.ours.transceivers().next().unwrap().id;
    world.ours.set_direction(id, Direction::SendRecv).unwrap();
    world.ours.set_local_description(now, None).unwrap();
    let answer = world.ours.local_description().unwrap().sdp;
    world
        .theirs
        .sdp_api()
        .accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap())
        .unwrap();
    world.talk();
}
