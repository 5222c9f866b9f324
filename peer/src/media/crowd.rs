//! A far side that sends as many streams as it may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tincan_rtp::rtcp::{Compound, Packet};

use super::{Delivery, Media, Reception};
use crate::jsep::{IceParameters, Jsep, JsepConfig, LocalTransport};
use crate::limits::{MAX_REMOTE_SSRCS, RTCP_INTERVAL};
use crate::queue::Events;
use crate::work::counted;
use crate::{BundlePolicy, Capabilities, Kind, SdpType, SessionDescription, TransceiverInit};

const MS: Duration = Duration::from_millis(1);

fn jsep(name: &str) -> (Jsep, LocalTransport) {
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
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&90u32.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(&[0x10; 40]);
        let datagram = BytesMut::from(&packet[..]);
        let ecn = crate::Ecn::NotEct;
        self.media
            .handle_rtp(self.now, ecn, datagram, &mut self.events);
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
        // What will not come is given up; then one goes on. Where frames are wanted the others ask for key frames again and
        // again. Reports look at all of them.
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
fn each_stream_is_reported_in_its_turn() {
    let mut crowd = Crowd::new(Delivery::Packets);
    let mut reported = BTreeSet::new();
    for sequence in 1..=400 {
        for ssrc in 1..=100 {
            crowd.packet(ssrc, sequence);
        }
        crowd.now += MS * 20;
        for datagram in crowd.turn() {
            assert!(datagram.len() < 1_000);
            for packet in Compound::parse(&datagram).unwrap().packets() {
                if let Packet::ReceiverReport(report) = packet.unwrap() {
                    reported.extend(report.blocks().map(|block| block.ssrc.0));
                }
            }
        }
    }
    assert_eq!(reported, (1..=100).collect());
}

#[test]
fn statistics_of_a_thousand_streams_take_a_look_at_each() {
    let mut crowd = Crowd::new(Delivery::Packets);
    let codecs = &crowd.media.tracks()[0].parameters.receive_codecs;
    let rtx = codecs.iter().find(|c| c.apt() == Some(crowd.payload_type));
    let rtx = rtx.unwrap().payload_type;
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
