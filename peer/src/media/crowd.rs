//! A far side that sends as many streams as it may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_rtp::rtcp::{Compound, Packet, SenderInfo, Writer};
use tincan_rtp::{NtpTime, Ssrc};

use super::{Delivery, Media, ReceiveStream, Reception};
use crate::connection::Shares;
use crate::event::Event;
use crate::jsep::{IceParameters, Jsep, JsepConfig, LocalTransport};
use crate::limits::{MAX_REMOTE_SSRCS, MIN_MEMORY_BUDGET, RTCP_INTERVAL, SOURCE_TIMEOUT};
use crate::queue::Events;
use crate::work::counted;
use crate::{BundlePolicy, Capabilities, Kind, SdpType, SessionDescription, TransceiverInit};

const MS: Duration = Duration::from_millis(1);

pub(super) fn jsep(name: &str) -> (Jsep, LocalTransport) {
    let mut rng = StdRng::seed_from_u64(1);
    let config = JsepConfig {
        capabilities: Arc::new(Capabilities::default()),
        bundle_policy: BundlePolicy::Balanced,
        ice_lite: false,
        max_message_size: 262_144,
    };
    let transport = LocalTransport {
        ice: IceParameters {
            ufrag: name.to_owned(),
            pwd: "passwordpasswordpassword".to_owned(),
        },
        fingerprints: vec![format!("sha-256 {}AB", "AB:".repeat(31))],
        tls_id: "tlsidtlsidtlsidtlsid".to_owned(),
    };
    (Jsep::new(config, &mut rng), transport)
}

/// Media that agreed to receive video, and the payload type of VP8.
struct Crowd {
    near: Jsep,
    reception: Reception,
    media: Media,
    events: Events,
    payload_type: u8,
    now: Instant,
    out: Vec<u8>,
}

impl Crowd {
    fn new(delivery: Delivery) -> Self {
        let mut rng = StdRng::seed_from_u64(2);
        let (mut far, far_transport) = jsep("farfar");
        let (mut near, near_transport) = jsep("nearnear");
        let init = TransceiverInit::default();
        far.add_transceiver(Kind::Video, init, &mut rng).unwrap();
        let offer = far.create_offer(&far_transport).unwrap();
        far.set_local(SdpType::Offer, &offer).unwrap();
        near.set_remote(&SessionDescription::offer(offer), &mut rng)
            .unwrap();
        let answer = near.create_answer(&near_transport).unwrap();
        near.set_local(SdpType::Answer, &answer).unwrap();
        let now = Instant::now();
        let mut media = Media::new(now, "cname", Duration::ZERO);
        let id = near.transceivers()[0].id();
        let reception = Reception {
            delivery,
            ..Reception::default()
        };
        media.reconcile(near.transceivers(), &[(id, reception)]);
        let parameters = &media.tracks()[0].parameters;
        let vp8 = parameters.receive_codecs.iter().find(|c| c.is("VP8"));
        Crowd {
            payload_type: vp8.unwrap().payload_type,
            near,
            reception,
            media,
            events: Events::default(),
            now,
            out: Vec::new(),
        }
    }

    /// A packet of a stream: the start of a VP8 frame that goes on.
    fn packet(&mut self, ssrc: u32, sequence: u16) {
        self.packet_of(self.payload_type, ssrc, sequence);
    }

    fn packet_of(&mut self, payload_type: u8, ssrc: u32, sequence: u16) {
        self.datagram(payload_type, ssrc, sequence, 90, &[0x10; 40]);
    }

    fn datagram(&mut self, types: u8, ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, types];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        let datagram = BytesMut::from(&packet[..]);
        let ecn = crate::Ecn::NotEct;
        self.media
            .handle_rtp(self.now, ecn, datagram, &mut self.events);
    }

    /// A whole key frame of so many packets of 1000 octets; what frames that came of it tell of losses.
    fn frame(&mut self, ssrc: u32, sequence: u16, timestamp: u32, packets: u16) -> Vec<u64> {
        for n in 0..packets {
            let marker = if n + 1 == packets { 0x80 } else { 0 };
            let mut payload = [0; 1_000];
            payload[0] = if n == 0 { 0x10 } else { 0 };
            let types = self.payload_type | marker;
            self.datagram(types, ssrc, sequence + n, timestamp, &payload);
        }
        let news = std::iter::from_fn(|| self.events.pop_front());
        let frames = news.filter_map(|event| match event {
            Event::Frame { frame, .. } => Some(frame.lost_before),
            _ => None,
        });
        frames.collect()
    }

    fn rtx(&self) -> u8 {
        let codecs = &self.media.tracks()[0].parameters.receive_codecs;
        let rtx = codecs.iter().find(|c| c.apt() == Some(self.payload_type));
        rtx.unwrap().payload_type
    }

    fn reconcile(&mut self) {
        let transceivers = self.near.transceivers();
        let receptions = [(transceivers[0].id(), self.reception)];
        self.media.reconcile(transceivers, &receptions);
    }

    fn rtcp(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        let mut datagram = Vec::new();
        write(&mut Writer::new(&mut datagram));
        self.media
            .handle_rtcp(self.now, &datagram, &mut self.events);
    }

    fn goodbye(&mut self, ssrc: u32) {
        self.rtcp(|w| {
            w.receiver_report(Ssrc(ssrc), []);
            w.goodbye(&[Ssrc(ssrc)], b"").unwrap();
        });
    }

    /// Time passes in which an event loop does what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += 10 * MS;
            self.turn();
        }
    }

    /// A packet of each.
    fn all(&mut self, ssrcs: std::ops::Range<u32>) {
        for ssrc in ssrcs {
            self.packet(ssrc, 1);
        }
    }

    fn stream(&self, ssrc: u32) -> Option<&ReceiveStream> {
        let at = self.media.router.by_ssrc(ssrc)?;
        let stream = &self.media.receivers()[at];
        assert_eq!(stream.ssrc, ssrc);
        Some(stream)
    }

    /// Each stream is found by its SSRC, and what all are charged is what is counted.
    fn check(&self) {
        let receivers = self.media.receivers();
        for (at, receiver) in receivers.iter().enumerate() {
            assert_eq!(self.media.router.by_ssrc(receiver.ssrc), Some(at));
        }
        assert_eq!(self.media.router.known(), receivers.len());
        let charged: usize = receivers.iter().map(|r| r.charged).sum();
        assert_eq!(self.media.incoming, charged);
        assert!(self.media.vacant.iter().all(|at| *at < receivers.len()));
    }

    /// What an event loop does; the RTCP that came of it.
    fn turn(&mut self) -> Vec<Vec<u8>> {
        if self.media.poll_timeout().is_some_and(|at| at <= self.now) {
            self.media.handle_timeout(self.now, &mut self.events);
        }
        let mut written = Vec::new();
        while self.media.poll_rtcp(self.now, &mut self.out) {
            written.push(std::mem::take(&mut self.out));
        }
        while self.events.pop_front().is_some() {}
        written
    }
}

#[test]
fn a_packet_costs_no_more_beside_a_thousand_streams() {
    for delivery in [Delivery::Packets, Delivery::Frames] {
        let mut crowd = Crowd::new(delivery);
        let all = MAX_REMOTE_SSRCS as u32;
        // Each begins, and lacks something at a time of its own.
        for sequence in [1, 2, 4] {
            for ssrc in 1..=all {
                crowd.packet(ssrc, sequence);
                crowd.now += MS / 10;
                crowd.turn();
            }
        }
        let counters = crowd.media.counters();
        assert_eq!((counters.malformed, counters.unrouted), (0, 0));
        assert_eq!(crowd.media.receivers().len(), MAX_REMOTE_SSRCS);
        let asked: u64 = crowd.media.receivers().iter().map(|r| r.nacks).sum();
        assert!(asked >= u64::from(all), "{asked} requests");
        // One more than there may be.
        crowd.packet(all + 1, 1);
        assert_eq!(crowd.media.counters().unrouted, 1);
        // What will not come is given up; then one goes on. Where frames are wanted the others ask for key frames until they
        // were silent for long. Reports look at all of them.
        for _ in 0..20_000 {
            crowd.now += MS;
            crowd.turn();
        }
        let requests =
            |media: &Media| -> u64 { media.receivers().iter().map(|r| r.plis + r.nacks).sum() };
        let (mut packets, before) = (0, requests(&crowd.media));
        let steps = counted(|| {
            for sequence in 5..2_005 {
                crowd.packet(7, sequence);
                crowd.now += MS;
                packets += 1;
                crowd.turn();
            }
        });
        let requests = requests(&crowd.media) - before;
        println!("{delivery:?}: {steps} steps for {packets} packets and {requests} requests");
        let reports = Duration::from_secs(2).div_duration_f64(RTCP_INTERVAL) as u64 + 1;
        let most = 4 * (packets + requests) + reports * u64::from(all);
        assert!(steps <= most, "{steps} > {most}");
    }
}

#[test]
fn all_streams_are_reported_in_each_round() {
    let mut crowd = Crowd::new(Delivery::Packets);
    for sequence in 1..=400 {
        for ssrc in 1..=100 {
            crowd.packet(ssrc, sequence);
        }
        crowd.now += MS * 20;
        let mut reported = Vec::new();
        for datagram in crowd.turn() {
            assert!(datagram.len() < 1_000);
            for packet in Compound::parse(&datagram).unwrap().packets() {
                if let Packet::ReceiverReport(report) = packet.unwrap() {
                    reported.extend(report.blocks().map(|block| block.ssrc.0));
                }
            }
        }
        let count = if sequence % 50 == 25 { 100 } else { 0 };
        assert!(reported.into_iter().eq(1..=count), "after {sequence}");
    }
}

/// What is wrong at the end says nothing against what comes before it.
#[test]
fn reports_before_a_wrong_length_are_taken() {
    let mut crowd = Crowd::new(Delivery::Packets);
    crowd.packet(7, 1);
    let info = SenderInfo {
        ntp: NtpTime(1),
        rtp_timestamp: 0,
        packets: 1,
        octets: 1,
    };
    let mut datagram = Vec::new();
    Writer::new(&mut datagram).sender_report(Ssrc(7), &info, []);
    datagram.extend_from_slice(&[0x81, 206, 0, 9, 0, 0]);
    let now = crowd.now;
    crowd.media.handle_rtcp(now, &datagram, &mut crowd.events);
    assert!(crowd.stream(7).unwrap().sender_report.is_some());
    assert_eq!(crowd.media.counters().malformed, 1);
}

#[test]
fn a_sender_that_begins_anew_loses_nothing_of_its_first_frame() {
    let mut crowd = Crowd::new(Delivery::Frames);
    assert_eq!(crowd.frame(1, 1, 0, 3), [0]);
    assert_eq!(crowd.frame(1, 20_000, 3_000, 3), [0]);
    // What only looked like that.
    crowd.datagram(crowd.payload_type, 1, 5_000, 90, &[0x10; 40]);
    assert_eq!(crowd.frame(1, 20_003, 6_000, 3), [0]);
    assert_eq!(crowd.frame(1, 40_000, 9_000, 3), [0]);
    assert_eq!(crowd.stream(1).unwrap().frame_counts().unwrap().frames, 4);
    crowd.check();
}

#[test]
fn statistics_of_a_thousand_streams_take_a_look_at_each() {
    let mut crowd = Crowd::new(Delivery::Packets);
    let rtx = crowd.rtx();
    let half = MAX_REMOTE_SSRCS as u32 / 2;
    for ssrc in 1..=half {
        crowd.packet(ssrc, 1);
        crowd.packet_of(rtx, half + ssrc, 1);
        crowd.now += MS;
    }
    crowd.packet(9, 2);
    let mut repairs = Default::default();
    let steps = counted(|| repairs = crowd.media.repairs());
    // All are of one transceiver and encoding: the stream that was heard last is meant.
    let places: Vec<_> = repairs.iter().map(|(at, sum)| (*at, sum.packets)).collect();
    let heard = crowd.media.receivers().iter().position(|r| r.ssrc == 9);
    assert_eq!(places, [(heard.unwrap(), u64::from(half))]);
    assert!(steps <= 4 * u64::from(half), "{steps}");
}

const ALL: u32 = MAX_REMOTE_SSRCS as u32;

#[test]
fn a_stream_that_fell_silent_is_not_asked_for_key_frames() {
    let mut crowd = Crowd::new(Delivery::Frames);
    crowd.packet(1, 1);
    crowd.packet(1, 3);
    crowd.pass(SOURCE_TIMEOUT);
    let plis = |crowd: &Crowd| crowd.stream(1).unwrap().plis;
    let asked = plis(&crowd);
    assert!(asked > 10, "{asked}");
    crowd.pass(Duration::from_secs(10));
    assert_eq!(plis(&crowd), asked);
    assert_eq!(crowd.media.agenda.next(), None);
    // It still wants one.
    crowd.datagram(crowd.payload_type, 1, 6, 90, &[0; 40]);
    crowd.turn();
    assert_eq!(plis(&crowd), asked + 1);
    crowd.goodbye(1);
    assert_eq!(crowd.media.agenda.next(), None);
}

#[test]
fn streams_that_are_over_make_room_for_others() {
    let mut crowd = Crowd::new(Delivery::Frames);
    // A second lacks something.
    crowd.all(1..ALL + 1);
    crowd.packet(2, 3);
    crowd.pass(SOURCE_TIMEOUT + RTCP_INTERVAL);
    let asked = crowd.media.agenda.next();
    let steps = counted(|| crowd.all(ALL + 1..2 * ALL + 1));
    assert!(steps < 3 * u64::from(ALL), "{steps}");
    assert_eq!(crowd.media.counters().unrouted, 0);
    crowd.check();
    assert_eq!(crowd.media.receivers().len(), MAX_REMOTE_SSRCS);
    assert!(asked.is_none() && crowd.stream(2).is_none());
    // One comes again: another stream with the same SSRC.
    crowd.goodbye(ALL + 7);
    crowd.packet(2, 9);
    let stream = crowd.stream(2).unwrap();
    assert_eq!((stream.packets, stream.number), (1, 2 * ALL));
    crowd.check();
}

#[test]
fn a_stream_that_is_heard_keeps_its_place() {
    let mut crowd = Crowd::new(Delivery::Packets);
    crowd.all(1..ALL + 1);
    for _ in 0..10 {
        crowd.pass(RTCP_INTERVAL);
        for ssrc in 2..=ALL {
            let info = SenderInfo {
                ntp: NtpTime(1),
                rtp_timestamp: 0,
                packets: 1,
                octets: 1,
            };
            // Reports without packets, as of a track that is muted.
            crowd.rtcp(|w| w.sender_report(Ssrc(ssrc), &info, []));
        }
    }
    let steps = counted(|| {
        for ssrc in ALL + 1..2 * ALL {
            crowd.packet(ssrc, 1);
        }
    });
    // Only the first fell silent, and one look at all was enough to find that.
    assert!(steps <= 2 * u64::from(ALL), "{steps}");
    assert_eq!(crowd.media.counters().unrouted, u64::from(ALL) - 2);
    assert!(crowd.stream(1).is_none() && crowd.stream(ALL + 1).is_some());
    assert!((2..=ALL).all(|ssrc| crowd.stream(ssrc).is_some()));
    crowd.check();
}

#[test]
fn a_goodbye_makes_room_at_once_unless_more_comes() {
    let mut crowd = Crowd::new(Delivery::Packets);
    crowd.all(1..ALL + 1);
    crowd.goodbye(5);
    crowd.goodbye(6);
    crowd.packet(6, 2);
    for ssrc in [ALL + 1, ALL + 2] {
        crowd.packet(ssrc, 1);
    }
    assert!(crowd.stream(5).is_none() && crowd.stream(6).is_some());
    assert!(crowd.stream(ALL + 1).is_some() && crowd.stream(ALL + 2).is_none());
    crowd.check();
}

#[test]
fn a_retransmission_does_not_take_the_place_of_what_it_repairs() {
    let mut crowd = Crowd::new(Delivery::Packets);
    // The last is the one that was silent for the shortest time: what a stream of retransmissions repairs.
    for ssrc in 1..=ALL {
        crowd.packet(ssrc, 1);
    }
    crowd.pass(RTCP_INTERVAL);
    for ssrc in 1..ALL {
        crowd.packet(ssrc, 2);
    }
    crowd.now += MS;
    crowd.packet(ALL, 2);
    // None is over but this one.
    crowd.goodbye(ALL);
    let rtx = crowd.rtx();
    crowd.packet_of(rtx, ALL + 1, 1);
    assert!(crowd.stream(ALL).is_some() && crowd.stream(ALL + 1).is_none());
    crowd.pass(2 * RTCP_INTERVAL);
    crowd.goodbye(3);
    crowd.packet_of(rtx, ALL + 1, 1);
    assert!(crowd.stream(ALL).is_some() && crowd.stream(3).is_none());
    assert!(crowd.stream(ALL + 1).is_some());
    crowd.check();
}

#[test]
fn places_that_were_found_are_forgotten_with_the_places() {
    let mut crowd = Crowd::new(Delivery::Packets);
    crowd.all(1..ALL + 1);
    crowd.pass(SOURCE_TIMEOUT);
    crowd.packet(ALL + 1, 1);
    assert_eq!(crowd.media.vacant.len(), MAX_REMOTE_SSRCS - 1);
    crowd.reconcile();
    assert!(crowd.media.vacant.is_empty());
    crowd.pass(RTCP_INTERVAL);
    crowd.all(ALL + 2..2 * ALL);
    assert_eq!(crowd.media.counters().unrouted, 0);
    crowd.check();
}

#[test]
fn streams_that_are_over_leave_their_share_to_others() {
    for goodbye in [false, true] {
        let mut crowd = Crowd::new(Delivery::Frames);
        crowd.media.set_shares(Shares::of(MIN_MEMORY_BUDGET));
        assert_eq!(crowd.frame(1, 1, 0, 78), [0]);
        if goodbye {
            crowd.goodbye(1);
        } else {
            crowd.pass(SOURCE_TIMEOUT + RTCP_INTERVAL);
        }
        for n in 0..3 {
            let told = crowd.frame(2, 1 + 52 * n, u32::from(n) * 3_000, 52);
            assert_eq!(told, [0], "goodbye {goodbye}");
        }
        crowd.check();
    }
}
